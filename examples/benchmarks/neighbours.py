"""How much of the machine other processes use meanwhile: a busy one has no figures to quote."""

import os
import time
from pathlib import Path

_STAT = Path("/proc/stat")


class Neighbours:
    """Counts from when it is made."""

    def __init__(self) -> None:
        self._busy, self._own, self._clock = _busy(), _own(), time.perf_counter()

    def cores(self) -> float | None:
        """Return how many cores others kept busy on average; None where no /proc/stat tells."""
        busy = _busy()
        if busy is None or self._busy is None:
            return None
        others = (busy - self._busy) - (_own() - self._own)
        return max(0.0, others / (time.perf_counter() - self._clock))


def _busy() -> float | None:
    """Return the seconds for which the machine's cores were not idle, all of them together."""
    if not _STAT.exists():
        return None
    user, nice, system, _, _, *rest = map(int, _STAT.read_text().split("\n")[0].split()[1:])
    interrupts, soft_interrupts, stolen, *_ = rest
    ticks = user + nice + system + interrupts + soft_interrupts + stolen
    return ticks / float(os.sysconf("SC_CLK_TCK"))


def _own() -> float:
    """Return the CPU seconds of this process and of its children that have ended."""
    return sum(os.times()[:4])
