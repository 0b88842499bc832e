"""What a loader gives, and the means over it."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygrad_np.errors import ArgumentError, DtypeError, ShapeError
from tinygrad_np.runtime.memory import Array
from tinygrad_np.tensor import Tensor

# A loader: it gives the batches of an epoch, inputs and targets, each time it is iterated over.
Batches = Iterable[tuple[Any, Any]]


@dataclass
class Means:
    """Sums over batches: of losses, by the rows of outputs, and of what was right."""

    count: int = 0
    loss: float = 0.0
    right: int | None = 0

    def add(self, loss: float, outputs: Any, targets: Any) -> None:
        """Count a batch: inputs may be several arrays, of which none tells its size."""
        is_batch = isinstance(outputs, Tensor) and outputs.ndim > 0
        size = len(outputs if is_batch else targets)
        self.count += size
        self.loss += loss * size
        right = _count_right(outputs, targets)
        self.right = None if right is None or self.right is None else self.right + right

    def with_prefix(self, prefix: str) -> dict[str, float]:
        """Return the means over all that was counted."""
        means = {f"{prefix}loss": self.loss / self.count}
        if self.right is not None:
            means[f"{prefix}accuracy"] = self.right / self.count
        return means


def _count_right(outputs: Any, targets: Any) -> int | None:
    """Return how often the largest logit is at the label; None where these are no classes."""
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
    """Return a loss as a number. Raises ShapeError where it is none."""
    if not isinstance(loss, Tensor) or loss.numel() != 1:
        got = f"shape {loss.shape}" if isinstance(loss, Tensor) else type(loss).__name__
        raise ShapeError(
            f"Trainer loss: got {got}, expected a Tensor of one entry, such as the mean over the "
            "batch"
        )
    return float(loss.item())


def check_loader(where: str, loader: Any) -> None:
    """Refuse what cannot be iterated over."""
    if not isinstance(loader, Iterable):
        raise DtypeError(
            f"{where}: got {kind_of(loader)}, expected batches (inputs, targets), as of "
            "DataLoader(dataset, 64)"
        )


def check_not_empty(where: str, means: Means) -> None:
    """Refuse a loader that gave nothing."""
    if not means.count:
        raise ArgumentError(
            f"{where}: the loader gave no samples; a generator can be used only once: give a "
            "DataLoader or a list"
        )


def kind_of(value: Any) -> str:
    """Return the name of a value's class, for an error that may be about a class itself."""
    return f"the class {value.__name__}" if isinstance(value, type) else type(value).__name__
