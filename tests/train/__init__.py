"""Tests of `tinygrad_np.train`."""
