"""The observer interface for ops and gradients, implemented by `debug()` and `profile()`."""

from collections.abc import Callable
from contextlib import ContextDecorator
from typing import Self, TypeVar

from tinygrad_np.autograd.op import Op
from tinygrad_np.autograd.tape import Node
from tinygrad_np.runtime.memory import Array
from tinygrad_np.runtime.state import thread, was_observed
from tinygrad_np.typing import Options, Value, Values

T = TypeVar("T")


class Observer(ContextDecorator):
    """Base class for observers of every op and gradient on the current thread.

    Use an observer as a context manager or a decorator. Subclasses override the methods they need;
    each method must call `call()` and return its result.
    """

    def __repr__(self) -> str:
        state = "active" if self in thread.state.observers else "not active"
        return f"<{type(self).__name__}, {state}>"

    def __enter__(self) -> Self:
        was_observed[0] = True
        thread.state.observers.append(self)
        return self

    def __exit__(self, *error: object) -> None:
        thread.state.observers.pop()

    def on_forward(self, op: Op, arrays: Values, options: Options, call: Callable[[], T]) -> T:
        """Observe a call of the forward function of an op."""
        return call()

    def on_copy(self, array: Array, copied: Array, call: Callable[[], T]) -> T:
        """Observe the copy of an index array that the options of an op will hold."""
        return call()

    def on_record(self, node: Node, call: Callable[[], T]) -> T:
        """Observe a new node of the graph."""
        return call()

    def on_gradient(self, node: Node, position: int, grad_out: Value, call: Callable[[], T]) -> T:
        """Observe the VJP of a node for the input at `position`, or its backward kernel.

        For a kernel, `position` is -1, and `call` returns one gradient or None per input. For a
        selection like x[:, t], `call` adds `grad_out` to the total gradient of x, and returns
        [grad_out].
        """
        return call()

    def on_error(self, node: Node, error: Exception, call: Callable[[], T]) -> T:
        """Observe an error raised while computing the gradients of a node."""
        return call()
