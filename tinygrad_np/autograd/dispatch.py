"""What happens when an op is called.

1. `Primitive.__call__` sorts out inputs and options. On arrays alone, the op just runs.
2. `apply` collects the arrays and edges of the inputs, promoted to one dtype by `promote`.
3. `run` runs the forward on the arrays and translates NumPy's errors.
4. `record` puts a node on the tape if an input wants a gradient.

The methods made by `tensor.unary_method` and `tensor.binary_method`, among them `+ - * /`, go
straight to step 3 when all inputs are Tensors of one float dtype.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from inspect import Parameter
from typing import Any, Concatenate, ParamSpec, TypeVar, overload

import numpy as np

from tinygrad_np.autograd.op import Op
from tinygrad_np.autograd.tape import (
    DType,
    Edge,
    Node,
    Options,
    SavePlan,
    ThreadState,
    Value,
    Variable,
    clock,
    initialize,
    observed,
    thread,
)
from tinygrad_np.checks import check_array, check_not_shared, check_results
from tinygrad_np.errors import DtypeError, raise_translated
from tinygrad_np.kernels.dtypes import common_dtype
from tinygrad_np.runtime.memory import Array

V = TypeVar("V", bound=Value)
P = ParamSpec("P")
Forward = Callable[..., Any]

_ndarray = np.ndarray
_new = object.__new__
_FLOAT32 = np.dtype(np.float32)
_NUMBERS = frozenset({float, int, bool, type(None)})
# The version counter shared by all constants; never bumped.
_CONSTANT_VERSION = [0]


@dataclass(frozen=True, eq=False, repr=False)
class Primitive(Op):
    """An op that can be called, on Tensors or arrays."""

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "__doc__", self.forward.__doc__)

    @overload
    def __call__(self, first: V, /, *others: Any, **options: Any) -> V: ...
    @overload
    def __call__(self, *inputs: Any, **options: Any) -> Any: ...
    def __call__(self, *inputs: Any, **options: Any) -> Any:
        """Run on `inputs`; record a node if one of them is a Variable that wants a gradient."""
        if options or self.options or len(inputs) != self.arity:
            inputs, options = self.bind(inputs, options)
        has_scalar = False
        for value in inputs:
            if type(value) is not _ndarray:
                if isinstance(value, Variable):
                    return apply(self, inputs, options)
                has_scalar = has_scalar or isinstance(value, np.generic)
        if has_scalar:
            # NumPy's own results are scalars where arrays without axes are meant.
            inputs = tuple([_as_0d(value) for value in inputs])
        if thread.state.observers or self.extra_results:
            return run(self, inputs, list(inputs), (), (), options).data
        try:
            out = self.forward(*inputs, **options) if options else self.forward(*inputs)
        except Exception as error:
            raise_translated(error, self.name, inputs, options)
            raise
        return out if type(out) is _ndarray else check_array(self.name, out)

    def bind(self, args: tuple[Any, ...], given: Options) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return the inputs and all options of a call by position and by name."""
        # A node keeps the options, so a list must not change under it.
        given = {name: tuple(v) if type(v) is list else v for name, v in given.items()}
        options = {**self.options, **given}
        is_usual = len(args) == len(self.inputs) and len(options) == len(self.options)
        if is_usual and self.required <= given.keys():
            return args, options
        count = len(args) if self.variadic else len(self.inputs)
        surplus = [tuple(v) if type(v) is list else v for v in args[count:]]
        by_position = dict(zip(self.options, surplus, strict=False))
        options = {**self.options, **by_position, **given}
        inputs = list(args[:count])
        for name in self.inputs[len(inputs) : count]:
            inputs.append(options.pop(name, self.input_defaults.get(name, Parameter.empty)))
        is_unknown = len(options) > len(self.options) or len(args) > count + len(self.options)
        is_missing = any(value is Parameter.empty for value in (*inputs, *options.values()))
        if is_unknown or is_missing or by_position.keys() & given:
            raise DtypeError(
                f"{self.name}: expected inputs {self.inputs} and options {list(self.options)}, got "
                f"{len(args)} by position and {list(given)} by name"
            )
        return tuple(inputs), options


def apply(op: Op, inputs: Sequence[Any], options: dict[str, Any]) -> Any:
    """Run an op on inputs of which at least one is a Variable."""
    arrays: list[Any] = []
    edges: list[Edge | None] = []
    wanted: list[bool] = []
    dtype: DType | None = None
    is_plain = True
    for value in inputs:
        edge: Edge | None = None
        if isinstance(value, Variable):
            array = value.data
            arrays.append(array)
            edge = value.node
            if edge is None and value._requires_grad:
                edge = value
            if dtype is None:
                dtype = array.dtype
                if dtype is not _FLOAT32 and dtype.kind != "f":
                    is_plain = False
            elif array.dtype is not dtype:
                is_plain = False
        else:
            if type(value) not in _NUMBERS:
                value, is_plain = _as_constant(op, value), False
            arrays.append(value)
        edges.append(edge)
        wanted.append(edge is not None)
    if not is_plain and (promoted := promote(op, inputs, arrays)):
        return apply(op, promoted, options)
    return run(op, inputs, arrays, edges, tuple(wanted), options)


def run(
    op: Op,
    inputs: Sequence[Any],
    arrays: list[Any],
    edges: Sequence[Edge | None],
    wanted: tuple[bool, ...],
    options: dict[str, Any],
) -> Variable:
    """Run the forward on the arrays of `inputs`; record a node if an input wants a gradient."""
    state = thread.state
    try:
        if state.observers:
            call = partial(op.forward, *arrays, **options)
            out = observed("on_forward", op, arrays, options, call=call)
        else:
            out = op.forward(*arrays, **options) if options else op.forward(*arrays)
    except Exception as error:
        raise_translated(error, op.name, arrays, options)
        raise
    results: Sequence[Any] = ()
    if op.extra_results:
        out, *results = check_results(op.name, out, ["out", *op.extra_results])
    if type(out) is not _ndarray:
        out = check_array(op.name, out)
    version = [0]
    first = inputs[0] if op.view else None
    if isinstance(first, Variable) and np.may_share_memory(out, first.data):
        version = first.version
    result = initialize(_new(Variable.result_class), out, None, version)
    if True in wanted and state.recording and (out.dtype is _FLOAT32 or out.dtype.kind == "f"):
        plan = op.plans.get(wanted)
        if plan is None:
            # Checked when a plan is new, so that calls do not pay for it.
            check_not_shared(op.name, [out], arrays[op.view :])
            check_not_shared(op.name, results, arrays)
            plan = op.plan(wanted)
        saved: list[Any] = []
        versions: list[list[int]] = []
        for position in plan.inputs:
            saved.append(arrays[position])
            value = inputs[position]
            versions.append(value.version if isinstance(value, Variable) else _CONSTANT_VERSION)
        if plan.results:
            results = (*results, out)
            for place in plan.results:
                saved.append(results[place])
            if plan.saves_out:
                versions.append(version)
        result.node = record(plan, edges, saved, versions, options, out, state)
    return result


def record(
    plan: SavePlan,
    edges: Sequence[Edge | None],
    saved: Sequence[Any],
    versions: Sequence[list[int]],
    options: Options,
    out: Array,
    state: ThreadState,
) -> Node:
    """Put a node on the tape."""
    node = Node()
    node.plan = plan
    node.edges = tuple(edges)
    node.saved = saved
    node.versions = versions
    node.options = options
    node.hooks = None
    node.order = next(clock)
    node.scope = state.scope
    node.shape = out.shape
    node.dtype = out.dtype
    if state.observers:
        observed("on_record", node, call=lambda: None)
    return node


def _as_0d(value: Any) -> Any:
    return np.asarray(value) if isinstance(value, np.generic) else value


def promote(op: Op, inputs: Sequence[Any], arrays: Sequence[Any]) -> list[Any] | None:
    """Return the inputs with the differentiable ones cast to one dtype; None if they have it.

    bool < ints < floats; a number lifts a tensor to its kind and never widens it within its kind.
    """
    chosen = [place for place in range(len(inputs)) if op.is_differentiable(place)]
    dtypes = {arrays[place].dtype for place in chosen if isinstance(arrays[place], np.ndarray)}
    if not dtypes:
        return None
    dtype = common_dtype([arrays[place] for place in chosen])
    if op.floating and dtype.kind != "f":
        dtype = _FLOAT32
    if dtypes == {dtype}:
        return None
    promoted = list(inputs)
    for place in chosen:
        if isinstance(arrays[place], np.ndarray) and arrays[place].dtype != dtype:
            value = inputs[place]
            is_variable = isinstance(value, Variable)
            promoted[place] = value.cast(dtype) if is_variable else arrays[place].astype(dtype)
    return promoted


def _as_constant(op: Op, value: Any) -> Any:
    """Return an input as a Python number, or as an array that nobody else can change."""
    if isinstance(value, np.generic):
        return value.item()
    if not isinstance(value, np.ndarray):
        raise DtypeError(
            f"{op.name}: expected a Tensor, an ndarray or a number, got a {type(value).__name__}. "
            "Try wrapping lists as Tensor(...)."
        )
    if value.dtype.kind not in "biuf":
        raise DtypeError(f"{op.name}: expected an ndarray of numbers, got dtype {value.dtype}.")
    if thread.state.recording and (value.flags.writeable or value.base is not None):
        return np.array(value, subok=False)
    return np.asarray(value)


# The decorator.


def _decorator_of(
    make: Callable[Concatenate[Forward, P], Primitive],
) -> Callable[P, Callable[[Forward], Primitive]]:
    """Return a decorator with the options of `make`: they are spelled once, at its fields."""

    def op(*args: P.args, **options: P.kwargs) -> Callable[[Forward], Primitive]:
        """Make an op of a function from arrays to an array.

        The options are the fields of `Op`, where each is documented: the formula, then `vjps` or a
        `definition`, and perhaps a `backward` kernel for speed.

        >>> from tinygrad_np import Tensor, op
        >>> @op("x^3", vjps={"x": lambda grad_out, x: grad_out * 3 * x * x})
        ... def cube(x):
        ...     return x * x * x
        >>> x = Tensor([2.0], requires_grad=True)
        >>> cube(x).sum().backward()
        >>> x.grad.tolist()
        [12.0]
        """
        if not isinstance(args[0] if args else options.get("formula"), str):
            raise DtypeError('op: expected a formula first, as in @op("x^3", vjps={"x": ...})')
        return lambda forward: make(forward, *args, **options)

    return op


op = _decorator_of(Primitive)
