"""Samples and invalid inputs of elementwise ops, except the plain ones."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tests.ops.samples.tools import Bad, Bads, Sample, Table, bad, normal
from tinygrad_np import Tensor, ops
from tinygrad_np import Tensor as T
from tinygrad_np.errors import ArgumentError, DtypeError, ShapeError


def _masks(generator: np.random.Generator) -> list[Sample]:
    shapes = [((), ()), ((2, 3), (2, 3)), ((2, 3), (3,)), ((0, 3), (0, 3)), ((200, 60), (200, 60))]
    return [Sample((normal(generator, *x), generator.random(mask) < 0.5)) for x, mask in shapes] + [
        Sample((normal(generator, 4, 3).T, generator.random((3, 4)) < 0.5))
    ]


def _where(generator: np.random.Generator) -> list[Sample]:
    shapes = [((), (), ()), ((2, 3), (2, 3), (2, 3)), ((3,), (2, 1), ()), ((2, 3), (0, 2, 3), (3,))]
    return [
        Sample((generator.random(c) < 0.5, normal(generator, *a), normal(generator, *b)))
        for c, a, b in shapes
    ]


def _whole(generator: np.random.Generator) -> list[Sample]:
    """Pairs of integer arrays that broadcast, and one pair of bool arrays."""
    shapes = [((), ()), ((3,), (2, 3)), ((2, 1), (1, 3)), ((0, 3), (3,))]
    return [
        Sample((generator.integers(0, 7, a), generator.integers(0, 7, b))) for a, b in shapes
    ] + [Sample((generator.random((2, 3)) < 0.5, generator.random(3) < 0.5))]


def _closeness(generator: np.random.Generator) -> list[Sample]:
    options = {"rtol": 1e-5, "atol": 0.5, "equal_nan": False}
    return [
        Sample((normal(generator, *a), normal(generator, *b)), options)
        for a, b in [((), ()), ((3,), (2, 3)), ((0, 3), (3,))]
    ]


def _quotients(generator: np.random.Generator) -> list[Sample]:
    """Dividends whose quotients are far from integers, where these ops jump."""
    found = []
    for shape in [(), (3,), (2, 3), (0, 3), (200, 60)]:
        b = generator.uniform(0.5, 2, shape) * generator.choice([-1, 1], shape)
        whole = generator.integers(-3, 3, shape)
        found.append(Sample((b * (whole + generator.uniform(0.1, 0.9, shape)), b)))
    return found


def _activations(generator: np.random.Generator, **options: Sequence[Any]) -> list[Sample]:
    """Return samples of several shapes and memory orders, for each value of one option."""
    ((name, values),) = options.items()
    shapes: list[tuple[int, ...]] = [(), (3,), (2, 3), (0, 3), (2, 1, 3), (200, 400)]
    arrays = [normal(generator, *shape) for shape in shapes]
    arrays += [normal(generator, 4, 6)[::2, ::-2].T, np.moveaxis(normal(generator, 9, 9, 4), -1, 0)]
    return [Sample((x,), {name: value}) for x in arrays for value in values]


TABLE: Table = {
    "gelu": functools.partial(_activations, approximate=("none", "tanh")),
    "sigmoid_gate": functools.partial(_activations, beta=(1.0, 1.702)),
    "floor_div": _quotients,
    "trunc_div": _quotients,
    "mod": _quotients,
    "fmod": _quotients,
    "bitwise_and": _whole,
    "bitwise_or": _whole,
    "bitwise_xor": _whole,
    "lshift": lambda generator: _whole(generator)[:-1],
    "rshift": lambda generator: _whole(generator)[:-1],
    "bitwise_not": lambda generator: [Sample(sample.inputs[:1]) for sample in _whole(generator)],
    "hardtanh": lambda generator: [
        Sample((2 * normal(generator, *shape),), options)
        for shape in [(), (3,), (2, 3), (0, 3), (200, 60)]
        for options in ({}, {"min_val": -0.3, "max_val": 2.5})
    ],
    "isclose": _closeness,
    "isinf": lambda generator: [
        Sample((np.array([1.0, np.inf, -np.inf, np.nan]),), options)
        for options in ({}, {"detect_positive": False}, {"detect_negative": False})
    ],
    "keep_where": _masks,
    "where": _where,
    "dropout_with_mask": lambda generator: [
        Sample(sample.inputs, {"p": p}) for sample in _masks(generator) for p in (0.25, 1.0)
    ],
}


def _bits_bad(name: str, call: Callable[[Tensor], Any]) -> list[Bad]:
    return [(lambda: call(Tensor.ones(2)), DtypeError, f"{name}: ... Got (2,) float32")]


BAD: Bads = {
    "bitwise_and": _bits_bad("bitwise_and", lambda x: x & x),
    "bitwise_or": _bits_bad("bitwise_or", lambda x: x | x),
    "bitwise_xor": _bits_bad("bitwise_xor", lambda x: x ^ x),
    "lshift": _bits_bad("lshift", lambda x: x << 1),
    "rshift": _bits_bad("rshift", lambda x: x >> 1),
    "bitwise_not": _bits_bad("bitwise_not", lambda x: ~x),
    "floor_div": [
        (
            lambda: T.ones(2) // T.ones(3),
            ShapeError,
            "floor_div: expected shapes that broadcast ... got (2,) float32",
        )
    ],
    "trunc_div": [
        (
            lambda: T.ones(2).div(T.ones(3), "trunc"),
            ShapeError,
            "trunc_div: expected shapes that broadcast ... got (2,)",
        )
    ],
    "mod": [
        (
            lambda: T.ones(2) % T.ones(3),
            ShapeError,
            "mod: expected shapes that broadcast ... got (2,) float32",
        )
    ],
    "fmod": [
        (
            lambda: T.ones(2).fmod(T.ones(3)),
            ShapeError,
            "fmod: expected shapes that broadcast ... got (2,) float32",
        )
    ],
    "hardtanh": [
        (
            lambda: T.ones(2).hardtanh(-1, T.ones(3)),
            DtypeError,
            "hardtanh: expected `max_val` to be a number, got Tensor",
        )
    ],
    "isclose": [
        (
            lambda: T.ones(2).isclose(T.ones(3)),
            ShapeError,
            "isclose: expected shapes that broadcast ... got (2,) float32",
        )
    ],
    "isinf": [(lambda: T.ones(2).isinf(sign=1), DtypeError, "isinf: expected the inputs ['x']")],
    "clip": [
        (lambda: T.ones(2).clip(), ArgumentError, "clip: expected `min_` or `max_`, got neither")
    ],
    "div": [
        (lambda: T.ones(2).div(2, "up"), ArgumentError, "div: expected `rounding_mode` to be None"),
        (lambda: T([1, 2]) // 0, ArgumentError, "floor_div: expected a nonzero integer"),
        (lambda: T([1, 2]).div(0, "trunc"), ArgumentError, "trunc_div: expected a nonzero integer"),
        (lambda: T([1, 2]) % 0, ArgumentError, "mod: expected a nonzero integer"),
        (lambda: T([1, 2]).fmod(T([0, 1])), ArgumentError, "fmod: expected a nonzero integer"),
    ],
    "gelu": [
        (lambda: T.ones(2).gelu("erf"), ArgumentError, "gelu: expected `approximate` to be 'none'")
    ],
    "sigmoid_gate": [
        bad(
            ops.sigmoid_gate, DtypeError, "sigmoid_gate: expected the inputs ['x']", (2,), (2,), 1.0
        )
    ],
    "keep_where": [
        (
            lambda: ops.table["keep_where"](T.ones(2), T.ones(3) > 0),
            ShapeError,
            "keep_where: expected shapes that broadcast ... got (2,)",
        ),
    ],
    "where": [
        bad(
            T.where,
            ShapeError,
            "where: expected shapes that broadcast ... got (2,) bool, (3,) float32",
            T.ones(2) > 0,
            (3,),
            0.0,
        )
    ],
    "dropout_with_mask": [
        (lambda: ops.dropout_with_mask(T.ones(2), T.ones(3) > 0, 0.5), ShapeError, "dropout_with"),
    ],
    "dropout": [
        bad(
            T.dropout,
            ArgumentError,
            "dropout: expected `p` to be a number from 0 to 1, got 1.5",
            (2,),
            1.5,
        ),
        bad(
            T.dropout,
            ArgumentError,
            "dropout: expected `p` to be a number from 0 to 1, got nan",
            (2,),
            np.nan,
        ),
    ],
}
