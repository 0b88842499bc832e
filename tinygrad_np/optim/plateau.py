"""The schedule that waits for a metric to stop getting better."""

import math
from collections.abc import Mapping
from typing import Any

from tinygrad_np.checks import check_at_least, check_integer
from tinygrad_np.errors import ArgumentError
from tinygrad_np.optim.optimizer import Optimizer
from tinygrad_np.optim.schedule import Schedule, for_each_group


class ReduceLROnPlateau(Schedule):
    """Falls by a factor when a metric has not got better for more than `patience` steps.

    Better, by mode and threshold_mode: "min" below best (1 - threshold), or best - threshold with
    "abs"; "max" above best (1 + threshold), or best + threshold. nan is not better. Then
    lr ← max(factor lr, min_lr), where that is more than eps less, and for `cooldown` steps nothing
    is counted. The rule is PyTorch's.

    >>> from tinygrad_np import nn, optim
    >>> optimizer = optim.SGD(nn.Linear(2, 1).parameters(), lr=0.1)
    >>> schedule = optim.ReduceLROnPlateau(optimizer, patience=0)
    >>> for loss in (1.0, 0.5, 0.5):
    ...     schedule.step(loss)
    >>> round(optimizer.param_groups[0]["lr"], 6)
    0.01
    """

    _kept = (*Schedule._kept, "lrs", "best", "bad_steps", "cooldown_left")

    def __init__(
        self,
        optimizer: Optimizer,
        mode: str = "min",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_mode: str = "rel",
        cooldown: int = 0,
        min_lr: float | list[float] = 0.0,
        eps: float = 1e-8,
    ) -> None:
        super().__init__(
            optimizer,
            mode=mode,
            factor=factor,
            patience=patience,
            threshold=threshold,
            threshold_mode=threshold_mode,
            cooldown=cooldown,
            min_lr=min_lr,
            eps=eps,
        )

    def _check(self, options: Mapping[str, Any]) -> None:
        for name, words in (("mode", ("min", "max")), ("threshold_mode", ("rel", "abs"))):
            if options[name] not in words:
                raise ArgumentError(
                    f"ReduceLROnPlateau {name}: got {options[name]!r}, expected {words[0]!r} or "
                    f"{words[1]!r}"
                )
        names = ("factor", "threshold", "eps")
        check_at_least("ReduceLROnPlateau", 0, **{name: options[name] for name in names})
        if options["factor"] >= 1:
            raise ArgumentError(
                f"ReduceLROnPlateau factor: got {options['factor']}, expected a number below 1"
            )
        for name in ("patience", "cooldown"):
            check_integer("ReduceLROnPlateau", 0, **{name: options[name]})
        limits = for_each_group("ReduceLROnPlateau", self.optimizer, min_lr=options["min_lr"])
        for least in limits["min_lr"]:
            check_at_least("ReduceLROnPlateau", 0, min_lr=least)

    def _start(self) -> None:
        least = self.options["min_lr"]
        self.options |= for_each_group("ReduceLROnPlateau", self.optimizer, min_lr=least)
        self.lrs = [group["lr"] for group in self.optimizer.param_groups]
        self.best = math.inf if self.options["mode"] == "min" else -math.inf
        self.bad_steps = self.cooldown_left = 0

    def get_last_lr(self) -> list[float]:
        """Return the rate of each group, as set last."""
        return list(self.lrs)

    def step(self, metric: Any) -> None:  # type: ignore[override]  # PyTorch's too differs here
        """Count a step with its metric, a number or a Tensor of one entry."""
        try:
            value = float(metric)
        except (TypeError, ValueError) as error:
            raise ArgumentError(
                f"ReduceLROnPlateau.step: got {metric!r}, expected one number, such as the loss of "
                "an epoch in validation"
            ) from error
        # Rates that were set from elsewhere are taken over.
        self.lrs = [group["lr"] for group in self.optimizer.param_groups]
        if self._is_better(value):
            self.best, self.bad_steps = value, 0
        else:
            self.bad_steps += 1
        if self.cooldown_left:
            self.cooldown_left -= 1
            self.bad_steps = 0
        if self.bad_steps > self.options["patience"]:
            self.lrs = [
                self._reduce(lr, least)
                for lr, least in zip(self.lrs, self.options["min_lr"], strict=True)
            ]
            self.bad_steps, self.cooldown_left = 0, self.options["cooldown"]
        super().step()

    def _is_better(self, value: float) -> bool:
        sign = 1 if self.options["mode"] == "max" else -1
        margin = self.options["threshold"]
        if self.options["threshold_mode"] == "rel":
            return bool(sign * value > sign * self.best * (1 + sign * margin))
        return bool(sign * value > sign * self.best + margin)

    def _reduce(self, lr: float, least: float) -> float:
        lower = max(lr * self.options["factor"], least)
        return lower if lr - lower > self.options["eps"] else lr
