"""Sorting: stability and edge cases."""

import numpy as np
import pytest

from tinygrad_np import Tensor
from tinygrad_np.errors import ArgumentError, AxisError

T = Tensor


def test_sorting_is_stable():
    x = np.random.default_rng(0).integers(0, 3, 400).astype(float)
    assert T(x).argsort().tolist() == np.argsort(x, kind="stable").tolist()
    down = T(x).argsort(descending=True).data
    assert all(down[i] < down[i + 1] for i in range(399) if x[down[i]] == x[down[i + 1]])


def test_argsort_and_topk_accept_a_0d_tensor():
    assert [T(3.0).argsort(dim).item() for dim in (0, -1)] == [0, 0]
    assert [part.item() for part in T(3.0).topk(1)] == [3.0, 0]
    with pytest.raises(AxisError):
        T(3.0).argsort(1)
    with pytest.raises(ArgumentError, match="topk: expected `k` to be from 0 to 1"):
        T(3.0).topk(2)


def test_topk_of_zero_entries_is_empty():
    assert [part.shape for part in T([3.0, 1.0]).topk(0)] == [(0,), (0,)]
