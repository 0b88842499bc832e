"""Attention does not depend on how the heads, queries and keys are divided into blocks."""

import numpy as np
import pytest

from tests.tools import each, normal
from tinygrad_np import set_num_threads
from tinygrad_np.kernels import attention as kernels
from tinygrad_np.runtime import threads

MASKS = {
    "none": {},
    "causal": {"is_causal": True},
    "bias": {"bias": normal(7, 9, seed=5)},
    "bias of one row": {"bias": normal(1, 9, seed=5)},
    "causal bias": {"bias": normal(7, 9, seed=5), "is_causal": True},
    "allowed": {"allowed": normal(3, 1, 7, 9, seed=6) > 0},
    "allowed in one row": {"allowed": normal(3, 1, 1, 9, seed=6) > 0},
    "dropout": {"kept": normal(3, 2, 7, 9, seed=7) > -0.5, "dropout_p": 0.3, "is_causal": True},
}


def run(masks, lead=(3, 2)):
    """Return output and gradients of attention for 7 queries and 9 keys."""
    shapes = [(7, 4), (9, 4), (9, 5), (7, 5)]
    query, key, value, upstream = (normal(*lead, *s, seed=n) for n, s in enumerate(shapes))
    masks = kernels.Masks(**masks)
    out, statistics = kernels.attention(query, key, value, masks, 0.5)
    wanted = (True, True, True, masks.bias is not None)
    inputs = (query, key, value, masks, 0.5, out, statistics)
    return [out, *kernels.attention_grads(upstream, *inputs, wanted)]


@each("name", MASKS)
@each("block", [1, 20, 40, 150, 400])
def test_attention_does_not_depend_on_blocks_or_threads(monkeypatch, name, block):
    expected = run(MASKS[name])
    monkeypatch.setattr(kernels, "_BLOCK", block)
    monkeypatch.setattr(kernels, "_CAUSAL_ROWS", 3)
    monkeypatch.setattr(threads, "WORTH", 1e-3)
    kernels._triangle.cache_clear()
    before = threads.workers.count
    try:
        set_num_threads(2)
        found = run(MASKS[name])
    finally:
        set_num_threads(before)
        kernels._triangle.cache_clear()
    for ours, theirs in zip(found, expected, strict=True):
        if theirs is not None:
            np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-13)


@each("lead", [(), (2,), (1, 2), (2, 2, 2)])
def test_attention_accepts_any_number_of_leading_axes(lead):
    out, *grads = run({"is_causal": True}, lead)
    assert out.shape == (*lead, 7, 5)
    assert [grad.shape for grad in grads[:3]] == [
        (*lead, n, e) for n, e in ((7, 4), (9, 4), (9, 5))
    ]


def test_attention_keeps_the_memory_order_of_heads():
    """For heads that are views of (N, L, heads * E), the output can be joined without a copy."""
    x = normal(2, 7, 3, 4).transpose(0, 2, 1, 3)
    out, statistics = kernels.attention(x, x, x, kernels.Masks(), 0.5)
    assert out.transpose(0, 2, 1, 3).flags.c_contiguous
    grads = kernels.attention_grads(
        x, x, x, x, kernels.Masks(), 0.5, out, statistics, (True, True, True, False)
    )
    assert all(grad.transpose(0, 2, 1, 3).flags.c_contiguous for grad in grads[:3])


@each("masked", [np.nan, 1e38])
def test_masked_keys_have_no_effect(masked):
    """Queries that may not attend to a key ignore it, even if it gives huge scores or nan."""
    query, key, value = (normal(1, 1, 3, 4, seed=n).astype(np.float32) for n in range(3))
    query[..., 0] = 1
    expected, _ = kernels.attention(query, key, value, kernels.Masks(is_causal=True), 1.0)
    key[..., 2, 0] = masked
    for masks in (kernels.Masks(is_causal=True), kernels.Masks(allowed=np.tri(3, dtype=bool))):
        out, _ = kernels.attention(query, key, value, masks, 1.0)
        np.testing.assert_allclose(out[..., :2, :], expected[..., :2, :], rtol=1e-6)


@pytest.mark.parametrize("size", [1e4, 3e38])
def test_large_values_do_not_overflow(size):
    x = np.full((1, 1, 4, 2), size, np.float32)
    query = np.full((1, 1, 3, 2), 1e4, np.float32)
    out, _ = kernels.attention(query, query[..., :1, :].repeat(4, 2), x, kernels.Masks(), 1.0)
    np.testing.assert_allclose(out, np.full(out.shape, size), rtol=1e-6)
