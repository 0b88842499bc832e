"""Convolution (cross-correlation) as gather and GEMM, over channels-last memory, any rank.

Arrays have PyTorch's shapes: x (N, C, *H), weight (K, C / groups, *R), out (N, K, *P). Results are
views of that shape over memory in the order (N, *P, K), which a GEMM leaves behind and from which
the next gather reads whole runs of channels. Padding is a pair (before, after) for each axis of an
image, and crops where it is negative. Axes below, in comments, are for two dimensions.
"""

import functools
import itertools
import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import as_strided

from tinygrad_np import memory
from tinygrad_np.memory import Array

Sizes = Sequence[int]
Pads = Sequence[tuple[int, int]]

# Images are gathered in chunks of about this many bytes of columns: enough for a GEMM at full
# speed, little enough to stay in the cache. (2 to 8 MiB measured alike.)
_CHUNK = 1 << 22

# Below this many channels a copy of windows has runs too short for NumPy; rows of one kernel
# position at a time are longer.
_FEW_CHANNELS = 8


def out_size(length: int, kernel: int, stride: int, padding: tuple[int, int], dilation: int) -> int:
    """Return the number of window positions along one axis."""
    return (length + sum(padding) - dilation * (kernel - 1) - 1) // stride + 1


def conv(
    x: Array,
    weight: Array,
    bias: Array | None,
    stride: Sizes,
    padding: Pads,
    dilation: Sizes,
    groups: int,
) -> Array:
    """out[n,k,p] = bias[k] + Σ over c, r of x[n, c, stride p - before + dilation r] w[k,c,r]."""
    kernel = weight.shape[2:]
    padded = _padded(x, padding)
    sizes = [
        out_size(length, r, st, p, d)
        for length, r, st, p, d in zip(x.shape[2:], kernel, stride, padding, dilation, strict=True)
    ]
    out = _correlate(padded, weight, sizes, stride, dilation, groups)
    if bias is not None:
        np.add(out, bias, out=out)
    return np.moveaxis(out, -1, 1)


def conv_input_grad(
    grad_out: Array,
    weight: Array,
    input_shape: Sizes,
    stride: Sizes,
    padding: Pads,
    dilation: Sizes,
    groups: int,
) -> Array:
    """The gradient for x, a correlation of grad_out with the weights turned round.

    A stride leaves an image's entries in phases, each of which meets its own few of the weights.
    """
    out_channels, in_group, *kernel = weight.shape
    out_group = out_channels // groups
    grouped = weight.reshape(groups, out_group, in_group, *kernel)
    swapped = grouped.swapaxes(1, 2).reshape(groups * in_group, out_group, *kernel)
    lengths = input_shape[2:]
    axes = [_phases(*axis) for axis in zip(lengths, kernel, stride, padding, dilation, strict=True)]
    if max(stride) == 1:
        (only,) = itertools.product(*axes)
        return np.moveaxis(_correlate_phase(grad_out, swapped, only, groups), -1, 1)
    grad = memory.empty((input_shape[0], *lengths, input_shape[1]), grad_out.dtype)
    for phase in itertools.product(*axes):
        where = (slice(None), *(axis.entries for axis in phase))
        grad[where] = _correlate_phase(grad_out, swapped, phase, groups)
    return np.moveaxis(grad, -1, 1)


class _Phase(NamedTuple):
    """Entries of an axis of the image that are a multiple of the stride apart, and what they meet.

    Entry m of them meets, for each j, tap j of `taps` in window first + m - gap j.
    """

    entries: slice
    length: int
    taps: slice
    first: int
    gap: int


@functools.lru_cache(maxsize=64)
def _phases(
    length: int, kernel: int, stride: int, padding: tuple[int, int], dilation: int
) -> list[_Phase]:
    """Return the phases of one axis: entry i meets tap r where i + before - dilation r is a
    multiple of the stride."""
    step = stride // math.gcd(stride, dilation)
    found = []
    for start in range(stride):
        at = start + padding[0]
        met = (r for r in range(min(step, kernel)) if (at - dilation * r) % stride == 0)
        tap = next(met, kernel)
        found.append(
            _Phase(
                entries=slice(start, length, stride),
                length=len(range(start, length, stride)),
                taps=slice(tap, kernel, step),
                first=(at - dilation * tap) // stride,
                gap=dilation * step // stride,
            )
        )
    return found


def _correlate_phase(
    grad_out: Array, swapped: Array, phase: Sequence[_Phase], groups: int
) -> Array:
    """Correlate grad_out (N, K, P, Q) with the weights (C, K / groups, R, S) that a phase meets,
    turned round, into the phase's entries (N, H, W, C)."""
    taps = swapped[(slice(None), slice(None), *(axis.taps for axis in phase))]
    if 0 in taps.shape[2:]:
        return np.zeros((), grad_out.dtype)
    reach = [axis.gap * (r - 1) for axis, r in zip(phase, taps.shape[2:], strict=True)]
    counts = [axis.length for axis in phase]
    gaps = [axis.gap for axis in phase]
    placed = _placed(
        grad_out,
        [count + margin for count, margin in zip(counts, reach, strict=True)],
        [margin - axis.first for margin, axis in zip(reach, phase, strict=True)],
    )
    turned = np.flip(taps, tuple(range(2, taps.ndim)))
    return _correlate(placed, turned, counts, [1] * len(gaps), gaps, groups)


def conv_weight_grad(
    x: Array,
    grad_out: Array,
    kernel: Sizes,
    stride: Sizes,
    padding: Pads,
    dilation: Sizes,
    groups: int,
) -> Array:
    """The gradient for weight: columns of x, transposed, times grad_out, summed over the images."""
    padded = _padded(x, padding)
    grad = np.ascontiguousarray(np.moveaxis(grad_out, 1, -1))  # N, P, Q, K
    in_group, out_group = x.shape[1] // groups, grad.shape[-1] // groups
    rows = in_group * math.prod(kernel)
    total = np.zeros((groups, rows, out_group), x.dtype)
    product = np.empty((rows, out_group), x.dtype)
    for group in range(groups):
        channels = slice(group * in_group, (group + 1) * in_group)
        windows = _windows(padded[..., channels], kernel, grad.shape[1:-1], stride, dilation)
        outs = slice(group * out_group, (group + 1) * out_group)
        for images, columns in _columns(windows, len(kernel)):
            part = grad[images, ..., outs].reshape(len(columns), out_group)
            np.add(total[group], np.matmul(columns.T, part, out=product), out=total[group])
    # (groups, R S C, K) to (groups K, C, R, S)
    total = total.reshape(groups, *kernel, in_group, out_group)
    total = np.moveaxis(total, (-1, -2), (1, 2))
    return np.ascontiguousarray(total).reshape(groups * out_group, in_group, *kernel)


def channel_sums(grad_out: Array) -> Array:
    """The gradient for bias: the sum over all axes but the channels, as a matrix-vector product."""
    rows = np.moveaxis(grad_out, 1, -1).reshape(-1, grad_out.shape[1])
    return np.ones(len(rows), rows.dtype) @ rows


def _correlate(
    padded: Array, weight: Array, sizes: Sizes, stride: Sizes, dilation: Sizes, groups: int
) -> Array:
    """Correlate padded (N, H, W, C) with weight (K, C / groups, R, S) into out (N, P, Q, K)."""
    out_channels, in_group, *kernel = weight.shape
    out_group = out_channels // groups
    out = memory.empty((len(padded), *sizes, out_channels), padded.dtype)
    flat = out.reshape(len(padded), math.prod(sizes), out_channels)
    rows = in_group * math.prod(kernel)
    for group in range(groups):
        channels = slice(group * in_group, (group + 1) * in_group)
        outs = slice(group * out_group, (group + 1) * out_group)
        matrix = np.moveaxis(weight[outs], (0, 1), (-1, -2)).reshape(rows, out_group)  # R S C, K
        windows = _windows(padded[..., channels], kernel, sizes, stride, dilation)
        for images, columns in _columns(windows, len(kernel)):
            target = flat[images].reshape(len(columns), out_channels)[:, outs]
            np.matmul(columns, matrix, out=target)
    return out


def _padded(x: Array, padding: Pads) -> Array:
    """Return x (N, C, H, W) within its padding as channels-last (N, H, W, C)."""
    if not any(map(any, padding)):
        channels_last = np.moveaxis(x, 1, -1)
        if channels_last.flags.c_contiguous:
            return channels_last
    lengths = [length + sum(pair) for length, pair in zip(x.shape[2:], padding, strict=True)]
    return _placed(x, lengths, [before for before, _ in padding])


def _placed(x: Array, lengths: Sizes, offsets: Sizes) -> Array:
    """Return zeros (N, *lengths, C) with x[n, c, i] at position offset + i; what falls outside is
    left out."""
    out = memory.empty((x.shape[0], *lengths, x.shape[1]), x.dtype)
    out.fill(0)
    source, target = [slice(None)], [slice(None)]
    for count, length, offset in zip(x.shape[2:], lengths, offsets, strict=True):
        first = min(count, max(0, -offset))
        last = max(first, min(count, length - offset))
        source.append(slice(first, last))
        target.append(slice(offset + first, offset + last))
    out[tuple(target)] = np.moveaxis(x, 1, -1)[tuple(source)]
    return out


def _windows(padded: Array, kernel: Sizes, sizes: Sizes, stride: Sizes, dilation: Sizes) -> Array:
    """Return the view (N, P, Q, R, S, C) of all windows in padded (N, H, W, C)."""
    first, *between, last = padded.strides
    shape = (padded.shape[0], *sizes, *kernel, padded.shape[-1])
    strides = (
        first,
        *(step * st for step, st in zip(between, stride, strict=True)),
        *(step * d for step, d in zip(between, dilation, strict=True)),
        last,
    )
    return as_strided(padded, shape, strides, writeable=False)


def _columns(windows: Array, rank: int) -> Iterator[tuple[slice, Array]]:
    """Yield for each chunk of images the matrix (N P Q, R S C) of its windows."""
    count, channels = windows.shape[0], windows.shape[-1]
    width = channels * math.prod(windows.shape[1 + rank : -1])
    height = math.prod(windows.shape[1 : 1 + rank])
    step = max(1, _CHUNK // max(1, height * width * windows.itemsize))
    kernel_axes = list(range(1 + rank, windows.ndim))
    for start in range(0, count, step):
        images = slice(start, min(start + step, count))
        chunk = windows[images]
        rows = len(chunk) * height
        if chunk.flags.c_contiguous:
            yield images, chunk.reshape(rows, width)
        elif channels < _FEW_CHANNELS:
            chunk = chunk.transpose([*kernel_axes, *range(1 + rank)])  # R, S, C, N, P, Q
            space = memory.empty(chunk.shape, chunk.dtype)
            np.copyto(space, chunk)
            yield images, space.reshape(width, rows).T
        else:
            space = memory.empty(chunk.shape, chunk.dtype)
            np.copyto(space, chunk)
            yield images, space.reshape(rows, width)
