"""A multilayer perceptron, for images or for points in the plane."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from tinygrad_np import Tensor, nn
from tinygrad_np.checks import check_integer
from tinygrad_np.errors import ArgumentError


class MLP(nn.Module):
    """Linear layers with ReLU between them; 101,770 parameters by default.

        flatten > linear (784 to 128) > relu > linear (128 to 10)

    The weights are initialized with `kaiming_normal` and the biases with 0.

    Args:
        generator: NumPy generator for the initial values; None uses the default generator.
        inputs: number of values per sample: 784 for images of 28x28 pixels, 2 for points.
        hidden: sizes of the hidden layers; without any, the model is linear.
        classes: number of logits.

    Raises:
        ArgumentError: if a size is not an integer >= 1, or `hidden` is not a list or tuple.

    >>> from models import MLP
    >>> from tinygrad_np import Tensor
    >>> MLP(inputs=2, hidden=(16, 16), classes=2)(Tensor.zeros(5, 2, 1, 1)).shape
    (5, 2)
    """

    def __init__(
        self,
        generator: np.random.Generator | None = None,
        inputs: int = 784,
        hidden: Sequence[int] = (128,),
        classes: int = 10,
    ) -> None:
        check_integer("MLP", 1, inputs=inputs, classes=classes)
        if not isinstance(hidden, list | tuple):
            raise ArgumentError(
                f"MLP: expected `hidden` to be a list of sizes such as [16, 16], got {hidden!r}."
            )
        for size in hidden:
            check_integer("MLP", 1, hidden=size)
        layers: list[nn.Module] = [nn.Flatten()]
        for before, after in pairwise((inputs, *hidden, classes)):
            layers += [nn.Linear(before, after, generator=generator), nn.ReLU()]
        self.layers = nn.Sequential(*layers[:-1])  # no ReLU after the last linear layer
        for parameter in self.parameters():
            if parameter.ndim > 1:
                nn.init.kaiming_normal_(parameter, generator=generator)
            else:
                nn.init.zeros_(parameter)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (N, classes) for samples (N, ...) of `inputs` values each."""
        logits: Tensor = self.layers(x)  # N, classes
        return logits
