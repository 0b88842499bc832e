"""Exceptions: subclasses of one base class that also derive from the matching built-in error."""

from collections.abc import Mapping, Sequence

import numpy as np


class TinygradNpError(Exception):
    """Base class of all errors that tinygrad_np raises deliberately."""


class ShapeError(TinygradNpError, ValueError, RuntimeError):
    """Invalid shape or size: a ValueError, as in NumPy, and a RuntimeError, as in PyTorch."""


class ArgumentError(TinygradNpError, ValueError):
    """Argument value out of range, or unknown name."""


class DtypeError(TinygradNpError, TypeError):
    """Unsupported argument type or array dtype."""


class AxisError(TinygradNpError, IndexError):
    """Axis or index out of range."""


class KeyNotFoundError(TinygradNpError, KeyError):
    """Name that a container does not have."""

    __str__ = Exception.__str__  # KeyError would quote the message


class MatrixError(TinygradNpError, np.linalg.LinAlgError, RuntimeError):
    """Matrix that cannot be inverted or factored: NumPy's LinAlgError, PyTorch's RuntimeError."""


class GraphError(TinygradNpError, RuntimeError):
    """Invalid op definition, or a graph that was freed, changed in place or has no gradient."""


class NotFiniteError(TinygradNpError, ArithmeticError):
    """A nan or inf in an op or gradient under debug(), or in a Trainer's loss or gradient norm."""


class DataError(TinygradNpError, OSError):
    """File that is missing or damaged, or that cannot be downloaded, read or written."""


class DataNotFoundError(DataError):
    """Dataset that is not found in any search location and cannot be downloaded."""


class NoDigitError(DataError):
    """Picture that shows no digit, such as an empty page."""


class MissingGradientWarning(UserWarning):
    """Parameter that an optimizer skips because it has no gradient, while others have one."""


# Prefixes of NumPy's messages about shapes that do not broadcast. Its messages about index arrays
# begin differently, and `raise_translated` keeps their text.
_BROADCAST = (
    "operands could not be broadcast together",
    "shape mismatch: objects cannot be broadcast to a single shape",
)

# NumPy's errors and their replacements, narrower ones first.
_TRANSLATIONS: dict[type[Exception], type[TinygradNpError]] = {
    np.linalg.LinAlgError: MatrixError,
    IndexError: AxisError,
    ValueError: ShapeError,
    TypeError: DtypeError,
    OverflowError: DtypeError,
}


def raise_translated(
    error: Exception, who: str, arrays: Sequence[object], options: Mapping[str, object]
) -> None:
    """Raise a NumPy error as a TinygradNpError that names the op and its arguments.

    Return if the error is already a TinygradNpError or not one that NumPy raises; the caller should
    then re-raise it unchanged.
    """
    ours = next((ours for kind, ours in _TRANSLATIONS.items() if isinstance(error, kind)), None)
    if ours is None or isinstance(error, TinygradNpError):
        return
    got = [f"{a.shape} {a.dtype}" if isinstance(a, np.ndarray) else repr(a) for a in arrays]
    text = ", ".join([*got, *[f"{name}={value!r}" for name, value in options.items()]])
    reason = str(error).strip().removesuffix(".") or type(error).__name__
    if reason.startswith(_BROADCAST):
        # NumPy writes newaxis for the axes that an op such as matmul does not broadcast.
        what = "batch axes" if "newaxis" in reason else "shapes"
        rule = "aligned from the last axis, lengths equal or 1"
        raise ours(f"{who}: expected {what} that broadcast ({rule}), got {text}.") from error
    raise ours(f"{who}: {reason}. Got {text}.") from error
