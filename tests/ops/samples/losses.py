"""Losses: samples, and bad inputs with the error that they must raise."""

import numpy as np

from tests.ops.samples.tools import Bads, Sample, Table, normal
from tinygrad_np import Tensor as T
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
    "binary_crossentropy": lambda generator: [
        Sample((generator.uniform(0.1, 0.9, shape), generator.uniform(0.1, 0.9, shape)))
        for shape in [(), (3,), (2, 3), (0,)]
    ],
    "one_hot": lambda generator: [
        Sample((generator.integers(0, 4, shape),), {"num_classes": 4})
        for shape in [(), (3,), (2, 3), (0,)]
    ],
    "cross_entropy": _losses,
}


_LOGITS = np.zeros((2, 3), np.float32)

BAD: Bads = {
    "binary_crossentropy": [
        (
            lambda: T([0.5, 1.5]).binary_crossentropy([1.0, 0.0]),
            ArgumentError,
            "binary_crossentropy: got a probability outside 0..1",
        ),
        (lambda: T([0.5]).binary_crossentropy([1.0, 0.0]), ShapeError, "a target of shape (2,)"),
        (lambda: T([0.5]).binary_crossentropy([1.0], "all"), ArgumentError, "reduction: got 'all'"),
    ],
    "binary_crossentropy_logits": [
        (
            lambda: T([0.5]).binary_crossentropy_logits([[1.0]]),
            ShapeError,
            "binary_crossentropy_logits: got input (1,) and a target of shape (1, 1)",
        ),
    ],
    "nll_loss": [
        (lambda: T(_LOGITS).nll_loss([0, 3]), ArgumentError, "nll_loss: label 3 at position 1"),
        (lambda: T(_LOGITS).nll_loss([0.0, 1.0]), DtypeError, "nll_loss: got input (2, 3)"),
        (lambda: T(_LOGITS).nll_loss([0]), ShapeError, "integers of shape (2,)"),
        (lambda: T(1.0).nll_loss(0), ShapeError, "nll_loss: got an input without an axis"),
        (lambda: T(_LOGITS).nll_loss([0, 1], np.ones(2)), ShapeError, "weight: got shape (2,)"),
    ],
    "sparse_categorical_crossentropy": [
        (
            lambda: T(_LOGITS).sparse_categorical_crossentropy([0, 3]),
            ArgumentError,
            "label 3 at position 1 is outside 0..2",
        ),
        (
            lambda: T(_LOGITS).sparse_categorical_crossentropy([0]),
            ShapeError,
            "sparse_categorical_crossentropy: got input (2, 3) and a target of shape (1,)",
        ),
    ],
    "one_hot": [
        (lambda: T([0, 3]).one_hot(3), ArgumentError, "label 3 at position 1 is outside 0..2"),
        (lambda: T([[0], [-1]]).one_hot(3), ArgumentError, "label -1 at position (1, 0)"),
        (lambda: T([0.5]).one_hot(3), DtypeError, "one_hot: got dtype float32"),
    ],
    "cross_entropy": [
        (
            lambda: T.ones(3, 10).cross_entropy([1, 12, 3]),
            ArgumentError,
            "label 12 at position 1 is outside 0..9",
        ),
        (
            lambda: T.ones(3, 10).cross_entropy([1, -1, 3]),
            ArgumentError,
            "label -1 at position 1",
        ),
        (
            lambda: T.ones(3, 10).cross_entropy(T.ones(3)),
            DtypeError,
            "dtype float32; expected class indices, integers of shape (3,)",
        ),
        (lambda: T.ones(3, 10).cross_entropy([1, 2]), ShapeError, "a target of shape (2,)"),
        (
            lambda: T.ones(3, 10).cross_entropy(T.ones(3, 9)),
            ShapeError,
            "logits (3, 10) and a target of shape (3, 9)",
        ),
        (lambda: T(1.0).cross_entropy(0), ShapeError, "logits without an axis"),
        (
            lambda: T.ones(3, 10).cross_entropy([1, 2, 3], reduction="avg"),
            ArgumentError,
            "got 'avg', expected one of mean, sum, none",
        ),
        (
            lambda: T.ones(3, 10).cross_entropy([1, 2, 3], label_smoothing=2.0),
            ArgumentError,
            "label_smoothing: got 2.0",
        ),
    ],
}
