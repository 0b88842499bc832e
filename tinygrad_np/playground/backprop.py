"""The Backprop tab: an expression, its gradients, and the graph that computes them."""

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from flask import Flask, Response, request

from tinygrad_np.errors import ArgumentError, TinygradNpError
from tinygrad_np.frontend.tensor import Tensor
from tinygrad_np.playground.expression import FUNCTIONS, MAX_NUMBER, Expression, evaluate, parse
from tinygrad_np.playground.http import json_body
from tinygrad_np.runtime.memory import Array
from tinygrad_np.schema import REAL, TEXT, DictOf
from tinygrad_np.viz.explorer import content, page
from tinygrad_np.viz.graph import Edge, Graph, GraphNode
from tinygrad_np.viz.tracing import trace

NUDGE = 1e-4
"""How far a variable is moved to measure its slope."""

_DEFAULTS = (0.5, -1.0, 2.0, 1.5, -0.5, 3.0)
_SYMBOLS = {"add": "+", "sub": "-", "mul": "*", "div": "/", "pow": "**"}


def add_routes(app: Flask) -> None:
    """Add the routes of the tab, and what its part of the page needs."""
    app.jinja_env.globals.update(functions=FUNCTIONS, nudge=NUDGE)

    @app.post("/api/backprop")
    def backprop() -> dict[str, Any]:
        body = json_body("backprop", {"expression": TEXT, "values": DictOf(REAL)})
        return differentiate(body["expression"], body["values"])

    @app.get("/backprop")
    def backprop_page() -> Response:
        text = request.args.get("expression", "")
        status = 200
        try:
            values = _read_values(request.args.get("values", "{}"))
            expression = parse(text)
            graph = _trace(text, expression, _complete(expression, values))
        except TinygradNpError as error:  # shown in a frame, so it must be a page
            graph, status = Graph(text, [], [], error=error), 400
        found = page(graph)
        headers = {"Content-Security-Policy": f"{found.policy}; frame-ancestors 'self'"}
        return Response(found.text, status, headers, mimetype="text/html")


def differentiate(text: str, values: Mapping[str, float]) -> dict[str, Any]:
    """Return an expression's value, its gradients by `backward`, and its graph, as JSON values.

    Args:
        text: the expression; see `expression.parse`.
        values: numbers by name; variables that are missing get a default, other names are ignored.

    Numbers that are not finite become "nan", "inf" or "-inf", and `messages` says where they come
    from.

    Raises:
        ArgumentError: if the expression or a value is refused.

    >>> answer = differentiate("x*x + x", {"x": 3})
    >>> answer["result"], answer["variables"][0]["gradient"]
    ({'name': '', 'value': 12.0}, 7.0)
    """
    expression = parse(text)
    values = _complete(expression, values)
    graph = _trace(text, expression, values)
    result, names = evaluate(expression, values)
    with np.errstate(all="ignore"):
        result.backward()
    found = result.item()
    variables = []
    for name, value in values.items():
        step = -NUDGE if value + NUDGE > MAX_NUMBER else NUDGE
        moved = evaluate(expression, {**values, name: value + step}).result.item()
        gradient, slope = _number(names[name].grad), (moved - found) / step
        variables.append(
            {"name": name, "value": value, "gradient": _json(gradient), "slope": _json(slope)}
        )
    return {
        "variables": variables,
        "result": {"name": expression.assignments[-1][0], "value": _json(found)},
        "messages": list(dict.fromkeys(_explain(graph))),
        "tape": list(_tape(graph)),
        "content": content(graph),
    }


def _complete(expression: Expression, values: Mapping[str, float]) -> dict[str, float]:
    """Return a value for each variable."""
    defaults = {name: _DEFAULTS[i % len(_DEFAULTS)] for i, name in enumerate(expression.variables)}
    return {name: values.get(name, default) for name, default in defaults.items()}


def _trace(text: str, expression: Expression, values: Mapping[str, float]) -> Graph:
    """Return the graph of an expression with all values and gradients."""
    result, names = evaluate(expression, values)
    with np.errstate(all="ignore"):
        graph = trace("backprop", result, names=names, backward=True, derivatives=True, keep=None)
    graph.title = text
    return graph


def _json(value: float) -> float | str:
    """Return a number for JSON, which has no nan or inf."""
    return value if math.isfinite(value) else str(value)


def _text(value: float) -> str:
    """Return "nan", "inf" or "−inf"."""
    return str(value).replace("-", "\N{MINUS SIGN}")


def _number(value: Tensor | Array | float | None) -> float:
    return math.nan if value is None else float(value)


def _inputs(graph: Graph, node: GraphNode) -> list[tuple[Edge, GraphNode]]:
    """Return the edges into a node, in the order of its inputs, and where they come from."""
    nodes = {one.id: one for one in graph.nodes}
    found = [edge for edge in graph.edges if edge.target == node.id]
    return [(edge, nodes[edge.source]) for edge in sorted(found, key=lambda one: one.position)]


def _call(op: str, inputs: list[str]) -> str:
    """Return an op with its inputs as a reader would write it."""
    if op in _SYMBOLS:
        return f" {_SYMBOLS[op]} ".join(inputs)
    return f"-{inputs[0]}" if op == "neg" else f"{op}({', '.join(inputs)})"


def _tape(graph: Graph) -> Iterator[dict[str, Any]]:
    """Yield a row for each op: what it computes, its value, local derivatives and gradient.

    Results without a name are called #1, #2, ... by their row.
    """
    labels = {
        node.id: node.name or f"{_number(node.value):g}" for node in graph.nodes if not node.op
    }
    ops = [node for node in graph.nodes if node.op]
    for row, node in enumerate(ops, 1):
        labels[node.id] = node.name or f"#{row}"
        inputs = _inputs(graph, node)
        yield {
            "name": labels[node.id],
            "operation": _call(node.op, [labels[source.id] for _, source in inputs]),
            "value": _json(_number(node.value)),
            "derivatives": [
                {"input": labels[source.id], "value": _json(_number(edge.derivative))}
                for edge, source in inputs
                if edge.grad is not None
            ],
            "gradient": _json(_number(node.grad)),
        }


def _explain(graph: Graph) -> Iterator[str]:
    """Yield a sentence for each op where values, or else gradients, become nan or inf."""
    is_finite = True
    calls = {}
    for node in graph.nodes:
        numbers = [_number(source.value) for _, source in _inputs(graph, node)]
        in_brackets = node.op in _SYMBOLS or node.op == "neg"
        texts = [f"({x:.4g})" if in_brackets and x < 0 else f"{x:.4g}" for x in numbers]
        calls[node.id] = _call(node.op, texts) if node.op else ""
        value = _number(node.value)
        if math.isfinite(value) or not all(map(math.isfinite, numbers)):
            continue
        is_finite = False
        if not numbers:
            yield f"A constant subexpression gives {_text(value)}."
            continue
        if math.isnan(value):
            numbers_text = "this number" if len(numbers) == 1 else "these numbers"
            reason = f"it is not defined for {numbers_text}"
        elif 0.0 in numbers:
            reason = "it grows without bound near 0"
        else:
            reason = "the result is too large for a float64"
        yield f"{calls[node.id]} gives {_text(value)}: {reason}."
    if not is_finite:
        return
    for node in graph.nodes:
        for edge, source in _inputs(graph, node):
            grad = 0.0 if edge.grad is None else float(edge.grad)
            if math.isfinite(_number(node.grad)) and not math.isfinite(grad):
                yield (
                    f"The gradient of {calls[node.id]} with respect to "
                    f"{source.name or 'its input'} is {_text(grad)}: it has no finite slope there."
                )


def _read_values(text: str) -> dict[str, float]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise ArgumentError(
            f"backprop: expected `values` to be a JSON object of numbers, got {text[:40]!r}."
        )
    return found
