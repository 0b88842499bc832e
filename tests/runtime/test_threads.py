"""Thread pool: results, errors, the thread counts of BLAS, and the number of workers."""

import gc
import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
import threading
import warnings
import weakref

import numpy as np
import pytest
import threadpoolctl

from models import MnistCNN
from tests.tools import each
from tinygrad_np import Tensor, optim
from tinygrad_np.errors import ArgumentError
from tinygrad_np.kernels import conv, elementwise, linalg, norms, pool
from tinygrad_np.ops.windows import place_windows
from tinygrad_np.runtime import memory
from tinygrad_np.runtime import threads as parallel

pytestmark = pytest.mark.slow

MUCH = 1e12
PATIENCE = 20
"""Seconds after which a test that waits for another thread fails."""

WORK = np.ones(3_000_000)
"""NumPy computes on it for about 30 ms with the GIL released."""

forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
quietly = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")


class Library:
    """A BLAS stub that has only a thread count."""

    def __init__(self, count):
        self.count = count

    def get_num_threads(self):
        """Same interface as threadpoolctl."""
        return self.count

    def set_num_threads(self, count):
        """Same interface as threadpoolctl."""
        self.count = count


class LibraryForEachThread(threading.local, Library):
    """A BLAS stub with one count per thread, as in MKL."""


@pytest.fixture
def team():
    """Return a function that makes workers with `count` threads and a BLAS of 7 threads."""
    made = []

    def of(count, library=None):
        workers = untold(library)
        workers.set_count(count)
        workers._blas[0].count = 7
        made.append(workers)
        return workers

    yield of
    for workers in made:
        workers.set_count(1)


@pytest.fixture
def split(monkeypatch):
    """Return a function that runs `call` with `count` threads and splits all work."""
    monkeypatch.setattr(parallel, "WORTH", 1)
    monkeypatch.setattr(elementwise, "_SMALL", 0)
    made = {}
    # Searched again: other tests may have loaded libraries after the package did.
    libraries = parallel.Workers()._libraries()
    before = [library.get_num_threads() for library in libraries]

    def run(count, call):
        if count not in made:
            made[count] = parallel.Workers()
            made[count].set_count(count)

        def each(*args, **options):
            found = made[count].each(*args, **options)
            run.most_parts = max(run.most_parts, len(found))
            return found

        monkeypatch.setattr(parallel, "each", each)
        return call()

    run.most_parts = 0
    yield run
    for workers in made.values():
        workers.set_count(1)
    for library, count in zip(libraries, before, strict=True):
        library.set_num_threads(count)


def untold(library=None):
    """Return workers without a thread count set, with a BLAS of 7 threads."""
    workers = parallel.Workers()
    workers._blas = [library or Library(7)]
    return workers


def idents(workers, length=50, **options):
    """Return the thread ids of the parts; each part waits until all threads are busy."""
    parts = threading.Barrier(min(workers.count, length))

    def part(where):
        parts.wait(PATIENCE)
        return threading.get_ident()

    return workers.each(part, length, MUCH, **options)


def is_sound(workers):
    """Return whether work is split again, BLAS is restored and no state is left over."""
    found = idents(workers, uses_blas=True)
    return (
        len(set(found)) == workers.count
        and workers._blas[0].count == 7
        and not workers._holding
        and workers._splitting is None
        and workers._before == []
    )


def in_thread(call):
    """Start `call` in a user thread; return a function that waits for its result."""
    found = []
    thread = threading.Thread(target=lambda: found.append(call()), daemon=True)
    thread.start()

    def result():
        thread.join(PATIENCE)
        return found[0]

    return result


# Partition.


@pytest.mark.parametrize(
    ("count", "length", "cost", "expected"),
    [
        (3, 10, MUCH, [(0, 3), (3, 6), (6, 10)]),
        (3, 2, MUCH, [(0, 1), (1, 2)]),
        (3, 10, 2.5 * parallel.WORTH, [(0, 5), (5, 10)]),
        (3, 10, 1.9 * parallel.WORTH, [(0, 10)]),
        (1, 10, MUCH, [(0, 10)]),
        (3, 1, MUCH, [(0, 1)]),
        (3, 0, MUCH, [(0, 0)]),
    ],
)
@pytest.mark.parametrize("uses_blas", [False, True])
def test_parts_depend_on_count_length_and_cost(team, count, length, cost, expected, uses_blas):
    found = team(count).each(lambda part: (part.start, part.stop), length, cost, uses_blas)
    assert found == expected


@pytest.mark.parametrize("uses_blas", [False, True])
def test_a_count_of_one_runs_everything_in_the_caller(team, uses_blas):
    workers = team(1)
    assert idents(workers, uses_blas=uses_blas) == [threading.get_ident()]
    assert not workers._threads


def test_threads_start_only_when_needed(team):
    workers = team(4)
    assert not workers._threads
    workers.each(lambda part: None, 50, 1.5 * parallel.WORTH)
    assert not workers._threads
    workers.each(lambda part: None, 2, MUCH)
    assert workers._threads == 1
    for _ in range(3):
        found = idents(workers)
        assert found[0] == threading.get_ident()
        assert len(set(found)) == 4
    assert workers._threads == 3
    ours = [thread for thread in threading.enumerate() if thread.ident in found[1:]]
    assert all(thread.daemon for thread in ours)


def test_at_most_one_part_per_thread_runs_at_a_time(team):
    """Nested calls add no parallelism."""
    workers = team(3)
    counted = threading.Lock()
    all_at_work = threading.Barrier(3)
    at_work, most = 0, 0

    def inner(part):
        nonlocal at_work, most
        with counted:
            at_work += 1
            most = max(most, at_work)
        sum(range(2000))
        with counted:
            at_work -= 1
        return part

    def outer(part):
        all_at_work.wait(PATIENCE)
        for _ in range(20):
            workers.each(inner, 30, MUCH)

    workers.each(outer, 30, MUCH)
    assert most <= 3
    assert workers._threads == 2


def test_caller_runs_all_parts_if_threads_cannot_start(team, monkeypatch):
    """This happens in an exit handler, or if the system is out of threads."""

    def start(thread):
        raise RuntimeError("can't start new thread")

    workers = team(4)
    workers.each(lambda part: None, 2, MUCH)
    monkeypatch.setattr(threading.Thread, "start", start)
    assert workers.each(lambda part: part.start, 4, MUCH) == [0, 1, 2, 3]
    assert workers._threads == 1
    alone = team(3)
    assert alone.each(lambda part: threading.get_ident(), 3, MUCH) == [threading.get_ident()] * 3


# Number of threads.


def test_the_default_count_is_the_cpu_affinity(monkeypatch):
    monkeypatch.delenv(parallel.VARIABLE, raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {3, 5, 7}, raising=False)
    workers = untold()
    assert workers.count == 3
    assert "cores" in workers.source
    assert workers._blas[0].count == 7


@pytest.mark.parametrize(("given", "blas"), [("2", 2), ("9", 7)])
def test_num_threads_variable_limits_blas_at_first_use(monkeypatch, given, blas):
    monkeypatch.setenv(parallel.VARIABLE, given)
    workers = untold()
    workers.each(lambda part: None, 1, 1)
    assert workers._blas[0].count == blas
    assert (workers.count, workers.source) == (int(given), parallel.VARIABLE)


def test_set_count_overrides_the_variable(monkeypatch):
    monkeypatch.setenv(parallel.VARIABLE, "nonsense")
    workers = untold()
    workers.set_count(2)
    assert (workers.count, workers.source) == (2, "set_num_threads")
    assert workers._blas[0].count == 2


def test_set_count_wins_over_a_concurrent_default(monkeypatch):
    monkeypatch.setenv(parallel.VARIABLE, "2")
    workers = untold()
    with workers._lock:
        result = in_thread(lambda: workers.count)
        # By now the other thread is waiting for the lock, or has not reached it.
        sum(range(100_000))
        workers.set_count(3)
    assert result() == 3
    assert workers.source == "set_num_threads"


@pytest.mark.parametrize("given", ["0", "-1", "two", "", "1.5", "²"])
def test_an_invalid_thread_variable_raises_in_the_op(monkeypatch, given):
    monkeypatch.setenv(parallel.VARIABLE, given)
    monkeypatch.setattr(parallel, "each", parallel.Workers().each)
    for _ in range(2):
        with pytest.raises(ArgumentError) as caught:
            Tensor.ones(3, 3) @ Tensor.ones(3, 3)
        assert f"TINYGRAD_NP_THREADS: expected an integer >= 1, got {given!r}." in str(caught.value)


def test_importing_sets_no_thread_counts():
    program = """
        import threadpoolctl, numpy, threading

        def counts():
            return [library["num_threads"] for library in threadpoolctl.threadpool_info()]

        before = counts()
        import tinygrad_np
        from tinygrad_np.runtime import threads as parallel
        assert counts() == before and threading.active_count() == 1
        tinygrad_np.Tensor.ones(300, 300).exp() @ tinygrad_np.Tensor.ones(300, 300)
        assert counts() == [1] * len(before), counts()
        assert threading.active_count() == 1
    """
    run(program, TINYGRAD_NP_THREADS="1")


def test_surplus_threads_end(team):
    workers = team(4)
    found = idents(workers)
    threads = [thread for thread in threading.enumerate() if thread.ident in found[1:]]
    assert len(threads) == 3
    workers.set_count(1)
    for thread in threads:
        thread.join(PATIENCE)
        assert not thread.is_alive()
    workers.set_count(2)
    assert len(set(idents(workers))) == 2


def test_the_count_can_be_set_while_parts_run(team):
    workers = team(3)
    at_work, go_on = threading.Barrier(4), threading.Event()

    def part(where):
        at_work.wait(PATIENCE)
        go_on.wait(PATIENCE)
        threads.append(threading.current_thread())
        return workers._blas[0].count

    threads = []
    result = in_thread(lambda: workers.each(part, 3, MUCH, uses_blas=True))
    at_work.wait(PATIENCE)
    workers.set_count(1)
    go_on.set()
    assert result() == [1, 1, 1]
    assert workers._blas[0].count == 1
    for thread in threads:
        thread.join(PATIENCE)
        assert not thread.is_alive()
    assert idents(workers) == [threading.get_ident()]


def test_lowering_the_count_during_a_call_loses_no_part(team, monkeypatch):
    workers = team(3)
    idents(workers)
    count_helpers = workers._helpers

    def change_meanwhile(wanted):
        count = count_helpers(wanted)
        in_thread(lambda: workers.set_count(1))()
        return count

    monkeypatch.setattr(workers, "_helpers", change_meanwhile)
    result = in_thread(lambda: workers.each(lambda part: part.start, 3, MUCH))
    assert result() == [0, 1, 2]


# BLAS.


def test_blas_has_one_thread_during_a_call(team):
    workers = team(3)
    assert workers.each(lambda part: workers._blas[0].count, 3, MUCH, uses_blas=True) == [1, 1, 1]
    assert workers._blas[0].count == 7
    assert workers.each(lambda part: workers._blas[0].count, 1, MUCH, uses_blas=True) == [1]
    assert workers.each(lambda part: workers._blas[0].count, 3, MUCH) == [7, 7, 7]
    assert workers.each(lambda part: workers._blas[0].count, 3, 10, uses_blas=True) == [7]


def test_blas_has_one_thread_per_worker(team):
    library = LibraryForEachThread(7)
    workers = team(3, library)
    found = workers.each(lambda part: library.count, 3, MUCH, uses_blas=True)
    assert found == [1, 1, 1]
    assert library.count == 7


def test_blas_is_limited_after_another_thread_set_it():
    """Only the first thread can set OpenBLAS through threadpoolctl, while it lives."""
    libraries = threadpoolctl.ThreadpoolController().select(user_api="blas").lib_controllers
    before = [library.get_num_threads() for library in libraries]
    is_done = threading.Event()

    def first():
        for library in libraries:
            library.set_num_threads(3)
        is_set.set()
        is_done.wait(PATIENCE)

    is_set = threading.Event()
    result = in_thread(first)
    is_set.wait(PATIENCE)
    workers = parallel.Workers()
    try:
        workers._count = 2
        found = workers.each(
            lambda part: [library.get_num_threads() for library in libraries], 2, MUCH, True
        )
        after = [library.get_num_threads() for library in libraries]
    finally:
        is_done.set()
        result()
        for library, count in zip(workers._libraries(), before, strict=True):
            library.set_num_threads(count)
        workers._dismiss()
    assert found == [[1] * len(libraries)] * 2
    assert after == [3] * len(libraries)


def test_blas_is_restored_when_the_last_call_ends(team):
    workers = team(2)
    is_within, may_leave = threading.Event(), threading.Event()

    def part(where):
        is_within.set()
        may_leave.wait(PATIENCE)

    result = in_thread(lambda: workers.each(part, 1, MUCH, uses_blas=True))
    is_within.wait(PATIENCE)
    workers.each(lambda part: None, 5, MUCH, uses_blas=True)
    assert workers._blas[0].count == 1
    may_leave.set()
    result()
    assert workers._blas[0].count == 7


def test_blas_thread_count_set_by_other_code_is_kept(team):
    workers = team(1)
    workers.each(lambda part: workers._blas[0].set_num_threads(5), 1, MUCH, uses_blas=True)
    assert workers._blas[0].count == 5


# Errors.


def test_the_first_error_in_order_is_raised_after_all_parts(team):
    workers = team(4)
    all_at_work, last_failed = threading.Barrier(4), threading.Event()
    finished = []

    def part(where):
        all_at_work.wait(PATIENCE)
        if where.start == 3:
            last_failed.set()
            raise ValueError("part 3")
        last_failed.wait(PATIENCE)
        if where.start == 1:
            raise KeyError("part 1")
        np.sin(WORK)
        finished.append(where.start)

    with pytest.raises(KeyError, match="part 1"):
        workers.each(part, 4, MUCH, uses_blas=True)
    assert sorted(finished) == [0, 2]
    assert is_sound(workers)


def test_an_error_in_the_caller_waits_for_running_parts(team):
    workers = team(2)
    has_begun = threading.Event()
    finished = []

    def part(where):
        if where.start == 0:
            has_begun.wait(PATIENCE)
            raise ValueError("part 0")
        has_begun.set()
        np.sin(WORK)
        finished.append(where.start)

    with pytest.raises(ValueError, match="part 0"):
        workers.each(part, 2, MUCH, uses_blas=True)
    assert finished == [1]
    assert is_sound(workers)


def test_an_error_cancels_parts_that_have_not_started(team):
    workers = team(2)
    idents(workers)
    is_busy, may_go_on = threading.Event(), threading.Event()

    def keep_busy():
        is_busy.set()
        may_go_on.wait(PATIENCE)

    workers._tasks.put(parallel.Task(keep_busy, False))
    is_busy.wait(PATIENCE)
    begun = []

    def part(where):
        begun.append(where.start)
        raise ValueError(where.start)

    with pytest.raises(ValueError, match="0"):
        workers.each(part, 2, MUCH)
    may_go_on.set()
    assert is_sound(workers)
    assert begun == [0]


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="needs signals to threads")
@pytest.mark.parametrize("times", [1, 2])
def test_ctrl_c_while_waiting_is_raised_after_all_parts(team, times):
    workers = team(2)
    main = threading.get_ident()
    is_waiting = threading.Event()
    finished = []

    def part(where):
        if where.start == 0:
            is_waiting.set()
            return
        is_waiting.wait(PATIENCE)
        for _ in range(times):
            signal.pthread_kill(main, signal.SIGINT)
            np.sin(WORK)
        finished.append(where.start)

    with pytest.raises(KeyboardInterrupt):
        workers.each(part, 2, MUCH, uses_blas=True)
    assert finished == [1]
    assert is_sound(workers)


@pytest.mark.parametrize("method", ["_enter", "_leave"])
def test_ctrl_c_in_the_bookkeeping_leaves_no_state(team, monkeypatch, method):
    """The interrupt may come before or after the state has changed."""
    workers = team(2)
    for place in ("before", "after"):
        original = getattr(workers, method)
        calls = []

        def interrupted(*args, place=place, original=original, calls=calls):
            calls.append(args)
            if len(calls) > 1:
                return original(*args)
            if place == "after":
                original(*args)
            raise KeyboardInterrupt

        with monkeypatch.context() as patched:
            patched.setattr(workers, method, interrupted)
            with pytest.raises(KeyboardInterrupt):
                workers.each(lambda part: None, 2, MUCH, uses_blas=True)
        assert is_sound(workers)


def test_a_signal_handler_can_split_work(team):
    """Here it comes while BLAS is being limited, and while it is being restored."""
    workers = team(2)
    library = workers._blas[0]
    nested = []

    class Interrupting(Library):
        def set_num_threads(self, count):
            """Split work once, then set the count."""
            if not nested:
                nested.append(None)
                nested.append(workers.each(lambda part: part.start, 4, MUCH, uses_blas=True))
            self.count = count

    library.__class__ = Interrupting
    workers.each(lambda part: None, 2, MUCH, uses_blas=True)
    assert nested == [None, [0, 2]]
    assert is_sound(workers)
    nested.clear()
    library.count = 1
    workers._before = [7]
    workers._release_blas()
    assert library.count == 7
    assert is_sound(workers)


@each("failing", [(0,), (1,), (0, 1), (1, 2)])
def test_an_error_keeps_no_arrays_alive(team, failing):
    """Errors and frames form no cycle: arrays are freed without the garbage collector."""
    workers = team(3)
    all_at_work = threading.Barrier(3)
    gone = [threading.Event() for _ in range(3)]

    class Large:
        pass

    def part(where):
        large = Large()
        weakref.finalize(large, gone[where.start].set)
        all_at_work.wait(PATIENCE)
        if where.start in failing:
            raise ValueError("no")

    gc.collect()
    gc.disable()
    try:
        caught = False
        try:
            workers.each(part, 3, MUCH)
        except ValueError:
            caught = True
        assert caught
        assert all(event.wait(1) for event in gone)
    finally:
        gc.enable()


def test_an_idle_thread_keeps_no_arrays_alive(team):
    """Arrays of the last task are freed before the next one arrives."""
    workers = team(2)
    array = memory.empty((3,), np.float32)
    is_gone = threading.Event()
    watched = weakref.finalize(array, is_gone.set)
    workers.each(lambda part, array=array: array[0], 2, MUCH)
    del array
    assert is_gone.wait(PATIENCE)
    assert not watched.alive


def test_all_parts_use_the_errstate_of_the_caller(team):
    workers = team(3)
    zeros = np.zeros(3)
    with np.errstate(divide="raise"), pytest.raises(FloatingPointError):
        workers.each(lambda part: part.start and 1 / zeros[part], 3, MUCH)
    with np.errstate(divide="ignore"):
        found = workers.each(lambda part: 1 / zeros[part], 3, MUCH)
    assert np.isinf(found).all()


def test_a_warning_turned_into_an_error_is_raised(team):
    zeros = np.zeros(3)
    with warnings.catch_warnings(action="error"), pytest.raises(RuntimeWarning, match="divide by"):
        team(3).each(lambda part: part.start and 1 / zeros[part], 3, MUCH)


# User threads and processes.


def test_a_nested_call_has_the_same_partition_on_one_thread(team):
    workers = team(2)

    def inner(part):
        return part.start, threading.get_ident()

    def outer(part):
        return threading.get_ident(), workers.each(inner, 4, MUCH)

    for ident, found in workers.each(outer, 2, MUCH):
        assert found == [(0, ident), (2, ident)]


def test_a_concurrent_call_has_the_same_partition_on_one_thread(team):
    workers = team(2)
    at_work, go_on = threading.Barrier(3), threading.Event()

    def part(where):
        at_work.wait(PATIENCE)
        go_on.wait(PATIENCE)

    result = in_thread(lambda: workers.each(part, 2, MUCH))
    at_work.wait(PATIENCE)
    found = workers.each(lambda part: (part.start, threading.get_ident()), 4, MUCH)
    go_on.set()
    result()
    assert found == [(0, threading.get_ident()), (2, threading.get_ident())]


def test_concurrent_user_threads_get_the_same_results(split):
    generator = np.random.default_rng(0)
    x = generator.standard_normal((4, 3, 9, 8)).astype(np.float32)
    grad_out = generator.standard_normal((4, 5, 7, 6)).astype(np.float32)

    def work():
        w = windows((3, 3), (1, 1), (0, 0), (1, 1), (9, 8))
        return conv.conv_weight_grad(x, grad_out, w, 1).tobytes()

    expected = split(3, work)
    before = [library.get_num_threads() for library in parallel.workers._libraries()]
    start = threading.Barrier(4)

    def user():
        start.wait(PATIENCE)
        return {work() for _ in range(15)}

    results = [in_thread(user) for _ in range(4)]
    assert [result() for result in results] == [{expected}] * 4
    assert [library.get_num_threads() for library in parallel.workers._libraries()] == before


def child(check):
    """Run `check` in a forked child with a timeout; return whether it returned true."""
    process = os.fork()
    if not process:
        signal.alarm(PATIENCE)
        is_right = False
        try:
            is_right = check()
        finally:
            os._exit(0 if is_right else 1)
    return os.waitpid(process, 0)[1] == 0


@pytest.fixture
def of_process(team, monkeypatch):
    """Replace the workers of the process, which the fork handler resets, by three threads."""
    workers = team(3)
    monkeypatch.setattr(parallel.workers, "__dict__", workers.__dict__)
    return parallel.workers


@forks
@quietly
def test_a_forked_child_starts_its_own_threads(of_process):
    idents(of_process)
    assert child(lambda: not of_process._threads and is_sound(of_process))
    assert is_sound(of_process)


@forks
@quietly
def test_a_child_forked_during_a_call_restores_blas(of_process):
    at_work, go_on = threading.Barrier(4), threading.Event()

    def part(where):
        at_work.wait(PATIENCE)
        go_on.wait(PATIENCE)

    result = in_thread(lambda: of_process.each(part, 3, MUCH, uses_blas=True))
    at_work.wait(PATIENCE)
    is_right = child(lambda: of_process._blas[0].count == 7 and is_sound(of_process))
    with of_process._lock:
        is_free = child(lambda: is_sound(of_process))
    go_on.set()
    result()
    assert is_right
    assert is_free
    assert is_sound(of_process)


@forks
@quietly
def test_a_fork_does_not_search_for_libraries():
    """The search is slow, and most children never need the result."""
    workers = parallel.Workers()
    workers.forget_threads()
    assert workers._blas is None


def product_in_child(seed):
    """Return the sum of a matrix product."""
    x = np.random.default_rng(seed).standard_normal((300, 300)).astype(np.float32)
    return float(linalg.product(x, x).sum())


@forks
@quietly
def test_kernels_run_in_a_pool_of_processes():
    expected = [product_in_child(seed) for seed in range(4)]
    with multiprocessing.get_context("fork").Pool(2) as processes:
        found = processes.map_async(product_in_child, range(4)).get(PATIENCE)
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def run(program, **variables):
    """Run a program in a new Python process; return its output."""
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        env=os.environ | variables,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    ).stdout


@pytest.mark.parametrize("when", ["before", "at exit"])
def test_python_exits_while_threads_are_idle_or_busy(when):
    program = f"""
        import atexit, threading
        from tinygrad_np import Tensor
        from tinygrad_np.runtime import threads as parallel

        def work():
            x = Tensor.ones(600, 600)
            print(float((x @ x).exp().log().sum()) > 0)

        def on_and_on():
            while True:
                parallel.each(lambda part: sum(range(1000)), 9, 1e12)

        atexit.register(work)
        if {when!r} == "before":
            work()
            threading.Thread(target=on_and_on, daemon=True).start()
    """
    printed = run(program, TINYGRAD_NP_THREADS="3")
    assert printed == "True\n" * (2 if when == "before" else 1)


# Kernels: the same results with every number of threads.


def windows(kernel, stride, padding, dilation, lengths):
    """Return the windows over images of size `lengths`."""
    pads = tuple((pad, pad) for pad in padding)
    return place_windows("windows", lengths, kernel, stride, pads, dilation)


def convolution(channels, outs, lengths, kernel, stride, padding, dilation, groups):
    """Return calls of the convolution kernels, by name."""
    generator = np.random.default_rng(1)
    w = windows(kernel, stride, padding, dilation, lengths)
    x = generator.standard_normal((3, channels, *lengths)).astype(np.float32)
    weight = generator.standard_normal((outs, channels // groups, *kernel)).astype(np.float32)
    bias = generator.standard_normal(outs).astype(np.float32)
    grads = generator.standard_normal((3, outs, *w.counts)).astype(np.float32)
    return {
        "conv": lambda: conv.conv(x, weight, bias, w, groups),
        "conv_weight_grad": lambda: conv.conv_weight_grad(x, grads, w, groups),
        "conv_input_grad": lambda: conv.conv_input_grad(grads, weight, x.shape, w, groups),
        "channel_sums": lambda: conv.channel_sums(grads),
        "conv_grads": lambda: joined(conv.conv_grads(grads, x, weight, w, groups, (True,) * 3)),
        "conv_grads of two": lambda: joined(
            conv.conv_grads(grads, x, weight, w, groups, (False, True, True))
        ),
    }


def joined(grads):
    """Concatenate all gradients that are not None."""
    return np.concatenate([grad.ravel() for grad in grads if grad is not None])


def pooling(lengths, kernel, stride, padding):
    """Return calls of the pooling kernels, by name."""
    generator = np.random.default_rng(2)
    w = windows(kernel, stride, padding, (1,) * len(kernel), lengths)
    x = generator.standard_normal((3, 5, *lengths)).astype(np.float32)
    grads = generator.standard_normal((3, 5, *w.counts)).astype(np.float32)
    _, winners = pool.max_pool(x, w)
    return {
        "max_pool": lambda: np.stack(pool.max_pool(x, w)),
        "max_pool_grad": lambda: pool.max_pool_grad(grads, winners, x.shape, w),
        "max_pool_gather": lambda: pool.max_pool_gather(x, winners, w),
        "avg_pool": lambda: pool.avg_pool(x, w, False),
        "avg_pool_grad": lambda: pool.avg_pool_grad(grads, x.shape, w, False),
    }


def entrywise():
    """Return calls of the elementwise, norm and matrix product kernels, by name."""
    generator = np.random.default_rng(3)
    x = generator.standard_normal((6, 5, 4, 7)).astype(np.float32)
    row = generator.standard_normal(7).astype(np.float32)
    column = generator.standard_normal((5, 1, 1)).astype(np.float32)
    turned = x.transpose(1, 2, 3, 0)
    a = generator.standard_normal((40, 30)).astype(np.float32)
    b = generator.standard_normal((30, 50)).astype(np.float32)
    return {
        "relu": lambda: elementwise.relu(x),
        "exp": lambda: elementwise.unary(np.exp, turned),
        "add": lambda: elementwise.binary(np.add, x, x),
        "add a row": lambda: elementwise.binary(np.add, x, row),
        "add a column": lambda: elementwise.binary(np.add, column, turned.transpose(3, 0, 1, 2)),
        "add a number": lambda: elementwise.binary(np.add, turned, np.float32(2)),
        "select": lambda: elementwise.select(x, x > 0),
        "select by a column": lambda: elementwise.select(x, column > 0),
        "copy": lambda: elementwise.copy(turned),
        "linear_grads": lambda: joined(linalg.linear_grads(a @ b, a, b.T, (True,) * 3)),
        "moments": lambda: norms.moments(x),
        "batch_norm": lambda: norms.batch_norm(x, x[0, :, 0, 0], None, None, 1e-5)[0],
        "batch_norm_grads": lambda: joined(
            norms.batch_norm_grads(x, 2 * x[::-1], None, norms.moments(x), (True,) * 3)
        ),
        "wide product": lambda: linalg.product(a, b),
        "tall product": lambda: linalg.product(np.ascontiguousarray(b.T), a.T),
    }


KERNELS = {
    f"{name} {case}": call
    for case, calls in {
        "1-d": convolution(4, 6, (11,), (3,), (1,), (1,), (1,), 1),
        "2-d": convolution(4, 6, (9, 8), (3, 3), (1, 1), (1, 1), (1, 1), 1),
        "pointwise": convolution(4, 6, (9, 8), (1, 1), (1, 1), (0, 0), (1, 1), 1),
        "stride": convolution(4, 6, (9, 8), (3, 2), (2, 3), (1, 0), (1, 1), 1),
        "dilation": convolution(4, 6, (9, 8), (3, 3), (1, 2), (2, 2), (2, 2), 1),
        "three groups": convolution(6, 6, (7, 8), (3, 3), (1, 1), (1, 1), (1, 1), 3),
        "groups": convolution(4, 6, (9, 8), (3, 3), (1, 1), (1, 1), (1, 1), 2),
        "depthwise": convolution(4, 4, (9, 8), (3, 3), (1, 1), (1, 1), (1, 1), 4),
        "3-d": convolution(4, 6, (5, 6, 7), (2, 3, 2), (1, 2, 1), (0, 1, 1), (1, 1, 2), 1),
        "pool": pooling((8, 10), (2, 2), (2, 2), (0, 0)),
        "overlapping pool": pooling((9, 8), (3, 3), (2, 2), (1, 1)),
        "pool in 1-d": pooling((9,), (2,), (2,), (0,)),
        "": entrywise(),
    }.items()
    for name, call in calls.items()
}


@each("name", KERNELS)
def test_kernels_give_the_same_results_with_every_thread_count(split, name):
    call = KERNELS[name]
    expected = split(1, call)
    split.most_parts = 0
    for count in (2, 3):
        found = split(count, call)
        assert found.dtype == expected.dtype
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
        assert split(count, call).tobytes() == found.tobytes()
    assert split.most_parts > 1


def trained(dtype=np.float32, steps=4):
    """Return the weights after `steps` training steps."""
    generator = np.random.default_rng(0)
    images = Tensor(generator.standard_normal((16, 1, 28, 28)).astype(dtype))
    labels = generator.integers(0, 10, 16)
    model = MnistCNN(generator).astype(dtype)
    optimizer = optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    for _ in range(steps):
        optimizer.zero_grad()
        model(images).cross_entropy(labels).backward()
        optimizer.step()
    return [parameter.numpy().copy() for parameter in model.parameters()]


def test_training_is_reproducible_bit_for_bit(split):
    for count in (1, 2, 3):
        found, again = split(count, trained), split(count, trained)
        assert [a.tobytes() for a in found] == [b.tobytes() for b in again]


def test_training_is_the_same_with_every_thread_count(split):
    """In float32, rounding may decide which entry of a pooling window is the largest."""
    expected = split(1, lambda: trained(np.float64))
    for count in (2, 3):
        for a, b in zip(split(count, lambda: trained(np.float64)), expected, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)
