"""examples/reproduce.py: its runs have the settings of the systems that they are held against."""

import argparse
import json
import math
import shlex
import subprocess
import sys
from dataclasses import asdict, replace
from itertools import permutations

import numpy as np
import pytest

from headlines import courses, report
from headlines.runs import RUNS
from models import LeNet
from tests.test_examples import MNIST, ROOT, environment, real_mnist
from tinygrad_np import optim
from tinygrad_np.cli.config import RunConfig, add_flags

LENET, DIGITS = courses.COURSES

# What the systems say of their own settings: flags that a run has to have.
SETTINGS = {
    "lab-1000": {
        "model": "LabCNN",
        "train_samples": 1000,
        "schedule": "constant",
        "optimizer": "sgd",
        "momentum": 0.0,
        "lr": 0.01,
        "batch_size": 32,
        "epochs": 2,
    },
    "lab-full": {
        "model": "LabCNN",
        "train_samples": None,
        "schedule": "constant",
        "optimizer": "sgd",
        "momentum": 0.0,
        "lr": 0.01,
        "batch_size": 32,
        "epochs": 20,
    },
    "fashion-cnn": {
        "model": "FashionCNN",
        "data": "fashion-mnist",
        "optimizer": "adam",
        "schedule": "constant",
        "shift": 0,
        "lr": 0.001,
        "batch_size": 128,
        "epochs": 20,
    },
    "digits-cnn": {
        "model": "DigitsCNN",
        "data": "digits",
        "batch_size": 64,
        "schedule": "constant",
        "optimizer": "sgd",
        "momentum": 0.0,
        "lr": 0.1,
        "epochs": 10,
    },
}


@pytest.mark.parametrize("run", RUNS, ids=lambda run: run.name)
def test_the_command_line_takes_every_run(tmp_path, run):
    """And where a system's own settings are asked for, these are they."""
    *command, out_flag, out = run.command(tmp_path, 0, is_quick=False)
    assert command[:3] == ["-m", "tinygrad_np", "train"]
    assert (out_flag, out) == ("--out", str(tmp_path / f"{run.name}-0"))
    parser = argparse.ArgumentParser()
    add_flags(parser)
    config = asdict(RunConfig().changed(vars(parser.parse_args(command[3:]))))
    expected = SETTINGS.get(run.name, {"seed": 0})
    assert {name: config[name] for name in expected} == expected


def test_settings_are_of_runs():
    assert set(SETTINGS) <= {run.name for run in RUNS}


def test_lenets_course():
    """SGD 0.0005 with momentum 0.9, batches of 64, 5000 steps, told at each 1000th."""
    assert (LENET.model, LENET.data) == ("LeNet", "fashion-mnist")
    assert (LENET.lr, LENET.momentum, LENET.steps, LENET.every) == (0.0005, 0.9, 5000, 1000)
    assert LENET.headline == (0.8016, 0.8264, 0.8462, 0.8534, 0.8612)


@pytest.mark.slow
@real_mnist
def test_lenets_images_are_scaled_by_255_only():
    train_set, _ = LENET.sets(MNIST)
    images, _ = train_set.batch(slice(0, 200))
    assert (images.min(), images.max()) == (0, 1)
    np.testing.assert_allclose(images, train_set.images[:200] / 255, rtol=1e-6)


def test_norms_have_no_momentum(monkeypatch):
    """Beta and gamma of the batch norms take plain steps, all else has momentum 0.9."""
    made = []
    right = optim.SGD.__init__

    def noted(self, *arguments, **options):
        made.append(self)
        right(self, *arguments, **options)

    monkeypatch.setattr(optim.SGD, "__init__", noted)
    courses.ours(LENET, seed=0)
    (optimizer,) = made
    others, norms = optimizer.param_groups
    assert (others["momentum"], norms["momentum"]) == (0.9, 0.0)
    assert others["lr"] == norms["lr"] == 0.0005
    model = LeNet()
    expected = [one.shape for one in (*model.bn1.parameters(), *model.bn2.parameters())]
    assert [one.shape for one in norms["params"]] == expected
    assert len(others["params"]) + len(expected) == len(list(model.parameters()))


def test_a_learner_learns():
    """Twenty steps on the digits, tested twice."""
    course = replace(DIGITS, steps=40, every=20)
    result = courses.learn(course, courses.ours(course, 0), course.sets(), seed=0)
    assert len(result.accuracies) == 2
    assert 0.3 < result.accuracies[0] < result.accuracies[1] < 0.98
    assert result.step_seconds > 0


def test_difference_by_all_orders():
    """The chance is that of all orders of the figures."""
    first, second = [0.5, 0.7, 0.9], [0.4, 0.6]
    gap, chance = courses.difference(first, second)
    assert gap == pytest.approx(0.2)
    gaps = [abs(np.mean(o[:3]) - np.mean(o[3:])) for o in permutations([*first, *second])]
    assert chance == pytest.approx(np.mean(np.array(gaps) >= 0.2 - 1e-9))
    assert courses.difference([1.0, 2.0], [1.0, 2.0]) == (0.0, 1.0)


def test_difference_of_many_by_random_orders():
    """Too many orders to go through: the chance is about that of a normal distribution."""
    generator = np.random.default_rng(1)
    first, second = generator.normal(0.0, 1.0, 30), generator.normal(0.5, 1.0, 30)
    gap, chance = courses.difference(first, second)
    error = np.sqrt((first.var(ddof=1) + second.var(ddof=1)) / 30)
    assert chance == pytest.approx(math.erfc(abs(gap) / error / np.sqrt(2)), abs=0.02)
    assert courses.difference(first, first + 3)[1] == 0.0


def test_the_page_says_what_was_reached_and_what_is_short():
    run = next(run for run in RUNS if run.name == "digits-cnn")
    side = {"accuracies": [[0.93], [0.94]], "step_seconds": [0.001, 0.002]}
    results = {
        "digits-cnn": {
            "accuracies": [0.93, 0.95],
            "seconds": [1.0, 2.0],
            "threads": 2,
            "command": "python -m x",
        },
        "digits": {"tinygrad_np": side, "PyTorch": side, "threads": 2},
    }
    page = report.text(results, "the command", is_quick=False)
    assert (
        f"| {run.title} | 92.5 % | {run.asked} | **94.00% ± 1.41% (of 2 seeds)** | 1.5 | 2 |"
        in page
    )
    assert "| reported there | 92.50 |" in page
    assert "| tinygrad_np | 93.50 ± 0.71 |" in page
    assert "| tinygrad_np beside what is reported | +1.00 |" in page
    assert "A step of 64 images takes 1.50 ms in PyTorch, with 2 threads." in page
    assert "differ by +0.00 points; one as large comes by chance with probability 1.00" in page
    assert "python -m x\n" in page
    results["digits-cnn"]["accuracies"] = [0.9, 0.91]
    assert "90.50% ± 0.71% (of 2 seeds): 2.00% short" in report.text(results, "", is_quick=True)


def test_the_page_names_the_first_five_of_many_seeds():
    run = RUNS[1]
    accuracies = [0.9, 0.92, 0.94, 0.92, 0.92, 0.98]
    result = {"accuracies": accuracies, "seconds": [60.0], "threads": 2, "command": "python -m x"}
    page = report.text({run.name: result}, "", is_quick=False)
    assert "(of 6 seeds; of the first five 92.00% ± 1.41%)" in page


def reproduce(folder, *flags, data=None):
    """Run the example quickly, with `--out folder/out`."""
    command = [sys.executable, str(ROOT / "examples" / "reproduce.py"), "--quick", *flags]
    return subprocess.run(
        [*command, "--out", str(folder / "out")],
        capture_output=True,
        text=True,
        env=environment(folder, data=data),
        cwd=ROOT,
        check=False,
    )


@pytest.mark.slow
def test_a_quick_reproduction(tmp_path):
    """Of what needs no downloaded data: the command line's run, and the course with its steps. What
    was there stays there."""
    done = reproduce(tmp_path, "--only", "digits-cnn")
    assert done.returncode == 0, done.stderr
    assert "$ python -m tinygrad_np train --data digits --model DigitsCNN" in done.stdout
    done = reproduce(tmp_path, "--only", "digits")
    assert done.returncode == 0, done.stderr
    out = tmp_path / "out"
    assert list(json.loads((out / "results.json").read_text())) == ["digits-cnn", "digits"]
    page = (out / "RESULTS.md").read_text()
    assert "they show that all runs, and no figures" in page
    assert shlex.join(["python", "examples/reproduce.py", "--full", "--only", "digits"]) in page


@pytest.mark.slow
@real_mnist
def test_all_of_it_in_quick_form(tmp_path):
    done = reproduce(tmp_path, data=MNIST)
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "out" / "RESULTS.md").read_text()
    for each in (*RUNS, *courses.COURSES):
        assert each.title in page


@pytest.mark.slow
def test_reproducing_without_data(tmp_path):
    for name in ("lenet", "lab-1000"):
        done = reproduce(tmp_path, "--only", name)
        assert done.returncode == 1
        assert "could not be downloaded. Tried:" in done.stderr
        assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_unknown_runs_are_refused(tmp_path):
    done = reproduce(tmp_path, "--only", "lenet,alexnet")
    assert done.returncode == 2
    assert "--only: no alexnet; there are lab-1000" in done.stderr
