"""Creating tensors: values, dtypes, shape arguments, random numbers and errors."""

import copy
import re

import numpy as np
import pytest

from tests.tools import each, rng
from tinygrad_np import Tensor, manual_seed, nn
from tinygrad_np.errors import ArgumentError, AxisError, DtypeError, GraphError, ShapeError


@each("name", ["zeros", "ones", "empty", "rand", "randn", "uniform", "normal"])
def test_shape_may_be_ints_or_one_sequence(name):
    make = getattr(Tensor, name)
    assert make(2, 3).shape == make((2, 3)).shape == make([2, 3]).shape == (2, 3)
    assert make().shape == make(()).shape == ()
    assert make(0, 3).shape == (0, 3)
    assert make(2).dtype == np.float32
    with pytest.raises(ShapeError, match=rf"{name}: expected sizes that .* got \(2, -1\)\."):
        make(2, -1)
    with pytest.raises(ShapeError, match="expected sizes that are integers >= 0"):
        make(2.5)


@each(
    ("made", "expected", "dtype"),
    [
        (Tensor.full((2,), 7), [7, 7], np.int64),
        (Tensor.full(2, 0.5), [0.5, 0.5], np.float32),
        (Tensor.full((), True), True, np.bool_),
        (Tensor.full((1,), 7, np.float64), [7.0], np.float64),
        (Tensor.arange(3), [0, 1, 2], np.int64),
        (Tensor.arange(1, 6, 2), [1, 3, 5], np.int64),
        (Tensor.arange(3, 0, -1), [3, 2, 1], np.int64),
        (Tensor.arange(0, 1, 0.5), [0.0, 0.5], np.float32),
        (Tensor.arange(3.0), [0.0, 1.0, 2.0], np.float32),
        (Tensor.arange(5, 2), [], np.int64),
        (Tensor.arange(2, dtype=np.float64), [0.0, 1.0], np.float64),
        (Tensor.linspace(0, 1, 3), [0.0, 0.5, 1.0], np.float32),
        (Tensor.linspace(3, 1, 1), [3.0], np.float32),
        (Tensor.eye(2), [[1.0, 0.0], [0.0, 1.0]], np.float32),
        (Tensor.eye(1, 3, np.int64), [[1, 0, 0]], np.int64),
        (Tensor([1, 2]).zeros_like(), [0, 0], np.int64),
        (Tensor([1.0, 2.0], np.float64).ones_like(), [1.0, 1.0], np.float64),
        (Tensor([1, 2]).full_like(7.9), [7, 7], np.int64),
        (Tensor([1, 2]).full_like(7.5, np.float32), [7.5, 7.5], np.float32),
    ],
)
def test_creation_methods_return_the_expected_values_and_dtypes(made, expected, dtype):
    assert made.tolist() == expected
    assert made.dtype == dtype


def test_like_methods_return_constants():
    x = Tensor([1.0, 2.0], requires_grad=True)
    for made in (x.zeros_like(), x.ones_like(), x.full_like(3), x.rand_like()):
        assert not made.requires_grad
        assert made.shape == x.shape


# Conversion.


class Foreign:
    """An object with its own dtype, like a torch.Tensor, that may refuse the conversion."""

    def __init__(self, array):
        self.array = array

    def __array__(self, dtype=None, copy=None):
        if self.array is None:
            raise RuntimeError("call detach() first.")
        return np.array(self.array, dtype, copy=copy)


@each("dtype", [np.float64, np.float16, np.int8, np.bool_])
def test_convertible_object_keeps_its_dtype_and_is_copied(dtype):
    array = np.ones(2, dtype)
    tensor = Tensor(Foreign(array))
    assert tensor.dtype == dtype
    assert not np.may_share_memory(tensor.data, array)
    assert Tensor(Foreign(array), np.float32).dtype == np.float32


@each("array", [np.array([1j]), np.array(["2026-01-01"], "M8[D]"), np.array([3], "m8[D]")])
def test_no_dtype_turns_other_kinds_into_numbers(array):
    """NumPy would drop the imaginary part, and count days or seconds."""
    for value in (array, array[0], [array], Foreign(array)):
        for dtype in (None, np.float32):
            with pytest.raises(
                DtypeError,
                match=rf"expected numbers, got .* of dtype {re.escape(str(array.dtype))}",
            ):
                Tensor(value, dtype)


def test_dtype_parses_strings_and_objects():
    for value in (["1", "2.5"], np.array([1, 2.5], object), np.array(["1", "2.5"])):
        assert Tensor(value, np.float32).tolist() == [1.0, 2.5]
        with pytest.raises(DtypeError, match="expected numbers, got "):
            Tensor(value)


MASKED = np.ma.masked_array([1.0, 2.0], [False, True])


@each(
    "value",
    [MASKED, np.ma.masked, [MASKED, MASKED], (MASKED,)],
    ids=["1-d", "0-d", "list", "tuple"],
)
def test_masked_array_raises(value):
    with pytest.raises(
        DtypeError, match=r"^Tensor: expected an array without a mask, got .* with \.f"
    ):
        Tensor(value, np.float32)


def test_from_numpy_accepts_plain_ndarrays_only():
    with pytest.raises(DtypeError, match=r"^from_numpy: expected an array without a mask"):
        Tensor.from_numpy(MASKED)
    for kind in (np.matrix, np.recarray):
        array = np.ones((2, 2))
        tensor = Tensor.from_numpy(array.view(kind))
        assert type(tensor.data) is np.ndarray
        assert np.may_share_memory(tensor.data, array)


def test_list_of_tensors_in_a_graph_raises():
    x = Tensor([1.0, 2.0], requires_grad=True)
    for value in ([x, x], [x[0], x[1]], (x * 2, 3.0), [[x[0]], [x[1]]]):
        with pytest.raises(GraphError, match=r"Use \.detach\(\) .* or \.stack\(\.\.\.\) to join"):
            Tensor(value)


@each(
    ("value", "dtype", "message"),
    [
        (300, np.uint8, r"cannot convert this int to an array \(.*300.*\)\."),
        (
            Foreign(None),
            None,
            r"this tests\.frontend\.test_tensor\.Foreign .* \(call detach\(\) first\)\.",
        ),
    ],
)
def test_refused_conversion_raises(value, dtype, message):
    with pytest.raises(DtypeError, match=message):
        Tensor(value, dtype)


@each(
    "draw",
    [
        lambda **g: Tensor.rand(3, **g),
        lambda **g: Tensor.randn(3, **g),
        lambda **g: Tensor.uniform(3, low=-1, high=5, **g),
        lambda **g: Tensor.normal(3, mean=2, std=3, **g),
        lambda **g: Tensor.randint(3, **g),
        lambda **g: Tensor.randperm(9, **g),
        lambda **g: Tensor.ones(3).rand_like(**g),
        lambda **g: Tensor([1.0, 2.0, 3.0]).multinomial(2, **g),
        lambda **g: Tensor.full(40, 0.5).bernoulli(**g),
        lambda **g: Tensor.ones(20).dropout(0.5, **g),
    ],
)
def test_passing_a_generator_leaves_the_global_one_unchanged(draw):
    manual_seed(1)
    default = draw().tolist()
    manual_seed(1)
    assert draw(generator=rng()).tolist() == draw(generator=rng()).tolist()
    assert draw().tolist() == default


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_random_numbers_have_the_given_dtype_and_distribution(dtype):
    uniform = Tensor.uniform(20000, low=-1, high=3, dtype=dtype, generator=rng())
    normal = Tensor.normal(20000, mean=2, std=3, dtype=dtype, generator=rng())
    assert uniform.dtype == normal.dtype == dtype
    values = uniform.data.astype(float)
    assert -1 <= values.min() < -0.99
    assert 2.99 < values.max() <= 3
    assert abs(values.mean() - 1) < 0.05
    assert abs(normal.data.astype(float).mean() - 2) < 0.1
    assert abs(normal.data.astype(float).std() - 3) < 0.1


def test_randint_and_randperm_cover_their_range():
    drawn = Tensor.randint(1000, low=-2, high=3, generator=rng())
    assert drawn.dtype == np.int64
    assert sorted(set(drawn.tolist())) == [-2, -1, 0, 1, 2]
    assert sorted(Tensor.randperm(50, generator=rng()).tolist()) == list(range(50))
    assert Tensor.randperm(0).tolist() == []


def test_multinomial_follows_the_weights():
    weights = Tensor([[0.0, 1.0, 3.0], [1.0, 0.0, 0.0]])
    drawn = weights.multinomial(8000, replacement=True, generator=rng())
    assert drawn.shape == (2, 8000)
    assert drawn.dtype == np.int64
    shares = np.bincount(drawn.data[0], minlength=3) / 8000
    np.testing.assert_allclose(shares, [0, 0.25, 0.75], atol=0.02)
    assert not drawn.data[1].any()
    once = Tensor([1.0, 2.0, 3.0]).multinomial(3, generator=rng())
    assert sorted(once.tolist()) == [0, 1, 2]


@each(
    ("call", "error", "message"),
    [
        (
            lambda: Tensor.full((2,), [1, 2]),
            ShapeError,
            "full: expected `fill_value` to be a number, got shape (2,)",
        ),
        (
            lambda: Tensor.arange(0, 3, 0),
            ArgumentError,
            "arange: expected `step` to be nonzero, got 0",
        ),
        (
            lambda: Tensor.linspace(0, 1, -1),
            ShapeError,
            "linspace: expected sizes that are integers >= 0, got (-1,)",
        ),
        (
            lambda: Tensor.randint(2, low=3, high=3),
            ArgumentError,
            "randint: expected low < high, got low=3 and high=3",
        ),
        (
            lambda: Tensor.rand(2, dtype=np.int64),
            DtypeError,
            "rand: expected a float dtype, got int64",
        ),
        (lambda: Tensor.randn(2, dtype="nope"), DtypeError, "randn: expected a dtype, got 'nope'"),
        (lambda: Tensor.empty(2, dtype="nope"), DtypeError, "empty: expected a dtype, got 'nope'"),
        (
            lambda: Tensor.glorot_uniform(),
            ShapeError,
            "glorot_uniform: expected a shape with at least one axis, got ()",
        ),
        (
            lambda: Tensor.kaiming_uniform(()),
            ShapeError,
            "kaiming_uniform: expected a shape with at least one axis, got ()",
        ),
        (
            lambda: Tensor.ones(2, 3).batchnorm(None, None, Tensor([1.0]), Tensor([1.0])),
            ShapeError,
            "reshape: ",
        ),
        (lambda: Tensor.ones(2).layernorm(1), AxisError, "center: "),
        (
            lambda: Tensor([0.5, np.nan, 2.0]).bernoulli(),
            ArgumentError,
            "bernoulli: expected probabilities from 0 to 1, got nan",
        ),
        (
            lambda: Tensor([-0.5]).bernoulli(),
            ArgumentError,
            "bernoulli: expected probabilities from 0 to 1, got -0.5",
        ),
        (lambda: Tensor([1]).bernoulli(), DtypeError, "rand: expected a float dtype, got int64"),
        (
            lambda: Tensor(1.0).multinomial(),
            ShapeError,
            "multinomial: expected non-empty weights of shape (n,) or (m, n), got shape ()",
        ),
        (
            lambda: Tensor([1.0, -1.0]).multinomial(),
            ArgumentError,
            "each row to have finite weights >= 0",
        ),
        (lambda: Tensor([0.0, 0.0]).multinomial(), ArgumentError, "at least one of them positive"),
        (
            lambda: Tensor([1.0, 0.0]).multinomial(2),
            ArgumentError,
            "at most 1, the number of positive weights, got 2",
        ),
        (
            lambda: Tensor([1.0]).multinomial(0),
            ArgumentError,
            (
                "expected `num_samples` to be >= 1 and, without replacement, at most 1, "
                "the number of positive weights, got 0"
            ),
        ),
    ],
)
def test_invalid_arguments_raise(call, error, message):
    with pytest.raises(error, match=re.escape(message)):
        call()


def test_size_keywords_accept_one_number():
    x = Tensor(np.arange(4.0))
    assert x.reshape(shape=-1).shape == (4,)
    assert x.repeat(repeats=2).shape == (8,)
    assert x.permute(order=0).shape == (4,)
    assert Tensor([1.0]).expand(shape=3).tolist() == [1.0, 1.0, 1.0]


def test_bernoulli_follows_the_probabilities():
    chances = Tensor([[0.0, 0.25, 1.0]]).repeat(8000, 1).requires_grad_()
    drawn = chances.bernoulli(generator=rng())
    assert (drawn.dtype, drawn.requires_grad) == (np.float32, False)
    assert set(drawn.data.ravel().tolist()) == {0.0, 1.0}
    np.testing.assert_allclose(drawn.data.mean(0), [0, 0.25, 1], atol=0.02)


def test_unique_returns_inverse_and_counts():
    x = Tensor([[3, 1], [3, 2]])
    assert x.unique().tolist() == [1, 2, 3]
    values, inverse, counts = x.unique(sorted=True, return_inverse=True, return_counts=True)
    assert counts.tolist() == [1, 1, 2]
    assert values[inverse].tolist() == x.tolist()
    rows, places = Tensor([[2, 1], [0, 1], [2, 1]]).unique(dim=0, return_inverse=True)
    assert (rows.tolist(), places.tolist()) == ([[0, 1], [2, 1]], [1, 0, 1])
    assert Tensor([np.nan, np.nan]).unique().shape == (2,)
    assert not Tensor([1.0], requires_grad=True).unique().requires_grad
    with pytest.raises(AxisError, match=r"^unique: expected an axis from -2 to 1, got 2"):
        x.unique(dim=2)


def test_allclose_returns_a_bool():
    x = Tensor([1.0, np.nan], requires_grad=True)
    assert x.allclose(x) is False
    assert x.allclose(x, equal_nan=True) is True
    assert Tensor([1.0, 1.2]).allclose(1.0, rtol=0, atol=0.3) is True
    assert Tensor([1.0, 1.2]).allclose(Tensor([[1.0], [1.3]])) is False


def test_median_is_the_lower_one_and_gets_the_gradient():
    x = Tensor([[4.0, 1.0, 3.0, 2.0], [np.nan, 1.0, 0.0, 2.0]], requires_grad=True)
    median = x.median(1)
    np.testing.assert_array_equal(median.data, [2.0, np.nan])
    assert x.median(1, keepdim=True).shape == (2, 1)
    assert x.median(keepdim=True).shape == (1, 1)
    median.sum().backward()
    assert x.grad.tolist() == [[0, 0, 0, 1], [1, 0, 0, 0]]
    assert Tensor(3.0).median(0).item() == 3.0


def test_integers_have_no_nan_to_replace():
    x = Tensor([1, 2])
    assert x.nan_to_num().tolist() == [1, 2]


@each(
    ("draw", "bound"),
    [
        (Tensor.scaled_uniform, (40 * 50) ** -0.5),
        (Tensor.glorot_uniform, (6 / 90) ** 0.5),
        (Tensor.kaiming_uniform, 3**0.5 * (2 / (1 + 0.01**2) / 50) ** 0.5),
    ],
)
def test_weights_are_uniform_in_a_range_that_depends_on_the_shape(draw, bound):
    weights = draw(40, 5, 10, generator=rng(), requires_grad=True)
    assert (weights.shape, weights.dtype, weights.requires_grad) == ((40, 5, 10), np.float32, True)
    assert -bound <= weights.data.min() < -0.99 * bound
    assert 0.99 * bound < weights.data.max() <= bound
    assert draw((0, 3)).shape == (0, 3)
    assert draw(3, 0, dtype=np.float64).dtype == np.float64


def test_kaiming_uniform_takes_the_slope():
    drawn = Tensor.kaiming_uniform(40, 50, a=2.0, generator=rng()).data
    assert 0.99 * (6 / 250) ** 0.5 < np.abs(drawn).max() <= (6 / 250) ** 0.5


def test_tinygrad_methods_that_are_not_ops():
    x = Tensor([1.0])
    assert x.realize() is x.realize(x, x) is x
    assert x.sequential([]) is x
    assert x.assign(Tensor([2.0])) is x
    assert x.tolist() == [2.0]
    Tensor.manual_seed(3)
    first = Tensor.rand(2).tolist()
    manual_seed(3)
    assert Tensor.rand(2).tolist() == first


def test_where_passes_no_gradient_to_its_condition():
    condition = Tensor([1.0, 0.0], requires_grad=True)
    x = Tensor([3.0, 4.0], requires_grad=True)
    condition.where(x, 0).sum().backward()
    assert (x.grad.tolist(), condition.grad) == ([1.0, 0.0], None)


# Names.


def test_tensors_have_the_names_that_they_are_given():
    assert Tensor(1.0).name == ""
    assert Tensor(1.0, name="a").name == "a"
    assert nn.Parameter(1.0, name="w").name == "w"
    x = Tensor(1.0)
    x.name = "x"
    assert x.name == "x"
    x.name = ""
    assert x.name == ""


def test_names_of_results_belong_to_their_nodes():
    x = Tensor(2.0, requires_grad=True, name="x")
    y = x * x
    assert (y.name, y.node.name) == ("", "")
    y.name = "y"
    assert (y.name, y.node.name, copy.copy(y).name) == ("y", "y", "y")
    assert (y * 2).name == ""


def test_names_that_are_not_strings_raise():
    for name in (3, None, b"x"):
        with pytest.raises(DtypeError, match=r"name: expected a string, got \w+\."):
            Tensor(1.0, name=name)
    x = Tensor(1.0, name="x")
    with pytest.raises(DtypeError, match=r"name: expected a string, got tinygrad_np.Tensor"):
        x.name = x
    assert x.name == "x"


def test_modules_name_their_parameters_by_path():
    layer = nn.Sequential(nn.Linear(2, 1))
    layer.parameters()
    assert layer[0].weight.name == "0.weight"


def test_sizes_in_place_of_data_raise():
    with pytest.raises(DtypeError, match=r"got 3\. For a shape, use Tensor\.empty\(2, 3\)\.$"):
        Tensor(2, 3)
