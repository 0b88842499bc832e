"""Activation layers: options, defaults, repr, errors and the method each one calls."""

import copy
import inspect
import math
import pickle
import re

import numpy as np
import pytest

from tests.nn.tools import sigmoid
from tests.tools import each
from tinygrad_np import Tensor, nn
from tinygrad_np.errors import ArgumentError, ShapeError

# Layers, with options that PyTorch's constructors accept as well.
ACTIVATIONS = [
    ("ReLU", {}),
    ("ReLU6", {}),
    ("LeakyReLU", {}),
    ("LeakyReLU", {"negative_slope": 0.3}),
    ("ELU", {}),
    ("ELU", {"alpha": 0.5}),
    ("CELU", {}),
    ("CELU", {"alpha": 0.5}),
    ("SELU", {}),
    ("GELU", {}),
    ("GELU", {"approximate": "tanh"}),
    ("SiLU", {}),
    ("Mish", {}),
    ("Softsign", {}),
    ("Sigmoid", {}),
    ("LogSigmoid", {}),
    ("Hardswish", {}),
    ("Hardsigmoid", {}),
    ("Hardtanh", {}),
    ("Hardtanh", {"min_val": -2.0, "max_val": 0.5}),
    ("Softplus", {}),
    ("Softplus", {"beta": 2.0}),
    ("Tanh", {}),
    ("Softmax", {"dim": 0}),
    ("Softmax", {"dim": 1}),
    ("Softmin", {"dim": 0}),
    ("LogSoftmax", {"dim": 1}),
]
EACH = each(("name", "options"), ACTIVATIONS, ids=str)


@EACH
def test_layers_call_their_tensor_method(name, options):
    """A layer passes its options, in order, to the Tensor method of its name."""
    layer = getattr(nn, name)(**options)
    x = Tensor([[-3.0, -0.5, 0.0], [0.5, 2.0, 7.0]], requires_grad=True)
    out = layer(x)
    expected = getattr(x, layer._method)(*[getattr(layer, o) for o in layer._options()])
    np.testing.assert_array_equal(out.data, expected.data, strict=True)
    out.sum().backward()
    assert x.grad.shape == x.shape


def test_every_activation_is_covered():
    """The table above has every public subclass of Activation."""
    classes = {name: value for name, value in vars(nn).items() if isinstance(value, type)}
    names = {name for name, cls in classes.items() if issubclass(cls, nn.Activation)}
    assert names == {"Activation", *(name for name, _ in ACTIVATIONS)}
    assert names <= set(nn.__all__)


@EACH
def test_options_are_attributes(name, options):
    """Options can be passed by position or name, are attributes, and appear in `repr`.

    Layers have no parameters, have a docstring, and can be copied and pickled.
    """
    layer = getattr(nn, name)(**options)
    for option, value in options.items():
        assert getattr(layer, option) == value
    assert layer.state_dict() == {}
    if list(options) == list(layer._options()):
        assert repr(type(layer)(*options.values())) == repr(layer)
    assert type(layer).__doc__.strip().endswith(".")
    for copied in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert repr(copied) == repr(layer)


@each("name", ["Softmax", "Softmin", "LogSoftmax"])
def test_softmax_needs_an_axis(name):
    """PyTorch's implicit choice depends on the number of axes."""
    for make in (getattr(nn, name), lambda: getattr(nn, name)(dim=None)):
        with pytest.raises(ArgumentError, match=rf"^{name}: expected `dim` .* pass dim=-1 for"):
            make()


@each(
    ("layer", "text"),
    [
        (nn.Tanh(), "Tanh()"),
        (nn.LeakyReLU(), "LeakyReLU(negative_slope=0.01)"),
        (nn.GELU("tanh"), "GELU(approximate='tanh')"),
        (nn.Hardtanh(-2.0, max_val=3.0), "Hardtanh(min_val=-2.0, max_val=3.0)"),
    ],
)
def test_repr_shows_the_options(layer, text):
    assert repr(layer) == text


def test_signature_shows_the_options():
    """The signature shows the options, for help() and editors."""
    assert str(inspect.signature(nn.LeakyReLU)) == "(negative_slope=0.01, inplace=False)"
    assert str(inspect.signature(nn.Tanh)) == "()"


@each(
    ("make", "words"),
    [
        (
            lambda: nn.Tanh(0.1),
            "Tanh: expected the arguments (), got (0.1,) and {} (too many positional arguments).",
        ),
        (
            lambda: nn.ELU(slope=1.0),
            "ELU: expected the arguments (alpha=1.0, inplace=False), got () and {'slope': 1.0} (",
        ),
        (lambda: nn.ReLU(0.1), "ReLU: expected `inplace` to be True or False, got 0.1."),
        (lambda: nn.Dropout(0.1, 2), "Dropout: expected `inplace` to be True or False, got 2."),
        (
            lambda: nn.Softmax(1, dim=1),
            "Softmax: expected the arguments (dim=None), got (1,) and {'dim': 1} (multiple values",
        ),
    ],
)
def test_unknown_options_raise(make, words):
    with pytest.raises(ArgumentError, match=re.escape(words)):
        make()


def elu(x, alpha=1.0):
    """Return x where x > 0, otherwise alpha (e^x - 1)."""
    return np.where(x > 0, x, alpha * np.expm1(x))


DEFAULTS = {
    "ReLU6": lambda x: np.clip(x, 0, 6),
    "LeakyReLU": lambda x: np.where(x > 0, x, 0.01 * x),
    "ELU": elu,
    "CELU": elu,
    "SELU": lambda x: 1.0507009873554805 * elu(x, 1.6732632423543772),
    "GELU": lambda x: [v / 2 * (1 + math.erf(v / math.sqrt(2))) for v in x],
    "SiLU": lambda x: x * sigmoid(x),
    "Mish": lambda x: x * np.tanh(np.log1p(np.exp(x))),
    "Softsign": lambda x: x / (1 + np.abs(x)),
    "Softplus": lambda x: np.log1p(np.exp(x)),
    "Sigmoid": sigmoid,
    "LogSigmoid": lambda x: -np.log1p(np.exp(-x)),
    "Hardsigmoid": lambda x: np.clip(x + 3, 0, 6) / 6,
    "Hardswish": lambda x: x * np.clip(x + 3, 0, 6) / 6,
    "Hardtanh": lambda x: np.clip(x, -1, 1),
    "Tanh": np.tanh,
}


@each("name,formula", DEFAULTS.items())
def test_defaults_match_the_formula(name, formula):
    x = np.array([-7.0, -3.5, -1.5, -0.25, 0.5, 2.0, 6.5])
    found = getattr(nn, name)()(Tensor(x))
    np.testing.assert_allclose(found.data, formula(x), rtol=1e-12)


@each("name", ["ReLU", "ReLU6", "SELU", "SiLU", "Mish", "Hardswish"])
def test_inplace_has_no_effect(name):
    """It may be the only positional argument, as in nn.ReLU(True)."""
    x = Tensor([-1.0, 2.0])
    layer = getattr(nn, name)(True)
    assert layer(x).tolist() == getattr(nn, name)()(x).tolist()
    assert x.tolist() == [-1.0, 2.0]
    assert layer.inplace
    assert repr(layer) == repr(getattr(nn, name)())


def test_prelu_of_another_number_of_channels_raises():
    message = "PReLU: expected input of shape (N, 3, ...), got (2, 4)."
    with pytest.raises(ShapeError, match=f"^{re.escape(message)}$"):
        nn.PReLU(3)(Tensor.ones(2, 4))
    assert nn.PReLU()(Tensor(-4.0)).item() == -1.0
