"""Tests of tinygrad_np.frontend."""
