"""Normalization as one op: given moments, accuracy, memory orders, threads."""

import numpy as np
import pytest

from tests.tools import each, leaf
from tinygrad_np import Tensor, nn, ops
from tinygrad_np.errors import GraphError
from tinygrad_np.gradcheck import gradcheck, gradgradcheck
from tinygrad_np.kernels import group_norm as group_kernels
from tinygrad_np.kernels import norm_rows
from tinygrad_np.kernels import norms as kernels
from tinygrad_np.runtime import threads as parallel

SHAPES = [(64, 3), (20, 3, 4), (20, 3, 5, 4), (10, 3, 2, 5, 4)]
each_shape = pytest.mark.parametrize("shape", SHAPES, ids=str)


def normal(shape, dtype=np.float32, mean=0.0, seed=0):
    """Return normal samples with the given mean and standard deviation 1."""
    return (mean + np.random.default_rng(seed).standard_normal(shape)).astype(dtype)


def reference(x, upstream, eps=1e-5):
    """Return x normalized and the gradients for x and weight, computed in float64."""
    x, upstream = x.astype(np.float64), upstream.astype(np.float64)
    axes = (0, *range(2, x.ndim))
    mean, deviation = x.mean(axes, keepdims=True), np.sqrt(x.var(axes, keepdims=True) + eps)
    out = (x - mean) / deviation
    product = (upstream * out).mean(axes, keepdims=True)
    grad = (upstream - upstream.mean(axes, keepdims=True) - out * product) / deviation
    return out, grad, (upstream * out).sum(axes)


def run(x, upstream, *others, eps=1e-5):
    """Return the output and the gradients for x, weight and bias."""
    inputs = [leaf(x), *[leaf(np.full(x.shape[1], value, x.dtype)) for value in (1, 0)]]
    out = ops.batch_norm(*inputs, *others, eps=eps)
    return [out.data, *[grad.data for grad in out.gradient(*inputs, gradient=upstream)]]


@each_shape
def test_passing_the_moments_gives_the_same_results_bit_for_bit(shape):
    x, upstream = normal(shape), normal(shape, seed=1)
    expected = run(x, upstream)
    for found, same in zip(run(x, upstream, ops.channel_moments(x)), expected, strict=True):
        np.testing.assert_array_equal(found, same, strict=True)
    others = np.repeat([[1.0], [4.0]], 3, axis=1).astype(np.float32)
    np.testing.assert_allclose(run(x, upstream, others, eps=0)[0], (x - 1) / 2, atol=1e-6)


def test_passed_moments_have_no_gradient():
    """First and second derivatives for x are the same with and without given moments."""
    x = normal((5, 2, 3), np.float64)

    def with_moments(x):
        return ops.batch_norm(x, None, None, ops.channel_moments(x.detach()), eps=0.1)

    # Central differences, like the gradient, treat the moments as functions of x.
    gradcheck(with_moments, [x])
    gradgradcheck(with_moments, [x])
    with pytest.raises(GraphError, match="defines no gradient for input 'moments'"):
        ops.batch_norm(leaf(x), None, None, ops.channel_moments(leaf(x)), eps=0.1)


@each_shape
@each("mean", [0.0, 100.0, -1000.0])
def test_large_mean_loses_little_accuracy(shape, mean):
    """The error in float32 is at most a few roundings of numbers as large as the mean."""
    x, upstream = normal(shape, mean=mean), normal(shape, seed=1)
    exact = reference(x, upstream)
    found = run(x, upstream)
    atol = 1e-5 + 4 * abs(mean) * float(np.finfo(np.float32).eps)
    np.testing.assert_allclose(found[0], exact[0], rtol=1e-4, atol=atol)
    np.testing.assert_allclose(found[1], exact[1], rtol=1e-4, atol=atol)
    np.testing.assert_allclose(found[2], exact[2], rtol=1e-4, atol=atol * 10)
    moments = ops.channel_moments(x)
    axes = (0, *range(2, x.ndim))
    wide = x.astype(np.float64)
    np.testing.assert_allclose(moments, [wide.mean(axes), wide.var(axes)], rtol=1e-5, atol=1e-6)


@each_shape
def test_float16_is_computed_in_float32(shape):
    """300 squared overflows in float16."""
    x, upstream = normal(shape, np.float16, mean=300), normal(shape, np.float16, seed=1)
    exact = [*reference(x, upstream), upstream.astype(np.float64).sum((0, *range(2, x.ndim)))]
    found = run(x, upstream)
    for array, expected in zip(found, exact, strict=True):
        assert array.dtype == np.float16
        np.testing.assert_allclose(array, expected, rtol=2e-3, atol=5e-3)
    assert ops.channel_moments(x).dtype == np.float64
    layer = nn.BatchNorm1d(3).astype(np.float16)
    if x.ndim > 3:
        return
    x = leaf(x)
    layer(x).sum().gradient(x, create_graph=True)[0].sum().backward()
    assert x.grad.dtype == np.float16


def test_float16_evaluation_subtracts_the_mean_before_rounding():
    """The mean is subtracted before rounding to float16."""
    layer = nn.BatchNorm1d(2).astype(np.float16)
    layer.running_mean.data[...] = 1000
    layer.running_var.data[...] = 0.01
    out = layer.eval()(Tensor(np.array([[1001, 999.5]], np.float16)))
    assert out.dtype == np.float16
    np.testing.assert_allclose(out.data, [[10, -5]], rtol=2e-3)


@each_shape
def test_image_results_are_stored_with_the_batch_last(shape):
    """Images are stored with the batch last; vectors keep the order of the input."""
    x = leaf(normal(shape))
    out = ops.batch_norm(x, eps=0.1)
    grad = out.gradient(x, gradient=normal(shape, seed=1))[0]
    for array in (out.data, grad.data):
        assert (array if array.ndim == 2 else np.moveaxis(array, 0, -1)).flags.c_contiguous


def test_vectors_may_have_any_memory_order():
    """Vectors stored as (C, N), and a strided view of a larger array."""
    x, upstream = normal((40, 6)), normal((40, 6), seed=1)
    expected = run(x, upstream)
    twice = np.repeat(x, 2, axis=1)[:, ::2]
    for turned in (np.asfortranarray(x), twice):
        for found, same in zip(run(turned, upstream), expected, strict=True):
            np.testing.assert_allclose(found, same, rtol=1e-4, atol=1e-5)


def test_pieces_and_threads_change_only_rounding(monkeypatch):
    """Cutting the channels changes only the rounding of sums that BLAS computes."""
    x, upstream = normal((16, 7, 10, 10)), normal((16, 7, 10, 10), seed=1)
    expected = run(x, upstream)
    monkeypatch.setattr(parallel, "WORTH", 1)
    count = parallel.workers.count
    parallel.workers.set_count(2)
    try:
        for piece in (1, 3 * 1600 * 4):
            monkeypatch.setattr(norm_rows, "_PIECE", piece)
            for found, same in zip(run(x, upstream), expected, strict=True):
                np.testing.assert_allclose(found, same, rtol=1e-5, atol=1e-5)
    finally:
        parallel.workers.set_count(count)


def test_layer_records_one_node_in_training():
    """The running statistics are not recorded on the tape."""
    layer = nn.BatchNorm2d(3)
    x = leaf(normal((4, 3, 2, 2)))
    node = layer(x).node
    assert node.op.name == "batch_norm"
    assert node.edges == (x, layer.weight, layer.bias, None)


def test_empty_inputs_give_empty_outputs():
    """Without channels or images the output is empty, and the statistics are 0."""
    for shape in ((0, 3, 2, 2), (0, 3), (2, 0, 3), (2, 3, 0)):
        x, weight = leaf(np.ones(shape, np.float32)), leaf(np.ones(shape[1], np.float32))
        out = ops.batch_norm(x, weight, eps=0.1)
        grads = out.gradient(x, weight, gradient=np.ones(shape, np.float32))
        assert out.shape == grads[0].shape == shape
        assert not grads[1].data.any()
        assert not ops.channel_moments(x).data.any()


def test_one_value_per_channel_is_normalized_to_zero():
    x = leaf([3.0, 5.0]).reshape(1, 2)
    moments = ops.channel_moments(x)
    assert moments.tolist() == [[3.0, 5.0], [0.0, 0.0]]
    assert moments.gradient(x, gradient=np.ones((2, 2)))[0].tolist() == [[1.0, 1.0]]
    out = ops.batch_norm(x, eps=1.0)
    assert out.tolist() == [[0.0, 0.0]]
    assert out.gradient(x, gradient=np.array([[1.0, 2.0]]))[0].tolist() == [[0.0, 0.0]]


def test_definition_in_float16_matches_float32():
    arrays = [normal((8, 3), np.float16), normal(3, np.float16, 1.0), normal(3, np.float16)]
    half, single = ([leaf(a.astype(dtype)) for a in arrays] for dtype in (np.float16, np.float32))
    upstream = normal((8, 3), np.float16, seed=1)
    first, second = (
        ops.batch_norm(*inputs, eps=1e-3).gradient(
            *inputs, gradient=upstream.astype(inputs[0].dtype), create_graph=True
        )
        for inputs in (half, single)
    )
    for found, expected in zip(first, second, strict=True):
        assert found.dtype == np.float16
        np.testing.assert_allclose(found.data, expected.data, atol=0.02)


# Layer, RMS and group normalization.


def gradients(function, *arrays, upstream):
    """Return the output of a function and the gradients for all inputs."""
    inputs = [leaf(array) for array in arrays]
    out = function(*inputs)
    return [out.data, *[grad.data for grad in out.gradient(*inputs, gradient=upstream)]]


def batch_last(x):
    """Return x stored with the batch last."""
    return np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 0, -1)), -1, 0)


FUSED = {
    "layer_norm": (lambda x, w, b: ops.layer_norm(x, w, b, eps=1e-5), (700, 6), 6),
    "layer_norm, long rows": (lambda x, w, b: ops.layer_norm(x, w, b, eps=1e-5), (3, 9000), 9000),
    "rms_norm": (lambda x, w, _: ops.rms_norm(x, w, eps=1e-5), (700, 6), 6),
    "group_norm": (
        lambda x, w, b: ops.group_norm(x, w, b, num_groups=2, eps=1e-5),
        (6, 4, 30, 20),
        4,
    ),
}


def fused_case(name, dtype=np.float32, mean=0.0):
    """Return the arguments of `gradients` for one of the functions in `FUSED`."""
    function, shape, length = FUSED[name]
    arrays = [normal(shape, dtype, mean), *[normal(length, dtype, 1.0, seed) for seed in (1, 2)]]
    count = 2 if name == "rms_norm" else 3
    wrapped = function if count == 3 else lambda x, w: function(x, w, None)
    return wrapped, arrays[:count], normal(shape, dtype, seed=3)


@each("name", FUSED)
@each("mean", [0.0, 1.0, 100.0, -1e4])
def test_fused_norms_are_accurate_for_any_mean(name, mean):
    function, arrays, upstream = fused_case(name, mean=mean)
    found = gradients(function, *arrays, upstream=upstream)
    wide = [array.astype(np.float64) for array in arrays]
    exact = gradients(function, *wide, upstream=upstream.astype(np.float64))
    for array, expected in zip(found, exact, strict=True):
        size = np.abs(expected).max()
        np.testing.assert_allclose(array, expected, rtol=0, atol=3e-6 * size)


@each("name", FUSED)
def test_pieces_and_threads_change_only_rounding_of_fused_norms(name, monkeypatch):
    function, arrays, upstream = fused_case(name)
    expected = gradients(function, *arrays, upstream=upstream)
    monkeypatch.setattr(parallel, "WORTH", 1)
    count = parallel.workers.count
    parallel.workers.set_count(2)
    try:
        for piece in (1, 5000):
            monkeypatch.setattr(norm_rows, "_PIECE", piece)
            found = gradients(function, *arrays, upstream=upstream)
            for array, same in zip(found, expected, strict=True):
                np.testing.assert_allclose(array, same, rtol=1e-4, atol=1e-4)
            again = gradients(function, *arrays, upstream=upstream)
            assert [a.tobytes() for a in found] == [a.tobytes() for a in again]
    finally:
        parallel.workers.set_count(count)


@each("name", ["layer_norm", "rms_norm"])
def test_weight_gradients_over_many_rows_are_accurate(name):
    """Sequential sums of 200000 equal terms would be off by 1e-3."""
    x = np.tile(np.float32([[1.0, -1.0, 0.9]]), (200_000, 1))
    function, arrays, _ = fused_case(name)
    arrays = [x, *[array[:3] for array in arrays[1:]]]
    upstream = np.full(x.shape, 0.1, np.float32)
    found = gradients(function, *arrays, upstream=upstream)[2:]
    wide = [array.astype(np.float64) for array in arrays]
    exact = gradients(function, *wide, upstream=upstream.astype(np.float64))[2:]
    for array, expected in zip(found, exact, strict=True):
        np.testing.assert_allclose(array, expected, rtol=2e-6)


@each("mean", [0.0, 1000.0])
@each("shape", [(5, 4, 3, 7), (5, 4, 8), (1, 4, 6, 6), (5, 4, 40, 32)])
def test_group_norm_keeps_the_memory_order(shape, mean):
    x, upstream = normal(shape, mean=mean), normal(shape, seed=1)
    weight, bias = normal(4, seed=2), normal(4, seed=3)

    def function(*inputs):
        return ops.group_norm(*inputs, num_groups=2, eps=0.1)

    expected = gradients(function, x, weight, bias, upstream=upstream)
    found = gradients(function, batch_last(x), weight, bias, upstream=upstream)
    for array, same in zip(found, expected, strict=True):
        np.testing.assert_allclose(array, same, rtol=1e-4, atol=1e-4)
    assert expected[0].flags.c_contiguous
    for array in found[:2]:
        assert np.moveaxis(array, 0, -1).flags.c_contiguous


@each("name", FUSED)
@each("wanted", [(True, False, False), (False, True, False), (True, True, True)])
def test_fused_kernels_return_only_the_wanted_gradients(name, wanted):
    _, (x, weight, *_), upstream = fused_case(name)
    kernel, statistics = {
        "layer_norm": (kernels.layer_norm_grads, np.ones((2, len(x)))),
        "layer_norm, long rows": (kernels.layer_norm_grads, np.ones((2, len(x)))),
        "rms_norm": (kernels.rms_norm_grads, np.ones(len(x))),
        "group_norm": (group_kernels.group_norm_grads, np.ones((2, len(x), 2))),
    }[name]
    wanted = wanted[:2] if name == "rms_norm" else wanted
    found = kernel(upstream, x, weight, statistics, wanted)
    assert [grad is not None for grad in found] == list(wanted)
    if wanted[0]:
        again = kernel(upstream, x, weight, statistics, wanted, overwrite=True)
        assert np.shares_memory(again[0], upstream)
        np.testing.assert_array_equal(again[0], found[0])


@each("wanted", [(True,), (True, True), (False, True, True), (True, True, True, False)])
def test_kernel_returns_only_the_wanted_gradients(wanted):
    x, statistics = normal((6, 3)), np.ones((2, 3), np.float32)
    found = kernels.batch_norm_grads(x, x, np.ones(3, np.float32), statistics, wanted)
    assert [grad is not None for grad in found] == list(wanted)


@pytest.mark.parametrize("scale", [1e99, 1e101, 1e155, 1e300])
def test_rms_norm_of_huge_float64_entries_does_not_overflow(scale):
    a, weight, upstream = (normal(s, np.float64, seed=n) for n, s in enumerate([(3, 8), 8, (3, 8)]))
    x = Tensor(a * scale, requires_grad=True)
    out = ops.rms_norm(x, Tensor(weight), eps=1e-5)
    out.backward(upstream)
    inverse = ((a * a).mean(1, keepdims=True)) ** -0.5
    y, g = a * inverse, upstream * weight
    expected = (g - y * (g * y).mean(1, keepdims=True)) * inverse
    np.testing.assert_allclose(out.numpy(), y * weight, rtol=1e-12)
    np.testing.assert_allclose(x.grad.numpy() * scale, expected, rtol=1e-9, atol=1e-12)


def test_sums_over_the_middle_axis_keep_the_last_block():
    x = normal((2, 130, 3))
    found = group_kernels._middle_sums(x)
    np.testing.assert_allclose(found, x.sum(1, dtype=np.float64), rtol=1e-5, atol=1e-4)


@each("name", ["group", "layer", "rms", "batch"])
def test_norms_of_float16_match_float64(name):
    x, upstream = (normal((4, 6), np.float16, seed=n) * np.float16(300) for n in (0, 2))
    call = {
        "group": lambda x: ops.group_norm(x, num_groups=2, eps=1e-5),
        "layer": lambda x: ops.layer_norm(x, eps=1e-5),
        "rms": lambda x: ops.rms_norm(x, eps=1e-5),
        "batch": lambda x: ops.batch_norm(x, eps=1e-5),
    }[name]

    def run(dtype):
        given = leaf(x.astype(dtype))
        out = call(given)
        return out.data, out.gradient(given, gradient=Tensor(upstream.astype(dtype)))[0].data

    for found, expected in zip(run(np.float16), run(np.float64), strict=True):
        assert found.dtype == np.float16
        largest = np.abs(expected).max()
        np.testing.assert_allclose(found, expected, rtol=2e-3, atol=4e-3 * largest)


def test_rms_norm_gradient_of_large_float32_entries_is_exact():
    x = leaf(np.full((2, 4), 1e20, np.float32) * np.float32([1, 2, 3, 4]))
    upstream = normal((2, 4)) * np.float32(1e20)
    found, expected = (
        ops.rms_norm(v, eps=1e-5).gradient(v, gradient=Tensor(upstream.astype(v.dtype)))[0].data
        for v in (x, leaf(x.data.astype(np.float64)))
    )
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max())
