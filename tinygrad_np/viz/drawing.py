"""Graph drawing: modules as nested frames, ops as boxes, values as labeled arrows."""

import html
import inspect
import itertools
import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import graphviz
import numpy as np

from tinygrad_np.autograd.tape import Node, Variable
from tinygrad_np.checks import check_integer
from tinygrad_np.errors import ArgumentError, DataError, DtypeError, GraphError
from tinygrad_np.files import write_bytes
from tinygrad_np.journal import Trial
from tinygrad_np.nn.module import Module, Parameter
from tinygrad_np.tensor import Tensor
from tinygrad_np.typing import Scope

_FONT = "Helvetica,Arial,sans-serif"
_OP = {"fillcolor": "#ffffff", "color": "#34495e"}
_PARAMETER = {"fillcolor": "#fff3cd", "color": "#b8860b"}
_INPUT = {"fillcolor": "#d6eaf8", "color": "#2874a6"}
_OUTPUT = {"fillcolor": "#d5f5e3", "color": "#1e8449"}
_FORMATS = ("svg", "png", "pdf", "dot", "gv")
_FRAMES = ("#f4f6f7", "#e9eef1", "#dde5ea")


def draw(
    target: Any, *inputs: Any, depth: int | None = None, max_nodes: int = 500
) -> graphviz.Digraph:
    """Draw the graph of a tensor, or of a model run on inputs, as a graphviz.Digraph.

    Args:
        target: a Tensor with a recorded graph, or several in a tuple, list or dict; or a model.
        *inputs: the inputs of the model, Tensors or arrays, or tuples and lists of them.
        depth: levels of modules to expand: 0 draws the model as one box, 1 its layers as boxes,
            None every op.
        max_nodes: largest number of boxes to draw.

    Raises:
        ArgumentError: if `target` is a model without inputs, or `depth` is not an integer >= 0.
        GraphError: if no graph was recorded, the graph was freed by `backward`, or it has more than
            `max_nodes` boxes.
        DtypeError: if an input does not contain numbers, or `target` or the model's result contains
            anything but Tensors and None.

    Outputs without a graph, such as class indices, are not drawn.

    >>> from tinygrad_np import Tensor, nn, viz
    >>> picture = viz.draw(nn.Linear(3, 2), Tensor.ones(1, 3))
    >>> print("linear" in picture.source)
    True
    """
    model = target if isinstance(target, Module) else None
    if depth is not None:
        check_integer("draw", 0, depth=depth)
    if model is not None:
        if not inputs:
            raise ArgumentError(
                f"draw: expected an input for the model {type(model).__name__}, got none. Pass "
                "a batch, for example draw(model, images[:1])."
            )
        result = _run(model, [_as_input(value) for value in inputs])
        expected = f"expected {type(model).__name__} to return Tensors"
    else:
        result, expected = target, "expected a Tensor, or a model and its inputs"
    outputs = {
        name: output
        for name, output in _named_outputs("output", result, expected)
        if output.node is not None
    }
    if not outputs:
        raise GraphError(
            "draw: no graph was recorded for this tensor. Compute it from tensors that require a "
            "gradient, outside no_grad()."
        )
    return _Picture(outputs, model, depth).digraph(max_nodes)


def render(picture: graphviz.Digraph, path: str | Path) -> Path:
    """Write a graph drawing in the format given by the suffix of `path`.

    It is rendered with Graphviz's `dot` if installed, otherwise with pygraphviz. If neither is
    installed, the graph is written to a .dot file next to `path` and DataError is raised.

    Args:
        picture: graph drawing returned by `draw`.
        path: file to write; ends in .svg, .png, .pdf, .dot or .gv.

    Returns:
        The path of the file.

    Raises:
        ArgumentError: if `path` has another suffix.
        DataError: if the file cannot be written, or if neither renderer is installed; the message
            then names the .dot file.
    """
    path = Path(path)
    kind = path.suffix.lstrip(".")
    if kind not in _FORMATS:
        raise ArgumentError(
            f"render: expected `path` to end in one of .{', .'.join(_FORMATS)}, got {str(path)!r}."
        )
    if kind in ("dot", "gv"):
        write_bytes(path, picture.source.encode())
    elif shutil.which("dot"):
        write_bytes(path, picture.pipe(format=kind))
    else:
        write_bytes(path, _by_pygraphviz(picture, path, kind))
    return path


def _by_pygraphviz(picture: graphviz.Digraph, path: Path, kind: str) -> bytes:
    try:
        import pygraphviz
    except ImportError as error:
        source = path.with_suffix(".dot")
        write_bytes(source, picture.source.encode())
        raise DataError(
            f"{path}: cannot render {kind.upper()}: neither Graphviz's `dot` nor pygraphviz is "
            f"installed. The graph was written to {source}. Install Graphviz with apt install "
            "graphviz or brew install graphviz, or pygraphviz with "
            'python -m pip install "tinygrad_np[graph]".'
        ) from error
    drawn: bytes = pygraphviz.AGraph(string=picture.source).draw(format=kind, prog="dot")
    return drawn


def _run(model: Module, leaves: list[Any]) -> Any:
    """Run the model after naming its parameters; buffers and generators do not change."""
    model.parameters()
    with Trial():
        return model(*leaves)


def _named_outputs(name: str, value: Any, expected: str) -> Iterator[tuple[str, Variable]]:
    """Yield the Tensors in nested tuples, lists and dicts with names such as `output[0]`."""
    if isinstance(value, Variable):
        yield name, value
    elif isinstance(value, Mapping | tuple | list):
        items = value.items() if isinstance(value, Mapping) else enumerate(value)
        for key, inner in items:
            yield from _named_outputs(f"{name}[{key!r}]", inner, expected)
    elif value is not None or name == "output":
        where = "" if name == "output" else f" as {name}"
        raise DtypeError(f"draw: {expected}, got {type(value).__name__}{where}.")


def _as_input(value: Any) -> Any:
    """Return the input as a leaf; a float leaf requires a gradient, so that the graph shows it."""
    if value is None:
        return None
    if isinstance(value, tuple | list) and any(isinstance(v, Variable | np.ndarray) for v in value):
        return tuple(map(_as_input, value))
    tensor = Tensor.wrap(value.data if isinstance(value, Variable) else Tensor(value).data)
    if tensor.dtype.kind == "f":
        tensor.requires_grad = True
    return tensor


@dataclass
class _Box:
    """A box: its id, heading, further lines and colors, the parameters it uses and their count."""

    id: str
    heading: str
    lines: list[str]
    style: Mapping[str, str]
    parameters: list[str] = field(default_factory=list)
    count: int = 0


@dataclass
class _Frame:
    """The frame of a module: its title, its boxes and its nested frames."""

    title: str
    boxes: list[_Box] = field(default_factory=list)
    inner: list["_Frame"] = field(default_factory=list)


class _Picture:
    """Boxes in frames, and the arrows between them.

    Nodes are added in the order of recording, so ids and layout are the same each time.
    """

    def __init__(
        self, outputs: Mapping[str, Variable], model: Module | None, depth: int | None
    ) -> None:
        self.model = model
        self.depth = depth
        self.root = _Frame("")
        self.frames: dict[Scope, _Frame] = {}
        self.boxes: dict[Any, _Box] = {}
        self.arrows: dict[tuple[str, str, str], None] = {}
        for node in _collect_nodes(outputs.values()):
            self._add(node)
        for position, (name, output) in enumerate(outputs.items()):
            last = self.boxes[self._fold(output.node)]
            box = _Box(f"output{position or ''}", name, [_sizes(output)], _OUTPUT)
            self.root.boxes.append(box)
            self.arrows[last.id, box.id, _sizes(output)] = None

    def _chain(self, scope: Scope | None) -> list[Scope]:
        """Return the module calls around an op, outermost first."""
        chain = []
        while scope is not None:
            chain.append(scope)
            scope = scope.outer
        return chain[::-1]

    def _fold(self, node: Any) -> Any:
        """Return the key of a node's box: the node, or the module call that it is folded into."""
        chain = self._chain(node.scope)
        if self.depth is None or len(chain) <= self.depth:
            return node
        return chain[self.depth]

    def _frame(self, chain: list[Scope]) -> _Frame:
        """Return the innermost frame of a chain of module calls, creating missing frames."""
        frame = self.root
        for scope in chain:
            if scope not in self.frames:
                self.frames[scope] = _Frame(self._title(scope))
                frame.inner.append(self.frames[scope])
            frame = self.frames[scope]
        return frame

    def _module(self, scope: Scope) -> Module | None:
        return None if self.model is None else _module_at(self.model, scope.path)

    def _title(self, scope: Scope) -> str:
        module = self._module(scope)
        inside = module.describe() if module is not None else ""
        name = f"{scope.path}: " if scope.path else ""
        return f"{name}{scope.kind}({inside})" if inside else f"{name}{scope.kind}"

    def _add(self, node: Node) -> None:
        shown = self._fold(node)
        chain = self._chain(node.scope)
        frame = self._frame(chain if self.depth is None else chain[: self.depth])
        if shown not in self.boxes:
            box = self._new_box(shown, _OP)
            if shown is node:
                box.heading, box.lines = node.op.name, _options(node)
            else:
                module = self._module(shown)
                count = sum(p.numel() for p in module.parameters()) if module is not None else 0
                box.heading = self._title(shown)
                box.lines = [f"{count:,} parameters"] if count else []
            frame.boxes.append(box)
        box = self.boxes[shown]
        for position, edge in enumerate(node.edges):
            if isinstance(edge, Parameter):
                if shown is node:
                    name = edge.name.rpartition(".")[2] or node.op.input_name(position)
                    box.parameters.append(f"{name} {_sizes(edge)}")
                    box.count += edge.numel()
            elif isinstance(edge, Node | Variable):
                tail = self.boxes[self._fold(edge)] if type(edge) is Node else self._input(edge)
                if tail is not box:
                    self.arrows[tail.id, box.id, _sizes(edge)] = None

    def _new_box(self, key: Any, style: Mapping[str, str]) -> _Box:
        self.boxes[key] = _Box(f"box{len(self.boxes)}", "", [], style)
        return self.boxes[key]

    def _input(self, leaf: Any) -> _Box:
        """Return the box of a leaf that is not a parameter, outside all frames."""
        if leaf not in self.boxes:
            box = self._new_box(leaf, _INPUT)
            box.heading, box.lines = "input", [_sizes(leaf)]
            self.root.boxes.append(box)
        return self.boxes[leaf]

    def digraph(self, max_nodes: int) -> graphviz.Digraph:
        """Return the graph in the DOT language; raise GraphError if it has too many boxes."""
        if len(self.boxes) > max_nodes:
            advice = "Draw a part of it"
            if self.frames and self.depth != 0:
                advice = "Fold the modules with depth=1 (layers as boxes) or depth=0"
            raise GraphError(
                f"draw: expected at most max_nodes={max_nodes} boxes, got {len(self.boxes)}. "
                f"{advice}, or pass max_nodes={len(self.boxes)} to draw it anyway."
            )
        graph = graphviz.Digraph(
            graph_attr={"fontname": _FONT, "rankdir": "TB", "nodesep": "0.3", "ranksep": "0.35"},
            node_attr={
                "fontname": _FONT,
                "fontsize": "12",
                "shape": "box",
                "style": "filled,rounded",
                "margin": "0.12,0.06",
            },
            edge_attr={"fontname": _FONT, "fontsize": "10", "color": "#566573", "arrowsize": "0.7"},
        )
        if self.model is not None:
            count = sum(p.numel() for p in self.model.parameters())
            title = f"{type(self.model).__name__}: {count:,} parameters"
            graph.attr(label=_rows(title), labelloc="t", fontsize="16")
        self._write(graph, self.root, 0, itertools.count())
        for tail, head, label in self.arrows:
            graph.edge(tail, head, f"  {label}")
        return graph

    def _write(
        self, graph: graphviz.Digraph, frame: _Frame, level: int, number: Iterator[int]
    ) -> None:
        for box in frame.boxes:
            graph.node(box.id, _rows(box.heading, *box.lines), **box.style)
            if box.parameters:
                beside = f"{box.id}_parameters"
                total = f"{box.count:,} parameters"
                with graph.subgraph() as row:
                    row.attr(rank="same")
                    row.node(beside, _rows(total, *box.parameters), **_PARAMETER)
                    # With the op as tail, it comes first in the row; dir=back reverses the arrow.
                    row.edge(box.id, beside, dir="back")
        for inner in frame.inner:
            if len(inner.boxes) == 1 and not inner.inner and not inner.boxes[0].parameters:
                # A frame around a single box is drawn as the box, under the frame's title.
                (only,) = inner.boxes
                text = _rows(inner.title, only.heading, *only.lines)
                graph.node(only.id, text, **only.style)
                continue
            with graph.subgraph(name=f"cluster_{next(number)}") as part:
                part.attr(
                    label=_rows(inner.title),
                    style="filled,rounded",
                    color="#aeb6bf",
                    fillcolor=_FRAMES[level % len(_FRAMES)],
                    labeljust="r",
                    fontsize="12",
                )
                self._write(part, inner, level + 1, number)


def _collect_nodes(outputs: Iterable[Variable]) -> list[Node]:
    """Return all nodes that the outputs depend on, oldest first."""
    waiting: list[Any] = [output.node for output in outputs]
    seen = set(waiting)
    while waiting:
        node = waiting.pop()
        if node.saved is None:
            raise GraphError(
                "draw: the graph was freed by backward(). Draw it first, or call "
                "backward(retain_graph=True)."
            )
        for edge in node.edges:
            if type(edge) is Node and edge not in seen:
                seen.add(edge)
                waiting.append(edge)
    return sorted(seen, key=lambda node: node.order)


def _module_at(model: Module, path: str) -> Module | None:
    """Return the submodule at a path, or None.

    The search follows path prefixes, because shared modules can have exponentially many paths, too
    many to list.
    """
    if not path:
        return model
    for name, child in model.named_children():
        if path == name or path.startswith(f"{name}."):
            found = _module_at(child, path[len(name) + 1 :])
            if found is not None:
                return found
    return None


def _options(node: Node) -> list[str]:
    """Return the options of an op that differ from their defaults."""
    shown = []
    for name, value in node.options.items():
        usual = node.op.options[name]
        # Options without a default may hold arrays, whose comparison has no single truth value.
        if usual is not inspect.Parameter.empty:
            repeated = isinstance(value, tuple) and all(entry == usual for entry in value)
            if value == usual or repeated:
                continue
        shown.append(f"{name}={value}")
    return shown


def _sizes(value: Any) -> str:
    shape = " × ".join(map(str, value.shape)) or "scalar"
    return f"{shape} {value.dtype}"


def _rows(first: str, *others: str) -> str:
    """Return an HTML-like label with a bold first line and smaller lines below; escape the text."""
    small = "".join(f'<br/><font point-size="10">{html.escape(text)}</font>' for text in others)
    return f"<<b>{html.escape(first)}</b>{small}>"
