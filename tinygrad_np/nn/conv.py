"""Convolution and pooling layers."""

import math
from collections.abc import Sequence

import numpy as np

from tinygrad_np.errors import ArgumentError
from tinygrad_np.nn.module import Module
from tinygrad_np.nn.parts import at_least_one, bias_note, initialised, short
from tinygrad_np.ops.conv import per_axis
from tinygrad_np.tensor import Tensor

Generator = np.random.Generator | None
Sizes = int | Sequence[int]


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
        at_least_one("Conv2d", in_channels=in_channels, out_channels=out_channels, groups=groups)
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
        self.weight = initialised(shape, fan_in, generator)
        self.bias = initialised((out_channels,), fan_in, generator) if bias else None

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
        text = f"{self.in_channels}, {self.out_channels}, kernel_size={short(self.kernel_size)}"
        for name, usual in (("stride", 1), ("padding", 0), ("dilation", 1)):
            value = short(getattr(self, name))
            text += "" if value == usual else f", {name}={value}"
        text += "" if self.groups == 1 else f", groups={self.groups}"
        return text + bias_note(self.bias)


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
        text = f"kernel_size={short(self.kernel_size)}"
        text += "" if self.stride == self.kernel_size else f", stride={short(self.stride)}"
        return text + ("" if short(self.padding) == 0 else f", padding={short(self.padding)}")
