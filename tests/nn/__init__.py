"""Tests of `tinygrad_np.nn`."""
