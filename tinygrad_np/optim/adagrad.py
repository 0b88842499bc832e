"""Adaptive optimizers based on accumulated squared gradients: Adagrad and Adadelta."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from tinygrad_np.optim.formulas import add_decay, blend, get_or_zeros
from tinygrad_np.optim.optimizer import Optimizer
from tinygrad_np.runtime import memory
from tinygrad_np.runtime.memory import Array


class Adagrad(Optimizer):
    """Adagrad with diagonal scaling (Duchi et al. 2011, figure 1).

    Args:
        params: tensors, (name, tensor) pairs or parameter groups; see `Optimizer`.
        lr: learning rate.
        lr_decay: at step t the learning rate is divided by 1 + (t - 1) lr_decay.
        weight_decay: L2 penalty; weight_decay * w is added to the gradient.
        initial_accumulator_value: initial value of the sum of squares s.
        eps: added to the denominator for numerical stability.

    The update rule is PyTorch's:

        g ← grad + weight_decay w
        s ← s + g², starting with s = initial_accumulator_value
        w ← w - lr / (1 + (t - 1) lr_decay) g / (sqrt(s) + eps)

    Raises:
        ArgumentError: as in `Optimizer`.

    >>> from tinygrad_np import nn, optim
    >>> optimizer = optim.Adagrad(nn.Linear(2, 1).parameters(), lr=0.01)
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-2,
        lr_decay: float = 0.0,
        weight_decay: float = 0.0,
        initial_accumulator_value: float = 0.0,
        eps: float = 1e-10,
    ) -> None:
        super().__init__(params, locals())

    def _update(
        self, weight: Array, grad: Array, state: dict[str, Any], group: Mapping[str, Any]
    ) -> None:
        if not state:
            start = np.full_like(weight, group["initial_accumulator_value"])
            state.update(step=0, sum=start)
        state["step"] += 1
        grad = add_decay(weight, grad, group["weight_decay"])
        scratch = memory.empty(weight.shape, weight.dtype)
        np.multiply(grad, grad, out=scratch)
        state["sum"] += scratch
        np.sqrt(state["sum"], out=scratch)
        scratch += group["eps"]
        np.divide(grad, scratch, out=scratch)
        scratch *= group["lr"] / (1 + (state["step"] - 1) * group["lr_decay"])
        weight -= scratch


class Adadelta(Optimizer):
    """Adadelta (Zeiler 2012, algorithm 1).

    Args:
        params: tensors, (name, tensor) pairs or parameter groups; see `Optimizer`.
        lr: factor on the update; 1 is the paper's rule, which has no learning rate.
        rho: decay rate of the running means of squared gradients and squared updates.
        eps: added under both roots; it sets the size of the first updates.
        weight_decay: L2 penalty; weight_decay * w is added to the gradient.

    The update rule is PyTorch's:

        g ← grad + weight_decay w
        v ← rho v + (1 - rho) g²
        d = sqrt(u + eps) / sqrt(v + eps) g
        u ← rho u + (1 - rho) d²
        w ← w - lr d

    Raises:
        ArgumentError: as in `Optimizer`.

    >>> from tinygrad_np import nn, optim
    >>> optimizer = optim.Adadelta(nn.Linear(2, 1).parameters(), rho=0.95)
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(params, locals())

    def _update(
        self, weight: Array, grad: Array, state: dict[str, Any], group: Mapping[str, Any]
    ) -> None:
        grad = add_decay(weight, grad, group["weight_decay"])
        scratch, step = (memory.empty(weight.shape, weight.dtype) for _ in range(2))
        np.multiply(grad, grad, out=scratch)
        square, past = (get_or_zeros(state, name, weight) for name in ("square", "squared_steps"))
        blend(square, scratch, group["rho"], scratch)
        for root, mean in ((scratch, square), (step, past)):
            np.add(mean, group["eps"], out=root)
            np.sqrt(root, out=root)
        step /= scratch
        step *= grad
        np.multiply(step, step, out=scratch)
        blend(past, scratch, group["rho"], scratch)
        step *= group["lr"]
        weight -= step
