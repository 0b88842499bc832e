"""Linear algebra without solving or factoring: matrix products, diagonals, triangles and norms."""

import math
from typing import TypeVar

import numpy as np
from numpy.typing import DTypeLike

from tinygrad_np.autograd.dispatch import V, op
from tinygrad_np.autograd.primitives import cast, expand
from tinygrad_np.autograd.tape import Variable
from tinygrad_np.checks import check_dtype
from tinygrad_np.errors import ArgumentError, DtypeError, ShapeError
from tinygrad_np.kernels import linalg as kernels
from tinygrad_np.ops.elementwise import add, clip, div, eq, logical_not, ne, select, where
from tinygrad_np.ops.reduce import Axis, normalize_axes, sum
from tinygrad_np.ops.shape import reshape, transpose
from tinygrad_np.runtime.memory import Array
from tinygrad_np.typing import Shape, Value

Operand = TypeVar("Operand")

# Products.


def read_operand(who: str, x: Operand, dtype: DTypeLike | None = None) -> Operand:
    """Return x, cast to `dtype` if given; refuse what is neither a Tensor nor an ndarray."""
    if not isinstance(x, Variable | np.ndarray):
        raise DtypeError(f"{who}: expected a Tensor or an ndarray, got a {type(x).__name__}.")
    known = x.dtype if dtype is None else check_dtype(who, dtype)
    return x if x.dtype == known else cast(x, dtype=known)


def swap_last_axes(x: V) -> V:
    """Transpose each matrix."""
    return transpose(x, dim0=-2, dim1=-1)


@op(
    "a b",
    vjps={
        "a": lambda grad_out, b: batched_matmul(grad_out, swap_last_axes(b)),
        "b": lambda grad_out, a: batched_matmul(swap_last_axes(a), grad_out),
    },
    flops=lambda a, out: 2 * out.size * a.shape[-1],
)
def batched_matmul(a: Array, b: Array) -> Array:
    """Multiply matrices in the last two axes; the axes before them broadcast."""
    if a.ndim == b.ndim == 2 and a.shape[1] == b.shape[0]:
        return kernels.product(a, b)
    return np.asarray(np.matmul(a, b))


def matmul(a: V, x: Value, dtype: DTypeLike | None = None) -> V:
    """Multiply matrices of any rank; a vector is a row on the left and a column on the right.

    Args:
        a: matrices (..., n, k), or a vector (k,).
        x: matrices (..., k, m), or a vector (k,).
        dtype: what both are cast to first, if given.

    Raises:
        ShapeError: if the lengths k differ, or an operand has no axis.

    >>> from tinygrad_np import Tensor
    >>> Tensor([[1.0, 2.0], [3.0, 4.0]]).matmul(Tensor([1.0, 1.0]))
    Tensor([3., 7.])
    """
    left, right = read_operand("matmul", a, dtype), read_operand("matmul", x, dtype)
    if not a.shape or not x.shape:
        raise ShapeError(
            f"matmul: expected at least one axis each, got shapes {a.shape} and {x.shape}. Try * "
            "for the product with a number."
        )
    if a.shape[-1] != x.shape[-2 if len(x.shape) > 1 else 0]:
        raise ShapeError(
            f"matmul: expected the last axis of the first operand, {a.shape[-1]}, to equal the "
            f"second to last (or only) axis of the second, got shapes {a.shape} and {x.shape}."
        )
    is_row, is_column = len(a.shape) == 1, len(x.shape) == 1
    if is_row:
        left = reshape(left, shape=(1, *a.shape))
    if is_column:
        right = reshape(right, shape=(*x.shape, 1))
    out = batched_matmul(left, right)
    if is_row or is_column:
        rows = () if is_row else out.shape[-2:-1]
        columns = () if is_column else out.shape[-1:]
        out = reshape(out, shape=(*out.shape[:-2], *rows, *columns))
    return out


def dot(x: V, w: Value, dtype: DTypeLike | None = None) -> V:
    """Multiply matrices of any rank, as `matmul` does.

    >>> from tinygrad_np import Tensor
    >>> Tensor([1.0, 2.0]).dot(Tensor([3.0, 4.0]))
    Tensor(11.)
    """
    return matmul(x, w, dtype)


def _flatten_rows(x: V) -> V:
    return reshape(x, shape=(math.prod(x.shape[:-1]), x.shape[-1]))


@op(
    "x weightᵀ + bias",
    vjps={
        "x": lambda grad_out, weight: matmul(grad_out, weight),
        "weight": lambda grad_out, x: batched_matmul(
            transpose(_flatten_rows(grad_out)), _flatten_rows(x)
        ),
        "bias": lambda grad_out: grad_out,
    },
    backward=kernels.linear_grads,
    backward_flops=lambda grad_out, weight, wanted: (
        2 * grad_out.size * weight.shape[1] * (wanted[0] + wanted[1])
        + (grad_out.size if wanted[2:] == (True,) else 0)
    ),
    flops=lambda x, bias, out: 2 * out.size * x.shape[-1] + (0 if bias is None else out.size),
)
def linear(x: Array, weight: Array, bias: Array | None = None) -> Array:
    """Affine map x @ weight.T + bias.

    Args:
        x: of shape (..., in).
        weight: of shape (out, in).
        bias: of shape (out,), or None.

    Raises:
        ShapeError: if the shapes do not agree.

    >>> Tensor([[1.0, 2.0]]).linear(Tensor([[3.0, 4.0]]), Tensor([0.5]))
    Tensor([[11.5]])
    """
    if not x.ndim or weight.ndim != 2 or x.shape[-1] != weight.shape[1]:
        raise ShapeError(
            f"linear: expected the last axis of the input to equal that of the weight "
            f"(in_features), got input {x.shape} and weight {weight.shape}. Try .flatten(1) for "
            "images, and x[None] for a single one."
        )
    if bias is not None and bias.shape != weight.shape[:1]:
        raise ShapeError(
            f"linear: expected a bias of shape {weight.shape[:1]}, one entry per output, got "
            f"{bias.shape}."
        )
    out = kernels.product(kernels.flatten_rows(x), weight.T)
    if bias is not None:
        np.add(out, bias, out=out)
    return out if x.ndim == 2 else out.reshape(*x.shape[:-1], len(weight))


# Diagonals and triangles.


@op(
    "the entries x[i, i + offset]",
    vjps={
        "x": lambda grad_out, x_shape, offset, dim1, dim2: put_diagonal(
            grad_out, shape=x_shape, offset=offset, dim1=dim1, dim2=dim2
        )
    },
    view=True,
)
def diagonal(x: Array, *, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Array:
    """Return the diagonal of the axes dim1 and dim2 as a last axis; a read-only view.

    Args:
        x: of at least two axes.
        offset: distance to the right of the main diagonal, or below it if negative.
        dim1: the axis of the rows.
        dim2: the axis of the columns.

    >>> Tensor([[1.0, 2.0], [3.0, 4.0]]).diagonal(offset=1)
    Tensor([2.])
    """
    return x.diagonal(offset, dim1, dim2)


@op(
    "zeros with x at [i, i + offset]",
    vjps={
        "x": lambda grad_out, offset, dim1, dim2: diagonal(
            grad_out, offset=offset, dim1=dim1, dim2=dim2
        )
    },
    flops=0,
)
def put_diagonal(x: Array, *, shape: Shape, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Array:
    """Write the last axis into a diagonal of zeros of `shape`."""
    return kernels.put_diagonal(x, shape, offset, dim1, dim2)


def diag(x: V) -> V:
    """Return the matrix (n, n) with x (n,) on its diagonal.

    >>> from tinygrad_np import Tensor
    >>> Tensor([1.0, 2.0]).diag()
    Tensor([[1., 0.],
            [0., 2.]])
    """
    if len(x.shape) != 1:
        raise ShapeError(
            f"diag: expected one axis, got shape {x.shape}. Try .diagonal() to read a diagonal."
        )
    return put_diagonal(x, shape=x.shape * 2)


def trace(x: V) -> V:
    """Sum the diagonal of each matrix of x (..., n, m).

    >>> from tinygrad_np import Tensor
    >>> Tensor([[1.0, 2.0], [3.0, 4.0]]).trace()
    Tensor(5.)
    """
    check_matrices("trace", x)
    return sum(diagonal(x, dim1=-2, dim2=-1), axis=-1)


@op(
    "x[i, j] where j - i ≤ diagonal, else 0",
    vjps={"x": lambda grad_out, diagonal: tril(grad_out, diagonal=diagonal)},
    flops=0,
)
def tril(x: Array, *, diagonal: int = 0) -> Array:
    """Keep the lower triangle of each matrix of x (..., n, m): zeros above the given diagonal.

    >>> Tensor([[1.0, 2.0], [3.0, 4.0]]).tril()
    Tensor([[1., 0.],
            [3., 4.]])
    """
    check_matrices("tril", x)
    return np.tril(x, diagonal)


@op(
    "x[i, j] where j - i ≥ diagonal, else 0",
    vjps={"x": lambda grad_out, diagonal: triu(grad_out, diagonal=diagonal)},
    flops=0,
)
def triu(x: Array, *, diagonal: int = 0) -> Array:
    """Keep the upper triangle of each matrix of x (..., n, m): zeros below the given diagonal.

    >>> Tensor([[1.0, 2.0], [3.0, 4.0]]).triu(1)
    Tensor([[0., 2.],
            [0., 0.]])
    """
    check_matrices("triu", x)
    return np.triu(x, diagonal)


def check_matrices(who: str, x: Value) -> None:
    """Refuse fewer than two axes."""
    if len(x.shape) < 2:
        raise ShapeError(f"{who}: expected matrices (..., n, m), got shape {x.shape}.")


# Norms. Powers of |x| and of |x| with the sign of x are each other's derivatives.


@op(
    "sign(x) |x|^p",
    vjps={"x": lambda grad_out, x, p: grad_out * (p * absolute_power(x, p=p - 1) if p else 0.0)},
    floating=True,
    subgradient="0 at 0 for p < 1, as for the sign",
    flops=1,
)
def signed_power(x: Array, *, p: float) -> Array:
    """Raise |x| to a power and keep the sign of x; 0 at 0."""
    return kernels.signed_power(x, p)


@op(
    "|x|^p",
    vjps={"x": lambda grad_out, x, p: grad_out * (p * signed_power(x, p=p - 1) if p else 0.0)},
    floating=True,
    subgradient="0 at 0",
    flops=1,
)
def absolute_power(x: Array, *, p: float) -> Array:
    """Raise |x| to a power; 0 at 0 for p < 0."""
    return kernels.absolute_power(x, p)


def _norm_axes(shape: Shape, axis: Axis) -> Shape:
    axes = normalize_axes("norm", np.broadcast_to(0, shape), axis)
    return tuple(range(len(shape))) if axes is None else axes


def _norm_vjp(grad_out: Value, x: Value, out: Value, p: float, axis: Axis) -> Value:
    axes = {a % len(x.shape) for a in _norm_axes(x.shape, axis)}
    row = tuple([1 if a in axes else length for a, length in enumerate(x.shape)])
    grad_out, out = reshape(grad_out, shape=row), reshape(out, shape=row)
    if p == 0:
        return expand(grad_out, shape=x.shape) * 0.0
    if math.isinf(p):
        # A nan wins, and is not equal to itself.
        size = absolute_power(x, p=1.0)
        winners = add(eq(size, out), ne(x, x))
        count = sum(cast(winners, dtype=x.dtype), axis=tuple(axes), keepdim=True)
        return select(signed_power(x, p=0.0) * (grad_out / count), winners)
    # At a norm of 0 the only derivative that favors no direction is 0.
    is_zero = eq(out, 0)
    unit = select(x / where(is_zero, 1.0, out), logical_not(is_zero))
    return grad_out * (unit if p == 2 else signed_power(unit, p=p - 1))


@op(
    "(Σ |x|^p)^(1/p)",
    vjps={"x": _norm_vjp},
    floating=True,
    subgradient="0 where the norm is 0, 0 for entries of 0, shared evenly among ties at p = ±inf",
    flops=lambda x, out: 2 * x.size + out.size,
)
def norm(x: Array, *, p: float = 2.0, axis: Axis = None, keepdim: bool = False) -> Array:
    """Return the norm of x as a vector over `axis`: an int, several, or None for all.

    p = inf and p = -inf give the largest and the smallest |x|, and p = 0 counts the nonzero
    entries. Derivatives that would be infinite, at entries of 0, are 0. Raises ShapeError for an
    empty axis if p is negative or inf.

    >>> Tensor([[3.0, 4.0], [0.0, 2.0]]).norm(axis=1)
    Tensor([5., 2.])
    """
    if isinstance(p, str | bool) or not isinstance(p, int | float | np.number) or math.isnan(p):
        raise ArgumentError(f"norm: expected p to be a number, inf or -inf, got {p!r}.")
    axes = _norm_axes(x.shape, axis)
    if not x.size and (p < 0 or p == math.inf):
        # NumPy refuses to reduce over an empty axis: these norms of nothing are undefined.
        np.max(x, axis=axes)
    out = kernels.norm(x, float(p), axes)
    return out if keepdim else out.squeeze(axes)


def normalize(x: V, p: float = 2.0, dim: int = 1, eps: float = 1e-12) -> V:
    """Divide x by its norm along `dim`, or by `eps` where that is larger.

    >>> from tinygrad_np import Tensor
    >>> Tensor([[3.0, 4.0], [0.0, 0.0]]).normalize()
    Tensor([[0.6, 0.8],
            [0. , 0. ]])
    """
    return div(x, clip(norm(x, p, dim, keepdim=True), eps))
