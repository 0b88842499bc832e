"""Tests of `tinygrad_np.data`."""
