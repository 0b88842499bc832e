"""What the ops are tried on: samples from their records, a table for ops whose inputs have
structure, and for each op the bad inputs with the error that they must raise.

An op that is neither plain (no attributes, any shapes) nor in the table fails a test, and so does
one without bad inputs. Each family has its file, as in `tinygrad_np/ops/`.
"""

import functools
import importlib
from pathlib import Path

import numpy as np

from tests.ops.samples.tools import Bad, Bads, Sample, Table, bad, draw, rng_for
from tinygrad_np.autograd.op import Op
from tinygrad_np.errors import DtypeError, ShapeError

# Each file beside this one, but for the tools, has a TABLE and BAD.
_FAMILIES = [
    importlib.import_module(f"{__name__}.{path.stem}")
    for path in sorted(Path(__file__).parent.glob("*.py"))
    if path.stem not in ("__init__", "tools")
]

TABLE: Table = {name: make for family in _FAMILIES for name, make in family.TABLE.items()}
BAD: Bads = {name: bad for family in _FAMILIES for name, bad in family.BAD.items()}

# Shapes of plain ops' inputs: 0-d, size 1, zero size, five axes, and one large enough for recycled
# memory.
UNARY = [(), (1,), (3,), (2, 3), (0, 3), (2, 1, 3), (2, 1, 3, 1, 2), (200, 60)]
BINARY = [
    ((), ()),
    ((3,), (3,)),
    ((2, 3), (3,)),
    ((2, 1), (1, 3)),
    ((), (2, 3)),
    ((2, 3), ()),
    ((0, 3), (1, 3)),
    ((4, 1, 3), (2, 1)),
    ((2, 1, 3, 1, 2), (3, 4, 1)),
    ((200, 60), (200, 60)),
    ((200, 60), (60,)),
]


def is_plain(op: Op) -> bool:
    """Whether the record alone says how to sample: no attributes, one or two differentiable or
    comparable inputs of any shape.
    """
    return not op.options and not op.variadic and op.name not in TABLE


@functools.cache
def samples_of(op: Op) -> list[Sample]:
    """Return the samples of an op in float64, the same ones each time."""
    generator = rng_for(op)
    if op.name in TABLE:
        return TABLE[op.name](generator)
    if len(op.inputs) == 1:
        found = [Sample((draw(op, shape, generator),)) for shape in UNARY]
        found.append(Sample((draw(op, (4, 6), generator)[::2, ::-2].T,)))
        # Memory with the batch last under its shape, as convolution leaves it.
        found.append(Sample((np.moveaxis(draw(op, (9, 9, 20, 8), generator), -1, 0),)))
        return found
    found = [Sample(tuple(draw(op, shape, generator) for shape in pair)) for pair in BINARY]
    found.append(Sample((draw(op, (3, 4), generator).T, draw(op, (8, 3), generator)[::2])))
    return found


def bad_inputs_of(op: Op) -> list[Bad]:
    """Return calls that must fail, with the error and a part of its message."""
    if op.name in BAD:
        return BAD[op.name]
    if not is_plain(op):
        return []
    if len(op.inputs) == 1:
        message = f"{op.name}: expected inputs {op.inputs} and options [], got 2 by position"
        return [bad(op, DtypeError, message, (1,), (1,))]
    return [
        bad(op, ShapeError, f"{op.name}: got (2, 3) float32, (4,)", (2, 3), (4,)),
        bad(op, DtypeError, f"{op.name}: expected a Tensor, ... got a str", (2,), "text"),
    ]
