"""What all learning-rate schedules share: the count of steps, state dicts, setting the rates."""

import copy
from collections.abc import Mapping
from typing import Any

from tinygrad_np.errors import ArgumentError
from tinygrad_np.optim.optimizer import Optimizer


class Schedule:
    """Set the learning rate of each parameter group, starting at construction.

    A rate is a function of `steps`, the number of calls of `step()`, and of the group's
    `initial_lr`, its rate before the first schedule: so a resumed schedule gives the same bits. To
    use several in turn there is SequentialLR.
    A subclass gives its options to `__init__`, checks them in `_check` and writes `_lr`.
    """

    _kept: tuple[str, ...] = ("steps", "initial_lrs", "options")

    def __init__(self, optimizer: Optimizer, **options: Any) -> None:
        if not isinstance(optimizer, Optimizer):
            raise ArgumentError(
                f"{self._kind}: got {type(optimizer).__name__}, expected an optimizer, such as "
                "optim.SGD(model.parameters())"
            )
        self.optimizer = optimizer
        self._check(options)
        self.options = options
        self.steps = 0
        for group in optimizer.param_groups:
            # The schedule made first records the rate that all of them start from, under the name
            # that PyTorch gives it.
            group.setdefault("initial_lr", group["lr"])
        self.initial_lrs = [group["initial_lr"] for group in optimizer.param_groups]
        self._start()
        self._apply()

    @property
    def _kind(self) -> str:
        return type(self).__name__

    def _check(self, options: Mapping[str, Any]) -> None:
        """Refuse options that make no sense."""

    def _start(self) -> None:
        """Set up what is kept beside the count of steps."""

    def _lr(self, initial: float) -> float:
        """Return the rate after `self.steps` steps of a group whose first rate is `initial`."""
        raise NotImplementedError

    def get_last_lr(self) -> list[float]:
        """Return the rate of each group, as set last."""
        return [self._lr(initial) for initial in self.initial_lrs]

    def step(self) -> None:
        """Count a step, of a batch or an epoch, after the optimizer's; set the rates anew."""
        self._check_end(self.steps + 1)
        self.steps += 1
        self._apply()

    def _check_end(self, steps: int) -> None:
        """Refuse a step beyond the last one, where there is one."""

    def _apply(self) -> None:
        for group, lr in zip(self.optimizer.param_groups, self.get_last_lr(), strict=True):
            group["lr"] = lr

    def state_dict(self) -> dict[str, Any]:
        """Return the count of steps, the first rates and the options: numbers, lists and words."""
        return {name: copy.deepcopy(getattr(self, name)) for name in self._kept}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what `state_dict` of the same kind of schedule returned, and set the rates.

        Raises ArgumentError where it is another's; nothing has been changed then.
        """
        self._check_state(state)
        self._take(state)
        self._apply()

    def _check_state(self, state: Mapping[str, Any]) -> None:
        where = f"{self._kind}.load_state_dict"
        if set(state) != set(self._kept) or set(state["options"]) != set(self.options):
            raise ArgumentError(
                f"{where}: got {sorted(state)}, expected {sorted(self._kept)} and the options "
                f"{sorted(self.options)}: this state is of something else"
            )
        if len(state["initial_lrs"]) != len(self.initial_lrs):
            raise ArgumentError(
                f"{where}: this state is of {len(state['initial_lrs'])} groups of parameters, "
                f"expected {len(self.initial_lrs)}"
            )
        self._check(state["options"])

    def _take(self, state: Mapping[str, Any]) -> None:
        for name in self._kept:
            setattr(self, name, copy.deepcopy(state[name]))


def for_each_group(kind: str, optimizer: Optimizer, **options: Any) -> dict[str, list[float]]:
    """Return each option, a number or a list of them, as a list with one for each group."""
    count = len(optimizer.param_groups)
    lists = {}
    for name, value in options.items():
        lists[name] = list(value) if isinstance(value, list | tuple) else [value] * count
        if len(lists[name]) != count:
            raise ArgumentError(
                f"{kind} {name}: got {len(lists[name])} numbers, expected one, or {count}, as many "
                "as the optimizer has groups"
            )
    return lists
