"""Decision boundaries: the predictions of a classifier across the plane."""

import numpy as np
from matplotlib.colors import to_rgb

from tinygrad_np import nn
from tinygrad_np.checks import check_integer, is_finite, kind_of
from tinygrad_np.data import ImageDataset
from tinygrad_np.errors import ArgumentError, DtypeError, ShapeError
from tinygrad_np.frontend.tensor import Tensor
from tinygrad_np.runtime.memory import Array
from tinygrad_np.train.prediction import evaluating
from tinygrad_np.viz.figure import TEXT, Figure
from tinygrad_np.viz.theme import PAGE, STYLES

_KINDS = ("input", "backward", "output", "second", "error", "parameter", "op", "constant")
CLASS_COLORS = tuple(STYLES[kind].border for kind in _KINDS)
"""Colors of the classes, repeated if there are more."""
_MARGIN = 0.15
"""Space around the points, as a fraction of their range."""
_SIZE = 200
"""Number of places along each axis in a figure."""


def decision_grid(
    model: nn.Module, bounds: tuple[float, float, float, float], size: int = 100
) -> Array:
    """Return the probability of each class on a square grid of points in the plane.

    The model runs in evaluation mode and records no graph, as in `train.predict`.

    Args:
        model: classifier that returns logits (N, K) for points of shape (N, 2, 1, 1).
        bounds: smallest x, largest x, smallest y and largest y.
        size: number of points along each axis; they are the centers of equal cells.

    Returns:
        Probabilities in float32, of shape (K, size, size). As in an image, the first row is at the
        top, where y is largest. They are nan where the logits are not finite.

    Raises:
        ArgumentError: if `size` is not an integer >= 1, or the bounds are not finite and ascending.
        DtypeError: if `model` is not a Module, or returns anything but a Tensor.
        ShapeError: if the model does not return logits (N, K).

    >>> from tinygrad_np import nn, viz
    >>> model = nn.Sequential(nn.Flatten(), nn.Linear(2, 3))
    >>> viz.decision_grid(model, (-1, 1, -1, 1), size=20).shape
    (3, 20, 20)
    """
    if not isinstance(model, nn.Module):
        raise DtypeError(
            f"decision_grid: expected `model` to be an instance of Module, got {kind_of(model)}."
        )
    check_integer("decision_grid", 1, size=size)
    given = isinstance(bounds, list | tuple) and len(bounds) == 4 and all(map(is_finite, bounds))
    if not given or bounds[0] >= bounds[1] or bounds[2] >= bounds[3]:
        raise ArgumentError(
            "decision_grid: expected `bounds` to be (left, right, bottom, top) with left < right "
            f"and bottom < top, got {bounds!r}."
        )
    points = (
        np.stack(np.meshgrid(*_centers(bounds, size)), axis=-1)
        .reshape(-1, 2, 1, 1)
        .astype(np.float32)
    )
    with evaluating(model), np.errstate(all="ignore"):
        logits = model(points)
        if not isinstance(logits, Tensor):
            raise DtypeError(
                f"decision_grid: expected the model to return a Tensor, got {kind_of(logits)}."
            )
        if logits.ndim != 2 or len(logits) != len(points):
            raise ShapeError(
                f"decision_grid: expected the model to return logits of shape ({len(points)}, K), "
                f"got {logits.shape}."
            )
        chances: Array = logits.softmax().data
    return np.ascontiguousarray(chances.T.astype(np.float32, copy=False)).reshape(-1, size, size)


def decision_boundary(model: nn.Module, dataset: ImageDataset, title: str = "") -> Figure:
    """Plot the points of a dataset over the classes that a model predicts in the plane.

    Each place has the color of its most likely class, paler where the model is less certain, and
    lines separate the classes. Misclassified points have a dark border.

    Args:
        model: classifier that returns logits (N, K) for points of shape (N, 2, 1, 1).
        dataset: points of shape (N, 2, 1, 1) and their true classes, for example `data.spirals()`.
        title: title of the figure.

    Raises:
        ArgumentError: if the dataset is empty, or a logit is not finite.
        DtypeError: if `dataset` is not an ImageDataset, `model` is not a Module, or the model
            returns anything but a Tensor.
        ShapeError: if the dataset does not hold points, or the model does not return logits (N, K)
            with one for each class.

    >>> from tinygrad_np import data, nn, viz
    >>> model = nn.Sequential(nn.Flatten(), nn.Linear(2, 2))
    >>> figure = viz.decision_boundary(model, data.moons()[1])
    """
    if not isinstance(dataset, ImageDataset):
        raise DtypeError(
            f"decision_boundary: expected `dataset` to be an ImageDataset, got {kind_of(dataset)}."
        )
    if dataset.images.shape[1:] != (2, 1, 1):
        raise ShapeError(
            "decision_boundary: expected a dataset of points, whose images have shape (N, 2, 1, 1),"
            f" got {dataset.images.shape}."
        )
    if not len(dataset):
        raise ArgumentError(
            f"decision_boundary: expected at least one point, got none in {dataset.name!r}."
        )
    inputs, labels = dataset.batch(slice(None))
    points = inputs[:, :, 0, 0]
    low, high = points.min(axis=0), points.max(axis=0)
    space = _MARGIN * (np.ptp(points, axis=0) + 1e-6)
    (left, bottom), (right, top) = (low - space).tolist(), (high + space).tolist()
    bounds = (left, right, bottom, top)
    chances = decision_grid(model, bounds, _SIZE)
    if len(chances) < len(dataset.classes):
        raise ShapeError(
            f"decision_boundary: expected the model to return {len(dataset.classes)} logits, one "
            f"for each class, got {len(chances)}."
        )
    if not np.isfinite(chances).all():
        raise ArgumentError("decision_boundary: expected finite logits, got nan or inf.")
    with evaluating(model):
        predicted = model(inputs).data.argmax(axis=1)

    figure = Figure((6.4, 5.6))
    axes = figure.subplots()
    axes.imshow(_blend(chances), extent=bounds, aspect="auto", interpolation="bilinear")
    for label in range(len(chances) - 1):
        # Above 0 where the class is the most likely one.
        lead = chances[label] - np.delete(chances, label, axis=0).max(axis=0)
        axes.contour(*_centers(bounds, _SIZE), lead, levels=[0], colors=[TEXT], linewidths=1)
    for label, name in enumerate(dataset.classes):
        color = CLASS_COLORS[label % len(CLASS_COLORS)]
        x, y = points[labels == label].T
        axes.scatter(x, y, s=26, color=color, edgecolors="white", linewidths=0.5, label=name)
    if (is_wrong := predicted != labels).any():
        x, y = points[is_wrong].T
        name = "wrong prediction"
        axes.scatter(x, y, s=26, color="none", edgecolors=TEXT, linewidths=1.5, label=name)
    figure.legend(loc="outside lower center", ncols=4, frameon=False, fontsize=9)
    axes.set(xlabel="x", ylabel="y")
    axes.set(xlim=bounds[:2], ylim=bounds[2:], title=figure.fit_text(title))
    return figure


def _centers(bounds: tuple[float, ...], size: int) -> tuple[Array, Array]:
    """Return x of each column and y of each row of a grid."""
    left, right, bottom, top = bounds
    centers = (np.arange(size) + 0.5) / size
    return left + (right - left) * centers, top - (top - bottom) * centers


def _blend(chances: Array) -> Array:
    """Return an image (H, W, 3): the color of the likeliest class on paper, paler if uncertain."""
    count = len(chances)
    colors = np.array([to_rgb(CLASS_COLORS[n % len(CLASS_COLORS)]) for n in range(count)])
    # 0 if all classes are equally likely, 1 if one is certain.
    sure = (chances.max(axis=0) - 1 / count) / (1 - 1 / count) if count > 1 else chances[0]
    weight = 0.55 * sure[:, :, None]  # points in the full color stand out
    image: Array = (1 - weight) * np.array(to_rgb(PAGE[0])) + weight * colors[
        chances.argmax(axis=0)
    ]
    return image
