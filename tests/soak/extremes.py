"""Extreme numbers in float32 and float16, compared with the same computation in float64.

The result must be finite where the float64 value is representable, and of the same kind (nan, inf,
sign) where it is not. Values of elementwise functions come from NumPy; gradients of reductions,
norms and losses from the package in float64, which is far from its own limits there.
"""

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np

from tests.soak.rows import Attempt, row
from tinygrad_np import Tensor, nn, optim
from tinygrad_np.errors import TinygradNpError

Array: TypeAlias = np.ndarray
Real: TypeAlias = Callable[..., Any]

DTYPES = (np.float32, np.float16)

# Truth in float64. Formulas avoid cancellation, so that their own errors do not matter.


def _expit(x: Array) -> Array:
    small = np.exp(-np.abs(x))
    return np.where(x >= 0, 1 / (1 + small), small / (1 + small))


def _softplus(x: Array) -> Array:
    return np.logaddexp(x, 0)


def _normal_cdf(x: Array) -> Array:
    return 0.5 * _erfc(-x / math.sqrt(2))


def _gelu_slope(x: Array) -> Array:
    density = np.exp(-0.5 * x**2) / math.sqrt(2 * math.pi)
    return _normal_cdf(x) + _times(density, x)


def _mish_slope(x: Array) -> Array:
    t = np.tanh(_softplus(x))
    return t + x * _expit(x) / np.cosh(np.minimum(_softplus(x), 300)) ** 2


def _times(factor: Array, x: Array) -> Array:
    """Return factor * x, or 0 where the factor underflows, even if x is inf."""
    return np.where(factor == 0, 0.0, factor * x)


_erf = np.vectorize(math.erf, otypes=[np.float64])
_erfc = np.vectorize(math.erfc, otypes=[np.float64])
_LOG2 = math.log(2)
_SELU_ALPHA, _SELU_GAMMA = 1.67326, 1.0507

UNARY: dict[str, tuple[Real, Real]] = {
    "neg": (np.negative, lambda x: -np.ones_like(x)),
    "abs": (np.abs, np.sign),
    "square": (np.square, lambda x: 2 * x),
    "sqrt": (np.sqrt, lambda x: 0.5 / np.sqrt(x)),
    "rsqrt": (lambda x: 1 / np.sqrt(x), lambda x: -0.5 / np.sqrt(x) ** 3),
    "exp": (np.exp, np.exp),
    "exp2": (np.exp2, lambda x: _LOG2 * np.exp2(x)),
    "expm1": (np.expm1, np.exp),
    "log": (np.log, lambda x: 1 / x),
    "log2": (np.log2, lambda x: 1 / (x * _LOG2)),
    "log10": (np.log10, lambda x: 1 / (x * math.log(10))),
    "log1p": (np.log1p, lambda x: 1 / (1 + x)),
    "sin": (np.sin, np.cos),
    "cos": (np.cos, lambda x: -np.sin(x)),
    "tan": (np.tan, lambda x: 1 / np.cos(x) ** 2),
    "asin": (np.arcsin, lambda x: 1 / np.sqrt((1 - x) * (1 + x))),
    "acos": (np.arccos, lambda x: -1 / np.sqrt((1 - x) * (1 + x))),
    "atan": (np.arctan, lambda x: 1 / (1 + x * x)),
    "sinh": (np.sinh, np.cosh),
    "cosh": (np.cosh, np.sinh),
    "tanh": (np.tanh, lambda x: 1 / np.cosh(np.clip(x, -300, 300)) ** 2),
    "asinh": (np.arcsinh, lambda x: 1 / np.sqrt(1 + x * x)),
    "acosh": (np.arccosh, lambda x: 1 / np.sqrt((x - 1) * (x + 1))),
    "atanh": (np.arctanh, lambda x: 1 / ((1 - x) * (1 + x))),
    "erf": (_erf, lambda x: 2 / math.sqrt(math.pi) * np.exp(-x * x)),
    "relu": (lambda x: np.maximum(x, 0), lambda x: (x > 0).astype(float)),
    "relu6": (lambda x: np.clip(x, 0, 6), lambda x: ((x > 0) & (x < 6)).astype(float)),
    "leaky_relu": (lambda x: np.where(x > 0, x, 0.01 * x), lambda x: np.where(x > 0, 1, 0.01)),
    "elu": (
        lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0))),
        lambda x: np.where(x > 0, 1, np.exp(np.minimum(x, 0))),
    ),
    "celu": (
        lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0))),
        lambda x: np.where(x > 0, 1, np.exp(np.minimum(x, 0))),
    ),
    "selu": (
        lambda x: _SELU_GAMMA * np.where(x > 0, x, _SELU_ALPHA * np.expm1(np.minimum(x, 0))),
        lambda x: _SELU_GAMMA * np.where(x > 0, 1, _SELU_ALPHA * np.exp(np.minimum(x, 0))),
    ),
    "gelu": (lambda x: _times(_normal_cdf(x), x), _gelu_slope),
    "silu": (
        lambda x: _times(_expit(x), x),
        lambda x: _expit(x) * (1 + _times(_expit(-x), x)),
    ),
    "mish": (lambda x: _times(np.tanh(_softplus(x)), x), _mish_slope),
    "sigmoid": (_expit, lambda x: _expit(x) * _expit(-x)),
    "logsigmoid": (lambda x: -_softplus(-x), lambda x: _expit(-x)),
    "softplus": (_softplus, _expit),
    "softsign": (lambda x: x / (1 + np.abs(x)), lambda x: 1 / (1 + np.abs(x)) ** 2),
    "hardtanh": (lambda x: np.clip(x, -1, 1), lambda x: (np.abs(x) < 1).astype(float)),
    "hardswish": (
        lambda x: np.where(x > 3, x, np.where(x < -3, 0, x * (x + 3) / 6)),
        lambda x: np.where(x > 3, 1, np.where(x < -3, 0, (2 * x + 3) / 6)),
    ),
    "floor": (np.floor, np.zeros_like),
    "ceil": (np.ceil, np.zeros_like),
    "trunc": (np.trunc, np.zeros_like),
    "round": (np.round, np.zeros_like),
    "sign": (np.sign, np.zeros_like),
}

KINKS = {
    **dict.fromkeys(("abs", "relu", "leaky_relu", "selu", "sign"), (0.0,)),
    "relu6": (0.0, 6.0),
    "hardtanh": (-1.0, 1.0),
    "hardswish": (-3.0, 3.0),
}
"""Points where the gradient is a convention."""

BINARY: dict[str, tuple[Real, Real, Real]] = {
    "add": (np.add, lambda a, b: 1 + 0 * a, lambda a, b: 1 + 0 * b),
    "sub": (np.subtract, lambda a, b: 1 + 0 * a, lambda a, b: -1 + 0 * b),
    "mul": (np.multiply, lambda a, b: b, lambda a, b: a),
    "div": (np.divide, lambda a, b: 1 / b, lambda a, b: -(a / b) / b),
    "pow": (np.power, lambda a, b: b * a ** (b - 1), lambda a, b: a**b * np.log(a)),
    "maximum": (np.maximum, lambda a, b: a > b, lambda a, b: a < b),
    "minimum": (np.minimum, lambda a, b: a < b, lambda a, b: a > b),
    "logaddexp": (np.logaddexp, lambda a, b: _expit(a - b), lambda a, b: _expit(b - a)),
    "mod": (np.mod, lambda a, b: 1 + 0 * a, lambda a, b: -np.floor(a / b)),
    "fmod": (np.fmod, lambda a, b: 1 + 0 * a, lambda a, b: -np.trunc(a / b)),
    "copysign": (
        np.copysign,
        lambda a, b: np.sign(a) * np.copysign(1.0, b),
        lambda a, b: 0 * b,
    ),
}

NUMBERS = [
    *(0.0, 1e-45, 1e-40, 1.2e-38, 1e-30, 1e-20, 1e-10, 6e-8, 1e-7, 6.2e-5, 1e-3, 0.1, 0.5),
    *(1.0, 1.5, 2.0, 3.0, 6.0, 9.5, 11.1, 12.0, 17.0, 30.0, 50.0, 87.0, 88.7, 89.0, 104.0, 170.0),
    *(250.0, 300.0, 1e3, 1e4, 3.3e4, 65504.0, 1e6, 1e10, 1.8e19, 2e19, 1e20, 1e30, 1.7e38),
    *(math.inf, math.nan),
]


@functools.cache
def grid(dtype: type[np.floating[Any]]) -> Array:
    """Return extreme numbers of a dtype: both signs, its limits, and the neighbors of these."""
    limits = np.finfo(dtype)
    with np.errstate(all="ignore"):
        found = np.array(NUMBERS).astype(dtype)
        edges = np.array(
            [limits.max, limits.tiny, limits.smallest_subnormal, limits.eps, 1, limits.max / 2],
            dtype,
        )
        found = np.concatenate([found, edges, np.nextafter(edges, 0), np.nextafter(edges, 2)])
        found = np.concatenate([found, -found])
        finite = found[np.isfinite(found)]
    kept = [*np.unique(finite), dtype(-0.0), dtype(math.inf), dtype(-math.inf), dtype(math.nan)]
    return np.array(kept, dtype)


def faults(
    got: Array, truth: Array, tolerance: float = 64, floor: Array | float = 0.0
) -> np.ndarray:
    """Return where a result differs in kind or in more than a few digits from float64 values.

    Args:
        got: the result in float32 or float16.
        truth: the values in float64.
        tolerance: relative error allowed, in units of the dtype's epsilon.
        floor: absolute error allowed, in units of the epsilon, for sums whose terms cancel.
    """
    limits = np.finfo(got.dtype)
    largest, eps = float(limits.max), float(limits.eps)
    got = got.astype(np.float64)
    # At the limit, rounding in either direction is correct.
    at_limit = np.abs(truth) >= largest * (1 - tolerance * eps)
    too_large = np.abs(truth) > largest * (1 + tolerance * eps)
    allowed = tolerance * eps * np.abs(truth) + floor * eps + 4 * float(limits.tiny)
    near = np.abs(got - truth) <= allowed
    same_infinity = np.isinf(got) & (np.sign(got) == np.sign(truth))
    right = np.where(
        np.isnan(truth),
        np.isnan(got),
        np.where(too_large, same_infinity, near | (at_limit & same_infinity)),
    )
    wrong: np.ndarray = ~right
    return wrong


def _report(name: str, wrong: np.ndarray, got: Array, truth: Array, inputs: Sequence[Any]) -> None:
    """Raise if there are faults, naming the first ones."""
    if not wrong.any():
        return
    places = list(zip(*np.nonzero(wrong), strict=True))
    parts = []
    for place in places[:3]:
        given = ", ".join(f"{np.broadcast_to(x, wrong.shape)[place]:.9g}" for x in inputs)
        parts.append(f"({given}) gives {got[place]:.6g} instead of {truth[place]:.6g}")
    raise AssertionError(f"{name}: {'; '.join(parts)} ({len(places)} of {wrong.size} points)")


def _cases(names: Sequence[str], *others: Sequence[Any]) -> list[tuple[Any, ...]]:
    """Return all combinations."""
    found: list[tuple[Any, ...]] = [(name,) for name in names]
    for values in others:
        found = [(*one, value) for one in found for value in values]
    return found


_UNARY_CASES = _cases(list(UNARY), DTYPES, (False, True))

# Values of these near 0 result from cancellation in the formula that defines them; they may be off
# by a few units of their largest term.
_CANCELLING = {"gelu", "mish", "silu", "hardswish", "sin", "cos", "tan", "erf", "logsigmoid"}

# Their gradients are computed from the output, as in PyTorch, and lose digits near its limits.
_FROM_OUTPUT = {"sigmoid", "tanh", "expm1", "elu", "celu", "selu", "softsign"}


@row(
    "extremes: elementwise functions and activations, values and gradients",
    full=len(_UNARY_CASES),
    short=60,
    catches="overflow or cancellation inside a formula, a nan gradient of a finite value",
)
def unary(attempt: Attempt) -> None:
    name, dtype, is_large = _UNARY_CASES[attempt.index]
    value, slope = UNARY[name]
    numbers = grid(dtype)
    if is_large:  # other kernels, in recycled memory
        numbers = np.tile(numbers, 300_000 // numbers.nbytes + 1)
    label = f"{name}, {np.dtype(dtype)}"
    with np.errstate(all="ignore"):
        x = Tensor(numbers, requires_grad=True)
        out = getattr(x, name)()
        assert out.dtype == dtype, f"{label}: the result is {out.dtype}"
        wide = numbers.astype(np.float64)
        truth = np.asarray(value(wide), np.float64)
        is_finite = np.isfinite(wide)
        # At infinity: the limit, or what the formula gives in float64.
        formula = getattr(Tensor(wide), name)().numpy()
        floor = np.where(is_finite, np.minimum(np.abs(wide), 100), 0) if name in _CANCELLING else 0
        wrong = faults(out.numpy(), truth, floor=floor)
        wrong &= is_finite | faults(out.numpy(), formula)
        _report(label, wrong, out.numpy(), truth, [numbers])
        if name in ("floor", "ceil", "trunc", "round", "sign"):
            return
        out.backward(Tensor(np.ones_like(numbers)))
        assert x.grad is not None
        truth = np.asarray(slope(wide), np.float64)
        floor = 64 if name in _CANCELLING else 4 if name in _FROM_OUTPUT else 0
        wrong = faults(x.grad.numpy(), truth, floor=floor)
        # Where the value is nan or infinite the gradient is a convention.
        wrong &= is_finite & np.isfinite(out.numpy()) & ~np.isnan(truth)
        wrong &= ~np.isin(numbers, KINKS.get(name, ()))
        _report(f"gradient of {label}", wrong, x.grad.numpy(), truth, [numbers])


_BINARY_CASES = _cases(list(BINARY), DTYPES)


@row(
    "extremes: arithmetic on all pairs, values and gradients",
    full=len(_BINARY_CASES),
    short=len(_BINARY_CASES),
    catches="an intermediate quotient or power that overflows although the result does not",
)
def binary(attempt: Attempt) -> None:
    name, dtype = _BINARY_CASES[attempt.index]
    value, *slopes = BINARY[name]
    numbers = grid(dtype)
    pairs = [array.ravel() for array in np.meshgrid(numbers, numbers, indexing="ij")]
    wide = [array.astype(np.float64) for array in pairs]
    label = f"{name}, {np.dtype(dtype)}"
    with np.errstate(all="ignore"):
        inputs = [Tensor(array, requires_grad=True) for array in pairs]
        out = getattr(inputs[0], name)(inputs[1])
        truth = value(*wide)
        floor = np.minimum(np.abs(wide[0]) + np.abs(wide[1]), 1e4) if name == "logaddexp" else 0
        wrong = faults(out.numpy(), truth, 200 if name == "pow" else 64, np.nan_to_num(floor))
        _report(label, wrong, out.numpy(), truth, pairs)
        out.backward(Tensor(np.ones_like(pairs[0])))
        for position, slope in enumerate(slopes):
            grad = inputs[position].grad
            if grad is None:
                continue
            expected = np.asarray(slope(*wide), np.float64)
            wrong = faults(grad.numpy(), expected, 200)
            wrong &= np.isfinite(wide[0]) & np.isfinite(wide[1]) & np.isfinite(out.numpy())
            wrong &= ~np.isnan(expected)
            if name in ("maximum", "minimum"):
                wrong &= pairs[0] != pairs[1]
            if name == "pow" and position:  # a convention for bases <= 0
                wrong &= pairs[0] > 0
            elif name == "pow":  # b - 1 must keep the parity of b for the sign of a negative base
                wrong &= (pairs[0] > 0) | ((pairs[0] < 0) & (np.abs(wide[1]) < 1000))
                wrong &= np.abs(pairs[0]) >= np.finfo(dtype).tiny  # below, a^(b - 1) may overflow
            if name == "copysign":
                wrong &= pairs[0] != 0
            if name in ("mod", "fmod"):  # at a jump, both quotients are right
                quotient = wide[0] / wide[1]
                wrong &= np.abs(quotient - np.round(quotient)) > 1e-6 * np.abs(quotient)
            which = ("first", "second")[position]
            _report(f"gradient of {label}, {which} input", wrong, grad.numpy(), expected, pairs)


# Reductions, norms and losses: functions of a matrix whose rows are reduced.


def _rows(dtype: type[np.floating[Any]]) -> list[list[float]]:
    """Return rows of extreme numbers."""
    limits = np.finfo(dtype)
    top, tiny = float(limits.max), float(limits.tiny)
    least, eps = float(limits.smallest_subnormal), float(limits.eps)
    root = math.sqrt(top)
    return [
        [0.0, 0.0, 0.0],
        [-0.0, 0.0, -0.0],
        [1.0, 1.0 + eps, 1.0],
        [top, top, top],
        [-top, -top, -top],
        [top, -top, top],
        [top, 0.0, 0.0],
        [0.8 * top, 0.8 * top, 1.0],
        [2 * root, 3 * root, root],
        [0.9 * root, -0.9 * root, 1.0],
        [tiny, tiny, tiny],
        [least, least, 0.0],
        [1 / root, 2 / root, 3 / root],
        [0.1 / root, 0.2 / root, -0.3 / root],
        [1.0, tiny, 0.0],
        [1.0, 2 / eps, -2 / eps],
        [1 / eps, 1 / eps + 1, 1 / eps + 2],
        [88.0, 89.0, 12.0],
        [-88.0, -104.0, -200.0],
        [1e4, -1e4, 0.0],
        [math.inf, 1.0, 0.0],
        [-math.inf, 1.0, 0.0],
        [-math.inf, -math.inf, -math.inf],
        [math.inf, -math.inf, 0.0],
        [math.nan, 1.0, 0.0],
    ]


def _softmax(x: Array) -> Array:
    shifted = np.exp(x - x.max(-1, keepdims=True))
    return np.asarray(shifted / shifted.sum(-1, keepdims=True))


def _logsumexp(x: Array) -> Array:
    return np.asarray(np.logaddexp.reduce(x, axis=-1))


def _normed(x: Array, eps: float) -> Array:
    spread = x - x.mean(-1, keepdims=True)
    return np.asarray(spread / np.sqrt((spread**2).mean(-1, keepdims=True) + eps))


def _p_norm(p: float) -> Real:
    return lambda x: (np.abs(x) ** p).sum(-1) ** (1 / p)


def _batch_norm(x: Tensor, eps: float = 1e-5) -> Any:
    """Normalize each row of x as a channel."""
    layer = nn.BatchNorm1d(x.shape[0], eps=eps)
    for one in (*layer.parameters(), *layer.buffers()):
        if one.dtype.kind == "f":
            one.replace_array(one.data.astype(x.dtype))
    return layer(x.T).T


def _layer(kind: type[nn.Module], x: Tensor, *options: Any) -> Any:
    layer = kind(*options)
    for one in layer.parameters():
        one.replace_array(one.data.astype(x.dtype))
    return layer(x)


def _cross_entropy(x: Array, smoothing: float = 0.0) -> Array:
    logs = x - _logsumexp(x)[:, None]
    return np.asarray(-(1 - smoothing) * logs[:, 0] - smoothing * logs.mean(-1))


def _labels(x: Tensor) -> Array:
    return np.zeros(x.shape[0], np.int64)


# Each: the function of the package, and NumPy's in float64.
REDUCTIONS: dict[str, tuple[Callable[[Tensor], Any], Real]] = {
    "sum": (lambda x: x.sum(-1), lambda x: x.sum(-1)),
    "mean": (lambda x: x.mean(-1), lambda x: x.mean(-1)),
    "max": (lambda x: x.max(-1), lambda x: x.max(-1)),
    "min": (lambda x: x.min(-1), lambda x: x.min(-1)),
    "prod": (lambda x: x.prod(-1), lambda x: x.prod(-1)),
    "var": (lambda x: x.var(-1), lambda x: x.var(-1, ddof=1)),
    "std": (lambda x: x.std(-1), lambda x: x.std(-1, ddof=1)),
    "std, correction 0": (lambda x: x.std(-1, correction=0), lambda x: x.std(-1)),
    "norm": (lambda x: x.norm(2, -1), _p_norm(2)),
    "norm, p=1": (lambda x: x.norm(1, -1), _p_norm(1)),
    "norm, p=3": (lambda x: x.norm(3, -1), _p_norm(3)),
    "norm, p=inf": (lambda x: x.norm(math.inf, -1), lambda x: np.abs(x).max(-1)),
    "normalize": (
        lambda x: x.normalize(),
        lambda x: x / np.maximum(_p_norm(2)(x), 1e-12)[:, None],
    ),
    "cumsum": (lambda x: x.cumsum(-1), lambda x: x.cumsum(-1)),
    "cumprod": (lambda x: x.cumprod(-1), lambda x: x.cumprod(-1)),
    "logsumexp": (lambda x: x.logsumexp(-1), _logsumexp),
    "logcumsumexp": (lambda x: x.logcumsumexp(-1), lambda x: np.logaddexp.accumulate(x, axis=-1)),
    "softmax": (lambda x: x.softmax(-1), _softmax),
    "log_softmax": (lambda x: x.log_softmax(-1), lambda x: x - _logsumexp(x)[:, None]),
    "BatchNorm1d": (_batch_norm, lambda x: _normed(x, 1e-5)),
    "LayerNorm": (lambda x: _layer(nn.LayerNorm, x, x.shape[-1]), lambda x: _normed(x, 1e-5)),
    "GroupNorm": (
        lambda x: _layer(nn.GroupNorm, x.reshape(*x.shape, 1), 1, x.shape[1]).reshape(x.shape),
        lambda x: _normed(x, 1e-5),
    ),
    "RMSNorm": (
        lambda x: _layer(nn.RMSNorm, x, x.shape[-1], 1e-5),
        lambda x: x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-5),
    ),
    "cross_entropy": (lambda x: x.cross_entropy(_labels(x), "none"), _cross_entropy),
    "cross_entropy, smoothed": (
        lambda x: x.cross_entropy(_labels(x), "none", 0.1),
        lambda x: _cross_entropy(x, 0.1),
    ),
    "binary_crossentropy_logits, target 1": (
        lambda x: x.binary_crossentropy_logits(np.ones(x.shape, x.dtype), "none"),
        lambda x: _softplus(-x),
    ),
    "binary_crossentropy_logits, target 0": (
        lambda x: x.binary_crossentropy_logits(np.zeros(x.shape, x.dtype), "none"),
        _softplus,
    ),
    "squared error": (lambda x: ((x - 1) ** 2).mean(-1), lambda x: ((x - 1) ** 2).mean(-1)),
}

_CANCEL = {"sum", "mean", "cumsum", "var", "std", "std, correction 0", "squared error"}
# Intermediate values that the dtype cannot represent, by function and row number.
_NOT_REPRESENTABLE = {
    ("cross_entropy, smoothed", 5): "the logarithm of a probability, the difference of the maxima",
    ("std", 11): "the square of a subnormal number",
    ("std, correction 0", 11): "the square of a subnormal number",
    ("norm", 11): "a subnormal norm has few digits, and its gradient divides by it",
    ("norm, p=3", 11): "a subnormal norm has few digits, and its gradient divides by it",
}
_REDUCTION_CASES = [
    case
    for case in _cases(list(REDUCTIONS), DTYPES, range(len(_rows(np.float32))))
    if (case[0], case[2]) not in _NOT_REPRESENTABLE
]


@row(
    "extremes: reductions, scans, norms and losses, values and gradients",
    full=len(_REDUCTION_CASES),
    short=300,
    catches="intermediate squares or sums that overflow or underflow, 0/0 and inf - inf inside a "
    "finite result",
)
def reductions(attempt: Attempt) -> None:
    name, dtype, number = _REDUCTION_CASES[attempt.index]
    function, truth_of = REDUCTIONS[name]
    label = f"{name}, {np.dtype(dtype)}, row {_rows(dtype)[number]}"
    with np.errstate(all="ignore"):
        # A second, harmless row shows whether rows affect each other.
        values = np.array([_rows(dtype)[number], [1.0, 2.0, 4.0]]).astype(dtype)
        x, wide = Tensor(values, requires_grad=True), values.astype(np.float64)
        exact = Tensor(wide, requires_grad=True)
        out, formula = function(x), function(exact)
        assert out.dtype == dtype, f"{label}: the result is {out.dtype}"
        truth = np.asarray(truth_of(wide), np.float64)
        is_finite = np.isfinite(wide).all()
        # The terms may cancel: errors are relative to the largest of them.
        largest = np.abs(wide).max(-1, keepdims=True) if is_finite else np.ones((2, 1))
        scale = np.broadcast_to(largest if truth.ndim == 2 else largest[:, 0], truth.shape)
        power = 2 if name in ("var", "squared error") else 1
        is_scaled = name in _CANCEL or "soft" in name or "entropy" in name
        floor = 16 * scale**power if is_scaled else 0.0
        # How much an error in the mean matters: a lot for rows that are almost constant.
        spread = np.sqrt(wide.var(-1, keepdims=True) + (1e-5 if "Norm" in name else 0))
        condition = np.nan_to_num(
            np.abs(wide).max(-1, keepdims=True) / spread, nan=1.0, posinf=1e30
        )
        if "Norm" in name:
            floor = 64.0 + 2 * condition
        wrong = faults(out.numpy(), truth, 64, floor)
        if not is_finite:  # the limit, or what the formula gives in float64
            wrong &= faults(out.numpy(), formula.numpy(), 64, floor)
        shown = [np.broadcast_to(scale, wrong.shape)]
        _report(f"{label} (by its largest entry)", wrong, out.numpy(), truth, shown)
        if not is_finite or not np.isfinite(out.numpy()).all():
            return
        upstream = np.array([[1.0, 0.5, 0.25]] * 2) if out.ndim == 2 else np.ones(2)
        out.backward(Tensor(upstream.astype(dtype)))
        formula.backward(Tensor(upstream))
        assert x.grad is not None
        assert exact.grad is not None
        expected = exact.grad.numpy()
        # Gradients of normalizations are differences of terms of this size.
        most = math.inf if name == "var" else 1e4
        largest = min(float(np.nanmax(np.abs(expected), initial=0.0)), most) + 1
        floor = (500 + (condition if "Norm" in name or "std" in name else 0)) * largest
        wrong = faults(x.grad.numpy(), expected, 500, floor)
        wrong &= ~np.isnan(expected)
        _report(f"gradient of {label}", wrong, x.grad.numpy(), expected, [values])


# Many terms.

_COUNT = 70_000

MANY: dict[str, tuple[Callable[[Tensor], Any], Callable[[int], float], Callable[[int], float]]] = {
    "mean": (lambda x: x.mean(), lambda n: 1.0, lambda n: 1 / n),
    "mean of rows": (lambda x: x.reshape(-1, 2).mean(0).mean(), lambda n: 1.0, lambda n: 1 / n),
    "norm": (lambda x: x.norm(), lambda n: n**0.5, lambda n: n**-0.5),
    "logsumexp": (
        lambda x: x.logsumexp(),
        lambda n: 1 + math.log(n),
        lambda n: 1 / n,
    ),
    "softmax": (lambda x: x.softmax(-1).max(), lambda n: 1 / n, lambda n: math.nan),
    "var": (lambda x: x.var() + 1, lambda n: 1.0, lambda n: 0.0),
    "std": (lambda x: (x * 1.0).std() + 1, lambda n: 1.0, lambda n: math.nan),
    "LayerNorm": (
        lambda x: _layer(nn.LayerNorm, x, x.shape[-1]).mean() + 1,
        lambda n: 1.0,
        lambda n: 0.0,
    ),
    "BatchNorm1d": (
        lambda x: _batch_norm(x.reshape(1, -1)).mean() + 1,
        lambda n: 1.0,
        lambda n: 0.0,
    ),
    "avg_pool2d": (
        lambda x: x.reshape(1, 1, 280, 250).adaptive_avg_pool2d(1).sum(),
        lambda n: 1.0,
        lambda n: 1 / n,
    ),
    "cross_entropy": (
        lambda x: x.reshape(-1, 2).cross_entropy(np.zeros(_COUNT // 2, np.int64)),
        lambda n: math.log(2),
        lambda n: math.nan,
    ),
    "squared error": (lambda x: ((x - 2) ** 2).mean(), lambda n: 1.0, lambda n: -2 / n),
    "matmul": (
        lambda x: (x.reshape(1, -1) @ (x.detach().reshape(-1, 1) / 256)).sum(),
        lambda n: n / 256,
        lambda n: 1 / 256,
    ),
}
_MANY_CASES = _cases(list(MANY), DTYPES)


@row(
    f"extremes: {_COUNT} terms in float16 and float32",
    full=len(_MANY_CASES),
    short=len(_MANY_CASES),
    catches="a count above 65504 that becomes inf, running sums in float16",
)
def many_terms(attempt: Attempt) -> None:
    name, dtype = _MANY_CASES[attempt.index]
    function, value, slope = MANY[name]
    label = f"{name}, {np.dtype(dtype)}"
    with np.errstate(all="ignore"):
        x = Tensor(np.ones(_COUNT, dtype), requires_grad=True)
        out = function(x)
        out.sum().backward()
        got, truth = np.atleast_1d(out.numpy()), np.array([value(_COUNT)])
        _report(label, faults(got, truth, 64), got, truth, [np.ones(1)])
        assert x.grad is not None
        grad, truth = x.grad.numpy(), np.full(_COUNT, slope(_COUNT))
        if not math.isnan(truth[0]):
            # 1 / sqrt(eps) = 316 is the slope of a norm of constant data.
            wrong = faults(grad, truth, 64, 64 * 316 / _COUNT)
            _report(f"gradient of {label}", wrong, grad, truth, [np.ones(1)])
        assert np.isfinite(grad).all() or name == "std", f"gradient of {label} is not finite"


# Long sums.


def _grad(function: Callable[[Tensor], Any], x: Array) -> Array:
    leaf = Tensor(x, requires_grad=True)
    function(leaf).backward()
    assert leaf.grad is not None
    return np.asarray(leaf.grad.numpy())


def _bias_gradient(x: Array) -> Array:
    """Return the gradient of a bias that is added to all rows: the sums of the upstream's rows."""
    return _grad(lambda bias: ((bias + np.zeros_like(x)) * x).sum(), np.zeros(x.shape[1], x.dtype))


def _linear_bias(x: Array) -> Array:
    layer = nn.Linear(3, x.shape[1])
    (layer(Tensor(np.zeros((len(x), 3), x.dtype))) * x).sum().backward()
    assert layer.bias is not None
    assert layer.bias.grad is not None
    return np.asarray(layer.bias.grad.numpy())


def _conv_bias(x: Array) -> Array:
    layer = nn.Conv2d(1, x.shape[1], 1)
    (layer(Tensor(np.zeros((len(x), 1, 1, 1), x.dtype))) * x[:, :, None, None]).sum().backward()
    assert layer.bias is not None
    assert layer.bias.grad is not None
    return np.asarray(layer.bias.grad.numpy())


def _picked(x: Array) -> Array:
    """Return the gradient of one row that is picked many times."""
    places = np.zeros(len(x), np.int64)
    return _grad(lambda row: (row[places] * x).sum(), np.zeros((1, x.shape[1]), x.dtype))[0]


def _embedded(x: Array) -> Array:
    layer = nn.Embedding(1, x.shape[1])
    (layer(np.zeros(len(x), np.int64)) * x).sum().backward()
    assert layer.weight.grad is not None
    return np.asarray(layer.weight.grad.numpy()[0])


def _running_mean(x: Array) -> Array:
    layer = nn.BatchNorm1d(x.shape[1], momentum=1.0)
    layer(Tensor(x))
    return np.asarray(layer.running_mean.numpy())


# Each returns the sum of every column of a matrix.
COLUMN_SUMS: dict[str, Callable[[Array], Array]] = {
    "sum(0)": lambda x: Tensor(x).sum(0).numpy(),
    "sum(1) of the transpose": lambda x: Tensor(x).T.sum(1).numpy(),
    "sum of the middle axis": lambda x: Tensor(x[None]).sum(1).numpy()[0],
    "sum of two axes": lambda x: Tensor(x.reshape(-1, 10, x.shape[1])).sum((0, 1)).numpy(),
    "mean(0)": lambda x: Tensor(x).mean(0).numpy() * len(x),
    "mean of BatchNorm1d": lambda x: _running_mean(x) * len(x),
    "cumsum(0)": lambda x: Tensor(x).cumsum(0).numpy()[-1],
    "einsum": lambda x: Tensor.einsum("ij->j", Tensor(x)).numpy(),
    "gradient of a broadcast": _bias_gradient,
    "gradient of expand": lambda x: _grad(
        lambda row: (row.expand(len(x), -1) * x).sum(), np.zeros((1, x.shape[1]), x.dtype)
    )[0],
    "bias of Linear": _linear_bias,
    "bias of Conv2d": _conv_bias,
    "gradient of x[index]": _picked,
    "gradient of Embedding": _embedded,
    "avg_pool2d": lambda x: (
        Tensor(x.T[None, :, :, None].copy()).adaptive_avg_pool2d(1).numpy().ravel() * len(x)
    ),
}


_SUM_CASES = _cases(list(COLUMN_SUMS), (1, 2, 3, 16), ("constant", "random"))


@row(
    "extremes: float32 sums of 60 000 rows, in every op that sums",
    full=len(_SUM_CASES),
    short=16,
    catches="running sums in float32: an error that grows with the number of rows",
)
def long_sums(attempt: Attempt) -> None:
    name, columns, kind = _SUM_CASES[attempt.index]
    x = np.full((60_000, columns), 0.1, np.float32)
    if kind == "random":
        x *= attempt.rng.uniform(0.5, 2, x.shape).astype(np.float32)
    got = np.asarray(COLUMN_SUMS[name](x), np.float64)
    truth = x.sum(0, dtype=np.float64)
    error = float(np.abs(got / truth - 1).max())
    assert error < 2e-6, f"{name}, {columns} columns, {kind}: relative error {error:.1e}"


_OFFSETS = (0.0, 1.0, 1e2, 1e4, 1e6)
STATISTICS: dict[str, tuple[Callable[[Tensor], Any], Real]] = {
    "var(0)": (lambda x: x.T.var(0), lambda x: x.var(-1, ddof=1)),
    "var(1)": (lambda x: x.var(1), lambda x: x.var(-1, ddof=1)),
    "std(0)": (lambda x: x.T.std(0), lambda x: x.std(-1, ddof=1)),
    "BatchNorm1d": (_batch_norm, lambda x: _normed(x, 1e-5)),
    "LayerNorm": (lambda x: _layer(nn.LayerNorm, x, x.shape[-1]), lambda x: _normed(x, 1e-5)),
    "GroupNorm": (
        lambda x: _layer(nn.GroupNorm, x.reshape(*x.shape, 1), 1, x.shape[1]).reshape(x.shape),
        lambda x: _normed(x, 1e-5),
    ),
    "InstanceNorm2d": (
        lambda x: nn.InstanceNorm2d(x.shape[0])(x.reshape(1, x.shape[0], 64, -1)).reshape(x.shape),
        lambda x: _normed(x, 1e-5),
    ),
}
_STATISTIC_CASES = _cases(list(STATISTICS), _OFFSETS, ("random", "constant"))


@row(
    "extremes: variance and norms of data with an offset up to 1e6",
    full=len(_STATISTIC_CASES),
    short=len(_STATISTIC_CASES),
    catches="an error in the mean amplified by the square of the offset, a nonzero variance of "
    "constant data",
)
def offsets(attempt: Attempt) -> None:
    name, offset, kind = _STATISTIC_CASES[attempt.index]
    function, truth_of = STATISTICS[name]
    spread = attempt.rng.standard_normal((3, 4096)) if kind == "random" else 0.1
    x = np.full((3, 4096), offset + spread, np.float32)
    with np.errstate(all="ignore"):
        got = np.asarray(function(Tensor(x)).numpy(), np.float64)
    truth = truth_of(x.astype(np.float64))  # of the rounded data
    error = float(np.abs(got - truth).max())
    # The mean can be off by the offset divided by the spread, times the precision.
    allowed = 1e-5 + (offset * 1.2e-7 if kind == "random" else 0)
    assert error <= allowed, f"{name}, {kind}, offset {offset:g}: error {error:.1e}"


OPTIMIZERS: dict[str, Callable[[list[Tensor]], optim.Optimizer]] = {
    "SGD": lambda p: optim.SGD(p, lr=0.01, momentum=0.9),
    "Adam": lambda p: optim.Adam(p, lr=0.01),
    "AdamW": lambda p: optim.AdamW(p, lr=0.01),
    "NAdam": lambda p: optim.NAdam(p, lr=0.01),
    "RMSprop": lambda p: optim.RMSprop(p, lr=0.01),
    "Adagrad": lambda p: optim.Adagrad(p, lr=0.01),
    "Adadelta": lambda p: optim.Adadelta(p, lr=0.01),
    "LAMB": lambda p: optim.LAMB(p, lr=0.01),
}
_GRADIENTS = (0.0, 1e-7, 1e-4, 1.0, 300.0, 1e4)
_OPTIMIZER_CASES = _cases(list(OPTIMIZERS), DTYPES, _GRADIENTS)


@row(
    "extremes: optimizers with tiny and large gradients",
    full=len(_OPTIMIZER_CASES),
    short=len(_OPTIMIZER_CASES),
    catches="an epsilon that is 0 in float16, squares of gradients that overflow",
)
def optimizers(attempt: Attempt) -> None:
    name, dtype, size = _OPTIMIZER_CASES[attempt.index]
    label = f"{name}, {np.dtype(dtype)}, gradient {size:g}"
    weight = Tensor(np.array([1.0, -0.5], dtype), requires_grad=True)
    with np.errstate(all="ignore"):
        try:
            optimizer = OPTIMIZERS[name]([weight])
            for _ in range(5):
                weight.grad = Tensor(np.array([size, -size], dtype))
                optimizer.step()
        except TinygradNpError:
            return
    assert np.isfinite(weight.data).all(), f"{label}: the weights became {weight.data}"
    moved = weight.data.astype(np.float64) - [1.0, -0.5]
    assert size == 0 or (moved * [1, -1] <= 0).all(), f"{label}: moved by {moved}, uphill"
