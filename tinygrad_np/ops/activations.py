"""Activations and dropout; most are composed of other ops and need no VJP."""

import math
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from tinygrad_np import random
from tinygrad_np.autograd.dispatch import V, op
from tinygrad_np.autograd.op import Samples
from tinygrad_np.autograd.primitives import cast
from tinygrad_np.checks import check_dtype, is_real
from tinygrad_np.errors import ArgumentError, DtypeError
from tinygrad_np.kernels import activations as activation_kernels
from tinygrad_np.kernels import elementwise as kernels
from tinygrad_np.kernels import losses as row_kernels
from tinygrad_np.ops.elementwise import (
    abs,
    add,
    as_array,
    clip,
    div,
    ge,
    gt,
    keep_where,
    le,
    mul,
    neg,
    where,
)
from tinygrad_np.ops.functions import erf, exp, expm1, logaddexp, sigmoid, tanh
from tinygrad_np.ops.reduce import sum
from tinygrad_np.runtime.memory import Array
from tinygrad_np.typing import DType, Shape, Value


@op(
    "max(x, 0)",
    # Nonzero rather than positive: nan passes the gradient on, as in PyTorch.
    vjps={"x": lambda grad_out, out: keep_where(grad_out, as_array(out))},
    backward=lambda grad_out, out, overwrite: [kernels.select(grad_out, out, overwrite)],
    samples=Samples(kinks=(0.0,)),
    subgradient="0 at 0",
)
def relu(x: Array) -> Array:
    """Compute the rectified linear unit max(x, 0); the gradient at 0 is 0.

    >>> Tensor([-1.0, 2.0]).relu()
    Tensor([0., 2.])
    """
    return kernels.relu(x)


def _is_between(x: Value, low: float, high: float) -> Array:
    """Return whether low < x < high; True where x is nan, so that its gradient is not hidden."""
    array: Any = as_array(x)
    # Unlike NumPy's numbers, Python's are compared in the dtype of the array.
    return np.asarray(np.logical_not((array <= float(low)) | (array >= float(high))))


@op(
    "x clipped to the range from min_val to max_val",
    vjps={
        "x": lambda grad_out, out, min_val, max_val: keep_where(
            grad_out, _is_between(out, min_val, max_val)
        )
    },
    backward=lambda grad_out, out, min_val, max_val, overwrite: [
        kernels.select(grad_out, _is_between(out, min_val, max_val), overwrite)
    ],
    samples=Samples(kinks=(-1.0, 1.0)),
    subgradient="0 at both bounds",
    flops=2,
)
def hardtanh(x: Array, *, min_val: float = -1, max_val: float = 1) -> Array:
    """Clip x to the range from min_val to max_val, with gradient 0 at both bounds.

    Raises:
        DtypeError: if a bound is not a number.
        ArgumentError: if `min_val` is above `max_val`.

    >>> Tensor([-2.0, 0.5]).hardtanh()
    Tensor([-1. ,  0.5])
    """
    for name, bound in (("min_val", min_val), ("max_val", max_val)):
        if not is_real(bound):
            raise DtypeError(f"hardtanh: expected `{name}` to be a number, got {bound!r}.")
    low, high = (b.item() if isinstance(b, np.generic) else b for b in (min_val, max_val))
    if low > high:
        raise ArgumentError(
            f"hardtanh: expected `min_val` to be at most `max_val`, got {low} and {high}."
        )
    if x.dtype.kind != "f" and isinstance(low + high, float):
        x = x.astype(np.float32)
    return kernels.binary(lambda x, low, out=None: np.clip(x, low, high, out=out), x, low)


def relu6(x: V) -> V:
    """Clip x to the range from 0 to 6, with gradient 0 at both bounds (Krizhevsky 2010).

    >>> from tinygrad_np import Tensor
    >>> Tensor([-1.0, 2.0, 8.0]).relu6()
    Tensor([0., 2., 6.])
    """
    return hardtanh(x, 0, 6)


def hardswish(x: V) -> V:
    """Return x relu6(x + 3) / 6, with gradient 0 at -3 and 1 at 3 (Howard et al. 2019, eq. 3).

    >>> from tinygrad_np import Tensor
    >>> Tensor([-4.0, 1.5, 4.0]).hardswish().tolist()
    [0.0, 1.125, 4.0]
    """
    inner = clip(x, -3, 3)  # finite even where it is not selected
    return where(le(x, -3), 0, where(ge(x, 3), x, inner * ((inner + 3) / 6)))


def hardsigmoid(x: V, alpha: float = 1 / 6, beta: float = 0.5) -> V:
    """Clip alpha x + beta to the range from 0 to 1, with gradient 0 at both bounds.

    >>> from tinygrad_np import Tensor
    >>> Tensor([-4.0, 0.0, 1.5]).hardsigmoid()
    Tensor([0.  , 0.5 , 0.75])
    """
    return hardtanh(add(mul(x, alpha), beta), 0, 1)


def leaky_relu(x: V, neg_slope: float = 0.01) -> V:
    """Return x where x > 0, and neg_slope x elsewhere (Maas et al. 2013).

    >>> from tinygrad_np import Tensor
    >>> Tensor([-2.0, 2.0]).leaky_relu(0.1)
    Tensor([-0.2,  2. ])
    """
    return where(gt(x, 0), x, mul(x, neg_slope))


def elu(x: V, alpha: float = 1.0) -> V:
    """Return x where x > 0, and alpha (e^x - 1) elsewhere (Clevert et al. 2016, eq. 15).

    >>> from tinygrad_np import Tensor
    >>> Tensor([-1.0, 2.0]).elu().tolist()
    [-0.6321, 2.0]
    """
    # Clipping keeps e^x finite where it is not selected. At 0, the gradient of clip is 1.
    return where(gt(x, 0), x, mul(expm1(clip(x, None, 0)), alpha))


def celu(x: V, alpha: float = 1.0) -> V:
    """Return x where x > 0, and alpha (e^(x/alpha) - 1) elsewhere (Barron 2017, eq. 2).

    Raises:
        ArgumentError: if `alpha` is not above 0.

    >>> from tinygrad_np import Tensor
    >>> Tensor([-1.0, 2.0]).celu(2.0).tolist()
    [-0.7869, 2.0]
    """
    if not alpha > 0:
        raise ArgumentError(f"celu: expected `alpha` to be above 0, got {alpha}.")
    return where(gt(x, 0), x, mul(expm1(mul(clip(x, None, 0), 1 / alpha)), alpha))


def selu(x: V, alpha: float = 1.67326, gamma: float = 1.0507) -> V:
    """Return gamma elu(x, alpha) (Klambauer et al. 2017).

    The defaults keep activations near mean 0 and variance 1.

    >>> from tinygrad_np import Tensor
    >>> Tensor([-1.0, 1.0]).selu().tolist()
    [-1.1113, 1.0507]
    """
    return mul(elu(x, alpha), gamma)


def _define_gelu(x: Value, *, approximate: str) -> Value:
    if approximate == "none":
        inner = erf(x * math.sqrt(0.5))
    else:
        near = clip(x, -10, 10)  # beyond this, tanh is ±1 and x³ may overflow
        inner = tanh(near * (near * near * 0.044715 + 1) * math.sqrt(2 / math.pi))
    return x * ((inner + 1) * 0.5)


@op(
    "x Φ(x)",
    definition=_define_gelu,
    differentiable=("x",),
    backward=lambda grad_out, x, cdf, approximate, overwrite: [
        activation_kernels.gelu_grad(grad_out, x, cdf, approximate, overwrite)
    ],
    caches=("cdf",),
    floating=True,
    flops=8,
)
def gelu(x: Array, *, approximate: str = "none") -> tuple[Array, Array]:
    """Return x Φ(x), where Φ is the cumulative distribution function of the standard normal.

    Args:
        x: the input.
        approximate: "none" for the exact function, or "tanh" for
            x (1 + tanh(√(2/π) (x + 0.044715 x³))) / 2 (Hendrycks and Gimpel 2016, section 2).

    Raises:
        ArgumentError: if `approximate` has another value.

    >>> Tensor([-1.0, 1.0]).gelu().tolist()
    [-0.1587, 0.8413]
    """
    if approximate not in ("none", "tanh"):
        raise ArgumentError(
            f"gelu: expected `approximate` to be 'none' or 'tanh', got {approximate!r}."
        )
    out, cdf = activation_kernels.gelu(x, approximate)
    return out.astype(x.dtype, copy=False), cdf


def _define_sigmoid_gate(x: Value, *, beta: float) -> Value:
    return x * sigmoid(x if beta == 1 else x * beta)


@op(
    "x sigmoid(beta x)",
    definition=_define_sigmoid_gate,
    differentiable=("x",),
    backward=lambda grad_out, x, gate, beta, overwrite: [
        activation_kernels.silu_grad(grad_out, x, gate, beta, overwrite)
    ],
    caches=("gate",),
    floating=True,
    flops=5,
)
def sigmoid_gate(x: Array, *, beta: float = 1.0) -> tuple[Array, Array]:
    """Return x sigmoid(beta x), the function behind `silu` and `quick_gelu`."""
    out, gate = activation_kernels.silu(x, beta)
    return out.astype(x.dtype, copy=False), gate


def quick_gelu(x: V) -> V:
    """Compute x sigmoid(1.702 x), an approximation of GELU (Hendrycks & Gimpel 2016).

    >>> from tinygrad_np import Tensor
    >>> Tensor([0.0, 1.0]).quick_gelu()
    Tensor([0.      , 0.8458])
    """
    return sigmoid_gate(x, beta=1.702)


def silu(x: V) -> V:
    """Return x sigmoid(x), also called swish (Elfwing et al. 2017, eq. 2).

    >>> from tinygrad_np import Tensor
    >>> Tensor([0.0, 1.0]).silu().tolist()
    [0.0, 0.7311]
    """
    return sigmoid_gate(x)


def mish(x: V) -> V:
    """Return x tanh(softplus(x)) (Misra 2019, eq. 1).

    >>> from tinygrad_np import Tensor
    >>> Tensor([0.0, 1.0]).mish().tolist()
    [0.0, 0.8651]
    """
    return mul(x, tanh(softplus(x)))


def softplus(x: V, beta: float = 1.0) -> V:
    """Return log(1 + e^(beta x)) / beta, without overflow.

    Raises:
        ArgumentError: if `beta` is not above 0.

    >>> from tinygrad_np import Tensor
    >>> Tensor([-400.0, 0.0, 400.0]).softplus().tolist()
    [0.0, 0.6931, 400.0]
    """
    if not beta > 0:
        raise ArgumentError(f"softplus: expected `beta` to be above 0, got {beta}.")
    return mul(logaddexp(mul(x, beta), 0), 1 / beta)


def softsign(x: V) -> V:
    """Return x / (1 + |x|).

    >>> from tinygrad_np import Tensor
    >>> Tensor([-1.0, 3.0]).softsign()
    Tensor([-0.5 ,  0.75])
    """
    return div(x, abs(x) + 1)


def logsigmoid(x: V) -> V:
    """Return log(sigmoid(x)), accurate in both tails.

    >>> from tinygrad_np import Tensor
    >>> Tensor([-400.0, 0.0]).logsigmoid().tolist()
    [-400.0, -0.6931]
    """
    return neg(softplus(neg(x)))


@op(
    "x mask / (1 - p)",
    vjps={"x": lambda grad_out, mask, p: dropout_with_mask(grad_out, mask, p)},
    floating=True,
    flops=2,
)
def dropout_with_mask(x: Array, mask: Array, *, p: float) -> Array:
    """Zero entries where `mask` is False, and scale the others by 1 / (1 - p)."""
    out = kernels.select(x, mask)
    out *= x.dtype.type(1 / (1 - p) if p < 1 else 0)
    return out


def dropout(
    x: V, p: float = 0.5, training: bool = True, generator: np.random.Generator | None = None
) -> V:
    """Zero each entry with probability p, and scale the others by 1 / (1 - p).

    Args:
        x: the input.
        p: probability of zeroing an entry.
        training: if False, return x itself.
        generator: NumPy generator for the mask; None uses the default generator.

    Raises:
        ArgumentError: if `p` is not between 0 and 1.
        DtypeError: in training, if `generator` is not a NumPy generator.

    From Srivastava et al. 2014.

    >>> from tinygrad_np import Tensor
    >>> Tensor([1.0, 2.0]).dropout(0.5, training=False)
    Tensor([1., 2.])
    """
    check_dropout("dropout", "p", p)
    if not training or p == 0:
        return x
    return dropout_with_mask(x, dropout_mask(x.shape, p, generator), float(p))


def check_dropout(who: str, name: str, p: float) -> None:
    """Raise ArgumentError unless p is a probability."""
    if not 0 <= p <= 1:
        raise ArgumentError(f"{who}: expected `{name}` to be a number from 0 to 1, got {p}.")


def dropout_mask(shape: Shape, p: float, generator: np.random.Generator | None) -> Array:
    """Draw a mask that is True for the entries that dropout keeps."""
    mask = random.resolve(generator).random(shape, np.float32) >= p
    mask.flags.writeable = False  # read-only arrays are saved without a copy
    return mask


# Softmax and its variants.


def _to_floats(name: str, x: Array, dtype: DTypeLike | None) -> Array:
    """Return x in `dtype` if given; integers become float32."""
    if dtype is not None:
        x = x.astype(check_dtype(name, dtype), copy=False)
    return x if x.dtype.kind == "f" else x.astype(np.float32)


def _cast_back(grad: Value, x_dtype: DType, dtype: DTypeLike | None) -> Value:
    """Return the gradient in the dtype of x; 0 if `dtype` truncated x to integers."""
    if dtype is not None and np.dtype(dtype).kind != "f":
        grad = keep_where(grad, False)
    return grad if grad.dtype == x_dtype else cast(grad, x_dtype)


def _cast_back_array(grad: Array, x_dtype: DType, dtype: DTypeLike | None) -> Array:
    """Apply `_cast_back` to an array."""
    if dtype is not None and np.dtype(dtype).kind != "f":
        return np.zeros(grad.shape, x_dtype)
    return grad.astype(x_dtype, copy=False)


def _widened(x: Value) -> Value:
    """Convert float16 to float32, because sums of gradients would overflow."""
    return cast(x, dtype=np.float32) if x.dtype == np.float16 else x


def _softmax_grad(grad_out: Value, out: Value, axis: int) -> Value:
    grad_out, out = _widened(grad_out), _widened(out)
    return out * (grad_out - sum(grad_out * out, axis=axis, keepdim=True))


def _log_softmax_grad(grad_out: Value, out: Value, axis: int) -> Value:
    grad_out, out = _widened(grad_out), _widened(out)
    return grad_out - exp(out) * sum(grad_out, axis=axis, keepdim=True)


@op(
    "e^x / Σ e^x",
    vjps={
        "x": lambda grad_out, out, x_dtype, axis, dtype: _cast_back(
            _softmax_grad(grad_out, out, axis), x_dtype, dtype
        )
    },
    backward=lambda grad_out, out, x_dtype, axis, dtype: [
        _cast_back_array(row_kernels.softmax_grad(grad_out, out, axis), x_dtype, dtype)
    ],
    flops=5,
)
def softmax(x: Array, *, axis: int = -1, dtype: DTypeLike | None = None) -> Array:
    """Compute the softmax e^x / Σ e^x along `axis`, without overflow.

    Args:
        x: the logits.
        axis: the axis that sums to 1.
        dtype: if given, x is converted to it first.

    Raises:
        AxisError: if `axis` is out of range.
        DtypeError: if `dtype` is not a float, int or bool dtype.

    >>> Tensor([0.0, 1000.0]).softmax()
    Tensor([0., 1.])
    """
    return row_kernels.softmax(_to_floats("softmax", x, dtype), axis)


@op(
    "x - log Σ e^x",
    vjps={
        "x": lambda grad_out, out, x_dtype, axis, dtype: _cast_back(
            _log_softmax_grad(grad_out, out, axis), x_dtype, dtype
        )
    },
    backward=lambda grad_out, out, x_dtype, axis, dtype: [
        _cast_back_array(row_kernels.log_softmax_grad(grad_out, out, axis), x_dtype, dtype)
    ],
    flops=5,
)
def log_softmax(x: Array, *, axis: int = -1, dtype: DTypeLike | None = None) -> Array:
    """Compute the logarithm of the softmax along `axis`, without underflow or overflow.

    Args:
        x: the logits.
        axis: the axis whose probabilities sum to 1.
        dtype: if given, x is converted to it first.

    Raises:
        AxisError: if `axis` is out of range.
        DtypeError: if `dtype` is not a float, int or bool dtype.

    >>> Tensor([0.0, 1000.0]).log_softmax()
    Tensor([-1000.,     0.])
    """
    return row_kernels.log_softmax(_to_floats("log_softmax", x, dtype), axis)


def softmin(x: V, axis: int = -1, dtype: DTypeLike | None = None) -> V:
    """Compute the softmax of -x along `axis`; if `dtype` is given, convert x to it first.

    Raises:
        AxisError: if `axis` is out of range.
        DtypeError: if `dtype` is not a float, int or bool dtype.

    >>> from tinygrad_np import Tensor
    >>> Tensor([0.0, 1000.0]).softmin()
    Tensor([1., 0.])
    """
    return softmax(neg(x if dtype is None else cast(x, check_dtype("softmin", dtype))), axis)
