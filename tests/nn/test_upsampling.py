"""Upsample: options, and lengths from sizes and factors."""

import re

import numpy as np
import pytest

from tests.tools import each, rng
from tinygrad_np import Tensor, nn
from tinygrad_np.errors import ArgumentError, ShapeError


@each(
    ("layer", "shape", "size"),
    [
        (nn.Upsample(5), (2, 3, 4), (5,)),
        (nn.Upsample(5), (2, 3, 4, 6), (5, 5)),
        (nn.Upsample((5, 3)), (2, 3, 4, 6), (5, 3)),
        (nn.Upsample(scale_factor=2), (2, 3, 4, 6), (8, 12)),
        (nn.Upsample(scale_factor=(0.5, 1.5)), (2, 3, 4, 6), (2, 9)),
        (nn.Upsample(scale_factor=2.0), (1, 1, 2, 3, 4), (4, 6, 8)),
        (nn.Upsample(None, 1.5, "linear", True), (2, 3, 5), (7,)),
    ],
)
def test_lengths(layer, shape, size):
    """The result is that of `interpolate`, in both data formats."""
    x = Tensor.randn(*shape, generator=rng())
    mode = "linear" if layer.mode == "linear" else "nearest"
    expected = x.interpolate(size, mode, bool(layer.align_corners))
    assert layer(x).tolist() == expected.tolist()
    layer.data_format = "NHWC"
    last = layer(Tensor(np.moveaxis(x.data, 1, -1)))
    assert np.moveaxis(last.data, -1, 1).tolist() == expected.tolist()


@each(
    ("make", "words"),
    [
        (nn.Upsample, "expected either `size` or `scale_factor`, got size=None and scale_factor"),
        (lambda: nn.Upsample(2, 2), "expected either `size` or `scale_factor`, got size=2 and "),
        (
            lambda: nn.Upsample(2, mode="bicubic"),
            "expected `mode` to be one of nearest, nearest-exact, linear, bilinear, trilinear, got "
            "'bicubic'.",
        ),
        (
            lambda: nn.Upsample(2, align_corners=False),
            "expected no `align_corners` with mode='nearest', got False.",
        ),
        (lambda: nn.Upsample(scale_factor=0), "expected `scale_factor` to be above 0, got 0."),
        (
            lambda: nn.Upsample(scale_factor=(2, -1)),
            "expected `scale_factor` to be above 0, got (2, -1).",
        ),
        (
            lambda: nn.Upsample(scale_factor=1.5)(Tensor.ones(1, 1, 4, 3)),
            "expected a `scale_factor` that gives whole lengths for images of (4, 3), got 1.5. "
            "Pass `size` instead.",
        ),
        (
            lambda: nn.Upsample(scale_factor=(2, 2))(Tensor.ones(1, 1, 4)),
            "expected 1 numbers in `scale_factor` for images of (4,), got (2, 2).",
        ),
        (
            lambda: nn.Upsample((2, 0))(Tensor.ones(1, 1, 4, 4)),
            "expected `size` to be an integer >= 1, or 2 of them, got (2, 0).",
        ),
    ],
)
def test_invalid_arguments_raise(make, words):
    with pytest.raises(ArgumentError, match=f"^Upsample: {re.escape(words)}"):
        make()


@each(
    ("mode", "shape", "wanted"),
    [
        ("nearest", (3, 4), "3 to 5"),
        ("linear", (1, 1, 4, 4), "3"),
        ("bilinear", (1, 4, 4), "4"),
        ("trilinear", (1, 1, 4, 4), "5"),
    ],
)
def test_inputs_of_another_rank_raise(mode, shape, wanted):
    message = f"Upsample: expected input with {wanted} axes for mode={mode!r}, got {shape}."
    with pytest.raises(ShapeError, match=f"^{re.escape(message)}$"):
        nn.Upsample(scale_factor=2, mode=mode)(Tensor.ones(*shape))
