"""The best epoch so far: what early stopping and checkpoints watch."""

import math
from collections.abc import Mapping
from typing import Any

from tinygrad_np.checks import check_at_least
from tinygrad_np.errors import ArgumentError
from tinygrad_np.train.callbacks import State


class Best:
    """The best value of a log up to now, and its epoch: 0 where there is none."""

    def __init__(self, owner: str, monitor: str, min_delta: float = 0.0) -> None:
        if not isinstance(monitor, str) or not monitor.endswith(("loss", "accuracy")):
            raise ArgumentError(
                f"{owner} monitor: got {monitor!r}, expected a name that ends with loss, where "
                "less is better, or with accuracy, where more is"
            )
        check_at_least(owner, 0, min_delta=min_delta)
        self.owner = owner
        self.monitor = monitor
        self.min_delta = min_delta
        self.value, self.epoch = math.nan, 0

    def state_dict(self) -> dict[str, Any]:
        """Return the best value, its epoch, and of which log they are."""
        return {"monitor": self.monitor, "value": self.value, "epoch": self.epoch}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take them over. Raises ArgumentError where they are of another log."""
        if state["monitor"] != self.monitor:
            raise ArgumentError(
                f"{self.owner}.load_state_dict: got the best {state['monitor']}, expected that of "
                f"monitor={self.monitor!r}"
            )
        self.value, self.epoch = state["value"], state["epoch"]

    def start(self, state: State) -> None:
        """Forget the training before, and refuse to watch a validation that there will not be."""
        if state.epoch == 0:
            self.value, self.epoch = math.nan, 0
        if self.monitor.startswith("validation_") and not state.has_validation:
            raise ArgumentError(
                f"{self.owner} monitor: {self.monitor!r} needs fit(..., validation=loader), or "
                'watch another, such as monitor="train_loss"'
            )

    def is_beaten(self, state: State) -> bool:
        """Return whether this epoch is better by more than min_delta, and remember it if so."""
        if self.monitor not in state.logs:
            raise ArgumentError(
                f"{self.owner} monitor: {self.monitor!r} is none of the logs: "
                f"{', '.join(state.logs)}"
            )
        value = state.logs[self.monitor]
        gain = value - self.value if self.monitor.endswith("accuracy") else self.value - value
        if math.isnan(value) or (self.epoch and not gain > self.min_delta):
            return False
        self.value, self.epoch = value, state.epoch
        return True
