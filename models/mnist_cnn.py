"""Two-convolution networks for 28x28 digits, in two sizes."""

import numpy as np

from tinygrad_np import Tensor, nn


class MnistCNN(nn.Module):
    """Two convolutions and two linear layers with dropout; 421,642 parameters.

        conv 3x3 (1 to 32) > relu > max-pool 2
        conv 3x3 (32 to 64) > relu > max-pool 2
        flatten > linear (3136 to 128) > relu > dropout 0.25 > linear (128 to 10)

    The design is that of system B in `examples/RESULTS.md`.

    Args:
        generator: NumPy generator for the initial values and for dropout; defaults to the global
            generator.
        widths: channels of the two convolutions and size of the hidden linear layer.
        classes: number of logits.
    """

    def __init__(
        self,
        generator: np.random.Generator | None = None,
        widths: tuple[int, int, int] = (32, 64, 128),
        classes: int = 10,
    ) -> None:
        first, second, hidden = widths
        self.conv1 = nn.Conv2d(1, first, 3, padding=1, generator=generator)
        self.conv2 = nn.Conv2d(first, second, 3, padding=1, generator=generator)
        self.fc1 = nn.Linear(second * 7 * 7, hidden, generator=generator)
        self.fc2 = nn.Linear(hidden, classes, generator=generator)
        self.relu = nn.ReLU()
        self.pool = nn.MaxPool2d(2)
        self.flatten = nn.Flatten()
        self.dropout = nn.Dropout(0.25, generator=generator)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (N, classes) for images (N, 1, 28, 28)."""
        x = self.relu(self.conv1(x))  # N, 32, 28, 28
        x = self.pool(x)  # N, 32, 14, 14
        x = self.relu(self.conv2(x))  # N, 64, 14, 14
        x = self.pool(x)  # N, 64, 7, 7
        x = self.flatten(x)  # N, 3136
        x = self.relu(self.fc1(x))  # N, 128
        x = self.dropout(x)  # N, 128
        logits: Tensor = self.fc2(x)  # N, classes
        return logits


class MnistCNNLight(MnistCNN):
    """MnistCNN with 8 and 16 channels and a hidden layer of size 32; 26,698 parameters."""

    def __init__(self, generator: np.random.Generator | None = None, classes: int = 10) -> None:
        super().__init__(generator, widths=(8, 16, 32), classes=classes)
