"""Tests of examples/fashion_mnist.py, with and without early stopping."""

import json

import pytest

from models import FashionCNN
from tests.examples.tools import files_of, run
from tinygrad_np import train


@pytest.mark.slow
def test_example_writes_figures_weights_and_history(tmp_path):
    done = run("fashion_mnist", tmp_path, "--quick", "--patience", "2")
    assert done.returncode == 0, done.stderr
    assert "1,630,282 parameters" in done.stdout
    assert "EarlyStopping: restored the weights of epoch 1 (" in done.stdout
    for part in ("macro mean", "expected calibration error", "test accuracy "):
        assert part in done.stdout
    drawn = {"images", "curves", "confusion", "predictions", "calibration"}
    kept = {f"{name}.safetensors" for name in ("best", "last", "model", "training")}
    kept |= {"history.json", "config.json"}
    assert files_of(tmp_path) == {f"{name}.png" for name in drawn} | kept
    (epoch,) = json.loads((tmp_path / "out" / "history.json").read_text())
    best = train.load(tmp_path / "out" / "best.safetensors")
    FashionCNN().load_state_dict(best)
    assert epoch["validation_accuracy"] > 0.3, "no better than guessing among ten classes"


@pytest.mark.slow
def test_run_without_patience_has_no_early_stopping(tmp_path):
    done = run("fashion_mnist", tmp_path, "--quick", "--epochs", "2")
    assert done.returncode == 0, done.stderr
    assert "epoch 2/2" in done.stdout
    assert "EarlyStopping" not in done.stdout
    refused = run("fashion_mnist", tmp_path, "--quick", "--epochs", "0")
    assert refused.returncode == 2
    assert "--epochs: expected an integer >= 1, got 0." in refused.stderr
