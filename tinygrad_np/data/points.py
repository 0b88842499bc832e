"""Points in the plane, in two classes that no straight line separates."""

import numpy as np

from tinygrad_np.checks import check_at_least, check_integer
from tinygrad_np.data.dataset import ImageDataset
from tinygrad_np.runtime.memory import Array


def moons(
    count: int = 1000, noise: float = 0.1, seed: int = 0
) -> tuple[ImageDataset, ImageDataset]:
    """Return points on two interleaving half circles, as `sklearn.datasets.make_moons` draws them.

    The upper moon is (cos a, sin a) and the lower one (1 - cos a, 1/2 - sin a), for angles a drawn
    uniformly from 0 to pi.

    Args:
        count: number of points, half of them in each class.
        noise: standard deviation of the Gaussian noise that is added to both coordinates.
        seed: seed of the points and of the split.

    Returns:
        The training set with 4/5 of the points and the test set, stratified by class. A point is an
        image of shape (2, 1, 1): its channels are x and y, in float32.

    Raises:
        ArgumentError: if `count` is not an integer >= 10, `noise` is not a finite number >= 0, or
            `seed` is not an integer >= 0.

    >>> from tinygrad_np import data
    >>> train_set, test_set = data.moons()
    >>> train_set.images.shape, test_set.images.shape
    ((800, 2, 1, 1), (200, 2, 1, 1))
    >>> table = data.ArrayDataset(train_set.images.reshape(-1, 2), train_set.labels)
    >>> next(iter(data.DataLoader(table)))[0].shape
    (64, 2)
    """
    generator, labels = _start("moons", count, noise, seed)
    angle = np.pi * generator.random(count)
    x, y = np.cos(angle), np.sin(angle)
    x, y = np.where(labels, 1 - x, x), np.where(labels, 0.5 - y, y)
    return _sets("moons", ("upper moon", "lower moon"), x, y, labels, noise, seed, generator)


def spirals(
    count: int = 1000, noise: float = 0.1, seed: int = 0
) -> tuple[ImageDataset, ImageDataset]:
    """Return points on two intertwined spirals of 1 3/4 turns, in the range -3 to 3.

    The points are r (cos a, sin a) with a = 7/2 pi r / 3 on the first spiral and half a turn
    further on the second, for radii r drawn uniformly from 0 to 3.

    Arguments, returned sets and errors are those of `moons`.

    >>> from tinygrad_np import data
    >>> train_set, _ = data.spirals(noise=0.0)
    >>> round(float(abs(train_set.images).max()))
    3
    """
    generator, labels = _start("spirals", count, noise, seed)
    part = generator.random(count)
    angle = np.pi * (3.5 * part + labels)
    x, y = 3 * part * np.cos(angle), 3 * part * np.sin(angle)
    return _sets("spirals", ("first spiral", "second spiral"), x, y, labels, noise, seed, generator)


def _start(who: str, count: int, noise: float, seed: int) -> tuple[np.random.Generator, Array]:
    """Check the arguments; return a generator and alternating labels."""
    check_integer(who, 10, count=count)
    check_at_least(who, 0, noise=noise)
    check_integer(who, 0, seed=seed)
    return np.random.default_rng(seed), np.arange(count) % 2


def _sets(
    name: str,
    classes: tuple[str, str],
    x: Array,
    y: Array,
    labels: Array,
    noise: float,
    seed: int,
    generator: np.random.Generator,
) -> tuple[ImageDataset, ImageDataset]:
    """Add the noise and split the points."""
    points = np.stack([x, y], axis=1) + generator.normal(0, noise, (len(x), 2))  # N, 2
    images = points.astype(np.float32)[:, :, None, None]  # N, 2, 1, 1
    origin = f"data.{name}(noise={noise:g}, seed={seed})"
    return ImageDataset(images, labels, classes, name, origin=origin).split(0.2, seed=seed)
