"""Convolution (cross-correlation) of any rank as gather and GEMM, on arrays stored batch-last.

Arrays have PyTorch's shapes: x (N, C, *H), weight (K, C / groups, *R), out (N, K, *P). The matrix
of columns has a row for each entry of a kernel and a column for each window of the batch.

    output = weight @ columns
    gradient of the weight = gradient of the output @ columns.T
    gradient of the columns = weight.T @ gradient of the output

The gradient of the image is the sum of the gradients of the columns that each entry was copied to.

Comments give shapes for two spatial dimensions: images (H, W), kernels (R, S), outputs (P, Q). The
columns of one row of windows are R blocks (C S, Q N), one per row of the image that the windows
cover. Neighboring rows of windows share blocks: all blocks are stored once, as (H, C S, Q N), and
the columns of each row of windows are a view of R consecutive ones. Gathering thus copies the image
S times instead of R S times.
"""

import functools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from tinygrad_np.kernels.reductions import total
from tinygrad_np.kernels.windows import (
    Box,
    Sizes,
    Slices,
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
_MOVE, _MULTIPLY = 0.3, 0.01

# BLAS has a faster path for products of up to 100^3 multiplications; for transposed operands, only
# if the result has at most 1200 entries. Blocks of fewer than _SHORTEST columns, or for more than
# _MOST_ROWS outputs, do not pay.
_SMALL, _SMALL_RESULT, _SHORTEST, _MOST_ROWS = 1e6, 1200, 64, 32

# Columns with fewer entries are zeroed in one call, instead of only at the borders.
_FEW = 1 << 16

_EVERY: Any = slice(None)


def conv(x: Array, weight: Array, bias: Array | None, windows: Windows, groups: int) -> Array:
    """Compute out[n,k,p] = bias[k] + Σ_{c,r} x[n, c, stride p - before + dilation r] weight[k,c,r].

    The result is (N, K, P, Q), in the memory order (K, P, Q, N).
    """
    x = batch_last(x)
    out = memory.empty((len(weight), *windows.counts, x.shape[-1]), x.dtype)

    def part(rows: slice) -> None:
        _correlate(x, weight, bias, _rows_of(windows, rows), groups, out[:, rows])

    threads.each(part, windows.counts[0], _cost(weight.shape, out), uses_blas=True)
    return batch_first(out)


def conv_weight_grad(x: Array, grad_out: Array, windows: Windows, groups: int) -> Array:
    """Return the gradient for the weight (K, C / groups, R, S).

    It is the product of grad_out and the transposed columns, summed over the rows of windows.
    """
    grads = batch_last(grad_out, (*grad_out.shape[:2], *windows.counts))
    shape = (len(grads), x.shape[1] // groups, *windows.kernel)
    part = _weight_part(batch_last(x), grads, windows, groups)
    parts = threads.each(part, windows.counts[0], _cost(shape, grads), uses_blas=True)
    summed = _sum_parts([weight for weight, _ in parts])
    return summed.reshape(shape).astype(x.dtype, copy=False)


def conv_input_grad(
    grad_out: Array, weight: Array, input_shape: Sizes, windows: Windows, groups: int
) -> Array:
    """Return the gradient for x (N, C, H, W)."""
    grads = batch_last(grad_out, (*grad_out.shape[:2], *windows.counts))
    out = memory.empty((*input_shape[1:], input_shape[0]), grads.dtype)
    part = _input_part(grads, weight, out, windows, groups)
    threads.each(part, windows.counts[0], _cost(weight.shape, grads), uses_blas=True)
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
    grads = batch_last(grad_out)
    needs_x, needs_weight, needs_bias = (*wanted, False)[:3]
    out = None
    if needs_x:
        out = memory.empty((*x.shape[1:], len(x)), grads.dtype)
        input_part = _input_part(grads, weight, out, windows, groups)
    has_sums = needs_weight or needs_bias
    weight_part = _weight_part(batch_last(x), grads, windows, groups) if has_sums else None

    def part(rows: slice) -> Sequence[Array]:
        if needs_x:
            input_part(rows)
        return weight_part(rows) if weight_part else ()

    cost = (needs_x + has_sums) * _cost(weight.shape, grads)
    parts = threads.each(part, windows.counts[0], cost, uses_blas=True)
    sums = [_sum_parts(each) for each in zip(*parts, strict=True)]
    return [
        None if out is None else batch_first(out),
        sums[0].reshape(weight.shape).astype(x.dtype, copy=False) if needs_weight else None,
        sums[1].reshape(len(weight)).astype(x.dtype) if needs_bias else None,
    ][: len(wanted)]


def channel_sums(grad_out: Array) -> Array:
    """Return the gradient for the bias: grad_out summed over all axes except the channels."""
    rows = channel_rows(grad_out)
    parts = threads.each(lambda part: total(rows[part], 1), len(rows), 0.2 * rows.size)
    return np.concatenate(parts)


def _correlate(
    x: Array, weight: Array, bias: Array | None, windows: Windows, groups: int, out: Array
) -> None:
    """Write the convolution of x (C, H, W, N) to `out` (K, P, Q, N), whose rows are contiguous."""
    x, windows = _fold(x, windows, max(_SHORTEST, len(weight) // groups))
    matrices = _matrices(weight, windows, groups)
    _, outs, height = matrices.shape
    out = _stack(out, windows, groups)
    shifts = None if bias is None else bias.reshape(groups, outs, 1, 1)
    for where, columns in _pieces(x, windows, groups):
        target = out[where]
        length = columns.shape[-1]
        cut = _columns_per_block(outs * height, length) if outs <= _MOST_ROWS else length
        np.matmul(
            matrices[:, None, None],
            _split(columns, cut).swapaxes(2, 3),
            out=_split(target, cut).transpose(0, 2, 3, 1, 4),
        )
        if shifts is not None:
            np.add(target, shifts, out=target)


def _weight_part(
    x: Array, grads: Array, windows: Windows, groups: int
) -> Callable[[slice], tuple[Array, Array]]:
    """Return a function that computes the weight and bias gradients of a slice of grid rows.

    The weight gradient is (G, K / G, C R S / G) in at least float32, the bias gradient (G, K / G)
    in float64.
    """
    outs, channels = len(grads) // groups, len(x) // groups
    height = channels * math.prod(windows.kernel)

    def part(rows: slice) -> tuple[Array, Array]:
        weight = np.zeros((groups, height, outs), np.promote_types(x.dtype, np.float32))
        bias = np.zeros((groups, outs))
        # One product per row of windows pays only if the row is long compared with the outputs.
        image, own = _fold(x, _rows_of(windows, rows), max(_SHORTEST, 3 * outs))
        given = _stack(grads[:, rows], own, groups)
        for where, columns in _pieces(image, own, groups):
            weight += _weight_products(columns, given[where])
            bias += _sums(given[where])
        # From (R, C, S) to (C, R, S).
        split = weight.reshape(
            groups, own.kernel[0], channels, math.prod(own.kernel[1:]), outs
        ).swapaxes(1, 2)
        return split.reshape(groups, height, outs).swapaxes(1, 2), bias

    return part


def _weight_products(columns: Array, grads: Array) -> Array:
    """Return Σ_p columns (G, P, R C S, Q N) times grads (G, K, P, Q N) transposed: (G, R C S, K).

    This is up to 1.5 times as fast as the product of grads and transposed columns, for
    (K, R C S, Q N) = (32, 288, 256).
    """
    groups, count, height, length = columns.shape
    outs = grads.shape[1]
    rows, cut = height, length
    if outs <= _MOST_ROWS:
        rows = _divisor(height, _SMALL_RESULT // max(1, outs))
        cut = _columns_per_block(rows * outs, length)
    blocks = _split(columns.reshape(groups, count, height // rows, rows, length), cut)
    products = np.matmul(
        blocks.transpose(0, 1, 4, 2, 3, 5),
        _split(grads, cut).transpose(0, 2, 3, 4, 1)[:, :, :, None],
    )
    wide = np.promote_types(products.dtype, np.float32)
    summed = np.add.reduce(products, axis=(1, 2), dtype=wide)
    return np.asarray(summed.reshape(groups, height, outs))


def _sums(grads: Array) -> Array:
    """Sum grads (G, K, P, Q N) for each channel."""
    groups, outs, rows, length = grads.shape
    return total(grads.reshape(groups, outs, rows * length), -1)


def _sum_parts(parts: Sequence[Array]) -> Array:
    """Sum the results of the threads, always in the same order."""
    first, *others = parts
    for other in others:
        first += other
    return first


def _input_part(
    grads: Array, weight: Array, out: Array, windows: Windows, groups: int
) -> Callable[[slice], None]:
    """Return a function that writes a part of `out` (C, H, W, N), the gradient for x.

    Each entry is the sum of the gradients of the columns (C R S, P Q N) that it was copied to. The
    function takes a slice of the rows of the grid, and writes the same share of the groups, or of
    the channels if there is only one group, so that no two threads write the same entry.

    A convolution of grads with the flipped weight takes 0.74 times as long for 32 channels of 16x16
    images, but it sums K S products at a time instead of K, with 1.5 times the error. It is used
    only for groups of one output, where the error is the same.
    """
    if len(weight) == groups:
        return _flipped_part(grads, weight, out, windows)
    channels, outs, count = len(out) // groups, len(grads) // groups, out.shape[-1]
    positions = math.prod(windows.kernel)
    matrices = weight.reshape(groups, outs, channels, positions).transpose(0, 2, 3, 1)
    image = out.reshape(groups, channels, *out.shape[1:])
    flat = grads.reshape(groups, outs, math.prod(grads.shape[1:]))

    def part(rows: slice) -> None:
        group = _share(rows, windows.counts[0], groups) if groups > 1 else _EVERY
        channel = _EVERY if groups > 1 else _share(rows, windows.counts[0], channels)
        target, own = image[group, channel], matrices[group, channel]
        if not target.size:  # more threads than groups
            return
        height = own.shape[1] * positions
        own = own.reshape(len(own), height, outs)
        if _is_pointwise(windows, out.shape[1:-1]):
            np.matmul(own, flat[group], out=target.reshape(len(own), height, flat.shape[-1]))
            return
        target.fill(0)
        most = _PIECE // max(1, len(own) * height * count * out.itemsize)
        for box, where in _boxes(windows.counts, most, count):
            given = flat[group, :, where]
            columns = memory.empty((len(own), height, given.shape[-1]), out.dtype)
            cut = _columns_per_block(own[0].size, columns.shape[-1])
            blocks = (_split(x, cut).swapaxes(1, 2) for x in (given, columns))
            np.matmul(own[:, None], next(blocks), out=next(blocks))
            spans = (stop - start for start, stop in box)
            columns = columns.reshape(*target.shape[:2], positions, *spans, count)
            for position, met in enumerate(meetings(windows, out.shape[1:-1], box)):
                entries = target[(_EVERY, _EVERY, *met.image)]
                np.add(entries, columns[(_EVERY, _EVERY, position, *met.grid)], out=entries)

    return part


def _flipped_part(
    grads: Array, weight: Array, out: Array, windows: Windows
) -> Callable[[slice], None]:
    """Return the function of `_input_part` for groups of one output.

    The gradient is the convolution of grads with the flipped weight; a stride inserts zeros into
    grads. For 64 groups of one channel and 3x3 kernels, it takes 0.1 times as long as adding up
    columns.
    """
    kernel, stride, padding, dilation, counts = windows
    if max(stride) > 1:
        lengths = [st * (count - 1) + 1 for st, count in zip(stride, counts, strict=True)]
        spread = memory.empty((len(grads), *lengths, grads.shape[-1]), grads.dtype)
        spread.fill(0)
        spread[(_EVERY, *(slice(None, None, st) for st in stride))] = grads
        grads = spread
    borders = (d * (r - 1) for d, r in zip(dilation, kernel, strict=True))
    padding = tuple(
        (border - before, border - after)
        for border, (before, after) in zip(borders, padding, strict=True)
    )
    own = Windows(kernel, (1,) * len(kernel), padding, dilation, out.shape[1:-1])
    groups, channels, *_ = weight.shape
    flipped = np.flip(weight, tuple(range(2, weight.ndim))).reshape(groups * channels, 1, *kernel)
    flipped = np.ascontiguousarray(flipped)  # BLAS takes no negative strides

    def part(rows: slice) -> None:
        share = _share(rows, counts[0], out.shape[1])
        _correlate(grads, flipped, None, _rows_of(own, share), groups, out[:, share])

    return part


def _share(part: slice, whole: int, length: int) -> slice:
    """Return the slice of range(length) that corresponds to a part of range(whole)."""
    return slice(length * part.start // whole, length * part.stop // whole)


def _rows_of(windows: Windows, rows: slice) -> Windows:
    """Return the windows of some rows of the grid."""
    if rows == slice(0, windows.counts[0]):
        return windows
    (before, after), *padding = windows.padding
    moved = before - windows.stride[0] * rows.start
    return windows._replace(
        padding=((moved, after), *padding), counts=(rows.stop - rows.start, *windows.counts[1:])
    )


def _fold(x: Array, windows: Windows, shortest: int) -> tuple[Array, Windows]:
    """Prepend a spatial axis of length 1, unless rows of windows can share blocks of columns.

    With this axis, all columns are one block, which is also faster if a row of windows has fewer
    than `shortest` columns.
    """
    (kernel, *_), (stride, *_), _, (dilation, *_), (count, *_) = windows
    length = math.prod(windows.counts[1:]) * x.shape[-1]
    if x.ndim > 3 and kernel > stride and dilation == 1 and count > 1 and length >= shortest:
        return x, windows
    folded = Windows(
        (1, *windows.kernel),
        (1, *windows.stride),
        ((0, 0), *windows.padding),
        (1, *windows.dilation),
        (1, *windows.counts),
    )
    return x[:, None], folded


def _inner(windows: Windows) -> Windows:
    """Return the windows along all axes except the first."""
    kernel, stride, padding, dilation, counts = windows
    return Windows(kernel[1:], stride[1:], padding[1:], dilation[1:], counts[1:])


def _stack(x: Array, windows: Windows, groups: int) -> Array:
    """Return x (K, P, Q, N) as (G, K / G, P, Q N), or as (G, K / G, 1, P Q N) after `_fold`."""
    length = math.prod(windows.counts[1:]) * x.shape[-1]
    return x.reshape(groups, len(x) // groups, windows.counts[0], length)


def _pieces(x: Array, windows: Windows, groups: int) -> Iterator[tuple[Slices, Array]]:
    """Yield each piece of the grid: its place in the result of `_stack`, and its columns.

    The columns are (G, P, R C S / G, Q N). Pieces share one buffer: each overwrites the previous
    one.
    """
    count, counts = x.shape[-1], windows.counts
    kernel, stride = windows.kernel[0], windows.stride[0]
    # Bytes gathered from one row of the images per window along the width.
    height = max(1, len(x) * math.prod(windows.kernel[1:]) * count * x.itemsize)
    # At least four rows of windows per piece: image rows shared by two pieces are gathered twice.
    least = kernel + 3 * stride if counts[0] > 1 else 1
    space = memory.empty((0,), x.dtype)
    for box, where in _boxes(counts[1:], _PIECE // (height * least), count):
        width = height * math.prod(stop - start for start, stop in box)
        most = max(1, (_PIECE // width - kernel) // stride + 1)
        for rows in _evenly(counts[0], most):
            columns, space = _gather(x, windows, (rows, *box), groups, space)
            yield (_EVERY, _EVERY, slice(*rows), where), columns


def _gather(x: Array, windows: Windows, box: Box, groups: int, space: Array) -> tuple[Array, Array]:
    """Return the columns (G, P, R C S / G, Q N) of a box, and the buffer that they are a view of.

    The buffer has room for (G, H, C / G, S, Q, N); it is `space` if that is large enough.
    """
    (start, stop), *inner = box
    kernel, stride, before = windows.kernel[0], windows.stride[0], windows.padding[0][0]
    channels, count = len(x) // groups, x.shape[-1]
    length = math.prod(stop - start for start, stop in inner) * count
    first, height = stride * start - before, stride * (stop - start - 1) + kernel
    met = meetings(_inner(windows), x.shape[2:-1], tuple(inner))
    image = x.reshape(groups, channels, *x.shape[1:])
    if len(met) == height == 1 and not met[0].outside:
        entries = image[(_EVERY, _EVERY, first, *met[0].image)]
        if entries[:1, :1].flags.c_contiguous:
            return entries.reshape(groups, 1, channels, length), space
    shape = (groups, height, channels, len(met), *(stop - start for start, stop in inner), count)
    size = math.prod(shape)
    if space.size < size:
        space = memory.empty((size,), x.dtype)
    columns = space[:size].reshape(shape)
    top = min(max(0, -first), height)
    bottom = max(top, min(height, x.shape[1] - first))
    is_small = size < _FEW
    if is_small:
        columns.fill(0)
    else:
        columns[:, :top] = 0
        columns[:, bottom:] = 0
    for position, meeting in enumerate(met):
        target = columns[:, top:bottom, :, position]
        for side in () if is_small else meeting.outside:
            target[(_EVERY, _EVERY, _EVERY, *side)] = 0
        entries = image[(_EVERY, _EVERY, slice(first + top, first + bottom), *meeting.image)]
        target[(_EVERY, _EVERY, _EVERY, *meeting.grid)] = entries.swapaxes(1, 2)
    group, row, _, step, *_ = columns.strides
    # Row p of windows begins `stride` rows of the image after row p - 1.
    view = np.ndarray(
        (groups, stop - start, kernel * len(met) * channels, length),
        x.dtype,
        columns,
        strides=(group, stride * row, step, x.itemsize),
    )
    return view, space


def _boxes(counts: Sizes, most: int, count: int) -> Iterator[tuple[Box, slice]]:
    """Cut a grid into boxes of at most `most` windows that are contiguous in (P Q N).

    Yields each box as (start, stop) per axis, and its slice of (P Q N).
    """
    inner = math.prod(counts[1:])
    if inner <= most or len(counts) == 1:
        step = max(1, most // max(1, inner))
        for start in range(0, counts[0], step):
            stop = min(start + step, counts[0])
            where = slice(start * inner * count, stop * inner * count)
            yield ((start, stop), *((0, length) for length in counts[1:])), where
        return
    for row in range(counts[0]):
        ahead = row * inner * count
        for box, where in _boxes(counts[1:], most, count):
            yield ((row, row + 1), *box), slice(ahead + where.start, ahead + where.stop)


def _evenly(length: int, most: int) -> Iterator[tuple[int, int]]:
    """Cut range(length) into the fewest spans of at most `most`, of nearly the same length."""
    parts = -(-length // most)
    for part in range(parts):
        yield length * part // parts, length * (part + 1) // parts


def _is_pointwise(windows: Windows, lengths: Sizes) -> bool:
    """Return whether each window is one entry, so that the image is its own matrix of columns."""
    return (
        math.prod(windows.kernel) == 1
        and max(windows.stride) == 1
        and windows.counts == tuple(lengths)
        and not any(map(any, windows.padding))
    )


@functools.lru_cache(maxsize=256)
def _divisor(length: int, most: int) -> int:
    """Return the largest divisor of `length` that is at most `most`, or 1."""
    return next((n for n in range(min(length, most), 0, -1) if length % n == 0), 1)


@functools.lru_cache(maxsize=256)
def _columns_per_block(size: int, length: int) -> int:
    """Return the columns per block of a matrix (M, length), in a product with `size` entries.

    Blocks are short enough for BLAS's path for small products if they then have at least
    `_SHORTEST` columns: 246 instead of 164 GFLOP/s for (32, 288) times (288, 256), on a core with
    AVX-512.
    """
    for blocks in range(max(1, math.ceil(size * length / _SMALL)), length // _SHORTEST + 1):
        if length % blocks == 0:
            return length // blocks
    return length


def _split(x: Array, block: int) -> Array:
    """Split the last axis of x into blocks."""
    return x.reshape(*x.shape[:-1], x.shape[-1] // max(1, block), block)


def _matrices(weight: Array, windows: Windows, groups: int) -> Array:
    """Return the weight (K, C / G, R, S) as (G, K / G, R C S / G), in the order of the columns."""
    outs, channels, *_ = weight.shape
    first, *kernel = windows.kernel  # the first length is 1 if the windows were folded
    positions = math.prod(kernel)
    split = weight.reshape(outs, channels, first, positions).swapaxes(1, 2)
    return split.reshape(groups, outs // groups, first * channels * positions)


def _cost(weight_shape: Sizes, outs: Array) -> float:
    """Estimate the ns that a convolution with outputs `outs` takes on one thread."""
    entries = math.prod(weight_shape[1:]) * outs.size
    return entries * (_MOVE / max(1, weight_shape[0]) + _MULTIPLY)
