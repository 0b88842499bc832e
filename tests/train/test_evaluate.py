"""Evaluate: the callback that evaluates another dataset during training."""

import re

import pytest

from tests.nn.tools import assert_same
from tests.tools import each
from tests.train.tools import STEPS, Do, ctrl_c, loader, trainer_of, validation, with_dropout
from tinygrad_np import train
from tinygrad_np.errors import ArgumentError, DtypeError


def test_logs_of_evaluate_are_in_the_history():
    kept = Do("epoch_end", lambda state: state.evaluate(validation()))
    trainer = trainer_of(kept, train.Evaluate("test", validation()))
    history = trainer.fit(loader(), 2, validation())
    for logs, found in zip(history.epochs, kept.found, strict=True):
        assert {name: logs[f"test_{name}"] for name in found} == found
        assert logs["test_loss"] == logs["validation_loss"]


def test_logs_of_evaluate_are_set_before_other_callbacks_read_them(tmp_path, capsys):
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


def test_ctrl_c_during_an_evaluation_drops_the_epoch(tmp_path):
    """The interrupted epoch is in no file and not in the history; other epochs are complete."""

    class Batches(list):
        """Sends Ctrl-C during the evaluation of the second epoch."""

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


def test_every_steps_collects_results():
    batches = validation()
    seen = Do("batch_end", lambda state: state.evaluate(batches))
    curve = train.Evaluate("test", batches, every_steps=3)
    history = trainer_of(curve, seen).fit(loader(), 2)
    assert [result["step"] for result in curve.results] == [3, 6]
    for result in curve.results:
        found = seen.found[result["step"] - 1]
        assert {name: result[f"test_{name}"] for name in found} == found
    assert not any(name.startswith("test") for name in history.epochs[0])


def test_evaluate_changes_neither_weights_nor_random_numbers_nor_modes():
    models = [with_dropout(), with_dropout()]
    for model, more in zip(models, ([], [train.Evaluate("test", validation(), 1)]), strict=True):
        trainer_of(*more, model=model).fit(loader(), 1)
    assert_same(models[1].state_dict(), models[0].state_dict())
    assert all(module.training for module in models[1].modules())


def test_a_new_run_clears_the_results():
    curve = train.Evaluate("test", validation(), every_steps=STEPS)
    trainer = trainer_of(curve)
    trainer.fit(loader(), 1)
    trainer.fit(loader(), 1)
    assert [result["step"] for result in curve.results] == [STEPS, 2 * STEPS]
    trainer_of(curve).fit(loader(), 1)
    assert [result["step"] for result in curve.results] == [STEPS]


def test_state_of_another_name_raises():
    state = train.Evaluate("test", validation()).state_dict()
    with pytest.raises(
        ArgumentError, match=r"^Evaluate\.load_state_dict: expected .* got name='test'\."
    ):
        train.Evaluate("own", validation()).load_state_dict(state)


NAME = "expected `name` to be a name such as 'test'"


@each(
    ("arguments", "error", "words"),
    [
        (("train", []), ArgumentError, f"{NAME}, got 'train'. 'train' and 'validation' are reserv"),
        (("validation", []), ArgumentError, f"{NAME}, got 'validation'. 'train'"),
        ((None, []), ArgumentError, f"{NAME}, got None."),
        (("test", 3), DtypeError, "expected a loader of (inputs, targets) batches, got int. Try D"),
        (("test", [], 0), ArgumentError, "expected `every_steps` to be an integer >= 1, got 0."),
    ],
)
def test_invalid_arguments_raise(arguments, error, words):
    with pytest.raises(error, match=f"^Evaluate: {re.escape(words)}"):
        train.Evaluate(*arguments)
