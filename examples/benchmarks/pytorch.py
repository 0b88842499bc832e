"""The measured steps in eager PyTorch, written as in its tutorials."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import torch

from benchmarks import workloads
from benchmarks.timing import Step
from tinygrad_np.runtime.memory import Array

nn, functional = torch.nn, torch.nn.functional


def use_threads(count: int) -> None:
    """Set the number of threads."""
    torch.set_num_threads(count)


def _two_conv(first: int, second: int, hidden: int) -> Any:
    """Return MnistCNN with the given widths."""
    return nn.Sequential(
        nn.Conv2d(1, first, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(first, second, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(second * 7 * 7, hidden),
        nn.ReLU(),
        nn.Dropout(0.25),
        nn.Linear(hidden, 10),
    )


def _lenet() -> Any:
    return nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2),
        nn.BatchNorm2d(6),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(6, 16, 5),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(400, 120),
        nn.ReLU(),
        nn.Linear(120, 84),
        nn.ReLU(),
        nn.Linear(84, 10),
    )


def _digits_cnn() -> Any:
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(128, 10)
    )


_MODELS: dict[str, Callable[[], Any]] = {
    "MnistCNN": lambda: _two_conv(32, 64, 128),
    "MnistCNNLight": lambda: _two_conv(8, 16, 32),
    "LeNet": _lenet,
    "DigitsCNN": _digits_cnn,
}


def network(model: str, seed: int = 0) -> Any:
    """Return the named model with weights drawn from `seed`, and layers in our order."""
    torch.manual_seed(seed)
    return _MODELS[model]()


def training_step(model: str, images: Array, labels: Array) -> Step:
    """Return a function that runs one training step of SGD with momentum."""
    net = network(model)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9)
    batch, target = torch.tensor(images), torch.tensor(labels)

    def step() -> None:
        optimizer.zero_grad()
        functional.cross_entropy(net(batch), target).backward()
        optimizer.step()

    return step


def evaluation(model: str, images: Array) -> Step:
    """Return a function that runs the forward pass in evaluation mode."""
    net = network(model).eval()
    batch = torch.tensor(images)

    def step() -> None:
        with torch.no_grad():
            net(batch)

    return step


def stack_step(depth: int, images: Array) -> Step:
    """Return a function that runs a stack of `depth` convolutions forward and backward."""
    torch.manual_seed(0)
    layers: list[Any] = []
    for _ in range(depth):
        layers += [nn.Conv2d(32, 32, 3, padding=1), nn.ReLU()]
    net = nn.Sequential(*layers)
    batch = torch.tensor(images)

    def step() -> None:
        net.zero_grad()
        net(batch).mean().backward()

    return step


def workload(name: str, **sizes: int) -> Step:
    """Return a function that runs a training step of the named workload."""
    return workloads.training_step(torch, name, **sizes)


def chain(start: Array, factor: Array) -> Step:
    """Return a function that runs 500 multiplications and 500 additions, forward and backward."""
    leaf, constant = torch.tensor(start, requires_grad=True), torch.tensor(factor)

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
        self.optimizer = torch.optim.Adam(self.net.parameters())

    def fit(self, batches: Iterable[tuple[Array, Array]], rates: Iterator[float]) -> float:
        """Train on the batches with one learning rate each; return the mean loss."""
        self.net.train()
        losses = []
        for images, labels in batches:
            self.optimizer.param_groups[0]["lr"] = next(rates)
            self.optimizer.zero_grad()
            loss = functional.cross_entropy(
                self.net(torch.from_numpy(images)), torch.from_numpy(labels)
            )
            loss.backward()
            self.optimizer.step()
            losses.append(loss.item())
        return float(np.mean(losses))

    def predict(self, images: Array) -> Array:
        """Return the predicted classes."""
        self.net.eval()
        with torch.no_grad():
            classes: Array = self.net(torch.from_numpy(images)).numpy().argmax(axis=1)
        return classes


def classifier(model: str) -> Classifier:
    """Return a classifier of the named model."""
    return Classifier(model)
