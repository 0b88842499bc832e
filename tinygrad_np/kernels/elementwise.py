"""Elementwise functions; large results go into recycled memory."""

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.polynomial import chebyshev

from tinygrad_np.runtime import memory, threads
from tinygrad_np.runtime.memory import Array

_SMALL = memory.SMALL
# ns per entry.
_ARITHMETIC, _FUNCTION = 0.2, 1.0

_TAIL = (1 / 8, 1 / 3)  # 1 / (x + 2) at 6 and at 1
_ndarray = np.ndarray
_BITS = {2: np.uint16, 4: np.uint32, 8: np.uint64}
_FLOATS = (np.dtype(np.float16), np.dtype(np.float32), np.dtype(np.float64))
# Below this many entries, one call of np.where is faster than three ufuncs.
_FEW = 4096


def unary(ufunc: Callable[..., Array], x: Array, dtype: Any = None) -> Array:
    """Return `ufunc(x)` in x's memory order.

    `dtype` must be the dtype that the ufunc returns; it defaults to x's.
    """
    if x.nbytes >= _SMALL:
        return _recycling(ufunc, (x,), dtype, _FUNCTION)
    return ufunc(x)


def binary(ufunc: Callable[..., Array], a: Any, b: Any, dtype: Any = None) -> Array:
    """Return `ufunc(a, b)`; images stored batch-last keep this memory order.

    `dtype` must be the dtype that the ufunc returns; it defaults to the common one.
    """
    if (type(a) is _ndarray and a.nbytes >= _SMALL) or (type(b) is _ndarray and b.nbytes >= _SMALL):
        return _recycling(ufunc, (a, b), dtype, _ARITHMETIC)
    return ufunc(a, b)


def _recycling(ufunc: Any, arrays: Sequence[Any], dtype: Any, cost: float) -> Array:
    given = [array for array in arrays if isinstance(array, np.ndarray)]
    shape = np.broadcast_shapes(*[array.shape for array in given])
    out = memory.empty(shape, dtype or np.result_type(*arrays), _pick_layout(given, shape))
    in_parts(ufunc, arrays, out, cost)
    return out


def _pick_layout(arrays: Sequence[Array], shape: tuple[int, ...]) -> Array | None:
    """Return the array whose memory order the result takes: the first that is not in C order.

    Arrays of another shape and broadcast views do not count. If images stored batch-last meet
    arrays in C order, the result is thus stored batch-last, as convolutions need.
    """
    like = None
    for array in arrays:
        if array.shape == shape and 0 not in array.strides:
            if not array.flags.c_contiguous:
                return array
            like = array if like is None else like
    return like


def in_parts(function: Callable[..., Any], arrays: Sequence[Any], out: Array, cost: float) -> None:
    """Call the elementwise `function(*arrays, out=out)` on parts of `out`, shared among threads.

    Parts are slices of the axis of `out` with the largest stride, so they follow each other in
    memory. `cost` is in ns per entry.
    """
    whole = cost * out.size
    if whole < 2 * threads.WORTH:
        function(*arrays, out=out)
        return
    lengths = [
        step if length > 1 else 0 for step, length in zip(out.strides, out.shape, strict=True)
    ]
    axis = lengths.index(max(lengths))
    behind = out.ndim - axis

    def part(where: slice) -> None:
        cut = [_cut(array, behind, where) for array in arrays]
        function(*cut, out=out[(slice(None),) * axis + (where,)])

    threads.each(part, out.shape[axis], whole)


def _cut(value: Any, behind: int, where: slice) -> Any:
    """Return the part of an array that broadcasts to a part of the output."""
    if not isinstance(value, np.ndarray) or value.ndim < behind or value.shape[-behind] == 1:
        return value
    return value[(slice(None),) * (value.ndim - behind) + (where,)]


def copy(x: Array) -> Array:
    """Return a copy of x in C order."""
    out = memory.empty(x.shape, x.dtype)
    in_parts(_copy, (x,), out, 1.0)
    return out


def _copy(x: Array, out: Array) -> None:
    np.copyto(out, x)


def relu(x: Array) -> Array:
    """Return max(x, 0), and nan where x is nan."""
    if x.dtype.kind != "f" or x.size < 8192:
        return binary(np.maximum, x, 0)
    # For (64, 32, 28, 28), 3.6 times as fast as np.maximum with a number.
    return binary(lambda x, zero, out=None: np.clip(x, zero, np.inf, out=out), x, 0)


def sign(x: Array) -> Array:
    """Return the sign of x: -1, 0 or 1, and 0 for nan, as in PyTorch."""
    if x.dtype.kind == "b":
        return x.copy()
    signs = unary(np.sign, x)
    if x.dtype.kind == "f" and np.isnan(signs).any():
        signs = np.where(np.isnan(x), x.dtype.type(0), x)
        signs = np.sign(signs)
    return np.asarray(signs)


# Maclaurin series of erf(x) √π / (2x) in powers of x², highest power first.
_ERF_SERIES = [(-1) ** n / (math.factorial(n) * (2 * n + 1)) for n in range(20, -1, -1)]


@functools.cache
def _erfc_series() -> Array:
    """Return Chebyshev coefficients of erfc(x) e^(x²) for x in [1, 6].

    The variable u in [-1, 1] is 1 / (x + 2), shifted and scaled.
    """

    def scaled_erfc(u: Array) -> Array:
        x = 1 / (_TAIL[0] + (u + 1) / 2 * (_TAIL[1] - _TAIL[0])) - 2
        return np.array([math.erfc(value) * math.exp(value * value) for value in x])

    return chebyshev.chebinterpolate(scaled_erfc, 19)


def erf(x: Array) -> Array:
    """Compute 2/√π ∫₀ˣ e^(-t²) dt, which NumPy lacks, with an error below 5e-16 in float64."""
    size = np.minimum(np.abs(x.astype(np.float64)), 6)  # erf is 1 beyond
    small = size * np.polyval(_ERF_SERIES, np.minimum(size, 1) ** 2) * (2 / math.sqrt(math.pi))
    place = (1 / (np.maximum(size, 1) + 2) - _TAIL[0]) / (_TAIL[1] - _TAIL[0])
    large = 1 - np.exp(-size * size) * chebyshev.chebval(2 * place - 1, _erfc_series())
    return np.asarray(np.copysign(np.where(size < 1, small, large), x)).astype(x.dtype)


def select(x: Array, mask: Array, reuse: bool = False) -> Array:
    """Return x where `mask` is true or nonzero, and +0.0 elsewhere, even if x is inf or nan there.

    With `reuse`, the result may overwrite x.
    """
    mask = np.asarray(mask)
    shape = np.broadcast_shapes(x.shape, mask.shape)
    like = _pick_layout((x, mask), shape)
    out = x if reuse and like is x else memory.empty(shape, x.dtype, like)
    in_parts(_where_true, (bits(x), mask), bits(out), 0.4)
    return out


def choose(condition: Any, x: Any, y: Any) -> Array:
    """Return x where `condition` is nonzero, and y elsewhere.

    For floats, this computes (x - y) * condition + y on their bits as integers, which is exact
    because integers wrap around. For (96, 16, 16, 16), it takes 0.13 ms, and `np.where` 1.25 ms.
    """
    dtype = np.result_type(x, y)
    if dtype not in _FLOATS or np.size(condition) < _FEW:
        return np.asarray(np.where(condition, x, y))
    x, y, mask = np.asarray(x, dtype), np.asarray(y, dtype), np.asarray(condition)
    shape = np.broadcast_shapes(mask.shape, x.shape, y.shape)
    out = memory.empty(shape, dtype, _pick_layout((x, y, mask), shape))
    in_parts(_choose, (mask, bits(x), bits(y)), bits(out), 0.6)
    return out


def bits(x: Array) -> Array:
    """Return floats as a view of integers of the same size.

    The product of this view with 0 or 1 selects exactly. For (64, 32, 28, 28) it takes 0.3 ms, and
    `np.where` 5.9 ms.
    """
    same_size = _BITS.get(x.itemsize) if x.dtype.kind == "f" else None
    return x if same_size is None else x.view(same_size)  # np.longdouble has none


def _where_true(x: Array, mask: Array, out: Array) -> None:
    if mask.dtype.kind != "b":
        mask = np.not_equal(mask, 0)
    np.multiply(x, mask, out=out)


def _choose(mask: Array, x: Array, y: Array, out: Array) -> None:
    if mask.dtype.kind != "b":
        mask = np.not_equal(mask, 0)
    np.subtract(x, y, out=out)
    np.multiply(out, mask, out=out)
    np.add(out, y, out=out)
