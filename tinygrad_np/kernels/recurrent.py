"""LSTM, GRU and simple recurrent networks over a sequence, and backpropagation through time.

Arrays have the batch last: the gates of a step are a matrix (rows, N) in which each gate is one
contiguous block, so one NumPy call computes several gates. The products are faster, too: for N = 32
and H = 128, weight @ h takes 21 us and h @ weight.T 39 us. Results are (..., N, H) views of this
memory.

x is a sequence (L, N, input), or one step (N, input); for one step, results have no axis L.

`_advance` is the loop over the steps of the forward pass, and `_backpropagate` that of the backward
pass. They compute the products with the weights. Each network supplies two functions for one step:
`step` computes the gates and the new state, and `pull` computes the gradients of the gates from the
gradient of the state. `of_h` is the gradient of the loss with respect to h, and so on.
"""

from collections.abc import Callable, Sequence

import numpy as np

from tinygrad_np.kernels.activations import write_sigmoid
from tinygrad_np.kernels.dtypes import widen
from tinygrad_np.kernels.elementwise import select
from tinygrad_np.kernels.linalg import product
from tinygrad_np.kernels.reductions import row_sums
from tinygrad_np.runtime import memory
from tinygrad_np.runtime.memory import Array

Grads = list[Array | None]


# LSTM. The gates i, f, g and o are stored in this order.


def lstm(
    x: Array,
    h: Array,
    c: Array,
    weight_ih: Array,
    weight_hh: Array,
    bias_ih: Array | None,
    bias_hh: Array | None,
    reverse: bool,
) -> tuple[Array, Array]:
    """Return the states [h; c] of all steps, (2, L, N, H), and the gates, (L, 4, H, N)."""
    wide = np.promote_types(x.dtype, np.float32)
    (n, size), steps = h.shape, _count_steps(x)
    states = memory.empty((2, steps, size, n), wide)
    hs, cs = (_in_order(part, reverse) for part in states)
    gates = memory.empty((steps, 4, size, n), wide)
    _project(x, weight_ih, _add_biases(bias_ih, bias_hh), reverse, _rows(gates))
    first = _batch_last(c)
    part = np.empty((size, n), wide)

    def step(t: int, h: Array, from_h: Array) -> None:
        sums = from_h.reshape(4, size, n)
        np.add(sums, gates[t], out=sums)
        write_sigmoid(sums, gates[t])
        i, f, g, o = gates[t]
        np.tanh(sums[2], out=g)
        np.multiply(f, cs[t - 1] if t else first, out=cs[t])
        np.multiply(i, g, out=part)
        np.add(cs[t], part, out=cs[t])
        np.tanh(cs[t], out=hs[t])
        np.multiply(o, hs[t], out=hs[t])

    _advance(step, h, hs, weight_hh)
    return _as_results(states, x), gates


def lstm_grads(
    grad_out: Array,
    x: Array,
    h: Array,
    c: Array,
    weight_ih: Array,
    weight_hh: Array,
    out: Array,
    gates: Array,
    reverse: bool,
    wanted: Sequence[bool],
) -> Grads:
    """Return the wanted gradients of the inputs of `lstm`."""
    hs, cs, of_hs, of_cs = (_steps(part, x, reverse) for part in (*out, *grad_out))
    has_cs = bool(of_cs.any())
    first = _batch_last(c)
    of_c, part, tanh = (np.zeros(hs.shape[1:], gates.dtype) for _ in range(3))
    found = np.empty(gates.shape[1:], gates.dtype)
    of_i, of_f, of_g, of_o = found
    one = np.ones((), gates.dtype)  # for (128, 32), np.subtract(1, ...) takes 1.6 times as long

    def pull(t: int, of_h: Array) -> None:
        i, f, g, o = gates[t]
        # Add the gradient of c through h = o tanh(c): of_h o (1 - tanh²) = of_h (o - h tanh).
        np.tanh(cs[t], out=tanh)
        np.multiply(hs[t], tanh, out=part)
        np.subtract(o, part, out=part)
        np.multiply(part, of_h, out=part)
        np.add(of_c, part, out=of_c)
        if has_cs:
            np.add(of_c, of_cs[t], out=of_c)
        np.subtract(one, gates[t], out=found)  # a sigmoid s has the derivative s (1 - s)
        np.multiply(found, gates[t], out=found)
        np.multiply(g, g, out=of_g)
        np.subtract(one, of_g, out=of_g)
        np.multiply(of_i, g, out=of_i)
        np.multiply(of_f, cs[t - 1] if t else first, out=of_f)
        np.multiply(of_g, i, out=of_g)
        for of_gate in (of_i, of_f, of_g):
            np.multiply(of_gate, of_c, out=of_gate)
        np.multiply(of_o, tanh, out=of_o)
        np.multiply(of_o, of_h, out=of_o)
        np.multiply(of_c, f, out=of_c)  # now the gradient of c_(t-1)

    wanted_c, wanted = wanted[2], (*wanted[:2], *wanted[3:])
    grads = _backpropagate(pull, found, of_hs, hs, x, h, weight_ih, weight_hh, reverse, wanted)
    return [*grads[:2], of_c.T.astype(x.dtype) if wanted_c else None, *grads[2:]]


# GRU. The gates are stored as r, z, n and b = weight_hn h + bias_hn. Their gradients are stored as
# n, r, z, b: the first three are the gradients of the product with x, the last three those of the
# product with h.


def gru(
    x: Array,
    h: Array,
    weight_ih: Array,
    weight_hh: Array,
    bias_ih: Array | None,
    bias_hh: Array | None,
    reverse: bool,
) -> tuple[Array, Array]:
    """Return the states h of all steps, (L, N, H), and the gates, (L, 4, H, N)."""
    wide = np.promote_types(x.dtype, np.float32)
    (n, size), steps = h.shape, _count_steps(x)
    states = memory.empty((steps, size, n), wide)
    hs = _in_order(states, reverse)
    gates = memory.empty((steps, 4, size, n), wide)
    _project(x, weight_ih, bias_ih, reverse, _rows(gates)[:, : 3 * size])
    bias = None if bias_hh is None else np.repeat(widen(bias_hh), n).reshape(3 * size, n)

    def step(t: int, h: Array, from_h: Array) -> None:
        if bias is not None:
            np.add(from_h, bias, out=from_h)
        sums = from_h.reshape(3, size, n)
        np.add(sums[:2], gates[t, :2], out=sums[:2])
        write_sigmoid(sums[:2], gates[t, :2])
        r, z, n_gate, b = gates[t]
        b[...] = sums[2]
        # n = tanh(n + r b) and h_t = n + z (h_(t-1) - n)
        np.multiply(r, b, out=sums[2])
        np.add(n_gate, sums[2], out=n_gate)
        np.tanh(n_gate, out=n_gate)
        np.subtract(h, n_gate, out=hs[t])
        np.multiply(hs[t], z, out=hs[t])
        np.add(hs[t], n_gate, out=hs[t])

    _advance(step, h, hs, weight_hh)
    return _as_results(states, x), gates


def gru_grads(
    grad_out: Array,
    x: Array,
    h: Array,
    weight_ih: Array,
    weight_hh: Array,
    out: Array,
    gates: Array,
    reverse: bool,
    wanted: Sequence[bool],
) -> Grads:
    """Return the wanted gradients of the inputs of `gru`."""
    hs, of_hs = (_steps(part, x, reverse) for part in (out, grad_out))
    first, size = _batch_last(h), h.shape[1]
    direct, rest = (np.empty(hs.shape[1:], gates.dtype) for _ in range(2))
    found = np.empty(gates.shape[1:], gates.dtype)
    of_n, of_r, of_z, of_b = found
    one = np.ones((), gates.dtype)

    def pull(t: int, of_h: Array) -> Array:
        r, z, n, b = gates[t]
        np.multiply(of_h, z, out=direct)
        np.subtract(of_h, direct, out=rest)  # (1 - z) of_h, the gradient of n
        np.multiply(n, n, out=of_n)
        np.subtract(one, of_n, out=of_n)
        np.multiply(of_n, rest, out=of_n)
        np.multiply(of_n, r, out=of_b)
        np.subtract(one, r, out=of_r)
        np.multiply(of_r, b, out=of_r)
        np.multiply(of_r, of_b, out=of_r)
        np.subtract(hs[t - 1] if t else first, n, out=of_z)
        np.multiply(of_z, z, out=of_z)
        np.multiply(of_z, rest, out=of_z)
        return direct

    rolled = np.roll(weight_ih, size, 0)  # rows in the order n, r, z
    grads = _backpropagate(pull, found, of_hs, hs, x, h, rolled, weight_hh, reverse, wanted)
    for place in (2, 4):
        grad = grads[place]
        grads[place] = None if grad is None else np.roll(grad, -size, 0)
    return grads


# Simple recurrent network.


def rnn(
    x: Array,
    h: Array,
    weight_ih: Array,
    weight_hh: Array,
    bias_ih: Array | None,
    bias_hh: Array | None,
    relu: bool,
    reverse: bool,
) -> Array:
    """Return the states h of all steps, (L, N, H)."""
    wide = np.promote_types(x.dtype, np.float32)
    (n, size), steps = h.shape, _count_steps(x)
    states = memory.empty((steps, size, n), wide)
    hs = _in_order(states, reverse)
    _project(x, weight_ih, _add_biases(bias_ih, bias_hh), reverse, hs)

    def step(t: int, h: Array, from_h: Array) -> None:
        np.add(hs[t], from_h, out=hs[t])
        if relu:
            np.maximum(hs[t], 0, out=hs[t])
        else:
            np.tanh(hs[t], out=hs[t])

    _advance(step, h, hs, weight_hh)
    return _as_results(states, x)


def rnn_grads(
    grad_out: Array,
    x: Array,
    h: Array,
    weight_ih: Array,
    weight_hh: Array,
    out: Array,
    relu: bool,
    reverse: bool,
    wanted: Sequence[bool],
) -> Grads:
    """Return the wanted gradients of the inputs of `rnn`."""
    hs, of_hs = (_steps(part, x, reverse) for part in (out, grad_out))
    found = np.empty(hs.shape[1:], hs.dtype)

    def pull(t: int, of_h: Array) -> None:
        if relu:
            found[...] = select(of_h, hs[t] > 0)
        else:
            np.multiply(hs[t], hs[t], out=found)
            np.subtract(1, found, out=found)
            np.multiply(found, of_h, out=found)

    return _backpropagate(pull, found[None], of_hs, hs, x, h, weight_ih, weight_hh, reverse, wanted)


# The loops over the steps, and the products with the weights.


def _project(x: Array, weight: Array, bias: Array | None, reverse: bool, out: Array) -> None:
    """Write weight @ x + bias for all steps to `out` (L, rows, N)."""
    np.matmul(widen(weight), np.ascontiguousarray(_steps(x, x, reverse)), out=out)
    if bias is not None:
        # Repeat along the batch: NumPy's loops over a broadcast bias would cover only N entries.
        np.add(out, np.repeat(widen(bias), out.shape[2]).reshape(out.shape[1:]), out=out)


def _advance(
    step: Callable[[int, Array, Array], None], h: Array, hs: Array, weight_hh: Array
) -> None:
    """Call `step(t, h, weight_hh @ h)`, which writes the new h to `hs[t]`, for each t."""
    weight, h = widen(weight_hh), _batch_last(h)
    from_h = np.empty((len(weight), hs.shape[2]), hs.dtype)
    with np.errstate(over="ignore"):  # e^-x overflows where a sigmoid is 0
        for t in range(len(hs)):
            np.matmul(weight, h, out=from_h)
            step(t, h, from_h)
            h = hs[t]


def _backpropagate(
    pull: Callable[[int, Array], Array | None],
    found: Array,
    of_hs: Array,
    hs: Array,
    x: Array,
    h: Array,
    weight_ih: Array,
    weight_hh: Array,
    reverse: bool,
    wanted: Sequence[bool],
) -> Grads:
    """Return the wanted gradients of x, h, weight_ih, weight_hh, bias_ih and bias_hh.

    `pull(t, of_h)` writes the gradients of the gates to `found` (blocks, H, N), given the gradient
    of the state after step t. In a GRU, the state before the step also reaches the one after it
    directly; `pull` then returns that part of its gradient. The gradients of x and of the weights
    are computed for all steps at once.
    """
    steps, (blocks, size, n), rows = len(hs), found.shape, len(weight_hh)
    weight = widen(weight_hh).T
    needs_x, needs_h, needs_weight_ih, needs_weight_hh, needs_bias_ih, needs_bias_hh = wanted
    is_one = steps == 1
    # Weight gradients need one matrix (blocks H, L N), so each step is copied to its columns.
    of_gates = found[:, :, None] if is_one else memory.empty((blocks, size, steps, n), hs.dtype)
    of_h, from_h = np.zeros((size, n), hs.dtype), _rows(found)[-rows:]
    for t in range(steps)[::-1]:
        np.add(of_h, of_hs[t], out=of_h)
        direct = pull(t, of_h)
        if not is_one:
            of_gates[:, :, t] = found
        if t or needs_h:
            np.matmul(weight, from_h, out=of_h)
            if direct is not None:
                np.add(of_h, direct, out=of_h)
    matrix = of_gates.reshape(blocks * size, steps * n)
    multiply = np.matmul if is_one else product  # `product` spends 5 us on sharing among threads
    grads: Grads = [None] * 6
    if needs_x:
        of_inputs = multiply(matrix[:rows].T, widen(weight_ih)).reshape(x.shape)
        grads[0] = of_inputs if is_one else _in_order(of_inputs, reverse)
    if needs_h:
        grads[1] = of_h.T
    if needs_weight_ih:
        inputs = widen(x if is_one else _in_order(x, reverse)).reshape(steps * n, x.shape[-1])
        grads[2] = multiply(matrix[:rows], inputs)
    if needs_weight_hh:
        grads[3] = multiply(matrix[-rows:], widen(h) if is_one else _states_before(h, hs))
    if needs_bias_ih or needs_bias_hh:
        sums = row_sums(matrix).astype(hs.dtype)
        grads[4:] = [sums[:rows], sums[-rows:].copy()]
    return [None if grad is None else grad.astype(x.dtype, copy=False) for grad in grads]


def _states_before(h: Array, hs: Array) -> Array:
    """Return the state before each step, (L N, H)."""
    steps, size, n = hs.shape
    before = memory.empty((steps, n, size), hs.dtype)
    before[0] = h
    before[1:] = hs[:-1].swapaxes(1, 2)
    return before.reshape(steps * n, size)


def _add_biases(bias_ih: Array | None, bias_hh: Array | None) -> Array | None:
    if bias_ih is None or bias_hh is None:
        return bias_ih if bias_hh is None else bias_hh
    return np.asarray(widen(bias_ih) + widen(bias_hh))


def _batch_last(x: Array) -> Array:
    """Return x (..., N, H) as (..., H, N)."""
    return np.swapaxes(widen(x), -1, -2)


def _rows(gates: Array) -> Array:
    """Return gates (..., blocks, H, N) as (..., blocks H, N)."""
    *lead, blocks, size, n = gates.shape
    return gates.reshape(*lead, blocks * size, n)


def _count_steps(x: Array) -> int:
    return 1 if x.ndim == 2 else len(x)


def _steps(values: Array, x: Array, reverse: bool) -> Array:
    """Return values (L, N, H) as (L, H, N), with the steps in the order in which x is read."""
    values = _batch_last(values)
    return values[None] if x.ndim == 2 else _in_order(values, reverse)


def _as_results(states: Array, x: Array) -> Array:
    """Return states (..., L, H, N) as (..., L, N, H), in the dtype of x."""
    states = states.swapaxes(-1, -2)
    return (states.squeeze(-3) if x.ndim == 2 else states).astype(x.dtype, copy=False)


def _in_order(x: Array, reverse: bool) -> Array:
    """Return a view of x with the steps in the order in which the network reads them."""
    return x[::-1] if reverse else x
