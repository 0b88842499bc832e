"""Gradients of selections such as x[:, t], which are added in place to the input's total."""

import numpy as np
import pytest

from tests.tools import each, leaf, normal
from tinygrad_np import Tensor, checkpoint, ops, profile
from tinygrad_np import op as make_op
from tinygrad_np.errors import GraphError
from tinygrad_np.runtime import memory

WAYS = {
    "x[:, t]": lambda x: [x[:, t] for t in range(x.shape[1])],
    "x[..., a:b]": lambda x: [x[..., t : t + 1] for t in range(x.shape[-1])],
    "overlapping": lambda x: [x[:, t:] for t in range(x.shape[1])],
    "select": lambda x: [x.select(1, t) for t in range(x.shape[1])],
    "unbind": lambda x: x.unbind(1),
    "split": lambda x: x.split(1, 1),
    "chunk": lambda x: x.chunk(x.shape[1], 1),
    "iteration": lambda x: list(x.transpose(0, 1)),
    "flip": lambda x: [x.flip(1)[:, t] for t in range(x.shape[1])],
    "roll": lambda x: [x.roll(t, 1) for t in range(x.shape[1])],
}


def total_of(parts):
    """Sum different multiples of the parts, so that each has a different gradient."""
    total = Tensor(0.0)
    for place, part in enumerate(parts):
        total = total + (part * (0.1 + place)).sum()
    return total


@pytest.fixture
def allocated(monkeypatch):
    """Return the shapes of arrays that the backward pass allocates; fill them with nan."""
    shapes = []

    def empty(shape, dtype, like=None):
        shapes.append(tuple(shape))
        return np.full_like(np.empty(shape, dtype) if like is None else like, np.nan, dtype)

    monkeypatch.setattr(memory, "empty", empty)
    return shapes


@each("way", [way for way in WAYS if way not in ("flip", "roll")], ids=str)
def test_slices_of_a_tensor_share_one_gradient_array(way, allocated, monkeypatch):
    monkeypatch.setattr(ops.indexing, "index_add", None)
    counts = []
    for length in (4, 16):
        x = leaf(normal(3, length, 2 if way != "x[..., a:b]" else length))
        total = total_of(WAYS[way](x))
        allocated.clear()
        total.backward()
        full = [shape for shape in allocated if np.prod(shape) >= x.numel()]
        counts.append(len(full))
    assert counts == [1, 1]


@pytest.mark.slow
@each("way", WAYS, ids=str)
@each("dtype", [np.float32, np.float64], ids=lambda dtype: dtype.__name__)
def test_gradients_equal_those_of_the_vjp(way, dtype, allocated):
    x = leaf(normal(3, 5, 4).astype(dtype))
    middle = x.relu()
    total = total_of([*WAYS[way](middle), middle * middle, *WAYS[way](x)])
    expected = total.gradient(x, middle, create_graph=True)
    for grad, exact in zip(total.gradient(x, middle), expected, strict=True):
        np.testing.assert_array_equal(grad.data, exact.data)
    total.backward()
    np.testing.assert_array_equal(x.grad.data, expected[0].data)


def test_gradient_shared_with_another_tensor_is_copied_once():
    """The upstream gradient of x + y is the gradient of both; adding to one must not change it."""
    upstream = np.ones((3, 2))
    x, y = leaf(normal(3, 2)), leaf(normal(3, 2))
    parts = [x[0], x[1:]]
    whole = x + y
    ops.cat(whole, *[part * 2 for part in (parts[0][None], parts[1])]).backward(
        np.concatenate([upstream, upstream])
    )
    assert x.grad.tolist() == [[3.0, 3.0]] * 3
    assert y.grad.tolist() == [[1.0, 1.0]] * 3
    z = x * 1
    first, total = z[0], z + y
    (total + first).backward(upstream)
    assert upstream.tolist() == [[1.0, 1.0]] * 3


@each("is_leaf", [True, False])
def test_gradients_given_to_hooks_stay_unchanged(is_leaf):
    seen = []
    x = leaf(normal(3, 2))
    y = x if is_leaf else x * 1
    y.register_hook(seen.append)
    y.retain_grad()
    total = total_of([y[0], y[1], y[0]])
    total.backward(retain_graph=True)
    first = y.grad
    before = first.data.copy()
    total.backward()
    assert [grad.tolist() for grad in seen] == [before.tolist()] * 2
    assert y.grad.tolist() == (2 * before).tolist()
    assert first.tolist() == before.tolist()
    assert not any(np.shares_memory(grad.data, y.grad.data) for grad in (*seen, first))


def test_gradients_of_targets_share_no_memory_and_skip_other_slices():
    x, w = leaf(normal(3, 2)), leaf(normal(2))
    y = x * 1
    row = y[1]
    total = (row * w).sum() + y[0].sum() + row.sum()
    of_row, of_y, of_x = total.gradient(row, y, x)
    assert of_y.tolist() == of_x.tolist() == [[1.0, 1.0], of_row.tolist(), [0.0, 0.0]]
    assert not np.shares_memory(of_y.data, of_x.data)
    with profile() as table:
        total.gradient(w)
    assert not any(row.backward_calls for row in table.rows() if row.op == "basic_index")


@pytest.mark.slow
@each("is_shared", [False, True])
def test_many_float16_slices_are_summed_in_float32(is_shared):
    """In float16, a sum of ones stops growing at 2048."""
    x, total = leaf(np.ones((2, 2), np.float16)), Tensor(np.zeros(2, np.float32))
    y = x * 1
    for _ in range(3000):
        total = total + y[0].float()
    total = total.sum()
    if is_shared:
        total = total + 2 * y.float().sum()
    total.backward()
    assert x.grad.dtype == np.float16
    extra = 2.0 * is_shared
    assert x.grad.tolist() == [[3000 + extra] * 2, [extra] * 2]


def test_slices_inside_a_checkpoint_have_the_same_gradient():
    x = leaf(normal(3, 5))
    expected = total_of(x.unbind(1)).gradient(x)[0]
    checkpoint(lambda x: total_of(x.unbind(1)), x).backward()
    np.testing.assert_array_equal(x.grad.data, expected.data)


def test_profile_counts_the_bytes_of_the_slices():
    x = leaf(normal(4, 6))
    with profile() as table:
        total_of(x.unbind(1)).backward()
    (row,) = [row for row in table.rows() if row.op == "basic_index"]
    assert (row.backward_calls, row.backward_nbytes, row.backward_flops) == (6, 6 * 4 * 8, 0)
    np.testing.assert_allclose(x.grad.data, np.tile(0.1 + np.arange(6), (4, 1)))


@each("key", [(), 0, (0, 0), slice(0), None, (None, ..., -1)])
def test_empty_whole_and_0d_selections(key, allocated):
    x = leaf(normal(3, 2))
    (x[key].sum() + x[key].sum()).backward()
    expected = np.zeros((3, 2))
    expected[key] = 2.0
    np.testing.assert_array_equal(x.grad.data, expected)


def test_selection_that_returns_new_memory_raises():
    first = make_op("x[0]", vjps={"x": lambda grad_out: grad_out}, view=True, selection=True)(
        lambda x: x[0].copy()
    )
    with pytest.raises(GraphError, match="to return a view, got new memory") as caught:
        first(leaf(normal(3, 2))).sum().backward()
    assert caught.value.__notes__ == ["raised in the backward kernel of op '<lambda>'"]


def test_gradient_of_a_loop_of_assignments_is_one_array(allocated):
    counts = []
    for length in (4, 16):
        h, out = leaf(normal(3)), Tensor(np.zeros((3, length)))
        for step in range(length):
            out[:, step] = h * step
        total = (out * out).sum()
        allocated.clear()
        total.backward()
        counts.append(sum(shape == out.shape for shape in allocated))
        np.testing.assert_allclose(h.grad.data, 2 * h.data * (np.arange(length) ** 2).sum())
    assert counts[0] == counts[1]
