"""Pooling by walking over the positions within a window, each a strided slice of the whole image.

x has shape (N, C, *H) in any memory order, which results keep; axes in comments are for two
dimensions. A window position is a number from 0 to R S - 1, row by row.
"""

import functools
import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from tinygrad_np import memory
from tinygrad_np.kernels.elementwise import select
from tinygrad_np.memory import Array

Sizes = Sequence[int]
Slices = tuple[slice, ...]


class Windows(NamedTuple):
    """Where the windows lie: along an axis, position r of window p is entry
    stride p + dilation r - before of the image, which padding (before, after) surrounds or crops;
    p is below `counts`."""

    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]
    dilation: tuple[int, ...]
    counts: tuple[int, ...]

    def __str__(self) -> str:
        return f"{self.kernel} every {self.stride}"

    def axes(self) -> Iterator[tuple[int, int, int, int, int]]:
        """Yield kernel, stride, padding before, dilation and count of each axis."""
        for kernel, stride, (before, _), dilation, count in zip(*self, strict=True):
            yield kernel, stride, before, dilation, count


def max_pool(x: Array, windows: Windows) -> tuple[Array, Array]:
    """Return the maximum of each window and the position of its first winner."""
    padded = _padded(x, windows, _lowest(x.dtype))
    winner_type = np.uint8 if math.prod(windows.kernel) <= 256 else np.uint32
    first, *others = _positions(windows)
    out = memory.empty(padded[first].shape, x.dtype, like=padded[first])
    np.copyto(out, padded[first])
    winners = memory.empty(out.shape, winner_type, like=out)
    winners.fill(0)
    insides = _insides(x.shape[2:], windows) if padded is not x else []
    started: Any = insides[0] if insides else None
    for position, where in enumerate(others, start=1):
        values = padded[where]
        better = np.greater(values, out)
        if x.dtype.kind == "f":
            better |= np.isnan(values)
        if insides:
            # A window of nothing but -inf is still won by an entry of the image, not of its border.
            better |= insides[position] & ~started
            started = started | insides[position]
        np.maximum(out, values, out=out)
        # Positions only grow, so the later of two winners is the larger number.
        np.maximum(winners, np.multiply(better, winner_type(position)), out=winners)
    return out, winners


def max_pool_indices(x: Array, windows: Windows) -> Array:
    """Return where in the image, its axes taken as one, each window's first winner is."""
    _, winners = max_pool(x, windows)
    offsets = np.unravel_index(winners.astype(np.intp), windows.kernel)
    indices = np.zeros(winners.shape, np.int64)
    for axis, (_, stride, before, dilation, count) in enumerate(windows.axes()):
        starts = stride * np.arange(count) - before
        starts = starts.reshape(-1, *(1,) * (len(offsets) - 1 - axis))
        indices = indices * x.shape[2 + axis] + starts + dilation * offsets[axis]
    return indices


def max_pool_grad(
    grad_out: Array, winners: Array, input_shape: tuple[int, ...], windows: Windows
) -> Array:
    """Scatter grad_out to the winners: the transpose of `max_pool_gather`."""
    overlap = any(st < d * (r - 1) + 1 for r, st, _, d, _ in windows.axes())
    grad, inner = _canvas(grad_out.dtype, winners, input_shape, windows)
    for position, where in enumerate(_positions(windows)):
        mask = np.equal(winners, position)
        if overlap:
            grad[where] += select(grad_out, mask)
        else:
            select(grad_out, mask, out=grad[where])
    return grad[inner]


def max_pool_gather(values: Array, winners: Array, windows: Windows) -> Array:
    """Return from each window of `values` the entry at the winner's position."""
    padded = _padded(values, windows, 0)
    out = memory.empty(winners.shape, values.dtype, like=winners)
    out.fill(0)
    for position, where in enumerate(_positions(windows)):
        np.add(out, select(padded[where], np.equal(winners, position)), out=out)
    return out


def avg_pool(x: Array, windows: Windows, count_include_pad: bool) -> Array:
    """Return the mean of each window, with or without the zeros of the padding."""
    padded = _padded(x, windows, 0)
    # float16 is summed in float32.
    wide = np.float32 if x.dtype == np.float16 else x.dtype
    out = memory.empty((*x.shape[:2], *windows.counts), wide, like=x)
    out.fill(0)
    for where in _positions(windows):
        np.add(out, padded[where], out=out)
    out *= _shares(x.shape[2:], windows, count_include_pad).astype(out.dtype)
    return out.astype(x.dtype, copy=False)


def avg_pool_grad(
    grad_out: Array, input_shape: tuple[int, ...], windows: Windows, count_include_pad: bool
) -> Array:
    """Spread grad_out evenly over each window: the transpose of `avg_pool`."""
    grad, inner = _canvas(grad_out.dtype, grad_out, input_shape, windows)
    share = grad_out * _shares(input_shape[2:], windows, count_include_pad).astype(grad_out.dtype)
    for where in _positions(windows):
        grad[where] += share
    return grad[inner]


@functools.lru_cache(maxsize=64)
def _shares(lengths: tuple[int, ...], windows: Windows, count_include_pad: bool) -> Array:
    """Return 1 / the number of entries of each window (P, Q), or one number for all.

    What ceil_mode lets a window reach beyond the padding never counts, as in PyTorch.
    """
    held = np.ones((), int)
    places = _places(windows)
    for length, at, (before, after) in zip(lengths, places, windows.padding, strict=True):
        low, high = (-before, length + after) if count_include_pad else (0, length)
        held = held[..., None] * ((at >= low) & (at < high)).sum(axis=1)
    return np.asarray(1 / (held.flat[0] if held.min() == held.max() else held))


@functools.lru_cache(maxsize=64)
def _positions(windows: Windows) -> list[Slices]:
    """Return for each position within a window the slices that pick it from all windows."""
    found = []
    for offsets in itertools.product(*map(range, windows.kernel)):
        parts = [slice(None), slice(None)]
        for offset, (_, stride, before, dilation, count) in zip(
            offsets, windows.axes(), strict=True
        ):
            start = max(-before, 0) + dilation * offset
            parts.append(slice(start, start + stride * (count - 1) + 1, stride))
        found.append(tuple(parts))
    return found


def _places(windows: Windows) -> list[Array]:
    """Return for each axis where in the image the positions (P, R) of its windows are."""
    return [
        stride * np.arange(count)[:, None] + dilation * np.arange(kernel) - before
        for kernel, stride, before, dilation, count in windows.axes()
    ]


def _insides(lengths: Sizes, windows: Windows) -> list[Array]:
    """Return for each position within a window which windows (P, Q) have it in the image."""
    places = _places(windows)
    axes = [(at >= 0) & (at < length) for at, length in zip(places, lengths, strict=True)]
    found = []
    for offsets in itertools.product(*map(range, windows.kernel)):
        inside = np.ones((), bool)
        for axis, offset in zip(axes, offsets, strict=True):
            inside = inside[..., None] & axis[:, offset]
        found.append(inside)
    return found


def _frame(lengths: Sizes, windows: Windows) -> tuple[tuple[int, ...], Slices]:
    """Return the lengths of what all windows together touch, and the slices of the image within."""
    framed, inner = [], [slice(None), slice(None)]
    for length, (kernel, stride, before, dilation, count) in zip(
        lengths, windows.axes(), strict=True
    ):
        start = max(before, 0)
        touched = max(-before, 0) + stride * (count - 1) + dilation * (kernel - 1) + 1
        framed.append(max(start + length, touched))
        inner.append(slice(start, start + length))
    return tuple(framed), tuple(inner)


def _padded(x: Array, windows: Windows, value: float) -> Array:
    """Return x within as much of `value` as the windows touch; x itself where that is nothing."""
    lengths, inner = _frame(x.shape[2:], windows)
    if lengths == x.shape[2:]:
        return x
    out = memory.empty((*x.shape[:2], *lengths), x.dtype, like=x)
    out.fill(value)
    out[inner] = x
    return out


def _canvas(
    dtype: Any, like: Array, input_shape: tuple[int, ...], windows: Windows
) -> tuple[Array, Slices]:
    """Return zeros for the gradient of the padded input, and the slices of the input within."""
    lengths, inner = _frame(input_shape[2:], windows)
    grad = memory.empty((*input_shape[:2], *lengths), dtype, like)
    grad.fill(0)
    return grad, inner


def _lowest(dtype: np.dtype[Any]) -> float:
    if dtype.kind == "f":
        return -np.inf
    return False if dtype.kind == "b" else np.iinfo(dtype).min
