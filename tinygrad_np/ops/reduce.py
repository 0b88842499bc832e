"""Reductions over axes: one axis, several, or all."""

from typing import Any

import numpy as np

from tinygrad_np.kernels.elementwise import total
from tinygrad_np.memory import Array
from tinygrad_np.ops.elementwise import add, eq, ne, select
from tinygrad_np.ops.shape import reshape
from tinygrad_np.record import cast, expand, op
from tinygrad_np.tape import Shape

Axis = int | tuple[int, ...] | None


def _kept(reduced: Any, shape: Shape, axis: Axis) -> Any:
    """Return a reduction of an array of `shape` with the reduced axes at length 1."""
    axes = range(len(shape)) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    positive = {a % len(shape) for a in axes} if shape else set()
    kept = tuple(1 if a in positive else length for a, length in enumerate(shape))
    return reshape(reduced, shape=kept)


def _over(grad_out: Any, x_shape: Shape, axis: Axis) -> Any:
    """Return for each entry of the input the gradient of the entry it was reduced into."""
    return expand(_kept(grad_out, x_shape, axis), shape=x_shape)


def _count(shape: Shape, reduced: Any) -> float:
    size = 1
    for length in shape:
        size *= length
    for length in reduced.shape:
        size //= length or 1
    return float(size)


@op("Σ x", vjps={"x": _over})
def sum(x: Array, *, axis: Axis = None, keepdim: bool = False) -> Array:
    """Sum over `axis`; integers and bools add up in 64 bits."""
    return total(x, axis, keepdim)


@op(
    "Σ x / n",
    vjps={
        "x": lambda grad_out, x_shape, axis: _over(
            grad_out / _count(x_shape, grad_out), x_shape, axis
        )
    },
    floating=True,
)
def mean(x: Array, *, axis: Axis = None, keepdim: bool = False) -> Array:
    """Mean over `axis`; integers give float32, nothing gives nan."""
    wide = x.astype(np.float32) if x.dtype == np.float16 else x
    summed = total(wide, axis, keepdim)
    count = x.size // summed.size if summed.size else 1
    if not count:
        return np.full(summed.shape, np.nan, x.dtype)
    return np.asarray(summed / summed.dtype.type(count)).astype(x.dtype, copy=False)


def _max_vjp(grad_out: Any, x: Any, out: Any, x_shape: Shape, x_dtype: Any, axis: Axis) -> Any:
    # A nan wins, and is not equal to itself.
    winners = add(eq(x, _kept(out, x_shape, axis)), ne(x, x))
    count = sum(cast(winners, dtype=x_dtype), axis=axis, keepdim=True)
    return select(expand(_kept(grad_out, x_shape, axis) / count, shape=x_shape), winners)


@op("max x", vjps={"x": _max_vjp})
def max(x: Array, *, axis: Axis = None, keepdim: bool = False) -> Array:
    """Maximum over `axis`; entries that tie share the gradient evenly."""
    return np.asarray(x.max(axis=axis, keepdims=keepdim))
