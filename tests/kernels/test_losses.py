"""Softmax and cross-entropy: accuracy, overflow, memory order and many rows."""

import numpy as np
import pytest

from tests.tools import normal
from tinygrad_np.kernels import losses


def softmax_of(x):
    powers = np.exp(x - x.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


# Logits near 0 are not shifted by their maximum; the others are.
@pytest.mark.parametrize("offset", [0.0, 25.0, 200.0, -200.0])
@pytest.mark.parametrize("shape", [(5,), (1,), (3, 7), (2, 3, 40), (700, 400)])
def test_softmax_is_accurate(shape, offset):
    x = (normal(*shape) * 2 + offset).astype(np.float32)
    grad_out = normal(*shape, seed=1).astype(np.float32)
    wide, grad_wide = x.astype(np.float64), grad_out.astype(np.float64)
    p = softmax_of(wide)
    out = losses.softmax(x, -1)
    np.testing.assert_allclose(out, p, rtol=2e-6)
    expected = p * (grad_wide - (grad_wide * p).sum(-1, keepdims=True))
    np.testing.assert_allclose(losses.softmax_grad(grad_out, out, -1), expected, atol=1e-6)
    logs = losses.log_softmax(x, -1)
    np.testing.assert_allclose(logs, np.log(p), rtol=1e-6, atol=3e-7)
    expected = grad_wide - p * grad_wide.sum(-1, keepdims=True)
    np.testing.assert_allclose(losses.log_softmax_grad(grad_out, logs, -1), expected, atol=2e-5)


def test_softmax_along_other_axes_and_of_strided_arrays_is_the_same():
    x, grad_out = normal(3, 4, 5), normal(3, 4, 5, seed=1)
    for function in (losses.softmax, losses.log_softmax):
        expected = function(x, -1)
        np.testing.assert_allclose(function(x.T, 0), expected.T, rtol=1e-12)
        np.testing.assert_allclose(function(x.swapaxes(0, 1), 2), expected.swapaxes(0, 1))
    for function in (losses.softmax_grad, losses.log_softmax_grad):
        expected = function(grad_out, x, -1)
        np.testing.assert_allclose(function(grad_out.T, x.T, 0), expected.T, rtol=1e-12)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("offset", [0.0, 500.0])
def test_cross_entropy_of_many_rows_is_accurate(offset, smoothing):
    x, target = (normal(900, 400) + offset).astype(np.float32), np.arange(900) % 400
    p = softmax_of(x.astype(np.float64))
    q = np.full(p.shape, smoothing / 400)
    q[np.arange(900), target] += 1 - smoothing
    loss, powers, sums = losses.cross_entropy(x, target, "none", smoothing)
    np.testing.assert_allclose(loss, -(q * np.log(p)).sum(1), rtol=5e-7)
    grad_out = normal(900).astype(np.float32)
    grad = losses.cross_entropy_grad(grad_out, powers, sums, target, "none", smoothing)
    np.testing.assert_allclose(grad, (p - q) * grad_out[:, None], atol=3e-7)


def test_small_losses_are_not_negative_and_keep_their_digits():
    x = np.array([[10.0, -3.0], [29.0, -29.0], [1e4, 0.0]], np.float32)
    loss, _, _ = losses.cross_entropy(x, np.zeros(3, int), "none", 0.0)
    np.testing.assert_allclose(loss, [np.log1p(np.exp(-13)), 0, 0], atol=1.2e-7)
    assert (loss >= 0).all()
    single, _, _ = losses.cross_entropy(x[:, :1], np.zeros(3, int), "none", 0.0)
    assert single.tolist() == [0, 0, 0]
