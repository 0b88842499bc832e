"""Losses: distances between tensors, cross-entropy of classes and of binary targets."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from tinygrad_np.autograd.dispatch import V, op
from tinygrad_np.autograd.op import Samples
from tinygrad_np.autograd.primitives import cast, expand
from tinygrad_np.autograd.tape import Variable
from tinygrad_np.checks import check_unmasked, is_real
from tinygrad_np.errors import ArgumentError, DtypeError, ShapeError
from tinygrad_np.kernels import losses as kernels
from tinygrad_np.ops.activations import log_softmax, softplus
from tinygrad_np.ops.elementwise import (
    abs,
    add,
    clip,
    div,
    eq,
    keep_where,
    lt,
    maximum,
    minimum,
    mul,
    neg,
    sub,
    where,
)
from tinygrad_np.ops.functions import exp, log, sigmoid, square
from tinygrad_np.ops.indexing import gather, getitem
from tinygrad_np.ops.linalg import norm
from tinygrad_np.ops.reduce import divide_by_count, mean, sum
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


def _check_call(
    name: str,
    x: object,
    reduction: str,
    label_smoothing: float = 0.0,
    reductions: Sequence[str] = _REDUCTIONS,
) -> None:
    """Raise unless `x` is a Tensor or an ndarray and the options are valid."""
    shape_of(name, x)
    if reduction not in reductions:
        raise ArgumentError(
            f"{name}: expected `reduction` to be one of {', '.join(reductions)}, got {reduction!r}."
        )
    if not (is_real(label_smoothing) and 0 <= label_smoothing <= 1):
        raise ArgumentError(
            f"{name}: expected `label_smoothing` to be a number from 0 to 1, got "
            f"{label_smoothing!r}."
        )


def _as_target(target: Value | ArrayLike) -> Value:
    """Return a target as an array or Variable; lists of floats become float32."""
    if isinstance(target, Variable | np.ndarray):
        return target
    array = np.asarray(target)
    return array.astype(np.float32) if array.dtype == np.float64 else array


def _in_dtype_of(x: Value, target: Value) -> Value:
    """Convert a float target to the dtype of x: float64, NumPy's default, must not widen a loss."""
    is_other = target.dtype.kind == "f" and target.dtype != x.dtype
    return cast(target, dtype=x.dtype) if is_other and x.dtype.kind == "f" else target


def _as_target_like(
    name: str, x: Value, target: Value | ArrayLike, argument: str = "target"
) -> Value:
    """Return a target in the dtype of x; raise if its shape differs, even if it would broadcast."""
    check_unmasked(name, target)
    target = _as_target(target)
    if target.shape != x.shape:
        hint = ""
        if x.shape and math.prod(target.shape) == math.prod(x.shape):
            sizes = ", ".join(map(str, x.shape))
            hint = f" Try .reshape({sizes}), if the entries are in the same order."
        raise ShapeError(
            f"{name}: expected `{argument}` of the input's shape {x.shape}, got shape "
            f"{target.shape}.{hint}"
        )
    return _in_dtype_of(x, target)


def _factor(name: str, losses: V, weight: Value | ArrayLike, argument: str) -> Value:
    """Return a weight in the dtype of the losses; it must broadcast to their shape."""
    array = weight if isinstance(weight, Variable | np.ndarray) else np.asarray(weight)
    weight = _in_dtype_of(losses, array)
    pairs = zip(weight.shape[::-1], losses.shape[::-1], strict=False)
    if len(weight.shape) > len(losses.shape) or any(n not in (1, full) for n, full in pairs):
        raise ShapeError(
            f"{name}: expected `{argument}` to broadcast to the input's shape {losses.shape}, got "
            f"shape {weight.shape}."
        )
    return weight


def _weigh(name: str, losses: V, weight: Value | ArrayLike | None) -> V:
    """Multiply each loss by its weight."""
    return losses if weight is None else mul(losses, _factor(name, losses, weight, "weight"))


def _weighted_mean(name: str, losses: V, weight: Value | ArrayLike | None, reduction: str) -> V:
    """Reduce losses; with weights, "mean" divides by the sum of the weights."""
    if weight is None:
        return _reduce(losses, reduction)
    weight = _as_target_like(name, losses, weight, "weight")
    losses = mul(losses, weight)
    return _mean_by(losses, weight) if reduction == "mean" else _reduce(losses, reduction)


# Distances between the input and a target of the same shape.


def mse_loss(
    input: V,
    target: Value | ArrayLike,
    reduction: str = "mean",
    weight: Value | ArrayLike | None = None,
) -> V:
    """Compute the squared error (input - target)².

    Args:
        input: predictions of any shape.
        target: values of the same shape.
        reduction: "mean", "sum" or "none".
        weight: factor for each entry, of the same shape; the mean divides by the sum of the
            weights.

    Raises:
        ArgumentError: if `reduction` is unknown.
        ShapeError: if the shapes differ. (N, 1) and (N,), which would broadcast to (N, N), raise.

    >>> from tinygrad_np import Tensor
    >>> import tinygrad_np.nn.functional as F
    >>> F.mse_loss(Tensor([1.0, 2.0]), Tensor([1.0, 4.0]))
    Tensor(2.)
    """
    _check_call("mse_loss", input, reduction)
    target = _as_target_like("mse_loss", input, target)
    return _weighted_mean("mse_loss", square(sub(input, target)), weight, reduction)


def l1_loss(
    input: V,
    target: Value | ArrayLike,
    reduction: str = "mean",
    weight: Value | ArrayLike | None = None,
) -> V:
    """Compute the absolute error |input - target|, with gradient 0 where they are equal.

    The arguments and errors are those of `mse_loss`.

    >>> from tinygrad_np import Tensor
    >>> import tinygrad_np.nn.functional as F
    >>> F.l1_loss(Tensor([1.0, 2.0]), Tensor([1.0, 4.0]))
    Tensor(1.)
    """
    _check_call("l1_loss", input, reduction)
    target = _as_target_like("l1_loss", input, target)
    return _weighted_mean("l1_loss", abs(sub(input, target)), weight, reduction)


def _huber(error: V, delta: float) -> V:
    near = clip(error, -delta, delta)  # its square is finite even where it is not selected
    size = abs(error)
    return where(lt(size, delta), mul(square(near), 0.5), mul(sub(size, delta / 2), delta))


def huber_loss(
    input: V,
    target: Value | ArrayLike,
    reduction: str = "mean",
    delta: float = 1.0,
    weight: Value | ArrayLike | None = None,
) -> V:
    """Compute the Huber loss: d² / 2 where |d| < delta, otherwise delta (|d| - delta / 2).

    Here d = input - target (Huber 1964).

    Args:
        input: predictions of any shape.
        target: values of the same shape.
        reduction: "mean", "sum" or "none".
        delta: size of the error above which the loss is linear.
        weight: factor for each entry, of the same shape. As in PyTorch, the mean divides by the
            number of entries, unlike in `mse_loss`.

    Raises:
        ArgumentError: if `reduction` is unknown, or `delta` is not above 0.
        ShapeError: if the shapes differ, even if they would broadcast.

    >>> from tinygrad_np import Tensor
    >>> import tinygrad_np.nn.functional as F
    >>> F.huber_loss(Tensor([0.5, 3.0]), Tensor([0.0, 0.0]), reduction="none")
    Tensor([0.125, 2.5  ])
    """
    _check_call("huber_loss", input, reduction)
    if not (is_real(delta) and delta > 0):
        raise ArgumentError(f"huber_loss: expected `delta` to be above 0, got {delta!r}.")
    losses = _huber(sub(input, _as_target_like("huber_loss", input, target)), delta)
    if weight is not None:
        losses = mul(losses, _as_target_like("huber_loss", losses, weight, "weight"))
    return _reduce(losses, reduction)


def smooth_l1_loss(
    input: V, target: Value | ArrayLike, reduction: str = "mean", beta: float = 1.0
) -> V:
    """Compute d² / (2 beta) where |d| < beta, otherwise |d| - beta / 2, with d = input - target.

    This is the Huber loss with delta = beta, divided by beta (Girshick 2015). If `beta` is 0, it is
    the absolute error.

    Raises:
        ArgumentError: if `reduction` is unknown, or `beta` is negative.
        ShapeError: if the shapes differ, even if they would broadcast.

    >>> from tinygrad_np import Tensor
    >>> import tinygrad_np.nn.functional as F
    >>> F.smooth_l1_loss(Tensor([0.5, 3.0]), Tensor([0.0, 0.0]), reduction="none", beta=2.0)
    Tensor([0.0625, 2.    ])
    """
    _check_call("smooth_l1_loss", input, reduction)
    if not (is_real(beta) and beta >= 0):
        raise ArgumentError(f"smooth_l1_loss: expected `beta` to be >= 0, got {beta!r}.")
    error = sub(input, _as_target_like("smooth_l1_loss", input, target))
    return _reduce(mul(_huber(error, beta), 1 / beta) if beta else abs(error), reduction)


def kl_div(
    input: V, target: Value | ArrayLike, reduction: str = "mean", log_target: bool = False
) -> V:
    """Compute the Kullback-Leibler divergence target (log target - input), entry by entry.

    Args:
        input: log-probabilities.
        target: probabilities of the same shape; an entry of 0 contributes 0.
        reduction: "batchmean", the sum divided by the length of the first axis, which is the mean
            divergence of the rows; "mean", the sum divided by the number of entries; "sum" or
            "none".
        log_target: whether `target` holds log-probabilities.

    Raises:
        ArgumentError: if `reduction` is unknown.
        ShapeError: if the shapes differ, even if they would broadcast.

    >>> from tinygrad_np import Tensor
    >>> import tinygrad_np.nn.functional as F
    >>> p = Tensor([[0.5, 0.5]])
    >>> F.kl_div(p.log(), Tensor([[1.0, 0.0]]), reduction="batchmean").item()
    0.6931
    """
    _check_call("kl_div", input, reduction, reductions=(*_REDUCTIONS, "batchmean"))
    target = _as_target_like("kl_div", input, target)
    if log_target:
        losses = mul(sub(input, target), neg(exp(target)))
    else:
        # At 0, log 1 stands in for log 0, so that the product and its gradient are finite.
        entropy = mul(target, log(where(eq(target, 0), 1, target)))
        losses = add(neg(mul(input, target)), entropy)
    if reduction == "batchmean":
        return mul(sum(losses), 1 / (input.shape[0] or math.nan)) if input.shape else losses
    return _reduce(losses, reduction)


def pairwise_distance(
    x1: V, x2: Value, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False
) -> V:
    """Compute the p-norm of x1 - x2 + eps along the last axis; the shapes broadcast.

    Raises:
        ArgumentError: if `p` is nan or not a number.

    >>> from tinygrad_np import Tensor
    >>> import tinygrad_np.nn.functional as F
    >>> F.pairwise_distance(Tensor([[3.0, 4.0]]), Tensor([[0.0, 0.0]])).tolist()
    [5.0]
    """
    for value in (x1, x2):
        shape_of("pairwise_distance", value)
    return norm(add(sub(x1, x2), eps), p, -1, keepdim)


def cosine_similarity(x1: V, x2: Value, dim: int = 1, eps: float = 1e-8) -> V:
    """Compute Σ x1 x2 / (|x1| |x2|) along `dim`, with norms of at least `eps`.

    Raises:
        AxisError: if `dim` is out of range.

    >>> from tinygrad_np import Tensor
    >>> import tinygrad_np.nn.functional as F
    >>> F.cosine_similarity(Tensor([[3.0, 4.0]]), Tensor([[1.0, 0.0]])).tolist()
    [0.6]
    """
    for value in (x1, x2):
        shape_of("cosine_similarity", value)
    if x1.dtype == np.float16:  # `eps` would underflow
        wide: V = cast(x1, np.float32)
        return cast(cosine_similarity(wide, cast(x2, np.float32), dim, eps), x1.dtype)
    if x1.shape != x2.shape:
        shape = add(x1, x2).shape
        x1, x2 = expand(x1, shape=shape), expand(x2, shape=shape)
    unit1: V = div(x1, maximum(norm(x1, 2.0, dim, keepdim=True), eps))
    unit2 = div(x2, maximum(norm(x2, 2.0, dim, keepdim=True), eps))
    return sum(mul(unit1, unit2), axis=dim)


def triplet_margin_loss(
    anchor: V,
    positive: Value,
    negative: Value,
    margin: float = 1.0,
    p: float = 2.0,
    eps: float = 1e-6,
    swap: bool = False,
    reduction: str = "mean",
) -> V:
    """Compute max(d(anchor, positive) - d(anchor, negative) + margin, 0).

    The distance d is `pairwise_distance` (Balntas et al. 2016).

    Args:
        anchor: vectors of shape (..., D).
        positive: vectors that should be near the anchors, with the same number of axes.
        negative: vectors that should be far from the anchors, with the same number of axes.
        margin: smallest difference of the two distances for which the loss is 0.
        p: order of the norm.
        eps: number added to each difference, which keeps the gradient of equal vectors finite.
        swap: whether to use d(positive, negative) where it is less than d(anchor, negative).
        reduction: "mean", "sum" or "none".

    Raises:
        ArgumentError: if `reduction` is unknown, or `margin` is not above 0.
        ShapeError: if the numbers of axes differ, or the shapes do not broadcast.

    >>> from tinygrad_np import Tensor
    >>> import tinygrad_np.nn.functional as F
    >>> anchor, positive, negative = Tensor([[0.0]]), Tensor([[2.0]]), Tensor([[1.5]])
    >>> F.triplet_margin_loss(anchor, positive, negative)
    Tensor(1.5)
    """
    name = "triplet_margin_loss"
    _check_call(name, anchor, reduction)
    shapes = [anchor.shape, shape_of(name, positive), shape_of(name, negative)]
    if not len(shapes[0]) == len(shapes[1]) == len(shapes[2]) > 0:
        raise ShapeError(
            f"{name}: expected anchor, positive and negative with the same number of axes, got "
            f"shapes {shapes[0]}, {shapes[1]} and {shapes[2]}."
        )
    if not (is_real(margin) and margin > 0):
        raise ArgumentError(f"{name}: expected `margin` to be above 0, got {margin!r}.")
    near = pairwise_distance(anchor, positive, p, eps)
    far = pairwise_distance(anchor, negative, p, eps)
    if swap:
        far = minimum(far, pairwise_distance(positive, negative, p, eps))
    return _reduce(clip(add(sub(near, far), margin), 0), reduction)


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
    backward=lambda grad_out, powers, sums, target, reduction, label_smoothing: [
        kernels.cross_entropy_grad(grad_out, powers, sums, target, reduction, label_smoothing),
        None,
    ],
    caches=("powers", "sums"),
    flops=lambda logits, target: 5 * logits.size + 2 * target.size,
)
def cross_entropy_rows(
    logits: Array, target: Array, *, reduction: str = "mean", label_smoothing: float = 0.0
) -> tuple[Array, Array, Array]:
    """Compute the cross-entropy of logits (M, C) against class indices (M,).

    Raises:
        ArgumentError: if a class index is not from 0 to C - 1.
    """
    check_classes("cross_entropy", target, logits.shape[1])
    loss, powers, sums = kernels.cross_entropy(logits, target, reduction, label_smoothing)
    return np.asarray(loss), powers, sums


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


def _class_weights(name: str, x: Value, weight: Value | ArrayLike, classes: int) -> Value:
    """Return one weight per class, in the dtype of x."""
    weight = _in_dtype_of(x, _as_target(weight))
    if weight.shape != (classes,):
        raise ShapeError(
            f"{name}: expected `weight` of shape ({classes},), one number per class, got "
            f"shape {weight.shape}."
        )
    return weight


def _row_losses(
    rows: V, target: Array, is_kept: Array, weight: Value | None, label_smoothing: float
) -> tuple[V, Value]:
    """Return the cross-entropy of each row of logits (M, C), and the weight of each row (M,).

    With class weights w and smoothing ε, the loss of a row with label y is
    -(1 - ε) w[y] log p[y] - ε / C Σ w log p. Rows that are not kept have loss and weight 0.
    """
    target = np.where(is_kept, target, 0)
    if weight is None:
        losses = cross_entropy_rows(rows, target, "none", label_smoothing)
        return keep_where(losses, is_kept), is_kept
    own = getitem(weight, target)
    losses = mul(cross_entropy_rows(rows, target, "none"), own)
    if label_smoothing:
        spread = neg(sum(mul(log_softmax(rows, 1), weight), axis=1))
        share = label_smoothing / rows.shape[1]
        losses = add(mul(losses, 1 - label_smoothing), mul(spread, share))
    return keep_where(losses, is_kept), keep_where(own, is_kept)


def cross_entropy(
    x: V,
    Y: Value | ArrayLike,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
    weight: Value | ArrayLike | None = None,
    ignore_index: int = -100,
) -> V:
    """Compute the cross-entropy of logits against class indices or class probabilities.

    For probabilities q the loss is -Σ weight q log softmax(x) over the class axis; a class index
    stands for probability 1 of that class.

    Args:
        x: logits of shape (N, C, ...), or (C,).
        Y: class indices (integers of the logits' shape without the class axis), or probabilities
            (floats of the logits' shape).
        reduction: "mean", "sum" or "none". The mean over class indices divides by the sum of the
            weights of their classes; the mean over probabilities by the number of positions
            (N, ...).
        label_smoothing: probability that is taken from the target and shared evenly by all
            classes.
        weight: one number per class, 1 by default.
        ignore_index: class index whose entries are left out of the loss and the mean.

    Raises:
        ArgumentError: if an option is invalid, or a label is out of range; the message names it.
        DtypeError: if class indices are not integers.
        ShapeError: if the shapes do not match.

    >>> from tinygrad_np import Tensor
    >>> round(Tensor([[0.0, 0.0], [0.0, 0.0]]).cross_entropy([1, 0]).item(), 4)
    0.6931
    """
    name = "cross_entropy"
    _check_call(name, x, reduction, label_smoothing)
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
    weights = None if weight is None else _class_weights(name, x, weight, shape[axis])
    if not is_integer:
        if ignore_index >= 0:
            raise ArgumentError(
                f"cross_entropy: expected class indices with `ignore_index`, got {ignore_index} "
                f"and probabilities of shape {target.shape}."
            )
        q = target * (1 - label_smoothing) + label_smoothing / shape[axis]
        if weights is not None:
            q = mul(q, reshape(weights, (-1, *[1] * (len(shape) - axis - 1))))
        # As in PyTorch, the mean is over all positions (N, ...), not only over samples.
        return _reduce(neg(sum(mul(log_softmax(x, axis), q), axis=axis)), reduction)
    if len(shape) > 2:
        x = permute(x, (0, *range(2, len(shape)), 1))
    if len(shape) != 2:
        x = reshape(x, (-1, shape[axis]))
        target = reshape(target, (-1,))
    labels = target.data if isinstance(target, Variable) else np.asarray(target)
    is_kept = labels != ignore_index
    if weights is None and is_kept.all():
        loss = cross_entropy_rows(x, target, reduction=reduction, label_smoothing=label_smoothing)
    else:
        loss, sizes = _row_losses(x, labels, is_kept, weights, label_smoothing)
        loss = _mean_by(loss, sizes) if reduction == "mean" else _reduce(loss, reduction)
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
        weights = keep_where(
            getitem(_class_weights("nll_loss", x, weight, classes), target), is_kept
        )
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
    losses, _ = _row_losses(rows, target, is_kept, None, label_smoothing)
    if reduction == "none":
        return reshape(losses, x.shape[:-1])
    return sum(losses) if reduction == "sum" else _mean_by(losses, is_kept)


# Binary targets.


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


def binary_crossentropy(
    x: V,
    Y: Value | ArrayLike,
    reduction: str = "mean",
    weight: Value | ArrayLike | None = None,
) -> V:
    """Compute -Y log x - (1 - Y) log(1 - x) for probabilities x and targets Y of the same shape.

    Logarithms are clamped to at least -100, as in PyTorch.

    Args:
        x: probabilities.
        Y: targets from 0 to 1.
        reduction: "mean", "sum" or "none".
        weight: factor for each loss, which broadcasts to the shape of x. The mean still divides by
            the number of entries.

    Raises:
        ArgumentError: if a probability is outside 0 to 1, or `reduction` is unknown.
        ShapeError: if the shapes differ, even if they would broadcast.

    >>> from tinygrad_np import Tensor
    >>> Tensor([0.0, 1.0]).binary_crossentropy(Tensor([1.0, 1.0]), reduction="none").tolist()
    [100.0, 0.0]
    """
    name = "binary_crossentropy"
    _check_call(name, x, reduction)
    losses = binary_crossentropy_entries(x, _as_target_like(name, x, Y))
    return _reduce(_weigh(name, losses, weight), reduction)


def _per_entry(grad_out: Value, x: Value, reduction: str) -> Value:
    """Return the upstream gradient of each entry's loss, given that of the reduced loss."""
    count = float(math.prod(x.shape) or 1)
    return divide_by_count(grad_out, count) if reduction == "mean" else grad_out


@op(
    "-target log sigmoid(x) - (1 - target) log(1 - sigmoid(x))",
    vjps={
        "x": lambda grad_out, x, target, reduction: (
            _per_entry(grad_out, x, reduction) * (sigmoid(x) - target)
        ),
        "target": lambda grad_out, x, reduction: neg(_per_entry(grad_out, x, reduction) * x),
    },
    backward=kernels.binary_cross_entropy_grads,
    floating=True,
    flops=lambda x: 9 * x.size,
)
def binary_crossentropy_logits_entries(
    x: Array, target: Array, *, reduction: str = "mean"
) -> Array:
    """Compute the cross-entropy of sigmoid(x) against targets from 0 to 1, of the same shape."""
    return kernels.binary_cross_entropy(x, target, reduction)


def binary_crossentropy_logits(
    x: V,
    Y: Value | ArrayLike,
    reduction: str = "mean",
    pos_weight: Value | ArrayLike | None = None,
    weight: Value | ArrayLike | None = None,
) -> V:
    """Compute the binary cross-entropy of sigmoid(x) against targets Y of the same shape.

    The sigmoid is never computed, so large logits do not overflow.

    Args:
        x: logits.
        Y: targets from 0 to 1.
        reduction: "mean", "sum" or "none".
        pos_weight: factor for the loss of positive targets, which broadcasts to the shape of x.
        weight: factor for each loss, as in `binary_crossentropy`.

    Raises:
        ShapeError: if the shapes of x and Y differ, even if they would broadcast, or a factor does
            not broadcast to that shape.
        ArgumentError: if `reduction` is unknown.

    >>> from tinygrad_np import Tensor
    >>> x = Tensor([1000.0, -1000.0])
    >>> x.binary_crossentropy_logits(Tensor([1.0, 1.0]), reduction="none").tolist()
    [0.0, 1000.0]
    """
    name = "binary_crossentropy_logits"
    _check_call(name, x, reduction)
    target = _as_target_like(name, x, Y)
    if pos_weight is weight is None:
        return binary_crossentropy_logits_entries(x, target, reduction)
    negative = softplus(neg(x))
    if pos_weight is not None:
        factor = _factor(name, negative, pos_weight, "pos_weight")
        negative = mul(negative, (factor - 1) * target + 1)
    return _reduce(_weigh(name, add(negative, mul(x, 1 - target)), weight), reduction)
