"""Softmax, and cross-entropy against class indices with a hand-derived gradient."""

from collections.abc import Callable, Sequence

import numpy as np

from tinygrad_np.kernels.activations import sigmoid
from tinygrad_np.kernels.reductions import mean, row_dots, row_sums, total
from tinygrad_np.runtime import memory, threads
from tinygrad_np.runtime.memory import Array

# If all entries are between -30 and 30, e^x and e^(x - y) are far from overflow. The maximum of
# each row is then not subtracted, which would take 0.27 of 0.46 ms for (4096, 64).
_LARGEST = 30
# Entries processed at a time, approximately.
_PIECE = 1 << 18
# Fewer entries are processed in one call: neither threads nor BLAS would split the work.
_SMALL = 4096


def softmax(x: Array, axis: int) -> Array:
    """Return e^x / Σ e^x along `axis`, without overflow for large x."""
    if not x.size:
        return x.copy()
    if x.dtype == np.float16:
        return softmax(x.astype(np.float32), axis).astype(x.dtype)
    if _is_last(axis, x):
        out = memory.empty(x.shape, x.dtype)

        def piece(rows: Array, out: Array) -> None:
            if not _is_moderate(rows):
                rows = np.subtract(rows, np.maximum.reduce(rows, axis=1, keepdims=True), out=out)
            np.exp(rows, out=out)
            out /= row_sums(out).astype(out.dtype)[:, None]

        _by_rows(piece, (x, out))
        return out
    powers: Array = np.exp(x - np.maximum.reduce(x, axis=axis, keepdims=True))
    powers /= total(powers, axis, True)
    return powers


def softmax_grad(grad_out: Array, out: Array, axis: int) -> Array:
    """Return out (grad_out - Σ grad_out out), with the sums along `axis`."""
    if out.dtype == np.float16:  # sums would overflow
        return softmax_grad(grad_out.astype(np.float32), out.astype(np.float32), axis)
    if not (_is_last(axis, out) and grad_out.flags.c_contiguous and out.size):
        return np.asarray(out * (grad_out - total(grad_out * out, axis, True)))
    grad = memory.empty(out.shape, out.dtype)

    def piece(grad_out: Array, out: Array, grad: Array) -> None:
        dots = row_dots(grad_out, out).astype(out.dtype)
        np.subtract(grad_out, dots[:, None], out=grad)
        grad *= out

    _by_rows(piece, (grad_out, out, grad))
    return grad


def log_softmax(x: Array, axis: int) -> Array:
    """Return x - log Σ e^x along `axis`, without overflow for large x."""
    if not x.size:
        return x.copy()
    if x.dtype == np.float16:
        return log_softmax(x.astype(np.float32), axis).astype(x.dtype)
    if _is_last(axis, x):
        out = memory.empty(x.shape, x.dtype)

        def piece(rows: Array, out: Array) -> None:
            np.subtract(rows, np.maximum.reduce(rows, axis=1, keepdims=True), out=out)
            sums = row_sums(np.exp(out))
            out -= np.log(sums).astype(out.dtype)[:, None]

        _by_rows(piece, (x, out))
        return out
    shifted: Array = x - np.maximum.reduce(x, axis=axis, keepdims=True)
    shifted -= np.log(total(np.exp(shifted), axis, True))
    return shifted


def log_softmax_grad(grad_out: Array, out: Array, axis: int) -> Array:
    """Return grad_out - e^out Σ grad_out, with the sum along `axis`."""
    if out.dtype == np.float16:
        return log_softmax_grad(grad_out.astype(np.float32), out.astype(np.float32), axis)
    if not (_is_last(axis, out) and grad_out.flags.c_contiguous and out.size):
        return np.asarray(grad_out - np.exp(out) * total(grad_out, axis, True))
    grad = memory.empty(out.shape, out.dtype)

    def piece(grad_out: Array, out: Array, grad: Array) -> None:
        np.exp(out, out=grad)
        grad *= row_sums(grad_out).astype(out.dtype)[:, None]
        np.subtract(grad_out, grad, out=grad)

    _by_rows(piece, (grad_out, out, grad))
    return grad


def cross_entropy(
    logits: Array, target: Array, reduction: str, label_smoothing: float
) -> tuple[Array, Array, Array]:
    """Return -Σ q log p for logits (M, C) and class indices (M,), and what its gradient needs.

    p is the softmax of the logits. q is the one-hot target, with `label_smoothing` of its
    probability shared evenly by all classes. The gradient needs the powers (M, C) and their row
    sums (M,): p = powers / sums.
    """
    if logits.dtype == np.float16:
        wide = logits.astype(np.float32)
        loss, powers, sums = cross_entropy(wide, target, reduction, label_smoothing)
        return loss.astype(logits.dtype), powers, sums
    logits = np.ascontiguousarray(logits)
    powers = memory.empty(logits.shape, logits.dtype)
    losses, sums = np.empty((2, len(logits)))

    def piece(rows: Array, powers: Array, target: Array, losses: Array, sums: Array) -> None:
        picked = rows[np.arange(len(rows)), target]
        # With x - x[target], small losses lose fewer digits than with x - max(x).
        shift = picked if _is_moderate(rows) else np.maximum.reduce(rows, axis=1)
        np.subtract(rows, shift[:, None], out=powers)
        if label_smoothing:
            even = row_sums(powers) / powers.shape[1]
        np.exp(powers, out=powers)
        sums[:] = row_sums(powers)
        np.log(sums, out=losses)
        if shift is not picked:
            losses += (shift - picked) * (1 - label_smoothing)
        if label_smoothing:
            losses -= label_smoothing * even

    if logits.size:
        _by_rows(piece, (logits, powers), (target, losses, sums))
    return _reduce(losses.astype(logits.dtype), reduction), powers, sums


def cross_entropy_grad(
    grad_out: Array,
    powers: Array,
    sums: Array,
    target: Array,
    reduction: str,
    label_smoothing: float,
) -> Array:
    """Return the gradient for the logits (M, C): (p - q) times each row's upstream gradient.

    p and q are those of `cross_entropy`.
    """
    scale = np.full(len(target), grad_out, np.float64)
    if reduction == "mean":
        scale /= len(target)
    grad = memory.empty(powers.shape, powers.dtype)

    def piece(powers: Array, grad: Array, sums: Array, target: Array, scale: Array) -> None:
        np.multiply(powers, (scale / sums).astype(grad.dtype)[:, None], out=grad)
        if label_smoothing:
            grad -= (scale * (label_smoothing / grad.shape[1])).astype(grad.dtype)[:, None]
        grad[np.arange(len(grad)), target] -= (scale * (1 - label_smoothing)).astype(grad.dtype)

    if grad.size:
        _by_rows(piece, (powers, grad), (sums, target, scale))
    return grad.astype(grad_out.dtype, copy=False)


def _is_moderate(x: Array) -> bool:
    """Return whether e^x is far from overflow and underflow; False if x has a nan."""
    return bool(x.max() <= _LARGEST and x.min() >= -_LARGEST)


def _is_last(axis: int, x: Array) -> bool:
    """Return whether `axis` is the last one and x is in C order."""
    return x.ndim > 0 and axis in (-1, x.ndim - 1) and x.flags.c_contiguous


def _by_rows(
    piece: Callable[..., None], matrices: Sequence[Array], columns: Sequence[Array] = ()
) -> None:
    """Call `piece` on a few rows at a time of matrices (..., C) and columns (rows,)."""
    width = matrices[0].shape[-1]
    arrays = [*[matrix.reshape(-1, width) for matrix in matrices], *columns]
    if matrices[0].size < _SMALL:
        piece(*arrays)
        return
    step = max(1, _PIECE // width)

    def part(where: slice) -> None:
        for start in range(where.start, where.stop, step):
            piece(*[array[start : min(start + step, where.stop)] for array in arrays])

    threads.each(part, len(arrays[0]), 1.0 * matrices[0].size, uses_blas=True)


def binary_cross_entropy(x: Array, target: Array, reduction: str) -> Array:
    """Return the reduced binary cross-entropy of logits x.

    The loss of an entry, max(-x, 0) + (1 - target) x + log(1 + e^-|x|), cannot overflow.
    """
    losses = np.log1p(np.exp(-np.abs(x)))
    losses += np.maximum(-x, 0)
    losses = losses + (1 - target) * x
    return np.asarray(_reduce(losses, reduction))


def binary_cross_entropy_grads(
    grad_out: Array, x: Array, target: Array, reduction: str, wanted: Sequence[bool]
) -> list[Array | None]:
    """Return the wanted gradients: sigmoid(x) - target and -x, times each upstream gradient."""
    if grad_out.dtype == np.float16:  # the share of each loss may underflow
        grad_out = grad_out.astype(np.float32)
    count = grad_out.dtype.type(max(1, x.size))
    share = grad_out / count if reduction == "mean" else grad_out
    needs_x, needs_target = wanted
    return [
        np.asarray(share * (sigmoid(x) - target), x.dtype) if needs_x else None,
        np.asarray(share * -x, target.dtype) if needs_target else None,
    ]


def _reduce(losses: Array, reduction: str) -> Array:
    """Return the mean or sum of `losses`, or `losses` unchanged, depending on `reduction`."""
    if reduction == "none":
        return losses
    return total(losses) if reduction == "sum" else mean(losses)
