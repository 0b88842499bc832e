"""The best epoch so far, as EarlyStopping and Checkpoint track it."""

import math
from collections.abc import Mapping
from typing import Any

from tinygrad_np.checks import check_at_least
from tinygrad_np.display import safe
from tinygrad_np.errors import ArgumentError
from tinygrad_np.schema import COUNT, REAL, TEXT, check
from tinygrad_np.train.callbacks import State


class Best:
    """Best value of a monitored log so far, and its epoch (0 before the first)."""

    def __init__(
        self, owner: str, monitor: str, mode: str | None = None, min_delta: float = 0.0
    ) -> None:
        if mode not in (None, "min", "max"):
            raise ArgumentError(f"{owner}: expected `mode` to be 'min' or 'max', got {mode!r}.")
        is_known = isinstance(monitor, str) and monitor.endswith(("loss", "accuracy"))
        if not is_known and (mode is None or not isinstance(monitor, str)):
            raise ArgumentError(
                f"{owner}: expected `monitor` to end in 'loss' (lower is better) or 'accuracy' "
                f"(higher is better), got {monitor!r}. For another log, pass mode='min' or "
                "mode='max'."
            )
        check_at_least(owner, 0, min_delta=min_delta)
        self.owner = owner
        self.monitor = monitor
        self.mode = mode or ("max" if monitor.endswith("accuracy") else "min")
        self.min_delta = min_delta
        self.value, self.epoch = math.nan, 0

    @safe
    def __repr__(self) -> str:
        found = f", best {self.value:.6g} in epoch {self.epoch}" if self.epoch else ""
        is_known = self.monitor.endswith(("loss", "accuracy"))
        mode = "" if is_known else f", mode={self.mode!r}"
        return f"monitor={self.monitor!r}{mode}{found}"

    def state_dict(self) -> dict[str, Any]:
        """Return the name of the monitored log, its best value and the epoch of that value."""
        return {"monitor": self.monitor, "value": self.value, "epoch": self.epoch}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the best value; raise ArgumentError if invalid or of another metric."""
        who = f"{self.owner}.load_state_dict"
        check(who, state, {"monitor": TEXT, "value": REAL, "epoch": COUNT}, "best")
        if state["monitor"] != self.monitor:
            raise ArgumentError(
                f"{who}: expected a state with monitor={self.monitor!r}, got "
                f"monitor={state['monitor']!r}."
            )
        if state["epoch"] and math.isnan(state["value"]):  # no value ever beats nan
            raise ArgumentError(
                f"{who}: expected a best value for epoch {state['epoch']}, got nan."
            )
        self.value, self.epoch = state["value"], state["epoch"]

    def start(self, state: State) -> None:
        """Reset for a new training run; raise ArgumentError if the metric needs validation."""
        if state.epoch == 0:
            self.value, self.epoch = math.nan, 0
        if self.monitor.startswith("validation_") and not state.has_validation:
            raise ArgumentError(
                f"{self.owner}: monitor={self.monitor!r} needs a validation set. Try fit(..., "
                "validation=loader), or monitor another metric, for example 'train_loss'."
            )

    def is_beaten(self, state: State) -> bool:
        """Return whether this epoch improved by more than `min_delta`; if so, record it."""
        if self.monitor not in state.logs:
            raise ArgumentError(
                f"{self.owner}: expected `monitor` to be one of the logs "
                f"({', '.join(state.logs)}), got {self.monitor!r}."
            )
        value = state.logs[self.monitor]
        gain = value - self.value if self.mode == "max" else self.value - value
        if math.isnan(value) or (self.epoch and not gain > self.min_delta):
            return False
        self.value, self.epoch = value, state.epoch
        return True
