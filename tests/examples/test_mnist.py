"""Tests of examples/mnist.py, run as a user would: output, files and errors."""

import gzip
import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import mnist
from models import MnistCNN
from tests.examples.tools import MNIST, ROOT, environment, files_of, real_mnist, run, run_here
from tinygrad_np import train
from tinygrad_np.cli import main as cli_main
from tinygrad_np.console import run_program

pytestmark = pytest.mark.slow

FILES = {
    *("config.json", "metrics.json", "model.safetensors", "graph.svg", "graph.dot"),
    *("curves.png", "predictions.png", "confusion.png", "calibration.png"),
}


def metrics_of(folder):
    """Return the metrics written by the run."""
    return json.loads((folder / "out" / "metrics.json").read_text())


def test_digits_replace_missing_mnist(tmp_path):
    done = run("mnist", tmp_path)
    assert done.returncode == 0, done.stderr
    assert "MNIST was not found and could not be downloaded. Tried:" in done.stdout
    assert "Using the 8x8 digits bundled with the package instead" in done.stdout
    metrics = metrics_of(tmp_path)
    assert metrics["dataset"] == "digits"
    assert "the connection failed" in done.stdout
    assert metrics["model"] == "MnistCNN"
    assert metrics["test_accuracy"] >= 0.95
    assert metrics["history"][0]["test_accuracy"] < 0.95, "one epoch should not be enough"
    assert files_of(tmp_path) == FILES
    model = MnistCNN()
    model.load_state_dict(train.load(tmp_path / "out" / "model.safetensors"))


@real_mnist
def test_one_epoch_of_mnist_reaches_98_5_percent(tmp_path):
    """One epoch, bounded on both sides: no network of this size reaches 99.8%."""
    done = run("mnist", tmp_path, "--epochs", "1", data=MNIST)
    assert done.returncode == 0, done.stderr
    metrics = metrics_of(tmp_path)
    accuracies = [entry["test_accuracy"] for entry in metrics["history"]]
    assert metrics["dataset"] == "mnist"
    assert 0.985 <= accuracies[0] < 0.998
    assert metrics["test_accuracy"] == accuracies[0]


@real_mnist
def test_sample_flags_limit_both_sets(tmp_path):
    flags = "--model LabCNN --train-samples 1000 --test-samples 100 --epochs 2"
    done = run("mnist", tmp_path, *flags.split(), data=MNIST)
    assert (
        "mnist: 1000 of 60000 training and 100 of 10000 test images of shape 1x28x28" in done.stdout
    )
    assert re.search(r", loaded in \d+\.\d\d s$", done.stdout, re.MULTILINE)
    origin = metrics_of(tmp_path)["dataset_origin"]
    assert Path(origin) == Path(MNIST) / "mnist"
    assert f"from {origin}" in done.stdout
    assert 0.5 < metrics_of(tmp_path)["test_accuracy"] < 0.98


@real_mnist
def test_fashion_mnist_trains(tmp_path):
    flags = "--data fashion-mnist --model MnistCNNLight --train-samples 2000 --epochs 1"
    done = run("mnist", tmp_path, *flags.split(), data=MNIST)
    assert done.returncode == 0, done.stderr
    assert metrics_of(tmp_path)["dataset"] == "fashion-mnist"
    assert 0.5 < metrics_of(tmp_path)["test_accuracy"] < 0.9


QUICK = "--data digits --model MnistCNNLight --train-samples 300 --epochs 2 --no-figures"


def test_a_second_run_has_its_own_folder_that_the_commands_accept(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["mnist.py", *QUICK.split()])
    for name in ("runs/mnist", "runs/mnist-2"):
        assert run_program(mnist.main) == 0
        printed = capsys.readouterr().out
        assert f"output directory: {name}/\n" in printed
        accuracy = re.search(r"test accuracy (\S+) on 359 images; .* files in (\S+)/\n", printed)
        assert accuracy[2] == name
        assert cli_main(["evaluate", name]) == 0
        assert f"accuracy {accuracy[1]}, top-3" in capsys.readouterr().out
    assert run_here(mnist, tmp_path / "runs", monkeypatch, *QUICK.split(), "--out", name) == 2
    assert f"an earlier run, got {name}, which holds config.json. Choose another directory.\n" in (
        capsys.readouterr().err
    )
    Image.fromarray(np.pad(np.full((20, 8), 255, np.uint8), 10)).save("one.png")
    assert cli_main(["predict", "runs/mnist-2", "one.png"]) == 0


def test_same_seed_gives_same_metrics(tmp_path):
    found = []
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        folder = tmp_path / name
        folder.mkdir()
        done = run("mnist", folder, *QUICK.split(), "--seed", str(seed))
        assert done.returncode == 0, done.stderr
        assert files_of(folder) == {"config.json", "metrics.json", "model.safetensors"}
        assert len(re.findall("^epoch ", done.stdout, re.MULTILINE)) == 2
        found.append((metrics_of(folder)["history"], train.load(folder / "out/model.safetensors")))
    for history, _ in found:
        for entry in history:
            del entry["seconds"]
    assert found[0][0] == found[1][0] != found[2][0]
    for name, array in found[0][1].items():
        np.testing.assert_array_equal(array, found[1][1][name])


@pytest.mark.skipif(sys.platform == "win32", reason="sends SIGINT")
def test_ctrl_c_saves_the_weights_so_far(tmp_path):
    command = [sys.executable, "-u", "examples/mnist.py", "--out", str(tmp_path / "out")]
    command += ["--data", "digits", "--epochs", "100000", "--model", "MnistCNNLight"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, env=environment(tmp_path), cwd=ROOT, **pipes) as process:
        for line in process.stdout:
            if line.startswith("epoch 2/"):
                process.send_signal(signal.SIGINT)
                break
        _, errors = process.communicate()
    assert process.returncode == 130
    assert "Interrupted. The weights so far are saved." in errors
    metrics = metrics_of(tmp_path)
    assert metrics["interrupted"] is True
    assert len(metrics["history"]) >= 2
    assert files_of(tmp_path) == FILES


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (
            "--data cifar",
            "--data: expected one of auto, mnist, fashion-mnist, digits, got 'cifar'.",
        ),
        ("--model Resnet", "--model: expected one of MLP, "),
        ("--model DigitsCNN", "--model: DigitsCNN expects 8x8 images. Add --data digits."),
        (
            "--data digits --epochs 0",
            "--epochs: expected an integer >= 1, got 0.",
        ),
        (
            "--data digits --batch-size 0",
            "--batch-size: expected an integer >= 1, got 0.",
        ),
        ("--data digits --lr -1", "--lr: expected a finite number > 0, got -1.0."),
        ("--data digits --lr nan", "--lr: expected a finite number > 0, got nan."),
        ("--train-samples x", "--train-samples: expected an integer from 0 to 2**63 - 1, got 'x'."),
        ("--seed -1", "--seed: expected an integer from 0 to 2**63 - 1, got '-1'."),
        (
            "--data digits --train-samples 2000",
            "digits: expected a number of samples from 1 to 1438, got 2000",
        ),
    ],
)
def test_invalid_arguments_are_errors(tmp_path, monkeypatch, capsys, flags, message):
    assert run_here(mnist, tmp_path, monkeypatch, *flags.split()) != 0
    assert message in capsys.readouterr().err


def test_missing_mnist_is_an_error_if_requested(tmp_path, monkeypatch, capsys):
    flags = ["--data", "mnist", "--data-dir", str(tmp_path)]
    assert run_here(mnist, tmp_path, monkeypatch, *flags) == 1
    errors = capsys.readouterr().err
    assert f"train-images-idx3-ubyte.gz is not in {tmp_path} or {tmp_path / 'mnist'}" in errors
    assert "train-images-idx3-ubyte.gz: the connection failed" in errors
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("flags", [["--data", "mnist"], []], ids=["requested", "default"])
def test_damaged_file_is_named(tmp_path, monkeypatch, capsys, flags):
    """The digits replace a missing MNIST, not a damaged one."""
    (tmp_path / "mnist").mkdir()
    for name in ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1"):
        (tmp_path / "mnist" / f"{name}-ubyte.gz").write_bytes(gzip.compress(b"damaged"))
    assert run_here(mnist, tmp_path, monkeypatch, "--data-dir", str(tmp_path), *flags) == 1
    assert "train-images-idx3-ubyte.gz: expected an IDX file" in capsys.readouterr().err


def test_unwritable_out_fails_before_training(tmp_path, monkeypatch, capsys):
    (tmp_path / "out").write_text("a file, not a directory")
    assert run_here(mnist, tmp_path, monkeypatch, "--data", "digits") == 1
    printed = capsys.readouterr()
    assert "--out: cannot create or write to the directory" in printed.err
    assert "epoch" not in printed.out
    assert (tmp_path / "out").read_text() == "a file, not a directory"
