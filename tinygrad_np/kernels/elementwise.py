"""Elementwise work on arrays, into recycled memory where they are large."""

import functools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.polynomial import chebyshev

from tinygrad_np import memory
from tinygrad_np.memory import Array

_SMALL = memory.SMALL
_TAIL = (1 / 8, 1 / 3)  # 1 / (x + 2) at 6 and at 1
_ndarray = np.ndarray
_BITS = {2: np.uint16, 4: np.uint32, 8: np.uint64}


def unary(ufunc: Any, x: Array, dtype: Any = None) -> Array:
    """Return `ufunc(x)`, of `dtype` or that of x, in its memory order."""
    if x.nbytes >= _SMALL:
        return _recycling(ufunc, (x,), dtype)
    small: Array = ufunc(x)
    return small


def binary(ufunc: Any, a: Any, b: Any, dtype: Any = None) -> Array:
    """Return `ufunc(a, b)`, of `dtype` or the common one, in the larger one's memory order."""
    if (type(a) is _ndarray and a.nbytes >= _SMALL) or (type(b) is _ndarray and b.nbytes >= _SMALL):
        return _recycling(ufunc, (a, b), dtype)
    small: Array = ufunc(a, b)
    return small


def _recycling(ufunc: Any, arrays: Sequence[Any], dtype: Any) -> Array:
    large = max(arrays, key=lambda array: getattr(array, "nbytes", 0))
    shape = np.broadcast_shapes(*[a.shape for a in arrays if isinstance(a, np.ndarray)])
    like = large if large.shape == shape else None
    out = memory.empty(shape, dtype or np.result_type(*arrays), like)
    ufunc(*arrays, out=out)
    return out


def sign(x: Array) -> Array:
    """-1, 0 or 1; 0 also for nan, as in PyTorch."""
    if x.dtype.kind == "b":
        return x.copy()
    signs = unary(np.sign, x)
    if x.dtype.kind == "f" and np.isnan(signs).any():
        signs = np.where(np.isnan(x), x.dtype.type(0), x)
        signs = np.sign(signs)
    return np.asarray(signs)


# Maclaurin's series of erf(x) √π / (2x) in x², highest power first.
_ERF_SERIES = [(-1) ** n / (math.factorial(n) * (2 * n + 1)) for n in range(20, -1, -1)]


@functools.cache
def _erfc_series() -> Array:
    """Return Chebyshev coefficients of erfc(x) e^(x²) for x in [1, 6], in u of [-1, 1] that stands
    for 1 / (x + 2)."""

    def scaled(u: Array) -> Array:
        x = 1 / (_TAIL[0] + (u + 1) / 2 * (_TAIL[1] - _TAIL[0])) - 2
        return np.array([math.erfc(value) * math.exp(value * value) for value in x])

    return chebyshev.chebinterpolate(scaled, 19)


def erf(x: Array) -> Array:
    """2/√π ∫₀ˣ e^(-t²) dt, which NumPy lacks; within 5e-16 of it in float64."""
    size = np.minimum(np.abs(x.astype(np.float64)), 6)  # from there on erf is 1
    small = size * np.polyval(_ERF_SERIES, np.minimum(size, 1) ** 2) * (2 / math.sqrt(math.pi))
    place = (1 / (np.maximum(size, 1) + 2) - _TAIL[0]) / (_TAIL[1] - _TAIL[0])
    large = 1 - np.exp(-size * size) * chebyshev.chebval(2 * place - 1, _erfc_series())
    return np.asarray(np.copysign(np.where(size < 1, small, large), x)).astype(x.dtype)


def select(x: Array, mask: Array, out: Array | None = None) -> Array:
    """Return x where `mask` (bool) is true, else +0.0, also where x is inf or nan.

    Multiplying the bits of a float by 0 or 1 selects exactly, and is quicker by far than
    `np.where` and `np.copyto`.
    """
    mask = np.asarray(mask)
    bits = _BITS.get(x.itemsize) if x.dtype.kind == "f" else None
    if bits is None:
        chosen = np.where(mask, x, x.dtype.type(0))
        if out is None:
            return chosen
        out[...] = chosen
        return out
    shape = np.broadcast_shapes(x.shape, mask.shape)
    if out is None:
        out = memory.empty(shape, x.dtype, like=x if x.shape == shape else None)
    np.multiply(x.view(bits), mask, out=out.view(bits))
    return out


def total(x: Array, axis: int | tuple[int, ...] | None, keepdims: bool = False) -> Array:
    """Sum over axes; bools and integers in 64 bits, float16 in float32 on the way."""
    if x.dtype == np.float16:
        return np.asarray(x.sum(axis=axis, keepdims=keepdims, dtype=np.float32)).astype(x.dtype)
    return np.asarray(x.sum(axis=axis, keepdims=keepdims))
