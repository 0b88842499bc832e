"""Elementwise ops: ties, nan, zeros, extreme values and dtypes."""

import math

import numpy as np
import pytest

from tests.tools import each, leaf
from tinygrad_np import Tensor

FUNCTIONS = """acos acosh asin asinh atan atanh cos cosh erf exp exp2 expm1 log log1p log2 log10
logcumsumexp logsumexp mean norm rsqrt sigmoid sin sinh sqrt tan tanh"""


@each("name", FUNCTIONS.split())
def test_functions_of_integers_return_float32(name):
    with np.errstate(divide="ignore"):  # atanh(1) is inf
        assert getattr(Tensor([1]), name)().dtype == np.float32


@each("name", ["copysign", "div", "logaddexp"])
def test_functions_of_two_integers_return_float32(name):
    assert getattr(Tensor([1]), name)(Tensor([2])).dtype == np.float32


def test_isinf_can_detect_one_sign_only():
    x = Tensor([np.inf, -np.inf, np.nan, 1.0])
    assert x.isinf().tolist() == [True, True, False, False]
    assert x.isinf(detect_positive=False).tolist() == [False, True, False, False]
    assert x.isinf(detect_negative=False).tolist() == [True, False, False, False]


# Kinks and nan, as in PyTorch.


def test_maximum_halves_the_gradient_at_ties():
    x, y = leaf(1.0, 2.0, 3.0), leaf(2.0, 2.0, 2.0)
    x.maximum(y).sum().backward()
    assert x.grad.tolist() == [0.0, 0.5, 1.0]
    assert y.grad.tolist() == [1.0, 0.5, 0.0]


def test_nan_is_the_maximum_and_gets_the_gradient():
    x = leaf(np.nan, 1.0)
    x.max().backward()
    assert x.grad.tolist() == [1.0, 0.0]
    image = leaf([[[[1.0, np.nan], [3.0, 2.0]]]])
    image.max_pool2d(2).sum().backward()
    assert image.grad.data.ravel().tolist() == [0.0, 1.0, 0.0, 0.0]
    y = leaf([np.nan])
    y.maximum(1.0).backward()
    assert y.grad.item() == 1.0


def test_power_gradients_at_zero_are_finite():
    base, exponent = leaf(0.0, 0.0, 2.0), leaf(0.0, 2.0, 0.0)
    (base**exponent).sum().backward()
    assert base.grad.tolist() == [0.0, 0.0, 0.0]
    assert exponent.grad.tolist() == [0.0, 0.0, pytest.approx(math.log(2))]


@pytest.mark.parametrize(("base", "slope"), [(2.0, math.log(2)), (0.0, 0.0), (1, 0.0)])
def test_number_to_a_tensor_power_has_an_exponent_gradient(base, slope):
    exponent = leaf(0.0, 1.0)
    (base**exponent)[0].backward()
    assert exponent.grad.tolist() == [pytest.approx(slope), 0.0]


def test_power_gradient_at_an_infinite_exponent_is_infinite():
    base, exponent = leaf(2.0), leaf(np.inf)
    (base**exponent).backward()
    assert exponent.grad.item() == np.inf


def test_mixed_second_derivative_of_power_at_exponent_zero_is_1_over_base():
    a, b = leaf(2.0), leaf(0.0)
    (of_a,) = (a**b).gradient(a, create_graph=True)
    assert of_a.gradient(b)[0].item() == 0.5


T = Tensor


def test_trunc_division_of_large_integers_is_exact():
    large = 2**60 + 1
    assert T([large, -large]).div(2, "trunc").tolist() == [large // 2, -(large // 2)]


def test_logsumexp_of_minus_inf_or_no_entries_is_minus_inf():
    x = leaf(-math.inf, -math.inf)
    out = x.logsumexp()
    assert out.item() == -math.inf
    assert out.gradient(x)[0].tolist() == [0.0, 0.0]
    assert Tensor.zeros(0, 2).logsumexp(axis=0).tolist() == [-math.inf, -math.inf]


def test_erf_matches_math_erf_to_rounding():
    x = np.linspace(-6.5, 6.5, 2001)
    exact = np.array([math.erf(value) for value in x])
    np.testing.assert_allclose(T(x).erf().data, exact, rtol=6e-16, atol=0)


def test_floor_division_by_integer_zero_gives_inf_or_nan():
    x = Tensor([1.0, -1.0, 0.0])
    with np.errstate(all="ignore"):
        assert str((x // 0).tolist()) == "[inf, -inf, nan]"
        assert np.isnan((x % 0).data).all()


@pytest.mark.parametrize("scalar", [np.float64(1.5), np.float32(1.5), 1.5])
def test_scalar_on_the_left_does_not_widen(scalar):
    for t in (Tensor([1, 2]), Tensor(2), Tensor([1.0, 2.0])):
        for made in (scalar / t, scalar - t, scalar // t, scalar % t, scalar**t, scalar * t):
            assert made.dtype == np.float32
    assert (np.int64(3) - Tensor([1], np.int32)).dtype == np.int32


def test_bitwise_ops_with_a_0d_tensor_do_not_widen():
    a, b = Tensor([6], np.int32), Tensor(3)
    for made in (a & b, a | b, a ^ b, a << b, a >> b, b & a):
        assert made.dtype == np.int32
    assert (Tensor([250], np.uint8) << Tensor(2)).tolist() == [232]


def test_bitwise_ops_of_two_arrays_promote_to_the_wider_dtype():
    a, b = Tensor([6], np.int8), Tensor([259])
    assert [(a | b).tolist(), (b | a).tolist()] == [[263], [263]]


def test_where_of_two_numbers_has_their_default_dtype():
    mask = Tensor([True, False])
    assert [mask.where(1, 2).dtype, mask.where(1.0, 2).dtype] == [np.int64, np.float32]


def test_isclose_is_relative_to_the_second_argument():
    assert Tensor(10.0).isclose(11.0, rtol=0.095).item()
    assert not Tensor(11.0).isclose(10.0, rtol=0.095).item()


def test_integers_to_the_power_of_zero_are_one():
    assert (Tensor([2, 0]) ** 0).tolist() == [1, 1]


@pytest.mark.parametrize("count", [3, 10_000])
def test_relu_keeps_integers_and_nan(count):
    x = np.arange(count) - 1
    assert Tensor(x).relu().dtype == x.dtype
    np.testing.assert_array_equal(Tensor(x).relu().data, np.maximum(x, 0))
    wide = np.where(x == 0, np.nan, x)
    np.testing.assert_array_equal(Tensor(wide).relu().data, np.maximum(wide, 0))


def test_copysign_gradient_is_the_product_of_the_signs():
    x, other = leaf(2.0, 2.0, -2.0, -2.0), leaf(1.0, -1.0, 1.0, -1.0)
    assert x.copysign(other).sum().gradient(x)[0].tolist() == [1.0, -1.0, -1.0, 1.0]


def test_nan_to_num_copies_integers_and_replaces_each_entry_once():
    x = Tensor([1, 2])
    assert not np.shares_memory(x.nan_to_num().data, x.data)
    wide = Tensor([math.nan, math.inf, -math.inf]).nan_to_num(math.inf, math.nan, 3.0)
    np.testing.assert_array_equal(wide.data, [math.inf, math.nan, 3.0])
