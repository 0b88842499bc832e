"""Activations at their kinks and at nan."""

import numpy as np

from tests.tools import leaf

# Kinks and nans, as in PyTorch.


def test_relu_at_its_kink_and_at_nan():
    x = leaf(-1.0, 0.0, 2.0, np.nan)
    x.relu().backward(np.ones(4))
    assert x.grad.tolist() == [0.0, 0.0, 1.0, 1.0]


def test_what_relu_shuts_off_stays_zero_also_times_inf():
    x = leaf(-1.0, 4.0)
    with np.errstate(divide="ignore"):
        x.relu().sqrt().sum().backward()
    assert x.grad.tolist() == [0.0, 0.25]
