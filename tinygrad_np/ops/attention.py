"""Scaled dot-product attention, written in other ops."""

import math
from typing import Any

import numpy as np

from tinygrad_np.autograd.op import V
from tinygrad_np.errors import ArgumentError, DtypeError, ShapeError
from tinygrad_np.ops.activations import dropout
from tinygrad_np.ops.elementwise import ne, select, where
from tinygrad_np.ops.linalg import matmul
from tinygrad_np.ops.losses import softmax
from tinygrad_np.ops.reduce import max
from tinygrad_np.ops.shape import repeat_interleave, transpose

Generator = np.random.Generator | None


def attention_weights(query: Any, key: Any, mask: Any = None) -> Any:
    """Return softmax(query keyᵀ / √E + mask): (..., L, S), from query (..., L, E) and key
    (..., S, E).

    A bool mask says where a query may attend, a float mask is added. A query that may attend
    nowhere has weights 0, and passes no gradient on.
    """
    scale = 1 / math.sqrt(query.shape[-1] or 1)
    scores = matmul(query * scale, transpose(key, dim0=-2, dim1=-1))  # ..., L, S
    if mask is not None:
        _check_mask(mask, scores.shape)
        scores = where(mask, scores, -math.inf) if mask.dtype == bool else scores + mask
    if mask is None or not scores.shape[-1]:
        return softmax(scores, axis=-1)
    # Softmax of -inf alone is nan: such rows are made whole on the way in and zero on the way out.
    attending = ne(max(scores, axis=-1, keepdim=True), -math.inf)  # ..., L, 1
    return select(softmax(where(attending, scores, 0.0), axis=-1), attending)


def scaled_dot_product_attention(
    query: V,
    key: Any,
    value: Any,
    attn_mask: Any = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    enable_gqa: bool = False,
    generator: Generator = None,
) -> V:
    """Return softmax(query keyᵀ / √E + mask) value: each query's mean of the values, weighted by
    how well their keys match it (Vaswani et al. 2017, eq. 1).

    query (..., L, E), key (..., S, E), value (..., S, D) give (..., L, D). `attn_mask`, which
    broadcasts to (..., L, S), is bool, False where a query may not attend, or float, and added.
    `is_causal` lets query i attend to keys 0 to i. `enable_gqa` repeats the heads of key and value,
    axis -3, to be as many as the query's. A query that may attend nowhere gives zeros, as in
    PyTorch. Raises ShapeError, DtypeError for a mask of integers, ArgumentError for a mask beside
    `is_causal` and unless `dropout_p` is a probability.

    >>> from tinygrad_np import Tensor
    >>> query, key = Tensor([[0.0, 0.0]]), Tensor([[1.0, 0.0], [0.0, 1.0]])
    >>> query.scaled_dot_product_attention(key, Tensor([[1.0], [3.0]]))
    Tensor([[2.]])
    """
    if enable_gqa:
        key = _repeated(key, query.shape, "key")
        value = _repeated(value, query.shape, "value")
    _check_shapes(query.shape, key.shape, value.shape)
    if is_causal:
        if attn_mask is not None:
            raise ArgumentError(
                "scaled_dot_product_attention: got attn_mask beside is_causal=True; put both into "
                "one mask"
            )
        attn_mask = np.tri(query.shape[-2], key.shape[-2], dtype=bool)
    weights = dropout(attention_weights(query, key, attn_mask), dropout_p, generator=generator)
    return matmul(weights, value)


def _repeated(x: Any, query_shape: tuple[int, ...], name: str) -> Any:
    """Return heads (..., K, S, E), each repeated, to be as many as the query's."""
    heads = query_shape[-3] if len(query_shape) > 2 else 0
    own = x.shape[-3] if len(x.shape) > 2 else 0
    if not heads or not own or heads % own:
        raise ShapeError(
            f"scaled_dot_product_attention enable_gqa: got query {query_shape} and {name} "
            f"{x.shape}; the query's heads, axis -3, must be a multiple of the {name}'s"
        )
    return repeat_interleave(x, heads // own, dim=-3)


def _check_shapes(query: tuple[int, ...], key: tuple[int, ...], value: tuple[int, ...]) -> None:
    fits = min(map(len, (query, key, value))) >= 2
    if not fits or query[-1] != key[-1] or key[-2] != value[-2]:
        raise ShapeError(
            f"scaled_dot_product_attention: got query {query}, key {key} and value {value}, "
            "expected (..., L, E), (..., S, E) and (..., S, D)"
        )


def _check_mask(mask: Any, scores_shape: tuple[int, ...]) -> None:
    if getattr(mask, "dtype", np.dtype(object)).kind not in "bf":
        raise DtypeError(
            f"scaled_dot_product_attention attn_mask: got {getattr(mask, 'dtype', type(mask))}, "
            "expected bools, which say where a query may attend, or floats, which are added"
        )
    pairs = zip(mask.shape[::-1], scores_shape[::-1], strict=False)
    if len(mask.shape) > len(scores_shape) or any(n not in (1, full) for n, full in pairs):
        raise ShapeError(
            f"scaled_dot_product_attention attn_mask: got shape {mask.shape}, expected one that "
            f"broadcasts to {scores_shape}, (..., L, S)"
        )
