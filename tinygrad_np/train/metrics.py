"""What a classifier got right."""

from typing import Any

import numpy as np

from tinygrad_np.errors import ArgumentError, ShapeError
from tinygrad_np.memory import Array
from tinygrad_np.tensor import Tensor


def accuracy(logits: Any, labels: Any) -> float:
    """Return the part of rows of logits (N, C) whose largest entry is at the label (N,).

    >>> accuracy(np.array([[2.0, 1.0], [0.0, 3.0]]), np.array([0, 0]))
    0.5
    """
    scores, expected = _array(logits), _array(labels)
    if scores.ndim != 2 or expected.shape != scores.shape[:1] or not expected.size:
        raise ShapeError(
            f"accuracy: got logits {scores.shape} and labels {expected.shape}, expected (N, C) and "
            "(N,), with N at least 1"
        )
    return float(np.mean(scores.argmax(axis=1) == expected))


def confusion_matrix(predicted: Any, labels: Any, num_classes: int) -> Array:
    """Return counts (num_classes, num_classes): row the true label, column the predicted one.

    Raises ShapeError where lengths differ, ArgumentError that names a class out of range.

    >>> confusion_matrix([0, 1, 1], [0, 0, 1], 2).tolist()
    [[1, 1], [0, 1]]
    """
    pairs = [_array(labels), _array(predicted)]
    if pairs[0].ndim != 1 or pairs[0].shape != pairs[1].shape:
        raise ShapeError(
            f"confusion_matrix: got predicted {pairs[1].shape} and labels {pairs[0].shape}, "
            "expected (N,) both"
        )
    for name, classes in zip(("label", "predicted class"), pairs, strict=True):
        whole = classes == np.floor(classes)
        outside = np.flatnonzero(~whole | (classes < 0) | (classes >= num_classes))
        if outside.size:
            raise ArgumentError(
                f"confusion_matrix: {name} {classes[outside[0]]} at position {outside[0]} is not "
                f"one of 0..{num_classes - 1}"
            )
    rows, columns = (classes.astype(np.int64) for classes in pairs)
    counts = np.bincount(rows * num_classes + columns, minlength=num_classes**2)
    return counts.reshape(num_classes, num_classes)


def _array(values: Any) -> Array:
    return values.data if isinstance(values, Tensor) else np.asarray(values)
