"""Scaled dot-product and multi-head attention: masks, dropout, dtypes, empty sequences."""

import numpy as np
import pytest

from tests.tools import each, normal, rng
from tinygrad_np import Tensor, gradcheck, nn, profile
from tinygrad_np.errors import ShapeError


def test_attention_dropout_drops_or_scales_weights():
    """The seed decides which weights are dropped; each weight is 0 or scaled."""
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


@each("p", [0.0, 1.0])
def test_attention_drops_nothing_at_p_0_and_everything_at_p_1(p):
    """Nothing is dropped with p = 0, everything with p = 1, without a warning."""
    x = Tensor.randn(3, 4, generator=rng())
    out = x.scaled_dot_product_attention(x, x, dropout_p=p)
    assert np.any(out.data != 0) == (p == 0)


def test_attention_keeps_float32():
    """Outputs and gradients stay float32 with any kind of mask."""
    x = Tensor.randn(2, 3, 4, generator=rng())
    x.requires_grad = True
    masks = [None, np.tri(3, dtype=bool), np.zeros((3, 3), np.float32)]
    for mask in masks:
        out = x.scaled_dot_product_attention(x, x, mask)
        assert out.dtype == np.float32
        assert out.gradient(x, gradient=Tensor.ones(out.shape))[0].dtype == np.float32


@each(("lengths", "shape"), [((0, 3), (0, 2)), ((3, 0), (3, 2)), ((0, 0), (0, 2))])
def test_attention_without_keys_is_zero(lengths, shape):
    """Without keys the output is 0; without queries it is empty; also with a mask."""
    query = Tensor(np.ones((lengths[0], 4)), requires_grad=True)
    key, value = Tensor(np.ones((lengths[1], 4))), Tensor(np.ones((lengths[1], 2)))
    for mask in (None, np.ones(lengths, bool)):
        out = query.scaled_dot_product_attention(key, value, mask)
        assert out.shape == shape
        out.sum().backward()
        heads = (x.reshape(1, 1, *x.shape) for x in (query, key, value))
        assert not next(heads).scaled_dot_product_attention(*heads, mask).data.any()
    assert not query.grad.data.any()


def test_attention_accepts_arrays():
    """Key, value and mask may be arrays."""
    query, key, value = (rng(n).standard_normal((3, 4)) for n in range(3))
    mask = np.tri(3, dtype=bool)
    found = Tensor(query).scaled_dot_product_attention(key, value, mask)
    expected = Tensor(query).scaled_dot_product_attention(Tensor(key), Tensor(value), Tensor(mask))
    np.testing.assert_array_equal(found.data, expected.data)
    gradcheck(lambda q, k, v: q.scaled_dot_product_attention(k, v, mask), [query, key, value])


def test_multihead_attention_drops_weights_only_in_training():
    """The layer's generator drops weights in training only."""
    x = Tensor.randn(4, 2, 8, generator=rng())
    layers = [nn.MultiheadAttention(8, 2, dropout=0.5, generator=rng(3)) for _ in range(2)]
    (out, weights), (same, _) = (layer(x, x, x, average_attn_weights=False) for layer in layers)
    np.testing.assert_array_equal(out.data, same.data)
    assert 0 < (weights.data == 0).sum() < weights.data.size
    sums = layers[0].eval()(x, x, x)[1].sum(-1)
    np.testing.assert_allclose(sums.data, np.ones((2, 4)), rtol=1e-5)


def test_attention_repeats_heads_without_a_batch():
    query, key = (
        Tensor(rng(1).standard_normal((4, 3, 2))),
        Tensor(rng(2).standard_normal((2, 5, 2))),
    )
    found = query.scaled_dot_product_attention(key, key, enable_gqa=True)
    twice = Tensor(key.data.repeat(2, axis=0))
    expected = query.scaled_dot_product_attention(twice, twice)
    np.testing.assert_array_equal(found.data, expected.data)
    with pytest.raises(ShapeError, match="enable_gqa"):
        query[0].scaled_dot_product_attention(key[:1], key[:1], enable_gqa=True)
    with pytest.raises(ShapeError, match="enable_gqa"):
        query.scaled_dot_product_attention(key[0], key[0], enable_gqa=True)


def test_multihead_attention_accepts_embed_dim_1():
    x = Tensor.ones(3, 1)
    assert nn.MultiheadAttention(1, 1)(x, x, x)[1].shape == (3, 3)


def test_different_numbers_of_keys_and_values_raise():
    layer, x = nn.MultiheadAttention(8, 2), Tensor.ones(5, 3, 8)
    with pytest.raises(ShapeError, match=r"and value \(4, 3, 8\)\.$"):
        layer(x, x, x[:4])


def test_is_causal_accepts_more_keys_than_queries():
    layer, query, keys = nn.MultiheadAttention(4, 2), Tensor.ones(2, 4), Tensor.randn(3, 4)
    out, weights = layer(query, keys, keys, is_causal=True)
    assert out.shape == (2, 4)
    assert (weights.data == 0).tolist() == [[False, True, True], [False, False, True]]


def attention_by_loops(layer, query, key, value, mask):
    """Return the output and the weights (heads, L, S) of one sample, computed head by head."""
    size, width = layer.embed_dim, layer.embed_dim // layer.num_heads
    if layer.kdim == layer.vdim == size:
        projections = np.split(layer.in_proj_weight.data, 3)
    else:
        projections = [
            w.data for w in (layer.q_proj_weight, layer.k_proj_weight, layer.v_proj_weight)
        ]
    bias = np.zeros(3 * size) if layer.in_proj_bias is None else layer.in_proj_bias.data
    pairs = zip((query, key, value), projections, np.split(bias, 3), strict=True)
    q, k, v = (x @ w.T + b for x, w, b in pairs)
    out, weights = [], []
    for head in range(layer.num_heads):
        part = slice(head * width, (head + 1) * width)
        scores = np.exp(q[:, part] @ k[:, part].T / np.sqrt(width) + mask)
        weights.append(scores / scores.sum(1, keepdims=True))
        out.append(weights[-1] @ v[:, part])
    last = 0 if layer.out_proj.bias is None else layer.out_proj.bias.data
    return np.concatenate(out, 1) @ layer.out_proj.weight.data.T + last, np.stack(weights)


@each(
    "options",
    [
        {},
        {"bias": False},
        {"batch_first": True},
        {"kdim": 3, "vdim": 5},
        {"kdim": 4, "vdim": 5, "batch_first": True, "bias": False},
    ],
)
@each("batch", [None, 1, 2])
def test_multihead_attention_matches_loops(options, batch):
    layer = nn.MultiheadAttention(4, 2, **options, generator=rng()).astype(np.float64)
    for parameter in layer.parameters():
        parameter.data[:] = rng(1).standard_normal(parameter.shape)
    sizes = [(3, 4), (5, layer.kdim), (5, layer.vdim)]
    samples = [[normal(*s, seed=9 * n + i) for i, s in enumerate(sizes)] for n in range(batch or 1)]
    padding = np.zeros((batch or 1, 5))
    padding[:, 1] = -0.5
    mask = normal(3, 5, seed=7)
    axis = 0 if options.get("batch_first") else 1
    given = [np.stack(x, axis) if batch else x[0] for x in zip(*samples, strict=True)]
    found, weights = layer(
        *map(Tensor, given),
        key_padding_mask=Tensor(padding if batch else padding[0]),
        attn_mask=Tensor(mask),
        average_attn_weights=False,
    )
    for n, sample in enumerate(samples):
        out, expected = attention_by_loops(layer, *sample, mask + padding[n])
        own = np.take(found.data, n, axis) if batch else found.data
        np.testing.assert_allclose(own, out, rtol=1e-10)
        np.testing.assert_allclose(weights.data[n] if batch else weights.data, expected, rtol=1e-10)


@each("options", [{}, {"is_causal": True}, {"key_padding_mask": True}])
@each("batch_first", [True, False])
def test_multihead_attention_is_the_same_without_weights(options, batch_first):
    """Output and gradients are the same, even if one product projects query, key and value."""
    layer = nn.MultiheadAttention(4, 2, dropout=0.5, batch_first=batch_first).astype(np.float64)
    x = Tensor(normal(3, 3, 4), requires_grad=True)
    if "key_padding_mask" in options:
        options = {"key_padding_mask": np.tri(3, k=-1, dtype=bool)}
    found = []
    for need_weights in (True, False):
        for others in ((x, x), (x * 1.0, x * 1.0)):
            layer.generator = rng(3)
            out, weights = layer(x, *others, need_weights=need_weights, **options)
            assert (weights is not None) == need_weights
            layer.zero_grad()
            x.grad = None
            (out * out).sum().backward()
            grads = [parameter.grad.data for parameter in layer.parameters()]
            found.append([out.data, x.grad.data, *grads])
    for other in found[1:]:
        for ours, theirs in zip(other, found[0], strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-12)


def test_self_attention_projects_with_one_product():
    layer, x = nn.MultiheadAttention(4, 2), Tensor.ones(3, 4)
    with profile() as report:
        layer(x, x, x, need_weights=False)
    assert sum(row.calls for row in report.rows() if row.op == "linear") == 2


def test_causal_attention_with_padding_is_the_same_without_weights():
    layer = nn.MultiheadAttention(4, 2, batch_first=True).astype(np.float64)
    x, padding = Tensor(normal(3, 3, 4)), np.tri(3, k=-1, dtype=bool)
    found, expected = (
        layer(x, x, x, key_padding_mask=padding, is_causal=True, need_weights=weights)[0]
        for weights in (False, True)
    )
    np.testing.assert_allclose(found.data, expected.data, rtol=1e-12)


def test_profile_counts_the_products_of_fused_attention():
    query, key, value = (Tensor(normal(2, 3, n, 4), requires_grad=True) for n in (5, 6, 6))
    with profile() as table:
        query.scaled_dot_product_attention(key, value).sum().backward()
    (row,) = (row for row in table.rows() if row.op == "attend")
    scores = 2 * 3 * 5 * 6
    assert row.flops == query.numel() + scores * (2 * (2 * 4) + 5)
    assert row.backward_flops == scores * (5 * (2 * 4) + 4)
