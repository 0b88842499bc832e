"""Count physical cores: the hyper-threads of a core share its arithmetic units."""

import os
from pathlib import Path

_CPUS = Path("/sys/devices/system/cpu")


def count_physical_cores(cpus: Path = _CPUS) -> int | None:
    """Return the number of physical cores available to this process; None if unknown.

    On Linux, one file per CPU lists the hyper-threads of its core.
    """
    if not hasattr(os, "sched_getaffinity"):
        return None
    files = [cpus / f"cpu{n}/topology/thread_siblings_list" for n in os.sched_getaffinity(0)]
    try:
        return len({file.read_text() for file in files})
    except OSError:
        return None
