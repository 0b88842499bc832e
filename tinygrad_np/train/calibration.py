"""Whether a classifier is as often right as it is sure."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygrad_np.checks import check_integer
from tinygrad_np.errors import ArgumentError
from tinygrad_np.runtime.memory import Array
from tinygrad_np.train.metrics import check_classes, rows_of


@dataclass(frozen=True, eq=False)
class Calibration:
    """Reliability of predictions binned by confidence, arrays (bins,); `str` makes a table of it.

    `confidence` is the mean probability of the predicted class in a bin, `accuracy` the part that
    was right, both nan where `count` is 0. `expected_error` is the expected calibration error.
    """

    confidence: Array
    accuracy: Array
    count: Array
    expected_error: float

    def __str__(self) -> str:
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


def calibration(logits: Any, labels: Any, bins: int = 10) -> Calibration:
    """Return how often the predictions of logits (N, C) are right, by their confidence.

    The confidence p is the largest softmax; bin m of M has those with (m - 1) / M < p <= m / M.
    ECE = sum over bins (count / N) |accuracy - confidence| (Guo et al. 2017, equation 3).

    Of probabilities give the logarithm. Raises ShapeError where lengths differ, ArgumentError for a
    label that is no class, or logits with nan.

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
    sure = 1 / np.exp(scores).sum(axis=1)  # exp(0) / sum: the largest softmax
    if not np.isfinite(sure).all():
        row = int(np.flatnonzero(~np.isfinite(sure))[0])
        raise ArgumentError(f"calibration: the logits of row {row} have no softmax: nan or inf")
    right = scores.argmax(axis=1) == expected
    # Edges within: a confidence on an edge is of the bin below.
    place = np.searchsorted(np.linspace(0, 1, bins + 1)[1:-1], sure)
    count = np.bincount(place, minlength=bins)
    filled = np.where(count, count, np.nan)
    confidence = np.bincount(place, sure, bins) / filled
    accuracy = np.bincount(place, right, bins) / filled
    gaps = np.abs(accuracy - confidence)[count > 0]
    error = float((count[count > 0] * gaps).sum() / len(right))
    return Calibration(confidence, accuracy, count, error)
