"""ArrayDataset, Subset and random_split."""

import numpy as np
import pytest

import tinygrad_np
from tests.tools import each
from tinygrad_np import Tensor, data
from tinygrad_np.errors import ArgumentError, AxisError, DtypeError, GraphError, ShapeError

TABLE = np.arange(10, dtype=np.float32).reshape(5, 2)
TARGETS = np.arange(5) / 2


def dataset(*more):
    return data.ArrayDataset(TABLE, TARGETS, *more)


def lists(batch):
    return [part.tolist() for part in batch]


@each(
    ("where", "expected"),
    [
        (3, 3),
        (-1, 4),
        (Tensor(2), 2),
        (np.int64(2), 2),
        (slice(1, 4), [1, 2, 3]),
        ([4, 0, -1], [4, 0, 4]),
        ([], []),
        (Tensor([1, 3]), [1, 3]),
        (np.array([True, False, False, False, True]), [0, 4]),
    ],
)
def test_index_selects_from_each_array(where, expected):
    rows, targets = dataset()[where]
    assert rows.tolist() == TABLE[expected].tolist()
    assert targets.tolist() == TARGETS[expected].tolist()
    assert (rows.dtype, targets.dtype) == (np.float32, np.float64)


@each(
    ("array", "dtype"),
    [
        ([1, 2, 3], np.int64),
        ([[True], [False]], bool),
        (np.zeros((2, 3), np.uint8), np.uint8),
        (Tensor([[1.0, 2.0]]), np.float32),
        ([0.5, 1.5], np.float64),
    ],
)
def test_arrays_lists_and_tensors_keep_their_dtype(array, dtype):
    found = data.ArrayDataset(array)
    assert len(found) == len(array)
    (sample,) = found[0]
    assert isinstance(sample, Tensor)
    assert sample.dtype == dtype


def test_arrays_and_tensors_are_not_copied():
    tensor = Tensor([1.0, 2.0])
    shared = data.ArrayDataset(TABLE[:2], tensor)
    assert np.shares_memory(shared.tensors[0].data, TABLE)
    assert np.shares_memory(shared.tensors[1].data, tensor.data)


def test_batch_of_indices_is_a_copy():
    rows, _ = dataset()[[0, 1]]
    assert not np.shares_memory(rows.data, TABLE)


def test_tensor_dataset_is_the_same_class():
    assert data.TensorDataset is data.ArrayDataset


def test_iteration_ends_after_the_last_sample():
    assert [targets.item() for _, targets in dataset()] == TARGETS.tolist()
    assert [label for _, label in data.digits()[0].first(3)] == data.digits()[0].labels[:3].tolist()


@each(
    ("arrays", "error", "message"),
    [
        ((), ArgumentError, r"^ArrayDataset: expected at least one array, got none\."),
        (
            (TABLE, TARGETS[:4]),
            ShapeError,
            r"^ArrayDataset: expected arrays of the same length, got the shapes \(5, 2\), \(4,\)\.",
        ),
        (
            (TABLE, 3.0),
            ShapeError,
            r"^ArrayDataset: expected arrays whose first axis counts the samples, got the shapes "
            r"\(5, 2\), \(\)\.",
        ),
        (
            (["a", "b"],),
            DtypeError,
            r"^ArrayDataset: expected `arrays\[0\]` to contain numbers, got list of dtype <U1\.",
        ),
        (
            (Tensor([1.0], requires_grad=True),),
            GraphError,
            r"^ArrayDataset: expected `arrays\[0\]` without a gradient, got a tensor that requires",
        ),
    ],
)
def test_invalid_arrays_raise(arrays, error, message):
    with pytest.raises(error, match=message):
        data.ArrayDataset(*arrays)


@each(
    "indexed",
    [dataset(), data.Subset(dataset(), range(5)), data.digits()[0].first(5)],
)
@each(
    ("where", "error", "message"),
    [
        (5, AxisError, r"expected an index from 0 to 4 \(there are 5 samples\), got 5\."),
        (-6, AxisError, r"expected an index from 0 to 4 \(there are 5 samples\), got -6\."),
        ([0, 7], AxisError, r"expected an index from 0 to 4 \(there are 5 samples\), got 7\."),
        (1.5, DtypeError, r"expected an integer, a slice, a 1-D array of integers or a mask of "),
        ("x", DtypeError, r"length 5 as index, got 'x'\."),
        (True, DtypeError, r"as index, got True\."),
        ([True, False], DtypeError, r"as index, got \[True, False\]\."),
        ([[0]], DtypeError, r"as index, got \[\[0\]\]\."),
    ],
)
def test_invalid_index_raises(indexed, where, error, message):
    with pytest.raises(error, match=message):
        indexed[where]


# Subset.


def test_subset_maps_its_indices_to_those_of_the_dataset():
    part = data.Subset(dataset(), [4, 2, 2, -5])
    assert len(part) == 4
    assert [part[i][1].item() for i in range(4)] == [2.0, 1.0, 1.0, 0.0]
    assert part[1:][1].tolist() == [1.0, 1.0, 0.0]
    assert part.indices.tolist() == [4, 2, 2, 0]
    assert data.Subset(part, [3, 0])[[1, 0]][1].tolist() == [2.0, 0.0]


def test_subset_of_any_dataset():
    letters = data.Subset("abcde", np.array([True, False, True, False, False]))
    assert [letters[0], letters[1]] == ["a", "c"]
    assert letters[0:1] == ["a"]
    assert data.Subset(letters, [1, 0])[[0, 1]] == letters[[1, 0]] == ["c", "a"]


def test_arrays_of_another_byte_order_become_native():
    pairs = data.ArrayDataset(np.array([[1.0, 2.0]], ">f4"), np.array([3], ">i8"))
    x, y = next(iter(data.DataLoader(pairs)))
    assert (x.tolist(), y.tolist()) == ([[1.0, 2.0]], [3])
    assert x.dtype.isnative
    assert y.dtype.isnative


@each(
    ("wrong", "got"),
    [
        (3, r"int, which has no __getitem__\.$"),
        ({1, 2}, r"set, which has no __getitem__\. Collect its samples in a list\.$"),
        (data.ArrayDataset, r"the class ArrayDataset\."),
    ],
)
@each("use", [lambda d: data.Subset(d, [0]), lambda d: data.random_split(d, [1]), data.DataLoader])
def test_objects_that_are_not_datasets_raise(use, wrong, got):
    message = r"^(Subset|random_split|DataLoader): expected a dataset with __len__ and __getitem__,"
    with pytest.raises(DtypeError, match=message + r".*, got " + got):
        use(wrong)


def test_dataset_without_a_length_raises():
    class Endless:
        def __getitem__(self, index):
            return index

    with pytest.raises(DtypeError, match=r"got .*Endless, which has no __len__\."):
        data.DataLoader(Endless())


# random_split.


@each(
    ("lengths", "sizes"),
    [
        ([3, 2], [3, 2]),
        ([5], [5]),
        ([5, 0], [5, 0]),
        ([0.5, 0.5], [3, 2]),
        ([0.3, 0.3, 0.4], [2, 1, 2]),
        ((0.1, 0.9), [1, 4]),
        (np.array([4, 1]), [4, 1]),
        ([1.0], [5]),
        ([1.0, 0], [5, 0]),
    ],
)
def test_split_has_the_sizes_asked_for(lengths, sizes):
    parts = data.random_split(dataset(), lengths, np.random.default_rng(3))
    assert [len(part) for part in parts] == sizes
    assert sorted(index for part in parts for index in part.indices) == list(range(5))


def test_split_depends_on_the_generator():
    def indices(seed):
        parts = data.random_split(range(20), [10, 10], np.random.default_rng(seed))
        return [part.indices.tolist() for part in parts]

    assert indices(0) == indices(0) != indices(1)


def test_split_draws_from_the_default_generator():
    found = []
    for seed in (1, 1, 2):
        tinygrad_np.manual_seed(seed)
        found.append(data.random_split(range(20), [20])[0].indices.tolist())
    assert found[0] == found[1] != found[2]


@each("lengths", [[3, 3], [0.5, 0.6], [-1, 6], [1], [True, 4], ["a"], 5, [2.0, 3.0]])
def test_invalid_lengths_raise(lengths):
    with pytest.raises(ArgumentError, match=r"^random_split: expected `lengths` to be sizes that "):
        data.random_split(dataset(), lengths)


def test_invalid_generator_raises():
    with pytest.raises(DtypeError, match=r"^generator: expected a numpy\.random\.Generator, got 3"):
        data.random_split(dataset(), [5], 3)


@each(
    ("shown", "text"),
    [
        (dataset(), "ArrayDataset: 5 samples of (2,) float32, () float64"),
        (data.Subset(dataset(), [1]), "Subset: 1 of 5 samples of ArrayDataset"),
    ],
)
def test_representation(shown, text):
    assert repr(shown) == text
