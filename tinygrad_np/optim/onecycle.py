"""One-cycle learning-rate schedule."""

import math
from collections.abc import Mapping
from typing import Any

from tinygrad_np.checks import check_at_least, check_integer, check_probability
from tinygrad_np.errors import ArgumentError
from tinygrad_np.optim.optimizer import Optimizer
from tinygrad_np.optim.schedule import Schedule, for_each_group


class OneCycleLR(Schedule):
    """One-cycle policy: one rise and fall of the learning rate (Smith and Topin 2018, section 3).

    Args:
        optimizer: the optimizer to schedule.
        max_lr: highest learning rate, one number or one per parameter group.
        total_steps: number of steps in the cycle; a further step raises ArgumentError.
        epochs: number of epochs, used with `steps_per_epoch` if `total_steps` is None.
        steps_per_epoch: number of steps per epoch.
        pct_start: fraction of the cycle in which the learning rate rises.
        anneal_strategy: "cos" or "linear".
        cycle_momentum: also cycle the momentum, or betas[0], in the opposite direction.
        base_momentum: lowest momentum, reached together with `max_lr`; one number or one per group.
        max_momentum: highest momentum, at the start and the end; one number or one per group.
        div_factor: the initial learning rate is max_lr / div_factor.
        final_div_factor: the final learning rate is the initial one / final_div_factor.
        three_phase: return to the initial learning rate in as many steps as the rise took, then
            fall to the final one in a third phase.

    The values match PyTorch's. The learning rate reaches `max_lr` at step pct_start total_steps - 1
    and its final value at step total_steps - 1. With p from 0 to 1 in each phase:

        "cos": lr = end + (start - end) (1 + cos(π p)) / 2
        "linear": lr = start + (end - start) p

    Raises:
        ArgumentError: if `optimizer` is not an Optimizer; if neither `total_steps` nor both
            `epochs` and `steps_per_epoch` are given; if another option is invalid; or if
            `cycle_momentum` is set and the optimizer has neither momentum nor betas.

    >>> from tinygrad_np import nn, optim
    >>> optimizer = optim.SGD(nn.Linear(2, 1).parameters(), momentum=0.9)
    >>> schedule = optim.OneCycleLR(optimizer, max_lr=0.1, total_steps=1000)
    """

    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: float | list[float],
        total_steps: int | None = None,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: str = "cos",
        cycle_momentum: bool = True,
        base_momentum: float | list[float] = 0.85,
        max_momentum: float | list[float] = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
    ) -> None:
        if total_steps is None:
            if epochs is None or steps_per_epoch is None:
                raise ArgumentError(
                    "OneCycleLR: expected `total_steps`, or both `epochs` and `steps_per_epoch`, "
                    f"got epochs={epochs} and steps_per_epoch={steps_per_epoch}."
                )
            check_integer("OneCycleLR", 1, epochs=epochs, steps_per_epoch=steps_per_epoch)
            total_steps = epochs * steps_per_epoch
        limits = {"max_lr": max_lr, "base_momentum": base_momentum, "max_momentum": max_momentum}
        super().__init__(
            optimizer,
            **limits,
            total_steps=total_steps,
            pct_start=pct_start,
            anneal_strategy=anneal_strategy,
            cycle_momentum=cycle_momentum,
            div_factor=div_factor,
            final_div_factor=final_div_factor,
            three_phase=three_phase,
        )

    def _check(self, options: Mapping[str, Any]) -> None:
        check_integer("OneCycleLR", 1, total_steps=options["total_steps"])
        check_probability("OneCycleLR", pct_start=options["pct_start"])
        limits = self._limits(options)
        for lr in limits["max_lr"]:
            check_at_least("OneCycleLR", 0, max_lr=lr)
        for name in ("base_momentum", "max_momentum"):
            for momentum in limits[name]:
                check_probability("OneCycleLR", **{name: momentum})
        for name in ("div_factor", "final_div_factor"):
            check_at_least("OneCycleLR", 0, **{name: options[name]})
            if options[name] == 0:
                raise ArgumentError(f"OneCycleLR: expected `{name}` to be above 0, got 0.")
        if options["anneal_strategy"] not in ("cos", "linear"):
            raise ArgumentError(
                "OneCycleLR: expected `anneal_strategy` to be 'cos' or 'linear', got "
                f"{options['anneal_strategy']!r}."
            )
        groups = self.optimizer.param_groups
        if options["cycle_momentum"] and not {"betas", "momentum"} & set(groups[0]):
            raise ArgumentError(
                "OneCycleLR: expected an optimizer with momentum or betas, got "
                f"{type(self.optimizer).__name__}. Pass cycle_momentum=False."
            )

    def _limits(self, options: Mapping[str, Any]) -> dict[str, list[float]]:
        names = ("max_lr", "base_momentum", "max_momentum")
        own = {name: options[name] for name in names}
        return for_each_group("OneCycleLR", self.optimizer, **own)

    def _start(self) -> None:
        self.options |= self._limits(self.options)
        self.initial_lrs = [lr / self.options["div_factor"] for lr in self.options["max_lr"]]
        for group, lr in zip(self.optimizer.param_groups, self.initial_lrs, strict=True):
            group["initial_lr"] = lr

    def _check_end(self, steps: int) -> None:
        total = self.options["total_steps"]
        if steps > total:
            raise ArgumentError(
                f"OneCycleLR.step: expected at most {total} steps, got {steps}. "
                "Pass a larger `total_steps` to OneCycleLR."
            )

    def get_last_lr(self) -> list[float]:
        """Return the current learning rate of each parameter group."""
        back, fall = self.options["three_phase"], self.options["final_div_factor"]
        return [
            self._between(first, peak, *([first] if back else []), first / fall)
            for first, peak in zip(self.initial_lrs, self.options["max_lr"], strict=True)
        ]

    def _apply(self) -> None:
        super()._apply()
        if not self.options["cycle_momentum"]:
            return
        limits = zip(self.options["max_momentum"], self.options["base_momentum"], strict=True)
        for group, (high, low) in zip(self.optimizer.param_groups, limits, strict=True):
            momentum = self._between(high, low, high, high)
            if "betas" in group:
                group["betas"] = (momentum, group["betas"][1])
            if "momentum" in group:
                group["momentum"] = momentum

    def _between(self, *values: float) -> float:
        """Interpolate between the values at the start and end of the current phase."""
        phase, share = self._position()
        start, end = values[phase : phase + 2]
        if self.options["anneal_strategy"] == "linear":
            return (end - start) * share + start
        return end + (start - end) / 2 * (math.cos(math.pi * share) + 1)

    def _position(self) -> tuple[int, float]:
        """Return the index of the current phase and the completed fraction of it."""
        total, share = self.options["total_steps"], self.options["pct_start"]
        back = [2 * share * total - 2] if self.options["three_phase"] else []
        ends = [share * total - 1, *back, total - 1.0]
        phase = next((i for i, end in enumerate(ends) if self.steps <= end), len(ends) - 1)
        start = ends[phase - 1] if phase else 0.0
        length = ends[phase] - start
        # A phase without steps counts as complete.
        return phase, (self.steps - start) / length if length else 1.0
