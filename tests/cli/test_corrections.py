"""Fine-tuning: `train --corrections` and `train --weights`."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import models
from tests.tools import each
from tinygrad_np import Tensor, data, train
from tinygrad_np.cli import main
from tinygrad_np.cli.config import RunConfig
from tinygrad_np.cli.corrections import add_corrections, count_copies, read_corrections
from tinygrad_np.cli.parts import make_sets
from tinygrad_np.cli.training import _report_sets
from tinygrad_np.data.photo import read_digit
from tinygrad_np.errors import ArgumentError, DataError

pytestmark = pytest.mark.slow

QUICK = ["--data", "digits", "--train-samples", "300", "--epochs", "1", "--no-figures"]
SMALL = [*QUICK, "--model", "DigitsCNN"]


def images_of(count, seed=0):
    """Return 28x28 images with ink in the middle."""
    images = np.zeros((count, 1, 28, 28), np.uint8)
    images[:, :, 4:24, 9:19] = np.random.default_rng(seed).integers(1, 256, (count, 1, 20, 10))
    return images


def saved(path, images=None, labels=(7, 1, 7)):
    """Write corrections and return the path."""
    images = images_of(len(labels)) if images is None else images
    train.save(path, {"images": images, "labels": np.array(labels)})
    return path


def weights_of(run):
    """Return the weights of a run."""
    return train.load(run / "model.safetensors")


# Corrections.


@each(
    ("corrections", "others", "copies"),
    [(1, 54_000, 100), (54, 54_000, 100), (540, 54_000, 10), (1000, 1438, 1), (5, 10, 1)],
)
def test_corrections_are_a_tenth_of_the_others_in_at_most_100_copies(corrections, others, copies):
    assert count_copies(corrections, others) == copies


def test_only_the_training_set_gets_corrections(tmp_path):
    path = saved(tmp_path / "c.safetensors")
    plain = RunConfig(model="MnistCNN", data="digits", train_samples=300)
    sets = make_sets(plain.with_changes({"corrections": str(path)}))
    others = make_sets(plain)
    assert (len(others.train), sets.copies, len(sets.train)) == (270, 9, 270 + 27)
    assert sets.train.labels[270:].tolist() == [7, 1, 7] * 9
    assert sets.train.images[:270].tolist() == others.train.images.tolist()
    for one, other in ((sets.validation, others.validation), (sets.test, others.test)):
        assert one.images.tolist() == other.images.tolist()
    # In the scale of the other images: batches are from 0 to 1, within half a step of rounding.
    found, _ = sets.train.batch(slice(270, 273))
    step = 0.5 / sets.train.scale
    np.testing.assert_allclose(found, images_of(3) / 255, rtol=0, atol=step + 1e-6)


def test_corrections_need_no_validation_set(tmp_path):
    path = saved(tmp_path / "c.safetensors")
    config = RunConfig(model="DigitsCNN", data="digits", train_samples=20, validation=0)
    sets = make_sets(config.with_changes({"corrections": str(path)}))
    assert (sets.validation, sets.copies) == (None, 1)
    assert sets.train.labels[20:].tolist() == [7, 1, 7]


def test_one_copy_is_not_called_copies(tmp_path, capsys):
    path = saved(tmp_path / "c.safetensors")
    small = {"model": "DigitsCNN", "data": "digits", "train_samples": 20}
    config = RunConfig(**small, corrections=str(path))
    _report_sets(config, make_sets(config), 0.0)
    line = f"the training images include 1 copy of each of the 3 corrections in {path}\n"
    assert capsys.readouterr().out.endswith(line)


def test_corrections_are_standardized_like_the_others():
    images = np.zeros((20, 1, 28, 28), np.uint8)
    dataset = data.ImageDataset(
        images, np.arange(20) % 10, data.sources.DIGITS, "x", 255.0, 0.5, 0.25
    )
    corrections = {"images": images_of(1), "labels": np.array([3], np.uint8)}
    extended = add_corrections(dataset, corrections, 2)
    assert (extended.images.dtype, extended.labels.dtype) == (np.uint8, np.int64)
    found, labels = extended.batch(slice(20, 22))
    np.testing.assert_allclose(found[1], (images_of(1)[0] / 255 - 0.5) / 0.25, atol=1e-5)
    assert labels.tolist() == [3, 3]


def test_corrections_of_8x8_digits_are_framed_as_in_predict():
    dataset, _ = data.digits()
    images = np.zeros((3, 1, 28, 28), np.uint8)
    images[0, 0, 6:22, 2:10] = 255  # a bar of 16x8 pixels
    images[1, 0, 0, 27] = 255  # a dot in a corner
    found = add_corrections(dataset, {"images": images, "labels": np.zeros(3, int)}, 1).images[-3:]
    page = Image.new("L", (280, 280))  # the bar, enlarged
    page.paste(255, (20, 60, 100, 220))
    page.save(buffer := io.BytesIO(), "PNG")
    expected, _ = read_digit(buffer.getvalue(), side=8)
    np.testing.assert_allclose(found[0], expected * (16 / 255), atol=1)
    assert found[0].max() == found[1].max() == 16
    assert not found[2].any()


@each(
    ("state", "message"),
    [
        (
            {"images": images_of(2)},
            "expected the arrays `images` and `labels`, got none named `labels`.",
        ),
        ({}, "expected the arrays `images` and `labels`, got none named `images` or `labels`."),
        (
            {"images": images_of(2)[:, 0], "labels": np.zeros(2, int)},
            "expected `images` of shape (N, 1, 28, 28) and dtype uint8, with N >= 1, got "
            "(2, 28, 28) and uint8.",
        ),
        (
            {"images": images_of(2).astype(np.float32), "labels": np.zeros(2, int)},
            "expected `images` of shape (N, 1, 28, 28) and dtype uint8, with N >= 1, got "
            "(2, 1, 28, 28) and float32.",
        ),
        (
            {"images": images_of(0), "labels": np.zeros(0, int)},
            "expected `images` of shape (N, 1, 28, 28) and dtype uint8, with N >= 1, got "
            "(0, 1, 28, 28) and uint8.",
        ),
        (
            {"images": images_of(2), "labels": np.zeros(3, int)},
            "expected `labels` of shape (2,) and an integer dtype, got (3,) and int64.",
        ),
        (
            {"images": images_of(2), "labels": np.zeros(2)},
            "expected `labels` of shape (2,) and an integer dtype, got (2,) and float64.",
        ),
        (
            {"images": images_of(2), "labels": np.array([9, 10])},
            "expected `labels` from 0 to 9, got 10.",
        ),
        (
            {"images": images_of(2), "labels": np.array([-1, 3])},
            "expected `labels` from 0 to 9, got -1.",
        ),
    ],
)
def test_invalid_corrections(state, message, tmp_path):
    path = tmp_path / "c.safetensors"
    train.save(path, state)
    with pytest.raises(DataError) as caught:
        read_corrections(path, 10)
    assert str(caught.value) == f"{path}: {message}"


def test_missing_and_damaged_corrections(tmp_path, capsys):
    path = tmp_path / "c.safetensors"
    command = ["train", *SMALL, "--corrections", str(path), "--out", str(tmp_path / "run")]
    assert main(command) == 1
    assert (
        f"error: {path}: cannot read the file (No such file or directory)."
        in capsys.readouterr().err
    )
    content = bytearray(saved(path).read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    assert main(command) == 1
    assert "the file is damaged" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


@each(
    ("model", "options", "data"),
    [("MLP", {"inputs": 2, "classes": 2}, "moons"), ("LeNet", {}, "fashion-mnist")],
)
def test_only_digits_take_corrections(model, options, data):
    message = f"--corrections: expected --data mnist or digits, got --data {data}."
    with pytest.raises(ArgumentError, match=message):
        RunConfig(model=model, model_options=options, data=data, corrections="c.safetensors")


def test_a_run_with_corrections_resumes_with_its_copy_of_them(tmp_path, monkeypatch, capsys):
    """Corrections may be added or deleted, and the working directory changed, in the meantime."""
    monkeypatch.chdir(tmp_path)
    flags = [*SMALL, "--schedule", "constant", "--corrections", "c.safetensors"]
    saved(tmp_path / "c.safetensors")
    assert main(["train", *flags, "--epochs", "2", "--out", "whole"]) == 0
    assert main(["train", *flags, "--out", "run"]) == 0
    out = capsys.readouterr().out
    path = (tmp_path / "c.safetensors").resolve()
    assert f"include 9 copies of each of the 3 corrections in {path}\n" in out
    config = json.loads((tmp_path / "run/config.json").read_text())
    assert Path(config["corrections"]) == path
    path.unlink()
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert main(["evaluate", "../run"]) == 0
    assert main(["train", "--resume", "../run", "--epochs", "2", "--no-figures"]) == 0
    monkeypatch.chdir(tmp_path)
    one, other = (Path(name, "model.safetensors").read_bytes() for name in ("run", "whole"))
    assert one == other
    # A new run in the same directory leaves no copy behind.
    assert main(["train", *SMALL, "--out", "run", "--overwrite"]) == 0
    assert not Path("run/corrections.safetensors").exists()


def test_a_model_learns_its_corrections(tmp_path):
    """A noise image labeled 7 is recognized after fine-tuning."""
    run, path = tmp_path / "run", saved(tmp_path / "c.safetensors", labels=(7,))
    assert main(["train", *SMALL, "--epochs", "5", "--lr", "0.02", "--out", str(run)]) == 0
    flags = ["--corrections", str(path), "--weights", str(run), "--out", str(tmp_path / "tuned")]
    assert main(["train", *SMALL, *flags, "--epochs", "10", "--lr", "0.02"]) == 0
    sets = make_sets(RunConfig.read(tmp_path / "tuned/config.json"))
    image, _ = sets.train.batch(slice(-1, None))
    model = models.DigitsCNN()
    chances = []
    for folder in (run, tmp_path / "tuned"):
        model.load_state_dict(weights_of(folder))
        chances.append(model(Tensor(image)).softmax().data[0, 7])
    before, after = chances
    assert after > 0.9 > before


# Weights.


@pytest.mark.parametrize("name", ["run", "run/last.safetensors"])
def test_weights_start_from_a_run(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["train", *SMALL, "--out", "run"]) == 0
    # With a rate of almost 0, the weights stay where they start.
    flags = ["--weights", name, "--lr", "1e-30", "--seed", "5", "--out", "tuned"]
    assert main(["train", *SMALL, *flags]) == 0
    config = json.loads(Path("tuned/config.json").read_text())
    assert Path(config["weights"]) == (tmp_path / name).resolve()
    for key, value in weights_of(tmp_path / "run").items():
        assert weights_of(tmp_path / "tuned")[key].tolist() == value.tolist()
    # The run resumes without the weights that it started from.
    monkeypatch.chdir("tuned")
    (tmp_path / "run").rename(tmp_path / "moved")
    Path("model.safetensors").unlink()
    assert main(["train", "--resume", ".", "--no-figures"]) == 0


def test_unsuitable_weights(tmp_path, capsys):
    run = tmp_path / "run"
    assert main(["train", *SMALL, "--out", str(run)]) == 0

    def error(path, *flags):
        out = tmp_path / "tuned"
        assert main(["train", *SMALL, *flags, "--weights", str(path), "--out", str(out)]) == 1
        assert not out.exists()
        return capsys.readouterr().err

    assert f"{tmp_path / 'none'}: file not found. Expected a run directory" in error(
        tmp_path / "none"
    )
    found = error(run, "--model", "MnistCNN")
    assert f"error: {run / 'model.safetensors'}: MnistCNN.load_state_dict: the state dict" in found
    assert "Missing: conv1.weight" in found
    path = run / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    assert "the file is damaged" in error(run)
    path.unlink()
    assert "the run is not finished" in error(run)


def test_weights_and_corrections_cannot_change_on_resume(tmp_path, capsys):
    for flag in ("--weights", "--corrections"):
        assert main(["train", "--resume", str(tmp_path), flag, "x"]) == 2
        assert f"and --no-figures, got {flag}. The run" in capsys.readouterr().err
