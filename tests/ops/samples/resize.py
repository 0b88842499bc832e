"""Resizing: samples, and bad inputs with the error that they must raise."""

import numpy as np

from tests.ops.samples.tools import Bads, Table, attributed, refused
from tinygrad_np import Tensor as T
from tinygrad_np.errors import ArgumentError, DtypeError, ShapeError

_LENGTHS = [(5, 8), (8, 5), (1, 3), (4, 1)]
_RULES = ("linear", "corners", "nearest", "nearest-exact", "mean")

TABLE: Table = {
    "resample": attributed(
        *(
            ((2, lengths[0], 3), {"axis": 1, "rule": rule, "lengths": lengths})
            for rule in _RULES
            for lengths in _LENGTHS
        ),
        *(
            ((2, 3, 5), {"axis": 2, "rule": rule, "lengths": (7, 5), "transposed": True})
            for rule in _RULES
        ),
        ((0, 4), {"axis": 1, "rule": "linear", "lengths": (4, 6)}),
        ((4,), {"axis": 0, "rule": "mean", "lengths": (4, 3)}),
    ),
}

BAD: Bads = {
    "resample": refused("resample", (2, 3), axis=1, rule="linear", lengths=(5, 8)),
    "interpolate": [
        (
            lambda: T.ones(1, 1, 4, 4).interpolate((2, 2), "bicubic"),
            ArgumentError,
            "interpolate mode: got 'bicubic', expected one of linear, nearest, nearest-exact",
        ),
        (
            lambda: T.ones(1, 1, 4, 4).interpolate((2, 2), "nearest", align_corners=True),
            ArgumentError,
            "interpolate align_corners: only for mode 'linear', got 'nearest'",
        ),
        (
            lambda: T.ones(1, 1, 4, 4).interpolate((2, 0)),
            ArgumentError,
            "interpolate size: got (2, 0)",
        ),
        (lambda: T.ones(1, 1, 4, 4).interpolate(2), ArgumentError, "interpolate size: got 2"),
        (
            lambda: T.ones(4).interpolate((2, 2)),
            ShapeError,
            "interpolate: got input (4,), expected an axis, with an entry, for each of size (2, 2)",
        ),
        (
            lambda: T.ones(1, 1, 0, 4).interpolate((2, 2)),
            ShapeError,
            "interpolate: got input (1, 1, 0, 4)",
        ),
        (
            lambda: T(np.ones((1, 1, 4, 4), np.int64)).interpolate((2, 2)),
            DtypeError,
            "interpolate: got dtype int64, expected floats or uint8",
        ),
    ],
}
