"""The training loop, written once: fit and evaluate."""

import math
import time
from collections.abc import Callable, Iterable, Sized
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygrad_np import nn
from tinygrad_np.errors import ArgumentError, DtypeError, NotFiniteError, ShapeError
from tinygrad_np.optim import ReduceLROnPlateau, Schedule, clip_grad_norm, clip_grad_value
from tinygrad_np.optim.optimizer import Optimizer, at_least
from tinygrad_np.optim.schedule import whole
from tinygrad_np.tape import no_grad
from tinygrad_np.tensor import Tensor
from tinygrad_np.train.callbacks import Callback, EarlyStopping, History, State
from tinygrad_np.train.interrupts import Interrupts

# A loader: it gives the batches of an epoch, inputs and targets, each time it is iterated over.
Batches = Iterable[tuple[Any, Any]]


class Trainer:
    """Trains a model: the usual loop, with a schedule, clipping, validation and callbacks.

    `loss(outputs, targets)` returns a Tensor of one entry, a mean over the batch. The schedule is
    stepped after each step or each epoch; ReduceLROnPlateau, per epoch, by the validation loss.
    `clip_value` clips each entry of the gradients, and then `clip_norm` their norm. `history` has
    the logs of each finished epoch, `state` is what callbacks see.

    >>> import numpy as np
    >>> from tinygrad_np import data, nn, optim
    >>> train_set, test_set = data.digits()
    >>> model = nn.Sequential(nn.Flatten(), nn.Linear(64, 10, generator=np.random.default_rng(0)))
    >>> trainer = Trainer(model, optim.Adam(model.parameters(), lr=0.01))
    >>> history = trainer.fit(data.DataLoader(train_set, shuffle=True, seed=0), epochs=5)
    >>> history.epochs[-1]["train_accuracy"] > 0.9
    True
    >>> trainer.evaluate(data.DataLoader(test_set))["accuracy"] > 0.9
    True
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer: Optimizer,
        loss: Callable[[Any, Any], Any] = Tensor.cross_entropy,
        *,
        schedule: Schedule | None = None,
        schedule_per: str = "step",
        clip_norm: float | None = None,
        clip_value: float | None = None,
        callbacks: Iterable[Callback] = (),
    ) -> None:
        _check_parts(model, optimizer, loss)
        _check_schedule(schedule, schedule_per, optimizer)
        for name, limit in (("clip_norm", clip_norm), ("clip_value", clip_value)):
            if limit is not None:
                at_least("Trainer", 0, **{name: limit})
        self.model = model
        self.optimizer = optimizer
        self.loss = loss
        self.schedule = schedule
        self.schedule_per = schedule_per
        self.clip_norm = clip_norm
        self.clip_value = clip_value
        self.history = History()
        # Early stopping changes the weights in the end: after all that look at them.
        given = sorted(_checked(callbacks), key=lambda one: isinstance(one, EarlyStopping))
        self.callbacks: list[Callback] = [self.history, *given]
        self.state = State(model, optimizer)
        self._interrupts = Interrupts()

    def fit(self, train_loader: Batches, epochs: int, validation: Batches | None = None) -> History:
        """Train for so many epochs more, and return the history of all up to now.

        A loader yields batches (inputs, targets) each time it is iterated over: a DataLoader, or a
        list. Logs are train_loss and train_accuracy, means over the epoch as the weights changed,
        the same of validation, lr, and seconds; accuracy where outputs are (N, C) and targets
        classes (N,).

        The first Ctrl-C ends the training after the step that runs: `history.interrupted` is True
        then; a second one is raised at once. The model is left in training mode. Raises
        NotFiniteError, with the weights of before that step, where the loss is nan or inf.
        """
        first = self._prepare(train_loader, epochs, validation)
        with self._interrupts:
            self._call("on_fit_start")
            with ExitStack() as ending:
                # Each is run, even where another fails; the stack runs first what came last.
                for callback in reversed(self.callbacks):
                    ending.callback(callback.on_fit_end, self.state)
                try:
                    for epoch in range(first, first + epochs):
                        self.state.epoch = epoch
                        self._run_epoch(train_loader, validation)
                        if self.state.should_stop:
                            break
                except KeyboardInterrupt:
                    self.history.interrupted = True
                    if self._interrupts.count > 1:
                        raise
            self.history.interrupted |= self._interrupts.count > 0
        return self.history

    def _run_epoch(self, train_loader: Batches, validation: Batches | None) -> None:
        state, start = self.state, time.perf_counter()
        state.logs = {}
        self.model.train()
        self._call("on_epoch_start")
        buffers = list(self.model.buffers())
        means = _Means()
        for inputs, targets in train_loader:
            outputs = self._step(inputs, targets, buffers)
            means.add(state.loss, inputs, outputs, targets)
            state.logs = means.named("train_")
            self._call("on_batch_end")
            self._interrupts.check()
            if state.should_stop:
                break
        _check_not_empty("Trainer.fit", means)
        state.logs = {"epoch": state.epoch, **state.logs}
        if validation is not None:
            found = self.evaluate(validation)
            state.logs |= {f"validation_{name}": value for name, value in found.items()}
        state.logs |= {"lr": state.lr, "seconds": time.perf_counter() - start}
        if self.schedule_per == "epoch":
            self._step_schedule()
        self._call("on_epoch_end")
        self._interrupts.check()

    def _step(self, inputs: Any, targets: Any, buffers: list[Tensor]) -> Any:
        """Change the weights by one batch; return the outputs for it."""
        state, before = self.state, [buffer.data.copy() for buffer in buffers]
        state.lr = self.optimizer.param_groups[0]["lr"]
        try:
            # A training that diverges is told by its loss, before NumPy's warnings.
            with np.errstate(over="ignore", invalid="ignore"):
                self.optimizer.zero_grad()
                outputs = self.model(inputs)
                loss = self.loss(outputs, targets)
                state.loss = _value(loss)
                if not math.isfinite(state.loss):
                    raise self._diverged(f"the loss is {state.loss}")
                loss.backward()
                self._clip()
                self.optimizer.step()
        except NotFiniteError:
            # Running statistics went on in the forward pass, perhaps to nan.
            for buffer, array in zip(buffers, before, strict=True):
                buffer.data[...] = array
                buffer.mark_changed()
            raise
        state.step += 1
        if self.schedule_per == "step":
            self._step_schedule()
        return outputs

    def _clip(self) -> None:
        weights = [weight for group in self.optimizer.param_groups for weight in group["params"]]
        if self.clip_value is not None:
            clip_grad_value(weights, self.clip_value)
        if self.clip_norm is not None:
            norm = clip_grad_norm(weights, self.clip_norm)
            if not math.isfinite(norm):
                raise self._diverged(f"the norm of the gradients is {norm}")

    def _diverged(self, what: str) -> NotFiniteError:
        advice = "a smaller learning rate"
        if self.clip_norm is None:
            advice += ", clip_norm=1.0"
        return NotFiniteError(
            f"Trainer.fit: {what} at step {self.state.step + 1}, in epoch {self.state.epoch}, at "
            f"learning rate {self.state.lr:.6g}; the weights are those of before this step. Try "
            f"{advice}, or fit within debug(), which names the op that gave it first"
        )

    def _step_schedule(self) -> None:
        if isinstance(self.schedule, ReduceLROnPlateau):
            self.schedule.step(self.state.logs["validation_loss"])
        elif self.schedule is not None:
            self.schedule.step()

    def evaluate(self, loader: Batches) -> dict[str, float]:
        """Return the mean loss, and accuracy where there is one, over a loader, in eval mode."""
        _check_loader("Trainer.evaluate", loader)
        modes = [(module, module.training) for module in self.model.modules()]
        self.model.eval()
        means = _Means()
        try:
            with no_grad():
                for inputs, targets in loader:
                    outputs = self.model(inputs)
                    means.add(_value(self.loss(outputs, targets)), inputs, outputs, targets)
                    self._interrupts.check()
        finally:
            for module, mode in modes:
                module.training = mode
        _check_not_empty("Trainer.evaluate", means)
        return means.named("")

    def _prepare(self, train_loader: Batches, epochs: int, validation: Batches | None) -> int:
        """Check the arguments of fit, set up the state, and return the first epoch's number."""
        whole("Trainer.fit", 1, epochs=epochs)
        _check_loader("Trainer.fit", train_loader)
        if validation is not None:
            _check_loader("Trainer.fit validation", validation)
        elif isinstance(self.schedule, ReduceLROnPlateau):
            raise ArgumentError(
                "Trainer.fit: ReduceLROnPlateau needs the validation loss; give validation=loader"
            )
        first = len(self.history.epochs) + 1
        self.state.last_epoch = first + epochs - 1
        self.state.steps_per_epoch = len(train_loader) if isinstance(train_loader, Sized) else None
        self.state.has_validation = validation is not None
        self.state.should_stop = self.history.interrupted = False
        return first

    def _call(self, point: str) -> None:
        for callback in self.callbacks:
            getattr(callback, point)(self.state)


@dataclass
class _Means:
    """Sums over batches: of losses, by the size of the batch, and of what was right."""

    count: int = 0
    loss: float = 0.0
    right: int | None = 0

    def add(self, loss: float, inputs: Any, outputs: Any, targets: Any) -> None:
        """Count a batch."""
        self.count += len(inputs)
        self.loss += loss * len(inputs)
        right = _count_right(outputs, targets)
        self.right = None if right is None or self.right is None else self.right + right

    def named(self, prefix: str) -> dict[str, float]:
        """Return the means over all that was counted."""
        means = {f"{prefix}loss": self.loss / self.count}
        if self.right is not None:
            means[f"{prefix}accuracy"] = self.right / self.count
        return means


def _count_right(outputs: Any, targets: Any) -> int | None:
    """Return how often the largest logit is at the label; None where these are no classes."""
    labels = targets.data if isinstance(targets, Tensor) else targets
    if not isinstance(outputs, Tensor) or not isinstance(labels, np.ndarray):
        return None
    if outputs.ndim != 2 or outputs.shape[1] < 2 or labels.shape != outputs.shape[:1]:
        return None
    if labels.dtype.kind not in "iu":
        return None
    return int((outputs.data.argmax(axis=1) == labels).sum())


def _value(loss: Any) -> float:
    if not isinstance(loss, Tensor) or loss.numel() != 1:
        got = f"shape {loss.shape}" if isinstance(loss, Tensor) else type(loss).__name__
        raise ShapeError(
            f"Trainer loss: got {got}, expected a Tensor of one entry, such as the mean over the "
            "batch"
        )
    return float(loss.item())


def _check_parts(model: Any, optimizer: Any, loss: Any) -> None:
    for name, part, kind in (("model", model, nn.Module), ("optimizer", optimizer, Optimizer)):
        if not isinstance(part, kind):
            raise DtypeError(
                f"Trainer {name}: got {_kind(part)}, expected an instance of {kind.__name__}"
            )
    if not callable(loss):
        raise DtypeError(
            f"Trainer loss: got {_kind(loss)}, expected a function of outputs and targets, such "
            "as Tensor.cross_entropy"
        )


def _check_schedule(schedule: Any, per: str, optimizer: Optimizer) -> None:
    if per not in ("step", "epoch"):
        raise ArgumentError(f"Trainer schedule_per: got {per!r}, expected 'step' or 'epoch'")
    if schedule is None:
        return
    if not isinstance(schedule, Schedule):
        raise DtypeError(
            f"Trainer schedule: got {_kind(schedule)}, expected one of optim's, such as "
            "optim.OneCycleLR(optimizer, max_lr=0.1, total_steps=1000)"
        )
    if schedule.optimizer is not optimizer:
        raise ArgumentError("Trainer schedule: it is of another optimizer; make it of this one")
    if isinstance(schedule, ReduceLROnPlateau):
        if per != "epoch":
            raise ArgumentError(
                "Trainer schedule_per: got 'step', expected 'epoch' for ReduceLROnPlateau, which "
                "needs the validation loss"
            )
        if schedule.options["mode"] != "min":
            raise ArgumentError(
                "Trainer schedule: got ReduceLROnPlateau with mode 'max', expected 'min': it is "
                "given the validation loss"
            )


def _checked(callbacks: Any) -> list[Callback]:
    listed = list(callbacks) if isinstance(callbacks, Iterable) else [callbacks]
    for callback in listed:
        if not isinstance(callback, Callback) or not isinstance(callbacks, Iterable):
            raise DtypeError(
                f"Trainer callbacks: got {_kind(callback)}, expected a list of callbacks, such as "
                "[Progress(), EarlyStopping()]"
            )
    return listed


def _check_loader(where: str, loader: Any) -> None:
    if not isinstance(loader, Iterable):
        raise DtypeError(
            f"{where}: got {_kind(loader)}, expected batches (inputs, targets), as of "
            "DataLoader(dataset, 64)"
        )


def _check_not_empty(where: str, means: _Means) -> None:
    if not means.count:
        raise ArgumentError(
            f"{where}: the loader gave no samples; a generator can be used only once: give a "
            "DataLoader or a list"
        )


def _kind(value: Any) -> str:
    return f"the class {value.__name__}" if isinstance(value, type) else type(value).__name__
