"""The pictures of a finished training, in files."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tinygrad_np import nn, train
from tinygrad_np.data import Dataset
from tinygrad_np.errors import DataError
from tinygrad_np.runtime.memory import Array
from tinygrad_np.viz import plots
from tinygrad_np.viz.graph import draw, render

REPORT_FILES = (
    "curves.png",
    "predictions.png",
    "confusion.png",
    "calibration.png",
    "graph.dot",
    "graph.svg",
)
"""What `report` writes."""


def report(
    folder: str | Path,
    model: nn.Module,
    test_set: Dataset,
    logits: Array,
    history: Sequence[Mapping[str, Any]],
) -> str:
    """Write curves, predictions, confusion matrix, calibration and the model's graph to a folder.

    `logits` (N, C) are the model's for the test set, `history` the epochs of a History. Returns why
    there is no picture of the graph, or an empty text: graph.dot is there in any case.
    """
    folder = Path(folder)
    name = f"{type(model).__name__} on {test_set.name}"
    predicted = logits.argmax(axis=1)
    matrix = train.confusion_matrix(predicted, test_set.labels, len(test_set.classes))
    legend = f"{name}: predicted class, green right, red wrong"
    calibration = train.calibration(logits, test_set.labels)
    plots.save(plots.curves(history, name), folder / "curves.png")
    plots.save(plots.predictions(test_set, predicted, title=legend), folder / "predictions.png")
    plots.save(plots.confusion(matrix, test_set.classes, name), folder / "confusion.png")
    plots.save(plots.calibration(calibration, name), folder / "calibration.png")
    images, _ = test_set.batch(slice(0, 1))
    picture = draw(model, images)
    render(picture, folder / "graph.dot")
    try:
        render(picture, folder / "graph.svg")
    except DataError as error:
        return str(error)
    return ""
