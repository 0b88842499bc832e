"""Shared helpers of these tests: a few digits, small models, a trainer and its callbacks."""

import contextlib
import functools
import signal

import numpy as np
import pytest

from tests.tools import rng
from tinygrad_np import data, nn, optim, train
from tinygrad_np.data import DataLoader

STEPS = 4  # per epoch: 256 digits in batches of 64


@functools.cache
def sets():
    """Return 256 training and 100 test digits."""
    train_set, test_set = data.digits()
    return train_set.first(256), test_set.first(100)


def loader():
    """Return the training batches, shuffled the same way each time."""
    return DataLoader(sets()[0], 64, shuffle=True, seed=5)


def validation():
    """Return the validation batches; the last one is smaller."""
    return DataLoader(sets()[1], 64)


def linear(seed=0):
    """Return a model with one layer."""
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 10, generator=rng(seed)))


def with_dropout():
    """Return a network that draws random numbers during training."""
    generator = rng(2)
    layers = [nn.Flatten(), nn.Linear(64, 16, generator=generator), nn.ReLU()]
    last = [nn.Dropout(0.3, generator=generator), nn.Linear(16, 10, generator=generator)]
    return nn.Sequential(*layers, *last)


def trainer_of(*callbacks, lr=0.1, model=None, **options):
    """Return a trainer with SGD."""
    model = model or linear()
    optimizer = optim.SGD(model.named_parameters(), lr=lr, momentum=0.9)
    return train.Trainer(model, optimizer, callbacks=callbacks, **options)


def squares(outputs, targets):
    """Return the mean squared error."""
    return ((outputs - targets) ** 2).mean()


def _passing(point):
    def note(self, state):
        self.points.append(point)
        if point == self.point and self.step in (None, state.step):
            self.found.append(self.function(state))

    return note


class Do(train.Callback):
    """Call a function at one hook, at every step or a given one, and keep its results.

    Records all hooks that were called in `points`.
    """

    def __init__(self, point="", function=lambda state: None, step=None):
        self.point, self.function, self.step = point, function, step
        self.points, self.found = [], []

    on_fit_start, on_epoch_start = _passing("fit_start"), _passing("epoch_start")
    on_batch_end = _passing("batch_end")
    on_epoch_end, on_fit_end = _passing("epoch_end"), _passing("fit_end")


class Scripted(train.Callback):
    """Sets a log to given values and keeps the weights of each epoch."""

    turn = -1  # before the callbacks that read it

    def __init__(self, values, name="validation_loss"):
        self.values, self.name, self.weights = values, name, [None]

    def on_epoch_end(self, state):
        """Set the log of this epoch."""
        state.logs[self.name] = self.values[state.epoch - 1]
        self.weights.append(state.model.state_dict())


def ctrl_c(state=None):
    """Send SIGINT, as Ctrl-C does."""
    signal.raise_signal(signal.SIGINT)


def fail(state):
    """Raise an error from outside the package."""
    raise RuntimeError("the test's own")


def fit_to(end, trainer, *arguments):
    """Fit a trainer that `end` (`ctrl_c` or `fail`) cuts short."""
    own = pytest.raises(RuntimeError, match="own") if end is fail else contextlib.nullcontext()
    with own:
        trainer.fit(*arguments)
    assert trainer.history.interrupted == (end is ctrl_c)


def interrupt(state):
    """Raise KeyboardInterrupt."""
    raise KeyboardInterrupt


def draw(seed, rows=200, classes=6):
    """Return labels, and logits that often favor them."""
    generator = rng(seed)
    labels = generator.integers(0, classes, rows)
    return generator.standard_normal((rows, classes)) + np.eye(classes)[labels], labels
