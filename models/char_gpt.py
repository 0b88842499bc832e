"""A small GPT: a transformer that predicts the next character."""

import numpy as np

from tinygrad_np import Tensor, nn
from tinygrad_np.checks import check_integer
from tinygrad_np.errors import ArgumentError
from tinygrad_np.nn import functional as F  # noqa: N812

Generator = np.random.Generator | None


class CausalSelfAttention(nn.Module):
    """Multi-head self-attention in which no position sees a later one (Vaswani et al. 2017).

    One projection computes query, key and value of all heads.
    """

    def __init__(self, width: int, heads: int, generator: Generator = None) -> None:
        self.heads = heads
        self.project = nn.Linear(width, 3 * width, generator=generator)
        self.out = nn.Linear(width, width, generator=generator)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, T, width) to the same shape."""
        n, t, width = x.shape
        heads = self.project(x).reshape(n, t, 3, self.heads, width // self.heads)
        query, key, value = heads.transpose(1, 3).unbind(2)  # N, heads, T, width / heads each
        attended = F.scaled_dot_product_attention(query, key, value, is_causal=True)
        out: Tensor = self.out(attended.transpose(1, 2).reshape(n, t, width))
        return out


class Block(nn.Module):
    """Pre-norm transformer block: x + attention(norm(x)), then x + MLP(norm(x))."""

    def __init__(
        self, width: int, heads: int, dropout: float = 0.0, generator: Generator = None
    ) -> None:
        self.norm1 = nn.LayerNorm(width)
        self.attention = CausalSelfAttention(width, heads, generator)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = nn.Sequential(
            nn.Linear(width, 4 * width, generator=generator),
            nn.GELU("tanh"),
            nn.Linear(4 * width, width, generator=generator),
        )
        self.dropout = nn.Dropout(dropout, generator=generator)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, T, width) to the same shape."""
        x = x + self.dropout(self.attention(self.norm1(x)))
        out: Tensor = x + self.dropout(self.mlp(self.norm2(x)))
        return out


class CharGPT(nn.Module):
    """Embeddings, transformer blocks, a norm and a linear layer; 620,483 parameters by default.

        token embedding (vocabulary to width) + position embedding (context to width) > dropout
        depth blocks: x + attention(norm(x)) > x + MLP(norm(x)), MLP width to 4 width to width
        layer norm > linear (width to vocabulary)

    The design is that of GPT-2 (Radford et al. 2019), without dropout of attention weights, and
    with an output layer that does not share its weight with the token embedding. The initial values
    are GPT-2's, scaled from its width of 768: weights are normal with standard deviation
    0.02 √(768 / width), and biases are 0. In the last layer of each residual branch, the deviation
    is divided by the square root of the number of branches.

    Args:
        generator: NumPy generator for the initial values and for dropout; None uses the default
            generator.
        vocabulary: number of distinct characters; `data.alice()` has 67.
        context: largest number of characters that the model sees at once.
        width: size of the vector of each character.
        heads: number of attention heads per block; must divide `width`.
        depth: number of blocks.
        dropout: probability of dropping an entry of the embedding or of a residual branch.

    Raises:
        ArgumentError: if a size is not an integer >= 1, `heads` does not divide `width`, or
            `dropout` is not a number from 0 to 1.

    >>> from models.char_gpt import CharGPT
    >>> from tinygrad_np import Tensor
    >>> CharGPT(width=32, depth=1)(Tensor([[4, 8, 15, 16, 23, 42]])).shape
    (1, 6, 67)
    """

    def __init__(
        self,
        generator: Generator = None,
        vocabulary: int = 67,
        context: int = 64,
        width: int = 128,
        heads: int = 4,
        depth: int = 3,
        dropout: float = 0.0,
    ) -> None:
        check_integer("CharGPT", 1, vocabulary=vocabulary, context=context)
        check_integer("CharGPT", 1, width=width, heads=heads, depth=depth)
        if width % heads:
            raise ArgumentError(
                f"CharGPT: expected `heads` to divide `width`, got {heads} for width {width}."
            )
        self.context = context
        self.token = nn.Embedding(vocabulary, width, generator=generator)
        self.position = nn.Embedding(context, width, generator=generator)
        self.dropout = nn.Dropout(dropout, generator=generator)
        self.blocks = nn.Sequential(
            *(Block(width, heads, dropout, generator) for _ in range(depth))
        )
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, vocabulary, generator=generator)
        # With 0.02 at width 128, attention starts so close to uniform that the loss is 2.35 instead
        # of 2.05 after 250 steps of char_gpt.py.
        std = 0.02 * (768 / width) ** 0.5
        for name, parameter in self.named_parameters():
            if name.endswith(("attention.out.weight", "mlp.2.weight")):
                nn.init.normal_(parameter, std=std / (2 * depth) ** 0.5, generator=generator)
            elif parameter.ndim > 1:
                nn.init.normal_(parameter, std=std, generator=generator)
            elif name.endswith("bias"):
                nn.init.zeros_(parameter)

    def forward(self, tokens: Tensor) -> Tensor:
        """Map characters (N, T) to the logits (N, T, vocabulary) of the character after each."""
        positions = np.arange(tokens.shape[1])
        x = self.dropout(self.token(tokens) + self.position(positions))  # N, T, width
        x = self.blocks(x)  # N, T, width
        logits: Tensor = self.head(self.norm(x))  # N, T, vocabulary
        return logits
