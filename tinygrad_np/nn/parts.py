"""What layers are made of: first weights, checks of sizes, pieces of their `repr`."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygrad_np.errors import ArgumentError
from tinygrad_np.nn import init
from tinygrad_np.nn.module import Parameter

Generator = np.random.Generator | None


def initialised(shape: tuple[int, ...], fan_in: int, generator: Generator) -> Parameter:
    """Return a parameter uniform within ±1 / sqrt(fan_in): PyTorch's default for these layers."""
    bound = 1 / math.sqrt(fan_in)
    return init.uniform(Parameter(np.empty(shape, np.float32)), -bound, bound, generator)


def at_least_one(layer: str, **sizes: int) -> None:
    """Refuse sizes that are not integers of at least 1."""
    for name, size in sizes.items():
        if not isinstance(size, int | np.integer) or size < 1:
            raise ArgumentError(f"{layer} {name}: got {size!r}, expected an integer of at least 1")


def short(numbers: Sequence[int]) -> Any:
    """Return one number where all are the same."""
    return numbers[0] if len(set(numbers)) == 1 else tuple(numbers)


def bias_note(bias: Parameter | None) -> str:
    """Return what a layer's `repr` says of its bias."""
    return "" if bias is not None else ", bias=False"
