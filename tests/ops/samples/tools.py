"""Helpers to define samples and invalid inputs."""

import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tinygrad_np import Tensor, ops
from tinygrad_np.autograd.op import Op
from tinygrad_np.errors import TinygradNpError


@dataclass
class Sample:
    """Inputs of an op (read-only arrays or None) and its attributes."""

    inputs: tuple[Any, ...]
    attributes: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self):
        self.inputs = tuple(_read_only(value) for value in self.inputs)

    def __repr__(self):
        shapes = [getattr(value, "shape", value) for value in self.inputs]
        return f"{shapes} {self.attributes}"


def _read_only(value: Any) -> Any:
    if isinstance(value, np.ndarray | np.generic):
        value = np.asarray(value).view()
        value.flags.writeable = False
    return value


def rng_for(op: Op) -> np.random.Generator:
    """Return a generator seeded by the name of the op."""
    return np.random.default_rng(zlib.crc32(op.name.encode()))


def draw(op: Op, shape: tuple[int, ...], generator: np.random.Generator) -> np.ndarray:
    """Return float64 numbers from the domain of the op, away from its kinks."""
    low, high = op.samples.domain
    values = generator.uniform(low, high, shape)
    for kink in op.samples.kinks:
        near = np.abs(values - kink) < 0.1
        values = np.where(near, kink + 0.1 * np.where(values < kink, -1, 1) + values, values)
    return np.asarray(values)


def normal(generator: np.random.Generator, *shape: int) -> np.ndarray:
    """Return standard normal numbers."""
    return np.asarray(generator.standard_normal(shape))


Table = dict[str, Callable[[np.random.Generator], list[Sample]]]
# A call, the error, and a part of its message.
Bad = tuple[Callable[[], Any], type[Exception], str]
Bads = dict[str, list[Bad]]


def attributed(*cases: tuple[tuple[int, ...], dict[str, Any]]) -> Callable[[Any], list[Sample]]:
    """Return a function that makes samples with one normal input from shapes and attributes."""
    return lambda generator: [Sample((normal(generator, *s),), options) for s, options in cases]


def recorded(function: Callable[..., Any], *inputs: Any, **options: Any) -> dict[str, Any]:
    """Return the options that a function passes to the op it calls."""
    tensors = [None if x is None else Tensor(x, requires_grad=True) for x in inputs]
    out = function(*tensors, **options)
    return dict(out.node.options)


def bad(
    function: Callable[..., Any], error: type[Exception], message: str, *inputs: Any, **options: Any
) -> Bad:
    """Return a call that must fail, with the error and a part of its message.

    In the message, "..." stands for any text. A tuple in `inputs` is the shape of a Tensor of ones;
    pass other tuples by keyword.
    """
    given = [Tensor.ones(*x) if isinstance(x, tuple) else x for x in inputs]
    return (lambda: function(*given, **options)), error, message


def refused(name: str, *shapes: tuple[int, ...], **options: Any) -> list[Bad]:
    """Return an invalid call of an op that has no method."""
    return [bad(ops.table[name], TinygradNpError, name, *shapes, **options)]
