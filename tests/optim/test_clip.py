"""Gradient clipping by norm and by value."""

import math
import re

import numpy as np
import pytest

from tests.optim.tools import assert_close
from tests.tools import each
from tinygrad_np import Tensor, nn, optim
from tinygrad_np.errors import ArgumentError, GraphError


def with_gradients(*grads, dtype=np.float64):
    """Return parameters with these gradients; None means no gradient."""
    params = [nn.Parameter(np.zeros(np.shape(grad), dtype)) for grad in grads]
    for parameter, grad in zip(params, grads, strict=True):
        parameter.grad = None if grad is None else Tensor(np.asarray(grad, dtype))
    return params


@each(
    ("order", "norm"), [(2.0, 13.0), (2, 13.0), (1, 19.0), (math.inf, 12.0), (3, 1819 ** (1 / 3))]
)
def test_clip_grad_norm_scales_gradients_and_returns_the_norm(order, norm):
    """Gradients are scaled to the given norm, and the norm before is returned."""
    params = with_gradients([[3.0], [4.0]], None, -12.0)
    found = optim.clip_grad_norm(params, 0.5, norm_type=order)
    assert type(found) is float
    np.testing.assert_allclose(found, norm, rtol=1e-14)
    scale = 0.5 / (norm + 1e-6)
    assert_close([params[0].grad.numpy()], [scale * np.array([[3.0], [4.0]])])
    assert_close([params[2].grad.numpy()], [np.asarray(scale * -12.0)])
    assert params[1].grad is None


def test_small_gradients_are_unchanged():
    """Gradients below the norm keep their bits; empty gradients have the norm 0."""
    for max_norm in (5.1, math.inf):
        params = with_gradients([3.0], [4.0])
        assert optim.clip_grad_norm(params, max_norm) == 5.0
        assert [p.grad.tolist() for p in params] == [[3.0], [4.0]]
    for order in (1, 2, math.inf):
        assert optim.clip_grad_norm(with_gradients(np.zeros((0, 3)), [4.0]), 9, order) == 4.0


def test_limit_of_zero_clips_to_zero():
    """A limit of 0 makes gradients 0, and zero gradients stay 0."""
    params = with_gradients([3.0, 0.0])
    assert optim.clip_grad_norm(params, 0.0) == 3.0
    assert params[0].grad.tolist() == [0.0, 0.0]
    assert optim.clip_grad_norm(params, 1.0) == 0.0
    assert params[0].grad.tolist() == [0.0, 0.0]
    params = with_gradients([3.0, -1.0])
    optim.clip_grad_value(params, 0.0)
    assert params[0].grad.tolist() == [0.0, 0.0]


def test_clip_grad_value_clips_each_entry():
    """Each entry is clipped independently, and nan stays."""
    params = with_gradients([3.0, -0.25, math.nan, -math.inf], None, -12.0)
    optim.clip_grad_value(params, 0.5)
    np.testing.assert_array_equal(params[0].grad.numpy(), [0.5, -0.25, math.nan, -0.5])
    assert params[1].grad is None
    assert params[2].grad.tolist() == -0.5


CLIPS = each("clip", [optim.clip_grad_norm, optim.clip_grad_value])


@CLIPS
@each("dtype", [np.float32, np.float64])
@pytest.mark.usefixtures("dirty_memory")
def test_clipping_keeps_the_dtype(clip, dtype):
    """float32 stays float32 for any size, also with a NumPy scalar as the limit."""
    params = with_gradients([3.0], np.full((300, 100), 4.0), 2.0, dtype=dtype)
    clip(params, np.float64(0.5))
    assert {p.grad.dtype.name for p in params} == {np.dtype(dtype).name}
    assert [p.grad.shape for p in params] == [p.shape for p in params]
    assert params[0].grad.item() <= 0.5


@CLIPS
def test_clipping_does_not_write_in_place(clip):
    """Gradients may share memory and may be read-only."""
    shared = np.array([3.0, 4.0])
    shared.flags.writeable = False
    params = with_gradients([0.0, 0.0], [0.0, 0.0])
    for parameter in params:
        parameter.grad = Tensor.from_numpy(shared)
    clip(params, 0.5)
    assert shared.tolist() == [3.0, 4.0]
    np.testing.assert_array_equal(params[0].grad.numpy(), params[1].grad.numpy())
    assert np.abs(params[0].grad.numpy()).max() <= 0.5


@CLIPS
def test_clipping_accepts_any_collection_of_parameters(clip):
    """Named parameters, a single tensor, a generator, duplicates, and no gradients at all."""
    layer = nn.Linear(2, 1).astype(np.float64)
    (layer(Tensor(np.full((1, 2), 8.0))) * 3).sum().backward()
    clip(layer.named_parameters(), 1.0)
    assert np.abs(layer.weight.grad.numpy()).max() <= 1.0
    (parameter,) = with_gradients([3.0, 4.0])
    clip(parameter, 2.5)
    assert parameter.grad.numpy().max() <= 2.5
    (parameter,) = with_gradients([3.0, 4.0])
    assert clip(iter([parameter, parameter]), 100.0) in (5.0, None)
    assert clip(with_gradients(None, None), 1.0) in (0.0, None)


def test_parameters_with_equal_names_are_distinct():
    first, second = with_gradients([3.0], [4.0])
    first.name = second.name = "weight"
    assert optim.clip_grad_norm([first, second], 1.0) == 5.0
    assert second.grad.item() < 1


def test_norm_does_not_overflow_float32():
    params = with_gradients([3e30, 4e30], dtype=np.float32)
    np.testing.assert_allclose(optim.clip_grad_norm(params, 1.0), 5e30, rtol=1e-6)
    np.testing.assert_allclose(params[0].grad.numpy(), [0.6, 0.8], rtol=1e-6)


@each("bad", [math.nan, math.inf, -math.inf])
@each("order", [1, 2, math.inf])
def test_error_if_nonfinite_names_the_parameter(bad, order):
    """The error names the parameter, and the gradients are unchanged."""
    params = with_gradients([1.0, 2.0], [3.0, bad])
    params[1].name = "fc.weight"
    with pytest.raises(
        GraphError,
        match=r"^clip_grad_norm: expected a finite norm, got .* from the gradients of fc.weight\.",
    ):
        optim.clip_grad_norm(params, 1.0, order, error_if_nonfinite=True)
    np.testing.assert_array_equal(params[0].grad.numpy(), [1.0, 2.0])
    np.testing.assert_array_equal(params[1].grad.numpy(), [3.0, bad])


def test_nonfinite_norms_propagate_by_default():
    """By default a norm of nan makes all gradients nan; inf makes the finite ones 0."""
    params = with_gradients([1.0], [math.nan])
    assert math.isnan(optim.clip_grad_norm(params, 1.0))
    assert all(math.isnan(p.grad.item()) for p in params)
    params = with_gradients([1.0], [math.inf])
    with np.errstate(invalid="ignore"):
        assert optim.clip_grad_norm(params, 1.0) == math.inf
    assert params[0].grad.item() == 0
    assert math.isnan(params[1].grad.item())


@each(
    ("call", "words"),
    [
        (
            lambda p: optim.clip_grad_norm(p, -1),
            "clip_grad_norm: expected `max_norm` to be a finite number >= 0, got -1.",
        ),
        (
            lambda p: optim.clip_grad_norm(p, math.nan),
            "clip_grad_norm: expected `max_norm` to be a finite number >= 0, got nan.",
        ),
        (
            lambda p: optim.clip_grad_norm(p, "1"),
            "clip_grad_norm: expected `max_norm` to be a finite number >= 0, got '1'.",
        ),
        (
            lambda p: optim.clip_grad_norm(p, 1, 0),
            "clip_grad_norm: expected `norm_type` to be a number above 0, got 0. Use math.inf",
        ),
        (
            lambda p: optim.clip_grad_norm(p, 1, math.nan),
            "clip_grad_norm: expected `norm_type` to be a number above 0, got nan.",
        ),
        (
            lambda p: optim.clip_grad_norm(p, 1, "inf"),
            "clip_grad_norm: expected `norm_type` to be a number above 0, got 'inf'.",
        ),
        (
            lambda p: optim.clip_grad_value(p, -1),
            "clip_grad_value: expected `clip_value` to be a finite number >= 0, got -1.",
        ),
        (
            lambda p: optim.clip_grad_value(p, math.nan),
            "clip_grad_value: expected `clip_value` to be a finite number >= 0, got nan.",
        ),
        (
            lambda p: optim.clip_grad_norm([], 1),
            "clip_grad_norm: expected at least one parameter, got none. Try model.p",
        ),
        (
            lambda p: optim.clip_grad_value([], 1),
            "clip_grad_value: expected at least one parameter, got none.",
        ),
        (
            lambda p: optim.clip_grad_norm(nn.ReLU(), 1),
            "clip_grad_norm: expected an iterable of tensors, got ReLU. Try model.parameters().",
        ),
        (
            lambda p: optim.clip_grad_norm(set(p), 1),
            "clip_grad_norm: expected parameters in a fixed order, got set. Pass a list, or model.",
        ),
        (
            lambda p: optim.clip_grad_value(frozenset(p), 1),
            "clip_grad_value: expected parameters in a fixed order, got frozenset. Pass a list, or",
        ),
        (
            lambda p: optim.clip_grad_value([np.ones(2)], 1),
            "clip_grad_value: expected parameters to be leaf tensors, got ndarray.",
        ),
    ],
)
def test_invalid_arguments_raise(call, words):
    with pytest.raises(ArgumentError, match=f"^{re.escape(words)}"):
        call(with_gradients([3.0]))


def test_norms_of_many_entries_are_accurate():
    for order, exact in ((2, 1e-3 * 1e3), (1, 1e-3 * 1e6)):
        (params,) = with_gradients(np.full(1_000_000, 1e-3), dtype=np.float32)
        found = optim.clip_grad_norm([params], math.inf, order)
        assert found == pytest.approx(exact, rel=2e-6)


def test_float16_gradients_are_clipped_in_float32():
    """The norm exceeds 65504, and the scale would underflow."""
    params = with_gradients(np.full(10_000, 60_000.0), dtype=np.float16)
    assert optim.clip_grad_norm(params, 1.0) == pytest.approx(6e6)
    np.testing.assert_allclose(params[0].grad.data, 0.01, rtol=1e-3)
    assert params[0].grad.dtype == np.float16
