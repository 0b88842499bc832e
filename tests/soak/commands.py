"""The command line in child processes: start, stop, and check the folder it leaves.

The children are forked by a server that has imported the package, so that most of their time is
spent in training.
"""

import contextlib
import csv
import functools
import json
import multiprocessing
import os
import runpy
import signal
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from multiprocessing import util
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tinygrad_np import train

TRAIN = [
    *("train", "--model", "DigitsCNN", "--data", "digits", "--train-samples", "240"),
    *("--test-samples", "40", "--epochs", "3", "--batch-size", "16", "--checkpoint-every", "7"),
]
"""A run of 42 steps in three epochs, without --out and --no-figures."""

_PRELOADED = ["tests.soak.commands", "tinygrad_np.cli.entry", "tinygrad_np.viz.report"]


@functools.cache
def context() -> Any:
    """Return the context whose processes are forked by a server with the package imported."""
    found = multiprocessing.get_context("forkserver")
    found.set_forkserver_preload(_PRELOADED)
    return found


def start(
    arguments: list[str], output: Path, prepare: Callable[[], None] | None = None
) -> BaseProcess:
    """Start `python -m tinygrad_np` in a child; stdout and stderr go to `output`.out and .err.

    Args:
        arguments: command-line arguments.
        output: path of the two files, without their suffixes.
        prepare: called in the child before the command; picklable.
    """
    process: BaseProcess = context().Process(target=_run, args=(arguments, str(output), prepare))
    process.start()
    return process


def _run(arguments: list[str], output: str, prepare: Callable[[], None] | None) -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ["MPLBACKEND"] = "Agg"
    for descriptor, suffix in ((1, ".out"), (2, ".err")):
        os.dup2(os.open(output + suffix, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), descriptor)
    warnings.simplefilter("error")
    if prepare is not None:
        prepare()
    sys.argv = ["tinygrad_np", *arguments]
    runpy.run_module("tinygrad_np", run_name="__main__", alter_sys=True)


def finish(process: BaseProcess, after: float | None = None, number: int = 0) -> int:
    """Wait for a child, at most `after` seconds if given, and then send it a signal.

    Returns:
        The exit status, negative if a signal ended it.
    """
    try:
        process.join(after)
        if after is not None and process.is_alive() and process.pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, number)
        process.join()
    finally:
        process.kill()
        process.join()
    assert process.exitcode is not None
    return process.exitcode


def train_into(folder: Path, *flags: str, figures: bool = False) -> list[str]:
    """Return the arguments of the run that is interrupted in these tests."""
    return [*TRAIN, *flags, "--out", str(folder), *([] if figures else ["--no-figures"])]


@functools.cache
def _reference(figures: bool) -> tuple[tempfile.TemporaryDirectory[str], float]:
    """Run twice without interruption; return the folder and the shorter time."""
    folder = tempfile.TemporaryDirectory(prefix="soak-reference-")
    # Children of multiprocessing run these finalizers, but not those of atexit.
    util.Finalize(None, folder.cleanup, exitpriority=0)
    seconds = []
    for name in ("warmup", "run"):
        begin = time.perf_counter()
        place = Path(folder.name, name)
        status = finish(start(train_into(place, figures=figures), Path(folder.name, name + "-log")))
        seconds.append(time.perf_counter() - begin)
        assert status == 0, f"the uninterrupted run ended with status {status}"
    return folder, min(seconds)


def duration(figures: bool = False) -> float:
    """Return how many seconds the run takes in a child."""
    return _reference(figures)[1]


def final_weights() -> dict[str, np.ndarray]:
    """Return the weights that the run ends with."""
    return train.load(Path(_reference(False)[0].name, "run", "model.safetensors"))


def expected_files(figures: bool = False) -> set[str]:
    """Return the names of the files that the run leaves."""
    return {path.name for path in Path(_reference(figures)[0].name, "run").iterdir()}


def same_arrays(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> bool:
    """Return whether two state dicts are equal bit for bit, in any order."""
    return set(one) == set(other) and all(
        one[name].dtype == other[name].dtype
        and one[name].shape == other[name].shape
        and one[name].tobytes() == other[name].tobytes()
        for name in one
    )


def errors_of(output: Path) -> str:
    """Return what was written to stderr; a child killed at its start has not made the file."""
    path = Path(f"{output}.err")
    return path.read_text(errors="replace") if path.exists() else ""


def check_output(output: Path, status: int, *allowed: int) -> str:
    """Check the status and that there was no traceback; return what was written to stderr."""
    errors = errors_of(output)
    last = errors.strip().splitlines()[-1:]
    assert "Traceback" not in errors, f"a traceback on stderr, which ends in {last}"
    assert status in allowed, f"expected status {allowed}, got {status}; stderr ends in {last}"
    return errors


def check_files(folder: Path) -> None:
    """Check that every file in a run's folder is whole."""
    for path in sorted(folder.rglob("*")):
        if path.name.startswith(".") or path.is_dir():
            continue
        if path.suffix == ".safetensors":
            train.load(path)
        elif path.suffix == ".json":
            json.loads(path.read_text())
        elif path.suffix == ".csv":
            with path.open(newline="") as file:
                lengths = [len(line) for line in csv.reader(file)]
            # The last line of the step log may be cut off: it is written during training.
            whole = lengths[:-1] if path.name == "steps.csv" else lengths
            assert len(set(whole)) <= 1, f"{path.name} has lines of {set(whole)} cells"
        elif path.suffix == ".png":
            with Image.open(path) as picture:
                picture.load()
        elif path.suffix in (".svg", ".dot"):
            end = "</svg>" if path.suffix == ".svg" else "}"
            assert path.read_text().rstrip().endswith(end), f"{path.name} is cut off"


def check_no_leftovers(folder: Path, figures: bool = False) -> None:
    """Check that a folder holds only files that a run leaves."""
    found = {path.name for path in folder.iterdir()} if folder.exists() else set()
    left = sorted(found - expected_files(figures))
    assert not left, f"files left behind: {left}"


def recover(folder: Path, output: Path, figures: bool = False) -> None:
    """Resume an interrupted run, or start it again if it saved nothing yet; check its results."""
    end = [] if figures else ["--no-figures"]
    arguments = ["train", "--resume", str(folder), *end]
    if not ((folder / "config.json").exists() and (folder / "training.safetensors").exists()):
        arguments = [*train_into(folder, figures=figures), "--overwrite"]
    status = finish(start(arguments, output))
    errors = errors_of(output)
    # A run that has its results has nothing left to do.
    is_complete = "has completed" in errors and (folder / "metrics.json").exists()
    check_output(output, status, 0, *([2] if is_complete else []))
    check_files(folder)
    assert (folder / "model.safetensors").exists(), (
        f"no model.safetensors after the restart; stderr: {errors.strip()}"
    )
    found = train.load(folder / "model.safetensors")
    assert same_arrays(found, final_weights()), (
        "the final weights differ from those of the uninterrupted run"
    )
    check_no_leftovers(folder, figures)
