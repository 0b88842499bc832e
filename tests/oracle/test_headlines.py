"""The PyTorch side of examples/reproduce.py trains like ours."""

from dataclasses import replace

import numpy as np
import pytest

from headlines import courses
from models import DigitsCNN, LeNet
from tests.oracle.pytorch import torch

LENET, DIGITS = courses.COURSES


@pytest.fixture
def in_pytorch(monkeypatch):
    """Return the module; restore PyTorch's thread count afterwards."""
    from headlines import in_pytorch

    threads = torch.get_num_threads()
    yield in_pytorch
    torch.set_num_threads(threads)


@pytest.mark.parametrize("course", [LENET, DIGITS], ids=lambda course: course.name)
def test_both_sides_take_the_same_steps(in_pytorch, course):
    """Same weights and batches: equal after six steps, and the same predicted classes.

    Six steps are enough to tell learning rates and momenta apart.
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
        # A bias before a norm has no effect and moves only by rounding.
        allowed = 0.02 * moved + 1e-5
        np.testing.assert_allclose(mine.data, other.detach().numpy(), rtol=0, atol=allowed)
    images = generator.random((200, 1, size, size), np.float32)
    assert np.mean(ours.predict(images) == theirs.predict(images)) > 0.98
    # One image at a time: neither side may use batch statistics.
    alone = [theirs.predict(images[i : i + 1])[0] for i in range(20)]
    np.testing.assert_array_equal(alone, theirs.predict(images)[:20])


@pytest.mark.parametrize(("course", "model"), [(LENET, LeNet), (DIGITS, DigitsCNN)])
def test_both_sides_use_he_initialization(in_pytorch, course, model):
    """Standard deviation sqrt(2 / fan_in) and zero biases on both sides; seeds differ."""
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
        # The standard deviation of n numbers has a relative error of about 1 / sqrt(2 n).
        for weights in (first, mine.data):
            assert weights.std() == pytest.approx(expected, rel=5 / np.sqrt(2 * weights.size))
