"""The tape: the data structures of the autograd graph.

The result of an op holds a `Node`, and each node points to the nodes and leaves of the op's inputs.
A backward pass needs nothing else. `dispatch` builds the graph and `backward` walks it.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self, TypeAlias, TypeVar

from tinygrad_np.autograd.op import Op, SavePlan
from tinygrad_np.runtime.memory import Array
from tinygrad_np.runtime.state import ThreadState, run_observed
from tinygrad_np.typing import DType, Function, Options, Scope, Shape, Values

Hooks: TypeAlias = dict[float, Function]
Versions: TypeAlias = Sequence[list[int]]
AnyVariable = TypeVar("AnyVariable", bound="Variable")

clock = itertools.count(1)
"""Logical clock shared by nodes, in-place changes and hooks, which gives them a total order."""
RETAIN = math.inf
"""Key of the hook that implements `retain_grad`; it runs after all other hooks."""
was_rebased = [False]
"""Whether an in-place change has ever been recorded; until then, no tensor can be out of date."""


last_overwrite = [0]
"""The `clock` time at which the array of a result was last changed without a node. Values computed
from that result since then cannot be recomputed from the graph."""


class Variable:
    """An array with its place in the graph. `Tensor` adds the public methods.

    The result of a recorded op has a `node`. A leaf has none; if it requires a gradient, backward
    passes accumulate into its `grad`.

    `version` is a list shared by all views of the same memory. Its first entry is the `clock` time
    of the last in-place change. A saved array is stale if this is greater than the `order` of the
    node that saved it. (PyTorch instead saves a copy of a counter and compares for equality.) The
    other entries are the orders of the nodes that recorded in-place changes: see `rebase`.

    `since` is the `clock` time at which a tensor without a node was created; it is set only if
    in-place changes had been recorded before.

    `_name` is set only if the user names the tensor; the name of a result is kept by its node.
    """

    __slots__ = (
        "__weakref__",
        "_array",
        "_name",
        "_requires_grad",
        "grad",
        "hooks",
        "node",
        "since",
        "version",
    )

    result_class: ClassVar[type["Variable"]]

    _array: Array
    grad: Any
    hooks: Hooks | None
    node: "Node | None"
    since: int
    version: list[int]
    _name: str
    _requires_grad: bool

    @classmethod
    def wrap(
        cls, data: Array, node: "Node | None" = None, version: list[int] | None = None
    ) -> Self:
        """Wrap `data` without copying or checking it."""
        return initialize(cls.__new__(cls), data, node, [0] if version is None else version)

    @property
    def data(self) -> Array:
        """The array; the engine reads `_array`, which takes a quarter of the time."""
        return self._array

    @data.setter
    def data(self, value: Any) -> None:
        self._array = value

    def replace_array(self, array: Array, version: list[int] | None = None) -> None:
        """Replace the array, without a copy or a check.

        The new version counter tells drawings that older nodes used another array.
        """
        self._array, self.version = array, [next(clock)] if version is None else version
        if self.node is not None:
            last_overwrite[0] = next(clock)

    @property
    def requires_grad(self) -> bool:
        """Whether this is a leaf with `requires_grad` set, or the result of a recorded op."""
        return self._requires_grad or self.node is not None

    @property
    def shape(self) -> Shape:
        """The length of each axis."""
        shape: Shape = self._array.shape
        return shape

    @property
    def dtype(self) -> DType:
        """The data type of the elements."""
        return self._array.dtype

    def cast(self, dtype: DType) -> "Variable":
        """Convert to `dtype` with a recorded op. Implemented by `Tensor`."""
        raise NotImplementedError

    def new_like(self, values: Any) -> "Variable":
        """Convert a nested list to a Variable of this dtype. Implemented by `Tensor`."""
        raise NotImplementedError

    def mark_changed(self) -> None:
        """Record an in-place change, so that a backward pass that needs the old values raises."""
        self.version[0] = next(clock)
        if self.node is not None:
            last_overwrite[0] = self.version[0]

    def was_leaf(self) -> bool:
        """Return whether this is a leaf, or was one until an in-place change was recorded."""
        return self.node is None or hasattr(self, "since")

    def is_current(self, changes: int = 1) -> bool:
        """Return whether the graph of this tensor includes all recorded changes of its memory.

        `changes=2` leaves out the last change.
        """
        if len(self.version) <= changes:
            return True
        made = getattr(self, "since", 0) if self.node is None else self.node.order
        return self.version[-changes] <= made

    def rebase(self, node: "Node") -> None:
        """Make `node`, which recorded an in-place change, the origin of this tensor's values.

        Other tensors with the same memory are out of date from now on: their values changed, but
        their nodes do not include the change. Using them in a recorded op raises.
        """
        hooks = (self.node and self.node.hooks) or {}
        if RETAIN in hooks:
            node.hooks = {RETAIN: hooks.pop(RETAIN)}
        if self.node is None:
            self.since = 0  # see `was_leaf`
        self.node = node
        self.version.append(node.order)
        self.version[0] = next(clock)
        was_rebased[0] = True


def initialize(
    variable: AnyVariable, data: Array, node: "Node | None", version: list[int]
) -> AnyVariable:
    """Set the attributes of a new variable and return it."""
    variable._array = data
    variable.node = node
    variable.version = version
    variable.grad = None
    variable.hooks = None
    variable._requires_grad = False
    return variable


@dataclass(init=False, eq=False, repr=False, slots=True)
class Node:
    """One recorded call of an op.

    A node contains only data, so that a graph can be printed, drawn and freed.

    - `edges` has one entry per input: the input's node, the leaf itself, the number if the input is
      a Python number, or None for any other input that needs no gradient.
    - `saved` holds the values that the gradient functions need. A backward pass that frees the
      graph sets `saved` to None and `edges` to ().
    - `versions` holds the version counters of the saved inputs and output.
    - `order` is the `clock` time at which the node was recorded.
    - `hooks` are called with the gradient of the node's output.
    - `_name` is set only if the user names the result.
    """

    plan: SavePlan
    edges: "Edges"
    saved: Values | None
    versions: Versions
    options: Options
    hooks: Hooks | None
    order: int
    scope: Scope | None
    shape: Shape
    dtype: DType
    _name: str

    @property
    def name(self) -> str:
        """The name of the result; empty unless the user named it."""
        return getattr(self, "_name", "")

    @property
    def op(self) -> Op:
        """The op that was called."""
        return self.plan.op

    def __repr__(self) -> str:
        state = " freed" if self.saved is None else ""
        return f"<Node {self.order} {self.op.name} {self.shape} {self.dtype}{state}>"


Edge: TypeAlias = Node | Variable
"""What an edge points to: a node or a leaf. A backward pass uses it as the key of its gradient."""
Edges: TypeAlias = tuple[Edge | float | None, ...]


def record(
    plan: SavePlan,
    edges: Edges,
    saved: Values,
    versions: Versions,
    options: Options,
    shape: Shape,
    dtype: DType,
    state: ThreadState,
) -> Node:
    """Create the node for one call of an op."""
    node = Node()
    node.plan = plan
    node.edges = edges
    node.saved = saved
    node.versions = versions
    node.options = options
    node.hooks = None
    node.order = next(clock)
    node.scope = state.scope
    node.shape = shape
    node.dtype = dtype
    if state.observers:
        run_observed("on_record", node, call=lambda: None)
    return node


class Handle:
    """A handle for a registered hook."""

    def __init__(self, hooks: Hooks, hook: Function, key: float | None = None) -> None:
        self._hooks = hooks
        self._key = next(clock) if key is None else key
        hooks[self._key] = hook

    def remove(self) -> None:
        """Unregister the hook. Further calls have no effect."""
        self._hooks.pop(self._key, None)
