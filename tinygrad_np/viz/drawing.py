"""Graph drawings: `draw` makes one, `render` writes it to a file, and a notebook displays it."""

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import graphviz

from tinygrad_np.errors import ArgumentError, DataError, DtypeError
from tinygrad_np.files import write_bytes
from tinygrad_np.viz.dot import check_color_by, to_dot
from tinygrad_np.viz.folding import Expand, Picture, fold
from tinygrad_np.viz.graph import Graph
from tinygrad_np.viz.svg import finish
from tinygrad_np.viz.text import short_name, to_text
from tinygrad_np.viz.tracing import trace

FORMATS = ("svg", "png", "pdf", "dot", "gv", "json", "txt")
_INSTALL = (
    "Install Graphviz with apt install graphviz or brew install graphviz, or pygraphviz with "
    'python -m pip install "tinygrad_np[graph]".'
)


@dataclass(eq=False, repr=False)
class Drawing:
    """The picture of a graph; notebooks display it as SVG, and `str` gives text for a terminal.

    >>> from tinygrad_np import Tensor, viz
    >>> a = Tensor(2.0, requires_grad=True)
    >>> print(viz.draw(a * 3 + 1, names={"a": a}))
    a  [input; value 2]
    mul <- a, 3  [value 6]
    add <- mul, 1  [value 7]
    output <- add  [value 7]
    """

    picture: Picture
    source: str
    """The DOT text."""

    @property
    def graph(self) -> Graph:
        """The graph that is drawn."""
        return self.picture.graph

    @property
    def error(self) -> Exception | None:
        """The exception that ended the forward pass, if it failed."""
        return self.graph.error

    def to_svg(self) -> str:
        """Return the drawing as SVG.

        Raises:
            DataError: if neither Graphviz's `dot` nor pygraphviz is installed.
        """
        return self._svg

    @cached_property
    def _svg(self) -> str:
        renderer = _find_renderer()
        if renderer is None:
            raise DataError(
                "to_svg: cannot render SVG: neither Graphviz's `dot` nor pygraphviz is installed. "
                f"{_INSTALL}"
            )
        return finish(renderer(self.source, "svg"), self.picture)

    def __str__(self) -> str:
        return to_text(self.picture)

    def __repr__(self) -> str:
        boxes = list(self.picture.boxes())
        failed = "".join(f", FAILED at {short_name(b)}: {b.error}" for b in boxes if b.error)
        failed = failed.replace(" at failed call:", ":")
        return f"<Drawing of {self.graph.title or 'a tensor'}: {len(boxes)} boxes{failed}>"

    def _repr_svg_(self) -> str | None:
        try:
            return self.to_svg()
        except Exception:
            # If rendering fails for any reason, a notebook shows the text form instead.
            return None

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        svg = self._repr_svg_()
        return {"text/plain": str(self), **({"image/svg+xml": svg} if svg else {})}


def draw(
    target: Any,
    *inputs: Any,
    names: Mapping[str, Any] | None = None,
    level: str = "module",
    depth: int | None = None,
    expand: Expand = None,
    backward: bool = False,
    derivatives: bool = False,
    color_by: str = "kind",
    max_boxes: int = 200,
) -> Drawing:
    """Draw the graph of a tensor, or of a model or function run on inputs.

    Args:
        target: a Tensor with a recorded graph, or several in a tuple, list or dict; or a Module, or
            a function of Tensors. Buffers and random generators of a Module do not change.
        *inputs: the inputs of the model or function: Tensors or arrays, or tuples and lists of
            them.
        names: names of tensors and arrays, such as `locals()`; other entries are ignored.
        level: "module" draws layers as boxes, "op" draws every op.
        depth: levels of modules to expand: 0 draws the model as one box; None expands all that
            `level` allows.
        expand: modules to expand to ops: a path such as `"blocks.0"`, a list of paths, or a
            predicate on modules.
        backward: run a backward pass, which changes no `.grad`, and show the gradients: the norm as
            the width of an arrow; marks for gradients that are zero, non-finite, or far from the
            outputs' (vanishing: norm below 1e-4 times theirs; exploding: above 1e3 times).
        derivatives: write the derivative on each arrow between scalars.
        color_by: "kind"; or "flops", "memory" (saved for the backward pass), "gradient" (norm;
            implies `backward`) or "time" (of the forward functions).
        max_boxes: fold modules and earlier ops if there are more boxes than this; at least 3.

    Returns:
        The drawing. If the forward pass fails, `draw` neither raises nor warns: the drawing ends at
        the op that failed, which is marked, and `Drawing.error` is the exception.

    Raises:
        ArgumentError: if `target` is a model without inputs, or an argument is not one of those
            above.
        GraphError: if no graph was recorded, or it was freed by `backward`.
        DtypeError: if an input does not contain numbers, or `target` or the model's result contains
            anything but Tensors and None.

    >>> from tinygrad_np import Tensor, nn, viz
    >>> print(viz.draw(nn.Sequential(nn.Linear(3, 2), nn.ReLU()), Tensor.ones(16, 3)))
    Sequential: 8 parameters
      x  [input; 16 × 3]
      0: Linear(3, 2) <- x  [weight 2 × 3, bias 2; 8 parameters; -> 16 × 2]
      1: ReLU <- 0  [-> 16 × 2]
      output <- 1  [16 × 2]
    """
    check_color_by(color_by)
    if level not in ("module", "op"):
        raise ArgumentError(f"draw: expected `level` to be 'module' or 'op', got {level!r}.")
    graph = trace(
        "draw",
        target,
        inputs,
        names=names,
        backward=backward or color_by == "gradient",
        derivatives=derivatives,
    )
    picture = fold(graph, level, depth, expand, max_boxes)
    return Drawing(picture, to_dot(picture, color_by, derivatives))


def render(drawing: Drawing, path: str | Path) -> Path:
    """Write a drawing in the format given by the suffix of `path`.

    Pictures are rendered with Graphviz's `dot` if installed, otherwise with pygraphviz. If neither
    is installed, the graph is written to a .dot file next to `path` and DataError is raised.

    Args:
        drawing: drawing returned by `draw`.
        path: file to write; ends in .svg, .png, .pdf, .dot, .gv, .json or .txt.

    Returns:
        The path of the file.

    Raises:
        DtypeError: if `drawing` is not a Drawing.
        ArgumentError: if `path` has another suffix.
        DataError: if the file cannot be written, or if neither renderer is installed; the message
            then names the .dot file.
    """
    if not isinstance(drawing, Drawing):
        raise DtypeError(
            f"render: expected a drawing, got {type(drawing).__name__}. "
            "Use viz.render(viz.draw(tensor), path)."
        )
    path = Path(path)
    kind = path.suffix.lstrip(".")
    if kind not in FORMATS:
        raise ArgumentError(
            f"render: expected `path` to end in one of .{', .'.join(FORMATS)}, got {str(path)!r}."
        )
    if kind in ("dot", "gv"):
        content = drawing.source.encode()
    elif kind == "json":
        content = (json.dumps(drawing.graph.to_dict(), indent=1) + "\n").encode()
    elif kind == "txt":
        content = f"{drawing}\n".encode()
    else:
        renderer = _find_renderer()
        if renderer is None:
            source = path.with_suffix(".dot")
            write_bytes(source, drawing.source.encode())
            raise DataError(
                f"{path}: cannot render {kind.upper()}: neither Graphviz's `dot` nor pygraphviz is "
                f"installed. The graph was written to {source}. {_INSTALL}"
            )
        is_svg = kind == "svg"
        content = drawing.to_svg().encode() if is_svg else renderer(drawing.source, kind)
    write_bytes(path, content)
    return path


def _find_renderer() -> Callable[[str, str], bytes] | None:
    """Return a function that renders DOT text to a format, or None if none is installed."""
    if shutil.which("dot"):
        return lambda source, kind: graphviz.Source(_sharpen(source, kind)).pipe(format=kind)
    try:
        import pygraphviz
    except ImportError:
        return None

    def renderer(source: str, kind: str) -> bytes:
        with _QuietFontconfig():
            drawn: bytes = pygraphviz.AGraph(string=_sharpen(source, kind)).draw(
                format=kind, prog="dot"
            )
        return drawn

    return renderer


def _sharpen(source: str, kind: str) -> str:
    return source.replace("digraph {", "digraph {\n\tdpi=144", 1) if kind == "png" else source


class _QuietFontconfig:
    """Keep Fontconfig's warnings off stderr while Graphviz renders in this process.

    The Fontconfig library in pygraphviz's wheels is older than the system's font configuration and
    prints a warning on file descriptor 2 when it first looks for a font. Other output written there
    meanwhile, including that of other threads, is passed on at the end.
    """

    def __enter__(self) -> None:
        sys.stderr.flush()
        self.stderr = os.dup(2)
        self.kept = tempfile.TemporaryFile()
        os.dup2(self.kept.fileno(), 2)

    def __exit__(self, *error: object) -> None:
        os.dup2(self.stderr, 2)
        os.close(self.stderr)
        with self.kept as kept:
            kept.seek(0)
            for line in kept:
                if not line.startswith(b"Fontconfig "):
                    os.write(2, line)
