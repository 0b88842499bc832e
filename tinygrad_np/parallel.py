"""Large work cut into parts, one to a thread. NumPy lets other threads run while it computes, so
parts of an array are worked on side by side, each with BLAS on one thread.

Only kernels split their work: a step stays the user's own. How it is cut depends on sizes and on
the number of threads alone, so the same seed and the same number give the same bits.
"""

import contextvars
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any, TypeVar

import threadpoolctl

from tinygrad_np.errors import ArgumentError

T = TypeVar("T")

VARIABLE = "TINYGRAD_NP_THREADS"

WORTH = 100_000
"""What a part must take, in ns: waking a thread and handing on the GIL take 30 to 60 us."""

# Products of less than so many ns use one thread of BLAS anyway.
_ALONE = 20_000


class Workers:
    """The threads of this process and how many there may be, the calling one among them.

    One piece of work is split at a time: what is within it, or comes from another thread of the
    user's meanwhile, runs where it is. So there are never more threads than `count` at work here.
    """

    def __init__(self) -> None:
        self._count: int | None = None
        self._pool: ThreadPoolExecutor | None = None
        self._blas: list[Any] | None = None
        self._before: list[int] = []
        self._lock = threading.Lock()

    @property
    def count(self) -> int:
        """The number of threads: what was set, or TINYGRAD_NP_THREADS, or the cores allowed."""
        if self._count is None:
            self._count = _from_environment()
        return self._count

    def set_count(self, count: int) -> None:
        """Use `count` threads from now on, and in BLAS too where the work is not split."""
        with self._lock:
            self._count = count
            if self._pool is not None:
                self._pool.shutdown()
                self._pool = None
            for library in self._libraries():
                library.set_num_threads(count)

    def each(
        self, function: Callable[[slice], T], length: int, cost: float, uses_blas: bool = False
    ) -> list[T]:
        """Return `function(part)` for contiguous parts of range(length), in their order.

        `cost` is about how many ns all of it takes on one thread; what is small stays whole.
        """
        count = int(min(self.count, length, cost / WORTH))
        # Also where the work stays whole BLAS is kept to one thread: its own spin for long after a
        # product, and would keep the system from giving their core to one of ours.
        is_split, is_held = count > 1, uses_blas and cost > _ALONE
        if not (is_split or is_held) or not self._lock.acquire(blocking=False):
            return [function(slice(0, length))]
        try:
            if is_held:
                self._hold_blas()
            if not is_split:
                return [function(slice(0, length))]
            cuts = [length * part // count for part in range(count + 1)]
            first, *others = map(slice, cuts, cuts[1:])
            if self._pool is None:
                self._pool = ThreadPoolExecutor(self.count - 1, "tinygrad_np")
            submit = self._pool.submit
            # With what holds for the caller, such as np.errstate.
            waiting = [submit(contextvars.copy_context().run, function, part) for part in others]
            try:
                done = [function(first)]
            finally:
                wait(waiting)
            return [*done, *[future.result() for future in waiting]]
        finally:
            if is_held:
                self._release_blas()
            self._lock.release()

    def forget_threads(self) -> None:
        """Start anew in a forked child, where the threads are gone and a lock may be held."""
        self._release_blas()
        self._pool = None
        self._lock = threading.Lock()

    def _hold_blas(self) -> None:
        self._before = [library.get_num_threads() for library in self._libraries()]
        for library in self._libraries():
            library.set_num_threads(1)

    def _release_blas(self) -> None:
        for library, count in zip(self._libraries(), self._before, strict=False):
            library.set_num_threads(count)
        self._before = []

    def _libraries(self) -> list[Any]:
        # Looking for them takes long, so it is done once.
        if self._blas is None:
            found = threadpoolctl.ThreadpoolController().select(user_api="blas")
            self._blas = list(found.lib_controllers)
        return self._blas


def _from_environment() -> int:
    given = os.environ.get(VARIABLE)
    if given is None:
        affinity = getattr(os, "sched_getaffinity", None)  # not on every system
        return len(affinity(0)) if affinity else os.cpu_count() or 1
    if not (given.isascii() and given.isdigit()) or int(given) < 1:
        raise ArgumentError(f"{VARIABLE}={given!r}: expected an integer of at least 1")
    return int(given)


workers = Workers()
each = workers.each
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=workers.forget_threads)
