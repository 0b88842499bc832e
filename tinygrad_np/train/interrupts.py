"""Ctrl-C that waits until nothing is half done."""

import signal
import threading
from types import TracebackType
from typing import Any, Self


class Interrupts:
    """Within it the first Ctrl-C is counted, for `check` to raise; the second is raised at once.

    A step of the optimizer that is cut short leaves some weights old and some new. Nothing changes
    outside the main thread, nor where the program handles Ctrl-C by itself.
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
        """Raise KeyboardInterrupt if there was a Ctrl-C."""
        if self.count:
            raise KeyboardInterrupt
