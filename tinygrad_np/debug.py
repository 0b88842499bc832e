"""Debugging: find the op and the source line of the first nan, inf or failing gradient."""

import linecache
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar, cast

import numpy as np

from tinygrad_np.autograd.backward import BackwardScope
from tinygrad_np.autograd.op import Op
from tinygrad_np.autograd.tape import Node, Variable
from tinygrad_np.errors import NotFiniteError
from tinygrad_np.observer import Observer
from tinygrad_np.runtime.memory import Array
from tinygrad_np.runtime.state import thread
from tinygrad_np.typing import Options, Value, Values

T = TypeVar("T")

# `pathlib` would add 3 ms to the 34 ms that importing this package takes; no other core module
# needs it.
PACKAGE = __file__.rpartition(os.sep)[0] + os.sep


class Debug(Observer):
    """Observer that checks all results and gradients, and stores the source line of each node."""

    def __init__(self) -> None:
        self._lines: dict[int, str] = {}
        self._is_in_backward = False

    def on_forward(self, op: Op, arrays: Values, options: Options, call: Callable[[], T]) -> T:
        """Run a forward function; raise NotFiniteError for nan, or for inf if no input has inf."""
        with np.errstate(all="ignore"):  # the error below replaces NumPy's warnings
            results = call()
        if not self._is_in_backward:
            out = results[0] if isinstance(results, tuple) else results
            if fault := _fault(out, arrays):
                raise NotFiniteError(
                    f"debug: op {op.name!r} returned {fault}. Its inputs were "
                    f"{_describe_all(arrays)}. It was called at {_line()}{_module()}"
                )
        return results

    def on_record(self, node: Node, call: Callable[[], T]) -> T:
        """Store the source line that created a node."""
        self._lines[node.order] = _line() + _module()
        return call()

    def on_gradient(self, node: Node, position: int, grad_out: Value, call: Callable[[], T]) -> T:
        """Run a VJP or kernel; raise NotFiniteError for nan, or for inf if `grad_out` has none."""
        with self._in_backward():
            made: Any = call()
        if position >= 0:
            self._check_gradient("VJP", node, position, grad_out, made)
        else:
            for place, grad in enumerate(made):
                self._check_gradient("backward kernel", node, place, grad_out, grad)
        return cast(T, made)

    def on_error(self, node: Node, error: Exception, call: Callable[[], T]) -> T:
        """Add the source line of an op's call to an error raised by its gradient functions."""
        where = self._line_of(node)
        if where not in str(error):
            error.add_note(f"op {node.op.name!r} (output shape {node.shape}) was called at {where}")
        return call()

    @contextmanager
    def _in_backward(self) -> Iterator[None]:
        outer, self._is_in_backward = self._is_in_backward, True
        try:
            with np.errstate(all="ignore"):
                yield
        finally:
            self._is_in_backward = outer

    def _check_gradient(
        self, what: str, node: Node, position: int, grad_out: Value, grad: Value | None
    ) -> None:
        if grad is not None and (fault := _fault(grad, [grad_out])):
            name = node.op.input_name(position)
            raise NotFiniteError(
                f"debug: the {what} of op {node.op.name!r} for input {position} ({name}) returned "
                f"{fault}. The upstream gradient was {_describe_all([grad_out])}. The op was "
                f"called at {self._line_of(node)}"
            )

    def _line_of(self, node: Node) -> str:
        return self._lines.get(node.order, "a line outside debug()")


def debug() -> Debug:
    """Check every result and gradient for nan and inf, in a `with` block or a decorated function.

    The first nan or inf raises NotFiniteError with the op, the shapes and value ranges of its
    inputs, and the line of your code that called it. If a VJP raises an error, the line of the
    forward call is added to the error as a note. An inf computed from an inf is allowed, so masks
    of -inf work. The check reads every array once.

    >>> from tinygrad_np import Tensor, debug
    >>> with debug():
    ...     Tensor([4.0, 0.0]).sqrt()
    Tensor([2., 0.])
    """
    return Debug()


def _fault(value: Any, sources: Sequence[Any]) -> str:
    """Describe the nan or inf values in an array, or return ""; inf is fine if a source has inf."""
    values = _array(value)
    if values.dtype.kind != "f" or np.isfinite(values).all():
        return ""
    kind, found = "nan", np.isnan(values)
    if not found.any():
        if any(np.isinf(_array(s)).any() for s in sources if _array(s).dtype.kind == "f"):
            return ""
        kind, found = "inf", np.isinf(values)
    place = tuple(int(i) for i in np.argwhere(found)[0])
    return f"{kind} in {int(found.sum())} of {values.size} elements, the first at {place}"


def _array(value: Any) -> Array:
    return value.data if isinstance(value, Variable) else np.asarray(value)


def _describe_all(values: Sequence[Any]) -> str:
    return ", ".join(_describe(_array(value)) for value in values if value is not None)


def _describe(values: Array) -> str:
    text = f"{values.shape} {values.dtype}"
    if values.dtype.kind != "f" or not values.size:
        return text
    if np.isfinite(values).all():
        return f"{text} from {values.min():.6g} to {values.max():.6g}"
    return f"{text} containing {'nan' if np.isnan(values).any() else 'inf'}"


def _module() -> str:
    scope = thread.state.scope
    while isinstance(scope, BackwardScope):
        scope = scope.outer
    return f" (module {scope.path or scope.kind})" if scope is not None else ""


def _line() -> str:
    return "{}:{}, in {}: {}".format(*find_line())


def find_line() -> tuple[str, int, str, str]:
    """Return file, number, function and text of the innermost running line outside this package."""
    frame: Any = sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(PACKAGE):
        frame = frame.f_back
    name, number = frame.f_code.co_filename, frame.f_lineno
    text = linecache.getline(name, number, frame.f_globals).strip()
    return name, number, frame.f_code.co_name, text
