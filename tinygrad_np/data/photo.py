"""A digit on a picture of one's own, brought into the form that MNIST's digits have."""

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
"""A longer picture than of so many pixels is reduced first, which averages a camera's noise out."""

_CONTRAST = 0.1
"""A picture whose range of grey values is a smaller part of the whole range is taken for empty."""

_FAINT = 0.1
"""What differs from the paper by less than this part of the strongest ink is paper."""


def load_digit(path: str | Path) -> Array:
    """Return the digit on a PNG or JPEG file as an image (1, 28, 28) of uint8, as MNIST has them.

    As MNIST was made (LeCun et al. 1998, Gradient-Based Learning Applied to Document Recognition,
    section III A): the ink is cut out, scaled with antialiasing so that its longer side is 20
    pixels, and placed with its centre of mass at pixel (14, 14); paper is 0, the strongest ink 255.
    The paper is the median grey of the picture's outermost pixels; ink is what is darker if the
    paper is lighter than the middle of the range, else what is lighter. What differs from the paper
    by no more than twice what nine tenths of the outermost pixels do, is paper too. Dark drawings
    on transparent ground are put on white, light ones on black; EXIF orientation is obeyed.
    Raises DataError that names the file: not there, no PNG or JPEG, damaged, too large, empty.

    >>> import tempfile
    >>> from PIL import Image
    >>> from tinygrad_np import data
    >>> sheet = Image.new("L", (60, 80), "white")
    >>> sheet.paste("black", (25, 10, 35, 70))  # a one
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     sheet.save(f"{folder}/one.png")
    ...     image = data.load_digit(f"{folder}/one.png")
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
            f"{path}: no digit found: its grey values are only from {low:.0f} to {high:.0f}; "
            "expected dark ink on light paper, or light on dark"
        )
    is_light = paper > (low + high) / 2
    ink = np.maximum(paper - grey if is_light else grey - paper, 0)
    ink[ink <= max(_FAINT * ink.max(), 2 * np.quantile(np.abs(edge - paper), 0.9))] = 0
    if not ink.any():
        raise DataError(
            f"{path}: no digit found: nothing differs more from the paper than its own border; "
            "leave a margin of bare paper on all sides"
        )
    return _place(_in_box(ink))[None]


def _grey(path: Path) -> Array:
    """Return the picture in grey, upright, float32 (H, W) from 0 to 255."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error
    with warnings.catch_warnings():
        # Pillow warns of much that does no harm here, and of pictures made to fill the memory.
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        try:
            picture = Image.open(io.BytesIO(raw), formats=("PNG", "JPEG"))
            return _reduced_grey(ImageOps.exif_transpose(picture))
        except UnidentifiedImageError as error:
            raise DataError(f"{path}: is neither a PNG nor a JPEG picture") from error
        except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
            raise DataError(f"{path}: the picture is too large: {error}") from error
        except (OSError, SyntaxError, ValueError, EOFError, struct.error) as error:
            raise DataError(f"{path}: the picture is damaged: {error}") from error


def _reduced_grey(picture: Image.Image) -> Array:
    if picture.mode.startswith("I"):  # 16 bits, which convert("L") would cut off at 255
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
    """Return the ink cut out and scaled to a longer side of 20, and to values up to 255."""
    rows, columns = np.flatnonzero(ink.any(axis=1)), np.flatnonzero(ink.any(axis=0))
    cut = ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    height, width = (max(1, round(side * _BOX / max(cut.shape))) for side in cut.shape)
    # Of floats, not of 256 levels; the filter does not overshoot, and averages where it reduces.
    picture = Image.fromarray(cut).resize((width, height), Image.Resampling.HAMMING)
    scaled: Array = np.array(picture)
    scaled *= 255 / scaled.max()
    return scaled


def _place(digit: Array) -> Array:
    """Return the digit on 28x28 pixels, its centre of mass as near to (14, 14) as there is room."""
    image = np.zeros((_SIDE, _SIDE), np.uint8)
    height, width = digit.shape
    y = (digit.sum(axis=1) @ np.arange(height)) / digit.sum()
    x = (digit.sum(axis=0) @ np.arange(width)) / digit.sum()
    top = min(max(round(_SIDE / 2 - y), 0), _SIDE - height)
    left = min(max(round(_SIDE / 2 - x), 0), _SIDE - width)
    image[top : top + height, left : left + width] = np.rint(digit)
    return image
