"""Two moons and spirals: shapes, formulas, noise, seeds and errors."""

import numpy as np
import pytest

from tests.tools import each
from tinygrad_np import data
from tinygrad_np.errors import ArgumentError

BOTH = pytest.mark.parametrize("make", [data.moons, data.spirals], ids=["moons", "spirals"])


def points_of(make, **options):
    """Return all points (N, 2) and their labels."""
    sets = make(**options)
    images, labels = (np.concatenate([getattr(s, n) for s in sets]) for n in ("images", "labels"))
    return images[:, :, 0, 0].astype(np.float64), labels


@BOTH
def test_sets_are_balanced_float32_points(make):
    train_set, test_set = make(count=250, seed=3)
    assert (len(train_set), len(test_set)) == (200, 50)
    for part in (train_set, test_set):
        assert part.images.shape[1:] == (2, 1, 1)
        assert part.images.dtype == np.float32
        assert np.ptp(np.bincount(part.labels)) == 0
        assert len(part.classes) == 2
    assert train_set.name == make.__name__
    assert train_set.origin == f"data.{make.__name__}(noise=0.1, seed=3)"
    assert train_set.batch(slice(5))[0].tolist() == train_set.images[:5].tolist()


@BOTH
def test_seed_decides_the_points_and_the_split(make):
    (one, _), (same, _), (other, _) = make(), make(seed=0), make(seed=1)
    assert one.images.tolist() == same.images.tolist()
    assert not np.isin(one.images, other.images).any()


def test_moons_without_noise_are_half_circles():
    points, labels = points_of(data.moons, noise=0.0)
    upper, lower = points[labels == 0], points[labels == 1] - [1, 0.5]
    for moon, side in ((upper, 1), (lower, -1)):
        np.testing.assert_allclose(np.hypot(*moon.T), 1, atol=1e-6)
        assert (side * moon[:, 1] > -1e-6).all()
        # Angles are uniform: the mean of |y| is 2 / pi.
        assert np.abs(moon[:, 1]).mean() == pytest.approx(2 / np.pi, abs=0.05)


def test_spirals_without_noise_turn_by_seven_quarters_of_a_circle():
    points, labels = points_of(data.spirals, noise=0.0)
    radius = np.hypot(*points.T)
    assert 2.9 < radius.max() <= 3 + 1e-6
    angle = 3.5 * np.pi * radius / 3 + np.pi * labels
    expected = radius * np.array([np.cos(angle), np.sin(angle)])
    np.testing.assert_allclose(points, expected.T, atol=1e-5)


@BOTH
def test_noise_is_the_standard_deviation_of_both_coordinates(make):
    clean, _ = points_of(make, count=5000, noise=0.0)
    noisy, _ = points_of(make, count=5000, noise=0.25)
    np.testing.assert_allclose((noisy - clean).std(axis=0), 0.25, rtol=0.1)


@BOTH
@each(
    ("options", "message"),
    [
        ({"count": 9}, "`count` to be an integer >= 10, got 9."),
        ({"noise": -0.1}, "`noise` to be a finite number >= 0, got -0.1."),
        ({"seed": -1}, "`seed` to be an integer >= 0, got -1."),
    ],
)
def test_errors(make, options, message):
    with pytest.raises(ArgumentError) as caught:
        make(**options)
    assert str(caught.value) == f"{make.__name__}: expected {message}"
