"""Normalization: samples, and invalid inputs with the errors they must raise."""

import functools
from typing import Any

import numpy as np

from tests.ops.samples.tools import Bads, Sample, Table, bad, normal
from tinygrad_np import Tensor as T
from tinygrad_np import ops
from tinygrad_np.errors import ArgumentError, AxisError, ShapeError

SHAPES = [(4, 3), (2, 3, 4), (1, 2, 5), (2, 3, 4, 5), (3, 1, 2, 2), (2, 2, 1, 3, 2), (0, 3, 2, 2)]


def _images(generator: np.random.Generator) -> list[np.ndarray]:
    """Return images whose channels differ in mean and scale; the last is stored batch last."""
    found = []
    for shape in [*SHAPES, (3, 2, 2, 4)]:
        by_channel = (-1, *[1] * (len(shape) - 2))
        mean, size = generator.uniform(0.5, 2, (2, shape[1]))
        x = normal(generator, *shape) * size.reshape(by_channel) + mean.reshape(by_channel)
        found.append(x)
    found[-1] = np.moveaxis(np.ascontiguousarray(np.moveaxis(found[-1], 0, -1)), -1, 0)
    return found


def _batch_norms(generator: np.random.Generator) -> list[Sample]:
    found = []
    for number, x in enumerate(_images(generator)):
        weight, bias = generator.uniform(0.5, 2, (2, x.shape[1]))
        # Cycle through both, bias only, neither, weight only.
        inputs: tuple[Any, ...] = (
            x,
            None if number % 4 in (1, 3) else weight,
            None if number % 4 in (2, 3) else bias,
            None,
        )
        found.append(Sample(inputs, {"eps": 1e-5 if number % 2 else 0.1}))
    return found


def _layer_norms(generator: np.random.Generator) -> list[Sample]:
    shapes = [(3,), (2, 3), (0, 3), (2, 3, 4), (2, 5000), (4, 1), (600, 2), (2, 0)]
    found = []
    for number, shape in enumerate(shapes):
        # The second to last row has a large mean.
        x = normal(generator, *shape) + 0.5
        if len(x) > 1 and x.ndim > 1:
            x[-2] += 10.0
        weight, bias = generator.uniform(0.5, 2, (2, shape[-1]))
        inputs = x, None if number % 4 == 1 else weight, None if number % 4 == 2 else bias
        found.append(Sample(inputs, {"eps": 0.1}))
    return [*found, Sample((normal(generator, 2, 3), None, None), {"eps": 0.1})]


def _rms_norms(generator: np.random.Generator) -> list[Sample]:
    shapes = [(3,), (2, 3), (0, 3), (2, 3, 4), (2, 5000), (4, 1), (600, 2), (2, 0)]
    found = []
    for number, shape in enumerate(shapes):
        weight = None if number % 4 == 1 else generator.uniform(0.5, 2, shape[-1])
        found.append(Sample((normal(generator, *shape), weight), {"eps": 0.1}))
    return found


def _group_norms(generator: np.random.Generator) -> list[Sample]:
    found = []
    for number, x in enumerate([*_images(generator), normal(generator, 2, 4, 600) + 9.0]):
        weight, bias = generator.uniform(0.5, 2, (2, x.shape[1]))
        groups = x.shape[1] if number % 2 else x.shape[1] // 2 if x.shape[1] % 2 == 0 else 1
        inputs = x, None if number % 4 == 1 else weight, None if number % 4 == 2 else bias
        found.append(Sample(inputs, {"num_groups": groups, "eps": 0.1}))
    return found


TABLE: Table = {
    "channel_moments": lambda generator: [Sample((x,)) for x in _images(generator)],
    "batch_norm": _batch_norms,
    "layer_norm": _layer_norms,
    "group_norm": _group_norms,
    "rms_norm": _rms_norms,
}


_IMAGES = T.ones(2, 3, 4, 4)
_batch_norm = functools.partial(bad, ops.batch_norm, eps=0.1)

BAD: Bads = {
    "channel_moments": [bad(ops.channel_moments, AxisError, "channel_moments: ... got (3,)", (3,))],
    "layer_norm": [
        bad(ops.layer_norm, AxisError, "layer_norm: ... got ()", (), eps=0.1),
        bad(
            ops.layer_norm, ShapeError, "`weight` of shape (4,) ... got (3,)", (2, 4), (3,), eps=0.1
        ),
        bad(
            ops.layer_norm,
            ShapeError,
            "layer_norm: expected `bias` of shape (4,) for x of shape (2, 4), got (1, 4)",
            (2, 4),
            None,
            (1, 4),
            eps=0.1,
        ),
    ],
    "group_norm": [
        bad(ops.group_norm, AxisError, "group_norm: ... got (3,)", (3,), num_groups=1, eps=0.1),
        bad(
            ops.group_norm,
            ArgumentError,
            "group_norm: expected `num_groups` to divide the 4 channels, got 3",
            (3, 4),
            num_groups=3,
            eps=0.1,
        ),
        bad(
            ops.group_norm,
            ShapeError,
            "group_norm: expected `weight` of shape (4,) ... got (2,)",
            (3, 4),
            (2,),
            num_groups=2,
            eps=0.1,
        ),
    ],
    "rms_norm": [
        bad(ops.rms_norm, AxisError, "rms_norm: ... got ()", (), eps=0.1),
        bad(ops.rms_norm, ShapeError, "`weight` of shape (4,) ... got (3,)", (2, 4), (3,), eps=0.1),
    ],
    "batch_norm": [
        _batch_norm(AxisError, "batch_norm: expected x of shape (N, C, ...), got (3,)", (3,)),
        _batch_norm(
            ShapeError, "batch_norm: ... `weight` of shape (3,) ... got (4,)", _IMAGES, (4,)
        ),
        _batch_norm(ShapeError, "expected `bias` of shape (3,) ... got (1,)", _IMAGES, None, (1,)),
        _batch_norm(
            ShapeError, "`moments` of shape (2, 3) ... got (3, 2)", _IMAGES, None, None, (3, 2)
        ),
    ],
}
