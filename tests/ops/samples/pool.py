"""Pooling: samples, and bad inputs with the error that they must raise."""

from collections.abc import Callable
from typing import Any

import numpy as np

from tests.ops.samples.tools import Bad, Bads, Sample, Table, normal, recorded, refused
from tinygrad_np import Tensor as T
from tinygrad_np import ops
from tinygrad_np.errors import ArgumentError, AxisError, DtypeError, ShapeError

_IMAGE = np.ones((1, 2, 4, 4), np.float32)


# Images, and options of both pools.
POOLS: list[tuple[tuple[int, ...], dict[str, Any]]] = [
    ((2, 3, 4, 6), {}),
    ((2, 3, 5, 7), {"kernel_size": 2, "stride": 2}),
    ((1, 2, 7, 7), {"kernel_size": (3, 3), "stride": 2, "padding": 1}),
    ((1, 2, 6, 5), {"kernel_size": (3, 2), "stride": 1, "padding": (1, 0)}),
    ((2, 2, 7, 7), {"kernel_size": (2, 2), "stride": 3}),
    ((0, 3, 4, 4), {}),
    ((8, 20, 10, 10), {}),
    ((2, 2, 6, 8), {"kernel_size": (2, 3), "stride": 2, "padding": 1, "ceil_mode": True}),
    ((1, 2, 9, 8), {"kernel_size": (3, 2), "stride": (1, 2), "dilation": (2, 3), "padding": 1}),
    ((2, 2, 6, 7), {"kernel_size": 3, "stride": 2, "padding": (0, 1, -1, 1)}),
    ((2, 2, 7), {"kernel_size": (3,), "stride": 2, "ceil_mode": True}),
    ((1, 2, 3, 4, 4), {"kernel_size": (1, 2, 2)}),
]


def _pools(name: str) -> Callable[[np.random.Generator], list[Sample]]:
    def make(generator: np.random.Generator) -> list[Sample]:
        images = [(normal(generator, *shape), options) for shape, options in POOLS]
        # Memory with the batch last under its shape, as convolution leaves it.
        last = np.moveaxis(normal(generator, 9, 6, 6, 2), -1, 0)
        images += [(last, {}), (last, {"kernel_size": 3, "padding": 1})]
        pool = getattr(T, name)
        found = [Sample((x,), recorded(pool, x, **options)) for x, options in images]
        if name == "avg_pool2d":
            x, options = images[7]
            attributes = recorded(pool, x, **options, count_include_pad=False)
            found.append(Sample((x,), attributes))
        return found

    return make


def _grads(kind: str) -> Callable[[np.random.Generator], list[Sample]]:
    name = "avg_pool2d" if kind == "avg" else "max_pool2d"

    def make(generator: np.random.Generator) -> list[Sample]:
        found = []
        for sample in _pools(name)(generator):
            (x,) = sample.inputs
            out = ops.table[name].forward(x, **sample.attributes)
            shape = {**sample.attributes, "input_shape": x.shape}
            if kind == "avg":
                found.append(Sample((normal(generator, *out.shape),), shape))
                continue
            winners = out[1]
            grad = normal(generator, *winners.shape)
            if kind == "max":
                found.append(Sample((grad, winners), shape))
            else:
                found.append(Sample((x, winners), sample.attributes))
        return found

    return make


TABLE: Table = {
    "max_pool2d": _pools("max_pool2d"),
    "max_pool2d_indices": _pools("max_pool2d"),
    "avg_pool2d": _pools("avg_pool2d"),
    "max_pool2d_grad": _grads("max"),
    "max_pool2d_gather": _grads("gather"),
    "avg_pool2d_grad": _grads("avg"),
}


def _pool_bad(name: str) -> list[Bad]:
    pool = getattr(T, name)
    return [
        (lambda: pool(T.ones(4)), ShapeError, f"{name}: got input (4,), expected 4 axes"),
        (lambda: pool(T(_IMAGE), (5, 5)), ShapeError, f"{name}: a window of (5, 5)"),
        (lambda: pool(T(_IMAGE), (2, 2), dilation=4), ShapeError, f"{name}: a window of (2, 2)"),
        (lambda: pool(T(_IMAGE), 0), ArgumentError, f"{name} kernel_size: got 0"),
        (lambda: pool(T(_IMAGE), 2, 0), ArgumentError, f"{name} stride: got 0"),
        (lambda: pool(T(_IMAGE), 2, 2, 0), ArgumentError, f"{name} dilation: got 0"),
        (lambda: pool(T(_IMAGE), 2, 2, 1, 2), ArgumentError, f"{name} padding: got 2"),
        (
            lambda: pool(T(_IMAGE), 2, 2, 1, (0, 2, 0, 0)),
            ArgumentError,
            f"{name} padding: got (0, 2, 0, 0), expected at most half of kernel_size (2, 2)",
        ),
        (
            lambda: pool(T(_IMAGE), 2, padding="same"),
            ArgumentError,
            f"{name} padding: got 'same'",
        ),
        (lambda: pool(T(_IMAGE), (2,)), ShapeError, "expected 3 axes"),
        (lambda: pool(T.ones(1, 1, 0, 4), 2, padding=1), ShapeError, "images without an entry"),
        (lambda: pool([[1.0]]), DtypeError, f"{name}: got a list"),
    ]


_INDICES = np.zeros((1, 2, 4, 4), np.int64)
_WINDOWS = recorded(T.max_pool2d, _IMAGE)


BAD: Bads = {
    "max_pool2d": _pool_bad("max_pool2d"),
    "max_pool2d_indices": refused("max_pool2d_indices", (1, 1, 1), **_WINDOWS),
    "avg_pool2d": _pool_bad("avg_pool2d"),
    "max_pool2d_grad": refused(
        "max_pool2d_grad", (1, 2, 2, 2), (1, 2, 3, 3), input_shape=(1, 2, 4, 4), **_WINDOWS
    ),
    "max_pool2d_gather": refused("max_pool2d_gather", (1, 2, 4, 4), (1, 2, 3, 3), **_WINDOWS),
    "avg_pool2d_grad": refused(
        "avg_pool2d_grad", (1, 2, 3, 3), input_shape=(1, 2, 4, 4), **_WINDOWS
    ),
    "max_unpool2d": [
        (
            lambda: T(_IMAGE).max_unpool2d(T(_INDICES[..., 0])),
            ShapeError,
            "max_unpool2d: got indices (1, 2, 4), expected those of the input, (1, 2, 4, 4)",
        ),
        (
            lambda: T(_IMAGE).max_unpool2d(T(_IMAGE)),
            DtypeError,
            "max_unpool2d: got indices of dtype float32",
        ),
        (
            lambda: T(_IMAGE).max_unpool2d(T(_INDICES + 64)),
            AxisError,
            "max_unpool2d: got indices from 64 to 64, expected 0 to 63",
        ),
        (
            lambda: T(_IMAGE).max_unpool2d(T(_INDICES - 1)),
            AxisError,
            "max_unpool2d: got indices from -1 to -1",
        ),
        (lambda: T(_IMAGE).max_unpool2d([0]), DtypeError, "max_unpool2d: got a list"),
        (
            lambda: T(_IMAGE).max_unpool2d(T(_INDICES), output_size=(4,)),
            ArgumentError,
            "max_unpool2d output_size: got (4,)",
        ),
        (
            lambda: T(_IMAGE).max_unpool2d(T(_INDICES), output_size=4),
            ArgumentError,
            "max_unpool2d output_size: got ()",
        ),
        (
            lambda: T.ones(1, 2, 1, 1).max_unpool2d(T(_INDICES[..., :1, :1]), 2, padding=1),
            ShapeError,
            "give an image of (0, 0); pad less",
        ),
        (
            lambda: T.ones(4).max_unpool2d(T(_INDICES)),
            ShapeError,
            "max_unpool2d: got input (4,), expected 4 axes",
        ),
    ],
    "adaptive_avg_pool2d": [
        (
            lambda: T(_IMAGE).adaptive_avg_pool2d((2, 0)),
            ArgumentError,
            "adaptive_avg_pool2d output_size: got (2, 0)",
        ),
        (
            lambda: T(_IMAGE).adaptive_avg_pool2d(2.0),
            ArgumentError,
            "adaptive_avg_pool2d output_size: got 2.0",
        ),
        (
            lambda: T.ones(4).adaptive_avg_pool2d(2),
            ShapeError,
            "adaptive_avg_pool2d: got input (4,)",
        ),
        (
            lambda: T.ones(2, 3, 0, 4).adaptive_avg_pool2d(2),
            ShapeError,
            "adaptive_avg_pool2d: got input (2, 3, 0, 4), expected images with entries",
        ),
    ],
}
