"""Gradients of the models by autodiff, compared with backpropagation by hand."""

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

pytestmark = pytest.mark.slow


def models(*fast, among=MODELS):
    """Parametrize over models; those not in `fast` are marked slow."""
    params = [pytest.param(n, marks=[pytest.mark.slow] * (n not in fast)) for n in among]
    return pytest.mark.parametrize("name", params)


NAMES = models(*MODELS)
SLOW_FOR_MNIST_CNN = models("MnistCNNLight", "LabCNN", "DigitsCNN")


ONE_FOR_SMOKE = pytest.mark.parametrize(
    ("batch", "seed"),
    [
        pytest.param(batch, seed, marks=[pytest.mark.slow] * ((batch, seed) != (3, 0)))
        for batch in (1, 3, 5)
        for seed in (0, 1)
    ],
)


def differences(name, batch, seed=0, layers=im2col, is_training=True, dtype=np.float64, border=0):
    """Return the errors between autodiff and the network by hand in float64.

    In training, models with dropout use the same masks in both.
    """
    model = new_model(name, seed, dtype).train(is_training)
    weights = weights_of(model)
    images, labels = draw_batch(name, batch, np.random.default_rng(seed), dtype)
    images[:, :, :border] = 0
    kept = draw_kept(name, weights, batch, mask_generator(seed)) if is_training else None
    expected = by_hand(name, layers, weights, images.astype(np.float64), labels, kept)
    tolerance = 1e-10 if dtype == np.float64 else 1e-5
    return disagreements(autodiff(model, images, labels), expected, tolerance)


@NAMES
@ONE_FOR_SMOKE
def test_float64_gradients_match_hand_written_ones(name, batch, seed):
    assert differences(name, batch, seed) == {}


@SLOW_FOR_MNIST_CNN
@ONE_FOR_SMOKE
def test_float32_gradients_match_hand_written_ones(name, batch, seed):
    """Compare float32 autodiff with float64 by hand, from the same weights and images."""
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


@NAMES
def test_large_batch_gradients_match_hand_written_ones(name):
    """With a batch of 64, convolutions work in several chunks."""
    assert differences(name, 64) == {}


@pytest.mark.parametrize("name", HAS_DROPOUT)
def test_evaluation_gradients_match_hand_written_ones(name):
    """Evaluation applies no dropout and no scaling."""
    assert differences(name, 3, is_training=False) == {}


@pytest.mark.parametrize("name", ["LabCNN", "DigitsCNN"])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_gradients_at_ties_and_kinks_match_hand_written_ones(name, dtype):
    """In a black border all windows tie, and where the bias is 0 each relu is at its kink."""
    assert differences(name, 3, dtype=dtype, border=4) == {}


@models("DigitsCNN", among=["DigitsCNN", "LabCNN", "MnistCNNLight"])
def test_gradients_match_loops(name):
    assert differences(name, 2 if name == "DigitsCNN" else 1, layers=loops) == {}


@SLOW_FOR_MNIST_CNN
def test_ten_sgd_steps_match_hand_written_ones(name):
    """Ten steps of SGD with momentum end at the same weights by hand and by the optimizer."""
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


@models("DigitsCNN")
def test_comparison_detects_planted_faults(name):
    """A fault planted in the gradient of the loss is detected in every array, in float32."""
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
