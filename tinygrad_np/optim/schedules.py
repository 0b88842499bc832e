"""Schedules that are plain functions of the step, and their succession."""

import math
from bisect import bisect_right
from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import Any

from tinygrad_np.checks import check_at_least, check_integer
from tinygrad_np.errors import ArgumentError
from tinygrad_np.optim.optimizer import Optimizer
from tinygrad_np.optim.plateau import ReduceLROnPlateau
from tinygrad_np.optim.schedule import Schedule


class StepLR(Schedule):
    """Steps down by a factor after each `step_size` steps.

    lr(t) = lr(0) gamma^floor(t / step_size).

    >>> from tinygrad_np import nn, optim
    >>> optimizer = optim.SGD(nn.Linear(2, 1).parameters(), lr=0.1)
    >>> schedule = optim.StepLR(optimizer, step_size=30)
    """

    def __init__(self, optimizer: Optimizer, step_size: int, gamma: float = 0.1) -> None:
        super().__init__(optimizer, step_size=step_size, gamma=gamma)

    def _check(self, options: Mapping[str, Any]) -> None:
        check_integer("StepLR", 1, step_size=options["step_size"])
        check_at_least("StepLR", 0, gamma=options["gamma"])

    def _lr(self, initial: float) -> float:
        drops = self.steps // self.options["step_size"]
        return float(initial * self.options["gamma"] ** drops)


class MultiStepLR(Schedule):
    """Steps down by a factor at each milestone.

    lr(t) = lr(0) gamma^(number of milestones up to t).

    >>> from tinygrad_np import nn, optim
    >>> optimizer = optim.SGD(nn.Linear(2, 1).parameters(), lr=0.1)
    >>> schedule = optim.MultiStepLR(optimizer, milestones=[30, 80])
    """

    def __init__(self, optimizer: Optimizer, milestones: Iterable[int], gamma: float = 0.1) -> None:
        super().__init__(optimizer, milestones=list(milestones), gamma=gamma)

    def _check(self, options: Mapping[str, Any]) -> None:
        for milestone in options["milestones"]:
            check_integer("MultiStepLR", 0, milestones=milestone)
        check_at_least("MultiStepLR", 0, gamma=options["gamma"])

    def _lr(self, initial: float) -> float:
        drops = bisect_right(sorted(self.options["milestones"]), self.steps)
        return float(initial * self.options["gamma"] ** drops)


class ExponentialLR(Schedule):
    """Falls by the same factor at each step.

    lr(t) = lr(0) gamma^t.

    >>> from tinygrad_np import nn, optim
    >>> optimizer = optim.SGD(nn.Linear(2, 1).parameters(), lr=0.1)
    >>> schedule = optim.ExponentialLR(optimizer, gamma=0.95)
    """

    def __init__(self, optimizer: Optimizer, gamma: float) -> None:
        super().__init__(optimizer, gamma=gamma)

    def _check(self, options: Mapping[str, Any]) -> None:
        check_at_least("ExponentialLR", 0, gamma=options["gamma"])

    def _lr(self, initial: float) -> float:
        return float(initial * self.options["gamma"] ** self.steps)


class CosineAnnealingLR(Schedule):
    """Falls along half a cosine in T_max steps, and rises again after (Loshchilov and Hutter 2017,
    equation 5, without restarts).

    lr(t) = eta_min + (lr(0) - eta_min) (1 + cos(π t / T_max)) / 2.

    >>> from tinygrad_np import nn, optim
    >>> optimizer = optim.SGD(nn.Linear(2, 1).parameters(), lr=0.1)
    >>> schedule = optim.CosineAnnealingLR(optimizer, T_max=100)
    """

    def __init__(self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0) -> None:  # noqa: N803
        super().__init__(optimizer, T_max=T_max, eta_min=eta_min)

    def _check(self, options: Mapping[str, Any]) -> None:
        check_integer("CosineAnnealingLR", 1, T_max=options["T_max"])
        check_at_least("CosineAnnealingLR", 0, eta_min=options["eta_min"])

    def _lr(self, initial: float) -> float:
        least = self.options["eta_min"]
        wave = 1 + math.cos(math.pi * self.steps / self.options["T_max"])
        return float(least + (initial - least) * wave / 2)


class LinearWarmup(Schedule):
    """Rises in a straight line to the optimizer's own rate and stays there; PyTorch's LinearLR.

    lr(t) = lr(0) (start_factor + (1 - start_factor) min(1, t / warmup_steps)).

    >>> from tinygrad_np import nn, optim
    >>> optimizer = optim.SGD(nn.Linear(2, 1).parameters(), lr=0.1)
    >>> schedule = optim.LinearWarmup(optimizer, warmup_steps=10, start_factor=0.01)
    """

    def __init__(
        self, optimizer: Optimizer, warmup_steps: int, start_factor: float = 1 / 3
    ) -> None:
        super().__init__(optimizer, warmup_steps=warmup_steps, start_factor=start_factor)

    def _check(self, options: Mapping[str, Any]) -> None:
        check_integer("LinearWarmup", 1, warmup_steps=options["warmup_steps"])
        check_at_least("LinearWarmup", 0, start_factor=options["start_factor"])
        if not 0 < options["start_factor"] <= 1:
            raise ArgumentError(
                f"LinearWarmup start_factor: got {options['start_factor']}, expected a number "
                "above 0 and up to 1"
            )

    def _lr(self, initial: float) -> float:
        start, steps = self.options["start_factor"], self.options["warmup_steps"]
        return float(initial * (start + (1 - start) * min(steps, self.steps) / steps))


class SequentialLR(Schedule):
    """Schedules one after the other, each from its own step 0 at its milestone on.

    lr(t) = the rate of schedule k at t - milestones[k - 1], k the number of milestones up to t.

    >>> from tinygrad_np import nn, optim
    >>> optimizer = optim.SGD(nn.Linear(2, 1).parameters(), lr=0.1)
    >>> parts = [optim.LinearWarmup(optimizer, 10), optim.CosineAnnealingLR(optimizer, 90)]
    >>> schedule = optim.SequentialLR(optimizer, parts, milestones=[10])
    """

    def __init__(
        self, optimizer: Optimizer, schedulers: Iterable[Schedule], milestones: Iterable[int]
    ) -> None:
        self.schedulers = list(schedulers)
        for position, part in enumerate(self.schedulers):
            if not isinstance(part, Schedule) or isinstance(part, ReduceLROnPlateau):
                raise ArgumentError(
                    f"SequentialLR schedulers: got {type(part).__name__} at {position}, expected "
                    "schedules that are functions of the step"
                )
            if part.optimizer is not optimizer:
                raise ArgumentError(
                    f"SequentialLR schedulers: the {type(part).__name__} at {position} is of "
                    "another optimizer; make all of the same"
                )
        super().__init__(optimizer, milestones=list(milestones))

    def _check(self, options: Mapping[str, Any]) -> None:
        milestones = options["milestones"]
        if len(milestones) != len(self.schedulers) - 1:
            raise ArgumentError(
                f"SequentialLR milestones: got {len(milestones)} for {len(self.schedulers)} "
                "schedules, expected one less than schedules"
            )
        for milestone in milestones:
            check_integer("SequentialLR", 0, milestones=milestone)
        if any(later <= earlier for earlier, later in pairwise(milestones)):
            raise ArgumentError(
                f"SequentialLR milestones: got {milestones}, expected each above the one before"
            )

    def _turn(self, steps: int) -> tuple[Schedule, int]:
        """Return the schedule whose turn it is after so many steps, and its own count of them."""
        position = bisect_right(self.options["milestones"], steps)
        start = self.options["milestones"][position - 1] if position else 0
        return self.schedulers[position], steps - start

    def _check_end(self, steps: int) -> None:
        part, its_steps = self._turn(steps)
        part._check_end(its_steps)

    def get_last_lr(self) -> list[float]:
        """Return the rate of each group, as set last."""
        return self._turn(self.steps)[0].get_last_lr()

    def _apply(self) -> None:
        part, its_steps = self._turn(self.steps)
        part.steps = its_steps
        part._apply()

    def state_dict(self) -> dict[str, Any]:
        """Return the count of steps, the first rates, the options and the schedules' own states."""
        return {
            **super().state_dict(),
            "schedulers": [part.state_dict() for part in self.schedulers],
        }

    def _check_state(self, state: Mapping[str, Any]) -> None:
        own, parts = dict(state), state.get("schedulers", [])
        own.pop("schedulers", None)
        super()._check_state(own)
        if len(parts) != len(self.schedulers):
            raise ArgumentError(
                f"SequentialLR.load_state_dict: this state is of {len(parts)} schedules, expected "
                f"{len(self.schedulers)}"
            )
        for part, its_state in zip(self.schedulers, parts, strict=True):
            part._check_state(its_state)

    def _take(self, state: Mapping[str, Any]) -> None:
        super()._take(state)
        for part, its_state in zip(self.schedulers, state["schedulers"], strict=True):
            part._take(its_state)
