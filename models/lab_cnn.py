"""The course lab's network: one convolution, or two."""

import numpy as np

from tinygrad_np import Tensor, nn
from tinygrad_np.errors import ArgumentError


class LabCNN(nn.Module):
    """One convolution and two linear layers; 402 986 parameters (`channels=32`: its wider form).

    With `blocks=2` a second convolution, to twice the channels, and a pool follow the first;
    206 922 parameters. Raises ArgumentError for another number of blocks.
    """

    def __init__(
        self, generator: np.random.Generator | None = None, channels: int = 16, blocks: int = 1
    ) -> None:
        if blocks not in (1, 2):
            raise ArgumentError(f"LabCNN blocks: got {blocks!r}, expected 1 or 2")
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
        x = self.flatten(x)  # N, 3136, or 1568 after two blocks
        x = self.relu(self.fc1(x))  # N, 128
        logits: Tensor = self.fc2(x)  # N, 10
        return logits
