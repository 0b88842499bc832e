"""examples/benchmark.py as a user runs it, in its quick form, which takes seconds."""

import json
import math
import os
import subprocess
import sys
import time

import pytest

from benchmarks import measures, neighbours, report, sides
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
    """Return all numbers within a JSON value."""
    if isinstance(value, dict):
        return [n for each in value.values() for n in numbers(each)]
    if isinstance(value, list):
        return [n for each in value for n in numbers(each)]
    return [value] if isinstance(value, int | float) else []


@pytest.mark.slow
def test_without_pytorch_it_says_so_and_measures_the_rest(tmp_path):
    file = tmp_path / "figures.json"
    done = run(tmp_path, "--json", str(file), "--threads", "1", torch=False)
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    assert "PyTorch is not measured (hidden by the test); to install it: python -m pip" in (
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
    assert {row["by"] for row in figures["growth"] if "fit_ms" in row} == {"batch", "depth"}
    assert len(figures["floors"]) == 8
    if sys.platform == "linux":
        assert 1 < figures["memory"][0]["mib"]["tinygrad_np"]["median"] < 1000
    for name in measures.MEASURES:
        assert all(map(math.isfinite, numbers(figures[name])))
        assert name in figures["cores_used_by_others"]
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_beside_pytorch_ratios_are_printed_and_drawn(tmp_path):
    pytest.importorskip("torch", reason="torch is not installed: pip install -e '.[oracle]'")
    file = tmp_path / "figures.json"
    done = run(tmp_path, "--json", str(file), "--only", "steps,eval,memory")
    assert done.returncode == 0, done.stderr
    assert "ours/PyTorch" in done.stdout
    figures = json.loads(file.read_text())
    for row in [*figures["steps"], *figures["eval"], *figures["memory"]]:
        assert row["ratio_to"]["PyTorch"]["median"] > 0
    assert set(figures["steps"][0]["ratio_to"]) == {"PyTorch", *BY_HAND}
    assert "tape" not in figures
    assert (tmp_path / "out" / "benchmark.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
@real_mnist
def test_epochs_on_mnist(tmp_path):
    file = tmp_path / "figures.json"
    flags = ["--epochs-on-mnist", "2", "--threads", "1", "--json", str(file)]
    done = run(tmp_path, *flags, torch=False)
    assert done.returncode == 0, done.stderr
    (found,) = json.loads(file.read_text())["mnist"].values()
    assert len(found["seconds"]) == len(found["accuracy"]) == 2
    assert found["accuracy"][1] > 0.3, "640 images teach a little"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("--only speed", "argument --only: 'speed' is none of steps, eval, tape, memory, growth"),
        ("--threads 0", "argument --threads: '0' is not an integer of at least 1"),
        ("--epochs-on-mnist -1", "argument --epochs-on-mnist: '-1' is not an integer"),
        ("--only tape --json /nowhere/figures.json", "error: /nowhere/figures.json: cannot be"),
    ],
)
def test_wrong_values_are_refused_by_name(tmp_path, flags, message):
    done = run(tmp_path, *flags.split(), torch=False)
    assert done.returncode != 0
    assert message in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_an_unwritable_out_is_refused_before_any_work(tmp_path):
    pytest.importorskip("torch", reason="torch is not installed: pip install -e '.[oracle]'")
    (tmp_path / "out").write_text("a file, not a folder")
    done = run(tmp_path, "--only", "eval")
    assert done.returncode == 1
    assert "error: --out" in done.stderr
    assert "Evaluation" not in done.stdout


@pytest.mark.slow
def test_a_blas_that_is_held_back_is_told(tmp_path):
    pins = {"OPENBLAS_CORETYPE": "Haswell"}
    done = run(tmp_path, "--only", "tape", torch=False, variables=pins)
    assert "warning: OPENBLAS_CORETYPE may hold NumPy's BLAS back" in done.stdout
    assert "env -u OPENBLAS_CORETYPE python examples/benchmark.py" in done.stdout


def test_spreads_are_read_at_a_glance():
    assert report.show({"median": 12.345, "low": 12.1, "high": 13.0}) == "12.3 [12.1, 13.0]"
    assert report.show({"median": 0.5, "low": 0.25, "high": 1.0}) == "0.500 [0.250, 1.000]"
    assert report.show({"median": 1234.5, "low": 1200.0, "high": 1300.0}) == "1234 [1200, 1300]"
    assert report.show(None) == ""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc/stat")
@pytest.mark.slow
def test_a_busy_neighbour_is_counted_and_own_work_is_not():
    counted = neighbours.Neighbours()
    burn = "import time\nwhile time.process_time() < 0.6: pass"
    with subprocess.Popen([sys.executable, "-c", burn]) as process:
        time.sleep(0.5)
        assert counted.cores() > 0.2
        process.wait()
    begin = time.process_time()
    while time.process_time() < begin + 0.3:
        pass
    assert neighbours._busy() - counted._busy >= 0.3
    assert counted._own < neighbours._own() - 0.3
