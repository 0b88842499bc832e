"""The result of `Module.summary`, and the profile that collects its numbers."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from tinygrad_np.display import Table, safe
from tinygrad_np.frontend.tensor import Tensor
from tinygrad_np.profiler import Profile, Row
from tinygrad_np.runtime.memory import Array
from tinygrad_np.runtime.state import thread
from tinygrad_np.typing import Scope


@dataclass
class Made:
    """Output shapes, output bytes and FLOPs of all calls of one module.

    Bytes are the sizes of the outputs that share no memory with earlier arrays. FLOPs are those of
    the ops that ran in the module itself and not in a module inside it.
    """

    shapes: list[str]
    nbytes: int = 0
    flops: int = 0


@dataclass(frozen=True)
class SummaryRow:
    """One row of a summary; its parameters are those that no earlier row has.

    `shapes` are the shapes of the outputs, `flops` and `nbytes` as in `Made`.
    """

    path: str
    kind: str
    shapes: str
    parameters: int
    trainable: int
    weight_nbytes: int
    flops: int
    nbytes: int

    @classmethod
    def of(cls, path: str, kind: str, parameters: Sequence[Tensor], made: Made) -> Self:
        """Return the row of a layer with the given parameters."""
        return cls(
            path,
            kind,
            " ".join(dict.fromkeys(made.shapes)) or "not called",
            sum(parameter.numel() for parameter in parameters),
            sum(parameter.numel() for parameter in parameters if parameter.requires_grad),
            sum(parameter.data.nbytes for parameter in parameters),
            made.flops,
            made.nbytes,
        )

    def numbers(self) -> tuple[int, int, int]:
        """Return the numbers of parameters, FLOPs and bytes."""
        return self.parameters, self.flops, self.nbytes


class Watch(Profile):
    """Profile that counts FLOPs per module call; its forward hook `note` records the outputs."""

    def __init__(self) -> None:
        super().__init__()
        self._calls: dict[Scope | None, Row] = {}
        self._modules: dict[Scope | None, int] = {}
        self._made: dict[int, Made] = {}
        # Kept alive, so that no later array reuses the memory of a counted one.
        self._arrays: list[Array] = []

    def row_for(self, op: str, scope: Scope | None) -> Row:
        """Return the row of a module call, which all its ops share."""
        return self._calls.setdefault(scope, Row("", ""))

    def note(self, module: Any, inputs: Any, output: Any) -> None:
        """Record the output of a call.

        Inputs, views of them and outputs of modules inside this one add no bytes.
        """
        self._modules[thread.state.scope] = id(module)
        made = self._made.setdefault(id(module), Made([]))
        made.shapes.append(_shape_of(output))
        self._arrays += _arrays_of(inputs)
        for array in _arrays_of(output):
            if not any(np.may_share_memory(array, other) for other in self._arrays):
                made.nbytes += array.nbytes
            self._arrays.append(array)

    def made_by(self, module: Any) -> Made:
        """Return the shapes, bytes and FLOPs of all calls of a module."""
        made = self._made.get(id(module), Made([]))
        made.flops = sum(
            row.flops for scope, row in self._calls.items() if self._owner(scope) == id(module)
        )
        return made

    def _owner(self, scope: Scope | None) -> int | None:
        """Return the id of the module of a call, or of the nearest enclosing recorded call."""
        while scope is not None and scope not in self._modules:
            scope = scope.outer
        return self._modules.get(scope)


def _arrays_of(value: Any) -> Iterator[Array]:
    """Yield the arrays in nested inputs or outputs."""
    if isinstance(value, Mapping):
        value = tuple(value.values())
    if isinstance(value, list | tuple):
        for inner in value:
            yield from _arrays_of(inner)
    elif isinstance(value, Tensor):
        yield value.data


def _shape_of(output: Any) -> str:
    """Return the text for an output: its shape, or several in parentheses or braces."""
    if isinstance(output, Mapping):
        return f"{{{', '.join(f'{name}: {_shape_of(part)}' for name, part in output.items())}}}"
    if isinstance(output, list | tuple):
        return f"({', '.join(map(_shape_of, output))})"
    return str(output.shape) if isinstance(output, Tensor) else type(output).__name__


@dataclass(frozen=True)
class Summary:
    """What `Module.summary` returns: a table of layers with their sizes and costs.

    `print` shows it in a terminal, and a notebook shows it as an HTML table.

    Args:
        rows: one row per layer, the model itself first.
    """

    rows: Sequence[SummaryRow]

    def table(self) -> Table:
        """Return the table of layers, with the totals below it.

        Numbers are exact rather than rounded, so a longer number is a larger one.
        """
        heading = ("layer", "class", "output shape", "parameters", "FLOPs", "bytes")
        cells = [
            (row.path, row.kind, row.shapes, *map("{:,}".format, row.numbers()))
            for row in self.rows
        ]
        return Table(heading, cells, names=3, notes=self._totals())

    def _totals(self) -> list[str]:
        total = sum(row.parameters for row in self.rows)
        trainable = sum(row.trainable for row in self.rows)
        weights = sum(row.weight_nbytes for row in self.rows)
        flops = sum(row.flops for row in self.rows)
        activations = sum(row.nbytes for row in self.rows)
        return [
            f"{total:,} parameters: {trainable:,} trainable, {total - trainable:,} frozen; "
            f"{_size(weights)}",
            f"forward pass of one sample: {flops:,} FLOPs; {_size(activations)} of activations "
            "(layers' outputs)",
        ]

    @safe
    def __repr__(self) -> str:
        return repr(self.table())

    @safe
    def _repr_html_(self) -> str:
        return self.table()._repr_html_()


def _size(nbytes: int) -> str:
    """Return a number of bytes as text, in bytes, KiB or MiB."""
    if nbytes < 1024:
        return f"{nbytes} bytes"
    return f"{nbytes / 2**10:.1f} KiB" if nbytes < 2**20 else f"{nbytes / 2**20:.2f} MiB"
