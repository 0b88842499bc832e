"""The PyTorch learners of the courses."""

from typing import Any

import torch

from benchmarks.pytorch import network
from headlines.courses import Course, Learner
from tinygrad_np.runtime.memory import Array

nn, functional = torch.nn, torch.nn.functional


def theirs(course: Course, seed: int, threads: int) -> Learner:
    """Build the PyTorch learner, with layers, He initialization and zero biases like ours."""
    torch.set_num_threads(threads)
    net = network(course.model, seed)
    norms: list[Any] = []
    others: list[Any] = []
    for layer in net:
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(layer.weight)
            nn.init.zeros_(layer.bias)
        (norms if isinstance(layer, nn.BatchNorm2d) else others).extend(layer.parameters())
    groups: list[dict[str, Any]] = [{"params": others}]
    if norms:
        groups.append({"params": norms, "momentum": 0.0 if course.plain_norms else course.momentum})
    optimizer = torch.optim.SGD(groups, lr=course.lr, momentum=course.momentum)

    def step(images: Array, labels: Array) -> None:
        net.train()
        optimizer.zero_grad()
        loss = functional.cross_entropy(net(torch.from_numpy(images)), torch.from_numpy(labels))
        loss.backward()
        optimizer.step()

    def predict(images: Array) -> Array:
        net.eval()
        with torch.no_grad():
            classes: Array = net(torch.from_numpy(images)).numpy().argmax(axis=1)
        return classes

    return Learner(net, step, predict)
