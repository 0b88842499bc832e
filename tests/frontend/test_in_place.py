"""PyTorch's methods that change a tensor in place: values, gradients and refusals."""

import numpy as np
import pytest

from tests.tools import each, leaf
from tinygrad_np import Tensor, no_grad
from tinygrad_np.errors import ArgumentError, DtypeError, GraphError, ShapeError

CHANGES = {
    "copy_": (lambda x: x.copy_(Tensor([5.0, 6.0])), [5.0, 6.0]),
    "copy_ of a list": (lambda x: x.copy_([5, 6]), [5.0, 6.0]),
    "copy_ of a number": (lambda x: x.copy_(Tensor(5)), [5.0, 5.0]),
    "fill_": (lambda x: x.fill_(3), [3.0, 3.0]),
    "zero_": (lambda x: x.zero_(), [0.0, 0.0]),
    "add_": (lambda x: x.add_(Tensor([1.0, 2.0])), [2.0, 0.0]),
    "add_ with alpha": (lambda x: x.add_(Tensor([1.0, 2.0]), alpha=-2), [-1.0, -6.0]),
    "sub_": (lambda x: x.sub_(1), [0.0, -3.0]),
    "sub_ with alpha": (lambda x: x.sub_(1, alpha=0.5), [0.5, -2.5]),
    "mul_": (lambda x: x.mul_(Tensor([3.0, 2.0])), [3.0, -4.0]),
    "div_": (lambda x: x.div_(2), [0.5, -1.0]),
    "clamp_": (lambda x: x.clamp_(-1, 0.5), [0.5, -1.0]),
    "clamp_ below": (lambda x: x.clamp_(min=0), [1.0, 0.0]),
}


@each("name", CHANGES)
def test_changes_write_to_the_memory_and_return_the_tensor(name):
    change, expected = CHANGES[name]
    x = Tensor([1.0, -2.0])
    array = x.data
    assert change(x) is x
    assert x.data is array
    assert x.tolist() == expected


@each("name", CHANGES)
def test_changes_of_a_leaf_need_no_grad(name):
    change, expected = CHANGES[name]
    x = leaf([1.0, -2.0], dtype=np.float32)
    with pytest.raises(GraphError, match=rf"^{name.split()[0]}: .*no_grad"):
        change(x)
    assert x.tolist() == [1.0, -2.0]
    with no_grad():
        change(x)
    assert x.tolist() == expected
    assert x.is_leaf


@each("name", CHANGES)
def test_changes_of_saved_values_are_noticed(name):
    change, _ = CHANGES[name]
    w, x = leaf([1.0, -2.0]), Tensor([1.0, -2.0], np.float64)
    loss = (w * x).sum()
    change(x)
    with pytest.raises(GraphError, match="changed"):
        loss.backward()


def test_changes_of_results_are_recorded():
    x, y = leaf([1.0, -2.0]), leaf([3.0, 4.0])
    out = (x * 2).add_(y, alpha=2).mul_(y).clamp_(max=30)  # [24, 16], then [24, 16]
    (out.sum() + (x * 1).copy_(y).sum() + (x * 1).zero_().sum()).backward()
    assert x.grad.tolist() == [6.0, 8.0]
    assert y.grad.tolist() == [2 + 12 + 1, -4 + 16 + 1]


@each(
    ("call", "error", "message"),
    [
        (lambda x: x.add_(0.5), DtypeError, r"^add_: expected a result of dtype int64"),
        (lambda x: x.div_(2), DtypeError, r"^div_: expected a result of dtype int64"),
        (lambda x: x.clamp_(0.5), DtypeError, r"^clamp_: expected bounds for .* dtype int64"),
        (lambda x: x.clamp_(), ArgumentError, r"^clamp_: expected `min` or `max`, got neither"),
        (lambda x: x.mul_(Tensor([[1], [2]])), ShapeError, r"^mul_: expected a result of shape"),
        (lambda x: x.clamp_(Tensor([[0], [1]])), ShapeError, r"^clamp_: "),
        (lambda x: x.copy_(leaf(1.0)), DtypeError, r"^copy_: expected a float tensor for a value"),
        (lambda x: x.fill_("1"), DtypeError, r"^Tensor: expected numbers"),
        (lambda x: x.copy_(Tensor([1, 2, 3])), ShapeError, r"^copy_: "),
    ],
)
def test_changes_that_do_not_fit_raise(call, error, message):
    x = Tensor([1, 2])
    with pytest.raises(error, match=message):
        call(x)
    assert x.tolist() == [1, 2]
