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
    "take_along_axis": _gathers,
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
        (
            lambda: _ROWS.gather(1, T([[2]])),
            AxisError,
            "gather: expected indices from 0 to 1 along",
        ),
        (lambda: _ROWS.gather(1, T([[-1]])), AxisError, "of shape (2, 2), got -1 at (0, 0)"),
        (
            lambda: _ROWS.gather(2, _INDEX),
            AxisError,
            "gather: expected an axis of a tensor of shape (2, 2)",
        ),
        (
            lambda: _ROWS.gather(1, T([0])),
            ShapeError,
            "gather: expected an index with as many axes",
        ),
        (
            lambda: _ROWS.gather(1, T([[0], [0], [0]])),
            ShapeError,
            "longer along any but axis 1, got shape (3, 1)",
        ),
        (lambda: _ROWS.gather(1, T([[0.5]])), DtypeError, "index of integers, got dtype float32"),
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
            "scatter_add: expected an index of shape (2, 2), got (1, 1)",
        ),
    ],
    "take_along_axis": [
        (
            lambda: ops.take_along_axis(_ROWS, T([[2]]), 1),
            AxisError,
            "take_along_axis: got (2, 2) float32",
        )
    ],
    "scatter": [
        (lambda: _ROWS.scatter(1, T([[2]]), 1.0), AxisError, "scatter: expected indices from 0"),
        (
            lambda: _ROWS.scatter(1, _INDEX, T([[1.0]])),
            ShapeError,
            "scatter: expected src to be a number",
        ),
        (lambda: _ROWS.scatter(1, _INDEX, T([[1, 2]])), DtypeError, "dtype float32, got int64"),
        (lambda: _ROWS.scatter(1, _INDEX, 1.0, "sum"), ArgumentError, "or 'multiply', got 'sum'"),
    ],
    "scatter_reduce": [
        (
            lambda: _ROWS.scatter_reduce(1, _INDEX, _ROWS, "max"),
            ArgumentError,
            "scatter_reduce: expected reduce to be one of sum, prod, mean, amax, amin, got 'max'",
        )
    ],
    "masked_fill": [
        (
            lambda: _ROWS.masked_fill(T([1, 0]), 0),
            DtypeError,
            "masked_fill: expected a mask of bools",
        ),
        (
            lambda: _ROWS.masked_fill(T([True, False]), _ROWS),
            ShapeError,
            "expected a number, got shape (2, 2)",
        ),
    ],
    "masked_select": [
        (
            lambda: _ROWS.masked_select([1, 0]),
            DtypeError,
            "masked_select: expected a mask of bools",
        ),
    ],
    "nonzero": [
        (lambda: _ROWS.nonzero(-1), ArgumentError, "nonzero: expected a size of at least 0, got -1")
    ],
    "basic_index": [
        (lambda: T.ones(2, 3)[2], AxisError, "basic_index: got (2, 3) float32, key=2"),
        (lambda: T.ones(2, 3)[0, 0, 0], AxisError, "too many indices"),
    ],
    "advanced_index": [
        (lambda: T.ones(2, 3)[np.array([5])], AxisError, "advanced_index: got (2, 3) float32"),
        (lambda: T.ones(2, 3)[np.array([0.5])], DtypeError, "integers or bools, got dtype float64"),
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
