"""Helpers for the optimizer tests."""

import numpy as np


def assert_close(found, expected):
    """Assert that float64 arrays agree up to the rounding of reordered operations."""
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-13, atol=1e-14, strict=True)


def assert_equal(found, expected):
    """Assert that arrays are equal bit for bit."""
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_array_equal(a, b, strict=True)
