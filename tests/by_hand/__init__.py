"""Backpropagation by hand: layers in plain loops and by im2col, and the whole networks on them.

`loops`, `im2col` and `networks` are plain NumPy and know nothing of tinygrad_np.
"""
