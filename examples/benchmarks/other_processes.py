"""CPU use by other processes during a measurement; timings on a busy machine are unreliable."""

import os
import time
from pathlib import Path

_STAT = Path("/proc/stat")


class OtherProcesses:
    """Measures the CPU use of other processes since construction."""

    def __init__(self) -> None:
        self._busy, self._own, self._clock = _busy(), _own(), time.perf_counter()

    def cores(self) -> float | None:
        """Return the average number of cores used by other processes; None without /proc/stat."""
        busy = _busy()
        if busy is None or self._busy is None:
            return None
        others = (busy - self._busy) - (_own() - self._own)
        return max(0.0, others / (time.perf_counter() - self._clock))


def _busy() -> float | None:
    """Return the CPU seconds for which the cores were busy, summed over all cores."""
    if not _STAT.exists():
        return None
    user, nice, system, _, _, *rest = map(int, _STAT.read_text().split("\n")[0].split()[1:])
    interrupts, soft_interrupts, stolen, *_ = rest
    ticks = user + nice + system + interrupts + soft_interrupts + stolen
    return ticks / float(os.sysconf("SC_CLK_TCK"))


def _own() -> float:
    """Return the CPU seconds used by this process and its finished children."""
    return sum(os.times()[:4])
