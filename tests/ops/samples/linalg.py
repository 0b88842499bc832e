"""Products of matrices: samples, and bad inputs with the error that they must raise."""

import numpy as np

from tests.ops.samples.tools import Bads, Sample, Table, normal
from tinygrad_np import Tensor as T
from tinygrad_np.errors import DtypeError, ShapeError


def _matmuls(generator: np.random.Generator) -> list[Sample]:
    shapes = [
        ((2, 3), (3, 4)),
        ((1, 3), (3, 1)),
        ((0, 3), (3, 2)),
        ((2, 0), (0, 3)),
        ((5, 2, 3), (5, 3, 4)),
        ((5, 2, 3), (3, 4)),
        ((2, 3), (5, 3, 4)),
        ((2, 1, 2, 3), (4, 3, 2)),
        ((150, 40), (40, 150)),
    ]
    found = [Sample((normal(generator, *a), normal(generator, *b))) for a, b in shapes]
    return [*found, Sample((normal(generator, 3, 2).T, normal(generator, 6, 4)[::2]))]


def _linears(generator: np.random.Generator) -> list[Sample]:
    cases = [((2, 3), (4, 3), (4,)), ((1, 3), (1, 3), None), ((0, 3), (2, 3), (2,))]
    return [
        Sample((normal(generator, *x), normal(generator, *w), normal(generator, *b) if b else b))
        for x, w, b in cases
    ]


TABLE: Table = {
    "matmul": _matmuls,
    "linear": _linears,
}


BAD: Bads = {
    "matmul": [
        (
            lambda: T.ones(2, 3) @ T.ones(4, 2),
            ShapeError,
            "matmul: got shapes (2, 3) and (4, 2); the last axis of the first, 3",
        ),
        (lambda: T(1.0) @ T.ones(2), ShapeError, "matmul: got shapes () and (2,)"),
        (lambda: T.ones(2).matmul([1.0, 2.0]), DtypeError, "matmul: got a list"),
        (lambda: T.ones(2, 2, 3) @ T.ones(3, 3, 2), ShapeError, "matmul: got (2, 2, 3)"),
    ],
    "linear": [
        (
            lambda: T.ones(2, 3).linear(T.ones(4, 5)),
            ShapeError,
            "linear: got input (2, 3) and weight (4, 5)",
        ),
        (
            lambda: T.ones(2, 3).linear(T.ones(4, 3), T.ones(3)),
            ShapeError,
            "linear: got bias (3,), expected (4,)",
        ),
    ],
}
