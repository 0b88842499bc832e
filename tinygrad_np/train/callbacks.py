"""What can be done along with a training: the points where, its history, a line that tells."""

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
from tinygrad_np.errors import ArgumentError
from tinygrad_np.files import write_bytes
from tinygrad_np.optim.optimizer import Optimizer

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
    evaluate: Callable[[Any], dict[str, float]]  # the Trainer's, of a loader
    snapshot: Callable[[], dict[str, Any]]  # the whole training: the Trainer's state_dict
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

    What it has to remember for a training that is resumed it gives in `state_dict`.
    """

    # Among the callbacks of a training the lower come first, and else those given first: logs are
    # added before they are read, and weights restored when all have seen those before.
    turn = 0

    def on_fit_start(self, state: State) -> None:
        """Run once, before the first epoch; where this fails nothing has begun and nothing ends."""

    def on_epoch_start(self, state: State) -> None:
        """Run before the first batch of each epoch."""

    def on_batch_end(self, state: State) -> None:
        """Run after each step of the optimizer."""

    def on_epoch_end(self, state: State) -> None:
        """Run after each epoch and its validation, whose values are in `state.logs`."""

    def on_epoch_closed(self, state: State) -> None:
        """Run after the `on_epoch_end` of all callbacks: `state.snapshot()` is of whole epochs."""

    def on_fit_end(self, state: State) -> None:
        """Run once, however the training ended: Ctrl-C and errors too."""

    def state_dict(self) -> dict[str, Any]:
        """Return what is to be remembered: nested dicts and lists of arrays and plain values."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what `state_dict` returned."""


class History(Callback):
    """The logs of each epoch, in `epochs`; `interrupted` says whether Ctrl-C ended the training."""

    def __init__(self) -> None:
        self.epochs: list[dict[str, Any]] = []
        self.interrupted = False

    def on_epoch_closed(self, state: State) -> None:
        """Keep the logs of an epoch that is finished: Ctrl-C may come while it is evaluated."""
        self.epochs.append(state.logs)

    def state_dict(self) -> dict[str, Any]:
        """Return a copy of the epochs."""
        return {"epochs": [dict(logs) for logs in self.epochs]}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over the epochs of another history."""
        self.epochs = [dict(logs) for logs in state["epochs"]]

    def for_json(self) -> list[dict[str, Any]]:
        """Return the epochs in Python's own numbers, None for nan and inf, which JSON has not."""
        return [{name: _for_json(value) for name, value in logs.items()} for logs in self.epochs]

    def save(self, path: str | Path) -> None:
        """Write the epochs as JSON, a list of objects, or as CSV, by the suffix of the path.

        In JSON nan and inf are null. Raises ArgumentError for another suffix,
        DataError if the file cannot be written.
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
                f"History.save: got {str(path)!r}, expected a name that ends with .json or .csv"
            )
        write_bytes(path, text.encode())


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
            self._bar.set_postfix_str(_describe(state.logs), refresh=False)
            self._bar.update()

    def on_epoch_end(self, state: State) -> None:
        """Print the logs in one line."""
        self._close()
        print(f"{_title(state)}: {_describe(state.logs)}", flush=True)

    def on_fit_end(self, state: State) -> None:
        """Remove a bar that an error or Ctrl-C has left."""
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
    """Return Python's own number for one of NumPy's."""
    return value.item() if isinstance(value, np.generic) else value


def _for_json(value: Any) -> Any:
    """Return a value with lists for arrays and None for what JSON has not, however nested."""
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, list | tuple):
        return [_for_json(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
