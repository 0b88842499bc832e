"""Optimizers, gradient clipping and schedules compared with PyTorch's, step by step."""

import inspect
import itertools
import math
import re
import warnings

import numpy as np
import pytest

from tests.oracle.pytorch import torch
from tinygrad_np import Tensor, nn, optim

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
LAMB_OPTIONS = [
    {},
    {"betas": (0.5, 0.7), "eps": 1e-3},
    {"weight_decay": 0.0},
    {"betas": (0.8, 0.9), "weight_decay": 0.1},
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
# Biases have their own options: the second group overrides some of the first.
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
    ("LAMB", LAMB_OPTIONS, {"betas": (0.7, 0.99), "weight_decay": 0.2}),
    ("Muon", MUON_OPTIONS, {"momentum": 0.7, "weight_decay": 0.2, "ns_steps": 4}),
]
CASES = [
    (kind, options, second)
    for kind, all_options, own in FAMILIES
    for options, second in itertools.product(all_options, [RATES, own])
]


@pytest.fixture(autouse=True)
def _float64():
    """Make PyTorch store scalars as float64; otherwise NAdam's product of momenta is float32."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.fixture
def full_precision(monkeypatch):
    """Remove the rounding to bfloat16 from PyTorch's Muon, the one difference from ours."""
    monkeypatch.setattr(torch.Tensor, "bfloat16", lambda self: self.clone())


class LambOfThePaper(torch.optim.Optimizer):
    """You et al. 2020, algorithm 2, line by line with φ(x) = x; PyTorch has no LAMB.

    If one of the two norms is 0, the ratio is 1, as in the authors' code.
    """

    def __init__(self, params, lr, betas=(0.9, 0.999), eps=1e-6, weight_decay=0.01):
        defaults = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay}
        super().__init__(params, defaults)

    @torch.no_grad()
    def step(self):
        """Update each layer."""
        for group in self.param_groups:
            (beta1, beta2), decay = group["betas"], group["weight_decay"]
            for x in group["params"]:
                state, g = self.state[x], x.grad
                t = state["t"] = state.get("t", 0) + 1
                m = state["m"] = beta1 * state.get("m", 0) + (1 - beta1) * g
                v = state["v"] = beta2 * state.get("v", 0) + (1 - beta2) * g * g
                m, v = m / (1 - beta1**t), v / (1 - beta2**t)
                r = m / (v.sqrt() + group["eps"])
                update = r + decay * x
                length, reach = x.norm(), update.norm()
                ratio = length / reach if length > 0 and reach > 0 else 1.0
                x -= group["lr"] * ratio * update


def starts(kind, dtype=np.float64):
    """Return the initial weights."""
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
    their_kind = LambOfThePaper if kind == "LAMB" else getattr(torch.optim, kind)
    return params, their_kind(groups, lr=0.05, **options)


def gradient(weight, generator):
    """Return the gradient of a noisy bowl, on which an error affects all later steps."""
    noise = generator.standard_normal(weight.shape)
    return np.asarray(weight + 0.5 * np.sin(3 * weight) + noise, weight.dtype)


def compare(kind, options, second, dtype, rtol, atol):
    """Assert that the weights equal PyTorch's after each of fifty steps."""
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
@pytest.mark.parametrize(
    ("dtype", "rtol", "atol"), [(np.float64, 1e-12, 1e-12), (np.float32, 1e-4, 1e-5)]
)
@pytest.mark.usefixtures("full_precision")
def test_fifty_steps_match_pytorch(kind, options, second, dtype, rtol, atol):
    """The weights equal PyTorch's after each of fifty steps, up to float32 rounding."""
    compare(kind, options, second, dtype, rtol, atol)


@pytest.mark.parametrize("options", MUON_OPTIONS)
def test_muon_is_close_to_pytorchs_bfloat16_muon(options):
    """The original Muon of PyTorch, which iterates in bfloat16, takes similar steps."""
    compare("Muon", options | {"weight_decay": 0.1}, {}, np.float32, rtol=0, atol=0.1)


@pytest.mark.parametrize(
    "kind", ["SGD", "Adam", "AdamW", "NAdam", "RMSprop", "Adagrad", "Adadelta", "Muon"]
)
def test_defaults_match_pytorch(kind):
    """Common options have the same defaults; we lack only implementation switches."""
    found = getattr(optim, kind)([nn.Parameter([[1.0]])]).param_groups[0]
    expected = getattr(torch.optim, kind)([torch.nn.Parameter(torch.ones(1, 1))]).param_groups[0]
    assert found.keys() == expected.keys() - MACHINERY
    names = found.keys() - {"params"}
    assert {name: found[name] for name in names} == {name: expected[name] for name in names}


# Switches between PyTorch's implementations, and what only its devices and compiler need.
MACHINERY = {"foreach", "fused", "capturable", "maximize", "differentiable"}
# We take `decoupled_weight_decay` by position too.
OPTIMIZERS = ["SGD", "Adam", "AdamW", "NAdam", "RMSprop", "Adagrad", "Adadelta", "Muon"]


def signature(kind, without):
    """Return the names and defaults of the arguments of a class, in order."""
    found = inspect.signature(kind).parameters.values()
    return [(p.name, p.default) for p in found if p.name not in without]


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_optimizers_have_pytorchs_signatures(kind):
    """Names, order and defaults are PyTorch's."""
    theirs = signature(getattr(torch.optim, kind), MACHINERY)
    assert signature(getattr(optim, kind), ()) == theirs


@pytest.mark.parametrize("kind", sorted(set(optim.lr_scheduler.__all__) - {"LinearWarmup"}))
def test_schedules_have_pytorchs_signatures(kind):
    """They lack only `last_epoch`: load_state_dict resumes a schedule."""
    theirs = signature(getattr(torch.optim.lr_scheduler, kind), {"last_epoch"})
    assert signature(getattr(optim.lr_scheduler, kind), ()) == theirs


@pytest.mark.parametrize("kind", ["SGD", "Adam", "AdamW", "RMSprop", "Adagrad"])
def test_skipped_parameters_match_pytorch(kind):
    """In each step, a different one of three parameters has no gradient, or all have one."""
    params, their_params = ([] for _ in range(2))
    for start in starts(kind)[:3]:
        params.append(nn.Parameter(start))
        their_params.append(torch.nn.Parameter(torch.tensor(start)))
    optimizer = getattr(optim, kind)(params[:2], lr=0.05, weight_decay=0.1)
    theirs = getattr(torch.optim, kind)(their_params[:2], lr=0.05, weight_decay=0.1)
    optimizer.add_param_group({"params": params[2:], "lr": 0.02})
    theirs.add_param_group({"params": their_params[2:], "lr": 0.02})
    noise = np.random.default_rng(1)
    with warnings.catch_warnings(record=True, action="always") as caught:
        for step in range(9):
            optimizer.zero_grad()
            theirs.zero_grad()
            for position, (one, other) in enumerate(zip(params, their_params, strict=True)):
                if position != step % 4:
                    grad = gradient(one.numpy(), noise)
                    one.grad, other.grad = Tensor(grad), torch.tensor(grad)
            optimizer.step()
            theirs.step()
            for found, expected in zip(params, their_params, strict=True):
                np.testing.assert_allclose(found.numpy(), expected.detach().numpy(), 1e-12)
    assert len(caught) == 1


# Averages of weights.


def test_ema_matches_pytorch():
    """The averages equal those of AveragedModel after each of thirty steps."""
    model, their_model = nn.Linear(3, 2), torch.nn.Linear(3, 2)
    average = torch.optim.swa_utils.get_ema_multi_avg_fn(0.9)
    ema = optim.EMA(model, 0.9)
    theirs = torch.optim.swa_utils.AveragedModel(their_model, multi_avg_fn=average)
    generator = np.random.default_rng(1)
    for _ in range(30):
        for own, other in zip(model.parameters(), their_model.parameters(), strict=True):
            own.data[...] = generator.standard_normal(own.shape)
            other.data[...] = torch.tensor(own.numpy())
        ema.update()
        theirs.update_parameters(their_model)
        for name, expected in theirs.module.named_parameters():
            np.testing.assert_allclose(
                ema.averages[name], expected.detach().numpy(), rtol=1e-5, atol=1e-6
            )


# Gradient clipping.


@pytest.mark.parametrize(("dtype", "rtol"), [(np.float64, 1e-12), (np.float32, 1e-5)])
@pytest.mark.parametrize("order", [2.0, 1.0, 0.5, 3.0, math.inf])
@pytest.mark.parametrize("max_norm", [0.0, 0.1, 5.0, 1000.0, math.inf])
def test_clip_grad_norm_matches_pytorch(max_norm, order, dtype, rtol):
    """The norm and the gradients equal PyTorch's."""
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
def test_clip_grad_norm_with_a_nonfinite_norm_matches_pytorch(max_norm, bad):
    """Gradients with a norm of nan or inf change as in PyTorch."""
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
def test_clip_grad_value_matches_pytorch(limit):
    """Entries, including nan and inf, are clipped as in PyTorch."""
    grads = [*starts("Adam"), np.array([math.nan, math.inf, -math.inf])]
    for grad in grads:
        parameter, other = nn.Parameter(grad), torch.nn.Parameter(torch.tensor(grad))
        parameter.grad, other.grad = Tensor(grad), torch.tensor(grad)
        optim.clip_grad_value([parameter], limit)
        torch.nn.utils.clip_grad_value_([other], limit)
        np.testing.assert_array_equal(parameter.grad.numpy(), other.grad.numpy())


# Schedules.


def one_cycle(total_steps=60, **options):
    """Return a schedule with a peak of 0.4."""
    return "OneCycleLR", {"max_lr": 0.4, "total_steps": total_steps, **options}


SCHEDULES = [
    ("StepLR", {"step_size": 7}),
    ("StepLR", {"step_size": 1, "gamma": 0.9}),
    ("MultiStepLR", {"milestones": [5, 20, 21]}),
    ("MultiStepLR", {"milestones": [30, 0, 5, 5], "gamma": 0.5}),
    ("ExponentialLR", {"gamma": 0.93}),
    ("LambdaLR", {"lr_lambda": lambda step: 1 / (1 + step)}),
    ("LambdaLR", {"lr_lambda": [lambda step: 0.9**step, lambda step: step % 7]}),
    ("CosineAnnealingLR", {"T_max": 100}),
    ("CosineAnnealingLR", {"T_max": 25, "eta_min": 0.001}),
    ("LinearWarmup", {"warmup_steps": 5}),
    ("LinearWarmup", {"warmup_steps": 40, "start_factor": 0.01}),
    ("LinearWarmup", {"warmup_steps": 1, "start_factor": 1.0}),
    one_cycle(),
    ("OneCycleLR", {"max_lr": [0.4, 0.3], "epochs": 10, "steps_per_epoch": 7}),
    one_cycle(three_phase=True),
    one_cycle(three_phase=True, pct_start=0.45),
    one_cycle(61, anneal_strategy="linear"),
    one_cycle(cycle_momentum=False),
    one_cycle(63, pct_start=0.7, base_momentum=[0.5, 0.6], max_momentum=0.9, div_factor=10.0),
    one_cycle(final_div_factor=100.0),
    one_cycle(pct_start=0.0),
    one_cycle(pct_start=0.01, three_phase=True),
    one_cycle(61, pct_start=1.0),
]
# For the cosine schedule: PyTorch's recursion has rounding errors where the wave is 0.
TOLERANCE = {"rtol": 1e-10, "atol": 1e-16}


def two_optimizers(kind="SGD", lr=0.1):
    """Return our optimizer and PyTorch's, each with two groups."""
    own = {"lr": 0.03, **({"momentum": 0.5} if kind == "SGD" else {"betas": (0.8, 0.99)})}
    mine = getattr(optim, kind)(
        [{"params": [nn.Parameter([1.0])]}, {"params": [nn.Parameter([1.0])], **own}], lr=lr
    )
    groups = [{"params": [torch.nn.Parameter(torch.ones(1))]} for _ in range(2)]
    other = getattr(torch.optim, kind)([groups[0], groups[1] | own], lr=lr)
    return mine, other


def their_schedule(optimizer, name, options):
    """Return PyTorch's schedule."""
    if name == "LinearWarmup":
        name = "LinearLR"
        options = {**options, "total_iters": options["warmup_steps"]}
        del options["warmup_steps"]
    return getattr(torch.optim.lr_scheduler, name)(optimizer, **options)


def assert_same_groups(mine, other, step):
    """Assert that learning rate and momentum of both groups equal PyTorch's."""
    for found, expected in zip(mine.param_groups, other.param_groups, strict=True):
        for name in {"lr", "momentum", "betas"} & found.keys():
            np.testing.assert_allclose(
                found[name], expected[name], **TOLERANCE, err_msg=f"{name} at {step}"
            )


def compare_schedules(mine, other, schedule, their, steps=60):
    """Assert that the groups equal PyTorch's at the start and after each step."""
    assert_same_groups(mine, other, 0)
    for step in range(1, steps + 1):
        schedule.step()
        with warnings.catch_warnings():
            # PyTorch warns that optimizer.step() is not called in between.
            warnings.simplefilter("ignore")
            their.step()
        assert_same_groups(mine, other, step)
        np.testing.assert_allclose(schedule.get_last_lr(), their.get_last_lr(), **TOLERANCE)


def named(cases):
    """Return test ids, the same in every process: without the addresses of functions."""
    texts = [f"{name}-{options}".replace("'", "") for name, options in cases]
    return [re.sub(r" at 0x\w+", "", text) for text in texts]


@pytest.mark.parametrize("kind", ["SGD", "Adam"])
@pytest.mark.parametrize(("name", "options"), SCHEDULES, ids=named(SCHEDULES))
def test_schedule_matches_pytorch(name, options, kind):
    """The learning rates of both groups equal PyTorch's over sixty steps."""
    mine, other = two_optimizers(kind)
    schedule = getattr(optim, name)(mine, **options)
    compare_schedules(mine, other, schedule, their_schedule(other, name, options))


@pytest.mark.parametrize(("name", "options"), SCHEDULES, ids=named(SCHEDULES))
@pytest.mark.parametrize("first", [True, False])
def test_two_schedules_in_a_sequence_match_pytorch(name, options, first):
    """In a SequentialLR, after or before another schedule."""
    one, another = ("LinearWarmup", {"warmup_steps": 8}), (name, options)
    milestone = 8
    if first:
        one, another, milestone = (name, options), ("ExponentialLR", {"gamma": 0.9}), 30
    mine, other = two_optimizers()
    if name == "OneCycleLR":
        # PyTorch's OneCycleLR changes the initial lr of the other schedule: set the same here.
        for group, their_group in zip(mine.param_groups, other.param_groups, strict=True):
            peak = options["max_lr"]
            peak = peak[group is mine.param_groups[1]] if isinstance(peak, list) else peak
            group["lr"] = their_group["lr"] = peak / options.get("div_factor", 25.0)
    parts = [getattr(optim, part)(mine, **own) for part, own in (one, another)]
    schedule = optim.SequentialLR(mine, parts, milestones=[milestone])
    their_parts = [their_schedule(other, *part) for part in (one, another)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        their = torch.optim.lr_scheduler.SequentialLR(other, their_parts, milestones=[milestone])
    compare_schedules(mine, other, schedule, their, steps=50)


def test_three_schedules_in_a_sequence_match_pytorch():
    """Each of the three parts starts at the initial learning rates of the optimizer."""
    mine, other = two_optimizers()
    parts = [
        ("LinearWarmup", {"warmup_steps": 10, "start_factor": 0.1}),
        ("CosineAnnealingLR", {"T_max": 20}),
        ("StepLR", {"step_size": 10}),
    ]
    mine_parts = [getattr(optim, name)(mine, **options) for name, options in parts]
    their_parts = [their_schedule(other, *part) for part in parts]
    their = torch.optim.lr_scheduler.SequentialLR(other, their_parts, milestones=[10, 25])
    compare_schedules(mine, other, optim.SequentialLR(mine, mine_parts, [10, 25]), their)


PLATEAUS = [
    {},
    {"patience": 2},
    {"mode": "max", "patience": 1, "factor": 0.5},
    {"patience": 1, "threshold": 0.2},
    {"patience": 1, "threshold": 0.2, "threshold_mode": "abs"},
    {"mode": "max", "patience": 1, "threshold": 0.2, "threshold_mode": "abs", "factor": 0.7},
    {"mode": "max", "patience": 1, "threshold": 0.2, "factor": 0.7},
    {"patience": 0, "cooldown": 3, "factor": 0.8},
    {"patience": 0, "min_lr": 0.005, "factor": 0.5},
    {"patience": 0, "min_lr": [0.005, 0.02], "factor": 0.5},
    {"patience": 0, "eps": 0.004, "factor": 0.5},
]


@pytest.mark.parametrize("options", PLATEAUS)
@pytest.mark.parametrize("slope", [-0.05, 0.0, 0.05])
def test_reduce_lr_on_plateau_matches_pytorch(options, slope):
    """The metric has noise, negative values and nan."""
    mine, other = two_optimizers()
    schedule = optim.ReduceLROnPlateau(mine, **options)
    their = torch.optim.lr_scheduler.ReduceLROnPlateau(other, **options)
    noise = np.random.default_rng(3).standard_normal(60)
    for step in range(60):
        metric = math.nan if step % 17 == 5 else 1 + slope * step + 0.3 * noise[step]
        schedule.step(metric)
        their.step(metric)
        assert_same_groups(mine, other, step)
        np.testing.assert_allclose(schedule.get_last_lr(), their.get_last_lr(), **TOLERANCE)
