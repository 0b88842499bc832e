"""Callbacks: the hooks of a training run, its history and its progress display."""

import csv
import io
import json
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from tqdm import tqdm

from tinygrad_np import nn
from tinygrad_np.console import show
from tinygrad_np.display import Table, line_chart, preformatted, safe
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


_SECONDS = 0.5  # between updates of the progress line in a notebook

# Number of epochs at the start and at the end of a long history that its table shows.
_FIRST, _LAST = 5, 15


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
    metrics: tuple[str, ...] = ()  # names of the trainer's metrics
    lr: float = 0.0  # learning rate of the last step, first parameter group
    loss: float = math.nan  # of the last batch
    logs: dict[str, Any] = field(default_factory=dict)  # means over this epoch so far
    should_stop: bool = False

    @safe
    def __repr__(self) -> str:
        """Return the position in the run and the logs, without the parts of the trainer."""
        facts = [f"epoch {self.epoch} of {self.last_epoch}", f"step {self.step}"]
        if self.steps_per_epoch is not None:
            facts.append(f"{self.steps_per_epoch} steps per epoch")
        logs = _describe(self.logs or {"lr": self.lr, "loss": self.loss})
        stop = "; stops after this step" if self.should_stop else ""
        return f"State({', '.join(facts)}; {logs}{stop})"


class Callback:
    """Base class for callbacks; subclasses override the hooks they need.

    A callback whose state must survive a resume returns it from `state_dict`.

    >>> from tinygrad_np import train
    >>> class StopAt(train.Callback):
    ...     def on_batch_end(self, state):
    ...         state.should_stop = state.step >= 5000
    """

    @safe
    def __repr__(self) -> str:
        """Return the class and those public attributes that are plain values."""
        shown = {name: value for name, value in vars(self).items() if not name.startswith("_")}
        plain_types = (bool, int, float, str, Path)
        options = [
            f"{name}={str(value) if isinstance(value, Path) else value!r}"
            for name, value in shown.items()
            if value is None or isinstance(value, plain_types)
        ]
        return f"{type(self).__name__}({', '.join(options)})"

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
    """Logs of all epochs, shown as a table; a notebook also shows a chart of each metric.

    The best epoch is marked: the one with the lowest validation loss or, if no validation loss was
    logged, with the highest validation accuracy. Without validation, no epoch is.

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

    def _table(self) -> Table:
        best = best_epoch(self.epochs)
        names = list(dict.fromkeys(name for logs in self.epochs for name in logs))
        count = len(self.epochs)
        shown = list(range(count))
        if count > _FIRST + _LAST:
            middle = {best[0]} if best else set()
            shown = sorted({*range(_FIRST), *middle, *range(count - _LAST, count)})
        rows, marked, expected = [], None, 0
        for position in shown:
            if position > expected:
                rows.append(["..."] * len(names))
            expected = position + 1
            if best and position == best[0]:
                marked = len(rows)
            rows.append([_cell(name, self.epochs[position].get(name)) for name in names])
        notes = []
        if best:
            position, monitor = best
            side = "lowest" if monitor == "validation_loss" else "highest"
            epoch = epoch_numbers(self.epochs)[position]
            notes.append(f"best epoch: {epoch} ({side} {monitor.replace('_', ' ')})")
        if self.interrupted:
            notes.append("interrupted by Ctrl-C")
        heading = [name.replace("_", " ") for name in names]
        return Table(heading, rows, names=0, notes=notes, marked=marked)

    @safe
    def __repr__(self) -> str:
        return repr(self._table()) if self.epochs else "History: no epochs yet"

    @safe
    def _repr_html_(self) -> str:
        if not self.epochs:
            return preformatted(repr(self))
        charts, best = [], best_epoch(self.epochs)
        numbers = epoch_numbers(self.epochs)
        marked = numbers[best[0]] if best else None
        names = dict.fromkeys(name for logs in self.epochs for name in logs)
        metrics = [name.removeprefix("train_") for name in names if name.startswith("train_")]
        for kind in dict.fromkeys(("loss", "accuracy", *metrics)):
            lines = {
                name.removesuffix(f"_{kind}"): log_values(self.epochs, name)
                for name in names
                if name == kind or name.endswith(f"_{kind}")
            }
            if lines:
                spec = ".1%" if kind.endswith("accuracy") else ".3g"
                title = f"{kind.replace('_', ' ')} by epoch"
                charts.append(line_chart(title, lines, numbers, marked, spec))
        return f"<div>{''.join(charts)}</div>{self._table()._repr_html_()}"

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


def best_epoch(epochs: Sequence[Mapping[str, Any]]) -> tuple[int, str] | None:
    """Return the position of the best epoch and the log that says so, None without validation.

    Training and test results choose no epoch: the one is biased, the other would be.

    >>> best_epoch([{"validation_loss": 2.0}, {"validation_loss": 1.0}, {"train_loss": 0.0}])
    (1, 'validation_loss')
    """
    for name, best in (("validation_loss", min), ("validation_accuracy", max)):
        values = log_values(epochs, name)
        finite = [value for value in values if math.isfinite(value)]
        if finite:
            return values.index(best(finite)), name
    return None


def log_values(epochs: Sequence[Mapping[str, Any]], name: str) -> list[float]:
    """Return a log of each epoch, nan where it is missing or not a number."""
    values = [plain(logs.get(name)) for logs in epochs]
    return [value if isinstance(value, int | float) else math.nan for value in values]


def epoch_numbers(epochs: Sequence[Mapping[str, Any]]) -> list[int]:
    """Return the number of each epoch, by default its position from 1."""
    return [int(logs.get("epoch", position)) for position, logs in enumerate(epochs, 1)]


class Progress(Callback):
    """Print a line per epoch and, on a terminal, show a progress bar over its steps.

    In a notebook, the bar is tqdm's if ipywidgets is installed; otherwise, the line of the current
    epoch is updated twice per second. The saved notebook holds one line per epoch.

    Output that cannot be printed, for example to a closed pipe, is dropped: training continues.
    """

    def __init__(self) -> None:
        self._bar: Any = None

    def on_epoch_start(self, state: State) -> None:
        """Open a progress bar if stderr is a terminal, or in a notebook."""
        if _is_notebook():
            self._bar = _notebook_bar(total=state.steps_per_epoch, desc=_title(state), leave=False)
        elif sys.stderr is not None and sys.stderr.isatty():
            self._bar = tqdm(total=state.steps_per_epoch, desc=_title(state), leave=False)

    def on_batch_end(self, state: State) -> None:
        """Advance the progress bar."""
        if self._bar is not None:
            self._bar.set_postfix_str(_describe(state.logs), refresh=False)
            self._bar.update()

    def on_epoch_end(self, state: State) -> None:
        """Print the logs on one line."""
        line = f"{_title(state)}: {_describe(state.logs)}"
        if isinstance(self._bar, _UpdatedLine):
            self._bar.write(line)
            self._bar = None
        else:
            self._close()
            show(line)

    def on_fit_end(self, state: State) -> None:
        """Close the progress bar if an error or Ctrl-C left it open."""
        self._close()

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None


def _is_notebook() -> bool:
    """Return whether this process is a Jupyter kernel; ipykernel's shell has a `kernel`."""
    ipython = sys.modules.get("IPython")
    return ipython is not None and hasattr(ipython.get_ipython(), "kernel")


def _notebook_bar(**options: Any) -> Any:
    try:
        import ipywidgets  # noqa: F401  # without it, tqdm.notebook warns and fails
        from tqdm.notebook import tqdm as bar
    except ImportError:
        return _UpdatedLine(**options)
    return bar(**options)


class _UpdatedLine:
    """A replacement for a tqdm bar: a line of text in a notebook that is updated in place."""

    def __init__(self, total: int | None, desc: str, leave: bool) -> None:
        self._total, self._title, self._postfix = total, desc, ""
        self._steps, self._shown = 0, perf_counter()
        self._handle: Any = None
        self.write(f"{desc}: started")

    def set_postfix_str(self, text: str, refresh: bool) -> None:
        self._postfix = text

    def update(self) -> None:
        self._steps += 1
        if perf_counter() - self._shown >= _SECONDS:
            self._shown = perf_counter()
            of = "" if self._total is None else f"/{self._total}"
            self.write(f"{self._title}: step {self._steps}{of}, {self._postfix}")

    def write(self, text: str) -> None:
        """Show a line in the place of the last one; ignore errors, as `console.show` does."""
        with suppress(Exception):
            from IPython.display import display

            shown = {"text/plain": text}
            if self._handle is None:
                self._handle = display(shown, raw=True, display_id=True)
            else:
                self._handle.update(shown, raw=True)

    def close(self) -> None:
        """Leave the last line, of an epoch that did not finish, as it is."""


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


def _cell(name: str, value: Any) -> str:
    """Return a log as text for a table, empty if it is missing."""
    return "" if value is None else _format(name.rpartition("_")[2], plain(value))


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
