"""A recurrent network that predicts the next character."""

import numpy as np

from tinygrad_np import Tensor, nn
from tinygrad_np.checks import check_integer

State = tuple[Tensor, Tensor]


class CharRNN(nn.Module):
    """An embedding, an LSTM and a linear layer; 721,283 parameters by default.

        embedding (vocabulary to width) > LSTM (width to hidden) > dropout
        linear (hidden to vocabulary)

    Args:
        generator: NumPy generator for the initial values and for dropout; None uses the default
            generator.
        vocabulary: number of distinct characters; `data.alice()` has 67.
        width: size of the vector of each character.
        hidden: size of the LSTM's state.
        depth: number of LSTM layers.
        dropout: probability of dropping an entry of the output of an LSTM layer.

    Raises:
        ArgumentError: if a size is not an integer >= 1, or `dropout` is not a number from 0 to 1.

    >>> from models.char_rnn import CharRNN
    >>> from tinygrad_np import Tensor
    >>> logits, state = CharRNN(hidden=32)(Tensor([[4, 8, 15, 16, 23]]))
    >>> next_logits, state = CharRNN(hidden=32)(Tensor([[42]]), state)
    >>> logits.shape, next_logits.shape
    ((1, 5, 67), (1, 1, 67))
    """

    def __init__(
        self,
        generator: np.random.Generator | None = None,
        vocabulary: int = 67,
        width: int = 64,
        hidden: int = 384,
        depth: int = 1,
        dropout: float = 0.0,
    ) -> None:
        check_integer("CharRNN", 1, vocabulary=vocabulary, width=width, hidden=hidden, depth=depth)
        self.token = nn.Embedding(vocabulary, width, generator=generator)
        self.lstm = nn.LSTM(
            width,
            hidden,
            depth,
            batch_first=True,
            dropout=dropout if depth > 1 else 0.0,
            generator=generator,
        )
        self.dropout = nn.Dropout(dropout, generator=generator)
        self.head = nn.Linear(hidden, vocabulary, generator=generator)

    def forward(self, tokens: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Return the logits (N, T, vocabulary) of the character after each, and the LSTM's state.

        Args:
            tokens: characters (N, T).
            state: state of the LSTM after the preceding characters; zeros by default.
        """
        x = self.token(tokens)  # N, T, width
        x, state = self.lstm(x, state)  # N, T, hidden
        logits: Tensor = self.head(self.dropout(x))  # N, T, vocabulary
        return logits, state
