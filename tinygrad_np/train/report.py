"""Precision, recall and F1, class by class."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from tinygrad_np.errors import ArgumentError, ShapeError
from tinygrad_np.runtime.memory import Array
from tinygrad_np.train.metrics import confusion_matrix


class Scores(NamedTuple):
    """Means over the classes."""

    precision: float
    recall: float
    f1: float


@dataclass(frozen=True, eq=False)
class ClassificationReport:
    """Scores of each class, arrays (num_classes,), and their means; `str` makes a table of it.

    `macro` counts each class alike, `weighted` by its support, the number of its labels.
    """

    names: tuple[str, ...]
    precision: Array
    recall: Array
    f1: Array
    support: Array
    accuracy: float
    macro: Scores
    weighted: Scores

    def __str__(self) -> str:
        total = int(self.support.sum())
        last = [("macro mean", *self.macro, total), ("weighted mean", *self.weighted, total)]
        columns = (self.names, self.precision, self.recall, self.f1, self.support)
        width = max(len(name) for name in (*self.names, last[1][0]))

        def line(name: str, precision: float, recall: float, f1: float, support: int) -> str:
            return f"{name:>{width}} {precision:10.4f} {recall:10.4f} {f1:10.4f} {support:9d}"

        return "\n".join(
            [
                f"{'':{width}} {'precision':>10} {'recall':>10} {'F1':>10} {'support':>9}",
                *(line(*row) for row in zip(*columns, strict=True)),
                "",
                f"{'accuracy':>{width}} {'':21} {self.accuracy:10.4f} {total:9d}",
                *(line(*row) for row in last),
            ]
        )


def classification_report(
    predicted: Any, labels: Any, num_classes: int, names: Sequence[str] | None = None
) -> ClassificationReport:
    """Return precision, recall, F1 and support of each class, accuracy, and means over classes.

    With tp the right predictions of a class: precision = tp / predictions of it, recall =
    tp / labels of it, F1 = 2 tp / (predictions + labels); each is 0 where that would be 0 / 0.
    `predicted` and `labels` are classes (N,), N at least 1. Raises ShapeError where lengths differ,
    ArgumentError that names a class out of range, or where names are too few or too many.

    >>> print(classification_report([0, 1, 1, 1], [0, 0, 1, 1], 2, names=["cat", "dog"]))
                   precision     recall         F1   support
              cat     1.0000     0.5000     0.6667         2
              dog     0.6667     1.0000     0.8000         2
    <BLANKLINE>
         accuracy                           0.7500         4
       macro mean     0.8333     0.7500     0.7333         4
    weighted mean     0.8333     0.7500     0.7333         4
    """
    names = tuple(map(str, range(num_classes) if names is None else names))
    if len(names) != num_classes:
        raise ArgumentError(
            f"classification_report: got {len(names)} names, expected one for each of "
            f"{num_classes} classes"
        )
    counts = confusion_matrix(predicted, labels, num_classes)  # true x predicted
    support, guesses, right = counts.sum(axis=1), counts.sum(axis=0), np.diag(counts)
    if not counts.any():
        raise ShapeError("classification_report: got no labels, expected (N,) with N at least 1")
    # Where a class does not occur, neither does it among the right ones: 0 / 1.
    precision, recall = right / np.maximum(guesses, 1), right / np.maximum(support, 1)
    f1 = 2 * right / np.maximum(guesses + support, 1)
    columns = (precision, recall, f1)
    return ClassificationReport(
        names,
        *columns,
        support,
        accuracy=float(right.sum() / support.sum()),
        macro=Scores(*(float(column.mean()) for column in columns)),
        weighted=Scores(*(float(np.average(column, weights=support)) for column in columns)),
    )
