"""A training run that is interrupted and resumed has the same bits as one that is not."""

import copy
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
from tests.tools import each, naming, rng
from tests.train import tools
from tests.train.tools import STEPS
from tinygrad_np import data, nn, optim, random, train
from tinygrad_np.errors import (
    ArgumentError,
    DataError,
    DtypeError,
    ShapeError,
    TinygradNpError,
)
from tinygrad_np.train.tree import load_tree, save_tree

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]


def sequence(optimizer):
    """Return two schedules in sequence."""
    parts = [optim.LinearWarmup(optimizer, 6), optim.ExponentialLR(optimizer, 0.9)]
    return optim.SequentialLR(optimizer, parts, [6])


def plateau(optimizer):
    """Return a schedule driven by a loss that does not improve."""
    options = {"patience": 1, "factor": 0.5, "threshold": 9.0, "threshold_mode": "abs"}
    return optim.ReduceLROnPlateau(optimizer, **options)


SCHEDULES = {
    "per step": ("step", lambda optimizer: optim.OneCycleLR(optimizer, 0.02, 4 * STEPS)),
    "per epoch": ("epoch", lambda optimizer: optim.CosineAnnealingLR(optimizer, 4)),
    "sequence": ("step", sequence),
    "lambda": ("step", lambda optimizer: optim.LambdaLR(optimizer, lambda step: 0.9**step)),
    "plateau": ("epoch", plateau),
}


def scripted():
    """Return a callback that logs losses which make the second epoch the best."""
    return tools.Scripted([3.0, 1.0, 2.0, 4.0], "own_loss")


POINTS = data.ImageDataset(np.ones((8, 1, 1, 3), np.float32), np.arange(8) % 2, ("a", "b"))
BATCHES = [(np.ones((4, 3), np.float32), np.array([0, 1, 1, 1]))]


def kill(state):
    """Kill the process, as if the machine was switched off."""
    os.kill(os.getpid(), signal.SIGKILL)


ENDS = {"ctrl_c": tools.ctrl_c, "kill": kill}


def network(seed):
    """Return a model with running statistics and four dropout layers.

    Two of them share a generator, one has its own, and one uses the package's default.
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
    """Return a trainer with every part that has a state."""
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
    """Return the training and validation batches."""
    train_set, test_set = data.digits()
    options = {"seed": seed, "augmentation": data.Augmentation(shift=2, rotation=10)}
    batches = data.DataLoader(train_set.first(250), 64, shuffle=True, **options)
    return batches, data.DataLoader(test_set.first(100))


def run(folder, schedule, epochs, end=None, seed=1):
    """Train up to `epochs` epochs, resuming from the directory if it has a checkpoint."""
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
    """Call `run` in a new process and return its exit status."""
    variables = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "tests.train.test_resume", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, env=variables, check=False).returncode


def without_seconds(value):
    """Return a tree without its entries of time."""
    if isinstance(value, dict):
        return {key: without_seconds(inner) for key, inner in value.items() if key != "seconds"}
    return [without_seconds(inner) for inner in value] if isinstance(value, list) else value


def contents(folder):
    """Return everything that a training run wrote, with arrays as bytes."""
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
    """Assert that two directories hold the same bits."""
    found, expected = contents(found), contents(expected)
    assert len(expected["steps"]) == 1 + 4 * STEPS
    assert "test_accuracy" in expected["history"][3]
    assert {"history", "best", "last", "training", "final"} <= set(expected)
    assert found.keys() == expected.keys()
    assert [name for name in expected if found[name] != expected[name]] == []


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_a_resumed_run_equals_an_uninterrupted_one(tmp_path, schedule):
    whole = run(tmp_path / "whole", schedule, 4)
    run(tmp_path / "parts", schedule, 2)
    trainer = run(tmp_path / "parts", schedule, 4, seed=2)
    assert_same_training(tmp_path / "parts", tmp_path / "whole")
    # In memory as well, including tuples of hyperparameters.
    np.testing.assert_equal(trainer.optimizer.state_dict(), whole.optimizer.state_dict())
    assert trainer.optimizer.param_groups[0]["betas"] == whole.optimizer.param_groups[0]["betas"]
    assert trainer.schedule.state_dict() == whole.schedule.state_dict()
    assert [e["epoch"] for e in trainer.history.epochs] == [1, 2, 3, 4]
    assert len({e["lr"] for e in trainer.history.epochs}) > 1
    best, last, final = (
        train.load(tmp_path / "whole" / f"{name}.safetensors") for name in ("best", "last", "final")
    )
    # Early stopping restored the weights of the second epoch; the files keep those of the last.
    assert_same(best, final)  # including running statistics
    assert (best["3.running_mean"] != last["3.running_mean"]).any()
    assert (last["2.weight"] != final["2.weight"]).any()
    kept = load_tree(tmp_path / "whole" / "training.safetensors")["model"]
    assert (kept["2.weight"] == last["2.weight"]).all()


def test_resume_after_ctrl_c(tmp_path):
    """The last weights are of the interrupted step, the checkpoint of the last full epoch."""
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
def test_resume_in_a_new_process(tmp_path, schedule):
    assert run_elsewhere(tmp_path / "whole", schedule, 4, "-", 1) == 0
    assert run_elsewhere(tmp_path / "parts", schedule, 2, "-", 1) == 0
    assert run_elsewhere(tmp_path / "parts", schedule, 4, "-", 2) == 0
    assert_same_training(tmp_path / "parts", tmp_path / "whole")


@pytest.mark.parametrize(("end", "status"), [("ctrl_c", 0), ("kill", -signal.SIGKILL)])
def test_resume_after_ctrl_c_or_a_kill_in_another_process(tmp_path, end, status):
    assert run_elsewhere(tmp_path / "whole", "per step", 4, "-", 1) == 0
    assert run_elsewhere(tmp_path / "parts", "per step", 4, end, 1) == status
    assert run_elsewhere(tmp_path / "parts", "per step", 4, "-", 2) == 0
    assert_same_training(tmp_path / "parts", tmp_path / "whole")


def test_state_dict_is_a_copy_and_resumes_without_a_file(tmp_path):
    first = trainer_of(tmp_path, seed=1)
    batches, validation = loaders()
    first.fit(batches, 1, validation)
    state = first.state_dict()
    assert state["loader"] | {"seed": 1, "epoch": 1} == state["loader"]
    first.fit(batches, 1, validation)
    second = trainer_of(tmp_path, seed=2)
    second.load_state_dict(state)
    assert second.state_dict()["loader"] == state["loader"]
    second.fit(loaders(seed=2)[0], 1, validation)
    assert_same(second.model.state_dict(), first.model.state_dict())
    assert without_seconds(second.history.epochs) == without_seconds(first.history.epochs)
    assert second.state.step == first.state.step == 2 * STEPS


def test_early_stopping_keeps_its_count(tmp_path):
    parts = [[scripted(), train.EarlyStopping("own_loss", patience=2)] for _ in range(2)]
    first, second = (simple(callbacks=own) for own in parts)
    first.fit(BATCHES, 3)
    first.save(tmp_path / "a")
    second.load(tmp_path / "a")
    second.fit(BATCHES, 9)
    assert second.callbacks[-1].stopped_epoch == 4
    # The state records that training was stopped early.
    second.save(tmp_path / "b")
    first.load(tmp_path / "b")
    assert first.callbacks[-1].stopped_epoch == 4


def test_each_random_generator_is_restored(tmp_path):
    trainer = trainer_of(tmp_path)
    state = trainer.state_dict()
    assert [own["bit_generator"] for own in state["generators"]] == ["MT19937", "PCG64"]
    drawing = [trainer.model[1].generator, trainer.model[8].generator, random.resolve(None)]
    expected = [generator.random(3) for generator in drawing]
    trainer.load_state_dict(state)
    for generator, numbers in zip(drawing, expected, strict=True):
        np.testing.assert_array_equal(generator.random(3), numbers)


def test_numpy_learning_rates_resume_bit_for_bit(tmp_path):
    whole, parts, other = (simple(lr=np.float32(0.05)) for _ in range(3))
    whole.fit(BATCHES, 4)
    parts.fit(BATCHES, 2)
    parts.save(tmp_path / "a")
    other.load(tmp_path / "a")
    other.fit(BATCHES, 2)
    assert_same(other.model.state_dict(), whole.model.state_dict())
    assert type(other.optimizer.param_groups[0]["lr"]) is float


def test_a_fit_that_fails_to_start_keeps_the_loader_state(tmp_path):
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
def test_invalid_metadata_raises(tmp_path, metadata):
    train.save(tmp_path / "a", {"a": np.ones(2)}, {"training": metadata})
    with pytest.raises(DataError, match=r"a: the training checkpoint is damaged \("):
        simple().load(tmp_path / "a")


def test_a_trainer_is_freed_without_garbage_collection():
    """The functions that callbacks receive do not keep the model alive."""
    trainer = simple(schedule=step_lr)
    gone, evaluate = weakref.ref(trainer.model.weight), trainer.state.evaluate
    gc.disable()
    try:
        del trainer
        assert gone() is None
    finally:
        gc.enable()
    with pytest.raises(ArgumentError, match=r"^State: the Trainer no longer exists\."):
        evaluate([])


# States and files that cannot be loaded; nothing changes.


def simple(optimizer=optim.Adam, schedule=None, model=None, callbacks=(), per="step", lr=0.5):
    """Return a small trainer."""
    model = model or nn.Linear(3, 2, generator=rng())
    made = optimizer(model.parameters(), lr=lr)
    schedule = schedule and schedule(made)
    return train.Trainer(model, made, schedule=schedule, schedule_per=per, callbacks=callbacks)


def with_dropout(**options):
    """Return a small trainer of a model with dropout."""
    return simple(model=nn.Sequential(nn.Linear(3, 2), nn.Dropout(**options)))


def stopping(monitor):
    """Return a small trainer with early stopping."""
    return simple(callbacks=[train.EarlyStopping(monitor)])


def step_lr(optimizer):
    """Return a schedule."""
    return optim.StepLR(optimizer, 2)


def other_groups():
    """Return a trainer whose optimizer has two parameter groups."""
    model = nn.Linear(3, 2)
    groups = [{"params": [parameter]} for parameter in model.parameters()]
    return train.Trainer(model, optim.Adam(groups, lr=0.5))


@each(
    ("own", "other", "error", "words"),
    [
        (
            simple(),
            simple(optim.AdamW),
            ArgumentError,
            "(optimizer: expected Adam, got AdamW). Build",
        ),
        (
            simple(),
            other_groups(),
            ArgumentError,
            "Adam.load_state_dict: expected the parameter groups [2 parameters with",
        ),
        (
            simple(),
            simple(model=nn.Linear(4, 2)),
            ShapeError,
            "weight (expected (2, 3) float32, got (2, 4) float32).",
        ),
        (simple(), simple(model=nn.Linear(3, 2, bias=False)), ShapeError, "Missing: bias."),
        (
            simple(schedule=step_lr),
            simple(),
            ArgumentError,
            "schedule: expected StepLR per step, got none)",
        ),
        (
            simple(),
            simple(optim.SGD, step_lr, per="epoch"),
            ArgumentError,
            "optimizer: expected Adam, got SGD; schedule: expected none, got StepLR per epoch",
        ),
        (
            stopping("train_loss"),
            simple(callbacks=[train.Checkpoint("a")]),
            ArgumentError,
            "callbacks: expected History, EarlyStopping, got History, Checkpoint",
        ),
        (
            stopping("train_loss"),
            stopping("train_accuracy"),
            ArgumentError,
            "EarlyStopping.load_state_dict: expected a state with monitor='train_loss', got "
            "monitor='train_accuracy'.",
        ),
        (
            with_dropout(),
            with_dropout(generator=rng()),
            ArgumentError,
            "generators: expected none, got PCG64",
        ),
    ],
)
def test_states_of_other_trainers_raise_and_change_nothing(own, other, error, words):
    before = own.state_dict()
    with pytest.raises(error, match=re.escape(words)):
        own.load_state_dict(other.state_dict())
    np.testing.assert_equal(own.state_dict(), before)


def full():
    """Return a small trainer with all kinds of state, after two epochs."""
    mersenne = np.random.Generator(np.random.MT19937(2))
    parts = [
        train.EarlyStopping("train_loss"),
        train.Evaluate("curve", BATCHES, every_steps=1),
        scripted(),
    ]
    layers = nn.Flatten(), nn.Linear(3, 2, generator=rng()), nn.Dropout(0.1, generator=rng(1))
    model = nn.Sequential(*layers, nn.Dropout(0.1, generator=mersenne))
    trainer = simple(model=model, schedule=sequence, callbacks=parts, lr=0.01)
    trainer.fit(data.DataLoader(POINTS, 4, shuffle=True, seed=0), 2)
    return trainer


def at(tree, path):
    """Return the container and the key of the entry at a path such as `a/b/0`."""
    *outer, last = [int(key) if key.isdigit() else key for key in path.split("/")]
    for key in outer:
        tree = tree[key]
    return tree, last


@each(
    ("path", "value", "words"),
    [
        ("epoch", "x", "expected `epoch` to be an integer >= 0, got 'x'."),
        ("epoch", -1, "expected `epoch` to be an integer >= 0, got -1."),
        ("epoch", True, "expected `epoch` to be an integer >= 0, got True."),
        ("epoch", 5, "History.load_state_dict: expected the logs of 5 epochs, got those of 2."),
        ("step", 10**400, "expected `step` to be an integer >= 0, got an integer of 1329 bits."),
        ("step", np.nan, "expected `step` to be an integer >= 0, got nan."),
        ("kinds/optimizer", 3, "expected `kinds.optimizer` to be a string, got 3."),
        ("model/1.weight", 1.0, "expected `model.1.weight` to be an array, got 1.0."),
        ("loader/epoch", -1, "expected `loader.epoch` to be an integer >= 0, got -1."),
        (
            "loader",
            [],
            "expected `loader` to be a dict with the keys ['batch_size', 'drop_last', 'epoch', ",
        ),
        ("callbacks", [], "expected `callbacks` to be a list with 3 entries, got a list with 0"),
        (
            "generators/1/state/pos",
            625,
            "expected `generators[1].state.pos` to be an integer from 0 to 624, got 625.",
        ),
        (
            "default_generator/bit_generator",
            "SFC64",
            "expected `default_generator.bit_generator` to be 'PCG64', got 'SFC64'.",
        ),
        (
            "optimizer/state/0/step",
            "x",
            "Adam.load_state_dict: expected `state['1.weight'].step` to be an integer >= 0",
        ),
        (
            "optimizer/state/0/mean",
            np.ones((2, 3)),
            "expected `state['1.weight'].mean` to be an array of shape (2, 3) and dtype float32, "
            "got an array of shape (2, 3) and dtype float64.",
        ),
        (
            "optimizer/state/0",
            {"step": 2},
            "expected `state['1.weight']` to have the entries ['mean', 'square', 'step'], got",
        ),
        ("optimizer/param_groups/0/amsgrad", 1, "`param_groups[0].amsgrad` to be a bool, got 1."),
        ("optimizer/param_groups/0/lr", 10**400, "Adam: expected `lr` to be a finite number >= 0"),
        ("schedule/steps", 1.5, "SequentialLR.load_state_dict: expected `steps` to be an integer"),
        ("schedule/options/milestones", 6, "expected `options.milestones` to be a list, got 6."),
        (
            "schedule/schedulers/0/initial_lrs",
            ["x"],
            "expected `initial_lrs[0]` to be a finite number >= 0, got 'x'.",
        ),
        ("callbacks/0/epochs/1", {}, "expected `epochs[1]` to be a dict with the keys ['epoch']"),
        ("callbacks/0/epochs/0/train_loss", "x", "`epochs[0].train_loss` to be a number, got 'x'"),
        ("callbacks/2/best/value", np.nan, "expected a best value for epoch"),
        ("callbacks/2/best/value", None, "expected `best.value` to be a number, got None."),
        ("callbacks/2/waited", -1, "expected `waited` to be an integer >= 0, got -1."),
        (
            "callbacks/2/weights/1.bias",
            np.ones(3, np.float32),
            "expected `weights.1.bias` to be an array of shape (2,) and dtype float32, got an",
        ),
        ("callbacks/1/results/0", {"step": 1}, "to be a dict with the keys ['step', 'curve_loss']"),
    ],
)
def test_invalid_values_raise_name_the_file_and_change_nothing(tmp_path, path, value, words):
    trainer = full()
    before, state = trainer.state_dict(), trainer.state_dict()
    where, key = at(state, path)
    assert key in where or isinstance(key, int)
    where[key] = value
    save_tree(tmp_path / "a", state)
    with pytest.raises(DataError, match=f"^{re.escape(f'{tmp_path}/a: ')}.*{re.escape(words)}"):
        trainer.load(tmp_path / "a")
    np.testing.assert_equal(trainer.state_dict(), before)


def paths_of(tree, path=""):
    """Yield the paths of all entries of a tree."""
    entries = tree.items() if isinstance(tree, dict) else enumerate(tree)
    for key, value in entries:
        yield f"{path}{key}"
        if isinstance(value, dict | list):
            yield from paths_of(value, f"{path}{key}/")


ODD = [10**400, -1, True, None, "x", np.nan, np.inf, 0.5, [], {}, [[]], np.ones(3), {"a": 1}]


def test_random_mutations_raise_only_errors_of_the_package_and_change_nothing():
    trainer, generator = full(), rng(7)
    good = trainer.state_dict()
    places, refused = list(paths_of(good)), 0
    for place in generator.choice(places, 300):
        state = copy.deepcopy(good)
        where, key = at(state, place)
        if generator.random() < 0.2:
            del where[key]
        else:
            where[key] = ODD[generator.integers(len(ODD))]
        with naming(f"{place} = {where.get(key) if isinstance(where, dict) else where}"):
            try:
                trainer.load_state_dict(state)
            except TinygradNpError:
                refused += 1
                np.testing.assert_equal(trainer.state_dict(), good)
            trainer.load_state_dict(good)
    assert refused > 200


def test_callbacks_without_a_state_may_differ(tmp_path):
    simple(callbacks=[train.Progress()]).save(tmp_path / "a")
    simple().load(tmp_path / "a")


def test_a_late_failure_of_loading_restores_everything():
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


def test_state_of_a_module_raises():
    with pytest.raises(
        ArgumentError, match=r"^Trainer\.load_state_dict: .*, got \['bias', 'weight'\]\."
    ):
        simple().load_state_dict(nn.Linear(3, 2).state_dict())


def test_missing_and_damaged_files_and_weights_raise(tmp_path):
    with pytest.raises(DataError, match=r"no: cannot read the file \(No such file"):
        simple().load(tmp_path / "no")
    (tmp_path / "damaged").write_bytes(b"\0" * 40)
    with pytest.raises(DataError, match="damaged: expected a safetensors file"):
        simple().load(tmp_path / "damaged")
    train.save(tmp_path / "weights", nn.Linear(3, 2).state_dict())
    with pytest.raises(
        DataError, match=r"weights: expected a training checkpoint.*, got weights only\. Read"
    ):
        simple().load(tmp_path / "weights")


def test_a_loader_without_state_cannot_replace_a_data_loader(tmp_path):
    trainer = simple(model=nn.Sequential(nn.Flatten(), nn.Linear(64, 10)))
    trainer.fit(loaders()[0], 1)
    state = trainer.state_dict()
    with pytest.raises(
        ArgumentError, match=r"^Trainer\.fit: expected a loader with load_.*, got list\."
    ):
        trainer.load_state_dict(state) or trainer.fit([], 1)


def test_a_list_of_batches_needs_no_state(tmp_path):
    first, second = simple(), simple(model=nn.Linear(3, 2))
    first.fit(BATCHES, 2)
    first.save(tmp_path / "a")
    first.fit(BATCHES, 1)
    second.load(tmp_path / "a")
    second.fit(BATCHES, 1)
    assert_same(second.model.state_dict(), first.model.state_dict())


# Trees on disk.


def test_tree_loads_unchanged(tmp_path):
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
        (
            {"a": {"b": {1, 2}}},
            DtypeError,
            "save: expected arrays, numbers, strings, None, or dicts and lists of them, "
            "got set at 'a/b'.",
        ),
        (
            {"a": {1: 2}},
            DtypeError,
            "save: expected the keys at 'a' to be strings other than '$array', got 1.",
        ),
        (
            {"a": np.array(["b"])},
            DtypeError,
            "save: expected 'a' to be a Tensor or ndarray of numbers, got <U1.",
        ),
        (
            {"a/b": X, "a": {"b": X}},
            ArgumentError,
            "save: expected one array per path, got two at 'a/b'.",
        ),
    ],
)
def test_values_a_tree_cannot_store_raise_and_leave_no_file(tmp_path, tree, error, words):
    with pytest.raises(error, match=f"^{re.escape(words)}"):
        save_tree(tmp_path / "a", tree)
    assert list(tmp_path.iterdir()) == []


if __name__ == "__main__":
    where, kind, count, cut, its_seed = sys.argv[1:]
    run(where, kind, int(count), None if cut == "-" else cut, int(its_seed))
