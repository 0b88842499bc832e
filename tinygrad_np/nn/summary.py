"""The table that `Module.summary` prints, and the profile that collects its numbers."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygrad_np.profiler import Profile, Row
from tinygrad_np.runtime.memory import Array
from tinygrad_np.runtime.state import thread
from tinygrad_np.tensor import Tensor
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


@dataclass
class SummaryRow:
    """One row of the table; `parameters` excludes those of earlier rows."""

    path: str
    kind: str
    parameters: Sequence[Tensor]
    made: Made


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


def table(layers: Sequence[SummaryRow]) -> str:
    """Return the table of layers, with the totals below it.

    Numbers are exact rather than rounded, so a longer number is a larger one.
    """
    rows = [("layer", "class", "output shape", "parameters", "FLOPs", "bytes")]
    for layer in layers:
        count = sum(parameter.numel() for parameter in layer.parameters)
        numbers = [f"{number:,}" for number in (count, layer.made.flops, layer.made.nbytes)]
        shapes = " ".join(dict.fromkeys(layer.made.shapes)) or "not called"
        rows.append((layer.path, layer.kind, shapes, numbers[0], numbers[1], numbers[2]))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = list(zip(row, widths, strict=True))
        texts = [text.ljust(width) for text, width in cells[:3]]
        lines.append("  ".join(texts + [text.rjust(width) for text, width in cells[3:]]))
    rule = "-" * len(lines[0])
    return "\n".join([lines[0], rule, *lines[1:], rule, *_totals(layers)])


def _totals(layers: Sequence[SummaryRow]) -> list[str]:
    parameters = [parameter for layer in layers for parameter in layer.parameters]
    total = sum(parameter.numel() for parameter in parameters)
    trainable = sum(parameter.numel() for parameter in parameters if parameter.requires_grad)
    weights = sum(parameter.data.nbytes for parameter in parameters)
    flops = sum(layer.made.flops for layer in layers)
    activations = sum(layer.made.nbytes for layer in layers)
    return [
        f"{total:,} parameters: {trainable:,} trainable, {total - trainable:,} frozen; "
        f"{_size(weights)}",
        f"forward pass of one sample: {flops:,} FLOPs; {_size(activations)} of activations "
        "(layers' outputs)",
    ]


def _size(nbytes: int) -> str:
    """Return a number of bytes as text, in bytes, KiB or MiB."""
    if nbytes < 1024:
        return f"{nbytes} bytes"
    return f"{nbytes / 2**10:.1f} KiB" if nbytes < 2**20 else f"{nbytes / 2**20:.2f} MiB"
