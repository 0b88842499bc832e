"""Adam."""

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from tinygrad_np import memory
from tinygrad_np.errors import ArgumentError
from tinygrad_np.memory import Array
from tinygrad_np.optim.optimizer import Optimizer, at_least


class Adam(Optimizer):
    """Adaptive moments (Kingma and Ba 2015, algorithm 1), as PyTorch computes them.

    g ← grad + weight_decay w;  m ← β1 m + (1 - β1) g;  v ← β2 v + (1 - β2) g²;
    w ← w - lr m / (1 - β1^t) / (sqrt(v / (1 - β2^t)) + eps).

    >>> from tinygrad_np import nn, optim
    >>> optimizer = optim.Adam(nn.Linear(2, 1).parameters(), lr=0.001)
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        defaults = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay}
        super().__init__(params, defaults)

    def _check(self, options: Mapping[str, Any]) -> None:
        at_least("Adam", 0, **{name: options[name] for name in ("lr", "eps", "weight_decay")})
        betas = options["betas"]
        if not isinstance(betas, tuple | list) or len(betas) != 2:
            raise ArgumentError(f"Adam betas: got {betas!r}, expected two numbers")
        if not all(0 <= beta < 1 for beta in betas):
            raise ArgumentError(f"Adam betas: got {betas}, expected two numbers from 0 to below 1")

    def _update(
        self, weight: Array, grad: Array, state: dict[str, Any], group: Mapping[str, Any]
    ) -> None:
        beta1, beta2 = group["betas"]
        if not state:
            state.update(step=0, mean=np.zeros_like(weight), square=np.zeros_like(weight))
        state["step"] += 1
        mean, square = state["mean"], state["square"]
        scratch = memory.empty(weight.shape, weight.dtype)
        if group["weight_decay"]:
            np.multiply(weight, group["weight_decay"], out=scratch)
            grad = grad + scratch
        mean *= beta1
        np.multiply(grad, 1 - beta1, out=scratch)
        mean += scratch
        square *= beta2
        np.multiply(grad, grad, out=scratch)
        scratch *= 1 - beta2
        square += scratch
        np.sqrt(square, out=scratch)
        scratch /= math.sqrt(1 - beta2 ** state["step"])
        scratch += group["eps"]
        np.divide(mean, scratch, out=scratch)
        scratch *= group["lr"] / (1 - beta1 ** state["step"])
        weight -= scratch
