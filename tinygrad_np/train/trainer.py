"""The training loop, written once: fit and evaluate."""

import math
import time
import weakref
from collections.abc import Callable, Iterable, Mapping, Sized
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from tinygrad_np import nn, random
from tinygrad_np.checks import check_at_least, check_integer
from tinygrad_np.errors import ArgumentError, DtypeError, NotFiniteError
from tinygrad_np.optim import ReduceLROnPlateau, Schedule, clip_grad_norm, clip_grad_value
from tinygrad_np.optim.optimizer import Optimizer
from tinygrad_np.tensor import Tensor
from tinygrad_np.train.batches import (
    Batches,
    Means,
    check_loader,
    check_not_empty,
    kind_of,
    loss_value,
)
from tinygrad_np.train.callbacks import Callback, History, State
from tinygrad_np.train.interrupts import Interrupts
from tinygrad_np.train.prediction import evaluating
from tinygrad_np.train.snapshot import bit_generators, check_kinds, check_loads, kinds, remembers
from tinygrad_np.train.tree import load_tree, save_tree


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
                check_at_least("Trainer", 0, **{name: limit})
        self.model = model
        self.optimizer = optimizer
        self.loss = loss
        self.schedule = schedule
        self.schedule_per = schedule_per
        self.clip_norm = clip_norm
        self.clip_value = clip_value
        self.history = History()
        given = sorted(_check_callbacks(callbacks), key=lambda one: one.turn)
        self.callbacks: list[Callback] = [self.history, *given]
        self.state = State(model, optimizer, _weak(self.evaluate), _weak(self.state_dict))
        self._interrupts = Interrupts()
        # The loader of the fit that runs or ran, and what is to be loaded into the next one's.
        self._loader: Any = None
        self._loader_state: Mapping[str, Any] | None = None

    def fit(self, train_loader: Batches, epochs: int, validation: Batches | None = None) -> History:
        """Train for so many epochs more, and return the history of all up to now.

        A loader yields batches (inputs, targets) each time it is iterated over: a DataLoader, or a
        list. Logs are train_loss and train_accuracy, means over the epoch as the weights changed,
        the same of validation, lr, and seconds; accuracy where outputs are (N, C) and targets
        classes (N,), or one-hot (N, C).

        The first Ctrl-C ends the training after the step that runs: `history.interrupted` is True
        then; a second one is raised at once. Each epoch sets all modules to training, and leaves
        them so; a callback's `on_epoch_start` may set some to evaluation. Raises NotFiniteError,
        with the weights of before that step, where the loss is nan or inf.
        """
        first = self._prepare(train_loader, epochs, validation)
        with self._interrupts:
            self._call("on_fit_start")
            self._take_loader(train_loader)
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
        means = Means()
        for inputs, targets in train_loader:
            outputs = self._step(inputs, targets, buffers)
            means.add(state.loss, outputs, targets)
            state.logs = means.with_prefix("train_")
            self._call("on_batch_end")
            self._interrupts.check()
            if state.should_stop:
                break
        check_not_empty("Trainer.fit", means)
        state.logs = {"epoch": state.epoch, **state.logs}
        if validation is not None:
            found = self.evaluate(validation)
            state.logs |= {f"validation_{name}": value for name, value in found.items()}
        state.logs |= {"lr": state.lr, "seconds": time.perf_counter() - start}
        self._call("on_epoch_end")
        # Ctrl-C while callbacks evaluate leaves the epoch undone, and so its step of the schedule.
        if self.schedule_per == "epoch":
            self._step_schedule()
        self._call("on_epoch_closed")
        self._interrupts.check()

    def _step(self, inputs: Any, targets: Any, buffers: list[Tensor]) -> Any:
        """Change the weights by one batch; return the outputs for it."""
        state, before = self.state, [buffer.data.copy() for buffer in buffers]
        state.lr = self.optimizer.param_groups[0]["lr"]
        try:
            # A training that diverges is told by its loss, before NumPy's warnings.
            with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
                self.optimizer.zero_grad()
                outputs = self.model(inputs)
                loss = self.loss(outputs, targets)
                state.loss = loss_value(loss)
                if not math.isfinite(state.loss):
                    raise self._divergence(f"the loss is {state.loss}")
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
                raise self._divergence(f"the norm of the gradients is {norm}")

    def _divergence(self, what: str) -> NotFiniteError:
        weights = "the weights are those of before this step"
        named = self.model.named_parameters()
        if bad := [name for name, weight in named if not np.isfinite(weight.data).all()]:
            weights = (
                f"{bad[0]} held a nan or inf already, by a gradient of an earlier step, at which "
                "clip_norm would have said so"
            )
        advice = "a smaller learning rate"
        if self.clip_norm is None:
            advice += ", clip_norm=1.0"
        return NotFiniteError(
            f"Trainer.fit: {what} at step {self.state.step + 1}, in epoch {self.state.epoch}, at "
            f"learning rate {self.state.lr:.6g}; {weights}. Try {advice}, or fit within debug(), "
            "which names the op that gave it first"
        )

    def _step_schedule(self) -> None:
        if isinstance(self.schedule, ReduceLROnPlateau):
            self.schedule.step(self.state.logs["validation_loss"])
        elif self.schedule is not None:
            self.schedule.step()

    def evaluate(self, loader: Batches) -> dict[str, float]:
        """Return the mean loss, and accuracy where there is one, over a loader, in eval mode."""
        check_loader("Trainer.evaluate", loader)
        means = Means()
        with evaluating(self.model):
            for inputs, targets in loader:
                outputs = self.model(inputs)
                means.add(loss_value(self.loss(outputs, targets)), outputs, targets)
                self._interrupts.check()
        check_not_empty("Trainer.evaluate", means)
        return means.with_prefix("")

    def state_dict(self) -> dict[str, Any]:
        """Return all on which the rest of the training depends, but for data and options.

        Copies of weights and buffers, what optimizer, schedule and callbacks remember, epoch and
        step, the seed and epoch of the training set's loader, and the state of each random
        generator: of those that are attributes of modules, in the order of `modules()`, and of the
        package's. Loaders to validate by should not shuffle: their state is not kept.
        """
        loader_state = self._loader_state
        if loader_state is None and hasattr(self._loader, "state_dict"):
            loader_state = self._loader.state_dict()
        return {
            "kinds": kinds(
                self.model, self.optimizer, self.schedule, self.schedule_per, self.callbacks
            ),
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": None if self.schedule is None else self.schedule.state_dict(),
            "epoch": self.state.epoch,
            "step": self.state.step,
            "loader": loader_state,
            "generators": [own.state for own in bit_generators(self.model)],
            "default_generator": random.state(),
            "callbacks": [one.state_dict() for one in self.callbacks if remembers(one)],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what `state_dict` of a trainer with the same parts returned.

        A `fit` that follows goes on from there with the same bits; the loader that it is given gets
        its seed and epoch then. Raises ArgumentError or ShapeError that says what differs, where
        model, optimizer, schedule or callbacks do; nothing has been changed then.
        """
        own = self.state_dict()
        check_kinds(state, own)
        try:
            self._take(state)
        except Exception:
            self._take(own)
            raise
        self._loader_state = state["loader"]

    def _take(self, state: Mapping[str, Any]) -> None:
        self.model.load_state_dict(state["model"])
        if self.schedule is not None:
            self.schedule.load_state_dict(state["schedule"])
        # After the schedule: rates may have been set from elsewhere.
        self.optimizer.load_state_dict(state["optimizer"])
        for own, loaded in zip(bit_generators(self.model), state["generators"], strict=True):
            own.state = loaded
        random.restore(state["default_generator"])
        stateful = [one for one in self.callbacks if remembers(one)]
        for callback, loaded in zip(stateful, state["callbacks"], strict=True):
            callback.load_state_dict(loaded)
        self.state.epoch, self.state.step = state["epoch"], state["step"]

    def save(self, path: str | Path) -> None:
        """Write `state_dict()` as one file, whole or not at all. Raises DataError if it cannot."""
        save_tree(path, self.state_dict())

    def load(self, path: str | Path) -> None:
        """Load a file of `save`, or the training.safetensors of a Checkpoint; then `fit` goes on.

        Raises DataError where there is no such file, else as `load_state_dict` does.

        >>> import tempfile
        >>> from tinygrad_np import nn, optim
        >>> model = nn.Linear(2, 1)
        >>> trainer = Trainer(model, optim.Adam(model.parameters()))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     trainer.save(f"{folder}/training.safetensors")
        ...     trainer.load(f"{folder}/training.safetensors")
        """
        self.load_state_dict(load_tree(path))

    def _prepare(self, train_loader: Batches, epochs: int, validation: Batches | None) -> int:
        """Check the arguments of fit, set up the state, and return the first epoch's number."""
        check_integer("Trainer.fit", 1, epochs=epochs)
        check_loader("Trainer.fit", train_loader)
        if validation is not None:
            check_loader("Trainer.fit validation", validation)
        elif isinstance(self.schedule, ReduceLROnPlateau):
            raise ArgumentError(
                "Trainer.fit: ReduceLROnPlateau needs the validation loss; give validation=loader"
            )
        if self._loader_state is not None:
            check_loads(train_loader)
        first = len(self.history.epochs) + 1
        self.state.last_epoch = first + epochs - 1
        self.state.steps_per_epoch = len(train_loader) if isinstance(train_loader, Sized) else None
        self.state.has_validation = validation is not None
        self.state.should_stop = self.history.interrupted = False
        return first

    def _take_loader(self, train_loader: Any) -> None:
        """Let the loader go on where that of a loaded training stood."""
        if self._loader_state is not None:
            train_loader.load_state_dict(self._loader_state)
        self._loader, self._loader_state = train_loader, None

    def _call(self, point: str) -> None:
        for callback in self.callbacks:
            getattr(callback, point)(self.state)


def _check_parts(model: Any, optimizer: Any, loss: Any) -> None:
    for name, part, kind in (("model", model, nn.Module), ("optimizer", optimizer, Optimizer)):
        if not isinstance(part, kind):
            raise DtypeError(
                f"Trainer {name}: got {kind_of(part)}, expected an instance of {kind.__name__}"
            )
    if not callable(loss):
        raise DtypeError(
            f"Trainer loss: got {kind_of(loss)}, expected a function of outputs and targets, such "
            "as Tensor.cross_entropy"
        )


def _check_schedule(schedule: Any, per: str, optimizer: Optimizer) -> None:
    if per not in ("step", "epoch"):
        raise ArgumentError(f"Trainer schedule_per: got {per!r}, expected 'step' or 'epoch'")
    if schedule is None:
        return
    if not isinstance(schedule, Schedule):
        raise DtypeError(
            f"Trainer schedule: got {kind_of(schedule)}, expected one of optim's, such as "
            "optim.OneCycleLR(optimizer, max_lr=0.1, total_steps=1000)"
        )
    if schedule.optimizer is not optimizer:
        raise ArgumentError(
            "Trainer schedule: expected one made for this optimizer, got one made for another"
        )
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


def _check_callbacks(callbacks: Any) -> list[Callback]:
    listed = list(callbacks) if isinstance(callbacks, Iterable) else [callbacks]
    for callback in listed:
        if not isinstance(callback, Callback) or not isinstance(callbacks, Iterable):
            raise DtypeError(
                f"Trainer callbacks: got {kind_of(callback)}, expected a list of callbacks, such "
                "as [Progress(), EarlyStopping()]"
            )
    return listed


def _weak(method: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that calls a method without keeping its object alive: no circle."""
    kept = weakref.WeakMethod(method)

    def call(*arguments: Any) -> Any:
        alive = kept()
        if alive is None:
            raise ArgumentError("State: its Trainer is gone; keep the Trainer to evaluate or save")
        return alive(*arguments)

    return call
