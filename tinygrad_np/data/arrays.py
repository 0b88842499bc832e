"""Datasets of any arrays, and parts of a dataset."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygrad_np import random
from tinygrad_np.autograd.tape import Variable
from tinygrad_np.checks import check_unmasked, is_integer, is_real, kind_of
from tinygrad_np.display import number_of, safe
from tinygrad_np.errors import ArgumentError, AxisError, DtypeError, GraphError, ShapeError
from tinygrad_np.frontend.tensor import Tensor
from tinygrad_np.runtime.memory import Array


class Dataset:
    """Base class of datasets, as in PyTorch: a subclass implements `__len__` and `__getitem__`.

    >>> from tinygrad_np import data
    >>> class Squares(data.Dataset):
    ...     def __len__(self):
    ...         return 3
    ...     def __getitem__(self, index):
    ...         return index, index**2
    >>> for numbers, squares in data.DataLoader(Squares()):
    ...     print(numbers.tolist(), squares.tolist())
    [0, 1, 2] [0, 1, 4]
    """

    def __len__(self) -> int:
        raise NotImplementedError(f"{type(self).__name__}: __len__() is not implemented.")

    def __getitem__(self, index: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__}: __getitem__() is not implemented.")

    @safe
    def __repr__(self) -> str:
        return f"{type(self).__name__}: {number_of(len(self), 'sample')}"


class ArrayDataset(Dataset):
    """Samples stored in arrays of the same length: tables, sequences of tokens, any targets.

    `TensorDataset` is another name of this class.

    Args:
        *arrays: arrays, Tensors or lists, whose first axis counts the samples. Arrays and Tensors
            are not copied and keep their dtype. The weights of layers are float32, so convert
            float64 inputs first, with array.astype(np.float32).

    Attributes:
        tensors: the arrays, as Tensors.

    `dataset[i]` is a tuple with one Tensor per array, and so are `dataset[2:5]` and
    `dataset[indices]`, whose Tensors have a leading batch axis.

    Raises:
        ArgumentError: if there are no arrays.
        ShapeError: if the arrays have different lengths, or one has no axes.
        DtypeError: if an array does not contain numbers, or is masked.
        GraphError: if a Tensor requires a gradient.

    >>> import numpy as np
    >>> from tinygrad_np import data
    >>> dataset = data.ArrayDataset(np.array([[1, 2], [3, 4], [5, 6]]), np.array([0.5, 1.5, 2.5]))
    >>> dataset[0]
    (Tensor([1, 2]), Tensor(0.5, dtype=float64))
    >>> for inputs, targets in data.DataLoader(dataset, batch_size=2):
    ...     print(inputs.tolist(), targets.tolist())
    [[1, 2], [3, 4]] [0.5, 1.5]
    [[5, 6]] [2.5]
    """

    def __init__(self, *arrays: Any) -> None:
        who = type(self).__name__
        if not arrays:
            raise ArgumentError(f"{who}: expected at least one array, got none.")
        found = [as_array(who, f"arrays[{i}]", array) for i, array in enumerate(arrays)]
        shapes = [array.shape for array in found]
        if () in shapes:
            raise ShapeError(
                f"{who}: expected arrays whose first axis counts the samples, got the shapes "
                f"{', '.join(map(str, shapes))}."
            )
        if len({shape[0] for shape in shapes}) > 1:
            raise ShapeError(
                f"{who}: expected arrays of the same length, got the shapes "
                f"{', '.join(map(str, shapes))}."
            )
        self.tensors = tuple(map(Tensor.wrap, found))

    def __len__(self) -> int:
        return len(self.tensors[0])

    def __getitem__(self, where: Any) -> tuple[Tensor, ...]:
        """Return the sample at an index, or the batch at a slice or array of indices.

        Raises:
            AxisError: if an index is out of range.
            DtypeError: if `where` is neither an integer, nor a slice, nor an array of integers.
        """
        where = as_index(type(self).__name__, where, len(self))
        return tuple(Tensor.wrap(tensor.data[where, ...]) for tensor in self.tensors)

    @safe
    def __repr__(self) -> str:
        """Return the number of samples, and the shape and dtype of each array per sample."""
        parts = ", ".join(f"{tensor.shape[1:]} {tensor.dtype}" for tensor in self.tensors)
        return f"{type(self).__name__}: {number_of(len(self), 'sample')} of {parts}"


TensorDataset = ArrayDataset


class Subset(Dataset):
    """The samples of a dataset at some indices.

    Args:
        dataset: any object with `__len__` and `__getitem__`.
        indices: integers of shape (N,), possibly repeated, or a mask of shape (len(dataset),).

    Raises:
        DtypeError: if `dataset` has no `__len__` or no `__getitem__`, or `indices` does not contain
            integers.
        AxisError: if an index is out of range.

    >>> from tinygrad_np import data
    >>> train_set, _ = data.digits()
    >>> zeros_and_ones = data.Subset(train_set, train_set.labels < 2)
    >>> zeros_and_ones
    Subset: 288 of 1,438 samples of ImageDataset
    >>> image, label = zeros_and_ones[0]
    >>> image.shape, label
    ((1, 8, 8), 0)
    """

    def __init__(self, dataset: Any, indices: Any) -> None:
        check_dataset("Subset", dataset)
        indices = as_index("Subset", indices, len(dataset))
        self.dataset = dataset
        self.indices: Array = np.arange(len(dataset))[indices].reshape(-1)

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, where: Any) -> Any:
        """Return `dataset[indices[where]]`; several samples of a list are a list.

        Raises:
            AxisError: if an index is out of range.
            DtypeError: if `where` is neither an integer, nor a slice, nor an array of integers.
        """
        found = self.indices[as_index("Subset", where, len(self))]
        if not isinstance(found, np.ndarray):
            return self.dataset[int(found)]
        if isinstance(self.dataset, Sequence):
            return [self.dataset[index] for index in found.tolist()]
        return self.dataset[found]

    @safe
    def __repr__(self) -> str:
        """Return the sizes of the subset and of the dataset, and the dataset's class."""
        return (
            f"Subset: {len(self):,} of {number_of(len(self.dataset), 'sample')} of "
            f"{type(self.dataset).__name__}"
        )


def random_split(
    dataset: Any, lengths: Sequence[float], generator: np.random.Generator | None = None
) -> list[Subset]:
    """Split a dataset at random into parts that do not overlap.

    `ImageDataset.split` splits labeled images such that each part has the same share of each class.

    Args:
        dataset: any object with `__len__` and `__getitem__`.
        lengths: sizes that add up to len(dataset), or fractions that add up to 1. Fractions are
            rounded down to whole samples; the first parts get one more each until none is left.
        generator: source of the random numbers; by default, the default generator.

    Raises:
        ArgumentError: if the lengths are neither of these.
        DtypeError: if `dataset` has no `__len__` or no `__getitem__`, or `generator` is not a NumPy
            generator.

    >>> import numpy as np
    >>> from tinygrad_np import data
    >>> dataset = data.ArrayDataset(np.arange(10))
    >>> first, second = data.random_split(dataset, [0.8, 0.2], np.random.default_rng(0))
    >>> len(first), second.indices.tolist()
    (8, [8, 1])
    """
    check_dataset("random_split", dataset)
    sizes = _sizes(len(dataset), lengths)
    order = random.resolve(generator).permutation(len(dataset))
    ends = np.cumsum(sizes)
    return [Subset(dataset, order[end - size : end]) for size, end in zip(sizes, ends, strict=True)]


def _sizes(total: int, lengths: Any) -> list[int]:
    """Return the sizes of the parts that `lengths` describes."""
    given = list(lengths) if isinstance(lengths, Sequence | np.ndarray) else []
    is_valid = all(is_real(length) and length >= 0 for length in given)
    if given and is_valid and all(map(is_integer, given)) and sum(given) == total:
        return [int(length) for length in given]
    if not is_valid or not math.isclose(sum(given), 1) or all(map(is_integer, given)):
        raise ArgumentError(
            f"random_split: expected `lengths` to be sizes that add up to {total}, the number of "
            f"samples, or fractions that add up to 1, got {lengths!r}."
        )
    sizes = [math.floor(total * part) for part in given]
    for position in range(total - sum(sizes)):
        sizes[position % len(sizes)] += 1
    return sizes


def check_dataset(who: str, dataset: Any) -> None:
    """Raise DtypeError unless `dataset` has a length and items."""
    if isinstance(dataset, type):
        got = f"the class {dataset.__name__}"
    elif not hasattr(dataset, "__getitem__"):
        got = f"{kind_of(dataset)}, which has no __getitem__"
    elif not hasattr(dataset, "__len__"):
        got = f"{kind_of(dataset)}, which has no __len__"
    else:
        return
    remedy = " Collect its samples in a list." if hasattr(dataset, "__iter__") else ""
    raise DtypeError(
        f"{who}: expected a dataset with __len__ and __getitem__, for example "
        f"ArrayDataset(inputs, targets), got {got}.{remedy}"
    )


def as_index(who: str, where: Any, count: int) -> Any:
    """Return an index into `count` samples as an int, a slice or an integer array of shape (N,).

    Raises:
        AxisError: if an index is out of range.
        DtypeError: if `where` is not an integer, a slice, a 1-D array of integers or a mask.
    """
    if isinstance(where, slice):
        return where
    found = np.asarray(where.data if isinstance(where, Variable) else where)
    if found.dtype == bool and found.shape == (count,):
        return np.flatnonzero(found)
    if not found.size and found.ndim == 1:
        return np.zeros(0, np.intp)
    if found.dtype.kind not in "iu" or found.ndim > 1:
        raise DtypeError(
            f"{who}: expected an integer, a slice, a 1-D array of integers or a mask of length "
            f"{count} as index, got {where!r}."
        )
    outside = found[(found < -count) | (found >= count)]
    if outside.size:
        raise AxisError(
            f"{who}: expected an index from 0 to {count - 1} (there are {count} samples), got "
            f"{outside.flat[0]}."
        )
    return found if found.ndim else int(found) % count


def as_array(who: str, name: str, value: Any) -> Array:
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
    return array.astype(array.dtype.newbyteorder("="), copy=False)  # Tensors are native
