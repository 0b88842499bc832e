"""Tensor hooks: when they run, what they receive, and how their return value is used."""

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
    """Return a hook that appends its name and gradient to `log`."""

    def hook(grad):
        log.append((name, grad.tolist()))

    return hook


# When hooks run, and what they receive.


def test_hooks_run_newest_node_first_in_order_of_registration():
    x, log = leaf([2.0]), []
    y = x * x
    z = y * 3
    for name, tensor in (("x", x), ("y", y), ("z", z)):
        tensor.register_hook(listed(log, f"{name} first"))
        tensor.register_hook(listed(log, f"{name} second"))
    z.backward([1.0])
    expected = {"z": [1.0], "y": [3.0], "x": [12.0]}
    assert log == [(f"{n} {time}", expected[n]) for n in "zyx" for time in ("first", "second")]


def test_hook_runs_once_with_the_total_gradient():
    x, log = leaf([2.0]), []
    y = x * x
    y.register_hook(listed(log, "y"))
    x.register_hook(listed(log, "x"))
    (y * 3 + y * y + x).sum().backward()
    assert log == [("y", [11.0]), ("x", [45.0])]


def test_hook_receives_a_tensor_without_graph():
    seen = []
    x = leaf(1.0, 2.0, dtype=np.float32)
    (x.register_hook(seen.append), (x * 2).register_hook(seen.append))
    y = x * 2
    y.register_hook(seen.append)
    y.sum().backward()
    assert [(type(g), g.shape, g.dtype, g.requires_grad) for g in seen] == [
        (Tensor, (2,), np.float32, False)
    ] * 2


def test_parameter_hook_runs_in_each_backward():
    model, log = nn.Linear(2, 1), []
    model.bias.register_hook(listed(log, "bias"))
    for _ in range(2):
        model(Tensor.ones(3, 2)).sum().backward()
    assert log == [("bias", [3.0])] * 2
    assert model.bias.grad.tolist() == [6.0]


def test_ops_in_a_hook_are_not_recorded():
    seen = []
    x = leaf([2.0])
    x.register_hook(lambda grad: seen.append(x * grad))
    (x * x).sum().backward()
    assert seen[0].tolist() == [8.0]
    assert not seen[0].requires_grad


def test_hook_on_the_root_replaces_the_gradient():
    x = leaf([2.0])
    x.register_hook(lambda grad: grad * 5)
    x.backward()
    assert x.grad.tolist() == [5.0]


# Return values.


def test_returned_gradient_replaces_the_gradient():
    x, w = leaf([2.0]), leaf([3.0])
    y = x * w
    z = y * 2
    z.retain_grad()
    y.register_hook(lambda grad: grad * 10)
    z.sum().backward()
    assert (x.grad.tolist(), w.grad.tolist(), z.grad.tolist()) == ([60.0], [40.0], [1.0])


def test_hooks_are_chained():
    x, log = leaf([2.0]), []
    x.register_hook(lambda grad: grad + 1)
    x.register_hook(listed(log, "after one"))
    x.register_hook(lambda grad: grad * 10)
    x.register_hook(listed(log, "after two"))
    (x * 3).sum().backward()
    assert log == [("after one", [4.0]), ("after two", [40.0])]
    assert x.grad.tolist() == [40.0]


def test_leaf_hook_does_not_change_accumulated_grad():
    x = leaf([2.0])
    (x * 3).sum().backward()
    x.register_hook(lambda grad: grad * 10)
    (x * 3).sum().backward()
    assert x.grad.tolist() == [33.0]


@pytest.mark.parametrize("returns", [True, False])
def test_leaf_grad_shares_no_memory_with_a_hook(returns):
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
        (np.ones(2), "got ndarray"),
        (2.0, "got float"),
        (False, "got bool"),
    ],
)
@each("is_leaf", [True, False])
@each("create_graph", [True, False])
def test_invalid_hook_result_raises(made, message, is_leaf, create_graph):
    def hook(_):
        return made

    x = leaf(1.0, 2.0)
    y = x * x
    (x if is_leaf else y).register_hook(hook)
    expected = (
        r"^register_hook: expected hook 'hook' to return None or a Tensor of shape \(2,\) and "
    )
    message = expected + "dtype float64, " + message
    with pytest.raises(ShapeError, match=message):
        (x * y).sum().gradient(x, create_graph=create_graph)
    with pytest.raises(ShapeError, match=message):
        y.sum().backward(create_graph=create_graph)
    assert x.grad is None


def test_error_in_a_hook_propagates():
    def fail(_):
        raise KeyError("of mine")

    x = leaf([1.0])
    x.register_hook(fail)
    with pytest.raises(KeyError, match="of mine"):
        (x * x).sum().backward()
    assert x.grad is None


# Removing hooks.


@pytest.mark.parametrize("is_leaf", [True, False])
def test_removed_hook_does_not_run(is_leaf):
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
def test_hook_can_remove_itself_and_add_another(is_leaf):
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


def test_handle_outlives_its_tensor():
    x = leaf([2.0])
    handle = x.register_hook(print)
    del x
    handle.remove()


# Hooks with create_graph and gradient().


def test_create_graph_passes_gradients_with_graph_to_hooks():
    """The result of the hook is differentiated: d/dx (3x²)² · 2 = 72 x³."""
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


def test_hook_is_differentiated_with_create_graph():
    x = leaf([2.0])
    y = x * x
    handle = y.register_hook(lambda grad: grad * y)
    (slope,) = (y * y).sum().gradient(x, create_graph=True)
    handle.remove()
    # 2y · y · 2x = 4x^5, then 20x^4.
    assert slope.tolist() == [128.0]
    assert slope.gradient(x)[0].tolist() == [320.0]


def test_gradient_runs_hooks_of_targets_and_intermediate_results():
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


def test_gradient_runs_hooks_of_the_root():
    x = leaf([2.0])
    x.register_hook(lambda grad: grad * 5)
    assert x.gradient(x)[0].tolist() == [5.0]
    y = x * 1
    y.register_hook(lambda grad: grad * 7)
    assert y.gradient(y)[0].tolist() == [7.0]


def test_hooks_run_in_transforms():
    def function(x):
        y = x * x
        y.register_hook(lambda grad: grad * 10)
        return y

    assert grad(function)(3.0).item() == 60.0
    assert grad(grad(function))(3.0).item() == 20.0


def test_hooks_on_tensors_used_by_a_checkpoint_run_once():
    x, w, log = leaf([2.0]), leaf([3.0]), []
    between = w * w
    out = checkpoint(lambda x: x * x * between, x)
    for name, tensor in (("x", x), ("w", w), ("between", between), ("out", out)):
        tensor.register_hook(listed(log, name))
    (out * 2).sum().backward()
    assert sorted(log) == [("between", [8.0]), ("out", [2.0]), ("w", [48.0]), ("x", [72.0])]


# retain_grad.


def test_retain_grad_accumulates():
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


def test_gradient_does_not_store_retained_grad():
    x = leaf([3.0])
    y = x * x
    y.retain_grad()
    assert (y * y).sum().gradient(x)[0].tolist() == [108.0]
    assert (y * y).sum().gradient(y, x)[0].tolist() == [18.0]
    assert y.grad is None


def test_retained_grads_share_no_memory():
    x = leaf(1.0, 2.0)
    y = x + 0
    z = y + 0
    for result in (y, z):
        result.retain_grad()
    upstream = np.array([1.0, 1.0])
    z.backward(upstream)
    kept = [upstream, y.grad.data, z.grad.data, x.grad.data]
    assert not any(np.shares_memory(a, b) for i, a in enumerate(kept) for b in kept[:i])


def test_retained_grad_with_create_graph_can_be_differentiated():
    x = leaf([3.0])
    y = x * x
    y.retain_grad()
    (y * y * y).sum().backward(create_graph=True)
    assert y.grad.tolist() == [243.0]
    assert y.grad.gradient(x)[0].tolist() == [324.0]


def test_retain_grad_stores_the_gradient_after_hooks():
    """As in PyTorch, retain_grad stores the gradient after all hooks, in any order of calls."""
    x = leaf(1.0, 2.0)
    y = x * 3
    y.retain_grad()
    y.register_hook(lambda grad: grad * 10)
    y.sum().backward()
    assert y.grad.tolist() == [10.0, 10.0]
    assert x.grad.tolist() == [30.0, 30.0]


def test_retain_grad_on_a_leaf_has_no_effect():
    x = leaf([3.0])
    x.retain_grad()
    (x * x).sum().backward()
    assert x.grad.tolist() == [6.0]


def test_retain_grad_creates_no_reference_cycle():
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


def test_unused_graph_with_hooks_is_freed_by_reference_counting():
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


# Tensors without a gradient.


def test_hook_on_a_tensor_without_gradient_raises():
    with no_grad():
        inside = leaf([1.0]) * 2
    for tensor in (Tensor(1.0), leaf([1.0]).detach(), inside):
        message = "this tensor does not require a gradient. Create it with"
        with pytest.raises(GraphError, match=f"register_hook: {message}"):
            tensor.register_hook(print)
        with pytest.raises(GraphError, match=f"retain_grad: {message}"):
            tensor.retain_grad()


def test_backward_over_a_freed_graph_runs_no_hook():
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


def test_root_hook_does_not_run_if_root_is_not_a_target():
    w, seen = leaf([1.0]), []
    w.register_hook(seen.append)
    assert gradient(w, [leaf([2.0])], np.ones(1), allow_unused=True) == [None]
    assert seen == []


def test_leaf_hooks_run_in_the_order_of_the_targets():
    x, y, seen = leaf([1.0]), leaf([2.0]), []
    x.register_hook(lambda grad: seen.append("x"))
    y.register_hook(lambda grad: seen.append("y"))
    (y * x).sum().gradient(x, y, x)
    assert seen == ["x", "y"]


def test_retain_grad_on_a_second_tensor_keeps_that_of_the_first():
    y = leaf([3.0]) * 1
    y.retain_grad()
    copy.copy(y).retain_grad()
    (y * 2).sum().backward()
    assert y.grad.tolist() == [2.0]
