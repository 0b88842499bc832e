"""The engine: order, accumulation, freeing, modes, guards, derivatives of any order."""

import gc
import math
import threading
import time
import weakref

import numpy as np
import pytest

from tinygrad_np import Tensor, enable_grad, no_grad, op, ops
from tinygrad_np.autograd.tape import mode
from tinygrad_np.errors import DtypeError, GraphError, ShapeError
from tinygrad_np.nn import Parameter


def leaf(*values, dtype=np.float64):
    """Return a float64 leaf that requires a gradient."""
    return Tensor(np.array(values[0] if len(values) == 1 else values, dtype), requires_grad=True)


# Order and accumulation.


def test_a_value_used_twice_gathers_both_gradients():
    x = leaf(3.0)
    (x * x + x).backward()
    assert x.grad.item() == 7.0


def test_a_second_backward_adds_to_the_first():
    x = leaf(1.0, 2.0)
    (x * x).sum().backward()
    first = x.grad
    (x * x).sum().backward()
    assert x.grad.tolist() == [4.0, 8.0]
    assert first.tolist() == [2.0, 4.0]


def test_uses_are_gathered_before_a_node_is_passed():
    """y is used early and late: a depth-first walk would pass it too soon."""
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


def test_a_frozen_leaf_gets_none():
    x, frozen = leaf(2.0), Tensor(np.array(5.0))
    (x * frozen).backward()
    assert frozen.grad is None


def test_a_leaf_is_its_own_gradient():
    x = leaf(1.0, 2.0)
    upstream = np.array([3.0, 4.0])
    x.backward(upstream)
    upstream[0] = 9.0
    assert x.grad.tolist() == [3.0, 4.0]


def test_a_diamond_of_60_levels_takes_linear_time():
    """2^60 paths, 120 nodes; four times the levels take about four times as long."""

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
def test_a_chain_of_100_000_ops():
    x = leaf(0.0, dtype=np.float32)
    y = x
    for _ in range(50_000):
        y = y * 1.0 + 1.0
    y.backward()
    assert y.item() == 50_000
    assert x.grad.item() == 1.0


@pytest.mark.slow
def test_a_chain_of_100_000_ops_is_freed_without_a_backward():
    x = leaf(0.0)
    y = x
    for _ in range(100_000):
        y = y + 1.0
    node = weakref.ref(y)
    del y
    assert node() is None


def test_the_chain_differentiates_twice():
    x = leaf(1.0)
    y = x
    for _ in range(2000):
        y = y * x
    (first,) = y.gradient(x, create_graph=True)
    (second,) = first.gradient(x)
    assert first.item() == 2001
    assert second.item() == 2001 * 2000


# Freeing.


def test_a_graph_is_freed_by_reference_counting_alone():
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


def test_backward_frees_as_it_goes():
    x = leaf(np.ones(10))
    hidden = x.exp()
    gone = weakref.ref(hidden.data)
    out = (hidden * hidden).sum()
    del hidden
    out.backward()
    assert gone() is None
    assert out.item() > 0


def test_a_second_backward_over_a_freed_graph_says_what_to_do():
    x = leaf(2.0)
    y = x * x
    y.backward()
    with pytest.raises(GraphError, match=r"op 'mul' .* was freed .* retain_graph=True"):
        y.backward()


def test_retain_graph_keeps_it():
    x = leaf(2.0)
    y = x * x
    y.backward(retain_graph=True)
    y.backward()
    assert x.grad.item() == 8.0


# Any order.


@pytest.mark.slow
def test_the_tenth_derivative_of_a_polynomial():
    x = leaf(1.5)
    y = x
    for _ in range(11):
        y = y * x
    for _ in range(10):
        (y,) = y.gradient(x, create_graph=True)
    assert y.item() == pytest.approx(math.factorial(12) / 2 * 1.5**2)


def test_create_graph_in_backward():
    x = leaf(3.0)
    (x * x * x).backward(create_graph=True)
    first = x.grad
    x.grad = None
    first.backward()
    assert x.grad.item() == 18.0


def test_a_gradient_penalty_reaches_the_weights():
    """d/dw of (d/dx w x^2)^2 at x = 3, w = 2 is 2 (2 w x) (2 x) = 144."""
    x, w = leaf(3.0), leaf(2.0)
    (slope,) = (w * x * x).gradient(x, create_graph=True)
    (slope * slope).backward()
    assert w.grad.item() == 144.0


def test_second_derivative_through_a_fused_op():
    """The definition of cross-entropy is differentiated: its Hessian is diag(p) - p pᵀ."""
    logits = leaf([[0.3, -1.0, 2.0]])
    (grad,) = logits.cross_entropy([2]).gradient(logits, create_graph=True)
    rows = [grad[0, i].gradient(logits)[0].data[0] for i in range(3)]
    p = np.exp(logits.data[0]) / np.exp(logits.data[0]).sum()
    np.testing.assert_allclose(rows, np.diag(p) - np.outer(p, p), rtol=1e-12)


def test_second_derivative_where_both_inputs_are_one_tensor():
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


def test_create_graph_works_inside_no_grad():
    x = leaf(3.0)
    y = x * x
    with no_grad():
        (first,) = y.gradient(x, create_graph=True)
    assert first.requires_grad


# gradient().


def test_gradient_leaves_grad_and_graph_alone():
    x = leaf(2.0)
    y = x * x
    assert [g.item() for g in y.gradient(x)] == [4.0]
    assert [g.item() for g in y.gradient(x)] == [4.0]
    assert x.grad is None


def test_gradient_for_values_inside_the_graph():
    x = leaf(2.0)
    y = x * x
    z = y * y
    of_y, of_x, of_z = z.gradient(y, x, z)
    assert (of_y.item(), of_x.item(), of_z.item()) == (8.0, 32.0, 1.0)


def test_gradient_passes_only_what_leads_to_a_target():
    x, far = leaf(2.0), leaf(3.0)

    @op("x", vjps={"x": lambda grad_out: pytest.fail("was passed")})
    def trap(x):
        return x * 1.0

    (grad,) = (x * trap(far)).gradient(x)
    assert grad.item() == 3.0


def test_gradients_returned_share_no_memory():
    x, y = leaf(1.0, 2.0), leaf(1.0, 2.0)
    first, second = (x + y).gradient(x, y, gradient=np.ones(2))
    assert not np.shares_memory(first.data, second.data)


def test_gradient_of_an_unused_target_is_refused():
    x, unused = leaf(2.0), leaf(np.ones(3))
    with pytest.raises(GraphError, match=r"target 1, of shape \(3,\), was not used"):
        (x * x).gradient(x, unused)


def test_gradient_of_a_constant_target_is_refused():
    x = leaf(2.0)
    with pytest.raises(GraphError, match="target 0 does not require a gradient"):
        (x * x).gradient(Tensor(1.0))


# Seeds.


def test_backward_of_several_entries_needs_a_gradient():
    with pytest.raises(ShapeError, match=r"output has shape \(2,\); give gradient="):
        (leaf(1.0, 2.0) * 2).backward()


@pytest.mark.parametrize("upstream", [np.ones(3), Tensor([1.0, 1.0])])
def test_a_seed_must_fit(upstream):
    with pytest.raises(ShapeError, match=r"got a gradient of shape .* expected the output's"):
        (leaf(1.0, 2.0) * 2).backward(upstream)


def test_backward_without_a_graph_says_why():
    with pytest.raises(GraphError, match="does not require a gradient; make an input"):
        Tensor(1.0).backward()


# Modes.


def test_no_grad_records_nothing_and_enable_grad_records_within():
    x = leaf(2.0)
    with no_grad():
        assert not (x * x).requires_grad
        with enable_grad():
            assert (x * x).requires_grad
        assert not (x * x).requires_grad
    assert (x * x).requires_grad


def test_no_grad_ends_with_an_exception():
    x = leaf(2.0)
    with pytest.raises(KeyError), no_grad():
        raise KeyError
    assert (x * x).requires_grad


def test_no_grad_decorates_also_recursive_functions():
    x = leaf(2.0)

    @no_grad()
    def power(n):
        return x if n == 0 else power(n - 1) * x

    assert not power(3).requires_grad
    assert (x * x).requires_grad


def test_one_no_grad_can_be_entered_twice():
    x, off = leaf(2.0), no_grad()
    with off, off:
        assert not (x * x).requires_grad
    assert (x * x).requires_grad


def test_no_grad_is_of_its_thread():
    x, seen = leaf(2.0), []
    with no_grad():
        thread = threading.Thread(target=lambda: seen.append((x * x).requires_grad))
        thread.start()
        thread.join()
    assert seen == [True]


def test_two_threads_record_and_go_back_at_once():
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


# Changes in place.


def test_a_saved_leaf_that_was_changed_is_noticed():
    x = leaf(1.0, 2.0)
    y = (x * x).sum()
    with no_grad():
        x[0] = 5.0
    with pytest.raises(GraphError, match=r"op 'mul' .* changed in place afterwards"):
        y.backward()


def test_a_saved_output_that_was_changed_is_noticed():
    y = leaf(1.0, 2.0).exp()
    loss = y.sum()
    y.detach()[0] = 0.0
    with pytest.raises(GraphError, match="op 'exp'"):
        loss.backward()


@pytest.mark.parametrize(
    "view", [lambda x: x.reshape(2, 1), lambda x: x[:1], lambda x: x.detach(), lambda x: x.T]
)
def test_a_change_through_a_view_is_noticed(view):
    x = leaf(1.0, 2.0)
    y = (x * x).sum()
    with no_grad():
        view(x)[0] = 5.0
    with pytest.raises(GraphError, match="changed in place"):
        y.backward()


def test_a_change_that_no_backward_needs_is_allowed():
    x = leaf(1.0, 2.0)
    y = (x + x).sum()
    with no_grad():
        x[0] = 5.0
    y.backward()
    assert x.grad.tolist() == [2.0, 2.0]


def test_a_change_before_the_forward_is_allowed():
    x = leaf(1.0, 2.0)
    with no_grad():
        x[0] = 5.0
    (x * x).sum().backward()
    assert x.grad.tolist() == [10.0, 4.0]


def test_an_array_given_to_an_op_may_be_changed_afterwards():
    x, weights = leaf(1.0, 2.0), np.array([3.0, 4.0])
    y = (x * weights).sum()
    weights[:] = 0
    y.backward()
    assert x.grad.tolist() == [3.0, 4.0]


def test_an_index_given_to_an_op_may_be_changed_afterwards():
    x, index = leaf(1.0, 2.0), np.array([0, 0])
    y = x[index].sum()
    index[:] = 1
    y.backward()
    assert x.grad.tolist() == [2.0, 0.0]


def test_setitem_in_a_graph_is_refused():
    x = leaf(1.0, 2.0)
    for tensor in (x, x * 2):
        with pytest.raises(GraphError, match="setitem: this tensor requires a gradient"):
            tensor[0] = 1.0
    assert x.tolist() == [1.0, 2.0]


def test_augmented_assignment_makes_a_new_tensor():
    x = leaf(1.0, 2.0)
    y = x
    y += 1
    assert y is not x
    y.sum().backward()
    assert x.grad.tolist() == [1.0, 1.0]


# Records.


def test_classes_of_results():
    weight = Parameter(np.ones(2))
    assert type(weight * 2) is Tensor
    assert type(2 * weight) is Tensor
    assert type(np.ones(2) * weight) is Tensor


def test_a_vjp_of_another_dtype_is_refused():
    @op("x", vjps={"x": lambda grad_out: grad_out.astype(np.float64)})
    def leaky(x):
        return x * 1

    x = leaf(1.0, dtype=np.float32)
    with pytest.raises(GraphError, match=r"'leaky' .* dtype float64, expected float32"):
        leaky(x).backward()


def test_a_vjp_of_another_shape_is_refused():
    @op("x", vjps={"x": lambda grad_out: grad_out[:1]})
    def short(x):
        return x * 1

    with pytest.raises(GraphError, match=r"'short' .* shape \(1,\), expected \(2,\)"):
        short(leaf(1.0, 2.0)).backward(np.ones(2))


def test_a_vjp_that_is_no_array_is_refused():
    @op("x", vjps={"x": lambda grad_out: None})
    def nothing(x):
        return x * 1

    with pytest.raises(GraphError, match="returned a NoneType"):
        nothing(leaf(1.0)).backward()


def test_a_vjp_that_fails_is_named():
    @op("x", vjps={"x": lambda grad_out: 1 / 0})
    def failing(x):
        return x * 1

    with pytest.raises(ZeroDivisionError) as caught:
        failing(leaf(1.0)).backward()
    assert caught.value.__notes__ == ["in the VJP of op 'failing' for input 0"]


def test_a_vjp_in_numpy_functions_is_told_to_be_in_ops():
    @op("sin x", vjps={"x": lambda grad_out, x: grad_out * np.cos(x)})
    def sine(x):
        return np.sin(x)

    x = leaf(1.0)
    sine(x).backward()
    with pytest.raises(TypeError) as caught:
        sine(x).gradient(x, create_graph=True)
    assert "must be written in ops, not in np functions" in caught.value.__notes__[0]


def test_an_input_without_a_vjp_is_named():
    @op("a b", vjps={"a": lambda grad_out, b: grad_out * b})
    def half(a, b):
        return a * b

    half(leaf(1.0), Tensor(np.array(2.0)))
    with pytest.raises(GraphError, match="half: there is no gradient for input 'b'"):
        half(leaf(1.0), leaf(2.0))


@pytest.mark.parametrize(
    ("vjps", "options", "message"),
    [
        ({"z": lambda grad_out: grad_out}, {}, "inputs are"),
        ({"x": lambda grad: grad}, {}, "must take grad_out first"),
        ({"x": lambda grad_out, y: grad_out}, {}, r"names \['y'\]"),
        ({"x": lambda grad_out, c: grad_out}, {"caches": ("c",)}, "give a definition="),
    ],
)
def test_a_record_that_does_not_fit_is_refused(vjps, options, message):
    with pytest.raises(GraphError, match=message):

        @op("x", vjps=vjps, **options)
        def wrong(x):
            return x


def test_unknown_options_are_refused():
    with pytest.raises(DtypeError, match=r"reshape: unknown \['dim'\]; its options are"):
        ops.table["reshape"](Tensor.ones(2), shape=(2,), dim=0)
    with pytest.raises(DtypeError, match=r"reshape: missing \['shape'\]"):
        ops.table["reshape"](Tensor.ones(2))


def test_nodes_print_themselves():
    y = leaf(1.0, 2.0).exp()
    assert repr(y.node).endswith("exp (2,) float64>")
    y.sum().backward()
    assert repr(y.node).endswith("freed>")


# What must not be lost, mixed up or written over.


def test_a_partly_freed_graph_gives_no_gradient():
    x = leaf(1.0)
    y = x * 2
    other = y.sum() + x
    y.sum().backward()
    with pytest.raises(GraphError, match="was freed"):
        other.gradient(x)


def test_setitem_refuses_a_value_with_a_gradient():
    x, w = Tensor.zeros(3), leaf(3.0, dtype=np.float32)
    with pytest.raises(GraphError, match="setitem: the value requires a gradient"):
        x[0] = w * 2
    x[0] = w.detach()
    assert x.tolist() == [3.0, 0.0, 0.0]


@pytest.mark.parametrize(
    "view", [lambda c: c.numpy(), lambda c: np.broadcast_to(c.data, (2,)), lambda c: c.data]
)
def test_an_array_over_a_tensors_memory_is_copied(view):
    x, constant = leaf(1.0, 1.0), Tensor(np.array([1.0, 1.0]))
    y = (x * view(constant)).sum()
    constant[0] = 100.0
    y.backward()
    assert x.grad.tolist() == [1.0, 1.0]


def test_an_op_on_arrays_is_given_the_arrays_themselves():
    """Nothing is recorded, so nothing need be copied."""
    given = []

    @op("x")
    def look(x):
        given.append(x)
        return x * 1

    array = np.ones(3)
    look(array)
    assert given[0] is array


def test_arrays_of_tensors_are_read_only():
    assert not np.asarray(Tensor([1.0])).flags.writeable
    assert not Tensor([1.0]).numpy().flags.writeable


def test_gradients_with_graphs_are_nobody_elses_memory():
    a, b, seed = leaf(1.0, 2.0), leaf(1.0, 2.0), Tensor(np.ones(2))
    (a + b).backward(seed, create_graph=True)
    with no_grad():
        a.grad[0] = 5.0
    assert b.grad.tolist() == seed.tolist() == [1.0, 1.0]


def test_gradients_that_are_added_up_leave_others_alone():
    """The sum into a's gradient must not be written into what b's shares."""
    x = leaf(1.0)
    a, b = x * 1, x * 1
    d, c = a * 3, a + b
    upstream = np.ones(())
    assert [g.item() for g in (c + d).gradient(a, b, gradient=upstream)] == [4.0, 1.0]
    assert upstream == 1.0


def test_a_saved_array_handed_on_is_copied():
    @op("x, oddly", vjps={"x": lambda grad_out, c: c})
    def odd(x, c):
        return x * 1

    x, c = leaf(1.0, 2.0), Tensor(np.ones(2))
    odd(x, c).backward(np.ones(2))
    x.grad[0] = 9.0
    assert c.tolist() == [1.0, 1.0]


def test_first_order_gradients_have_no_graph():
    seen = []

    @op("x", vjps={"x": lambda grad_out: seen.append(mode.now.recording) or grad_out})
    def watched(x):
        return x * 1

    x = leaf(1.0)
    watched(x).backward()
    watched(x).gradient(x, create_graph=True)
    assert seen == [False, True]
    assert not x.grad.requires_grad


def test_the_guard_holds_for_second_derivatives():
    x = leaf(2.0, 3.0)
    y = x * x * x
    (first,) = y.gradient(x, gradient=np.ones(2), create_graph=True)
    with no_grad():
        x[0] = 0.0
    with pytest.raises(GraphError, match="changed in place"):
        first.gradient(x, gradient=np.ones(2))


def test_the_guard_holds_for_outputs_in_second_derivatives():
    x = leaf(2.0)
    y = x.exp()
    (first,) = y.gradient(x, create_graph=True)
    y.detach()[...] = 0.0
    with pytest.raises(GraphError, match="changed in place"):
        first.gradient(x)


def test_replaced_data_of_a_leaf_is_noticed():
    x = leaf(3.0)
    y = x * x * x
    x.data = np.array(10.0)
    with pytest.raises(GraphError, match=r"\.data was replaced"):
        y.gradient(x, create_graph=True)


def test_a_copy_is_not_guarded_with_its_source():
    w = leaf([[1.0, 2.0], [3.0, 4.0]])
    flat = w.T.reshape(-1)
    loss = (flat * flat).sum()
    with no_grad():
        w[0] = 5.0
    loss.backward()
    assert w.grad.tolist() == [[2.0, 4.0], [6.0, 8.0]]


def test_one_no_grad_in_two_threads():
    off, x = no_grad(), leaf(1.0)
    inside, leave = threading.Event(), threading.Event()

    def work():
        with no_grad(), off:
            inside.set()
            leave.wait()

    thread = threading.Thread(target=work)
    thread.start()
    inside.wait()
    with off:
        leave.set()
        thread.join()
    assert (x * x).requires_grad


@pytest.mark.parametrize(
    ("result", "message"),
    [(None, "returned a NoneType"), ((1.0, 2.0), "returned a tuple"), ("text", "returned a str")],
)
def test_a_forward_must_return_an_array(result, message):
    @op("nothing")
    def wrong(x):
        return result

    with pytest.raises(GraphError, match=f"wrong: the forward {message}"):
        wrong(leaf(1.0))


def test_op_asks_for_its_formula():
    with pytest.raises(DtypeError, match="op: got no formula"):
        op(lambda x: x)


# Dtypes.


@pytest.mark.parametrize(
    ("make", "dtype"),
    [
        (lambda: Tensor([1, 2]) + Tensor([1.0, 2.0]), np.float32),
        (lambda: Tensor([1, 2]) * 2.5, np.float32),
        (lambda: Tensor([1, 2]) + 2, np.int64),
        (lambda: Tensor([True]) + 2, np.int64),
        (lambda: Tensor([True]) + Tensor([2]), np.int64),
        (lambda: Tensor([1, 2]) / 2, np.float32),
        (lambda: Tensor([1.0]) * np.float64(2), np.float32),
        (lambda: Tensor([1.0]) * np.array(2.0), np.float32),
        (lambda: Tensor([1.0]) * Tensor(np.array(2.0)), np.float32),
        (lambda: Tensor([1.0]) * np.array([2.0]), np.float64),
        (lambda: Tensor([1]) * Tensor(np.array(2.0)), np.float64),
        (lambda: Tensor([1.0]).half() * 2.0, np.float16),
        (lambda: Tensor(np.ones(70_000, np.int32)) + Tensor([1.0]), np.float32),
        (lambda: Tensor(np.ones(70_000, bool)) + 1, np.int64),
        (lambda: Tensor([9, 9]).dropout(0.5), np.float32),
        (lambda: Tensor(np.full((1, 1, 4, 4), 8)).avg_pool2d(2), np.float32),
        (lambda: Tensor([1, 2]).mean(), np.float32),
        (lambda: Tensor([True, True]).sum(), np.int64),
        (lambda: Tensor([1.0]) > 0, np.bool_),
    ],
)
def test_dtypes_of_results(make, dtype):
    assert make().dtype == dtype


def test_gradients_go_back_to_each_inputs_dtype():
    x, y = leaf([1.0, 2.0], dtype=np.float32), leaf([3.0, 4.0])
    (x * y).sum().backward()
    assert (x.grad.dtype, y.grad.dtype) == (np.float32, np.float64)
    assert x.grad.tolist() == [3.0, 4.0]


def test_complex_numbers_are_refused():
    with pytest.raises(DtypeError, match="dtype complex128"):
        leaf(1.0) * np.array([1j])


def test_float16_is_summed_in_float32():
    x = Tensor(np.ones((4096, 2), np.float16))
    assert x.sum(axis=0).tolist() == [4096, 4096]
    assert (x * 100).mean().item() == 100
    assert np.isfinite(Tensor(np.zeros((1, 100_000), np.float16)).log_softmax().data).all()


def test_integer_pools_average():
    assert Tensor(np.full((1, 1, 2, 2), 8)).avg_pool2d(2).item() == 8


# Kinks and nans, as in PyTorch.


def test_ties_of_max_share_evenly():
    x = leaf(3.0, 1.0, 3.0)
    x.max().backward()
    assert x.grad.tolist() == [0.5, 0.0, 0.5]


def test_ties_of_maximum_are_halved():
    x, y = leaf(1.0, 2.0, 3.0), leaf(2.0, 2.0, 2.0)
    x.maximum(y).sum().backward()
    assert x.grad.tolist() == [0.0, 0.5, 1.0]
    assert y.grad.tolist() == [1.0, 0.5, 0.0]


def test_relu_at_its_kink_and_at_nan():
    x = leaf(-1.0, 0.0, 2.0, np.nan)
    x.relu().backward(np.ones(4))
    assert x.grad.tolist() == [0.0, 0.0, 1.0, 1.0]


def test_what_relu_shuts_off_stays_zero_also_times_inf():
    x = leaf(-1.0, 4.0)
    with np.errstate(divide="ignore"):
        x.relu().sqrt().sum().backward()
    assert x.grad.tolist() == [0.0, 0.25]


def test_nans_win():
    x = leaf(np.nan, 1.0)
    x.max().backward()
    assert x.grad.tolist() == [1.0, 0.0]
    image = leaf([[[[1.0, np.nan], [3.0, 2.0]]]])
    image.max_pool2d(2).sum().backward()
    assert image.grad.data.ravel().tolist() == [0.0, 1.0, 0.0, 0.0]
    y = leaf(np.nan)
    y.maximum(1.0).backward()
    assert y.grad.item() == 1.0


def test_powers_at_zero():
    base, exponent = leaf(0.0, 0.0, 2.0), leaf(0.0, 2.0, 0.0)
    (base**exponent).sum().backward()
    assert base.grad.tolist() == [0.0, 0.0, 0.0]
    assert exponent.grad.tolist() == [0.0, 0.0, pytest.approx(math.log(2))]


@pytest.mark.parametrize(("base", "slope"), [(2.0, math.log(2)), (0.0, 0.0), (1, 0.0)])
def test_powers_of_a_number(base, slope):
    exponent = leaf(0.0, 1.0)
    (base**exponent)[0].backward()
    assert exponent.grad.tolist() == [pytest.approx(slope), 0.0]


def test_a_power_with_an_infinite_exponent():
    base, exponent = leaf(2.0), leaf(np.inf)
    (base**exponent).backward()
    assert exponent.grad.item() == np.inf


def test_the_mixed_second_derivative_of_a_power_at_exponent_zero():
    a, b = leaf(2.0), leaf(0.0)
    (of_a,) = (a**b).gradient(a, create_graph=True)
    assert of_a.gradient(b)[0].item() == 0.5


def test_windows_wholly_in_the_padding():
    x, weight = leaf(np.ones((1, 1, 2, 2))), leaf(np.ones((1, 1, 1, 1)))
    out = x.conv2d(weight, padding=3)
    assert out.data.sum() == 4
    out.sum().backward()
    assert x.grad.data.tolist() == [[[[1, 1], [1, 1]]]]


def test_a_loss_over_nothing_is_nan_without_a_warning():
    assert np.isnan(Tensor(np.zeros((0, 3))).cross_entropy(np.zeros(0, np.int64)).item())
