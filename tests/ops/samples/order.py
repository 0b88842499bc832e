"""Samples and invalid inputs of sorting ops."""

import numpy as np

from tests.ops.samples.tools import Bads, Sample, Table, bad, normal
from tinygrad_np import Tensor as T
from tinygrad_np.errors import ArgumentError, AxisError, ShapeError


def _orders(generator: np.random.Generator) -> list[Sample]:
    cases = [((3,), 0, False), ((2, 3), -1, True), ((2, 3, 4), 1, True), ((0, 3), 1, False)]
    return [
        Sample((normal(generator, *shape).round(),), {"dim": dim, "descending": descending})
        for shape, dim, descending in cases
    ]


TABLE: Table = {"argsort": _orders}


BAD: Bads = {
    "median": [
        bad(T.median, AxisError, "median: expected an axis from -1 to 0, got 1", (2,), 1),
        bad(T.median, ShapeError, "median: expected at least one entry along axis 1", (2, 0), 1),
        bad(T.median, ShapeError, "median: expected at least one entry", (0,)),
    ],
    "argsort": [
        (lambda: T.ones(3).argsort(1), AxisError, "argsort: ... Got (3,) float32"),
        (lambda: T.ones(3).sort(1), AxisError, "argsort: ... Got (3,) float32"),
    ],
    "topk": [
        (lambda: T.ones(3).topk(4), ArgumentError, "topk: expected `k` to be from 0 to 3"),
        (
            lambda: T.ones(3).topk(1, sorted_=False),
            ArgumentError,
            "topk: expected `sorted_` to be True, got False",
        ),
    ],
}
