"""examples/mnist.py as a user runs it: what it prints, what it leaves behind, how it fails."""

import gzip
import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import mnist
from models import MnistCNN
from tests.examples.tools import MNIST, ROOT, environment, files_of, real_mnist, run, run_here
from tinygrad_np import train

FILES = {
    *("metrics.json", "model.safetensors", "graph.svg", "graph.dot"),
    *("curves.png", "predictions.png", "confusion.png", "calibration.png"),
}


def metrics_of(folder):
    """Return what the run wrote."""
    return json.loads((folder / "out" / "metrics.json").read_text())


@pytest.mark.slow
def test_without_mnist_the_digits_are_learned(tmp_path):
    done = run("mnist", tmp_path)
    assert done.returncode == 0, done.stderr
    assert "MNIST was not found and could not be downloaded. Tried:" in done.stdout
    assert "takes the 8x8 digits that come with the package" in done.stdout
    metrics = metrics_of(tmp_path)
    assert metrics["dataset"] == "digits"
    assert "the connection failed" in done.stdout
    assert metrics["model"] == "MnistCNN"
    assert metrics["test_accuracy"] >= 0.95
    assert metrics["history"][0]["test_accuracy"] < 0.95, "no network learns them in one epoch"
    assert files_of(tmp_path) == FILES
    model = MnistCNN()
    model.load_state_dict(train.load(tmp_path / "out" / "model.safetensors"))


@pytest.mark.slow
@real_mnist
def test_mnist_is_learned(tmp_path):
    """One epoch, with a floor and a ceiling: no network of this size gets 99.8 %."""
    done = run("mnist", tmp_path, "--epochs", "1", data=MNIST)
    assert done.returncode == 0, done.stderr
    metrics = metrics_of(tmp_path)
    accuracies = [entry["test_accuracy"] for entry in metrics["history"]]
    assert metrics["dataset"] == "mnist"
    assert 0.985 <= accuracies[0] < 0.998
    assert metrics["test_accuracy"] == accuracies[0]


@pytest.mark.slow
@real_mnist
def test_the_course_labs_quick_run(tmp_path):
    flags = "--model LabCNN --train-samples 1000 --test-samples 100 --epochs 2"
    done = run("mnist", tmp_path, *flags.split(), data=MNIST)
    assert "mnist: 1000 of 60000 training and 100 of 10000 test images of 1x28x28" in done.stdout
    assert re.search(r", loaded in \d+\.\d\d s$", done.stdout, re.MULTILINE)
    origin = metrics_of(tmp_path)["dataset_origin"]
    assert Path(origin) == Path(MNIST) / "mnist"
    assert f"from {origin}" in done.stdout
    assert 0.5 < metrics_of(tmp_path)["test_accuracy"] < 0.98


@pytest.mark.slow
@real_mnist
def test_fashion_mnist(tmp_path):
    flags = "--data fashion-mnist --model MnistCNNLight --train-samples 2000 --epochs 1"
    done = run("mnist", tmp_path, *flags.split(), data=MNIST)
    assert done.returncode == 0, done.stderr
    assert metrics_of(tmp_path)["dataset"] == "fashion-mnist"
    assert 0.5 < metrics_of(tmp_path)["test_accuracy"] < 0.9


QUICK = "--data digits --model MnistCNNLight --train-samples 300 --epochs 2 --no-figures"


@pytest.mark.slow
def test_the_same_seed_gives_the_same_metrics_and_no_figures_are_left(tmp_path):
    found = []
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        folder = tmp_path / name
        folder.mkdir()
        done = run("mnist", folder, *QUICK.split(), "--seed", str(seed))
        assert done.returncode == 0, done.stderr
        assert files_of(folder) == {"metrics.json", "model.safetensors"}
        assert len(re.findall("^epoch ", done.stdout, re.MULTILINE)) == 2
        found.append((metrics_of(folder)["history"], train.load(folder / "out/model.safetensors")))
    for history, _ in found:
        for entry in history:
            del entry["seconds"]
    assert found[0][0] == found[1][0] != found[2][0]
    for name, array in found[0][1].items():
        np.testing.assert_array_equal(array, found[1][1][name])


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="sends SIGINT")
def test_ctrl_c_keeps_the_weights_so_far(tmp_path):
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
    assert "interrupted: these are the weights so far" in errors
    metrics = metrics_of(tmp_path)
    assert metrics["interrupted"] is True
    assert len(metrics["history"]) >= 2
    assert files_of(tmp_path) == FILES


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("--data cifar", "argument --data: invalid choice: 'cifar'"),
        ("--model Resnet", "argument --model: invalid choice: 'Resnet'"),
        ("--model DigitsCNN", "argument --model: DigitsCNN takes 8x8 images"),
        ("--data digits --epochs 0", "epochs: got 0, expected an integer of at least 1"),
        ("--data digits --batch-size 0", "batch_size: got 0, expected an integer of at least 1"),
        ("--data digits --lr -1", "lr: got -1.0, expected a finite number of at least 0"),
        ("--data digits --lr nan", "lr: got nan, expected a finite number of at least 0"),
        ("--train-samples x", "argument --train-samples: invalid natural value: 'x'"),
        ("--seed -1", "argument --seed: invalid natural value: '-1'"),
        ("--data digits --train-samples 2000", "digits: expected from 1 to 1438 samples, got 2000"),
    ],
)
def test_wrong_values_are_refused_by_name(tmp_path, monkeypatch, capsys, flags, message):
    assert run_here(mnist, tmp_path, monkeypatch, *flags.split()) != 0
    assert message in capsys.readouterr().err


def test_mnist_can_be_insisted_on(tmp_path, monkeypatch, capsys):
    flags = ["--data", "mnist", "--data-dir", str(tmp_path)]
    assert run_here(mnist, tmp_path, monkeypatch, *flags) == 1
    errors = capsys.readouterr().err
    assert f"train-images-idx3-ubyte.gz is not in {tmp_path} or {tmp_path / 'mnist'}" in errors
    assert "train-images-idx3-ubyte.gz: the connection failed" in errors
    assert not any((tmp_path / "out").iterdir())


@pytest.mark.parametrize("flags", [["--data", "mnist"], []], ids=["asked for", "not asked for"])
def test_a_damaged_file_is_named(tmp_path, monkeypatch, capsys, flags):
    """Digits stand in for an MNIST that is missing, not for one that is damaged."""
    (tmp_path / "mnist").mkdir()
    for name in ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1"):
        (tmp_path / "mnist" / f"{name}-ubyte.gz").write_bytes(gzip.compress(b"damaged"))
    assert run_here(mnist, tmp_path, monkeypatch, "--data-dir", str(tmp_path), *flags) == 1
    assert "train-images-idx3-ubyte.gz: expected an IDX file" in capsys.readouterr().err


def test_an_unwritable_out_is_refused_before_any_work(tmp_path, monkeypatch, capsys):
    (tmp_path / "out").write_text("a file, not a folder")
    assert run_here(mnist, tmp_path, monkeypatch, "--data", "digits") == 1
    printed = capsys.readouterr()
    assert "--out: cannot create or write to the directory" in printed.err
    assert "epoch" not in printed.out
    assert (tmp_path / "out").read_text() == "a file, not a folder"
