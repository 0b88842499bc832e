"""The course lab's network: one convolution."""

import numpy as np

from tinygrad_np import Tensor, nn


class LabCNN(nn.Module):
    """One convolution and two linear layers; 402 986 parameters (`channels=32`: its wider form)."""

    def __init__(self, generator: np.random.Generator | None = None, channels: int = 16) -> None:
        self.conv = nn.Conv2d(1, channels, 3, padding=1, generator=generator)
        self.fc1 = nn.Linear(channels * 14 * 14, 128, generator=generator)
        self.fc2 = nn.Linear(128, 10, generator=generator)
        self.relu = nn.ReLU()
        self.pool = nn.MaxPool2d(2)
        self.flatten = nn.Flatten()

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (N, 10) for images (N, 1, 28, 28)."""
        x = self.relu(self.conv(x))  # N, 16, 28, 28
        x = self.pool(x)  # N, 16, 14, 14
        x = self.flatten(x)  # N, 3136
        x = self.relu(self.fc1(x))  # N, 128
        logits: Tensor = self.fc2(x)  # N, 10
        return logits
