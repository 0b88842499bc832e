"""In-place operators: `x += y` and the like, inside and outside a graph."""

import math
import operator

import numpy as np
import pytest

from tests.tools import each, leaf
from tinygrad_np import Tensor, nn, no_grad, ops, transforms
from tinygrad_np.autograd.tape import Variable
from tinygrad_np.errors import DtypeError, GraphError, ShapeError
from tinygrad_np.gradcheck import gradcheck, gradgradcheck

# The in-place operator, the operator that computes the same values, and whether it has a gradient.
OPERATORS = [
    (operator.iadd, operator.add),
    (operator.isub, operator.sub),
    (operator.imul, operator.mul),
    (operator.itruediv, operator.truediv),
    (operator.ipow, operator.pow),
    (operator.imod, operator.mod),
]
INTEGER_OPERATORS = [
    (operator.iadd, operator.add),
    (operator.ifloordiv, operator.floordiv),
    (operator.iand, operator.and_),
    (operator.ior, operator.or_),
    (operator.ixor, operator.xor),
    (operator.ilshift, operator.lshift),
    (operator.irshift, operator.rshift),
]
VALUE = np.array([[1.5, 2.5], [3.5, 0.5]])


# Outside a graph.


@each(("change", "compute"), OPERATORS + INTEGER_OPERATORS)
def test_operator_changes_the_memory_of_a_plain_tensor(change, compute):
    array = np.array([[7, 2], [3, 9]])
    array = array if (change, compute) in INTEGER_OPERATORS else array.astype(np.float32)
    x = Tensor.from_numpy(array)
    row, expected = x[0], compute(x, 2).numpy()
    assert change(x, 2) is x
    np.testing.assert_array_equal(array, expected)
    np.testing.assert_array_equal(row.numpy(), expected[0])


def test_gradient_step_inside_no_grad_changes_the_parameter():
    p = leaf(1.0, 2.0)
    alias = p
    (p * p).sum().backward()
    with no_grad():
        p -= 0.1 * p.grad
    assert p is alias
    assert p.requires_grad
    assert p.is_leaf
    np.testing.assert_allclose(p.numpy(), [0.8, 1.6])


def test_parameter_of_a_module_stays_the_same_object():
    layer = nn.Linear(2, 1)
    weight, before = layer.weight, layer.weight.numpy().copy()
    with no_grad():
        layer.weight -= 1.0
        layer.weight *= 2.0
    assert layer.weight is weight
    np.testing.assert_allclose(weight.numpy(), (before - 1) * 2, rtol=1e-6)


def test_array_of_a_leaf_can_be_changed_by_a_tensor():
    w = leaf(1.0, 2.0)
    (w * w).sum().backward()
    w.data -= 0.1 * w.grad
    assert type(w.data) is np.ndarray
    np.testing.assert_allclose(w.data, [0.8, 1.6])


def test_array_of_a_leaf_can_be_replaced():
    w, other = leaf(1.0, 2.0), Tensor(np.array([3.0, 4.0]))
    for value in (other, other.data, w.data + 2):
        w.data = value
        assert type(w.data) is np.ndarray
        assert w.tolist() == [3.0, 4.0]
    w.data = other
    w.data[0] = 7.0
    assert other.tolist() == [3.0, 4.0]
    with no_grad():
        w.data = w - 0.5 * other  # by a plain Tensor
    assert w.tolist() == [5.5, 2.0]
    assert w.requires_grad


@each(
    ("value", "error", "message"),
    [
        ([1.0, 2.0], DtypeError, "data: expected an ndarray of numbers in native byte order, got "),
        (np.array([1, 2]), DtypeError, "data: expected an array of dtype float64, .* got int64."),
        (np.ones(2, np.float32), DtypeError, r"Convert the array with .astype\(np.float64\)."),
        (np.array([1.0], ">f4"), DtypeError, "native byte order, got numpy.ndarray of dtype >f4"),
        (np.ma.masked_array([1.0, 2.0], [0, 1]), DtypeError, r"data: .*\.filled"),
        (leaf(1.0, 2.0) * 2, GraphError, r"\.detach\(\)"),
    ],
)
def test_array_of_a_leaf_is_checked_when_it_is_replaced(value, error, message):
    w = leaf(1.0, 2.0)
    with pytest.raises(error, match=message):
        w.data = value
    assert w.tolist() == [1.0, 2.0]


def test_array_that_replaces_another_is_copied():
    """Otherwise, an update of one network would change what another one has saved."""
    online, target = leaf(1.0, 2.0), leaf(0.0, 0.0)
    target.data = online.data
    loss = (target * target).sum()
    with no_grad():
        online += 1
    loss.backward()
    assert target.grad.tolist() == [2.0, 4.0]


def test_operator_on_the_array_of_a_saved_tensor_is_detected():
    w = leaf(1.0, 2.0)
    loss = (w * w).sum()
    w.data -= 1.0
    with pytest.raises(GraphError, match="changed in place after the op ran"):
        loss.backward()


def test_saved_tensor_changed_in_place_raises():
    x, constant = leaf(1.0, 2.0), Tensor(np.array([3.0, 4.0]))
    y = (x * constant).sum()
    constant += 1
    with pytest.raises(GraphError, match=r"op 'mul' .* changed in place after the op ran"):
        y.backward()


@each(
    ("change", "error", "message"),
    [
        (
            lambda: operator.iadd(Tensor([1, 2]), 1.5),
            DtypeError,
            r"\+=: expected a result of dtype int64, got float32. Compute a new tensor instead.",
        ),
        (lambda: operator.itruediv(Tensor([1, 2]), 2), DtypeError, "/=: expected a result of"),
        (
            lambda: operator.imul(Tensor([1.0]), Tensor([1.0, 2.0])),
            ShapeError,
            r"\*=: expected a result of shape \(1,\), got \(2,\).",
        ),
        (
            lambda: operator.isub(Tensor([1.0]).expand(3), 1),
            GraphError,
            r"-=: the memory of this tensor of shape \(3,\) is read-only",
        ),
        (lambda: operator.iadd(leaf(1.0), 1), GraphError, r"\+=: this tensor is a leaf that"),
        (
            lambda: operator.ipow(leaf(1.0, 2.0)[:1], 2),
            GraphError,
            r"\*\*=: this tensor is a view of a leaf that requires a gradient",
        ),
        (
            lambda: operator.imul(leaf(np.ones((2, 2))).T.reshape(2, 2)[0], 2),
            GraphError,
            r"\*=: this tensor is a view of a leaf",
        ),
    ],
)
def test_invalid_changes_raise(change, error, message):
    with pytest.raises(error, match=message):
        change()


def test_failed_change_leaves_the_tensor_unchanged():
    x = leaf(1.0, 2.0) * 1
    node = x.node
    for wrong in (np.ones((2, 2)), np.ones(3), "a"):
        with pytest.raises((DtypeError, ShapeError)):
            x += wrong
    assert x.tolist() == [1.0, 2.0]
    assert x.node is node


def test_wider_operand_is_rounded_to_the_dtype():
    x = leaf(1.0, 2.0, dtype=np.float32) * 1
    x += leaf(1.0, 2.0)
    assert x.dtype == np.float32
    assert x.tolist() == [2.0, 4.0]


# Inside a graph.


@each(("change", "compute"), OPERATORS)
def test_change_of_a_result_has_the_gradients_of_the_operator(change, compute):
    def changed(x, y):
        out = x * 1.5
        change(out, y)
        return out * out

    def computed(x, y):
        out = compute(x * 1.5, y)
        return out * out

    x, y = leaf(VALUE), leaf(VALUE[:1] + 0.3)
    np.testing.assert_array_equal(changed(x, y).numpy(), computed(x, y).numpy())
    grads = [f(x, y).sum().gradient(x, y) for f in (changed, computed)]
    for ours, theirs in zip(*grads, strict=True):
        np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-12)
    gradcheck(changed, [x, y])
    gradgradcheck(changed, [x, y])


def test_plain_tensor_joins_the_graph_of_the_operand():
    x, total = leaf(1.0, 2.0), Tensor(np.zeros(2))
    for power in (1, 2, 3):
        total += x**power
    total.sum().backward()
    assert x.grad.tolist() == [6.0, 17.0]


def test_in_place_square_has_the_right_gradient():
    x = leaf(1.0, 2.0)
    y = x * 3
    y *= y
    y.sum().backward()
    assert x.grad.tolist() == [18.0, 36.0]


def test_operand_that_shares_memory_raises_or_has_the_right_gradient():
    x = leaf(1.0, 2.0)
    y = x * 3
    y *= y[::-1]  # saved by mul, then overwritten
    with pytest.raises(GraphError, match="changed in place after the op ran"):
        y.sum().backward()


def test_change_of_a_saved_result_raises_in_backward():
    x = leaf(1.0, 2.0)
    y = x.exp()
    y += 1
    with pytest.raises(GraphError, match=r"op 'exp' .* changed in place"):
        y.sum().backward()


def test_value_saved_before_two_changes_is_still_right():
    x, w = leaf(1.0, 2.0), leaf(3.0, 4.0)
    y = x * 1
    y *= w
    y += 1
    y *= w
    y.sum().backward()
    assert w.grad.tolist() == [7.0, 17.0]
    assert x.grad.tolist() == [9.0, 16.0]


def test_gradient_of_the_old_value_goes_to_the_old_node():
    x = leaf(1.0, 2.0)
    y = x * 2
    seen = []
    y.register_hook(lambda grad: seen.append(grad.tolist()))
    y.retain_grad()
    y *= 10
    (y * 3).sum().backward()
    assert seen == [[30.0, 30.0]]  # of the value when the hook was registered, as in PyTorch
    assert y.grad.tolist() == [3.0, 3.0]
    assert x.grad.tolist() == [60.0, 60.0]


@each(
    "take",
    [
        lambda y: y[:1],
        lambda y: y.reshape(2, 1),
        lambda y: y.T,
        lambda y: y.detach(),
        lambda y: y.detach()[:1],
    ],
)
def test_earlier_view_raises_when_used_and_a_later_one_does_not(take):
    x = leaf(1.0, 2.0)
    y = x * 2
    earlier = take(y)
    y *= 10
    for use in (
        lambda: earlier + 1,
        lambda: ops.exp(earlier),
        lambda: operator.iadd(earlier, y.sum()),
        lambda: earlier.__setitem__(0, 1.0),
    ):
        with pytest.raises(GraphError, match="was changed by an in-place operation on another"):
            use()
    with no_grad():
        assert (earlier + 0).numpy().ravel()[0] == 20.0
    later = take(y)
    assert (later + 0).numpy().ravel()[0] == 20.0
    if later.requires_grad:
        (grad,) = later.sum().gradient(x)
        assert grad.tolist()[0] == 20.0


def test_earlier_view_raises_as_root_and_as_target():
    x = leaf(1.0, 2.0)
    y = x * 2
    view = y[:1]
    y *= 10
    with pytest.raises(GraphError, match="in-place operation on another tensor"):
        view.backward()
    with pytest.raises(GraphError, match="in-place operation on another tensor"):
        y.sum().gradient(view)


def test_base_raises_after_a_change_of_its_view():
    plain, x = Tensor(np.zeros((2, 2))), leaf(1.0, 2.0)
    for base in (plain, leaf(VALUE) * 1):
        row = base[0]
        row += x
        with pytest.raises(GraphError, match="change a view only through its base"):
            base.sum()
        row.sum().backward()
    assert x.grad.tolist() == [2.0, 2.0]


def test_leaf_whose_memory_a_recorded_change_overwrote_raises():
    w, x = leaf(1.0, 2.0), leaf(3.0, 4.0)
    alias = w.detach()
    alias *= x
    with pytest.raises(GraphError, match="in-place operation on another tensor"):
        w * 2


def test_leaf_changed_inside_no_grad_keeps_its_views():
    w = leaf(1.0, 2.0)
    view = w[::-1]
    with no_grad():
        w += 1
    (grad,) = (view * view).sum().gradient(w)
    assert grad.tolist() == [4.0, 6.0]


def test_hook_gets_a_read_only_gradient():
    def double(grad):
        grad *= 2

    for create_graph in (False, True):
        x, y = leaf(1.0), leaf(2.0)
        x.register_hook(double)
        with pytest.raises(GraphError, match="a gradient passed to a hook"):
            (x + y).backward(create_graph=create_graph)


def test_retained_gradient_can_be_changed():
    for create_graph in (False, True):
        x = leaf(1.0, 2.0)
        y = x * x
        y.retain_grad()
        y.sum().backward(create_graph=create_graph)
        y.grad *= 2
        assert (y.grad.tolist(), x.grad.tolist()) == ([2.0, 2.0], [2.0, 4.0])


def test_results_of_gradient_share_no_memory():
    x, y, upstream = leaf(1.0, 2.0), leaf(3.0, 4.0), Tensor(np.ones(2))
    of_x, of_y = (x + y).gradient(x, y, gradient=upstream, create_graph=True)
    of_x *= 5
    of_y += 1
    assert (of_x.tolist(), of_y.tolist(), upstream.tolist()) == ([5.0] * 2, [2.0] * 2, [1.0] * 2)


def test_functions_with_local_changes_can_be_transformed():
    def f(x):
        out = x * x
        out *= x
        out[0] = 0.0
        return out.sum()

    x = Tensor(np.array([1.0, 2.0]))
    assert transforms.grad(f)(x).tolist() == [0.0, 12.0]
    assert transforms.hessian(f)(x).tolist() == [[0.0, 0.0], [0.0, 12.0]]


# Leaving the graph.


@each(
    "convert",
    [float, int, complex, math.exp, math.floor, np.float32, np.asarray, lambda t: np.full(2, t)],
)
def test_conversion_of_a_tensor_in_a_graph_raises(convert):
    for tensor in (leaf(2.0), leaf(2.0) * 2):
        with pytest.raises(GraphError, match=r"requires a gradient.*\.detach\(\)"):
            convert(tensor)
        convert(tensor.detach())


def test_assignment_to_an_array_entry_raises():
    array = np.zeros(2)
    for key in (0, slice(0, 1)):
        with pytest.raises((ValueError, GraphError)) as caught:
            array[key] = leaf(2.0)
        # For a single entry, NumPy chains its own error to ours.
        error = caught.value if isinstance(caught.value, GraphError) else caught.value.__cause__
        assert ".detach()" in str(error)
    assert array.tolist() == [0.0, 0.0]


def test_array_changed_by_a_tensor_in_a_graph_raises():
    array = np.zeros(2)
    with pytest.raises(GraphError, match=r"np\.add: .*array = array \+ x.*\.detach\(\)"):
        array += leaf(1.0, 2.0)
    assert array.tolist() == [0.0, 0.0]
    array += Tensor([1.0, 2.0])
    assert array.tolist() == [1.0, 2.0]


def test_new_leaf_from_a_tensor_in_a_graph_raises():
    for make in (Tensor, lambda t: Tensor.full((2,), t), lambda t: Tensor([0.0]).full_like(t)):
        for tensor in (leaf(1.0), leaf(1.0) * 2):
            with pytest.raises(
                GraphError, match="Tensor: the data is a tensor that requires a grad"
            ):
                make(tensor)
    assert nn.Parameter(leaf(1.0)).item() == 1.0  # a parameter of its own, with the same values
    with pytest.raises(GraphError):
        nn.Parameter(leaf(1.0) * 2)


def test_option_that_requires_a_gradient_raises():
    x, slope = leaf(1.0, 2.0), leaf(0.5)
    with pytest.raises(GraphError, match="for the option `value`, which has no gradient"):
        ops.pad_constant(x, padding=((1, 1),), value=slope)
    ops.pad_constant(x, padding=((1, 1),), value=slope.detach())


def test_tensors_without_changes_are_not_checked(monkeypatch):
    """The check costs time, so only programs that record in-place changes pay for it."""
    x = leaf(1.0, 2.0)
    monkeypatch.setattr("tinygrad_np.autograd.dispatch.was_rebased", [False])
    monkeypatch.setattr(Variable, "is_current", lambda self: 1 / 0)
    x + 1
    monkeypatch.setattr("tinygrad_np.autograd.dispatch.was_rebased", [True])
    with pytest.raises(ZeroDivisionError):
        x + 1


def test_numpy_functions_record_or_raise():
    x = leaf(1.0, 2.0)
    assert np.mean(x).requires_grad
    for call in (np.unique, np.median, np.asarray):
        with pytest.raises((GraphError, DtypeError), match=r"^(np\.)?\w+: .*\. Use "):
            call(x)


def test_a_format_shows_the_number():
    loss = leaf(0.25) * 2
    assert f"{loss:.3f}" == "0.500"
    assert f"{loss}" == str(loss)


# Views of one entry.


def test_view_of_one_entry_changes_its_base():
    w = leaf(0.0, 1.0, 2.0)
    view = w[1]
    with no_grad():
        view += 100
        for entry in w:
            entry -= 1
    assert w.tolist() == [-1.0, 100.0, 1.0]
    x = w * 1
    entry = x[1]
    x *= 10
    with pytest.raises(GraphError, match="in-place operation on another tensor"):
        entry + 1
    x[1] *= 2
    (grad,) = x.sum().gradient(w)
    assert grad.tolist() == [10.0, 20.0, 10.0]
