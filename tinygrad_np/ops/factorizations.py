"""Linear algebra that solves or factors: inverses, determinants, Cholesky, QR and the SVD.

All take stacks of matrices (..., n, n), also empty ones. Gradients follow Giles 2008, "An extended
collection of matrix derivative results", and where noted below another source.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from tinygrad_np.autograd.op import V, op
from tinygrad_np.autograd.tape import Shape
from tinygrad_np.errors import DtypeError, MatrixError, ShapeError
from tinygrad_np.kernels import linalg as kernels
from tinygrad_np.ops.elementwise import eq, mul, neg, where
from tinygrad_np.ops.indexing import basic_index
from tinygrad_np.ops.linalg import check_matrices, matmul, operand, swapped, tril
from tinygrad_np.ops.shape import cat, reshape
from tinygrad_np.runtime.memory import Array


def _check(name: str, x: Any, square: bool = True) -> None:
    """Refuse what is no matrix, or no square one where that is needed."""
    check_matrices(name, x)
    if square and x.shape[-1] != x.shape[-2]:
        raise ShapeError(f"{name}: got shape {x.shape}, expected square matrices, (..., n, n)")
    if x.dtype == np.float16:
        raise DtypeError(f"{name}: got float16, for which LAPACK has no routine; use .float()")


@contextmanager
def _refusing(name: str, x: Array, what: str) -> Iterator[None]:
    """Say which op met which matrices, where LAPACK fails."""
    try:
        yield
    except np.linalg.LinAlgError as error:
        raise MatrixError(
            f"{name}: got {x.shape} {x.dtype}, {'in which a matrix' if x.ndim > 2 else 'which'} "
            f"{what}; try to add a multiple of the identity, as x + 1e-3 * Tensor.eye(n)"
        ) from error


# Operations are counted, for each matrix of a stack, as in Golub and Van Loan 2013, "Matrix
# Computations": sections 3.2 (LU), 4.2 (Cholesky), 5.2 (Householder QR) and 8.6 (SVD).


def _lu_flops(x: Array) -> int:
    """2 n³ / 3, for x (..., n, n)."""
    return 2 * x.size * x.shape[-1] // 3


def _solve_flops(a: Array, out: Array) -> int:
    """2 n³ / 3 to factor, and 2 n² for each column of the result (..., n, k)."""
    n = a.shape[-1]
    return 2 * n**3 * math.prod(out.shape[:-2]) // 3 + 2 * n * out.size


def _qr_flops(x: Array) -> int:
    """4 n² (m - n / 3): half of it for R, half for Q."""
    m, n = x.shape[-2:]
    return math.prod(x.shape[:-2]) * (4 * m * n**2 - 4 * n**3 // 3)


def _svd_flops(x: Array, full_matrices: bool) -> int:
    """4 m² n + 8 m n² + 9 n³, or 14 m n² + 8 n³ for the reduced factors, with n the smaller."""
    n, m = sorted(x.shape[-2:])
    each = 4 * m**2 * n + 8 * m * n**2 + 9 * n**3 if full_matrices else 14 * m * n**2 + 8 * n**3
    return math.prod(x.shape[:-2]) * each


# Inverses.


def _inv_vjp(grad_out: Any, out: Any) -> Any:
    turned = swapped(out)
    return neg(matmul(matmul(turned, grad_out), turned))


@op("x⁻¹", vjps={"x": _inv_vjp}, floating=True, flops=lambda x: 2 * x.size * x.shape[-1])
def _inv(x: Array) -> Array:
    """Invert each matrix."""
    with _refusing("inv", x, "is singular"):
        return np.linalg.inv(x)


def inv(x: V) -> V:
    """Return the inverse of each matrix of x (..., n, n).

    Raises MatrixError where one is singular, ShapeError where they are not square.

    >>> from tinygrad_np import Tensor
    >>> Tensor([[2.0, 0.0], [0.0, 4.0]]).inv().tolist()
    [[0.5, 0.0], [0.0, 0.25]]
    """
    _check("inv", x)
    return _inv(x)


@op(
    "a⁻¹ b",
    vjps={
        "a": lambda grad_out, a, out: neg(
            matmul(_solve(swapped(a), grad_out), swapped(out)),
        ),
        "b": lambda grad_out, a: _solve(swapped(a), grad_out),
    },
    floating=True,
    flops=_solve_flops,
)
def _solve(a: Array, b: Array) -> Array:
    """Solve a y = b for y, both stacks of matrices."""
    with _refusing("solve", a, "is singular"):
        return np.linalg.solve(a, b)


def solve(x: V, b: Any) -> V:
    """Return y with x y = b for matrices x (..., n, n) and b (..., n, k), or vectors b.

    As in PyTorch, b is taken for vectors if its shape is (n,), or that of x without the last axis.
    Raises MatrixError where a matrix is singular, ShapeError where sizes do not agree.

    >>> from tinygrad_np import Tensor
    >>> Tensor([[2.0, 0.0], [0.0, 4.0]]).solve(Tensor([2.0, 2.0])).tolist()
    [1.0, 0.5]
    """
    _check("solve", x)
    b = operand("solve", b)
    is_vector = len(b.shape) == 1 or b.shape == x.shape[:-1]
    columns = reshape(b, shape=(*b.shape, 1)) if is_vector else b
    if len(columns.shape) < 2 or columns.shape[-2] != x.shape[-1]:
        raise ShapeError(
            f"solve: got matrices {x.shape} and b {b.shape}; b must have as many rows, as in "
            f"(..., {x.shape[-1]}, k), or be a vector"
        )
    out = _solve(x, columns)
    return reshape(out, shape=out.shape[:-1]) if is_vector else out


# Determinants.


def _each(x: Any) -> Any:
    """Return numbers (...) as matrices of one entry (..., 1, 1)."""
    return reshape(x, shape=(*x.shape, 1, 1))


@op(
    "det x",
    vjps={"x": lambda grad_out, x: _each(grad_out) * _cofactors(x)},
    floating=True,
    flops=_lu_flops,
)
def _det(x: Array) -> Array:
    """Determinant of each matrix."""
    return np.asarray(np.linalg.det(x))


def det(x: V) -> V:
    """Return the determinant of each matrix of x (..., n, n).

    First and second derivatives are right for singular matrices too; further ones exist for regular
    ones only. Raises ShapeError where matrices are not square.

    >>> from tinygrad_np import Tensor
    >>> Tensor([[2.0, 1.0], [0.0, 4.0]]).det()
    Tensor(8.)
    """
    _check("det", x)
    return _det(x)


def _regular_cofactors(x: Any) -> Any:
    """The op below for regular matrices, in other ops: det x x⁻ᵀ."""
    return _each(_det(x)) * swapped(_inv(x))


@op(
    "det x x⁻ᵀ",
    vjps={"x": lambda grad_out, x: kernels.cofactors_grad(grad_out, x)},
    definition=_regular_cofactors,
    flops=lambda x: _svd_flops(x, True) + 2 * _lu_flops(x) + 2 * x.size * x.shape[-1],
)
def _cofactors(x: Array) -> Array:
    """The gradient of det, also of a singular matrix."""
    with _refusing("det", x, "holds nan or inf"):
        return kernels.cofactors(x)


@op(
    "(sign det x, log |det x|)",
    vjps={"x": lambda grad_out, x: _each(basic_index(grad_out, key=1)) * swapped(_inv(x))},
    floating=True,
    flops=_lu_flops,
)
def _slogdet(x: Array) -> Array:
    """Sign and logarithm of the determinants, stacked."""
    return np.stack(np.linalg.slogdet(x))


def slogdet(x: V) -> tuple[V, V]:
    """Return the sign of each determinant of x (..., n, n), and the logarithm of its size, which
    does not overflow: det = sign e^logabsdet.

    A singular matrix has (0, -inf), and its backward raises MatrixError. The sign is constant.
    Raises ShapeError where matrices are not square.

    >>> from tinygrad_np import Tensor
    >>> Tensor([[1.0, 0.0], [0.0, -1.0]]).slogdet()
    (Tensor(-1.), Tensor(0.))
    """
    _check("slogdet", x)
    both = _slogdet(x)
    return basic_index(both, key=0), basic_index(both, key=1)


# Factors.


def _lower_half(x: Any) -> Any:
    """Return the lower triangle with half of the diagonal."""
    return (tril(x) + tril(x, -1)) * 0.5


def _cholesky_vjp(grad_out: Any, out: Any) -> Any:
    """Murray 2016, "Differentiation of the Cholesky decomposition", equation 10."""
    turned = swapped(out)
    inner = _solve(turned, _lower_half(matmul(turned, grad_out)))
    half = _solve(turned, swapped(inner))
    return (half + swapped(half)) * 0.5


@op(
    "the lower triangular L with L Lᵀ = (x + xᵀ) / 2",
    vjps={"x": _cholesky_vjp},
    floating=True,
    flops=lambda x: x.size * x.shape[-1] // 3,
)
def _cholesky(x: Array) -> Array:
    """Cholesky factor of the symmetric part."""
    with _refusing("cholesky", x, "is not positive definite"):
        return np.linalg.cholesky(0.5 * x + 0.5 * x.swapaxes(-1, -2))


def cholesky(x: V) -> V:
    """Return the lower triangular L with L Lᵀ = x, for symmetric positive definite x (..., n, n).

    Of an x that is not symmetric the symmetric part is taken, and so the gradient is symmetric.
    Raises MatrixError where a matrix is not positive definite, ShapeError where one is not square.

    >>> from tinygrad_np import Tensor
    >>> Tensor([[4.0, 2.0], [2.0, 10.0]]).cholesky().tolist()
    [[2.0, 0.0], [1.0, 3.0]]
    """
    _check("cholesky", x)
    return _cholesky(x)


def _rows(x: Any, start: int, stop: int) -> Any:
    return basic_index(x, key=(..., slice(start, stop), slice(None)))


def _columns(x: Any, start: int, stop: int) -> Any:
    return basic_index(x, key=(..., slice(start, stop)))


def _qr_vjp(grad_out: Any, out: Any, x_shape: Shape) -> Any:
    """Walter and Lehmann 2018, "Algorithmic differentiation of linear algebra functions"."""
    m, n = x_shape[-2:]
    q, r = _rows(out, 0, m), _rows(out, m, m + n)
    grad_q, grad_r = _rows(grad_out, 0, m), _rows(grad_out, m, m + n)
    inner = matmul(r, swapped(grad_r)) - matmul(swapped(grad_q), q)
    symmetric = tril(inner) + swapped(tril(inner, -1))
    return swapped(_solve(r, swapped(grad_q + matmul(q, symmetric))))


@op("Q over R, with Q R = x", vjps={"x": _qr_vjp}, floating=True, flops=_qr_flops)
def _qr(x: Array) -> Array:
    """Reduced factors of x (..., m, n), m ≥ n, in one array: one output a node."""
    return kernels.qr(x)


def qr(x: V) -> tuple[V, V]:
    """Return Q (..., m, k) with orthonormal columns and the upper triangular R (..., k, n), such
    that Q R = x (..., m, n), with k the smaller of m and n.

    Signs are LAPACK's. The first k columns of x must be independent for the gradient, which raises
    MatrixError where they are not. Raises ShapeError for fewer than two axes.

    >>> from tinygrad_np import Tensor
    >>> q, r = Tensor([[3.0, 1.0], [4.0, 2.0]]).qr()
    >>> (q @ r).data.round(3).tolist()
    [[3.0, 1.0], [4.0, 2.0]]
    """
    _check("qr", x, square=False)
    m, n = x.shape[-2:]
    if m >= n:
        packed = _qr(x)
        return _rows(packed, 0, m), _rows(packed, m, m + n)
    # The first columns alone say what Q is, and the others follow.
    packed = _qr(_columns(x, 0, m))
    q = _rows(packed, 0, m)
    rest = matmul(swapped(q), _columns(x, m, n))
    return q, cat(_rows(packed, m, 2 * m), rest, dim=-1)


def _unpacked(packed: Any, m: int, n: int, full_matrices: bool) -> tuple[Any, Any, Any]:
    """Return U, S and Vh out of the one array that holds them."""
    k = min(m, n)
    rows, columns = (m, n) if full_matrices else (k, k)
    end = m * rows + k
    batch = packed.shape[:-1]
    return (
        reshape(_columns(packed, 0, m * rows), shape=(*batch, m, rows)),
        _columns(packed, m * rows, end),
        reshape(_columns(packed, end, end + columns * n), shape=(*batch, columns, n)),
    )


def _quotient(a: Any, b: Any) -> Any:
    """Return a / b, with 0 for 0 / 0."""
    return a / where(mul(eq(a, 0), eq(b, 0)), 1.0, b)


def _svd_vjp(grad_out: Any, out: Any, x_shape: Shape, full_matrices: bool) -> Any:
    """Townsend 2016, "Differentiating the singular value decomposition"."""
    m, n = x_shape[-2:]
    k = min(m, n)
    u, s, vh = _unpacked(out, m, n, full_matrices)
    grad_u, grad_s, grad_vh = _unpacked(grad_out, m, n, full_matrices)
    u, grad_u, vh, grad_vh = (
        *(_columns(factor, 0, k) for factor in (u, grad_u)),
        *(_rows(factor, 0, k) for factor in (vh, grad_vh)),
    )
    row = reshape(s, shape=(*s.shape[:-1], 1, k))
    column = swapped(row)
    # s_j² - s_i², without the rounding of squares. Where values coincide and vectors get no
    # gradient this is 0 / 0, and 0 is meant.
    gaps = (row - column) * (row + column)
    along_u, along_v = matmul(swapped(u), grad_u), matmul(grad_vh, swapped(vh))
    turn_u = _quotient(along_u - swapped(along_u), gaps)
    turn_v = _quotient(swapped(along_v) - along_v, gaps)
    inner = turn_u * row + column * turn_v
    grad = matmul(matmul(u, inner) + u * reshape(grad_s, shape=row.shape), vh)
    if m > k:
        grad = grad + matmul(_quotient(grad_u - matmul(u, along_u), row), vh)
    if n > k:
        grad = grad + matmul(u, _quotient(grad_vh - matmul(along_v, vh), column))
    return grad


@op(
    "(U, S, Vh) with U S Vh = x",
    vjps={"x": _svd_vjp},
    floating=True,
    subgradient="0 for what full_matrices adds; inf or nan for vectors of values that coincide",
    flops=_svd_flops,
)
def _svd(x: Array, *, full_matrices: bool) -> Array:
    """Entries of the factors, in one array: one output a node."""
    with _refusing("svd", x, "holds nan or inf"):
        return kernels.svd(x, full_matrices)


def svd(x: V, full_matrices: bool = True) -> tuple[V, V, V]:
    """Return U, S and Vh of the singular value decomposition U diag(S) Vh = x (..., m, n), with the
    singular values S (..., k) in falling order and k the smaller of m and n.

    full_matrices: whether U is (..., m, m) and Vh (..., n, n), or (..., m, k) and (..., k, n). The
    vectors that this adds are constants to the gradient. That of the others is defined for
    singular values that differ; that of S always. Signs are LAPACK's. Raises MatrixError for nan
    and inf, ShapeError for fewer than two axes.

    >>> from tinygrad_np import Tensor
    >>> U, S, Vh = Tensor([[0.0, 2.0], [-3.0, 0.0]]).svd()
    >>> S.tolist()
    [3.0, 2.0]
    """
    _check("svd", x, square=False)
    m, n = x.shape[-2:]
    return _unpacked(_svd(x, full_matrices=full_matrices), m, n, full_matrices)
