"""Einstein summation: samples, and invalid inputs with the errors they must raise."""

import functools

import numpy as np

from tests.ops.samples.tools import Bads, Sample, Table, bad, normal, refused
from tinygrad_np import Tensor as T
from tinygrad_np.errors import ArgumentError, DtypeError, ShapeError


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


_einsum = functools.partial(bad, T.einsum)

BAD: Bads = {
    "contract": refused("contract", (2, 3), (2, 4), formula="ab,ab->"),
    "einsum": [
        _einsum(ArgumentError, "expected 2 operands for 'ij,jk', got 1", "ij,jk", (2, 3)),
        _einsum(ArgumentError, "expected 1 operands for 'ij', got 2", "ij", (2, 3), (2, 3)),
        _einsum(ArgumentError, "expected 1 operands for 'ij', got 0", "ij"),
        _einsum(ShapeError, "operand 1 to have 1 axis, as 'j' in", "ij,j", (2, 3), (3, 2)),
        _einsum(ShapeError, "operand 0 to have at least 2 axes, as 'i...j'", "i...j", (2,)),
        _einsum(ArgumentError, "once and no others, got 'k'.", "ij->ik", (2, 3)),
        _einsum(ArgumentError, "once and no others, got 'i' more than once.", "ij->ii", (2, 3)),
        _einsum(
            ShapeError,
            "letter 'j' to have one length in all operands of 'ij,jk', got 3 and 4",
            "ij,jk",
            (2, 3),
            (4, 2),
        ),
        _einsum(ShapeError, "letter 'i' in 'ii', got 1 and 3 in the same", "ii", (1, 3)),
        _einsum(
            ShapeError,
            "expected '...' to have one length in all operands of '...,...', got 2 and 3",
            "...,...",
            (2,),
            (3,),
        ),
        _einsum(ArgumentError, "`formula` ... got 'i.j'.", "i.j", (2, 3)),
        _einsum(ArgumentError, "`formula` ... got '......'.", "......", (2, 3)),
        _einsum(ArgumentError, "`formula` ... got 'i1'.", "i1", (2, 3)),
        _einsum(ArgumentError, "`formula` ... got 'i->j->k'.", "i->j->k", (2,)),
        _einsum(ShapeError, "expected at most 52 axes", "a...", (1,) * 54),
        _einsum(DtypeError, "einsum: expected a formula ... first ... got Tensor", (2,), "i"),
        _einsum(DtypeError, "einsum: expected a Tensor or an ndarray, got list", "i", [[1.0]]),
        _einsum(DtypeError, "einsum: expected a dtype, got 'text'", "i", (2,), dtype="text"),
    ],
}
