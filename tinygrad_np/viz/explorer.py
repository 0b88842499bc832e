"""The explorer: one HTML file in which a graph is unfolded, searched and stepped through.

The page itself is in the directory `explorer`; this module writes the graph into it.
"""

import base64
import hashlib
import html
import json
import math
import re
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tinygrad_np.errors import ArgumentError
from tinygrad_np.files import write_bytes
from tinygrad_np.runtime.memory import Array
from tinygrad_np.viz.formulas import describe_sum
from tinygrad_np.viz.graph import Edge, Graph, GraphNode, ModuleCall
from tinygrad_np.viz.theme import css_variables
from tinygrad_np.viz.tracing import trace

_ASSETS = Path(__file__).with_name("explorer")
# Arrays up to this size are written as numbers, larger ones as heat maps.
_MAX_NUMBERS = 64
_MAX_MAPS = 8
# Longest side of a heat map, in graphs of up to `_MANY` ops and in larger ones.
_SIDE, _SMALL_SIDE, _MANY = 32, 12, 150


def explore(
    target: Any, path: str | Path, *inputs: Any, names: Mapping[str, Any] | None = None
) -> Path:
    """Write a page that steps through the forward and the backward pass of a graph.

    The file is self-contained: it opens in any browser, without a network. The backward pass starts
    with gradient 1 for every output and changes no `.grad`. If the forward pass fails, the page
    shows the graph up to the failing op and the error.

    Args:
        target: a Tensor with a graph, or several in a tuple, list or dict; or a Module or another
            function of Tensors, which is run on `inputs`.
        path: the file to write; ends in .html or .htm.
        *inputs: Tensors, arrays, or nested tuples and lists of them.
        names: names of tensors; entries that are neither Tensors nor arrays are ignored.

    Returns:
        The path of the file.

    Raises:
        ArgumentError: if `path` is not a path or has another suffix, or a model has no inputs.
        GraphError: if no graph was recorded, or it was freed by `backward`.
        DtypeError: if `target` or the result of the function contains anything but Tensors.
        DataError: if the file cannot be written.

    >>> import tempfile
    >>> from pathlib import Path
    >>> from tinygrad_np import Tensor, viz
    >>> x = Tensor([1.0, 2.0], requires_grad=True)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     viz.explore((x * x).sum(), Path(folder) / "graph.html", names={"x": x}).name
    'graph.html'
    """
    if not isinstance(path, str | PathLike):
        raise ArgumentError(
            f"explore: expected a path as second argument, got {type(path).__name__}. "
            'Use explore(model, "graph.html", x).'
        )
    path = Path(path)
    if path.suffix not in (".html", ".htm"):
        raise ArgumentError(f"explore: expected `path` to end in .html or .htm, got {str(path)!r}.")
    graph = trace("explore", target, inputs, names=names, backward=True, keep=None)
    write_bytes(path, page(graph).text.encode())
    return path


class Page(NamedTuple):
    """An HTML page and its content security policy."""

    text: str
    policy: str
    """Allows only the style and script of the page; a server should send it as a header, too."""


def page(graph: Graph) -> Page:
    """Return the page that `explore` writes for a graph traced with `backward` and all arrays.

    The fragment of its URL sets how it opens: `#step=3` or `#end` at that step, and `#embedded`
    without title and search, for a frame in another page. Combine them as `#embedded&step=3`.

    >>> from tinygrad_np import Tensor
    >>> x = Tensor(3.0, requires_grad=True)
    >>> text, policy = page(trace("page", x * x, names={"x": x}, backward=True, keep=None))
    >>> policy.split(";")[0]
    "default-src 'none'"
    """
    style, script = (
        (_ASSETS / name).read_text(encoding="utf-8") for name in ("style.css", "script.js")
    )
    style = css_variables() + style
    values = json.dumps(content(graph), allow_nan=False, separators=(",", ":"))
    shown = {edge.source for edge in graph.edges if edge.target in graph.roots}
    named = ", ".join(node.name for node in graph.nodes if node.id in shown and node.name)
    title = graph.title or (f"Graph of {named}" if named else "Graph")
    # Nothing may be loaded, and no style or script runs but these two.
    policy = (
        "default-src 'none'; img-src data:; base-uri 'none'; form-action 'none'; "
        f"style-src {_hash(style)}; script-src {_hash(script)}"
    )
    parts = {
        "title": html.escape(title),
        "style": style,
        "script": script,
        # In JSON, "<" occurs only inside strings, so no name can close the element early.
        "data": values.replace("<", "\\u003c"),
        "policy": policy,
    }
    template = (_ASSETS / "page.html").read_text(encoding="utf-8")
    # One pass, so that names in the graph that look like placeholders are left alone.
    return Page(re.sub(r"\{\{(\w+)\}\}", lambda found: parts[found[1]], template), policy)


def _hash(text: str) -> str:
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return f"'sha256-{digest}'"


def content(graph: Graph) -> dict[str, Any]:
    """Return the graph of a page as JSON values; arrays are indices into the list `arrays`.

    The page's script function `update` takes the content of another graph of equal structure.
    """
    nodes = {node.id: node for node in graph.nodes}
    arrays = _Arrays(_SIDE if len(graph.nodes) <= _MANY else _SMALL_SIDE)
    return {
        "error": "" if graph.error is None else str(graph.error),
        "roots": list(graph.roots),
        "calls": [_call(call) for call in graph.calls],
        "nodes": [_node(node, arrays) for node in graph.nodes],
        "edges": [_edge(edge, nodes, arrays) for edge in graph.edges],
        "arrays": arrays.entries,
    }


def _call(call: ModuleCall) -> dict[str, Any]:
    names = ("id", "path", "kind", "description", "parameters", "call", "calls", "sweep")
    outer = call.outer.id if call.outer else None
    return {name: getattr(call, name) for name in names} | {"outer": outer}


def _node(node: GraphNode, arrays: "_Arrays") -> dict[str, Any]:
    names = "id kind name op formula options nbytes flops seconds line view_of sweep error"
    return {name: getattr(node, name) for name in names.split()} | {
        "call": node.call.id if node.call else None,
        "shape": list(node.shape),
        "dtype": str(node.dtype or ""),
        "vjps": dict(node.vjps),
        "saved": dict(node.saved),
        "value": arrays.add(node.value),
        "grad": arrays.add(node.grad),
    }


def _edge(edge: Edge, nodes: Mapping[str, GraphNode], arrays: "_Arrays") -> dict[str, Any]:
    names = ("source", "target", "input", "position", "detached")
    source, target = nodes[edge.source], nodes[edge.target]
    return {name: getattr(edge, name) for name in names} | {
        "grad": arrays.add(edge.grad),
        "summed": describe_sum(target.op, edge.input, source.shape, target.shape),
    }


class _Arrays:
    """The arrays of a page, each written once."""

    def __init__(self, side: int) -> None:
        self.entries: list[dict[str, Any]] = []
        self._side = side
        self._indices: dict[tuple[Any, ...], int] = {}

    def add(self, array: Array | None) -> int | None:
        """Return the index of an array in `entries`."""
        if array is None:
            return None
        array = np.asarray(array)
        key = (array.shape, array.dtype.str, hashlib.sha256(array.tobytes()).digest())
        if key not in self._indices:
            self._indices[key] = len(self.entries)
            small = array.size <= _MAX_NUMBERS
            entry = {"values": _numbers(array)} if small else _heat_maps(array, self._side)
            self.entries.append({"shape": list(array.shape), "dtype": str(array.dtype)} | entry)
        return self._indices[key]


def _numbers(array: Array) -> list[Any]:
    """Return the entries in a flat list; JSON has no nan and inf, so they become strings."""
    flat = array.ravel().tolist()
    return [value if math.isfinite(value) else str(value) for value in flat]


def _heat_maps(array: Array, side: int) -> dict[str, Any]:
    """Return statistics and up to 8 maps of the last two axes, averaged down to `side`.

    A map is text in base64, one byte per cell: 128 is 0, 1 and 255 are -scale and scale, and 0
    stands for a cell with a nan or inf.
    """
    exact = array.astype(np.float64)
    finite = exact[np.isfinite(exact)]
    height, width = array.shape[-2:] if array.ndim > 1 else (1, array.size)
    maps = exact.reshape(-1, height, width)
    shown = maps[:_MAX_MAPS]
    for axis in (1, 2):
        starts = np.arange(min(side, shown.shape[axis]))
        starts = starts * shown.shape[axis] // len(starts)
        sizes = np.diff(starts, append=shown.shape[axis])
        sizes = sizes.reshape(-1, 1) if axis == 1 else sizes
        with np.errstate(invalid="ignore"):  # inf - inf
            shown = np.add.reduceat(shown, starts, axis=axis) / sizes
    good = np.isfinite(shown)
    scale = float(np.abs(shown[good]).max(initial=0.0))
    levels = np.zeros(shown.shape, np.uint8)
    levels[good] = 128 + np.rint(127 * (shown[good] / (scale or 1.0)))
    return {
        "maps": [base64.b64encode(level.tobytes()).decode() for level in levels],
        "height": shown.shape[1],
        "width": shown.shape[2],
        "total": len(maps),
        "scale": scale,
        "min": float(finite.min()) if finite.size else None,
        "max": float(finite.max()) if finite.size else None,
        "mean": float(finite.mean()) if finite.size else None,
        "norm": float(np.sqrt(np.square(finite).sum())) if finite.size else None,
        "nonfinite": array.size - finite.size,
    }
