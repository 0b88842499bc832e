"""Thread pool that runs the parts of large kernels in parallel.

NumPy and BLAS release the GIL while they compute, so several Python threads can work on disjoint
parts of one array at the same time. BLAS is limited to one thread meanwhile; otherwise its own
threads would compete with these for the cores.

Only kernels use the pool; the training loop and user code stay on the calling thread. The
partition depends only on sizes and on the thread count, so the same seed and the same thread count
give the same results bit for bit.
"""

import contextvars
import itertools
import os
import threading
from collections.abc import Callable, Sequence
from functools import partial
from queue import SimpleQueue
from typing import Any, TypeVar

import threadpoolctl

from tinygrad_np.errors import ArgumentError

T = TypeVar("T")
VARIABLE = "TINYGRAD_NP_THREADS"

WORTH = 300_000
"""Minimum cost of a part in ns, as estimated by the caller.

Waking a thread and waiting for it take 20 us each, and each NumPy call of a part may wait as long
for the GIL. A step of LeNet at batch 64 takes 3.6 ms on one core. On two cores, it took 4.3 ms when
parts of 0.1 to 0.2 ms were split off, and takes 3.7 ms with this minimum."""

# BLAS computes products below this cost (in ns) on one thread anyway.
_ALONE = 5_000


# All names under which builds of OpenBLAS export openblas_set_num_threads.
_OPENBLAS_SETTERS = [
    f"{prefix}openblas_set_num_threads{suffix}"
    for prefix, suffix in itertools.product(("", "scipy_"), ("", "64_", "_64"))
]


class Blas:
    """A loaded BLAS library with a thread count that any thread can set.

    Since version 3.8, threadpoolctl lets only the first thread that calls it set the thread count
    of OpenBLAS and silently ignores all others. This class therefore calls OpenBLAS's own setter;
    the lock in `Workers` keeps the calls apart. OpenBLAS built with OpenMP has one count per
    thread, which any thread can set through threadpoolctl.
    """

    def __init__(self, controller: Any) -> None:
        self.get_num_threads: Callable[[], int] = controller.get_num_threads
        self.set_num_threads: Callable[[int], object] = controller.set_num_threads
        if controller.internal_api == "openblas" and controller.threading_layer != "openmp":
            for name in _OPENBLAS_SETTERS:
                if hasattr(controller.dynlib, name):
                    self.set_num_threads = getattr(controller.dynlib, name)


class Task:
    """One part of the work, run by a worker thread.

    `concurrent.futures` offers the same, but it imports `logging`, which adds 2 ms to the 34 ms
    that importing this package takes.
    """

    def __init__(self, function: Callable[[], Any], holds_blas: bool) -> None:
        self.function = function
        self.holds_blas = holds_blas
        self._result: Any = None
        self._error: BaseException | None = None
        self.is_started = False
        self.is_cancelled = False
        # Held until the function has ended. threading.Event would do, but it is written in Python:
        # Ctrl-C inside it can leave its internal lock held forever.
        self._running = threading.Lock()
        self._running.acquire()

    def run(self, hold_blas: Callable[[], None]) -> None:
        """Run the function and store its result or error, unless the task was cancelled."""
        # `_cancel` sets `is_cancelled`, then reads `is_started`. This method does the reverse, so
        # at least one of the two threads sees both flags set.
        self.is_started = True
        if not self.is_cancelled:
            try:
                if self.holds_blas:
                    hold_blas()  # some libraries have one thread count per thread
                self._result = self.function()
            except BaseException as error:
                self._error = error
        self._running.release()
        del self  # the error's traceback refers to this frame: break the cycle

    def wait(self) -> None:
        """Wait until the function has ended."""
        with self._running:
            pass

    def result(self) -> Any:
        """Return the result of a finished task, or raise its error; call this once."""
        error, self._error = self._error, None
        if error is None:
            return self._result
        try:
            raise error
        finally:
            del error  # its traceback refers to this frame: break the cycle


class Workers:
    """The worker threads of this process.

    The calling thread computes parts as well, so n threads are n - 1 workers and the caller.

    Only one call to `each` runs its parts in parallel at a time. A call nested inside it, or made
    by another user thread in the meantime, is partitioned the same way, but its parts run one after
    another on the thread that made it. BLAS is limited to one thread while any call with
    `uses_blas` is active.
    """

    def __init__(self) -> None:
        self.source = ""
        """Where the thread count comes from, as text for show_config."""
        self._count: int | None = None
        self._blas: list[Blas] | None = None
        # The BLAS thread counts to restore; empty while BLAS is not limited.
        self._before: list[int] = []
        self._forget_calls()

    def _forget_calls(self) -> None:
        # Number of worker threads; all take tasks from one queue.
        self._threads = 0
        self._tasks: SimpleQueue[Task | None] = SimpleQueue()
        # One object per active call: those that limit BLAS, and the one that is split.
        self._holding: set[object] = set()
        self._splitting: object = None
        # Held briefly, never during work. Reentrant: a signal handler may interrupt the holder and
        # call `each` itself.
        self._lock = threading.RLock()

    @property
    def count(self) -> int:
        """Number of threads: from `set_count`, else TINYGRAD_NP_THREADS, else the usable cores."""
        if self._count is None:
            with self._lock:
                self._count = self._count or self._from_surroundings()
        return self._count

    def set_count(self, count: int) -> None:
        """Use `count` threads from now on, in kernels and in BLAS calls outside of `each`."""
        with self._lock:
            self._count, self.source = count, "set_num_threads"
            libraries = self._libraries()
            if self._holding:
                self._before = [count] * len(libraries)
            else:
                for library in libraries:
                    library.set_num_threads(count)
            self._dismiss()

    def look_for_blas(self) -> None:
        """Discard the list of BLAS libraries: others may have been loaded since it was made."""
        with self._lock:
            if not self._holding:
                self._blas = None

    def each(
        self, function: Callable[[slice], T], length: int, cost: float, uses_blas: bool = False
    ) -> list[T]:
        """Return `function(part)` for contiguous slices of range(length), in order.

        If parts fail, the error of the first failing part, in slice order, is raised after all
        running parts have ended.

        Args:
            function: computes one part, given its slice; called from several threads at once.
            length: number of entries to partition.
            cost: estimated time of the whole work on one thread, in ns. Each part gets at least
                `WORTH` of it, so small work is not split.
            uses_blas: whether `function` calls BLAS.
        """
        count = int(min(self.count, length, cost / WORTH))
        # Limit BLAS even if the work is not split: its threads spin long after a product and would
        # keep the operating system from giving their cores to the workers.
        is_held = uses_blas and cost > _ALONE
        if count < 2 and not is_held:
            return [function(slice(0, length))]
        cuts = [length * part // count for part in range(count + 1)] if count > 1 else [0, length]
        parts = list(map(slice, cuts, cuts[1:]))
        call = object()
        try:
            if self._enter(call, count > 1, is_held):
                return self._split(function, parts, is_held)
            return [function(part) for part in parts]
        finally:
            try:
                self._leave(call)
            except KeyboardInterrupt:
                self._leave(call)
                raise

    def forget_threads(self) -> None:
        """Reset in a forked child, where the threads are gone and the lock may be held."""
        self._forget_calls()
        self._release_blas()

    def _enter(self, call: object, is_split: bool, is_held: bool) -> bool:
        """Register a call; return whether its parts run in parallel."""
        with self._lock:
            if is_held:
                self._holding.add(call)
                if not self._before:
                    self._before = [library.get_num_threads() for library in self._libraries()]
                    self._hold_blas()
            if is_split and self._splitting is None:
                self._splitting = call
            return self._splitting is call

    def _leave(self, call: object) -> None:
        # May run twice: Ctrl-C can interrupt it.
        with self._lock:
            if self._splitting is call:
                self._splitting = None
                self._dismiss()
            self._holding.discard(call)
            if not self._holding:
                self._release_blas()

    def _split(self, function: Callable[[slice], T], parts: list[slice], is_held: bool) -> list[T]:
        """Run the parts in parallel; return their results in order."""
        ours = len(parts) - self._helpers(len(parts) - 1)
        # Workers run in a copy of the caller's context, which includes np.errstate.
        tasks = [
            Task(partial(contextvars.copy_context().run, function, part), is_held)
            for part in parts[ours:]
        ]
        try:
            for task in tasks:
                self._tasks.put(task)
            done = [function(part) for part in parts[:ours]]
            for task in tasks:
                task.wait()
        except BaseException:
            _cancel(tasks)
            raise
        return done + [task.result() for task in tasks]

    def _helpers(self, wanted: int) -> int:
        """Start workers until there are `wanted`; return how many of those are available."""
        while self._threads < wanted:
            # Python does not wait for daemon threads at exit.
            thread = threading.Thread(
                target=_serve, args=(self._tasks, self._hold_blas), name="tinygrad_np", daemon=True
            )
            try:
                thread.start()
            except RuntimeError:  # the system is out of threads, or Python is shutting down
                break
            self._threads += 1
        return min(wanted, self._threads)

    def _dismiss(self) -> None:
        """Stop surplus workers, unless a call is being split."""
        while self._splitting is None and self._threads >= self.count:
            self._threads -= 1
            self._tasks.put(None)

    def _hold_blas(self) -> None:
        for library in self._libraries():
            library.set_num_threads(1)

    def _release_blas(self) -> None:
        if self._before:
            for library, count in zip(self._libraries(), self._before, strict=True):
                # Any other count was set by other code in the meantime: leave it.
                if library.get_num_threads() == 1:
                    library.set_num_threads(count)
            self._before = []

    def _from_surroundings(self) -> int:
        """Return the default thread count; TINYGRAD_NP_THREADS is a limit for BLAS as well."""
        given = os.environ.get(VARIABLE)
        if given is None:
            self.source = "the CPU cores available to this process"
            affinity = getattr(os, "sched_getaffinity", None)  # missing on macOS and Windows
            return len(affinity(0)) if affinity else os.cpu_count() or 1
        if not (given.isascii() and given.isdigit()) or int(given) < 1:
            raise ArgumentError(f"{VARIABLE}: expected an integer >= 1, got {given!r}.")
        self.source = VARIABLE
        for library in self._libraries():
            library.set_num_threads(min(int(given), library.get_num_threads()))
        return int(given)

    def _libraries(self) -> list[Blas]:
        # The search is slow: keep its result.
        if self._blas is None:
            found = threadpoolctl.ThreadpoolController().select(user_api="blas")
            self._blas = [Blas(controller) for controller in found.lib_controllers]
        return self._blas


def _serve(tasks: SimpleQueue[Task | None], hold_blas: Callable[[], None]) -> None:
    """Run tasks from the queue until None arrives."""
    while (task := tasks.get()) is not None:
        task.run(hold_blas)
        del task  # release its arrays now, not when the next task arrives


def _cancel(tasks: Sequence[Task]) -> None:
    """Cancel tasks, wait for those that have started, and only then raise a KeyboardInterrupt."""
    try:
        for task in tasks:
            task.is_cancelled = True
        for task in tasks:
            if task.is_started:
                task.wait()
    except KeyboardInterrupt:
        _cancel(tasks)
        raise


workers = Workers()
each = workers.each
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=workers.forget_threads)
