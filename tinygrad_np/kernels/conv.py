"""Convolution (cross-correlation) as gather and GEMM, of any rank, over memory with the batch last.

Arrays have PyTorch's shapes: x (N, C, *H), weight (K, C / groups, *R), out (N, K, *P). The matrix
of columns has a row for each entry of a kernel and a column for each window of the batch,
(C R S, P Q N), so that its product with the weight as it lies is (K, P Q N). It is made a piece at
a time, for a box of the grid of windows, which stays in the cache. Axes in comments are for two
dimensions.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from tinygrad_np.kernels.elementwise import total
from tinygrad_np.kernels.windows import (
    Box,
    Sizes,
    Windows,
    batch_first,
    batch_last,
    channel_rows,
    meetings,
)
from tinygrad_np.runtime import memory, threads
from tinygrad_np.runtime.memory import Array

# About how many bytes of columns are made at once: the shared cache holds them, and calls are few.
_PIECE = 1 << 22

# ns for an entry that is gathered, or added; and for a multiplication with its addition.
_MOVE, _MULTIPLY = 0.3, 0.022

_EVERY: Any = slice(None)


def conv(x: Array, weight: Array, bias: Array | None, windows: Windows, groups: int) -> Array:
    """out[n,k,p] = bias[k] + Σ over c, r of x[n, c, stride p - before + dilation r] w[k,c,r]."""
    counts = windows.counts
    views = _views(batch_last(x), windows)
    matrices = _matrices(weight, groups)
    out = memory.empty((len(weight), *counts, len(x)), x.dtype)
    flat = _flat(out, groups)
    shifts = None if bias is None else bias.reshape(groups, -1, 1)

    def part(rows: slice) -> None:
        for where, columns in _pieces(views, windows, rows, groups):
            target = flat[..., where]
            cut = _cut(len(weight) * columns.shape[1], columns.shape[-1])
            np.matmul(matrices[:, None], cut(columns), out=cut(target))
            if shifts is not None:
                np.add(target, shifts, out=target)

    threads.each(part, counts[0], _cost(weight.shape, out), uses_blas=True)
    return batch_first(out)


def conv_weight_grad(x: Array, grad_out: Array, windows: Windows, groups: int) -> Array:
    """The gradient for weight: grad_out times the transposed columns, summed over the pieces."""
    grads = batch_last(grad_out, (*grad_out.shape[:2], *windows.counts))
    shape = (len(grads), x.shape[1] // groups, *windows.kernel)
    part = _weight_part(_views(batch_last(x), windows), _flat(grads, groups), windows)
    parts = threads.each(part, windows.counts[0], _cost(shape, grads), uses_blas=True)
    return _sum_parts([weight for weight, _ in parts]).reshape(shape)


def conv_input_grad(
    grad_out: Array, weight: Array, input_shape: Sizes, windows: Windows, groups: int
) -> Array:
    """The gradient for x: the columns' own, each entry added to where it was gathered from."""
    grads = _flat(batch_last(grad_out, (*grad_out.shape[:2], *windows.counts)), groups)
    out = memory.empty((*input_shape[1:], input_shape[0]), grads.dtype)
    part = _input_part(grads, weight, out, windows)
    length = groups if groups > 1 else len(out)
    threads.each(part, length, _cost(weight.shape, grads), uses_blas=True)
    return batch_first(out)


def conv_grads(
    grad_out: Array,
    x: Array,
    weight: Array,
    windows: Windows,
    groups: int,
    wanted: Sequence[bool],
) -> list[Array | None]:
    """The gradients for x, weight and bias, those that are wanted, in one go: threads are woken
    once, and grad_out is summed for the bias where it is in the cache for the weight.
    """
    counts = windows.counts
    grads = _flat(batch_last(grad_out), groups)
    of_x, of_weight, of_bias = (*wanted, False)[:3]
    out = None
    if of_x:
        out = memory.empty((*x.shape[1:], len(x)), grads.dtype)
        input_part = _input_part(grads, weight, out, windows)
        length = groups if groups > 1 else len(out)
    weight_part = _weight_part(_views(batch_last(x), windows), grads, windows)

    def part(rows: slice) -> tuple[Array, Array]:
        if of_x:
            input_part(slice(*(length * row // counts[0] for row in (rows.start, rows.stop))))
        return weight_part(rows)

    cost = (of_x + of_weight) * _cost(weight.shape, grads)
    weights, biases = zip(*threads.each(part, counts[0], cost, uses_blas=True), strict=True)
    return [
        None if out is None else batch_first(out),
        _sum_parts(weights).reshape(weight.shape) if of_weight else None,
        _sum_parts(biases).reshape(len(weight)) if of_bias else None,
    ][: len(wanted)]


def _weight_part(
    views: Array, grads: Array, windows: Windows
) -> Callable[[slice], tuple[Array, Array]]:
    """Return a function of rows of the grid, which returns what they give to the gradients for the
    weight (G, K, C R S) and for the bias (G, K).
    """
    groups, outs, _ = grads.shape
    height = len(views) // groups * math.prod(windows.kernel)

    def part(rows: slice) -> tuple[Array, Array]:
        weight = np.zeros((groups, height, outs), views.dtype)
        bias = np.zeros((groups, outs), views.dtype)
        for where, columns in _pieces(views, windows, rows, groups):
            cut = _cut(height * outs, columns.shape[-1])
            # This way round the product is quicker than (K, P Q N) with (P Q N, C R S).
            products = np.matmul(cut(columns), cut(grads[..., where]).swapaxes(-1, -2))
            weight += np.add.reduce(products, axis=1)
            bias += total(grads[..., where], -1)
        return weight.swapaxes(1, 2), bias

    return part


def _input_part(
    grads: Array, weight: Array, out: Array, windows: Windows
) -> Callable[[slice], None]:
    """Return a function of groups, or of channels where there is one group, which writes their
    gradient into `out` (C, H, W, N); no two of them share an entry.
    """
    groups = len(grads)
    in_group = len(out) // groups
    matrices = weight.reshape(groups, len(weight) // groups, in_group, math.prod(windows.kernel))
    image = out.reshape(groups, in_group, *out.shape[1:])

    def part(where: slice) -> None:
        group, channel = (where, _EVERY) if groups > 1 else (_EVERY, where)
        of_columns = matrices[group, :, channel].transpose(0, 2, 3, 1)  # C, R S, K
        _spread(of_columns, grads[group], image[group, channel], windows)

    return part


def _sum_parts(parts: Sequence[Array]) -> Array:
    """Return the sum of what the threads found, always in the same order."""
    first, *others = parts
    for other in others:
        first += other
    return first


def channel_sums(grad_out: Array) -> Array:
    """The gradient for bias: the sum over all axes but the channels."""
    rows = channel_rows(grad_out)
    parts = threads.each(lambda part: total(rows[part], 1), len(rows), 0.2 * rows.size)
    return np.concatenate(parts)


def _spread(matrices: Array, grads: Array, image: Array, windows: Windows) -> None:
    """Write into `image` (G, C, H, W, N) the sums of what `matrices` (G, C, R S, K) make of the
    gradients (G, K, P Q N) of all windows that meet an entry.
    """
    groups, channels, positions, outs = matrices.shape
    lengths, count = image.shape[2:-1], image.shape[-1]
    if not image.size:  # more threads than groups
        return
    matrices = matrices.reshape(groups, channels * positions, outs)
    if _is_pointwise(windows, lengths):
        np.matmul(matrices, grads, out=image.reshape(groups, channels, math.prod(image.shape[2:])))
        return
    image.fill(0)
    most = _most(groups * channels * positions, count, image.itemsize)
    for box, where in _boxes(windows.counts, slice(0, windows.counts[0]), most, count):
        columns = memory.empty(
            (groups, channels * positions, where.stop - where.start), image.dtype
        )
        cut = _cut(matrices[0].size, columns.shape[-1])
        np.matmul(matrices[:, None], cut(grads[..., where]), out=cut(columns))
        columns = columns.reshape(groups, channels, positions, *_spans(box), count)
        for position, met in enumerate(meetings(windows, lengths, box)):
            entries = image[(_EVERY, _EVERY, *met.image)]
            np.add(entries, columns[(_EVERY, _EVERY, position, *met.grid)], out=entries)


def _views(x: Array, windows: Windows) -> Array:
    """Return the view (C, R, S, P, Q, N) of all windows in x (C, H, W, N), within its padding."""
    x = _pad(x, windows)
    channel, *axes, image = x.strides
    steps = [d * step for d, step in zip(windows.dilation, axes, strict=True)]
    strides = [st * step for st, step in zip(windows.stride, axes, strict=True)]
    shape = (len(x), *windows.kernel, *windows.counts, x.shape[-1])
    # As as_strided does, which is slower; x is contiguous.
    return np.ndarray(shape, x.dtype, x, strides=(channel, *steps, *strides, image))


def _pad(x: Array, windows: Windows) -> Array:
    """Return x (C, H, W, N) within its padding, which crops where it is negative."""
    if not any(map(any, windows.padding)):
        return x
    lengths, source, target = [], [_EVERY], [_EVERY]
    for length, (before, after) in zip(x.shape[1:-1], windows.padding, strict=True):
        lengths.append(before + length + after)
        source.append(slice(max(0, -before), length - max(0, -after)))
        target.append(slice(max(0, before), before + length))
    out = memory.empty((len(x), *lengths, x.shape[-1]), x.dtype)

    def part(channels: slice) -> None:
        out[channels] = 0
        out[channels][tuple(target)] = x[channels][tuple(source)]

    threads.each(part, len(x), _MOVE * out.size)
    return out


def _pieces(
    views: Array, windows: Windows, rows: slice, groups: int
) -> Iterator[tuple[slice, Array]]:
    """Yield for pieces of the grid within `rows` where they are among all windows (P Q N), and
    their columns (G, C R S, P Q N); the memory of these serves the next piece again.
    """
    height = len(views) * math.prod(windows.kernel)
    count = views.shape[-1]
    most = _most(height, count, views.itemsize)
    space = memory.empty((0,), views.dtype)
    for box, where in _boxes(windows.counts, rows, most, count):
        chosen: Any = (..., *(slice(*span) for span in box), _EVERY)
        part = views[chosen]
        if part.flags.c_contiguous:
            columns = part
        else:
            if space.size < part.size:
                space = memory.empty((part.size,), views.dtype)
            columns = space[: part.size].reshape(part.shape)
            np.copyto(columns, part)
        yield where, columns.reshape(groups, height // groups, where.stop - where.start)


def _boxes(counts: Sizes, rows: slice, most: int, count: int) -> Iterator[tuple[Box, slice]]:
    """Cut the grid within `rows` of its first axis into boxes of at most `most` windows that lie
    side by side; yield them as (start, stop) for each axis, and where they are in (P Q N).
    """
    inner = math.prod(counts[1:])
    if inner <= most or len(counts) == 1:
        step = max(1, most // max(1, inner))
        for start in range(rows.start, rows.stop, step):
            stop = min(start + step, rows.stop)
            where = slice(start * inner * count, stop * inner * count)
            yield ((start, stop), *((0, length) for length in counts[1:])), where
        return
    for row in range(rows.start, rows.stop):
        ahead = row * inner * count
        for box, where in _boxes(counts[1:], slice(0, counts[1]), most, count):
            yield ((row, row + 1), *box), slice(ahead + where.start, ahead + where.stop)


def _spans(box: Box) -> list[int]:
    return [stop - start for start, stop in box]


def _most(height: int, count: int, itemsize: int) -> int:
    """Return of how many windows, for a batch of `count`, the columns fit into a piece."""
    return _PIECE // max(1, height * count * itemsize)


def _is_pointwise(windows: Windows, lengths: Sizes) -> bool:
    """Whether the windows are the entries themselves, so that the image is its own columns."""
    return (
        math.prod(windows.kernel) == 1
        and max(windows.stride) == 1
        and windows.counts == tuple(lengths)
        and not any(map(any, windows.padding))
    )


def _cut(size: int, length: int) -> Callable[[Array], Array]:
    """Return a function that cuts matrices (G, M, length) into (G, B, M, length / B), so short that
    BLAS takes its way for small products, of up to 100^3 multiplications, which for few channels
    is twice as quick; `size` is of the matrix on the other side.
    """
    blocks = 1
    for blocks in range(max(1, math.ceil(size * length / 1e6)), length // 256):
        if length % blocks == 0:
            break
    else:
        blocks = 1

    def cut(x: Array) -> Array:
        return x.reshape(*x.shape[:2], blocks, length // blocks).swapaxes(1, 2)

    return cut


def _flat(x: Array, groups: int) -> Array:
    """Return x (C, H, W, N) as (G, C / G, H W N)."""
    return x.reshape(groups, len(x) // groups, math.prod(x.shape[1:]))


def _matrices(weight: Array, groups: int) -> Array:
    """Return the weight (K, C / G, R, S) as (G, K / G, C R S)."""
    return weight.reshape(groups, len(weight) // groups, math.prod(weight.shape[1:]))


def _cost(weight_shape: Sizes, outs: Array) -> float:
    """Return about how many ns a convolution takes on one thread whose outputs are `outs`."""
    entries = math.prod(weight_shape[1:]) * outs.size
    return entries * (_MOVE / max(1, weight_shape[0]) + _MULTIPLY)
