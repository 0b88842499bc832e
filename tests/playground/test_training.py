"""Training in the server: the same runs as on the command line, one at a time, resumable."""

import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from time import monotonic
from urllib.parse import quote

import numpy as np
import pytest

from tests.tools import rng
from tinygrad_np import Tensor, files, manual_seed, train
from tinygrad_np.cli import main
from tinygrad_np.cli.config import RunConfig
from tinygrad_np.playground import feed as feeds
from tinygrad_np.playground import training as module
from tinygrad_np.playground.app import create_app
from tinygrad_np.playground.corrections import Corrections
from tinygrad_np.playground.form import find_runs, weight_choices
from tinygrad_np.playground.library import BUNDLED_WEIGHTS
from tinygrad_np.playground.settings import Settings
from tinygrad_np.playground.training import MAX_STREAMS, Training

pytestmark = pytest.mark.slow

SHORT = {"data": "digits", "model": "DigitsCNN", "epochs": 2, "train_samples": 300}
FLAGS = ["--data", "digits", "--epochs", "2", "--train-samples", "300", "--no-figures"]
# Lasts until the test stops it.
LONG = {"data": "moons", "model": "MLP", "hidden": [4], "batch_size": 1}
LONG |= {"epochs": 10_000, "schedule": "constant"}
SECONDS = 30

UNSEEDED = """
from tinygrad_np import nn

class Unseeded(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(64, 10)
        self.dropout = nn.Dropout(0.5)

    def forward(self, x):
        return self.linear(self.dropout(x.flatten(1)))
"""


@pytest.fixture(autouse=True)
def _streams_without_pauses(monkeypatch):
    monkeypatch.setattr(feeds, "PAUSE", 0.01)


@pytest.fixture
def training(tmp_path):
    """Return a `Training` whose run is stopped at the end."""
    running = Training(Settings(runs=tmp_path / "runs"))
    yield running
    running.close()
    assert running.join(0)


@pytest.fixture
def client(tmp_path):
    app = create_app(Settings(runs=tmp_path / "runs"))
    yield app.test_client()
    for close in app.extensions["on_exit"]:
        close()


def reaches(training, status, step=0):
    """Wait until the run has a status and has done some steps, or has ended otherwise."""
    ends = {"finished", "stopped", "failed"}

    def is_there(feed):
        return feed.get("status") == status and (feed.get("step") or 0) >= step

    feed, end = training.feed, monotonic() + SECONDS
    for _ in feed.stream():
        if is_there(feed) or feed.get("status") in ends or monotonic() > end:
            break
    return is_there(feed)


def weights(folder):
    return (folder / "model.safetensors").read_bytes()


def test_run_is_the_one_of_the_command_line(training, tmp_path):
    name = training.start(SHORT)
    assert name == "DigitsCNN-digits"
    assert reaches(training, "finished")
    other = tmp_path / "other"
    assert main(["train", "--model", "DigitsCNN", "--out", str(other), *FLAGS]) == 0
    run = training.settings.runs / name
    assert weights(run) == weights(other)
    assert {path.name for path in run.iterdir()} == {path.name for path in other.iterdir()}
    assert (
        training.feed.get("test_accuracy")
        == json.loads((run / "metrics.json").read_text())["test_accuracy"]
    )
    assert training.start(SHORT) == "DigitsCNN-digits-2"


def test_seeds_in_other_threads_do_not_change_the_run(tmp_path):
    path = tmp_path / "unseeded.py"
    path.write_text(UNSEEDED)
    training = Training(Settings(runs=tmp_path / "runs", models=(f"{path}:Unseeded",)))
    is_over = threading.Event()

    def disturb():
        while not is_over.is_set():
            manual_seed(3)
            Tensor.rand(3)

    thread = threading.Thread(target=disturb)
    thread.start()
    name = training.start({**SHORT, "model": "Unseeded"})
    assert reaches(training, "finished")
    is_over.set()
    thread.join()
    other = tmp_path / "other"
    assert main(["train", "--model", f"{path}:Unseeded", "--out", str(other), *FLAGS]) == 0
    assert weights(tmp_path / "runs" / name) == weights(other)


def test_only_one_run_at_a_time(client):
    assert client.post("/api/training", json={"config": LONG}).json == {"name": "MLP-moons"}
    answer = client.post("/api/training", json={"config": SHORT})
    assert answer.status_code == 409
    assert answer.json["error"] == "training: MLP-moons is training. Stop it first."
    answer = client.post("/api/training", json={"resume": "MLP-moons"})
    assert answer.status_code == 409


def test_no_run_starts_once_the_server_stops(client, tmp_path):
    (close,) = client.application.extensions["on_exit"]
    assert close()
    for body in ({"config": SHORT}, {"resume": "MLP-moons"}):
        answer = client.post("/api/training", json=body)
        assert answer.status_code == 409
        assert answer.json["error"] == "training: the server is being stopped."
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("has_checkpoint", [False, True])
def test_run_that_does_not_stop_is_reported(tmp_path, monkeypatch, capsys, has_checkpoint):
    training, released = Training(Settings(runs=tmp_path)), threading.Event()
    monkeypatch.setattr(module, "run_training", lambda *_, **__: released.wait(SECONDS))
    run = tmp_path / training.start(SHORT)
    if has_checkpoint:
        (run / "training.safetensors").touch()
    assert not training.close(0.01)
    out, err = capsys.readouterr()
    assert out == "Saving DigitsCNN-digits; press Ctrl-C again to stop at once.\n"
    rest = "Nothing of it has been saved."
    if has_checkpoint:
        command = f"python -m tinygrad_np train --resume {run}"
        rest = f"Resume it after its last saved epoch with: {command}"
    assert err == f"warning: DigitsCNN-digits did not stop within 0.01 s. {rest}\n"
    released.set()
    assert training.join(SECONDS)


def test_run_is_paused_continued_stopped_and_resumed_by_the_command_line(training, capsys):
    run = training.settings.runs / training.start({**LONG, "batch_size": 64, "epochs": 9000})
    assert reaches(training, "running", 1)
    training.pause()
    assert reaches(training, "paused")
    step = training.feed.get("step")
    training.proceed()
    assert reaches(training, "running", step + 1)
    training.stop()
    assert reaches(training, "stopped", step + 1)
    assert train.load(run / "model.safetensors")
    done = len(json.loads((run / "history.json").read_text()))
    assert 0 < done < 9000
    training.resume(run.name, done + 1)
    assert reaches(training, "finished")
    assert main(["train", "--resume", str(run), "--epochs", str(done + 3), "--no-figures"]) == 0
    assert len(json.loads((run / "history.json").read_text())) == done + 3


def test_resumed_run_shows_its_earlier_curve(training):
    name = training.start({**SHORT, "schedule": "constant"})
    assert reaches(training, "finished")
    training.resume(name, 3)
    assert reaches(training, "finished", 15)
    data = json.loads(next(training.feed.stream()).split("data: ")[1])
    assert [point[0] for point in data["points"]] == list(range(1, 16))
    assert [point[0] for point in data["validation"]] == [5, 10, 15]


def test_stop_ends_a_paused_run(training):
    training.start(LONG)
    assert reaches(training, "running", 1)
    training.pause()
    training.stop()
    assert reaches(training, "stopped")


def test_divergence_is_reported_and_its_weights_are_not_offered(training):
    training.start({**SHORT, "model": "LeNet", "optimizer": "sgd", "lr": 1e6})
    assert reaches(training, "failed")
    message = training.feed.get("message")
    assert message.startswith("The loss is ")
    assert message.endswith(" Try a smaller learning rate.")
    runs = training.settings.runs
    assert list(weight_choices(runs, find_runs(runs))) == ["bundled"]


def test_failed_run_says_why_and_leaves_no_empty_directory(tmp_path):
    training = Training(Settings(runs=tmp_path / "runs", data_dir=str(tmp_path / "missing")))
    training.start({"data": "mnist", "model": "LeNet"})
    assert reaches(training, "failed")
    assert "missing is not a directory" in training.feed.get("message")
    assert list((tmp_path / "runs").iterdir()) == []
    assert training.start(SHORT)
    assert reaches(training, "finished")


def test_unexpected_error_is_reported_without_details(training, monkeypatch, capsys):
    def fail(*args, **options):
        raise KeyError("secret")

    monkeypatch.setattr(module, "run_training", fail)
    training.start(SHORT)
    assert reaches(training, "failed")
    assert "secret" not in training.feed.get("message")
    assert "KeyError: 'secret'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({}, "expected either `config`, or `resume` and `epochs`"),
        ({"config": {}, "resume": "a"}, "expected either"),
        ({"config": 3}, "expected `body.config` to be a dict"),
        ({"config": {"out": "/tmp"}}, "expected only the fields"),
        ({"config": {**SHORT, "weights_of": "run/../x"}}, "expected a trained model"),
        ({"config": {**SHORT, "weights_of": ["a"]}}, "expected a trained model"),
        ({"config": {**SHORT, "corrections": True}}, "expected saved corrections, got none"),
        ({"resume": "../.."}, "expected the name of a run, got '../..'"),
        ({"resume": "a", "epochs": -1}, "expected `body.epochs` to be an integer >= 0"),
    ],
)
def test_bad_requests_start_nothing(client, tmp_path, body, words):
    answer = client.post("/api/training", json=body)
    assert answer.status_code == 400
    assert words in answer.json["error"]
    runs = tmp_path / "runs"
    assert not runs.exists() or list(runs.iterdir()) == []


@pytest.mark.parametrize("action", ["pause", "continue"])
def test_nothing_to_pause_is_a_conflict(client, action):
    answer = client.post(f"/api/training/{action}")
    assert answer.status_code == 409
    assert "training: expected a run that is" in answer.json["error"]
    assert client.post("/api/training/stop").json == {"status": "idle"}


def test_corrections_and_weights_are_used(training, tmp_path):
    runs = training.settings.runs
    corrections = Corrections(runs / "corrections.safetensors")
    generator = rng(0)
    for label in range(3):
        corrections.add(generator.integers(0, 256, (1, 28, 28), np.uint8), label)
    wanted = {"data": "digits", "model": "MnistCNNLight", "epochs": 1, "train_samples": 200}
    name = training.start({**wanted, "corrections": True, "weights_of": "bundled"})
    assert reaches(training, "finished")
    copy = train.load(runs / name / "corrections.safetensors")
    assert copy["labels"].tolist() == [0, 1, 2]
    other = tmp_path / "other"
    flags = ["--model", "MnistCNNLight", "--data", "digits", "--epochs", "1", "--no-figures"]
    flags += ["--train-samples", "200", "--weights", str(BUNDLED_WEIGHTS), "--out", str(other)]
    assert main(["train", *flags, "--corrections", str(corrections.path)]) == 0
    assert weights(runs / name) == weights(other)
    training.start({**wanted, "weights_of": f"run/{name}"})
    assert reaches(training, "finished")


@pytest.mark.parametrize("change", ["vanished", "changed"])
def test_run_resumes_with_its_own_copy_of_the_corrections(training, change):
    runs = training.settings.runs
    corrections = Corrections(runs / "corrections.safetensors")
    for label in range(3):
        corrections.add(rng(label).integers(0, 256, (1, 28, 28), np.uint8), label)
    wanted = {**SHORT, "epochs": 1, "schedule": "constant"}
    whole = training.start({**wanted, "epochs": 2, "corrections": True})
    assert reaches(training, "finished")
    name = training.start({**wanted, "corrections": True})
    assert reaches(training, "finished")
    if change == "vanished":
        corrections.path.unlink()
    else:
        corrections.add(np.full((1, 28, 28), 99, np.uint8), 9)
    training.resume(name, 2)
    assert reaches(training, "finished", 2)
    assert training.feed.get("epoch") == 2
    assert weights(runs / name) == weights(runs / whole)


def test_weights_of_another_model_are_refused(training):
    training.start({**SHORT, "weights_of": "bundled"})
    assert reaches(training, "failed")
    assert "bundled.safetensors" in training.feed.get("message")


def test_run_is_extended_at_most_to_the_limit_of_the_page(training):
    name = training.start({**SHORT, "epochs": 1, "schedule": "constant"})
    assert reaches(training, "finished")
    with pytest.raises(module.ArgumentError, match="--epochs: expected at most 10,000, got 10,001"):
        training.resume(name, 10_001)


def test_extending_a_run_of_fixed_length_is_refused(training):
    name = training.start(SHORT)
    assert reaches(training, "finished")
    with pytest.raises(module.ArgumentError, match="a run with --schedule cosine cannot be"):
        training.resume(name, 5)


@pytest.mark.parametrize(
    ("schedule", "advice"), [("cosine", "Start a new run."), ("constant", "Ask for more epochs.")]
)
def test_complete_run_is_not_resumed(client, schedule, advice):
    client.post("/api/training", json={"config": {**SHORT, "epochs": 1, "schedule": schedule}})
    training = client.application.extensions["training"]
    assert reaches(training, "finished")
    answer = client.post("/api/training", json={"resume": "DigitsCNN-digits"})
    assert answer.status_code == 400
    assert answer.json["error"] == f"training: DigitsCNN-digits has completed 1 epoch. {advice}"
    assert training.feed.get("status") == "finished"


def test_model_with_options_is_tuned(training):
    run = training.settings.runs / "LabCNN"
    flags = ["--data", "digits", "--epochs", "1", "--train-samples", "100", "--no-figures"]
    flags += ["--model", "LabCNN", "--model-options", '{"blocks": 1}', "--no-standardise"]
    assert main(["train", *flags, "--out", str(run)]) == 0
    name = training.start({**SHORT, "model": "LabCNN", "epochs": 1, "weights_of": "run/LabCNN"})
    assert reaches(training, "finished")
    config = RunConfig.read(training.settings.runs / name / "config.json")
    assert (config.model_options, config.standardise) == ({"blocks": 1}, False)


def test_weights_are_downloaded_by_the_name_of_a_run(client, tmp_path):
    client.post("/api/training", json={"config": SHORT})
    training = client.application.extensions["training"]
    assert reaches(training, "finished")
    answer = client.get("/runs/DigitsCNN-digits/model.safetensors")
    assert answer.data == weights(tmp_path / "runs" / "DigitsCNN-digits")
    answer.close()
    assert (
        answer.headers["Content-Disposition"] == "attachment; filename=DigitsCNN-digits.safetensors"
    )
    (tmp_path / "model.safetensors").write_bytes(b"secret")
    for name in ("none", "..", "%2e%2e", "DigitsCNN-digits%2f..%2f.."):
        assert client.get(f"/runs/{name}/model.safetensors").status_code == 404


def test_odd_runs_are_not_downloaded(client, tmp_path, monkeypatch):
    def download(name):
        monkeypatch.setattr(module, "find_runs", lambda folder: {name: None})
        return client.get(f"/runs/{quote(name)}/model.safetensors").status_code

    folder, pipe, line, gone, good = (
        tmp_path / "runs" / name for name in ("folder", "pipe", "a\nb", "gone", "good")
    )
    (folder / "model.safetensors").mkdir(parents=True)
    for run in (pipe, line, gone, good):
        run.mkdir()
    os.mkfifo(pipe / "model.safetensors")
    for run in (line, gone, good):
        (run / "model.safetensors").write_bytes(b"weights")
    assert [download(run.name) for run in (folder, pipe, line, good)] == [404, 404, 404, 200]

    def read_too_late(path):
        path.unlink()
        return files.read_bytes(path)

    monkeypatch.setattr(module, "read_bytes", read_too_late)
    assert download("gone") == 404


def test_events_start_with_a_snapshot_and_are_limited(client):
    streams = [client.get("/api/training/events") for _ in range(MAX_STREAMS)]
    first = next(streams[0].iter_encoded()).decode()
    assert first.startswith("event: snapshot\n")
    assert '"status": "idle"' in first
    assert streams[0].mimetype == "text/event-stream"
    refused = client.get("/api/training/events")
    assert refused.status_code == 503
    assert "16 pages already follow" in refused.json["error"]
    for stream in streams:
        stream.close()
    for _ in range(MAX_STREAMS + 1):
        answer = client.head("/api/training/events")
        assert answer.status_code == 200
        answer.close()


def test_closed_training_can_be_resumed(tmp_path):
    program = f"""
from pathlib import Path
from tinygrad_np.playground.settings import Settings
from tinygrad_np.playground.training import Training

training = Training(Settings(runs=Path({str(tmp_path)!r})))
training.start({LONG})
for _ in training.feed.stream():
    if training.feed.get("confusion"):
        break
training.close()
print("status", training.feed.get("status"))
"""
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        cwd=root,
        check=True,
        timeout=2 * SECONDS,
    )
    assert done.stdout.endswith("status stopped\n")
    run = tmp_path / "MLP-moons"
    epochs = len(json.loads((run / "history.json").read_text()))
    assert main(["train", "--resume", str(run), "--epochs", str(epochs + 1), "--no-figures"]) == 0
