"""Large work cut into parts, one to a thread. NumPy lets other threads run while it computes, so
parts of an array are worked on side by side, each with BLAS on one thread.

Only kernels split their work: a step stays the user's own. How it is cut depends on sizes and on
the number of threads alone, so the same seed and the same number give the same bits.
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

WORTH = 200_000
"""What a part must take, in ns: waking a thread and handing on the GIL take 30 to 60 us."""

# Products of less than so many ns use one thread of BLAS anyway.
_ALONE = 5_000


# The one function of OpenBLAS's interface that is needed here, by all names it is built under.
_OPENBLAS_SETTERS = [
    f"{prefix}openblas_set_num_threads{suffix}"
    for prefix, suffix in itertools.product(("", "scipy_"), ("", "64_", "_64"))
]


class Blas:
    """A loaded BLAS library, whose number of threads may be set from any thread.

    Since its 3.8, threadpoolctl lets only the first thread that comes set OpenBLAS, and silently
    ignores the others. So OpenBLAS's own function is called: our lock keeps the threads apart.
    Built with OpenMP, OpenBLAS counts for each thread, and threadpoolctl does not interfere.
    """

    def __init__(self, controller: Any) -> None:
        self.get_num_threads: Callable[[], int] = controller.get_num_threads
        self.set_num_threads: Callable[[int], object] = controller.set_num_threads
        if controller.internal_api == "openblas" and controller.threading_layer != "openmp":
            for name in _OPENBLAS_SETTERS:
                if hasattr(controller.dynlib, name):
                    self.set_num_threads = getattr(controller.dynlib, name)


class Task:
    """A part of the work, handed to another thread.

    `concurrent.futures` would serve too, but importing it adds 2 ms to our 34: it needs `logging`.
    """

    def __init__(self, function: Callable[[], Any], holds_blas: bool) -> None:
        self.function = function
        self.holds_blas = holds_blas
        self._result: Any = None
        self._error: BaseException | None = None
        self.is_started = False
        self.is_cancelled = False
        # Held until the function has ended. An Event would do, but it is written in Python: Ctrl-C
        # inside it can leave its own lock held for good.
        self._running = threading.Lock()
        self._running.acquire()

    def run(self, hold_blas: Callable[[], None]) -> None:
        """Run the function and keep its result or error, unless the task was cancelled."""
        # `_cancel` sets one flag and then reads the other. Here it is the other way round, so at
        # least one of the two threads sees both set.
        self.is_started = True
        if not self.is_cancelled:
            try:
                if self.holds_blas:
                    hold_blas()  # some libraries keep one thread count per thread
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
        """Return the result of a task that has ended, or raise its error; call this once."""
        error, self._error = self._error, None
        if error is None:
            return self._result
        try:
            raise error
        finally:
            del error  # its traceback refers to this frame: break the cycle


class Workers:
    """The threads of this process and how many there may be, the calling one among them.

    One piece of work is split at a time: what is within it, or comes from another thread of the
    user's meanwhile, is cut in the same way, and its parts run one after the other where it is.
    As long as any call is within `each` that uses BLAS, BLAS has one thread.
    """

    def __init__(self) -> None:
        self.source = ""
        """Where the number of threads comes from, in words."""
        self._count: int | None = None
        self._blas: list[Blas] | None = None
        # What BLAS is given back, and nothing while it is not held.
        self._before: list[int] = []
        self._forget_calls()

    def _forget_calls(self) -> None:
        # How many threads there are beside the user's; all take from one queue.
        self._threads = 0
        self._tasks: SimpleQueue[Task | None] = SimpleQueue()
        # What stands for the calls for which BLAS is held, and for the one that splits.
        self._holding: set[object] = set()
        self._splitting: object = None
        # Held for moments, never during work. A signal handler may come in between and work too.
        self._lock = threading.RLock()

    @property
    def count(self) -> int:
        """The number of threads: what was set, or TINYGRAD_NP_THREADS, or the cores allowed."""
        if self._count is None:
            with self._lock:
                self._count = self._count or self._from_surroundings()
        return self._count

    def set_count(self, count: int) -> None:
        """Use `count` threads from now on, and in BLAS too where the work is not split."""
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
        """Look again for libraries at the next need: others may have been loaded since."""
        with self._lock:
            if not self._holding:
                self._blas = None

    def each(
        self, function: Callable[[slice], T], length: int, cost: float, uses_blas: bool = False
    ) -> list[T]:
        """Return `function(part)` for contiguous parts of range(length), in their order.

        `cost` is about how many ns all of it takes on one thread; what is small stays whole. If
        parts fail, the error of the first one is raised when none is at work any more.
        """
        count = int(min(self.count, length, cost / WORTH))
        # Also where the work stays whole BLAS is kept to one thread: its own spin for long after a
        # product, and would keep the system from giving their core to one of ours.
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
        """Start anew in a forked child, where the threads are gone and a lock may be held."""
        self._forget_calls()
        self._release_blas()

    def _enter(self, call: object, is_split: bool, is_held: bool) -> bool:
        """Note a call, and return whether it is the one whose parts run side by side."""
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
        # May come twice: Ctrl-C can interrupt it.
        with self._lock:
            if self._splitting is call:
                self._splitting = None
                self._dismiss()
            self._holding.discard(call)
            if not self._holding:
                self._release_blas()

    def _split(self, function: Callable[[slice], T], parts: list[slice], is_held: bool) -> list[T]:
        """Return `function(part)` for all parts, worked on side by side."""
        ours = len(parts) - self._helpers(len(parts) - 1)
        # Other threads run in a copy of the caller's context, which includes np.errstate.
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
        """Return how many other threads there are, up to `wanted`, started if need be."""
        while self._threads < wanted:
            # Python does not wait for a daemon when it exits.
            thread = threading.Thread(
                target=_serve, args=(self._tasks, self._hold_blas), name="tinygrad_np", daemon=True
            )
            try:
                thread.start()
            except RuntimeError:  # the system has no more, or Python is about to exit
                break
            self._threads += 1
        return min(wanted, self._threads)

    def _dismiss(self) -> None:
        """Let the threads go that are too many, unless they are at work."""
        while self._splitting is None and self._threads >= self.count:
            self._threads -= 1
            self._tasks.put(None)

    def _hold_blas(self) -> None:
        for library in self._libraries():
            library.set_num_threads(1)

    def _release_blas(self) -> None:
        if self._before:
            for library, count in zip(self._libraries(), self._before, strict=True):
                # Unless somebody else has set it meanwhile.
                if library.get_num_threads() == 1:
                    library.set_num_threads(count)
            self._before = []

    def _from_surroundings(self) -> int:
        """Return the number of threads that nobody has set; BLAS takes no more either."""
        given = os.environ.get(VARIABLE)
        if given is None:
            self.source = "the cores this process may use"
            affinity = getattr(os, "sched_getaffinity", None)  # not on every system
            return len(affinity(0)) if affinity else os.cpu_count() or 1
        if not (given.isascii() and given.isdigit()) or int(given) < 1:
            raise ArgumentError(f"{VARIABLE}={given!r}: expected an integer of at least 1")
        self.source = VARIABLE
        for library in self._libraries():
            library.set_num_threads(min(int(given), library.get_num_threads()))
        return int(given)

    def _libraries(self) -> list[Blas]:
        # Looking for them takes long, so it is done once.
        if self._blas is None:
            found = threadpoolctl.ThreadpoolController().select(user_api="blas")
            self._blas = [Blas(controller) for controller in found.lib_controllers]
        return self._blas


def _serve(tasks: SimpleQueue[Task | None], hold_blas: Callable[[], None]) -> None:
    """Run tasks one after the other until it gets None."""
    while (task := tasks.get()) is not None:
        task.run(hold_blas)
        del task  # its arrays must not wait for the next task


def _cancel(tasks: Sequence[Task]) -> None:
    """Cancel tasks and wait for those that have started; Ctrl-C meanwhile is raised afterwards."""
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
