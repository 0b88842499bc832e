"""Einstein summation here and in PyTorch."""

from tests.oracle.cases.tools import normal
from tests.oracle.pytorch import torch
from tinygrad_np import Tensor

# Formulas in all notations, with the shapes of their operands.
FORMULAS = (
    ("ij,jk->ik", (2, 3), (3, 4)),
    ("ij,jk", (2, 3), (3, 4)),
    ("zj , jA -> A z", (2, 3), (3, 4)),
    ("ij,jk,kl,lm->im", (2, 3), (3, 4), (4, 2), (2, 5)),
    ("bij,bjk->bik", (5, 2, 3), (5, 3, 4)),
    ("...ij,...jk->...ik", (5, 1, 2, 3), (4, 3, 2)),
    ("...ij,jk", (5, 2, 3), (3, 4)),
    ("i...,i...->...", (3, 2, 4), (3, 4)),
    ("i...j,j...->...i", (3, 2, 4, 5), (5, 4)),
    ("...,...", (2, 3), (3,)),
    ("...ij->ij", (2, 3, 4)),
    ("ii", (3, 3)),
    ("ii->i", (3, 3)),
    ("iij->ji", (3, 3, 2)),
    ("iii", (2, 2, 2)),
    ("ijij->", (2, 3, 2, 3)),
    ("...ii->...i", (2, 1, 3, 3)),
    ("ii,ij,jj", (3, 3), (3, 2), (2, 2)),
    ("ij,kl->jl", (2, 3), (4, 2)),
    ("ij,ij,ij->i", (2, 3), (2, 3), (2, 3)),
    ("ij,j->i", (2, 1), (3,)),
    ("ij,j->ij", (2, 1), (3,)),
    ("ij,ij,ij->j", (2, 1), (1, 3), (2, 3)),
    ("a,b,c,d->dcab", (2,), (3,), (2,), (3,)),
    ("ab,cd,ef->", (2, 3), (2, 2), (1, 3)),
    ("bA", (2, 3)),
    ("ba->ba", (2, 3)),
    ("ij->", (2, 3)),
    ("->", ()),
    ("", ()),
    (",i,->i", (), (3,), ()),
    ("i,i->", (0,), (0,)),
    ("ij,jk->ik", (2, 0), (0, 3)),
    ("ij,jk,kl->il", (0, 2), (2, 0), (0, 3)),
    ("bhqd,bhkd->bhqk", (2, 2, 3, 4), (2, 2, 5, 4)),
    ("abcde,bf,cg->aedfg", (2, 1, 3, 2, 2), (1, 2), (3, 2)),
)


def _formula(formula, *shapes):
    def make(generator):
        arrays = [normal(generator, *shape) for shape in shapes]
        is_listed = generator.integers(2)
        return (
            lambda *xs: Tensor.einsum(formula, *([xs] if is_listed else xs)),
            lambda *xs: torch.einsum(formula, *([xs] if is_listed else xs)),
            arrays,
        )

    return make


def in_dtype(generator):
    """Return a product in a dtype that differs from the operands'."""
    return (
        lambda a, b: Tensor.einsum("ij,kj->ki", a, b, dtype="float64"),
        lambda a, b: torch.einsum("ij,kj->ki", a.double(), b.double()),
        [normal(generator, 2, 3), normal(generator, 4, 3)],
    )


CASES = {f"einsum {case[0]!r} {number}": _formula(*case) for number, case in enumerate(FORMULAS)}
CASES["einsum in another dtype"] = in_dtype
