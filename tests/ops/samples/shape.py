"""Samples and invalid inputs of ops that rearrange entries."""

import numpy as np

from tests.ops.samples.tools import Bads, Sample, Table, attributed, bad, normal, refused
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
    "pad_constant": attributed(
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
    "movedim": [
        bad(T.movedim, AxisError, "movedim: expected an axis from -2 to 1, got 2", (2, 3), 2, 0),
        bad(
            T.movedim, ShapeError, "different axes, got [0, -2] and [0, 1]", (2, 3), [0, -2], [0, 1]
        ),
        bad(
            T.movedim,
            ShapeError,
            "same number of different axes, got 0 and [0, 1]",
            (2, 3),
            0,
            [0, 1],
        ),
    ],
    "expand_as": [bad(T.expand_as, ShapeError, "expand: ", (2,), (3,))],
    "view_as": [bad(T.view_as, ShapeError, "reshape: ", (2,), (3,))],
    "unbind": [
        bad(T.unbind, ShapeError, "unbind: expected at least one axis, got a 0-d tensor", ()),
        bad(T.unbind, AxisError, "unbind: expected an axis from -1 to 0, got 1", (2,), 1),
    ],
    "diff": [
        bad(T.diff, ArgumentError, "diff: expected `n` to be >= 0, got -1", (2,), -1),
        bad(T.diff, ShapeError, "diff: expected at least one axis, got a 0-d tensor", ()),
    ],
    "tile": [bad(T.tile, ShapeError, "repeat: expected a count >= 0", (2,), -1)],
    "unflatten": [bad(T.unflatten, AxisError, "unflatten: ... from -1 to 0, got 1", _LINE, 1, [3])],
    "squeeze": [
        (lambda: _LINE.squeeze(1), AxisError, "squeeze: expected an axis from -1 to 0, got 1")
    ],
    "unsqueeze": [(lambda: _LINE.unsqueeze(2), AxisError, "expected an axis from -2 to 1, got 2")],
    "stack": [
        (lambda: _LINE.stack(T.ones(2)), ShapeError, "stack: expected tensors of the same shape"),
        (lambda: _LINE.stack([1.0]), DtypeError, "stack: expected tensors, got Tensor, list"),
    ],
    "split": [
        (lambda: _LINE.split([1, 1]), ShapeError, "sum to 3 for axis 0 of shape (3,), got [1, 1]"),
        (lambda: _LINE.split(0), ArgumentError, "split: expected `sizes` to be >= 1, got 0"),
        (lambda: T(1.0).split(1), ShapeError, "split: expected at least one axis"),
    ],
    "chunk": [(lambda: _LINE.chunk(0), ArgumentError, "chunk: expected `chunks` to be >= 1")],
    "repeat": [(lambda: T.ones(2, 3).repeat(2), ShapeError, "of shape (2, 3), got (2,)")],
    "repeat_interleave": [
        (
            lambda: _LINE.repeat_interleave(-1),
            ArgumentError,
            "`repeats` to be an integer >= 0, got -1",
        ),
    ],
    "flip": [(lambda: _LINE.flip(1), AxisError, "flip: expected an axis from -1 to 0, got 1")],
    "roll": [(lambda: _LINE.roll(1, 1), AxisError, "roll: expected an axis from -1 to 0, got 1")],
    "shrink": [
        (lambda: _LINE.shrink(((0, 4),)), ShapeError, "for axis 0 of shape (3,), got (0, 4)"),
        bad(
            T.shrink,
            ShapeError,
            "shrink: expected one pair ... of shape (3,)",
            _LINE,
            [None, None],
        ),
    ],
    "unfold": [
        (lambda: _LINE.unfold(0, 4, 1), ArgumentError, "of shape (3,), got size=4 and step=1"),
        (lambda: _LINE.unfold(1, 1, 1), AxisError, "unfold: expected an axis from -1 to 0, got 1"),
    ],
    "meshgrid": [
        bad(T.meshgrid, ArgumentError, "meshgrid: ... got 'yx'", _LINE, _LINE, indexing="yx"),
        (lambda: _LINE.meshgrid(T.ones(2, 2)), ShapeError, "meshgrid: expected vectors"),
    ],
    "cat": [
        bad(T.cat, ShapeError, "cat: ... Got (2, 3) float32, (2, 4)", (2, 3), (2, 4)),
        bad(T.cat, AxisError, "cat: ... Got (2, 3) float32", (2, 3), (2, 3), dim=2),
        bad(T.cat, DtypeError, "cat: expected a Tensor, ... got list", (2,), [1.0]),
    ],
    "reshape": [
        bad(T.reshape, ShapeError, "reshape: ... Got (2, 3) float32, shape=(4,)", (2, 3), 4),
        bad(T.reshape, ShapeError, "reshape: expected None only for the 1 axes", (3,), None, None),
        bad(T.flatten, AxisError, "flatten: expected an axis from -1 to 0", (3,), 2),
        bad(T.flatten, ShapeError, "flatten: expected `start_dim` ... got 1 and 0", (2, 3), 1, 0),
    ],
    "permute": [
        bad(T.permute, ShapeError, "permute: ... Got (2, 3) float32, order=(0,)", (2, 3), 0),
        bad(T.permute, AxisError, "permute: ... Got (2, 3) float32", (2, 3), 0, 2),
    ],
    "transpose": [bad(T.transpose, AxisError, "transpose: ... Got (3,) float32", (3,))],
    "pad": [
        bad(T.pad, ArgumentError, "replicate, circular, got 'mirror'", (3,), [1, 2], "mirror"),
        bad(
            T.pad,
            ShapeError,
            "pad: ... most 2 on each side of axis 0 ... length 3",
            (3,),
            [3, 0],
            "reflect",
        ),
        bad(
            T.pad, ShapeError, "mode 'circular', got (0, 4) for length 3", (3,), [0, 4], "circular"
        ),
        bad(T.pad, ShapeError, "of shape (3,), got 3.", (3,), [1, 2, 3]),
        bad(T.pad, ShapeError, "pad: expected 1 pairs (before, after)", (3,), [(1, 2), None]),
        bad(
            T.pad,
            ShapeError,
            "pad: expected negative padding to remove at most the length of each axis",
            (3,),
            [-2, -2],
        ),
    ],
    "pad_constant": [
        bad(ops.pad_constant, ShapeError, "pad: expected 1 pairs", (3,), [(1, 2), (0, 0)])
    ],
    "expand": [
        bad(
            T.expand,
            ShapeError,
            "expand: expected shapes that broadcast ... got (2, 3) float32",
            (2, 3),
            2,
            4,
        ),
        bad(
            T.expand, ShapeError, "expand: expected a length for each axis ... (3,)", (3,), None, 3
        ),
    ],
    "sum_to": refused("sum_to", (2, 3), shape=(2, 2)),
    "cast": [bad(T.cast, DtypeError, "no dtype", (3,), "no dtype")],
}
