"""GELU, SiLU and sigmoid: accuracy in both tails, overflow, memory order and overwriting."""

import math

import numpy as np
import pytest

from tests.tools import normal
from tinygrad_np.kernels import activations

EDGES = np.array([0, 1e-45, 1e-39, 1e-20, 1e-8, 1e10, 1e30, 3e38])
X = np.concatenate([np.linspace(-20, 20, 20001), EDGES, -EDGES]).astype(np.float32)
WIDE = X.astype(np.float64)
CDF = np.array([math.erfc(-x * math.sqrt(0.5)) / 2 for x in WIDE])
DENSITY = np.exp(-np.minimum(WIDE**2, 1e4) / 2) / math.sqrt(2 * math.pi)


def test_float32_gelu_is_accurate():
    out, cdf = activations.gelu(X, "none")
    np.testing.assert_allclose(cdf, CDF, rtol=0, atol=1.2e-7)
    # The error of Φ times |x|, plus half a unit in the last place.
    assert (np.abs(out - WIDE * CDF) <= 1.6e-7 * np.abs(WIDE) + 1e-45).all()
    grad = activations.gelu_grad(np.ones_like(X), X, cdf, "none", False)
    np.testing.assert_allclose(grad, CDF + WIDE * DENSITY, rtol=0, atol=2e-7)


def test_tanh_gelu_is_finite_and_constant_in_the_tails():
    out, cdf = activations.gelu(X, "tanh")
    grad = activations.gelu_grad(np.ones_like(X), X, cdf, "tanh", False)
    far = np.abs(X) > 10
    np.testing.assert_array_equal(out[far], np.maximum(X, 0)[far])
    np.testing.assert_array_equal(grad[far], X[far] > 0)
    slope = np.gradient(activations.gelu(WIDE[:20001], "tanh")[0], WIDE[:20001])
    np.testing.assert_allclose(grad[1:20000], slope[1:-1], atol=3e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_sigmoid_is_accurate_in_the_left_tail(dtype):
    x = np.linspace(-80, 40, 1201).astype(dtype)
    exact = np.exp(x.astype(float)) / (1 + np.exp(x.astype(float)))
    tolerance = 4 * np.finfo(dtype).eps
    np.testing.assert_allclose(activations.sigmoid(x), exact, rtol=tolerance)
    # An entry below -80 makes the whole piece take the other path.
    ends = np.array([-1e30, -100, 1e30], dtype)
    found = activations.sigmoid(np.concatenate([x, ends]))
    np.testing.assert_allclose(found[:-3], exact, rtol=tolerance)
    assert found[-3] == 0
    assert found[-2] == np.exp(dtype(-100)) > 0
    assert found[-1] == 1


def test_nan_stays_nan():
    x = np.array([np.nan, 1.0], np.float32)
    for out in (activations.sigmoid(x), activations.gelu(x, "none")[0], activations.silu(x, 1)[0]):
        assert np.isnan(out).tolist() == [True, False]


GRADS = {
    "gelu": lambda g, x, overwrite: activations.gelu_grad(g, x, x, "none", overwrite),
    "tanh gelu": lambda g, x, overwrite: activations.gelu_grad(g, x, x, "tanh", overwrite),
    "silu": lambda g, x, overwrite: activations.silu_grad(g, x, x, 1.702, overwrite),
}


@pytest.mark.parametrize("name", GRADS)
def test_gradients_overwrite_only_if_asked_and_have_the_memory_order_of_x(name):
    grad = GRADS[name]
    x, given = normal(500, 300).astype(np.float32), normal(500, 300, seed=1).astype(np.float32)
    before = given.copy()
    expected = grad(given, x, False)
    np.testing.assert_array_equal(given, before)
    strided = grad(given, np.asfortranarray(x), True)
    np.testing.assert_array_equal(strided, expected)
    assert strided.flags.f_contiguous
    np.testing.assert_array_equal(given, before)
    # The whole array, in several pieces, gives the same result as one row at a time.
    np.testing.assert_array_equal(
        np.stack([grad(g, r, False) for g, r in zip(given, x, strict=True)]), expected
    )
    assert grad(given, x, True) is given
    np.testing.assert_array_equal(given, expected)


def test_float16_gradients_are_computed_in_float32():
    x = normal(3, 4).astype(np.float16)
    out, gate = activations.silu(x, 1.0)
    assert out.dtype == gate.dtype == np.float32
    grad = activations.silu_grad(x, x, gate, 1.0, True)
    wide = x.astype(np.float32)
    assert grad.dtype == np.float16
    np.testing.assert_array_equal(
        grad, activations.silu_grad(wide, wide, gate, 1.0, False).astype(np.float16)
    )
