"""Error messages name the op, the expected value and the value passed."""

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
        (lambda: Tensor.ones(3, 3).pad(((1, 1),), mode="reflect"), ShapeError, "expected 2 pairs"),
        (lambda: T([1.0]).pad((1, (1, 1))), DtypeError, "expected integers, or pairs and None"),
        (lambda: T([1.0]).cast(complex), DtypeError, "cast: expected a float, int or bool dtype"),
        (lambda: T([1.0]).cast(object), DtypeError, "a float, int or bool dtype, got object."),
        (
            lambda: T([1.0]).masked_select([True], size=-1),
            ArgumentError,
            "masked_select: expected `size` to be >= 0",
        ),
        (lambda: T([1.0]).unflatten(0, 3), DtypeError, "unflatten: expected a tuple of sizes"),
        (lambda: Tensor.stack([]), DtypeError, "stack: expected tensors, got nothing"),
        (lambda: T([1.0]).topk(-1), ArgumentError, "topk: expected `k` to be from 0 to 1"),
        (
            lambda: T([1.0]).__setitem__(0, object()),
            DtypeError,
            "Tensor: expected numbers, got object of dtype object.",
        ),
        (lambda: X.sum(axis=1.0), DtypeError, "sum: expected `axis` to be an integer"),
        (lambda: X.values, AttributeError, "has no attribute 'values'. Use the tensor itself, or"),
        (lambda: X.indices, AttributeError, "has no attribute 'indices'. Use argmax(axis), or"),
        (
            lambda: nn.Linear(2, 1)([[1.0, 2.0]]),
            DtypeError,
            "Linear: expected Tensors or ndarrays, got list",
        ),
        (lambda: X.roll(1, (0, 1)), ShapeError, "roll: expected one shift per axis"),
        (lambda: X.pad(1), DtypeError, "pad: expected a tuple, for example (left, right), got 1."),
        (lambda: X.shrink((0, 1)), DtypeError, "shrink: expected (start, end) or None, got 0"),
        (lambda: X.softplus(0), ArgumentError, "softplus: expected `beta` to be above 0, got 0."),
        (lambda: X.celu(0), ArgumentError, "celu: expected `alpha` to be above 0, got 0."),
        (lambda: T.rand(2, generator=0), DtypeError, "expected a numpy.random.Generator, got 0"),
        (lambda: T([2]) ** -1, ArgumentError, "pow: expected an exponent >= 0 for an integer base"),
        (lambda: T([5]).one_hot(3), ArgumentError, "expected labels from 0 to 2, got 5"),
        (lambda: X.nll_loss([-100]), ArgumentError, "Use `ignore_index`"),
    ],
)
def test_messages_state_the_expected_arguments(call, error, message):
    with pytest.raises(error, match=re.escape(message)), no_grad():
        call()
