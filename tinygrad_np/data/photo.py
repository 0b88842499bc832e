"""Conversion of photos and drawings of digits to the format of MNIST."""

import io
import struct
import warnings
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from tinygrad_np.errors import DataError
from tinygrad_np.runtime.memory import Array

_SIDE, _BOX = 28, 20

_LARGE = 400
"""Longest side in pixels; larger pictures are reduced to it, which averages out camera noise."""

_CONTRAST = 0.1
"""A picture with a smaller range of gray values, as a fraction of 255, counts as empty."""

_FAINT = 0.1
"""Pixels with at most this fraction of the strongest ink count as paper."""


def load_digit(path: str | Path) -> Array:
    """Read the digit in a PNG or JPEG file and convert it to the format of MNIST.

    Args:
        path: a picture of one digit, dark on light or light on dark, with an empty margin.

    Returns:
        A uint8 image of shape (1, 28, 28); paper is 0 and the strongest ink 255.

    Raises:
        DataError: if the file is missing, damaged, too large or not a PNG or JPEG file, or if it
            shows no digit.

    The steps are those that produced MNIST (LeCun et al. 1998, Gradient-Based Learning Applied to
    Document Recognition, section III A): crop the ink, scale it with antialiasing so that its
    longer side is 20 pixels, and place its center of mass at pixel (14, 14).

    The paper color is the median gray of the picture's outermost pixels. Ink is darker than the
    paper if the paper is lighter than the middle of the gray range, and lighter otherwise. Pixels
    count as paper if they differ from the paper color by at most a tenth of the strongest ink, or
    by at most twice the 0.9 quantile of the difference over the outermost pixels. A transparent
    background becomes white for dark drawings and black for light ones. The EXIF orientation is
    applied.

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
    path = Path(path)
    grey = _grey(path)
    edge = np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]])
    paper = np.median(edge)
    low, high = grey.min(), grey.max()
    if high - low < _CONTRAST * 255:
        raise DataError(
            f"{path}: expected dark ink on light paper, or light ink on dark paper, got gray "
            f"values from {low:.0f} to {high:.0f} only."
        )
    is_light = paper > (low + high) / 2
    ink = np.maximum(paper - grey if is_light else grey - paper, 0)
    ink[ink <= max(_FAINT * ink.max(), 2 * np.quantile(np.abs(edge - paper), 0.9))] = 0
    if not ink.any():
        raise DataError(
            f"{path}: expected a digit, but no pixel stands out from the paper more than the "
            "edge of the picture does. Leave a margin of empty paper on all sides."
        )
    return _place(_in_box(ink))[None]


def _grey(path: Path) -> Array:
    """Read the picture as upright float32 gray values from 0 to 255, of shape (H, W)."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot read the file ({error.strerror}).") from error
    with warnings.catch_warnings():
        # Pillow's warnings are harmless here, except for decompression bombs.
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        try:
            picture = Image.open(io.BytesIO(raw), formats=("PNG", "JPEG"))
            return _reduced_grey(ImageOps.exif_transpose(picture))
        except UnidentifiedImageError as error:
            raise DataError(f"{path}: expected a PNG or JPEG file, got another format.") from error
        except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
            raise DataError(f"{path}: the image is too large ({error}).") from error
        except (OSError, SyntaxError, ValueError, EOFError, struct.error) as error:
            raise DataError(f"{path}: the image is damaged ({error}).") from error


def _reduced_grey(picture: Image.Image) -> Array:
    if picture.mode.startswith("I"):  # 16 bits: convert("L") would clip at 255
        picture = Image.fromarray((np.asarray(picture) / 257).astype(np.uint8))
    elif picture.has_transparency_data:
        drawing = picture.convert("RGBA")
        opacity = drawing.getchannel("A")
        weights = np.asarray(opacity, np.float64)
        is_dark = (np.asarray(drawing.convert("L")) * weights).sum() < 127.5 * weights.sum()
        ground = Image.new("RGBA", drawing.size, "white" if is_dark else "black")
        picture = Image.alpha_composite(ground, drawing)
    picture = picture.convert("L")
    picture.thumbnail((_LARGE, _LARGE))
    return np.asarray(picture, np.float32)


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
