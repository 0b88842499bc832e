"""Inverses, linear solves, determinants, and the Cholesky, QR and singular value decompositions.

All ops accept stacks of matrices (..., m, n), including empty ones; all but QR and SVD require
m = n. Gradients follow Giles 2008,
"An extended collection of matrix derivative results", unless another source is given.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from tinygrad_np.autograd.dispatch import V, op
from tinygrad_np.errors import DtypeError, MatrixError, ShapeError
from tinygrad_np.kernels import linalg as kernels
from tinygrad_np.ops.elementwise import eq, mul, neg, where
from tinygrad_np.ops.indexing import basic_index
from tinygrad_np.ops.linalg import check_matrices, matmul, swap_last_axes, tril
from tinygrad_np.ops.shape import cat, reshape
from tinygrad_np.runtime.memory import Array
from tinygrad_np.typing import Shape, Value


def _check(who: str, x: Value, is_square: bool = True) -> None:
    """Raise unless x contains matrices (square ones if `is_square`) of a dtype LAPACK supports."""
    check_matrices(who, x)
    if is_square and x.shape[-1] != x.shape[-2]:
        raise ShapeError(f"{who}: expected square matrices (..., n, n), got shape {x.shape}.")
    if x.dtype == np.float16:
        raise DtypeError(f"{who}: expected float32 or float64, got float16. Try .float().")


@contextmanager
def _explain_failure(who: str, x: Array, expected: str, got: str) -> Iterator[None]:
    """Convert an error of LAPACK to a MatrixError that names the op and its input."""
    try:
        yield
    except np.linalg.LinAlgError as error:
        raise MatrixError(
            f"{who}: expected {expected} matrices, got {got} (input is {x.shape} {x.dtype}). If "
            "the entries are finite, try adding a multiple of the identity, as in x + 1e-3 * "
            "Tensor.eye(n)."
        ) from error


# FLOPs per matrix follow Golub and Van Loan 2013, "Matrix Computations": sections 3.2 (LU), 4.2
# (Cholesky), 5.2 (Householder QR) and 8.6 (SVD).


def _lu_flops(x: Array) -> int:
    """Return 2 n³ / 3 per matrix, for x (..., n, n)."""
    return 2 * x.size * x.shape[-1] // 3


def _solve_flops(x: Array, out: Array) -> int:
    """Return 2 n³ / 3 to factor, and 2 n² for each column of the result."""
    n = x.shape[-1]
    batch = out.shape[: -2 if out.ndim >= x.ndim else -1]
    return 2 * n**3 * math.prod(batch) // 3 + 2 * n * out.size


def _qr_flops(x: Array) -> int:
    """Return 4 n² (m - n / 3) per matrix: half of it for R, half for Q."""
    m, n = x.shape[-2:]
    return math.prod(x.shape[:-2]) * (4 * m * n**2 - 4 * n**3 // 3)


def _svd_flops(x: Array, full_matrices: bool) -> int:
    """Return 4 m² n + 8 m n² + 9 n³ per matrix (full) or 14 m n² + 8 n³ (reduced), with n ≤ m."""
    n, m = sorted(x.shape[-2:])
    each = 4 * m**2 * n + 8 * m * n**2 + 9 * n**3 if full_matrices else 14 * m * n**2 + 8 * n**3
    return math.prod(x.shape[:-2]) * each


# Inverses.


def _inv_vjp(grad_out: Value, out: Value) -> Value:
    transposed = swap_last_axes(out)
    return neg(matmul(matmul(transposed, grad_out), transposed))


@op("x⁻¹", vjps={"x": _inv_vjp}, floating=True, flops=lambda x: 2 * x.size * x.shape[-1])
def inv(x: Array) -> Array:
    """Invert each matrix of x (..., n, n).

    Raises:
        MatrixError: if a matrix is singular.
        DtypeError: if x is float16.
        ShapeError: if x does not contain square matrices.

    >>> Tensor([[2.0, 0.0], [0.0, 4.0]]).inv()
    Tensor([[0.5 , 0.  ],
            [0.  , 0.25]])
    """
    _check("inv", x)
    with _explain_failure("inv", x, "invertible", "a singular one"):
        return np.linalg.inv(x)


def _as_column(x: V) -> V:
    return reshape(x, shape=(*x.shape, 1))


def _solve_vjp(grad_out: Value, x: Value, out: Value) -> Value:
    grad_b = solve(swap_last_axes(x), grad_out)
    if len(out.shape) < len(x.shape):
        grad_b, out = _as_column(grad_b), _as_column(out)
    return neg(matmul(grad_b, swap_last_axes(out)))


@op(
    "x⁻¹ b",
    vjps={
        "x": _solve_vjp,
        "b": lambda grad_out, x: solve(swap_last_axes(x), grad_out),
    },
    floating=True,
    flops=_solve_flops,
)
def solve(x: Array, b: Array) -> Array:
    """Solve x y = b for y.

    Args:
        x: matrices of shape (..., n, n).
        b: matrices of shape (..., n, k), or vectors. As in PyTorch, `b` holds vectors if its shape
            is (n,) or the shape of `x` without the last axis.

    Returns:
        The solution, with one column per column of `b`.

    Raises:
        MatrixError: if a matrix is singular.
        ShapeError: if x does not contain square matrices, or the shape of `b` does not match.
        DtypeError: if x is float16.

    >>> Tensor([[2.0, 0.0], [0.0, 4.0]]).solve(Tensor([2.0, 2.0]))
    Tensor([1. , 0.5])
    """
    _check("solve", x)
    shape = np.shape(b)
    is_vector = len(shape) == 1 or shape == x.shape[:-1]
    if not shape or shape[-1 if is_vector else -2] != x.shape[-1]:
        raise ShapeError(
            f"solve: expected `b` to be a vector of length {x.shape[-1]} or matrices (..., "
            f"{x.shape[-1]}, k) for x of shape {x.shape}, got shape {shape}."
        )
    with _explain_failure("solve", x, "invertible", "a singular one"):
        out = np.linalg.solve(x, b[..., None] if is_vector else b)
    return out[..., 0] if is_vector else out


# Determinants.


def _as_matrices(x: V) -> V:
    """Reshape numbers (...) to 1 x 1 matrices (..., 1, 1)."""
    return reshape(x, shape=(*x.shape, 1, 1))


@op(
    "det x",
    vjps={"x": lambda grad_out, x: _as_matrices(grad_out) * cofactors(x)},
    floating=True,
    flops=_lu_flops,
)
def det(x: Array) -> Array:
    """Compute the determinant of each matrix of x (..., n, n).

    First and second derivatives exist for all matrices, higher ones only for invertible matrices.

    Raises:
        DtypeError: if x is float16.
        MatrixError: in the backward pass, if x contains nan; an inf may give nan instead.
        ShapeError: if x does not contain square matrices.

    >>> Tensor([[2.0, 1.0], [0.0, 4.0]]).det()
    Tensor(8.)
    """
    _check("det", x)
    return np.asarray(np.linalg.det(x))


@op(
    "det x x⁻ᵀ",
    # Valid only for invertible matrices.
    definition=lambda x: _as_matrices(det(x)) * swap_last_axes(inv(x)),
    differentiable=("x",),
    backward=lambda grad_out, x: [kernels.cofactors_grad(grad_out, x)],
    flops=lambda x: _svd_flops(x, True) + 2 * _lu_flops(x) + 2 * x.size * x.shape[-1],
)
def cofactors(x: Array) -> Array:
    """Return the gradient of `det`, which exists for singular matrices as well.

    Raises:
        MatrixError: if x contains nan; an inf may give nan instead.
    """
    with _explain_failure("det", x, "finite", "nan or inf"):
        return kernels.cofactors(x)


@op(
    "(sign det x, log |det x|)",
    vjps={
        "x": lambda grad_out, x: _as_matrices(basic_index(grad_out, key=1)) * swap_last_axes(inv(x))
    },
    floating=True,
    flops=_lu_flops,
)
def sign_and_logdet(x: Array) -> Array:
    """Stack the signs and the log |det x| of the matrices in one array of shape (2, ...)."""
    return np.stack(np.linalg.slogdet(x))


def slogdet(x: V) -> tuple[V, V]:
    """Compute the sign and log |det x| for each matrix of x (..., n, n).

    The determinant is sign * exp(log |det x|); the logarithm does not overflow. A singular matrix
    gives (0, -inf). The gradient of the sign is 0.

    Raises:
        DtypeError: if x is float16.
        MatrixError: in the backward pass, if a matrix is singular.
        ShapeError: if x does not contain square matrices.

    >>> from tinygrad_np import Tensor
    >>> Tensor([[1.0, 0.0], [0.0, -1.0]]).slogdet()
    (Tensor(-1.), Tensor(0.))
    """
    _check("slogdet", x)
    both = sign_and_logdet(x)
    return basic_index(both, key=0), basic_index(both, key=1)


# Factors.


def _halve_diagonal(x: Value) -> Value:
    """Return the lower triangle of x with the diagonal halved."""
    return (tril(x) + tril(x, -1)) * 0.5


def _cholesky_vjp(grad_out: Value, out: Value) -> Value:
    """Follow Murray 2016, "Differentiation of the Cholesky decomposition", equation 10."""
    upper = swap_last_axes(out)
    inner = solve(upper, _halve_diagonal(matmul(upper, grad_out)))
    half = solve(upper, swap_last_axes(inner))
    return (half + swap_last_axes(half)) * 0.5


@op(
    "the lower triangular L with L Lᵀ = (x + xᵀ) / 2",
    vjps={"x": _cholesky_vjp},
    floating=True,
    flops=lambda x: x.size * x.shape[-1] // 3,
)
def cholesky(x: Array) -> Array:
    """Factor symmetric positive definite x (..., n, n) into L Lᵀ with L lower triangular.

    Only the symmetric part of x is used, so the gradient is symmetric.

    Raises:
        MatrixError: if a matrix is not positive definite.
        DtypeError: if x is float16.
        ShapeError: if x does not contain square matrices.

    >>> Tensor([[4.0, 2.0], [2.0, 10.0]]).cholesky().tolist()
    [[2.0, 0.0], [1.00000, 3.00000]]
    """
    _check("cholesky", x)
    with _explain_failure("cholesky", x, "positive definite", "one that is not"):
        return np.linalg.cholesky(0.5 * x + 0.5 * x.swapaxes(-1, -2))


def _rows(x: V, start: int, stop: int) -> V:
    return basic_index(x, key=(..., slice(start, stop), slice(None)))


def _columns(x: V, start: int, stop: int) -> V:
    return basic_index(x, key=(..., slice(start, stop)))


def _qr_vjp(grad_out: Value, out: Value, x_shape: Shape) -> Value:
    """Follow Walter and Lehmann 2018, "Algorithmic differentiation of linear algebra functions"."""
    m, n = x_shape[-2:]
    q, r = _rows(out, 0, m), _rows(out, m, m + n)
    grad_q, grad_r = _rows(grad_out, 0, m), _rows(grad_out, m, m + n)
    inner = matmul(r, swap_last_axes(grad_r)) - matmul(swap_last_axes(grad_q), q)
    symmetric = tril(inner) + swap_last_axes(tril(inner, -1))
    return swap_last_axes(solve(r, swap_last_axes(grad_q + matmul(q, symmetric))))


@op("Q stacked on R, with Q R = x", vjps={"x": _qr_vjp}, floating=True, flops=_qr_flops)
def packed_qr(x: Array) -> Array:
    """Factor x (..., m, n), m ≥ n, and stack Q on R, because an op has a single output."""
    return kernels.qr(x)


def qr(x: V) -> tuple[V, V]:
    """Factor x (..., m, n) into Q R: Q with orthonormal columns, R upper triangular.

    Returns:
        Q of shape (..., m, k) and R of shape (..., k, n), where k is the smaller of m and n. The
        signs are LAPACK's.

    Raises:
        DtypeError: if x is float16.
        MatrixError: in the backward pass, if the first k columns of x are linearly dependent.
        ShapeError: if x has fewer than two axes.

    >>> from tinygrad_np import Tensor
    >>> q, r = Tensor([[3.0, 1.0], [4.0, 2.0]]).qr()
    >>> (q @ r).data.round(3).tolist()
    [[3.0, 1.0], [4.0, 2.0]]
    """
    _check("qr", x, is_square=False)
    m, n = x.shape[-2:]
    if m >= n:
        packed = packed_qr(x)
        return _rows(packed, 0, m), _rows(packed, m, m + n)
    # The first m columns determine Q; the remaining columns of R follow from it.
    packed = packed_qr(_columns(x, 0, m))
    q = _rows(packed, 0, m)
    rest = matmul(swap_last_axes(q), _columns(x, m, n))
    return q, cat(_rows(packed, m, 2 * m), rest, dim=-1)


def _unpack_svd(packed: V, m: int, n: int, full_matrices: bool) -> tuple[V, V, V]:
    """Return U, S and Vh from the array that holds their entries."""
    k = min(m, n)
    rows, columns = (m, n) if full_matrices else (k, k)
    end = m * rows + k
    batch = packed.shape[:-1]
    return (
        reshape(_columns(packed, 0, m * rows), shape=(*batch, m, rows)),
        _columns(packed, m * rows, end),
        reshape(_columns(packed, end, end + columns * n), shape=(*batch, columns, n)),
    )


def _divide(a: Value, b: Value) -> Value:
    """Return a / b, with 0 / 0 = 0."""
    return a / where(mul(eq(a, 0), eq(b, 0)), 1.0, b)


def _svd_vjp(grad_out: Value, out: Value, x_shape: Shape, full_matrices: bool) -> Value:
    """Follow Townsend 2016, "Differentiating the singular value decomposition"."""
    m, n = x_shape[-2:]
    k = min(m, n)
    u, s, vh = _unpack_svd(out, m, n, full_matrices)
    grad_u, grad_s, grad_vh = _unpack_svd(grad_out, m, n, full_matrices)
    u, grad_u, vh, grad_vh = (
        *(_columns(factor, 0, k) for factor in (u, grad_u)),
        *(_rows(factor, 0, k) for factor in (vh, grad_vh)),
    )
    row = reshape(s, shape=(*s.shape[:-1], 1, k))
    column = swap_last_axes(row)
    # s_j² - s_i², factored to avoid rounding the squares. For equal singular values whose vectors
    # get no gradient, the quotient below is 0 / 0 and must be 0.
    gaps = (row - column) * (row + column)
    along_u, along_v = matmul(swap_last_axes(u), grad_u), matmul(grad_vh, swap_last_axes(vh))
    rotation_u = _divide(along_u - swap_last_axes(along_u), gaps)
    rotation_v = _divide(swap_last_axes(along_v) - along_v, gaps)
    inner = rotation_u * row + column * rotation_v
    grad = matmul(matmul(u, inner) + u * reshape(grad_s, shape=row.shape), vh)
    if m > k:
        grad = grad + matmul(_divide(grad_u - matmul(u, along_u), row), vh)
    if n > k:
        grad = grad + matmul(u, _divide(grad_vh - matmul(along_v, vh), column))
    return grad


@op(
    "(U, S, Vh) with U S Vh = x",
    vjps={"x": _svd_vjp},
    floating=True,
    subgradient="0 for vectors added by full_matrices; inf or nan for those of equal values in S",
    flops=_svd_flops,
)
def packed_svd(x: Array, *, full_matrices: bool = True) -> Array:
    """Factor x and concatenate the entries of U, S and Vh, because an op has a single output.

    Raises:
        MatrixError: if x contains nan; an inf may give nan instead.
    """
    with _explain_failure("svd", x, "finite", "nan or inf"):
        return kernels.svd(x, full_matrices)


def svd(x: V, full_matrices: bool = True) -> tuple[V, V, V]:
    """Compute the singular value decomposition U diag(S) Vh = x.

    Args:
        x: matrices of shape (..., m, n); k is the smaller of m and n.
        full_matrices: whether U is (..., m, m) and Vh (..., n, n), instead of (..., m, k) and
            (..., k, n). The additional vectors have no gradient.

    Returns:
        U, the singular values S of shape (..., k) in descending order, and Vh. The signs are
        LAPACK's.

    Raises:
        MatrixError: if x contains nan; an inf may give nan instead.
        DtypeError: if x is float16.
        ShapeError: if x has fewer than two axes.

    The gradient through S is always finite. The gradient through U and Vh is finite if the singular
    values differ and, unless x is square, are nonzero.

    >>> from tinygrad_np import Tensor
    >>> U, S, Vh = Tensor([[0.0, 2.0], [-3.0, 0.0]]).svd()
    >>> S
    Tensor([3., 2.])
    """
    _check("svd", x, is_square=False)
    m, n = x.shape[-2:]
    return _unpack_svd(packed_svd(x, full_matrices=full_matrices), m, n, full_matrices)
