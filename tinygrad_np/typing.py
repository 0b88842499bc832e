"""Types shared by the whole package."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeAlias

import numpy as np

Shape: TypeAlias = tuple[int, ...]
DType: TypeAlias = np.dtype[Any]
Options: TypeAlias = Mapping[str, Any]
Function: TypeAlias = Callable[..., Any]
Values: TypeAlias = Sequence[Any]
Wanted: TypeAlias = tuple[bool, ...]
"""One bool per input: whether its gradient is wanted."""


class Value(Protocol):
    """Operand of VJPs and definitions: an ndarray, or a Variable when recording."""

    @property
    def shape(self) -> Shape:
        """The length of each axis."""

    @property
    def dtype(self) -> DType:
        """The dtype of the entries."""

    def __add__(self, other: Any, /) -> "Value": ...
    def __radd__(self, other: Any, /) -> "Value": ...
    def __sub__(self, other: Any, /) -> "Value": ...
    def __rsub__(self, other: Any, /) -> "Value": ...
    def __mul__(self, other: Any, /) -> "Value": ...
    def __rmul__(self, other: Any, /) -> "Value": ...
    def __truediv__(self, other: Any, /) -> "Value": ...
    def __rtruediv__(self, other: Any, /) -> "Value": ...


class Scope:
    """The module call in which an op was recorded; `nn.Module` makes one per call."""

    __slots__ = ("kind", "outer")
    kind: str
    """The name of the module's class."""
    outer: "Scope | None"

    @property
    def path(self) -> str:
        """The module's path relative to the outermost module called."""
        raise NotImplementedError
