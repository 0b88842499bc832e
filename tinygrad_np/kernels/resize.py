"""Resampling along one axis: each entry of the result is a weighted sum of a few entries of x.

The weights are a sparse matrix (out, in), stored as rows, columns and values, row by row. The
gradient uses its transpose, which is the same list sorted by column.
"""

import functools

import numpy as np

from tinygrad_np.runtime import memory
from tinygrad_np.runtime.memory import Array


def resample(x: Array, axis: int, rule: str, lengths: tuple[int, int], transposed: bool) -> Array:
    """Resample x along `axis` from lengths[0] to lengths[1] entries with the weights of `rule`.

    With `transposed`, multiply by the transpose of the weights. Integers are rounded, halves up.
    """
    rows, columns, weights = _weights(rule, *lengths)
    if rule in _NEAREST and not transposed:
        return _taken(x, columns, axis)
    if transposed:
        order = np.argsort(columns, kind="stable")
        rows, columns, weights = columns[order], rows[order], weights[order]
    number = np.arange(len(rows)) - np.searchsorted(rows, rows)
    most = number.max() + 1
    dtype = x.dtype
    # Entries are added sequentially: float16, integers and long sums need more digits.
    wide = np.promote_types(dtype, np.float32) if dtype.kind == "f" else np.dtype(np.float32)
    x = x.astype(wide if most <= 128 else np.float64, copy=False)
    lead, trail = x.shape[:axis], x.shape[axis + 1 :]
    out = memory.empty((*lead, lengths[0 if transposed else 1], *trail), x.dtype)
    out.fill(0)
    # Apply the first weight of every row, then the second of every row, and so on.
    for n in range(most):
        chosen = number == n
        part = _taken(x, columns[chosen], axis)
        part *= weights[chosen].astype(x.dtype).reshape(-1, *(1,) * len(trail))
        where = slice(None) if part.shape == out.shape else rows[chosen]
        out[(*(slice(None),) * axis, where)] += part
    if dtype.kind != "f":
        np.floor(out + np.float32(0.5), out=out)
    return out.astype(dtype, copy=False)


def _taken(x: Array, places: Array, axis: int) -> Array:
    """Return the entries of x at `places` along `axis`."""
    out = memory.empty((*x.shape[:axis], len(places), *x.shape[axis + 1 :]), x.dtype)
    # Indices are in range; mode="clip" only skips NumPy's buffering of `out`.
    return np.take(x, places, axis, out=out, mode="clip")


def count_weights(rule: str, length: int, size: int) -> int:
    """Return the number of weights for resampling `length` entries to `size`."""
    return len(_weights(rule, length, size)[0])


_Weights = tuple[Array, Array, Array]


@functools.lru_cache(maxsize=64)
def _weights(rule: str, length: int, size: int) -> _Weights:
    """Return rows, columns and values of the weights from `length` entries to `size`."""
    if rule in _NEAREST:
        return _nearest(length, size, _NEAREST[rule])
    return _RULES[rule](length, size)


def _nearest(length: int, size: int, shift: float) -> _Weights:
    # Round to float32 in the same places as PyTorch; otherwise some indices would be off by one.
    scale = np.float32(length) / np.float32(size)
    places = ((np.arange(size) + shift) * scale).astype(np.float32)
    columns = np.minimum(places.astype(np.int64), length - 1)
    return np.arange(size), columns, np.ones(size)


def _linear(places: Array, length: int) -> _Weights:
    """Interpolate between the two entries around each sampling position."""
    left = np.minimum(places.astype(np.int64), length - 1)
    right = np.minimum(left + 1, length - 1)
    share = places - left
    columns = np.stack([left, right], axis=1).reshape(-1)
    return (
        np.repeat(np.arange(len(places)), 2),
        columns,
        np.stack([1 - share, share], axis=1).reshape(-1),
    )


def _pixels(length: int, size: int) -> _Weights:
    """Treat entries as pixel centers and align the outer edges of the pixels."""
    places = (np.arange(size) + 0.5) * (length / size) - 0.5
    return _linear(np.maximum(places, 0), length)


def _corners(length: int, size: int) -> _Weights:
    """Treat entries as points and align the first and the last of them."""
    return _linear(np.arange(size) * ((length - 1) / max(1, size - 1)), length)


def _mean(length: int, size: int) -> _Weights:
    """Let entry p be the mean of x[floor(p length / size) : ceil((p + 1) length / size)]."""
    numbers = np.arange(size)
    starts, ends = numbers * length // size, -(-(numbers + 1) * length // size)
    counts = ends - starts
    rows = np.repeat(numbers, counts)
    columns = starts[rows] + np.arange(len(rows)) - (np.cumsum(counts) - counts)[rows]
    return rows, columns, 1 / counts[rows]


_NEAREST = {"nearest": 0.0, "nearest-exact": 0.5}
_RULES = {"linear": _pixels, "corners": _corners, "mean": _mean}
