"""Sums that are accurate along every axis.

NumPy uses pairwise summation along the axis that is contiguous in memory, but adds entries
sequentially along all others, where the error grows with their number: in float32, the sum of 60000
rows of 0.1 is off by 6e-4. Here at most 128 entries are added sequentially; longer axes are first
summed in parts. The error is that of pairwise summation, below 1e-6.
"""

import math
from typing import Any

import numpy as np

from tinygrad_np.kernels.elementwise import binary, in_parts
from tinygrad_np.runtime import memory
from tinygrad_np.runtime.memory import Array

Axes = int | tuple[int, ...] | None

_sum: Any = np.add.reduce
# Entries that are added sequentially, and running sums that are updated together, few enough to
# stay in the L1 cache. Summing (60000, 2) takes 0.012 ms where np.add.reduce takes 0.63 ms, and
# (60000, 128) takes 0.8 ms instead of 1.1 ms.
_PART, _WIDTH = 32, 2048
# Up to this many entries are not worth the 4 us that summing in parts costs.
_MOST = 4 * _PART
# The most entries that BLAS sums at a time; it keeps some 32 partial sums.
BLOCK = 4096


def total(x: Array, axis: Axes = None, keepdims: bool = False) -> Array:
    """Sum over axes: bools and integers in 64 bits; float16 is accumulated in float32."""
    if x.dtype == np.float16:
        return total(x.astype(np.float32), axis, keepdims).astype(x.dtype)
    if x.size > _MOST and x.dtype.kind == "f":
        if axis is None:
            is_in_pairs = x.flags.c_contiguous
        else:
            is_in_pairs = axis in (-1, x.ndim - 1) and x.strides[-1] == x.itemsize
        if not is_in_pairs:
            x = _shorten(x, axis)
    return np.asarray(_sum(x, axis, keepdims=keepdims))


def mean(x: Array, axis: Axes = None, keepdims: bool = False) -> Array:
    """Return the mean over axes, or nan for no entries; float16 is accumulated in float32.

    It is finite even where the sum overflows.
    """
    if x.dtype == np.float16:
        return mean(x.astype(np.float32), axis, keepdims).astype(x.dtype)
    with np.errstate(over="ignore"):
        summed = total(x, axis, keepdims)
    count = x.size // summed.size if summed.size else 0
    if not count:
        return np.full(summed.shape, np.nan, x.dtype)
    # For one number, math.isfinite takes 0.03 us and NumPy's 1.1 us.
    is_finite = np.isfinite(summed).all() if summed.ndim else math.isfinite(summed)
    return np.asarray(summed / count) if is_finite else total(x / count, axis, keepdims)


def center(x: Array, axis: Axes) -> Array:
    """Return x - mean(x), accurate for large means, and exactly 0 where all entries are equal.

    The differences to one entry lose no digits to a large mean.
    """
    if x.dtype == np.float16:
        return center(x.astype(np.float32), axis).astype(x.dtype)
    if not x.size:
        return x.copy()
    every = range(x.ndim) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    axes = {a % x.ndim for a in every if -x.ndim <= a < x.ndim}
    first = x[tuple([slice(0, 1) if a in axes else slice(None) for a in range(x.ndim)])]
    with np.errstate(over="ignore", invalid="ignore"):
        out = np.asarray(binary(np.subtract, x, first))
        shift = mean(out, axis, True)
        if x.dtype == np.float32 and not np.isfinite(shift).all():
            return center(x.astype(np.float64), axis).astype(x.dtype)
        in_parts(np.subtract, (out, shift), out, 0.2)
    return out


def _shorten(x: Array, axis: Axes) -> Array:
    """Sum parts of the axes to sum until at most `_MOST` entries are left to add sequentially."""
    every = range(x.ndim) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    shape = x.shape
    count = 1
    for a in every:
        count *= shape[a] if -x.ndim <= a < x.ndim else 0
    if count > _MOST:
        axes = {a % x.ndim for a in every}
        x = _merge(x, axes)
        slow = axes - _axes_in_pairs(x, axes)
        while math.prod([x.shape[a] for a in slow]) > _MOST:
            x = _sum_parts(x, max(slow, key=x.shape.__getitem__))
            slow = axes - _axes_in_pairs(x, axes)
    return x


def _merge(x: Array, axes: set[int]) -> Array:
    """Join neighbors among `axes` into the first of them where this is a view; keep all axes."""
    for a in sorted(axes, reverse=True):
        if a - 1 in axes and x.strides[a - 1] == x.strides[a] * x.shape[a]:
            shape = list(x.shape)
            shape[a - 1 : a + 1] = [shape[a - 1] * shape[a], 1]
            x = x.reshape(shape)
    return x


def _axes_in_pairs(x: Array, axes: set[int]) -> set[int]:
    """Return those of `axes` along which NumPy sums pairwise: innermost and adjacent in memory."""
    found: set[int] = set()
    order = sorted((abs(x.strides[a]), a) for a in range(x.ndim) if x.shape[a] > 1)
    expected = order[0][0]
    for _, a in order:
        if a not in axes or not x.strides[a] == expected > 0:  # not if reversed or repeated
            break
        found.add(a)
        expected *= x.shape[a]
    return found


def _sum_parts(x: Array, axis: int) -> Array:
    """Sum parts of `_PART` entries along `axis`, or the whole axis if it has at most `_MOST`."""
    n, lead, trail = x.shape[axis], x.shape[:axis], x.shape[axis + 1 :]
    before = (slice(None),) * axis
    width = max(1, _WIDTH // math.prod(trail))
    sums, start = [], 0
    while n > _MOST and n - start >= _PART:
        # Entries `step` apart are summed, so that neighbors are added to neighbors.
        step = min(width, (n - start) // _PART)
        count = (n - start) // (_PART * step)
        stop = start + count * _PART * step
        parts = x[(*before, slice(start, stop))].reshape(*lead, count, _PART, step, *trail)
        sums.append(np.add.reduce(parts, axis + 1).reshape(*lead, count * step, *trail))
        start = stop
    if start < n:
        sums.append(np.add.reduce(x[(*before, slice(start, n))], axis, keepdims=True))
    return sums[0] if len(sums) == 1 else np.concatenate(sums, axis)


# Rows of a matrix, with BLAS.


def row_sums(rows: Array) -> Array:
    """Return the sum of each row in float64: with BLAS in 0.4 of the time of np.add.reduce."""
    if not rows.flags.c_contiguous:
        return total(rows, 1).astype(np.float64)
    ones = np.ones(min(BLOCK, rows.shape[1]), rows.dtype)
    if rows.shape[1] <= BLOCK:
        return (rows @ ones).astype(np.float64)
    blocks, rest = _cut(rows)
    sums = np.vecdot(blocks, ones).sum(1, dtype=np.float64)
    return np.asarray(sums + rest @ ones[: rest.shape[1]])


def row_dots(a: Array, b: Array) -> Array:
    """Return the dot product of each row of a with the same row of b, in float64."""
    if not (a.flags.c_contiguous and b.flags.c_contiguous):
        # For inputs (N, C) the rows are strided, and BLAS is slow on strided vectors.
        return total(a * b, 1).astype(np.float64)
    if a.shape[1] <= BLOCK:
        return np.asarray(np.vecdot(a, b), np.float64)
    (blocks_a, rest_a), (blocks_b, rest_b) = _cut(a), _cut(b)
    dots = np.vecdot(blocks_a, blocks_b).sum(1, dtype=np.float64)
    return np.asarray(dots + np.vecdot(rest_a, rest_b))


def _cut(rows: Array) -> tuple[Array, Array]:
    """Return the rows as blocks of `BLOCK` entries, and the entries that are left."""
    count = rows.shape[1] // BLOCK
    end = count * BLOCK
    return rows[:, :end].reshape(len(rows), count, BLOCK), rows[:, end:]


# Repeated indices.


def add_at(x: Array, key: Any, shape: tuple[int, ...], repeats: int | None = None) -> Array:
    """Return zeros of `shape` with x added at `key`; repeated indices accumulate.

    No index occurs more than `repeats` times, if given. `np.add.at` adds entries sequentially;
    float16, and many entries of float32, are summed in float64 instead. For rows, that is also
    faster: with 4096 rows of 64 entries and a table of 50000 rows, it takes 0.25 of the time.
    """
    is_wide = x.dtype.kind != "f" or x.dtype.itemsize > 4
    if is_wide or (x.dtype != np.float16 and (x.size if repeats is None else repeats) <= _MOST):
        out = np.zeros(shape, x.dtype)
        np.add.at(out, key, x)
        return out
    if isinstance(key, np.ndarray) and key.dtype.kind == "b":
        out = np.zeros(shape, x.dtype)
        out[key] = x  # a mask repeats no index
        return out
    lead, key = _indexed_axes(key, shape)
    width = max(1, math.prod(shape[lead:]))
    count = math.prod(shape[:lead])
    if lead == 1 and len(key) == 1 and np.asarray(key[0]).dtype.kind in "iu":
        places = np.asarray(key[0], np.int64).reshape(-1)  # small dtypes may not hold `count`
        places = np.where(places < 0, places + count, places)
    else:
        places = np.arange(count).reshape(shape[:lead])[key].reshape(-1)
    if width == 1:
        return np.bincount(places, x.reshape(-1), count).astype(x.dtype).reshape(shape)
    out = memory.empty((count, width), x.dtype)
    out.fill(0)
    _add_rows(x.reshape(-1, width), places, out)
    return out.reshape(shape)


def _add_rows(x: Array, places: Array, out: Array) -> None:
    """Set out[places] to the rows of x, after summing rows with the same place in float64."""
    # NumPy sorts 16-bit integers by radix: 4096 of them in 0.01 ms instead of 0.12 ms.
    order = np.argsort(places.astype(np.min_scalar_type(len(out))), kind="stable")
    places = places[order]
    is_first = np.ones(len(places), bool)
    np.not_equal(places[1:], places[:-1], out=is_first[1:])
    is_last = np.ones(len(places), bool)
    is_last[:-1] = is_first[1:]
    is_single = is_first & is_last
    out[places[is_single]] = x.take(order[is_single], 0)
    is_repeated = ~is_single
    starts = np.flatnonzero(is_first[is_repeated])
    if len(starts):
        rows = x.take(order[is_repeated], 0).astype(np.float64)
        out[places[is_repeated][starts]] = np.add.reduceat(rows, starts, axis=0)


def _indexed_axes(key: Any, shape: tuple[int, ...]) -> tuple[int, Any]:
    """Return the number of leading axes that `key` indexes, and the key for these axes alone.

    All axes count as indexed if the key has slices or new axes between or before index arrays.
    """
    parts = list(key) if isinstance(key, tuple) else [key]
    while parts[-1] is Ellipsis or (isinstance(parts[-1], slice) and parts[-1] == slice(None)):
        parts.pop()
    if not all(isinstance(part, int | np.integer | np.ndarray) for part in parts):
        return len(shape), key
    masks = [part.dtype.kind == "b" if isinstance(part, np.ndarray) else False for part in parts]
    ranks = [np.ndim(part) if is_mask else 1 for part, is_mask in zip(parts, masks, strict=True)]
    return sum(ranks), tuple(parts)
