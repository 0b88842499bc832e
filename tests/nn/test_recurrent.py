"""Recurrent cells and layers."""

import re

import numpy as np
import pytest

from tests.nn.tools import sigmoid
from tests.tools import each, rng
from tinygrad_np import Tensor, manual_seed, nn
from tinygrad_np.errors import ArgumentError, DtypeError, ShapeError


def test_lstm_cell_accepts_arrays():
    """Input and state may be arrays."""
    cell = nn.LSTMCell(4, 2, generator=rng())
    x, h, c = (rng(n).standard_normal((3, n)).astype(np.float32) for n in (4, 2, 2))
    whole = cell(Tensor(x), (Tensor(h), Tensor(c)))
    for found, expected in zip(cell(x, (h, c)), whole, strict=True):
        np.testing.assert_array_equal(found.data, expected.data, strict=True)


@each("bias", [True, False])
def test_lstm_cell_matches_its_formula(bias):
    cell = nn.LSTMCell(4, 2, bias, generator=rng()).astype(np.float64)
    x, h, c = (rng(n).standard_normal((3, n)) for n in (4, 2, 2))
    gates = x @ cell.weight_ih.data.T + h @ cell.weight_hh.data.T
    if bias:
        gates = gates + cell.bias_ih.data + cell.bias_hh.data
    i, f, g, o = np.split(gates, 4, axis=1)
    after = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    found = cell(Tensor(x), (Tensor(h), Tensor(c)))
    np.testing.assert_allclose(found[0].data, sigmoid(o) * np.tanh(after), rtol=1e-12)
    np.testing.assert_allclose(found[1].data, after, rtol=1e-12)


@each("nonlinearity,function", [("tanh", np.tanh), ("relu", lambda x: np.maximum(x, 0))])
def test_rnn_cell_matches_its_formula(nonlinearity, function):
    cell = nn.RNNCell(4, 2, nonlinearity=nonlinearity, generator=rng()).astype(np.float64)
    x, h = (rng(n).standard_normal((3, n)) for n in (4, 2))
    wi, wh, bi, bh = (parameter.data for parameter in cell.parameters())
    expected = function(x @ wi.T + bi + h @ wh.T + bh)
    np.testing.assert_allclose(cell(Tensor(x), Tensor(h)).data, expected, rtol=1e-12)


def test_gru_cell_matches_its_formula():
    cell = nn.GRUCell(4, 2, generator=rng()).astype(np.float64)
    x, h = (rng(n).standard_normal((3, n)) for n in (4, 2))
    wi, wh, bi, bh = (parameter.data for parameter in cell.parameters())
    a, b = np.split(x @ wi.T + bi, 3, axis=1), np.split(h @ wh.T + bh, 3, axis=1)
    r, z = sigmoid(a[0] + b[0]), sigmoid(a[1] + b[1])
    expected = (1 - z) * np.tanh(a[2] + r * b[2]) + z * h
    np.testing.assert_allclose(cell(Tensor(x), Tensor(h)).data, expected, rtol=1e-12)


@each("kind", ["RNN", "LSTM", "GRU"])
@each("reverse", [False, True])
def test_layers_repeat_their_cell(kind, reverse):
    """One direction equals a loop over the cell, from the first step or from the last."""
    layer = getattr(nn, kind)(3, 2, bidirectional=reverse, generator=rng())
    cell = getattr(nn, f"{kind}Cell")(3, 2)
    suffix = "_l0_reverse" if reverse else "_l0"
    state = {n: v for n, v in layer.state_dict().items() if n.endswith(suffix)}
    cell.load_state_dict({name.removesuffix(suffix): value for name, value in state.items()})
    x = Tensor.randn(4, 5, 3, generator=rng(1))
    out, final = layer(x)
    at = None
    for step in reversed(range(4)) if reverse else range(4):
        at = cell(x[step], at)
        h = at[0] if kind == "LSTM" else at
        np.testing.assert_allclose(out.data[step, :, -2:], h.data, rtol=1e-5, atol=1e-6)
    pairs = zip(final, at, strict=True) if kind == "LSTM" else [(final, at)]
    for found, expected in pairs:
        np.testing.assert_allclose(found.data[-1], expected.data, rtol=1e-5, atol=1e-6)


def test_dropout_applies_between_layers_in_training_only():
    """The first layer and the final output are not dropped; each entry of h between them may be."""
    layer = nn.GRU(3, 50, 2, dropout=0.5, generator=rng())
    x = Tensor.randn(4, 5, 3, generator=rng(1))
    without = nn.GRU(3, 50, 2)
    without.load_state_dict(layer.state_dict())
    (out, h), (expected, same) = layer(x), without(x)
    np.testing.assert_array_equal(h.data[0], same.data[0])
    assert np.abs(out.data - expected.data).max() > 0.01
    assert (out.data != 0).all()
    np.testing.assert_array_equal(layer.eval()(x)[0].data, expected.data)
    with pytest.warns(UserWarning, match=r"^LSTM: dropout=0.1 has no effect with one layer: "):
        nn.LSTM(3, 2, dropout=0.1)


def test_generator_determines_the_weights_and_dropout():
    outputs = []
    for seed in (0, 1):
        manual_seed(seed)
        layer = nn.GRU(3, 5, 2, dropout=0.5, generator=rng())
        outputs.append(layer(Tensor.ones(4, 2, 3))[0].tolist())
    assert outputs[0] == outputs[1]


def test_layers_accept_arrays():
    layer = nn.LSTM(4, 2, generator=rng())
    x, h, c = (rng(n).standard_normal((3, 1, n)).astype(np.float32) for n in (4, 2, 2))
    out, _ = layer(x, (h[:1], c[:1]))
    np.testing.assert_array_equal(
        out.data, layer(Tensor(x), (Tensor(h[:1]), Tensor(c[:1])))[0].data, strict=True
    )


X = Tensor.ones(4, 2, 3)


@each(
    ("run", "error", "words"),
    [
        (
            lambda: nn.RNN(3, 5)(Tensor.ones(4, 2, 4)),
            ShapeError,
            "RNN: expected input of shape (L, N, 3) or (L, 3) with L >= 1, got (4, 2, 4).",
        ),
        (
            lambda: nn.GRU(3, 5, batch_first=True)(Tensor.ones(3)),
            ShapeError,
            "GRU: expected input of shape (N, L, 3) or (L, 3) with L >= 1, got (3,).",
        ),
        (lambda: nn.LSTM(3, 5)(Tensor.ones(0, 2, 3)), ShapeError, "with L >= 1, got (0, 2, 3)."),
        (
            lambda: nn.LSTM(3, 5, batch_first=True)(Tensor.ones(2, 0, 3)),
            ShapeError,
            "with L >= 1, got (2, 0, 3).",
        ),
        (
            lambda: nn.GRU(3, 5, bidirectional=True)(X, Tensor.ones(1, 2, 5)),
            ShapeError,
            "GRU: expected a state of shape (2, 2, 5) for input (4, 2, 3), got (1, 2, 5).",
        ),
        (
            lambda: nn.LSTM(3, 5)(X[:, 0], (Tensor.ones(1, 5), Tensor.ones(1, 1, 5))),
            ShapeError,
            "LSTM: expected a state of two tensors of shape (1, 5) for input (4, 3), got (1, 5) "
            "and (1, 1, 5).",
        ),
        (
            lambda: nn.LSTM(3, 5)(X, Tensor.ones(2, 1, 5)),
            DtypeError,
            "LSTM: expected the state to be a pair of tensors (h, c), got tinygrad_np.Tensor.",
        ),
        (
            lambda: nn.GRU(3, 5)(X, (Tensor.ones(1, 2, 5), Tensor.ones(1, 2, 5))),
            DtypeError,
            "GRU: expected the state to be a tensor h, got tuple of length 2.",
        ),
        (
            lambda: nn.RNNCell(3, 5)(X[0], 1.0),
            DtypeError,
            "RNNCell: expected the state to be a tensor h, got float.",
        ),
        (
            lambda: nn.RNN(3, 5)(Tensor.ones(4, 2, 3, dtype=np.float64)),
            DtypeError,
            "RNN: expected input of dtype float32, like the layer's weights, got float64.",
        ),
        (
            lambda: nn.RNN(3, 5)(X, Tensor.ones(1, 2, 5, dtype=np.float64)),
            DtypeError,
            "RNN: expected input of dtype float32, like the layer's weights, got float64.",
        ),
        (
            lambda: nn.RNN(3, 5, 2, True),
            ArgumentError,
            "RNN: expected `nonlinearity` to be 'tanh' or 'relu', got True.",
        ),
        (
            lambda: nn.RNNCell(3, 5, nonlinearity="gelu"),
            ArgumentError,
            "RNNCell: expected `nonlinearity` to be 'tanh' or 'relu', got 'gelu'.",
        ),
        (
            lambda: nn.LSTM(3, 5, 0),
            ArgumentError,
            "LSTM: expected `num_layers` to be an integer >= 1, got 0.",
        ),
        (
            lambda: nn.GRU(3, 5, 2, dropout=2),
            ArgumentError,
            "GRU: expected `dropout` to be a number from 0 to 1, got 2.",
        ),
    ],
)
def test_invalid_arguments_raise(run, error, words):
    with pytest.raises(error, match=re.escape(words)):
        run()
