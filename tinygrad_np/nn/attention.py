"""Multi-head attention."""

import math
from typing import Any

import numpy as np

from tinygrad_np import ops
from tinygrad_np.checks import check_integer, check_probability
from tinygrad_np.errors import ArgumentError, DtypeError, ShapeError
from tinygrad_np.frontend.tensor import Tensor
from tinygrad_np.nn import init
from tinygrad_np.nn.layers import Linear
from tinygrad_np.nn.module import Layer, Parameter
from tinygrad_np.typing import Shape

Generator = np.random.Generator | None


class MultiheadAttention(Layer):
    """Multi-head attention (Vaswani et al. 2017, section 3.2.2).

    Query, key and value are projected and split into heads of size d = embed_dim / num_heads. The
    head outputs are concatenated and projected again:

        head = softmax(q kᵀ / √d + mask) v
        output = concatenate(heads) @ out_proj.weight.T + out_proj.bias

    query has shape (L, N, embed_dim), key (S, N, kdim) and value (S, N, vdim); with `batch_first`,
    N is the first axis. N may be omitted.

    If kdim and vdim equal embed_dim, the three projections are stacked in in_proj_weight of shape
    (3 * embed_dim, embed_dim). Otherwise they are q_proj_weight, k_proj_weight and v_proj_weight.
    In both cases, in_proj_bias has shape (3 * embed_dim,).

    Args:
        embed_dim: size of the query and of the output.
        num_heads: number of heads; must divide `embed_dim`.
        dropout: probability of dropping an attention weight in training.
        bias: whether the projections have biases.
        kdim: size of the key; defaults to `embed_dim`.
        vdim: size of the value; defaults to `embed_dim`.
        batch_first: whether N is the first axis.
        generator: NumPy generator for the initial values and for dropout; defaults to the global
            generator.

    Raises:
        ArgumentError: if a size or `num_heads` is not an integer >= 1, `num_heads` does not divide
            `embed_dim`, or `dropout` is not between 0 and 1.
        DtypeError: if `generator` is not a NumPy generator.

    >>> from tinygrad_np import Tensor, nn
    >>> x = Tensor.randn(2, 5, 8)
    >>> out, weights = nn.MultiheadAttention(8, 2, batch_first=True)(x, x, x)
    >>> out.shape, weights.shape
    ((2, 5, 8), (2, 5, 5))
    """

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        bias: bool = True,
        kdim: int | None = None,
        vdim: int | None = None,
        batch_first: bool = False,
        generator: Generator = None,
    ) -> None:
        self.kdim = embed_dim if kdim is None else kdim
        self.vdim = embed_dim if vdim is None else vdim
        check_integer(
            "MultiheadAttention",
            1,
            embed_dim=embed_dim,
            num_heads=num_heads,
            kdim=self.kdim,
            vdim=self.vdim,
        )
        if embed_dim % num_heads:
            raise ArgumentError(
                f"MultiheadAttention: expected `num_heads` to divide embed_dim={embed_dim}, got "
                f"{num_heads}."
            )
        check_probability("MultiheadAttention", dropout=dropout)
        self.embed_dim = embed_dim
        self.num_heads = num_heads
        self.dropout = dropout
        self.batch_first = batch_first
        self.generator = generator

        def draw(rows: int, columns: int) -> Parameter:
            return init.xavier_uniform_(Parameter.zeros(rows, columns), generator=generator)

        if self.kdim == self.vdim == embed_dim:
            self.in_proj_weight = draw(3 * embed_dim, embed_dim)
        else:
            self.q_proj_weight = draw(embed_dim, embed_dim)
            self.k_proj_weight = draw(embed_dim, self.kdim)
            self.v_proj_weight = draw(embed_dim, self.vdim)
        self.in_proj_bias = Parameter.zeros(3 * embed_dim) if bias else None
        self.out_proj = Linear(embed_dim, embed_dim, bias, generator)
        if self.out_proj.bias is not None:
            init.zeros_(self.out_proj.bias)

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_padding_mask: Any = None,
        need_weights: bool = True,
        attn_mask: Any = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """Return the output and the attention weights.

        Args:
            query: queries of shape (L, N, embed_dim).
            key: keys of shape (S, N, kdim).
            value: values of shape (S, N, vdim).
            key_padding_mask: mask of shape (N, S), or (S,) without N, with the keys that no query
                may attend to.
            need_weights: whether to return the weights; if False, None is returned in their place.
            attn_mask: mask of shape (L, S) or (N * num_heads, L, S) with the keys that each query
                may not attend to.
            average_attn_weights: whether to average the weights over the heads.
            is_causal: whether to mask the keys after each query; ignored if `attn_mask` is given.

        A bool mask is True for keys to ignore; a float mask is converted to the dtype of the scores
        and added to them.

        Returns:
            The output, which has the shape of the query, and the weights of shape (N, L, S), or of
            shape (N, num_heads, L, S) with `average_attn_weights=False`.

        Raises:
            ShapeError: if the shapes of the inputs or of a mask do not match.
            DtypeError: if an input is a list or its float dtype differs from that of the weights,
                or a mask is neither bool nor float.

        If all keys of a query are masked, its weights are 0. PyTorch does the same with
        `need_weights=False` but returns nan with `need_weights=True`.
        """
        shapes = (query.shape, key.shape, value.shape)
        self._check(*shapes)
        for x in (query, key, value):
            self.check_dtype(x, self.out_proj.weight)
        is_batched = query.ndim == 3
        if not is_batched or not self.batch_first:
            # Equal inputs stay one tensor, so that `_project` can use one product.
            views = {id(x): self._batch_first(x) for x in (query, key, value)}
            query, key, value = (views[id(x)] for x in (query, key, value))
        batch, length, _ = query.shape  # N, L, E
        scores_shape = (batch, self.num_heads, length, key.shape[1])
        is_causal = is_causal and attn_mask is None
        if is_causal and (need_weights or key_padding_mask is not None):
            attn_mask, is_causal = ~np.tri(length, key.shape[1], dtype=bool), False
        mask = self._join_masks(key_padding_mask, attn_mask, scores_shape, query.dtype)
        heads = self._project(query, key, value)
        dropout_p = self.dropout if self.training else 0.0
        weights = None
        if need_weights:
            weights = ops.attention_weights(heads[0], heads[1], mask)  # N, heads, L, S
            weights = weights.dropout(dropout_p, generator=self.generator)
            attended = weights @ heads[2]
        else:
            attended = heads[0].scaled_dot_product_attention(
                *heads[1:], mask, dropout_p, is_causal, generator=self.generator
            )
        joined = attended.transpose(1, 2).reshape(batch, length, self.embed_dim)
        out = self.out_proj(joined)
        if not is_batched:
            out = out.reshape(length, self.embed_dim)
        elif not self.batch_first:
            out = out.transpose(0, 1)
        if weights is None:
            return out, None
        if average_attn_weights:
            weights = weights.mean(1)
        return out, weights if is_batched else weights.reshape(weights.shape[1:])

    def _check(self, query: Shape, key: Shape, value: Shape) -> None:
        sizes = (self.embed_dim, self.kdim, self.vdim)
        along, across = (1, 0) if self.batch_first and len(query) == 3 else (0, 1)
        fits = (
            len(query) == len(key) == len(value)
            and len(query) in (2, 3)
            and (query[-1], key[-1], value[-1]) == sizes
            and key[along] == value[along]
            and (len(query) == 2 or query[across] == key[across] == value[across])
        )
        if not fits:
            lead = "N, L" if self.batch_first else "L, N"
            raise ShapeError(
                f"{self.label()}: expected query ({lead}, {sizes[0]}), key "
                f"({lead.replace('L', 'S')}, {sizes[1]}) and value ({lead.replace('L', 'S')}, "
                f"{sizes[2]}), or all without N, got query {query}, key {key} and value {value}."
            )

    def _batch_first(self, x: Tensor) -> Tensor:
        """Return x as (N, L, embed_dim)."""
        return x.transpose(0, 1) if x.ndim == 3 else x.reshape(1, *x.shape)

    def _project(self, *inputs: Tensor) -> list[Tensor]:
        """Return query, key and value by head, each of shape (N, heads, L, embed_dim / heads)."""
        size = self.embed_dim
        is_stacked = self.kdim == self.vdim == size
        query, key, value = inputs
        if is_stacked and query is key is value:  # one product instead of three
            projected = list(query.linear(self.in_proj_weight, self.in_proj_bias).chunk(3, -1))
        else:
            weights = (
                self.in_proj_weight.chunk(3)
                if is_stacked
                else (self.q_proj_weight, self.k_proj_weight, self.v_proj_weight)
            )
            biases = (None,) * 3 if self.in_proj_bias is None else self.in_proj_bias.chunk(3)
            projected = list(map(Tensor.linear, inputs, weights, biases))
        shape = (self.num_heads, size // self.num_heads)
        return [y.reshape(*y.shape[:2], *shape).transpose(1, 2) for y in projected]

    def _join_masks(self, key_padding_mask: Any, attn_mask: Any, scores: Shape, dtype: Any) -> Any:
        """Return the sum of the masks, to add to scores of shape (N, heads, L, S), or None."""
        batch, heads, length, keys = scores
        total = None
        for name, mask, allowed in (
            ("key_padding_mask", key_padding_mask, {(batch, keys): (batch, 1, 1, keys)}),
            (
                "attn_mask",
                attn_mask,
                {(length, keys): (length, keys), (batch * heads, length, keys): scores},
            ),
        ):
            if mask is None:
                continue
            shape = mask.shape
            if name == "key_padding_mask" and len(shape) == 1 and batch == 1:
                shape = (1, *shape)
            if shape not in allowed:
                raise ShapeError(
                    f"{self.label()}: expected `{name}` of shape "
                    f"{' or '.join(map(str, allowed))}, got {mask.shape}."
                )
            added = _to_additive(name, mask, dtype).reshape(allowed[shape])
            total = added if total is None else total + added
        return total

    def extra_repr(self) -> str:
        """Return the sizes, and the options that differ from their defaults."""
        text = f"{self.embed_dim}, {self.num_heads}"
        changes = {
            "dropout": (self.dropout, 0.0),
            "bias": (self.in_proj_bias is not None, True),
            "kdim": (self.kdim, self.embed_dim),
            "vdim": (self.vdim, self.embed_dim),
            "batch_first": (self.batch_first, False),
        }
        return text + "".join(f", {n}={v}" for n, (v, usual) in changes.items() if v != usual)


def _to_additive(name: str, mask: Any, dtype: Any) -> Tensor:
    """Return a mask of numbers to add to the scores: -inf where a bool mask is True."""
    if not isinstance(mask, Tensor | np.ndarray) or mask.dtype.kind not in "bf":
        raise DtypeError(
            f"MultiheadAttention: expected `{name}` to be a bool array, True where a query may not "
            "attend, or a float array to add to the scores, got "
            f"{getattr(mask, 'dtype', type(mask).__name__)}."
        )
    if mask.dtype == bool:
        array = mask.data if isinstance(mask, Tensor) else mask
        return Tensor.from_numpy(np.where(array, -math.inf, 0.0).astype(dtype))
    tensor = mask if isinstance(mask, Tensor) else Tensor(mask)
    return tensor if tensor.dtype == dtype else tensor.cast(dtype)
