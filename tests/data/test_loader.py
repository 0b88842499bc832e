"""DataLoader over datasets that are not images, and default_collate."""

from collections import namedtuple

import numpy as np
import pytest

from tests.tools import each
from tinygrad_np import Tensor, data
from tinygrad_np.errors import ArgumentError, DtypeError, ShapeError

X = np.arange(22, dtype=np.float32).reshape(11, 2)
Y = np.arange(11)


class Squares(data.Dataset):
    """A dataset written as for PyTorch: a subclass with its own constructor."""

    def __init__(self, count):
        self.images = list(range(count))
        self.classes = self.labels = None

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        return self.images[index], float(index**2)


def values(batch):
    """Return a batch with lists for Tensors."""
    if isinstance(batch, tuple):
        return tuple(map(values, batch))
    if isinstance(batch, dict):
        return {key: values(value) for key, value in batch.items()}
    return batch.tolist() if isinstance(batch, Tensor) else batch


def test_batches_are_tensors_that_do_not_share_memory_with_the_dataset():
    for inputs, targets in data.DataLoader(data.ArrayDataset(X, Y), 4):
        assert isinstance(inputs, Tensor)
        assert isinstance(targets, Tensor)
        assert not np.shares_memory(inputs.data, X)
        assert inputs.view(-1).shape == (2 * len(targets),)
    for images, labels in data.DataLoader(data.digits()[0].first(5), 2):
        assert (type(images), type(labels)) == (Tensor, Tensor)
        assert (images.dtype, labels.dtype) == (np.float32, np.int64)


@each(
    "options", [{}, {"shuffle": True, "seed": 3}, {"shuffle": True, "seed": 3, "drop_last": True}]
)
def test_every_kind_of_dataset_gives_the_same_batches(options):
    """Indexing once per batch is faster than sample by sample, but gives the same batches."""
    arrays = data.ArrayDataset(X, Y)
    one_by_one = [(x, int(y)) for x, y in zip(X, Y, strict=True)]
    double = data.Subset(
        data.Subset(data.ArrayDataset(np.tile(X, (2, 1)), np.tile(Y, 2)), Y + 11), Y
    )
    expected = [values(batch) for batch in data.DataLoader(arrays, 4, **options)]
    for same in (one_by_one, double, data.Subset(one_by_one, Y)):
        assert [values(batch) for batch in data.DataLoader(same, 4, **options)] == expected


def test_samples_of_an_image_dataset_collate_to_its_batches():
    digits = data.digits()[0].first(5)
    images, labels = data.default_collate([digits[i] for i in range(5)])
    expected, truth = digits.batch(slice(None))
    np.testing.assert_array_equal(images.numpy(), expected, strict=True)
    np.testing.assert_array_equal(labels.numpy(), truth, strict=True)


def test_subclass_of_dataset_may_hold_anything():
    loader = data.DataLoader(Squares(5), batch_size=3)
    assert values(list(map(values, loader))) == [
        ([0, 1, 2], [0.0, 1.0, 4.0]),
        ([3, 4], [9.0, 16.0]),
    ]
    assert repr(loader).endswith("2 batches of 5 samples from Squares, epoch 1")
    assert repr(loader.dataset) == "Squares: 5 samples"


def test_subclass_that_overrides_getitem_is_indexed_sample_by_sample():
    class Negated(data.ArrayDataset):
        def __getitem__(self, index):
            assert isinstance(index, int)
            return -super().__getitem__(index)[1]

    assert next(iter(data.DataLoader(Negated(X, Y), 3))).tolist() == [0, -1, -2]


def test_moons_are_batches_of_tensors():
    points, labels = next(iter(data.DataLoader(data.moons()[0], 16)))
    assert points.flatten(1).shape == (16, 2)
    table = data.ArrayDataset(data.spirals()[0].images.reshape(-1, 2), data.spirals()[0].labels)
    assert next(iter(data.DataLoader(table, 16)))[0].shape == (16, 2)
    assert labels.dtype == np.int64


def test_state_of_any_loader_resumes_it():
    def loader():
        return data.DataLoader(data.ArrayDataset(X, Y), 4, shuffle=True)

    whole = loader()
    list(whole)
    state = whole.state_dict()
    assert state | {"seed": 0} == {
        "seed": 0, "epoch": 1, "samples": 11, "batch_size": 4, "shuffle": 1, "drop_last": 0
    }  # fmt: skip
    later = loader()
    later.load_state_dict(state)
    assert list(map(values, later)) == list(map(values, whole))


def test_augmented_subset_equals_the_same_images_of_the_whole():
    digits, where = data.digits()[0].first(20), np.array([3, 17, 4])
    options = {"seed": 2, "augmentation": data.Augmentation(shift=2, noise=0.1)}
    whole, labels = next(iter(data.DataLoader(digits, 20, **options)))
    subset = data.Subset(digits, where)
    for dataset in (subset, data.Subset(data.Subset(digits, np.arange(18)), where)):
        part, own = next(iter(data.DataLoader(dataset, **options)))
        np.testing.assert_array_equal(part.numpy(), whole.numpy()[where])
        assert own.tolist() == labels.numpy()[where].tolist()


def test_collate_fn_receives_the_samples_in_order():
    ragged = [[1], [2, 3], [4, 5, 6]]

    def pad(rows):
        table = np.zeros((len(rows), max(map(len, rows))), int)
        for row, values in zip(table, rows, strict=True):
            row[: len(values)] = values
        return Tensor(table)

    loader = data.DataLoader(ragged, 2, collate_fn=pad)
    assert [batch.tolist() for batch in loader] == [[[1, 0], [2, 3]], [[4, 5, 6]]]
    assert data.DataLoader(data.ArrayDataset(X, Y), 11, collate_fn=len).__iter__().__next__() == 11


def test_collate_fn_receives_augmented_images():
    digits = data.digits()[0].first(6)
    options = {"seed": 2, "augmentation": data.Augmentation(shift=2)}
    expected = next(iter(data.DataLoader(digits, **options)))
    found = next(iter(data.DataLoader(digits, **options, collate_fn=data.default_collate)))
    assert values(found) == values(expected)
    samples = next(iter(data.DataLoader(digits, **options, collate_fn=list)))
    assert all(isinstance(image, Tensor) for image, _ in samples)


def test_workers_and_pinned_memory_have_no_effect():
    plain = data.DataLoader(data.ArrayDataset(Y), 4, shuffle=True, seed=1)
    asked = data.DataLoader(
        data.ArrayDataset(Y), 4, shuffle=True, seed=1, num_workers=2, pin_memory=True
    )
    assert list(map(values, asked)) == list(map(values, plain))


def test_generator_seeds_the_order():
    def order(source, **options):
        generator = np.random.default_rng(source)
        loader = data.DataLoader(
            data.ArrayDataset(Y), 11, shuffle=True, generator=generator, **options
        )
        return [batch.tolist() for _ in range(2) for (batch,) in loader]

    assert order(3) == order(3) != order(4)
    assert order(3, seed=1) == order(4, seed=1)
    with pytest.raises(DtypeError, match=r"^generator: expected a numpy\.random\.Generator, got 3"):
        data.DataLoader(data.ArrayDataset(Y), generator=3)


def test_error_of_a_sample_names_its_index():
    class Broken(Squares):
        def __getitem__(self, index):
            return 1 / (index - 2)

    with pytest.raises(ZeroDivisionError) as caught:
        list(data.DataLoader(data.Subset(Broken(4), [3, 2]), 2))
    assert caught.value.__notes__ == ["DataLoader: raised by sample 2 of Broken"]


def test_augmentation_needs_images():
    options = {"augmentation": data.Augmentation(shift=1)}
    with pytest.raises(DtypeError, match=r"expected an ImageDataset for .*, got .*Squares\."):
        data.DataLoader(Squares(3), **options)


@each(
    ("options", "error", "message"),
    [
        (
            {"augmentation": data.Augmentation(shift=1)},
            DtypeError,
            r"expected an ImageDataset for `augmentation`, got .*ArrayDataset\.",
        ),
        ({"shuffle": "no"}, DtypeError, r"expected `shuffle` to be True or False, got 'no'\."),
        ({"drop_last": 1}, DtypeError, r"expected `drop_last` to be True or False, got 1\."),
        (
            {"sampler": [2, 0]},
            ArgumentError,
            r"expected no `sampler`, got list\. Pass shuffle=True, or Subset\(dataset, indices\) ",
        ),
        ({"collate_fn": 3}, DtypeError, r"expected `collate_fn` to be a function of a list of "),
    ],
)
def test_invalid_options_raise(options, error, message):
    with pytest.raises(error, match=r"^DataLoader: " + message):
        data.DataLoader(data.ArrayDataset(Y), **options)


# default_collate.

Point = namedtuple("Point", ["x", "y"])


@each(
    ("samples", "expected", "dtype"),
    [
        ([1, 2], [1, 2], np.int64),
        ([0.5, 2], [0.5, 2.0], np.float32),
        ([1, 0.5], [1.0, 0.5], np.float32),
        ([True, False], [True, False], np.bool_),
        ([np.float64(1.5)], [1.5], np.float64),
        ([np.uint8(3), np.uint8(4)], [3, 4], np.uint8),
        ([np.float64(1.5), 0.5], [1.5, 0.5], np.float64),
        ([0.5, np.float64(1.5)], [0.5, 1.5], np.float64),
        ([0.5, np.float32(1.5)], [0.5, 1.5], np.float32),
        ([np.int32(1), 2], [1, 2], np.int64),
        ([True, np.False_], [True, False], np.bool_),
        ([np.ones(2, np.float32), np.zeros(2, np.float32)], [[1.0, 1.0], [0.0, 0.0]], np.float32),
        ([Tensor(1), Tensor(2)], [1, 2], np.int64),
        ([Tensor([1.0])], [[1.0]], np.float32),
    ],
)
def test_numbers_arrays_and_tensors_are_stacked(samples, expected, dtype):
    batch = data.default_collate(samples)
    assert isinstance(batch, Tensor)
    assert (batch.tolist(), batch.dtype) == (expected, dtype)


def test_structures_are_collated_entry_by_entry():
    sample = {"a": (1, [2, np.ones(1)]), "b": Point(0.5, "s"), "c": b"z"}
    batch = data.default_collate([sample, sample])
    assert batch["a"][0].tolist() == [1, 1]
    assert type(batch["a"][1]) is list
    assert batch["a"][1][1].shape == (2, 1)
    assert batch["b"].x.tolist() == [0.5, 0.5]
    assert batch["b"].y == ["s", "s"]
    assert batch["c"] == [b"z", b"z"]


def test_collated_tensors_stay_in_the_graph():
    x = Tensor([1.0, 2.0], requires_grad=True)
    data.default_collate([x, x]).sum().backward()
    assert x.grad.tolist() == [2.0, 2.0]


@each(
    ("samples", "error", "message"),
    [
        ([], ArgumentError, r"expected at least one sample, got none\."),
        ([1, "a"], DtypeError, r"expected samples of one type, got int, str\."),
        (
            [None],
            DtypeError,
            r"expected numbers, strings, arrays, .*, got NoneType\. Convert it in",
        ),
        (
            [np.ma.masked_array([1, 2], [False, True])],
            DtypeError,
            r"expected an array without a mask, got a masked array of shape \(2,\)\.",
        ),
        (
            [np.array([None])],
            DtypeError,
            r"expected `samples` to contain numbers, got numpy\.ndarray of dtype object\.",
        ),
        ([np.array(["a"])], DtypeError, r"expected `samples` to contain numbers, got .* <U1\."),
        (
            [np.datetime64("2026-01-01")],
            DtypeError,
            r"expected `samples` to contain numbers, got numpy\.datetime64 of dtype datetime64",
        ),
        (
            [np.ones(2), np.ones(3)],
            ShapeError,
            r"expected arrays of the same shape, got \(2,\), \(3,\)\. Pad them, or pass a",
        ),
        (
            [(1,), (1, 2)],
            ShapeError,
            r"expected samples of the same length, got the lengths \[1, 2",
        ),
        (
            [{"a": 1}, {"b": 1}],
            ArgumentError,
            r"expected dicts with the keys \['a'\], got \['b'\]\.",
        ),
    ],
)
def test_samples_that_do_not_stack_raise(samples, error, message):
    with pytest.raises(error, match=r"^default_collate: " + message):
        data.default_collate(samples)
