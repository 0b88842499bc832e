"""Indexing and scattering: keys, repeated indices and dtypes."""

import array

import numpy as np
import pytest

from tests.tools import each, leaf, normal
from tinygrad_np import Tensor
from tinygrad_np.errors import AxisError, DtypeError, ShapeError

T = Tensor


@each(
    "key",
    [
        ((0, 0), (1, 1)),
        ((0, 0), slice(None)),
        (range(2), [1, 1]),
        array.array("q", [0, 0, 1]),
        [True, False],
        (),
    ],
)
def test_sequences_in_a_key_are_index_arrays(key):
    x = Tensor(np.arange(4.0).reshape(2, 2), requires_grad=True)
    expected = np.zeros((2, 2))
    np.add.at(expected, key, 1)
    part = x[key]
    np.testing.assert_array_equal(part.data, x.data[key])
    part.sum().backward()
    np.testing.assert_array_equal(x.grad.data, expected)


def test_scatter_writes_the_last_of_repeated_indices():
    src = leaf(5.0, 7.0, 9.0)
    out = Tensor(np.zeros(2)).scatter(0, T([1, 1, 1]), src)
    assert out.tolist() == [0.0, 9.0]
    out.sum().backward()
    assert src.grad.tolist() == [0.0, 0.0, 1.0]


def test_split_accepts_numpy_integers():
    assert [part.tolist() for part in T([1, 2, 3]).split(np.int64(2))] == [[1, 2], [3]]


@each("reduce", ["sum", "prod", "mean", "amax", "amin"])
@each("dtype", [np.int32, np.uint8, np.float32])
def test_scatter_reduce_keeps_the_dtype(reduce, dtype):
    x, src = Tensor([1, 2], dtype), Tensor([3, 4], dtype)
    for include_self in (True, False):
        assert x.scatter_reduce(0, Tensor([0, 0]), src, reduce, include_self).dtype == dtype


def test_scatter_reduce_and_sign_accept_bools():
    x, src = Tensor([True, False]), Tensor([True, True])
    assert x.scatter_reduce(0, Tensor([0, 1]), src, "prod").tolist() == [True, False]
    assert x.scatter_reduce(0, Tensor([0, 1]), src, "amax").tolist() == [True, True]
    assert x.sign().tolist() == [True, False]


def test_masked_fill_keeps_the_dtype():
    assert Tensor([True, True]).masked_fill(Tensor([True, False]), 0).tolist() == [False, True]
    assert Tensor([1, 2]).masked_fill([True, False], 7).tolist() == [7, 2]
    with pytest.raises(DtypeError, match=r"masked_fill: expected `value` .* int64, got 0\.5\."):
        Tensor([1, 2]).masked_fill([True, False], 0.5)


@pytest.mark.parametrize("src", [5.0, Tensor(5.0)])
def test_scatter_writes_into_a_0d_tensor(src):
    x, index = Tensor(1.0), Tensor(0)
    assert x.scatter(0, index, src).tolist() == 5.0
    assert x.scatter_reduce(0, index, src, "sum").tolist() == 6.0


@pytest.mark.parametrize("dim", [1, -2])
def test_gather_along_a_missing_axis_raises(dim):
    with pytest.raises(AxisError, match="gather: expected `dim` to be an axis of shape"):
        Tensor([1.0, 2.0]).gather(dim, Tensor([0]))


@each(
    "own,entries,reduce,include_self,expected",
    [
        ([1.0, 2.0, 3.0], [5.0, 6.0, 7.0], "prod", True, [30, 14, 3]),
        ([1.0, 2.0, 3.0], [5.0, 6.0, 7.0], "prod", False, [30, 7, 3]),
        ([-1, -2, -3], [-5, -6, -7], "amax", True, [-1, -2, -3]),
        ([-1, -2, -3], [-5, -6, -7], "amax", False, [-5, -7, -3]),
        ([-1.0, -2.0, -3.0], [-5.0, -6.0, -7.0], "amax", False, [-5, -7, -3]),
        ([1, 2, 3], [5, 6, 7], "amin", True, [1, 2, 3]),
        ([1, 2, 3], [5, 6, 7], "amin", False, [5, 7, 3]),
        ([1.0, 2.0, 3.0], [5.0, 6.0, 7.0], "amin", False, [5, 7, 3]),
        ([False, False, True], [False, False, False], "amax", True, [False, False, True]),
        ([True, True, False], [True, True, True], "amin", True, [True, True, False]),
        ([1.0, 2.0, 3.0], [5.0, 6.0, 7.0], "mean", False, [5.5, 7, 3]),
        ([1.0, 2.0, 3.0], [5.0, 6.0, 7.0], "sum", False, [11, 7, 3]),
    ],
)
def test_scatter_reduce_handles_groups_of_different_sizes(
    own, entries, reduce, include_self, expected
):
    found = T(own).scatter_reduce(0, T([0, 0, 1]), T(entries), reduce, include_self)
    assert found.tolist() == expected
    assert found.dtype == T(own).dtype


def test_masked_fill_takes_one_number():
    x, mask = T([1.0, 2.0]), T([True, False])
    for value in (0.1, T([0.1]), T(0.1)):
        assert x.masked_fill(mask, value).tolist() == T([0.1, 2.0]).tolist()
    assert T([1, 2]).masked_fill(mask, 7.0).tolist() == [7, 2]
    with pytest.raises(DtypeError, match="expected `value` to fit the tensor's dtype"):
        T([1, 2]).masked_fill(mask, 0.5)
    with pytest.raises(ShapeError, match="masked_fill: expected `value` to be a number"):
        x.masked_fill(mask, T([1.0, 2.0]))


def test_size_argument_truncates_or_pads_the_result():
    x = T([[0, 3], [2, 0]])
    places = [[0, 1], [1, 0], [-1, -1]]
    for size in (0, 1, 2, 3):
        assert x.nonzero(size=size, fill_value=-1).tolist() == places[:size]
        chosen = x.masked_select(x > 0, size=size, fill_value=9)
        assert chosen.tolist() == [3, 2, 9][:size]


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("count", [6, 300])
def test_gradients_of_masks_and_small_index_dtypes(dtype, count):
    values = normal(count, 3).astype(dtype)
    rows = np.arange(count) % 100
    mask = rows % 3 > 0
    for key in (
        (mask, slice(None)),
        (mask, ...),
        (mask,),
        True,
        rows.astype(np.uint8),
        -rows.astype(np.int8),
        (rows.astype(np.int16), slice(None)),
    ):
        x = Tensor(values, requires_grad=True)
        picked = x[key]
        picked.sum().backward()
        expected = np.zeros((count, 3))
        np.add.at(expected, key, 1.0)
        np.testing.assert_array_equal(x.grad.numpy(), expected)
