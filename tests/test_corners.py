"""Corners in which a value, a gradient or an error was once wrong, or could be unnoticed."""

import array
import math
import re

import numpy as np
import pytest

from tinygrad_np import Tensor, debug, gradcheck, nn, no_grad, op, profile
from tinygrad_np.errors import ArgumentError, AxisError, DtypeError, GraphError, ShapeError
from tinygrad_np.gradcheck import GradientError

T = Tensor


def leaf(*values, dtype=np.float64):
    """Return a leaf with a gradient."""
    return Tensor(np.array(values), dtype, requires_grad=True)


@pytest.mark.parametrize(
    "key",
    [
        ((0, 0), (1, 1)),
        ((0, 0), slice(None)),
        (range(2), [1, 1]),
        array.array("q", [0, 0, 1]),
        [True, False],
        (),
    ],
)
def test_sequences_in_a_key_are_arrays(key):
    x = Tensor(np.arange(4.0).reshape(2, 2), requires_grad=True)
    expected = np.zeros((2, 2))
    np.add.at(expected, key, 1)
    part = x[key]
    np.testing.assert_array_equal(part.data, x.data[key])
    part.sum().backward()
    np.testing.assert_array_equal(x.grad.data, expected)


def test_a_definition_may_hand_back_its_input():
    @op("x", vjps={"x": None}, definition=lambda x: x)
    def ident(x):
        return x.copy()

    x = leaf(1.0)
    ident(x).sum().backward()
    assert x.grad.tolist() == [1.0]
    y = leaf(1.0)
    middle = y * 1
    middle.register_hook(lambda grad: grad * 10)
    ident(middle).sum().backward()
    assert y.grad.tolist() == [10.0]


def test_a_definition_of_another_shape_is_refused():
    @op("x", vjps={"x": None}, definition=lambda x: x.sum())
    def wrong(x):
        return x.copy()

    with pytest.raises(GraphError, match=r"definition of op 'wrong' returned \(\) float64"):
        wrong(leaf(1.0, 2.0)).sum().backward()


@pytest.mark.parametrize("watch", [debug, profile])
def test_errors_keep_their_names_while_watched(watch):
    with watch(), pytest.raises(ShapeError, match=r"add: got \(2, 3\) float32, \(4,\)"):
        Tensor.ones(2, 3) + Tensor.ones(4)
    with watch(), pytest.raises(AxisError, match="sum: got"):
        Tensor.ones(2).sum(axis=5)


def test_an_op_that_hands_back_its_input_is_refused():
    @op("x", vjps={"x": lambda grad_out: grad_out})
    def same(x):
        return x

    with pytest.raises(GraphError, match="same: the forward returned an output that shares memory"):
        same(leaf(1.0) * 1)

    @op("x", vjps={"x": lambda grad_out, kept: grad_out * kept}, keeps=("kept",))
    def keeping(x):
        return x * x, x

    with pytest.raises(GraphError, match="keeping: the forward returned a kept array"):
        keeping(leaf(1.0))


def test_norms_and_spreads_in_half_precision():
    x = np.array([[300, -300, 0, 100]], np.float16)
    wide = x.astype(np.float64)
    expected = (wide - wide.mean()) / wide.std()
    for layer in (nn.LayerNorm(4, elementwise_affine=False), nn.GroupNorm(1, 4, affine=False)):
        found = layer(Tensor(x))
        assert found.dtype == np.float16
        np.testing.assert_allclose(found.data, expected, rtol=2e-3, atol=2e-3)
    root = nn.RMSNorm(4, elementwise_affine=False)(Tensor(x))
    np.testing.assert_allclose(root.data, wide / np.sqrt((wide**2).mean()), rtol=2e-3)
    assert Tensor([300.0, -300.0]).half().std().item() == pytest.approx(424.26, rel=1e-3)
    with np.errstate(over="ignore"):
        assert Tensor([300.0, -300.0]).half().var(correction=0).item() == math.inf


def test_sums_and_products_in_half_precision_go_by_float32():
    many = Tensor(np.full(4096, 0.1, np.float16))
    exact = float(many.data[0]) * 4096
    assert many.cumsum()[-1].item() == pytest.approx(exact, rel=1e-3)
    small = Tensor(np.array([1e-3, 1e-3, 1e4, 1e4], np.float16))
    assert small.prod().item() == pytest.approx(100, rel=1e-2)
    assert small.cumprod(0)[-1].item() == pytest.approx(100, rel=1e-2)
    assert Tensor(np.full((1, 1, 50, 50), 60000, np.float16)).avg_pool2d(50).item() == 60000
    assert Tensor(np.full(3000, 1.0, np.float16)).softmax().data[0] == np.float16(1 / 3000)


def test_targets_given_as_lists_do_not_widen():
    x = Tensor([[0.5, 0.25]])
    losses = [
        x.binary_crossentropy([[0.0, 1.0]]),
        x.binary_crossentropy_logits([[0.0, 1.0]]),
        x.binary_crossentropy_logits(np.ones((1, 2), np.float32), pos_weight=2.0),
        x.cross_entropy([[0.0, 1.0]]),
        x.nll_loss([0], weight=[1.0, 2.0]),
    ]
    assert {loss.dtype for loss in losses} == {np.dtype(np.float32)}
    with pytest.raises(DtypeError, match="where: got a list"):
        T([True]).where([1.0], 2.0)


def test_a_gradient_for_a_result_whose_own_graph_is_freed():
    x = leaf(2.0)
    y = x * x
    z = y.exp()
    y.sum().backward()
    np.testing.assert_allclose(z.gradient(y, gradient=np.ones(1))[0].data, np.exp(4.0))
    with pytest.raises(GraphError, match="was freed"):
        z.gradient(x, gradient=np.ones(1))


def test_small_functions_are_checked_too():
    """A wrong VJP is wrong also where all numbers are small."""
    tiny = op("1e-7 x^2", vjps={"x": lambda grad_out: grad_out * 0})(lambda x: 1e-7 * x * x)
    for full in (False, True):
        with pytest.raises(GradientError):
            gradcheck(tiny, [np.array([1.0, 2.0])], full=full)


def test_the_order_of_equals_is_kept():
    x = np.random.default_rng(0).integers(0, 3, 400).astype(float)
    assert T(x).argsort().tolist() == np.argsort(x, kind="stable").tolist()
    down = T(x).argsort(descending=True).data
    assert all(down[i] < down[i + 1] for i in range(399) if x[down[i]] == x[down[i + 1]])


def test_of_equal_indices_the_last_is_written_and_has_the_gradient():
    src = leaf(5.0, 7.0, 9.0)
    out = Tensor(np.zeros(2)).scatter(0, T([1, 1, 1]), src)
    assert out.tolist() == [0.0, 9.0]
    out.sum().backward()
    assert src.grad.tolist() == [0.0, 0.0, 1.0]


def test_whole_means_are_rounded_down():
    assert T([0]).scatter_reduce(0, T([0, 0]), T([-3, -4]), "mean").tolist() == [-3]
    assert T([0]).scatter_reduce(0, T([0]), T([-3]), "mean").tolist() == [-2]


def test_large_integers_are_truncated_exactly():
    large = 2**60 + 1
    assert T([large, -large]).div(2, "trunc").tolist() == [large // 2, -(large // 2)]


def test_variances_of_fewer_than_the_correction():
    assert T([1.0, 3.0]).var(correction=2).item() == math.inf
    assert math.isnan(T([1.0]).var().item())
    assert math.isnan(Tensor.zeros(0).var().item())


def test_logarithms_of_nothing():
    x = leaf(-math.inf, -math.inf)
    out = x.logsumexp()
    assert out.item() == -math.inf
    assert out.gradient(x)[0].tolist() == [0.0, 0.0]
    assert Tensor.zeros(0, 2).logsumexp(axis=0).tolist() == [-math.inf, -math.inf]


def test_erf_to_the_last_digits():
    x = np.linspace(-6.5, 6.5, 2001)
    exact = np.array([math.erf(value) for value in x])
    np.testing.assert_allclose(T(x).erf().data, exact, rtol=6e-16, atol=0)


def test_probabilities_with_label_smoothing():
    logits, target = np.array([[1.0, 2.0, 0.5]]), np.array([[0.2, 0.5, 0.3]])
    smoothed = target * 0.9 + 0.1 / 3
    expected = -(smoothed * (logits - np.log(np.exp(logits).sum()))).sum()
    assert T(logits).cross_entropy(target, label_smoothing=0.1).item() == pytest.approx(expected)


def test_a_loss_over_ignored_labels_only_is_nan():
    assert math.isnan(T([[1.0, 2.0]]).sparse_categorical_crossentropy([1], ignore_index=1).item())


def test_windows_of_more_than_256_entries():
    x = np.zeros((1, 1, 20, 20))
    x[0, 0, 17, 3] = 5
    values, places = T(x).max_pool2d((20, 20), return_indices=True)
    assert (values.item(), places.item()) == (5.0, 17 * 20 + 3)
    (grad,) = (lambda t: t.max_pool2d((20, 20)).sum().gradient(t))(Tensor(x, requires_grad=True))
    np.testing.assert_array_equal(np.argwhere(grad.data), [[0, 0, 17, 3]])


def test_a_gradient_for_the_tensor_itself_is_a_copy():
    y = leaf(1.0, 2.0) * 1
    seed = np.array([3.0, 4.0])
    (grad,) = y.gradient(y, gradient=seed)
    assert not np.shares_memory(grad.data, seed)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: Tensor.ones(3, 3).pad(((1, 1),), mode="reflect"), ShapeError, "pad: got 1 pairs"),
        (lambda: T([1.0]).pad((1, (1, 1))), DtypeError, "expected numbers, or pairs and None"),
        (lambda: T([1.0]).cast(complex), DtypeError, "cast: got dtype complex128"),
        (lambda: T([1.0]).cast(object), DtypeError, "cast: got dtype object"),
        (lambda: T([1.0]).masked_select([True], size=-1), ArgumentError, "size: got -1"),
        (lambda: T([1.0]).unflatten(0, 3), DtypeError, "unflatten: got sizes 3"),
        (lambda: Tensor.stack([]), DtypeError, "stack: got something else than tensors"),
        (lambda: T([1.0]).topk(-1), ArgumentError, "topk k: got -1"),
        (lambda: T([1.0]).__setitem__(0, object()), ShapeError, "setitem: shape (1,)"),
    ],
)
def test_errors(call, error, message):
    with pytest.raises(error, match=re.escape(message)), no_grad():
        call()


def test_split_takes_numpys_integers():
    assert [part.tolist() for part in T([1, 2, 3]).split(np.int64(2))] == [[1, 2], [3]]
