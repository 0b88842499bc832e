"""Learning-rate schedules: formulas, chaining, resuming and errors."""

import copy
import importlib
import json
import math
import re

import numpy as np
import pytest

from tests.tools import each
from tinygrad_np import Tensor, nn, optim
from tinygrad_np.errors import ArgumentError

RATES = (0.1, 0.03)


def optimizer_of(*rates, kind=optim.SGD, **options):
    """Return an optimizer with one group of one parameter per learning rate."""
    groups = [{"params": [nn.Parameter([1.0])], "lr": lr} for lr in rates or RATES]
    return kind(groups, **options)


def rates_of(optimizer, name="lr"):
    """Return the learning rate of each group."""
    return [group[name] for group in optimizer.param_groups]


def take(schedule, steps, first=0):
    """Take steps, with metrics if needed, and return the learning rates after each."""
    rates = []
    for step in range(first, first + steps):
        if isinstance(schedule, optim.ReduceLROnPlateau):
            schedule.step(math.sin(step))
        else:
            schedule.step()
        rates.append(rates_of(schedule.optimizer))
    return rates


def warm_then_cosine(optimizer):
    """Return a warmup followed by cosine annealing."""
    parts = [optim.LinearWarmup(optimizer, 4, 0.1), optim.CosineAnnealingLR(optimizer, 8)]
    return optim.SequentialLR(optimizer, parts, milestones=[4])


def nested(optimizer):
    """Return a SequentialLR that contains another one."""
    parts = [warm_then_cosine(optimizer), optim.ExponentialLR(optimizer, 0.5)]
    return optim.SequentialLR(optimizer, parts, milestones=[9])


# Formulas, as factors of the initial learning rate.


def one_cycle(t, total=20, rise=0.3, first=1 / 25, last=1 / 25e4):
    """Return the learning rate of a two-phase cycle with a peak of 1."""
    top = rise * total - 1
    if t <= top:
        return 1 + (first - 1) * (1 + math.cos(math.pi * t / top)) / 2
    return last + (1 - last) * (1 + math.cos(math.pi * (t - top) / (total - 1 - top))) / 2


FORMULAS = {
    "step": (lambda o: optim.StepLR(o, 3), lambda t: 0.1 ** (t // 3)),
    "step-gamma": (lambda o: optim.StepLR(o, 1, gamma=0.5), lambda t: 0.5**t),
    "milestones": (
        lambda o: optim.MultiStepLR(o, [2, 7, 3], gamma=0.5),
        lambda t: 0.5 ** sum(t >= milestone for milestone in (2, 3, 7)),
    ),
    "milestones-twice": (
        lambda o: optim.MultiStepLR(o, iter([0, 4, 4])),
        lambda t: 0.1 ** (1 + 2 * (t >= 4)),
    ),
    "no-milestones": (lambda o: optim.MultiStepLR(o, []), lambda t: 1.0),
    "lambda": (lambda o: optim.LambdaLR(o, lambda t: 1 / (1 + t)), lambda t: 1 / (1 + t)),
    "exponential": (lambda o: optim.ExponentialLR(o, 0.9), lambda t: 0.9**t),
    "cosine": (
        lambda o: optim.CosineAnnealingLR(o, T_max=9),
        lambda t: (1 + math.cos(math.pi * t / 9)) / 2,
    ),
    "warmup": (
        lambda o: optim.LinearWarmup(o, 5),
        lambda t: 1.0 if t >= 5 else 1 / 3 + 2 / 3 * t / 5,
    ),
    "warmup-from-low": (
        lambda o: optim.LinearWarmup(o, 1, start_factor=0.001),
        lambda t: 1.0 if t >= 1 else 0.001,
    ),
    "one-cycle": (lambda o: optim.OneCycleLR(o, list(RATES), 20, cycle_momentum=False), one_cycle),
    "sequential": (
        warm_then_cosine,
        lambda t: 0.1 + 0.9 * t / 4 if t < 4 else (1 + math.cos(math.pi * (t - 4) / 8)) / 2,
    ),
    "nested": (
        nested,
        lambda t: (
            0.1 + 0.9 * t / 4
            if t < 4
            else ((1 + math.cos(math.pi * (t - 4) / 8)) / 2 if t < 9 else 0.5 ** (t - 9))
        ),
    ),
}


@each(("make", "factor"), FORMULAS.values(), ids=FORMULAS.keys())
def test_learning_rates_match_the_formula(make, factor):
    """Each group has its initial lr times the factor, also before the first step."""
    optimizer = optimizer_of()
    schedule = make(optimizer)
    rates = [rates_of(optimizer), *take(schedule, 20)]
    assert schedule.steps == 20
    for t, found in enumerate(rates):
        expected = [lr * factor(t) for lr in RATES]
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-16, err_msg=f"step {t}")


def test_cosine_falls_to_eta_min():
    """The learning rates fall to eta_min at T_max, and halfway are the mean."""
    optimizer = optimizer_of()
    schedule = optim.CosineAnnealingLR(optimizer, T_max=4, eta_min=0.01)
    np.testing.assert_allclose(rates_of(optimizer), RATES, rtol=1e-12)
    rates = take(schedule, 4)
    np.testing.assert_allclose(rates[1], [0.055, 0.02], rtol=1e-12)
    np.testing.assert_allclose(rates[3], [0.01, 0.01], rtol=1e-12)


MAKERS = {name: make for name, (make, _) in FORMULAS.items()}
MAKERS |= {
    "plateau": lambda o: optim.ReduceLROnPlateau(o, patience=1, cooldown=1, min_lr=[0.0, 0.001]),
    "one-cycle-momentum": lambda o: optim.OneCycleLR(o, 0.1, 30, three_phase=True),
    "cycle-then-decay": lambda o: optim.SequentialLR(
        o, [optim.OneCycleLR(o, 0.1, 6), optim.ExponentialLR(o, 0.9)], [6]
    ),
}
EACH = each("make", MAKERS.values(), ids=MAKERS.keys())


@EACH
def test_get_last_lr_returns_a_new_list_of_floats(make):
    """It returns a new list of Python floats, which keep float32 parameters float32."""
    optimizer = optimizer_of(momentum=0.9)
    schedule = make(optimizer)
    for step in range(12):
        assert schedule.get_last_lr() == rates_of(optimizer)
        assert [type(lr) for lr in rates_of(optimizer)] == [float, float]
        schedule.get_last_lr().clear()
        take(schedule, 1, step)


# LambdaLR.


def test_lambda_lr_takes_one_function_per_group():
    optimizer = optimizer_of(kind=optim.SGD)
    schedule = optim.LambdaLR(optimizer, [lambda t: t, lambda t: np.float32(2)])
    assert take(schedule, 3)[-1] == pytest.approx([0.3, 0.06])


def test_lambda_lr_saves_no_function():
    """The state is JSON; a schedule with another function continues with it."""
    schedule = optim.LambdaLR(optimizer_of(), lambda t: 0.5**t)
    take(schedule, 2)
    state = json.loads(json.dumps(schedule.state_dict()))
    other = optim.LambdaLR(optimizer_of(), lambda t: 10 * t)
    other.load_state_dict(state)
    assert rates_of(other.optimizer) == pytest.approx([2.0, 0.6])


@each("given", [None, 0.5, [abs], [abs, abs, abs], [abs, None]])
def test_lambda_lr_without_a_function_per_group_raises(given):
    words = "LambdaLR: expected `lr_lambda` to be a function or a list of 2 functions"
    with pytest.raises(ArgumentError, match=f"^{words}"):
        optim.LambdaLR(optimizer_of(), given)


# PyTorch's habits.


def test_schedules_have_pytorchs_module_name():
    module = importlib.import_module("tinygrad_np.optim.lr_scheduler")
    assert optim.lr_scheduler is module
    assert all(getattr(module, name) is getattr(optim, name) for name in module.__all__)
    own = {name for name in optim.__all__ if is_schedule(getattr(optim, name))}
    assert own - {"Schedule"} == set(module.__all__)


def is_schedule(value):
    """Return whether a value is a schedule's class."""
    return isinstance(value, type) and issubclass(value, optim.Schedule)


@EACH
def test_step_after_adding_a_parameter_group_raises(make):
    optimizer = optimizer_of(momentum=0.9)
    schedule = make(optimizer)
    optimizer.add_param_group({"params": [nn.Parameter([1.0])]})
    words = r"step: expected 2 parameter groups, as at construction, got 3\. Construct the sched"
    with pytest.raises(ArgumentError, match=words):
        take(schedule, 1)
    assert schedule.steps == 0


# Several schedules.


@EACH
def test_second_schedule_starts_from_the_initial_lr(make):
    optimizer = optimizer_of(momentum=0.9)
    first = make(optimizer)
    second = optim.StepLR(optimizer, 10)
    assert rates_of(optimizer) == second.get_last_lr() == first.initial_lrs
    if "max_lr" not in json.dumps(first.state_dict()):  # OneCycleLR sets its own
        assert rates_of(optimizer) == list(RATES)


def test_constructing_a_schedule_again_does_not_compound():
    """Running a notebook cell again must not start the warmup from a third of a third."""
    optimizer = optimizer_of()
    for _ in range(3):
        optim.LinearWarmup(optimizer, 10)
    np.testing.assert_allclose(rates_of(optimizer), [0.1 / 3, 0.03 / 3], rtol=1e-12)


def test_schedules_start_from_initial_lr():
    """Changing it changes where the next schedule starts; changing lr does not."""
    optimizer = optimizer_of()
    optim.LinearWarmup(optimizer, 10)
    optimizer.param_groups[0]["lr"] = 0.7
    optimizer.param_groups[1]["initial_lr"] = 0.5
    assert optim.ExponentialLR(optimizer, 0.9).initial_lrs == [0.1, 0.5] == rates_of(optimizer)


def test_later_schedule_starts_from_initial_lr_but_plateau_from_current_lr():
    """A later schedule starts from initial_lr, but a plateau from the current lr."""
    optimizer = optimizer_of()
    take(optim.ExponentialLR(optimizer, 0.5), 2)
    plateau = optim.ReduceLROnPlateau(optimizer)
    assert plateau.get_last_lr() == rates_of(optimizer) == [0.025, 0.0075]
    second = optim.StepLR(optimizer, 1)
    assert second.initial_lrs == rates_of(optimizer) == list(RATES)


def test_first_schedule_records_initial_lr_and_one_cycle_replaces_it():
    """The first schedule records it; OneCycleLR replaces it by its own."""
    optimizer = optimizer_of()
    assert "initial_lr" not in optimizer.param_groups[0]
    schedule = warm_then_cosine(optimizer)
    for _ in range(2):
        assert rates_of(optimizer, "initial_lr") == list(RATES)
        schedule.step()
    assert optim.StepLR(optimizer, 5).get_last_lr() == list(RATES)
    optim.OneCycleLR(optimizer, 0.4, total_steps=10)
    assert rates_of(optimizer, "initial_lr") == [0.4 / 25] * 2
    assert optim.StepLR(optimizer, 5).get_last_lr() == [0.4 / 25] * 2


def test_initial_lr_is_copied_with_groups_and_state_dicts():
    """It is copied with groups and with state dicts; loading a state dict checks it."""
    first, second = optimizer_of(), optimizer_of(0.7, 0.7)
    optim.LinearWarmup(first, 10)
    assert optim.StepLR(optim.SGD(first.param_groups), 5).get_last_lr() == list(RATES)
    state = first.state_dict()
    second.load_state_dict(state)
    assert rates_of(second, "initial_lr") == list(RATES)
    state["param_groups"][0]["initial_lr"] = -0.1
    with pytest.raises(
        ArgumentError, match=r"^SGD: expected `initial_lr` to be a finite number >= 0, got -0\.1\."
    ):
        second.load_state_dict(state)


@each("is_second_first", [False, True])
def test_sequential_parts_can_be_constructed_in_any_order(is_second_first):
    """Each part starts from the optimizer's initial learning rates."""
    optimizer = optimizer_of()
    makers = [lambda: optim.LinearWarmup(optimizer, 4), lambda: optim.StepLR(optimizer, 10)]
    parts = [make() for make in (makers[::-1] if is_second_first else makers)]
    parts = parts[::-1] if is_second_first else parts
    schedule = optim.SequentialLR(optimizer, parts, [4])
    np.testing.assert_allclose(rates_of(optimizer), [0.1 / 3, 0.03 / 3], rtol=1e-12)
    assert take(schedule, 5)[-1] == list(RATES)


def test_sequential_milestone_0_skips_the_first_part():
    optimizer = optimizer_of()
    parts = [optim.LinearWarmup(optimizer, 4), optim.ExponentialLR(optimizer, 0.5)]
    schedule = optim.SequentialLR(optimizer, parts, [0])
    assert rates_of(optimizer) == list(RATES)
    assert take(schedule, 1) == [[0.05, 0.015]]


# OneCycleLR.


@each("kind", [optim.SGD, optim.RMSprop, optim.Adam, optim.LAMB])
def test_one_cycle_lowers_momentum_while_lr_rises(kind):
    """Momentum, or β1, is lowest where the lr is highest; β2 is constant."""
    optimizer = optimizer_of(kind=kind)
    schedule = optim.OneCycleLR(
        optimizer, 0.5, 20, base_momentum=[0.6, 0.7], max_momentum=0.9, anneal_strategy="linear"
    )
    for t in range(20):
        share = t / 5 if t <= 5 else (19 - t) / 14
        for group, fall in zip(optimizer.param_groups, (0.3, 0.2), strict=True):
            momentum, second = group["betas"] if "betas" in group else (group["momentum"], 0.999)
            assert momentum == pytest.approx(0.9 - fall * share, rel=1e-12)
            assert second == 0.999
        take(schedule, 1 if t < 19 else 0)


def test_cycle_momentum_false_keeps_momentum_constant():
    """With cycle_momentum=False momentum is constant and not required."""
    optimizer = optimizer_of(momentum=0.5)
    take(optim.OneCycleLR(optimizer, 0.5, 10, cycle_momentum=False), 3)
    assert [group["momentum"] for group in optimizer.param_groups] == [0.5, 0.5]
    take(optim.OneCycleLR(optimizer_of(kind=optim.Adagrad), 0.5, 10, cycle_momentum=False), 3)


def test_one_cycle_peaks_exactly_at_max_lr():
    """The peak is max_lr exactly, also with epochs and steps_per_epoch."""
    rates = take(optim.OneCycleLR(optimizer_of(), [0.1, 0.7], epochs=4, steps_per_epoch=5), 20)
    assert [max(column) for column in zip(*rates, strict=True)] == [0.1, 0.7]


def test_three_phase_one_cycle_returns_to_the_initial_lr():
    """A rise, an equally long return to the initial lr, and a fall to the final lr."""
    rates = take(optim.OneCycleLR(optimizer_of(), 1.0, 20, three_phase=True), 19)
    for step, expected in ((5, 1.0), (10, 0.04), (19, 4e-6)):
        np.testing.assert_allclose(rates[step - 1], [expected] * 2, rtol=1e-12)


@each(
    ("steps", "rise", "expected"),
    # Without a rising step the cycle starts at its peak. PyTorch divides by zero.
    [(10, 0.1, 1.0), (1, 0.3, 1 / 25e4), (1, 1.0, 1.0)],
)
def test_one_cycle_phase_may_have_no_steps(steps, rise, expected):
    optimizer = optimizer_of()
    schedule = optim.OneCycleLR(optimizer, 1.0, steps, pct_start=rise)
    np.testing.assert_allclose(rates_of(optimizer), expected, rtol=1e-12)
    take(schedule, steps)
    assert np.isfinite(rates_of(optimizer)).all()


@pytest.mark.parametrize("within", [0, 1, 2])
def test_step_beyond_one_cycle_raises(within):
    """It also raises in a SequentialLR, and changes nothing."""
    optimizer = optimizer_of()
    schedule = optim.OneCycleLR(optimizer, 0.1, 5)
    for _ in range(within):
        first = optim.LinearWarmup(optimizer, 2)
        schedule = optim.SequentialLR(optimizer, [first, schedule], [2])
    take(schedule, 5 + 2 * within)
    state, rates = schedule.state_dict(), rates_of(optimizer)
    with pytest.raises(
        ArgumentError, match=r"^OneCycleLR.step: expected at most 5 steps, got 6. Pass a la"
    ):
        schedule.step()
    assert schedule.state_dict() == state
    assert rates_of(optimizer) == rates


# ReduceLROnPlateau.


def plateau(metrics, **options):
    """Return the lr after each metric, for one group with an initial lr of 1."""
    optimizer = optimizer_of(1.0)
    schedule = optim.ReduceLROnPlateau(optimizer, **{"factor": 0.5, **options})
    found = []
    for metric in metrics:
        schedule.step(metric)
        found += rates_of(optimizer)
    return found


@each(
    ("metrics", "options", "expected"),
    [
        ([3, 2, 2, 2], {"patience": 1}, [1, 1, 1, 0.5]),
        ([3, 2, 2, 1, 1, 1], {"patience": 1}, [1, 1, 1, 1, 1, 0.5]),
        ([1, 2, 2, 3, 3], {"patience": 0, "mode": "max"}, [1, 1, 0.5, 0.5, 0.25]),
        ([1, 1, 1, 1, 1], {"patience": 0, "cooldown": 2}, [1, 0.5, 0.5, 0.5, 0.25]),
        ([1, 1, 1, 1], {"patience": 0, "min_lr": 0.3}, [1, 0.5, 0.3, 0.3]),
        ([1, 1, 1, 1], {"patience": 0, "eps": 0.3}, [1, 0.5, 0.5, 0.5]),
        ([1, 0.95, 0.89], {"patience": 0, "threshold": 0.1}, [1, 0.5, 0.5]),
        ([10, 9.95, 9.89], {"patience": 0, "threshold": 0.1}, [1, 0.5, 0.25]),
        ([8, 7.95, 7.8], {"patience": 0, "threshold": 0.1, "threshold_mode": "abs"}, [1, 0.5, 0.5]),
        ([1, math.nan, 0.5], {"patience": 0}, [1, 0.5, 0.5]),
        ([math.nan, math.nan], {"patience": 0}, [0.5, 0.25]),
    ],
)
def test_plateau_reduces_lr_after_patience_bad_steps(metrics, options, expected):
    """The lr falls after more than `patience` steps without improvement."""
    assert plateau(metrics, **options) == expected


def test_plateau_accepts_scalars_and_one_entry_tensors():
    """A metric may be a NumPy scalar or a tensor with one entry."""
    assert plateau([Tensor(1.0), np.float32(2.0), Tensor([2.0])], patience=0) == [1, 0.5, 0.25]
    words = r"^ReduceLROnPlateau.step: expected one number, for example the epoch's .* loss, got "
    for metric in (Tensor([1.0, 2.0]), "low", None):
        with pytest.raises(ArgumentError, match=words):
            plateau([metric])


def test_plateau_reduces_a_manually_changed_lr():
    optimizer = optimizer_of()
    schedule = optim.ReduceLROnPlateau(optimizer, patience=0, factor=0.5)
    schedule.step(1.0)
    optimizer.param_groups[0]["lr"] = 8.0
    schedule.step(1.0)
    assert schedule.get_last_lr() == rates_of(optimizer) == [4.0, 0.015]


# State dicts.


@pytest.mark.slow
@EACH
@each("before", [0, 3, 7])
@each("kind", [optim.SGD, optim.Adam])
@each("is_old", [False, True])
def test_schedule_resumes_from_its_state_dict(make, before, kind, is_old):
    """Resuming from JSON is bit for bit, momentum included, also from files without initial_lr."""
    whole, resumed = optimizer_of(kind=kind), optimizer_of(0.7, 0.7, kind=kind)
    schedule, other = make(whole), make(resumed)
    take(schedule, before)
    state, its_state = json.loads(json.dumps(schedule.state_dict())), whole.state_dict()
    for group in its_state["param_groups"] if is_old else []:
        del group["initial_lr"]
    resumed.load_state_dict(its_state)
    other.load_state_dict(state)
    for group in [*whole.param_groups, *resumed.param_groups] if is_old else []:
        del group["initial_lr"]
    for step in range(10):
        assert resumed.state_dict()["param_groups"] == whole.state_dict()["param_groups"]
        assert take(other, 1, before + step) == take(schedule, 1, before + step)
    assert other.state_dict() == schedule.state_dict()


@EACH
def test_loading_sets_the_learning_rates(make):
    """The optimizer's own state need not be loaded."""
    first, second = optimizer_of(momentum=0.9), optimizer_of(1.0, 1.0, momentum=0.9)
    schedule = make(first)
    take(schedule, 5)
    make(second).load_state_dict(schedule.state_dict())
    assert rates_of(second) == rates_of(first)


def test_loading_replaces_the_options():
    state = optim.StepLR(optimizer_of(), 3, gamma=0.5).state_dict()
    schedule = optim.StepLR(optimizer_of(), 100)
    schedule.load_state_dict(state)
    np.testing.assert_allclose(take(schedule, 3)[-1], [0.05, 0.015], rtol=1e-12)


@EACH
def test_later_steps_change_no_state_dict(make):
    """Later steps change neither a saved state dict nor a loaded one."""
    schedule, other = (make(optimizer_of(momentum=0.9)) for _ in range(2))
    take(schedule, 2)
    state = schedule.state_dict()
    before = copy.deepcopy(state)
    other.load_state_dict(state)
    take(schedule, 3)
    take(other, 3)
    assert state == before
    state["options"].clear()
    state["initial_lrs"].clear()
    take(schedule, 1)
    take(other, 1)


@EACH
def test_deepcopy_continues_like_the_original(make):
    """A copy continues equally and leaves the original unchanged."""
    optimizer = optimizer_of(momentum=0.9)
    schedule = make(optimizer)
    take(schedule, 2)
    copied = copy.deepcopy(schedule)
    assert copied.optimizer is not optimizer
    rates = rates_of(optimizer)
    after = take(copied, 5, 2)
    assert rates_of(optimizer) == rates
    assert take(schedule, 5, 2) == after


@EACH
def test_loading_state_of_another_schedule_raises(make):
    """The schedule is left unchanged."""
    schedule = make(optimizer_of())
    take(schedule, 2)
    before = schedule.state_dict()
    where = rf"^{type(schedule).__name__}.load_state_dict"
    words = (
        rf"{where}: the state belongs to a different schedule\. Expected the entries \[.* with the "
        r"options \[.*\], got {'"
    )
    strangers = [other(optimizer_of()) for other in MAKERS.values()]
    strangers = [stranger for stranger in strangers if type(stranger) is not type(schedule)]
    assert len(strangers) > 10
    for stranger in strangers:
        with pytest.raises(ArgumentError, match=words):
            schedule.load_state_dict(stranger.state_dict())
    assert schedule.state_dict() == before


@each(
    ("state", "words"),
    [
        ({}, "got {}."),
        ([], "expected the state to be a dict with string keys, got a list with 0 entries."),
        ({"options": None}, "expected `options` to be a dict with string keys, got None."),
    ],
)
def test_loading_an_invalid_state_raises(state, words):
    with pytest.raises(ArgumentError, match=f"{re.escape(words)}$"):
        optim.StepLR(optimizer_of(), 1).load_state_dict(state)


@EACH
def test_loading_state_of_other_groups_raises(make):
    state = make(optimizer_of()).state_dict()
    state["initial_lrs"] += [0.1]
    schedule = make(optimizer_of())
    where = f"^{type(schedule).__name__}.load_state_dict"
    words = rf"{where}: expected the state of 2 parameter groups, got 3\."
    with pytest.raises(ArgumentError, match=words):
        schedule.load_state_dict(state)


def test_loading_state_of_another_sequential_raises():
    """No part is changed."""
    schedule, stranger = warm_then_cosine(optimizer_of()), nested(optimizer_of())
    before = schedule.state_dict()
    with pytest.raises(ArgumentError, match=r"^ExponentialLR.load_state_dict|^LinearWarmup.load"):
        schedule.load_state_dict(stranger.state_dict())
    assert schedule.state_dict() == before
    state = warm_then_cosine(optimizer_of()).state_dict()
    state["schedulers"].pop()
    words = r"^SequentialLR.load_state_dict: expected the state of 2 schedulers, got 1\."
    with pytest.raises(ArgumentError, match=words):
        schedule.load_state_dict(state)
    assert schedule.state_dict() == before


# Invalid arguments.

FINE_OPTIONS = {
    "StepLR": {"step_size": 1},
    "MultiStepLR": {"milestones": [1]},
    "ExponentialLR": {"gamma": 0.5},
    "CosineAnnealingLR": {"T_max": 5},
    "LinearWarmup": {"warmup_steps": 5},
    "OneCycleLR": {"max_lr": 0.1, "total_steps": 10},
    "ReduceLROnPlateau": {},
}
BAD_OPTIONS = [
    ("StepLR step_size", 0, "an integer >= 1, got 0."),
    ("StepLR step_size", 1.5, "an integer >= 1, got 1.5."),
    ("StepLR gamma", -1, "a finite number >= 0, got -1."),
    ("MultiStepLR milestones", [3, -1], "an integer >= 0, got -1."),
    ("MultiStepLR milestones", [0.5], "an integer >= 0, got 0.5."),
    ("MultiStepLR gamma", math.nan, "a finite number >= 0, got nan."),
    ("ExponentialLR gamma", -0.5, "a finite number >= 0, got -0.5."),
    ("CosineAnnealingLR T_max", 0, "an integer >= 1, got 0."),
    ("CosineAnnealingLR eta_min", -1, "a finite number >= 0, got -1."),
    ("LinearWarmup warmup_steps", 0, "an integer >= 1, got 0."),
    ("LinearWarmup start_factor", 0.0, "above 0 and at most 1, got 0.0."),
    ("LinearWarmup start_factor", 1.5, "above 0 and at most 1, got 1.5."),
    ("LinearWarmup start_factor", "a", "a finite number >= 0, got 'a'."),
    ("OneCycleLR total_steps", 0, "an integer >= 1, got 0."),
    ("OneCycleLR total_steps", 2.0, "an integer >= 1, got 2.0."),
    ("OneCycleLR max_lr", -1, "a finite number >= 0, got -1."),
    (
        "OneCycleLR max_lr",
        [1, 2, 3],
        "one number or 2 numbers (one per parameter group), got 3 numbers.",
    ),
    ("OneCycleLR pct_start", 1.5, "a number from 0 to 1, got 1.5."),
    ("OneCycleLR max_momentum", 1.5, "a number from 0 to 1, got 1.5."),
    ("OneCycleLR base_momentum", [0.5, -1], "a number from 0 to 1, got -1."),
    ("OneCycleLR div_factor", 0, "above 0, got 0."),
    ("OneCycleLR final_div_factor", -1, "a finite number >= 0, got -1."),
    ("OneCycleLR anneal_strategy", "exp", "'cos' or 'linear', got 'exp'."),
    ("ReduceLROnPlateau mode", "low", "'min' or 'max', got 'low'."),
    ("ReduceLROnPlateau threshold_mode", "abc", "'rel' or 'abs', got 'abc'."),
    ("ReduceLROnPlateau factor", 1.0, "below 1, got 1.0."),
    ("ReduceLROnPlateau factor", -0.5, "a finite number >= 0, got -0.5."),
    ("ReduceLROnPlateau patience", -1, "an integer >= 0, got -1."),
    ("ReduceLROnPlateau cooldown", 0.5, "an integer >= 0, got 0.5."),
    ("ReduceLROnPlateau threshold", -1, "a finite number >= 0, got -1."),
    ("ReduceLROnPlateau eps", math.nan, "a finite number >= 0, got nan."),
    ("ReduceLROnPlateau min_lr", -1, "a finite number >= 0, got -1."),
    (
        "ReduceLROnPlateau min_lr",
        [0.1],
        "one number or 2 numbers (one per parameter group), got 1 numbers.",
    ),
]


@each(("where", "value", "words"), BAD_OPTIONS)
def test_invalid_options_raise(where, value, words):
    """They also raise when a state dict is loaded, and nothing changes."""
    kind, option = where.split()
    make, words = getattr(optim, kind), f"^{kind}: expected `{option}` to be {re.escape(words)}"
    optimizer = optimizer_of(momentum=0.5)
    before = optimizer.state_dict()
    with pytest.raises(ArgumentError, match=words):
        make(optimizer, **{**FINE_OPTIONS[kind], option: value})
    assert optimizer.state_dict() == before
    assert optim.StepLR(optimizer, 1).initial_lrs == list(RATES)

    schedule = make(optimizer, **FINE_OPTIONS[kind])
    state, before = schedule.state_dict(), schedule.state_dict()
    state["options"][option] = value
    state["steps"] = 3
    with pytest.raises(ArgumentError, match=words):
        schedule.load_state_dict(state)
    assert schedule.state_dict() == before


@each(
    ("call", "words"),
    [
        (
            lambda o: optim.StepLR(nn.Linear(2, 1), 3),
            "StepLR: expected `optimizer` to be an Optimizer, for example "
            "optim.SGD(model.parameters()), got Linear.",
        ),
        (
            lambda o: optim.OneCycleLR(o, 0.1),
            "OneCycleLR: expected `total_steps`, or both `epochs` and `steps_per_epoch`, got "
            "epochs=None and steps_per_epoch=None.",
        ),
        (
            lambda o: optim.OneCycleLR(o, 0.1, epochs=3),
            "OneCycleLR: expected `total_steps`, or both `epochs` and `steps_per_epoch`, got "
            "epochs=3 and steps_per_epoch=None.",
        ),
        (
            lambda o: optim.OneCycleLR(o, 0.1, epochs=0, steps_per_epoch=3),
            "OneCycleLR: expected `epochs` to be an integer >= 1, got 0.",
        ),
        (
            lambda o: optim.OneCycleLR(o, 0.1, epochs=3, steps_per_epoch=0.5),
            "OneCycleLR: expected `steps_per_epoch` to be an integer >= 1, got 0.5.",
        ),
        (
            lambda o: optim.OneCycleLR(optimizer_of(kind=optim.Adagrad), 0.1, 10),
            "OneCycleLR: expected an optimizer with momentum or betas, got Adagrad. Pass cycle_mom",
        ),
    ],
)
def test_invalid_arguments_raise(call, words):
    with pytest.raises(ArgumentError, match=f"^{re.escape(words)}"):
        call(optimizer_of())


@each(
    ("make", "milestones", "words"),
    [
        (
            lambda o: [optim.StepLR(o, 1), 3],
            [1],
            "`schedulers` to be schedules that depend only on the step, got int at position 1.",
        ),
        (
            lambda o: [optim.ReduceLROnPlateau(o)],
            [],
            "`schedulers` to be schedules that depend only on the step, got ReduceLROnPlateau at",
        ),
        (
            lambda o: [optim.StepLR(optimizer_of(), 1)],
            [],
            "all `schedulers` to share the given optimizer, got StepLR at position 0 with a "
            "different optimizer.",
        ),
        (
            lambda o: [],
            [],
            "at least one scheduler and len(schedulers) - 1 milestones, got lengths 0 and 0.",
        ),
        (
            lambda o: [optim.StepLR(o, 1)],
            [3],
            "at least one scheduler and len(schedulers) - 1 milestones, got lengths 1 and 1.",
        ),
        (lambda o: [optim.StepLR(o, 1)] * 2, [0.5], "`milestones` to be an integer >= 0, got 0.5."),
        (
            lambda o: [optim.StepLR(o, 1)] * 3,
            [5, 5],
            "`milestones` to be strictly increasing, got [5, 5].",
        ),
    ],
)
def test_invalid_sequential_arguments_raise(make, milestones, words):
    optimizer = optimizer_of()
    with pytest.raises(ArgumentError, match=f"^SequentialLR: expected {re.escape(words)}"):
        optim.SequentialLR(optimizer, make(optimizer), milestones)


def test_subclass_implements_lr():
    """A subclass implements `_lr`; the base class does not."""

    class Root(optim.Schedule):
        def _lr(self, initial):
            return initial / math.sqrt(1 + self.steps)

    optimizer = optimizer_of(1.0)
    assert take(Root(optimizer), 3)[-1] == [0.5]
    with pytest.raises(NotImplementedError):
        optim.Schedule(optimizer)


@each(
    "kind,options,words",
    [
        (optim.StepLR, {"step_size": 1}, {"step_size": 0}),
        (optim.MultiStepLR, {"milestones": [0, 1]}, {"milestones": [-1]}),
        (optim.CosineAnnealingLR, {"T_max": 1, "eta_min": 0}, {"T_max": 0}),
        (optim.LinearWarmup, {"warmup_steps": 1, "start_factor": 1}, {"warmup_steps": 0}),
        (optim.LinearWarmup, {"warmup_steps": 1}, {"warmup_steps": 1, "start_factor": 1.5}),
        (optim.ReduceLROnPlateau, {"patience": 0, "factor": 0, "eps": 0}, {"factor": 1}),
        (optim.ReduceLROnPlateau, {"cooldown": 0, "threshold": 0}, {"factor": 1.5}),
        (optim.OneCycleLR, {"max_lr": 0, "total_steps": 1}, {"max_lr": 1, "total_steps": 0}),
        (optim.OneCycleLR, {"max_lr": 1, "epochs": 1, "steps_per_epoch": 1}, {"max_lr": 1}),
    ],
)
def test_options_are_accepted_at_their_limits_and_raise_beyond(kind, options, words):
    take(kind(optimizer_of(momentum=0.9), **options), 1)
    with pytest.raises(ArgumentError):
        kind(optimizer_of(momentum=0.9), **words)


@each("mode", ["rel", "abs"])
def test_plateau_threshold_and_eps_are_exclusive(mode):
    """An unchanged metric is no improvement, and a reduction by exactly eps is skipped."""
    optimizer = optimizer_of(2.0)
    options = {"factor": 0.5, "patience": 0, "threshold": 0, "threshold_mode": mode}
    schedule = optim.ReduceLROnPlateau(optimizer, **options, eps=0.5)
    for rate in (2.0, 1.0, 1.0):
        schedule.step(3.0)
        assert rates_of(optimizer) == [rate]


def test_each_of_three_sequential_parts_starts_from_the_initial_lr():
    optimizer = optimizer_of(1.0)
    parts = [optim.ExponentialLR(optimizer, 0.5) for _ in range(3)]
    schedule = optim.SequentialLR(optimizer, parts, milestones=[2, 5])
    rates = [rate for (rate,) in take(schedule, 6)]
    assert rates == [0.5, 1.0, 0.5, 0.25, 1.0, 0.5]


def test_default_plateau_reduces_lr_at_the_11th_bad_step():
    """Improvements below 1e-4 of the best are bad steps; the 11th in a row reduces lr to 1/10."""
    optimizer = optim.SGD([Tensor([1.0], requires_grad=True)], lr=1.0)
    schedule = optim.ReduceLROnPlateau(optimizer)
    schedule.step(1.0)
    for loss, bad_steps in ((1 - 0.9e-4, 1), (1 - 1.5e-4, 0)):
        schedule.step(loss)
        assert schedule.bad_steps == bad_steps
    for _ in range(10):
        schedule.step(1.0)
    assert optimizer.param_groups[0]["lr"] == 1.0
    schedule.step(1.0)
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.1)


def test_plateau_skips_reductions_below_eps():
    for eps, expected in ((0.89, 0.1), (0.91, 1.0)):
        optimizer = optim.SGD([Tensor([1.0], requires_grad=True)], lr=1.0)
        schedule = optim.ReduceLROnPlateau(optimizer, patience=0, eps=eps)
        schedule.step(1.0)
        schedule.step(1.0)
        assert optimizer.param_groups[0]["lr"] == pytest.approx(expected)
