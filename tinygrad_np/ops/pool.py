"""Pooling. Which entry won is constant in pieces, so max pooling is, for its gradients, a gather by
saved winners, and the scatter by the same winners is its transpose."""

from typing import Any

from tinygrad_np.errors import ArgumentError, ShapeError
from tinygrad_np.kernels import pool as kernels
from tinygrad_np.memory import Array
from tinygrad_np.ops.conv import Sizes, check_windows, per_axis
from tinygrad_np.record import op
from tinygrad_np.tape import Shape


def _options(
    name: str, rank: int, kernel_size: Sizes, stride: Sizes | None, padding: Sizes
) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    kernel = per_axis(f"{name} kernel_size", kernel_size, rank, 1)
    return (
        kernel,
        kernel if stride is None else per_axis(f"{name} stride", stride, rank, 1),
        per_axis(f"{name} padding", padding, rank, 0),
    )


def _checked_options(
    name: str, shape: Shape, kernel_size: Sizes, stride: Sizes | None, padding: Sizes
) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    rank = len(kernel_size) if not isinstance(kernel_size, int) else max(1, len(shape) - 2)
    kernel, st, p = _options(name, rank, kernel_size, stride, padding)
    if len(shape) != rank + 2:
        raise ShapeError(
            f"{name}: got input {shape}, expected {rank + 2} axes: batch, channels and one for "
            f"each of kernel_size {kernel}"
        )
    if any(2 * border > r for border, r in zip(p, kernel, strict=True)):
        raise ArgumentError(
            f"{name} padding: got {padding!r}, expected at most half of kernel_size {kernel}; a "
            "window must hold an entry of the image"
        )
    check_windows(name, shape, kernel, p, (1,) * rank)
    return kernel, st, p


def _max_pool_vjp(
    grad_out: Any, winners: Any, x_shape: Shape, kernel_size: Any, stride: Any, padding: Any
) -> Any:
    return max_pool2d_grad(
        grad_out,
        winners,
        input_shape=x_shape,
        kernel_size=kernel_size,
        stride=stride,
        padding=padding,
    )


@op(
    "the maximum of each window",
    vjps={"x": _max_pool_vjp},
    keeps=("winners",),
)
def max_pool2d(
    x: Array, *, kernel_size: Sizes = (2, 2), stride: Sizes | None = None, padding: Sizes = 0
) -> tuple[Array, Array]:
    """Maximum over windows of x (N, C, H, W); a tie's gradient goes to the first winner."""
    options = _checked_options("max_pool2d", x.shape, kernel_size, stride, padding)
    return kernels.max_pool(x, *options)


@op(
    "zeros, plus each grad at its winner",
    vjps={
        "grad": lambda grad_out, winners, kernel_size, stride, padding: max_pool2d_gather(
            grad_out, winners, kernel_size=kernel_size, stride=stride, padding=padding
        )
    },
)
def max_pool2d_grad(
    grad: Array,
    winners: Array,
    *,
    input_shape: Shape,
    kernel_size: Sizes,
    stride: Sizes | None,
    padding: Sizes,
) -> Array:
    """Scatter grad (N, C, P, Q) to the winning entries of (N, C, H, W)."""
    options = _options("max_pool2d_grad", grad.ndim - 2, kernel_size, stride, padding)
    return kernels.max_pool_grad(grad, winners, input_shape, *options)


@op("x at the winner of each window", vjps={"x": _max_pool_vjp})
def max_pool2d_gather(
    x: Array, winners: Array, *, kernel_size: Sizes, stride: Sizes | None, padding: Sizes
) -> Array:
    """Gather from x (N, C, H, W) the winning entries (N, C, P, Q)."""
    options = _options("max_pool2d_gather", x.ndim - 2, kernel_size, stride, padding)
    return kernels.max_pool_gather(x, winners, *options)


@op(
    "the mean of each window",
    vjps={
        "x": lambda grad_out, x_shape, kernel_size, stride, padding: avg_pool2d_grad(
            grad_out, input_shape=x_shape, kernel_size=kernel_size, stride=stride, padding=padding
        )
    },
    floating=True,
)
def avg_pool2d(
    x: Array, *, kernel_size: Sizes = (2, 2), stride: Sizes | None = None, padding: Sizes = 0
) -> Array:
    """Mean over windows of x (N, C, H, W), the zeros of the border included."""
    options = _checked_options("avg_pool2d", x.shape, kernel_size, stride, padding)
    return kernels.avg_pool(x, *options)


@op(
    "each grad, spread evenly over its window",
    vjps={
        "grad": lambda grad_out, kernel_size, stride, padding: avg_pool2d(
            grad_out, kernel_size=kernel_size, stride=stride, padding=padding
        )
    },
)
def avg_pool2d_grad(
    grad: Array,
    *,
    input_shape: Shape,
    kernel_size: Sizes,
    stride: Sizes | None,
    padding: Sizes,
) -> Array:
    """Spread grad (N, C, P, Q) over the windows of (N, C, H, W)."""
    options = _options("avg_pool2d_grad", grad.ndim - 2, kernel_size, stride, padding)
    return kernels.avg_pool_grad(grad, input_shape, *options)
