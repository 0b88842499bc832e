"""The walk back over the tape, newest node first.

Each VJP is handed plain arrays, or Variables where the gradient is to have a graph of its own: one
text of a VJP serves both, since VJPs are written in ops. Nothing here is recursive over a graph.
"""

from collections.abc import Iterator, Sequence
from heapq import heappop, heappush
from typing import Any

import numpy as np

from tinygrad_np import memory
from tinygrad_np.errors import GraphError, ShapeError
from tinygrad_np.memory import Array
from tinygrad_np.record import Rule, cast, expand, sum_to
from tinygrad_np.tape import Node, Recording, Variable


def backward(
    root: Variable,
    gradient: Any = None,
    retain_graph: bool = False,
    create_graph: bool = False,
) -> None:
    """Add to `.grad` of every leaf under `root` the VJP of `gradient` (one, for a single entry)."""
    seed = _seed(root, gradient, create_graph)
    if root.node is None:
        totals = {root: seed if create_graph else seed.copy()}
    else:
        keep = retain_graph or create_graph
        totals = _sweep(root.node, seed, None, keep, _graph_class(root, create_graph))
    with Recording(create_graph):
        for leaf, total in totals.items():
            # Nobody else's memory: plain totals are copied where they must be, on the way.
            total = cast(total, dtype=leaf.dtype) if create_graph else root.result_class.wrap(total)
            leaf.grad = total if leaf.grad is None else leaf.grad + total


def gradient(
    root: Variable,
    targets: Sequence[Variable],
    gradient: Any = None,
    create_graph: bool = False,
) -> list[Any]:
    """Return the VJP of `gradient` for each target, leaf or not; the graph stays, `.grad` too."""
    for position, target in enumerate(targets):
        if not target.requires_grad:
            raise GraphError(f"gradient: target {position} does not require a gradient")
    seed = _seed(root, gradient, create_graph)
    keys = [target.node or target for target in targets]
    totals: dict[Any, Any] = {root: seed}
    if root.node is not None:
        totals = _sweep(root.node, seed, set(keys), True, _graph_class(root, create_graph))
    for position, key in enumerate(keys):
        if key not in totals:
            raise GraphError(
                f"gradient: target {position}, of shape {targets[position].shape}, was not used "
                f"to compute the output of shape {root.shape}; leave it out, or use backward(), "
                "which passes it over"
            )
    if create_graph:
        return [totals[key] for key in keys]
    return [root.result_class.wrap(np.array(totals[key])) for key in keys]


def _graph_class(root: Variable, create_graph: bool) -> type[Variable] | None:
    return root.result_class if create_graph else None


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
    root: Node, seed: Any, targets: set[Any] | None, keep: bool, graph_class: type[Variable] | None
) -> dict[Any, Any]:
    """Walk back from `root`, newest node first; return the gradient of each leaf, or each target.

    Newest first means that every use of a result has been passed when its own node is reached.
    With a `graph_class` gradients are Variables of that class and have a graph; else plain arrays.
    """
    useful = None if targets is None else _useful(root, targets)
    found: dict[Any, Any] = {}
    totals: dict[Any, Any] = {root: seed}
    own: set[Any] = set()
    queue = [(-root.order, root)]
    with Recording(graph_class is not None):
        while queue:
            node = heappop(queue)[1]
            grad_out = totals.pop(node)
            if targets is not None and node in targets:
                found[node] = grad_out
            for edge, grad in _input_grads(node, grad_out, useful, graph_class):
                if edge not in totals:
                    if type(edge) is Node:
                        heappush(queue, (-edge.order, edge))
                    elif graph_class is None:
                        # What becomes a leaf's .grad must be nobody else's memory.
                        grad = _unshared(grad, grad_out, node.saved or ())
                    totals[edge] = grad
                elif graph_class is not None:
                    totals[edge] = totals[edge] + grad
                elif edge in own:
                    totals[edge] += grad
                else:
                    total = totals[edge]
                    space = memory.empty(total.shape, total.dtype, like=total)
                    totals[edge] = np.add(total, grad, out=space)
                    own.add(edge)
            if not keep:
                node.free()
    return totals | found


def _alive(node: Node) -> Sequence[Any]:
    """Return what a node saved, unless an earlier backward freed it."""
    if node.saved is None:
        raise GraphError(
            f"backward: the graph at op {node.op.name!r} (output {node.shape}) was freed by an "
            "earlier backward; give that one retain_graph=True, or compute the output again"
        )
    return node.saved


def _useful(root: Node, targets: set[Any]) -> set[Any]:
    """Return the targets, and the nodes with a target somewhere below them."""
    seen = {root}
    waiting = [root]
    while waiting:
        node = waiting.pop()
        _alive(node)
        for edge in node.edges:
            if type(edge) is Node and edge not in seen:
                seen.add(edge)
                waiting.append(edge)
    useful = set(targets)
    for node in sorted(seen, key=lambda node: node.order):
        if any(edge in useful for edge in node.edges):
            useful.add(node)
    return useful


def _input_grads(
    node: Node, grad_out: Any, useful: set[Any] | None, graph_class: type[Variable] | None
) -> Iterator[tuple[Any, Any]]:
    """Yield for each wanted input its edge and its gradient, of the input's shape and dtype."""
    if useful is not None and useful.isdisjoint(node.edges):
        return
    saved = _alive(node)
    for counter in node.counters:
        if counter[0] > node.order:
            raise GraphError(
                f"backward: op {node.op.name!r} (output {node.shape}) saved a tensor that was "
                "changed in place afterwards; change a copy, or change it after the backward"
            )
    if graph_class is not None:
        saved = _with_graph(node, saved, graph_class)
        if node.op.definition is not None:
            yield from _through_definition(node, saved, grad_out, useful, graph_class)
            return
    expected = np.ndarray if graph_class is None else graph_class
    edges = node.edges
    for rule in node.recipe.rules:
        edge = edges[rule.position]
        if useful is not None and edge not in useful:
            continue
        try:
            if rule.pick is not None:
                grad = rule.vjp(grad_out, *rule.pick(saved))
            else:
                grad = rule.vjp(grad_out, *_arguments(node, rule, saved))
        except Exception as error:
            note = f"in the VJP of op {node.op.name!r} for input {rule.position}"
            if graph_class is not None:
                note += (
                    "; to be differentiated itself it must be written in ops, not in np functions"
                )
            error.add_note(note)
            raise
        if type(grad) is not expected or grad.shape != edge.shape or grad.dtype != edge.dtype:
            grad = _fitted(grad, node, rule.position, graph_class)
        yield edge, grad


def _unshared(grad: Array, grad_out: Array, saved: Sequence[Any]) -> Array:
    """Return `grad`, copied if a VJP handed on memory that it was given."""
    if not grad.flags.writeable or any(
        type(other) is np.ndarray and np.may_share_memory(grad, other)
        for other in (grad_out, *saved)
    ):
        return grad.copy()
    return grad


def _arguments(node: Node, rule: Rule, saved: Sequence[Any]) -> list[Any]:
    """Look up by name what a VJP asks for beyond `grad_out`."""
    known = dict(zip(node.recipe.kept, saved, strict=True))
    known.update(node.attributes)
    op = node.op
    edge: Any = node.edges[rule.position]
    if op.variadic:
        known[op.variadic] = saved[: len(node.recipe.saved_inputs)]
    known["position"] = rule.position
    wrt = op.input_name(rule.position)
    known[f"{wrt}_shape"] = edge.shape
    known[f"{wrt}_dtype"] = edge.dtype
    return [known[name] for name in rule.names]


def _with_graph(node: Node, saved: Sequence[Any], graph_class: type[Variable]) -> list[Any]:
    """Return what was saved with the inputs and the output as Variables on the graph again."""
    values = list(saved)
    recipe = node.recipe
    for place, position in enumerate(recipe.saved_inputs):
        edge = node.edges[position]
        if type(edge) is Node:
            values[place] = graph_class.wrap(saved[place], edge, node.counters[place])
        elif edge is not None:
            if edge.data is not saved[place]:
                raise GraphError(
                    f"backward: op {node.op.name!r} saved a leaf whose .data was replaced since"
                )
            values[place] = edge
    if recipe.kept[-1:] == ["out"]:
        values[-1] = graph_class.wrap(saved[-1], node, node.counters[-1])
    return values


def _through_definition(
    node: Node,
    saved: Sequence[Any],
    grad_out: Any,
    useful: set[Any] | None,
    graph_class: type[Variable],
) -> Iterator[tuple[Any, Any]]:
    """Differentiate the definition of a fused op, whose own VJPs read what has no graph."""
    inputs = list(saved[: len(node.edges)])
    wanted = [
        p
        for p, edge in enumerate(node.edges)
        if edge is not None and (useful is None or edge in useful)
    ]
    for p in wanted:
        # A node of its own for each input: the place where the inner walk stops.
        inputs[p] = expand(inputs[p], shape=inputs[p].shape)
    out = node.op.definition(*inputs, **node.attributes)
    totals = _sweep(out.node, grad_out, {inputs[p].node for p in wanted}, True, graph_class)
    for p in wanted:
        yield node.edges[p], totals[inputs[p].node]


def _fitted(grad: Any, node: Node, position: int, graph_class: type[Variable] | None) -> Any:
    """Sum a broadcast gradient to its input's shape; refuse another dtype or a shape that no
    broadcasting explains."""
    edge: Any = node.edges[position]
    where = f"the VJP of op {node.op.name!r} for input {position}"
    if graph_class is None:
        if isinstance(grad, np.generic):
            grad = np.asarray(grad)
        if not isinstance(grad, np.ndarray):
            raise GraphError(f"{where} returned a {type(grad).__name__}, expected an array")
    elif isinstance(grad, np.ndarray | np.generic):
        grad = graph_class.wrap(np.asarray(grad))
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
