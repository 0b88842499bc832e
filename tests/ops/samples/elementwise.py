"""Elementwise ops that are not plain: samples, and bad inputs with the error they must raise."""

import numpy as np

from tests.ops.samples.tools import Bads, Sample, Table, normal
from tinygrad_np import Tensor as T
from tinygrad_np import ops
from tinygrad_np.errors import ArgumentError, ShapeError


def _masks(generator: np.random.Generator) -> list[Sample]:
    shapes = [((), ()), ((2, 3), (2, 3)), ((2, 3), (3,)), ((0, 3), (0, 3)), ((200, 60), (200, 60))]
    return [Sample((normal(generator, *x), generator.random(mask) < 0.5)) for x, mask in shapes] + [
        Sample((normal(generator, 4, 3).T, generator.random((3, 4)) < 0.5))
    ]


def _where(generator: np.random.Generator) -> list[Sample]:
    shapes = [((), (), ()), ((2, 3), (2, 3), (2, 3)), ((3,), (2, 1), ()), ((2, 3), (0, 2, 3), (3,))]
    return [
        Sample((generator.random(c) < 0.5, normal(generator, *a), normal(generator, *b)))
        for c, a, b in shapes
    ]


TABLE: Table = {
    "select": _masks,
    "where": _where,
    "dropout": lambda generator: [
        Sample(sample.inputs, {"p": p}) for sample in _masks(generator) for p in (0.25, 1.0)
    ],
}


BAD: Bads = {
    "select": [
        (lambda: ops.table["select"](T.ones(2), T.ones(3) > 0), ShapeError, "select: got (2,)"),
    ],
    "where": [
        (
            lambda: (T.ones(2) > 0).where(T.ones(3), 0.0),
            ShapeError,
            "where: got (2,) bool, (3,) float32",
        ),
    ],
    "dropout": [
        (lambda: T.ones(2).dropout(1.5), ArgumentError, "dropout p: got 1.5"),
        (lambda: T.ones(2).dropout(float("nan")), ArgumentError, "dropout p: got nan"),
    ],
}
