"""Conversion of pictures to the formats of MNIST and of the bundled digits, and errors."""

import os
import subprocess
import sys
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tinygrad_np import data
from tinygrad_np.data.photo import frame_digit, read_digit
from tinygrad_np.errors import ArgumentError, DataError, NoDigitError

pytestmark = pytest.mark.slow

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


def distance_when_moved(one, other):
    """Return the least distance when one image is moved by up to a pixel.

    The center of mass is rounded to a pixel, so a small change can move the digit.
    """
    moves = [(y, x) for y in (-1, 0, 1) for x in (-1, 0, 1)]
    return min(distance(np.roll(one, move, (-2, -1)), other) for move in moves)


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
        (b"", r"expected a PNG, JPEG, BMP, GIF, WEBP or TIFF file, got another format\.$"),
        (b"P5 1 1 255 a", r"expected a PNG, .* or TIFF file, got another format\.$"),
        (b"GIF89a" + bytes(50), r"expected a PNG, .* or TIFF file, got another format\.$"),
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
    assert not isinstance(caught.value, NoDigitError)


def test_directory_raises(tmp_path):
    with pytest.raises(DataError, match=r"cannot read the file \(Is a directory\)\.$"):
        data.load_digit(tmp_path)


@pytest.mark.parametrize("grey", [0, 128, 255])
def test_empty_picture_raises(tmp_path, grey):
    path = written(tmp_path, np.full((50, 50), grey, np.uint8))
    with pytest.raises(NoDigitError, match=rf"got gray values from {grey} to {grey} only\.$"):
        data.load_digit(path)


@pytest.mark.parametrize("kind", ["uniform noise", "normal noise", "specks"])
def test_picture_without_a_digit_raises(tmp_path, kind):
    generator = np.random.default_rng(0)
    pixels = {
        "uniform noise": generator.uniform(0, 256, (60, 60)),
        "normal noise": generator.normal(128, 30, (400, 300)).clip(0, 255),
        "specks": specks(np.full((300, 260), 200)),
    }[kind].astype(np.uint8)
    match = "expected a digit, got a picture in which nothing larger"
    with pytest.raises(NoDigitError, match=match):
        data.load_digit(written(tmp_path, pixels))


def test_image_of_absurd_size_raises(tmp_path):
    """Only its header is read."""
    content = bytearray(written(tmp_path, large(seven())).read_bytes())
    content[16:24] = (60_000).to_bytes(4, "big") * 2  # width and height in the PNG header
    content[29:33] = zlib.crc32(content[12:29]).to_bytes(4, "big")
    path = tmp_path / "huge.png"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"at most 300 million pixels, got 60000x60000\.$"):
        data.load_digit(path)


@pytest.mark.parametrize("kind", ["jpg", "png"])
def test_photo_of_108_megapixels_is_scaled(tmp_path, kind):
    limit = Image.MAX_IMAGE_PIXELS
    photo = Image.fromarray(255 - large(seven())).resize((9000, 12000), Image.Resampling.BOX)
    small = data.load_digit(written(tmp_path, photo.resize((450, 600))))
    assert distance(data.load_digit(written(tmp_path, photo, kind)), small) < 6
    assert limit == Image.MAX_IMAGE_PIXELS


@pytest.mark.parametrize("kind", ["bmp", "gif", "webp", "tiff"])
def test_every_format_is_read(tmp_path, expected, kind):
    picture = Image.fromarray(255 - large(seven())).convert("RGB")
    assert distance(data.load_digit(written(tmp_path, picture, kind)), expected) < 6


@pytest.mark.parametrize(("dtype", "top"), [(np.float32, 1), (np.float32, 1e9), (np.int32, 1e9)])
def test_values_of_unknown_range_are_scaled(tmp_path, expected, dtype, top):
    pixels = ((255 - large(seven())) / 255 * top).astype(dtype)
    assert distance(data.load_digit(written(tmp_path, pixels, "tiff")), expected) < 6


def test_nan_among_the_pixels_raises(tmp_path):
    pixels = np.pad([[np.nan]], 5).astype(np.float32)
    with pytest.raises(DataError, match=r"the image is damaged \(nan or inf among the pixels\)\.$"):
        data.load_digit(written(tmp_path, pixels, "tiff"))


def test_orientation_of_a_transparent_image_is_applied(tmp_path, expected):
    drawing = PICTURES["dark on transparent"](np.rot90(large(seven())).copy())
    exif = Image.Exif()
    exif[0x0112] = 6
    assert distance(data.load_digit(written(tmp_path, drawing, exif=exif)), expected) < 6


# Damage that must not change the digit. The sheet has ink of 30 on paper of 200.


def bump(shape):
    """Return factors from 0.7 in the corners to 1 in the middle."""
    y, x = np.meshgrid(*(np.linspace(-1, 1, n) for n in shape), indexing="ij")
    return 1 - 0.15 * (x * x + y * y)


def specks(pixels):
    for row, column in ((5, 5), (280, 12), (150, 200), (20, 230)):
        pixels[row : row + 4, column : column + 4] = 0
    return pixels


def frame(pixels, inset, width=1):
    inner = pixels[inset : len(pixels) - inset, inset : pixels.shape[1] - inset]
    inner[:width] = inner[-width:] = 20
    inner[:, :width] = inner[:, -width:] = 20
    return pixels


def shadow(pixels):
    pixels[:, 40:] -= 60
    return pixels


def rules(pixels):
    pixels[10::40] = np.minimum(pixels[10::40], 170)
    return pixels


def strip(pixels):
    pixels[:, :15] = 10
    return pixels


DAMAGE = {
    "specks": specks,
    "frame of one pixel": lambda pixels: frame(pixels, 0),
    "frame of three pixels": lambda pixels: frame(pixels, 0, 3),
    "inset frame": lambda pixels: frame(pixels, 6, 2),
    "ramp down": lambda pixels: pixels * 0.8 + np.linspace(0, 90, len(pixels))[:, None],
    "ramp right": lambda pixels: pixels * 0.8 - np.linspace(0, 120, pixels.shape[1]) + 60,
    "light in the middle": lambda pixels: pixels * bump(pixels.shape),
    "shadow": shadow,
    "ruled lines": rules,
    "dark strip": strip,
    "noise": lambda pixels: pixels + np.random.default_rng(0).normal(0, 15, pixels.shape),
}


@pytest.mark.parametrize("polarity", ["dark ink", "light ink"])
@pytest.mark.parametrize("kind", list(DAMAGE))
def test_damage_does_not_change_the_digit(tmp_path, expected, kind, polarity):
    pixels = DAMAGE[kind](200 - large(seven()) / 255 * 170).clip(0, 255)
    pixels = pixels if polarity == "dark ink" else 255 - pixels
    found = data.load_digit(written(tmp_path, np.rint(pixels).astype(np.uint8)))
    assert distance_when_moved(found, expected) < 8


def test_frame_around_an_image_of_28x28_pixels_does_not_change_the_digit(tmp_path, expected):
    framed = frame(255 - seven(), 0)
    assert distance_when_moved(data.load_digit(written(tmp_path, framed)), expected) < 3


def test_digit_that_touches_the_edges_is_read_whole(tmp_path, expected):
    cut = large(seven(), margins=0)[24:144, 48:120]
    assert distance_when_moved(data.load_digit(written(tmp_path, cut)), expected) < 8


def test_strokes_of_one_digit_stay_together(tmp_path, expected):
    """A detached bar or a broken stroke of the seven gives no warning."""
    for row in (42, 90):
        pixels = large(seven())
        pixels[30 + row : 34 + row] = 0
        assert distance_when_moved(data.load_digit(written(tmp_path, pixels)), expected) < 8


@pytest.mark.parametrize("gap", [12, 30, 100])
def test_several_digits_give_a_warning(tmp_path, expected, gap):
    one = large(seven(), margins=0)[24:144, 48:120]
    pair = np.pad(np.hstack([one, np.zeros((120, gap), np.uint8), one // 2]), 50)
    path = written(tmp_path, pair)
    with pytest.warns(UserWarning, match=r"digit\.png: expected one digit, found 2 shapes\. Only"):
        found = data.load_digit(path)
    assert distance_when_moved(found, expected) < 8


def test_content_is_read_like_a_file(tmp_path, expected):
    path = written(tmp_path, large(seven()))
    image, shapes = read_digit(path.read_bytes())
    assert shapes == 1
    assert (image == data.load_digit(path)).all()
    assert distance(image, expected) < 6


def test_content_is_named_in_messages(tmp_path):
    with pytest.raises(DataError, match=r"^upload: expected a PNG"):
        read_digit(b"text", "upload")
    with pytest.raises(DataError, match=r"^picture: expected a PNG"):
        read_digit(b"text")
    empty = written(tmp_path, np.zeros((9, 9), np.uint8))
    with pytest.raises(NoDigitError, match=r"^page: expected dark ink"):
        read_digit(empty, "page")


def test_number_of_pixels_is_limited(tmp_path):
    path = written(tmp_path, large(seven()))
    height, width = large(seven()).shape
    read_digit(path, max_pixels=height * width)
    with pytest.raises(DataError, match=rf"at most 0\.0\d+ million pixels, got {width}x{height}"):
        read_digit(path, max_pixels=height * width - 1)


MEMORY = """
import re, sys
from pathlib import Path
from tinygrad_np.data.photo import read_digit

def peak():
    return 1024 * int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])

read_digit(sys.argv[1])
before = peak()
read_digit(sys.argv[2])
print(peak() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is read from /proc")
@pytest.mark.parametrize("mode", ["palette with transparency", "RGBA", "I", "F", "I;16", "CMYK"])
def test_memory_is_at_most_twelve_bytes_per_pixel(tmp_path, mode):
    small = written(tmp_path, large(seven()))
    pixels = np.asarray(Image.fromarray(255 - large(seven())).resize((4000, 5000)))
    options = {}
    if mode == "palette with transparency":
        picture, kind, options = Image.fromarray(pixels).convert("P"), "gif", {"transparency": 3}
    elif mode in ("RGBA", "CMYK"):
        picture, kind = Image.fromarray(pixels).convert("RGB").convert(mode), "tiff"
    else:
        dtype = {"I": np.int32, "F": np.float32, "I;16": np.uint16}[mode]
        picture, kind = Image.fromarray(pixels.astype(dtype) * 257), "tiff"
    big = written(tmp_path, picture, kind, **options)
    done = subprocess.run(
        [sys.executable, "-c", MEMORY, small, big],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    assert 0 < int(done.stdout) < 12 * pixels.size + 2**24


def test_threads_read_at_once(tmp_path):
    """Each thread gets its own picture; Pillow's settings are restored."""
    limit = Image.MAX_IMAGE_PIXELS
    paths = []
    for number in range(4):
        picture = np.zeros((60, 60), np.uint8)
        picture[10:50, 10 : 20 + 8 * number] = 255
        paths.append(tmp_path / f"{number}.png")
        Image.fromarray(picture).save(paths[-1])
    expected = [read_digit(path)[0] for path in paths]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda number: read_digit(paths[number % 4])[0], range(16)))
    assert all((image == expected[number % 4]).all() for number, image in enumerate(found))
    assert limit == Image.MAX_IMAGE_PIXELS


def test_frame_of_8x8_pixels_is_that_of_the_bundled_digits():
    """All rows are used, and six columns by a square, five by a shape two thirds as wide."""
    for width, columns in ((60, 6), (40, 6), (15, 4)):
        image = frame_digit(np.ones((60, width), np.float32), side=8)
        assert image.shape == (8, 8)
        assert image.dtype == np.uint8
        assert image.max() == 255
        assert np.count_nonzero(image.any(axis=1)) == 8
        assert np.count_nonzero(image.any(axis=0)) == columns
    wide = frame_digit(np.ones((10, 100), np.float32), side=8)
    assert (wide == 255).all()


def test_bundled_digits_change_little_on_8x8_pixels():
    images = data.digits()[1].images[:200, 0]
    framed = np.stack([frame_digit(image.astype(np.float32), side=8) for image in images])
    assert np.abs(framed / 255 - images / 16).mean() < 0.1


def test_other_sides_raise():
    with pytest.raises(
        ArgumentError, match=r"frame_digit: expected `side` to be 28 or 8, got 14\.$"
    ):
        frame_digit(np.ones((3, 3), np.float32), side=14)


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
