"""Tests of examples/transfer.py."""

from types import SimpleNamespace

import numpy as np
import pytest

import compare
import debugging
import digits
import fashion_mnist
import transfer
from models import FashionCNN, LeNet
from tests.examples.tools import files_of, results_of, run
from tinygrad_np import TinygradNpError, data, train

pytestmark = pytest.mark.slow


def test_only_finished_runs_see_the_test_set(monkeypatch):
    """Learning rates are chosen by validation loss with seed 0, which no finished run uses."""
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
            assert len(images) == 20  # the middle count
        elif dataset is not sets[1]:
            assert dataset.labels.tolist() == [3] * np.sum(sets[1].labels == 3)
    assert sum(dataset is sets[1] for *_, dataset in seen) == 3 * 3 * 2
    assert len(seen) == 3 * 3 + 2 * (3 * 3 * 2)


def test_pretraining_never_sees_the_new_digit(monkeypatch):
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


def test_transfer_helps_with_few_images(tmp_path):
    done = run("transfer", tmp_path, "--quick")
    assert done.returncode == 0, done.stderr
    assert "Using digits upside down in place of Fashion-MNIST" in done.stdout
    assert "All frozen weights and running statistics are unchanged, bit for bit" in done.stdout
    assert files_of(tmp_path) == {"results.json", "nine_digits.safetensors", "transfer.png"}
    results = results_of(tmp_path)
    assert list(results) == ["digits", "digits upside down"]
    for rows in results.values():
        means = {(row["method"], row["count"]): np.mean(row["accuracy"]) for row in rows}
        assert len(means) == 6
        for method in ("frozen", "fine-tuned"):
            assert means[method, 4] > means["from scratch", 4] + 0.02
            assert means[method, 4] > means[method, 1]


def test_running_statistics_change_without_the_callback(monkeypatch):
    """The optimizer skips frozen weights, but batch norms update their running statistics."""
    images, _ = data.digits(size=28)
    images = transfer.few(images, 4, seed=0)
    learned = LeNet(np.random.default_rng(5)).state_dict()
    transfer.carry_over("frozen", learned, images, rate=0.002, steps=3, seed=0)
    monkeypatch.setattr(transfer.KeepInEvaluation, "on_epoch_start", train.Callback.on_epoch_start)
    with pytest.raises(
        TinygradNpError, match=r"frozen arrays changed: .*bn1\.running_mean"
    ) as caught:
        transfer.carry_over("frozen", learned, images, rate=0.002, steps=3, seed=0)
    assert "weight" not in str(caught.value)


def test_interrupted_fit_stops_every_example(monkeypatch, tmp_path):
    """`fit` returns normally after Ctrl-C, so each example has to check for it."""
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


def test_few_draws_per_class_and_larger_counts_contain_smaller_ones():
    train_set, _ = data.digits()
    small, large = (transfer.few(train_set, count, seed=3) for count in (2, 5))
    assert np.bincount(small.labels).tolist() == [2] * 10
    assert np.bincount(large.labels).tolist() == [5] * 10
    known = {image.tobytes() for image in large.images}
    assert all(image.tobytes() in known for image in small.images)
    other = transfer.few(train_set, 2, seed=4)
    assert not np.array_equal(small.images, other.images)
