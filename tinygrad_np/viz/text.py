"""The words of a graph picture, and the picture as plain text for a terminal."""

import math
import textwrap
from collections.abc import Sequence

import numpy as np

from tinygrad_np.runtime.memory import Array
from tinygrad_np.viz.folding import SMALL, Box, Frame, Picture
from tinygrad_np.viz.graph import GraphNode, ModuleCall

WIDTH = 96
VANISHING, EXPLODING = 1e-4, 1e3
"""A gradient vanishes or explodes if its norm is below or above this multiple of the outputs'."""


def call_title(item: Box | Frame, call: ModuleCall) -> str:
    """Return the title of a module call, such as `blocks.0 … blocks.11: Block`.

    The path starts at the frame around it.
    """
    path = _inner_path(item.outer, call.path)
    if item.times > 1 and item.last is not None and item.last.call is not None:
        last = _inner_path(item.outer, item.last.call.path)
        path = path if last == path else f"{path} … {last}"
    title = f"{call.kind}({call.description})" if call.description else call.kind
    return title if path in ("", call.kind) else f"{path}: {title}"


def _inner_path(outer: ModuleCall | None, path: str) -> str:
    return path.removeprefix(f"{outer.path}.") if outer is not None and outer.path else path


def heading(box: Box) -> str:
    """Return the first line of a box."""
    times = f" ×{box.times}" if box.times > 1 else ""
    if box.kind == "folded":
        return f"{len(box.nodes)} earlier ops"
    if box.call is not None:
        is_named = box.node.name and box.last is None and len(box.results) < 2
        name = f"{box.node.name} = " if is_named else ""
        return name + call_title(box, box.call) + times
    node = box.node
    if is_group(box) and len(box.parameters) > 1:
        owner = node.name.rpartition(".")[0]
        return f"{owner}: parameters" if owner else "parameters"
    if box.kind == "op":
        return (f"{node.name} = {node.op}" if node.name else node.op) + times
    if box.kind == "constant":
        # Names of one letter, such as x, say nothing.
        return node.name or _constant(node) or (box.use if len(box.use) > 1 else "data")
    return node.name or box.kind


def is_group(box: Box) -> bool:
    """Return whether a box shows the parameters that several boxes share."""
    return box.kind in ("parameter", "buffer") and bool(box.parameters)


def details(box: Box, rows: bool = True) -> list[str]:
    """Return the lines under the heading, without those about parameters and gradients.

    With `rows`, the rows of a matrix are lines of their own.
    """
    node = box.node
    lines = []
    if box.call is not None and box.kind == "op":
        lines += textwrap.wrap(f"{node.op} {node.options}", 44)
    elif box.call is not None:
        ops = [inner.op for inner in box.nodes]
        if box.call.sweep:
            lines.append(", ".join(ops) if len(ops) <= 3 else f"{len(ops)} ops")
    if box.call is not None:
        if box.call.calls > 1 and box.call.parameters and box.last is None:
            lines.append(f"call {box.call.call} of {box.call.calls}")
        last = box.last.call if box.last is not None and box.times > 1 else None
        if last is not None and box.call.parameters and last.path == box.call.path:
            lines.append("the same module each time")
    elif box.kind == "op":
        options = node.options
        if box.last is not None and box.last.node.options != options:
            options = f"{options} … {box.last.node.options}"
        lines += textwrap.wrap(options, 44)
    elif box.kind == "output" and node.name and not node.name.startswith("output"):
        lines.append("output")
    if box.kind in ("op", "module", "folded"):
        has_value = shows_value(box)
    else:
        has_value = shows_value(box) and not _is_number(box)
        is_unknown = box.kind == "constant" and node.dtype is None
        if not (is_group(box) or is_unknown) and (len(node.shape) > 1 or not shows_value(box)):
            lines.append(sizes(node))
    if has_value and node.value is not None:
        lines += _value_lines("value", node.value, rows)
    return lines


def shows_value(box: Box) -> bool:
    """Return whether a box shows the value of its result, if only as its heading."""
    if box.last is not None or box.kind == "folded" or is_group(box) or len(box.results) > 1:
        return False
    value = box.node.value
    if value is None or value.ndim > 2:
        return False
    is_layer = box.kind == "module" and not box.sweep
    return value.size <= (1 if is_layer else SMALL)


def parameter_lines(box: Box) -> list[str]:
    """Return the lines about the parameters of a box."""
    if not box.parameters:
        return []
    names = [
        f"{node.name.rpartition('.')[2] or node.kind} {sizes(node).removeprefix('length ')}"
        for node in box.parameters
    ]
    if is_group(box) and len(names) == 1:
        names = [sizes(box.node)]  # the heading is its name
    trained = [node for node in box.parameters if node.kind == "parameter"]
    count = sum(int(np.prod(node.shape)) for node in trained)
    is_own = box.last is not None and box.call is not None and box.shared.isdisjoint(trained)
    each = " each" if is_own else ""
    if len(names) > 4:
        return [f"{count:,} parameters{each}"]
    return [", ".join(names), *([f"{count:,} parameters{each}"] if trained else [])]


def gradient_lines(box: Box, norm: float, rows: bool = True) -> list[tuple[str, bool]]:
    """Return the lines about the gradient of a box, and whether each is a warning.

    `norm` is that of the outputs' gradients.
    """
    node = box.node
    if box.kind == "folded" or box.last is not None or is_group(box) or len(box.results) > 1:
        return []
    lines: list[tuple[str, bool]] = []
    if node.grad is not None and node.grad.size <= SMALL:
        lines += [(line, False) for line in _value_lines("grad", node.grad, rows)]
    elif node.gradient is not None:
        lines.append((f"grad norm {node.gradient.norm:.3g}", False))
    if mark := gradient_mark(node, norm):
        lines.append((mark, True))
    return lines


def gradient_mark(node: GraphNode, norm: float) -> str:
    """Return what is wrong with a gradient, or an empty string; `norm` is that of the outputs."""
    stats = node.gradient
    if stats is None:
        return ""
    if stats.nonfinite:
        return f"{stats.nonfinite} of {stats.size} gradients are NaN or infinite"
    if stats.zeros == stats.size:
        return "gradient is zero"
    ratio = stats.norm / norm if norm and node.kind != "output" else 1.0
    if ratio < VANISHING:
        return f"gradient vanishes: {ratio:.2g} of the output's"
    if ratio > EXPLODING:
        return f"gradient explodes: {ratio:.2g} times the output's"
    return ""


def output_gradient(nodes: Sequence[GraphNode]) -> float:
    """Return the norm of the gradients of the outputs together; 0 if they have none.

    The norm, unlike the gradient per element, changes little if the loss is a mean over a batch.
    """
    norms = [node.gradient.norm for node in nodes if node.kind == "output" and node.gradient]
    return math.hypot(*norms)


def frame_title(frame: Frame) -> str:
    """Return the title of a frame."""
    times = f" ×{frame.times}" if frame.times > 1 else ""
    if frame.call is None:
        return frame.title + times
    call = frame.call
    if call.sweep and call.kind == "backward":
        ordinal = {1: "", 2: "second "}.get(call.sweep, f"{call.sweep}th ")
        return f"{ordinal}backward pass{times}"
    title = call_title(frame, call) + times
    if call.calls > 1 and frame.times == 1 and not call.sweep:
        title += f" (call {call.call} of {call.calls})"
    return title


def sizes(node: GraphNode) -> str:
    """Return the shape of a node's result, with its dtype unless that is float32."""
    shape = " × ".join(map(str, node.shape)) or "scalar"
    if len(node.shape) == 1:
        shape = f"length {shape}"  # a lone number would read as a value
    usual = node.dtype is None or node.dtype == np.float32
    return shape if usual else f"{shape} {node.dtype}"


def numbers(values: Array) -> str:
    """Return the values of a small array, with four digits.

    >>> numbers(np.array([1.0, 0.33333]))
    '[1, 0.3333]'
    """
    if values.ndim == 0:
        return _number(values.item())
    return "[" + ", ".join(map(numbers, values)) + "]"


def _value_lines(name: str, values: Array, rows: bool) -> list[str]:
    """Return the values on one line, or row by row if that is long."""
    text = f"{name} {numbers(values)}"
    if not rows:
        return [text]
    if values.ndim != 2 or len(text) <= 36:
        return textwrap.wrap(text, 44)
    return [name, *map(numbers, values)]


def _number(value: float | bool) -> str:
    if isinstance(value, bool | int):
        return str(value)
    return f"{value:.4g}"


def _constant(node: GraphNode) -> str:
    """Return the values of a small vector or number, or an empty string."""
    value = node.value
    if value is None or value.size > SMALL or value.ndim > 1:
        return ""
    # All digits that a user writes: 1.0001 is not 1.
    return f"{value.item():.7g}" if value.dtype.kind == "f" and not value.ndim else numbers(value)


def to_text(picture: Picture) -> str:
    """Return the picture as text: one line per box in the order of execution.

    Frames are indented, and each box names the boxes and numbers that it reads.
    """
    names: dict[Box, str] = {}
    taken: dict[str, int] = {}
    for box in picture.boxes():
        name = short_name(box)
        taken[name] = taken.get(name, 0) + 1
        names[box] = name if taken[name] == 1 or _is_number(box) else f"{name} #{taken[name]}"
    read: dict[Box, list[tuple[int, str]]] = {}
    for arrow in picture.arrows:
        used = names[arrow.source] + (" of the step before" if arrow.repeat else "")
        for edge in arrow.edges:
            slope = "" if edge.derivative is None else f" (∂ = {edge.derivative:.4g})"
            slope = " (detached)" if edge.detached else slope
            read.setdefault(arrow.target, []).append((edge.position, used + slope))
    sources: dict[Box, list[str]] = {}
    for box, found in read.items():
        if box.kind == "op" and box.last is None:
            sources[box] = [used for _, used in sorted(found)]  # x * x reads x twice
        else:
            sources[box] = list(dict.fromkeys(used for _, used in found))
    norm = output_gradient(picture.graph.nodes)
    lines = [picture.title] if picture.title else []

    def write(items: Sequence[Box | Frame], indent: str) -> None:
        for item in items:
            if isinstance(item, Frame):
                lines.append(f"{indent}{frame_title(item)}")
                write(item.items, indent + "  ")
                continue
            if not _is_number(item):
                lines.extend(_line(item, indent, names[item], sources.get(item, []), norm))

    write(picture.root.items, "  " if lines else "")
    for sentence in picture.caption:
        lines += textwrap.wrap(sentence, WIDTH)
    return "\n".join(lines)


def _is_number(box: Box) -> bool:
    """Return whether a box is a constant whose heading is its value."""
    return box.kind == "constant" and not box.node.name and bool(_constant(box.node))


def short_name(box: Box) -> str:
    """Return a name by which other lines refer to a box."""
    if box.call is not None:
        return _inner_path(box.outer, box.call.path) or box.call.kind
    if box.kind == "op":
        return box.node.name or box.node.op
    return heading(box)


def _line(box: Box, indent: str, name: str, sources: list[str], norm: float) -> list[str]:
    title = heading(box)
    if "#" in name:
        title += f" #{name.rpartition('#')[2]}"
    gradients = [line for line, _ in gradient_lines(box, norm, rows=False)]
    about = [*details(box, rows=False), *parameter_lines(box), *gradients]
    if box.kind in ("input", "constant", "parameter", "buffer") and box.kind not in about:
        about = [box.kind, *about] if title != "input" and "parameters" not in title else about
    from_ = f" <- {', '.join(sources)}" if sources else ""
    first = f"{indent}{title}{from_}"
    if box.kind in ("op", "module") and not (shows_value(box) and len(box.node.shape) < 2):
        about.append(f"-> {', '.join(map(sizes, box.results or [box.node]))}")
    if box.error:
        about = [f"FAILED: {box.error}"]
    text = f"{first}  [{'; '.join(about)}]" if about else first
    lines = textwrap.wrap(text.strip(), max(40, WIDTH - len(indent)), subsequent_indent="      ")
    return [indent + line for line in lines]
