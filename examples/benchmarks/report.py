"""Tables that are printed row by row, and the plot of the ratios to PyTorch."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from matplotlib.figure import Figure

from benchmarks.sides import PYTORCH

_FASTER, _SLOWER = "#1e8449", "#c0392b"


class Column(NamedTuple):
    """The name and width of a column."""

    name: str
    width: int


class Table:
    """A table that prints each row as soon as it is complete, because a run takes minutes."""

    def __init__(self, title: str, *columns: Column) -> None:
        self._columns = columns
        print(f"\n{title}")
        self.row(*(column.name for column in columns))

    def row(self, *cells: object) -> None:
        """Print a row, the first cell left-aligned and the others right-aligned."""
        pairs = list(zip(map(str, cells), self._columns, strict=True))
        first, *rest = (
            f"{cell:>{column.width}}" if number else f"{cell:<{column.width}}"
            for number, (cell, column) in enumerate(pairs)
        )
        print(first + "".join(rest), flush=True)


def show(spread: Mapping[str, float] | None) -> str:
    """Format a median with its quartiles, for example 12.3 [12.1, 12.9]; empty for None."""
    if spread is None:
        return ""
    # Enough decimals for a median with three digits.
    decimals = next((n for n in (3, 2, 1) if abs(spread["median"]) < 10 ** (3 - n)), 0)
    median, low, high = (f"{spread[name]:.{decimals}f}" for name in ("median", "low", "high"))
    return f"{median} [{low}, {high}]"


def show_times(ratio: Mapping[str, float] | None) -> str:
    """Format the inverse of a ratio of times, the speedup; empty for None."""
    return "" if ratio is None else f"{1 / ratio['median']:.1f}"


def plot(rows: Sequence[Mapping[str, Any]], subtitle: str) -> Figure:
    """Plot the ratios to PyTorch of training steps and evaluation, one panel per model.

    `rows` come from the measurements `steps` and `eval`; their key "kind" names the measurement.
    """
    names = list(dict.fromkeys(row["model"] for row in rows))
    figure = Figure(figsize=(3.1 * len(names) + 0.8, 4.6), layout="constrained")
    panels = figure.subplots(1, len(names), sharey=True, squeeze=False)[0]
    highest = max(row["ratio_to"][PYTORCH]["high"] for row in rows)
    for axes, name in zip(panels, names, strict=True):
        chosen = [row for row in rows if row["model"] == name]
        for place, row in enumerate(chosen):
            spread = row["ratio_to"][PYTORCH]
            median, low, high = spread["median"], spread["low"], spread["high"]
            color = _FASTER if median <= 1 else _SLOWER
            axes.bar(place, median, width=0.62, color=color, alpha=0.85)
            axes.plot([place, place], [low, high], color="#1b2631", lw=1.5)
            axes.annotate(
                f"{median:.2f}",
                (place, high),
                (0, 4),
                textcoords="offset points",
                ha="center",
                bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5},
            )
        axes.axhline(1, color="#1b2631", lw=1, ls="--")
        labels = [
            f"eval\n{row['batch']}" if row["kind"] == "eval" else f"{row['batch']}"
            for row in chosen
        ]
        axes.set_xticks(range(len(chosen)), labels)
        axes.set(title=name, xlabel="batch size")
        axes.set_ylim(0, max(1.15, 1.12 * highest))
        axes.spines[["top", "right"]].set_visible(False)
    panels[0].set_ylabel("time relative to PyTorch")
    figure.suptitle(
        "tinygrad_np compared with PyTorch: training step and evaluation (eval)\n"
        "below the dashed line, tinygrad_np is faster; thin lines: quartiles\n" + subtitle,
        fontsize=11,
    )
    return figure
