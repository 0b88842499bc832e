"""Softmax, and cross-entropy against class indices with a hand-derived gradient."""

import numpy as np

from tinygrad_np.kernels.reductions import mean, total
from tinygrad_np.runtime.memory import Array


def log_softmax(x: Array, axis: int) -> Array:
    """Return x - log Σ e^x along `axis`, without overflow for large x."""
    if not x.size:
        return x.copy()
    if x.dtype == np.float16:
        return log_softmax(x.astype(np.float32), axis).astype(x.dtype)
    shifted: Array = x - np.maximum.reduce(x, axis=axis, keepdims=True)
    shifted -= np.log(total(np.exp(shifted), axis, True))
    return shifted


def softmax(x: Array, axis: int) -> Array:
    """Return e^x / Σ e^x along `axis`, without overflow for large x."""
    if not x.size:
        return x.copy()
    if x.dtype == np.float16:
        return softmax(x.astype(np.float32), axis).astype(x.dtype)
    powers: Array = np.exp(x - np.maximum.reduce(x, axis=axis, keepdims=True))
    powers /= total(powers, axis, True)
    return powers


def cross_entropy(
    log_probabilities: Array, target: Array, reduction: str, label_smoothing: float
) -> Array:
    """Return -Σ q log p for log-probabilities (M, C) and class indices (M,).

    p is the softmax of the logits. q is the one-hot target, with `label_smoothing` of its
    probability shared evenly by all classes.
    """
    rows = np.arange(len(target))
    losses = -log_probabilities[rows, target]
    if label_smoothing:
        even = mean(log_probabilities, 1)
        losses = (1 - label_smoothing) * losses - label_smoothing * even
    return reduce_losses(losses, reduction)


def cross_entropy_grad(
    grad_out: Array, log_probabilities: Array, target: Array, reduction: str, label_smoothing: float
) -> Array:
    """Return the gradient for the logits (M, C): (p - q) times each row's upstream gradient.

    p and q are those of `cross_entropy`.
    """
    if grad_out.dtype == np.float16:
        given, wide = (array.astype(np.float32) for array in (grad_out, log_probabilities))
        grad = cross_entropy_grad(given, wide, target, reduction, label_smoothing)
        return grad.astype(np.float16)
    grad = np.asarray(np.exp(log_probabilities))
    if label_smoothing:
        grad -= label_smoothing / grad.shape[1]
    grad[np.arange(len(target)), target] -= 1 - label_smoothing
    scale = grad_out / grad_out.dtype.type(len(target)) if reduction == "mean" else grad_out
    grad *= scale[..., None]
    return grad


def reduce_losses(losses: Array, reduction: str) -> Array:
    """Return the mean or sum of `losses`, or `losses` unchanged, depending on `reduction`."""
    if reduction == "none":
        return losses
    return total(losses) if reduction == "sum" else mean(losses)
