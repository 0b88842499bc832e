"""predict: outputs in the loader's order, modes, and wrong outputs."""

import numpy as np
import pytest

from tests.tools import each, normal
from tinygrad_np import nn, train
from tinygrad_np.errors import ArgumentError, DtypeError

X = normal(5, 3).astype(np.float32)
BATCHES = [(X[:2], None), (X[2:], None)]


class Returns(nn.Module):
    """A model that applies a function to its result."""

    def __init__(self, function):
        self.layer, self.dropout, self.function = nn.Linear(3, 2), nn.Dropout(), function

    def forward(self, x):
        return self.function(self.dropout(self.layer(x)))


def test_outputs_are_in_order_and_the_mode_is_restored():
    model = Returns(lambda out: out * 2)
    found = train.predict(model, BATCHES)
    assert model.dropout.training
    np.testing.assert_allclose(found, model.eval()(X).data, rtol=1e-6)


@each("function", [lambda out: (out, out), lambda out: {"a": out}, lambda out: out.numpy()])
def test_non_tensor_output_raises(function):
    model = Returns(function)
    name = type(function(model.layer(X).detach())).__name__
    message = f"^predict: expected the model to return a Tensor, got {name}."
    with pytest.raises(DtypeError, match=message):
        train.predict(model, BATCHES)
    assert model.training


def test_empty_loader_raises():
    with pytest.raises(ArgumentError, match=r"^predict: the loader yielded no samples\."):
        train.predict(Returns(abs), [])
