"""The training loop: `Trainer.fit` and `Trainer.evaluate`."""

import math
import time
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, Sized
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from tinygrad_np import nn, random
from tinygrad_np.checks import check_at_least, check_integer
from tinygrad_np.display import Table, facts, number_of, safe
from tinygrad_np.errors import (
    ArgumentError,
    DataError,
    DtypeError,
    NotFiniteError,
    TinygradNpError,
)
from tinygrad_np.frontend.tensor import Tensor
from tinygrad_np.optim import ReduceLROnPlateau, Schedule, clip_grad_norm, clip_grad_value
from tinygrad_np.optim.optimizer import Optimizer
from tinygrad_np.train.batches import (
    Batches,
    Means,
    Metric,
    call_model,
    check_loader,
    check_metrics,
    check_not_empty,
    class_name,
    loss_value,
    split_batch,
)
from tinygrad_np.train.callbacks import Callback, History, State
from tinygrad_np.train.interrupts import Interrupts
from tinygrad_np.train.prediction import evaluating
from tinygrad_np.train.snapshot import bit_generators, check_loads, check_snapshot, kinds, remembers
from tinygrad_np.train.tree import load_tree, save_tree


class Trainer:
    """Train a model: the usual loop with a schedule, gradient clipping, validation and callbacks.

    Args:
        model: module to train.
        optimizer: optimizer of the model's parameters.
        loss: function of (outputs, targets) that returns a Tensor with one entry, the mean over the
            batch.
        metrics: functions of (outputs, targets) to log, by name. By default, the accuracy, if it is
            defined (see `fit`).
        schedule: learning-rate schedule; ReduceLROnPlateau receives the validation loss.
        schedule_per: whether to step the schedule after each "step" or each "epoch";
            ReduceLROnPlateau needs "epoch".
        clip_norm: upper bound of the total gradient norm; applied after `clip_value`.
        clip_value: upper bound of the magnitude of each gradient entry.
        callbacks: callbacks to run; see `Callback` for the hooks and their order.

    Raises:
        DtypeError: if an argument has the wrong type.
        ArgumentError: if a value or the name of a metric is invalid, the schedule belongs to
            another optimizer, or ReduceLROnPlateau is stepped per step or has mode="max".

    Attributes:
        history: History with the logs of each finished epoch.
        state: the State that callbacks receive.

    Batches are tuples (inputs, targets). If the inputs are a tuple or list, its entries are the
    positional arguments of the model; if they are a dict, its keyword arguments; otherwise, the
    only argument. In a longer batch, as from ArrayDataset(first, second, targets), all entries but
    the last are positional arguments. The loss and the metrics receive the targets unchanged.

    A metric returns a number, the mean over the batch, or a Tensor, whose entries are averaged. It
    receives outputs detached from the graph. A metric "mae" is logged as "train_mae",
    "validation_mae" and so on. The means over an epoch, including the loss, weight each batch by
    its number of samples, which is the length of the first output, even if it contains padding.

    Classification of images:

    >>> import numpy as np
    >>> from tinygrad_np import data, nn, optim, train
    >>> train_set, test_set = data.digits()
    >>> model = nn.Sequential(nn.Flatten(), nn.Linear(64, 10, generator=np.random.default_rng(0)))
    >>> trainer = Trainer(model, optim.Adam(model.parameters(), lr=0.01))
    >>> history = trainer.fit(data.DataLoader(train_set, shuffle=True, seed=0), epochs=5)
    >>> history.epochs[-1]["train_accuracy"] > 0.9
    True
    >>> trainer.evaluate(data.DataLoader(test_set))["accuracy"] > 0.9
    True

    Regression on a table:

    >>> generator = np.random.default_rng(0)
    >>> x = generator.standard_normal((200, 3)).astype(np.float32)
    >>> y = x @ np.array([[1], [2], [3]], np.float32)  # (200, 1)
    >>> model = nn.Linear(3, 1, generator=generator)
    >>> trainer = Trainer(
    ...     model,
    ...     optim.Adam(model.parameters(), lr=0.1),
    ...     loss=nn.MSELoss(),
    ...     metrics={"mae": lambda outputs, targets: (outputs - targets).abs()},
    ... )
    >>> history = trainer.fit(data.DataLoader(data.ArrayDataset(x, y)), epochs=40)
    >>> history.epochs[-1]["train_mae"] < 0.05
    True

    Classification of each token of a sequence: the logits have shape (N, C, T), the targets (N, T),
    and the target -100 marks padding. A model that returns (N, T, C) needs a loss and metrics that
    call transpose(1, 2) on its outputs:

    >>> tokens = generator.integers(0, 5, (64, 7))
    >>> targets = np.where(np.arange(7) < 5, tokens % 2, -100)
    >>> class Tagger(nn.Module):
    ...     def __init__(self):
    ...         self.embedding = nn.Embedding(5, 8, generator=generator)
    ...         self.linear = nn.Linear(8, 2, generator=generator)
    ...
    ...     def forward(self, tokens):
    ...         return self.linear(self.embedding(tokens)).transpose(1, 2)
    >>> model = Tagger()
    >>> trainer = Trainer(
    ...     model,
    ...     optim.Adam(model.parameters(), lr=0.1),
    ...     loss=nn.CrossEntropyLoss(ignore_index=-100),
    ...     metrics={"accuracy": train.accuracy},
    ... )
    >>> loader = data.DataLoader(data.ArrayDataset(tokens, targets), batch_size=16)
    >>> trainer.fit(loader, epochs=10).epochs[-1]["train_accuracy"]
    1.0

    Two inputs:

    >>> class Distance(nn.Module):
    ...     def __init__(self):
    ...         self.linear = nn.Linear(3, 2, generator=generator)
    ...
    ...     def forward(self, first, second):
    ...         return (self.linear(first) - self.linear(second)).square().sum(1)
    >>> model = Distance()
    >>> trainer = Trainer(model, optim.Adam(model.parameters(), lr=0.01), nn.MSELoss())
    >>> pairs = data.ArrayDataset(x[:100], x[100:], np.ones(100, np.float32))
    >>> losses = [logs["train_loss"] for logs in trainer.fit(data.DataLoader(pairs), 5).epochs]
    >>> losses[-1] < losses[0]
    True
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer: Optimizer,
        loss: Callable[[Any, Any], Any] = Tensor.cross_entropy,
        *,
        metrics: Mapping[str, Metric] | None = None,
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
        self.metrics = check_metrics(metrics)
        self.schedule = schedule
        self.schedule_per = schedule_per
        self.clip_norm = clip_norm
        self.clip_value = clip_value
        self.history = History()
        given = sorted(_check_callbacks(callbacks), key=lambda one: one.turn)
        self.callbacks: list[Callback] = [self.history, *given]
        self.state = State(model, optimizer, _weak(self.evaluate), _weak(self.state_dict))
        self.state.metrics = tuple(self.metrics)
        self._interrupts = Interrupts()
        # The loader of the current or last fit, and the state to load into the next fit's loader.
        self._loader: Any = None
        self._loader_state: Mapping[str, Any] | None = None

    def __reduce__(self) -> NoReturn:
        raise DtypeError(
            "Trainer: cannot be copied or pickled. Copy the model and the optimizer together, "
            "copy.deepcopy((model, optimizer)), or save trainer.state_dict()."
        )

    def _table(self) -> Table:
        size = sum(parameter.numel() for _, parameter in self.model.named_parameters())
        values: dict[str, object] = {
            "model": f"{type(self.model).__name__}, {number_of(size, 'parameter')}",
            "optimizer": self.optimizer,
            "loss": _function_name(self.loss),
        }
        if list(self.metrics) != ["accuracy"]:
            values["metrics"] = ", ".join(self.metrics) or "none"
        if self.schedule is not None:
            values["schedule"] = f"once per {self.schedule_per}: {self.schedule}"
        values |= {
            name: limit
            for name, limit in (("clip_norm", self.clip_norm), ("clip_value", self.clip_value))
            if limit is not None
        }
        values["callbacks"] = "\n".join(map(repr, self.callbacks[1:])) or "none"
        values["trained"] = (
            f"{number_of(self.state.epoch, 'epoch')}, {number_of(self.state.step, 'step')}"
        )
        return facts("Trainer", values)

    @safe
    def __repr__(self) -> str:
        lines = repr(self._table()).splitlines()
        return "\n".join([lines[0], *(f"  {line}" for line in lines[1:])])

    @safe
    def _repr_html_(self) -> str:
        return self._table()._repr_html_()

    def fit(self, train_loader: Batches, epochs: int, validation: Batches | None = None) -> History:
        """Train for `epochs` more epochs and return the history of all epochs so far.

        The logs of an epoch are epoch, train_loss and train_accuracy (means over the samples,
        computed while the weights change), validation_loss and validation_accuracy (if `validation`
        is given), lr (of the last step) and seconds. Accuracies are logged if the outputs have
        shape (N, C) with C >= 2 and the targets are integer classes (N,) or one-hot rows (N, C).
        The `metrics` of the trainer, if given, take the place of the accuracies.

        The first Ctrl-C ends training after the current step and sets `history.interrupted`; the
        second raises KeyboardInterrupt at once. Each epoch sets all modules to training mode and
        leaves them in it; a callback's `on_epoch_start` may set some of them to evaluation mode.

        Args:
            train_loader: DataLoader, list or other iterable of (inputs, targets) batches, which is
                iterated over once per epoch. `Trainer` describes other forms of batches.
            epochs: number of epochs to add.
            validation: iterable of batches to evaluate after each epoch.

        Raises:
            NotFiniteError: if the loss or, with `clip_norm`, the gradient norm is nan or inf; the
                weights then have their values from before that step.
            ShapeError: if the loss is not a Tensor with one entry.
            DtypeError: if a loader is not iterable, a batch has no inputs and targets, or a metric
                does not return numbers.
            ArgumentError: if `epochs` is not a positive integer, a loader yields no samples,
                ReduceLROnPlateau has no `validation`, or a loaded run cannot resume with this
                loader.
            GraphError: if some parameter that is not frozen does not affect the loss, or if all are
                frozen.
        """
        first = self._prepare(train_loader, epochs, validation)
        with self._interrupts:
            self._call("on_fit_start")
            self._take_loader(train_loader)
            with self._ending():
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

    @contextmanager
    def _ending(self) -> Iterator[None]:
        """Run every `on_fit_end`, however training ends; raise the first error, if any."""
        errors: list[BaseException] = []
        try:
            yield
        except BaseException as error:
            errors.append(error)
        for callback in self.callbacks:
            try:
                callback.on_fit_end(self.state)
            except BaseException as error:
                errors.append(error)
        for later in errors[1:]:
            errors[0].add_note(
                f"Another error followed in on_fit_end: {type(later).__name__}: {later}"
            )
        try:
            if errors:
                raise errors[0]
        finally:
            errors.clear()  # they refer to this frame, which refers to the model

    def _run_epoch(self, train_loader: Batches, validation: Batches | None) -> None:
        state, start = self.state, time.perf_counter()
        state.logs = {}
        self.model.train()
        self._call("on_epoch_start")
        buffers = list(self.model.buffers())
        means = Means(self.metrics)
        for batch in train_loader:
            inputs, targets = split_batch("Trainer.fit", batch)
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
        # Only now, because an epoch interrupted in on_epoch_end must not step the schedule.
        if self.schedule_per == "epoch":
            self._step_schedule()
        self._call("on_epoch_closed")
        self._interrupts.check()

    def _step(self, inputs: Any, targets: Any, buffers: list[Tensor]) -> Any:
        """Update the weights with one batch; return its outputs."""
        state, before = self.state, [buffer.data.copy() for buffer in buffers]
        state.lr = self.optimizer.param_groups[0]["lr"]
        try:
            # The error below reports divergence; NumPy's warnings would only precede it.
            with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
                self.optimizer.zero_grad()
                outputs = call_model(self.model, inputs)
                loss = self.loss(outputs, targets)
                state.loss = loss_value(loss)
                if not math.isfinite(state.loss):
                    self._check_targets(targets)
                    raise self._divergence(f"the loss is {state.loss}")
                loss.backward()
                self._clip()
                self.optimizer.step()
        except NotFiniteError:
            # The forward pass has updated the running statistics, perhaps to nan.
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

    def _check_targets(self, targets: Any) -> None:
        """Raise NotFiniteError if the loss is nan because there is no target to average over."""
        ignored = getattr(self.loss, "ignore_index", -100)
        is_labels = isinstance(targets, Tensor | np.ndarray) and targets.dtype.kind in "iu"
        if is_labels and math.isnan(self.state.loss) and (np.asarray(targets) == ignored).all():
            raise NotFiniteError(
                f"Trainer.fit: the loss is nan at step {self.state.step + 1} (epoch "
                f"{self.state.epoch}), because all targets of the batch are {ignored}, which the "
                "loss ignores. Leave out samples without targets, or use larger batches."
            )

    def _divergence(self, what: str) -> NotFiniteError:
        weights = "The weights are unchanged by this step"
        named = self.model.named_parameters()
        if bad := [name for name, weight in named if not np.isfinite(weight.data).all()]:
            weights = f"{bad[0]} already contained nan or inf before this step"
        advice = "a smaller learning rate"
        if self.clip_norm is None:
            advice += " or clip_norm=1.0"
        return NotFiniteError(
            f"Trainer.fit: {what} at step {self.state.step + 1} (epoch {self.state.epoch}, "
            f"learning rate {self.state.lr:.6g}). {weights}. Try {advice}. To find the "
            "first op that returned nan or inf, call fit inside debug()."
        )

    def _step_schedule(self) -> None:
        if isinstance(self.schedule, ReduceLROnPlateau):
            self.schedule.step(self.state.logs["validation_loss"])
        elif self.schedule is not None:
            self.schedule.step()

    def evaluate(self, loader: Batches) -> dict[str, float]:
        """Evaluate the model on a loader, in evaluation mode.

        Returns:
            A dict with the mean "loss" and the means of the metrics; without metrics, the
            "accuracy" under the same condition as in `fit`.

        Raises:
            ShapeError: if the loss is not a Tensor with one entry.
            DtypeError: if the loader is not iterable, a batch has no inputs and targets, or a
                metric does not return numbers.
            ArgumentError: if the loader yields no samples.
        """
        check_loader("Trainer.evaluate", loader)
        means = Means(self.metrics)
        with evaluating(self.model):
            for batch in loader:
                inputs, targets = split_batch("Trainer.evaluate", batch)
                outputs = call_model(self.model, inputs)
                means.add(loss_value(self.loss(outputs, targets)), outputs, targets)
                self._interrupts.check()
        check_not_empty("Trainer.evaluate", means)
        return means.with_prefix("")

    def state_dict(self) -> dict[str, Any]:
        """Return everything the rest of the training run depends on, except data and options.

        The dict contains copies of the weights and buffers, the states of the optimizer, schedule
        and callbacks, the epoch and step, the seed and epoch of the training loader, and the states
        of the random generators: the package's default one, and those that are attributes of
        modules, in the order of `modules()`. The state of the validation loader is not saved, so
        that loader should not shuffle.
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
        """Restore a state returned by the `state_dict` of a trainer with the same parts.

        The next `fit` resumes bit for bit, after it has set its loader to the saved seed and epoch.
        An error leaves the trainer unchanged.

        Raises:
            ArgumentError: if the optimizer, schedule, callbacks or random generators do not match,
                or a value in the state is invalid.
            ShapeError: if an array has the wrong shape.
        """
        own = self.state_dict()
        check_snapshot(state, own)
        try:
            self._take(state)
            self._call("on_load")
        except BaseException:
            self._take(own)
            raise
        self._loader_state = state["loader"]

    def _take(self, state: Mapping[str, Any]) -> None:
        self.model.load_state_dict(state["model"])
        if self.schedule is not None:
            self.schedule.load_state_dict(state["schedule"])
        # Last, so that the saved learning rates override those that the schedule sets.
        self.optimizer.load_state_dict(state["optimizer"])
        for own, loaded in zip(bit_generators(self.model), state["generators"], strict=True):
            own.state = loaded
        random.restore(state["default_generator"])
        stateful = [one for one in self.callbacks if remembers(one)]
        for callback, loaded in zip(stateful, state["callbacks"], strict=True):
            callback.load_state_dict(loaded)
        self.state.epoch, self.state.step = state["epoch"], state["step"]

    def save(self, path: str | Path) -> None:
        """Write `state_dict()` to one file, atomically.

        Raises:
            DataError: if the file cannot be written.
            DtypeError: if a callback's state holds a value that the format cannot store.
            ArgumentError: if two arrays in a callback's state have the same path.
        """
        save_tree(path, self.state_dict())

    def load(self, path: str | Path) -> None:
        """Load a checkpoint written by `save` or by Checkpoint; the next `fit` resumes from it.

        Raises:
            DataError: if the file is missing, damaged or not a training checkpoint, or if the state
                in it cannot be loaded, as described in `load_state_dict`.

        >>> import tempfile
        >>> from tinygrad_np import nn, optim
        >>> model = nn.Linear(2, 1)
        >>> trainer = Trainer(model, optim.Adam(model.parameters()))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     trainer.save(f"{folder}/training.safetensors")
        ...     trainer.load(f"{folder}/training.safetensors")
        """
        state = load_tree(path)
        try:
            self.load_state_dict(state)
        except TinygradNpError as error:
            raise DataError(f"{path}: {error}") from error

    def _prepare(self, train_loader: Batches, epochs: int, validation: Batches | None) -> int:
        """Check the arguments of `fit`, set up the state and return the first epoch's number."""
        check_integer("Trainer.fit", 1, epochs=epochs)
        check_loader("Trainer.fit", train_loader)
        if validation is not None:
            check_loader("Trainer.fit (`validation`)", validation)
        elif isinstance(self.schedule, ReduceLROnPlateau):
            raise ArgumentError(
                "Trainer.fit: ReduceLROnPlateau needs the validation loss. Pass validation=loader."
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
        """Restore the loader state of a loaded training run."""
        if self._loader_state is not None:
            train_loader.load_state_dict(self._loader_state)
        self._loader, self._loader_state = train_loader, None

    def _call(self, point: str) -> None:
        for callback in self.callbacks:
            getattr(callback, point)(self.state)


def _function_name(function: Any) -> str:
    inner = getattr(function, "func", function)  # of a functools.partial
    return str(getattr(inner, "__qualname__", type(inner).__name__))


def _check_parts(model: Any, optimizer: Any, loss: Any) -> None:
    for name, part, kind in (("model", model, nn.Module), ("optimizer", optimizer, Optimizer)):
        if not isinstance(part, kind):
            raise DtypeError(
                f"Trainer: expected `{name}` to be an instance of {kind.__name__}, got "
                f"{class_name(part)}."
            )
    if not callable(loss):
        raise DtypeError(
            "Trainer: expected `loss` to be a function of outputs and targets, for example "
            f"Tensor.cross_entropy, got {class_name(loss)}."
        )


def _check_schedule(schedule: Any, per: str, optimizer: Optimizer) -> None:
    if per not in ("step", "epoch"):
        raise ArgumentError(
            f"Trainer: expected `schedule_per` to be 'step' or 'epoch', got {per!r}."
        )
    if schedule is None:
        return
    if not isinstance(schedule, Schedule):
        raise DtypeError(
            "Trainer: expected `schedule` to be an instance of Schedule, got "
            f"{class_name(schedule)}. Try "
            "optim.OneCycleLR(optimizer, max_lr=0.1, total_steps=1000)."
        )
    if schedule.optimizer is not optimizer:
        raise ArgumentError(
            "Trainer: expected `schedule` to belong to `optimizer`, got a schedule of another "
            "optimizer."
        )
    if isinstance(schedule, ReduceLROnPlateau):
        if per != "epoch":
            raise ArgumentError(
                "Trainer: expected `schedule_per` to be 'epoch' for ReduceLROnPlateau, which needs "
                "the validation loss, got 'step'."
            )
        if schedule.options["mode"] != "min":
            raise ArgumentError(
                "Trainer: expected ReduceLROnPlateau to have mode='min', since it receives the "
                "validation loss, got mode='max'."
            )


def _check_callbacks(callbacks: Any) -> list[Callback]:
    # Callbacks run, and their states are saved, in order; a set has none.
    is_ordered = isinstance(callbacks, Iterable) and not isinstance(callbacks, set | frozenset)
    listed = list(callbacks) if is_ordered else [callbacks]
    for callback in listed:
        if not isinstance(callback, Callback) or not is_ordered:
            raise DtypeError(
                "Trainer: expected `callbacks` to be a list of Callback instances, for example "
                f"[Progress(), EarlyStopping()], got {class_name(callback)}."
            )
        hooks = [name for name in dir(Callback) if name.startswith("on_")]
        unknown = [name for name in dir(callback) if name.startswith("on_") and name not in hooks]
        if unknown:
            raise ArgumentError(
                f"Trainer: expected the hooks of {class_name(callback)} to be among "
                f"{', '.join(hooks)}, got {unknown[0]}."
            )
    return listed


def _weak(method: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that calls a method through a weak reference, to avoid a cycle."""
    kept = weakref.WeakMethod(method)

    def call(*arguments: Any) -> Any:
        alive = kept()
        if alive is None:
            raise ArgumentError(
                "State: the Trainer no longer exists. Keep a reference to it to evaluate or save."
            )
        return alive(*arguments)

    return call
