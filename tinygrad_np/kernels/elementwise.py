"""Elementwise work on arrays, into recycled memory where they are large."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygrad_np import memory
from tinygrad_np.memory import Array

_SMALL = memory.SMALL
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
