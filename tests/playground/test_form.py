"""The form: its choices, and the configuration that a request asks for."""

import json

import pytest

from tests.tools import each
from tinygrad_np.cli.config import RunConfig
from tinygrad_np.cli.models import built_in_models
from tinygrad_np.errors import ArgumentError, NotFiniteError
from tinygrad_np.playground import form
from tinygrad_np.playground.form import choices, error_for_page, find_runs, make_config
from tinygrad_np.playground.settings import Settings

pytestmark = pytest.mark.slow

OWN = """
from tinygrad_np import nn

class LeNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(64, 10)

    def forward(self, x):
        return self.linear(x.flatten(1))
"""


@pytest.fixture
def settings(tmp_path):
    return Settings(runs=tmp_path / "runs", data_dir="/data")


def test_config_has_the_fields_of_the_request(settings):
    given = {"data": "digits", "model": "LeNet", "lr": 0.1, "shift": 1, "flip": True, "epochs": 4}
    assert make_config(given, settings) == RunConfig(**given, data_dir="/data")


@pytest.mark.parametrize(("data", "inputs", "classes"), [("moons", 2, 2), ("digits", 784, 10)])
def test_sizes_of_an_mlp_follow_the_data(settings, data, inputs, classes):
    config = make_config({"data": data, "model": "MLP", "hidden": [8, 4]}, settings)
    assert config.model_options == {"inputs": inputs, "hidden": [8, 4], "classes": classes}


@each(
    "given,words,field",
    [
        ({"data_dir": "/etc"}, "expected only the fields data, model", None),
        ({"model": "path/to/file.py:Class"}, "Model: expected one of DigitsCNN", "model"),
        ({"model": ["LeNet"]}, "Model: expected one of", "model"),
        ({"data": "cifar"}, "Data: expected one of mnist", "data"),
        ({"data": "/etc"}, "moons, spirals, got '/etc'.", "data"),
        ({"data": ["digits"]}, "Data: expected one of mnist", "data"),
        ({"lr": -1}, "Learning rate: expected a finite number > 0, got -1", "lr"),
        ({"lr": "1"}, "Learning rate: expected a finite number > 0", "lr"),
        ({"batch_size": 0.5}, "Batch size: expected an integer >= 1, got 0.5", "batch_size"),
        ({"epochs": True}, "Epochs: expected an integer >= 1", "epochs"),
        ({"epochs": 10_001}, "Epochs: expected at most 10,000, got 10,001.", "epochs"),
        ({"epochs": 5000, "batch_size": 16}, "at most 10,000,000 steps, got 18,750,000", "epochs"),
        ({"train_samples": 99}, "samples: expected at least 100, got 99.", "train_samples"),
        ({"data": "moons", "model": "MLP", "hidden": []}, "expected 1 to 8 layers", "hidden"),
        ({"data": "moons", "model": "MLP", "hidden": [513]}, "1 to 512 units", "hidden"),
        ({"data": "moons", "model": "MLP", "hidden": [2.0]}, "1 to 512 units", "hidden"),
        ({"data": "moons", "model": "MLP", "hidden": "16"}, "got '16'", "hidden"),
        ({"data": "digits", "model": "LeNet", "hidden": [4]}, "only for the model MLP", "hidden"),
        ({"data": "moons", "model": "LeNet"}, "made for images", "data"),
        ({"data": "moons", "model": "MLP", "shift": 2}, "Shift: expected no augmentation", "shift"),
    ],
)
def test_bad_requests_name_the_control(settings, given, words, field):
    with pytest.raises(ArgumentError) as caught:
        make_config(given, settings)
    found = error_for_page(caught.value)
    assert words in found["error"]
    assert found["field"] == field


def run_of(settings, name, **changes):
    """Write the files of a run that has weights."""
    folder = settings.runs / name
    folder.mkdir(parents=True, exist_ok=True)
    RunConfig(**changes).write(folder / "config.json")
    (folder / "model.safetensors").write_bytes(b"")
    (folder / "training.safetensors").write_bytes(b"")
    return folder


def test_weights_bring_the_sizes_of_their_model(settings):
    options = {"inputs": 784, "hidden": [9, 7], "classes": 10}
    run_of(settings, "a", model="MLP", model_options=options, standardise=False)
    given = {"data": "mnist", "model": "MLP", "hidden": [4], "weights_of": "run/a"}
    config = make_config(given, settings)
    assert (config.model_options, config.standardise) == (options, False)
    assert choices(settings)["weights"][-1]["hidden"] == [9, 7]
    other = make_config({**given, "weights_of": "bundled"}, settings)
    assert (other.model_options["hidden"], other.standardise) == ([4], True)


def test_weights_of_a_diverged_run_are_not_offered(settings):
    folder = run_of(settings, "a", model="LeNet")
    assert list(form.weight_choices(settings.runs, find_runs(settings.runs))) == [
        "bundled",
        "run/a",
    ]
    metrics = {"fault": "nan", "test_accuracy": None, "epochs": 1, "config": {}}
    (folder / "metrics.json").write_text(json.dumps(metrics))
    assert list(form.weight_choices(settings.runs, find_runs(settings.runs))) == ["bundled"]
    (listed,) = choices(settings)["resumable"]
    assert (listed["has_diverged"], listed["is_finished"]) == (True, False)


@each(
    "changes,words",
    [
        ({"schedule": "cosine"}, "Its cosine schedule fixes its length."),
        ({"schedule": "constant", "steps": 30}, "Its limit of 30 steps fixes its length."),
        ({"schedule": "constant", "warmup": 0.1}, "Its warmup fixes its length."),
        ({"schedule": "constant"}, ""),
    ],
)
def test_page_says_what_fixes_the_length_of_a_run(settings, changes, words):
    run_of(settings, "a", **changes)
    assert choices(settings)["resumable"][0]["fixes_length"] == words


def test_divergence_is_reported_without_the_names_of_functions():
    facts = "the loss is nan at step 2 (epoch 1, learning rate 9). The weights are unchanged."
    advice = "Try a smaller learning rate or clip_norm=1.0. Call fit inside debug()."
    found = error_for_page(NotFiniteError(f"Trainer.fit: {facts} {advice}"))
    assert found == {"error": f"T{facts[1:]} Try a smaller learning rate.", "field": None}


@each("data", ["fashion-mnist", "moons"])
def test_only_digits_take_corrections(settings, data):
    settings.runs.mkdir(exist_ok=True)
    (settings.runs / form.CORRECTIONS).write_bytes(b"")
    model = "MLP" if data == "moons" else "LeNet"
    with pytest.raises(ArgumentError) as caught:
        make_config({"data": data, "model": model, "corrections": True}, settings)
    found = error_for_page(caught.value)
    assert found["field"] == "corrections"
    assert "mnist or digits" in found["error"]


def test_choices_are_json_and_their_presets_are_valid(settings):
    found = json.loads(json.dumps(choices(settings), allow_nan=False))
    assert {one["name"] for one in found["data"]} == set(form._DATA) == set(form.DATA)
    for one in found["data"]:
        preset = {"data": one["name"], **one["preset"]}
        make_config(preset, settings)
    assert found["fields"]["lr"]["above"] == 0
    assert found["fields"]["erasing"]["most"] == 1
    assert found["fields"]["epochs"]["most"] == 10_000
    assert found["fields"]["train_samples"]["least"] == 100
    assert found["rates"]["adam"] == 0.002
    assert (found["corrections"], found["resumable"]) == (0, [])


def test_models_come_with_the_data_that_fits(settings):
    fitting = {one["name"]: one["data"] for one in choices(settings)["models"]}
    assert set(fitting) == set(built_in_models())
    assert fitting["DigitsCNN"] == ("digits",)
    assert fitting["LeNet"] == ("mnist", "fashion-mnist", "digits")
    assert fitting["MLP"] == ("mnist", "fashion-mnist", "digits", "moons", "spirals")


def test_own_models_have_names_without_paths(tmp_path):
    path = tmp_path / "own.py"
    path.write_text(OWN)
    settings = Settings(runs=tmp_path, models=(f"{path}:LeNet",))
    own = choices(settings)["models"][-1]
    assert own == {"name": "LeNet (2)", "data": ("digits",), "is_own": True}
    config = make_config({"data": "digits", "model": "LeNet (2)"}, settings)
    assert config.model == f"{path}:LeNet"


def test_runs_with_damaged_files_or_own_images_are_left_out(tmp_path):
    for name, text in (("good", "{}"), ("bad", "{"), ("other", '{"a": 1}')):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text(text)
    (tmp_path / "file").write_text("")
    run_of(Settings(runs=tmp_path), "own", data="/home/me/images")
    assert find_runs(tmp_path) == {"good": RunConfig()}
    assert find_runs(tmp_path / "missing") == {}
    assert [one["name"] for one in choices(Settings(runs=tmp_path))["weights"]] == ["bundled"]


def test_damaged_corrections_do_not_break_the_form(settings):
    settings.runs.mkdir()
    (settings.runs / form.CORRECTIONS).write_bytes(b"damaged")
    assert choices(settings)["corrections"] == 0
