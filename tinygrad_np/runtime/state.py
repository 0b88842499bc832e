"""What holds on each thread: recording mode, current module call, observers."""

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
    """Per-thread state: recording mode, current module call, observers."""

    recording: bool = True
    outer_modes: list[bool] = field(default_factory=list)
    scope: Scope | None = None
    observers: list[object] = field(default_factory=list)


class _Thread(threading.local):
    def __init__(self) -> None:
        # One object per thread: a thread-local lookup is slow, and an op needs three values.
        self.state = ThreadState()


thread = _Thread()
was_observed = [False]
"""Whether an observer was ever entered; until then, ops on arrays need not look for one."""


def run_observed(event: str, *args: Any, call: Callable[[], T]) -> T:
    """Run `call` inside method `event` of each `Observer`; the last one entered is outermost."""
    # An observer entered twice, say by a recursive function, is called once.
    for observer in dict.fromkeys(thread.state.observers):
        call = partial(getattr(observer, event), *args, call)
    return call()


class Recording(ContextDecorator):
    """Switch recording on or off for this thread; can be nested and reused."""

    def __init__(self, flag: bool) -> None:
        self.flag = flag

    def __enter__(self) -> None:
        state = thread.state
        state.outer_modes.append(state.recording)
        state.recording = self.flag

    def __exit__(self, *error: object) -> None:
        state = thread.state
        state.recording = state.outer_modes.pop()


def no_grad() -> Recording:
    """Disable recording in a `with` block or a decorated function, on this thread.

    >>> from tinygrad_np import Tensor, no_grad
    >>> x = Tensor([2.0], requires_grad=True)
    >>> with no_grad():
    ...     (x * x).requires_grad
    False
    """
    return Recording(False)


def enable_grad() -> Recording:
    """Enable recording again inside `no_grad()`; a context manager and a decorator, per thread.

    >>> from tinygrad_np import Tensor, enable_grad, no_grad
    >>> x = Tensor([2.0], requires_grad=True)
    >>> with no_grad(), enable_grad():
    ...     (x * x).requires_grad
    True
    """
    return Recording(True)
