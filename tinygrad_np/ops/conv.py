"""Convolution: linear in its input and in its weight, and so are its two gradients; three ops that
are each other's VJPs."""

import math
from collections.abc import Sequence
from typing import Any

from tinygrad_np.autograd.op import V, expand, op
from tinygrad_np.autograd.tape import Shape
from tinygrad_np.errors import ArgumentError, ShapeError
from tinygrad_np.kernels import conv as kernels
from tinygrad_np.ops.elementwise import add
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


def _checked(
    name: str, x: Any, weight: Any, layout: str, stride: Any, dilation: Any, groups: Any
) -> tuple[Shape, Shape, Shape]:
    """Return the shape of x, stride and dilation, after a look at what both convolutions ask of
    their operands."""
    shape, weight_shape = shape_of(name, x), shape_of(name, weight)
    if len(weight_shape) < 3 or len(shape) != len(weight_shape):
        raise ShapeError(
            f"{name}: got input {shape} and weight {weight_shape}, expected (N, C, H, W) and "
            f"{layout}, or one or three axes in place of H, W; a single image needs a batch axis, "
            "as x.reshape(1, ...)"
        )
    if 0 in weight_shape[2:]:
        raise ShapeError(f"{name}: got weight {weight_shape}, a kernel without an entry")
    if not is_whole(groups) or groups < 1:
        raise ArgumentError(f"{name} groups: got {groups!r}, expected an integer of at least 1")
    rank = len(weight_shape) - 2
    st = per_axis(f"{name} stride", stride, rank, 1)
    return shape, st, per_axis(f"{name} dilation", dilation, rank, 1)


def _check_bias(name: str, bias: Any, channels: int) -> None:
    if bias is not None and shape_of(f"{name} bias", bias) != (channels,):
        raise ShapeError(f"{name}: got bias {bias.shape}, expected {(channels,)}")


def same_pads(name: str, mode: str, kernel: Sequence[int], stride: Shape, dilation: Shape) -> Pads:
    """Return the padding that leaves sizes as they are; an odd border is larger at the end."""
    if mode != "same" or max(stride) > 1:
        raise ArgumentError(
            f"{name}: got {mode!r} with stride {stride}, expected numbers, or 'same' with stride 1"
        )
    borders = [d * (r - 1) for d, r in zip(dilation, kernel, strict=True)]
    return tuple((border // 2, border - border // 2) for border in borders)


def conv2d(
    x: V,
    weight: Any,
    bias: Any = None,
    *,
    stride: Sizes = 1,
    padding: Sizes | str = 0,
    dilation: Sizes = 1,
    groups: int = 1,
) -> V:
    """Cross-correlate images (N, C, H, W) with weight (K, C / groups, R, S) to (N, K, P, Q).

    There may be one, two or three axes of the image, as many as the kernel has. `padding` is an
    integer, one each axis, a pair each axis as in `pad` (flat, last axis first, negative to crop),
    or "same", which leaves sizes as they are at stride 1. Raises ShapeError where shapes do not
    fit, ArgumentError for options out of range.

    >>> from tinygrad_np import Tensor
    >>> Tensor.ones(1, 1, 4, 4).conv2d(Tensor.ones(1, 1, 3, 3), stride=2, padding=(1, 0, 1, 0))
    Tensor([[[[4., 6.],
              [6., 9.]]]])
    """
    layout = "(K, C / groups, R, S)"
    shape, st, d = _checked("conv2d", x, weight, layout, stride, dilation, groups)
    outs, in_group, *kernel = weight.shape
    if shape[1] != in_group * groups or outs % groups:
        raise ShapeError(
            f"conv2d: got input {shape} with {shape[1]} channels, but weight {weight.shape} "
            f"and groups={groups} expect {in_group * groups}, and {outs} output channels that "
            "groups divides"
        )
    _check_bias("conv2d", bias, outs)
    if isinstance(padding, str):
        pads = same_pads("conv2d padding", padding, kernel, st, d)
    else:
        pads = pads_per_axis("conv2d padding", padding, len(kernel))
    window_counts("conv2d", shape[2:], kernel, st, pads, d)
    return _conv2d(x, weight, bias, stride=st, padding=pads, dilation=d, groups=groups)


def conv_transpose2d(
    x: V,
    weight: Any,
    bias: Any = None,
    *,
    stride: Sizes = 1,
    padding: Sizes = 0,
    output_padding: Sizes = 0,
    dilation: Sizes = 1,
    groups: int = 1,
) -> V:
    """Transposed convolution of x (N, C, P, Q) with weight (C, K / groups, R, S) to (N, K, H, W).

    The transpose of the linear map that `conv2d` with the same options is from (N, K, H, W): H is
    (P - 1) stride + dilation (R - 1) + 1 - padding + output_padding, the last less than stride or
    dilation. `padding` crops; it is given as for `conv2d`, but for "same". Raises as that does
    (Dumoulin and Visin 2016, chapter 4).

    >>> from tinygrad_np import Tensor
    >>> Tensor.ones(1, 1, 2, 2).conv_transpose2d(Tensor.ones(1, 1, 2, 2))
    Tensor([[[[1., 2., 1.],
              [2., 4., 2.],
              [1., 2., 1.]]]])
    """
    name, layout = "conv_transpose2d", "(C, K / groups, R, S)"
    shape, st, d = _checked(name, x, weight, layout, stride, dilation, groups)
    channels, out_group, *kernel = weight.shape
    rank = len(kernel)
    if shape[1] != channels or channels % groups:
        raise ShapeError(
            f"{name}: got input {shape} with {shape[1]} channels, but weight {weight.shape} "
            f"expects {channels}, which groups={groups} must divide"
        )
    outs = out_group * groups
    _check_bias(name, bias, outs)
    given = pads_per_axis(f"{name} padding", padding, rank)
    pads = _less_output_padding(name, given, output_padding, st, d)
    sizes = tuple(
        (shape[2 + axis] - 1) * st[axis] + d[axis] * (kernel[axis] - 1) + 1 - sum(pads[axis])
        for axis in range(rank)
    )
    if min(sizes) < 1:
        raise ShapeError(
            f"{name}: input {shape} and weight {weight.shape} with stride {st} and padding {given} "
            f"give an image of {sizes}; pad less or give a larger input"
        )
    options: Any = {"stride": st, "padding": pads, "dilation": d, "groups": groups}
    out = conv2d_input_grad(x, weight, input_shape=(shape[0], outs, *sizes), **options)
    return out if bias is None else add(out, reshape(bias, shape=(outs, *(1,) * rank)))


def _less_output_padding(
    name: str, pads: Pads, output_padding: Sizes, stride: Shape, dilation: Shape
) -> Pads:
    """Return the padding with so much less cropped at the end as the output is to be longer."""
    extra = per_axis(f"{name} output_padding", output_padding, len(pads), 0)
    if any(more >= max(st, d) for more, st, d in zip(extra, stride, dilation, strict=True)):
        raise ArgumentError(
            f"{name} output_padding: got {output_padding!r}, expected less than stride {stride} or "
            f"dilation {dilation}"
        )
    return tuple((before, after - more) for (before, after), more in zip(pads, extra, strict=True))


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
    weight: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    groups: int,
) -> Any:
    return conv2d_weight_grad(
        x,
        grad_out,
        kernel=weight.shape[2:],
        stride=stride,
        padding=padding,
        dilation=dilation,
        groups=groups,
    )


def _conv_joint_vjp(
    grad_out: Array,
    x: Array,
    weight: Array,
    stride: Any,
    padding: Any,
    dilation: Any,
    groups: int,
    wanted: Sequence[bool],
) -> list[Array | None]:
    return kernels.conv_grads(grad_out, x, weight, stride, padding, dilation, groups, wanted)


@op(
    "out[n,k,p,q] = bias[k] + Σ x[n,c,p+r,q+s] weight[k,c,r,s]",
    vjps={
        "x": _conv_input_vjp,
        "weight": _conv_weight_vjp,
        "bias": lambda grad_out: channel_sum(grad_out),
    },
    joint=_conv_joint_vjp,
    fresh=True,
    flops=lambda weight, bias, out: (
        2 * out.size * math.prod(weight.shape[1:]) + (0 if bias is None else out.size)
    ),
)
def _conv2d(
    x: Array,
    weight: Array,
    bias: Array | None = None,
    *,
    stride: Any = 1,
    padding: Any = (0, 0),
    dilation: Any = 1,
    groups: int = 1,
) -> Array:
    """Cross-correlate x (N, C, H, W) with weight (K, C / groups, R, S) to (N, K, P, Q).

    Options of these three ops are given for each axis, padding as (before, after).
    """
    return kernels.conv(x, weight, bias, stride, padding, dilation, groups)


@op(
    "the gradient of conv2d for x",
    vjps={
        "grad": lambda grad_out, weight, stride, padding, dilation, groups: _conv2d(
            grad_out, weight, stride=stride, padding=padding, dilation=dilation, groups=groups
        ),
        "weight": lambda grad_out, grad, weight, stride, padding, dilation, groups: (
            _conv_weight_vjp(grad, grad_out, weight, stride, padding, dilation, groups)
        ),
    },
    flops=lambda grad, weight: 2 * grad.size * math.prod(weight.shape[1:]),
)
def conv2d_input_grad(
    grad: Array,
    weight: Array,
    *,
    input_shape: Shape,
    stride: Any = 1,
    padding: Any = (0, 0),
    dilation: Any = 1,
    groups: int = 1,
) -> Array:
    """Transposed convolution: grad (N, K, P, Q), weight (K, C / groups, R, S) to (N, C, H, W)."""
    return kernels.conv_input_grad(grad, weight, input_shape, stride, padding, dilation, groups)


@op(
    "the gradient of conv2d for weight",
    vjps={
        "x": lambda grad_out, grad, x_shape, stride, padding, dilation, groups: _conv_input_vjp(
            grad, grad_out, x_shape, stride, padding, dilation, groups
        ),
        "grad": lambda grad_out, x, stride, padding, dilation, groups: _conv2d(
            x, grad_out, stride=stride, padding=padding, dilation=dilation, groups=groups
        ),
    },
    flops=lambda grad, out: 2 * grad.size * math.prod(out.shape[1:]),
)
def conv2d_weight_grad(
    x: Array,
    grad: Array,
    *,
    kernel: Shape,
    stride: Any = 1,
    padding: Any = (0, 0),
    dilation: Any = 1,
    groups: int = 1,
) -> Array:
    """Correlate x (N, C, H, W) with grad (N, K, P, Q) to the weight's (K, C / groups, R, S)."""
    return kernels.conv_weight_grad(x, grad, kernel, stride, padding, dilation, groups)


def _spread_channels(grad_out: Any, x_shape: Shape) -> Any:
    ones = (1,) * (len(x_shape) - 2)
    return expand(reshape(grad_out, shape=(1, x_shape[1], *ones)), shape=x_shape)


@op("Σ x over all axes but the channels'", vjps={"x": _spread_channels}, flops=lambda x: x.size)
def channel_sum(x: Array) -> Array:
    """Sum (N, K, P, Q) to (K,)."""
    return kernels.channel_sums(x)
