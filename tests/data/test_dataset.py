"""ImageDataset and DataLoader: checks, batches, order and seeds."""

import base64
import io
import re

import numpy as np
import pytest
from PIL import Image

import tinygrad_np
from tests.tools import each
from tinygrad_np import data
from tinygrad_np.errors import ArgumentError, DtypeError, GraphError, ShapeError

# Dataset.


def shown(images, **options):
    """Return the colors of the first image as a notebook shows it."""
    labels = np.zeros(len(images), int)
    html = data.ImageDataset(images, labels, ("a",), **options)._repr_html_()
    code = re.search(r"base64,([A-Za-z0-9+/=]+)", html)[1]
    picture = np.asarray(Image.open(io.BytesIO(base64.b64decode(code))))
    height, width = picture[..., 3].any(axis=1).sum(), picture[..., 3].any(axis=0).sum()
    return picture[:height, :width, :3], html


@each(
    ("pixels", "scale", "grays"),
    [
        ([0, 51, 102, 255], 255.0, [0, 51, 102, 255]),
        ([0, 51, 102, 102], 255.0, [0, 51, 102, 102]),
        ([0.0, 0.2, 0.4, 1.0], 1.0, [0, 51, 102, 255]),
        ([0, 51, 102, 255], 1.0, [0, 51, 102, 255]),  # the scale was forgotten
        ([-1.0, -0.6, -0.2, 1.0], 1.0, [0, 51, 102, 255]),
        ([7.0, 7.0, 7.0, 7.0], 1.0, [0, 0, 0, 0]),
    ],
)
def test_a_notebook_shows_the_pixels_up_to_scale(pixels, scale, grays):
    found, _ = shown(np.reshape(pixels, (1, 1, 2, 2)), scale=scale)
    np.testing.assert_allclose(found, np.reshape(grays, (2, 2, 1)).repeat(3, 2), atol=1)


@each("channels", [2, 3, 4])
def test_a_notebook_shows_colors_or_the_mean_of_other_channels(channels):
    images = np.random.default_rng(0).integers(0, 256, (1, channels, 4, 5), np.uint8)
    found, _ = shown(images, scale=255.0)
    colors = images[0].transpose(1, 2, 0)
    expected = colors.mean(axis=2, keepdims=True).repeat(3, 2) if channels == 2 else colors[..., :3]
    np.testing.assert_allclose(found, expected, atol=1)


def test_a_notebook_shows_large_images_subsampled():
    images = np.random.default_rng(0).integers(0, 256, (20, 3, 224, 224), np.uint8)
    found, html = shown(images, scale=255.0)
    np.testing.assert_allclose(found[:56, :56], images[0, :, ::4, ::4].transpose(1, 2, 0), atol=1)
    assert len(html) < 400_000


def small(count=5, **changes):
    """Return `count` distinct uint8 images of shape (1, 2, 2), with three classes."""
    images = np.arange(4 * count, dtype=np.uint8).reshape(count, 1, 2, 2)
    labels = (np.arange(count) % 3).astype(np.uint8)
    fields = {"images": images, "labels": labels, "classes": ("a", "b", "c"), "name": "small"}
    return data.ImageDataset(**{**fields, **changes})


def floats(*odd):
    """Return float32 images (5, 1, 2, 2) with the given values in image 3."""
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
            "expected `labels` of shape (5,), one per image, got (4,).",
        ),
        (
            {"labels": np.zeros((5, 3), int)},
            ShapeError,
            "expected `labels` of shape (5,), one per image, got (5, 3).",
        ),
        (
            {"images": np.zeros((5, 2, 2))},
            ShapeError,
            "images` of shape (N, C, H, W), got (5, 2, 2). Add a channel axis with images[:, None]",
        ),
        (
            {"labels": np.array([0, 1, 3, 9, 0])},
            ArgumentError,
            "labels from 0 to 2 (`classes` has 3 entries), got 3 for image 2.",
        ),
        (
            {"labels": np.array([0, 1, 2, -1, 0])},
            ArgumentError,
            "labels from 0 to 2 (`classes` has 3 entries), got -1 for image 3.",
        ),
        (
            {"labels": np.zeros(5)},
            DtypeError,
            "expected `labels` of an integer dtype, got float64.",
        ),
        (
            {"labels": np.zeros(5, bool)},
            DtypeError,
            "expected `labels` of an integer dtype, got bool.",
        ),
        (
            {"images": floats(np.nan)},
            ArgumentError,
            "expected finite `images`, got nan or inf in image 3.",
        ),
        (
            {"images": floats(0, np.inf)},
            ArgumentError,
            "expected finite `images`, got nan or inf in image 3.",
        ),
        (
            {"images": floats(-np.inf)},
            ArgumentError,
            "expected finite `images`, got nan or inf in image 3.",
        ),
        (
            {"scale": 0.0},
            ArgumentError,
            "`scale` and `std` to be above 0, got scale=0.0 and std=1.0.",
        ),
        (
            {"std": 0.0},
            ArgumentError,
            "`scale` and `std` to be above 0, got scale=1.0 and std=0.0.",
        ),
        (
            {"scale": -255.0},
            ArgumentError,
            "`scale` and `std` to be above 0, got scale=-255.0 and std=1.0.",
        ),
        (
            {"std": np.nan},
            ArgumentError,
            "expected `std` to be a finite number, got nan.",
        ),
        (
            {"mean": (0.1, 0.2, 0.3)},
            ArgumentError,
            "expected `mean` to be a finite number, got (0.1, 0.2, 0.3).",
        ),
        (
            {"scale": "255"},
            ArgumentError,
            "expected `scale` to be a finite number, got '255'.",
        ),
        (
            {"labels": [0.0, 1.0, 2.0, 0.0, 1.0]},
            DtypeError,
            "expected `labels` of an integer dtype, got float64.",
        ),
        (
            {"labels": ["a", "b", "c", "a", "b"]},
            DtypeError,
            "expected `labels` to contain numbers, got list of dtype <U1.",
        ),
        (
            {"images": None},
            DtypeError,
            "expected `images` to contain numbers, got NoneType of dtype object.",
        ),
        (
            {"images": np.zeros((5, 1, 2, 2), complex)},
            DtypeError,
            "expected `images` to contain numbers, got numpy.ndarray of dtype complex128.",
        ),
        (
            {"images": [np.zeros((1, 2, 2)), np.zeros((1, 3, 3))]},
            ShapeError,
            "expected `images` to be convertible to an array, got list (setting an array element",
        ),
        (
            {"images": []},
            ShapeError,
            "expected `images` of shape (N, C, H, W), got (0,).",
        ),
        (
            {"images": np.ma.masked_equal(np.zeros((5, 1, 2, 2)), 0)},
            DtypeError,
            "expected an array without a mask, got a masked array of shape (5, 1, 2, 2).",
        ),
        (
            {"labels": np.ma.masked_equal(np.zeros(5, int), 0)},
            DtypeError,
            "expected an array without a mask, got a masked array of shape (5,).",
        ),
        (
            {"images": tinygrad_np.Tensor(np.zeros((5, 1, 2, 2)), requires_grad=True)},
            GraphError,
            "expected `images` without a gradient, got a tensor that requires one.",
        ),
        (
            {"classes": "cat"},
            DtypeError,
            'expected `classes` to be the names of the classes, for example ("cat", "dog"), got',
        ),
        (
            {"classes": 3},
            DtypeError,
            "expected `classes` to be the names of the classes, for example",
        ),
    ],
    ids=str,
)
def test_invalid_dataset_raises(changes, error, words):
    """The message starts with the name of the dataset."""
    with pytest.raises(error) as caught:
        small(**changes)
    assert str(caught.value).startswith("ImageDataset 'small': ")
    assert words in str(caught.value)


def test_name_defaults_to_dataset():
    fields = {"images": np.zeros((2, 1, 2, 2), np.uint8), "classes": ("a",)}
    assert data.ImageDataset(labels=np.zeros(2, int), **fields).name == "dataset"
    with pytest.raises(
        ShapeError, match=r"^ImageDataset 'dataset': expected `labels` of shape \(2,\)"
    ):
        data.ImageDataset(labels=np.zeros(3, int), **fields)


def test_finite_float_images_are_accepted():
    assert small(images=floats(1e30)).images.dtype == np.float32


@pytest.mark.parametrize("count", [1, 3, 5])
def test_first_keeps_all_other_fields(count):
    """first(n) keeps all other fields, and first(None) returns the dataset itself."""
    whole = small(scale=2.0, mean=3.0, std=4.0)
    part = whole.first(count)
    np.testing.assert_array_equal(part.images, whole.images[:count])
    np.testing.assert_array_equal(part.labels, whole.labels[:count])
    assert (part.classes, part.name) == (whole.classes, whole.name)
    assert (part.scale, part.mean, part.std) == (2.0, 3.0, 4.0)
    assert whole.first(None) is whole


def test_lists_and_tensors_are_accepted_like_arrays():
    whole = small()
    for convert in (np.ndarray.tolist, list, tinygrad_np.Tensor):
        same = small(images=convert(whole.images), labels=convert(whole.labels), classes=range(3))
        assert same.classes == ("0", "1", "2")
        for loader in (data.DataLoader(same, 2), data.DataLoader(same.first(4), 2)):
            images, labels = next(iter(loader))
            np.testing.assert_array_equal(images, whole.images[:2])
            assert labels.tolist() == [0, 1]


def test_arrays_are_not_copied():
    array = np.zeros((5, 1, 2, 2), np.uint8)
    assert small(images=array).images is array
    assert np.may_share_memory(small(images=tinygrad_np.Tensor.from_numpy(array)).images, array)


@pytest.mark.parametrize("count", [0, -1, 2.5, "3", 6])
def test_first_with_invalid_count_raises(count):
    with pytest.raises(
        ArgumentError, match=rf"^small: expected a number of samples from 1 to 5, got {count!r}\."
    ):
        small().first(count)


# Batches.


@pytest.mark.parametrize(
    ("scale", "mean", "std"), [(1.0, 0.0, 1.0), (255.0, 0.0, 1.0), (255.0, 0.1307, 0.3081)]
)
def test_batch_is_standardized(scale, mean, std):
    """A batch is (images / scale - mean) / std."""
    dataset = small(scale=scale, mean=mean, std=std)
    images, _ = dataset.batch(slice(1, 4))
    expected = (dataset.images[1:4] / scale - mean) / std
    np.testing.assert_allclose(images, expected, rtol=1e-5, atol=1e-6)


@each("dtype", [np.uint8, np.float32, np.float64])
def test_batch_is_a_copy_of_float32_and_int64(dtype):
    """The dataset's arrays do not change, even if they already have a batch's dtype."""
    before = np.ones((5, 1, 2, 2), dtype)
    dataset = small(images=before.copy(), scale=2.0, mean=1.0)
    images, labels = dataset.batch(slice(0, 5))
    assert (images.dtype, labels.dtype) == (np.float32, np.int64)
    images += 1
    labels += 1
    np.testing.assert_array_equal(dataset.images, before, strict=True)
    np.testing.assert_array_equal(dataset.labels, small().labels, strict=True)


def test_batch_accepts_indices():
    dataset = small()
    images, labels = dataset.batch(np.array([4, 0, 4]))
    np.testing.assert_array_equal(images, dataset.images[[4, 0, 4]])
    assert labels.tolist() == [1, 0, 1]


# The loader.


def order_of(loader):
    """Return the indices of the images in one epoch; image i of `small` starts with 4 i."""
    return [int(image[0, 0, 0]) // 4 for images, _ in loader for image in images]


@each(
    ("count", "size", "lengths"),
    [(10, 4, [4, 4, 2]), (8, 4, [4, 4]), (3, 4, [3]), (4, 1, [1, 1, 1, 1])],
)
def test_last_batch_may_be_smaller(count, size, lengths):
    """The last batch may be smaller; without shuffling the order is the dataset's."""
    loader = data.DataLoader(small(count), batch_size=size)
    assert len(loader) == len(lengths)
    assert [len(images) for images, _ in loader] == lengths
    assert order_of(loader) == order_of(loader) == list(range(count))


@each(
    ("count", "size", "lengths"),
    [(10, 4, [4, 4]), (8, 4, [4, 4]), (4, 4, [4]), (5, 4, [4]), (4, 1, [1, 1, 1, 1])],
)
def test_drop_last_leaves_out_a_smaller_last_batch(count, size, lengths):
    """The other batches are the same, and each epoch leaves out different images."""
    loader, whole = (
        data.DataLoader(small(count), size, shuffle=True, seed=2, drop_last=drop_last)
        for drop_last in (True, False)
    )
    assert len(loader) == len(lengths)
    assert [len(images) for images, _ in loader] == lengths
    kept = size * len(lengths)
    assert order_of(loader) == order_of_epoch(whole, 1)[:kept]
    options = {"samples": count, "batch_size": size, "shuffle": 1, "drop_last": 1}
    assert loader.state_dict() == {"seed": 2, "epoch": 2, **options}


def order_of_epoch(loader, epoch):
    loader.epoch = epoch
    return order_of(loader)


@each(
    ("other", "got"),
    [
        ({"batch_size": 4}, "batch_size=4, got batch_size=3"),
        ({"shuffle": False}, "shuffle=0, got shuffle=1"),
        ({"drop_last": True}, "drop_last=1, got drop_last=0"),
        ({"dataset": small(9)}, "samples=9, got samples=8"),
    ],
)
def test_state_of_a_loader_with_other_options_raises(other, got):
    options = {"dataset": small(8), "batch_size": 3, "shuffle": True, "seed": 2}
    state = data.DataLoader(**options).state_dict()
    loader = data.DataLoader(**{**options, **other})
    before = loader.state_dict()
    with pytest.raises(ArgumentError, match=f"expected the state of a loader with {got}"):
        loader.load_state_dict(state)
    assert loader.state_dict() == before


def test_drop_last_with_less_than_one_batch_raises():
    message = (
        r"^DataLoader: expected `batch_size` to be at most the number of samples with "
        r"drop_last=True, got 8 for 5 samples\."
    )
    with pytest.raises(ArgumentError, match=message):
        data.DataLoader(small(5), 8, drop_last=True)


@each("shuffle", [False, True])
@each("size", [1, 7, 50, 64])
def test_every_image_occurs_once_per_epoch(size, shuffle):
    loader = data.DataLoader(small(50), batch_size=size, shuffle=shuffle, seed=1)
    for _ in range(3):
        assert sorted(order_of(loader)) == list(range(50))


def test_labels_are_shuffled_with_their_images():
    dataset = small(50)
    for images, labels in data.DataLoader(dataset, batch_size=8, shuffle=True, seed=3):
        where = images[:, 0, 0, 0].numpy().astype(int) // 4
        np.testing.assert_array_equal(labels, dataset.labels[where])


def shuffled(seed=5, size=8):
    """Return a loader that shuffles 50 images."""
    return data.DataLoader(small(50), size, shuffle=True, seed=seed)


def test_order_depends_only_on_seed_and_epoch():
    """Neither the batch size nor the global generator matters."""
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
def test_global_generator_is_unused_if_not_needed(options):
    """It is not needed with a seed, or without shuffling and augmentation."""
    tinygrad_np.manual_seed(0)
    expected = tinygrad_np.Tensor.rand(3).tolist()
    tinygrad_np.manual_seed(0)
    assert len(list(data.DataLoader(small(50), 8, **options))) == 7
    assert tinygrad_np.Tensor.rand(3).tolist() == expected


def test_manual_seed_determines_the_order():
    orders = []
    for seed in (1, 1, 2):
        tinygrad_np.manual_seed(seed)
        orders.append(order_of(data.DataLoader(small(50), 8, shuffle=True)))
    assert orders[0] == orders[1] != orders[2]


@pytest.mark.parametrize("size", [0, -3, 2.0, "8", None])
def test_invalid_batch_size_raises(size):
    with pytest.raises(
        ArgumentError,
        match=rf"^DataLoader: expected `batch_size` to be an integer >= 1, got {size!r}\.",
    ):
        data.DataLoader(small(), batch_size=size)


@pytest.mark.parametrize("size", [np.int64(4), np.uint8(4)], ids=["int64", "uint8"])
def test_batch_size_may_be_a_numpy_integer(size):
    loader = data.DataLoader(small(50), size)
    assert len(loader) == 13
    assert order_of(loader) == list(range(50))


@each("shuffle", [False, True])
@each("seed", [-1, 1.5, "8"])
def test_invalid_seed_raises(seed, shuffle):
    """The constructor raises, not the first epoch."""
    with pytest.raises(
        ArgumentError, match=rf"^DataLoader: expected `seed` to be an integer >= 0, got {seed!r}\."
    ):
        data.DataLoader(small(), shuffle=shuffle, seed=seed)


def test_empty_dataset_raises():
    with pytest.raises(
        ArgumentError, match=r"^DataLoader: expected at least one sample, got none in 'small'\."
    ):
        data.DataLoader(small(0))


def test_split_rounds_the_total_size():
    """Each class of 11 has 1.1 images to hold out: two of the twenty classes give one more."""
    labels = np.tile(np.arange(20, dtype=np.uint8), 11)
    whole = data.ImageDataset(
        np.zeros((220, 1, 2, 2), np.uint8), labels, tuple(map(str, range(20)))
    )
    rest, held_out = whole.split(0.1)
    assert (len(rest), len(held_out)) == (198, 22)
    assert sorted(np.bincount(held_out.labels)) == [1] * 18 + [2] * 2
    assert len(whole.first(5).split(0.4)[1]) == 2  # one image per class
    assert len(whole.first(29).split(0.29)[1]) == 8


def test_split_of_unsigned_labels():
    whole = data.ImageDataset(
        np.zeros((4, 1, 2, 2), np.uint8), np.array([0, 0, 1, 1], np.uint64), ("a", "b")
    )
    assert [list(part.labels) for part in whole.split(0.5)] == [[0, 1], [0, 1]]
