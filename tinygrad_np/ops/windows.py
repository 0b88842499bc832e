"""The options that convolution and pooling share, checked and brought to one number an axis."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygrad_np.autograd.tape import Shape, Variable
from tinygrad_np.errors import ArgumentError, DtypeError, ShapeError
from tinygrad_np.kernels.conv import out_size

Sizes = int | Sequence[int]
Pads = tuple[tuple[int, int], ...]


def shape_of(name: str, value: Any) -> Shape:
    """Return the shape of an operand; refuse lists and other things without one."""
    if not isinstance(value, Variable | np.ndarray):
        raise DtypeError(f"{name}: got a {type(value).__name__}, expected a Tensor or an ndarray")
    return value.shape


def is_whole(number: Any) -> bool:
    """Whether this is an integer, Python's or NumPy's."""
    return isinstance(number, int | np.integer)


def per_axis(name: str, value: Any, rank: int, least: int) -> Shape:
    """Return one number an axis, given one for all or one each."""
    if type(value) is tuple and len(value) == rank:  # what layers give, each time
        for number in value:
            if type(number) is not int or number < least:
                break
        else:
            return value
    numbers = tuple(value) if isinstance(value, Sequence) else (value,) * rank
    if len(numbers) != rank or any(not is_whole(n) or n < least for n in numbers):
        raise ArgumentError(
            f"{name}: got {value!r}, expected an integer of at least {least}, or {rank} of them"
        )
    return tuple(map(int, numbers))


def pads_per_axis(name: str, value: Any, rank: int) -> Pads:
    """Return (before, after) for each axis, given one number for all or one each, or a flat pair
    each, last axis first, of which negative ones crop."""
    if isinstance(value, Sequence) and len(value) == 2 * rank and all(map(is_whole, value)):
        numbers = list(map(int, value))
        return tuple((numbers[i], numbers[i + 1]) for i in range(2 * rank - 2, -1, -2))
    return tuple((border, border) for border in per_axis(name, value, rank, 0))


def window_counts(
    name: str,
    lengths: Shape,
    kernel: Sequence[int],
    stride: Shape,
    pads: Pads,
    dilation: Shape,
    ceil_mode: bool = False,
) -> Shape:
    """Return how many windows there are along each axis; refuse one larger than its image.

    In ceil_mode a last window may reach over the end, if it starts within the image or before it.
    """
    counts = []
    for axis, length in enumerate(lengths):
        st, pair = stride[axis], pads[axis]
        spare = st - 1 if ceil_mode else 0
        count = out_size(length + spare, kernel[axis], st, pair, dilation[axis])
        if ceil_mode and (count - 1) * st >= length + pair[0]:
            count -= 1
        if count < 1:
            raise ShapeError(
                f"{name}: a window of {tuple(kernel)} (dilation {dilation}) does not fit into an "
                f"image of {lengths} with padding {pads}; pool less, pad more, or give a larger "
                "image"
            )
        counts.append(count)
    return tuple(counts)
