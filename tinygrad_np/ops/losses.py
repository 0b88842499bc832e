"""Cross-entropy losses for class indices, class probabilities and binary targets."""

import math

import numpy as np
from numpy.typing import ArrayLike

from tinygrad_np.autograd.dispatch import V, op
from tinygrad_np.autograd.op import Samples
from tinygrad_np.autograd.primitives import cast
from tinygrad_np.autograd.tape import Variable
from tinygrad_np.checks import check_unmasked
from tinygrad_np.errors import ArgumentError, DtypeError, ShapeError
from tinygrad_np.kernels import losses as kernels
from tinygrad_np.ops.activations import log_softmax, softplus
from tinygrad_np.ops.elementwise import add, clip, div, eq, keep_where, mul, neg, where
from tinygrad_np.ops.indexing import gather, getitem
from tinygrad_np.ops.reduce import mean, sum
from tinygrad_np.ops.shape import permute, reshape
from tinygrad_np.ops.windows import shape_of
from tinygrad_np.runtime.memory import Array
from tinygrad_np.typing import Value

_REDUCTIONS = ("mean", "sum", "none")


def _reduce(losses: V, reduction: str) -> V:
    if reduction == "none":
        return losses
    return mean(losses) if reduction == "mean" else sum(losses)


def _mean_by(losses: V, weights: Value) -> V:
    """Return the sum of the losses divided by that of the weights, or nan if the latter is 0."""
    wide = np.promote_types(losses.dtype, np.float32)  # the two sums would lose digits in float16
    count = sum(weights, dtype=wide)
    mean_loss = div(sum(losses, dtype=wide), where(eq(count, 0), math.nan, count))
    return mean_loss if losses.dtype == wide else cast(mean_loss, dtype=losses.dtype)


def _check_call(name: str, x: object, reduction: str, label_smoothing: float = 0.0) -> None:
    """Raise unless `x` is a Tensor or an ndarray and the options are valid."""
    shape_of(name, x)
    if reduction not in _REDUCTIONS:
        raise ArgumentError(
            f"{name}: expected `reduction` to be one of {', '.join(_REDUCTIONS)}, got "
            f"{reduction!r}."
        )
    if not 0 <= label_smoothing <= 1:
        raise ArgumentError(
            f"{name}: expected `label_smoothing` to be a number from 0 to 1, got {label_smoothing}."
        )


def _as_target(target: Value | ArrayLike) -> Value:
    """Return a target as an array or Variable; lists of floats become float32."""
    if isinstance(target, Variable | np.ndarray):
        return target
    array = np.asarray(target)
    return array.astype(np.float32) if array.dtype == np.float64 else array


# Class indices.


def check_classes(name: str, target: Array, num_classes: int, advice: str = "") -> None:
    """Raise ArgumentError for a class index outside 0 to num_classes - 1, naming its position."""
    outside = (target < 0) | (target >= num_classes)
    if outside.any():
        at = tuple(int(i) for i in np.argwhere(outside)[0])
        raise ArgumentError(
            f"{name}: expected labels from 0 to {num_classes - 1}, got {target[at]} at position "
            f"{at[0] if len(at) == 1 else at}.{advice}"
        )


@op("1 at the class index, 0 elsewhere", flops=1)
def one_hot(x: Array, *, num_classes: int) -> Array:
    """Convert class indices (...) to int64 rows (..., num_classes) with a 1 at the index.

    Raises:
        ArgumentError: if a class index is not from 0 to num_classes - 1.
        DtypeError: if x does not contain integers.

    >>> Tensor([2, 0]).one_hot(3)
    Tensor([[0, 0, 1],
            [1, 0, 0]])
    """
    if x.dtype.kind not in "iu":
        raise DtypeError(f"one_hot: expected integers, got dtype {x.dtype}. Try .int().")
    check_classes("one_hot", x, num_classes)
    return np.equal(x[..., None], np.arange(num_classes)).astype(np.int64)


def _define_cross_entropy(
    logits: Value, target: Array, *, reduction: str, label_smoothing: float
) -> Value:
    """Compute -Σ q log p, where q is the smoothed one-hot target."""
    classes = logits.shape[1]
    hot = cast(one_hot(target, classes), logits.dtype)
    q = hot * (1 - label_smoothing) + label_smoothing / classes
    return _reduce(neg(sum(q * log_softmax(logits, 1), axis=1)), reduction)


@op(
    "-log softmax(logits)[target]",
    definition=_define_cross_entropy,
    differentiable=("logits",),
    backward=lambda grad_out, log_probabilities, target, reduction, label_smoothing: [
        kernels.cross_entropy_grad(grad_out, log_probabilities, target, reduction, label_smoothing),
        None,
    ],
    caches=("log_probabilities",),
    flops=lambda logits, target: 5 * logits.size + 2 * target.size,
)
def cross_entropy_rows(
    logits: Array, target: Array, *, reduction: str = "mean", label_smoothing: float = 0.0
) -> tuple[Array, Array]:
    """Compute the cross-entropy of logits (M, C) against class indices (M,).

    Raises:
        ArgumentError: if a class index is not from 0 to C - 1.
    """
    check_classes("cross_entropy", target, logits.shape[1])
    log_probabilities = kernels.log_softmax(logits, 1)
    loss = kernels.cross_entropy(log_probabilities, target, reduction, label_smoothing)
    return np.asarray(loss), log_probabilities


def _class_indices(name: str, x: Value, target: Value | ArrayLike, axis: int) -> Array:
    """Return the target as int64 class indices of x's shape without the class axis."""
    check_unmasked(name, target)
    target = _as_target(target)
    expected = x.shape[:axis] + x.shape[axis + 1 :]
    if target.dtype.kind not in "iu" or target.shape != expected:
        raise (ShapeError if target.dtype.kind in "iu" else DtypeError)(
            f"{name}: expected integer class indices of shape {expected} for input {x.shape}, got "
            f"target of shape {target.shape}, dtype {target.dtype}."
        )
    indices = target.data if isinstance(target, Variable) else np.asarray(target)
    return indices.astype(np.int64)


def cross_entropy(
    x: V, Y: Value | ArrayLike, reduction: str = "mean", label_smoothing: float = 0.0
) -> V:
    """Compute the cross-entropy of logits against class indices or class probabilities.

    For probabilities q the loss is -Σ q log softmax(x) over the class axis; a class index stands
    for probability 1 of that class.

    Args:
        x: logits of shape (N, C, ...), or (C,).
        Y: class indices (integers of the logits' shape without the class axis), or probabilities
            (floats of the logits' shape).
        reduction: "mean", "sum" or "none".
        label_smoothing: probability that is taken from the target and shared evenly by all
            classes.

    Raises:
        ArgumentError: if an option is invalid, or a label is out of range; the message names it.
        DtypeError: if class indices are not integers.
        ShapeError: if the shapes do not match.

    >>> from tinygrad_np import Tensor
    >>> round(Tensor([[0.0, 0.0], [0.0, 0.0]]).cross_entropy([1, 0]).item(), 4)
    0.6931
    """
    _check_call("cross_entropy", x, reduction, label_smoothing)
    target = _as_target(Y)
    shape = x.shape
    if not shape:
        raise ShapeError("cross_entropy: expected logits (N, C, ...) or (C,), got shape ().")
    axis = min(1, len(shape) - 1)
    others = shape[:axis] + shape[axis + 1 :]
    is_integer = target.dtype.kind in "iu"
    target = _in_dtype_of(x, target)
    if target.shape != (others if is_integer else shape):
        raise (ShapeError if is_integer or target.shape != others else DtypeError)(
            f"cross_entropy: expected integer class indices of shape {others} or probabilities "
            f"(floats) of shape {shape} for logits {shape}, got target of shape {target.shape}, "
            f"dtype {target.dtype}.{'' if is_integer else ' Try .int() for class indices.'}"
        )
    if not is_integer:
        q = target * (1 - label_smoothing) + label_smoothing / shape[axis]
        # As in PyTorch, the mean is over all positions (N, ...), not only over samples.
        return _reduce(neg(sum(mul(log_softmax(x, axis), q), axis=axis)), reduction)
    if len(shape) > 2:
        x = permute(x, (0, *range(2, len(shape)), 1))
    if len(shape) != 2:
        x = reshape(x, (-1, shape[axis]))
        target = reshape(target, (-1,))
    loss = cross_entropy_rows(x, target, reduction=reduction, label_smoothing=label_smoothing)
    return reshape(loss, others) if reduction == "none" and len(shape) != 2 else loss


def nll_loss(
    x: V,
    Y: Value | ArrayLike,
    weight: Value | ArrayLike | None = None,
    ignore_index: int | None = None,
    reduction: str = "mean",
) -> V:
    """Compute the negative log-likelihood -weight[Y] * x[Y] of log-probabilities x.

    Args:
        x: log-probabilities of shape (N, C, ...), or (C,).
        Y: class indices, integers of x's shape without the class axis.
        weight: one number per class, 1 by default. The mean is weighted: it divides by the sum of
            the weights of the targets.
        ignore_index: class whose entries are left out of the loss and the mean.
        reduction: "mean", "sum" or "none".

    Raises:
        ArgumentError: if an option is invalid, or a label is out of range; the message names it.
        DtypeError: if class indices are not integers.
        ShapeError: if the shapes do not match.

    >>> from tinygrad_np import Tensor
    >>> Tensor([[-1.0, -2.0], [-3.0, -4.0]]).nll_loss([1, 0], reduction="none")
    Tensor([2., 3.])
    """
    _check_call("nll_loss", x, reduction)
    if not x.shape:
        raise ShapeError("nll_loss: expected log-probabilities (N, C, ...) or (C,), got shape ().")
    axis = min(1, len(x.shape) - 1)
    target = _class_indices("nll_loss", x, Y, axis)
    is_kept = np.ones(target.shape, bool) if ignore_index is None else target != ignore_index
    target = np.where(is_kept, target, 0)
    classes = x.shape[axis]
    check_classes("nll_loss", target, classes, " Use `ignore_index` to leave out a class.")
    weights: Value = is_kept.astype(x.dtype)
    if weight is not None:
        weight = _as_target(weight)
        if weight.shape != (classes,):
            raise ShapeError(
                f"nll_loss: expected `weight` of shape ({classes},), one number per class, got "
                f"shape {weight.shape}."
            )
        weights = keep_where(getitem(weight, target), is_kept)
    picked = reshape(gather(x, axis, np.expand_dims(target, axis)), target.shape)
    losses = neg(mul(keep_where(picked, is_kept), weights))
    if reduction != "mean":
        return _reduce(losses, reduction)
    return _mean_by(losses, weights)


def sparse_categorical_crossentropy(
    x: V,
    Y: Value | ArrayLike,
    ignore_index: int = -1,
    label_smoothing: float = 0.0,
    reduction: str = "mean",
) -> V:
    """Compute the cross-entropy of logits whose *last* axis is the class axis.

    Args:
        x: logits of shape (..., C).
        Y: class indices, integers of shape (...).
        ignore_index: class whose entries are left out of the loss and the mean; -1 disables it.
        label_smoothing: probability that is taken from the target and shared evenly by all
            classes.
        reduction: "mean", "sum" or "none".

    Raises:
        ArgumentError: if an option is invalid, or a label is out of range; the message names it.
        DtypeError: if class indices are not integers.
        ShapeError: if the shapes do not match.

    >>> from tinygrad_np import Tensor
    >>> round(Tensor([[0.0, 0.0], [0.0, 100.0]]).sparse_categorical_crossentropy([1, 1]).item(), 4)
    0.3466
    """
    name = "sparse_categorical_crossentropy"
    _check_call(name, x, reduction, label_smoothing)
    if not x.shape:
        raise ShapeError(f"{name}: expected logits (..., C), got shape ().")
    target = _class_indices(name, x, Y, len(x.shape) - 1).reshape(-1)
    is_kept = np.ones(len(target), bool) if ignore_index == -1 else target != ignore_index
    rows = reshape(x, (-1, x.shape[-1]))
    losses = keep_where(
        cross_entropy_rows(rows, np.where(is_kept, target, 0), "none", label_smoothing), is_kept
    )
    if reduction == "none":
        return reshape(losses, x.shape[:-1])
    return sum(losses) if reduction == "sum" else _mean_by(losses, is_kept)


# Binary targets.


def _as_target_like(name: str, x: Value, target: Value | ArrayLike) -> Value:
    target = _as_target(target)
    if target.shape != x.shape:
        raise ShapeError(f"{name}: expected target of shape {x.shape}, got {target.shape}.")
    return _in_dtype_of(x, target)


def _in_dtype_of(x: Value, target: Value) -> Value:
    """Convert a float target to the dtype of x: float64, NumPy's default, must not widen a loss."""
    is_other = target.dtype.kind == "f" and target.dtype != x.dtype
    return cast(target, dtype=x.dtype) if is_other and x.dtype.kind == "f" else target


def _bounded_variance(x: Value) -> Value:
    """Return x (1 - x), bounded to keep quotients finite; 1e-12 would underflow in float16."""
    return clip(x * (1 - x), max(1e-12, float(np.finfo(x.dtype).tiny)))


def _bounded_log(x: Array) -> Array:
    with np.errstate(divide="ignore"):
        return np.maximum(np.log(x), -100)


@op(
    "log x - log(1 - x)",
    vjps={"x": lambda grad_out, x: grad_out / _bounded_variance(x)},
    samples=Samples((0.1, 0.9)),
    flops=3,
)
def log_odds(x: Array) -> Array:
    """Compute log x - log(1 - x), with logarithms of at least -100."""
    return np.asarray(_bounded_log(x) - _bounded_log(1 - x))


@op(
    "-target log x - (1 - target) log(1 - x)",
    vjps={
        "x": lambda grad_out, x, target: grad_out * ((x - target) / _bounded_variance(x)),
        "target": lambda grad_out, x: neg(grad_out * log_odds(x)),
    },
    samples=Samples((0.1, 0.9)),
    flops=8,
)
def binary_crossentropy_entries(x: Array, target: Array) -> Array:
    """Compute the cross-entropy of each probability in x, with logarithms of at least -100.

    Raises:
        ArgumentError: if a probability is outside 0 to 1.
    """
    if np.any((x < 0) | (x > 1)):
        raise ArgumentError(
            "binary_crossentropy: expected probabilities from 0 to 1, got "
            f"{np.min(x)} to {np.max(x)}. Use binary_crossentropy_logits for logits."
        )
    with np.errstate(divide="ignore"):
        return np.asarray(
            -target * np.maximum(np.log(x), -100) - (1 - target) * np.maximum(np.log1p(-x), -100)
        )


def binary_crossentropy(x: V, Y: Value | ArrayLike, reduction: str = "mean") -> V:
    """Compute -Y log x - (1 - Y) log(1 - x) for probabilities x and targets Y of the same shape.

    Logarithms are clamped to at least -100, as in PyTorch.

    Raises:
        ArgumentError: if a probability is outside 0 to 1, or `reduction` is unknown.
        ShapeError: if the shapes differ.

    >>> from tinygrad_np import Tensor
    >>> Tensor([0.0, 1.0]).binary_crossentropy(Tensor([1.0, 1.0]), reduction="none").tolist()
    [100.0, 0.0]
    """
    _check_call("binary_crossentropy", x, reduction)
    target = _as_target_like("binary_crossentropy", x, Y)
    return _reduce(binary_crossentropy_entries(x, target), reduction)


def binary_crossentropy_logits(
    x: V,
    Y: Value | ArrayLike,
    reduction: str = "mean",
    pos_weight: Value | ArrayLike | None = None,
) -> V:
    """Compute the binary cross-entropy of sigmoid(x) against targets Y of the same shape.

    The sigmoid is never computed, so large logits do not overflow.

    Args:
        x: logits.
        Y: targets from 0 to 1.
        reduction: "mean", "sum" or "none".
        pos_weight: factor for the loss of positive targets.

    Raises:
        ShapeError: if the shapes of x and Y differ.
        ArgumentError: if `reduction` is unknown.

    >>> from tinygrad_np import Tensor
    >>> x = Tensor([1000.0, -1000.0])
    >>> x.binary_crossentropy_logits(Tensor([1.0, 1.0]), reduction="none").tolist()
    [0.0, 1000.0]
    """
    _check_call("binary_crossentropy_logits", x, reduction)
    target = _as_target_like("binary_crossentropy_logits", x, Y)
    negative = softplus(neg(x))
    if pos_weight is not None:
        weight = pos_weight if isinstance(pos_weight, int | float) else _as_target(pos_weight)
        negative = mul(negative, (weight - 1) * target + 1)
    return _reduce(add(negative, mul(x, 1 - target)), reduction)
