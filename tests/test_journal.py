"""Journal and Trial: what they keep, and what they undo."""

import numpy as np
import pytest

import tinygrad_np
from tests.tools import each, normal, rng
from tinygrad_np import Tensor, nn, no_grad, random, transforms, viz
from tinygrad_np.errors import ShapeError
from tinygrad_np.gradcheck import gradcheck, gradgradcheck
from tinygrad_np.journal import Journal, Trial


class Noisy(nn.Module):
    """Random numbers and buffers of every kind, even in evaluation mode."""

    def __init__(self):
        self.norm = nn.BatchNorm1d(3, momentum=None).astype(np.float64)
        self.dropout = nn.Dropout(0.5, generator=rng(1))
        self.generator = rng(2)
        self.count = Tensor(0.0)
        self.last = Tensor.zeros(3)

    def forward(self, x):
        with no_grad():
            self.count[...] = self.count + 1
            self.last = self.last + 1
        noise = Tensor.rand(3) + self.generator.random(3).astype(np.float32)
        return self.dropout(self.norm(x)) * noise.cast(x.dtype)


def state_of(model):
    """Return the buffers of a Noisy model and the states of all generators."""
    generators = (model.dropout.generator, model.generator)
    states = [generator.bit_generator.state for generator in generators]
    return {name: a.tolist() for name, a in model.state_dict().items()}, states, random.state()


def in_gradcheck(model, x):
    gradcheck(model, [x])
    gradgradcheck(model, [x])


def in_draw(model, x):
    viz.draw(model, x)


def in_summary(model, x):
    model.summary((3,), np.float64)


def in_trial(model, x):
    with Trial():
        model(x)
        with Trial():
            model(x)
        tinygrad_np.manual_seed(0)
        Tensor.rand(2)


def in_failing_trial(model, x):
    with pytest.raises(ShapeError), Trial():
        model(x).reshape(7)


@each("use", [in_gradcheck, in_draw, in_summary, in_trial, in_failing_trial])
def test_trial_leaves_buffers_and_generators_unchanged(use):
    model = Noisy()
    buffers = [id(buffer.data) for buffer in model.buffers()]
    before = state_of(model)
    use(model, normal(4, 3))
    assert state_of(model) == before
    assert [id(buffer.data) for buffer in model.buffers()] == buffers
    model(normal(4, 3))
    changed = state_of(model)
    assert changed[0] != before[0]
    assert changed[1] != before[1]
    assert changed[2] != before[2]


@each(
    ("name", "more"),
    [("grad", 0), ("value_and_grad", 0), ("jacobian", 0), ("hessian", 0), ("jvp", 1), ("hvp", 1)],
)
def test_transforms_run_the_function_once(name, more):
    """Buffers and generators end as after one forward."""
    x, tangents = Tensor(normal(4, 3)), [normal(4, 3, seed=1)]
    states = []
    for run in (getattr(transforms, name), lambda function: lambda x, *_: function(x)):
        tinygrad_np.manual_seed(0)
        model = Noisy()
        run(lambda x, model=model: model(x).sum())(x, *tangents[:more])
        states.append(state_of(model))
    assert states[0] == states[1]


def test_trial_repeats_a_journal():
    """Any number of times, even after the state has changed."""
    model, x = Noisy(), Tensor(normal(4, 3))
    with Journal() as journal:
        first = model(x).tolist()
    model(x)
    tinygrad_np.manual_seed(3)
    before = state_of(model)
    for _ in range(2):
        with Trial(journal):
            assert model(x).tolist() == first
        assert state_of(model) == before


def test_journal_forgets_unchanged_buffers():
    model = Noisy()
    with Journal() as journal:
        model.norm.eval()(Tensor(normal(4, 3)))
    assert (journal.buffers, journal.attributes) == ({}, [])
    with Journal() as journal:
        model(Tensor(normal(4, 3)))
    assert {id(buffer) for buffer in journal.buffers} >= {id(model.count)}
    assert [name for _, name, _ in journal.attributes] == ["last"]
