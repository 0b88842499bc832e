"""Pooling: samples, and bad inputs with the error that they must raise."""

from collections.abc import Callable
from typing import Any

import numpy as np

from tests.ops.samples.tools import Bad, Bads, Sample, Table, normal, refused
from tinygrad_np import Tensor as T
from tinygrad_np import ops
from tinygrad_np.errors import ArgumentError, ShapeError

_IMAGE = np.ones((1, 2, 4, 4), np.float32)


POOLS: list[tuple[tuple[int, ...], dict[str, Any]]] = [
    ((2, 3, 4, 6), {"kernel_size": (2, 2), "stride": None, "padding": 0}),
    ((2, 3, 5, 7), {"kernel_size": (2, 2), "stride": (2, 2), "padding": 0}),
    ((1, 2, 7, 7), {"kernel_size": (3, 3), "stride": (2, 2), "padding": (1, 1)}),
    ((1, 2, 6, 5), {"kernel_size": (3, 2), "stride": (1, 1), "padding": (1, 0)}),
    ((2, 2, 7, 7), {"kernel_size": (2, 2), "stride": (3, 3), "padding": 0}),
    ((0, 3, 4, 4), {"kernel_size": (2, 2), "stride": None, "padding": 0}),
    ((8, 20, 10, 10), {"kernel_size": (2, 2), "stride": None, "padding": 0}),
]


def _pools(generator: np.random.Generator) -> list[Sample]:
    found = [Sample((normal(generator, *shape),), options) for shape, options in POOLS]
    last = np.moveaxis(normal(generator, 2, 6, 6, 9), -1, 1)
    return [*found, Sample((last,), POOLS[0][1])]


def _pool_grads(kind: str) -> Callable[[np.random.Generator], list[Sample]]:
    def make(generator: np.random.Generator) -> list[Sample]:
        found = []
        for sample in _pools(generator):
            (x,) = sample.inputs
            _, winners = ops.table["max_pool2d"].forward(x, **sample.attributes)
            grad = normal(generator, *winners.shape)
            shape = {**sample.attributes, "input_shape": x.shape}
            found.append(
                {
                    "avg": Sample((grad,), shape),
                    "max": Sample((grad, winners), shape),
                    "gather": Sample((x, winners), sample.attributes),
                }[kind]
            )
        return found

    return make


TABLE: Table = {
    "max_pool2d": _pools,
    "avg_pool2d": _pools,
    "max_pool2d_grad": _pool_grads("max"),
    "max_pool2d_gather": _pool_grads("gather"),
    "avg_pool2d_grad": _pool_grads("avg"),
}


def _pool_bad(name: str) -> list[Bad]:
    pool = getattr(T, name)
    return [
        (lambda: pool(T.ones(4, 4)), ShapeError, f"{name}: got input (4, 4), expected 4 axes"),
        (lambda: pool(T(_IMAGE), (5, 5)), ShapeError, f"{name}: a window of (5, 5)"),
        (lambda: pool(T(_IMAGE), 0), ArgumentError, f"{name} kernel_size: got 0"),
        (lambda: pool(T(_IMAGE), 2, 0), ArgumentError, f"{name} stride: got 0"),
        (lambda: pool(T(_IMAGE), 2, 2, 2), ArgumentError, f"{name} padding: got 2"),
        (lambda: pool(T(_IMAGE), (2, 2, 2)), ShapeError, "expected 5 axes"),
    ]


BAD: Bads = {
    "max_pool2d": _pool_bad("max_pool2d"),
    "avg_pool2d": _pool_bad("avg_pool2d"),
    "max_pool2d_grad": refused(
        "max_pool2d_grad",
        (1, 1, 2, 2),
        (1, 1, 2, 2),
        input_shape=(1, 1, 4, 4),
        kernel_size=0,
        stride=None,
        padding=0,
    ),
    "max_pool2d_gather": refused(
        "max_pool2d_gather", (1, 1, 4, 4), (1, 1, 2, 2), kernel_size=0, stride=None, padding=0
    ),
    "avg_pool2d_grad": refused(
        "avg_pool2d_grad",
        (1, 1, 2, 2),
        input_shape=(1, 1, 4, 4),
        kernel_size=0,
        stride=None,
        padding=0,
    ),
}
