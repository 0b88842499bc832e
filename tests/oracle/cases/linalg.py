"""Products, diagonals, triangles and norms, as written here and in PyTorch."""

import numpy as np

from tests.oracle.cases.tools import few, ints, normal, torch


def _matmul(name):
    """Vectors, matrices and stacks of them, also broadcast and empty."""

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
    """A product in another dtype than the operands'."""
    return (
        lambda a, b: a.dot(b, dtype=np.float64),
        lambda a, b: a.double() @ b.double(),
        [few(generator, 2, 3), few(generator, 3, 2)],
    )


def diagonal(generator):
    """Any two of three axes, any offset, also one that leaves nothing."""
    dim1, dim2 = (int(dim) for dim in generator.permutation(3)[:2])
    dim2 -= 3 * int(generator.integers(2))
    offset = int(generator.integers(-5, 6))
    return (
        lambda x: x.diagonal(offset, dim1, dim2) * 2,
        lambda x: x.diagonal(offset, dim1, dim2) * 2,
        [normal(generator, *ints(generator, 0, 5, 3))],
    )


def diag(generator):
    """A diagonal matrix, times itself so that there is a second derivative."""
    x = normal(generator, int(generator.integers(5)))
    return lambda x: x.diag() @ x.diag(), lambda x: x.diag() @ x.diag(), [x]


def trace(generator):
    """Of a product; n by m, also 0 by m."""
    n, m = ints(generator, 0, 5)
    arrays = [normal(generator, n, m), normal(generator, m, n)]
    return lambda a, b: (a @ b).trace(), lambda a, b: (a @ b).trace(), arrays


def _triangle(name):
    def make(generator):
        shape = ints(generator, 0, 4, int(generator.integers(2, 6)))
        k = int(generator.integers(-4, 5))

        def function(x):
            return getattr(x, name)(k) * x

        return function, function, [normal(generator, *shape)]

    return make


_ORDERS = (2.0, 1.0, np.inf, -np.inf, 3.0, 4.5, 1.5, 0.5, -1.0, -2.5)
# Where PyTorch has derivatives at entries of 0 that are numbers.
_ORDERS_AT_ZERO = (1, 2, 3, 4.5, np.inf, -np.inf)


def _norm(draw, orders, reduced):
    """Any order, axes and keepdim."""

    def make(generator):
        p = orders[int(generator.integers(len(orders)))]
        axis = reduced[int(generator.integers(len(reduced)))]
        keepdim = bool(generator.integers(2))
        return (
            lambda x: x.norm(p, axis, keepdim),
            lambda x: torch.linalg.vector_norm(x, p, axis, keepdim),
            [draw(generator, 2, *ints(generator, 1, 4, 2))],
        )

    return make


def norm_of_nothing(generator):
    """No axes at all, and none left."""
    shape = ((), (0,), (0, 3), (3, 0))[int(generator.integers(4))]
    p = (2.0, 1.0, 3.0)[int(generator.integers(3))]
    x = normal(generator, *shape)
    return lambda x: x.norm(p), lambda x: torch.linalg.vector_norm(x, p), [x]


def norm_of_order_zero(generator):
    """How many entries are not 0; PyTorch's has no backward."""
    axis = _AXES[int(generator.integers(len(_AXES)))]
    return (
        lambda x: x.detach().norm(0, axis),
        lambda x: torch.linalg.vector_norm(x.detach(), 0, axis),
        [few(generator, 2, 3, 2)],
    )


_AXES = (None, 0, -1, (0, 2), [1], (0, 1, 2))

CASES = {
    "matmul": _matmul("matmul"),
    "dot": _matmul("dot"),
    "matmul in another dtype": matmul_in_dtype,
    "diagonal": diagonal,
    "diag": diag,
    "trace": trace,
    "tril": _triangle("tril"),
    "triu": _triangle("triu"),
    "norm": _norm(normal, _ORDERS, _AXES),
    "norm of few": _norm(few, _ORDERS_AT_ZERO, _AXES),
    "norm of nothing": norm_of_nothing,
    "norm of order 0": norm_of_order_zero,
}
