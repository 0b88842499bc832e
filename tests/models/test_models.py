"""All models: sizes, shapes, first weights, gradients by central differences, a few steps."""

import ast
import math
from pathlib import Path

import numpy as np
import pytest

import models
from models import DigitsCNN, LabCNN, MnistCNN, MnistCNNLight
from tests.tools import rng
from tinygrad_np import Tensor, optim
from tinygrad_np.errors import ArgumentError

PARAMETERS = {
    "DigitsCNN": 1370,
    "FashionCNN": 1_630_282,
    "LabCNN": 402_986,
    "LeNet": 61_750,
    "MnistCNN": 421_642,
    "MnistCNNLight": 26_698,
    "ResNet": 77_754,
}
NAMES = pytest.mark.parametrize("name", PARAMETERS)


def made(name, seed=0):
    """Return a model and four random images with labels."""
    generator = np.random.default_rng(seed)
    model = getattr(models, name)(generator=generator)
    size = 8 if name == "DigitsCNN" else 28
    images = generator.standard_normal((4, 1, size, size))
    return model, images, generator.integers(0, 10, 4)


def test_every_model_is_here():
    assert sorted(PARAMETERS) == models.__all__


@NAMES
def test_number_of_parameters_and_shape_of_logits(name):
    model, images, _ = made(name)
    assert sum(parameter.numel() for parameter in model.parameters()) == PARAMETERS[name]
    assert model(Tensor(images, np.float32)).shape == (4, 10)
    total = model.summary(images.shape[1:]).splitlines()[-2]
    assert total.startswith(f"{PARAMETERS[name]:,} parameters")


def test_squeeze_excitation():
    model = models.ResNet(squeeze_excitation=True, generator=np.random.default_rng(0))
    assert sum(parameter.numel() for parameter in model.parameters()) == 80_582
    # All of it is drawn by the generator that is given.
    again = models.ResNet(squeeze_excitation=True, generator=np.random.default_rng(0))
    for name, array in model.state_dict().items():
        np.testing.assert_array_equal(again.state_dict()[name], array, err_msg=name)
    assert model(Tensor.zeros(2, 1, 28, 28)).shape == (2, 10)
    narrow = models.ResNet(squeeze_excitation=True, width=2)
    assert narrow(Tensor.zeros(2, 1, 28, 28)).shape == (2, 10)


def test_convolutions_of_resnet_start_after_he():
    for path, parameter in models.ResNet(np.random.default_rng(0)).named_parameters():
        if parameter.ndim == 4:
            deviation = np.sqrt(2 / np.prod(parameter.shape[1:]))
            assert is_drawn_with(parameter.data, deviation), path


@pytest.mark.parametrize(
    ("name", "p"), [("MnistCNN", 0.25), ("MnistCNNLight", 0.25), ("FashionCNN", 0.5)]
)
def test_dropout_is_that_of_the_systems(name, p):
    assert getattr(models, name)().dropout.p == p


def test_lab_cnn_of_two_blocks():
    model = models.LabCNN(np.random.default_rng(0), blocks=2)
    assert sum(parameter.numel() for parameter in model.parameters()) == 206_922
    assert model(Tensor.zeros(2, 1, 28, 28)).shape == (2, 10)
    assert models.LabCNN(channels=8, blocks=2).conv2.out_channels == 16
    with pytest.raises(ArgumentError, match="LabCNN blocks: got 3, expected 1 or 2"):
        models.LabCNN(blocks=3)


def test_models_are_written_forward_only():
    """Not a name in them has to do with gradients."""
    files = sorted(Path(models.__file__).parent.glob("*.py"))
    assert len(files) > len(PARAMETERS) / 2
    for file in files:
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            for name in (getattr(node, kind, None) for kind in ("id", "attr", "name", "arg")):
                words = ("backward", "grad", "vjp", "record")
                assert not any(word in str(name).lower() for word in words), (file, name)


def is_drawn_with(weights, deviation):
    """Tell whether weights have this standard deviation, within four of its own, and mean 0."""
    spread = 4 * deviation / np.sqrt(2 * weights.size)
    return abs(weights.std() - deviation) < spread and abs(weights.mean()) < 2 * spread


@pytest.mark.parametrize("name", ["LeNet", "DigitsCNN"])
def test_he_normal_throughout(name):
    """Weights are normal with variance 2 / fan_in, and biases 0."""
    model, *_ = made(name)
    for path, parameter in model.named_parameters():
        values = parameter.data
        if values.ndim > 1:
            deviation = np.sqrt(2 / np.prod(values.shape[1:]))
            assert is_drawn_with(values, deviation), path
            assert np.abs(values).max() > np.sqrt(3) * deviation, f"{path} is uniform"
        elif path.endswith("bias"):
            assert not values.any(), path


def test_fashion_cnn_starts_after_he_and_xavier():
    """He for the convolutions, Xavier for the linear layers, biases 0."""
    model, *_ = made("FashionCNN")
    for layer in (model.conv1, model.conv2):
        fan_in = np.prod(layer.weight.shape[1:])
        assert is_drawn_with(layer.weight.data, np.sqrt(2 / fan_in))
    for layer in (model.fc1, model.fc2):
        assert is_drawn_with(layer.weight.data, np.sqrt(2 / sum(layer.weight.shape)))
    for layer in (model.conv1, model.conv2, model.fc1, model.fc2):
        assert not layer.bias.data.any()


@pytest.mark.slow
@NAMES
def test_gradients_are_those_of_central_differences(name):
    """Along a random direction of all parameters at once, batch statistics included."""
    model, images, labels = made(name)
    model.astype(np.float64)
    for module in model.modules():
        if hasattr(module, "p"):
            module.p = 0.0  # without dropout, or each evaluation were of another function
    model(images).cross_entropy(labels).backward()
    generator = np.random.default_rng(1)
    parameters = list(model.parameters())
    directions = [generator.standard_normal(parameter.shape) for parameter in parameters]
    analytic = sum(
        float(np.sum(direction * parameter.grad.data))
        for direction, parameter in zip(directions, parameters, strict=True)
    )

    def loss(step):
        for parameter, direction in zip(parameters, directions, strict=True):
            parameter.data += step * direction
        value = model(images).cross_entropy(labels).item()
        for parameter, direction in zip(parameters, directions, strict=True):
            parameter.data -= step * direction
        return value

    # Two widths: where a unit or a pooling window changes its mind between, neither says much.
    numeric = [(loss(eps) - loss(-eps)) / (2 * eps) for eps in (1e-7, 1e-8)]
    assert min(abs(n - analytic) for n in numeric) <= 2e-5 * max(1.0, abs(analytic))


@pytest.mark.slow
@NAMES
def test_a_few_steps_reduce_the_loss(name):
    model, images, labels = made(name)
    optimizer = optim.Adam(model.parameters(), lr=0.003)
    losses = []
    for _ in range(25):
        optimizer.zero_grad()
        loss = model(Tensor(images, np.float32)).cross_entropy(labels)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert min(losses[-5:]) < 0.5 * losses[0]


def names(module):
    """Return the names of a module's parameters."""
    return [name for name, _ in module.named_parameters()]


# The models.


MODELS = {MnistCNN: 421_642, MnistCNNLight: 26_698, LabCNN: 402_986, DigitsCNN: 1_370}


TWO_CONV = ["conv1", "conv2", "fc1", "fc2"]


LAYERS = {
    MnistCNN: TWO_CONV,
    MnistCNNLight: TWO_CONV,
    LabCNN: ["conv", "fc1", "fc2"],
    DigitsCNN: ["conv", "fc"],
}


EACH_MODEL = pytest.mark.parametrize("model", list(MODELS), ids=lambda model: model.__name__)


@EACH_MODEL
def test_number_of_parameters(model):
    """Each model has as many parameters as its docstring says."""
    assert sum(parameter.numel() for parameter in model().parameters()) == MODELS[model]


def test_number_of_parameters_of_the_wide_lab_cnn():
    """LabCNN's wider form has twice the features to flatten."""
    expected = 32 * 10 + 32 * 14 * 14 * 128 + 128 + 1290
    assert sum(p.numel() for p in LabCNN(channels=32).parameters()) == expected


@EACH_MODEL
def test_names_of_parameters(model):
    """Parameters are named, and listed, as by a PyTorch model with the same attributes."""
    expected = [f"{layer}.{kind}" for layer in LAYERS[model] for kind in ("weight", "bias")]
    assert names(model()) == list(model().state_dict()) == expected


@EACH_MODEL
def test_logits(model):
    """Each model gives ten float32 logits an image."""
    side = 8 if model is DigitsCNN else 28
    out = model()(Tensor.ones(2, 1, side, side))
    assert out.shape == (2, 10)
    assert out.dtype == np.float32


@EACH_MODEL
def test_weights_follow_from_the_generator(model):
    """One seed gives the same weights, bit for bit; another seed others."""
    one, same, other = (model(rng(seed)).state_dict() for seed in (1, 1, 2))
    for name, array in one.items():
        np.testing.assert_array_equal(array, same[name], strict=True)
    assert any((array != other[name]).any() for name, array in one.items())


def test_digits_cnn_starts_after_he():
    """DigitsCNN's biases are 0 and its weights have the variance 2 / fan_in."""
    state = DigitsCNN(rng()).state_dict()
    assert not state["conv.bias"].any()
    assert not state["fc.bias"].any()
    assert state["fc.weight"].std() == pytest.approx(math.sqrt(2 / 128), rel=0.1)
