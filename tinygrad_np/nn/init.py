"""Weight initialization: normal, uniform, constant, He (Kaiming), Xavier (Glorot) and orthogonal.

Each of these functions fills a tensor in place and returns it. `generator` is a NumPy generator;
None uses the default generator.

fan_in is the number of inputs that each output sums: `in` for a weight (out, in), and
in_channels * R * S for a convolution weight (out_channels, in_channels, R, S). Correspondingly,
fan_out is `out` or out_channels * R * S.
"""

import math
from typing import TypeVar

import numpy as np

from tinygrad_np import random
from tinygrad_np.errors import ArgumentError, DtypeError, ShapeError
from tinygrad_np.frontend.tensor import Tensor
from tinygrad_np.runtime.memory import Array

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
    """Return the factor by which to scale weights so that `nonlinearity` preserves variance.

    Args:
        nonlinearity: "linear" (also for convolutions), "sigmoid", "tanh", "relu", "leaky_relu" or
            "selu".
        param: negative slope of "leaky_relu"; defaults to 0.01.

    Raises:
        ArgumentError: if `nonlinearity` is unknown.

    >>> calculate_gain("leaky_relu", 1.0)
    1.0
    """
    if nonlinearity not in _GAINS:
        raise ArgumentError(
            f"nn.init: expected `nonlinearity` to be one of {', '.join(_GAINS)}, got "
            f"{nonlinearity!r}."
        )
    if param is not None and nonlinearity == "leaky_relu":
        return math.sqrt(2 / (1 + param**2))
    return _GAINS[nonlinearity]


def normal(tensor: T, mean: float = 0.0, std: float = 1.0, generator: Generator = None) -> T:
    """Fill with samples from the normal distribution with this mean and standard deviation.

    Raises:
        DtypeError: if the tensor is not float, or `generator` is not a NumPy generator.
    """
    values = random.resolve(generator).standard_normal(tensor.shape, np.float32)
    return _fill(tensor, values * np.float32(std) + np.float32(mean))


def uniform(tensor: T, low: float = 0.0, high: float = 1.0, generator: Generator = None) -> T:
    """Fill with samples from the uniform distribution on [low, high).

    Raises:
        DtypeError: if the tensor is not float, or `generator` is not a NumPy generator.
    """
    values = random.resolve(generator).random(tensor.shape, np.float32)
    return _fill(tensor, values * np.float32(high - low) + np.float32(low))


def zeros(tensor: T) -> T:
    """Fill with 0.

    Raises:
        DtypeError: if the tensor is not float.

    >>> zeros(Tensor.ones(2)).tolist()
    [0.0, 0.0]
    """
    return _fill(tensor, np.zeros(()))


def ones(tensor: T) -> T:
    """Fill with 1.

    Raises:
        DtypeError: if the tensor is not float.

    >>> ones(Tensor.zeros(2)).tolist()
    [1.0, 1.0]
    """
    return _fill(tensor, np.ones(()))


def kaiming_normal(tensor: T, nonlinearity: str = "relu", generator: Generator = None) -> T:
    """Fill with normal samples of variance gain² / fan_in (He et al. 2015, eq. 10).

    Raises:
        ArgumentError: if `nonlinearity` is unknown.
        DtypeError: if the tensor is not float, or `generator` is not a NumPy generator.
        ShapeError: if the tensor is empty or has fewer than two axes.
    """
    fan_in, _ = _fans(tensor)
    return normal(tensor, 0.0, calculate_gain(nonlinearity) / math.sqrt(fan_in), generator)


def kaiming_uniform(tensor: T, nonlinearity: str = "relu", generator: Generator = None) -> T:
    """Fill with uniform samples of variance gain² / fan_in (He et al. 2015, eq. 10).

    Raises:
        ArgumentError: if `nonlinearity` is unknown.
        DtypeError: if the tensor is not float, or `generator` is not a NumPy generator.
        ShapeError: if the tensor is empty or has fewer than two axes.
    """
    fan_in, _ = _fans(tensor)
    bound = calculate_gain(nonlinearity) * math.sqrt(3 / fan_in)
    return uniform(tensor, -bound, bound, generator)


def xavier_normal(tensor: T, gain: float = 1.0, generator: Generator = None) -> T:
    """Fill with normal samples of variance 2 gain² / (fan_in + fan_out).

    The formula is equation 12 of Glorot and Bengio (2010).

    Raises:
        DtypeError: if the tensor is not float, or `generator` is not a NumPy generator.
        ShapeError: if the tensor is empty or has fewer than two axes.
    """
    fan_in, fan_out = _fans(tensor)
    return normal(tensor, 0.0, gain * math.sqrt(2 / (fan_in + fan_out)), generator)


def xavier_uniform(tensor: T, gain: float = 1.0, generator: Generator = None) -> T:
    """Fill with uniform samples of variance 2 gain² / (fan_in + fan_out).

    The formula is equation 16 of Glorot and Bengio (2010).

    Raises:
        DtypeError: if the tensor is not float, or `generator` is not a NumPy generator.
        ShapeError: if the tensor is empty or has fewer than two axes.
    """
    fan_in, fan_out = _fans(tensor)
    bound = gain * math.sqrt(6 / (fan_in + fan_out))
    return uniform(tensor, -bound, bound, generator)


def orthogonal(tensor: T, gain: float = 1.0, generator: Generator = None) -> T:
    """Fill with `gain` times an orthogonal matrix (Saxe et al. 2014).

    The tensor is treated as a matrix (out, product of the other axes). Its rows are orthonormal or,
    if there are more rows than columns, its columns.

    Raises:
        ShapeError: if the tensor has fewer than two axes.
        DtypeError: if the tensor is not float, or `generator` is not a NumPy generator.
    """
    if tensor.ndim < 2:
        raise ShapeError(
            "nn.init.orthogonal: expected at least two axes (out, in, ...), got shape "
            f"{tensor.shape}."
        )
    if not tensor.numel():
        return _fill(tensor, np.zeros(()))
    rows = tensor.shape[0]
    columns = tensor.numel() // rows
    tall = (max(rows, columns), min(rows, columns))
    q, r = np.linalg.qr(random.resolve(generator).standard_normal(tall))
    # A positive diagonal of r makes q uniform over orthogonal matrices (Mezzadri 2007).
    q = q * np.sign(np.diagonal(r))
    return _fill(tensor, gain * (q if rows >= columns else q.T).reshape(tensor.shape))


def _fill(tensor: T, values: Array) -> T:
    if tensor.dtype.kind != "f":
        raise DtypeError(f"nn.init: expected a float tensor, got dtype {tensor.dtype}.")
    tensor.data[...] = values
    tensor.mark_changed()
    return tensor


def _fans(tensor: Tensor) -> tuple[int, int]:
    if tensor.ndim < 2 or not tensor.numel():
        raise ShapeError(
            "nn.init: expected a non-empty weight with at least two axes (out, in, ...), which "
            f"fan_in and fan_out require, got shape {tensor.shape}."
        )
    field = math.prod(tensor.shape[2:])
    return tensor.shape[1] * field, tensor.shape[0] * field
