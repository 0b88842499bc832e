"""Schedule that reduces the learning rate when a metric stops improving."""

import math
from collections.abc import Mapping
from typing import Any

from tinygrad_np.checks import check_at_least, check_integer
from tinygrad_np.errors import ArgumentError
from tinygrad_np.optim.optimizer import Optimizer
from tinygrad_np.optim.schedule import Schedule, for_each_group
from tinygrad_np.schema import COUNT, NUMBER, RATE


class ReduceLROnPlateau(Schedule):
    """Reduce the learning rate when a metric stops improving.

    Args:
        optimizer: the optimizer to schedule.
        mode: "min" for a metric that should fall, such as a loss; "max" for one that should rise,
            such as accuracy.
        factor: factor by which a reduction multiplies the learning rate; below 1.
        patience: number of steps without improvement to tolerate; one more reduces the learning
            rate.
        threshold: margin by which a metric must beat the best one to count as an improvement.
        threshold_mode: whether `threshold` is relative to the best metric ("rel") or absolute
            ("abs").
        cooldown: number of steps after a reduction during which no bad steps are counted.
        min_lr: lower bound of the learning rate, one number or one per parameter group.
        eps: a reduction by `eps` or less is skipped.

    The rule is PyTorch's. A metric is an improvement if it is

    - below best (1 - threshold) for "min" and "rel", or below best - threshold for "abs";
    - above best (1 + threshold) for "max" and "rel", or above best + threshold for "abs".

    nan is never an improvement. A reduction sets lr ← max(factor lr, min_lr).

    Raises:
        ArgumentError: if `optimizer` is not an Optimizer, or an option is invalid; the message
            names it.

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
                    f"ReduceLROnPlateau: expected `{name}` to be {words[0]!r} or {words[1]!r}, got "
                    f"{options[name]!r}."
                )
        names = ("factor", "threshold", "eps")
        check_at_least("ReduceLROnPlateau", 0, **{name: options[name] for name in names})
        if options["factor"] >= 1:
            raise ArgumentError(
                f"ReduceLROnPlateau: expected `factor` to be below 1, got {options['factor']}."
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

    def _schema(self) -> dict[str, Any]:
        own = {"lrs": [RATE] * len(self.lrs), "best": NUMBER}
        return super()._schema() | own | {"bad_steps": COUNT, "cooldown_left": COUNT}

    def get_last_lr(self) -> list[float]:
        """Return the current learning rate of each parameter group."""
        return list(self.lrs)

    def step(self, metric: Any) -> None:  # type: ignore[override]  # step takes a metric, as in PyTorch
        """Advance by one step, and reduce the learning rates if the metric has stopped improving.

        Args:
            metric: a number, or a tensor with one entry.

        Raises:
            ArgumentError: if `metric` is not a number, or the optimizer got another parameter group
                since the schedule was constructed.
        """
        self._check_groups()
        try:
            value = float(metric)
        except (TypeError, ValueError) as error:
            raise ArgumentError(
                "ReduceLROnPlateau.step: expected one number, for example the epoch's validation "
                f"loss, got {metric!r}."
            ) from error
        # Start from the groups: the user may have changed their learning rates.
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
