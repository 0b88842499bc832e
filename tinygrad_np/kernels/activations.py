"""GELU, SiLU and their gradients, and sigmoid, computed in pieces that fit in the cache."""

import functools
import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.polynomial import Chebyshev, Polynomial

from tinygrad_np.kernels.dtypes import widen
from tinygrad_np.kernels.elementwise import erf
from tinygrad_np.runtime import memory, threads
from tinygrad_np.runtime.memory import Array

# Entries processed at a time. For (64, 64, 1024), gelu and its gradient take 9.0 ms; they take 14.8
# ms with pieces of 8192 entries, and 14.0 ms with passes over the whole array.
_PIECE = 1 << 16
# The tanh form of GELU is x (1 + tanh(_SLOPE x (1 + _CUBIC x²))) / 2.
_SLOPE, _CUBIC = math.sqrt(2 / math.pi), 0.044715


def gelu(x: Array, approximate: str) -> tuple[Array, Array]:
    """Return x Φ(x) and Φ(x), both in at least float32; see `ops.gelu` for the two forms of Φ."""
    x = widen(x)
    out, cdf = _like(x), _like(x)
    coefficients = _half_logit() if approximate == "none" else [_SLOPE, _SLOPE * _CUBIC]

    def piece(x: Array, out: Array, cdf: Array, _: Array) -> None:
        if approximate == "none" and x.dtype != np.float32:
            np.add(erf(x * math.sqrt(0.5)), 1, out=cdf)
        else:
            _horner(coefficients, np.multiply(x, x, out=out), cdf)
            cdf *= x
            np.tanh(cdf, out=cdf)
            cdf += 1
        cdf *= 0.5
        np.multiply(x, cdf, out=out)

    with np.errstate(over="ignore"):
        _in_pieces(piece, (x, out, cdf), 2.0)
    return out, cdf


def gelu_grad(grad_out: Array, x: Array, cdf: Array, approximate: str, overwrite: bool) -> Array:
    """Return the gradient of `gelu`: grad_out times Φ + x Φ'."""

    def exact(grad_out: Array, x: Array, cdf: Array, out: Array, spare: Array) -> None:
        # Φ' = e^(-x²/2) / √(2π)
        slope = np.multiply(x, x, out=spare[0])
        slope *= -0.5
        np.exp(slope, out=slope)
        slope *= x
        slope *= 1 / math.sqrt(2 * math.pi)
        slope += cdf
        np.multiply(grad_out, slope, out=out)

    def tanh(grad_out: Array, x: Array, cdf: Array, out: Array, spare: Array) -> None:
        # Φ' = 2 Φ (1 - Φ) times the derivative of the argument of tanh
        slope = np.multiply(x, x, out=spare[0])
        slope *= 6 * _SLOPE * _CUBIC
        slope += 2 * _SLOPE
        slope *= x
        np.clip(slope, -1e30, 1e30, out=slope)  # finite even where Φ (1 - Φ) is 0
        slope *= np.subtract(1, cdf, out=spare[1])
        slope += 1
        slope *= cdf
        np.multiply(grad_out, slope, out=out)

    with np.errstate(over="ignore"):
        return _grad(tanh if approximate == "tanh" else exact, grad_out, (x, cdf), overwrite)


@functools.cache
def _half_logit() -> list[float]:
    """Return coefficients c with Φ(x) = (1 + tanh(x Σ c[i] x^(2i))) / 2, lowest power first.

    The argument of tanh is log(Φ / (1 - Φ)) / 2, an odd function of x. The polynomial is fitted at
    Chebyshev nodes for x² from 0 to 30, with weights that turn errors of the argument into errors
    of Φ, which are at most 3e-8. Beyond 30, the polynomial keeps increasing, and tanh is 1.
    """
    squares = 15 * (1 - np.cos(np.pi * (np.arange(400) + 0.5) / 400))
    x = np.sqrt(squares)
    tail = np.array([math.erfc(value) / 2 for value in x * math.sqrt(0.5)])
    ratio = (np.log1p(-tail) - np.log(tail)) / (2 * x)
    fitted = Chebyshev.fit(squares, ratio, 6, domain=[0, 30], w=x * tail * (1 - tail))
    powers = fitted.convert(kind=Polynomial, domain=[-1, 1], window=[-1, 1])
    return [float(c) for c in powers.coef]


def _horner(coefficients: Sequence[float], x: Array, out: Array) -> None:
    """Write the values of a polynomial to `out`; `coefficients` start with the lowest power."""
    np.multiply(x, coefficients[-1], out=out)
    for coefficient in coefficients[-2:0:-1]:
        out += coefficient
        out *= x
    out += coefficients[0]


def silu(x: Array, beta: float) -> tuple[Array, Array]:
    """Return x sigmoid(beta x) and sigmoid(beta x), both in at least float32."""
    x = widen(x)
    out, gate = _like(x), _like(x)

    def piece(x: Array, out: Array, gate: Array, _: Array) -> None:
        _sigmoid(x if beta == 1 else np.multiply(x, beta, out=out), gate)
        np.multiply(x, gate, out=out)

    _in_pieces(piece, (x, out, gate), 1.0)
    return out, gate


def silu_grad(grad_out: Array, x: Array, gate: Array, beta: float, overwrite: bool) -> Array:
    """Return the gradient of `silu`: grad_out times s (1 + beta x (1 - s)) for the gate s."""

    def piece(grad_out: Array, x: Array, gate: Array, out: Array, spare: Array) -> None:
        slope = np.subtract(1, gate, out=spare[0])
        slope *= x
        if beta != 1:
            slope *= beta
        slope += 1
        slope *= gate
        np.multiply(grad_out, slope, out=out)

    return _grad(piece, grad_out, (x, gate), overwrite)


def sigmoid(x: Array) -> Array:
    """Return 1 / (1 + e^-x), without overflow and with full relative accuracy in the left tail."""
    wide = widen(x)
    out = _like(wide)
    _in_pieces(lambda x, out, _: _sigmoid(x, out), (wide, out), 1.0)
    return out.astype(x.dtype, copy=False)


def write_sigmoid(x: Array, out: Array) -> None:
    """Write 1 / (1 + e^-x) to `out`; where e^-x overflows, it is 0."""
    np.negative(x, out=out)
    np.exp(out, out=out)
    np.add(out, 1, out=out)
    np.divide(1, out, out=out)


def _sigmoid(x: Array, out: Array) -> None:
    if x.size and x.min() > -80:
        write_sigmoid(x, out)
    else:  # e^-x may overflow, or x has a nan
        small = np.exp(-np.abs(x))
        np.divide(np.where(x >= 0, 1, small), 1 + small, out=out)


# Passes over pieces.


def _grad(
    piece: Callable[..., None], grad_out: Array, saved: Sequence[Array], overwrite: bool
) -> Array:
    """Return the gradient that `piece(grad_out, *saved, out, spare)` computes."""
    is_wide = grad_out.dtype == saved[-1].dtype and grad_out.dtype != np.float16
    given = grad_out if is_wide else grad_out.astype(np.promote_types(saved[-1].dtype, np.float32))
    values = [array.astype(given.dtype, copy=False) for array in saved]
    is_plain = given.flags.c_contiguous and values[0].flags.c_contiguous
    out = given if is_plain and (overwrite or given is not grad_out) else _like(values[0])
    _in_pieces(piece, (given, *values, out), 1.0)
    return out.astype(grad_out.dtype, copy=False)


def _in_pieces(piece: Callable[..., None], arrays: Sequence[Array], cost: float) -> None:
    """Call `piece` on pieces of arrays of the same shape, and on two spare pieces for scratch.

    Every array that `piece` writes must have the memory order of `arrays[-1]`. `cost` is in ns per
    entry.
    """
    size, dtype = arrays[-1].size, arrays[-1].dtype
    if size <= _PIECE and arrays[-1].ndim and all(array.flags.c_contiguous for array in arrays):
        piece(*arrays, np.empty((2, *arrays[-1].shape), dtype))
        return
    strides = arrays[-1].strides
    order = sorted(range(len(strides)), key=strides.__getitem__, reverse=True)
    flat = [array.transpose(order).reshape(-1) for array in arrays]

    def part(where: slice) -> None:
        spare = memory.empty((2, min(_PIECE, where.stop - where.start)), dtype)
        for start in range(where.start, where.stop, _PIECE):
            stop = min(start + _PIECE, where.stop)
            piece(*[array[start:stop] for array in flat], spare[:, : stop - start])

    threads.each(part, size, cost * size)


def _like(x: Array) -> Array:
    return memory.empty(x.shape, x.dtype, like=x)
