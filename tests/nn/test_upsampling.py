"""Upsample passes its options to interpolate."""

import numpy as np
import pytest

from tests.tools import each, rng
from tinygrad_np import Tensor, nn
from tinygrad_np.errors import ArgumentError
from tinygrad_np.nn.functional import interpolate


@each(
    ("options", "shape"),
    [
        ((5,), (2, 3, 4)),
        (((5, 3),), (2, 3, 4, 6)),
        ((None, 2), (2, 3, 4, 6)),
        ((None, (0.5, 1.5), "bilinear"), (2, 3, 4, 6)),
        ((None, 2.0, "trilinear"), (1, 1, 2, 3, 4)),
        ((None, 1.5, "linear", True), (2, 3, 5)),
        ((None, 1.5, "linear", None, True), (2, 3, 5)),
        ((2, None, "area"), (2, 3, 5, 4)),
    ],
)
def test_upsample_interpolates_in_both_formats(options, shape):
    x = Tensor.randn(*shape, generator=rng())
    expected = interpolate(x, *options).tolist()
    assert nn.Upsample(*options)(x).tolist() == expected
    last = nn.Upsample(*options, data_format="NHWC")(Tensor(np.moveaxis(x.data, 1, -1)))
    assert np.moveaxis(last.data, -1, 1).tolist() == expected


@each("options", [{}, {"size": 2, "scale_factor": 2}, {"size": 2, "mode": "bicubic"}])
def test_invalid_options_raise_in_a_call(options):
    with pytest.raises(ArgumentError, match=r"^interpolate: expected "):
        nn.Upsample(**options)(Tensor.ones(1, 1, 4))
