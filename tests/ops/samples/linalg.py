"""Products, diagonals, triangles and norms: samples, and invalid inputs with their errors."""

import numpy as np

from tests.ops.samples.tools import Bads, Sample, Table, attributed, bad, normal, refused
from tinygrad_np import Tensor as T
from tinygrad_np.errors import ArgumentError, AxisError, DtypeError, ShapeError


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
    cases = [
        ((2, 3), (4, 3), (4,)),
        ((1, 3), (1, 3), None),
        ((0, 3), (2, 3), (2,)),
        ((2, 5, 3), (4, 3), (4,)),
        ((3,), (2, 3), (2,)),
        ((2, 0, 3), (2, 3), None),
        ((2, 4, 0), (2, 0), (2,)),
    ]
    return [
        Sample((normal(generator, *x), normal(generator, *w), normal(generator, *b) if b else b))
        for x, w, b in cases
    ]


def _away_from_zero(generator: np.random.Generator, *shape: int) -> np.ndarray:
    return generator.uniform(0.3, 2, shape) * generator.choice([-1, 1], shape)


def _powers(generator: np.random.Generator) -> list[Sample]:
    cases = [((), 2.0), ((3,), 1.0), ((2, 3), 0.0), ((2, 3), 0.5), ((0, 3), 3.0), ((3, 2), -1.5)]
    return [Sample((_away_from_zero(generator, *shape),), {"p": p}) for shape, p in cases]


def _norms(generator: np.random.Generator) -> list[Sample]:
    cases: list[tuple[tuple[int, ...], int | tuple[int, ...] | None, bool]] = [
        ((), (), False),
        ((3,), 0, True),
        ((2, 3, 2), (0, -1), False),
        ((2, 3), (1,), True),
        ((0, 3), 1, False),
        ((2, 1, 3, 1, 2), None, False),
    ]
    orders = [2.0, 1.0, 0.0, np.inf, -np.inf, 3.0, 0.5, 1.5, -1.0, 7.0]
    return [
        Sample((_away_from_zero(generator, *shape),), {"p": p, "axis": axis, "keepdim": keepdim})
        for p in orders
        for shape, axis, keepdim in cases
    ]


_diagonals: list[tuple[tuple[int, ...], dict[str, int]]] = [
    ((3, 3), {"offset": 0, "dim1": 0, "dim2": 1}),
    ((2, 4), {"offset": 1, "dim1": 0, "dim2": 1}),
    ((2, 4), {"offset": -1, "dim1": 1, "dim2": 0}),
    ((4, 2, 3), {"offset": -2, "dim1": 0, "dim2": -1}),
    ((2, 3), {"offset": 9, "dim1": -2, "dim2": -1}),
    ((2, 0, 3, 3), {"offset": 0, "dim1": 2, "dim2": 3}),
    ((0, 0), {"offset": 0, "dim1": 0, "dim2": 1}),
]


def _put_diagonals(generator: np.random.Generator) -> list[Sample]:
    return [
        Sample(
            (normal(generator, *np.zeros(shape).diagonal(*options.values()).shape),),
            {"shape": shape, **options},
        )
        for shape, options in _diagonals
    ]


_triangles = attributed(
    *[
        (shape, {"diagonal": diagonal})
        for shape in [(3, 3), (2, 4), (2, 3, 2), (0, 3), (2, 0, 0)]
        for diagonal in (0, -1, 2)
    ]
)


TABLE: Table = {
    "batched_matmul": _matmuls,
    "linear": _linears,
    "diagonal": attributed(*_diagonals),
    "put_diagonal": _put_diagonals,
    "tril": _triangles,
    "triu": _triangles,
    "signed_power": _powers,
    "absolute_power": _powers,
    "norm": _norms,
}


BAD: Bads = {
    "mm": [
        bad(T.mm, ShapeError, "mm: expected operands with 2 axes, got shapes (2,)", (2,), (2, 3))
    ],
    "bmm": [
        bad(T.bmm, ShapeError, "bmm: expected operands with 3 axes", (2, 3), (3, 4)),
        bad(T.bmm, ShapeError, "bmm: expected batches of the same length", (1, 2, 3), (5, 3, 4)),
    ],
    "addmm": [
        bad(T.addmm, ShapeError, "addmm: expected operands with 2 axes", (2,), (2,), (2, 2)),
        bad(T.addmm, ShapeError, "to the shape (1, 2), got (3, 2)", (3, 2), (1, 3), (3, 2)),
    ],
    "outer": [bad(T.outer, ShapeError, "outer: expected operands with 1 axis, got", (2,), (2, 1))],
    "matmul": [
        bad(T.matmul, ShapeError, "matmul: ... last axis ... (3) to match", (2, 3), (4, 2)),
        bad(T.matmul, ShapeError, "at least one axis, ... () and (2,)", (), (2,)),
        bad(T.matmul, DtypeError, "matmul: expected a Tensor or an ndarray, got list", (2,), [1.0]),
        (lambda: [1.0] @ T.ones(2), DtypeError, "matmul: expected a Tensor ... got list"),
        bad(
            T.matmul,
            ShapeError,
            "batched_matmul: expected batch axes that broadcast ... got (2, 2, 3)",
            (2, 2, 3),
            (3, 3, 2),
        ),
        bad(T.dot, DtypeError, "matmul: expected a dtype, got 'no dtype'", (2,), (2,), "no dtype"),
    ],
    "batched_matmul": refused("batched_matmul", (2, 3), (4, 2)),
    "linear": [
        bad(T.linear, ShapeError, "got input (2, 3) and weight (4, 5)", (2, 3), (4, 5)),
        bad(T.linear, ShapeError, "linear: ... shape (4,), ... got (3,)", (2, 3), (4, 3), (3,)),
    ],
    "diagonal": [
        (lambda: T.ones(2, 3).diagonal(0, 0, 2), AxisError, "diagonal: ... Got (2, 3) float32"),
        (lambda: T.ones(2, 3).diagonal(0, 1, -1), ShapeError, "diagonal: ... Got (2, 3) float32"),
        (lambda: T.ones(3).diagonal(), ShapeError, "diagonal: ... Got (3,) float32"),
    ],
    "diag": [bad(T.diag, ShapeError, "diag: expected one axis, got shape (2, 3)", (2, 3))],
    "put_diagonal": refused("put_diagonal", (4,), shape=(3, 3), offset=0, dim1=0, dim2=1),
    "trace": [(lambda: T.ones(3).trace(), ShapeError, "trace: expected matrices")],
    "tril": [(lambda: T.ones(3).tril(), ShapeError, "tril: expected matrices")],
    "triu": [(lambda: T(1.0).triu(), ShapeError, "triu: expected matrices")],
    "signed_power": [*refused("signed_power", (3,)), *refused("signed_power", (3,), p=1, q=2)],
    "absolute_power": [*refused("absolute_power", (3,))],
    "norm": [
        (lambda: T.ones(3).norm("fro"), ArgumentError, "inf or -inf, got 'fro'"),
        (lambda: T.ones(3).norm(float("nan")), ArgumentError, "norm: expected `p` to be a number"),
        (lambda: T.ones(3).norm(axis=1), AxisError, "norm: ... Got (3,) float32, p=2.0, axis=1"),
        (lambda: T.ones(0, 3).norm(np.inf, 0), ShapeError, "norm: ... Got (0, 3) float32, p=inf"),
        (lambda: T.ones(0).norm(-np.inf), ShapeError, "norm: ... Got (0,) float32, p=-inf"),
        (lambda: T.ones(3, 0).norm(-2, axis=1), ShapeError, "norm: ... Got (3, 0) float32, p=-2"),
    ],
}
