"""The tape: nodes, version counters and in-place changes."""

import threading

import numpy as np
import pytest

from tests.tools import leaf
from tinygrad_np import Tensor, checkpoint, no_grad, op, transforms
from tinygrad_np.errors import GraphError


def test_create_graph_works_inside_no_grad():
    x = leaf(3.0)
    y = x * x
    with no_grad():
        (first,) = y.gradient(x, create_graph=True)
    assert first.requires_grad


def test_threads_run_backward_concurrently():
    results = {}

    def work(number):
        x = leaf(np.full(200, float(number)))
        for _ in range(50):
            x.grad = None
            (x * x * x).sum().backward()
        results[number] = x.grad.data

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number in range(4):
        np.testing.assert_array_equal(results[number], 3.0 * number**2)


# In-place changes.


def test_changed_saved_leaf_raises():
    x = leaf(1.0, 2.0)
    y = (x * x).sum()
    with no_grad():
        x[0] = 5.0
    with pytest.raises(GraphError, match=r"op 'mul' .* changed in place after the op ran"):
        y.backward()


def test_changed_saved_output_raises():
    y = leaf(1.0, 2.0).exp()
    loss = y.sum()
    y.detach()[0] = 0.0
    with pytest.raises(GraphError, match="op 'exp'"):
        loss.backward()


@pytest.mark.parametrize(
    "view", [lambda x: x.reshape(2, 1), lambda x: x[:1], lambda x: x.detach(), lambda x: x.T]
)
def test_change_through_a_view_raises(view):
    x = leaf(1.0, 2.0)
    y = (x * x).sum()
    with no_grad():
        view(x)[0] = 5.0
    with pytest.raises(GraphError, match="changed in place"):
        y.backward()


def test_change_of_unsaved_tensor_is_allowed():
    x = leaf(1.0, 2.0)
    y = (x + x).sum()
    with no_grad():
        x[0] = 5.0
    y.backward()
    assert x.grad.tolist() == [2.0, 2.0]


def test_change_before_the_forward_is_allowed():
    x = leaf(1.0, 2.0)
    with no_grad():
        x[0] = 5.0
    (x * x).sum().backward()
    assert x.grad.tolist() == [10.0, 4.0]


def test_constant_array_can_be_changed_after_the_forward():
    x, weights = leaf(1.0, 2.0), np.array([3.0, 4.0])
    y = (x * weights).sum()
    weights[:] = 0
    y.backward()
    assert x.grad.tolist() == [3.0, 4.0]


def test_index_array_can_be_changed_after_the_forward():
    x, index = leaf(1.0, 2.0), np.array([0, 0])
    y = x[index].sum()
    index[:] = 1
    y.backward()
    assert x.grad.tolist() == [2.0, 0.0]


# Nodes.


def test_node_repr_shows_the_op_or_that_it_was_freed():
    y = leaf(1.0, 2.0).exp()
    assert repr(y.node).endswith("exp (2,) float64>")
    y.sum().backward()
    assert repr(y.node).endswith("freed>")


# Freed graphs, shared memory and stale values.


def test_partly_freed_graph_raises():
    x = leaf(1.0)
    y = x * 2
    other = y.sum() + x
    y.sum().backward()
    with pytest.raises(GraphError, match="was freed"):
        other.gradient(x)


@pytest.mark.parametrize(
    "view", [lambda c: c.numpy(), lambda c: np.broadcast_to(c.data, (2,)), lambda c: c.data]
)
def test_constant_that_shares_memory_with_a_tensor_is_copied(view):
    x, constant = leaf(1.0, 1.0), Tensor(np.array([1.0, 1.0]))
    y = (x * view(constant)).sum()
    constant[0] = 100.0
    y.backward()
    assert x.grad.tolist() == [1.0, 1.0]


def test_arrays_of_tensors_are_read_only():
    assert not np.asarray(Tensor([1.0])).flags.writeable
    assert not Tensor([1.0]).numpy().flags.writeable


def test_saved_array_returned_by_a_vjp_is_copied():
    @op("x, oddly", vjps={"x": lambda grad_out, c: c})
    def odd(x, c):
        return x * 1

    x, c = leaf(1.0, 2.0), Tensor(np.ones(2))
    odd(x, c).backward(np.ones(2))
    x.grad[0] = 9.0
    assert c.tolist() == [1.0, 1.0]


def test_changed_input_raises_in_second_derivative():
    x = leaf(2.0, 3.0)
    y = x * x * x
    (first,) = y.gradient(x, gradient=np.ones(2), create_graph=True)
    with no_grad():
        x[0] = 0.0
    with pytest.raises(GraphError, match="changed in place"):
        first.gradient(x, gradient=np.ones(2))


def test_changed_output_raises_in_second_derivative():
    x = leaf(2.0)
    y = x.exp()
    (first,) = y.gradient(x, create_graph=True)
    y.detach()[...] = 0.0
    with pytest.raises(GraphError, match="changed in place"):
        first.gradient(x)


def test_replaced_leaf_data_raises():
    x = leaf(3.0)
    y = x * x * x
    x.data = np.array(10.0)
    with pytest.raises(GraphError, match=r"\.data was replaced"):
        y.gradient(x, create_graph=True)


def test_changing_the_source_of_a_copy_is_allowed():
    w = leaf([[1.0, 2.0], [3.0, 4.0]])
    flat = w.T.reshape(-1)
    loss = (flat * flat).sum()
    with no_grad():
        w[0] = 5.0
    loss.backward()
    assert w.grad.tolist() == [[2.0, 4.0], [6.0, 8.0]]


# Constants on the tape.


def test_edges_hold_constant_numbers():
    x = leaf(2.0)
    for out, expected in [
        (x * 3, (x, 3)),
        (3.5 - x, (3.5, x)),
        (x**2, (x, 2)),
        (x * np.float64(0.5), (x, 0.5)),
        (x.maximum(0), (x, 0)),
        (x * Tensor(1.0, np.float64), (x, None)),
        (x * np.ones(()), (x, None)),
    ]:
        # Tensors compare entry by entry, so they are compared by identity.
        places = [edge is x for edge in expected]
        assert [edge is x for edge in out.node.edges] == places
        others = [edge for edge in out.node.edges if edge is not x]
        assert others == [edge for edge in expected if edge is not x]


def test_constant_numbers_are_neither_targets_nor_boundaries():
    x = leaf(2.0)
    (second,) = ((3 * x**3).gradient(x, create_graph=True)[0] * 2).gradient(x)
    assert second.item() == 72.0
    slope = transforms.grad(lambda x: 3 * x**3)(Tensor(2.0))
    assert (slope.item(), slope.requires_grad) == (36.0, False)
    checkpoint(lambda x: 3 * x**3, x).backward()
    assert x.grad.item() == 36.0


def test_replacing_the_data_of_a_leaf_advances_its_version():
    x = leaf(2.0)
    node = (x * 2).node
    x.data = np.array(3.0)
    assert x.version[0] > node.order
