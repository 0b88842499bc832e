"""Command-line arguments: a parser with one-line errors, and types that say what they expect."""

import argparse
import contextlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from tinygrad_np.errors import ArgumentError

if TYPE_CHECKING:
    from _typeshed import SupportsWrite


class Parser(argparse.ArgumentParser):
    """ArgumentParser that raises a one-line ArgumentError instead of printing its usage."""

    def error(self, message: str) -> NoReturn:
        """Raise the error; argparse's own messages, which end without a period, get a remedy."""
        text = message.removeprefix("argument ")
        raise ArgumentError(text if text.endswith(".") else f"{text}. Try `{self.prog} --help`.")

    def print_help(self, file: "SupportsWrite[str] | None" = None) -> None:
        """Print the help; unlike argparse's method, raise an error if that fails."""
        print(self.format_help(), end="", file=file)

    def _get_values(self, action: argparse.Action, arg_strings: list[str]) -> Any:
        if action.option_strings and action.nargs is None and arg_strings == ["--"]:
            # Before version 3.13, Python stores an empty list for --flag=--.
            raise argparse.ArgumentError(action, "expected one argument, got '--'.")
        return super()._get_values(action, arg_strings)

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is not None and value not in action.choices:
            names = ", ".join(map(str, action.choices))
            raise argparse.ArgumentError(action, f"expected one of {names}, got {quote(value)}.")


def natural(text: str) -> int:
    """Parse an integer >= 0."""
    return _integer(text, 0)


def positive(text: str) -> int:
    """Parse an integer >= 1."""
    return _integer(text, 1)


def port(text: str) -> int:
    """Parse a port number, or 0."""
    return _integer(text, 0, 2**16, "65535")


def _integer(text: str, least: int, end: int = 2**63, last: str = "2**63 - 1") -> int:
    with contextlib.suppress(ValueError):
        if least <= (value := int(text)) < end:
            return value
    raise argparse.ArgumentTypeError(
        f"expected an integer from {least} to {last}, got {quote(text)}."
    )


def number(text: str) -> float:
    """Parse a number."""
    with contextlib.suppress(ValueError):
        return float(text)
    raise argparse.ArgumentTypeError(f"expected a number such as 0.01, got {quote(text)}.")


def path(text: str) -> Path:
    """Parse a nonempty path.

    An empty one, for example from an unset shell variable, would mean the working directory.

    >>> path("runs/a").name
    'a'
    """
    if text and "\0" not in text:
        return Path(text)
    raise argparse.ArgumentTypeError(f"expected a path, got {quote(text)}.")


def json_object(text: str) -> dict[str, Any]:
    """Parse a JSON object given on the command line.

    >>> json_object('{"blocks": 2}')
    {'blocks': 2}
    """
    with contextlib.suppress(ValueError, RecursionError):
        found = json.loads(text)
        if isinstance(found, dict):
            return found
    raise argparse.ArgumentTypeError(
        f"expected a JSON object such as '{{\"blocks\": 2}}', got {quote(text)}."
    )


def quote(value: Any) -> str:
    """Return the repr of an argument, cut off if it is long."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:40]}... ({len(text)} characters)"
