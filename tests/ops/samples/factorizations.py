"""Inverses, determinants, factorizations: samples, and invalid inputs with their errors."""

import numpy as np

from tests.ops.samples.tools import Bad, Bads, Sample, Table, bad, normal, refused
from tests.tools import leaf
from tinygrad_np import Tensor as T
from tinygrad_np import ops
from tinygrad_np.errors import DtypeError, MatrixError, ShapeError

Shapes = tuple[tuple[int, ...], ...]

SQUARE: Shapes = ((1, 1), (3, 3), (2, 4, 4), (2, 1, 3, 3), (0, 3, 3), (2, 0, 0))


def spread(generator: np.random.Generator, *shape: int) -> np.ndarray:
    """Return matrices with singular values 1, 2, 3, ...: distinct and not close to 0."""
    u, s, vh = np.linalg.svd(normal(generator, *shape), full_matrices=False)
    return np.asarray((u * np.arange(s.shape[-1], 0.0, -1)) @ vh)


def positive(generator: np.random.Generator, *shape: int) -> np.ndarray:
    """Return symmetric positive definite matrices."""
    x = spread(generator, *shape)
    return np.asarray(x @ x.swapaxes(-1, -2))


def _squares(generator: np.random.Generator) -> list[Sample]:
    return [Sample((spread(generator, *shape),)) for shape in SQUARE]


def _dets(generator: np.random.Generator) -> list[Sample]:
    """Include singular matrices of several ranks and matrices with equal singular values."""
    x = spread(generator, 3, 3)
    x[2] = x[1] - x[0]
    singular = [
        x,
        np.outer([1.0, 2, 3], [1, 0, 2]),
        np.zeros((2, 2, 2)),
        np.zeros((1, 1)),
        np.eye(4),
    ]
    return [*_squares(generator), *[Sample((x,)) for x in singular]]


def _solves(generator: np.random.Generator) -> list[Sample]:
    cases = [
        ((3, 3), (3, 1)),
        ((3, 3), (3, 2)),
        ((2, 3, 3), (3, 2)),
        ((3, 3), (2, 3, 1)),
        ((4, 1, 2, 2), (3, 2, 2)),
        ((0, 2, 2), (2, 3)),
        ((0, 0), (0, 2)),
        ((2, 2), (2, 0)),
        ((3, 3), (3,)),
        ((2, 3, 3), (3,)),
        ((2, 3, 3), (2, 3)),
    ]
    return [Sample((spread(generator, *a), normal(generator, *b))) for a, b in cases]


def _choleskys(generator: np.random.Generator) -> list[Sample]:
    return [Sample((positive(generator, *shape),)) for shape in SQUARE]


def _qrs(generator: np.random.Generator) -> list[Sample]:
    return [
        Sample((spread(generator, *shape),))
        for shape in [*SQUARE, (4, 2), (2, 5, 3), (3, 0), (0, 3, 2), (3, 1)]
    ]


def _svds(generator: np.random.Generator) -> list[Sample]:
    """Vary the shapes; test_factorizations tests gradients of the vectors full_matrices adds."""
    slim = [(4, 2), (2, 4), (2, 5, 3), (2, 3, 4), (1, 3), (0, 3), (3, 0), (0, 3, 2)]
    return [
        *[Sample((spread(generator, *shape),), {"full_matrices": True}) for shape in SQUARE],
        *[Sample((spread(generator, *shape),), {"full_matrices": False}) for shape in slim],
    ]


TABLE: Table = {
    "inv": _squares,
    "det": _dets,
    "cofactors": _squares,
    "sign_and_logdet": _squares,
    "solve": _solves,
    "cholesky": _choleskys,
    "packed_qr": _qrs,
    "packed_svd": _svds,
}


def _bad_matrices(name: str) -> list[Bad]:
    """Return invalid inputs of every op on matrices; for solve the second operand is valid."""
    method = getattr(T, name)
    more = (T.ones(3).half(),) if name == "solve" else ()
    return [
        bad(method, ShapeError, f"{name}: expected matrices", (3,), *more),
        bad(method, DtypeError, f"{name}: expected float32 or float64", T.ones(3, 3).half(), *more),
    ]


def _bad_squares(name: str) -> list[Bad]:
    method = getattr(T, name)
    more = (T.ones(2),) if name == "solve" else ()
    message = f"{name}: expected square matrices (..., n, n), got shape (2, 3)"
    return [*_bad_matrices(name), (lambda: method(T.ones(2, 3), *more), ShapeError, message)]


def _nan(*shape: int) -> T:
    return T(np.full(shape, np.nan))


def _backward(x: T) -> None:
    x.sum().backward()


_not_finite = "expected finite matrices, got nan or inf (input is"
_hint = "If the entries are finite, try adding a multiple of the identity"


BAD: Bads = {
    "inv": [
        *_bad_squares("inv"),
        (lambda: T.ones(2, 2).inv(), MatrixError, "inv: expected invertible"),
        (lambda: T.ones(4, 2, 2).inv(), MatrixError, "(input is (4, 2, 2) float32). " + _hint),
    ],
    "solve": [
        *_bad_squares("solve"),
        bad(T.solve, MatrixError, "a singular one (input is (2, 2) float32)", (2, 2), (2,)),
        bad(T.solve, ShapeError, "x of shape (2, 2), got shape (3,)", (2, 2), (3,)),
        bad(T.solve, ShapeError, "x of shape (2, 2), got shape ()", (2, 2), ()),
        bad(T.solve, ShapeError, "x of shape (2, 2), got shape (3, 2)", (2, 2), (3, 2)),
        bad(T.solve, DtypeError, "solve: expected a Tensor, ... got list", (2, 2), [1.0, 2.0]),
        bad(
            T.solve,
            ShapeError,
            "solve: expected batch axes that broadcast ... got (3, 2, 2) float32, (2, 2, 1)",
            (3, 2, 2),
            (2, 2, 1),
        ),
    ],
    "det": _bad_squares("det"),
    "cofactors": [
        *refused("cofactors", (2, 3)),
        bad(ops.table["cofactors"], MatrixError, f"det: {_not_finite} (2, 2) float64", _nan(2, 2)),
    ],
    "slogdet": [
        *_bad_squares("slogdet"),
        bad(_backward, MatrixError, "inv: expected invertible", leaf(np.ones((2, 2))).slogdet()[1]),
    ],
    "sign_and_logdet": refused("sign_and_logdet", (2, 3)),
    "packed_qr": refused("packed_qr", (3,)),
    "packed_svd": [bad(ops.packed_svd, MatrixError, f"svd: {_not_finite}", _nan(2, 3))],
    "cholesky": [
        *_bad_squares("cholesky"),
        bad(
            T.cholesky,
            MatrixError,
            f"one that is not (input is (2, 2) float32). {_hint}",
            -T.ones(2, 2),
        ),
    ],
    "qr": [
        *_bad_matrices("qr"),
        bad(_backward, MatrixError, "solve: expected invertible", leaf(np.zeros((3, 2))).qr()[0]),
    ],
    "svd": [*_bad_matrices("svd"), bad(T.svd, MatrixError, f"svd: {_not_finite}", _nan(2, 3))],
}
