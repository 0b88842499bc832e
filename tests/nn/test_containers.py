"""ModuleDict and ParameterList."""

import re

import numpy as np
import pytest

from tests.nn.tools import assert_same
from tests.tools import each
from tinygrad_np import Tensor, nn
from tinygrad_np.errors import ArgumentError, AxisError, KeyNotFoundError


def test_module_dict_is_a_dict_in_order_of_insertion():
    first, second, third = nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1)
    layers = nn.ModuleDict([("first", first), ("second", second)])
    assert list(layers) == list(layers.keys()) == ["first", "second"]
    assert list(layers.values()) == [first, second]
    assert list(layers.items()) == [("first", first), ("second", second)]
    assert (len(layers), "first" in layers, "third" in layers) == (2, True, False)
    layers.update({"first": third, "third": third})
    assert list(layers.items()) == [("first", third), ("second", second), ("third", third)]
    assert layers.first is layers["first"] is third
    assert layers.pop("first") is third
    del layers["second"]
    assert list(layers) == ["third"]
    layers.clear()
    assert not len(layers)
    assert "third" not in layers
    layers["third"] = first
    assert list(layers.state_dict()) == ["third.weight", "third.bias"]


def test_modules_of_a_dict_are_children_of_the_model():
    class Model(nn.Module):
        def __init__(self):
            self.heads = nn.ModuleDict({"a": nn.Linear(2, 1), "b": nn.Linear(2, 3)})

        def forward(self, x, head):
            return self.heads[head](x)

    model = Model()
    assert [model(Tensor.ones(4, 2), head).shape for head in "ab"] == [(4, 1), (4, 3)]
    names = ["heads.a.weight", "heads.a.bias", "heads.b.weight", "heads.b.bias"]
    assert [name for name, _ in model.named_parameters()] == names
    assert not model.eval().heads["a"].training


@each("key", ["missing", "training", "keys", 0])
def test_unknown_names_raise(key):
    layers = nn.ModuleDict({"a": nn.ReLU()})
    message = f"ModuleDict: expected one of the names ['a'], got {key!r}."
    for error in (KeyNotFoundError, KeyError):
        with pytest.raises(error, match=f"^{re.escape(message)}$"):
            layers[key]
    with pytest.raises(KeyNotFoundError):
        layers.pop(key)


@each("key", ["", "a.b", "train", "training", "keys", 0, None])
def test_names_that_are_not_attribute_names_raise(key):
    layers = nn.ModuleDict()
    with pytest.raises(ArgumentError, match=re.escape(f"of Module, got {key!r}.")):
        layers[key] = nn.ReLU()


def test_containers_refuse_other_values():
    with pytest.raises(ArgumentError, match=r"^ModuleDict: expected a module for 'a', got float"):
        nn.ModuleDict({"a": 1.0})
    for value in (1.0, np.ones(2), [Tensor.ones(2)]):
        message = "^ParameterList: expected Parameters or Tensors, got "
        with pytest.raises(ArgumentError, match=message):
            nn.ParameterList([value])


def test_parameter_list_is_a_list():
    a, b, c = (nn.Parameter([float(n)]) for n in range(3))
    weights = nn.ParameterList([a])
    assert weights.append(b) is weights.extend([c]) is weights
    assert [len(weights), *weights] == [3, a, b, c]
    assert (weights[0], weights[-1]) == (a, c)
    assert list(weights[1:]) == [b, c]
    assert isinstance(weights[1:], nn.ParameterList)
    weights[-1] = a
    assert list(weights) == [a, b, a]
    weights[0] = Tensor([7.0])
    assert isinstance(weights[0], nn.Parameter)
    for index in (3, -4):
        with pytest.raises(AxisError, match=rf"^ParameterList: index {index} is out of range for "):
            weights[index]
        with pytest.raises(AxisError, match="is out of range for 3 parameters"):
            weights[index] = b


def test_appending_never_replaces_a_parameter():
    """Names after a removal have gaps."""
    a, b, c, d = (nn.Parameter([float(n)]) for n in range(4))
    weights = nn.ParameterList([a, b, c])
    delattr(weights, "0")
    weights += [d]
    assert list(map(id, weights)) == list(map(id, [b, c, d]))
    weights[0] = a
    assert list(map(id, weights)) == list(map(id, [a, c, d]))


def test_parameters_of_a_list_are_parameters_of_the_model():
    class Model(nn.Module):
        def __init__(self):
            self.scales = nn.ParameterList(Tensor.full((2,), n) for n in (2.0, 3.0))

        def forward(self, x):
            for scale in self.scales:
                x = x * scale
            return x

    model = Model()
    assert [name for name, _ in model.named_parameters()] == ["scales.0", "scales.1"]
    model(Tensor.ones(4, 2)).sum().backward()
    assert [p.grad.tolist() for p in model.parameters()] == [[12.0, 12.0], [8.0, 8.0]]
    other = Model()
    other.load_state_dict({name: 0 * value for name, value in model.state_dict().items()})
    assert not other(Tensor.ones(2)).data.any()
    other.load_state_dict(model.state_dict())
    assert_same(other.state_dict(), model.state_dict())
