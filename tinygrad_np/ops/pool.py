"""Pooling. Which entry of a window wins is locally constant, so the gradient of max pooling is a
scatter to the winners, and its transpose gathers from them.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygrad_np.autograd.dispatch import V, op
from tinygrad_np.autograd.primitives import cast
from tinygrad_np.autograd.tape import Variable
from tinygrad_np.checks import is_integer
from tinygrad_np.errors import ArgumentError, AxisError, DtypeError, ShapeError
from tinygrad_np.kernels import pool as kernels
from tinygrad_np.kernels.windows import Windows
from tinygrad_np.ops.elementwise import select
from tinygrad_np.ops.indexing import index_add
from tinygrad_np.ops.resize import resample
from tinygrad_np.ops.shape import reshape
from tinygrad_np.ops.windows import (
    Pads,
    Sizes,
    pads_per_axis,
    per_axis,
    place_windows,
    shape_of,
    transposed_lengths,
)
from tinygrad_np.runtime.memory import Array
from tinygrad_np.typing import Shape, Value


def _options(
    name: str,
    x: object,
    kernel_size: Sizes,
    stride: Sizes | None,
    dilation: Sizes,
    padding: Sizes,
) -> tuple[Shape, Shape, Pads, Shape]:
    """Return kernel, stride, padding and dilation for each axis of the images x."""
    shape = shape_of(name, x)
    rank = len(kernel_size) if isinstance(kernel_size, Sequence) else 2
    kernel = per_axis(name, "kernel_size", kernel_size, rank, 1)
    st = kernel if stride is None else per_axis(name, "stride", stride, rank, 1)
    d = per_axis(name, "dilation", dilation, rank, 1)
    pads = pads_per_axis(name, "padding", padding, rank)
    if not rank <= len(shape) <= rank + 2:
        raise ShapeError(
            f"{name}: expected {rank + 2} axes: batch, channels and one for each of kernel_size "
            f"{kernel}, or an image without batch or channels, got input {shape}"
        )
    if any(2 * max(pads[axis]) > d[axis] * (r - 1) + 1 for axis, r in enumerate(kernel)):
        raise ArgumentError(
            f"{name} padding: expected at most half of kernel_size {kernel} (dilation {d}), so "
            f"that each window holds an entry of the image, got {padding!r}"
        )
    return kernel, st, pads, d


def _windows_of(
    name: str,
    x: Value,
    kernel_size: Sizes,
    stride: Sizes | None,
    dilation: Sizes,
    padding: Sizes,
    ceil_mode: bool,
) -> Windows:
    options = _options(name, x, kernel_size, stride, dilation, padding)
    lengths = x.shape[-len(options[0]) :]
    if 0 in lengths:
        raise ShapeError(f"{name}: expected images with entries, got input {x.shape}")
    return place_windows(name, lengths, *options, bool(ceil_mode))


def _images(x: Array, windows: Windows) -> tuple[Array, tuple[int, ...]]:
    """Return x as (N, C, H, W), and the index that removes from a result the axes added here."""
    missing = len(windows.kernel) + 2 - x.ndim
    return x[(None,) * missing], (0,) * missing


def max_pool2d(
    x: V,
    kernel_size: Sizes = (2, 2),
    stride: Sizes | None = None,
    dilation: Sizes = 1,
    padding: Sizes = 0,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """Take the maximum of each window.

    Args:
        x: images of shape (N, C, H, W), (C, H, W) or (H, W); with as many axes in place of H, W as
            there are numbers in `kernel_size`.
        kernel_size: lengths of a window, one number for two axes or one per axis.
        stride: step between windows; defaults to `kernel_size`.
        dilation: step between the entries of a window.
        padding: border of the lowest number, given as for `conv2d`; at most half a window.
        ceil_mode: whether the last window may reach beyond the image.
        return_indices: whether to return the pair (maxima, int64 indices into the flattened H W).

    A nan wins; the gradient goes to the first maximum of each window.

    >>> from tinygrad_np import Tensor
    >>> Tensor([[[[1.0, 5.0, 2.0], [3.0, 4.0, 0.0]]]]).max_pool2d(2, stride=1, return_indices=True)
    (Tensor([[[[5., 5.]]]]), Tensor([[[[1, 1]]]]))
    """
    windows = _windows_of("max_pool2d", x, kernel_size, stride, dilation, padding, ceil_mode)
    values = max_pool(x, windows)
    return (values, max_pool_indices(x, windows)) if return_indices else values


@op(
    "the maximum of each window",
    vjps={
        "x": lambda grad_out, winners, x_shape, windows: max_pool_grad(
            grad_out, winners, x_shape, windows
        )
    },
    backward=lambda grad_out, winners, x_shape, windows: [
        max_pool_grad.forward(grad_out, winners, input_shape=x_shape, windows=windows)
    ],
    backward_flops=lambda grad_out: grad_out.size,
    keeps=("winners",),
    subgradient="the first winner's among ties",
    flops=lambda out, windows: out.size * math.prod(windows.kernel),
)
def max_pool(x: Array, *, windows: Windows) -> tuple[Array, Array]:
    """Maximum of each window."""
    images, place = _images(x, windows)
    out, winners = kernels.max_pool(images, windows)
    return out[place], winners[place]


@op(
    "where the maximum of each window is",
    flops=lambda out, windows: out.size * math.prod(windows.kernel),
)
def max_pool_indices(x: Array, *, windows: Windows) -> Array:
    """Index in the flattened image of each window's first maximum, int64."""
    images, place = _images(x, windows)
    return kernels.max_pool_indices(images, windows)[place]


@op(
    "zeros, plus each grad at its winner",
    vjps={"grad": lambda grad_out, winners, windows: max_pool_gather(grad_out, winners, windows)},
    flops=lambda grad: grad.size,
)
def max_pool_grad(grad: Array, winners: Array, *, input_shape: Shape, windows: Windows) -> Array:
    """Scatter grad (N, C, P, Q) to the winning entries of (N, C, H, W)."""
    grads, place = _images(grad, windows)
    shape = (*(1,) * len(place), *input_shape)
    return kernels.max_pool_grad(grads, _images(winners, windows)[0], shape, windows)[place]


@op(
    "x at the winner of each window",
    vjps={
        "x": lambda grad_out, winners, x_shape, windows: max_pool_grad(
            grad_out, winners, x_shape, windows
        )
    },
    flops=0,
)
def max_pool_gather(x: Array, winners: Array, *, windows: Windows) -> Array:
    """Gather from x (N, C, H, W) the winning entries (N, C, P, Q)."""
    images, place = _images(x, windows)
    return kernels.max_pool_gather(images, _images(winners, windows)[0], windows)[place]


def _entries(kernel_size: Sizes) -> int:
    """Return the number of entries of a window."""
    return math.prod(kernel_size) if isinstance(kernel_size, Sequence) else kernel_size**2


@op(
    "the mean of each window",
    vjps={
        "x": lambda grad_out, x_shape, windows, ceil_mode, count_include_pad: avg_pool_grad(
            grad_out, x_shape, windows, ceil_mode, count_include_pad
        )
    },
    keeps=("windows",),
    floating=True,
    flops=lambda out, kernel_size: out.size * _entries(kernel_size),
)
def avg_pool2d(
    x: Array,
    *,
    kernel_size: Sizes = (2, 2),
    stride: Sizes | None = None,
    dilation: Sizes = 1,
    padding: Sizes = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> tuple[Array, Windows]:
    """Take the mean of each window; integers give float32.

    Arguments are those of `max_pool2d`, with a border of zeros. `count_include_pad` says whether
    they count; what a window has beyond them, in ceil_mode, never counts.

    >>> Tensor([[1.0, 5.0], [3.0, 4.0]]).avg_pool2d(2)
    Tensor([[3.25]])
    """
    windows = _windows_of("avg_pool2d", x, kernel_size, stride, dilation, padding, ceil_mode)
    images, place = _images(x, windows)
    return kernels.avg_pool(images, windows, bool(count_include_pad))[place], windows


@op(
    "each grad, spread evenly over its window",
    vjps={
        "grad": lambda grad_out, windows, ceil_mode, count_include_pad: avg_pool2d(
            grad_out,
            windows.kernel,
            windows.stride,
            windows.dilation,
            windows.flat_padding,
            ceil_mode,
            count_include_pad,
        )
    },
    flops=lambda grad, windows: grad.size * math.prod(windows.kernel),
)
def avg_pool_grad(
    grad: Array, *, input_shape: Shape, windows: Windows, ceil_mode: bool, count_include_pad: bool
) -> Array:
    """Spread grad (N, C, P, Q) over the windows of (N, C, H, W)."""
    grads, place = _images(grad, windows)
    shape = (*(1,) * len(place), *input_shape)
    return kernels.avg_pool_grad(grads, shape, windows, bool(count_include_pad))[place]


def adaptive_avg_pool2d(x: V, output_size: int | Sequence[int | None]) -> V:
    """Take means over windows as even as can be, `output_size` of them along each axis.

    Window p of P along H is entries floor(p H / P) up to ceil((p + 1) H / P); windows may overlap.
    Integers give float32.

    Args:
        x: images of shape (N, C, H, W), or with other axes in front.
        output_size: the lengths of the last axes, None to keep one; an integer means two axes.

    >>> from tinygrad_np import Tensor
    >>> Tensor([[[[1.0, 2.0, 6.0]]]]).adaptive_avg_pool2d((1, 2))
    Tensor([[[[1.5, 4. ]]]])
    """
    name = "adaptive_avg_pool2d"
    shape = shape_of(name, x)
    sizes = adaptive_sizes(name, output_size)
    first = len(shape) - len(sizes)
    if first < 0 or 0 in shape[first:]:
        raise ShapeError(
            f"{name}: expected images with entries and an axis for each of output_size {sizes}, "
            f"got input {shape}"
        )
    if x.dtype.kind != "f":
        x = cast(x, np.float32)
    for axis, size in enumerate(sizes, start=first):
        if size is not None and size != shape[axis]:
            x = resample(x, axis, "mean", (shape[axis], size))
    return x


def adaptive_sizes(name: str, output_size: int | Sequence[int | None]) -> tuple[int | None, ...]:
    """Return one size per axis, None to keep it; an integer means two axes."""
    sizes = tuple(output_size) if isinstance(output_size, Sequence) else (output_size,) * 2
    if not all(size is None or (is_integer(size) and size > 0) for size in sizes):
        raise ArgumentError(
            f"{name} output_size: expected integers of at least 1, or None, got {output_size!r}"
        )
    return tuple(None if size is None else int(size) for size in sizes)


def max_unpool2d(
    x: V,
    indices: Value,
    kernel_size: Sizes = (2, 2),
    stride: Sizes | None = None,
    dilation: Sizes = 1,
    padding: Sizes = 0,
    output_size: Sequence[int] | None = None,
) -> V:
    """Put the entries of x where `max_pool2d` found them, with zeros elsewhere.

    If several entries share an index, the last one is put there.

    Args:
        x: maxima of shape (N, C, P, Q), (C, P, Q) or (P, Q).
        indices: what `max_pool2d` returned, of the same shape.
        output_size: a shape whose last entries are those of the image; by default the smallest
            image that has these windows.

    The other options are those given to `max_pool2d`.

    Raises:
        ShapeError: if shapes do not match.
        AxisError: if an index is outside the image.

    >>> from tinygrad_np import Tensor
    >>> x = Tensor([[[[1.0, 5.0], [3.0, 4.0]]]])
    >>> x.max_pool2d(2, return_indices=True)[0].max_unpool2d(Tensor([[[[1]]]]))
    Tensor([[[[0., 5.],
              [0., 0.]]]])
    """
    name = "max_unpool2d"
    kernel, st, pads, d = _options(name, x, kernel_size, stride, dilation, padding)
    rank = len(kernel)
    lead, counts = x.shape[:-rank], x.shape[-rank:]
    lengths = transposed_lengths(counts, kernel, st, pads, d)
    if output_size is not None:
        last = output_size[-rank:] if isinstance(output_size, Sequence) else output_size
        lengths = per_axis(name, "output_size", last, rank, 1)
    elif min(lengths) < 1:
        raise ShapeError(
            f"{name}: expected an image with entries, got {lengths} from input {x.shape} and "
            f"kernel_size {kernel} with stride {st} and padding {pads}. Try less padding, or "
            "output_size=."
        )
    size = math.prod(lengths)
    images = np.arange(math.prod(lead)).reshape(*lead, *(1,) * rank)
    places = (size * images + _check_indices(name, x.shape, indices, size)).reshape(-1)
    # Only the last of the entries that share an index is put there, and has a gradient.
    order = np.arange(len(places))
    owner = np.zeros(size * images.size, np.int64)
    np.maximum.at(owner, places, order)
    entries = select(reshape(x, shape=(len(places),)), owner[places] == order)
    out = index_add(entries, key=(places,), shape=(len(owner),))
    return reshape(out, shape=(*lead, *lengths))


def _check_indices(name: str, shape: Shape, indices: object, count: int) -> Array:
    """Return indices below `count` as an int64 array of this shape."""
    shape_of(name, indices)
    array = indices.data if isinstance(indices, Variable) else np.asarray(indices)
    if array.dtype.kind not in "iu":
        raise DtypeError(f"{name}: expected indices of integers, got dtype {array.dtype}")
    if array.shape != shape:
        raise ShapeError(f"{name}: expected indices of the input's {shape}, got {array.shape}")
    if array.size and not 0 <= array.min() <= array.max() < count:
        raise AxisError(
            f"{name}: expected indices from 0 to {count - 1}, got {array.min()} to {array.max()}. "
            "Try output_size= if the image was larger."
        )
    return np.asarray(array, np.int64)
