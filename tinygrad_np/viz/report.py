"""Figures of a finished training run, written to files."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tinygrad_np import nn, train
from tinygrad_np.data import ImageDataset
from tinygrad_np.errors import DataError
from tinygrad_np.runtime.memory import Array
from tinygrad_np.viz import plots
from tinygrad_np.viz.boundary import decision_boundary
from tinygrad_np.viz.drawing import draw, render
from tinygrad_np.viz.figure import save

REPORT_FILES = (
    "curves.png",
    "predictions.png",
    "confusion.png",
    "calibration.png",
    "graph.dot",
    "graph.svg",
)
"""Names of the files that `report` writes."""


def report(
    folder: str | Path,
    model: nn.Module,
    test_set: ImageDataset,
    logits: Array,
    history: Sequence[Mapping[str, Any]],
) -> str:
    """Write learning curves, predictions, confusion matrix, calibration and graph to a directory.

    The figure of predictions shows a sample of images, or the decision boundary for points.

    Args:
        folder: existing directory to write `REPORT_FILES` to.
        model: the trained model.
        test_set: images and labels of the test set.
        logits: outputs of the model for `test_set`, of shape (N, C).
        history: logs of each epoch, as in `History.epochs`.

    Returns:
        An empty string, or the reason why graph.svg is missing or incomplete. graph.dot is always
        written.

    Raises:
        DataError: if a file other than graph.svg cannot be written.
        ShapeError: if `logits` does not have one row per image.
        ArgumentError: if no epoch has a loss, a predicted class is not in `test_set.classes`, or a
            row of logits has no finite softmax.
        GraphError: if the graph of the model is empty.
    """
    folder = Path(folder)
    name = f"{type(model).__name__} on {test_set.name}"
    predicted = logits.argmax(axis=1)
    matrix = train.confusion_matrix(predicted, test_set.labels, len(test_set.classes))
    calibration = train.calibration(logits, test_set.labels)
    save(plots.curves(history, name), folder / "curves.png")
    if test_set.images.shape[1:] == (2, 1, 1):
        predictions = decision_boundary(model, test_set, name)
    else:
        legend = f"{name}: predicted class (green: correct, red: incorrect)"
        predictions = plots.predictions(test_set, predicted, title=legend)
    save(predictions, folder / "predictions.png")
    save(plots.confusion(matrix, test_set.classes, name), folder / "confusion.png")
    save(plots.calibration(calibration, name), folder / "calibration.png")
    # Twice the first image: batch norm cannot normalize the features of a single one.
    images, _ = test_set.batch(np.zeros(2, int))
    picture = draw(model, images)
    render(picture, folder / "graph.dot")
    try:
        render(picture, folder / "graph.svg")
    except DataError as error:
        return str(error)
    return str(picture.error or "")
