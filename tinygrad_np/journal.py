"""Run a function again, or on trial, without side effects on generators and buffers.

While a `Journal` is active, `random.resolve` reports each random generator and `Module.__call__`
each module before it is used. The journal keeps the state that they had then. A `Trial` can start
from the states in a journal, and undoes all changes at its end.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any, Protocol, Self

import numpy as np

from tinygrad_np import random
from tinygrad_np.autograd.tape import Variable
from tinygrad_np.runtime.state import thread


class _Module(Protocol):
    def named_state(self) -> Iterator[tuple[str, Any]]:
        """Yield the names and values of the module's own buffers and generators."""


class Journal(AbstractContextManager["Journal"]):
    """The generators and buffers that a block uses, with their states before it.

    At the end of the block, buffers that it did not change are forgotten.
    """

    def __init__(self) -> None:
        self.default: np.random.Generator
        self.generators: dict[np.random.Generator, Any] = {}
        self.buffers: dict[Variable, Any] = {}
        """For each buffer, a copy of its array."""
        self.attributes: list[tuple[dict[str, Any], str, Any]] = []
        """(attributes of a module, name, buffer): the buffer that each attribute held."""
        self._modules: dict[int, _Module] = {}
        self._outer: Journal | None = None

    def __enter__(self) -> Self:
        self._outer = thread.state.journal
        thread.state.journal = self
        self.default = random.default_generator()
        return self

    def __exit__(self, *error: object) -> None:
        thread.state.journal = self._outer
        self.attributes = [
            entry for entry in self.attributes if entry[0].get(entry[1]) is not entry[2]
        ]
        assigned = {id(buffer) for _, _, buffer in self.attributes}
        self.buffers = {
            buffer: copy
            for buffer, copy in self.buffers.items()
            if id(buffer) in assigned or not _is_same(buffer.data, copy)
        }
        self._modules = {}

    def note_generator(self, generator: np.random.Generator) -> None:
        """Keep the state of a generator that is about to be used."""
        if self._outer is not None:
            self._outer.note_generator(generator)
        if generator not in self.generators:
            self.generators[generator] = generator.bit_generator.state

    def note_module(self, module: _Module) -> None:
        """Keep the states of the buffers and generators of a module that is about to be called."""
        if self._outer is not None:
            self._outer.note_module(module)
        if id(module) in self._modules:
            return
        self._modules[id(module)] = module  # kept alive, so that no other object gets its id
        for name, value in module.named_state():
            if isinstance(value, np.random.Generator):
                self.note_generator(value)
                continue
            if name in vars(module):  # not inside a list or dict
                self.attributes.append((vars(module), name, value))
            if value not in self.buffers:
                self.buffers[value] = self._keep(value)

    def _keep(self, buffer: Variable) -> Any:
        return buffer.data.copy()


class Trial(Journal):
    """A block whose effect on generators and buffers is undone at its end.

    Buffers hold copies of their arrays in the block, so a graph recorded in it stays valid.

    Args:
        before: a journal with the states to start from; None starts from the current ones.

    >>> from tinygrad_np import Tensor, nn
    >>> layer = nn.BatchNorm1d(1)
    >>> with Trial():
    ...     out = layer(Tensor([[1.0], [3.0]]))
    >>> layer.running_mean
    Tensor([0.])
    """

    def __init__(self, before: Journal | None = None) -> None:
        super().__init__()
        self._before = before

    def __enter__(self) -> Self:
        super().__enter__()
        before = self._before
        if before is not None:
            random.set_default_generator(before.default)
            for generator, state in before.generators.items():
                self.note_generator(generator)
                generator.bit_generator.state = state
            for buffer, array in before.buffers.items():
                self.buffers[buffer] = self._keep(buffer)
                buffer.replace_array(array.copy())
            for attributes, name, buffer in before.attributes:
                self.attributes.append((attributes, name, attributes.get(name, buffer)))
                attributes[name] = buffer
        return self

    def __exit__(self, *error: object) -> None:
        thread.state.journal = self._outer
        for attributes, name, value in reversed(self.attributes):
            attributes[name] = value
        for buffer, (array, version) in self.buffers.items():
            buffer.replace_array(array, version)
        for generator, state in self.generators.items():
            generator.bit_generator.state = state
        random.set_default_generator(self.default)

    def _keep(self, buffer: Variable) -> Any:
        kept = buffer.data, buffer.version
        buffer.replace_array(buffer.data.copy())
        return kept


def _is_same(array: Any, other: Any) -> bool:
    return np.array_equal(array, other, equal_nan=other.dtype.kind == "f")
