"""The models' gradients by autodiff against the same networks backpropagated by hand."""

from types import SimpleNamespace

import numpy as np
import pytest

from tests.by_hand import im2col, loops, networks
from tests.by_hand.cases import (
    HAS_DROPOUT,
    MODELS,
    autodiff,
    by_hand,
    disagreements,
    draw_batch,
    draw_batch_away_from_kinks,
    draw_kept,
    mask_generator,
    new_model,
    relative_error,
    weights_of,
)
from tests.tools import naming
from tinygrad_np import Tensor, optim

NAMES = pytest.mark.parametrize("name", list(MODELS))
SLOW_FOR_MNIST_CNN = pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[pytest.mark.slow] * (name == "MnistCNN")) for name in MODELS],
)


ONE_FOR_SMOKE = pytest.mark.parametrize(
    ("batch", "seed"),
    [
        pytest.param(batch, seed, marks=[pytest.mark.slow] * ((batch, seed) != (3, 0)))
        for batch in (1, 3, 5)
        for seed in (0, 1)
    ],
)


@NAMES
@ONE_FOR_SMOKE
def test_float64(name, batch, seed):
    """Every gradient in float64, with dropout on where the model has it."""
    model = new_model(name, seed, np.float64)
    weights = weights_of(model)
    images, labels = draw_batch(name, batch, np.random.default_rng(seed))
    kept = draw_kept(name, weights, batch, mask_generator(seed))
    expected = by_hand(name, im2col, weights, images, labels, kept)
    assert disagreements(autodiff(model, images, labels), expected, 1e-10) == {}


@SLOW_FOR_MNIST_CNN
@ONE_FOR_SMOKE
def test_float32(name, batch, seed):
    """Every gradient in float32, against float64 by hand from the same weights and images."""
    model = new_model(name, seed, np.float32)
    weights = weights_of(model)
    kept = draw_kept(name, weights, batch, mask_generator(seed))
    images, labels = draw_batch_away_from_kinks(
        name, weights, kept, batch, np.random.default_rng(seed)
    )
    expected = by_hand(name, im2col, weights, images.astype(np.float64), labels, kept)
    found = autodiff(model, images, labels)
    assert disagreements(found, expected, 1e-5) == {}
    _, gradients, grad_images = found
    assert {array.dtype for array in (*gradients.values(), grad_images)} == {np.dtype(np.float32)}


@pytest.mark.slow
@SLOW_FOR_MNIST_CNN
def test_large_batch(name):
    """A batch of 64, for which convolutions work in several chunks."""
    model = new_model(name, 0, np.float64)
    weights = weights_of(model)
    images, labels = draw_batch(name, 64, np.random.default_rng(0))
    kept = draw_kept(name, weights, 64, mask_generator(0))
    expected = by_hand(name, im2col, weights, images, labels, kept)
    assert disagreements(autodiff(model, images, labels), expected, 1e-10) == {}


@pytest.mark.parametrize("name", HAS_DROPOUT)
def test_evaluation(name):
    """In evaluation nothing is dropped and nothing is scaled."""
    model = new_model(name, 0, np.float64).eval()
    images, labels = draw_batch(name, 3, np.random.default_rng(0))
    expected = by_hand(name, im2col, weights_of(model), images, labels, kept=None)
    assert disagreements(autodiff(model, images, labels), expected, 1e-10) == {}


@pytest.mark.parametrize("name", ["LabCNN", "DigitsCNN"])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_black_border(name, dtype):
    """Under a black border all windows tie, and where the bias is 0 each relu is at its kink."""
    model = new_model(name, 0, dtype)
    weights = weights_of(model)
    images, labels = draw_batch(name, 3, np.random.default_rng(0), dtype)
    images[:, :, :4] = 0
    expected = by_hand(name, im2col, weights, images.astype(np.float64), labels)
    tolerance = 1e-10 if dtype == np.float64 else 1e-5
    assert disagreements(autodiff(model, images, labels), expected, tolerance) == {}


@pytest.mark.parametrize(
    ("name", "batch"),
    [
        ("DigitsCNN", 2),
        pytest.param("LabCNN", 1, marks=pytest.mark.slow),
        pytest.param("MnistCNNLight", 1, marks=pytest.mark.slow),
    ],
)
def test_loops(name, batch):
    """Every gradient against nested loops that nobody has made fast."""
    model = new_model(name, 0, np.float64)
    weights = weights_of(model)
    images, labels = draw_batch(name, batch, np.random.default_rng(0))
    kept = draw_kept(name, weights, batch, mask_generator(0))
    expected = by_hand(name, loops, weights, images, labels, kept)
    assert disagreements(autodiff(model, images, labels), expected, 1e-10) == {}


@pytest.mark.slow
@SLOW_FOR_MNIST_CNN
def test_ten_steps(name):
    """Ten steps of SGD with momentum, by hand and by the optimizer, end at the same weights."""
    model = new_model(name, 0, np.float64)
    first = weights = weights_of(model)
    velocities = networks.no_velocities(weights)
    optimizer = optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    masks, batches = mask_generator(0), np.random.default_rng(0)
    for _ in range(10):
        images, labels = draw_batch(name, 8, batches)

        kept = draw_kept(name, weights, 8, masks)
        _, gradients, _ = by_hand(name, im2col, weights, images, labels, kept)
        weights, velocities = networks.sgd_step(weights, velocities, gradients, 0.05, 0.9)

        optimizer.zero_grad()
        model(Tensor(images)).cross_entropy(labels).backward()
        optimizer.step()
    for parameter, last in weights_of(model).items():
        assert relative_error(last, weights[parameter]) <= 1e-9, parameter
        assert relative_error(first[parameter], last) > 1e-2, f"{parameter} has hardly moved"


FAULTS = {
    "factor 1.001": lambda grad: 1.001 * grad,
    "wrong sign": lambda grad: -grad,
    "sum for mean": lambda grad: len(grad) * grad,
    "missing": np.zeros_like,
    "nan": lambda grad: np.full_like(grad, np.nan),
}


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[pytest.mark.slow] * (name != "DigitsCNN")) for name in MODELS],
)
def test_faults_are_seen(name):
    """The comparison in float32 sees, in each array, a fault that is planted behind the loss."""
    model = new_model(name, 0, np.float32)
    weights = weights_of(model)
    images, labels = draw_batch(name, 2, np.random.default_rng(0), np.float32)
    kept = draw_kept(name, weights, 2, mask_generator(0))
    right = autodiff(model, images, labels)
    for fault, spoil in FAULTS.items():

        def faulty(logits, labels, spoil=spoil):
            return spoil(im2col.cross_entropy_backward(logits, labels))

        layers = SimpleNamespace(**{**vars(im2col), "cross_entropy_backward": faulty})
        wrong = by_hand(name, layers, weights, images.astype(np.float64), labels, kept)
        with naming(fault):
            assert disagreements(wrong, right, 1e-5).keys() == {*weights, "images"}
