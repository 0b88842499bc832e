"""The clock: sides take turns, block by block, so that what disturbs one disturbs the other."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

Step = Callable[[], object]


@dataclass(frozen=True)
class Spread:
    """The median of some figures, and their quartiles."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, figures: Sequence[float]) -> "Spread":
        """Return the spread of figures that were measured."""
        low, median, high = (float(x) for x in np.percentile(figures, (25, 50, 75)))
        return cls(median, low, high)


@dataclass(frozen=True)
class Effort:
    """How long to measure: rounds of one block a side; each block's seconds, untimed and timed."""

    rounds: int
    settling: float
    block: float


# Idle threads of OpenBLAS go on spinning for some 25 ms and get in the way of PyTorch's, which in
# their turn stumble for longer. After 30 ms of untimed steps PyTorch still took twice its time in a
# third of the blocks, on a machine with nothing else to do; after 100 ms in none.
THOROUGH = Effort(rounds=11, settling=0.1, block=0.1)
QUICK = Effort(rounds=2, settling=0.0, block=0.0)


def race(steps: Mapping[str, Step], effort: Effort) -> dict[str, list[float]]:
    """Return for each side the seconds that its step took in each round, on average of a block."""
    for step in steps.values():
        step()  # what is made once is made here
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for number in range(effort.rounds):
        # Every other round in reverse: no side always comes after the same one.
        for name in list(steps)[:: -1 if number % 2 else 1]:
            seconds[name].append(_block(steps[name], effort))
    return seconds


def ratios(ours: Sequence[float], theirs: Sequence[float]) -> Spread:
    """Return the spread of ours / theirs, each block against that of the same round."""
    return Spread.of([a / b for a, b in zip(ours, theirs, strict=True)])


def _block(step: Step, effort: Effort) -> float:
    _repeat(step, effort.settling)
    return _repeat(step, effort.block)


def _repeat(step: Step, seconds: float) -> float:
    """Call step for so long, at least once; return the seconds a call took."""
    count, start = 0, time.perf_counter()
    while True:
        step()
        count += 1
        passed = time.perf_counter() - start
        if passed >= seconds:
            return passed / count


@dataclass(frozen=True)
class Line:
    """seconds = intercept + slope · size, and the part R² of the variance that it explains."""

    intercept: float
    slope: float
    r_squared: float


def fit(sizes: Sequence[float], seconds: Sequence[float]) -> Line:
    """Return the line of least squares."""
    x, y = np.asarray(sizes, float), np.asarray(seconds, float)
    slope, intercept = np.polyfit(x, y, 1)
    left = y - (intercept + slope * x)
    r_squared = 1 - float(left @ left) / float(((y - y.mean()) ** 2).sum())
    return Line(float(intercept), float(slope), r_squared)
