"""Trainer beside the loop written by hand, its callbacks one by one, Ctrl-C, what it refuses."""

import csv
import functools
import json
import math
import re
import signal
import sys
import threading

import numpy as np
import pytest
from safetensors import safe_open

from models import DigitsCNN
from tests.tools import each
from tinygrad_np import Tensor, data, debug, nn, no_grad, optim, train
from tinygrad_np.data import DataLoader
from tinygrad_np.errors import (
    ArgumentError,
    DataError,
    DtypeError,
    GraphError,
    NotFiniteError,
    ShapeError,
)
from tinygrad_np.train import callbacks

STEPS = 4  # in an epoch: 256 digits in batches of 64


@functools.cache
def sets():
    """Return 256 digits to train with and 100 others."""
    train_set, test_set = data.digits()
    return train_set.first(256), test_set.first(100)


def loader():
    """Return the training batches, shuffled the same way in each training."""
    return DataLoader(sets()[0], 64, shuffle=True, seed=5)


def validation():
    """Return the batches to validate with; the last is smaller."""
    return DataLoader(sets()[1], 64)


def linear(seed=0):
    """Return a model of one layer."""
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 10, generator=np.random.default_rng(seed)))


def trainer_of(*callbacks, lr=0.1, model=None, **options):
    """Return a trainer with SGD."""
    model = model or linear()
    optimizer = optim.SGD(model.named_parameters(), lr=lr, momentum=0.9)
    return train.Trainer(model, optimizer, callbacks=callbacks, **options)


def assert_same(found, expected):
    """Assert that two state dicts have the same bits."""
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array, strict=True, err_msg=name)


class Do(train.Callback):
    """Calls a function at a point of the training, and notes the points passed."""

    def __init__(self, point="", function=lambda state: None, when=lambda state: True):
        self.points, self.states = [], []
        self.point, self.function, self.when = point, function, when

    def _pass(self, point, state):
        self.points.append(point)
        self.states.append(state)
        if point == self.point and self.when(state):
            self.function(state)

    def on_fit_start(self, state):
        """Pass."""
        self._pass("fit_start", state)

    def on_epoch_start(self, state):
        """Pass."""
        self._pass("epoch_start", state)

    def on_batch_end(self, state):
        """Pass."""
        self._pass("batch_end", state)

    def on_epoch_end(self, state):
        """Pass."""
        self._pass("epoch_end", state)

    def on_fit_end(self, state):
        """Pass."""
        self._pass("fit_end", state)


class Scripted(Do):
    """Replaces a log by values of the test's choice, and keeps the weights of each epoch."""

    def __init__(self, values, name="validation_loss"):
        super().__init__()
        self.values, self.name, self.weights = values, name, [None]

    def on_epoch_end(self, state):
        """Set the log of this epoch."""
        state.logs[self.name] = self.values[state.epoch - 1]
        self.weights.append(state.model.state_dict())


def ctrl_c(state=None):
    """Do as Ctrl-C does."""
    signal.raise_signal(signal.SIGINT)


def fail(state):
    """Raise an error that is none of ours."""
    raise RuntimeError("the test's own")


# The loop.


def pass_by():
    """Do nothing."""


def by_hand(model, optimizer, epochs, loss_of=Tensor.cross_entropy, **also):
    """Train as one does without a Trainer; return the mean loss and accuracy of each epoch."""
    logs, batches = [], loader()
    for _ in range(epochs):
        model.train()
        losses, right = 0.0, 0
        for images, labels in batches:
            optimizer.zero_grad()
            logits = model(images)
            loss = loss_of(logits, labels)
            loss.backward()
            also.get("after_backward", pass_by)()
            optimizer.step()
            also.get("after_step", pass_by)()
            losses += loss.item() * len(labels)
            right += int((logits.data.argmax(axis=1) == labels).sum())
        logs.append((losses / 256, right / 256))
        also.get("after_epoch", pass_by)()
    return logs


def small(seed=1):
    """Return the digits' network."""
    return DigitsCNN(np.random.default_rng(seed))


def with_dropout():
    """Return a network that draws random numbers in training."""
    generator = np.random.default_rng(2)
    layers = [nn.Flatten(), nn.Linear(64, 16, generator=generator), nn.ReLU()]
    last = [nn.Dropout(0.3, generator=generator), nn.Linear(16, 10, generator=generator)]
    return nn.Sequential(*layers, *last)


def test_plain_loop():
    """Weights have the bits of the loop by hand, and the history its means."""
    model, other = small(), small()
    hand = by_hand(other, optim.SGD(other.parameters(), lr=0.1, momentum=0.9), 2)
    trainer = trainer_of(model=model)
    history = trainer.fit(loader(), 2)
    assert_same(model.state_dict(), other.state_dict())
    assert [(e["train_loss"], e["train_accuracy"]) for e in history.epochs] == hand
    assert [e["epoch"] for e in history.epochs] == [1, 2]
    assert history is trainer.history
    assert history.interrupted is False
    assert (trainer.state.epoch, trainer.state.step) == (2, 2 * STEPS)


def test_loop_with_dropout_and_validation():
    """Validation changes neither weights nor what is drawn; another loss may be given."""
    smoothed = functools.partial(Tensor.cross_entropy, label_smoothing=0.1)
    model, other = with_dropout().eval(), with_dropout()
    hand = by_hand(other, optim.Adam(other.parameters(), lr=0.01), 2, smoothed)
    trainer = train.Trainer(model, optim.Adam(model.parameters(), lr=0.01), loss=smoothed)
    history = trainer.fit(loader(), 2, validation())
    assert_same(model.state_dict(), other.state_dict())
    assert [(e["train_loss"], e["train_accuracy"]) for e in history.epochs] == hand


def test_loop_with_schedule_per_step_and_clipped_norm():
    """The gradients are clipped before each step, and the rate is set after it."""
    model, other = linear(), linear()

    def parts(model):
        optimizer = optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
        return optimizer, optim.OneCycleLR(optimizer, max_lr=0.5, total_steps=2 * STEPS)

    optimizer, schedule = parts(other)
    rates = []

    def after_step():
        rates.append(optimizer.param_groups[0]["lr"])
        schedule.step()

    def clip():
        optim.clip_grad_norm(other.parameters(), 0.3)

    by_hand(other, optimizer, 2, after_backward=clip, after_step=after_step)
    optimizer, schedule = parts(model)
    seen = Do("batch_end", lambda state: seen.rates.append(state.lr))
    seen.rates = []
    trainer = train.Trainer(
        model, optimizer, schedule=schedule, schedule_per="step", clip_norm=0.3, callbacks=[seen]
    )
    history = trainer.fit(loader(), 2)
    assert_same(model.state_dict(), other.state_dict())
    assert seen.rates == rates
    assert len(set(rates)) == 2 * STEPS
    assert [e["lr"] for e in history.epochs] == [rates[STEPS - 1], rates[-1]]


def test_loop_with_schedule_per_epoch_and_clipped_values():
    """Per epoch the rate is set once; values are clipped before the norm is."""
    model, other = linear(), linear()
    optimizer = optim.SGD(other.parameters(), lr=0.1)
    schedule = optim.StepLR(optimizer, 1, gamma=0.5)

    def clip():
        optim.clip_grad_value(other.parameters(), 0.02)
        optim.clip_grad_norm(other.parameters(), 0.1)

    by_hand(other, optimizer, 3, after_backward=clip, after_epoch=schedule.step)
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    schedule = optim.StepLR(optimizer, 1, gamma=0.5)
    trainer = train.Trainer(
        model, optimizer, schedule=schedule, schedule_per="epoch", clip_norm=0.1, clip_value=0.02
    )
    history = trainer.fit(loader(), 3)
    assert_same(model.state_dict(), other.state_dict())
    assert [e["lr"] for e in history.epochs] == [0.1, 0.05, 0.025]


def test_clipping_clips():
    """Each of the two alone changes what is learned."""
    found = []
    for options in ({}, {"clip_norm": 0.1}, {"clip_value": 0.01}):
        trainer = trainer_of(**options)
        trainer.fit(loader(), 1)
        found.append(trainer.model.state_dict()["1.weight"])
    assert all((found[a] != found[b]).any() for a, b in [(0, 1), (0, 2), (1, 2)])


def test_plateau_gets_the_validation_loss():
    """ReduceLROnPlateau is stepped by the validation loss of each epoch."""
    model = linear()
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    schedule = optim.ReduceLROnPlateau(optimizer, patience=0, threshold=10.0, threshold_mode="abs")
    trainer = train.Trainer(model, optimizer, schedule=schedule, schedule_per="epoch")
    history = trainer.fit(loader(), 3, validation())
    assert schedule.best == history.epochs[0]["validation_loss"]
    assert [e["lr"] for e in history.epochs] == pytest.approx([0.1, 0.1, 0.01])


def test_two_fits_are_one():
    """A second fit goes on: with the epochs' numbers, the steps, the schedule and the history."""
    trainers = []
    for parts in ([3], [1, 2]):
        model = linear()
        optimizer = optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
        schedule = optim.CosineAnnealingLR(optimizer, 3 * STEPS)
        trainers.append(train.Trainer(model, optimizer, schedule=schedule))
        batches = loader()
        for epochs in parts:
            history = trainers[-1].fit(batches, epochs)
        for logs in history.epochs:
            logs.pop("seconds")
    whole, halves = trainers
    assert_same(halves.model.state_dict(), whole.model.state_dict())
    assert halves.history.epochs == whole.history.epochs
    assert (halves.state.step, halves.state.last_epoch) == (3 * STEPS, 3)


def test_it_learns():
    """The digits' network reaches what the loop by hand does."""
    model = small()
    trainer = train.Trainer(model, optim.Adam(model.parameters(), lr=0.01))
    trainer.fit(loader(), 8)
    assert trainer.evaluate(validation())["accuracy"] > 0.8


# Evaluation.


def test_evaluate():
    """Means are over samples, whatever the batches' sizes; nothing is recorded or changed."""
    trainer = trainer_of()
    images, labels = sets()[1].batch(slice(None))
    with no_grad():
        logits = trainer.model(images)
    found = trainer.evaluate(validation())
    assert list(found) == ["loss", "accuracy"]
    assert found["accuracy"] == train.accuracy(logits, labels)
    assert found["loss"] == pytest.approx(logits.cross_entropy(labels).item(), rel=1e-6)
    assert all(type(value) is float for value in found.values())
    assert all(parameter.grad is None for parameter in trainer.model.parameters())
    recorded = []
    trainer.loss = lambda out, target: recorded.append(out.requires_grad) or out.mean()
    trainer.evaluate(validation())
    assert recorded == [False, False]


def test_evaluate_in_eval_mode():
    """Dropout is off; each module has its mode again afterwards, after an error too."""
    model = with_dropout()
    next(model.children()).eval()
    modes = [module.training for module in model.modules()]
    assert len(set(modes)) == 2
    trainer = trainer_of(model=model)
    assert trainer.evaluate(validation()) == trainer.evaluate(validation())
    assert [module.training for module in model.modules()] == modes
    with pytest.raises(ShapeError):
        trainer.evaluate([(np.ones((2, 3), np.float32), np.array([0, 1]))])
    assert [module.training for module in model.modules()] == modes


def test_validation_is_evaluate():
    """What fit logs of validation is what evaluate returns after it."""
    trainer = trainer_of()
    last = trainer.fit(loader(), 1, validation()).epochs[-1]
    found = trainer.evaluate(validation())
    assert {name: last[f"validation_{name}"] for name in found} == found


def test_regression():
    """Where targets are no classes there is a loss alone; batches may be a list, or of Tensors."""
    generator = np.random.default_rng(0)
    x = generator.standard_normal((32, 3)).astype(np.float32)
    y = x @ np.array([[1.0], [-2.0], [0.5]], np.float32)
    batches = [(x[:20], y[:20]), (Tensor(x[20:]), Tensor(y[20:]))]
    model = nn.Linear(3, 1, generator=generator)
    trainer = trainer_of(model=model, loss=lambda out, target: ((out - target) ** 2).mean())
    history = trainer.fit(batches, 60, validation=batches)
    assert set(history.epochs[-1]) == {"epoch", "train_loss", "validation_loss", "lr", "seconds"}
    assert history.epochs[-1]["validation_loss"] < 1e-3
    found = trainer.evaluate(batches)
    with no_grad():
        assert found == {"loss": pytest.approx(((model(x) - y) ** 2).mean().item(), rel=1e-5)}


@pytest.mark.parametrize("columns", [1, 2])
def test_accuracy_where_there_are_classes(columns):
    """One column is no choice between classes."""
    batches = [(np.ones((4, 3), np.float32), np.array([0, 1, 1, 1]))]
    model = nn.Linear(3, columns, generator=np.random.default_rng(0))
    trainer = trainer_of(model=model, loss=lambda out, labels: (out * 0).sum())
    assert ("accuracy" in trainer.evaluate(batches)) == (columns > 1)


def one_hot(labels, classes=10):
    """Return float32 rows (N, C) with a 1 at each label."""
    return np.eye(classes, dtype=np.float32)[labels]


def test_inputs_of_several_arrays():
    """Rows of outputs are counted, whatever the inputs are: batches of 6 and 2."""

    class Sum(nn.Module):
        def __init__(self):
            self.layer = nn.Linear(3, 2, generator=np.random.default_rng(0))

        def forward(self, inputs):
            return self.layer(inputs[0] + inputs[1])

    generator = np.random.default_rng(1)
    arrays = generator.standard_normal((2, 8, 3)).astype(np.float32)
    labels = generator.integers(0, 2, 8)
    batches = [
        ((arrays[0][part], arrays[1][part]), labels[part]) for part in (slice(6), slice(6, 8))
    ]
    model = Sum()
    found = trainer_of(model=model).evaluate(batches)
    logits = model((arrays[0], arrays[1]))
    assert found["loss"] == pytest.approx(logits.cross_entropy(labels).item(), rel=1e-6)
    assert found["accuracy"] == np.mean(logits.data.argmax(axis=1) == labels)


def test_one_hot_targets():
    """They give the training, and the accuracies, of the labels that they stand for."""
    plain, hot = trainer_of(), trainer_of()
    batches = list(loader())
    plain.fit(batches, 2, batches)
    hot.fit([(images, one_hot(labels)) for images, labels in batches], 2, batches)
    for entry, other in zip(hot.history.epochs, plain.history.epochs, strict=True):
        for name in ("train_loss", "train_accuracy", "validation_loss", "validation_accuracy"):
            assert entry[name] == pytest.approx(other[name], rel=1e-4), name
    assert hot.history.epochs[1]["train_accuracy"] > 0.4


@pytest.mark.parametrize("target", [[[0.5, 0.5]], [[1.0, 1.0]], [[2.0, -1.0]], [[0.0, 0.0]]])
def test_targets_that_are_nearly_one_hot(target):
    """Of other numbers (N, C) there is no accuracy."""
    trainer = trainer_of(model=nn.Linear(3, 2), loss=lambda out, labels: (out * 0).sum())
    batches = [(np.ones((1, 3), np.float32), np.array(target, np.float32))]
    assert "accuracy" not in trainer.evaluate(batches)
    assert trainer.evaluate([(batches[0][0], one_hot([0], 2))]).keys() == {"loss", "accuracy"}


# Callbacks and what they see.


def test_order_of_calls():
    """All points are passed, in order, with one state object."""
    seen = Do()
    trainer = trainer_of(seen)
    trainer.fit(loader(), 2)
    epoch = ["epoch_start", *["batch_end"] * STEPS, "epoch_end"]
    assert seen.points == ["fit_start", *epoch, *epoch, "fit_end"]
    assert all(state is trainer.state for state in seen.states)


def test_state():
    """At each point the state says where the training is."""
    found = []

    def look(state):
        found.append((state.epoch, state.step, state.loss, dict(state.logs)))

    trainer = trainer_of(Do("batch_end", look))
    trainer.fit(loader(), 2)
    assert [entry[:2] for entry in found] == [(1 + i // STEPS, 1 + i) for i in range(2 * STEPS)]
    losses = [entry[2] for entry in found]
    assert found[1][3]["train_loss"] == pytest.approx(sum(losses[:2]) / 2)
    assert found[STEPS][3]["train_loss"] == losses[STEPS]
    assert set(found[0][3]) == {"train_loss", "train_accuracy"}
    state = trainer.state
    assert (state.steps_per_epoch, state.last_epoch, state.has_validation) == (STEPS, 2, False)
    assert state.model is trainer.model
    assert state.optimizer is trainer.optimizer


def test_state_of_a_loader_without_length():
    """Any iterable will do."""

    class Once:
        def __iter__(self):
            return iter(loader())

    trainer = trainer_of()
    trainer.fit(Once(), 1, validation=Once())
    assert trainer.state.steps_per_epoch is None
    assert trainer.state.has_validation


def test_logs_of_ones_own():
    """What a callback adds stands in the history, and can be monitored by those after it."""
    stopping = train.EarlyStopping("margin_loss", patience=1)
    own = Scripted([2.0, 3.0, 1.0], "margin_loss")
    history = trainer_of(stopping, own).fit(loader(), 3)
    assert [e["margin_loss"] for e in history.epochs] == [2.0, 3.0]
    assert stopping.best_epoch == 1


@pytest.mark.parametrize(("point", "steps"), [("batch_end", 2), ("epoch_end", STEPS)])
def test_should_stop(point, steps):
    """The training ends after that step or epoch; the epoch is closed as any other."""

    def stop(state):
        state.should_stop = True

    seen = Do(point, stop, lambda state: state.step == steps)
    trainer = trainer_of(seen)
    history = trainer.fit(loader(), 3, validation())
    assert trainer.state.step == steps
    assert seen.points[-2:] == ["epoch_end", "fit_end"]
    assert len(history.epochs) == 1
    assert "validation_loss" in history.epochs[0]
    assert not history.interrupted
    trainer.fit(loader(), 1)
    assert (trainer.state.epoch, trainer.state.step) == (2, steps + STEPS)


def test_freezing_a_part():
    """A callback may set a part of the model to evaluation at the start of each epoch."""
    model = with_dropout()
    part = next(module for module in model.modules() if isinstance(module, nn.Dropout))
    seen = []
    freeze = Do("epoch_start", lambda state: part.eval())
    watch = Do("batch_end", lambda state: seen.append(part.training))
    trainer_of(freeze, watch, model=model).fit(loader(), 2, validation())
    assert seen == [False] * 2 * STEPS
    assert model.training


# History.


def test_history_as_json(tmp_path):
    """All epochs, with all digits; what JSON has no word for is null."""
    trainer = trainer_of(Scripted([0.1 + 0.2, math.nan], "own_loss"))
    history = trainer.fit(loader(), 2, validation())
    history.save(tmp_path / "a.json")
    found = json.loads((tmp_path / "a.json").read_text())
    assert found[0] == history.epochs[0]
    assert found[1] == {**history.epochs[1], "own_loss": None}


def test_history_as_csv(tmp_path):
    """A line of names, a line for each epoch; where an epoch lacks a log its place is empty."""
    trainer = trainer_of()
    trainer.fit(loader(), 1)
    history = trainer.fit(loader(), 1, validation())
    history.epochs[1]["count"] = np.int64(3)
    history.save(str(tmp_path / "a.CSV"))
    with (tmp_path / "a.CSV").open(newline="") as file:
        first, second = csv.DictReader(file)
    assert {name: float(value) for name, value in second.items()} == history.epochs[1]
    assert first["validation_loss"] == first["count"] == ""
    assert float(first["train_loss"]) == history.epochs[0]["train_loss"]
    assert (tmp_path / "a.CSV").read_text().startswith("epoch,train_loss,train_accuracy,lr,seconds")


def test_history_of_numpy_numbers(tmp_path):
    """Logs may be NumPy's scalars."""
    history = train.History()
    history.epochs = [{"a": np.float32(0.5), "b": np.float32(np.inf), "c": np.int64(2)}]
    history.save(tmp_path / "a.json")
    assert json.loads((tmp_path / "a.json").read_text()) == [{"a": 0.5, "b": None, "c": 2}]


def test_history_of_lists(tmp_path):
    """In JSON, nan within a list is null too, and arrays are lists."""
    history = train.History()
    history.epochs = [{"parts": [1.0, float("nan"), (2, float("inf"))], "each": np.ones(2)}]
    history.save(tmp_path / "history.json")
    found = json.loads((tmp_path / "history.json").read_text(), parse_constant=pytest.fail)
    assert found == [{"parts": [1.0, None, [2, None]], "each": [1.0, 1.0]}]


def test_history_of_nothing(tmp_path):
    """A training that was interrupted at once has files too."""
    for name, text in [("a.json", "[]\n"), ("a.csv", "\n")]:
        train.History().save(tmp_path / name)
        assert (tmp_path / name).read_text() == text


def test_history_refuses(tmp_path):
    """Other suffixes are refused; a folder that is not there is named."""
    with pytest.raises(ArgumentError, match=r"^History\.save: got 'a\.txt', expected a name that"):
        train.History().save("a.txt")
    with pytest.raises(DataError, match="cannot be written"):
        train.History().save(tmp_path / "no" / "a.json")


# Early stopping.

VALUES = [5.0, 3.0, 4.0, 3.0, 3.5, 1.0]


def test_early_stopping(capsys):
    """After `patience` epochs without a better one it stops, with the weights of the best."""
    assert train.EarlyStopping().patience == 5
    script, stopping = Scripted(VALUES), train.EarlyStopping(patience=3)
    trainer = trainer_of(stopping, script)
    history = trainer.fit(loader(), 6, validation())
    assert len(history.epochs) == 5
    assert (stopping.best_epoch, stopping.best_value, stopping.stopped_epoch) == (2, 3.0, 5)
    assert_same(trainer.model.state_dict(), script.weights[2])
    assert (script.weights[2]["1.weight"] != script.weights[5]["1.weight"]).any()
    assert capsys.readouterr().out == (
        "EarlyStopping: stopped after epoch 5; the weights of epoch 2 are restored, with the best "
        "validation_loss, 3\n"
    )


def test_early_stopping_restores_without_stopping(capsys):
    """The best weights are restored where all epochs were run, too."""
    script, stopping = Scripted(VALUES), train.EarlyStopping(patience=3)
    trainer = trainer_of(stopping, script)
    trainer.fit(loader(), 3, validation())
    assert stopping.stopped_epoch == 0
    assert_same(trainer.model.state_dict(), script.weights[2])
    assert capsys.readouterr().out.startswith("EarlyStopping: the weights of epoch 2 are restored")


@pytest.mark.parametrize("end", [ctrl_c, fail])
def test_early_stopping_restores_after_a_bad_end(end):
    """Ctrl-C and errors are ends as any other, and reach the caller."""
    script, stopping = Scripted(VALUES), train.EarlyStopping()
    bad = Do("batch_end", end, lambda state: state.step == 3 * STEPS + 2)
    trainer = trainer_of(bad, stopping, script)
    if end is ctrl_c:
        assert trainer.fit(loader(), 6, validation()).interrupted
    else:
        with pytest.raises(RuntimeError, match="own"):
            trainer.fit(loader(), 6, validation())
    assert stopping.best_epoch == 2
    assert_same(trainer.model.state_dict(), script.weights[2])


def test_early_stopping_restores_where_another_callback_fails():
    """An error of another callback in the end does not keep it from that."""
    script, stopping = Scripted(VALUES), train.EarlyStopping()
    trainer = trainer_of(stopping, Do("fit_end", fail), script)
    with pytest.raises(RuntimeError, match="own"):
        trainer.fit(loader(), 3, validation())
    assert_same(trainer.model.state_dict(), script.weights[2])


@each(
    ("monitor", "values", "min_delta", "best"),
    [
        ("validation_loss", [3.0, 2.0, 1.0], 0.0, 3),
        ("validation_loss", [3.0, 3.0, 3.0], 0.0, 1),
        ("validation_loss", [3.0, 2.6, 2.4], 0.5, 3),
        ("validation_loss", [3.0, 2.5, 2.5], 0.5, 1),
        ("validation_loss", [math.nan, 2.0, math.nan], 0.0, 2),
        ("validation_loss", [math.inf, 2.0, -math.inf], 0.0, 3),
        ("validation_accuracy", [0.1, 0.3, 0.2], 0.0, 2),
        ("validation_accuracy", [0.1, 0.4, 0.5], 0.2, 2),
        ("train_loss", [2.0, 1.0, 3.0], 0.0, 2),
    ],
)
def test_what_is_best(monitor, values, min_delta, best):
    """Of a loss the lowest, of an accuracy the highest, by more than min_delta; never nan."""
    stopping = train.EarlyStopping(monitor, 9, min_delta)
    trainer_of(stopping, Scripted(values, monitor)).fit(loader(), 3, validation())
    assert (stopping.best_epoch, stopping.best_value) == (best, values[best - 1])


def test_early_stopping_waits_for_epochs_in_a_row():
    """A better epoch begins the count anew."""
    stopping = train.EarlyStopping(patience=2)
    trainer_of(stopping, Scripted([5.0, 6.0, 4.0, 5.0, 3.0, 5.0, 5.0, 1.0])).fit(
        loader(), 8, validation()
    )
    assert (stopping.stopped_epoch, stopping.best_epoch) == (7, 5)


def test_early_stopping_without_a_best(capsys):
    """Where all are nan nothing is restored."""
    script, stopping = Scripted([math.nan] * 3), train.EarlyStopping(patience=2)
    trainer = trainer_of(stopping, script)
    assert len(trainer.fit(loader(), 3, validation()).epochs) == 2
    assert stopping.best_epoch == 0
    assert math.isnan(stopping.best_value)
    assert_same(trainer.model.state_dict(), script.weights[2])
    assert capsys.readouterr().out == ""


def test_early_stopping_goes_on():
    """A second fit of the same training remembers the best, and waits anew."""
    script, stopping = Scripted(VALUES), train.EarlyStopping(patience=2)
    trainer = trainer_of(stopping, script)
    trainer.fit(loader(), 9, validation())
    assert (stopping.stopped_epoch, stopping.best_epoch) == (4, 2)
    trainer.fit(loader(), 1, validation())
    assert (stopping.stopped_epoch, stopping.best_epoch) == (0, 2)
    assert_same(trainer.model.state_dict(), script.weights[2])


def test_callbacks_of_another_training(tmp_path):
    """Another trainer's training begins anew: no weights of the model before come into it."""
    stopping, checkpoint = train.EarlyStopping(), train.Checkpoint(tmp_path)
    for values, best in [([1.0, 2.0, 3.0], 1), ([9.0, 8.0, 9.0], 2)]:
        script = Scripted(values)
        trainer = trainer_of(script, stopping, checkpoint, model=linear(best))
        trainer.fit(loader(), 3, validation())
        assert stopping.best_epoch == best
        assert_same(trainer.model.state_dict(), script.weights[best])
        assert_same(train.load(tmp_path / "best.safetensors"), script.weights[best])


def test_callbacks_of_another_training_cut_short(tmp_path):
    """Nor do they where it ends before its first epoch does."""
    stopping, checkpoint = train.EarlyStopping(), train.Checkpoint(tmp_path)
    trainer_of(stopping, checkpoint).fit(loader(), 2, validation())
    bad = Do("batch_end", ctrl_c, lambda state: state.step == 2)
    trainer = trainer_of(bad, stopping, checkpoint, model=linear(1))
    trainer.fit(loader(), 1, validation())
    other = trainer_of(Do("batch_end", ctrl_c, lambda state: state.step == 2), model=linear(1))
    other.fit(loader(), 1)
    assert_same(trainer.model.state_dict(), other.model.state_dict())
    assert_same(train.load(tmp_path / "last.safetensors"), other.model.state_dict())
    assert stopping.best_epoch == 0


# Checkpoints.


def metadata(path):
    """Return the text that is in the file beside the weights."""
    with safe_open(path, "numpy") as file:
        return file.metadata()


def test_checkpoint(tmp_path):
    """The best and the last weights, and those of every third step."""
    script, steps = Scripted(VALUES), {}
    keep = Do("batch_end", lambda state: steps.update({state.step: state.model.state_dict()}))
    folder = tmp_path / "new" / "run"
    checkpoint = train.Checkpoint(folder, every_steps=3)
    history = trainer_of(keep, script, checkpoint).fit(loader(), 3, validation())
    names = ["best", "last", "step_000003", "step_000006", "step_000009", "step_000012", "training"]
    assert sorted(path.name for path in folder.iterdir()) == [f"{n}.safetensors" for n in names]
    assert_same(train.load(folder / "best.safetensors"), script.weights[2])
    assert_same(train.load(folder / "last.safetensors"), script.weights[3])
    for step in (3, 6, 9, 12):
        assert_same(train.load(folder / f"step_{step:06d}.safetensors"), steps[step])
    told = metadata(folder / "best.safetensors")
    assert {name: float(text) for name, text in told.items()} == {
        **history.epochs[1],
        "step": 2 * STEPS,
    }
    assert metadata(folder / "step_000006.safetensors")["epoch"] == "2"


def test_checkpoint_takes_the_place_of_another_training(tmp_path):
    """From its first epoch on what is there is the new one's, which can go on from its start."""
    trainer_of(train.Checkpoint(tmp_path, "train_loss", every_steps=1), lr=0.3).fit(loader(), 2)

    def end(state):
        raise KeyboardInterrupt

    cut = trainer_of(train.Checkpoint(tmp_path, "train_loss"), Do("epoch_start", end))
    cut.fit(loader(), 2)
    assert [path.name for path in tmp_path.iterdir()] == ["training.safetensors"]
    again, whole = (trainer_of(train.Checkpoint(tmp_path / n, "train_loss")) for n in "ab")
    again.load(tmp_path / "training.safetensors")
    again.fit(loader(), 2)
    whole.fit(loader(), 2)
    assert_same(again.model.state_dict(), whole.model.state_dict())


def test_checkpoint_without_a_best(tmp_path):
    """With no monitor there are only the last ones; it needs no validation."""
    trainer_of(train.Checkpoint(str(tmp_path), monitor=None)).fit(loader(), 1)
    names = ["last.safetensors", "training.safetensors"]
    assert sorted(path.name for path in tmp_path.iterdir()) == names


@pytest.mark.parametrize("end", [ctrl_c, fail])
@pytest.mark.parametrize("is_first", [True, False])
def test_checkpoint_of_an_epoch_cut_short(tmp_path, end, is_first):
    """The last weights are written then too, as trained: before early stopping restores others."""
    kept, script = {}, Scripted(VALUES)

    def cut(state):
        kept.update(state.model.state_dict())
        end(state)

    bad = Do("batch_end", cut, lambda state: state.step == 2 * STEPS + 2)
    both = [train.Checkpoint(tmp_path), train.EarlyStopping()]
    trainer = trainer_of(bad, script, *(both if is_first else both[::-1]))
    if end is ctrl_c:
        trainer.fit(loader(), 6, validation())
    else:
        with pytest.raises(RuntimeError, match="own"):
            trainer.fit(loader(), 6, validation())
    assert_same(train.load(tmp_path / "last.safetensors"), kept)
    assert_same(train.load(tmp_path / "best.safetensors"), script.weights[2])
    assert_same(trainer.model.state_dict(), script.weights[2])
    told = metadata(tmp_path / "last.safetensors")
    assert (told["epoch"], told["step"]) == ("3", str(2 * STEPS + 2))


def test_checkpoint_of_no_step(tmp_path):
    """A training that fails at once leaves the weights that were there."""
    train.save(tmp_path / "last.safetensors", {"a": np.ones(2)})
    trainer = trainer_of(Do("epoch_start", fail), train.Checkpoint(tmp_path, monitor=None))
    with pytest.raises(RuntimeError, match="own"):
        trainer.fit(loader(), 1)
    assert_same(train.load(tmp_path / "last.safetensors"), {"a": np.ones(2)})


def test_checkpoint_folder_that_cannot_be(tmp_path):
    """It is told before anything is trained."""
    (tmp_path / "file").write_text("")
    seen = Do()
    trainer = trainer_of(seen, train.Checkpoint(tmp_path / "file", monitor=None))
    with pytest.raises(DataError, match=r"^Checkpoint: .*file: cannot be made or written: "):
        trainer.fit(loader(), 1)
    assert seen.points == ["fit_start"]
    assert trainer.state.step == 0


# Progress.


def test_progress_by_lines(capsys):
    """Elsewhere than on a terminal there is one line for each epoch."""
    history = trainer_of(train.Progress()).fit(loader(), 2, validation())
    output = capsys.readouterr()
    assert output.err == ""
    lines = output.out.splitlines()
    assert len(lines) == 2
    last = history.epochs[1]
    assert lines[1] == (
        f"epoch 2/2: train loss {last['train_loss']:.4f}, train accuracy "
        f"{last['train_accuracy']:.2%}, validation loss {last['validation_loss']:.4f}, validation "
        f"accuracy {last['validation_accuracy']:.2%}, lr 0.1, seconds {last['seconds']:.1f}"
    )


def test_progress_of_odd_logs(capsys):
    """A log may be text."""
    trainer_of(Scripted(["good"], "own"), train.Progress()).fit(loader(), 1)
    assert capsys.readouterr().out.endswith(", own good\n")


def test_progress_on_a_terminal(capsys, monkeypatch):
    """There a bar shows the steps, and is gone after each epoch and after Ctrl-C."""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setattr("tqdm.std.tqdm.monitor_interval", 0)
    bar_at_once = functools.partial(callbacks.tqdm, mininterval=0)
    monkeypatch.setattr(callbacks, "tqdm", bar_at_once)
    progress = train.Progress()
    bad = Do("batch_end", ctrl_c, lambda state: state.step == STEPS + 1)
    assert trainer_of(progress, bad).fit(loader(), 2).interrupted
    output = capsys.readouterr()
    assert "epoch 1/2:" in output.err
    assert all(f" {step}/{STEPS} " in output.err for step in range(STEPS))
    assert re.search(r"train loss 2\.\d+, train accuracy \d+\.\d\d%", output.err)
    assert progress._bar is None
    assert len(output.out.splitlines()) == 1


# Ctrl-C.


@pytest.mark.parametrize("point", ["epoch_start", "batch_end", "epoch_end"])
def test_ctrl_c(point):
    """It ends the training between two steps: fit returns, and says so; another fit goes on."""
    seen = Do(point, ctrl_c, lambda state: state.epoch == 2)
    trainer = trainer_of(seen)
    history = trainer.fit(loader(), 3)
    assert history.interrupted
    assert seen.points[-1] == "fit_end"
    finished = 2 if point == "epoch_end" else 1
    assert [e["epoch"] for e in history.epochs] == list(range(1, finished + 1))
    assert trainer.state.step == (2 * STEPS if point == "epoch_end" else STEPS + 1)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert "loss" in trainer.evaluate(validation())
    seen.point = ""
    assert not trainer.fit(loader(), 1).interrupted
    assert [e["epoch"] for e in history.epochs] == list(range(1, finished + 2))


def test_ctrl_c_waits_for_the_step(monkeypatch):
    """Weights are of whole steps: those of the loop by hand, stopped after the same one."""
    other = linear()
    states = []
    by_hand(
        other,
        optim.SGD(other.parameters(), lr=0.1, momentum=0.9),
        1,
        after_step=lambda: states.append(other.state_dict()),
    )
    trainer = trainer_of()
    update, calls = optim.SGD._update, []

    def interrupted_update(self, *arguments):
        calls.append(1)
        if len(calls) == 3:  # the first of two parameters, in the second step
            ctrl_c()
        update(self, *arguments)

    monkeypatch.setattr(optim.SGD, "_update", interrupted_update)
    assert trainer.fit(loader(), 1).interrupted
    assert_same(trainer.model.state_dict(), states[1])


def test_ctrl_c_in_validation():
    """It ends there too; the epoch, which has no validation then, is not in the history."""

    class Batches:
        def __iter__(self):
            for batch in validation():
                yield batch
                ctrl_c()
                yield batch
                pytest.fail("validation went on")

    trainer = trainer_of()
    history = trainer.fit(loader(), 2, Batches())
    assert history.interrupted
    assert history.epochs == []
    assert trainer.state.step == STEPS


def test_ctrl_c_while_a_callback_evaluates():
    """The epoch is undone, and the schedule has not stepped for it."""
    send = functools.partial(signal.raise_signal, signal.SIGINT)
    end = Do("epoch_end", lambda state: send(), lambda state: state.step == 2 * STEPS)
    end.turn = -2  # before the evaluation
    model = linear()
    optimizer = optim.SGD(model.named_parameters(), lr=0.1)
    trainer = train.Trainer(
        model,
        optimizer,
        schedule=optim.StepLR(optimizer, 1, gamma=0.5),
        schedule_per="epoch",
        callbacks=[end, train.Evaluate("test", validation())],
    )
    trainer.fit(loader(), 3)
    assert (len(trainer.history.epochs), trainer.schedule.steps) == (1, 1)
    trainer.fit(loader(), 1)
    assert [entry["lr"] for entry in trainer.history.epochs] == [0.1, 0.05]


def test_ctrl_c_in_the_end():
    """While callbacks close it is noted, and does not keep them from that."""
    last = Do()
    history = trainer_of(Do("fit_end", ctrl_c), last).fit(loader(), 1)
    assert history.interrupted
    assert last.points[-1] == "fit_end"


@pytest.mark.parametrize("point", ["batch_end", "fit_end"])
def test_second_ctrl_c(point):
    """It is raised at once, wherever the first one was; callbacks are run to their end."""
    first = Do("batch_end", ctrl_c, lambda state: state.step == 2)
    second = Do(point, ctrl_c, lambda state: state.step == 2)
    last = Do()
    trainer = trainer_of(first, second, last)
    with pytest.raises(KeyboardInterrupt):
        trainer.fit(loader(), 1)
    assert trainer.history.interrupted
    assert trainer.state.step == 2
    assert last.points[-1] == "fit_end"
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def interrupt(state):
    """Raise what Ctrl-C raises where nobody handles it."""
    raise KeyboardInterrupt


def test_keyboard_interrupt_of_a_callback():
    """An interrupt that is raised, as in a thread, ends the training in the same way."""
    found = []

    def work():
        bad = Do("batch_end", interrupt, lambda state: state.step == 2)
        trainer = trainer_of(bad)
        found.extend([trainer.fit(loader(), 1), trainer.state.step])

    worker = threading.Thread(target=work)
    worker.start()
    worker.join()
    assert found[0].interrupted
    assert found[1] == 2


def test_a_programs_own_handler():
    """Where the program handles Ctrl-C itself, it goes on doing so."""
    calls = []
    before = signal.signal(signal.SIGINT, lambda number, frame: calls.append(number))
    try:
        history = trainer_of(Do("batch_end", ctrl_c)).fit(loader(), 1)
    finally:
        signal.signal(signal.SIGINT, before)
    assert len(calls) == STEPS
    assert not history.interrupted


# A loss that is no number.


class Counting(nn.Module):
    """A model with a running statistic."""

    def __init__(self):
        self.layer = linear()
        self.sum = Tensor(0.0)

    def forward(self, x):
        """Return logits, and move the statistic in training."""
        logits = self.layer(x)
        if self.training:
            self.sum.data[...] += logits.data.sum()
            self.sum.mark_changed()
        return logits


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_loss_that_is_not_finite(bad):
    """Step, rate and what to try are told; weights and statistics are those of before the step."""
    images, labels = sets()[0].batch(slice(64))
    batches = [(images, labels), (images, labels), (np.full_like(images, bad), labels)]
    kept = {}
    model = Counting()
    keep = Do("batch_end", lambda state: kept.update(state.model.state_dict()))
    trainer = trainer_of(keep, model=model, lr=0.125)
    with pytest.raises(NotFiniteError) as caught:
        trainer.fit(batches, 1)
    words = (
        r"^Trainer\.fit: the loss is (nan|inf) at step 3, in epoch 1, at learning rate 0\.125; the "
        r"weights are those of before this step\. Try a smaller learning rate, clip_norm=1\.0, or "
        r"fit within debug\(\), which names the op"
    )
    assert re.match(words, str(caught.value))
    assert keep.points[-1] == "fit_end"
    assert_same(model.state_dict(), kept)
    assert trainer.state.step == 2


def test_diverging_training():
    """Too large a rate is told by the loss, without a warning of NumPy's before."""
    trainer = trainer_of(lr=1e38)
    with pytest.raises(NotFiniteError, match=r"at learning rate 1e\+38; the weights are th"):
        trainer.fit(loader(), 3)


def test_norm_that_is_not_finite():
    """With clip_norm a gradient of nan is found before the step; clip_norm is no advice then."""

    def loss(logits, labels):
        return (
            (logits * 0).sqrt().sum() if trainer.state.step == 2 else logits.cross_entropy(labels)
        )

    kept = {}
    keep = Do("batch_end", lambda state: kept.update(state.model.state_dict()))
    trainer = trainer_of(keep, model=Counting(), loss=loss, clip_norm=1.0)
    with pytest.raises(NotFiniteError) as caught:
        trainer.fit(loader(), 1)
    message = str(caught.value)
    assert message.startswith("Trainer.fit: the norm of the gradients is nan at step 3")
    assert "Try a smaller learning rate, or fit within debug()" in message
    assert_same(trainer.model.state_dict(), kept)


def test_weights_that_are_not_finite():
    """A gradient of nan with a loss that is finite: told one step later, and told so."""

    def loss(logits, labels):
        return (logits * 0).sqrt().sum()

    trainer = trainer_of(loss=loss)
    with pytest.raises(NotFiniteError) as caught:
        trainer.fit(loader(), 1)
    message = str(caught.value)
    assert message.startswith("Trainer.fit: the loss is nan at step 2")
    first = next(name for name, _ in trainer.model.named_parameters())
    assert f"{first} held a nan or inf already, by a gradient of an earlier step" in message
    assert "the weights are those" not in message


def test_within_debug():
    """Within debug() the op is named, as the message promises."""
    images, labels = sets()[0].batch(slice(64))
    batches = [(images, labels), (np.full_like(images, np.nan), labels)]
    with pytest.raises(NotFiniteError, match=r"^debug: op '"), debug():
        trainer_of().fit(batches, 1)


# What is refused.


def parts():
    """Return a model, its optimizer, and another model's."""
    model = linear()
    return model, optim.SGD(model.parameters(), lr=0.1), optim.SGD(linear().parameters(), lr=0.1)


MODEL, SGD, OTHER = parts()


@each(
    ("arguments", "options", "error", "words"),
    [
        (
            (nn.Linear, SGD),
            {},
            DtypeError,
            "model: got the class Linear, expected an instance of Module",
        ),
        ((MODEL, 0.1), {}, DtypeError, "optimizer: got float, expected an instance of Optimizer"),
        ((MODEL, SGD, "mse"), {}, DtypeError, "loss: got str, expected a function of outputs and"),
        (
            (MODEL, SGD),
            {"schedule_per": "batch"},
            ArgumentError,
            "schedule_per: got 'batch', expected 'step' or 'epoch'",
        ),
        (
            (MODEL, SGD),
            {"schedule": optim.StepLR},
            DtypeError,
            "schedule: got the class StepLR, expected one of optim's",
        ),
        (
            (MODEL, SGD),
            {"schedule": optim.StepLR(OTHER, 3)},
            ArgumentError,
            "schedule: it is of another optimizer; make it of this one",
        ),
        (
            (MODEL, SGD),
            {"schedule": optim.ReduceLROnPlateau(SGD)},
            ArgumentError,
            "schedule_per: got 'step', expected 'epoch' for ReduceLROnPlateau",
        ),
        (
            (MODEL, SGD),
            {"schedule": optim.ReduceLROnPlateau(SGD, mode="max"), "schedule_per": "epoch"},
            ArgumentError,
            "schedule: got ReduceLROnPlateau with mode 'max', expected 'min'",
        ),
        (
            (MODEL, SGD),
            {"clip_norm": -1.0},
            ArgumentError,
            "clip_norm: got -1.0, expected a finite number of at least 0",
        ),
        (
            (MODEL, SGD),
            {"clip_value": "a"},
            ArgumentError,
            "clip_value: got 'a', expected a finite number of at least 0",
        ),
        (
            (MODEL, SGD),
            {"callbacks": [train.Progress]},
            DtypeError,
            "callbacks: got the class Progress, expected a list of callbacks",
        ),
        (
            (MODEL, SGD),
            {"callbacks": train.Progress()},
            DtypeError,
            "callbacks: got Progress, expected a list of callbacks",
        ),
    ],
)
def test_trainer_refuses(arguments, options, error, words):
    """What is no model, optimizer, loss, schedule or callback is named."""
    with pytest.raises(error, match=f"^Trainer {re.escape(words)}"):
        train.Trainer(*arguments, **options)


@pytest.mark.parametrize("epochs", [0, -1, 1.5, "3", None])
def test_epochs_that_are_refused(epochs):
    """At least one."""
    with pytest.raises(
        ArgumentError, match=r"^Trainer\.fit epochs: got .*, expected an integer of"
    ):
        trainer_of().fit(loader(), epochs)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (
            lambda: trainer_of().fit(3, 1),
            DtypeError,
            "Trainer.fit: got int, expected batches (inputs, targets), as of DataLoader(",
        ),
        (
            lambda: trainer_of().fit(sets()[0], 1),
            DtypeError,
            "Trainer.fit: got Dataset, expected batches (inputs, targets), as of DataLoader(",
        ),
        (
            lambda: trainer_of().fit(loader(), 1, validation=sets()[1]),
            DtypeError,
            "Trainer.fit validation: got Dataset, expected batches (inputs, targets)",
        ),
        (
            lambda: trainer_of().evaluate(sets()[1]),
            DtypeError,
            "Trainer.evaluate: got Dataset, expected batches (inputs, targets)",
        ),
        (
            lambda: trainer_of().fit(iter(loader()), 2),
            ArgumentError,
            "Trainer.fit: the loader gave no samples; a generator can be used only once: give a",
        ),
        (
            lambda: trainer_of().fit(loader(), 1, validation=[]),
            ArgumentError,
            "Trainer.evaluate: the loader gave no samples; a generator can be used only once",
        ),
        (
            lambda: trainer_of(train.EarlyStopping()).fit(loader(), 1),
            ArgumentError,
            "EarlyStopping monitor: 'validation_loss' needs fit(..., validation=loader), or watch",
        ),
        (
            lambda: trainer_of(train.Checkpoint("runs")).fit(loader(), 1),
            ArgumentError,
            "Checkpoint monitor: 'validation_loss' needs fit(..., validation=loader), or watch an",
        ),
        (
            lambda: trainer_of(train.EarlyStopping("loss")).fit(loader(), 1),
            ArgumentError,
            "EarlyStopping monitor: 'loss' is none of the logs: epoch, train_loss, train_accuracy",
        ),
        (
            lambda: plateau().fit(loader(), 1),
            ArgumentError,
            "Trainer.fit: ReduceLROnPlateau needs the validation loss; give validation=loader",
        ),
        (
            lambda: trainer_of(loss=lambda logits, labels: logits).fit(loader(), 1),
            ShapeError,
            "Trainer loss: got shape (64, 10), expected a Tensor of one entry, such as the mean",
        ),
        (
            lambda: trainer_of(loss=lambda logits, labels: 1.0).fit(loader(), 1),
            ShapeError,
            "Trainer loss: got float, expected a Tensor of one entry",
        ),
    ],
)
def test_fit_and_evaluate_refuse(call, error, words, tmp_path, monkeypatch):
    """What cannot be trained with, or watched, is named; no folder is left behind."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=f"^{re.escape(words)}"):
        call()
    assert list(tmp_path.iterdir()) == []


def plateau():
    """Return a trainer that needs a validation."""
    schedule = optim.ReduceLROnPlateau(SGD)
    return train.Trainer(MODEL, SGD, schedule=schedule, schedule_per="epoch")


@each(
    ("call", "words"),
    [
        (
            lambda: train.EarlyStopping("validation_f1"),
            "EarlyStopping monitor: got 'validation_f1', expected a name that ends with loss, whe",
        ),
        (lambda: train.EarlyStopping(None), "EarlyStopping monitor: got None, expected a name"),
        (
            lambda: train.EarlyStopping(patience=0),
            "EarlyStopping patience: got 0, expected an integer of at least 1",
        ),
        (
            lambda: train.EarlyStopping(min_delta=-0.1),
            "EarlyStopping min_delta: got -0.1, expected a finite number of at least 0",
        ),
        (
            lambda: train.Checkpoint("runs", "f1"),
            "Checkpoint monitor: got 'f1', expected a name that ends with loss, where less is",
        ),
        (
            lambda: train.Checkpoint("runs", every_steps=0),
            "Checkpoint every_steps: got 0, expected an integer of at least 1",
        ),
    ],
)
def test_callbacks_refuse(call, words):
    """Options that make no sense are refused when a callback is made."""
    with pytest.raises(ArgumentError, match=f"^{re.escape(words)}"):
        call()


def test_a_generator_is_enough_for_one_epoch():
    """What is used up after an epoch serves for one."""
    assert len(trainer_of().fit(iter(loader()), 1).epochs) == 1


def test_optimizer_of_another_model():
    """The optimizer names the parameter that got no gradient."""
    trainer = train.Trainer(linear(), optim.SGD(linear().named_parameters(), lr=0.1))
    with pytest.raises(GraphError, match=r"^SGD\.step: parameter 1\.weight, .* has no gradient"):
        trainer.fit(loader(), 1)
