"""Augmentation: reproducibility, distributions and errors."""

import itertools
import re
from dataclasses import replace

import numpy as np
import pytest

import tinygrad_np
from tests.tools import each
from tinygrad_np import data
from tinygrad_np.data import augment
from tinygrad_np.errors import ArgumentError, DtypeError, ShapeError

pytestmark = pytest.mark.slow

OPTIONS = {"shift": 2, "rotation": 15, "scaling": 0.2, "flip": True, "noise": 0.1, "erasing": 0.7}
PURPOSES = {"_SHIFT", "_ROTATION", "_SCALING", "_FLIP", "_NOISE", "_ERASING"}
ALL = data.Augmentation(**OPTIONS)
ONE_EACH = [data.Augmentation(**{name: value}) for name, value in OPTIONS.items()]
each_option = pytest.mark.parametrize("augmentation", [ALL, *ONE_EACH], ids=["all", *OPTIONS])


def random_images(count, channels=1, height=9, width=12, dtype=np.uint8):
    """Return read-only images with integer values from 1 to 255."""
    draw = np.random.default_rng(0)
    images = draw.integers(1, 256, (count, channels, height, width)).astype(dtype)
    images.flags.writeable = False
    return images


def numbered(images, **fields):
    """Return an ImageDataset that labels each image with its index."""
    classes = tuple(str(position) for position in range(len(images)))
    return data.ImageDataset(images, np.arange(len(images)), classes, **{"scale": 255.0, **fields})


def epoch_of(loader):
    """Return the bytes of each image in one epoch, by index."""
    found = {
        int(label): image.numpy().tobytes()
        for images, labels in loader
        for image, label in zip(images, labels, strict=True)
    }
    assert sorted(found) == list(range(len(loader.dataset)))
    return found


def applied(images, seed=0, scale=255.0, **options):
    """Return the images, augmented with a generator of that seed."""
    return data.Augmentation(**options).apply(images, scale, np.random.default_rng(seed))


# Reproducibility.


@each_option
def test_augmented_images_do_not_depend_on_the_batches(augmentation):
    """Image i of an epoch is the same bit for bit in any batch and order, and alone."""
    dataset = numbered(random_images(40, 2), mean=0.3, std=0.5)
    alone = []
    for epoch in range(2):
        table = augment.AugmentationTable(augmentation, dataset.images.shape, 255.0, 3, epoch)
        alone.append({i: dataset.batch(np.array([i]), table)[0][0].tobytes() for i in range(40)})
    for size, shuffle in itertools.product([1, 7, 40, 64], [False, True]):
        loader = data.DataLoader(dataset, size, shuffle, seed=3, augmentation=augmentation)
        assert [epoch_of(loader) for _ in range(2)] == alone


@each_option
def test_each_epoch_and_seed_differs(augmentation):
    dataset = numbered(random_images(40))
    epochs = []
    for seed in (3, 4):
        loader = data.DataLoader(dataset, seed=seed, augmentation=augmentation)
        epochs += [epoch_of(loader) for _ in range(3)]
    for first, second in zip(epochs, epochs[1:] + epochs[:1], strict=True):
        assert sum(first[i] != second[i] for i in range(40)) >= 10
    if augmentation.noise or augmentation.rotation:
        assert len({epoch[i] for epoch in epochs for i in range(40)}) == 240


def test_loader_resumes_from_a_state_dict():
    """A new loader resumes from a state dict, whatever its own seed."""
    dataset = numbered(random_images(40))
    whole = data.DataLoader(dataset, 7, shuffle=True, seed=3, augmentation=ALL)
    epochs = [epoch_of(whole) for _ in range(2)]
    state = whole.state_dict()
    epochs += [epoch_of(whole) for _ in range(2)]
    later = data.DataLoader(dataset, 7, shuffle=True, seed=8, augmentation=ALL)
    epoch_of(later)
    later.load_state_dict(state)
    assert [epoch_of(later) for _ in range(2)] == epochs[2:]


def test_default_seed_comes_from_manual_seed():
    """The seed comes from manual_seed, is drawn by state_dict if needed, and then stays fixed."""
    dataset = numbered(random_images(20))
    epochs = []
    for seed in (1, 1, 2):
        tinygrad_np.manual_seed(seed)
        loader = data.DataLoader(dataset, augmentation=ALL)
        state = loader.state_dict()
        assert state["epoch"] == 0
        epochs.append(epoch_of(loader))
        assert loader.state_dict() == state | {"epoch": 1}
    assert epochs[0] == epochs[1] != epochs[2]


def test_augmentation_does_not_change_the_order():
    dataset = numbered(random_images(40))
    orders = [
        [labels.tolist() for _, labels in data.DataLoader(dataset, 8, True, 5, chosen)]
        for chosen in (None, ALL)
    ]
    assert orders[0] == orders[1]


def test_options_are_independent():
    """Adding a tiny noise does not change the shifts."""
    images = random_images(100)
    alone, both = applied(images, shift=3), applied(images, shift=3, noise=1e-6)
    assert (alone != both).any()
    np.testing.assert_allclose(alone, both, atol=0.01)


def test_apply_draws_new_numbers_in_each_call():
    """The numbers come from the given generator, or else from the global one."""
    images = random_images(10)
    generator = np.random.default_rng(0)
    first, second = (ALL.apply(images, 255, generator) for _ in range(2))
    assert (first != second).any(axis=(1, 2, 3)).all()
    np.testing.assert_array_equal(first, applied(images, **OPTIONS), strict=True)
    results = []
    for seed in (1, 1, 2):
        tinygrad_np.manual_seed(seed)
        results.append(ALL.apply(images, 255).tobytes())
    assert results[0] == results[1] != results[2]


# Unchanged data.


@each_option
@each("dtype", [np.uint8, np.int64, np.float32, np.float64])
@each("where", [slice(None), np.arange(20)], ids=["slice", "positions"])
def test_dataset_is_not_modified(augmentation, dtype, where):
    """Batches are float32 copies with the right labels; the images are read-only."""
    dataset = numbered(random_images(20, dtype=dtype))
    table = augment.AugmentationTable(augmentation, dataset.images.shape, 255.0, 0, 0)
    images, labels = dataset.batch(where, table)
    assert (images.dtype, labels.dtype) == (np.float32, np.int64)
    assert not np.shares_memory(images, dataset.images)
    assert labels.tolist() == list(range(20))
    np.testing.assert_array_equal(dataset.images, random_images(20, dtype=dtype), strict=True)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_augmentation_without_options_changes_nothing(dtype):
    dataset = numbered(random_images(20, dtype=dtype), mean=0.3, std=0.5)
    off = epoch_of(data.DataLoader(dataset, augmentation=data.Augmentation(), seed=0))
    without = epoch_of(data.DataLoader(dataset))
    plain, _ = dataset.batch(slice(None))
    assert off == without == {i: image.tobytes() for i, image in enumerate(plain)}


def test_digits_keep_their_scale():
    """Noise and erasing are relative to the digits' largest value, 16."""
    train_set, _ = data.digits()
    augmentation = data.Augmentation(shift=1, rotation=10, noise=0.2, erasing=0.5)
    batches = list(data.DataLoader(train_set, 100, seed=0, augmentation=augmentation))
    images = np.concatenate([images.numpy() for images, _ in batches])
    labels = np.concatenate([labels.numpy() for _, labels in batches])
    assert (images.min(), images.max()) == (0, 1)
    np.testing.assert_array_equal(labels, train_set.labels)
    grey = numbered(np.full((200, 1, 8, 8), 8, np.uint8), scale=16.0)
    loader = data.DataLoader(grey, 200, seed=0, augmentation=data.Augmentation(noise=0.1))
    assert next(iter(loader))[0].numpy().std() == pytest.approx(0.1, rel=0.03)


def test_channels_move_together():
    images = random_images(30, 3)
    moved = {name: OPTIONS[name] for name in ("shift", "rotation", "scaling", "flip")}
    found = applied(images, **moved)
    for channel in range(3):
        alone = applied(images[:, channel : channel + 1], **moved)
        np.testing.assert_array_equal(found[:, channel : channel + 1], alone)


# Geometry.


def moved(image, dy, dx):
    """Shift an image (..., H, W) by whole pixels, filling with 0."""
    result = np.zeros_like(image)
    h, w = image.shape[-2:]
    for y in range(max(0, dy), min(h, h + dy)):
        for x in range(max(0, dx), min(w, w + dx)):
            result[..., y, x] = image[..., y - dy, x - dx]
    return result


def warped(images, shifts=(0, 0), degrees=0.0, factor=1.0, flip=False):
    """Return the images, all warped with these parameters."""
    n = len(images)
    matrices = augment._matrices(
        np.tile(shifts, (n, 1)),
        np.full(n, np.deg2rad(degrees)),
        np.full(n, factor),
        np.full(n, flip),
        images.shape[2:],
    )
    return augment._warp(images, matrices)


def naive(image, shifts=(0, 0), degrees=0.0, factor=1.0, flip=False):
    """Mirror, rotate clockwise, scale and shift one image (H, W), pixel by pixel."""
    h, w = image.shape
    centre, angle = np.array([(h - 1) / 2, (w - 1) / 2]), np.deg2rad(degrees)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    forward = factor * turn @ np.diag([1, -1 if flip else 1])

    def pixel(y, x):
        return float(image[y, x]) if 0 <= y < h and 0 <= x < w else 0.0

    result = np.zeros((h, w))
    for i in range(h):
        for j in range(w):
            y, x = centre + np.linalg.solve(forward, np.array([i, j]) - centre - shifts)
            top, left = int(np.floor(y)), int(np.floor(x))
            b, a = y - top, x - left
            result[i, j] = (
                (1 - b) * (1 - a) * pixel(top, left)
                + (1 - b) * a * pixel(top, left + 1)
                + b * (1 - a) * pixel(top + 1, left)
                + b * a * pixel(top + 1, left + 1)
            )
    return result


@each(
    "parameters",
    [
        {"shifts": (2, -1)},
        {"degrees": 17.0},
        {"degrees": -131.0},
        {"factor": 0.7},
        {"factor": 1.6},
        {"factor": 0.02},
        {"flip": True},
        {"shifts": (-1, 3), "degrees": 24.0, "factor": 1.2, "flip": True},
        {"shifts": (1, 1), "degrees": -50.0, "factor": 0.8, "flip": True},
    ],
    ids=str,
)
@each("size", [(7, 10), (8, 8), (1, 5)], ids=str)
def test_warp_matches_a_naive_loop(parameters, size):
    images = random_images(2, 2, *size)
    expected = [[naive(channel, **parameters) for channel in image] for image in images]
    found = warped(images, **parameters)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=2e-3)


@pytest.mark.parametrize("size", [(8, 8), (9, 12), (28, 28), (1, 1)], ids=str)
def test_whole_pixel_shifts_and_flips_are_exact(size):
    """Integer shifts, flips, both together, and the identity."""
    images = random_images(3, 2, *size)
    np.testing.assert_array_equal(warped(images), images)
    np.testing.assert_array_equal(warped(images, flip=True), images[..., ::-1])
    for shifts in [(1, 0), (0, -1), (-3, 2), (5, 5), (40, 0)]:
        np.testing.assert_array_equal(warped(images, shifts), moved(images, *shifts))
        both = warped(images, shifts, flip=True)
        np.testing.assert_array_equal(both, moved(images[..., ::-1], *shifts))


@pytest.mark.parametrize("size", [8, 9, 28])
def test_quarter_turns_match_rot90(size):
    """Rotations by 90 and 180 degrees equal rot90; a rectangle fits again after 180."""
    images = random_images(3, 2, size, size)
    for degrees, quarters in [(90, -1), (-90, 1), (180, 2), (-180, 2)]:
        expected = np.rot90(images, quarters, axes=(2, 3))
        np.testing.assert_allclose(warped(images, degrees=degrees), expected, atol=2e-3)
    oblong = random_images(3, 1, size, size + 5)
    np.testing.assert_allclose(warped(oblong, degrees=180), oblong[:, :, ::-1, ::-1], atol=2e-3)


# Distributions.


def assert_uniform(values, low, high):
    """Assert that values cover the range evenly and come close to both ends."""
    assert low <= values.min() < low + 0.02 * (high - low)
    assert high - 0.02 * (high - low) < values.max() <= high
    counts, _ = np.histogram(values, bins=8, range=(low, high))
    expected = len(values) / 8
    # Five standard deviations, each about the root of the count.
    assert np.abs(counts - expected).max() < 5 * np.sqrt(expected)


@pytest.mark.parametrize("flip", [False, True])
def test_shifts_are_uniform(flip):
    """Every integer shift up to `shift` is equally frequent, and there are no others."""
    images = random_images(4000, 1, 6, 7)
    found = applied(images, shift=2, flip=flip)
    counts = [
        (found == moved(source, dy, dx)).all(axis=(1, 2, 3)).sum()
        for source in ([images, images[..., ::-1]] if flip else [images])
        for dy, dx in itertools.product(range(-2, 3), repeat=2)
    ]
    expected = len(images) / len(counts)
    assert sum(counts) == len(images)
    assert all(abs(n - expected) < 5 * np.sqrt(expected) for n in counts)


def blobs(count):
    """Return images (count, 1, 41, 41) of a soft dot, 8 pixels to the right of the center."""
    y, x = np.mgrid[-20:21, -20:21]
    blob = np.exp(-(y**2 + (x - 8) ** 2) / 5).astype(np.float32)
    return np.broadcast_to(blob, (count, 1, 41, 41))


def places(images):
    """Return y and x of each image's center of mass, relative to its center."""
    axis = np.arange(41) - 20
    total = images.sum(axis=(1, 2, 3))
    return images.sum(axis=(1, 3)) @ axis / total, images.sum(axis=(1, 2)) @ axis / total


def test_angles_are_uniform():
    """Angles span ±25 degrees; the distance from the center is unchanged."""
    y, x = places(applied(blobs(1500), scale=1.0, rotation=25))
    assert_uniform(np.rad2deg(np.arctan2(y, x)) / 1.001, -25, 25)
    np.testing.assert_allclose(np.hypot(y, x), 8, atol=0.05)


def test_factors_are_uniform():
    """Factors span 1 ± 0.3; the direction from the center is unchanged."""
    y, x = places(applied(blobs(1500), scale=1.0, scaling=0.3))
    assert_uniform(1 + (x / 8 - 1) / 1.003, 0.7, 1.3)
    np.testing.assert_allclose(y, 0, atol=1e-3)


@pytest.mark.parametrize("scale", [1.0, 16.0, 255.0])
def test_noise_is_normal_and_independent(scale):
    """Noise is normal with the given deviation, and independent per pixel, channel and image."""
    images = np.full((300, 2, 10, 10), scale / 2, np.float32)
    noise = (applied(images, scale=scale, noise=0.1) - images) / scale
    assert noise.mean() == pytest.approx(0, abs=0.002)
    assert noise.std() == pytest.approx(0.1, rel=0.02)
    assert (np.abs(noise) < 0.1).mean() == pytest.approx(0.683, abs=0.01)
    vectors = noise.reshape(600, 100)
    assert np.abs(np.corrcoef(vectors[:50]) - np.eye(50)).max() < 0.6
    assert np.abs(np.corrcoef(vectors.T) - np.eye(100)).max() < 0.3


def test_noise_is_clipped():
    """Values are clipped to the range of pixel values, and both ends are reached."""
    images = np.array([0, 16], np.uint8).repeat(500).reshape(10, 1, 10, 10)
    found = applied(images, scale=16.0, noise=0.3)
    assert (found.min(), found.max()) == (0, 16)
    assert (found == images).mean() == pytest.approx(0.5, abs=0.06)


def rectangles(found):
    """Return top, bottom, left and right of each image's nonzero rectangle; check its shape."""
    inside = found[:, 0] != 0
    rows, columns = inside.any(axis=2), inside.any(axis=1)
    top, left = rows.argmax(axis=1), columns.argmax(axis=1)
    bottom, right = top + rows.sum(axis=1), left + columns.sum(axis=1)
    y, x = np.arange(inside.shape[1]), np.arange(inside.shape[2])
    is_row = (top[:, None] <= y) & (y < bottom[:, None])
    is_column = (left[:, None] <= x) & (x < right[:, None])
    np.testing.assert_array_equal(inside, is_row[:, :, None] & is_column[:, None, :])
    return top, bottom, left, right


@pytest.mark.parametrize("size", [(28, 28), (20, 50)], ids=str)
def test_erased_rectangles_have_the_sizes_of_the_paper(size):
    """Area and aspect are in the paper's range up to rounding; all positions occur."""
    height, width = size
    found = applied(np.zeros((2000, 1, *size), np.uint8), erasing=1)
    top, bottom, left, right = rectangles(found)
    tall, wide = bottom - top, right - left
    assert ((tall >= 1) & (wide >= 1)).all()
    assert ((tall + 0.5) * (wide + 0.5) >= 0.02 * height * width).all()
    assert ((tall - 0.5) * (wide - 0.5) <= 0.33 * height * width).all()
    assert ((tall - 0.5) / (wide + 0.5) <= 3.3).all()
    assert (((tall + 0.5) / (wide - 0.5) >= 0.3) | (tall == height)).all()
    assert ((top >= 0) & (bottom <= height) & (left >= 0) & (right <= width)).all()
    assert {0} == {top.min(), left.min(), height - bottom.max(), width - right.max()}
    middles = (top + bottom).mean() / 2 / height, (left + right).mean() / 2 / width
    np.testing.assert_allclose(middles, 0.5, atol=0.02)


def test_areas_and_aspects_are_uniform():
    """Area and log aspect are uniform; the image is so large that rounding does not matter."""
    side = 10_000
    table = augment._rectangles(np.random.default_rng(0), 5000, side, side, 1.0)
    tall, wide = table[:, 1] - table[:, 0], table[:, 3] - table[:, 2]
    area, aspect = tall * wide / side**2, tall / wide
    # Below this area no side is cut, because 0.3 * 3.3 < 1.
    is_whole = area < 0.3
    assert_uniform(area[is_whole], 0.0199, 0.3)
    assert_uniform(np.log(aspect[is_whole]), np.log(0.2999), np.log(3.301))
    assert area.max() == pytest.approx(0.33, abs=0.005)


@pytest.mark.parametrize("probability", [0.0, 0.25, 0.6, 1.0])
def test_erasing_is_the_fraction_of_changed_images(probability):
    images = random_images(2000)
    found = applied(images, erasing=probability)
    changed = (found != images).any(axis=(1, 2, 3))
    assert changed.mean() == pytest.approx(probability, abs=0.04 if 0 < probability < 1 else 0)


def test_erased_values_are_uniform():
    """All channels share the rectangle, but not the values."""
    found = applied(np.zeros((500, 2, 20, 20), np.uint8), scale=16.0, erasing=1)
    np.testing.assert_array_equal(found[:, 0] != 0, found[:, 1] != 0)
    first, second = (found[:, channel][found[:, 0] != 0] for channel in (0, 1))
    counts, _ = np.histogram(first, bins=8, range=(0, 16))
    assert counts.sum() == len(first)
    np.testing.assert_allclose(counts / len(first), 1 / 8, atol=0.01)
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.05


def test_pixels_outside_the_rectangle_are_unchanged():
    images = random_images(200, 2)
    found = applied(images, erasing=1)
    kept = (found == images).all(axis=1)
    inside = applied(np.zeros_like(images), erasing=1)[:, 0] != 0
    assert (kept | inside).all()


# Invalid arguments.


@each(
    ("options", "error", "words"),
    [
        ({"shift": 1.5}, DtypeError, "`shift` to be an integer number of pixels, got 1.5."),
        ({"shift": True}, DtypeError, "`shift` to be an integer number of pixels, got True."),
        ({"shift": "2"}, DtypeError, "`shift` to be an integer number of pixels, got '2'."),
        ({"shift": -1}, ArgumentError, "`shift` to be >= 0, got -1."),
        (
            {"rotation": -5},
            ArgumentError,
            "`rotation` to be an angle from 0 to 180 degrees, got -5.",
        ),
        (
            {"rotation": 181},
            ArgumentError,
            "`rotation` to be an angle from 0 to 180 degrees, got 181.",
        ),
        (
            {"rotation": np.nan},
            ArgumentError,
            "`rotation` to be an angle from 0 to 180 degrees, got nan.",
        ),
        (
            {"rotation": (-5, 5)},
            DtypeError,
            "`rotation` to be an angle from 0 to 180 degrees, got (-5, 5).",
        ),
        ({"scaling": 1}, ArgumentError, "`scaling` to be >= 0 and below 1, got 1."),
        ({"scaling": -0.1}, ArgumentError, "`scaling` to be >= 0 and below 1, got -0.1."),
        ({"scaling": None}, DtypeError, "`scaling` to be >= 0 and below 1, got None."),
        ({"flip": 0.5}, DtypeError, "`flip` to be True or False, got 0.5."),
        ({"flip": 1}, DtypeError, "`flip` to be True or False, got 1."),
        (
            {"noise": -0.1},
            ArgumentError,
            "`noise` to be a fraction of the pixel range, from 0 to 1, got -0.1.",
        ),
        (
            {"noise": 25.5},
            ArgumentError,
            "`noise` to be a fraction of the pixel range, from 0 to 1, got 25.5.",
        ),
        (
            {"noise": True},
            DtypeError,
            "`noise` to be a fraction of the pixel range, from 0 to 1, got True.",
        ),
        ({"erasing": 1.1}, ArgumentError, "`erasing` to be a probability from 0 to 1, got 1.1."),
        ({"erasing": -1}, ArgumentError, "`erasing` to be a probability from 0 to 1, got -1."),
        ({"erasing": "0.5"}, DtypeError, "`erasing` to be a probability from 0 to 1, got '0.5'."),
    ],
    ids=str,
)
def test_invalid_options_raise(options, error, words):
    with pytest.raises(error, match=f"^Augmentation: expected {re.escape(words)}"):
        data.Augmentation(**options)


def test_options_may_be_numpy_scalars():
    data.Augmentation(np.int64(2), np.float32(10), np.float64(0.1), np.True_, np.float32(0.1), 1)


def test_augmentation_is_immutable():
    """Use dataclasses.replace to change an option."""
    with pytest.raises(AttributeError):
        ALL.shift = 3
    assert replace(ALL, shift=3).rotation == ALL.rotation


def test_shift_as_large_as_the_image_raises():
    words = r"expected `shift` to be less than the height and width of the 9x12 images, got 9\."
    with pytest.raises(ArgumentError, match=f"^Augmentation: {words}"):
        applied(random_images(3), shift=9)
    assert applied(random_images(3), shift=8).shape == (3, 1, 9, 12)


def test_images_without_channels_raise():
    words = (
        r"^Augmentation\.apply: expected `images` of shape \(N, C, H, W\), got \(9, 12\)\. "
        r"Add a channel axis with images\[:, None\]\."
    )
    with pytest.raises(ShapeError, match=words):
        ALL.apply(random_images(1)[0, 0], 255)


def test_loader_rejects_other_augmentations():
    for wrong in ({"shift": 2}, True, data.Augmentation):
        words = rf"^DataLoader: expected `augmentation` .*, got {type(wrong).__name__}\."
        with pytest.raises(DtypeError, match=words):
            data.DataLoader(numbered(random_images(3)), augmentation=wrong)


def test_augmentation_and_order_use_different_seeds():
    """NumPy pads seeds with zeros: (seed, epoch, 0) is the stream of the order."""
    purposes = [value for name, value in vars(augment).items() if name in PURPOSES]
    assert sorted(purposes) == [1, 2, 3, 4, 5, 6]
    order, same = (np.random.default_rng(seed).random() for seed in ((3, 4), (3, 4, 0)))
    assert order == same


@pytest.mark.parametrize("option", ["noise", "erasing"])
def test_images_out_of_range_raise(option):
    """Noise would silently clip normalized images to 0..1."""
    images = np.random.default_rng(0).standard_normal((20, 1, 8, 8)).astype(np.float32)
    augmentation = data.Augmentation(**{option: 0.01})
    for call in (
        lambda: augmentation.apply(images, 1.0),
        lambda: data.DataLoader(numbered(images, scale=1.0), augmentation=augmentation),
    ):
        with pytest.raises(
            ArgumentError,
            match=r"^Augmentation: expected image values from 0 to the dataset's scale of 1 for "
            "noise and erasing, got -",
        ):
            call()
    data.Augmentation(shift=1).apply(images, 1.0)
    augmentation.apply(np.zeros((0, 1, 8, 8), np.float32), 1.0)


# Real images.


def test_shifted_digits_have_moved_by_whole_pixels():
    """Each digit matches one of the 25 shifts by up to two pixels, and all of them occur."""
    train_set, _ = data.digits(28)
    loader = data.DataLoader(train_set, 500, seed=0, augmentation=data.Augmentation(shift=2))
    framed = np.pad(train_set.images[:, 0] / 255, ((0, 0), (2, 2), (2, 2)))
    moved = np.concatenate([images.numpy() for images, _ in loader])[:, 0]
    found = {}
    for down, right in np.ndindex(5, 5):
        original = framed[:, down : down + 28, right : right + 28]
        found[down, right] = np.abs(moved - original).max(axis=(1, 2)) < 1e-4
    assert np.all(sum(found.values()) >= 1)
    assert all(of_one.any() for of_one in found.values())


def test_digits_rotate_by_at_most_ten_degrees():
    """Measured by the principal axis of elongated digits."""
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


def test_noise_on_digits_is_normal():
    """Mid-gray pixels, which noise does not take out of range, get normal noise."""
    train_set, _ = data.digits()
    noisy = data.Augmentation(noise=0.1).apply(train_set.images, 16.0, np.random.default_rng(0))
    noise = (noisy - train_set.images)[train_set.images == 8] / 16
    assert noise.size > 1000
    assert noise.std() == pytest.approx(0.1, rel=0.1)
    assert noise.mean() == pytest.approx(0, abs=0.01)
