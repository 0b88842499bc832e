"""Callbacks in general, the history and its files, and the progress display."""

import csv
import functools
import json
import math
import re
import sys

import numpy as np
import pytest

from tests.train.tools import (
    STEPS,
    Do,
    Scripted,
    ctrl_c,
    linear,
    loader,
    trainer_of,
    validation,
)
from tinygrad_np import optim, train
from tinygrad_np.errors import ArgumentError, DataError
from tinygrad_np.train import callbacks


def test_on_epoch_closed_follows_all_on_epoch_end():
    points = []

    class Note(train.Callback):
        def on_epoch_end(self, state):
            points.append("end")

        def on_epoch_closed(self, state):
            points.append("closed")
            assert state.snapshot()["callbacks"][0]["epochs"][-1]["own_loss"] == 1.0

    trainer_of(Note(), Scripted([1.0], "own_loss"), Note()).fit(loader(), 1)
    assert points == ["end", "end", "closed", "closed"]


def test_state_of_a_custom_callback_is_restored(tmp_path):
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
    parts = [counter, train.Checkpoint(tmp_path, None, overwrite=True)]
    trainer = train.Trainer(model, optimizer, callbacks=parts)
    trainer.load(tmp_path / "training.safetensors")
    trainer.fit(loader(), 1)
    assert counter.count == 2 * STEPS


# History.


def test_history_as_json_keeps_all_digits_and_writes_nan_as_null(tmp_path):
    trainer = trainer_of(Scripted([0.1 + 0.2, math.nan], "own_loss"))
    history = trainer.fit(loader(), 2, validation())
    history.save(tmp_path / "a.json")
    found = json.loads((tmp_path / "a.json").read_text())
    assert found == [history.epochs[0], {**history.epochs[1], "own_loss": None}]


def test_history_as_csv_leaves_missing_logs_empty(tmp_path):
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


def test_history_as_json_converts_numpy_values_and_nested_nan(tmp_path):
    history = train.History()
    history.epochs = [
        {"a": np.float32(0.5), "b": np.float32(np.inf), "c": np.int64(2)},
        {"parts": [1.0, float("nan"), (2, float("inf"))], "each": np.ones(2)},
    ]
    history.save(tmp_path / "a.json")
    found = json.loads((tmp_path / "a.json").read_text(), parse_constant=pytest.fail)
    lists = {"parts": [1.0, None, [2, None]], "each": [1.0, 1.0]}
    assert found == [{"a": 0.5, "b": None, "c": 2}, lists]


def test_empty_history_is_saved(tmp_path):
    for name, text in [("a.json", "[]\n"), ("a.csv", "\n")]:
        train.History().save(tmp_path / name)
        assert (tmp_path / name).read_text() == text


def test_history_save_raises_for_other_suffixes_and_missing_directories(tmp_path):
    with pytest.raises(ArgumentError, match=r"^History\.save: expected `path` to end in \.json or"):
        train.History().save("a.txt")
    with pytest.raises(DataError, match=r": cannot write the file \("):
        train.History().save(tmp_path / "no" / "a.json")


# Progress.


def test_progress_prints_a_line_per_epoch(capsys):
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


def test_progress_prints_text_logs(capsys):
    trainer_of(Scripted(["good"], "own"), train.Progress()).fit(loader(), 1)
    assert capsys.readouterr().out.endswith(", own good\n")


def test_progress_bar_on_a_terminal_is_removed_after_each_epoch_and_ctrl_c(capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setattr("tqdm.std.tqdm.monitor_interval", 0)
    bar_at_once = functools.partial(callbacks.tqdm, mininterval=0)
    monkeypatch.setattr(callbacks, "tqdm", bar_at_once)
    progress = train.Progress()
    bad = Do("batch_end", ctrl_c, STEPS + 1)
    assert trainer_of(progress, bad).fit(loader(), 2).interrupted
    output = capsys.readouterr()
    assert "epoch 1/2:" in output.err
    assert all(f" {step}/{STEPS} " in output.err for step in range(STEPS))
    assert re.search(r"train loss 2\.\d+, train accuracy \d+\.\d\d%", output.err)
    assert progress._bar is None
    assert len(output.out.splitlines()) == 1
