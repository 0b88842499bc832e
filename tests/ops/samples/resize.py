"""Resizing: samples, and invalid inputs with the errors they must raise."""

import functools

import numpy as np

from tests.ops.samples.tools import Bads, Table, attributed, bad, refused
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

_IMAGE = T.ones(1, 1, 4, 4)
_interpolate = functools.partial(bad, T.interpolate)

BAD: Bads = {
    "resample": refused("resample", (2, 3), axis=1, rule="linear", lengths=(5, 8)),
    "interpolate": [
        _interpolate(
            ArgumentError, "interpolate: expected `mode` ... 'bicubic'", _IMAGE, [2, 2], "bicubic"
        ),
        _interpolate(
            ArgumentError, "align_corners=True, got 'nearest'", _IMAGE, [2, 2], "nearest", True
        ),
        _interpolate(ArgumentError, "per trailing axis to resize, got (2, 0)", _IMAGE, size=(2, 0)),
        _interpolate(
            ArgumentError, "interpolate: expected `size` to be a sequence of integers", _IMAGE, 2
        ),
        _interpolate(ShapeError, "interpolate: ... size (2, 2), got input (4,)", (4,), [2, 2]),
        _interpolate(ShapeError, "got input (1, 1, 0, 4)", (1, 1, 0, 4), [2, 2]),
        _interpolate(DtypeError, "interpolate: ... got dtype int64", _IMAGE.cast(np.int64), [2, 2]),
    ],
}
