"""A pytest plugin that stands in for another machine: `python -m pytest -p tests.nudged_math`.

Math libraries and BLAS kernels may differ in the last bit of a result. This replaces NumPy's
transcendental functions, matrix products and factorizations with ones that are off by one unit in
the last place, except where every library is exact.
"""

import os

import numpy as np
import pytest

SEED = int(os.environ.get("NUDGE_SEED", "0"))

FUNCTIONS = (
    *("exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "logaddexp"),
    *("sin", "cos", "tan", "arcsin", "arccos", "arctan"),
    *("sinh", "cosh", "tanh", "arcsinh", "arccosh", "arctanh"),
)
PRODUCTS = ("matmul", "dot", "einsum", "tensordot")
FACTORIZATIONS = ("cholesky", "det", "inv", "qr", "slogdet", "solve", "svd", "norm")


def nudge(result, exact):
    """Return `result` with each entry that is not `exact` moved by one unit in the last place."""
    if getattr(result, "dtype", np.dtype(int)).kind != "f":
        return result
    # A fresh generator: equal calls give equal results, as on any one machine.
    ulps = np.random.default_rng(SEED).integers(-2, 3, np.shape(result))
    ulps *= ~(exact | (result == 0) | ~np.isfinite(result))
    moved = result + ulps * np.spacing(np.where(ulps, result, 1))
    if not isinstance(result, np.ndarray):
        return result.dtype.type(moved)
    result[...] = moved
    return result


class Function:
    """A ufunc, nudged except at 0 and 1, where libraries are exact."""

    def __init__(self, ufunc):
        self._ufunc = ufunc

    def __getattr__(self, name):
        return getattr(self._ufunc, name)

    def __call__(self, *args, **kwargs):
        """Return what the ufunc returns, nudged."""
        inputs = [np.array(arg) for arg in args[: self._ufunc.nin]]
        result = self._ufunc(*args, **kwargs)
        exact = np.all([(x == 0) | (x == 1) for x in np.broadcast_arrays(*inputs)], axis=0)
        return nudge(result, exact)


def product(function):
    """Return a matrix product, nudged unless a multiple of 1/16, which no order of sums changes."""

    def nudged(*args, **kwargs):
        result = function(*args, **kwargs)
        return nudge(result, np.asarray(result) * 16 % 1 == 0)

    return nudged


def factorization(function):
    """Return a function of numpy.linalg with everything it returns nudged."""

    def nudged(*args, **kwargs):
        found = function(*args, **kwargs)
        if not isinstance(found, tuple):
            return nudge(np.array(found)[()], False)
        parts = [nudge(np.array(part)[()], False) for part in found]
        return type(found)(*parts) if hasattr(found, "_fields") else tuple(parts)

    return nudged


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests():
    """Replace NumPy's functions before anything imports the package."""
    for name in FUNCTIONS:
        setattr(np, name, Function(getattr(np, name)))
    for name in PRODUCTS:
        setattr(np, name, product(getattr(np, name)))
    for name in FACTORIZATIONS:
        setattr(np.linalg, name, factorization(getattr(np.linalg, name)))
