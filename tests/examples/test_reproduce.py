"""Tests of examples/reproduce.py: the runs have the settings of the systems they reproduce."""

import argparse
import json
import math
import re
import subprocess
import sys
from dataclasses import asdict, replace
from itertools import permutations

import numpy as np
import pytest

from headlines import courses, report
from headlines.runs import RUNS
from models import LeNet
from tests.examples.tools import MNIST, ROOT, real_mnist, run
from tinygrad_np import optim
from tinygrad_np.cli.config import RunConfig, add_flags
from tinygrad_np.data import DataLoader

pytestmark = pytest.mark.slow

LENET, DIGITS = courses.COURSES

LAB = "--model LabCNN --validation 0 --optimizer sgd --momentum 0 --lr 0.01 --batch-size 32"
BEST = "--validation 0 --batch-size 128 --optimizer adamw --warmup 0.1"
FASHION = "--data fashion-mnist"
# The settings of each run that differ from the command line's defaults.
SETTINGS = {
    "lab-1000": f"{LAB} --schedule constant --train-samples 1000 --epochs 2",
    "lab-full": f"{LAB} --schedule constant --epochs 20",
    "mnist-cnn": "--validation 0",  # three epochs are the default
    "mnist-cnn-best": f"{BEST} --epochs 25 --lr 0.002 --weight-decay 0.02 --shift 2 --rotation 10 "
    "--scaling 0.1",
    "mnist-cnn-light": "--model MnistCNNLight --validation 0 --epochs 5 --lr 0.005 --shift 1",
    "fashion-cnn": f"{FASHION} --model FashionCNN --validation 0.05 --epochs 20 --batch-size 128 "
    "--lr 0.001 --schedule constant --patience 20 --monitor validation_accuracy "
    "--test-each-epoch --no-standardise",
    "fashion-best": f'{FASHION} --model ResNet --model-options {{"width":32}} {BEST} --epochs 18 '
    "--lr 0.008 --weight-decay 0.05 --label-smoothing 0.05 --shift 1 --flip",
}


def config_of(flags):
    """Return the config that the command line builds from flags."""
    parser = argparse.ArgumentParser()
    add_flags(parser)
    return RunConfig().with_changes(vars(parser.parse_args(flags)))


@pytest.mark.parametrize("chosen", RUNS, ids=lambda run: run.name)
def test_every_run_has_exactly_its_settings(tmp_path, chosen):
    *command, out_flag, out = chosen.command(tmp_path, is_quick=False)
    assert command[:3] == ["-m", "tinygrad_np", "train"]
    assert (out_flag, out) == ("--out", str(tmp_path / chosen.name))
    config = config_of(command[3:])
    assert config == config_of(SETTINGS[chosen.name].split())
    assert chosen.config(is_quick=False) == asdict(config)


def test_run_config_keeps_the_defaults_that_runs_rely_on():
    usual = RunConfig()
    assert (usual.model, usual.data, usual.optimizer) == ("MnistCNN", "mnist", "adam")
    assert (usual.epochs, usual.batch_size, usual.learning_rate) == (3, 64, 0.002)
    assert (usual.schedule, usual.seed, usual.train_samples) == ("cosine", 0, None)


def test_lenet_course_has_the_published_settings():
    assert (LENET.model, LENET.data, LENET.samples) == ("LeNet", "fashion-mnist", (None, None))
    assert (LENET.lr, LENET.momentum, LENET.plain_norms) == (0.0005, 0.9, True)
    assert (LENET.steps, LENET.every, LENET.seeds) == (5000, 1000, 5)
    assert LENET.headline == (0.8016, 0.8264, 0.8462, 0.8534, 0.8612)
    assert LENET.margin == 0.005


def test_digits_course_has_the_published_settings():
    """1438 images are 23 batches per epoch."""
    train_set, test_set = DIGITS.sets()
    assert (len(train_set), len(test_set)) == (1438, 359)
    assert (DIGITS.lr, DIGITS.momentum) == (0.1, 0.0)
    assert DIGITS.steps == DIGITS.every == 10 * 23
    assert (DIGITS.seeds, DIGITS.headline, DIGITS.margin) == (30, (0.925,), 0.0)


def test_learn_takes_shuffled_batches_of_64_and_tests_on_the_test_set():
    """The accuracy of a learner that always predicts 3 is the fraction of 3s in the test set."""
    course = replace(DIGITS, steps=25, every=25)
    train_set, test_set = course.sets()
    seen = []
    threes = courses.Learner(
        None, lambda images, labels: seen.append((images, labels)), lambda x: np.full(len(x), 3)
    )
    result = courses.learn(course, threes, (train_set, test_set), seed=5)
    assert result.accuracies == [np.mean(test_set.labels == 3)]
    assert [len(labels) for _, labels in seen] == [*[64] * 22, 1438 - 22 * 64, 64, 64]
    expected = iter(DataLoader(train_set, 64, shuffle=True, seed=5))
    for (images, labels), (right, classes) in zip(seen[:23], expected, strict=True):
        np.testing.assert_array_equal(images, right)
        np.testing.assert_array_equal(labels, classes)
    assert not np.array_equal(seen[0][1], seen[23][1])


@real_mnist
def test_lenet_images_are_only_divided_by_255():
    train_set, _ = LENET.sets(MNIST)
    images, _ = train_set.batch(slice(0, 200))
    assert (images.min(), images.max()) == (0, 1)
    np.testing.assert_allclose(images, train_set.images[:200] / 255, rtol=1e-6)


def test_norms_have_no_momentum(monkeypatch):
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


def test_learner_improves_with_more_steps():
    course = replace(DIGITS, steps=40, every=20)
    result = courses.learn(course, courses.ours(course, 0), course.sets(), seed=0)
    assert len(result.accuracies) == 2
    assert 0.3 < result.accuracies[0] < result.accuracies[1] < 0.98
    assert result.step_seconds > 0


def test_difference_of_few_values_is_exact():
    first, second = [0.5, 0.7, 0.9], [0.4, 0.6]
    gap, chance = courses.difference(first, second)
    assert gap == pytest.approx(0.2)
    gaps = [abs(np.mean(o[:3]) - np.mean(o[3:])) for o in permutations([*first, *second])]
    assert chance == pytest.approx(np.mean(np.array(gaps) >= 0.2 - 1e-9))
    assert courses.difference([1.0, 2.0], [1.0, 2.0]) == (0.0, 1.0)


def test_difference_of_many_values_is_sampled():
    """The sampled p-value is close to that of a normal distribution."""
    generator = np.random.default_rng(1)
    first, second = generator.normal(0.0, 1.0, 30), generator.normal(0.5, 1.0, 30)
    gap, chance = courses.difference(first, second)
    error = np.sqrt((first.var(ddof=1) + second.var(ddof=1)) / 30)
    assert chance == pytest.approx(math.erfc(abs(gap) / error / np.sqrt(2)), abs=0.02)
    # The observed split counts as one of the sampled ones.
    assert courses.difference(first, first + 9)[1] == pytest.approx(1 / 10_001)


def metrics_of(accuracy, history=(), seconds=1.5):
    """Return the entries of metrics.json that the page uses."""
    measured = {"test_accuracy": accuracy, "seconds": {"training": seconds}}
    return {**measured, "history": list(history), "threads": 2, "versions": {"numpy": "2.4"}}


def test_page_marks_results_that_reach_their_target():
    lab, fashion = RUNS[1], next(run for run in RUNS if run.name == "fashion-cnn")
    assert (lab.name, lab.least, fashion.least) == ("lab-full", 0.985, 0.93)
    epochs = [{"test_accuracy": 0.91}, {"test_accuracy": 0.94}, {"test_accuracy": 0.92}]
    runs = {lab: metrics_of(0.9851), fashion: metrics_of(0.9275, epochs)}
    page = report.text(runs, {}, is_quick=False)
    assert f"| {lab.title} | {lab.headline} | {lab.asked} | **98.51%** | 1.5 |" in page
    best = "94.00% in the epoch with the best test accuracy"
    assert f"| 92.75%: 0.25 points short ({best}) | 1.5 |" in page
    assert "reproduce.py --full`: float32, NumPy 2.4, 2 threads." in page
    assert "--model LabCNN --validation 0 --epochs 20" in page.partition("## Commands")[2]
    told = report.text({replace(lab, remark="It was hot."): runs[lab]}, {}, is_quick=False)
    assert f"November 2026:\n\n- **{lab.title}.** It was hot.\n" in told


def test_course_target_uses_the_first_five_seeds():
    """The target applies after every `every` steps; the comparison uses the end and all seeds."""
    course = replace(DIGITS, steps=200, every=100, headline=(0.5, 0.925), margin=0.005)
    ends = [0.91, 0.92, 0.92, 0.92, 0.93, 0.99]
    ours = {"accuracies": [[0.6, end] for end in ends], "step_seconds": [0.001, 0.003, 0.002]}
    theirs = {"accuracies": [[0.1, end] for end in ends], "step_seconds": [0.004]}
    result = {"tinygrad_np": ours, "PyTorch": theirs, "threads": 2, "versions": {"numpy": "2.4"}}
    page = report.text({}, {course: result}, is_quick=False)
    start = f"| {course.title} | 50.00%, 92.50%; 370 ms per step, with loops | {course.asked} |"
    assert f"{start} **60.00%, 92.00%** | 0.4 |" in page
    assert "| after step | 100 | 200 |" in page
    assert "| reported | 50.00 | 92.50 |" in page
    assert "| tinygrad_np, 5 seeds | 60.00 ± 0.00 | 92.00 ± 0.71 |" in page
    assert "| tinygrad_np, 6 seeds | 60.00 ± 0.00 | 93.17 ± 2.93 |" in page
    assert "takes 2.00 ms in tinygrad_np and 4.00 ms in PyTorch (reported: 370 ms" in page
    assert "The final mean of tinygrad_np minus PyTorch's is +0.00 points." in page
    assert "at least as large occurs by chance with probability 1.00 (permutation" in page
    short = report.text({}, {replace(course, margin=0.004): result}, is_quick=False)
    assert f"{start} 60.00%, 92.00%: 0.10 points short | 0.4 |" in short


def test_results_with_other_settings_are_ignored(tmp_path):
    quick = DIGITS.quick()
    path = tmp_path / "digits.json"
    assert courses.load_results(quick, tmp_path) == courses.load_results(quick, tmp_path)
    path.write_text(json.dumps({**courses.load_results(quick, tmp_path), "threads": 7}))
    assert courses.load_results(quick, tmp_path)["threads"] == 7
    assert "threads" not in courses.load_results(DIGITS, tmp_path)


def test_finished_run_is_skipped(tmp_path, monkeypatch):
    chosen, called = RUNS[0], []
    monkeypatch.setattr(subprocess, "run", lambda command, check: called.append(command))
    metrics = {"interrupted": False, "fault": "", "config": chosen.config(is_quick=True)}
    (tmp_path / chosen.name).mkdir()
    path = tmp_path / chosen.name / "metrics.json"
    path.write_text(json.dumps(metrics))
    chosen.carry_out(tmp_path, is_quick=True)
    assert called == []
    chosen.carry_out(tmp_path, is_quick=False)
    for change in ({"interrupted": True}, {"fault": "the loss is nan"}):
        path.write_text(json.dumps(metrics | change))
        chosen.carry_out(tmp_path, is_quick=True)
    assert len(called) == 3
    assert called[0] == [sys.executable, *chosen.command(tmp_path, is_quick=False)]


def reproduce(folder, *flags, data=None):
    """Run the example with --quick."""
    return run("reproduce", folder, "--quick", *flags, data=data)


def test_short_run_resumes(tmp_path):
    done = reproduce(tmp_path, "--only", "digits")
    assert done.returncode == 0, done.stderr
    assert "seed 1, tinygrad_np: " in done.stdout
    out = tmp_path / "out"
    kept = json.loads((out / "digits.json").read_text())
    assert [len(row) for row in kept["tinygrad_np"]["accuracies"]] == [1, 1]
    page = (out / "RESULTS.md").read_text()
    assert "they only check that everything runs" in page
    assert "python examples/reproduce.py --quick --only digits" in page

    first = kept["tinygrad_np"]["accuracies"].pop()
    (out / "digits.json").write_text(json.dumps(kept))
    done = reproduce(tmp_path, "--only", "digits")
    assert "seed 0, tinygrad_np" not in done.stdout
    assert "seed 1, tinygrad_np" in done.stdout
    again = json.loads((out / "digits.json").read_text())
    assert again["tinygrad_np"]["accuracies"][1] == first


@real_mnist
def test_short_run_reports_every_run_and_course(tmp_path):
    done = reproduce(tmp_path, data=MNIST)
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "out" / "RESULTS.md").read_text()
    for each in (*RUNS, *courses.COURSES):
        assert each.title in page


def test_missing_data_is_an_error(tmp_path):
    for name in ("lenet", "lab-1000"):
        done = reproduce(tmp_path, "--only", name)
        assert done.returncode == 1
        assert "could not be downloaded. Tried:" in done.stderr
        assert "Traceback" not in done.stderr


def test_unknown_run_is_an_error(tmp_path):
    done = reproduce(tmp_path, "--only", "lenet,alexnet")
    assert done.returncode == 2
    assert "--only: expected some of lab-1000" in done.stderr
    assert "got alexnet." in done.stderr


@pytest.mark.parametrize("chosen", [*RUNS, *courses.COURSES], ids=lambda chosen: chosen.name)
def test_every_run_has_a_result(chosen):
    page = (ROOT / "examples" / "RESULTS.md").read_text(encoding="utf-8")
    (line,) = re.findall(rf"^\| {re.escape(chosen.title)} \|.*$", page, flags=re.MULTILINE)
    assert re.search(r"\d\d\.\d\d%", line.split("|")[4])
    if chosen.remark:
        assert f"- **{chosen.title}.** {chosen.remark}\n" in page
