"""The backward pass: walk the tape from the newest node to the oldest.

`Walk.run` contains the loop, `propagate` computes the gradients of one node's inputs, and
`Walk.receive` adds each gradient to the total of its input. VJPs receive arrays or, with
`create_graph`, Variables; because VJPs are written with ops, the same code handles both. The walk
is not recursive, so deep graphs do not exhaust the stack. Only nested definitions, such as a
checkpoint inside a checkpoint, recurse.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from heapq import heappop, heappush, heappushpop
from typing import Any, TypeAlias

import numpy as np

from tinygrad_np import engine_checks as checks
from tinygrad_np.autograd import tape
from tinygrad_np.autograd.primitives import cast, sum_to
from tinygrad_np.autograd.tape import Edge, Node, Variable
from tinygrad_np.checks import check_unmasked
from tinygrad_np.errors import GraphError, ShapeError
from tinygrad_np.runtime import memory
from tinygrad_np.runtime.memory import Array
from tinygrad_np.runtime.state import Recording, run_observed, thread
from tinygrad_np.typing import Function, Scope, Values, Wanted

Grad: TypeAlias = Any
"""A gradient: a Variable with `create_graph`, otherwise an array."""
Grads: TypeAlias = Sequence[tuple[Edge, Grad]]
"""The edges of a node that need a gradient, each with its gradient."""

_ndarray = np.ndarray


def backward(
    root: Variable, gradient: Any = None, retain_graph: bool = False, create_graph: bool = False
) -> None:
    """Accumulate the gradient of `root` into the `.grad` of every leaf it depends on.

    Args:
        root: the tensor to differentiate.
        gradient: the upstream gradient of `root`; defaults to 1 if `root` has one element.
        retain_graph: keep the graph for another backward pass. By default, the pass frees it.
        create_graph: record the backward pass, so that the gradients can be differentiated again;
            implies `retain_graph`.

    Raises:
        GraphError: if `root` does not require a gradient, the graph was freed, or a saved array was
            changed in place.
        ShapeError: if `gradient` is omitted and `root` does not have exactly one element, or
            `gradient` has a different shape or, if it is a Tensor, a different dtype.
    """
    walk = Walk(root.result_class, create_graph, retain_graph or create_graph)
    grads = walk.run(root, _cotangent("backward", root, gradient, create_graph))
    with Recording(create_graph):
        for leaf, grad in grads.items():
            if leaf.hooks:
                grad = walk.run_hooks(leaf, grad)
            if create_graph:
                # A recorded copy, so that changing `.grad` in place does not change the new graph.
                grad = cast(grad, dtype=leaf.dtype)
            else:
                # `.grad` must not share memory with any other array.
                grad = walk.kind.wrap(grad if leaf in walk.owned else grad.copy(order="K"))
            leaf.grad = grad if leaf.grad is None else leaf.grad + grad


def gradient(
    root: Variable,
    targets: Sequence[Variable],
    gradient: Any = None,
    create_graph: bool = False,
    allow_unused: bool = False,
) -> list[Any]:
    """Return the gradient of `root` with respect to each target.

    The graph is kept, and no `.grad` changes.

    Args:
        root: the tensor to differentiate.
        targets: leaves or intermediate results.
        gradient: the upstream gradient of `root`; defaults to 1 if `root` has one element.
        create_graph: record the backward pass, so that the gradients can be differentiated again.
        allow_unused: return None for a target that `root` does not depend on.

    Raises:
        GraphError: as in `backward`; also if a target does not require a gradient, or if `root`
            does not depend on a target and `allow_unused` is False.
        ShapeError: as in `backward`.
    """
    checks.check_targets(targets)
    keys: list[Edge] = [target.node or target for target in targets]
    walk = Walk(root.result_class, create_graph, retain_graph=True, targets=set(keys))
    grads = walk.run(root, _cotangent("gradient", root, gradient, create_graph))
    if not allow_unused:
        checks.check_used(root, keys, grads)
    with Recording(create_graph):
        for key in dict.fromkeys(keys):
            if key in grads and type(key) is not Node:
                grads[key] = walk.run_hooks(key, grads[key])
    if create_graph:
        return _distinct([grads.get(key) for key in keys], gradient)
    return [walk.kind.wrap(np.array(grads[key])) if key in grads else None for key in keys]


def _distinct(grads: list[Grad], given: Grad) -> list[Grad]:
    """Copy repeated Variables, so that an in-place change of one affects no other nor `given`."""
    seen = {id(given)}
    with Recording(True):
        for place, grad in enumerate(grads):
            if grad is not None and id(grad) in seen:
                grads[place] = cast(grad, dtype=grad.dtype)
            seen.add(id(grads[place]))
    return grads


def _cotangent(who: str, root: Variable, gradient: Any, create_graph: bool) -> Grad:
    """Return the upstream gradient of `root`: a Variable with `create_graph`, else an array."""
    checks.check_root(who, root, gradient)
    if not isinstance(gradient, Variable):
        if gradient is None:
            array = np.ones_like(root.data)
        else:
            check_unmasked(who, gradient)
            array = np.asarray(gradient, root.dtype)
        # The new graph may save this array, so it must not share memory with the caller's.
        gradient = root.result_class.wrap(array.copy() if create_graph else array)
    checks.check_like(f"{who}: expected a `gradient`", root, gradient, Variable, ShapeError)
    return gradient if create_graph else gradient.data


@dataclass(slots=True)
class Walk:
    """The state of one backward pass.

    With `create_graph`, gradients are Variables of class `kind` with a graph. With `targets`, only
    gradients on a path to a target are computed. Nodes recorded before the `clock` time `after` are
    treated as leaves, so that a walk over a definition visits only the nodes just recorded.
    """

    kind: type[Variable]
    create_graph: bool
    retain_graph: bool
    targets: set[Edge] | None = None
    after: int = 0
    needed: set[Edge | None] | None = None
    """The edges on a path to a target; None if all gradients are computed."""
    grads: dict[Any, Grad] = field(default_factory=dict)
    """The sum of the gradients received so far, by node and leaf."""
    waiting: list[tuple[int, Node]] = field(default_factory=list)
    """A heap of the nodes that have received a gradient, newest first."""
    next_node: Node | None = None
    """The first node that received a gradient from the current node. It enters the heap only if
    other nodes are waiting, so a chain of ops never uses the heap."""
    owned: set[Edge] = field(default_factory=set)
    """The nodes and leaves whose total is referenced only by this walk, which may overwrite it."""
    widened: set[Edge] = field(default_factory=set)
    """The float16 nodes and leaves whose total is in float32; in float16, it would stop growing."""
    grad_class: type[Any] = _ndarray
    """A gradient of this class, with the dtype and shape of its edge, needs no `unbroadcast`."""
    scope: "BackwardScope | None" = None
    """The scope of the pass with `create_graph`; None in a walk over a definition."""
    is_observed: bool = field(default_factory=lambda: bool(thread.state.observers))

    def run(self, root: Variable, cotangent: Grad) -> dict[Any, Grad]:
        """Return the gradients of the leaves below `root` or, with `targets`, of the targets."""
        grads, waiting, widened = self.grads, self.waiting, self.widened
        if self.create_graph:
            self.grad_class = self.kind
        self.receive(root.node or root, cotangent)
        node = self.next_node
        has_targets = self.targets is not None
        step = propagate
        if self.targets is not None:
            self.needed = _find_needed(node, self.targets, self.after)
        if self.create_graph:
            step = _propagate_in_scope
            if not self.after:
                self.scope = BackwardScope("backward", thread.state.scope)
        with Recording(self.create_graph):
            while node is not None:
                # All consumers of a node are newer and have run, so its total is complete.
                grad_out = grads.pop(node)
                if has_targets or widened or node.hooks is not None:
                    grad_out = self.finish(node, grad_out)
                self.next_node = None
                step(node, grad_out, self)
                if not self.retain_graph:
                    # Free the saved values and the references to the inputs.
                    node.saved, node.edges = None, ()
                node = self.next_node
                if waiting:
                    entry = node and (-node.order, node)
                    node = (heappushpop(waiting, entry) if entry else heappop(waiting))[1]
            if widened:
                for edge in widened & grads.keys():
                    grads[edge] = cast(grads[edge], dtype=edge.dtype)
        return grads

    def finish(self, node: Node, grad: Grad) -> Grad:
        """Run the hooks of a node on its gradient, and keep the gradient if it is a target."""
        if node in self.widened:
            self.widened.discard(node)
            grad = cast(grad, dtype=node.dtype)
        if node.hooks:
            if self.targets is None:
                checks.check_usable(node)  # propagate() would raise only after the hooks ran
            grad = self.run_hooks(node, grad)
        if self.targets is not None and node in self.targets:
            self.owned.discard(node)  # returned to the caller, so it must not be overwritten
            self.grads[node] = grad
        return grad

    def receive(self, edge: Edge, grad: Grad) -> None:
        """Add a gradient to the total of a node or leaf; a node's first one also schedules it."""
        grads = self.grads
        if edge not in grads:
            grads[edge] = grad
            if type(edge) is Node and edge.order > self.after:
                if self.next_node is None:
                    self.next_node = edge
                else:
                    heappush(self.waiting, (-edge.order, edge))
            return
        total = grads[edge]
        if total.dtype.char == "e":  # float16; not `is`, because equal dtypes can be distinct
            total = grads[edge] = cast(total, dtype=np.float32)
            self.widened.add(edge)
        if edge in self.owned:
            total += grad
        elif self.create_graph:
            grads[edge] = total + grad
        else:
            out = memory.empty(total.shape, total.dtype, like=total)
            grads[edge] = np.add(total, grad, out=out)
            self.owned.add(edge)

    def add_selected(self, node: Node, grad_out: Grad) -> Grads:
        """Add the gradient of a selection in place to its input's total gradient; return ()."""
        edge: Any = node.edges[0]
        is_first = edge not in self.grads
        if is_first:
            self.receive(edge, memory.empty(edge.shape, edge.dtype))
            self.owned.add(edge)
        elif edge not in self.owned or self.grads[edge].dtype.char == "e":
            self.receive(edge, 0)  # copies the total, so that this walk owns it; widens float16
        total = self.grads[edge]

        def call() -> Sequence[Grad]:
            part = node.op.forward(total, **node.options)  # the selected entries of the total
            checks.check_selection(node.op, part, total)
            if is_first and part.size < total.size:
                total.fill(0)
            if is_first:
                part[...] = grad_out
            else:
                part += grad_out
            return [grad_out]

        if self.is_observed:
            run_observed("on_gradient", node, -1, grad_out, call=call)
        else:
            call()
        return ()

    def run_hooks(self, holder: Edge, grad: Grad) -> Grad:
        """Pass a gradient through the hooks of a leaf or node."""
        self.owned.discard(holder)  # a hook may keep a reference to the gradient
        for key, hook in sorted((holder.hooks or {}).items()):
            if key == tape.RETAIN and self.targets is not None:
                continue  # only backward() stores gradients in .grad
            made = hook(self._protect(grad))
            if made is not None:
                name = getattr(hook, "__name__", hook)
                expected = f"register_hook: expected hook {name!r} to return None or a Tensor"
                checks.check_like(expected, grad, made, Variable, ShapeError)
                grad = made if self.create_graph else made.data
        return grad

    def _protect(self, grad: Grad) -> Variable:
        """Wrap a gradient for a hook; it is read-only, because other nodes may share its memory."""
        is_variable = isinstance(grad, Variable)
        view = (grad.data if is_variable else grad).view()
        view.flags.writeable = False
        if is_variable:
            return self.kind.wrap(view, grad.node, grad.version)
        return self.kind.wrap(view)


def _find_needed(root: Node | None, targets: set[Edge], after: int) -> set[Edge | None]:
    """Return the targets, and the nodes newer than `after` that depend on one of them."""
    stack = [] if root is None else [root]
    seen = set(stack)
    oldest = min([t.order if type(t) is Node else 0 for t in targets], default=math.inf)
    while stack:
        node = stack.pop()
        if node.saved is None and oldest < node.order:
            checks.check_usable(node)  # freeing removed its edges, which may have led to a target
        below = {edge for edge in node.edges if type(edge) is Node and edge.order > after}
        stack += below - seen
        seen |= below
    needed: set[Edge | None] = {*targets}
    for node in sorted(seen, key=lambda node: node.order):
        if not needed.isdisjoint(node.edges):
            needed.add(node)
    return needed


# Gradients of one node.


class BackwardScope(Scope):
    """Scope of a backward pass with `create_graph`, or of the VJPs of one node inside it.

    It does not refer to the node, so the new graph keeps no part of the old one alive.
    """

    __slots__ = ("order", "sweep")
    order: int
    """The `order` of the node whose VJPs ran; 0 for the whole pass."""
    sweep: int
    """1 for a pass over a forward pass, 2 for one that reaches ops of sweep 1, and so on; 0 for
    the VJPs of one node, which belong to the pass around them."""

    def __init__(self, kind: str, outer: Scope | None, order: int = 0) -> None:
        self.kind = kind
        self.outer = outer
        self.order = order
        self.sweep = int(not order)

    @property
    def path(self) -> str:
        """Empty: the pass does not belong to a module."""
        return ""


def _propagate_in_scope(node: Node, grad_out: Grad, walk: Walk) -> None:
    """Propagate a gradient, and record the ops of the VJPs under a scope of their own."""
    state = thread.state
    outer = state.scope
    if walk.scope is not None:
        walk.scope.sweep = max(walk.scope.sweep, sweep_of(node.scope) + 1)
    around = walk.scope or outer
    state.scope = BackwardScope(f"VJP of {node.op.name}", around, node.order)
    try:
        propagate(node, grad_out, walk)
    finally:
        state.scope = outer


def sweep_of(scope: Scope | None) -> int:
    """Return 0 for a forward pass, 1 for a backward pass, 2 for a backward pass over that, etc."""
    while scope is not None and not (isinstance(scope, BackwardScope) and scope.sweep):
        scope = scope.outer
    return 0 if scope is None else scope.sweep


def propagate(node: Node, grad_out: Grad, walk: Walk) -> None:
    """Compute the gradients of a node's inputs and pass them to `walk.receive`.

    Without `create_graph`, the plan's kernel runs, if any. Otherwise the VJPs run or, if the op has
    none, its definition. The loop over VJPs is inlined, which saves a call per node.
    """
    plan, edges, needed = node.plan, node.edges, walk.needed
    values: Any = node.saved
    if needed is not None and needed.isdisjoint(edges):
        return
    if values is None:
        checks.check_usable(node)
    for version in node.versions:
        if version[0] > node.order:  # inlined: saves a call per node
            checks.check_usable(node)
    if walk.create_graph or not plan.is_plain:
        uses_kernel = plan.has_kernel and not walk.create_graph
        if uses_kernel or not plan.vjps:
            try:
                grads = (kernel_grads if uses_kernel else definition_grads)(node, grad_out, walk)
            except Exception as error:
                _annotate(error, node, "the backward kernel" if uses_kernel else "", walk)
                raise
            for reached, grad in grads:
                walk.receive(reached, grad)
            return
        values = saved_variables(node, walk.kind) if walk.create_graph else values
        values = values if plan.names_only_saved else values_of(node, values)
    for position, vjp, pick in plan.vjps:
        edge: Any = edges[position]
        if needed is not None and edge not in needed:
            continue
        if walk.is_observed:
            vjp = partial(_observe, node, position, vjp)
        try:
            arguments = pick(values) if pick else values
            # A star call builds a list and a tuple even with nothing to unpack.
            grad = vjp(grad_out, *arguments) if arguments else vjp(grad_out)
            # grad_out has the node's shape; reading the shape of an array builds a new tuple.
            like = node if grad is grad_out else grad
            if (
                type(grad) is not walk.grad_class
                or like.dtype is not edge.dtype
                or like.shape != edge.shape
            ):
                grad = unbroadcast(grad, node, position, walk)
        except Exception as error:
            _annotate(error, node, f"the VJP for input {position}", walk)
            raise
        walk.receive(edge, grad)


def values_of(node: Node, saved: Values, wanted: Wanted = (), overwrite: bool = False) -> Values:
    """Return the values that gradient functions can request, in the order of `plan.names`."""
    plan = node.plan
    options = [node.options[name] for name in plan.options]
    # Shape and dtype are None for an input that needs no gradient and so has no edge.
    properties = [getattr(node.edges[place], kind, None) for place, kind in plan.properties]
    return [*saved, *options, *properties, wanted, overwrite]


def _observe(node: Node, position: int, function: Function, grad_out: Grad, *rest: Any) -> Any:
    call = partial(function, grad_out, *rest)
    return run_observed("on_gradient", node, position, grad_out, call=call)


def _annotate(error: Exception, node: Node, what: str, walk: Walk) -> None:
    """Add a note with the gradient function and op that raised an error; notify the observers."""
    if what:
        hint = ". With create_graph=True, a VJP must use functions that accept Tensors."
        error.add_note(
            f"raised in {what} of op {node.op.name!r}{hint if walk.create_graph else ''}"
        )
    run_observed("on_error", node, error, call=lambda: None)


def kernel_grads(node: Node, grad_out: Array, walk: Walk) -> Grads:
    """Compute the gradients of a node with the backward kernel of its op."""
    plan, edges, saved, needed = node.plan, node.edges, node.saved or (), walk.needed
    if plan.op.selection:
        return walk.add_selected(node, grad_out)
    wanted = plan.wanted if needed is None else tuple([edge in needed for edge in edges])
    kernel: Any = plan.backward
    _, function, pick = kernel
    # Observers read grad_out after the call.
    overwrite = node in walk.owned and not walk.is_observed
    arguments = pick(values_of(node, saved, wanted, overwrite))

    def call() -> Sequence[Any]:
        return checks.check_count(node.op, function(grad_out, *arguments), edges)

    made = (
        run_observed("on_gradient", node, -1, grad_out, call=call) if walk.is_observed else call()
    )
    held = [value for value in saved if isinstance(value, _ndarray)]
    if not overwrite:
        held.append(grad_out)
    grads = []
    for position, is_wanted in enumerate(wanted):
        if is_wanted:
            edge: Any = edges[position]
            grad = made[position]
            if isinstance(grad, _ndarray):
                # Gradients are summed in place, which must not change other arrays.
                if not grad.flags.writeable or memory.is_shared_with_any(grad, held):
                    grad = grad.copy()
                held.append(grad)
            if type(grad) is not _ndarray or grad.shape != edge.shape or grad.dtype != edge.dtype:
                grad = unbroadcast(grad, node, position, walk)
            grads.append((edge, grad))
            if edge not in walk.grads:
                walk.owned.add(edge)
    return grads


def definition_grads(node: Node, grad_out: Grad, walk: Walk) -> Grads:
    """Compute the gradients of a node by recording and differentiating its op's definition."""
    definition: Any = node.op.definition  # not None: the op has no VJPs
    targets = {edge for edge in node.edges if isinstance(edge, Node | Variable)}
    if walk.needed is not None:
        targets &= walk.needed
    start = next(tape.clock)
    with Recording(True):
        values = saved_variables(node, walk.kind)
        # The node of a checkpoint() saves no inputs; its arguments are in its options.
        out = definition(*values[: len(node.edges)], **node.options)
    expected = f"op {node.op.name!r}: expected `definition` to return a Tensor"
    checks.check_like(expected, node, out, Variable, GraphError)
    if not out.requires_grad:
        return ()
    inner = Walk(walk.kind, walk.create_graph, walk.create_graph, targets, after=start)
    return [(edge, grad) for edge, grad in inner.run(out, grad_out).items() if edge in targets]


def saved_variables(node: Node, kind: type[Variable]) -> Values:
    """Return the saved values, with inputs and output as Variables attached to the graph."""
    values = list(node.saved or ())
    for place, position in enumerate(node.plan.inputs):
        edge = node.edges[position]
        if type(edge) is Node:
            values[place] = kind.wrap(values[place], edge, node.versions[place])
        elif isinstance(edge, Variable):
            checks.check_leaf(node, edge, values[place])
            values[place] = edge
    if node.plan.saves_out:
        values[-1] = kind.wrap(values[-1], node, node.versions[-1])
    return values


def unbroadcast(grad: Any, node: Node, position: int, walk: Walk) -> Grad:
    """Sum a gradient over broadcast axes to the shape of its input.

    Raises:
        GraphError: if the gradient does not fit the input's shape and dtype.
    """
    edge: Any = node.edges[position]
    if isinstance(grad, np.ndarray | np.generic):
        grad = walk.kind.wrap(np.asarray(grad)) if walk.create_graph else np.asarray(grad)
    if isinstance(grad, walk.grad_class) and grad.dtype == edge.dtype:
        if grad.shape == edge.shape:
            return grad
        lead = len(grad.shape) - len(edge.shape)
        pairs = zip(edge.shape, grad.shape[max(lead, 0) :], strict=False)
        if lead >= 0 and all(length in (1, given) for length, given in pairs):
            return sum_to(grad, shape=edge.shape)
    expected = f"op {node.op.name!r}: expected the gradient for input {position} to be"
    checks.check_like(expected, edge, grad, walk.grad_class, GraphError)
    return grad
