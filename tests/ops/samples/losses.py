"""Losses: samples, and bad inputs with the error that they must raise."""

import numpy as np

from tests.ops.samples.tools import Bads, Sample, Table, normal, refused
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
    "one_hot": lambda generator: [
        Sample((generator.integers(0, 4, shape),), {"num_classes": 4})
        for shape in [(), (3,), (2, 3), (0,)]
    ],
    "cross_entropy_rows": _losses,
}


_LOGITS = np.zeros((2, 3), np.float32)

BAD: Bads = {
    "binary_crossentropy_entries": refused("binary_crossentropy_entries", (2,), (3,)),
    "cross_entropy_rows": [
        (
            lambda: ops.cross_entropy_rows(T(_LOGITS), np.array([0, 3])),
            ArgumentError,
            "cross_entropy: expected labels from 0 to 2, got 3",
        ),
    ],
    "binary_crossentropy": [
        (
            lambda: T([0.5, 1.5]).binary_crossentropy([1.0, 0.0]),
            ArgumentError,
            "binary_crossentropy: expected probabilities from 0 to 1, got 0.5 to 1.5",
        ),
        (
            lambda: T([0.5]).binary_crossentropy([1.0, 0.0]),
            ShapeError,
            "a target of shape (1,), got (2,)",
        ),
        (lambda: T([0.5]).binary_crossentropy([1.0], "all"), ArgumentError, "none, got 'all'"),
    ],
    "binary_crossentropy_logits": [
        (
            lambda: T([0.5]).binary_crossentropy_logits([[1.0]]),
            ShapeError,
            "binary_crossentropy_logits: expected a target of shape (1,), got (1, 1)",
        ),
    ],
    "nll_loss": [
        (
            lambda: T(_LOGITS).nll_loss([0, 3]),
            ArgumentError,
            "nll_loss: expected labels from 0 to 2, got 3 at position 1",
        ),
        (lambda: T(_LOGITS).nll_loss([0.0, 1.0]), DtypeError, "for input (2, 3), got a target"),
        (lambda: T(_LOGITS).nll_loss([0]), ShapeError, "integers of shape (2,)"),
        (lambda: T(1.0).nll_loss(0), ShapeError, "nll_loss: expected log-probabilities"),
        (
            lambda: T(_LOGITS).nll_loss([0, 1], np.ones(2)),
            ShapeError,
            "weight: expected shape (3,)",
        ),
    ],
    "sparse_categorical_crossentropy": [
        (
            lambda: T(_LOGITS).sparse_categorical_crossentropy([0, 3]),
            ArgumentError,
            "expected labels from 0 to 2, got 3 at position 1",
        ),
        (
            lambda: T(_LOGITS).sparse_categorical_crossentropy([0]),
            ShapeError,
            "shape (2,) for input (2, 3), got a target of shape (1,)",
        ),
    ],
    "one_hot": [
        (
            lambda: T([0, 3]).one_hot(3),
            ArgumentError,
            "expected labels from 0 to 2, got 3 at position 1",
        ),
        (lambda: T([[0], [-1]]).one_hot(3), ArgumentError, "got -1 at position (1, 0)"),
        (lambda: T([0.5]).one_hot(3), DtypeError, "one_hot: expected integers, got dtype float32"),
    ],
    "cross_entropy": [
        (
            lambda: T.ones(3, 10).cross_entropy([1, 12, 3]),
            ArgumentError,
            "expected labels from 0 to 9, got 12 at position 1",
        ),
        (
            lambda: T.ones(3, 10).cross_entropy([1, -1, 3]),
            ArgumentError,
            "got -1 at position 1",
        ),
        (
            lambda: T.ones(3, 10).cross_entropy(T.ones(3)),
            DtypeError,
            "got a target of shape (3,), dtype float32",
        ),
        (lambda: T.ones(3, 10).cross_entropy([1, 2]), ShapeError, "a target of shape (2,)"),
        (
            lambda: T.ones(3, 10).cross_entropy(T.ones(3, 9)),
            ShapeError,
            "logits (3, 10), got a target of shape (3, 9)",
        ),
        (lambda: T(1.0).cross_entropy(0), ShapeError, "cross_entropy: expected logits (N, C, ...)"),
        (
            lambda: T.ones(3, 10).cross_entropy([1, 2, 3], reduction="avg"),
            ArgumentError,
            "expected one of mean, sum, none, got 'avg'",
        ),
        (
            lambda: T.ones(3, 10).cross_entropy([1, 2, 3], label_smoothing=2.0),
            ArgumentError,
            "label_smoothing: expected a number from 0 to 1, got 2.0",
        ),
    ],
}
