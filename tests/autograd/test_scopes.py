"""Scopes tell in which module call or backward pass an op was recorded."""

import gc
import weakref

import pytest

from tests.tools import leaf
from tinygrad_np import Tensor, checkpoint, debug, nn, op, profile
from tinygrad_np.autograd.backward import BackwardScope, sweep_of
from tinygrad_np.nn.module import ModuleScope
from tinygrad_np.runtime.state import thread


def scopes_below(tensor):
    """Return the distinct scopes of all nodes that a tensor depends on."""
    waiting, seen = [tensor.node], set()
    while waiting:
        node = waiting.pop()
        if node not in seen:
            seen.add(node)
            waiting += [edge for edge in node.edges if type(edge) is type(node)]
    return {node.scope for node in seen}


def test_ops_of_a_backward_pass_have_the_scope_of_their_node():
    x = leaf(0.5)
    y = x.tanh()
    (slope,) = y.gradient(x, create_graph=True)
    (scope,) = {s for s in scopes_below(slope) if isinstance(s, BackwardScope)}
    assert (scope.kind, scope.order, scope.path) == ("VJP of tanh", y.node.order, "")
    assert (scope.outer.kind, scope.outer.order, scope.outer.outer) == ("backward", 0, None)


def test_backward_with_create_graph_has_scopes_and_without_has_none():
    x = leaf(0.5)
    x.tanh().backward(create_graph=True)
    assert "VJP of tanh" in {scope.kind for scope in scopes_below(x.grad) if scope}
    kinds = []
    seen = op("2x", vjps={"x": lambda grad_out: kinds.append(thread.state.scope) or grad_out * 2})
    seen(lambda x: 2 * x)(leaf(1.0)).backward()
    assert kinds == [None]


def test_sweeps_are_numbered_by_what_they_reach():
    x = leaf(0.5)
    y = x.tanh().exp()
    (first,) = y.gradient(x, create_graph=True)
    (second,) = first.gradient(x, create_graph=True)
    (third,) = second.gradient(x, create_graph=True)
    for number, tensor in enumerate((y, first, second, third)):
        assert sweep_of(tensor.node.scope) == number
    (again,) = y.gradient(x, create_graph=True)
    assert sweep_of(again.node.scope) == 1


def test_definitions_belong_to_the_sweep_of_their_node():
    layer, x = nn.BatchNorm1d(2), Tensor([[1.0, 2.0], [3.0, 5.0]], requires_grad=True)
    (first,) = (layer(x) ** 2).sum().gradient(x, create_graph=True)
    scopes = scopes_below(first) - {None}
    assert {sweep_of(scope) for scope in scopes} == {0, 1}
    assert {"VJP of batch_norm"} <= {scope.kind for scope in scopes}
    (first,) = checkpoint(layer, x).sum().gradient(x, create_graph=True)
    assert {sweep_of(scope) for scope in scopes_below(first) - {None}} <= {0, 1}


def test_a_pass_inside_a_module_call_is_inside_its_scope():
    class Slope(nn.Module):
        def forward(self, x):
            return x.exp().gradient(x, create_graph=True)[0]

    model = Slope()
    sweep = model(leaf(1.0)).node.scope.outer
    assert (sweep.kind, sweep.outer.module) == ("backward", model)


def test_scope_is_restored_after_an_error():
    @op("2x", vjps={"x": lambda grad_out: 1 / 0})
    def broken(x):
        return x * 2

    x = leaf(1.0)
    with pytest.raises(ZeroDivisionError):
        broken(x).gradient(x, create_graph=True)
    assert thread.state.scope is None


def test_scopes_keep_no_node_and_no_module_alive():
    model, x = nn.Tanh(), leaf(1.0)
    y = model(x)
    (slope,) = y.gradient(x, create_graph=True)
    scope = slope.node.scope
    module = y.node.scope
    assert isinstance(module, ModuleScope)
    assert module.module is model
    result = weakref.ref(y)
    del y, slope, model
    gc.collect()
    assert result() is None
    assert module.module is None
    assert scope.kind == "VJP of tanh"


def test_profile_and_debug_name_the_module_of_the_pass():
    x = leaf(1.0)
    with profile() as table:
        x.tanh().gradient(x, create_graph=True)
    assert {row.module for row in table.rows()} == {""}
    with debug() as lines:
        (slope,) = x.tanh().gradient(x, create_graph=True)
    assert "VJP of" not in lines._line_of(slope.node)
