"""Promotion of dtypes."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygrad_np.runtime.memory import Array

RANKS = {"b": 0, "i": 1, "u": 1, "f": 2}
"""Order of the kinds of dtypes: bool < int < float."""


def common_dtype(values: Sequence[Any], floating: bool = False) -> np.dtype[Any] | None:
    """Return the dtype to which arrays and numbers are promoted; None if there are no arrays.

    Kinds are ordered bool < int < float; the highest kind determines the result. A Python number or
    a 0-d array can raise the kind of the other operands, but not their width within a kind. With
    `floating`, integers and bools become float32.
    """
    arrays = [value for value in values if isinstance(value, np.ndarray)]
    if not arrays:
        return None
    highest = max(RANKS[array.dtype.kind] for array in arrays)
    of_kind = [array for array in arrays if RANKS[array.dtype.kind] == highest]
    common = np.result_type(*[a.dtype for a in [a for a in of_kind if a.ndim] or of_kind])
    is_float = highest < 2 and any(type(value) is float for value in values)
    if is_float or (floating and common.kind != "f"):
        return np.dtype(np.float32)
    if highest < 1 and any(type(value) is int for value in values):
        return np.dtype(np.int64)
    return common


def widen(x: Array) -> Any:
    """Return float16 as float32, and other arrays unchanged."""
    return x.astype(np.float32) if x.dtype == np.float16 else x
