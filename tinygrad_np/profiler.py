"""profile(): time, calls and bytes of each op, forward and backward, by the module it is in."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any

from tinygrad_np.tape import Node, Observer, Scope, Variable, mode


@dataclass
class Row:
    """What one op took in one module: seconds, calls, bytes of results, forward and backward."""

    op: str
    module: str
    calls: int = 0
    seconds: float = 0.0
    nbytes: int = 0
    backward_calls: int = 0
    backward_seconds: float = 0.0
    backward_nbytes: int = 0


class Profile(Observer):
    """A table that fills while it is entered; `print` shows it, `rows()` returns it."""

    def __init__(self) -> None:
        self._rows: dict[tuple[str, str], Row] = {}
        self._is_inside = False

    def rows(self) -> list[Row]:
        """Return a row for each op and module, what took longest first."""
        return sorted(self._rows.values(), key=lambda row: -row.seconds - row.backward_seconds)

    def run(self, op: Any, arrays: Sequence[Any], attributes: Mapping[str, Any]) -> Any:
        """Run an op's forward, and count it unless it is part of another or of a VJP."""
        if self._is_inside:
            return super().run(op, arrays, attributes)
        row = self._row(op.name, mode.now.scope)
        self._is_inside = True
        start = perf_counter()
        try:
            results = super().run(op, arrays, attributes)
        finally:
            row.seconds += perf_counter() - start
            self._is_inside = False
        row.calls += 1
        row.nbytes += _nbytes(results[0] if isinstance(results, tuple) else results)
        return results

    def pull(self, node: Node, rule: Any, grad_out: Any, *arguments: Any) -> Any:
        """Call a VJP, and count it for its op."""
        row = self._row(node.op.name, node.scope)
        self._is_inside = True
        start = perf_counter()
        try:
            grad = super().pull(node, rule, grad_out, *arguments)
        finally:
            row.backward_seconds += perf_counter() - start
            self._is_inside = False
        row.backward_calls += 1
        row.backward_nbytes += _nbytes(grad)
        return grad

    def _row(self, op: str, scope: Scope | None) -> Row:
        module = "" if scope is None else scope.path or scope.kind
        return self._rows.setdefault((op, module), Row(op, module))

    def __str__(self) -> str:
        rows = self.rows()
        total = sum(row.seconds + row.backward_seconds for row in rows) or 1.0
        lines = [f"{'op':<22}{'module':<22}{'forward':^27}{'backward':^27}{'share':>7}"]
        half = f"{'calls':>7}{'ms':>10}{'MB':>10}"
        lines.append(f"{'':<44}{half}{half}")
        for row in rows:
            taken = (row.seconds + row.backward_seconds) / total
            lines.append(
                f"{row.op:<22}{row.module:<22}"
                f"{row.calls:>7}{1e3 * row.seconds:>10.3f}{row.nbytes / 1e6:>10.3f}"
                f"{row.backward_calls:>7}{1e3 * row.backward_seconds:>10.3f}"
                f"{row.backward_nbytes / 1e6:>10.3f}{taken:>7.1%}"
            )
        return "\n".join(lines)


def _nbytes(value: Any) -> int:
    # What is no array is refused by those who asked for it.
    array = value.data if isinstance(value, Variable) else value
    return int(getattr(array, "nbytes", 0))


def profile() -> Profile:
    """Time each op and each VJP; a context manager, per thread, whose `print` is a table.

    Times are of the forwards and VJPs themselves, without the tape's own; bytes are those of their
    results.

    >>> from tinygrad_np import Tensor, profile
    >>> with profile() as table:
    ...     y = (Tensor.ones(3) * 2).exp()
    >>> sorted(row.op for row in table.rows())
    ['exp', 'mul']
    """
    return Profile()
