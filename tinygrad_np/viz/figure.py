"""Parts of all plots: a Figure that notebooks display, colors, image grids, panels of maps."""

import io
import textwrap
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib.figure
import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path

from tinygrad_np.data import ImageDataset
from tinygrad_np.errors import ArgumentError, DtypeError, ShapeError
from tinygrad_np.files import write_bytes
from tinygrad_np.frontend.tensor import Tensor
from tinygrad_np.runtime.memory import Array

SETS = {"train": "#2874a6", "validation": "#7d3c98", "test": "#ca6f1e"}
"""Color of each dataset."""
RIGHT, WRONG = "#1e8449", "#c0392b"
TEXT, GUIDE, BARS = "#1b2631", "#566573", "#7f8c8d"


class Figure(matplotlib.figure.Figure):
    r"""A matplotlib Figure that a notebook displays, with or without `%matplotlib inline`.

    Layouts are constrained, so that no text leaves the figure. pyplot does not know the figure:
    nothing is displayed twice, and nothing needs to be closed.

    >>> Figure(figsize=(2, 1))._repr_png_()[:4]
    b'\x89PNG'
    """

    def __init__(self, figsize: tuple[float, float]) -> None:
        super().__init__(figsize=figsize, layout="constrained")
        engine: Any = self.get_layout_engine()
        engine.set(h_pad=0.08, w_pad=0.08)

    def heading(self, title: str) -> None:
        """Set the title of the figure, broken into lines that fit its width."""
        if title:
            self.suptitle(self.fit_text(title))

    def fit_text(self, text: str) -> str:
        """Break a text in the font of titles into lines that fit the width of the figure."""
        columns = int(self.get_figwidth() / 0.1)
        return "\n".join(textwrap.fill(line, columns) for line in text.split("\n"))

    def _repr_png_(self) -> bytes:
        buffer = io.BytesIO()
        self.savefig(buffer, format="png")
        return buffer.getvalue()


def save(figure: matplotlib.figure.Figure, path: str | Path) -> None:
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


def grid(
    count: int,
    draw: Callable[[Axes, int], None],
    title: str = "",
    size: tuple[float, float] = (1.7, 1.95),
    columns: int | None = None,
) -> Figure:
    """Draw `count` images on a grid.

    Args:
        count: number of images.
        draw: function that draws the image at a position on the axes it is given.
        title: title of the figure.
        size: width and height of a cell in inches.
        columns: number of columns; by default, the grid is nearly square.
    """
    columns = columns or int(np.ceil(np.sqrt(count)))
    rows = -(-count // columns)
    # Wide enough for a title, however few the images are.
    figure = Figure((max(3.4, size[0] * columns), size[1] * rows + 0.4))
    for position, axes in enumerate(np.ravel(figure.subplots(rows, columns))):
        axes.axis("off")
        if position < count:
            draw(axes, position)
    figure.heading(title)
    return figure


def name_image(axes: Axes, *lines: tuple[str, str], fontsize: int = 9, color: str = TEXT) -> None:
    """Write lines of text above an image of a grid.

    Each line is a form and the name in it, for example ("true: {}", "cat"). Names that are too long
    for the width of the image are shortened.
    """
    figure: Any = axes.figure
    grid_of: Any = axes.get_subplotspec()
    room = 72 * (figure.get_figwidth() / grid_of.get_gridspec().ncols - 0.15)  # points
    font = FontProperties(size=fontsize)
    texts = []
    for form, name in lines:
        length = len(name)
        while True:
            text = form.format(shorten(name, length))
            width, _, _ = text_to_path.get_text_width_height_descent(text, font, False)
            if width <= room or length < 4:
                break
            length -= 1
        texts.append(text)
    axes.set_title("\n".join(texts), fontsize=fontsize, color=color, parse_math=False)


def shorten(text: str, length: int) -> str:
    """Return a text with at most `length` characters, the middle left out.

    >>> shorten("golden retriever", 11)
    'golde…iever'
    """
    if len(text) <= length:
        return text
    half = (length - 1) // 2
    return f"{text[: length - 1 - half]}…{text[len(text) - half :]}"


def draw_image(axes: Axes, image: Array) -> None:
    """Draw an image (C, H, W): colors if C is 3 or 4, otherwise the mean of C as ink on paper."""
    if len(image) not in (3, 4):
        axes.imshow(image[0] if len(image) == 1 else image.mean(axis=0), cmap="gray_r")
        return
    colors = image.transpose(1, 2, 0)  # H, W, C
    if colors.dtype != np.uint8 and (colors.min() < 0 or colors.max() > 1):
        spread = np.ptp(colors) or 1
        colors = (colors - colors.min()) / spread
    axes.imshow(colors)


def largest(*maps: Array) -> float:
    """Return the largest finite absolute value in some maps, or 1 if all are 0."""
    magnitudes = [np.abs(one[np.isfinite(one)]).max(initial=0) for one in maps]
    return float(max(magnitudes, default=0)) or 1.0


def draw_map(axes: Axes, values: Array, low: float, high: float) -> Any:
    """Draw a map (H, W): red where positive, blue where negative, white at 0.

    `low` is -`high`, or 0 for a map without negative values. Return the image, for a color bar.
    """
    colors = colormaps["RdBu_r"]
    if low == 0:
        colors = ListedColormap(colors(np.linspace(0.5, 1, 256)))
    return axes.imshow(values, cmap=colors, vmin=low, vmax=high)


def array_of(who: str, name: str, value: Any) -> Array:
    """Return an array, a Tensor or a list of numbers as an array.

    Raises:
        DtypeError: if `value` does not contain numbers.
        ShapeError: if the lists are ragged.
    """
    try:
        array = np.asarray(value.data if isinstance(value, Tensor) else value)
    except ValueError as error:
        raise ShapeError(f"{who}: expected `{name}` to be an array ({error}).") from error
    if array.dtype.kind not in "biuf":
        raise DtypeError(
            f"{who}: expected `{name}` to contain numbers, got {type(value).__name__} of dtype "
            f"{array.dtype}."
        )
    return array


def as_images(who: str, value: Any) -> Array:
    """Return one or several images, gray or in color, as an array of shape (N, C, H, W).

    Raises:
        DtypeError: if `value` does not contain numbers.
        ShapeError: if the shape is not that of images.
    """
    array = array_of(who, "images", value)
    shape = array.shape
    colors = (3, 4)
    if array.ndim == 2:
        array = array[None, None]
    elif array.ndim == 3 and (shape[0] in colors or shape[-1] in colors):
        array = array[None]
    elif array.ndim == 3:
        array = array[:, None]
    if array.ndim == 4 and array.shape[1] not in (1, *colors) and array.shape[3] in (1, *colors):
        array = array.transpose(0, 3, 1, 2)
    if array.ndim != 4 or array.shape[1] not in (1, *colors) or not array.size:
        raise ShapeError(
            f"{who}: expected images of shape (H, W), (N, H, W), (N, C, H, W) or (N, H, W, C) "
            f"with C in 1, 3 or 4, got {shape}."
        )
    return array.astype(np.uint8) if array.dtype == bool else array


def panels(
    rows: Mapping[str, Sequence[Array] | Array],
    image: Array | None = None,
    title: str = "",
    shared: bool = False,
) -> Figure:
    """Draw rows of maps, such as kernels or feature maps.

    Red is positive, blue negative and white 0. The scale of a row without negative values, such as
    the outputs of a ReLU, starts at 0.

    Args:
        rows: for each label, arrays of shape (H, W).
        image: image of shape (C, H, W) to draw on the left.
        title: title of the figure.
        shared: whether all rows share one color scale; otherwise, each has its own.

    >>> import numpy as np
    >>> len(panels({"kernels": np.ones((4, 3, 3))}).axes)
    5
    """
    columns = max(map(len, rows.values()))
    figure = Figure((1.1 * columns + 1.3 + 2.2 * (image is not None), 1.2 * len(rows) + 0.6))
    # The labels are text in a column of their own, so that long ones keep clear of the maps.
    body: Any = figure
    if image is not None:
        parts: Any = figure.subfigures(1, 2, width_ratios=(2.2, 1.1 * columns + 1.3))
        side, body = parts
        axes = side.subplots()
        draw_image(axes, image)
        axes.set(xticks=[], yticks=[])
        axes.set_title("input", fontsize=10)
    table = body.subplots(len(rows), columns, squeeze=False)
    for line, (label, maps) in zip(table, rows.items(), strict=True):
        scaled = [one for group in rows.values() for one in group] if shared else maps
        limit = largest(*scaled)
        is_signed = any((one < 0).any() for one in scaled)
        for axes, one in zip(line, maps, strict=False):
            shown = draw_map(axes, one, -limit if is_signed else 0, limit)
            axes.set(xticks=[], yticks=[])
        for axes in line[len(maps) :]:
            axes.axis("off")
        line[0].set_ylabel(label, fontsize=9, rotation=0, ha="right", va="center")
        if not shared:
            body.colorbar(shown, ax=list(line), aspect=8, pad=0.01).ax.tick_params(labelsize=8)
    if shared:
        body.colorbar(shown, ax=table, pad=0.01, aspect=8 * len(rows)).ax.tick_params(labelsize=8)
    figure.heading(title)
    return figure


def inputs_of(who: str, images: Any, count: int | None = None) -> tuple[Array, list[str]]:
    """Return inputs (N, C, H, W) for a model, and the class names of an ImageDataset.

    An ImageDataset is normalized as its batches are. Arrays and Tensors are taken as they are,
    integers and bools as float32: images must have gradients and take any value.

    Raises:
        DtypeError: if `images` does not contain numbers.
        ShapeError: if `images` does not have shape (N, C, H, W) or (C, H, W).
    """
    if isinstance(images, ImageDataset):
        return images.batch(slice(count))[0], list(images.classes)
    array = array_of(who, "images", images)
    if array.ndim == 3:
        array = array[None]
    if array.ndim != 4 or not array.size:
        raise ShapeError(
            f"{who}: expected `images` of shape (N, C, H, W) or (C, H, W), as the model takes "
            f"them, got {array.shape}."
        )
    return (array if array.dtype.kind == "f" else array.astype(np.float32))[:count], []
