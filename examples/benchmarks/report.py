"""Tables that are printed row by row, and the plot of training steps and evaluation."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from benchmarks.sides import OURS, PYTORCH
from tinygrad_np.viz.figure import RIGHT, SETS, TEXT, WRONG, Figure


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
    """Plot training steps and evaluation, one panel per model: ratios to PyTorch, or times.

    If PyTorch was not measured, plot the times of tinygrad_np in ms.

    `rows` come from the measurements `steps` and `eval`; their key "kind" names the measurement.
    """
    is_ratio = all(PYTORCH in row["ratio_to"] for row in rows)
    names = list(dict.fromkeys(row["model"] for row in rows))
    figure = Figure((3.1 * len(names) + 0.8, 4.6))
    panels = figure.subplots(1, len(names), sharey=is_ratio, squeeze=False)[0]
    spreads = [row["ratio_to"][PYTORCH] if is_ratio else row["times"][OURS] for row in rows]
    for axes, name in zip(panels, names, strict=True):
        chosen = [(row, s) for row, s in zip(rows, spreads, strict=True) if row["model"] == name]
        for place, (_, spread) in enumerate(chosen):
            median, low, high = spread["median"], spread["low"], spread["high"]
            color = (RIGHT if median <= 1 else WRONG) if is_ratio else SETS["train"]
            axes.bar(place, median, width=0.62, color=color, alpha=0.85)
            axes.plot([place, place], [low, high], color=TEXT, lw=1.5)
            axes.annotate(
                f"{median:.2f}" if is_ratio else f"{median:.3g}",
                (place, high),
                (0, 4),
                textcoords="offset points",
                ha="center",
                bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5},
            )
        labels = [
            f"eval\n{row['batch']}" if row["kind"] == "eval" else f"{row['batch']}"
            for row, _ in chosen
        ]
        axes.set_xticks(range(len(chosen)), labels)
        axes.set(title=name, xlabel="batch size")
        top = 1.12 * max(s["high"] for s in (spreads if is_ratio else [s for _, s in chosen]))
        if is_ratio:
            axes.axhline(1, color=TEXT, lw=1, ls="--")
            top = max(1.15, top)
        axes.set_ylim(0, top)
        axes.spines[["top", "right"]].set_visible(False)
    panels[0].set_ylabel("time relative to PyTorch" if is_ratio else "time in ms")
    what = "training step and evaluation (eval)"
    heading = f"tinygrad_np: {what}\nthin lines: quartiles\n"
    if is_ratio:
        heading = (
            f"tinygrad_np compared with PyTorch: {what}\n"
            "below the dashed line, tinygrad_np is faster; thin lines: quartiles\n"
        )
    figure.suptitle(heading + subtitle, fontsize=11)
    return figure
