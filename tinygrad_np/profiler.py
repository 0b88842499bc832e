"""profile(): time, calls, bytes and FLOPs of each op, forward and backward, by the module it is in.

FLOPs are floating-point operations as the records count them (`flops`), not as the CPU does.
"""

from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass
from time import perf_counter
from typing import Any

import numpy as np

from tinygrad_np.autograd.tape import Node, Observer, Scope, Variable, mode


@dataclass
class Row:
    """What one op took in one module, forward and backward; `nbytes` are those of its results."""

    op: str
    module: str
    calls: int = 0
    seconds: float = 0.0
    nbytes: int = 0
    flops: int = 0
    backward_calls: int = 0
    backward_seconds: float = 0.0
    backward_nbytes: int = 0
    backward_flops: int = 0


class Profile(Observer):
    """A table that fills while it is entered; `print` shows, `rows()` and `total()` return it."""

    def __init__(self) -> None:
        self._rows: dict[tuple[str, str], Row] = {}
        # Whether an op is running, and what the ops took that the VJP that is running has called.
        self._is_inside = False
        self._within: Row | None = None

    def rows(self) -> list[Row]:
        """Return a row for each op and module, what took longest first."""
        return sorted(self._rows.values(), key=lambda row: -row.seconds - row.backward_seconds)

    def total(self) -> Row:
        """Return the sum of all rows."""
        columns = zip(*[astuple(row)[2:] for row in self._rows.values()], strict=True)
        return Row("total", "", *map(sum, columns))

    def run(self, op: Any, arrays: Sequence[Any], attributes: Mapping[str, Any]) -> Any:
        """Run an op's forward, and count it: as part of what called it, if an op or a VJP did."""
        if self._is_inside:
            return super().run(op, arrays, attributes)
        row = self._within or self.row_for(op.name, mode.now.scope)
        self._is_inside = True
        start = perf_counter()
        try:
            results = super().run(op, arrays, attributes)
        finally:
            row.seconds += perf_counter() - start
            self._is_inside = False
        out = results[0] if isinstance(results, tuple) else results
        row.calls += 1
        row.nbytes += _nbytes(out)
        # What is no array is refused by those who asked for it.
        if isinstance(out, np.ndarray | np.generic):
            row.flops += op.count_flops(arrays, attributes, out)
        return results

    def pull(self, node: Node, rule: Any, grad_out: Any, *arguments: Any) -> Any:
        """Call a VJP, and count it for its op."""
        if self._is_inside or self._within:
            return super().pull(node, rule, grad_out, *arguments)
        row = self.row_for(node.op.name, node.scope)
        within = self._within = Row("", "")
        start = perf_counter()
        try:
            grad = super().pull(node, rule, grad_out, *arguments)
        finally:
            row.backward_seconds += perf_counter() - start
            self._within = None
        row.backward_calls += 1
        row.backward_nbytes += _nbytes(grad)
        if within.calls:
            row.backward_flops += within.flops
        elif grad is not grad_out:
            row.backward_flops += getattr(_array(grad), "size", 0)
        return grad

    def row_for(self, op: str, scope: Scope | None) -> Row:
        """Return the row in which an op of a module's call is counted."""
        module = "" if scope is None else scope.path or scope.kind
        return self._rows.setdefault((op, module), Row(op, module))

    def __str__(self) -> str:
        rows, total = self.rows(), self.total()
        if not rows:
            return "profile: no op has run inside it yet"
        lines = [_HEADING, *(_cells(row, total) for row in (*rows, total))]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        sides = [sum(widths[start : start + 4]) + 6 for start in (2, 6)]
        lead = " " * (widths[0] + widths[1] + 2)
        heading = f"{lead}  {' forward ':-^{sides[0]}}  {' backward ':-^{sides[1]}}"
        texts = [_line(cells, widths) for cells in lines]
        rule = "-" * len(texts[0])
        return "\n".join([heading, texts[0], rule, *texts[1:-1], rule, texts[-1]])


_HEADING = ["op", "module", *["calls", "ms", "MB", "MFLOP"] * 2, "GFLOP/s", "share"]


def _cells(row: Row, total: Row) -> list[str]:
    """Return the texts of a row."""
    seconds = row.seconds + row.backward_seconds
    flops = row.flops + row.backward_flops
    return [
        row.op,
        row.module,
        str(row.calls),
        f"{1e3 * row.seconds:.3f}",
        f"{row.nbytes / 1e6:.3f}",
        f"{row.flops / 1e6:.3f}",
        str(row.backward_calls),
        f"{1e3 * row.backward_seconds:.3f}",
        f"{row.backward_nbytes / 1e6:.3f}",
        f"{row.backward_flops / 1e6:.3f}",
        f"{flops / seconds / 1e9 if seconds else 0:.2f}",
        f"{seconds / ((total.seconds + total.backward_seconds) or 1):.1%}",
    ]


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    """Return cells side by side: names at the left of their columns, numbers at the right."""
    names = [cell.ljust(width) for cell, width in zip(cells[:2], widths[:2], strict=True)]
    numbers = [cell.rjust(width) for cell, width in zip(cells[2:], widths[2:], strict=True)]
    return "  ".join(names + numbers)


def _array(value: Any) -> Any:
    # What is no array is refused by those who asked for it.
    return value.data if isinstance(value, Variable) else value


def _nbytes(value: Any) -> int:
    return int(getattr(_array(value), "nbytes", 0))


def profile() -> Profile:
    """Time each op and each VJP, and count its calls, bytes and FLOPs; a context manager, per
    thread, whose `print` is a table with a row for each op in each module, and their total.

    Times are of the forwards and VJPs themselves, without the tape's own, and gradients that a
    backward otherwise takes from one joint VJP are taken one by one; bytes are those of their
    results. FLOPs are counted from shapes, as each record says: one for an arithmetic operation,
    comparison, choice, or function such as e^x; so two for a product that is added to a sum, and
    none where entries are only moved. A VJP's are those of the ops that it calls. What it does
    beside them between arrays, by `+ - * /` or in a kernel, is not seen: it is a lower bound. One
    that calls no op counts one for each entry of its gradient.

    >>> from tinygrad_np import Tensor, profile
    >>> with profile() as table:
    ...     y = (Tensor.ones(3) * 2).exp()
    >>> sorted((row.op, row.flops) for row in table.rows())
    [('exp', 3), ('mul', 3)]
    """
    return Profile()
