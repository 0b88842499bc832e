"""Checkpoint: which files it writes, and with which weights."""

import numpy as np
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
    interrupt,
    linear,
    loader,
    trainer_of,
    validation,
)
from tinygrad_np import train
from tinygrad_np.errors import ArgumentError, DataError
from tinygrad_np.train.weights import load_with_metadata

VALUES = [5.0, 3.0, 4.0]


def weights_of(state):
    """Return a copy of the weights."""
    return state.model.state_dict()


def names_in(folder):
    """Return the names of the files in a directory, all .safetensors, without their suffix."""
    assert {path.suffix for path in folder.iterdir()} == {".safetensors"}
    return sorted(path.stem for path in folder.iterdir())


def load(folder, name):
    """Return the weights and the metadata of a file."""
    return load_with_metadata(folder / f"{name}.safetensors")


def test_checkpoint_writes_best_last_and_periodic_weights(tmp_path):
    """Best and last weights, and those of every third step."""
    script, keep, folder = Scripted(VALUES), Do("batch_end", weights_of), tmp_path / "new" / "run"
    checkpoint = train.Checkpoint(folder, every_steps=3)
    history = trainer_of(keep, script, checkpoint).fit(loader(), 3, validation())
    steps = [f"step_{step:06d}" for step in (3, 6, 9, 12)]
    assert names_in(folder) == ["best", "last", *steps, "training"]
    best, told = load(folder, "best")
    assert_same(best, script.weights[2])
    expected = {**history.epochs[1], "step": 2 * STEPS}
    assert {name: float(text) for name, text in told.items()} == expected
    assert_same(load(folder, "last")[0], script.weights[3])
    for name, weights in zip(steps, keep.found[2::3], strict=True):
        assert_same(load(folder, name)[0], weights)
    assert load(folder, "step_000006")[1]["epoch"] == "2"


def test_a_new_run_replaces_the_files_and_can_be_resumed(tmp_path):
    trainer_of(train.Checkpoint(tmp_path, "train_loss", every_steps=1), lr=0.3).fit(loader(), 2)
    checkpoint = train.Checkpoint(tmp_path, "train_loss", overwrite=True)
    cut = trainer_of(checkpoint, Do("epoch_start", interrupt))
    cut.fit(loader(), 2)
    assert names_in(tmp_path) == ["training"]
    again, whole = (trainer_of(train.Checkpoint(tmp_path / n, "train_loss")) for n in "ab")
    again.load(tmp_path / "training.safetensors")
    again.fit(loader(), 2)
    whole.fit(loader(), 2)
    assert_same(again.model.state_dict(), whole.model.state_dict())


def test_without_a_monitor_there_is_no_best_file(tmp_path):
    trainer_of(train.Checkpoint(str(tmp_path), monitor=None)).fit(loader(), 1)
    assert names_in(tmp_path) == ["last", "training"]


@pytest.mark.parametrize("end", [ctrl_c, fail])
@pytest.mark.parametrize("is_first", [True, False])
def test_last_weights_are_saved_before_the_best_are_restored(tmp_path, end, is_first):
    """The last weights are saved before early stopping restores the best ones."""
    keep, script = Do("batch_end", weights_of), Scripted(VALUES)
    both = [train.Checkpoint(tmp_path), train.EarlyStopping()]
    bad = Do("batch_end", end, 2 * STEPS + 2)
    trainer = trainer_of(keep, bad, script, *(both if is_first else both[::-1]))
    fit_to(end, trainer, loader(), 6, validation())
    last, told = load(tmp_path, "last")
    assert_same(last, keep.found[-1])
    assert (told["epoch"], told["step"]) == ("3", str(2 * STEPS + 2))
    assert_same(load(tmp_path, "best")[0], script.weights[2])
    assert_same(trainer.model.state_dict(), script.weights[2])


def test_a_run_without_a_step_keeps_existing_weights(tmp_path):
    train.save(tmp_path / "last.safetensors", {"a": np.ones(2)})
    checkpoint = train.Checkpoint(tmp_path, monitor=None, overwrite=True)
    trainer = trainer_of(Do("epoch_start", fail), checkpoint)
    fit_to(fail, trainer, loader(), 1)
    assert_same(load(tmp_path, "last")[0], {"a": np.ones(2)})


@each("name", ["best", "last", "training", "step_000500"])
def test_a_second_run_in_the_same_directory_raises(tmp_path, name):
    path = tmp_path / name / f"{name}.safetensors"
    path.parent.mkdir()
    train.save(path, {"a": np.ones(2)})
    trainer = trainer_of(train.Checkpoint(path.parent, monitor=None))
    with pytest.raises(ArgumentError, match=f"which holds {path.name}. Choose another one, pass "):
        trainer.fit(loader(), 1)
    assert [found.name for found in path.parent.iterdir()] == [path.name]
    trainer_of(train.Checkpoint(path.parent, monitor=None, overwrite=True)).fit(loader(), 1)
    assert path.exists() == (name != "best" and not name.startswith("step"))


def test_callbacks_forget_the_previous_run(tmp_path):
    stopping, checkpoint = train.EarlyStopping(), train.Checkpoint(tmp_path, overwrite=True)
    for values, best in [([1.0, 2.0, 3.0], 1), ([9.0, 8.0, 9.0], 2)]:
        script = Scripted(values)
        trainer = trainer_of(script, stopping, checkpoint, model=linear(best))
        trainer.fit(loader(), 3, validation())
        assert stopping.best_epoch == best
        assert_same(trainer.model.state_dict(), script.weights[best])
        assert_same(load(tmp_path, "best")[0], script.weights[best])
    # The same for a run that ends during its first epoch.
    keep = Do("batch_end", weights_of)
    trainer = trainer_of(keep, Do("batch_end", ctrl_c, 2), stopping, checkpoint, model=linear(3))
    trainer.fit(loader(), 1, validation())
    assert_same(trainer.model.state_dict(), keep.found[-1])
    assert_same(load(tmp_path, "last")[0], keep.found[-1])
    assert stopping.best_epoch == 0


def test_unwritable_directory_is_reported_before_training(tmp_path):
    (tmp_path / "file").write_text("")
    seen = Do()
    trainer = trainer_of(seen, train.Checkpoint(tmp_path / "file", monitor=None))
    message = r"^Checkpoint: cannot create or write to the directory .*file \("
    with pytest.raises(DataError, match=message):
        trainer.fit(loader(), 1)
    assert seen.points == ["fit_start"]
    assert trainer.state.step == 0


@each("name", ["best", "last", "training", "step_000004"])
def test_a_directory_in_place_of_a_file_is_reported_before_training(tmp_path, name):
    folder = tmp_path / name
    (folder / f"{name}.safetensors").mkdir(parents=True)
    trainer = trainer_of(train.Checkpoint(folder, "train_loss", every_steps=2))
    with pytest.raises(DataError, match=rf"{name}\.safetensors: cannot write the file \(Is a dir"):
        trainer.fit(loader(), 1)
    assert trainer.state.step == 0
