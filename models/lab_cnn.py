"""The network of a course lab, with one convolution or two."""

import numpy as np

from tinygrad_np import Tensor, nn
from tinygrad_np.errors import ArgumentError


class LabCNN(nn.Module):
    """One or two convolutions and two linear layers; 402,986 parameters by default.

        conv 3x3 (1 to 16) > relu > max-pool 2
        conv 3x3 (16 to 32) > relu > max-pool 2   (only with blocks=2)
        flatten > linear (3136 or 1568 to 128) > relu > linear (128 to 10)

    The design comes from a course lab (system A in `examples/RESULTS.md`).

    Args:
        generator: NumPy generator for the initial values; None uses the default generator.
        channels: number of channels of the first convolution; the lab's wider form has 32.
        blocks: number of convolutions; with 2, the second has twice as many channels, and the model
            has 206,922 parameters.

    Raises:
        ArgumentError: if `blocks` is neither 1 nor 2.
    """

    def __init__(
        self, generator: np.random.Generator | None = None, channels: int = 16, blocks: int = 1
    ) -> None:
        if blocks not in (1, 2):
            raise ArgumentError(f"LabCNN: expected `blocks` to be 1 or 2, got {blocks!r}.")
        self.conv = nn.Conv2d(1, channels, 3, padding=1, generator=generator)
        self.conv2 = None
        features = channels * 14 * 14
        if blocks == 2:
            self.conv2 = nn.Conv2d(channels, 2 * channels, 3, padding=1, generator=generator)
            features = 2 * channels * 7 * 7
        self.fc1 = nn.Linear(features, 128, generator=generator)
        self.fc2 = nn.Linear(128, 10, generator=generator)
        self.relu = nn.ReLU()
        self.pool = nn.MaxPool2d(2)
        self.flatten = nn.Flatten()

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (N, 10) for images (N, 1, 28, 28)."""
        x = self.relu(self.conv(x))  # N, 16, 28, 28
        x = self.pool(x)  # N, 16, 14, 14
        if self.conv2 is not None:
            x = self.relu(self.conv2(x))  # N, 32, 14, 14
            x = self.pool(x)  # N, 32, 7, 7
        x = self.flatten(x)  # N, 3136; N, 1568 with two blocks
        x = self.relu(self.fc1(x))  # N, 128
        logits: Tensor = self.fc2(x)  # N, 10
        return logits
