"""Linear-algebra kernels: cases that the ops do not reach."""

import numpy as np
import pytest

from tests.tools import each, normal
from tinygrad_np.kernels import linalg


@pytest.mark.parametrize("order", ["C", "F"])
@each("wanted", [(True, True), (True, True, True), (False, True, True), (True, False, False)])
def test_linear_grads_returns_only_the_wanted_gradients(order, wanted):
    x, weight, grad_out = normal(6, 3), normal(4, 3, seed=1), normal(6, 4, seed=2)
    expected = [grad_out @ weight, grad_out.T @ x, grad_out.sum(axis=0)]
    for shape in ((6, 3), (2, 3, 3)):
        given = np.array(x.reshape(shape), order=order), grad_out.reshape(*shape[:-1], 4)
        found = linalg.linear_grads(given[1], given[0], weight, wanted)
        assert [grad is not None for grad in found] == list(wanted)
        for grad, right in zip(found, expected, strict=False):
            if grad is not None:
                np.testing.assert_allclose(grad.reshape(right.shape), right, rtol=1e-12)


@each("p,expected", [(-1, [0, 0.5]), (0, [1, 1]), (0.5, [0, 2**0.5]), (1, [0, 2]), (3, [0, 8])])
def test_absolute_power_matches_its_definition(p, expected):
    assert linalg.absolute_power(np.array([0.0, -2.0]), p).tolist() == pytest.approx(expected)
