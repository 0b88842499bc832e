"""Memory over thousands of steps: no growth, and no graph left to the garbage collector."""

import gc
import os
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

from tests.soak.rows import MEGABYTE, Attempt, on_linux, row
from tinygrad_np import Tensor, checkpoint, nn, no_grad, optim
from tinygrad_np.autograd.tape import Node
from tinygrad_np.errors import TinygradNpError

STEPS = 3000

_ALLOWED = 2 * MEGABYTE
"""Largest growth in the last third of the steps; a leak of one batch per step is 30 times that."""


def _model() -> nn.Sequential:
    rng = np.random.default_rng(0)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, generator=rng),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Dropout(0.2, generator=rng),
        nn.Linear(36, 10, generator=rng),
    )


class Training:
    """A small model, its optimizer, and several kinds of steps."""

    def __init__(self) -> None:
        rng = np.random.default_rng(1)
        self.model = _model()
        self.optimizer = optim.Adam(self.model.parameters(), lr=0.01)
        self.inputs = rng.standard_normal((16, 1, 8, 8)).astype(np.float32)
        self.labels = rng.integers(0, 10, 16)

    def loss(self) -> Tensor:
        return self.model(Tensor(self.inputs)).cross_entropy(self.labels)

    def step(self) -> None:
        self.optimizer.zero_grad()
        self.loss().backward()
        self.optimizer.step()

    def penalized_step(self) -> None:
        """A step with the norm of the gradient in the loss, which needs second derivatives."""
        self.optimizer.zero_grad()
        loss = self.loss()
        grads = loss.gradient(*self.model.parameters(), create_graph=True)
        penalty = grads[0].square().sum()
        for grad in grads[1:]:
            penalty = penalty + grad.square().sum()
        (loss + penalty * 0.01).backward()
        self.optimizer.step()

    def graph_kept_in_grads(self) -> None:
        """`.grad` has a graph, which refers to the weights; zero_grad must free it."""
        self.optimizer.zero_grad()
        self.loss().backward(create_graph=True)
        self.optimizer.step()
        self.optimizer.zero_grad()

    def failing_forward(self) -> None:
        try:
            hidden = self.model(Tensor(self.inputs))
            hidden.matmul(Tensor(np.ones((3, 3), np.float32)))
        except TinygradNpError:
            return
        raise AssertionError("no error for shapes that do not match")

    def failing_backward(self) -> None:
        def fail(grad: Tensor) -> None:
            raise ValueError("the hook's own")

        loss = self.loss()
        loss.register_hook(fail)
        try:
            loss.backward()
        except ValueError:
            return
        raise AssertionError("the error of a hook was lost")

    def hooks(self) -> None:
        hidden = self.model(Tensor(self.inputs))
        hidden.retain_grad()
        handle = hidden.register_hook(lambda grad: grad * 2)
        hidden.cross_entropy(self.labels).backward()
        handle.remove()
        self.optimizer.zero_grad()

    def prediction(self) -> None:
        with no_grad():
            self.model(Tensor(self.inputs))

    def abandoned(self) -> None:
        """A graph without a backward pass."""
        self.loss()

    def checkpointed(self) -> None:
        layer = self.model[6]
        x = Tensor(np.ones((4, 36), np.float32), requires_grad=True)
        checkpoint(layer, x).sum().backward()
        self.optimizer.zero_grad()

    def recurrent(self) -> None:
        """A state that is carried from step to step and detached."""
        before = getattr(self, "_carried", Tensor(np.zeros((4, 4), np.float32)))
        weight = Tensor(np.eye(4, dtype=np.float32), requires_grad=True)
        after = (before.detach() @ weight).tanh()
        after.sum().backward()
        self._carried = after.detach()


KINDS: list[Callable[[Training], None]] = [
    Training.step,
    Training.penalized_step,
    Training.graph_kept_in_grads,
    Training.failing_forward,
    Training.failing_backward,
    Training.hooks,
    Training.prediction,
    Training.abandoned,
    Training.checkpointed,
    Training.recurrent,
]


def _nodes() -> int:
    return sum(isinstance(one, Node) for one in gc.get_objects())


def _resident() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


@row(
    f"memory: {STEPS} steps with gc off, ten kinds of steps",
    full=len(KINDS),
    short=len(KINDS),
    catches="a leak per step, a graph that reference counting does not free",
    why_not=on_linux,
)
def slope(attempt: Attempt) -> None:
    kind, training = KINDS[attempt.index], Training()
    steps = 60 if attempt.is_short else STEPS
    gc.collect()
    was_enabled = gc.isenabled()
    gc.disable()
    before = _nodes()
    try:
        sizes, blocks = [], []
        for number in range(steps):
            kind(training)
            if number in (steps // 3, 2 * steps // 3, steps - 1):
                sizes.append(_resident())
                blocks.append(sys.getallocatedblocks())
        # Nodes refer to each other in one direction only: none may need garbage collection.
        left = _nodes() - before
        assert not left, f"{kind.__name__}: {left} nodes of finished steps are alive"
    finally:
        if was_enabled:
            gc.enable()
    growth = sizes[-1] - sizes[1]
    assert growth < _ALLOWED, f"{kind.__name__}: {growth} bytes in the last third of {steps} steps"
    # Python's small objects: fewer than one new one per ten steps, once its free lists are full.
    more = blocks[-1] - blocks[1]
    assert attempt.is_short or more < steps / 30, f"{kind.__name__}: {more} new objects"
