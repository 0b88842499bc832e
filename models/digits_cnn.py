"""A small convolutional network for 8x8 digits."""

import numpy as np

from tinygrad_np import Tensor, nn


class DigitsCNN(nn.Module):
    """One convolution and one linear layer for images (N, 1, 8, 8); 1,370 parameters.

        conv 3x3 (1 to 8) > relu > max-pool 2 > flatten > linear (128 to 10)

    The weights are initialized with `kaiming_normal` and the biases with 0. The design comes from a
    tutorial on convolution and pooling (system D in `examples/RESULTS.md`).

    >>> from models import DigitsCNN
    >>> from tinygrad_np import Tensor
    >>> DigitsCNN()(Tensor.zeros(2, 1, 8, 8)).shape
    (2, 10)
    """

    def __init__(self, generator: np.random.Generator | None = None) -> None:
        self.conv = nn.Conv2d(1, 8, 3, padding=1, generator=generator)
        self.fc = nn.Linear(8 * 4 * 4, 10, generator=generator)
        self.relu = nn.ReLU()
        self.pool = nn.MaxPool2d(2)
        self.flatten = nn.Flatten()
        for parameter in self.parameters():
            if parameter.ndim > 1:
                nn.init.kaiming_normal_(parameter, generator=generator)
            else:
                nn.init.zeros_(parameter)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (N, 10) for images (N, 1, 8, 8)."""
        x = self.relu(self.conv(x))  # N, 8, 8, 8
        x = self.pool(x)  # N, 8, 4, 4
        x = self.flatten(x)  # N, 128
        logits: Tensor = self.fc(x)  # N, 10
        return logits
