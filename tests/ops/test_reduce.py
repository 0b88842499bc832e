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


@each("count", [50_000, 300_000])
def test_no_reduction_or_scan_loses_digits_along_the_first_axis(count):
    x = leaf(np.full((count, 2), 0.1, np.float32))
    value = float(np.float32(0.1))
    for found, exact in (
        (x.sum(axis=0), value * count),
        (x.mean(axis=0), value),
        (x.var(axis=0), 0.0),
        (x.std(axis=0), 0.0),
        (x.norm(axis=0), value * count**0.5),
        (x.norm(1, axis=0), value * count),
        (x.logsumexp(axis=0), value + math.log(count)),
        (x.cumsum(axis=0)[-1], value * count),
        (x.logcumsumexp(axis=0)[-1], value + math.log(count)),
    ):
        np.testing.assert_allclose(found.data, exact, rtol=1e-6, atol=1e-7)
    for axis in (0, 1):
        near = (x.T if axis else x).softmax(axis).data
        np.testing.assert_allclose(near, 1 / count, rtol=1e-6)


@each("axis", [0, 1])
def test_softmax_and_logsumexp_of_random_entries_are_accurate(axis):
    entries = np.random.default_rng(0).uniform(0, 0.1, (200_000, 2)).astype(np.float32)
    x = leaf(entries.T.copy() if axis else entries)
    wide = x.data.astype(np.float64)
    total = np.exp(wide).sum(axis=axis, keepdims=True)
    np.testing.assert_allclose(x.softmax(axis).data, np.exp(wide) / total, rtol=1e-6)
    log_total = np.log(total)
    np.testing.assert_allclose(x.logsumexp(axis, keepdim=True).data, log_total, rtol=1e-6)
    np.testing.assert_allclose(x.log_softmax(axis).data, wide - log_total, rtol=1e-6)
    (grad,) = x.logsumexp(axis).sum().gradient(x)
    np.testing.assert_allclose(grad.data, np.exp(wide) / total, rtol=1e-6)


@pytest.mark.slow
def test_long_products_and_scans_have_accurate_gradients():
    x = leaf(np.full(1_000_000, 1 + 1e-6, np.float32))
    np.testing.assert_allclose(x.prod().data, float(x.data[0]) ** x.numel(), rtol=1e-6)
    zeros = leaf(np.zeros(200_000, np.float32))
    (grad,) = zeros.logcumsumexp().sum().gradient(zeros)
    exact = np.cumsum((1 / np.arange(1.0, zeros.numel() + 1))[::-1])[::-1]
    np.testing.assert_allclose(grad.data, exact, rtol=1e-6)
    large = leaf(np.array([2.0**23, 2.0**23 + 1, 2.0**23 + 2], np.float32))
    (grad,) = large.logcumsumexp().sum().gradient(large)
    shares = np.tril(np.exp(np.arange(3.0)) / np.cumsum(np.exp(np.arange(3.0)))[:, None])
    np.testing.assert_allclose(grad.data, shares.sum(axis=0), rtol=1e-6)


def test_softmax_gradients_do_not_overflow_in_float16():
    x = leaf(np.zeros((1, 4), np.float16))
    x.log_softmax(1).backward(Tensor(np.full((1, 4), 3e4, np.float16)))
    # The logarithms in float16 are off by up to 1e-3, so 0 is as well, relative to 3e4.
    np.testing.assert_allclose(x.grad.data, 0, atol=30)
    x.grad = None
    (x * 1).softmax(1).backward(Tensor(np.full((1, 4), 6e4, np.float16)))
    assert x.grad.tolist() == [[0.0] * 4]


def test_second_derivatives_of_std_of_equal_entries_are_zero():
    x = leaf(1.5, 1.5)
    (first,) = x.std().gradient(x, create_graph=True)
    (second,) = first[0].gradient(x)
    assert (first.tolist(), second.tolist()) == ([0.0, 0.0], [0.0, 0.0])


def test_no_gradient_loses_digits_in_a_sum():
    count, value = 50_000, float(np.float32(0.1))
    grad = Tensor(np.full((count, 2), 0.1, np.float32))
    bias, weight, table, row = (
        leaf(np.ones(s, np.float32)) for s in ((2,), (2, 1), (3, 2), (1, 2))
    )
    places = np.zeros(count, int)
    Tensor.ones(count, 1).linear(weight, bias).backward(grad)
    (row + Tensor.zeros(count, 2)).backward(grad)
    table[places].backward(grad)
    for found in (bias.grad, row.grad[0], table.grad[0]):
        np.testing.assert_allclose(found.data, value * count, rtol=1e-6)
    start = leaf(np.zeros(count, np.float32))
    start.cumsum().backward(Tensor(np.full(count, 0.1, np.float32)))
    np.testing.assert_allclose(start.grad.data[0], value * count, rtol=1e-6)
    flat = leaf(np.zeros(3, np.float32))
    flat.gather(0, places).backward(grad[:, 0])
    np.testing.assert_allclose(flat.grad.data[0], value * count, rtol=1e-6)
    image = Tensor.ones(50, 1, 32, 32)
    shift = leaf(np.zeros(1, np.float32))
    image.conv2d(Tensor.ones(1, 1, 1, 1), shift).backward(
        Tensor(np.full(image.shape, 0.1, np.float32))
    )
    np.testing.assert_allclose(shift.grad.data, value * 50 * 32 * 32, rtol=1e-6)


# Half precision: counts and running sums are float32.


def test_counts_above_the_range_of_float16():
    count = 70_000
    share = np.float16(1 / count)
    x = leaf(np.ones(count, np.float16))
    for reduced in (x.mean(), x.max(), x.min()):
        x.grad = None
        reduced.backward()
        assert x.grad.dtype == np.float16
        assert set(x.grad.tolist()) == {share}
        assert reduced.item() == 1
    assert x.var().item() == x.std().item() == 0
    x.grad = None
    x.reshape(1, 1, 280, 250).adaptive_avg_pool2d(1).backward()
    assert set(x.grad.tolist()) == {share}
    target = Tensor.zeros(1).half()
    found = target.scatter_reduce(0, np.zeros(count, int), x, "mean", include_self=False)
    assert found.tolist() == [1]


def test_losses_of_many_float16_rows():
    count = 70_000
    labels = np.zeros(count, int)
    for loss in (
        lambda x: x.cross_entropy(labels),
        lambda x: x.sparse_categorical_crossentropy(labels),
        lambda x: x.log_softmax(1).nll_loss(labels),
    ):
        x = leaf(np.zeros((count, 2), np.float16))
        value = loss(x)
        value.backward(np.float16(1000))
        assert value.dtype == np.float16
        assert value.item() == pytest.approx(math.log(2), rel=1e-3)
        np.testing.assert_allclose(x.grad.data[:, 1], 500 / count, rtol=2e-3)


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
