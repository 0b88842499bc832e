"""A wide convolutional network for 28x28 images of clothes."""

import numpy as np

from tinygrad_np import Tensor, nn


class FashionCNN(nn.Module):
    """Two convolutions with batch norm and two linear layers; 1,630,282 parameters.

        conv 3x3 (1 to 32) > batch norm > relu > max-pool 2
        conv 3x3 (32 to 64) > batch norm > relu > max-pool 2
        flatten > linear (3136 to 512) > dropout 0.5 > linear (512 to 10)

    No activation separates the two linear layers. The convolutions are initialized with
    `kaiming_normal`, the linear layers with `xavier_uniform`, and the biases with 0. The design
    comes from a PyTorch network for Fashion-MNIST (system C in `examples/RESULTS.md`).
    """

    def __init__(self, generator: np.random.Generator | None = None) -> None:
        self.conv1 = nn.Conv2d(1, 32, 3, padding=1, generator=generator)
        self.bn1 = nn.BatchNorm2d(32)
        self.conv2 = nn.Conv2d(32, 64, 3, padding=1, generator=generator)
        self.bn2 = nn.BatchNorm2d(64)
        self.fc1 = nn.Linear(64 * 7 * 7, 512, generator=generator)
        self.fc2 = nn.Linear(512, 10, generator=generator)
        self.relu = nn.ReLU()
        self.pool = nn.MaxPool2d(2)
        self.flatten = nn.Flatten()
        self.dropout = nn.Dropout(0.5, generator=generator)
        for name, parameter in self.named_parameters():
            if parameter.ndim == 4:
                nn.init.kaiming_normal_(parameter, generator=generator)
            elif parameter.ndim == 2:
                nn.init.xavier_uniform_(parameter, generator=generator)
            elif name.endswith("bias"):
                nn.init.zeros_(parameter)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (N, 10) for images (N, 1, 28, 28)."""
        x = self.pool(self.relu(self.bn1(self.conv1(x))))  # N, 32, 14, 14
        x = self.pool(self.relu(self.bn2(self.conv2(x))))  # N, 64, 7, 7
        x = self.flatten(x)  # N, 3136
        x = self.dropout(self.fc1(x))  # N, 512
        logits: Tensor = self.fc2(x)  # N, 10
        return logits
