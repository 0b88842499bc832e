"""Precision, recall and F1 score per class."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from tinygrad_np.display import Table, number_of, safe
from tinygrad_np.errors import ArgumentError, ShapeError
from tinygrad_np.runtime.memory import Array
from tinygrad_np.train.metrics import confusion_matrix


class Scores(NamedTuple):
    """Precision, recall and F1, averaged over the classes."""

    precision: float
    recall: float
    f1: float


@dataclass(frozen=True, eq=False)
class ClassificationReport:
    """Scores per class and their means; shown as a table.

    Attributes:
        names: names of the classes.
        precision: precision per class, shape (num_classes,).
        recall: recall per class, shape (num_classes,).
        f1: F1 score per class, shape (num_classes,).
        support: number of labels per class, shape (num_classes,).
        accuracy: fraction of correct predictions.
        macro: means of precision, recall and F1 score over the classes.
        weighted: the same means, weighted by support.
    """

    names: tuple[str, ...]
    precision: Array
    recall: Array
    f1: Array
    support: Array
    accuracy: float
    macro: Scores
    weighted: Scores

    @safe
    def __repr__(self) -> str:
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

    @safe
    def _repr_html_(self) -> str:
        total = int(self.support.sum())
        columns = (self.names, self.precision, self.recall, self.f1, self.support)
        rows = [
            *zip(*columns, strict=True),
            ("macro mean", *self.macro, total),
            ("weighted mean", *self.weighted, total),
        ]
        cells = [
            (str(name), *map("{:.4f}".format, scores), f"{support:,}")
            for name, *scores, support in rows
        ]
        heading = ("", "precision", "recall", "F1", "support")
        correct = f"accuracy {self.accuracy:.4f} on {number_of(total, 'label')}"
        return Table(heading, cells, notes=(correct,))._repr_html_()


def classification_report(
    predicted: Any, labels: Any, num_classes: int, names: Sequence[str] | None = None
) -> ClassificationReport:
    """Compute precision, recall, F1 score and support per class, their means, and the accuracy.

    For each class, with tp the number of its correct predictions: precision = tp / predictions,
    recall = tp / labels, F1 = 2 tp / (predictions + labels). A score of 0 / 0 is reported as 0.

    Args:
        predicted: predicted classes of shape (N,), with N >= 1.
        labels: true classes of shape (N,).
        num_classes: number of classes.
        names: names of the classes in the table; default to their numbers.

    Raises:
        ShapeError: if `predicted` and `labels` do not have the same shape (N,), or N is 0.
        DtypeError: if they are not numbers.
        ArgumentError: if a class is not an integer from 0 to num_classes - 1, or the number of
            names is not `num_classes`.

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
            f"classification_report: expected `names` to hold {num_classes} names, one per class, "
            f"got {len(names)}."
        )
    counts = confusion_matrix(predicted, labels, num_classes)  # rows: true, columns: predicted
    support, guesses, right = counts.sum(axis=1), counts.sum(axis=0), np.diag(counts)
    if not counts.any():
        raise ShapeError("classification_report: expected at least one label, got none.")
    # If a denominator is 0, so is the numerator: 0 / 0 becomes 0 / 1.
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
