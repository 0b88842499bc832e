"""Linear algebra that solves and factors nothing: products of matrices, diagonals and triangles,
norms."""

import math
from typing import Any

import numpy as np

from tinygrad_np.autograd.op import V, cast, expand, known_dtype, op
from tinygrad_np.autograd.tape import Shape, Variable
from tinygrad_np.errors import ArgumentError, DtypeError, ShapeError
from tinygrad_np.kernels import linalg as kernels
from tinygrad_np.ops.elementwise import _div, add, clip, eq, logical_not, ne, select, where
from tinygrad_np.ops.reduce import axes_of, sum
from tinygrad_np.ops.shape import reshape, transpose
from tinygrad_np.runtime.memory import Array

# Products.


def operand(name: str, x: Any, dtype: Any = None) -> Any:
    """Return x in `dtype` where that is not None; refuse what is not a Tensor or an ndarray."""
    if not isinstance(x, Variable | np.ndarray):
        raise DtypeError(f"{name}: got a {type(x).__name__}, expected a Tensor or an ndarray")
    if dtype is None:
        return x
    known = known_dtype(name, dtype)
    return x if x.dtype == known else cast(x, dtype=known)


def swapped(x: Any) -> Any:
    """Return matrices transposed: the last two axes exchanged."""
    return transpose(x, dim0=-2, dim1=-1)


@op(
    "a b",
    vjps={
        "a": lambda grad_out, b: _matmul(grad_out, swapped(b)),
        "b": lambda grad_out, a: _matmul(swapped(a), grad_out),
    },
    flops=lambda a, out: 2 * out.size * a.shape[-1],
)
def _matmul(a: Array, b: Array) -> Array:
    """Product of matrices in the last two axes; the axes before them broadcast."""
    if a.ndim == b.ndim == 2 and a.shape[1] == b.shape[0]:
        return kernels.product(a, b)
    return np.asarray(np.matmul(a, b))


def matmul(a: V, x: Any, dtype: Any = None) -> V:
    """Return the product of matrices of any rank; a vector counts as a row on the left, a column
    on the right.

    a: (..., n, k) or (k,); x: (..., k, m) or (k,); both are cast to `dtype` first, if given. Raises
    ShapeError where the lengths k differ or an operand has no axis.

    >>> from tinygrad_np import Tensor
    >>> Tensor([[1.0, 2.0], [3.0, 4.0]]).matmul(Tensor([1.0, 1.0]))
    Tensor([3., 7.])
    """
    left, right = (operand("matmul", side, dtype) for side in (a, x))
    if not a.shape or not x.shape:
        raise ShapeError(
            f"matmul: got shapes {a.shape} and {x.shape}, expected at least one axis each; use * "
            "for the product with a number"
        )
    if a.shape[-1] != x.shape[-2 if len(x.shape) > 1 else 0]:
        raise ShapeError(
            f"matmul: got shapes {a.shape} and {x.shape}; the last axis of the first, "
            f"{a.shape[-1]}, must equal the last but one (or only) axis of the second"
        )
    is_row, is_column = len(a.shape) == 1, len(x.shape) == 1
    if is_row:
        left = reshape(left, shape=(1, *a.shape))
    if is_column:
        right = reshape(right, shape=(*x.shape, 1))
    out = _matmul(left, right)
    if is_row or is_column:
        rows = () if is_row else out.shape[-2:-1]
        columns = () if is_column else out.shape[-1:]
        out = reshape(out, shape=(*out.shape[:-2], *rows, *columns))
    return out


def dot(x: V, w: Any, dtype: Any = None) -> V:
    """Return the product of matrices of any rank: matmul by another name.

    >>> from tinygrad_np import Tensor
    >>> Tensor([1.0, 2.0]).dot(Tensor([3.0, 4.0]))
    Tensor(11.)
    """
    return matmul(x, w, dtype)


@op(
    "x weightᵀ + bias",
    vjps={
        "x": lambda grad_out, weight: _matmul(grad_out, weight),
        "weight": lambda grad_out, x: _matmul(swapped(grad_out), x),
        "bias": lambda grad_out: sum(grad_out, axis=0),
    },
    joint=lambda grad_out, x, weight, wanted: kernels.linear_grads(grad_out, x, weight, wanted),
    fresh=True,
    flops=lambda x, bias, out: 2 * out.size * x.shape[-1] + (0 if bias is None else out.size),
)
def _linear(x: Array, weight: Array, bias: Array | None = None) -> Array:
    """Affine map of rows: x (N, in), weight (out, in), bias (out,)."""
    out = kernels.product(x, weight.T)
    return out if bias is None else np.add(out, bias, out=out)


def linear(x: V, weight: Any, bias: Any = None) -> V:
    """Return x @ weight.T + bias: x (..., in), weight (out, in), bias (out,) or None.

    Raises ShapeError where these do not agree.

    >>> from tinygrad_np import Tensor
    >>> Tensor([[1.0, 2.0]]).linear(Tensor([[3.0, 4.0]]), Tensor([0.5]))
    Tensor([[11.5]])
    """
    if not x.shape or len(weight.shape) != 2 or x.shape[-1] != weight.shape[1]:
        raise ShapeError(
            f"linear: got input {x.shape} and weight {weight.shape}; the input's last axis must "
            "be the weight's last (in_features); flatten images first, as with .flatten(1), "
            "and give a single one its batch axis, as x[None]"
        )
    if bias is not None and bias.shape != weight.shape[:1]:
        raise ShapeError(
            f"linear: got bias {bias.shape}, expected {weight.shape[:1]}, one entry an output"
        )
    if len(x.shape) == 2:
        return _linear(x, weight, bias)
    rows = _linear(reshape(x, shape=(-1, x.shape[-1])), weight, bias)
    return reshape(rows, shape=(*x.shape[:-1], weight.shape[0]))


# Diagonals and triangles.


@op(
    "the entries x[i, i + offset]",
    vjps={
        "x": lambda grad_out, x_shape, offset, dim1, dim2: _put_diagonal(
            grad_out, shape=x_shape, offset=offset, dim1=dim1, dim2=dim2
        )
    },
    view=True,
)
def _diagonal(x: Array, *, offset: int, dim1: int, dim2: int) -> Array:
    """Read a diagonal of the axes dim1 and dim2 as a last axis: a read-only view."""
    return x.diagonal(offset, dim1, dim2)


@op(
    "zeros with x at [i, i + offset]",
    vjps={
        "x": lambda grad_out, offset, dim1, dim2: _diagonal(
            grad_out, offset=offset, dim1=dim1, dim2=dim2
        )
    },
    flops=0,
)
def _put_diagonal(x: Array, *, shape: Shape, offset: int, dim1: int, dim2: int) -> Array:
    """Write the last axis into a diagonal of zeros of `shape`."""
    return kernels.put_diagonal(x, shape, offset, dim1, dim2)


def diagonal(x: V, offset: int = 0, dim1: int = 0, dim2: int = 1) -> V:
    """Return the diagonal of the axes dim1 and dim2, as a last axis; a view.

    offset: how far to the right of the main diagonal, or below it if negative. Raises AxisError for
    axes that x does not have, ShapeError for one axis twice.

    >>> from tinygrad_np import Tensor
    >>> Tensor([[1.0, 2.0], [3.0, 4.0]]).diagonal(offset=1)
    Tensor([2.])
    """
    return _diagonal(x, offset=offset, dim1=dim1, dim2=dim2)


def diag(x: V) -> V:
    """Return the matrix (n, n) that has x (n,) on its diagonal.

    Raises ShapeError for other than one axis.

    >>> from tinygrad_np import Tensor
    >>> Tensor([1.0, 2.0]).diag()
    Tensor([[1., 0.],
            [0., 2.]])
    """
    if len(x.shape) != 1:
        raise ShapeError(
            f"diag: got shape {x.shape}, expected one axis; .diagonal() reads that of a matrix"
        )
    return _put_diagonal(x, shape=x.shape * 2, offset=0, dim1=0, dim2=1)


def trace(x: V) -> V:
    """Return the sum of the diagonal of x (n, m), or of each matrix of x (..., n, m).

    Raises ShapeError for fewer than two axes.

    >>> from tinygrad_np import Tensor
    >>> Tensor([[1.0, 2.0], [3.0, 4.0]]).trace()
    Tensor(5.)
    """
    check_matrices("trace", x)
    return sum(diagonal(x, 0, -2, -1), axis=-1)


@op(
    "x[i, j] where j - i ≤ diagonal, else 0",
    vjps={"x": lambda grad_out, diagonal: _tril(grad_out, diagonal=diagonal)},
    flops=0,
)
def _tril(x: Array, *, diagonal: int) -> Array:
    """Keep the lower triangle of each matrix."""
    return np.tril(x, diagonal)


@op(
    "x[i, j] where j - i ≥ diagonal, else 0",
    vjps={"x": lambda grad_out, diagonal: _triu(grad_out, diagonal=diagonal)},
    flops=0,
)
def _triu(x: Array, *, diagonal: int) -> Array:
    """Keep the upper triangle of each matrix."""
    return np.triu(x, diagonal)


def tril(x: V, diagonal: int = 0) -> V:
    """Return x (..., n, m) with zeros above the given diagonal of each matrix.

    Raises ShapeError for fewer than two axes.

    >>> from tinygrad_np import Tensor
    >>> Tensor([[1.0, 2.0], [3.0, 4.0]]).tril()
    Tensor([[1., 0.],
            [3., 4.]])
    """
    check_matrices("tril", x)
    return _tril(x, diagonal=diagonal)


def triu(x: V, diagonal: int = 0) -> V:
    """Return x (..., n, m) with zeros below the given diagonal of each matrix.

    Raises ShapeError for fewer than two axes.

    >>> from tinygrad_np import Tensor
    >>> Tensor([[1.0, 2.0], [3.0, 4.0]]).triu(1)
    Tensor([[0., 2.],
            [0., 0.]])
    """
    check_matrices("triu", x)
    return _triu(x, diagonal=diagonal)


def check_matrices(name: str, x: Any) -> None:
    """Refuse fewer than two axes."""
    if len(x.shape) < 2:
        raise ShapeError(f"{name}: got shape {x.shape}, expected matrices, (..., n, m)")


# Norms. Powers of |x| and of |x| with the sign of x are each other's derivatives.


@op(
    "sign(x) |x|^p",
    vjps={"x": lambda grad_out, x, p: grad_out * (p * _absolute_power(x, p=p - 1) if p else 0.0)},
    floating=True,
    subgradient="0 at 0 for p < 1, as for the sign",
    flops=1,
)
def _signed_power(x: Array, *, p: float) -> Array:
    """Power of the absolute value, with the sign of x; 0 at 0."""
    return kernels.signed_power(x, p)


@op(
    "|x|^p",
    vjps={"x": lambda grad_out, x, p: grad_out * (p * _signed_power(x, p=p - 1) if p else 0.0)},
    floating=True,
    subgradient="0 at 0",
    flops=1,
)
def _absolute_power(x: Array, *, p: float) -> Array:
    """Power of the absolute value; 0 at 0 for p < 0."""
    return kernels.absolute_power(x, p)


def _norm_vjp(grad_out: Any, x: Any, out: Any, p: float, axis: Any) -> Any:
    if p == 0:
        return expand(grad_out, shape=x.shape) * 0.0
    if math.isinf(p):
        # A nan wins, and is not equal to itself.
        size = _absolute_power(x, p=1.0)
        winners = add(eq(size, out), ne(x, x))
        count = sum(cast(winners, dtype=x.dtype), axis=axis, keepdim=True)
        return select(_signed_power(x, p=0.0) * (grad_out / count), winners)
    # A norm of 0, where no other derivative than 0 is even-handed.
    is_zero = eq(out, 0)
    unit = select(x / where(is_zero, 1.0, out), logical_not(is_zero))
    return grad_out * (unit if p == 2 else _signed_power(unit, p=p - 1))


@op(
    "(Σ |x|^p)^(1/p)",
    vjps={"x": _norm_vjp},
    floating=True,
    subgradient="0 where the norm is 0, 0 for entries of 0, shared evenly among ties at p = ±inf",
    flops=lambda x, out: 2 * x.size + out.size,
)
def _norm(x: Array, *, p: float, axis: Any) -> Array:
    """Norm of vectors along `axis`, which is kept at length 1."""
    if not x.size and (p < 0 or p == math.inf):
        # Refuses to reduce over nothing, of which these norms are no number.
        np.max(x, axis=axis)
    return kernels.norm(x, p, axis)


def norm(x: V, p: float = 2.0, axis: Any = None, keepdim: bool = False) -> V:
    """Return the norm of x as a vector, (Σ |x|^p)^(1/p), over `axis`: an int, several, or None for
    all; integers give float32.

    p = inf and -inf give the largest and the smallest |x|, and 0 counts what is not 0. The gradient
    is 0 where the norm is 0; derivatives at entries of 0, where they are infinite, are taken as 0.
    Raises ArgumentError for a p that is no number, ShapeError for an empty axis where p is negative
    or inf.

    >>> from tinygrad_np import Tensor
    >>> Tensor([[3.0, 4.0], [0.0, 2.0]]).norm(axis=1)
    Tensor([5., 2.])
    """
    if isinstance(p, str | bool) or not isinstance(p, int | float | np.number) or math.isnan(p):
        raise ArgumentError(f"norm p: got {p!r}, expected a number, inf or -inf")
    axes = tuple(range(len(x.shape))) if axis is None else axes_of("norm", x, axis)
    kept = _norm(x, p=float(p), axis=axes)
    if keepdim:
        return kept
    reduced = {a % len(x.shape) for a in axes or ()}
    return reshape(kept, shape=tuple(n for a, n in enumerate(x.shape) if a not in reduced))


def normalize(x: V, p: float = 2.0, dim: int = 1, eps: float = 1e-12) -> V:
    """Return x divided by its norm along `dim`, or by `eps` where that is larger.

    Raises ArgumentError and AxisError as norm does.

    >>> from tinygrad_np import Tensor
    >>> Tensor([[3.0, 4.0], [0.0, 0.0]]).normalize()
    Tensor([[0.6, 0.8],
            [0. , 0. ]])
    """
    return _div(x, clip(norm(x, p, dim, keepdim=True), eps))
