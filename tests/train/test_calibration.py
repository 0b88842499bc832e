"""Calibration compared with loops and scikit-learn."""

import math
import re

import numpy as np
import pytest

from tests.tools import each
from tests.train.tools import draw
from tinygrad_np import Tensor, train
from tinygrad_np.errors import ArgumentError, ShapeError

LOGITS = np.array([[2.0, 1.0, 0.0], [0.0, 3.0, 1.0], [-3.0, -2.0, -1.0], [9.0, 8.0, 9.5]])


# Calibration.


def calibration_by_loops(logits, labels, bins):
    """Return the means and count of each bin, and the error, by the formulas of Guo et al."""
    members = [[] for _ in range(bins)]
    for row, label in zip(logits.tolist(), labels.tolist(), strict=True):
        powers = [math.exp(value) for value in row]
        sure = max(powers) / sum(powers)
        for place in range(bins):
            if place / bins < sure <= (place + 1) / bins:
                members[place].append((sure, row.index(max(row)) == label))
    means = [[sum(column) / len(m) for column in zip(*m, strict=True)] for m in members if m]
    counts = [len(m) for m in members]
    filled = [count for count in counts if count]
    pairs = zip(means, filled, strict=True)
    error = sum(count / len(labels) * abs(right - sure) for (sure, right), count in pairs)
    return means, counts, error


@each("bins", [1, 2, 7, 10, 15])
def test_calibration_matches_the_formulas_of_the_paper(bins):
    logits, labels = draw(bins)
    found = train.calibration(3 * logits, labels, bins)
    means, counts, error = calibration_by_loops(3 * logits, labels, bins)
    assert found.count.tolist() == counts
    filled = found.count > 0
    both = np.stack([found.confidence, found.accuracy], axis=1)
    np.testing.assert_allclose(both[filled], means, rtol=1e-12)
    assert np.isnan(both[~filled]).all()
    assert found.expected_error == pytest.approx(error, rel=1e-12)


def test_a_confidence_on_an_edge_belongs_to_the_bin_below():
    logits = np.array([[0.0, 0.0], [0.0, -np.inf], [1000.0, 0.0]])
    found = train.calibration(logits, [0, 0, 1], bins=2)
    assert found.count.tolist() == [1, 2]
    assert found.confidence.tolist() == [0.5, 1.0]
    assert found.accuracy.tolist() == [1.0, 0.5]
    assert found.expected_error == pytest.approx((0.5 + 2 * 0.5) / 3)


def test_perfect_calibration_has_no_error():
    logits = np.log(np.tile([0.75, 0.25], (4, 1)))
    assert train.calibration(Tensor(logits), Tensor([0, 0, 0, 1])).expected_error < 1e-7


def test_calibration_table_omits_empty_bins():
    lines = str(train.calibration(LOGITS, [0, 1, 2, 0])).splitlines()
    assert lines[0].split() == ["from", "to", "confidence", "accuracy", "count"]
    assert [line.split()[0] for line in lines[1:-2]] == ["0.500", "0.600", "0.800"]
    assert "nan" not in "".join(lines)
    assert lines[-1].startswith("expected calibration error 0.")


@pytest.mark.slow
@pytest.mark.parametrize("bins", [5, 10, 20])
def test_calibration_matches_scikit_learn(bins):
    calibrations = pytest.importorskip(
        "sklearn.calibration", reason="scikit-learn is not installed"
    )
    for seed in range(5):
        logits, labels = draw(seed)
        powers = np.exp(2 * logits)
        shares = powers / powers.sum(axis=1, keepdims=True)
        right, sure = shares.argmax(axis=1) == labels, shares.max(axis=1)
        accuracy, confidence = calibrations.calibration_curve(right, sure, n_bins=bins)
        found = train.calibration(2 * logits, labels, bins)
        filled = found.count > 0
        np.testing.assert_allclose(found.accuracy[filled], accuracy, rtol=1e-12)
        np.testing.assert_allclose(found.confidence[filled], confidence, rtol=1e-12)


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        (
            (LOGITS, [0, 1]),
            ShapeError,
            "expected `logits` of shape (N, C) and `labels` of shape (N,) with N >= 1, got (4, 3) "
            "and (2,).",
        ),
        (
            (LOGITS, [0, 1, 2, -1]),
            ArgumentError,
            "expected each label to be an integer from 0 to 2, got -1 at position 3.",
        ),
        ((LOGITS, [0, 1, 2, 0], 0), ArgumentError, "expected `bins` to be an integer >= 1, got 0."),
        ((LOGITS * math.nan, [0, 1, 2, 0]), ArgumentError, "row 0 of `logits` has no finite softm"),
        (([[0.0, math.inf]], [0]), ArgumentError, "row 0 of `logits` has no finite softmax. Check"),
    ],
)
def test_invalid_arguments_raise(arguments, error, words):
    with pytest.raises(error, match=rf"^calibration: {re.escape(words)}"):
        train.calibration(*arguments)
