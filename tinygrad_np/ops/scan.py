"""Scans: cumulative sums, products, extremes and log-sum-exps along an axis.

The gradients of sums, products and log-sum-exps are scans from the other end; those of extremes are
scatters. The gradients of cumprod and logcumsumexp are linear recurrences,
s[k] = b[k] + a[k] s[k-1]. They never divide, so zeros are safe, and never exponentiate a positive
number, so they cannot overflow.
"""

from collections.abc import Callable

import numpy as np

from tinygrad_np.autograd.dispatch import V, op
from tinygrad_np.autograd.primitives import cast
from tinygrad_np.errors import AxisError, ShapeError
from tinygrad_np.ops.elementwise import eq, where
from tinygrad_np.ops.functions import exp, replace_minus_inf
from tinygrad_np.ops.indexing import basic_index, gather
from tinygrad_np.ops.shape import pad_constant, transpose
from tinygrad_np.runtime.memory import Array
from tinygrad_np.typing import DType, Value, ValuesAndIndices


def _swap_last(x: V, axis: int) -> V:
    """Swap `axis` with the last axis; a second call undoes the first."""
    return transpose(x, axis, -1)


def _cut_last(x: V, part: slice) -> V:
    return basic_index(x, key=(Ellipsis, part))


def flip_last(x: V) -> V:
    """Reverse the last axis."""
    return _cut_last(x, slice(None, None, -1))


def _shift_last(x: V, first: float) -> V:
    """Shift x by one along the last axis: put `first` in front and drop the last entry."""
    if not x.shape[-1]:
        return x
    padding = (*((0, 0),) * (len(x.shape) - 1), (1, 0))
    return pad_constant(_cut_last(x, slice(None, -1)), padding, first)


def _recur_from_end(a: V, b: V) -> V:
    """Return s with s[k] = b[k] + a[k+1] s[k+1] along the last axis."""
    return flip_last(recurrence(_shift_last(flip_last(a), 0.0), flip_last(b)))


@op(
    "out[k] = b[k] + a[k] out[k-1]",
    vjps={
        "a": lambda grad_out, a, out: _recur_from_end(a, grad_out) * _shift_last(out, 0.0),
        "b": lambda grad_out, a: _recur_from_end(a, grad_out),
    },
    flops=2,
)
def recurrence(a: Array, b: Array) -> Array:
    """Compute out[k] = b[k] + a[k] out[k-1] along the last axis; a and b have the same shape.

    Raises:
        ShapeError: if the shapes differ.
    """
    if a.shape != b.shape:
        raise ShapeError(
            f"recurrence: expected inputs of the same shape, got {a.shape} and {b.shape}."
        )
    # Each entry depends on all before it: float64 keeps rounding errors from accumulating.
    wide = np.promote_types(b.dtype, np.float64)
    out, a = b.astype(wide), a.astype(wide)
    for k in range(1, out.shape[-1] if out.ndim else 0):
        out[..., k] += a[..., k] * out[..., k - 1]
    return out.astype(b.dtype)


def _scan(name: str, scan: Callable[..., Array], x: Array, axis: int) -> Array:
    """Call `scan(x, axis)`, with floats in float64; a 0-d tensor accepts axes 0 and -1."""
    _check_axis(name, x, axis)
    wide = x.astype(np.promote_types(x.dtype, np.float64)) if x.dtype.kind == "f" else x
    out = scan(wide, axis) if x.ndim else scan(wide.reshape(1), 0).reshape(())
    return out.astype(x.dtype) if x.dtype.kind == "f" else out


def _check_axis(name: str, x: Array, axis: int) -> None:
    """Raise AxisError for an axis of a 0-d tensor other than 0 and -1."""
    if not x.ndim and axis not in (0, -1):
        raise AxisError(f"{name}: expected `axis` to be 0 or -1 for a 0-d tensor, got {axis}.")


def _cumsum_vjp(grad_out: V, axis: int) -> V:
    if not grad_out.shape:
        return grad_out
    return _swap_last(flip_last(cumsum(flip_last(_swap_last(grad_out, axis)), -1)), axis)


@op("out[k] = Σ x[:k+1]", vjps={"x": _cumsum_vjp}, flops=1)
def cumsum(x: Array, *, axis: int = 0) -> Array:
    """Compute the cumulative sum along `axis`, in 64 bits for integers and bools.

    Raises:
        AxisError: if `axis` is out of range.

    >>> Tensor([1.0, 2.0, 3.0]).cumsum()
    Tensor([1., 3., 6.])
    """
    return _scan("cumsum", np.cumsum, x, axis)


def _cumprod_vjp(grad_out: Value, x: Value, axis: int) -> Value:
    if not grad_out.shape:
        return grad_out
    x = _swap_last(x, axis)
    return _swap_last(multiply_before(x) * _recur_from_end(x, _swap_last(grad_out, axis)), axis)


@op("out[k] = Π x[:k+1]", vjps={"x": _cumprod_vjp}, flops=1)
def cumprod(x: Array, *, axis: int) -> Array:
    """Compute the cumulative product along `axis`; the gradient is correct even for zeros.

    Raises:
        AxisError: if `axis` is out of range.

    >>> Tensor([1.0, 2.0, 3.0]).cumprod(0)
    Tensor([1., 2., 6.])
    """
    return _scan("cumprod", np.cumprod, x, axis)


def multiply_before(x: V) -> V:
    """Return, for each entry, the product of the entries before it along the last axis."""
    return cumprod(_shift_last(x, 1.0), -1) if x.shape[-1] else x


def _logcumsumexp_vjp(grad_out: Value, x: Value, axis: int, x_dtype: DType) -> Value:
    """Return Σ over later k of grad_out[k] e^(x - out[k]), in float64, with `out` computed again.

    In float32, `out` has too few digits if it is large, and ratios of many steps too few in all.
    """
    if not grad_out.shape:
        return grad_out
    wide = _swap_last(cast(x, dtype=np.float64), axis)
    out = logcumsumexp(wide, -1)
    # From the end: each step from entry k+1 to entry k scales by e^(out[k] - out[k+1]) <= 1.
    ratio = exp(_subtract(_shift_last(out, -np.inf), out))
    reached = _recur_from_end(ratio, _swap_last(cast(grad_out, dtype=np.float64), axis))
    return cast(_swap_last(reached * exp(wide - replace_minus_inf(out)), axis), dtype=x_dtype)


def _subtract(a: Value, b: Value) -> Value:
    """Return a - b; 0 where they are equal, even if both are -inf."""
    is_equal = eq(a, b)
    return where(is_equal, 0.0, a - where(is_equal, 0.0, b))


@op("out[k] = log Σ e^x[:k+1]", vjps={"x": _logcumsumexp_vjp}, floating=True, flops=1)
def logcumsumexp(x: Array, *, axis: int = 0) -> Array:
    """Compute the cumulative log Σ e^x along `axis`, without overflow.

    Raises:
        AxisError: if `axis` is out of range.

    >>> Tensor([1000.0, 1000.0]).logcumsumexp()
    Tensor([1000.    , 1000.6932])
    """
    return _scan("logcumsumexp", np.logaddexp.accumulate, x, axis)


@op("out[k] = index of max x[:k+1]", flops=1)
def argcummax(x: Array, *, axis: int = 0) -> Array:
    """Return the int64 index of the cumulative maximum along `axis`; the last index at ties.

    Raises:
        AxisError: if `axis` is out of range.
    """
    return _find_extremes("cummax", np.maximum, x, axis)


@op("out[k] = index of min x[:k+1]", flops=1)
def argcummin(x: Array, *, axis: int = 0) -> Array:
    """Return the int64 index of the cumulative minimum along `axis`; the last index at ties.

    Raises:
        AxisError: if `axis` is out of range.
    """
    return _find_extremes("cummin", np.minimum, x, axis)


def _find_extremes(name: str, ufunc: np.ufunc, x: Array, axis: int) -> Array:
    _check_axis(name, x, axis)
    if not x.ndim:
        return np.zeros((), np.int64)
    best = ufunc.accumulate(x, axis)
    is_new = np.equal(x, best)
    if x.dtype.kind == "f":
        is_new |= np.isnan(x)
    count = [1] * x.ndim
    count[axis] = -1
    places = np.arange(x.shape[axis]).reshape(count)
    return np.maximum.accumulate(np.where(is_new, places, 0), axis)


def cummax(x: V, axis: int = 0) -> ValuesAndIndices[V]:
    """Compute the cumulative maximum along `axis` and its int64 indices.

    At ties, the last index is returned and gets the gradient, as in PyTorch.

    Raises:
        AxisError: if `axis` is out of range.

    >>> from tinygrad_np import Tensor
    >>> Tensor([1.0, 3.0, 2.0]).cummax().indices
    Tensor([0, 1, 1])
    """
    places = argcummax(x, axis)
    return ValuesAndIndices(gather(x, axis, places), places)


def cummin(x: V, axis: int = 0) -> ValuesAndIndices[V]:
    """Compute the cumulative minimum along `axis` and its int64 indices.

    At ties, the last index is returned and gets the gradient, as in PyTorch.

    Raises:
        AxisError: if `axis` is out of range.

    >>> from tinygrad_np import Tensor
    >>> Tensor([3.0, 1.0, 2.0]).cummin().values
    Tensor([3., 1., 1.])
    """
    places = argcummin(x, axis)
    return ValuesAndIndices(gather(x, axis, places), places)
