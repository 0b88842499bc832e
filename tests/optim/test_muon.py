"""Muon against its formula, and its restriction to matrices."""

import math
import re

import numpy as np
import pytest

from tests.optim.tools import assert_close, assert_equal
from tests.tools import each
from tinygrad_np import Tensor, nn, optim
from tinygrad_np.errors import ArgumentError, GraphError, ShapeError

# Muon, which takes matrices only.


def matrix(shape=(3, 5), dtype=np.float64, seed=0):
    """Return a matrix as a parameter, with a gradient."""
    generator = np.random.default_rng(seed)
    parameter = nn.Parameter(generator.standard_normal(shape).astype(dtype))
    parameter.grad = Tensor(generator.standard_normal(shape).astype(dtype))
    return parameter


def orthogonalized_by_hand(x, factors=(3.4445, -4.775, 2.0315), steps=5, eps=1e-7):
    """Return Newton and Schulz's iteration by way of the singular values that it changes."""
    left, values, right = np.linalg.svd(x, full_matrices=False)
    values = values / max(np.sqrt((values**2).sum()), eps)
    a, b, c = factors
    for _ in range(steps):
        values = a * values + b * values**3 + c * values**5
    return left * values @ right


MUON_OPTIONS = [
    {},
    {"nesterov": False},
    {"momentum": 0.5, "weight_decay": 0.0},
    {"ns_steps": 2, "ns_coefficients": (2.0, -1.5, 0.5)},
    {"ns_steps": 0, "eps": 100.0},
    {"adjust_lr_fn": "original"},
    {"adjust_lr_fn": "match_rms_adamw", "lr": 0.02},
]


@pytest.mark.parametrize(("dtype", "rtol"), [(np.float64, 1e-10), (np.float32, 1e-3)])
@pytest.mark.parametrize(
    "shape", [(3, 5), (5, 3), pytest.param((300, 100), marks=pytest.mark.slow)]
)
@pytest.mark.parametrize("options", MUON_OPTIONS)
@pytest.mark.usefixtures("dirty_memory")
def test_muon_formula(options, shape, dtype, rtol):
    """Muon's steps are those of the formula, its iteration done on singular values."""
    parameter = matrix(shape, dtype)
    optimizer = optim.Muon([parameter], **options)
    own = {"lr": 1e-3, "weight_decay": 0.1, "momentum": 0.95, "nesterov": True} | options
    iteration = {"factors": (3.4445, -4.775, 2.0315), "steps": 5, "eps": 1e-7}
    for ours, theirs in (("factors", "ns_coefficients"), ("steps", "ns_steps"), ("eps", "eps")):
        iteration[ours] = own.get(theirs, iteration[ours])
    w, b = parameter.numpy().astype(np.float64), np.zeros(shape)
    share = math.sqrt(max(1, shape[0] / shape[1]))
    if own.get("adjust_lr_fn") == "match_rms_adamw":
        share = 0.2 * math.sqrt(max(shape))
    for step in range(3):
        g = np.random.default_rng(step).standard_normal(shape)
        parameter.grad = Tensor(g.astype(dtype))
        optimizer.step()
        b = own["momentum"] * b + (1 - own["momentum"]) * g
        ahead = own["momentum"] * b + (1 - own["momentum"]) * g if own["nesterov"] else b
        w = w * (1 - own["lr"] * own["weight_decay"])
        w = w - own["lr"] * share * orthogonalized_by_hand(ahead, **iteration)
        np.testing.assert_allclose(parameter.numpy(), w, rtol, atol=rtol * own["lr"])
    assert parameter.dtype == dtype


def test_muon_steps_are_nearly_orthogonal():
    """All directions of a Muon step are about as long, however they were in the gradient."""
    parameter = nn.Parameter(np.zeros((4, 4)))
    parameter.grad = Tensor(np.diag([100.0, 10.0, 1.0, 0.5]))
    optim.Muon([parameter], lr=1.0).step()
    values = np.linalg.svd(parameter.numpy(), compute_uv=False)
    assert ((values > 0.5) & (values < 1.3)).all()


def test_muon_of_no_gradient():
    """A gradient of 0 leaves only the decay: its norm is not divided by."""
    parameter = nn.Parameter(np.ones((2, 2)))
    parameter.grad = Tensor(np.zeros((2, 2)))
    optim.Muon([parameter], lr=0.1, weight_decay=0.5).step()
    assert_close([parameter.numpy()], [np.full((2, 2), 0.95)])


def test_muon_defaults():
    """Defaults are PyTorch's."""
    (group,) = optim.Muon([matrix()]).state_dict()["param_groups"]
    assert group == {
        "lr": 0.001,
        "weight_decay": 0.1,
        "momentum": 0.95,
        "nesterov": True,
        "ns_coefficients": (3.4445, -4.775, 2.0315),
        "eps": 1e-7,
        "ns_steps": 5,
        "adjust_lr_fn": None,
        "params": 1,
    }


@pytest.mark.parametrize("shape", [(3,), (), (2, 3, 4), (2, 1, 3, 3)])
def test_muon_takes_matrices(shape):
    """What is no matrix is refused by its name, with what takes it."""
    bias = nn.Parameter(np.ones(shape))
    bias.name = "conv.bias"
    with pytest.raises(ShapeError) as caught:
        optim.Muon([{"params": [matrix()]}, {"params": [bias]}])
    words = f"Muon: parameter conv.bias has shape {shape}, expected a matrix; give it to another"
    assert words in str(caught.value)
    assert "AdamW" in str(caught.value)


@each(
    ("options", "words"),
    [
        ({"lr": -1}, "Muon lr: got -1"),
        ({"weight_decay": -1}, "Muon weight_decay: got -1"),
        ({"momentum": -1}, "Muon momentum: got -1"),
        ({"eps": -1}, "Muon eps: got -1"),
        ({"ns_coefficients": (1, 2)}, "Muon ns_coefficients: got (1, 2), expected three numbers"),
        ({"ns_coefficients": 3.0}, "Muon ns_coefficients: got 3.0, expected three numbers"),
        (
            {"ns_coefficients": (1.0, math.nan, 2.0)},
            "Muon ns_coefficients: got (1.0, nan, 2.0), expected finite numbers",
        ),
        ({"ns_steps": 100}, "Muon ns_steps: got 100, expected an integer from 0 to 99"),
        ({"ns_steps": -1}, "Muon ns_steps: got -1, expected an integer from 0 to 99"),
        ({"ns_steps": 5.0}, "Muon ns_steps: got 5.0, expected an integer from 0 to 99"),
        (
            {"adjust_lr_fn": "rms"},
            "Muon adjust_lr_fn: got 'rms', expected None, 'original' or 'match_rms_adamw'",
        ),
    ],
)
def test_muon_options(options, words):
    """An option out of range is refused, in a state dict too."""
    with pytest.raises(ArgumentError, match=re.escape(words)):
        optim.Muon([matrix()], **options)
    optimizer = optim.Muon([matrix()])
    state = optimizer.state_dict()
    state["param_groups"][0] |= options
    with pytest.raises(ArgumentError, match=re.escape(words)):
        optimizer.load_state_dict(state)


def test_muon_resumes():
    """A new Muon with the old one's state goes on with the same bits; gradients are only read."""
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


def test_muon_leaves_frozen_parameters():
    """A frozen matrix stays, decay or not; one without a gradient is named."""
    frozen, free = matrix(), matrix(seed=1)
    frozen.requires_grad = False
    before = frozen.numpy().copy()
    optimizer = optim.Muon([frozen, free], lr=0.1)
    optimizer.step()
    assert_equal([frozen.numpy()], [before])
    free.grad = None
    with pytest.raises(GraphError, match=r"^Muon.step: parameter 1, of shape \(3, 5\), has"):
        optimizer.step()
