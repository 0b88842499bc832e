"""Pooling. Which entry won is constant in pieces, so max pooling is, for its gradients, a gather by
saved winners, and the scatter by the same winners is its transpose."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygrad_np.autograd.op import V, cast, op
from tinygrad_np.autograd.tape import Shape, Variable
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
    is_whole,
    pads_per_axis,
    per_axis,
    shape_of,
    window_counts,
)
from tinygrad_np.runtime.memory import Array


def _options(
    name: str, x: Any, kernel_size: Any, stride: Any, dilation: Any, padding: Any
) -> tuple[Shape, Shape, Shape, Pads]:
    """Return kernel, stride, dilation and padding for each axis of the images x."""
    shape = shape_of(name, x)
    rank = len(kernel_size) if isinstance(kernel_size, Sequence) else 2
    kernel = per_axis(f"{name} kernel_size", kernel_size, rank, 1)
    st = kernel if stride is None else per_axis(f"{name} stride", stride, rank, 1)
    d = per_axis(f"{name} dilation", dilation, rank, 1)
    pads = pads_per_axis(f"{name} padding", padding, rank)
    if len(shape) != rank + 2:
        raise ShapeError(
            f"{name}: got input {shape}, expected {rank + 2} axes: batch, channels and one for "
            f"each of kernel_size {kernel}; reshape it to (N, C, ...)"
        )
    if any(2 * max(pads[axis]) > d[axis] * (r - 1) + 1 for axis, r in enumerate(kernel)):
        raise ArgumentError(
            f"{name} padding: got {padding!r}, expected at most half of kernel_size {kernel} "
            f"(dilation {d}); a window must hold an entry of the image"
        )
    return kernel, st, d, pads


def _with_batch(name: str, x: V, kernel_size: Any) -> tuple[V, int]:
    """Return images (N, C, H, W), of those without batch or channels with axes of length 1 in
    front, and how many these are."""
    shape = shape_of(name, x)
    rank = len(kernel_size) if isinstance(kernel_size, Sequence) else 2
    missing = rank + 2 - len(shape)
    if missing not in (1, 2):
        return x, 0
    return reshape(x, shape=(*(1,) * missing, *shape)), missing


def _without_batch(x: V, added: int) -> V:
    """Return an image without the axes that `_with_batch` has put in front."""
    return reshape(x, shape=x.shape[added:]) if added else x


def _windows(
    name: str,
    x: Any,
    kernel_size: Any,
    stride: Any,
    dilation: Any,
    padding: Any,
    ceil_mode: bool,
) -> Windows:
    kernel, st, d, pads = _options(name, x, kernel_size, stride, dilation, padding)
    lengths = x.shape[2:]
    if 0 in lengths:
        raise ShapeError(f"{name}: got input {x.shape}, images without an entry")
    counts = window_counts(name, lengths, kernel, st, pads, d, ceil_mode)
    return Windows(kernel, st, pads, d, counts)


def max_pool2d(
    x: V,
    kernel_size: Sizes = (2, 2),
    stride: Sizes | None = None,
    dilation: Sizes = 1,
    padding: Sizes = 0,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """Return the maximum of each window of images x (N, C, H, W), or one image (C, H, W) or (H, W);
    with `return_indices` also where in the flattened H W it was found, int64.

    There are as many axes of the image as numbers in `kernel_size`. The stride is the window unless
    given. `padding`, at most half a window, is of the lowest number and given as for `conv2d`. A
    nan wins; the gradient of a tie goes to the first winner. Raises ShapeError where a window does
    not fit, ArgumentError for options out of range.

    >>> from tinygrad_np import Tensor
    >>> Tensor([[[[1.0, 5.0, 2.0], [3.0, 4.0, 0.0]]]]).max_pool2d(2, stride=1, return_indices=True)
    (Tensor([[[[5., 5.]]]]), Tensor([[[[1, 1]]]]))
    """
    x, added = _with_batch("max_pool2d", x, kernel_size)
    windows = _windows("max_pool2d", x, kernel_size, stride, dilation, padding, ceil_mode)
    values = _without_batch(_max_pool2d(x, windows=windows), added)
    if return_indices:
        return values, _without_batch(_max_pool2d_indices(x, windows=windows), added)
    return values


def avg_pool2d(
    x: V,
    kernel_size: Sizes = (2, 2),
    stride: Sizes | None = None,
    dilation: Sizes = 1,
    padding: Sizes = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> V:
    """Return the mean of each window of images x (N, C, H, W), or of one image (C, H, W) or (H, W);
    integers give float32.

    Options are those of `max_pool2d`. Zeros of the padding are counted unless `count_include_pad`
    is False; what a window has beyond them, in ceil_mode, is not.

    >>> from tinygrad_np import Tensor
    >>> Tensor([[1.0, 5.0], [3.0, 4.0]]).avg_pool2d(2)
    Tensor([[3.25]])
    """
    x, added = _with_batch("avg_pool2d", x, kernel_size)
    windows = _windows("avg_pool2d", x, kernel_size, stride, dilation, padding, ceil_mode)
    out = _avg_pool2d(x, windows=windows, count_include_pad=bool(count_include_pad))
    return _without_batch(out, added)


def adaptive_avg_pool2d(x: V, output_size: int | Sequence[int | None]) -> V:
    """Return means over windows as even as can be, so that `output_size` of them cover each axis.

    An integer means both axes of images x (N, C, H, W); a sequence has one number for each of the
    last axes, None where it is to stay. Window p of P along H is entries floor(p H / P) up to
    ceil((p + 1) H / P), which may overlap. Integers give float32.

    >>> from tinygrad_np import Tensor
    >>> Tensor([[[[1.0, 2.0, 6.0]]]]).adaptive_avg_pool2d((1, 2))
    Tensor([[[[1.5, 4. ]]]])
    """
    name = "adaptive_avg_pool2d"
    shape = shape_of(name, x)
    sizes = adaptive_sizes(name, output_size)
    if len(shape) < len(sizes) or 0 in shape[len(shape) - len(sizes) :]:
        raise ShapeError(
            f"{name}: got input {shape}, expected images with entries and an axis for each of "
            f"output_size {sizes}"
        )
    out: Any = x
    if out.dtype.kind != "f":
        out = cast(out, dtype=np.dtype(np.float32))
    for axis, size in enumerate(sizes, start=len(shape) - len(sizes)):
        if size is not None and size != shape[axis]:
            out = resample(out, axis=axis, rule="mean", lengths=(shape[axis], size))
    result: V = out
    return result


def adaptive_sizes(name: str, output_size: Any) -> tuple[int | None, ...]:
    """Return one size an axis, None where it is to stay; an integer means two axes."""
    sizes = tuple(output_size) if isinstance(output_size, Sequence) else (output_size,) * 2
    if not all(size is None or (is_whole(size) and size > 0) for size in sizes):
        raise ArgumentError(
            f"{name} output_size: got {output_size!r}, expected integers of at least 1, or None"
        )
    return tuple(None if size is None else int(size) for size in sizes)


def max_unpool2d(
    x: V,
    indices: Any,
    kernel_size: Sizes = (2, 2),
    stride: Sizes | None = None,
    dilation: Sizes = 1,
    padding: Sizes = 0,
    output_size: Sequence[int] | None = None,
) -> V:
    """Return zeros with the entries of x (N, C, P, Q), or of one image, where `max_pool2d` found
    them.

    `indices` is what that returned, the options those it was given; of `output_size` only the last
    entries are used, one for each axis of the image. Of several x with one index the last is put
    there. Raises ShapeError where shapes do not fit, AxisError for an index outside the image.

    >>> from tinygrad_np import Tensor
    >>> x = Tensor([[[[1.0, 5.0], [3.0, 4.0]]]])
    >>> x.max_pool2d(2, return_indices=True)[0].max_unpool2d(Tensor([[[[1]]]]))
    Tensor([[[[0., 5.],
              [0., 0.]]]])
    """
    name = "max_unpool2d"
    given = shape_of(name, x)
    x, added = _with_batch(name, x, kernel_size)
    if added and shape_of(name, indices) == given:
        indices, _ = _with_batch(name, indices, kernel_size)
    kernel, st, d, pads = _options(name, x, kernel_size, stride, dilation, padding)
    shape, rank = shape_of(name, x), len(kernel)
    lengths = tuple(
        (shape[2 + i] - 1) * st[i] + d[i] * (kernel[i] - 1) + 1 - sum(pads[i]) for i in range(rank)
    )
    if output_size is not None:
        last = output_size[-rank:] if isinstance(output_size, Sequence) else ()
        lengths = per_axis(f"{name} output_size", last, rank, 1)
    elif min(lengths) < 1:
        raise ShapeError(
            f"{name}: input {shape} and kernel_size {kernel} with stride {st} and padding {pads} "
            f"give an image of {lengths}; pad less or give output_size="
        )
    where = _checked_indices(name, shape, indices, math.prod(lengths))
    image = math.prod(lengths)
    first = image * np.arange(math.prod(shape[:2])).reshape(*shape[:2], *(1,) * rank)
    flat = (first + where).reshape(-1)
    total = image * math.prod(shape[:2])
    # Only the last of those that share an index has a gradient, as it has the place.
    order = np.arange(len(flat))
    owner = np.zeros(total, np.int64)
    np.maximum.at(owner, flat, order)
    kept = select(reshape(x, shape=(len(flat),)), owner[flat] == order)
    out = reshape(index_add(kept, key=(flat,), shape=(total,)), shape=(*shape[:2], *lengths))
    return _without_batch(out, added)


def _checked_indices(name: str, shape: Shape, indices: Any, count: int) -> Array:
    shape_of(name, indices)
    array = indices.data if isinstance(indices, Variable) else indices
    if array.dtype.kind not in "iu":
        raise DtypeError(f"{name}: got indices of dtype {array.dtype}, expected integers")
    if array.shape != shape:
        raise ShapeError(f"{name}: got indices {array.shape}, expected those of the input, {shape}")
    if array.size and not 0 <= array.min() <= array.max() < count:
        raise AxisError(
            f"{name}: got indices from {array.min()} to {array.max()}, expected 0 to {count - 1}; "
            "give output_size= if the image was larger"
        )
    return np.asarray(array, np.int64)


def _max_pool_vjp(grad_out: Any, winners: Any, x_shape: Shape, windows: Windows) -> Any:
    return max_pool2d_grad(grad_out, winners, input_shape=x_shape, windows=windows)


@op(
    "the maximum of each window",
    vjps={"x": _max_pool_vjp},
    fresh=True,
    keeps=("winners",),
    subgradient="the first winner's among ties",
    flops=lambda out, windows: out.size * math.prod(windows.kernel),
)
def _max_pool2d(x: Array, *, windows: Windows) -> tuple[Array, Array]:
    """Maximum over windows of x (N, C, H, W)."""
    return kernels.max_pool(x, windows)


@op(
    "where the maximum of each window is",
    flops=lambda out, windows: out.size * math.prod(windows.kernel),
)
def _max_pool2d_indices(x: Array, *, windows: Windows) -> Array:
    """Index in the flattened image of each window's first winner, int64 (N, C, P, Q)."""
    return kernels.max_pool_indices(x, windows)


@op(
    "zeros, plus each grad at its winner",
    vjps={
        "grad": lambda grad_out, winners, windows: max_pool2d_gather(
            grad_out, winners, windows=windows
        )
    },
    flops=lambda grad: grad.size,
)
def max_pool2d_grad(grad: Array, winners: Array, *, input_shape: Shape, windows: Windows) -> Array:
    """Scatter grad (N, C, P, Q) to the winning entries of (N, C, H, W)."""
    return kernels.max_pool_grad(grad, winners, input_shape, windows)


@op("x at the winner of each window", vjps={"x": _max_pool_vjp}, flops=0)
def max_pool2d_gather(x: Array, winners: Array, *, windows: Windows) -> Array:
    """Gather from x (N, C, H, W) the winning entries (N, C, P, Q)."""
    return kernels.max_pool_gather(x, winners, windows)


@op(
    "the mean of each window",
    vjps={
        "x": lambda grad_out, x_shape, windows, count_include_pad: avg_pool2d_grad(
            grad_out, input_shape=x_shape, windows=windows, count_include_pad=count_include_pad
        )
    },
    floating=True,
    flops=lambda out, windows: out.size * math.prod(windows.kernel),
)
def _avg_pool2d(x: Array, *, windows: Windows, count_include_pad: bool = True) -> Array:
    """Mean over windows of x (N, C, H, W)."""
    return kernels.avg_pool(x, windows, count_include_pad)


@op(
    "each grad, spread evenly over its window",
    vjps={
        "grad": lambda grad_out, windows, count_include_pad: _avg_pool2d(
            grad_out, windows=windows, count_include_pad=count_include_pad
        )
    },
    flops=lambda grad, windows: grad.size * math.prod(windows.kernel),
)
def avg_pool2d_grad(
    grad: Array, *, input_shape: Shape, windows: Windows, count_include_pad: bool = True
) -> Array:
    """Spread grad (N, C, P, Q) over the windows of (N, C, H, W)."""
    return kernels.avg_pool_grad(grad, input_shape, windows, count_include_pad)
