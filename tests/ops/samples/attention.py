"""Attention: samples, and invalid inputs with the errors they must raise."""

import functools
from typing import Any

import numpy as np

from tests.ops.samples.tools import Bads, Sample, Table, bad, normal
from tinygrad_np import Tensor as T
from tinygrad_np import ops
from tinygrad_np.errors import ArgumentError, DtypeError, ShapeError


def _masked(generator: np.random.Generator) -> list[Sample]:
    """Return samples of every kind of mask, some with rows that attend to nothing."""
    shapes: list[tuple[Any, ...]] = [
        ((3, 2), (4, 2), (4, 5), None, None, {}),
        ((2, 3, 4), (2, 5, 4), (2, 5, 1), (2, 3, 5), None, {}),
        ((2, 3, 2, 4), (2, 3, 5, 4), (2, 3, 5, 2), (2, 1, 1, 5), None, {}),
        ((2, 1, 4, 2), (3, 4, 2), (4, 3), (4, 1), None, {"is_causal": True}),
        ((3, 2, 1, 4, 2), (2, 1, 3, 2), (3, 1, 1, 3, 2), None, (4, 3), {"is_causal": True}),
        ((1, 2, 3, 2), (1, 2, 5, 2), (1, 2, 5, 2), None, (2, 1, 5), {"is_causal": True}),
        ((0, 2, 3, 2), (0, 2, 5, 2), (0, 2, 5, 2), None, None, {}),
        ((2, 3, 2), (2, 0, 2), (2, 0, 4), None, None, {}),
        ((2, 66, 2), (2, 70, 2), (2, 70, 1), None, None, {"is_causal": True}),
    ]
    found = []
    for number, (*sizes, bias, allowed, options) in enumerate(shapes):
        query, key, value = (normal(generator, *shape) for shape in sizes)
        lead = np.broadcast_shapes(query.shape[:-2], key.shape[:-2])
        scores = (*lead, query.shape[-2], key.shape[-2])
        kept = generator.random(scores) < 0.7 if number % 3 == 1 else None
        inputs = (
            *(query, key, value),
            None if bias is None else normal(generator, *bias),
            None if allowed is None else generator.random(allowed) < 0.5,
            kept,
        )
        dropout = {} if kept is None else {"dropout_p": 0.3}
        found.append(Sample(inputs, {"scale": 0.6, **options, **dropout}))
    return found


TABLE: Table = {"attend": _masked}

X, HEADS = T.ones(2, 3), T.ones(6, 2, 3)
_attention = functools.partial(bad, T.scaled_dot_product_attention)

BAD: Bads = {
    "attend": [
        bad(ops.attend, ShapeError, "expected query (..., L, E), key", X, (2, 4), X, scale=1.0),
        bad(ops.attend, ShapeError, "attend: ... broadcast", HEADS, (4, 2, 3), HEADS, scale=1.0),
        bad(
            ops.attend,
            ShapeError,
            "attend: expected `bias` to broadcast",
            X,
            X,
            X,
            (2, 9),
            scale=1.0,
        ),
        bad(ops.attend, ArgumentError, "got both", X, X, X, (2, 2), np.eye(2) > 0, scale=1.0),
    ],
    "scaled_dot_product_attention": [
        _attention(
            ShapeError, "expected query (..., L, E), key ... got (2, 3), (2, 4)", X, (2, 4), X
        ),
        _attention(ShapeError, "got (2, 3), (2, 3) and (4, 3)", X, X, (4, 3)),
        _attention(ShapeError, "got (3,), (2, 3)", (3,), X, X),
        _attention(
            ShapeError,
            "leading axes that broadcast, got (6, 2, 3), (4, 2, 3) and (4, 2, 3)",
            HEADS,
            (4, 2, 3),
            (4, 2, 3),
        ),
        _attention(DtypeError, "`attn_mask` ... or float", X, X, X, np.ones((2, 2), np.int64)),
        _attention(DtypeError, "got list.", X, X, X, [[True]]),
        _attention(ShapeError, "`attn_mask` ... (2, 2), got shape (3, 2)", X, X, X, (3, 2)),
        _attention(ShapeError, "got shape (1, 2, 2)", X, X, X, (1, 2, 2)),
        _attention(ArgumentError, "`attn_mask` or ... got both", X, X, X, (2, 2), is_causal=True),
        _attention(
            ArgumentError,
            "expected `dropout_p` to be a number from 0 to 1, got 1.5",
            X,
            X,
            X,
            dropout_p=1.5,
        ),
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
