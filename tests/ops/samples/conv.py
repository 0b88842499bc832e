"""Convolution: samples, and bad inputs with the error that they must raise."""

from typing import Any

import numpy as np

from tests.ops.samples.tools import Bads, Sample, Table, normal, recorded, refused
from tinygrad_np import Tensor as T
from tinygrad_np import ops
from tinygrad_np.errors import ArgumentError, AxisError, DtypeError, ShapeError
from tinygrad_np.kernels.windows import Windows

_IMAGE = np.ones((1, 2, 4, 4), np.float32)
_WINDOWS = Windows((3, 3), (1, 1), ((0, 0), (0, 0)), (1, 1), (2, 2))

# Images, weights, options.
CONVOLUTIONS: list[tuple[Any, Any, dict[str, Any]]] = [
    ((2, 1, 5, 5), (3, 1, 3, 3), {}),
    ((2, 3, 6, 7), (4, 3, 3, 2), {"stride": (2, 1), "padding": (1, 0)}),
    ((1, 4, 7, 7), (6, 2, 3, 3), {"groups": 2, "padding": 1, "dilation": (1, 2)}),
    ((2, 8, 5, 5), (8, 1, 3, 3), {"groups": 8, "padding": 1}),
    ((2, 9, 4, 4), (5, 9, 1, 1), {}),
    ((2, 2, 8, 8), (3, 2, 2, 2), {"stride": 3, "padding": 2}),
    ((2, 16, 14, 14), (4, 16, 3, 3), {"padding": 1}),
    ((0, 2, 5, 5), (3, 2, 3, 3), {}),
    ((1, 2, 3, 3), (3, 2, 3, 3), {"padding": 2, "dilation": 2}),
    ((2, 2, 9), (3, 2, 3), {"stride": 4, "dilation": 2, "padding": 1}),
    ((1, 2, 4, 5, 4), (2, 1, 2, 3, 2), {"stride": (1, 2, 1), "groups": 2}),
    ((2, 2, 5, 6), (3, 2, 2, 4), {"padding": "same", "dilation": (3, 1)}),
    ((2, 2, 6, 6), (3, 2, 3, 3), {"padding": (2, -1, -2, 1), "stride": 2}),
    ((1, 4, 9, 7), (6, 2, 4, 3), {"groups": 2, "stride": (6, 4), "dilation": (2, 3)}),
]


def _convolutions(generator: np.random.Generator) -> list[Sample]:
    found = []
    for position, (shape, weight_shape, options) in enumerate(CONVOLUTIONS):
        bias = normal(generator, weight_shape[0]) if position % 2 == 0 else None
        x, weight = normal(generator, *shape), normal(generator, *weight_shape)
        found.append(Sample((x, weight, bias), options))
    last = np.moveaxis(normal(generator, 2, 5, 5, 9), -1, 1)
    weight = normal(generator, 3, 9, 3, 3)
    found.append(Sample((last, weight, None), {"padding": 1}))
    return found


def _input_grads(generator: np.random.Generator) -> list[Sample]:
    found = []
    for sample in _convolutions(generator):
        x, weight, _ = sample.inputs
        out, windows = ops.conv2d.forward(x, weight, **sample.attributes)
        options = {"windows": windows, "groups": sample.attributes.get("groups", 1)}
        grad = normal(generator, *out.shape)
        found.append(Sample((grad, weight), {**options, "input_shape": x.shape}))
    # Longer than a convolution of the result needs.
    x, weight = normal(generator, 2, 4, 3, 3), normal(generator, 4, 2, 2, 3)
    options = {"stride": 3, "dilation": 2, "output_padding": (2, 1), "padding": 1, "groups": 2}
    found.append(Sample((x, weight), recorded(T.conv_transpose2d, x, weight, **options)))
    return found


def _weight_grads(generator: np.random.Generator) -> list[Sample]:
    found = []
    for sample in _convolutions(generator):
        x, weight, _ = sample.inputs
        out, windows = ops.conv2d.forward(x, weight, **sample.attributes)
        options = {"windows": windows, "groups": sample.attributes.get("groups", 1)}
        found.append(Sample((x, normal(generator, *out.shape)), options))
    return found


TABLE: Table = {
    "conv2d": _convolutions,
    "conv2d_input_grad": _input_grads,
    "conv2d_weight_grad": _weight_grads,
    "channel_sum": lambda generator: [
        Sample((normal(generator, *shape),)) for shape in [(2, 3, 4, 5), (0, 3, 2, 2), (2, 3, 4)]
    ],
}


BAD: Bads = {
    "conv2d": [
        (
            lambda: T(_IMAGE).conv2d(T.ones(3, 1, 3, 3)),
            ShapeError,
            "conv2d: expected input with 1 channels",
        ),
        (lambda: T.ones(4, 4).conv2d(T.ones(1, 1, 3, 3)), ShapeError, "got (4, 4) and"),
        (
            lambda: T(_IMAGE).conv2d(T.ones(3, 2, 5, 5)),
            ShapeError,
            "conv2d: expected a window that fits into the image, got kernel (5, 5)",
        ),
        (
            lambda: T(_IMAGE).conv2d(T.ones(3, 2, 3, 3), T.ones(2)),
            ShapeError,
            "conv2d: expected bias (3,), got (2,)",
        ),
        (
            lambda: T(_IMAGE).conv2d(T.ones(3, 2, 3, 3), stride=0),
            ArgumentError,
            "conv2d stride: expected an integer of at least 1, or 2 of them, got 0",
        ),
        (
            lambda: T(_IMAGE).conv2d(T.ones(3, 2, 3, 3), padding=(1, 1, 1)),
            ArgumentError,
            "or 2 of them, got (1, 1, 1)",
        ),
        (
            lambda: T(_IMAGE).conv2d(T.ones(3, 1, 3, 3), groups=2),
            ShapeError,
            "output channels that groups=2 divides",
        ),
        (
            lambda: T(_IMAGE).conv2d(T.ones(3, 1, 3, 3), groups=0),
            ArgumentError,
            "conv2d groups: expected an integer of at least 1, got 0",
        ),
        (
            lambda: T(_IMAGE).conv2d([[1.0]]),
            DtypeError,
            "conv2d: expected a Tensor, an ndarray or a number, got a list",
        ),
        (
            lambda: T(_IMAGE).conv2d(T.ones(3, 2, 3, 3), [1.0, 2.0, 3.0]),
            DtypeError,
            "conv2d: expected a Tensor, an ndarray or a number, got a list",
        ),
        (
            lambda: T.ones(2, 4, 4).conv2d(T.ones(3, 2, 3, 3)),
            ShapeError,
            "A single image needs a batch axis",
        ),
        (lambda: T.ones(4, 4).conv2d(T.ones(4, 4)), ShapeError, "got (4, 4) and"),
        (
            lambda: T(_IMAGE).conv2d(T.ones(3, 2, 0, 3)),
            ShapeError,
            "conv2d: expected a kernel with entries, got weight (3, 2, 0, 3)",
        ),
        (
            lambda: T(_IMAGE).conv2d(T.ones(4, 2, 3, 3), groups=1.0),
            ArgumentError,
            "conv2d groups: expected an integer of at least 1, got 1.0",
        ),
        (
            lambda: T(_IMAGE).conv2d(T.ones(3, 2, 3, 3), stride=(1, 1, 1)),
            ArgumentError,
            "or 2 of them, got (1, 1, 1)",
        ),
        (
            lambda: T(_IMAGE).conv2d(T.ones(3, 2, 3, 3), dilation=0),
            ArgumentError,
            "conv2d dilation: expected an integer of at least 1, or 2 of them, got 0",
        ),
        (
            lambda: T(_IMAGE).conv2d(T.ones(3, 2, 3, 3), padding=-1),
            ArgumentError,
            "conv2d padding: expected an integer of at least 0, or 2 of them, got -1",
        ),
        (
            lambda: T(_IMAGE).conv2d(T.ones(3, 2, 3, 3), padding=(0, 0, 0.5, 0)),
            ArgumentError,
            "or 2 of them, got (0, 0, 0.5, 0)",
        ),
        (
            lambda: T(_IMAGE).conv2d(T.ones(3, 2, 3, 3), padding=(0, -2, 0, 0)),
            ShapeError,
            "for an image of (4, 4) with padding ((0, 0), (0, -2))",
        ),
        (
            lambda: T(_IMAGE).conv2d(T.ones(3, 2, 3, 3), padding="same", stride=2),
            ArgumentError,
            "got 'same' with stride (2, 2)",
        ),
        (
            lambda: T(_IMAGE).conv2d(T.ones(3, 2, 3, 3), padding="valid"),
            ArgumentError,
            "conv2d padding: expected numbers, or 'same' with stride 1, got 'valid'",
        ),
    ],
    "conv_transpose2d": [
        (
            lambda: T(_IMAGE).conv_transpose2d(T.ones(3, 2, 3, 3)),
            ShapeError,
            "conv_transpose2d: expected input with 3 channels",
        ),
        (
            lambda: T(_IMAGE).conv_transpose2d(T.ones(2, 2, 3, 3), groups=3),
            ShapeError,
            "with 2 channels (weight is (2, 2, 3, 3)), which groups=3 must divide",
        ),
        (
            lambda: T(_IMAGE).conv_transpose2d(T.ones(2, 3, 3, 3), T.ones(2)),
            ShapeError,
            "conv_transpose2d: expected bias (3,), got (2,)",
        ),
        (
            lambda: T(_IMAGE).conv_transpose2d(T.ones(2, 3, 3, 3), output_padding=1),
            ArgumentError,
            "output_padding: expected less than stride (1, 1) or dilation (1, 1), got 1",
        ),
        (
            lambda: T(_IMAGE).conv_transpose2d(T.ones(2, 3, 3, 3), stride=2, output_padding=-1),
            ArgumentError,
            "output_padding: expected an integer of at least 0, or 2 of them, got -1",
        ),
        (
            lambda: T(_IMAGE).conv_transpose2d(T.ones(2, 3, 3, 3), padding="same"),
            ArgumentError,
            "or 2 of them, got 'same'",
        ),
        (
            lambda: T(_IMAGE).conv_transpose2d(T.ones(2, 3, 3, 3), padding=3),
            ShapeError,
            "conv_transpose2d: expected an image with entries, got (0, 0)",
        ),
        (
            lambda: T(_IMAGE).conv_transpose2d(T.ones(2, 3, 3, 3), stride=0),
            ArgumentError,
            "conv_transpose2d stride: expected an integer of at least 1",
        ),
        (
            lambda: T.ones(2, 4, 4).conv_transpose2d(T.ones(2, 3, 3, 3)),
            ShapeError,
            "got (2, 4, 4) and (2, 3, 3, 3)",
        ),
        (
            lambda: T(_IMAGE).conv_transpose2d(3.0),
            DtypeError,
            "conv_transpose2d: expected a Tensor or an ndarray, got a float",
        ),
    ],
    "conv2d_input_grad": refused(
        "conv2d_input_grad",
        (1, 4, 3, 2),
        (4, 2, 3, 3),
        input_shape=(1, 2, 4, 4),
        windows=_WINDOWS,
        groups=1,
    ),
    "conv2d_weight_grad": refused(
        "conv2d_weight_grad", (1, 2, 4, 4), (1, 3, 3, 2), windows=_WINDOWS, groups=1
    ),
    "channel_sum": [
        (lambda: ops.table["channel_sum"](T.ones(3)), AxisError, "channel_sum: got (3,)")
    ],
}
