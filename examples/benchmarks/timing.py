"""Interleaved timing: the sides alternate in blocks, so a disturbance affects all of them."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

Step = Callable[[], object]


@dataclass(frozen=True)
class Spread:
    """The median and quartiles of some measurements."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, figures: Sequence[float]) -> "Spread":
        """Compute the spread of some measurements."""
        low, median, high = (float(x) for x in np.percentile(figures, (25, 50, 75)))
        return cls(median, low, high)


@dataclass(frozen=True)
class Effort:
    """How long to measure.

    Args:
        rounds: number of rounds, each with one block per side.
        settling: seconds of untimed steps at the start of each block.
        block: seconds of timed steps in each block.
    """

    rounds: int
    settling: float
    block: float


# Idle OpenBLAS threads keep spinning for about 25 ms and slow down PyTorch's threads, which take
# even longer to recover. On an otherwise idle machine, PyTorch took twice as long in a third of the
# blocks after 30 ms of untimed steps, and in none after 100 ms.
THOROUGH = Effort(rounds=11, settling=0.1, block=0.1)
QUICK = Effort(rounds=2, settling=0.0, block=0.0)


def race(steps: Mapping[str, Step], effort: Effort) -> dict[str, list[float]]:
    """Return the seconds per step of each side in each round, averaged over its block."""
    for step in steps.values():
        step()  # warm up: one-time setup happens here
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for number in range(effort.rounds):
        # Every other round runs in reverse, so that no side always follows the same one.
        for name in list(steps)[:: -1 if number % 2 else 1]:
            seconds[name].append(_block(steps[name], effort))
    return seconds


def ratios(ours: Sequence[float], theirs: Sequence[float]) -> Spread:
    """Return the spread of ours / theirs, paired by round."""
    return Spread.of([a / b for a, b in zip(ours, theirs, strict=True)])


def _block(step: Step, effort: Effort) -> float:
    _repeat(step, effort.settling)
    return _repeat(step, effort.block)


def _repeat(step: Step, seconds: float) -> float:
    """Call `step` at least once and for at least `seconds`; return the mean seconds per call."""
    count, start = 0, time.perf_counter()
    while True:
        step()
        count += 1
        passed = time.perf_counter() - start
        if passed >= seconds:
            return passed / count


@dataclass(frozen=True)
class Line:
    """The line seconds = intercept + slope · size, and its coefficient of determination R²."""

    intercept: float
    slope: float
    r_squared: float


def fit(sizes: Sequence[float], seconds: Sequence[float]) -> Line:
    """Fit a line by least squares."""
    x, y = np.asarray(sizes, float), np.asarray(seconds, float)
    slope, intercept = np.polyfit(x, y, 1)
    left = y - (intercept + slope * x)
    r_squared = 1 - float(left @ left) / float(((y - y.mean()) ** 2).sum())
    return Line(float(intercept), float(slope), r_squared)
