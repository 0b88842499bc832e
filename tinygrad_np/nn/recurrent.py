"""Recurrent cells: one step in time."""

import numpy as np

from tinygrad_np import ops
from tinygrad_np.checks import check_integer
from tinygrad_np.errors import ShapeError
from tinygrad_np.nn.module import Layer
from tinygrad_np.nn.parts import bias_note, init_parameter
from tinygrad_np.tensor import Tensor

Generator = np.random.Generator | None


class LSTMCell(Layer):
    """One step of a long short-term memory (Hochreiter and Schmidhuber 1997): x (N, input_size) and
    the state (h, c), each (N, hidden_size), give the next state; N may be missing.

        i, f, o = sigmoid(...),  g = tanh(...)  of  x weight_ihᵀ + bias_ih + h weight_hhᵀ + bias_hh
        c' = f c + i g,  h' = o tanh(c')

    weight_ih (4 hidden_size, input_size) and its like have the rows of i, f, g, o one below the
    other, as in PyTorch. Raises ShapeError where sizes do not fit.

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
        """Return (h, c) after x; the state before is zeros unless given."""
        if x.ndim not in (1, 2) or x.shape[-1] != self.input_size:
            raise ShapeError(
                f"LSTMCell: got input {x.shape}, expected (N, {self.input_size}) or "
                f"({self.input_size},)"
            )
        shape = (*x.shape[:-1], self.hidden_size)
        h, c = (Tensor(np.zeros(shape, x.dtype)),) * 2 if state is None else state
        if h.shape != shape or c.shape != shape:
            raise ShapeError(
                f"LSTMCell: got state {h.shape}, {c.shape} with input {x.shape}, expected {shape} "
                "twice"
            )
        gates = x.linear(self.weight_ih, self.bias_ih) + ops.linear(h, self.weight_hh, self.bias_hh)
        size = self.hidden_size
        i, f, g, o = (gates[..., k * size : (k + 1) * size] for k in range(4))
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        return o.sigmoid() * c.tanh(), c

    def describe(self) -> str:
        """Return the sizes."""
        return f"{self.input_size}, {self.hidden_size}{bias_note(self.bias_ih)}"
