"""What keeps weights small: groups with weight decay, and the L1 norm for a loss."""

from collections.abc import Iterable
from typing import Any

from tinygrad_np.checks import check_at_least
from tinygrad_np.errors import ArgumentError
from tinygrad_np.optim.optimizer import leaf_of
from tinygrad_np.tensor import Tensor


def decay_groups(named_parameters: Iterable[Any], weight_decay: float) -> list[dict[str, Any]]:
    """Return two groups for an optimizer: weights, of two axes or more, which decay, and the rest.

    The rest are biases and the factors and shifts of norms: small ones would not be simpler. Norms
    over several axes, as LayerNorm((4, 5)), have factors of several axes too: give such groups by
    hand. Takes tensors too. Raises ArgumentError for a module, no parameters, or a decay below 0.

    >>> from tinygrad_np import nn, optim
    >>> groups = optim.decay_groups(nn.Linear(2, 1).named_parameters(), weight_decay=0.01)
    >>> [(len(group["params"]), group["weight_decay"]) for group in groups]
    [(1, 0.01), (1, 0.0)]
    >>> optimizer = optim.SGD(groups, lr=0.1, momentum=0.9)
    """
    check_at_least("decay_groups", 0, weight_decay=weight_decay)
    entries = _entries("decay_groups", named_parameters, "model.named_parameters()")
    weights = [entry for entry in entries if _is_weight(entry, "decay_groups")]
    rest = [entry for entry in entries if not _is_weight(entry, "decay_groups")]
    return [
        {"params": weights, "weight_decay": weight_decay},
        {"params": rest, "weight_decay": 0.0},
    ]


def l1_norm(parameters: Iterable[Any]) -> Tensor:
    """Return sum |w| over all weights, of two axes or more, as a Tensor to be added to a loss.

    Its gradient is sign(w), 0 at 0: it pulls at small weights as hard as at large ones (Tibshirani
    1996). Biases and norms, of one axis, are left out. Raises ArgumentError for a module, or where
    there is no weight.

    >>> from tinygrad_np import Tensor, optim
    >>> w = Tensor([[3.0, -4.0]], requires_grad=True)
    >>> penalty = 0.5 * optim.l1_norm([w])
    >>> penalty.backward()
    >>> penalty.item(), w.grad.tolist()
    (3.5, [[0.5, -0.5]])
    """
    entries = _entries("l1_norm", parameters, "model.parameters()")
    weights = [leaf_of(entry, "l1_norm") for entry in entries if _is_weight(entry, "l1_norm")]
    if not weights:
        raise ArgumentError("l1_norm: got no weights of two axes or more, expected at least one")
    first, *others = [weight.abs().sum() for weight in weights]
    for norm in others:
        first = first + norm
    return first


def _entries(kind: str, parameters: Any, example: str) -> list[Any]:
    if isinstance(parameters, Tensor) or callable(getattr(parameters, "parameters", None)):
        raise ArgumentError(
            f"{kind}: got a {type(parameters).__name__}, expected several tensors, as of {example}"
        )
    entries = list(parameters)
    if not entries:
        raise ArgumentError(f"{kind}: got no parameters; give {example}")
    return entries


def _is_weight(entry: Any, kind: str) -> bool:
    return leaf_of(entry, kind).ndim > 1
