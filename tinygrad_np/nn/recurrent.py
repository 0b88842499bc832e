"""Recurrent cells; a call computes one time step."""

import numpy as np

from tinygrad_np import ops
from tinygrad_np.checks import check_integer
from tinygrad_np.errors import ShapeError
from tinygrad_np.frontend.tensor import Tensor
from tinygrad_np.nn.module import Layer
from tinygrad_np.nn.parts import bias_note, init_parameter

Generator = np.random.Generator | None


class LSTMCell(Layer):
    """One time step of an LSTM (long short-term memory; Hochreiter and Schmidhuber 1997).

    With gates = x @ weight_ih.T + bias_ih + h @ weight_hh.T + bias_hh, split into i, f, g and o:

        c' = sigmoid(f) c + sigmoid(i) tanh(g)
        h' = sigmoid(o) tanh(c')

    The input x has shape (N, input_size). The state (h, c) and the new state (h', c') are pairs of
    tensors of shape (N, hidden_size). N may be omitted. weight_ih has shape
    (4 * hidden_size, input_size) and weight_hh (4 * hidden_size, hidden_size), with the rows of i,
    f, g and o stacked in this order, as in PyTorch. All parameters are initialized uniformly in
    ±1 / sqrt(hidden_size).

    Args:
        input_size: size of the input vectors.
        hidden_size: size of the hidden state h and of the cell state c.
        bias: whether to add learned biases bias_ih and bias_hh of shape (4 * hidden_size,).
        generator: NumPy generator for the initial values; None uses the default generator.

    Raises:
        ShapeError: if the shape of the input or of the state does not match.
        ArgumentError: if a size is not an integer >= 1.
        DtypeError: if `generator` is not a NumPy generator, or in a call, if the float dtype of the
            input or the state differs from that of the weights.

    >>> from tinygrad_np import Tensor, nn
    >>> cell = nn.LSTMCell(3, 5)
    >>> h, c = cell(Tensor.ones(2, 3))
    >>> h, c = cell(Tensor.ones(2, 3), (h, c))
    >>> h.shape
    (2, 5)
    """

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool = True, generator: Generator = None
    ) -> None:
        check_integer("LSTMCell", 1, input_size=input_size, hidden_size=hidden_size)
        self.input_size = input_size
        self.hidden_size = hidden_size
        rows = 4 * hidden_size
        self.weight_ih = init_parameter((rows, input_size), hidden_size, generator)
        self.weight_hh = init_parameter((rows, hidden_size), hidden_size, generator)
        self.bias_ih = init_parameter((rows,), hidden_size, generator) if bias else None
        self.bias_hh = init_parameter((rows,), hidden_size, generator) if bias else None

    def forward(
        self, x: Tensor, state: tuple[Tensor, Tensor] | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return the new state (h, c); `state` defaults to zeros."""
        if x.ndim not in (1, 2) or x.shape[-1] != self.input_size:
            raise ShapeError(
                f"{self.label()}: expected input of shape (N, {self.input_size}) or "
                f"({self.input_size},), got {x.shape}."
            )
        shape = (*x.shape[:-1], self.hidden_size)
        h, c = (Tensor(np.zeros(shape, x.dtype)),) * 2 if state is None else state
        if h.shape != shape or c.shape != shape:
            raise ShapeError(
                f"{self.label()}: expected a state of two tensors of shape {shape} for input "
                f"{x.shape}, got {h.shape} and {c.shape}."
            )
        for value in (x, h, c):
            self.check_dtype(value, self.weight_ih)
        gates = x.linear(self.weight_ih, self.bias_ih) + ops.linear(h, self.weight_hh, self.bias_hh)
        size = self.hidden_size
        i, f, g, o = (gates[..., k * size : (k + 1) * size] for k in range(4))
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        return o.sigmoid() * c.tanh(), c

    def extra_repr(self) -> str:
        """Return the sizes."""
        return f"{self.input_size}, {self.hidden_size}{bias_note(self.bias_ih)}"
