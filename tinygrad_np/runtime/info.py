"""What a run depends on beside the code: versions, BLAS, threads, recycled memory."""

import os
import platform

import numpy as np
import threadpoolctl

from tinygrad_np.checks import check_integer
from tinygrad_np.errors import ArgumentError
from tinygrad_np.runtime.memory import pool
from tinygrad_np.runtime.threads import workers
from tinygrad_np.version import __version__

_PINS = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE", "OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS")


def set_num_threads(count: int) -> None:
    """Let large work be split over `count` threads in this process, in kernels and in BLAS.

    Without it, TINYGRAD_NP_THREADS says how many, or the number of cores this process may use.
    Raises ArgumentError unless that is an integer of at least 1.

    >>> import tinygrad_np
    >>> tinygrad_np.set_num_threads(1)
    >>> tinygrad_np.get_num_threads()
    1
    """
    check_integer("set_num_threads", 1, count=count)
    workers.look_for_blas()
    workers.set_count(int(count))


def get_num_threads() -> int:
    """Return over how many threads large work is split, at most.

    Raises ArgumentError where TINYGRAD_NP_THREADS has to say it and is no integer of at least 1.

    >>> import tinygrad_np
    >>> tinygrad_np.get_num_threads() >= 1
    True
    """
    return workers.count


def show_config() -> None:
    """Print versions, threads, the BLAS with its architecture and threads, and recycled memory.

    Says so where an environment variable holds the CPU back.

    >>> import tinygrad_np
    >>> tinygrad_np.show_config()  # doctest: +ELLIPSIS
    tinygrad_np ...
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    print(f"tinygrad_np {__version__}")
    print(f"Python {platform.python_version()}, NumPy {np.__version__}, {platform.platform()}")
    print(f"CPU cores for this process: {cores}")
    print(f"threads: {_threads()}")
    for library in threadpoolctl.threadpool_info():
        if library["user_api"] == "blas":
            print(
                f"BLAS: {library['internal_api']} {library['version']}, kernels for "
                f"{library.get('architecture', 'an unknown CPU')}, {library['num_threads']} threads"
            )
    for name in _PINS:
        if name in os.environ:
            print(f"{name}={os.environ[name]}{_remark(name)}")
    limit = f"at most {pool.limit / 2**20:.0f} MiB idle" if pool.limit else "off"
    print(f"recycled memory: {limit}, {pool.idle_bytes / 2**20:.1f} MiB idle now")


def _threads() -> str:
    try:
        return f"{workers.count}, from {workers.source}"
    except ArgumentError as error:  # what is wrong is what one looks for here
        return str(error)


def _remark(name: str) -> str:
    if name in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"):
        return "  <- may hold this CPU back: unset it before Python starts, then compare"
    return ""
