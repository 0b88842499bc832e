"""Plots show the values they receive."""

import math
import os
import re
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest

from tests.viz.tools import arrays_of, check_layout, drawn_texts, titles_of
from tinygrad_np import data, nn, train, viz
from tinygrad_np.errors import ArgumentError, DataError, DtypeError, ShapeError

pytestmark = pytest.mark.slow

MNIST = os.environ.get("TINYGRAD_NP_DATA")


HISTORY = [
    {"epoch": 1, "train_loss": 2.0, "train_accuracy": 0.5, "test_loss": 1.5, "test_accuracy": 0.6},
    {"epoch": 2, "train_loss": 1.0, "train_accuracy": 0.7, "test_loss": 1.2, "test_accuracy": 0.8},
]


def drawn(axes):
    """Return the values of each line by its label."""
    return {line.get_label(): list(line.get_ydata()) for line in axes.get_lines()}


def test_curves_plot_losses_left_and_accuracies_right():
    figure = viz.curves(HISTORY, "title")
    left, right = figure.axes
    assert drawn(left) == {"train loss": [2.0, 1.0], "test loss": [1.5, 1.2]}
    assert drawn(right) == {"train accuracy": [50, 70], "test accuracy": [60, 80]}
    assert {line.get_linestyle() for line in left.get_lines()} == {"-"}
    assert {line.get_linestyle() for line in right.get_lines()} == {"--"}
    assert [line.get_color() for line in left.get_lines()] == [
        line.get_color() for line in right.get_lines()
    ]
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == [
        *("train loss", "train accuracy", "test loss", "test accuracy")
    ]
    assert left.get_title() == "title"


def test_curves_leave_gaps_where_a_log_is_missing():
    """A log that only some epochs have is drawn at these; None (nan in JSON) leaves a gap."""
    epochs = [
        {"epoch": 1, "train_loss": 3.0},
        {"epoch": 2, "train_loss": None, "validation_loss": 4.0, "validation_accuracy": 0.25},
        {"epoch": 3, "train_loss": 1.0, "validation_loss": -1.0, "validation_accuracy": 0.5},
    ]
    history = train.History()
    history.epochs = epochs
    for given in (epochs, history):
        left, right = viz.curves(given).axes
        assert [list(line.get_xdata()) for line in left.get_lines()[:2]] == [[1, 2, 3], [2, 3]]
        np.testing.assert_array_equal(drawn(left)["train loss"], [3, np.nan, 1])
        assert drawn(right) == {"validation accuracy": [25, 50]}
        assert left.get_ylim()[0] < -1


def test_curves_number_epochs_without_a_number():
    (axes,) = viz.curves([{"train_loss": 2.0}, {"train_loss": 1.0}]).axes
    assert list(axes.get_lines()[0].get_xdata()) == [1, 2]


def test_curves_without_accuracy_have_one_axis():
    (axes,) = viz.curves([{"epoch": 1, "train_loss": 2.0}, {"epoch": 2, "train_loss": 1.0}]).axes
    assert (axes.get_ylabel(), axes.get_ylim()[0]) == ("loss", 0)


def test_curves_plot_the_metric_asked_for():
    logs = [{"train_loss": 2.0, "train_top_mae": 0.5}, {"train_loss": 1.0, "train_top_mae": 0.25}]
    left, right = viz.curves(logs, metric="top_mae").axes
    assert drawn(left) == {"train loss": [2.0, 1.0]}
    assert drawn(right) == {"train top mae": [0.5, 0.25]}
    assert right.get_ylabel() == "top mae (dashed)"
    assert len(viz.curves(logs).axes) == 1
    figure = viz.curves(logs[:1], metric="top_mae")
    texts = [text.get_text() for axes in figure.axes for text in axes.texts]
    assert texts == ["2", "0.5"]


def test_curves_of_one_epoch_have_whole_ticks():
    """Ticks are whole epochs, and the markers do not touch the border."""
    figure = viz.curves(HISTORY[:1])
    left = figure.axes[0]
    figure.draw_without_rendering()
    assert all(tick == int(tick) for tick in left.get_xticks())
    assert left.get_xlim() == (0, 2)
    assert left.get_ylim()[1] > 2.02
    texts = [text.get_text() for axes in figure.axes for text in axes.texts]
    assert texts == ["1.5", "2", "50.00%", "60.00%"]
    assert (left.get_ylabel(), figure.axes[1].get_ylabel()) == (
        *("loss (circles)", "accuracy in % (squares)"),
    )
    check_layout(figure)


@pytest.mark.parametrize("values", [(0.5, 0.501, 0.499), (0.1, 0.9, 0.9), (0.5, 0.5, math.nan)])
def test_values_of_one_epoch_do_not_overlap(values):
    sets = ("train", "validation", "test")
    logs = {f"{name}_loss": value for name, value in zip(sets, values, strict=True)}
    logs |= {f"{name}_accuracy": value for name, value in zip(sets, values, strict=True)}
    figure = viz.curves([logs])
    boxes = drawn_texts(figure)
    for axes in figure.axes:
        assert len(axes.texts) == sum(map(math.isfinite, values))
        for one, other in combinations(axes.texts, 2):
            assert not boxes[one].overlaps(boxes[other])
            assert one.get_color() != other.get_color()
    left = figure.axes[0]
    low, high = left.get_ylim()
    for text in left.texts:
        height = (float(text.get_text()) - low) / (high - low)
        assert text.get_position()[1] == pytest.approx(height, abs=0.11)
        assert 0 <= text.get_position()[1] <= 1


@pytest.mark.parametrize(
    ("logs", "best", "label"),
    [
        ({"validation_loss": [3, 1, 2]}, 2, "best epoch: 2 (validation loss 1)"),
        ({"validation_loss": [np.nan, 2, 1]}, 3, "best epoch: 3 (validation loss 1)"),
        (
            {"validation_accuracy": [0.5, 0.25, 0.75]},
            3,
            "best epoch: 3 (validation accuracy 75.00%)",
        ),
        ({"test_loss": [3, 1, 2]}, None, None),
        ({"validation_loss": [None, None, None]}, None, None),
    ],
)
def test_curves_mark_the_best_epoch_by_validation(logs, best, label):
    epochs = [
        {"epoch": k + 1, "train_loss": 1.0} | {name: values[k] for name, values in logs.items()}
        for k in range(3)
    ]
    figure = viz.curves(epochs)
    marks = [line for line in figure.axes[0].get_lines() if "best" in line.get_label()]
    assert [(list(mark.get_xdata()), mark.get_label()) for mark in marks] == (
        [([best] * 2, label)] if best else []
    )
    history = train.History()
    history.epochs = epochs
    assert (f"best epoch: {best} (" in str(history)) == (best is not None)
    assert label is None or figure.legends[0].get_texts()[-1].get_text() == label


def test_curves_of_three_sets_stay_inside():
    sets = ("train", "validation", "test")
    logs = {f"{name}_{kind}": 0.123456 for name in sets for kind in ("loss", "accuracy")}
    check_layout(viz.curves([{"epoch": k} | logs for k in (99, 100)], "title"))


@pytest.mark.parametrize("history", [[], [{"epoch": 1, "train_accuracy": 0.5}]])
def test_curves_without_a_loss_raise(history):
    with pytest.raises(
        ArgumentError, match=r"curves: expected train_loss.*, got none in \d epochs\."
    ):
        viz.curves(history)


def test_images_show_the_first_images_and_their_classes():
    train_set, _ = data.digits()
    figure = viz.images(train_set, count=5, title="digits")
    titles = [axes.get_title() for axes in figure.axes]
    assert titles == [*(str(label) for label in train_set.labels[:5]), ""]
    for axes, image in zip(figure.axes, train_set.images[:5], strict=False):
        np.testing.assert_array_equal(axes.images[0].get_array(), image[0])
    assert figure.get_suptitle() == "digits"
    assert len(viz.images(train_set.first(3)).axes) == 4
    with pytest.raises(
        ArgumentError, match=r"images: expected `count` to be an integer >= 1, got 0\."
    ):
        viz.images(train_set, count=0)


@pytest.mark.skipif(not MNIST, reason="TINYGRAD_NP_DATA is not set")
def test_the_first_images_of_fashion_mnist_have_their_class_names():
    train_set, _ = data.fashion_mnist(MNIST)
    titles = [axes.get_title() for axes in viz.images(train_set).axes if axes.images]
    assert len(titles) == 30
    assert titles[:5] == ["Ankle boot", "T-shirt/top", "T-shirt/top", "Dress", "T-shirt/top"]


def test_class_names_replace_labels_everywhere():
    """In both grids, the confusion matrix and the report."""
    names = data.sources.FASHION_MNIST.classes
    dataset = replace(data.digits()[1].first(50), classes=names)
    truth = dataset.labels
    for figure in (viz.images(dataset, 50), viz.predictions(dataset, truth, 50)):
        titles = [axes.get_title() for axes in figure.axes if axes.images]
        assert sorted(titles) == sorted(names[label] for label in truth)
    matrix = train.confusion_matrix(truth, truth, 10)
    axes = viz.confusion(matrix, names).axes[0]
    assert [text.get_text() for text in axes.get_xticklabels()] == list(names)
    assert [text.get_text() for text in axes.get_yticklabels()] == [
        f"{name}  (100.0%)" for name in names
    ]
    report = str(train.classification_report(truth, truth, 10, names))
    assert all(re.search(rf"^ *{name} +1\.0000", report, re.MULTILINE) for name in names)


def test_calibration_shows_bins_and_counts():
    """A bin without predictions has no bar and no point."""
    nothing = np.nan
    result = train.Calibration(
        confidence=np.array([nothing, nothing, 0.6, 0.9]),
        accuracy=np.array([nothing, nothing, 0.5, 0.75]),
        count=np.array([0, 0, 10, 30]),
        expected_error=0.1375,
    )
    figure = viz.calibration(result, "title")
    upper, lower = figure.axes
    bars = [(bar.get_x(), bar.get_width(), bar.get_height()) for bar in upper.patches]
    assert bars == [(0.5, 0.25, 0.5), (0.75, 0.25, 0.75)]
    points = upper.get_lines()[0]
    assert (list(points.get_xdata()), list(points.get_ydata())) == ([0.6, 0.9], [0.5, 0.75])
    assert [bar.get_height() for bar in lower.patches] == [10, 30]
    assert [text.get_text() for text in lower.texts] == ["10", "30"]
    assert upper.get_title() == "title\nexpected calibration error: 13.75%"
    check_layout(figure)


def test_calibration_shows_bins_of_one_prediction():
    """Each bar is at least two pixels high, next to a bin of ten thousand."""
    result = train.Calibration(
        np.array([0.3, 0.9]), np.array([0.0, 0.9]), np.array([1, 10_000]), expected_error=0.01
    )
    figure = viz.calibration(result)
    figure.draw_without_rendering()
    lower = figure.axes[1]
    low = lower.transData.transform((0, lower.get_ylim()[0]))[1]
    heights = [lower.transData.transform((0, bar.get_height()))[1] - low for bar in lower.patches]
    assert min(heights) > 2
    check_layout(figure)


def test_most_wrong_are_sorted_by_loss():
    dataset = data.digits()[1].first(4)
    truth = dataset.labels
    chances = np.full((4, 10), 0.01)
    for row, (share, guess) in enumerate(((0.3, 1), (0.9, 0), (0.2, 1), (0.1, 1))):
        chances[row, (truth[row] + guess) % 10] = 0.91 - share + 0.01 if guess else 0.92
        chances[row, truth[row]] += share if guess else 0.0
    chances /= chances.sum(axis=1, keepdims=True)
    figure = viz.most_wrong(dataset, np.log(chances), count=2)
    guess = (truth + 1) % 10
    p = chances[np.arange(4), guess], chances[np.arange(4), truth]
    assert titles_of(figure) == [
        f"{guess[row]} ({p[0][row]:.1%})\ntrue: {truth[row]} ({p[1][row]:.1%})" for row in (3, 2)
    ]
    np.testing.assert_array_equal(arrays_of(figure), dataset.images[[3, 2], 0])
    check_layout(figure)


def test_most_wrong_of_long_names_do_not_overlap():
    names = data.sources.FASHION_MNIST.classes
    dataset = replace(data.digits()[1].first(9), classes=names)
    logits = np.eye(10)[(dataset.labels + 1) % 10]
    check_layout(viz.most_wrong(dataset, logits))
    check_layout(viz.predictions(dataset, logits.argmax(axis=1), 9))


def test_long_and_mathematical_names_are_shortened_and_drawn_as_they_are():
    names = tuple(f"{k} soft-coated wheaten terrier with a very long name {k}" for k in range(8))
    names += ("$\\frac$", "short")
    dataset = replace(data.digits()[1].first(9), classes=names)
    predicted = (dataset.labels + 1) % 10
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    matrix = train.confusion_matrix(predicted, dataset.labels, 10)
    for figure in (
        viz.images(dataset, 9),
        viz.predictions(dataset, predicted, 9),
        viz.most_wrong(dataset, np.eye(10)[predicted], 9),
        viz.saliency(model, dataset.first(4)),
        viz.class_images(model, (1, 8, 8), names, steps=1),
        viz.confusion(matrix, ("$\\frac$", *map(str, range(9)))),
        viz.attention(np.eye(2), ["$\\frac$", "a"]),
    ):
        check_layout(figure)
    for title, label in zip(titles_of(viz.images(dataset, 9)), dataset.labels, strict=True):
        if label < 8:  # both ends of a name are kept
            start, end = title.split("…")
            assert len(start) >= len(end) > 5
            assert names[label].startswith(start)
            assert names[label].endswith(end)
        else:
            assert title == names[label]


def test_most_wrong_needs_wrong_predictions_of_the_dataset():
    dataset = data.digits()[1].first(3)
    right = np.eye(10)[dataset.labels]
    with pytest.raises(ArgumentError, match=r"expected at least one wrong prediction, got none"):
        viz.most_wrong(dataset, right)
    with pytest.raises(ShapeError, match=r"`logits` of shape \(3, 10\), .* got \(2, 10\)\."):
        viz.most_wrong(dataset, right[:2])
    with pytest.raises(ArgumentError, match=r"most_wrong: expected `count` to be an integer >= 1"):
        viz.most_wrong(dataset, right, count=0)


def test_report_plots_predictions_against_labels(tmp_path, monkeypatch):
    """A model that predicts 1 for every digit fills one column of the confusion matrix."""
    _, test_set = data.digits()
    given, seen = {}, SeesOnes()
    for name in ("confusion", "predictions"):
        right = getattr(viz.plots, name)

        def noted(first, second, *rest, name=name, right=right, **options):
            given[name] = (first, second)
            return right(first, second, *rest, **options)

        monkeypatch.setattr(viz.plots, name, noted)
    logits = train.predict(seen, data.DataLoader(test_set))
    history = [{"epoch": 1, "train_loss": 1.0}]
    assert viz.report(tmp_path, seen, test_set, logits, history) == ""
    counts, _ = given["confusion"]
    assert counts[:, 1].tolist() == np.bincount(test_set.labels).tolist()
    assert counts.sum() == counts[:, 1].sum()
    dataset, predicted = given["predictions"]
    assert dataset is test_set
    assert set(predicted.tolist()) == {1}


class SeesOnes(nn.Module):
    """Predict class 1 for every image."""

    def forward(self, x):
        """Return the same logits for each image."""
        return x.flatten(1)[:, :10] * 0.0 + np.eye(10, dtype=np.float32)[1]


def test_predictions_are_green_if_correct_and_red_if_not():
    _, test_set = data.digits()
    test_set = test_set.first(9)
    predicted = test_set.labels.copy()
    predicted[4] = (predicted[4] + 1) % 10
    figure = viz.predictions(test_set, predicted, count=9)
    titles = [axes.title for axes in figure.axes]
    wrong = [title for title in titles if "should be" in title.get_text()]
    assert len({title.get_color() for title in titles}) == 2
    assert [title.get_color() for title in wrong] == ["#c0392b"]
    assert wrong[0].get_text() == f"{predicted[4]}\n(should be {test_set.labels[4]})"


def test_confusion_shows_counts_and_accuracies():
    matrix = np.array([[5, 1, 0], [0, 7, 0], [0, 0, 0]])
    axes = viz.confusion(matrix, ["cat", "dog", "cow"]).axes[0]
    assert sorted(text.get_text() for text in axes.texts) == ["1", "5", "7"]
    assert [text.get_text() for text in axes.get_yticklabels()] == [
        *("cat  (83.3%)", "dog  (100.0%)", "cow  (no samples)")
    ]
    assert [text.get_text() for text in axes.get_xticklabels()] == ["cat", "dog", "cow"]
    with pytest.raises(ShapeError, match=r"confusion: .* of shape \(2, 2\), .*, got \(3, 3\)\."):
        viz.confusion(matrix, ["cat", "dog"])


def test_confusion_writes_white_on_dark_cells():
    axes = viz.confusion(np.array([[9, 1], [4, 6]]), ["a", "b"]).axes[0]
    check_layout(viz.confusion(np.eye(20, dtype=int), [f"class {k}" for k in range(20)]))
    colors = {text.get_text(): text.get_color() for text in axes.texts}
    assert colors == {"9": "white", "1": "#1b2631", "4": "#1b2631", "6": "white"}


def test_confusion_of_many_classes_labels_every_kth():
    names = [f"class number {k}" for k in range(45)]
    figure = viz.confusion(np.eye(45, dtype=int), names)
    axes = figure.axes[0]
    assert len(axes.texts) == 0
    assert [text.get_text() for text in axes.get_xticklabels()] == names[::3]
    assert axes.get_yticklabels()[1].get_text() == "class number 3  (100.0%)"
    assert list(axes.get_yticks()) == list(range(0, 45, 3))
    check_layout(figure)


def test_save_writes_the_figure_or_raises(tmp_path):
    viz.save(viz.curves(HISTORY), tmp_path / "curves.png")
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(DataError, match=r": cannot write the file \("):
        viz.save(viz.curves(HISTORY), tmp_path / "nowhere" / "curves.png")


TEST = data.digits()[1].first(3)
LOGITS = np.zeros((3, 10))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: viz.predictions(TEST, [0, -1, 0]), ArgumentError, "from 0 to 9, got -1."),
        (lambda: viz.predictions(TEST, [0.5, 1, 2]), ArgumentError, "from 0 to 9, got 0.5."),
        (lambda: viz.predictions(TEST, LOGITS), ShapeError, "of shape (3,), one class per image"),
        (lambda: viz.predictions(TEST, TEST.labels, 0), ArgumentError, "`count` to be an integer"),
        (
            lambda: viz.predictions(TEST.images, LOGITS, 3),
            DtypeError,
            "predictions: expected `dataset` to be an ImageDataset, got numpy.ndarray.",
        ),
        (
            lambda: viz.images(replace(TEST, images=TEST.images[:0], labels=TEST.labels[:0])),
            ArgumentError,
            "images: expected at least one image, got none in 'digits'.",
        ),
        (
            lambda: viz.confusion(LOGITS, TEST.classes),
            ShapeError,
            "got (3, 10). Use train.confusion_matrix(predicted, labels, 10).",
        ),
        (lambda: viz.confusion(nn.ReLU(), "ab"), DtypeError, "`matrix` to contain numbers"),
        (lambda: viz.calibration(LOGITS), DtypeError, "Use train.calibration(logits, labels)."),
        (lambda: viz.curves(nn.ReLU()), DtypeError, "curves: expected `history` to be a History"),
        (lambda: viz.most_wrong(TEST, LOGITS + np.inf), ArgumentError, "got nan or inf."),
    ],
)
def test_errors_name_the_argument(call, error, message):
    with pytest.raises(error) as raised:
        call()
    assert message in str(raised.value)
