"""Labeled images in their original dtype."""

import base64
import io
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from PIL import Image

from tinygrad_np.checks import check_integer, is_integer, is_real
from tinygrad_np.data.arrays import Dataset, as_array, as_index
from tinygrad_np.data.augment import AugmentationTable
from tinygrad_np.display import escape, number_of, safe
from tinygrad_np.errors import ArgumentError, DtypeError, ShapeError
from tinygrad_np.frontend.tensor import Tensor
from tinygrad_np.runtime.memory import Array

_SHOWN = 20
"""Number of images that a notebook shows of a dataset."""
_SIDE = 64
"""Number of pixels that it shows of a side; larger images are subsampled."""


@dataclass(frozen=True, eq=False)
class ImageDataset(Dataset):
    """Labeled images with the constants that normalize them.

    Args:
        images: array, Tensor or list of images, of shape (N, C, H, W). An array is not copied and
            keeps its dtype, usually uint8; batches are float32.
        labels: integers of shape (N,), from 0 to len(classes) - 1; an array, a Tensor or a list.
        classes: names of the classes.
        name: name of the dataset, used in messages.
        scale: divisor of the pixel values, usually the largest possible value, such as 255.
        mean: mean of the scaled images.
        std: standard deviation of the scaled images.
        origin: where the dataset was found.

    A batch is (images / scale - mean) / std. `dataset[i]` is the normalized image i, a Tensor, and
    its label, an int; `dataset[indices]` is a batch of Tensors.

    Raises:
        ShapeError: if `images` is not 4-D, or `labels` does not have shape (N,).
        DtypeError: if `images` does not contain numbers, `labels` does not have an integer dtype,
            either is masked, or `classes` is not a sequence.
        ArgumentError: if a label is out of range, if `scale` or `std` is not positive, if a
            constant is not finite, or if float images contain nan or inf.
        GraphError: if `images` or `labels` is a tensor that requires a gradient.

    >>> import numpy as np
    >>> from tinygrad_np import data
    >>> images = np.full((2, 1, 2, 2), 255, np.uint8)
    >>> dataset = data.ImageDataset(images, np.array([0, 1]), ("cat", "dog"), scale=255.0)
    >>> dataset.batch(slice(1))[0].tolist()
    [[[[1.0, 1.0], [1.0, 1.0]]]]
    >>> dataset[1]
    (Tensor([[[1., 1.],
             [1., 1.]]]), 1)
    """

    images: Array
    labels: Array
    classes: tuple[str, ...]
    name: str = "dataset"
    scale: float = 1.0
    mean: float = 0.0
    std: float = 1.0
    origin: str = ""

    def __post_init__(self) -> None:
        who = f"ImageDataset {self.name!r}"
        images, labels = (
            as_array(who, "images", self.images),
            as_array(who, "labels", self.labels),
        )
        if images.ndim != 4:
            remedy = " Add a channel axis with images[:, None]." if images.ndim == 3 else ""
            raise ShapeError(
                f"{who}: expected `images` of shape (N, C, H, W), got {images.shape}.{remedy}"
            )
        if labels.shape != images.shape[:1]:
            raise ShapeError(
                f"{who}: expected `labels` of shape ({len(images)},), one per image, got "
                f"{labels.shape}."
            )
        if labels.dtype.kind not in "iu":
            raise DtypeError(f"{who}: expected `labels` of an integer dtype, got {labels.dtype}.")
        if isinstance(self.classes, str) or not isinstance(self.classes, Iterable):
            raise DtypeError(
                f"{who}: expected `classes` to be the names of the classes, for example "
                f'("cat", "dog"), got {self.classes!r}.'
            )
        classes = tuple(map(str, self.classes))
        for name, value in (("scale", self.scale), ("mean", self.mean), ("std", self.std)):
            if not is_real(value) or not math.isfinite(value):
                raise ArgumentError(
                    f"{who}: expected `{name}` to be a finite number, got {value!r}."
                )
        if not (self.scale > 0 and self.std > 0):
            raise ArgumentError(
                f"{who}: expected `scale` and `std` to be above 0, got scale={self.scale} and "
                f"std={self.std}."
            )
        outside = np.flatnonzero((labels < 0) | (labels >= len(classes)))
        if outside.size:
            raise ArgumentError(
                f"{who}: expected labels from 0 to {len(classes) - 1} (`classes` has "
                f"{len(classes)} entries), got {labels[outside[0]]} for image {outside[0]}."
            )
        if images.dtype.kind == "f" and not np.isfinite(images).all():
            worst = int(np.argwhere(~np.isfinite(images))[0][0])
            raise ArgumentError(
                f"{who}: expected finite `images`, got nan or inf in image {worst}. Remove or "
                "repair that image."
            )
        for name, converted in (("images", images), ("labels", labels), ("classes", classes)):
            object.__setattr__(self, name, converted)  # the class is frozen

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, where: Any) -> Any:
        """Return an image and its label, or the batch at a slice or array of indices.

        Raises:
            AxisError: if an index is out of range.
            DtypeError: if `where` is neither an integer, nor a slice, nor an array of them.
        """
        where = as_index(f"ImageDataset {self.name!r}", where, len(self))
        if isinstance(where, int):
            images, labels = self.batch(slice(where, where + 1))
            return Tensor.wrap(images[0]), int(labels[0])
        images, labels = self.batch(where)
        return Tensor.wrap(images), Tensor.wrap(labels)

    @safe
    def __repr__(self) -> str:
        """Return the name, the shapes, the classes and the constants, without the pixels."""
        names = ", ".join(self.classes[:10]) + (", ..." if len(self.classes) > 10 else "")
        text = (
            f"ImageDataset {self.name!r}: {number_of(len(self), 'image')} of shape "
            f"{self.images.shape[1:]}, {self.images.dtype}; "
            f"{number_of(len(self.classes), 'class', 'classes')}: {names}; "
            f"scale {self.scale:g}, mean {self.mean:.4g}, std {self.std:.4g}"
        )
        return text + (f"; from {self.origin}" if self.origin else "")

    @safe
    def _repr_html_(self) -> str:
        """Return the description and a grid of the first images with their class names."""
        shown = self.images[:_SHOWN]
        names = [self.classes[label] for label in self.labels[:_SHOWN]]
        picture = _grid(shown, self.scale, names) if shown.size else ""
        return f"<div>{escape(repr(self))}</div>{picture}"

    def first(self, count: int | None) -> "ImageDataset":
        """Return a dataset of the first `count` images, or of all images if `count` is None.

        Raises:
            ArgumentError: if `count` is below 1 or above the number of images.
        """
        if count is None:
            return self
        if not is_integer(count) or not 1 <= count <= len(self):
            raise ArgumentError(
                f"{self.name}: expected a number of samples from 1 to {len(self)}, got {count!r}."
            )
        return replace(self, images=self.images[:count], labels=self.labels[:count])

    def split(self, fraction: float, seed: int = 0) -> tuple["ImageDataset", "ImageDataset"]:
        """Split off a held-out set, stratified by class.

        Args:
            fraction: fraction of the images to hold out. A class with k images contributes
                fraction * k of them, rounded so that the sizes add up to the rounded total.
            seed: seed of the random choice.

        Returns:
            The remaining dataset and the held-out dataset, both in the original order.

        Raises:
            ArgumentError: if `fraction` is not between 0 and 1, `seed` is not an integer >= 0, or a
                part would be empty.

        >>> from tinygrad_np import data
        >>> train_set, _ = data.digits()
        >>> rest, validation_set = train_set.split(0.1)
        >>> len(rest), len(validation_set)
        (1294, 144)
        """
        if not is_real(fraction) or not 0 < fraction < 1:
            raise ArgumentError(
                f"{self.name}.split: expected `fraction` to be above 0 and below 1, got "
                f"{fraction!r}."
            )
        check_integer(f"{self.name}.split", 0, seed=seed)
        generator = np.random.default_rng(int(seed))
        is_held_out = np.zeros(len(self), bool)
        shares = fraction * np.bincount(self.labels.astype(np.int64), minlength=len(self.classes))
        counts = np.floor(shares).astype(int)
        # The classes that lose most by rounding down get one more each, up to the rounded total.
        is_short = np.argsort(counts - shares, kind="stable")
        counts[is_short[: round(fraction * len(self)) - counts.sum()]] += 1
        for label, count in enumerate(counts):
            members = generator.permutation(np.flatnonzero(self.labels == label))
            is_held_out[members[:count]] = True
        if is_held_out.all() or not is_held_out.any():
            raise ArgumentError(
                f"{self.name}.split: expected two nonempty parts, got an empty one for "
                f"fraction={fraction} of {len(self)} images."
            )
        rest, held_out = (
            replace(self, images=self.images[part], labels=self.labels[part])
            for part in (~is_held_out, is_held_out)
        )
        return rest, held_out

    def batch(
        self, where: Array | slice, table: AugmentationTable | None = None
    ) -> tuple[Array, Array]:
        """Return the normalized float32 images at `where` and their int64 labels, as arrays.

        Args:
            where: indices or slice of the images.
            table: augmentation to apply before the images are normalized, if any.
        """
        images = self.images[where]
        images = images.astype(np.float32) if table is None else table.apply(images, where)
        images *= np.float32(1 / (self.scale * self.std))
        images -= np.float32(self.mean / self.std)
        return images, self.labels[where].astype(np.int64)


def _grid(images: Array, scale: float, names: Sequence[str]) -> str:
    """Return an SVG of the images, 10 per row, as one PNG with the class names below each.

    Black is 0 and white is `scale`, or the smallest and the largest pixel if one is outside.
    """
    step = math.ceil(max(images.shape[2:]) / _SIDE)
    pixels = images[:, :, ::step, ::step].astype(np.float64)
    low, high = pixels.min(), pixels.max()
    if low >= 0 and high <= scale:
        low, high = 0, scale
    pixels = (pixels - low) * (255 / (high - low or 1))
    # Red, green and blue of color images, without transparency; otherwise, gray.
    pixels = pixels[:, :3] if pixels.shape[1] in (3, 4) else pixels.mean(axis=1, keepdims=True)
    height, width = pixels.shape[2:]
    size = max(1, round(56 / width))  # of a pixel
    gap, columns = math.ceil(18 / size), min(len(images), 10)
    rows = math.ceil(len(images) / columns)
    step_x, step_y = width + math.ceil(8 / size), height + gap
    canvas = np.zeros((rows * step_y, columns * step_x, 4), np.uint8)
    labels = []
    for position, name in enumerate(names):
        top, left = position // columns * step_y, position % columns * step_x
        canvas[top : top + height, left : left + width, :3] = pixels[position].transpose(1, 2, 0)
        canvas[top : top + height, left : left + width, 3] = 255
        x, y = (left + width / 2) * size, (top + height) * size + 12
        labels.append(f'<text x="{x:.0f}" y="{y}" text-anchor="middle">{escape(name)}</text>')
    buffer = io.BytesIO()
    Image.fromarray(canvas).save(buffer, "PNG", optimize=True)
    code = base64.b64encode(buffer.getvalue()).decode()
    across, down = canvas.shape[1] * size, canvas.shape[0] * size
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{across}" height="{down}" '
        f'viewBox="0 0 {across} {down}" font-family="sans-serif" font-size="10" '
        f'fill="currentColor"><image href="data:image/png;base64,{code}" width="{across}" '
        f'height="{down}" style="image-rendering:pixelated"/>{"".join(labels)}</svg>'
    )
