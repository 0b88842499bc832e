"""Command-line programs: printing that never fails, one-line errors, and the exit status."""

import io
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import TextIO

from tinygrad_np.errors import ArgumentError, DataError, TinygradNpError


def show(text: str, file: TextIO | None = None) -> None:
    """Print a line to `file`, by default standard output; ignore errors.

    A training run must not end because its progress cannot be printed: the pipe to `head` is
    closed, the terminal is gone, or the disk with the log is full.
    """
    with suppress(OSError, ValueError):
        print(text, file=file, flush=True)


def run_program(main: Callable[[], int | None]) -> int:
    """Run `main`, report its errors on one line each, and return the exit status.

    Returns:
        The result of `main` (0 if it is None); 1 after an error, 2 after an ArgumentError, 130
        after Ctrl-C, and 141 if standard output is a closed pipe, as after SIGPIPE.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        # File names may contain characters that the encoding lacks.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        try:
            return main() or 0
        finally:
            _flush()  # Python's own flush, at exit, would print a traceback
    except BrokenPipeError:
        _discard_output()
        return 141
    except TinygradNpError as error:
        show(f"error: {error}", sys.stderr)
        return 2 if isinstance(error, ArgumentError) else 1
    except OSError as error:
        show(f"error: {error}", sys.stderr)
        return 1
    except KeyboardInterrupt:
        show("\nInterrupted.", sys.stderr)
        return 130


def _flush() -> None:
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        _discard_output()
        raise DataError(f"standard output: cannot write to it ({error.strerror}).") from error


def _discard_output() -> None:
    """Send what is still buffered to the null device, so that the flush at exit succeeds."""
    with suppress(OSError):  # raised if standard output is not a file
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
