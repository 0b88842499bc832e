"""Tests of examples/filters.py: each filter responds to the edges it is named after."""

import re

import numpy as np
import pytest
from matplotlib.image import imread

import filters
from tests.examples.tools import printed_by, run_here


@pytest.mark.slow
def test_example_prints_the_worked_examples(tmp_path):
    printed = printed_by("filters", tmp_path)
    assert "floor((in + 2 padding - kernel) / stride) + 1" in printed
    matrices = re.sub(" +", " ", printed)
    assert "\n 255 1 2 * 0 1 0 = 3\n" in matrices
    assert "510 2 4\n 255 1 2 * 0 1 0 = 765 3 6\n 255 1 2 0 1 0 510 2 4\n" in matrices
    assert "* 1 1 1 1 1 = 25 25\n 1 1 1 1 1 1 1 1 1 1 1 1 1 25 25\n" in matrices
    assert "5 6 7 8 max 6 8 average 3.5 5.5\n 9 10 11 12 14 16 11.5 13.5\n" in matrices
    assert "floor((8 + 2x0 - 5) / 3) + 1 = 2" in printed
    picture = imread(tmp_path / "out" / "filters.png")
    assert min(picture.shape[:2]) > 1000
    assert picture[..., 0].std() > 0.2


@pytest.mark.parametrize("padding", [0, 2])
@pytest.mark.parametrize("stride", [1, 3])
def test_convolve_matches_its_formula(padding, stride):
    generator = np.random.default_rng(0)
    image, kernel = generator.random((9, 8)), generator.random((3, 3))
    found = filters.convolve(image, kernel, padding, stride)
    sizes = [filters.output_size(size, 3, padding, stride) for size in image.shape]
    padded = np.pad(image, padding)
    expected = np.zeros(sizes)
    for p, q in np.ndindex(*sizes):
        under = padded[stride * p : stride * p + 3, stride * q : stride * q + 3]
        expected[p, q] = (under * kernel).sum()
    np.testing.assert_allclose(found, expected, rtol=1e-12)


# Edges: dark above and bright below, bright above and dark below, dark left and bright right.


STEPS = {
    "down": np.repeat([0.0, 1.0], 5)[:, None] * np.ones(10),
    "up": np.repeat([1.0, 0.0], 5)[:, None] * np.ones(10),
    "right": np.repeat([0.0, 1.0], 5) * np.ones((10, 1)),
}


@pytest.mark.parametrize(
    ("name", "step", "strongest"),
    [
        ("horizontal edges", "down", 3),
        ("horizontal edges", "right", 0),
        ("vertical edges", "right", 3),
        ("vertical edges", "down", 0),
        ("Sobel, left to right", "right", 4),
        ("Sobel, bottom to top", "up", 4),
        ("Laplacian", "down", 1),
        ("sharpen", "down", 2),
        ("edge enhancement", "down", 4),
        ("Gaussian 3x3", "down", 1),
        ("Gaussian 5x5", "down", 1),
        ("mean", "down", 1),
    ],
)
def test_filters_respond_to_their_edges(name, step, strongest):
    weights, divisor = filters.FILTERS[name]
    found = filters.convolve(STEPS[step], np.array(weights) / divisor)
    assert found.max() == pytest.approx(strongest, abs=1e-12)


# The filters of the tutorial, in its own notation.


GALLERY = """
-1 -1 -1; 0 0 0; 1 1 1
-1 0 1; -1 0 1; -1 0 1
-1 0 1; -2 0 2; -1 0 1
1 2 1; 0 0 0; -1 -2 -1
0 1 0; 1 -4 1; 0 1 0
0 -1 0; -1 5 -1; 0 -1 0
1 2 1; 2 4 2; 1 2 1 / 16
1 4 6 4 1; 4 16 24 16 4; 6 24 36 24 6; 4 16 24 16 4; 1 4 6 4 1 / 256
-1 -1 -1; -1 9 -1; -1 -1 -1
1 1 1; 1 1 1; 1 1 1 / 9
"""


def test_filters_match_the_tutorial():
    lines = GALLERY.strip().splitlines()
    for line, (weights, by) in zip(lines, filters.FILTERS.values(), strict=True):
        rows, _, divisor = line.partition(" / ")
        assert [[int(word) for word in row.split()] for row in rows.split(";")] == weights
        assert int(divisor or 1) == by
    sums = [np.sum(weights) / by for weights, by in filters.FILTERS.values()]
    assert sorted(sums) == [0] * 5 + [1] * 5


def test_gallery_pads_with_zeros_and_clips():
    """The zero border is 2 wide for 5x5, and outputs are clipped to 0..255."""
    photo = filters.photograph()
    shown = filters.gallery(photo).axes
    for axes, (weights, by) in zip(shown[1:11], filters.FILTERS.values(), strict=True):
        picture = np.asarray(axes.images[0].get_array())
        assert picture.shape == photo.shape
        border = {3: 1, 5: 2}[len(weights)]
        padded, kernel = np.pad(photo, border), np.array(weights) / by
        corner = (padded[: len(kernel), : len(kernel)] * kernel).sum()
        assert picture[0, 0] == pytest.approx(np.clip(corner, 0, 255), abs=1e-2)
        assert picture.min() >= 0
        assert picture.max() <= 255


@pytest.mark.parametrize(
    ("function", "what"), [("convolve", "convolution with padding 0"), ("pool", "max pooling")]
)
def test_wrong_worked_example_is_an_error(tmp_path, monkeypatch, capsys, function, what):
    right = getattr(filters, function)
    monkeypatch.setattr(filters, function, lambda *arguments: right(*arguments) + 1)
    assert run_here(filters, tmp_path, monkeypatch) == 1
    assert f"error: {what}" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
