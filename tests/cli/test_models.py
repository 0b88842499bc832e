"""Models by name, module and file; every command accepts a user's own model."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import models
from tinygrad_np import nn, train
from tinygrad_np.cli import main
from tinygrad_np.cli.config import RunConfig
from tinygrad_np.cli.models import absolute_spec, built_in_models, is_spec, model_class
from tinygrad_np.cli.parts import image_shape, make_model
from tinygrad_np.errors import ArgumentError

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
FILE = """
from tinygrad_np import nn
from sizes import HIDDEN

class Net(nn.Module):
    def __init__(self, hidden: int = HIDDEN, *, bias: bool = True):
        self.flatten = nn.Flatten()
        self.first = nn.Linear(64, hidden, bias)
        self.dropout = nn.Dropout(0.1)
        self.second = nn.Linear(hidden, 10)

    def forward(self, x):
        return self.second(self.dropout(self.first(self.flatten(x)).relu()))

class Seeded(nn.Module):
    def __init__(self, generator):
        self.linear = nn.Linear(3, 3, generator=generator)

class Free(nn.Module):
    def __init__(self, **options):
        self.options = options

class Unready(nn.Module):
    def __init__(self, sizes):
        pass

class Wrong(nn.Module):
    def __init__(self):
        self.linear = nn.Linear(3, 0)

class Plain:
    pass

def build():
    return Net()
"""
QUICK = ["--data", "digits", "--train-samples", "300", "--no-figures", "--schedule", "constant"]


@pytest.fixture
def user(tmp_path, monkeypatch):
    """Make a working directory with a file, a package and a `models.py`, and return it."""
    (tmp_path / "net.py").write_text(FILE)
    (tmp_path / "sizes.py").write_text("HIDDEN = 12\n")
    (tmp_path / "models.py").write_text("raise RuntimeError('the models of the user')\n")
    package = tmp_path / "own_package"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "sizes.py").write_text("HIDDEN = 7\n")
    (package / "net.py").write_text(FILE.replace("from sizes", "from .sizes"))
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    for name in ("sizes", "own_package", "own_package.net", "own_package.sizes"):
        sys.modules.pop(name, None)


def test_built_in_models_are_loaded_by_path(user):
    assert set(built_in_models()) == set(models.__all__)
    assert model_class("LeNet").__module__ != "models.lenet"


@pytest.mark.parametrize("shadow", ["models.py", "models/__init__.py"])
def test_a_users_models_do_not_shadow_the_built_in_ones(tmp_path, shadow):
    path = tmp_path / shadow
    path.parent.mkdir(exist_ok=True)
    path.write_text("raise RuntimeError\n")
    command = [sys.executable, "-m", "tinygrad_np", "summary", "LeNet"]
    env = {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=env)
    assert done.returncode == 0, done.stderr
    assert "61,750 parameters" in done.stdout


def test_nothing_in_the_package_imports_models():
    for path in (ROOT / "tinygrad_np").rglob("*.py"):
        lines = [line.strip(" >.") for line in path.read_text().splitlines()]
        assert not [line for line in lines if line.startswith(("import models", "from models"))]


@pytest.mark.parametrize("spec", ["net.py:Net", "own_package.net:Net"])
def test_every_command_accepts_a_users_model(user, spec, capsys, monkeypatch):
    assert main(["train", "--model", spec, *QUICK, "--epochs", "1"]) == 0
    assert "Net on digits" in capsys.readouterr().out
    run = user / "runs" / "Net-digits"
    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics["model"] == "Net"
    elsewhere = user / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    assert main(["evaluate", str(run)]) == 0
    assert f"accuracy {metrics['test_accuracy']:.2%}" in capsys.readouterr().out
    assert main(["train", "--resume", str(run), "--epochs", "2", "--no-figures"]) == 0
    monkeypatch.chdir(user)
    for command in ("summary", "gradcheck"):
        assert main([command, spec, "--data", "digits"]) == 0
        assert "second" in capsys.readouterr().out
    assert main(["graph", spec, "--data", "digits", "--out", "net.dot"]) == 0
    assert "second" in Path("net.dot").read_text()


def test_predict_with_a_users_model(user, capsys):
    model = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
    train.save("model.safetensors", model.state_dict())
    Path("config.json").write_text('{"model": "tinygrad_np.nn:Sequential"}')
    (user / "net.py").write_text(
        "from tinygrad_np import nn\n"
        "class Net(nn.Sequential):\n"
        "    def __init__(self):\n"
        "        super().__init__(nn.Flatten(), nn.Linear(784, 10))\n"
    )
    Image.fromarray(np.eye(28, dtype=np.uint8) * 255).save("digit.png")
    assert main(["predict", ".", "digit.png", "--model", "net.py:Net"]) == 0
    assert capsys.readouterr().out.startswith("digit.png: ")


def test_predict_requires_digits(user, capsys):
    train.save("model.safetensors", model_class("FashionCNN")().state_dict())
    Path("config.json").write_text('{"model": "FashionCNN", "data": "fashion-mnist"}')
    assert main(["predict", ".", "a.png"]) == 2
    expected = "expected a model for digits, got . (FashionCNN, trained on fashion-mnist). Try one"
    assert expected in capsys.readouterr().err


def test_evaluate_with_a_moved_class_is_an_error(user, capsys):
    assert main(["train", "--model", "net.py:Net", *QUICK, "--epochs", "1"]) == 0
    (user / "net.py").rename(user / "moved.py")
    assert main(["evaluate", "runs/Net-digits"]) == 2
    assert f"expected an existing Python file, got {user / 'net.py'}." in capsys.readouterr().err
    assert main(["evaluate", "runs/Net-digits", "--model", "moved.py:Net"]) == 0
    flags = ["--resume", "runs/Net-digits", "--epochs", "2", "--no-figures"]
    assert main(["train", *flags, "--model", "moved.py:Net"]) == 0
    config = json.loads((user / "runs/Net-digits/config.json").read_text())
    assert config["model"] == f"{user / 'moved.py'}:Net"


def test_absolute_spec_resolves_only_files_of_the_user(user):
    assert absolute_spec("LeNet") == "LeNet"
    assert absolute_spec("net.py:Net") == f"{user / 'net.py'}:Net"
    assert absolute_spec("own_package.net:Net") == f"{user / 'own_package.net'}:Net"
    assert absolute_spec("json.decoder:JSONDecoder") == "json.decoder:JSONDecoder"
    assert absolute_spec("./json.decoder:JSONDecoder") == f"{user / 'json.decoder'}:JSONDecoder"
    for spec in (f"{user / 'net.py'}:Net", f"{user / 'own_package.net'}:Net"):
        assert absolute_spec(spec) == spec


@pytest.mark.parametrize("text", ["LeNet", ":Net", "net.py:", "net.py:a b", ""])
def test_other_strings_are_not_specs(text):
    assert not is_spec(text)


def test_make_model_passes_options_and_seed(user):
    assert make_model("net.py:Net", {"hidden": 5, "bias": False}).first.bias is None
    assert make_model("net.py:Free", {"any": 3}).options == {"any": 3}
    for spec, name in (("net.py:Net", "first.weight"), ("net.py:Seeded", "linear.weight")):
        first, again, other = (make_model(spec, {}, seed).state_dict() for seed in (1, 1, 2))
        assert np.array_equal(first[name], again[name])
        assert not np.array_equal(first[name], other[name])


def test_image_shape_depends_on_model_and_dataset(user):
    for model, data, side in [
        ("net.py:Net", "digits", 8),
        ("net.py:Net", "mnist", 28),
        ("LeNet", "digits", 28),
        ("DigitsCNN", "digits", 8),
    ]:
        assert image_shape(RunConfig(model=model, data=data)) == (1, side, side)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("Net", "--model: expected one of DigitsCNN, FashionCNN"),
        ("net.py", "--model: expected one of DigitsCNN, FashionCNN"),
        ("away.py:Net", "away.py:Net: expected an existing Python file, got away.py."),
        ("away.net:Net", "importing away.net failed with ModuleNotFoundError: No module"),
        ("models.py:Net", "importing models.py failed with RuntimeError: the models of"),
        ("broken.py:Net", "importing broken.py failed with SyntaxError: "),
        ("net.py:Nte", "net.py has no class 'Nte'. Try Net, Seeded, Free, Unready"),
        ("net.py:Plain", "expected a subclass of tinygrad_np.nn.Module, got class Plain."),
        ("net.py:build", "expected a subclass of tinygrad_np.nn.Module, got function."),
        (
            "net.py:Unready",
            "constructing the class with no arguments failed with TypeError: Unready.__init",
        ),
        ("net.py:Wrong", "failed with ArgumentError: Linear"),
        ("net.py:Seeded", "--model-options: expected no options for Seeded, got size."),
        ("net.py:Net", "--model-options: expected hidden, bias for Net, got size."),
    ],
)
def test_invalid_specs_are_errors(user, spec, message, capsys):
    (user / "broken.py").write_text("class Net(:\n")
    options = '{"size": 3}' if "--model-options" in message else "{}"
    assert main(["summary", spec, "--model-options", options]) == 2
    assert message in capsys.readouterr().err


def test_errors_name_the_line_in_the_users_file(user):
    line = FILE.splitlines().index("        self.linear = nn.Linear(3, 0)") + 1
    with pytest.raises(ArgumentError, match=rf"net\.py:{line}\)\. Give its parameters default "):
        make_model("net.py:Wrong", {})
