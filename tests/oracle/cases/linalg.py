"""Matrix products, diagonals, triangles and norms here and in PyTorch."""

import numpy as np

from tests.oracle.cases.tools import few, ints, normal, same
from tests.oracle.pytorch import torch


def _matmul(name):
    """Return products of vectors, matrices and stacks, also broadcast and empty ones."""

    def make(generator):
        shapes = [
            ((4,), (4,)),
            ((2, 3, 4), (4,)),
            ((4,), (2, 4, 3)),
            ((2, 3, 4), (4, 5)),
            ((2, 1, 3, 4), (5, 4, 2)),
            ((0, 4), (4, 3)),
            ((3, 0), (0, 2)),
            ((1, 2, 1, 3, 4), (2, 1, 4, 1)),
        ]
        left, right = shapes[int(generator.integers(len(shapes)))]
        return (
            lambda a, b: getattr(a, name)(b),
            lambda a, b: a @ b,
            [normal(generator, *left), normal(generator, *right)],
        )

    return make


def matmul_in_dtype(generator):
    """Return a product in a dtype that differs from the operands'."""
    return (
        lambda a, b: a.dot(b, dtype=np.float64),
        lambda a, b: a.double() @ b.double(),
        [few(generator, 2, 3), few(generator, 3, 2)],
    )


def diag(generator):
    """Return the square of a diagonal matrix, which has second derivatives."""
    x = normal(generator, int(generator.integers(5)))
    return lambda x: x.diag() @ x.diag(), lambda x: x.diag() @ x.diag(), [x]


def trace(generator):
    """Return the trace of a matrix product of random, possibly empty, size."""
    n, m = ints(generator, 0, 5)
    arrays = [normal(generator, n, m), normal(generator, m, n)]
    return lambda a, b: (a @ b).trace(), lambda a, b: (a @ b).trace(), arrays


_AXES = (None, 0, -1, (0, 2), [1], (0, 1, 2))
# Orders with finite derivatives at entries of 0 in PyTorch.
_ORDERS_AT_ZERO = (1, 2, 3, 4.5, np.inf, -np.inf)


def norm(generator):
    """Return norms of any order, axes and keepdim, with entries of 0."""
    p = _ORDERS_AT_ZERO[int(generator.integers(len(_ORDERS_AT_ZERO)))]
    axis = _AXES[int(generator.integers(len(_AXES)))]
    keepdim = bool(generator.integers(2))
    return (
        lambda x: x.norm(p, axis, keepdim),
        lambda x: torch.linalg.vector_norm(x, p, axis, keepdim),
        [few(generator, 2, *ints(generator, 1, 4, 2))],
    )


def norm_of_nothing(generator):
    """Return norms of 0-d and empty arrays."""
    shape = ((), (0,), (0, 3), (3, 0))[int(generator.integers(4))]
    p = (2.0, 1.0, 3.0)[int(generator.integers(3))]
    x = normal(generator, *shape)
    return lambda x: x.norm(p), lambda x: torch.linalg.vector_norm(x, p), [x]


def norm_of_order_zero(generator):
    """Return the norm of order 0, which has no backward pass in PyTorch."""
    axis = _AXES[int(generator.integers(len(_AXES)))]
    return (
        lambda x: x.detach().norm(0, axis),
        lambda x: torch.linalg.vector_norm(x.detach(), 0, axis),
        [few(generator, 2, 3, 2)],
    )


CASES = {
    "mm": same(lambda a, b: a.mm(b), (2, 3), (3, 4)),
    "bmm": same(lambda a, b: a.bmm(b), (5, 2, 3), (5, 3, 4)),
    "addmm": same(
        lambda x, a, b: x.addmm(a, b, beta=0.5, alpha=2) + x.addmm(a, b) + x.addmm(a, b, beta=0),
        (4,),
        (2, 3),
        (3, 4),
    ),
    "outer": same(lambda a, b: a.outer(b), (3,), (4,)),
    "matmul": _matmul("matmul"),
    "dot": _matmul("dot"),
    "matmul in another dtype": matmul_in_dtype,
    "diag": diag,
    "trace": trace,
    "norm of small arrays": norm,
    "norm of empty axis at kinks": norm_of_nothing,
    "norm of order 0": norm_of_order_zero,
}
