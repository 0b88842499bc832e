"""Norms and diagonals: zeros, infinities, shared memory."""

import math

import numpy as np
import pytest

from tests.tools import each, leaf
from tinygrad_np import Tensor
from tinygrad_np.errors import ArgumentError, ShapeError
from tinygrad_np.gradcheck import gradcheck, gradgradcheck

# Norms.


@each("p", [2, 3, 2.5, 1, 1.5, 0.5, 0, -1, np.inf, -np.inf])
def test_zero_vector_has_zero_gradients_and_does_not_affect_other_rows(p):
    rows = np.array([[1.0, -2.0, 3.0], [0.0, 0.0, 0.0], [0.5, 0.25, -4.0]])

    def derivatives(array):
        x = leaf(array)
        (first,) = x.norm(p, axis=1).gradient(
            x, gradient=Tensor(np.ones(len(array))), create_graph=True
        )
        value = (first * first * first).sum() + x.sum() * 0
        return first.data, value.gradient(x)[0].data

    for found, expected in zip(derivatives(rows), derivatives(rows[[0, 2]]), strict=True):
        np.testing.assert_array_equal(found[1], 0)
        np.testing.assert_allclose(found[[0, 2]], expected)


@pytest.mark.parametrize("p", [2, 3, 4, 1, 5.5])
def test_norm_derivatives_at_zero_entries_are_zero(p):
    """The second derivative of these orders is smooth at 0, or 0 on both sides."""
    x = np.array([0.0, 1.0, -2.0, 0.0])
    if p > 1:
        gradcheck(lambda x: x.norm(p), [x])
    if p not in (1, 3):
        gradgradcheck(lambda x: x.norm(p), [x], tolerance=1e-5)
    tensor = leaf(x)
    (first,) = tensor.norm(p).gradient(tensor, create_graph=True)
    assert first.data[[0, 3]].tolist() == [0, 0]
    (second,) = ((first * first).sum() + tensor.sum() * 0).gradient(tensor)
    assert second.data[[0, 3]].tolist() == [0, 0]


@each("p", [1, 1.5, 2, 2.5, 3, 0.5])
def test_zero_entries_do_not_affect_other_derivatives(p):
    """Includes orders with an infinite derivative at 0, which is defined as 0."""

    def derivatives(array):
        x = leaf(array)
        (first,) = x.norm(p).gradient(x, create_graph=True)
        value = (first * first * first).sum() + x.sum() * 0
        return first.tolist(), value.gradient(x)[0].tolist()

    found = derivatives(np.array([0.0, 1.0, -2.0]))
    for with_zero, without in zip(found, derivatives(np.array([1.0, -2.0])), strict=True):
        assert with_zero == pytest.approx([0, *without])


@pytest.mark.parametrize("p", [1.5, 0.5])
def test_infinite_derivatives_at_zero_are_defined_as_zero(p):
    x = leaf(np.array([0.0, 1.0]))
    (first,) = x.norm(p).gradient(x, create_graph=True)
    assert (first * np.array([1.0, 0.0])).sum().gradient(x)[0].tolist() == [0, 0]


def test_tiny_entries_have_a_second_derivative():
    """1 / |x| overflows, but the derivative of the sign is 0."""
    x = leaf(np.array([1e-310, 1.0]))
    (first,) = x.norm(1).gradient(x, create_graph=True)
    assert first.tolist() == [1, 1]
    assert ((first * first).sum() + x.sum() * 0).gradient(x)[0].tolist() == [0, 0]


def test_norm_of_a_scalar_is_its_absolute_value():
    x = leaf(np.array(-3.0))
    for axis in (None, 0, -1, ()):
        out = x.norm(axis=axis, keepdim=axis == 0)
        assert out.tolist() == 3
        assert out.gradient(x)[0].tolist() == -1


def test_negative_order_with_a_zero_entry_does_not_warn():
    x = leaf(np.array([0.0, 2.0]))
    out = x.norm(-1)
    out.backward()
    assert out.item() == 0
    assert x.grad.tolist() == [0, 0]


def test_tied_maxima_share_the_gradient():
    x = leaf(np.array([1.0, -3.0, 3.0, 0.0]))
    x.norm(np.inf).backward()
    assert x.grad.tolist() == [0, -0.5, 0.5, 0]


def test_norm_of_float16_does_not_overflow():
    x = Tensor(np.full(4, 300.0, np.float16))
    assert x.norm().item() == 600
    assert x.norm().dtype == np.float16


def test_norm_of_integers_is_float32():
    assert Tensor([3, 4]).norm().dtype == np.float32
    assert Tensor([3, 4]).norm(np.float32(2), axis=np.int64(0), keepdim=True).tolist() == [5]


# Diagonals.


def test_diagonal_shares_memory_and_version():
    x = Tensor(np.eye(2))
    diagonal = x.diagonal()
    x[0, 0] = 7
    assert diagonal.tolist() == [7, 1]
    assert diagonal.version is x.version


def test_tril_drops_infinite_entries():
    x = leaf(np.array([[1.0, np.inf], [2.0, 3.0]]))
    x.tril().sum().backward()
    assert x.tril().tolist() == [[1, 0], [2, 3]]
    assert x.grad.tolist() == [[1, 0], [1, 1]]


def test_norm_of_an_empty_axis_is_zero_or_raises():
    nothing = Tensor(np.zeros((2, 0)))
    for p in (0, 0.5, 1, 2):
        assert nothing.norm(p, axis=1).tolist() == [0.0, 0.0]
    for p in (-1, np.inf, -np.inf):
        with pytest.raises(ShapeError):
            nothing.norm(p, axis=1)


@each("p", ["2", True, math.nan, None])
def test_invalid_norm_orders_raise(p):
    with pytest.raises(ArgumentError, match="norm: expected `p` to be a number"):
        Tensor([3.0]).norm(p)


def test_norms_of_order_0_and_infinity_match_their_definitions():
    x = Tensor([[3.0, 0.0, -4.0], [0.0, 0.0, 0.5]])
    assert x.norm(0, axis=1).tolist() == [2.0, 1.0]
    assert x.norm(np.inf, axis=1).tolist() == [4.0, 0.5]
    assert x.norm(-np.inf, axis=1).tolist() == [0.0, 0.0]


def test_addmm_ignores_the_addend_if_beta_is_0():
    x, left, right = leaf(np.nan, np.inf), leaf([[1.0, 2.0]]), leaf([[3.0, 4.0], [5.0, 6.0]])
    out = x.addmm(left, right, beta=0)
    assert out.tolist() == [[13.0, 16.0]]
    out.sum().backward()
    assert x.grad.tolist() == [0.0, 0.0]
