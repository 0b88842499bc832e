"""debug(): the first nan or inf, or a VJP that fails, names its op and the line that ran it."""

import linecache
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tinygrad_np.autograd.tape import Node, Observer, Variable, mode
from tinygrad_np.errors import NotFiniteError
from tinygrad_np.runtime.memory import Array

_PACKAGE = f"{Path(__file__).parent}{os.sep}"


class Debug(Observer):
    """Looks at the result of each op and each VJP, and knows the line that recorded each node."""

    def __init__(self) -> None:
        self._lines: dict[int, str] = {}
        self._is_pulling = False

    def run(self, op: Any, arrays: Sequence[Any], attributes: Mapping[str, Any]) -> Any:
        """Run an op's forward; raise NotFiniteError where it is the first to give nan or inf."""
        with np.errstate(all="ignore"):  # what NumPy would warn of is raised below
            results = super().run(op, arrays, attributes)
        if not self._is_pulling:
            out = results[0] if isinstance(results, tuple) else results
            if fault := _fault(out, arrays):
                raise NotFiniteError(
                    f"debug: op {op.name!r} gave {fault}; it got {_all_described(arrays)}"
                    f"{_module()}; at {_line()}"
                )
        return results

    def recorded(self, node: Node) -> None:
        """Remember the line that recorded a node."""
        super().recorded(node)
        self._lines[node.order] = _line() + _module()

    def pull(self, node: Node, rule: Any, grad_out: Any, *arguments: Any) -> Any:
        """Call a VJP, and raise NotFiniteError where it is the first to give nan or inf."""
        outer, self._is_pulling = self._is_pulling, True
        try:
            with np.errstate(all="ignore"):
                grad = super().pull(node, rule, grad_out, *arguments)
        finally:
            self._is_pulling = outer
        if fault := _fault(grad, [grad_out]):
            name = node.op.input_name(rule.position)
            raise NotFiniteError(
                f"debug: the VJP of op {node.op.name!r} for input {rule.position} ({name}) gave "
                f"{fault}; the gradient of its output was {_all_described([grad_out])}; the op "
                f"was recorded at {self._line_of(node)}"
            )
        return grad

    def failed(self, node: Node, error: Exception) -> None:
        """Say of a VJP or definition that failed which line recorded its op."""
        super().failed(node, error)
        where = self._line_of(node)
        if where not in str(error):
            error.add_note(f"op {node.op.name!r} (output {node.shape}) was recorded at {where}")

    def _line_of(self, node: Node) -> str:
        return self._lines.get(node.order, "a line outside debug()")


def debug() -> Debug:
    """Check each op and each VJP for nan and inf; a context manager and a decorator, per thread.

    The first one is raised as NotFiniteError with the op, its shapes and the line of yours that ran
    it; a VJP that fails gets a note with the line of the forward pass. An inf that follows from an
    inf is let pass, so that masks of -inf can be used. Costs a look at every array.

    >>> from tinygrad_np import Tensor, debug
    >>> with debug():
    ...     Tensor([4.0, 0.0]).sqrt()
    Tensor([2., 0.])
    """
    return Debug()


def _fault(value: Any, sources: Sequence[Any]) -> str:
    """Return what is not finite in an array, and where, unless it is an inf handed down."""
    values = _array(value)
    if values.dtype.kind != "f" or np.isfinite(values).all():
        return ""
    kind, found = "nan", np.isnan(values)
    if not found.any():
        if any(np.isinf(_array(s)).any() for s in sources if _array(s).dtype.kind == "f"):
            return ""
        kind, found = "inf", np.isinf(values)
    place = tuple(int(i) for i in np.argwhere(found)[0])
    return f"{kind}, {int(found.sum())} of {values.size} entries, the first at {place}"


def _array(value: Any) -> Array:
    return value.data if isinstance(value, Variable) else np.asarray(value)


def _all_described(values: Sequence[Any]) -> str:
    return ", ".join(_described(_array(value)) for value in values if value is not None)


def _described(values: Array) -> str:
    text = f"{values.shape} {values.dtype}"
    if values.dtype.kind != "f" or not values.size:
        return text
    if np.isfinite(values).all():
        return f"{text} from {values.min():.6g} to {values.max():.6g}"
    return f"{text} with {'nan' if np.isnan(values).any() else 'inf'} in it"


def _module() -> str:
    scope = mode.now.scope
    return f" in module {scope.path or scope.kind}" if scope is not None else ""


def _line() -> str:
    """Return the innermost line of the call stack that is not this package's."""
    frame: Any = sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        frame = frame.f_back
    name, number = frame.f_code.co_filename, frame.f_lineno
    text = linecache.getline(name, number, frame.f_globals).strip()
    return f"{name}:{number}, in {frame.f_code.co_name}: {text}"
