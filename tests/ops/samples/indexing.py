"""Samples and invalid inputs of indexing ops."""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from tests.ops.samples.tools import Bads, Sample, Table, bad, normal, refused
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


def _assigns(generator: np.random.Generator) -> list[Sample]:
    shape = (3, 4, 5)
    found = []
    for key in BASIC_KEYS + ADVANCED_KEYS:
        selected = np.zeros(shape)[key].shape
        for value in (selected, (1, *selected[:-1], 1)):
            found.append(
                Sample((normal(generator, *shape), normal(generator, *value)), {"key": key})
            )
    return found


def _gathers(generator: np.random.Generator) -> list[Sample]:
    cases = [((4,), (3,), 0), ((3, 4), (3, 6), 1), ((3, 4), (2, 2), 0), ((2, 3, 4), (2, 0, 4), 1)]
    return [
        Sample((normal(generator, *x), generator.integers(0, x[dim], index)), {"dim": dim})
        for x, index, dim in cases
    ]


def _additions(generator: np.random.Generator) -> list[Sample]:
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
    "add_along_axis": _additions,
    "nonzero": lambda generator: [
        Sample((normal(generator, *shape).round(),)) for shape in [(3,), (2, 3), (0, 3)]
    ],
    "basic_index": _keyed(BASIC_KEYS, (3, 4, 5)),
    "advanced_index": _keyed(ADVANCED_KEYS, (3, 4, 5)),
    "index_add": _index_adds,
    "assign": _assigns,
}


_ROWS = T([[1.0, 2.0], [3.0, 4.0]])
_INDEX = T([[0, 1]])
_gather = functools.partial(bad, T.gather)
_scatter = functools.partial(bad, T.scatter)
_add_along_axis = functools.partial(bad, ops.table["add_along_axis"], dim=1, shape=(2, 2))

BAD: Bads = {
    "select": [
        bad(T.select, AxisError, "select: expected `dim` to be an axis of shape (2,)", (2,), 1, 0),
        bad(T.select, AxisError, "select: expected `dim` to be an axis of shape ()", (), 0, 0),
        bad(T.select, AxisError, "basic_index: ", (2,), 0, 2),
        bad(T.select, DtypeError, "`dim` to be an integer, got 0.5", (2,), 0.5, 0),
        bad(T.select, DtypeError, "`index` to be an integer, got 1.7", (2,), 0, 1.7),
    ],
    "index_select": [
        bad(T.index_select, AxisError, "index_select: expected `dim`", (2,), -2, [0]),
        bad(T.index_select, AxisError, "indices from 0 to 1 ... got 2", (2,), 0, [0, 2]),
        bad(T.index_select, AxisError, "indices from 0 to 1 ... got -1", (2,), 0, [-1]),
        bad(T.index_select, DtypeError, "index_select: expected `index` ...", (2,), 0, [True]),
        bad(T.index_select, ShapeError, "one axis, got shape (1, 1)", (2,), 0, [[0]]),
    ],
    "scatter_add": [
        bad(T.scatter_add, AxisError, "scatter_add: expected indices", (2,), 0, [2], 1.0),
        bad(T.scatter_add, ShapeError, "scatter_add: expected `index`", (2,), 0, [[0]], 1.0),
    ],
    "gather": [
        _gather(AxisError, "gather: expected indices from 0 to 1 along", _ROWS, 1, T([[2]])),
        _gather(AxisError, "of shape (2, 2), got -1 at (0, 0)", _ROWS, 1, T([[-1]])),
        _gather(
            AxisError, "gather: expected `dim` to be an axis of shape (2, 2)", _ROWS, 2, _INDEX
        ),
        _gather(ShapeError, "gather: expected `index` to have 2 axes", _ROWS, 1, T([0])),
        _gather(
            ShapeError,
            "except along axis 1, to be no longer than shape (2, 2), got shape (3, 1)",
            _ROWS,
            1,
            T([[0], [0], [0]]),
        ),
        _gather(DtypeError, "`index` to contain integers, got dtype float32", _ROWS, 1, T([[0.5]])),
    ],
    "add_along_axis": [
        _add_along_axis(
            AxisError, "add_along_axis: ... Got (2, 2) float32", _ROWS, T([[5, 5], [5, 5]])
        ),
        _add_along_axis(
            ShapeError, "add_along_axis: ... shape (2, 2), got (1, 1)", _ROWS, T([[5]])
        ),
    ],
    "take_along_axis": [
        bad(ops.take_along_axis, AxisError, "take_along_axis: ... Got (2, 2)", _ROWS, T([[2]]), 1)
    ],
    "scatter": [
        _scatter(AxisError, "scatter: expected indices from 0", _ROWS, 1, T([[2]]), 1.0),
        _scatter(
            ShapeError, "scatter: expected `src` to be a number", _ROWS, 1, _INDEX, T([[1.0]])
        ),
        _scatter(DtypeError, "dtype float32, got int64", _ROWS, 1, _INDEX, T([[1, 2]])),
        _scatter(ArgumentError, "or 'multiply', got 'sum'", _ROWS, 1, _INDEX, 1.0, "sum"),
    ],
    "scatter_reduce": [
        (
            lambda: _ROWS.scatter_reduce(1, _INDEX, _ROWS, "max"),
            ArgumentError,
            "scatter_reduce: expected `reduce` to be one of sum, prod, mean, amax, amin, got 'max'",
        )
    ],
    "masked_fill": [
        bad(
            T.masked_fill,
            DtypeError,
            "masked_fill: expected `mask` to contain bools",
            _ROWS,
            [1, 0],
            0,
        ),
        bad(T.masked_fill, ShapeError, "a number, got shape (2, 2)", _ROWS, [True, False], _ROWS),
    ],
    "masked_select": [
        bad(
            T.masked_select,
            DtypeError,
            "masked_select: expected `mask` to contain bools",
            _ROWS,
            [1, 0],
        )
    ],
    "nonzero": [
        bad(T.nonzero, ArgumentError, "nonzero: expected `size` to be >= 0, got -1", _ROWS, -1)
    ],
    "basic_index": [
        (lambda: T.ones(2, 3)[2], AxisError, "basic_index: ... Got (2, 3) float32, key=2"),
        (lambda: T.ones(2, 3)[0, 0, 0], AxisError, "too many indices"),
    ],
    "advanced_index": [
        (lambda: T.ones(2, 3)[np.array([5])], AxisError, "advanced_index: ... Got (2, 3) float32"),
        (lambda: T.ones(2, 3)[np.array([0.5])], DtypeError, "integers or bools, got dtype float64"),
        (lambda: T.ones(2, 3)[np.ones(3, bool)], AxisError, "advanced_index: ... Got (2, 3)"),
    ],
    "index_add": refused("index_add", (2,), key=slice(0, 3), shape=(3,)),
    "assign": refused("assign", (3,), (2,), key=slice(0, 3)),
}
