"""Schedules against their formulas written out, in succession, resumed, and what they refuse."""

import copy
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
    """Return an optimizer with a group of one parameter for each rate."""
    groups = [{"params": [nn.Parameter([1.0])], "lr": lr} for lr in rates or RATES]
    return kind(groups, **options)


def rates_of(optimizer, name="lr"):
    """Return the groups' rates."""
    return [group[name] for group in optimizer.param_groups]


def take(schedule, steps, first=0):
    """Take steps, by the metrics of their numbers where they want one; return the rates after
    each.
    """
    rates = []
    for step in range(first, first + steps):
        if isinstance(schedule, optim.ReduceLROnPlateau):
            schedule.step(math.sin(step))
        else:
            schedule.step()
        rates.append(rates_of(schedule.optimizer))
    return rates


def warm_then_cosine(optimizer):
    """Return the usual succession."""
    parts = [optim.LinearWarmup(optimizer, 4, 0.1), optim.CosineAnnealingLR(optimizer, 8)]
    return optim.SequentialLR(optimizer, parts, milestones=[4])


def nested(optimizer):
    """Return a succession within a succession."""
    parts = [warm_then_cosine(optimizer), optim.ExponentialLR(optimizer, 0.5)]
    return optim.SequentialLR(optimizer, parts, milestones=[9])


# Formulas: a factor of the first rate.


def one_cycle(t, total=20, rise=0.3, first=1 / 25, last=1 / 25e4):
    """Return the rate of a cycle of two phases with a highest rate of 1."""
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
    "succession": (
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
def test_formula(make, factor):
    """Each group's rate is its first one by the factor of the step, from before the first on."""
    optimizer = optimizer_of()
    schedule = make(optimizer)
    rates = [rates_of(optimizer), *take(schedule, 20)]
    assert schedule.steps == 20
    for t, found in enumerate(rates):
        expected = [lr * factor(t) for lr in RATES]
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-16, err_msg=f"step {t}")


def test_cosine_above_a_minimum():
    """The first rates fall to eta_min at T_max: halfway they are the mean of both."""
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
def test_get_last_lr(make):
    """get_last_lr() are the rates that were set, as a list of its own: Python floats, which keep
    float32 parameters float32.
    """
    optimizer = optimizer_of(momentum=0.9)
    schedule = make(optimizer)
    for step in range(12):
        assert schedule.get_last_lr() == rates_of(optimizer)
        assert [type(lr) for lr in rates_of(optimizer)] == [float, float]
        schedule.get_last_lr().clear()
        take(schedule, 1, step)


# Several schedules.


@EACH
def test_schedules_made_before_the_first_step(make):
    """A schedule that follows another unbegun one starts from the rates before both."""
    optimizer = optimizer_of(momentum=0.9)
    first = make(optimizer)
    second = optim.StepLR(optimizer, 10)
    assert rates_of(optimizer) == second.get_last_lr() == first.initial_lrs
    if "max_lr" not in json.dumps(first.state_dict()):  # a cycle's first rate is its own
        assert rates_of(optimizer) == list(RATES)


def test_a_schedule_made_twice():
    """A cell of a notebook that is run again does not warm up from a third of a third."""
    optimizer = optimizer_of()
    for _ in range(3):
        optim.LinearWarmup(optimizer, 10)
    np.testing.assert_allclose(rates_of(optimizer), [0.1 / 3, 0.03 / 3], rtol=1e-12)


def test_rates_changed_between_schedules():
    """Every schedule starts from the group's initial_lr, which can be changed."""
    optimizer = optimizer_of()
    optim.LinearWarmup(optimizer, 10)
    optimizer.param_groups[0]["lr"] = 0.7
    optimizer.param_groups[1]["initial_lr"] = 0.5
    assert optim.ExponentialLR(optimizer, 0.9).initial_lrs == [0.1, 0.5] == rates_of(optimizer)


def test_schedule_after_another_one():
    """A schedule made after another's steps starts from initial_lr, a plateau from the rate."""
    optimizer = optimizer_of()
    take(optim.ExponentialLR(optimizer, 0.5), 2)
    plateau = optim.ReduceLROnPlateau(optimizer)
    assert plateau.get_last_lr() == rates_of(optimizer) == [0.025, 0.0075]
    second = optim.StepLR(optimizer, 1)
    assert second.initial_lrs == rates_of(optimizer) == list(RATES)


def test_initial_lr():
    """The first schedule records it in the groups; a cycle replaces it by its own first rate."""
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


def test_initial_lr_in_another_optimizer():
    """It comes with the groups, and with a state dict, where it is checked."""
    first, second = optimizer_of(), optimizer_of(0.7, 0.7)
    optim.LinearWarmup(first, 10)
    assert optim.StepLR(optim.SGD(first.param_groups), 5).get_last_lr() == list(RATES)
    state = first.state_dict()
    second.load_state_dict(state)
    assert rates_of(second, "initial_lr") == list(RATES)
    state["param_groups"][0]["initial_lr"] = -0.1
    with pytest.raises(ArgumentError, match=r"SGD initial_lr: got -0\.1, expected a finite"):
        second.load_state_dict(state)


@each("is_second_first", [False, True])
def test_succession_in_any_order_of_making(is_second_first):
    """Whichever part is made first, each starts from the optimizer's own rates."""
    optimizer = optimizer_of()
    makers = [lambda: optim.LinearWarmup(optimizer, 4), lambda: optim.StepLR(optimizer, 10)]
    parts = [make() for make in (makers[::-1] if is_second_first else makers)]
    parts = parts[::-1] if is_second_first else parts
    schedule = optim.SequentialLR(optimizer, parts, [4])
    np.testing.assert_allclose(rates_of(optimizer), [0.1 / 3, 0.03 / 3], rtol=1e-12)
    assert take(schedule, 5)[-1] == list(RATES)


def test_succession_that_starts_with_its_second():
    """A milestone of 0 passes over the first part."""
    optimizer = optimizer_of()
    parts = [optim.LinearWarmup(optimizer, 4), optim.ExponentialLR(optimizer, 0.5)]
    schedule = optim.SequentialLR(optimizer, parts, [0])
    assert rates_of(optimizer) == list(RATES)
    assert take(schedule, 1) == [[0.05, 0.015]]


# OneCycleLR.


@each("kind", [optim.SGD, optim.RMSprop, optim.Adam, optim.LAMB])
def test_one_cycle_momentum(kind):
    """Momentum, or beta 1, is lowest where the rate is highest; beta 2 stays."""
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


def test_one_cycle_leaves_momentum():
    """With cycle_momentum=False momentum stays, and need not be there."""
    optimizer = optimizer_of(momentum=0.5)
    take(optim.OneCycleLR(optimizer, 0.5, 10, cycle_momentum=False), 3)
    assert [group["momentum"] for group in optimizer.param_groups] == [0.5, 0.5]
    take(optim.OneCycleLR(optimizer_of(kind=optim.Adagrad), 0.5, 10, cycle_momentum=False), 3)


def test_one_cycle_peak():
    """The highest rate is max_lr to the bit, and total_steps may come as epochs of steps."""
    rates = take(optim.OneCycleLR(optimizer_of(), [0.1, 0.7], epochs=4, steps_per_epoch=5), 20)
    assert [max(column) for column in zip(*rates, strict=True)] == [0.1, 0.7]


def test_one_cycle_of_three_phases():
    """Up to the highest rate, back to the first one in as many steps, then down to the last."""
    rates = take(optim.OneCycleLR(optimizer_of(), 1.0, 20, three_phase=True), 19)
    for step, expected in ((5, 1.0), (10, 0.04), (19, 4e-6)):
        np.testing.assert_allclose(rates[step - 1], [expected] * 2, rtol=1e-12)


@each(
    ("steps", "rise", "expected"),
    # No step of the rise: the cycle starts at its top. PyTorch divides by zero.
    [(10, 0.1, 1.0), (1, 0.3, 1 / 25e4), (1, 1.0, 1.0)],
)
def test_one_cycle_phase_of_no_length(steps, rise, expected):
    """A phase without steps is over at once."""
    optimizer = optimizer_of()
    schedule = optim.OneCycleLR(optimizer, 1.0, steps, pct_start=rise)
    np.testing.assert_allclose(rates_of(optimizer), expected, rtol=1e-12)
    take(schedule, steps)
    assert np.isfinite(rates_of(optimizer)).all()


@pytest.mark.parametrize("within", [0, 1, 2])
def test_one_cycle_has_an_end(within):
    """A step beyond the last is refused, in a succession too, and changes nothing."""
    optimizer = optimizer_of()
    schedule = optim.OneCycleLR(optimizer, 0.1, 5)
    for _ in range(within):
        first = optim.LinearWarmup(optimizer, 2)
        schedule = optim.SequentialLR(optimizer, [first, schedule], [2])
    take(schedule, 5 + 2 * within)
    state, rates = schedule.state_dict(), rates_of(optimizer)
    with pytest.raises(ArgumentError, match=r"^OneCycleLR.step: all 5 steps are taken; give a la"):
        schedule.step()
    assert schedule.state_dict() == state
    assert rates_of(optimizer) == rates


# ReduceLROnPlateau.


def plateau(metrics, **options):
    """Return the rate of one group of rate 1 after each metric."""
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
def test_plateau(metrics, options, expected):
    """The rate falls when the metric has not got better for more than `patience` steps."""
    assert plateau(metrics, **options) == expected


def test_plateau_metrics():
    """A metric may be a Tensor of one entry, or a NumPy number; no other Tensor."""
    assert plateau([Tensor(1.0), np.float32(2.0), Tensor([2.0])], patience=0) == [1, 0.5, 0.25]
    words = r"^ReduceLROnPlateau.step: got .*, expected one number, such as the loss"
    for metric in (Tensor([1.0, 2.0]), "low", None):
        with pytest.raises(ArgumentError, match=words):
            plateau([metric])


def test_plateau_takes_over_rates():
    """A rate that was set by hand in between is the one that falls."""
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
def test_going_on_from_a_state_dict(make, before, kind, is_old):
    """A schedule resumed from JSON gives the same bits, momentum included; also from a state
    without initial_lr, as in older files.
    """
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
def test_loading_sets_the_rates(make):
    """The rates are right at once, whether or not the optimizer's own state is loaded."""
    first, second = optimizer_of(momentum=0.9), optimizer_of(1.0, 1.0, momentum=0.9)
    schedule = make(first)
    take(schedule, 5)
    make(second).load_state_dict(schedule.state_dict())
    assert rates_of(second) == rates_of(first)


def test_loading_takes_over_the_options():
    """A state dict has the options, which replace those of the schedule that loads it."""
    state = optim.StepLR(optimizer_of(), 3, gamma=0.5).state_dict()
    schedule = optim.StepLR(optimizer_of(), 100)
    schedule.load_state_dict(state)
    np.testing.assert_allclose(take(schedule, 3)[-1], [0.05, 0.015], rtol=1e-12)


@EACH
def test_state_dict_copies(make):
    """Steps do not change a state dict taken before, nor what it was loaded from."""
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
def test_going_on_from_a_copy(make):
    """A deep copy of optimizer and schedule goes on alike, without the first."""
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
def test_loading_of_another_schedule(make):
    """The state of each other kind of schedule is refused, and nothing is changed."""
    schedule = make(optimizer_of())
    take(schedule, 2)
    before = schedule.state_dict()
    words = rf"^{type(schedule).__name__}.load_state_dict: got \[.*this state is of something else"
    strangers = [other(optimizer_of()) for other in MAKERS.values()]
    strangers = [stranger for stranger in strangers if type(stranger) is not type(schedule)]
    assert len(strangers) > 10
    for stranger in strangers:
        with pytest.raises(ArgumentError, match=words):
            schedule.load_state_dict(stranger.state_dict())
    assert schedule.state_dict() == before


@EACH
def test_loading_of_other_groups(make):
    """The state of an optimizer with other groups is refused."""
    state = make(optimizer_of()).state_dict()
    state["initial_lrs"] += [0.1]
    schedule = make(optimizer_of())
    words = f"^{type(schedule).__name__}.load_state_dict: this state is of 3 groups of parameters, "
    with pytest.raises(ArgumentError, match=words):
        schedule.load_state_dict(state)


def test_loading_of_another_succession():
    """A succession of other parts is refused before any part is changed."""
    schedule, stranger = warm_then_cosine(optimizer_of()), nested(optimizer_of())
    before = schedule.state_dict()
    with pytest.raises(ArgumentError, match=r"^ExponentialLR.load_state_dict|^LinearWarmup.load"):
        schedule.load_state_dict(stranger.state_dict())
    assert schedule.state_dict() == before
    state = warm_then_cosine(optimizer_of()).state_dict()
    state["schedulers"].pop()
    words = "^SequentialLR.load_state_dict: this state is of 1 schedules, expected 2"
    with pytest.raises(ArgumentError, match=words):
        schedule.load_state_dict(state)
    assert schedule.state_dict() == before


# What is refused.

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
    ("StepLR step_size", 0, "got 0, expected an integer of at le"),
    ("StepLR step_size", 1.5, "got 1.5, expected an int"),
    ("StepLR gamma", -1, "got -1, expected a finite"),
    ("MultiStepLR milestones", [3, -1], "got -1, expected an int"),
    ("MultiStepLR milestones", [0.5], "got 0.5"),
    ("MultiStepLR gamma", math.nan, "got nan"),
    ("ExponentialLR gamma", -0.5, "got -0.5, expected a finite"),
    ("CosineAnnealingLR T_max", 0, "got 0, expected an int"),
    ("CosineAnnealingLR eta_min", -1, "got -1"),
    ("LinearWarmup warmup_steps", 0, "got 0, expected an int"),
    ("LinearWarmup start_factor", 0.0, "got 0.0, expected a number above 0 and up to 1"),
    ("LinearWarmup start_factor", 1.5, "got 1.5, expec"),
    ("LinearWarmup start_factor", "a", "got 'a'"),
    ("OneCycleLR total_steps", 0, "got 0, expected an int"),
    ("OneCycleLR total_steps", 2.0, "got 2.0"),
    ("OneCycleLR max_lr", -1, "got -1, expected a finite number of"),
    ("OneCycleLR max_lr", [1, 2, 3], "got 3 numbers, expected one, or 2, as many as the optimizer"),
    ("OneCycleLR pct_start", 1.5, "got 1.5, expected a number fr"),
    ("OneCycleLR max_momentum", 1.5, "got 1.5, expected a num"),
    ("OneCycleLR base_momentum", [0.5, -1], "got -1, expected"),
    ("OneCycleLR div_factor", 0, "got 0, expected a number above"),
    ("OneCycleLR final_div_factor", -1, "got -1, expected"),
    ("OneCycleLR anneal_strategy", "exp", "got 'exp', expected 'cos' or 'linear'"),
    ("ReduceLROnPlateau mode", "low", "got 'low', expected 'min' or 'max'"),
    ("ReduceLROnPlateau threshold_mode", "abc", "got 'abc', expected 'rel' or 'abs'"),
    ("ReduceLROnPlateau factor", 1.0, "got 1.0, expected a number below 1"),
    ("ReduceLROnPlateau factor", -0.5, "got -0.5, expected a"),
    ("ReduceLROnPlateau patience", -1, "got -1, expected an int"),
    ("ReduceLROnPlateau cooldown", 0.5, "got 0.5, expected an int"),
    ("ReduceLROnPlateau threshold", -1, "got -1, expected"),
    ("ReduceLROnPlateau eps", math.nan, "got nan, expected a"),
    ("ReduceLROnPlateau min_lr", -1, "got -1, expected a fin"),
    ("ReduceLROnPlateau min_lr", [0.1], "got 1 numbers, expected one, or 2, as"),
]


@each(("where", "value", "words"), BAD_OPTIONS)
def test_options_are_checked(where, value, words):
    """An option that makes no sense is refused, in a state dict too; nothing is changed."""
    kind, option = where.split()
    make, words = getattr(optim, kind), f"^{where}: {re.escape(words)}"
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
        (lambda o: optim.StepLR(nn.Linear(2, 1), 3), "StepLR: got Linear, expected an optimizer"),
        (lambda o: optim.OneCycleLR(o, 0.1), "OneCycleLR: got no total_steps; give it, or both ep"),
        (lambda o: optim.OneCycleLR(o, 0.1, epochs=3), "OneCycleLR: got no total_steps"),
        (
            lambda o: optim.OneCycleLR(o, 0.1, epochs=0, steps_per_epoch=3),
            "OneCycleLR epochs: got 0, expected an integer of at least 1",
        ),
        (
            lambda o: optim.OneCycleLR(o, 0.1, epochs=3, steps_per_epoch=0.5),
            "OneCycleLR steps_per_epoch: got 0.5, expected an integer of at least 1",
        ),
        (
            lambda o: optim.OneCycleLR(optimizer_of(kind=optim.Adagrad), 0.1, 10),
            "OneCycleLR cycle_momentum: Adagrad has neither momentum nor betas; give cycle_mom",
        ),
    ],
)
def test_what_is_refused(call, words):
    """Anything that is not an optimizer, or not a plan, is refused."""
    with pytest.raises(ArgumentError, match=f"^{re.escape(words)}"):
        call(optimizer_of())


@each(
    ("make", "milestones", "words"),
    [
        (lambda o: [optim.StepLR(o, 1), 3], [1], "schedulers: got int at 1, expected schedules th"),
        (lambda o: [optim.ReduceLROnPlateau(o)], [], "schedulers: got ReduceLROnPlateau at 0, exp"),
        (lambda o: [optim.StepLR(optimizer_of(), 1)], [], "schedulers: the StepLR at 0 is of anot"),
        (lambda o: [], [], "milestones: got 0 for 0 schedules, expected one less than schedules"),
        (lambda o: [optim.StepLR(o, 1)], [3], "milestones: got 1 for 1 schedules, expected one l"),
        (lambda o: [optim.StepLR(o, 1)] * 2, [0.5], "milestones: got 0.5, expected an integer of"),
        (lambda o: [optim.StepLR(o, 1)] * 3, [5, 5], "milestones: got [5, 5], expected each above"),
    ],
)
def test_successions_that_are_refused(make, milestones, words):
    optimizer = optimizer_of()
    with pytest.raises(ArgumentError, match=f"^SequentialLR {re.escape(words)}"):
        optim.SequentialLR(optimizer, make(optimizer), milestones)


def test_base_class():
    """A schedule of one's own is a class with `_lr`; without it there is none."""

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
def test_the_least_that_is_accepted(kind, options, words):
    take(kind(optimizer_of(momentum=0.9), **options), 1)
    with pytest.raises(ArgumentError):
        kind(optimizer_of(momentum=0.9), **words)


@each("mode", ["rel", "abs"])
def test_plateau_needs_more_than_its_limits(mode):
    """A metric that stays is not better, and a rate that falls by eps only stays."""
    optimizer = optimizer_of(2.0)
    options = {"factor": 0.5, "patience": 0, "threshold": 0, "threshold_mode": mode}
    schedule = optim.ReduceLROnPlateau(optimizer, **options, eps=0.5)
    for rate in (2.0, 1.0, 1.0):
        schedule.step(3.0)
        assert rates_of(optimizer) == [rate]


def test_succession_of_three():
    optimizer = optimizer_of(1.0)
    parts = [optim.ExponentialLR(optimizer, 0.5) for _ in range(3)]
    schedule = optim.SequentialLR(optimizer, parts, milestones=[2, 5])
    rates = [rate for (rate,) in take(schedule, 6)]
    assert rates == [0.5, 1.0, 0.5, 0.25, 1.0, 0.5]


def test_plateau_defaults():
    """A step is bad that improves by less than 1e-4 of the best; the 11th in a row costs 9/10 of
    the rate.
    """
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


def test_plateau_does_not_bother_with_changes_below_eps():
    for eps, expected in ((0.89, 0.1), (0.91, 1.0)):
        optimizer = optim.SGD([Tensor([1.0], requires_grad=True)], lr=1.0)
        schedule = optim.ReduceLROnPlateau(optimizer, patience=0, eps=eps)
        schedule.step(1.0)
        schedule.step(1.0)
        assert optimizer.param_groups[0]["lr"] == pytest.approx(expected)
