"""Convolution: samples, and invalid inputs with the errors they must raise."""

from typing import Any

import numpy as np

from tests.ops.samples.tools import Bad, Bads, Sample, Table, bad, normal, recorded, refused
from tinygrad_np import Tensor as T
from tinygrad_np import ops
from tinygrad_np.errors import ArgumentError, AxisError, DtypeError, ShapeError
from tinygrad_np.kernels.windows import Windows

_IMAGE = T.ones(1, 2, 4, 4)
_GRADS = {"windows": Windows((3, 3), (1, 1), ((0, 0), (0, 0)), (1, 1), (2, 2)), "groups": 1}

# Shapes of images and weights, options.
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
    # With output_padding, the result is longer than its windows need.
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


def _conv(error: type[Exception], message: str, *inputs: Any, **options: Any) -> Bad:
    """Return a bad call on _IMAGE; the weight is valid unless another is given."""
    return bad(T.conv2d, error, message, _IMAGE, *(inputs or [(3, 2, 3, 3)]), **options)


def _transposed(error: type[Exception], message: str, *inputs: Any, **options: Any) -> Bad:
    return bad(T.conv_transpose2d, error, message, _IMAGE, *(inputs or [(2, 3, 3, 3)]), **options)


BAD: Bads = {
    "conv2d": [
        _conv(ShapeError, "conv2d: expected input with 1 channels", (3, 1, 3, 3)),
        bad(T.conv2d, ShapeError, "got (4, 4) and", (4, 4), (1, 1, 3, 3)),
        bad(T.conv2d, ShapeError, "got (4, 4) and", (4, 4), (4, 4)),
        bad(T.conv2d, ShapeError, "Add a batch axis to a single image", (2, 4, 4), (3, 2, 3, 3)),
        _conv(ShapeError, "conv2d: expected the window to fit ... kernel (5, 5)", (3, 2, 5, 5)),
        _conv(ShapeError, "conv2d: expected `bias` of shape (3,), got (2,)", (3, 2, 3, 3), (2,)),
        _conv(ShapeError, "conv2d: ... non-empty kernel, got weight (3, 2, 0, 3)", (3, 2, 0, 3)),
        _conv(DtypeError, "conv2d: expected a Tensor, an ndarray or a number, got list", [[1.0]]),
        _conv(DtypeError, "conv2d: ... got list", (3, 2, 3, 3), [1.0, 2.0, 3.0]),
        _conv(ShapeError, "output channels divisible by groups=2", (3, 1, 3, 3), groups=2),
        _conv(ArgumentError, "conv2d: expected `groups` to be an integer >= 1, got 0", groups=0),
        _conv(ArgumentError, "conv2d: expected `groups` ... >= 1, got 1.0", groups=1.0),
        _conv(ArgumentError, "conv2d: expected `stride` ... >= 1, or 2 of them, got 0", stride=0),
        _conv(ArgumentError, "or 2 of them, got (1, 1, 1)", stride=(1, 1, 1)),
        _conv(ArgumentError, "conv2d: ... `dilation` ... >= 1, or 2 of them, got 0", dilation=0),
        _conv(ArgumentError, "conv2d: ... `padding` ... >= 0, or 2 of them, got -1", padding=-1),
        _conv(ArgumentError, "or 2 of them, got (1, 1, 1)", padding=(1, 1, 1)),
        _conv(ArgumentError, "or 2 of them, got (0, 0, 0.5, 0)", padding=(0, 0, 0.5, 0)),
        _conv(ShapeError, "image of (4, 4) with padding ((0, 0), (0, -2))", padding=(0, -2, 0, 0)),
        _conv(ArgumentError, "got 'same' with stride (2, 2)", padding="same", stride=2),
        _conv(
            ArgumentError,
            "conv2d: expected `padding` to be integers, ... got 'valid'",
            padding="valid",
        ),
    ],
    "conv_transpose2d": [
        _transposed(ShapeError, "conv_transpose2d: expected input with 3 channels", (3, 2, 3, 3)),
        _transposed(
            ShapeError,
            "2 channels (weight ... number of input channels divisible by groups=3",
            groups=3,
        ),
        _transposed(ShapeError, "conv_transpose2d: ... (3,), got (2,)", (2, 3, 3, 3), (2,)),
        _transposed(ArgumentError, "stride (1, 1) or dilation (1, 1), got 1", output_padding=1),
        _transposed(ArgumentError, "`output_padding` ... >= 0, ... got -1", output_padding=-1),
        _transposed(ArgumentError, "or 2 of them, got 'same'", padding="same"),
        _transposed(
            ShapeError, "conv_transpose2d: ... non-empty ..., got lengths (0, 0)", padding=3
        ),
        _transposed(ArgumentError, "conv_transpose2d: expected `stride` ... >= 1", stride=0),
        bad(
            T.conv_transpose2d,
            ShapeError,
            "got (2, 4, 4) and (2, 3, 3, 3)",
            (2, 4, 4),
            (2, 3, 3, 3),
        ),
        _transposed(DtypeError, "conv_transpose2d: ... an ndarray, got float", 3.0),
    ],
    "conv2d_input_grad": refused(
        "conv2d_input_grad", (1, 4, 3, 2), (4, 2, 3, 3), input_shape=(1, 2, 4, 4), **_GRADS
    ),
    "conv2d_weight_grad": refused("conv2d_weight_grad", (1, 2, 4, 4), (1, 3, 3, 2), **_GRADS),
    "channel_sum": [bad(ops.table["channel_sum"], AxisError, "channel_sum: ... Got (3,)", (3,))],
}
