"""Data sets: the IDX reader, the checks of a Dataset, the loader, the digits that come along."""

import gzip
import hashlib
import os
from pathlib import Path

import numpy as np
import pytest

import tinygrad_np
from tinygrad_np import TinygradNpError, data
from tinygrad_np.data import sources
from tinygrad_np.errors import ArgumentError, DataError, DtypeError, ShapeError

CODES = {"u1": 0x08, "i1": 0x09, "i2": 0x0B, "i4": 0x0C, "f4": 0x0D, "f8": 0x0E}
DTYPES = ["uint8", "int8", "int16", "int32", "float32", "float64"]
FOLDER = os.environ.get("TINYGRAD_NP_DATA")


def idx_bytes(array):
    """Return an array as IDX: 00 00, dtype code, number of axes, lengths, entries, big-endian."""
    head = bytes([0, 0, CODES[array.dtype.str[1:]], array.ndim])
    lengths = b"".join(length.to_bytes(4, "big") for length in array.shape)
    return head + lengths + array.astype(array.dtype.newbyteorder(">")).tobytes()


def extremes(dtype):
    """Return a (2, 1, 3) array with the smallest, the largest and some small values of a dtype."""
    info = np.finfo(dtype) if np.dtype(dtype).kind == "f" else np.iinfo(dtype)
    return np.array([info.min, 0, 1, 2, 100, info.max], dtype).reshape(2, 1, 3)


def written(folder, content, name="some-idx1-ubyte"):
    """Write a file and return its path."""
    path = folder / name
    path.write_bytes(content)
    return path


GZIPPED = gzip.compress(idx_bytes(np.arange(60, dtype=np.uint8).reshape(3, 4, 5)), mtime=0)


# Reading IDX.


@pytest.mark.parametrize("wrap", [bytes, gzip.compress], ids=["raw", "gz"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_round_trip(tmp_path, dtype, wrap):
    """Each dtype of the format comes back in native byte order, from a raw and a gzipped file."""
    expected = extremes(dtype)
    found = data.read_idx(written(tmp_path, wrap(idx_bytes(expected))))
    assert found.dtype == np.dtype(dtype)
    assert found.dtype.isnative
    np.testing.assert_array_equal(found, expected, strict=True)


@pytest.mark.parametrize("shape", [(), (4,), (1, 1), (0, 28, 28), (2, 1, 2, 1, 2), (1,) * 64])
def test_shapes(tmp_path, shape):
    """Any number of axes is read, none and empty ones too."""
    expected = np.arange(np.prod(shape, dtype=int), dtype=np.int16).reshape(shape)
    found = data.read_idx(written(tmp_path, idx_bytes(expected)))
    np.testing.assert_array_equal(found, expected, strict=True)


def test_path_as_str(tmp_path):
    """A path may be a str."""
    path = written(tmp_path, GZIPPED)
    assert data.read_idx(str(path)).shape == (3, 4, 5)


def test_the_array_is_writable(tmp_path):
    """The array is the reader's own: it can be changed."""
    assert data.read_idx(written(tmp_path, GZIPPED)).flags.writeable


def test_gz_is_told_by_content(tmp_path):
    """Whether a file is gzipped is seen from its bytes, not from its name."""
    assert data.read_idx(written(tmp_path, GZIPPED, "no-suffix")).size == 60
    raw = gzip.decompress(GZIPPED)
    assert data.read_idx(written(tmp_path, raw, "wrong-suffix.gz")).size == 60


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"", "not an IDX file: it begins with nothing"),
        (b"\0\0\x08", "not an IDX file: it begins with 00 00 08"),
        (b"<!DOCTYPE html>", "not an IDX file: it begins with 3c 21 44 4f"),
        (b"\0\1\x08\1" + bytes(4), "not an IDX file: it begins with 00 01 08 01"),
        (b"\0\0\x0a\1" + bytes(4), "not an IDX file: it begins with 00 00 0a 01"),
        (b"\0\0\x08\3" + bytes(11), "cut off within its 3 lengths"),
        (
            b"\0\0\x08\x41" + 65 * b"\0\0\0\1" + b"a",
            "has 65 axes, more than the 64 of an array",
        ),
        (b"\0\0\x08\xff", "has 255 axes, more than the 64 of an array"),
        (b"\0\0\x08\1\0\0\0\5abcd", "4 bytes of entries, but shape (5,) needs 5"),
        (b"\0\0\x08\1\0\0\0\3abcd", "4 bytes of entries, but shape (3,) needs 3"),
        (b"\0\0\x0d\1\0\0\0\2" + bytes(7), "7 bytes of entries, but shape (2,) needs 8"),
        (b"\0\0\x08\1\xff\xff\xff\xffa", "1 bytes of entries, but shape (4294967295,) needs"),
        (gzip.compress(b"hello"), "not an IDX file: it begins with 68 65 6c 6c"),
    ],
    ids=[
        "empty",
        "three-bytes",
        "html",
        "magic",
        "dtype-code",
        "header-cut-off",
        "65-axes",
        "255-axes",
        "too-few",
        "too-many",
        "part-of-an-entry",
        "huge-count",
        "gzipped-text",
    ],
)
def test_not_idx(tmp_path, content, fault):
    """A file that is not whole IDX is refused by a message with its path and the fault."""
    path = written(tmp_path, content)
    with pytest.raises(DataError) as caught:
        data.read_idx(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert fault in str(caught.value)


def test_truncated_gzip(tmp_path):
    """A gzipped file that ends too early is refused wherever it ends."""
    for length in range(2, len(GZIPPED)):
        path = written(tmp_path, GZIPPED[:length])
        with pytest.raises(DataError) as caught:
            data.read_idx(path)
        assert f"{path}: the gzip stream is cut off" in str(caught.value), length


def test_damaged_gzip(tmp_path):
    """One wrong byte, anywhere behind the gzip header, is seen."""
    for position in range(10, len(GZIPPED)):
        damaged = bytearray(GZIPPED)
        damaged[position] ^= 0x55
        path = written(tmp_path, damaged)
        with pytest.raises(DataError) as caught:
            data.read_idx(path)
        assert f"{path}: the gzip stream is " in str(caught.value), position


@pytest.mark.parametrize("wrap", [bytes, gzip.compress], ids=["raw", "gz"])
def test_sha256(tmp_path, wrap):
    """The digest is that of the unzipped bytes, so that any gzip wrapping will do."""
    payload = gzip.decompress(GZIPPED)
    path = written(tmp_path, wrap(payload))
    assert data.read_idx(path, hashlib.sha256(payload).hexdigest()).size == 60


def test_wrong_sha256(tmp_path):
    """Other bytes than expected are refused, with both digests in the message."""
    path = written(tmp_path, GZIPPED)
    found = hashlib.sha256(gzip.decompress(GZIPPED)).hexdigest()
    with pytest.raises(DataError) as caught:
        data.read_idx(path, "0" * 64)
    for part in (str(path), f"SHA-256 {found}", f"expected {'0' * 64}"):
        assert part in str(caught.value)


def test_missing_file(tmp_path):
    """A file that is not there is an OSError, of the package's family too, with its path."""
    path = tmp_path / "nowhere-idx1-ubyte"
    with pytest.raises(OSError, match="cannot be read: No such file") as caught:
        data.read_idx(path)
    assert isinstance(caught.value, TinygradNpError)
    assert str(path) in str(caught.value)


def test_folder_for_a_file(tmp_path):
    """A folder is refused as a file that cannot be read."""
    with pytest.raises(DataError, match="cannot be read"):
        data.read_idx(tmp_path)


# Dataset.


def small(count=5, **changes):
    """Return a Dataset of uint8 images (count, 1, 2, 2), no two alike, with three classes."""
    fields = {
        "images": np.arange(4 * count, dtype=np.uint8).reshape(count, 1, 2, 2),
        "labels": (np.arange(count) % 3).astype(np.uint8),
        "classes": ("a", "b", "c"),
        "name": "small",
    }
    return data.Dataset(**{**fields, **changes})


def floats(*odd):
    """Return float32 images (5, 1, 2, 2) with an odd value in image 3."""
    images = np.zeros((5, 1, 2, 2), np.float32)
    for position, value in enumerate(odd):
        images[3, 0, 1, position] = value
    return images


def test_length():
    """A Dataset is as long as it has images."""
    assert len(small(7)) == 7


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        (
            {"labels": np.zeros(4, np.uint8)},
            ShapeError,
            "got 5 images, but labels of shape (4,); expected one for each image",
        ),
        (
            {"labels": np.zeros((5, 3), np.uint8)},
            ShapeError,
            "got 5 images, but labels of shape (5, 3)",
        ),
        (
            {"images": np.zeros((5, 2, 2), np.uint8)},
            ShapeError,
            "got images (5, 2, 2), expected (N, C, H, W)",
        ),
        (
            {"labels": np.array([0, 1, 3, 9, 0])},
            ArgumentError,
            "label 3 of image 2 is outside 0..2",
        ),
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
    ids=[
        "fewer-labels",
        "one-hot",
        "no-channels",
        "label-too-large",
        "label-negative",
        "float-labels",
        "bool-labels",
        "nan",
        "inf",
        "minus-inf",
        "scale-0",
        "std-0",
        "scale-negative",
        "std-nan",
    ],
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
    """first(n) is the first n images and labels, with all else as it was."""
    whole = small(scale=2.0, mean=3.0, std=4.0)
    part = whole.first(count)
    np.testing.assert_array_equal(part.images, whole.images[:count])
    np.testing.assert_array_equal(part.labels, whole.labels[:count])
    assert (part.classes, part.name) == (whole.classes, whole.name)
    assert (part.scale, part.mean, part.std) == (2.0, 3.0, 4.0)


def test_first_none():
    """first(None) is all."""
    whole = small()
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


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64])
def test_batch_dtypes(dtype):
    """Images are float32 and labels int64, whatever the data set holds."""
    images, labels = small(images=floats().astype(dtype)).batch(slice(0, 2))
    assert images.dtype == np.float32
    assert labels.dtype == np.int64


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_batch_is_a_copy(dtype):
    """The data set's own images stay as they came, also where their dtype is a batch's."""
    before = np.ones((5, 1, 2, 2), dtype)
    dataset = small(images=before.copy(), scale=2.0, mean=1.0)
    images, labels = dataset.batch(slice(0, 5))
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


def test_last_batch_is_smaller():
    """Nothing is left out where the batch size does not divide the set."""
    loader = data.DataLoader(small(10), batch_size=4)
    assert [len(images) for images, _ in loader] == [4, 4, 2]


@pytest.mark.parametrize(
    ("count", "size", "batches"), [(10, 4, 3), (8, 4, 2), (3, 4, 1), (4, 1, 4)]
)
def test_number_of_batches(count, size, batches):
    """len is the number of batches in an epoch."""
    loader = data.DataLoader(small(count), batch_size=size)
    assert len(loader) == batches == len(list(loader))


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("size", [1, 7, 50, 64])
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


def test_unshuffled_order():
    """Without shuffling the order is the data set's, in every epoch."""
    loader = data.DataLoader(small(20), batch_size=6)
    assert order_of(loader) == order_of(loader) == list(range(20))


def test_same_seed_same_order():
    """Two loaders of one seed give the same order, epoch by epoch."""
    one, other = (data.DataLoader(small(50), 8, shuffle=True, seed=5) for _ in range(2))
    assert [order_of(one) for _ in range(3)] == [order_of(other) for _ in range(3)]


def test_order_does_not_depend_on_the_batch_size():
    """One seed gives one order, however it is cut into batches."""
    one, other = (data.DataLoader(small(50), n, shuffle=True, seed=5) for n in (3, 50))
    assert order_of(one) == order_of(other)


def test_another_seed_another_order():
    """Another seed gives another order."""
    orders = [order_of(data.DataLoader(small(50), 8, shuffle=True, seed=n)) for n in range(4)]
    assert len({tuple(order) for order in orders}) == 4


def test_epochs_differ():
    """Each epoch has an order of its own."""
    loader = data.DataLoader(small(50), 8, shuffle=True, seed=5)
    assert len({tuple(order_of(loader)) for _ in range(4)}) == 4


def test_an_epoch_can_be_repeated():
    """The order is that of the seed and `epoch`, so a run that goes on sets the latter."""
    loader = data.DataLoader(small(50), 8, shuffle=True, seed=5)
    orders = [order_of(loader) for _ in range(3)]
    later = data.DataLoader(small(50), 8, shuffle=True, seed=5)
    later.epoch = 2
    assert order_of(later) == orders[2]


def test_order_ignores_global_state():
    """With a seed of its own the order does not change with the package's generator."""
    orders = []
    for seed in (1, 2):
        tinygrad_np.manual_seed(seed)
        orders.append(order_of(data.DataLoader(small(50), 8, shuffle=True, seed=5)))
    assert orders[0] == orders[1]


def test_a_seeded_loader_draws_nothing():
    """With a seed of its own a loader leaves the package's generator alone."""
    tinygrad_np.manual_seed(0)
    expected = tinygrad_np.Tensor.rand(3).tolist()
    tinygrad_np.manual_seed(0)
    order_of(data.DataLoader(small(50), 8, shuffle=True, seed=5))
    assert tinygrad_np.Tensor.rand(3).tolist() == expected


def test_an_unshuffled_loader_draws_nothing():
    """A loader that does not shuffle leaves the package's generator alone, with no seed too."""
    tinygrad_np.manual_seed(0)
    expected = tinygrad_np.Tensor.rand(3).tolist()
    tinygrad_np.manual_seed(0)
    order_of(data.DataLoader(small(50), 8))
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


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("seed", [-1, 1.5, "8"])
def test_seed_is_checked(seed, shuffle):
    """A seed is an integer of at least 0; the loader says so, not its first epoch."""
    with pytest.raises(ArgumentError, match=f"DataLoader seed: got {seed!r}, expected an integer"):
        data.DataLoader(small(), shuffle=shuffle, seed=seed)


def test_empty_dataset():
    """A set without images has no batches; it is named."""
    with pytest.raises(ArgumentError, match="the dataset 'small' is empty"):
        data.DataLoader(small(0))


# The digits.


@pytest.mark.parametrize("size", [8, 28])
def test_digits(size):
    """1797 images, of which 359 are for testing."""
    train, test = data.digits(size)
    assert train.images.shape == (1438, 1, size, size)
    assert test.images.shape == (359, 1, size, size)
    assert train.images.dtype == test.images.dtype == np.uint8


def test_digits_split_is_stratified():
    """A fifth of each digit is for testing."""
    train, test = data.digits()
    of_test = np.bincount(test.labels, minlength=10)
    of_all = of_test + np.bincount(train.labels, minlength=10)
    assert of_all.tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    np.testing.assert_array_equal(of_test, np.round(0.2 * of_all))


def test_digits_split_is_fixed():
    """The split is the same in each call and each version, whatever the package's generator."""
    tinygrad_np.manual_seed(1)
    _, first = data.digits()
    tinygrad_np.manual_seed(2)
    _, second = data.digits()
    np.testing.assert_array_equal(first.images, second.images)
    digest = hashlib.sha256(first.images.tobytes() + first.labels.tobytes()).hexdigest()
    assert digest == "9af880ee3a85b7ef6a07cbbd8d3dd472e753b253e7b8d9265fbd0d18c72528c3"


def labelled(images, labels):
    """Return each image's bytes with its label, sorted."""
    return sorted((image.tobytes(), int(n)) for image, n in zip(images, labels, strict=True))


@pytest.mark.slow
def test_digits_are_scikit_learns():
    """Training and test images together are scikit-learn's digits, labels too."""
    datasets = pytest.importorskip("sklearn.datasets", reason="scikit-learn is not installed")
    theirs = datasets.load_digits()
    train, test = data.digits()
    images = np.concatenate([train.images, test.images])
    labels = np.concatenate([train.labels, test.labels])
    assert labelled(images, labels) == labelled(theirs.images.astype(np.uint8), theirs.target)


def test_digits_at_28():
    """At 28x28 each pixel is 3x3, in a border of two; order and split are those of 8x8."""
    for little, large in zip(data.digits(), data.digits(28), strict=True):
        inner = large.images[:, :, 2:-2, 2:-2]
        assert large.images.sum() == inner.sum()
        blocks = inner.reshape(-1, 1, 8, 3, 8, 3)
        expected = np.broadcast_to(little.images[:, :, :, None, :, None], blocks.shape)
        np.testing.assert_array_equal(blocks, expected)
        np.testing.assert_array_equal(large.labels, little.labels)


def test_digits_range_from_0_to_1():
    """In a batch the grey values, 0 to 16, are from 0 to 1."""
    for dataset in data.digits():
        images, _ = dataset.batch(slice(None))
        assert (images.min(), images.max()) == (0, 1)


@pytest.mark.parametrize("size", [0, 16, 32, "8", None])
def test_digits_other_size(size):
    """Another size is refused with the two that there are."""
    with pytest.raises(ArgumentError, match=f"digits size: got {size}, expected 8 or 28"):
        data.digits(size)


def test_digits_attribution():
    """The licence wants the authors named beside the files."""
    text = (Path(sources.__file__).parent / "digits" / "README.md").read_text("utf-8")
    for words in ("Alpaydin", "Kaynak", "UCI", "CC BY 4.0", "Changed"):
        assert words in text


# Augmentation of real images; tests/data/test_augment.py has the rest.


def test_shifted_digits_have_moved_by_whole_pixels():
    """Each is one of the 25 that its original can become by up to two pixels; all of these come."""
    train_set, _ = data.digits(28)
    loader = data.DataLoader(train_set, 500, seed=0, augmentation=data.Augmentation(shift=2))
    framed = np.pad(train_set.images[:, 0] / 16, ((0, 0), (2, 2), (2, 2)))
    moved = np.concatenate([images for images, _ in loader])[:, 0]
    found = {}
    for down, right in np.ndindex(5, 5):
        original = framed[:, down : down + 28, right : right + 28]
        found[down, right] = np.abs(moved - original).max(axis=(1, 2)) < 1e-4
    assert np.all(sum(found.values()) >= 1)
    assert all(of_one.any() for of_one in found.values())


def test_rotated_digits_have_turned_by_at_most_ten_degrees():
    """As the principal axis of each digit tells, where one is clearly longer than the other."""
    train_set, _ = data.digits(28)
    turn = data.Augmentation(rotation=10)
    turned = turn.apply(train_set.images, train_set.scale, np.random.default_rng(0))

    def axes_of(images):
        weights = images / images.sum(axis=(1, 2), keepdims=True)

        def mean(values):
            return (weights * values).sum(axis=(1, 2), keepdims=True)

        y, x = np.mgrid[:28, :28]
        y, x = y - mean(y), x - mean(x)
        long, across = mean(x * x) - mean(y * y), 2 * mean(x * y)
        part = np.hypot(long, across) / mean(x * x + y * y)
        return np.degrees(np.arctan2(across, long)).ravel() / 2, part.ravel()

    before, length = axes_of(train_set.images[:, 0].astype(float))
    after, _ = axes_of(turned[:, 0].astype(float))
    angles = ((after - before + 90) % 180 - 90)[length > 0.5]
    assert len(angles) > 300
    assert 9 < np.abs(angles).max() < 11
    assert abs(angles.mean()) < 1


def test_noisy_digits():
    """Pixels of a middle grey, which noise does not take out of range, get normal noise."""
    train_set, _ = data.digits()
    noisy = data.Augmentation(noise=0.1).apply(train_set.images, 16.0, np.random.default_rng(0))
    noise = (noisy - train_set.images)[train_set.images == 8] / 16
    assert noise.size > 1000
    assert noise.std() == pytest.approx(0.1, rel=0.1)
    assert noise.mean() == pytest.approx(0, abs=0.01)


# Class names.


def test_class_names():
    """A label is the position of its class's name."""
    train, test = data.digits()
    assert train.classes == test.classes == sources.MNIST.classes == tuple("0123456789")
    clothes = sources.FASHION_MNIST.classes
    words = "T-shirt/top, Trouser, Pullover, Dress, Coat, Sandal, Shirt, Sneaker, Bag, Ankle boot"
    assert ", ".join(clothes) == words


# The real files, where they are at hand.

REAL = {
    "mnist": (
        data.mnist,
        [5, 0, 4, 1, 9],
        [7, 2, 1, 0, 4],
        [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949],
        [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009],
    ),
    "fashion-mnist": (
        data.fashion_mnist,
        [9, 0, 0, 3, 0],
        [9, 2, 1, 1, 6],
        [6000] * 10,
        [1000] * 10,
    ),
}


@pytest.fixture(scope="module", params=list(REAL))
def real(request):
    """Return the two sets and what is known of them; skip where the files are not at hand."""
    if not FOLDER:
        pytest.skip("TINYGRAD_NP_DATA is not set: no MNIST here")
    if not (Path(FOLDER) / request.param).is_dir():
        pytest.skip(f"TINYGRAD_NP_DATA has no folder {request.param}")
    load, *known = REAL[request.param]
    return *load(FOLDER), *known


@pytest.mark.slow
def test_real_shapes(real):
    """60 000 and 10 000 images of 28x28, kept as uint8."""
    train, test, *_ = real
    assert train.images.shape == (60_000, 1, 28, 28)
    assert test.images.shape == (10_000, 1, 28, 28)
    assert train.images.dtype == test.images.dtype == np.uint8


@pytest.mark.slow
def test_real_labels(real):
    """The first labels and the number of each are those of the official files."""
    train, test, first_train, first_test, counts_train, counts_test = real
    assert train.labels[:5].tolist() == first_train
    assert test.labels[:5].tolist() == first_test
    assert np.bincount(train.labels).tolist() == counts_train
    assert np.bincount(test.labels).tolist() == counts_test


@pytest.mark.slow
def test_real_mean_and_std(real):
    """The mean and deviation that batches are standardised by are those of the training images."""
    train, *_ = real
    histogram = np.bincount(train.images.ravel(), minlength=256) / train.images.size
    values = np.arange(256) / 255
    mean = histogram @ values
    assert mean == pytest.approx(train.mean, abs=1e-4)
    assert np.sqrt(histogram @ (values - mean) ** 2) == pytest.approx(train.std, abs=1e-4)
