"""Scans of 0-d and empty tensors."""

import numpy as np
import pytest

from tests.tools import leaf
from tinygrad_np import Tensor
from tinygrad_np.errors import AxisError


def test_scans_of_a_0d_tensor_have_the_expected_dtypes():
    for dtype in (np.bool_, np.int32, np.float32):
        values, places = Tensor(1, dtype).cummax()
        assert (values.shape, values.dtype, places.tolist()) == ((), np.dtype(dtype), 0)
    assert Tensor(True).cumsum().dtype == np.int64


@pytest.mark.parametrize("name", ["cumsum", "cumprod", "logcumsumexp", "cummax", "cummin"])
def test_scans_of_a_0d_tensor_return_its_value(name):
    for axis in (0, -1):
        x = leaf(3.0)
        out = getattr(x, name)(axis)
        out = out[0] if isinstance(out, tuple) else out
        out.backward()
        assert [out.item(), x.grad.item()] == [3.0, 1.0]
    with pytest.raises(AxisError):
        getattr(x, name)(1)


@pytest.mark.parametrize("name", ["cumsum", "cumprod", "logcumsumexp"])
def test_scans_of_an_empty_tensor_are_empty(name):
    x = leaf(np.ones((2, 0)))
    out = getattr(x, name)(1)
    out.sum().backward()
    assert out.shape == x.grad.shape == (2, 0)
