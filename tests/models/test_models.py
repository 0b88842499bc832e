"""Models: parameter counts, output shapes, initial weights, gradients, and a few steps."""

import ast
import functools
from pathlib import Path

import numpy as np
import pytest

import models
from models import MLP, DigitsCNN, LabCNN, MnistCNN, MnistCNNLight
from tests.nn.tools import assert_same
from tests.tools import each, rng
from tinygrad_np import Tensor, nn, optim
from tinygrad_np.errors import ArgumentError

PARAMETERS = {
    "DigitsCNN": 1370,
    "FashionCNN": 1_630_282,
    "LabCNN": 402_986,
    "LeNet": 61_750,
    "MLP": 101_770,
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


def size_of(model):
    """Return the number of parameters."""
    return sum(parameter.numel() for parameter in model.parameters())


def test_every_model_is_covered():
    assert sorted(PARAMETERS) == sorted(models.__all__)


@NAMES
def test_models_have_the_expected_size_and_ten_logits(name):
    model, images, _ = made(name)
    assert size_of(model) == PARAMETERS[name]
    logits = model(Tensor(images, np.float32))
    assert (logits.shape, logits.dtype) == ((4, 10), np.float32)
    total = str(model.summary(images.shape[1:])).splitlines()[-2]
    assert total.startswith(f"{PARAMETERS[name]:,} parameters")


def test_resnet_accepts_squeeze_excitation():
    make = functools.partial(models.ResNet, squeeze_excitation=True)
    assert size_of(make()) == 80_582
    # All weights come from the given generator.
    assert_same(make(rng()).state_dict(), make(rng()).state_dict())
    for model in (make(), make(width=2)):
        assert model(Tensor.zeros(2, 1, 28, 28)).shape == (2, 10)


def test_resnet_convolutions_have_he_weights():
    for path, parameter in made("ResNet")[0].named_parameters():
        if parameter.ndim == 4:
            deviation = np.sqrt(2 / np.prod(parameter.shape[1:]))
            assert is_drawn_with(parameter.data, deviation), path


def test_models_have_the_expected_dropout_probabilities():
    made = MnistCNN(), MnistCNNLight(), models.FashionCNN()
    assert [model.dropout.p for model in made] == [0.25, 0.25, 0.5]


def test_lab_cnn_options_set_channels_and_blocks():
    model = LabCNN(blocks=2)
    assert size_of(model) == 206_922
    assert model(Tensor.zeros(2, 1, 28, 28)).shape == (2, 10)
    assert LabCNN(channels=8, blocks=2).conv2.out_channels == 16
    # With 32 channels, fc1 has twice as many inputs.
    assert size_of(LabCNN(channels=32)) == 32 * 10 + 32 * 14 * 14 * 128 + 128 + 1290
    with pytest.raises(ArgumentError, match="LabCNN: expected `blocks` to be 1 or 2, got 3"):
        LabCNN(blocks=3)


def test_mlp_takes_points_and_any_number_of_layers():
    model = MLP(rng(), inputs=2, hidden=[16, 8], classes=3)
    sizes = [layer.weight.shape for layer in model.modules() if isinstance(layer, nn.Linear)]
    assert sizes == [(16, 2), (8, 16), (3, 8)]
    assert model(Tensor.zeros(5, 2, 1, 1)).shape == (5, 3)
    assert size_of(MLP(hidden=())) == 7850
    names = [name for name, _ in model.named_parameters()]
    assert names == [f"layers.{n}.{kind}" for n in (1, 3, 5) for kind in ("weight", "bias")]


@each(
    ("options", "message"),
    [
        ({"inputs": 0}, "MLP: expected `inputs` to be an integer >= 1, got 0"),
        ({"hidden": [4, 0]}, "MLP: expected `hidden` to be an integer >= 1, got 0"),
        (
            {"hidden": 16},
            r"MLP: expected `hidden` to be a list of sizes such as \[16, 16\], got 16",
        ),
        ({"classes": 2.5}, "MLP: expected `classes` to be an integer >= 1, got 2.5"),
    ],
)
def test_mlp_checks_its_sizes(options, message):
    with pytest.raises(ArgumentError, match=message):
        MLP(**options)


def test_models_contain_no_backward_code():
    """No identifier in the models refers to gradients."""
    files = sorted(Path(models.__file__).parent.glob("*.py"))
    assert len(files) > len(PARAMETERS) / 2
    for file in files:
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            for name in (getattr(node, kind, None) for kind in ("id", "attr", "name", "arg")):
                words = ("backward", "grad", "vjp", "record")
                assert not any(word in str(name).lower() for word in words), (file, name)


def is_drawn_with(weights, deviation):
    """Return whether weights have this standard deviation, up to 4 standard errors, and mean 0."""
    spread = 4 * deviation / np.sqrt(2 * weights.size)
    return abs(weights.std() - deviation) < spread and abs(weights.mean()) < 2 * spread


@pytest.mark.parametrize("name", ["LeNet", "DigitsCNN", "MLP"])
def test_weights_are_he_normal(name):
    """Weights are normal with variance 2 / fan_in, and biases are 0."""
    model, *_ = made(name)
    for path, parameter in model.named_parameters():
        values = parameter.data
        if values.ndim > 1:
            deviation = np.sqrt(2 / np.prod(values.shape[1:]))
            assert is_drawn_with(values, deviation), path
            assert np.abs(values).max() > np.sqrt(3) * deviation, f"{path} is uniform"
        elif path.endswith("bias"):
            assert not values.any(), path


def test_fashion_cnn_has_he_and_xavier_weights():
    """Convolutions have He weights, linear layers Xavier weights, and biases are 0."""
    model, *_ = made("FashionCNN")
    for layer in (model.conv1, model.conv2, model.fc1, model.fc2):
        shape = layer.weight.shape
        count = np.prod(shape[1:]) if len(shape) == 4 else sum(shape)
        assert is_drawn_with(layer.weight.data, np.sqrt(2 / count))
        assert not layer.bias.data.any()


@pytest.mark.slow
@NAMES
def test_gradients_match_central_differences(name):
    """Check the derivative along one random direction, including through batch statistics."""
    model, images, labels = made(name)
    model.astype(np.float64)
    for module in model.modules():
        if hasattr(module, "p"):
            module.p = 0.0  # with dropout, each evaluation would compute a different function
    model(images).cross_entropy(labels).backward()
    generator = np.random.default_rng(1)
    parameters = list(model.parameters())
    directions = [generator.standard_normal(parameter.shape) for parameter in parameters]
    pairs = zip(directions, parameters, strict=True)
    analytic = sum(float(np.sum(direction * p.grad.data)) for direction, p in pairs)

    def move(step):
        for parameter, direction in zip(parameters, directions, strict=True):
            parameter.data += step * direction

    def loss(step):
        move(step)
        value = model(images).cross_entropy(labels).item()
        move(-step)
        return value

    # Two step sizes: one of them may cross a kink of a ReLU or of a pooling window.
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


@each(
    ("model", "layers"),
    [
        (MnistCNN, ["conv1", "conv2", "fc1", "fc2"]),
        (MnistCNNLight, ["conv1", "conv2", "fc1", "fc2"]),
        (LabCNN, ["conv", "fc1", "fc2"]),
        (DigitsCNN, ["conv", "fc"]),
    ],
)
def test_parameter_names_match_pytorch(model, layers):
    """Names and order are those of a PyTorch model with the same attributes."""
    expected = [f"{layer}.{kind}" for layer in layers for kind in ("weight", "bias")]
    found = [name for name, _ in model().named_parameters()]
    assert found == list(model().state_dict()) == expected


@NAMES
def test_seed_decides_the_weights(name):
    """The same seed gives the same weights bit for bit; another seed gives others."""
    one, same, other = (made(name, seed)[0].state_dict() for seed in (1, 1, 2))
    assert_same(one, same)
    assert any((array != other[name]).any() for name, array in one.items())
