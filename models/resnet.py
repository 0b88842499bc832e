"""A small residual network for 28x28 images (He et al. 2016).

Squeeze-and-excitation (Hu et al. 2018) is optional.
"""

import numpy as np

from tinygrad_np import Tensor, nn

Generator = np.random.Generator | None


class SqueezeExcitation(nn.Module):
    """Squeeze-and-excitation: scale each channel by a gate computed from all channel means.

    The gates of shape (N, C) are

        mean over H, W > linear (C to C / reduction) > relu > linear (C / reduction to C) > sigmoid
    """

    def __init__(self, channels: int, reduction: int = 4, generator: Generator = None) -> None:
        hidden = max(1, channels // reduction)
        self.squeeze = nn.Linear(channels, hidden, generator=generator)
        self.excite = nn.Linear(hidden, channels, generator=generator)

    def forward(self, x: Tensor) -> Tensor:
        """Return images (N, C, H, W) with their channels scaled."""
        means = x.mean(axis=(2, 3))  # N, C
        gates: Tensor = self.excite(self.squeeze(means).relu()).sigmoid()  # N, C
        return x * gates.reshape(*gates.shape, 1, 1)


class Block(nn.Module):
    """Residual block: the input plus the output of two 3x3 convolutions with batch norm.

    If the shapes differ, the input first passes through a 1x1 convolution with batch norm.
    """

    def __init__(
        self,
        channels: int,
        out_channels: int,
        stride: int,
        squeeze_excitation: bool,
        generator: Generator = None,
    ) -> None:
        self.conv1 = _convolution(channels, out_channels, 3, stride, generator)
        self.bn1 = nn.BatchNorm2d(out_channels)
        self.conv2 = _convolution(out_channels, out_channels, 3, 1, generator)
        self.bn2 = nn.BatchNorm2d(out_channels)
        self.gate = (
            SqueezeExcitation(out_channels, generator=generator) if squeeze_excitation else None
        )
        self.around = None
        if stride != 1 or channels != out_channels:
            self.around = nn.Sequential(
                _convolution(channels, out_channels, 1, stride, generator),
                nn.BatchNorm2d(out_channels),
            )

    def forward(self, x: Tensor) -> Tensor:
        """Return images (N, out_channels, ceil(H / stride), ceil(W / stride))."""
        out: Tensor = self.bn1(self.conv1(x)).relu()
        out = self.bn2(self.conv2(out))
        if self.gate is not None:
            out = self.gate(out)
        straight: Tensor = x if self.around is None else self.around(x)
        return (out + straight).relu()


class ResNet(nn.Module):
    """A convolution, three residual blocks and a linear layer; 77,754 parameters by default.

        conv 3x3 (1 to width) > batch norm > relu
        block (width) > block (2 width, stride 2) > block (4 width, stride 2)
        mean over H, W > linear (4 width to 10)

    Convolutions are initialized with `kaiming_normal`.

    Args:
        generator: NumPy generator for the initial values; None uses the default generator.
        squeeze_excitation: whether each block scales its channels; 80,582 parameters in total at
            width 16.
        width: number of channels of the first block.
        classes: number of logits.
    """

    def __init__(
        self,
        generator: Generator = None,
        squeeze_excitation: bool = False,
        width: int = 16,
        classes: int = 10,
    ) -> None:
        self.conv = _convolution(1, width, 3, 1, generator)
        self.bn = nn.BatchNorm2d(width)
        self.blocks = nn.Sequential(
            Block(width, width, 1, squeeze_excitation, generator),
            Block(width, 2 * width, 2, squeeze_excitation, generator),
            Block(2 * width, 4 * width, 2, squeeze_excitation, generator),
        )
        self.fc = nn.Linear(4 * width, classes, generator=generator)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (N, classes) for images (N, 1, 28, 28)."""
        x = self.bn(self.conv(x)).relu()  # N, width, 28, 28
        x = self.blocks(x)  # N, 4 width, 7, 7
        logits: Tensor = self.fc(x.mean(axis=(2, 3)))  # N, classes
        return logits


def _convolution(
    channels: int, out_channels: int, kernel_size: int, stride: int, generator: Generator
) -> nn.Conv2d:
    """Return a convolution without a bias, which the batch norm after it would cancel."""
    layer = nn.Conv2d(
        channels,
        out_channels,
        kernel_size,
        stride=stride,
        padding=kernel_size // 2,
        bias=False,
        generator=generator,
    )
    nn.init.kaiming_normal_(layer.weight, generator=generator)
    return layer
