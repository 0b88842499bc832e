"""Data augmentation: random shifts, rotations, scalings, flips, noise and erasing.

All random numbers of an epoch are drawn at once, as a table with one row per image of the dataset,
and looked up by the index of the image. An augmented image is therefore the same bit for bit in any
batch, and a resumed training run continues exactly like an uninterrupted one.
"""

from dataclasses import dataclass

import numpy as np

from tinygrad_np import random
from tinygrad_np.checks import is_integer, is_real
from tinygrad_np.display import safe
from tinygrad_np.errors import ArgumentError, DtypeError, ShapeError
from tinygrad_np.runtime.memory import Array

# Third entry of a generator's seed, after seed and epoch. 0 is taken: NumPy pads short seeds with
# zeros, and the shuffled order is drawn from (seed, epoch).
_SHIFT, _ROTATION, _SCALING, _FLIP, _NOISE, _ERASING = range(1, 7)

_FIELD = 1 << 18
"""Number of start positions in the shared field of random values that images read from."""

_AREA = (0.02, 0.33)
_ASPECT = (0.3, 3.3)


@dataclass(frozen=True)
class Augmentation:
    """Random changes of training images; all are off by default.

    Args:
        shift: largest shift along each axis, in whole pixels; uniform in -shift..shift.
        rotation: largest rotation about the center, in degrees; uniform in ±rotation.
        scaling: largest relative change of size; the factor is uniform in 1 ± scaling.
        flip: mirror left to right with probability 1/2.
        noise: standard deviation of Gaussian noise, as a fraction of the range of pixel values; the
            result is clipped to that range.
        erasing: probability of replacing a rectangle with uniform random values. The rectangle
            covers 2 to 33% of the image, and its height is 0.3 to 3.3 times its width.

    Shift, rotation, scaling and flip are applied in one bilinear interpolation, with zeros outside
    the image. Erasing follows Zhong et al. 2020, Random Erasing Data Augmentation, with two
    changes: the aspect ratio is log-uniform, so tall rectangles are as frequent as wide ones, and a
    side longer than the image is clipped to it.

    Raises:
        ArgumentError: if a value is out of range.
        DtypeError: if a value has the wrong type.

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

    @safe
    def __repr__(self) -> str:
        """Return the changes that are on."""
        on = [f"{name}={value!r}" for name, value in vars(self).items() if value]
        return f"Augmentation({', '.join(on)})"

    def __post_init__(self) -> None:
        if isinstance(self.shift, bool) or not is_integer(self.shift):
            raise DtypeError(
                f"Augmentation: expected `shift` to be an integer number of pixels, got "
                f"{self.shift!r}."
            )
        if self.shift < 0:
            raise ArgumentError(f"Augmentation: expected `shift` to be >= 0, got {self.shift}.")
        if not isinstance(self.flip, bool | np.bool_):
            raise DtypeError(
                f"Augmentation: expected `flip` to be True or False, got {self.flip!r}."
            )
        for name, most, meaning in (
            ("rotation", 180, "an angle from 0 to 180 degrees"),
            ("scaling", np.nextafter(1, 0), ">= 0 and below 1"),
            ("noise", 1, "a fraction of the pixel range, from 0 to 1"),
            ("erasing", 1, "a probability from 0 to 1"),
        ):
            value = getattr(self, name)
            if isinstance(value, bool) or not is_real(value):
                raise DtypeError(f"Augmentation: expected `{name}` to be {meaning}, got {value!r}.")
            if not 0 <= value <= most:
                raise ArgumentError(
                    f"Augmentation: expected `{name}` to be {meaning}, got {value}."
                )

    def apply(
        self, images: Array, scale: float, generator: np.random.Generator | None = None
    ) -> Array:
        """Return augmented copies of the images, for inspection or for a loop without DataLoader.

        Args:
            images: array of shape (N, C, H, W) with values from 0 to `scale`.
            scale: largest pixel value.
            generator: NumPy generator for the random numbers; None uses the default generator.

        Returns:
            float32 images with values on the same scale.

        Raises:
            ShapeError: if `images` is not 4-D.
            ArgumentError: if noise or erasing is on and a value is outside 0 to `scale`, or if a
                shift could move the whole image out of view.
            DtypeError: if `generator` is not a NumPy generator.

        >>> from tinygrad_np import data
        >>> train_set, _ = data.digits()
        >>> augmentation = data.Augmentation(shift=1, rotation=10, noise=0.05)
        >>> augmentation.apply(train_set.images[:32], train_set.scale).shape
        (32, 1, 8, 8)
        """
        images = np.asarray(images)
        if images.ndim != 4:
            raise ShapeError(
                "Augmentation.apply: expected `images` of shape (N, C, H, W), got "
                f"{images.shape}. Add a channel axis with images[:, None]."
            )
        self.check_range(images, scale)
        seed = int(random.resolve(generator).integers(2**63))
        return AugmentationTable(self, images.shape, scale, seed, 0).apply(images, slice(None))

    def check_range(self, images: Array, scale: float) -> None:
        """Raise ArgumentError if noise or erasing is on and a value is outside 0 to `scale`."""
        if not (self.noise or self.erasing) or not images.size:
            return
        low, high = images.min(), images.max()
        if low < 0 or high > scale:
            raise ArgumentError(
                "Augmentation: expected image values from 0 to the dataset's scale of "
                f"{scale:g} for noise and erasing, got {low:g} to {high:g}. Pass unnormalized "
                "images, and `scale`, `mean` and `std`, to Dataset."
            )


class AugmentationTable:
    """Random numbers that an `Augmentation` uses for the images of a dataset in one epoch.

    Args:
        augmentation: the settings.
        shape: shape (N, C, H, W) of the dataset's images.
        scale: largest pixel value.
        seed: seed of the training run; with `epoch`, it determines the random numbers.
        epoch: epoch number, from 0.

    Raises:
        ArgumentError: if a shift could move the whole image out of view.
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
                f"Augmentation: expected `shift` to be less than the height and width of the "
                f"{height}x{width} images, got {augmentation.shift}."
            )
        self.augmentation = augmentation
        self.scale = scale
        pixels = int(np.prod(shape[1:]))

        # One generator per purpose, so that turning on rotation does not change the shifts.
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
        """Return float32 copies of `images`, augmented with the table's rows `where`."""
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
    """Return float32 matrices (N, 2, 3) that map an output pixel (y, x, 1) to its input position.

    The augmentation moves the input position c + p, with c the center, to c + t + f R F p, with
    shift t, factor f, rotation R and flip F. The matrices are the inverse of this map.
    """
    cosines, sines = np.cos(angles) / factors, np.sin(angles) / factors
    signs = np.where(flips, -1.0, 1.0)
    inverse = np.array([[cosines, -sines], [signs * sines, signs * cosines]]).transpose(2, 0, 1)
    center = (np.array(size) - 1) / 2
    offset = center - (inverse @ (center + shifts)[:, :, None])[:, :, 0]
    return np.concatenate([inverse, offset[:, :, None]], axis=2).astype(np.float32)


def _warp(images: Array, matrices: Array) -> Array:
    """Resample images (N, C, H, W) bilinearly at the positions given by matrices (N, 2, 3).

    At a position with integer coordinates the result is exactly that pixel.
    """
    n, c, h, w = images.shape
    # A border of zeros for positions outside: one pixel before and two after, because the last
    # position also reads the next pixel.
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
    # The pixels to the right and below have the same index in views shifted by a pixel or a row.
    flat = padded.reshape(-1)
    last = columns + 1
    upper, upper_right, lower, lower_right = (
        flat[start : flat.size - last + start].take(at) for start in (0, 1, columns, last)
    )
    upper = _between(upper, upper_right, right[:, None])
    lower = _between(lower, lower_right, right[:, None])
    return _between(upper, lower, below[:, None])


def _places(rows: Array, h: int, w: int, most: int) -> tuple[Array, Array]:
    """Return the pixel index and the fraction of each position along one axis of the padded input.

    Both are float32 of shape (N, H, W); the fraction is in [0, 1).
    """
    by_y = rows[:, :1] * np.arange(h, dtype=np.float32) + (rows[:, 2:] + 1)  # (N, H)
    by_x = rows[:, 1:2] * np.arange(w, dtype=np.float32)  # (N, W)
    place = by_y[:, :, None] + by_x[:, None, :]
    np.clip(place, 0, most, out=place)
    pixel = np.floor(place)
    place -= pixel
    return pixel, place


def _between(first: Array, second: Array, weight: Array) -> Array:
    """Return first + weight (second - first), computed in place in `second`."""
    second -= first
    second *= weight
    second += first
    return second


def _read(field: Array, starts: Array, shape: tuple[int, ...]) -> Array:
    """Return (N, C, H, W) values that each image reads from `field` at its start position."""
    pixels = int(np.prod(shape[1:]))
    return np.lib.stride_tricks.sliding_window_view(field, pixels)[starts].reshape(shape)


def _rectangles(
    draw: np.random.Generator, count: int, height: int, width: int, probability: float
) -> Array:
    """Return (top, bottom, left, right) of the rectangle to erase per image; zeros for none."""
    is_erased = draw.random(count) < probability
    area = draw.uniform(*_AREA, count) * (height * width)
    aspect = np.exp(draw.uniform(np.log(_ASPECT[0]), np.log(_ASPECT[1]), count))
    tall = np.clip(np.rint(np.sqrt(area * aspect)), 1, height).astype(np.intp) * is_erased
    wide = np.clip(np.rint(np.sqrt(area / aspect)), 1, width).astype(np.intp) * is_erased
    top = draw.integers(height - tall, endpoint=True) * is_erased
    left = draw.integers(width - wide, endpoint=True) * is_erased
    return np.stack([top, top + tall, left, left + wide], axis=1)


def _erase(images: Array, rectangles: Array, fill: Array, starts: Array) -> None:
    """Fill the rectangle of each image, if any, with values from the field `fill`."""
    some = np.flatnonzero(rectangles[:, 1])
    top, bottom, left, right = rectangles[some].T[:, :, None]
    y, x = np.arange(images.shape[2]), np.arange(images.shape[3])
    is_row, is_column = (top <= y) & (y < bottom), (left <= x) & (x < right)
    inside = (is_row[:, :, None] & is_column[:, None, :])[:, None]
    before = images[some]
    images[some] = np.where(inside, _read(fill, starts[some], before.shape), before)
