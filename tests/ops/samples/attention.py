"""Attention, which is composed of other ops: invalid inputs and the errors they must raise."""

import functools

import numpy as np

from tests.ops.samples.tools import Bads, Table, bad
from tinygrad_np import Tensor as T
from tinygrad_np.errors import ArgumentError, DtypeError, ShapeError

TABLE: Table = {}

X, HEADS = T.ones(2, 3), T.ones(6, 2, 3)
_attention = functools.partial(bad, T.scaled_dot_product_attention)

BAD: Bads = {
    "scaled_dot_product_attention": [
        _attention(
            ShapeError, "expected query (..., L, E), key ... got (2, 3), (2, 4)", X, (2, 4), X
        ),
        _attention(ShapeError, "got (2, 3), (2, 3) and (4, 3)", X, X, (4, 3)),
        _attention(ShapeError, "got (3,), (2, 3)", (3,), X, X),
        _attention(
            ShapeError,
            "matmul: expected batch axes that broadcast ... got (6, 2, 3)",
            HEADS,
            (4, 2, 3),
            (4, 2, 3),
        ),
        _attention(DtypeError, "`attn_mask` ... or float", X, X, X, np.ones((2, 2), np.int64)),
        _attention(DtypeError, "got list.", X, X, X, [[True]]),
        _attention(ShapeError, "`attn_mask` ... (2, 2), got shape (3, 2)", X, X, X, (3, 2)),
        _attention(ShapeError, "got shape (1, 2, 2)", X, X, X, (1, 2, 2)),
        _attention(ArgumentError, "`attn_mask` or ... got both", X, X, X, (2, 2), is_causal=True),
        _attention(ArgumentError, "dropout: ... 0 to 1, got 1.5", X, X, X, dropout_p=1.5),
        _attention(
            ShapeError,
            "query (6, 2, 3) and ... (4, 2, 3)",
            HEADS,
            (4, 2, 3),
            (4, 2, 3),
            enable_gqa=True,
        ),
        _attention(ShapeError, "got query (2, 3) and key (2, 3)", X, X, X, enable_gqa=True),
    ],
}
