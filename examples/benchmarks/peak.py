"""The peak of memory that training steps reach, each time in a process of its own."""

import multiprocessing
from pathlib import Path

import numpy as np

from benchmarks.sides import side

_STATUS = Path("/proc/self/status")


def is_measurable() -> bool:
    """Say whether this system tells a process its peak."""
    return _STATUS.exists() and "VmHWM" in _STATUS.read_text()


def growth_in_fresh_process(name: str, model: str, batch: int, threads: int) -> float:
    """Return by how many MiB the first three training steps raise the process's peak."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_growth, (name, model, batch, threads))


def _growth(name: str, model: str, batch: int, threads: int) -> float:
    measured = side(name)
    measured.use_threads(threads)
    generator = np.random.default_rng(0)
    images = generator.standard_normal((batch, 1, 28, 28), np.float32)
    step = measured.training_step(model, images, generator.integers(0, 10, batch))
    before = _peak()
    for _ in range(3):
        step()
    return _peak() - before


def _peak() -> float:
    """Return the largest resident size so far, in MiB."""
    lines = _STATUS.read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024
