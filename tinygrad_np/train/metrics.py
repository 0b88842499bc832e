"""Classification metrics: accuracy, top-k accuracy and the confusion matrix."""

from typing import Any

import numpy as np

from tinygrad_np.checks import check_unmasked, is_integer
from tinygrad_np.errors import ArgumentError, DtypeError, ShapeError
from tinygrad_np.frontend.tensor import Tensor
from tinygrad_np.runtime.memory import Array


def accuracy(logits: Any, labels: Any, ignore_index: int = -100) -> float:
    """Return the fraction of labels whose logit is the largest over the classes.

    Args:
        logits: scores of shape (N, C) with N >= 1, or (N, C, ...) as in `cross_entropy`; the first
            of equal scores counts as the largest.
        labels: true classes of shape (N,) or (N, ...).
        ignore_index: label of positions that do not count, for example padding.

    Raises:
        ShapeError: if `logits` or `labels` has another shape.
        DtypeError: if the labels are not numbers, or an array is masked.
        ArgumentError: if a label is not an integer from 0 to C - 1.

    >>> accuracy(np.array([[2.0, 1.0], [0.0, 3.0]]), np.array([0, 0]))
    0.5
    """
    scores, expected = _array("accuracy", logits), _array("accuracy", labels)
    if scores.ndim > 2 and expected.shape == scores.shape[:1] + scores.shape[2:]:
        scores = np.moveaxis(scores, 1, -1).reshape(-1, scores.shape[1])
        expected = expected.reshape(-1)
    scores, expected = rows_of("accuracy", scores, expected)
    if not (counts := expected != ignore_index).all():
        scores, expected = scores[counts], expected[counts]
        if not expected.size:
            raise ArgumentError(
                f"accuracy: expected at least one label other than {ignore_index}, got none."
            )
    check_classes("accuracy", "label", expected, scores.shape[1])
    return float(np.mean(scores.argmax(axis=1) == expected))


def top_k_accuracy(logits: Any, labels: Any, k: int) -> float:
    """Return the fraction of rows in which the label has one of the `k` largest logits.

    Args:
        logits: scores of shape (N, C) with N >= 1; the first of equal scores ranks highest.
        labels: true classes of shape (N,).
        k: number of guesses per row, from 1 to C; 1 gives `accuracy`.

    Raises:
        ShapeError: if `logits` or `labels` has another shape.
        DtypeError: if the labels are not numbers, or an array is masked.
        ArgumentError: if `k` is not an integer from 1 to C, or a label is not an integer from 0 to
            C - 1.

    >>> top_k_accuracy(np.array([[2.0, 1.0, 0.0], [0.0, 1.0, 2.0]]), np.array([1, 0]), k=2)
    0.5
    """
    scores, expected = rows_of("top_k_accuracy", logits, labels)
    rows, classes = scores.shape
    if not is_integer(k) or not 1 <= k <= classes:
        raise ArgumentError(
            f"top_k_accuracy: expected `k` to be an integer from 1 to {classes}, the number of "
            f"classes, got {k!r}."
        )
    check_classes("top_k_accuracy", "label", expected, classes)
    # A stable sort of the reversed columns ranks the first of equal scores highest.
    order = classes - 1 - np.argsort(scores[:, ::-1], axis=1, kind="stable")
    return float(np.mean((order[:, classes - k :] == expected.reshape(rows, 1)).any(axis=1)))


def confusion_matrix(predicted: Any, labels: Any, num_classes: int) -> Array:
    """Count the samples of each pair of true and predicted class.

    Args:
        predicted: predicted classes of shape (N,).
        labels: true classes of shape (N,).
        num_classes: number of classes.

    Returns:
        An integer array of shape (num_classes, num_classes): true classes in rows, predicted
        classes in columns.

    Raises:
        ShapeError: if `predicted` and `labels` do not have the same shape (N,).
        DtypeError: if they are not numbers, or an array is masked.
        ArgumentError: if a class is not an integer from 0 to num_classes - 1.

    >>> confusion_matrix([0, 1, 1], [0, 0, 1], 2).tolist()
    [[1, 1], [0, 1]]
    """
    pairs = [_array("confusion_matrix", values) for values in (labels, predicted)]
    if pairs[0].ndim != 1 or pairs[0].shape != pairs[1].shape:
        raise ShapeError(
            "confusion_matrix: expected `predicted` and `labels` to have the same shape (N,), got "
            f"{pairs[1].shape} and {pairs[0].shape}."
        )
    for name, classes in zip(("label", "predicted class"), pairs, strict=True):
        check_classes("confusion_matrix", name, classes, num_classes)
    rows, columns = (classes.astype(np.int64) for classes in pairs)
    counts = np.bincount(rows * num_classes + columns, minlength=num_classes**2)
    return counts.reshape(num_classes, num_classes)


def check_classes(where: str, name: str, classes: Array, num_classes: int) -> None:
    """Raise ArgumentError at the first entry that is not an integer from 0 to num_classes - 1."""
    if classes.dtype.kind not in "biuf":
        raise DtypeError(
            f"{where}: expected each {name} to be an integer, got dtype {classes.dtype}."
        )
    whole = classes == np.floor(classes)
    outside = np.flatnonzero(~whole | (classes < 0) | (classes >= num_classes))
    if outside.size:
        raise ArgumentError(
            f"{where}: expected each {name} to be an integer from 0 to {num_classes - 1}, got "
            f"{classes[outside[0]]} at position {outside[0]}."
        )


def rows_of(where: str, logits: Any, labels: Any) -> tuple[Array, Array]:
    """Return logits (N, C) and labels (N,) as arrays; raise ShapeError for other shapes."""
    scores, expected = _array(where, logits), _array(where, labels)
    if scores.ndim != 2 or expected.shape != scores.shape[:1] or not expected.size:
        raise ShapeError(
            f"{where}: expected `logits` of shape (N, C) and `labels` of shape (N,) with N >= 1, "
            f"got {scores.shape} and {expected.shape}."
        )
    return scores, expected


def _array(where: str, values: Any) -> Array:
    check_unmasked(where, values)
    return values.data if isinstance(values, Tensor) else np.asarray(values)
