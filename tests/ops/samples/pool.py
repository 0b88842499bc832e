"""Pooling: samples, and invalid inputs with the errors they must raise."""

import functools
from typing import Any

import numpy as np

from tests.ops.samples.tools import Bad, Bads, Sample, Table, bad, normal, recorded, refused
from tinygrad_np import Tensor as T
from tinygrad_np import ops
from tinygrad_np.errors import ArgumentError, AxisError, DtypeError, ShapeError
from tinygrad_np.kernels.windows import Windows

_IMAGE = T.ones(1, 2, 4, 4)


# Images and options for both kinds of pooling.
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


def _images(generator: np.random.Generator) -> list[tuple[np.ndarray, dict[str, Any]]]:
    found = [(normal(generator, *shape), options) for shape, options in POOLS]
    # Stored with the batch last, like the output of a convolution.
    last = np.moveaxis(normal(generator, 9, 6, 6, 2), -1, 0)
    found += [(last, {}), (last, {"kernel_size": 3, "padding": 1})]
    # Without a batch axis, and without a channel axis.
    return [*found, (found[2][0][0], found[2][1]), (found[7][0][0, 0], found[7][1])]


def _max_pools(generator: np.random.Generator) -> list[Sample]:
    return [Sample((x,), recorded(T.max_pool2d, x, **o)) for x, o in _images(generator)]


def _avg_pools(generator: np.random.Generator) -> list[Sample]:
    images = _images(generator)
    images.append((images[7][0], {**images[7][1], "count_include_pad": False}))
    return [Sample((x,), options) for x, options in images]


def _max_grads(generator: np.random.Generator) -> list[Sample]:
    found = []
    for sample in _max_pools(generator):
        (x,) = sample.inputs
        _, winners = ops.max_pool.forward(x, **sample.attributes)
        options = {**sample.attributes, "input_shape": x.shape}
        found.append(Sample((normal(generator, *winners.shape), winners), options))
    return found


def _max_gathers(generator: np.random.Generator) -> list[Sample]:
    found = []
    for sample in _max_pools(generator):
        _, winners = ops.max_pool.forward(*sample.inputs, **sample.attributes)
        found.append(Sample((*sample.inputs, winners), sample.attributes))
    return found


def _avg_grads(generator: np.random.Generator) -> list[Sample]:
    found = []
    for sample in _avg_pools(generator):
        (x,) = sample.inputs
        out, windows = ops.avg_pool2d.forward(x, **sample.attributes)
        options = {"windows": windows, "input_shape": x.shape}
        for name, default in (("ceil_mode", False), ("count_include_pad", True)):
            options[name] = sample.attributes.get(name, default)
        found.append(Sample((normal(generator, *out.shape),), options))
    return found


TABLE: Table = {
    "max_pool": _max_pools,
    "max_pool_indices": _max_pools,
    "avg_pool2d": _avg_pools,
    "max_pool_grad": _max_grads,
    "max_pool_gather": _max_gathers,
    "avg_pool_grad": _avg_grads,
}


def _pool_bad(name: str) -> list[Bad]:
    pool = functools.partial(bad, getattr(T, name))
    return [
        pool(ShapeError, f"{name}: expected 2 to 4 axes", (4,)),
        pool(ShapeError, f"{name}: expected the window to fit", _IMAGE, 5),
        pool(ShapeError, "got kernel (2, 2) with dilation (4, 4)", _IMAGE, 2, dilation=4),
        pool(ArgumentError, f"{name}: expected `kernel_size`", _IMAGE, 0),
        pool(ArgumentError, f"{name}: expected `stride`", _IMAGE, 2, 0),
        pool(ArgumentError, f"{name}: expected `dilation`", _IMAGE, 2, 2, 0),
        pool(ArgumentError, f"{name}: expected `padding` to be at most half", _IMAGE, 2, 2, 1, 2),
        pool(ArgumentError, "half of kernel_size (2, 2)", _IMAGE, 2, padding=(0, 2, 0, 0)),
        pool(ArgumentError, "or 2 of them, got 'same'", _IMAGE, 2, padding="same"),
        pool(ShapeError, "expected 1 to 3 axes", _IMAGE, kernel_size=(2,)),
        pool(ShapeError, "expected non-empty images", (1, 1, 0, 4), 2, padding=1),
        pool(DtypeError, f"{name}: expected a Tensor", [[1.0]]),
    ]


_INDICES = T.zeros(1, 2, 4, 4, dtype=np.int64)
_WINDOWS = {"windows": Windows((2, 2), (2, 2), ((0, 0), (0, 0)), (1, 1), (2, 2))}
_AVERAGE = {"ceil_mode": False, "count_include_pad": True, **_WINDOWS}
_unpool = functools.partial(bad, T.max_unpool2d)
_adaptive = functools.partial(bad, T.adaptive_avg_pool2d)

BAD: Bads = {
    "max_pool2d": _pool_bad("max_pool2d"),
    "max_pool": refused("max_pool", (1, 1, 1, 1, 1), **_WINDOWS),
    "max_pool_indices": refused("max_pool_indices", (1, 1, 1, 1, 1), **_WINDOWS),
    "avg_pool2d": _pool_bad("avg_pool2d"),
    "max_pool_grad": refused(
        "max_pool_grad", (1, 2, 2, 2), (1, 2, 3, 3), input_shape=(1, 2, 4, 4), **_WINDOWS
    ),
    "max_pool_gather": refused("max_pool_gather", (1, 2, 4, 4), (1, 2, 3, 3), **_WINDOWS),
    "avg_pool_grad": refused("avg_pool_grad", (1, 2, 3, 3), input_shape=(1, 2, 4, 4), **_AVERAGE),
    "max_unpool2d": [
        _unpool(ShapeError, "max_unpool2d: ... 4, 4), got (1, 2, 4)", _IMAGE, _INDICES[..., 0]),
        _unpool(DtypeError, "max_unpool2d: ... integer indices, got dtype float32", _IMAGE, _IMAGE),
        _unpool(AxisError, "max_unpool2d: ... from 0 to 63, got 64 to 64", _IMAGE, _INDICES + 64),
        _unpool(AxisError, "max_unpool2d: ... from 0 to 63, got -1 to -1", _IMAGE, _INDICES - 1),
        _unpool(DtypeError, "max_unpool2d: ... got list", _IMAGE, [0]),
        _unpool(ArgumentError, "or 2 of them, got (4,)", _IMAGE, _INDICES, output_size=(4,)),
        _unpool(ArgumentError, "or 2 of them, got '44'", _IMAGE, _INDICES, output_size="44"),
        _unpool(
            ShapeError,
            "non-empty output, got lengths (0, 0)",
            (1, 2, 1, 1),
            _INDICES[..., :1, :1],
            2,
            padding=1,
        ),
        _unpool(ShapeError, "max_unpool2d: expected 2 to 4 axes", (4,), _INDICES),
    ],
    "adaptive_avg_pool2d": [
        _adaptive(ArgumentError, "or None, got (2, 0)", _IMAGE, output_size=(2, 0)),
        _adaptive(
            ArgumentError,
            "adaptive_avg_pool2d: expected `output_size` to be integers",
            _IMAGE,
            2.0,
        ),
        _adaptive(ShapeError, "adaptive_avg_pool2d: expected non-empty images", (4,), 2),
        _adaptive(ShapeError, "(2, 2), got input (2, 3, 0, 4)", (2, 3, 0, 4), 2),
    ],
}
