"""Batch norm. A channel is a row of a matrix (C, H W N), and all is done for a few rows at a time,
which stay in the cache from one pass to the next.
"""

from collections.abc import Callable, Sequence

import numpy as np

from tinygrad_np.kernels.windows import batch_first, channel_rows
from tinygrad_np.runtime import memory, threads
from tinygrad_np.runtime.memory import Array

# About how many bytes of x are worked on at once.
_PIECE = 1 << 20


def moments(x: Array) -> Array:
    """Mean and biased variance of each channel, (2, C); 0 of nothing. In float32 at least."""
    rows = channel_rows(_wide(x))
    count = max(1, rows.shape[1])
    found = np.empty((2, len(rows)), rows.dtype)

    def piece(channels: slice) -> None:
        mean = np.add.reduce(rows[channels], axis=1) / count
        centred = _center(rows[channels], mean)
        found[0, channels] = mean
        found[1, channels] = _dots(centred, centred) / count

    _by_rows(piece, rows, 0.4)
    return found


def batch_norm(
    x: Array, weight: Array | None, bias: Array | None, known: Array | None, eps: float
) -> tuple[Array, Array]:
    """Return (x - mean) / deviation * weight + bias, and what its gradients need: mean and
    1 / deviation of each channel, (2, C). `known` are the `moments` of x.
    """
    mean, variance = moments(x) if known is None else known
    inverse = (variance + eps) ** -0.5
    scale = inverse if weight is None else inverse * _wide(weight)
    shift = -mean * scale
    if bias is not None:
        shift += _wide(bias)
    rows = channel_rows(_wide(x))
    scale, shift = (factor.astype(rows.dtype)[:, None] for factor in (scale, shift))
    out = _empty(rows)

    def piece(channels: slice) -> None:
        target = out[channels]
        np.multiply(rows[channels], scale[channels], out=target)
        np.add(target, shift[channels], out=target)

    _by_rows(piece, rows, 0.2)
    return _images(out, x), np.stack([mean, inverse]).astype(rows.dtype)


def batch_norm_grads(
    grad_out: Array, x: Array, weight: Array | None, statistics: Array, wanted: Sequence[bool]
) -> list[Array | None]:
    """The gradients for x, weight and bias, those that are wanted.

    That for x is, with g the gradient for the normalised x, (g - mean of g - normalised x *
    mean of (g * normalised x)) / deviation: what comes by way of mean and variance is in it.
    """
    of_x, of_weight, of_bias = (*wanted, False, False)[:3]
    rows, grads = channel_rows(_wide(x)), channel_rows(_wide(grad_out))
    mean, inverse = statistics
    scale = inverse if weight is None else inverse * _wide(weight)
    count = max(1, rows.shape[1])
    ones = np.ones(rows.shape[1], rows.dtype)  # BLAS sums in half of the time
    out = _empty(rows) if of_x else None
    sums, dots = (np.zeros(len(rows), rows.dtype) for _ in range(2))

    def piece(channels: slice) -> None:
        given, factor = grads[channels], scale[channels, None]
        sums[channels] = given @ ones
        if not (of_x or of_weight):
            return
        centred = _center(rows[channels], mean[channels])
        dots[channels] = _dots(given, centred) * inverse[channels]
        if out is not None:
            slope = dots[channels] * inverse[channels] / -count
            level = sums[channels] / -count
            np.multiply(centred, slope[:, None] * factor, out=centred)
            np.add(centred, level[:, None] * factor, out=centred)
            np.multiply(given, factor, out=out[channels])
            np.add(out[channels], centred, out=out[channels])

    _by_rows(piece, rows, 0.8)
    found = [
        None if out is None else _images(out, x),
        dots.astype(x.dtype, copy=False) if of_weight else None,
        sums.astype(x.dtype, copy=False) if of_bias else None,
    ]
    return [*found, None][: len(wanted)]  # the moments have no gradient


def _by_rows(piece: Callable[[slice], None], rows: Array, cost: float) -> None:
    """Call `piece` for few rows at a time; `cost` is in ns an entry."""
    step = max(1, _PIECE // max(1, rows.itemsize * rows.shape[1]))

    def part(where: slice) -> None:
        for start in range(where.start, where.stop, step):
            piece(slice(start, min(start + step, where.stop)))

    threads.each(part, len(rows), cost * rows.size, uses_blas=True)


def _center(rows: Array, mean: Array) -> Array:
    return np.subtract(rows, mean[:, None], out=_empty(rows))


def _dots(a: Array, b: Array) -> Array:
    """Return the products of rows with rows."""
    if a.flags.c_contiguous and b.flags.c_contiguous:
        return np.asarray(np.vecdot(a, b))
    # Of vectors (N, C), whose channels are columns: BLAS is slow with steps.
    return np.asarray(np.einsum("cn,cn->c", a, b))


def _wide(x: Array) -> Array:
    """Return x in float32 where it is in float16, whose squares overflow, or of integers."""
    is_wide = x.dtype.kind == "f" and x.dtype != np.float16
    return x if is_wide else x.astype(np.float32)


def _empty(rows: Array) -> Array:
    return memory.empty(rows.shape, rows.dtype, like=rows)


def _images(rows: Array, like: Array) -> Array:
    """Return rows of channels in the shape and dtype of `like`."""
    rows = rows.astype(like.dtype, copy=False)
    if like.ndim == 2:
        return rows.T
    return batch_first(rows.reshape(*like.shape[1:], len(like)))
