"""Check the options shared by convolution and pooling, and expand each to one value per axis."""

import functools
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np

from tinygrad_np.autograd.tape import Variable
from tinygrad_np.checks import is_integer
from tinygrad_np.errors import ArgumentError, DtypeError, ShapeError
from tinygrad_np.kernels.windows import Windows, count_windows
from tinygrad_np.typing import Shape

Sizes: TypeAlias = int | Sequence[int]
Pads: TypeAlias = tuple[tuple[int, int], ...]


def shape_of(name: str, value: object) -> Shape:
    """Return the shape of a Tensor or ndarray; raise DtypeError for any other value."""
    if not isinstance(value, Variable | np.ndarray):
        raise DtypeError(f"{name}: expected a Tensor or an ndarray, got {type(value).__name__}.")
    return value.shape


def per_axis(who: str, name: str, value: Sizes, rank: int, least: int) -> Shape:
    """Return one number per axis, given one for all axes or one per axis."""
    if type(value) is tuple and len(value) == rank:  # fast path: layers pass tuples
        for number in value:
            if type(number) is not int or number < least:
                break
        else:
            return value
    numbers = tuple(value) if isinstance(value, Sequence) else (value,) * rank
    if len(numbers) != rank or any(not is_integer(n) or n < least for n in numbers):
        raise ArgumentError(
            f"{who}: expected `{name}` to be an integer >= {least}, or {rank} of them, "
            f"got {value!r}."
        )
    return tuple(map(int, numbers))


def pads_per_axis(who: str, name: str, value: Sizes, rank: int) -> Pads:
    """Return (before, after) per axis.

    Accepts one number for all axes, one per axis, or a flat sequence of pairs, last axis first.
    Negative numbers, allowed only in pairs, crop.
    """
    if isinstance(value, Sequence) and len(value) == 2 * rank and all(map(is_integer, value)):
        return tuple((int(value[i]), int(value[i + 1])) for i in range(2 * rank - 2, -1, -2))
    return tuple([(border, border) for border in per_axis(who, name, value, rank, 0)])


@functools.lru_cache(maxsize=512)
def place_windows(
    name: str,
    lengths: Shape,
    kernel: Shape,
    stride: Shape,
    pads: Pads,
    dilation: Shape,
    ceil_mode: bool = False,
) -> Windows:
    """Return the windows that fit into images of `lengths`; raise ShapeError if none fit.

    In ceil_mode the last window may extend beyond the end if it starts in the image or in the
    padding before it.
    """
    counts = []
    for length, size, st, pair, d in zip(lengths, kernel, stride, pads, dilation, strict=True):
        count = count_windows(length + (st - 1 if ceil_mode else 0), size, st, pair, d)
        if ceil_mode and (count - 1) * st >= length + pair[0]:
            count -= 1
        if count < 1:
            raise ShapeError(
                f"{name}: expected the window to fit into the image, got kernel {kernel} with "
                f"dilation {dilation} for an image of {lengths} with padding {pads}. Try a smaller "
                "kernel or more padding."
            )
        counts.append(count)
    return Windows(kernel, stride, pads, dilation, tuple(counts))


def transposed_lengths(
    lengths: Shape, kernel: Sequence[int], stride: Shape, pads: Pads, dilation: Shape
) -> Shape:
    """Return the lengths of the smallest image that has `lengths` windows along its axes."""
    axes = zip(lengths, kernel, stride, pads, dilation, strict=True)
    return tuple((n - 1) * st + d * (r - 1) + 1 - sum(pair) for n, r, st, pair, d in axes)
