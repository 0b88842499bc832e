"""Rearranging axes by a formula, compared with the same steps by hand, and refused formulas."""

import numpy as np
import pytest

from tests.tools import each, leaf
from tinygrad_np import Tensor
from tinygrad_np.errors import ArgumentError, ShapeError
from tinygrad_np.gradcheck import gradcheck

X = np.arange(24.0).reshape(2, 3, 4)


@each(
    ("formula", "sizes", "expected"),
    [
        ("a b c -> c a b", {}, X.transpose(2, 0, 1)),
        ("a b c->a (b c)", {}, X.reshape(2, 12)),
        ("a b c -> a (c b)", {}, X.transpose(0, 2, 1).reshape(2, 12)),
        (
            "a b (h w) -> (a h) b w",
            {"h": 2},
            X.reshape(2, 3, 2, 2).transpose(0, 2, 1, 3).reshape(4, 3, 2),
        ),
        ("a b (h w) -> w h a b", {"w": 4}, X.transpose(2, 0, 1)[:, None]),
        ("... c -> c ...", {}, X.transpose(2, 0, 1)),
        ("a ... -> ... a", {}, X.transpose(1, 2, 0)),
        ("a ... c -> (a ...) c", {}, X.reshape(6, 4)),
        ("... a b c -> c b a ...", {}, X.T),
        ("(a 1) b c -> a 1 (b c) ()", {}, X.reshape(2, 1, 12, 1)),
        ("x formula self -> formula x self", {"x": 2, "formula": 3}, X.transpose(1, 0, 2)),
        ("batch_1 b2 _c -> _c b2 batch_1", {}, X.T),
    ],
)
def test_rearrange_matches_steps_by_hand(formula, sizes, expected):
    found = Tensor(X).rearrange(formula, **sizes)
    assert found.shape == expected.shape
    np.testing.assert_array_equal(found.data, expected)


def test_axes_of_length_0_and_scalars():
    assert Tensor.ones(0, 3).rearrange("a b -> b a 1").shape == (3, 0, 1)
    assert Tensor(3.0).rearrange("-> 1 1").tolist() == [[3.0]]
    assert Tensor([[3.0]]).rearrange("1 1 ->").item() == 3.0


def test_rearrange_is_differentiable():
    gradcheck(lambda x: x.rearrange("a (b c) d -> d (c a) b", c=3) ** 2, [X])
    x = leaf(X)
    assert x.rearrange("a b c -> c (a b)").requires_grad


@each(
    ("formula", "sizes", "error", "message"),
    [
        ("a b c", {}, ArgumentError, r"^rearrange: expected `formula` to consist of names"),
        ("a b c -> a (b (c))", {}, ArgumentError, "to consist of names"),
        ("a b 2 -> a b", {}, ArgumentError, "to consist of names"),
        ("a b c -> a -> b", {}, ArgumentError, "to consist of names"),
        (3, {}, ArgumentError, r"to consist of names, .* got 3\."),
        ("a b c -> a b", {}, ArgumentError, "expected each name once on each side"),
        ("a b c -> a b d", {}, ArgumentError, "expected each name once on each side"),
        ("a a c -> a c a", {}, ArgumentError, "expected each name once on each side"),
        ("a ... -> a", {}, ArgumentError, "expected each name once on each side"),
        ("a b c -> c b a", {"d": 2}, ArgumentError, r"expected sizes of names in .*, got d\."),
        ("a b c -> c b a", {"a": 0}, ArgumentError, r"expected `a` to be an integer >= 1, got 0"),
        ("a b (h w) -> a b h w", {}, ArgumentError, "expected sizes for all but one of h, w in"),
        ("a b -> b a", {}, ShapeError, r"expected a tensor with 2 axes for 'a b -> b a', got 3"),
        ("a b c d ... -> d ... c b a", {}, ShapeError, "expected a tensor with at least 4 axes"),
        ("a b (h w) -> a b h w", {"h": 3}, ShapeError, r"length 4 for \(h w\) .*, got h=3"),
        ("a b c -> c b a", {"a": 3}, ShapeError, r"length 2 for \(a\) in .*, got a=3"),
        ("1 b c -> c b", {}, ShapeError, r"an axis of length 2 for \(\) in .*, got 1\."),
    ],
)
def test_formulas_that_do_not_fit_raise(formula, sizes, error, message):
    with pytest.raises(error, match=message):
        Tensor(X).rearrange(formula, **sizes)
