"""Convolution and its two gradients: three bilinear ops that are one another's VJPs."""

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
    """Raise unless input, weight and `groups` are valid for a convolution."""
    shape, weight_shape = shape_of(name, x), shape_of(name, weight)
    if len(weight_shape) < 3 or len(shape) != len(weight_shape):
        raise ShapeError(
            f"{name}: expected input (N, C, H, W) and weight {layout}, or one or three spatial "
            f"axes instead of two, got {shape} and {weight_shape}. Add a batch axis to a single "
            "image with x.reshape(1, ...)."
        )
    if 0 in weight_shape[2:]:
        raise ShapeError(f"{name}: expected a non-empty kernel, got weight {weight_shape}.")
    if not is_integer(groups) or groups < 1:
        raise ArgumentError(f"{name}: expected `groups` to be an integer >= 1, got {groups!r}.")


def _check_bias(name: str, bias: Value | None, channels: int) -> None:
    if bias is not None and shape_of(f"{name} bias", bias) != (channels,):
        raise ShapeError(f"{name}: expected `bias` of shape {(channels,)}, got {bias.shape}.")


def same_pads(name: str, mode: str, kernel: Sequence[int], stride: Shape, dilation: Shape) -> Pads:
    """Return the padding that preserves the image size; if odd, the larger part is at the end."""
    if mode != "same" or max(stride) > 1:
        raise ArgumentError(
            f"{name}: expected `padding` to be integers, or 'same' with stride 1, got {mode!r} "
            f"with stride {stride}."
        )
    borders = [d * (r - 1) for d, r in zip(dilation, kernel, strict=True)]
    return tuple((border // 2, border - border // 2) for border in borders)


def _windows_of(
    shape: Shape, kernel: Shape, stride: Sizes, padding: Sizes | str, dilation: Sizes
) -> Windows:
    """Return the windows that `conv2d` places on images of this shape."""
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
        # weight is listed for the backward kernel, which needs it saved; this VJP ignores it.
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
    """Apply a convolution (cross-correlation) and add an optional bias.

    Args:
        x: images of shape (N, C, H, W), or with one or three spatial axes instead of H, W.
        weight: kernels of shape (K, C / groups, R, S), with the same number of axes as `x`.
        bias: one value per output channel, of shape (K,).
        stride: step between windows: one number, or one per spatial axis.
        padding: zeros added around the image: one number, one per axis, or a pair per axis as in
            `pad` (flat, last axis first; negative numbers crop). "same" preserves the image size
            and requires a stride of 1.
        dilation: step between the entries of a window: one number, or one per spatial axis.
        groups: number of groups into which input and output channels are split.

    Returns:
        A tensor of shape (N, K, P, Q) with
        P = (H + 2 * padding - dilation * (R - 1) - 1) // stride + 1.

    Raises:
        ShapeError: if the shapes do not match, or a window does not fit into the padded image.
        ArgumentError: if an option is invalid; the message names it.
        DtypeError: if x, `weight` or `bias` is neither a Tensor nor an ndarray.

    >>> Tensor.ones(1, 1, 4, 4).conv2d(Tensor.ones(1, 1, 3, 3), stride=2, padding=(1, 0, 1, 0))
    Tensor([[[[4., 6.],
              [6., 9.]]]])
    """
    _check_operands("conv2d", x, weight, "(K, C / groups, R, S)", groups)
    outs, in_group, *_ = weight.shape
    if x.shape[1] != in_group * groups or outs % groups:
        raise ShapeError(
            f"conv2d: expected input with {in_group * groups} channels"
            f"{f', and a number of output channels divisible by groups={groups}' * (groups > 1)} "
            f"(weight is {weight.shape}), got input {x.shape}."
        )
    _check_bias("conv2d", bias, outs)
    windows = _windows_of(x.shape, weight.shape[2:], stride, padding, dilation)
    return kernels.conv(x, weight, bias, windows, groups), windows


def _convolve(x: Value, weight: Value, windows: Windows, groups: int) -> Value:
    """Apply `conv2d` with the given windows."""
    return conv2d(x, weight, None, windows.stride, windows.flat_padding, windows.dilation, groups)


@op(
    "gradient of conv2d with respect to x",
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
    """Return the gradient of `conv2d` with respect to x: a transposed convolution.

    `grad` is (N, K, P, Q), `weight` (K, C / groups, R, S) and the result (N, C, H, W).
    """
    return kernels.conv_input_grad(grad, weight, input_shape, windows, groups)


@op(
    "gradient of conv2d with respect to weight",
    vjps={
        "x": lambda grad_out, grad, x_shape, windows, groups: conv2d_input_grad(
            grad, grad_out, x_shape, windows, groups
        ),
        "grad": lambda grad_out, x, windows, groups: _convolve(x, grad_out, windows, groups),
    },
    flops=lambda grad, out: 2 * grad.size * math.prod(out.shape[1:]),
)
def conv2d_weight_grad(x: Array, grad: Array, *, windows: Windows, groups: int) -> Array:
    """Return the gradient of `conv2d` with respect to its weight.

    `x` is (N, C, H, W), `grad` (N, K, P, Q) and the result (K, C / groups, R, S).
    """
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
    """Apply a transposed convolution: the transpose of the linear map of `conv2d`.

    Args:
        x: images of shape (N, C, P, Q), or with one or three spatial axes instead of P, Q.
        weight: kernels of shape (C, K / groups, R, S), with the same number of axes as `x`.
        bias: one value per output channel, of shape (K,).
        stride: step between windows of the output: one number, or one per spatial axis.
        padding: rows and columns cropped from the output, given as for `conv2d` except "same".
        output_padding: rows and columns added at the end; must be less than `stride` or `dilation`.
        dilation: step between the entries of a window: one number, or one per spatial axis.
        groups: number of groups into which input and output channels are split.

    Returns:
        A tensor of shape (N, K, H, W) with
        H = (P - 1) * stride + dilation * (R - 1) + 1 - 2 * padding + output_padding
        (Dumoulin and Visin 2016, chapter 4).

    Raises:
        ShapeError: if the shapes do not match, or the output would be empty.
        ArgumentError: if an option is invalid; the message names it.
        DtypeError: if x, `weight` or `bias` is neither a Tensor nor an ndarray.

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
            f"{name}: expected input with {channels} channels (weight is {weight.shape}) and a "
            f"number of input channels divisible by groups={groups}, got input {shape}."
        )
    _check_bias(name, bias, outs)
    st = per_axis(name, "stride", stride, rank, 1)
    d = per_axis(name, "dilation", dilation, rank, 1)
    own_pads = pads_per_axis(name, "padding", padding, rank)
    pads = _crop_less(name, own_pads, output_padding, st, d)
    sizes = transposed_lengths(shape[2:], kernel, st, pads, d)
    if min(sizes) < 1:
        raise ShapeError(
            f"{name}: expected a non-empty output, got lengths {sizes} from input {shape} and "
            f"weight {weight.shape} with stride {st} and padding {own_pads}. Try less padding."
        )
    windows = Windows(tuple(kernel), st, pads, d, shape[2:])
    out = conv2d_input_grad(x, weight, (shape[0], outs, *sizes), windows, groups)
    return out if bias is None else add(out, reshape(bias, shape=(outs, *(1,) * rank)))


def _crop_less(
    name: str, pads: Pads, output_padding: Sizes, stride: Shape, dilation: Shape
) -> Pads:
    """Return the padding with `output_padding` subtracted at the end of each axis."""
    extra = per_axis(name, "output_padding", output_padding, len(pads), 0)
    if any(more >= max(st, d) for more, st, d in zip(extra, stride, dilation, strict=True)):
        raise ArgumentError(
            f"{name}: expected `output_padding` to be less than stride {stride} or dilation "
            f"{dilation}, got {output_padding!r}."
        )
    return tuple((before, after - more) for (before, after), more in zip(pads, extra, strict=True))


@op(
    "x summed over all axes except the channel axis",
    vjps={
        "x": lambda grad_out, x_shape: expand(
            reshape(grad_out, shape=(x_shape[1], *(1,) * (len(x_shape) - 2))), shape=x_shape
        )
    },
    flops=lambda x: x.size,
)
def channel_sum(x: Array) -> Array:
    """Sum x (N, K, P, Q) over all axes except the channel axis; return (K,)."""
    return kernels.channel_sums(x)
