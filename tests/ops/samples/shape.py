"""Ops that move entries about: samples, and bad inputs with the error that they must raise."""

import numpy as np

from tests.ops.samples.tools import Bads, Sample, Table, attributed, normal
from tinygrad_np import Tensor as T
from tinygrad_np import ops
from tinygrad_np.errors import ArgumentError, AxisError, DtypeError, ShapeError


def _cats(generator: np.random.Generator) -> list[Sample]:
    cases = [([(2, 3)], 0), ([(2, 3), (1, 3)], 0), ([(2, 1, 2), (2, 3, 2), (2, 0, 2)], -2)]
    return [
        Sample(tuple(normal(generator, *shape) for shape in shapes), {"dim": dim})
        for shapes, dim in cases
    ]


TABLE: Table = {
    "cat": _cats,
    "reshape": attributed(
        ((), {"shape": (1, 1)}),
        ((2, 3), {"shape": (3, 2)}),
        ((2, 3, 4), {"shape": (-1, 4)}),
        ((0, 3), {"shape": (3, 0)}),
    ),
    "permute": attributed(
        ((), {"order": ()}), ((2, 3, 4), {"order": (2, 0, 1)}), ((2, 3, 4), {"order": (-1, 0, -2)})
    ),
    "transpose": attributed(((2, 3), {"dim0": 0, "dim1": 1}), ((2, 3, 4), {"dim0": -1, "dim1": 0})),
    "pad": attributed(
        ((3,), {"padding": ((1, 2),)}),
        ((2, 3), {"padding": ((0, 1), (2, 0)), "value": 7.0}),
        ((4, 5), {"padding": ((-1, 1), (0, -2))}),
        ((3,), {"padding": ((-2, -1),)}),
    ),
    "expand": attributed(
        ((), {"shape": (2, 3)}),
        ((3,), {"shape": (2, 3)}),
        ((2, 1), {"shape": (4, 2, 3)}),
        ((2, 3), {"shape": (2, 3)}),
        ((1, 3), {"shape": (0, 3)}),
    ),
    "sum_to": attributed(
        ((2, 3), {"shape": ()}),
        ((2, 3), {"shape": (3,)}),
        ((4, 2, 3), {"shape": (2, 1)}),
        ((2, 3), {"shape": (2, 3)}),
        ((0, 3), {"shape": (1, 3)}),
    ),
    "cast": attributed(
        ((), {"dtype": np.dtype(np.float64)}), ((2, 3), {"dtype": np.dtype(np.float64)})
    ),
}


_LINE = T([1.0, 2.0, 3.0])

BAD: Bads = {
    "unflatten": [(lambda: _LINE.unflatten(1, (3,)), AxisError, "unflatten: axis 1 is outside")],
    "squeeze": [(lambda: _LINE.squeeze(1), AxisError, "squeeze: axis 1 is outside")],
    "unsqueeze": [(lambda: _LINE.unsqueeze(2), AxisError, "unsqueeze: axis 2 is outside")],
    "stack": [
        (lambda: _LINE.stack(T.ones(2)), ShapeError, "stack: got shapes [(3,), (2,)]"),
        (lambda: _LINE.stack([1.0]), DtypeError, "stack: got something else than tensors"),
    ],
    "split": [
        (lambda: _LINE.split([1, 1]), ShapeError, "split: got sizes [1, 1] for axis 0"),
        (lambda: _LINE.split(0), ArgumentError, "split: got size 0"),
        (lambda: T(1.0).split(1), ShapeError, "split: axis 0 of shape () cannot be kept"),
    ],
    "chunk": [(lambda: _LINE.chunk(0), ArgumentError, "chunk: got 0 chunks")],
    "repeat": [(lambda: T.ones(2, 3).repeat(2), ShapeError, "repeat: got (2,) for shape (2, 3)")],
    "repeat_interleave": [
        (lambda: _LINE.repeat_interleave(-1), ArgumentError, "repeat_interleave: got -1"),
    ],
    "flip": [(lambda: _LINE.flip(1), AxisError, "flip: axis 1 is outside")],
    "roll": [(lambda: _LINE.roll(1, 1), AxisError, "roll: axis 1 is outside")],
    "shrink": [
        (lambda: _LINE.shrink(((0, 4),)), ShapeError, "shrink: got (0, 4) for axis 0"),
        (lambda: _LINE.shrink((None, None)), ShapeError, "shrink: got 2 parts"),
    ],
    "unfold": [
        (lambda: _LINE.unfold(0, 4, 1), ArgumentError, "unfold: got size 4 and step 1"),
        (lambda: _LINE.unfold(1, 1, 1), AxisError, "unfold: axis 1 is outside"),
    ],
    "meshgrid": [
        (
            lambda: _LINE.meshgrid(_LINE, indexing="yx"),
            ArgumentError,
            "meshgrid indexing: got 'yx'",
        ),
        (lambda: _LINE.meshgrid(T.ones(2, 2)), ShapeError, "meshgrid: got shapes"),
    ],
    "cat": [
        (lambda: T.ones(2, 3).cat(T.ones(2, 4)), ShapeError, "cat: got (2, 3) float32, (2, 4)"),
        (lambda: T.ones(2, 3).cat(T.ones(2, 3), dim=2), AxisError, "cat: got (2, 3) float32"),
        (lambda: T.ones(2).cat([1.0]), DtypeError, "cat: got a list"),
    ],
    "reshape": [
        (lambda: T.ones(2, 3).reshape(4), ShapeError, "reshape: got (2, 3) float32, shape=(4,)"),
        (lambda: T.ones(3).reshape(None, None), ShapeError, "axis 1 of shape (3,) cannot be kept"),
        (lambda: T.ones(3).flatten(2), AxisError, "flatten: axis 2 is outside"),
        (lambda: T.ones(2, 3).flatten(1, 0), ShapeError, "flatten: start_dim 1 comes after"),
    ],
    "permute": [
        (lambda: T.ones(2, 3).permute(0), ShapeError, "permute: got (2, 3) float32, order=(0,)"),
        (lambda: T.ones(2, 3).permute(0, 2), AxisError, "permute: got (2, 3) float32"),
    ],
    "transpose": [(lambda: T.ones(3).transpose(), AxisError, "transpose: got (3,) float32")],
    "pad": [
        (lambda: T.ones(3).pad((1, 2), mode="mirror"), ArgumentError, "pad mode: got 'mirror'"),
        (lambda: T.ones(3).pad((3, 0), mode="reflect"), ShapeError, "'reflect' can add at most 2"),
        (lambda: T.ones(3).pad((0, 4), mode="circular"), ShapeError, "can add at most 3"),
        (lambda: T.ones(3).pad((1, 2, 3)), ShapeError, "pad: got 3 numbers for shape (3,)"),
        (lambda: T.ones(3).pad(((1, 2), None)), ShapeError, "pad: got 2 pairs"),
        (lambda: T.ones(3).pad((-2, -2)), ShapeError, "leaves less than nothing"),
    ],
    "expand": [
        (lambda: T.ones(2, 3).expand(2, 4), ShapeError, "expand: got (2, 3) float32"),
        (lambda: T.ones(3).expand(None, 3), ShapeError, "cannot be kept"),
    ],
    "sum_to": [
        (
            lambda: ops.table["sum_to"](T.ones(2, 3), shape=(2, 2)),
            ShapeError,
            "sum_to: got (2, 3) float32",
        )
    ],
    "cast": [(lambda: T.ones(3).cast("no dtype"), DtypeError, "no dtype")],
}
