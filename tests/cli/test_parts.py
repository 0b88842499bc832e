"""The parts of a run follow its config."""

import os

import numpy as np
import pytest

from tinygrad_np import data, nn, optim, train
from tinygrad_np.cli import parts, training
from tinygrad_np.cli.config import LEARNING_RATES, RunConfig
from tinygrad_np.errors import ArgumentError

MNIST = os.environ.get("TINYGRAD_NP_DATA")


def config_of(**values):
    """Return the config of a small run."""
    return RunConfig(**{"data": "digits", "model": "DigitsCNN", **values})


def rates_of(steps, **values):
    """Return the learning rate of each step."""
    config = config_of(lr=0.1, **values)
    optimizer = parts.make_optimizer(config, parts.make_model("DigitsCNN", {}))
    schedule, per = parts.make_schedule(config, optimizer, steps)
    assert per == "step"
    rates = []
    for _ in range(steps):
        rates.append(optimizer.param_groups[1]["lr"])
        if schedule is not None:
            schedule.step()
    return np.array(rates)


@pytest.mark.parametrize("warmup", [0, 20])
def test_schedules_span_the_steps_after_the_warmup(warmup):
    """After the warmup, each schedule spans the remaining steps."""
    left = 100 - warmup
    k = np.arange(left)
    expected = {
        "constant": np.full(left, 0.1),
        "step": 0.1 * np.where(k < left // 2, 1, np.where(k < 3 * left // 4, 0.1, 0.01)),
        "cosine": 0.05 * (1 + np.cos(np.pi * k / left)),
    }
    for name, rates in expected.items():
        found = rates_of(100, schedule=name, warmup=warmup / 100)
        np.testing.assert_allclose(found[warmup:], rates, rtol=1e-9)
        rise = 0.1 * (0.01 + 0.99 * np.arange(warmup) / max(1, warmup))
        np.testing.assert_allclose(found[:warmup], rise, rtol=1e-9)


def test_one_cycle_peaks_at_lr():
    rates = rates_of(100, schedule="onecycle")
    assert rates.max() == pytest.approx(0.1, rel=1e-3)
    assert 0 < rates[-1] < 1e-4


@pytest.mark.parametrize("name", LEARNING_RATES)
def test_config_sets_the_optimizer(name):
    config = config_of(optimizer=name, momentum=0.7, weight_decay=0.3)
    weights, rest = parts.make_optimizer(config, parts.make_model("DigitsCNN", {})).param_groups
    assert (weights["weight_decay"], rest["weight_decay"]) == (0.3, 0.0)
    assert weights["lr"] == LEARNING_RATES[name]
    momentum = {"sgd": 0.7, "rmsprop": 0.7, "muon": 0.95}
    assert weights.get("momentum") == momentum.get(name)


def test_validation_images_are_removed_from_the_training_set():
    sets = parts.make_sets(config_of(validation=0.2, seed=3, train_samples=500, test_samples=70))
    both = np.concatenate([sets.train.images, sets.validation.images]).reshape(500, -1)
    all_of_it = data.digits()[0].images[:500].reshape(500, -1)
    assert (len(sets.validation), len(sets.test)) == (100, 70)
    assert sorted(map(bytes, both)) == sorted(map(bytes, all_of_it))
    assert parts.make_sets(config_of(validation=0)).validation is None


def test_only_the_training_set_is_augmented_and_shuffled():
    config = config_of(shift=1, rotation=2, scaling=0.3, flip=True, noise=0.4, erasing=0.5, seed=6)
    sets = parts.make_sets(config)
    loader = parts.make_loader(config, sets.train)
    assert loader.augmentation == data.Augmentation(1, 2, 0.3, True, 0.4, 0.5)
    assert (loader.shuffle, loader.seed, loader.batch_size) == (True, 6, 64)
    assert parts.make_loader(config_of(), sets.train).augmentation is None
    others = training._evaluation(sets.validation)
    assert (others.shuffle, others.augmentation) == (False, None)


@pytest.mark.slow
@pytest.mark.parametrize("standardise", [True, False])
@pytest.mark.parametrize("name", ["digits", "mnist"])
def test_given_images_are_standardized_like_the_training_images(name, standardise):
    if name == "mnist" and not MNIST:
        pytest.skip("TINYGRAD_NP_DATA is not set")
    config = RunConfig(data=name, data_dir=MNIST, standardise=standardise)
    trained, like = parts.make_sets(config).test, np.uint8([[[[0, 255]]]])
    black_and_white, _ = parts.make_like(config, like).batch(slice(None))
    expected = np.float32([0 - trained.mean, 1 - trained.mean]) / trained.std
    np.testing.assert_allclose(black_and_white.ravel(), expected, rtol=1e-6)


def test_config_sets_the_trainer(tmp_path):
    clips = {"clip_norm": 2, "clip_value": 0.5}
    watched = {"patience": 4, "monitor": "validation_accuracy", "schedule": "plateau"}
    config = config_of(steps=100, checkpoint_every=7, test_each_epoch=True, **clips, **watched)
    sets = parts.make_sets(config)
    loader = parts.make_loader(config, sets.train)
    model = parts.make_model("DigitsCNN", {})
    trainer, epochs = training._trainer(config, model, loader, sets, tmp_path, [])
    assert epochs == -(-100 // len(loader))
    assert (trainer.clip_norm, trainer.clip_value) == (2, 0.5)
    assert isinstance(trainer.schedule, optim.ReduceLROnPlateau)
    assert trainer.schedule_per == "epoch"
    by_kind = {type(one): one for one in trainer.callbacks}
    stopping, checkpoint = by_kind[train.EarlyStopping], by_kind[train.Checkpoint]
    assert (stopping.patience, checkpoint.every_steps) == (4, 7)
    assert stopping.state_dict()["best"]["monitor"] == "validation_accuracy"
    assert checkpoint.state_dict()["best"]["monitor"] == "validation_accuracy"
    assert by_kind[train.Evaluate].loader.dataset is sets.test


def test_a_model_that_fails_on_the_images_raises():
    """The message suggests the other size if the model works with it."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    parts.check_images(model, config_of(model="net.py:Net"))
    assert all(module.training for module in model.modules())
    with pytest.raises(ArgumentError) as caught:
        parts.check_images(model, config_of(model="net.py:Net", data="mnist"))
    assert str(caught.value).startswith(
        "net.py:Net: expected a model for images of shape 1x28x28 (--data mnist), got one that "
        "fails. Try --data digits. The error is ShapeError: Linear '1': expected input"
    )
    assert not str(caught.value).endswith("..")
    with pytest.raises(ArgumentError, match=r"fails. The error is ShapeError"):
        parts.check_images(nn.Linear(3, 3), config_of(model="net.py:Net"))
