"""The callback that publishes the progress of a training run, and pauses and stops it."""

import base64
import csv
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np

from tinygrad_np import nn, train
from tinygrad_np.cli.config import RunConfig
from tinygrad_np.cli.parts import Sets
from tinygrad_np.data import DataLoader, ImageDataset
from tinygrad_np.files import read_bytes
from tinygrad_np.frontend.tensor import Tensor
from tinygrad_np.journal import Trial
from tinygrad_np.playground.feed import Feed
from tinygrad_np.runtime.memory import Array

SAMPLES = 12
"""Number of test images whose predictions are shown."""
SIDE = 48
"""Number of cells along each side of the decision grid."""
_POINTS = 400  # of a curve
_MOST_EVALUATED = 1000  # images of the confusion matrix, and training points shown
# Evaluations may take this share of the time between them.
_SHARE = 0.05
_MARGIN = 0.08  # around the training points, in parts of their extent


class Pace:
    """Decide when repeated work is due: every `interval` seconds, or less often if it is slow."""

    def __init__(self, interval: float) -> None:
        self.interval = interval
        self._due = 0.0

    def is_due(self) -> bool:
        """Return whether the work should be done now."""
        return monotonic() >= self._due

    @contextmanager
    def work(self) -> Iterator[None]:
        """Measure the work in a `with` block and set the time at which it is due again."""
        start = monotonic()
        yield
        end = monotonic()
        self._due = end + max(self.interval, (end - start) / _SHARE)


class Control:
    """Requests of the page to the thread that trains: pause, continue, stop."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self.is_paused = False
        self.is_stopped = False

    def set(self, *, is_paused: bool | None = None, is_stopped: bool = False) -> None:
        """Change what is asked for; a stop is final."""
        with self._changed:
            self.is_paused = self.is_paused if is_paused is None else is_paused
            self.is_stopped |= is_stopped
            self._changed.notify_all()

    def wait(self) -> None:
        """Return unless paused; otherwise, wait until the run continues or is stopped."""
        with self._changed:
            self._changed.wait_for(lambda: self.is_stopped or not self.is_paused)


class Curve:
    """Means of loss and accuracy over intervals of steps, so that a run has about 400 points.

    The first intervals are shorter: otherwise, a long run would show no curve for minutes.

    Args:
        steps: number of steps of the run.
        batches: steps per epoch.
        batch_size: samples per step, except for the last step of an epoch.
        samples: samples per epoch.
    """

    def __init__(self, steps: int, batches: int, batch_size: int, samples: int) -> None:
        self._steps, self._batches = steps, batches
        self._batch_size, self._samples = batch_size, samples
        self._correct = 0.0  # in this epoch so far
        self._sums = 0.0, 0.0, 0  # in this interval: loss, correct answers, samples

    def samples(self, step: int) -> int:
        """Return the number of samples in the first `step` steps."""
        epochs, rest = divmod(step, self._batches)
        return epochs * self._samples + rest * self._batch_size

    def add(self, step: int, loss: float, accuracy: float) -> list[list[float]]:
        """Add a step, given its loss and the accuracy over the epoch so far.

        Returns:
            The point [step, loss, accuracy] if the step ends an interval, in a list; or no point.
        """
        place = (step - 1) % self._batches
        before = self._correct if place else 0.0
        seen = min((place + 1) * self._batch_size, self._samples)
        self._correct = accuracy * seen
        size = seen - place * self._batch_size
        losses, correct, count = self._sums
        losses, correct, count = (
            losses + loss * size,
            correct + self._correct - before,
            count + size,
        )
        if not _has_point(step, self._steps):
            self._sums = losses, correct, count
            return []
        self._sums = 0.0, 0.0, 0
        return [[step, losses / count, correct / count]]


class Watcher(train.Callback):
    """Publish curves, predictions and progress to a feed; pause and stop the run.

    It only evaluates the model, and undoes the changes to generators and buffers, so the run is bit
    for bit the same as without it.

    Args:
        config: settings of the run.
        sets: its datasets.
        folder: its directory.
        feed: where to publish.
        control: requests to follow.
    """

    # After all other callbacks, so that a stop loses none of their work on the step.
    turn = 3

    def __init__(
        self, config: RunConfig, sets: Sets, folder: Path, feed: Feed, control: Control
    ) -> None:
        self._config, self._sets, self._folder = config, sets, folder
        self._feed, self._control = feed, control
        self._progress, self._samples, self._grid = Pace(0.15), Pace(0.5), Pace(0.25)
        self._confusion = Pace(0.0)
        self._news: dict[str, list[list[Any]]] = {"points": [], "validation": []}
        self._curve: Curve
        self._shown: ImageDataset
        self._evaluated: ImageDataset
        self._cells: ImageDataset | None = None
        self._start = self._first_step = 0.0

    def on_fit_start(self, state: train.State) -> None:
        """Publish the fixed parts: the test images or the training points, and earlier curves."""
        sets = self._sets
        batches = state.steps_per_epoch or 1
        steps = self._config.steps or state.last_epoch * batches
        self._curve = Curve(steps, batches, self._config.batch_size, len(sets.train))
        self._evaluated = (sets.validation or sets.test).first(
            min(_MOST_EVALUATED, len(sets.validation or sets.test))
        )
        values: dict[str, Any] = {
            "classes": sets.train.classes,
            "evaluated_on": "validation" if sets.validation else "test",
            "parameters": sum(one.numel() for one in state.model.parameters()),
            "steps": steps,
            "epochs": state.last_epoch,
            "step": state.step,
            "batches": batches,
        }
        if sets.train.images[0].size == 2:
            self._cells, plane = _make_plane(sets.train)
            values["plane"] = plane
        else:
            self._shown = _choose(sets.test)
            values["images"] = _describe_images(self._shown)
        status = "stopping" if self._control.is_stopped else "running"
        self._feed.publish(self._earlier(state), status=status, **values)
        self._evaluate(state.model)
        self._start, self._first_step = monotonic(), state.step

    def on_batch_end(self, state: train.State) -> None:
        """Add the step to the curves; wait while paused; raise KeyboardInterrupt to stop."""
        self._news["points"] += self._curve.add(
            state.step, state.loss, state.logs.get("train_accuracy", np.nan)
        )
        if self._progress.is_due() or self._control.is_paused:
            with self._progress.work():
                self._publish_progress(state)
                self._evaluate(state.model)
        if self._control.is_paused:
            begin = monotonic()
            self._control.wait()
            self._start += monotonic() - begin
        if self._control.is_stopped:
            raise KeyboardInterrupt

    def on_epoch_end(self, state: train.State) -> None:
        """Publish the validation results and the confusion matrix."""
        self._news["validation"] += _validation(state, [state.logs])
        is_last = state.epoch == state.last_epoch
        if is_last or self._progress.is_due():
            with self._progress.work():
                self._publish_progress(state)
                self._evaluate(state.model)
        if is_last or self._confusion.is_due():
            with self._confusion.work(), Trial(), np.errstate(all="ignore"):
                logits = train.predict(state.model, DataLoader(self._evaluated, 250))
            counts = train.confusion_matrix(
                logits.argmax(axis=1), self._evaluated.labels, len(self._evaluated.classes)
            )
            self._feed.publish(confusion={"counts": counts.tolist(), "epoch": state.epoch})

    def on_fit_end(self, state: train.State) -> None:
        """Publish what has not been published."""
        self._publish_progress(state)
        self._evaluate(state.model, is_last=True)

    def _publish_progress(self, state: train.State) -> None:
        news, self._news = self._news, {"points": [], "validation": []}
        seconds, done = monotonic() - self._start, state.step - self._first_step
        steps_per_second = done / seconds if seconds > 0 else 0.0
        samples = self._curve.samples(state.step) - self._curve.samples(int(self._first_step))
        left = self._feed.get("steps") - state.step
        self._feed.publish(
            news,
            step=state.step,
            epoch=state.epoch,
            lr=float(state.lr),
            samples_per_second=samples / seconds if seconds > 0 else None,
            seconds_left=left / steps_per_second if steps_per_second else None,
        )

    def _evaluate(self, model: nn.Module, is_last: bool = False) -> None:
        """Publish the predictions of the current weights, if they are due."""
        pace = self._grid if self._cells is not None else self._samples
        if not (is_last or pace.is_due()):
            return
        with pace.work(), Trial(), np.errstate(all="ignore"):
            dataset = self._shown if self._cells is None else self._cells
            logits = train.predict(model, DataLoader(dataset, SIDE * SIDE))
            rows = Tensor(logits).softmax().data
        if self._cells is None:
            pairs = zip(rows.argmax(axis=1).tolist(), rows.max(axis=1).tolist(), strict=True)
            self._feed.publish(predictions=[list(pair) for pair in pairs])
        else:
            # Compare only the first two classes, even if the model has more outputs.
            share = rows[:, 1] / (rows[:, 0] + rows[:, 1])
            self._feed.publish(grid=_encode(np.rint(np.nan_to_num(share, nan=0.5) * 255)))

    def _earlier(self, state: train.State) -> dict[str, list[list[float]]]:
        """Return the earlier curves of a resumed run."""
        if not state.step:
            return {}
        points = []
        lines = read_bytes(self._folder / "steps.csv").decode().splitlines()
        for line in csv.DictReader(lines):
            accuracy = float(line["accuracy"] or "nan")
            points += self._curve.add(int(line["step"]), float(line["loss"]), accuracy)
        # The trainer's own history: history.json is only written when a run ends.
        epochs = state.snapshot()["callbacks"][0]["epochs"]
        return {"points": points, "validation": _validation(state, epochs)}


def _validation(state: train.State, epochs: list[dict[str, Any]]) -> list[list[Any]]:
    """Return [step, loss, accuracy] on the validation set, for about 400 epochs of a run."""
    batches = state.steps_per_epoch or 1
    return [
        [
            min(logs["epoch"] * batches, state.step),
            logs.get("validation_loss"),
            logs.get("validation_accuracy"),
        ]
        for logs in epochs
        if _has_point(logs["epoch"], state.last_epoch)
    ]


def _has_point(place: int, last: int) -> bool:
    """Return whether a curve from 1 to `last` has a point here: at least 8 per doubling."""
    every = min(-(-last // _POINTS), 2 ** max(0, place.bit_length() - 4))
    return place % every == 0 or place == last


def _choose(dataset: ImageDataset) -> ImageDataset:
    """Return 12 images: the first of each class, then the first of all others, sorted by class."""
    labels = dataset.labels.astype(int)
    firsts = np.unique(labels, return_index=True)[1]
    others = np.setdiff1d(np.arange(len(labels)), firsts)
    chosen = np.concatenate([firsts, others])[:SAMPLES]
    chosen = chosen[np.argsort(labels[chosen], kind="stable")]
    return replace(dataset, images=dataset.images[chosen], labels=dataset.labels[chosen])


def _describe_images(dataset: ImageDataset) -> dict[str, Any]:
    gray = dataset.images.mean(axis=1) * (255 / dataset.scale)
    return {
        "height": gray.shape[1],
        "width": gray.shape[2],
        "pixels": [_encode(np.clip(np.rint(image), 0, 255)) for image in gray],
        "labels": dataset.labels.tolist(),
    }


def _make_plane(dataset: ImageDataset) -> tuple[ImageDataset, dict[str, Any]]:
    """Return the cells of a square around the training points, and its description."""
    points = dataset.images.reshape(-1, 2)
    low, high = points.min(axis=0), points.max(axis=0)
    center, half = (low + high) / 2, float((high - low).max()) * (0.5 + _MARGIN)
    offsets = (np.arange(SIDE) + 0.5) / SIDE * 2 * half - half
    # Rows from top to bottom, as on a screen.
    x, y = np.meshgrid(center[0] + offsets, center[1] - offsets)
    cells = np.stack([x, y], axis=-1).astype(np.float32).reshape(-1, *dataset.images.shape[1:])
    shown = [
        [round(float(a), 3), round(float(b), 3), int(label)]
        for (a, b), label in zip(points, dataset.labels, strict=True)
    ][:_MOST_EVALUATED]
    described = {
        "side": SIDE,
        "left": float(center[0] - half),
        "top": float(center[1] + half),
        "size": 2 * half,
        "points": shown,
    }
    return replace(dataset, images=cells, labels=np.zeros(len(cells), np.int64)), described


def _encode(values: Array) -> str:
    return base64.b64encode(values.astype(np.uint8).tobytes()).decode()
