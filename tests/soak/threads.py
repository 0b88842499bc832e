"""Threads: a model that trains while others predict, and modes that belong to one thread."""

import contextlib
import sys
import threading
from collections.abc import Callable

import numpy as np

from tests.soak.rows import Attempt, row
from tinygrad_np import Tensor, enable_grad, get_num_threads, nn, no_grad, optim, set_num_threads

PREDICTING = 8

_PIXELS = 24
"""Side of the images: large enough for kernels that split their work among threads."""


def _model(seed: int) -> nn.Sequential:
    rng = np.random.default_rng(seed)
    side = (_PIXELS - 2) // 2
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, generator=rng),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(8 * side * side, 10, generator=rng),
    )


def _batch(seed: int, count: int = 64) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    images = rng.standard_normal((count, 1, _PIXELS, _PIXELS)).astype(np.float32)
    return images, rng.integers(0, 10, count)


def _train(seed: int, steps: int) -> list[np.ndarray]:
    """Train a new model; return its weights, buffers and the last gradients."""
    model = _model(seed)
    optimizer = optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    for step in range(steps):
        images, labels = _batch(seed + step)
        optimizer.zero_grad()
        model(Tensor(images)).cross_entropy(labels).backward()
        optimizer.step()
    found = list(model.state_dict().values())
    return found + [one.grad.numpy().copy() for one in model.parameters() if one.grad is not None]


def together(functions: list[Callable[[], None]]) -> None:
    """Run functions in threads that start at the same moment; raise the first error."""
    barrier, errors = threading.Barrier(len(functions)), []

    def run(function: Callable[[], None]) -> None:
        barrier.wait()
        try:
            function()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(one,)) for one in functions]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)  # switch often, so that the threads interleave
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    if errors:
        raise errors[0]


def _equal(found: list[np.ndarray], expected: list[np.ndarray]) -> bool:
    return all(a.tobytes() == b.tobytes() for a, b in zip(found, expected, strict=True))


@row(
    f"threads: {PREDICTING} predicting, one training, bit for bit as alone",
    full=40,
    short=1,
    catches="a buffer lent twice, a mode or a scratch array shared between threads, a deadlock",
)
def predict_and_train(attempt: Attempt) -> None:
    seed, steps = int(attempt.rng.integers(1000)), 3 if attempt.is_short else 12
    count = get_num_threads()
    set_num_threads(int(attempt.rng.integers(1, 5)))
    try:
        shared = _model(seed).eval()
        batches = [_batch(100 + number)[0] for number in range(PREDICTING)]
        with no_grad():
            expected = [shared(Tensor(images)).numpy().copy() for images in batches]
        alone = _train(seed, steps)
        results: list[list[np.ndarray]] = []

        def predict(number: int) -> None:
            with no_grad():
                for _ in range(steps):
                    outputs = shared(Tensor(batches[number]))
                    assert not outputs.requires_grad, "a graph inside no_grad()"
                    assert _equal([outputs.numpy()], [expected[number]]), "different prediction"

        jobs = [lambda number=number: predict(number) for number in range(PREDICTING)]
        together([*jobs, lambda: results.append(_train(seed, steps))])
        assert _equal(results[0], alone), "different result of training"
    finally:
        set_num_threads(count)


@row(
    "threads: gradients of one shared graph, and four models trained at once",
    full=40,
    short=1,
    catches="gradients that mix between threads",
)
def many_models(attempt: Attempt) -> None:
    steps = 2 if attempt.is_short else 8
    seeds = [int(seed) for seed in attempt.rng.integers(0, 1000, 4)]
    alone = {seed: _train(seed, steps) for seed in set(seeds)}
    found: list[tuple[int, list[np.ndarray]]] = []
    x = Tensor(attempt.rng.standard_normal((200, 60)), requires_grad=True)
    y = (x.tanh() @ x.T).softmax(-1).log().sum()
    (expected,) = y.gradient(x)

    def differentiate() -> None:
        for _ in range(steps):
            (grad,) = y.gradient(x)
            assert _equal([grad.numpy()], [expected.numpy()]), "another gradient"

    jobs = [lambda seed=seed: found.append((seed, _train(seed, steps))) for seed in seeds]
    together([*jobs, differentiate, differentiate])
    assert all(_equal(result, alone[seed]) for seed, result in found), "another result"


@row(
    "threads: recording modes belong to the thread",
    full=40,
    short=4,
    catches="no_grad() that leaks into another thread, a mode that is not restored after an error",
)
def modes(attempt: Attempt) -> None:
    count = 6
    gate = threading.Barrier(count)  # all threads are inside their modes when one looks

    def toggle(seed: int) -> None:
        rng = np.random.default_rng(seed)
        x = Tensor([1.0, 2.0], requires_grad=True)
        try:
            for number in range(20):
                flags = [bool(flag) for flag in rng.random(1 + number % 4) < 0.5]
                _nest(flags, x, gate, fails=bool(rng.random() < 0.3))
                gate.wait()
                assert (x * x).requires_grad, "recording is still off"
        except BaseException:
            gate.abort()
            raise

    seeds = [int(seed) for seed in attempt.rng.integers(0, 1000, count)]
    together([lambda seed=seed: toggle(seed) for seed in seeds])


def _nest(flags: list[bool], x: Tensor, gate: threading.Barrier, fails: bool) -> None:
    """Enter a mode per flag, check the innermost, and leave them, perhaps by an error."""
    try:
        with contextlib.ExitStack() as stack:
            for flag in flags:
                stack.enter_context(enable_grad() if flag else no_grad())
            gate.wait()
            assert (x * x).requires_grad == flags[-1], "another thread's mode"
            gate.wait()
            if fails:
                raise KeyError("leave by an error")
    except KeyError:
        pass
