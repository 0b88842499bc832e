"""Plots of a training: each returns a matplotlib Figure and shows nothing by itself."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from tinygrad_np.data import Dataset
from tinygrad_np.errors import ArgumentError, ShapeError
from tinygrad_np.files import write_bytes
from tinygrad_np.memory import Array

_TRAIN, _TEST, _RIGHT, _WRONG = "#2874a6", "#ca6f1e", "#1e8449", "#c0392b"


def curves(history: Sequence[Mapping[str, Any]], title: str = "") -> Figure:
    """Loss on the left axis and accuracy on the right, training and test, over the epochs.

    `history` has for each epoch train_loss, train_accuracy, test_loss and test_accuracy.
    """
    figure = Figure(figsize=(7.5, 4.2), layout="constrained")
    left = figure.subplots()
    right = left.twinx()
    epochs = [entry["epoch"] for entry in history]
    for name, color in (("train", _TRAIN), ("test", _TEST)):
        losses = [entry[f"{name}_loss"] for entry in history]
        accuracies = [100 * entry[f"{name}_accuracy"] for entry in history]
        left.plot(epochs, losses, color=color, marker="o", label=f"{name} loss")
        right.plot(epochs, accuracies, color=color, marker="s", ls="--", label=f"{name} accuracy")
    left.set(xlabel="epoch", ylabel="loss (solid)", title=title)
    left.set_ylim(bottom=0)
    left.xaxis.set_major_locator(MaxNLocator(integer=True))
    right.set(ylabel="accuracy in % (dashed)")
    lines = [*left.get_lines(), *right.get_lines()]
    left.legend(lines, [str(line.get_label()) for line in lines], loc="center right")
    left.grid(alpha=0.3)
    return figure


def predictions(
    dataset: Dataset, predicted: Array, count: int = 25, seed: int = 0, title: str = ""
) -> Figure:
    """A grid of images drawn at random with predicted and true class: green right, red wrong."""
    if len(predicted) != len(dataset):
        raise ShapeError(
            f"predictions: got {len(predicted)} predicted classes for {len(dataset)} images"
        )
    count = min(count, len(dataset))
    chosen = np.random.default_rng(seed).choice(len(dataset), count, replace=False)
    columns = int(np.ceil(np.sqrt(count)))
    rows = -(-count // columns)
    figure = Figure(figsize=(1.7 * columns, 1.95 * rows + 0.4), layout="constrained")
    for position, axes in enumerate(np.ravel(figure.subplots(rows, columns))):
        axes.axis("off")
        if position >= count:
            continue
        index = chosen[position]
        guess, truth = int(predicted[index]), int(dataset.labels[index])
        axes.imshow(dataset.images[index, 0], cmap="gray_r")
        text = dataset.classes[guess]
        text += "" if guess == truth else f"\nis {dataset.classes[truth]}"
        axes.set_title(text, color=_RIGHT if guess == truth else _WRONG, fontsize=10)
    figure.suptitle(title)
    return figure


def confusion(matrix: Array, classes: Sequence[str], title: str = "") -> Figure:
    """Counts of true (rows) against predicted classes; the colour is the part of each row."""
    figure = Figure(figsize=(7, 6.2), layout="constrained")
    axes = figure.subplots()
    parts = matrix / np.maximum(1, matrix.sum(axis=1, keepdims=True))
    image = axes.imshow(parts, cmap="Blues", vmin=0, vmax=1)
    figure.colorbar(image, label="part of the true class", shrink=0.8)
    slanted = max(map(len, classes)) > 2
    axes.set_xticks(range(len(classes)), classes, rotation=45 if slanted else 0)
    axes.set_yticks(range(len(classes)), classes)
    axes.set(xlabel="predicted", ylabel="true", title=title)
    for row, column in np.ndindex(matrix.shape):
        if matrix[row, column]:
            color = "white" if parts[row, column] > 0.5 else "#1b2631"
            axes.text(
                column, row, str(matrix[row, column]), ha="center", va="center", color=color, size=9
            )
    return figure


def save(figure: Figure, path: str | Path) -> None:
    """Write a figure in the format that the suffix names, whole or not at all."""
    buffer = io.BytesIO()
    try:
        figure.savefig(buffer, format=Path(path).suffix.lstrip("."), dpi=120)
    except ValueError as error:
        raise ArgumentError(f"save: {path}: {error}") from error
    write_bytes(path, buffer.getvalue())
