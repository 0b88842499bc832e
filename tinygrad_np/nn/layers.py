"""Layers: their parameters, with PyTorch's names, layouts and initial values."""

import numpy as np

from tinygrad_np.errors import ArgumentError
from tinygrad_np.nn.module import Module
from tinygrad_np.nn.parts import at_least_one, bias_note, initialised
from tinygrad_np.tensor import Tensor

Generator = np.random.Generator | None


class Linear(Module):
    """x @ weight.T + bias: x (..., in_features), weight (out_features, in_features).

    >>> from tinygrad_np import Tensor, nn
    >>> nn.Linear(3, 2)(Tensor.ones(5, 3)).shape
    (5, 2)
    """

    def __init__(
        self, in_features: int, out_features: int, bias: bool = True, generator: Generator = None
    ) -> None:
        at_least_one("Linear", in_features=in_features, out_features=out_features)
        self.in_features = in_features
        self.out_features = out_features
        self.weight = initialised((out_features, in_features), in_features, generator)
        self.bias = initialised((out_features,), in_features, generator) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        """Return (..., out_features)."""
        return x.linear(self.weight, self.bias)

    def describe(self) -> str:
        """Return the sizes."""
        return f"{self.in_features}, {self.out_features}{bias_note(self.bias)}"


class ReLU(Module):
    """max(x, 0)."""

    def forward(self, x: Tensor) -> Tensor:
        """Return max(x, 0)."""
        return x.relu()


class Flatten(Module):
    """The axes from start_dim to end_dim as one; by default all but the batch."""

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        self.start_dim = start_dim
        self.end_dim = end_dim

    def forward(self, x: Tensor) -> Tensor:
        """Return x flattened."""
        return x.flatten(self.start_dim, self.end_dim)


class Dropout(Module):
    """In training, zero each entry with probability p and scale the rest by 1 / (1 - p)."""

    def __init__(self, p: float = 0.5, generator: Generator = None) -> None:
        if not 0 <= p <= 1:
            raise ArgumentError(f"Dropout p: got {p}, expected a probability from 0 to 1")
        self.p = p
        self.generator = generator

    def forward(self, x: Tensor) -> Tensor:
        """Return x with entries dropped, or x itself in evaluation."""
        return x.dropout(self.p, self.training, self.generator)

    def describe(self) -> str:
        """Return the probability."""
        return f"p={self.p}"
