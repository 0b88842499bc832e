"""The RMSprop optimizer."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from tinygrad_np.optim.formulas import add_decay, blend, get_or_zeros
from tinygrad_np.optim.optimizer import Optimizer
from tinygrad_np.runtime import memory
from tinygrad_np.runtime.memory import Array


class RMSprop(Optimizer):
    """RMSprop (Tieleman and Hinton 2012, lecture 6.5).

    Args:
        params: tensors, (name, tensor) pairs or parameter groups; see `Optimizer`.
        lr: learning rate.
        alpha: decay rate of the running means.
        eps: added to the denominator for numerical stability.
        weight_decay: L2 penalty; weight_decay * w is added to the gradient.
        momentum: factor on the previous update b; 0 turns momentum off.
        centered: divide by the standard deviation of the gradient instead of its root mean square
            (Graves 2013, equations 38 to 45).

    The update rule is PyTorch's:

        g ← grad + weight_decay w
        v ← alpha v + (1 - alpha) g²
        m ← alpha m + (1 - alpha) g, or m = 0 if not centered
        b ← momentum b + g / (sqrt(v - m²) + eps)
        w ← w - lr b

    Raises:
        ArgumentError: as in `Optimizer`.

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
        super().__init__(params, locals())

    def _update(
        self, weight: Array, grad: Array, state: dict[str, Any], group: Mapping[str, Any]
    ) -> None:
        grad = add_decay(weight, grad, group["weight_decay"])
        scratch = memory.empty(weight.shape, weight.dtype)
        np.multiply(grad, grad, out=scratch)
        square = blend(get_or_zeros(state, "square", weight), scratch, group["alpha"], scratch)
        if group["centered"]:
            mean = blend(get_or_zeros(state, "mean", weight), grad, group["alpha"], scratch)
            np.multiply(mean, mean, out=scratch)
            np.subtract(square, scratch, out=scratch)
            # Rounding can make the variance negative: clip it at 0, where PyTorch returns nan.
            square = np.maximum(scratch, 0, out=scratch)
        np.sqrt(square, out=scratch)
        scratch += group["eps"]
        np.divide(grad, scratch, out=scratch)
        if group["momentum"]:
            velocity = get_or_zeros(state, "momentum_buffer", weight)
            velocity *= group["momentum"]
            velocity += scratch
            np.multiply(velocity, group["lr"], out=scratch)
        else:
            scratch *= group["lr"]
        weight -= scratch
