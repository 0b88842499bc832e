"""Helpers shared by the layers: default initialization, axis order and `repr` text."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygrad_np.errors import ArgumentError
from tinygrad_np.frontend.tensor import Tensor
from tinygrad_np.nn import init
from tinygrad_np.nn.module import Parameter

Generator = np.random.Generator | None


def init_parameter(shape: tuple[int, ...], fan_in: int, generator: Generator) -> Parameter:
    """Return a parameter initialized uniformly in ±1 / sqrt(fan_in), as in PyTorch."""
    bound = 1 / math.sqrt(fan_in)
    return init.uniform_(Parameter(np.empty(shape, np.float32)), -bound, bound, generator)


def short(numbers: Sequence[Any]) -> Any:
    """Return the common value if all numbers are equal, otherwise a tuple."""
    return numbers[0] if len(set(numbers)) == 1 else tuple(numbers)


def bias_note(bias: Parameter | None) -> str:
    """Return what `repr` shows for a bias: nothing, or `bias=False`."""
    return "" if bias is not None else ", bias=False"


def options_note(layer: Any, **usual: Any) -> str:
    """Return what `repr` shows for attributes that differ from the defaults in `usual`."""
    text = ""
    for name, default in usual.items():
        value = getattr(layer, name)
        value = short(value) if isinstance(value, tuple) else value
        text += "" if value == default else f", {name}={value!r}"
    return text


def check_format(layer: str, data_format: str) -> str:
    """Return `data_format`, or raise ArgumentError if it is unknown."""
    if data_format not in ("NCHW", "NHWC"):
        raise ArgumentError(
            f"{layer}: expected `data_format` to be 'NCHW' or 'NHWC', got {data_format!r}."
        )
    return data_format


def check_inplace(layer: str, inplace: Any) -> None:
    """Raise ArgumentError unless `inplace` is a bool: it might be meant as another argument."""
    if not isinstance(inplace, bool):
        raise ArgumentError(f"{layer}: expected `inplace` to be True or False, got {inplace!r}.")


def given_axis(who: str, dim: int | None) -> int:
    """Return `dim`; raise ArgumentError if it is None."""
    if dim is None:
        raise ArgumentError(
            f"{who}: expected `dim` to be an integer, got None. PyTorch has deprecated its "
            "implicit choice; pass dim=-1 for the last axis."
        )
    return dim


def channels_first(x: Tensor, data_format: str) -> Tensor:
    """Move the channels to axis 1. In NHWC they are last, after any number of other axes."""
    return x if data_format == "NCHW" else x.permute(0, x.ndim - 1, *range(1, x.ndim - 1))


def channels_back(x: Tensor, data_format: str) -> Tensor:
    """Undo `channels_first`."""
    return x if data_format == "NCHW" else x.permute(0, *range(2, x.ndim), 1)
