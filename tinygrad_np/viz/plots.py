"""Plots of data, training and results.

Each plotting function returns a matplotlib Figure without showing it; `save` writes it to a file.
"""

import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from tinygrad_np.data import Dataset
from tinygrad_np.errors import ArgumentError, ShapeError
from tinygrad_np.files import write_bytes
from tinygrad_np.runtime.memory import Array
from tinygrad_np.train import Calibration, History

_SETS = {"train": "#2874a6", "validation": "#7d3c98", "test": "#ca6f1e"}
_RIGHT, _WRONG = "#1e8449", "#c0392b"


def curves(history: History | Sequence[Mapping[str, Any]], title: str = "") -> Figure:
    """Plot the loss (left axis) and, if logged, the accuracy (right axis) over the epochs.

    Args:
        history: a History, or its list of epochs. The losses train_loss, validation_loss and
            test_loss and the corresponding accuracies are plotted if present.
        title: title of the plot.

    Raises:
        ArgumentError: if no epoch has a loss.

    >>> from tinygrad_np import viz
    >>> epochs = [{"epoch": 1, "train_loss": 2.0}, {"epoch": 2, "train_loss": 1.0}]
    >>> len(viz.curves(epochs).axes)
    1
    """
    entries = history.epochs if isinstance(history, History) else history
    kinds = {name: _series(entries, name) for name in ("loss", "accuracy")}
    if not kinds["loss"]:
        raise ArgumentError(
            "curves: expected train_loss, validation_loss or test_loss in at least one epoch, got "
            f"none in {len(entries)} epochs."
        )
    figure = Figure(figsize=(7.5, 4.6), layout="constrained")
    left = figure.subplots()
    right = left.twinx() if kinds["accuracy"] else None
    lines = []
    for name, color in _SETS.items():
        if name in kinds["loss"]:
            epochs, losses = kinds["loss"][name]
            lines += left.plot(epochs, losses, "o-", color=color, ms=4, label=f"{name} loss")
        if right is not None and name in kinds["accuracy"]:
            epochs, parts = kinds["accuracy"][name]
            text = f"{name} accuracy"
            lines += right.plot(epochs, 100 * parts, "s--", color=color, ms=4, label=text)
    left.set(xlabel="epoch", ylabel="loss", title=title)
    if right is not None:
        left.set_ylabel("loss (solid)")
        right.set_ylabel("accuracy in % (dashed)")
    bottom, top = left.get_ylim()
    bottom = min(0, bottom)
    left.set_ylim(bottom, top + 0.05 * (top - bottom))
    if len(entries) == 1:
        left.set_xlim(entries[0]["epoch"] - 1, entries[0]["epoch"] + 1)
    left.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    left.grid(alpha=0.3)
    # Below the axes, where it covers no line.
    figure.legend(
        handles=lines, loc="outside lower center", ncols=len(kinds["loss"]), frameon=False
    )
    return figure


def _series(entries: Sequence[Mapping[str, Any]], kind: str) -> dict[str, tuple[Array, Array]]:
    """Return epochs and values of a kind of log, by dataset; None becomes nan."""
    found = {}
    for name in _SETS:
        key = f"{name}_{kind}"
        have = [entry for entry in entries if key in entry]
        if have:
            values = [np.nan if entry[key] is None else entry[key] for entry in have]
            found[name] = np.array([entry["epoch"] for entry in have]), np.array(values, float)
    return found


def images(dataset: Dataset, count: int = 30, title: str = "") -> Figure:
    """Plot the first `count` images of a dataset in a grid, with their class names.

    Raises:
        ArgumentError: if `count` is below 1, or the dataset is empty.

    >>> from tinygrad_np import data, viz
    >>> len(viz.images(data.digits()[0], count=4).axes)
    4
    """
    shown = dataset.first(min(count, len(dataset)))

    def draw(axes: Axes, position: int) -> None:
        axes.imshow(shown.images[position, 0], cmap="gray_r")
        axes.set_title(dataset.classes[int(shown.labels[position])], fontsize=10)

    return _grid(len(shown), draw, title)


def predictions(
    dataset: Dataset, predicted: Array, count: int = 25, seed: int = 0, title: str = ""
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
        ShapeError: if the number of predictions is not the number of images.
    """
    if len(predicted) != len(dataset):
        raise ShapeError(
            f"predictions: expected `predicted` to have {len(dataset)} entries, one per image, got "
            f"{len(predicted)}."
        )
    count = min(count, len(dataset))
    chosen = np.random.default_rng(seed).choice(len(dataset), count, replace=False)

    def draw(axes: Axes, position: int) -> None:
        index = chosen[position]
        guess, truth = int(predicted[index]), int(dataset.labels[index])
        axes.imshow(dataset.images[index, 0], cmap="gray_r")
        text = dataset.classes[guess]
        text += "" if guess == truth else f"\n(true: {dataset.classes[truth]})"
        axes.set_title(text, color=_RIGHT if guess == truth else _WRONG, fontsize=10)

    return _grid(count, draw, title)


def _grid(count: int, draw: Callable[[Axes, int], None], title: str) -> Figure:
    """Draw `count` small images on a nearly square grid."""
    columns = int(np.ceil(np.sqrt(count)))
    rows = -(-count // columns)
    figure = Figure(figsize=(1.7 * columns, 1.95 * rows + 0.4), layout="constrained")
    for position, axes in enumerate(np.ravel(figure.subplots(rows, columns))):
        axes.axis("off")
        if position < count:
            draw(axes, position)
    figure.suptitle(title)
    return figure


def confusion(matrix: Array, classes: Sequence[str], title: str = "") -> Figure:
    """Plot a confusion matrix: true classes in rows, predicted classes in columns.

    Each cell is colored by its fraction of the row and shows its count unless it is 0. The row
    labels show the accuracy on each true class.

    Args:
        matrix: counts of shape (C, C), as returned by `train.confusion_matrix`.
        classes: names of the C classes.
        title: title of the plot.

    Raises:
        ShapeError: if the shape of `matrix` does not match the number of classes.
    """
    if matrix.shape != (len(classes),) * 2:
        raise ShapeError(
            f"confusion: expected `matrix` of shape {(len(classes),) * 2}, one row and column per "
            f"class, got {matrix.shape}."
        )
    figure = Figure(figsize=(8, 6.4), layout="constrained")
    axes = figure.subplots()
    totals = matrix.sum(axis=1, keepdims=True)
    parts = matrix / np.maximum(1, totals)
    image = axes.imshow(parts, cmap="Blues", vmin=0, vmax=1)
    figure.colorbar(image, label="fraction of the true class", shrink=0.8)
    slanted = max(map(len, classes)) > 2
    axes.set_xticks(
        range(len(classes)),
        classes,
        rotation=45 if slanted else 0,
        ha="right" if slanted else "center",
        rotation_mode="anchor",
    )
    labels = []
    for row, name in enumerate(classes):
        accuracy = f"{parts[row, row]:.1%}" if totals[row] else "no samples"
        labels.append(f"{name}  ({accuracy})")
    axes.set_yticks(range(len(classes)), labels)
    axes.set(xlabel="predicted class", ylabel="true class (accuracy)", title=title)
    for row, column in np.ndindex(matrix.shape):
        if matrix[row, column]:
            color = "white" if parts[row, column] > 0.5 else "#1b2631"
            axes.text(
                column, row, str(matrix[row, column]), ha="center", va="center", color=color, size=9
            )
    return figure


def calibration(result: Calibration, title: str = "") -> Figure:
    """Plot a reliability diagram: accuracy and number of predictions per bin of confidence.

    The bins have equal width from 0 to 1. On the diagonal, accuracy equals confidence (Guo et al.
    2017).
    """
    bins = len(result.count)
    centres = (np.arange(bins) + 0.5) / bins
    filled = np.asarray(result.count) > 0
    confidence, accuracy = (
        np.asarray(values)[filled] for values in (result.confidence, result.accuracy)
    )
    figure = Figure(figsize=(5.5, 7), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    width = 1 / bins
    label = "accuracy per bin"
    bars = upper.bar(
        centres[filled], accuracy, width, color="#aed6f1", edgecolor="white", label=label
    )
    label = "accuracy at the mean confidence of the bin"
    points = upper.plot(confidence, accuracy, "o", color=_SETS["train"], label=label, clip_on=False)
    diagonal = upper.plot([0, 1], [0, 1], "--", color="#566573", label="perfect calibration")
    upper.set(ylabel="accuracy", title=title, xlim=(0, 1), ylim=(0, 1))
    # Above the axes, because bars and points may be anywhere inside them.
    figure.legend(
        handles=[bars, *points, *diagonal],
        loc="outside upper center",
        title=f"expected calibration error: {result.expected_error:.2%}",
    )
    lower.bar(centres, result.count, width, color="#839192", edgecolor="white")
    lower.set(xlabel="confidence", ylabel="predictions")
    for axes in (upper, lower):
        axes.set_axisbelow(True)
        axes.grid(alpha=0.3)
    return figure


def save(figure: Figure, path: str | Path) -> None:
    """Write a figure in the format given by the suffix of `path`, atomically.

    Raises:
        ArgumentError: if matplotlib does not support the format.
        DataError: if the file cannot be written.
    """
    buffer = io.BytesIO()
    try:
        figure.savefig(buffer, format=Path(path).suffix.lstrip("."), dpi=120)
    except ValueError as error:
        raise ArgumentError(f"save: cannot write {path} ({error}).") from error
    write_bytes(path, buffer.getvalue())
