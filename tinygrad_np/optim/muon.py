"""The Muon optimizer, and its combination with AdamW."""

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from tinygrad_np.checks import is_finite, is_integer
from tinygrad_np.errors import ArgumentError, ShapeError
from tinygrad_np.frontend.tensor import Tensor
from tinygrad_np.optim.adam import AdamW
from tinygrad_np.optim.formulas import blend, get_or_zeros
from tinygrad_np.optim.optimizer import Optimizer
from tinygrad_np.runtime import memory
from tinygrad_np.runtime.memory import Array


class Muon(Optimizer):
    """Orthogonalized momentum for matrices (Jordan et al. 2024, kellerjordan.github.io/posts/muon).

    Args:
        params: matrices, (name, matrix) pairs or parameter groups of matrices; see `Optimizer`.
            Use Muon for the weight matrices of hidden layers, and AdamW for biases, norms and
            convolutions.
        lr: learning rate.
        weight_decay: each step first multiplies the weights by 1 - lr weight_decay.
        momentum: decay rate of the running mean of the gradient.
        nesterov: blend the gradient into the running mean a second time before orthogonalizing.
        ns_coefficients: coefficients a, b and c of the Newton-Schulz iteration.
        eps: lower bound of the norm that the iteration divides by.
        ns_steps: number of Newton-Schulz iterations.
        adjust_lr_fn: scale s of the update: None or "original" for sqrt(max(1, rows / columns)),
            "match_rms_adamw" for 0.2 sqrt(max(rows, columns)) (Liu et al. 2025, equation 4), which
            lets Muon reuse AdamW's learning rate and weight decay.

    The update rule is PyTorch's, computed in the parameter's dtype where PyTorch rounds to
    bfloat16:

        b ← momentum b + (1 - momentum) grad
        u = b, or with nesterov u = momentum b + (1 - momentum) grad
        w ← w - lr weight_decay w
        w ← w - lr s NewtonSchulz(u)

    Raises:
        ArgumentError: as in `Optimizer`, or if `ns_coefficients` does not have three entries or has
            a nan or inf, `ns_steps` is not an integer from 0 to 99, or `adjust_lr_fn` is unknown.
        ShapeError: if a parameter is not a matrix.

    >>> from tinygrad_np import nn, optim
    >>> layer = nn.Linear(2, 1)
    >>> optimizer = optim.Muon([layer.weight], lr=0.02)
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        weight_decay: float = 0.1,
        momentum: float = 0.95,
        nesterov: bool = True,
        ns_coefficients: tuple[float, float, float] = (3.4445, -4.775, 2.0315),
        eps: float = 1e-7,
        ns_steps: int = 5,
        adjust_lr_fn: str | None = None,
    ) -> None:
        super().__init__(params, locals())

    def _check_parameter(self, name: str, parameter: Tensor) -> None:
        if parameter.ndim != 2:
            raise ShapeError(
                f"{self._kind}: expected matrices, got parameter {name!r} of shape "
                f"{parameter.shape}. Give it to another optimizer, for example AdamW."
            )

    def _check(self, options: Mapping[str, Any]) -> None:
        super()._check(options)
        factors, steps = options["ns_coefficients"], options["ns_steps"]
        if not isinstance(factors, tuple | list) or len(factors) != 3:
            raise ArgumentError(
                f"{self._kind}: expected `ns_coefficients` to be three numbers, got {factors!r}."
            )
        if not all(is_finite(factor) for factor in factors):
            raise ArgumentError(
                f"{self._kind}: expected `ns_coefficients` to be finite, got {factors}."
            )
        if not is_integer(steps) or not 0 <= steps < 100:
            raise ArgumentError(
                f"{self._kind}: expected `ns_steps` to be an integer from 0 to 99, got {steps!r}. "
                "Try 5, the default."
            )
        if options["adjust_lr_fn"] not in (None, "original", "match_rms_adamw"):
            raise ArgumentError(
                f"{self._kind}: expected `adjust_lr_fn` to be None, 'original' or "
                f"'match_rms_adamw', got {options['adjust_lr_fn']!r}."
            )

    def _update(
        self, weight: Array, grad: Array, state: dict[str, Any], group: Mapping[str, Any]
    ) -> None:
        scratch, ahead = (memory.empty(weight.shape, weight.dtype) for _ in range(2))
        velocity = get_or_zeros(state, "momentum_buffer", weight)
        blend(velocity, grad, group["momentum"], scratch)
        ahead[...] = velocity
        if group["nesterov"]:
            blend(ahead, grad, group["momentum"], scratch)
        step = orthogonalize(ahead, group["ns_coefficients"], group["ns_steps"], group["eps"])
        rows, columns = weight.shape
        if group["adjust_lr_fn"] == "match_rms_adamw":
            share = 0.2 * math.sqrt(max(rows, columns))
        else:
            share = math.sqrt(max(1, rows / columns))
        weight *= 1 - group["lr"] * group["weight_decay"]
        np.multiply(step, group["lr"] * share, out=scratch)
        weight -= scratch


class MuonAdamW(Muon, AdamW):
    """Muon for matrices and AdamW for all other parameters: biases, norms and convolutions.

    Args:
        params: tensors, (name, tensor) pairs or parameter groups; see `Optimizer`.
        lr: learning rate of both.
        weight_decay: each step first multiplies the weights by 1 - lr weight_decay.
        momentum: decay rate of Muon's running mean of the gradient.
        betas: decay rates of AdamW's running means of the gradient and of its square.

    Muon's updates are scaled to the size of AdamW's (`adjust_lr_fn="match_rms_adamw"`), so one
    learning rate suits both (Liu et al. 2025, equation 4). The other options are set per parameter
    group; `eps` is the same for both.

    Raises:
        ArgumentError: as in `Muon` and `AdamW`.

    >>> from tinygrad_np import nn, optim
    >>> model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Flatten(), nn.Linear(36, 2))
    >>> optimizer = optim.MuonAdamW(model.parameters(), lr=0.002)
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        weight_decay: float = 0.1,
        momentum: float = 0.95,
        betas: tuple[float, float] = (0.9, 0.999),
    ) -> None:
        options = {"lr": lr, "weight_decay": weight_decay, "momentum": momentum, "betas": betas}
        options |= {"nesterov": True, "ns_coefficients": (3.4445, -4.775, 2.0315), "ns_steps": 5}
        options |= {"eps": 1e-8, "adjust_lr_fn": "match_rms_adamw"}
        options |= {"amsgrad": False, "decoupled_weight_decay": True}
        Optimizer.__init__(self, params, options)

    def _check_parameter(self, name: str, parameter: Tensor) -> None:
        """Accept parameters of any shape."""

    def _update(
        self, weight: Array, grad: Array, state: dict[str, Any], group: Mapping[str, Any]
    ) -> None:
        rule = Muon if weight.ndim == 2 else AdamW
        rule._update(self, weight, grad, state, group)


def orthogonalize(
    matrix: Array, factors: tuple[float, float, float], steps: int, eps: float
) -> Array:
    """Return `matrix` with its singular values moved close to 1 by the Newton-Schulz iteration.

        x ← a x + (b G + c G²) x with G = x xᵀ, starting with x = matrix / max(|matrix|, eps)

    >>> orthogonalize(np.diag([3.0, 4.0]), (1.5, -0.5, 0.0), 20, 1e-7).round(6).tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """
    a, b, c = factors
    wide = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T  # for a smaller G
    x, product = (memory.empty(wide.shape, wide.dtype) for _ in range(2))
    gram, mixed = (memory.empty((len(wide), len(wide)), wide.dtype) for _ in range(2))
    np.divide(wide, max(float(np.linalg.norm(wide)), eps), out=x)
    for _ in range(steps):
        np.matmul(x, x.T, out=gram)
        np.matmul(gram, gram, out=mixed)
        mixed *= c
        gram *= b
        mixed += gram
        np.matmul(mixed, x, out=product)
        x *= a
        x += product
    return x if wide is matrix else x.T
