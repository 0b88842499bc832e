"""`run_training` with callbacks of its caller, in the main thread and in another."""

import json
import signal
import threading
from dataclasses import replace

import pytest

from tinygrad_np import train
from tinygrad_np.cli import main, training
from tinygrad_np.cli.config import RunConfig
from tinygrad_np.cli.training import run_training

pytestmark = pytest.mark.slow

CONFIG = RunConfig(
    model="DigitsCNN", data="digits", train_samples=200, epochs=2, batch_size=32, lr=0.01
)


class Watch(train.Callback):
    """Record the steps, and press Ctrl-C after one of them."""

    def __init__(self, last=None):
        self.last, self.steps = last, []

    def on_batch_end(self, state):
        self.steps.append(state.step)
        if state.step == self.last:
            raise KeyboardInterrupt


def in_thread(function):
    """Call a function in another thread and return its result."""
    found = []
    thread = threading.Thread(target=lambda: found.append(function()))
    thread.start()
    thread.join()
    return found[0]


def test_callbacks_see_each_step_and_change_nothing(tmp_path):
    watch = Watch()
    one, other = tmp_path / "one", tmp_path / "other"
    assert run_training(CONFIG, one, resume=False, figures=False, watch=lambda sets: watch) == 0
    assert run_training(CONFIG, other, resume=False, figures=False) == 0
    assert watch.steps == [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]
    for name in ("model.safetensors", "config.json"):
        assert (one / name).read_bytes() == (other / name).read_bytes()


@pytest.mark.parametrize("call", [lambda function: function(), in_thread], ids=["main", "other"])
def test_interrupt_from_a_callback_stops_the_run_as_ctrl_c_does(call, tmp_path, capsys):
    out, whole = tmp_path / "stopped", tmp_path / "whole"
    watch = Watch(last=8)
    options = {"resume": False, "figures": False}
    assert call(lambda: run_training(CONFIG, out, watch=lambda sets: watch, **options)) == 130
    assert f"Interrupted. Resume with: python -m tinygrad_np train --resume {out}" in (
        capsys.readouterr().err
    )
    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics["interrupted"]
    assert (metrics["epochs"], metrics["steps"], metrics["test_accuracy"]) == (1, 8, None)
    assert (out / "model.safetensors").exists()
    assert len((out / "steps.csv").read_text().splitlines()) == 1 + 8
    # The command line, which knows nothing of the callback, resumes the run.
    assert main(["train", "--resume", str(out), "--no-figures"]) == 0
    run_training(CONFIG, whole, **options)
    assert (out / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()


def test_an_interrupted_run_can_be_extended_with_callbacks(tmp_path):
    config, out = replace(CONFIG, schedule="constant"), tmp_path / "run"
    run_training(config, out, resume=False, figures=False, watch=lambda sets: Watch(last=3))
    config, watch = replace(config, epochs=3), Watch()
    assert run_training(config, out, resume=True, figures=False, watch=lambda sets: watch) == 0
    # The unfinished epoch starts again.
    assert watch.steps == list(range(1, 19))


def test_ctrl_c_while_results_are_written_waits_for_the_files(tmp_path, monkeypatch):
    save = train.save

    def press_and_save(*arguments):
        signal.raise_signal(signal.SIGINT)
        save(*arguments)

    monkeypatch.setattr(training.train, "save", press_and_save)
    out = tmp_path / "run"
    assert run_training(CONFIG, out, resume=False, figures=False) == 130
    assert (out / "model.safetensors").exists()
    assert (out / "history.csv").exists()
    assert not (out / "metrics.json").exists()
    monkeypatch.undo()
    assert main(["train", "--resume", str(out), "--no-figures"]) == 0
    assert json.loads((out / "metrics.json").read_text())["interrupted"] is False
