"""Regularization: weight-decay parameter groups and an L1 penalty."""

from collections.abc import Iterable
from typing import Any

from tinygrad_np.checks import check_at_least
from tinygrad_np.errors import ArgumentError
from tinygrad_np.frontend.tensor import Tensor
from tinygrad_np.optim.optimizer import leaf_of, list_of


def decay_groups(named_parameters: Iterable[Any], weight_decay: float) -> list[dict[str, Any]]:
    """Return two parameter groups: weights with weight decay, all other parameters without.

    Args:
        named_parameters: (name, tensor) pairs, or tensors.
        weight_decay: weight decay of the first group.

    Returns:
        A group with the parameters that have two or more axes, and a group with the rest: biases,
        and the scales and shifts of norms. Shrinking those does not make a model simpler. The
        scales and shifts of a norm over several axes, such as LayerNorm((4, 5)), end up in the
        first group; write the groups by hand for such a model.

    Raises:
        ArgumentError: if a module, a single tensor, a set or no parameters are given, a parameter
            is not a leaf tensor, or `weight_decay` is not a finite number >= 0.

    >>> from tinygrad_np import nn, optim
    >>> groups = optim.decay_groups(nn.Linear(2, 1).named_parameters(), weight_decay=0.01)
    >>> [(len(group["params"]), group["weight_decay"]) for group in groups]
    [(1, 0.01), (1, 0.0)]
    >>> optimizer = optim.SGD(groups, lr=0.1, momentum=0.9)
    """
    check_at_least("decay_groups", 0, weight_decay=weight_decay)
    entries = list_of(named_parameters, "decay_groups", "model.named_parameters()")
    weights = [entry for entry in entries if _is_weight(entry, "decay_groups")]
    rest = [entry for entry in entries if not _is_weight(entry, "decay_groups")]
    return [
        {"params": weights, "weight_decay": weight_decay},
        {"params": rest, "weight_decay": 0.0},
    ]


def l1_norm(parameters: Iterable[Any]) -> Tensor:
    """Return the L1 norm of all weights, a penalty to add to the loss.

    Args:
        parameters: tensors, or (name, tensor) pairs. Only those with two or more axes are weights;
            biases and norms are ignored.

    Returns:
        A scalar tensor, sum |w|. Its gradient is sign(w), 0 at 0, so it pulls on small weights as
        hard as on large ones (Tibshirani 1996).

    Raises:
        ArgumentError: if a module, a single tensor or a set is given, a parameter is not a leaf
            tensor, or there are no weights.

    >>> from tinygrad_np import Tensor, optim
    >>> w = Tensor([[3.0, -4.0]], requires_grad=True)
    >>> penalty = 0.5 * optim.l1_norm([w])
    >>> penalty.backward()
    >>> penalty.item(), w.grad.tolist()
    (3.5, [[0.5, -0.5]])
    """
    entries = list_of(parameters, "l1_norm")
    weights = [leaf_of(entry, "l1_norm") for entry in entries if _is_weight(entry, "l1_norm")]
    if not weights:
        raise ArgumentError(
            "l1_norm: expected at least one weight with two or more axes, got none."
        )
    first, *others = [weight.abs().sum() for weight in weights]
    for norm in others:
        first = first + norm
    return first


def _is_weight(entry: Any, kind: str) -> bool:
    return leaf_of(entry, kind).ndim > 1
