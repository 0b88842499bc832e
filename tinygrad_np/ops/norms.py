"""Batch norm: each channel to mean 0 and variance 1, then scaled and shifted."""

import math
from typing import Any

import numpy as np

from tinygrad_np.autograd.op import cast, op
from tinygrad_np.errors import AxisError, ShapeError
from tinygrad_np.kernels import norms as kernels
from tinygrad_np.ops.functions import rsqrt
from tinygrad_np.ops.indexing import getitem
from tinygrad_np.ops.reduce import mean
from tinygrad_np.ops.shape import reshape
from tinygrad_np.runtime.memory import Array


def _by_channel(values: Any, x: Any) -> Any:
    """Return one value a channel in a shape that broadcasts to x."""
    return reshape(values, shape=(-1, *[1] * (len(x.shape) - 2)))


def _moments_vjp(grad_out: Any, x: Any, out: Any, x_dtype: Any) -> Any:
    of_mean, of_variance = (_by_channel(getitem(grad_out, row), x) for row in (0, 1))
    centred = x - _by_channel(getitem(out, 0), x)
    count = math.prod((x.shape[0], *x.shape[2:]))
    return cast((of_mean + 2 * centred * of_variance) / max(1, count), dtype=x_dtype)


@op(
    "mean x, mean (x - mean x)²",
    vjps={"x": _moments_vjp},
    flops=lambda x: 4 * x.size,
)
def channel_moments(x: Array) -> Array:
    """Mean and biased variance of each channel of (N, C, ...), rows (2, C); of float16 in float32,
    and of nothing 0."""
    _check_rank("channel_moments", x)
    return kernels.moments(x)


def _definition(
    x: Any, weight: Any = None, bias: Any = None, moments: Any = None, *, eps: float
) -> Any:
    """The fused op below, in other ops; the statistics are always those of x."""
    if x.dtype == np.float16:  # whose squares overflow
        wide = [None if v is None else cast(v, dtype=np.dtype("f4")) for v in (x, weight, bias)]
        return cast(_definition(*wide, eps=eps), dtype=x.dtype)
    axes = (0, *range(2, len(x.shape)))
    centred = x - mean(x, axis=axes, keepdim=True)
    variance = mean(centred * centred, axis=axes, keepdim=True)
    out = centred * rsqrt(variance + eps)
    if weight is not None:
        out = out * _by_channel(weight, x)
    return out if bias is None else out + _by_channel(bias, x)


@op(
    "(x - mean x) / √(variance of x + eps) * weight + bias",
    vjps={
        "x": lambda grad_out, x, weight, statistics: kernels.batch_norm_grads(
            grad_out, x, weight, statistics, (True,)
        )[0],
        "weight": lambda grad_out, x, statistics: kernels.batch_norm_grads(
            grad_out, x, None, statistics, (False, True)
        )[1],
        "bias": lambda grad_out, x, statistics: kernels.batch_norm_grads(
            grad_out, x, None, statistics, (False, False, True)
        )[2],
    },
    joint=lambda grad_out, x, weight, statistics, wanted: kernels.batch_norm_grads(
        grad_out, x, weight, statistics, wanted
    ),
    fresh=True,
    caches=("statistics",),
    definition=_definition,
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
    """Normalise x (N, C, ...) by the mean and variance of each channel; weight and bias are (C,).

    `moments` is what `channel_moments` gave for this x, where that is known already. It has no
    gradient: that for x always takes mean and variance as functions of x.
    """
    _check_rank("batch_norm", x)
    channels = x.shape[1]
    for name, value, shape in (
        ("weight", weight, (channels,)),
        ("bias", bias, (channels,)),
        ("moments", moments, (2, channels)),
    ):
        if value is not None and value.shape != shape:
            raise ShapeError(
                f"batch_norm: got x {x.shape} and {name} {value.shape}, expected {name} {shape}"
            )
    return kernels.batch_norm(x, weight, bias, moments, eps)


def _check_rank(name: str, x: Array) -> None:
    if x.ndim < 2:
        raise AxisError(f"{name}: got x {x.shape}, expected (N, C, ...)")
