"""Base class of the learning-rate schedules: step counting and state dicts."""

import copy
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from tinygrad_np.checks import is_finite
from tinygrad_np.display import safe
from tinygrad_np.errors import ArgumentError
from tinygrad_np.optim.optimizer import Optimizer, option_text
from tinygrad_np.schema import ANYTHING, COUNT, NO_ARRAY, RATE, DictOf, check, like


class Schedule:
    """Set the learning rate of each parameter group, starting at construction.

    Args:
        optimizer: the optimizer to schedule.
        **options: the options of the subclass, kept in `options` and in the state dict.

    The learning rate is a function of `steps`, the number of calls to `step()`, and of the group's
    `initial_lr`, its learning rate before the first schedule was constructed. A resumed schedule
    therefore gives the same learning rates bit for bit. Use `SequentialLR` to run several schedules
    one after the other.

    A subclass passes its options to `__init__`, validates them in `_check` and implements `_lr`.

    Raises:
        ArgumentError: if `optimizer` is not an Optimizer.

    >>> from tinygrad_np import nn, optim
    >>> class InverseSqrtLR(optim.Schedule):
    ...     def _lr(self, initial):
    ...         return initial / (1 + self.steps) ** 0.5
    >>> optimizer = optim.SGD(nn.Linear(2, 1).parameters(), lr=0.1)
    >>> schedule = InverseSqrtLR(optimizer)
    >>> for _ in range(3):
    ...     schedule.step()
    >>> schedule.get_last_lr()
    [0.05]
    """

    _kept: tuple[str, ...] = ("steps", "initial_lrs", "options")

    def __init__(self, optimizer: Optimizer, **options: Any) -> None:
        if not isinstance(optimizer, Optimizer):
            raise ArgumentError(
                f"{self._kind}: expected `optimizer` to be an Optimizer, for example "
                f"optim.SGD(model.parameters()), got {type(optimizer).__name__}."
            )
        self.optimizer = optimizer
        self._check(options)
        self.options = options
        self.steps = 0
        for group in optimizer.param_groups:
            # The first schedule records the learning rate that all schedules start from, under
            # PyTorch's name for it.
            group.setdefault("initial_lr", group["lr"])
        self.initial_lrs = [group["initial_lr"] for group in optimizer.param_groups]
        self._start()
        self._apply()

    @property
    def _kind(self) -> str:
        return type(self).__name__

    def _check(self, options: Mapping[str, Any]) -> None:
        """Raise ArgumentError for invalid options."""

    def _start(self) -> None:
        """Initialize the state of the subclass."""

    def _lr(self, initial: float) -> float:
        """Return the learning rate after `self.steps` steps, given a group's `initial_lr`."""
        raise NotImplementedError

    def get_last_lr(self) -> list[float]:
        """Return the current learning rate of each parameter group."""
        return [self._lr(initial) for initial in self.initial_lrs]

    @safe
    def __repr__(self) -> str:
        """Return the options, the number of steps so far and the current learning rates."""
        options = ", ".join(f"{name}={option_text(value)}" for name, value in self.options.items())
        rates = ", ".join(dict.fromkeys(map(option_text, self.get_last_lr())))
        return f"{self._kind}({options}): step {self.steps}, lr {rates}"

    def step(self) -> None:
        """Advance by one step and set the learning rates.

        Call this after the optimizer's `step`, once per batch or once per epoch.

        Raises:
            ArgumentError: if the schedule has no further steps, as at the end of `OneCycleLR`, or
                the optimizer got another parameter group since the schedule was constructed.
        """
        self._check_groups()
        self._check_end(self.steps + 1)
        self.steps += 1
        self._apply()

    def _check_groups(self) -> None:
        """Raise ArgumentError if a parameter group was added since construction."""
        found, count = len(self.optimizer.param_groups), len(self.initial_lrs)
        if found != count:
            raise ArgumentError(
                f"{self._kind}.step: expected {count} parameter groups, as at construction, got "
                f"{found}. Construct the schedule after add_param_group()."
            )

    def _check_end(self, steps: int) -> None:
        """Raise ArgumentError if `steps` exceeds the length of the schedule, if any."""

    def _apply(self) -> None:
        for group, lr in zip(self.optimizer.param_groups, self.get_last_lr(), strict=True):
            group["lr"] = lr

    def state_dict(self) -> dict[str, Any]:
        """Return copies of the step count, initial learning rates and options, as JSON types."""
        return {name: copy.deepcopy(getattr(self, name)) for name in self._kept}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Load the `state_dict` of a schedule of the same class, and set the learning rates.

        Raises:
            ArgumentError: if the state belongs to another class of schedule or to another number of
                parameter groups, or if its options are invalid. The schedule is left unchanged.
        """
        self._check_state(state)
        before = self.state_dict()
        self._take(state)
        try:
            is_valid = all(map(is_finite, self.get_last_lr()))
        except OverflowError:
            is_valid = False
        if not is_valid:
            self._take(before)
            raise ArgumentError(
                f"{self._kind}.load_state_dict: expected finite learning rates, got options that "
                f"overflow after {state['steps']} steps."
            )
        self._apply()

    def _schema(self) -> dict[str, Any]:
        """Return the schema of `state_dict()`; options of the subclass are checked in `_check`."""
        rates = [RATE] * len(self.initial_lrs)
        return {"steps": COUNT, "initial_lrs": rates, "options": like(self.options)}

    def _check_state(self, state: Mapping[str, Any]) -> None:
        where = f"{self._kind}.load_state_dict"
        check(where, state, DictOf(ANYTHING, {"options": DictOf(NO_ARRAY)}))
        if set(state) != set(self._schema()) or set(state["options"]) != set(self.options):
            raise ArgumentError(
                f"{where}: the state belongs to a different schedule. Expected the entries "
                f"{sorted(self._schema())} with the options {sorted(self.options)}, got {state}."
            )
        count = len(self.initial_lrs)
        if isinstance(state["initial_lrs"], list) and len(state["initial_lrs"]) != count:
            raise ArgumentError(
                f"{where}: expected the state of {count} parameter groups, got "
                f"{len(state['initial_lrs'])}."
            )
        with suppress(TypeError):  # a value of the wrong type, which the schema reports
            self._check(state["options"])
        check(where, state, self._schema())
        self._check(state["options"])

    def _take(self, state: Mapping[str, Any]) -> None:
        for name in self._kept:
            setattr(self, name, copy.deepcopy(state[name]))


def for_each_group(kind: str, optimizer: Optimizer, **options: Any) -> dict[str, list[float]]:
    """Return each option, one number or one per group, as a list with one number per group."""
    count = len(optimizer.param_groups)
    lists = {}
    for name, value in options.items():
        lists[name] = list(value) if isinstance(value, list | tuple) else [value] * count
        if len(lists[name]) != count:
            raise ArgumentError(
                f"{kind}: expected `{name}` to be one number or {count} numbers (one per parameter "
                f"group), got {len(lists[name])} numbers."
            )
    return lists
