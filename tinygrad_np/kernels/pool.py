"""Pooling as a loop over the positions in a window.

For each position, the entries that all windows have there are a strided slice of the image, so a
step of the loop is a few NumPy calls on whole arrays. In two dimensions, windows of R x S entries
form a grid of P x Q windows; the positions in a window are numbered from 0 to R S - 1, row by row.

Arrays have PyTorch's shapes over memory with the batch last (see `windows`). Comments show the axes
for two spatial dimensions.
"""

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_np.kernels.elementwise import bits, select
from tinygrad_np.kernels.windows import Meeting, Windows, batch_first, batch_last, meetings
from tinygrad_np.runtime import memory, threads
from tinygrad_np.runtime.memory import Array

# Approximate number of bytes of the image processed at a time: they fit into the shared cache.
_PIECE = 1 << 22

# Larger windows are summed in float64.
_MOST = 128

_EVERY: Any = slice(None)


def max_pool(x: Array, windows: Windows) -> tuple[Array, Array]:
    """Return the maximum of each window of x (N, C, H, W) and the position of its first maximum.

    Both are (N, C, P, Q). Positions are uint8 for windows of up to 256 entries, otherwise uint32.
    """
    x = batch_last(x)
    shape = (len(x), *windows.counts, x.shape[-1])
    out = memory.empty(shape, x.dtype)
    winners = memory.empty(shape, np.uint8 if math.prod(windows.kernel) <= 256 else np.uint32)
    met = _all_meetings(windows, x.shape)

    def piece(channels: slice) -> None:
        given = x[channels], met, out[channels], winners[channels]
        if any(meeting.outside for meeting in met) or not _max_of_numbers(*given):
            _max_of_any(*given)

    _by_channels(piece, x, 0.7)
    return batch_first(out), batch_first(winners)


def _max_of_numbers(x: Array, met: list[Meeting], out: Array, winners: Array) -> bool:
    """Write maxima and positions for windows inside x; return False if a maximum is nan."""
    best = x[(_EVERY, *met[0].image)]
    if len(met) == 1:
        np.copyto(out, best)
        winners.fill(0)
    better = memory.empty(out.shape, bool)
    flags = better.view(np.uint8)
    for position, meeting in enumerate(met[1:], start=1):
        values = x[(_EVERY, *meeting.image)]
        np.greater(values, best, out=better)
        best = np.maximum(best, values, out=out)
        if position == 1:
            np.copyto(winners, flags)
        else:
            # Positions increase, so the maximum keeps the latest winner.
            np.maximum(winners, flags * winners.dtype.type(position), out=winners)
    return x.dtype.kind != "f" or not out.size or not np.isnan(out.max())


def _max_of_any(x: Array, met: list[Meeting], out: Array, winners: Array) -> None:
    """Write maxima and positions for windows that may contain nan or extend beyond x."""
    out.fill(_lowest(x.dtype))
    winners.fill(0)
    is_started = np.zeros((*out.shape[1:-1], 1), bool)
    for position, meeting in enumerate(met):
        values, where = x[(_EVERY, *meeting.image)], (_EVERY, *meeting.grid)
        better = np.greater(values, out[where])
        if x.dtype.kind == "f":
            better |= np.isnan(values)
        # Even if all entries are -inf, the position is inside the image, not in the padding.
        better |= ~is_started[meeting.grid]
        is_started[meeting.grid] = True
        np.maximum(out[where], values, out=out[where])
        won = np.multiply(better, winners.dtype.type(position))
        np.maximum(winners[where], won, out=winners[where])


def max_pool_indices(x: Array, windows: Windows) -> Array:
    """Return the int64 index of each window's first maximum in the flattened image (H, W)."""
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
    """Scatter grad_out (N, C, P, Q) to the winners in (N, C, H, W).

    This is the transpose of `max_pool_gather`.
    """
    shape = (*input_shape[:2], *windows.counts)
    grads, winners = batch_last(grad_out, shape), batch_last(winners, shape)
    out = memory.empty((*input_shape[1:], input_shape[0]), grads.dtype)
    met = _all_meetings(windows, out.shape)
    overlap = any(st < d * (r - 1) + 1 for r, st, _, d, _ in windows.axes())
    once = np.zeros(out.shape[1:], bool)
    is_whole = not overlap and sum(once[m.image].size for m in met) == once.size

    def piece(channels: slice) -> None:
        if not is_whole:
            out[channels] = 0
        for position, meeting in enumerate(met):
            where = (channels, *meeting.grid)
            mask = np.equal(winners[where], position)
            at = (channels, *meeting.image)
            if overlap:
                out[at] += select(grads[where], mask)
            else:
                np.multiply(bits(grads)[where], mask, out=bits(out)[at])

    _by_channels(piece, out, 0.6)
    return batch_first(out)


def max_pool_gather(values: Array, winners: Array, windows: Windows) -> Array:
    """Gather from each window of `values` (N, C, H, W) the entry at the winner's position."""
    shape = (*values.shape[:2], *windows.counts)
    values, winners = batch_last(values), batch_last(winners, shape)
    out = memory.empty(winners.shape, values.dtype)
    met = _all_meetings(windows, values.shape)

    def piece(channels: slice) -> None:
        out[channels] = 0
        for position, meeting in enumerate(met):
            where = (channels, *meeting.grid)
            mask = np.equal(winners[where], position)
            out[where] += select(values[(channels, *meeting.image)], mask)

    _by_channels(piece, values, 0.5)
    return batch_first(out)


def avg_pool(x: Array, windows: Windows, count_include_pad: bool) -> Array:
    """Return the mean of each window of x (N, C, H, W), with or without the padding zeros."""
    shares = _shares(x.shape[2:], windows, count_include_pad)[..., None]
    x = batch_last(x)
    # Each window is summed entry by entry, so float16 and large windows need more digits.
    wide = np.promote_types(x.dtype, np.float32)
    if math.prod(windows.kernel) > _MOST:
        wide = np.promote_types(wide, np.float64)
    out = memory.empty((len(x), *windows.counts, x.shape[-1]), wide)
    met = _all_meetings(windows, x.shape)

    def piece(channels: slice) -> None:
        out[channels] = 0
        for meeting in met:
            out[(channels, *meeting.grid)] += x[(channels, *meeting.image)]
        out[channels] *= shares.astype(wide)

    _by_channels(piece, x, 0.5)
    return batch_first(out.astype(x.dtype, copy=False))


def avg_pool_grad(
    grad_out: Array, input_shape: tuple[int, ...], windows: Windows, count_include_pad: bool
) -> Array:
    """Spread grad_out (N, C, P, Q) evenly over each window: the transpose of `avg_pool`."""
    shares = _shares(input_shape[2:], windows, count_include_pad)[..., None]
    grads = batch_last(grad_out, (*input_shape[:2], *windows.counts))
    wide = np.promote_types(grads.dtype, np.float32)  # float16 is accumulated in float32
    out = memory.empty((*input_shape[1:], input_shape[0]), wide)
    met = _all_meetings(windows, out.shape)

    def piece(channels: slice) -> None:
        out[channels] = 0
        share = grads[channels] * shares.astype(wide)
        for meeting in met:
            out[(channels, *meeting.image)] += share[(_EVERY, *meeting.grid)]

    _by_channels(piece, out, 0.5)
    return batch_first(out.astype(grads.dtype, copy=False))


def _all_meetings(windows: Windows, shape: tuple[int, ...]) -> list[Meeting]:
    """Return, for each position, its slices of an image (C, H, W, N) and of the windows."""
    return meetings(windows, shape[1:-1], tuple((0, count) for count in windows.counts))


def _by_channels(piece: Callable[[slice], None], image: Array, cost: float) -> None:
    """Call `piece` on a few channels of (C, H, W, N) at a time; `cost` is in ns per entry."""
    channels = len(image)
    step = max(1, _PIECE * channels // max(1, image.nbytes))

    def part(where: slice) -> None:
        for start in range(where.start, where.stop, step):
            piece(slice(start, min(start + step, where.stop)))

    threads.each(part, channels, cost * image.size)


@functools.lru_cache(maxsize=64)
def _shares(lengths: tuple[int, ...], windows: Windows, count_include_pad: bool) -> Array:
    """Return 1 / number of entries of each window (P, Q), or a scalar if all are equal.

    Positions beyond the padding, which occur in ceil_mode, never count, as in PyTorch.
    """
    held = np.ones((), int)
    places = _places(windows)
    for length, at, (before, after) in zip(lengths, places, windows.padding, strict=True):
        low, high = (-before, length + after) if count_include_pad else (0, length)
        held = held[..., None] * ((at >= low) & (at < high)).sum(axis=1)
    return np.asarray(1 / (held.flat[0] if held.min() == held.max() else held))


def _places(windows: Windows) -> list[Array]:
    """Return for each axis the image coordinates (P, R) of the entries of its windows."""
    return [
        stride * np.arange(count)[:, None] + dilation * np.arange(kernel) - before
        for kernel, stride, before, dilation, count in windows.axes()
    ]


def _lowest(dtype: np.dtype[Any]) -> float:
    if dtype.kind == "f":
        return -np.inf
    return False if dtype.kind == "b" else np.iinfo(dtype).min
