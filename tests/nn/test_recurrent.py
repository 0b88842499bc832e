"""Recurrent cells."""

import numpy as np

from tests.nn.tools import sigmoid
from tests.tools import each, rng
from tinygrad_np import Tensor, nn


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
