"""Find the digit in a gray picture: estimate the paper, drop specks, frames and other shapes."""

from dataclasses import dataclass

import numpy as np

from tinygrad_np.runtime.memory import Array

_RING = 0.08
"""Width of the ring of paper along the edges, as a fraction of the shorter side."""

_FAINT = 0.1
"""Pixels with at most this fraction of the strongest ink count as paper."""

_NOISE = 4.0
"""Pixels closer to the paper than this many standard deviations of its noise count as paper."""

_SMALLEST = 0.1
"""Length of the smallest digit in a frame, as a fraction of the longer side of the picture."""

_SPECK = 0.03
"""A shape shorter than this fraction of the longer side of the picture is never a digit."""

_STROKE = 1 / 8
"""A shape shorter than this fraction of the largest is a speck, not a stroke of the digit."""

_SHAPE = 1 / 4
"""A shape at least this fraction as long as the largest may be another digit."""


@dataclass(frozen=True)
class Shapes:
    """The connected shapes in a picture, by decreasing amount of ink.

    Args:
        number: the number of the shape of each pixel, of shape (H, W); -1 for paper.
        boxes: first and last row and first and last column of each shape, of shape (N, 4).
    """

    number: Array
    boxes: Array


def find_digit(gray: Array) -> tuple[Array, int]:
    """Return the ink of the digit in a picture, and the number of shapes that could be digits.

    Args:
        gray: gray values from 0 to 255 of shape (H, W).

    Returns:
        The ink of the largest shape and of the strokes that belong to it, as the difference from
        the paper, 0 elsewhere, of shape (H, W); and the number of shapes that could be digits, 0 if
        nothing larger than a speck stands out from the paper.
    """
    difference = paper_of(gray) - gray
    smooth = _smooth(difference, max(gray.shape) // 100)
    if smooth.max() < -smooth.min():
        difference, smooth = -difference, -smooth  # light ink on dark paper
    shapes = _find_inside(smooth, _NOISE * _deviation(_ring(smooth)))
    if shapes is None or _lengths(shapes.boxes)[0] < _SPECK * max(gray.shape):
        return np.zeros_like(gray), 0
    chosen, others = _strokes(shapes.boxes)
    ink = np.where(np.isin(shapes.number, chosen), np.maximum(difference, 0), 0)
    # The shapes come from the smoothed picture: remove what smoothing added to them.
    ink[ink <= max(_FAINT * ink.max(), 2 * _deviation(_ring(difference)))] = 0
    return ink, 1 + others if ink.any() else 0


def _deviation(noise: Array) -> float:
    """Estimate the standard deviation of noise robustly, from its median absolute value."""
    return 1.4826 * float(np.median(np.abs(noise)))


def paper_of(gray: Array) -> Array:
    """Return the gray values of the paper, including under the ink, of shape (H, W).

    A quadratic function of the position, for light that is brighter on one side or in the middle,
    is fitted to a ring along the edges. The fit minimizes the sum of absolute differences, so ink
    and frames that cover less than half of the ring have little influence.
    """
    height, width = gray.shape
    y, x = np.meshgrid(np.linspace(-1, 1, height), np.linspace(-1, 1, width), indexing="ij")
    terms = np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=-1)
    known, values = _ring(terms), _ring(gray).astype(np.float64)
    # Values very far from the median are ink or a frame rather than uneven light.
    difference = values - np.median(values)
    is_paper = np.abs(difference) <= 3 * _deviation(difference) + 100
    step = max(1, len(values) // 4000)
    known, values = known[is_paper][::step], values[is_paper][::step]
    fitted = np.full(len(values), np.median(values))
    for _ in range(20):
        # Iteratively reweighted least squares: weights 1 / |difference| minimize the sum.
        weights = 1 / np.maximum(np.abs(values - fitted), 0.5)
        product = known.T * weights
        regular = 1e-6 * len(values) * np.eye(known.shape[1])
        coefficients = np.linalg.solve(product @ known + regular, product @ values)
        fitted = known @ coefficients
    paper: Array = np.clip(terms @ coefficients, values.min(), values.max())
    return paper.astype(np.float32)


def _ring(picture: Array) -> Array:
    """Return the pixels near the edges, with rows and columns merged into one axis."""
    height, width = picture.shape[:2]
    depth = min(max(3, round(_RING * min(height, width))), (min(height, width) + 1) // 2)
    is_ring = np.ones((height, width), bool)
    is_ring[depth : height - depth, depth : width - depth] = False
    return picture[is_ring]


def _smooth(picture: Array, passes: int) -> Array:
    """Reduce noise by averaging neighboring pixels with weights 1, 2, 1 along both axes."""
    for _ in range(passes):
        padded = np.pad(picture, 1, "edge")
        rows = padded[:-2] + 2 * padded[1:-1] + padded[2:]
        picture = (rows[:, :-2] + 2 * rows[:, 1:-1] + rows[:, 2:]) / 16
    return picture


def find_shapes(is_ink: Array, ink: Array) -> Shapes:
    """Return the connected shapes in a mask, ordered by the sum of their ink.

    Pixels are connected if they share an edge or a corner. This is union-find: every pixel starts
    as its own tree, and trees with connected pixels are merged until each shape is one tree.
    """
    position = np.full(is_ink.shape, -1)
    position[is_ink] = np.arange(is_ink.sum())
    pairs = []
    for one, other in (
        (position[:, :-1], position[:, 1:]),
        (position[:-1], position[1:]),
        (position[:-1, :-1], position[1:, 1:]),
        (position[:-1, 1:], position[1:, :-1]),
    ):
        is_pair = (one >= 0) & (other >= 0)
        pairs.append((one[is_pair], other[is_pair]))
    first, second = (np.concatenate(side) for side in zip(*pairs, strict=True))
    root = np.arange(is_ink.sum())
    while (differs := root[first] != root[second]).any():
        first, second = first[differs], second[differs]
        low, high = np.minimum(root[first], root[second]), np.maximum(root[first], root[second])
        np.minimum.at(root, high, low)
        while (root[root] != root).any():
            root = root[root]
    _, shape = np.unique(root, return_inverse=True)
    order = np.argsort(-np.bincount(shape, ink[is_ink]), kind="stable")
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    number = np.full(is_ink.shape, -1)
    number[is_ink] = rank[shape]
    boxes = np.empty((len(order), 4), np.intp)
    for axis, places in enumerate(np.nonzero(is_ink)):
        boxes[:, 2 * axis] = max(is_ink.shape)
        boxes[:, 2 * axis + 1] = -1
        np.minimum.at(boxes[:, 2 * axis], number[is_ink], places)
        np.maximum.at(boxes[:, 2 * axis + 1], number[is_ink], places)
    return Shapes(number, boxes)


def _find_inside(ink: Array, least: float) -> Shapes | None:
    """Return the shapes of ink above `least` that do not belong to the surroundings of the digit.

    If all touch the edges, the digit may be connected to a shadow or a ruled line, so look for
    stronger ink. If that fails too, the digit itself touches an edge. Without ink, return None.
    """
    touching = None
    for fraction in (_FAINT, 2 * _FAINT, 4 * _FAINT):
        is_ink = ink > max(fraction * ink.max(), least)
        if is_ink.any():
            shapes = find_shapes(is_ink, ink)
            if (inside := _without_surroundings(shapes)) is not None:
                return inside
            touching = touching or shapes
    return touching


def _without_surroundings(shapes: Shapes) -> Shapes | None:
    """Drop frames, and strips and shadows at the edges; return None if no digit can be left.

    These are shapes that touch an edge of the picture, or span nine tenths of its height and width.
    """
    height, width = size = shapes.number.shape
    top, bottom, left, right = shapes.boxes.T
    touches = (top == 0) | (left == 0) | (bottom == height - 1) | (right == width - 1)
    spans = (bottom - top + 1 >= 0.9 * height) & (right - left + 1 >= 0.9 * width)
    length = _lengths(shapes.boxes)
    kept = np.flatnonzero(~(touches | spans))
    if not (length[kept] >= _SMALLEST * max(size)).any():
        return None
    rank = np.full(len(shapes.boxes) + 1, -1)  # the last entry is for paper, number -1
    rank[kept] = np.arange(len(kept))
    return Shapes(rank[shapes.number], shapes.boxes[kept])


def _lengths(boxes: Array) -> Array:
    """Return the longer sides of boxes."""
    top, bottom, left, right = boxes.T
    lengths: Array = np.maximum(bottom - top, right - left) + 1
    return lengths


def _strokes(boxes: Array) -> tuple[Array, int]:
    """Return the numbers of the shapes that form the digit, and how many others could be digits.

    A digit can have several strokes: the bar of a 5, or a broken line. A stroke is no farther away
    than half its length. A shape at some distance and at least three fifths as high as the largest
    is another digit.
    """
    top, bottom, left, right = boxes.T
    height = bottom - top + 1
    length = _lengths(boxes)
    apart = [top - bottom[0], top[0] - bottom, left - right[0], left[0] - right]
    gap = np.maximum.reduce(apart) - 1  # negative if the boxes overlap
    is_digit = (height >= 0.6 * height[0]) & (gap >= 0.06 * length[0])
    is_stroke = (length >= _STROKE * length[0]) & (gap <= length / 2) & ~is_digit
    others = (length >= _SHAPE * length[0]) & ~is_stroke
    return np.flatnonzero(is_stroke), int(others.sum())
