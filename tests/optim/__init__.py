"""Tests of `tinygrad_np.optim`."""
