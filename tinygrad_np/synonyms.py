"""The one table of argument names that PyTorch, NumPy and tinygrad use for the same thing."""

import functools
import inspect
from collections.abc import Callable, Collection, Mapping
from typing import Any, TypeAlias, TypeVar, cast

F = TypeVar("F", bound=Callable[..., Any])
Names: TypeAlias = tuple[str, ...]

GROUPS = (
    ("axis", "dim", "dims", "axes", "order"),
    ("keepdim", "keepdims"),
    ("shape", "size", "sizes"),
    ("min_", "min", "a_min", "low"),
    ("max_", "max", "a_max", "high"),
    ("neg_slope", "negative_slope"),
    ("sorted_", "sorted"),
    ("correction", "unbiased", "ddof"),
    ("stop", "end"),
    ("x", "input", "a", "self"),
    ("other", "b", "w", "exponent"),
)
_SYNONYMS = {name: names for names in GROUPS for name in names}


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


def parameter_names(function: Callable[..., Any]) -> tuple[Names, Names, Names]:
    """Return the names of the positional and the keyword-only parameters, and of `*args`, if any.

    >>> parameter_names(lambda x, *sizes, dim=0, **options: x)
    (('x',), ('dim',), ('sizes',))
    """
    code = inspect.unwrap(function).__code__
    first, last = code.co_argcount, code.co_argcount + code.co_kwonlyargcount
    names = code.co_varnames
    is_variadic = bool(code.co_flags & inspect.CO_VARARGS)
    return names[:first], names[first:last], names[last : last + is_variadic]


def accept_synonyms(function: F) -> F:
    """Wrap a function so that its arguments may be passed by any of their names.

    `*sizes` may also be passed by name, as one tuple. An op accepts synonyms without this:
    `Primitive.bind` renames them.

    >>> scale = accept_synonyms(lambda x, axis: (x, axis))
    >>> scale(1, dim=2)
    (1, 2)
    """
    positional, keywords, variadic = parameter_names(function)
    known = (*positional, *keywords, *variadic)

    @functools.wraps(function)
    def call(*args: Any, **options: Any) -> Any:
        if options:
            options = rename(known, options)
            args = (*args, *[options.pop(name) for name in variadic if name in options])
        return function(*args, **options)

    return cast(F, call)
