"""A variant of LeNet-5 with batch norm for 28x28 images."""

import numpy as np

from tinygrad_np import Tensor, nn


class LeNet(nn.Module):
    """Two 5x5 convolutions with batch norm and three linear layers; 61,750 parameters.

        conv 5x5, padding 2 (1 to 6) > batch norm > relu > max-pool 2
        conv 5x5 (6 to 16) > batch norm > relu > max-pool 2
        flatten > linear (400 to 120) > relu > linear (120 to 84) > relu > linear (84 to 10)

    The layer sizes come from LeNet-5 (LeCun et al. 1998), which has no batch norm, ReLU or
    max-pooling. The weights are initialized with `kaiming_normal` and the biases with 0. The design
    is that of system C in `examples/RESULTS.md`.
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
                nn.init.kaiming_normal_(parameter, generator=generator)
            elif name.endswith("bias"):
                nn.init.zeros_(parameter)

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
