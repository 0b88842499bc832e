"""Elementwise kernels: memory order and broadcasting of large arrays."""

import math

import numpy as np
import pytest

from tests.tools import normal
from tinygrad_np.kernels import elementwise

X = np.asfortranarray(normal(400, 500))


def test_results_have_the_memory_order_of_the_larger_input():
    row = normal(500)
    for found, expected in [
        (elementwise.unary(np.exp, X), np.exp(X)),
        (elementwise.binary(np.add, X, 1.0), X + 1.0),
        (elementwise.binary(np.subtract, row, X), row - X),
        (elementwise.select(X, X > 0), np.where(X > 0, X, 0)),
    ]:
        assert found.flags.f_contiguous
        np.testing.assert_array_equal(found, expected)


def test_select_overwrites_its_input_only_with_reuse_and_an_equal_shape():
    x, mask = normal(3, 4), normal(3, 4, seed=1) > 0
    given, expected = x.copy(), np.where(mask, x, 0)
    assert elementwise.select(x, mask).tolist() == expected.tolist()
    assert x.tolist() == given.tolist()
    both = elementwise.select(x, np.stack([mask, ~mask]), reuse=True)
    assert both.tolist() == [expected.tolist(), (x - expected).tolist()]
    assert elementwise.select(x, mask, reuse=True) is x
    assert x.tolist() == expected.tolist()


def test_result_is_in_c_order_if_both_inputs_broadcast():
    column = np.asfortranarray(normal(400, 300))[:, None]
    found = elementwise.binary(np.add, column, normal(2, 1))
    np.testing.assert_array_equal(found, column + normal(2, 1))
    chosen = elementwise.select(X, np.ones((2, 1, 1), bool))
    np.testing.assert_array_equal(chosen, np.stack([X, X]))
    assert found.flags.c_contiguous
    assert chosen.flags.c_contiguous


def test_erf_is_accurate_on_both_sides_of_its_cutoffs():
    x = np.linspace(-7, 7, 701)
    expected = [math.erf(value) for value in x]
    np.testing.assert_allclose(elementwise.erf(x), expected, rtol=0, atol=5e-16)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "longdouble", "int32"])
def test_choose_matches_where_to_the_bit(dtype):
    special = [0.0, -0.0, np.inf, -np.inf, np.nan, 65504.0, -1.5, 6e-8]
    numbers = [1, -1, 0, 7] if dtype == "int32" else special
    x = np.resize(np.array(numbers, dtype), (90, 100))
    y, mask = x[::-1, ::-1].T.reshape(90, 100), normal(90, 100) > 0
    for condition, a, b in [
        (mask, x, y),
        (mask, x, y[:, :1]),
        (mask[0], x, y),
        (mask, 2, y),
        (mask, x, x[0, 0]),
        (mask.astype(int) * 3, x, y),
        (mask, x[None], np.stack([y, y])),
        (mask.T, x.T, y.T),
    ]:
        found, expected = elementwise.choose(condition, a, b), np.where(condition, a, b)
        assert found.dtype == expected.dtype
        np.testing.assert_array_equal(found, expected)
        np.testing.assert_array_equal(np.signbit(found), np.signbit(expected))


def test_images_stored_batch_last_keep_their_order_among_others():
    last = normal(8, 16, 16, 300).astype("f4").transpose(3, 0, 1, 2)
    first = np.ascontiguousarray(last)
    spread = np.broadcast_to(np.float32(2), first.shape)
    for found in (
        elementwise.binary(np.add, first, last),
        elementwise.select(first, last > 0),
        elementwise.select(spread, last > 0),
        elementwise.choose(first > 0, first, last),
    ):
        assert found.strides == last.strides
    reused = elementwise.select(first.copy(), last > 0, reuse=True)
    np.testing.assert_array_equal(reused, np.where(last > 0, last, 0))
