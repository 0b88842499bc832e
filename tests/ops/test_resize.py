"""Interpolation: uint8, other dtypes, unchanged and extreme sizes."""

import numpy as np
import pytest

from tests.tools import each, normal
from tinygrad_np import Tensor
from tinygrad_np.errors import ArgumentError, ShapeError


def test_uint8_is_rounded_half_up():
    x = Tensor(np.array([[[0, 1, 255]]], np.uint8))
    assert x.interpolate((5,), align_corners=True).dtype == np.uint8
    assert x.interpolate((5,), align_corners=True).tolist() == [[[0, 1, 1, 128, 255]]]
    assert x.interpolate((6,), "nearest").tolist() == [[[0, 0, 1, 1, 255, 255]]]


@each("mode", ["nearest", "nearest-exact"])
@each("dtype", [np.bool_, np.int32, np.float16])
def test_nearest_accepts_any_dtype(mode, dtype):
    x = np.array([[[0, 1, 1, 0]]], dtype)
    out = Tensor(x).interpolate((8,), mode)
    np.testing.assert_array_equal(out.numpy(), np.repeat(x, 2, -1), strict=True)


def test_unchanged_size_returns_the_input():
    x = Tensor(normal(1, 1, 4, 4))
    assert x.interpolate((4, 4)) is x
    assert x.adaptive_avg_pool2d((None, 4)) is x


def test_interpolate_accepts_size_one_and_rejects_zero():
    x = Tensor([[[1.0, 3.0, 5.0]]])
    assert x.interpolate((1,)).tolist() == [[[3.0]]]
    assert x.interpolate((1,), align_corners=True).tolist() == [[[1.0]]]
    assert Tensor.ones(1, 0, 3).interpolate((6,)).shape == (1, 0, 6)
    assert Tensor([1.0]).interpolate((2,)).tolist() == [1.0, 1.0]
    with pytest.raises(ArgumentError, match="integers >= 1"):
        x.interpolate((0,))
    with pytest.raises(ShapeError, match="non-empty images"):
        Tensor.ones(1, 2, 0).interpolate((2,))
