"""Initial weights: He (kaiming), Xavier, orthogonal and plain, each in place and returned.

fan_in is the number of inputs that an output sums, in_channels R S for a convolution; fan_out is
out_channels R S.
"""

import math
from typing import TypeVar

import numpy as np

from tinygrad_np import random
from tinygrad_np.errors import ArgumentError, DtypeError, ShapeError
from tinygrad_np.runtime.memory import Array
from tinygrad_np.tensor import Tensor

Generator = np.random.Generator | None
T = TypeVar("T", bound=Tensor)

_GAINS = {
    "linear": 1.0,
    "sigmoid": 1.0,
    "tanh": 5 / 3,
    "relu": math.sqrt(2),
    "leaky_relu": math.sqrt(2 / (1 + 0.01**2)),
    "selu": 3 / 4,
}


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """Return by how much to widen weights in front of `nonlinearity`, so that variances last.

    `param` is the negative slope of "leaky_relu", 0.01 unless given. "linear" is also for
    convolutions. Raises ArgumentError that lists the known names.

    >>> calculate_gain("leaky_relu", 1.0)
    1.0
    """
    if nonlinearity not in _GAINS:
        raise ArgumentError(
            f"init nonlinearity: got {nonlinearity!r}, expected one of {', '.join(_GAINS)}"
        )
    if param is not None and nonlinearity == "leaky_relu":
        return math.sqrt(2 / (1 + param**2))
    return _GAINS[nonlinearity]


def normal(tensor: T, mean: float = 0.0, std: float = 1.0, generator: Generator = None) -> T:
    """Fill with normal numbers."""
    values = random.resolve(generator).standard_normal(tensor.shape, np.float32)
    return _fill(tensor, values * np.float32(std) + np.float32(mean))


def uniform(tensor: T, low: float = 0.0, high: float = 1.0, generator: Generator = None) -> T:
    """Fill with uniform numbers from [low, high)."""
    values = random.resolve(generator).random(tensor.shape, np.float32)
    return _fill(tensor, values * np.float32(high - low) + np.float32(low))


def zeros(tensor: T) -> T:
    """Fill with 0."""
    return _fill(tensor, np.zeros(()))


def ones(tensor: T) -> T:
    """Fill with 1."""
    return _fill(tensor, np.ones(()))


def kaiming_normal(tensor: T, nonlinearity: str = "relu", generator: Generator = None) -> T:
    """Normal with variance gain² / fan_in (He et al. 2015, eq. 10)."""
    fan_in, _ = _fans(tensor)
    return normal(tensor, 0.0, calculate_gain(nonlinearity) / math.sqrt(fan_in), generator)


def kaiming_uniform(tensor: T, nonlinearity: str = "relu", generator: Generator = None) -> T:
    """Uniform with variance gain² / fan_in (He et al. 2015, eq. 10)."""
    fan_in, _ = _fans(tensor)
    bound = calculate_gain(nonlinearity) * math.sqrt(3 / fan_in)
    return uniform(tensor, -bound, bound, generator)


def xavier_normal(tensor: T, gain: float = 1.0, generator: Generator = None) -> T:
    """Normal with variance 2 gain² / (fan_in + fan_out) (Glorot and Bengio 2010, eq. 12)."""
    fan_in, fan_out = _fans(tensor)
    return normal(tensor, 0.0, gain * math.sqrt(2 / (fan_in + fan_out)), generator)


def xavier_uniform(tensor: T, gain: float = 1.0, generator: Generator = None) -> T:
    """Uniform with variance 2 gain² / (fan_in + fan_out) (Glorot and Bengio 2010, eq. 16)."""
    fan_in, fan_out = _fans(tensor)
    bound = gain * math.sqrt(6 / (fan_in + fan_out))
    return uniform(tensor, -bound, bound, generator)


def orthogonal(tensor: T, gain: float = 1.0, generator: Generator = None) -> T:
    """Fill with gain times orthonormal rows, or columns where these are fewer, of the matrix
    (out, all the rest) (Saxe et al. 2014).
    """
    if tensor.ndim < 2:
        raise ShapeError(
            f"init orthogonal: got shape {tensor.shape}, expected at least two axes, (out, in, ...)"
        )
    if not tensor.numel():
        return _fill(tensor, np.zeros(()))
    rows = tensor.shape[0]
    columns = tensor.numel() // rows
    tall = (max(rows, columns), min(rows, columns))
    q, r = np.linalg.qr(random.resolve(generator).standard_normal(tall))
    # Fixed signs make q uniform among orthogonal matrices (Mezzadri 2007).
    q = q * np.sign(np.diagonal(r))
    return _fill(tensor, gain * (q if rows >= columns else q.T).reshape(tensor.shape))


def _fill(tensor: T, values: Array) -> T:
    if tensor.dtype.kind != "f":
        raise DtypeError(f"init: got a tensor of dtype {tensor.dtype}, expected floats")
    tensor.data[...] = values
    tensor.mark_changed()
    return tensor


def _fans(tensor: Tensor) -> tuple[int, int]:
    if tensor.ndim < 2 or not tensor.numel():
        raise ShapeError(
            f"init: got shape {tensor.shape}, but fan_in and fan_out need a weight of at least two "
            "axes, (out, in, ...), and an entry"
        )
    field = math.prod(tensor.shape[2:])
    return tensor.shape[1] * field, tensor.shape[0] * field
