"""The examples that study something, in their quick form, as a user runs them; and what they claim
to do along the way."""

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import compare
import debugging
import digits
import fashion_mnist
import shared
import transfer
from models import DigitsCNN, FashionCNN, LeNet
from tinygrad_np import TinygradNpError, data, train

ROOT = Path(__file__).parents[2]


def run(name, folder, *flags):
    """Run an example with `--out folder/out`, without data sets and without a network."""
    variables = {key: value for key, value in os.environ.items() if "TINYGRAD" not in key}
    # A proxy that refuses: downloads fail at once, wherever the test runs.
    variables |= {"http_proxy": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9"}
    variables |= {"XDG_CACHE_HOME": str(folder / "cache"), "MPLBACKEND": "Agg"}
    command = [sys.executable, str(ROOT / "examples" / f"{name}.py"), "--out", str(folder / "out")]
    return subprocess.run(
        [*command, *flags], capture_output=True, text=True, env=variables, cwd=ROOT, check=False
    )


def results_of(folder):
    """Return what the run wrote."""
    return json.loads((folder / "out" / "results.json").read_text())


def files_of(folder):
    """Return the names of the files that the run left."""
    return {path.name for path in (folder / "out").iterdir()}


@pytest.mark.slow
def test_digits(tmp_path):
    """The whole of it, since it takes seconds: the tutorial's own figure is 92.5 %."""
    done = run("digits", tmp_path)
    assert done.returncode == 0, done.stderr
    assert "1438 images of 8x8 for training, 359 held out" in done.stdout
    assert files_of(tmp_path) == {"results.json", "model.safetensors", "curves.png", "kernels.png"}
    seeds = results_of(tmp_path)["seeds"]
    last = np.array([epochs[-1]["validation_accuracy"] for epochs in seeds])
    assert [len(epochs) for epochs in seeds] == [10] * 20
    assert 0.92 <= last.mean() <= 0.94
    assert last.std() < 0.025
    assert f"a mean of {100 * last.mean():.2f} %" in done.stdout
    DigitsCNN().load_state_dict(train.load(tmp_path / "out" / "model.safetensors"))


def test_a_rate_that_diverged_is_not_chosen(monkeypatch):
    losses = {0.1: 0.5, 0.2: 0.3, 0.3: np.nan}

    def fit(setting, train_set, held_out, epochs, seed):
        return {"accuracy": 0.9, "loss": losses[setting.rates[0]], "seconds": 1.0}

    monkeypatch.setattr(compare, "fit", fit)
    sets = data.digits()
    setting = compare.Setting("SGD", rates=tuple(losses))
    chosen, row = compare.examine(setting, *sets, epochs=1, seeds=[1], is_quick=False)
    assert (chosen.rates, row["rate_is_at_edge"]) == ((0.2,), False)


def test_the_test_set_chooses_nothing_in_compare(monkeypatch, tmp_path, capsys):
    """Rates and settings are compared on validation images; the best is tested, once."""
    sets, calls = data.digits(28), []
    rest, validation = sets[0].split(0.1, seed=0)

    def fit(setting, train_set, held_out, epochs, seed):
        calls.append((setting, train_set, held_out, seed))
        is_chosen = setting.rates[0] == setting_rates[setting.name]
        best = 0.9 if setting.name == "momentum 0.9" else 0.8
        return {"accuracy": best, "loss": 0.1 if is_chosen else 0.2, "seconds": 1.0}

    # The second of the two rates that the quick form takes, for every other optimizer.
    setting_rates = {
        setting.name: setting.rates[1 + place % 2]
        for place, setting in enumerate(compare.STUDIES["optimizers"])
    }
    monkeypatch.setattr(compare, "fit", fit)
    monkeypatch.setattr(shared, "find", lambda load, is_quick: sets)
    flags = ["--quick", "--only", "optimizers", "--out", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", ["compare.py", *flags])
    compare.main()
    *others, (setting, train_set, held_out, _) = calls
    assert setting.name == "momentum 0.9"
    assert "best by validation: momentum 0.9" in capsys.readouterr().out
    assert held_out is sets[1]
    for train_set_, held_out_ in [(call[1], call[2]) for call in others]:
        np.testing.assert_array_equal(train_set_.images, rest.images[:320])
        np.testing.assert_array_equal(held_out_.images, validation.images)
    np.testing.assert_array_equal(train_set.images, rest.images[:320])
    rows = json.loads((tmp_path / "results.json").read_text())["optimizers"]
    assert {row["name"]: row["rate"] for row in rows} == setting_rates


def test_compare_decays_weights():
    """By decay alone: in five steps the loss is another already."""
    rest, held_out = (one.first(320) for one in data.digits(28))
    losses = {
        decay: compare.fit(
            compare.Setting("", optimizer=compare.optim.AdamW, weight_decay=decay, rates=(0.01,)),
            rest,
            held_out,
            epochs=1,
            seed=0,
        )["loss"]
        for decay in (0.0, 1.0)
    }
    assert losses[0.0] != pytest.approx(losses[1.0], rel=1e-3)


def test_the_test_set_chooses_nothing_in_transfer(monkeypatch):
    """Rates are chosen by validation loss, of a seed of their own; the finished trainings are
    tested on all test images, and on those of the new digit."""
    sets, seen = data.digits(28), []
    rest, validation = sets[0].split(0.1, seed=0)
    best = {"from scratch": 0.005, "frozen": 0.0002, "fine-tuned": 0.001}

    def carry_over(method, learned, images, rate, steps, seed):
        def evaluate(loader):
            seen.append((method, images, rate, seed, loader.dataset))
            return {"loss": 0.1 if rate == best[method] else 0.2, "accuracy": 0.5}

        return SimpleNamespace(evaluate=evaluate)

    monkeypatch.setattr(transfer, "carry_over", carry_over)
    args = SimpleNamespace(digit=3, counts=[1, 2, 4], seeds=[1, 2], steps=5)
    rows = transfer.compare({}, *sets, args)
    assert {row["method"]: row["rate"] for row in rows} == best
    known = {image.tobytes() for image in rest.images}
    for _, images, _, seed, dataset in seen:
        assert all(image.tobytes() in known for image in images.images)
        if seed == 0:
            np.testing.assert_array_equal(dataset.images, validation.images)
            assert len(images) == 20  # of the middle count
        elif dataset is not sets[1]:
            assert dataset.labels.tolist() == [3] * np.sum(sets[1].labels == 3)
    assert sum(dataset is sets[1] for *_, dataset in seen) == 3 * 3 * 2
    assert len(seen) == 3 * 3 + 2 * (3 * 3 * 2)


def test_the_first_network_of_transfer_never_sees_the_new_digit(monkeypatch):
    sets, seen = data.digits(28), []
    right = transfer.DataLoader

    def loader(dataset, *arguments, **options):
        seen.append(dataset)
        return right(dataset, *arguments, **options)

    monkeypatch.setattr(transfer, "DataLoader", loader)
    transfer.learn_nine(sets[0].first(200), sets[1].first(100), digit=4, epochs=1)
    assert [sorted(set(dataset.labels.tolist())) for dataset in seen] == [
        [0, 1, 2, 3, 5, 6, 7, 8, 9]
    ] * 2


@pytest.mark.slow
def test_compare_goes_through_all_studies(tmp_path):
    done = run("compare", tmp_path, "--quick")
    assert done.returncode == 0, done.stderr
    results = results_of(tmp_path)
    names = ["activations", "optimizers", "learning rate", "batch size", "dropout", "pooling"]
    assert list(results) == [*names, "weight decay"]
    assert files_of(tmp_path) == {"results.json", *(f"{n.replace(' ', '_')}.png" for n in results)}
    for rows in results.values():
        assert all(len(row["accuracy"]) == len(row["loss"]) == 1 for row in rows)
        assert all(f"\n{row['name']} " in done.stdout for row in rows)
    # Adam at one rate is one training, in whichever study it stands.
    (adam,) = [row for row in results["optimizers"] if row["name"] == "Adam"]
    (same,) = [row for row in results["learning rate"] if row["rate"] == adam["rate"]]
    assert adam["loss"] == same["loss"]
    # Different settings are different trainings.
    for study in ("activations", "optimizers", "batch size", "dropout", "pooling"):
        losses = [row["loss"][0] for row in results[study]]
        assert len(set(losses)) == len(losses), study
    assert "best by validation" in done.stdout


@pytest.mark.slow
def test_compare_runs_one_study(tmp_path):
    done = run("compare", tmp_path, "--quick", "--only", "pooling")
    assert files_of(tmp_path) == {"results.json", "pooling.png"}
    assert [row["name"] for row in results_of(tmp_path)["pooling"]] == ["max", "average"]
    assert "activations" not in done.stdout


@pytest.mark.slow
def test_transfer_helps_with_few_images(tmp_path):
    done = run("transfer", tmp_path, "--quick")
    assert done.returncode == 0, done.stderr
    assert "Digits upside down stand in for clothes" in done.stdout
    assert "running statistics too, came out bit for bit as it went in" in done.stdout
    assert files_of(tmp_path) == {"results.json", "nine_digits.safetensors", "transfer.png"}
    results = results_of(tmp_path)
    assert list(results) == ["digits", "digits upside down"]
    for rows in results.values():
        means = {(row["method"], row["count"]): np.mean(row["accuracy"]) for row in rows}
        assert len(means) == 6
        for method in ("frozen", "fine-tuned"):
            assert means[method, 4] > means["from scratch", 4] + 0.02
            assert means[method, 4] > means[method, 1]


def test_what_is_frozen_stays_and_without_the_callback_statistics_move(monkeypatch):
    """In 3 steps: the optimizer leaves frozen weights alone, but norms move by themselves."""
    images, _ = data.digits(size=28)
    images = transfer.few(images, 4, seed=0)
    learned = LeNet(np.random.default_rng(5)).state_dict()
    transfer.carry_over("frozen", learned, images, rate=0.002, steps=3, seed=0)
    monkeypatch.setattr(transfer.KeepInEvaluation, "on_epoch_start", train.Callback.on_epoch_start)
    with pytest.raises(TinygradNpError, match=r"yet have changed: .*bn1\.running_mean") as caught:
        transfer.carry_over("frozen", learned, images, rate=0.002, steps=3, seed=0)
    assert "weight" not in str(caught.value)


def test_what_is_cut_short_is_no_result(monkeypatch, tmp_path):
    """After Ctrl-C, which ends `fit` as if it were done, each of them stops."""
    cut = train.History()
    cut.interrupted = True
    monkeypatch.setattr(train.Trainer, "fit", lambda *arguments, **options: cut)
    sets = tuple(one.first(50) for one in data.digits(28))
    learned = LeNet().state_dict()
    args = SimpleNamespace(out=tmp_path, seed=0, epochs=1, lr=0.1, patience=None)
    for call in (
        lambda: compare.fit(compare.Setting("", rates=(0.1,)), *sets, epochs=1, seed=0),
        lambda: transfer.learn_nine(*sets, digit=1, epochs=1),
        lambda: transfer.carry_over("frozen", learned, sets[0], rate=0.1, steps=1, seed=0),
        lambda: digits.fit(*sets, epochs=1, seed=0),
        lambda: fashion_mnist.fit(FashionCNN(), *sets, args),
        lambda: debugging.train(debugging.network(debugging.nn.ReLU), 0.1, 1),
    ):
        with pytest.raises(KeyboardInterrupt):
            call()


def test_few_images_are_drawn_class_by_class_and_more_contain_fewer():
    train_set, _ = data.digits()
    small, large = (transfer.few(train_set, count, seed=3) for count in (2, 5))
    assert np.bincount(small.labels).tolist() == [2] * 10
    assert np.bincount(large.labels).tolist() == [5] * 10
    known = {image.tobytes() for image in large.images}
    assert all(image.tobytes() in known for image in small.images)
    other = transfer.few(train_set, 2, seed=4)
    assert not np.array_equal(small.images, other.images)


@pytest.mark.slow
def test_fashion_mnist(tmp_path):
    done = run("fashion_mnist", tmp_path, "--quick", "--patience", "2")
    assert done.returncode == 0, done.stderr
    assert "1,630,282 parameters" in done.stdout
    assert "EarlyStopping: the weights of epoch 1 are restored" in done.stdout
    for part in ("macro mean", "expected calibration error", "of the test images right"):
        assert part in done.stdout
    drawn = {"images", "curves", "confusion", "predictions", "calibration"}
    kept = {"best.safetensors", "last.safetensors", "training.safetensors", "history.json"}
    assert files_of(tmp_path) == {f"{name}.png" for name in drawn} | kept
    (epoch,) = json.loads((tmp_path / "out" / "history.json").read_text())
    best = train.load(tmp_path / "out" / "best.safetensors")
    FashionCNN().load_state_dict(best)
    assert epoch["validation_accuracy"] > 0.3, "ten classes were guessed at"


@pytest.mark.slow
def test_fashion_mnist_without_early_stopping(tmp_path):
    done = run("fashion_mnist", tmp_path, "--quick", "--epochs", "2")
    assert done.returncode == 0, done.stderr
    assert "epoch 2/2" in done.stdout
    assert "EarlyStopping" not in done.stdout
    refused = run("fashion_mnist", tmp_path, "--quick", "--epochs", "0")
    assert refused.returncode == 1
    assert "epochs: got 0" in refused.stderr


@pytest.mark.slow
@pytest.mark.parametrize("name", ["digits", "compare", "transfer", "fashion_mnist"])
def test_an_unwritable_out_is_refused(tmp_path, name):
    (tmp_path / "out").write_text("a file, not a folder")
    done = run(name, tmp_path, "--quick")
    assert done.returncode == 1
    assert "--out: " in done.stderr
    assert "Traceback" not in done.stderr


def test_digits_stand_in_for_what_cannot_be_had(monkeypatch, tmp_path, capsys):
    monkeypatch.delenv("TINYGRAD_NP_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    for proxy in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(proxy, "http://127.0.0.1:9")
    train_set, _ = shared.find(data.mnist, is_quick=False)
    assert train_set.images.shape == (1438, 1, 28, 28)
    assert "MNIST was not found and could not be downloaded" in capsys.readouterr().out


def test_an_example_that_is_interrupted_says_so(capsys):
    def interrupted():
        raise KeyboardInterrupt

    assert shared.run(interrupted) == 130
    assert "interrupted" in capsys.readouterr().err
