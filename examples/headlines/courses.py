"""The same training with several seeds here and in PyTorch, step by step alike but for chance."""

import math
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, islice
from typing import Any

import numpy as np

import models
from tinygrad_np import data, nn, optim, train
from tinygrad_np.data import DataLoader, Dataset
from tinygrad_np.memory import Array


@dataclass(frozen=True)
class Course:
    """A training of so many steps of SGD, tested after each `every`, by so many seeds.

    With `plain_norms` the weights and biases of norms have no momentum.
    """

    name: str
    title: str
    model: str
    data: str
    lr: float
    momentum: float
    plain_norms: bool
    steps: int
    every: int
    seeds: int
    headline: tuple[float, ...]

    def sets(self, data_dir: str | None = None) -> tuple[Dataset, Dataset]:
        """Return the training and test set, their pixels scaled to 0..1."""
        if self.data == "digits":
            return data.digits()
        train_set, test_set = data.fashion_mnist(data_dir)
        return replace(train_set, mean=0.0, std=1.0), replace(test_set, mean=0.0, std=1.0)


COURSES = [
    Course(
        name="lenet",
        title="C: LeNet by hand, Fashion-MNIST, 5000 steps",
        model="LeNet",
        data="fashion-mnist",
        lr=0.0005,
        momentum=0.9,
        plain_norms=True,
        steps=5000,
        every=1000,
        seeds=5,
        headline=(0.8016, 0.8264, 0.8462, 0.8534, 0.8612),
    ),
    Course(
        name="digits",
        title="D: DigitsCNN, 8x8 digits, 10 epochs",
        model="DigitsCNN",
        data="digits",
        lr=0.1,
        momentum=0.0,
        plain_norms=False,
        steps=230,
        every=230,
        seeds=30,
        headline=(0.925,),
    ),
]


@dataclass(frozen=True)
class Result:
    """Accuracies on the test set after each `every` steps, and the median time of a step."""

    accuracies: list[float]
    step_seconds: float


_WAYS = 10_000

# Trains on batches of images and labels; tells the seconds of a step.
Learner = tuple[Callable[[Array, Array], None], Callable[[Array], Array]]


def learn(course: Course, learner: Learner, sets: tuple[Dataset, Dataset], seed: int) -> Result:
    """Train and test a learner, ours or PyTorch's: batches of 64, shuffled by the seed."""
    step, predict = learner
    train_set, test_set = sets
    loader = DataLoader(train_set, 64, shuffle=True, seed=seed)
    accuracies, seconds = [], []
    for number, (images, labels) in enumerate(islice(_forever(loader), course.steps), 1):
        start = time.perf_counter()
        step(images, labels)
        seconds.append(time.perf_counter() - start)
        if number % course.every == 0:
            right = [predict(some) == truth for some, truth in DataLoader(test_set, batch_size=500)]
            accuracies.append(float(np.concatenate(right).mean()))
    return Result(accuracies, statistics.median(seconds))


def _forever(loader: DataLoader) -> Iterator[tuple[Array, Array]]:
    while True:
        yield from loader


def ours(course: Course, seed: int) -> Learner:
    """Return the learner of this project."""
    model: nn.Module = getattr(models, course.model)(np.random.default_rng(seed))
    norms = [
        weight
        for module in model.modules()
        if isinstance(module, nn.BatchNorm2d)
        for weight in module.parameters()
    ]
    others = [one for one in model.parameters() if not any(one is norm for norm in norms)]
    momentum = 0.0 if course.plain_norms else course.momentum
    groups: list[dict[str, Any]] = [{"params": others}]
    if norms:
        groups.append({"params": norms, "momentum": momentum})
    optimizer = optim.SGD(groups, lr=course.lr, momentum=course.momentum)

    def step(images: Array, labels: Array) -> None:
        model.train()
        optimizer.zero_grad()
        model(images).cross_entropy(labels).backward()
        optimizer.step()

    def predict(images: Array) -> Array:
        classes: Array = train.predict(model, [(images, None)]).argmax(axis=1)
        return classes

    return step, predict


def difference(first: Sequence[float], second: Sequence[float]) -> tuple[float, float]:
    """Return the difference of two means, and how likely one as large is by chance alone.

    By Fisher's permutation test, two-sided: the part of all ways to deal the figures into two
    groups whose means are as far apart; of 10 000 ways at random where there are more.
    """
    both = np.array([*first, *second])
    count, total = len(first), both.sum()
    gap = statistics.mean(first) - statistics.mean(second)
    if math.comb(len(both), count) <= _WAYS:
        ways = [list(chosen) for chosen in combinations(range(len(both)), count)]
    else:
        generator = np.random.default_rng(0)
        ways = [list(generator.permutation(len(both))[:count]) for _ in range(_WAYS)]
    parts = both[np.array(ways)].sum(axis=1)
    gaps = np.abs(parts / count - (total - parts) / (len(both) - count))
    return gap, float(np.mean(gaps >= abs(gap) - 1e-12))
