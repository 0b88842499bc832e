"""Three ways to each model's gradients: autodiff, by hand, and PyTorch beside both."""

import numpy as np
import pytest

from tests.by_hand import im2col, networks
from tests.by_hand.cases import (
    HAS_DROPOUT,
    MODELS,
    autodiff,
    by_hand,
    disagreements,
    draw_batch,
    draw_kept,
    mask_generator,
    new_model,
    relative_error,
    weights_of,
)
from tests.oracle.torch_models import torch_model
from tinygrad_np import Tensor, optim

torch = pytest.importorskip("torch", reason="torch is not installed: pip install -e '.[oracle]'")

pytestmark = pytest.mark.slow

NAMES = pytest.mark.parametrize("name", list(MODELS))


def drop(model, kept):
    """Make the next forward of `model` drop what is not kept."""
    if kept is not None:
        model.factor = torch.tensor(kept / (1 - networks.DROPOUT))


def by_torch(model, images, labels, kept=None):
    """Return loss, gradients by parameter name, and the gradient for the images."""
    x = torch.tensor(images, requires_grad=True)
    drop(model, kept)
    loss = torch.nn.functional.cross_entropy(model(x), torch.tensor(labels))
    loss.backward()
    gradients = {key: parameter.grad.numpy() for key, parameter in model.named_parameters()}
    return loss.item(), gradients, x.grad.numpy()


@NAMES
@pytest.mark.parametrize(("batch", "seed"), [(1, 0), (3, 1), (5, 2)])
def test_gradients(name, batch, seed):
    """Every gradient, with dropout on where the model has it."""
    model = new_model(name, seed, np.float64)
    weights = weights_of(model)
    images, labels = draw_batch(name, batch, np.random.default_rng(seed))
    kept = draw_kept(name, weights, batch, mask_generator(seed))
    expected = by_torch(torch_model(name, weights), images, labels, kept)
    assert disagreements(autodiff(model, images, labels), expected, 1e-10) == {}
    found = by_hand(name, im2col, weights, images, labels, kept)
    assert disagreements(found, expected, 1e-10) == {}


@pytest.mark.parametrize("name", HAS_DROPOUT)
def test_evaluation(name):
    """In evaluation nothing is dropped and nothing is scaled."""
    model = new_model(name, 0, np.float64).eval()
    weights = weights_of(model)
    images, labels = draw_batch(name, 3, np.random.default_rng(0))
    expected = by_torch(torch_model(name, weights), images, labels)
    assert disagreements(autodiff(model, images, labels), expected, 1e-10) == {}
    found = by_hand(name, im2col, weights, images, labels)
    assert disagreements(found, expected, 1e-10) == {}


@pytest.mark.parametrize("name", ["LabCNN", "DigitsCNN"])
def test_black_border(name):
    """Under a black border all windows tie, and where the bias is 0 each relu is at its kink."""
    model = new_model(name, 0, np.float64)
    weights = weights_of(model)
    images, labels = draw_batch(name, 3, np.random.default_rng(0))
    images[:, :, :4] = 0
    expected = by_torch(torch_model(name, weights), images, labels)
    assert disagreements(autodiff(model, images, labels), expected, 1e-10) == {}
    found = by_hand(name, im2col, weights, images, labels)
    assert disagreements(found, expected, 1e-10) == {}


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[pytest.mark.slow] * (name == "MnistCNN")) for name in MODELS],
)
def test_ten_steps(name):
    """Ten steps of SGD with momentum end at the same weights, three ways."""
    model = new_model(name, 0, np.float64)
    weights = weights_of(model)
    theirs = torch_model(name, weights)
    velocities = networks.no_velocities(weights)
    optimizer = optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    their_optimizer = torch.optim.SGD(theirs.parameters(), lr=0.05, momentum=0.9)
    masks, batches = mask_generator(0), np.random.default_rng(0)
    for _ in range(10):
        images, labels = draw_batch(name, 8, batches)
        kept = draw_kept(name, weights, 8, masks)

        _, gradients, _ = by_hand(name, im2col, weights, images, labels, kept)
        weights, velocities = networks.sgd_step(weights, velocities, gradients, 0.05, 0.9)

        optimizer.zero_grad()
        model(Tensor(images)).cross_entropy(labels).backward()
        optimizer.step()

        their_optimizer.zero_grad()
        by_torch(theirs, images, labels, kept)
        their_optimizer.step()
    last = weights_of(model)
    for key, their_weight in theirs.state_dict().items():
        assert relative_error(last[key], their_weight.numpy()) <= 1e-9, key
        assert relative_error(weights[key], their_weight.numpy()) <= 1e-9, key
