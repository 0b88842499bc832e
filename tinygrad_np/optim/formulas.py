"""Parts of update rules that several optimizers share."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from tinygrad_np.kernels.reductions import row_dots
from tinygrad_np.runtime import memory
from tinygrad_np.runtime.memory import Array


def euclidean_norm(vector: Array) -> float:
    """Return √Σ x², accurate for millions of entries."""
    return math.sqrt(row_dots(vector[None], vector[None])[0])


def add_decay(weight: Array, grad: Array, weight_decay: float) -> Array:
    """Return grad + weight_decay weight, the gradient of the loss with an L2 penalty."""
    if not weight_decay:
        return grad
    total = memory.empty(weight.shape, weight.dtype)
    np.multiply(weight, weight_decay, out=total)
    total += grad
    return total


def apply_decay(weight: Array, grad: Array, group: Mapping[str, Any]) -> Array:
    """Apply weight decay, to `weight` in place if decoupled, and return the gradient to use."""
    if not group["decoupled_weight_decay"]:
        return add_decay(weight, grad, group["weight_decay"])
    weight *= 1 - group["lr"] * group["weight_decay"]
    return grad


def get_or_zeros(state: dict[str, Any], name: str, weight: Array) -> Array:
    """Return the array `state[name]`, initialized with zeros like `weight`."""
    if name not in state:
        state[name] = np.zeros_like(weight)
    found: Array = state[name]
    return found


def blend(mean: Array, value: Array, keep: float, scratch: Array) -> Array:
    """Set `mean` to keep mean + (1 - keep) value and return it; `scratch` may be `value`."""
    mean *= keep
    np.multiply(value, 1 - keep, out=scratch)
    mean += scratch
    return mean


def update_moments(
    grad: Array, state: dict[str, Any], betas: tuple[float, float], scratch: Array
) -> tuple[Array, Array]:
    """Count a step; update and return the running means of the gradient and of its square."""
    state["step"] = state.get("step", 0) + 1
    mean = blend(get_or_zeros(state, "mean", grad), grad, betas[0], scratch)
    np.multiply(grad, grad, out=scratch)
    return mean, blend(get_or_zeros(state, "square", grad), scratch, betas[1], scratch)


def write_corrected_root(square: Array, step: int, group: Mapping[str, Any], out: Array) -> None:
    """Write sqrt(square / (1 - β2^step)) + eps, Adam's bias-corrected denominator, to `out`."""
    np.sqrt(square, out=out)
    out /= math.sqrt(1 - group["betas"][1] ** step)
    out += group["eps"]
