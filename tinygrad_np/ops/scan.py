"""Scans: each entry gathers all up to it along an axis.

Their gradients are scans from the other end. Those of products and of log Σ e^x are linear
recurrences, s[k] = b[k] + a[k] s[k-1], which need no division and so are right with zeros, and no
exponent above 0, and so cannot overflow.
"""

from typing import Any

import numpy as np

from tinygrad_np.autograd.op import V, op
from tinygrad_np.errors import AxisError, ShapeError
from tinygrad_np.ops.elementwise import eq, where
from tinygrad_np.ops.functions import exp, without_minus_inf
from tinygrad_np.ops.indexing import basic_index, gather
from tinygrad_np.ops.shape import _pad, reshape, transpose
from tinygrad_np.runtime.memory import Array


def _along(x: Any, axis: int) -> Any:
    """Return x with `axis` last, or back again."""
    return transpose(x, axis, -1)


def _cut(x: Any, part: slice) -> Any:
    return basic_index(x, key=(Ellipsis, part))


def flipped(x: Any) -> Any:
    """Return x with its last axis reversed."""
    return _cut(x, slice(None, None, -1))


def _shifted(x: Any, first: float) -> Any:
    """Return `first`, and then x without its last entry, along the last axis."""
    if not x.shape[-1]:
        return x
    lead = ((0, 0),) * (len(x.shape) - 1)
    return _pad(_cut(x, slice(None, -1)), padding=(*lead, (1, 0)), value=first)


def _recurrence_from_end(a: Any, b: Any) -> Any:
    """Return s with s[k] = b[k] + a[k+1] s[k+1] along the last axis."""
    return flipped(recurrence(_shifted(flipped(a), 0.0), flipped(b)))


@op(
    "out[k] = b[k] + a[k] out[k-1]",
    vjps={
        "a": lambda grad_out, a, out: _recurrence_from_end(a, grad_out) * _shifted(out, 0.0),
        "b": lambda grad_out, a: _recurrence_from_end(a, grad_out),
    },
    flops=2,
)
def recurrence(a: Array, b: Array) -> Array:
    """Linear recurrence along the last axis of a and b, both of one shape."""
    if a.shape != b.shape:
        raise ShapeError(f"recurrence: got shapes {a.shape} and {b.shape}, expected one shape")
    out = b.copy()
    for k in range(1, out.shape[-1] if out.ndim else 0):
        out[..., k] += a[..., k] * out[..., k - 1]
    return out


def products_before(x: Any) -> Any:
    """Return for each entry the product of those before it along the last axis."""
    return _cumprod(_shifted(x, 1.0), axis=-1) if x.shape[-1] else x


def _cumsum_vjp(grad_out: Any, axis: int) -> Any:
    return _along(flipped(_cumsum(flipped(_along(grad_out, axis)), axis=-1)), axis)


@op("out[k] = Σ x[..k]", vjps={"x": _cumsum_vjp}, flops=1)
def _cumsum(x: Array, *, axis: int) -> Array:
    """Sum up to each entry; float16 adds up in float32."""
    if x.dtype == np.float16:
        return np.cumsum(x, axis, np.float32).astype(x.dtype)
    return np.cumsum(x, axis)


def cumsum(x: V, axis: int = 0) -> V:
    """Return the sum up to each entry along `axis`; integers and bools add up in 64 bits.

    >>> from tinygrad_np import Tensor
    >>> Tensor([1.0, 2.0, 3.0]).cumsum()
    Tensor([1., 3., 6.])
    """
    if not _has_axis("cumsum", x, axis):
        return reshape(cumsum(reshape(x, (1,)), 0), ())
    return _cumsum(x, axis=axis)


def _cumprod_vjp(grad_out: Any, x: Any, axis: int) -> Any:
    x = _along(x, axis)
    return _along(products_before(x) * _recurrence_from_end(x, _along(grad_out, axis)), axis)


@op("out[k] = Π x[..k]", vjps={"x": _cumprod_vjp}, flops=1)
def _cumprod(x: Array, *, axis: int) -> Array:
    """Product up to each entry."""
    if x.dtype == np.float16:
        return np.cumprod(x, axis, np.float32).astype(x.dtype)
    return np.cumprod(x, axis)


def cumprod(x: V, axis: int) -> V:
    """Return the product up to each entry along `axis`; its gradient is right where entries are 0.

    >>> from tinygrad_np import Tensor
    >>> Tensor([1.0, 2.0, 3.0]).cumprod(0)
    Tensor([1., 2., 6.])
    """
    if not _has_axis("cumprod", x, axis):
        return reshape(cumprod(reshape(x, (1,)), 0), ())
    return _cumprod(x, axis=axis)


def _logcumsumexp_vjp(grad_out: Any, x: Any, out: Any, axis: int) -> Any:
    x, out = _along(x, axis), _along(out, axis)
    # From the end: what reaches entry k+1 reaches entry k scaled by e^(out[k] - out[k+1]) <= 1.
    ratio = exp(_difference(_shifted(out, -np.inf), out))
    reached = _recurrence_from_end(ratio, _along(grad_out, axis))
    return _along(reached * exp(x - without_minus_inf(out)), axis)


def _difference(a: Any, b: Any) -> Any:
    """Return a - b, and 0 where they are equal, be it -∞."""
    is_equal = eq(a, b)
    return where(is_equal, 0.0, a - where(is_equal, 0.0, b))


@op("out[k] = log Σ e^x[..k]", vjps={"x": _logcumsumexp_vjp}, floating=True, flops=1)
def _logcumsumexp(x: Array, *, axis: int) -> Array:
    """Logarithm of the sum of exponentials up to each entry."""
    return np.logaddexp.accumulate(x, axis)


def logcumsumexp(x: V, axis: int = 0) -> V:
    """Return log Σ e^x up to each entry along `axis`, without overflow.

    >>> from tinygrad_np import Tensor
    >>> Tensor([1000.0, 1000.0]).logcumsumexp().tolist()
    [1000.0, 1000.693]
    """
    if not _has_axis("logcumsumexp", x, axis):
        return reshape(logcumsumexp(reshape(x, (1,)), 0), ())
    return _logcumsumexp(x, axis=axis)


@op("the place of max x[..k]", flops=1)
def _record_places(x: Array, *, axis: int, ufunc: np.ufunc) -> Array:
    """Place of the last of the largest (np.maximum) or smallest (np.minimum) entries so far."""
    best = ufunc.accumulate(x, axis)
    is_new = np.equal(x, best)
    if x.dtype.kind == "f":
        is_new |= np.isnan(x)
    count = [1] * x.ndim
    count[axis] = -1
    places = np.arange(x.shape[axis]).reshape(count)
    return np.maximum.accumulate(np.where(is_new, places, 0), axis)


def _extreme_so_far(name: str, x: V, axis: int, ufunc: np.ufunc) -> tuple[V, V]:
    if not _has_axis(name, x, axis):
        best, place = _extreme_so_far(name, reshape(x, (1,)), 0, ufunc)
        return reshape(best, ()), reshape(place, ())
    places: Any = _record_places(x, axis=axis, ufunc=ufunc)
    return gather(x, axis, places), places


def cummax(x: V, axis: int = 0) -> tuple[V, V]:
    """Return the largest entries so far along `axis`, and the int64 places of the last of equals.

    >>> from tinygrad_np import Tensor
    >>> Tensor([1.0, 3.0, 2.0]).cummax()
    (Tensor([1., 3., 3.]), Tensor([0, 1, 1]))
    """
    return _extreme_so_far("cummax", x, axis, np.maximum)


def cummin(x: V, axis: int = 0) -> tuple[V, V]:
    """Return the smallest entries so far along `axis`, and the int64 places of the last of equals.

    >>> from tinygrad_np import Tensor
    >>> Tensor([3.0, 1.0, 2.0]).cummin()
    (Tensor([3., 1., 1.]), Tensor([0, 1, 1]))
    """
    return _extreme_so_far("cummin", x, axis, np.minimum)


def _has_axis(name: str, x: Any, axis: int) -> bool:
    """Whether there is an axis to scan; a tensor of no dimension is its own scan."""
    if x.shape:
        return True
    if axis not in (0, -1):
        raise AxisError(f"{name}: axis {axis} is outside a tensor of no dimension; use 0 or -1")
    return False
