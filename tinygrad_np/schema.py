"""Schemas of state dicts: check every value of a nested structure before any of it is used.

A schema has the structure of the values that it accepts: a dict has exactly these keys, a list
exactly these entries, an array this shape and dtype, and a `Leaf` describes one value.

>>> check("Owner", {"step": -1}, {"step": COUNT})
Traceback (most recent call last):
tinygrad_np.errors.ArgumentError: Owner: expected `step` to be an integer >= 0, got -1.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tinygrad_np.checks import is_finite, is_integer, is_real
from tinygrad_np.errors import ArgumentError, ShapeError


@dataclass(frozen=True)
class Leaf:
    """One value that passes `test`; `words` complete the sentence "expected it to be ..."."""

    words: str
    test: Callable[[Any], bool]


@dataclass(frozen=True)
class OrNone:
    """None, or a value of a schema."""

    schema: Any


@dataclass(frozen=True)
class ListOf:
    """A list of any length whose entries all have one schema."""

    schema: Any


@dataclass(frozen=True)
class DictOf:
    """A dict with string keys, among them all of `needed`; `known` keys have their own schemas."""

    schema: Any
    known: Mapping[str, Any] = field(default_factory=dict)
    needed: tuple[str, ...] = ()


def integer(most: int) -> Leaf:
    """Return the schema of the integers from 0 to `most`."""
    return Leaf(f"an integer from 0 to {most}", lambda x: is_integer(x) and 0 <= x <= most)


def equal_to(expected: str) -> Leaf:
    """Return the schema of one string."""
    return Leaf(repr(expected), lambda x: isinstance(x, str) and x == expected)


COUNT = Leaf("an integer >= 0", integer(2**63 - 1).test)
RATE = Leaf("a finite number >= 0", lambda x: is_finite(x) and x >= 0)
REAL = Leaf("a number", lambda x: is_finite(x) or isinstance(x, float | np.floating))
NUMBER = Leaf("a number other than nan", lambda x: REAL.test(x) and not math.isnan(x))
TEXT = Leaf("a string", lambda value: isinstance(value, str))
FLAG = Leaf("a bool", lambda value: isinstance(value, bool | np.bool_))
ARRAY = Leaf("an array", lambda value: isinstance(value, np.ndarray))
NO_ARRAY = Leaf("a plain value", lambda value: not isinstance(value, np.ndarray))
ANYTHING = Leaf("a value", lambda value: True)


def like(value: Any) -> Any:
    """Return the schema of values of the same kind; None accepts any value.

    >>> check("Owner", [1, 2, 3], like([0.5]))
    """
    if isinstance(value, bool | np.bool_):
        return FLAG
    if is_real(value):
        return NUMBER
    if isinstance(value, str):
        return TEXT
    if isinstance(value, np.ndarray):
        return value
    if isinstance(value, Mapping):
        return {key: like(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return ListOf(like(value[0]) if value else ANYTHING)
    return ANYTHING


def check(who: str, value: Any, schema: Any, path: str = "") -> None:
    """Check a value against a schema.

    Args:
        who: the function or class to name in the error message.
        value: nested dicts, lists, arrays, numbers, strings and None.
        schema: nested dicts, lists, arrays (only their shape and dtype matter), `Leaf`, `OrNone`,
            `ListOf` and `DictOf`.
        path: path of the value for the error message, such as "optimizer.state[0]".

    Raises:
        ArgumentError: if a value does not match its schema; the message names its path.
        ShapeError: if an array has the wrong shape.
    """
    match schema:
        case Leaf():
            _expect(schema.test(value), who, path, schema.words, value)
        case OrNone():
            if value is not None:
                check(who, value, schema.schema, path)
        case np.ndarray():
            _check_array(who, value, schema, path)
        case ListOf():
            _expect(isinstance(value, list | tuple), who, path, "a list", value)
            for position, inner in enumerate(value):
                check(who, inner, schema.schema, f"{path}[{position}]")
        case list():
            is_long = isinstance(value, list | tuple) and len(value) == len(schema)
            _expect(is_long, who, path, f"a list with {len(schema)} entries", value)
            for position, (inner, own) in enumerate(zip(value, schema, strict=True)):
                check(who, inner, own, f"{path}[{position}]")
        case DictOf():
            is_dict = isinstance(value, Mapping) and all(isinstance(key, str) for key in value)
            _expect(is_dict, who, path, "a dict with string keys", value)
            missing = [key for key in schema.needed if key not in value]
            _expect(not missing, who, path, f"a dict with the keys {[*schema.needed]}", value)
            for key, inner in value.items():
                check(who, inner, schema.known.get(key, schema.schema), _join(path, key))
        case _:
            has_keys = isinstance(value, Mapping) and set(value) == set(schema)
            _expect(has_keys, who, path, f"a dict with the keys {sorted(schema)}", value)
            for key, own in schema.items():
                check(who, value[key], own, _join(path, key))


def _check_array(who: str, value: Any, like: Any, path: str) -> None:
    words = f"an array of shape {like.shape} and dtype {like.dtype}"
    if isinstance(value, np.ndarray) and value.shape != like.shape:
        raise ShapeError(f"{who}: expected `{path}` to be {words}, got {_describe(value)}.")
    _expect(isinstance(value, np.ndarray) and value.dtype == like.dtype, who, path, words, value)


def _expect(is_valid: bool, who: str, path: str, words: str, value: Any) -> None:
    if not is_valid:
        what = f"`{path}`" if path else "the state"
        raise ArgumentError(f"{who}: expected {what} to be {words}, got {_describe(value)}.")


def _describe(value: Any) -> str:
    """Describe a value in a few words; its `repr` may be megabytes long."""
    if isinstance(value, np.ndarray):
        return f"an array of shape {value.shape} and dtype {value.dtype}"
    if isinstance(value, Mapping):
        return f"a dict with the keys {[*value][:8]}"
    if isinstance(value, list | tuple):
        return f"a list with {len(value)} entries"
    if is_integer(value) and abs(value) >= 2**63:
        return f"an integer of {int(value).bit_length()} bits"
    if isinstance(value, str | int | float | np.generic | None):
        text = repr(value)
        return text if len(text) <= 60 else f"{text[:60]}..."
    return type(value).__name__


def _join(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key
