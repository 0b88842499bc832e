"""What a classifier got right."""

from typing import Any

import numpy as np

from tinygrad_np.errors import ShapeError
from tinygrad_np.memory import Array
from tinygrad_np.tensor import Tensor


def accuracy(logits: Any, labels: Any) -> float:
    """Return the part of rows of logits (N, C) whose largest entry is at the label (N,).

    >>> accuracy(np.array([[2.0, 1.0], [0.0, 3.0]]), np.array([0, 0]))
    0.5
    """
    predicted, expected = _array(logits).argmax(axis=1), _array(labels)
    if predicted.shape != expected.shape:
        raise ShapeError(
            f"accuracy: got logits for {len(predicted)} rows and labels {expected.shape}"
        )
    return float(np.mean(predicted == expected))


def confusion_matrix(predicted: Any, labels: Any, num_classes: int) -> Array:
    """Return counts (num_classes, num_classes): row the true label, column the predicted one.

    >>> confusion_matrix([0, 1, 1], [0, 0, 1], 2).tolist()
    [[1, 1], [0, 1]]
    """
    pairs = np.asarray(_array(labels), np.int64) * num_classes + _array(predicted)
    return np.bincount(pairs, minlength=num_classes**2).reshape(num_classes, num_classes)


def _array(values: Any) -> Array:
    return values.data if isinstance(values, Tensor) else np.asarray(values)
