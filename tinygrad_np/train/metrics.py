"""What a classifier got right."""

from typing import Any

import numpy as np

from tinygrad_np.checks import is_integer
from tinygrad_np.errors import ArgumentError, DtypeError, ShapeError
from tinygrad_np.runtime.memory import Array
from tinygrad_np.tensor import Tensor


def accuracy(logits: Any, labels: Any) -> float:
    """Return the part of rows of logits (N, C) whose largest entry is at the label (N,).

    Raises ShapeError where lengths differ, ArgumentError for a label that is no class.

    >>> accuracy(np.array([[2.0, 1.0], [0.0, 3.0]]), np.array([0, 0]))
    0.5
    """
    scores, expected = rows_of("accuracy", logits, labels)
    check_classes("accuracy", "label", expected, scores.shape[1])
    return float(np.mean(scores.argmax(axis=1) == expected))


def top_k_accuracy(logits: Any, labels: Any, k: int) -> float:
    """Return the part of rows of logits (N, C) with the label (N,) among the `k` largest entries.

    Of equal logits the first are counted, as in `accuracy`, which is the case of k = 1. Raises
    ShapeError where lengths differ, ArgumentError for another k than 1 to C, or a label that is no
    class.

    >>> top_k_accuracy(np.array([[2.0, 1.0, 0.0], [0.0, 1.0, 2.0]]), np.array([1, 0]), k=2)
    0.5
    """
    scores, expected = rows_of("top_k_accuracy", logits, labels)
    rows, classes = scores.shape
    if not is_integer(k) or not 1 <= k <= classes:
        raise ArgumentError(
            f"top_k_accuracy k: got {k!r}, expected an integer from 1 to {classes}, the number of "
            "classes"
        )
    check_classes("top_k_accuracy", "label", expected, classes)
    # Sorted from the last column to the first, so that of equals the first comes out on top.
    order = classes - 1 - np.argsort(scores[:, ::-1], axis=1, kind="stable")
    return float(np.mean((order[:, classes - k :] == expected.reshape(rows, 1)).any(axis=1)))


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
        check_classes("confusion_matrix", name, classes, num_classes)
    rows, columns = (classes.astype(np.int64) for classes in pairs)
    counts = np.bincount(rows * num_classes + columns, minlength=num_classes**2)
    return counts.reshape(num_classes, num_classes)


def check_classes(where: str, name: str, classes: Array, num_classes: int) -> None:
    """Refuse what is no whole number from 0 to below num_classes, and tell its position."""
    if classes.dtype.kind not in "biuf":
        raise DtypeError(f"{where}: got {name}s of dtype {classes.dtype}, expected integers")
    whole = classes == np.floor(classes)
    outside = np.flatnonzero(~whole | (classes < 0) | (classes >= num_classes))
    if outside.size:
        raise ArgumentError(
            f"{where}: {name} {classes[outside[0]]} at position {outside[0]} is not one of "
            f"0..{num_classes - 1}"
        )


def rows_of(where: str, logits: Any, labels: Any) -> tuple[Array, Array]:
    """Return logits (N, C) and labels (N,) as arrays. Raises ShapeError where they are others."""
    scores, expected = _array(logits), _array(labels)
    if scores.ndim != 2 or expected.shape != scores.shape[:1] or not expected.size:
        raise ShapeError(
            f"{where}: got logits {scores.shape} and labels {expected.shape}, expected (N, C) and "
            "(N,), with N at least 1"
        )
    return scores, expected


def _array(values: Any) -> Array:
    return values.data if isinstance(values, Tensor) else np.asarray(values)
