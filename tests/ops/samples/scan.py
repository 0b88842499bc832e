"""Samples and invalid inputs of scans."""

import numpy as np

from tests.ops.samples.tools import Bads, Sample, Table, normal
from tinygrad_np import Tensor as T
from tinygrad_np import ops
from tinygrad_np.errors import AxisError, ShapeError


def _scans(generator: np.random.Generator) -> list[Sample]:
    cases = [((3,), 0), ((2, 3), -1), ((2, 3), 0), ((2, 3, 4), 1), ((0, 3), 1), ((3, 0), 1)]
    found = [Sample((normal(generator, *shape),), {"axis": axis}) for shape, axis in cases]
    zeros = normal(generator, 2, 5)
    zeros[0, 1] = zeros[1, 1] = zeros[1, 3] = 0
    scalar = Sample((normal(generator),), {"axis": 0})
    return [*found, Sample((zeros,), {"axis": 1}), scalar]


TABLE: Table = {
    "recurrence": lambda generator: [
        Sample((normal(generator, *shape), normal(generator, *shape)))
        for shape in [(1,), (4,), (2, 3), (2, 0), (0, 3)]
    ],
    "cumsum": _scans,
    "cumprod": _scans,
    "logcumsumexp": _scans,
    "argcummax": _scans,
    "argcummin": _scans,
}


BAD: Bads = {
    "recurrence": [
        (
            lambda: ops.recurrence(T.ones(3), T.ones(2)),
            ShapeError,
            "recurrence: expected inputs of the same",
        )
    ],
    "cumsum": [
        (lambda: T.ones(3).cumsum(1), AxisError, "cumsum: ... Got (3,) float32"),
        (
            lambda: T(1.0).cumsum(1),
            AxisError,
            "cumsum: expected `axis` to be 0 or -1 for a 0-d tensor, got 1.",
        ),
    ],
    "cumprod": [(lambda: T.ones(3).cumprod(1), AxisError, "cumprod: ... Got (3,) float32")],
    "logcumsumexp": [(lambda: T.ones(3).logcumsumexp(1), AxisError, "logcumsumexp: ... Got (3,)")],
    "argcummax": [(lambda: T.ones(3).cummax(1), AxisError, "argcummax: ... Got (3,) float32")],
    "argcummin": [
        (
            lambda: T(1.0).cummin(2),
            AxisError,
            "cummin: expected `axis` to be 0 or -1 for a 0-d tensor, got 2.",
        ),
    ],
}
