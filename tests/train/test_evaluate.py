"""Evaluate: a callback that looks at further data."""

import re

import pytest

from tests.nn.tools import assert_same
from tests.tools import each
from tests.train.tools import STEPS, Do, ctrl_c, loader, trainer_of, validation, with_dropout
from tinygrad_np import train
from tinygrad_np.errors import ArgumentError, DtypeError


def test_evaluate_each_epoch():
    """Its logs are in the history next to those of validation, for the weights of that epoch."""
    kept = Do("epoch_end", lambda state: state.evaluate(validation()))
    trainer = trainer_of(kept, train.Evaluate("test", validation()))
    history = trainer.fit(loader(), 2, validation())
    for logs, found in zip(history.epochs, kept.found, strict=True):
        assert {name: logs[f"test_{name}"] for name in found} == found
        assert logs["test_loss"] == logs["validation_loss"]


def test_evaluate_comes_before_those_that_read_logs(tmp_path, capsys):
    """Whatever the order in which they are given: progress, stopping and files have its logs."""
    others = [
        train.Progress(),
        train.EarlyStopping("test_loss"),
        train.Checkpoint(tmp_path, "test_accuracy"),
    ]
    trainer = trainer_of(*others, train.Evaluate("test", validation()))
    history = trainer.fit(loader(), 2)
    assert f"test accuracy {history.epochs[0]['test_accuracy']:.2%}" in capsys.readouterr().out
    assert others[1].best_value == min(logs["test_loss"] for logs in history.epochs)
    kept = trainer.state_dict()["callbacks"][0]["epochs"]
    assert kept == history.epochs


def test_ctrl_c_while_an_epoch_is_evaluated(tmp_path):
    """That epoch is in no file and not in the history: the logs of the others are complete."""

    class Batches(list):
        """Of the second epoch's evaluation it ends the training."""

        rounds = 0

        def __iter__(self):
            self.rounds += 1
            if self.rounds == 2:
                ctrl_c()
            return super().__iter__()

    kept = train.Checkpoint(tmp_path, "test_loss")
    trainer = trainer_of(train.Evaluate("test", Batches(validation())), kept)
    history = trainer.fit(loader(), 3)
    assert history.interrupted
    assert [(logs["epoch"], "test_loss" in logs) for logs in history.epochs] == [(1, True)]
    other = trainer_of(train.Evaluate("test", validation()), train.Checkpoint(tmp_path, None))
    other.load(tmp_path / "training.safetensors")
    assert other.history.epochs == history.epochs


def test_evaluate_by_steps():
    """Results are collected every N steps; the epochs' logs have none."""
    batches = validation()
    seen = Do("batch_end", lambda state: state.evaluate(batches))
    curve = train.Evaluate("test", batches, every_steps=3)
    history = trainer_of(curve, seen).fit(loader(), 2)
    assert [result["step"] for result in curve.results] == [3, 6]
    for result in curve.results:
        found = seen.found[result["step"] - 1]
        assert {name: result[f"test_{name}"] for name in found} == found
    assert not any(name.startswith("test") for name in history.epochs[0])


def test_evaluate_changes_nothing():
    """Neither weights nor what is drawn, nor the modes of modules."""
    models = [with_dropout(), with_dropout()]
    for model, more in zip(models, ([], [train.Evaluate("test", validation(), 1)]), strict=True):
        trainer_of(*more, model=model).fit(loader(), 1)
    assert_same(models[1].state_dict(), models[0].state_dict())
    assert all(module.training for module in models[1].modules())


def test_evaluate_of_another_training():
    """A second fit appends to the results, another trainer starts afresh."""
    curve = train.Evaluate("test", validation(), every_steps=STEPS)
    trainer = trainer_of(curve)
    trainer.fit(loader(), 1)
    trainer.fit(loader(), 1)
    assert [result["step"] for result in curve.results] == [STEPS, 2 * STEPS]
    trainer_of(curve).fit(loader(), 1)
    assert [result["step"] for result in curve.results] == [STEPS]


def test_evaluate_of_another_name():
    """The state of an Evaluate with another name is refused."""
    state = train.Evaluate("test", validation()).state_dict()
    with pytest.raises(ArgumentError, match=r"^Evaluate\.load_state_dict: got results of 'test', "):
        train.Evaluate("own", validation()).load_state_dict(state)


@each(
    ("arguments", "error", "words"),
    [
        (("train", []), ArgumentError, "name: got 'train', expected a name such as 'test'; 'train"),
        (("validation", []), ArgumentError, "name: got 'validation', expected a name such as 'te"),
        ((None, []), ArgumentError, "name: got None, expected a name"),
        (("test", 3), DtypeError, ": got int, expected batches (inputs, targets), as of DataLoad"),
        (("test", [], 0), ArgumentError, "every_steps: got 0, expected an integer of at least"),
    ],
)
def test_evaluate_refuses(arguments, error, words):
    """Log names that the Trainer uses itself, objects that are not loaders, and zero steps."""
    with pytest.raises(error, match=f"^Evaluate ?{re.escape(words)}"):
        train.Evaluate(*arguments)
