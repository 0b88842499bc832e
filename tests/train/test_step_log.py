"""StepLog: its columns, and how it is resumed."""

import csv
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest

from tests.train.tools import STEPS, Do, ctrl_c, fail, fit_to, loader, squares, trainer_of
from tinygrad_np import nn, train
from tinygrad_np.errors import DataError
from tinygrad_np.train.weights import load_with_metadata


def rows_of(path):
    """Return the lines of a log as dicts."""
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def steps_of(log):
    """Return the steps in a log."""
    return [int(row["step"]) for row in rows_of(log.path)]


def test_log_has_a_line_per_step_with_all_digits(tmp_path):
    """A line for each step, with the time and all digits."""
    seen = Do("batch_end", lambda state: (state.loss, state.lr))
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


def test_each_line_is_on_disk_after_its_step(tmp_path):
    path = tmp_path / "steps.csv"
    look = Do("batch_end", lambda state: path.read_text().count("\n") - 1)
    trainer_of(train.StepLog(path), look).fit(loader(), 1)
    assert look.found == list(range(1, STEPS + 1))


def test_accuracy_column_is_empty_for_regression(tmp_path):
    batches = [(np.ones((4, 3), np.float32), np.ones((4, 1), np.float32))]
    log = train.StepLog(tmp_path / "steps.csv")
    trainer_of(log, model=nn.Linear(3, 1), loss=squares).fit(batches, 1)
    assert [row["accuracy"] for row in rows_of(log.path)] == [""]


@pytest.mark.parametrize("tail", ["", "2026-11-21T10:00:00.000+00:00,3,", "\0\0", "a,b,c,d,e,f\n"])
def test_a_resumed_run_drops_repeated_steps_and_incomplete_lines(tmp_path, tail):
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
    assert steps_of(log) == list(range(1, 2 * STEPS + 1))
    trainer_of(log).fit(loader(), 1)  # a new training run
    assert steps_of(log) == list(range(1, STEPS + 1))


def test_an_incomplete_line_of_a_finished_step_is_dropped(tmp_path):
    """The log may reach the disk later than the checkpoint; nothing is appended to such a line."""
    log = train.StepLog(tmp_path / "steps.csv")
    trainer = trainer_of(log)
    trainer.fit(loader(), 1)
    log.path.write_bytes(log.path.read_bytes()[:-2])
    trainer.fit(loader(), 1)
    assert steps_of(log) == [step for step in range(1, 2 * STEPS + 1) if step != STEPS]


@pytest.mark.parametrize("end", [ctrl_c, fail])
def test_the_file_is_closed_after_ctrl_c_or_an_error(tmp_path, end):
    log = train.StepLog(tmp_path / "steps.csv")
    fit_to(end, trainer_of(log, Do("batch_end", end, 2)), loader(), 1)
    assert log._file is None
    assert len(rows_of(log.path)) == 2


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_ends_training_with_one_error_and_keeps_the_weights(tmp_path):
    log = train.StepLog(tmp_path / "steps.csv")

    def fill(state):
        log._file.close()
        log._file = Path("/dev/full").open("wb", buffering=0)  # noqa: SIM115

    trainer = trainer_of(Do("batch_end", fill, 3), log, train.Checkpoint(tmp_path, "train_loss"))
    with pytest.raises(
        DataError, match=r"steps\.csv: cannot write the file \(No space left"
    ) as info:
        trainer.fit(loader(), 1)
    assert not hasattr(info.value, "__notes__")
    assert steps_of(log) == [1, 2]
    assert load_with_metadata(tmp_path / "last.safetensors")[1]["step"] == "3"


def test_lines_with_unreadable_steps_are_dropped(tmp_path):
    log = train.StepLog(tmp_path / "steps.csv")
    lines = [f"t,1,{step},0.5,,0.1\n" for step in ("1", "\u00b2", "9" * 5000, "-1", "")]
    log.path.write_text("time,epoch,step,loss,accuracy,lr\n" + "".join(lines), encoding="utf-8")
    trainer = trainer_of(log)
    trainer.state.step = 1
    log.on_fit_start(trainer.state)
    assert steps_of(log) == [1]


def test_other_files_are_kept_and_unwritable_directories_raise(tmp_path):
    (tmp_path / "notes.csv").write_text("a,b\n")
    with pytest.raises(DataError, match=r"^StepLog: .*notes\.csv exists and is not a step log"):
        trainer_of(train.StepLog(tmp_path / "notes.csv")).fit(loader(), 1)
    assert (tmp_path / "notes.csv").read_text() == "a,b\n"
    with pytest.raises(DataError, match=r"^StepLog: cannot create or write to the directory .* \("):
        trainer_of(train.StepLog(tmp_path / "notes.csv" / "steps.csv")).fit(loader(), 1)
    with pytest.raises(DataError, match=r"cannot read the file \("):
        trainer_of(train.StepLog(tmp_path)).fit(loader(), 1)
