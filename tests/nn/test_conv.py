"""Convolution and pooling layers: options and shapes."""

import numpy as np

from tests.tools import each, rng
from tinygrad_np import Tensor, nn


@each(
    ("layer", "expected"),
    [
        (nn.Conv1d(4, 6, 3, padding="same", groups=2), lambda x, *w: x.conv2d(*w, 1, 1, 1, 2)),
        (nn.Conv2d(4, 6, 3), lambda x, *w: x.conv2d(*w)),
        (nn.Conv2d(4, 6, (1, 3), (2, 1), 1), lambda x, *w: x.conv2d(*w, (2, 1), 1)),
        (
            nn.Conv2d(4, 6, (2, 3), padding="same", dilation=2),
            lambda x, *w: x.conv2d(*w, padding=(2, 2, 1, 1), dilation=2),
        ),
        (nn.Conv2d(4, 6, 3, padding=(1, 2, 0, 1)), lambda x, *w: x.pad((1, 2, 0, 1)).conv2d(*w)),
        (
            nn.Conv3d(4, 2, (1, 2, 3), stride=(1, 2, 1)),
            lambda x, *w: x.conv2d(*w, stride=(1, 2, 1)),
        ),
        (
            nn.ConvTranspose2d(4, 6, 3, 2, 1, 1, 2, dilation=(2, 1)),
            lambda x, *w: x.conv_transpose2d(
                *w, stride=2, padding=1, output_padding=1, groups=2, dilation=(2, 1)
            ),
        ),
        (
            nn.Conv1d(4, 6, 3, padding=(2, 1), padding_mode="replicate"),
            lambda x, *w: x.pad((2, 1), "replicate").conv2d(*w),
        ),
        (
            nn.Conv2d(4, 6, (2, 3), 1, "same", padding_mode="circular"),
            lambda x, *w: x.pad((1, 1, 0, 1), "circular").conv2d(*w),
        ),
        (
            nn.ConvTranspose1d(4, 6, 3, 2, 1, 1, 2, dilation=2),
            lambda x, *w: x.conv_transpose2d(
                *w, stride=2, padding=1, output_padding=1, groups=2, dilation=2
            ),
        ),
        (nn.MaxPool1d(3, 2, 1), lambda x: x.max_pool2d((3,), 2, 1, 1)),
        (nn.AvgPool1d(3, 2, 1), lambda x: x.avg_pool2d((3,), 2, 1, 1)),
        (nn.MaxPool2d(2), lambda x: x.max_pool2d(2, 2)),
        (nn.MaxPool2d(3, 1, 1, 2), lambda x: x.max_pool2d(3, 1, 2, 1)),
        (nn.MaxPool2d(3, 2, ceil_mode=True), lambda x: x.max_pool2d(3, 2, ceil_mode=True)),
        (nn.AvgPool2d(3, 2, 1, True, False), lambda x: x.avg_pool2d(3, 2, 1, 1, True, False)),
        (nn.AdaptiveAvgPool2d((None, 3)), lambda x: x.adaptive_avg_pool2d((None, 3))),
    ],
)
def test_image_layers_pass_their_options_to_the_ops(layer, expected):
    """Layers pass their options to the ops, in both data formats, with gradients."""
    rank = getattr(layer, "rank", 2)
    x = Tensor.randn(2, 4, *(7, 6, 5)[:rank], generator=rng())
    for parameter in layer.parameters():
        nn.init.uniform_(parameter, -0.3, 0.3, rng(1))
    first = layer(x).numpy()
    wanted = expected(x, *layer.parameters())
    np.testing.assert_allclose(first, wanted.numpy(), rtol=1e-5, atol=1e-6)
    layer.data_format = "NHWC"
    last = Tensor(np.moveaxis(x.numpy(), 1, -1), requires_grad=True)
    out = layer(last)
    np.testing.assert_array_equal(np.moveaxis(out.data, -1, 1), first)
    out.sum().backward()
    assert last.grad.shape == last.shape


def test_max_pool2d_returns_indices_for_unpooling():
    """MaxPool2d returns the indices that max_unpool2d needs."""
    x = Tensor.randn(2, 3, 4, 6, generator=rng())
    values, indices = nn.MaxPool2d(2, return_indices=True)(x)
    whole = values.max_unpool2d(indices)
    assert whole.shape == x.shape
    np.testing.assert_array_equal(whole.max_pool2d(2).numpy(), np.maximum(values.numpy(), 0))
    last = Tensor(np.moveaxis(x.numpy(), 1, -1))
    found = nn.MaxPool2d(2, return_indices=True, data_format="NHWC")(last)
    for array, expected in zip(found, (values, indices), strict=True):
        np.testing.assert_array_equal(np.moveaxis(array.numpy(), -1, 1), expected.numpy())


def test_padding_can_differ_per_side():
    x = Tensor.ones(1, 1, 3, 3)
    for layer in (nn.Conv2d(1, 1, 1, padding=(0, 1, 2, 0)), nn.Conv2d(1, 1, 1, padding=(2, 1))):
        expected = x.conv2d(layer.weight, layer.bias, padding=layer.padding)
        assert layer(x).shape == expected.shape
    assert nn.Conv2d(1, 1, 1, padding=(0, 1, 2, 0))(x).shape == (1, 1, 5, 4)
