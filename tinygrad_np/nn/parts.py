"""What layers are made of: first weights, checks of sizes, the order of axes, pieces of `repr`."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygrad_np.errors import ArgumentError
from tinygrad_np.nn import init
from tinygrad_np.nn.module import Parameter
from tinygrad_np.tensor import Tensor

Generator = np.random.Generator | None


def init_parameter(shape: tuple[int, ...], fan_in: int, generator: Generator) -> Parameter:
    """Return a parameter uniform within ±1 / sqrt(fan_in): PyTorch's default for these layers."""
    bound = 1 / math.sqrt(fan_in)
    return init.uniform(Parameter(np.empty(shape, np.float32)), -bound, bound, generator)


def short(numbers: Sequence[Any]) -> Any:
    """Return one number where all are the same."""
    return numbers[0] if len(set(numbers)) == 1 else tuple(numbers)


def bias_note(bias: Parameter | None) -> str:
    """Return what a layer's `repr` says of its bias."""
    return "" if bias is not None else ", bias=False"


def options_note(layer: Any, **usual: Any) -> str:
    """Return what a layer's `repr` says of attributes that are not as usual."""
    text = ""
    for name, default in usual.items():
        value = getattr(layer, name)
        value = short(value) if isinstance(value, tuple) else value
        text += "" if value == default else f", {name}={value!r}"
    return text


def check_format(layer: str, data_format: str) -> str:
    """Return the name of an order of axes; refuse unknown ones."""
    if data_format not in ("NCHW", "NHWC"):
        raise ArgumentError(f"{layer} data_format: got {data_format!r}, expected NCHW or NHWC")
    return data_format


def channels_first(x: Tensor, data_format: str) -> Tensor:
    """Return x with its channels as axis 1, in NHWC from the last; there may be any number of axes
    between.
    """
    return x if data_format == "NCHW" else x.permute(0, x.ndim - 1, *range(1, x.ndim - 1))


def channels_back(x: Tensor, data_format: str) -> Tensor:
    """Return what `channels_first` was given."""
    return x if data_format == "NCHW" else x.permute(0, *range(2, x.ndim), 1)
