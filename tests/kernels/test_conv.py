"""Kernels of convolution and pooling: compared with their definitions for any piece size."""

import itertools

import numpy as np
import pytest

from tests.tools import each, leaf
from tinygrad_np import Tensor, ops
from tinygrad_np.kernels import conv, linalg, pool
from tinygrad_np.kernels.windows import Windows
from tinygrad_np.ops.windows import place_windows
from tinygrad_np.runtime import threads as parallel

# Input channels, output channels, image, kernel, stride, padding, dilation, groups.
CONVOLUTIONS = {
    "1-d": (2, 3, (9,), (3,), (2,), ((1, 2),), (1,), 1),
    "2-d": (2, 3, (6, 5), (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1), 1),
    "stride": (2, 3, (7, 8), (3, 2), (3, 2), ((0, 1), (2, 0)), (1, 1), 1),
    "dilation": (2, 3, (7, 8), (2, 3), (1, 2), ((1, 1), (2, 2)), (3, 2), 1),
    "cropped": (2, 3, (8, 7), (2, 2), (1, 1), ((-1, 0), (0, -2)), (1, 1), 1),
    "pointwise": (2, 3, (4, 5), (1, 1), (1, 1), ((0, 0), (0, 0)), (1, 1), 1),
    "shifted": (2, 3, (4, 5), (1, 1), (1, 1), ((1, -1), (0, 0)), (1, 1), 1),
    "groups": (4, 6, (5, 5), (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1), 2),
    "depthwise": (3, 3, (5, 4), (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1), 3),
    "depthwise, stride": (3, 3, (8, 5), (3, 2), (2, 3), ((2, 0), (-1, 1)), (2, 1), 3),
    "one output": (2, 1, (6, 5), (3, 3), (1, 1), ((1, 1), (0, 1)), (1, 1), 1),
    "3-d": (2, 3, (4, 5, 4), (2, 2, 3), (1, 2, 1), ((0, 1), (1, 0), (1, 1)), (1, 1, 1), 1),
}


def by_definition(x, weight, bias, stride, padding, dilation, groups):
    """Return the convolution, summed term by term."""
    crop = tuple(
        slice(max(0, -a), n - max(0, -b)) for n, (a, b) in zip(x.shape[2:], padding, strict=True)
    )
    wide = [(0, 0), (0, 0), *((max(0, a), max(0, b)) for a, b in padding)]
    x = np.pad(x[(slice(None), slice(None), *crop)], wide)
    kernel = weight.shape[2:]
    counts = [
        (n - d * (r - 1) - 1) // s + 1
        for n, r, s, d in zip(x.shape[2:], kernel, stride, dilation, strict=True)
    ]
    in_group, out_group = weight.shape[1], len(weight) // groups
    out = np.zeros((len(x), len(weight), *counts)) + bias.reshape(-1, *[1] * len(kernel))
    for k in range(len(weight)):
        first = k // out_group * in_group
        for c in range(in_group):
            for place in itertools.product(*map(range, kernel)):
                span = tuple(
                    slice(d * r, d * r + s * (n - 1) + 1, s)
                    for r, s, d, n in zip(place, stride, dilation, counts, strict=True)
                )
                out[:, k] += x[(slice(None), first + c, *span)] * weight[(k, c, *place)]
    return out


@pytest.fixture(
    params=[
        pytest.param((1, 1), marks=pytest.mark.slow),
        pytest.param((60, 2), marks=pytest.mark.slow),
        pytest.param((1 << 22, 3), marks=pytest.mark.slow),
        (200, 3),
        pytest.param((1 << 22, 2), marks=pytest.mark.slow),
    ],
    ids=str,
)
def cut(request, monkeypatch):
    """Set the bytes per piece of columns and the number of threads.

    With three threads, also treat small images as large ones: rows of windows share columns, their
    borders are filled one by one, and products are cut into blocks.
    """
    piece, threads = request.param
    if threads == 3:
        monkeypatch.setattr(conv, "_SHORTEST", 1)
        monkeypatch.setattr(conv, "_FEW", 0)
        monkeypatch.setattr(conv, "_SMALL", 300)
        monkeypatch.setattr(conv, "_SMALL_RESULT", 20)
    for cached in (conv._divisor, conv._columns_per_block):
        cached.cache_clear()
    workers = parallel.Workers()
    workers._count = threads
    monkeypatch.setattr(conv, "_PIECE", piece)
    monkeypatch.setattr(pool, "_PIECE", piece)
    monkeypatch.setattr(parallel, "WORTH", 1)
    monkeypatch.setattr(parallel, "each", workers.each)
    yield
    workers._count = 1
    for cached in (conv._divisor, conv._columns_per_block):
        cached.cache_clear()
    workers._dismiss()  # set_count would also change the thread count of BLAS


@pytest.mark.parametrize("case", CONVOLUTIONS)
def test_convolution_and_gradients_are_correct_for_any_piece_size(cut, case):
    channels, outs, lengths, kernel, *options, groups = CONVOLUTIONS[case]
    generator = np.random.default_rng(0)
    images = generator.standard_normal((6, 3, channels, *lengths))
    weights = generator.standard_normal((6, outs, channels // groups, *kernel))
    bias = generator.standard_normal(outs)
    none = np.zeros(outs)
    x, weight = images[0], weights[0]
    windows = place_windows("conv2d", lengths, kernel, *options)
    out = by_definition(x, weight, bias, *options, groups)
    np.testing.assert_allclose(conv.conv(x, weight, bias, windows, groups), out, atol=1e-12)
    grad_out = generator.standard_normal(out.shape)
    of_x, of_weight, of_bias = conv.conv_grads(grad_out, x, weight, windows, groups, (True,) * 3)
    assert len(conv.conv_grads(grad_out, x, weight, windows, groups, (True, True))) == 2
    # A linear map f and its transpose: <f(a), g> = <a, fᵀ(g)> for any a.
    for a in images:
        forward = np.vdot(by_definition(a, weight, none, *options, groups), grad_out)
        np.testing.assert_allclose(np.vdot(a, of_x), forward, rtol=1e-10)
    for a in weights:
        forward = np.vdot(by_definition(x, a, none, *options, groups), grad_out)
        np.testing.assert_allclose(np.vdot(a, of_weight), forward, rtol=1e-10)
    np.testing.assert_allclose(of_bias, grad_out.sum(axis=(0, *range(2, out.ndim))), rtol=1e-10)
    alone = conv.conv_input_grad(grad_out, weight, x.shape, windows, groups)
    np.testing.assert_allclose(alone, of_x, atol=1e-12)
    alone = conv.conv_weight_grad(x, grad_out, windows, groups)
    np.testing.assert_allclose(alone, of_weight, atol=1e-11)
    np.testing.assert_allclose(conv.channel_sums(grad_out), of_bias, rtol=1e-10)


@pytest.mark.parametrize("kernel", [(2, 2), (3, 3), (16, 16), (257, 1)], ids=str)
def test_max_pooling_is_correct_for_any_piece_size(cut, kernel):
    """Winners are stored in one byte for windows of up to 256 entries, in four beyond."""
    generator = np.random.default_rng(0)
    x = generator.integers(-9, 9, (2, 5, 2 * kernel[0] + 1, 2 * kernel[1])).astype(np.float64)
    windows = Windows(kernel, kernel, ((0, 0), (0, 0)), (1, 1), (2, 2))
    values, winners = pool.max_pool(x, windows)
    grad_out = generator.standard_normal(values.shape)
    grad = pool.max_pool_grad(grad_out, winners, x.shape, windows)
    expected = np.zeros_like(x)
    for n, c, p, q in np.ndindex(values.shape):
        corner = (p * kernel[0], q * kernel[1])
        window = x[n, c, corner[0] :, corner[1] :][: kernel[0], : kernel[1]]
        first = np.unravel_index(window.argmax(), kernel)
        assert values[n, c, p, q] == window.max()
        assert winners[n, c, p, q] == window.argmax()
        expected[n, c, corner[0] + first[0], corner[1] + first[1]] = grad_out[n, c, p, q]
    np.testing.assert_array_equal(grad, expected)


def test_gradients_are_correct_with_fewer_groups_than_rows(cut):
    x = Tensor(np.ones((4, 4, 7, 8), np.float32), requires_grad=True)
    weight = Tensor(np.ones((4, 2, 3, 3), np.float32), requires_grad=True)
    x.conv2d(weight, padding=1, groups=2).sum().backward()
    # Each inner entry is in nine windows of two outputs.
    assert x.grad.tolist()[0][0][3][4] == 18.0
    assert weight.grad.tolist()[0][0][1][1] == 4 * 7 * 8


def test_bool_images_are_pooled_and_convolved():
    images = np.zeros((2, 1, 2, 2), bool)
    images[0, 0, 1, 0] = True
    assert Tensor(images).max_pool2d(2).tolist() == [[[[True]]], [[[False]]]]
    corner = Tensor(images[:1]).max_pool2d(2, padding=1)
    assert corner.tolist() == [[[[False, False], [True, False]]]]
    kernel = Tensor(np.ones((1, 1, 2, 2), bool))
    assert Tensor(images).conv2d(kernel).tolist() == [[[[True]]], [[[False]]]]
    assert ops.channel_sum(images).tolist() == [1]


def test_max_pooling_accepts_zero_channels():
    x = Tensor(np.zeros((2, 0, 4, 4)), requires_grad=True)
    x.max_pool2d(2).sum().backward()
    assert x.grad.shape == x.shape


@pytest.mark.parametrize("count", [4, 20_000])
def test_relu_passes_the_gradient_at_nan_but_not_at_0(count):
    x = Tensor(np.resize([-1.0, 0.0, np.nan, 2.0], count), requires_grad=True)
    out = x.relu()
    np.testing.assert_array_equal(out.data[:4], [0.0, 0.0, np.nan, 2.0])
    out.backward(np.resize([np.inf, np.inf, 3.0, 4.0], count))
    np.testing.assert_array_equal(x.grad.data[:4], [0.0, 0.0, 3.0, 4.0])


def test_relu_accepts_longdouble():
    x = Tensor(np.array([-1.0, 2.0], np.longdouble), requires_grad=True)
    x.relu().sum().backward()
    assert x.grad.tolist() == [0.0, 1.0]


@pytest.mark.parametrize("order", ["C", "F"])
def test_linear_gradients_keep_the_memory_order(cut, order):
    """Flattened images stored with the batch last are in F order, and so are their gradients."""
    generator = np.random.default_rng(0)
    x = np.asarray(generator.standard_normal((5, 12)), order=order)
    weight, grad_out = (generator.standard_normal(shape) for shape in ((3, 12), (5, 3)))
    of_x, of_weight, of_bias = linalg.linear_grads(grad_out, x, weight, (True,) * 3)
    assert of_x.strides == x.strides
    np.testing.assert_allclose(of_x, grad_out @ weight)
    np.testing.assert_allclose(of_weight, grad_out.T @ x)
    np.testing.assert_allclose(of_bias, grad_out.sum(axis=0))


@each("kernel,stride,dilation", [(3, 2, 1), (3, 1, 1), (2, 1, 1), (2, 2, 2)])
def test_overlapping_windows_accumulate_gradients(kernel, stride, dilation):
    x = leaf(0.0, 1.0, 5.0, 1.0, 0.0).reshape(1, 1, 5)
    out = x.max_pool2d((kernel,), stride, dilation)
    (grad,) = out.gradient(x, gradient=np.ones(out.shape))
    expected = [0] * 5
    for window in range(out.shape[-1]):
        entries = [stride * window + dilation * position for position in range(kernel)]
        expected[max(entries, key=lambda entry: x.data[0, 0, entry])] += 1
    assert grad.tolist() == [[expected]]


def test_float16_gradients_are_accumulated_in_float32():
    """Thousands of blocks of products are summed; in float16 the sum would stop at 2048."""
    x = Tensor(np.ones((64, 1, 40, 40), np.float16))
    weight = Tensor(np.ones((1, 1, 1, 1), np.float16), requires_grad=True)
    bias = Tensor(np.zeros(1, np.float16), requires_grad=True)
    x.conv2d(weight, bias).backward(x * np.float16(0.25))
    assert weight.grad.item() == bias.grad.item() == 64 * 40 * 40 / 4
