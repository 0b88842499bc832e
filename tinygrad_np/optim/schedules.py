"""Schedules that depend only on the step, and `SequentialLR`, which chains them."""

import math
from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any

from tinygrad_np.checks import check_at_least, check_integer
from tinygrad_np.display import safe
from tinygrad_np.errors import ArgumentError
from tinygrad_np.optim.optimizer import Optimizer
from tinygrad_np.optim.plateau import ReduceLROnPlateau
from tinygrad_np.optim.schedule import Schedule
from tinygrad_np.schema import ANYTHING, ListOf


class StepLR(Schedule):
    """Decay the learning rate by the factor `gamma` every `step_size` steps.

    Args:
        optimizer: the optimizer to schedule.
        step_size: number of steps between two decays.
        gamma: factor of each decay.

        lr(t) = lr(0) gamma^floor(t / step_size)

    Raises:
        ArgumentError: if `optimizer` is not an Optimizer, `step_size` is not an integer >= 1, or
            `gamma` is not a finite number >= 0.

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


class LambdaLR(Schedule):
    """Multiply the initial learning rate by a function of the step.

    Args:
        optimizer: the optimizer to schedule.
        lr_lambda: a function from the number of steps so far to a factor, or a list with one
            function per parameter group.

        lr(t) = lr(0) lr_lambda(t)

    As in PyTorch, `state_dict` does not contain the functions: construct the schedule with the same
    functions before loading a state.

    Raises:
        ArgumentError: if `optimizer` is not an Optimizer, or `lr_lambda` is neither a function nor
            a list with one function per parameter group.

    >>> from tinygrad_np import nn, optim
    >>> optimizer = optim.SGD(nn.Linear(2, 1).parameters(), lr=0.1)
    >>> schedule = optim.LambdaLR(optimizer, lambda step: 0.5**step)
    >>> schedule.step()
    >>> schedule.get_last_lr()
    [0.05]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        lr_lambda: Callable[[int], float] | Sequence[Callable[[int], float]],
    ) -> None:
        self._lr_lambda = lr_lambda
        super().__init__(optimizer)

    def _check(self, options: Mapping[str, Any]) -> None:
        given: Any = self._lr_lambda
        count = len(self.optimizer.param_groups)
        self.lr_lambdas = list(given) if isinstance(given, list | tuple) else [given] * count
        if len(self.lr_lambdas) != count or not all(map(callable, self.lr_lambdas)):
            raise ArgumentError(
                f"LambdaLR: expected `lr_lambda` to be a function or a list of {count} functions "
                f"(one per parameter group), got {given!r}."
            )

    def get_last_lr(self) -> list[float]:
        """Return the current learning rate of each parameter group."""
        pairs = zip(self.initial_lrs, self.lr_lambdas, strict=True)
        return [float(initial * function(self.steps)) for initial, function in pairs]


class MultiStepLR(Schedule):
    """Decay the learning rate by the factor `gamma` at each milestone.

    Args:
        optimizer: the optimizer to schedule.
        milestones: steps at which to decay, in any order; a step listed twice decays twice.
        gamma: factor of each decay.

        lr(t) = lr(0) gamma^(number of milestones up to t)

    Raises:
        ArgumentError: if `optimizer` is not an Optimizer, a milestone is not an integer >= 0, or
            `gamma` is not a finite number >= 0.

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
    """Decay the learning rate by the factor `gamma` at every step.

    Args:
        optimizer: the optimizer to schedule.
        gamma: factor per step.

        lr(t) = lr(0) gamma^t

    Raises:
        ArgumentError: if `optimizer` is not an Optimizer, or `gamma` is not a finite number >= 0.

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
    """Cosine annealing without restarts (Loshchilov and Hutter 2017, equation 5).

    Args:
        optimizer: the optimizer to schedule.
        T_max: number of steps from the initial learning rate down to `eta_min`. Further steps
            follow the cosine up again.
        eta_min: minimum learning rate.

        lr(t) = eta_min + (lr(0) - eta_min) (1 + cos(π t / T_max)) / 2

    Raises:
        ArgumentError: if `optimizer` is not an Optimizer, `T_max` is not an integer >= 1, or
            `eta_min` is not a finite number >= 0.

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
    """Linear warmup to the optimizer's learning rate, which then stays constant.

    Args:
        optimizer: the optimizer to schedule.
        warmup_steps: number of steps until the full learning rate is reached.
        start_factor: fraction of the learning rate to start from, above 0 and at most 1.

    This is PyTorch's LinearLR with `total_iters=warmup_steps`:

        lr(t) = lr(0) (start_factor + (1 - start_factor) min(1, t / warmup_steps))

    Raises:
        ArgumentError: if `optimizer` is not an Optimizer, `warmup_steps` is not an integer >= 1, or
            `start_factor` is not a number above 0 and at most 1.

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
                "LinearWarmup: expected `start_factor` to be above 0 and at most 1, got "
                f"{options['start_factor']}."
            )

    def _lr(self, initial: float) -> float:
        start, steps = self.options["start_factor"], self.options["warmup_steps"]
        return float(initial * (start + (1 - start) * min(steps, self.steps) / steps))


class SequentialLR(Schedule):
    """Schedules that run one after the other, each starting from its own step 0.

    Args:
        optimizer: the optimizer that all schedules share.
        schedulers: the schedules in order; any class but `ReduceLROnPlateau`, which needs a metric.
        milestones: strictly increasing steps at which the next schedule takes over; n - 1 steps for
            n schedules.

        lr(t) = the learning rate of schedule k at its step t - milestones[k - 1], or t if k = 0,
        where k is the number of milestones up to t

    Raises:
        ArgumentError: if a scheduler is not a Schedule, is a `ReduceLROnPlateau` or has another
            optimizer, or if `milestones` are not n - 1 strictly increasing integers >= 0 for n
            schedulers.

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
                    "SequentialLR: expected `schedulers` to be schedules that depend only on the "
                    f"step, got {type(part).__name__} at position {position}."
                )
            if part.optimizer is not optimizer:
                raise ArgumentError(
                    "SequentialLR: expected all `schedulers` to share the given optimizer, got "
                    f"{type(part).__name__} at position {position} with a different optimizer."
                )
        super().__init__(optimizer, milestones=list(milestones))

    def _check(self, options: Mapping[str, Any]) -> None:
        milestones = options["milestones"]
        if len(milestones) != len(self.schedulers) - 1:
            raise ArgumentError(
                "SequentialLR: expected at least one scheduler and len(schedulers) - 1 milestones, "
                f"got lengths {len(self.schedulers)} and {len(milestones)}."
            )
        for milestone in milestones:
            check_integer("SequentialLR", 0, milestones=milestone)
        if any(later <= earlier for earlier, later in pairwise(milestones)):
            raise ArgumentError(
                f"SequentialLR: expected `milestones` to be strictly increasing, got {milestones}."
            )

    @safe
    def __repr__(self) -> str:
        parts = [f"  {part!r}" for part in self.schedulers]
        return "\n".join([super().__repr__(), *parts])

    def _turn(self, steps: int) -> tuple[Schedule, int]:
        """Return the schedule that is active after `steps` steps, and its own step count."""
        position = bisect_right(self.options["milestones"], steps)
        start = self.options["milestones"][position - 1] if position else 0
        return self.schedulers[position], steps - start

    def _check_end(self, steps: int) -> None:
        part, its_steps = self._turn(steps)
        part._check_end(its_steps)

    def get_last_lr(self) -> list[float]:
        """Return the current learning rate of each parameter group."""
        return self._turn(self.steps)[0].get_last_lr()

    def _apply(self) -> None:
        part, its_steps = self._turn(self.steps)
        part.steps = its_steps
        part._apply()

    def state_dict(self) -> dict[str, Any]:
        """Return copies of the step count, initial learning rates, options and schedule states."""
        return {
            **super().state_dict(),
            "schedulers": [part.state_dict() for part in self.schedulers],
        }

    def _schema(self) -> dict[str, Any]:
        return super()._schema() | {"schedulers": ListOf(ANYTHING)}

    def _check_state(self, state: Mapping[str, Any]) -> None:
        super()._check_state(state)
        if len(state["schedulers"]) != len(self.schedulers):
            raise ArgumentError(
                f"SequentialLR.load_state_dict: expected the state of {len(self.schedulers)} "
                f"schedulers, got {len(state['schedulers'])}."
            )
        for part, its_state in zip(self.schedulers, state["schedulers"], strict=True):
            part._check_state(its_state)

    def _take(self, state: Mapping[str, Any]) -> None:
        super()._take(state)
        for part, its_state in zip(self.schedulers, state["schedulers"], strict=True):
            part._take(its_state)
