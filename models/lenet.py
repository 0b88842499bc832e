"""The LeNet-like network for 28x28 clothes and digits, with batch norm."""

import numpy as np

from tinygrad_np import Tensor, nn


class LeNet(nn.Module):
    """Two 5x5 convolutions with batch norm and three linear layers, initialised after He;
    61 750 parameters.
    """

    def __init__(self, generator: np.random.Generator | None = None) -> None:
        self.conv1 = nn.Conv2d(1, 6, 5, padding=2, generator=generator)
        self.bn1 = nn.BatchNorm2d(6)
        self.conv2 = nn.Conv2d(6, 16, 5, generator=generator)
        self.bn2 = nn.BatchNorm2d(16)
        self.fc1 = nn.Linear(16 * 5 * 5, 120, generator=generator)
        self.fc2 = nn.Linear(120, 84, generator=generator)
        self.fc3 = nn.Linear(84, 10, generator=generator)
        self.relu = nn.ReLU()
        self.pool = nn.MaxPool2d(2)
        self.flatten = nn.Flatten()
        for name, parameter in self.named_parameters():
            if parameter.ndim > 1:
                nn.init.kaiming_normal(parameter, generator=generator)
            elif name.endswith("bias"):
                nn.init.zeros(parameter)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (N, 10) for images (N, 1, 28, 28)."""
        x = self.relu(self.bn1(self.conv1(x)))  # N, 6, 28, 28
        x = self.pool(x)  # N, 6, 14, 14
        x = self.relu(self.bn2(self.conv2(x)))  # N, 16, 10, 10
        x = self.pool(x)  # N, 16, 5, 5
        x = self.flatten(x)  # N, 400
        x = self.relu(self.fc1(x))  # N, 120
        x = self.relu(self.fc2(x))  # N, 84
        logits: Tensor = self.fc3(x)  # N, 10
        return logits
