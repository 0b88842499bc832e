"""Checks on data loaders and losses, and running means over batches."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygrad_np.errors import ArgumentError, DtypeError, ShapeError
from tinygrad_np.frontend.tensor import Tensor
from tinygrad_np.runtime.memory import Array

# A data loader: each iteration over it yields the (inputs, targets) batches of one epoch.
Batches = Iterable[tuple[Any, Any]]


@dataclass
class Means:
    """Running sums of losses and correct predictions over batches.

    `right` becomes None at the first batch whose accuracy is undefined.
    """

    count: int = 0
    loss: float = 0.0
    right: int | None = 0

    def add(self, loss: float, outputs: Any, targets: Any) -> None:
        """Add a batch.

        Its size is the length of the outputs, or of the targets if the outputs are not a Tensor
        with a batch axis. The inputs are not used, because they may be a tuple of arrays.
        """
        is_batch = isinstance(outputs, Tensor) and outputs.ndim > 0
        size = len(outputs if is_batch else targets)
        self.count += size
        self.loss += loss * size
        right = _count_right(outputs, targets)
        self.right = None if right is None or self.right is None else self.right + right

    def with_prefix(self, prefix: str) -> dict[str, float]:
        """Return the mean loss and, if defined, the accuracy, with `prefix` before their names."""
        means = {f"{prefix}loss": self.loss / self.count}
        if self.right is not None:
            means[f"{prefix}accuracy"] = self.right / self.count
        return means


def _count_right(outputs: Any, targets: Any) -> int | None:
    """Return the number of correct predictions, or None if undefined (see `Trainer.fit`)."""
    labels = targets.data if isinstance(targets, Tensor) else targets
    if not isinstance(outputs, Tensor) or not isinstance(labels, np.ndarray):
        return None
    if outputs.ndim != 2 or outputs.shape[1] < 2:
        return None
    if labels.shape == outputs.shape and _is_one_hot(labels):
        labels = labels.argmax(axis=1)
    if labels.shape != outputs.shape[:1] or labels.dtype.kind not in "iu":
        return None
    return int((outputs.data.argmax(axis=1) == labels).sum())


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
