"""Joining tensors, and the limits of valid shape arguments."""

import numpy as np
import pytest

from tests.tools import each
from tinygrad_np import Tensor, ops
from tinygrad_np.errors import TinygradNpError


def test_cat_accepts_a_list():
    a, b = Tensor([1, 2]), Tensor([3])
    assert Tensor.cat([a, b]).tolist() == a.cat(b).tolist() == [1, 2, 3]


X = Tensor([1, 2, 3])


@each(
    "function,expected",
    [
        (lambda: X.pad((2, 2), "reflect"), [3, 2, 1, 2, 3, 2, 1]),
        (lambda: X.pad((3, 3), "circular"), [1, 2, 3] * 3),
        (lambda: X.pad((-1, 2), "circular"), [2, 3, 2, 3]),
        (lambda: X.pad((4, -1), "replicate"), [1, 1, 1, 1, 1, 2]),
        (lambda: X.pad((-1, 1), "reflect"), [2, 3, 2]),
        (lambda: X.pad((-3, 0)), []),
        (lambda: Tensor(5).pad(()), 5),
        (lambda: X.pad([None]), [1, 2, 3]),
        (lambda: X.shrink([(0, 0)]), []),
        (lambda: X.shrink([(3, 3)]), []),
        (lambda: X.shrink([None]), [1, 2, 3]),
        (lambda: X.unfold(0, 3, 1), [[1, 2, 3]]),
        (lambda: X.unfold(0, 0, 3), [[], []]),
        (lambda: X.unfold(-1, 2, 1), [[1, 2], [2, 3]]),
        (lambda: Tensor(5).unfold(0, 1, 1), [5]),
        (lambda: Tensor(5).unfold(0, 0, 1), []),
        (lambda: Tensor([[1, 2]]).reshape(1, None), [[1, 2]]),
        (lambda: Tensor([[1, 2], [3, 4]]).unflatten(0, (2, 1)), [[[1, 2]], [[3, 4]]]),
        (lambda: X.split(3)[0], [1, 2, 3]),
        (lambda: X.split(1)[2], [3]),
        (lambda: X.split((0, 3))[0], []),
        (lambda: X.split([2, 1], -1)[1], [3]),
        (lambda: Tensor([]).split(2)[0], []),
        (lambda: X.chunk(1)[0], [1, 2, 3]),
        (lambda: Tensor([]).chunk(2)[1], []),
        (lambda: X.repeat(0), []),
        (lambda: X.repeat(1), [1, 2, 3]),
        (lambda: Tensor(5).repeat(()), 5),
        (lambda: Tensor(5).repeat(2), [5, 5]),
        (lambda: X.repeat_interleave(0), []),
        (lambda: X.repeat_interleave(1, 0), [1, 2, 3]),
        (lambda: Tensor([[1], [2]]).repeat_interleave(2), [1, 1, 2, 2]),
        (lambda: Tensor([[1], [2]]).repeat_interleave(2, 1), [[1, 1], [2, 2]]),
        (lambda: Tensor([[1, 2]]).roll(1), [[2, 1]]),
        (lambda: X.roll(-4), [2, 3, 1]),
        (lambda: Tensor([]).roll(1), []),
        (lambda: Tensor([[1, 2], [3, 4]]).roll((1, 1), (0, 1)), [[4, 3], [2, 1]]),
        (lambda: X.meshgrid(indexing="xy")[0], [1, 2, 3]),
        (lambda: X.meshgrid(Tensor(5))[1], [[5], [5], [5]]),
        (lambda: X.meshgrid(Tensor([5, 6]), indexing="xy")[1], [[5, 5, 5], [6, 6, 6]]),
    ],
)
def test_extreme_valid_arguments_are_accepted(function, expected):
    assert function().tolist() == expected


@each(
    "function",
    [
        lambda: X.pad((3, 0), "reflect"),
        lambda: X.pad((0, 3), "reflect"),
        lambda: X.pad((4, 0), "circular"),
        lambda: X.pad((-1, 3), "circular"),
        lambda: Tensor([]).pad((1, 0), "replicate"),
        lambda: X.pad((-2, -2)),
        lambda: X.pad((1, 1, 1, 1)),
        lambda: X.pad((1,)),
        lambda: X.pad([None, None]),
        lambda: X.shrink([(0, 4)]),
        lambda: X.shrink([(-1, 2)]),
        lambda: X.shrink([(2, 1)]),
        lambda: X.unfold(0, 4, 1),
        lambda: X.unfold(0, -1, 1),
        lambda: X.unfold(0, 1, 0),
        lambda: Tensor(5).unfold(0, 2, 1),
        lambda: X.meshgrid(Tensor([[1]])),
        lambda: X.roll((1, 2), 0),
        lambda: X.split(0),
        lambda: X.split((4, -1)),
        lambda: X.split((1, 1)),
        lambda: X.chunk(0),
        lambda: X.repeat(-1),
        lambda: X.repeat(()),
        lambda: X.repeat_interleave(-1),
        lambda: X.repeat_interleave(1.5),
        lambda: ops.stack(),
        lambda: X.stack([1, 2, 3]),
        lambda: X.reshape(3, None),
    ],
)
def test_invalid_arguments_raise(function):
    with pytest.raises(TinygradNpError):
        function()


def test_pad_gradient_excludes_the_padding():
    x = Tensor(np.ones((2, 3)), requires_grad=True)
    x.pad((1, -1, 0, 2), value=7.0).backward(np.arange(12.0).reshape(4, 3))
    assert x.grad.tolist() == [[1, 2, 0], [4, 5, 0]]
