"""The fast path of `binary_operator` matches `apply` for all elementwise ops with two inputs."""

import contextlib
import itertools

import numpy as np

import tests
from tests.ops.samples import is_plain
from tests.tools import each
from tinygrad_np import Tensor, no_grad, ops
from tinygrad_np.autograd.dispatch import apply
from tinygrad_np.errors import TinygradNpError
from tinygrad_np.frontend.operators import binary_operator
from tinygrad_np.observer import Observer

BITS = {"bitwise_and", "bitwise_or", "bitwise_xor", "lshift", "rshift"}
BINARY = [
    op for op in ops.table.values() if len(op.inputs) == 2 and (is_plain(op) or op.name in BITS)
]
each_op = each("op", BINARY, ids=lambda op: op.name)


def ways(op):
    """Return the method with the fast path, and the equivalent call of `apply`."""
    return binary_operator(op), lambda a, b: apply(op, (a, b), {})


def numbers(op, shape, dtype, seed):
    """Return random numbers in the domain of the op."""
    low, high = op.samples.domain
    values = np.random.default_rng(seed).uniform(max(low, 0.5), min(high, 1.5), shape)
    return values.astype(dtype)


def leaf_for(op, shape, dtype=np.float32, seed=0):
    """Return a Tensor; floats require a gradient."""
    array = numbers(op, shape, dtype, seed)
    return Tensor(array, requires_grad=array.dtype.kind == "f")


@np.errstate(all="ignore")
def outcome(call, op, a, b):
    """Return everything observable about a call and its gradients."""
    try:
        out = call(a, b)
    except TinygradNpError as error:
        return type(error), str(error)
    places = {id(a): "a", id(b): "b"}
    if isinstance(a, Tensor) and a.node is not None:
        places[id(a.node)] = "node of a"
    seen = [type(out), out.data.tobytes(), out.dtype, out.shape, out.requires_grad]
    seen.append(isinstance(a, Tensor) and out.version is a.version)
    if out.node is None:
        return seen
    node = out.node
    versions = [id(v) for t in (a, b, out) if isinstance(t, Tensor) for v in [t.version]]
    seen += [
        node.op.name,
        node.plan.wanted,
        # The edges of the inputs, or the nodes of casts for promoted inputs.
        [places.get(id(edge), repr(getattr(edge, "op", None))) for edge in node.edges],
        [(array.dtype, array.tobytes()) for array in map(np.asarray, node.saved)],
        [versions.index(id(v)) if id(v) in versions else v for v in node.versions],
        node.options,
        (node.shape, node.dtype, node.hooks, node.scope),
    ]
    leaves = [t for t in (a, b) if isinstance(t, Tensor) and t.requires_grad]
    upstream = np.linspace(1, 2, out.data.size, dtype=out.dtype).reshape(out.shape)
    grads = out.gradient(*leaves, gradient=upstream)
    return [*seen, *[(grad.dtype, grad.data.tobytes()) for grad in grads]]


def values_for(op, kind):
    """Return an input of the given kind."""
    shape = (3, 3)
    return {
        "float32": lambda: leaf_for(op, shape),
        "float32 again": lambda: leaf_for(op, shape, seed=1),
        "constant": lambda: leaf_for(op, shape, seed=2).detach(),
        "result": lambda: leaf_for(op, shape, seed=3) * 1.0,
        "float64": lambda: leaf_for(op, shape, np.float64),
        "float16": lambda: leaf_for(op, shape, np.float16),
        "int64": lambda: leaf_for(op, shape, np.int64),
        "bool": lambda: leaf_for(op, shape, bool),
        "0-d": lambda: leaf_for(op, ()),
        "row": lambda: leaf_for(op, (3,)),
        "misfit": lambda: leaf_for(op, (4, 2)),
        "number": lambda: 0.75,
        "integer": lambda: 1,
        "NumPy scalar": lambda: np.float64(0.75),
        "array": lambda: numbers(op, shape, np.float32, 4),
        "float64 array": lambda: numbers(op, shape, np.float64, 4),
        "list": lambda: [1.0],
    }[kind]()


FIRSTS = ["float32", "constant", "result", "float64", "float16", "int64", "bool", "0-d", "row"]
SECONDS = [
    *("float32 again", "misfit", "number", "integer", "NumPy scalar", "array", "float64 array"),
    *("list", "itself", *FIRSTS[1:]),
]


SMOKE = {"add", "pow", "lt", "maximum", "bitwise_and"}


@each("op", [op for op in BINARY if op.name in SMOKE or not tests.is_smoke_run])
def test_fast_path_matches_apply(op):
    for first, second in itertools.product(FIRSTS, SECONDS):
        a = values_for(op, first)
        b = a if second == "itself" else values_for(op, second)
        for mode in (contextlib.nullcontext, no_grad):
            with mode():
                short, long = (outcome(call, op, a, b) for call in ways(op))
            assert short == long, (first, second, mode)


class Watch(Observer):
    """An observer that records the events it receives."""

    def __init__(self):
        self.seen = []

    def on_forward(self, op, arrays, options, call):
        """Record a forward."""
        self.seen.append((op.name, [np.asarray(array).tobytes() for array in arrays], options))
        return call()

    def on_record(self, node, call):
        """Record a node."""
        self.seen.append((node.op.name, node.shape, node.plan.wanted))
        return call()

    def on_gradient(self, node, position, grad_out, call):
        """Record a VJP."""
        self.seen.append((node.op.name, position))
        return call()


@each_op
def test_observers_see_the_same_events(op):
    for first, second in [("float32", "float32 again"), ("result", "float64"), ("int64", "number")]:
        a, b = values_for(op, first), values_for(op, second)
        watched = []
        for call in ways(op):
            with Watch() as watch:
                outcome(call, op, a, b)
            watched.append(watch.seen)
        assert watched[0] == watched[1] != [], (first, second)


def test_binary_ops_are_found():
    names = {op.name for op in BINARY}
    assert {"add", "sub", "mul", "div", "pow", "maximum", "eq", "lt", "bitwise_and"} <= names
