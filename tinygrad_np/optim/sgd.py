"""Stochastic gradient descent."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from tinygrad_np.errors import ArgumentError
from tinygrad_np.kernels.elementwise import binary
from tinygrad_np.optim.formulas import add_decay
from tinygrad_np.optim.optimizer import Optimizer
from tinygrad_np.runtime.memory import Array


class SGD(Optimizer):
    """Stochastic gradient descent with momentum.

    Args:
        params: tensors, (name, tensor) pairs or parameter groups; see `Optimizer`.
        lr: learning rate.
        momentum: factor on the previous velocity; 0 turns momentum off.
        dampening: the gradient enters the velocity with the factor 1 - dampening.
        weight_decay: L2 penalty; weight_decay * w is added to the gradient.
        nesterov: use Nesterov momentum; requires `momentum` above 0 and no dampening.

    The update rule is PyTorch's:

        g ← grad + weight_decay w
        v ← momentum v + (1 - dampening) g, starting with v = g
        w ← w - lr v, or with nesterov w ← w - lr (g + momentum v)

    Raises:
        ArgumentError: as in `Optimizer`, or if `nesterov` is set without momentum or with
            dampening.

    >>> from tinygrad_np import nn, optim
    >>> optimizer = optim.SGD(nn.Linear(2, 1).parameters(), lr=0.1, momentum=0.9)
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        momentum: float = 0.0,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
    ) -> None:
        super().__init__(params, locals())

    def _check(self, options: Mapping[str, Any]) -> None:
        super()._check(options)
        if options["nesterov"] and (options["momentum"] == 0 or options["dampening"] != 0):
            raise ArgumentError(
                "SGD: expected `momentum` above 0 and `dampening` 0 with nesterov=True, got "
                f"momentum={options['momentum']} and dampening={options['dampening']}."
            )

    def _update(
        self, weight: Array, grad: Array, state: dict[str, Any], group: Mapping[str, Any]
    ) -> None:
        grad = add_decay(weight, grad, group["weight_decay"])
        direction = grad
        if group["momentum"]:
            velocity = state.get("momentum_buffer")
            if velocity is None:
                velocity = state["momentum_buffer"] = grad.copy()
            else:
                velocity *= group["momentum"]
                factor = 1 - group["dampening"]
                velocity += grad if factor == 1 else binary(np.multiply, grad, factor)
            direction = velocity
            if group["nesterov"]:
                direction = binary(np.multiply, velocity, group["momentum"])
                direction += grad
        weight -= binary(np.multiply, direction, group["lr"])
