"""Profiling: time, calls, bytes and FLOPs per op and module, forward and backward.

FLOPs are computed from the definitions of the ops (`flops`, `backward_flops`), not measured.
"""

from collections.abc import Callable
from dataclasses import astuple, dataclass
from time import perf_counter
from typing import Any, TypeVar

import numpy as np

from tinygrad_np.autograd.backward import BackwardScope, values_of
from tinygrad_np.autograd.op import Op, parameter_names
from tinygrad_np.autograd.tape import Node, Variable
from tinygrad_np.display import Table, preformatted, safe
from tinygrad_np.errors import ArgumentError
from tinygrad_np.observer import Observer
from tinygrad_np.runtime.memory import Array
from tinygrad_np.runtime.state import thread
from tinygrad_np.typing import Options, Scope, Value, Values

T = TypeVar("T")


@dataclass
class Row:
    """Totals of one op in one module; `nbytes` counts the bytes of its results."""

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
    """Observer that fills a table; read it with `print`, `table()`, `rows()` and `total()`."""

    def __init__(self) -> None:
        self._rows: dict[tuple[str, str], Row] = {}
        # Whether an op is running, and the totals of the ops called by the VJP that is running.
        self._is_inside = False
        self._within: Row | None = None

    def rows(self, by: str = "seconds") -> list[Row]:
        """Return one row per op and module.

        Args:
            by: column to sort by, largest first: "seconds", "calls", "nbytes" or "flops", each the
                sum of forward and backward; or "op" or "module", in alphabetical order.

        Raises:
            ArgumentError: if `by` is not a column.
        """
        if by in ("op", "module"):
            return sorted(self._rows.values(), key=lambda row: (getattr(row, by), row.op))
        if by not in ("seconds", "calls", "nbytes", "flops"):
            raise ArgumentError(
                "profile: expected `by` to be 'seconds', 'calls', 'nbytes', 'flops', 'op' or "
                f"'module', got {by!r}."
            )
        names = (by, f"backward_{by}")
        return sorted(
            self._rows.values(), key=lambda row: -sum(getattr(row, name) for name in names)
        )

    def total(self) -> Row:
        """Return the sum of all rows."""
        columns = zip(*[astuple(row)[2:] for row in self._rows.values()], strict=True)
        return Row("total", "", *map(sum, columns))

    def on_forward(self, op: Op, arrays: Values, options: Options, call: Callable[[], T]) -> T:
        """Run a forward function, and count it for its op, or for the op or VJP that called it."""
        if self._is_inside:
            return call()
        row = self._within or self.row_for(op.name, thread.state.scope)
        self._is_inside = True
        start = perf_counter()
        try:
            results = call()
        finally:
            row.seconds += perf_counter() - start
            self._is_inside = False
        out = results[0] if isinstance(results, tuple) else results
        row.calls += 1
        row.nbytes += _nbytes(out)
        # Dispatch raises for any other type.
        if isinstance(out, np.ndarray | np.generic):
            row.flops += count_flops(op, arrays, options, np.asarray(out))
        return results

    def on_gradient(self, node: Node, position: int, grad_out: Value, call: Callable[[], T]) -> T:
        """Run a VJP or a backward kernel and count it for its op.

        The FLOPs of a VJP are the sum over the ops it calls.
        """
        if self._is_inside or self._within:
            return call()
        made, within = self._timed_backward(node, call)
        grads: Any = [made] if position >= 0 else made
        row = self.row_for(node.op.name, node.scope)
        row.backward_nbytes += sum(map(_nbytes, grads))
        count = node.op.backward_flops
        if position >= 0 and within.calls:
            row.backward_flops += within.flops
        elif position < 0 and count is not None:
            wanted = tuple([grad is not None for grad in grads])
            values = values_of(node, node.saved or (), wanted)
            known = {**node.options, **dict(zip(node.plan.names, values, strict=True))}
            if node.op.variadic:
                known[node.op.variadic] = values[: len(wanted)]
            named = [known[name] for name in parameter_names(count)[1:]]
            row.backward_flops += count(grad_out, *named)
        else:
            new = [_array(grad) for grad in grads if grad is not grad_out]
            row.backward_flops += sum(getattr(grad, "size", 0) for grad in new)
        return made

    def _timed_backward(self, node: Node, call: Callable[[], T]) -> tuple[T, Row]:
        """Return the result of `call`, and the totals of the ops it calls."""
        row = self.row_for(node.op.name, node.scope)
        within = self._within = Row("", "")
        start = perf_counter()
        try:
            found = call()
        finally:
            row.backward_seconds += perf_counter() - start
            self._within = None
        row.backward_calls += 1
        return found, within

    def row_for(self, op: str, scope: Scope | None) -> Row:
        """Return the row of an op in the module of `scope`."""
        while isinstance(scope, BackwardScope):
            scope = scope.outer
        module = "" if scope is None else scope.path or scope.kind
        return self._rows.setdefault((op, module), Row(op, module))

    def table(self, by: str = "seconds") -> Table:
        """Return the rows as a table, which prints as text and shows as HTML in a notebook.

        Args:
            by: column to sort by, as in `rows`.

        Raises:
            ArgumentError: if `by` is not a column.
        """
        rows, total = self.rows(by), self.total()
        cells = [_cells(row, total) for row in (*rows, total)]
        spans = [("", 2), ("forward", 4), ("backward", 4), ("", 2)]
        return Table(_HEADING, cells[:-1], names=2, total=cells[-1], spans=spans)

    @safe
    def __repr__(self) -> str:
        return repr(self.table()) if self._rows else "profile: no ops recorded yet"

    @safe
    def _repr_html_(self) -> str:
        return self.table()._repr_html_() if self._rows else preformatted(repr(self))


_HEADING = ["op", "module", *["calls", "ms", "MB", "MFLOP"] * 2, "GFLOP/s", "share"]


def _cells(row: Row, total: Row) -> list[str]:
    """Return the text of each cell in a row."""
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


def _array(value: Any) -> Any:
    # Other types are returned unchanged; the caller of the gradient function raises for them.
    return value.data if isinstance(value, Variable) else value


def count_flops(op: Op, arrays: Values, options: Options, out: Array) -> int:
    """Return the FLOPs of one call of an op."""
    if not callable(op.flops):
        return int((not op.view if op.flops is None else op.flops) * out.size)
    given: Values = [None if value is None else np.asarray(value) for value in arrays]
    known = {**dict.fromkeys(op.optional), **options, "out": out}
    known |= dict(zip(op.inputs, [given] if op.variadic else given, strict=False))
    return int(op.flops(*[known[name] for name in parameter_names(op.flops)]))


def _nbytes(value: Any) -> int:
    return int(getattr(_array(value), "nbytes", 0))


def profile() -> Profile:
    """Profile every op and gradient on this thread, in a `with` block or a decorated function.

    `print` shows a table with one row per op and module, slowest first, and the total; so does a
    notebook. `table(by="flops")` sorts it by another column. The columns are:

    - calls: number of calls of forward functions, and of VJPs and backward kernels.
    - ms: time in these functions, without the overhead of the engine.
    - MB: size of their results.
    - MFLOP: floating-point operations, computed from shapes by the `flops` of each op. An
      arithmetic operation, a comparison, a selection or a function such as exp counts 1; a
      multiply-add counts 2; moving entries counts 0.
    - GFLOP/s and share: FLOPs per second, and share of the total time, forward and backward.

    The FLOPs of a VJP are the sum over the ops it calls. They are a lower bound, because `+ - * /`
    on arrays are not observed. A VJP that calls no ops, and a backward kernel without
    `backward_flops`, count 1 per element of the gradient.

    >>> from tinygrad_np import Tensor, profile
    >>> with profile() as table:
    ...     y = (Tensor.ones(3) * 2).exp()
    >>> sorted((row.op, row.flops) for row in table.rows())
    [('exp', 3), ('mul', 3)]
    """
    return Profile()
