"""Sums are accurate along every axis and in every memory layout, compared with float64."""

import itertools

import numpy as np
import pytest

from tests.tools import each, rng
from tinygrad_np.errors import AxisError
from tinygrad_np.kernels import reductions

LAYOUTS = {
    "C": lambda x: x,
    "Fortran": np.asfortranarray,
    "reversed": lambda x: x[::-1],
    "strided": lambda x: np.repeat(x, 2, -1)[..., ::2],
    "batch last": lambda x: np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 0, -1)), -1, 0),
    "repeated": lambda x: np.broadcast_to(x[:1], x.shape),
}
SHAPES = [(40_003, 2), (2, 40_003), (5000, 2, 3), (300, 7, 5), (513, 3, 129), (16, 8, 28, 28)]


def axes_of(rank):
    """Return all choices of axes, with negative ones and None."""
    every = [c for r in range(1, rank + 1) for c in itertools.combinations(range(rank), r)]
    return [None, 0, -1, (-1,), *every]


@pytest.mark.slow
@each("layout", LAYOUTS)
@each("shape", SHAPES)
def test_sums_and_means_match_float64(layout, shape):
    for x in (np.full(shape, 0.1, np.float32), rng().random(shape, np.float32)):
        x = LAYOUTS[layout](x)
        wide = x.astype(np.float64)
        for axis in axes_of(x.ndim):
            for keepdims in (False, True):
                expected = wide.sum(axis, keepdims=keepdims)
                found = reductions.total(x, axis, keepdims)
                assert found.dtype == np.float32
                np.testing.assert_allclose(found, expected, rtol=1.3e-6)
            np.testing.assert_allclose(reductions.mean(x, axis), wide.mean(axis), rtol=1.3e-6)


@each("count", [*range(126, 132), 255, 256, 257, 2047, 2048, 4095, 4097, 65_537])
def test_no_entry_is_lost_or_counted_twice(count):
    x = rng().integers(0, 1000, (count, 3)).astype(np.float64)
    for array in (x, np.asfortranarray(x), x.T.copy().T):
        np.testing.assert_array_equal(reductions.total(array, 0), x.astype(int).sum(0))
        np.testing.assert_array_equal(reductions.total(array.T, 1), x.astype(int).sum(0))


def test_integers_and_bools_are_summed_in_64_bits():
    assert reductions.total(np.full((1000, 2), 100, np.int8), 0).tolist() == [100_000] * 2
    assert reductions.total(np.ones((1000, 2), bool), 0).tolist() == [1000] * 2


def test_float16_is_summed_in_float32():
    x = np.full((300_000, 2), 0.1, np.float16)
    found = reductions.total(x, 0)
    assert found.dtype == np.float16
    np.testing.assert_allclose(found, float(x[0, 0]) * 300_000, rtol=5e-4)
    assert reductions.mean(x, 0).tolist() == x[0].tolist()


def test_a_mean_is_finite_where_the_sum_overflows():
    x = np.full((1000, 2), 3e38, np.float32)
    for axis in (0, 1, None, (0, 1)):
        np.testing.assert_allclose(reductions.mean(x, axis), np.float32(3e38), rtol=1e-6)
    assert reductions.mean(np.full(70_000, 6e4, np.float16)).item() == np.float16(6e4)
    x[0, 0] = np.inf
    assert reductions.mean(x, 0).tolist() == [np.inf, pytest.approx(3e38)]


def test_empty_sums_and_invalid_axes():
    assert reductions.total(np.zeros((0, 500), np.float32), 0).tolist() == [0.0] * 500
    assert reductions.total(np.zeros((500, 0), np.float32), 0).shape == (0,)
    assert np.isnan(reductions.mean(np.zeros((0, 2), np.float32), 0)).all()
    x = np.zeros((500, 2), np.float32)
    for axis in (2, -3, (0, 2), (0, 0)):
        with pytest.raises((AxisError, ValueError)):
            reductions.total(x, axis)


# Repeated indices.

ROWS = 3000


def test_repeated_indices_are_added_accurately():
    places = rng().integers(-3, 3, ROWS)
    keys = {
        (3,): places,
        (3, 4): places,
        (3, 2, 4): (places, slice(None), slice(None)),
        (5, 3, 4): (1, places),
        (2, 3): (slice(None), places),
        (3, 5): (places, rng(1).integers(0, 5, ROWS)),
        (3, 2, 5): (places, slice(None), rng(1).integers(0, 5, ROWS)),
        (3, 6): (..., places[None], np.array([[2], [4]])),
    }
    for shape, key in keys.items():
        size = np.zeros(shape)[key].shape
        for x in (np.full(size, 0.1, np.float32), rng(2).random(size, np.float32)):
            expected = np.zeros(shape)
            np.add.at(expected, key, x.astype(np.float64))
            found = reductions.add_at(x, key, shape)
            assert found.dtype == np.float32
            np.testing.assert_allclose(found, expected, rtol=1e-7)
            half = reductions.add_at(x.astype(np.float16), key, shape)
            np.testing.assert_allclose(half, expected, rtol=2e-3)


@pytest.mark.parametrize("count", [7, 300, 70_000])
def test_sums_of_rows_with_repeated_indices_are_exact(count):
    """Sorting uses integers of 8, 16 or 32 bits, depending on the number of rows."""
    places = rng().integers(-count, count, 400)
    places[:5] = places[5]
    x = rng(1).random((400, 3), np.float32)
    expected = np.zeros((count, 3))
    np.add.at(expected, places, x.astype(np.float64))
    np.testing.assert_array_equal(reductions.add_at(x, places, (count, 3)), np.float32(expected))


def test_entries_of_a_mask_are_written():
    x = np.arange(1.0, 4.0, dtype=np.float16)
    mask = np.array([[True, False], [True, True]])
    assert reductions.add_at(x, mask, (2, 2)).tolist() == [[1, 0], [2, 3]]
    assert reductions.add_at(x[:2], (np.array([True, False, True]), 1), (3, 2)).tolist() == [
        [0, 1],
        [0, 0],
        [0, 2],
    ]


def test_row_sums_and_dots_of_long_rows_are_accurate():
    rows = np.full((2, 500_000), 0.1, np.float32)
    exact = float(rows[0, 0]) * rows.shape[1]
    np.testing.assert_allclose(reductions.row_sums(rows), exact, rtol=2e-6)
    dots = reductions.row_dots(rows, rows)
    np.testing.assert_allclose(dots, exact * float(rows[0, 0]), rtol=2e-6)


def test_places_with_equal_low_bits_stay_apart():
    out = reductions.add_at(np.ones((400, 3), np.float32), np.tile([1, 65537], 200), (70_000, 3))
    assert out[[1, 65537]].tolist() == [[200.0] * 3] * 2
