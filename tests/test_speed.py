"""Performance regression tests: ratios to bare NumPy calls and to a hand-written step.

Both sides run in this process on one thread, and the best of several rounds counts, so a busy
machine has little influence. The bounds are loose and each test has several tries. `pytest -s`
prints the ratios; `examples/benchmark.py` measures them precisely.
"""

import numpy as np
import pytest

import tinygrad_np
from benchmarks import im2col, lower_bounds, ours, timing
from models import MnistCNNLight
from tinygrad_np import Tensor, data
from tinygrad_np.data.augment import AugmentationTable

TURNS = timing.Effort(rounds=7, settling=0.0, block=0.0)
TRIES = 4


@pytest.fixture(autouse=True)
def one_thread():
    """Run the test on one thread, then restore the number of threads."""
    before = tinygrad_np.get_num_threads()
    tinygrad_np.set_num_threads(1)
    yield
    tinygrad_np.set_num_threads(before)


def best_ratio(steps, bound):
    """Return the ratio of the best times, first to second; retry while it exceeds the bound."""
    for _ in range(TRIES):
        first, second = (min(seconds) for seconds in timing.race(steps, TURNS).values())
        print(f"\n{1e3 * first:.2f} ms to {1e3 * second:.2f}: {first / second:.2f}")
        if first / second <= bound:
            break
    return first / second


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "bound"),
    [("conv2d", 2.5), ("conv2d backward", 2.5), ("linear", 2.0), ("add", 3.0)],
)
def test_ops_stay_near_their_lower_bound(name, bound):
    make, _ = lower_bounds.LOWER_BOUNDS[name]
    op, bare = make()
    assert best_ratio({"op": op, "bare": bare}, bound) <= bound


def light_batch(count):
    """Return random images and labels, and the weights of MnistCNNLight."""
    generator = np.random.default_rng(0)
    images = generator.standard_normal((count, 1, 28, 28), np.float32)
    weights = {
        name: weight.data.copy()
        for name, weight in ours.network("MnistCNNLight").named_parameters()
    }
    return images, generator.integers(0, 10, count), weights


@pytest.mark.slow
def test_step_beats_the_hand_written_one():
    images, labels, weights = light_batch(64)
    steps = {
        "ours": ours.training_step("MnistCNNLight", images, labels),
        "by hand": im2col.training_step(weights, images, labels),
    }
    assert best_ratio(steps, bound=1 / 2) <= 1 / 2


@pytest.mark.slow
def test_augmentation_takes_at_most_a_quarter_of_a_step():
    """Shift and rotate a batch, compared with a training step of MnistCNN."""
    generator = np.random.default_rng(0)
    pixels = generator.integers(0, 256, (6400, 1, 28, 28), np.uint8)
    labels = generator.integers(0, 10, 6400)
    dataset = data.ImageDataset(pixels, labels, tuple("0123456789"), scale=255.0)
    table = AugmentationTable(data.Augmentation(shift=2, rotation=10), pixels.shape, 255.0, 0, 0)
    where = generator.permutation(6400)[:64]
    images, _ = dataset.batch(where)
    steps = {
        "augmented": lambda: dataset.batch(where, table),
        "step": ours.training_step("MnistCNN", images, labels[:64]),
    }
    assert best_ratio(steps, bound=1 / 4) <= 1 / 4


@pytest.mark.parametrize("way", [im2col.LOOPS, im2col.INDICES], ids=["loops", "indices"])
def test_hand_written_gradients_match_autodiff(way):
    """Without dropout on either side."""
    images, labels, weights = light_batch(5)
    model = MnistCNNLight(np.random.default_rng(0)).eval()
    model(Tensor(images)).cross_entropy(labels).backward()
    found = im2col.backpropagate(weights, images, labels, np.float32(1), way)
    assert found.keys() == weights.keys()
    for name, weight in model.named_parameters():
        assert found[name].dtype == np.float32
        np.testing.assert_allclose(found[name], weight.grad.data, rtol=1e-3, atol=1e-6)


def test_hand_written_step_reduces_the_loss():
    images, labels, weights = light_batch(4)
    model = MnistCNNLight()

    def loss():
        model.load_state_dict(weights)
        return model.eval()(Tensor(images)).cross_entropy(labels).item()

    start, step = loss(), im2col.training_step(weights, images, labels)
    for _ in range(10):
        step()
    assert loss() < 0.9 * start


def test_fit_recovers_a_line():
    line = timing.fit([1, 2, 4, 8], [5.0, 7.0, 11.0, 19.0])
    np.testing.assert_allclose((line.intercept, line.slope, line.r_squared), (3, 2, 1))
    bent = timing.fit([1, 2, 4, 8], [1.0, 4.0, 16.0, 64.0])
    assert 0.9 < bent.r_squared < 0.99
