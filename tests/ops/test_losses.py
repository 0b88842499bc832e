"""Losses: dtypes, label smoothing, ignored labels, empty targets."""

import math

import numpy as np
import pytest

from tests.tools import each, leaf, normal, rng
from tinygrad_np import Tensor, ops
from tinygrad_np.errors import ArgumentError, DtypeError


def test_cross_entropy_of_an_empty_batch_is_nan_without_a_warning():
    assert np.isnan(Tensor(np.zeros((0, 3))).cross_entropy(np.zeros(0, np.int64)).item())


T = Tensor


def test_list_targets_keep_float32():
    x = Tensor([[0.5, 0.25]])
    losses = [
        x.binary_crossentropy([[0.0, 1.0]]),
        x.binary_crossentropy_logits([[0.0, 1.0]]),
        x.binary_crossentropy_logits(np.ones((1, 2), np.float32), pos_weight=2.0),
        x.cross_entropy([[0.0, 1.0]]),
        x.nll_loss([0], weight=[1.0, 2.0]),
    ]
    assert {loss.dtype for loss in losses} == {np.dtype(np.float32)}
    with pytest.raises(DtypeError, match=r"where: expected .*, got list"):
        T([True]).where([1.0], 2.0)


def test_label_smoothing_applies_to_probability_targets():
    logits, target = np.array([[1.0, 2.0, 0.5]]), np.array([[0.2, 0.5, 0.3]])
    smoothed = target * 0.9 + 0.1 / 3
    expected = -(smoothed * (logits - np.log(np.exp(logits).sum()))).sum()
    assert T(logits).cross_entropy(target, label_smoothing=0.1).item() == pytest.approx(expected)


def test_nll_loss_accepts_one_sample_without_a_batch_axis():
    assert T([-1.0, -2.0, -4.0]).nll_loss(1).item() == 2.0
    assert T([[-1.0, -2.0, -4.0]]).nll_loss([2]).item() == 4.0


def test_mean_over_only_ignored_labels_is_nan():
    assert math.isnan(T([[1.0, 2.0]]).sparse_categorical_crossentropy([1], ignore_index=1).item())


def test_nll_loss_of_only_ignored_labels_is_nan_with_zero_gradient():
    x = Tensor([[1.0, 2.0]], requires_grad=True)
    loss = x.nll_loss([0], ignore_index=0)
    assert np.isnan(loss.item())
    (grad,) = loss.gradient(x)
    assert grad.tolist() == [[0.0, 0.0]]


def test_ignored_labels_may_be_out_of_range():
    x = Tensor([[-0.5], [-0.25]])
    assert x.nll_loss([0, 5], ignore_index=5).item() == 0.5
    assert x.sparse_categorical_crossentropy([0, 5], ignore_index=5).item() == 0.0
    with pytest.raises(ArgumentError, match="expected labels from 0 to 0, got -1 at position 1"):
        x.sparse_categorical_crossentropy([0, -1])


def test_label_smoothing_above_1_raises():
    x = Tensor([[1.0, 0.0]])
    assert x.cross_entropy([0], label_smoothing=1.0).item() == pytest.approx(0.8133, abs=1e-4)
    with pytest.raises(ArgumentError, match="`label_smoothing` to be a number from 0 to 1"):
        x.cross_entropy([0], label_smoothing=1.5)


@each("dtype", [np.float64, np.float32])
def test_gradient_of_a_binary_target_is_bounded(dtype):
    x, target = Tensor(np.array([0.0, 0.25], dtype)), leaf([0.0, 1.0], dtype=dtype)
    x.binary_crossentropy(target, "sum").backward()
    assert target.grad.tolist() == pytest.approx([100, math.log(3)], rel=1e-6)


def test_pos_weight_accepts_a_list():
    x, target = Tensor([[0.5, 0.25]]), Tensor([[1.0, 1.0]])
    loss = x.binary_crossentropy_logits(target, "none", pos_weight=[2.0, 3.0])
    expected = x.binary_crossentropy_logits(target, "none") * np.array([2, 3], np.float32)
    assert loss.tolist() == expected.tolist()
    assert loss.dtype == np.float32


@each("weight", [3.0, [0.5, 3.0]])
def test_pos_weight_matches_the_formula(weight):
    x, target = normal(4, 2), rng(1).random((4, 2))
    p = 1 / (1 + np.exp(-x))
    expected = -np.asarray(weight) * target * np.log(p) - (1 - target) * np.log(1 - p)
    found = Tensor(x).binary_crossentropy_logits(Tensor(target), "none", weight)
    np.testing.assert_allclose(found.data, expected, rtol=1e-12)


def test_class_axis_is_the_second_axis_or_the_only_one():
    x, labels = normal(2, 3, 4), rng(1).integers(0, 3, (2, 4))
    rows = Tensor(np.moveaxis(x, 1, -1).reshape(8, 3))
    expected = rows.cross_entropy(Tensor(labels.reshape(8)), reduction="none")
    found = Tensor(x).cross_entropy(Tensor(labels), reduction="none")
    assert found.tolist() == expected.reshape(2, 4).tolist()
    alone = Tensor(x[0, :, 0]).cross_entropy(Tensor(labels[0, 0]))
    assert alone.item() == pytest.approx(expected.tolist()[0])


@each(
    "name",
    [
        "cross_entropy",
        "nll_loss",
        "sparse_categorical_crossentropy",
        "binary_crossentropy",
        "binary_crossentropy_logits",
    ],
)
@each("value", [(Tensor([1.0]), Tensor([1.0])), {"logits": Tensor([1.0])}, None])
def test_several_outputs_instead_of_one_raise(value, name):
    """For example those of a model that returns a tuple."""
    got = type(value).__name__
    with pytest.raises(DtypeError, match=f"^{name}: expected a Tensor or an ndarray, got {got}"):
        getattr(ops, name)(value, np.array([0]))


def test_gradients_of_binary_losses_are_finite_in_float16():
    x, target = leaf(np.array([0, 1, 0.5], np.float16)), leaf(np.array([1, 0, 1], np.float16))
    x.binary_crossentropy(target).backward()
    assert np.isfinite(x.grad.data).all()
    assert np.isfinite(target.grad.data).all()
