"""Scaled dot-product attention."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygrad_np.autograd.dispatch import V, op
from tinygrad_np.errors import ArgumentError, DtypeError, ShapeError
from tinygrad_np.kernels import attention as kernels
from tinygrad_np.ops.activations import check_dropout, dropout_mask, dropout_with_mask, softmax
from tinygrad_np.ops.elementwise import add, keep_where, mul, ne, where
from tinygrad_np.ops.linalg import matmul
from tinygrad_np.ops.reduce import in_float32, max
from tinygrad_np.ops.shape import repeat_interleave, transpose
from tinygrad_np.runtime.memory import Array
from tinygrad_np.typing import Shape, Value

Generator = np.random.Generator | None


def attention_weights(
    query: V,
    key: Value,
    mask: Value | None = None,
    scale: float | None = None,
    is_causal: bool = False,
) -> V:
    """Compute the attention weights softmax(scale query keyᵀ + mask), of shape (..., L, S).

    `query` is (..., L, E) and `key` (..., S, E); `scale` defaults to 1 / √E. A bool mask is True
    where a query may attend to a key; a float mask is added to the scores. A query that may attend
    to no key gets weights of 0 and no gradient.

    Raises:
        DtypeError: if `mask` is neither bool nor float.
        ShapeError: if the shapes of query, key or mask do not match.
    """
    scale = _usual_scale(query) if scale is None else scale
    scores: Any = matmul(mul(query, scale), transpose(key, -2, -1))  # ..., L, S
    if mask is not None:
        _check_mask(mask, scores.shape)
        scores = where(mask, scores, -math.inf) if mask.dtype == bool else add(scores, mask)
    if is_causal:
        scores = where(np.tri(query.shape[-2], key.shape[-2], dtype=bool), scores, -math.inf)
    if (mask is None and not is_causal) or not scores.shape[-1]:
        return softmax(scores)
    # The softmax of a row of -inf is nan: replace such rows before it and zero them after it.
    attending = ne(max(scores, axis=-1, keepdim=True), -math.inf)  # ..., L, 1
    return keep_where(softmax(keep_where(scores, attending)), attending)


def _usual_scale(query: Value) -> float:
    return 1 / math.sqrt(query.shape[-1] or 1)


def _define_attend(
    query: Value,
    key: Value,
    value: Value,
    bias: Value | None = None,
    allowed: Value | None = None,
    kept: Value | None = None,
    *,
    scale: float,
    is_causal: bool = False,
    dropout_p: float = 0.0,
) -> Value:
    """Define `attend` in terms of other ops."""
    mask = bias if allowed is None else allowed
    weights = attention_weights(query, key, mask, scale, is_causal)
    if kept is not None:
        weights = dropout_with_mask(weights, kept, p=dropout_p)
    return matmul(weights, value)


def _attend_grads(
    grad_out: Array,
    query: Array,
    key: Array,
    value: Array,
    bias: Array | None,
    allowed: Array | None,
    kept: Array | None,
    statistics: Array,
    out: Array,
    scale: float,
    is_causal: bool,
    dropout_p: float,
    wanted: Sequence[bool],
) -> list[Array | None]:
    masks = kernels.Masks(bias, allowed, kept, dropout_p, is_causal)
    return kernels.attention_grads(
        grad_out, query, key, value, masks, scale, out, statistics, wanted
    )


def _count_scores(query: Array, key: Array, out: Array) -> int:
    return math.prod(out.shape[:-2]) * query.shape[-2] * key.shape[-2]


@op(
    "softmax(scale query keyᵀ + bias) value",
    definition=_define_attend,
    differentiable=("query", "key", "value", "bias"),
    backward=_attend_grads,
    caches=("statistics",),
    floating=True,
    flops=lambda query, key, value, out: (
        query.size + (2 * (query.shape[-1] + value.shape[-1]) + 5) * _count_scores(query, key, out)
    ),
    backward_flops=lambda grad_out, query, key, value: (
        (6 * query.shape[-1] + 4 * value.shape[-1] + 4) * _count_scores(query, key, grad_out)
    ),
)
def attend(
    query: Array,
    key: Array,
    value: Array,
    bias: Array | None = None,
    allowed: Array | None = None,
    kept: Array | None = None,
    *,
    scale: float,
    is_causal: bool = False,
    dropout_p: float = 0.0,
) -> tuple[Array, Array]:
    """Compute scaled dot-product attention, of shape (..., L, D).

    `bias`, `allowed` and `kept` broadcast to the shape of the scores, (..., L, S).

    Args:
        query: queries of shape (..., L, E).
        key: keys of shape (..., S, E).
        value: values of shape (..., S, D).
        bias: numbers added to the scores; cannot be combined with `allowed`.
        allowed: bool mask, True where a query may attend to a key.
        kept: bool mask, True for the weights that dropout keeps.
        scale: factor for the scores.
        is_causal: whether query i attends only to keys 0 to i.
        dropout_p: probability of dropping a weight; kept weights are divided by 1 - dropout_p.

    Raises:
        ArgumentError: if both `bias` and `allowed` are given.
        ShapeError: if the shapes do not match.
    """
    _check_shapes("attend", query.shape, key.shape, value.shape)
    if bias is not None and allowed is not None:
        raise ArgumentError("attend: expected either `bias` or `allowed`, got both.")
    lead = np.broadcast_shapes(query.shape[:-2], key.shape[:-2], value.shape[:-2])
    scores_shape = (*lead, query.shape[-2], key.shape[-2])
    for name, mask in (("bias", bias), ("allowed", allowed), ("kept", kept)):
        if mask is not None:
            _check_broadcast("attend", name, mask.shape, scores_shape)
    masks = kernels.Masks(bias, allowed, kept, dropout_p, is_causal)
    return kernels.attention(query, key, value, masks, scale)


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
    _check_shapes("scaled_dot_product_attention", query.shape, key.shape, value.shape)
    if query.dtype == key.dtype == value.dtype == np.float16:
        # As in PyTorch, only the result is rounded to float16.
        options = (attn_mask, dropout_p, is_causal, enable_gqa, generator)
        return in_float32(scaled_dot_product_attention, query, key, value, *options)
    if enable_gqa:
        key = _repeat_heads(key, query.shape, "key")
        value = _repeat_heads(value, query.shape, "value")
    if is_causal and attn_mask is not None:
        raise ArgumentError(
            "scaled_dot_product_attention: expected either `attn_mask` or is_causal=True, got "
            "both. Try one mask that combines them."
        )
    shape = _scores_shape(query, key, value)
    bias = allowed = None
    if attn_mask is not None:
        _check_mask(attn_mask, shape)
        bias, allowed = (None, attn_mask) if attn_mask.dtype == bool else (attn_mask, None)
    check_dropout("scaled_dot_product_attention", "dropout_p", dropout_p)
    kept = dropout_mask(shape, dropout_p, generator) if dropout_p else None
    return attend(
        query,
        key,
        value,
        bias,
        allowed,
        kept,
        scale=_usual_scale(query),
        is_causal=is_causal,
        dropout_p=float(dropout_p),
    )


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


def _check_shapes(who: str, query: Shape, key: Shape, value: Shape) -> None:
    fits = min(map(len, (query, key, value))) >= 2
    if not fits or query[-1] != key[-1] or key[-2] != value[-2]:
        raise ShapeError(
            f"{who}: expected query (..., L, E), key (..., S, E) and value (..., S, D), got "
            f"{query}, {key} and {value}."
        )


def _scores_shape(query: Value, key: Value, value: Value) -> Shape:
    """Return the shape (..., L, S) of the scores."""
    leads = [x.shape[:-2] for x in (query, key, value)]
    try:
        np.broadcast_shapes(*leads)
    except ValueError:
        raise ShapeError(
            "scaled_dot_product_attention: expected query, key and value with leading axes that "
            f"broadcast, got {query.shape}, {key.shape} and {value.shape}."
        ) from None
    return (*np.broadcast_shapes(*leads[:2]), query.shape[-2], key.shape[-2])


def _check_mask(mask: Value, scores_shape: Shape) -> None:
    if getattr(mask, "dtype", np.dtype(object)).kind not in "bf":
        raise DtypeError(
            "scaled_dot_product_attention: expected `attn_mask` to be bool (where a query may "
            "attend) or float (added to the scores), got "
            f"{getattr(mask, 'dtype', type(mask).__name__)}."
        )
    _check_broadcast("scaled_dot_product_attention", "attn_mask", mask.shape, scores_shape)


def _check_broadcast(who: str, name: str, shape: Shape, scores_shape: Shape) -> None:
    pairs = zip(shape[::-1], scores_shape[::-1], strict=False)
    if len(shape) > len(scores_shape) or any(n not in (1, full) for n, full in pairs):
        raise ShapeError(
            f"{who}: expected `{name}` to broadcast to (..., L, S) = {scores_shape}, got shape "
            f"{shape}."
        )
