"""The loader: batches of a dataset, in an order that a seed determines."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from tinygrad_np import random
from tinygrad_np.autograd.tape import Variable
from tinygrad_np.checks import check_integer, kind_of
from tinygrad_np.data.arrays import ArrayDataset, Subset, as_array, check_dataset
from tinygrad_np.data.augment import Augmentation, AugmentationTable
from tinygrad_np.data.dataset import ImageDataset
from tinygrad_np.display import number_of, safe
from tinygrad_np.errors import ArgumentError, DtypeError, ShapeError
from tinygrad_np.frontend.tensor import Tensor
from tinygrad_np.runtime.memory import Array

_NUMBERS = (bool, int, float, np.bool_, np.number)
# Datasets that return a batch of Tensors for an array of indices, unless a subclass overrides it.
_INDEXED_AT_ONCE = (ArrayDataset.__getitem__, ImageDataset.__getitem__)


class DataLoader:
    """Iterable over the batches of a dataset, one pass per epoch.

    Args:
        dataset: an ImageDataset, an ArrayDataset, or any other object with `__len__` and
            `__getitem__`, for example a list of samples.
        batch_size: number of samples per batch; the last batch is smaller if `batch_size` does not
            divide the number of samples.
        shuffle: reshuffle the dataset in every epoch.
        seed: seed of shuffling and augmentation, which depend only on the seed and the epoch
            number. By default, it is drawn from `generator` when first needed.
        augmentation: random changes of the images; for training sets of images only.
        drop_last: whether to leave out the last batch if it is smaller. With batch norm, a last
            batch of one sample is an error.
        collate_fn: function that makes a batch of a list of samples; `default_collate` if None.
        generator: source of the seed if none is given; by default, the default generator.
        sampler: accepted as in PyTorch, but must be None. For some of the samples, or another
            order, pass a Subset.
        num_workers: accepted as in PyTorch, but has no effect: this process makes the batches.
        pin_memory: accepted as in PyTorch, but has no effect.

    A batch has the structure of a sample, for example a tuple of inputs and targets, with Tensors
    that have a leading batch axis.

    Raises:
        ArgumentError: if `batch_size` is not an integer >= 1, `seed` is not an integer >= 0, or the
            dataset is empty or, with `drop_last`, smaller than a batch; if noise or erasing is on
            and a pixel is outside 0 to the dataset's `scale`; if there is a `sampler`; or, at the
            start of a pass, if a shift could move the whole image out of view.
        DtypeError: if `dataset` has no `__len__` or no `__getitem__`, `augmentation` is not an
            Augmentation or `dataset` does not contain images, `collate_fn` is not a function,
            `shuffle` or `drop_last` is not a bool, or `generator` is not a NumPy generator.

    An error that the dataset's `__getitem__` raises gets a note with the index of the sample.

    >>> from tinygrad_np import data
    >>> train_set, _ = data.digits()
    >>> images, labels = next(iter(data.DataLoader(train_set, batch_size=32, shuffle=True, seed=0)))
    >>> images.shape, labels.shape
    ((32, 1, 8, 8), (32,))
    >>> samples = [{"words": [1, 2], "score": 0.5}, {"words": [3, 4], "score": 1.0}]
    >>> next(iter(data.DataLoader(samples)))["score"]
    Tensor([0.5, 1. ])
    """

    def __init__(
        self,
        dataset: Any,
        batch_size: int = 64,
        shuffle: bool = False,
        seed: int | None = None,
        augmentation: Augmentation | None = None,
        drop_last: bool = False,
        collate_fn: Callable[[list[Any]], Any] | None = None,
        *,
        generator: np.random.Generator | None = None,
        sampler: None = None,
        num_workers: int = 0,
        pin_memory: bool = False,
    ) -> None:
        check_integer("DataLoader", 1, batch_size=batch_size)
        check_dataset("DataLoader", dataset)
        for name, value in (("shuffle", shuffle), ("drop_last", drop_last)):
            if not isinstance(value, bool | np.bool_):
                raise DtypeError(
                    f"DataLoader: expected `{name}` to be True or False, got {value!r}."
                )
        if sampler is not None:
            raise ArgumentError(
                f"DataLoader: expected no `sampler`, got {kind_of(sampler)}. Pass shuffle=True, or "
                "Subset(dataset, indices) with the indices of the samples in their order."
            )
        if generator is not None:
            random.resolve(generator)  # checks it
        if not len(dataset):
            raise ArgumentError(
                f"DataLoader: expected at least one sample, got none in {_name(dataset)}."
            )
        if drop_last and len(dataset) < batch_size:
            raise ArgumentError(
                "DataLoader: expected `batch_size` to be at most the number of samples with "
                f"drop_last=True, got {batch_size} for {len(dataset)} samples."
            )
        if collate_fn is not None and not callable(collate_fn):
            raise DtypeError(
                "DataLoader: expected `collate_fn` to be a function of a list of samples, got "
                f"{kind_of(collate_fn)}."
            )
        self.dataset = dataset
        self.batch_size = int(batch_size)
        self.drop_last = drop_last
        self.shuffle = shuffle
        self.seed = self._check_seed("DataLoader", seed)
        self.generator = generator
        self.collate_fn = collate_fn
        if augmentation is not None:
            _check_augmentation(augmentation, dataset)
        self.augmentation = augmentation
        self.epoch = 0

    def __len__(self) -> int:
        count, rest = divmod(len(self.dataset), self.batch_size)
        return count + (rest > 0 and not self.drop_last)

    def __iter__(self) -> Iterator[Any]:
        order = np.arange(len(self.dataset))
        if self.shuffle:
            order = np.random.default_rng((self._choose_seed(), self.epoch)).permutation(order)
        table = None
        if self.augmentation is not None:
            images, _ = _base(self.dataset, order)
            shape, scale = images.images.shape, images.scale
            table = AugmentationTable(
                self.augmentation, shape, scale, self._choose_seed(), self.epoch
            )
        self.epoch += 1
        for batch in range(len(self)):
            start = batch * self.batch_size
            yield self._batch(order[start : start + self.batch_size], table)

    def _batch(self, where: Array, table: AugmentationTable | None) -> Any:
        """Return the batch at `where`, by a single indexing of the dataset if possible."""
        dataset, where = _base(self.dataset, where)
        if table is not None:
            images, labels = dataset.batch(where, table)
            if self.collate_fn is None:
                return Tensor.wrap(images), Tensor.wrap(labels)
            samples: list[Any] = list(zip(map(Tensor.wrap, images), labels.tolist(), strict=True))
        elif self.collate_fn is None and type(dataset).__getitem__ in _INDEXED_AT_ONCE:
            return dataset[where]
        else:
            samples = [_sample(dataset, index) for index in where.tolist()]
        return (self.collate_fn or default_collate)(samples)

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
            f"{number_of(len(self.dataset), 'sample')} from {_name(self.dataset)}, epoch "
            f"{self.epoch}"
        )

    def state_dict(self) -> dict[str, int | None]:
        """Return what determines all further batches: seed, number of the next epoch, and options.

        If shuffling or augmentation needs a seed and none was given, it is drawn now. Otherwise,
        the seed may be None.

        >>> from tinygrad_np import data
        >>> train_set, _ = data.digits()
        >>> data.DataLoader(train_set, shuffle=True, seed=7).state_dict()
        {'seed': 7, 'epoch': 0, 'samples': 1438, 'batch_size': 64, 'shuffle': 1, 'drop_last': 0}
        """
        if self.shuffle or self.augmentation is not None:
            self._choose_seed()
        return {"seed": self.seed, "epoch": self.epoch, **self._options()}

    def _options(self) -> dict[str, int]:
        return {
            "samples": len(self.dataset),
            "batch_size": self.batch_size,
            "shuffle": int(self.shuffle),
            "drop_last": int(self.drop_last),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Load a `state_dict`; the next pass is the epoch stored in it.

        Raises:
            ArgumentError: if the entries of `state` are not a valid seed and epoch, or belong to a
                loader with other options or another number of samples.
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
            self.seed = int(random.resolve(self.generator).integers(2**63))
        return self.seed


def default_collate(samples: Sequence[Any]) -> Any:
    """Stack samples into a batch.

    Tensors, arrays and numbers become one Tensor with a leading batch axis. Python numbers count as
    int64, float32 or bool, the others have their own dtypes; different dtypes are promoted. Tuples,
    lists and dicts are stacked entry by entry. Strings are returned in a list.

    Raises:
        ShapeError: if arrays have different shapes, or tuples or lists different lengths.
        ArgumentError: if there are no samples, or dicts have different keys.
        DtypeError: if a sample has another type, or samples have different types, or if an array
            does not contain numbers or is masked.

    >>> from tinygrad_np import data
    >>> data.default_collate([(1, 0.5, "one"), (2, 1.5, "two")])
    (Tensor([1, 2]), Tensor([0.5, 1.5]), ['one', 'two'])
    """
    if not samples:
        raise ArgumentError("default_collate: expected at least one sample, got none.")
    first = samples[0]
    kinds = {kind_of(sample) for sample in samples}
    if len(kinds) > 1 and not all(isinstance(one, _NUMBERS) for one in samples):
        raise DtypeError(
            f"default_collate: expected samples of one type, got {', '.join(sorted(kinds))}."
        )
    if isinstance(first, str | bytes):
        return list(samples)
    if isinstance(first, Mapping):
        if any(sample.keys() != first.keys() for sample in samples):
            raise ArgumentError(
                f"default_collate: expected dicts with the keys {list(first)}, got "
                f"{next(list(sample) for sample in samples if sample.keys() != first.keys())}."
            )
        return {key: default_collate([sample[key] for sample in samples]) for key in first}
    if isinstance(first, tuple | list):
        lengths = sorted({len(sample) for sample in samples})
        if len(lengths) > 1:
            raise ShapeError(
                f"default_collate: expected samples of the same length, got the lengths {lengths}. "
                "Pad them, or pass a collate_fn to the DataLoader."
            )
        entries = [default_collate(entry) for entry in zip(*samples, strict=True)]
        if hasattr(first, "_fields"):  # a named tuple
            return type(first)(*entries)
        return type(first)(entries)
    if isinstance(first, _NUMBERS):
        if not any(isinstance(one, np.generic) for one in samples):
            return Tensor(list(samples))
        # Python numbers take part in promotion with the dtypes that they have alone.
        samples = [one if isinstance(one, np.generic) else Tensor(one).data for one in samples]
    elif not isinstance(first, Variable | np.ndarray | np.generic):
        raise DtypeError(
            "default_collate: expected numbers, strings, arrays, Tensors, or tuples, lists or "
            f"dicts of them, got {kind_of(first)}. Convert it in the dataset's __getitem__, or "
            "pass a collate_fn to the DataLoader."
        )
    shapes = list(dict.fromkeys(sample.shape for sample in samples))
    if len(shapes) > 1:
        raise ShapeError(
            "default_collate: expected arrays of the same shape, got "
            f"{', '.join(map(str, shapes[:2]))}. Pad them, or pass a collate_fn to the DataLoader."
        )
    if isinstance(first, Tensor):
        return first.stack(*samples[1:])
    return Tensor.wrap(np.stack([as_array("default_collate", "samples", one) for one in samples]))


def _base(dataset: Any, where: Array) -> tuple[Any, Array]:
    """Return the dataset that a Subset is a part of, and the indices into it."""
    while type(dataset) is Subset:
        dataset, where = dataset.dataset, dataset.indices[where]
    return dataset, where


def _sample(dataset: Any, index: int) -> Any:
    try:
        return dataset[index]
    except Exception as error:
        error.add_note(f"DataLoader: raised by sample {index} of {_name(dataset)}")
        raise


def _check_augmentation(augmentation: Any, dataset: Any) -> None:
    if not isinstance(augmentation, Augmentation):
        raise DtypeError(
            "DataLoader: expected `augmentation` to be an Augmentation, for example "
            f"Augmentation(shift=2, rotation=10), got {type(augmentation).__name__}."
        )
    images, _ = _base(dataset, np.arange(0))
    if type(images).__getitem__ is not ImageDataset.__getitem__:
        raise DtypeError(
            "DataLoader: expected an ImageDataset for `augmentation`, got "
            f"{kind_of(images)}. Change the samples in its __getitem__ instead."
        )
    augmentation.check_range(images.images, images.scale)


def _name(dataset: Any) -> str:
    return repr(dataset.name) if type(dataset) is ImageDataset else type(dataset).__name__
