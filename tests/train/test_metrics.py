"""Accuracy, confusion matrix and classification report, against loops and scikit-learn."""

import math
import re

import numpy as np
import pytest

from tests.tools import each, leaf, rng
from tests.train.tools import draw
from tinygrad_np import Tensor, train
from tinygrad_np.errors import ArgumentError, DtypeError, ShapeError

# Accuracy.


LOGITS = np.array([[2.0, 1.0, 0.0], [0.0, 3.0, 1.0], [-3.0, -2.0, -1.0], [9.0, 8.0, 9.5]])


@each(
    ("labels", "expected"),
    [([0, 1, 2, 2], 1.0), ([0, 1, 2, 0], 0.75), ([0, 0, 0, 2], 0.5), ([1, 2, 0, 1], 0.0)],
)
def test_accuracy(labels, expected):
    """The part of rows whose largest logit is at the label; of equal logits the first counts."""
    assert train.accuracy(LOGITS, np.array(labels)) == expected
    assert train.accuracy(np.zeros((2, 3)), np.array([0, 1])) == 0.5


@each("logits", [LOGITS, LOGITS.tolist(), Tensor(LOGITS), leaf(LOGITS) * 2])
@each("labels", [[0, 1, 2, 0], np.array([0, 1, 2, 0], np.uint8), Tensor([0, 1, 2, 0])])
def test_accuracy_takes(logits, labels):
    """Logits and labels may be Tensors, of a graph too, arrays or lists; the result is a float."""
    found = train.accuracy(logits, labels)
    assert type(found) is float
    assert found == 0.75


@each("label", [7, -1, 0.5])
def test_accuracy_of_labels_that_are_no_class(label):
    with pytest.raises(ArgumentError, match=rf"^accuracy: label {label} at position 1 is not one"):
        train.accuracy(np.zeros((2, 3)), np.array([0, label]))


def test_classes_that_are_no_numbers():
    with pytest.raises(DtypeError, match=r"^confusion_matrix: got labels of dtype <U1, expected"):
        train.confusion_matrix([0], ["a"], 2)


@each(
    ("logits", "labels"),
    [
        (LOGITS, [0, 1, 2]),
        (LOGITS, [[0], [1], [2], [0]]),
        (LOGITS, np.eye(4)),
        (LOGITS, 1),
        (LOGITS[0], [0, 1, 2]),
        (LOGITS[None], [0]),
        (LOGITS[:0], []),
        (1.0, 1),
    ],
)
def test_accuracy_refuses(logits, labels):
    """Logits are rows, at least one, and labels are one for each; both shapes are named."""
    words = f"accuracy: got logits {np.shape(logits)} and labels {np.shape(labels)}, expected (N, C"
    with pytest.raises(ShapeError, match=f"^{re.escape(words)}"):
        train.accuracy(logits, labels)


# Confusion matrix.


@each("kind", [list, Tensor, lambda values: np.array(values, float), np.uint8])
def test_confusion_matrix(kind):
    """Rows are true labels, columns predictions; whole numbers may be floats."""
    labels, predicted = kind([0, 0, 0, 1, 1, 2]), kind([0, 1, 1, 1, 2, 0])
    expected = [[1, 2, 0], [0, 1, 1], [1, 0, 0]]
    assert train.confusion_matrix(predicted, labels, 3).tolist() == expected


def test_confusion_matrix_by_loop():
    """Each pair adds one at its place; the diagonal counts what accuracy counts."""
    labels, predicted = rng(0).integers(0, 10, 500), rng(1).integers(0, 10, 500)
    expected = np.zeros((10, 10), int)
    for label, guess in zip(labels, predicted, strict=True):
        expected[label, guess] += 1
    found = train.confusion_matrix(predicted, labels, 10)
    np.testing.assert_array_equal(found, expected)
    assert np.trace(found) / 500 == train.accuracy(np.eye(10)[predicted], labels)


@pytest.mark.slow
def test_confusion_matrix_is_scikit_learns():
    """scikit-learn counts the same, and in the same orientation."""
    metrics = pytest.importorskip("sklearn.metrics", reason="scikit-learn is not installed")
    labels, predicted = rng(0).integers(0, 5, 300), rng(1).integers(0, 5, 300)
    expected = metrics.confusion_matrix(labels, predicted, labels=range(5))
    np.testing.assert_array_equal(train.confusion_matrix(predicted, labels, 5), expected)
    rows = np.eye(5)[predicted]
    assert train.accuracy(rows, labels) == pytest.approx(metrics.accuracy_score(labels, predicted))


@each("dtype", [np.uint8, np.int8, np.int32, np.int64])
def test_confusion_matrix_of_small_integers(dtype):
    """Labels of few bits do not overflow."""
    labels = np.arange(100, dtype=dtype)
    np.testing.assert_array_equal(train.confusion_matrix(labels, labels, 100), np.eye(100))


@each(
    ("predicted", "labels"),
    [([0, 1], [0, 1, 2]), ([0], [0, 1]), ([[0, 1]], [[0, 1]]), (0, 0), (np.eye(3), [0, 1, 2])],
)
def test_confusion_matrix_refuses_shapes(predicted, labels):
    """Predictions and labels are two lists of the same length; both shapes are named."""
    words = f"got predicted {np.shape(predicted)} and labels {np.shape(labels)}, expected (N,) both"
    with pytest.raises(ShapeError, match=f"^confusion_matrix: {re.escape(words)}"):
        train.confusion_matrix(predicted, labels, 3)


@each("bad", [-1, 3, 100, 1.5, np.nan, np.inf])
def test_confusion_matrix_refuses_classes(bad):
    """A class that there is not is named with its position: it is not counted elsewhere."""
    good, odd = np.array([0, 1, 2]), np.array([0, 1, bad])
    words = re.escape(f"{odd[2]} at position 2 is not one of 0..2")
    with pytest.raises(ArgumentError, match=f"^confusion_matrix: label {words}"):
        train.confusion_matrix(good, odd, 3)
    with pytest.raises(ArgumentError, match=f"^confusion_matrix: predicted class {words}"):
        train.confusion_matrix(odd, good, 3)


def test_confusion_matrix_of_nothing():
    """Classes that do not occur have a row and a column too."""
    np.testing.assert_array_equal(train.confusion_matrix([], [], 2), np.zeros((2, 2)))
    np.testing.assert_array_equal(train.confusion_matrix([1], [1], 3), np.diag([0, 1, 0]))


# Classification report.


PREDICTED, LABELS = [0, 1, 1, 1, 2, 0, 4], [0, 0, 0, 1, 1, 2, 2]  # class 3 in neither, 4 in one


def test_classification_report():
    """Scores by hand: 0 for classes without predictions or labels."""
    report = train.classification_report(PREDICTED, LABELS, 5)
    assert report.names == ("0", "1", "2", "3", "4")
    np.testing.assert_allclose(report.precision, [1 / 2, 1 / 3, 0, 0, 0])
    np.testing.assert_allclose(report.recall, [1 / 3, 1 / 2, 0, 0, 0])
    np.testing.assert_allclose(report.f1, [2 / 5, 2 / 5, 0, 0, 0])
    np.testing.assert_array_equal(report.support, [3, 2, 2, 0, 0])
    assert report.accuracy == 2 / 7
    assert report.macro == pytest.approx((5 / 6 / 5, 5 / 6 / 5, 4 / 5 / 5))
    weighted = ((3 / 2 + 2 / 3) / 7, (1 + 1) / 7, (6 / 5 + 4 / 5) / 7)
    assert report.weighted == pytest.approx(weighted)
    assert report.weighted.f1 == pytest.approx(2 / 7)


def test_classification_report_of_one_class():
    """All right in the only class that occurs."""
    report = train.classification_report(Tensor([1, 1]), Tensor([1, 1]), 3)
    assert report.accuracy == 1.0
    assert report.f1.tolist() == [0.0, 1.0, 0.0]
    assert tuple(report.macro) == pytest.approx((1 / 3,) * 3)
    assert tuple(report.weighted) == (1.0, 1.0, 1.0)


def test_classification_report_table():
    """A line for each class with its name, and the means."""
    names = ["T-shirt", "a class of long name", "bag", "x", "y"]
    report = train.classification_report(PREDICTED, LABELS, 5, names=names)
    lines = str(report).splitlines()
    assert lines[0].split() == ["precision", "recall", "F1", "support"]
    assert re.fullmatch(r" *a class of long name +0\.3333 +0\.5000 +0\.4000 +2", lines[2])
    assert lines[-3].split() == ["accuracy", "0.2857", "7"]
    assert lines[-2].split() == ["macro", "mean", "0.1667", "0.1667", "0.1600", "7"]
    assert lines[-1].split()[:2] == ["weighted", "mean"]
    assert len({len(line) for line in lines if line}) == 1


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(8))
def test_classification_report_is_scikit_learns(seed):
    """scikit-learn finds the same, with its warnings about absent classes switched off."""
    metrics = pytest.importorskip("sklearn.metrics", reason="scikit-learn is not installed")
    generator = rng(seed)
    count = int(generator.integers(1, 60))
    labels, predicted = generator.integers(0, 8, count), generator.integers(1, 9, count)
    found = train.classification_report(predicted, labels, 9)
    expected = metrics.classification_report(
        labels, predicted, labels=range(9), zero_division=0, output_dict=True
    )
    for kind in range(9):
        row = [found.precision[kind], found.recall[kind], found.f1[kind], found.support[kind]]
        assert row == pytest.approx(list(expected[str(kind)].values()))
    assert list(found.macro) == pytest.approx(list(expected["macro avg"].values())[:3])
    assert list(found.weighted) == pytest.approx(list(expected["weighted avg"].values())[:3])
    assert found.accuracy == pytest.approx(metrics.accuracy_score(labels, predicted))


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        (([0, 1], [0], 2), ShapeError, "got predicted (2,) and labels (1,), expected (N,) both"),
        (([0, 2], [0, 1], 2), ArgumentError, "predicted class 2 at position 1 is not one of 0..1"),
        (([], [], 2), ShapeError, "got no labels, expected (N,) with N at least 1"),
        (([0], [0], 2, ["a"]), ArgumentError, "got 1 names, expected one for each of 2 classes"),
    ],
)
def test_classification_report_refuses(arguments, error, words):
    """What makes no report is told, by the confusion matrix where it is about the classes."""
    with pytest.raises(
        error, match=rf"^(classification_report|confusion_matrix): {re.escape(words)}"
    ):
        train.classification_report(*arguments)


# Top k.


def top_k_by_loops(logits, labels, k):
    """Return the part of rows where fewer than k entries come before the label's."""
    right = 0
    for row, label in zip(logits.tolist(), labels.tolist(), strict=True):
        before = sum(
            value > row[label] or (value == row[label] and place < label)
            for place, value in enumerate(row)
        )
        right += before < k
    return right / len(labels)


@each("k", [1, 2, 5, 6])
@each("dtype", [np.float64, np.float32, np.int64, np.uint8])
def test_top_k_by_loops(k, dtype):
    """Whole numbers have many ties: of equals the first count."""
    logits, labels = draw(k)
    logits = (3 + logits.clip(-3, 3)).astype(dtype)
    found = train.top_k_accuracy(logits, labels, k)
    assert type(found) is float
    assert found == top_k_by_loops(logits, labels, k)
    if k == 1:
        assert found == train.accuracy(logits, labels)


@each("logits", [LOGITS, LOGITS.tolist(), Tensor(LOGITS)])
def test_top_k_takes(logits):
    """Tensors, arrays and lists."""
    assert [train.top_k_accuracy(logits, [1, 0, 2, 0], k) for k in (1, 2, 3)] == [0.25, 0.75, 1.0]


def test_top_k_of_nan():
    """Nan counts as the largest, as it does for argmax."""
    logits = np.array([[1.0, math.nan, 2.0]])
    assert [train.top_k_accuracy(logits, [1], k) for k in (1, 2)] == [1.0, 1.0]
    assert [train.top_k_accuracy(logits, [2], k) for k in (1, 2)] == [0.0, 1.0]


@pytest.mark.slow
@pytest.mark.parametrize("k", [1, 2, 3, 5])
def test_top_k_is_scikit_learns(k):
    """Without ties, for which it takes the last, scikit-learn finds the same."""
    metrics = pytest.importorskip("sklearn.metrics", reason="scikit-learn is not installed")
    for seed in range(5):
        logits, labels = draw(seed)
        expected = metrics.top_k_accuracy_score(labels, logits, k=k, labels=range(6))
        assert train.top_k_accuracy(logits, labels, k) == pytest.approx(expected)


@each(
    ("arguments", "error", "words"),
    [
        ((LOGITS, [0, 1], 1), ShapeError, "got logits (4, 3) and labels (2,), expected (N, C) and"),
        ((LOGITS[:0], [], 1), ShapeError, "got logits (0, 3) and labels (0,)"),
        ((LOGITS, [0, 1, 2, 0], 0), ArgumentError, "got 0, expected an integer from 1 to 3"),
        ((LOGITS, [0, 1, 2, 0], 4), ArgumentError, "got 4, expected an integer from 1 to 3"),
        ((LOGITS, [0, 1, 2, 0], 1.5), ArgumentError, "got 1.5, expected an integer from 1"),
        ((LOGITS, [0, 1, 3, 0], 2), ArgumentError, "label 3 at position 2 is not one of 0..2"),
    ],
)
def test_top_k_refuses(arguments, error, words):
    """Shapes, k and labels."""
    with pytest.raises(error, match=rf"^top_k_accuracy( k)?: {re.escape(words)}"):
        train.top_k_accuracy(*arguments)
