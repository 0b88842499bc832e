"""Transformer encoders."""

import copy
from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_np.checks import check_integer, check_probability, kind_of
from tinygrad_np.errors import ArgumentError, ShapeError
from tinygrad_np.frontend.tensor import Tensor
from tinygrad_np.nn.attention import MultiheadAttention
from tinygrad_np.nn.layers import Dropout, Linear
from tinygrad_np.nn.module import Layer, Module, ModuleList
from tinygrad_np.nn.norm import LayerNorm

Generator = np.random.Generator | None


class TransformerEncoderLayer(Layer):
    """Self-attention and a feed-forward network, each with a residual (Vaswani et al. 2017).

        attend(x) = dropout(self_attn(x, x, x))
        feed(x) = dropout(linear2(dropout(activation(linear1(x)))))

        y = norm1(x + attend(x)),   out = norm2(y + feed(y))        by default
        y = x + attend(norm1(x)),   out = y + feed(norm2(y))        if norm_first

    Input and output have shape (L, N, d_model); with `batch_first`, N is the first axis. N may be
    omitted.

    Args:
        d_model: size of the input and of the output.
        nhead: number of attention heads; must divide `d_model`.
        dim_feedforward: size between the two linear layers.
        dropout: probability of dropping an entry, also of the attention weights, in training.
        activation: "relu", "gelu" or a function of a Tensor.
        layer_norm_eps: number added to the variance by the layer norms.
        batch_first: whether N is the first axis.
        norm_first: whether to normalize the input of the attention and of the feed-forward network
            (Xiong et al. 2020) rather than the sums.
        bias: whether the linear layers, the attention and the layer norms have biases.
        generator: NumPy generator for the initial values and for dropout; None uses the default
            generator.

    Raises:
        ArgumentError: if a size is not an integer >= 1, `nhead` does not divide `d_model`,
            `dropout` is not between 0 and 1, or `activation` is unknown.
        DtypeError: if `generator` is not a NumPy generator, or in a call, as in
            `MultiheadAttention`.
        ShapeError: in a call, if the shape of the input or of a mask does not match.

    >>> from tinygrad_np import Tensor, nn
    >>> layer = nn.TransformerEncoderLayer(8, nhead=2, dim_feedforward=16, batch_first=True)
    >>> layer(Tensor.randn(3, 5, 8)).shape
    (3, 5, 8)
    """

    def __init__(
        self,
        d_model: int,
        nhead: int,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: str | Callable[[Tensor], Tensor] = "relu",
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        generator: Generator = None,
    ) -> None:
        name = "TransformerEncoderLayer"
        check_integer(name, 1, d_model=d_model, nhead=nhead, dim_feedforward=dim_feedforward)
        check_probability(name, dropout=dropout)
        if d_model % nhead:
            raise ArgumentError(
                f"{name}: expected `nhead` to divide d_model={d_model}, got {nhead}."
            )
        if activation not in ("relu", "gelu") and not callable(activation):
            raise ArgumentError(
                f"{name}: expected `activation` to be 'relu', 'gelu' or a function, got "
                f"{activation!r}."
            )
        self.self_attn = MultiheadAttention(
            d_model, nhead, dropout, bias, batch_first=batch_first, generator=generator
        )
        self.linear1 = Linear(d_model, dim_feedforward, bias, generator)
        self.dropout = Dropout(dropout, generator=generator)
        self.linear2 = Linear(dim_feedforward, d_model, bias, generator)
        self.norm_first = norm_first
        self.norm1 = LayerNorm(d_model, layer_norm_eps, bias=bias)
        self.norm2 = LayerNorm(d_model, layer_norm_eps, bias=bias)
        self.dropout1 = Dropout(dropout, generator=generator)
        self.dropout2 = Dropout(dropout, generator=generator)
        self.activation = activation

    def forward(
        self,
        src: Tensor,
        src_mask: Any = None,
        src_key_padding_mask: Any = None,
        is_causal: bool = False,
    ) -> Tensor:
        """Return the output, which has the shape of the input.

        Args:
            src: input of shape (L, N, d_model).
            src_mask: `attn_mask` of `MultiheadAttention`, of shape (L, L) or (N * nhead, L, L).
            src_key_padding_mask: `key_padding_mask` of `MultiheadAttention`, of shape (N, L).
            is_causal: whether to mask the positions after each query; ignored with a `src_mask`.
        """
        size = self.self_attn.embed_dim
        if src.ndim not in (2, 3) or src.shape[-1] != size:
            lead = "N, L" if self.self_attn.batch_first else "L, N"
            raise ShapeError(
                f"{self.label()}: expected input of shape ({lead}, {size}) or (L, {size}), got "
                f"{src.shape}."
            )

        def attend(x: Tensor) -> Tensor:
            masks = {"key_padding_mask": src_key_padding_mask, "attn_mask": src_mask}
            y, _ = self.self_attn(x, x, x, need_weights=False, is_causal=is_causal, **masks)
            out: Tensor = self.dropout1(y)
            return out

        if self.norm_first:
            src = src + attend(self.norm1(src))
            return src + self._feed(self.norm2(src))
        src = self.norm1(src + attend(src))
        out: Tensor = self.norm2(src + self._feed(src))
        return out

    def _feed(self, x: Tensor) -> Tensor:
        out: Tensor = self.dropout2(self.linear2(self.dropout(self._activate(self.linear1(x)))))
        return out

    def _activate(self, x: Tensor) -> Tensor:
        if callable(self.activation):
            return self.activation(x)
        return x.relu() if self.activation == "relu" else x.gelu()

    def extra_repr(self) -> str:
        """Return `norm_first` if it is set."""
        return "norm_first=True" if self.norm_first else ""


class TransformerEncoder(Layer):
    """A stack of copies of an encoder layer (Vaswani et al. 2017, section 3.1).

    The layers are deep copies, so they start with the same weights; to initialize each on its own,
    redraw the weights of `layers`. A generator of the layer is shared, not copied, so that dropout
    differs between the layers.

    Args:
        encoder_layer: the layer to copy, usually a `TransformerEncoderLayer`.
        num_layers: number of copies.
        norm: module applied to the output of the last layer; needed if the layers have
            `norm_first`.

    Raises:
        ArgumentError: if `encoder_layer` is not a Module, or `num_layers` is not an integer >= 1.

    >>> from tinygrad_np import Tensor, nn
    >>> layer = nn.TransformerEncoderLayer(8, nhead=2, dim_feedforward=16)
    >>> nn.TransformerEncoder(layer, num_layers=3)(Tensor.randn(5, 2, 8), is_causal=True).shape
    (5, 2, 8)
    """

    def __init__(self, encoder_layer: Module, num_layers: int, norm: Module | None = None) -> None:
        check_integer("TransformerEncoder", 1, num_layers=num_layers)
        if not isinstance(encoder_layer, Module):
            raise ArgumentError(
                "TransformerEncoder: expected `encoder_layer` to be a module, got "
                f"{kind_of(encoder_layer)}."
            )
        state = [value for part in encoder_layer.modules() for _, value in part.named_state()]
        shared = {id(value): value for value in state if isinstance(value, np.random.Generator)}
        self.layers = ModuleList(
            [copy.deepcopy(encoder_layer, dict(shared)) for _ in range(num_layers)]
        )
        self.num_layers = num_layers
        self.norm = norm

    def forward(
        self,
        src: Tensor,
        mask: Any = None,
        src_key_padding_mask: Any = None,
        is_causal: bool | None = None,
    ) -> Tensor:
        """Return the output of the last layer, normalized if there is a `norm`.

        Args:
            src: input of shape (L, N, d_model).
            mask: `src_mask` of each layer.
            src_key_padding_mask: as in `TransformerEncoderLayer`.
            is_causal: as in `TransformerEncoderLayer`; None is False.
        """
        for layer in self.layers:
            src = layer(
                src,
                src_mask=mask,
                src_key_padding_mask=src_key_padding_mask,
                is_causal=bool(is_causal),
            )
        return src if self.norm is None else self.norm(src)
