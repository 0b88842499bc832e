"""Errors name the operation, the value that was passed, and what was expected."""

import re

import pytest

from tests.tools import each
from tinygrad_np import Tensor, nn, no_grad
from tinygrad_np.errors import ArgumentError, DtypeError, ShapeError

T = Tensor
X = T([[1.0, 2.0]])


@each(
    ("call", "error", "message"),
    [
        (lambda: Tensor.ones(3, 3).pad(((1, 1),), mode="reflect"), ShapeError, "pad: got 1 pairs"),
        (lambda: T([1.0]).pad((1, (1, 1))), DtypeError, "expected numbers, or pairs and None"),
        (lambda: T([1.0]).cast(complex), DtypeError, "cast: got dtype complex128"),
        (lambda: T([1.0]).cast(object), DtypeError, "cast: got dtype object"),
        (lambda: T([1.0]).masked_select([True], size=-1), ArgumentError, "size: got -1"),
        (lambda: T([1.0]).unflatten(0, 3), DtypeError, "unflatten: got sizes 3"),
        (lambda: Tensor.stack([]), DtypeError, "stack: got something else than tensors"),
        (lambda: T([1.0]).topk(-1), ArgumentError, "topk k: got -1"),
        (lambda: T([1.0]).__setitem__(0, object()), ShapeError, "setitem: shape (1,)"),
        (lambda: X.sum(dim=1), DtypeError, "sum: got dim=1, which is called axis= here"),
        (lambda: X.mean(axis=1, keepdims=True), DtypeError, "which is called keepdim= here"),
        (lambda: T.stack(X, X, axis=0), DtypeError, "stack: got axis=0, which is called dim= here"),
        (lambda: X.softmax(dim=1), DtypeError, "softmax: got dim=1"),
        (lambda: X.sum(axis=1.0), DtypeError, "sum axis: got 1.0, expected an integer"),
        (lambda: X.clamp(0, 1), AttributeError, "no attribute 'clamp'; here it is clip"),
        (lambda: X.long(), AttributeError, "here it is cast(np.int64)"),
        (lambda: nn.Linear(2, 1)([[1.0, 2.0]]), DtypeError, "Linear: got list, expected Tensors"),
        (lambda: X.roll(1, (0, 1)), ShapeError, "roll: got shifts 1 for dims (0, 1)"),
        (lambda: X.pad(1), DtypeError, "pad: got 1, expected a tuple"),
        (lambda: X.shrink((0, 1)), DtypeError, "shrink: got 0 for axis 0"),
        (lambda: X.softplus(0), ArgumentError, "softplus beta: got 0"),
        (lambda: X.celu(0), ArgumentError, "celu alpha: got 0"),
        (lambda: T.rand(2, generator=0), DtypeError, "generator: got 0, expected a numpy.random"),
        (lambda: T([2]) ** -1, ArgumentError, "pow: an integer to a negative integer power"),
        (lambda: T([5]).one_hot(3), ArgumentError, "outside 0..2: there are 3 classes"),
        (lambda: X.nll_loss([-100]), ArgumentError, "pass over a class by ignore_index="),
    ],
)
def test_messages(call, error, message):
    with pytest.raises(error, match=re.escape(message)), no_grad():
        call()
