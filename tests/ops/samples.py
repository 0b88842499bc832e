"""What the ops are tried on: samples from their records, a table for ops whose inputs have
structure, and for each op the bad inputs with the error that they must raise.

An op that is neither plain (no attributes, any shapes) nor in the table fails a test, and so does
one without bad inputs.
"""

import functools
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tinygrad_np import Tensor, ops
from tinygrad_np.errors import ArgumentError, AxisError, DtypeError, ShapeError, TinygradNpError
from tinygrad_np.record import Op


@dataclass
class Sample:
    """Inputs of an op, read-only arrays or None, and its attributes."""

    inputs: tuple[Any, ...]
    attributes: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self):
        self.inputs = tuple(_read_only(value) for value in self.inputs)

    def __repr__(self):
        shapes = [getattr(value, "shape", value) for value in self.inputs]
        return f"{shapes} {self.attributes}"


# Shapes of plain ops' inputs: 0-d, size 1, zero size, and one large enough for recycled memory.
UNARY = [(), (1,), (3,), (2, 3), (0, 3), (2, 1, 3), (200, 60)]
BINARY = [
    ((), ()),
    ((3,), (3,)),
    ((2, 3), (3,)),
    ((2, 1), (1, 3)),
    ((), (2, 3)),
    ((2, 3), ()),
    ((0, 3), (1, 3)),
    ((4, 1, 3), (2, 1)),
    ((200, 60), (200, 60)),
    ((200, 60), (60,)),
]


def _read_only(value: Any) -> Any:
    if isinstance(value, np.ndarray | np.generic):
        value = np.asarray(value).view()
        value.flags.writeable = False
    return value


def rng_for(op: Op) -> np.random.Generator:
    """Return a generator that depends on the op's name only."""
    return np.random.default_rng(zlib.crc32(op.name.encode()))


def draw(op: Op, shape: tuple[int, ...], generator: np.random.Generator) -> np.ndarray:
    """Return float64 numbers of the op's domain, a good way from its kinks."""
    low, high = op.domain
    values = generator.uniform(low, high, shape)
    for kink in op.kinks:
        near = np.abs(values - kink) < 0.1
        values = np.where(near, kink + 0.1 * np.where(values < kink, -1, 1) + values, values)
    return np.asarray(values)


def is_plain(op: Op) -> bool:
    """Whether the record alone says how to sample: no attributes, one or two differentiable or
    comparable inputs of any shape."""
    return not op.attributes and op.variadic is None and op.name not in TABLE


@functools.cache
def samples_of(op: Op) -> list[Sample]:
    """Return the samples of an op in float64, the same ones each time."""
    generator = rng_for(op)
    if op.name in TABLE:
        return TABLE[op.name](generator)
    if len(op.inputs) == 1:
        found = [Sample((draw(op, shape, generator),)) for shape in UNARY]
        found.append(Sample((draw(op, (4, 6), generator)[::2, ::-2].T,)))
        # Channels-last memory under a channels-first shape, as convolution leaves it.
        found.append(Sample((np.moveaxis(draw(op, (8, 9, 9, 20), generator), -1, 1),)))
        return found
    found = [Sample(tuple(draw(op, shape, generator) for shape in pair)) for pair in BINARY]
    found.append(Sample((draw(op, (3, 4), generator).T, draw(op, (8, 3), generator)[::2])))
    return found


def _normal(generator: np.random.Generator, *shape: int) -> np.ndarray:
    return generator.standard_normal(shape)


def _masks(generator: np.random.Generator) -> list[Sample]:
    shapes = [((), ()), ((2, 3), (2, 3)), ((2, 3), (3,)), ((0, 3), (0, 3)), ((200, 60), (200, 60))]
    return [
        Sample((_normal(generator, *x), generator.random(mask) < 0.5)) for x, mask in shapes
    ] + [Sample((_normal(generator, 4, 3).T, generator.random((3, 4)) < 0.5))]


def _where(generator: np.random.Generator) -> list[Sample]:
    shapes = [((), (), ()), ((2, 3), (2, 3), (2, 3)), ((3,), (2, 1), ()), ((2, 3), (0, 2, 3), (3,))]
    return [
        Sample((generator.random(c) < 0.5, _normal(generator, *a), _normal(generator, *b)))
        for c, a, b in shapes
    ]


def _reductions(generator: np.random.Generator) -> list[Sample]:
    cases: list[tuple[tuple[int, ...], Any, bool]] = [
        ((), None, False),
        ((3,), 0, False),
        ((2, 3), None, False),
        ((2, 3), None, True),
        ((2, 3), -1, True),
        ((2, 3, 4), (0, 2), False),
        ((2, 3, 4), (-1, 0), True),
        ((2, 3, 4), 1, False),
        ((2, 3), (), False),
        ((200, 60), 0, False),
    ]
    return [
        Sample((_normal(generator, *shape),), {"axis": axis, "keepdim": keepdim})
        for shape, axis, keepdim in cases
    ]


def _reductions_of_nothing(generator: np.random.Generator) -> list[Sample]:
    empty = Sample((np.zeros((0, 3)),), {"axis": 0, "keepdim": False})
    return [*_reductions(generator), empty]


def _softmaxes(generator: np.random.Generator) -> list[Sample]:
    cases = [((3,), 0), ((2, 3), -1), ((2, 3), 0), ((2, 3, 4), 1), ((0, 3), 1), ((200, 60), 1)]
    return [Sample((_normal(generator, *shape),), {"axis": axis}) for shape, axis in cases]


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
        bias = _normal(generator, weight[0]) if position % 2 == 0 else None
        found.append(Sample((_normal(generator, *x), _normal(generator, *weight), bias), options))
    last = np.moveaxis(_normal(generator, 2, 5, 5, 9), -1, 1)
    found.append(Sample((last, _normal(generator, 3, 9, 3, 3), None), {"padding": 1}))
    return found


def _convolution_grads(kind: str) -> Callable[[np.random.Generator], list[Sample]]:
    def make(generator: np.random.Generator) -> list[Sample]:
        found = []
        for sample in _convolutions(generator):
            x, weight, _ = sample.inputs
            out = ops.conv2d(x, weight, **sample.attributes)
            grad = _normal(generator, *out.shape)
            if kind == "input":
                extra: dict[str, Any] = {"input_shape": x.shape}
                found.append(Sample((grad, weight), {**sample.attributes, **extra}))
            else:
                extra = {"kernel": weight.shape[2:]}
                found.append(Sample((x, grad), {**sample.attributes, **extra}))
        return found

    return make


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
    found = [Sample((_normal(generator, *shape),), options) for shape, options in POOLS]
    last = np.moveaxis(_normal(generator, 2, 6, 6, 9), -1, 1)
    return [*found, Sample((last,), POOLS[0][1])]


def _pool_grads(kind: str) -> Callable[[np.random.Generator], list[Sample]]:
    def make(generator: np.random.Generator) -> list[Sample]:
        found = []
        for sample in _pools(generator):
            (x,) = sample.inputs
            _, winners = ops.table["max_pool2d"].forward(x, **sample.attributes)
            grad = _normal(generator, *winners.shape)
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


def _keyed(keys: list[Any], shape: tuple[int, ...]) -> Callable[[Any], list[Sample]]:
    return lambda generator: [Sample((_normal(generator, *shape),), {"key": key}) for key in keys]


BASIC_KEYS: list[Any] = [
    0,
    -1,
    (1, 2),
    slice(None),
    slice(0, 0),
    (slice(None), slice(None, None, -2)),
    (Ellipsis, 1),
    (None, 0, Ellipsis, None),
    (slice(1, 2), 0, slice(0, 3, 2)),
]
ADVANCED_KEYS: list[Any] = [
    np.array([0, 2, 2]),
    np.array([], dtype=np.int64),
    (np.array([0, 1]), np.array([1, 1])),
    (slice(None), np.array([[0, 1], [2, 2]])),
    (np.array([0, 0]), slice(None), np.array([1, 1])),
    np.arange(3) != 1,
    (0, np.array([1, -1])),
]


def _index_adds(generator: np.random.Generator) -> list[Sample]:
    shape = (3, 4, 5)
    found = []
    for key in BASIC_KEYS + ADVANCED_KEYS:
        part = np.zeros(shape)[key]
        found.append(Sample((_normal(generator, *part.shape),), {"key": key, "shape": shape}))
    return found


def _cats(generator: np.random.Generator) -> list[Sample]:
    cases = [([(2, 3)], 0), ([(2, 3), (1, 3)], 0), ([(2, 1, 2), (2, 3, 2), (2, 0, 2)], -2)]
    return [
        Sample(tuple(_normal(generator, *shape) for shape in shapes), {"dim": dim})
        for shapes, dim in cases
    ]


def _with(*cases: tuple[tuple[int, ...], dict[str, Any]]) -> Callable[[Any], list[Sample]]:
    return lambda generator: [Sample((_normal(generator, *s),), options) for s, options in cases]


def _matmuls(generator: np.random.Generator) -> list[Sample]:
    shapes = [
        ((2, 3), (3, 4)),
        ((1, 3), (3, 1)),
        ((0, 3), (3, 2)),
        ((2, 0), (0, 3)),
        ((5, 2, 3), (5, 3, 4)),
        ((5, 2, 3), (3, 4)),
        ((2, 3), (5, 3, 4)),
        ((2, 1, 2, 3), (4, 3, 2)),
        ((150, 40), (40, 150)),
    ]
    found = [Sample((_normal(generator, *a), _normal(generator, *b))) for a, b in shapes]
    return [*found, Sample((_normal(generator, 3, 2).T, _normal(generator, 6, 4)[::2]))]


def _linears(generator: np.random.Generator) -> list[Sample]:
    cases = [((2, 3), (4, 3), (4,)), ((1, 3), (1, 3), None), ((0, 3), (2, 3), (2,))]
    return [
        Sample((_normal(generator, *x), _normal(generator, *w), _normal(generator, *b) if b else b))
        for x, w, b in cases
    ]


def _losses(generator: np.random.Generator) -> list[Sample]:
    found = []
    for reduction in ("mean", "sum", "none"):
        for smoothing in (0.0, 0.2):
            target = generator.integers(0, 4, 5)
            options = {"reduction": reduction, "label_smoothing": smoothing}
            found.append(Sample((_normal(generator, 5, 4), target), options))
    return found


TABLE: dict[str, Callable[[np.random.Generator], list[Sample]]] = {
    "select": _masks,
    "where": _where,
    "dropout": lambda generator: [
        Sample(sample.inputs, {"p": p}) for sample in _masks(generator) for p in (0.25, 1.0)
    ],
    "one_hot": lambda generator: [
        Sample((generator.integers(0, 4, shape),), {"num_classes": 4})
        for shape in [(), (3,), (2, 3), (0,)]
    ],
    "sum": _reductions_of_nothing,
    "mean": _reductions,
    "max": _reductions,
    "softmax": _softmaxes,
    "log_softmax": _softmaxes,
    "cross_entropy": _losses,
    "conv2d": _convolutions,
    "conv2d_input_grad": _convolution_grads("input"),
    "conv2d_weight_grad": _convolution_grads("weight"),
    "channel_sum": lambda generator: [
        Sample((_normal(generator, *shape),)) for shape in [(2, 3, 4, 5), (0, 3, 2, 2), (2, 3, 4)]
    ],
    "max_pool2d": _pools,
    "avg_pool2d": _pools,
    "max_pool2d_grad": _pool_grads("max"),
    "max_pool2d_gather": _pool_grads("gather"),
    "avg_pool2d_grad": _pool_grads("avg"),
    "basic_index": _keyed(BASIC_KEYS, (3, 4, 5)),
    "advanced_index": _keyed(ADVANCED_KEYS, (3, 4, 5)),
    "index_add": _index_adds,
    "cat": _cats,
    "reshape": _with(
        ((), {"shape": (1, 1)}),
        ((2, 3), {"shape": (3, 2)}),
        ((2, 3, 4), {"shape": (-1, 4)}),
        ((0, 3), {"shape": (3, 0)}),
    ),
    "permute": _with(
        ((), {"order": ()}), ((2, 3, 4), {"order": (2, 0, 1)}), ((2, 3, 4), {"order": (-1, 0, -2)})
    ),
    "transpose": _with(((2, 3), {"dim0": 0, "dim1": 1}), ((2, 3, 4), {"dim0": -1, "dim1": 0})),
    "pad": _with(
        ((3,), {"padding": ((1, 2),)}),
        ((2, 3), {"padding": ((0, 1), (2, 0)), "value": 7.0}),
        ((4, 5), {"padding": ((-1, 1), (0, -2))}),
        ((3,), {"padding": ((-2, -1),)}),
    ),
    "expand": _with(
        ((), {"shape": (2, 3)}),
        ((3,), {"shape": (2, 3)}),
        ((2, 1), {"shape": (4, 2, 3)}),
        ((2, 3), {"shape": (2, 3)}),
        ((1, 3), {"shape": (0, 3)}),
    ),
    "sum_to": _with(
        ((2, 3), {"shape": ()}),
        ((2, 3), {"shape": (3,)}),
        ((4, 2, 3), {"shape": (2, 1)}),
        ((2, 3), {"shape": (2, 3)}),
        ((0, 3), {"shape": (1, 3)}),
    ),
    "cast": _with(((), {"dtype": np.dtype(np.float64)}), ((2, 3), {"dtype": np.dtype(np.float64)})),
    "matmul": _matmuls,
    "linear": _linears,
}


# Bad inputs: a call, the error, a piece of its message. Plain ops have theirs from their arity.

Bad = tuple[Callable[[], Any], type[Exception], str]
T = Tensor


def bad_inputs_of(op: Op) -> list[Bad]:
    """Return calls that must fail, with the error and a part of its message."""
    if op.name in BAD:
        return BAD[op.name]
    if not is_plain(op):
        return []
    if len(op.inputs) == 1:
        return [(lambda: op([1.0], T(2.0)), DtypeError, f"{op.name}: got a list")]
    return [
        (lambda: op(T.ones(2, 3), T.ones(4)), ShapeError, f"{op.name}: got (2, 3) float32, (4,)"),
        (lambda: op(T.ones(2), "text"), DtypeError, f"{op.name}: got a str"),
    ]


_IMAGE = np.ones((1, 2, 4, 4), np.float32)


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


def _axis_bad(name: str) -> list[Bad]:
    method = getattr(T, name)
    return [(lambda: method(T.ones(2, 3), axis=2), AxisError, f"{name}: got (2, 3) float32")]


def _grad_bad(name: str, *shapes: tuple[int, ...], **options: Any) -> list[Bad]:
    op = ops.table[name]
    inputs = [np.ones(shape, np.float32) for shape in shapes]
    return [(lambda: op(*map(T, inputs), **options), TinygradNpError, name)]


BAD: dict[str, list[Bad]] = {
    "select": [
        (lambda: ops.table["select"](T.ones(2), T.ones(3) > 0), ShapeError, "select: got (2,)"),
    ],
    "where": [
        (
            lambda: (T.ones(2) > 0).where(T.ones(3), 0.0),
            ShapeError,
            "where: got (2,) bool, (3,) float32",
        ),
    ],
    "dropout": [
        (lambda: T.ones(2).dropout(1.5), ArgumentError, "dropout p: got 1.5"),
        (lambda: T.ones(2).dropout(float("nan")), ArgumentError, "dropout p: got nan"),
    ],
    "one_hot": [
        (lambda: T([0, 3]).one_hot(3), ArgumentError, "label 3 at position 1 is outside 0..2"),
        (lambda: T([[0], [-1]]).one_hot(3), ArgumentError, "label -1 at position (1, 0)"),
        (lambda: T([0.5]).one_hot(3), DtypeError, "one_hot: got dtype float32"),
    ],
    "sum": _axis_bad("sum"),
    "mean": _axis_bad("mean"),
    "max": [
        *_axis_bad("max"),
        (lambda: T.ones(0, 3).max(axis=0), ShapeError, "max: got (0, 3) float32"),
    ],
    "softmax": _axis_bad("softmax"),
    "log_softmax": _axis_bad("log_softmax"),
    "cross_entropy": [
        (
            lambda: T.ones(3, 10).cross_entropy([1, 12, 3]),
            ArgumentError,
            "label 12 at position 1 is outside 0..9",
        ),
        (
            lambda: T.ones(3, 10).cross_entropy([1, -1, 3]),
            ArgumentError,
            "label -1 at position 1",
        ),
        (
            lambda: T.ones(3, 10).cross_entropy(T.ones(3)),
            DtypeError,
            "dtype float32; expected class indices, integers of shape (3,)",
        ),
        (lambda: T.ones(3, 10).cross_entropy([1, 2]), ShapeError, "a target of shape (2,)"),
        (
            lambda: T.ones(3, 10).cross_entropy(T.ones(3, 9)),
            ShapeError,
            "logits (3, 10) and a target of shape (3, 9)",
        ),
        (lambda: T(1.0).cross_entropy(0), ShapeError, "logits without an axis"),
        (
            lambda: T.ones(3, 10).cross_entropy([1, 2, 3], reduction="avg"),
            ArgumentError,
            "got 'avg', expected one of mean, sum, none",
        ),
        (
            lambda: T.ones(3, 10).cross_entropy([1, 2, 3], label_smoothing=2.0),
            ArgumentError,
            "label_smoothing: got 2.0",
        ),
    ],
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
    "conv2d_input_grad": _grad_bad(
        "conv2d_input_grad", (1, 3, 2, 2), (4, 2, 3, 3), input_shape=(1, 2, 4, 4)
    ),
    "conv2d_weight_grad": _grad_bad(
        "conv2d_weight_grad", (1, 2, 4, 4), (1, 3, 2, 2), kernel=(3, 3), stride=0
    ),
    "channel_sum": [
        (lambda: ops.table["channel_sum"](T.ones(3)), AxisError, "channel_sum: got (3,)")
    ],
    "max_pool2d": _pool_bad("max_pool2d"),
    "avg_pool2d": _pool_bad("avg_pool2d"),
    "max_pool2d_grad": _grad_bad(
        "max_pool2d_grad",
        (1, 1, 2, 2),
        (1, 1, 2, 2),
        input_shape=(1, 1, 4, 4),
        kernel_size=0,
        stride=None,
        padding=0,
    ),
    "max_pool2d_gather": _grad_bad(
        "max_pool2d_gather", (1, 1, 4, 4), (1, 1, 2, 2), kernel_size=0, stride=None, padding=0
    ),
    "avg_pool2d_grad": _grad_bad(
        "avg_pool2d_grad",
        (1, 1, 2, 2),
        input_shape=(1, 1, 4, 4),
        kernel_size=0,
        stride=None,
        padding=0,
    ),
    "basic_index": [
        (lambda: T.ones(2, 3)[2], AxisError, "basic_index: got (2, 3) float32, key=2"),
        (lambda: T.ones(2, 3)[0, 0, 0], AxisError, "too many indices"),
    ],
    "advanced_index": [
        (lambda: T.ones(2, 3)[np.array([5])], AxisError, "advanced_index: got (2, 3) float32"),
        (lambda: T.ones(2, 3)[np.array([0.5])], DtypeError, "index array of dtype float64"),
        (lambda: T.ones(2, 3)[np.ones(3, bool)], AxisError, "advanced_index: got (2, 3)"),
    ],
    "index_add": [
        (
            lambda: ops.table["index_add"](T.ones(2), key=slice(0, 3), shape=(3,)),
            ShapeError,
            "index_add: got (2,) float32",
        )
    ],
    "cat": [
        (lambda: T.ones(2, 3).cat(T.ones(2, 4)), ShapeError, "cat: got (2, 3) float32, (2, 4)"),
        (lambda: T.ones(2, 3).cat(T.ones(2, 3), dim=2), AxisError, "cat: got (2, 3) float32"),
        (lambda: T.ones(2).cat([1.0]), DtypeError, "cat: got a list"),
    ],
    "reshape": [
        (lambda: T.ones(2, 3).reshape(4), ShapeError, "reshape: got (2, 3) float32, shape=(4,)"),
        (lambda: T.ones(3).reshape(None, None), ShapeError, "axis 1 of shape (3,) cannot be kept"),
        (lambda: T.ones(3).flatten(2), AxisError, "flatten: axis 2 is outside"),
        (lambda: T.ones(2, 3).flatten(1, 0), ShapeError, "flatten: start_dim 1 comes after"),
    ],
    "permute": [
        (lambda: T.ones(2, 3).permute(0), ShapeError, "permute: got (2, 3) float32, order=(0,)"),
        (lambda: T.ones(2, 3).permute(0, 2), AxisError, "permute: got (2, 3) float32"),
    ],
    "transpose": [(lambda: T.ones(3).transpose(), AxisError, "transpose: got (3,) float32")],
    "pad": [
        (lambda: T.ones(3).pad((1, 2, 3)), ShapeError, "pad: got 3 numbers for shape (3,)"),
        (lambda: T.ones(3).pad(((1, 2), None)), ShapeError, "pad: got 2 pairs"),
        (lambda: T.ones(3).pad((-2, -2)), ShapeError, "leaves less than nothing"),
    ],
    "expand": [
        (lambda: T.ones(2, 3).expand(2, 4), ShapeError, "expand: got (2, 3) float32"),
        (lambda: T.ones(3).expand(None, 3), ShapeError, "cannot be kept"),
    ],
    "sum_to": [
        (
            lambda: ops.table["sum_to"](T.ones(2, 3), shape=(2, 2)),
            ShapeError,
            "sum_to: got (2, 3) float32",
        )
    ],
    "cast": [(lambda: T.ones(3).cast("no dtype"), DtypeError, "no dtype")],
    "matmul": [
        (
            lambda: T.ones(2, 3) @ T.ones(4, 2),
            ShapeError,
            "matmul: got shapes (2, 3) and (4, 2); the last axis of the first, 3",
        ),
        (lambda: T(1.0) @ T.ones(2), ShapeError, "matmul: got shapes () and (2,)"),
        (lambda: T.ones(2).matmul([1.0, 2.0]), DtypeError, "matmul: got a list"),
        (lambda: T.ones(2, 2, 3) @ T.ones(3, 3, 2), ShapeError, "matmul: got (2, 2, 3)"),
    ],
    "linear": [
        (
            lambda: T.ones(2, 3).linear(T.ones(4, 5)),
            ShapeError,
            "linear: got input (2, 3) and weight (4, 5)",
        ),
        (
            lambda: T.ones(2, 3).linear(T.ones(4, 3), T.ones(3)),
            ShapeError,
            "linear: got bias (3,), expected (4,)",
        ),
    ],
}
