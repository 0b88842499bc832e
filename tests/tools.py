"""Helpers that many tests share."""

import contextlib

import numpy as np

from tinygrad_np import Tensor


def rng(seed=0):
    """Return a generator."""
    return np.random.default_rng(seed)


def leaf(*values, dtype=None):
    """Return a Tensor that requires a gradient, of one array, list or number, or of several
    numbers; float64, or of the array's dtype."""
    value = values[0] if len(values) == 1 else values
    dtype = dtype or getattr(value, "dtype", np.float64)
    return Tensor(np.array(value, dtype), requires_grad=True)


def normal(*shape, seed=0):
    """Return standard normal numbers."""
    return rng(seed).standard_normal(shape)


@contextlib.contextmanager
def naming(case):
    """Name the case of a loop in the error that ends it."""
    try:
        yield
    except Exception as error:
        error.add_note(f"in the case {case}")
        raise
