"""Convolution is linear in its input and in its weight, and so are its two gradients: three ops
that are each other's VJPs.
"""

import math
from collections.abc import Sequence

from tinygrad_np.autograd.dispatch import V, op
from tinygrad_np.autograd.primitives import expand
from tinygrad_np.checks import is_integer
from tinygrad_np.errors import ArgumentError, ShapeError
from tinygrad_np.kernels import conv as kernels
from tinygrad_np.kernels.windows import Windows
from tinygrad_np.ops.elementwise import add
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


def _check_operands(name: str, x: object, weight: object, layout: str, groups: int) -> None:
    """Check what both convolutions ask of their operands."""
    shape, weight_shape = shape_of(name, x), shape_of(name, weight)
    if len(weight_shape) < 3 or len(shape) != len(weight_shape):
        raise ShapeError(
            f"{name}: expected input (N, C, H, W) and weight {layout}, or one or three axes in "
            f"place of H, W, got {shape} and {weight_shape}. A single image needs a batch axis: "
            "try x.reshape(1, ...)."
        )
    if 0 in weight_shape[2:]:
        raise ShapeError(f"{name}: expected a kernel with entries, got weight {weight_shape}")
    if not is_integer(groups) or groups < 1:
        raise ArgumentError(f"{name} groups: expected an integer of at least 1, got {groups!r}")


def _check_bias(name: str, bias: Value | None, channels: int) -> None:
    if bias is not None and shape_of(f"{name} bias", bias) != (channels,):
        raise ShapeError(f"{name}: expected bias {(channels,)}, got {bias.shape}")


def same_pads(name: str, mode: str, kernel: Sequence[int], stride: Shape, dilation: Shape) -> Pads:
    """Return the padding that leaves sizes as they are; an odd border is larger at the end."""
    if mode != "same" or max(stride) > 1:
        raise ArgumentError(
            f"{name}: expected `padding` to be numbers, or 'same' with stride 1, got {mode!r} with "
            f"stride {stride}."
        )
    borders = [d * (r - 1) for d, r in zip(dilation, kernel, strict=True)]
    return tuple((border // 2, border - border // 2) for border in borders)


def _windows_of(
    shape: Shape, kernel: Shape, stride: Sizes, padding: Sizes | str, dilation: Sizes
) -> Windows:
    """Return the windows of `conv2d` on images of this shape."""
    rank = len(kernel)
    st = per_axis("conv2d", "stride", stride, rank, 1)
    d = per_axis("conv2d", "dilation", dilation, rank, 1)
    if isinstance(padding, str):
        pads = same_pads("conv2d", padding, kernel, st, d)
    else:
        pads = pads_per_axis("conv2d", "padding", padding, rank)
    return place_windows("conv2d", shape[2:], kernel, st, pads, d)


@op(
    "out[n,k,p,q] = bias[k] + Σ x[n,c,p+r,q+s] weight[k,c,r,s]",
    vjps={
        "x": lambda grad_out, weight, x_shape, windows, groups: conv2d_input_grad(
            grad_out, weight, x_shape, windows, groups
        ),
        # It names weight, though it has no need of it, so that the kernel may read it.
        "weight": lambda grad_out, x, weight, windows, groups: conv2d_weight_grad(
            x, grad_out, windows, groups
        ),
        "bias": lambda grad_out: channel_sum(grad_out),
    },
    backward=kernels.conv_grads,
    keeps=("windows",),
    backward_flops=lambda grad_out, weight, wanted: (
        2 * grad_out.size * math.prod(weight.shape[1:]) * (wanted[0] + wanted[1])
        + (grad_out.size if wanted[2:] == (True,) else 0)
    ),
    flops=lambda weight, bias, out: (
        2 * out.size * math.prod(weight.shape[1:]) + (0 if bias is None else out.size)
    ),
)
def conv2d(
    x: Array,
    weight: Array,
    bias: Array | None = None,
    *,
    stride: Sizes = 1,
    padding: Sizes | str = 0,
    dilation: Sizes = 1,
    groups: int = 1,
) -> tuple[Array, Windows]:
    """Cross-correlate images with a weight.

    Args:
        x: images of shape (N, C, H, W), or with one or three axes in place of H, W.
        weight: kernels of shape (K, C / groups, R, S), with as many axes as `x`.
        bias: one number per output channel, of shape (K,).
        stride: step between windows, one number or one per axis.
        padding: zeros around the image: a number, one per axis, a pair per axis as in `pad` (flat,
            last axis first, negative to crop), or "same", which leaves sizes as they are.
        dilation: step between the entries of a window, one number or one per axis.
        groups: the number of parts that the channels are divided into.

    Returns:
        A tensor of shape (N, K, P, Q).

    Raises:
        ShapeError: if shapes do not match, or a window does not fit into the image.
        ArgumentError: if an option is out of range.

    >>> Tensor.ones(1, 1, 4, 4).conv2d(Tensor.ones(1, 1, 3, 3), stride=2, padding=(1, 0, 1, 0))
    Tensor([[[[4., 6.],
              [6., 9.]]]])
    """
    _check_operands("conv2d", x, weight, "(K, C / groups, R, S)", groups)
    outs, in_group, *_ = weight.shape
    if x.shape[1] != in_group * groups or outs % groups:
        raise ShapeError(
            f"conv2d: expected input with {in_group * groups} channels, and output channels that "
            f"groups={groups} divides (weight is {weight.shape}), got input {x.shape}"
        )
    _check_bias("conv2d", bias, outs)
    windows = _windows_of(x.shape, weight.shape[2:], stride, padding, dilation)
    return kernels.conv(x, weight, bias, windows, groups), windows


def _convolve(x: Value, weight: Value, windows: Windows, groups: int) -> Value:
    """Run `conv2d` over windows that are known."""
    return conv2d(x, weight, None, windows.stride, windows.flat_padding, windows.dilation, groups)


@op(
    "the gradient of conv2d for x",
    vjps={
        "grad": lambda grad_out, weight, windows, groups: _convolve(
            grad_out, weight, windows, groups
        ),
        "weight": lambda grad_out, grad, windows, groups: conv2d_weight_grad(
            grad_out, grad, windows, groups
        ),
    },
    flops=lambda grad, weight: 2 * grad.size * math.prod(weight.shape[1:]),
)
def conv2d_input_grad(
    grad: Array, weight: Array, *, input_shape: Shape, windows: Windows, groups: int
) -> Array:
    """Transposed convolution: grad (N, K, P, Q), weight (K, C / groups, R, S) to (N, C, H, W)."""
    return kernels.conv_input_grad(grad, weight, input_shape, windows, groups)


@op(
    "the gradient of conv2d for weight",
    vjps={
        "x": lambda grad_out, grad, x_shape, windows, groups: conv2d_input_grad(
            grad, grad_out, x_shape, windows, groups
        ),
        "grad": lambda grad_out, x, windows, groups: _convolve(x, grad_out, windows, groups),
    },
    flops=lambda grad, out: 2 * grad.size * math.prod(out.shape[1:]),
)
def conv2d_weight_grad(x: Array, grad: Array, *, windows: Windows, groups: int) -> Array:
    """Correlate x (N, C, H, W) with grad (N, K, P, Q) to the weight's (K, C / groups, R, S)."""
    return kernels.conv_weight_grad(x, grad, windows, groups)


def conv_transpose2d(
    x: V,
    weight: Value,
    bias: Value | None = None,
    *,
    stride: Sizes = 1,
    padding: Sizes = 0,
    output_padding: Sizes = 0,
    dilation: Sizes = 1,
    groups: int = 1,
) -> V:
    """Apply the transpose of the linear map of `conv2d`, from (N, C, P, Q) to (N, K, H, W).

    The weight is (C, K / groups, R, S), the options are those of the `conv2d` from (N, K, H, W).
    H is (P - 1) stride + dilation (R - 1) + 1 - padding + output_padding (Dumoulin and Visin 2016,
    chapter 4).

    Args:
        padding: as for `conv2d`, except "same"; it crops.
        output_padding: rows and columns added at the end, less than stride or dilation.

    >>> from tinygrad_np import Tensor
    >>> Tensor.ones(1, 1, 2, 2).conv_transpose2d(Tensor.ones(1, 1, 2, 2))
    Tensor([[[[1., 2., 1.],
              [2., 4., 2.],
              [1., 2., 1.]]]])
    """
    name = "conv_transpose2d"
    _check_operands(name, x, weight, "(C, K / groups, R, S)", groups)
    shape, (channels, out_group, *kernel) = x.shape, weight.shape
    rank, outs = len(kernel), out_group * groups
    if shape[1] != channels or channels % groups:
        raise ShapeError(
            f"{name}: expected input with {channels} channels (weight is {weight.shape}), which "
            f"groups={groups} must divide, got input {shape}"
        )
    _check_bias(name, bias, outs)
    st = per_axis(name, "stride", stride, rank, 1)
    d = per_axis(name, "dilation", dilation, rank, 1)
    own_pads = pads_per_axis(name, "padding", padding, rank)
    pads = _crop_less(name, own_pads, output_padding, st, d)
    sizes = transposed_lengths(shape[2:], kernel, st, pads, d)
    if min(sizes) < 1:
        raise ShapeError(
            f"{name}: expected an image with entries, got {sizes} from input {shape} and weight "
            f"{weight.shape} with stride {st} and padding {own_pads}. Try less padding."
        )
    windows = Windows(tuple(kernel), st, pads, d, shape[2:])
    out = conv2d_input_grad(x, weight, (shape[0], outs, *sizes), windows, groups)
    return out if bias is None else add(out, reshape(bias, shape=(outs, *(1,) * rank)))


def _crop_less(
    name: str, pads: Pads, output_padding: Sizes, stride: Shape, dilation: Shape
) -> Pads:
    """Return the padding that crops less at the end, by as much as the output is to be longer."""
    extra = per_axis(name, "output_padding", output_padding, len(pads), 0)
    if any(more >= max(st, d) for more, st, d in zip(extra, stride, dilation, strict=True)):
        raise ArgumentError(
            f"{name} output_padding: expected less than stride {stride} or dilation {dilation}, "
            f"got {output_padding!r}"
        )
    return tuple((before, after - more) for (before, after), more in zip(pads, extra, strict=True))


@op(
    "Σ x over all axes except the channels",
    vjps={
        "x": lambda grad_out, x_shape: expand(
            reshape(grad_out, shape=(x_shape[1], *(1,) * (len(x_shape) - 2))), shape=x_shape
        )
    },
    flops=lambda x: x.size,
)
def channel_sum(x: Array) -> Array:
    """Sum (N, K, P, Q) to (K,)."""
    return kernels.channel_sums(x)
