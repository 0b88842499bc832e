"""Convolution: linear in its input and in its weight, and so are its two gradients; three ops that
are each other's VJPs."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygrad_np.errors import ArgumentError, ShapeError
from tinygrad_np.kernels import conv as kernels
from tinygrad_np.memory import Array
from tinygrad_np.ops.shape import reshape
from tinygrad_np.record import expand, op
from tinygrad_np.tape import Shape

Sizes = int | Sequence[int]


def per_axis(name: str, value: Sizes, rank: int, least: int) -> tuple[int, ...]:
    """Return one number an axis, given one for all or one each."""
    numbers = tuple(value) if isinstance(value, Sequence) else (value,) * rank
    if len(numbers) != rank or any(
        not isinstance(n, int | np.integer) or n < least for n in numbers
    ):
        raise ArgumentError(
            f"{name}: got {value!r}, expected an integer of at least {least}, or {rank} of them"
        )
    return tuple(map(int, numbers))


def check_windows(
    name: str, shape: Shape, kernel: Sequence[int], padding: Sequence[int], dilation: Sequence[int]
) -> None:
    """Refuse a window that is larger than the padded image."""
    for length, r, p, d in zip(shape[2:], kernel, padding, dilation, strict=True):
        if d * (r - 1) + 1 > length + 2 * p:
            raise ShapeError(
                f"{name}: a window of {tuple(kernel)} (dilation {tuple(dilation)}) does not fit "
                f"into an image of {shape[2:]} with padding {tuple(padding)}; pool less, pad more "
                "or give a larger image"
            )


def _options(
    op_name: str, rank: int, stride: Sizes, padding: Sizes, dilation: Sizes, groups: int
) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...], int]:
    if groups < 1:
        raise ArgumentError(f"{op_name} groups: got {groups}, expected at least 1")
    return (
        per_axis(f"{op_name} stride", stride, rank, 1),
        per_axis(f"{op_name} padding", padding, rank, 0),
        per_axis(f"{op_name} dilation", dilation, rank, 1),
        groups,
    )


def _conv_input_vjp(
    grad_out: Any,
    weight: Any,
    x_shape: Shape,
    stride: Any,
    padding: Any,
    dilation: Any,
    groups: int,
) -> Any:
    return conv2d_input_grad(
        grad_out,
        weight,
        input_shape=x_shape,
        stride=stride,
        padding=padding,
        dilation=dilation,
        groups=groups,
    )


def _conv_weight_vjp(
    grad_out: Any,
    x: Any,
    weight_shape: Shape,
    stride: Any,
    padding: Any,
    dilation: Any,
    groups: int,
) -> Any:
    return conv2d_weight_grad(
        x,
        grad_out,
        kernel=weight_shape[2:],
        stride=stride,
        padding=padding,
        dilation=dilation,
        groups=groups,
    )


@op(
    "out[n,k,p,q] = bias[k] + Σ x[n,c,p+r,q+s] weight[k,c,r,s]",
    vjps={
        "x": _conv_input_vjp,
        "weight": _conv_weight_vjp,
        "bias": lambda grad_out: channel_sum(grad_out),
    },
)
def conv2d(
    x: Array,
    weight: Array,
    bias: Array | None = None,
    *,
    stride: Sizes = 1,
    padding: Sizes = 0,
    dilation: Sizes = 1,
    groups: int = 1,
) -> Array:
    """Cross-correlate images x (N, C, H, W) with weight (K, C / groups, R, S) to (N, K, P, Q)."""
    rank = weight.ndim - 2
    st, p, d, groups = _options("conv2d", rank, stride, padding, dilation, groups)
    if rank < 1 or x.ndim != weight.ndim:
        raise ShapeError(
            f"conv2d: got input {x.shape} and weight {weight.shape}, expected (N, C, H, W) and "
            "(K, C / groups, R, S); a single image needs a batch axis, as x.reshape(1, ...)"
        )
    if x.shape[1] != weight.shape[1] * groups or len(weight) % groups:
        raise ShapeError(
            f"conv2d: got input {x.shape} with {x.shape[1]} channels, but weight {weight.shape} "
            f"and groups={groups} expect {weight.shape[1] * groups}, and {len(weight)} output "
            "channels that groups divides"
        )
    if bias is not None and bias.shape != weight.shape[:1]:
        raise ShapeError(f"conv2d: got bias {bias.shape}, expected {weight.shape[:1]}")
    check_windows("conv2d", x.shape, weight.shape[2:], p, d)
    return kernels.conv(x, weight, bias, st, p, d, groups)


@op(
    "the gradient of conv2d for x",
    vjps={
        "grad": lambda grad_out, weight, stride, padding, dilation, groups: conv2d(
            grad_out, weight, stride=stride, padding=padding, dilation=dilation, groups=groups
        ),
        "weight": lambda grad_out, grad, weight_shape, stride, padding, dilation, groups: (
            _conv_weight_vjp(grad, grad_out, weight_shape, stride, padding, dilation, groups)
        ),
    },
)
def conv2d_input_grad(
    grad: Array,
    weight: Array,
    *,
    input_shape: Shape,
    stride: Sizes = 1,
    padding: Sizes = 0,
    dilation: Sizes = 1,
    groups: int = 1,
) -> Array:
    """Transposed convolution: grad (N, K, P, Q), weight (K, C / groups, R, S) to (N, C, H, W)."""
    options = _options("conv2d_input_grad", weight.ndim - 2, stride, padding, dilation, groups)
    return kernels.conv_input_grad(grad, weight, input_shape, *options)


@op(
    "the gradient of conv2d for weight",
    vjps={
        "x": lambda grad_out, grad, x_shape, stride, padding, dilation, groups: _conv_input_vjp(
            grad, grad_out, x_shape, stride, padding, dilation, groups
        ),
        "grad": lambda grad_out, x, stride, padding, dilation, groups: conv2d(
            x, grad_out, stride=stride, padding=padding, dilation=dilation, groups=groups
        ),
    },
)
def conv2d_weight_grad(
    x: Array,
    grad: Array,
    *,
    kernel: Shape,
    stride: Sizes = 1,
    padding: Sizes = 0,
    dilation: Sizes = 1,
    groups: int = 1,
) -> Array:
    """Correlate x (N, C, H, W) with grad (N, K, P, Q) to the weight's (K, C / groups, R, S)."""
    options = _options("conv2d_weight_grad", x.ndim - 2, stride, padding, dilation, groups)
    return kernels.conv_weight_grad(x, grad, kernel, *options)


def _spread_channels(grad_out: Any, x_shape: Shape) -> Any:
    ones = (1,) * (len(x_shape) - 2)
    return expand(reshape(grad_out, shape=(1, x_shape[1], *ones)), shape=x_shape)


@op("Σ x over all axes but the channels'", vjps={"x": _spread_channels})
def channel_sum(x: Array) -> Array:
    """Sum (N, K, P, Q) to (K,)."""
    return kernels.channel_sums(x)
