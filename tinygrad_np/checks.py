"""Checks of arguments: predicates on numbers, and functions that refuse unusable values.

`check_...(who, ..., name=value)` raises an ArgumentError that names the caller, the argument and
what was expected. A whole number may be Python's or NumPy's; a 0-d array is not a number.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from tinygrad_np.errors import ArgumentError, DtypeError


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
