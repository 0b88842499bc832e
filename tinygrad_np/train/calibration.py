"""Calibration: whether a classifier's confidence matches its accuracy."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygrad_np.checks import check_integer
from tinygrad_np.display import Table, safe
from tinygrad_np.errors import ArgumentError
from tinygrad_np.runtime.memory import Array
from tinygrad_np.train.metrics import check_classes, rows_of


@dataclass(frozen=True, eq=False)
class Calibration:
    """Accuracy of predictions binned by confidence; shown as a table.

    Attributes:
        confidence: mean probability of the predicted class, shape (bins,); nan in empty bins.
        accuracy: fraction of correct predictions, shape (bins,); nan in empty bins.
        count: number of predictions, shape (bins,).
        expected_error: the expected calibration error (ECE).
    """

    confidence: Array
    accuracy: Array
    count: Array
    expected_error: float

    @safe
    def __repr__(self) -> str:
        edges = np.linspace(0, 1, len(self.count) + 1)
        columns = (edges[:-1], edges[1:], self.confidence, self.accuracy, self.count)
        return "\n".join(
            [
                f"{'from':>6} {'to':>6} {'confidence':>10} {'accuracy':>10} {'count':>9}",
                *(
                    f"{low:6.3f} {high:6.3f} {sure:10.4f} {right:10.4f} {count:9d}"
                    for low, high, sure, right, count in zip(*columns, strict=True)
                    if count
                ),
                "",
                f"expected calibration error {self.expected_error:.4f}",
            ]
        )

    @safe
    def _repr_html_(self) -> str:
        edges = np.linspace(0, 1, len(self.count) + 1)
        columns = (edges, edges[1:], self.confidence, self.accuracy, self.count)
        rows = [
            (f"{low:.3f} to {high:.3f}", f"{sure:.4f}", f"{right:.4f}", f"{count:,}")
            for low, high, sure, right, count in zip(*columns, strict=False)
            if count
        ]
        heading = ("confidence", "mean confidence", "accuracy", "count")
        notes = (f"expected calibration error {self.expected_error:.4f}",)
        return Table(heading, rows, notes=notes)._repr_html_()


def calibration(logits: Any, labels: Any, bins: int = 10) -> Calibration:
    """Compare the confidence of predictions with their accuracy, per bin of confidence.

    The confidence p is the largest softmax probability. Bin m of M holds (m - 1) / M < p <= m / M.
    ECE = sum over bins (count / N) |accuracy - confidence| (Guo et al. 2017, equation 3).

    Args:
        logits: scores of shape (N, C) with N >= 1. For probabilities, pass their logarithms.
        labels: true classes of shape (N,).
        bins: number of bins of equal width between 0 and 1.

    Raises:
        ShapeError: if `logits` or `labels` has another shape.
        DtypeError: if the labels are not numbers.
        ArgumentError: if `bins` is not a positive integer, a label is not an integer from 0 to
            C - 1, or a row of logits has no finite softmax.

    >>> logits = np.log([[0.7, 0.3], [0.7, 0.3], [0.45, 0.55], [0.05, 0.95]])
    >>> print(calibration(logits, [0, 1, 1, 1], bins=4))
      from     to confidence   accuracy     count
     0.500  0.750     0.6500     0.6667         3
     0.750  1.000     0.9500     1.0000         1
    <BLANKLINE>
    expected calibration error 0.0250
    """
    scores, expected = rows_of("calibration", logits, labels)
    check_integer("calibration", 1, bins=bins)
    check_classes("calibration", "label", expected, scores.shape[1])
    scores = scores.astype(np.float64)
    with np.errstate(invalid="ignore"):
        scores -= scores.max(axis=1, keepdims=True)
    sure = 1 / np.exp(scores).sum(axis=1)  # exp(0) / sum: the largest probability
    if not np.isfinite(sure).all():
        row = int(np.flatnonzero(~np.isfinite(sure))[0])
        raise ArgumentError(
            f"calibration: row {row} of `logits` has no finite softmax. Check it for nan and inf."
        )
    right = scores.argmax(axis=1) == expected
    # Inner edges only; a confidence on an edge belongs to the bin below.
    place = np.searchsorted(np.linspace(0, 1, bins + 1)[1:-1], sure)
    count = np.bincount(place, minlength=bins)
    filled = np.where(count, count, np.nan)
    confidence = np.bincount(place, sure, bins) / filled
    accuracy = np.bincount(place, right, bins) / filled
    gaps = np.abs(accuracy - confidence)[count > 0]
    error = float((count[count > 0] * gaps).sum() / len(right))
    return Calibration(confidence, accuracy, count, error)
