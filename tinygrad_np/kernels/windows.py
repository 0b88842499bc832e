"""Windows that move over images: which entries they meet.

Kernels of images work on memory in the order (C, H, W, N), the batch last, under PyTorch's shape
(N, C, H, W): whatever the number of channels, what is next to each other in memory is then as long
as the batch, and for windows that move by 1 as long as a row of the whole batch.
"""

import functools
import itertools
import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from tinygrad_np.kernels.elementwise import copy
from tinygrad_np.runtime.memory import Array

Sizes = Sequence[int]
Slices = tuple[slice, ...]
Box = tuple[tuple[int, int], ...]


class Windows(NamedTuple):
    """Where the windows lie: along an axis, position r of window p is entry
    stride p + dilation r - before of the image, which padding (before, after) surrounds or crops;
    p is below `counts`.
    """

    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]
    dilation: tuple[int, ...]
    counts: tuple[int, ...]

    def __str__(self) -> str:
        return f"{self.kernel} every {self.stride}"

    @property
    def flat_padding(self) -> tuple[int, ...]:
        """The padding as ops take it: one pair per axis, last axis first."""
        return tuple(itertools.chain.from_iterable(reversed(self.padding)))

    def axes(self) -> Iterator[tuple[int, int, int, int, int]]:
        """Yield kernel, stride, padding before, dilation and count of each axis."""
        for kernel, stride, (before, _), dilation, count in zip(*self, strict=True):
            yield kernel, stride, before, dilation, count


def count_windows(
    length: int, kernel: int, stride: int, padding: tuple[int, int], dilation: int
) -> int:
    """Return the number of window positions along one axis."""
    return (length + sum(padding) - dilation * (kernel - 1) - 1) // stride + 1


class Meeting(NamedTuple):
    """What one position within the windows meets: these entries of the image in these windows of
    the grid; the others have that position outside of the image.
    """

    image: Slices
    grid: Slices
    outside: list[Slices]


@functools.lru_cache(maxsize=512)
def meetings(windows: Windows, lengths: tuple[int, ...], grid: Box) -> list[Meeting]:
    """Return for each position within a window, row by row, what it meets of an image of `lengths`
    in the windows of `grid`: pairs (start, stop) for each axis. Slices count from the starts.
    """
    axes = [
        [_met(r, stride, before, dilation, length, *span) for r in range(kernel)]
        for (kernel, stride, before, dilation, _), length, span in zip(
            windows.axes(), lengths, grid, strict=True
        )
    ]
    found = []
    for position in itertools.product(*axes):
        image, met = zip(*position, strict=True)
        outside = []
        for axis, (part, (start, stop)) in enumerate(zip(met, grid, strict=True)):
            for side in (slice(0, part.start), slice(part.stop, stop - start)):
                if side.start < side.stop:
                    # What earlier axes have outside is in their own.
                    outside.append((*met[:axis], side))
        found.append(Meeting(image, met, outside))
    return found


def _met(
    r: int, stride: int, before: int, dilation: int, length: int, start: int, stop: int
) -> tuple[slice, slice]:
    """Return entries and windows (counted from start) for which 0 <= stride p + offset < length."""
    offset = dilation * r - before
    first = min(max(start, -(offset // stride)), stop)
    last = max(first, min(stop, (length - 1 - offset) // stride + 1))
    at = stride * first + offset
    if last == first:
        return slice(0, 0), slice(0, 0)
    entries = slice(at, at + stride * (last - first - 1) + 1, stride)
    return entries, slice(first - start, last - start)


def batch_last(x: Array, shape: tuple[int, ...] | None = None) -> Array:
    """Return x (N, C, H, W) as (C, H, W, N), contiguous: a view where its memory is so already.

    Where x is no image, or not of the `shape` it should have, the op says so.
    """
    if x.ndim < 2:
        raise IndexError("expected images (N, C, H, W)")
    if shape is not None and x.shape != shape:
        raise ValueError(f"expected {shape}")
    moved = x.transpose(*range(1, x.ndim), 0)
    return moved if moved.flags.c_contiguous else copy(moved)


def channel_rows(x: Array) -> Array:
    """Return x (N, C, H, W) as a matrix (C, H W N), contiguous; vectors (N, C) as a view."""
    if x.ndim == 2:
        return x.T
    moved = batch_last(x)
    return moved.reshape(len(moved), math.prod(moved.shape[1:]))


def batch_first(x: Array) -> Array:
    """Return x (C, H, W, N) under its shape (N, C, H, W): a view."""
    return x.transpose(-1, *range(x.ndim - 1))
