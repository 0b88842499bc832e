"""Clipping of gradients between backward() and step(), as in PyTorch."""

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from tinygrad_np.checks import check_at_least, is_real
from tinygrad_np.errors import ArgumentError, GraphError
from tinygrad_np.optim.optimizer import leaf_of, name_of
from tinygrad_np.runtime import memory
from tinygrad_np.runtime.memory import Array
from tinygrad_np.tensor import Tensor


def clip_grad_norm(
    parameters: Iterable[Any],
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
) -> float:
    """Scale all gradients together to a norm of at most `max_norm`; return the norm before
    (Pascanu et al. 2013, algorithm 1).

    n = (sum |grad|^p)^(1/p), over all entries of all parameters;  grad ← grad min(1, max_norm /
    (n + 1e-6)).

    Parameters without a gradient are passed over; a new gradient is a new Tensor. A norm of nan
    makes every gradient nan, and one of inf makes them 0 or nan, as in PyTorch: look at what is
    returned before the step, or let `error_if_nonfinite` raise GraphError and change nothing.

    >>> from tinygrad_np import Tensor, optim
    >>> w = Tensor([3.0, 4.0], requires_grad=True)
    >>> (w * w).sum().backward()
    >>> optim.clip_grad_norm([w], max_norm=1.0)
    10.0
    """
    _check_limit("clip_grad_norm", max_norm=max_norm)
    if not is_real(norm_type) or not norm_type > 0:
        raise ArgumentError(
            f"clip_grad_norm norm_type: got {norm_type!r}, expected a number above 0; math.inf "
            "is the largest entry"
        )
    named = _with_gradients("clip_grad_norm", parameters)
    norms = [_norm(leaf.grad.data, norm_type) for _, leaf in named]
    total = float(np.linalg.norm(norms, norm_type)) if norms else 0.0
    if error_if_nonfinite and not math.isfinite(total):
        pairs = zip(named, norms, strict=True)
        bad = [name for (name, _), norm in pairs if not math.isfinite(norm)]
        raise GraphError(
            f"clip_grad_norm: the norm is {total}, by the gradient of {', '.join(bad) or 'all'}; "
            "expected finite gradients: skip this step, or lower the learning rate"
        )
    scale = max_norm / (total + 1e-6)
    if not scale >= 1:
        for _, leaf in named:
            clipped = memory.empty(leaf.shape, leaf.grad.dtype)
            np.multiply(leaf.grad.data, scale, out=clipped)
            leaf.grad = Tensor.from_numpy(clipped)
    return total


def clip_grad_value(parameters: Iterable[Any], clip_value: float) -> None:
    """Clip each entry of each gradient to the range from -clip_value to clip_value.

    grad ← min(max(grad, -clip_value), clip_value).

    Parameters without a gradient are passed over; a new gradient is a new Tensor; nan stays nan.

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


def _with_gradients(kind: str, parameters: Iterable[Any]) -> list[tuple[str, Any]]:
    """Return the parameters that have gradients, each once, with name or position."""
    if callable(getattr(parameters, "parameters", None)):
        raise ArgumentError(
            f"{kind}: got a {type(parameters).__name__}, expected tensors, as of model.parameters()"
        )
    entries = [parameters] if isinstance(parameters, Tensor) else list(parameters)
    if not entries:
        raise ArgumentError(f"{kind}: got no parameters; give model.parameters()")
    leaves = {id(leaf): leaf for leaf in (leaf_of(entry, kind) for entry in entries)}
    return [
        (name_of(leaf, position), leaf)
        for position, leaf in enumerate(leaves.values())
        if leaf.grad is not None
    ]


def _norm(grad: Array, order: float) -> float:
    """Return the norm of all entries; powers that overflow float32 are taken in float64."""
    if not grad.size:
        return 0.0  # older versions of NumPy find no largest entry among none
    flat = grad.ravel()
    with np.errstate(over="ignore"):
        norm = float(np.linalg.norm(flat, order))
    return norm if math.isfinite(norm) else float(np.linalg.norm(flat.astype(np.float64), order))


def _check_limit(who: str, **limits: Any) -> None:
    """Refuse limits that are not numbers of at least 0; inf clips nothing."""
    for name, value in limits.items():
        if not is_real(value) or value != math.inf:
            check_at_least(who, 0, **{name: value})
