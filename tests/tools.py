"""Helpers shared by many tests."""

import contextlib
import inspect

import numpy as np

from tinygrad_np import Tensor


def rng(seed=0):
    """Return a seeded NumPy generator."""
    return np.random.default_rng(seed)


def leaf(*values, dtype=None):
    """Return a Tensor that requires a gradient.

    The values are one array, list or number, or several numbers. The dtype defaults to that of the
    array, or else to float64.
    """
    value = values[0] if len(values) == 1 else values
    dtype = dtype or getattr(value, "dtype", np.float64)
    return Tensor(np.array(value, dtype), requires_grad=True)


def normal(*shape, seed=0):
    """Return an array of standard normal numbers."""
    return rng(seed).standard_normal(shape)


@contextlib.contextmanager
def naming(case):
    """Add the name of the current case to any error raised in the block."""
    try:
        yield
    except Exception as error:
        error.add_note(f"in the case {case}")
        raise


def each(names, cases, ids=repr):
    """Parametrize a test like `pytest.mark.parametrize`, but run all cases in one test.

    Use it for checks that take less time than pytest's overhead per test.
    """
    names = names.split(",") if isinstance(names, str) else names
    cases = list(cases)
    labels = list(map(ids, cases)) if callable(ids) else list(ids)

    def decorate(check):
        signature = inspect.signature(check)
        others = [p for name, p in signature.parameters.items() if name not in names]

        def test(**others):
            for case, label in zip(cases, labels, strict=True):
                values = [case] if len(names) == 1 else case
                with naming(label):
                    check(**dict(zip(names, values, strict=True)), **others)

        test.__signature__ = signature.replace(parameters=others)
        test.__doc__ = check.__doc__
        test.pytestmark = getattr(check, "pytestmark", [])
        return test

    return decorate
