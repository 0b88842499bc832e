"""The tape: arrays that know how they were made, and the nodes that say how."""

import itertools
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import ContextDecorator
from typing import Any, ClassVar, Self

import numpy as np

from tinygrad_np.runtime.memory import Array

Shape = tuple[int, ...]

sequence = itertools.count(1)
"""Numbers nodes and changes in place, so that one can tell which came first."""


class Scope:
    """The call of a module within which an op was recorded: its path, its class, the outer call.

    Only strings, so that a graph keeps no module alive.
    """

    __slots__ = ("kind", "outer", "path")

    def __init__(self, path: str, kind: str, outer: "Scope | None") -> None:
        self.path = path
        self.kind = kind
        self.outer = outer


class Observer(ContextDecorator):
    """Is shown each op that runs and each VJP, on the thread that entered it; here it only passes
    them on. `debug()` and `profile()` return such.
    """

    def __enter__(self) -> Self:
        now = mode.now
        # Entered within itself, as by a recursive function, it watches once.
        now.observers.append(now.observers[-1] if self in now.observers else self)
        now.observer = now.observers[-1]
        return self

    def __exit__(self, *error: object) -> None:
        now = mode.now
        now.observers.pop()
        now.observer = now.observers[-1] if now.observers else None

    @property
    def outer(self) -> "Observer | None":
        """The one that was entered before this one on this thread."""
        observers = mode.now.observers
        place = observers.index(self)
        return observers[place - 1] if place else None

    def run(self, op: Any, arrays: Sequence[Any], attributes: Mapping[str, Any]) -> Any:
        """Run an op's forward on arrays; return what it returns."""
        outer = self.outer
        if outer is None:
            return op.forward(*arrays, **attributes)
        return outer.run(op, arrays, attributes)

    def recorded(self, node: "Node") -> None:
        """Take note of the node that was made of the op that has just run."""
        outer = self.outer
        if outer is not None:
            outer.recorded(node)

    def pull(self, node: "Node", rule: Any, grad_out: Any, *arguments: Any) -> Any:
        """Call the VJP that `rule` has for an input of `node`."""
        outer = self.outer
        if outer is None:
            return rule.vjp(grad_out, *arguments)
        return outer.pull(node, rule, grad_out, *arguments)

    def failed(self, node: "Node", error: Exception) -> None:
        """Take note of an error on the way back through `node`: of its VJP, or what that returned,
        or of its definition."""
        outer = self.outer
        if outer is not None:
            outer.failed(node, error)


class Now:
    """What holds on one thread at this moment: whether ops are recorded, within which call of a
    module, and who watches."""

    __slots__ = ("observer", "observers", "outer", "recording", "scope")

    def __init__(self) -> None:
        self.recording = True
        self.outer: list[bool] = []
        self.scope: Scope | None = None
        # Those entered, and the last of them, which is what each op asks for.
        self.observers: list[Observer] = []
        self.observer: Observer | None = None


class _Mode(threading.local):
    def __init__(self) -> None:
        # One object: looking up an attribute of a thread's own is slow, and each op needs three.
        self.now = Now()


mode = _Mode()


class Recording(ContextDecorator):
    """Switches the recording of ops on or off, for this thread; can be nested and reused."""

    def __init__(self, flag: bool) -> None:
        self.flag = flag

    def __enter__(self) -> None:
        mode.now.outer.append(mode.now.recording)
        mode.now.recording = self.flag

    def __exit__(self, *error: object) -> None:
        mode.now.recording = mode.now.outer.pop()


def no_grad() -> Recording:
    """Record nothing inside `with no_grad():` or a function decorated with `@no_grad()`.

    >>> from tinygrad_np import Tensor, no_grad
    >>> x = Tensor([2.0], requires_grad=True)
    >>> with no_grad():
    ...     (x * x).requires_grad
    False
    """
    return Recording(False)


def enable_grad() -> Recording:
    """Record again inside a `no_grad()`; a context manager and a decorator, per thread.

    >>> from tinygrad_np import Tensor, enable_grad, no_grad
    >>> x = Tensor([2.0], requires_grad=True)
    >>> with no_grad(), enable_grad():
    ...     (x * x).requires_grad
    True
    """
    return Recording(True)


class Variable:
    """An array that the tape knows; `Tensor` adds the methods that a user sees.

    A result of an op has a `node`; a leaf has none, and gathers its gradient in `grad` if it was
    made with `requires_grad`. `version` is shared by all that share memory: it holds the moment, in
    the sequence that also numbers the nodes, of the last change in place.
    """

    __slots__ = ("__weakref__", "_requires_grad", "data", "grad", "hooks", "node", "version")

    # NumPy steps back, so that `ndarray + Tensor` is a Tensor.
    __array_ufunc__ = None
    result_class: ClassVar[type["Variable"]]

    data: Array
    grad: Any
    _requires_grad: bool
    node: "Node | None"
    version: list[int]
    # Set on a leaf when its first hook comes.
    hooks: dict[int, Callable[[Any], Any]]

    @classmethod
    def wrap(
        cls, data: Array, node: "Node | None" = None, version: list[int] | None = None
    ) -> Self:
        """Return a variable over `data` itself: no copy, no check."""
        variable = cls.__new__(cls)
        variable.data = data
        variable.node = node
        variable.version = [0] if version is None else version
        variable.grad = None
        variable._requires_grad = False
        return variable

    @property
    def requires_grad(self) -> bool:
        """Whether a backward reaches this: a leaf that asked for it, or a recorded result."""
        return self._requires_grad or self.node is not None

    @property
    def shape(self) -> Shape:
        """The length of each axis."""
        shape: Shape = self.data.shape
        return shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of the array."""
        return self.data.dtype

    def mark_changed(self) -> None:
        """Say that the memory was changed in place: a backward that still needs it will refuse."""
        self.version[0] = next(sequence)


class Node:
    """One op that was run: data only, so that a graph can be printed, drawn and freed.

    `edges` has for each input its node, the leaf itself, or None where no gradient is wanted.
    `saved` is None once a backward has freed the node. `counters` are the `version`s of what it
    saved, and `order` its place in time. `hooks` are called with the gradient of its output.
    """

    __slots__ = (
        "attributes",
        "counters",
        "dtype",
        "edges",
        "hooks",
        "order",
        "recipe",
        "saved",
        "scope",
        "shape",
    )

    # A `record.Recipe`: which op it was, and how what it saved is to be read.
    recipe: Any
    edges: tuple["Node | Variable | None", ...]
    saved: Sequence[Any] | None
    counters: Sequence[list[int]]
    attributes: Mapping[str, Any]
    hooks: dict[int, Callable[[Any], Any]] | None
    order: int
    scope: Scope | None
    shape: Shape
    dtype: np.dtype[Any]

    @property
    def op(self) -> Any:
        """The record of what was run."""
        return self.recipe.op

    def __repr__(self) -> str:
        state = " freed" if self.saved is None else ""
        return f"<Node {self.order} {self.op.name} {self.shape} {self.dtype}{state}>"


class Handle:
    """What registering a hook returns: `remove()` takes the hook away again."""

    def __init__(self, hooks: dict[int, Callable[..., Any]], hook: Callable[..., Any]) -> None:
        self._hooks = hooks
        self._key = next(sequence)
        hooks[self._key] = hook

    def remove(self) -> None:
        """Take the hook away; to do so twice does no harm."""
        self._hooks.pop(self._key, None)
