"""Labeled images in their original dtype, and a loader that batches them."""

import base64
import io
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from PIL import Image

from tinygrad_np import random
from tinygrad_np.autograd.tape import Variable
from tinygrad_np.checks import check_integer, check_unmasked, is_integer, is_real, kind_of
from tinygrad_np.data.augment import Augmentation, AugmentationTable
from tinygrad_np.display import escape, number_of, safe
from tinygrad_np.errors import ArgumentError, DtypeError, GraphError, ShapeError
from tinygrad_np.runtime.memory import Array

_SHOWN = 20
"""Number of images that a notebook shows of a dataset."""
_SIDE = 64
"""Number of pixels that it shows of a side; larger images are subsampled."""


@dataclass(frozen=True, eq=False)
class Dataset:
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

    A batch is (images / scale - mean) / std.

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
    >>> dataset = data.Dataset(images, np.array([0, 1]), ("cat", "dog"), scale=255.0)
    >>> dataset.batch(slice(1))[0].tolist()
    [[[[1.0, 1.0], [1.0, 1.0]]]]
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
        who = f"Dataset {self.name!r}"
        images, labels = (
            _as_array(who, "images", self.images),
            _as_array(who, "labels", self.labels),
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

    @safe
    def __repr__(self) -> str:
        """Return the name, the shapes, the classes and the constants, without the pixels."""
        names = ", ".join(self.classes[:10]) + (", ..." if len(self.classes) > 10 else "")
        text = (
            f"Dataset {self.name!r}: {number_of(len(self), 'image')} of shape "
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

    def first(self, count: int | None) -> "Dataset":
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

    def split(self, fraction: float, seed: int = 0) -> tuple["Dataset", "Dataset"]:
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
        """Return the normalized float32 images at `where` and their int64 labels.

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


def _as_array(who: str, name: str, value: Any) -> Array:
    """Return an array, a Tensor or a list as an array, without a copy if possible."""
    check_unmasked(who, value)
    if isinstance(value, Variable):
        if value.requires_grad:
            raise GraphError(
                f"{who}: expected `{name}` without a gradient, got a tensor that requires one. "
                "Pass tensor.detach()."
            )
        value = value.data
    try:
        array = np.asarray(value)
    except (ValueError, TypeError, RuntimeError) as error:  # torch raises a RuntimeError
        raise ShapeError(
            f"{who}: expected `{name}` to be convertible to an array, got {kind_of(value)} "
            f"({error})."
        ) from error
    if array.dtype.kind not in "biuf":
        raise DtypeError(
            f"{who}: expected `{name}` to contain numbers, got {kind_of(value)} of dtype "
            f"{array.dtype}."
        )
    return array


class DataLoader:
    """Iterable over the batches of a dataset, one pass per epoch.

    Args:
        dataset: the dataset.
        batch_size: number of images per batch; the last batch is smaller if `batch_size` does not
            divide the number of images.
        shuffle: reshuffle the dataset in every epoch.
        seed: seed of shuffling and augmentation, which depend only on the seed and the epoch
            number. By default, it is drawn from the default generator when first needed.
        augmentation: random changes of the images; for training sets only.
        drop_last: whether to leave out the last batch if it is smaller. With batch norm, a last
            batch of one image is an error.

    Raises:
        ArgumentError: if `batch_size` is not an integer >= 1, `seed` is not an integer >= 0, or the
            dataset is empty or, with `drop_last`, smaller than a batch; if noise or erasing is on
            and a pixel is outside 0 to the dataset's `scale`; or, at the start of a pass, if a
            shift could move the whole image out of view.
        DtypeError: if `dataset` is not a Dataset, or `augmentation` is not an Augmentation.

    >>> from tinygrad_np import data
    >>> train_set, _ = data.digits()
    >>> images, labels = next(iter(data.DataLoader(train_set, batch_size=32, shuffle=True, seed=0)))
    >>> images.shape, labels.shape
    ((32, 1, 8, 8), (32,))
    """

    def __init__(
        self,
        dataset: Dataset,
        batch_size: int = 64,
        shuffle: bool = False,
        seed: int | None = None,
        augmentation: Augmentation | None = None,
        drop_last: bool = False,
    ) -> None:
        check_integer("DataLoader", 1, batch_size=batch_size)
        if not isinstance(dataset, Dataset):
            raise DtypeError(
                f"DataLoader: expected a Dataset, got {type(dataset).__name__}. Try data.mnist() "
                "or Dataset(images, labels, classes)."
            )
        if not len(dataset):
            raise ArgumentError(
                f"DataLoader: expected at least one image, got none in {dataset.name!r}."
            )
        if drop_last and len(dataset) < batch_size:
            raise ArgumentError(
                "DataLoader: expected `batch_size` to be at most the number of images with "
                f"drop_last=True, got {batch_size} for {len(dataset)} images."
            )
        self.dataset = dataset
        self.batch_size = int(batch_size)
        self.drop_last = drop_last
        self.shuffle = shuffle
        self.seed = self._check_seed("DataLoader", seed)
        if augmentation is not None and not isinstance(augmentation, Augmentation):
            raise DtypeError(
                "DataLoader: expected `augmentation` to be an Augmentation, for example "
                f"Augmentation(shift=2, rotation=10), got {type(augmentation).__name__}."
            )
        if augmentation is not None:
            augmentation.check_range(dataset.images, dataset.scale)
        self.augmentation = augmentation
        self.epoch = 0

    def __len__(self) -> int:
        count, rest = divmod(len(self.dataset), self.batch_size)
        return count + (rest > 0 and not self.drop_last)

    def __iter__(self) -> Iterator[tuple[Array, Array]]:
        order = np.arange(len(self.dataset))
        if self.shuffle:
            order = np.random.default_rng((self._choose_seed(), self.epoch)).permutation(order)
        table = None
        if self.augmentation is not None:
            shape, scale = self.dataset.images.shape, self.dataset.scale
            table = AugmentationTable(
                self.augmentation, shape, scale, self._choose_seed(), self.epoch
            )
        self.epoch += 1
        for batch in range(len(self)):
            start = batch * self.batch_size
            yield self.dataset.batch(order[start : start + self.batch_size], table)

    @safe
    def __repr__(self) -> str:
        """Return the options, the number of batches and the number of the next epoch."""
        options = f"batch_size={self.batch_size}, shuffle={self.shuffle}, seed={self.seed}"
        if self.augmentation is not None:
            options += f", augmentation={self.augmentation!r}"
        if self.drop_last:
            options += ", drop_last=True"
        return (
            f"DataLoader({options}): {number_of(len(self), 'batch', 'batches')} of "
            f"{number_of(len(self.dataset), 'image')} from {self.dataset.name!r}, epoch "
            f"{self.epoch}"
        )

    def state_dict(self) -> dict[str, int | None]:
        """Return what determines all further batches: seed, number of the next epoch, and options.

        If shuffling or augmentation needs a seed and none was given, it is drawn now. Otherwise,
        the seed may be None.

        >>> from tinygrad_np import data
        >>> train_set, _ = data.digits()
        >>> data.DataLoader(train_set, shuffle=True, seed=7).state_dict()
        {'seed': 7, 'epoch': 0, 'images': 1438, 'batch_size': 64, 'shuffle': 1, 'drop_last': 0}
        """
        if self.shuffle or self.augmentation is not None:
            self._choose_seed()
        return {"seed": self.seed, "epoch": self.epoch, **self._options()}

    def _options(self) -> dict[str, int]:
        return {
            "images": len(self.dataset),
            "batch_size": self.batch_size,
            "shuffle": int(self.shuffle),
            "drop_last": int(self.drop_last),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Load a `state_dict`; the next pass is the epoch stored in it.

        Raises:
            ArgumentError: if the entries of `state` are not a valid seed and epoch, or belong to a
                loader with other options or another number of images.
        """
        who, options = "DataLoader.load_state_dict", self._options()
        if set(state) != {"seed", "epoch", *options}:
            expected = sorted({"seed", "epoch", *options})
            raise ArgumentError(f"{who}: expected the entries {expected}, got {sorted(state)}.")
        for name, value in options.items():
            if state[name] != value:
                raise ArgumentError(
                    f"{who}: expected the state of a loader with {name}={value}, got "
                    f"{name}={state[name]}. Resume with the loader that the run started with."
                )
        check_integer(who, 0, epoch=state["epoch"])
        self.seed = self._check_seed(who, state["seed"])
        self.epoch = int(state["epoch"])

    @staticmethod
    def _check_seed(who: str, seed: Any) -> int | None:
        if seed is None:
            return None
        check_integer(who, 0, seed=seed)
        return int(seed)

    def _choose_seed(self) -> int:
        if self.seed is None:
            self.seed = int(random.resolve(None).integers(2**63))
        return self.seed
