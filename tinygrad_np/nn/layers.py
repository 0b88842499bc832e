"""Layers: their parameters, with PyTorch's names, layouts and initial values."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygrad_np.errors import ArgumentError
from tinygrad_np.nn import init
from tinygrad_np.nn.module import Module, Parameter
from tinygrad_np.ops.conv import per_axis
from tinygrad_np.tensor import Tensor

Generator = np.random.Generator | None
Sizes = int | Sequence[int]


def _initialised(shape: tuple[int, ...], fan_in: int, generator: Generator) -> Parameter:
    """Return a parameter uniform within ±1 / sqrt(fan_in): PyTorch's default for these layers."""
    bound = 1 / math.sqrt(fan_in)
    return init.uniform(Parameter(np.empty(shape, np.float32)), -bound, bound, generator)


def _at_least_one(layer: str, **sizes: int) -> None:
    for name, size in sizes.items():
        if not isinstance(size, int | np.integer) or size < 1:
            raise ArgumentError(f"{layer} {name}: got {size!r}, expected an integer of at least 1")


class Linear(Module):
    """x @ weight.T + bias: x (..., in_features), weight (out_features, in_features).

    >>> from tinygrad_np import Tensor, nn
    >>> nn.Linear(3, 2)(Tensor.ones(5, 3)).shape
    (5, 2)
    """

    def __init__(
        self, in_features: int, out_features: int, bias: bool = True, generator: Generator = None
    ) -> None:
        _at_least_one("Linear", in_features=in_features, out_features=out_features)
        self.in_features = in_features
        self.out_features = out_features
        self.weight = _initialised((out_features, in_features), in_features, generator)
        self.bias = _initialised((out_features,), in_features, generator) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        """Return (..., out_features)."""
        return x.linear(self.weight, self.bias)

    def describe(self) -> str:
        """Return the sizes."""
        return f"{self.in_features}, {self.out_features}{_bias(self.bias)}"


class Conv2d(Module):
    """Cross-correlation of images (N, in_channels, H, W) to (N, out_channels, P, Q).

    weight is (out_channels, in_channels / groups, *kernel_size).

    >>> from tinygrad_np import Tensor, nn
    >>> nn.Conv2d(1, 8, 3, padding=1)(Tensor.ones(2, 1, 28, 28)).shape
    (2, 8, 28, 28)
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Sizes,
        stride: Sizes = 1,
        padding: Sizes = 0,
        dilation: Sizes = 1,
        groups: int = 1,
        bias: bool = True,
        generator: Generator = None,
    ) -> None:
        _at_least_one("Conv2d", in_channels=in_channels, out_channels=out_channels, groups=groups)
        if in_channels % groups or out_channels % groups:
            raise ArgumentError(
                f"Conv2d groups: got {groups}, expected a divisor of in_channels={in_channels} and "
                f"of out_channels={out_channels}"
            )
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.kernel_size = per_axis("Conv2d kernel_size", kernel_size, 2, 1)
        self.stride = per_axis("Conv2d stride", stride, 2, 1)
        self.padding = per_axis("Conv2d padding", padding, 2, 0)
        self.dilation = per_axis("Conv2d dilation", dilation, 2, 1)
        self.groups = groups
        shape = (out_channels, in_channels // groups, *self.kernel_size)
        fan_in = math.prod(shape[1:])
        self.weight = _initialised(shape, fan_in, generator)
        self.bias = _initialised((out_channels,), fan_in, generator) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, out_channels, P, Q)."""
        return x.conv2d(
            self.weight,
            self.bias,
            stride=self.stride,
            padding=self.padding,
            dilation=self.dilation,
            groups=self.groups,
        )

    def describe(self) -> str:
        """Return the sizes, and what is not at its default."""
        text = f"{self.in_channels}, {self.out_channels}, kernel_size={_short(self.kernel_size)}"
        for name, usual in (("stride", 1), ("padding", 0), ("dilation", 1)):
            value = _short(getattr(self, name))
            text += "" if value == usual else f", {name}={value}"
        text += "" if self.groups == 1 else f", groups={self.groups}"
        return text + _bias(self.bias)


class MaxPool2d(Module):
    """Maximum over windows of images (N, C, H, W); the stride is the window unless given."""

    def __init__(self, kernel_size: Sizes, stride: Sizes | None = None, padding: Sizes = 0) -> None:
        self.kernel_size = per_axis("MaxPool2d kernel_size", kernel_size, 2, 1)
        self.stride = per_axis("MaxPool2d stride", kernel_size if stride is None else stride, 2, 1)
        self.padding = per_axis("MaxPool2d padding", padding, 2, 0)

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, C, P, Q)."""
        return x.max_pool2d(self.kernel_size, self.stride, self.padding)

    def describe(self) -> str:
        """Return the window, and what is not at its default."""
        text = f"kernel_size={_short(self.kernel_size)}"
        text += "" if self.stride == self.kernel_size else f", stride={_short(self.stride)}"
        return text + ("" if _short(self.padding) == 0 else f", padding={_short(self.padding)}")


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


def _short(numbers: Sequence[int]) -> Any:
    """Return one number where all are the same."""
    return numbers[0] if len(set(numbers)) == 1 else tuple(numbers)


def _bias(bias: Parameter | None) -> str:
    return "" if bias is not None else ", bias=False"
