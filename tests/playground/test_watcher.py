"""The watcher: its curves and pictures, and that it changes nothing in the run."""

import base64
import json
import threading

import numpy as np
import pytest

from tests.tools import rng
from tinygrad_np import train
from tinygrad_np.cli.config import RunConfig
from tinygrad_np.cli.parts import make_model, make_sets
from tinygrad_np.cli.training import run_training
from tinygrad_np.data import DataLoader
from tinygrad_np.playground import watcher as module
from tinygrad_np.playground.feed import Feed
from tinygrad_np.playground.watcher import Control, Curve, Pace, Watcher
from tinygrad_np.train.tree import load_tree

pytestmark = pytest.mark.slow

MLP = {"inputs": 2, "hidden": [8], "classes": 2}
# Draws random numbers in each pass, also in evaluation mode, from the default generator.
NOISY = """
from tinygrad_np import Tensor, nn

class Noisy(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm2d(1)
        self.linear = nn.Linear(64, 10)

    def forward(self, x):
        x = self.norm(x).flatten(1)
        return self.linear(x + 0.1 * Tensor.rand(*x.shape))
"""


class Clock:
    """A clock that only the test moves."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


def watched(config, folder, resume=False, control=None, kind=Watcher):
    """Train with a watcher and return its feed."""
    feed, control = Feed(), control or Control()

    def watch(sets):
        return kind(config, sets, folder, feed, control)

    run_training(config, folder, resume=resume, figures=False, watch=watch)
    return feed


def series(feed, name):
    return json.loads(next(feed.stream()).split("data: ")[1])[name]


def decoded(text):
    return np.frombuffer(base64.b64decode(text), np.uint8)


@pytest.mark.parametrize("steps", [70, 72])
def test_curve_holds_means_over_intervals(monkeypatch, steps):
    monkeypatch.setattr(module, "_POINTS", 18)
    generator = rng(0)
    sizes = ([4, 4, 2] * 24)[:steps]  # 10 samples per epoch, batch size 4
    losses = generator.random(steps)
    right = [int(generator.integers(0, size + 1)) for size in sizes]
    curve, points = Curve(steps, 3, 4, 10), []
    for i in range(steps):
        start = i - i % 3
        accuracy = sum(right[start : i + 1]) / sum(sizes[start : i + 1])
        points += curve.add(i + 1, losses[i], accuracy)
    ends = [point[0] for point in points]
    early = [*range(1, 17), *range(18, 33, 2), *range(36, 65, 4)]
    assert ends == [*early, *range(68, steps, 4), steps]
    for begin, (end, loss, accuracy) in zip([0, *ends], points, strict=False):
        count = sum(sizes[begin:end])
        expected = np.dot(losses[begin:end], sizes[begin:end]) / count
        assert loss == pytest.approx(expected)
        assert accuracy == pytest.approx(sum(right[begin:end]) / count)


def test_long_run_has_about_400_points():
    curve = Curve(10_001, 100, 1, 100)
    points = [point for step in range(1, 10_002) for point in curve.add(step, 1.0, 0.5)]
    assert 300 < len(points) <= 450
    assert points[-1][0] == 10_001


def test_long_run_soon_shows_a_curve():
    curve = Curve(10**7, 100, 1, 100)
    points = [point for step in range(1, 101) for point in curve.add(step, 1.0, 0.5)]
    assert [point[0] for point in points[:16]] == list(range(1, 17))
    assert len(points) == 36


def test_pace_is_slower_for_expensive_work(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(module, "monotonic", clock)
    pace = Pace(0.5)
    assert pace.is_due()
    with pace.work():
        clock.now += 0.001
    clock.now += 0.49
    assert not pace.is_due()
    clock.now += 0.02
    assert pace.is_due()
    with pace.work():
        clock.now += 1.0
    clock.now += 15
    assert not pace.is_due()
    clock.now += 6
    assert pace.is_due()


@pytest.mark.parametrize("model", ["MnistCNNLight", "noisy"])
def test_watched_run_is_the_same_bit_for_bit(tmp_path, monkeypatch, model):
    if model == "noisy":
        (tmp_path / "noisy.py").write_text(NOISY)
        model = f"{tmp_path / 'noisy.py'}:Noisy"
    monkeypatch.setattr(module, "_SHARE", np.inf)  # evaluates after every step
    for pace in ("_progress", "_samples"):
        monkeypatch.setattr(
            Watcher, pace, property(lambda self: Pace(0), lambda self, x: None), raising=False
        )
    config = RunConfig(model=model, data="digits", epochs=2, train_samples=150, noise=0.1)
    run_training(config, tmp_path / "plain", resume=False, figures=False)
    feed = watched(config, tmp_path / "watched")
    plain, seen = (tmp_path / name for name in ("plain", "watched"))
    weights = "model.safetensors"
    assert (plain / weights).read_bytes() == (seen / weights).read_bytes()
    states = [load_tree(folder / "training.safetensors") for folder in (plain, seen)]
    for name in ("default_generator", "generators", "loader", "kinds"):
        assert states[0][name] == states[1][name]
    assert feed.get("predictions")


def test_images_predictions_and_confusion_are_those_of_the_model(tmp_path):
    config = RunConfig(model="DigitsCNN", data="digits", epochs=2, train_samples=400)
    feed = watched(config, tmp_path)
    model = make_model("DigitsCNN", {})
    model.load_state_dict(train.load(tmp_path / "model.safetensors"))
    sets = make_sets(config)
    images = feed.get("images")
    assert len(images["labels"]) == len(images["pixels"]) == 12
    assert sorted(set(images["labels"])) == list(range(10))
    pixels = np.stack([decoded(text).reshape(1, 8, 8) for text in images["pixels"]])
    inputs = (np.rint(pixels / (255 / 16)) / 16).astype(np.float32)
    logits = train.predict(model, [(inputs, None)])
    guesses, probabilities = zip(*feed.get("predictions"), strict=True)
    assert list(guesses) == logits.argmax(axis=1).tolist()
    odds = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(probabilities, odds.max(axis=1), rtol=1e-4)
    counts = np.array(feed.get("confusion")["counts"])
    read = train.predict(model, DataLoader(sets.validation, 500)).argmax(axis=1)
    expected = train.confusion_matrix(read, sets.validation.labels, 10)
    np.testing.assert_array_equal(counts, expected)


def test_grid_shows_the_decisions_of_the_model(tmp_path):
    config = RunConfig(model="MLP", model_options=MLP, data="moons", epochs=10, lr=0.01)
    feed = watched(config, tmp_path)
    model = make_model("MLP", MLP)
    model.load_state_dict(train.load(tmp_path / "model.safetensors"))
    plane, grid = feed.get("plane"), feed.get("grid")
    side, cell = plane["side"], plane["size"] / plane["side"]
    centers = (np.arange(side) + 0.5) * cell
    points = [[plane["left"] + x, plane["top"] - y] for y in centers for x in centers]
    inputs = np.array(points, np.float32).reshape(-1, 2, 1, 1)
    logits = train.predict(model, [(inputs, None)])
    odds = 1 / (1 + np.exp(logits[:, 0] - logits[:, 1]))
    np.testing.assert_allclose(decoded(grid) / 255, odds, atol=0.003)
    assert odds.min() < 0.1 < 0.9 < odds.max()
    shown = np.array(plane["points"])
    training = make_sets(config).train
    np.testing.assert_allclose(shown[:, :2], training.images.reshape(-1, 2), atol=6e-4)
    np.testing.assert_array_equal(shown[:, 2], training.labels)
    inside = (shown[:, 0] > plane["left"]) & (shown[:, 1] < plane["top"])
    assert inside.all()


def test_validation_curve_is_the_history(tmp_path):
    config = RunConfig(model="MLP", model_options=MLP, data="moons", epochs=5)
    feed = watched(config, tmp_path)
    assert feed.get("step") == feed.get("steps") == 5 * feed.get("batches")
    assert series(feed, "validation") == history(tmp_path, feed.get("batches"))


def history(folder, batches):
    return [
        [logs["epoch"] * batches, logs["validation_loss"], logs["validation_accuracy"]]
        for logs in json.loads((folder / "history.json").read_text())
    ]


class Killer(Watcher):
    """A watcher that ends the run in its fifth epoch, as if the process were killed."""

    def on_batch_end(self, state):
        super().on_batch_end(state)
        if state.epoch == 5:
            raise RuntimeError("killed")


@pytest.mark.parametrize("before", [0, 2])
def test_killed_run_is_resumed_with_its_whole_validation_curve(tmp_path, before):
    """Without history.json, or with that of the first epochs only."""
    config = RunConfig(model="MLP", model_options=MLP, data="moons", schedule="constant")
    if before:
        watched(config.with_changes({"epochs": before}), tmp_path)
    config = config.with_changes({"epochs": 7})
    with pytest.raises(RuntimeError, match="killed"):
        watched(config, tmp_path, resume=bool(before), kind=Killer)
    assert (tmp_path / "history.json").exists() == bool(before)
    feed = watched(config, tmp_path, resume=True)
    steps = [point[0] for point in series(feed, "points")]
    assert steps == sorted(set(steps))
    assert steps[-1] == feed.get("steps")
    assert len(series(feed, "validation")) == 7
    assert series(feed, "validation") == history(tmp_path, feed.get("batches"))


def test_pauses_do_not_count_in_the_speed(tmp_path, monkeypatch):
    clock = Clock()
    monkeypatch.setattr(module, "monotonic", clock)

    class Paused(Control):
        def wait(self):
            clock.now += 1000
            self.set(is_paused=False)

    class Ticking(Watcher):
        def on_batch_end(self, state):
            clock.now += 1
            if state.step == 7:
                control.set(is_paused=True)
            super().on_batch_end(state)

    control = Paused()
    config = RunConfig(model="MLP", model_options=MLP, data="moons", epochs=2)
    feed = watched(config, tmp_path, control=control, kind=Ticking)
    samples = 2 * len(make_sets(config).train)
    assert clock.now == 1100 + feed.get("steps")
    assert feed.get("samples_per_second") == pytest.approx(samples / feed.get("steps"))


def test_control_waits_only_while_paused():
    control = Control()
    control.wait()
    control.set(is_paused=True)
    waiting = threading.Thread(target=control.wait, daemon=True)
    waiting.start()
    waiting.join(0.05)
    assert waiting.is_alive()
    control.set(is_paused=False)
    waiting.join(30)
    assert not waiting.is_alive()
    control.set(is_paused=True, is_stopped=True)
    control.wait()
    assert control.is_stopped
