"""Activations: dtypes and limits."""

import numpy as np
import pytest

from tests.tools import leaf
from tinygrad_np import Tensor
from tinygrad_np.errors import ArgumentError


@pytest.mark.parametrize("name", ["softmax", "log_softmax", "softmin"])
def test_gradient_through_integer_dtype_is_zero(name):
    x = Tensor([0.2, 1.7, 2.9], requires_grad=True)
    y = getattr(x, name)(dtype=np.int64)
    if y.requires_grad:
        y.backward(np.array([1.0, 2.0, 3.0], np.float32))
        assert x.grad.tolist() == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("name", ["softmax", "log_softmax", "softmin"])
def test_gradient_keeps_the_input_dtype(name):
    x, wide = leaf([0.3, -0.7], dtype=np.float32), leaf([0.3, -0.7])
    (found,) = getattr(x, name)(dtype=np.float64).gradient(x, gradient=np.array([1.0, 2.0]))
    (expected,) = getattr(wide, name)().gradient(wide, gradient=np.array([1.0, 2.0]))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found.data, expected.data, rtol=1e-6)


def test_celu_with_small_alpha_does_not_overflow():
    x = leaf(1.0, -1.0)
    x.celu(1e-3).sum().backward()
    assert x.grad.tolist() == [1.0, 0.0]


def test_numpy_bounds_of_hardtanh_do_not_widen_it():
    x = Tensor(np.float32([-5, 0.1, 0.05, 5]), requires_grad=True)
    y = x.hardtanh(np.float64(-1), np.float64(0.1))
    assert y.dtype == np.float32
    y.sum().backward()
    assert x.grad.tolist() == [0, 0, 1, 0]


def test_bounds_of_hardtanh_in_the_wrong_order_are_refused():
    message = "hardtanh: expected `min_val` to be at most `max_val`, got 2 and -2"
    with pytest.raises(ArgumentError, match=message):
        Tensor([0.0]).hardtanh(2, -2)
