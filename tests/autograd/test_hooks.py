"""Hooks on tensors: when they are called, with what, and what becomes of what they return."""

import copy
import gc
import weakref

import numpy as np
import pytest

from tests.tools import each, leaf
from tinygrad_np import Tensor, checkpoint, nn, no_grad
from tinygrad_np.autograd.backward import gradient
from tinygrad_np.errors import GraphError, ShapeError
from tinygrad_np.transforms import grad


def listed(log, name):
    """Return a hook that notes its name and what it is shown, and changes nothing."""

    def hook(grad):
        log.append((name, grad.tolist()))

    return hook


# What a hook is shown, and when.


def test_hooks_are_called_from_the_root_down_and_in_order_of_registration():
    x, log = leaf([2.0]), []
    y = x * x
    z = y * 3
    for name, tensor in (("x", x), ("y", y), ("z", z)):
        tensor.register_hook(listed(log, f"{name} first"))
        tensor.register_hook(listed(log, f"{name} second"))
    z.backward([1.0])
    expected = {"z": [1.0], "y": [3.0], "x": [12.0]}
    assert log == [(f"{n} {time}", expected[n]) for n in "zyx" for time in ("first", "second")]


def test_a_hook_is_called_once_with_the_whole_gradient():
    x, log = leaf([2.0]), []
    y = x * x
    y.register_hook(listed(log, "y"))
    x.register_hook(listed(log, "x"))
    (y * 3 + y * y + x).sum().backward()
    assert log == [("y", [11.0]), ("x", [45.0])]


def test_a_hook_is_shown_a_plain_tensor_of_the_tensors_dtype():
    seen = []
    x = leaf(1.0, 2.0, dtype=np.float32)
    (x.register_hook(seen.append), (x * 2).register_hook(seen.append))
    y = x * 2
    y.register_hook(seen.append)
    y.sum().backward()
    assert [(type(g), g.shape, g.dtype, g.requires_grad) for g in seen] == [
        (Tensor, (2,), np.float32, False)
    ] * 2


def test_a_hook_on_a_parameter_is_called_at_each_backward():
    model, log = nn.Linear(2, 1), []
    model.bias.register_hook(listed(log, "bias"))
    for _ in range(2):
        model(Tensor.ones(3, 2)).sum().backward()
    assert log == [("bias", [3.0])] * 2
    assert model.bias.grad.tolist() == [6.0]


def test_what_a_hook_computes_is_not_recorded():
    seen = []
    x = leaf([2.0])
    x.register_hook(lambda grad: seen.append(x * grad))
    (x * x).sum().backward()
    assert seen[0].tolist() == [8.0]
    assert not seen[0].requires_grad


def test_the_root_itself_has_hooks():
    x = leaf([2.0])
    x.register_hook(lambda grad: grad * 5)
    x.backward()
    assert x.grad.tolist() == [5.0]


# What a hook returns.


def test_a_replaced_gradient_reaches_everything_below_and_nothing_above():
    x, w = leaf([2.0]), leaf([3.0])
    y = x * w
    z = y * 2
    z.retain_grad()
    y.register_hook(lambda grad: grad * 10)
    z.sum().backward()
    assert (x.grad.tolist(), w.grad.tolist(), z.grad.tolist()) == ([60.0], [40.0], [1.0])


def test_each_hook_is_shown_what_the_one_before_returned():
    x, log = leaf([2.0]), []
    x.register_hook(lambda grad: grad + 1)
    x.register_hook(listed(log, "after one"))
    x.register_hook(lambda grad: grad * 10)
    x.register_hook(listed(log, "after two"))
    (x * 3).sum().backward()
    assert log == [("after one", [4.0]), ("after two", [40.0])]
    assert x.grad.tolist() == [40.0]


def test_a_leafs_hooks_change_what_is_added_and_not_what_was_there():
    x = leaf([2.0])
    (x * 3).sum().backward()
    x.register_hook(lambda grad: grad * 10)
    (x * 3).sum().backward()
    assert x.grad.tolist() == [33.0]


@pytest.mark.parametrize("returns", [True, False])
def test_a_leafs_gradient_is_not_the_memory_that_a_hook_holds(returns):
    x, held = leaf(1.0, 2.0), []

    def hook(grad):
        held.append(grad * 1 if returns else grad)
        return held[-1] if returns else None

    x.register_hook(hook)
    (x * x).sum().backward()
    assert held[0].tolist() == x.grad.tolist() == [2.0, 4.0]
    assert not np.shares_memory(x.grad.data, held[0].data)


@each(
    ("made", "message"),
    [
        (Tensor(np.ones((1, 2))), r"got \(1, 2\) float64"),
        (Tensor(1.0, np.float64), r"got \(\) float64"),
        (Tensor.ones(2), r"got \(2,\) float32"),
        (np.ones(2), "got a ndarray"),
        (2.0, "got a float"),
        (False, "got a bool"),
    ],
)
@each("is_leaf", [True, False])
@each("create_graph", [True, False])
def test_what_does_not_fit_is_refused(made, message, is_leaf, create_graph):
    def hook(_):
        return made

    x = leaf(1.0, 2.0)
    y = x * x
    (x if is_leaf else y).register_hook(hook)
    message = r"'hook' to return None or a Tensor of shape \(2,\) and dtype float64, " + message
    with pytest.raises(ShapeError, match=message):
        (x * y).sum().gradient(x, create_graph=create_graph)
    with pytest.raises(ShapeError, match=message):
        y.sum().backward(create_graph=create_graph)
    assert x.grad is None


def test_a_hook_that_raises_is_heard():
    def fail(_):
        raise KeyError("of mine")

    x = leaf([1.0])
    x.register_hook(fail)
    with pytest.raises(KeyError, match="of mine"):
        (x * x).sum().backward()
    assert x.grad is None


# Taking them away.


@pytest.mark.parametrize("is_leaf", [True, False])
def test_a_hook_that_was_removed_is_not_called(is_leaf):
    x, log = leaf([2.0]), []
    y = x * x
    tensor = x if is_leaf else y
    first = tensor.register_hook(listed(log, "first"))
    tensor.register_hook(listed(log, "second"))
    first.remove()
    first.remove()
    y.sum().backward()
    assert [name for name, _ in log] == ["second"]


@pytest.mark.parametrize("is_leaf", [True, False])
def test_a_hook_can_remove_itself_and_add_another(is_leaf):
    x, log = leaf([2.0]), []
    y = x * x
    tensor = x if is_leaf else y

    def once(grad):
        log.append("once")
        handle.remove()
        tensor.register_hook(listed(log, "added"))

    handle = tensor.register_hook(once)
    tensor.register_hook(lambda grad: log.append("always"))
    loss = y.sum()
    loss.backward(retain_graph=True)
    assert log == ["once", "always"]
    del log[:]
    loss.backward()
    assert log[0] == "always"
    assert [name for name, _ in log[1:]] == ["added"]


def test_a_handle_outlives_its_tensor():
    x = leaf([2.0])
    handle = x.register_hook(print)
    del x
    handle.remove()


# With a graph; and gradient().


def test_with_create_graph_a_hook_is_shown_a_gradient_with_its_graph():
    """What it makes of it is differentiated too: d/dx (3x²)² · 2 = 72 x³."""
    x, seen = leaf([2.0]), []

    def hook(grad):
        seen.append(grad.requires_grad)
        return grad * grad * 2

    handle = x.register_hook(hook)
    (x * x * x).sum().backward(create_graph=True)
    handle.remove()
    assert seen == [True]
    assert x.grad.tolist() == [288.0]
    assert x.grad.gradient(x)[0].tolist() == [576.0]


def test_a_results_hook_with_create_graph():
    x = leaf([2.0])
    y = x * x
    handle = y.register_hook(lambda grad: grad * y)
    (slope,) = (y * y).sum().gradient(x, create_graph=True)
    handle.remove()
    # 2y · y · 2x = 4x^5, then 20x^4.
    assert slope.tolist() == [128.0]
    assert slope.gradient(x)[0].tolist() == [320.0]


def test_gradient_calls_the_hooks_of_targets_and_of_results_on_the_way():
    x, w, log = leaf([2.0]), leaf([3.0]), []
    y = x * w
    x.register_hook(lambda grad: grad * 10)
    y.register_hook(lambda grad: grad * 100)
    w.register_hook(listed(log, "no target"))
    out = (y * 2).sum()
    assert out.gradient(x)[0].tolist() == [6000.0]
    assert out.gradient(y)[0].tolist() == [200.0]
    assert log == []
    assert out.gradient(x, w)[1].tolist() == [400.0]
    assert log == [("no target", [400.0])]
    assert x.grad is w.grad is None


def test_a_target_that_is_the_root_has_its_hooks():
    x = leaf([2.0])
    x.register_hook(lambda grad: grad * 5)
    assert x.gradient(x)[0].tolist() == [5.0]
    y = x * 1
    y.register_hook(lambda grad: grad * 7)
    assert y.gradient(y)[0].tolist() == [7.0]


def test_hooks_within_a_transform():
    def function(x):
        y = x * x
        y.register_hook(lambda grad: grad * 10)
        return y

    assert grad(function)(3.0).item() == 60.0
    assert grad(grad(function))(3.0).item() == 20.0


def test_hooks_on_what_a_checkpoint_closes_over_and_returns():
    x, w, log = leaf([2.0]), leaf([3.0]), []
    between = w * w
    out = checkpoint(lambda x: x * x * between, x)
    for name, tensor in (("x", x), ("w", w), ("between", between), ("out", out)):
        tensor.register_hook(listed(log, name))
    (out * 2).sum().backward()
    assert sorted(log) == [("between", [8.0]), ("out", [2.0]), ("w", [48.0]), ("x", [72.0])]


# retain_grad.


def test_a_result_keeps_its_gradient_and_adds_the_next():
    x = leaf([3.0])
    y = x * x
    y.retain_grad()
    y.retain_grad()
    out = (y * 2).sum()
    out.backward(retain_graph=True)
    first = y.grad
    assert first.tolist() == [2.0]
    out.backward()
    assert y.grad.tolist() == [4.0]
    assert first.tolist() == [2.0]
    assert not y.grad.requires_grad


def test_gradient_leaves_what_is_retained_alone():
    x = leaf([3.0])
    y = x * x
    y.retain_grad()
    assert (y * y).sum().gradient(x)[0].tolist() == [108.0]
    assert (y * y).sum().gradient(y, x)[0].tolist() == [18.0]
    assert y.grad is None


def test_what_is_retained_shares_no_memory():
    x = leaf(1.0, 2.0)
    y = x + 0
    z = y + 0
    for result in (y, z):
        result.retain_grad()
    upstream = np.array([1.0, 1.0])
    z.backward(upstream)
    kept = [upstream, y.grad.data, z.grad.data, x.grad.data]
    assert not any(np.shares_memory(a, b) for i, a in enumerate(kept) for b in kept[:i])


def test_what_is_retained_with_create_graph_can_be_differentiated():
    x = leaf([3.0])
    y = x * x
    y.retain_grad()
    (y * y * y).sum().backward(create_graph=True)
    assert y.grad.tolist() == [243.0]
    assert y.grad.gradient(x)[0].tolist() == [324.0]


def test_what_is_retained_is_what_the_hooks_made_of_it():
    """In whatever order they were asked for, as in PyTorch."""
    x = leaf(1.0, 2.0)
    y = x * 3
    y.retain_grad()
    y.register_hook(lambda grad: grad * 10)
    y.sum().backward()
    assert y.grad.tolist() == [10.0, 10.0]
    assert x.grad.tolist() == [30.0, 30.0]


def test_on_a_leaf_it_changes_nothing():
    x = leaf([3.0])
    x.retain_grad()
    (x * x).sum().backward()
    assert x.grad.tolist() == [6.0]


def test_it_keeps_nothing_alive_and_makes_no_circle():
    gc.disable()
    try:
        x = leaf(1.0, 2.0)
        y = x.exp()
        y.retain_grad()
        out = (y * y).sum()
        gone = weakref.ref(y), weakref.ref(y.data)
        del y
        assert gone[0]() is None
        out.backward()
        del out
        assert gone[1]() is None
    finally:
        gc.enable()
    assert x.grad is not None


def test_an_unused_graph_with_hooks_is_freed_by_reference_counting():
    gc.disable()
    try:
        y = leaf(1.0, 2.0).exp()
        y.retain_grad()
        y.register_hook(lambda grad: grad * 2)
        gone = weakref.ref(y), weakref.ref(y.data)
        del y
        assert [reference() for reference in gone] == [None, None]
    finally:
        gc.enable()


# Where there is no gradient to come.


def test_what_requires_no_gradient_has_no_hooks():
    with no_grad():
        inside = leaf([1.0]) * 2
    for tensor in (Tensor(1.0), leaf([1.0]).detach(), inside):
        message = "this tensor does not require a gradient. Create it with"
        with pytest.raises(GraphError, match=f"register_hook: {message}"):
            tensor.register_hook(print)
        with pytest.raises(GraphError, match=f"retain_grad: {message}"):
            tensor.retain_grad()


def test_a_backward_over_a_freed_graph_calls_no_hook():
    x = leaf(1.0, 2.0)
    y = (x * x).sum()
    seen = []
    y.retain_grad()
    y.register_hook(seen.append)
    y.backward()
    y.register_hook(seen.append)
    with pytest.raises(GraphError, match="was freed"):
        y.backward()
    assert len(seen) == 1
    assert y.grad.item() == 1.0


def test_the_hook_of_an_output_that_is_no_target_does_not_run():
    w, seen = leaf([1.0]), []
    w.register_hook(seen.append)
    assert gradient(w, [leaf([2.0])], np.ones(1), allow_unused=True) == [None]
    assert seen == []


def test_hooks_of_leaves_run_in_the_order_of_the_targets():
    x, y, seen = leaf([1.0]), leaf([2.0]), []
    x.register_hook(lambda grad: seen.append("x"))
    y.register_hook(lambda grad: seen.append("y"))
    (y * x).sum().gradient(x, y, x)
    assert seen == ["x", "y"]


def test_another_tensor_of_the_same_node_does_not_take_retain_grad_away():
    y = leaf([3.0]) * 1
    y.retain_grad()
    copy.copy(y).retain_grad()
    (y * 2).sum().backward()
    assert y.grad.tolist() == [2.0]
