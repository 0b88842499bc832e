"""Channels last: with data_format="NHWC" a network computes the same function."""

import inspect
import re

import numpy as np
import pytest

from tests.tools import each
from tinygrad_np import Tensor, nn
from tinygrad_np.errors import ArgumentError, ShapeError

LAYERS = [
    *("Conv1d", "Conv2d", "Conv3d", "ConvTranspose1d", "ConvTranspose2d"),
    *("MaxPool1d", "MaxPool2d", "AvgPool1d", "AvgPool2d"),
    *("AdaptiveAvgPool2d", "BatchNorm1d", "BatchNorm2d", "GroupNorm", "InstanceNorm2d"),
    "Dropout2d",
]


def network(**form):
    """Return a network with one layer of each kind that takes images, and a linear layer."""
    generator = np.random.default_rng(0)
    layers = [
        nn.Conv2d(2, 4, 3, padding=(1, 0, 1, 0), generator=generator, **form),
        nn.BatchNorm2d(4, **form),
        nn.SiLU(),
        nn.MaxPool2d(3, 2, 1, **form),
        nn.Dropout2d(0.4, generator=np.random.default_rng(1), **form),
        nn.Conv2d(4, 6, 2, groups=2, dilation=2, generator=generator, **form),
        nn.GroupNorm(3, 6, **form),
        nn.ConvTranspose2d(6, 4, 3, 2, generator=generator, **form),
        nn.InstanceNorm2d(4, affine=True, track_running_stats=True, **form),
        nn.Tanh(),
        nn.AvgPool2d((2, 3), 2, **form),
        nn.AdaptiveAvgPool2d(1, **form),
        nn.Flatten(),
        nn.Linear(4, 3, generator=generator),
    ]
    return nn.Sequential(*layers).astype(np.float64)


def turned(images):
    """Return images (N, C, H, W) as a contiguous array (N, H, W, C)."""
    return np.ascontiguousarray(np.moveaxis(images, 1, -1))


@each("name", LAYERS)
def test_every_image_layer_takes_data_format(name):
    parameter = inspect.signature(getattr(nn, name)).parameters["data_format"]
    assert (parameter.default, parameter.kind) == ("NCHW", parameter.KEYWORD_ONLY)


def test_a_network_computes_the_same_in_both_formats():
    """Compare outputs, gradients, second derivatives, running statistics and evaluation."""
    images = np.random.default_rng(2).standard_normal((3, 2, 9, 8))
    labels = np.array([0, 2, 1])
    seen = []
    for model, x in ((network(), images), (network(data_format="NHWC"), turned(images))):
        batch = Tensor(x, requires_grad=True)
        targets = [batch, *model.parameters()]
        logits = model(batch)
        first = logits.cross_entropy(labels).gradient(*targets, create_graph=True)
        squares = sum((gradient * gradient).sum() for gradient in first)
        second = squares.gradient(*targets)
        state = model.state_dict().values()
        values = [logits.numpy(), *state, *(g.numpy() for g in (*first[1:], *second[1:]))]
        seen.append((values, first[0].numpy(), second[0].numpy(), model.eval()(batch).numpy()))
    (values, *of_images, evaluated), (others, *of_turned, again) = seen
    assert all(np.abs(expected).max() > 1e-3 for expected in of_images)
    others += [again, *(np.moveaxis(found, -1, 1) for found in of_turned)]
    for found, expected in zip(others, [*values, evaluated, *of_images], strict=True):
        np.testing.assert_allclose(
            found, expected, rtol=1e-8, atol=1e-10
        )  # summation order differs


def test_dropout2d_drops_the_same_channels_in_both_formats():
    """Both formats drop the same channels."""
    x = np.ones((4, 3, 2, 5), np.float32)
    first = nn.Dropout2d(0.5, generator=np.random.default_rng(0))(Tensor(x)).numpy()
    layer = nn.Dropout2d(0.5, generator=np.random.default_rng(0), data_format="NHWC")
    np.testing.assert_array_equal(np.moveaxis(layer(turned(x)).numpy(), -1, 1), first)
    assert 0 < first.mean() < 2
    assert repr(layer) == "Dropout2d(p=0.5, data_format='NHWC')"
    with pytest.raises(ShapeError, match=r"expected input of shape \(N, H, W, C\), got \(2, 3\)\."):
        layer(Tensor.ones(2, 3))
    with pytest.raises(
        ArgumentError, match="Dropout2d: expected `data_format` to be 'NCHW' or 'NHWC', got 'HWC'"
    ):
        nn.Dropout2d(data_format="HWC")


LAST = {"data_format": "NHWC"}


@each(
    ("layer", "shape", "inner"),
    [
        (nn.Conv2d(3, 4, 5, **LAST), (2, 8, 4, 3), "an image of (8, 4)"),
        (
            nn.ConvTranspose2d(3, 4, 3, padding=9, **LAST),
            (2, 3, 8, 3),
            "expected a non-empty output, got lengths (-13, -8)",
        ),
        (nn.MaxPool2d(5, **LAST), (2, 3, 8, 8), "an image of (3, 8)"),
        (nn.AvgPool2d(5, **LAST), (2, 3, 8, 8), "an image of (3, 8)"),
        (
            nn.AdaptiveAvgPool2d(5, **LAST),
            (2, 0, 8, 8),
            "adaptive_avg_pool2d: expected non-empty images",
        ),
    ],
)
def test_errors_show_the_callers_shape_and_data_format(layer, shape, inner):
    """The error shows the input as passed and how `data_format` interprets it."""
    words = (
        f"{type(layer).__name__}: expected channels-last input (data_format='NHWC') that "
        f"fits the layer, got {shape}. In channels-first order: "
    )
    with pytest.raises(ShapeError, match=re.escape(words) + ".*" + re.escape(inner)):
        layer(Tensor.ones(*shape))


@each(
    ("layer", "shape"),
    [
        (nn.BatchNorm2d(3, **LAST), (1, 1, 1, 3)),
        (nn.InstanceNorm2d(3, **LAST), (2, 1, 1, 3)),
        (nn.InstanceNorm2d(3, **LAST), (1, 1, 3)),
        (nn.InstanceNorm2d(3, **LAST), (3, 8, 8)),
        (nn.InstanceNorm2d(3), (3, 1, 1)),
        (nn.InstanceNorm2d(3), (8, 8, 3)),
        (nn.GroupNorm(3, 3, **LAST), (1, 1, 1, 3)),
        (nn.BatchNorm2d(3, **LAST), (1, 3, 1, 1)),
    ],
)
def test_norm_layer_errors_show_the_callers_shape(layer, shape):
    with pytest.raises(ShapeError, match=re.escape(f", got {shape}.")):
        layer(Tensor.ones(*shape))
