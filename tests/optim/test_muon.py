"""Muon: formula, restriction to matrices, options and state."""

import math
import re

import numpy as np
import pytest

from tests.optim.tools import assert_close, assert_equal
from tests.tools import each, normal
from tinygrad_np import Tensor, nn, optim
from tinygrad_np.errors import ArgumentError, ShapeError


def matrix(shape=(3, 5), dtype=np.float64):
    """Return a matrix parameter with a gradient."""
    parameter = nn.Parameter(normal(*shape).astype(dtype))
    parameter.grad = Tensor(normal(*shape, seed=1).astype(dtype))
    return parameter


def orthogonalized_by_hand(x, factors, steps, eps):
    """Return the Newton-Schulz iteration, applied to the singular values."""
    left, values, right = np.linalg.svd(x, full_matrices=False)
    values = values / max(np.sqrt((values**2).sum()), eps)
    a, b, c = factors
    for _ in range(steps):
        values = a * values + b * values**3 + c * values**5
    return left * values @ right


DEFAULTS = {"lr": 1e-3, "weight_decay": 0.1, "momentum": 0.95, "nesterov": True}
ITERATION = {"ns_coefficients": (3.4445, -4.775, 2.0315), "ns_steps": 5, "eps": 1e-7}


@pytest.mark.parametrize(
    "shape", [(3, 5), (5, 3), pytest.param((300, 100), marks=pytest.mark.slow)]
)
@each(("dtype", "rtol"), [(np.float64, 1e-10), (np.float32, 1e-3)])
@each(
    "options",
    [
        {},
        {"nesterov": False},
        {"momentum": 0.5, "weight_decay": 0.0},
        {"ns_steps": 2, "ns_coefficients": (2.0, -1.5, 0.5)},
        {"ns_steps": 0, "eps": 100.0},
        {"adjust_lr_fn": "original"},
        {"adjust_lr_fn": "match_rms_adamw", "lr": 0.02},
    ],
)
@pytest.mark.usefixtures("dirty_memory")
def test_muon_matches_its_formula(options, shape, dtype, rtol):
    """Steps follow the formula, with the iteration applied to singular values."""
    parameter = matrix(shape, dtype)
    optimizer = optim.Muon([parameter], **options)
    own = DEFAULTS | ITERATION | options
    w, b = parameter.numpy().astype(np.float64), np.zeros(shape)
    share = math.sqrt(max(1, shape[0] / shape[1]))
    if own.get("adjust_lr_fn") == "match_rms_adamw":
        share = 0.2 * math.sqrt(max(shape))
    for step in range(3):
        g = normal(*shape, seed=step)
        parameter.grad = Tensor(g.astype(dtype))
        optimizer.step()
        b = own["momentum"] * b + (1 - own["momentum"]) * g
        ahead = own["momentum"] * b + (1 - own["momentum"]) * g if own["nesterov"] else b
        w = w * (1 - own["lr"] * own["weight_decay"])
        w = w - own["lr"] * share * orthogonalized_by_hand(ahead, *(own[n] for n in ITERATION))
        np.testing.assert_allclose(parameter.numpy(), w, rtol, atol=rtol * own["lr"])
    assert parameter.dtype == dtype


def test_muon_with_zero_gradient_only_decays():
    """Only the decay remains, without a division by the norm 0."""
    parameter = nn.Parameter(np.ones((2, 2)))
    parameter.grad = Tensor(np.zeros((2, 2)))
    optim.Muon([parameter], lr=0.1, weight_decay=0.5).step()
    assert_close([parameter.numpy()], [np.full((2, 2), 0.95)])


def test_muon_defaults_match_pytorch():
    (group,) = optim.Muon([matrix()]).state_dict()["param_groups"]
    assert group == {**DEFAULTS, **ITERATION, "adjust_lr_fn": None, "params": 1}


@each("shape", [(3,), (), (2, 3, 4), (2, 1, 3, 3)])
def test_muon_rejects_parameters_that_are_not_matrices(shape):
    """The error names the parameter and suggests AdamW."""
    bias = nn.Parameter(np.ones(shape))
    bias.name = "conv.bias"
    words = (
        f"Muon: expected matrices, got parameter 'conv.bias' of shape {shape}. Give it to another"
    )
    with pytest.raises(ShapeError, match=re.escape(words) + ".*AdamW"):
        optim.Muon([{"params": [matrix()]}, {"params": [bias]}])


@each(
    ("option", "value", "words"),
    [
        ("lr", -1, "a finite number >= 0, got -1."),
        ("weight_decay", -1, "a finite number >= 0, got -1."),
        ("momentum", -1, "a finite number >= 0, got -1."),
        ("eps", -1, "a finite number >= 0, got -1."),
        ("ns_coefficients", (1, 2), "three numbers, got (1, 2)."),
        ("ns_coefficients", 3.0, "three numbers, got 3.0."),
        ("ns_coefficients", (1.0, math.nan, 2.0), "finite, got (1.0, nan, 2.0)."),
        ("ns_steps", 100, "an integer from 0 to 99, got 100."),
        ("ns_steps", -1, "an integer from 0 to 99, got -1."),
        ("ns_steps", 5.0, "an integer from 0 to 99, got 5.0."),
        ("adjust_lr_fn", "rms", "None, 'original' or 'match_rms_adamw', got 'rms'."),
    ],
)
def test_invalid_muon_options_raise(option, value, words):
    """They also raise when a state dict is loaded."""
    words = f"^Muon: expected `{option}` to be {re.escape(words)}"
    with pytest.raises(ArgumentError, match=words):
        optim.Muon([matrix()], **{option: value})
    optimizer = optim.Muon([matrix()])
    state = optimizer.state_dict()
    state["param_groups"][0][option] = value
    with pytest.raises(ArgumentError, match=words):
        optimizer.load_state_dict(state)


def test_muon_resumes_bit_for_bit():
    """A new Muon with the loaded state continues bit for bit; gradients are not modified."""
    parameter = matrix()
    optimizer = optim.Muon([parameter], lr=0.1, momentum=0.5)
    grad = parameter.grad.numpy().copy()
    optimizer.step()
    assert_equal([parameter.grad.numpy()], [grad])
    other = nn.Parameter(parameter.numpy().copy())
    other.grad = Tensor(grad)
    resumed = optim.Muon([other])
    resumed.load_state_dict(optimizer.state_dict())
    optimizer.step()
    resumed.step()
    assert_equal([other.numpy()], [parameter.numpy()])


# Together with AdamW.


@pytest.mark.usefixtures("dirty_memory")
def test_muon_updates_matrices_and_adamw_the_rest():
    """Both match the separate optimizers bit for bit, even after a state dict was loaded."""
    shapes = [(3, 5), (4,), (2, 1, 3, 3), ()]
    both, apart = ([nn.Parameter(normal(*shape)) for shape in shapes] for _ in range(2))
    options = {"lr": 0.01, "weight_decay": 0.2}
    together = optim.MuonAdamW(both, **options)
    muon = optim.Muon(apart[:1], **options, eps=1e-8, adjust_lr_fn="match_rms_adamw")
    adamw = optim.AdamW(apart[1:], **options)
    for step in range(4):
        for parameter, other in zip(both, apart, strict=True):
            parameter.grad = other.grad = Tensor(normal(*parameter.shape, seed=step + 1))
        for optimizer in (together, muon, adamw):
            optimizer.step()
        again = optim.MuonAdamW(both)
        again.load_state_dict(together.state_dict())
        together = again
    assert_equal([p.numpy() for p in both], [p.numpy() for p in apart])


def test_muon_adamw_has_decay_groups_and_cycles_both_momenta():
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Linear(3, 2))
    optimizer = optim.MuonAdamW(optim.decay_groups(model.named_parameters(), 0.1))
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0.1, 0.0]
    optim.OneCycleLR(optimizer, 0.1, 10, max_momentum=0.9)
    for group in optimizer.param_groups:
        assert (group["momentum"], group["betas"]) == (0.9, (0.9, 0.999))
    with pytest.raises(ArgumentError, match=r"^MuonAdamW: expected `ns_steps` to be"):
        optim.MuonAdamW([{"params": model.parameters(), "ns_steps": -1}])
