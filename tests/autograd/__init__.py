"""Tests of `tinygrad_np.autograd`."""
