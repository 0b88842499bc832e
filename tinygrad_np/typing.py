"""Type aliases and protocols shared by the whole package."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, NamedTuple, Protocol, TypeAlias, TypeVar

import numpy as np

# Built-in types, for classes with methods and modules with dtypes named int, float and bool.
Int: TypeAlias = int
Float: TypeAlias = float
Bool: TypeAlias = bool

Shape: TypeAlias = tuple[int, ...]
DType: TypeAlias = np.dtype[Any]
Options: TypeAlias = Mapping[str, Any]
Function: TypeAlias = Callable[..., Any]
Values: TypeAlias = Sequence[Any]
Wanted: TypeAlias = tuple[bool, ...]
"""One bool per input: whether it needs a gradient."""


class Value(Protocol):
    """Operand of VJPs and definitions: an ndarray, or a Variable while recording."""

    @property
    def shape(self) -> Shape:
        """The length of each axis."""

    @property
    def dtype(self) -> DType:
        """The data type of the elements."""

    def __add__(self, other: Any, /) -> "Value": ...
    def __radd__(self, other: Any, /) -> "Value": ...
    def __sub__(self, other: Any, /) -> "Value": ...
    def __rsub__(self, other: Any, /) -> "Value": ...
    def __mul__(self, other: Any, /) -> "Value": ...
    def __rmul__(self, other: Any, /) -> "Value": ...
    def __truediv__(self, other: Any, /) -> "Value": ...
    def __rtruediv__(self, other: Any, /) -> "Value": ...


V = TypeVar("V")


class ValuesAndIndices(NamedTuple, Generic[V]):
    """Selected entries and their positions along an axis, as `sort` and `topk` return them."""

    values: V
    indices: V


class Scope:
    """What was running when an op was recorded.

    `nn.Module` creates a `ModuleScope` per call; its `module` property is the module. A backward
    pass with `create_graph` creates `BackwardScope`s.
    """

    __slots__ = ("kind", "outer")
    kind: str
    """Class name of the module; `backward` or, for example, `VJP of tanh` in a backward pass."""
    outer: "Scope | None"

    def __repr__(self) -> str:
        return f"<Scope of {self.kind}{self.path and ' '}{self.path}>"

    @property
    def path(self) -> str:
        """Path of the module relative to the outermost module called."""
        raise NotImplementedError
