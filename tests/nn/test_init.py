"""Weight initialization: distributions, seeds and invalid arguments."""

import math
import re

import numpy as np
import pytest

from tests.nn.tools import assert_same
from tests.tools import each, rng
from tinygrad_np import Tensor, nn
from tinygrad_np.errors import ArgumentError, DtypeError, GraphError, ShapeError


@each("shape", [(4, 6), (6, 4), (5, 5), (4, 3, 2, 2)])
def test_seed_decides_the_orthogonal_matrix(shape):
    """The seed decides the numbers; the tensor is filled in place and keeps its dtype."""
    weight = nn.Parameter(np.zeros(shape, np.float32))
    assert nn.init.orthogonal_(weight, generator=rng(1)) is weight
    again = nn.init.orthogonal_(Tensor.zeros(shape), generator=rng(1))
    np.testing.assert_array_equal(weight.data, again.data, strict=True)
    assert (again.data != nn.init.orthogonal_(Tensor.zeros(shape), generator=rng(2)).data).any()


def test_orthogonal_draws_both_signs_equally_often():
    """The first entry is negative in about half of the draws."""
    generator = rng(0)
    signs = [nn.init.orthogonal_(Tensor.zeros(2, 2), generator=generator)[0, 0] for _ in range(400)]
    assert 150 < sum(float(sign) > 0 for sign in signs) < 250


def test_orthogonal_accepts_an_empty_weight():
    assert nn.init.orthogonal_(Tensor.zeros(0, 3)).shape == (0, 3)


@each(
    "make",
    [
        lambda generator: nn.Embedding(5, 3, generator=generator),
        lambda generator: nn.LSTMCell(5, 3, generator=generator),
        lambda generator: nn.MultiheadAttention(4, 2, generator=generator),
        lambda generator: nn.MultiheadAttention(4, 2, kdim=3, generator=generator),
    ],
)
def test_seed_decides_the_weights(make):
    """The same seed gives the same weights bit for bit; another seed gives others."""
    one, same, other = (make(rng(seed)).state_dict() for seed in (1, 1, 2))
    assert_same(one, same)
    assert any((array != other[name]).any() for name, array in one.items())


LINEAR, CONV = (300, 200), (64, 32, 3, 3)


FANS = {LINEAR: (200, 300), CONV: (32 * 9, 64 * 9)}


EACH_SHAPE = each("shape", [LINEAR, CONV])


GAINS = {"linear": 1, "sigmoid": 1, "tanh": 5 / 3, "relu": math.sqrt(2)}


def is_normal(array, mean, std):
    """Assert that moments and tails are those of normal numbers, up to 5 standard errors."""
    count = array.size
    values = (array.astype(np.float64) - mean) / std
    assert abs(values.mean()) < 5 / math.sqrt(count)
    assert abs(values.var() - 1) < 5 * math.sqrt(2 / count)
    assert abs(np.mean(np.abs(values) > 1) - 0.3173) < 5 * math.sqrt(0.25 / count)
    assert np.abs(values).max() > 3


def is_uniform(array, low, high):
    """Assert that bounds hold and are nearly reached, and moments, up to 5 standard errors."""
    count = array.size
    values = (array.astype(np.float64) - low) / (high - low)
    assert values.min() > -1e-6
    assert values.max() < 1 + 1e-6
    assert values.min() < 20 / count
    assert values.max() > 1 - 20 / count
    assert abs(values.mean() - 1 / 2) < 5 * math.sqrt(1 / 12 / count)
    assert abs(values.var() - 1 / 12) < 5 * math.sqrt(1 / 180 / count)


@each(("mean", "std"), [(0.0, 1.0), (3.0, 0.5)])
def test_normal_has_the_given_mean_and_std(mean, std):
    is_normal(nn.init.normal_(Tensor.zeros(LINEAR), mean, std, rng()).numpy(), mean, std)


@each(("low", "high"), [(0.0, 1.0), (-3.0, 5.0)])
def test_uniform_has_the_given_range(low, high):
    is_uniform(nn.init.uniform_(Tensor.zeros(LINEAR), low, high, rng()).numpy(), low, high)


def test_zeros_and_ones_fill_the_tensor():
    assert not nn.init.zeros_(Tensor.ones(2, 3)).numpy().any()
    assert nn.init.ones_(Tensor.zeros(2, 3)).tolist() == [[1.0] * 3] * 2


@EACH_SHAPE
@each("nonlinearity", GAINS)
@each("mode", ["fan_in", "fan_out"])
def test_kaiming_variance_matches_the_formula(shape, nonlinearity, mode):
    """The variance is gain² / fan."""
    fan = FANS[shape][mode == "fan_out"]
    std, weight = GAINS[nonlinearity] / math.sqrt(fan), Tensor.zeros(shape)
    is_normal(nn.init.kaiming_normal_(weight, 0, mode, nonlinearity, rng(1)).numpy(), 0, std)
    bound = math.sqrt(3) * std
    is_uniform(
        nn.init.kaiming_uniform_(weight, 0, mode, nonlinearity, rng(1)).numpy(), -bound, bound
    )


@EACH_SHAPE
@each("gain", [1.0, 5 / 3])
def test_xavier_variance_matches_the_formula(shape, gain):
    """The variance is 2 gain² / (fan_in + fan_out)."""
    std, weight = gain * math.sqrt(2 / sum(FANS[shape])), Tensor.zeros(shape)
    is_normal(nn.init.xavier_normal_(weight, gain, rng(1)).numpy(), 0, std)
    bound = math.sqrt(3) * std
    is_uniform(nn.init.xavier_uniform_(weight, gain, rng(1)).numpy(), -bound, bound)


@each(
    ("layer", "fan_in"),
    [
        (nn.Linear(200, 300, generator=rng()), 200),
        (nn.Conv2d(64, 96, 3, groups=2, generator=rng()), 32 * 9),
        (nn.ConvTranspose2d(96, 64, 3, groups=2, generator=rng()), 32 * 9),
    ],
)
def test_default_weights_are_uniform_within_the_fan_in_bound(layer, fan_in):
    """Weights and biases are uniform in ±1 / sqrt(fan_in), as in PyTorch."""
    bound = 1 / math.sqrt(fan_in)
    is_uniform(layer.weight.numpy(), -bound, bound)
    assert bound / 2 < np.abs(layer.bias.numpy()).max() <= bound


RANDOM = [
    nn.init.normal_,
    nn.init.uniform_,
    nn.init.kaiming_normal_,
    nn.init.kaiming_uniform_,
    nn.init.xavier_normal_,
    nn.init.xavier_uniform_,
]


ALL = [*RANDOM, nn.init.zeros_, nn.init.ones_, nn.init.trunc_normal_]


@each("fill", RANDOM)
def test_seed_decides_the_initial_numbers(fill):
    """The same seed gives the same numbers bit for bit; another seed gives others."""
    one, same, other = (fill(Tensor.zeros(4, 5), generator=rng(n)).tolist() for n in (1, 1, 2))
    assert one == same != other


@each("fill", ALL)
@each("dtype", [np.float32, np.float64])
def test_init_fills_the_tensor_in_place(fill, dtype):
    """The tensor is filled in place and returned; it keeps its dtype and requires_grad."""
    weight = nn.Parameter(np.full((4, 5), 7, dtype))
    array = weight.data
    assert fill(weight) is weight
    assert weight.data is array
    assert weight.dtype == dtype
    assert weight.requires_grad
    assert (array != 7).all()


@each("fill", RANDOM[2:])
@each("shape", [(), (3,), (0, 3), (3, 0), (2, 2, 0, 3)])
def test_init_of_a_shape_without_fan_in_raises(fill, shape):
    """He and Xavier raise for a bias, which has no fan_in, and for an empty weight.

    An empty weight does not cause a warning about a division by 0.
    """
    with pytest.raises(
        ShapeError, match=re.escape(f"fan_in and fan_out require, got shape {shape}.")
    ):
        fill(Tensor.ones(shape))


@each("fill", ALL)
@each("dtype", [np.int64, np.uint8, bool])
def test_init_of_integers_raises(fill, dtype):
    """Integer tensors would round; they are left unchanged."""
    tensor = Tensor(np.ones((3, 4), dtype))
    words = f"nn.init: expected a float tensor, got dtype {np.dtype(dtype)}."
    with pytest.raises(DtypeError, match=words):
        fill(tensor)
    assert (tensor.numpy() == 1).all()


@each("fill", RANDOM[2:4])
def test_unknown_nonlinearity_raises(fill):
    """The message lists the known names."""
    with pytest.raises(
        ArgumentError, match=r"expected `nonlinearity` to be one of linear, .*relu.*, got 'rleu'"
    ):
        fill(Tensor.ones(3, 3), nonlinearity="rleu")
    with pytest.raises(ArgumentError, match=r"`mode` to be 'fan_in' or 'fan_out', got 'fan'\."):
        fill(Tensor.ones(3, 3), mode="fan")


def test_kaiming_takes_the_slope_of_a_leaky_relu():
    plain = nn.init.kaiming_normal_(Tensor.zeros(4, 5), generator=rng(1)).numpy()
    leaky = nn.init.kaiming_normal_(Tensor.zeros(4, 5), a=1.0, generator=rng(1)).numpy()
    np.testing.assert_allclose(plain, leaky * 2**0.5, rtol=1e-6)


def test_trunc_normal_redraws_samples_beyond_the_bounds():
    """The kept samples are those of the normal distribution inside the bounds."""
    values = nn.init.trunc_normal_(Tensor.zeros(LINEAR), 1.0, 2.0, 0.0, 5.0, rng(1)).numpy()
    drawn = rng(2).normal(1.0, 2.0, 200_000)
    kept = drawn[(drawn >= 0) & (drawn <= 5)]
    assert 0 <= values.min() < 0.01
    assert 4.99 < values.max() <= 5
    for share in (0.1, 0.3, 0.5, 0.7, 0.9):
        assert abs(np.mean(values < np.quantile(kept, share)) - share) < 0.01


@each(
    ("options", "words"),
    [
        ({"std": 0.0}, "expected `std` to be above 0, got 0.0."),
        ({"a": 2.0, "b": -2.0}, "got a=2.0 and b=-2.0 for mean=0.0 and std=1.0."),
        ({"a": 5.0, "b": 9.0}, "at least 0.1% of the normal distribution between them, got a=5.0"),
    ],
)
def test_trunc_normal_without_samples_to_keep_raises(options, words):
    with pytest.raises(ArgumentError, match=re.escape(words)):
        nn.init.trunc_normal_(Tensor.zeros(3), **options)


def test_constant_fills_the_tensor():
    assert nn.init.constant_(Tensor.zeros(2, 3), 1.5).tolist() == [[1.5] * 3] * 2


def test_underscores_may_be_left_out():
    names = [name for name in vars(nn.init) if name.endswith("_") and name[0] != "_"]
    assert len(names) == 11
    assert all(getattr(nn.init, name) is getattr(nn.init, name[:-1]) for name in names)


def test_init_invalidates_a_live_graph():
    """A backward pass raises if weights were initialized since the forward pass."""
    layer = nn.Linear(3, 2)
    x = Tensor.ones(4, 3)
    x.requires_grad = True
    loss = layer(x).sum()
    nn.init.normal_(layer.weight)
    with pytest.raises(GraphError, match="changed in place"):
        loss.backward()


def test_layer_weights_come_from_the_generator():
    weight = nn.Linear(4, 3, generator=rng(1)).weight.data
    np.testing.assert_allclose(weight, rng(1).random((3, 4), np.float32) - 0.5, atol=1e-6)


def test_init_scales_numbers_from_the_generator():
    x, drawn = Tensor.zeros(4, 5), rng(1).standard_normal((4, 5), np.float32)
    for fill, std in [
        (nn.init.kaiming_normal_, (2 / 5) ** 0.5),
        (nn.init.xavier_normal_, 2 / 18**0.5),
    ]:
        np.testing.assert_allclose(fill(x, generator=rng(1)).data, std * drawn, rtol=1e-6)
    drawn = rng(1).random((4, 5), np.float32)
    for fill, bound in [
        (nn.init.kaiming_uniform_, 1.2**0.5),
        (nn.init.xavier_uniform_, (6 / 9) ** 0.5),
    ]:
        expected = (2 * drawn - 1) * bound
        np.testing.assert_allclose(fill(x, generator=rng(1)).data, expected, rtol=1e-4, atol=1e-6)


def test_orthogonal_is_q_of_a_qr_with_positive_diagonal():
    found = nn.init.orthogonal_(Tensor.zeros(5, 3), gain=2.0, generator=rng(1)).data
    r = found.T @ rng(1).standard_normal((5, 3))
    np.testing.assert_allclose(np.tril(r, -1), 0, atol=1e-5)
    assert (np.diagonal(r) > 0).all()


@each("shape", [(5, 3), (3, 5), (2, 3, 4)])
def test_orthogonal_is_scaled_by_the_gain(shape):
    matrix = nn.init.orthogonal_(Tensor.zeros(*shape), gain=2.0, generator=rng(1)).data
    matrix = matrix.reshape(shape[0], -1)
    wide = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
    np.testing.assert_allclose(wide @ wide.T, 4 * np.eye(len(wide)), atol=1e-5)


def test_calculate_gain_returns_the_known_gains():
    gains = {
        "linear": 1,
        "conv2d": 1,
        "conv_transpose1d": 1,
        "sigmoid": 1,
        "tanh": 5 / 3,
        "relu": 2**0.5,
        "selu": 0.75,
    }
    for name, gain in gains.items():
        assert nn.init.calculate_gain(name) == pytest.approx(gain)
    assert nn.init.calculate_gain("leaky_relu") == pytest.approx((2 / 1.0001) ** 0.5)
    assert nn.init.calculate_gain("leaky_relu", 0.5) == pytest.approx(1.6**0.5)


def test_orthogonal_gain_defaults_to_1():
    matrix = nn.init.orthogonal_(Tensor.zeros(2, 3), generator=rng(1)).data
    np.testing.assert_allclose(matrix @ matrix.T, np.eye(2), atol=1e-6)


def test_arrays_are_filled_in_place():
    weight = nn.Parameter(np.zeros((2, 3), np.float32))
    assert nn.init.constant_(weight.data, 2.0) is weight.data
    assert weight.tolist() == [[2.0] * 3] * 2
    nn.init.xavier_uniform_(weight.data, generator=np.random.default_rng(0))
    assert len(set(weight.data.ravel())) == 6
    with pytest.raises(DtypeError, match="expected a float tensor, got dtype int64"):
        nn.init.zeros_(np.zeros(2, np.int64))
