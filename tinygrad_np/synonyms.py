"""The one table of argument names that PyTorch, NumPy and tinygrad use for the same thing."""

import functools
import inspect
from collections.abc import Callable, Collection, Mapping
from typing import Any, TypeAlias, TypeVar, cast

F = TypeVar("F", bound=Callable[..., Any])
Names: TypeAlias = tuple[str, ...]

# The other names of each parameter. A name is listed only if it means the same for every function
# with that parameter: `norm(order=1)` must not be read as `norm(axis=1)`.
SYNONYMS = {
    "axis": ("dim", "dims"),
    "dim": ("axis", "dims"),
    "dims": ("axis", "dim"),
    "order": ("dims", "axes"),
    "reps": ("dims",),
    "keepdim": ("keepdims",),
    "sizes": ("split_size_or_sections",),
    "shape": ("size",),
    "min_": ("min", "a_min"),
    "max_": ("max", "a_max"),
    "neg_slope": ("negative_slope",),
    "negative_slope": ("neg_slope",),
    "sorted_": ("sorted",),
    "correction": ("unbiased", "ddof"),
    "stop": ("end",),
    "x": ("input", "a"),
    "a": ("input", "x"),
    "input": ("x", "a"),
    "self": ("input",),  # of a method that is also a function
    "b": ("other",),
    "other": ("b",),
    "w": ("other",),
}
_PARAMETERS = {
    name: [parameter for parameter, names in SYNONYMS.items() if name in names]
    for name in {name for names in SYNONYMS.values() for name in names}
}


def rename(known: Collection[str], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return `given` with each synonym replaced by the one parameter in `known` that it may mean.

    A name stays, for the caller to refuse, if that parameter was also passed by another name.

    >>> rename(["x", "axis", "keepdim"], {"dim": 1, "keepdims": True})
    {'axis': 1, 'keepdim': True}
    >>> rename(["x", "axis"], {"dim": 1, "dims": 2})
    {'axis': 1, 'dims': 2}
    """
    renamed: dict[str, Any] = {}
    for name, value in given.items():
        if name not in known:
            meant = [parameter for parameter in _PARAMETERS.get(name, ()) if parameter in known]
            if len(meant) == 1 and meant[0] not in {*given, *renamed}:
                name = meant[0]
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
