"""The walk back over the tape, newest node first.

`Walk.run` is the loop; `input_grads` chooses how the gradients of one node are computed. VJPs are
handed arrays, or Variables if the gradient is to have a graph of its own: they are written in ops,
so the same text serves both. Nothing here recurses over a graph.
"""

import weakref
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from heapq import heappop, heappush
from typing import Any, TypeAlias

import numpy as np

from tinygrad_np.autograd.primitives import cast, expand, sum_to
from tinygrad_np.autograd.tape import Edge, Node, Recording, Variable, clock, observed, thread
from tinygrad_np.checks import check_new_memory
from tinygrad_np.errors import GraphError, ShapeError
from tinygrad_np.runtime import memory
from tinygrad_np.runtime.memory import Array

Grad: TypeAlias = Any
"""A gradient: an array or, with `create_graph`, a Variable."""

_ndarray = np.ndarray


def backward(
    root: Variable,
    gradient: Any = None,
    retain_graph: bool = False,
    create_graph: bool = False,
) -> None:
    """Add to the `.grad` of every leaf under `root` its VJP of `gradient`.

    `gradient` may be left out if `root` has one entry.
    """
    walk = Walk(root.result_class, create_graph, retain_graph or create_graph)
    grads = walk.run(root, _cotangent(root, gradient, create_graph))
    with Recording(create_graph):
        for leaf, grad in grads.items():
            if leaf.hooks:
                grad = walk.run_hooks(leaf, grad)
            if create_graph:
                grad = cast(grad, dtype=leaf.dtype)
            else:
                # A leaf's `.grad` is memory that nothing else holds.
                grad = walk.kind.wrap(grad if leaf in walk.owned else grad.copy(order="K"))
            leaf.grad = grad if leaf.grad is None else leaf.grad + grad


def gradient(
    root: Variable,
    targets: Sequence[Variable],
    gradient: Any = None,
    create_graph: bool = False,
    allow_unused: bool = False,
) -> list[Any]:
    """Return the VJP of `gradient` for each target; the graph and every `.grad` stay as they are.

    A target that `root` does not depend on is an error, or None if `allow_unused`.
    """
    for position, target in enumerate(targets):
        if not target.requires_grad:
            raise GraphError(f"gradient: target {position} does not require a gradient")
    keys: list[Edge] = [target.node or target for target in targets]
    walk = Walk(root.result_class, create_graph, keep_graph=True, targets=set(keys))
    grads = walk.run(root, _cotangent(root, gradient, create_graph))
    found: dict[Edge, Grad] = {}
    for position, key in enumerate(keys):
        if key in grads and key not in found:
            with Recording(create_graph):
                found[key] = grads[key] if type(key) is Node else walk.run_hooks(key, grads[key])
        elif key not in found and not allow_unused:
            raise GraphError(
                f"gradient: target {position} of shape {targets[position].shape} was not used to "
                f"compute the output of shape {root.shape}. Leave it out, or use backward(), which "
                "passes over it."
            )
    if create_graph:
        return [found.get(key) for key in keys]
    return [walk.kind.wrap(np.array(found[key])) if key in found else None for key in keys]


def _cotangent(root: Variable, gradient: Any, create_graph: bool) -> Grad:
    """Return the upstream gradient of `root`: as a Variable if it is to have a graph."""
    if not root.requires_grad:
        raise GraphError(
            "backward: this tensor does not require a gradient. Create an input of its computation "
            "with requires_grad=True, and compute it outside no_grad()."
        )
    if gradient is None and root.data.size != 1:
        raise ShapeError(
            f"backward: expected an output of one entry, got shape {root.shape}. Pass gradient= of "
            "that shape, or reduce to one number with .sum() or .mean()."
        )
    if not isinstance(gradient, Variable):
        array = np.ones_like(root.data) if gradient is None else np.asarray(gradient, root.dtype)
        # Copied if the graph of the gradients keeps an array that the caller may change.
        gradient = root.result_class.wrap(array.copy() if create_graph else array)
    if not _is_like(gradient, root):
        raise ShapeError(
            f"backward: expected a gradient of the output's shape {root.shape} and dtype "
            f"{root.dtype}, got {gradient.shape} {gradient.dtype}"
        )
    return gradient if create_graph else gradient.data


class RetainGrad:
    """The hook behind `retain_grad`: stores a result's gradient without keeping the result."""

    def __init__(self, result: Variable) -> None:
        self.result = weakref.ref(result)

    def __call__(self, grad: Variable) -> None:
        """Add the gradient to the result's `.grad`."""
        result = self.result()
        if result is not None:
            own = grad if grad.node is not None else type(grad).wrap(grad.data.copy())
            result.grad = own if result.grad is None else result.grad + own


@dataclass(slots=True)
class Walk:
    """One pass back over the tape.

    With `create_graph`, gradients are Variables of class `kind` with a graph. With `targets`, only
    what leads to one of them is computed. Nodes older than the time `after` count as leaves.
    """

    kind: type[Variable]
    create_graph: bool
    keep_graph: bool
    targets: set[Edge] | None = None
    after: int = 0
    needed: set[Edge] | None = None
    """The edges that lead to a target; None if all gradients are computed."""
    grads: dict[Any, Grad] = field(default_factory=dict)
    owned: set[Edge] = field(default_factory=set)
    """The edges whose gradient nothing else references; its memory may be overwritten."""
    grad_class: type[Any] = _ndarray
    """A gradient of exactly this class, dtype and shape needs no `unbroadcast`."""
    is_observed: bool = field(default_factory=lambda: bool(thread.state.observers))

    def run(self, root: Variable, cotangent: Grad) -> dict[Any, Grad]:
        """Return the gradient of each leaf, and of each target, under `root`."""
        if root.node is None:
            return {root: cotangent}
        if self.targets is not None:
            self.needed = _find_needed(root.node, self.targets, self.after)
        if self.create_graph:
            self.grad_class = self.kind
        grads, after = self.grads, self.after
        grads[root.node] = cotangent
        frontier = [(-root.node.order, root.node)]
        with Recording(self.create_graph):
            while frontier:
                # The newest node: all uses of its output are behind us, its gradient is complete.
                node = heappop(frontier)[1]
                grad_out = grads.pop(node)
                if node.hooks or self.targets is not None:
                    grad_out = self.finish(node, grad_out)
                for edge, grad in input_grads(node, grad_out, self):
                    if edge in grads:
                        grads[edge] = self.add(edge, grads[edge], grad)
                    else:
                        grads[edge] = grad
                        if type(edge) is Node and edge.order > after:
                            heappush(frontier, (-edge.order, edge))
                if not self.keep_graph:
                    # Free the saved values and the references to the inputs.
                    node.saved, node.edges, node.versions = None, (), ()
        return grads

    def finish(self, node: Node, grad: Grad) -> Grad:
        """Run the hooks of a node on its gradient, and store that of a target."""
        if node.hooks:
            if node.saved is None and self.targets is None:
                raise _freed_error(node)
            grad = self.run_hooks(node, grad)
        if self.targets is not None and node in self.targets:
            self.owned.discard(node)  # kept, so nothing may write to it
            self.grads[node] = grad
        return grad

    def add(self, edge: Edge, total: Grad, grad: Grad) -> Grad:
        """Return a sum of gradients, in place if the memory is this walk's own."""
        if self.create_graph:
            return total + grad
        if edge in self.owned:
            total += grad
            return total
        self.owned.add(edge)
        return np.add(total, grad, out=memory.empty(total.shape, total.dtype, like=total))

    def run_hooks(self, holder: Edge, grad: Grad) -> Grad:
        """Pass a gradient through the hooks of a leaf or node."""
        self.owned.discard(holder)  # a hook may keep what it is given
        # `retain_grad` comes last, and only in backward().
        hooks = sorted((holder.hooks or {}).values(), key=lambda hook: type(hook) is RetainGrad)
        for hook in hooks:
            if type(hook) is RetainGrad and self.targets is not None:
                continue
            made = hook(grad if self.create_graph else self.kind.wrap(grad))
            if made is None:
                continue
            if not isinstance(made, Variable) or not _is_like(made, grad):
                got = f"{made.shape} {made.dtype}" if isinstance(made, Variable) else repr(made)
                raise ShapeError(
                    f"hook: expected {getattr(hook, '__name__', hook)!r} to return None or a "
                    f"Tensor like the gradient, {grad.shape} {grad.dtype}, got {got}"
                )
            grad = made if self.create_graph else made.data
        return grad


def _is_like(a: Grad, b: Grad) -> bool:
    return bool(a.shape == b.shape and a.dtype == b.dtype)


def _find_needed(root: Node, targets: set[Edge], after: int) -> set[Edge]:
    """Return the targets, and the nodes after that time that depend on one of them."""
    seen = {root}
    waiting = [root]
    while waiting:
        node = waiting.pop()
        # A freed node has lost its edges: an older target may have been below it.
        if node.saved is None and any(
            other is not node and not (type(other) is Node and other.order > node.order)
            for other in targets
        ):
            raise _freed_error(node)
        below = {edge for edge in node.edges if type(edge) is Node and edge.order > after}
        waiting += below - seen
        seen |= below
    needed = set(targets)
    for node in sorted(seen, key=lambda node: node.order):
        if not needed.isdisjoint(node.edges):
            needed.add(node)
    return needed


def _freed_error(node: Node) -> GraphError:
    return GraphError(
        f"backward: the graph at op {node.op.name!r} (output {node.shape}) was freed by an "
        "earlier backward pass. Pass that one retain_graph=True, or compute the output again."
    )


# The gradients of one node.


def input_grads(node: Node, grad_out: Grad, walk: Walk) -> Sequence[tuple[Edge, Grad]]:
    """Return the edges of a node that want a gradient, each with its gradient.

    Choose among the plan's kernel, its VJPs and the op's definition. The VJPs run here and not in a
    function of their own, which saves a call per node.
    """
    needed, plan, edges = walk.needed, node.plan, node.edges
    if needed is not None and needed.isdisjoint(edges):
        return ()
    saved = node.saved
    if saved is None:
        raise _freed_error(node)
    for version in node.versions:
        if version[0] > node.order:
            raise GraphError(
                f"backward: op {node.op.name!r} (output {node.shape}) saved a tensor that was "
                "changed in place afterwards. Change a copy, or change it after the backward pass."
            )
    position = -1
    grads: list[tuple[Edge, Grad]] = []
    try:
        if plan.backward is not None and not walk.create_graph:
            return kernel_grads(node, grad_out, walk)
        if not plan.vjps:
            return definition_grads(node, grad_out, walk)
        if walk.create_graph:
            saved = saved_variables(node, walk.kind)
        for vjp in plan.vjps:
            position = vjp.position
            edge: Any = edges[position]
            if needed is not None and edge not in needed:
                continue
            arguments = vjp.pick(saved) if vjp.pick else vjp.arguments(saved, node, ())
            grad: Any
            if walk.is_observed:
                call = partial(vjp.function, grad_out, *arguments)
                grad = observed("on_vjp", node, position, grad_out, call=call)
            else:
                grad = vjp.function(grad_out, *arguments)
            if (
                type(grad) is not walk.grad_class
                or grad.dtype is not edge.dtype
                or grad.shape != edge.shape
            ):
                grad = unbroadcast(grad, node, position, walk)
            grads.append((edge, grad))
    except Exception as error:
        _annotate(error, node, position, walk.create_graph)
        raise
    return grads


def _annotate(error: Exception, node: Node, position: int, create_graph: bool) -> None:
    """Say in which gradient an error was raised."""
    if position >= 0 or (node.plan.backward is not None and not create_graph):
        note = f"in the {'backward kernel' if position < 0 else 'VJP'} of op {node.op.name!r}"
        if position >= 0:
            note += f" for input {position}"
        if create_graph:
            note += "; to be differentiable itself it must use ops, not NumPy functions"
        error.add_note(note)
    for observer in thread.state.observers:
        observer.on_error(node, error)


def kernel_grads(node: Node, grad_out: Array, walk: Walk) -> list[tuple[Edge, Array]]:
    """Call the backward kernel of an op, which computes all wanted gradients at once."""
    plan, edges, saved = node.plan, node.edges, node.saved or ()
    kernel, wanted = plan.backward, plan.wanted
    assert kernel is not None
    if walk.needed is not None:
        wanted = tuple([edge is not None and edge in walk.needed for edge in edges])
    arguments = kernel.pick(saved) if kernel.pick else kernel.arguments(saved, node, wanted)
    # An observer looks at grad_out afterwards.
    may_overwrite = plan.is_checked and node in walk.owned and not walk.is_observed
    if walk.is_observed:
        special = {"overwrite": False} if kernel.overwrites else {}
        call = partial(kernel.function, grad_out, *arguments, **special)
        grads = observed("on_backward", node, grad_out, call=call)
    elif kernel.overwrites:
        grads = kernel.function(grad_out, *arguments, overwrite=may_overwrite)
    else:
        grads = kernel.function(grad_out, *arguments)
    if len(grads) != len(edges):
        raise GraphError(
            f"op {node.op.name!r}: expected {len(edges)} gradients from backward, one per input, "
            f"got {len(grads)}"
        )
    made: list[tuple[Edge, Array]] = []
    for position, edge in enumerate(edges):
        if edge is not None and wanted[position]:
            grad = grads[position]
            if grad is grad_out and plan.is_checked and not (kernel.overwrites and may_overwrite):
                grad = grad_out.copy()  # the check below is for the first call only
            if type(grad) is not _ndarray or not _is_like(grad, edge):
                grad = unbroadcast(grad, node, position, walk)
            made.append((edge, grad))
            if edge not in walk.grads:
                walk.owned.add(edge)
    if not plan.is_checked:  # once per plan, so that calls do not pay for it
        check_new_memory(node.op.name, [grad for _, grad in made], [grad_out, *saved])
        plan.is_checked = wanted == plan.wanted
    return made


def definition_grads(node: Node, grad_out: Grad, walk: Walk) -> Sequence[tuple[Edge, Grad]]:
    """Evaluate the definition of an op on its inputs again, and walk back over that."""
    needed = {edge for edge in node.edges if edge is not None}
    if walk.needed is not None:
        needed &= walk.needed
    start = next(clock)
    with Recording(True):
        values = saved_variables(node, walk.kind)
        definition: Any = node.op.definition  # there is one, as there are no VJPs
        # Saved are all inputs, or none, as in checkpoint(), whose options hold them.
        out: Any = definition(*values[: len(node.edges)], **node.options)
        is_input = isinstance(out, Variable) and (out.node is None or out.node.order < start)
        if is_input and out.requires_grad:
            out = expand(out, shape=out.shape)  # handed back, it needs a node of its own
    if not isinstance(out, Variable) or not _is_like(out, node):
        got = f"{out.shape} {out.dtype}" if isinstance(out, Variable) else type(out).__name__
        raise GraphError(
            f"op {node.op.name!r}: expected the definition to return what the op did, "
            f"{node.shape} {node.dtype}, got {got}"
        )
    if out.node is None:
        return ()
    inner = Walk(walk.kind, walk.create_graph, walk.create_graph, needed, start)
    found = inner.run(out, grad_out)
    return [(edge, grad) for edge, grad in found.items() if edge in needed]


def saved_variables(node: Node, kind: type[Variable]) -> Sequence[Any]:
    """Return what was saved, with the inputs and the output as Variables on the graph again."""
    values = list(node.saved or ())
    for place, position in enumerate(node.plan.inputs):
        edge = node.edges[position]
        if type(edge) is Node:
            values[place] = kind.wrap(values[place], edge, node.versions[place])
        elif isinstance(edge, Variable):
            if edge.data is not values[place]:
                raise GraphError(
                    f"backward: op {node.op.name!r} saved a leaf whose .data was replaced since"
                )
            values[place] = edge
    if node.plan.saves_out:
        values[-1] = kind.wrap(values[-1], node, node.versions[-1])
    return values


def unbroadcast(grad: Any, node: Node, position: int, walk: Walk) -> Grad:
    """Sum a gradient over broadcast axes to its input's shape; refuse one that does not fit."""
    edge: Any = node.edges[position]
    where = f"op {node.op.name!r}: expected the gradient for input {position} to"
    if isinstance(grad, np.ndarray | np.generic):
        grad = np.asarray(grad)
        grad = walk.kind.wrap(grad) if walk.create_graph else grad
    elif not (walk.create_graph and isinstance(grad, Variable)):
        kind = "a Variable" if walk.create_graph else "an array"
        raise GraphError(f"{where} be {kind}, got a {type(grad).__name__}")
    if grad.dtype != edge.dtype:
        raise GraphError(f"{where} have dtype {edge.dtype}, got {grad.dtype}")
    if grad.shape == edge.shape:
        return grad
    lead = len(grad.shape) - len(edge.shape)
    pairs = zip(edge.shape, grad.shape[max(lead, 0) :], strict=False)
    if lead < 0 or any(length not in (1, given) for length, given in pairs):
        raise GraphError(f"{where} have shape {edge.shape}, got {grad.shape}")
    return sum_to(grad, shape=edge.shape)
