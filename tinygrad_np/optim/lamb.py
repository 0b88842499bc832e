"""The LAMB optimizer."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from tinygrad_np.optim.formulas import euclidean_norm, update_moments, write_corrected_root
from tinygrad_np.optim.optimizer import Optimizer
from tinygrad_np.runtime import memory
from tinygrad_np.runtime.memory import Array


class LAMB(Optimizer):
    """Adam with layer-wise adaptive step sizes (You et al. 2020, algorithm 2, with φ(x) = x).

    Args:
        params: tensors, (name, tensor) pairs or parameter groups; see `Optimizer`.
        lr: learning rate; one step moves a parameter by lr times its norm.
        betas: decay rates β1 and β2 of the running means of the gradient and of its square.
        eps: added to the denominator for numerical stability.
        weight_decay: factor on the weights in the update.

    With m and v as in Adam, computed from the gradient without weight decay:

        r = m / (1 - β1^t) / (sqrt(v / (1 - β2^t)) + eps) + weight_decay w
        w ← w - lr |w| / |r| r

    The norms are taken per parameter tensor, which plays the role of the paper's layer. If w or r
    is all zeros, |w| / |r| is replaced by 1, as in the authors' code; otherwise a bias that starts
    at 0 would stay at 0.

    Raises:
        ArgumentError: as in `Optimizer`.

    >>> from tinygrad_np import nn, optim
    >>> optimizer = optim.LAMB(nn.Linear(2, 1).parameters(), lr=0.001)
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-6,
        weight_decay: float = 1e-2,
    ) -> None:
        super().__init__(params, locals())

    def _update(
        self, weight: Array, grad: Array, state: dict[str, Any], group: Mapping[str, Any]
    ) -> None:
        scratch, step = (memory.empty(weight.shape, weight.dtype) for _ in range(2))
        mean, square = update_moments(grad, state, group["betas"], scratch)
        write_corrected_root(square, state["step"], group, out=scratch)
        np.divide(mean, scratch, out=step)
        step /= 1 - group["betas"][0] ** state["step"]
        np.multiply(weight, group["weight_decay"], out=scratch)
        step += scratch
        length, reach = (euclidean_norm(array.ravel()) for array in (weight, step))
        step *= group["lr"] * (length / reach if length and reach else 1.0)
        weight -= step
