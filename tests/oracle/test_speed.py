"""Time of a training step and of the tape, compared with PyTorch; `pytest -s` prints both."""

import os
import time

import numpy as np
import pytest

from benchmarks import ours, timing
from benchmarks.measures import MODELS, images_for
from tinygrad_np import Tensor, no_grad

torch = pytest.importorskip("torch", reason="torch is not installed: pip install -e '.[oracle]'")

from benchmarks import pytorch  # noqa: E402

pytestmark = pytest.mark.slow

BATCH = 64


@pytest.mark.skipif(
    "OPENBLAS_CORETYPE" in os.environ,
    reason="OPENBLAS_CORETYPE may slow down NumPy's BLAS, but not PyTorch; unset it",
)
def test_a_step_takes_at_most_twice_as_long_as_in_pytorch():
    """Both sides use all cores; up to three tries, for busy machines."""
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    images, labels = images_for("MnistCNN", BATCH)
    steps = {
        side.__name__: side.training_step("MnistCNN", images, labels) for side in (ours, pytorch)
    }
    ratios = []
    while len(ratios) < 3 and min(ratios, default=3) > 2:
        seconds = timing.race(steps, timing.Effort(rounds=5, settling=0.1, block=0.1))
        ratios.append(timing.ratios(*seconds.values()).median)
        here, there = (1e3 * timing.Spread.of(found).median for found in seconds.values())
        print(f"\nMnistCNN, batch {BATCH}: {here:.1f} ms, PyTorch {there:.1f}: {ratios[-1]:.2f}")
    assert min(ratios) <= 2


def test_the_tape_costs_about_as_much_as_in_pytorch():
    """Best of many alternating runs on one thread; up to five tries, for busy machines.

    On an idle machine the cost is at most PyTorch's; the bound leaves room for other machines.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    start, factor = np.ones(8, np.float32), np.full(8, 1.001, np.float32)
    sides = [side.chain(start, factor) for side in (ours, pytorch)]
    ratios = []
    try:
        while len(ratios) < 5 and min(ratios, default=2) > 1.25:
            best = [float("inf")] * 2
            for _ in range(100):
                for side, run in enumerate(sides):
                    begin = time.perf_counter()
                    run()
                    best[side] = min(best[side], time.perf_counter() - begin)
            ratios.append(best[0] / best[1])
            here, there = (1e3 * seconds for seconds in best)  # for 1000 ops: us per op
            print(f"\ntape: {here:.2f} us per op, PyTorch {there:.2f}: {ratios[-1]:.2f}")
    finally:
        torch.set_num_threads(before)
    assert min(ratios) <= 1.25


@pytest.mark.parametrize("name", MODELS)
def test_the_benchmark_compares_the_same_networks(name):
    """With our weights, PyTorch's network gives the same logits."""
    net, other = ours.network(name), pytorch.network(name)
    with torch.no_grad():
        for weight, target in zip(net.parameters(), other.parameters(), strict=True):
            assert weight.shape == tuple(target.shape)
            target.copy_(torch.tensor(weight.data))
    images, _ = images_for(name, 4)
    net.eval()
    other.eval()
    with no_grad(), torch.no_grad():
        found, expected = net(Tensor(images)).data, other(torch.tensor(images)).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
