"""The tape: arrays that remember how they were computed, and the nodes that record it.

A result of an op holds a `Node`; the node points to the nodes and leaves that the op read. That
graph is all a backward pass needs. This file defines the data and the switches that say whether it
is recorded; `dispatch` writes it and `backward` walks it.
"""

import itertools
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import ContextDecorator
from dataclasses import dataclass, field
from functools import partial
from typing import Any, ClassVar, Protocol, Self, TypeAlias, TypeVar

import numpy as np

from tinygrad_np.runtime.memory import Array

Shape: TypeAlias = tuple[int, ...]
DType: TypeAlias = np.dtype[Any]
Options: TypeAlias = Mapping[str, Any]
Hooks: TypeAlias = dict[int, Callable[..., Any]]
T = TypeVar("T")
AnyVariable = TypeVar("AnyVariable", bound="Variable")

clock = itertools.count(1)
"""Numbers nodes and in-place changes, so that any two of them can be ordered."""


class Value(Protocol):
    """What VJPs and definitions compute with: an ndarray, or a Variable when recording."""

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


class Operation(Protocol):
    """What a node and its readers need to know of an op; `op.Op` defines it."""

    @property
    def name(self) -> str:
        """The name of the op."""

    @property
    def forward(self) -> Callable[..., Any]:
        """The function from arrays to an array."""

    @property
    def definition(self) -> Callable[..., Any] | None:
        """The same function composed of other ops, if the op is differentiated through it."""

    @property
    def options(self) -> Options:
        """The options and their defaults."""

    def input_name(self, position: int) -> str:
        """Return the name of an input."""

    def count_flops(self, arrays: Sequence[Any], options: Options, out: Array) -> int:
        """Return the floating-point operations of one run of the forward."""


@dataclass(frozen=True, slots=True)
class Gradient:
    """A VJP or a backward kernel, and how to gather its arguments after `grad_out`."""

    function: Callable[..., Any]
    position: int
    """The input that a VJP is for; -1 for a kernel, which serves all inputs."""
    pick: Callable[[Sequence[Any]], Sequence[Any]] | None
    """Selects the arguments from the saved values; None if some are options or shapes."""
    arguments: Callable[[Sequence[Any], "Node", tuple[bool, ...]], Sequence[Any]]
    """Looks the arguments up by name among saved values, options and input shapes."""
    overwrites: bool


@dataclass(slots=True)
class SavePlan:
    """What an op saves, and its gradients, when a given set of its inputs wants gradients.

    For `x * w` with a frozen `w`, only the gradient for `x` is wanted. It is `grad_out * w`, so the
    plan saves `w` and not `x`.
    """

    op: Operation
    wanted: tuple[bool, ...]
    names: list[str]
    """The names of the saved values, in order: inputs, further results, output."""
    inputs: list[int]
    """Which inputs are saved, as positions in the call."""
    results: list[int]
    """Which results are saved, as positions after the inputs; the output is the last."""
    saves_out: bool
    vjps: list[Gradient]
    backward: Gradient | None
    backward_flops: Gradient | None
    is_checked: bool = False
    """Whether the kernel's gradients have been checked not to share memory."""


class Scope:
    """The module call in which an op was recorded; `nn.Module` makes one per call."""

    __slots__ = ("kind", "outer")
    kind: str
    """The name of the module's class."""
    outer: "Scope | None"

    @property
    def path(self) -> str:
        """The path of the module from the one called outermost."""
        raise NotImplementedError


class Observer(ContextDecorator):
    """Sees every op and gradient that runs on the thread that entered it; `debug()` is one.

    A subclass overrides what it wants to see. The methods with a `call` return what it returns.
    """

    def __enter__(self) -> Self:
        thread.state.observers.append(self)
        return self

    def __exit__(self, *error: object) -> None:
        thread.state.observers.pop()

    def on_forward(
        self, op: Operation, arrays: Sequence[Any], options: Options, call: Callable[[], T]
    ) -> T:
        """Run the forward of an op."""
        return call()

    def on_record(self, node: "Node", call: Callable[[], None]) -> None:
        """See a new node."""
        call()

    def on_vjp(self, node: "Node", position: int, grad_out: Value, call: Callable[[], T]) -> T:
        """Run the VJP of a node for the input at `position`."""
        return call()

    def on_backward(self, node: "Node", grad_out: Value, call: Callable[[], T]) -> T:
        """Run the backward kernel of a node, which returns one gradient or None per input."""
        return call()

    def on_error(self, node: "Node", error: Exception) -> None:
        """See an error raised while the gradients of a node were computed."""


def observed(event: str, *args: Any, call: Callable[[], T]) -> T:
    """Run `call` within that method of every observer, the one entered first innermost."""
    # An observer entered inside itself, say by a recursive function, watches once.
    for observer in dict.fromkeys(thread.state.observers):
        call = partial(getattr(observer, event), *args, call)
    return call()


@dataclass(slots=True)
class ThreadState:
    """What holds on one thread right now: recording mode, module call, observers."""

    recording: bool = True
    outer_modes: list[bool] = field(default_factory=list)
    scope: Scope | None = None
    observers: list[Observer] = field(default_factory=list)


class _Thread(threading.local):
    def __init__(self) -> None:
        # One object per thread: a thread-local lookup is slow, and an op needs three values.
        self.state = ThreadState()


thread = _Thread()


class Recording(ContextDecorator):
    """Switch recording on or off for this thread; can be nested and reused."""

    def __init__(self, flag: bool) -> None:
        self.flag = flag

    def __enter__(self) -> None:
        state = thread.state
        state.outer_modes.append(state.recording)
        state.recording = self.flag

    def __exit__(self, *error: object) -> None:
        state = thread.state
        state.recording = state.outer_modes.pop()


def no_grad() -> Recording:
    """Disable recording in a `with` block or a decorated function, on this thread.

    >>> from tinygrad_np import Tensor, no_grad
    >>> x = Tensor([2.0], requires_grad=True)
    >>> with no_grad():
    ...     (x * x).requires_grad
    False
    """
    return Recording(False)


def enable_grad() -> Recording:
    """Enable recording again inside `no_grad()`; a context manager and a decorator, per thread.

    >>> from tinygrad_np import Tensor, enable_grad, no_grad
    >>> x = Tensor([2.0], requires_grad=True)
    >>> with no_grad(), enable_grad():
    ...     (x * x).requires_grad
    True
    """
    return Recording(True)


class Variable:
    """An array on the tape; `Tensor` adds the methods that users call.

    A result of a recorded op has a `node`. A leaf has none; if it requires a gradient, backward
    passes accumulate into its `grad`. `version` is shared by everything that shares the memory; it
    holds the time, by `clock`, of the last in-place change. A node that saved the array is older
    than a later change: PyTorch compares two counters for that.
    """

    __slots__ = ("__weakref__", "_requires_grad", "data", "grad", "hooks", "node", "version")

    # NumPy defers to Tensor's reflected operators: `ndarray + Tensor` is a Tensor.
    __array_ufunc__ = None
    result_class: ClassVar[type["Variable"]]

    data: Array
    grad: Any
    hooks: Hooks | None
    node: "Node | None"
    version: list[int]
    _requires_grad: bool

    @classmethod
    def wrap(
        cls, data: Array, node: "Node | None" = None, version: list[int] | None = None
    ) -> Self:
        """Return a variable that holds `data` itself: no copy, no checks."""
        return initialize(cls.__new__(cls), data, node, [0] if version is None else version)

    @property
    def requires_grad(self) -> bool:
        """Whether a backward pass reaches this: a leaf that asks for it, or a recorded result."""
        return self._requires_grad or self.node is not None

    @property
    def shape(self) -> Shape:
        """The length of each axis."""
        shape: Shape = self.data.shape
        return shape

    @property
    def dtype(self) -> DType:
        """The dtype of the array."""
        return self.data.dtype

    def cast(self, dtype: DType) -> "Variable":
        """Convert to `dtype` with a recorded op; `Tensor` implements it."""
        raise NotImplementedError

    def mark_changed(self) -> None:
        """Note an in-place change: a backward pass that needs the old values will refuse."""
        self.version[0] = next(clock)


def initialize(
    variable: AnyVariable, data: Array, node: "Node | None", version: list[int]
) -> AnyVariable:
    """Set the slots of a new variable and return it."""
    variable.data = data
    variable.node = node
    variable.version = version
    variable.grad = None
    variable.hooks = None
    variable._requires_grad = False
    return variable


@dataclass(init=False, eq=False, repr=False, slots=True)
class Node:
    """One recorded op: data only, so that a graph can be printed, drawn and freed.

    `edges` has one entry per input: the input's node, the leaf itself, or None where no gradient is
    wanted. `saved` is what the gradients need, None once a backward pass has freed the node, and
    `versions` the version counters of the saved tensors. `order` is the node's time by `clock`.
    `hooks` are called with the gradient of the node's output.
    """

    plan: SavePlan
    edges: "tuple[Edge | None, ...]"
    saved: Sequence[Any] | None
    versions: Sequence[list[int]]
    options: Options
    hooks: Hooks | None
    order: int
    scope: Scope | None
    shape: Shape
    dtype: DType

    @property
    def op(self) -> Operation:
        """The op that ran."""
        return self.plan.op

    def __repr__(self) -> str:
        state = " freed" if self.saved is None else ""
        return f"<Node {self.order} {self.op.name} {self.shape} {self.dtype}{state}>"


Edge: TypeAlias = Node | Variable
"""What a gradient belongs to: a recorded result, or a leaf."""


class Handle:
    """A registered hook; `remove()` takes it away again."""

    def __init__(self, hooks: Hooks, hook: Callable[..., Any]) -> None:
        self._hooks = hooks
        self._key = next(clock)
        hooks[self._key] = hook

    def remove(self) -> None:
        """Remove the hook; removing it twice does no harm."""
        self._hooks.pop(self._key, None)
