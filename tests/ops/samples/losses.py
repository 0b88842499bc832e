"""Losses: samples, and invalid inputs with the errors they must raise."""

import functools

import numpy as np

from tests.ops.samples.tools import Bads, Sample, Table, bad, normal, refused
from tinygrad_np import Tensor as T
from tinygrad_np import ops
from tinygrad_np.errors import ArgumentError, DtypeError, ShapeError


def _losses(generator: np.random.Generator) -> list[Sample]:
    found = []
    for reduction in ("mean", "sum", "none"):
        for smoothing in (0.0, 0.2):
            target = generator.integers(0, 4, 5)
            options = {"reduction": reduction, "label_smoothing": smoothing}
            found.append(Sample((normal(generator, 5, 4), target), options))
    return found


TABLE: Table = {
    "binary_crossentropy_entries": lambda generator: [
        Sample((generator.uniform(0.1, 0.9, shape), generator.uniform(0.1, 0.9, shape)))
        for shape in [(), (3,), (2, 3), (0,)]
    ],
    "binary_crossentropy_logits_entries": lambda generator: [
        Sample((normal(generator, *shape), generator.uniform(0, 1, shape)))
        for shape in [(), (3,), (2, 3), (0,)]
    ],
    "one_hot": lambda generator: [
        Sample((generator.integers(0, 4, shape),), {"num_classes": 4})
        for shape in [(), (3,), (2, 3), (0,)]
    ],
    "cross_entropy_rows": _losses,
}


_LOGITS = T.zeros(2, 3)
_binary = functools.partial(bad, T.binary_crossentropy)
_logits = functools.partial(bad, T.binary_crossentropy_logits)
_nll = functools.partial(bad, T.nll_loss)
_sparse = T.sparse_categorical_crossentropy
_cross_entropy = functools.partial(bad, T.cross_entropy)
_triplet = functools.partial(bad, ops.triplet_margin_loss)

BAD: Bads = {
    "binary_crossentropy_entries": refused("binary_crossentropy_entries", (2,), (3,)),
    "binary_crossentropy_logits_entries": refused("binary_crossentropy_logits_entries", (2,), (3,)),
    "cross_entropy_rows": [
        bad(ops.cross_entropy_rows, ArgumentError, "cross_entropy: ... got 3", _LOGITS, T([0, 3])),
    ],
    "binary_crossentropy": [
        _binary(
            ArgumentError, "binary_crossentropy: ... got 0.5 to 1.5", T([0.5, 1.5]), [1.0, 0.0]
        ),
        _binary(
            ShapeError, "`target` of the input's shape (1,), got shape (2,)", T([0.5]), [1.0, 0.0]
        ),
        _binary(ArgumentError, "none, got 'all'", T([0.5]), [1.0], "all"),
        _binary(
            ShapeError,
            "`weight` to broadcast to the input's shape (1,), got shape (2,)",
            T([0.5]),
            [1.0],
            weight=[1.0, 2.0],
        ),
    ],
    "binary_crossentropy_logits": [
        _logits(
            ShapeError, "binary_crossentropy_logits: ... (1,), got shape (1, 1)", T([0.5]), [[1.0]]
        )
    ],
    "nll_loss": [
        _nll(ArgumentError, "nll_loss: ... from 0 to 2, got 3 at position 1", _LOGITS, [0, 3]),
        _nll(DtypeError, "for input (2, 3), got target", _LOGITS, [0.0, 1.0]),
        _nll(ShapeError, "integer class indices of shape (2,)", _LOGITS, [0]),
        _nll(ShapeError, "nll_loss: expected log-probabilities", T(1.0), 0),
        _nll(ShapeError, "expected `weight` of shape (3,)", _LOGITS, [0, 1], np.ones(2)),
    ],
    "sparse_categorical_crossentropy": [
        bad(_sparse, ArgumentError, "labels from 0 to 2, got 3 at position 1", _LOGITS, [0, 3]),
        bad(_sparse, ShapeError, "input (2, 3), got target of shape (1,)", _LOGITS, [0]),
    ],
    "one_hot": [
        bad(T.one_hot, ArgumentError, "labels from 0 to 2, got 3 at position 1", T([0, 3]), 3),
        bad(T.one_hot, ArgumentError, "got -1 at position (1, 0)", T([[0], [-1]]), 3),
        bad(T.one_hot, DtypeError, "one_hot: expected integers, got dtype float32", T([0.5]), 3),
    ],
    "cross_entropy": [
        _cross_entropy(ArgumentError, "from 0 to 9, got 12 at position 1", (3, 10), [1, 12, 3]),
        _cross_entropy(ArgumentError, "got -1 at position 1", (3, 10), [1, -1, 3]),
        _cross_entropy(DtypeError, "got target of shape (3,), dtype float32", (3, 10), (3,)),
        _cross_entropy(ShapeError, "target of shape (2,)", (3, 10), [1, 2]),
        _cross_entropy(ShapeError, "logits (3, 10), got target of shape (3, 9)", (3, 10), (3, 9)),
        _cross_entropy(ShapeError, "cross_entropy: expected logits (N, C, ...)", T(1.0), 0),
        _cross_entropy(ArgumentError, "mean, ... got 'avg'", (3, 10), [1, 2, 3], reduction="avg"),
        _cross_entropy(ShapeError, "`weight` of shape (3,)", _LOGITS, [0, 1], weight=[1.0, 2.0]),
        _cross_entropy(
            ArgumentError, "with `ignore_index`, got 1 and", _LOGITS, (2, 3), ignore_index=1
        ),
        _cross_entropy(
            ArgumentError, "from 0 to 1, got 2.0", (3, 10), [1, 2, 3], label_smoothing=2.0
        ),
    ],
    **{
        name: [
            bad(
                getattr(ops, name),
                ShapeError,
                f"{name}: expected `target` of the input's shape (4, 1), got shape (4,). Try "
                ".reshape(4, 1)",
                (4, 1),
                (4,),
            ),
            bad(getattr(ops, name), ShapeError, "shape (2, 3), got shape (3,).", (2, 3), (3,)),
            bad(getattr(ops, name), ArgumentError, "none... got 'avg'", (2,), (2,), "avg"),
            bad(getattr(ops, name), DtypeError, "expected a Tensor or an ndarray", [1.0], (1,)),
        ]
        for name in ("mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss", "kl_div")
    },
    "weighted": [
        bad(
            ops.mse_loss,
            ShapeError,
            "`weight` of the input's shape (2,), got shape (1,)",
            (2,),
            (2,),
            "sum",
            [1],
        ),
        bad(
            ops.huber_loss,
            ShapeError,
            "huber_loss: expected `weight` of the input's shape",
            (2,),
            (2,),
            "sum",
            1.0,
            [1],
        ),
    ],
    "thresholds": [
        bad(ops.huber_loss, ArgumentError, "`delta` to be above 0, got 0", (2,), (2,), "sum", 0),
        bad(ops.smooth_l1_loss, ArgumentError, "to be >= 0, got -1", (2,), (2,), "sum", -1),
    ],
    "triplet_margin_loss": [
        _triplet(ShapeError, "axes, got shapes (2, 3), (3,) and (2, 3)", (2, 3), (3,), (2, 3)),
        _triplet(ArgumentError, "`margin` to be above 0, got 0", (2, 3), (2, 3), (2, 3), 0),
        _triplet(ArgumentError, "got 'avg'", (3,), (3,), (3,), reduction="avg"),
    ],
}
