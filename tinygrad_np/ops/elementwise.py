"""Elementwise ops: comparisons, bitwise ops, selection, arithmetic and rounding.

Powers, logarithms and other mathematical functions are in `functions`.
"""

import math

import numpy as np

from tinygrad_np.autograd.dispatch import V, op
from tinygrad_np.autograd.op import Samples
from tinygrad_np.autograd.primitives import cast
from tinygrad_np.autograd.tape import Variable
from tinygrad_np.errors import ArgumentError
from tinygrad_np.kernels import elementwise as kernels
from tinygrad_np.runtime.memory import Array
from tinygrad_np.typing import Value

# Comparisons: they return bools, so they have no gradient.


@op("a = b")
def eq(a: Array, b: Array) -> Array:
    """Test elementwise whether a equals b.

    >>> Tensor([1, 2]).eq(2)
    Tensor([False,  True])
    """
    return kernels.binary(np.equal, a, b, dtype=bool)


@op("a ≠ b")
def ne(a: Array, b: Array) -> Array:
    """Test elementwise whether a differs from b.

    >>> Tensor([1, 2]).ne(2)
    Tensor([ True, False])
    """
    return kernels.binary(np.not_equal, a, b, dtype=bool)


@op("a < b")
def lt(a: Array, b: Array) -> Array:
    """Test elementwise whether a is less than b.

    >>> Tensor([1, 2]) < 2
    Tensor([ True, False])
    """
    return kernels.binary(np.less, a, b, dtype=bool)


@op("a ≤ b")
def le(a: Array, b: Array) -> Array:
    """Test elementwise whether a is less than or equal to b.

    >>> Tensor([1, 2]) <= 1
    Tensor([ True, False])
    """
    return kernels.binary(np.less_equal, a, b, dtype=bool)


@op("a > b")
def gt(a: Array, b: Array) -> Array:
    """Test elementwise whether a is greater than b.

    >>> Tensor([1, 2]) > 1
    Tensor([False,  True])
    """
    return kernels.binary(np.greater, a, b, dtype=bool)


@op("a ≥ b")
def ge(a: Array, b: Array) -> Array:
    """Test elementwise whether a is greater than or equal to b.

    >>> Tensor([1, 2]) >= 2
    Tensor([False,  True])
    """
    return kernels.binary(np.greater_equal, a, b, dtype=bool)


@op("x is nan")
def isnan(x: Array) -> Array:
    """Test elementwise for nan.

    >>> Tensor([1.0, float("nan")]).isnan()
    Tensor([False,  True])
    """
    return kernels.unary(np.isnan, x, dtype=bool)


@op("x is neither nan nor ±∞")
def isfinite(x: Array) -> Array:
    """Test elementwise whether x is finite: neither infinite nor nan.

    >>> Tensor([1.0, -float("inf")]).isfinite()
    Tensor([ True, False])
    """
    return kernels.unary(np.isfinite, x, dtype=bool)


@op("x is ±∞", flops=1)
def isinf(x: Array, *, detect_positive: bool = True, detect_negative: bool = True) -> Array:
    """Test elementwise for inf and -inf.

    Args:
        x: the input.
        detect_positive: whether inf counts.
        detect_negative: whether -inf counts.

    >>> Tensor([1.0, -float("inf"), float("inf")]).isinf(detect_negative=False)
    Tensor([False, False,  True])
    """
    found = kernels.unary(np.isinf, x, dtype=bool)
    if not detect_positive:
        found = found & (x < 0)
    if not detect_negative:
        found = found & (x > 0)
    return found


@op("|x - other| ≤ atol + rtol |other|", flops=1)
def isclose(
    x: Array, other: Array, *, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False
) -> Array:
    """Test elementwise whether x and other are equal within a tolerance.

    Args:
        x: the input.
        other: the reference, to which the tolerance is relative.
        rtol: relative tolerance.
        atol: absolute tolerance.
        equal_nan: whether two nans are equal.

    The formula is |x - other| <= atol + rtol |other|.

    >>> Tensor([1.0, 2.0]).isclose(1.0)
    Tensor([ True, False])
    """
    return np.asarray(np.isclose(x, other, rtol, atol, equal_nan))


# Logical and bitwise ops.


@op("not x")
def logical_not(x: Array) -> Array:
    """Compute the elementwise logical NOT: True where x is 0 or False.

    >>> Tensor([0, 2]).logical_not()
    Tensor([ True, False])
    """
    return kernels.unary(np.logical_not, x, dtype=bool)


@op("a and b")
def logical_and(a: Array, b: Array) -> Array:
    """Compute the elementwise logical AND of a and b; numbers other than 0 count as True.

    >>> Tensor([0, 2]).logical_and(Tensor([3, 4]))
    Tensor([False,  True])
    """
    return kernels.binary(np.logical_and, a, b, dtype=bool)


@op("a or b")
def logical_or(a: Array, b: Array) -> Array:
    """Compute the elementwise logical OR of a and b; numbers other than 0 count as True.

    >>> Tensor([0, 2]).logical_or(Tensor([3, 4]))
    Tensor([ True,  True])
    """
    return kernels.binary(np.logical_or, a, b, dtype=bool)


@op("a xor b")
def logical_xor(a: Array, b: Array) -> Array:
    """Compute the elementwise logical exclusive OR of a and b; numbers other than 0 count as True.

    >>> Tensor([0, 2]).logical_xor(Tensor([3, 4]))
    Tensor([ True, False])
    """
    return kernels.binary(np.logical_xor, a, b, dtype=bool)


def _combine_bits(ufunc: np.ufunc, a: Array, b: Array) -> Array:
    """Apply a bitwise ufunc. As in arithmetic, a 0-d array does not widen the other's dtype."""
    if (
        isinstance(a, np.ndarray)
        and isinstance(b, np.ndarray)
        and {a.dtype, b.dtype}.isdisjoint({np.dtype(bool)})
    ):
        if a.ndim and not b.ndim:
            b = b.astype(a.dtype)
        elif b.ndim and not a.ndim:
            a = a.astype(b.dtype)
    return np.asarray(ufunc(a, b))


@op("a AND b, bitwise")
def bitwise_and(a: Array, b: Array) -> Array:
    """Compute the bitwise AND of integers or bools.

    Raises:
        DtypeError: if an input is neither an integer nor a bool.

    >>> Tensor([6]) & 3
    Tensor([2])
    """
    return _combine_bits(np.bitwise_and, a, b)


@op("a OR b, bitwise")
def bitwise_or(a: Array, b: Array) -> Array:
    """Compute the bitwise OR of integers or bools.

    Raises:
        DtypeError: if an input is neither an integer nor a bool.

    >>> Tensor([6]) | 3
    Tensor([7])
    """
    return _combine_bits(np.bitwise_or, a, b)


@op("a XOR b, bitwise")
def bitwise_xor(a: Array, b: Array) -> Array:
    """Compute the bitwise exclusive OR of integers or bools.

    Raises:
        DtypeError: if an input is neither an integer nor a bool.

    >>> Tensor([6]) ^ 3
    Tensor([5])
    """
    return _combine_bits(np.bitwise_xor, a, b)


@op("NOT x, bitwise")
def bitwise_not(x: Array) -> Array:
    """Compute the bitwise NOT of integers, or the logical NOT of bools.

    Raises:
        DtypeError: if x contains neither integers nor bools.

    >>> Tensor([0, 5]).bitwise_not()
    Tensor([-1, -6])
    """
    return np.asarray(np.invert(x))


@op("a 2^b")
def lshift(a: Array, b: Array) -> Array:
    """Shift the bits of integers a to the left by b.

    Raises:
        DtypeError: if an input is neither an integer nor a bool.

    >>> Tensor([3]) << 2
    Tensor([12])
    """
    return _combine_bits(np.left_shift, a, b)


@op("⌊a / 2^b⌋")
def rshift(a: Array, b: Array) -> Array:
    """Shift the bits of integers a to the right by b.

    Raises:
        DtypeError: if an input is neither an integer nor a bool.

    >>> Tensor([13]) >> 2
    Tensor([3])
    """
    return _combine_bits(np.right_shift, a, b)


# Selection.


def as_array(x: Value) -> Value:
    """Detach x, for a VJP that uses only the sign or order of its entries."""
    return x.data if isinstance(x, Variable) else x


@op("x where mask, else 0", vjps={"x": lambda grad_out, mask: keep_where(grad_out, mask)})
def keep_where(x: Array, mask: Array) -> Array:
    """Keep x where `mask` is nonzero; return 0 elsewhere, even where x is inf or nan."""
    return kernels.select(x, mask)


@op(
    "x where condition, else y",
    vjps={
        "x": lambda grad_out, condition: keep_where(grad_out, condition),
        "y": lambda grad_out, condition: keep_where(grad_out, logical_not(condition)),
    },
)
def where(condition: Array, x: Array, y: Array) -> Array:
    """Select x where `condition` is nonzero, and y elsewhere.

    >>> x = Tensor([-1.0, 2.0])
    >>> (x > 0).where(x, 0)
    Tensor([0., 2.])
    """
    chosen = kernels.choose(condition, x, y)
    if not isinstance(x, np.ndarray) and not isinstance(y, np.ndarray) and chosen.dtype.kind == "f":
        chosen = chosen.astype(np.float32)  # only Python numbers: float32, as in Tensor(1.0)
    return chosen


def clip(x: V, min_: Value | float | None = None, max_: Value | float | None = None) -> V:
    """Clip x to the range from min_ to max_; the gradient at the bounds is 1.

    Args:
        x: the input.
        min_: lower bound, a number or a tensor; None for no bound.
        max_: upper bound, likewise. The result is max_ where min_ > max_.

    Raises:
        ArgumentError: if both bounds are None.

    >>> from tinygrad_np import Tensor
    >>> Tensor([-2.0, 0.5, 3.0]).clip(-1, 1)
    Tensor([-1. ,  0.5,  1. ])
    """
    if min_ is None and max_ is None:
        raise ArgumentError("clip: expected `min_` or `max_`, got neither.")
    if min_ is not None:
        x = where(lt(x, min_), min_, x)
    return x if max_ is None else where(gt(x, max_), max_, x)


def nan_to_num(
    x: V, nan: float | None = None, posinf: float | None = None, neginf: float | None = None
) -> V:
    """Replace nan and infinite entries by numbers; the gradient there is 0.

    Args:
        x: the input.
        nan: the number for nan; 0 by default.
        posinf: the number for inf; by default the largest number of the dtype.
        neginf: the number for -inf; by default the smallest number of the dtype.

    >>> from tinygrad_np import Tensor
    >>> Tensor([1.0, float("nan"), float("inf")]).nan_to_num(posinf=9)
    Tensor([1., 0., 9.])
    """
    if x.dtype.kind != "f":
        return cast(x, dtype=x.dtype)
    limit = float(np.finfo(x.dtype).max)
    out = where(isnan(x), 0.0 if nan is None else nan, x)
    out = where(eq(x, math.inf), limit if posinf is None else posinf, out)
    return where(eq(x, -math.inf), -limit if neginf is None else neginf, out)


def _larger_vjp(grad_out: Value, one: Value, other: Value) -> Value:
    """Return `grad_out` where one > other or either is nan, half of it at ties, 0 elsewhere."""
    # A tie passes the first selection and loses half in the second.
    return (
        keep_where(grad_out, logical_not(lt(one, other)))
        - keep_where(grad_out, eq(one, other)) * 0.5
    )


@op(
    "max(a, b)",
    vjps={
        "a": lambda grad_out, a, b: _larger_vjp(grad_out, a, b),
        "b": lambda grad_out, a, b: _larger_vjp(grad_out, b, a),
    },
    subgradient="half to each input at ties",
)
def maximum(a: Array, b: Array) -> Array:
    """Compute the elementwise maximum; at a tie, each input gets half of the gradient.

    >>> Tensor([1.0, 5.0]).maximum(3.0)
    Tensor([3., 5.])
    """
    return kernels.binary(np.maximum, a, b)


@op(
    "min(a, b)",
    vjps={
        "a": lambda grad_out, a, b: _larger_vjp(grad_out, b, a),
        "b": lambda grad_out, a, b: _larger_vjp(grad_out, a, b),
    },
    subgradient="half to each input at ties",
)
def minimum(a: Array, b: Array) -> Array:
    """Compute the elementwise minimum; at a tie, each input gets half of the gradient.

    >>> Tensor([1.0, 5.0]).minimum(3.0)
    Tensor([1., 3.])
    """
    return kernels.binary(np.minimum, a, b)


# Arithmetic.


@op("a + b", vjps={"a": lambda grad_out: grad_out, "b": lambda grad_out: grad_out})
def add(a: Array, b: Array) -> Array:
    """Add elementwise.

    >>> Tensor([1.0, 2.0]) + 1
    Tensor([2., 3.])
    """
    return kernels.binary(np.add, a, b)


@op("a - b", vjps={"a": lambda grad_out: grad_out, "b": lambda grad_out: neg(grad_out)})
def sub(a: Array, b: Array) -> Array:
    """Subtract b from a elementwise.

    >>> 1 - Tensor([1.0, 2.0])
    Tensor([ 0., -1.])
    """
    return kernels.binary(np.subtract, a, b)


@op(
    "a b",
    vjps={"a": lambda grad_out, b: mul(grad_out, b), "b": lambda grad_out, a: mul(grad_out, a)},
)
def mul(a: Array, b: Array) -> Array:
    """Multiply elementwise.

    >>> Tensor([1.0, 2.0]) * Tensor([[3.0], [4.0]])
    Tensor([[3., 6.],
            [4., 8.]])
    """
    return kernels.binary(np.multiply, a, b)


@op(
    "a / b",
    vjps={
        "a": lambda grad_out, b: grad_out / b,
        "b": lambda grad_out, b, out: neg(grad_out * (out / b)),
    },
    floating=True,
    samples=Samples((0.3, 2.0)),
)
def div(a: Array, b: Array) -> Array:
    """Divide a by b elementwise; integer inputs give float32.

    >>> Tensor([7, -7]) / 2
    Tensor([ 3.5, -3.5])
    """
    return kernels.binary(np.divide, a, b)


def _refuse_zero(name: str, a: Array, b: Array) -> None:
    """Raise ArgumentError for integer division by 0, since integers cannot represent inf."""
    if np.result_type(a, b).kind in "iub" and not np.all(b):
        raise ArgumentError(
            f"{name}: expected a nonzero integer divisor, got 0. Try .float(), which gives inf or "
            "nan."
        )


def zero_vjp(grad_out: V) -> V:
    """Return a gradient of zeros, for piecewise constant functions."""
    return keep_where(grad_out, False)


@op(
    "⌊a / b⌋",
    vjps={"a": zero_vjp, "b": zero_vjp},
    samples=Samples((0.3, 2.0)),
    subgradient="0 at jumps",
)
def floor_div(a: Array, b: Array) -> Array:
    """Divide a by b elementwise and round down; the gradient is 0.

    Raises:
        ArgumentError: if a and b are integers and b contains 0.

    >>> Tensor([7, -7]) // 2
    Tensor([ 3, -4])
    """
    _refuse_zero("floor_div", a, b)
    return np.asarray(np.floor_divide(a, b))


@op(
    "trunc(a / b)",
    vjps={"a": zero_vjp, "b": zero_vjp},
    samples=Samples((0.3, 2)),
    subgradient="0 at jumps",
)
def trunc_div(a: Array, b: Array) -> Array:
    """Divide a by b elementwise and round toward 0; the gradient is 0.

    Raises:
        ArgumentError: if a and b are integers and b contains 0.
    """
    _refuse_zero("trunc_div", a, b)
    if np.result_type(a, b).kind == "f":
        return np.asarray(np.trunc(np.divide(a, b)))
    # Integer arithmetic: a float quotient is inexact for large values.
    return np.asarray(np.floor_divide(a - np.fmod(a, b), b))


@op(
    "a - b ⌊a / b⌋",
    vjps={
        "a": lambda grad_out: grad_out,
        "b": lambda grad_out, a, b: neg(grad_out * floor_div(a, b)),
    },
    samples=Samples((0.3, 2.0)),
    subgradient="one-sided derivative at jumps",
)
def mod(a: Array, b: Array) -> Array:
    """Compute the remainder of floor division; it has the sign of b.

    Raises:
        ArgumentError: if a and b are integers and b contains 0.

    >>> Tensor([7, -7]).mod(3)
    Tensor([1, 2])
    """
    _refuse_zero("mod", a, b)
    return np.asarray(np.mod(a, b))


@op(
    "a - b trunc(a / b)",
    vjps={
        "a": lambda grad_out: grad_out,
        "b": lambda grad_out, a, b: neg(grad_out * trunc_div(a, b)),
    },
    samples=Samples((0.3, 2.0)),
    subgradient="one-sided derivative at jumps",
)
def fmod(a: Array, b: Array) -> Array:
    """Compute the remainder of truncated division; it has the sign of a.

    Raises:
        ArgumentError: if a and b are integers and b contains 0.

    >>> Tensor([7, -7]).fmod(3)
    Tensor([ 1, -1])
    """
    _refuse_zero("fmod", a, b)
    return np.asarray(np.fmod(a, b))


@op("-x", vjps={"x": lambda grad_out: neg(grad_out)})
def neg(x: Array) -> Array:
    """Negate elementwise.

    >>> -Tensor([1.0, -2.0])
    Tensor([-1.,  2.])
    """
    return kernels.unary(np.negative, x)


@op(
    "|x| with the sign of other",
    vjps={
        # sign(x) sign(other). Passing copysign a tensor instead of the number 1 keeps x's dtype.
        "x": lambda grad_out, x, other: grad_out * (sign(x) * copysign(abs(sign(x)), other)),
        "other": zero_vjp,
    },
    floating=True,
    samples=Samples((0.3, 2.0)),
    subgradient="0 for x at x = 0; always 0 for other",
)
def copysign(x: Array, other: Array) -> Array:
    """Return |x| with the sign of other; -0.0 counts as negative. Integers give float32.

    >>> Tensor([1.0, -2.0]).copysign(-0.0)
    Tensor([-1., -2.])
    """
    return kernels.binary(np.copysign, x, other)


def lerp(x: V, end: Value | float, weight: Value | float) -> V:
    """Interpolate linearly: x + weight (end - x), which is x at weight 0 and end at weight 1.

    >>> from tinygrad_np import Tensor
    >>> Tensor([0.0, 10.0]).lerp(Tensor([1.0, 20.0]), 0.25)
    Tensor([ 0.25, 12.5 ])
    """
    return add(x, mul(sub(end, x), weight))


# Sign and rounding: all except abs are piecewise constant.


@op("sign(x)", vjps={"x": zero_vjp}, samples=Samples(kinks=(0.0,)), subgradient="0 at 0")
def sign(x: Array) -> Array:
    """Return the sign of each entry: -1, 0 or 1, and 0 for nan. The gradient is 0.

    >>> Tensor([-3.0, 0.0, 2.0]).sign()
    Tensor([-1.,  0.,  1.])
    """
    return kernels.sign(x)


@op(
    "|x|",
    vjps={"x": lambda grad_out, x: grad_out * sign(x)},
    samples=Samples(kinks=(0.0,)),
    subgradient="0 at 0",
)
def abs(x: Array) -> Array:
    """Compute the absolute value; the gradient at 0 is 0.

    >>> Tensor([-3.0, 2.0]).abs()
    Tensor([3., 2.])
    """
    return kernels.unary(np.abs, x)


_STEPS = (-2.0, -1.0, 0.0, 1.0, 2.0)


def _round_floats(ufunc: np.ufunc, x: Array) -> Array:
    return kernels.unary(ufunc, x) if x.dtype.kind == "f" else x.copy()


@op("⌊x⌋", vjps={"x": zero_vjp}, samples=Samples(kinks=_STEPS), subgradient="0 at jumps")
def floor(x: Array) -> Array:
    """Round down to an integer; the gradient is 0.

    >>> Tensor([-1.5, 1.5]).floor()
    Tensor([-2.,  1.])
    """
    return _round_floats(np.floor, x)


@op("⌈x⌉", vjps={"x": zero_vjp}, samples=Samples(kinks=_STEPS), subgradient="0 at jumps")
def ceil(x: Array) -> Array:
    """Round up to an integer; the gradient is 0.

    >>> Tensor([-1.5, 1.5]).ceil()
    Tensor([-1.,  2.])
    """
    return _round_floats(np.ceil, x)


@op("trunc(x)", vjps={"x": zero_vjp}, samples=Samples(kinks=_STEPS), subgradient="0 at jumps")
def trunc(x: Array) -> Array:
    """Round toward 0 to an integer; the gradient is 0.

    >>> Tensor([-1.5, 1.5]).trunc()
    Tensor([-1.,  1.])
    """
    return _round_floats(np.trunc, x)


@op(
    "round(x)",
    vjps={"x": zero_vjp},
    samples=Samples(kinks=tuple(step + 0.5 for step in _STEPS)),
    subgradient="0 at jumps",
)
def round(x: Array) -> Array:
    """Round to the nearest integer, and halves to the nearest even one; the gradient is 0.

    >>> Tensor([0.5, 1.5, 2.6]).round()
    Tensor([0., 2., 3.])
    """
    return _round_floats(np.rint, x)
