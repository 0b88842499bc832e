"""Convolution and pooling layers: options and shapes."""

import numpy as np
import pytest

from tests.tools import each, rng
from tinygrad_np import Tensor, nn

# Layers.


@pytest.mark.parametrize(
    ("options", "shape"),
    [
        ({"kernel_size": 3}, (2, 6, 6, 8)),
        ({"kernel_size": 3, "padding": 1}, (2, 6, 8, 10)),
        ({"kernel_size": (1, 3), "stride": (2, 1)}, (2, 6, 4, 8)),
        ({"kernel_size": 3, "dilation": 2, "groups": 2}, (2, 6, 4, 6)),
    ],
)
def test_conv2d_options(options, shape):
    """Conv2d hands its options on to the op."""
    layer = nn.Conv2d(4, 6, **options)
    x = Tensor.randn(2, 4, 8, 10, generator=rng())
    options = {name: value for name, value in options.items() if name != "kernel_size"}
    expected = x.conv2d(layer.weight, layer.bias, **options)
    assert expected.shape == shape
    np.testing.assert_array_equal(layer(x).numpy(), expected.numpy())


@pytest.mark.parametrize(
    ("arguments", "shape"),
    [((2,), (1, 2, 4, 5)), ((3, 1), (1, 2, 6, 8)), ((3, 2, 1), (1, 2, 4, 5))],
)
def test_max_pool2d_options(arguments, shape):
    """The stride of MaxPool2d is the window unless given."""
    x = Tensor.randn(1, 2, 8, 10, generator=rng())
    out = nn.MaxPool2d(*arguments)(x)
    assert out.shape == shape
    expected = x.max_pool2d(*arguments[:2], padding=arguments[2] if arguments[2:] else 0)
    np.testing.assert_array_equal(out.numpy(), expected.numpy())


@each(
    ("layer", "expected"),
    [
        (
            nn.Conv1d(4, 6, 3, padding="same", groups=2, generator=rng()),
            lambda x, *w: x.conv2d(*w, padding=1, groups=2),
        ),
        (
            nn.Conv2d(4, 6, (2, 3), padding="same", dilation=2, generator=rng()),
            lambda x, *w: x.conv2d(*w, padding=(2, 2, 1, 1), dilation=2),
        ),
        (
            nn.Conv2d(4, 6, 3, padding=(1, 2, 0, 1), generator=rng()),
            lambda x, *w: x.pad((1, 2, 0, 1)).conv2d(*w),
        ),
        (
            nn.Conv3d(4, 2, (1, 2, 3), stride=(1, 2, 1), generator=rng()),
            lambda x, *w: x.conv2d(*w, stride=(1, 2, 1)),
        ),
        (
            nn.ConvTranspose2d(4, 6, 3, 2, 1, 1, 2, dilation=(2, 1), generator=rng()),
            lambda x, *w: x.conv_transpose2d(
                *w, stride=2, padding=1, output_padding=1, groups=2, dilation=(2, 1)
            ),
        ),
        (nn.MaxPool2d(3, 1, 1, 2), lambda x: x.max_pool2d(3, 1, 2, 1)),
        (nn.MaxPool2d(3, 2, ceil_mode=True), lambda x: x.max_pool2d(3, 2, ceil_mode=True)),
        (
            nn.AvgPool2d(3, 2, 1, True, False),
            lambda x: x.avg_pool2d(3, 2, 1, 1, True, False),
        ),
        (nn.AdaptiveAvgPool2d((None, 3)), lambda x: x.adaptive_avg_pool2d((None, 3))),
    ],
    ids=lambda value: repr(value) if isinstance(value, nn.Module) else "",
)
def test_layers_of_images(layer, expected):
    """Layers hand their options on to the ops, in either order of the axes, with gradients."""
    rank = getattr(layer, "rank", 2)
    x = Tensor.randn(2, 4, *(7, 6, 5)[:rank], generator=rng())
    wanted = expected(x, *layer.parameters())
    np.testing.assert_allclose(layer(x).numpy(), wanted.numpy(), rtol=1e-5, atol=1e-6)
    layer.data_format = "NHWC"
    last = Tensor(np.moveaxis(x.numpy(), 1, -1), requires_grad=True)
    out = layer(last)
    np.testing.assert_array_equal(np.moveaxis(out.data, -1, 1), layer_first(layer, x))
    out.sum().backward()
    assert last.grad.shape == last.shape


def layer_first(layer, x):
    """Return what a layer makes of channels first."""
    layer.data_format = "NCHW"
    return layer(x).numpy()


def test_max_pool2d_with_indices():
    """MaxPool2d returns where the maxima were, which is enough to put them back."""
    x = Tensor.randn(2, 3, 4, 6, generator=rng())
    values, indices = nn.MaxPool2d(2, return_indices=True)(x)
    whole = values.max_unpool2d(indices)
    assert whole.shape == x.shape
    np.testing.assert_array_equal(whole.max_pool2d(2).numpy(), np.maximum(values.numpy(), 0))
    last = Tensor(np.moveaxis(x.numpy(), 1, -1))
    found = nn.MaxPool2d(2, return_indices=True, data_format="NHWC")(last)
    for array, expected in zip(found, (values, indices), strict=True):
        np.testing.assert_array_equal(np.moveaxis(array.numpy(), -1, 1), expected.numpy())


def test_padding_of_each_side():
    x = Tensor.ones(1, 1, 3, 3)
    for layer in (nn.Conv2d(1, 1, 1, padding=(0, 1, 2, 0)), nn.Conv2d(1, 1, 1, padding=(2, 1))):
        expected = x.conv2d(layer.weight, layer.bias, padding=layer.padding)
        assert layer(x).shape == expected.shape
    assert nn.Conv2d(1, 1, 1, padding=(0, 1, 2, 0))(x).shape == (1, 1, 5, 4)
