"""Pickling, copying and deep-copying of tensors, modules, ops and optimizers."""

import copy
import inspect
import pickle
import subprocess
import sys

import numpy as np
import pytest

from tests.tools import each, leaf, normal, rng
from tinygrad_np import Tensor, nn, op, ops, optim, train
from tinygrad_np.autograd.tape import Variable
from tinygrad_np.errors import DtypeError, GraphError


def pickled(value):
    """Return the value after a round trip through pickle."""
    return pickle.loads(pickle.dumps(value))


class Keeper(nn.Module):
    """Keep activations with and without a graph, an op and a method as attributes."""

    def __init__(self):
        self.layer = nn.Linear(3, 2, generator=rng())
        self.norm = nn.BatchNorm1d(2)
        self.dropout = nn.Dropout(0.5, generator=rng(1))
        self.activations = [ops.relu, Tensor.tanh, Tensor.softmax]
        self.limits = {"low": Tensor([0.0])}

    def forward(self, x):
        self.kept = self.layer(x)
        self.seen = [self.kept * 2]
        out = self.dropout(self.norm(self.kept))
        for activation in self.activations:
            out = activation(out)
        return out


X = normal(4, 3).astype(np.float32)


# Tensors.


@each("copied", [pickled, copy.deepcopy])
@each("dtype", [np.float16, np.float32, np.float64, np.int64, bool])
def test_copy_of_a_leaf_keeps_values_and_flags(copied, dtype):
    for kind in (Tensor, nn.Parameter):
        for requires_grad in {False, dtype in (np.float16, np.float32, np.float64)}:
            x = kind(np.array([[1, 0], [2, 3]], dtype).T, requires_grad=requires_grad)
            other = copied(x)
            assert type(other) is kind
            assert (other.dtype, other.tolist()) == (x.dtype, x.tolist())
            assert (other.requires_grad, other.is_leaf) == (requires_grad, True)
            other.data[0, 0] = 7
            assert x.tolist()[0][0] == 1


@each("copied", [pickled, copy.deepcopy])
def test_copy_of_a_result_is_a_leaf_with_its_values(copied):
    """As in PyTorch's pickle, it requires a gradient but is not part of the graph."""
    x = leaf(1.0, 2.0)
    y = x * x
    other = copied(y)
    assert (type(other), other.tolist(), other.node) == (Tensor, [1.0, 4.0], None)
    assert other.requires_grad
    (other * y).sum().backward()
    assert x.grad.tolist() == [2.0, 16.0]
    assert other.grad.tolist() == [1.0, 4.0]


def test_copy_shares_memory_and_graph():
    x = leaf(1.0, 2.0)
    for value in (x, x * x):
        other = copy.copy(value)
        assert other.data is value.data
        assert other.node is value.node
    other.sum().backward()
    assert x.grad.tolist() == [2.0, 4.0]
    out, alias = x * x, copy.copy(x.detach())
    alias[0] = 5.0
    with pytest.raises(GraphError, match="changed in place"):
        out.sum().backward()


def test_gradients_are_deep_copied_but_not_pickled():
    """PyTorch does the same; hooks are in neither copy."""
    x, log = nn.Parameter([1.0, 2.0]), []
    x.name = "layer.weight"
    x.register_hook(log.append)
    (x * x).sum().backward()
    deep, loaded, shared = copy.deepcopy(x), pickled(x), copy.copy(x)
    assert deep.grad.tolist() == shared.grad.tolist() == [2.0, 4.0]
    assert loaded.grad is None
    deep.grad[0] = 9.0
    assert x.grad.tolist() == [2.0, 4.0]
    assert {deep.name, loaded.name, shared.name} == {"layer.weight"}
    for other in (deep, loaded):
        (other * 1).sum().backward()
    assert len(log) == 1


@each("copied", [pickled, copy.copy, copy.deepcopy])
def test_copies_keep_names(copied):
    x = Tensor([1.0], requires_grad=True, name="x")
    y = x * x
    y.name = "y"
    assert (copied(x).name, copied(y).name, copied(y.detach()).name) == ("x", "y", "")


def test_attributes_of_a_subclass_are_copied():
    class Named(Tensor):
        """A tensor with attributes."""

    x = Named([1.0])
    x.unit = "m"
    assert {copied(x).unit for copied in (copy.copy, copy.deepcopy)} == {"m"}
    assert x.__reduce__()[2] == (None, {"unit": "m"})


@each("copied", [pickled, copy.deepcopy])
def test_copy_of_a_deep_graph_does_not_recurse(copied):
    x = leaf([1.0])
    for _ in range(5000):
        x = x + 1
    assert copied(x).item() == 5001.0


# Modules.


@each("copied", [pickled, copy.deepcopy])
def test_copy_of_a_model_that_keeps_activations(copied):
    """The copy computes the same and has the same state dict; activations are not buffers."""
    model = Keeper()
    model(X)
    other = copied(copied(model))
    assert list(other.state_dict()) == list(model.state_dict())
    assert other.kept.tolist() == model.kept.tolist()
    assert other.seen[0].tolist() == model.seen[0].tolist()
    other.load_state_dict(model.state_dict())
    assert other(X).tolist() == model(X).tolist()
    assert not np.shares_memory(other.layer.weight.data, model.layer.weight.data)
    other(X).sum().backward()
    assert other.layer.weight.grad is not None
    assert model.layer.weight.grad is None


@each("copied", [pickled, copy.deepcopy])
def test_tied_parameters_stay_tied(copied):
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    model[1].weight = model[0].weight
    optimizer = optim.SGD(model.parameters(), lr=1.0, momentum=0.9)
    model, optimizer = copied((model, optimizer))
    assert model[1].weight is model[0].weight
    before = model[0].weight.tolist()
    model(Tensor.ones(1, 2)).sum().backward()
    optimizer.step()
    assert model[0].weight.tolist() == model[1].weight.tolist() != before


@pytest.mark.slow
def test_another_process_predicts_with_a_pickled_model(tmp_path):
    model = Keeper().eval()
    expected = model(X)
    (tmp_path / "model").write_bytes(pickle.dumps((model, X)))
    program = (
        "import pickle, sys; model, x = pickle.load(open(sys.argv[1], 'rb'));"
        "print(model(x).tolist())"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "model")]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert printed.strip() == str(expected.tolist())


# Ops, methods and trainers.


def test_ops_and_methods_are_pickled_by_name():
    functions = [getattr(ops, name) for name in ops.__all__ if name != "table"]
    methods = [
        value
        for kind in Tensor.__mro__[: Tensor.__mro__.index(Variable)]
        for name, value in vars(kind).items()
        if not name.startswith("_") and (inspect.isfunction(value) or value in ops.table.values())
    ]
    assert len(functions) > 100
    assert len(methods) > 150
    for function in (*functions, *methods):
        for copied in (pickled, copy.copy, copy.deepcopy):
            assert copied(function) is function


def test_pickling_a_local_op_raises():
    @op("x", vjps={"x": lambda grad_out: grad_out})
    def local(x):
        return x * 1

    assert copy.deepcopy(local) is local
    with pytest.raises((AttributeError, pickle.PicklingError), match="local"):
        pickle.dumps(local)


@each("copied", [pickled, copy.deepcopy, copy.copy])
def test_copying_a_trainer_raises(copied):
    """Its callbacks would call the original."""
    model = Keeper()
    trainer = train.Trainer(model, optim.SGD(model.parameters(), lr=0.1))
    with pytest.raises(DtypeError, match=r"^Trainer: cannot be copied or pickled\. Copy the model"):
        copied(trainer)


@each("copied", [copy.deepcopy, lambda pair: pickle.loads(pickle.dumps(pair))])
def test_copies_that_share_memory_notice_changes_of_each_other(copied):
    w = leaf(1.0, 2.0, 3.0)
    one, other = copied((w, w.detach()))
    loss = (one * one).sum()
    other += 1
    assert one.tolist() == [2.0, 3.0, 4.0]
    with pytest.raises(GraphError, match="changed in place"):
        loss.backward()
    assert w.tolist() == [1.0, 2.0, 3.0]
