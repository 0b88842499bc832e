"""Convolution: samples, and bad inputs with the error that they must raise."""

from collections.abc import Callable
from typing import Any

import numpy as np

from tests.ops.samples.tools import Bads, Sample, Table, normal, refused
from tinygrad_np import Tensor as T
from tinygrad_np import ops
from tinygrad_np.errors import ArgumentError, AxisError, DtypeError, ShapeError

_IMAGE = np.ones((1, 2, 4, 4), np.float32)


def _convolutions(generator: np.random.Generator) -> list[Sample]:
    cases: list[tuple[Any, Any, dict[str, Any]]] = [
        ((2, 1, 5, 5), (3, 1, 3, 3), {}),
        ((2, 3, 6, 7), (4, 3, 3, 2), {"stride": (2, 1), "padding": (1, 0)}),
        ((1, 4, 7, 7), (6, 2, 3, 3), {"groups": 2, "padding": 1, "dilation": (1, 2)}),
        ((2, 8, 5, 5), (8, 1, 3, 3), {"groups": 8, "padding": 1}),
        ((2, 9, 4, 4), (5, 9, 1, 1), {}),
        ((2, 2, 8, 8), (3, 2, 2, 2), {"stride": 3, "padding": 2}),
        ((2, 16, 14, 14), (4, 16, 3, 3), {"padding": 1}),
        ((0, 2, 5, 5), (3, 2, 3, 3), {}),
        ((1, 2, 3, 3), (3, 2, 3, 3), {"padding": 2, "dilation": 2}),
    ]
    found = []
    for position, (x, weight, options) in enumerate(cases):
        bias = normal(generator, weight[0]) if position % 2 == 0 else None
        found.append(Sample((normal(generator, *x), normal(generator, *weight), bias), options))
    last = np.moveaxis(normal(generator, 2, 5, 5, 9), -1, 1)
    found.append(Sample((last, normal(generator, 3, 9, 3, 3), None), {"padding": 1}))
    return found


def _convolution_grads(kind: str) -> Callable[[np.random.Generator], list[Sample]]:
    def make(generator: np.random.Generator) -> list[Sample]:
        found = []
        for sample in _convolutions(generator):
            x, weight, _ = sample.inputs
            out = ops.conv2d(x, weight, **sample.attributes)
            grad = normal(generator, *out.shape)
            if kind == "input":
                extra: dict[str, Any] = {"input_shape": x.shape}
                found.append(Sample((grad, weight), {**sample.attributes, **extra}))
            else:
                extra = {"kernel": weight.shape[2:]}
                found.append(Sample((x, grad), {**sample.attributes, **extra}))
        return found

    return make


TABLE: Table = {
    "conv2d": _convolutions,
    "conv2d_input_grad": _convolution_grads("input"),
    "conv2d_weight_grad": _convolution_grads("weight"),
    "channel_sum": lambda generator: [
        Sample((normal(generator, *shape),)) for shape in [(2, 3, 4, 5), (0, 3, 2, 2), (2, 3, 4)]
    ],
}


BAD: Bads = {
    "conv2d": [
        (
            lambda: T(_IMAGE).conv2d(T.ones(3, 1, 3, 3)),
            ShapeError,
            "conv2d: got input (1, 2, 4, 4) with 2 channels",
        ),
        (lambda: T.ones(4, 4).conv2d(T.ones(1, 1, 3, 3)), ShapeError, "conv2d: got input (4, 4)"),
        (
            lambda: T(_IMAGE).conv2d(T.ones(3, 2, 5, 5)),
            ShapeError,
            "conv2d: a window of (5, 5) (dilation (1, 1)) does not fit into an image of (4, 4)",
        ),
        (
            lambda: T(_IMAGE).conv2d(T.ones(3, 2, 3, 3), T.ones(2)),
            ShapeError,
            "conv2d: got bias (2,), expected (3,)",
        ),
        (
            lambda: T(_IMAGE).conv2d(T.ones(3, 2, 3, 3), stride=0),
            ArgumentError,
            "conv2d stride: got 0",
        ),
        (
            lambda: T(_IMAGE).conv2d(T.ones(3, 2, 3, 3), padding=(1, 1, 1)),
            ArgumentError,
            "conv2d padding: got (1, 1, 1)",
        ),
        (
            lambda: T(_IMAGE).conv2d(T.ones(3, 1, 3, 3), groups=2),
            ShapeError,
            "output channels that groups divides",
        ),
        (
            lambda: T(_IMAGE).conv2d(T.ones(3, 1, 3, 3), groups=0),
            ArgumentError,
            "conv2d groups: got 0",
        ),
        (lambda: T(_IMAGE).conv2d([[1.0]]), DtypeError, "conv2d: got a list"),
    ],
    "conv2d_input_grad": refused(
        "conv2d_input_grad", (1, 3, 2, 2), (4, 2, 3, 3), input_shape=(1, 2, 4, 4)
    ),
    "conv2d_weight_grad": refused(
        "conv2d_weight_grad", (1, 2, 4, 4), (1, 3, 2, 2), kernel=(3, 3), stride=0
    ),
    "channel_sum": [
        (lambda: ops.table["channel_sum"](T.ones(3)), AxisError, "channel_sum: got (3,)")
    ],
}
