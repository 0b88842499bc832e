"""Early stopping: end training when a metric stops improving."""

from collections.abc import Mapping
from typing import Any

from tinygrad_np.checks import check_integer
from tinygrad_np.console import show
from tinygrad_np.display import safe
from tinygrad_np.runtime.memory import Array
from tinygrad_np.schema import ANYTHING, ARRAY, COUNT, DictOf, OrNone, check
from tinygrad_np.train.best import Best
from tinygrad_np.train.callbacks import Callback, State


class EarlyStopping(Callback):
    """Stop training when a metric stops improving, and restore the best weights.

    The best weights are restored however training ends, even after Ctrl-C or an error. Another
    `fit` continues from them, with the optimizer state of the last step. `stopped_epoch` is the
    epoch after which training was stopped early, or 0 if it was not.

    Args:
        monitor: log that defines the best epoch, such as "validation_loss".
        patience: number of consecutive epochs without improvement after which training stops.
        min_delta: an epoch improves if it beats the best one by more than this; nan never does.
        mode: "min" if lower values of `monitor` are better, "max" if higher ones are. By default,
            "min" for a loss and "max" for an accuracy.

    Raises:
        ArgumentError: if `monitor` does not end in "loss" or "accuracy" and has no `mode`, `mode`
            is invalid, `patience` is not an integer >= 1, or `min_delta` is not a finite number
            >= 0.

    `fit` raises ArgumentError if `monitor` needs a validation set and there is none, or is not
    among the logs.

    >>> from tinygrad_np import train
    >>> stopping = train.EarlyStopping("validation_accuracy", patience=3)
    """

    turn = 1

    def __init__(
        self,
        monitor: str = "validation_loss",
        patience: int = 5,
        min_delta: float = 0.0,
        mode: str | None = None,
    ) -> None:
        check_integer("EarlyStopping", 1, patience=patience)
        self._best = Best("EarlyStopping", monitor, mode, min_delta)
        self.patience = patience
        self.stopped_epoch = 0
        self._waited = 0
        self._weights: dict[str, Array] | None = None

    @safe
    def __repr__(self) -> str:
        stopped = f", stopped after epoch {self.stopped_epoch}" if self.stopped_epoch else ""
        return f"EarlyStopping({self._best}, patience={self.patience}{stopped})"

    @property
    def best_epoch(self) -> int:
        """Return the best epoch, or 0 before the first."""
        return self._best.epoch

    @property
    def best_value(self) -> float:
        """Return the monitored value of the best epoch, or nan before the first."""
        return self._best.value

    def on_fit_start(self, state: State) -> None:
        """Reset for a new training run."""
        if state.epoch == 0:
            self._waited, self._weights = 0, None
        self.stopped_epoch = 0
        self._best.start(state)

    def on_epoch_end(self, state: State) -> None:
        """Keep the weights if the epoch is the best so far; otherwise stop after `patience`."""
        if self._best.is_beaten(state):
            self._waited, self._weights = 0, state.model.state_dict()
            return
        self._waited += 1
        if self._waited >= self.patience:
            self._waited, self.stopped_epoch = 0, state.epoch
            state.should_stop = True

    def state_dict(self) -> dict[str, Any]:
        """Return the best weights, value and epoch, the epochs since then, and `stopped_epoch`."""
        return {
            "best": self._best.state_dict(),
            "waited": self._waited,
            "stopped": self.stopped_epoch,
            "weights": self._weights,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore a state; raise ArgumentError if invalid or of another metric."""
        schema = {
            "best": DictOf(ANYTHING),
            "waited": COUNT,
            "stopped": COUNT,
            "weights": OrNone(DictOf(ARRAY)),
        }
        check("EarlyStopping.load_state_dict", state, schema)
        self._best.load_state_dict(state["best"])
        self._waited, self._weights = state["waited"], state["weights"]
        self.stopped_epoch = state["stopped"]

    def on_load(self, state: State) -> None:
        """Raise an error if the best weights do not fit the model."""
        if self._weights is not None:
            check(
                "EarlyStopping.load_state_dict", self._weights, state.model.state_dict(), "weights"
            )

    def on_fit_end(self, state: State) -> None:
        """Load the best weights into the model and print their epoch."""
        if self._weights is None:
            return
        state.model.load_state_dict(self._weights)
        stopped = f"stopped after epoch {self.stopped_epoch}; " if self.stopped_epoch else ""
        show(
            f"EarlyStopping: {stopped}restored the weights of epoch {self.best_epoch} "
            f"(best {self._best.monitor}: {self.best_value:.6g})"
        )
