"""nn.utils: clipping under PyTorch's names, parameters as one vector."""

import re

import numpy as np
import pytest

from tests.tools import each
from tinygrad_np import Tensor, nn, optim
from tinygrad_np.errors import DtypeError, GraphError, ShapeError


def test_clip_grad_norm_returns_the_norm_as_a_tensor():
    weight = nn.Parameter([0.0, 0.0])
    weight.grad = Tensor([3.0, -4.0])
    norm = nn.utils.clip_grad_norm_([weight], 1.0, 1.0)
    assert isinstance(norm, Tensor)
    assert norm.item() == 7.0
    np.testing.assert_allclose(weight.grad.numpy(), np.array([3, -4]) / 7, rtol=1e-6)
    weight.grad = Tensor([np.nan, 0.0])
    with pytest.raises(GraphError, match="expected a finite norm"):
        nn.utils.clip_grad_norm_(weight, 1.0, error_if_nonfinite=True)


def test_clip_grad_value_has_pytorchs_name():
    assert nn.utils.clip_grad_value_ is optim.clip_grad_value


def test_vector_and_parameters_are_inverse():
    layer, other = nn.Linear(3, 2), nn.Linear(3, 2)
    vector = nn.utils.parameters_to_vector(layer.parameters())
    assert vector.shape == (8,)
    assert vector.tolist() == [*layer.weight.numpy().ravel().tolist(), *layer.bias.tolist()]
    nn.utils.vector_to_parameters(vector, other.parameters())
    np.testing.assert_array_equal(other.weight.numpy(), layer.weight.numpy())
    np.testing.assert_array_equal(other.bias.numpy(), layer.bias.numpy())


def test_parameters_to_vector_is_differentiable():
    layer = nn.Linear(2, 1)
    (nn.utils.parameters_to_vector(layer.parameters()) ** 2).sum().backward()
    np.testing.assert_allclose(layer.weight.grad.numpy(), 2 * layer.weight.numpy())
    np.testing.assert_allclose(layer.bias.grad.numpy(), 2 * layer.bias.numpy())


def test_vector_to_parameters_invalidates_a_live_graph():
    weight = nn.Parameter([1.0, 2.0])
    loss = (weight * weight).sum()
    nn.utils.vector_to_parameters(Tensor([3.0, 4.0]), [weight])
    assert weight.tolist() == [3.0, 4.0]
    with pytest.raises(GraphError, match="changed in place"):
        loss.backward()


@each(
    ("call", "error", "words"),
    [
        (lambda w: nn.utils.parameters_to_vector([]), ShapeError, "at least one parameter"),
        (lambda w: nn.utils.vector_to_parameters([1.0, 2.0], [w]), DtypeError, "Tensor, got list"),
        (
            lambda w: nn.utils.vector_to_parameters(Tensor([1.0]), [w, w]),
            ShapeError,
            "expected `vec` of shape (4,), one entry for each entry of the parameters, got (1,).",
        ),
        (
            lambda w: nn.utils.vector_to_parameters(Tensor([1.0, 2.0, 3.0]), [w]),
            ShapeError,
            "expected `vec` of shape (2,), one entry for each entry of the parameters, got (3,).",
        ),
    ],
)
def test_invalid_vectors_raise(call, error, words):
    weight = nn.Parameter([1.0, 2.0])
    with pytest.raises(error, match=re.escape(words)):
        call(weight)
    assert weight.tolist() == [1.0, 2.0]
