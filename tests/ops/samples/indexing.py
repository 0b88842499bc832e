"""Indexing: samples, and bad inputs with the error that they must raise."""

from collections.abc import Callable
from typing import Any

import numpy as np

from tests.ops.samples.tools import Bads, Sample, Table, normal
from tinygrad_np import Tensor as T
from tinygrad_np import ops
from tinygrad_np.errors import AxisError, DtypeError, ShapeError

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


TABLE: Table = {
    "basic_index": _keyed(BASIC_KEYS, (3, 4, 5)),
    "advanced_index": _keyed(ADVANCED_KEYS, (3, 4, 5)),
    "index_add": _index_adds,
}


BAD: Bads = {
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
