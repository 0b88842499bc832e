"""Convolution (cross-correlation) of any rank as gather and GEMM, on arrays stored batch-last.

Arrays have PyTorch's shapes: x (N, C, *H), weight (K, C / groups, *R), out (N, K, *P). The matrix
of columns (C R S, P Q N) has a row for each entry of a kernel and a column for each window of the
batch, so the weight, reshaped to (K, C R S), times the columns is (K, P Q N). Columns are built in
pieces, each for a box of windows whose columns fit into the cache.
Comments show the axes for two spatial dimensions.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from tinygrad_np.kernels.reductions import total
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

# Bytes of columns per piece, approximately: small enough for the shared cache, and large enough
# that there are few NumPy calls.
_PIECE = 1 << 22

# ns per entry gathered or added, and per multiply-add.
_MOVE, _MULTIPLY = 0.3, 0.022

_EVERY: Any = slice(None)


def conv(x: Array, weight: Array, bias: Array | None, windows: Windows, groups: int) -> Array:
    """Compute out[n,k,p] = bias[k] + Σ_{c,r} x[n, c, stride p - before + dilation r] weight[k,c,r].

    The result is (N, K, P, Q), in the memory order (K, P, Q, N).
    """
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
    """Return the gradient for the weight (K, C / groups, R, S).

    It is the product of grad_out and the transposed columns, summed over the pieces.
    """
    grads = batch_last(grad_out, (*grad_out.shape[:2], *windows.counts))
    shape = (len(grads), x.shape[1] // groups, *windows.kernel)
    part = _weight_part(_views(batch_last(x), windows), _flat(grads, groups), windows)
    parts = threads.each(part, windows.counts[0], _cost(shape, grads), uses_blas=True)
    summed = _sum_parts([weight for weight, _ in parts])
    return summed.reshape(shape).astype(x.dtype, copy=False)


def conv_input_grad(
    grad_out: Array, weight: Array, input_shape: Sizes, windows: Windows, groups: int
) -> Array:
    """Return the gradient for x (N, C, H, W): the columns' gradients, added up in the image."""
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
    """Return the wanted gradients of x, weight and bias in a single pass.

    A single pass wakes the threads once, and sums grad_out for the bias while it is still in the
    cache from the weight gradient.
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
        _sum_parts(weights).reshape(weight.shape).astype(x.dtype, copy=False)
        if of_weight
        else None,
        _sum_parts(biases).reshape(len(weight)).astype(x.dtype) if of_bias else None,
    ][: len(wanted)]


def _weight_part(
    views: Array, grads: Array, windows: Windows
) -> Callable[[slice], tuple[Array, Array]]:
    """Return a function that computes what a slice of grid rows contributes to two gradients.

    These are the gradients of the weight, of shape (G, K, C R S) and at least float32, and of the
    bias, of shape (G, K) and float64.
    """
    groups, outs, _ = grads.shape
    height = len(views) // groups * math.prod(windows.kernel)

    def part(rows: slice) -> tuple[Array, Array]:
        weight = np.zeros((groups, height, outs), np.promote_types(views.dtype, np.float32))
        bias = np.zeros((groups, outs))
        for where, columns in _pieces(views, windows, rows, groups):
            cut = _cut(height * outs, columns.shape[-1])
            # 1.2 times as fast as the transposed product, (K, P Q N) times (P Q N, C R S), for
            # (C R S, K, P Q N) = (288, 64, 12544).
            products = np.matmul(cut(columns), cut(grads[..., where]).swapaxes(-1, -2))
            weight += np.add.reduce(products, axis=1, dtype=weight.dtype)
            bias += total(grads[..., where], -1)
        return weight.swapaxes(1, 2), bias

    return part


def _input_part(
    grads: Array, weight: Array, out: Array, windows: Windows
) -> Callable[[slice], None]:
    """Return a function that writes a slice of `out` (C, H, W, N), the gradient for x.

    It takes a slice of the groups, or of the channels if there is one group, so no two slices share
    an entry.
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
    """Sum the results of the threads, always in the same order."""
    first, *others = parts
    for other in others:
        first += other
    return first


def channel_sums(grad_out: Array) -> Array:
    """Return the gradient for the bias: grad_out summed over all axes except the channels."""
    rows = channel_rows(grad_out)
    parts = threads.each(lambda part: total(rows[part], 1), len(rows), 0.2 * rows.size)
    return np.concatenate(parts)


def _spread(matrices: Array, grads: Array, image: Array, windows: Windows) -> None:
    """Write into `image` (G, C, H, W, N) the sum over the windows that cover each entry.

    The columns to sum are the product of `matrices` (G, C, R S, K) and grads (G, K, P Q N).
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
    """Return all windows of x (C, H, W, N), padded, as a view (C, R, S, P, Q, N)."""
    x = _pad(x, windows)
    channel, *axes, image = x.strides
    steps = [d * step for d, step in zip(windows.dilation, axes, strict=True)]
    strides = [st * step for st, step in zip(windows.stride, axes, strict=True)]
    shape = (len(x), *windows.kernel, *windows.counts, x.shape[-1])
    # For a contiguous array, the same view as as_strided in 0.4 us instead of 2.1 us.
    return np.ndarray(shape, x.dtype, x, strides=(channel, *steps, *strides, image))


def _pad(x: Array, windows: Windows) -> Array:
    """Return x (C, H, W, N) with zero padding; negative padding crops."""
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
    """Yield the columns (G, C R S, P Q N) of pieces of the grid in `rows`, with their positions.

    A position is a slice of all windows (P Q N). Pieces share one buffer: each overwrites the
    previous one.
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
    """Cut `rows` of the grid into boxes of at most `most` windows that are contiguous in (P Q N).

    Yields each box as (start, stop) per axis, and its slice of (P Q N).
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
    """Return the number of windows whose columns, for a batch of `count`, fit into a piece."""
    return _PIECE // max(1, height * count * itemsize)


def _is_pointwise(windows: Windows, lengths: Sizes) -> bool:
    """Return whether each window is one entry, so that the image is its own matrix of columns."""
    return (
        math.prod(windows.kernel) == 1
        and max(windows.stride) == 1
        and windows.counts == tuple(lengths)
        and not any(map(any, windows.padding))
    )


def _cut(size: int, length: int) -> Callable[[Array], Array]:
    """Return a function that cuts matrices (G, M, length) into (G, B, M, length / B).

    The blocks are short enough for BLAS's path for small products, up to 100^3 multiplications,
    which is 1.8 times as fast for few channels (K = 8, C R S = 9). `size` is the size of the other
    matrix.
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
    """Estimate the ns that a convolution with outputs `outs` takes on one thread."""
    entries = math.prod(weight_shape[1:]) * outs.size
    return entries * (_MOVE / max(1, weight_shape[0]) + _MULTIPLY)
