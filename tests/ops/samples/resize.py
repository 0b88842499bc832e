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
            "interpolate mode: expected one of linear, nearest, nearest-exact, got 'bicubic'",
        ),
        (
            lambda: T.ones(1, 1, 4, 4).interpolate((2, 2), "nearest", align_corners=True),
            ArgumentError,
            "interpolate align_corners: expected mode 'linear', got 'nearest'",
        ),
        (
            lambda: T.ones(1, 1, 4, 4).interpolate((2, 0)),
            ArgumentError,
            "one for each of the last axes, got (2, 0)",
        ),
        (
            lambda: T.ones(1, 1, 4, 4).interpolate(2),
            ArgumentError,
            "interpolate size: expected integers",
        ),
        (
            lambda: T.ones(4).interpolate((2, 2)),
            ShapeError,
            "interpolate: expected an axis with entries for each of size (2, 2), got input (4,)",
        ),
        (
            lambda: T.ones(1, 1, 0, 4).interpolate((2, 2)),
            ShapeError,
            "got input (1, 1, 0, 4)",
        ),
        (
            lambda: T(np.ones((1, 1, 4, 4), np.int64)).interpolate((2, 2)),
            DtypeError,
            "interpolate: expected floats or uint8, got dtype int64",
        ),
    ],
}
