"""Tests of `tinygrad_np.kernels`."""
