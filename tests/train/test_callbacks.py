"""Callbacks that look at further data, and that write what happens step by step."""

import builtins
import csv
import math
import re
import struct
from datetime import datetime

import numpy as np
import pytest

from tests.train.test_trainer import (
    STEPS,
    Do,
    Scripted,
    assert_same,
    ctrl_c,
    fail,
    linear,
    loader,
    trainer_of,
    validation,
    with_dropout,
)
from tinygrad_np import nn, optim, train
from tinygrad_np.errors import ArgumentError, DataError, DtypeError

# Evaluate.


def test_evaluate_each_epoch():
    """Its logs stand in the history beside those of validation, of the weights of that epoch."""
    kept = Do("epoch_end", lambda state: kept.found.append(state.evaluate(validation())))
    kept.found = []
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
    """Results are collected after every so many steps; the epochs' logs have none."""
    seen = Do("batch_end", lambda state: seen.found.update({state.step: state.evaluate(batches)}))
    seen.found, batches = {}, validation()
    curve = train.Evaluate("test", batches, every_steps=3)
    history = trainer_of(curve, seen).fit(loader(), 2)
    assert [result["step"] for result in curve.results] == [3, 6]
    for result in curve.results:
        found = seen.found[result["step"]]
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
    """A second fit goes on with the results, another training begins anew."""
    curve = train.Evaluate("test", validation(), every_steps=STEPS)
    trainer = trainer_of(curve)
    trainer.fit(loader(), 1)
    trainer.fit(loader(), 1)
    assert [result["step"] for result in curve.results] == [STEPS, 2 * STEPS]
    trainer_of(curve).fit(loader(), 1)
    assert [result["step"] for result in curve.results] == [STEPS]


def test_evaluate_of_another_name():
    """Two of them are told apart by their names."""
    state = train.Evaluate("test", validation()).state_dict()
    with pytest.raises(ArgumentError, match=r"^Evaluate\.load_state_dict: got results of 'test', "):
        train.Evaluate("own", validation()).load_state_dict(state)


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        (
            ("train", []),
            ArgumentError,
            "name: got 'train', expected a name such as 'test'; 'train'",
        ),
        (("validation", []), ArgumentError, "name: got 'validation', expected a name such as 'te"),
        ((None, []), ArgumentError, "name: got None, expected a name"),
        (("test", 3), DtypeError, ": got int, expected batches (inputs, targets), as of DataLoad"),
        (("test", [], 0), ArgumentError, "every_steps: got 0, expected an integer of at least"),
    ],
)
def test_evaluate_refuses(arguments, error, words):
    """Names of the Trainer's own logs, what is no loader, no steps."""
    with pytest.raises(error, match=f"^Evaluate ?{re.escape(words)}"):
        train.Evaluate(*arguments)


def test_order_within_an_epoch():
    """An epoch is closed when all callbacks have had its end; the snapshot has all of it."""
    points = []

    class Note(train.Callback):
        def on_epoch_end(self, state):
            points.append("end")

        def on_epoch_closed(self, state):
            points.append("closed")
            assert state.snapshot()["callbacks"][0]["epochs"][-1]["own_loss"] == 1.0

    trainer_of(Note(), Scripted([1.0], "own_loss"), Note()).fit(loader(), 1)
    assert points == ["end", "end", "closed", "closed"]


# The log of steps.


def rows_of(path):
    """Return the lines of a log as dicts."""
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_step_log(tmp_path):
    """A line for each step with all digits, at its time."""
    seen = Do("batch_end", lambda state: seen.found.append((state.loss, state.lr)))
    seen.found = []
    path = tmp_path / "new" / "steps.csv"
    before = datetime.now().astimezone()
    history = trainer_of(train.StepLog(str(path)), seen).fit(loader(), 2)
    rows = rows_of(path)
    assert list(rows[0]) == ["time", "epoch", "step", "loss", "accuracy", "lr"]
    assert [int(row["step"]) for row in rows] == list(range(1, 2 * STEPS + 1))
    assert [int(row["epoch"]) for row in rows] == [1] * STEPS + [2] * STEPS
    assert [(float(row["loss"]), float(row["lr"])) for row in rows] == seen.found
    assert float(rows[-1]["accuracy"]) == history.epochs[1]["train_accuracy"]
    times = [datetime.fromisoformat(row["time"]) for row in rows]
    assert times == sorted(times)
    assert abs(times[0] - before).total_seconds() < 600


def test_step_log_is_written_as_it_goes(tmp_path):
    """After each step its line is in the file, whatever happens then."""
    path, found = tmp_path / "steps.csv", []
    look = Do("batch_end", lambda state: found.append(path.read_text().count("\n") - 1))
    trainer_of(train.StepLog(path), look).fit(loader(), 1)
    assert found == list(range(1, STEPS + 1))


def test_step_log_without_accuracy(tmp_path):
    """Its place is empty where there is none."""
    batches = [(np.ones((4, 3), np.float32), np.ones((4, 1), np.float32))]
    model = nn.Linear(3, 1)
    log = train.StepLog(tmp_path / "steps.csv")
    trainer_of(log, model=model, loss=lambda out, y: ((out - y) ** 2).mean()).fit(batches, 1)
    assert [row["accuracy"] for row in rows_of(log.path)] == [""]


@pytest.mark.parametrize("tail", ["", "2026-11-21T10:00:00.000+00:00,3,", "\0\0", "a,b,c,d,e,f\n"])
def test_step_log_goes_on(tmp_path, tail):
    """Steps that are done again, and half a line that a crash left, are taken out first."""
    log = train.StepLog(tmp_path / "steps.csv")
    trainer = trainer_of(log)
    trainer.fit(loader(), 1)
    trainer.save(tmp_path / "a")
    trainer.fit(loader(), 1)
    with log.path.open("a") as file:
        file.write(tail)
    trainer = trainer_of(log)
    trainer.load(tmp_path / "a")
    trainer.fit(loader(), 1)
    assert [int(row["step"]) for row in rows_of(log.path)] == list(range(1, 2 * STEPS + 1))
    trainer_of(log).fit(loader(), 1)  # another training
    assert [int(row["step"]) for row in rows_of(log.path)] == list(range(1, STEPS + 1))


def test_step_log_drops_half_a_line_of_a_step_that_is_done(tmp_path):
    """The log may reach the disk later than the checkpoint; nothing is appended to such a line."""
    log = train.StepLog(tmp_path / "steps.csv")
    trainer = trainer_of(log)
    trainer.fit(loader(), 1)
    log.path.write_bytes(log.path.read_bytes()[:-2])
    trainer.fit(loader(), 1)
    steps = [int(row["step"]) for row in rows_of(log.path)]
    assert steps == [step for step in range(1, 2 * STEPS + 1) if step != STEPS]


@pytest.mark.parametrize("end", [ctrl_c, fail])
def test_step_log_is_closed(tmp_path, end):
    """However the training ends."""
    log = train.StepLog(tmp_path / "steps.csv")
    trainer = trainer_of(log, Do("batch_end", end, lambda state: state.step == 2))
    if end is ctrl_c:
        trainer.fit(loader(), 1)
    else:
        with pytest.raises(RuntimeError, match="own"):
            trainer.fit(loader(), 1)
    assert log._file is None
    assert len(rows_of(log.path)) == 2


def test_step_log_refuses(tmp_path):
    """A file of something else is not touched, and a folder that cannot be is named."""
    (tmp_path / "notes.csv").write_text("a,b\n")
    with pytest.raises(DataError, match=r"^StepLog: .*notes\.csv: is there already and is no step"):
        trainer_of(train.StepLog(tmp_path / "notes.csv")).fit(loader(), 1)
    assert (tmp_path / "notes.csv").read_text() == "a,b\n"
    with pytest.raises(DataError, match=r"^StepLog: .*: cannot be made or written: "):
        trainer_of(train.StepLog(tmp_path / "notes.csv" / "steps.csv")).fit(loader(), 1)


# TensorBoard.


def events_of(folder):
    """Return what is in each event file: its records after a length and a checksum each."""
    pb2 = pytest.importorskip("tensorboardX.proto.event_pb2", reason="no tensorboardX installed")
    found = []
    for path in sorted(folder.iterdir()):
        content, events = path.read_bytes(), []
        while content:
            (length,) = struct.unpack("<Q", content[:8])
            events.append(pb2.Event.FromString(content[12 : 12 + length]))
            content = content[16 + length :]
        found.append(events)
    return found


def scalars_of(events):
    """Return the values by tag and step."""
    return {
        (value.tag, event.step): value.simple_value
        for event in events
        for value in event.summary.value
    }


@pytest.mark.slow
def test_tensorboard(tmp_path):
    """Scalars of each step, and of each epoch those that all callbacks have logged."""
    pytest.importorskip("tensorboardX", reason="tensorboardX is not installed")
    seen = Do("batch_end", lambda state: seen.found.append((state.loss, state.lr)))
    seen.found = []
    others = [seen, Scripted([1.0, math.inf], "own_loss"), Scripted(["a", "b"], "word")]
    trainer = trainer_of(train.TensorBoard(tmp_path / "new" / "run"), *others)
    history = trainer.fit(loader(), 2, validation())
    (events,) = events_of(tmp_path / "new" / "run")
    found = scalars_of(events)
    for step, (loss, lr) in enumerate(seen.found, start=1):
        assert found["step/loss", step] == pytest.approx(loss)
        assert found["step/lr", step] == pytest.approx(lr)
        assert ("step/accuracy", step) in found
    for logs in history.epochs:
        for name in logs.keys() - {"epoch", "word"}:
            assert found[f"epoch/{name}", logs["epoch"] * STEPS] == pytest.approx(logs[name])
    assert len(found) == 3 * 2 * STEPS + 2 * (len(history.epochs[0]) - 2)


@pytest.mark.slow
def test_tensorboard_goes_on(tmp_path):
    """Another file tells that what was written from its first step on is not to be shown."""
    pytest.importorskip("tensorboardX", reason="tensorboardX is not installed")
    trainer = trainer_of(train.TensorBoard(tmp_path))
    trainer.fit(loader(), 1)
    trainer.fit(loader(), 1)
    first, second = events_of(tmp_path)
    assert [e.step for e in second if e.HasField("session_log")] == [STEPS + 1]
    # The first one too: another training may have written here.
    assert [e.step for e in first if e.HasField("session_log")] == [1]
    steps = [step for tag, step in scalars_of(second) if tag == "step/loss"]
    assert steps == list(range(STEPS + 1, 2 * STEPS + 1))


@pytest.mark.slow
def test_tensorboard_without_accuracy_and_after_an_error(tmp_path):
    """What there is is written, and the file is closed."""
    pytest.importorskip("tensorboardX", reason="tensorboardX is not installed")
    batches = [(np.ones((4, 3), np.float32), np.ones((4, 1), np.float32))] * 3
    board, model = train.TensorBoard(tmp_path), nn.Linear(3, 1)
    bad = Do("batch_end", fail, lambda state: state.step == 2)
    trainer = trainer_of(board, bad, model=model, loss=lambda out, y: ((out - y) ** 2).mean())
    with pytest.raises(RuntimeError, match="own"):
        trainer.fit(batches, 1)
    assert board._writer is None
    (events,) = events_of(tmp_path)
    tags = {(tag, step) for tag, step in scalars_of(events)}
    assert tags == {(f"step/{name}", step) for name in ("loss", "lr") for step in (1, 2)}


def test_tensorboard_that_is_not_installed(monkeypatch):
    """The command that installs it is told when it is made."""
    imported = builtins.__import__

    def without(name, *arguments, **options):
        if name == "tensorboardX":
            raise ImportError(name)
        return imported(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    words = 'TensorBoard: tensorboardX, .*: python -m pip install "tinygrad_np\\[tensorboard\\]"$'
    with pytest.raises(DataError, match=f"^{words}"):
        train.TensorBoard("runs")


def test_a_callback_of_ones_own_is_resumed(tmp_path):
    """What it gives in state_dict comes back."""

    class Counter(train.Callback):
        count = 0

        def on_batch_end(self, state):
            self.count += 1

        def state_dict(self):
            return {"count": self.count, "array": np.full(2, self.count)}

        def load_state_dict(self, state):
            self.count = state["count"]
            assert (state["array"] == self.count).all()

    trainer_of(Counter(), train.Checkpoint(tmp_path, None)).fit(loader(), 1)
    counter, model = Counter(), linear(1)
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    parts = [counter, train.Checkpoint(tmp_path, None)]
    trainer = train.Trainer(model, optimizer, callbacks=parts)
    trainer.load(tmp_path / "training.safetensors")
    trainer.fit(loader(), 1)
    assert counter.count == 2 * STEPS
