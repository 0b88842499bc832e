"""Adam, AdamW and NAdam."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from tinygrad_np.errors import ArgumentError
from tinygrad_np.optim.formulas import (
    apply_decay,
    get_or_zeros,
    update_moments,
    write_corrected_root,
)
from tinygrad_np.optim.optimizer import Optimizer
from tinygrad_np.runtime import memory
from tinygrad_np.runtime.memory import Array


class Adam(Optimizer):
    """Adam (Kingma and Ba 2015, algorithm 1).

    Args:
        params: tensors, (name, tensor) pairs or parameter groups; see `Optimizer`.
        lr: learning rate.
        betas: decay rates β1 and β2 of the running means of the gradient and of its square.
        eps: added to the denominator for numerical stability.
        weight_decay: L2 penalty; weight_decay * w is added to the gradient.
        amsgrad: divide by the root of the largest v so far (Reddi et al. 2018, algorithm 2).
        decoupled_weight_decay: shrink the weights instead of changing the gradient, as in AdamW.

    The update rule is PyTorch's:

        g ← grad + weight_decay w
        m ← β1 m + (1 - β1) g
        v ← β2 v + (1 - β2) g²
        w ← w - lr m / (1 - β1^t) / (sqrt(v / (1 - β2^t)) + eps)

    Raises:
        ArgumentError: as in `Optimizer`.

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
        amsgrad: bool = False,
        decoupled_weight_decay: bool = False,
    ) -> None:
        super().__init__(params, locals())

    def _update(
        self, weight: Array, grad: Array, state: dict[str, Any], group: Mapping[str, Any]
    ) -> None:
        scratch = memory.empty(weight.shape, weight.dtype)
        grad = apply_decay(weight, grad, group)
        mean, square = update_moments(grad, state, group["betas"], scratch)
        if group["amsgrad"]:
            largest = get_or_zeros(state, "largest_square", weight)
            square = np.maximum(largest, square, out=largest)
        write_corrected_root(square, state["step"], group, out=scratch)
        np.divide(mean, scratch, out=scratch)
        scratch *= group["lr"] / (1 - group["betas"][0] ** state["step"])
        weight -= scratch


class AdamW(Adam):
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019, algorithm 2).

    Args:
        params: tensors, (name, tensor) pairs or parameter groups; see `Optimizer`.
        lr: learning rate.
        betas: decay rates β1 and β2 of the running means of the gradient and of its square.
        eps: added to the denominator for numerical stability.
        weight_decay: each step first multiplies the weights by 1 - lr weight_decay.
        amsgrad: divide by the root of the largest v so far, as in Adam.

        w ← w - lr weight_decay w, then Adam's update without weight decay in the gradient

    Raises:
        ArgumentError: as in `Optimizer`, or if a parameter group turns off
            `decoupled_weight_decay`.

    >>> from tinygrad_np import nn, optim
    >>> optimizer = optim.AdamW(nn.Linear(2, 1).parameters(), lr=0.001, weight_decay=0.01)
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
    ) -> None:
        super().__init__(params, lr, betas, eps, weight_decay, amsgrad, True)

    def _check(self, options: Mapping[str, Any]) -> None:
        super()._check(options)
        if not options["decoupled_weight_decay"]:
            raise ArgumentError(
                "AdamW: expected `decoupled_weight_decay` to be True, got False. Use Adam to add "
                "weight decay to the gradient."
            )


class NAdam(Optimizer):
    """Adam with Nesterov momentum (Dozat 2016, algorithm 2).

    Args:
        params: tensors, (name, tensor) pairs or parameter groups; see `Optimizer`.
        lr: learning rate.
        betas: decay rates β1 and β2 of the running means of the gradient and of its square.
        eps: added to the denominator for numerical stability.
        weight_decay: L2 penalty; weight_decay * w is added to the gradient.
        momentum_decay: how fast the momentum μ(t) rises from about β1 / 2 to β1.
        decoupled_weight_decay: shrink the weights instead of changing the gradient, as in AdamW.

    The update rule is PyTorch's, with g, m and v as in Adam:

        μ(t) = β1 (1 - 0.96^(t momentum_decay) / 2);  Π = μ(1) ... μ(t)
        d = (1 - μ(t)) g / (1 - Π) + μ(t+1) m / (1 - Π μ(t+1))
        w ← w - lr d / (sqrt(v / (1 - β2^t)) + eps)

    Raises:
        ArgumentError: as in `Optimizer`.

    >>> from tinygrad_np import nn, optim
    >>> optimizer = optim.NAdam(nn.Linear(2, 1).parameters(), lr=0.002)
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum_decay: float = 4e-3,
        decoupled_weight_decay: bool = False,
    ) -> None:
        super().__init__(params, locals())

    def _update(
        self, weight: Array, grad: Array, state: dict[str, Any], group: Mapping[str, Any]
    ) -> None:
        scratch, root = (memory.empty(weight.shape, weight.dtype) for _ in range(2))
        grad = apply_decay(weight, grad, group)
        mean, square = update_moments(grad, state, group["betas"], scratch)
        step, beta1, decay = state["step"], group["betas"][0], group["momentum_decay"]
        write_corrected_root(square, step, group, out=root)
        now, then = (beta1 * (1 - 0.5 * 0.96 ** (t * decay)) for t in (step, step + 1))
        product = state["momentum_product"] = state.get("momentum_product", 1.0) * now
        for direction, share in (
            (grad, (1 - now) / (1 - product)),
            (mean, then / (1 - product * then)),
        ):
            np.divide(direction, root, out=scratch)
            scratch *= group["lr"] * share
            weight -= scratch
