"""Conversion of photos and drawings of digits to the format of MNIST."""

import io
import threading
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import IO

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from tinygrad_np.data.segment import find_digit
from tinygrad_np.errors import ArgumentError, DataError, NoDigitError
from tinygrad_np.files import failure
from tinygrad_np.runtime.memory import Array

_LARGE = 400
"""Longest side in pixels; larger pictures are reduced to it, which averages out camera noise."""

_CONTRAST = 0.1
"""A picture with a smaller range of gray values, as a fraction of 255, counts as empty."""

_FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF")

_MOST_PIXELS = 300_000_000

# Pillow's limit of the image size is a global variable. The lock also bounds the memory needed:
# one picture is decoded at a time.
_pillow = threading.Lock()


def load_digit(path: str | Path) -> Array:
    """Read the digit in a picture file and convert it to the format of MNIST.

    Args:
        path: a PNG, JPEG, BMP, GIF, WebP or TIFF file that shows one digit, dark on light or light
            on dark, with an empty margin.

    Returns:
        A uint8 image of shape (1, 28, 28); paper is 0 and the strongest ink 255.

    Raises:
        NoDigitError: if the picture shows no digit; this is a DataError.
        DataError: if the file is missing, damaged, in another format or of more than 300 million
            pixels.

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
        warnings.warn(f"{path}: {describe_shapes(shapes)}", stacklevel=2)
    return image


def read_digit(
    picture: str | Path | bytes, name: str = "", side: int = 28, max_pixels: int = _MOST_PIXELS
) -> tuple[Array, int]:
    """Read the digit in a picture, as `load_digit` does, for models of 28x28 or 8x8 digits.

    Args:
        picture: the path of a file, or its content.
        name: what messages call the picture; its path by default.
        side: 28 for the format of MNIST, 8 for that of the bundled digits, see `frame_digit`.
        max_pixels: larger pictures are refused. Decoding takes up to 12 bytes per pixel, and one
            picture is decoded at a time.

    Returns:
        A uint8 image of shape (1, side, side), and the number of shapes that could be digits.

    Raises:
        NoDigitError: if the picture shows no digit.
        DataError: if the file is missing, damaged, in another format or too large.

    >>> import io
    >>> page, upload = Image.new("1", (90, 90), "white"), io.BytesIO()
    >>> page.paste("black", (40, 20, 50, 70))  # a one
    >>> page.save(upload, "PNG")
    >>> image, shapes = read_digit(upload.getvalue(), "upload", side=8)
    >>> image.shape, shapes
    ((1, 8, 8), 1)
    """
    name = name or ("picture" if isinstance(picture, bytes) else str(picture))
    gray = decode(picture, name, _reduced_gray, max_pixels)
    low, high = gray.min(), gray.max()
    if high - low < _CONTRAST * 255:
        raise NoDigitError(
            f"{name}: expected dark ink on light paper, or light ink on dark paper, got gray "
            f"values from {low:.0f} to {high:.0f} only."
        )
    ink, shapes = find_digit(gray)
    if not shapes:
        raise NoDigitError(
            f"{name}: expected a digit, got a picture in which nothing larger than a speck stands "
            "out from the paper along its edges. Leave a margin of empty paper on all sides."
        )
    return frame_digit(ink, side)[None], shapes


def frame_digit(ink: Array, side: int = 28) -> Array:
    """Crop ink to its bounding box, scale it, and place it on a square.

    Args:
        ink: float32 amounts of ink of shape (H, W); paper is 0.
        side: 28 or 8.

    Returns:
        A uint8 image of shape (side, side) whose largest value is 255.

    Raises:
        ArgumentError: if `side` is neither 28 nor 8.

    On 28x28 pixels, the longer side becomes 20 pixels, and the center of mass is at (14, 14) as
    closely as fits, as in MNIST. The bundled digits are stretched to all eight rows, and the narrow
    ones are widened: on average, a 1 covers five of eight columns and a 2 covers six. To reproduce
    this, the width is six columns times the square root of width over height. As in that dataset,
    the digit is drawn on 32x32 pixels, and blocks of 4x4 pixels are averaged.

    >>> import numpy as np
    >>> frame_digit(np.ones((30, 10), np.float32)).any(axis=0).sum()
    np.int64(7)
    """
    rows, columns = np.flatnonzero(ink.any(axis=1)), np.flatnonzero(ink.any(axis=0))
    cut = ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    height, width = cut.shape
    if side == 28:
        ratio = 20 / max(cut.shape)
        placed = _place(_scaled(cut, height * ratio, width * ratio), 28)
    elif side == 8:
        large = _place(_scaled(cut, 32, min(32, 24 * (width / height) ** 0.5)), 32)
        placed = large.reshape(8, 4, 8, 4).mean(axis=(1, 3))
    else:
        raise ArgumentError(f"frame_digit: expected `side` to be 28 or 8, got {side}.")
    image: Array = np.rint(placed * (255 / placed.max())).astype(np.uint8)
    return image


def describe_shapes(shapes: int, noun: str = "digit") -> str:
    """Return the warning about a picture with several shapes."""
    return f"expected one {noun}, found {shapes} shapes. Only the largest was read."


def _open(source: str | Path | bytes, name: str) -> IO[bytes]:
    try:
        return io.BytesIO(source) if isinstance(source, bytes) else Path(source).open("rb")
    except (OSError, ValueError) as error:  # ValueError: a null character in the path
        raise failure(name, "read", error) from error


def decode(
    source: str | Path | bytes,
    name: str,
    convert: Callable[[Image.Image], Array],
    max_pixels: int = _MOST_PIXELS,
) -> Array:
    """Open a picture and return what `convert` makes of it, before the file is closed.

    Raises:
        DataError: if the file is missing, damaged, in another format or too large.
    """
    with _open(source, name) as file, _pillow, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's warnings are harmless here
        limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            with Image.open(file, formats=_FORMATS) as picture:
                width, height = picture.size
                if width * height > max_pixels:
                    raise DataError(
                        f"{name}: expected at most {max_pixels / 10**6:g} million pixels, got "
                        f"{width}x{height}."
                    )
                return convert(picture)
        except DataError:
            raise
        except UnidentifiedImageError as error:
            raise DataError(
                f"{name}: expected a {', '.join(_FORMATS[:-1])} or {_FORMATS[-1]} file, got "
                "another format."
            ) from error
        except MemoryError as error:
            raise DataError(f"{name}: there is not enough memory for the image.") from error
        except Exception as error:  # damaged files make Pillow raise errors of any kind
            raise DataError(f"{name}: the image is damaged ({error}).") from error
        finally:
            Image.MAX_IMAGE_PIXELS = limit


def _reduced_gray(picture: Image.Image) -> Array:
    """Return upright float32 gray values from 0 to 255, of shape (H, W)."""
    picture.draft("L", (2 * _LARGE, 2 * _LARGE))  # decodes large JPEGs smaller
    picture = upright(picture)
    # Averages out camera noise, and bounds the memory of what follows.
    picture.thumbnail((_LARGE, _LARGE))
    return np.asarray(without_transparency(picture).convert("L"), np.float32)


def upright(picture: Image.Image) -> Image.Image:
    """Apply the EXIF orientation; convert palettes and more than 8 bits per channel."""
    ImageOps.exif_transpose(picture, in_place=True)
    if picture.mode[0] in "IF":
        return Image.fromarray(_eight_bits(np.asarray(picture)))
    if picture.mode in ("1", "P", "PA"):
        return picture.convert("RGBA" if picture.has_transparency_data else "RGB")
    return picture


def without_transparency(picture: Image.Image) -> Image.Image:
    """Replace a transparent background: white for dark drawings and black for light ones."""
    if not picture.has_transparency_data:
        return picture
    drawing = picture.convert("RGBA")
    weights = np.asarray(drawing.getchannel("A"), np.float64)
    is_dark = (np.asarray(drawing.convert("L")) * weights).sum() < 127.5 * weights.sum()
    ground = Image.new("RGBA", drawing.size, "white" if is_dark else "black")
    return Image.alpha_composite(ground, drawing)


def _eight_bits(values: Array) -> Array:
    """Convert 16-bit integers to uint8; rescale 32-bit integers and floats by their range."""
    low, high = (float(bound) for bound in (values.min(), values.max()))
    if not np.isfinite(low + high):
        raise ValueError("nan or inf among the pixels")
    if values.dtype.itemsize == 2:
        low, high = 0.0, 65535.0
    eight = np.empty(values.shape, np.uint8)
    # In parts, because float64 values of the whole picture could take gigabytes.
    for part, out in zip(np.array_split(values, 64), np.array_split(eight, 64), strict=True):
        out[...] = (part - low) * (255 / max(high - low, 1e-30))
    return eight


def _scaled(cut: Array, height: float, width: float) -> Array:
    """Scale smoothly to the rounded height and width, at least one pixel each."""
    size = max(1, round(width)), max(1, round(height))
    # Neither overshoots: Hamming averages when reducing, bilinear interpolates when enlarging.
    is_small = max(cut.shape) < max(size)
    method = Image.Resampling.BILINEAR if is_small else Image.Resampling.HAMMING
    # Resize floats rather than 256 levels.
    return np.array(Image.fromarray(cut).resize(size, method))


def _place(digit: Array, side: int) -> Array:
    """Place the digit on a square, with its center of mass as close to the center as fits."""
    image = np.zeros((side, side), np.float32)
    height, width = digit.shape
    y = (digit.sum(axis=1) @ np.arange(height)) / digit.sum()
    x = (digit.sum(axis=0) @ np.arange(width)) / digit.sum()
    top = min(max(round(side / 2 - y), 0), side - height)
    left = min(max(round(side / 2 - x), 0), side - width)
    image[top : top + height, left : left + width] = digit
    return image
