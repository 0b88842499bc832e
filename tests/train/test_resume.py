"""A training that is cut and goes on has the same bits as one that was not."""

import gc
import json
import os
import re
import signal
import subprocess
import sys
import weakref
from pathlib import Path

import numpy as np
import pytest

import tinygrad_np
from tests.nn.tools import assert_same
from tests.tools import each, rng
from tests.train import tools
from tests.train.tools import STEPS
from tinygrad_np import data, nn, optim, random, train
from tinygrad_np.errors import ArgumentError, DataError, DtypeError, ShapeError
from tinygrad_np.train.tree import load_tree, save_tree

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]


def sequence(optimizer):
    """Return two schedules in turn."""
    parts = [optim.LinearWarmup(optimizer, 6), optim.ExponentialLR(optimizer, 0.9)]
    return optim.SequentialLR(optimizer, parts, [6])


def plateau(optimizer):
    """Return a schedule by a loss that does not get better."""
    options = {"patience": 1, "factor": 0.5, "threshold": 9.0, "threshold_mode": "abs"}
    return optim.ReduceLROnPlateau(optimizer, **options)


SCHEDULES = {
    "per step": ("step", lambda optimizer: optim.OneCycleLR(optimizer, 0.02, 4 * STEPS)),
    "per epoch": ("epoch", lambda optimizer: optim.CosineAnnealingLR(optimizer, 4)),
    "sequence": ("step", sequence),
    "plateau": ("epoch", plateau),
}


def scripted():
    """Return a callback that logs losses by which the second epoch is the best."""
    return tools.Scripted([3.0, 1.0, 2.0, 4.0], "own_loss")


BATCHES = [(np.ones((4, 3), np.float32), np.array([0, 1, 1, 1]))]


def kill(state):
    """Do as a machine that is switched off."""
    os.kill(os.getpid(), signal.SIGKILL)


ENDS = {"ctrl_c": tools.ctrl_c, "kill": kill}


def network(seed):
    """Return a model with running statistics and four places that draw: two from one generator, one
    from another, one from the package's.
    """
    own, shared = np.random.default_rng(seed), np.random.Generator(np.random.MT19937(seed))
    return nn.Sequential(
        nn.Flatten(),
        nn.Dropout(0.1, generator=shared),
        nn.Linear(64, 24, generator=own),
        nn.BatchNorm1d(24),
        nn.ReLU(),
        nn.Dropout(0.2, generator=shared),
        nn.Linear(24, 24, generator=own),
        nn.Dropout(0.3),
        nn.Dropout(0.1, generator=np.random.default_rng(seed + 100)),
        nn.Linear(24, 10, generator=own),
    )


def trainer_of(folder, schedule="per step", *more, seed=1):
    """Return a trainer with all that has a state."""
    tinygrad_np.manual_seed(seed)
    model = network(seed)
    optimizer = optim.Adam(model.named_parameters(), lr=0.01, weight_decay=0.01)
    per, make = SCHEDULES[schedule]
    _, validation = loaders()
    kept = [
        train.Checkpoint(folder, "own_loss"),
        train.EarlyStopping("own_loss", patience=3),
        train.Evaluate("test", validation),
        train.Evaluate("curve", validation, every_steps=3),
        train.StepLog(folder / "steps.csv"),
    ]
    options = {"schedule": make(optimizer), "schedule_per": per, "clip_norm": 1.0}
    return train.Trainer(model, optimizer, callbacks=[*kept, scripted(), *more], **options)


def loaders(seed=1):
    """Return batches to train with and to validate with."""
    train_set, test_set = data.digits()
    options = {"seed": seed, "augmentation": data.Augmentation(shift=2, rotation=10)}
    batches = data.DataLoader(train_set.first(250), 64, shuffle=True, **options)
    return batches, data.DataLoader(test_set.first(100))


def run(folder, schedule, epochs, end=None, seed=1):
    """Train up to so many epochs, from where the folder's training was; keep all there is."""
    folder = Path(folder)
    cut = [tools.Do("batch_end", ENDS[end], 2 * STEPS + 2)] if end else []  # in the third epoch
    trainer = trainer_of(folder, schedule, *cut, seed=seed)
    if (folder / "training.safetensors").exists():
        trainer.load(folder / "training.safetensors")
    batches, validation = loaders(seed)
    trainer.fit(batches, epochs - len(trainer.history.epochs), validation)
    trainer.history.save(folder / "history.json")
    train.save(folder / "final.safetensors", trainer.model.state_dict())
    return trainer


def run_elsewhere(*arguments):
    """Run the same in a new process; return its exit status."""
    variables = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "tests.train.test_resume", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, env=variables, check=False).returncode


def without_seconds(value):
    """Return a tree without the times that it tells."""
    if isinstance(value, dict):
        return {key: without_seconds(inner) for key, inner in value.items() if key != "seconds"}
    return [without_seconds(inner) for inner in value] if isinstance(value, list) else value


def contents(folder):
    """Return all that a training left, arrays as their bytes."""
    found = {"history": without_seconds(json.loads((folder / "history.json").read_text()))}
    log = (folder / "steps.csv").read_text().splitlines()
    found["steps"] = [line.partition(",")[2] for line in log]
    for path in folder.glob("*.safetensors"):
        arrays, metadata = train.weights.load_with_metadata(path)
        text = {name: json.loads(t) if t[:1] == "{" else t for name, t in metadata.items()}
        found[path.stem] = without_seconds(text)
        for name, array in arrays.items():
            found[f"{path.stem}: {name}"] = (array.dtype, array.shape, array.tobytes())
    return found


def assert_same_training(found, expected):
    """Assert that two folders hold the same bits."""
    found, expected = contents(found), contents(expected)
    assert len(expected["steps"]) == 1 + 4 * STEPS
    assert "test_accuracy" in expected["history"][3]
    assert {"history", "best", "last", "training", "final"} <= set(expected)
    assert found.keys() == expected.keys()
    assert [name for name in expected if found[name] != expected[name]] == []


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_two_and_two_are_four(tmp_path, schedule):
    """Made anew with other seeds throughout, a training goes on from its file bit for bit."""
    whole = run(tmp_path / "whole", schedule, 4)
    run(tmp_path / "parts", schedule, 2)
    trainer = run(tmp_path / "parts", schedule, 4, seed=2)
    assert_same_training(tmp_path / "parts", tmp_path / "whole")
    # In memory too, tuples of hyperparameters included.
    np.testing.assert_equal(trainer.optimizer.state_dict(), whole.optimizer.state_dict())
    assert trainer.optimizer.param_groups[0]["betas"] == whole.optimizer.param_groups[0]["betas"]
    assert trainer.schedule.state_dict() == whole.schedule.state_dict()
    assert [e["epoch"] for e in trainer.history.epochs] == [1, 2, 3, 4]
    assert len({e["lr"] for e in trainer.history.epochs}) > 1
    best, last, final = (
        train.load(tmp_path / "whole" / f"{name}.safetensors") for name in ("best", "last", "final")
    )
    # Early stopping restored the second epoch's weights; the files keep where training stood.
    assert_same(best, final)  # running statistics too
    assert (best["3.running_mean"] != last["3.running_mean"]).any()
    assert (last["2.weight"] != final["2.weight"]).any()
    kept = load_tree(tmp_path / "whole" / "training.safetensors")["model"]
    assert (kept["2.weight"] == last["2.weight"]).all()


def test_after_ctrl_c(tmp_path):
    """The last weights are of the step that was cut short, the training of the last whole epoch."""
    run(tmp_path / "whole", "per step", 4)
    run(tmp_path / "two", "per step", 2)
    trainer = run(tmp_path / "parts", "per step", 4, end="ctrl_c")
    assert trainer.history.interrupted
    metadata = train.weights.load_with_metadata(tmp_path / "parts" / "last.safetensors")[1]
    assert (metadata["epoch"], metadata["step"]) == ("3", str(2 * STEPS + 2))
    of_two, of_parts = (
        {name: value for name, value in contents(tmp_path / part).items() if "training" in name}
        for part in ("two", "parts")
    )
    assert of_two == of_parts
    run(tmp_path / "parts", "per step", 4, seed=2)
    assert_same_training(tmp_path / "parts", tmp_path / "whole")


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_in_new_processes(tmp_path, schedule):
    """So it does where each part is a process of its own."""
    assert run_elsewhere(tmp_path / "whole", schedule, 4, "-", 1) == 0
    assert run_elsewhere(tmp_path / "parts", schedule, 2, "-", 1) == 0
    assert run_elsewhere(tmp_path / "parts", schedule, 4, "-", 2) == 0
    assert_same_training(tmp_path / "parts", tmp_path / "whole")


@pytest.mark.parametrize(("end", "status"), [("ctrl_c", 0), ("kill", -signal.SIGKILL)])
def test_processes_that_are_cut(tmp_path, end, status):
    """And after Ctrl-C or a kill within an epoch."""
    assert run_elsewhere(tmp_path / "whole", "per step", 4, "-", 1) == 0
    assert run_elsewhere(tmp_path / "parts", "per step", 4, end, 1) == status
    assert run_elsewhere(tmp_path / "parts", "per step", 4, "-", 2) == 0
    assert_same_training(tmp_path / "parts", tmp_path / "whole")


def test_in_memory(tmp_path):
    """state_dict and load_state_dict do without a file, and give copies."""
    first = trainer_of(tmp_path, seed=1)
    batches, validation = loaders()
    first.fit(batches, 1, validation)
    state = first.state_dict()
    assert state["loader"] == {"seed": 1, "epoch": 1}
    first.fit(batches, 1, validation)
    second = trainer_of(tmp_path, seed=2)
    second.load_state_dict(state)
    assert second.state_dict()["loader"] == {"seed": 1, "epoch": 1}
    second.fit(loaders(seed=2)[0], 1, validation)
    assert_same(second.model.state_dict(), first.model.state_dict())
    assert without_seconds(second.history.epochs) == without_seconds(first.history.epochs)
    assert second.state.step == first.state.step == 2 * STEPS


def test_early_stopping_counts_on(tmp_path):
    """The epochs that it waited before the end count after it."""
    parts = [[scripted(), train.EarlyStopping("own_loss", patience=2)] for _ in range(2)]
    first, second = (simple(callbacks=own) for own in parts)
    first.fit(BATCHES, 3)
    first.save(tmp_path / "a")
    second.load(tmp_path / "a")
    second.fit(BATCHES, 9)
    assert second.callbacks[-1].stopped_epoch == 4
    # That it stopped is kept: who goes on can know.
    second.save(tmp_path / "b")
    first.load(tmp_path / "b")
    assert first.callbacks[-1].stopped_epoch == 4


def test_generators(tmp_path):
    """One that two modules share is kept once; the package's default one is kept too."""
    trainer = trainer_of(tmp_path)
    state = trainer.state_dict()
    assert [own["bit_generator"] for own in state["generators"]] == ["MT19937", "PCG64"]
    drawing = [trainer.model[1].generator, trainer.model[8].generator, random.resolve(None)]
    expected = [generator.random(3) for generator in drawing]
    trainer.load_state_dict(state)
    for generator, numbers in zip(drawing, expected, strict=True):
        np.testing.assert_array_equal(generator.random(3), numbers)


def test_numbers_of_numpy_among_the_options(tmp_path):
    """They are Python's from the start, so that a rate is the same after a file."""
    whole, parts, other = (simple(lr=np.float32(0.05)) for _ in range(3))
    whole.fit(BATCHES, 4)
    parts.fit(BATCHES, 2)
    parts.save(tmp_path / "a")
    other.load(tmp_path / "a")
    other.fit(BATCHES, 2)
    assert_same(other.model.state_dict(), whole.model.state_dict())
    assert type(other.optimizer.param_groups[0]["lr"]) is float


def test_a_fit_that_is_refused_leaves_the_loader_its_turn(tmp_path):
    """What was loaded for the loader is for the next fit that begins."""
    whole = run(tmp_path / "whole", "per step", 2)
    run(tmp_path / "parts", "per step", 1)

    refuse = tools.Do("fit_start", tools.fail)
    trainer = trainer_of(tmp_path / "parts", "per step", refuse, seed=2)
    trainer.load(tmp_path / "parts" / "training.safetensors")
    tools.fit_to(tools.fail, trainer, loaders(seed=7)[0], 1, loaders()[1])
    refuse.point = ""
    trainer.fit(loaders(seed=7)[0], 1, loaders()[1])
    assert_same(trainer.model.state_dict(), whole.model.state_dict())


@each("metadata", ["no JSON", '{"a": {"$array": "a missing one"}}'])
def test_a_file_that_holds_no_training(tmp_path, metadata):
    train.save(tmp_path / "a", {"a": np.ones(2)}, {"training": metadata})
    with pytest.raises(DataError, match="holds no whole training"):
        simple().load(tmp_path / "a")


def test_a_trainer_is_no_circle():
    """What callbacks are given does not keep the model alive: no garbage collection is needed."""
    trainer = simple(schedule=step_lr)
    gone, evaluate = weakref.ref(trainer.model.weight), trainer.state.evaluate
    gc.disable()
    try:
        del trainer
        assert gone() is None
    finally:
        gc.enable()
    with pytest.raises(ArgumentError, match=r"^State: its Trainer is gone"):
        evaluate([])


# What is refused, with nothing changed.


def simple(optimizer=optim.Adam, schedule=None, model=None, callbacks=(), per="step", lr=0.5):
    """Return a small trainer."""
    model = model or nn.Linear(3, 2, generator=rng())
    made = optimizer(model.parameters(), lr=lr)
    schedule = schedule and schedule(made)
    return train.Trainer(model, made, schedule=schedule, schedule_per=per, callbacks=callbacks)


def with_dropout(**options):
    """Return a small trainer of a model that draws."""
    return simple(model=nn.Sequential(nn.Linear(3, 2), nn.Dropout(**options)))


def stopping(monitor):
    """Return a small trainer with early stopping."""
    return simple(callbacks=[train.EarlyStopping(monitor)])


def step_lr(optimizer):
    """Return a schedule."""
    return optim.StepLR(optimizer, 2)


def other_groups():
    """Return a trainer whose optimizer has two groups."""
    model = nn.Linear(3, 2)
    groups = [{"params": [parameter]} for parameter in model.parameters()]
    return train.Trainer(model, optim.Adam(groups, lr=0.5))


@each(
    ("own", "other", "error", "words"),
    [
        (simple(), simple(optim.AdamW), ArgumentError, "optimizer: got AdamW, expected Adam. Make"),
        (simple(), other_groups(), ArgumentError, "Adam.load_state_dict: expected 2 parameters in"),
        (simple(), simple(model=nn.Linear(4, 2)), ShapeError, "weight (got (2, 4) float32, expec"),
        (simple(), simple(model=nn.Linear(3, 2, bias=False)), ShapeError, "missing: bias"),
        (simple(schedule=step_lr), simple(), ArgumentError, "schedule: got none, expected StepLR"),
        (
            simple(),
            simple(optim.SGD, step_lr, per="epoch"),
            ArgumentError,
            "optimizer: got SGD, expected Adam; schedule: got StepLR per epoch, expected none",
        ),
        (
            stopping("train_loss"),
            simple(callbacks=[train.Checkpoint("a")]),
            ArgumentError,
            "callbacks: got History, Checkpoint, expected History, EarlyStopping",
        ),
        (
            stopping("train_loss"),
            stopping("train_accuracy"),
            ArgumentError,
            "EarlyStopping.load_state_dict: got the best train_accuracy, expected that of monitor=",
        ),
        (with_dropout(), with_dropout(generator=rng()), ArgumentError, "generators: got PCG64"),
    ],
)
def test_another_training(own, other, error, words):
    """What differs is said, and nothing has been changed."""
    before = own.state_dict()
    with pytest.raises(error, match=re.escape(words)):
        own.load_state_dict(other.state_dict())
    np.testing.assert_equal(own.state_dict(), before)


def test_callbacks_without_a_state_may_differ(tmp_path):
    """Progress and the like may come and go."""
    simple(callbacks=[train.Progress()]).save(tmp_path / "a")
    simple().load(tmp_path / "a")


def test_a_failure_late_in_loading():
    """Where the last part fails all before it is as it was, the random generators too."""

    class Odd(train.Callback):
        fails = False

        def state_dict(self):
            return {"fails": self.fails}

        def load_state_dict(self, state):
            if state["fails"]:
                raise RuntimeError("the test's own")

    own, other = simple(callbacks=[Odd()]), simple(callbacks=[Odd()], model=nn.Linear(3, 2))
    other.callbacks[1].fails = True
    other.state.step = 7
    state = other.state_dict()
    tinygrad_np.manual_seed(5)
    before = own.state_dict()
    with pytest.raises(RuntimeError, match="own"):
        own.load_state_dict(state)
    np.testing.assert_equal(own.state_dict(), before)


def test_no_state_of_a_training():
    """A state dict of something else is told by its names."""
    with pytest.raises(ArgumentError, match=r"^Trainer\.load_state_dict: got \['bias', 'weight'\]"):
        simple().load_state_dict(nn.Linear(3, 2).state_dict())


def test_files_of_something_else(tmp_path):
    """Missing, damaged, or weights alone."""
    with pytest.raises(DataError, match="cannot be read: No such file"):
        simple().load(tmp_path / "no")
    (tmp_path / "damaged").write_bytes(b"\0" * 40)
    with pytest.raises(DataError, match="cannot be read as safetensors"):
        simple().load(tmp_path / "damaged")
    train.save(tmp_path / "weights", nn.Linear(3, 2).state_dict())
    with pytest.raises(DataError, match=r"weights: holds weights alone, which train\.load reads"):
        simple().load(tmp_path / "weights")


def test_a_loader_that_cannot_go_on(tmp_path):
    """Where a DataLoader trained, a list would not go on with its order."""
    trainer = simple(model=nn.Sequential(nn.Flatten(), nn.Linear(64, 10)))
    trainer.fit(loaders()[0], 1)
    state = trainer.state_dict()
    with pytest.raises(ArgumentError, match=r"^Trainer\.fit: got list, expected a loader with loa"):
        trainer.load_state_dict(state) or trainer.fit([], 1)


def test_a_list_of_batches_goes_on(tmp_path):
    """What has no state needs none."""
    first, second = simple(), simple(model=nn.Linear(3, 2))
    first.fit(BATCHES, 2)
    first.save(tmp_path / "a")
    first.fit(BATCHES, 1)
    second.load(tmp_path / "a")
    second.fit(BATCHES, 1)
    assert_same(second.model.state_dict(), first.model.state_dict())


# Trees on disk.


def test_tree(tmp_path):
    """Arrays keep their bits, integers their length, nan and inf their meaning."""
    tree = {
        "a.b": {"c": np.arange(6, dtype=np.uint32)[::2], "d": []},
        "list": [1.5, None, "word", True, {"e": np.float64(0.1)}, np.array(3.0, np.float16)],
        "long": 2**127 + 1,
        "numpy": [np.int64(3), np.float32(0.5), np.bool_(True)],
        "odd": [float("nan"), float("-inf")],
    }
    save_tree(tmp_path / "a", tree)
    np.testing.assert_equal(load_tree(tmp_path / "a"), tree)
    assert set(train.load(tmp_path / "a")) == {"a.b/c", "list/5"}


X = np.ones(1)


@each(
    ("tree", "error", "words"),
    [
        ({"a": {"b": {1, 2}}}, DtypeError, "save: a/b is a set, expected arrays, numbers, words"),
        ({"a": {1: 2}}, DtypeError, "save: a: 1 cannot be a key, expected a word"),
        ({"a": np.array(["b"])}, DtypeError, "save: 'a' is a <U1, expected an ndarray of numbers"),
        ({"a/b": X, "a": {"b": X}}, ArgumentError, "save: there are two arrays by the name 'a/b'"),
    ],
)
def test_tree_refuses(tmp_path, tree, error, words):
    """What cannot be written is named by its path, and leaves no file."""
    with pytest.raises(error, match=f"^{re.escape(words)}"):
        save_tree(tmp_path / "a", tree)
    assert list(tmp_path.iterdir()) == []


if __name__ == "__main__":
    where, kind, count, cut, its_seed = sys.argv[1:]
    run(where, kind, int(count), None if cut == "-" else cut, int(its_seed))
