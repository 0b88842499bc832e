"""Reductions: samples, and bad inputs with the error that they must raise."""

from typing import Any

import numpy as np

from tests.ops.samples.tools import Bad, Bads, Sample, Table, normal
from tinygrad_np import Tensor as T
from tinygrad_np.errors import AxisError, ShapeError


def _reductions(generator: np.random.Generator) -> list[Sample]:
    cases: list[tuple[tuple[int, ...], Any, bool]] = [
        ((), None, False),
        ((3,), 0, False),
        ((2, 3), None, False),
        ((2, 3), None, True),
        ((2, 3), -1, True),
        ((2, 3, 4), (0, 2), False),
        ((2, 3, 4), (-1, 0), True),
        ((2, 3, 4), 1, False),
        ((2, 3), (), False),
        ((200, 60), 0, False),
    ]
    return [
        Sample((normal(generator, *shape),), {"axis": axis, "keepdim": keepdim})
        for shape, axis, keepdim in cases
    ]


def _reductions_of_nothing(generator: np.random.Generator) -> list[Sample]:
    empty = Sample((np.zeros((0, 3)),), {"axis": 0, "keepdim": False})
    return [*_reductions(generator), empty]


def _softmaxes(generator: np.random.Generator) -> list[Sample]:
    cases = [((3,), 0), ((2, 3), -1), ((2, 3), 0), ((2, 3, 4), 1), ((0, 3), 1), ((200, 60), 1)]
    return [Sample((normal(generator, *shape),), {"axis": axis}) for shape, axis in cases]


TABLE: Table = {
    "sum": _reductions_of_nothing,
    "mean": _reductions,
    "max": _reductions,
    "softmax": _softmaxes,
    "log_softmax": _softmaxes,
}


def _axis_bad(name: str) -> list[Bad]:
    method = getattr(T, name)
    return [(lambda: method(T.ones(2, 3), axis=2), AxisError, f"{name}: got (2, 3) float32")]


BAD: Bads = {
    "sum": _axis_bad("sum"),
    "mean": _axis_bad("mean"),
    "max": [
        *_axis_bad("max"),
        (lambda: T.ones(0, 3).max(axis=0), ShapeError, "max: got (0, 3) float32"),
    ],
    "softmax": _axis_bad("softmax"),
    "log_softmax": _axis_bad("log_softmax"),
}
