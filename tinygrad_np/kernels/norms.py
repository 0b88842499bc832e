"""Normalization to mean 0 and variance 1, and its gradients.

In batch normalization the statistics are those of a channel, a row of (C, H W N); in layer and RMS
normalization they are those of a sample, a row of (N, C); in group normalization they are those of
a sample and a group of channels. Rows are processed a few at a time, so that they stay in the cache
from one operation to the next.

Means and variances are float64, with one of each per row. They are computed from sums of entries
and squares. Where the mean is large compared with the deviation, these sums would cancel; they are
then taken over differences to the first entry of the row, which lose no digits and are 0 if all
entries are equal.
"""

import itertools
import math
from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np

from tinygrad_np.kernels.reductions import BLOCK, row_dots, row_sums
from tinygrad_np.kernels.windows import batch_first, batch_last, channel_rows
from tinygrad_np.runtime import memory, threads
from tinygrad_np.runtime.memory import Array

T = TypeVar("T")

# Bytes of x processed at a time, approximately.
_PIECE = 1 << 20
# Rows that BLAS sums in float32. For (4096, 256), 128 would save 3 % of the time of the gradients
# and double the error of those for weight and bias.
_ROWS = 32
# The largest mean² / variance for sums of the entries, and of their differences to the first one.
_NEAR_ZERO, _NEAR_FIRST = 4, 30
# Means up to this many deviations need not be subtracted before scaling: the error is 1e-6. Before
# sums of products are taken, they are subtracted from 1 deviation on.
_NEAR, _NEAR_PRODUCTS = 16, 1
# Rows with a larger variance are processed in float64: squares might overflow in float32.
_LARGE = 1e30


def moments(x: Array) -> Array:
    """Return mean and biased variance of each channel as (2, C), in float64.

    Both are 0 if there are no entries.
    """
    return _moments(channel_rows(_wide(x)))


def batch_norm(
    x: Array, weight: Array | None, bias: Array | None, known: Array | None, eps: float
) -> tuple[Array, Array]:
    """Return (x - mean) / deviation * weight + bias, and the statistics that its gradients need.

    The statistics are mean and 1 / deviation of each channel, (2, C). `known` is `moments(x)`, if
    already computed.
    """
    rows = channel_rows(_wide(x))
    mean, variance = _moments(rows) if known is None else known
    inverse = (variance + eps) ** -0.5
    rows = _exact(rows, variance)
    near, rest = _center(rows, mean, inverse, _NEAR)
    factor = inverse if weight is None else inverse * weight
    offset = -rest * factor if bias is None else bias - rest * factor
    scale, shift, out = _column(factor, rows), _column(offset, rows), _empty(rows)

    def piece(part: slice) -> None:
        np.multiply(_less(rows, near, part), scale[part], out=out[part])
        np.add(out[part], shift[part], out=out[part])

    _by_rows(piece, rows, 0.2)
    return _images(out, x), np.stack([mean, inverse])


def batch_norm_grads(
    grad_out: Array,
    x: Array,
    weight: Array | None,
    statistics: Array,
    wanted: Sequence[bool],
    overwrite: bool = False,
) -> list[Array | None]:
    """Return the wanted gradients of x, weight and bias; that of x may overwrite grad_out.

    With y = (x - mean) / deviation and g = grad_out * weight, the gradient of x is
    (g - mean(g) - y * mean(g * y)) / deviation, which includes the paths through mean and variance.
    Those of weight and bias are the sums of grad_out * y and of grad_out.
    """
    of_x, of_weight, of_bias = (*wanted, False, False)[:3]
    mean, inverse = statistics
    rows = _exact(channel_rows(_wide(x)), inverse**-2.0)
    grads = channel_rows(_wide(grad_out)).astype(rows.dtype, copy=False)
    near, rest = _center(rows, mean, inverse, _NEAR_PRODUCTS)
    sums, dots = np.zeros((2, len(rows)))

    def add_up(part: slice) -> None:
        sums[part] = row_sums(grads[part])
        if of_x or of_weight:
            dots[part] = row_dots(grads[part], _less(rows, near, part))

    _by_rows(add_up, rows, 0.2)
    dots = (dots - rest * sums) * inverse
    out = None
    if of_x:
        factor = inverse if weight is None else inverse * weight
        scale = _column(factor, rows)
        slope, level = _line(sums * factor, dots * factor, inverse, rest, rows)
        out = grads if overwrite else _empty(rows)

        def piece(part: slice) -> None:
            spare = _empty(rows[part])
            np.multiply(_less(rows, near, part), slope[part], out=spare)
            np.add(spare, level[part], out=spare)
            np.multiply(grads[part], scale[part], out=out[part])
            np.add(out[part], spare, out=out[part])

        _by_rows(piece, rows, 0.4)
    found = [
        None if out is None else _images(out, x),
        dots.astype(x.dtype) if of_weight else None,
        sums.astype(x.dtype) if of_bias else None,
    ]
    return [*found, None][: len(wanted)]  # no gradient for the moments


def layer_norm(
    x: Array, weight: Array | None, bias: Array | None, eps: float
) -> tuple[Array, Array]:
    """Return (x - mean) / deviation * weight + bias over the last axis, and the statistics.

    The statistics are mean and 1 / deviation of each row, (2, N).
    """
    rows = _last_rows(_wide(x))
    mean, variance = _moments(rows)
    inverse = (variance + eps) ** -0.5
    rows = _exact(rows, variance)
    near, rest = _center(rows, mean, inverse, _NEAR)
    scale = _outer(inverse, weight, None, rows)
    shift = _outer(-rest * inverse, weight, bias, rows)
    out = _empty(rows)

    def piece(part: slice) -> None:
        np.multiply(_less(rows, near, part), scale(part), out=out[part])
        np.add(out[part], shift(part), out=out[part])

    _by_rows(piece, rows, 0.4)
    return _as_given(out, x), np.stack([mean, inverse])


def layer_norm_grads(
    grad_out: Array,
    x: Array,
    weight: Array | None,
    statistics: Array,
    wanted: Sequence[bool],
    overwrite: bool = False,
) -> list[Array | None]:
    """Return the wanted gradients of x, weight and bias; that of x may overwrite grad_out.

    The formulas are those of `batch_norm_grads`, except that the means are over the entries of a
    row, and the sums for weight and bias over rows.
    """
    mean, inverse = statistics
    rows = _exact(_last_rows(_wide(x)), inverse**-2.0)
    grads = _last_rows(_wide(grad_out)).astype(rows.dtype, copy=False)
    near, rest = _center(rows, mean, inverse, _NEAR_PRODUCTS)
    of_products = inverse.astype(rows.dtype)[None]
    of_grads = np.stack([-rest * inverse, np.ones(len(rows))]).astype(rows.dtype)
    row = _as_row(weight, rows, 1)
    sums, dots = np.zeros((2, len(rows)))

    def add_up(part: slice) -> Array:
        products = _empty(rows[part])
        np.multiply(grads[part], _less(rows, near, part), out=products)
        if wanted[0]:
            sums[part], dots[part] = _row_products(grads[part], row), _row_products(products, row)
        found = _sum_rows(of_grads[:, part], grads[part])
        found[0] += _sum_rows(of_products[:, part], products)[0]
        return found

    of_rows = np.zeros((2, rows.shape[1]))
    for found in _by_rows(add_up, rows, 0.4):
        of_rows += found
    out = None
    if wanted[0]:
        scale = _outer(inverse, weight, None, rows)
        dots = (dots - rest * sums) * inverse
        slope, level = _line(sums * inverse, dots * inverse, inverse, rest, rows)
        out = grads if overwrite else _empty(rows)

        def piece(part: slice) -> None:
            spare = scale(part)
            np.multiply(grads[part], spare, out=out[part])
            np.multiply(_less(rows, near, part), slope[part], out=spare)
            np.add(spare, level[part], out=spare)
            np.add(out[part], spare, out=out[part])

        _by_rows(piece, rows, 0.4)
    grads_found = [None if out is None else _as_given(out, x), *of_rows.astype(x.dtype)]
    return [
        grad if is_wanted else None for grad, is_wanted in zip(grads_found, wanted, strict=False)
    ]


def rms_norm(x: Array, weight: Array | None, eps: float) -> tuple[Array, Array]:
    """Return x / √(mean(x²) + eps) * weight over the last axis, and the factor of each row."""
    rows = _last_rows(_wide(x))
    with np.errstate(over="ignore"):
        squares = _mean_squares(rows)
    if _exact(rows, squares) is not rows:
        rows = rows.astype(np.float64)
        squares = _mean_squares(rows)
    inverse = (squares + eps) ** -0.5
    scale, out = _outer(inverse, weight, None, rows), _empty(rows)

    def piece(part: slice) -> None:
        np.multiply(rows[part], scale(part), out=out[part])

    _by_rows(piece, rows, 0.2)
    return _as_given(out, x), inverse


def rms_norm_grads(
    grad_out: Array,
    x: Array,
    weight: Array | None,
    inverse: Array,
    wanted: Sequence[bool],
    overwrite: bool = False,
) -> list[Array | None]:
    """Return the wanted gradients of x and weight; that of x may overwrite grad_out.

    With y = x * inverse and g = grad_out * weight, the gradient of x is
    (g - y * mean(g * y)) * inverse; that of weight is the sum of grad_out * y over rows.
    """
    rows = _exact(_last_rows(_wide(x)), inverse**-2.0)
    grads = _last_rows(_wide(grad_out)).astype(rows.dtype, copy=False)
    of_products, row = inverse.astype(rows.dtype)[None], _as_row(weight, rows, 1)
    dots = np.zeros(len(rows))

    def add_up(part: slice) -> Array:
        products = np.multiply(grads[part], rows[part], out=_empty(rows[part]))
        dots[part] = _row_products(products, row)
        return _sum_rows(of_products[:, part], products)

    of_weight = np.zeros((1, rows.shape[1]))
    for found in _by_rows(add_up, rows, 0.2):
        of_weight += found
    out = None
    if wanted[0]:
        slope = _column(dots * inverse**3 / -max(1, rows.shape[1]), rows)
        scale, out = _outer(inverse, weight, None, rows), grads if overwrite else _empty(rows)

        def piece(part: slice) -> None:
            spare = scale(part)
            np.multiply(grads[part], spare, out=out[part])
            np.multiply(rows[part], slope[part], out=spare)
            np.add(out[part], spare, out=out[part])

        _by_rows(piece, rows, 0.4)
    return [
        None if out is None else _as_given(out, x),
        of_weight[0].astype(x.dtype) if wanted[-1] else None,
    ][: len(wanted)]


def _mean_squares(rows: Array) -> Array:
    found = np.zeros(len(rows))

    def piece(part: slice) -> None:
        found[part] = row_dots(rows[part], rows[part])

    _by_rows(piece, rows, 0.1)
    found /= max(1, rows.shape[1])
    return found


def group_norm(
    x: Array, weight: Array | None, bias: Array | None, num_groups: int, eps: float
) -> tuple[Array, Array]:
    """Return x normalized per sample and group, scaled and shifted per channel, and statistics.

    The statistics are mean and 1 / deviation of each sample and group, (2, N, G).
    """
    x_wide = _wide(x)
    mean, variance = _group_moments(x_wide, num_groups)
    inverse = (variance + eps) ** -0.5
    planes = _Planes(_exact(x_wide, variance))
    near, rest = planes.center(mean, inverse, _NEAR)
    factor = planes.by_channel(inverse) * (1 if weight is None else weight)
    scale = planes.spread(factor)
    shift = planes.spread((0 if bias is None else bias) - rest * factor)
    given, out = planes.entries, _empty(planes.entries)

    def piece(part: slice) -> None:
        np.multiply(_less(given, near, part), scale[part], out=out[part])
        np.add(out[part], shift[part], out=out[part])

    _by_rows(piece, given, 0.2)
    return planes.restore(out, x), np.stack([mean, inverse])


def group_norm_grads(
    grad_out: Array,
    x: Array,
    weight: Array | None,
    statistics: Array,
    wanted: Sequence[bool],
    overwrite: bool = False,
) -> list[Array | None]:
    """Return the wanted gradients of x, weight and bias; that of x may overwrite grad_out.

    The formulas are those of `batch_norm_grads`, except that the means are over a group.
    """
    mean, inverse = statistics
    planes = _Planes(_exact(_wide(x), inverse**-2.0))
    given = planes.entries
    grads = planes.like(_wide(grad_out).astype(given.dtype, copy=False))
    near, rest = planes.center(mean, inverse, _NEAR_PRODUCTS)
    of_channels = planes.by_channel(inverse)
    sums = planes.sums(grads)
    dots = (planes.sums(grads, given, near) - rest * sums) * of_channels
    out = None
    if wanted[0]:
        row = 1 if weight is None else weight
        total, product = (planes.by_group(found * row, mean) for found in (sums, dots))
        count = max(1, planes.size // max(1, mean.size))
        slope = -planes.by_channel(product * inverse**2 / count)
        level = -planes.by_channel(total * inverse / count) - rest * slope
        factors, slopes, levels = map(planes.spread, (of_channels * row, slope, level))
        out = grads if overwrite else _empty(given)

        def piece(part: slice) -> None:
            spare = _empty(given[part])
            np.multiply(_less(given, near, part), slopes[part], out=spare)
            np.add(spare, levels[part], out=spare)
            np.multiply(grads[part], factors[part], out=out[part])
            np.add(out[part], spare, out=out[part])

        _by_rows(piece, given, 0.4)
    found = [
        None if out is None else planes.restore(out, x),
        dots.sum(0).astype(x.dtype),
        sums.sum(0).astype(x.dtype),
    ]
    return [grad if is_wanted else None for grad, is_wanted in zip(found, wanted, strict=False)]


def _group_moments(x: Array, num_groups: int) -> Array:
    """Return mean and variance of each sample and group, (2, N, G), in float64."""
    planes = _Planes(x)
    like = np.empty((len(x), num_groups))
    with np.errstate(over="ignore", invalid="ignore"):
        found = np.stack(
            [
                planes.by_group(planes.sums(planes.entries), like),
                planes.by_group(planes.sums(planes.entries, planes.entries), like),
            ]
        )
        found /= max(1, planes.size // max(1, like.size))
        squares = found[0] ** 2
        found[1] -= squares
        if ((squares <= _NEAR_ZERO * found[1]) & (found[1] < _LARGE)).all():
            return found
    return _moments(np.ascontiguousarray(x).reshape(like.size, -1)).reshape(2, *like.shape)


class _Planes:
    """The images x (N, C, ...) as planes, one per sample and channel, in x's memory order.

    Attributes:
        entries: (C, L / t, t N) if the batch is last in memory, otherwise (N C, 1, L).
    """

    def __init__(self, x: Array) -> None:
        self.batch, self.channels = x.shape[:2]
        self.size = x.size
        moved = x.transpose(*range(1, x.ndim), 0)
        self.is_batch_last = bool(x.size) and x.ndim > 2 and moved.flags.c_contiguous
        length = math.prod(x.shape[2:])
        # Each number is repeated, because broadcasting it to runs as short as the batch is slow.
        self.repeats = math.gcd(length, 32) if self.is_batch_last else length
        self.entries = self.like(x)

    def like(self, x: Array) -> Array:
        """Return x, of the shape of the images, in the form of `entries`."""
        if self.is_batch_last:
            shape = self.channels, -1, self.repeats * self.batch
            return batch_last(x).reshape(shape)
        return np.ascontiguousarray(x).reshape(self.batch * self.channels, 1, self.repeats)

    def restore(self, entries: Array, like: Array) -> Array:
        """Return entries in the shape and dtype of the images."""
        entries = entries.astype(like.dtype, copy=False)
        if self.is_batch_last:
            return batch_first(entries.reshape(*like.shape[1:], len(like)))
        return entries.reshape(like.shape)

    def spread(self, values: Array) -> Array:
        """Return values (N, C) in the dtype of `entries`, to broadcast to them."""
        values = values.astype(self.entries.dtype)
        if self.is_batch_last:
            return np.tile(values.T, (1, self.repeats))[:, None]
        return values.reshape(-1, 1, 1)

    def sums(self, a: Array, b: Array | None = None, near: Array | None = None) -> Array:
        """Return the sum of each plane of a, or of a * (b - near), as (N, C) in float64."""
        found = np.zeros((len(a), self.batch if self.is_batch_last else 1))

        def piece(part: slice) -> None:
            given = a[part]
            if b is not None and self.is_batch_last:
                given = np.multiply(given, _less(b, near, part), out=_empty(given))
            if self.is_batch_last:
                found[part] = _middle_sums(given.reshape(len(given), -1, self.batch))
            elif b is None:
                found[part, 0] = row_sums(given[:, 0])
            else:
                found[part, 0] = row_dots(given[:, 0], _less(b, near, part)[:, 0])

        _by_rows(piece, a, 0.2)
        return found.T if self.is_batch_last else found.reshape(self.batch, self.channels)

    def by_group(self, values: Array, like: Array) -> Array:
        """Return the sums of values (N, C) over the channels of each group of `like` (N, G)."""
        size = self.channels // max(1, like.shape[1])
        return np.asarray(values.reshape(*like.shape, size).sum(-1))

    def by_channel(self, values: Array) -> Array:
        """Return values (N, G) for each channel, (N, C)."""
        return np.repeat(values, self.channels // max(1, values.shape[1]), axis=1)

    def center(self, mean: Array, inverse: Array, most: float) -> tuple[Array | None, Array]:
        """Do what `_center` does for means (N, G); the remainders are (N, C)."""
        if (np.abs(mean) * inverse <= most).all():
            return None, self.by_channel(mean)
        near = mean.astype(self.entries.dtype)
        return self.spread(self.by_channel(near)), self.by_channel(mean - near)


def _middle_sums(x: Array) -> Array:
    """Sum x (C, L, N) over L, in float64.

    BLAS sums parts in float32. In products with a vector, unlike a matrix, it adds 4 at a time.
    """
    found, step = np.zeros((x.shape[0], x.shape[2])), 4 * _ROWS
    ones = np.ones((1, min(step, x.shape[1])), x.dtype)
    for start in range(0, x.shape[1], step):
        part = x[:, start : start + step]
        found += (ones[:, : part.shape[1]] @ part)[:, 0]
    return found


def _moments(rows: Array) -> Array:
    """Return mean and variance of each row, (2, N), in float64; both are 0 for empty rows."""
    with np.errstate(over="ignore", invalid="ignore"):
        found, squares = _moments_about(rows, None)
        for most in (_NEAR_ZERO, _NEAR_FIRST):
            if _exact(rows, found[1]) is not rows:
                return _moments(rows.astype(np.float64))
            is_far = ~(squares <= most * found[1])
            if not is_far.any():
                break
            far = rows if is_far.all() else rows[is_far]
            # The mean serves rows whose first entry is far from all others.
            pivot = far[:, :1] if most == _NEAR_ZERO else _column(found[0, is_far], rows)
            found[:, is_far], squares[is_far] = _moments_about(far, pivot)
    np.maximum(found[1], 0, out=found[1])
    return found


def _moments_about(rows: Array, pivot: Array | None) -> tuple[Array, Array]:
    """Return mean and variance of each row, and (mean - pivot)², from differences to the pivot."""
    found = np.zeros((2, len(rows)))

    def piece(part: slice) -> None:
        given = _less(rows, pivot, part)
        found[:, part] = row_sums(given), row_dots(given, given)

    _by_rows(piece, rows, 0.2)
    found /= max(1, rows.shape[1])
    squares = found[0] ** 2
    found[1] -= squares
    if pivot is not None:
        found[0] += pivot[:, 0]
    return found, squares


def _line(
    sums: Array, dots: Array, inverse: Array, rest: Array, rows: Array
) -> tuple[Array, Array]:
    """Return slope and level of -(sums + y * dots) / n as a function of x, with y of mean 0."""
    slope = dots * inverse / -max(1, rows.shape[1])
    level = sums / -max(1, rows.shape[1]) - rest * slope
    return _column(slope, rows), _column(level, rows)


def _center(rows: Array, mean: Array, inverse: Array, most: float) -> tuple[Array | None, Array]:
    """Return the rounded means to subtract, and the remainders of the means.

    Nothing is subtracted if all means are within `most` deviations of 0.
    """
    if (np.abs(mean) * inverse <= most).all():
        return None, mean
    near = _column(mean, rows)
    return near, mean - near[:, 0]


def _less(rows: Array, near: Array | None, part: slice) -> Array:
    """Return a part of the rows less their means, if given."""
    return (
        rows[part] if near is None else np.subtract(rows[part], near[part], out=_empty(rows[part]))
    )


def _exact(rows: Array, variance: Array) -> Array:
    """Return float32 rows as float64 if squares of their centered entries might overflow."""
    is_large = rows.dtype == np.float32 and not (variance < _LARGE).all()
    return rows.astype(np.float64) if is_large else rows


def _outer(
    factor: Array, weight: Array | None, shift: Array | None, like: Array
) -> Callable[[slice], Array]:
    """Return a function that computes factor * weight + shift for a part of the rows.

    The product of a matrix of 2 columns with one of 2 rows takes half the time of broadcasting: for
    (128, 256), 2.7 us instead of 5.8.
    """
    left = np.ones((len(factor), 2), like.dtype)
    left[:, 0] = factor
    right = np.stack([_as_row(weight, like, 1), _as_row(shift, like, 0)])
    return lambda part: np.matmul(left[part], right, out=_empty(like[part]))


def _sum_rows(factors: Array, rows: Array) -> Array:
    """Return the sums of rows (R, n), multiplied by each of k factors (k, R), as (k, n) float64."""
    count, end = len(rows) // _ROWS, len(rows) // _ROWS * _ROWS
    blocks = rows[:end].reshape(count, _ROWS, rows.shape[1])
    by_block = factors[:, :end].reshape(len(factors), count, _ROWS).swapaxes(0, 1)
    found = (by_block @ blocks).sum(0, dtype=np.float64)
    return np.asarray(found + factors[:, end:] @ rows[end:])


def _row_products(rows: Array, vector: Array) -> Array:
    """Return the product of each row with a vector, in float64."""
    out = np.zeros(len(rows))
    for start in range(0, rows.shape[1], BLOCK):
        part = slice(start, start + BLOCK)
        out += rows[:, part] @ vector[part]
    return out


def _as_row(values: Array | None, like: Array, default: float) -> Array:
    """Return one value per entry of a row."""
    if values is None:
        return np.full(like.shape[1], default, like.dtype)
    return values.astype(like.dtype, copy=False)


def _column(values: Array, like: Array) -> Array:
    return values.astype(like.dtype)[:, None]


def _by_rows(piece: Callable[[slice], T], rows: Array, cost: float) -> list[T]:
    """Return `piece(part)` for a few rows at a time, in order; `cost` is in ns per entry."""
    if not rows.size:
        return []
    step = max(1, _PIECE * len(rows) // rows.nbytes)

    def part(where: slice) -> list[T]:
        starts = range(where.start, where.stop, step)
        return [piece(slice(start, min(start + step, where.stop))) for start in starts]

    parts = threads.each(part, len(rows), cost * rows.size, uses_blas=True)
    return list(itertools.chain.from_iterable(parts))


def _wide(x: Array) -> Array:
    """Return x as float32 if it is float16, which would overflow when squared, or an integer."""
    is_wide = x.dtype.kind == "f" and x.dtype != np.float16
    return x if is_wide else x.astype(np.float32)


def _empty(rows: Array) -> Array:
    return memory.empty(rows.shape, rows.dtype, like=rows)


def _last_rows(x: Array) -> Array:
    """Return x (..., n) as a contiguous matrix (rows, n)."""
    return np.ascontiguousarray(x).reshape(-1, x.shape[-1]) if x.size else x.reshape(0, x.shape[-1])


def _as_given(rows: Array, like: Array) -> Array:
    return rows.astype(like.dtype, copy=False).reshape(like.shape)


def _images(rows: Array, like: Array) -> Array:
    """Return the rows of channels in the shape and dtype of `like`."""
    rows = rows.astype(like.dtype, copy=False)
    if like.ndim == 2:
        return rows.T
    return batch_first(rows.reshape(*like.shape[1:], len(like)))
