"""Reductions over axes: one axis, several, or all."""

import builtins
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygrad_np.autograd.op import V, cast, expand, known_dtype, op
from tinygrad_np.autograd.tape import Shape
from tinygrad_np.errors import DtypeError
from tinygrad_np.kernels.elementwise import total
from tinygrad_np.ops.elementwise import add, eq, mul, ne, select, sub, where
from tinygrad_np.ops.functions import exp, sqrt, without_minus_inf
from tinygrad_np.ops.scan import flipped, products_before
from tinygrad_np.ops.shape import permute, reshape
from tinygrad_np.runtime.memory import Array

Axis = int | Sequence[int] | None
Axes = tuple[int, ...] | None


def axes_of(name: str, x: Any, axis: Axis) -> Axes:
    """Return `axis` as a tuple or None; a tensor of no dimension counts as of one."""
    if axis is None:
        return None
    given = tuple(axis) if isinstance(axis, list | tuple) else (axis,)
    if builtins.any(isinstance(a, bool) or not isinstance(a, int | np.integer) for a in given):
        raise DtypeError(f"{name} axis: got {axis!r}, expected an integer, several, or None")
    if not x.shape and set(given) <= {0, -1}:
        return ()
    return tuple(map(int, given))


def _kept(reduced: Any, shape: Shape, axis: Axes) -> Any:
    """Return a reduction of an array of `shape` with the reduced axes at length 1."""
    axes = range(len(shape)) if axis is None else axis
    positive = {a % len(shape) for a in axes} if shape else set()
    kept = tuple(1 if a in positive else length for a, length in enumerate(shape))
    return reshape(reduced, shape=kept)


def _over(grad_out: Any, x_shape: Shape, axis: Axes) -> Any:
    """Return for each entry of the input the gradient of the entry it was reduced into."""
    return expand(_kept(grad_out, x_shape, axis), shape=x_shape)


def _count(shape: Shape, axis: Axes) -> int:
    """Return how many entries are reduced into one."""
    if axis is None:
        return math.prod(shape)
    return math.prod(shape[a] for a in axis)


@op("Σ x", vjps={"x": _over}, flops=lambda x: x.size)
def _sum(x: Array, *, axis: Axes, keepdim: bool) -> Array:
    """Sum over `axis`; integers and bools add up in 64 bits."""
    return total(x, axis, keepdim)


def sum(x: V, axis: Axis = None, keepdim: bool = False, dtype: Any = None) -> V:
    """Return the sum over `axis`: an int, several, or None for all.

    Integers and bools add up in 64 bits, float16 in float32; `dtype` converts before.

    >>> from tinygrad_np import Tensor
    >>> Tensor([[1.0, 2.0], [3.0, 4.0]]).sum(axis=0)
    Tensor([4., 6.])
    """
    if dtype is not None:
        x = cast(x, dtype=known_dtype("sum", dtype))
    return _sum(x, axis=axes_of("sum", x, axis), keepdim=keepdim)


@op(
    "Σ x / n",
    vjps={
        "x": lambda grad_out, x_shape, axis: _over(
            grad_out / float(_count(x_shape, axis) or 1), x_shape, axis
        )
    },
    floating=True,
    flops=lambda x: x.size,
)
def _mean(x: Array, *, axis: Axes, keepdim: bool) -> Array:
    """Mean over `axis`."""
    wide = x.astype(np.float32) if x.dtype == np.float16 else x
    summed = total(wide, axis, keepdim)
    count = _count(x.shape, axis)
    if not count:
        return np.full(summed.shape, np.nan, x.dtype)
    return np.asarray(summed / summed.dtype.type(count)).astype(x.dtype, copy=False)


def mean(x: V, axis: Axis = None, keepdim: bool = False) -> V:
    """Return the mean over `axis`; integers give float32, nothing gives nan.

    >>> from tinygrad_np import Tensor
    >>> Tensor([[1, 2], [3, 4]]).mean(axis=1)
    Tensor([1.5, 3.5])
    """
    return _mean(x, axis=axes_of("mean", x, axis), keepdim=keepdim)


def _extreme_vjp(grad_out: Any, x: Any, out: Any, x_shape: Shape, x_dtype: Any, axis: Axes) -> Any:
    # A nan wins, and is not equal to itself.
    winners = add(eq(x, _kept(out, x_shape, axis)), ne(x, x))
    count = _sum(cast(winners, dtype=x_dtype), axis=axis, keepdim=True)
    return select(expand(_kept(grad_out, x_shape, axis) / count, shape=x_shape), winners)


@op(
    "max x",
    vjps={"x": _extreme_vjp},
    subgradient="shared evenly where entries tie",
    flops=lambda x: x.size,
)
def _max(x: Array, *, axis: Axes, keepdim: bool) -> Array:
    """Maximum over `axis`."""
    return np.asarray(x.max(axis=axis, keepdims=keepdim))


@op(
    "min x",
    vjps={"x": _extreme_vjp},
    subgradient="shared evenly where entries tie",
    flops=lambda x: x.size,
)
def _min(x: Array, *, axis: Axes, keepdim: bool) -> Array:
    """Minimum over `axis`."""
    return np.asarray(x.min(axis=axis, keepdims=keepdim))


def max(x: V, axis: Axis = None, keepdim: bool = False) -> V:
    """Return the maximum over `axis`; entries that tie share the gradient evenly.

    Raises ShapeError where there is nothing to choose from.

    >>> from tinygrad_np import Tensor
    >>> Tensor([[1.0, 5.0], [4.0, 2.0]]).max(axis=1)
    Tensor([5., 4.])
    """
    return _max(x, axis=axes_of("max", x, axis), keepdim=keepdim)


def min(x: V, axis: Axis = None, keepdim: bool = False) -> V:
    """Return the minimum over `axis`; entries that tie share the gradient evenly.

    Raises ShapeError where there is nothing to choose from.

    >>> from tinygrad_np import Tensor
    >>> Tensor([[1.0, 5.0], [4.0, 2.0]]).min(axis=1)
    Tensor([1., 2.])
    """
    return _min(x, axis=axes_of("min", x, axis), keepdim=keepdim)


def _prod_vjp(grad_out: Any, x: Any, x_shape: Shape, axis: Axes) -> Any:
    """Return the gradient times the product of the *other* entries, right with zeros too."""
    rank = len(x_shape)
    reduced = range(rank) if axis is None else [a % rank for a in axis]
    order = tuple(a for a in range(rank) if a not in reduced) + tuple(reduced)
    moved = permute(x, order=order)
    lead = moved.shape[: rank - len(reduced)]
    rows = reshape(moved, shape=(*lead, _count(x_shape, axis)))
    others = products_before(rows) * flipped(products_before(flipped(rows)))
    back = permute(reshape(others, shape=moved.shape), order=tuple(np.argsort(order).tolist()))
    return _over(grad_out, x_shape, axis) * back


@op("Π x", vjps={"x": _prod_vjp}, flops=lambda x: x.size)
def _prod(x: Array, *, axis: Axes, keepdim: bool) -> Array:
    """Product over `axis`; integers and bools multiply in 64 bits."""
    wide = np.float32 if x.dtype == np.float16 else None
    product = np.asarray(x.prod(axis=axis, keepdims=keepdim, dtype=wide))
    return product.astype(x.dtype) if wide else product


def prod(x: V, axis: Axis = None, keepdim: bool = False, dtype: Any = None) -> V:
    """Return the product over `axis`; its gradient is right where entries are 0.

    Integers and bools multiply in 64 bits; `dtype` converts before.

    >>> from tinygrad_np import Tensor
    >>> Tensor([[1.0, 2.0], [3.0, 4.0]]).prod(axis=1)
    Tensor([ 2., 12.])
    """
    if dtype is not None:
        x = cast(x, dtype=known_dtype("prod", dtype))
    return _prod(x, axis=axes_of("prod", x, axis), keepdim=keepdim)


@op("all x", flops=lambda x: x.size)
def _all(x: Array, *, axis: Axes, keepdim: bool) -> Array:
    """Whether all entries over `axis` are true."""
    return np.asarray(x.all(axis=axis, keepdims=keepdim))


@op("any x", flops=lambda x: x.size)
def _any(x: Array, *, axis: Axes, keepdim: bool) -> Array:
    """Whether an entry over `axis` is true."""
    return np.asarray(x.any(axis=axis, keepdims=keepdim))


def all(x: V, axis: Axis = None, keepdim: bool = False) -> V:
    """Return whether all entries over `axis` are true, or not 0.

    >>> from tinygrad_np import Tensor
    >>> Tensor([[True, False], [True, True]]).all(axis=1)
    Tensor([False,  True])
    """
    return _all(x, axis=axes_of("all", x, axis), keepdim=keepdim)


def any(x: V, axis: Axis = None, keepdim: bool = False) -> V:
    """Return whether an entry over `axis` is true, or not 0.

    >>> from tinygrad_np import Tensor
    >>> Tensor([[True, False], [False, False]]).any(axis=1)
    Tensor([ True, False])
    """
    return _any(x, axis=axes_of("any", x, axis), keepdim=keepdim)


@op("the place of max x", flops=lambda x: x.size)
def _argmax(x: Array, *, axis: int | None, keepdim: bool) -> Array:
    """Place of the first of the largest entries; a nan is larger than all."""
    return np.asarray(np.argmax(x, axis=axis, keepdims=keepdim))


@op("the place of min x", flops=lambda x: x.size)
def _argmin(x: Array, *, axis: int | None, keepdim: bool) -> Array:
    """Place of the first of the smallest entries; a nan is smaller than all."""
    return np.asarray(np.argmin(x, axis=axis, keepdims=keepdim))


def _one_axis(x: Any, axis: int | None) -> int | None:
    return None if not x.shape and axis in (0, -1) else axis


def argmax(x: V, axis: int | None = None, keepdim: bool = False) -> V:
    """Return the int64 place of the first of the largest entries, in the flat tensor or along
    `axis`.

    >>> from tinygrad_np import Tensor
    >>> Tensor([[1.0, 5.0], [4.0, 2.0]]).argmax(axis=1)
    Tensor([1, 0])
    """
    return _argmax(x, axis=_one_axis(x, axis), keepdim=keepdim)


def argmin(x: V, axis: int | None = None, keepdim: bool = False) -> V:
    """Return the int64 place of the first of the smallest entries, in the flat tensor or along
    `axis`.

    >>> from tinygrad_np import Tensor
    >>> Tensor([[1.0, 5.0], [4.0, 2.0]]).argmin(axis=1)
    Tensor([0, 1])
    """
    return _argmin(x, axis=_one_axis(x, axis), keepdim=keepdim)


def var(x: V, axis: Axis = None, keepdim: bool = False, correction: float = 1) -> V:
    """Return the variance over `axis`, Σ (x - mean)² / (n - correction); of nothing it is nan.

    >>> from tinygrad_np import Tensor
    >>> Tensor([1.0, 2.0, 3.0, 4.0]).var()
    Tensor(1.6667)
    """
    return _as_half(x, _spread(x, axis, keepdim, correction))


def _spread(x: Any, axis: Axis, keepdim: bool, correction: float) -> Any:
    """Return the variance; that of float16, whose squares overflow, in float32."""
    if x.dtype == np.float16:
        x = cast(x, dtype=np.dtype(np.float32))
    axes = axes_of("var", x, axis)
    centred: Any = sub(x, _mean(x, axis=axes, keepdim=True))
    squares = _sum(mul(centred, centred), axis=axes, keepdim=keepdim)
    count = _count(x.shape, axes)
    # As a factor, since 0 / 0 would be an ado about what is nan anyway.
    spare = count - correction
    return mul(squares, 1 / spare if spare > 0 else math.inf if count > 1 else math.nan)


def _as_half(x: Any, value: Any) -> Any:
    return cast(value, dtype=x.dtype) if x.dtype == np.float16 else value


def std(x: V, axis: Axis = None, keepdim: bool = False, correction: float = 1) -> V:
    """Return the standard deviation over `axis`; its gradient is 0 where it is 0.

    >>> from tinygrad_np import Tensor
    >>> Tensor([1.0, 2.0, 3.0, 4.0]).std()
    Tensor(1.2910)
    """
    squared: Any = _spread(x, axis, keepdim, correction)
    is_none = eq(squared, 0)
    return _as_half(x, where(is_none, squared, sqrt(where(is_none, 1, squared))))


def std_mean(x: V, axis: Axis = None, keepdim: bool = False, correction: float = 1) -> tuple[V, V]:
    """Return the standard deviation and the mean over `axis`.

    >>> from tinygrad_np import Tensor
    >>> Tensor([1.0, 2.0, 3.0]).std_mean()
    (Tensor(1.), Tensor(2.))
    """
    return std(x, axis, keepdim, correction), mean(x, axis, keepdim)


@op(
    "log Σ e^x",
    vjps={
        "x": lambda grad_out, x, out, x_shape, axis: (
            _over(grad_out, x_shape, axis) * exp(x - _over(without_minus_inf(out), x_shape, axis))
        )
    },
    floating=True,
    flops=lambda x, out: 4 * x.size + 2 * out.size,
)
def _logsumexp(x: Array, *, axis: Axes, keepdim: bool) -> Array:
    """Logarithm of the sum of exponentials over `axis`."""
    if not x.size:
        with np.errstate(divide="ignore"):
            return np.asarray(np.log(x.sum(axis=axis, keepdims=keepdim)))
    top = x.max(axis=axis, keepdims=True)
    top = np.where(np.isfinite(top), top, x.dtype.type(0))
    with np.errstate(divide="ignore", over="ignore"):
        out = np.log(np.exp(x - top).sum(axis=axis, keepdims=True)) + top
    return np.asarray(out if keepdim else np.squeeze(out, axis=axis))


def logsumexp(x: V, axis: Axis = None, keepdim: bool = False) -> V:
    """Return log Σ e^x over `axis`, without overflow; -∞ for nothing.

    >>> from tinygrad_np import Tensor
    >>> Tensor([1000.0, 1000.0]).logsumexp()
    Tensor(1000.693)
    """
    return _logsumexp(x, axis=axes_of("logsumexp", x, axis), keepdim=keepdim)
