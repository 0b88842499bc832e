"""The interface for watching ops and gradients run, which `debug()` and `profile()` implement."""

from collections.abc import Callable
from contextlib import ContextDecorator
from typing import Self, TypeVar

from tinygrad_np.autograd.op import Op
from tinygrad_np.autograd.tape import Node
from tinygrad_np.runtime.state import thread, was_observed
from tinygrad_np.typing import Options, Value, Values

T = TypeVar("T")


class Observer(ContextDecorator):
    """Watch every op and gradient that runs on the thread that entered it.

    A subclass overrides the methods it needs. Each returns what `call` returns.
    """

    def __enter__(self) -> Self:
        was_observed[0] = True
        thread.state.observers.append(self)
        return self

    def __exit__(self, *error: object) -> None:
        thread.state.observers.pop()

    def on_forward(self, op: Op, arrays: Values, options: Options, call: Callable[[], T]) -> T:
        """Run the forward of an op."""
        return call()

    def on_record(self, node: Node, call: Callable[[], T]) -> T:
        """See a new node."""
        return call()

    def on_gradient(self, node: Node, position: int, grad_out: Value, call: Callable[[], T]) -> T:
        """Run the VJP of a node for the input at `position`, or its backward kernel.

        The kernel has the position -1 and returns one gradient or None per input.
        """
        return call()

    def on_error(self, node: Node, error: Exception, call: Callable[[], T]) -> T:
        """See an error raised while the gradients of a node were computed."""
        return call()
