"""A training step beside PyTorch's, in one process. `pytest -s` prints the figures."""

import os
import statistics
import time

import numpy as np
import pytest

from models import MnistCNN
from tinygrad_np import Tensor, optim

torch = pytest.importorskip("torch", reason="torch is not installed: pip install -e '.[oracle]'")

pytestmark = pytest.mark.slow

BATCH = 64


def our_step(images, labels):
    """Return a function that does one step of SGD with momentum."""
    model = MnistCNN(np.random.default_rng(0))
    optimizer = optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    batch = Tensor(images)

    def step():
        optimizer.zero_grad()
        model(batch).cross_entropy(labels).backward()
        optimizer.step()

    return step


def torch_step(images, labels):
    """Return the same step of the same network in PyTorch."""
    layers = torch.nn
    model = layers.Sequential(
        layers.Conv2d(1, 32, 3, padding=1),
        layers.ReLU(),
        layers.MaxPool2d(2),
        layers.Conv2d(32, 64, 3, padding=1),
        layers.ReLU(),
        layers.MaxPool2d(2),
        layers.Flatten(),
        layers.Linear(3136, 128),
        layers.ReLU(),
        layers.Dropout(0.25),
        layers.Linear(128, 10),
    )
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    batch, target = torch.tensor(images), torch.tensor(labels)

    def step():
        optimizer.zero_grad()
        layers.functional.cross_entropy(model(batch), target).backward()
        optimizer.step()

    return step


def medians(steps):
    """Return the median milliseconds of each side's step, over blocks of steps in turn."""
    seconds = {name: [] for name in steps}
    for block in range(11):
        for name, step in steps.items():
            step()  # the other side's threads may still be spinning
            for _ in range(10):
                start = time.perf_counter()
                step()
                if block:
                    seconds[name].append(time.perf_counter() - start)
    return [1000 * statistics.median(times) for times in seconds.values()]


@pytest.mark.skipif(
    "OPENBLAS_CORETYPE" in os.environ,
    reason="OPENBLAS_CORETYPE holds NumPy's BLAS back, and not PyTorch: unset it",
)
def test_a_step_takes_at_most_twice_as_long_as_pytorchs():
    """Both sides with as many threads as there are cores; a busy machine has three tries."""
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    generator = np.random.default_rng(0)
    images = generator.standard_normal((BATCH, 1, 28, 28)).astype(np.float32)
    labels = generator.integers(0, 10, BATCH)
    steps = {"tinygrad_np": our_step(images, labels), "torch": torch_step(images, labels)}
    ratios = []
    while len(ratios) < 3 and min(ratios, default=3) > 2:
        ours, theirs = medians(steps)
        ratios.append(ours / theirs)
        print(f"\nMnistCNN, batch {BATCH}: {ours:.1f} ms, PyTorch {theirs:.1f}: {ratios[-1]:.2f}")
    assert min(ratios) <= 2
