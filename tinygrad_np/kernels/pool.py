"""Pooling by walking over the positions within a window, each a strided slice of the whole image.

x has shape (N, C, *H) in any memory order, which results keep; axes in comments are for two
dimensions. A window position is a number from 0 to R S - 1, row by row.
"""

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from tinygrad_np import memory
from tinygrad_np.kernels.conv import out_size
from tinygrad_np.kernels.elementwise import select
from tinygrad_np.memory import Array

Sizes = Sequence[int]


def max_pool(x: Array, kernel: Sizes, stride: Sizes, padding: Sizes) -> tuple[Array, Array]:
    """Return the maximum of each window and the position of its first winner."""
    padded = _padded(x, padding, _lowest(x.dtype))
    sizes = _sizes(x.shape, kernel, stride, padding)
    winner_type = np.uint8 if math.prod(kernel) <= 256 else np.uint32
    first, *others = _positions(kernel, stride, sizes)
    out = memory.empty(padded[first].shape, x.dtype, like=padded[first])
    np.copyto(out, padded[first])
    winners = memory.empty(out.shape, winner_type, like=out)
    winners.fill(0)
    started = _inside(x.shape[2:], sizes, stride, padding, first)
    for position, where in enumerate(others, start=1):
        values = padded[where]
        better = np.greater(values, out)
        if x.dtype.kind == "f":
            better |= np.isnan(values)
        if any(padding):
            # A window of nothing but -inf is still won by an entry of the image, not of its border.
            inside = _inside(x.shape[2:], sizes, stride, padding, where)
            better |= inside & ~started
            started = started | inside
        np.maximum(out, values, out=out)
        # Positions only grow, so the later of two winners is the larger number.
        np.maximum(winners, np.multiply(better, winner_type(position)), out=winners)
    return out, winners


def max_pool_grad(
    grad_out: Array,
    winners: Array,
    input_shape: Sizes,
    kernel: Sizes,
    stride: Sizes,
    padding: Sizes,
) -> Array:
    """Scatter grad_out to the winners: the transpose of `max_pool_gather`."""
    overlap = any(st < r for st, r in zip(stride, kernel, strict=True))
    grad, inner = _canvas(grad_out.dtype, winners, input_shape, padding)
    for position, where in enumerate(_positions(kernel, stride, grad_out.shape[2:])):
        mask = np.equal(winners, position)
        if overlap:
            grad[where] += select(grad_out, mask)
        else:
            select(grad_out, mask, out=grad[where])
    return grad[inner]


def max_pool_gather(
    values: Array, winners: Array, kernel: Sizes, stride: Sizes, padding: Sizes
) -> Array:
    """Return from each window of `values` the entry at the winner's position."""
    padded = _padded(values, padding, 0)
    out = memory.empty(winners.shape, values.dtype, like=winners)
    out.fill(0)
    for position, where in enumerate(_positions(kernel, stride, winners.shape[2:])):
        np.add(out, select(padded[where], np.equal(winners, position)), out=out)
    return out


def avg_pool(x: Array, kernel: Sizes, stride: Sizes, padding: Sizes) -> Array:
    """Return the mean of each window; zeros of the border count, as in PyTorch's default."""
    padded = _padded(x, padding, 0)
    sizes = _sizes(x.shape, kernel, stride, padding)
    # float16 is summed in float32.
    wide = np.float32 if x.dtype == np.float16 else x.dtype
    out = memory.empty((*x.shape[:2], *sizes), wide, like=x)
    out.fill(0)
    for where in _positions(kernel, stride, sizes):
        np.add(out, padded[where], out=out)
    out *= out.dtype.type(1 / math.prod(kernel))
    return out.astype(x.dtype, copy=False)


def avg_pool_grad(
    grad_out: Array, input_shape: Sizes, kernel: Sizes, stride: Sizes, padding: Sizes
) -> Array:
    """Spread grad_out evenly over each window: the transpose of `avg_pool`."""
    grad, inner = _canvas(grad_out.dtype, grad_out, input_shape, padding)
    share = grad_out * grad_out.dtype.type(1 / math.prod(kernel))
    for where in _positions(kernel, stride, grad_out.shape[2:]):
        grad[where] += share
    return grad[inner]


def _sizes(shape: Sizes, kernel: Sizes, stride: Sizes, padding: Sizes) -> tuple[int, ...]:
    return tuple(
        out_size(length, r, st, p, 1)
        for length, r, st, p in zip(shape[2:], kernel, stride, padding, strict=True)
    )


def _positions(kernel: Sizes, stride: Sizes, sizes: Sizes) -> Iterator[tuple[slice, ...]]:
    """Yield for each position within a window the slices that pick it from all windows."""
    for offsets in itertools.product(*map(range, kernel)):
        yield (
            slice(None),
            slice(None),
            *(
                slice(offset, offset + st * (size - 1) + 1, st)
                for offset, st, size in zip(offsets, stride, sizes, strict=True)
            ),
        )


def _padded(x: Array, padding: Sizes, value: float) -> Array:
    if not any(padding):
        return x
    lengths = [length + 2 * p for length, p in zip(x.shape[2:], padding, strict=True)]
    out = memory.empty((*x.shape[:2], *lengths), x.dtype, like=x)
    out.fill(value)
    out[_inner(x.shape[2:], padding)] = x
    return out


def _canvas(
    dtype: Any, like: Array, input_shape: Sizes, padding: Sizes
) -> tuple[Array, tuple[slice, ...]]:
    """Return zeros for the gradient of the padded input, and the slices of the input within."""
    lengths = [length + 2 * p for length, p in zip(input_shape[2:], padding, strict=True)]
    grad = memory.empty((*input_shape[:2], *lengths), dtype, like)
    grad.fill(0)
    return grad, _inner(input_shape[2:], padding)


def _inner(lengths: Sizes, padding: Sizes) -> tuple[slice, ...]:
    inside = (slice(p, p + length) for length, p in zip(lengths, padding, strict=True))
    return (slice(None), slice(None), *inside)


def _inside(
    lengths: Sizes, sizes: Sizes, stride: Sizes, padding: Sizes, where: tuple[slice, ...]
) -> Array:
    """Return (P, Q): whether each window's entry at one position lies in the unpadded image."""
    inside = np.ones((), bool)
    for length, size, st, p, part in zip(lengths, sizes, stride, padding, where[2:], strict=True):
        at = part.start + st * np.arange(size) - p
        inside = inside[..., None] & ((at >= 0) & (at < length))
    return inside


def _lowest(dtype: np.dtype[Any]) -> float:
    if dtype.kind == "f":
        return -np.inf
    return False if dtype.kind == "b" else np.iinfo(dtype).min
