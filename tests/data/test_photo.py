"""load_digit: conversion of pictures to MNIST's format, and errors."""

import os

import numpy as np
import pytest
from PIL import Image

from tinygrad_np import data
from tinygrad_np.errors import DataError

MNIST = os.environ.get("TINYGRAD_NP_DATA")


def seven():
    """Return a light seven on a background of 0, of shape (28, 28), whose longer side is 20."""
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
    """Return the mean absolute difference of two images; at most 255."""
    return np.abs(one.astype(float) - other.astype(float)).mean()


def large(image, factor=6, margins=((30, 90), (70, 10))):
    """Return an enlarged image, off-center on a dark sheet."""
    return np.pad(image.repeat(factor, 0).repeat(factor, 1), margins)


@pytest.fixture
def expected(tmp_path):
    """Return the result for the plainest picture of the seven."""
    return data.load_digit(written(tmp_path, seven()))


def test_image_in_mnist_format_is_unchanged(tmp_path, expected):
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
def test_every_image_mode_is_read(tmp_path, expected, kind):
    picture = PICTURES[kind](large(seven()))
    assert distance(data.load_digit(written(tmp_path, picture)), expected) < 6


def test_noisy_jpeg_on_gray_paper_is_read(tmp_path, expected):
    """Paper of 200, ink of 60, and camera noise."""
    ink = large(seven()) / 255
    noise = np.random.default_rng(0).normal(0, 4, ink.shape)
    sheet = (200 - 140 * ink + noise).clip(0, 255).astype(np.uint8)
    found = data.load_digit(written(tmp_path, sheet, "jpg", quality=80))
    assert distance(found, expected) < 8


def test_position_and_size_do_not_matter(tmp_path, expected):
    for factor, margins in ((1, ((0, 40), (3, 0))), (11, ((200, 5), (7, 300)))):
        picture = 255 - large(seven(), factor, margins)
        assert distance(data.load_digit(written(tmp_path, picture)), expected) < 6


def test_exif_orientation_is_applied(tmp_path, expected):
    turned = Image.fromarray(np.rot90(255 - large(seven())).copy())
    exif = Image.Exif()
    exif[0x0112] = 6  # display rotated clockwise by 90 degrees
    found = data.load_digit(written(tmp_path, turned, "jpg", exif=exif))
    assert distance(found, expected) < 8
    without = data.load_digit(written(tmp_path, turned, "jpg"))
    assert distance(without, expected) > 20


def test_narrow_digit_keeps_its_shape(tmp_path):
    one = np.zeros((100, 100), np.uint8)
    one[10:90, 48:52] = 255
    found = data.load_digit(written(tmp_path, one))[0]
    assert np.flatnonzero(found.any(1)).size == 20
    assert np.flatnonzero(found.any(0)).size == 1


def test_lopsided_digit_stays_inside_the_image(tmp_path):
    """If the center of mass cannot be at (14, 14), the digit touches the border."""
    wedge = np.zeros((100, 100), np.uint8)
    wedge[10:90, 10:90] = 30
    wedge[10:16, 10:90] = 255
    found = data.load_digit(written(tmp_path, wedge))
    assert found.shape == (1, 28, 28)
    assert np.flatnonzero(found[0].any(1)).size == 20


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, r"cannot read the file \(No such file or directory\)\.$"),
        (b"", r"expected a PNG or JPEG file, got another format\.$"),
        (b"GIF89a" + bytes(50), r"expected a PNG or JPEG file, got another format\.$"),
        ("cut", r"the image is damaged \(.*\)\.$"),
    ],
)
def test_invalid_picture_raises(tmp_path, content, message):
    path = tmp_path / "digit.png"
    if content == "cut":
        whole = written(tmp_path, large(seven())).read_bytes()
        content = whole[: len(whole) // 2]
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match=message) as caught:
        data.load_digit(path)
    assert str(path) in str(caught.value)


def test_directory_raises(tmp_path):
    with pytest.raises(DataError, match=r"cannot read the file \(Is a directory\)\.$"):
        data.load_digit(tmp_path)


@pytest.mark.parametrize("grey", [0, 128, 255])
def test_empty_picture_raises(tmp_path, grey):
    path = written(tmp_path, np.full((50, 50), grey, np.uint8))
    with pytest.raises(DataError, match=rf"got gray values from {grey} to {grey} only\.$"):
        data.load_digit(path)


def test_picture_of_noise_raises(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (60, 60), np.uint8)
    with pytest.raises(DataError, match="expected a digit, but no pixel stands out from the paper"):
        data.load_digit(written(tmp_path, noise))


def test_decompression_bomb_raises(tmp_path, monkeypatch):
    path = written(tmp_path, large(seven()))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(DataError, match="the image is too large"):
        data.load_digit(path)


@pytest.mark.slow
@pytest.mark.skipif(not MNIST, reason="TINYGRAD_NP_DATA is not set")
def test_mnist_images_change_little(tmp_path):
    """Most are unchanged; a few move by a pixel."""
    _, test_set = data.mnist(MNIST)
    distances = [
        distance(data.load_digit(written(tmp_path, image[0])), image)
        for image in test_set.images[:200]
    ]
    assert np.mean(distances) < 2.5
    assert np.quantile(distances, 0.9) < 2.5
