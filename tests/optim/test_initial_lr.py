"""The rate that schedules start from is in the parameter group, by the name it has in PyTorch."""

import inspect

import pytest

from tinygrad_np import Tensor, nn, optim
from tinygrad_np.errors import ArgumentError

KINDS = [
    optim.SGD,
    optim.Adam,
    optim.AdamW,
    optim.NAdam,
    optim.RMSprop,
    optim.Adagrad,
    optim.Adadelta,
    optim.LAMB,
    optim.Muon,
]


def adam(lr=0.1):
    """Return an optimizer of one parameter that has a gradient."""
    parameter = nn.Parameter([1.0])
    parameter.grad = Tensor([0.5])
    return optim.Adam([parameter], lr=lr)


def warm_then_cosine(optimizer):
    """Return two schedules in turn."""
    parts = [optim.LinearWarmup(optimizer, 3, 0.1), optim.CosineAnnealingLR(optimizer, 6)]
    return optim.SequentialLR(optimizer, parts, milestones=[3])


def one_cycle(optimizer):
    """Return a cycle of ten steps."""
    return optim.OneCycleLR(optimizer, 0.4, total_steps=10)


def test_the_first_schedule_records_it():
    optimizer = adam()
    assert "initial_lr" not in optimizer.param_groups[0]
    schedule = warm_then_cosine(optimizer)
    assert optimizer.param_groups[0]["initial_lr"] == 0.1
    schedule.step()
    assert optimizer.param_groups[0]["initial_lr"] == 0.1
    assert optim.StepLR(optimizer, 5).get_last_lr() == [0.1]


def test_a_cycle_replaces_it_by_its_first_rate():
    optimizer = adam()
    one_cycle(optimizer)
    assert optimizer.param_groups[0]["initial_lr"] == 0.4 / 25
    assert optim.StepLR(optimizer, 5).get_last_lr() == [0.4 / 25]


def test_groups_of_another_optimizer_keep_it():
    first = adam()
    optim.LinearWarmup(first, 10)
    second = optim.Adam(first.param_groups)
    assert optim.StepLR(second, 5).get_last_lr() == [0.1]


@pytest.mark.parametrize("make", [warm_then_cosine, one_cycle, optim.ReduceLROnPlateau])
@pytest.mark.parametrize("is_old", [False, True])
def test_resuming_gives_the_same_bits(make, is_old):
    """Also from a state without it, as older files have."""
    whole = adam()
    schedule = make(whole)
    arguments = (1.0,) if make is optim.ReduceLROnPlateau else ()

    def take(optimizer, schedule, steps):
        for _ in range(steps):
            optimizer.step()
            schedule.step(*arguments)

    take(whole, schedule, 4)
    states = whole.state_dict(), schedule.state_dict()
    if is_old:
        for group in states[0]["param_groups"]:
            del group["initial_lr"]
    resumed = adam(lr=0.7)
    its_schedule = make(resumed)
    resumed.param_groups[0]["params"][0].data[:] = whole.param_groups[0]["params"][0].data
    resumed.load_state_dict(states[0])
    its_schedule.load_state_dict(states[1])
    take(whole, schedule, 4)
    take(resumed, its_schedule, 4)
    assert resumed.param_groups[0]["lr"] == whole.param_groups[0]["lr"]
    weights = [optimizer.param_groups[0]["params"][0].item() for optimizer in (whole, resumed)]
    assert weights[0] == weights[1]


def test_an_optimizer_without_a_schedule_takes_it_over():
    first, second = adam(), adam(lr=0.7)
    optim.LinearWarmup(first, 10)
    second.load_state_dict(first.state_dict())
    assert second.param_groups[0]["initial_lr"] == 0.1


def test_it_is_checked():
    optimizer = adam()
    state = optimizer.state_dict()
    state["param_groups"][0]["initial_lr"] = -0.1
    with pytest.raises(ArgumentError, match=r"Adam initial_lr: got -0\.1, expected a finite"):
        optimizer.load_state_dict(state)


@pytest.mark.parametrize("kind", KINDS)
def test_hyperparameters_are_those_of_the_signature(kind):
    parameters = inspect.signature(kind).parameters
    expected = {name: parameters[name].default for name in parameters if name != "params"}
    group = dict(kind([nn.Parameter([[1.0]])]).param_groups[0])
    del group["params"]
    if kind is optim.AdamW:
        assert group.pop("decoupled_weight_decay") is True
    assert group == expected
