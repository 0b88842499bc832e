"""The commands on points in the plane: two moons and spirals."""

import json

import pytest

from tests.tools import each
from tinygrad_np.cli import main
from tinygrad_np.cli.config import RunConfig
from tinygrad_np.errors import ArgumentError

pytestmark = pytest.mark.slow

OPTIONS = {"inputs": 2, "hidden": [16, 16], "classes": 2}
MODEL = ["--model", "MLP", "--model-options", json.dumps(OPTIONS)]
TRAIN = ["train", "--data", "spirals", *MODEL, "--lr", "0.02", "--batch-size", "32"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Return a run on spirals with figures."""
    folder = tmp_path_factory.mktemp("points") / "run"
    assert main([*TRAIN, "--epochs", "60", "--out", str(folder)]) == 0
    return folder


def test_an_mlp_learns_the_spirals(run):
    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics["test_accuracy"] >= 0.95
    assert metrics["test_samples"] == 200
    for name in ("curves.png", "predictions.png", "confusion.png", "calibration.png", "graph.svg"):
        assert (run / name).stat().st_size > 1000, name


def test_messages_count_points(run, tmp_path, capsys):
    flags = ["--epochs", "1", "--train-samples", "100", "--out", str(tmp_path / "run")]
    assert main([*TRAIN, *flags, "--no-figures"]) == 0
    out = capsys.readouterr().out
    assert out.startswith(
        "spirals: 90 training, 10 validation and 200 test points in 2 classes, out of 800 + 200 "
        "points from data.spirals(noise=0.1, seed=0), loaded in "
    )
    assert "on 200 points, " in out
    assert main(["evaluate", str(run)]) == 0
    out = capsys.readouterr().out
    assert out.startswith("MLP on the test set of spirals (200 points)\nloss 0.")
    assert "top-3" not in out
    assert "second spiral" in out


def test_a_run_on_points_resumes(tmp_path):
    out, whole = tmp_path / "run", tmp_path / "whole"
    flags = ["--schedule", "constant", "--no-figures"]
    assert main([*TRAIN, *flags, "--epochs", "1", "--out", str(out)]) == 0
    assert main(["train", "--resume", str(out), "--epochs", "2", "--no-figures"]) == 0
    assert main([*TRAIN, *flags, "--epochs", "2", "--out", str(whole)]) == 0
    assert (out / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()


def test_predict_refuses_a_model_for_points(run, capsys):
    assert main(["predict", str(run), "seven.png"]) == 2
    message = f"predict: expected a model for digits, got {run} (MLP, trained on spirals). Try one"
    assert message in capsys.readouterr().err


def test_a_model_of_the_user_takes_points(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.py").write_text(
        "from tinygrad_np import nn\n\n\n"
        "class Net(nn.Module):\n"
        "    def __init__(self):\n        self.fc = nn.Linear(2, 2)\n\n"
        "    def forward(self, x):\n        return self.fc(x.flatten(1))\n"
    )
    assert main(["train", "--model", "net.py:Net", "--data", "digits"]) == 2
    assert "Try --data moons." in capsys.readouterr().err
    flags = ["--epochs", "1", "--no-figures"]
    assert main(["train", "--model", "net.py:Net", "--data", "moons", *flags]) == 0


def test_models_for_points_can_be_inspected(tmp_path, capsys):
    model = ["MLP", *MODEL[2:], "--data", "moons"]
    assert main(["summary", *model]) == 0
    assert "354 parameters" in capsys.readouterr().out
    assert main(["gradcheck", *model]) == 0
    assert main(["graph", *model, "--out", str(tmp_path / "mlp.dot")]) == 0


@each(
    ("settings", "message"),
    [
        (
            {"model": "MnistCNN"},
            "--data moons: expected --model MLP or your own model for points in the plane, got "
            "--model MnistCNN, which is made for images.",
        ),
        (
            {"model": "MLP", "model_options": {"hidden": [4]}},
            "--model MLP: expected 2 inputs and 2 classes for --data moons, got --model-options "
            "'{\"hidden\": [4]}'. Try --model-options '"
            '{"inputs": 2, "hidden": [16, 16], "classes": 2}\'.',
        ),
        (
            {"model": "MLP", "model_options": OPTIONS, "rotation": 10},
            "--rotation: expected no augmentation with --data moons, whose samples are points, got "
            "10.0.",
        ),
        (
            {"model": "MLP", "model_options": OPTIONS, "flip": True},
            "--flip: expected no augmentation with --data moons, whose samples are points, got "
            "True.",
        ),
        (
            {"model": "DigitsCNN"},
            "--model DigitsCNN: expected --data digits (8x8 images), got --data moons.",
        ),
    ],
)
def test_settings_that_do_not_suit_points(settings, message):
    with pytest.raises(ArgumentError) as caught:
        RunConfig(data="moons", **settings)
    assert str(caught.value) == message
