"""Softmax, its logarithm, and the losses made of it."""

import math
from typing import Any

import numpy as np

from tinygrad_np.autograd.op import V, cast, known_dtype, op
from tinygrad_np.autograd.tape import Variable
from tinygrad_np.errors import ArgumentError, DtypeError, ShapeError
from tinygrad_np.kernels import losses as kernels
from tinygrad_np.ops.activations import softplus
from tinygrad_np.ops.elementwise import _div, add, clip, eq, mul, neg, select, where
from tinygrad_np.ops.functions import exp, log
from tinygrad_np.ops.indexing import gather, getitem
from tinygrad_np.ops.reduce import mean, sum
from tinygrad_np.ops.shape import permute, reshape
from tinygrad_np.runtime.memory import Array

_REDUCTIONS = ("mean", "sum", "none")


@op(
    "e^x / Σ e^x",
    vjps={
        "x": lambda grad_out, out, axis: (
            out * (grad_out - sum(grad_out * out, axis=axis, keepdim=True))
        )
    },
    floating=True,
    flops=5,
)
def _softmax(x: Array, *, axis: int) -> Array:
    """Probabilities from logits along `axis`."""
    return kernels.softmax(x, axis)


@op(
    "x - log Σ e^x",
    vjps={
        "x": lambda grad_out, out, axis: (
            grad_out - exp(out) * sum(grad_out, axis=axis, keepdim=True)
        )
    },
    floating=True,
    flops=5,
)
def _log_softmax(x: Array, *, axis: int) -> Array:
    """Logarithm of the softmax along `axis`."""
    return kernels.log_softmax(x, axis)


def _cast(name: str, x: V, dtype: Any) -> V:
    return x if dtype is None else cast(x, dtype=known_dtype(name, dtype))


def softmax(x: V, axis: int = -1, dtype: Any = None) -> V:
    """Return e^x / Σ e^x along `axis`, without overflow; `dtype` converts before.

    >>> from tinygrad_np import Tensor
    >>> Tensor([0.0, 1000.0]).softmax()
    Tensor([0., 1.])
    """
    return _softmax(_cast("softmax", x, dtype), axis=axis)


def softmin(x: V, axis: int = -1, dtype: Any = None) -> V:
    """Return the softmax of -x along `axis`; `dtype` converts before.

    >>> from tinygrad_np import Tensor
    >>> Tensor([0.0, 1000.0]).softmin()
    Tensor([1., 0.])
    """
    return _softmax(neg(_cast("softmin", x, dtype)), axis=axis)


def log_softmax(x: V, axis: int = -1, dtype: Any = None) -> V:
    """Return the logarithm of the softmax along `axis`, without under- or overflow; `dtype`
    converts before.

    >>> from tinygrad_np import Tensor
    >>> Tensor([0.0, 1000.0]).log_softmax()
    Tensor([-1000.,     0.])
    """
    return _log_softmax(_cast("log_softmax", x, dtype), axis=axis)


@op("1 at the index, else 0", flops=1)
def _one_hot(index: Array, *, num_classes: int) -> Array:
    """Turn class indices (*, ) into int64 rows (*, num_classes)."""
    if index.dtype.kind not in "iu":
        raise DtypeError(f"one_hot: got dtype {index.dtype}, expected integers; use .int()")
    check_classes("one_hot", index, num_classes)
    return np.equal(index[..., None], np.arange(num_classes)).astype(np.int64)


def one_hot(x: V, num_classes: int) -> V:
    """Return for each class index an int64 row of `num_classes` with a 1 at it.

    Raises ArgumentError that names an index out of range, DtypeError unless x is of integers.

    >>> from tinygrad_np import Tensor
    >>> Tensor([2, 0]).one_hot(3)
    Tensor([[0, 0, 1],
            [1, 0, 0]])
    """
    return _one_hot(x, num_classes=num_classes)


def check_classes(name: str, target: Array, num_classes: int, advice: str = "") -> None:
    """Refuse a class index outside 0 to num_classes - 1, and say which and where."""
    outside = (target < 0) | (target >= num_classes)
    if outside.any():
        at = tuple(int(i) for i in np.argwhere(outside)[0])
        raise ArgumentError(
            f"{name}: label {target[at]} at position {at[0] if len(at) == 1 else at} is outside "
            f"0..{num_classes - 1}: there are {num_classes} classes{advice}"
        )


def _definition(
    logits: Any, target: Array, *, reduction: str = "mean", label_smoothing: float = 0.0
) -> Any:
    """The fused op below, in other ops: -Σ q log p with q the smoothed one-hot target."""
    classes = logits.shape[1]
    hot = cast(_one_hot(target, num_classes=classes), dtype=logits.dtype)
    q = hot * (1 - label_smoothing) + label_smoothing / classes
    return _reduce(neg(sum(q * _log_softmax(logits, axis=1), axis=1)), reduction)


@op(
    "-log softmax(logits)[target]",
    vjps={
        "logits": lambda grad_out, log_probabilities, target, reduction, label_smoothing: (
            kernels.cross_entropy_grad(
                grad_out, log_probabilities, target, reduction, label_smoothing
            )
        )
    },
    caches=("log_probabilities",),
    definition=_definition,
    flops=lambda logits, target: 5 * logits.size + 2 * target.size,
)
def _cross_entropy(
    logits: Array, target: Array, *, reduction: str = "mean", label_smoothing: float = 0.0
) -> tuple[Array, Array]:
    """Cross-entropy of logits (M, C) against class indices (M,)."""
    check_classes("cross_entropy", target, logits.shape[1])
    log_probabilities = kernels.log_softmax(logits, 1)
    loss = kernels.cross_entropy(log_probabilities, target, reduction, label_smoothing)
    return np.asarray(loss), log_probabilities


def _reduce(losses: Any, reduction: str) -> Any:
    if reduction == "none":
        return losses
    return mean(losses) if reduction == "mean" else sum(losses)


def _checked_options(name: str, reduction: str, label_smoothing: float = 0.0) -> None:
    if reduction not in _REDUCTIONS:
        raise ArgumentError(
            f"{name} reduction: got {reduction!r}, expected one of {', '.join(_REDUCTIONS)}"
        )
    if not 0 <= label_smoothing <= 1:
        raise ArgumentError(f"{name} label_smoothing: got {label_smoothing}, expected 0..1")


def _given(target: Any) -> Any:
    """Return a target as an array or Variable; lists are welcome, their floats float32."""
    if isinstance(target, Variable | np.ndarray):
        return target
    array = np.asarray(target)
    return array.astype(np.float32) if array.dtype == np.float64 else array


def _class_indices(name: str, x: Any, target: Any, axis: int) -> Array:
    """Return the target as int64 class indices, of x's shape without its class axis."""
    target = _given(target)
    expected = x.shape[:axis] + x.shape[axis + 1 :]
    if target.dtype.kind not in "iu" or target.shape != expected:
        raise (ShapeError if target.dtype.kind in "iu" else DtypeError)(
            f"{name}: got input {x.shape} and a target of shape {target.shape}, dtype "
            f"{target.dtype}; expected class indices, integers of shape {expected}"
        )
    indices = target.data if isinstance(target, Variable) else target
    return indices.astype(np.int64)


def cross_entropy(x: V, Y: Any, reduction: str = "mean", label_smoothing: float = 0.0) -> V:
    """Return the cross-entropy of logits (N, C, ...), or (C,), against what the classes should be.

    Y: class indices, integers of the logits' shape without the class axis; or probabilities
    (one-hot among them), floats of the logits' shape. `reduction` is mean, sum or none. Raises
    ArgumentError that names a label out of range, ShapeError, DtypeError.

    >>> from tinygrad_np import Tensor
    >>> Tensor([[0.0, 0.0], [0.0, 0.0]]).cross_entropy([1, 0])
    Tensor(0.6931)
    """
    _checked_options("cross_entropy", reduction, label_smoothing)
    target = _given(Y)
    shape = x.shape
    if not shape:
        raise ShapeError("cross_entropy: got logits without an axis, expected (N, C, ...) or (C,)")
    axis = min(1, len(shape) - 1)
    others = shape[:axis] + shape[axis + 1 :]
    is_integer = target.dtype.kind in "iu"
    if target.shape != (others if is_integer else shape):
        raise (ShapeError if is_integer or target.shape != others else DtypeError)(
            f"cross_entropy: got logits {shape} and a target of shape {target.shape}, dtype "
            f"{target.dtype}; expected class indices, integers of shape {others} (cast floats "
            f"with .int()), or probabilities, floats of shape {shape}"
        )
    if not is_integer:
        q = target * (1 - label_smoothing) + label_smoothing / shape[axis]
        losses = neg(sum(mul(_log_softmax(x, axis=axis), q), axis=axis))
        # As in PyTorch the mean is over the places, also where there are several a sample.
        reduced: V = _reduce(losses, reduction)
        return reduced
    rows: Any = x
    if len(shape) > 2:
        rows = permute(rows, (0, *range(2, len(shape)), 1))
    if len(shape) != 2:
        rows = reshape(rows, (-1, shape[axis]))
        target = reshape(target, (-1,))
    loss: V = _cross_entropy(rows, target, reduction=reduction, label_smoothing=label_smoothing)
    return reshape(loss, others) if reduction == "none" and len(shape) != 2 else loss


def nll_loss(
    x: V,
    Y: Any,
    weight: Any = None,
    ignore_index: int | None = None,
    reduction: str = "mean",
) -> V:
    """Return -weight[Y] x[Y] for log-probabilities x (N, C, ...), or (C,), and class indices Y.

    Entries whose class is `ignore_index` count as nothing; the mean divides by the weights that
    are left. Raises ArgumentError that names a label out of range, ShapeError, DtypeError.

    >>> from tinygrad_np import Tensor
    >>> Tensor([[-1.0, -2.0], [-3.0, -4.0]]).nll_loss([1, 0], reduction="none")
    Tensor([2., 3.])
    """
    _checked_options("nll_loss", reduction)
    if not x.shape:
        raise ShapeError("nll_loss: got an input without an axis, expected (N, C, ...) or (C,)")
    axis = min(1, len(x.shape) - 1)
    target = _class_indices("nll_loss", x, Y, axis)
    is_kept = np.ones(target.shape, bool) if ignore_index is None else target != ignore_index
    target = np.where(is_kept, target, 0)
    classes = x.shape[axis]
    check_classes("nll_loss", target, classes, "; pass over a class by ignore_index=")
    if weight is None:
        weights: Any = is_kept.astype(x.dtype)
    else:
        if _given(weight).shape != (classes,):
            raise ShapeError(
                f"nll_loss weight: got shape {_given(weight).shape}, expected ({classes},), one "
                "for each class"
            )
        weights = select(getitem(_given(weight), target), is_kept)
    picked = reshape(gather(x, axis, np.expand_dims(target, axis)), target.shape)
    losses = neg(mul(select(picked, is_kept), weights))
    if reduction == "mean":
        total = sum(weights)
        return _div(sum(losses), where(eq(total, 0), math.nan, total))
    reduced: V = _reduce(losses, reduction)
    return reduced


def sparse_categorical_crossentropy(
    x: V,
    Y: Any,
    ignore_index: int = -1,
    label_smoothing: float = 0.0,
    reduction: str = "mean",
) -> V:
    """Return the cross-entropy of logits whose *last* axis is the classes against class indices.

    Y: integers of shape x.shape[:-1]. Entries whose class is `ignore_index`, unless that is -1,
    count as nothing, and the mean is over the others. Raises ArgumentError that names a label out
    of range, ShapeError, DtypeError.

    >>> from tinygrad_np import Tensor
    >>> Tensor([[0.0, 0.0], [0.0, 100.0]]).sparse_categorical_crossentropy([1, 1])
    Tensor(0.3466)
    """
    name = "sparse_categorical_crossentropy"
    _checked_options(name, reduction, label_smoothing)
    if not x.shape:
        raise ShapeError(f"{name}: got logits without an axis, expected (..., C)")
    target = _class_indices(name, x, Y, len(x.shape) - 1).reshape(-1)
    is_kept = np.ones(len(target), bool) if ignore_index == -1 else target != ignore_index
    rows = reshape(x, (-1, x.shape[-1]))
    losses = _cross_entropy(
        rows, np.where(is_kept, target, 0), reduction="none", label_smoothing=label_smoothing
    )
    losses = select(losses, is_kept)
    if reduction == "none":
        return reshape(losses, x.shape[:-1])
    total = sum(losses)
    return total if reduction == "sum" else _div(total, float(is_kept.sum()) or math.nan)


def _same_shape(name: str, x: Any, target: Any) -> Any:
    target = _given(target)
    if target.shape != x.shape:
        raise ShapeError(
            f"{name}: got input {x.shape} and a target of shape {target.shape}, expected one shape"
        )
    return target


@op(
    "-target log x - (1 - target) log(1 - x)",
    vjps={
        "x": lambda grad_out, x, target: grad_out * ((x - target) / clip(x * (1 - x), 1e-12)),
        "target": lambda grad_out, x: grad_out * (_bounded_log(1 - x) - _bounded_log(x)),
    },
    domain=(0.1, 0.9),
    flops=8,
)
def _binary_crossentropy(x: Array, target: Array) -> Array:
    """Cross-entropy of probabilities x, with logarithms of at least -100."""
    with np.errstate(divide="ignore"):
        return np.asarray(
            -target * np.maximum(np.log(x), -100) - (1 - target) * np.maximum(np.log1p(-x), -100)
        )


def _bounded_log(x: Any) -> Any:
    return log(clip(x, 1e-43 if x.dtype == np.float64 else 1e-38))


def binary_crossentropy(x: V, Y: Any, reduction: str = "mean") -> V:
    """Return -Y log x - (1 - Y) log(1 - x) for probabilities x and targets Y of its shape.

    Logarithms are at least -100, as in PyTorch. Raises ShapeError, ArgumentError for a probability
    outside 0..1.

    >>> from tinygrad_np import Tensor
    >>> Tensor([0.5, 1.0]).binary_crossentropy(Tensor([1.0, 1.0]), reduction="none").tolist()
    [0.6931, 0.0]
    """
    _checked_options("binary_crossentropy", reduction)
    target = _same_shape("binary_crossentropy", x, Y)
    values = x.data if isinstance(x, Variable) else x
    if ((values < 0) | (values > 1)).any():
        raise ArgumentError(
            "binary_crossentropy: got a probability outside 0..1; for logits use "
            "binary_crossentropy_logits"
        )
    loss: V = _reduce(_binary_crossentropy(x, target), reduction)
    return loss


def binary_crossentropy_logits(x: V, Y: Any, reduction: str = "mean", pos_weight: Any = None) -> V:
    """Return the binary cross-entropy of sigmoid(x) against targets Y of x's shape, without
    overflow; `pos_weight` weighs the positive ones.

    Raises ShapeError, ArgumentError.

    >>> from tinygrad_np import Tensor
    >>> x = Tensor([0.0, 1000.0])
    >>> x.binary_crossentropy_logits(Tensor([1.0, 1.0]), reduction="none").tolist()
    [0.6931, 0.0]
    """
    _checked_options("binary_crossentropy_logits", reduction)
    target = _same_shape("binary_crossentropy_logits", x, Y)
    negative = softplus(neg(x))
    if pos_weight is not None:
        if not isinstance(pos_weight, int | float):
            pos_weight = _given(pos_weight)
        negative = mul(negative, (pos_weight - 1) * target + 1)
    loss: V = _reduce(add(negative, mul(x, 1 - target)), reduction)
    return loss
