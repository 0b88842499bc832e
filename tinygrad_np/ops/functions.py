"""Elementwise functions: powers, exponentials, logarithms, trigonometric and hyperbolic functions.

Integer inputs give float32, except in `pow` and `square`.
"""

import math

import numpy as np

from tinygrad_np.autograd.dispatch import V, op
from tinygrad_np.autograd.op import Samples
from tinygrad_np.autograd.primitives import cast
from tinygrad_np.errors import ArgumentError
from tinygrad_np.kernels import activations as activation_kernels
from tinygrad_np.kernels import elementwise as kernels
from tinygrad_np.ops.elementwise import abs as absolute
from tinygrad_np.ops.elementwise import clip, div, eq, ge, lt, mul, neg, where
from tinygrad_np.runtime.memory import Array
from tinygrad_np.typing import Value

_LN2 = math.log(2)
_LN10 = math.log(10)


def _log_base(a: Value | float, b: Value) -> Value | float:
    """Return log a, or 0 where a = 0 and b >= 0, because d(0^b)/db is 0 there."""
    if isinstance(a, int | float) and a:
        return math.log(a) if a > 0 else math.nan
    return log(where(mul(eq(a, 0), ge(b, 0)), 1, a))


def _mixed_slope(a: Value, b: Value) -> Value:
    """Return ∂²(a^b) / ∂a ∂b = a^(b - 1) (1 + b log a).

    At a = 0 it is the limit from above, but 1 instead of -inf for b = 1, as if log 0 were 0, and 0
    instead of inf for b = 0, like the slopes in a and in b.
    """
    is_zero = eq(a, 0)
    base = where(is_zero, 1, a)
    regular = pow(base, b - 1) * (b * log(base) + 1)
    limit = where(lt(b, 0), math.inf, where(lt(b, 1), -math.inf, 0))
    at_zero = where(eq(b, 1), 1, where(eq(b, 0), 0, limit))
    return where(is_zero, cast(at_zero, dtype=regular.dtype), regular)


def _lower_exponent(b: Value | float) -> Value | float:
    """Return b - 1, or 0 where b = 0: then b a^0 is 0 for every a, even where 1 / a is inf."""
    if isinstance(b, int | float):
        return b - 1 if b else 0
    return where(eq(b, 0), b, b - 1)


@op(
    "b a^(b - 1)",
    vjps={
        "a": lambda grad_out, a, b: grad_out * (b * power_slope(a, _lower_exponent(b))),
        "b": lambda grad_out, a, b: grad_out * _mixed_slope(a, b),
    },
    samples=Samples((0.3, 2.0)),
)
def power_slope(a: Array, b: Array) -> Array:
    """Compute the derivative of a^b with respect to a; 0 at b = 0, even where a is 0 or nan."""
    return np.asarray(b * a ** _lower_exponent(b))


@op(
    "a^b log a",
    vjps={
        "a": lambda grad_out, a, b: grad_out * _mixed_slope(a, b),
        "b": lambda grad_out, a, b, out: grad_out * (out * _log_base(a, b)),
    },
    samples=Samples((0.3, 2.0)),
)
def power_log(a: Array, b: Array) -> Array:
    """Compute the derivative of a^b with respect to b; 0 at a = 0 and b >= 0: 0^b is constant."""
    powers = np.asarray(a**b)
    is_constant = np.equal(a, 0) & np.greater_equal(b, 0)
    base = np.where(is_constant, 1, a).astype(powers.dtype)
    return np.asarray(powers * np.log(base))  # log 1 = 0


def _slope_in_base(a: Value | float, b: Value | float) -> Value:
    if isinstance(b, int | float):
        return b * pow(a, _lower_exponent(b))
    return power_slope(a, b)


@op(
    "a^exponent",
    vjps={
        "a": lambda grad_out, a, exponent: grad_out * _slope_in_base(a, exponent),
        "exponent": lambda grad_out, a, exponent: grad_out * power_log(a, exponent),
    },
    samples=Samples((0.3, 2.0)),
    subgradient="0 for a at exponent = 0; 0 for exponent at a = 0, exponent >= 0",
)
def pow(a: Array, exponent: Array) -> Array:
    """Raise a to a power elementwise; gradients at a = 0 and exponent = 0 are as in PyTorch.

    Raises:
        ArgumentError: if an integer is raised to a negative integer power.

    >>> Tensor([2.0, 3.0]) ** 2
    Tensor([4., 9.])
    """
    if np.result_type(a, exponent).kind in "iu" and np.any(np.less(exponent, 0)):
        raise ArgumentError(
            f"pow: expected an exponent >= 0 for an integer base, got {np.min(exponent)}. Try "
            ".float(), or a float exponent, for example x ** -1.0."
        )
    return np.asarray(a**exponent)


def replace_minus_inf(x: V) -> V:
    """Replace -inf by 0, so that e^(-inf - x) is 0 rather than nan where x is -inf."""
    return where(eq(x, -math.inf), 0, x)


@op("e^x", vjps={"x": lambda grad_out, out: mul(grad_out, out)}, floating=True)
def exp(x: Array) -> Array:
    """Compute the exponential e^x.

    >>> Tensor([0.0, 1.0]).exp()
    Tensor([1.      , 2.7183])
    """
    return kernels.unary(np.exp, x)


@op("2^x", vjps={"x": lambda grad_out, out: grad_out * (out * _LN2)}, floating=True)
def exp2(x: Array) -> Array:
    """Compute 2^x.

    >>> Tensor([0.0, 3.0]).exp2().tolist()
    [1.0, 8.0]
    """
    return kernels.unary(np.exp2, x)


@op("e^x - 1", vjps={"x": lambda grad_out, out: grad_out * (out + 1)}, floating=True)
def expm1(x: Array) -> Array:
    """Compute e^x - 1, accurate near 0.

    >>> Tensor([0.0, 1.0]).expm1()
    Tensor([0.       , 1.7183])
    """
    return kernels.unary(np.expm1, x)


@op(
    "log x",
    vjps={"x": lambda grad_out, x: grad_out / x},
    floating=True,
    samples=Samples((0.3, 3.0)),
)
def log(x: Array) -> Array:
    """Compute the natural logarithm.

    >>> Tensor([1.0, 2.0]).log()
    Tensor([0.       , 0.6931])
    """
    return kernels.unary(np.log, x)


@op(
    "log₂ x",
    vjps={"x": lambda grad_out, x: grad_out / (x * _LN2)},
    floating=True,
    samples=Samples((0.3, 3.0)),
)
def log2(x: Array) -> Array:
    """Compute the base-2 logarithm.

    >>> Tensor([1.0, 8.0]).log2().tolist()
    [0.0, 3.0]
    """
    return kernels.unary(np.log2, x)


@op(
    "log₁₀ x",
    vjps={"x": lambda grad_out, x: grad_out / (x * _LN10)},
    floating=True,
    samples=Samples((0.3, 3.0)),
)
def log10(x: Array) -> Array:
    """Compute the base-10 logarithm.

    >>> Tensor([1.0, 1000.0]).log10().tolist()
    [0.0, 3.0]
    """
    return kernels.unary(np.log10, x)


@op(
    "log(1 + x)",
    vjps={"x": lambda grad_out, x: grad_out / (x + 1)},
    floating=True,
    samples=Samples((-0.7, 2.0)),
)
def log1p(x: Array) -> Array:
    """Compute log(1 + x), accurate near 0.

    >>> Tensor([0.0, 1.0]).log1p()
    Tensor([0.       , 0.6931])
    """
    return kernels.unary(np.log1p, x)


@op(
    "√x",
    vjps={"x": lambda grad_out, out: grad_out / (out + out)},
    floating=True,
    samples=Samples((0.3, 3.0)),
)
def sqrt(x: Array) -> Array:
    """Compute the square root.

    >>> Tensor([4.0, 9.0]).sqrt()
    Tensor([2., 3.])
    """
    return kernels.unary(np.sqrt, x)


@op(
    "1 / √x",
    vjps={"x": lambda grad_out, out: grad_out * (out * out * out * -0.5)},
    floating=True,
    samples=Samples((0.3, 3.0)),
)
def rsqrt(x: Array) -> Array:
    """Compute the reciprocal of the square root.

    >>> Tensor([4.0, 16.0]).rsqrt()
    Tensor([0.5 , 0.25])
    """
    return np.asarray(1 / np.sqrt(x))


def reciprocal(x: V) -> V:
    """Compute 1 / x; integers give float32.

    >>> from tinygrad_np import Tensor
    >>> Tensor([2.0, 4.0]).reciprocal()
    Tensor([0.5 , 0.25])
    """
    out: V = div(1, x)
    return out


def square(x: V) -> V:
    """Compute the square x².

    >>> from tinygrad_np import Tensor
    >>> Tensor([3.0, -2.0]).square()
    Tensor([9., 4.])
    """
    return mul(x, x)


@op("sin x", vjps={"x": lambda grad_out, x: grad_out * cos(x)}, floating=True)
def sin(x: Array) -> Array:
    """Compute the sine; x is in radians.

    >>> Tensor([0.0, 1.0]).sin()
    Tensor([0.      , 0.8415])
    """
    return kernels.unary(np.sin, x)


@op("cos x", vjps={"x": lambda grad_out, x: neg(grad_out * sin(x))}, floating=True)
def cos(x: Array) -> Array:
    """Compute the cosine; x is in radians.

    >>> Tensor([0.0, 1.0]).cos()
    Tensor([1.       , 0.5403])
    """
    return kernels.unary(np.cos, x)


@op(
    "tan x",
    vjps={"x": lambda grad_out, out: grad_out * (out * out + 1)},
    floating=True,
    samples=Samples((-1.2, 1.2)),
)
def tan(x: Array) -> Array:
    """Compute the tangent; x is in radians.

    >>> Tensor([0.0, 1.0]).tan()
    Tensor([0.       , 1.5574])
    """
    return kernels.unary(np.tan, x)


@op(
    "arcsin x",
    vjps={"x": lambda grad_out, x: grad_out * rsqrt(1 - x * x)},
    floating=True,
    samples=Samples((-0.9, 0.9)),
)
def asin(x: Array) -> Array:
    """Compute the inverse sine, in radians.

    >>> Tensor([0.0, 1.0]).asin()
    Tensor([0.       , 1.5708])
    """
    return kernels.unary(np.arcsin, x)


@op(
    "arccos x",
    vjps={"x": lambda grad_out, x: neg(grad_out * rsqrt(1 - x * x))},
    floating=True,
    samples=Samples((-0.9, 0.9)),
)
def acos(x: Array) -> Array:
    """Compute the inverse cosine, in radians.

    >>> Tensor([0.0, 1.0]).acos()
    Tensor([1.5708, 0.       ])
    """
    return kernels.unary(np.arccos, x)


@op("arctan x", vjps={"x": lambda grad_out, x: grad_out / (x * x + 1)}, floating=True)
def atan(x: Array) -> Array:
    """Compute the inverse tangent, in radians.

    >>> Tensor([0.0, 1.0]).atan()
    Tensor([0.       , 0.7854])
    """
    return kernels.unary(np.arctan, x)


def _inverse_square(y: Value, x: Value) -> Value:
    """Return 1 / (x² + y²), or 0 where x = y = 0."""
    square = x * x + y * y
    is_zero = eq(square, 0)
    return where(is_zero, 0.0, 1 / where(is_zero, 1.0, square))


@op(
    "angle of the point (x, y)",
    vjps={
        "y": lambda grad_out, y, x: grad_out * (x * _inverse_square(y, x)),
        "x": lambda grad_out, y, x: neg(grad_out * (y * _inverse_square(y, x))),
    },
    floating=True,
    samples=Samples((0.3, 2.0)),
    subgradient="0 at y = x = 0",
)
def atan2(y: Array, x: Array) -> Array:
    """Compute the angle between the positive x-axis and the point (x, y), from -π to π.

    It is arctan(y / x) in the right half plane, and jumps by 2π at y = 0, x < 0. Integers give
    float32.

    >>> Tensor([1.0, 1.0, -1.0]).atan2(Tensor([1.0, 0.0, -1.0]))
    Tensor([ 0.7854,  1.5708, -2.3562])
    """
    return kernels.binary(np.arctan2, y, x)


@op("sinh x", vjps={"x": lambda grad_out, x: grad_out * cosh(x)}, floating=True)
def sinh(x: Array) -> Array:
    """Compute the hyperbolic sine.

    >>> Tensor([0.0, 1.0]).sinh()
    Tensor([0.       , 1.1752])
    """
    return kernels.unary(np.sinh, x)


@op("cosh x", vjps={"x": lambda grad_out, x: grad_out * sinh(x)}, floating=True)
def cosh(x: Array) -> Array:
    """Compute the hyperbolic cosine.

    >>> Tensor([0.0, 1.0]).cosh()
    Tensor([1.       , 1.5431])
    """
    return kernels.unary(np.cosh, x)


@op("tanh x", vjps={"x": lambda grad_out, out: grad_out * (1 - out * out)}, floating=True)
def tanh(x: Array) -> Array:
    """Compute the hyperbolic tangent.

    >>> Tensor([0.0, 1.0]).tanh()
    Tensor([0.       , 0.7616])
    """
    return kernels.unary(np.tanh, x)


def _asinh_vjp(grad_out: Value, x: Value) -> Value:
    size = clip(absolute(x), 1, 2.0**70)  # x² may overflow, and (x / size)² does not
    return grad_out * rsqrt(square(x / size) + square(1 / size)) / size


@op("arsinh x", vjps={"x": _asinh_vjp}, floating=True)
def asinh(x: Array) -> Array:
    """Compute the inverse hyperbolic sine.

    >>> Tensor([0.0, 1.0]).asinh()
    Tensor([0.       , 0.8814])
    """
    return kernels.unary(np.arcsinh, x)


@op(
    "arcosh x",
    # 1 / √(x² - 1); x² may overflow, and near 1 the difference would lose digits.
    vjps={"x": lambda grad_out, x: grad_out * rsqrt(absolute(x) - 1) * rsqrt(absolute(x) + 1)},
    floating=True,
    samples=Samples((1.2, 3.0)),
)
def acosh(x: Array) -> Array:
    """Compute the inverse hyperbolic cosine.

    >>> Tensor([1.0, 2.0]).acosh()
    Tensor([0.      , 1.3170])
    """
    return kernels.unary(np.arccosh, x)


@op(
    "artanh x",
    vjps={"x": lambda grad_out, x: grad_out / (1 - x * x)},
    floating=True,
    samples=Samples((-0.9, 0.9)),
)
def atanh(x: Array) -> Array:
    """Compute the inverse hyperbolic tangent.

    >>> Tensor([0.0, 0.5]).atanh()
    Tensor([0.        , 0.5493])
    """
    return kernels.unary(np.arctanh, x)


@op(
    "log(e^x + e^other)",
    vjps={
        "x": lambda grad_out, x, other: grad_out * sigmoid(x - other),
        "other": lambda grad_out, x, other: grad_out * sigmoid(other - x),
    },
    floating=True,
)
def logaddexp(x: Array, other: Array) -> Array:
    """Compute log(e^x + e^other), without overflow; integers give float32.

    >>> Tensor([0.0, 1000.0]).logaddexp(1000.0)
    Tensor([1000.    , 1000.6932])
    """
    return kernels.binary(np.logaddexp, x, other)


@op(
    "2/√π ∫₀ˣ e^(-t²) dt",
    vjps={"x": lambda grad_out, x: grad_out * (exp(neg(x * x)) * (2 / math.sqrt(math.pi)))},
    floating=True,
)
def erf(x: Array) -> Array:
    """Compute the error function 2/√π ∫₀ˣ e^(-t²) dt.

    >>> Tensor([0.0, 1.0]).erf()
    Tensor([0.       , 0.8427])
    """
    return kernels.erf(x)


@op(
    "1 / (1 + e^-x)",
    vjps={"x": lambda grad_out, out: grad_out * (out * (1 - out))},
    floating=True,
)
def sigmoid(x: Array) -> Array:
    """Compute the logistic function 1 / (1 + e^-x), without overflow and accurate in both tails.

    >>> Tensor([0.0, 1000.0]).sigmoid()
    Tensor([0.5, 1. ])
    """
    return activation_kernels.sigmoid(x)
