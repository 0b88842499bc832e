"""Assignment to entries: `x[key] = value` inside and outside a graph."""

import numpy as np
import pytest

from tests.tools import each, leaf, normal
from tinygrad_np import Tensor, no_grad, ops
from tinygrad_np.errors import AxisError, DtypeError, GraphError, ShapeError
from tinygrad_np.gradcheck import gradcheck, gradgradcheck

KEYS = [
    0,
    (slice(None), -1),
    (..., slice(None, None, -2)),
    None,
    np.array([2, 0]),
    [0, 0, 2],
    (np.array([1, 1, 1]), np.array([0, 0, 3])),
    normal(3, 4) > 0,
    normal(3) > 5,
    Tensor([1, 2]),
]


@each("key", KEYS)
def test_recorded_assignment_agrees_with_the_op(key):
    x, plain = leaf(normal(3, 4)), ops.indexing.as_numpy_key("test", key)
    selected = np.zeros((3, 4))[plain].shape
    is_mask = isinstance(key, np.ndarray) and key.dtype == bool
    # NumPy accepts no additional axes for a mask.
    for shape in (selected, (), selected if is_mask else (1, 1, *selected)):
        value = leaf(normal(*shape, seed=1))

        def assigned(x, value, key=key):
            out = x * 2
            out[key] = value * value
            return out * out

        def functional(x, value, key=plain):
            out = ops.assign(x * 2, value * value, key=key)
            return out * out

        np.testing.assert_array_equal(assigned(x, value).numpy(), functional(x, value).numpy())
        gradcheck(assigned, [x, value])
        gradgradcheck(assigned, [x, value])


def test_masking_scores_has_no_gradient_under_the_mask():
    x = leaf(normal(2, 3))
    scores, mask = x * 2, np.array([[True, False, False], [False, True, True]])
    scores[mask] = -np.inf
    (grad,) = scores.softmax().max().gradient(x)
    assert (grad.numpy()[mask] == 0).all()


def test_loop_over_time_steps_fills_a_plain_tensor():
    h = w = leaf(0.5, 0.25)
    out = Tensor(np.zeros((2, 4)))
    for step in range(4):
        h = h * w
        out[:, step] = h
    out.sum().backward()
    powers = np.arange(2, 6)
    expected = (powers * np.array([[0.5], [0.25]]) ** (powers - 1)).sum(axis=1)
    np.testing.assert_allclose(w.grad.numpy(), expected)


@each("base", ["plain", "result"])
def test_augmented_assignment_to_entries(base):
    x, y = leaf(normal(3, 2)), leaf(1.0, 2.0)
    out = x * 1 if base == "result" else Tensor(np.ones((3, 2)))
    out[0] += y * y
    out[0] *= 3.0
    out[:, 1] -= y[0]
    grads = out.sum().gradient(y, *([x] if base == "result" else []))
    assert grads[0].tolist() == [3.0, 12.0]
    if base == "result":
        assert grads[1].tolist() == [[3.0, 3.0], [1.0, 1.0], [1.0, 1.0]]


def test_write_back_of_a_part_of_a_changed_view_raises():
    x, y = leaf(normal(3, 2)), leaf(1.0, 2.0)
    out = x * 1
    rows = out[:2]
    rows += y
    with pytest.raises(GraphError, match="in-place operation on another tensor"):
        out[0] = rows[0]


def test_value_is_converted_to_the_dtype():
    x, value = leaf(1.0, 2.0, dtype=np.float32) * 1, leaf(3.0)
    x[0] = value
    assert x.dtype == np.float32
    (grad,) = x.sum().gradient(value)
    assert grad.dtype == np.float64


def test_value_that_overlaps_is_read_before_it_is_overwritten():
    x = leaf(1.0, 2.0, 3.0)
    y = x * 1
    y[1:] = y[:-1]
    assert y.tolist() == [1.0, 1.0, 2.0]
    (grad,) = (y * np.array([1.0, 10.0, 100.0])).sum().gradient(x)
    assert grad.tolist() == [11.0, 100.0, 0.0]


def test_saved_tensor_that_was_overwritten_raises():
    x = leaf(1.0, 2.0)
    y = x * 1
    loss = (y * y).sum()
    y[0] = 5.0
    with pytest.raises(GraphError, match=r"op 'mul' .* changed in place after the op ran"):
        loss.backward()


@each(
    ("assign", "error", "message"),
    [
        (lambda: leaf(1.0).__setitem__((), 1), GraphError, "setitem: this tensor is a leaf"),
        (
            lambda: leaf(1.0, 2.0)[:].__setitem__(0, 1),
            GraphError,
            "setitem: this tensor is a view of a leaf",
        ),
        (
            lambda: Tensor([1, 2]).__setitem__(0, leaf(1.0)),
            DtypeError,
            "setitem: expected a float tensor for a value that requires a gradient, got dtype int",
        ),
        (
            lambda: (leaf(1.0, 2.0) * 1).__setitem__(slice(0, 1), leaf(1.0, 2.0)),
            ShapeError,
            "setitem: could not broadcast",
        ),
        (lambda: (leaf(1.0, 2.0) * 1).__setitem__(5, 1.0), AxisError, "setitem: index 5 is out"),
        (lambda: Tensor([1.0]).__setitem__(0.5, 1.0), DtypeError, "setitem: expected an index ar"),
        (lambda: Tensor([1.0]).expand(2).__setitem__(0, 1), GraphError, "is read-only"),
        (lambda: Tensor([1.0]).__setitem__(0, "a"), DtypeError, "expected numbers, got str"),
        (lambda: Tensor([1.0]).__setitem__(0, None), DtypeError, "expected numbers, got None"),
        (
            lambda: Tensor([1.0]).__setitem__(0, np.array(1j)),
            DtypeError,
            "setitem: expected numbers, got an array of dtype complex128",
        ),
        (
            lambda: Tensor([1.0]).__setitem__(0, [leaf(1.0) * 2]),
            GraphError,
            "requires a gradient",
        ),
        (
            lambda: Tensor([1.0]).__setitem__(0, np.ma.masked_array([1.0], [1])),
            DtypeError,
            "setitem: expected an array without a mask",
        ),
        (lambda: (leaf(1.0) * 1).__setitem__((), "a"), DtypeError, "expected numbers, got str"),
    ],
)
def test_invalid_assignments_raise(assign, error, message):
    with pytest.raises(error, match=message):
        assign()


def test_list_is_converted_to_the_dtype():
    x = Tensor(np.zeros(2))
    x[:] = [0.1, 2]
    assert x.tolist() == [0.1, 2.0]
    with pytest.raises(ShapeError, match="setitem: could not broadcast"):
        x[:] = [1.0, 2.0, 3.0]


def test_failed_assignment_leaves_the_tensor_unchanged():
    y = leaf(1.0, 2.0) * 1
    node = y.node
    for key, value in ((5, 1.0), (slice(0, 1), np.ones(2)), (0, "a"), (0.5, 1.0)):
        with pytest.raises((AxisError, DtypeError, ShapeError)):
            y[key] = value
    assert y.tolist() == [1.0, 2.0]
    assert y.node is node


def test_assignment_without_recording_is_not_recorded():
    x = leaf(1.0, 2.0)
    with no_grad():
        x[0] = leaf(5.0) * 2
    assert x.tolist() == [10.0, 2.0]
    assert x.is_leaf
    plain = Tensor([1.0, 2.0])
    plain[0] = 3
    assert not plain.requires_grad


def test_long_loop_is_linear_in_memory():
    """Each assignment records one node that saves no array."""
    x = Tensor(np.zeros(1000))
    w = leaf(2.0)
    for step in range(1000):
        x[step] = w
    node, count = x.node, 0
    while node is not None:
        assert not node.saved
        node, count = node.edges[0], count + 1
    assert count == 1000
    x.sum().backward()
    assert w.grad.item() == 1000.0
