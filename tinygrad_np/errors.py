"""The errors a user can meet: one base class, each kind also the built-in error one would catch."""

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
