"""Argument checks: predicates on numbers, and functions that raise on invalid values.

`check_...(who, ..., name=value)` raises an ArgumentError that names the caller, the argument and
what was expected; `check_dtype` and `check_unmasked` raise a DtypeError. Python's and NumPy's
numbers are accepted; a 0-d array is not a number.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from tinygrad_np.errors import ArgumentError, DtypeError

_PLAIN = frozenset({np.ndarray, float, int, bool, list, tuple})


def is_integer(value: Any) -> bool:
    """Return whether `value` is a Python or NumPy integer; a bool is not.

    >>> is_integer(np.int32(3)), is_integer(3.0), is_integer(True)
    (True, False, False)
    """
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def is_real(value: Any) -> bool:
    """Return whether `value` is a real Python or NumPy number, possibly inf or nan.

    As in `is_integer`, a bool is not a number.

    >>> is_real(2), is_real(np.float32(0.5)), is_real(True)
    (True, True, False)
    """
    return is_integer(value) or isinstance(value, float | np.floating)


def is_finite(value: Any) -> bool:
    """Return whether `value` is a real number in the range of float.

    >>> is_finite(0.5), is_finite(math.nan), is_finite(10**400)
    (True, False, False)
    """
    try:
        return is_real(value) and math.isfinite(value)
    except OverflowError:
        return False


def check_integer(who: str, least: int, /, **values: Any) -> None:
    """Raise ArgumentError for a value that is not an integer >= `least`.

    >>> check_integer("Linear", 1, in_features=0)
    Traceback (most recent call last):
    tinygrad_np.errors.ArgumentError: Linear: expected `in_features` to be an integer >= 1, got 0.
    """
    for name, value in values.items():
        if not is_integer(value) or value < least:
            raise ArgumentError(
                f"{who}: expected `{name}` to be an integer >= {least}, got {value!r}."
            )


def check_at_least(who: str, least: float, /, **values: Any) -> None:
    """Raise ArgumentError for a value that is not a finite number >= `least`.

    >>> check_at_least("SGD", 0, lr=-0.1)
    Traceback (most recent call last):
    tinygrad_np.errors.ArgumentError: SGD: expected `lr` to be a finite number >= 0, got -0.1.
    """
    for name, value in values.items():
        if not is_finite(value) or value < least:
            raise ArgumentError(
                f"{who}: expected `{name}` to be a finite number >= {least}, got {value!r}."
            )


def check_probability(who: str, /, **values: Any) -> None:
    """Raise ArgumentError for a value that is not a number from 0 to 1.

    >>> check_probability("Adadelta", rho=1.5)
    Traceback (most recent call last):
    tinygrad_np.errors.ArgumentError: Adadelta: expected `rho` to be a number from 0 to 1, got 1.5.
    """
    for name, value in values.items():
        if not is_real(value) or not 0 <= value <= 1:
            raise ArgumentError(
                f"{who}: expected `{name}` to be a number from 0 to 1, got {value!r}."
            )


def check_dtype(name: str, dtype: DTypeLike) -> np.dtype[Any]:
    """Return `dtype` as a NumPy dtype; raise DtypeError unless it is a float, int or bool dtype."""
    try:
        known = np.dtype(dtype)
    except TypeError as error:
        raise DtypeError(f"{name}: expected a dtype, got {dtype!r} ({error}).") from error
    if known.kind not in "biuf":
        raise DtypeError(f"{name}: expected a float, int or bool dtype, got {known}.")
    return known


def check_unmasked(who: str, value: Any) -> None:
    """Raise DtypeError for a masked array, or a list of them: NumPy would drop the masks.

    >>> check_unmasked("Tensor", np.ma.masked_array([1, 2], mask=[False, True]))
    Traceback (most recent call last):
    tinygrad_np.errors.DtypeError: Tensor: expected an array without a mask, got a masked array of
    shape (2,). Fill the masked entries with .filled(value), or drop them with .compressed().
    """
    for part in value if isinstance(value, list | tuple) else (value,):
        if part is not value and isinstance(part, list | tuple):
            check_unmasked(who, part)
        # The first test is fast, and avoids importing numpy.ma, which NumPy loads lazily.
        elif type(part) not in _PLAIN and isinstance(part, np.ma.MaskedArray):
            raise DtypeError(
                f"{who}: expected an array without a mask, got a masked array of shape "
                f"{part.shape}. Fill the masked entries with .filled(value), or drop them with "
                ".compressed()."
            )


def kind_of(value: Any) -> str:
    """Return the full name of a value's type, for messages; built-in types have no prefix.

    >>> kind_of([1, 2]), kind_of(np.ones(2))
    ('list', 'numpy.ndarray')
    """
    return f"{type(value).__module__}.{type(value).__qualname__}".removeprefix("builtins.")
