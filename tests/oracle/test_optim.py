"""Optimizers and clipping against PyTorch's, step by step."""

import itertools
import math

import numpy as np
import pytest

from tinygrad_np import Tensor, nn, optim

torch = pytest.importorskip("torch", reason="torch is not installed: pip install -e '.[oracle]'")

pytestmark = pytest.mark.slow

STEPS = 50
SHAPES = [(3, 4), (), (2, 1, 3), (5,), ()]
MATRICES = [(3, 4), (6, 2), (4, 4), (1, 5)]

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
    {"betas": (0.8, 0.7), "amsgrad": True},
    {"betas": (0.8, 0.7), "amsgrad": True, "weight_decay": 0.1},
]
NADAM_OPTIONS = [
    {},
    {"betas": (0.5, 0.7), "momentum_decay": 0.1},
    {"eps": 0.01, "weight_decay": 0.1},
    {"momentum_decay": 0.0, "weight_decay": 0.1, "decoupled_weight_decay": True},
]
RMSPROP_OPTIONS = [
    {},
    {"alpha": 0.7, "eps": 0.01},
    {"momentum": 0.9},
    {"centered": True, "alpha": 0.8},
    {"momentum": 0.5, "weight_decay": 0.1},
    {"momentum": 0.5, "weight_decay": 0.1, "centered": True, "alpha": 0.8, "eps": 0.01},
]
ADAGRAD_OPTIONS = [
    {},
    {"lr_decay": 0.1},
    {"initial_accumulator_value": 0.5, "eps": 0.01},
    {"lr_decay": 0.01, "weight_decay": 0.1, "initial_accumulator_value": 0.1},
]
ADADELTA_OPTIONS = [
    {},
    {"rho": 0.5},
    {"rho": 0.7, "eps": 0.01, "weight_decay": 0.1},
    {"weight_decay": 0.1},
]
MUON_OPTIONS = [
    {},
    {"nesterov": False},
    {"momentum": 0.5, "weight_decay": 0.0},
    {"ns_steps": 3, "ns_coefficients": (2.0, -1.5, 0.5)},
    {"adjust_lr_fn": "original", "eps": 0.5},
    {"adjust_lr_fn": "match_rms_adamw", "nesterov": False, "momentum": 0.8},
]
# Weights with other options than biases: the second group overrides some of the first's.
RATES = {"lr": 0.02, "weight_decay": 0.0}
FAMILIES = [
    ("SGD", SGD_OPTIONS, {"momentum": 0.3, "weight_decay": 0.2}),
    ("Adam", [*ADAM_OPTIONS, {"weight_decay": 0.1, "decoupled_weight_decay": True}], {}),
    ("Adam", ADAM_OPTIONS, {"betas": (0.7, 0.99), "eps": 0.1}),
    ("AdamW", ADAM_OPTIONS, {"betas": (0.7, 0.99), "weight_decay": 0.2}),
    ("NAdam", NADAM_OPTIONS, {"betas": (0.7, 0.99), "weight_decay": 0.2}),
    ("RMSprop", RMSPROP_OPTIONS, {"alpha": 0.9, "momentum": 0.3, "weight_decay": 0.2}),
    ("Adagrad", ADAGRAD_OPTIONS, {"lr_decay": 0.05, "weight_decay": 0.2}),
    ("Adadelta", ADADELTA_OPTIONS, {"rho": 0.8, "weight_decay": 0.2}),
    ("Muon", MUON_OPTIONS, {"momentum": 0.7, "weight_decay": 0.2, "ns_steps": 4}),
]
CASES = [
    (kind, options, second)
    for kind, all_options, own in FAMILIES
    for options, second in itertools.product(all_options, [RATES, own])
]


@pytest.fixture(autouse=True)
def _float64():
    """Have PyTorch keep scalars as float64: NAdam's product of momenta would else be float32."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.fixture
def full_precision(monkeypatch):
    """Take out the rounding to bfloat16 of PyTorch's Muon, the one thing we do not follow."""
    monkeypatch.setattr(torch.Tensor, "bfloat16", lambda self: self.clone())


def starts(kind, dtype=np.float64):
    """Return the first weights."""
    generator = np.random.default_rng(0)
    shapes = MATRICES if kind == "Muon" else SHAPES
    return [np.asarray(generator.standard_normal(shape), dtype) for shape in shapes]


def ours(kind, options, second, dtype=np.float64):
    """Return parameters and an optimizer with two groups."""
    params = [nn.Parameter(start) for start in starts(kind, dtype)]
    groups = [{"params": params[:2]}, {"params": params[2:], **second}]
    return params, getattr(optim, kind)(groups, lr=0.05, **options)


def theirs(kind, options, second, dtype=np.float64):
    """Return PyTorch's parameters and an optimizer with two groups."""
    params = [torch.nn.Parameter(torch.tensor(start)) for start in starts(kind, dtype)]
    groups = [{"params": params[:2]}, {"params": params[2:], **second}]
    return params, getattr(torch.optim, kind)(groups, lr=0.05, **options)


def gradient(weight, generator):
    """Return the gradient of a noisy bowl: so that a wrong step shows in all that follow."""
    noise = generator.standard_normal(weight.shape)
    return np.asarray(weight + 0.5 * np.sin(3 * weight) + noise, weight.dtype)


def compare(kind, options, second, dtype, rtol, atol):
    """Assert that after each of fifty steps the weights are PyTorch's."""
    params, optimizer = ours(kind, options, second, dtype)
    their_params, their_optimizer = theirs(kind, options, second, dtype)
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
            assert found.dtype == dtype
            np.testing.assert_allclose(
                found.numpy(), expected.detach().numpy(), rtol, atol, err_msg=f"step {step}"
            )


ALL = pytest.mark.parametrize(
    ("kind", "options", "second"),
    CASES,
    ids=[
        f"{kind}-{options or 'plain'}-{second}".replace("'", "") for kind, options, second in CASES
    ],
)


@ALL
@pytest.mark.usefixtures("full_precision")
def test_fifty_steps(kind, options, second):
    """After each of fifty steps in float64 the weights are PyTorch's."""
    compare(kind, options, second, np.float64, rtol=1e-12, atol=1e-12)


@ALL
@pytest.mark.usefixtures("full_precision")
def test_fifty_steps_in_float32(kind, options, second):
    """So they are in float32, but for its rounding."""
    compare(kind, options, second, np.float32, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("options", MUON_OPTIONS)
def test_muon_beside_bfloat16(options):
    """As it is, with bfloat16 in its iteration, PyTorch's Muon goes nearly the same way."""
    compare("Muon", options | {"weight_decay": 0.1}, {}, np.float32, rtol=0, atol=0.1)


@pytest.mark.parametrize(
    "kind", ["SGD", "Adam", "AdamW", "NAdam", "RMSprop", "Adagrad", "Adadelta", "Muon"]
)
def test_defaults(kind):
    """What both have as options has the same default, and they lack only what is none of ours."""
    found = getattr(optim, kind)([nn.Parameter([[1.0]])]).param_groups[0]
    expected = getattr(torch.optim, kind)([torch.nn.Parameter(torch.ones(1, 1))]).param_groups[0]
    machinery = {"foreach", "fused", "capturable", "maximize", "differentiable"}
    assert found.keys() == expected.keys() - machinery
    names = found.keys() - {"params"}
    assert {name: found[name] for name in names} == {name: expected[name] for name in names}


# Clipping.


@pytest.mark.parametrize(("dtype", "rtol"), [(np.float64, 1e-12), (np.float32, 1e-5)])
@pytest.mark.parametrize("order", [2.0, 1.0, 0.5, 3.0, math.inf])
@pytest.mark.parametrize("max_norm", [0.0, 0.1, 5.0, 1000.0, math.inf])
def test_clip_grad_norm(max_norm, order, dtype, rtol):
    """The norm and the gradients are PyTorch's."""
    grads = [grad * 3 for grad in starts("Adam", dtype)]
    params = [nn.Parameter(np.zeros(grad.shape, dtype)) for grad in [*grads, grads[0]]]
    their_params = [torch.nn.Parameter(torch.tensor(p.numpy())) for p in params]
    for parameter, other, grad in zip(params, their_params, grads, strict=False):
        parameter.grad, other.grad = Tensor(grad), torch.tensor(grad)
    norm = optim.clip_grad_norm(params, max_norm, order)
    expected = torch.nn.utils.clip_grad_norm_(their_params, max_norm, order)
    np.testing.assert_allclose(norm, expected.item(), rtol)
    for parameter, other in zip(params[:-1], their_params, strict=False):
        np.testing.assert_allclose(parameter.grad.numpy(), other.grad.numpy(), rtol)
    assert params[-1].grad is None


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("max_norm", [1.0, math.inf])
def test_clip_grad_norm_that_is_not_finite(max_norm, bad):
    """What becomes of gradients whose norm is nan or inf is PyTorch's too."""
    params = [nn.Parameter(np.zeros(2)), nn.Parameter(np.zeros(2))]
    their_params = [torch.nn.Parameter(torch.zeros(2)) for _ in params]
    for parameter, other, grad in zip(params, their_params, ([1.0, 2.0], [3.0, bad]), strict=True):
        parameter.grad, other.grad = Tensor(np.array(grad)), torch.tensor(grad)
    with np.errstate(invalid="ignore"):
        norm = optim.clip_grad_norm(params, max_norm)
    np.testing.assert_equal(norm, torch.nn.utils.clip_grad_norm_(their_params, max_norm).item())
    for parameter, other in zip(params, their_params, strict=True):
        np.testing.assert_array_equal(parameter.grad.numpy(), other.grad.numpy())


@pytest.mark.parametrize("limit", [0.0, 0.3, 100.0, math.inf])
def test_clip_grad_value(limit):
    """So they are when clipped entry by entry, nan and inf among them."""
    grads = [*starts("Adam"), np.array([math.nan, math.inf, -math.inf])]
    for grad in grads:
        parameter, other = nn.Parameter(grad), torch.nn.Parameter(torch.tensor(grad))
        parameter.grad, other.grad = Tensor(grad), torch.tensor(grad)
        optim.clip_grad_value([parameter], limit)
        torch.nn.utils.clip_grad_value_([other], limit)
        np.testing.assert_array_equal(parameter.grad.numpy(), other.grad.numpy())
