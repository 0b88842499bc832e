"""Helpers shared by the tests of nn."""

import numpy as np

from tinygrad_np import nn


def assert_same(found, expected):
    """Assert that two state dicts have the same names, shapes, dtypes and bits."""
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array, strict=True, err_msg=name)


class Stack(nn.Module):
    """A ModuleList whose layers `forward` calls in order."""

    def __init__(self, count=3):
        self.layers = nn.ModuleList(nn.Linear(2, 2) for _ in range(count))

    def forward(self, x):
        for layer in self.layers:
            x = layer(x)
        return x


def sigmoid(x):
    """Return 1 / (1 + e^-x)."""
    return 1 / (1 + np.exp(-x))
