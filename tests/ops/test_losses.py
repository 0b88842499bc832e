"""Losses: dtypes, label smoothing, ignored labels, empty targets."""

import math

import numpy as np
import pytest

from tests.tools import each, leaf, normal, rng
from tinygrad_np import Tensor, ops
from tinygrad_np.errors import ArgumentError, DtypeError, ShapeError


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


def test_pos_weight_in_float64_does_not_widen_the_loss():
    x, target = Tensor([[0.5, 0.25]]), Tensor([[1.0, 0.0]])
    for weight in (np.array([3.0, 1.0]), Tensor([3.0, 1.0], dtype=np.float64)):
        loss = x.binary_crossentropy_logits(target, "none", pos_weight=weight)
        assert loss.dtype == np.float32
        assert loss.tolist() == x.binary_crossentropy_logits(target, "none", [3, 1]).tolist()


@each("argument", ["weight", "pos_weight"])
@each("weight", [[1.0, 2.0, 3.0], [[[1.0]]], np.ones((4, 2))])
def test_weights_never_broadcast_a_binary_loss_to_another_shape(argument, weight):
    x = Tensor([[0.5, 0.25]])
    words = rf"^binary_crossentropy_logits: expected `{argument}` to broadcast to .*\(1, 2\), got"
    with pytest.raises(ShapeError, match=words):
        x.binary_crossentropy_logits(x, **{argument: weight})


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


# Distances between the input and a target.


def test_losses_of_pairs_follow_their_formulas():
    x, y = normal(3, 4), normal(3, 4, seed=1)
    d = x - y
    size = np.abs(d)
    expected = {
        ops.mse_loss: d**2,
        ops.l1_loss: size,
        ops.huber_loss: np.where(size < 1, d**2 / 2, size - 0.5),
        ops.smooth_l1_loss: np.where(size < 1, d**2 / 2, size - 0.5),
    }
    for loss, values in expected.items():
        np.testing.assert_allclose(loss(Tensor(x), Tensor(y), "none").data, values, rtol=1e-12)
        assert loss(Tensor(x), y).item() == pytest.approx(values.mean())
        assert loss(Tensor(x), y, "sum").item() == pytest.approx(values.sum())


@each("delta", [0.25, 2.0])
def test_huber_loss_and_its_slope_are_continuous_at_delta(delta):
    x = leaf([delta - 1e-9, delta, delta + 1e-9, -delta])
    losses = ops.huber_loss(x, np.zeros(4), "none", delta)
    losses.sum().backward()
    np.testing.assert_allclose(losses.data, delta**2 / 2, rtol=1e-8)
    np.testing.assert_allclose(x.grad.data, delta * np.array([1, 1, 1, -1]), rtol=1e-8)


def test_huber_loss_of_a_huge_error_is_finite():
    x = leaf(np.array([1e30, -1e30], np.float32))
    loss = ops.huber_loss(x, np.zeros(2, np.float32), "sum")
    loss.backward()
    assert loss.item() == pytest.approx(2e30)
    assert x.grad.tolist() == [1.0, -1.0]


def test_smooth_l1_loss_with_beta_0_is_the_absolute_error():
    x = leaf(-2.0, 0.0, 3.0)
    loss = ops.smooth_l1_loss(x, np.zeros(3), "sum", beta=0)
    loss.backward()
    assert loss.item() == 5.0
    assert x.grad.tolist() == [-1.0, 0.0, 1.0]


def test_float64_target_does_not_widen_a_float32_loss():
    x = Tensor([1.0, 2.0])
    for loss in (ops.mse_loss, ops.l1_loss, ops.huber_loss, ops.smooth_l1_loss, ops.kl_div):
        assert loss(x, np.array([1.0, 4.0])).dtype == np.float32


def test_float16_losses_are_summed_in_float32():
    """70,000 losses of 1: their sum is too large for float16, their mean is not."""
    x = Tensor(np.ones(70_000, np.float16))
    for loss in (ops.mse_loss, ops.l1_loss):
        assert loss(x, np.zeros(70_000, np.float16)).item() == 1.0
    weight = np.ones(70_000, np.float16)
    assert ops.mse_loss(x, np.zeros(70_000), weight=weight).item() == 1.0
    logits = Tensor(np.zeros((70_000, 2), np.float16))
    labels = np.zeros(70_000, np.int64)
    loss = logits.cross_entropy(labels, weight=np.ones(2, np.float16))
    assert loss.item() == pytest.approx(math.log(2), abs=1e-3)


def test_weights_of_0_leave_entries_out_of_the_mean():
    x, weight = Tensor([1.0, 5.0]), np.array([1.0, 0.0])
    assert ops.mse_loss(x, np.zeros(2), weight=weight).item() == 1.0
    assert ops.l1_loss(x, np.zeros(2), weight=weight).item() == 1.0
    assert math.isnan(ops.mse_loss(x, np.zeros(2), weight=np.zeros(2)).item())


def test_kl_divergence_of_equal_distributions_is_0():
    p = np.array([[0.25, 0.75], [1.0, 0.0]])
    x = Tensor(np.maximum(p, 1e-9)).log()
    assert ops.kl_div(x, p, "batchmean").item() == pytest.approx(0, abs=1e-8)
    q = np.array([[0.5, 0.5], [0.5, 0.5]])
    expected = 0.25 * np.log(0.5) + 0.75 * np.log(1.5) + np.log(2)
    assert ops.kl_div(Tensor(np.log(q)), p, "sum").item() == pytest.approx(expected)
    assert ops.kl_div(Tensor(np.log(q)), p, "batchmean").item() == pytest.approx(expected / 2)
    assert ops.kl_div(Tensor(np.log(q)), p).item() == pytest.approx(expected / 4)


def test_kl_divergence_of_log_targets_and_of_targets_agree():
    x, target = Tensor(normal(3, 4)).log_softmax(), Tensor(normal(3, 4, seed=1)).log_softmax()
    found = ops.kl_div(x, target, "none", log_target=True)
    np.testing.assert_allclose(found.data, ops.kl_div(x, target.exp(), "none").data, rtol=1e-10)


def test_gradient_of_a_target_of_0_is_finite_in_kl_div():
    target = leaf(0.0, 1.0)
    ops.kl_div(Tensor([-1.0, -2.0]), target, "sum").backward()
    assert np.isfinite(target.grad.data).all()


def test_triplet_loss_is_0_beyond_the_margin():
    anchor, positive = Tensor([[0.0, 0.0]]), Tensor([[0.0, 1.0]])
    near, far = Tensor([[1.5, 0.0]]), Tensor([[4.0, 0.0]])
    assert ops.triplet_margin_loss(anchor, positive, near).item() == pytest.approx(0.5, abs=1e-5)
    assert ops.triplet_margin_loss(anchor, positive, far).item() == 0.0
    # The positive is nearer to the negative than the anchor is.
    swapped = ops.triplet_margin_loss(anchor, positive, Tensor([[0.0, 1.5]]), swap=True)
    assert swapped.item() == pytest.approx(1 - 0.5 + 1, abs=1e-5)


def test_gradient_of_equal_vectors_is_finite_in_a_triplet_loss():
    x = leaf(np.ones((2, 3)))
    ops.triplet_margin_loss(x, x.detach(), Tensor(np.ones((2, 3)))).backward()
    assert np.isfinite(x.grad.data).all()


def test_cosine_similarity_of_float16_is_computed_in_float32():
    x = Tensor(np.full((1, 4), 1e-4, np.float16))
    assert ops.cosine_similarity(x, x).item() == pytest.approx(1, abs=2e-3)
    assert ops.cosine_similarity(x, x).dtype == np.float16
    zeros = Tensor(np.zeros((1, 4), np.float16))
    assert ops.cosine_similarity(zeros, x).item() == 0.0


# Class weights and ignored classes in cross-entropy.


@each("label_smoothing", [0.0, 0.3])
def test_cross_entropy_with_weights_follows_the_formula(label_smoothing):
    x, weight, target = normal(5, 3), np.array([1.0, 2.0, 0.5]), np.array([0, 2, 1, 1, -100])
    log_p = x - np.log(np.exp(x).sum(1, keepdims=True))
    q = np.eye(3)[target[:4]] * (1 - label_smoothing) + label_smoothing / 3
    losses = [*-(weight * q * log_p[:4]).sum(1), 0.0]
    found = Tensor(x).cross_entropy(target, "none", label_smoothing, weight)
    np.testing.assert_allclose(found.data, losses, rtol=1e-12)
    mean = Tensor(x).cross_entropy(target, "mean", label_smoothing, weight)
    assert mean.item() == pytest.approx(np.sum(losses) / weight[target[:4]].sum())


def test_cross_entropy_ignores_minus_100_and_no_other_negative_label():
    x = Tensor([[1.0, 2.0], [0.0, 5.0]])
    assert x.cross_entropy([0, -100]).item() == x[:1].cross_entropy([0]).item()
    with pytest.raises(ArgumentError, match="from 0 to 1, got -1 at position 1"):
        x.cross_entropy([-100, -1])


def test_ignored_rows_of_nan_do_not_spoil_the_loss():
    x = leaf([[1.0, 2.0], [np.nan, np.nan]])
    loss = x.cross_entropy([0, -100])
    loss.backward()
    assert np.isfinite(loss.item())
    assert np.isfinite(x.grad.data[0]).all()


def test_a_class_of_weight_0_may_have_probability_0():
    x = leaf([[0.0, -np.inf], [0.0, 0.0]])
    loss = x.cross_entropy([0, 0], weight=[1.0, 0.0])
    loss.backward()
    assert loss.item() == pytest.approx(math.log(2) / 2)
    assert np.isfinite(x.grad.data).all()


def test_binary_cross_entropy_of_no_logits_has_an_empty_gradient():
    x = Tensor(np.zeros((0, 3), np.float32), requires_grad=True)
    x.binary_crossentropy_logits(np.zeros((0, 3), np.float32), reduction="sum").backward()
    assert x.grad.shape == (0, 3)


def test_float16_log_softmax_gradient_is_summed_in_float32():
    x = leaf(np.zeros(3000, np.float16))
    (grad,) = x.log_softmax().gradient(x, gradient=Tensor(np.full(3000, 30, np.float16)))
    np.testing.assert_allclose(grad.data, 0, atol=0.1)


def test_float16_binary_cross_entropy_gradient_of_many_entries_does_not_underflow():
    x = leaf(np.full(70000, -8, np.float16))
    (grad,) = x.binary_crossentropy_logits(np.ones(70000, np.float16)).gradient(x)
    np.testing.assert_allclose(grad.data, -1 / 70000, rtol=0.05)
