"""Normalization of the rows of a matrix to mean 0 and variance 1.

In batch normalization a row is a channel, (C, H W N); in layer normalization it is a sample. Rows
are processed a few at a time, so that they stay in the cache from one pass to the next.

Means and variances are float64, with one of each per row. They are computed from the differences to
the first entry of the row, which are 0 if all entries are equal, and which lose no digits if the
entries are large but close to each other.
"""

from collections.abc import Callable, Sequence

import numpy as np

from tinygrad_np.kernels.reductions import row_dots, row_sums
from tinygrad_np.kernels.windows import batch_first, channel_rows
from tinygrad_np.runtime import memory, threads
from tinygrad_np.runtime.memory import Array

# Bytes of x processed at a time, approximately.
_PIECE = 1 << 20
# Means up to this many deviations need not be subtracted before scaling: the error is 1e-6.
_NEAR = 16
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
    found = _moments(rows) if known is None else known
    out, statistics = _normalize(rows, found, weight, bias, eps)
    return _images(out, x), statistics


def batch_norm_grads(
    grad_out: Array, x: Array, weight: Array | None, statistics: Array, wanted: Sequence[bool]
) -> list[Array | None]:
    """Return the wanted gradients of x, weight and bias."""
    of_x, of_weight, of_bias = (*wanted, False, False)[:3]
    rows, grads = channel_rows(_wide(x)), channel_rows(_wide(grad_out))
    out, dots, sums = _row_grads(grads, rows, weight, statistics, of_x, of_x or of_weight)
    found = [
        None if out is None else _images(out, x),
        dots.astype(x.dtype) if of_weight else None,
        sums.astype(x.dtype) if of_bias else None,
    ]
    return [*found, None][: len(wanted)]  # no gradient for the moments


def standardize(x: Array, eps: float) -> tuple[Array, Array]:
    """Return (x - mean) / deviation along the last axis, and the statistics of its rows."""
    rows = _last_rows(_wide(x))
    out, statistics = _normalize(rows, _moments(rows), None, None, eps)
    return out.astype(x.dtype, copy=False).reshape(x.shape), statistics


def standardize_grad(grad_out: Array, x: Array, statistics: Array) -> Array:
    """Return the gradient of `standardize`."""
    rows, grads = _last_rows(_wide(x)), _last_rows(_wide(grad_out))
    out, _, _ = _row_grads(grads, rows, None, statistics, of_x=True, has_dots=True)
    return np.asarray(out, x.dtype).reshape(x.shape)


def _moments(rows: Array, pivot: Array | None = None) -> Array:
    """Return mean and variance of each row, from the differences to `pivot`, one entry per row."""
    found = np.zeros((2, len(rows)))
    if not rows.size:
        return found
    near = rows[:, :1] if pivot is None else pivot

    def piece(part: slice) -> None:
        shifted = np.subtract(rows[part], near[part], out=_empty(rows[part]))
        found[0, part] = row_sums(shifted)
        found[1, part] = row_dots(shifted, shifted)

    with np.errstate(over="ignore", invalid="ignore"):
        _by_rows(piece, rows, 0.4)
        found /= rows.shape[1]
        mean, variance = found
        squares = mean * mean
        variance -= squares
        mean += near[:, 0]
        is_near = (squares <= 30 * variance) & (variance < _LARGE)
        if is_near.all():
            return found
        if not _is_exact(rows, variance):
            return _moments(rows.astype(np.float64))
        if pivot is None:  # the first entry is far from all others
            is_far = ~is_near
            found[:, is_far] = _moments(rows[is_far], _column(mean[is_far], rows))
    np.maximum(variance, 0, out=variance)
    return found


def _normalize(
    rows: Array, known: Array, weight: Array | None, bias: Array | None, eps: float
) -> tuple[Array, Array]:
    """Return the rows scaled to mean `bias` and deviation `weight`, and mean and 1 / deviation."""
    mean, variance = known
    inverse = (variance + eps) ** -0.5
    if not _is_exact(rows, variance):
        out, statistics = _normalize(rows.astype(np.float64), known, weight, bias, eps)
        return out.astype(rows.dtype), statistics
    factor = inverse if weight is None else inverse * weight
    near, rest = None, mean
    if (np.abs(mean) * inverse > _NEAR).any():
        near, rest = _split(mean, rows)
    offset = -rest * factor if bias is None else bias - rest * factor
    scale, shift, out = _column(factor, rows), _column(offset, rows), _empty(rows)

    def piece(part: slice) -> None:
        target = out[part]
        given = rows[part] if near is None else np.subtract(rows[part], near[part], out=target)
        np.multiply(given, scale[part], out=target)
        np.add(target, shift[part], out=target)

    _by_rows(piece, rows, 0.2)
    return out, np.stack([mean, inverse])


def _row_grads(
    grads: Array, rows: Array, weight: Array | None, statistics: Array, of_x: bool, has_dots: bool
) -> tuple[Array | None, Array, Array]:
    """Return the gradient of the rows, and the sums of g y and of g along each row.

    y is the normalized row and g its gradient. The gradient of the row is
    (g - mean(g) - y * mean(g * y)) / deviation, which includes the paths through mean and variance.
    """
    mean, inverse = statistics
    if not _is_exact(rows, inverse**-2.0):
        rows, grads = rows.astype(np.float64), grads.astype(np.float64)
    near, rest = _split(mean, rows)
    factor = inverse if weight is None else inverse * weight
    scale, count = _column(factor, rows), max(1, rows.shape[1])
    out = _empty(rows) if of_x else None
    sums, dots = (np.zeros(len(rows)) for _ in range(2))

    def piece(part: slice) -> None:
        given = grads[part]
        sums[part] = total = row_sums(given)
        if not has_dots:
            return
        centred = np.subtract(rows[part], near[part], out=_empty(given))
        dots[part] = products = (row_dots(given, centred) - rest[part] * total) * inverse[part]
        if out is not None:
            slope = products * inverse[part] * factor[part] / -count
            level = total * factor[part] / -count - rest[part] * slope
            np.multiply(centred, _column(slope, rows), out=centred)
            np.add(centred, _column(level, rows), out=centred)
            np.multiply(given, scale[part], out=out[part])
            np.add(out[part], centred, out=out[part])

    _by_rows(piece, rows, 0.8)
    return out, dots, sums


def _is_exact(rows: Array, variance: Array) -> bool:
    """Return whether the squares of the centered rows are far from overflowing."""
    return rows.dtype != np.float32 or bool((variance < _LARGE).all())


def _split(mean: Array, like: Array) -> tuple[Array, Array]:
    """Return the means rounded to the dtype of `like`, as a column, and the float64 remainders."""
    near = _column(mean, like)
    return near, mean - near[:, 0]


def _column(values: Array, like: Array) -> Array:
    return values.astype(like.dtype)[:, None]


def _by_rows(piece: Callable[[slice], None], rows: Array, cost: float) -> None:
    """Call `piece` on a few rows at a time; `cost` is in ns per entry."""
    step = max(1, _PIECE // max(1, rows.itemsize * rows.shape[1]))

    def part(where: slice) -> None:
        for start in range(where.start, where.stop, step):
            piece(slice(start, min(start + step, where.stop)))

    threads.each(part, len(rows), cost * rows.size, uses_blas=True)


def _wide(x: Array) -> Array:
    """Return x as float32 if it is float16, which would overflow when squared, or an integer."""
    is_wide = x.dtype.kind == "f" and x.dtype != np.float16
    return x if is_wide else x.astype(np.float32)


def _empty(rows: Array) -> Array:
    return memory.empty(rows.shape, rows.dtype, like=rows)


def _last_rows(x: Array) -> Array:
    """Return x (..., n) as a contiguous matrix (rows, n)."""
    return np.ascontiguousarray(x).reshape(-1, x.shape[-1]) if x.size else x.reshape(0, x.shape[-1])


def _images(rows: Array, like: Array) -> Array:
    """Return the rows of channels in the shape and dtype of `like`."""
    rows = rows.astype(like.dtype, copy=False)
    if like.ndim == 2:
        return rows.T
    return batch_first(rows.reshape(*like.shape[1:], len(like)))
