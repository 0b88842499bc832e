"""Early stopping: which epoch is best, when training stops, which weights are restored."""

import math
import re

import pytest

from tests.nn.tools import assert_same
from tests.tools import each
from tests.train.tools import (
    STEPS,
    Do,
    Scripted,
    ctrl_c,
    fail,
    fit_to,
    loader,
    trainer_of,
    validation,
)
from tinygrad_np import train
from tinygrad_np.errors import ArgumentError


def stopped(values, epochs, *callbacks, monitor="validation_loss", **options):
    """Return the callback, its trainer and the script after a run with these values."""
    script, stopping = Scripted(values, monitor), train.EarlyStopping(monitor, **options)
    trainer = trainer_of(stopping, script, *callbacks)
    trainer.fit(loader(), epochs, validation())
    return stopping, trainer, script


VALUES = [5.0, 3.0, 4.0, 3.0, 3.5, 1.0]


def test_training_stops_after_patience_epochs_and_restores_the_best_weights(capsys):
    assert train.EarlyStopping().patience == 5
    stopping, trainer, script = stopped(VALUES, 6, patience=3)
    assert len(trainer.history.epochs) == 5
    assert (stopping.best_epoch, stopping.best_value, stopping.stopped_epoch) == (2, 3.0, 5)
    assert_same(trainer.model.state_dict(), script.weights[2])
    assert (script.weights[2]["1.weight"] != script.weights[5]["1.weight"]).any()
    assert capsys.readouterr().out == (
        "EarlyStopping: stopped after epoch 5; restored the weights of epoch 2 (best "
        "validation_loss: 3)\n"
    )


def test_best_weights_are_restored_without_stopping(capsys):
    stopping, trainer, script = stopped(VALUES, 3, patience=3)
    assert stopping.stopped_epoch == 0
    assert_same(trainer.model.state_dict(), script.weights[2])
    assert capsys.readouterr().out.startswith("EarlyStopping: restored the weights of epoch 2")


@pytest.mark.parametrize("end", [ctrl_c, fail])
@pytest.mark.parametrize(("point", "step"), [("batch_end", 3 * STEPS + 2), ("fit_end", None)])
def test_best_weights_are_restored_after_ctrl_c_or_an_error(end, point, step):
    script, stopping = Scripted(VALUES), train.EarlyStopping()
    trainer = trainer_of(stopping, Do(point, end, step), script)
    fit_to(end, trainer, loader(), 4, validation())
    assert stopping.best_epoch == 2
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
def test_best_epoch_has_the_best_monitored_value(monitor, values, min_delta, best):
    stopping, *_ = stopped(values, 3, monitor=monitor, min_delta=min_delta)
    assert (stopping.best_epoch, stopping.best_value) == (best, values[best - 1])


def test_a_better_epoch_restarts_the_count():
    stopping, *_ = stopped([5.0, 6.0, 4.0, 5.0, 3.0, 5.0, 5.0, 1.0], 8, patience=2)
    assert (stopping.stopped_epoch, stopping.best_epoch) == (7, 5)


def test_nothing_is_restored_if_all_values_are_nan(capsys):
    stopping, trainer, script = stopped([math.nan] * 3, 3, patience=2)
    assert len(trainer.history.epochs) == 2
    assert stopping.best_epoch == 0
    assert math.isnan(stopping.best_value)
    assert_same(trainer.model.state_dict(), script.weights[2])
    assert capsys.readouterr().out == ""


def test_a_second_fit_keeps_the_best_epoch_and_restarts_the_count():
    stopping, trainer, script = stopped(VALUES, 9, patience=2)
    assert (stopping.stopped_epoch, stopping.best_epoch) == (4, 2)
    trainer.fit(loader(), 1, validation())
    assert (stopping.stopped_epoch, stopping.best_epoch) == (0, 2)
    assert_same(trainer.model.state_dict(), script.weights[2])


def test_a_log_of_another_callback_can_be_monitored():
    stopping, trainer, _ = stopped([2.0, 3.0, 1.0], 3, monitor="margin_loss", patience=1)
    assert [e["margin_loss"] for e in trainer.history.epochs] == [2.0, 3.0]
    assert stopping.best_epoch == 1


MONITOR = "expected `monitor` to end in 'loss' (lower is better) or 'accuracy' (higher is better)"


@each(
    ("call", "words"),
    [
        (lambda: train.EarlyStopping("f1"), f"EarlyStopping: {MONITOR}, got 'f1'."),
        (lambda: train.EarlyStopping(None), f"EarlyStopping: {MONITOR}, got None."),
        (
            lambda: train.EarlyStopping(patience=0),
            "EarlyStopping: expected `patience` to be an integer >= 1, got 0.",
        ),
        (
            lambda: train.EarlyStopping(min_delta=-1),
            "EarlyStopping: expected `min_delta` to be a finite number >= 0, got -1.",
        ),
        (lambda: train.Checkpoint("a", "f1"), f"Checkpoint: {MONITOR}, got 'f1'."),
        (
            lambda: train.Checkpoint("a", every_steps=0),
            "Checkpoint: expected `every_steps` to be an integer >= 1, got 0.",
        ),
        (
            lambda: trainer_of(train.EarlyStopping()).fit(loader(), 1),
            "EarlyStopping: monitor='validation_loss' needs a validation set. Try fit(..., "
            "validation=loader), or monitor another metric",
        ),
        (
            lambda: trainer_of(train.Checkpoint("runs")).fit(loader(), 1),
            "Checkpoint: monitor='validation_loss' needs a validation set. Try fit(..., "
            "validation=loader), or monitor another metric",
        ),
        (
            lambda: trainer_of(train.EarlyStopping("loss")).fit(loader(), 1),
            "EarlyStopping: expected `monitor` to be one of the logs (epoch, train_loss, "
            "train_accuracy, lr, seconds), got 'loss'.",
        ),
    ],
)
def test_invalid_arguments_raise_and_leave_no_directory(call, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ArgumentError, match=f"^{re.escape(words)}"):
        call()
    assert list(tmp_path.iterdir()) == []
