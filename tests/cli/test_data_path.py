"""`--data PATH`: training, evaluation and prediction on the user's own images."""

import json
import os
import shutil

import numpy as np
import pytest
from PIL import Image

from tests.tools import each
from tinygrad_np import data, train
from tinygrad_np.cli import main, parts
from tinygrad_np.cli.config import DATA, RunConfig
from tinygrad_np.cli.runs import load_run
from tinygrad_np.errors import ArgumentError, DataError
from tinygrad_np.frontend.tensor import Tensor

CLASSES = ("circle", "cross", "stripe")


def shape_of(kind, size, generator):
    """Return a gray image of a class, with noise."""
    y, x = (np.indices((size, size)) - (size - 1) / 2) / size
    ink = {
        "circle": np.abs(np.hypot(x, y) - 0.3) < 0.1,
        "cross": np.minimum(abs(x), abs(y)) < 0.1,
        "stripe": abs(y) < 0.2,
    }[kind]
    return np.clip(ink * 180 + generator.integers(0, 60, (size, size)), 0, 255).astype(np.uint8)


def write_images(folder, size=28, count=20, seed=0, mode="L"):
    """Write `count` PNG files per class and return the directory."""
    generator = np.random.default_rng(seed)
    for kind in CLASSES:
        (folder / kind).mkdir(parents=True)
        for i in range(count):
            image = Image.fromarray(shape_of(kind, size, generator)).convert(mode)
            if mode == "RGB":
                image.putpixel((0, 0), (255, 0, 0))
            image.save(folder / kind / f"{i:02}.png")
    return folder


FAST = ["--epochs", "6", "--batch-size", "16", "--no-figures", "--lr", "0.01"]


def trained(out, path, *flags):
    """Train on the images at a path, and return the run's directory."""
    assert main(["train", "--data", str(path), *FAST, "--out", str(out), *flags]) == 0
    return out


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """Return a directory of gray 28x28 images in three classes."""
    return write_images(tmp_path_factory.mktemp("data") / "shapes")


@pytest.fixture(scope="module")
def run(tmp_path_factory, images):
    """Return a completed run on the images."""
    return trained(tmp_path_factory.mktemp("runs") / "shapes", images, "--model", "MnistCNNLight")


def test_a_name_wins_over_a_path(tmp_path, monkeypatch):
    for name in DATA:
        config = RunConfig(data=name, model="MLP", model_options={"inputs": 2, "classes": 2})
        assert (config.reads_files, config.data_name) == (False, name)
    for path in ("a/b", "./mnist", "a.csv", "/home/me/shapes", "a.npz"):
        config = RunConfig(data=path)
        assert config.reads_files
        assert config.data_name == os.path.splitext(os.path.basename(path))[0]  # noqa: PTH119, PTH122
    monkeypatch.chdir(tmp_path)
    message = (
        "--data: expected one of mnist, fashion-mnist, digits, moons, spirals, or the path of a "
        "directory of images or .npy files, or a .csv, .npz or .npy file, got 'shapes'."
    )
    with pytest.raises(ArgumentError) as caught:
        RunConfig(data="shapes")
    assert str(caught.value) == message
    (tmp_path / "shapes").mkdir()
    assert RunConfig(data="shapes").reads_files


@each(
    ("values", "message"),
    [
        (
            {"image_size": 28},
            "--image-size: expected --data to be a directory of images, got --data mnist.",
        ),
        ({"gray": False}, "--gray: expected --data to be a directory of images, got --data mnist."),
        ({"image_size": 0, "data": "a/b"}, "--image-size: expected an integer >= 1, got 0."),
        (
            {"corrections": "c", "data": "a/b"},
            "--corrections: expected --data mnist or digits, got --data a/b.",
        ),
        ({"data": ""}, "got ''."),
        ({"data": "a/\0"}, "got 'a/\\x00'."),
    ],
)
def test_invalid_settings_raise(values, message):
    with pytest.raises(ArgumentError) as caught:
        RunConfig(**values)
    assert str(caught.value).endswith(message)


def test_subsets_contain_all_classes(tmp_path):
    path = write_images(tmp_path / "shapes", size=8, count=10)
    config = RunConfig(data=str(path), train_samples=12, test_samples=5)
    sets = parts.make_sets(config)
    assert set(sets.train.labels) == {0, 1, 2}
    assert len(set(sets.test.labels)) > 1
    assert sets.found == (24, 6)
    whole = parts.make_sets(RunConfig(data=str(path), validation=0))
    pictures = [one.images.tolist() for one in data.load(path)]
    for found, expected in zip((whole.train, whole.test), pictures, strict=True):
        assert sorted(found.images.tolist()) == sorted(expected)
        for image, label in zip(found.images, found.labels, strict=True):
            stored = np.stack(
                [np.asarray(Image.open(one)) for one in (path / CLASSES[label]).iterdir()]
            )
            assert (stored == image[0]).all(axis=(1, 2)).any()


@pytest.mark.slow
def test_run_writes_the_facts_of_its_data(run, images):
    config = RunConfig.read(run / "config.json")
    assert config.data == str(images.resolve())
    assert config.model_options == {"classes": 3}
    facts = json.loads((run / "data.json").read_text())
    train_set, _ = data.load(images)
    assert facts["classes"] == list(CLASSES)
    assert facts["shape"] == [1, 28, 28]
    assert (facts["mean"], facts["std"]) == pytest.approx((train_set.mean, train_set.std))
    metrics = json.loads((run / "metrics.json").read_text())
    assert (metrics["dataset"], metrics["test_samples"]) == ("shapes", 12)
    assert metrics["test_accuracy"] > 0.8
    weights = train.load(run / "model.safetensors")
    assert weights["fc2.weight"].shape == (3, 32)


@pytest.mark.slow
def test_evaluate_reports_the_names_of_the_classes_from_any_folder(
    run, images, tmp_path, monkeypatch, capsys
):
    accuracy = json.loads((run / "metrics.json").read_text())["test_accuracy"]
    monkeypatch.chdir(tmp_path)
    assert main(["evaluate", str(run)]) == 0
    printed = capsys.readouterr().out
    assert "MnistCNNLight on the test set of shapes (12 images)\nloss 0." in printed
    assert f"accuracy {accuracy:.2%}" in printed
    for name in CLASSES:
        assert f" {name} " in printed
    assert main(["evaluate", str(run / "best.safetensors"), "--on", "validation"]) == 0
    moved = shutil.copytree(images, tmp_path / "moved")
    assert main(["evaluate", str(run), "--data", "moved"]) == 0
    assert "test set of moved (12 images)" in capsys.readouterr().out
    # The pixels are normalized as in training, whatever images were added.
    black = np.zeros((28, 28), np.uint8)
    for i in range(20):
        Image.fromarray(black).save(moved / "cross" / f"black{i}.png")
    sets = parts.make_sets(RunConfig(data=str(moved)))
    restored = parts.restore_normalization(sets, run / "data.json")
    assert sets.test.mean < restored.test.mean == restored.train.mean == data.load(images)[0].mean
    assert restored.validation.std == restored.train.std != sets.train.std


@pytest.mark.slow
def test_evaluate_refuses_other_data(run, images, tmp_path, capsys):
    moved = shutil.copytree(images, tmp_path / "moved")
    (moved / "cross").rename(moved / "plus")
    assert main(["evaluate", str(run), "--data", str(moved)]) == 1
    assert capsys.readouterr().err == (
        f"error: {moved}: expected the classes circle, cross, stripe that the run was trained with "
        f"({run / 'data.json'}), got circle, plus, stripe.\n"
    )
    small = write_images(tmp_path / "small", size=8, count=6)
    assert main(["evaluate", str(run), "--data", str(small)]) == 1
    assert "expected the shape 1, 28, 28 that the run" in capsys.readouterr().err
    np.savez(tmp_path / "a.npz", x=np.zeros((20, 2, 2), np.uint8), y=np.arange(20) % 2)
    flags = ("--image-size", "8", "--model", "MLP", "--epochs", "1")
    resized = trained(tmp_path / "resized", images, *flags)
    assert main(["evaluate", str(resized), "--data", str(tmp_path / "a.npz")]) == 1
    assert "a.npz: expected the classes circle, cross, stripe that" in capsys.readouterr().err
    assert main(["evaluate", str(run), "--data", str(tmp_path / "missing")]) == 1
    assert f"{tmp_path / 'missing'}: file not found. Expected a dir" in capsys.readouterr().err


@pytest.mark.slow
def test_evaluate_refuses_a_test_set_held_out_from_changed_files(tmp_path, capsys):
    path = write_images(tmp_path / "shapes", size=8, count=20)
    run = trained(tmp_path / "run", path, "--model", "MLP", "--epochs", "1")
    added, removed = path / "cross" / "new.png", path / "cross" / "00.png"
    Image.new("L", (8, 8), 77).save(added)
    capsys.readouterr()
    for part in ("test", "validation"):
        assert main(["evaluate", str(run), "--on", part]) == 1
        assert capsys.readouterr().err == (
            f"error: {path}: expected the images and labels that the run was trained with "
            f"({run / 'data.json'}), got 49 training images instead of 48, and 12 test images, not "
            f"all of them the same. The {part} set is held out from these files, so it may now "
            "contain images that the model was trained on. Restore the files, or pass --data to "
            "evaluate on them anyway.\n"
        )
    assert main(["evaluate", str(run), "--data", str(path)]) == 0
    removed.rename(tmp_path / "00.png")  # as many images as before
    assert main(["evaluate", str(run)]) == 1
    (tmp_path / "00.png").rename(removed)
    added.unlink()
    assert main(["evaluate", str(run)]) == 0


@pytest.mark.slow
@pytest.mark.parametrize("is_npz", [False, True])
def test_evaluate_uses_a_test_set_of_its_own_that_has_changed(tmp_path, capsys, is_npz):
    def write(count):
        for part in ("train", "test"):
            write_images(tmp_path / f"shapes{count}" / part, size=8, count=count)
        if not is_npz:
            shutil.rmtree(path, ignore_errors=True)
            (tmp_path / f"shapes{count}").rename(path)
            return
        arrays = {}
        for part, one in zip(
            ("train", "test"), data.load(tmp_path / f"shapes{count}"), strict=True
        ):
            arrays |= {f"x_{part}": one.images, f"y_{part}": one.labels}
        np.savez(path, **arrays)

    path = tmp_path / ("a.npz" if is_npz else "shapes")
    write(count=6)
    run = trained(tmp_path / "run", path, "--model", "MLP", "--epochs", "1")
    write(count=7)
    assert main(["evaluate", str(run)]) == 0
    assert "(21 images)" in capsys.readouterr().out
    assert main(["evaluate", str(run), "--on", "validation"]) == 1
    assert "got 21 training images instead of 18" in capsys.readouterr().err


@pytest.mark.slow
def test_predict_prints_the_names_of_the_classes(run, tmp_path, capsys):
    generator, paths = np.random.default_rng(5), []
    for kind in CLASSES:
        image = Image.fromarray(shape_of(kind, 28, generator)).convert("RGB")
        paths.append(tmp_path / f"{kind}.png")
        image.resize((56, 56), Image.Resampling.NEAREST).save(paths[-1])
    missing = tmp_path / "missing.png"
    assert main(["predict", str(run), str(paths[0]), str(missing), *map(str, paths[1:])]) == 1
    printed = capsys.readouterr()
    lines = printed.out.splitlines()
    for path, line, kind in zip(paths, lines, CLASSES, strict=True):
        assert line.startswith(f"{path}: {kind}  ({kind}: ")
        assert line.count("%") == 3
    assert printed.err == f"error: {missing}: cannot read the file (No such file or directory).\n"


@pytest.mark.slow
def test_predict_normalizes_pictures_like_the_training_images(images, tmp_path, capsys):
    # After one slow epoch, the probabilities are far from 0 and 1.
    run = trained(tmp_path / "run", images, "--model", "MLP", "--epochs", "1", "--lr", "1e-5")
    capsys.readouterr()
    config, model = load_run(run)
    logits = train.predict(model, data.DataLoader(parts.make_sets(config).test, 12))
    expected = sorted(f"{max(row):.1%}" for row in Tensor(logits).softmax().numpy())
    _, test_set = data.load(images)
    paths = [
        path
        for path in sorted(images.glob("*/*.png"))
        if (test_set.images[:, 0] == np.asarray(Image.open(path))).all(axis=(1, 2)).any()
    ]
    assert main(["predict", str(run), *map(str, paths)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert sorted(line.split(": ")[2].split(",")[0] for line in lines) == expected


@pytest.mark.slow
def test_a_run_on_changed_data_does_not_resume(tmp_path, capsys):
    path = write_images(tmp_path / "shapes", size=8, count=6)
    out = trained(tmp_path / "run", path, "--schedule", "constant", "--model", "MLP")
    Image.new("L", (8, 8), 77).save(path / "cross" / "00.png")
    resume = ["train", "--resume", str(out), "--epochs", "7", "--no-figures"]
    capsys.readouterr()
    assert main(resume) == 1
    changed = capsys.readouterr().err
    assert changed.startswith(f"error: {path}: expected the images and labels that the run was")
    assert changed.endswith("all of them the same. Restore the files, or start a new run.\n")
    (path / "cross").rename(path / "plus")
    assert main(resume) == 1
    assert "expected the classes circle, cross, stripe that the run" in capsys.readouterr().err
    # Another run in its place removes the facts.
    flags = ["--data", "digits", "--model", "DigitsCNN", "--train-samples", "100", *FAST]
    assert main(["train", *flags, "--out", str(out), "--overwrite"]) == 0
    assert not (out / "data.json").exists()


def test_too_few_images_to_validate_with(tmp_path):
    path = write_images(tmp_path / "shapes", size=4, count=2)
    with pytest.raises(ArgumentError, match=r" images\. Pass --validation 0 to disable it\.$"):
        parts.make_sets(RunConfig(data=str(path), validation=0.01))
    assert parts.make_sets(RunConfig(data=str(path), validation=0)).validation is None


def test_options_that_are_given_are_kept():
    dataset = data.ImageDataset(np.zeros((2, 1, 3, 3), np.uint8), [0, 1], ("a", "b"))
    config = RunConfig(data="a/b", model="MLP", model_options={"classes": 4})
    assert parts.fit_model(config, dataset).model_options == {"inputs": 9, "classes": 4}
    named = RunConfig(model="MLP")
    assert parts.fit_model(named, dataset) is named


@pytest.mark.slow
def test_summary_needs_few_images(tmp_path, capsys):
    path = write_images(tmp_path / "shapes", size=8, count=2)
    assert main(["summary", "MLP", "--data", str(path)]) == 0
    assert "64" in capsys.readouterr().out


@pytest.mark.slow
def test_run_resumes(images, tmp_path):
    out = trained(tmp_path / "run", images, "--schedule", "constant", "--model", "MLP")
    assert main(["train", "--resume", str(out), "--epochs", "7", "--no-figures"]) == 0
    assert json.loads((out / "metrics.json").read_text())["epochs"] == 7
    config = RunConfig.read(out / "config.json")
    assert config.model_options == {"inputs": 784, "classes": 3}


@pytest.mark.slow
def test_color_images_of_any_size_are_resized(tmp_path, capsys):
    path = write_images(tmp_path / "photos", size=40, count=6, mode="RGB")
    Image.new("RGB", (50, 30)).save(path / "cross" / "other.png")
    flags = ["--image-size", "9", "--model", "MLP"]
    run = trained(tmp_path / "run", path, *flags)
    config = RunConfig.read(run / "config.json")
    assert config.model_options == {"inputs": 243, "classes": 3}
    assert "3 classes, out of 15 + 4 images from" in capsys.readouterr().out
    assert main(["predict", str(run), str(path / "cross" / "other.png")]) == 0
    assert main(["summary", "MLP", "--data", str(path), "--image-size", "9", "--gray"]) == 0
    assert "81" in capsys.readouterr().out
    assert main(["evaluate", str(run)]) == 0


@pytest.mark.slow
def test_figures_are_drawn(images, tmp_path):
    flags = ["--data", str(images), "--model", "MnistCNNLight", "--epochs", "1"]
    assert main(["train", *flags, "--out", str(tmp_path / "run")]) == 0
    for name in ("predictions.png", "confusion.png", "calibration.png"):
        assert (tmp_path / "run" / name).stat().st_size > 1000


@pytest.mark.slow
def test_runs_are_named_after_their_data(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    generator = np.random.default_rng(0)
    pictures = generator.integers(0, 256, (40, 8, 8), np.uint8)
    np.savez("letters.npz", x=pictures, y=np.arange(40) % 2)
    rows = np.column_stack([np.arange(40) % 2, pictures.reshape(40, -1)])
    np.savetxt("train.csv", rows, "%d", ",")
    for name, stem in (("letters.npz", "letters"), ("train.csv", "train")):
        assert main(["train", "--data", name, "--model", "MLP", *FAST, "--epochs", "1"]) == 0
        config = RunConfig.read(tmp_path / "runs" / f"MLP-{stem}" / "config.json")
        assert config.data == str(tmp_path / name)


@pytest.mark.slow
def test_models_that_do_not_fit_are_errors(images, tmp_path, capsys):
    colors = write_images(tmp_path / "colors", size=32, count=6, mode="RGB")
    np.savez(tmp_path / "a.npz", x=np.zeros((20, 12, 12), np.uint8), y=np.arange(20) % 2)
    (tmp_path / "broken").mkdir()
    for path, model, status, message in (
        (
            images,
            "LabCNN",
            2,
            f"LabCNN: expected logits of shape (1, 3) for an image, because --data {images} has 3 "
            "classes, got (1, 10). Use a model whose constructor has a parameter `classes`, which "
            "then receives this number.",
        ),
        (
            colors,
            "MnistCNN",
            2,
            f"MnistCNN: expected a model for images of shape 3x32x32 (--data {colors}), got one "
            "that fails. It takes images of shape 1x28x28. Try --image-size 28 --gray. The error "
            "is ",
        ),
        (tmp_path / "a.npz", "DigitsCNN", 2, "It takes images of shape 1x8x8. The error is "),
        (tmp_path / "broken", "MLP", 1, f"{tmp_path / 'broken'}: expected one subdirectory of"),
        (tmp_path / "no.csv", "MLP", 1, f"{tmp_path / 'no.csv'}: file not found. Expected a"),
    ):
        for command in (
            ["train", "--model", model, "--out", str(tmp_path / "run")],
            ["summary", model],
        ):
            assert main([*command, "--data", str(path)]) == status
            assert message in capsys.readouterr().err
            assert not (tmp_path / "run").exists()
    # --gray and --image-size are for directories of images.
    flags = ["--data", str(tmp_path / "a.npz"), "--image-size", "28"]
    assert main(["train", *flags, "--out", str(tmp_path / "run")]) == 2
    assert "which is not a directory of images" in capsys.readouterr().err


@pytest.mark.slow
def test_evaluate_refuses_a_path_for_a_run_on_a_named_dataset(tmp_path, images, capsys):
    flags = ["--data", "digits", "--model", "DigitsCNN", "--train-samples", "100", *FAST]
    assert main(["train", *flags, "--epochs", "1", "--out", str(tmp_path / "run")]) == 0
    assert not (tmp_path / "run" / "data.json").exists()
    assert main(["evaluate", str(tmp_path / "run"), "--data", str(images)]) == 2
    expected = (
        f"expected a run trained on files, got {tmp_path / 'run'}, which was trained on digits."
    )
    assert expected in capsys.readouterr().err


def test_damaged_facts_are_errors(tmp_path):
    good = {"classes": ["a", "b"], "shape": [1, 2, 2], "scale": 255.0, "mean": 0.5, "std": 0.1}
    fingerprint = {"count": 2, "sha256": "ab"}
    good["fingerprints"] = {"train": fingerprint, "test": fingerprint}
    path = tmp_path / "data.json"
    for change in (
        {"classes": None},
        {"classes": 3},
        {"shape": [2, 2]},
        {"shape": ["a", 1, 1]},
        {"std": 0},
        {"mean": "x"},
        {"fingerprints": {"train": fingerprint}},
        {"fingerprints": {"train": fingerprint, "test": {"count": 2}}},
        {"fingerprints": []},
    ):
        path.write_text(json.dumps({**good, **change}))
        with pytest.raises(DataError) as caught:
            parts.read_data_facts(path)
        assert str(caught.value).startswith(f"{path}: expected the data.json of a run (")
    for content in ("[]", "3", '{"classes": ["a"]}'):
        path.write_text(content)
        with pytest.raises(DataError):
            parts.read_data_facts(path)
    path.write_text(json.dumps(good))
    assert parts.read_data_facts(path) == {**good, "classes": ("a", "b"), "shape": (1, 2, 2)}
    path.unlink()
    with pytest.raises(DataError, match="cannot read the file"):
        parts.read_data_facts(path)
