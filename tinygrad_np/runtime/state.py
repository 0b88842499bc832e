"""Per-thread state and the context managers that switch gradient recording on and off."""

import threading
from collections.abc import Callable
from contextlib import ContextDecorator
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

from tinygrad_np.typing import Scope

T = TypeVar("T")


@dataclass(slots=True)
class ThreadState:
    """State of one thread: recording mode, module call, observers, journal, generator."""

    recording: bool = True
    outer_modes: list[bool] = field(default_factory=list)
    scope: Scope | None = None
    observers: list[object] = field(default_factory=list)
    journal: Any = None
    """The innermost `tinygrad_np.journal.Journal` entered, if any."""
    generator: Any = None
    """The default generator inside `tinygrad_np.random.own_default`; None for the shared one."""


class _Thread(threading.local):
    def __init__(self) -> None:
        # One object holds all values: a thread-local lookup is slow, and an op needs three values.
        self.state = ThreadState()


thread = _Thread()
was_observed = [False]
"""Whether any observer was ever entered; until then, ops on arrays skip the search for one."""


def run_observed(event: str, *args: Any, call: Callable[[], T]) -> T:
    """Run `call` inside the method `event` of each observer; the last one entered is outermost."""
    # An observer entered twice, for example by a recursive function, is called once.
    for observer in dict.fromkeys(thread.state.observers):
        call = partial(getattr(observer, event), *args, call)
    return call()


class Recording(ContextDecorator):
    """Context manager and decorator that switches recording on this thread; nestable, reusable."""

    def __init__(self, flag: bool) -> None:
        self.flag = flag

    def __repr__(self) -> str:
        return "enable_grad()" if self.flag else "no_grad()"

    def __enter__(self) -> None:
        state = thread.state
        state.outer_modes.append(state.recording)
        state.recording = self.flag

    def __exit__(self, *error: object) -> None:
        state = thread.state
        state.recording = state.outer_modes.pop()


def no_grad() -> Recording:
    """Disable gradient recording on this thread, in a `with` block or a decorated function.

    >>> from tinygrad_np import Tensor, no_grad
    >>> x = Tensor([2.0], requires_grad=True)
    >>> with no_grad():
    ...     (x * x).requires_grad
    False
    """
    return Recording(False)


def enable_grad() -> Recording:
    """Enable gradient recording on this thread inside `no_grad()`.

    Works as a context manager and as a decorator.

    >>> from tinygrad_np import Tensor, enable_grad, no_grad
    >>> x = Tensor([2.0], requires_grad=True)
    >>> with no_grad(), enable_grad():
    ...     (x * x).requires_grad
    True
    """
    return Recording(True)
