"""Display of objects in terminals and notebooks: tables and line charts.

The HTML is for `_repr_html_`. It contains no scripts and no style sheets, because viewers of
notebooks remove them. Text, rules and axes have the color of the surrounding text, and backgrounds
are transparent, so it is readable in light and dark themes; lines have colors that stand out in
both.
"""

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")

_RULE = "1px solid color-mix(in srgb, currentColor 35%, transparent)"
_TABLE = "border-collapse:collapse;background:transparent;margin:0.4em 0"
_MARKED = "background:color-mix(in srgb, #1e8449 22%, transparent);font-weight:bold"
# Colors with a contrast of at least 3 on white and on the dark pages of the explorer; dashes tell
# the lines apart without color.
_LINES = (("#2e86c1", "none"), ("#a569bd", "6 3"), ("#ca6f1e", "2 3"), ("#239b56", "9 3 2 3"))
_WIDTH, _HEIGHT, _LEFT, _TOP, _BOTTOM = 360, 190, 52, 40, 28


def safe(method: Callable[[T], str]) -> Callable[[T], str]:
    """Decorate `__repr__` or `_repr_html_`, so that it describes an error instead of raising it.

    An object may be shown before its constructor has finished, in a debugger or a traceback.
    """

    @functools.wraps(method)
    def call(self: T) -> str:
        try:
            return method(self)
        except Exception as error:
            text = f"<{type(self).__name__}: cannot be shown ({type(error).__name__}: {error})>"
            return escape(text) if method.__name__ == "_repr_html_" else text

    return call


def escape(text: object) -> str:
    """Return the text of an object for use in HTML, in an element or a quoted attribute."""
    plain = str(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return plain.replace('"', "&quot;")


def number_of(number: int, noun: str, plural: str = "") -> str:
    """Return a number with a noun, for example "1 parameter" or "1,200 parameters"."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def preformatted(text: str) -> str:
    """Return a block of HTML that keeps the spaces and line breaks of a text."""
    style = "background:transparent;color:inherit;margin:0.4em 0;padding:0;line-height:1.35"
    return f'<pre style="{style}">{escape(text)}</pre>'


@dataclass(eq=False, repr=False)
class Table:
    """A table that prints as aligned columns and shows as an HTML table in a notebook.

    Args:
        heading: titles of the columns; may be empty.
        rows: the cells of each row, as text.
        names: number of columns with names, which are left-aligned; the others hold numbers.
        total: cells of a last row, below a rule; may be empty.
        notes: lines below the table.
        title: line above the table.
        spans: titles above the heading, each with its number of columns; may be empty.
        marked: position of a row to emphasize, if any.

    >>> print(Table(("layer", "size"), [("conv", "8"), ("fc", "10")]))
    layer  size
    -----------
    conv      8
    fc       10
    """

    heading: Sequence[str]
    rows: Sequence[Sequence[str]]
    names: int = 1
    total: Sequence[str] = ()
    notes: Sequence[str] = ()
    title: str = ""
    spans: Sequence[tuple[str, int]] = ()
    marked: int | None = None

    @safe
    def __repr__(self) -> str:
        cells = [row for row in (self.heading, *self.rows, self.total) if row]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        lines = [self._line(row, widths) for row in self.rows]
        rule = "-" * (sum(widths) + 2 * (len(widths) - 1))
        if self.marked is not None:
            lines[self.marked] += "  *"
        if self.heading:
            lines[:0] = [self._line(self.heading, widths), rule]
        if self.total:
            lines += [rule, self._line(self.total, widths)]
        elif self.notes:
            lines.append(rule)
        above = [self.title] if self.title else []
        if self.spans:
            above.append(self._spans(widths))
        return "\n".join([*above, *lines, *self.notes])

    def _line(self, cells: Sequence[str], widths: Sequence[int]) -> str:
        pairs = list(zip(cells, widths, strict=True))
        names = [text.ljust(width) for text, width in pairs[: self.names]]
        line = "  ".join(names + [text.rjust(width) for text, width in pairs[self.names :]])
        if self.names < len(cells):
            return line
        # The lines of a last cell with several lines start in the same column.
        return line.rstrip().replace("\n", "\n" + " " * (sum(widths[:-1]) + 2 * len(widths) - 2))

    def _spans(self, widths: Sequence[int]) -> str:
        parts, start = [], 0
        for title, columns in self.spans:
            width = sum(widths[start : start + columns]) + 2 * (columns - 1)
            parts.append(f"{f' {title} ':-^{width}}" if title else " " * width)
            start += columns
        return "  ".join(parts).rstrip()

    @safe
    def _repr_html_(self) -> str:
        parts = [f"<div><b>{escape(self.title)}</b></div>"] if self.title else []
        parts.append(f'<table style="{_TABLE}">')
        if self.spans:
            cells = "".join(
                f'<th colspan="{columns}" style="text-align:center;'
                f'{f"border-bottom:{_RULE}" if title else ""}">{escape(title)}</th>'
                for title, columns in self.spans
            )
            parts.append(f"<tr>{cells}</tr>")
        if self.heading:
            parts.append(self._row("th", self.heading, f"border-bottom:{_RULE}"))
        for position, row in enumerate(self.rows):
            parts.append(self._row("td", row, _MARKED if position == self.marked else ""))
        if self.total:
            parts.append(self._row("td", self.total, f"border-top:{_RULE};font-weight:bold"))
        parts.append("</table>")
        parts += [f"<div>{escape(note)}</div>" for note in self.notes]
        return "\n".join(parts)

    def _row(self, tag: str, cells: Sequence[str], style: str) -> str:
        aligned = ["left"] * self.names + ["right"] * (len(cells) - self.names)
        inner = "".join(
            f'<{tag} style="text-align:{side};padding:1px 10px;vertical-align:top;'
            f'white-space:pre-wrap">'
            f"{escape(text)}</{tag}>"
            for side, text in zip(aligned, cells, strict=True)
        )
        return f'<tr style="background:transparent;{style}">{inner}</tr>'


def facts(title: str, values: Mapping[str, object]) -> Table:
    """Return a table with a name and a value per line."""
    return Table((), [(name, str(value)) for name, value in values.items()], 2, title=title)


def line_chart(
    title: str,
    lines: Mapping[str, Sequence[float]],
    positions: Sequence[int],
    marked: int | None = None,
    spec: str = ".3g",
) -> str:
    """Return an inline SVG of lines over increasing integers, such as losses over epochs.

    Args:
        title: text above the chart.
        lines: values by name, one per position; nan and inf leave a gap.
        positions: position of each value on the x-axis.
        marked: position of a dotted vertical line, if any.
        spec: format of the values on the y-axis.
    """
    values = [value for line in lines.values() for value in line if math.isfinite(value)]
    if not values:
        return f"<div>{escape(title)}: no finite values</div>"
    low, high = min(values), max(values)
    if high - low < 1e-12 * max(abs(low), abs(high), 1e-300):
        low, high = low - (abs(low) or 1) / 2, high + (abs(high) or 1) / 2
    first, last = positions[0], positions[-1]

    def place(x: float, y: float) -> tuple[float, float]:
        across = (x - first) / (last - first) if last > first else 0.5
        up = (y - low) / (high - low)
        return (
            _LEFT + 10 + across * (_WIDTH - _LEFT - 25),
            _HEIGHT - _BOTTOM - up * (_HEIGHT - _BOTTOM - _TOP - 8) - 4,
        )

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{_HEIGHT}" '
        f'viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(title)}" '
        'font-family="sans-serif" font-size="11" fill="currentColor">',
        f'<text x="{_LEFT}" y="13" font-weight="bold">{escape(title)}</text>',
    ]
    for y in (low, (low + high) / 2, high):
        height = place(first, y)[1]
        parts.append(_rule(_LEFT, height, _WIDTH - 10, height, 'opacity="0.25"'))
        label = escape(format(y, spec))
        parts.append(f'<text x="{_LEFT - 6}" y="{height + 4:.1f}" text-anchor="end">{label}</text>')
    for x in sorted({first, last}):
        across = place(x, low)[0]
        parts.append(f'<text x="{across:.1f}" y="{_HEIGHT - 12}" text-anchor="middle">{x}</text>')
    if marked is not None:
        across = place(marked, low)[0]
        dotted = 'stroke-dasharray="2 3" opacity="0.8"'
        parts.append(_rule(across, _TOP, across, _HEIGHT - _BOTTOM, dotted))
    legend = float(_LEFT)
    for (name, line), (color, dashes) in zip(lines.items(), _LINES * len(lines), strict=False):
        drawn = f'stroke="{color}" stroke-width="2" stroke-dasharray="{dashes}"'
        parts.append(f'<path d="M{legend:.0f} 25h20" {drawn} fill="none"/>')
        parts.append(f'<text x="{legend + 24:.0f}" y="29">{escape(name)}</text>')
        legend += 40 + 6.2 * len(name)
        points = [
            place(x, y) if math.isfinite(y) else None for x, y in zip(positions, line, strict=True)
        ]
        parts.append(f'<path d="{_path(points)}" {drawn} fill="none"/>')
        if len(points) <= 30:
            parts += [
                f'<circle cx="{point[0]:.1f}" cy="{point[1]:.1f}" r="2.5" fill="{color}"/>'
                for point in points
                if point
            ]
    return "".join([*parts, "</svg>"])


def _rule(x1: float, y1: float, x2: float, y2: float, style: str) -> str:
    ends = f'x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"'
    return f'<line {ends} stroke="currentColor" {style}/>'


def _path(points: Sequence[tuple[float, float] | None]) -> str:
    """Return the path through the points; it is interrupted where a point is missing."""
    steps, command = [], "M"
    for point in points:
        if point is not None:
            steps.append(f"{command}{point[0]:.1f} {point[1]:.1f}")
        command = "M" if point is None else "L"
    return "".join(steps)
