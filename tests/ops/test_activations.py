"""Softmax of integers."""

import numpy as np
import pytest

from tinygrad_np import Tensor


@pytest.mark.parametrize("name", ["softmax", "log_softmax", "softmin"])
def test_no_gradient_passes_a_truncation_to_integers(name):
    x = Tensor([0.2, 1.7, 2.9], requires_grad=True)
    y = getattr(x, name)(dtype=np.int64)
    if y.requires_grad:
        y.backward(np.array([1.0, 2.0, 3.0], np.float32))
        assert x.grad.tolist() == [0.0, 0.0, 0.0]
