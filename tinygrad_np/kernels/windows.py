"""Windows that slide over images: which entries they cover.

Image kernels work on arrays of PyTorch's shape (N, C, H, W) stored in the order (C, H, W, N), with
the batch last. Contiguous runs are then as long as the batch, whatever the number of channels; for
windows of stride 1, a run spans one row of windows for all images of the batch.
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
    """Positions of windows along each axis.

    Position r of window p is entry stride * p + dilation * r - before of the image, where padding
    (before, after) surrounds the image, or crops it if negative, and 0 <= p < count.
    """

    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]
    dilation: tuple[int, ...]
    counts: tuple[int, ...]

    def __str__(self) -> str:
        return f"{self.kernel}, stride {self.stride}"

    @property
    def flat_padding(self) -> tuple[int, ...]:
        """Padding in the format of the ops: one pair per axis, last axis first."""
        return tuple(itertools.chain.from_iterable(reversed(self.padding)))

    def axes(self) -> Iterator[tuple[int, int, int, int, int]]:
        """Yield kernel, stride, padding before, dilation and count of each axis."""
        for kernel, stride, (before, _), dilation, count in zip(*self, strict=True):
            yield kernel, stride, before, dilation, count


def count_windows(
    length: int, kernel: int, stride: int, padding: tuple[int, int], dilation: int
) -> int:
    """Return the number of windows along one axis."""
    return (length + sum(padding) - dilation * (kernel - 1) - 1) // stride + 1


class Meeting(NamedTuple):
    """Slices that pair one position in the windows with the entries it covers.

    Attributes:
        image: entries of the image at this position.
        grid: windows that have these entries at this position.
        outside: the other windows, where this position falls outside the image.
    """

    image: Slices
    grid: Slices
    outside: list[Slices]


@functools.lru_cache(maxsize=512)
def meetings(windows: Windows, lengths: tuple[int, ...], grid: Box) -> list[Meeting]:
    """Return, for each position in a window, row by row, its slices of the image and the grid.

    The image has `lengths`. `grid` selects a box of windows by one pair (start, stop) per axis;
    slices of the grid count from these starts.
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
                    # Windows outside along an earlier axis are already listed for that axis.
                    outside.append((*met[:axis], side))
        found.append(Meeting(image, met, outside))
    return found


def _met(
    r: int, stride: int, before: int, dilation: int, length: int, start: int, stop: int
) -> tuple[slice, slice]:
    """Return slices of the entries at kernel position r and of their windows, from `start`."""
    offset = dilation * r - before
    first = min(max(start, -(offset // stride)), stop)
    last = max(first, min(stop, (length - 1 - offset) // stride + 1))
    at = stride * first + offset
    if last == first:
        return slice(0, 0), slice(0, 0)
    entries = slice(at, at + stride * (last - first - 1) + 1, stride)
    return entries, slice(first - start, last - start)


def batch_last(x: Array, shape: tuple[int, ...] | None = None) -> Array:
    """Return x (N, C, H, W) as a contiguous (C, H, W, N) array; a view if x is stored that way.

    Raises IndexError if x is not an image, and ValueError if it does not have `shape`; the caller's
    op translates both.
    """
    if x.ndim < 2:
        raise IndexError("expected images of shape (N, C, H, W)")
    if shape is not None and x.shape != shape:
        raise ValueError(f"expected shape {shape}")
    moved = x.transpose(*range(1, x.ndim), 0)
    return moved if moved.flags.c_contiguous else copy(moved)


def channel_rows(x: Array) -> Array:
    """Return x (N, C, H, W) as a contiguous matrix (C, H W N), or x (N, C) as the view x.T."""
    if x.ndim == 2:
        return x.T
    moved = batch_last(x)
    return moved.reshape(len(moved), math.prod(moved.shape[1:]))


def batch_first(x: Array) -> Array:
    """Return x (C, H, W, N) as a view of shape (N, C, H, W)."""
    return x.transpose(-1, *range(x.ndim - 1))
