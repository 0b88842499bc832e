"""A pytest plugin that simulates another math library: `python -m pytest -p tests.nudged_math`.

Math libraries and BLAS kernels may differ in the last bit of a result. The plugin perturbs NumPy's
transcendental functions, matrix products and factorizations by up to two units in the last place,
except where every library is exact.
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
    """Move each entry of `result` that is not `exact` by up to two units in the last place."""
    if getattr(result, "dtype", np.dtype(int)).kind != "f":
        return result
    # A new generator per call, so that equal calls give equal results, as on a real machine.
    ulps = np.random.default_rng(SEED).integers(-2, 3, np.shape(result))
    ulps *= ~(exact | (result == 0) | ~np.isfinite(result))
    moved = result + ulps * np.spacing(np.where(ulps, result, 1))
    if not isinstance(result, np.ndarray):
        return result.dtype.type(moved)
    result[...] = moved
    return result


class Function:
    """A ufunc with perturbed results, except at 0 and 1, where libraries are exact."""

    def __init__(self, ufunc):
        self._ufunc = ufunc

    def __getattr__(self, name):
        return getattr(self._ufunc, name)

    def __call__(self, *args, **kwargs):
        """Call the ufunc and perturb its result."""
        inputs = [np.array(arg) for arg in args[: self._ufunc.nin]]
        result = self._ufunc(*args, **kwargs)
        exact = np.all([(x == 0) | (x == 1) for x in np.broadcast_arrays(*inputs)], axis=0)
        return nudge(result, exact)


def product(function):
    """Return a matrix product with perturbed results.

    Multiples of 1/16 are not changed, because they are exact in any summation order.
    """

    def nudged(*args, **kwargs):
        result = function(*args, **kwargs)
        return nudge(result, np.asarray(result) * 16 % 1 == 0)

    return nudged


def factorization(function):
    """Return a function of numpy.linalg with perturbed results."""

    def nudged(*args, **kwargs):
        found = function(*args, **kwargs)
        if not isinstance(found, tuple):
            return nudge(np.array(found)[()], False)
        parts = [nudge(np.array(part)[()], False) for part in found]
        return type(found)(*parts) if hasattr(found, "_fields") else tuple(parts)

    return nudged


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests():
    """Replace NumPy's functions before the package is imported."""
    for name in FUNCTIONS:
        setattr(np, name, Function(getattr(np, name)))
    for name in PRODUCTS:
        setattr(np, name, product(getattr(np, name)))
    for name in FACTORIZATIONS:
        setattr(np.linalg, name, factorization(getattr(np.linalg, name)))
