"""The end of a training that gets no better."""

from collections.abc import Mapping
from typing import Any

from tinygrad_np.checks import check_integer
from tinygrad_np.runtime.memory import Array
from tinygrad_np.train.best import Best
from tinygrad_np.train.callbacks import Callback, State


class EarlyStopping(Callback):
    """Stops after `patience` epochs in a row without a better one, and restores the best weights.

    They are restored whenever the training ends, after Ctrl-C or an error too. Better is a
    `monitor` that is lower (a loss) or higher (an accuracy) by more than `min_delta`; nan is not.
    `best_epoch` and `best_value` tell of which epoch they are (0 and nan while there is none), and
    `stopped_epoch` after which one training stopped (0 if it did not). Another `fit` trains on,
    from the best weights, with what the optimizer remembers of the last ones.
    """

    turn = 1

    def __init__(
        self, monitor: str = "validation_loss", patience: int = 5, min_delta: float = 0.0
    ) -> None:
        check_integer("EarlyStopping", 1, patience=patience)
        self._best = Best("EarlyStopping", monitor, min_delta)
        self.patience = patience
        self.stopped_epoch = 0
        self._waited = 0
        self._weights: dict[str, Array] | None = None

    @property
    def best_epoch(self) -> int:
        """Return the number of the best epoch, 0 before there is one."""
        return self._best.epoch

    @property
    def best_value(self) -> float:
        """Return what was monitored in the best epoch, nan before there is one."""
        return self._best.value

    def on_fit_start(self, state: State) -> None:
        """Forget the training before, if this is another."""
        if state.epoch == 0:
            self._waited, self._weights = 0, None
        self.stopped_epoch = 0
        self._best.start(state)

    def on_epoch_end(self, state: State) -> None:
        """Keep the weights if they are the best yet, or else count and perhaps stop."""
        if self._best.is_beaten(state):
            self._waited, self._weights = 0, state.model.state_dict()
            return
        self._waited += 1
        if self._waited >= self.patience:
            self._waited, self.stopped_epoch = 0, state.epoch
            state.should_stop = True

    def state_dict(self) -> dict[str, Any]:
        """Return the best weights, of which epoch they are, how many came after it, and whether
        training stopped.
        """
        return {
            "best": self._best.state_dict(),
            "waited": self._waited,
            "stopped": self.stopped_epoch,
            "weights": self._weights,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take them over. Raises ArgumentError where another log was monitored."""
        self._best.load_state_dict(state["best"])
        self._waited, self._weights = state["waited"], state["weights"]
        self.stopped_epoch = state["stopped"]

    def on_fit_end(self, state: State) -> None:
        """Restore the best weights and say of which epoch they are."""
        if self._weights is None:
            return
        state.model.load_state_dict(self._weights)
        stopped = f"stopped after epoch {self.stopped_epoch}; " if self.stopped_epoch else ""
        print(
            f"EarlyStopping: {stopped}the weights of epoch {self.best_epoch} are restored, with "
            f"the best {self._best.monitor}, {self.best_value:.6g}"
        )
