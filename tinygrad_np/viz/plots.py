"""Plots of data, training and results. Each function returns a Figure without showing it."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from tinygrad_np.checks import check_integer, kind_of
from tinygrad_np.data import ImageDataset
from tinygrad_np.errors import ArgumentError, DtypeError, ShapeError
from tinygrad_np.runtime.memory import Array
from tinygrad_np.train import Calibration, History
from tinygrad_np.train.callbacks import best_epoch, epoch_numbers, log_values
from tinygrad_np.viz.figure import (
    BARS,
    GUIDE,
    RIGHT,
    SETS,
    TEXT,
    WRONG,
    Figure,
    array_of,
    as_images,
    draw_image,
    grid,
    name_image,
    shorten,
)

_CLASSES = 20  # with a label in a confusion matrix


def curves(
    history: History | Sequence[Mapping[str, Any]], title: str = "", metric: str = "accuracy"
) -> Figure:
    """Plot the loss (left axis) and, if logged, a metric (right axis) over the epochs.

    A vertical line marks the best epoch: the one with the lowest validation loss or, if no
    validation loss was logged, with the highest validation accuracy. Test results are
    not used, because they must not choose an epoch. A history of one epoch shows the values as
    text.

    Args:
        history: a History, or its list of epochs, which are numbered from 1 if they have no
            "epoch". The losses train_loss, validation_loss and test_loss and the corresponding
            values of the metric are plotted if present.
        title: title of the plot.
        metric: name of a metric of the Trainer. An accuracy is shown in percent.

    Raises:
        ArgumentError: if no epoch has a loss.
        DtypeError: if `history` is neither a History nor a list of epochs.

    >>> from tinygrad_np import viz
    >>> epochs = [{"epoch": 1, "train_loss": 2.0}, {"epoch": 2, "train_loss": 1.0}]
    >>> len(viz.curves(epochs).axes)
    1
    """
    entries = history.epochs if isinstance(history, History) else history
    if not isinstance(entries, list | tuple) or not all(isinstance(e, Mapping) for e in entries):
        raise DtypeError(
            "curves: expected `history` to be a History or its list of epochs, got "
            f"{kind_of(history)}. Pass what Trainer.fit returns."
        )
    kinds = {name: _series(entries, name) for name in ("loss", metric)}
    if not kinds["loss"]:
        raise ArgumentError(
            "curves: expected train_loss, validation_loss or test_loss in at least one epoch, got "
            f"none in {len(entries)} epochs."
        )
    figure = Figure((7.5, 4.6))
    left = figure.subplots()
    right = left.twinx() if kinds[metric] else None
    is_accuracy = metric.endswith("accuracy")
    lines = []
    for name, color in SETS.items():
        if name in kinds["loss"]:
            epochs, losses = kinds["loss"][name]
            lines += left.plot(epochs, losses, "o-", color=color, ms=4, label=f"{name} loss")
        if right is not None and name in kinds[metric]:
            epochs, values = kinds[metric][name]
            values = 100 * values if is_accuracy else values
            text = f"{name} {metric.replace('_', ' ')}"
            lines += right.plot(epochs, values, "s--", color=color, ms=4, label=text)
    left.set(xlabel="epoch", ylabel="loss", title=figure.fit_text(title))
    if right is not None:
        _name_axes(left, right, metric, is_point=len(entries) == 1)
    bottom, top = left.get_ylim()
    bottom = min(0, bottom)
    left.set_ylim(bottom, top + 0.05 * (top - bottom))
    left.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    if len(entries) == 1:
        (epoch,) = epoch_numbers(entries)
        left.set_xlim(epoch - 1, epoch + 1)
        left.set_xticks([epoch])
        _add_values(left, right, "{:.2f}%" if is_accuracy else "{:.4g}")
    best = _mark_best(left, entries) if len(entries) > 1 else []
    left.grid(alpha=0.3)
    # Below the axes, where it covers no line; one column per dataset, and one for the best epoch.
    figure.legend(
        handles=lines + best,
        loc="outside lower center",
        ncols=len(kinds["loss"]) + len(best),
        frameon=False,
        fontsize=9,
        columnspacing=1.2,
    )
    return figure


def _name_axes(left: Axes, right: Axes, metric: str, *, is_point: bool) -> None:
    """Label the axes of the loss and of the metric, with how their lines or points look."""
    circles, squares = ("circles", "squares") if is_point else ("solid", "dashed")
    unit = " in %" if metric.endswith("accuracy") else ""
    left.set_ylabel(f"loss ({circles})")
    right.set_ylabel(f"{metric.replace('_', ' ')}{unit} ({squares})")


def _add_values(left: Axes, right: Axes | None, spec: str) -> None:
    """Write the value of each point: losses to the left of it, those of the metric to the right.

    Values of nearly the same height are spread.
    """
    for axes, x, side, form in ((left, 0.48, "right", "{:.4g}"), (right, 0.52, "left", spec)):
        if axes is None:
            continue
        points = [(np.ravel(line.get_ydata())[0], line.get_color()) for line in axes.get_lines()]
        points = sorted(point for point in points if np.isfinite(point[0]))
        low, high = axes.get_ylim()
        # The lowest value keeps its height; each other one is at least a line above the last.
        height, room = -1.0, 1 - 0.05 * len(points)
        for position, (value, color) in enumerate(points):
            wanted = min((value - low) / (high - low), room + 0.05 * position)
            height = max(wanted, height + 0.05)
            axes.text(
                x,
                height,
                form.format(value),
                transform=axes.transAxes,
                ha=side,
                va="center",
                color=color,
            )


def _mark_best(axes: Axes, entries: Sequence[Mapping[str, Any]]) -> list[Line2D]:
    """Draw a vertical line at the best epoch, if there is validation; return it for the legend."""
    best = best_epoch(entries)
    if best is None:
        return []
    position, name = best
    epoch, value = epoch_numbers(entries)[position], entries[position][name]
    shown = f"{value:.2%}" if name == "validation_accuracy" else f"{value:.4g}"
    label = f"best epoch: {epoch} ({name.replace('_', ' ')} {shown})"
    return [axes.axvline(epoch, color=GUIDE, ls=":", label=label)]


def _series(entries: Sequence[Mapping[str, Any]], kind: str) -> dict[str, tuple[Array, Array]]:
    """Return epochs and values of a kind of log, by dataset."""
    found, epochs = {}, np.array(epoch_numbers(entries))
    for name in SETS:
        key = f"{name}_{kind}"
        have = [position for position, entry in enumerate(entries) if key in entry]
        if have:
            found[name] = epochs[have], np.array(log_values(entries, key))[have]
    return found


def images(dataset: Any, count: int = 30, title: str = "") -> Figure:
    """Plot the first `count` images in a grid, with their class names if they have labels.

    Args:
        dataset: an ImageDataset, or an array, Tensor or list of images of shape (H, W), (N, H, W),
            (N, C, H, W) or (N, H, W, C), where C is 1 for gray, 3 for RGB or 4 for RGBA. A 3-D
            array whose first or last axis is 3 or 4 is one color image; pass three gray images as
            (3, 1, H, W). Color images of floats outside 0 to 1 are rescaled to that range.
        count: largest number of images to plot.
        title: title of the figure.

    Raises:
        ArgumentError: if `count` is below 1, or the dataset is empty.
        DtypeError: if `dataset` does not contain numbers.
        ShapeError: if an array does not have the shape of images.

    >>> from tinygrad_np import data, viz
    >>> len(viz.images(data.digits()[0], count=4).axes)
    4
    """
    if not isinstance(dataset, ImageDataset):
        check_integer("images", 1, count=count)
        pixels = as_images("images", dataset)[:count]
        return grid(len(pixels), lambda axes, position: draw_image(axes, pixels[position]), title)
    shown = _sample("images", dataset, count).first(min(count, len(dataset)))

    def draw(axes: Axes, position: int) -> None:
        draw_image(axes, shown.images[position])
        name_image(axes, ("{}", dataset.classes[int(shown.labels[position])]), fontsize=10)

    return grid(len(shown), draw, title)


def predictions(
    dataset: ImageDataset, predicted: Array, count: int = 25, seed: int = 0, title: str = ""
) -> Figure:
    """Plot a random sample of images with their predicted class: green if correct, red if not.

    Incorrect predictions also show the true class.

    Args:
        dataset: images and their true classes.
        predicted: predicted class of each image, shape (N,).
        count: largest number of images to plot.
        seed: seed of the random sample.
        title: title of the figure.

    Raises:
        ArgumentError: if `count` is below 1, the dataset is empty, or `predicted` contains anything
            but classes of the dataset.
        DtypeError: if `dataset` is not an ImageDataset, or `predicted` does not contain numbers.
        ShapeError: if the shape of `predicted` is not (N,).
    """
    labels = array_of("predictions", "predicted", predicted)
    if labels.shape != (len(_sample("predictions", dataset, count)),):
        raise ShapeError(
            f"predictions: expected `predicted` of shape ({len(dataset)},), one class per image, "
            f"got {labels.shape}."
        )
    outside = (labels < 0) | (labels >= len(dataset.classes))
    if labels.dtype.kind not in "iu" or outside.any():
        raise ArgumentError(
            "predictions: expected `predicted` to be integers from 0 to "
            f"{len(dataset.classes) - 1}, got {(labels[outside] if outside.any() else labels)[0]}."
        )
    count = min(count, len(dataset))
    chosen = np.random.default_rng(seed).choice(len(dataset), count, replace=False)

    def draw(axes: Axes, position: int) -> None:
        index = chosen[position]
        guess, truth = int(labels[index]), int(dataset.labels[index])
        draw_image(axes, dataset.images[index])
        lines = [("{}", dataset.classes[guess])]
        if guess != truth:
            lines.append(("(should be {})", dataset.classes[truth]))
        name_image(axes, *lines, color=RIGHT if guess == truth else WRONG)

    return grid(count, draw, title)


def most_wrong(dataset: ImageDataset, logits: Any, count: int = 25, title: str = "") -> Figure:
    """Plot the misclassified images with the largest loss, the largest first.

    Each image has the predicted class with its probability in red, and the true class with its
    probability below. The loss is the cross-entropy -log p(true class).

    Args:
        dataset: images and their true classes.
        logits: outputs of the model for the dataset, of shape (N, C), for example from
            `train.predict`.
        count: largest number of images to plot.
        title: title of the figure.

    Raises:
        ArgumentError: if `count` is below 1, the dataset is empty, a logit is not finite, or every
            prediction is correct.
        DtypeError: if `dataset` is not an ImageDataset, or `logits` does not contain numbers.
        ShapeError: if the shape of `logits` is not (images, classes).

    >>> import numpy as np
    >>> from tinygrad_np import data, viz
    >>> _, test_set = data.digits()
    >>> logits = np.eye(10)[(test_set.labels + 1) % 10]  # every prediction is wrong
    >>> len(viz.most_wrong(test_set, logits, count=4).axes)
    4
    """
    _sample("most_wrong", dataset, count)
    scores = array_of("most_wrong", "logits", logits).astype(np.float64)
    shape = (len(dataset), len(dataset.classes))
    if scores.shape != shape:
        raise ShapeError(
            f"most_wrong: expected `logits` of shape {shape}, one row per image, got "
            f"{scores.shape}."
        )
    if not np.isfinite(scores).all():
        raise ArgumentError("most_wrong: expected finite `logits`, got nan or inf.")
    scores -= scores.max(axis=1, keepdims=True)
    chances = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)  # N, C
    rows = np.arange(len(dataset))
    losses = np.log(np.exp(scores).sum(axis=1)) - scores[rows, dataset.labels]
    wrong = np.flatnonzero(scores.argmax(axis=1) != dataset.labels)
    if not wrong.size:
        raise ArgumentError(
            f"most_wrong: expected at least one wrong prediction, got none for {len(dataset)} "
            "images."
        )
    chosen = wrong[np.argsort(-losses[wrong], kind="stable")][:count]

    def draw(axes: Axes, position: int) -> None:
        index = chosen[position]
        guess, truth = int(scores[index].argmax()), int(dataset.labels[index])
        draw_image(axes, dataset.images[index])
        lines = [
            (f"{before}{{}} ({chances[index, label]:.1%})", dataset.classes[label])
            for before, label in (("", guess), ("true: ", truth))
        ]
        name_image(axes, *lines, color=WRONG, fontsize=8)

    return grid(len(chosen), draw, title or "Most wrong: predicted class above the true class")


def _sample(who: str, dataset: Any, count: int) -> ImageDataset:
    """Check a dataset to draw `count` images of, and return it."""
    check_integer(who, 1, count=count)
    if not isinstance(dataset, ImageDataset):
        raise DtypeError(
            f"{who}: expected `dataset` to be an ImageDataset, got {kind_of(dataset)}."
        )
    if not len(dataset):
        raise ArgumentError(f"{who}: expected at least one image, got none in {dataset.name!r}.")
    return dataset


def confusion(matrix: Any, classes: Sequence[str], title: str = "") -> Figure:
    """Plot a confusion matrix: true classes in rows, predicted classes in columns.

    Each cell is colored by its fraction of the row and shows its count unless it is 0. The row
    labels show the accuracy on each true class. With more than 20 classes, there are no counts, and
    every k-th class is labelled.

    Args:
        matrix: counts of shape (C, C), as returned by `train.confusion_matrix`.
        classes: names of the C classes.
        title: title of the plot.

    Raises:
        DtypeError: if `matrix` does not contain numbers.
        ShapeError: if the shape of `matrix` does not match the number of classes.
    """
    matrix = array_of("confusion", "matrix", matrix)
    if matrix.shape != (len(classes),) * 2:
        raise ShapeError(
            f"confusion: expected `matrix` of shape {(len(classes),) * 2}, one row and column per "
            f"class, got {matrix.shape}. Use train.confusion_matrix(predicted, labels, "
            f"{len(classes)})."
        )
    figure = Figure((8, 6.4))
    axes = figure.subplots()
    totals = matrix.sum(axis=1, keepdims=True)
    parts = matrix / np.maximum(1, totals)
    # Of a free aspect, or the layout would leave too little space for the labels.
    image = axes.imshow(parts, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    figure.colorbar(image, label="fraction of the true class", shrink=0.8)
    every = -(-len(classes) // _CLASSES)
    ticks = range(0, len(classes), every)
    names = [shorten(str(classes[position]), 24) for position in ticks]
    slanted = max(map(len, names)) > 2
    axes.set_xticks(
        ticks,
        names,
        rotation=45 if slanted else 0,
        ha="right" if slanted else "center",
        rotation_mode="anchor",
        parse_math=False,
    )
    labels = []
    for row, name in zip(ticks, names, strict=True):
        accuracy = f"{parts[row, row]:.1%}" if totals[row] else "no samples"
        labels.append(f"{name}  ({accuracy})")
    axes.set_yticks(ticks, labels, parse_math=False)
    axes.set(xlabel="predicted class", ylabel="true class (accuracy)", title=figure.fit_text(title))
    for row, column in np.ndindex(matrix.shape):
        if matrix[row, column] and every == 1:
            color = "white" if parts[row, column] > 0.5 else TEXT
            axes.text(
                column, row, str(matrix[row, column]), ha="center", va="center", color=color, size=9
            )
    return figure


def calibration(result: Calibration, title: str = "") -> Figure:
    """Plot a reliability diagram: accuracy and number of predictions per bin of confidence.

    The bins have equal width from 0 to 1. On the diagonal, accuracy equals confidence (Guo et al.
    2017).

    Raises:
        DtypeError: if `result` is not a Calibration.
    """
    if not isinstance(result, Calibration):
        raise DtypeError(
            f"calibration: expected `result` to be a Calibration, got {kind_of(result)}. Use "
            "train.calibration(logits, labels)."
        )
    bins = len(result.count)
    centres = (np.arange(bins) + 0.5) / bins
    filled = np.asarray(result.count) > 0
    confidence, accuracy = (
        np.asarray(values)[filled] for values in (result.confidence, result.accuracy)
    )
    figure = Figure((5.5, 7))
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    width = 1 / bins
    label = "accuracy per bin"
    bars = upper.bar(
        centres[filled], accuracy, width, color="#aed6f1", edgecolor="white", label=label
    )
    label = "accuracy at the mean confidence of the bin"
    points = upper.plot(confidence, accuracy, "o", color=SETS["train"], label=label, clip_on=False)
    diagonal = upper.plot([0, 1], [0, 1], "--", color=GUIDE, label="perfect calibration")
    text = f"{title}\nexpected calibration error: {result.expected_error:.2%}".lstrip()
    upper.set(ylabel="accuracy", title=figure.fit_text(text), xlim=(0, 1), ylim=(0, 1))
    # Below the axes, because bars and points may be anywhere inside them.
    figure.legend(handles=[bars, *points, *diagonal], loc="outside lower center", frameon=False)
    # On a logarithmic scale that starts at 1/2, a bin of one prediction is a visible bar.
    counts = lower.bar(centres[filled], result.count[filled], width, color=BARS, edgecolor="white")
    lower.bar_label(counts, fontsize=8, padding=1)
    lower.set(xlabel="confidence", ylabel="predictions (log)", yscale="log")
    lower.set_ylim(0.5, 6 * max(1, int(np.max(result.count))))
    for axes in (upper, lower):
        axes.set_axisbelow(True)
        axes.grid(alpha=0.3)
    return figure
