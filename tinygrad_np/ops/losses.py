"""Softmax, its logarithm, and the losses made of it."""

from typing import Any

import numpy as np

from tinygrad_np.errors import ArgumentError, DtypeError, ShapeError
from tinygrad_np.kernels import losses as kernels
from tinygrad_np.memory import Array
from tinygrad_np.ops.elementwise import exp, neg
from tinygrad_np.ops.reduce import mean, sum
from tinygrad_np.ops.shape import permute, reshape
from tinygrad_np.record import cast, op

_REDUCTIONS = ("mean", "sum", "none")


@op(
    "e^x / Σ e^x",
    vjps={
        "x": lambda grad_out, out, axis: (
            out * (grad_out - sum(grad_out * out, axis=axis, keepdim=True))
        )
    },
    floating=True,
)
def softmax(x: Array, *, axis: int = -1) -> Array:
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
)
def log_softmax(x: Array, *, axis: int = -1) -> Array:
    """Logarithm of the softmax along `axis`, without under- or overflow."""
    return kernels.log_softmax(x, axis)


@op("1 at the index, else 0")
def one_hot(index: Array, *, num_classes: int) -> Array:
    """Turn class indices (*, ) into int64 rows (*, num_classes)."""
    if index.dtype.kind not in "iu":
        raise DtypeError(f"one_hot: got dtype {index.dtype}, expected integers; use .int()")
    check_classes("one_hot", index, num_classes)
    return np.equal(index[..., None], np.arange(num_classes)).astype(np.int64)


def check_classes(name: str, target: Array, num_classes: int) -> None:
    """Refuse a class index outside 0 to num_classes - 1, and say which and where."""
    outside = (target < 0) | (target >= num_classes)
    if outside.any():
        at = tuple(int(i) for i in np.argwhere(outside)[0])
        raise ArgumentError(
            f"{name}: label {target[at]} at position {at[0] if len(at) == 1 else at} is outside "
            f"0..{num_classes - 1}; the logits have {num_classes} classes"
        )


def _definition(
    logits: Any, target: Array, *, reduction: str = "mean", label_smoothing: float = 0.0
) -> Any:
    """The fused op below, in other ops: -Σ q log p with q the smoothed one-hot target."""
    classes = logits.shape[1]
    hot = cast(one_hot(target, num_classes=classes), dtype=logits.dtype)
    q = hot * (1 - label_smoothing) + label_smoothing / classes
    return _reduce(neg(sum(q * log_softmax(logits, axis=1), axis=1)), reduction)


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


def cross_entropy(
    logits: Any, target: Any, reduction: str = "mean", label_smoothing: float = 0.0
) -> Any:
    """Cross-entropy of logits (N, C, ...), or (C,), against what the classes should be.

    target: class indices, integers of the logits' shape without the class axis; or probabilities
    (one-hot among them), floats of the logits' shape.
    """
    if reduction not in _REDUCTIONS:
        raise ArgumentError(
            f"cross_entropy reduction: got {reduction!r}, expected one of {', '.join(_REDUCTIONS)}"
        )
    if not 0 <= label_smoothing <= 1:
        raise ArgumentError(f"cross_entropy label_smoothing: got {label_smoothing}, expected 0..1")
    shape = logits.shape
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
        losses = neg(sum(q * log_softmax(logits, axis=axis), axis=axis))
        return _reduce(losses, reduction)
    rows = logits
    if len(shape) > 2:
        rows = permute(rows, order=(0, *range(2, len(shape)), 1))
    if len(shape) != 2:
        rows = reshape(rows, shape=(-1, shape[axis]))
        target = reshape(target, shape=(-1,))
    loss = _cross_entropy(rows, target, reduction=reduction, label_smoothing=label_smoothing)
    return reshape(loss, shape=others) if reduction == "none" and len(shape) != 2 else loss
