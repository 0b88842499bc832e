"""Pooling and unpooling: indices, dtypes, empty and large windows, missing batch axes."""

import numpy as np
import pytest

from tests.tools import each, leaf, normal
from tinygrad_np import Tensor, nn
from tinygrad_np.errors import ArgumentError, ShapeError
from tinygrad_np.gradcheck import gradcheck, gradgradcheck


@pytest.mark.parametrize(
    ("kernel", "options"),
    [
        ((2, 2), {}),
        ((3,), {"stride": 2, "padding": (0, 1), "ceil_mode": True}),
        ((3, 2), {"stride": 1, "padding": 1, "dilation": (1, 2)}),
        ((2, 1, 2), {"padding": (1, 0, 0, 0, -1, 1)}),
    ],
)
def test_indices_point_to_the_maxima_in_the_flattened_image(kernel, options):
    image = normal(2, 3, *(7, 6, 5)[: len(kernel)])
    values, indices = Tensor(image).max_pool2d(kernel, return_indices=True, **options)
    assert (indices.dtype, indices.shape) == (np.int64, values.shape)
    flat = np.take_along_axis(image.reshape(2, 3, -1), indices.numpy().reshape(2, 3, -1), -1)
    np.testing.assert_array_equal(flat.reshape(values.shape), values.numpy())


def test_indices_have_no_gradient():
    x = Tensor(normal(1, 1, 4, 4), requires_grad=True)
    values, indices = x.max_pool2d(return_indices=True)
    assert values.requires_grad
    assert not indices.requires_grad


def test_max_pool_keeps_integers_and_means_are_float32():
    """max_pool2d keeps the dtype and ignores the padding; means are float32."""
    x = Tensor(np.full((1, 1, 3, 3), -5, np.int8))
    assert x.max_pool2d(2, padding=1).dtype == np.int8
    assert set(x.max_pool2d(2, padding=1).numpy().reshape(-1).tolist()) == {-5}
    assert x.avg_pool2d(2).tolist() == [[[[-5.0]]]]
    assert x.adaptive_avg_pool2d(2).dtype == np.float32
    assert x.adaptive_avg_pool2d(2).numpy().reshape(-1).tolist() == [-5.0] * 4


def test_float16_is_averaged_in_float32():
    """A float16 sum of ones would stop growing at 2048."""
    x = Tensor(np.ones((1, 1, 64, 64), np.float16))
    assert x.adaptive_avg_pool2d(1).dtype == np.float16
    assert x.adaptive_avg_pool2d(1).item() == 1
    assert x.interpolate((5, 5)).dtype == np.float16


@pytest.mark.parametrize("shape", [(6, 8), (3, 6, 8), (2, 3, 6, 8)])
def test_unpooling_restores_the_shape(shape):
    """Batch and channel axes are optional."""
    x = Tensor(np.random.default_rng(0).standard_normal(shape))
    values, indices = x.max_pool2d(2, return_indices=True)
    back = values.max_unpool2d(indices)
    assert back.shape == shape
    np.testing.assert_array_equal(back.data[back.data != 0], x.data[back.data != 0])
    assert np.count_nonzero(back.data) == values.numel()


def test_unpooling_writes_a_shared_maximum_once():
    """A maximum shared by several windows is written once and gets one gradient."""
    x = normal(1, 2, 5, 5)
    values, indices = Tensor(x).max_pool2d(3, 1, return_indices=True)
    whole = values.max_unpool2d(indices, 3, 1)
    np.testing.assert_array_equal(whole.numpy(), np.where(whole.numpy() != 0, x, 0))
    for check in (gradcheck, gradgradcheck):
        check(lambda v: v.max_unpool2d(indices, 3, 1), [values.numpy()])


def test_resizing_does_not_spread_infinities():
    """Only outputs whose window contains an infinite entry are infinite."""
    x = Tensor([[[1.0, 2.0, 3.0, 4.0, 5.0, np.inf]]])
    assert np.isfinite(x.interpolate((9,)).numpy()[..., :7]).all()
    assert np.isfinite(x.interpolate((4,), "nearest").numpy()[..., :4]).all()
    assert x.adaptive_avg_pool2d((4,)).tolist() == [[[1.5, 2.5, 4.5, np.inf]]]


SIXTEEN = np.arange(1.0, 17.0).reshape(4, 4)  # rows 1 2 3 4 / 5 6 7 8 / ...


@each("lead", [(), (1,), (1, 1)])
@each(
    ("pool", "layer", "expected"),
    [
        (Tensor.max_pool2d, nn.MaxPool2d, [[6, 8], [14, 16]]),
        (Tensor.avg_pool2d, nn.AvgPool2d, [[3.5, 5.5], [11.5, 13.5]]),
    ],
)
def test_pooling_matches_the_tutorial_examples(pool, layer, expected, lead):
    """Method and layer, for images with and without batch and channel axes."""
    x = Tensor(SIXTEEN.reshape(*lead, 4, 4))
    for out in (pool(x, 2), layer(2)(x)):
        assert out.shape == (*lead, 2, 2)
        assert out.reshape(2, 2).tolist() == expected


@each(
    "options",
    [
        {"kernel_size": (3, 2), "stride": 1},
        {"kernel_size": 3, "stride": (2, 1), "padding": 1},
        {"kernel_size": 2, "stride": 3, "dilation": 2, "ceil_mode": True},
    ],
)
@each("pool", [Tensor.max_pool2d, Tensor.avg_pool2d])
def test_batch_and_channel_axes_are_optional(pool, options):
    """Values and gradients of both orders match those of a full (N, C, H, W) image."""
    x = normal(3, 6, 7)
    whole = pool(Tensor(x[None]), **options).numpy()[0]
    np.testing.assert_array_equal(pool(Tensor(x), **options).numpy(), whole)
    np.testing.assert_array_equal(pool(Tensor(x[1]), **options).numpy(), whole[1])
    gradcheck(lambda t: pool(t, **options), [x[1]])
    gradgradcheck(lambda t: pool(t, **options).square(), [x[1]])


def test_pooling_indices_need_no_batch_or_channel_axis():
    values, indices = Tensor(SIXTEEN).max_pool2d((2, 4), return_indices=True)
    assert values.tolist() == [[8], [16]]
    assert indices.tolist() == [[7], [15]]
    values, indices = nn.MaxPool2d((2, 4), return_indices=True, data_format="NHWC")(Tensor(SIXTEEN))
    assert (values.tolist(), indices.tolist()) == ([[8], [16]], [[7], [15]])
    assert nn.AdaptiveAvgPool2d(1, data_format="NHWC")(Tensor(SIXTEEN)).tolist() == [[8.5]]


def test_convolution_windows_may_lie_entirely_in_the_padding():
    x, weight = leaf(np.ones((1, 1, 2, 2))), leaf(np.ones((1, 1, 1, 1)))
    out = x.conv2d(weight, padding=3)
    assert out.data.sum() == 4
    out.sum().backward()
    assert x.grad.data.tolist() == [[[[1, 1], [1, 1]]]]


def test_integer_kernel_size_means_two_axes():
    with pytest.raises(ShapeError, match="expected 2 to 4 axes"):
        Tensor.ones(2, 1, 4, 4, 4).max_pool2d(2)
    assert Tensor.ones(2, 1, 4, 4, 4).max_pool2d((2, 2, 2)).shape == (2, 1, 2, 2, 2)


def test_pooling_returns_one_by_one_images_unchanged():
    x, index = Tensor.full((1, 2, 1, 1), 3.0), Tensor(np.zeros((1, 2, 1, 1), np.int64))
    for found in (
        x.max_pool2d(1),
        x.avg_pool2d(1),
        x.adaptive_avg_pool2d(1),
        x.max_unpool2d(index, 1),
        x.max_unpool2d(index, 1, output_size=1),
    ):
        assert found.tolist() == x.tolist()


def test_adaptive_pooling_accepts_zero_channels():
    assert Tensor.ones(1, 0, 3, 3).adaptive_avg_pool2d(2).shape == (1, 0, 2, 2)


def test_padding_above_half_a_window_raises():
    with pytest.raises(ArgumentError, match="expected `padding` to be at most half of kernel_size"):
        Tensor.ones(1, 1, 5, 5).max_pool2d(3, padding=2)


def test_last_window_in_ceil_mode_starts_in_the_image_or_the_padding_before_it():
    x = Tensor([[[1.0, 2.0, 3.0]]])
    assert x.max_pool2d((2,), 3, padding=(1, 0), ceil_mode=True).tolist() == [[[1.0, 3.0]]]
    assert x.max_pool2d((2,), 3, padding=(0, 1), ceil_mode=True).tolist() == [[[2.0]]]


def test_windows_of_one_entry_subsample():
    x = Tensor(normal(1, 2, 4, 5))
    before = x.tolist()
    for pool in (x.max_pool2d, x.avg_pool2d):
        assert pool(1, stride=2).tolist() == x[:, :, ::2, ::2].tolist()
    assert x.tolist() == before


def test_gradients_of_float16_means_are_accumulated_in_float32():
    x = leaf(np.ones((1, 1, 9, 9), np.float16))
    out = x.avg_pool2d(7, stride=1, padding=3)
    out.sum().backward()
    assert x.grad.data[0, 0, 4, 4] == 1
