"""The list of models, and loading them: runs that are broken, unfinished, changed or foreign."""

import os
import threading

import numpy as np
import pytest

from tinygrad_np import random, train
from tinygrad_np.cli.config import RunConfig
from tinygrad_np.cli.parts import make_model
from tinygrad_np.errors import ArgumentError, DataError
from tinygrad_np.playground.library import BUNDLED, Library

pytestmark = pytest.mark.slow


def make_run(folder, *, weights="model.safetensors", seed=0, **settings):
    """Write the config and random weights of a run, and return its directory."""
    config = RunConfig(**{"model": "DigitsCNN", "data": "digits"} | settings)
    folder.mkdir(parents=True, exist_ok=True)
    config.write(folder / "config.json")
    model = make_model(config.model, config.model_options, seed)
    train.save(folder / weights, model.state_dict())
    return folder


def write_model(folder, classes=10):
    """Write a user's model, without a generator, and return the file."""
    source = folder / "mine.py"
    source.write_text(
        "from tinygrad_np import nn\n"
        "class Net(nn.Module):\n"
        "    def __init__(self):\n"
        f"        self.fc = nn.Linear(64, {classes})\n"
        "    def forward(self, x):\n"
        "        return self.fc(x.flatten(1))\n"
    )
    return source


@pytest.fixture
def library(tmp_path):
    bundled = make_run(tmp_path / "bundled", model="MnistCNNLight")
    return Library(tmp_path / "runs", bundled / "model.safetensors")


def names(library):
    return [choice.name for choice in library.choices()[0]]


def test_the_bundled_model_comes_first_and_then_the_newest_run(library, tmp_path):
    assert names(library) == [BUNDLED]
    for name, age, file in (
        ("old", 300, "model.safetensors"),
        ("new", 100, "model.safetensors"),
        ("middle", 200, "model.safetensors"),
        ("unfinished", 0, "last.safetensors"),
    ):
        run = make_run(tmp_path / "runs" / name, weights=file)
        os.utime(run / file, ns=(10**18 - age, 10**18 - age))
    assert names(library) == [BUNDLED, "run/new", "run/middle", "run/old", "run/unfinished"]


def test_a_choice_says_what_the_model_was_trained_on(library, tmp_path):
    make_run(tmp_path / "runs" / "clothes", model="LeNet", data="fashion-mnist")
    make_run(tmp_path / "runs" / "unfinished", weights="last.safetensors")
    bundled, *others = library.choices()[0]
    clothes, unfinished = sorted(others, key=lambda choice: choice.title)
    assert (bundled.title, bundled.side) == ("Bundled model", 28)
    assert bundled.note.startswith("trained on 1438 small digits; reads 89% of MNIST's test digits")
    assert (clothes.side, clothes.classes[0]) == (28, "T-shirt/top")
    assert "clothes" in clothes.note
    assert (unfinished.side, unfinished.classes) == (8, tuple("0123456789"))
    assert [choice.is_finished for choice in (bundled, clothes, unfinished)] == [True, True, False]
    assert unfinished.note == "unfinished run, with the weights of its last epoch"


def test_broken_runs_are_left_out_with_the_reason(library, tmp_path):
    runs = tmp_path / "runs"
    make_run(runs / "good")
    for name, text in (("half", '{"model": "Dig'), ("list", "[]"), ("other", '{"depth": 3}')):
        make_run(runs / name)
        (runs / name / "config.json").write_text(text)
    (make_run(runs / "started") / "model.safetensors").unlink()
    make_run(runs / "folder")
    (runs / "folder" / "config.json").unlink()
    (runs / "folder" / "config.json").mkdir()
    (runs / "empty").mkdir()
    (runs / "corrections.safetensors").write_bytes(b"")
    choices, reasons = library.choices()
    assert [choice.name for choice in choices] == [BUNDLED, "run/good"]
    assert set(reasons) == {"half", "list", "other", "started", "folder"}
    assert "cannot parse the file as JSON" in reasons["half"]
    assert "depth" in reasons["other"]
    assert reasons["started"].endswith("started has no weights yet.")


def test_diverged_runs_are_left_out(library, tmp_path):
    runs = tmp_path / "runs"
    for name, text in (
        ("bad", '{"fault": "fit: the loss is nan."}'),
        ("good", '{"fault": ""}'),
        ("half", "{"),
        ("list", "[]"),
        ("none", "{}"),
    ):
        make_run(runs / name)
        (runs / name / "metrics.json").write_text(text)
    choices, reasons = library.choices()
    assert {choice.title for choice in choices[1:]} == {"good", "half", "list", "none"}
    assert reasons == {"bad": "fit: the loss is nan."}


def test_runs_on_points_are_not_listed(library, tmp_path):
    options = {"inputs": 2, "hidden": [4], "classes": 2}
    make_run(tmp_path / "runs" / "moons", model="MLP", model_options=options, data="moons")
    choices, reasons = library.choices()
    assert ([choice.name for choice in choices], reasons) == ([BUNDLED], {})
    with pytest.raises(ArgumentError, match="a model for images, got one trained on moons"):
        library.load("run/moons")


def test_a_missing_directory_of_runs_or_a_file_in_its_place_lists_the_bundled_model(tmp_path):
    (tmp_path / "file").write_text("")
    for runs in (tmp_path / "missing", tmp_path / "file"):
        assert names(Library(runs)) == [BUNDLED]


def test_a_users_model_is_loaded_and_a_missing_file_is_named(library, tmp_path):
    source = write_model(tmp_path)
    make_run(tmp_path / "runs" / "mine", model=f"{source}:Net")
    before = random.default_generator()
    assert type(library.load("run/mine").model).__name__ == "Net"
    assert random.default_generator() is before
    source.unlink()
    assert library.choices()[1] == {"mine": f"{source} is missing."}
    with pytest.raises(ArgumentError, match="expected an existing Python file"):
        Library(tmp_path / "runs").load("run/mine")


def test_models_are_kept_and_a_run_that_trains_on_is_loaded_again(library, tmp_path):
    run = make_run(tmp_path / "runs" / "run")
    first = library.load("run/run")
    assert library.load("run/run") is first
    assert not any(module.training for module in first.model.modules())
    make_run(run, seed=1)
    os.utime(run / "model.safetensors", ns=(10**18, 10**18))
    second = library.load("run/run")
    assert not np.array_equal(first.model.fc.weight.data, second.model.fc.weight.data)
    # A finished run has model.safetensors, which replaces the last epoch.
    train.save(run / "last.safetensors", first.model.state_dict())
    assert library.load("run/run") is second


def test_the_models_used_last_stay_loaded(library, tmp_path):
    loaded = {}
    for n in range(4):
        make_run(tmp_path / "runs" / f"{n}")
        loaded[n] = library.load(f"run/{n}")
    assert library.load("run/0") is loaded[0]
    library.load(BUNDLED)
    assert library.load("run/0") is loaded[0]
    assert library.load("run/1") is not loaded[1]


@pytest.mark.parametrize(
    "name", ["", "mine", "run/", "run/..", "run/../bundled", "run/.", "/etc", "run/mine/", "run/no"]
)
def test_other_names_lead_nowhere(library, tmp_path, name):
    make_run(tmp_path / "runs" / "mine")
    with pytest.raises(ArgumentError, match="model: expected 'bundled' or the name of a run"):
        library.load(name)


def test_models_that_cannot_be_used_are_refused(library, tmp_path):
    run = make_run(tmp_path / "runs" / "run")
    weights = run / "model.safetensors"
    good = train.load(weights)
    for state, error, words in (
        ({"fc.weight": np.zeros((2, 2), np.float32)}, DataError, "does not match the model"),
        (good | {"fc.bias": np.full(10, np.nan, np.float32)}, DataError, "^run: expected finite"),
    ):
        train.save(weights, state)
        with pytest.raises(error, match=words):
            library.load("run/run")
    weights.write_bytes(b"half")
    with pytest.raises(DataError, match="expected a safetensors file"):
        library.load("run/run")
    weights.unlink()
    with pytest.raises(DataError, match="not found"):
        library.load("run/run")
    # A repaired run works at once: a failure is not kept.
    train.save(weights, good)
    library.load("run/run")


def test_runs_with_other_outputs_are_refused(library, tmp_path):
    make_run(tmp_path / "runs" / "run", model=f"{write_model(tmp_path, classes=7)}:Net")
    with pytest.raises(ArgumentError, match=r"expected logits of shape \(1, 10\)"):
        library.load("run/run")


def test_threads_load_a_model_once(library, tmp_path):
    make_run(tmp_path / "runs" / "run")
    found = []
    threads = [
        threading.Thread(target=lambda: found.append(library.load("run/run"))) for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 1


def test_inputs_are_normalized_as_in_training(library, tmp_path):
    make_run(tmp_path / "runs" / "mnist", model="MnistCNNLight", data="mnist")
    image = np.full((1, 28, 28), 255, np.uint8)
    mnist = library.load("run/mnist").inputs(image)
    assert (mnist.shape, mnist.dtype) == ((1, 1, 28, 28), np.float32)
    np.testing.assert_allclose(mnist, (1 - 0.1307) / 0.3081, rtol=1e-6)
    np.testing.assert_allclose(library.load(BUNDLED).inputs(image), 1.0)
