"""Tests of `tinygrad_np.viz`."""
