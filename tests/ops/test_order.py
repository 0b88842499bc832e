"""Sorting is stable."""

import numpy as np

from tinygrad_np import Tensor

T = Tensor


def test_the_order_of_equals_is_kept():
    x = np.random.default_rng(0).integers(0, 3, 400).astype(float)
    assert T(x).argsort().tolist() == np.argsort(x, kind="stable").tolist()
    down = T(x).argsort(descending=True).data
    assert all(down[i] < down[i + 1] for i in range(399) if x[down[i]] == x[down[i + 1]])
