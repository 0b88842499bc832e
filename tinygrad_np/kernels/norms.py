"""Batch normalization over the rows of a matrix (C, H W N), one row per channel.

Rows are processed a few at a time, so that they stay in the cache from one pass to the next.
"""

from collections.abc import Callable, Sequence

import numpy as np

from tinygrad_np.kernels.windows import batch_first, channel_rows
from tinygrad_np.runtime import memory, threads
from tinygrad_np.runtime.memory import Array

# Bytes of x processed at a time, approximately.
_PIECE = 1 << 20


def moments(x: Array) -> Array:
    """Return mean and biased variance of each channel as (2, C), at least in float32.

    Both are 0 if there are no entries.
    """
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
    """Return (x - mean) / deviation * weight + bias, and the statistics that its gradients need.

    The statistics are mean and 1 / deviation of each channel, (2, C). `known` is `moments(x)`, if
    already computed.
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
    """Return the wanted gradients of x, weight and bias.

    With y the normalized x and g its gradient, the gradient of x is
    (g - mean(g) - y * mean(g * y)) / deviation, which includes the paths through mean and variance.
    """
    of_x, of_weight, of_bias = (*wanted, False, False)[:3]
    rows, grads = channel_rows(_wide(x)), channel_rows(_wide(grad_out))
    mean, inverse = statistics
    scale = inverse if weight is None else inverse * _wide(weight)
    count = max(1, rows.shape[1])
    ones = np.ones(rows.shape[1], rows.dtype)  # BLAS sums 32 rows of 50176 in 0.4 of the time
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
    return [*found, None][: len(wanted)]  # no gradient for the moments


def _by_rows(piece: Callable[[slice], None], rows: Array, cost: float) -> None:
    """Call `piece` on a few rows at a time; `cost` is in ns per entry."""
    step = max(1, _PIECE // max(1, rows.itemsize * rows.shape[1]))

    def part(where: slice) -> None:
        for start in range(where.start, where.stop, step):
            piece(slice(start, min(start + step, where.stop)))

    threads.each(part, len(rows), cost * rows.size, uses_blas=True)


def _center(rows: Array, mean: Array) -> Array:
    return np.subtract(rows, mean[:, None], out=_empty(rows))


def _dots(a: Array, b: Array) -> Array:
    """Return the dot product of each row of a with the same row of b."""
    if a.flags.c_contiguous and b.flags.c_contiguous:
        return np.asarray(np.vecdot(a, b))
    # For inputs (N, C) the rows are strided, and BLAS is slow on strided vectors.
    return np.asarray(np.einsum("cn,cn->c", a, b))


def _wide(x: Array) -> Array:
    """Return x as float32 if it is float16, which would overflow when squared, or an integer."""
    is_wide = x.dtype.kind == "f" and x.dtype != np.float16
    return x if is_wide else x.astype(np.float32)


def _empty(rows: Array) -> Array:
    return memory.empty(rows.shape, rows.dtype, like=rows)


def _images(rows: Array, like: Array) -> Array:
    """Return the rows of channels in the shape and dtype of `like`."""
    rows = rows.astype(like.dtype, copy=False)
    if like.ndim == 2:
        return rows.T
    return batch_first(rows.reshape(*like.shape[1:], len(like)))
