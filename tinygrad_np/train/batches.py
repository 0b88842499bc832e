"""Batches of a training run: their parts, the call of the model, and means over samples."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from tinygrad_np.checks import is_real
from tinygrad_np.errors import ArgumentError, DtypeError, ShapeError
from tinygrad_np.frontend.tensor import Tensor
from tinygrad_np.nn.module import Module
from tinygrad_np.runtime.memory import Array
from tinygrad_np.runtime.state import no_grad

# A data loader: each iteration over it yields the (inputs, targets) batches of one epoch.
Batches = Iterable[Any]

# A function of (outputs, targets) that returns a number, or a Tensor or array of numbers.
Metric = Callable[[Any, Any], Any]

# Names that the logs of epochs and steps use for values other than metrics.
_COLUMNS = ("loss", "lr", "epoch", "step", "time")


def split_batch(who: str, batch: Any) -> tuple[Any, Any]:
    """Return the inputs and the targets of a batch; the inputs are a tuple if there are several.

    >>> split_batch("Trainer", (1, 2)), split_batch("Trainer", (1, 2, 3))
    ((1, 2), ((1, 2), 3))
    """
    if not isinstance(batch, tuple | list) or len(batch) < 2:
        size = f" of length {len(batch)}" if isinstance(batch, tuple | list) else ""
        raise DtypeError(
            f"{who}: expected each batch to be a tuple (inputs, targets), got "
            f"{class_name(batch)}{size}."
        )
    *inputs, targets = batch
    return inputs[0] if len(inputs) == 1 else tuple(inputs), targets


def call_model(model: Module, inputs: Any) -> Any:
    """Call a model with one input, a tuple or list of arguments, or a dict of named arguments."""
    if isinstance(inputs, Mapping):
        return model(**inputs)
    if isinstance(inputs, tuple | list):
        return model(*inputs)
    return model(inputs)


class Means:
    """Running means of the loss and the metrics over samples.

    A metric is dropped at the first batch for which it returns None; only `is_right`, the default
    one, may do so.
    """

    def __init__(self, metrics: Mapping[str, Metric]) -> None:
        self.count = 0
        self._metrics = dict(metrics)
        self._sums = dict.fromkeys(("loss", *metrics), 0.0)

    def add(self, loss: float, outputs: Any, targets: Any) -> None:
        """Add a batch, with its mean loss."""
        size = count_samples(outputs, targets)
        self.count += size
        self._sums["loss"] += loss * size
        if not self._metrics:
            return
        outputs = _detach(outputs)
        with no_grad():
            for name, metric in list(self._metrics.items()):
                value = metric(outputs, targets)
                if value is None and metric is is_right:
                    del self._metrics[name], self._sums[name]
                else:
                    _check_shape(name, value, outputs, targets)
                    self._sums[name] += _sum_of(name, value, size)

    def with_prefix(self, prefix: str) -> dict[str, float]:
        """Return the means, with `prefix` before their names."""
        return {f"{prefix}{name}": total / self.count for name, total in self._sums.items()}


def count_samples(outputs: Any, targets: Any) -> int:
    """Return the length of the outputs or, if they have no batch axis, of the targets.

    If there are several outputs or targets, the first one counts.
    """
    for value in (outputs, targets):
        while isinstance(value, tuple | Mapping) and value:
            value = next(iter(value.values() if isinstance(value, Mapping) else value))
        if isinstance(value, list) or (isinstance(value, Tensor | np.ndarray) and value.ndim):
            return len(value)
    raise ShapeError(
        "Trainer: expected outputs or targets with a batch axis, which counts the samples, got "
        f"{class_name(outputs)} and {class_name(targets)} without one."
    )


def _detach(outputs: Any) -> Any:
    if isinstance(outputs, Tensor):
        return outputs.detach()
    return tuple(map(_detach, outputs)) if type(outputs) is tuple else outputs


def _check_shape(name: str, value: Any, outputs: Any, targets: Any) -> None:
    """Raise ShapeError if a metric has broadcast outputs (N, 1) and targets (N,) to (N, N)."""
    arrays = [one for one in (outputs, targets) if isinstance(one, Tensor | np.ndarray)]
    if len(arrays) < 2 or not isinstance(value, Tensor | np.ndarray):
        return
    shapes = [one.shape for one in arrays]
    if value.shape not in shapes and value.shape == _broadcast_shape(shapes):
        raise ShapeError(
            f"Trainer: expected the metric {name!r} to compare outputs and targets of the same "
            f"shape, got {shapes[0]} and {shapes[1]}, which it broadcasts to {value.shape}. "
            "Reshape the targets."
        )


def _broadcast_shape(shapes: list[tuple[int, ...]]) -> tuple[int, ...] | None:
    try:
        return np.broadcast_shapes(*shapes)
    except ValueError:
        return None


def _sum_of(name: str, value: Any, size: int) -> float:
    """Return the sum over `size` samples of a metric whose mean, or entries, are `value`."""
    array = value.data if isinstance(value, Tensor) else value
    if isinstance(array, np.ndarray) and array.size and array.dtype.kind in "biuf":
        return float(array.sum(dtype=np.float64)) * (size / array.size)
    if not is_real(array):
        raise DtypeError(
            f"Trainer: expected the metric {name!r} to return a number or a Tensor of numbers, got "
            f"{class_name(value)}."
        )
    return float(array) * size


def is_right(outputs: Any, targets: Any) -> Array | None:
    """Return which samples are classified correctly, or None if undefined (see `Trainer.fit`)."""
    labels = targets.data if isinstance(targets, Tensor) else targets
    if not isinstance(outputs, Tensor) or not isinstance(labels, np.ndarray):
        return None
    if outputs.ndim != 2 or outputs.shape[1] < 2:
        return None
    if labels.shape == outputs.shape and _is_one_hot(labels):
        labels = labels.argmax(axis=1)
    if labels.shape != outputs.shape[:1] or labels.dtype.kind not in "iu":
        return None
    right: Array = outputs.data.argmax(axis=1) == labels
    return right


def _is_one_hot(rows: Array) -> bool:
    return bool(((rows == 0) | (rows == 1)).all() and (rows.sum(axis=1) == 1).all())


def loss_value(loss: Any) -> float:
    """Return the loss as a float; raise ShapeError unless it is a Tensor with one entry."""
    if not isinstance(loss, Tensor) or loss.numel() != 1:
        got = f"a Tensor of shape {loss.shape}" if isinstance(loss, Tensor) else type(loss).__name__
        raise ShapeError(
            f"Trainer: expected `loss` to return a Tensor with one entry, got {got}. Reduce it, "
            "for example with mean()."
        )
    return float(loss.item())


def check_loader(where: str, loader: Any) -> None:
    """Raise DtypeError unless the loader is iterable."""
    if not isinstance(loader, Iterable):
        raise DtypeError(
            f"{where}: expected a loader of (inputs, targets) batches, got "
            f"{class_name(loader)}. Try DataLoader(dataset, 64)."
        )


def check_not_empty(where: str, means: Means) -> None:
    """Raise ArgumentError if the loader yielded no samples."""
    if not means.count:
        raise ArgumentError(
            f"{where}: the loader yielded no samples. If it is a generator, it can be iterated "
            "over only once: pass a DataLoader or a list instead."
        )


def class_name(value: Any) -> str:
    """Return the class name of a value, or "the class X" if the value is the class X itself."""
    return f"the class {value.__name__}" if isinstance(value, type) else type(value).__name__


def check_metrics(metrics: Any) -> dict[str, Metric]:
    """Return the metrics of a Trainer; by default, the accuracy of classifiers.

    Raises:
        DtypeError: if `metrics` is not a dict of functions.
        ArgumentError: if a name is not an identifier, or is that of another column of the logs.
    """
    if metrics is None:
        return {"accuracy": is_right}
    if not isinstance(metrics, Mapping):
        raise DtypeError(
            "Trainer: expected `metrics` to be a dict of functions of (outputs, targets), for "
            f'example {{"accuracy": train.accuracy}}, got {class_name(metrics)}.'
        )
    for name, metric in metrics.items():
        if not isinstance(name, str) or not name.isidentifier() or name in _COLUMNS:
            raise ArgumentError(
                "Trainer: expected the names of `metrics` to be identifiers other than "
                f"{', '.join(_COLUMNS)}, got {name!r}."
            )
        if not callable(metric):
            raise DtypeError(
                f"Trainer: expected the metric {name!r} to be a function of outputs and targets, "
                f"got {class_name(metric)}."
            )
    return dict(metrics)
