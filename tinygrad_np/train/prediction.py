"""Model outputs for a whole dataset."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from tinygrad_np import nn
from tinygrad_np.errors import ArgumentError, DtypeError, ShapeError
from tinygrad_np.frontend.tensor import Tensor
from tinygrad_np.runtime.memory import Array
from tinygrad_np.runtime.state import no_grad
from tinygrad_np.train.batches import Batches, call_model, check_loader, split_batch


def predict(model: nn.Module, loader: Batches) -> Array:
    """Return the model's outputs for all inputs of a loader, in the loader's order.

    The model runs in evaluation mode and records no graph. The mode of each module is restored
    afterwards. Batches have the form that `Trainer` describes; a tuple of length 1, as from
    ArrayDataset(inputs), has no targets.

    Returns:
        The concatenated outputs: an array of shape (N, C) for a classifier.

    Raises:
        ArgumentError: if the loader yields nothing.
        DtypeError: if the model returns anything but a Tensor, the loader is not iterable, or a
            batch is not a tuple.
        ShapeError: if the outputs of two batches differ in shape beyond the first axis.

    >>> from tinygrad_np import data, nn
    >>> _, test_set = data.digits()
    >>> model = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    >>> predict(model, data.DataLoader(test_set)).shape
    (359, 10)
    """
    check_loader("predict", loader)
    outputs = []
    with evaluating(model):
        for batch in loader:
            is_alone = isinstance(batch, tuple | list) and len(batch) == 1
            inputs = batch[0] if is_alone else split_batch("predict", batch)[0]
            outputs.append(_array_of(call_model(model, inputs)))
    if not outputs:
        raise ArgumentError("predict: the loader yielded no samples.")
    shapes = list(dict.fromkeys(output.shape[1:] for output in outputs))
    if len(shapes) > 1:
        raise ShapeError(
            "predict: expected outputs of the same shape per sample, got "
            f"{shapes[0]} and {shapes[1]}. Pad the inputs to one length."
        )
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
