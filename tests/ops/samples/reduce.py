"""Samples and invalid inputs of reductions."""

from typing import Any

import numpy as np

from tests.ops.samples.tools import Bad, Bads, Sample, Table, bad, normal
from tinygrad_np import Tensor as T
from tinygrad_np import ops
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
    """Products of rows with no zero, one zero and several zeros."""
    found = _reductions_of_nothing(generator)
    for zeros in ([(0, 1)], [(0, 1), (0, 2)], [(0, 0), (1, 1), (1, 2)]):
        x = normal(generator, 2, 4)
        for place in zeros:
            x[place] = 0
        for axis in ((1,), None):
            found.append(Sample((x,), {"axis": axis, "keepdim": False}))
    return found


def _places(generator: np.random.Generator) -> list[Sample]:
    cases = [((), None), ((3,), 0), ((2, 3), None), ((2, 3), -1), ((2, 3, 4), 1)]
    return [
        Sample((normal(generator, *shape),), {"axis": axis, "keepdim": len(shape) == 2})
        for shape, axis in cases
    ]


def _centerings(generator: np.random.Generator) -> list[Sample]:
    found = [*_reductions_of_nothing(generator)]
    return [Sample(sample.inputs, {"axis": sample.attributes["axis"]}) for sample in found]


TABLE: Table = {
    "center": _centerings,
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
    return [(lambda: method(T.ones(2, 3), axis=2), AxisError, f"{name}: ... Got (2, 3) float32")]


BAD: Bads = {
    **{name: _axis_bad(name) for name in TABLE if name != "center"},
    "center": [bad(ops.center, AxisError, "center: ... Got (2, 3) float32", (2, 3), axis=2)],
    "min": [
        *_axis_bad("min"),
        (lambda: T.ones(0, 3).min(axis=0), ShapeError, "min: ... Got (0, 3) float32"),
    ],
    "argmax": [
        *_axis_bad("argmax"),
        (lambda: T.ones(0).argmax(), ShapeError, "argmax: ... Got (0,) float32"),
    ],
    "dtypes": [
        bad(
            getattr(T, name),
            DtypeError,
            f"{name}: expected a dtype, got 'nope'",
            (2,),
            dtype="nope",
        )
        for name in ("sum", "prod", "softmax", "softmin", "log_softmax")
    ],
    "softmin": [(lambda: T.ones(2, 3).softmin(2), AxisError, "softmax: ... Got (2, 3) float32")],
    "var": [
        (lambda: T.ones(2, 3).var(axis=2), AxisError, "center: ... Got (2, 3) float32"),
        (
            lambda: T.ones(2, 3).std(axis="rows"),
            DtypeError,
            "var: expected `axis` to be an integer",
        ),
    ],
    "max": [
        *_axis_bad("max"),
        (lambda: T.ones(0, 3).max(axis=0), ShapeError, "max: ... Got (0, 3) float32"),
    ],
}
