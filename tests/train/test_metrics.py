"""Accuracy, confusion matrix and classification report compared with loops and scikit-learn."""

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
def test_accuracy_is_the_fraction_of_correct_predictions(labels, expected):
    """Of equal logits the first counts as the largest."""
    assert train.accuracy(LOGITS, np.array(labels)) == expected
    assert train.accuracy(np.zeros((2, 3)), np.array([0, 1])) == 0.5


@each("logits", [LOGITS, LOGITS.tolist(), Tensor(LOGITS), leaf(LOGITS) * 2])
@each("labels", [[0, 1, 2, 0], np.array([0, 1, 2, 0], np.uint8), Tensor([0, 1, 2, 0])])
def test_accuracy_accepts_tensors_arrays_and_lists(logits, labels):
    found = train.accuracy(logits, labels)
    assert type(found) is float
    assert found == 0.75


def test_masked_arrays_raise():
    """NumPy would drop the mask and count the masked labels."""
    expected = "expected an array without a mask"
    for shape in ((2,), (1, 2)):
        labels = np.ma.masked_array([0, 1], mask=[True, False]).reshape(shape)
        logits = np.moveaxis(np.eye(2).reshape(*shape, 2), -1, 1)
        with pytest.raises(DtypeError, match=f"^accuracy: {expected}"):
            train.accuracy(logits, labels)
    labels = labels.reshape(2)
    for arguments in ((labels, [0, 1]), ([0, 1], labels)):
        with pytest.raises(DtypeError, match=f"^confusion_matrix: {expected}"):
            train.confusion_matrix(*arguments, 2)


def test_accuracy_of_sequences_leaves_out_padding():
    """Classes are the second axis, as for cross_entropy; the shapes of both must match."""
    logits = np.stack([LOGITS, -LOGITS]).swapaxes(1, 2)  # 2, 3, 4
    labels = np.array([[0, 1, 0, -100], [2, -100, -100, 1]])
    assert train.accuracy(logits, labels) == 4 / 5
    assert train.accuracy(Tensor(logits[..., None]), Tensor(labels[..., None])) == 4 / 5
    assert train.accuracy(LOGITS, [0, 7, 7, 0], ignore_index=7) == 1 / 2
    with pytest.raises(
        ArgumentError, match=r"^accuracy: expected at least one label other than -1"
    ):
        train.accuracy(LOGITS, [-100] * 4)
    with pytest.raises(ShapeError, match=r"^accuracy: expected `logits` of shape \(N, C\)"):
        train.accuracy(logits, labels.T)


@each("label", [7, -1, 0.5])
def test_accuracy_with_labels_out_of_range_raises(label):
    with pytest.raises(
        ArgumentError, match=rf"^accuracy: expected .*, got {label} at position 1\."
    ):
        train.accuracy(np.zeros((2, 3)), np.array([0, label]))


def test_classes_of_strings_raise():
    with pytest.raises(
        DtypeError, match=r"^confusion_matrix: expected each label to be an i.* <U1"
    ):
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
def test_accuracy_with_invalid_shapes_raises(logits, labels):
    words = (
        "accuracy: expected `logits` of shape (N, C) and `labels` of shape (N,) with N >= 1, got "
        f"{np.shape(logits)} and {np.shape(labels)}."
    )
    with pytest.raises(ShapeError, match=f"^{re.escape(words)}"):
        train.accuracy(logits, labels)


# Confusion matrix.


@each("kind", [list, Tensor, lambda values: np.array(values, float), np.uint8])
def test_confusion_matrix_rows_are_labels_and_columns_predictions(kind):
    """Rows are true labels, columns predictions; integers may be stored as floats."""
    labels, predicted = kind([0, 0, 0, 1, 1, 2]), kind([0, 1, 1, 1, 2, 0])
    expected = [[1, 2, 0], [0, 1, 1], [1, 0, 0]]
    assert train.confusion_matrix(predicted, labels, 3).tolist() == expected


def test_confusion_matrix_matches_a_loop():
    """Each pair adds one to its cell; the trace counts the correct predictions."""
    labels, predicted = rng(0).integers(0, 10, 500), rng(1).integers(0, 10, 500)
    expected = np.zeros((10, 10), int)
    for label, guess in zip(labels, predicted, strict=True):
        expected[label, guess] += 1
    found = train.confusion_matrix(predicted, labels, 10)
    np.testing.assert_array_equal(found, expected)
    assert np.trace(found) / 500 == train.accuracy(np.eye(10)[predicted], labels)


@pytest.mark.slow
def test_confusion_matrix_matches_scikit_learn():
    metrics = pytest.importorskip("sklearn.metrics", reason="scikit-learn is not installed")
    labels, predicted = rng(0).integers(0, 5, 300), rng(1).integers(0, 5, 300)
    expected = metrics.confusion_matrix(labels, predicted, labels=range(5))
    np.testing.assert_array_equal(train.confusion_matrix(predicted, labels, 5), expected)
    rows = np.eye(5)[predicted]
    assert train.accuracy(rows, labels) == pytest.approx(metrics.accuracy_score(labels, predicted))


@each("dtype", [np.uint8, np.int8, np.int32, np.int64])
def test_confusion_matrix_of_small_integer_dtypes_does_not_overflow(dtype):
    labels = np.arange(100, dtype=dtype)
    np.testing.assert_array_equal(train.confusion_matrix(labels, labels, 100), np.eye(100))


SAME_SHAPE = "expected `predicted` and `labels` to have the same shape (N,)"


@each(
    ("predicted", "labels"),
    [([0, 1], [0, 1, 2]), ([0], [0, 1]), ([[0, 1]], [[0, 1]]), (0, 0), (np.eye(3), [0, 1, 2])],
)
def test_confusion_matrix_with_different_shapes_raises(predicted, labels):
    words = f"{SAME_SHAPE}, got {np.shape(predicted)} and {np.shape(labels)}."
    with pytest.raises(ShapeError, match=f"^confusion_matrix: {re.escape(words)}"):
        train.confusion_matrix(predicted, labels, 3)


@each("bad", [-1, 3, 100, 1.5, np.nan, np.inf])
def test_confusion_matrix_with_a_class_out_of_range_raises(bad):
    """Otherwise it would be counted in another cell."""
    good, odd = np.array([0, 1, 2]), np.array([0, 1, bad])
    words = re.escape(f"to be an integer from 0 to 2, got {odd[2]} at position 2.")
    with pytest.raises(ArgumentError, match=f"^confusion_matrix: expected each label {words}"):
        train.confusion_matrix(good, odd, 3)
    with pytest.raises(
        ArgumentError, match=f"^confusion_matrix: expected each pred.* class {words}"
    ):
        train.confusion_matrix(odd, good, 3)


def test_confusion_matrix_is_zero_for_absent_classes():
    np.testing.assert_array_equal(train.confusion_matrix([], [], 2), np.zeros((2, 2)))
    np.testing.assert_array_equal(train.confusion_matrix([1], [1], 3), np.diag([0, 1, 0]))


# Classification report.


PREDICTED, LABELS = [0, 1, 1, 1, 2, 0, 4], [0, 0, 0, 1, 1, 2, 2]  # class 3 in neither, 4 in one


def test_classification_report_matches_hand_computed_scores():
    """Scores computed by hand: 0 for classes without predictions or labels."""
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


def test_classification_report_scores_absent_classes_0():
    report = train.classification_report(Tensor([1, 1]), Tensor([1, 1]), 3)
    assert report.accuracy == 1.0
    assert report.f1.tolist() == [0.0, 1.0, 0.0]
    assert tuple(report.macro) == pytest.approx((1 / 3,) * 3)
    assert tuple(report.weighted) == (1.0, 1.0, 1.0)


def test_classification_report_prints_an_aligned_table():
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
def test_classification_report_matches_scikit_learn(seed):
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
        (([0, 1], [0], 2), ShapeError, f"{SAME_SHAPE}, got (2,) and (1,)."),
        (
            ([0, 2], [0, 1], 2),
            ArgumentError,
            "expected each predicted class to be an integer from 0 to 1, got 2 at position 1.",
        ),
        (([], [], 2), ShapeError, "expected at least one label, got none."),
        (
            ([0], [0], 2, ["a"]),
            ArgumentError,
            "expected `names` to hold 2 names, one per class, got 1.",
        ),
    ],
)
def test_classification_report_with_invalid_arguments_raises(arguments, error, words):
    with pytest.raises(
        error, match=rf"^(classification_report|confusion_matrix): {re.escape(words)}"
    ):
        train.classification_report(*arguments)


# Top k.


def top_k_by_loops(logits, labels, k):
    """Return the fraction of rows where fewer than k entries rank before the label's."""
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
def test_top_k_matches_a_loop(k, dtype):
    """Integers have many ties: of equal scores the first rank higher."""
    logits, labels = draw(k)
    logits = (3 + logits.clip(-3, 3)).astype(dtype)
    found = train.top_k_accuracy(logits, labels, k)
    assert type(found) is float
    assert found == top_k_by_loops(logits, labels, k)
    if k == 1:
        assert found == train.accuracy(logits, labels)


@each("logits", [LOGITS, LOGITS.tolist(), Tensor(LOGITS)])
def test_top_k_accepts_tensors_arrays_and_lists(logits):
    assert [train.top_k_accuracy(logits, [1, 0, 2, 0], k) for k in (1, 2, 3)] == [0.25, 0.75, 1.0]


def test_top_k_ranks_nan_highest_like_argmax():
    logits = np.array([[1.0, math.nan, 2.0]])
    assert [train.top_k_accuracy(logits, [1], k) for k in (1, 2)] == [1.0, 1.0]
    assert [train.top_k_accuracy(logits, [2], k) for k in (1, 2)] == [0.0, 1.0]


@pytest.mark.slow
@pytest.mark.parametrize("k", [1, 2, 3, 5])
def test_top_k_matches_scikit_learn(k):
    """There are no ties: scikit-learn would rank the last one higher."""
    metrics = pytest.importorskip("sklearn.metrics", reason="scikit-learn is not installed")
    for seed in range(5):
        logits, labels = draw(seed)
        expected = metrics.top_k_accuracy_score(labels, logits, k=k, labels=range(6))
        assert train.top_k_accuracy(logits, labels, k) == pytest.approx(expected)


SHAPES = "expected `logits` of shape (N, C) and `labels` of shape (N,) with N >= 1"
K = "expected `k` to be an integer from 1 to 3, the number of classes"


@each(
    ("arguments", "error", "words"),
    [
        ((LOGITS, [0, 1], 1), ShapeError, f"{SHAPES}, got (4, 3) and (2,)."),
        ((LOGITS[:0], [], 1), ShapeError, f"{SHAPES}, got (0, 3) and (0,)."),
        ((LOGITS, [0, 1, 2, 0], 0), ArgumentError, f"{K}, got 0."),
        ((LOGITS, [0, 1, 2, 0], 4), ArgumentError, f"{K}, got 4."),
        ((LOGITS, [0, 1, 2, 0], 1.5), ArgumentError, f"{K}, got 1.5."),
        (
            (LOGITS, [0, 1, 3, 0], 2),
            ArgumentError,
            "expected each label to be an integer from 0 to 2, got 3 at position 2.",
        ),
    ],
)
def test_top_k_with_invalid_arguments_raises(arguments, error, words):
    with pytest.raises(error, match=rf"^top_k_accuracy: {re.escape(words)}"):
        train.top_k_accuracy(*arguments)
