"""Einstein's summation: samples, and bad inputs with the error that they must raise."""

import numpy as np

from tests.ops.samples.tools import Bads, Sample, Table, normal
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


TABLE: Table = {"einsum": _einsums}


def _bad(
    message: str, error: type[TinygradNpError], formula: str, *shapes: tuple[int, ...]
) -> tuple[object, ...]:
    return (lambda: T.einsum(formula, *[T.ones(*shape) for shape in shapes])), error, message


BAD: Bads = {
    "einsum": [
        _bad("got 1 operands for 'ij,jk', which has 2 terms", ArgumentError, "ij,jk", (2, 3)),
        _bad("got 2 operands for 'ij'", ArgumentError, "ij", (2, 3), (2, 3)),
        _bad("got 0 operands for 'ij'", ArgumentError, "ij"),
        _bad("operand 1 has 2 axes, but its term 'j'", ShapeError, "ij,j", (2, 3), (3, 2)),
        _bad("operand 0 has 1 axes, but its term 'i...j'", ShapeError, "i...j", (2,)),
        _bad("letter 'k' of the result of 'ij->ik' is not", ArgumentError, "ij->ik", (2, 3)),
        _bad("letter 'i' of the result of 'ij->ii' is twice", ArgumentError, "ij->ii", (2, 3)),
        _bad("letter 'j' of 'ij,jk' stands for 3 and for 4", ShapeError, "ij,jk", (2, 3), (4, 2)),
        _bad("letter 'i' of 'ii' stands for 1 and 3 in the same", ShapeError, "ii", (1, 3)),
        _bad("'...' of '...,...' stands for 2 and for 3", ShapeError, "...,...", (2,), (3,)),
        _bad("got the formula 'i.j'", ArgumentError, "i.j", (2, 3)),
        _bad("got the formula '......'", ArgumentError, "......", (2, 3)),
        _bad("got the formula 'i1'", ArgumentError, "i1", (2, 3)),
        _bad("got the formula 'i->j->k'", ArgumentError, "i->j->k", (2,)),
        _bad("needs more than 52 letters", ShapeError, "a...", (1,) * 54),
        (lambda: T.einsum(T.ones(2), "i"), DtypeError, "einsum: got a Tensor as the formula"),
        (lambda: T.einsum("i", [[1.0]]), DtypeError, "einsum: got a list, expected a Tensor"),
        (lambda: T.einsum("i", T.ones(2), dtype="text"), DtypeError, "einsum: got dtype 'text'"),
    ]
}
