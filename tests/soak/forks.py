"""Processes: forked after threads were used, while a kernel runs, and started by any method."""

import multiprocessing
import os
import signal
import threading
import traceback
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from tests.soak.rows import Attempt, on_posix, row
from tests.soak.threads import _batch, _equal, _train
from tinygrad_np import Tensor, get_num_threads, no_grad, random, set_num_threads

_SEED, _STEPS = 5, 2


def _big_work() -> np.ndarray:
    """Return the gradient of a graph whose kernels are split among threads."""
    images, _ = _batch(1, 128)
    x = Tensor(images, requires_grad=True)
    weight = Tensor(np.random.default_rng(0).standard_normal((16, 1, 3, 3)).astype(np.float32))
    x.conv2d(weight).relu().flatten().log_softmax(-1).mean().backward()
    assert x.grad is not None
    return x.grad.numpy().copy()


def in_fork(function: Callable[[], None], seconds: int = 60) -> None:
    """Call a function in a forked child, and check that it succeeds in time."""
    with warnings.catch_warnings():
        # Python warns about forks with threads, which is what these tests are about.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        status = 1
        try:
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.alarm(seconds)
            function()
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    _, status = os.waitpid(child, 0)
    status = os.waitstatus_to_exitcode(status)
    assert status != -signal.SIGALRM, f"the child was still running after {seconds} s"
    assert status == 0, f"the child ended with status {status}"


def _check_child(expected: np.ndarray, trained: list[np.ndarray], threads: int) -> None:
    assert get_num_threads() == threads, f"{get_num_threads()} threads in the child"
    assert _equal([_big_work()], [expected]), "different gradient in the child"
    assert _equal(_train(_SEED, _STEPS), trained), "different weights in the child"
    set_num_threads(3)
    assert _equal(_train(_SEED, _STEPS), trained), "different weights with 3 threads"


@row(
    "forks after threads were used, from a thread, and from a fork",
    full=60,
    short=3,
    catches="a child that waits for threads it does not have, a lock that was held at the fork",
    why_not=on_posix,
)
def after_threads(attempt: Attempt) -> None:
    before = get_num_threads()
    threads = int(attempt.rng.integers(1, 5))
    set_num_threads(threads)
    try:
        expected, trained = _big_work(), _train(_SEED, _STEPS)
        check = lambda: _check_child(expected, trained, threads)  # noqa: E731
        kind = attempt.index % 3
        if kind == 0:
            in_fork(check)
        elif kind == 1:
            errors: list[BaseException] = []

            def run() -> None:
                try:
                    in_fork(check)
                except BaseException as error:
                    errors.append(error)

            thread = threading.Thread(target=run)
            thread.start()
            thread.join()
            if errors:
                raise errors[0]
        else:
            in_fork(lambda: in_fork(check))
        # The parent still works, with its threads.
        assert _equal([_big_work()], [expected]), "different gradient in the parent"
    finally:
        set_num_threads(before)


@row(
    "forks while another thread is in a kernel",
    full=100,
    short=3,
    catches="locks held by a thread that the child lacks: a deadlock",
    why_not=on_posix,
)
def during_kernels(attempt: Attempt) -> None:
    before = get_num_threads()
    set_num_threads(int(attempt.rng.integers(1, 4)))
    expected = _big_work()
    stop, errors = threading.Event(), []

    def work() -> None:
        try:
            while not stop.is_set():
                assert _equal([_big_work()], [expected]), "different gradient in the thread"
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        for _ in range(int(attempt.rng.integers(1, 4))):
            in_fork(lambda: _check_same(expected))
    finally:
        stop.set()
        thread.join()
        set_num_threads(before)
    if errors:
        raise errors[0]


def _check_same(expected: np.ndarray) -> None:
    assert _equal([_big_work()], [expected]), "different gradient in the child"


def _answer(seed: int) -> tuple[bytes, list[bytes], bool]:
    """Return results of a worker process, and whether it records."""
    x = Tensor([1.0], requires_grad=True)
    trained = [array.tobytes() for array in _train(seed, _STEPS)]
    return _big_work().tobytes(), trained, (x * x).requires_grad


@row(
    "multiprocessing: fork, spawn and forkserver",
    full=12,
    short=1,
    catches="results that depend on the start method, a worker that hangs at exit, a mode or hook "
    "inherited by a spawned process",
    why_not=on_posix,
)
def multiprocess(attempt: Attempt) -> None:
    expected = (_big_work().tobytes(), [a.tobytes() for a in _train(_SEED, _STEPS)], True)
    method = ("fork", "forkserver", "spawn")[attempt.index % 3]
    context: Any = multiprocessing.get_context(method)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        with context.Pool(2) as pool:
            found = pool.map(_answer, [_SEED] * 4)
            pool.close()
            pool.join()
    assert all(one == expected for one in found), f"different result with {method}"


@row(
    "forks: random numbers and recording",
    full=10,
    short=2,
    catches="a child whose generator differs from the parent's state, a mode lost by the fork",
    why_not=on_posix,
)
def state(attempt: Attempt) -> None:
    random.manual_seed(attempt.index)
    Tensor.randn(3)
    saved = random.state()
    expected = Tensor.randn(5).tolist()
    random.restore(saved)

    def check() -> None:
        assert Tensor.randn(5).tolist() == expected, "different random numbers in the child"
        x = Tensor([1.0], requires_grad=True)
        assert not (x * x).requires_grad, "recording inside no_grad() in the child"

    with no_grad():
        in_fork(check)
    assert Tensor.randn(5).tolist() == expected, "the child advanced the parent's generator"
