"""Second derivatives do not depend on the order of differentiation, even at kinks and zeros."""

import math

import numpy as np
import pytest

from tests.tools import each, leaf
from tinygrad_np import Tensor, ops

pytestmark = pytest.mark.slow

POINTS = (-1.0, 0.0, 0.5, 1.0, 2.0)
# Elementwise ops of two inputs: not the derivatives of `pow`, and no matrix ops.
OTHERS = {"power_slope", "power_log", "batched_matmul", "solve"}
PAIRS = [
    op
    for op in ops.table.values()
    if len(op.differentiable_inputs) == len(op.inputs) == 2
    and not (op.options or op.variadic or op.name in OTHERS)
]


def second_derivatives(function, *arrays):
    """Return the Hessian of the sum of `function` with respect to its arrays."""
    leaves = [leaf(np.array(array)) for array in arrays]
    with np.errstate(all="ignore"):
        grads = function(*leaves).sum().gradient(*leaves, create_graph=True)
        rows = []
        # Adding zeros makes every gradient depend on every input.
        zero = sum((x * 0).sum() for x in leaves)
        for grad in grads:
            for entry in (grad + zero).reshape(-1):
                parts = entry.gradient(*leaves)
                rows.append(np.concatenate([part.data.reshape(-1) for part in parts]))
    return np.array(rows)


def assert_symmetric(found):
    np.testing.assert_allclose(found, found.T, rtol=1e-9, atol=1e-12)


def test_some_ops_have_two_inputs():
    assert {"pow", "div", "maximum", "logaddexp", "mod"} <= {op.name for op in PAIRS}


@each("op", PAIRS)
@each("a", POINTS)
@each("b", POINTS)
def test_ops_with_two_inputs_are_symmetric(op, a, b):
    if op.name.startswith("binary_crossentropy"):
        a = min(max(a, 0.0), 1.0)
    assert_symmetric(second_derivatives(op, [a], [b]))


def test_powers_at_zero_are_symmetric():
    """The second derivative is (1 + p log x) x^(p - 1), with log 0 = 0 for p = 1."""
    for p, mixed in ((0.0, 0.0), (0.5, -math.inf), (1.0, 1.0), (1.5, 0.0), (2.0, 0.0)):
        found = second_derivatives(ops.pow, [0.0], [p])
        assert found[0, 1] == found[1, 0] == mixed


VECTORS = {
    "zeros": [0.0, 0.0, 0.0],
    "a zero": [0.0, 1.0, 2.0],
    "two zeros": [0.0, 0.0, 2.0],
    "equal": [2.0, 2.0, 2.0],
    "a tie": [1.0, 3.0, 3.0],
    "mixed": [-1.0, 0.0, 1.0],
}
WEIGHTS = Tensor([1.0, 2.0, 3.0], dtype=np.float64)
FUNCTIONS = {
    "norm": Tensor.norm,
    "norm 1": lambda x: x.norm(1),
    "norm 3": lambda x: x.norm(3),
    "norm inf": lambda x: x.norm(math.inf),
    "std": Tensor.std,
    "var": Tensor.var,
    "prod": Tensor.prod,
    "cumprod": lambda x: x.cumprod(0),
    "max": Tensor.max,
    "min": Tensor.min,
    "cummax": lambda x: x.cummax()[0],
    "logsumexp": Tensor.logsumexp,
    "logcumsumexp": Tensor.logcumsumexp,
    "softmax": lambda x: x.softmax() * WEIGHTS,
    "log_softmax": lambda x: x.log_softmax() * WEIGHTS,
    "clip": lambda x: (x.clip(0, 2) * x).sum() ** 2,
    "sort": lambda x: x.sort()[0] ** 3,
    "normalize": lambda x: x.normalize(dim=0) ** 2 * WEIGHTS,
    "relu": lambda x: x.relu().prod(),
    "softplus": lambda x: x.softplus().prod(),
    "layer_norm": lambda x: ops.layer_norm(x, WEIGHTS, eps=0.1) * WEIGHTS,
    "rms_norm": lambda x: ops.rms_norm(x, WEIGHTS, eps=0.1) * WEIGHTS,
    "det": lambda x: (x[:, None] * x).det(),
}


@each("name", FUNCTIONS)
@each("values", VECTORS)
def test_functions_of_a_vector_are_symmetric(name, values):
    found = second_derivatives(FUNCTIONS[name], VECTORS[values])
    assert_symmetric(found)
    if name != "normalize" or values != "zeros":
        assert np.isfinite(found).all()
