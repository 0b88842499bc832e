"""A set of labelled images, kept as they came, and the loader that makes batches of it."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from tinygrad_np import random
from tinygrad_np.errors import ArgumentError, DtypeError, ShapeError
from tinygrad_np.memory import Array


@dataclass(frozen=True, eq=False)
class Dataset:
    """Images (N, C, H, W) and their labels (N,); images stay uint8 until a batch is made.

    A batch is (images / scale - mean) / std, in float32; `origin` says where the set was found.
    Raises ShapeError where lengths differ, ArgumentError where float images hold a nan or inf.
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
        if self.images.ndim != 4:
            raise ShapeError(
                f"Dataset {self.name}: got images {self.images.shape}, expected (N, C, H, W)"
            )
        if self.labels.shape != self.images.shape[:1]:
            raise ShapeError(
                f"Dataset {self.name}: got {len(self.images)} images, but labels of shape "
                f"{self.labels.shape}; expected one for each image"
            )
        if self.labels.dtype.kind not in "iu":
            raise DtypeError(
                f"Dataset {self.name}: got labels of dtype {self.labels.dtype}, expected integers"
            )
        if not (self.scale > 0 and self.std > 0):
            raise ArgumentError(
                f"Dataset {self.name}: got scale {self.scale} and std {self.std}, expected both "
                "above 0"
            )
        outside = np.flatnonzero((self.labels < 0) | (self.labels >= len(self.classes)))
        if outside.size:
            raise ArgumentError(
                f"Dataset {self.name}: label {self.labels[outside[0]]} of image {outside[0]} is "
                f"outside 0..{len(self.classes) - 1}; there are {len(self.classes)} classes"
            )
        if self.images.dtype.kind == "f" and not np.isfinite(self.images).all():
            worst = int(np.argwhere(~np.isfinite(self.images))[0][0])
            raise ArgumentError(
                f"Dataset {self.name}: image {worst} holds a nan or inf; leave it out or repair it"
            )

    def __len__(self) -> int:
        return len(self.images)

    def first(self, count: int | None) -> "Dataset":
        """Return the first `count` images, or all for None."""
        if count is None:
            return self
        if not 1 <= count <= len(self):
            raise ArgumentError(f"{self.name}: got {count} samples, expected from 1 to {len(self)}")
        return replace(self, images=self.images[:count], labels=self.labels[:count])

    def batch(self, where: Array | slice) -> tuple[Array, Array]:
        """Return the images at `where`, float32 and standardised, and their labels, int64."""
        images = self.images[where].astype(np.float32)
        images *= np.float32(1 / (self.scale * self.std))
        images -= np.float32(self.mean / self.std)
        return images, self.labels[where].astype(np.int64)


class DataLoader:
    """Batches of a Dataset, shuffled anew in each epoch from `seed` and the epoch's number.

    The last batch is smaller where `batch_size` does not divide the set.

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
    ) -> None:
        if not isinstance(batch_size, int | np.integer) or batch_size < 1:
            raise ArgumentError(
                f"DataLoader batch_size: got {batch_size!r}, expected an integer of at least 1"
            )
        if not isinstance(dataset, Dataset):
            raise DtypeError(
                f"DataLoader: got a {type(dataset).__name__}, expected a Dataset, as made by "
                "data.mnist() or Dataset(images, labels, classes)"
            )
        if not len(dataset):
            raise ArgumentError(f"DataLoader: the dataset {dataset.name!r} is empty")
        self.dataset = dataset
        self.batch_size = int(batch_size)
        self.shuffle = shuffle
        if seed is not None and (not isinstance(seed, int | np.integer) or seed < 0):
            raise ArgumentError(f"DataLoader seed: got {seed!r}, expected an integer of at least 0")
        self.seed = seed
        self.epoch = 0

    def __len__(self) -> int:
        return -(-len(self.dataset) // self.batch_size)

    def __iter__(self) -> Iterator[tuple[Array, Array]]:
        order = np.arange(len(self.dataset))
        if self.shuffle:
            if self.seed is None:
                self.seed = int(random.resolve(None).integers(2**63))
            order = np.random.default_rng((self.seed, self.epoch)).permutation(order)
        self.epoch += 1
        for start in range(0, len(order), self.batch_size):
            yield self.dataset.batch(order[start : start + self.batch_size])
