"""What those who come from PyTorch, tinygrad and NumPy try first, and what they are told."""

import re

import numpy as np
import pytest

from tinygrad_np import Tensor, nn, no_grad, op, viz
from tinygrad_np.errors import ArgumentError, DtypeError, GraphError, ShapeError

T = Tensor


def test_a_parameter_is_not_replaced_by_a_plain_tensor():
    layer = nn.Linear(2, 1)
    with (
        no_grad(),
        pytest.raises(DtypeError, match=r"Linear.weight: a plain Tensor .* weight\[:\]"),
    ):
        layer.weight -= 0.1
    assert [name for name, _ in layer.named_parameters()] == ["weight", "bias"]
    with no_grad():
        layer.weight[:] = layer.weight - 0.1
    layer.weight = nn.Parameter(np.zeros((1, 2), np.float32))
    layer.bias = None
    assert [name for name, _ in layer.named_parameters()] == ["weight"]


def test_the_update_of_the_tutorials_in_place():
    w = Tensor([1.0, 2.0], requires_grad=True)
    for _ in range(2):
        w.grad = None
        (w * w).sum().backward()
        with no_grad():
            w[:] = w - 0.25 * w.grad
    assert w.tolist() == [0.25, 0.5]


def test_pools_of_one_number_are_of_two_axes():
    with pytest.raises(ShapeError, match="expected 4 axes"):
        Tensor.ones(2, 1, 4, 4, 4).max_pool2d(2)
    assert Tensor.ones(2, 1, 4, 4, 4).max_pool2d((2, 2, 2)).shape == (2, 1, 2, 2, 2)


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (nn.Conv1d(3, 5, 3), (3, 9)),
        (nn.Conv2d(3, 5, 3), (3, 8, 9)),
        (nn.ConvTranspose2d(3, 5, 3), (3, 8, 9)),
        (nn.MaxPool2d(2), (3, 8, 9)),
        (nn.MaxPool2d(2, return_indices=True), (3, 8, 9)),
        (nn.AvgPool2d(2), (3, 8, 9)),
        (nn.AdaptiveAvgPool2d(2), (3, 8, 9)),
        (nn.Conv2d(3, 5, 3, data_format="NHWC"), (8, 9, 3)),
    ],
)
def test_a_single_image_needs_no_batch_axis(layer, shape):
    x = Tensor.randn(*shape, generator=np.random.default_rng(0))
    one, batch = layer(x), layer(x.unsqueeze(0))
    pairs = zip(one, batch, strict=True) if isinstance(one, tuple) else [(one, batch)]
    for found, expected in pairs:
        np.testing.assert_array_equal(found.data, expected.data[0])


def test_drawing_leaves_running_statistics_alone_and_names_parameters():
    model = nn.Sequential(nn.BatchNorm2d(4))
    before = model.state_dict()
    picture = viz.draw(model, Tensor.randn(2, 4, 3, 3)).source
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(value, before[name])
    assert "weight 4 float32" in picture
    assert "bias 4 float32" in picture


def test_floats_are_divided_by_a_whole_zero():
    x = Tensor([1.0, -1.0, 0.0])
    with np.errstate(all="ignore"):
        assert str((x // 0).tolist()) == "[inf, -inf, nan]"
        assert np.isnan((x % 0).data).all()


def test_options_of_an_op_stand_behind_a_star():
    with pytest.raises(GraphError, match=r"slope=0.1 is positional.*leaky\(x, \*, slope=0.1\)"):

        @op("leaky")
        def leaky(x, slope=0.1):
            return x * slope


@pytest.mark.parametrize("scalar", [np.float64(1.5), np.float32(1.5), 1.5])
def test_a_scalar_on_the_left_does_not_widen(scalar):
    for t in (Tensor([1, 2]), Tensor(2), Tensor([1.0, 2.0])):
        for made in (scalar / t, scalar - t, scalar // t, scalar % t, scalar**t, scalar * t):
            assert made.dtype == np.float32
    assert (np.int64(3) - Tensor([1], np.int32)).dtype == np.int32


def test_bits_of_a_tensor_without_an_axis_do_not_widen():
    a, b = Tensor([6], np.int32), Tensor(3)
    for made in (a & b, a | b, a ^ b, a << b, a >> b, b & a):
        assert made.dtype == np.int32
    assert (Tensor([250], np.uint8) << Tensor(2)).tolist() == [232]


@pytest.mark.parametrize("reduce", ["sum", "prod", "mean", "amax", "amin"])
@pytest.mark.parametrize("dtype", [np.int32, np.uint8, np.float32])
def test_scatter_reduce_keeps_the_dtype(reduce, dtype):
    x, src = Tensor([1, 2], dtype), Tensor([3, 4], dtype)
    for include_self in (True, False):
        assert x.scatter_reduce(0, Tensor([0, 0]), src, reduce, include_self).dtype == dtype


def test_bools_scatter_and_have_a_sign():
    x, src = Tensor([True, False]), Tensor([True, True])
    assert x.scatter_reduce(0, Tensor([0, 1]), src, "prod").tolist() == [True, False]
    assert x.scatter_reduce(0, Tensor([0, 1]), src, "amax").tolist() == [True, True]
    assert x.sign().tolist() == [True, False]


def test_masked_fill_keeps_the_dtype():
    assert Tensor([True, True]).masked_fill(Tensor([True, False]), 0).tolist() == [False, True]
    assert Tensor([1, 2]).masked_fill([True, False], 7).tolist() == [7, 2]
    with pytest.raises(DtypeError, match=r"masked_fill: 0\.5 is no int64"):
        Tensor([1, 2]).masked_fill([True, False], 0.5)


def test_a_loss_of_nothing_is_nan_and_has_no_gradient():
    x = Tensor([[1.0, 2.0]], requires_grad=True)
    loss = x.nll_loss([0], ignore_index=0)
    assert np.isnan(loss.item())
    (grad,) = loss.gradient(x)
    assert grad.tolist() == [[0.0, 0.0]]


def test_scans_of_a_tensor_without_an_axis():
    for dtype in (np.bool_, np.int32, np.float32):
        values, places = Tensor(1, dtype).cummax()
        assert (values.shape, values.dtype, places.tolist()) == ((), np.dtype(dtype), 0)
    assert Tensor(True).cumsum().dtype == np.int64


def test_sequential_is_a_list_too():
    model = nn.Sequential(nn.Linear(2, 3), nn.ReLU())
    assert isinstance(model[-1], nn.ReLU)
    assert len(model.append(nn.Linear(3, 1))) == 3
    assert isinstance(model[1:], nn.Sequential)
    assert model[:1](Tensor.ones(1, 2)).shape == (1, 3)
    assert [type(layer).__name__ for layer in model] == ["Linear", "ReLU", "Linear"]
    assert list(model.children()) == list(model)


def test_a_list_of_tensors_is_joined():
    a, b = Tensor([1, 2]), Tensor([3])
    assert Tensor.cat([a, b]).tolist() == a.cat(b).tolist() == [1, 2, 3]


X = T([[1.0, 2.0]])


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: X.sum(dim=1), DtypeError, "sum: got dim=1, which is called axis= here"),
        (lambda: X.mean(axis=1, keepdims=True), DtypeError, "which is called keepdim= here"),
        (lambda: T.stack(X, X, axis=0), DtypeError, "stack: got axis=0, which is called dim= here"),
        (lambda: X.softmax(dim=1), DtypeError, "softmax: got dim=1"),
        (lambda: X.sum(axis=1.0), DtypeError, "sum axis: got 1.0, expected an integer"),
        (lambda: X.clamp(0, 1), AttributeError, "no attribute 'clamp'; here it is clip"),
        (lambda: X.long(), AttributeError, "here it is cast(np.int64)"),
        (lambda: nn.Linear(2, 1)([[1.0, 2.0]]), DtypeError, "Linear: got list, expected Tensors"),
        (lambda: X.roll(1, (0, 1)), ShapeError, "roll: got shifts 1 for dims (0, 1)"),
        (lambda: X.pad(1), DtypeError, "pad: got 1, expected a tuple"),
        (lambda: X.shrink((0, 1)), DtypeError, "shrink: got 0 for axis 0"),
        (lambda: X.softplus(0), ArgumentError, "softplus beta: got 0"),
        (lambda: X.celu(0), ArgumentError, "celu alpha: got 0"),
        (lambda: T.rand(2, generator=0), DtypeError, "generator: got 0, expected a numpy.random"),
        (lambda: T([2]) ** -1, ArgumentError, "pow: an integer to a negative integer power"),
        (lambda: T([5]).one_hot(3), ArgumentError, "outside 0..2: there are 3 classes"),
        (lambda: X.nll_loss([-100]), ArgumentError, "pass over a class by ignore_index="),
    ],
)
def test_messages(call, error, message):
    with pytest.raises(error, match=re.escape(message)):
        call()
