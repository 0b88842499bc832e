"""Max and average pooling, adaptive pooling and unpooling.

The position of a window's maximum is locally constant, so the gradient of max pooling scatters
`grad_out` to these positions. The transpose of that scatter is a gather from the same positions.
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
from tinygrad_np.ops.elementwise import keep_where
from tinygrad_np.ops.indexing import index_add
from tinygrad_np.ops.reduce import mean
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
    """Check the options and return kernel, stride, padding and dilation per spatial axis."""
    shape = shape_of(name, x)
    rank = len(kernel_size) if isinstance(kernel_size, Sequence) else 2
    kernel = per_axis(name, "kernel_size", kernel_size, rank, 1)
    st = kernel if stride is None else per_axis(name, "stride", stride, rank, 1)
    d = per_axis(name, "dilation", dilation, rank, 1)
    pads = pads_per_axis(name, "padding", padding, rank)
    if not rank <= len(shape) <= rank + 2:
        raise ShapeError(
            f"{name}: expected {rank} to {rank + 2} axes for kernel_size {kernel} (batch and "
            f"channel axes are optional), got input {shape}."
        )
    if any(2 * max(pads[axis]) > d[axis] * (r - 1) + 1 for axis, r in enumerate(kernel)):
        raise ArgumentError(
            f"{name}: expected `padding` to be at most half of kernel_size {kernel} with dilation "
            f"{d}, got {padding!r}. With more padding, some windows would miss the image."
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
        raise ShapeError(f"{name}: expected non-empty images, got input {x.shape}.")
    return place_windows(name, lengths, *options, bool(ceil_mode))


def _images(x: Array, windows: Windows) -> tuple[Array, tuple[int, ...]]:
    """Return x as (N, C, H, W), and the index that removes the added axes from a result."""
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
    """Take the maximum over each window.

    Args:
        x: images of shape (N, C, H, W), (C, H, W) or (H, W); the number of spatial axes is the
            length of `kernel_size`.
        kernel_size: window size: one number for two axes, or one per spatial axis.
        stride: step between windows; defaults to `kernel_size`.
        dilation: step between the entries of a window.
        padding: rows and columns of -inf (the lowest value for integers) added on each side,
            given as for `conv2d` except "same"; at most half of the window.
        ceil_mode: whether to round the output size up, so that the last window may extend beyond
            the padded image.
        return_indices: whether to return the pair (maxima, indices). Indices are int64 and count
            along the flattened axes (H, W).

    Returns:
        A tensor of shape (N, C, P, Q) with
        P = (H + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1; or a pair of them.

    Raises:
        ShapeError: if x has too few or too many axes, an image is empty, or the padded image is
            smaller than the window.
        ArgumentError: if an option is invalid; the message names it.
        DtypeError: if x is neither a Tensor nor an ndarray.

    The gradient goes to the first maximum of each window. If a window contains nan, its maximum is
    nan, and the index and the gradient are those of its last nan. Both rules are PyTorch's.

    >>> from tinygrad_np import Tensor
    >>> Tensor([[[[1.0, 5.0, 2.0], [3.0, 4.0, 0.0]]]]).max_pool2d(2, stride=1, return_indices=True)
    (Tensor([[[[5., 5.]]]]), Tensor([[[[1, 1]]]]))
    """
    windows = _windows_of("max_pool2d", x, kernel_size, stride, dilation, padding, ceil_mode)
    values = max_pool(x, windows)
    return (values, max_pool_indices(x, windows)) if return_indices else values


@op(
    "maximum of each window",
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
    subgradient="all to the first maximum of a window",
    flops=lambda out, windows: out.size * math.prod(windows.kernel),
)
def max_pool(x: Array, *, windows: Windows) -> tuple[Array, Array]:
    """Return the maximum of each window, and its position in the window for the gradient."""
    images, place = _images(x, windows)
    out, winners = kernels.max_pool(images, windows)
    return out[place], winners[place]


@op(
    "index of each window's maximum in the flattened image",
    flops=lambda out, windows: out.size * math.prod(windows.kernel),
)
def max_pool_indices(x: Array, *, windows: Windows) -> Array:
    """Return the int64 index of each window's first maximum in the flattened image."""
    images, place = _images(x, windows)
    return kernels.max_pool_indices(images, windows)[place]


@op(
    "grad scattered to the maximum of each window, 0 elsewhere",
    vjps={"grad": lambda grad_out, winners, windows: max_pool_gather(grad_out, winners, windows)},
    flops=lambda grad: grad.size,
)
def max_pool_grad(grad: Array, winners: Array, *, input_shape: Shape, windows: Windows) -> Array:
    """Scatter grad (N, C, P, Q) to the positions of the maxima in (N, C, H, W)."""
    grads, place = _images(grad, windows)
    shape = (*(1,) * len(place), *input_shape)
    return kernels.max_pool_grad(grads, _images(winners, windows)[0], shape, windows)[place]


@op(
    "x at the position of each window's maximum",
    vjps={
        "x": lambda grad_out, winners, x_shape, windows: max_pool_grad(
            grad_out, winners, x_shape, windows
        )
    },
    flops=0,
)
def max_pool_gather(x: Array, winners: Array, *, windows: Windows) -> Array:
    """Gather the entries of x (N, C, H, W) at the positions of the maxima, as (N, C, P, Q)."""
    images, place = _images(x, windows)
    return kernels.max_pool_gather(images, _images(winners, windows)[0], windows)[place]


def _entries(kernel_size: Sizes) -> int:
    """Return the number of entries in a window."""
    return math.prod(kernel_size) if isinstance(kernel_size, Sequence) else kernel_size**2


@op(
    "mean of each window",
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
    """Take the mean over each window; integers give float32.

    Args:
        x: images of shape (N, C, H, W), (C, H, W) or (H, W); the number of spatial axes is the
            length of `kernel_size`.
        kernel_size: window size: one number for two axes, or one per spatial axis.
        stride: step between windows; defaults to `kernel_size`.
        dilation: step between the entries of a window.
        padding: rows and columns of zeros added on each side, given as for `conv2d` except "same";
            at most half of the window.
        ceil_mode: whether to round the output size up, so that the last window may extend beyond
            the padded image.
        count_include_pad: whether the mean counts the zeros of the padding. Positions beyond the
            padding, which occur in `ceil_mode`, never count.

    Returns:
        A tensor of shape (N, C, P, Q) with
        P = (H + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1.

    Raises:
        ShapeError: if x has too few or too many axes, an image is empty, or the padded image is
            smaller than the window.
        ArgumentError: if an option is invalid; the message names it.
        DtypeError: if x is neither a Tensor nor an ndarray.

    >>> Tensor([[1.0, 5.0], [3.0, 4.0]]).avg_pool2d(2)
    Tensor([[3.25]])
    """
    windows = _windows_of("avg_pool2d", x, kernel_size, stride, dilation, padding, ceil_mode)
    images, place = _images(x, windows)
    return kernels.avg_pool(images, windows, bool(count_include_pad))[place], windows


@op(
    "grad spread evenly over each window",
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
    """Spread grad (N, C, P, Q) evenly over the windows of (N, C, H, W)."""
    grads, place = _images(grad, windows)
    shape = (*(1,) * len(place), *input_shape)
    return kernels.avg_pool_grad(grads, shape, windows, bool(count_include_pad))[place]


def adaptive_avg_pool2d(x: V, output_size: int | Sequence[int | None]) -> V:
    """Take means over windows chosen to give an output of size `output_size`.

    Along an axis of length H, window p of P covers the entries from floor(p * H / P) up to, but not
    including, ceil((p + 1) * H / P). Windows may overlap. Integers give float32.

    Args:
        x: images of shape (N, C, H, W); any number of leading axes is accepted.
        output_size: lengths of the last axes, where None keeps the input's length; an integer
            applies to the last two axes.

    Raises:
        ShapeError: if an image is empty, or x has too few axes.
        ArgumentError: if a size is not an integer >= 1 or None.
        DtypeError: if x is neither a Tensor nor an ndarray.

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
            f"{name}: expected non-empty images with at least {len(sizes)} axes, one per entry of "
            f"output_size {sizes}, got input {shape}."
        )
    if x.dtype.kind != "f":
        x = cast(x, np.float32)
    changes = {a: n for a, n in enumerate(sizes, first) if n is not None and n != shape[a]}
    whole = tuple(axis for axis, size in changes.items() if size == 1)
    if whole:
        x = mean(x, axis=whole, keepdim=True)
    for axis, size in changes.items():
        if size > 1:
            x = resample(x, axis, "mean", (shape[axis], size))
    return x


def adaptive_sizes(name: str, output_size: int | Sequence[int | None]) -> tuple[int | None, ...]:
    """Return one output size per axis; None keeps the input's, an integer stands for two axes."""
    sizes = tuple(output_size) if isinstance(output_size, Sequence) else (output_size,) * 2
    if not all(size is None or (is_integer(size) and size > 0) for size in sizes):
        raise ArgumentError(
            f"{name}: expected `output_size` to be integers >= 1 or None, got {output_size!r}."
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
    """Write the maxima of `max_pool2d` back to their positions in an image of zeros.

    Args:
        x: maxima of shape (N, C, P, Q), (C, P, Q) or (P, Q).
        indices: indices returned by `max_pool2d`, of the same shape. If several entries share an
            index, the last one is written.
        kernel_size: as given to `max_pool2d`.
        stride: as given to `max_pool2d`.
        dilation: as given to `max_pool2d`.
        padding: as given to `max_pool2d`.
        output_size: shape of the image, or only its last axes; defaults to the smallest image that
            has these windows.

    Returns:
        A tensor of shape (N, C, H, W).

    Raises:
        ShapeError: if the shapes do not match, or the output would be empty.
        AxisError: if an index is outside the image.
        DtypeError: if x or `indices` is neither a Tensor nor an ndarray, or `indices` does not
            contain integers.
        ArgumentError: if an option is invalid; the message names it.

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
            f"{name}: expected a non-empty output, got lengths {lengths} from input {x.shape} and "
            f"kernel_size {kernel} with stride {st} and padding {pads}. Try less padding, or pass "
            "`output_size`."
        )
    size = math.prod(lengths)
    images = np.arange(math.prod(lead)).reshape(*lead, *(1,) * rank)
    places = (size * images + _check_indices(name, x.shape, indices, size)).reshape(-1)
    # Of entries that share an index, only the last is written and gets a gradient.
    order = np.arange(len(places))
    owner = np.zeros(size * images.size, np.int64)
    np.maximum.at(owner, places, order)
    entries = keep_where(reshape(x, shape=(len(places),)), owner[places] == order)
    out = index_add(entries, key=(places,), shape=(len(owner),))
    return reshape(out, shape=(*lead, *lengths))


def _check_indices(name: str, shape: Shape, indices: object, count: int) -> Array:
    """Return `indices` as int64; raise unless they have this shape and are below `count`."""
    shape_of(name, indices)
    array = indices.data if isinstance(indices, Variable) else np.asarray(indices)
    if array.dtype.kind not in "iu":
        raise DtypeError(f"{name}: expected integer indices, got dtype {array.dtype}.")
    if array.shape != shape:
        raise ShapeError(f"{name}: expected indices of shape {shape}, got {array.shape}.")
    if array.size and not 0 <= array.min() <= array.max() < count:
        raise AxisError(
            f"{name}: expected indices from 0 to {count - 1}, got {array.min()} to {array.max()}. "
            "Pass `output_size` if the pooled image was larger."
        )
    return np.asarray(array, np.int64)
