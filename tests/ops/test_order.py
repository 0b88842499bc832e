"""Sorting: stability and edge cases."""

import numpy as np
import pytest

from tests.tools import leaf
from tinygrad_np import Tensor
from tinygrad_np.errors import ArgumentError, AxisError
from tinygrad_np.ops.order import argmedian

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


def test_median_is_the_first_nan():
    rows = np.array([[1.0, np.nan, 0.0, np.nan], [4.0, 1.0, 3.0, 2.0]])
    assert argmedian(T(rows), 1).tolist() == [[1], [3]]
    x = leaf(rows)
    x.median(1).sum().backward()
    assert x.grad.tolist() == [[0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0]]


def test_gradient_of_the_median_of_all_entries_is_shared_among_ties():
    x = leaf([[1.0, 2.0], [2.0, 3.0]])
    x.median().backward()
    assert x.grad.tolist() == [[0.0, 0.5], [0.5, 0.0]]
    assert T([[3, 1, 1]]).median(keepdim=True).tolist() == [[1]]
