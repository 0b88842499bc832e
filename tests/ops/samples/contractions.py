"""Einstein's summation: samples, and bad inputs with the error that they must raise."""

import numpy as np

from tests.ops.samples.tools import Bads, Sample, Table, normal, refused
from tinygrad_np import Tensor as T
from tinygrad_np.errors import ArgumentError, DtypeError, ShapeError, TinygradNpError


def _einsums(generator: np.random.Generator) -> list[Sample]:
    cases: list[tuple[str, list[tuple[int, ...]]]] = [
        ("ab,bc->ac", [(2, 3), (3, 4)]),
        ("ab,bc->ca", [(2, 0), (0, 3)]),
        ("ab,ab->", [(2, 3), (2, 3)]),
        ("a,b->ba", [(2,), (3,)]),
        (",a->a", [(), (3,)]),
        ("abc,acd->dab", [(2, 3, 4), (2, 4, 2)]),
        ("ab,ab,ab->b", [(2, 3), (2, 3), (2, 3)]),
        ("ab,bc,cd,da->", [(2, 3), (3, 2), (2, 4), (4, 2)]),
        ("a,b,c,d->dbac", [(2,), (3,), (1,), (2,)]),
        ("abcde,ce->bda", [(2, 1, 3, 2, 2), (3, 2)]),
    ]
    return [
        Sample(tuple(normal(generator, *shape) for shape in shapes), {"formula": formula})
        for formula, shapes in cases
    ]


TABLE: Table = {"contract": _einsums}


def _bad(
    message: str, error: type[TinygradNpError], formula: str, *shapes: tuple[int, ...]
) -> tuple[object, ...]:
    return (lambda: T.einsum(formula, *[T.ones(*shape) for shape in shapes])), error, message


BAD: Bads = {
    "contract": refused("contract", (2, 3), (2, 4), formula="ab,ab->"),
    "einsum": [
        _bad("expected 2 operands for 'ij,jk', got 1", ArgumentError, "ij,jk", (2, 3)),
        _bad("expected 1 operands for 'ij', got 2", ArgumentError, "ij", (2, 3), (2, 3)),
        _bad("expected 1 operands for 'ij', got 0", ArgumentError, "ij"),
        _bad("expected operand 1 to have the 1 axes of 'j' in", ShapeError, "ij,j", (2, 3), (3, 2)),
        _bad("operand 0 to have the 2 axes of 'i...j'", ShapeError, "i...j", (2,)),
        _bad("each once, got 'k'.", ArgumentError, "ij->ik", (2, 3)),
        _bad("each once, got 'i' twice.", ArgumentError, "ij->ii", (2, 3)),
        _bad(
            "one length for letter 'j' of 'ij,jk', got 3 and 4", ShapeError, "ij,jk", (2, 3), (4, 2)
        ),
        _bad("letter 'i' of 'ii', got 1 and 3 in the same", ShapeError, "ii", (1, 3)),
        _bad("for '...' of '...,...', got 2 and 3", ShapeError, "...,...", (2,), (3,)),
        _bad("got the formula 'i.j'", ArgumentError, "i.j", (2, 3)),
        _bad("got the formula '......'", ArgumentError, "......", (2, 3)),
        _bad("got the formula 'i1'", ArgumentError, "i1", (2, 3)),
        _bad("got the formula 'i->j->k'", ArgumentError, "i->j->k", (2,)),
        _bad("expected at most 52 axes", ShapeError, "a...", (1,) * 54),
        (
            lambda: T.einsum(T.ones(2), "i"),
            DtypeError,
            "einsum: expected the formula first, got a Tensor",
        ),
        (
            lambda: T.einsum("i", [[1.0]]),
            DtypeError,
            "einsum: expected a Tensor or an ndarray, got a list",
        ),
        (
            lambda: T.einsum("i", T.ones(2), dtype="text"),
            DtypeError,
            "einsum: expected a dtype, got 'text'",
        ),
    ],
}
