"""The backward pass: order, accumulation, freeing, `gradient`, and higher derivatives."""

import gc
import math
import time
import weakref

import numpy as np
import pytest

from tests.tools import leaf
from tinygrad_np import Tensor, nn, no_grad, op
from tinygrad_np.errors import GraphError, ShapeError
from tinygrad_np.runtime.state import thread

# Order and accumulation.


def test_gradients_of_both_uses_are_summed():
    x = leaf(3.0)
    (x * x + x).backward()
    assert x.grad.item() == 7.0


def test_second_backward_accumulates():
    x = leaf(1.0, 2.0)
    (x * x).sum().backward()
    first = x.grad
    (x * x).sum().backward()
    assert x.grad.tolist() == [4.0, 8.0]
    assert first.tolist() == [2.0, 4.0]


def test_all_uses_are_summed_before_a_node_runs():
    """`y` is used both early and late: a depth-first walk would process it too early."""
    x = leaf(2.0)
    y = x * x
    z = y
    for _ in range(5):
        z = z * y
    z.backward()
    assert x.grad.item() == 12 * 2.0**11


def test_only_leaves_keep_gradients():
    x = leaf(2.0)
    y = x * 3
    (y * y).backward()
    assert y.grad is None
    assert x.grad.item() == 36.0


def test_frozen_leaf_has_no_grad():
    x, frozen = leaf(2.0), Tensor(np.array(5.0))
    (x * frozen).backward()
    assert frozen.grad is None


def test_backward_on_a_leaf_stores_a_copy_of_the_gradient():
    x = leaf(1.0, 2.0)
    upstream = np.array([3.0, 4.0])
    x.backward(upstream)
    upstream[0] = 9.0
    assert x.grad.tolist() == [3.0, 4.0]


def test_repeated_diamonds_take_linear_time():
    """The graph has 2^60 paths but 120 nodes; 4 times the levels take about 4 times the time."""

    def seconds(levels):
        best = math.inf
        for _ in range(5):
            x = leaf(1.0)
            y = x
            for _ in range(levels):
                y = (y + y) * 0.5
            start = time.perf_counter()
            y.backward()
            best = min(best, time.perf_counter() - start)
            assert x.grad.item() == 1.0
        return best

    assert seconds(240) < 16 * seconds(60)


@pytest.mark.slow
def test_backward_handles_a_chain_of_100_000_ops():
    x = leaf(0.0, dtype=np.float32)
    y = x
    for _ in range(50_000):
        y = y * 1.0 + 1.0
    y.backward()
    assert y.item() == 50_000
    assert x.grad.item() == 1.0


@pytest.mark.slow
def test_chain_of_100_000_ops_is_freed_without_backward():
    x = leaf(0.0)
    y = x
    for _ in range(100_000):
        y = y + 1.0
    node = weakref.ref(y)
    del y
    assert node() is None


def test_second_derivative_of_a_long_chain_is_exact():
    x = leaf(1.0)
    y = x
    for _ in range(2000):
        y = y * x
    (first,) = y.gradient(x, create_graph=True)
    (second,) = first.gradient(x)
    assert first.item() == 2001
    assert second.item() == 2001 * 2000


# Freeing.


def test_graph_is_freed_by_reference_counting():
    gc.disable()
    try:
        x = leaf(np.ones(1000))
        hidden = (x * 2).relu()
        gone = weakref.ref(hidden.data)
        out = hidden.sum()
        del hidden
        assert gone() is not None
        del out
        assert gone() is None
    finally:
        gc.enable()


def test_backward_frees_saved_arrays():
    x = leaf(np.ones(10))
    hidden = x.exp()
    gone = weakref.ref(hidden.data)
    out = (hidden * hidden).sum()
    del hidden
    out.backward()
    assert gone() is None
    assert out.item() > 0


def test_backward_over_a_freed_graph_raises():
    x = leaf(2.0)
    y = x * x
    y.backward()
    with pytest.raises(GraphError, match=r"op 'mul' .* was freed .* retain_graph=True"):
        y.backward()


def test_retain_graph_keeps_the_graph():
    x = leaf(2.0)
    y = x * x
    y.backward(retain_graph=True)
    y.backward()
    assert x.grad.item() == 8.0


# Higher derivatives.


@pytest.mark.slow
def test_tenth_derivative_of_a_polynomial_is_correct():
    x = leaf(1.5)
    y = x
    for _ in range(11):
        y = y * x
    for _ in range(10):
        (y,) = y.gradient(x, create_graph=True)
    assert y.item() == pytest.approx(math.factorial(12) / 2 * 1.5**2)


def test_backward_with_create_graph_gives_a_differentiable_gradient():
    x = leaf(3.0)
    (x * x * x).backward(create_graph=True)
    first = x.grad
    x.grad = None
    first.backward()
    assert x.grad.item() == 18.0


def test_gradient_penalty_has_weight_gradients():
    """d/dw of (d/dx w x^2)^2 at x = 3, w = 2 is 2 (2 w x) (2 x) = 144."""
    x, w = leaf(3.0), leaf(2.0)
    (slope,) = (w * x * x).gradient(x, create_graph=True)
    (slope * slope).backward()
    assert w.grad.item() == 144.0


def test_fused_cross_entropy_has_the_hessian_of_its_formula():
    """The Hessian of cross-entropy, differentiated through its definition, is diag(p) - p pᵀ."""
    logits = leaf([[0.3, -1.0, 2.0]])
    (grad,) = logits.cross_entropy([2]).gradient(logits, create_graph=True)
    rows = [grad[0, i].gradient(logits)[0].data[0] for i in range(3)]
    p = np.exp(logits.data[0]) / np.exp(logits.data[0]).sum()
    np.testing.assert_allclose(rows, np.diag(p) - np.outer(p, p), rtol=1e-12)


def test_second_derivative_is_correct_if_both_inputs_share_a_tensor():
    logits = leaf([[0.3, -1.0, 2.0]])
    probabilities = logits.softmax(axis=1)
    loss = (logits * 2).cross_entropy(probabilities)
    (grad,) = loss.gradient(logits, create_graph=True)
    (second,) = (grad * grad).sum().gradient(logits)
    eps = 1e-6

    def squared(array):
        point = leaf(array)
        loss = (point * 2).cross_entropy(point.softmax(axis=1))
        (grad,) = loss.gradient(point)
        return float((grad.data**2).sum())

    for i in range(3):
        step = np.eye(3)[[i]] * eps
        numeric = (squared(logits.data + step) - squared(logits.data - step)) / (2 * eps)
        assert second.data[0, i] == pytest.approx(numeric, rel=1e-6)


# gradient().


def test_gradient_keeps_grad_and_graph():
    x = leaf(2.0)
    y = x * x
    assert [g.item() for g in y.gradient(x)] == [4.0]
    assert [g.item() for g in y.gradient(x)] == [4.0]
    assert x.grad is None


def test_gradient_accepts_intermediate_results():
    x = leaf(2.0)
    y = x * x
    z = y * y
    of_y, of_x, of_z = z.gradient(y, x, z)
    assert (of_y.item(), of_x.item(), of_z.item()) == (8.0, 32.0, 1.0)


def test_gradient_runs_only_nodes_on_a_path_to_a_target():
    x, far = leaf(2.0), leaf(3.0)

    @op("x", vjps={"x": lambda grad_out: pytest.fail("was called")})
    def trap(x):
        return x * 1.0

    (grad,) = (x * trap(far)).gradient(x)
    assert grad.item() == 3.0


def test_returned_gradients_share_no_memory():
    x, y = leaf(1.0, 2.0), leaf(1.0, 2.0)
    first, second = (x + y).gradient(x, y, gradient=np.ones(2))
    assert not np.shares_memory(first.data, second.data)


def test_repeated_target_has_two_gradients():
    x = leaf(1.0, 2.0)
    first, second = (x * 3).sum().gradient(x, x)
    assert first.tolist() == second.tolist() == [3.0, 3.0]
    assert not np.shares_memory(first.data, second.data)


def test_gradient_of_unused_target_raises():
    x, unused = leaf(2.0), leaf(np.ones(3))
    with pytest.raises(GraphError, match=r"target 1 of shape \(3,\) was not used"):
        (x * x).gradient(x, unused)


def test_gradient_of_constant_target_raises():
    x = leaf(2.0)
    with pytest.raises(GraphError, match="target 0 does not require a gradient"):
        (x * x).gradient(Tensor(1.0))


# Upstream gradients.


def test_several_elements_without_upstream_gradient_raise():
    x = leaf(1.0, 2.0)
    words = r"expected a tensor with one element, got shape \(2,\)\. Pass a `gradient`"
    with pytest.raises(ShapeError, match=f"^backward: {words}"):
        (x * 2).backward()
    with pytest.raises(ShapeError, match=f"^gradient: {words}"):
        (x * 2).gradient(x)


@pytest.mark.parametrize("upstream", [np.ones(3), Tensor([1.0, 1.0])])
def test_invalid_upstream_gradient_raises(upstream):
    with pytest.raises(
        ShapeError, match=r"expected a `gradient` of shape \(2,\) and dtype float64, got \("
    ):
        (leaf(1.0, 2.0) * 2).backward(upstream)


def test_backward_without_a_graph_raises():
    with pytest.raises(
        GraphError, match=r"does not require a gradient\. Compute it outside no_grad\(\)"
    ):
        Tensor(1.0).backward()


# Shared memory and recording.


def test_gradients_with_graphs_share_no_memory():
    a, b, seed = leaf(1.0, 2.0), leaf(1.0, 2.0), Tensor(np.ones(2))
    (a + b).backward(seed, create_graph=True)
    with no_grad():
        a.grad[0] = 5.0
    assert b.grad.tolist() == seed.tolist() == [1.0, 1.0]


def test_summing_gradients_changes_no_other_gradient():
    """Gradients of a and b share memory at first; summing into one must not change the other."""
    x = leaf(1.0)
    a, b = x * 1, x * 1
    d, c = a * 3, a + b
    upstream = np.ones(())
    assert [g.item() for g in (c + d).gradient(a, b, gradient=upstream)] == [4.0, 1.0]
    assert upstream == 1.0


def test_first_order_gradients_have_no_graph():
    seen = []

    @op("x", vjps={"x": lambda grad_out: seen.append(thread.state.recording) or grad_out})
    def watched(x):
        return x * 1

    x = leaf(1.0)
    watched(x).backward()
    watched(x).gradient(x, create_graph=True)
    assert seen == [False, True]
    assert not x.grad.requires_grad


# Gradients that kernels overwrite.


def block(x, weight, bias):
    """Apply several relus, which overwrite their upstream gradient, between other ops."""
    hidden = x.conv2d(weight, bias, padding=1)
    first = hidden.relu()
    pooled = first.max_pool2d(2).relu()
    # `first` and `again` are each used more than once.
    again = (first.relu() * first).max_pool2d(2).relu()
    # The mean gives zero entries a gradient as well.
    everywhere = first.avg_pool2d(2)
    return hidden, first, pooled, (pooled * again + again.relu() + everywhere).relu()


def leaves(seed=0):
    generator = np.random.default_rng(seed)
    shapes = [(2, 3, 8, 8), (4, 3, 3, 3), (4,)]
    return [Tensor(generator.standard_normal(shape), requires_grad=True) for shape in shapes]


def grads_of(tensors):
    return [tensor.grad.data.copy() for tensor in tensors]


def test_overwriting_gives_the_same_gradients_as_hooks():
    """A hook may keep the gradient it receives, so with hooks nothing is overwritten."""
    plain, watched = leaves(), leaves()
    block(*plain)[-1].sum().backward()
    stages = block(*watched)
    kept = []
    for stage in stages:
        stage.register_hook(kept.append)
        stage.retain_grad()
    stages[-1].sum().backward()
    for got, expected in zip(grads_of(plain), grads_of(watched), strict=True):
        np.testing.assert_array_equal(got, expected)
    # Hooks run newest node first; the gradients they kept are unchanged.
    for stage, grad in zip(reversed(stages), kept, strict=True):
        np.testing.assert_array_equal(grad.data, stage.grad.data)


def test_retained_graph_gives_the_same_gradients_twice():
    tensors = leaves()
    out = block(*tensors)[-1].sum()
    out.backward(retain_graph=True)
    once = grads_of(tensors)
    out.backward()
    for twice, grad in zip(grads_of(tensors), once, strict=True):
        np.testing.assert_allclose(twice, 2 * grad, rtol=1e-12)


def test_upstream_gradient_is_not_changed():
    upstream = np.random.default_rng(0).standard_normal((2, 4, 4, 4))
    before = upstream.copy()
    block(*leaves())[-1].backward(upstream)
    np.testing.assert_array_equal(upstream, before)


def test_gradients_of_several_targets_match_single_ones():
    tensors = leaves()
    hidden, first, pooled, out = block(*tensors)
    total = out.sum()
    together = total.gradient(hidden, first, pooled, *tensors)
    for target, grad in zip([hidden, first, pooled, *tensors], together, strict=True):
        np.testing.assert_allclose(grad.data, total.gradient(target)[0].data, rtol=1e-12)


@pytest.mark.parametrize("create_graph", [False, True])
def test_deep_network_matches_central_differences(create_graph):
    generator = np.random.default_rng(0)
    model = nn.Sequential(
        nn.Conv2d(1, 2, 3, padding=1, generator=generator),
        nn.BatchNorm2d(2),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(8, 3, generator=generator),
        nn.ReLU(),
        nn.Linear(3, 2, generator=generator),
    ).astype(np.float64)
    images = Tensor(generator.standard_normal((5, 1, 4, 4)))
    model(images).square().sum().backward(create_graph=create_graph)
    for parameter in model.parameters():
        expected = np.empty(parameter.shape)
        for place in np.ndindex(parameter.shape):
            kept, ends = parameter.data[place], []
            for step in (1e-6, -1e-6):
                parameter.data[place] = kept + step
                ends.append(model(images).square().sum().item())
            parameter.data[place] = kept
            expected[place] = (ends[0] - ends[1]) / 2e-6
        np.testing.assert_allclose(parameter.grad.data, expected, rtol=1e-5, atol=1e-7)


def test_gradient_stops_at_a_target_with_a_freed_graph():
    x = leaf([2.0])
    y = x * x
    z = y.exp()
    y.sum().backward()
    np.testing.assert_allclose(z.gradient(y, gradient=np.ones(1))[0].data, np.exp(4.0))
    with pytest.raises(GraphError, match="was freed"):
        z.gradient(x, gradient=np.ones(1))


def test_gradient_of_the_root_is_a_copy():
    y = leaf(1.0, 2.0) * 1
    seed = np.array([3.0, 4.0])
    (grad,) = y.gradient(y, gradient=seed)
    assert not np.shares_memory(grad.data, seed)


def test_changing_the_upstream_gradient_later_changes_no_gradient():
    """The graph of the gradients saves the upstream gradient, so it must be a copy."""
    x, cotangent = leaf([1.0, 2.0]), np.ones(2)
    (slope,) = (x * x * x).gradient(x, gradient=cotangent, create_graph=True)
    cotangent[:] = 5.0
    assert slope.gradient(x, gradient=np.ones(2))[0].tolist() == [6.0, 12.0]


def test_kernel_may_return_grad_out_in_a_later_call():
    @op(
        "k x",
        vjps={"x": lambda grad_out, k: grad_out * k},
        backward=lambda grad_out, k: [grad_out if k == 1 else grad_out * k],
    )
    def scaled(x, *, k):
        return x * k

    for factor in (2, 1):
        x, y = leaf([1.0]), leaf([1.0])
        (scaled(x, k=factor) + y + x + x).sum().backward()
        assert (x.grad.tolist(), y.grad.tolist()) == ([factor + 2.0], [1.0])


def test_nodes_are_visited_newest_first_in_a_wide_graph():
    """The order does not depend on the order in which the branches are reached."""
    seen = []
    x = leaf([1.0])
    branches = [x * n for n in range(7)]
    for branch in branches:
        branch.register_hook(lambda grad, order=branch.node.order: seen.append(order))
    tops = [branch * 1 for branch in branches]
    total = tops[3]
    for place in (0, 6, 1, 5, 2, 4):
        total = tops[place] + total
    total.backward()
    assert seen == sorted(seen, reverse=True)
    assert x.grad.tolist() == [21.0]


def test_gradient_without_targets_is_empty():
    y = leaf([1.0]) * 2
    y.backward()
    assert y.gradient() == []


@pytest.mark.parametrize("create_graph", [False, True])
def test_many_float16_gradients_are_summed_in_float32(create_graph):
    """In float16, a sum of ones stops at 2048."""
    x, count = leaf(1.0, dtype=np.float16), 3000
    middle = x * 1
    total = Tensor(np.float32(0))
    for _ in range(count):
        total = total + middle.float() + x.float()
    total.backward(create_graph=create_graph)
    assert x.grad.dtype == np.float16
    assert x.grad.item() == 2 * count


def test_float16_gradient_of_a_target_and_in_a_hook_is_float16():
    x, seen = leaf(1.0, dtype=np.float16), []
    y = x * 2
    y.register_hook(lambda grad: seen.append((grad.dtype, grad.item())))
    of_y, of_x = (y + y + y).gradient(y, x)
    assert seen == [(np.float16, 3.0)]
    assert (of_y.dtype, of_x.dtype) == (np.float16, np.float16)
    assert (of_y.item(), of_x.item()) == (3.0, 6.0)
