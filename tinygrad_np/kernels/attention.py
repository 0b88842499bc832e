"""Scaled dot-product attention, computed for a few heads and queries at a time.

The scores of such a block stay in the cache from the product with the keys to the product with the
values. The backward pass recomputes them: the forward pass saves only the maximum and the sum of
the exponentials of each query's scores (FlashAttention: Dao et al. 2022, algorithms 1 and 4).

The scores of a block have shape (S, N, heads, L), with the keys first: NumPy computes the maximum
along the first axis more than 10 times as fast as along the last, and all inner loops are long.

In the backward pass, `of_query` is the gradient of the loss with respect to the query, and so on.
"""

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from tinygrad_np.kernels.reductions import total
from tinygrad_np.runtime import memory, threads
from tinygrad_np.runtime.memory import Array
from tinygrad_np.typing import DType, Shape

# Slices of the two leading axes and of the queries or keys.
Part = tuple[slice, slice, slice]

# Scores per block: 512 KiB in float32. With 128 KiB, (4, 8, 1024, 64) takes 1.22 times as long,
# with 256 KiB 1.01 times.
_BLOCK = 1 << 17
# Queries per block if is_causal; a block skips the keys after its last query. With 128 queries,
# (8, 8, 256, 64) takes 1.2 times as long.
_CAUSAL_ROWS = 64
# Time per score on one thread in ns, not counting the matrix products.
_COST = 0.5


@dataclass(frozen=True)
class Masks:
    """Masks and bias of attention; each array broadcasts to (..., L, S) or is None.

    Args:
        bias: numbers added to the scores.
        allowed: True where a query may attend to a key.
        kept: True where dropout keeps a weight.
        dropout_p: probability of dropping a weight.
        is_causal: whether query i may attend only to keys 0 to i.
    """

    bias: Array | None = None
    allowed: Array | None = None
    kept: Array | None = None
    dropout_p: float = 0.0
    is_causal: bool = False

    def split_lead(self, lead: Shape) -> "Masks":
        """Return the masks with two leading axes."""
        arrays = (self.bias, self.allowed, self.kept)
        bias, allowed, kept = (None if x is None else _split_lead(x, lead) for x in arrays)
        return replace(self, bias=bias, allowed=allowed, kept=kept)

    def apply(self, scores: Array, rows: Part, keys: Part) -> None:
        """Add the bias to the scores of a block, and write -inf where a query may not attend."""
        if self.bias is not None:
            scores += _slice_mask(self.bias, rows, keys)
        # Unlike adding -inf, fmin also masks scores that are nan or inf. A nan that is not masked
        # becomes inf, which gives nan weights as well.
        if self.allowed is not None:
            limits = np.where(_slice_mask(self.allowed, rows, keys), np.inf, -np.inf)
            np.fmin(scores, limits.astype(scores.dtype), out=scores)
        if self.is_causal:
            later = scores[rows[2].start :]
            limits = _triangle(scores.dtype)[: len(later), ..., : scores.shape[3]]
            np.fmin(later, limits, out=later)

    def drop(self, weights: Array, rows: Part, keys: Part) -> None:
        """Zero the dropped weights of a block, and scale the others by 1 / (1 - dropout_p)."""
        if self.kept is not None:
            weights *= _slice_mask(self.kept, rows, keys)
            weights *= weights.dtype.type(1 / (1 - self.dropout_p) if self.dropout_p < 1 else 0)


def attention(
    query: Array, key: Array, value: Array, masks: Masks, scale: float
) -> tuple[Array, Array]:
    """Return softmax(scale query keyᵀ + bias) value, and statistics (..., L, 2) of the scores.

    The statistics of a query are the maximum m of its scores and the sum of exp(score - m). For a
    query that may attend to no key, they are 0 and 1, and the output is 0.
    """
    lead = np.broadcast_shapes(query.shape[:-2], key.shape[:-2], value.shape[:-2])
    out = _empty_like(query, (*lead, query.shape[-2], value.shape[-1]))
    statistics = np.empty((*out.shape[:-1], 2), query.dtype)
    if not key.shape[-2]:
        out[...] = 0
    if not out.size or not key.shape[-2]:
        return out, statistics
    q, k, v, o, found = (_split_lead(x, lead) for x in (query, key, value, out, statistics))
    masks, factor = masks.split_lead(lead), query.dtype.type(scale)

    def block(rows: Part, keys: Part, scratch: Sequence[Array]) -> None:
        weights = _products(k[keys], q[rows] * factor, scratch[0])
        masks.apply(weights, rows, keys)
        largest = np.maximum.reduce(weights, axis=0)
        largest[largest == -np.inf] = 0
        with np.errstate(invalid="ignore"):  # inf - inf, if a score is inf or nan
            np.subtract(weights, largest, out=weights)
        np.exp(weights, out=weights)
        sums = total(weights, 0)
        sums[sums == 0] = 1
        np.divide(weights, sums, out=weights)
        masks.drop(weights, rows, keys)
        np.matmul(_by_query(weights), v[keys], out=o[rows])
        found[rows][..., 0], found[rows][..., 1] = largest, sums

    _for_each_block(block, q, k, q.shape[3] + v.shape[3], masks.is_causal, buffers=1)
    return out, statistics


def attention_grads(
    grad_out: Array,
    query: Array,
    key: Array,
    value: Array,
    masks: Masks,
    scale: float,
    out: Array,
    statistics: Array,
    wanted: Sequence[bool],
) -> list[Array | None]:
    """Return the wanted gradients of query, key, value and bias.

    With the weights P = exp(scores - m) / sum and dP = grad_out valueᵀ, the gradient of the scores
    is P (dP - D). D is the sum of P dP over the keys, which equals the sum of grad_out * out over
    the last axis. The code divides grad_out by `sum` instead of P, because grad_out has fewer
    entries. A gradient that is 0 in exact
    arithmetic, as for a single key, is only 0 up to rounding.
    """
    lead = out.shape[:-2]
    found = [_empty_like(x, (*lead, *x.shape[-2:])) for x in (query, key, value)]
    if wanted[3]:
        found.append(np.zeros((*lead, query.shape[-2], key.shape[-2]), query.dtype))
    if not out.size or not key.shape[-2]:
        for grad in found:
            grad[...] = 0
        return _pick(found, wanted)
    arrays = (query, key, value, grad_out, out, statistics)
    q, k, v, g, o, known = (_split_lead(x, lead) for x in arrays)
    of_query, of_key, of_value, *of_bias = (_split_lead(x, lead) for x in found)
    masks, factor = masks.split_lead(lead), query.dtype.type(scale)

    def block(rows: Part, keys: Part, scratch: Sequence[Array]) -> None:
        queries, grads = q[rows] * factor, g[rows] / known[rows][..., 1:]
        weights = _products(k[keys], queries, scratch[0])
        masks.apply(weights, rows, keys)
        with np.errstate(invalid="ignore"):  # inf - inf, if a score is inf or nan
            np.subtract(weights, known[rows][..., 0], out=weights)
        np.exp(weights, out=weights)
        of_scores = _products(v[keys], grads, scratch[1])
        masks.drop(of_scores, rows, keys)
        of_scores -= np.einsum("...i,...i->...", grads, o[rows])
        of_scores *= weights
        masks.drop(weights, rows, keys)
        np.matmul(_by_query(of_scores), k[keys], out=of_query[rows])
        # Each block of queries adds to the gradients of key and value; the first one writes them.
        for grad, factors, columns in ((of_key, of_scores, queries), (of_value, weights, grads)):
            if rows[2].start == 0:
                np.matmul(_by_key(factors), columns, out=grad[keys])
                grad[keys[0], keys[1], keys[2].stop :] = 0
            else:
                grad[keys] += np.matmul(_by_key(factors), columns)
        if of_bias:
            of_bias[0][(*rows, keys[2])] = _by_query(of_scores)

    _for_each_block(block, q, k, 3 * q.shape[3] + 2 * v.shape[3], masks.is_causal, buffers=2)
    found[0] *= factor
    return _pick(found, wanted)


def _pick(found: list[Array], wanted: Sequence[bool]) -> list[Array | None]:
    return [found[place] if is_wanted else None for place, is_wanted in enumerate(wanted)]


def _for_each_block(
    block: Callable[[Part, Part, Sequence[Array]], None],
    query: Array,
    key: Array,
    width: int,
    is_causal: bool,
    buffers: int,
) -> None:
    """Call `block` with the queries and keys of each block, and with memory for its scores.

    All products together take 2 * `width` floating-point operations per score. One thread computes
    all blocks of a head, in order, because they add to the same gradients of key and value.
    """
    batch, heads, length, _ = query.shape
    keys = key.shape[2]
    queries = max(1, min(length, _CAUSAL_ROWS if is_causal else length, _BLOCK // keys))
    inner = max(1, min(heads, _BLOCK // (queries * keys)))
    outer = max(1, _BLOCK // (queries * keys * heads))

    def part(where: slice) -> None:
        size = min(outer, where.stop - where.start) * inner * queries * keys
        scratch = [memory.empty((size,), query.dtype) for _ in range(buffers)]
        for first in range(where.start, where.stop, outer):
            samples = slice(first, min(first + outer, where.stop))
            for head in range(0, heads, inner):
                for row in range(0, length, queries):
                    rows = slice(row, min(row + queries, length))
                    seen = slice(0, min(keys, rows.stop) if is_causal else keys)
                    lead = (samples, slice(head, min(head + inner, heads)))
                    block((*lead, rows), (*lead, seen), scratch)

    cost = (0.01 * width + _COST) * batch * heads * length * keys
    threads.each(part, batch, cost, uses_blas=True)


def _products(key: Array, query: Array, scratch: Array) -> Array:
    """Return the product of each key with each query, (S, N, heads, L), stored in `scratch`."""
    shape = (key.shape[2], *query.shape[:3])
    out = scratch[: math.prod(shape)].reshape(shape)
    np.matmul(key, query.mT, out=_by_key(out))
    return out


def _by_key(scores: Array) -> Array:
    """View scores of shape (S, N, heads, L) as (N, heads, S, L)."""
    return scores.transpose(1, 2, 0, 3)


def _by_query(scores: Array) -> Array:
    """View scores of shape (S, N, heads, L) as (N, heads, L, S)."""
    return scores.transpose(1, 2, 3, 0)


def _slice_mask(mask: Array, rows: Part, keys: Part) -> Array:
    """Return the part of a mask (N, heads, L, S) for a block; it broadcasts to the scores."""
    queries = rows[2] if mask.shape[2] > 1 else slice(None)
    seen = keys[2] if mask.shape[3] > 1 else slice(None)
    return mask[rows[0], rows[1], queries, seen].transpose(3, 0, 1, 2)


@functools.cache
def _triangle(dtype: DType) -> Array:
    """Return (S, 1, 1, L) with -inf for the keys after each query, and inf elsewhere."""
    is_later = np.tri(_CAUSAL_ROWS, k=-1, dtype=bool)
    return np.where(is_later, -np.inf, np.inf).astype(dtype)[:, None, None]


def _split_lead(x: Array, lead: Shape) -> Array:
    """Broadcast the leading axes of x to `lead`, and merge them into two axes, the longer first.

    The work is divided among threads along the first axis.
    """
    if x.shape[:-2] != lead:
        x = np.broadcast_to(x, (*lead, *x.shape[-2:]))
    outer, inner = math.prod(lead[:-1]), lead[-1] if lead else 1
    if len(lead) != 2:
        x = x.reshape(outer, inner, *x.shape[-2:])
    return x if outer >= inner else x.swapaxes(0, 1)


def _empty_like(x: Array, shape: Shape) -> Array:
    """Return an empty array; with two leading axes, in the memory order of x.

    If the heads are views of (N, L, heads, E), those of the output can be joined without a copy.
    """
    return memory.empty(shape, x.dtype, like=x if x.ndim == len(shape) == 4 else None)
