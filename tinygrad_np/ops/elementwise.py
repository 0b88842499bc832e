"""Elementwise ops: arithmetic, comparison, choice and the functions a network is made of."""

import math
from typing import Any

import numpy as np

from tinygrad_np.errors import DtypeError
from tinygrad_np.kernels import elementwise as kernels
from tinygrad_np.memory import Array
from tinygrad_np.record import op

# Comparisons: constant in pieces, so they have no gradient.


@op("a = b")
def eq(a: Array, b: Array) -> Array:
    """Whether entries are equal."""
    return kernels.binary(np.equal, a, b, dtype=bool)


@op("a ≠ b")
def ne(a: Array, b: Array) -> Array:
    """Whether entries differ."""
    return kernels.binary(np.not_equal, a, b, dtype=bool)


@op("a < b")
def lt(a: Array, b: Array) -> Array:
    """Whether a is below b."""
    return kernels.binary(np.less, a, b, dtype=bool)


@op("a ≤ b")
def le(a: Array, b: Array) -> Array:
    """Whether a is at most b."""
    return kernels.binary(np.less_equal, a, b, dtype=bool)


@op("a > b")
def gt(a: Array, b: Array) -> Array:
    """Whether a is above b."""
    return kernels.binary(np.greater, a, b, dtype=bool)


@op("a ≥ b")
def ge(a: Array, b: Array) -> Array:
    """Whether a is at least b."""
    return kernels.binary(np.greater_equal, a, b, dtype=bool)


@op("not x")
def logical_not(x: Array) -> Array:
    """Whether entries are zero or False."""
    return kernels.unary(np.logical_not, x, dtype=bool)


# Choice.


@op("x where mask, else 0", vjps={"x": lambda grad_out, mask: select(grad_out, mask)})
def select(x: Array, mask: Array) -> Array:
    """Keep x where the bool `mask` is true; 0 elsewhere, also where x is inf or nan."""
    return kernels.select(x, mask)


@op(
    "a where condition, else b",
    vjps={
        "a": lambda grad_out, condition: select(grad_out, condition),
        "b": lambda grad_out, condition: select(grad_out, logical_not(condition)),
    },
)
def where(condition: Array, a: Array, b: Array) -> Array:
    """Take from a where the bool `condition` is true and from b elsewhere."""
    if np.asarray(condition).dtype != bool:
        raise DtypeError(
            f"where: got a condition of dtype {condition.dtype}, expected bool; compare, as with "
            "condition != 0"
        )
    return np.where(condition, a, b)


def _of_larger(grad_out: Any, one: Any, other: Any) -> Any:
    """Return the gradient where `one` is not the smaller, half of it where they tie."""
    return select(grad_out, logical_not(lt(one, other))) - select(grad_out, eq(one, other)) * 0.5


@op(
    "max(a, b)",
    vjps={
        "a": lambda grad_out, a, b: _of_larger(grad_out, a, b),
        "b": lambda grad_out, a, b: _of_larger(grad_out, b, a),
    },
)
def maximum(a: Array, b: Array) -> Array:
    """The larger of two entries; a tie splits its gradient in halves."""
    return kernels.binary(np.maximum, a, b)


@op(
    "max(x, 0)",
    # "Not 0" rather than "above 0": a nan passes its gradient on, as in PyTorch.
    vjps={"x": lambda grad_out, out: select(grad_out, ne(out, 0))},
    kinks=(0.0,),
)
def relu(x: Array) -> Array:
    """Rectified linear unit; its gradient at 0 is 0."""
    return kernels.binary(np.maximum, x, 0)


@op(
    "x mask / (1 - p)",
    vjps={"x": lambda grad_out, mask, p: dropout(grad_out, mask, p=p)},
    floating=True,
)
def dropout(x: Array, mask: Array, *, p: float) -> Array:
    """Zero what the bool `mask` leaves out and scale the rest by 1 / (1 - p)
    (Srivastava et al. 2014)."""
    kept = kernels.select(x, mask)
    kept *= x.dtype.type(1 / (1 - p) if p < 1 else 0)
    return kept


# Arithmetic.


@op("a + b", vjps={"a": lambda grad_out: grad_out, "b": lambda grad_out: grad_out})
def add(a: Array, b: Array) -> Array:
    """Sum of entries."""
    return kernels.binary(np.add, a, b)


@op("a - b", vjps={"a": lambda grad_out: grad_out, "b": lambda grad_out: neg(grad_out)})
def sub(a: Array, b: Array) -> Array:
    """Difference of entries."""
    return kernels.binary(np.subtract, a, b)


@op(
    "a b",
    vjps={"a": lambda grad_out, b: mul(grad_out, b), "b": lambda grad_out, a: mul(grad_out, a)},
)
def mul(a: Array, b: Array) -> Array:
    """Product of entries."""
    return kernels.binary(np.multiply, a, b)


@op(
    "a / b",
    vjps={
        "a": lambda grad_out, b: grad_out / b,
        "b": lambda grad_out, b, out: neg(grad_out * (out / b)),
    },
    floating=True,
    domain=(0.3, 2.0),
)
def div(a: Array, b: Array) -> Array:
    """Quotient of entries; integers give float32."""
    return kernels.binary(np.divide, a, b)


def _one_less(a: Any, b: Any) -> Any:
    """Return b - 1, but b where both are 0: d(a^0)/da is 0 also at a = 0, not 0 times inf."""
    if isinstance(b, int | float):
        return b - 1 if b else 0
    return where(mul(eq(a, 0), eq(b, 0)), b, b - 1)


def _log_of_base(a: Any, b: Any) -> Any:
    """Return log a, but 0 where a is 0 and b is not negative: d(0^b)/db is 0 there."""
    if isinstance(a, int | float):
        return math.log(a) if a > 0 else math.nan if a else 0.0
    return log(where(mul(eq(a, 0), ge(b, 0)), 1, a))


@op(
    "a^b",
    vjps={
        "a": lambda grad_out, a, b: grad_out * (b * pow(a, _one_less(a, b))),
        "b": lambda grad_out, a, b, out: grad_out * (out * _log_of_base(a, b)),
    },
    domain=(0.3, 2.0),
)
def pow(a: Array, b: Array) -> Array:
    """Power of entries; gradients at a = 0 and b = 0 are PyTorch's."""
    return np.asarray(a**b)


@op("-x", vjps={"x": lambda grad_out: neg(grad_out)})
def neg(x: Array) -> Array:
    """Negative of entries."""
    return kernels.unary(np.negative, x)


# Functions.


@op("e^x", vjps={"x": lambda grad_out, out: mul(grad_out, out)}, floating=True)
def exp(x: Array) -> Array:
    """Exponential."""
    return kernels.unary(np.exp, x)


@op("log x", vjps={"x": lambda grad_out, x: grad_out / x}, floating=True, domain=(0.3, 3.0))
def log(x: Array) -> Array:
    """Natural logarithm."""
    return kernels.unary(np.log, x)


@op("√x", vjps={"x": lambda grad_out, out: grad_out / (out + out)}, floating=True, domain=(0.3, 3))
def sqrt(x: Array) -> Array:
    """Square root."""
    return kernels.unary(np.sqrt, x)


@op("tanh x", vjps={"x": lambda grad_out, out: grad_out * (1 - out * out)}, floating=True)
def tanh(x: Array) -> Array:
    """Hyperbolic tangent."""
    return kernels.unary(np.tanh, x)


@op(
    "1 / (1 + e^-x)",
    vjps={"x": lambda grad_out, out: grad_out * (out * (1 - out))},
    floating=True,
)
def sigmoid(x: Array) -> Array:
    """Logistic function, exact in both tails and without overflow."""
    small = np.exp(-np.abs(x))
    return np.asarray(np.where(x >= 0, 1, small) / (1 + small))
