"""PyTorch's side of examples/reproduce.py trains as ours does."""

from dataclasses import replace

import numpy as np
import pytest

from headlines import courses
from models import DigitsCNN, LeNet
from tests.oracle.pytorch import torch

LENET, DIGITS = courses.COURSES


@pytest.fixture
def in_pytorch(monkeypatch):
    """Return the module, and leave PyTorch with the threads that it had."""
    from headlines import in_pytorch

    threads = torch.get_num_threads()
    yield in_pytorch
    torch.set_num_threads(threads)


@pytest.mark.parametrize("course", [LENET, DIGITS], ids=lambda course: course.name)
def test_both_sides_take_the_same_steps(in_pytorch, course):
    """From the same weights, for the same batches: six steps, long enough to tell rates and
    momenta apart, and then the same classes.
    """
    course = replace(course, lr=20 * course.lr if course.momentum else course.lr)
    ours, theirs = courses.ours(course, seed=1), in_pytorch.theirs(course, seed=1, threads=1)
    weights = list(ours.model.parameters())
    with torch.no_grad():
        for mine, other in zip(weights, theirs.model.parameters(), strict=True):
            other.copy_(torch.from_numpy(mine.data.copy()))
    size = 28 if course.model == "LeNet" else 8
    generator = np.random.default_rng(0)
    start = [weight.data.copy() for weight in weights]
    for _ in range(6):
        images = generator.random((64, 1, size, size), np.float32)
        labels = generator.integers(0, 10, 64)
        ours.step(images, labels)
        theirs.step(images, labels)
    for mine, other, before in zip(weights, theirs.model.parameters(), start, strict=True):
        moved = np.abs(mine.data - before).max()
        # What norms make idle, as a bias before them, moves by rounding alone.
        allowed = 0.02 * moved + 1e-5
        np.testing.assert_allclose(mine.data, other.detach().numpy(), rtol=0, atol=allowed)
    images = generator.random((200, 1, size, size), np.float32)
    assert np.mean(ours.predict(images) == theirs.predict(images)) > 0.98
    # Each image by itself: no side takes statistics of the batch.
    alone = [theirs.predict(images[i : i + 1])[0] for i in range(20)]
    np.testing.assert_array_equal(alone, theirs.predict(images)[:20])


@pytest.mark.parametrize(("course", "model"), [(LENET, LeNet), (DIGITS, DigitsCNN)])
def test_both_sides_start_after_he(in_pytorch, course, model):
    """Deviation sqrt(2 / fan_in) and biases 0 on both sides, others by another seed."""
    theirs = [in_pytorch.theirs(course, seed, threads=1).model for seed in (0, 0, 1)]
    for name, mine in model(np.random.default_rng(0)).named_parameters():
        place = [n for n, _ in model().named_parameters()].index(name)
        first, same, other = (list(net.parameters())[place].detach().numpy() for net in theirs)
        np.testing.assert_array_equal(first, same)
        if mine.ndim == 1:
            np.testing.assert_array_equal(first, mine.data)
            continue
        assert not np.array_equal(first, other)
        expected = np.sqrt(2 / np.prod(mine.shape[1:]))
        # Of n numbers the deviation is known to one part in sqrt(2 n).
        for weights in (first, mine.data):
            assert weights.std() == pytest.approx(expected, rel=5 / np.sqrt(2 * weights.size))
