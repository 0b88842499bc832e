"""Scans of 0-d tensors."""

import numpy as np

from tinygrad_np import Tensor


def test_scans_of_a_tensor_without_an_axis():
    for dtype in (np.bool_, np.int32, np.float32):
        values, places = Tensor(1, dtype).cummax()
        assert (values.shape, values.dtype, places.tolist()) == ((), np.dtype(dtype), 0)
    assert Tensor(True).cumsum().dtype == np.int64
