"""Paths of module calls are looked up when something asks; parameters are named when assigned."""

import gc
import weakref

import numpy as np
import pytest

from tinygrad_np import Tensor, nn, profile, viz
from tinygrad_np.errors import DtypeError


class Net(nn.Module):
    """A layer as an attribute, one in a list, and one shared under two names."""

    def __init__(self):
        self.first = nn.Linear(2, 2)
        self.rest = [nn.Linear(2, 2), {"last": nn.Linear(2, 2)}]
        self.again = self.first

    def forward(self, x):
        """Call all of them."""
        x = self.again(self.first(x))
        return self.rest[1]["last"](self.rest[0](x))


def paths_of(out):
    """Return the paths of the calls that made a tensor, last first."""
    paths, node = [], out.node
    while isinstance(node, type(out.node)):
        paths.append(node.scope.path)
        node = node.edges[0]
    return paths


def test_no_call_looks_for_its_name(monkeypatch):
    looked = []
    right = nn.Module._name_of

    def counted(caller, callee):
        looked.append(callee)
        return right(caller, callee)

    monkeypatch.setattr(nn.Module, "_name_of", counted)
    model = Net()
    out = model(Tensor.ones(1, 2))
    out.sum().backward(retain_graph=True)
    assert not looked
    assert paths_of(out) == ["rest.1.last", "rest.0", "first", "first"]
    assert len(looked) == 4
    paths_of(out)
    assert len(looked) == 4


def test_profiles_and_drawings_have_the_paths():
    model = nn.Sequential(Net(), nn.ReLU())
    with profile() as table:
        model(Tensor.ones(1, 2))
    assert {"0.first", "0.rest.0", "0.rest.1.last", "1"} <= {row.module for row in table.rows()}
    source = viz.draw(model, Tensor.ones(1, 2)).source
    assert "0.rest.1.last: Linear" in source


def test_a_graph_keeps_no_module_alive():
    """What is gone has the name of its class; reference counting alone frees it."""
    gc.disable()
    try:
        model = nn.Sequential(Net())
        model.kept = out = model(Tensor.ones(1, 2))
        gone = weakref.ref(model)
        del model
        assert gone() is None
        assert paths_of(out)[0] == "Net.Linear"
    finally:
        gc.enable()


def test_layers_of_a_user_refuse_lists_too():
    class Doubled(nn.Linear):
        """A layer derived from one here."""

    class Own(nn.Module):
        """A module that takes a list."""

        def forward(self, pair):
            """Return the sum."""
            return pair[0] + pair[1]

    with pytest.raises(DtypeError, match="Doubled: got list, expected Tensors or ndarrays"):
        Doubled(2, 2)([[1.0, 2.0]])
    assert Own()([np.float32(1), np.float32(2)]) == 3
