"""Checks of arguments: predicates on numbers, and functions that refuse unusable values.

`check_...(who, ..., name=value)` raises an ArgumentError that names the caller, the argument and
what was expected. A whole number may be Python's or NumPy's; a 0-d array is not a number.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from tinygrad_np.errors import ArgumentError, DtypeError, GraphError


def is_integer(value: Any) -> bool:
    """Return whether a value is an integer of Python or NumPy; a bool is not.

    >>> is_integer(np.int32(3)), is_integer(3.0), is_integer(True)
    (True, False, False)
    """
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def is_real(value: Any) -> bool:
    """Return whether a value is a real number of Python or NumPy, possibly inf or nan.

    >>> is_real(2), is_real(np.float32(0.5)), is_real("2")
    (True, True, False)
    """
    return isinstance(value, int | float | np.integer | np.floating)


def check_integer(who: str, least: int, /, **values: Any) -> None:
    """Refuse values that are not integers of at least `least`.

    >>> check_integer("Linear", 1, in_features=0)
    Traceback (most recent call last):
    tinygrad_np.errors.ArgumentError: Linear in_features: got 0, expected an integer of at least 1
    """
    for name, value in values.items():
        if not is_integer(value) or value < least:
            raise ArgumentError(
                f"{who} {name}: got {value!r}, expected an integer of at least {least}"
            )


def check_at_least(who: str, least: float, /, **values: Any) -> None:
    """Refuse values that are not finite numbers of at least `least`.

    >>> check_at_least("SGD", 0, lr=-0.1)
    Traceback (most recent call last):
    tinygrad_np.errors.ArgumentError: SGD lr: got -0.1, expected a finite number of at least 0
    """
    for name, value in values.items():
        if not is_real(value) or not least <= value < math.inf:
            raise ArgumentError(
                f"{who} {name}: got {value!r}, expected a finite number of at least {least}"
            )


def check_probability(who: str, /, **values: Any) -> None:
    """Refuse values that are not numbers from 0 to 1.

    >>> check_probability("Adadelta", rho=1.5)
    Traceback (most recent call last):
    tinygrad_np.errors.ArgumentError: Adadelta rho: got 1.5, expected a number from 0 to 1
    """
    for name, value in values.items():
        if not is_real(value) or not 0 <= value <= 1:
            raise ArgumentError(f"{who} {name}: got {value!r}, expected a number from 0 to 1")


def check_dtype(name: str, dtype: DTypeLike) -> np.dtype[Any]:
    """Return `dtype` as a NumPy dtype; refuse what is neither floats, integers nor bools."""
    try:
        known = np.dtype(dtype)
    except TypeError as error:
        raise DtypeError(f"{name}: expected a dtype, got {dtype!r}; {error}") from error
    if known.kind not in "biuf":
        raise DtypeError(f"{name}: expected a dtype of floats, integers or bools, got {known}")
    return known


# What the functions of a user's op return.


def check_array(who: str, out: Any) -> NDArray[Any]:
    """Return the output of a forward as an array: NumPy returns scalars where no axis is left."""
    if isinstance(out, np.ndarray | np.generic):
        return np.asarray(out)
    raise GraphError(f"{who}: expected an array from the forward, got a {type(out).__name__}")


def check_results(who: str, results: Any, names: Sequence[str]) -> tuple[Any, ...]:
    """Return what a forward with several results returned, if it is a tuple of that length."""
    if isinstance(results, tuple) and len(results) == len(names):
        return results
    got = f"{type(results).__name__} of {len(results)}" if isinstance(results, tuple) else ""
    raise GraphError(
        f"{who}: expected the forward to return the tuple ({', '.join(names)}), got a "
        f"{got or type(results).__name__}"
    )


def check_not_shared(who: str, made: Sequence[Any], others: Sequence[Any]) -> None:
    """Refuse results of a forward that share memory with its inputs."""
    others = [other for other in others if isinstance(other, np.ndarray)]
    for array in made:
        if isinstance(array, np.ndarray) and any(np.may_share_memory(array, o) for o in others):
            raise GraphError(
                f"{who}: the forward returned memory of an input. Return a copy, or say view=True "
                "if the output is a view of the first input."
            )


def check_new_memory(who: str, grads: Sequence[NDArray[Any]], others: Sequence[Any]) -> None:
    """Refuse gradients from a backward kernel into which no sum of gradients could be written."""
    held = [other for other in others if isinstance(other, np.ndarray)]
    for grad in grads:
        if not grad.flags.writeable or any(np.may_share_memory(grad, other) for other in held):
            raise GraphError(
                f"{who}.backward: a result is read-only or shares memory with grad_out, a saved "
                "array or another result. Return a copy."
            )
        held.append(grad)
