"""What the kernels of all norms share: statistics of rows, and passes over a few rows at a time.

The mean and the variance of each row are float64, computed from the sums of its entries and of
their squares. If the mean is large compared with the standard deviation, digits would cancel. The
sums are then taken over differences from the first entry of the row, which lose no digits and are 0
if all entries are equal.
"""

import itertools
from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np

from tinygrad_np.kernels.reductions import row_dots, row_sums
from tinygrad_np.runtime import memory, threads
from tinygrad_np.runtime.memory import Array

T = TypeVar("T")

# Bytes of x processed at a time, approximately.
_PIECE = 1 << 20
# Rows that BLAS sums in float32 at a time. For (4096, 256), 128 would save 3 % of the time of the
# gradients and double the error of those of weight and bias.
BLAS_ROWS = 32
# Largest mean² / variance for sums of the entries, and of their differences from the first one.
NEAR_ZERO, _NEAR_FIRST = 4, 30
# Means of at most _NEAR deviations are not subtracted before scaling: the error is 1e-6. Before
# sums of products, means of more than _NEAR_PRODUCTS deviations are subtracted.
NEAR, NEAR_PRODUCTS = 16, 1
# Rows with a larger variance are processed in float64: squares might overflow in float32.
LARGE = 1e30


def row_moments(rows: Array) -> Array:
    """Return mean and variance of each row, (2, N), in float64; both are 0 for empty rows."""
    with np.errstate(over="ignore", invalid="ignore"):
        found, squares = _moments_about(rows, None)
        for most in (NEAR_ZERO, _NEAR_FIRST):
            if widen_large(rows, found[1]) is not rows:
                return row_moments(rows.astype(np.float64))
            is_far = ~(squares <= most * found[1])
            if not is_far.any():
                break
            far = rows if is_far.all() else rows[is_far]
            # Where the first entry is far from all others, the differences are from the mean.
            pivot = far[:, :1] if most == NEAR_ZERO else as_column(found[0, is_far], rows)
            found[:, is_far], squares[is_far] = _moments_about(far, pivot)
    np.maximum(found[1], 0, out=found[1])
    return found


def _moments_about(rows: Array, pivot: Array | None) -> tuple[Array, Array]:
    """Return mean and variance of each row from differences to a pivot, and (mean - pivot)²."""
    found = np.zeros((2, len(rows)))

    def piece(part: slice) -> None:
        given = subtract(rows, pivot, part)
        found[:, part] = row_sums(given), row_dots(given, given)

    each_piece(piece, rows, 0.2)
    found /= max(1, rows.shape[1])
    squares = found[0] ** 2
    found[1] -= squares
    if pivot is not None:
        found[0] += pivot[:, 0]
    return found, squares


def center(rows: Array, mean: Array, inverse: Array, most: float) -> tuple[Array | None, Array]:
    """Return the means rounded to the dtype of the rows, to subtract, and the remainders.

    Nothing is subtracted if all means are within `most` deviations of 0.
    """
    if (np.abs(mean) * inverse <= most).all():
        return None, mean
    near = as_column(mean, rows)
    return near, mean - near[:, 0]


def subtract(rows: Array, near: Array | None, part: slice) -> Array:
    """Return a part of the rows, after subtracting the rounded means `near`, if given."""
    given = rows[part]
    return given if near is None else np.subtract(given, near[part], out=empty_like(given))


def widen_large(rows: Array, variance: Array) -> Array:
    """Return float32 rows as float64 if squares of their centered entries might overflow."""
    is_large = rows.dtype == np.float32 and not (variance < LARGE).all()
    return rows.astype(np.float64) if is_large else rows


def scale_and_shift(rows: Array, near: Array | None, scale: Array, shift: Array) -> Array:
    """Return (rows - near) * scale + shift."""
    out = empty_like(rows)

    def piece(part: slice) -> None:
        np.multiply(subtract(rows, near, part), scale[part], out=out[part])
        np.add(out[part], shift[part], out=out[part])

    each_piece(piece, rows, 0.2)
    return out


def combine(
    grads: Array,
    factor: Array,
    rows: Array,
    near: Array | None,
    slope: Array,
    level: Array,
    overwrite: bool,
) -> Array:
    """Return grads * factor + (rows - near) * slope + level, which may overwrite grads."""
    out = grads if overwrite else empty_like(rows)

    def piece(part: slice) -> None:
        spare = empty_like(rows[part])
        np.multiply(subtract(rows, near, part), slope[part], out=spare)
        np.add(spare, level[part], out=spare)
        np.multiply(grads[part], factor[part], out=out[part])
        np.add(out[part], spare, out=out[part])

    each_piece(piece, rows, 0.4)
    return out


def pick(grads: Sequence[Array | None], wanted: Sequence[bool]) -> list[Array | None]:
    """Return the wanted gradients, and None in place of the others."""
    return [grad if is_wanted else None for grad, is_wanted in zip(grads, wanted, strict=False)]


def each_piece(piece: Callable[[slice], T], rows: Array, cost: float) -> list[T]:
    """Return `piece(part)` for a few rows at a time, in order; `cost` is in ns per entry."""
    if not rows.size:
        return []
    step = max(1, _PIECE * len(rows) // rows.nbytes)

    def part(where: slice) -> list[T]:
        starts = range(where.start, where.stop, step)
        return [piece(slice(start, min(start + step, where.stop))) for start in starts]

    parts = threads.each(part, len(rows), cost * rows.size, uses_blas=True)
    return list(itertools.chain.from_iterable(parts))


def widen(x: Array) -> Array:
    """Return x as float32 if it is float16, which would overflow when squared, or an integer."""
    is_wide = x.dtype.kind == "f" and x.dtype != np.float16
    return x if is_wide else x.astype(np.float32)


def empty_like(rows: Array) -> Array:
    """Return an empty array from the buffer pool, in the memory order of rows."""
    return memory.empty(rows.shape, rows.dtype, like=rows)


def as_column(values: Array, like: Array) -> Array:
    """Return one value per row as a column, in the dtype of `like`."""
    return values.astype(like.dtype)[:, None]
