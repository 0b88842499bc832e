"""The number of physical cores: hyper-threads of one core share its arithmetic units."""

import os
from pathlib import Path

_CPUS = Path("/sys/devices/system/cpu")


def physical(cpus: Path = _CPUS) -> int | None:
    """Return the number of physical cores available to this process; None if unknown.

    Linux lists the CPUs that are hyper-threads of the same core in one file per CPU.
    """
    if not hasattr(os, "sched_getaffinity"):
        return None
    files = [cpus / f"cpu{n}/topology/thread_siblings_list" for n in os.sched_getaffinity(0)]
    try:
        return len({file.read_text() for file in files})
    except OSError:
        return None
