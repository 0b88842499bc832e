"""A picture in the DOT language."""

import html
import itertools
import math
import textwrap
from collections.abc import Callable, Iterator, Sequence

import graphviz

from tinygrad_np.errors import ArgumentError
from tinygrad_np.viz import text, theme
from tinygrad_np.viz.folding import Arrow, Box, Frame, Picture

COLORS = ("kind", "flops", "memory", "gradient", "time")
_HEADING, _DETAIL, _TITLE = 12, 10, 16
_KINDS = ("input", "parameter", "buffer", "constant", "op", "module", "output")
_NAMES = {"module": "layer", "backward": "backward pass", "second": "second backward pass"}


def check_color_by(color_by: str) -> None:
    """Raise ArgumentError unless `color_by` is one of `COLORS`."""
    if color_by not in COLORS:
        raise ArgumentError(
            f"draw: expected `color_by` to be one of {', '.join(map(repr, COLORS))}, got "
            f"{color_by!r}."
        )


def to_dot(picture: Picture, color_by: str = "kind", derivatives: bool = False) -> str:
    """Return the picture as DOT text.

    The title of a frame is a node in its first row, ranked above the frame's boxes, so that arrows
    pass beside it. (Arrows would cross the label of a cluster.)
    """
    return _Writer(picture, color_by, derivatives).write()


class _Writer:
    def __init__(self, picture: Picture, color_by: str, derivatives: bool) -> None:
        self.picture, self.color_by, self.derivatives = picture, color_by, derivatives
        self.norm = text.output_gradient(picture.graph.nodes)
        self.amounts = {box: _amount(box, color_by) for box in picture.boxes()}
        known = [amount for amount in self.amounts.values() if amount]
        self.most, self.least = max(known, default=0.0), min(known, default=0.0)
        self.titles: dict[Frame, str] = {}
        self.number = itertools.count()

    def write(self) -> str:
        graph = graphviz.Digraph(
            graph_attr={
                "fontname": theme.FONT,
                "fontcolor": theme.TEXT[0],
                "bgcolor": theme.PAGE[0],
                "rankdir": "TB",
                "nodesep": "0.25",
                "ranksep": "0.3",
                "newrank": "true",  # otherwise nested frames can end in "trouble in init_rank"
                "labelloc": "t",
                "pad": "0.15",
                "label": self._header(),
            },
            node_attr={
                "fontname": theme.FONT,
                "fontcolor": theme.TEXT[0],
                "shape": "plain",
            },
            edge_attr={
                "fontname": theme.FONT,
                "fontcolor": theme.MUTED[0],
                "fontsize": str(_DETAIL),
                "color": theme.ARROW[0],
                "arrowsize": "0.7",
            },
        )
        self._write_items(graph, self.picture.root.items, 0)
        for arrow in self.picture.arrows:
            self._write_arrow(graph, arrow)
        self._rank_titles(graph, self.picture.root)
        return str(graph.source)

    def _write_items(
        self, graph: graphviz.Digraph, items: Sequence[Box | Frame], level: int
    ) -> None:
        for item in items:
            if isinstance(item, Box):
                graph.node(item.id, self._label(item))
                continue
            name = f"frame{next(self.number)}"
            style = theme.FRAMES[min(level, len(theme.FRAMES) - 1)]
            if item.sweep:
                style = theme.SWEEP_FRAMES[min(item.sweep, 2)]
            with graph.subgraph(name=f"cluster_{name}") as part:
                part.attr(
                    label="",
                    style="filled,rounded",
                    color=style.border,
                    fillcolor=style.fill,
                    margin="10",
                )
                self.titles[item] = name
                part.node(name, _table([_row(text.frame_title(item), 11, bold=True, left=True)]))
                self._write_items(part, item.items, level + 1)

    def _rank_titles(self, graph: graphviz.Digraph, frame: Frame) -> None:
        """Rank the title of each frame below the inputs of the frame and above its contents."""
        inside = set(_boxes_in(frame))
        arrows = [arrow for arrow in self.picture.arrows if not arrow.repeat]
        fed = {arrow.target for arrow in arrows if arrow.source in inside}
        title = self.titles.get(frame)
        if title:
            for source in {
                arrow.source.id: None
                for arrow in arrows
                if arrow.target in inside
                and arrow.source not in inside
                and arrow.source.kind not in ("parameter", "buffer", "constant")
            }:
                graph.edge(source, title, style="invis")
        for item in frame.items:
            if isinstance(item, Frame):
                if title:
                    graph.edge(title, self.titles[item], style="invis")
                self._rank_titles(graph, item)
            elif title and item not in fed:
                weight = "0" if item.kind == "constant" else "2"
                graph.edge(title, item.id, style="invis", weight=weight)

    def _style(self, box: Box) -> theme.Style:
        if box.error:
            return theme.STYLES["error"]
        amount = self.amounts[box]
        if self.color_by == "kind" or amount is None:
            return theme.style_of_kind(box.kind, box.sweep)
        return theme.SCALE[self._step(amount)]

    def _step(self, amount: float) -> int:
        """Return the position of an amount on the color scale, logarithmic for gradients."""
        steps = len(theme.SCALE)
        if self.color_by == "gradient" and 0 < self.least < self.most and amount > 0:
            part = math.log(amount / self.least) / math.log(self.most / self.least)
        else:
            part = amount / self.most if self.most else 0.0
        return min(steps - 1, int(steps * part))

    def _label(self, box: Box) -> str:
        style = self._style(box)
        rows = [_row(text.heading(box), _HEADING, bold=True)]
        rows += [_row(line, _DETAIL) for line in text.details(box)]
        amount = self.amounts[box]
        if self.color_by not in ("kind", "gradient") and amount is not None:
            total = " in all" if box.last is not None else ""  # of all repeats
            rows.append(_row(_UNITS[self.color_by](amount) + total, _DETAIL))
        chip = theme.STYLES["parameter"] if box.kind not in ("parameter", "buffer") else None
        if lines := text.parameter_lines(box):
            rows.append(_row("\n".join(lines), _DETAIL, fill=chip))
        for line, is_warning in text.gradient_lines(box, self.norm):
            rows.append(_row(line, _DETAIL, fill=theme.STYLES["error"] if is_warning else None))
        if box.error:
            rows += [_row(line, _DETAIL) for line in textwrap.wrap(f"FAILED: {box.error}", 48)]
        bold = 2 if box.error else 1
        return _table(rows, f'border="{bold}" color="{style.border}" bgcolor="{style.fill}"')

    def _write_arrow(self, graph: graphviz.Digraph, arrow: Arrow) -> None:
        value = arrow.value
        attributes: dict[str, str] = {}
        label = text.sizes(value)
        is_leaf = arrow.source.kind not in ("op", "module", "folded")
        is_shown = len(value.shape) < 2 and text.shows_value(arrow.source)
        if is_leaf or is_shown or arrow.target.kind == "output" or label == "scalar":
            label = ""  # a box at one of its ends shows it, or there is nothing to show
        (first, *_) = arrow.edges
        if self.derivatives and first.derivative is not None:
            label = f"∂ = {sum(edge.derivative or 0.0 for edge in arrow.edges):.4g}"
        if arrow.repeat:
            attributes |= {"style": "dashed", "constraint": "false"}
            label = f"next: {label}" if label else "next"
        elif all(edge.detached for edge in arrow.edges):
            attributes["style"] = "dashed"
            label = f"{label} detached".strip()
        elif arrow.view:
            attributes["style"] = "dotted"
            label = f"{label} view".strip()
        stats = value.gradient
        if stats is not None and self.norm:
            ratio = stats.norm / self.norm
            width = 2.5 + math.log10(ratio) / 2 if ratio > 0 else 0.5
            attributes["penwidth"] = f"{min(max(width, 0.5), 5):.2g}"
            if text.gradient_mark(value, self.norm):
                attributes["color"] = theme.STYLES["error"].border
        if label:
            attributes["label"] = f"  {label} "
        graph.edge(arrow.source.id, arrow.target.id, **attributes)

    def _header(self) -> str:
        rows = []
        if self.picture.title:
            rows.append(_row(self.picture.title, _TITLE, bold=True, left=True))
        rows += [
            _row(line, 11, left=True)
            for sentence in self.picture.caption
            for line in textwrap.wrap(sentence, 72)
        ]
        rows.append(self._legend())
        return _table(rows)

    def _legend(self) -> str:
        if self.color_by == "kind":
            kinds = {box.kind for box in self.picture.boxes()}
            shown = [(_NAMES.get(k, k), theme.style_of_kind(k)) for k in _KINDS if k in kinds]
            has_chips = any(text.parameter_lines(box) for box in self.picture.boxes())
            if has_chips and "parameter" not in kinds:
                shown.append(("parameter", theme.STYLES["parameter"]))
            if {"op", "module"} <= kinds:
                shown = [
                    (("op, layer", s) if n == "op" else (n, s)) for n, s in shown if n != "layer"
                ]
            sweeps = {min(box.sweep, 2) for box in self.picture.boxes()}
            for sweep, name in ((1, "backward"), (2, "second")):
                if sweep in sweeps:
                    shown.append((_NAMES[name], theme.STYLES[name]))
        else:
            unit, steps = _UNITS[self.color_by], len(theme.SCALE)
            marks = [self.most * step / steps for step in range(1, steps + 1)]
            if self.color_by == "gradient" and 0 < self.least < self.most:
                ratio = self.most / self.least
                marks = [self.least * ratio ** (step / steps) for step in range(1, steps + 1)]
            shown = [
                (_at_most(unit(mark)), style)
                for mark, style in zip(marks, theme.SCALE, strict=True)
            ]
        # Fixed size: otherwise, the table grows to the width of the title.
        width = sum(math.ceil(theme.text_width(name, 9)) + 16 for name, _ in shown)
        cells = "".join(
            _cell(name, 9, fill=style, extra=f'border="1" color="{style.border}"')
            for name, style in shown
        )
        return (
            '<tr><td align="left"><table border="0" cellborder="0" cellspacing="3" cellpadding="2" '
            f'fixedsize="true" width="{width}" height="28"><tr>{cells}</tr></table></td></tr>'
        )


def _boxes_in(frame: Frame) -> Iterator[Box]:
    for item in frame.items:
        if isinstance(item, Box):
            yield item
        else:
            yield from _boxes_in(item)


def _amount(box: Box, color_by: str) -> float | None:
    """Return the quantity that colors a box, or None if it has none."""
    if box.kind not in ("op", "module", "folded") and color_by != "gradient":
        return None
    if color_by == "gradient":
        if box.kind == "folded" or len(box.results) > 1 or box.node.gradient is None:
            return None
        return box.node.gradient.norm
    if color_by == "flops":
        known = [node.flops for node in box.every if node.flops is not None]
        return float(sum(known)) if known else None
    if color_by == "memory":
        return float(sum(sum(node.saved.values()) for node in box.every))
    if color_by == "time":
        times = [node.seconds for node in box.every if node.seconds is not None]
        return sum(times) if times else None
    return None


def _scaled(value: float, units: Sequence[str], base: float) -> str:
    power = 0
    while value >= base and power < len(units) - 1:
        value, power = value / base, power + 1
    return f"{value:.0f} {units[power]}" if value >= 100 else f"{value:.3g} {units[power]}"


def _at_most(amount: str) -> str:
    return amount.replace("norm", "norm ≤") if "norm" in amount else f"≤ {amount}"


_UNITS: dict[str, Callable[[float], str]] = {
    "flops": lambda n: _scaled(n, ("FLOP", "kFLOP", "MFLOP", "GFLOP"), 1000),
    "memory": lambda n: _scaled(n, ("B saved", "KiB saved", "MiB saved", "GiB saved"), 1024),
    "gradient": lambda n: f"grad norm {n:.3g}",
    "time": lambda n: _scaled(n * 1e6, ("µs", "ms", "s"), 1000),
}


def _cell(
    words: str,
    size: int,
    bold: bool = False,
    fill: theme.Style | None = None,
    left: bool = False,
    extra: str = "",
) -> str:
    """Return a table cell that is wide enough for its text in any of the usual fonts."""
    lines = words.split("\n")
    width = math.ceil(max(theme.text_width(line, size, bold) for line in lines)) + 6
    color = f' bgcolor="{fill.fill}" style="rounded"' if fill else ""
    align = ' align="left"' if left else ""
    inside = "<br/>".join(map(html.escape, lines))
    inside = f"<b>{inside}</b>" if bold else inside
    extra = f" {extra}" if extra else ""
    return (
        f'<td width="{width}"{color}{align}{extra}><font point-size="{size}">{inside}</font></td>'
    )


def _row(words: str, size: int, **style: object) -> str:
    return f"<tr>{_cell(words, size, **style)}</tr>"  # type: ignore[arg-type]


def _table(rows: list[str], attributes: str = 'border="0"') -> str:
    style = ' style="rounded"' if "bgcolor" in attributes else ""
    layout = f'cellborder="0" cellspacing="1" cellpadding="2" {attributes}{style}'
    return f"<<table {layout}>{''.join(rows)}</table>>"
