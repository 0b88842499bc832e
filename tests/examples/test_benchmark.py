"""Tests of examples/benchmark.py, run with --quick as a user would."""

import json
import math
import os
import subprocess
import sys
import time

import pytest

import tinygrad_np
from benchmarks import cores, measures, other_processes, report, sides, workloads
from tests.examples import tools
from tests.examples.tools import MNIST, real_mnist

MODELS = ["MnistCNN", "MnistCNNLight", "LeNet", "DigitsCNN"]
BY_HAND = (sides.BY_LOOPS, sides.BY_INDICES)


def run(folder, *flags, torch=True, variables=()):
    """Run the benchmark with `--quick --out folder/out`, with or without PyTorch."""
    hidden = folder / "hidden"
    hidden.mkdir()
    if not torch:
        (hidden / "torch.py").write_text("raise ImportError('hidden by the test')\n")
    paths = [str(hidden), os.environ.get("PYTHONPATH", "")]
    own = {"PYTHONPATH": os.pathsep.join(filter(None, paths)), **dict(variables)}
    with pytest.MonkeyPatch.context() as patch:
        for pin in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"):
            patch.delenv(pin, raising=False)
        return tools.run("benchmark", folder, "--quick", *flags, data=MNIST, variables=own)


def numbers(value):
    """Return all numbers in a JSON value."""
    if isinstance(value, dict):
        return [n for each in value.values() for n in numbers(each)]
    if isinstance(value, list):
        return [n for each in value for n in numbers(each)]
    return [value] if isinstance(value, int | float) else []


@pytest.mark.slow
def test_without_pytorch_the_rest_is_measured(tmp_path):
    file = tmp_path / "figures.json"
    done = run(tmp_path, "--json", str(file), "--threads", "1", torch=False)
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    assert "PyTorch is not measured (hidden by the test). To install it, run: python -m pip" in (
        done.stdout
    )
    assert "ours/PyTorch" not in done.stdout
    figures = json.loads(file.read_text())
    assert figures["threads"] == 1
    assert figures["quick"] is True
    assert any("BLAS: " in line and "1 threads" in line for line in figures["config"])
    assert [row["model"] for row in figures["steps"]] == MODELS
    assert set(figures["steps"][0]["times"]) == {"tinygrad_np", *BY_HAND}
    assert set(figures["steps"][2]["times"]) == {"tinygrad_np"}
    assert [row["model"] for row in figures["eval"]] == MODELS
    assert len(figures["tape"]) == 1
    assert [(row["model"], row["by"]) for row in figures["growth"] if "fit_ms" in row] == [
        ("MnistCNN", "batch"),
        ("convolutions", "depth"),
        ("GPT", "batch"),
        ("GPT", "steps"),
        ("LSTM", "steps"),
    ]
    assert [row["model"] for row in figures["workloads"]] == list(workloads.WORKLOADS)
    assert len(figures["lower_bounds"]) == 16
    if sys.platform == "linux":
        assert 1 < figures["memory"][0]["mib"]["tinygrad_np"]["median"] < 1000
    for name in measures.MEASURES:
        assert all(map(math.isfinite, numbers(figures[name])))
        assert name in figures["cores_used_by_others"]
    assert (tmp_path / "out" / "benchmark.png").read_bytes().startswith(b"\x89PNG")
    assert "plot of the times: " in done.stdout


def test_plot_shows_times_without_pytorch_and_ratios_with_it():
    spread = {"median": 3.25, "low": 3.0, "high": 4.0}
    row = {"kind": "steps", "model": "LeNet", "batch": 16, "times": {"tinygrad_np": spread}}
    ratio = {"median": 0.5, "low": 0.4, "high": 0.6}
    for ratio_to, value, label in (
        ({}, 3.25, "time in ms"),
        ({"PyTorch": ratio}, 0.5, "time relative to PyTorch"),
    ):
        (axes,) = report.plot([row | {"ratio_to": ratio_to}], "subtitle").axes
        assert axes.get_ylabel() == label
        assert axes.patches[0].get_height() == value
        assert axes.texts[0].get_text() == f"{value}".ljust(4, "0")


@pytest.mark.slow
def test_with_pytorch_ratios_are_printed_and_plotted(tmp_path):
    pytest.importorskip("torch", reason="torch is not installed: pip install -e '.[oracle]'")
    file, names = tmp_path / "figures.json", "steps,eval,workloads,memory"
    done = run(tmp_path, "--json", str(file), "--threads", "2", "--only", names)
    assert done.returncode == 0, done.stderr
    assert "ours/PyTorch" in done.stdout
    figures = json.loads(file.read_text())
    for row in [row for name in names.split(",") for row in figures[name]]:
        assert row["ratio_to"]["PyTorch"]["median"] > 0
    assert set(figures["steps"][0]["ratio_to"]) == {"PyTorch", *BY_HAND}
    assert "tape" not in figures
    assert {row["threads"] for row in figures["workloads"]} == {1, 2}
    assert (tmp_path / "out" / "benchmark.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
@real_mnist
def test_epochs_on_mnist_report_seconds_and_accuracy(tmp_path):
    file = tmp_path / "figures.json"
    flags = ["--epochs-on-mnist", "2", "--threads", "1", "--json", str(file)]
    done = run(tmp_path, *flags, torch=False)
    assert done.returncode == 0, done.stderr
    (found,) = json.loads(file.read_text())["mnist"].values()
    assert len(found["seconds"]) == len(found["accuracy"]) == 2
    assert found["accuracy"][1] > 0.3, "640 images are enough to beat chance"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (
            "--only speed",
            "--only: expected one of steps, eval, workloads, tape, memory, growth, lower_bounds, "
            "got 'speed'.",
        ),
        ("--threads 0", "--threads: expected an integer from 1 to 2**63 - 1, got '0'."),
        (
            "--epochs-on-mnist -1",
            "--epochs-on-mnist: expected an integer from 1 to 2**63 - 1, got '-1'.",
        ),
        (
            "--only tape --json /nowhere/figures.json",
            "error: /nowhere/figures.json: cannot write the file",
        ),
    ],
)
def test_invalid_arguments_are_errors(tmp_path, flags, message):
    done = run(tmp_path, *flags.split(), torch=False)
    assert done.returncode != 0
    assert message in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_unwritable_out_fails_before_any_measurement(tmp_path):
    pytest.importorskip("torch", reason="torch is not installed: pip install -e '.[oracle]'")
    (tmp_path / "out").write_text("a file, not a directory")
    done = run(tmp_path, "--only", "eval")
    assert done.returncode == 1
    assert "error: --out" in done.stderr
    assert "Evaluation" not in done.stdout


@pytest.mark.slow
def test_slow_blas_settings_are_reported(tmp_path):
    pins = {"OPENBLAS_CORETYPE": "Haswell"}
    done = run(tmp_path, "--only", "tape", torch=False, variables=pins)
    assert "no plot: only the measurements steps and eval are plotted" in done.stdout
    assert "warning: OPENBLAS_CORETYPE may slow down NumPy's BLAS" in done.stdout
    assert "env -u OPENBLAS_CORETYPE python examples/benchmark.py" in done.stdout


@pytest.mark.parametrize(("siblings", "expected"), [(["0,1", "0,1"], 1), (["0", "1"], 2)])
def test_hyper_threads_of_a_core_count_once(tmp_path, monkeypatch, siblings, expected):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0, 1}, raising=False)
    assert cores.count_physical_cores(tmp_path) is None
    for number, text in enumerate(siblings):
        folder = tmp_path / f"cpu{number}" / "topology"
        folder.mkdir(parents=True)
        (folder / "thread_siblings_list").write_text(text + "\n")
    assert cores.count_physical_cores(tmp_path) == expected


@pytest.mark.slow
@pytest.mark.parametrize("name", workloads.WORKLOADS)
def test_workloads_train(name):
    make, optimizer_name, rate, _ = workloads.WORKLOADS[name]
    tinygrad_np.manual_seed(0)
    parameters, loss = make(tinygrad_np)
    before = loss().item()
    optimizer = getattr(tinygrad_np.optim, optimizer_name)(parameters, lr=rate)
    for _ in range(5):
        optimizer.zero_grad()
        loss().backward()
        optimizer.step()
    assert loss().item() < before


def test_spreads_are_formatted_with_three_digits():
    assert report.show({"median": 12.345, "low": 12.1, "high": 13.0}) == "12.3 [12.1, 13.0]"
    assert report.show({"median": 0.5, "low": 0.25, "high": 1.0}) == "0.500 [0.250, 1.000]"
    assert report.show({"median": 1234.5, "low": 1200.0, "high": 1300.0}) == "1234 [1200, 1300]"
    assert report.show(None) == ""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc/stat")
@pytest.mark.slow
def test_only_other_processes_are_counted():
    counted = other_processes.OtherProcesses()
    burn = "import time\nwhile time.process_time() < 0.6: pass"
    with subprocess.Popen([sys.executable, "-c", burn]) as process:
        time.sleep(0.5)
        assert counted.cores() > 0.2
        process.wait()
    begin = time.process_time()
    while time.process_time() < begin + 0.3:
        pass
    assert other_processes._busy() - counted._busy >= 0.3
    assert counted._own < other_processes._own() - 0.3
