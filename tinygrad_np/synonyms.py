"""The one table of argument names that PyTorch, NumPy and tinygrad use for the same thing."""

import functools
from collections.abc import Callable, Collection, Mapping
from typing import Any, TypeVar

R = TypeVar("R")

_GROUPS = (
    ("axis", "dim", "dims", "axes", "order"),
    ("keepdim", "keepdims"),
    ("shape", "size", "sizes"),
    ("min_", "min", "a_min", "low"),
    ("max_", "max", "a_max", "high"),
    ("neg_slope", "negative_slope"),
    ("sorted_", "sorted"),
    ("correction", "unbiased", "ddof"),
    ("stop", "end"),
    ("x", "input", "a"),
    ("other", "b", "exponent"),
)
_SYNONYMS = {name: names for names in _GROUPS for name in names}


def rename(known: Collection[str], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return `given` with each unknown name replaced by its synonym in `known`, if there is one.

    >>> rename(["x", "axis", "keepdim"], {"dim": 1, "keepdims": True})
    {'axis': 1, 'keepdim': True}
    """
    renamed = {}
    for name, value in given.items():
        if name not in known:
            others = [other for other in _SYNONYMS.get(name, ()) if other in known]
            name = next((other for other in others if other not in given), name)
        renamed[name] = value
    return renamed


def accept_synonyms(function: Callable[..., R]) -> Callable[..., R]:
    """Wrap a function so that its arguments may be passed by any of their names.

    An op accepts synonyms without this: `Primitive.bind` renames them.

    >>> scale = accept_synonyms(lambda x, axis: (x, axis))
    >>> scale(1, dim=2)
    (1, 2)
    """
    code = function.__code__
    known = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]

    @functools.wraps(function)
    def call(*args: Any, **options: Any) -> R:
        if options:
            options = rename(known, options)
        return function(*args, **options)

    return call
