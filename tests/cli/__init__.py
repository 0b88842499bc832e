"""Tests of `tinygrad_np.cli`."""
