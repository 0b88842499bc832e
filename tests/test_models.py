"""All models: sizes, shapes, gradients by central differences, a few steps of training."""

import numpy as np
import pytest

import models
from tinygrad_np import Tensor, optim

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
    total = model.summary(images.shape[1:]).splitlines()[-1]
    assert total.startswith(f"{PARAMETERS[name]:,} parameters")


def test_squeeze_excitation():
    model = models.ResNet(squeeze_excitation=True, generator=np.random.default_rng(0))
    assert sum(parameter.numel() for parameter in model.parameters()) == 80_582
    assert model(Tensor.zeros(2, 1, 28, 28)).shape == (2, 10)


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
