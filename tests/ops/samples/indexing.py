"""Indexing: samples, and bad inputs with the error that they must raise."""

from collections.abc import Callable
from typing import Any

import numpy as np

from tests.ops.samples.tools import Bads, Sample, Table, normal
from tinygrad_np import Tensor as T
from tinygrad_np import ops
from tinygrad_np.errors import ArgumentError, AxisError, DtypeError, ShapeError

BASIC_KEYS: list[Any] = [
    0,
    -1,
    (1, 2),
    slice(None),
    slice(0, 0),
    (slice(None), slice(None, None, -2)),
    (Ellipsis, 1),
    (None, 0, Ellipsis, None),
    (slice(1, 2), 0, slice(0, 3, 2)),
]


ADVANCED_KEYS: list[Any] = [
    np.array([0, 2, 2]),
    np.array([], dtype=np.int64),
    (np.array([0, 1]), np.array([1, 1])),
    (slice(None), np.array([[0, 1], [2, 2]])),
    (np.array([0, 0]), slice(None), np.array([1, 1])),
    np.arange(3) != 1,
    (0, np.array([1, -1])),
]


def _keyed(keys: list[Any], shape: tuple[int, ...]) -> Callable[[Any], list[Sample]]:
    return lambda generator: [Sample((normal(generator, *shape),), {"key": key}) for key in keys]


def _index_adds(generator: np.random.Generator) -> list[Sample]:
    shape = (3, 4, 5)
    found = []
    for key in BASIC_KEYS + ADVANCED_KEYS:
        part = np.zeros(shape)[key]
        found.append(Sample((normal(generator, *part.shape),), {"key": key, "shape": shape}))
    return found


def _gathers(generator: np.random.Generator) -> list[Sample]:
    cases = [((4,), (3,), 0), ((3, 4), (3, 6), 1), ((3, 4), (2, 2), 0), ((2, 3, 4), (2, 0, 4), 1)]
    return [
        Sample((normal(generator, *x), generator.integers(0, x[dim], index)), {"dim": dim})
        for x, index, dim in cases
    ]


def _scatter_adds(generator: np.random.Generator) -> list[Sample]:
    cases = [((3,), (3,), 0, (4,)), ((3, 5), (3, 5), 1, (3, 4)), ((2, 2), (2, 2), 0, (3, 4))]
    return [
        Sample(
            (normal(generator, *x), generator.integers(0, shape[dim], index)),
            {"dim": dim, "shape": shape},
        )
        for x, index, dim, shape in cases
    ]


TABLE: Table = {
    "gather": _gathers,
    "scatter_add": _scatter_adds,
    "nonzero": lambda generator: [
        Sample((normal(generator, *shape).round(),)) for shape in [(3,), (2, 3), (0, 3)]
    ],
    "basic_index": _keyed(BASIC_KEYS, (3, 4, 5)),
    "advanced_index": _keyed(ADVANCED_KEYS, (3, 4, 5)),
    "index_add": _index_adds,
}


_ROWS = T([[1.0, 2.0], [3.0, 4.0]])
_INDEX = T([[0, 1]])

BAD: Bads = {
    "gather": [
        (lambda: _ROWS.gather(1, T([[2]])), AxisError, "gather: index 2 at (0, 0) is outside 0..1"),
        (lambda: _ROWS.gather(1, T([[-1]])), AxisError, "gather: index -1 at (0, 0)"),
        (lambda: _ROWS.gather(2, _INDEX), AxisError, "gather: axis 2 is outside"),
        (lambda: _ROWS.gather(1, T([0])), ShapeError, "an index of shape (1,); the index must"),
        (lambda: _ROWS.gather(1, T([[0], [0], [0]])), ShapeError, "no longer along any but axis 1"),
        (lambda: _ROWS.gather(1, T([[0.5]])), DtypeError, "gather: got an index of dtype float32"),
    ],
    "scatter_add": [
        (
            lambda: ops.table["scatter_add"](_ROWS, T([[5, 5], [5, 5]]), dim=1, shape=(2, 2)),
            AxisError,
            "scatter_add: got (2, 2) float32",
        ),
        (
            lambda: ops.table["scatter_add"](_ROWS, T([[5]]), dim=1, shape=(2, 2)),
            ShapeError,
            "scatter_add: got (2, 2) and an index of shape (1, 1)",
        ),
    ],
    "scatter": [
        (lambda: _ROWS.scatter(1, T([[2]]), 1.0), AxisError, "scatter: index 2 at (0, 0)"),
        (
            lambda: _ROWS.scatter(1, _INDEX, T([[1.0]])),
            ShapeError,
            "scatter: got an index of shape",
        ),
        (lambda: _ROWS.scatter(1, _INDEX, T([[1, 2]])), DtypeError, "got src of dtype int64"),
        (lambda: _ROWS.scatter(1, _INDEX, 1.0, "sum"), ArgumentError, "scatter reduce: got 'sum'"),
    ],
    "scatter_reduce": [
        (
            lambda: _ROWS.scatter_reduce(1, _INDEX, _ROWS, "max"),
            ArgumentError,
            "scatter_reduce reduce: got 'max', expected one of sum, prod, mean, amax, amin",
        )
    ],
    "masked_fill": [
        (lambda: _ROWS.masked_fill(T([1, 0]), 0), DtypeError, "masked_fill: got a mask of dtype"),
        (lambda: _ROWS.masked_fill(T([True, False]), _ROWS), ShapeError, "a value of shape (2, 2)"),
    ],
    "masked_select": [
        (lambda: _ROWS.masked_select([1, 0]), DtypeError, "masked_select: got a mask of dtype"),
    ],
    "nonzero": [(lambda: ops.table["nonzero"]([1.0], T(1.0)), DtypeError, "nonzero: got a list")],
    "basic_index": [
        (lambda: T.ones(2, 3)[2], AxisError, "basic_index: got (2, 3) float32, key=2"),
        (lambda: T.ones(2, 3)[0, 0, 0], AxisError, "too many indices"),
    ],
    "advanced_index": [
        (lambda: T.ones(2, 3)[np.array([5])], AxisError, "advanced_index: got (2, 3) float32"),
        (lambda: T.ones(2, 3)[np.array([0.5])], DtypeError, "index array of dtype float64"),
        (lambda: T.ones(2, 3)[np.ones(3, bool)], AxisError, "advanced_index: got (2, 3)"),
    ],
    "index_add": [
        (
            lambda: ops.table["index_add"](T.ones(2), key=slice(0, 3), shape=(3,)),
            ShapeError,
            "index_add: got (2,) float32",
        )
    ],
}
