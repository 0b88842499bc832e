"""Normalization layers: formulas, running statistics, empty batches, half precision."""

import copy

import numpy as np
import pytest

from tests.tools import each, leaf, normal, rng
from tinygrad_np import Tensor, nn, no_grad
from tinygrad_np.errors import ArgumentError, ShapeError


def test_empty_batch_leaves_running_statistics_unchanged():
    """An empty batch gives an empty output and has no statistics."""
    for layer, shape in ((nn.BatchNorm1d(3), (0, 3)), (nn.InstanceNorm2d(3), (2, 3, 0, 4))):
        tracked = type(layer)(3, affine=True, track_running_stats=True)
        x = Tensor(np.ones(shape, np.float32), requires_grad=True)
        out = tracked(x)
        out.sum().backward()
        assert out.shape == x.grad.shape == shape
        assert tracked.running_mean.tolist() == [0.0] * 3
        assert tracked.running_var.tolist() == [1.0] * 3


def test_integers_are_normalized_in_float32():
    x = Tensor([[1, 5], [3, 5], [8, 6]])
    out = nn.BatchNorm1d(2, affine=False)(x)
    assert out.dtype == np.float32
    np.testing.assert_array_equal(out.data, nn.BatchNorm1d(2, affine=False)(x.float()).data)


def test_invalid_batch_leaves_the_buffers_unchanged():
    layer = nn.BatchNorm1d(3)
    with pytest.raises(ShapeError):
        layer(Tensor.ones(1, 3))
    assert layer.num_batches_tracked.item() == 0


def test_running_statistics_are_updated_inside_no_grad():
    """Running statistics are updated inside no_grad()."""
    layer = nn.BatchNorm1d(1, momentum=1.0)
    with no_grad():
        layer(Tensor([[1.0], [3.0]]))
    assert layer.running_mean.tolist() == [2.0]
    assert layer.running_var.tolist() == [2.0]


def test_momentum_none_averages_all_batches():
    """With momentum=None the running mean averages all batches."""
    layer = nn.BatchNorm1d(1, momentum=None)
    for value in (0.0, 3.0, 6.0, 9.0):
        layer(Tensor([[value], [value + 2.0]]))
    np.testing.assert_allclose(layer.running_mean.data, [5.5], rtol=1e-6)
    assert layer.num_batches_tracked.item() == 4
    assert layer.num_batches_tracked.dtype == np.int64


def test_evaluation_graph_survives_a_training_step():
    """The backward pass uses the statistics of its forward pass, even if they changed since."""
    layer = nn.BatchNorm1d(2, eps=0.0)
    x = Tensor.randn(4, 2, generator=rng())
    x.requires_grad = True
    loss = layer.eval()(x).sum()
    layer.train()(x)
    loss.backward()
    assert layer.running_var.tolist() != [1.0, 1.0]
    assert x.grad.tolist() == [[1.0, 1.0]] * 4


def test_norm_layers_keep_float16():
    """Outputs of float16 inputs are float16."""
    x = Tensor(rng().standard_normal((4, 6)).astype(np.float16))
    for layer in (nn.BatchNorm1d(6), nn.LayerNorm(6), nn.GroupNorm(2, 6), nn.RMSNorm(6)):
        assert layer.astype(np.float16)(x).dtype == np.float16


@each(
    "make",
    [
        lambda **form: nn.BatchNorm1d(3, **form),
        lambda **form: nn.BatchNorm2d(3, **form),
        lambda **form: nn.InstanceNorm2d(3, affine=True, track_running_stats=True, **form),
        lambda **form: nn.GroupNorm(3, 3, **form),
    ],
)
def test_norm_layers_accept_channels_last(make):
    """Both data formats give the same numbers, gradients and buffers."""
    first, last = make(), make(data_format="NHWC")
    shape = (2, 3, 5) if isinstance(first, nn.BatchNorm1d) else (2, 3, 5, 4)
    x = normal(*shape).astype(np.float32)
    one, other = leaf(x), leaf(np.ascontiguousarray(np.moveaxis(x, 1, -1)))
    expected, found = first(one), last(other)
    near = {"rtol": 1e-5, "atol": 1e-6}  # the summation order follows the memory order
    np.testing.assert_allclose(np.moveaxis(found.data, -1, 1), expected.data, **near)
    (expected * one).sum().backward()
    (found * other).sum().backward()
    np.testing.assert_allclose(np.moveaxis(other.grad.data, -1, 1), one.grad.data, 1e-4, 1e-5)
    for name, value in first.state_dict().items():
        np.testing.assert_allclose(last.state_dict()[name], value, **near)
    assert "data_format='NHWC'" in repr(last)
    with pytest.raises(ShapeError, match="with 3 channels in the last axis, got"):
        last(Tensor.ones(*shape))
    with pytest.raises(ArgumentError, match="`data_format` to be 'NCHW' or 'NHWC', got 'CHW'"):
        make(data_format="CHW")


def normalized(x, axes, eps=1e-5):
    """Return (x - mean) / √(variance + eps) over `axes`."""
    return (x - x.mean(axes, keepdims=True)) / np.sqrt(x.var(axes, keepdims=True) + eps)


def in_groups(x, groups):
    """Return x normalized in groups of channels."""
    return normalized(x.reshape(len(x), groups, -1), -1).reshape(x.shape)


FORMULAS = [
    (lambda **o: nn.BatchNorm1d(4, **o), (3, 4), lambda x: normalized(x, 0)),
    (lambda **o: nn.BatchNorm1d(4, **o), (3, 4, 5), lambda x: normalized(x, (0, 2))),
    (lambda **o: nn.BatchNorm2d(4, **o), (3, 4, 5, 2), lambda x: normalized(x, (0, 2, 3))),
    (lambda **o: nn.InstanceNorm2d(4, **o), (3, 4, 5, 2), lambda x: normalized(x, (2, 3))),
    (lambda **o: nn.GroupNorm(2, 4, **o), (3, 4), lambda x: in_groups(x, 2)),
    (lambda **o: nn.GroupNorm(2, 4, **o), (3, 4, 5), lambda x: in_groups(x, 2)),
    (lambda **o: nn.GroupNorm(1, 4, **o), (3, 4, 5, 2), lambda x: in_groups(x, 1)),
]


@each("make,shape,formula", FORMULAS)
@each("affine", [True, False])
def test_channel_norms_match_their_formulas(make, shape, formula, affine):
    layer = make(affine=affine).astype(np.float64)
    x = normal(*shape)
    expected = formula(x)
    if affine:
        layer.weight.data[:], layer.bias.data[:] = [1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 8.0]
        by_channel = (-1, *[1] * (len(shape) - 2))
        expected = expected * layer.weight.data.reshape(by_channel)
        expected = expected + layer.bias.data.reshape(by_channel)
    np.testing.assert_allclose(layer(Tensor(x)).data, expected, rtol=1e-9, atol=1e-12)


@each("affine", [True, False])
def test_batch_norm_in_evaluation_matches_its_formula(affine):
    layer = nn.BatchNorm2d(2, eps=0.5, affine=affine).astype(np.float64).eval()
    layer.running_mean.data[:], layer.running_var.data[:] = [1.0, -2.0], [3.5, 8.5]
    if affine:
        layer.weight.data[:], layer.bias.data[:] = [5.0, 7.0], [11.0, 13.0]
    x = normal(3, 2, 4, 5)
    mean, scale = np.array([1.0, -2.0]), np.array([2.0, 3.0])
    weight, bias = ([5.0, 7.0], [11.0, 13.0]) if affine else ([1.0, 1.0], [0.0, 0.0])
    last = (np.moveaxis(x, 1, -1) - mean) / scale * weight + bias
    np.testing.assert_allclose(layer(Tensor(x)).data, np.moveaxis(last, -1, 1), rtol=1e-12)


def test_last_axis_norms_match_their_formulas():
    x, scale, shift = normal(2, 3, 4), normal(3, 4, seed=1), normal(3, 4, seed=2)
    layer = nn.LayerNorm((3, 4)).astype(np.float64)
    layer.weight.data[:], layer.bias.data[:] = scale, shift
    expected = normalized(x, (1, 2)) * scale + shift
    np.testing.assert_allclose(layer(Tensor(x)).data, expected, rtol=1e-9, atol=1e-12)
    layer = nn.RMSNorm((3, 4), eps=0.5).astype(np.float64)
    layer.weight.data[:] = scale
    expected = x / np.sqrt((x * x).mean((1, 2), keepdims=True) + 0.5) * scale
    np.testing.assert_allclose(layer(Tensor(x)).data, expected, rtol=1e-12)


@each(
    "function,shape,name",
    [
        (nn.LayerNorm(4), (3, 4), "layer_norm"),
        (nn.RMSNorm(4), (3, 4), "rms_norm"),
        (nn.GroupNorm(2, 4), (3, 4, 2, 2), "group_norm"),
        (nn.InstanceNorm2d(4), (3, 4, 2, 2), "group_norm"),
        (lambda x: x.layernorm(), (3, 4), "layer_norm"),
    ],
)
def test_norms_record_one_node(function, shape, name):
    x = leaf(normal(*shape).astype(np.float32))
    node = function(x).node
    assert node.op.name == name
    assert node.edges[0] is x


# Large means and large entries, compared with float64.

NORMS = [
    (nn.BatchNorm1d(8), (4096, 8), lambda x: normalized(x, 0)),
    (nn.BatchNorm1d(3), (40, 3, 200), lambda x: normalized(x, (0, 2))),
    (nn.BatchNorm2d(4), (16, 4, 16, 16), lambda x: normalized(x, (0, 2, 3))),
    (nn.InstanceNorm2d(3), (4, 3, 20, 30), lambda x: normalized(x, (2, 3))),
    (nn.GroupNorm(2, 4), (4, 4, 9, 9), lambda x: in_groups(x, 2)),
    (nn.LayerNorm(5000), (4, 5000), lambda x: normalized(x, 1)),
    (nn.LayerNorm((6, 7)), (20, 6, 7), lambda x: normalized(x, (1, 2))),
]


@each("layer,shape,formula", NORMS)
@each("mean", [0.0, 1.0, -100.0, 1e4, 1e6])
def test_norms_are_accurate_for_any_mean(layer, shape, formula, mean):
    x = leaf((normal(*shape) + mean).astype(np.float32))
    upstream = normal(*shape, seed=1).astype(np.float32)
    layer = copy.deepcopy(layer)
    out = layer.train()(x)
    np.testing.assert_allclose(out.data, formula(x.data.astype(float)), rtol=1e-5, atol=3e-6)
    out.backward(Tensor(upstream))
    twin = copy.deepcopy(layer).astype(np.float64)
    wide = leaf(x.data.astype(np.float64))
    twin(wide).backward(Tensor(upstream.astype(np.float64)))
    size = np.abs(wide.grad.data).max()
    np.testing.assert_allclose(x.grad.data, wide.grad.data, rtol=0, atol=3e-6 * size)


@each("layer,shape,formula", NORMS)
@each("value", [0.1, 1e4, 3e38, -3e38])
def test_equal_entries_are_normalized_to_zero(layer, shape, formula, value):
    short = copy.deepcopy(layer).astype(np.float16)
    half = leaf(np.full(shape, np.clip(value, -6e4, 6e4), np.float16))
    assert not short(half).data.any()
    layer = copy.deepcopy(layer)
    x = leaf(np.full(shape, value, np.float32))
    out = layer.train()(x)
    out.sum().backward()
    assert not out.data.any()
    assert np.isfinite(x.grad.data).all()


@each("layer,shape,formula", NORMS)
@each("value", [1e20, 3e38])
def test_norms_of_entries_whose_squares_overflow(layer, shape, formula, value):
    sign = np.where(rng().random(shape) < 0.5, -1, 1)
    x = leaf((sign * value).astype(np.float32))
    twin = copy.deepcopy(layer)
    if isinstance(twin, nn.BatchNorm1d | nn.BatchNorm2d):
        twin.track_running_stats, twin.num_batches_tracked = False, None  # its variance overflows
    out = twin.train()(x)
    np.testing.assert_allclose(out.data, formula(sign.astype(float)), rtol=1e-4, atol=1e-5)
    with np.errstate(under="ignore"):
        out.backward(Tensor(normal(*shape).astype(np.float32)))
    assert np.isfinite(x.grad.data).all()


def test_rms_norm_of_entries_whose_squares_overflow():
    x = leaf(np.array([[3e38, -3e38], [1e30, 1e30]], np.float32))
    out = nn.RMSNorm(2)(x)
    np.testing.assert_allclose(out.data, [[1, -1], [1, 1]], rtol=1e-6)
    out.sum().backward()
    assert np.isfinite(x.grad.data).all()


@each("mean", [0.0, 100.0, 1e4, 1e6])
def test_batch_norm_in_evaluation_is_accurate_for_any_mean(mean):
    layer = nn.BatchNorm1d(2).eval()
    layer.running_mean.data[...] = mean
    layer.bias.data[...] = [1.0, -1.0]
    x = (normal(100, 2) + mean).astype(np.float32)
    exact = (x.astype(float) - mean) / np.sqrt(1 + 1e-5) + [1.0, -1.0]
    np.testing.assert_allclose(layer(Tensor(x)).data, exact, rtol=1e-5, atol=3e-6)


def test_default_eps_of_rms_norm_is_that_of_the_dtype():
    x = Tensor(np.full((1, 4), 1e-6))
    layer = nn.RMSNorm(4).astype(np.float64)
    np.testing.assert_allclose(layer(x).data, 1e-6 / np.sqrt(1e-12 + np.finfo(float).eps))
