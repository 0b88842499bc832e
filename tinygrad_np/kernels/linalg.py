"""Linear algebra on stacks of matrices: functions that NumPy lacks, and helpers of the ops."""

import math
from collections.abc import Sequence

import numpy as np

from tinygrad_np.kernels.reductions import total
from tinygrad_np.runtime import memory, threads
from tinygrad_np.runtime.memory import Array


def product(a: Array, b: Array) -> Array:
    """Return the product of the matrices a (n, k) and b (k, m), computed by several threads."""
    n, m = len(a), b.shape[1]
    out = memory.empty((n, m), a.dtype)
    cost = 0.01 * out.size * a.shape[1]
    if n < m:
        threads.each(
            lambda part: np.matmul(a, b[:, part], out=out[:, part]), m, cost, uses_blas=True
        )
    else:
        threads.each(lambda part: np.matmul(a[part], b, out=out[part]), n, cost, uses_blas=True)
    return out


def flatten_rows(x: Array) -> Array:
    """Return x (..., k) as a matrix (n, k)."""
    return x if x.ndim == 2 else x.reshape(math.prod(x.shape[:-1]), x.shape[-1])


def linear_grads(
    grad_out: Array, x: Array, weight: Array, wanted: Sequence[bool]
) -> list[Array | None]:
    """Return the wanted gradients of x weightᵀ + bias; threads share the columns of x.

    x is (..., in), weight (out, in) and grad_out (..., out).
    """
    of_x, of_weight, of_bias = (*wanted, False)[:3]
    shape = x.shape
    grad_out, x = flatten_rows(grad_out), flatten_rows(x)
    x_grad = memory.empty(x.shape, x.dtype, like=x) if of_x else None
    # If x comes from images stored with the batch last, its gradient is stored in that order too.
    is_batch_last = x.flags.f_contiguous and not x.flags.c_contiguous
    weight_grad = memory.empty(weight.shape, x.dtype) if of_weight else None

    def part(columns: slice) -> None:
        if x_grad is not None and is_batch_last:
            np.matmul(weight[:, columns].T, grad_out.T, out=x_grad.T[columns])
        elif x_grad is not None:
            np.matmul(grad_out, weight[:, columns], out=x_grad[:, columns])
        if weight_grad is not None:
            np.matmul(grad_out.T, x[:, columns], out=weight_grad[:, columns])

    cost = (of_x + of_weight) * 0.01 * grad_out.size * x.shape[1]
    threads.each(part, x.shape[1], cost, uses_blas=True)
    bias_grad = total(grad_out, 0) if of_bias else None
    if x_grad is not None and len(shape) != 2:
        x_grad = x_grad.reshape(shape)
    return [x_grad, weight_grad, bias_grad][: len(wanted)]


def put_diagonal(x: Array, shape: tuple[int, ...], offset: int, dim1: int, dim2: int) -> Array:
    """Return zeros of `shape` with x on the diagonal that `np.diagonal` reads."""
    out = np.zeros(shape, x.dtype)
    square = np.moveaxis(out, (dim1, dim2), (-2, -1))[..., max(0, -offset) :, max(0, offset) :]
    n = min(square.shape[-2:])
    # Unlike np.diagonal, einsum returns a writable view.
    np.einsum("...ii->...i", square[..., :n, :n])[...] = x
    return out


def absolute_power(x: Array, p: float) -> Array:
    """Return |x|^p; for p < 0, 0 at 0."""
    size = np.abs(x)
    if p == 1:
        return size
    if p >= 0:
        return np.asarray(size**p)
    return np.where(size == 0, 0, np.where(size == 0, 1, size) ** p)


def signed_power(x: Array, p: float) -> Array:
    """Return sign(x) |x|^p; 0 at 0 for any p."""
    return np.asarray(np.sign(x) * absolute_power(x, p))


def norm(x: Array, p: float, axis: tuple[int, ...]) -> Array:
    """Return (Σ |x|^p)^(1/p) over `axis`, kept with length 1.

    For p = ±inf it is the limit, max |x| or min |x|; for p = 0, the number of nonzero entries.
    """
    if x.dtype == np.float16:
        return norm(x.astype(np.float32), p, axis).astype(x.dtype)
    size = np.abs(x)
    if p == 1:
        return total(size, axis, True)
    if p == 0:
        return total((size != 0).astype(x.dtype), axis, True)
    if math.isinf(p):
        extreme = size.max if p > 0 else size.min
        return np.asarray(extreme(axis=axis, keepdims=True))
    # For p < 0 a zero gives inf as a power and 0 as the norm.
    with np.errstate(divide="ignore", over="ignore", under="ignore"):
        powers = total(x * x if p == 2 else size**p, axis, True)
        is_in_range = (powers >= np.finfo(x.dtype).tiny) & (powers < np.inf)
        if x.dtype == np.float32 and not is_in_range.all():
            return norm(x.astype(np.float64), p, axis).astype(x.dtype)
        return np.asarray(np.sqrt(powers) if p == 2 else powers ** (1 / p))


def products_of_others(x: Array) -> Array:
    """Return for each entry the product of all others along the last axis, without dividing."""
    ones = np.ones_like(x[..., :1])
    before = np.cumprod(np.concatenate([ones, x[..., :-1]], axis=-1), axis=-1)
    after = np.cumprod(np.concatenate([ones, x[..., :0:-1]], axis=-1), axis=-1)[..., ::-1]
    return np.asarray(before * after)


def cofactors(x: Array) -> Array:
    """Return the cofactor matrix, which is the gradient of det, for singular matrices as well.

    With x = U S V, det(x + e) = det(U) det(V) det(S + UᵀeVᵀ), and S is diagonal.
    """
    u, s, vh = np.linalg.svd(x)
    sign = np.sign(np.linalg.det(u) * np.linalg.det(vh))[..., None, None]
    return np.asarray(sign * ((u * products_of_others(s)[..., None, :]) @ vh))


def cofactors_grad(grad_out: Array, x: Array) -> Array:
    """Return the VJP of `cofactors`, from the second-order terms in e of the same expansion.

    For det(S + f) they are Σ (f_ii f_kk - f_ik f_ki) times the product of all s except s_i and s_k,
    over i < k.
    """
    u, s, vh = np.linalg.svd(x)
    sign = np.sign(np.linalg.det(u) * np.linalg.det(vh))[..., None, None]
    one = np.eye(s.shape[-1], dtype=bool)
    without = np.where(one, s.dtype.type(1), s[..., None, :])
    others = np.where(one, s.dtype.type(0), products_of_others(without))
    turned = u.swapaxes(-1, -2) @ grad_out @ vh.swapaxes(-1, -2)
    inner = -others * turned.swapaxes(-1, -2)
    diagonal = np.einsum("...ii->...i", inner)
    diagonal += (others @ np.einsum("...ii->...i", turned)[..., None])[..., 0]
    return np.asarray(sign * (u @ inner @ vh))


def qr(x: Array) -> Array:
    """Return the reduced factors of x (..., m, n), m ≥ n, as one array: Q stacked on R."""
    q, r = np.linalg.qr(x)
    return np.concatenate([q, r], axis=-2)


def svd(x: Array, full_matrices: bool) -> Array:
    """Return the entries of U, S and Vh, concatenated along the last axis."""
    u, s, vh = np.linalg.svd(x, full_matrices)
    batch = x.shape[:-2]
    flat_u = u.reshape(*batch, u.shape[-2] * u.shape[-1])
    flat_vh = vh.reshape(*batch, vh.shape[-2] * vh.shape[-1])
    return np.concatenate([flat_u, s, flat_vh], axis=-1)
