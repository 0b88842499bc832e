"""Attention, which is written in other ops: bad inputs with the error that they must raise."""

import numpy as np

from tests.ops.samples.tools import Bads, Table
from tinygrad_np import Tensor as T
from tinygrad_np.errors import ArgumentError, DtypeError, ShapeError

TABLE: Table = {}

X, HEADS = T.ones(2, 3), T.ones(6, 2, 3)


BAD: Bads = {
    "scaled_dot_product_attention": [
        (
            lambda: X.scaled_dot_product_attention(T.ones(2, 4), X),
            ShapeError,
            "expected query (..., L, E), key (..., S, E) and value (..., S, D), got (2, 3), (2, 4)",
        ),
        (
            lambda: X.scaled_dot_product_attention(X, T.ones(4, 3)),
            ShapeError,
            "got (2, 3), (2, 3) and (4, 3)",
        ),
        (lambda: T.ones(3).scaled_dot_product_attention(X, X), ShapeError, "got (3,), (2, 3)"),
        (
            lambda: HEADS.scaled_dot_product_attention(T.ones(4, 2, 3), T.ones(4, 2, 3)),
            ShapeError,
            "matmul: got (6, 2, 3)",
        ),
        (
            lambda: X.scaled_dot_product_attention(X, X, np.ones((2, 2), np.int64)),
            DtypeError,
            "attn_mask: expected bools, which say where a query may attend, or floats",
        ),
        (
            lambda: X.scaled_dot_product_attention(X, X, [[True]]),
            DtypeError,
            "got <class 'list'>",
        ),
        (
            lambda: X.scaled_dot_product_attention(X, X, T.ones(3, 2)),
            ShapeError,
            "attn_mask: expected a shape that broadcasts to (2, 2), (..., L, S), got (3, 2)",
        ),
        (
            lambda: X.scaled_dot_product_attention(X, X, T.ones(1, 2, 2)),
            ShapeError,
            "got (1, 2, 2)",
        ),
        (
            lambda: X.scaled_dot_product_attention(X, X, T.ones(2, 2), is_causal=True),
            ArgumentError,
            "expected attn_mask or is_causal=True, got both",
        ),
        (
            lambda: X.scaled_dot_product_attention(X, X, dropout_p=1.5),
            ArgumentError,
            "dropout: expected p from 0 to 1, got 1.5",
        ),
        (
            lambda: HEADS.scaled_dot_product_attention(
                T.ones(4, 2, 3), T.ones(4, 2, 3), enable_gqa=True
            ),
            ShapeError,
            "got query (6, 2, 3) and key (4, 2, 3)",
        ),
        (
            lambda: X.scaled_dot_product_attention(X, X, enable_gqa=True),
            ShapeError,
            "got query (2, 3) and key (2, 3)",
        ),
    ],
}
