"""Tests of `tinygrad_np.runtime`."""
