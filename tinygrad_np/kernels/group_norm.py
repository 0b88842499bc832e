"""Normalization of images per sample and group of channels, and its gradients."""

import math
from collections.abc import Sequence

import numpy as np

from tinygrad_np.kernels.norm_rows import (
    BLAS_ROWS,
    LARGE,
    NEAR,
    NEAR_PRODUCTS,
    NEAR_ZERO,
    combine,
    each_piece,
    empty_like,
    pick,
    row_moments,
    scale_and_shift,
    subtract,
    widen,
    widen_large,
)
from tinygrad_np.kernels.reductions import row_dots, row_sums
from tinygrad_np.kernels.windows import batch_first, batch_last
from tinygrad_np.runtime.memory import Array


def group_norm(
    x: Array, weight: Array | None, bias: Array | None, num_groups: int, eps: float
) -> tuple[Array, Array]:
    """Return x normalized by group, scaled and shifted by channel, and the statistics.

    The statistics are mean and 1 / deviation of each sample and group, (2, N, G).
    """
    images = widen(x)
    mean, variance = _group_moments(images, num_groups)
    inverse = (variance + eps) ** -0.5
    planes = _Planes(widen_large(images, variance))
    near, rest = planes.center(mean, inverse, NEAR)
    factor = planes.by_channel(inverse) * (1 if weight is None else weight)
    scale = planes.spread(factor)
    shift = planes.spread((0 if bias is None else bias) - rest * factor)
    out = scale_and_shift(planes.entries, near, scale, shift)
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

    The formulas are those of `batch_norm_grads`, with means over a group.
    """
    mean, inverse = statistics
    planes = _Planes(widen_large(widen(x), inverse**-2.0))
    given = planes.entries
    grads = planes.like(widen(grad_out).astype(given.dtype, copy=False))
    near, rest = planes.center(mean, inverse, NEAR_PRODUCTS)
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
        out = combine(grads, factors, given, near, slopes, levels, overwrite)
    found = [
        None if out is None else planes.restore(out, x),
        dots.sum(0).astype(x.dtype),
        sums.sum(0).astype(x.dtype),
    ]
    return pick(found, wanted)


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
        if ((squares <= NEAR_ZERO * found[1]) & (found[1] < LARGE)).all():
            return found
    return row_moments(np.ascontiguousarray(x).reshape(like.size, -1)).reshape(2, *like.shape)


class _Planes:
    """Images (N, C, ...) as planes of L entries, one per sample and channel, in their memory order.

    Attributes:
        entries: (C, L / t, t N) with t = `repeats` if the batch is last in memory, otherwise
            (N C, 1, L).
    """

    def __init__(self, x: Array) -> None:
        self.batch, self.channels = x.shape[:2]
        self.size = x.size
        moved = x.transpose(*range(1, x.ndim), 0)
        self.is_batch_last = bool(x.size) and x.ndim > 2 and moved.flags.c_contiguous
        length = math.prod(x.shape[2:])
        # Each sample's factor is repeated: broadcasting along runs as short as the batch is slow.
        self.repeats = math.gcd(length, 32) if self.is_batch_last else length
        self.entries = self.like(x)

    def like(self, x: Array) -> Array:
        """Return x, which has the shape of the images, in the layout of `entries`."""
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
        """Return values (N, C) in the dtype of `entries` and in a shape that broadcasts to them."""
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
                given = np.multiply(given, subtract(b, near, part), out=empty_like(given))
            if self.is_batch_last:
                found[part] = _middle_sums(given.reshape(len(given), -1, self.batch))
            elif b is None:
                found[part, 0] = row_sums(given[:, 0])
            else:
                found[part, 0] = row_dots(given[:, 0], subtract(b, near, part)[:, 0])

        each_piece(piece, a, 0.2)
        return found.T if self.is_batch_last else found.reshape(self.batch, self.channels)

    def by_group(self, values: Array, like: Array) -> Array:
        """Return the sums of values (N, C) over the channels of each group of `like` (N, G)."""
        size = self.channels // max(1, like.shape[1])
        return np.asarray(values.reshape(*like.shape, size).sum(-1))

    def by_channel(self, values: Array) -> Array:
        """Repeat values (N, G) for each channel of a group: (N, C)."""
        return np.repeat(values, self.channels // max(1, values.shape[1]), axis=1)

    def center(self, mean: Array, inverse: Array, most: float) -> tuple[Array | None, Array]:
        """Split means (N, G) as `center` does, and return the remainders per channel, (N, C)."""
        if (np.abs(mean) * inverse <= most).all():
            return None, self.by_channel(mean)
        near = mean.astype(self.entries.dtype)
        return self.spread(self.by_channel(near)), self.by_channel(mean - near)


def _middle_sums(x: Array) -> Array:
    """Sum x (C, L, N) over L, in float64.

    BLAS sums parts in float32. They are 4 times as long as in `_sum_rows`, because BLAS adds 4
    terms at a time in a product with a vector, unlike in one with a matrix.
    """
    found, step = np.zeros((x.shape[0], x.shape[2])), 4 * BLAS_ROWS
    ones = np.ones((1, min(step, x.shape[1])), x.dtype)
    for start in range(0, x.shape[1], step):
        part = x[:, start : start + step]
        found += (ones[:, : part.shape[1]] @ part)[:, 0]
    return found
