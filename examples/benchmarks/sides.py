"""What is measured on each side, and the sides there are."""

import importlib
from collections.abc import Iterable, Iterator
from typing import Protocol

from benchmarks.timing import Step
from tinygrad_np.runtime.memory import Array

OURS, PYTORCH = "tinygrad_np", "PyTorch"
BY_LOOPS, BY_INDICES = "im2col by loops", "im2col by indices"
_MODULES = {OURS: "benchmarks.ours", PYTORCH: "benchmarks.pytorch"}


class Classifier(Protocol):
    """A network with Adam, for the epochs on MNIST."""

    def fit(self, batches: Iterable[tuple[Array, Array]], rates: Iterator[float]) -> float:
        """Train on batches of images and labels; return the mean loss on the way."""

    def predict(self, images: Array) -> Array:
        """Return the predicted classes."""


class Side(Protocol):
    """The functions that the module of a side has."""

    def use_threads(self, count: int) -> None:
        """Compute with so many threads."""

    def training_step(self, model: str, images: Array, labels: Array) -> Step:
        """Return forward, cross-entropy, backward and a step of SGD (lr 0.01, momentum 0.9)."""

    def evaluation(self, model: str, images: Array) -> Step:
        """Return the forward in evaluation mode, without gradients."""

    def stack_step(self, depth: int, images: Array) -> Step:
        """Return forward and backward of `depth` times a 3x3 convolution, 32 to 32, and relu."""

    def chain(self, start: Array, factor: Array) -> Step:
        """Return 500 multiplications and 500 additions, and their backward."""

    def classifier(self, model: str) -> Classifier:
        """Return the named model, to be trained by Adam."""


def side(name: str) -> Side:
    """Return a side by its name; raises ImportError where its framework is not installed."""
    found: Side = importlib.import_module(_MODULES[name])
    return found
