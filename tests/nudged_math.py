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
    """A function with perturbed results.

    It compares equal to the original, which is what NumPy passes to the protocols. Results that
    are Tensors stay as they are: they were perturbed when they were computed.
    """

    def __init__(self, function):
        self._function = function

    def __getattr__(self, name):
        return getattr(self._function, name)

    def __eq__(self, other):
        return other is self or other is self._function

    def __hash__(self):
        return hash(self._function)


class Elementwise(Function):
    """A ufunc with perturbed results, except at 0 and 1, where libraries are exact."""

    def __call__(self, *args, **kwargs):
        """Call the ufunc and perturb its result."""
        inputs = [arg if is_tensor(arg) else np.array(arg) for arg in args[: self._function.nin]]
        result = self._function(*args, **kwargs)
        if any(map(is_tensor, inputs)):
            return result
        exact = np.all([(x == 0) | (x == 1) for x in np.broadcast_arrays(*inputs)], axis=0)
        return nudge(result, exact)


class Product(Function):
    """A matrix product with perturbed results.

    Multiples of 1/16 are not changed, because they are exact in any summation order.
    """

    def __call__(self, *args, **kwargs):
        """Compute the product and perturb it."""
        result = self._function(*args, **kwargs)
        return result if is_tensor(result) else nudge(result, np.asarray(result) * 16 % 1 == 0)


class Factorization(Function):
    """A function of numpy.linalg with perturbed results."""

    def __call__(self, *args, **kwargs):
        """Call the function and perturb its results."""
        found = self._function(*args, **kwargs)
        if not isinstance(found, tuple):
            return found if is_tensor(found) else nudge(np.array(found)[()], False)
        if any(map(is_tensor, found)):
            return found
        parts = [nudge(np.array(part)[()], False) for part in found]
        return type(found)(*parts) if hasattr(found, "_fields") else tuple(parts)


def is_tensor(value):
    """Return whether NumPy's functions on `value` run the ops of a Tensor."""
    return not isinstance(value, np.ndarray) and hasattr(value, "__array_function__")


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests():
    """Replace NumPy's functions before the package is imported."""
    for name in FUNCTIONS:
        setattr(np, name, Elementwise(getattr(np, name)))
    for name in PRODUCTS:
        setattr(np, name, Product(getattr(np, name)))
    for name in FACTORIZATIONS:
        setattr(np.linalg, name, Factorization(getattr(np.linalg, name)))
