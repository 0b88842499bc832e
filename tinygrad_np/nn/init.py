"""Weight initialization: normal, uniform, constant, He (Kaiming), Xavier (Glorot) and orthogonal.

Each of these functions fills a tensor, or an array such as `layer.weight.data`, in place and
returns it. Names, arguments and distributions are those of torch.nn.init; the underscore may be
left out. `generator` is a NumPy generator; None uses the default generator.

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
T = TypeVar("T", bound=Tensor | Array)

_GAINS = {
    "linear": 1.0,
    **dict.fromkeys(("conv1d", "conv2d", "conv3d"), 1.0),
    **dict.fromkeys(("conv_transpose1d", "conv_transpose2d", "conv_transpose3d"), 1.0),
    "sigmoid": 1.0,
    "tanh": 5 / 3,
    "relu": math.sqrt(2),
    "leaky_relu": math.sqrt(2 / (1 + 0.01**2)),
    "selu": 3 / 4,
}


_MODES = ("fan_in", "fan_out")


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """Return the factor by which to scale weights so that `nonlinearity` preserves variance.

    Args:
        nonlinearity: "linear" or the name of a convolution, such as "conv2d" (all 1), "sigmoid",
            "tanh", "relu", "leaky_relu" or "selu".
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


def normal_(tensor: T, mean: float = 0.0, std: float = 1.0, generator: Generator = None) -> T:
    """Fill with samples from the normal distribution with this mean and standard deviation.

    Raises:
        DtypeError: if the tensor is not float, or `generator` is not a NumPy generator.
    """
    values = random.resolve(generator).standard_normal(tensor.shape, np.float32)
    return _fill(tensor, values * np.float32(std) + np.float32(mean))


def uniform_(tensor: T, a: float = 0.0, b: float = 1.0, generator: Generator = None) -> T:
    """Fill with samples from the uniform distribution on [a, b).

    Raises:
        DtypeError: if the tensor is not float, or `generator` is not a NumPy generator.
    """
    values = random.resolve(generator).random(tensor.shape, np.float32)
    return _fill(tensor, values * np.float32(b - a) + np.float32(a))


def zeros_(tensor: T) -> T:
    """Fill with 0.

    Raises:
        DtypeError: if the tensor is not float.

    >>> zeros_(Tensor.ones(2)).tolist()
    [0.0, 0.0]
    """
    return _fill(tensor, np.zeros(()))


def ones_(tensor: T) -> T:
    """Fill with 1.

    Raises:
        DtypeError: if the tensor is not float.

    >>> ones_(Tensor.zeros(2)).tolist()
    [1.0, 1.0]
    """
    return _fill(tensor, np.ones(()))


def constant_(tensor: T, val: float) -> T:
    """Fill with the number `val`.

    Raises:
        DtypeError: if the tensor is not float.

    >>> constant_(Tensor.zeros(2), 0.5).tolist()
    [0.5, 0.5]
    """
    return _fill(tensor, np.asarray(val))


def trunc_normal_(
    tensor: T,
    mean: float = 0.0,
    std: float = 1.0,
    a: float = -2.0,
    b: float = 2.0,
    generator: Generator = None,
) -> T:
    """Fill with samples of a normal distribution, each redrawn until it is in [a, b].

    The bounds are values, not multiples of `std`, as in PyTorch.

    Raises:
        ArgumentError: if `std` is not above 0, or [a, b] has less than 0.1% of the distribution.
        DtypeError: if the tensor is not float, or `generator` is not a NumPy generator.

    >>> x = trunc_normal_(Tensor.zeros(100), std=0.02, a=-0.04, b=0.04)
    >>> -0.04 <= x.min().item() <= x.max().item() <= 0.04
    True
    """
    if not std > 0:
        raise ArgumentError(f"nn.init.trunc_normal_: expected `std` to be above 0, got {std}.")
    low, high = (math.erf((bound - mean) / std / math.sqrt(2)) / 2 for bound in (a, b))
    if high - low < 1e-3:
        raise ArgumentError(
            f"nn.init.trunc_normal_: expected `a` and `b` with at least 0.1% of the normal "
            f"distribution between them, got a={a} and b={b} for mean={mean} and std={std}."
        )
    draw = random.resolve(generator).standard_normal
    values = np.full(tensor.shape, np.inf, np.float32)
    while (outside := (values < a) | (values > b)).any():
        values[outside] = draw(np.count_nonzero(outside), np.float32) * std + mean
    return _fill(tensor, values)


def kaiming_normal_(
    tensor: T,
    a: float = 0.0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator = None,
) -> T:
    """Fill with normal samples of variance gain² / fan (He et al. 2015, eq. 10 and 14).

    Args:
        tensor: the weight.
        a: negative slope of "leaky_relu"; 0 is ReLU.
        mode: "fan_in" preserves the variance in the forward pass, "fan_out" in the backward pass.
        nonlinearity: see `calculate_gain`.
        generator: a NumPy generator.

    Raises:
        ArgumentError: if `mode` or `nonlinearity` is unknown.
        DtypeError: if the tensor is not float, or `generator` is not a NumPy generator.
        ShapeError: if the tensor is empty or has fewer than two axes.
    """
    return normal_(tensor, 0.0, _kaiming_std(tensor, a, mode, nonlinearity), generator)


def kaiming_uniform_(
    tensor: T,
    a: float = 0.0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator = None,
) -> T:
    """Fill with uniform samples of variance gain² / fan (He et al. 2015, eq. 10 and 14).

    Args:
        tensor: the weight.
        a: negative slope of "leaky_relu"; 0 is ReLU.
        mode: "fan_in" preserves the variance in the forward pass, "fan_out" in the backward pass.
        nonlinearity: see `calculate_gain`.
        generator: a NumPy generator.

    Raises:
        ArgumentError: if `mode` or `nonlinearity` is unknown.
        DtypeError: if the tensor is not float, or `generator` is not a NumPy generator.
        ShapeError: if the tensor is empty or has fewer than two axes.
    """
    bound = _kaiming_std(tensor, a, mode, nonlinearity) * math.sqrt(3)
    return uniform_(tensor, -bound, bound, generator)


def _kaiming_std(tensor: Tensor | Array, a: float, mode: str, nonlinearity: str) -> float:
    if mode not in _MODES:
        raise ArgumentError(f"nn.init: expected `mode` to be 'fan_in' or 'fan_out', got {mode!r}.")
    fan = _fans(tensor)[_MODES.index(mode)]
    return calculate_gain(nonlinearity, a) / math.sqrt(fan)


def xavier_normal_(tensor: T, gain: float = 1.0, generator: Generator = None) -> T:
    """Fill with normal samples of variance 2 gain² / (fan_in + fan_out).

    The formula is equation 12 of Glorot and Bengio (2010).

    Raises:
        DtypeError: if the tensor is not float, or `generator` is not a NumPy generator.
        ShapeError: if the tensor is empty or has fewer than two axes.
    """
    fan_in, fan_out = _fans(tensor)
    return normal_(tensor, 0.0, gain * math.sqrt(2 / (fan_in + fan_out)), generator)


def xavier_uniform_(tensor: T, gain: float = 1.0, generator: Generator = None) -> T:
    """Fill with uniform samples of variance 2 gain² / (fan_in + fan_out).

    The formula is equation 16 of Glorot and Bengio (2010).

    Raises:
        DtypeError: if the tensor is not float, or `generator` is not a NumPy generator.
        ShapeError: if the tensor is empty or has fewer than two axes.
    """
    fan_in, fan_out = _fans(tensor)
    bound = gain * math.sqrt(6 / (fan_in + fan_out))
    return uniform_(tensor, -bound, bound, generator)


def orthogonal_(tensor: T, gain: float = 1.0, generator: Generator = None) -> T:
    """Fill with `gain` times an orthogonal matrix (Saxe et al. 2014).

    The tensor is treated as a matrix (out, product of the other axes). Its rows are orthonormal or,
    if there are more rows than columns, its columns.

    Raises:
        ShapeError: if the tensor has fewer than two axes.
        DtypeError: if the tensor is not float, or `generator` is not a NumPy generator.
    """
    if tensor.ndim < 2:
        raise ShapeError(
            "nn.init.orthogonal_: expected at least two axes (out, in, ...), got shape "
            f"{tensor.shape}."
        )
    if not math.prod(tensor.shape):
        return _fill(tensor, np.zeros(()))
    rows = tensor.shape[0]
    columns = math.prod(tensor.shape) // rows
    tall = (max(rows, columns), min(rows, columns))
    q, r = np.linalg.qr(random.resolve(generator).standard_normal(tall))
    # A positive diagonal of r makes q uniform over orthogonal matrices (Mezzadri 2007).
    q = q * np.sign(np.diagonal(r))
    return _fill(tensor, gain * (q if rows >= columns else q.T).reshape(tensor.shape))


# The same functions under their names without the underscore.
kaiming_normal, kaiming_uniform = kaiming_normal_, kaiming_uniform_
xavier_normal, xavier_uniform = xavier_normal_, xavier_uniform_
normal, uniform, trunc_normal = normal_, uniform_, trunc_normal_
zeros, ones, constant, orthogonal = zeros_, ones_, constant_, orthogonal_


def _fill(tensor: T, values: Array) -> T:
    if tensor.dtype.kind != "f":
        raise DtypeError(f"nn.init: expected a float tensor, got dtype {tensor.dtype}.")
    if isinstance(tensor, Tensor):
        tensor.data[...] = values
        tensor.mark_changed()
    else:
        tensor[...] = values
    return tensor


def _fans(tensor: Tensor | Array) -> tuple[int, int]:
    if tensor.ndim < 2 or not math.prod(tensor.shape):
        raise ShapeError(
            "nn.init: expected a non-empty weight with at least two axes (out, in, ...), which "
            f"fan_in and fan_out require, got shape {tensor.shape}."
        )
    field = math.prod(tensor.shape[2:])
    return tensor.shape[1] * field, tensor.shape[0] * field
