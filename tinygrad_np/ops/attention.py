"""Scaled dot-product attention, composed of other ops."""

import math
from typing import Any

import numpy as np

from tinygrad_np.autograd.dispatch import V
from tinygrad_np.autograd.primitives import cast
from tinygrad_np.errors import ArgumentError, DtypeError, ShapeError
from tinygrad_np.ops.activations import dropout, softmax
from tinygrad_np.ops.elementwise import add, keep_where, mul, ne, where
from tinygrad_np.ops.linalg import matmul
from tinygrad_np.ops.reduce import max
from tinygrad_np.ops.shape import repeat_interleave, transpose
from tinygrad_np.typing import Shape, Value

Generator = np.random.Generator | None


def attention_weights(query: V, key: Value, mask: Any = None) -> V:
    """Compute the attention weights softmax(query keyᵀ / √E + mask), of shape (..., L, S).

    `query` is (..., L, E) and `key` (..., S, E). A bool mask is True where a query may attend to a
    key; a float mask is added to the scores. A query that may attend to no key gets weights of 0
    and no gradient.

    Raises:
        DtypeError: if `mask` is neither bool nor float.
        ShapeError: if the shapes of query, key or mask do not match.
    """
    scale = 1 / math.sqrt(query.shape[-1] or 1)
    scores = matmul(mul(query, scale), transpose(key, -2, -1))  # ..., L, S
    if mask is not None:
        _check_mask(mask, scores.shape)
        scores = where(mask, scores, -math.inf) if mask.dtype == bool else add(scores, mask)
    if mask is None or not scores.shape[-1]:
        return softmax(scores)
    # The softmax of a row of -inf is nan: replace such rows before it and zero them after it.
    attending = ne(max(scores, axis=-1, keepdim=True), -math.inf)  # ..., L, 1
    return keep_where(softmax(keep_where(scores, attending)), attending)


def scaled_dot_product_attention(
    query: V,
    key: Value,
    value: Value,
    attn_mask: Value | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    enable_gqa: bool = False,
    generator: Generator = None,
) -> V:
    """Compute softmax(query keyᵀ / √E + mask) value (Vaswani et al. 2017, eq. 1).

    Args:
        query: tensor of shape (..., L, E).
        key: tensor of shape (..., S, E).
        value: tensor of shape (..., S, D).
        attn_mask: tensor that broadcasts to (..., L, S): bool (False where a query may not attend)
            or float (added to the scores). A query that may attend to no key gives zeros, as in
            PyTorch.
        dropout_p: probability of dropping an attention weight.
        is_causal: whether query i attends only to keys 0 to i; cannot be combined with `attn_mask`.
        enable_gqa: whether to repeat the heads of key and value, axis -3, to match the query
            (grouped-query attention).
        generator: NumPy generator for dropout; None uses the default generator.

    Returns:
        A tensor of shape (..., L, D).

    Raises:
        ArgumentError: if both `attn_mask` and `is_causal` are given, or `dropout_p` is not between
            0 and 1.
        DtypeError: if `attn_mask` is neither bool nor float or, with dropout, `generator` is not a
            NumPy generator.
        ShapeError: if the shapes or the numbers of heads do not match.

    >>> from tinygrad_np import Tensor
    >>> query, key = Tensor([[0.0, 0.0]]), Tensor([[1.0, 0.0], [0.0, 1.0]])
    >>> query.scaled_dot_product_attention(key, Tensor([[1.0], [3.0]]))
    Tensor([[2.]])
    """
    _check_shapes(query.shape, key.shape, value.shape)
    if query.dtype == key.dtype == value.dtype == np.float16:
        # As in PyTorch, only the result is rounded to float16.
        wide: V = cast(query, dtype=np.float32)
        k, v = cast(key, dtype=np.float32), cast(value, dtype=np.float32)
        out = scaled_dot_product_attention(
            wide, k, v, attn_mask, dropout_p, is_causal, enable_gqa, generator
        )
        return cast(out, dtype=np.float16)
    if enable_gqa:
        key = _repeat_heads(key, query.shape, "key")
        value = _repeat_heads(value, query.shape, "value")
    if is_causal:
        if attn_mask is not None:
            raise ArgumentError(
                "scaled_dot_product_attention: expected either `attn_mask` or is_causal=True, got "
                "both. Try one mask that combines them."
            )
        attn_mask = np.tri(query.shape[-2], key.shape[-2], dtype=bool)
    weights = dropout(attention_weights(query, key, attn_mask), dropout_p, generator=generator)
    return matmul(weights, value)


def _repeat_heads(x: V, query_shape: Shape, name: str) -> V:
    """Repeat the heads of x (..., K, S, E) to match the number of heads of the query."""
    heads = query_shape[-3] if len(query_shape) > 2 else 0
    own = x.shape[-3] if len(x.shape) > 2 else 0
    if not heads or not own or heads % own:
        raise ShapeError(
            "scaled_dot_product_attention: expected the number of query heads (axis -3) to be a "
            f"multiple of the number of {name} heads with enable_gqa=True, got query "
            f"{query_shape} and {name} {x.shape}."
        )
    return repeat_interleave(x, heads // own, dim=-3)


def _check_shapes(query: Shape, key: Shape, value: Shape) -> None:
    fits = min(map(len, (query, key, value))) >= 2
    if not fits or query[-1] != key[-1] or key[-2] != value[-2]:
        raise ShapeError(
            "scaled_dot_product_attention: expected query (..., L, E), key (..., S, E) and value "
            f"(..., S, D), got {query}, {key} and {value}."
        )


def _check_mask(mask: Value, scores_shape: Shape) -> None:
    if getattr(mask, "dtype", np.dtype(object)).kind not in "bf":
        raise DtypeError(
            "scaled_dot_product_attention: expected `attn_mask` to be bool (where a query may "
            "attend) or float (added to the scores), got "
            f"{getattr(mask, 'dtype', type(mask).__name__)}."
        )
    pairs = zip(mask.shape[::-1], scores_shape[::-1], strict=False)
    if len(mask.shape) > len(scores_shape) or any(n not in (1, full) for n, full in pairs):
        raise ShapeError(
            "scaled_dot_product_attention: expected `attn_mask` to broadcast to (..., L, S) = "
            f"{scores_shape}, got shape {mask.shape}."
        )
