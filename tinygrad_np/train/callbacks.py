"""What can be done along with a training: keep its history, its best weights, say how it goes."""

import csv
import io
import json
import math
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from tinygrad_np import nn
from tinygrad_np.errors import ArgumentError, DataError
from tinygrad_np.files import write_bytes
from tinygrad_np.memory import Array
from tinygrad_np.optim.optimizer import Optimizer, at_least
from tinygrad_np.optim.schedule import whole
from tinygrad_np.train.checkpoint import save

# How logs are printed, by the last word of their names.
_FORMATS = {"accuracy": ".2%", "loss": ".4f", "seconds": ".1f"}


@dataclass
class State:
    """Where a training stands: the one object that all callbacks are given.

    Set `should_stop` to end the training after this step or epoch; what is added to `logs` at the
    end of an epoch stands in the history too.
    """

    model: nn.Module
    optimizer: Optimizer
    epoch: int = 0  # the one that runs, from 1; 0 before the first
    last_epoch: int = 0  # the one with which fit ends
    step: int = 0  # steps of the optimizer so far, in all epochs
    steps_per_epoch: int | None = None  # None where the loader has no length
    has_validation: bool = False
    lr: float = 0.0  # the rate of the last step, of the first group
    loss: float = math.nan  # of the last batch
    logs: dict[str, Any] = field(default_factory=dict)  # means over this epoch so far
    should_stop: bool = False


class Callback:
    """Something to do at points of a training; a subclass writes the methods it needs.

    >>> from tinygrad_np import train
    >>> class StopAt(train.Callback):
    ...     def on_batch_end(self, state):
    ...         state.should_stop = state.step >= 5000
    """

    def on_fit_start(self, state: State) -> None:
        """Run once, before the first epoch; where this fails nothing has begun and nothing ends."""

    def on_epoch_start(self, state: State) -> None:
        """Run before the first batch of each epoch."""

    def on_batch_end(self, state: State) -> None:
        """Run after each step of the optimizer."""

    def on_epoch_end(self, state: State) -> None:
        """Run after each epoch and its validation, whose values are in `state.logs`."""

    def on_fit_end(self, state: State) -> None:
        """Run once, however the training ended: Ctrl-C and errors too."""


class History(Callback):
    """The logs of each epoch, in `epochs`; `interrupted` says whether Ctrl-C ended the training."""

    def __init__(self) -> None:
        self.epochs: list[dict[str, Any]] = []
        self.interrupted = False

    def on_epoch_end(self, state: State) -> None:
        """Keep the logs: the dict itself, to which callbacks that come later may add."""
        self.epochs.append(state.logs)

    def save(self, path: str | Path) -> None:
        """Write the epochs as JSON, a list of objects, or as CSV, by the suffix of the path.

        In JSON, which has no nan and inf, these are null. Raises ArgumentError for another suffix,
        DataError if the file cannot be written.
        """
        rows = [{name: _plain(value) for name, value in logs.items()} for logs in self.epochs]
        suffix = Path(path).suffix.lower()
        if suffix == ".json":
            finite = [{name: _or_null(value) for name, value in row.items()} for row in rows]
            text = json.dumps(finite, indent=2) + "\n"
        elif suffix == ".csv":
            names = dict.fromkeys(name for row in rows for name in row)
            buffer = io.StringIO()
            writer = csv.DictWriter(buffer, list(names), lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
            text = buffer.getvalue()
        else:
            raise ArgumentError(
                f"History.save: got {str(path)!r}, expected a name that ends with .json or .csv"
            )
        write_bytes(path, text.encode())


class _Best:
    """The best value of a log up to now, and its epoch: 0 where there is none."""

    def __init__(self, owner: str, monitor: str, min_delta: float = 0.0) -> None:
        if not isinstance(monitor, str) or not monitor.endswith(("loss", "accuracy")):
            raise ArgumentError(
                f"{owner} monitor: got {monitor!r}, expected a name that ends with loss, where "
                "less is better, or with accuracy, where more is"
            )
        at_least(owner, 0, min_delta=min_delta)
        self.owner = owner
        self.monitor = monitor
        self.min_delta = min_delta
        self.value, self.epoch = math.nan, 0

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


class EarlyStopping(Callback):
    """Stops after `patience` epochs in a row without a better one, and restores the best weights.

    They are restored whenever the training ends, after Ctrl-C or an error too. Better is a
    `monitor` that is lower (a loss) or higher (an accuracy) by more than `min_delta`; nan is not.
    `best_epoch` and `best_value` tell of which epoch they are (0 and nan while there is none), and
    `stopped_epoch` after which one training stopped (0 if it did not).
    """

    def __init__(
        self, monitor: str = "validation_loss", patience: int = 5, min_delta: float = 0.0
    ) -> None:
        whole("EarlyStopping", 1, patience=patience)
        self._best = _Best("EarlyStopping", monitor, min_delta)
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


class Checkpoint(Callback):
    """Writes weights into a folder, in files that `train.load` reads.

    best.safetensors: of the epoch with the best `monitor`, a loss or an accuracy; None for no such
    file. last.safetensors: after each epoch, and where the training ended. step_000500.safetensors
    and so on: after every `every_steps` steps. Epoch, step and logs are in the files' metadata.
    """

    def __init__(
        self,
        folder: str | Path,
        monitor: str | None = "validation_loss",
        every_steps: int | None = None,
    ) -> None:
        if every_steps is not None:
            whole("Checkpoint", 1, every_steps=every_steps)
        self.folder = Path(folder)
        self.every_steps = every_steps
        self._best = None if monitor is None else _Best("Checkpoint", monitor)
        self._last_step = 0

    def on_fit_start(self, state: State) -> None:
        """Make the folder: what cannot be written is to be known before the work is done."""
        self._last_step = state.step
        if self._best is not None:
            self._best.start(state)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DataError(
                f"Checkpoint: {self.folder}: cannot be made: {error.strerror}"
            ) from error

    def on_batch_end(self, state: State) -> None:
        """Write the weights of this step if it is its turn."""
        if self.every_steps is not None and state.step % self.every_steps == 0:
            self._write(state, f"step_{state.step:06d}")

    def on_epoch_end(self, state: State) -> None:
        """Write the weights as the last ones, and as the best ones if they are."""
        if self._best is not None and self._best.is_beaten(state):
            self._write(state, "best")
        self._write_last(state)

    def on_fit_end(self, state: State) -> None:
        """Write the weights as the last ones where an epoch was cut short."""
        if state.step > self._last_step:
            self._write_last(state)

    def _write_last(self, state: State) -> None:
        self._write(state, "last")
        self._last_step = state.step

    def _write(self, state: State, name: str) -> None:
        told = {"epoch": state.epoch, "step": state.step, **state.logs}
        save(
            self.folder / f"{name}.safetensors",
            state.model.state_dict(),
            {key: str(_plain(value)) for key, value in told.items()},
        )


class Progress(Callback):
    """Prints a line after each epoch; on a terminal a bar shows the steps within it."""

    def __init__(self) -> None:
        self._bar: Any = None

    def on_epoch_start(self, state: State) -> None:
        """Open a bar on stderr, if that is a terminal."""
        if sys.stderr.isatty():
            self._bar = tqdm(total=state.steps_per_epoch, desc=_title(state), leave=False)

    def on_batch_end(self, state: State) -> None:
        """Move the bar."""
        if self._bar is not None:
            self._bar.set_postfix_str(_described(state.logs), refresh=False)
            self._bar.update()

    def on_epoch_end(self, state: State) -> None:
        """Print the logs in one line."""
        self._close()
        print(f"{_title(state)}: {_described(state.logs)}", flush=True)

    def on_fit_end(self, state: State) -> None:
        """Remove a bar that an error or Ctrl-C has left."""
        self._close()

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None


def _title(state: State) -> str:
    return f"epoch {state.epoch}/{state.last_epoch}"


def _described(logs: dict[str, Any]) -> str:
    return ", ".join(
        f"{name.replace('_', ' ')} {_formatted(name.rpartition('_')[2], _plain(value))}"
        for name, value in logs.items()
        if name != "epoch"
    )


def _formatted(kind: str, value: Any) -> str:
    if not isinstance(value, int | float):
        return str(value)
    return format(value, _FORMATS.get(kind, ".4g"))


def _plain(value: Any) -> Any:
    """Return Python's own number for one of NumPy's."""
    return value.item() if isinstance(value, np.generic) else value


def _or_null(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
