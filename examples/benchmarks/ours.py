"""The measured steps in tinygrad_np."""

from collections.abc import Iterable, Iterator

import numpy as np

import models
import tinygrad_np
from benchmarks import workloads
from benchmarks.timing import Step
from tinygrad_np import Tensor, nn, no_grad, optim
from tinygrad_np.runtime.memory import Array


def use_threads(count: int) -> None:
    """Set the number of threads."""
    tinygrad_np.set_num_threads(count)


def network(model: str) -> nn.Module:
    """Return the named model, always with the same weights."""
    built: nn.Module = getattr(models, model)(np.random.default_rng(0))
    return built


def training_step(model: str, images: Array, labels: Array) -> Step:
    """Return a function that runs one training step of SGD with momentum."""
    net = network(model)
    optimizer = optim.SGD(net.parameters(), lr=0.01, momentum=0.9)
    batch = Tensor(images)

    def step() -> None:
        optimizer.zero_grad()
        net(batch).cross_entropy(labels).backward()
        optimizer.step()

    return step


def evaluation(model: str, images: Array) -> Step:
    """Return a function that runs the forward pass in evaluation mode."""
    net = network(model).eval()
    batch = Tensor(images)

    def step() -> None:
        with no_grad():
            net(batch)

    return step


def stack_step(depth: int, images: Array) -> Step:
    """Return a function that runs a stack of `depth` convolutions forward and backward."""
    generator = np.random.default_rng(0)
    layers: list[nn.Module] = []
    for _ in range(depth):
        layers += [nn.Conv2d(32, 32, 3, padding=1, generator=generator), nn.ReLU()]
    net = nn.Sequential(*layers)
    batch = Tensor(images)

    def step() -> None:
        net.zero_grad()
        net(batch).mean().backward()

    return step


def workload(name: str, **sizes: int) -> Step:
    """Return a function that runs a training step of the named workload."""
    return workloads.training_step(tinygrad_np, name, **sizes)


def chain(start: Array, factor: Array) -> Step:
    """Return a function that runs 500 multiplications and 500 additions, forward and backward."""
    leaf, constant = Tensor(start, requires_grad=True), Tensor(factor)

    def step() -> None:
        y = leaf
        for _ in range(500):
            y = y * constant
            y = y + constant
        y.sum().backward()

    return step


class Classifier:
    """A model trained with Adam."""

    def __init__(self, model: str) -> None:
        self.net = network(model)
        self.optimizer = optim.Adam(self.net.parameters())

    def fit(self, batches: Iterable[tuple[Array, Array]], rates: Iterator[float]) -> float:
        """Train on the batches with one learning rate each; return the mean loss."""
        self.net.train()
        losses = []
        for images, labels in batches:
            self.optimizer.param_groups[0]["lr"] = next(rates)
            self.optimizer.zero_grad()
            loss = self.net(images).cross_entropy(labels)
            loss.backward()
            self.optimizer.step()
            losses.append(loss.item())
        return float(np.mean(losses))

    @no_grad()
    def predict(self, images: Array) -> Array:
        """Return the predicted classes."""
        self.net.eval()
        classes: Array = self.net(images).data.argmax(axis=1)
        return classes


def classifier(model: str) -> Classifier:
    """Return a classifier of the named model."""
    return Classifier(model)
