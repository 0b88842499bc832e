"""Defer Ctrl-C until the current step has finished."""

import signal
import threading
from types import TracebackType
from typing import Any, Self


class Interrupts:
    """Context manager that defers the first Ctrl-C until `check`; the second raises at once.

    An interrupted optimizer step would leave some weights updated and others not. Outside the main
    thread, or if the program has its own SIGINT handler, the context manager does nothing.
    """

    def __init__(self) -> None:
        self.count = 0
        self._is_handling = False

    def __enter__(self) -> Self:
        if (
            threading.current_thread() is threading.main_thread()
            and signal.getsignal(signal.SIGINT) is signal.default_int_handler
        ):
            signal.signal(signal.SIGINT, self._handle)
            self._is_handling = True
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._is_handling:
            signal.signal(signal.SIGINT, signal.default_int_handler)
            self._is_handling = False
        self.count = 0

    def _handle(self, number: int, frame: Any) -> None:
        self.count += 1
        if self.count > 1:
            raise KeyboardInterrupt

    def check(self) -> None:
        """Raise KeyboardInterrupt if Ctrl-C was pressed."""
        if self.count:
            raise KeyboardInterrupt
