"""Ctrl-C while `python -m tinygrad_np` starts and ends: status 130 instead of a traceback.

Python imports the package before it runs `__main__.py`, and these imports take most of a second.
The package therefore imports this module first. It changes nothing if the package is imported in
any other way.
"""

import os
import signal
import sys
from collections.abc import Callable


def exit_now(number: int, frame: object) -> None:
    """Handle SIGINT: end the process with 130, the usual exit status after Ctrl-C."""
    os._exit(130)


def run_interruptibly(main: Callable[[], int]) -> int:
    """Return the result of `main`, during which Ctrl-C raises KeyboardInterrupt as usual."""
    if signal.getsignal(signal.SIGINT) is not exit_now:
        return main()
    sys.unraisablehook = _exit_if_interrupted
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        return main()
    except KeyboardInterrupt:  # the second Ctrl-C, while `main` was handling the first
        return 130
    finally:
        # Ignored while Python shuts down: the command is complete, and its status is known.
        signal.signal(signal.SIGINT, signal.SIG_IGN)


def _exit_if_interrupted(ignored: "sys.UnraisableHookArgs") -> None:
    """End the process; Python would drop a KeyboardInterrupt raised in a weakref's callback."""
    if ignored.exc_type is KeyboardInterrupt:
        os._exit(130)
    sys.__unraisablehook__(ignored)


def _is_command() -> bool:
    # sys.argv[0] is "-m" until Python has located the module that -m names.
    names = ("tinygrad_np", "-mtinygrad_np")
    return sys.argv[:1] == ["-m"] and sys.orig_argv[-len(sys.argv)] in names


if _is_command() and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, exit_now)
