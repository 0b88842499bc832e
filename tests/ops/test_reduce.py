"""Reductions: ties, half precision and degenerate counts."""

import math

import numpy as np
import pytest

from tests.tools import each, leaf
from tinygrad_np import Tensor, nn
from tinygrad_np.errors import AxisError, DtypeError

# Dtypes.


def test_float16_is_summed_in_float32():
    x = Tensor(np.ones((4096, 2), np.float16))
    assert x.sum(axis=0).tolist() == [4096, 4096]
    assert (x * 100).mean().item() == 100
    assert np.isfinite(Tensor(np.zeros((1, 100_000), np.float16)).log_softmax().data).all()


# Kinks, as in PyTorch.


def test_max_shares_the_gradient_at_ties():
    x = leaf(3.0, 1.0, 3.0)
    x.max().backward()
    assert x.grad.tolist() == [0.5, 0.0, 0.5]


T = Tensor


def test_norm_layers_and_std_do_not_overflow_in_float16():
    x = np.array([[300, -300, 0, 100]], np.float16)
    wide = x.astype(np.float64)
    expected = (wide - wide.mean()) / wide.std()
    for layer in (nn.LayerNorm(4, elementwise_affine=False), nn.GroupNorm(1, 4, affine=False)):
        found = layer(Tensor(x))
        assert found.dtype == np.float16
        np.testing.assert_allclose(found.data, expected, rtol=2e-3, atol=2e-3)
    root = nn.RMSNorm(4, elementwise_affine=False)(Tensor(x))
    np.testing.assert_allclose(root.data, wide / np.sqrt((wide**2).mean()), rtol=2e-3)
    assert Tensor([300.0, -300.0]).half().std().item() == pytest.approx(424.26, rel=1e-3)
    with np.errstate(over="ignore"):
        assert Tensor([300.0, -300.0]).half().var(correction=0).item() == math.inf


def test_half_precision_accumulates_in_float32():
    many = Tensor(np.full(4096, 0.1, np.float16))
    exact = float(many.data[0]) * 4096
    assert many.cumsum()[-1].item() == pytest.approx(exact, rel=1e-3)
    small = Tensor(np.array([1e-3, 1e-3, 1e4, 1e4], np.float16))
    assert small.prod().item() == pytest.approx(100, rel=1e-2)
    assert small.cumprod(0)[-1].item() == pytest.approx(100, rel=1e-2)
    assert Tensor(np.full((1, 1, 50, 50), 60000, np.float16)).avg_pool2d(50).item() == 60000
    assert Tensor(np.full(3000, 1.0, np.float16)).softmax().data[0] == np.float16(1 / 3000)


def test_integer_means_are_rounded_down():
    assert T([0]).scatter_reduce(0, T([0, 0]), T([-3, -4]), "mean").tolist() == [-3]
    assert T([0]).scatter_reduce(0, T([0]), T([-3]), "mean").tolist() == [-2]


def test_variance_of_too_few_entries_is_inf_or_nan():
    assert T([1.0, 3.0]).var(correction=2).item() == math.inf
    assert math.isnan(T([1.0]).var().item())
    assert math.isnan(Tensor.zeros(0).var().item())


def test_product_of_float16_is_float16():
    assert Tensor(np.ones(3, np.float16)).prod().dtype == np.float16


def test_reductions_of_a_0d_tensor_return_its_value():
    x = leaf(3.0)
    for axis in (0, -1, (0, -1), np.int64(0), None):
        assert x.sum(axis=axis).item() == 3.0
    assert [x.argmax(axis=0).item(), x.argmin(axis=-1).item()] == [0, 0]
    for reduction in (x.sum, x.argmax, x.argmin):
        with pytest.raises(AxisError):
            reduction(axis=1)
    with pytest.raises(DtypeError, match="expected `axis` to be an integer"):
        x.sum(axis=0.5)


@each("name", ["argmin", "argmax"])
def test_argmin_and_argmax_of_a_0d_tensor_are_zero(name):
    for axis in (None, 0, -1):
        assert getattr(Tensor(3.0), name)(axis).tolist() == 0
    for axis in (1, -2):
        with pytest.raises(AxisError):
            getattr(Tensor(3.0), name)(axis)
