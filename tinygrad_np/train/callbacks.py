"""Callbacks: the hooks of a training run, its history and its progress display."""

import csv
import io
import json
import math
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from tinygrad_np import nn
from tinygrad_np.console import show
from tinygrad_np.errors import ArgumentError
from tinygrad_np.files import write_bytes
from tinygrad_np.optim.optimizer import Optimizer
from tinygrad_np.schema import ANYTHING, COUNT, REAL, DictOf, ListOf, check

# Print format of a log, chosen by the last word of its name.
_FORMATS = {"accuracy": ".2%", "loss": ".4f", "seconds": ".1f"}

# The logs that Trainer.fit adds to every epoch; other callbacks may add any value.
_LOGS = {
    "epoch": COUNT,
    **dict.fromkeys(("lr", "seconds"), REAL),
    **dict.fromkeys(("train_loss", "train_accuracy"), REAL),
    **dict.fromkeys(("validation_loss", "validation_accuracy"), REAL),
}


@dataclass
class State:
    """State of a training run, shared by all callbacks.

    Set `should_stop` to end training after the current step or epoch. Entries added to `logs` at
    the end of an epoch also appear in the history.
    """

    model: nn.Module
    optimizer: Optimizer
    evaluate: Callable[[Any], dict[str, float]]  # Trainer.evaluate, called with a loader
    snapshot: Callable[[], dict[str, Any]]  # Trainer.state_dict
    epoch: int = 0  # current epoch, from 1; 0 before the first
    last_epoch: int = 0  # epoch after which fit returns
    step: int = 0  # optimizer steps so far, over all epochs
    steps_per_epoch: int | None = None  # None if the loader has no length
    has_validation: bool = False
    lr: float = 0.0  # learning rate of the last step, first parameter group
    loss: float = math.nan  # of the last batch
    logs: dict[str, Any] = field(default_factory=dict)  # means over this epoch so far
    should_stop: bool = False


class Callback:
    """Base class for callbacks; subclasses override the hooks they need.

    A callback whose state must survive a resume returns it from `state_dict`.

    >>> from tinygrad_np import train
    >>> class StopAt(train.Callback):
    ...     def on_batch_end(self, state):
    ...         state.should_stop = state.step >= 5000
    """

    # Callbacks run in ascending order of `turn`, and in the order given if equal: -1 for those that
    # add logs, before others read the logs; 1 for those that restore weights, after the others.
    turn = 0

    def on_fit_start(self, state: State) -> None:
        """Run once before the first epoch.

        If this raises, training has not started and `on_fit_end` does not run.
        """

    def on_epoch_start(self, state: State) -> None:
        """Run before the first batch of each epoch."""

    def on_batch_end(self, state: State) -> None:
        """Run after each optimizer step."""

    def on_epoch_end(self, state: State) -> None:
        """Run after each epoch and its validation; the results are in `state.logs`."""

    def on_epoch_closed(self, state: State) -> None:
        """Run after `on_epoch_end` of all callbacks; `state.snapshot()` now includes the epoch."""

    def on_fit_end(self, state: State) -> None:
        """Run once when training ends, even after Ctrl-C or an error."""

    def state_dict(self) -> dict[str, Any]:
        """Return the state to save: nested dicts and lists of arrays and plain values."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore a state returned by `state_dict`; raise ArgumentError if it is invalid."""

    def on_load(self, state: State) -> None:
        """Run after `Trainer.load` has restored everything; an error undoes the load."""


class History(Callback):
    """Logs of all epochs.

    Attributes:
        epochs: one dict of logs per epoch.
        interrupted: whether Ctrl-C ended the last `fit`.
    """

    def __init__(self) -> None:
        self.epochs: list[dict[str, Any]] = []
        self.interrupted = False

    def on_epoch_closed(self, state: State) -> None:
        """Store the logs, now that Ctrl-C can no longer interrupt the evaluation of the epoch."""
        self.epochs.append(state.logs)

    def state_dict(self) -> dict[str, Any]:
        """Return a copy of the epochs."""
        return {"epochs": [dict(logs) for logs in self.epochs]}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Replace the epochs with those of another history; raise ArgumentError if invalid."""
        epochs = ListOf(DictOf(ANYTHING, _LOGS, needed=("epoch",)))
        check("History.load_state_dict", state, {"epochs": epochs})
        self.epochs = [dict(logs) for logs in state["epochs"]]

    def on_load(self, state: State) -> None:
        """Raise ArgumentError if epochs are missing; the current one may be unfinished."""
        if len(self.epochs) not in (state.epoch, state.epoch - 1):
            raise ArgumentError(
                f"History.load_state_dict: expected the logs of {state.epoch} epochs, got those of "
                f"{len(self.epochs)}."
            )

    def for_json(self) -> list[dict[str, Any]]:
        """Return the epochs as JSON-compatible values, with None for nan and inf."""
        return [{name: _for_json(value) for name, value in logs.items()} for logs in self.epochs]

    def save(self, path: str | Path) -> None:
        """Write the epochs as JSON (a list of objects) or CSV, depending on the suffix.

        In JSON, nan and inf become null.

        Raises:
            ArgumentError: if the suffix is neither .json nor .csv.
            DataError: if the file cannot be written.
        """
        suffix = Path(path).suffix.lower()
        if suffix == ".json":
            text = json.dumps(self.for_json(), indent=2) + "\n"
        elif suffix == ".csv":
            rows = [{name: plain(value) for name, value in logs.items()} for logs in self.epochs]
            names = dict.fromkeys(name for row in rows for name in row)
            buffer = io.StringIO()
            writer = csv.DictWriter(buffer, list(names), lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
            text = buffer.getvalue()
        else:
            raise ArgumentError(
                f"History.save: expected `path` to end in .json or .csv, got {str(path)!r}."
            )
        write_bytes(path, text.encode())


class Progress(Callback):
    """Print a line per epoch and, on a terminal, show a progress bar over its steps.

    Output that cannot be printed, for example to a closed pipe, is dropped: training continues.
    """

    def __init__(self) -> None:
        self._bar: Any = None

    def on_epoch_start(self, state: State) -> None:
        """Open a progress bar if stderr is a terminal."""
        if sys.stderr is not None and sys.stderr.isatty():
            self._bar = tqdm(total=state.steps_per_epoch, desc=_title(state), leave=False)

    def on_batch_end(self, state: State) -> None:
        """Advance the progress bar."""
        if self._bar is not None:
            self._bar.set_postfix_str(_describe(state.logs), refresh=False)
            self._bar.update()

    def on_epoch_end(self, state: State) -> None:
        """Print the logs on one line."""
        self._close()
        show(f"{_title(state)}: {_describe(state.logs)}")

    def on_fit_end(self, state: State) -> None:
        """Close the progress bar if an error or Ctrl-C left it open."""
        self._close()

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None


def _title(state: State) -> str:
    return f"epoch {state.epoch}/{state.last_epoch}"


def _describe(logs: dict[str, Any]) -> str:
    return ", ".join(
        f"{name.replace('_', ' ')} {_format(name.rpartition('_')[2], plain(value))}"
        for name, value in logs.items()
        if name != "epoch"
    )


def _format(kind: str, value: Any) -> str:
    if not isinstance(value, int | float):
        return str(value)
    return format(value, _FORMATS.get(kind, ".4g"))


def plain(value: Any) -> Any:
    """Convert a NumPy scalar to a Python number; return other values unchanged."""
    return value.item() if isinstance(value, np.generic) else value


def _for_json(value: Any) -> Any:
    """Convert arrays to lists, and nan and inf to None, at any depth."""
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, list | tuple):
        return [_for_json(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
