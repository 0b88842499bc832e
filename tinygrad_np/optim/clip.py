"""Gradient clipping, as in PyTorch: call it between backward() and step()."""

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from tinygrad_np.checks import check_at_least, is_real
from tinygrad_np.errors import ArgumentError, GraphError
from tinygrad_np.frontend.tensor import Tensor
from tinygrad_np.optim.formulas import euclidean_norm
from tinygrad_np.optim.optimizer import leaf_of, list_of, name_of
from tinygrad_np.runtime import memory
from tinygrad_np.runtime.memory import Array


def clip_grad_norm(
    parameters: Iterable[Any],
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
) -> float:
    """Scale all gradients so that their joint norm is at most `max_norm`.

    Args:
        parameters: tensors, (name, tensor) pairs or a single tensor; those without a gradient are
            skipped.
        max_norm: largest joint norm; inf clips nothing.
        norm_type: order p of the norm; math.inf takes the largest absolute entry.
        error_if_nonfinite: whether a norm of nan or inf is an error.

    Returns:
        The norm before clipping.

    Raises:
        ArgumentError: if `max_norm` is not a number >= 0, `norm_type` is not a number above 0, or
            `parameters` is empty, is a module or a set, or holds something other than leaf tensors.
        GraphError: if `error_if_nonfinite` is set and the norm is nan or inf; the gradients are
            then left unchanged.

    From Pascanu et al. 2013, algorithm 1, with the sum over all entries of all gradients:

        n = (sum |grad|^p)^(1/p)
        grad ← grad min(1, max_norm / (n + 1e-6))

    Clipped gradients are new tensors. As in PyTorch, a norm of nan makes every gradient nan, and a
    norm of inf makes them 0 or nan: check the returned norm before the step, or set
    `error_if_nonfinite`.

    >>> from tinygrad_np import Tensor, optim
    >>> w = Tensor([3.0, 4.0], requires_grad=True)
    >>> (w * w).sum().backward()
    >>> optim.clip_grad_norm([w], max_norm=1.0)
    10.0
    """
    _check_limit("clip_grad_norm", max_norm=max_norm)
    if not is_real(norm_type) or not norm_type > 0:
        raise ArgumentError(
            f"clip_grad_norm: expected `norm_type` to be a number above 0, got {norm_type!r}. "
            "Use math.inf for the largest absolute entry."
        )
    named = _with_gradients("clip_grad_norm", parameters)
    with np.errstate(over="ignore"):
        norms = [_norm(leaf.grad.data, norm_type) for _, leaf in named]
    total = float(np.linalg.norm(norms, norm_type)) if norms else 0.0
    if error_if_nonfinite and not math.isfinite(total):
        pairs = zip(named, norms, strict=True)
        bad = [name_of(leaf, place) for (place, leaf), norm in pairs if not math.isfinite(norm)]
        raise GraphError(
            f"clip_grad_norm: expected a finite norm, got {total} from the gradients of "
            f"{', '.join(bad) or 'all parameters'}. Skip this step, or lower the learning rate."
        )
    scale = max_norm / (total + 1e-6)
    if not scale >= 1:
        for _, leaf in named:
            clipped = memory.empty(leaf.shape, leaf.grad.dtype)
            wide = np.promote_types(clipped.dtype, np.float32)  # float16 would round `scale` to 0
            np.multiply(leaf.grad.data, scale, out=clipped, dtype=wide, casting="same_kind")
            leaf.grad = Tensor.from_numpy(clipped)
    return total


def clip_grad_value(parameters: Iterable[Any], clip_value: float) -> None:
    """Clip each entry of each gradient to the range from -clip_value to clip_value.

    Args:
        parameters: tensors, (name, tensor) pairs or a single tensor; those without a gradient are
            skipped.
        clip_value: largest absolute entry; inf clips nothing.

    Raises:
        ArgumentError: if `clip_value` is not a number >= 0, or `parameters` is empty, is a module
            or a set, or holds something other than leaf tensors.

    Clipped gradients are new tensors, and nan stays nan.

        grad ← min(max(grad, -clip_value), clip_value)

    >>> from tinygrad_np import Tensor, optim
    >>> w = Tensor([3.0, -0.25], requires_grad=True)
    >>> (w * w).sum().backward()
    >>> optim.clip_grad_value([w], 1.0)
    >>> w.grad.tolist()
    [1.0, -0.5]
    """
    _check_limit("clip_grad_value", clip_value=clip_value)
    for _, leaf in _with_gradients("clip_grad_value", parameters):
        clipped = memory.empty(leaf.shape, leaf.grad.dtype)
        np.clip(leaf.grad.data, -clip_value, clip_value, out=clipped)
        leaf.grad = Tensor.from_numpy(clipped)


def _with_gradients(kind: str, parameters: Iterable[Any]) -> list[tuple[int, Any]]:
    """Return (position, parameter) for each parameter with a gradient, each once."""
    entries = list_of([parameters] if isinstance(parameters, Tensor) else parameters, kind)
    leaves = {id(leaf): leaf for leaf in (leaf_of(entry, kind) for entry in entries)}
    return [pair for pair in enumerate(leaves.values()) if pair[1].grad is not None]


def _norm(grad: Array, order: float) -> float:
    """Return the norm of all entries, recomputed in float64 if it overflows float32."""
    if not grad.size:
        return 0.0  # the inf norm of an empty array raises in older versions of NumPy
    flat = grad.reshape(-1)
    if grad.dtype == np.float16:
        flat = flat.astype(np.float32)
    norm = euclidean_norm(flat) if order == 2 else float(np.linalg.norm(flat, order))
    return norm if math.isfinite(norm) else float(np.linalg.norm(flat.astype(np.float64), order))


def _check_limit(who: str, **limits: Any) -> None:
    """Raise ArgumentError for limits that are not numbers >= 0; inf is allowed."""
    for name, value in limits.items():
        if not is_real(value) or value != math.inf:
            check_at_least(who, 0, **{name: value})
