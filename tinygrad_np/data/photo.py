"""Conversion of photos and drawings of digits to the format of MNIST."""

import threading
import warnings
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from tinygrad_np.data.segment import find_digit
from tinygrad_np.errors import DataError
from tinygrad_np.files import failure
from tinygrad_np.runtime.memory import Array

_SIDE, _BOX = 28, 20

_LARGE = 400
"""Longest side in pixels; larger pictures are reduced to it, which averages out camera noise."""

_CONTRAST = 0.1
"""A picture with a smaller range of gray values, as a fraction of 255, counts as empty."""

_FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF")

_MOST_PIXELS = 300_000_000

# Pillow's limit of the image size is a global variable.
_pillow = threading.Lock()


def load_digit(path: str | Path) -> Array:
    """Read the digit in a picture file and convert it to the format of MNIST.

    Args:
        path: a PNG, JPEG, BMP, GIF, WebP or TIFF file that shows one digit, dark on light or light
            on dark, with an empty margin.

    Returns:
        A uint8 image of shape (1, 28, 28); paper is 0 and the strongest ink 255.

    Raises:
        DataError: if the file is missing, damaged, in another format or of more than 300 million
            pixels, or if it shows no digit.

    The steps are those that produced MNIST (LeCun et al. 1998, Gradient-Based Learning Applied to
    Document Recognition, section III A): crop the ink, scale it with antialiasing so that its
    longer side is 20 pixels, and place its center of mass at pixel (14, 14).

    The gray value of the paper is estimated from the edges of the picture, which may be brighter on
    one side. Specks, frames, ruled lines and strips at the edges are left out. A UserWarning is
    issued if several shapes could be digits; the largest is read. A transparent background becomes
    white for dark drawings and black for light ones. The EXIF orientation is applied.

    >>> import tempfile
    >>> from PIL import Image
    >>> from tinygrad_np import data
    >>> sheet = Image.new("L", (60, 80), "white")
    >>> sheet.paste("black", (25, 10, 35, 70))  # a one
    >>> with tempfile.TemporaryDirectory() as directory:
    ...     sheet.save(f"{directory}/one.png")
    ...     image = data.load_digit(f"{directory}/one.png")
    >>> image.shape, image.dtype
    ((1, 28, 28), dtype('uint8'))
    """
    image, shapes = read_digit(path)
    if shapes > 1:
        warnings.warn(describe_shapes(path, shapes), stacklevel=2)
    return image


def describe_shapes(path: str | Path, shapes: int) -> str:
    """Return the warning about a picture with several shapes."""
    return f"{path}: expected one digit, found {shapes} shapes. Only the largest was read."


def read_digit(path: str | Path) -> tuple[Array, int]:
    """Return the image as `load_digit` does, and the number of shapes that could be digits."""
    grey = _read(Path(path))
    low, high = grey.min(), grey.max()
    if high - low < _CONTRAST * 255:
        raise DataError(
            f"{path}: expected dark ink on light paper, or light ink on dark paper, got gray "
            f"values from {low:.0f} to {high:.0f} only."
        )
    ink, shapes = find_digit(grey)
    if not shapes:
        raise DataError(
            f"{path}: expected a digit, got a picture in which nothing larger than a speck stands "
            "out from the paper along its edges. Leave a margin of empty paper on all sides."
        )
    return _place(_in_box(ink))[None], shapes


def _read(path: Path) -> Array:
    """Read the picture as upright float32 gray values from 0 to 255, of shape (H, W)."""
    try:
        file = path.open("rb")
    except (OSError, ValueError) as error:  # ValueError: a null character in the path
        raise failure(path, "read", error) from error
    with file, _pillow, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's warnings are harmless here
        limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            with Image.open(file, formats=_FORMATS) as picture:
                width, height = picture.size
                if width * height > _MOST_PIXELS:
                    raise DataError(
                        f"{path}: expected at most {_MOST_PIXELS // 10**6} million pixels, got "
                        f"{width}x{height}."
                    )
                picture.draft("L", (2 * _LARGE, 2 * _LARGE))  # decodes large JPEGs smaller
                return _reduced_grey(picture)
        except DataError:
            raise
        except UnidentifiedImageError as error:
            raise DataError(
                f"{path}: expected a {', '.join(_FORMATS[:-1])} or {_FORMATS[-1]} file, got "
                "another format."
            ) from error
        except Exception as error:  # damaged files make Pillow raise errors of any kind
            raise DataError(f"{path}: the image is damaged ({error}).") from error
        finally:
            Image.MAX_IMAGE_PIXELS = limit


def _reduced_grey(picture: Image.Image) -> Array:
    ImageOps.exif_transpose(picture, in_place=True)
    if picture.mode[0] in "IF":
        picture = Image.fromarray(_eight_bits(np.asarray(picture)))
    elif picture.mode in ("1", "P", "PA"):
        picture = picture.convert("RGBA" if picture.has_transparency_data else "RGB")
    # Averages out camera noise, and bounds the memory of what follows.
    picture.thumbnail((_LARGE, _LARGE))
    if picture.has_transparency_data:
        drawing = picture.convert("RGBA")
        weights = np.asarray(drawing.getchannel("A"), np.float64)
        is_dark = (np.asarray(drawing.convert("L")) * weights).sum() < 127.5 * weights.sum()
        ground = Image.new("RGBA", drawing.size, "white" if is_dark else "black")
        picture = Image.alpha_composite(ground, drawing)
    return np.asarray(picture.convert("L"), np.float32)


def _eight_bits(values: Array) -> Array:
    """Convert 16-bit integers to uint8; rescale 32-bit integers and floats by their range."""
    low, high = values.min(), values.max()
    if not np.isfinite(low + high):
        raise ValueError("nan or inf among the pixels")
    if values.dtype.itemsize > 2:
        values = (values - low) / max(high - low, 1e-30) * 65535
    return (values / 257).astype(np.uint8)


def _in_box(ink: Array) -> Array:
    """Crop to the ink, scale the longer side to 20 pixels, and scale the maximum to 255."""
    rows, columns = np.flatnonzero(ink.any(axis=1)), np.flatnonzero(ink.any(axis=0))
    cut = ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    height, width = (max(1, round(side * _BOX / max(cut.shape))) for side in cut.shape)
    # Resize floats rather than 256 levels; Hamming averages when reducing and never overshoots.
    picture = Image.fromarray(cut).resize((width, height), Image.Resampling.HAMMING)
    scaled: Array = np.array(picture)
    scaled *= 255 / scaled.max()
    return scaled


def _place(digit: Array) -> Array:
    """Place the digit on 28x28 pixels, with its center of mass as close to (14, 14) as fits."""
    image = np.zeros((_SIDE, _SIDE), np.uint8)
    height, width = digit.shape
    y = (digit.sum(axis=1) @ np.arange(height)) / digit.sum()
    x = (digit.sum(axis=0) @ np.arange(width)) / digit.sum()
    top = min(max(round(_SIDE / 2 - y), 0), _SIDE - height)
    left = min(max(round(_SIDE / 2 - x), 0), _SIDE - width)
    image[top : top + height, left : left + width] = np.rint(digit)
    return image
