"""Augmentation: images moved, turned, scaled, mirrored, made noisy or partly erased at random.

What is random is drawn once for an epoch, as a table with a row for each image of the data set, and
looked up by an image's position there. So an image of an epoch has the same bits in whatever batch
it comes, and a run that goes on from a checkpoint goes on as if it had not stopped.
"""

from dataclasses import dataclass

import numpy as np

from tinygrad_np import random
from tinygrad_np.checks import is_integer, is_real
from tinygrad_np.errors import ArgumentError, DtypeError, ShapeError
from tinygrad_np.runtime.memory import Array

# What a generator is for, after seed and epoch. Not 0: NumPy fills a short seed up with zeros, and
# (seed, epoch) alone is the order's.
_SHIFT, _ROTATION, _SCALING, _FLIP, _NOISE, _ERASING = range(1, 7)

_FIELD = 1 << 18
"""Positions in a field of random values from which an image's own may be read."""

_AREA = (0.02, 0.33)
_ASPECT = (0.3, 3.3)


@dataclass(frozen=True)
class Augmentation:
    """What may be done to each training image, at random; all of it off unless asked for.

    `shift`: whole pixels along each axis, uniform in -shift..shift. `rotation`: degrees about the
    centre, uniform within ±rotation. `scaling`: a factor uniform in 1 ± scaling. `flip`: left to
    right, with probability 1/2. These four are one bilinear interpolation, with 0 outside.
    `noise`: standard deviation of Gaussian noise, 1 being the whole range of pixel values, to which
    the sum is clipped. `erasing`: the probability that a rectangle of 2 to 33 % of the image, its
    height 0.3 to 3.3 times its width, becomes uniform random values (Zhong et al. 2020, Random
    Erasing Data Augmentation; the aspect is drawn by its logarithm here, so that tall ones are as
    frequent as wide ones, and a side that is too long is cut to the image's).
    Raises ArgumentError or DtypeError for what is out of range.

    >>> from tinygrad_np import data
    >>> train_set, _ = data.digits()
    >>> augmentation = data.Augmentation(shift=1, rotation=10)
    >>> loader = data.DataLoader(train_set, shuffle=True, seed=0, augmentation=augmentation)
    >>> images, labels = next(iter(loader))
    """

    shift: int = 0
    rotation: float = 0.0
    scaling: float = 0.0
    flip: bool = False
    noise: float = 0.0
    erasing: float = 0.0

    def __post_init__(self) -> None:
        if isinstance(self.shift, bool) or not is_integer(self.shift):
            raise DtypeError(
                f"Augmentation shift: got {self.shift!r}, expected whole pixels, as in shift=2"
            )
        if self.shift < 0:
            raise ArgumentError(f"Augmentation shift: got {self.shift}, expected at least 0 pixels")
        if not isinstance(self.flip, bool | np.bool_):
            raise DtypeError(f"Augmentation flip: got {self.flip!r}, expected True or False")
        for name, most, meaning in (
            ("rotation", 180, "degrees from 0 to 180"),
            ("scaling", np.nextafter(1, 0), "a part of 1 from 0 to below 1, as in scaling=0.1"),
            ("noise", 1, "a part of the range of pixel values, from 0 to 1"),
            ("erasing", 1, "a probability from 0 to 1"),
        ):
            value = getattr(self, name)
            if isinstance(value, bool) or not is_real(value):
                raise DtypeError(f"Augmentation {name}: got {value!r}, expected {meaning}")
            if not 0 <= value <= most:
                raise ArgumentError(f"Augmentation {name}: got {value}, expected {meaning}")

    def apply(
        self, images: Array, scale: float, generator: np.random.Generator | None = None
    ) -> Array:
        """Return the images (N, C, H, W), whose values are from 0 to `scale`, each augmented anew.

        For a loop without a DataLoader, and to look at. The result is float32, on the same scale.

        >>> from tinygrad_np import data
        >>> train_set, _ = data.digits()
        >>> augmentation = data.Augmentation(shift=1, rotation=10, noise=0.05)
        >>> augmentation.apply(train_set.images[:32], train_set.scale).shape
        (32, 1, 8, 8)
        """
        images = np.asarray(images)
        if images.ndim != 4:
            raise ShapeError(
                f"Augmentation.apply: got images {images.shape}, expected (N, C, H, W); "
                "images[:, None] adds a channel"
            )
        self.check_range(images, scale)
        seed = int(random.resolve(generator).integers(2**63))
        return AugmentationTable(self, images.shape, scale, seed, 0).apply(images, slice(None))

    def check_range(self, images: Array, scale: float) -> None:
        """Raise ArgumentError where noise or erasing would need values from 0 to scale, and there
        are others.
        """
        if not (self.noise or self.erasing) or not images.size:
            return
        low, high = images.min(), images.max()
        if low < 0 or high > scale:
            raise ArgumentError(
                f"Augmentation noise, erasing: got images with values from {low:g} to {high:g}, "
                f"expected 0 to {scale:g}, the Dataset's scale, to which both are made to fit; "
                "give the images as they came, and scale, mean and std to the Dataset"
            )


class AugmentationTable:
    """What an Augmentation does to each image of a data set of `shape` (N, C, H, W) in one epoch.

    It follows from seed and epoch alone. Raises ArgumentError where a shift could leave nothing.
    """

    def __init__(
        self,
        augmentation: Augmentation,
        shape: tuple[int, ...],
        scale: float,
        seed: int,
        epoch: int,
    ) -> None:
        count, _, height, width = shape
        if augmentation.shift and augmentation.shift >= min(height, width):
            raise ArgumentError(
                f"Augmentation shift: got {augmentation.shift} pixels for images of "
                f"{height}x{width}, which nothing would be left of; expected fewer"
            )
        self.augmentation = augmentation
        self.scale = scale
        pixels = int(np.prod(shape[1:]))

        # A generator for each purpose: the shifts do not change when rotation is added.
        def generator(purpose: int) -> np.random.Generator:
            return np.random.default_rng((seed, epoch, purpose))

        a = augmentation
        self._has_warp = bool(a.shift or a.rotation or a.scaling or a.flip)
        if self._has_warp:
            self._matrices = _matrices(
                generator(_SHIFT).integers(-a.shift, a.shift + 1, (count, 2)),
                np.deg2rad(generator(_ROTATION).uniform(-a.rotation, a.rotation, count)),
                generator(_SCALING).uniform(1 - a.scaling, 1 + a.scaling, count),
                generator(_FLIP).random(count) < (0.5 if a.flip else 0),
                (height, width),
            )
        if a.noise:
            draw = generator(_NOISE)
            self._noise_at = draw.integers(_FIELD, size=count)
            self._normals = draw.standard_normal(_FIELD + pixels, np.float32)
            self._normals *= np.float32(a.noise * scale)
        if a.erasing:
            draw = generator(_ERASING)
            self._rectangles = _rectangles(draw, count, height, width, a.erasing)
            self._fill_at = draw.integers(_FIELD, size=count)
            self._fill = draw.random(_FIELD + pixels, np.float32)
            self._fill *= np.float32(scale)

    def apply(self, images: Array, where: Array | slice) -> Array:
        """Return the images that stand at `where` in the data set augmented, as float32."""
        if self._has_warp:
            images = _warp(images, self._matrices[where])
        else:
            images = images.astype(np.float32)
        if self.augmentation.noise:
            images += _read(self._normals, self._noise_at[where], images.shape)
            np.clip(images, 0, np.float32(self.scale), out=images)
        if self.augmentation.erasing:
            _erase(images, self._rectangles[where], self._fill, self._fill_at[where])
        return images


def _matrices(
    shifts: Array, angles: Array, factors: Array, flips: Array, size: tuple[int, int]
) -> Array:
    """Return for each image the float32 matrix (2, 3) that takes an output's (y, x, 1) to the place
    in the input that it shows.

    An input's place p, from the centre c, comes to c + t + f R F p, with shift t, factor f,
    rotation R and flip F; this is the inverse.
    """
    cosines, sines = np.cos(angles) / factors, np.sin(angles) / factors
    signs = np.where(flips, -1.0, 1.0)
    inverse = np.array([[cosines, -sines], [signs * sines, signs * cosines]]).transpose(2, 0, 1)
    centre = (np.array(size) - 1) / 2
    offset = centre - (inverse @ (centre + shifts)[:, :, None])[:, :, 0]
    return np.concatenate([inverse, offset[:, :, None]], axis=2).astype(np.float32)


def _warp(images: Array, matrices: Array) -> Array:
    """Return the images (N, C, H, W) as seen through the matrices (N, 2, 3), float32.

    Of the four pixels about a place, weighted bilinearly; exact where it is a pixel's own.
    """
    n, c, h, w = images.shape
    # A border of zeros, where all that is outside is read: one before, and two after, since the
    # last place has a neighbour too.
    rows, columns = h + 3, w + 3
    padded = np.zeros((n, c, rows, columns), np.float32)
    padded[:, :, 1 : h + 1, 1 : w + 1] = images
    y, below = _places(matrices[:, 0], h, w, h + 1)
    x, right = _places(matrices[:, 1], h, w, w + 1)
    index = y.astype(np.intp)  # (N, H, W)
    index *= columns
    index += x.astype(np.intp)
    starts = np.arange(0, n * c * rows * columns, rows * columns).reshape(n, c, 1, 1)
    at = index[:, None] + starts  # (N, C, H, W)
    # The neighbours are at the same index of an array that begins one pixel or row later.
    flat = padded.reshape(-1)
    last = columns + 1
    upper, upper_right, lower, lower_right = (
        flat[start : flat.size - last + start].take(at) for start in (0, 1, columns, last)
    )
    upper = _between(upper, upper_right, right[:, None])
    lower = _between(lower, lower_right, right[:, None])
    return _between(upper, lower, below[:, None])


def _places(rows: Array, h: int, w: int, most: int) -> tuple[Array, Array]:
    """Return, for one axis, the places that the outputs show in the padded input: the pixel's
    number, and how far the place is beyond it, from 0 to 1; both float32 (N, H, W).
    """
    by_y = rows[:, :1] * np.arange(h, dtype=np.float32) + (rows[:, 2:] + 1)  # (N, H)
    by_x = rows[:, 1:2] * np.arange(w, dtype=np.float32)  # (N, W)
    place = by_y[:, :, None] + by_x[:, None, :]
    np.clip(place, 0, most, out=place)
    pixel = np.floor(place)
    place -= pixel
    return pixel, place


def _between(first: Array, second: Array, weight: Array) -> Array:
    """Return first + weight (second - first), in the memory of `second`."""
    second -= first
    second *= weight
    second += first
    return second


def _read(field: Array, starts: Array, shape: tuple[int, ...]) -> Array:
    """Return for each image the values of the field from its start on, as (N, C, H, W)."""
    pixels = int(np.prod(shape[1:]))
    return np.lib.stride_tricks.sliding_window_view(field, pixels)[starts].reshape(shape)


def _rectangles(
    draw: np.random.Generator, count: int, height: int, width: int, probability: float
) -> Array:
    """Return for each image (top, bottom, left, right) of what is erased; 0 to 0 for none."""
    is_erased = draw.random(count) < probability
    area = draw.uniform(*_AREA, count) * (height * width)
    aspect = np.exp(draw.uniform(np.log(_ASPECT[0]), np.log(_ASPECT[1]), count))
    tall = np.clip(np.rint(np.sqrt(area * aspect)), 1, height).astype(np.intp) * is_erased
    wide = np.clip(np.rint(np.sqrt(area / aspect)), 1, width).astype(np.intp) * is_erased
    top = draw.integers(height - tall, endpoint=True) * is_erased
    left = draw.integers(width - wide, endpoint=True) * is_erased
    return np.stack([top, top + tall, left, left + wide], axis=1)


def _erase(images: Array, rectangles: Array, fill: Array, starts: Array) -> None:
    """Put values of the field `fill` into the rectangle of each image that has one."""
    some = np.flatnonzero(rectangles[:, 1])
    top, bottom, left, right = rectangles[some].T[:, :, None]
    y, x = np.arange(images.shape[2]), np.arange(images.shape[3])
    is_row, is_column = (top <= y) & (y < bottom), (left <= x) & (x < right)
    inside = (is_row[:, :, None] & is_column[:, None, :])[:, None]
    before = images[some]
    images[some] = np.where(inside, _read(fill, starts[some], before.shape), before)
