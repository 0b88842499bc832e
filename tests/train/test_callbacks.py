"""Callbacks in general, the history and its files, and the progress display."""

import csv
import functools
import io
import json
import math
import re
import sys
import types

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


def history_of(*losses, name="validation_loss"):
    history = train.History()
    history.epochs = [{"epoch": i, name: loss} for i, loss in enumerate(losses, 1)]
    return history


def test_history_prints_a_table_that_marks_the_lowest_validation_loss():
    history = history_of(3.0, math.nan, 1.0, None, 2.0)
    history.epochs[1]["train_accuracy"] = 0.5
    history.interrupted = True
    assert str(history).splitlines() == [
        "epoch  validation loss  train accuracy",
        "--------------------------------------",
        "    1           3.0000                ",
        "    2              nan          50.00%",
        "    3           1.0000                  *",
        "    4                                 ",
        "    5           2.0000                ",
        "--------------------------------------",
        "best epoch: 3 (lowest validation loss)",
        "interrupted by Ctrl-C",
    ]


def test_history_without_validation_loss_marks_the_highest_validation_accuracy():
    assert str(history_of(0.5, 0.75, name="validation_accuracy")).splitlines()[2:] == [
        "    1               50.00%",
        "    2               75.00%  *",
        "--------------------------",
        "best epoch: 2 (highest validation accuracy)",
    ]


@pytest.mark.parametrize("name", ["train_loss", "test_loss", "test_accuracy", "own_loss"])
def test_history_without_validation_marks_no_epoch(name):
    assert "best" not in str(history_of(1.0, 0.5, name=name))
    assert "best" not in str(history_of(math.nan))


def test_long_history_keeps_its_best_epoch():
    losses = [abs(epoch - 30.0) for epoch in range(1, 101)]
    lines = str(history_of(*losses)).splitlines()
    assert lines[2 + 5].split() == ["...", "..."]
    assert lines[2 + 6] == "   30           0.0000  *"
    assert len(lines) == 2 + 5 + 3 + 15 + 2
    assert len(str(history_of(*losses[:20])).splitlines()) == 2 + 20 + 2


def test_history_html_draws_losses_and_accuracies():
    history = trainer_of().fit(loader(), 2, validation())
    html = history._repr_html_()
    assert html.count("<svg") == 2
    assert ">loss by epoch</text>" in html
    assert ">accuracy by epoch</text>" in html
    assert html.count(">validation</text>") == 2
    assert html.count("<circle") == 2 * 2 * 2
    assert "<svg" not in history_of(math.nan)._repr_html_()


def test_history_html_labels_its_epochs():
    history = history_of(3.0, 2.0)
    for logs, epoch in zip(history.epochs, (5, 9), strict=True):
        logs["epoch"] = epoch
    html = history._repr_html_()
    assert ">5</text>" in html
    assert ">9</text>" in html


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


# Progress in a notebook.


class Kernel:
    """Stands in for IPython in a Jupyter kernel: keeps what each output shows last."""

    def __init__(self, monkeypatch):
        self.outputs, self.updates = [], 0
        shell = types.SimpleNamespace(kernel=None)
        package = types.SimpleNamespace(get_ipython=lambda: shell)
        display = types.SimpleNamespace(display=self.display)
        monkeypatch.setitem(sys.modules, "IPython", package)
        monkeypatch.setitem(sys.modules, "IPython.display", display)

    def display(self, data, *, raw, display_id):
        assert raw
        assert display_id
        place = len(self.outputs)
        self.outputs.append(data["text/plain"])

        def update(data, *, raw):
            assert raw
            self.outputs[place] = data["text/plain"]
            self.updates += 1

        return types.SimpleNamespace(update=update)


def test_progress_in_a_notebook_updates_a_line_per_epoch(monkeypatch, capsys):
    kernel = Kernel(monkeypatch)
    monkeypatch.setitem(sys.modules, "ipywidgets", None)
    monkeypatch.setattr(callbacks, "_SECONDS", 0)
    seen = []
    note = Do("batch_end", lambda state: seen.append(kernel.outputs[-1]), STEPS)
    history = trainer_of(train.Progress(), note).fit(loader(), 2)
    assert [line[:22] for line in kernel.outputs] == [
        "epoch 1/2: train loss ",
        "epoch 2/2: train loss ",
    ]
    assert f"train loss {history.epochs[1]['train_loss']:.4f}" in kernel.outputs[1]
    assert seen[0].startswith(f"epoch 1/2: step {STEPS}/{STEPS}, train loss")
    assert kernel.updates == 2 * (STEPS + 1)
    assert capsys.readouterr() == ("", "")


def test_progress_in_a_notebook_updates_rarely_and_survives_a_failing_display(monkeypatch):
    kernel = Kernel(monkeypatch)
    monkeypatch.setitem(sys.modules, "ipywidgets", None)
    monkeypatch.setattr(callbacks, "_SECONDS", 1e9)
    trainer_of(train.Progress()).fit(loader(), 1)
    assert kernel.updates == 1
    monkeypatch.delitem(sys.modules, "IPython.display")
    monkeypatch.setitem(sys.modules, "IPython.display", None)
    trainer_of(train.Progress()).fit(loader(), 1)
    assert len(kernel.outputs) == 1


def test_progress_in_a_notebook_keeps_the_line_of_an_interrupted_epoch(monkeypatch):
    kernel = Kernel(monkeypatch)
    monkeypatch.setitem(sys.modules, "ipywidgets", None)
    monkeypatch.setattr(callbacks, "_SECONDS", 0)
    trainer_of(train.Progress(), Do("batch_end", ctrl_c, 2)).fit(loader(), 2)
    assert len(kernel.outputs) == 1
    assert kernel.outputs[0].startswith(f"epoch 1/2: step 2/{STEPS}, ")


def test_progress_in_a_notebook_with_widgets_shows_the_bar_of_tqdm(monkeypatch, capsys):
    kernel, bars = Kernel(monkeypatch), []

    def bar(**options):
        bars.append(options)
        return callbacks.tqdm(**options, file=io.StringIO())

    monkeypatch.setattr("tqdm.std.tqdm.monitor_interval", 0)
    monkeypatch.setitem(sys.modules, "ipywidgets", types.SimpleNamespace())
    monkeypatch.setitem(sys.modules, "tqdm.notebook", types.SimpleNamespace(tqdm=bar))
    trainer_of(train.Progress()).fit(loader(), 1)
    assert bars == [{"total": STEPS, "desc": "epoch 1/1", "leave": False}]
    assert kernel.outputs == []
    assert capsys.readouterr().out.startswith("epoch 1/1: train loss")


NOTEBOOK = """
from tinygrad_np import data, nn, optim, train
train_set, _ = data.digits()
model = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
trainer = train.Trainer(model, optim.SGD(model.parameters(), lr=0.1), callbacks=[train.Progress()])
trainer.fit(data.DataLoader(train_set, 16, shuffle=True, seed=0), 3)
"""


@pytest.mark.slow
def test_a_notebook_stores_a_line_per_epoch_and_the_history():
    nbclient, nbformat = pytest.importorskip("nbclient"), pytest.importorskip("nbformat")
    pytest.importorskip("ipykernel")
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(NOTEBOOK)])
    nbclient.NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
    *lines, history = notebook.cells[0].outputs
    texts = [output.get("text") or output.data["text/plain"] for output in lines]
    text = "\n".join(texts)
    assert re.findall(r"epoch (\d)/3: train loss ", text) == ["1", "2", "3"]
    assert not any(output.get("name") == "stderr" for output in lines)
    assert "<svg" in history.data["text/html"]
    assert history.data["text/plain"].startswith("epoch  train loss")
