"""Backpropagation by hand: layers as plain loops and by im2col, and whole networks built from them.

`loops`, `im2col` and `networks` are plain NumPy and import nothing from tinygrad_np.
"""
