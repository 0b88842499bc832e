"""The errors a user can meet: one base class, each kind also the built-in error one would catch."""

from collections.abc import Mapping, Sequence

import numpy as np


class TinygradNpError(Exception):
    """Base class of every error that tinygrad_np raises on purpose."""


class ShapeError(TinygradNpError, ValueError, RuntimeError):
    """A shape or size does not fit: a ValueError as in NumPy, a RuntimeError as in PyTorch."""


class ArgumentError(TinygradNpError, ValueError):
    """A value is outside what is allowed, or a name is not one of the known ones."""


class DtypeError(TinygradNpError, TypeError):
    """An argument is of a kind, or an array of a dtype, that cannot be used here."""


class AxisError(TinygradNpError, IndexError):
    """An axis or an index lies outside the array."""


class MatrixError(TinygradNpError, np.linalg.LinAlgError, RuntimeError):
    """A matrix cannot be inverted or factored: NumPy's LinAlgError, PyTorch's RuntimeError."""


class GraphError(TinygradNpError, RuntimeError):
    """The graph cannot do what was asked: freed, changed in place, or without a gradient."""


class NotFiniteError(TinygradNpError, ArithmeticError):
    """A result is nan or inf: of an op or a VJP within debug(), or the loss of a Trainer."""


class DataError(TinygradNpError, OSError):
    """A file of data or weights is missing, damaged or cannot be fetched or written."""


class DataNotFoundError(DataError):
    """A data set is in none of the places where it is looked for, nor can it be downloaded."""


# NumPy's errors and ours, the narrower ones first.
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
    """Raise NumPy's error as one of ours that names the op and its arguments.

    Return if the error is not NumPy's, or is ours already: it should be raised as it is.
    """
    ours = next((ours for kind, ours in _TRANSLATIONS.items() if isinstance(error, kind)), None)
    if ours is None or isinstance(error, TinygradNpError):
        return
    got = [f"{a.shape} {a.dtype}" if isinstance(a, np.ndarray) else repr(a) for a in arrays]
    text = ", ".join([*got, *[f"{name}={value!r}" for name, value in options.items()]])
    text = f"{who}: got {text}; {error}"
    if "broadcast" in text:
        text = f"{text.rstrip()}; from the last axis on, lengths must be equal or 1"
    raise ours(text) from error
