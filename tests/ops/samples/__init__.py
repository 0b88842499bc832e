"""Sample inputs for every op, and invalid inputs with the error they must raise.

Samples of plain ops (no attributes, any shapes) are generated from the op's definition; those of
other ops come from a table. A test fails for an op without samples or without invalid inputs. There
is one file per family, as in `tinygrad_np/ops/`.
"""

import functools
import importlib
from pathlib import Path

import numpy as np

from tests.ops.samples.tools import Bad, Bads, Sample, Table, bad, draw, rng_for
from tinygrad_np.autograd.op import Op
from tinygrad_np.errors import DtypeError, ShapeError

# Every other file in this directory except tools.py defines TABLE and BAD.
_FAMILIES = [
    importlib.import_module(f"{__name__}.{path.stem}")
    for path in sorted(Path(__file__).parent.glob("*.py"))
    if path.stem not in ("__init__", "tools")
]

TABLE: Table = {name: make for family in _FAMILIES for name, make in family.TABLE.items()}
BAD: Bads = {name: bad for family in _FAMILIES for name, bad in family.BAD.items()}

# Input shapes for plain ops: 0-d, size 1, size 0, five axes, and one large enough for recycled
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
    """Return whether samples follow from the definition: no attributes, inputs of any shape."""
    return not op.options and not op.variadic and op.name not in TABLE


@functools.cache
def samples_of(op: Op) -> list[Sample]:
    """Return the float64 samples of an op, the same in each run."""
    generator = rng_for(op)
    if op.name in TABLE:
        return TABLE[op.name](generator)
    if len(op.inputs) == 1:
        found = [Sample((draw(op, shape, generator),)) for shape in UNARY]
        found.append(Sample((draw(op, (4, 6), generator)[::2, ::-2].T,)))
        # Memory order with the batch last, as convolution produces it.
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
        message = f"{op.name}: expected the inputs {op.inputs} and the options [], got 2 positional"
        return [bad(op, DtypeError, message, (1,), (1,))]
    return [
        bad(
            op,
            ShapeError,
            f"{op.name}: expected shapes that broadcast ... got (2, 3) float32, (4,)",
            (2, 3),
            (4,),
        ),
        bad(op, DtypeError, f"{op.name}: expected a Tensor, ... got str", (2,), "text"),
    ]
