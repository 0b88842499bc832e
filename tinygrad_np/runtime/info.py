"""Number of threads, and a report of the versions, BLAS and settings that a run depends on."""

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
    """Set the number of threads that large kernels and BLAS use in this process.

    The default is the value of the environment variable TINYGRAD_NP_THREADS if it is set, otherwise
    the number of CPU cores available to this process.

    Raises:
        ArgumentError: if `count` is not an integer >= 1.

    >>> import tinygrad_np
    >>> tinygrad_np.set_num_threads(1)
    >>> tinygrad_np.get_num_threads()
    1
    """
    check_integer("set_num_threads", 1, count=count)
    workers.look_for_blas()
    workers.set_count(int(count))


def get_num_threads() -> int:
    """Return the maximum number of threads that a large kernel uses.

    Raises:
        ArgumentError: if the number is taken from TINYGRAD_NP_THREADS and is not an integer >= 1.

    >>> import tinygrad_np
    >>> tinygrad_np.get_num_threads() >= 1
    True
    """
    return workers.count


def show_config() -> None:
    """Print versions, thread counts, the BLAS with its CPU architecture, and the memory pool.

    Environment variables that may slow down NumPy on this CPU are marked.

    >>> import tinygrad_np
    >>> tinygrad_np.show_config()  # doctest: +ELLIPSIS
    tinygrad_np ...
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    print(f"tinygrad_np {__version__}")
    print(f"Python {platform.python_version()}, NumPy {np.__version__}, {platform.platform()}")
    print(f"CPU cores available to this process: {cores}")
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
    print(f"memory pool: {limit}, {pool.idle_bytes / 2**20:.1f} MiB idle now")


def _threads() -> str:
    try:
        return f"{workers.count}, from {workers.source}"
    except ArgumentError as error:  # report an invalid setting instead of failing
        return str(error)


def _remark(name: str) -> str:
    if name in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"):
        return "  <- may slow down NumPy on this CPU. Unset it before Python starts, and compare."
    return ""
