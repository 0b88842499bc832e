"""Norms, embeddings, cells and attention: options, errors, randomness, what PyTorch cannot tell."""

import copy
import pickle
import re

import numpy as np
import pytest

from tinygrad_np import Tensor, gradcheck, nn, no_grad
from tinygrad_np.errors import ArgumentError, AxisError, DtypeError, ShapeError


def rng(seed=0):
    """Return a generator."""
    return np.random.default_rng(seed)


LAYERS = [
    (nn.BatchNorm1d(3), "BatchNorm1d(3)"),
    (nn.BatchNorm2d(3, momentum=None), "BatchNorm2d(3, momentum=None)"),
    (
        nn.BatchNorm2d(3, 0.1, affine=False, track_running_stats=False),
        "BatchNorm2d(3, eps=0.1, affine=False, track_running_stats=False)",
    ),
    (nn.InstanceNorm2d(3), "InstanceNorm2d(3)"),
    (nn.InstanceNorm2d(3, affine=True), "InstanceNorm2d(3, affine=True)"),
    (nn.GroupNorm(2, 4), "GroupNorm(2, 4)"),
    (nn.GroupNorm(2, 4, affine=False), "GroupNorm(2, 4, affine=False)"),
    (nn.LayerNorm(3), "LayerNorm((3,))"),
    (nn.LayerNorm([3, 4], bias=False), "LayerNorm((3, 4), bias=False)"),
    (
        nn.LayerNorm(3, elementwise_affine=False),
        "LayerNorm((3,), elementwise_affine=False)",
    ),
    (nn.RMSNorm(3, 0.1), "RMSNorm((3,), eps=0.1)"),
    (nn.Embedding(5, 3), "Embedding(5, 3)"),
    (nn.Embedding(5, 3, -1), "Embedding(5, 3, padding_idx=4)"),
    (nn.LSTMCell(4, 2, bias=False), "LSTMCell(4, 2, bias=False)"),
    (
        nn.MultiheadAttention(4, 2),
        "MultiheadAttention(\n  4, 2\n  (out_proj): Linear(4, 4)\n)",
    ),
    (
        nn.MultiheadAttention(4, 2, 0.1, False, 3, 5, True),
        "MultiheadAttention(\n  4, 2, dropout=0.1, bias=False, kdim=3, vdim=5, batch_first=True\n"
        "  (out_proj): Linear(4, 4, bias=False)\n)",
    ),
    (nn.Dropout2d(0.25), "Dropout2d(p=0.25)"),
    (nn.Identity(), "Identity()"),
]


@pytest.mark.parametrize(("layer", "text"), LAYERS, ids=lambda value: str(value))
def test_repr(layer, text):
    """A layer shows its sizes and what is not at its default."""
    assert repr(layer) == text


@pytest.mark.slow
@pytest.mark.parametrize(("layer", "_"), LAYERS, ids=lambda value: str(value))
@pytest.mark.parametrize("copied", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_copies(layer, _, copied):
    """A copy has equal weights of its own."""
    state, other = layer.state_dict(), copied(layer).state_dict()
    assert list(state) == list(other)
    for name, array in state.items():
        np.testing.assert_array_equal(array, other[name], strict=True)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: nn.BatchNorm1d(0), "BatchNorm1d num_features: got 0"),
        (lambda: nn.BatchNorm2d(2.0), "BatchNorm2d num_features: got 2.0"),
        (lambda: nn.InstanceNorm2d(-1), "InstanceNorm2d num_features: got -1"),
        (lambda: nn.GroupNorm(2, 3), "GroupNorm num_groups: got 2, expected a divisor of num_ch"),
        (lambda: nn.GroupNorm(0, 3), "GroupNorm num_groups: got 0"),
        (lambda: nn.LayerNorm(()), "LayerNorm normalized_shape: got ()"),
        (lambda: nn.LayerNorm((3, 0)), "LayerNorm normalized_shape[1]: got 0"),
        (lambda: nn.RMSNorm(2.5), "RMSNorm normalized_shape[0]: got 2.5"),
        (lambda: nn.Embedding(0, 3), "Embedding num_embeddings: got 0"),
        (lambda: nn.Embedding(5, 3, 5), "Embedding padding_idx: got 5, expected one of the 5 rows"),
        (lambda: nn.Embedding(5, 3, -6), "Embedding padding_idx: got -6"),
        (lambda: nn.LSTMCell(0, 3), "LSTMCell input_size: got 0"),
        (lambda: nn.LSTMCell(3, None), "LSTMCell hidden_size: got None"),
        (
            lambda: nn.MultiheadAttention(5, 2),
            "num_heads: got 2, expected a divisor of embed_dim=5",
        ),
        (lambda: nn.MultiheadAttention(4, 2, kdim=0), "MultiheadAttention kdim: got 0"),
        (lambda: nn.MultiheadAttention(4, 2, 1.5), "MultiheadAttention dropout: got 1.5"),
        (lambda: nn.Dropout2d(-0.5), "Dropout2d p: got -0.5"),
    ],
)
def test_arguments_are_checked(make, words):
    """A layer refuses at once what it could not run with: its name, the argument, the value."""
    with pytest.raises(ArgumentError, match=re.escape(words)):
        make()


MHA = nn.MultiheadAttention(4, 2)
BATCH_FIRST = nn.MultiheadAttention(4, 2, kdim=3, batch_first=True)
CELL = nn.LSTMCell(4, 2)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: nn.BatchNorm1d(3)(Tensor.ones(1, 3)), ShapeError, "one value a channel"),
        (
            lambda: nn.BatchNorm1d(3)(Tensor.ones(2, 4)),
            ShapeError,
            "BatchNorm1d: got input (2, 4), expected (N, C) or (N, C, L) with C = 3",
        ),
        (
            lambda: nn.InstanceNorm2d(3)(Tensor.ones(2, 4, 2, 2)),
            ShapeError,
            "InstanceNorm2d: got input (2, 4, 2, 2), expected (N, C, H, W) or (C, H, W)",
        ),
        (
            lambda: nn.LayerNorm((2, 3))(Tensor.ones(3)),
            ShapeError,
            "LayerNorm: got input (3,), expected (..., 2, 3)",
        ),
        (lambda: nn.Dropout2d()(Tensor.ones(2, 3)), ShapeError, "Dropout2d: got input (2, 3)"),
        (
            lambda: nn.Embedding(5, 3)(np.array([[0, 1], [7, 2]])),
            AxisError,
            "Embedding: index 7 at position (1, 0) is outside the 5 rows, 0..4",
        ),
        (lambda: nn.Embedding(5, 3)(Tensor(-1)), AxisError, "Embedding: index -1 at position ()"),
        (lambda: nn.Embedding(5, 3)(Tensor(1.0)), DtypeError, "indices of dtype float32"),
        (lambda: nn.Embedding(5, 3)(Tensor(True)), DtypeError, "indices of dtype bool"),
        (
            lambda: CELL(Tensor.ones(2, 3)),
            ShapeError,
            "LSTMCell: got input (2, 3), expected (N, 4)",
        ),
        (
            lambda: CELL(Tensor.ones(2, 4), (Tensor.ones(2, 2), Tensor.ones(3, 2))),
            ShapeError,
            "LSTMCell: got state (2, 2), (3, 2) with input (2, 4), expected (2, 2) twice",
        ),
        (
            lambda: MHA(Tensor.ones(2, 3, 5), Tensor.ones(2, 3, 4), Tensor.ones(2, 3, 4)),
            ShapeError,
            "got query (2, 3, 5), key (2, 3, 4), value (2, 3, 4), expected (L, N, 4)",
        ),
        (
            lambda: MHA(Tensor.ones(2, 3, 4), Tensor.ones(5, 2, 4), Tensor.ones(5, 2, 4)),
            ShapeError,
            "got query (2, 3, 4), key (5, 2, 4)",
        ),
        (
            lambda: BATCH_FIRST(Tensor.ones(2, 3, 4), Tensor.ones(2, 3, 3), Tensor.ones(2, 5, 4)),
            ShapeError,
            "expected (N, L, 4) and twice the like with S for L, last 3 and 4",
        ),
        (
            lambda: MHA(*[Tensor.ones(3, 2, 4)] * 3, attn_mask=np.ones((2, 2), bool)),
            ShapeError,
            "attn_mask: got shape (2, 2), expected (3, 3) or (4, 3, 3)",
        ),
        (
            lambda: MHA(*[Tensor.ones(3, 2, 4)] * 3, np.ones((3, 2), bool)),
            ShapeError,
            "key_padding_mask: got shape (3, 2), expected (2, 3)",
        ),
        (
            lambda: MHA(*[Tensor.ones(3, 2, 4)] * 3, attn_mask=np.ones((3, 3), np.int64)),
            DtypeError,
            "attn_mask: got int64, expected bools, True where a query may not attend",
        ),
        (
            lambda: nn.init.orthogonal(Tensor.ones(3)),
            ShapeError,
            "init orthogonal: got shape (3,), expected at least two axes",
        ),
        (lambda: nn.init.calculate_gain("rleu"), ArgumentError, "got 'rleu', expected one of"),
    ],
)
def test_inputs_are_checked(call, error, words):
    """A layer refuses an input that does not fit, with the shapes and what to try."""
    with pytest.raises(error, match=re.escape(words)):
        call()


# Norms.


def test_a_batch_of_nothing_leaves_running_statistics():
    """An empty batch gives an empty output, and has no mean to learn from."""
    for layer, shape in ((nn.BatchNorm1d(3), (0, 3)), (nn.InstanceNorm2d(3), (2, 3, 0, 4))):
        tracked = type(layer)(3, affine=True, track_running_stats=True)
        x = Tensor(np.ones(shape), requires_grad=True)
        out = tracked(x)
        out.sum().backward()
        assert out.shape == x.grad.shape == shape
        assert tracked.running_mean.tolist() == [0.0] * 3
        assert tracked.running_var.tolist() == [1.0] * 3


def test_a_refused_batch_leaves_the_buffers():
    """What BatchNorm refuses is not counted."""
    layer = nn.BatchNorm1d(3)
    with pytest.raises(ShapeError):
        layer(Tensor.ones(1, 3))
    assert layer.num_batches_tracked.item() == 0


def test_running_statistics_without_recording():
    """A layer in training learns its statistics inside no_grad() too."""
    layer = nn.BatchNorm1d(1, momentum=1.0)
    with no_grad():
        layer(Tensor([[1.0], [3.0]]))
    assert layer.running_mean.tolist() == [2.0]
    assert layer.running_var.tolist() == [2.0]


def test_cumulative_average():
    """With momentum=None the running mean is that of all batches."""
    layer = nn.BatchNorm1d(1, momentum=None)
    for value in (0.0, 3.0, 6.0, 9.0):
        layer(Tensor([[value], [value + 2.0]]))
    np.testing.assert_allclose(layer.running_mean.data, [5.5], rtol=1e-6)
    assert layer.num_batches_tracked.item() == 4
    assert layer.num_batches_tracked.dtype == np.int64


def test_a_graph_of_evaluation_outlives_a_step_of_training():
    """An evaluation's backward uses the statistics of its forward, though they changed since."""
    layer = nn.BatchNorm1d(2, eps=0.0)
    x = Tensor.randn(4, 2, generator=rng())
    x.requires_grad = True
    loss = layer.eval()(x).sum()
    layer.train()(x)
    loss.backward()
    assert layer.running_var.tolist() != [1.0, 1.0]
    assert x.grad.tolist() == [[1.0, 1.0]] * 4


def test_norms_in_half_precision():
    """float16 stays float16."""
    x = Tensor(rng().standard_normal((4, 6)).astype(np.float16))
    for layer in (nn.BatchNorm1d(6), nn.LayerNorm(6), nn.GroupNorm(2, 6), nn.RMSNorm(6)):
        assert layer.astype(np.float16)(x).dtype == np.float16


# Dropout2d.


def test_dropout2d_drops_channels():
    """Each channel is 0 throughout or scaled throughout, and so is its gradient."""
    x = Tensor(1 + rng().random((40, 30, 2, 3), np.float32), requires_grad=True)
    out = nn.Dropout2d(0.25, generator=rng(1))(x)
    out.sum().backward()
    factor = out.numpy() / x.numpy()
    np.testing.assert_allclose(x.grad.numpy(), factor, rtol=1e-6)
    first = factor[:, :, :1, :1]
    np.testing.assert_allclose(factor, np.broadcast_to(first, factor.shape), rtol=1e-6)
    dropped = (first == 0).mean()
    np.testing.assert_allclose(first[first != 0], 4 / 3, rtol=1e-6)
    assert abs(dropped - 0.25) < 5 * np.sqrt(0.25 * 0.75 / 1200)


def test_dropout2d_in_evaluation():
    """In evaluation the very tensor comes back; with p=1 zeros; the dtype stays."""
    x = Tensor(np.ones((2, 3, 2, 2)))
    assert nn.Dropout2d(0.5).eval()(x) is x
    out = nn.Dropout2d(1.0)(x)
    assert not out.numpy().any()
    assert out.dtype == np.float64


# Embedding.


def test_embedding_takes_any_integers():
    """Indices of any integer dtype, 0-d too."""
    layer = nn.Embedding(5, 3, generator=rng())
    for dtype in (np.int8, np.int32, np.uint8, np.int64):
        np.testing.assert_array_equal(
            layer(np.array([4, 0], dtype)).data, layer.weight.data[[4, 0]]
        )
    assert layer(np.array(2)).shape == (3,)


def test_padding_row_is_what_it_is_set_to():
    """The padding's row begins at 0; set to something else it is looked up, without gradient."""
    layer = nn.Embedding(4, 2, padding_idx=1)
    assert layer.weight.data[1].tolist() == [0.0, 0.0]
    layer.weight.data[1] = 7.0
    out = layer(np.array([1, 2, 1]))
    assert out.data[0].tolist() == [7.0, 7.0]
    out.sum().backward()
    assert layer.weight.grad.tolist() == [[0.0, 0.0], [0.0, 0.0], [1.0, 1.0], [0.0, 0.0]]


# LSTMCell and attention.


def test_lstm_cell_takes_arrays():
    """The state may be given as arrays."""
    cell = nn.LSTMCell(4, 2, generator=rng())
    x, h, c = (rng(n).standard_normal((3, n)).astype(np.float32) for n in (4, 2, 2))
    for found, expected in zip(
        cell(x, (h, c)), cell(Tensor(x), (Tensor(h), Tensor(c))), strict=True
    ):
        np.testing.assert_array_equal(found.data, expected.data, strict=True)


def test_attention_dropout():
    """A generator's seed gives the dropped weights; each weight is 0 or scaled."""
    query, key = Tensor(rng(1).standard_normal((3, 4))), Tensor(rng(2).standard_normal((5, 4)))
    weights = query.scaled_dot_product_attention(key, np.eye(5)).data
    dropped = [
        query.scaled_dot_product_attention(key, np.eye(5), dropout_p=0.4, generator=rng(seed)).data
        for seed in (1, 1, 2)
    ]
    np.testing.assert_array_equal(dropped[0], dropped[1])
    assert (dropped[0] != dropped[2]).any()
    kept = dropped[0] != 0
    assert 0 < kept.sum() < kept.size
    np.testing.assert_allclose(dropped[0], np.where(kept, weights / 0.6, 0))


@pytest.mark.parametrize("p", [0.0, 1.0])
def test_attention_dropout_of_none_and_all(p):
    """With p = 0 nothing is dropped, with p = 1 everything, without a warning."""
    x = Tensor.randn(3, 4, generator=rng())
    out = x.scaled_dot_product_attention(x, x, dropout_p=p)
    assert np.any(out.data != 0) == (p == 0)


def test_attention_in_float32_stays():
    """float32 in, float32 out, whatever the masks; gradients too."""
    x = Tensor.randn(2, 3, 4, generator=rng())
    x.requires_grad = True
    masks = [None, np.tri(3, dtype=bool), np.zeros((3, 3), np.float32)]
    for mask in masks:
        out = x.scaled_dot_product_attention(x, x, mask)
        assert out.dtype == np.float32
        assert out.gradient(x, gradient=Tensor.ones(out.shape))[0].dtype == np.float32


@pytest.mark.parametrize(
    ("lengths", "shape"), [((0, 3), (0, 2)), ((3, 0), (3, 2)), ((0, 0), (0, 2))]
)
def test_attention_of_nothing(lengths, shape):
    """Without keys the output is zeros, without queries it is empty, with a mask too."""
    query = Tensor(np.ones((lengths[0], 4)), requires_grad=True)
    key, value = Tensor(np.ones((lengths[1], 4))), Tensor(np.ones((lengths[1], 2)))
    for mask in (None, np.ones(lengths, bool)):
        out = query.scaled_dot_product_attention(key, value, mask)
        assert out.shape == shape
        out.sum().backward()
    assert not query.grad.data.any()


def test_attention_without_a_tensor_for_keys():
    """Arrays may stand for key, value and mask."""
    query, key, value = (rng(n).standard_normal((3, 4)) for n in range(3))
    mask = np.tri(3, dtype=bool)
    found = Tensor(query).scaled_dot_product_attention(key, value, mask)
    expected = Tensor(query).scaled_dot_product_attention(Tensor(key), Tensor(value), Tensor(mask))
    np.testing.assert_array_equal(found.data, expected.data)
    gradcheck(lambda q, k, v: q.scaled_dot_product_attention(k, v, mask), [query, key, value])


def test_multihead_attention_dropout():
    """Weights are dropped in training, by the layer's generator, and not in evaluation."""
    x = Tensor.randn(4, 2, 8, generator=rng())
    layers = [nn.MultiheadAttention(8, 2, dropout=0.5, generator=rng(3)) for _ in range(2)]
    (out, weights), (same, _) = (layer(x, x, x, average_attn_weights=False) for layer in layers)
    np.testing.assert_array_equal(out.data, same.data)
    assert 0 < (weights.data == 0).sum() < weights.data.size
    sums = layers[0].eval()(x, x, x)[1].sum(-1)
    np.testing.assert_allclose(sums.data, np.ones((2, 4)), rtol=1e-5)


# Initial weights.


@pytest.mark.parametrize("shape", [(4, 6), (6, 4), (5, 5), (4, 3, 2, 2)])
def test_orthogonal_by_seed(shape):
    """One seed gives the same numbers; the dtype and the tensor stay."""
    weight = nn.Parameter(np.zeros(shape, np.float32))
    assert nn.init.orthogonal(weight, generator=rng(1)) is weight
    again = nn.init.orthogonal(Tensor.zeros(shape), generator=rng(1))
    np.testing.assert_array_equal(weight.data, again.data, strict=True)
    assert (again.data != nn.init.orthogonal(Tensor.zeros(shape), generator=rng(2)).data).any()


def test_orthogonal_is_uniform():
    """Signs are fixed: over many draws the first entry is as often below 0 as above."""
    generator = rng(0)
    signs = [nn.init.orthogonal(Tensor.zeros(2, 2), generator=generator)[0, 0] for _ in range(400)]
    assert 150 < sum(float(sign) > 0 for sign in signs) < 250


def test_orthogonal_of_nothing():
    """A weight without entries stays as it is."""
    assert nn.init.orthogonal(Tensor.zeros(0, 3)).shape == (0, 3)


@pytest.mark.parametrize(
    "make",
    [
        lambda generator: nn.Embedding(5, 3, generator=generator),
        lambda generator: nn.LSTMCell(5, 3, generator=generator),
        lambda generator: nn.MultiheadAttention(4, 2, generator=generator),
        lambda generator: nn.MultiheadAttention(4, 2, kdim=3, generator=generator),
    ],
)
def test_weights_follow_from_the_generator(make):
    """One seed gives the same weights, bit for bit; another seed others."""
    one, same, other = (make(rng(seed)).state_dict() for seed in (1, 1, 2))
    for name, array in one.items():
        np.testing.assert_array_equal(array, same[name], strict=True)
    assert any((array != other[name]).any() for name, array in one.items())


@pytest.mark.parametrize(
    "make",
    [
        lambda **form: nn.BatchNorm1d(3, **form),
        lambda **form: nn.BatchNorm2d(3, **form),
        lambda **form: nn.InstanceNorm2d(3, affine=True, track_running_stats=True, **form),
        lambda **form: nn.GroupNorm(3, 3, **form),
    ],
)
def test_norms_take_channels_last(make):
    """The same numbers, gradients and buffers, only in another order of axes."""
    first, last = make(), make(data_format="NHWC")
    shape = (2, 3, 5) if isinstance(first, nn.BatchNorm1d) else (2, 3, 5, 4)
    x = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    turned = np.ascontiguousarray(np.moveaxis(x, 1, -1))
    one, other = Tensor(x, requires_grad=True), Tensor(turned, requires_grad=True)
    expected, found = first(one), last(other)
    near = {"rtol": 1e-5, "atol": 1e-6}  # memory in another order is summed in another
    np.testing.assert_allclose(np.moveaxis(found.data, -1, 1), expected.data, **near)
    (expected * one).sum().backward()
    (found * other).sum().backward()
    np.testing.assert_allclose(np.moveaxis(other.grad.data, -1, 1), one.grad.data, 1e-4, 1e-5)
    for name, value in first.state_dict().items():
        np.testing.assert_allclose(last.state_dict()[name], value, **near)
    assert "data_format='NHWC'" in repr(last)
    with pytest.raises(ShapeError, match="and C last"):
        last(Tensor.ones(*shape))
    with pytest.raises(ArgumentError, match="data_format: got 'CHW', expected NCHW or NHWC"):
        make(data_format="CHW")
