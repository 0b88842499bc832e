"""RMSprop."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from tinygrad_np.optim.formulas import blend, remembered, with_decay
from tinygrad_np.optim.optimizer import Optimizer, at_least, from_0_to_1
from tinygrad_np.runtime import memory
from tinygrad_np.runtime.memory import Array


class RMSprop(Optimizer):
    """Steps over the root of a running mean (Tieleman and Hinton 2012, lecture 6.5; centered:
    Graves 2013, equations 38 to 45); the update rule is PyTorch's.

    g ← grad + weight_decay w;  v ← alpha v + (1 - alpha) g²;  m ← alpha m + (1 - alpha) g;
    u = g / (sqrt(v - m²) + eps), m = 0 if not centered;  b ← momentum b + u;  w ← w - lr b.

    >>> from tinygrad_np import nn, optim
    >>> optimizer = optim.RMSprop(nn.Linear(2, 1).parameters(), lr=0.01, momentum=0.9)
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum: float = 0.0,
        centered: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "alpha": alpha,
            "eps": eps,
            "weight_decay": weight_decay,
            "momentum": momentum,
            "centered": centered,
        }
        super().__init__(params, defaults)

    def _check(self, options: Mapping[str, Any]) -> None:
        names = ("lr", "eps", "weight_decay", "momentum")
        at_least("RMSprop", 0, **{name: options[name] for name in names})
        from_0_to_1("RMSprop", alpha=options["alpha"])

    def _update(
        self, weight: Array, grad: Array, state: dict[str, Any], group: Mapping[str, Any]
    ) -> None:
        grad = with_decay(weight, grad, group["weight_decay"])
        scratch = memory.empty(weight.shape, weight.dtype)
        np.multiply(grad, grad, out=scratch)
        square = blend(remembered(state, "square", weight), scratch, group["alpha"], scratch)
        if group["centered"]:
            mean = blend(remembered(state, "mean", weight), grad, group["alpha"], scratch)
            np.multiply(mean, mean, out=scratch)
            np.subtract(square, scratch, out=scratch)
            # A variance that rounding takes below 0 is 0; PyTorch's root of it is nan.
            square = np.maximum(scratch, 0, out=scratch)
        np.sqrt(square, out=scratch)
        scratch += group["eps"]
        np.divide(grad, scratch, out=scratch)
        if group["momentum"]:
            velocity = remembered(state, "momentum_buffer", weight)
            velocity *= group["momentum"]
            velocity += scratch
            np.multiply(velocity, group["lr"], out=scratch)
        else:
            scratch *= group["lr"]
        weight -= scratch
