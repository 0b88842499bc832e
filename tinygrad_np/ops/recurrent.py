"""Recurrent networks: one layer and direction over a whole sequence."""

import math
from typing import Any

import numpy as np

from tinygrad_np.autograd.dispatch import op
from tinygrad_np.autograd.primitives import cast
from tinygrad_np.errors import ShapeError
from tinygrad_np.kernels import recurrent as kernels
from tinygrad_np.ops.activations import relu as _relu
from tinygrad_np.ops.functions import sigmoid, tanh
from tinygrad_np.ops.indexing import getitem
from tinygrad_np.ops.linalg import linear
from tinygrad_np.ops.shape import stack
from tinygrad_np.runtime.memory import Array
from tinygrad_np.typing import Value

_PARAMETERS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")


def _check_shapes(who: str, blocks: int, x: Array, state: tuple[Array, ...], *params: Any) -> None:
    """Raise ShapeError unless x, the state, the weights and the biases fit each other."""
    weight_hh = params[1]
    if x.ndim not in (2, 3) or (x.ndim == 3 and not len(x)):
        raise ShapeError(
            f"{who}: expected x of shape (L, N, input) with L >= 1, or (N, input), got {x.shape}."
        )
    size = weight_hh.shape[-1] if weight_hh.ndim else 0
    rows = blocks * size
    shapes: list[tuple[int, ...]] = [(x.shape[-2], size)] * len(state)
    shapes += [(rows, x.shape[-1]), (rows, size), (rows,), (rows,)]
    for place, (value, shape) in enumerate(zip((*state, *params), shapes, strict=True)):
        if value is not None and value.shape != shape:
            name = (*"hc"[: len(state)], *_PARAMETERS)[place]
            raise ShapeError(
                f"{who}: expected `{name}` of shape {shape} for x of shape {x.shape} and hidden "
                f"size {size}, got {value.shape}."
            )


def _lstm_step(from_x: Value, from_h: Value, h: Value, c: Value) -> tuple[Value, Value]:
    """Return h and c after one step, given the projections of x and of h."""
    gates, size = from_x + from_h, h.shape[-1]
    i, f, g, o = (getitem(gates, (..., slice(k * size, (k + 1) * size))) for k in range(4))
    c = sigmoid(f) * c + sigmoid(i) * tanh(g)
    return sigmoid(o) * tanh(c), c


def _gru_step(from_x: Value, from_h: Value, h: Value) -> tuple[Value]:
    """Return h after one step; the reset gate r is applied after the product with h."""
    size = h.shape[-1]
    (r_x, z_x, n_x), (r_h, z_h, n_h) = (
        [getitem(part, (..., slice(k * size, (k + 1) * size))) for k in range(3)]
        for part in (from_x, from_h)
    )
    r, z = sigmoid(r_x + r_h), sigmoid(z_x + z_h)
    n = tanh(n_x + r * n_h)
    return (n + z * (h - n),)


def _unroll(step: Any, x: Value, state: tuple[Value, ...], params: Any, reverse: bool) -> Value:
    """Apply `step` along x; stack the states as (L, N, H), or as (2, L, N, H) for an LSTM."""
    dtype = x.dtype
    if dtype == np.float16:
        x, state = cast(x, np.float32), tuple(cast(value, np.float32) for value in state)
        params = [None if value is None else cast(value, np.float32) for value in params]
    weight_ih, weight_hh, bias_ih, bias_hh = params
    from_x = linear(x, weight_ih, bias_ih)
    if len(x.shape) == 2:
        parts = step(from_x, linear(state[0], weight_hh, bias_hh), *state)
    else:
        direction = -1 if reverse else 1
        states = []
        for t in range(x.shape[0])[::direction]:
            state = step(getitem(from_x, t), linear(state[0], weight_hh, bias_hh), *state)
            states.append(state)
        parts = [stack(*part[::direction]) for part in zip(*states, strict=True)]
    return cast(stack(*parts) if len(parts) > 1 else parts[0], dtype)


def _define_lstm(
    x: Value, h: Value, c: Value, *params: Value | None, reverse: bool = False
) -> Value:
    return _unroll(_lstm_step, x, (h, c), params, reverse)


@op(
    "c_t = sigmoid(f) c_(t-1) + sigmoid(i) tanh(g), h_t = sigmoid(o) tanh(c_t)",
    definition=_define_lstm,
    differentiable=("x", "h", "c", *_PARAMETERS),
    backward=kernels.lstm_grads,
    caches=("gates",),
    floating=True,
    flops=lambda x, weight_ih, weight_hh: (
        math.prod(x.shape[:-1]) * (2 * (weight_ih.size + weight_hh.size) + 7 * len(weight_hh))
    ),
)
def lstm(
    x: Array,
    h: Array,
    c: Array,
    weight_ih: Array,
    weight_hh: Array,
    bias_ih: Array | None = None,
    bias_hh: Array | None = None,
    *,
    reverse: bool = False,
) -> tuple[Array, Array]:
    """Return the states of an LSTM after each step: h in row 0 of (2, L, N, H), c in row 1.

    `nn.LSTMCell` documents the formula and the shapes of the weights.

    Args:
        x: the sequence, (L, N, input); or one step, (N, input), which gives (2, N, H).
        h: initial state, (N, H).
        c: initial cell state, (N, H).
        weight_ih: weight of x.
        weight_hh: weight of h.
        bias_ih: bias of the product with x, or None.
        bias_hh: bias of the product with h, or None.
        reverse: whether to read the sequence from its end; the results keep the order of x.

    Raises:
        ShapeError: if the sequence is empty, or the shapes do not match.
    """
    _check_shapes("lstm", 4, x, (h, c), weight_ih, weight_hh, bias_ih, bias_hh)
    return kernels.lstm(x, h, c, weight_ih, weight_hh, bias_ih, bias_hh, reverse)


def _define_gru(x: Value, h: Value, *params: Value | None, reverse: bool = False) -> Value:
    return _unroll(_gru_step, x, (h,), params, reverse)


@op(
    "h_t = (1 - z) n + z h_(t-1)",
    definition=_define_gru,
    differentiable=("x", "h", *_PARAMETERS),
    backward=kernels.gru_grads,
    caches=("gates",),
    floating=True,
    flops=lambda x, weight_ih, weight_hh: (
        math.prod(x.shape[:-1]) * (2 * (weight_ih.size + weight_hh.size) + 7 * len(weight_hh))
    ),
)
def gru(
    x: Array,
    h: Array,
    weight_ih: Array,
    weight_hh: Array,
    bias_ih: Array | None = None,
    bias_hh: Array | None = None,
    *,
    reverse: bool = False,
) -> tuple[Array, Array]:
    """Return the state of a GRU after each step, (L, N, H), or (N, H) for one step.

    `nn.GRUCell` documents the formula and the shapes of the weights; the arguments and errors are
    those of `lstm`, without `c`.
    """
    _check_shapes("gru", 3, x, (h,), weight_ih, weight_hh, bias_ih, bias_hh)
    return kernels.gru(x, h, weight_ih, weight_hh, bias_ih, bias_hh, reverse)


def _define_rnn(
    x: Value, h: Value, *params: Value | None, relu: bool = False, reverse: bool = False
) -> Value:
    def step(from_x: Value, from_h: Value, _: Value) -> tuple[Value]:
        return (_relu(from_x + from_h) if relu else tanh(from_x + from_h),)

    return _unroll(step, x, (h,), params, reverse)


@op(
    "h_t = tanh(weight_ih x_t + weight_hh h_(t-1) + bias_ih + bias_hh)",
    definition=_define_rnn,
    differentiable=("x", "h", *_PARAMETERS),
    backward=kernels.rnn_grads,
    floating=True,
    subgradient="0 where relu is at 0",
    flops=lambda x, weight_ih, weight_hh: (
        math.prod(x.shape[:-1]) * (2 * (weight_ih.size + weight_hh.size) + 3 * len(weight_hh))
    ),
)
def rnn(
    x: Array,
    h: Array,
    weight_ih: Array,
    weight_hh: Array,
    bias_ih: Array | None = None,
    bias_hh: Array | None = None,
    *,
    relu: bool = False,
    reverse: bool = False,
) -> Array:
    """Return the state of an Elman network after each step, (L, N, H), or (N, H) for one step.

    If `relu` is True, relu replaces tanh. `nn.RNNCell` documents the formula and the shapes of the
    weights; the other arguments and the errors are those of `lstm`, without `c`.
    """
    _check_shapes("rnn", 1, x, (h,), weight_ih, weight_hh, bias_ih, bias_hh)
    return kernels.rnn(x, h, weight_ih, weight_hh, bias_ih, bias_hh, relu, reverse)
