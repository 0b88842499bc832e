"""Randomness: manual_seed and explicit generators."""

import threading

import numpy as np

import tinygrad_np
from models import DigitsCNN, MnistCNNLight
from tests.tools import rng
from tinygrad_np import Tensor, data, nn, random
from tinygrad_np.journal import Trial

KINDS = ("normal", "uniform")
RANDOM = [f"{start}{kind}" for start in ("", "kaiming_", "xavier_") for kind in KINDS]


def draw_everything(generator=None):
    """Use every random function and layer, and return the numbers drawn."""
    layers = [
        nn.Linear(3, 2, generator=generator),
        nn.Conv2d(1, 2, 3, generator=generator),
        DigitsCNN(generator),
        MnistCNNLight(generator),
    ]
    arrays = [array for layer in layers for array in layer.state_dict().values()]
    arrays += [
        getattr(nn.init, name)(Tensor.zeros(4, 5), generator=generator).numpy() for name in RANDOM
    ]
    arrays.append(nn.Dropout(0.5, generator=generator)(Tensor.ones(40)).numpy())
    arrays.append(Tensor.ones(40).dropout(0.5, generator=generator).numpy())
    arrays.append(layers[-1](Tensor.ones(2, 1, 28, 28)).numpy())
    arrays.append(Tensor.rand(4, generator=generator).numpy())
    arrays.append(Tensor.randn(4, generator=generator).numpy())
    return arrays


def are_equal(some, others):
    """Return whether two lists contain equal arrays."""
    return all(np.array_equal(a, b) for a, b in zip(some, others, strict=True))


def test_manual_seed_determines_all_numbers():
    """Equal seeds give equal numbers, bit for bit; different seeds do not."""
    drawn = []
    for seed in (1, 1, 2):
        tinygrad_np.manual_seed(seed)
        drawn.append(draw_everything())
    assert are_equal(drawn[0], drawn[1])
    assert not are_equal(drawn[0], drawn[2])


def test_consecutive_draws_differ():
    tinygrad_np.manual_seed(1)
    assert not are_equal(draw_everything(), draw_everything())


def test_explicit_generator_determines_all_numbers():
    drawn = []
    for seed in (1, 2):
        tinygrad_np.manual_seed(seed)
        drawn.append(draw_everything(rng(5)))
    assert are_equal(*drawn)


def test_explicit_generator_does_not_advance_the_default():
    tinygrad_np.manual_seed(1)
    expected = Tensor.rand(4).tolist()
    tinygrad_np.manual_seed(1)
    draw_everything(rng(5))
    list(data.DataLoader(data.digits()[1], shuffle=True, seed=0))
    assert Tensor.rand(4).tolist() == expected


def test_numpy_global_state_is_not_used():
    state = np.random.get_state
    before = state()[1].tolist(), state()[2]
    draw_everything()
    assert (state()[1].tolist(), state()[2]) == before


def test_own_default_is_independent_of_other_threads():
    def disturb():
        thread = threading.Thread(target=lambda: (tinygrad_np.manual_seed(9), Tensor.rand(3)))
        thread.start()
        thread.join()

    tinygrad_np.manual_seed(1)
    expected = Tensor.rand(4).tolist()
    after = Tensor.rand(4).tolist()
    tinygrad_np.manual_seed(2)
    shared = Tensor.rand(2).tolist()
    tinygrad_np.manual_seed(2)
    with random.own_default():
        tinygrad_np.manual_seed(1)
        saved = random.state()
        disturb()
        assert Tensor.rand(4).tolist() == expected
        with Trial():
            Tensor.rand(7)
        assert Tensor.rand(4).tolist() == after
        random.restore(saved)
        assert Tensor.rand(4).tolist() == expected
    tinygrad_np.manual_seed(2)
    with random.own_default():
        Tensor.rand(4)
    assert Tensor.rand(2).tolist() == shared
