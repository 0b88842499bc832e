"""Normalization to mean 0 and variance 1, per channel or along axes."""

import math
from collections.abc import Sequence

import numpy as np

from tinygrad_np.autograd.dispatch import V, op
from tinygrad_np.autograd.primitives import cast
from tinygrad_np.errors import ArgumentError, AxisError, ShapeError
from tinygrad_np.kernels import group_norm as group_kernels
from tinygrad_np.kernels import norms as kernels
from tinygrad_np.ops.elementwise import add, mul
from tinygrad_np.ops.functions import rsqrt
from tinygrad_np.ops.indexing import getitem
from tinygrad_np.ops.reduce import Axis, center, in_float32, mean, scale_of_large
from tinygrad_np.ops.shape import as_tuple, normalize_axis, reshape
from tinygrad_np.runtime.memory import Array
from tinygrad_np.typing import DType, Shape, Value


def _by_channel(values: V, x: Value) -> V:
    """Reshape one value per channel (C,) to broadcast to x."""
    return reshape(values, shape=(-1, *[1] * (len(x.shape) - 2)))


def _moments_vjp(grad_out: Value, x: Value, out: Value, x_dtype: DType) -> Value:
    of_mean, of_variance = (_by_channel(getitem(grad_out, row), x) for row in (0, 1))
    centered = x - _by_channel(getitem(out, 0), x)
    count = math.prod((x.shape[0], *x.shape[2:]))
    return cast((of_mean + 2 * centered * of_variance) / max(1, count), dtype=x_dtype)


@op(
    "mean x, mean (x - mean x)²",
    vjps={"x": _moments_vjp},
    flops=lambda x: 4 * x.size,
)
def channel_moments(x: Array) -> Array:
    """Return mean and biased variance of each channel of x (N, C, ...), as rows of (2, C).

    The result is float64: it keeps digits of the mean that float32 would lose. If there are no
    entries, both are 0.

    Raises:
        AxisError: if x has fewer than two axes.
    """
    _check_rank("channel_moments", x)
    return kernels.moments(x)


def _define_batch_norm(
    x: Value,
    weight: Value | None = None,
    bias: Value | None = None,
    moments: Value | None = None,
    *,
    eps: float,
) -> Value:
    """Define `batch_norm` in terms of other ops; the statistics are always computed from x."""
    if x.dtype == np.float16:
        return in_float32(_define_batch_norm, x, weight, bias, eps=eps)
    axes = (0, *range(2, len(x.shape)))
    centered = center(x, axis=axes)
    variance = mean(centered * centered, axis=axes, keepdim=True)
    out = centered * rsqrt(variance + eps)
    if weight is not None:
        out = out * _by_channel(weight, x)
    return out if bias is None else out + _by_channel(bias, x)


@op(
    "(x - mean x) / √(variance of x + eps) * weight + bias",
    definition=_define_batch_norm,
    differentiable=("x", "weight", "bias"),
    backward=kernels.batch_norm_grads,
    caches=("statistics",),
    floating=True,
    flops=lambda x, moments: (6 if moments is None else 2) * x.size,
)
def batch_norm(
    x: Array,
    weight: Array | None = None,
    bias: Array | None = None,
    moments: Array | None = None,
    *,
    eps: float,
) -> tuple[Array, Array]:
    """Normalize x (N, C, ...) by the mean and variance of each channel; weight and bias are (C,).

    `moments` is the result of `channel_moments` for this x, if already computed. It gets no
    gradient: the gradient for x always treats mean and variance as functions of x.

    Raises:
        AxisError: if x has fewer than two axes.
        ShapeError: if `weight`, `bias` or `moments` does not match x.
    """
    _check_rank("batch_norm", x)
    _check_shape("batch_norm", x, x.shape[1:2], weight=weight, bias=bias)
    _check_shape("batch_norm", x, (2, x.shape[1]), moments=moments)
    return kernels.batch_norm(x, weight, bias, moments, eps)


def _check_rank(name: str, x: Array) -> None:
    if x.ndim < 2:
        raise AxisError(f"{name}: expected x of shape (N, C, ...), got {x.shape}.")


def _check_shape(name: str, x: Array, shape: Shape, **values: Array | None) -> None:
    for key, value in values.items():
        if value is not None and value.shape != shape:
            raise ShapeError(
                f"{name}: expected `{key}` of shape {shape} for x of shape {x.shape}, got "
                f"{value.shape}."
            )


def batchnorm(
    x: Value,
    weight: Value | None,
    bias: Value | None,
    mean: Value,
    invstd: Value,
    axis: int | Sequence[int] = 1,
) -> Value:
    """Compute (x - mean) invstd weight + bias, with one value of each per index along `axis`.

    Args:
        x: the input.
        weight: scale per channel; None for 1.
        bias: shift per channel; None for 0.
        mean: mean per channel.
        invstd: inverse of the standard deviation per channel.
        axis: the axis of the channels, or several axes.

    Raises:
        AxisError: if `axis` is out of range.
        ShapeError: if the number of values differs from the number of channels.

    >>> from tinygrad_np import Tensor
    >>> x, two = Tensor([[1.0, 2.0]]), Tensor([2.0, 2.0])
    >>> x.batchnorm(two, None, mean=Tensor([1.0, 1.0]), invstd=two)
    Tensor([[0., 4.]])
    """
    axes = {normalize_axis("batchnorm", len(x.shape), a) for a in as_tuple(axis)}
    shape = tuple([n if a in axes else 1 for a, n in enumerate(x.shape)])
    scale = invstd if weight is None else invstd * weight
    out = (x - reshape(mean, shape=shape)) * reshape(scale, shape=shape)
    return out if bias is None else out + reshape(bias, shape=shape)


def layernorm(x: V, axis: Axis = -1, eps: float = 1e-5) -> V:
    """Compute (x - mean x) / √(variance of x + eps) over `axis`; the variance is the biased one.

    Args:
        x: the input.
        axis: an axis, several axes, or None for all.
        eps: constant added to the variance.

    Raises:
        AxisError: if `axis` is out of range.

    >>> from tinygrad_np import Tensor
    >>> Tensor([[1.0, 3.0], [4.0, 4.0]]).layernorm(eps=1e-9)
    Tensor([[-1.,  1.],
            [ 0.,  0.]])
    """
    if x.shape and axis in (-1, len(x.shape) - 1):
        return layer_norm(x, eps=eps)
    return _standardize(x, axis, eps)


def _standardize(x: V, axis: Axis, eps: float) -> V:
    if x.dtype == np.float16:
        return in_float32(_standardize, x, axis, eps)
    centered = center(x, axis=axis)
    variance = mean(mul(centered, centered), axis=axis, keepdim=True)
    return mul(centered, rsqrt(add(variance, eps)))


def _define_layer_norm(x: V, weight: V | None = None, bias: V | None = None, *, eps: float) -> V:
    """Define `layer_norm` in terms of other ops."""
    if x.dtype == np.float16:
        return in_float32(_define_layer_norm, x, weight, bias, eps=eps)
    out = _standardize(x, -1, eps)
    if weight is not None:
        out = mul(out, weight)
    return out if bias is None else add(out, bias)


@op(
    "(x - mean x) / √(variance of x + eps) * weight + bias",
    definition=_define_layer_norm,
    differentiable=("x", "weight", "bias"),
    backward=kernels.layer_norm_grads,
    caches=("statistics",),
    floating=True,
    flops=lambda x: 8 * x.size,
)
def layer_norm(
    x: Array, weight: Array | None = None, bias: Array | None = None, *, eps: float
) -> tuple[Array, Array]:
    """Normalize x (..., n) by the mean and variance of its last axis; weight and bias are (n,).

    Raises:
        AxisError: if x has no axis.
        ShapeError: if `weight` or `bias` does not match x.
    """
    _check_last("layer_norm", x, weight=weight, bias=bias)
    return kernels.layer_norm(x, weight, bias, eps)


def _define_group_norm(
    x: Value,
    weight: Value | None = None,
    bias: Value | None = None,
    *,
    num_groups: int,
    eps: float,
) -> Value:
    """Define `group_norm` in terms of other ops."""
    if x.dtype == np.float16:
        return in_float32(_define_group_norm, x, weight, bias, num_groups=num_groups, eps=eps)
    size = math.prod(x.shape[1:]) // num_groups
    groups = reshape(x, shape=(x.shape[0], num_groups, size))
    out = reshape(_standardize(groups, -1, eps), shape=x.shape)
    if weight is not None:
        out = out * _by_channel(weight, x)
    return out if bias is None else out + _by_channel(bias, x)


@op(
    "(x - mean x) / √(variance of x + eps) * weight + bias",
    definition=_define_group_norm,
    differentiable=("x", "weight", "bias"),
    backward=group_kernels.group_norm_grads,
    caches=("statistics",),
    floating=True,
    flops=lambda x: 6 * x.size,
)
def group_norm(
    x: Array,
    weight: Array | None = None,
    bias: Array | None = None,
    *,
    num_groups: int,
    eps: float,
) -> tuple[Array, Array]:
    """Normalize x (N, C, ...) by the mean and variance of each sample and group of channels.

    `num_groups` must divide C; with one group per channel, this is instance normalization. Weight
    and bias are (C,).

    Raises:
        ArgumentError: if `num_groups` does not divide C.
        AxisError: if x has fewer than two axes.
        ShapeError: if `weight` or `bias` does not match x.
    """
    _check_rank("group_norm", x)
    if num_groups < 1 or x.shape[1] % num_groups:
        raise ArgumentError(
            f"group_norm: expected `num_groups` to divide the {x.shape[1]} channels, got "
            f"{num_groups}."
        )
    _check_shape("group_norm", x, x.shape[1:2], weight=weight, bias=bias)
    return group_kernels.group_norm(x, weight, bias, num_groups, eps)


def _define_rms_norm(x: V, weight: V | None = None, *, eps: float) -> V:
    """Define `rms_norm` in terms of other ops."""
    if x.dtype == np.float16:
        return in_float32(_define_rms_norm, x, weight, eps=eps)
    with np.errstate(over="ignore"):
        squares = mean(mul(x, x), axis=-1, keepdim=True)
    scale = scale_of_large(squares)
    if scale is None:
        out = mul(x, rsqrt(add(squares, eps)))
    else:
        x = mul(x, scale)
        squares = mean(mul(x, x), axis=-1, keepdim=True)
        out = mul(x, rsqrt(add(squares, eps * scale * scale)))
    return out if weight is None else mul(out, weight)


@op(
    "x / √(mean x² + eps) * weight",
    definition=_define_rms_norm,
    differentiable=("x", "weight"),
    backward=kernels.rms_norm_grads,
    caches=("inverse",),
    floating=True,
    flops=lambda x: 4 * x.size,
)
def rms_norm(x: Array, weight: Array | None = None, *, eps: float) -> tuple[Array, Array]:
    """Divide x (..., n) by the root mean square of its last axis; weight is (n,).

    Raises:
        AxisError: if x has no axis.
        ShapeError: if `weight` does not match x.
    """
    _check_last("rms_norm", x, weight=weight)
    return kernels.rms_norm(x, weight, eps)


def _check_last(name: str, x: Array, **values: Array | None) -> None:
    if not x.ndim:
        raise AxisError(f"{name}: expected x of shape (..., n), got ().")
    _check_shape(name, x, x.shape[-1:], **values)
