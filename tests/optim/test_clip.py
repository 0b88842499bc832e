"""Gradient clipping by norm and by value."""

import math
import re

import numpy as np
import pytest

from tests.optim.tools import assert_close
from tests.tools import each
from tinygrad_np import Tensor, nn, optim
from tinygrad_np.errors import ArgumentError, GraphError

# Clipping.


def with_gradients(*grads, dtype=np.float64):
    """Return parameters with these gradients; None is none."""
    params = [nn.Parameter(np.zeros(np.shape(grad), dtype)) for grad in grads]
    for parameter, grad in zip(params, grads, strict=True):
        parameter.grad = None if grad is None else Tensor(np.asarray(grad, dtype))
    return params


@each(
    ("order", "norm"), [(2.0, 13.0), (2, 13.0), (1, 19.0), (math.inf, 12.0), (3, 1819 ** (1 / 3))]
)
def test_clip_grad_norm(order, norm):
    """All gradients are scaled alike, to the norm asked for; the norm before is returned."""
    params = with_gradients([[3.0], [4.0]], None, -12.0)
    found = optim.clip_grad_norm(params, 0.5, norm_type=order)
    assert type(found) is float
    np.testing.assert_allclose(found, norm, rtol=1e-14)
    scale = 0.5 / (norm + 1e-6)
    assert_close([params[0].grad.numpy()], [scale * np.array([[3.0], [4.0]])])
    assert_close([params[2].grad.numpy()], [np.asarray(scale * -12.0)])
    assert params[1].grad is None


def test_clip_grad_norm_leaves_the_small():
    """Gradients within the norm keep their bits, and those without entries have the norm 0."""
    for max_norm in (5.1, math.inf):
        params = with_gradients([3.0], [4.0])
        assert optim.clip_grad_norm(params, max_norm) == 5.0
        assert [p.grad.tolist() for p in params] == [[3.0], [4.0]]
    for order in (1, 2, math.inf):
        assert optim.clip_grad_norm(with_gradients(np.zeros((0, 3)), [4.0]), 9, order) == 4.0


def test_clipping_to_nothing():
    """A largest norm or value of 0 makes gradients 0; gradients of 0 stay."""
    params = with_gradients([3.0, 0.0])
    assert optim.clip_grad_norm(params, 0.0) == 3.0
    assert params[0].grad.tolist() == [0.0, 0.0]
    assert optim.clip_grad_norm(params, 1.0) == 0.0
    assert params[0].grad.tolist() == [0.0, 0.0]
    params = with_gradients([3.0, -1.0])
    optim.clip_grad_value(params, 0.0)
    assert params[0].grad.tolist() == [0.0, 0.0]


def test_clip_grad_value():
    """Each entry is clipped, whatever the others are; nan stays."""
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
    """float32 stays float32, of any size, and with a NumPy number as the limit."""
    params = with_gradients([3.0], np.full((300, 100), 4.0), 2.0, dtype=dtype)
    clip(params, np.float64(0.5))
    assert {p.grad.dtype.name for p in params} == {np.dtype(dtype).name}
    assert [p.grad.shape for p in params] == [p.shape for p in params]
    assert params[0].grad.item() <= 0.5


@CLIPS
def test_clipping_writes_into_no_array(clip):
    """Gradients may share memory and be read-only, as those with graphs of their own do."""
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
def test_clipping_takes_what_optimizers_take(clip):
    """Named parameters, one tensor alone and a generator will do; one given twice counts once, and
    without gradients there is nothing to do.
    """
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


def test_clipping_of_namesakes():
    """Two parameters of one name, as of two models, are two."""
    first, second = with_gradients([3.0], [4.0])
    first.name = second.name = "weight"
    assert optim.clip_grad_norm([first, second], 1.0) == 5.0
    assert second.grad.item() < 1


def test_clipping_of_exploding_gradients():
    """Squares that overflow float32 do not make the norm infinite."""
    params = with_gradients([3e30, 4e30], dtype=np.float32)
    np.testing.assert_allclose(optim.clip_grad_norm(params, 1.0), 5e30, rtol=1e-6)
    np.testing.assert_allclose(params[0].grad.numpy(), [0.6, 0.8], rtol=1e-6)


@each("bad", [math.nan, math.inf, -math.inf])
@each("order", [1, 2, math.inf])
def test_error_if_nonfinite(bad, order):
    """A norm that is not finite is an error on request, names the gradient, changes nothing."""
    params = with_gradients([1.0, 2.0], [3.0, bad])
    params[1].name = "fc.weight"
    with pytest.raises(GraphError, match=r"^clip_grad_norm: the norm is .*, by the gradient of fc"):
        optim.clip_grad_norm(params, 1.0, order, error_if_nonfinite=True)
    np.testing.assert_array_equal(params[0].grad.numpy(), [1.0, 2.0])
    np.testing.assert_array_equal(params[1].grad.numpy(), [3.0, bad])


def test_nonfinite_norms():
    """Without it they are returned; nan goes into all gradients, inf makes the finite ones 0."""
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
        (lambda p: optim.clip_grad_norm(p, -1), "clip_grad_norm max_norm: got -1, expected a"),
        (lambda p: optim.clip_grad_norm(p, math.nan), "clip_grad_norm max_norm: got nan"),
        (lambda p: optim.clip_grad_norm(p, "1"), "clip_grad_norm max_norm: got '1', expected a"),
        (lambda p: optim.clip_grad_norm(p, 1, 0), "clip_grad_norm norm_type: got 0, expected a n"),
        (lambda p: optim.clip_grad_norm(p, 1, math.nan), "clip_grad_norm norm_type: got nan"),
        (lambda p: optim.clip_grad_norm(p, 1, "inf"), "clip_grad_norm norm_type: got 'inf'"),
        (lambda p: optim.clip_grad_value(p, -1), "clip_grad_value clip_value: got -1, expected a"),
        (lambda p: optim.clip_grad_value(p, math.nan), "clip_grad_value clip_value: got nan"),
        (lambda p: optim.clip_grad_norm([], 1), "clip_grad_norm: got no parameters; give model.p"),
        (lambda p: optim.clip_grad_value([], 1), "clip_grad_value: got no parameters"),
        (lambda p: optim.clip_grad_norm(nn.ReLU(), 1), "clip_grad_norm: got a ReLU, expected tens"),
        (lambda p: optim.clip_grad_value([np.ones(2)], 1), "clip_grad_value: got ndarray as a par"),
    ],
)
def test_what_clipping_refuses(call, words):
    """Limits that are none, and what has no gradients, are refused."""
    with pytest.raises(ArgumentError, match=f"^{re.escape(words)}"):
        call(with_gradients([3.0]))
