"""Linear algebra without factorizations: matrix products, diagonals, triangles and norms."""

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
from tinygrad_np.ops.elementwise import (
    add,
    div,
    eq,
    keep_where,
    logical_not,
    maximum,
    mul,
    ne,
    where,
    zero_vjp,
)
from tinygrad_np.ops.reduce import Axis, divide_by_count, normalize_axes, scale_of_large, sum
from tinygrad_np.ops.shape import reshape, transpose
from tinygrad_np.runtime.memory import Array
from tinygrad_np.typing import Shape, Value

Operand = TypeVar("Operand")

# Products.


def read_operand(who: str, x: Operand, dtype: DTypeLike | None = None) -> Operand:
    """Return x, cast to `dtype` if given; raise DtypeError unless it is a Tensor or an ndarray."""
    if not isinstance(x, Variable | np.ndarray):
        raise DtypeError(f"{who}: expected a Tensor or an ndarray, got {type(x).__name__}.")
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
    """Multiply the matrices in the last two axes; leading axes broadcast."""
    if a.ndim == b.ndim == 2 and a.shape[1] == b.shape[0]:
        return kernels.product(a, b)
    return np.asarray(np.matmul(a, b))


def matmul(x: V, other: Value, dtype: DTypeLike | None = None) -> V:
    """Multiply matrices; leading axes broadcast.

    A vector is treated as a row on the left and as a column on the right.

    Args:
        x: matrices (..., n, k), or a vector (k,).
        other: matrices (..., k, m), or a vector (k,).
        dtype: if given, both operands are cast to it first.

    Raises:
        DtypeError: if an operand is neither a Tensor nor an ndarray, or `dtype` is not a float, int
            or bool dtype.
        ShapeError: if the lengths k differ, the leading axes do not broadcast, or an operand is
            0-d.

    >>> from tinygrad_np import Tensor
    >>> Tensor([[1.0, 2.0], [3.0, 4.0]]).matmul(Tensor([1.0, 1.0]))
    Tensor([3., 7.])
    """
    left, right = read_operand("matmul", x, dtype), read_operand("matmul", other, dtype)
    if not x.shape or not other.shape:
        raise ShapeError(
            "matmul: expected operands with at least one axis, got shapes "
            f"{x.shape} and {other.shape}. Use * to multiply by a number."
        )
    if x.shape[-1] != other.shape[-2 if len(other.shape) > 1 else 0]:
        raise ShapeError(
            f"matmul: expected the last axis of the first operand ({x.shape[-1]}) to match the "
            f"second-to-last (or only) axis of the second, got shapes {x.shape} and {other.shape}."
        )
    is_row, is_column = len(x.shape) == 1, len(other.shape) == 1
    if is_row:
        left = reshape(left, shape=(1, *x.shape))
    if is_column:
        right = reshape(right, shape=(*other.shape, 1))
    out = batched_matmul(left, right)
    if is_row or is_column:
        rows = () if is_row else out.shape[-2:-1]
        columns = () if is_column else out.shape[-1:]
        out = reshape(out, shape=(*out.shape[:-2], *rows, *columns))
    return out


def dot(x: V, w: Value, dtype: DTypeLike | None = None) -> V:
    """Multiply matrices, as `matmul` does.

    Raises:
        DtypeError: as in `matmul`.
        ShapeError: as in `matmul`.

    >>> from tinygrad_np import Tensor
    >>> Tensor([1.0, 2.0]).dot(Tensor([3.0, 4.0]))
    Tensor(11.)
    """
    return matmul(x, w, dtype)


def _check_rank(who: str, rank: int, *operands: Value) -> None:
    if any(len(x.shape) != rank for x in operands):
        raise ShapeError(
            f"{who}: expected operands with {rank} {'axis' if rank == 1 else 'axes'}, got shapes "
            f"{' and '.join([str(x.shape) for x in operands])}. Use matmul for other shapes."
        )


def mm(x: V, mat2: Value) -> V:
    """Multiply two matrices, of shapes (n, k) and (k, m).

    Raises:
        ShapeError: if an operand is not a matrix, or the lengths k differ.

    >>> from tinygrad_np import Tensor
    >>> Tensor([[1.0, 2.0]]).mm(Tensor([[3.0], [4.0]]))
    Tensor([[11.]])
    """
    _check_rank("mm", 2, x, mat2)
    return matmul(x, mat2)


def bmm(x: V, mat2: Value) -> V:
    """Multiply two batches of matrices, of shapes (b, n, k) and (b, k, m).

    Raises:
        ShapeError: if an operand does not have three axes, or the lengths b or k differ.

    >>> from tinygrad_np import Tensor
    >>> Tensor.ones(5, 2, 3).bmm(Tensor.ones(5, 3, 4)).shape
    (5, 2, 4)
    """
    _check_rank("bmm", 3, x, mat2)
    if x.shape[0] != mat2.shape[0]:
        raise ShapeError(
            f"bmm: expected batches of the same length, got shapes {x.shape} and {mat2.shape}."
        )
    return matmul(x, mat2)


def addmm(x: V, mat1: Value, mat2: Value, *, beta: float = 1, alpha: float = 1) -> V:
    """Compute beta x + alpha mat1 mat2.

    Args:
        x: tensor that broadcasts to the shape (n, m) of the product; ignored if `beta` is 0.
        mat1: matrix of shape (n, k).
        mat2: matrix of shape (k, m).
        beta: factor for x.
        alpha: factor for the product.

    Raises:
        ShapeError: if `mat1` or `mat2` is not a matrix, or the shapes do not fit.

    >>> from tinygrad_np import Tensor
    >>> Tensor([10.0]).addmm(Tensor([[1.0, 2.0]]), Tensor([[3.0], [4.0]]), alpha=2)
    Tensor([[32.]])
    """
    _check_rank("addmm", 2, mat1, mat2)
    out = add(mul(x, beta) if beta else zero_vjp(x), mul(matmul(mat1, mat2), alpha))
    shape = (mat1.shape[0], mat2.shape[1])
    if out.shape != shape:
        raise ShapeError(f"addmm: expected x to broadcast to the shape {shape}, got {x.shape}.")
    return out


def outer(x: V, vec2: Value) -> V:
    """Multiply each entry of the vector x (n,) by each entry of `vec2` (m,).

    Raises:
        ShapeError: if an operand is not a vector.

    >>> from tinygrad_np import Tensor
    >>> Tensor([1, 2]).outer(Tensor([3, 4]))
    Tensor([[3, 4],
            [6, 8]])
    """
    _check_rank("outer", 1, x, vec2)
    return mul(reshape(x, shape=(-1, 1)), vec2)


def _flatten_rows(x: V) -> V:
    return reshape(x, shape=(math.prod(x.shape[:-1]), x.shape[-1]))


@op(
    "x weightᵀ + bias",
    vjps={
        "x": lambda grad_out, weight: matmul(grad_out, weight),
        # weight is listed for the backward kernel, which needs it saved; this VJP ignores it.
        "weight": lambda grad_out, x, weight: batched_matmul(
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
    """Compute the affine map x @ weight.T + bias.

    Args:
        x: tensor of shape (..., in_features).
        weight: matrix of shape (out_features, in_features).
        bias: vector of shape (out_features,), or None.

    Returns:
        A tensor of shape (..., out_features).

    Raises:
        ShapeError: if the shapes do not match.

    >>> Tensor([[1.0, 2.0]]).linear(Tensor([[3.0, 4.0]]), Tensor([0.5]))
    Tensor([[11.5]])
    """
    if not x.ndim or weight.ndim != 2 or x.shape[-1] != weight.shape[1]:
        raise ShapeError(
            "linear: expected input (..., in_features) and weight (out_features, in_features), got "
            f"input {x.shape} and weight {weight.shape}. Try .flatten(1) for a batch of images, or "
            ".flatten() for a single image."
        )
    if bias is not None and bias.shape != weight.shape[:1]:
        raise ShapeError(
            f"linear: expected `bias` of shape {weight.shape[:1]}, one entry per output, got "
            f"{bias.shape}."
        )
    out = kernels.product(kernels.flatten_rows(x), weight.T)
    if bias is not None:
        np.add(out, bias, out=out)
    return out if x.ndim == 2 else out.reshape(*x.shape[:-1], len(weight))


# Diagonals and triangles.


@op(
    "x[i, i + offset]",
    vjps={
        "x": lambda grad_out, x_shape, offset, dim1, dim2: put_diagonal(
            grad_out, shape=x_shape, offset=offset, dim1=dim1, dim2=dim2
        )
    },
    view=True,
)
def diagonal(x: Array, *, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Array:
    """Return a read-only view of the diagonal over `dim1` and `dim2`, as a new last axis.

    Args:
        x: tensor of at least two axes.
        offset: which diagonal: 0 is the main one, positive ones lie above it, negative ones below.
        dim1: axis of the rows.
        dim2: axis of the columns.

    Raises:
        AxisError: if an axis is out of range.
        ShapeError: if x has fewer than two axes, or `dim1` and `dim2` are the same axis.

    >>> Tensor([[1.0, 2.0], [3.0, 4.0]]).diagonal(offset=1)
    Tensor([2.])
    """
    return x.diagonal(offset, dim1, dim2)


@op(
    "x at [i, i + offset], 0 elsewhere",
    vjps={
        "x": lambda grad_out, offset, dim1, dim2: diagonal(
            grad_out, offset=offset, dim1=dim1, dim2=dim2
        )
    },
    flops=0,
)
def put_diagonal(x: Array, *, shape: Shape, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Array:
    """Write the last axis of x to a diagonal of an array of zeros of `shape`."""
    return kernels.put_diagonal(x, shape, offset, dim1, dim2)


def diag(x: V) -> V:
    """Return the matrix (n, n) with the vector x (n,) on its diagonal and zeros elsewhere.

    Raises:
        ShapeError: if x does not have exactly one axis.

    >>> from tinygrad_np import Tensor
    >>> Tensor([1.0, 2.0]).diag()
    Tensor([[1., 0.],
            [0., 2.]])
    """
    if len(x.shape) != 1:
        raise ShapeError(
            f"diag: expected one axis, got shape {x.shape}. Use .diagonal() to read a diagonal."
        )
    return put_diagonal(x, shape=x.shape * 2)


def trace(x: V) -> V:
    """Sum the main diagonal of each matrix of x (..., n, m).

    Raises:
        ShapeError: if x has fewer than two axes.

    >>> from tinygrad_np import Tensor
    >>> Tensor([[1.0, 2.0], [3.0, 4.0]]).trace()
    Tensor(5.)
    """
    check_matrices("trace", x)
    return sum(diagonal(x, dim1=-2, dim2=-1), axis=-1)


@op(
    "x[i, j] where j - i ≤ diagonal, 0 elsewhere",
    vjps={"x": lambda grad_out, diagonal: tril(grad_out, diagonal=diagonal)},
    flops=0,
)
def tril(x: Array, *, diagonal: int = 0) -> Array:
    """Return the lower triangle of each matrix of x (..., n, m): zeros above the given diagonal.

    Raises:
        ShapeError: if x has fewer than two axes.

    >>> Tensor([[1.0, 2.0], [3.0, 4.0]]).tril()
    Tensor([[1., 0.],
            [3., 4.]])
    """
    check_matrices("tril", x)
    return np.tril(x, diagonal)


@op(
    "x[i, j] where j - i ≥ diagonal, 0 elsewhere",
    vjps={"x": lambda grad_out, diagonal: triu(grad_out, diagonal=diagonal)},
    flops=0,
)
def triu(x: Array, *, diagonal: int = 0) -> Array:
    """Return the upper triangle of each matrix of x (..., n, m): zeros below the given diagonal.

    Raises:
        ShapeError: if x has fewer than two axes.

    >>> Tensor([[1.0, 2.0], [3.0, 4.0]]).triu(1)
    Tensor([[0., 2.],
            [0., 0.]])
    """
    check_matrices("triu", x)
    return np.triu(x, diagonal)


def check_matrices(who: str, x: Value) -> None:
    """Raise ShapeError unless x has at least two axes."""
    if len(x.shape) < 2:
        raise ShapeError(f"{who}: expected matrices (..., n, m), got shape {x.shape}.")


# Norms. d(|x|^p)/dx = p sign(x) |x|^(p-1) and d(sign(x) |x|^p)/dx = p |x|^(p-1).


@op(
    "sign(x) |x|^p",
    vjps={"x": lambda grad_out, x, p: grad_out * (p * absolute_power(x, p=p - 1) if p else 0.0)},
    floating=True,
    subgradient="0 at 0 for p < 1, as for `sign`",
    flops=1,
)
def signed_power(x: Array, *, p: float) -> Array:
    """Return sign(x) |x|^p; 0 at 0 for any p."""
    return kernels.signed_power(x, p)


@op(
    "|x|^p",
    vjps={"x": lambda grad_out, x, p: grad_out * (p * signed_power(x, p=p - 1) if p else 0.0)},
    floating=True,
    subgradient="0 at 0",
    flops=1,
)
def absolute_power(x: Array, *, p: float) -> Array:
    """Return |x|^p; 0 at 0 for p < 0."""
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
        # A norm of nan comes from the entries that are nan; eq does not find them.
        size = absolute_power(x, p=1.0)
        winners = add(eq(size, out), ne(x, x))
        wide = np.promote_types(x.dtype, np.float32)
        count = sum(cast(winners, dtype=wide), axis=tuple(axes), keepdim=True)
        return keep_where(signed_power(x, p=0.0) * divide_by_count(grad_out, count), winners)
    # Where the norm is 0, the only subgradient that favors no direction is 0.
    is_zero = eq(out, 0)
    unit = keep_where(x / where(is_zero, 1.0, out), logical_not(is_zero))
    return grad_out * (unit if p == 2 else signed_power(unit, p=p - 1))


@op(
    "(Σ |x|^p)^(1/p)",
    vjps={"x": _norm_vjp},
    floating=True,
    subgradient="0 where the norm or the entry is 0; shared evenly among ties for p = ±inf",
    flops=lambda x, out: 2 * x.size + out.size,
)
def norm(x: Array, *, p: float = 2.0, axis: Axis = None, keepdim: bool = False) -> Array:
    """Compute the p-norm of x, treated as a vector, over `axis`.

    Args:
        x: tensor of any shape.
        p: order of the norm; inf and -inf give the largest and the smallest |x|, and 0 counts the
            nonzero entries.
        axis: one axis, several axes, or None for all.
        keepdim: whether to keep the reduced axes with length 1.

    Raises:
        ArgumentError: if `p` is nan or not a number.
        ShapeError: if a reduced axis is empty and `p` is negative or inf.
        AxisError: if `axis` is out of range.
        DtypeError: if `axis` is not an integer, a tuple or list of integers, or None.

    Derivatives that would be infinite, at entries of 0, are 0.

    >>> Tensor([[3.0, 4.0], [0.0, 2.0]]).norm(axis=1)
    Tensor([5., 2.])
    """
    if isinstance(p, str | bool) or not isinstance(p, int | float | np.number) or math.isnan(p):
        raise ArgumentError(f"norm: expected `p` to be a number, inf or -inf, got {p!r}.")
    axes = _norm_axes(x.shape, axis)
    if not x.size and (p < 0 or p == math.inf):
        # These norms are undefined for an empty axis: np.max raises.
        np.max(x, axis=axes)
    out = kernels.norm(x, float(p), axes)
    return out if keepdim else out.squeeze(axes)


def normalize(x: V, p: float = 2.0, dim: int = 1, eps: float = 1e-12) -> V:
    """Divide x by its p-norm along `dim`, or by `eps` where the norm is below `eps`.

    Raises:
        ArgumentError: as in `norm`.
        AxisError: if `dim` is out of range.
        DtypeError: if `dim` is not an integer, a tuple or list of integers, or None.
        ShapeError: as in `norm`.

    >>> from tinygrad_np import Tensor
    >>> Tensor([[3.0, 4.0], [0.0, 0.0]]).normalize()
    Tensor([[0.6, 0.8],
            [0. , 0. ]])
    """
    if x.dtype == np.float16:  # `eps` would underflow
        return cast(normalize(cast(x, dtype=np.float32), p, dim, eps), dtype=x.dtype)
    with np.errstate(over="ignore"):
        size = norm(x, p, dim, keepdim=True)
    scale = scale_of_large(size)
    if scale is not None:
        x = mul(x, scale)
        size = norm(x, p, dim, keepdim=True)
    return div(x, maximum(size, eps if scale is None else mul(scale, eps)))
