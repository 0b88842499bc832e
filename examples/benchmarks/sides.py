"""The sides of the comparison, and the functions that each side implements."""

import importlib
from collections.abc import Iterable, Iterator
from typing import Protocol

from benchmarks.timing import Step
from tinygrad_np.runtime.memory import Array

OURS, PYTORCH = "tinygrad_np", "PyTorch"
BY_LOOPS, BY_INDICES = "im2col by loops", "im2col by indices"
_MODULES = {OURS: "benchmarks.ours", PYTORCH: "benchmarks.pytorch"}


class Classifier(Protocol):
    """A model trained with Adam, for `--epochs-on-mnist`."""

    def fit(self, batches: Iterable[tuple[Array, Array]], rates: Iterator[float]) -> float:
        """Train on the batches with one learning rate each; return the mean loss."""

    def predict(self, images: Array) -> Array:
        """Return the predicted classes."""


class Side(Protocol):
    """The functions that a side's module defines."""

    def use_threads(self, count: int) -> None:
        """Set the number of threads."""

    def training_step(self, model: str, images: Array, labels: Array) -> Step:
        """Return a function that runs one training step.

        The step is forward, cross-entropy, backward and SGD (lr 0.01, momentum 0.9).
        """

    def evaluation(self, model: str, images: Array) -> Step:
        """Return a function that runs the forward pass in evaluation mode, without gradients."""

    def stack_step(self, depth: int, images: Array) -> Step:
        """Return a function that runs a stack of convolutions forward and backward.

        The stack repeats a 3x3 convolution with 32 channels and a relu `depth` times.
        """

    def workload(self, name: str, **sizes: int) -> Step:
        """Return a function that runs a training step of the named entry of `WORKLOADS`."""

    def chain(self, start: Array, factor: Array) -> Step:
        """Return a function for 500 multiplications and 500 additions, forward and backward."""

    def classifier(self, model: str) -> Classifier:
        """Return a classifier of the named model."""


def side(name: str) -> Side:
    """Return the module of a side.

    Raises:
        ImportError: if its framework is not installed.
    """
    found: Side = importlib.import_module(_MODULES[name])
    return found
