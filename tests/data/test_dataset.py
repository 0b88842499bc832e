"""Dataset and DataLoader: checks, batches, order and seeds."""

import numpy as np
import pytest

import tinygrad_np
from tests.tools import each
from tinygrad_np import data
from tinygrad_np.errors import ArgumentError, DtypeError, ShapeError

# Dataset.


def small(count=5, **changes):
    """Return a Dataset of uint8 images (count, 1, 2, 2), no two alike, with three classes."""
    images = np.arange(4 * count, dtype=np.uint8).reshape(count, 1, 2, 2)
    labels = (np.arange(count) % 3).astype(np.uint8)
    fields = {"images": images, "labels": labels, "classes": ("a", "b", "c"), "name": "small"}
    return data.Dataset(**{**fields, **changes})


def floats(*odd):
    """Return float32 images (5, 1, 2, 2) with an odd value in image 3."""
    images = np.zeros((5, 1, 2, 2), np.float32)
    for position, value in enumerate(odd):
        images[3, 0, 1, position] = value
    return images


@each(
    ("changes", "error", "words"),
    [
        (
            {"labels": np.zeros(4, int)},
            ShapeError,
            "5 images, but labels of shape (4,); expected one",
        ),
        ({"labels": np.zeros((5, 3), int)}, ShapeError, "got 5 images, but labels of shape (5, 3)"),
        ({"images": np.zeros((5, 2, 2))}, ShapeError, "images (5, 2, 2), expected (N, C, H, W)"),
        ({"labels": np.array([0, 1, 3, 9, 0])}, ArgumentError, "3 of image 2 is outside 0..2"),
        ({"labels": np.array([0, 1, 2, -1, 0])}, ArgumentError, "-1 of image 3 is outside 0..2"),
        ({"labels": np.zeros(5)}, DtypeError, "labels of dtype float64, expected integers"),
        ({"labels": np.zeros(5, bool)}, DtypeError, "labels of dtype bool, expected integers"),
        ({"images": floats(np.nan)}, ArgumentError, "image 3 holds a nan or inf"),
        ({"images": floats(0, np.inf)}, ArgumentError, "image 3 holds a nan or inf"),
        ({"images": floats(-np.inf)}, ArgumentError, "image 3 holds a nan or inf"),
        ({"scale": 0.0}, ArgumentError, "got scale 0.0 and std 1.0, expected both above 0"),
        ({"std": 0.0}, ArgumentError, "got scale 1.0 and std 0.0, expected both above 0"),
        ({"scale": -255.0}, ArgumentError, "got scale -255.0 and std 1.0"),
        ({"std": np.nan}, ArgumentError, "got scale 1.0 and std nan"),
    ],
    ids=str,
)
def test_dataset_is_checked(changes, error, words):
    """What does not fit is refused at once, by a message with the data set's name."""
    with pytest.raises(error) as caught:
        small(**changes)
    assert str(caught.value).startswith("Dataset small: ")
    assert words in str(caught.value)


def test_dataset_without_a_name():
    """A name need not be given; messages then speak of the Dataset dataset."""
    fields = {"images": np.zeros((2, 1, 2, 2), np.uint8), "classes": ("a",)}
    assert data.Dataset(labels=np.zeros(2, int), **fields).name == "dataset"
    with pytest.raises(ShapeError, match=r"^Dataset dataset: got 2 images"):
        data.Dataset(labels=np.zeros(3, int), **fields)


def test_finite_float_images():
    """Float images are allowed where they are finite."""
    assert small(images=floats(1e30)).images.dtype == np.float32


@pytest.mark.parametrize("count", [1, 3, 5])
def test_first(count):
    """first(n) is the first n images and labels, with all else as it was; first(None) is all."""
    whole = small(scale=2.0, mean=3.0, std=4.0)
    part = whole.first(count)
    np.testing.assert_array_equal(part.images, whole.images[:count])
    np.testing.assert_array_equal(part.labels, whole.labels[:count])
    assert (part.classes, part.name) == (whole.classes, whole.name)
    assert (part.scale, part.mean, part.std) == (2.0, 3.0, 4.0)
    assert whole.first(None) is whole


@pytest.mark.parametrize("count", [0, -1, 6])
def test_first_refuses(count):
    """More images than there are, or none, are refused with the number that there is."""
    with pytest.raises(ArgumentError, match=f"small: got {count} samples, expected from 1 to 5"):
        small().first(count)


# Batches.


@pytest.mark.parametrize(
    ("scale", "mean", "std"), [(1.0, 0.0, 1.0), (255.0, 0.0, 1.0), (255.0, 0.1307, 0.3081)]
)
def test_batch_values(scale, mean, std):
    """A batch is (images / scale - mean) / std."""
    dataset = small(scale=scale, mean=mean, std=std)
    images, _ = dataset.batch(slice(1, 4))
    expected = (dataset.images[1:4] / scale - mean) / std
    np.testing.assert_allclose(images, expected, rtol=1e-5, atol=1e-6)


@each("dtype", [np.uint8, np.float32, np.float64])
def test_batch_is_a_copy_of_float32_and_int64(dtype):
    """The data set's own images stay as they came, also where their dtype is a batch's."""
    before = np.ones((5, 1, 2, 2), dtype)
    dataset = small(images=before.copy(), scale=2.0, mean=1.0)
    images, labels = dataset.batch(slice(0, 5))
    assert (images.dtype, labels.dtype) == (np.float32, np.int64)
    images += 1
    labels += 1
    np.testing.assert_array_equal(dataset.images, before, strict=True)
    np.testing.assert_array_equal(dataset.labels, small().labels, strict=True)


def test_batch_by_positions():
    """A batch is of the images at the positions asked for, in their order, labels alongside."""
    dataset = small()
    images, labels = dataset.batch(np.array([4, 0, 4]))
    np.testing.assert_array_equal(images, dataset.images[[4, 0, 4]])
    assert labels.tolist() == [1, 0, 1]


# The loader.


def order_of(loader):
    """Return the positions of the images of one epoch; `small` begins image i with 4 i."""
    return [int(image[0, 0, 0]) // 4 for images, _ in loader for image in images]


@each(
    ("count", "size", "lengths"),
    [(10, 4, [4, 4, 2]), (8, 4, [4, 4]), (3, 4, [3]), (4, 1, [1, 1, 1, 1])],
)
def test_number_and_lengths_of_batches(count, size, lengths):
    """The last batch may be smaller; without shuffling the order is the data set's."""
    loader = data.DataLoader(small(count), batch_size=size)
    assert len(loader) == len(lengths)
    assert [len(images) for images, _ in loader] == lengths
    assert order_of(loader) == order_of(loader) == list(range(count))


@each("shuffle", [False, True])
@each("size", [1, 7, 50, 64])
def test_every_image_once(size, shuffle):
    """Every image comes exactly once in each epoch."""
    loader = data.DataLoader(small(50), batch_size=size, shuffle=shuffle, seed=1)
    for _ in range(3):
        assert sorted(order_of(loader)) == list(range(50))


def test_labels_go_with_their_images():
    """Shuffling moves labels along with images."""
    dataset = small(50)
    for images, labels in data.DataLoader(dataset, batch_size=8, shuffle=True, seed=3):
        where = images[:, 0, 0, 0].astype(int) // 4
        np.testing.assert_array_equal(labels, dataset.labels[where])


def shuffled(seed=5, size=8):
    """Return a loader that shuffles 50 images."""
    return data.DataLoader(small(50), size, shuffle=True, seed=seed)


def test_the_order_follows_from_seed_and_epoch():
    """Whatever the batch size and the package's generator."""
    loader = shuffled()
    orders = [order_of(loader) for _ in range(4)]
    orders += [order_of(shuffled(seed)) for seed in (6, 7)]
    assert len(set(map(tuple, orders))) == 6
    tinygrad_np.manual_seed(1)
    for size in (3, 50):
        again = shuffled(size=size)
        assert [order_of(again) for _ in range(4)] == orders[:4]
    later = shuffled()
    later.epoch = 2
    assert order_of(later) == orders[2]


AUGMENTED = {"seed": 5, "augmentation": data.Augmentation(shift=1, flip=True)}


@each("options", [{"shuffle": True, "seed": 5}, AUGMENTED, {}])
def test_a_loader_with_a_seed_or_without_shuffling_draws_nothing(options):
    """It leaves the package's generator alone."""
    tinygrad_np.manual_seed(0)
    expected = tinygrad_np.Tensor.rand(3).tolist()
    tinygrad_np.manual_seed(0)
    assert len(list(data.DataLoader(small(50), 8, **options))) == 7
    assert tinygrad_np.Tensor.rand(3).tolist() == expected


def test_manual_seed_sets_the_order():
    """Without a seed the order follows from manual_seed."""
    orders = []
    for seed in (1, 1, 2):
        tinygrad_np.manual_seed(seed)
        orders.append(order_of(data.DataLoader(small(50), 8, shuffle=True)))
    assert orders[0] == orders[1] != orders[2]


@pytest.mark.parametrize("size", [0, -3, 2.0, "8", None])
def test_batch_size_is_checked(size):
    """A batch size is an integer of at least 1."""
    with pytest.raises(ArgumentError, match=f"DataLoader batch_size: got {size!r}, expected"):
        data.DataLoader(small(), batch_size=size)


@pytest.mark.parametrize("size", [np.int64(4), np.uint8(4)], ids=["int64", "uint8"])
def test_batch_size_of_numpys_kinds(size):
    """A batch size may be a NumPy integer, also of few bits."""
    loader = data.DataLoader(small(50), size)
    assert len(loader) == 13
    assert order_of(loader) == list(range(50))


@each("shuffle", [False, True])
@each("seed", [-1, 1.5, "8"])
def test_seed_is_checked(seed, shuffle):
    """A seed is an integer of at least 0; the loader says so, not its first epoch."""
    with pytest.raises(ArgumentError, match=f"DataLoader seed: got {seed!r}, expected an integer"):
        data.DataLoader(small(), shuffle=shuffle, seed=seed)


def test_empty_dataset():
    """A set without images has no batches; it is named."""
    with pytest.raises(ArgumentError, match="the dataset 'small' is empty"):
        data.DataLoader(small(0))
