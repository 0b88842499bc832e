"""Reductions over one axis, several axes, or all axes."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from tinygrad_np.autograd.dispatch import V, op
from tinygrad_np.autograd.primitives import cast, expand
from tinygrad_np.autograd.tape import Variable
from tinygrad_np.checks import check_dtype, is_integer, kind_of
from tinygrad_np.errors import DtypeError
from tinygrad_np.kernels import reductions as kernels
from tinygrad_np.ops.elementwise import (
    add,
    as_array,
    div,
    eq,
    gt,
    isclose,
    keep_where,
    mul,
    ne,
    where,
)
from tinygrad_np.ops.functions import exp, replace_minus_inf, sqrt
from tinygrad_np.ops.scan import flip_last, multiply_before
from tinygrad_np.ops.shape import permute, reshape
from tinygrad_np.runtime.memory import Array
from tinygrad_np.typing import DType, Shape, Value

Axis = int | tuple[int, ...] | list[int] | None


def normalize_axes(name: str, x: Value, axis: Axis) -> tuple[int, ...] | None:
    """Convert `axis` to a tuple or None, for NumPy; a 0-d tensor also accepts axes 0 and -1."""
    if axis is None:
        return None
    axes = tuple(axis) if isinstance(axis, list | tuple) else (axis,)
    for a in axes:
        if type(a) is not int and not is_integer(a):
            raise DtypeError(
                f"{name}: expected `axis` to be an integer, a tuple or list of integers, or None, "
                f"got {kind_of(axis) if isinstance(axis, Variable | np.ndarray) else repr(axis)}."
            )
    return () if not x.shape and set(axes) <= {0, -1} else axes


def _reduced_axes(shape: Shape, axis: Axis) -> list[int]:
    """Return the reduced axes as numbers >= 0."""
    if axis is None or not shape:
        return list(range(len(shape)))
    return [a % len(shape) for a in (axis if isinstance(axis, list | tuple) else (axis,))]


def _keep_axes(reduced: V, shape: Shape, axis: Axis) -> V:
    """Restore the reduced axes with length 1; `shape` is the shape of the input."""
    axes = _reduced_axes(shape, axis)
    return reshape(reduced, shape=tuple(1 if a in axes else n for a, n in enumerate(shape)))


def _broadcast_back(reduced: V, shape: Shape, axis: Axis) -> V:
    """Broadcast a reduced array back to the `shape` of the input."""
    return expand(_keep_axes(reduced, shape, axis), shape=shape)


def _count(shape: Shape, axis: Axis) -> int:
    """Return the number of input entries per output entry."""
    if axis is None:
        return math.prod(shape)
    return math.prod([shape[a] for a in _reduced_axes(shape, axis)])


def _convert(value: V, dtype: DType) -> V:
    """Convert to `dtype`; return the value itself if it already has that dtype."""
    return value if value.dtype == dtype else cast(value, dtype=dtype)


def divide_by_count(x: V, count: Value | float) -> V:
    """Return x / count; float16 is divided in float32, because counts above 65504 overflow."""
    if x.dtype == np.float16:
        return cast(div(cast(x, dtype=np.float32), count), dtype=x.dtype)
    return div(x, count)


def _to_dtype(name: str, x: Array, dtype: DTypeLike | None) -> Array:
    """Return x in `dtype` if given."""
    return x if dtype is None else x.astype(check_dtype(name, dtype), copy=False)


@op(
    "Σ x",
    vjps={
        "x": lambda grad_out, x_shape, x_dtype, axis: _broadcast_back(
            _convert(grad_out, x_dtype), x_shape, axis
        )
    },
    flops=lambda x: x.size,
)
def sum(
    x: Array, *, axis: Axis = None, keepdim: bool = False, dtype: DTypeLike | None = None
) -> Array:
    """Compute the sum over `axis`.

    Args:
        x: the input.
        axis: an axis, several axes, or None for all.
        keepdim: keep the reduced axes with length 1.
        dtype: if given, x is converted to it first.

    Raises:
        AxisError: if `axis` is out of range.
        DtypeError: if `axis` is not an integer, a tuple or list of integers, or None, or if `dtype`
            is not a float, int or bool dtype.

    Integers and bools are accumulated in 64 bits and give a 64-bit result. float16 is accumulated
    in float32.

    >>> Tensor([[1.0, 2.0], [3.0, 4.0]]).sum(axis=0)
    Tensor([4., 6.])
    """
    return kernels.total(_to_dtype("sum", x, dtype), normalize_axes("sum", x, axis), keepdim)


@op(
    "Σ x / n",
    vjps={
        "x": lambda grad_out, x_shape, axis: _broadcast_back(
            divide_by_count(grad_out, float(_count(x_shape, axis) or 1)), x_shape, axis
        )
    },
    floating=True,
    flops=lambda x: x.size,
)
def mean(x: Array, *, axis: Axis = None, keepdim: bool = False) -> Array:
    """Compute the mean over `axis`: an axis, several axes, or None for all.

    Integers give float32; float16 is accumulated in float32. The mean of no entries is nan. The
    mean of finite entries is finite, even if their sum overflows.

    Raises:
        AxisError: if `axis` is out of range.
        DtypeError: if `axis` is not an integer, a tuple or list of integers, or None.

    >>> Tensor([[1, 2], [3, 4]]).mean(axis=1)
    Tensor([1.5, 3.5])
    """
    return kernels.mean(x, normalize_axes("mean", x, axis), keepdim)


@op(
    "x - mean x",
    vjps={"x": lambda grad_out, axis: center(grad_out, axis=axis)},
    floating=True,
    flops=lambda x: 2 * x.size,
)
def center(x: Array, *, axis: Axis = None) -> Array:
    """Subtract the mean over `axis`: an axis, several axes, or None for all.

    A large mean costs no digits, and equal entries give exactly 0.

    Raises:
        AxisError: if `axis` is out of range.
        DtypeError: if `axis` is not an integer, a tuple or list of integers, or None.

    >>> center(np.array([1.0, 2.0, 6.0])).tolist()
    [-2.0, -1.0, 3.0]
    """
    return kernels.center(x, normalize_axes("center", x, axis))


def _extreme_vjp(
    grad_out: Value, x: Value, out: Value, x_shape: Shape, x_dtype: DType, axis: Axis
) -> Value:
    # A nan is the extreme value but does not equal itself: ne(x, x) adds the nan entries.
    winners = add(eq(x, _keep_axes(out, x_shape, axis)), ne(x, x))
    count = sum(cast(winners, dtype=np.promote_types(x_dtype, np.float32)), axis, True)
    share = divide_by_count(_keep_axes(grad_out, x_shape, axis), count)
    return keep_where(expand(share, shape=x_shape), winners)


@op(
    "max x",
    vjps={"x": _extreme_vjp},
    subgradient="shared evenly at ties",
    flops=lambda x: x.size,
)
def max(x: Array, *, axis: Axis = None, keepdim: bool = False) -> Array:
    """Compute the maximum over `axis`: an axis, several axes, or None for all.

    A nan counts as the maximum. Tied entries share the gradient evenly, as in `torch.amax`.

    Raises:
        ShapeError: if there are no entries to reduce.
        AxisError: if `axis` is out of range.
        DtypeError: if `axis` is not an integer, a tuple or list of integers, or None.

    >>> Tensor([[1.0, 5.0], [4.0, 2.0]]).max(axis=1)
    Tensor([5., 4.])
    """
    return np.asarray(x.max(axis=normalize_axes("max", x, axis), keepdims=keepdim))


@op(
    "min x",
    vjps={"x": _extreme_vjp},
    subgradient="shared evenly at ties",
    flops=lambda x: x.size,
)
def min(x: Array, *, axis: Axis = None, keepdim: bool = False) -> Array:
    """Compute the minimum over `axis`: an axis, several axes, or None for all.

    A nan counts as the minimum. Tied entries share the gradient evenly, as in `torch.amin`.

    Raises:
        ShapeError: if there are no entries to reduce.
        AxisError: if `axis` is out of range.
        DtypeError: if `axis` is not an integer, a tuple or list of integers, or None.

    >>> Tensor([[1.0, 5.0], [4.0, 2.0]]).min(axis=1)
    Tensor([1., 2.])
    """
    return np.asarray(x.min(axis=normalize_axes("min", x, axis), keepdims=keepdim))


def _prod_vjp(grad_out: Value, x: Value, x_shape: Shape, x_dtype: DType, axis: Axis) -> Value:
    """Return the gradient times the product of the *other* entries, without dividing by x."""
    rank = len(x_shape)
    reduced = _reduced_axes(x_shape, axis)
    order = [a for a in range(rank) if a not in reduced] + reduced
    moved = permute(_convert(x, grad_out.dtype), order=tuple(order))
    lead = moved.shape[: rank - len(reduced)]
    rows = reshape(moved, shape=(*lead, _count(x_shape, axis)))
    others = multiply_before(rows) * flip_last(multiply_before(flip_last(rows)))
    back = permute(reshape(others, shape=moved.shape), order=tuple(np.argsort(order).tolist()))
    return _convert(_broadcast_back(grad_out, x_shape, axis) * back, x_dtype)


@op("Π x", vjps={"x": _prod_vjp}, flops=lambda x: x.size)
def prod(
    x: Array, *, axis: Axis = None, keepdim: bool = False, dtype: DTypeLike | None = None
) -> Array:
    """Compute the product over `axis`; the gradient is correct even where entries are 0.

    Args:
        x: the input.
        axis: an axis, several axes, or None for all.
        keepdim: keep the reduced axes with length 1.
        dtype: if given, x is converted to it first.

    Raises:
        AxisError: if `axis` is out of range.
        DtypeError: if `axis` is not an integer, a tuple or list of integers, or None, or if `dtype`
            is not a float, int or bool dtype.

    Integers and bools are multiplied in 64 bits and give a 64-bit result. float16 and float32 are
    multiplied in float64.

    >>> Tensor([[1.0, 2.0], [3.0, 4.0]]).prod(axis=1)
    Tensor([ 2., 12.])
    """
    x = _to_dtype("prod", x, dtype)
    # Rounding after each factor would add up.
    wide = np.float64 if x.dtype in (np.float16, np.float32) else None
    axes = normalize_axes("prod", x, axis)
    product = np.asarray(x.prod(axis=axes, keepdims=keepdim, dtype=wide))
    return product.astype(x.dtype) if wide else product


@op("all x", flops=lambda x: x.size)
def all(x: Array, *, axis: Axis = None, keepdim: bool = False) -> Array:
    """Test whether all entries along `axis` are nonzero.

    Raises:
        AxisError: if `axis` is out of range.
        DtypeError: if `axis` is not an integer, a tuple or list of integers, or None.

    >>> Tensor([[True, False], [True, True]]).all(axis=1)
    Tensor([False,  True])
    """
    return np.asarray(x.all(axis=normalize_axes("all", x, axis), keepdims=keepdim))


def allclose(
    x: Value,
    other: Value | float,
    rtol: float = 1e-5,
    atol: float = 1e-8,
    equal_nan: bool = False,
) -> bool:
    """Return whether all entries of x and other are equal within a tolerance, as in `isclose`.

    >>> from tinygrad_np import Tensor
    >>> Tensor([1.0, 2.0]).allclose(Tensor([1.0, 2.0 + 1e-6]))
    True
    """
    return bool(all(isclose(x, other, rtol=rtol, atol=atol, equal_nan=equal_nan)))


@op("any x", flops=lambda x: x.size)
def any(x: Array, *, axis: Axis = None, keepdim: bool = False) -> Array:
    """Test whether any entry along `axis` is nonzero.

    Raises:
        AxisError: if `axis` is out of range.
        DtypeError: if `axis` is not an integer, a tuple or list of integers, or None.

    >>> Tensor([[True, False], [False, False]]).any(axis=1)
    Tensor([ True, False])
    """
    return np.asarray(x.any(axis=normalize_axes("any", x, axis), keepdims=keepdim))


@op("index of max x", flops=lambda x: x.size)
def argmax(x: Array, *, axis: int | None = None, keepdim: bool = False) -> Array:
    """Return the int64 index of the maximum along `axis`.

    If `axis` is None, the index counts along the flattened tensor. At ties, the first index is
    returned. A nan counts as the maximum.

    Raises:
        AxisError: if `axis` is out of range.
        ShapeError: if there are no entries to reduce.

    >>> Tensor([[1.0, 5.0], [4.0, 2.0]]).argmax(axis=1)
    Tensor([1, 0])
    """
    return np.asarray(np.argmax(x, axis=_normalize_axis(x, axis), keepdims=keepdim))


@op("index of min x", flops=lambda x: x.size)
def argmin(x: Array, *, axis: int | None = None, keepdim: bool = False) -> Array:
    """Return the int64 index of the minimum along `axis`.

    If `axis` is None, the index counts along the flattened tensor. At ties, the first index is
    returned. A nan counts as the minimum.

    Raises:
        AxisError: if `axis` is out of range.
        ShapeError: if there are no entries to reduce.

    >>> Tensor([[1.0, 5.0], [4.0, 2.0]]).argmin(axis=1)
    Tensor([0, 1])
    """
    return np.asarray(np.argmin(x, axis=_normalize_axis(x, axis), keepdims=keepdim))


def _normalize_axis(x: Array, axis: int | None) -> int | None:
    return None if not x.shape and axis in (0, -1) else axis


def var(x: V, axis: Axis = None, keepdim: bool = False, correction: float = 1) -> V:
    """Compute the variance over `axis`, Σ (x - mean)² / (n - correction).

    Args:
        x: the input.
        axis: an axis, several axes, or None for all.
        keepdim: keep the reduced axes with length 1.
        correction: 1 for the unbiased estimate, 0 for the population variance.

    Raises:
        AxisError: if `axis` is out of range.
        DtypeError: if `axis` is not an integer, a tuple or list of integers, or None.

    n is the number of entries reduced. For n <= correction, the result is nan if n <= 1, else inf
    (nan for equal entries).

    >>> from tinygrad_np import Tensor
    >>> Tensor([1.0, 2.0, 3.0, 4.0]).var()
    Tensor(1.6667)
    """
    if x.dtype == np.float16:
        return in_float32(var, x, axis, keepdim, correction)
    axes = normalize_axes("var", x, axis)
    centered = center(x, axes)
    # The mean of the squares is finite even where their sum overflows.
    squares = mean(mul(centered, centered), axes, keepdim)
    count = _count(x.shape, axes)
    # A factor rather than a divisor, because NumPy warns about 0 / 0.
    spare = count - correction
    return mul(squares, count / spare if spare > 0 else math.inf if count > 1 else math.nan)


def std(x: V, axis: Axis = None, keepdim: bool = False, correction: float = 1) -> V:
    """Compute the standard deviation √var over `axis`; where it is 0, the gradient is 0.

    Raises:
        AxisError: if `axis` is out of range.
        DtypeError: if `axis` is not an integer, a tuple or list of integers, or None.

    >>> from tinygrad_np import Tensor
    >>> Tensor([1.0, 2.0, 3.0, 4.0]).std()
    Tensor(1.2910)
    """
    if x.dtype == np.float16:
        return in_float32(std, x, axis, keepdim, correction)
    with np.errstate(over="ignore"):
        variance = var(x, axis, keepdim, correction)
    scale = scale_of_large(variance)
    if scale is not None:
        rows = _keep_axes(scale, x.shape, normalize_axes("std", x, axis))
        variance = var(mul(x, rows), axis, keepdim, correction)
    is_zero = eq(variance, 0)
    root = where(is_zero, 0.0, sqrt(where(is_zero, 1, variance)))
    return root if scale is None else div(root, scale)


def scale_of_large(squares: Value) -> Array | None:
    """Return a factor for each row whose squares overflow, or None if none of them do.

    The factor is 1 for the other rows. It is a power of 2, so that multiplying loses no digits.
    """
    values: Any = as_array(squares)
    is_finite = np.isfinite(values)
    return None if is_finite.all() else np.where(is_finite, 1, 2.0**-96).astype(values.dtype)


def in_float32(function: Callable[..., V], x: V, *others: Any, **options: Any) -> V:
    """Return what a function returns for float16, computed in float32: squares would overflow."""
    wide = [
        cast(value, dtype=np.float32) if getattr(value, "dtype", None) == np.float16 else value
        for value in (x, *others)
    ]
    return cast(function(*wide, **options), dtype=x.dtype)


def std_mean(x: V, axis: Axis = None, keepdim: bool = False, correction: float = 1) -> tuple[V, V]:
    """Compute the standard deviation and the mean over `axis`.

    Raises:
        AxisError: if `axis` is out of range.
        DtypeError: if `axis` is not an integer, a tuple or list of integers, or None.

    >>> from tinygrad_np import Tensor
    >>> Tensor([1.0, 2.0, 3.0]).std_mean()
    (Tensor(1.), Tensor(2.))
    """
    return std(x, axis, keepdim, correction), mean(x, axis, keepdim)


def var_mean(x: V, axis: Axis = None, keepdim: bool = False, correction: float = 1) -> tuple[V, V]:
    """Compute the variance and the mean over `axis`.

    Raises:
        AxisError: if `axis` is out of range.
        DtypeError: if `axis` is not an integer, a tuple or list of integers, or None.

    >>> from tinygrad_np import Tensor
    >>> Tensor([1.0, 2.0, 3.0]).var_mean()
    (Tensor(1.), Tensor(2.))
    """
    return var(x, axis, keepdim, correction), mean(x, axis, keepdim)


def _shares(x: Value, out: Value, x_shape: Shape, axis: Axis) -> Value:
    """Return e^x / Σ e^x; the sum of e^(x - out) is not 1 where `out` is large and rounded."""
    powers = exp(x - _broadcast_back(replace_minus_inf(out), x_shape, axis))
    summed = sum(powers, axis=axis)
    return powers / _broadcast_back(where(gt(summed, 0), summed, 1.0), x_shape, axis)


@op(
    "log Σ e^x",
    vjps={
        "x": lambda grad_out, x, out, x_shape, axis: (
            _broadcast_back(grad_out, x_shape, axis) * _shares(x, out, x_shape, axis)
        )
    },
    floating=True,
    flops=lambda x, out: 4 * x.size + 2 * out.size,
)
def logsumexp(x: Array, *, axis: Axis = None, keepdim: bool = False) -> Array:
    """Compute log Σ e^x over `axis`, without overflow; the result for no entries is -inf.

    Raises:
        AxisError: if `axis` is out of range.
        DtypeError: if `axis` is not an integer, a tuple or list of integers, or None.

    >>> Tensor([1000.0, 1000.0]).logsumexp()
    Tensor(1000.693)
    """
    if x.dtype == np.float16:
        wide = x.astype(np.float32)
        return logsumexp.forward(wide, axis=axis, keepdim=keepdim).astype(x.dtype)
    axes = normalize_axes("logsumexp", x, axis)
    if not x.size:
        with np.errstate(divide="ignore"):
            return np.asarray(np.log(kernels.total(x, axes, keepdim)))
    top = x.max(axis=axes, keepdims=True)
    top = np.where(np.isfinite(top), top, x.dtype.type(0))
    with np.errstate(divide="ignore", over="ignore"):
        out = np.log(kernels.total(np.exp(x - top), axes, True)) + top
    return np.asarray(out if keepdim else np.squeeze(out, axis=axes))
