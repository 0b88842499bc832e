"""Finding the digit in a gray picture: the paper, connected shapes, strokes and other digits."""

import numpy as np
import pytest

from tests.tools import rng
from tinygrad_np.data.segment import find_digit, find_shapes, paper_of


def flooded(is_ink):
    """Return the connected shapes of a mask as sets of pixels, by flood fill."""
    left = {(int(y), int(x)) for y, x in np.argwhere(is_ink)}
    shapes = []
    while left:
        shape, edge = set(), [left.pop()]
        while edge:
            y, x = edge.pop()
            shape.add((y, x))
            near = {(y + dy, x + dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)} & left
            left -= near
            edge += near
        shapes.append(shape)
    return shapes


@pytest.mark.parametrize("density", [0.1, 0.3, 0.5, 1.0])
def test_shapes_are_those_of_a_flood_fill(density):
    generator = rng()
    for size in ((1, 1), (1, 9), (9, 1), (7, 12), (20, 20)):
        is_ink = generator.random(size) < density
        is_ink[0, 0] = True
        ink = generator.uniform(1, 2, size)
        shapes = find_shapes(is_ink, ink)
        found = [
            {(int(y), int(x)) for y, x in np.argwhere(shapes.number == number)}
            for number in range(len(shapes.boxes))
        ]
        assert sorted(map(sorted, found)) == sorted(map(sorted, flooded(is_ink)))
        assert ((shapes.number >= 0) == is_ink).all()
        sums = [ink[shapes.number == number].sum() for number in range(len(found))]
        assert sums == sorted(sums, reverse=True)
        for shape, box in zip(found, shapes.boxes.tolist(), strict=True):
            rows, columns = zip(*shape, strict=True)
            assert box == [min(rows), max(rows), min(columns), max(columns)]


def test_long_winding_line_is_one_shape():
    spiral = np.zeros((41, 41), bool)
    y, x, length, step = 20, 20, 2, (0, 1)
    while length < 40:
        for _ in range(length):
            spiral[y, x] = True
            y, x = y + step[0], x + step[1]
        length, step = length + 1, (step[1], -step[0])
    assert len(find_shapes(spiral, spiral.astype(float)).boxes) == 1


def test_paper_is_a_quadratic_function_despite_ink_and_frames():
    y, x = np.meshgrid(np.linspace(-1, 1, 90), np.linspace(-1, 1, 70), indexing="ij")
    paper = 180 + 30 * x - 20 * y - 10 * x * x + 5 * x * y - 8 * y * y
    gray = paper.copy()
    gray[20:60, 20:50] = 30
    gray[:, :2] = 20
    gray[70:, 60:] = 20
    np.testing.assert_allclose(paper_of(gray.astype(np.float32)), paper, atol=2)


def bars(*boxes):
    """Return gray values of 200 with dark boxes (top, bottom, left, right)."""
    gray = np.full((100, 100), 200, np.float32)
    for top, bottom, left, right in boxes:
        gray[top:bottom, left:right] = 20
    return gray


MAIN = (20, 80, 30, 40)


@pytest.mark.parametrize(
    ("other", "is_stroke", "digits"),
    [
        ((25, 32, 43, 70), True, 1),  # the bar of a 5
        ((50, 75, 42, 50), True, 1),  # a short stroke nearby
        ((22, 78, 42, 50), True, 1),  # a high stroke, but close: the gap is 1/30 of its height
        ((22, 78, 50, 60), False, 2),  # another digit
        ((5, 9, 70, 74), False, 1),  # a speck
        ((60, 80, 70, 80), False, 2),  # a shorter shape at a distance
    ],
)
def test_strokes_near_the_digit_belong_to_it(other, is_stroke, digits):
    ink, found = find_digit(bars(MAIN, other))
    assert found == digits
    assert ink[50, 35] == 180
    top, bottom, left, right = other
    assert bool(ink[(top + bottom) // 2, (left + right) // 2]) == is_stroke


@pytest.mark.parametrize("size", [(1, 1), (1, 2), (2, 2), (1, 50), (50, 1), (3, 4)])
def test_tiny_pictures_are_accepted(size):
    generator = rng()
    for _ in range(5):
        ink, _ = find_digit(generator.integers(0, 256, size).astype(np.float32))
        assert ink.shape == size
