"""A set of labelled images, kept as they came, and the loader that makes batches of it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tinygrad_np import random
from tinygrad_np.checks import check_integer
from tinygrad_np.data.augment import Augmentation, AugmentationTable
from tinygrad_np.errors import ArgumentError, DtypeError, ShapeError
from tinygrad_np.runtime.memory import Array


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

    def split(self, fraction: float, seed: int = 0) -> tuple["Dataset", "Dataset"]:
        """Return the rest, and `fraction` of the images held out of it, of each class alike.

        Of each class round(fraction × its count) images are held out, chosen by `seed`; both parts
        keep the order. Raises ArgumentError where one of them would be empty.

        >>> from tinygrad_np import data
        >>> train_set, _ = data.digits()
        >>> rest, validation_set = train_set.split(0.1)
        >>> len(rest), len(validation_set)
        (1295, 143)
        """
        if not 0 < fraction < 1:
            raise ArgumentError(
                f"{self.name}.split: got the fraction {fraction}, expected one between 0 and 1, "
                "as in split(0.1)"
            )
        check_integer(f"{self.name}.split", 0, seed=seed)
        generator = np.random.default_rng(int(seed))
        is_held_out = np.zeros(len(self), bool)
        for label in range(len(self.classes)):
            members = generator.permutation(np.flatnonzero(self.labels == label))
            is_held_out[members[: round(fraction * len(members))]] = True
        if is_held_out.all() or not is_held_out.any():
            raise ArgumentError(
                f"{self.name}.split: the fraction {fraction} of {len(self)} images leaves one part "
                "empty; a class counts for round(fraction × its images)"
            )
        rest, held_out = (
            replace(self, images=self.images[part], labels=self.labels[part])
            for part in (~is_held_out, is_held_out)
        )
        return rest, held_out

    def batch(
        self, where: Array | slice, table: AugmentationTable | None = None
    ) -> tuple[Array, Array]:
        """Return the images at `where`, float32 and standardised, and their labels, int64.

        With a table the images are augmented, before they are standardised.
        """
        images = self.images[where]
        images = images.astype(np.float32) if table is None else table.apply(images, where)
        images *= np.float32(1 / (self.scale * self.std))
        images -= np.float32(self.mean / self.std)
        return images, self.labels[where].astype(np.int64)


class DataLoader:
    """Batches of a Dataset, shuffled anew in each epoch from `seed` and the epoch's number.

    The last batch is smaller where `batch_size` does not divide the set. With an `augmentation`,
    which is for training sets only, the images are changed at random, from the same two numbers.

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
    ) -> None:
        check_integer("DataLoader", 1, batch_size=batch_size)
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
        self.seed = self._check_seed("DataLoader", seed)
        if augmentation is not None and not isinstance(augmentation, Augmentation):
            raise DtypeError(
                f"DataLoader augmentation: got a {type(augmentation).__name__}, expected an "
                "Augmentation, as in Augmentation(shift=2, rotation=10)"
            )
        if augmentation is not None:
            augmentation.check_range(dataset.images, dataset.scale)
        self.augmentation = augmentation
        self.epoch = 0

    def __len__(self) -> int:
        return -(-len(self.dataset) // self.batch_size)

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
        for start in range(0, len(order), self.batch_size):
            yield self.dataset.batch(order[start : start + self.batch_size], table)

    def state_dict(self) -> dict[str, int | None]:
        """Return the seed and the number of the next epoch: all that the batches to come depend on.

        A seed that is needed and was not given is chosen now; one that is not needed is None.

        >>> from tinygrad_np import data
        >>> train_set, _ = data.digits()
        >>> data.DataLoader(train_set, shuffle=True, seed=7).state_dict()
        {'seed': 7, 'epoch': 0}
        """
        if self.shuffle or self.augmentation is not None:
            self._choose_seed()
        return {"seed": self.seed, "epoch": self.epoch}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on with the epoch that comes next by a `state_dict()`.

        Raises ArgumentError for another state than one with a seed and an epoch.
        """
        if set(state) != {"seed", "epoch"}:
            raise ArgumentError(
                f"DataLoader.load_state_dict: got {sorted(state)}, expected ['epoch', 'seed'], as "
                "made by state_dict()"
            )
        who = "DataLoader.load_state_dict"
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
