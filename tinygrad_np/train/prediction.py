"""Model outputs for a whole dataset."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from tinygrad_np import nn
from tinygrad_np.errors import ArgumentError, DtypeError
from tinygrad_np.frontend.tensor import Tensor
from tinygrad_np.runtime.memory import Array
from tinygrad_np.runtime.state import no_grad


def predict(model: nn.Module, loader: Iterable[tuple[Any, Any]]) -> Array:
    """Return the model's outputs for all inputs of a loader, in the loader's order.

    The model runs in evaluation mode and records no graph. The mode of each module is restored
    afterwards.

    Returns:
        The concatenated outputs: an array of shape (N, C) for a classifier.

    Raises:
        ArgumentError: if the loader yields nothing.
        DtypeError: if the model returns anything but a Tensor.

    >>> from tinygrad_np import data, nn
    >>> _, test_set = data.digits()
    >>> model = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    >>> predict(model, data.DataLoader(test_set)).shape
    (359, 10)
    """
    with evaluating(model):
        outputs = [_array_of(model(inputs)) for inputs, _ in loader]
    if not outputs:
        raise ArgumentError("predict: the loader yielded no samples.")
    return np.concatenate(outputs)


def _array_of(output: Any) -> Array:
    if not isinstance(output, Tensor):
        raise DtypeError(
            f"predict: expected the model to return a Tensor, got {type(output).__name__}."
        )
    return output.data


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Put the model in evaluation mode under `no_grad`; restore each module's mode at the end."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with no_grad():
            yield
    finally:
        for module, mode in modes:
            module.training = mode
