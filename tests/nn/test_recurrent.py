"""Recurrent cells."""

import numpy as np

from tests.tools import rng
from tinygrad_np import Tensor, nn

# LSTMCell and attention.


def test_lstm_cell_takes_arrays():
    """The state may be given as arrays."""
    cell = nn.LSTMCell(4, 2, generator=rng())
    x, h, c = (rng(n).standard_normal((3, n)).astype(np.float32) for n in (4, 2, 2))
    whole = cell(Tensor(x), (Tensor(h), Tensor(c)))
    for found, expected in zip(cell(x, (h, c)), whole, strict=True):
        np.testing.assert_array_equal(found.data, expected.data, strict=True)
