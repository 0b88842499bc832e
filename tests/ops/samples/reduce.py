"""Reductions: samples, and bad inputs with the error that they must raise."""

from typing import Any

import numpy as np

from tests.ops.samples.tools import Bad, Bads, Sample, Table, normal
from tinygrad_np import Tensor as T
from tinygrad_np.errors import AxisError, DtypeError, ShapeError


def _reductions(generator: np.random.Generator) -> list[Sample]:
    cases: list[tuple[tuple[int, ...], Any, bool]] = [
        ((), None, False),
        ((3,), (0,), False),
        ((2, 3), None, False),
        ((2, 3), None, True),
        ((2, 3), (-1,), True),
        ((2, 3, 4), (0, 2), False),
        ((2, 3, 4), (-1, 0), True),
        ((2, 3, 4), (1,), False),
        ((2, 3), (), False),
        ((200, 60), (0,), False),
    ]
    return [
        Sample((normal(generator, *shape),), {"axis": axis, "keepdim": keepdim})
        for shape, axis, keepdim in cases
    ]


def _reductions_of_nothing(generator: np.random.Generator) -> list[Sample]:
    empty = Sample((np.zeros((0, 3)),), {"axis": (0,), "keepdim": False})
    return [*_reductions(generator), empty]


def _softmaxes(generator: np.random.Generator) -> list[Sample]:
    cases = [((3,), 0), ((2, 3), -1), ((2, 3), 0), ((2, 3, 4), 1), ((0, 3), 1), ((200, 60), 1)]
    return [Sample((normal(generator, *shape),), {"axis": axis}) for shape, axis in cases]


def _with_zeros(generator: np.random.Generator) -> list[Sample]:
    """Products: no zero, one, several in a row of entries."""
    found = _reductions_of_nothing(generator)
    for zeros in ([(0, 1)], [(0, 1), (0, 2)], [(0, 0), (1, 1), (1, 2)]):
        x = normal(generator, 2, 4)
        for place in zeros:
            x[place] = 0
        for axis in ((1,), None):
            found.append(Sample((x,), {"axis": axis, "keepdim": False}))
    return found


def _places(generator: np.random.Generator) -> list[Sample]:
    cases: list[tuple[tuple[int, ...], int | None, bool]] = [
        ((), None, False),
        ((3,), 0, False),
        ((2, 3), None, True),
        ((2, 3), -1, True),
        ((2, 3, 4), 1, False),
    ]
    return [
        Sample((normal(generator, *shape),), {"axis": axis, "keepdim": keepdim})
        for shape, axis, keepdim in cases
    ]


TABLE: Table = {
    "min": _reductions,
    "prod": _with_zeros,
    "all": _reductions_of_nothing,
    "any": _reductions_of_nothing,
    "argmax": _places,
    "argmin": _places,
    "logsumexp": _reductions,
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
    "min": [
        *_axis_bad("min"),
        (lambda: T.ones(0, 3).min(axis=0), ShapeError, "min: got (0, 3) float32"),
    ],
    "prod": _axis_bad("prod"),
    "all": _axis_bad("all"),
    "any": _axis_bad("any"),
    "argmax": [
        *_axis_bad("argmax"),
        (lambda: T.ones(0).argmax(), ShapeError, "argmax: got (0,) float32"),
    ],
    "argmin": _axis_bad("argmin"),
    "logsumexp": _axis_bad("logsumexp"),
    "dtypes": [
        (lambda: T.ones(2).sum(dtype="nope"), DtypeError, "sum: expected a dtype, got 'nope'"),
        (lambda: T.ones(2).prod(dtype="nope"), DtypeError, "prod: expected a dtype, got 'nope'"),
        (
            lambda: T.ones(2).softmax(dtype="nope"),
            DtypeError,
            "softmax: expected a dtype, got 'nope'",
        ),
        (
            lambda: T.ones(2).softmin(dtype="nope"),
            DtypeError,
            "softmin: expected a dtype, got 'nope'",
        ),
        (
            lambda: T.ones(2).log_softmax(dtype="nope"),
            DtypeError,
            "log_softmax: expected a dtype, got 'nope'",
        ),
    ],
    "softmin": [(lambda: T.ones(2, 3).softmin(2), AxisError, "softmax: got (2, 3) float32")],
    "var": [
        (lambda: T.ones(2, 3).var(axis=2), AxisError, "mean: got (2, 3) float32"),
        (lambda: T.ones(2, 3).std(axis="rows"), DtypeError, "var: expected axis to be an integer"),
    ],
    "sum": _axis_bad("sum"),
    "mean": _axis_bad("mean"),
    "max": [
        *_axis_bad("max"),
        (lambda: T.ones(0, 3).max(axis=0), ShapeError, "max: got (0, 3) float32"),
    ],
    "softmax": _axis_bad("softmax"),
    "log_softmax": _axis_bad("log_softmax"),
}
