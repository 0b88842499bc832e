"""Recurrent cells, which compute one time step, and the layers RNN, LSTM and GRU."""

import warnings
from typing import Any, ClassVar

import numpy as np

from tinygrad_np import ops
from tinygrad_np.checks import check_integer, check_probability, kind_of
from tinygrad_np.errors import ArgumentError, DtypeError, ShapeError
from tinygrad_np.frontend.tensor import Tensor
from tinygrad_np.nn.module import Layer, Parameter
from tinygrad_np.nn.parts import bias_note, init_parameter, options_note
from tinygrad_np.typing import Shape

Generator = np.random.Generator | None
State = tuple[Tensor, ...]
Parameters = tuple[Tensor, Tensor, Tensor | None, Tensor | None]
"""weight_ih, weight_hh, bias_ih and bias_hh."""


class _Recurrence(Layer):
    """Base class of cells and layers: their sizes, their state and the op that they call."""

    _gates: ClassVar[int]
    """Number of blocks of `hidden_size` rows in each weight."""
    _parts: ClassVar[int] = 1
    """Number of tensors in the state; the first is h, which is also the output."""
    input_size: int
    hidden_size: int

    def _apply(self, x: Tensor, state: State, parameters: Parameters, reverse: bool) -> Tensor:
        """Return the states after all steps: (L, N, H), or (2, L, N, H) if the state is (h, c).

        If x is one step, (N, input_size), the result has no axis L.
        """
        raise NotImplementedError

    def _read_state(self, state: Any, shape: Shape, x: Tensor, weight: Parameter) -> State:
        """Return the state as a tuple of Tensors, zeros by default; raise unless it fits x."""
        if state is None:
            return (Tensor(np.zeros(shape, weight.dtype)),) * self._parts
        is_one = not isinstance(state, tuple | list)
        parts = (state,) if is_one else state
        is_known = all(isinstance(part, Tensor | np.ndarray) for part in parts)
        if len(parts) != self._parts or not is_known:
            wanted = "a tensor h" if self._parts == 1 else "a pair of tensors (h, c)"
            got = kind_of(state) if is_one else f"{kind_of(state)} of length {len(state)}"
            raise DtypeError(f"{self.label()}: expected the state to be {wanted}, got {got}.")
        if any(part.shape != shape for part in parts):
            count = "two tensors of " if self._parts == 2 else ""
            raise ShapeError(
                f"{self.label()}: expected a state of {count}shape {shape} for input {x.shape}, "
                f"got {' and '.join(str(part.shape) for part in parts)}."
            )
        for part in parts:
            self.check_dtype(part, weight)
        return tuple(part if isinstance(part, Tensor) else Tensor(part) for part in parts)


class _Elman(_Recurrence):
    """The op of RNN and RNNCell."""

    _gates = 1
    nonlinearity: str

    def _set_nonlinearity(self, nonlinearity: str) -> None:
        if nonlinearity not in ("tanh", "relu"):
            raise ArgumentError(
                f"{type(self).__name__}: expected `nonlinearity` to be 'tanh' or 'relu', got "
                f"{nonlinearity!r}."
            )
        self.nonlinearity = nonlinearity

    def _apply(self, x: Tensor, state: State, parameters: Parameters, reverse: bool) -> Tensor:
        relu = self.nonlinearity == "relu"
        return ops.rnn(x, *state, *parameters, relu=relu, reverse=reverse)


class _LSTM(_Recurrence):
    """The op of LSTM and LSTMCell."""

    _gates = 4
    _parts = 2

    def _apply(self, x: Tensor, state: State, parameters: Parameters, reverse: bool) -> Tensor:
        return ops.lstm(x, *state, *parameters, reverse=reverse)


class _GRU(_Recurrence):
    """The op of GRU and GRUCell."""

    _gates = 3

    def _apply(self, x: Tensor, state: State, parameters: Parameters, reverse: bool) -> Tensor:
        return ops.gru(x, *state, *parameters, reverse=reverse)


class _Cell(_Recurrence):
    """Base class of the cells: one layer and one time step."""

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool = True, generator: Generator = None
    ) -> None:
        check_integer(type(self).__name__, 1, input_size=input_size, hidden_size=hidden_size)
        self.input_size = input_size
        self.hidden_size = hidden_size
        rows = self._gates * hidden_size
        self.weight_ih = init_parameter((rows, input_size), hidden_size, generator)
        self.weight_hh = init_parameter((rows, hidden_size), hidden_size, generator)
        self.bias_ih = init_parameter((rows,), hidden_size, generator) if bias else None
        self.bias_hh = init_parameter((rows,), hidden_size, generator) if bias else None

    def _advance(self, x: Tensor, state: Any) -> State:
        """Return the state after the input x of shape (N, input_size) or (input_size,)."""
        if x.ndim not in (1, 2) or x.shape[-1] != self.input_size:
            raise ShapeError(
                f"{self.label()}: expected input of shape (N, {self.input_size}) or "
                f"({self.input_size},), got {x.shape}."
            )
        self.check_dtype(x, self.weight_ih)
        shape = (*x.shape[:-1], self.hidden_size)
        state = self._read_state(state, shape, x, self.weight_ih)
        parameters = (self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh)
        if x.ndim == 2:
            states = self._apply(x, state, parameters, False)
        else:
            batch = tuple(part.unsqueeze(0) for part in state)
            states = self._apply(x.unsqueeze(0), batch, parameters, False).squeeze(-2)
        return (states,) if self._parts == 1 else (states[0], states[1])

    def extra_repr(self) -> str:
        """Return the sizes."""
        return f"{self.input_size}, {self.hidden_size}{bias_note(self.bias_ih)}"


class RNNCell(_Elman, _Cell):
    """One time step of a simple recurrent network (Elman 1990).

        h' = tanh(x @ weight_ih.T + bias_ih + h @ weight_hh.T + bias_hh)

    The input x has shape (N, input_size). The state h and the new state h' have shape
    (N, hidden_size). N may be omitted. weight_ih has shape (hidden_size, input_size) and weight_hh
    (hidden_size, hidden_size). All parameters are initialized uniformly in ±1 / sqrt(hidden_size).

    Args:
        input_size: size of the input vectors.
        hidden_size: size of the state.
        bias: whether to add the two biases.
        nonlinearity: "tanh", or "relu" instead of tanh.
        generator: NumPy generator for the initial values; None uses the default generator.

    Raises:
        ShapeError: in a call, if the shape of the input or of the state does not match.
        ArgumentError: if a size is not an integer >= 1, or `nonlinearity` is unknown.
        DtypeError: if `generator` is not a NumPy generator, or in a call, if the float dtype of the
            input or the state differs from that of the weights, or the state is not one tensor.

    >>> from tinygrad_np import Tensor, nn
    >>> cell = nn.RNNCell(3, 5)
    >>> h = cell(Tensor.ones(2, 3))
    >>> cell(Tensor.ones(2, 3), h).shape
    (2, 5)
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: str = "tanh",
        generator: Generator = None,
    ) -> None:
        self._set_nonlinearity(nonlinearity)
        super().__init__(input_size, hidden_size, bias, generator)

    def forward(self, x: Tensor, state: Tensor | None = None) -> Tensor:
        """Return the new state h; `state` defaults to zeros."""
        return self._advance(x, state)[0]

    def extra_repr(self) -> str:
        """Return the sizes, and the nonlinearity if it is not tanh."""
        return super().extra_repr() + options_note(self, nonlinearity="tanh")


class LSTMCell(_LSTM, _Cell):
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
        hidden_size: size of the state.
        bias: whether to add the two biases.
        generator: NumPy generator for the initial values; None uses the default generator.

    Raises:
        ShapeError: in a call, if the shape of the input or of the state does not match.
        ArgumentError: if a size is not an integer >= 1.
        DtypeError: if `generator` is not a NumPy generator, or in a call, if the float dtype of the
            input or the state differs from that of the weights, or the state is not a pair.

    >>> from tinygrad_np import Tensor, nn
    >>> cell = nn.LSTMCell(3, 5)
    >>> h, c = cell(Tensor.ones(2, 3))
    >>> h, c = cell(Tensor.ones(2, 3), (h, c))
    >>> h.shape
    (2, 5)
    """

    def forward(
        self, x: Tensor, state: tuple[Tensor, Tensor] | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return the new state (h, c); `state` defaults to zeros."""
        h, c = self._advance(x, state)
        return h, c


class GRUCell(_GRU, _Cell):
    """One time step of a GRU (gated recurrent unit; Cho et al. 2014).

    With a = x @ weight_ih.T + bias_ih and b = h @ weight_hh.T + bias_hh, each split into the parts
    of the reset gate r, the update gate z and the candidate n:

        r = sigmoid(a_r + b_r)
        z = sigmoid(a_z + b_z)
        n = tanh(a_n + r b_n)
        h' = (1 - z) n + z h

    As in PyTorch, the reset gate multiplies b_n; in the paper, it multiplies h before the product
    with the weight.

    The input x has shape (N, input_size). The state h and the new state h' have shape
    (N, hidden_size). N may be omitted. weight_ih has shape (3 * hidden_size, input_size) and
    weight_hh (3 * hidden_size, hidden_size), with the rows of r, z and n stacked in this order. All
    parameters are initialized uniformly in ±1 / sqrt(hidden_size).

    Args:
        input_size: size of the input vectors.
        hidden_size: size of the state.
        bias: whether to add the two biases.
        generator: NumPy generator for the initial values; None uses the default generator.

    Raises:
        ShapeError: in a call, if the shape of the input or of the state does not match.
        ArgumentError: if a size is not an integer >= 1.
        DtypeError: if `generator` is not a NumPy generator, or in a call, if the float dtype of the
            input or the state differs from that of the weights, or the state is not one tensor.

    >>> from tinygrad_np import Tensor, nn
    >>> cell = nn.GRUCell(3, 5)
    >>> h = cell(Tensor.ones(2, 3))
    >>> cell(Tensor.ones(2, 3), h).shape
    (2, 5)
    """

    def forward(self, x: Tensor, state: Tensor | None = None) -> Tensor:
        """Return the new state h; `state` defaults to zeros."""
        return self._advance(x, state)[0]


class _Stack(_Recurrence):
    """Base class of RNN, LSTM and GRU: several layers over all time steps."""

    weight_ih_l0: Parameter
    weight_hh_l0: Parameter
    bias_ih_l0: Parameter
    bias_hh_l0: Parameter

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        generator: Generator = None,
    ) -> None:
        name = type(self).__name__
        check_integer(
            name, 1, input_size=input_size, hidden_size=hidden_size, num_layers=num_layers
        )
        check_probability(name, dropout=dropout)
        if dropout and num_layers == 1:
            warnings.warn(
                f"{name}: dropout={dropout} has no effect with one layer: it applies between "
                "layers. Apply nn.Dropout to the output, or increase `num_layers`.",
                stacklevel=2,
            )
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.bias = bias
        self.batch_first = batch_first
        self.dropout = dropout
        self.bidirectional = bidirectional
        self.generator = generator
        rows = self._gates * hidden_size
        for layer in range(num_layers):
            width = hidden_size * (1 + bidirectional) if layer else input_size
            shapes: dict[str, Shape] = {
                "weight_ih": (rows, width),
                "weight_hh": (rows, hidden_size),
            }
            if bias:
                shapes |= {"bias_ih": (rows,), "bias_hh": (rows,)}
            for suffix in self._suffixes(layer):
                for kind, shape in shapes.items():
                    setattr(self, f"{kind}_{suffix}", init_parameter(shape, hidden_size, generator))

    def _suffixes(self, layer: int) -> list[str]:
        """Return the suffix of the parameters of each direction of a layer."""
        return [f"l{layer}", f"l{layer}_reverse"][: 1 + self.bidirectional]

    def _scan(self, x: Tensor, state: Any) -> tuple[Tensor, State]:
        """Return the output of the last layer at all steps, and the final states of all layers."""
        steps = 1 if self.batch_first and x.ndim == 3 else 0
        if x.ndim not in (2, 3) or x.shape[-1] != self.input_size or not x.shape[steps]:
            lead = "N, L" if self.batch_first else "L, N"
            raise ShapeError(
                f"{self.label()}: expected input of shape ({lead}, {self.input_size}) or "
                f"(L, {self.input_size}) with L >= 1, got {x.shape}."
            )
        self.check_dtype(x, self.weight_ih_l0)
        is_batched = x.ndim == 3
        batch = x.shape[1 - steps : 2 - steps] if is_batched else ()
        count = self.num_layers * (1 + self.bidirectional)
        shape = (count, *batch, self.hidden_size)
        initial = self._read_state(state, shape, x, self.weight_ih_l0)
        if steps:
            x = x.transpose(0, 1)
        if not is_batched:
            x, initial = x.unsqueeze(1), tuple(part.unsqueeze(1) for part in initial)
        finals: list[State] = []
        for layer in range(self.num_layers):
            if layer:
                x = x.dropout(self.dropout, self.training, self.generator)
            outputs = []
            for suffix in self._suffixes(layer):
                start = tuple(part[len(finals)] for part in initial)
                output, final = self._run(x, suffix, start)
                outputs.append(output)
                finals.append(final)
            x = ops.cat(*outputs, dim=-1) if self.bidirectional else outputs[0]
        last = tuple(ops.stack(*parts) for parts in zip(*finals, strict=True))
        if not is_batched:
            return x.squeeze(1), tuple(part.squeeze(1) for part in last)
        return x.transpose(0, 1) if steps else x, last

    def _run(self, x: Tensor, suffix: str, state: State) -> tuple[Tensor, State]:
        """Return the outputs (L, N, hidden_size) of one layer and direction, and its state."""
        weight_ih, weight_hh = (getattr(self, f"weight_{kind}_{suffix}") for kind in ("ih", "hh"))
        bias_ih, bias_hh = (getattr(self, f"bias_{kind}_{suffix}", None) for kind in ("ih", "hh"))
        reverse = suffix.endswith("_reverse")
        states = self._apply(x, state, (weight_ih, weight_hh, bias_ih, bias_hh), reverse)
        last = 0 if reverse else -1
        if self._parts == 1:
            return states, (states[last],)
        return states[0], (states[0, last], states[1, last])

    def extra_repr(self) -> str:
        """Return the sizes, and the options that differ from their defaults."""
        return f"{self.input_size}, {self.hidden_size}" + options_note(
            self, num_layers=1, bias=True, batch_first=False, dropout=0.0, bidirectional=False
        )


class RNN(_Elman, _Stack):
    """Simple recurrent network over sequences (Elman 1990).

    Each layer computes, for each step t of its input x,

        h_t = tanh(x_t @ weight_ih.T + bias_ih + h_(t-1) @ weight_hh.T + bias_hh)

    and passes its outputs h_1, ..., h_L to the next layer. The parameters of layer k are
    weight_ih_lk, weight_hh_lk, bias_ih_lk and bias_hh_lk; a second set with the suffix `_reverse`
    belongs to the backward direction, which reads the sequence from its end. Shapes within a set
    and initialization are those of `RNNCell`.

    Input and output have shapes (L, N, input_size) and (L, N, D * hidden_size), where D is 2 if
    `bidirectional`, else 1; with `batch_first`, N is the first axis. N may be omitted. The initial
    and the final state have shape (D * num_layers, N, hidden_size), also with `batch_first`.
    PyTorch's PackedSequence is not supported: pad the sequences and mask the outputs.

    Args:
        input_size: size of the input vectors.
        hidden_size: size of the state.
        num_layers: number of layers.
        nonlinearity: "tanh", or "relu" instead of tanh.
        bias: whether to add the two biases.
        batch_first: whether N is the first axis of input and output.
        dropout: probability of dropping an entry between layers in training.
        bidirectional: whether each layer also reads the sequence backward; its outputs in the two
            directions are concatenated.
        generator: NumPy generator for the initial values and for dropout; None uses the default
            generator.

    Raises:
        ShapeError: in a call, if the shape of the input or of the state does not match, or the
            sequence is empty.
        ArgumentError: if a size is not an integer >= 1, `nonlinearity` is unknown, or `dropout` is
            not between 0 and 1.
        DtypeError: if `generator` is not a NumPy generator, or in a call, if the float dtype of the
            input or the state differs from that of the weights, or the state is not one tensor.

    >>> from tinygrad_np import Tensor, nn
    >>> output, h = nn.RNN(3, 5, num_layers=2)(Tensor.ones(7, 4, 3))
    >>> output.shape, h.shape
    ((7, 4, 5), (2, 4, 5))
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        generator: Generator = None,
    ) -> None:
        self._set_nonlinearity(nonlinearity)
        super().__init__(
            input_size,
            hidden_size,
            num_layers,
            bias,
            batch_first,
            dropout,
            bidirectional,
            generator,
        )

    def forward(self, x: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return the output at all steps and the final state; `state` defaults to zeros."""
        output, (h,) = self._scan(x, state)
        return output, h

    def extra_repr(self) -> str:
        """Return the sizes, and the options that differ from their defaults."""
        return super().extra_repr() + options_note(self, nonlinearity="tanh")


class LSTM(_LSTM, _Stack):
    """LSTM over sequences (long short-term memory; Hochreiter and Schmidhuber 1997).

    Each layer applies the step of `LSTMCell` along its input. Arguments, parameter names, shapes
    and errors are those of `RNN`, without `nonlinearity`; the initial and the final state are pairs
    (h, c) of tensors of shape (D * num_layers, N, hidden_size).

    >>> from tinygrad_np import Tensor, nn
    >>> output, (h, c) = nn.LSTM(3, 5, batch_first=True, bidirectional=True)(Tensor.ones(4, 7, 3))
    >>> output.shape, h.shape, c.shape
    ((4, 7, 10), (2, 4, 5), (2, 4, 5))
    """

    def forward(
        self, x: Tensor, state: tuple[Tensor, Tensor] | None = None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Return the output at all steps and the final state (h, c); `state` defaults to zeros."""
        output, (h, c) = self._scan(x, state)
        return output, (h, c)


class GRU(_GRU, _Stack):
    """GRU over sequences (gated recurrent unit; Cho et al. 2014).

    Each layer applies the step of `GRUCell`, with PyTorch's reset gate, along its input. Arguments,
    parameter names, shapes and errors are those of `RNN`, without `nonlinearity`.

    >>> from tinygrad_np import Tensor, nn
    >>> output, h = nn.GRU(3, 5)(Tensor.ones(7, 3))
    >>> output.shape, h.shape
    ((7, 5), (1, 5))
    """

    def forward(self, x: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return the output at all steps and the final state; `state` defaults to zeros."""
        output, (h,) = self._scan(x, state)
        return output, h
