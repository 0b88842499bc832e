"""Optimizers against PyTorch's, step by step."""

import numpy as np
import pytest

from tinygrad_np import Tensor, nn, optim

torch = pytest.importorskip("torch", reason="torch is not installed: pip install -e '.[oracle]'")

pytestmark = pytest.mark.slow

STEPS = 50
SHAPES = [(3, 4), (), (2, 1, 3), (5,), ()]

SGD_OPTIONS = [
    {},
    {"weight_decay": 0.1},
    {"momentum": 0.9},
    {"momentum": 0.9, "dampening": 0.3},
    {"momentum": 0.9, "weight_decay": 0.1},
    {"momentum": 0.9, "nesterov": True},
    {"momentum": 0.9, "nesterov": True, "weight_decay": 0.1},
    {"momentum": 0.5, "dampening": 0.5, "weight_decay": 0.1},
]
ADAM_OPTIONS = [
    {},
    {"betas": (0.5, 0.7)},
    {"eps": 0.01},
    {"weight_decay": 0.1},
    {"betas": (0.8, 0.9), "eps": 1e-4, "weight_decay": 0.1},
]
# Weights with other options than biases: the second group overrides some of the first's.
CASES = [("SGD", options, {"lr": 0.02, "weight_decay": 0.0}) for options in SGD_OPTIONS]
CASES += [("SGD", options, {"momentum": 0.3, "weight_decay": 0.2}) for options in SGD_OPTIONS]
CASES += [("Adam", options, {"lr": 0.02, "weight_decay": 0.0}) for options in ADAM_OPTIONS]
CASES += [("Adam", options, {"betas": (0.7, 0.99), "eps": 0.1}) for options in ADAM_OPTIONS]


def starts():
    """Return the first weights."""
    generator = np.random.default_rng(0)
    return [np.asarray(generator.standard_normal(shape)) for shape in SHAPES]


def ours(kind, options, second):
    """Return parameters and an optimizer with two groups."""
    params = [nn.Parameter(start) for start in starts()]
    groups = [{"params": params[:2]}, {"params": params[2:], **second}]
    return params, getattr(optim, kind)(groups, lr=0.05, **options)


def theirs(kind, options, second):
    """Return PyTorch's parameters, in float64, and an optimizer with two groups."""
    params = [torch.nn.Parameter(torch.tensor(start)) for start in starts()]
    groups = [{"params": params[:2]}, {"params": params[2:], **second}]
    return params, getattr(torch.optim, kind)(groups, lr=0.05, **options)


def gradient(weight, generator):
    """Return the gradient of a noisy bowl: so that a wrong step shows in all that follow."""
    noise = generator.standard_normal(weight.shape)
    return np.asarray(weight + 0.5 * np.sin(3 * weight) + noise)


@pytest.mark.parametrize(
    ("kind", "options", "second"),
    CASES,
    ids=[
        f"{kind}-{options or 'plain'}-{second}".replace("'", "") for kind, options, second in CASES
    ],
)
def test_fifty_steps(kind, options, second):
    """After each of fifty steps the weights are PyTorch's."""
    params, optimizer = ours(kind, options, second)
    their_params, their_optimizer = theirs(kind, options, second)
    noise, their_noise = np.random.default_rng(1), np.random.default_rng(1)
    for step in range(STEPS):
        for parameter in params:
            parameter.grad = Tensor(gradient(parameter.numpy(), noise))
        for parameter in their_params:
            weight = parameter.detach().numpy()
            parameter.grad = torch.tensor(gradient(weight, their_noise))
        optimizer.step()
        their_optimizer.step()
        for found, expected in zip(params, their_params, strict=True):
            np.testing.assert_allclose(
                found.numpy(),
                expected.detach().numpy(),
                rtol=1e-12,
                atol=1e-12,
                err_msg=f"step {step}",
            )


@pytest.mark.parametrize("kind", ["SGD", "Adam"])
def test_defaults(kind):
    """What both have as options has the same default."""
    found = getattr(optim, kind)([nn.Parameter([1.0])]).param_groups[0]
    expected = getattr(torch.optim, kind)([torch.nn.Parameter(torch.ones(1))]).param_groups[0]
    shared = (found.keys() & expected.keys()) - {"params"}
    assert {"lr", "weight_decay"} < shared
    assert {name: found[name] for name in shared} == {name: expected[name] for name in shared}
