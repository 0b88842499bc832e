"""Parameter groups for weight decay, and the L1 penalty."""

import re

import numpy as np
import pytest

from tests.tools import each, leaf, rng
from tinygrad_np import Tensor, nn, optim
from tinygrad_np.errors import ArgumentError


def network():
    """Return a model with weights of two and of four axes, biases and a norm."""
    last = nn.Linear(8, 3, generator=rng(1))
    conv = nn.Conv2d(1, 2, 3, generator=rng())
    return nn.Sequential(conv, nn.BatchNorm2d(2), nn.ReLU(), nn.Flatten(), last)


WEIGHTS = ["0.weight", "4.weight"]
REST = ["0.bias", "1.weight", "1.bias", "4.bias"]


def test_decay_groups_separate_weights_from_other_parameters():
    """Weights of two or more axes decay, all others do not; names are kept."""
    model = network()
    groups = optim.decay_groups(model.named_parameters(), 0.1)
    assert [[name for name, _ in group["params"]] for group in groups] == [WEIGHTS, REST]
    assert [group["weight_decay"] for group in groups] == [0.1, 0.0]
    alone = optim.decay_groups(model.parameters(), 0.1)
    assert [len(group["params"]) for group in alone] == [2, 4]


def test_decay_groups_may_be_empty():
    model = nn.Linear(2, 1, bias=False)
    optimizer = optim.SGD(optim.decay_groups(model.named_parameters(), 0.5), lr=1.0)
    before = model.weight.numpy().copy()
    model.weight.grad = Tensor(np.zeros((1, 2), np.float32))
    optimizer.step()
    np.testing.assert_array_equal(model.weight.numpy(), before * np.float32(0.5))


def test_l1_norm_sums_the_absolute_weights():
    """The norm is the sum of the absolute values of all weights, and of no other parameters."""
    model = network()
    expected = sum(abs(float(w)) for name in WEIGHTS for w in model.state_dict()[name].ravel())
    assert optim.l1_norm(model.parameters()).item() == pytest.approx(expected, rel=1e-5)
    assert optim.l1_norm(model.named_parameters()).item() == pytest.approx(expected, rel=1e-5)


def test_gradient_of_l1_norm_is_the_sign_of_the_weights():
    """The subgradient is sign(w), 0 at 0; biases get none."""
    layer = nn.Linear(3, 2)
    layer.weight.data[...] = [[1.5, -2.0, 0.0], [-0.0, 1e-30, -1e30]]
    (0.25 * optim.l1_norm(layer.parameters())).backward()
    assert layer.weight.grad.tolist() == [[0.25, -0.25, 0.0], [0.0, 0.25, -0.25]]
    assert layer.weight.grad.dtype == np.float32
    assert layer.bias.grad is None


@each(
    ("call", "words"),
    [
        (
            lambda: optim.decay_groups(network(), 0.1),
            "decay_groups: expected an iterable of tensors, got Sequential. Try model.named_",
        ),
        (
            lambda: optim.decay_groups([], 0.1),
            "decay_groups: expected at least one parameter, got none. Try model.named_parame",
        ),
        (
            lambda: optim.decay_groups([1.0], 0.1),
            "decay_groups: expected parameters to be leaf tensors, got float.",
        ),
        (
            lambda: optim.decay_groups([leaf(1.0)], -1),
            "decay_groups: expected `weight_decay` to be a finite number >= 0, got -1.",
        ),
        (
            lambda: optim.l1_norm(network()),
            "l1_norm: expected an iterable of tensors, got Sequential. Try model.parameters()",
        ),
        (
            lambda: optim.decay_groups(set(network().parameters()), 0.1),
            "decay_groups: expected parameters in a fixed order, got set. Pass a list, or "
            "model.named_parameters().",
        ),
        (
            lambda: optim.l1_norm({*network().parameters()}),
            "l1_norm: expected parameters in a fixed order, got set. Pass a list, or model.par",
        ),
        (
            lambda: optim.l1_norm([]),
            "l1_norm: expected at least one parameter, got none. Try model.parameters().",
        ),
        (
            lambda: optim.l1_norm([nn.Parameter([1.0])]),
            "l1_norm: expected at least one weight with two or more axes, got none.",
        ),
    ],
)
def test_invalid_arguments_raise(call, words):
    with pytest.raises(ArgumentError, match=f"^{re.escape(words)}"):
        call()
