"""data.load_digit: pictures of digits come out as MNIST's images would, or are refused by name."""

import os

import numpy as np
import pytest
from PIL import Image

from tinygrad_np import data
from tinygrad_np.errors import DataError

MNIST = os.environ.get("TINYGRAD_NP_DATA")


def seven():
    """Return a seven: light ink (28, 28) on 0, its longer side 20."""
    image = np.zeros((28, 28), np.uint8)
    image[4:7, 8:20] = 255
    for row in range(7, 24):
        start = 18 - (row - 7) // 2
        image[row, start : start + 3] = 255
    return image


def written(tmp_path, image, kind="png", **options):
    """Write an image and return its path."""
    path = tmp_path / f"digit.{kind}"
    image = image if isinstance(image, Image.Image) else Image.fromarray(image)
    image.save(path, **options)
    return path


def distance(one, other):
    """Return the mean difference of two images, 255 being as far as can be."""
    return np.abs(one.astype(float) - other.astype(float)).mean()


def large(image, factor=6, margins=((30, 90), (70, 10))):
    """Return an image several times as large, off the centre of a dark sheet."""
    return np.pad(image.repeat(factor, 0).repeat(factor, 1), margins)


@pytest.fixture
def expected(tmp_path):
    """What the plainest picture of the seven comes to."""
    return data.load_digit(written(tmp_path, seven()))


def test_an_image_of_mnists_own_form(tmp_path, expected):
    assert expected.shape == (1, 28, 28)
    assert expected.dtype == np.uint8
    assert expected.max() == 255
    rows, columns = np.flatnonzero(expected[0].any(1)), np.flatnonzero(expected[0].any(0))
    assert max(np.ptp(rows), np.ptp(columns)) + 1 == 20
    assert distance(data.load_digit(written(tmp_path, expected[0])), expected) < 1
    weights = expected[0] / expected[0].sum()
    centre = (weights.sum(1) @ np.arange(28), weights.sum(0) @ np.arange(28))
    np.testing.assert_allclose(centre, (14, 14), atol=0.51)


PICTURES = {
    "dark on light": lambda pixels: Image.fromarray(255 - pixels),
    "RGB": lambda pixels: Image.fromarray(255 - pixels).convert("RGB"),
    "blue ink": lambda pixels: Image.merge(
        "RGB", [Image.fromarray(255 - pixels)] * 2 + [Image.new("L", pixels.shape[::-1], 255)]
    ),
    "palette": lambda pixels: Image.fromarray(255 - pixels).convert("P"),
    "one bit": lambda pixels: Image.fromarray(255 - pixels).convert("1"),
    "16 bits": lambda pixels: Image.fromarray((255 - pixels).astype(np.uint16) * 257),
    "dark on transparent": lambda pixels: Image.merge(
        "LA", [Image.new("L", pixels.shape[::-1], 0), Image.fromarray(pixels)]
    ),
    "light on transparent": lambda pixels: Image.merge(
        "RGBA", [Image.new("L", pixels.shape[::-1], 255)] * 3 + [Image.fromarray(pixels)]
    ),
}


@pytest.mark.parametrize("kind", list(PICTURES))
def test_every_kind_of_picture(tmp_path, expected, kind):
    picture = PICTURES[kind](large(seven()))
    assert distance(data.load_digit(written(tmp_path, picture)), expected) < 6


def test_jpeg_of_a_sheet_that_is_not_white(tmp_path, expected):
    """Paper of 200, ink of 60, and a camera's noise."""
    ink = large(seven()) / 255
    noise = np.random.default_rng(0).normal(0, 4, ink.shape)
    sheet = (200 - 140 * ink + noise).clip(0, 255).astype(np.uint8)
    found = data.load_digit(written(tmp_path, sheet, "jpg", quality=80))
    assert distance(found, expected) < 8


def test_it_does_not_matter_where_the_digit_is_or_how_large(tmp_path, expected):
    for factor, margins in ((1, ((0, 40), (3, 0))), (11, ((200, 5), (7, 300)))):
        picture = 255 - large(seven(), factor, margins)
        assert distance(data.load_digit(written(tmp_path, picture)), expected) < 6


def test_the_orientation_of_a_camera_is_obeyed(tmp_path, expected):
    turned = Image.fromarray(np.rot90(255 - large(seven())).copy())
    exif = Image.Exif()
    exif[0x0112] = 6  # to be shown turned by a quarter to the right
    found = data.load_digit(written(tmp_path, turned, "jpg", exif=exif))
    assert distance(found, expected) < 8
    without = data.load_digit(written(tmp_path, turned, "jpg"))
    assert distance(without, expected) > 20


def test_a_narrow_digit_keeps_its_shape(tmp_path):
    one = np.zeros((100, 100), np.uint8)
    one[10:90, 48:52] = 255
    found = data.load_digit(written(tmp_path, one))[0]
    assert np.flatnonzero(found.any(1)).size == 20
    assert np.flatnonzero(found.any(0)).size == 1


def test_a_heavy_side_stays_within_the_image(tmp_path):
    """Where the centre of mass cannot be in the middle, the digit touches the border."""
    wedge = np.zeros((100, 100), np.uint8)
    wedge[10:90, 10:90] = 30
    wedge[10:16, 10:90] = 255
    found = data.load_digit(written(tmp_path, wedge))
    assert found.shape == (1, 28, 28)
    assert np.flatnonzero(found[0].any(1)).size == 20


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot be read: No such file"),
        (b"", "is neither a PNG nor a JPEG picture"),
        (b"GIF89a" + bytes(50), "is neither a PNG nor a JPEG picture"),
        ("cut", "the picture is damaged"),
    ],
)
def test_what_is_no_picture(tmp_path, content, message):
    path = tmp_path / "digit.png"
    if content == "cut":
        whole = written(tmp_path, large(seven())).read_bytes()
        content = whole[: len(whole) // 2]
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match=message) as caught:
        data.load_digit(path)
    assert str(path) in str(caught.value)


def test_a_folder(tmp_path):
    with pytest.raises(DataError, match="cannot be read: Is a directory"):
        data.load_digit(tmp_path)


@pytest.mark.parametrize("grey", [0, 128, 255])
def test_an_empty_sheet(tmp_path, grey):
    path = written(tmp_path, np.full((50, 50), grey, np.uint8))
    with pytest.raises(DataError, match=r"no digit found: its grey values are only from"):
        data.load_digit(path)


def test_noise_alone(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (60, 60), np.uint8)
    with pytest.raises(DataError, match="no digit found: nothing differs more from the paper"):
        data.load_digit(written(tmp_path, noise))


def test_a_picture_made_to_fill_the_memory(tmp_path, monkeypatch):
    path = written(tmp_path, large(seven()))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(DataError, match="the picture is too large"):
        data.load_digit(path)


@pytest.mark.slow
@pytest.mark.skipif(not MNIST, reason="TINYGRAD_NP_DATA does not name a folder")
def test_mnists_own_images_come_back(tmp_path):
    """Prepared once already, they change little, but for a few that move by a pixel."""
    _, test_set = data.mnist(MNIST)
    distances = [
        distance(data.load_digit(written(tmp_path, image[0])), image)
        for image in test_set.images[:200]
    ]
    assert np.mean(distances) < 2.5
    assert np.quantile(distances, 0.9) < 2.5
