"""An exponential moving average of a model's weights."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol

import numpy as np

from tinygrad_np.checks import check_probability
from tinygrad_np.display import number_of, safe
from tinygrad_np.errors import ArgumentError, ShapeError
from tinygrad_np.frontend.tensor import Tensor
from tinygrad_np.runtime.memory import Array
from tinygrad_np.schema import COUNT, check


class _Module(Protocol):
    """A module: anything with named parameters and buffers."""

    def named_parameters(self) -> Iterator[tuple[str, Tensor]]:
        """Yield (path, parameter) for each parameter once."""

    def named_buffers(self) -> Iterator[tuple[str, Tensor]]:
        """Yield (path, buffer) for each buffer once."""


class EMA:
    """Exponential moving average of a model's parameters, often better than the final ones.

    Averaging the iterates removes much of the noise of stochastic gradients (Polyak and Juditsky
    1992). Call `update()` after each step of the optimizer, and evaluate inside `averaged()`.

    Args:
        model: the module.
        decay: weight of the average so far in each update; 0.999 averages about the last 1000
            steps.

    The first update copies the parameters, as PyTorch's AveragedModel does; each later one is

        average ← decay average + (1 - decay) parameter

    Buffers, such as the running statistics of batch norm, are copied. Averages of float16
    parameters are float32, since float16 would round small changes away.

    Attributes:
        updates: number of updates so far.
        averages: the averaged parameters and the copied buffers, arrays by path.

    Raises:
        ArgumentError: if `model` is not a module, or `decay` is not a number from 0 to 1.

    >>> from tinygrad_np import nn, optim
    >>> layer = nn.Linear(1, 1, bias=False)
    >>> ema = optim.EMA(layer, decay=0.5)
    >>> for weight in (4.0, 8.0):
    ...     _ = nn.init.constant_(layer.weight, weight)
    ...     ema.update()
    >>> with ema.averaged():
    ...     print(layer.weight.item())
    6.0
    >>> layer.weight.item()
    8.0
    """

    def __init__(self, model: _Module, decay: float = 0.999) -> None:
        check_probability("EMA", decay=decay)
        if isinstance(model, type) or not callable(getattr(model, "named_buffers", None)):
            got = f"the class {model.__name__}" if isinstance(model, type) else type(model).__name__
            raise ArgumentError(f"EMA: expected `model` to be a module, got {got}.")
        self.model = model
        self.decay = decay
        self.updates = 0
        self.averages = {
            name: tensor.data.astype(_average_dtype(tensor)) for name, tensor in self._tensors()
        }

    @safe
    def __repr__(self) -> str:
        return f"EMA(decay={self.decay}): {number_of(self.updates, 'update')}"

    def update(self) -> None:
        """Include the current parameters in the average, and copy the buffers.

        Raises:
            ArgumentError: if the model got or lost parameters or buffers since construction.
            ShapeError: if one of them has another shape than at construction.
        """
        tensors = self._current()
        trained = dict(self.model.named_parameters())
        for name, average in self.averages.items():
            if name in trained and self.updates:
                change = tensors[name].data - average
                change *= 1 - self.decay
                average += change
            else:
                average[...] = tensors[name].data
        self.updates += 1

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """Put the averages into the model for the duration of a `with` block.

        Afterwards the parameters and buffers have their own values again, even after an exception;
        changes to their values made inside the block are lost.

        Raises:
            ArgumentError: if the model got or lost parameters or buffers since construction.
            ShapeError: if one of them has another shape than at construction.
        """
        tensors = self._current()
        own = [(tensor, tensor.data.copy()) for tensor in tensors.values()]
        _write((tensor, self.averages[name]) for name, tensor in tensors.items())
        try:
            yield
        finally:
            _write(own)  # the tensors themselves: the module may have others by now

    def state_dict(self) -> dict[str, Any]:
        """Return the number of updates and copies of the averages."""
        averages = {name: average.copy() for name, average in self.averages.items()}
        return {"updates": self.updates, "averages": averages}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Load a `state_dict` of a model with the same parameters and buffers.

        Raises:
            ArgumentError: if a name or dtype does not match.
            ShapeError: if an array has the wrong shape.

        An error leaves the averages unchanged.
        """
        schema = {"updates": COUNT, "averages": self.averages}
        check("EMA.load_state_dict", state, schema)
        self.updates = state["updates"]
        for name, average in self.averages.items():
            average[...] = state["averages"][name]

    def _tensors(self) -> Iterator[tuple[str, Tensor]]:
        yield from self.model.named_parameters()
        yield from self.model.named_buffers()

    def _current(self) -> dict[str, Tensor]:
        """Return the model's tensors, which must have the names of the averages."""
        tensors = dict(self._tensors())
        if changed := sorted(tensors.keys() ^ self.averages.keys()):
            raise ArgumentError(
                "EMA: expected the parameters and buffers that the model had at construction, got "
                f"a model that differs in {', '.join(changed)}."
            )
        for name, average in self.averages.items():
            if tensors[name].shape != average.shape:
                raise ShapeError(
                    f"EMA: expected {name!r} of shape {average.shape}, as at construction, got "
                    f"{tensors[name].shape}."
                )
        return tensors


def _write(values: Iterable[tuple[Tensor, Array]]) -> None:
    for tensor, array in values:
        tensor.data[...] = array
        tensor.mark_changed()


def _average_dtype(tensor: Tensor) -> np.dtype[Any]:
    is_half = tensor.dtype == np.float16
    return np.dtype(np.float32) if is_half else tensor.dtype
