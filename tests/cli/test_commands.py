"""python -m tinygrad_np from the user's side: output, files written, and errors."""

import csv
import gzip
import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

import models
from tests.tools import each
from tinygrad_np import data, optim, train
from tinygrad_np.cli import commands, main, parts, training
from tinygrad_np.cli.config import RunConfig
from tinygrad_np.data.augment import AugmentationTable
from tinygrad_np.errors import ArgumentError, DataError
from tinygrad_np.frontend.tensor import Tensor

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
MNIST = os.environ.get("TINYGRAD_NP_DATA")
real_mnist = pytest.mark.skipif(not MNIST, reason="TINYGRAD_NP_DATA is not set")

# Flags of a training run of about a second.
QUICK = ["--data", "digits", "--model", "DigitsCNN", "--train-samples", "300", "--epochs", "2"]
REPLACING = ["--no-figures", "--overwrite"]
ALL_FILES = {
    *("config.json", "metrics.json", "history.json", "history.csv", "steps.csv"),
    *("model.safetensors", "best.safetensors", "last.safetensors", "training.safetensors"),
}
FIGURES = {
    *("curves.png", "predictions.png", "confusion.png", "calibration.png"),
    *("graph.svg", "graph.dot"),
}


def metrics_of(folder):
    """Return the metrics.json of a run."""
    return json.loads((folder / "metrics.json").read_text())


def trained(folder, *flags):
    """Train briefly into `folder`, without figures, and return it."""
    assert main(["train", *QUICK, "--no-figures", "--out", str(folder), *flags]) == 0
    return folder


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Return a completed run to inspect."""
    return trained(tmp_path_factory.mktemp("runs") / "digits", "--epochs", "5", "--lr", "0.01")


def same_weights(first, second):
    """Return whether two weights files are equal bit for bit."""
    one, other = train.load(first), train.load(second)
    return one.keys() == other.keys() and all(np.array_equal(one[n], other[n]) for n in one)


# Training


def test_run_writes_its_files_and_prints_its_progress(tmp_path, capsys, monkeypatch):
    # By this clock, loading takes 2.5 s and training 30 s.
    clock = SimpleNamespace(perf_counter=iter([0.0, 2.5, 10.0, 40.0]).__next__)
    monkeypatch.setattr(training, "time", clock)
    folder = trained(tmp_path / "run")
    printed = capsys.readouterr().out
    assert {path.name for path in folder.iterdir()} == ALL_FILES
    assert printed.startswith(
        "digits: 270 training, 30 validation and 359 test images of 1x8x8 in 10 classes, out of "
        "1438 + 359 images from the package, loaded in 2.50 s\n"
    )
    assert "epoch 2/2: train loss" in printed
    metrics = metrics_of(folder)
    assert metrics["parameters"] == 1370
    assert metrics["steps"] == 10
    assert metrics["fault"] == ""
    assert not metrics["interrupted"]
    assert [entry["epoch"] for entry in metrics["history"]] == [1, 2]
    assert metrics["history"] == json.loads((folder / "history.json").read_text())
    result = f"test accuracy {metrics['test_accuracy']:.2%} on 359 images"
    assert printed.endswith(
        f"DigitsCNN on digits: {result}, 30.0 s (15.0 s per epoch), files in {folder}/\n"
    )
    assert len((folder / "steps.csv").read_text().splitlines()) == 1 + 10
    with (folder / "history.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert [float(line["train_loss"]) for line in lines] == [
        entry["train_loss"] for entry in metrics["history"]
    ]
    assert RunConfig.read(folder / "config.json") == RunConfig(
        data="digits", model="DigitsCNN", train_samples=300, epochs=2
    )


def test_a_second_run_gets_its_own_folder(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    flags = ["train", *QUICK, "--no-figures"]
    for name in ("runs/DigitsCNN-digits", "runs/DigitsCNN-digits-2"):
        assert main(flags) == 0
        lines = capsys.readouterr().out.splitlines()
        assert lines[1].endswith(f"; files in {name}/")
        assert lines[-1].endswith(f", files in {name}/")
        assert {path.name for path in Path(name).iterdir()} == ALL_FILES
    before = Path("runs/DigitsCNN-digits/model.safetensors").read_bytes()
    assert main([*flags, "--seed", "5", "--out", "runs/DigitsCNN-digits"]) == 2
    assert capsys.readouterr().err == (
        "error: --out: expected a directory without an earlier run, got runs/DigitsCNN-digits, "
        "which holds config.json. Add --overwrite to replace it, or resume it with --resume "
        "runs/DigitsCNN-digits.\n"
    )
    assert Path("runs/DigitsCNN-digits/model.safetensors").read_bytes() == before
    assert main([*flags, "--seed", "5", "--overwrite"]) == 0
    assert Path("runs/DigitsCNN-digits/model.safetensors").read_bytes() != before
    assert len(list(Path("runs").iterdir())) == 2


@pytest.mark.parametrize("flags", ["--train-samples 2000", "--data mnist --data-dir ."])
def test_an_early_error_leaves_no_folder(tmp_path, monkeypatch, flags):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TINYGRAD_NP_DATA", raising=False)
    monkeypatch.setattr(data.sources, "_fetch", failing(DataError("not found")))
    assert main(["train", "--data", "digits", *flags.split()]) != 0
    assert main(["train", "--data", "digits", "--out", "new", *flags.split()]) != 0
    assert list(tmp_path.glob("*/*")) == []
    assert not (tmp_path / "new").exists()


def failing(error):
    """Return a function that raises `error`."""

    def fail(*arguments, **options):
        raise error

    return fail


@pytest.mark.parametrize("name", ["save", "predict"])
def test_a_run_interrupted_after_its_last_epoch_can_be_finished(
    tmp_path, monkeypatch, capsys, name
):
    """Ctrl-C may come while the results or the figures are written."""
    flags = ["--patience", "1", "--lr", "0.5", "--epochs", "9", "--schedule", "constant"]
    whole, parts_ = trained(tmp_path / "whole", *flags), tmp_path / "parts"
    with monkeypatch.context() as patch:
        patch.setattr(training.train, name, failing(KeyboardInterrupt()))
        assert main(["train", *QUICK, *flags, "--out", str(parts_)]) == 130
    assert f"Interrupted. Resume with: python -m tinygrad_np train --resume {parts_}\n" in (
        capsys.readouterr().err
    )
    assert main(["train", "--resume", str(parts_), "--no-figures"]) == 0
    assert same_weights(whole / "model.safetensors", parts_ / "model.safetensors")
    accuracies = [metrics_of(folder)["test_accuracy"] for folder in (whole, parts_)]
    assert accuracies[0] == accuracies[1]
    assert not (parts_ / "curves.png").exists()
    assert main(["train", "--resume", str(parts_)]) == 0
    assert {path.name for path in parts_.iterdir()} == ALL_FILES | FIGURES
    assert main(["train", "--resume", str(parts_)]) == 2
    assert "is complete, stopped by --patience" in capsys.readouterr().err


def test_run_draws_figures_by_default(tmp_path):
    folder = tmp_path / "run"
    assert main(["train", *QUICK, "--out", str(folder)]) == 0
    assert {path.name for path in folder.iterdir()} == ALL_FILES | FIGURES


def test_a_config_reproduces_a_run(tmp_path):
    first = trained(tmp_path / "a", "--seed", "3")
    again = tmp_path / "b"
    config = str(first / "config.json")
    assert main(["train", "--config", config, "--no-figures", "--out", str(again)]) == 0
    assert same_weights(first / "model.safetensors", again / "model.safetensors")
    other = tmp_path / "c"
    flags = ["--config", config, "--seed", "4", "--no-figures", "--out", str(other)]
    assert main(["train", *flags]) == 0
    assert not same_weights(first / "model.safetensors", other / "model.safetensors")
    assert metrics_of(other)["config"] == {**metrics_of(first)["config"], "seed": 4}


FLAGS = [
    "--optimizer sgd --schedule constant",
    "--optimizer sgd --momentum 0 --schedule step",
    "--optimizer adamw --weight-decay 0.1 --warmup 0.2",
    "--optimizer nadam --schedule onecycle",
    "--optimizer rmsprop --momentum 0 --schedule plateau",
    "--optimizer adagrad --schedule onecycle",
    "--optimizer adadelta --warmup 0.5 --schedule constant",
    "--optimizer lamb --clip-norm 1 --clip-value 0.5",
    "--optimizer muon --weight-decay 0.1 --schedule onecycle",
    "--shift 1 --rotation 10 --scaling 0.1 --flip --noise 0.1 --erasing 0.5",
    "--l1 0.001 --label-smoothing 0.1 --no-standardise",
    "--validation 0 --test-each-epoch --monitor train_accuracy",
    "--steps 3 --checkpoint-every 2 --patience 1",
    "--batch-size 7 --test-samples 50 --tensorboard",
]


@pytest.mark.parametrize("flags", FLAGS)
def test_every_flag_trains(tmp_path, flags):
    folder = trained(tmp_path / "run", *flags.split())
    history = metrics_of(folder)["history"]
    assert np.isfinite([entry["train_loss"] for entry in history]).all()


def test_flags_take_effect(tmp_path):
    steps = trained(tmp_path / "steps", "--steps", "3", "--checkpoint-every", "2")
    assert metrics_of(steps)["steps"] == 3
    assert (steps / "step_000002.safetensors").exists()
    tested = trained(tmp_path / "tested", "--test-each-epoch")
    last = metrics_of(tested)["history"][-1]
    assert last["test_accuracy"] == metrics_of(tested)["test_accuracy"]
    board = trained(tmp_path / "board", "--tensorboard")
    assert list((board / "tensorboard").iterdir())
    batches = trained(tmp_path / "batches", "--batch-size", "30", "--lr", "0.5", "--epochs", "1")
    assert metrics_of(batches)["steps"] == 9  # of 270 images
    first, second = (batches / "steps.csv").read_text().splitlines()[1:3]
    assert float(first.rpartition(",")[2]) == 0.5 > float(second.rpartition(",")[2])
    plain = trained(tmp_path / "plain")
    for flags in ("--l1 0.1", "--label-smoothing 0.2", "--shift 2", "--weight-decay 0.5"):
        changed = trained(tmp_path / flags, *flags.split())
        assert not same_weights(plain / "model.safetensors", changed / "model.safetensors"), flags


def test_only_training_images_are_augmented(tmp_path, monkeypatch):
    right, seen = AugmentationTable.apply, []

    def counted(self, images, where):
        seen.append(len(images))
        return right(self, images, where)

    monkeypatch.setattr(AugmentationTable, "apply", counted)
    trained(tmp_path / "run", "--shift", "2", "--rotation", "10", "--test-each-epoch")
    assert sum(seen) == 2 * 270


@pytest.mark.parametrize("model", [name for name in models.__all__ if name != "DigitsCNN"])
def test_every_model_trains(tmp_path, model):
    flags = ["--model", model, "--train-samples", "100", "--epochs", "1", "--test-samples", "50"]
    assert metrics_of(trained(tmp_path / "run", *flags))["model"] == model


def test_model_options_reach_the_model(tmp_path):
    flags = ["--model", "LabCNN", "--model-options", '{"channels": 4}', "--train-samples", "100"]
    assert metrics_of(trained(tmp_path / "run", *flags))["parameters"] < 402_986


RESUMED = (
    "--data digits --model MnistCNNLight --epochs 4 --train-samples 400 --warmup 0.1 --shift 2 "
    "--rotation 10 --noise 0.05 --erasing 0.3 --patience 3 --no-figures"
)


@pytest.mark.skipif(sys.platform == "win32", reason="sends signals")
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_resume_is_bit_for_bit(tmp_path, how):
    """Four epochs in one process equal four epochs in two; a signal ends the first of them."""
    flags = RESUMED.split()
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert main(["train", *flags, "--out", str(whole)]) == 0
    command = [sys.executable, "-u", "-m", "tinygrad_np", "train", *flags, "--out", str(parts)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT
    ) as process:
        for line in process.stdout:
            if line.startswith("epoch 2/"):
                process.send_signal(how)
                break
        _, errors = process.communicate()
    assert process.returncode == (130 if how == signal.SIGINT else -how), errors
    if how == signal.SIGINT:
        assert f"Resume with: python -m tinygrad_np train --resume {parts}" in errors
        assert metrics_of(parts)["interrupted"]
    assert main(["train", "--resume", str(parts), "--no-figures"]) == 0
    for name in ("model", "best", "last"):
        assert same_weights(whole / f"{name}.safetensors", parts / f"{name}.safetensors")

    def without_time(entries):
        return [{k: v for k, v in entry.items() if k != "seconds"} for entry in entries]

    histories = [without_time(metrics_of(folder)["history"]) for folder in (whole, parts)]
    assert histories[0] == histories[1]
    assert len(histories[0]) == 4

    def steps(folder):
        return [line.split(",")[1:] for line in (folder / "steps.csv").read_text().splitlines()]

    assert steps(whole) == steps(parts)


def test_resume_with_more_epochs_equals_one_long_run(tmp_path, capsys):
    whole = trained(tmp_path / "whole", "--epochs", "4", "--schedule", "constant")
    parts = trained(tmp_path / "parts", "--epochs", "2", "--schedule", "constant")
    assert main(["train", "--resume", str(parts), "--no-figures"]) == 2
    assert "has completed 2 epochs. Try a higher --epochs." in capsys.readouterr().err
    assert main(["train", "--resume", str(parts), "--epochs", "4", "--no-figures"]) == 0
    assert same_weights(whole / "model.safetensors", parts / "model.safetensors")


def test_run_interrupted_in_its_first_epoch_resumes_from_its_start(tmp_path, monkeypatch, capsys):
    """It resumes from its own start, not from the files of an earlier run in the directory."""
    flags = ["--optimizer", "sgd", "--lr", "0.1", "--seed", "5"]
    whole = trained(tmp_path / "whole", *flags)
    parts = trained(tmp_path / "parts", "--seed", "6", "--epochs", "1", "--optimizer", "sgd")

    def cut(log, state):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(train.StepLog, "on_epoch_start", cut)
        assert main(["train", *QUICK, *flags, *REPLACING, "--out", str(parts)]) == 130
    assert "Resume with: python -m tinygrad_np train --resume" in capsys.readouterr().err
    assert main(["train", "--resume", str(parts), "--no-figures"]) == 0
    for name in ("model", "best", "last"):
        assert same_weights(whole / f"{name}.safetensors", parts / f"{name}.safetensors")


def test_a_killed_run_has_no_weights_of_an_earlier_run(tmp_path, monkeypatch):
    folder = trained(tmp_path / "run")

    def kill(log, state):
        raise RuntimeError

    (folder / "step_000500.safetensors").touch()
    monkeypatch.setattr(train.Checkpoint, "on_batch_end", kill)
    monkeypatch.setattr(train.Checkpoint, "on_fit_end", lambda checkpoint, state: None)
    with pytest.raises(RuntimeError):
        main(["train", *QUICK, *REPLACING, "--seed", "8", "--out", str(folder)])
    assert [path.name for path in folder.glob("*.safetensors")] == ["training.safetensors"]
    assert RunConfig.read(folder / "config.json").seed == 8


def test_a_rejected_run_changes_no_files(tmp_path, capsys):
    folder = trained(tmp_path / "run")
    (folder / "steps.csv").write_text("not a log\n")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert main(["train", *QUICK, *REPLACING, "--seed", "8", "--out", str(folder)]) == 1
    assert "steps.csv exists and is not a step log" in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_metrics_are_valid_json_for_an_infinite_loss(tmp_path, monkeypatch):
    def found(trainer, loader):
        return {"loss": float("inf")}

    monkeypatch.setattr(train.Trainer, "evaluate", found)
    text = (trained(tmp_path / "run") / "metrics.json").read_text()
    history = json.loads(text, parse_constant=pytest.fail)["history"]
    assert [entry["validation_loss"] for entry in history] == [None, None]


def test_the_validation_loss_has_no_penalties():
    model = parts.make_model("DigitsCNN", {})
    loss = parts.make_loss(RunConfig(l1=0.1, label_smoothing=0.2), model)
    logits, labels = Tensor(np.float32([[1.0, 2.0, 4.0], [0.0, -1.0, 0.5]])), np.array([0, 2])
    smoothed = logits.cross_entropy(labels, label_smoothing=0.2).item()
    penalty = 0.1 * optim.l1_norm(model.parameters()).item()
    assert loss(logits, labels).item() == pytest.approx(smoothed + penalty, rel=1e-6)
    model.eval()
    assert loss(logits, labels).item() == logits.cross_entropy(labels).item()


def test_steps_override_epochs(tmp_path, capsys):
    """12 steps are three epochs, although --epochs is 2; the run cannot be extended."""
    folder = trained(tmp_path / "run", "--steps", "12", "--schedule", "constant")
    assert metrics_of(folder)["steps"] == 12
    capsys.readouterr()
    for flags, message in [
        ([], "has completed all 12 steps. To train longer, start a new run with "),
        (["--epochs", "9"], "--resume with --epochs 9: a run with --steps 12 cannot be extended. "),
    ]:
        assert main(["train", "--resume", str(folder), "--no-figures", *flags]) == 2
        assert message in capsys.readouterr().err


def test_a_diverging_run_reports_it_and_keeps_finite_weights(tmp_path, capsys):
    folder = tmp_path / "run"
    flags = ["--optimizer", "sgd", "--lr", "1e30", "--no-figures", "--out", str(folder)]
    assert main(["train", *QUICK, *flags]) == 1
    assert "the loss is" in capsys.readouterr().err
    assert "the loss is" in metrics_of(folder)["fault"]
    assert np.isfinite(train.load(folder / "model.safetensors")["fc.weight"]).all()


@real_mnist
def test_mnist_and_fashion_mnist_train(tmp_path):
    for name in ("mnist", "fashion-mnist"):
        flags = ["--data", name, "--model", "MnistCNNLight", "--train-samples", "1000"]
        folder = trained(tmp_path / name, *flags, "--data-dir", MNIST)
        assert metrics_of(folder)["dataset"] == name
        assert 0.3 < metrics_of(folder)["test_accuracy"] < 0.95


# Inspecting a run


def test_evaluate_prints_the_metrics(run, capsys):
    assert main(["evaluate", str(run)]) == 0
    printed = capsys.readouterr().out
    assert f"accuracy {metrics_of(run)['test_accuracy']:.2%}" in printed
    _, test_set = data.digits()
    model = parts.make_model("DigitsCNN", {})
    model.load_state_dict(train.load(run / "model.safetensors"))
    logits = train.predict(model, data.DataLoader(test_set))
    loss = Tensor(logits).cross_entropy(test_set.labels.astype(np.int64)).item()
    assert f"loss {loss:.4f}, " in printed
    best = np.argsort(-logits, axis=1)[:, :3] == test_set.labels[:, None]
    assert f"top-3 accuracy {best.any(axis=1).mean():.2%}" in printed
    for word in ("precision", "recall", "F1", "macro mean", "expected calibration error"):
        assert word in printed
    assert main(["evaluate", str(run / "best.safetensors"), "--on", "validation"]) == 0
    best = max(metrics_of(run)["history"], key=lambda entry: -entry["validation_loss"])
    assert f"accuracy {best['validation_accuracy']:.2%}" in capsys.readouterr().out


def pictures_of(dataset, folder, count=30):
    """Write digits as image files: dark on white, three times as large, off center."""
    paths = []
    for index in range(count):
        ink = (dataset.images[index, 0] * (255 / dataset.scale)).astype(np.uint8)
        pixels = np.pad(255 - ink.repeat(3, axis=0).repeat(3, axis=1), ((9, 60), (40, 3)), "edge")
        paths.append(folder / f"{index}.{'png' if index % 2 else 'jpg'}")
        Image.fromarray(pixels).save(paths[-1])
    return [str(path) for path in paths]


def said_of(run, paths, capsys):
    """Return the digits that predict prints."""
    capsys.readouterr()
    assert main(["predict", str(run), *paths]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(": ")[0] for line in lines] == paths
    return [int(line.partition(": ")[2][0]) for line in lines]


@real_mnist
def test_predict_recognizes_mnist_pictures(tmp_path, capsys):
    flags = ["--data", "mnist", "--model", "MnistCNNLight", "--train-samples", "8000"]
    folder = trained(tmp_path / "run", *flags)
    _, test_set = data.mnist(MNIST)
    said = said_of(folder, pictures_of(test_set, tmp_path), capsys)
    assert np.mean(said == test_set.labels[:30]) >= 0.9


def test_predict_recognizes_the_bundled_digits(tmp_path, capsys):
    """They are framed like the pictures."""
    flags = ["--data", "digits", "--model", "MnistCNNLight", "--train-samples", "1400"]
    moved = ["--shift", "1", "--scaling", "0.2", "--rotation", "10", "--epochs", "12"]
    folder = trained(tmp_path / "run", *flags, *moved)
    _, test_set = data.digits(28)
    said = said_of(folder, pictures_of(test_set, tmp_path), capsys)
    assert capsys.readouterr().err == ""
    assert np.mean(said == test_set.labels[:30]) >= 0.8


def test_predict_recognizes_the_bundled_digits_with_an_8x8_model(tmp_path, capsys):
    folder = trained(tmp_path / "run", "--train-samples", "1400", "--epochs", "30")
    _, test_set = data.digits()
    margin = ((0, 0), (0, 0), (1, 1), (1, 1))
    large = np.pad(test_set.images, margin).repeat(4, axis=2).repeat(4, axis=3)
    enlarged = replace(test_set, images=large)
    pictures = pictures_of(enlarged, tmp_path)
    assert np.mean(said_of(folder, pictures, capsys) == test_set.labels[:30]) >= 0.7


@pytest.fixture
def predicted(monkeypatch):
    """Make `predict` use an untrained model; return the list of logits that it outputs."""
    model = parts.make_model("MnistCNNLight", {})
    config = RunConfig(data="mnist", model="MnistCNNLight")
    logits = []
    monkeypatch.setattr(commands, "load_run", lambda run, spec: (config, model))
    monkeypatch.setattr(train, "predict", lambda model, loader: np.array(logits, np.float32))
    return logits


SURE, UNSURE = np.eye(10)[3] * 9, np.eye(10)[3]


def test_predict_reports_unreadable_files_and_continues(tmp_path, capsys, predicted):
    first, second = pictures_of(data.digits(28)[1], tmp_path, 2)
    (tmp_path / "text.png").write_text("no picture")
    bad = [str(tmp_path / name) for name in ("text.png", "missing.png", ".")]
    predicted += [SURE, SURE]
    assert main(["predict", "run", bad[0], first, bad[1], bad[2], second]) == 1
    printed = capsys.readouterr()
    lines = printed.out.splitlines()
    assert [line.partition(": ")[0] for line in lines] == [first, second]
    assert all(line.partition(": ")[2].startswith("3  (3: 99.") for line in lines)
    errors = printed.err.splitlines()
    assert len(errors) == 3
    for line, path in zip(errors, bad, strict=True):
        assert line.startswith(f"error: {Path(path)}: ")


def test_predict_without_a_readable_file_prints_only_errors(tmp_path, capsys, predicted):
    assert main(["predict", "run", str(tmp_path / "a.png"), str(tmp_path / "b.png")]) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.count("error: ") == 2


def test_predict_warns_about_low_confidence_and_several_shapes(tmp_path, capsys, predicted):
    first, second = pictures_of(data.digits(28)[1], tmp_path, 2)
    one = np.pad(np.full((80, 12), 255, np.uint8), 40)
    both = str(tmp_path / "both.png")
    Image.fromarray(np.hstack([one, one])).save(both)
    predicted += [SURE, UNSURE, SURE]
    assert main(["predict", "run", first, second, both]) == 0
    printed = capsys.readouterr()
    assert len(printed.out.splitlines()) == 3
    unsure, several = printed.err.splitlines()
    assert several == (
        f"warning: {both}: expected one digit, found 2 shapes. Only the largest was read."
    )
    assert unsure.startswith(f"warning: {second}: low confidence (23.2%). ")


def test_summary_prints_layers_and_parameters(capsys):
    assert main(["summary", "LeNet"]) == 0
    assert "61,750 parameters" in capsys.readouterr().out
    assert main(["summary", "LabCNN", "--model-options", '{"blocks": 2}']) == 0
    assert "conv2" in capsys.readouterr().out


def test_graph_writes_a_dot_file(tmp_path, capsys):
    path = tmp_path / "graph.dot"
    assert main(["graph", "DigitsCNN", "--out", str(path)]) == 0
    assert str(path) in capsys.readouterr().out
    assert "conv" in path.read_text()


@each(
    ("flags", "shown", "hidden"),
    [
        ([], "fc: Linear(128, 10)", " linear "),
        (["--level", "op"], "linear", "grad norm"),
        (["--depth", "0"], "DigitsCNN", "Linear("),
        (["--expand", "fc"], "[linear; weight", "conv2d"),
        (["--backward"], "grad norm", "≤"),
        (["--color-by", "gradient"], "grad norm", "≤"),
    ],
)
def test_graph_takes_the_options_of_draw(flags, shown, hidden, tmp_path):
    path = tmp_path / "graph.txt"
    assert main(["graph", "DigitsCNN", "--out", str(path), *flags]) == 0
    text = path.read_text(encoding="utf-8")
    assert shown in text
    assert hidden not in text


def test_graph_writes_an_interactive_page(tmp_path, capsys):
    path = tmp_path / "graph.html"
    assert main(["graph", "DigitsCNN", "--out", str(path)]) == 0
    assert capsys.readouterr().out == f"{path}\n"
    assert path.read_text(encoding="utf-8").lstrip().lower().startswith("<!doctype html>")


@each("flags", [["--depth", "0"], ["--level", "op"], ["--backward"], ["--color-by", "flops"]])
def test_a_page_takes_no_options_of_drawings(flags, tmp_path, capsys):
    path = tmp_path / "graph.html"
    assert main(["graph", "DigitsCNN", "--out", str(path), *flags]) == 2
    message = f"graph: expected no {flags[0]} with --out {path}, a page that shows every level."
    assert message in capsys.readouterr().err
    assert not path.exists()


def test_graph_draws_batch_norm_after_a_linear_layer(tmp_path):
    (tmp_path / "net.py").write_text(
        "from tinygrad_np import nn\n"
        "class Net(nn.Sequential):\n"
        "    def __init__(self):\n"
        "        super().__init__(nn.Flatten(), nn.Linear(784, 10), nn.BatchNorm1d(10))\n"
    )
    path = tmp_path / "graph.txt"
    assert main(["graph", f"{tmp_path / 'net.py'}:Net", "--out", str(path)]) == 0
    assert "2: BatchNorm1d(10) <- 1" in path.read_text(encoding="utf-8")


def test_graph_draws_a_forward_that_fails_and_reports_it(tmp_path, capsys):
    (tmp_path / "net.py").write_text(
        "from tinygrad_np import nn\n"
        "class Net(nn.Sequential):\n"
        "    def __init__(self):\n"
        "        super().__init__(nn.Flatten(), nn.Linear(784, 20), nn.Linear(30, 10))\n"
    )
    path = tmp_path / "graph.txt"
    assert main(["graph", f"{tmp_path / 'net.py'}:Net", "--out", str(path)]) == 1
    printed = capsys.readouterr()
    assert printed.out == f"{path}\n"
    assert printed.err.startswith("error: ")
    assert "expected input of shape (..., 30), got (1, 20)" in printed.err
    assert "1: Linear(784, 20)" in path.read_text(encoding="utf-8")
    assert "FAILED: ShapeError: Linear '2'" in path.read_text(encoding="utf-8")


def test_graph_with_an_unknown_path_to_expand_is_an_error(tmp_path, capsys):
    path = str(tmp_path / "graph.txt")
    assert main(["graph", "DigitsCNN", "--out", path, "--expand", "tail"]) == 2
    assert "expected `expand` to contain paths of modules that ran, got 'tail'" in (
        capsys.readouterr().err
    )


def test_gradcheck_compares_all_gradients(capsys):
    assert main(["gradcheck", "DigitsCNN"]) == 0
    printed = capsys.readouterr().out
    assert "fc.weight" in printed
    assert "all 4 gradients agree" in printed


@pytest.mark.parametrize("model", [name for name in models.__all__ if name != "DigitsCNN"])
def test_gradcheck_agrees_for_every_model(model, capsys):
    """Includes models in which some ReLU switches inside the largest step."""
    assert main(["gradcheck", model]) == 0
    assert "agree" in capsys.readouterr().out


def test_gradcheck_finds_a_wrong_gradient(capsys, monkeypatch):
    right = Tensor.backward

    def doubled(self, *args, **options):
        out = right(self, *args, **options)
        doubled.model.fc.bias.grad = doubled.model.fc.bias.grad * 1.001
        return out

    made = commands.make_model

    def remembered(*arguments):
        doubled.model = made(*arguments)
        return doubled.model

    monkeypatch.setattr(commands, "make_model", remembered)
    monkeypatch.setattr(Tensor, "backward", doubled)
    assert main(["gradcheck", "DigitsCNN"]) == 1
    assert "got larger ones for fc.bias." in capsys.readouterr().err


def test_config_prints_the_numpy_version(capsys):
    assert main(["config"]) == 0
    assert "NumPy" in capsys.readouterr().out


def test_help_of_the_module_lists_all_commands():
    command = [sys.executable, "-m", "tinygrad_np", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True)
    for command in ("train", "evaluate", "predict", "summary", "graph", "gradcheck", "config"):
        assert command in done.stdout


# Errors


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("--epochs 0", "--epochs: expected an integer >= 1, got 0."),
        ("--batch-size -1", "--batch-size: expected an integer >= 1, got -1."),
        ("--lr 0", "--lr: expected a finite number > 0, got 0.0."),
        ("--lr nan", "--lr: expected a finite number > 0, got nan."),
        ("--seed -1", "--seed: expected an integer >= 0, got -1."),
        ("--validation 1", "--validation: expected a finite number >= 0 and <= 0.9, got 1.0."),
        (
            "--data mnist --model DigitsCNN",
            "--model DigitsCNN: expected --data digits (8x8 images), got",
        ),
        ("--noise 3", "--noise: expected a finite number >= 0 and <= 1, got 3.0."),
        ("--train-samples 2000", "expected at most 1438, the number of images in digits, got 2000"),
        (
            "--validation 0 --patience 3",
            "--patience with --monitor validation_loss: expected a validation set",
        ),
        ("--validation 0 --schedule plateau", "--schedule plateau: expected a val"),
        ("--warmup 0.1 --schedule onecycle", "--warmup: expected 0 with --schedule onecycle"),
        ("--model Resnet", "--model: expected one of DigitsCNN, FashionCNN,"),
        ('--model-options {"width":3}', "--model-options: expected no options for DigitsCNN, got"),
    ],
)
def test_invalid_values_are_errors(tmp_path, capsys, flags, message):
    command = ["train", *QUICK, "--no-figures", "--out", str(tmp_path / "run"), *flags.split()]
    assert main(command) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (
            "--optimizer sdg",
            "--optimizer: expected one of sgd, adam, adamw, nadam, rmsprop, adagrad, adadelta, "
            "lamb, muon, got 'sdg'.",
        ),
        ("--epochs x", "--epochs: expected an integer >= 1, got 'x'."),
        (
            "--epochs 1" + "0" * 400,
            "--epochs: expected an integer >= 1, got about 1e400, beyond 2**63.",
        ),
        (
            "--seed " + "9" * 5000,
            "--seed: expected an integer >= 0, got '" + "9" * 39 + "... (5002 characters).",
        ),
        ("--lr 1e999", "--lr: expected a finite number > 0, got inf."),
        (
            "--model-options blocks=2",
            "--model-options: expected a JSON object such as '{\"blocks\": 2}', got 'blocks=2'.",
        ),
        (
            "--model-options " + "[" * 9000,
            "--model-options: expected a JSON object such as '{\"blocks\": 2}', got '"
            + "[" * 39
            + "... (9002 characters).",
        ),
        ("--lr", "--lr: expected one argument. Try `python -m tinygrad_np train --help`."),
        ("--foo", "unrecognized arguments: --foo. Try `python -m tinygrad_np --help`."),
    ],
)
def test_invalid_flags_are_argparse_errors(capsys, flags, message):
    assert main(["train", *flags.split()]) == 2
    assert capsys.readouterr().err == f"error: {message}\n"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "file not found. Expected the config.json of a run directory"),
        ("{", "cannot parse the file as JSON"),
        ("[]", "expected a JSON object, got list."),
        ('{"epoch": 3}', "expected only the fields model, .*, seed, got epoch."),
        ('{"epochs": "3"}', "--epochs: expected an integer >= 1, got '3'."),
        (
            '{"lr": 1' + "0" * 400 + "}",
            "--lr: expected a finite number > 0, got about 1e400, beyond 2",
        ),
        ('{"flip": 1}', "--flip: expected true or false, got 1."),
        ('{"optimizer": "sdg"}', "--optimizer: expected one of sgd, adam, .*, got 'sdg'"),
    ],
)
def test_invalid_config_files_are_errors(tmp_path, content, message):
    path = tmp_path / "run.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(DataError, match=message) as caught:
        RunConfig.read(path)
    assert str(path) in str(caught.value)


def test_config_converts_lr_and_has_a_default_per_optimizer():
    assert RunConfig(lr=1).lr == 1.0
    assert RunConfig().learning_rate == 0.002
    assert RunConfig(optimizer="sgd").learning_rate == 0.05
    with pytest.raises(ArgumentError, match="--lr: expected a finite number > 0, got True"):
        RunConfig(lr=True)


def test_flags_replace_config_values_before_the_check(tmp_path):
    """The file alone combines DigitsCNN with the default dataset, which is invalid."""
    path = tmp_path / "run.json"
    path.write_text('{"model": "DigitsCNN", "epochs": 1}')
    flags = ["--config", str(path), "--data", "digits", "--train-samples", "100", "--no-figures"]
    assert main(["train", *flags, "--out", str(tmp_path / "run")]) == 0


def test_commands_that_do_not_fit_the_run_are_errors(tmp_path, run, capsys):
    unvalidated = trained(tmp_path / "run", "--validation", "0")
    missing = "model.safetensors: file not found. Expected a run directory made by"
    for command, status, message in [
        (
            f"train --resume {run} --lr 0.1",
            2,
            "--no-figures, got --lr. The run resumes with its own settings.",
        ),
        (
            f"train --resume {run} --epochs 9",
            2,
            "error: --resume with --epochs 9: a run with --schedule cosine cannot be extended. To "
            f"train longer, start a new run with --config {run}/config.json and a higher --epochs;",
        ),
        (f"train --resume {run} --no-figures", 2, "has completed 5 epochs. To train longer, start"),
        (f"train --resume {tmp_path}", 1, "config.json: file not found. Expected the config.json"),
        (f"train --resume {run} --overwrite", 2, "--no-figures, got --overwrite. The run"),
        (f"evaluate {tmp_path}", 1, missing),
        (f"predict {tmp_path} a.png", 1, missing),
        (f"evaluate {unvalidated} --on validation", 2, "trained with --validation 0."),
    ]:
        assert main(command.split()) == status
        assert message in capsys.readouterr().err


def test_run_stopped_by_patience_resumes_only_with_more_epochs(tmp_path, capsys):
    """Such a run is complete, but can be resumed with more epochs."""
    flags = ["--epochs", "9", "--patience", "1", "--lr", "0.5", "--schedule", "constant"]
    folder = trained(tmp_path / "run", *flags)
    done = metrics_of(folder)["epochs"]
    assert done < 9
    before = (folder / "model.safetensors").read_bytes()
    assert main(["train", "--resume", str(folder), "--no-figures"]) == 2
    assert (
        f"the run is complete, stopped by --patience after epoch {done}." in capsys.readouterr().err
    )
    assert (folder / "model.safetensors").read_bytes() == before
    assert main(["train", "--resume", str(folder), "--epochs", "20", "--no-figures"]) == 0
    assert metrics_of(folder)["epochs"] > done


def test_a_run_without_a_training_checkpoint_cannot_be_resumed(tmp_path, capsys):
    folder = trained(tmp_path / "run")
    (folder / "training.safetensors").unlink()
    assert main(["train", "--resume", str(folder)]) == 1
    assert capsys.readouterr().err == (
        f"error: --resume: expected a run with a training checkpoint, got {folder}, which has no "
        "training.safetensors.\n"
    )


def test_an_invalid_flag_is_not_blamed_on_the_config(run, capsys):
    assert main(["train", "--config", str(run / "config.json"), "--epochs", "0"]) == 2
    assert capsys.readouterr().err == "error: --epochs: expected an integer >= 1, got 0.\n"


def test_commands_suggest_the_digits_for_a_model_of_8x8_images(tmp_path, monkeypatch, capsys):
    (tmp_path / "small.py").write_text(
        "from tinygrad_np import nn\n"
        "class Net(nn.Sequential):\n"
        "    def __init__(self): super().__init__(nn.Flatten(), nn.Linear(64, 10))\n"
    )
    monkeypatch.chdir(tmp_path)
    for command, status in (("summary", 2), ("gradcheck", 2), ("graph", 1)):
        assert main([command, f"{tmp_path / 'small.py'}:Net"]) == status
        assert "got one that fails. Try --data digits. " in capsys.readouterr().err


def test_an_unwritable_out_is_an_error_before_training(tmp_path, capsys):
    (tmp_path / "out").write_text("a file, not a directory")
    assert main(["train", *QUICK, "--out", str(tmp_path / "out")]) == 1
    captured = capsys.readouterr()
    assert "--out: cannot create or write to the directory" in captured.err
    assert "epoch" not in captured.out
    assert (tmp_path / "out").read_text() == "a file, not a directory"


@each("name", ["model.safetensors", "config.json", "last.safetensors", "steps.csv", "curves.png"])
def test_a_directory_in_place_of_a_result_fails_before_training(tmp_path, capsys, name):
    (tmp_path / name / name).mkdir(parents=True)
    assert main(["train", *QUICK, "--overwrite", "--out", str(tmp_path / name)]) == 1
    captured = capsys.readouterr()
    assert captured.err.startswith(f"error: {tmp_path / name / name}: cannot ")
    assert captured.err.count("\n") == 1
    assert "epoch" not in captured.out
    assert [path.name for path in (tmp_path / name).iterdir()] == [name]


def test_an_error_before_training_leaves_no_directory(tmp_path):
    flags = ["--model-options", '{"unknown": 1}', "--out", str(tmp_path / "out")]
    assert main(["train", *QUICK, *flags]) != 0
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_file_is_named_in_the_error(tmp_path, capsys):
    (tmp_path / "mnist").mkdir()
    for name in ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1"):
        (tmp_path / "mnist" / f"{name}-ubyte.gz").write_bytes(gzip.compress(b"damaged"))
    flags = ["--data-dir", str(tmp_path), "--out", str(tmp_path / "out")]
    assert main(["train", *flags]) == 1
    assert "train-images-idx3-ubyte.gz: expected an IDX file" in capsys.readouterr().err
