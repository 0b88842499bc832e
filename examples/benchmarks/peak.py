"""Peak memory of training steps, each measured in a new process."""

import multiprocessing
from pathlib import Path

import numpy as np

from benchmarks.sides import side
from benchmarks.workloads import WORKLOADS

_STATUS = Path("/proc/self/status")


def is_measurable() -> bool:
    """Return whether this system reports a process's peak memory."""
    return _STATUS.exists() and "VmHWM" in _STATUS.read_text()


def growth_in_fresh_process(name: str, model: str, batch: int, threads: int) -> float:
    """Return how many MiB the first three training steps add to a new process's peak memory.

    `model` is MnistCNN or the name of a workload.
    """
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_growth, (name, model, batch, threads))


def _growth(name: str, model: str, batch: int, threads: int) -> float:
    measured = side(name)
    measured.use_threads(threads)
    if model in WORKLOADS:
        step = measured.workload(model, batch=batch)
    else:
        generator = np.random.default_rng(0)
        images = generator.standard_normal((batch, 1, 28, 28), np.float32)
        step = measured.training_step(model, images, generator.integers(0, 10, batch))
    before = _peak()
    for _ in range(3):
        step()
    return _peak() - before


def _peak() -> float:
    """Return the largest resident set size so far, in MiB."""
    lines = _STATUS.read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024
