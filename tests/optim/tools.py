"""Helpers that these tests share."""

import numpy as np


def assert_close(found, expected):
    """Assert that float64 arrays agree but for the order of rounding."""
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-13, atol=1e-14, strict=True)


def assert_equal(found, expected):
    """Assert that arrays have the same bits."""
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_array_equal(a, b, strict=True)
