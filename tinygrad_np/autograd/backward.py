"""The walk back over the tape, newest node first.

Each VJP is handed plain arrays, or Variables where the gradient is to have a graph of its own: one
text of a VJP serves both, since VJPs are written in ops. Nothing here is recursive over a graph.
"""

import weakref
from collections.abc import Collection, Iterable, Sequence
from heapq import heappop, heappush, heappushpop
from typing import Any

import numpy as np

from tinygrad_np.autograd.op import cast, expand, sum_to
from tinygrad_np.autograd.tape import Node, Recording, Variable, mode, sequence
from tinygrad_np.errors import GraphError, ShapeError
from tinygrad_np.runtime import memory
from tinygrad_np.runtime.memory import Array

_ndarray = np.ndarray


def backward(
    root: Variable,
    gradient: Any = None,
    retain_graph: bool = False,
    create_graph: bool = False,
) -> None:
    """Add to `.grad` of every leaf under `root` the VJP of `gradient` (one, for a single entry)."""
    seed = _seed(root, gradient, create_graph)
    kind = root.result_class
    if root.node is None:
        totals = {root: seed if create_graph else seed.copy()}
    else:
        keep = retain_graph or create_graph
        totals = _sweep(root.node, seed, None, keep, kind, create_graph)
    with Recording(create_graph):
        for leaf, total in totals.items():
            if getattr(leaf, "hooks", None):
                total = _hooked(leaf, total, kind, create_graph)
                total = total if create_graph else total.copy()  # a hook may have kept it
            # Nobody else's memory: plain totals are copied where they must be, on the way.
            total = cast(total, dtype=leaf.dtype) if create_graph else kind.wrap(total)
            leaf.grad = total if leaf.grad is None else leaf.grad + total


def gradient(
    root: Variable,
    targets: Sequence[Variable],
    gradient: Any = None,
    create_graph: bool = False,
    allow_unused: bool = False,
) -> list[Any]:
    """Return the VJP of `gradient` for each target, leaf or not; the graph stays, `.grad` too.

    A target that was not used to compute `root` is an error, or has None if `allow_unused`.
    """
    for position, target in enumerate(targets):
        if not target.requires_grad:
            raise GraphError(f"gradient: target {position} does not require a gradient")
    seed = _seed(root, gradient, create_graph)
    kind = root.result_class
    keys = [target.node or target for target in targets]
    totals: dict[Any, Any] = {root: seed}
    if root.node is not None:
        totals = _sweep(root.node, seed, set(keys), True, kind, create_graph)
    for position, key in enumerate(keys):
        if key not in totals and not allow_unused:
            raise GraphError(
                f"gradient: target {position}, of shape {targets[position].shape}, was not used "
                f"to compute the output of shape {root.shape}; leave it out, or use backward(), "
                "which passes it over"
            )
    with Recording(create_graph):
        found = {
            key: total if type(key) is Node else _hooked(key, total, kind, create_graph)
            for key, total in totals.items()
        }
    if create_graph:
        return [found.get(key) for key in keys]
    return [kind.wrap(np.array(found[key])) if key in found else None for key in keys]


class Retained:
    """The hook by which a result of an op keeps its own gradient; it does not keep the result."""

    def __init__(self, result: Variable) -> None:
        self.result = weakref.ref(result)

    def __call__(self, grad: Variable) -> None:
        """Add the gradient to the result's `.grad`."""
        result = self.result()
        if result is not None:
            own = grad if grad.node is not None else type(grad).wrap(grad.data.copy())
            result.grad = own if result.grad is None else result.grad + own


def _hooked(
    holder: Any, grad: Any, kind: type[Variable], create_graph: bool, retain: bool = True
) -> Any:
    """Return what the hooks of a leaf or node make of its gradient."""
    hooks = (getattr(holder, "hooks", None) or {}).values()
    # What is retained is what the others made of it.
    for hook in sorted(hooks, key=lambda hook: isinstance(hook, Retained)):
        if isinstance(hook, Retained) and not retain:
            continue
        made = hook(grad if create_graph else kind.wrap(grad))
        if made is None:
            continue
        if not isinstance(made, Variable) or (made.shape, made.dtype) != (grad.shape, grad.dtype):
            got = f"{made.shape} {made.dtype}" if isinstance(made, Variable) else repr(made)
            raise ShapeError(
                f"hook: {getattr(hook, '__name__', hook)!r} returned {got}, expected None or a "
                f"Tensor like the gradient, {grad.shape} {grad.dtype}"
            )
        grad = made if create_graph else made.data
    return grad


def _seed(root: Variable, gradient: Any, create_graph: bool) -> Any:
    """Return the upstream gradient of `root` as the sweep wants it: an array, or a Variable."""
    if not root.requires_grad:
        raise GraphError(
            "backward: this tensor does not require a gradient; make an input of its computation "
            "with requires_grad=True, and compute outside no_grad()"
        )
    if gradient is None:
        if root.data.size != 1:
            raise ShapeError(
                f"backward: the output has shape {root.shape}; give gradient= of that shape, or "
                "reduce to one number first, as with .sum() or .mean()"
            )
        gradient = np.ones_like(root.data)
    array = gradient.data if isinstance(gradient, Variable) else np.asarray(gradient, root.dtype)
    if array.shape != root.shape or array.dtype != root.dtype:
        raise ShapeError(
            f"backward: got a gradient of shape {array.shape} and dtype {array.dtype}, expected "
            f"the output's shape {root.shape} and dtype {root.dtype}"
        )
    if not create_graph:
        return array
    return gradient if isinstance(gradient, Variable) else root.result_class.wrap(array)


def _sweep(
    root: Node,
    seed: Any,
    targets: Collection[Any] | None,
    keep: bool,
    kind: type[Variable],
    create_graph: bool,
    after: int = 0,
) -> dict[Any, Any]:
    """Walk back from `root`, newest node first; return the gradient of each leaf, or each target.

    Newest first means that every use of a result has been passed when its own node is reached.
    With `create_graph` gradients are Variables of class `kind` and have a graph; else plain arrays.
    Nodes older than the moment `after` are not entered: their gradients are among the returned.
    """
    useful = None if targets is None else _useful(root, targets, after)
    expected = kind if create_graph else _ndarray
    observer = mode.now.observer
    found: dict[Any, Any] = {}
    totals: dict[Any, Any] = {root: seed}
    own: set[Any] = set()
    queue: list[tuple[int, Node]] = []
    # What was met first is not queued while it is alone, as every node of a chain is.
    following: Node | None = root
    with Recording(create_graph):
        while queue or following is not None:
            if following is None:
                node = heappop(queue)[1]
            elif queue:
                node = heappushpop(queue, (-following.order, following))[1]
            else:
                node = following
            following = None
            grad_out = totals.pop(node)
            saved: Any = node.saved
            if saved is None and (targets is None or node not in targets):
                raise _freed(node)
            if node.hooks:
                grad_out = _hooked(node, grad_out, kind, create_graph, targets is None)
                own.discard(node)
            if targets is not None and node in targets:
                found[node] = grad_out
                own.discard(node)
            edges = node.edges
            if useful is not None and useful.isdisjoint(edges):
                continue
            for counter in node.counters:
                if counter[0] > node.order:
                    raise _changed(node)
            recipe = node.recipe
            steps: Iterable[Any] = recipe.rules
            is_defined = False
            if create_graph or not steps:
                saved = _with_graph(node, saved, kind)
                if recipe.op.definition is not None:
                    try:
                        steps = _through_definition(
                            node, saved, grad_out, useful, kind, create_graph
                        )
                    except Exception as error:
                        if observer is not None:
                            observer.failed(node, error)
                        raise
                    is_defined = True
            elif recipe.joint is not None and useful is None and observer is None:
                # All wanted inputs at once; an observer is shown each VJP by itself.
                steps, is_defined = _jointly(node, saved, grad_out, kind), True
            for step in steps:
                if is_defined:
                    edge, grad = step
                else:
                    edge = edges[step.position]
                    if useful is not None and edge not in useful:
                        continue
                    arguments = saved if step.takes_all else step.arguments(node, saved)
                    if step.reuses:
                        # An observer looks at grad_out afterwards.
                        is_free = node in own and len(recipe.rules) == 1 and observer is None
                        arguments = (*arguments, is_free)
                    try:
                        if observer is None:
                            vjp = step.vjp
                            grad = vjp(grad_out, *arguments) if arguments else vjp(grad_out)
                        else:
                            grad = observer.pull(node, step, grad_out, *arguments)
                        if (
                            type(grad) is not expected
                            or grad.dtype is not edge.dtype
                            or grad.shape != edge.shape
                        ):
                            grad = _fitted(grad, node, step.position, kind, create_graph)
                    except Exception as error:
                        _annotate(error, node, step.position, create_graph)
                        if observer is not None:
                            observer.failed(node, error)
                        raise
                total = totals.get(edge)
                if total is None:
                    if type(edge) is Node:
                        if edge.order > after:
                            if following is None:
                                following = edge
                            else:
                                heappush(queue, (-edge.order, edge))
                    elif not create_graph:
                        # What becomes a leaf's .grad must be nobody else's memory.
                        grad = _unshared(grad, grad_out, saved)
                    totals[edge] = grad
                    if recipe.op.fresh and not create_graph:
                        own.add(edge)
                elif create_graph:
                    totals[edge] = total + grad
                else:
                    totals[edge] = _added(total, grad, edge, own)
            if not keep:
                # Drop what was kept for the backward, and with it the way to the inputs.
                node.saved, node.edges, node.counters = None, (), ()
    return totals | found


def _changed(node: Node) -> GraphError:
    return GraphError(
        f"backward: op {node.op.name!r} (output {node.shape}) saved a tensor that was "
        "changed in place afterwards; change a copy, or change it after the backward"
    )


def _annotate(error: Exception, node: Node, position: int, create_graph: bool) -> None:
    note = f"in the VJP of op {node.op.name!r} for input {position}"
    if create_graph:
        note += "; to be differentiated itself it must be written in ops, not in np functions"
    error.add_note(note)


def _added(total: Array, grad: Array, edge: Any, own: set[Any]) -> Array:
    """Return a sum of gradients, in place only where the memory is the sweep's own."""
    if edge in own:
        total += grad
        return total
    own.add(edge)
    return np.add(total, grad, out=memory.empty(total.shape, total.dtype, like=total))


def _freed(node: Node) -> GraphError:
    return GraphError(
        f"backward: the graph at op {node.op.name!r} (output {node.shape}) was freed by an "
        "earlier backward; give that one retain_graph=True, or compute the output again"
    )


def _useful(root: Node, targets: Collection[Any], after: int) -> set[Any]:
    """Return the targets, and the nodes after that moment with a target somewhere below them."""
    seen = {root}
    waiting = [root]
    while waiting:
        node = waiting.pop()
        # A freed node has lost its edges: whatever is older may have been below it.
        if node.saved is None and any(
            other is not node and not (type(other) is Node and other.order > node.order)
            for other in targets
        ):
            raise _freed(node)
        for edge in node.edges:
            if type(edge) is Node and edge.order > after and edge not in seen:
                seen.add(edge)
                waiting.append(edge)
    useful = set(targets)
    for node in sorted(seen, key=lambda node: node.order):
        if any(edge in useful for edge in node.edges):
            useful.add(node)
    return useful


def _unshared(grad: Array, grad_out: Array, saved: Sequence[Any]) -> Array:
    """Return `grad`, copied if a VJP handed on memory that it was given."""
    if not grad.flags.writeable:
        return grad.copy()
    for other in (grad_out, *saved):
        if type(other) is _ndarray and np.may_share_memory(grad, other):
            return grad.copy()
    return grad


def _with_graph(node: Node, saved: Sequence[Any], kind: type[Variable]) -> list[Any]:
    """Return what was saved with the inputs and the output as Variables on the graph again."""
    values = list(saved)
    recipe = node.recipe
    for place, position in enumerate(recipe.saved_inputs):
        edge = node.edges[position]
        if type(edge) is Node:
            values[place] = kind.wrap(saved[place], edge, node.counters[place])
        elif edge is not None:
            if edge.data is not saved[place]:
                raise GraphError(
                    f"backward: op {node.op.name!r} saved a leaf whose .data was replaced since"
                )
            values[place] = edge
    if recipe.kept[-1:] == ["out"]:
        values[-1] = kind.wrap(saved[-1], node, node.counters[-1])
    return values


def _through_definition(
    node: Node,
    saved: Sequence[Any],
    grad_out: Any,
    useful: set[Any] | None,
    kind: type[Variable],
    create_graph: bool,
) -> Sequence[tuple[Any, Any]]:
    """Differentiate the definition of an op, computed anew from its inputs: of a fused op, whose
    own VJPs read what has no graph, or of one that has none."""
    edges = [e for e in node.edges if e is not None and (useful is None or e in useful)]
    wanted = dict.fromkeys(edges)
    start = next(sequence)
    with Recording(True):
        out = node.op.definition(*saved[: len(node.edges)], **node.attributes)
        is_input = isinstance(out, Variable) and out.requires_grad
        if is_input and (out.node is None or out.node.order < start):
            out = expand(out, shape=out.shape)  # handed back, it needs a node of its own
    if not isinstance(out, Variable) or (out.shape, out.dtype) != (node.shape, node.dtype):
        got = f"{out.shape} {out.dtype}" if isinstance(out, Variable) else type(out).__name__
        raise GraphError(
            f"the definition of op {node.op.name!r} returned {got}, expected what the op did, "
            f"{node.shape} {node.dtype}"
        )
    if out.node is None:
        return ()
    totals = _sweep(out.node, grad_out, wanted, create_graph, kind, create_graph, start)
    return [(edge, totals[edge]) for edge in wanted if edge in totals]


def _jointly(
    node: Node, saved: Sequence[Any], grad_out: Array, kind: type[Variable]
) -> list[tuple[Any, Any]]:
    """Return the gradients that the joint VJP of an op gives for all wanted inputs."""
    rule = node.recipe.joint
    position = rule.position
    try:
        grads = list(rule.vjp(grad_out, *rule.arguments(node, saved)))
        if len(grads) != len(node.edges):
            raise GraphError(
                f"the joint VJP of op {node.op.name!r} returned {len(grads)} gradients, expected "
                f"{len(node.edges)}: one for each input, None where it is not wanted"
            )
        found: list[tuple[Any, Any]] = []
        for position, (edge, grad) in enumerate(zip(node.edges, grads, strict=True)):
            if edge is None:
                continue
            if type(grad) is not _ndarray or (grad.shape, grad.dtype) != (edge.shape, edge.dtype):
                grad = _fitted(grad, node, position, kind, False)
            if any(np.may_share_memory(grad, other) for _, other in found):
                grad = grad.copy()
            found.append((edge, grad))
    except Exception as error:
        _annotate(error, node, position, False)
        raise
    return found


def _fitted(grad: Any, node: Node, position: int, kind: type[Variable], create_graph: bool) -> Any:
    """Sum a broadcast gradient to its input's shape; refuse another dtype or a shape that no
    broadcasting explains."""
    edge: Any = node.edges[position]
    where = f"the VJP of op {node.op.name!r} for input {position}"
    if not create_graph:
        if isinstance(grad, np.generic):
            grad = np.asarray(grad)
        if not isinstance(grad, np.ndarray):
            raise GraphError(f"{where} returned a {type(grad).__name__}, expected an array")
    elif isinstance(grad, np.ndarray | np.generic):
        grad = kind.wrap(np.asarray(grad))
    elif not isinstance(grad, Variable):
        raise GraphError(f"{where} returned a {type(grad).__name__}, expected a Variable")
    if grad.dtype != edge.dtype:
        raise GraphError(f"{where} returned dtype {grad.dtype}, expected {edge.dtype}")
    if grad.shape == edge.shape:
        return grad
    extra = len(grad.shape) - len(edge.shape)
    fits = extra >= 0 and all(
        length in (1, given) for length, given in zip(edge.shape, grad.shape[extra:], strict=True)
    )
    if not fits:
        raise GraphError(f"{where} returned shape {grad.shape}, expected {edge.shape}")
    return sum_to(grad, shape=edge.shape)
