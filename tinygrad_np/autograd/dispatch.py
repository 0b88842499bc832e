"""Dispatch: the steps of calling an op.

1. `Primitive.__call__` separates inputs from options. If no input is a Variable, it runs the
   forward function and returns an array.
2. `apply` collects the arrays and edges of the inputs; `promote` converts them to one dtype.
3. `run` runs the forward function on the arrays, translates NumPy's errors, and records a node if
   an input needs a gradient.

Methods made by `unary_method` and `binary_operator` in `frontend.operators`, including `+ - * /`,
skip to step 3 if no promotion is needed.
"""

import operator
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Concatenate, ParamSpec, TypeVar, overload

import numpy as np

from tinygrad_np import engine_checks as checks
from tinygrad_np.autograd.op import Op, SavePlan
from tinygrad_np.autograd.tape import Edge, Edges, Variable, clock, initialize, record, was_rebased
from tinygrad_np.errors import raise_translated
from tinygrad_np.kernels.dtypes import common_dtype
from tinygrad_np.runtime.memory import Array
from tinygrad_np.runtime.state import run_observed, thread, was_observed
from tinygrad_np.synonyms import rename
from tinygrad_np.typing import DType, Function, Options, Value, Values, Wanted

V = TypeVar("V", bound=Value)
P = ParamSpec("P")

_ndarray = np.ndarray
_new = object.__new__
_FLOAT32 = np.dtype(np.float32)
_NUMBERS = frozenset({float, int, bool})
_PLAIN = _NUMBERS | {np.ndarray}
# Types of options that need no conversion or check.
_PLAIN_OPTIONS = _NUMBERS | {type(None), str, tuple, slice}
# Version counter shared by all constants; never bumped.
_CONSTANT_VERSION = [0]


# init=False inherits Op.__init__; generating another one would slow down the import.
@dataclass(frozen=True, init=False, eq=False, repr=False)
class Primitive(Op):
    """An op that can be called on Tensors and arrays."""

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "__doc__", self.forward.__doc__)
        object.__setattr__(self, "__module__", self.forward.__module__)
        checks.check_definition(self)

    def __reduce__(self) -> str:
        """Pickle and copy an op by name, like a function."""
        return self.forward.__qualname__

    @overload
    def __call__(self, first: V, /, *others: Any, **options: Any) -> V: ...
    @overload
    def __call__(self, *inputs: Any, **options: Any) -> Any: ...
    def __call__(self, *inputs: Any, **options: Any) -> Any:
        """Run the op on `inputs`, and record a node if one of them requires a gradient."""
        if options or self.options or len(inputs) != self.arity:
            inputs, options = self.bind(inputs, options)
        is_observed = was_observed[0] and thread.state.observers
        is_direct = not (is_observed or self.extra_results)
        for value in inputs:
            if type(value) is not _ndarray:
                if isinstance(value, Variable):
                    return apply(self, inputs, options)
                is_constant = type(value) in _NUMBERS or (value is None and self.optional)
                is_direct = bool(is_direct and is_constant)
        if is_direct:
            try:
                out = self.forward(*inputs, **options) if options else self.forward(*inputs)
            except Exception as error:
                if _NUMBERS.issuperset(map(type, inputs)):  # the forward function needs an array
                    return self(*map(np.asarray, inputs), **options)
                raise_translated(error, self.name, inputs, options)
                raise
            return out if type(out) is _ndarray else checks.check_array(self, out)
        arrays = [x if type(x) in _PLAIN else _as_array(self, x) for x in inputs]
        return run(self, arrays, arrays, (), (), options).data

    def bind(self, args: tuple[Any, ...], given: Options) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Split the arguments of a call into inputs and a complete dict of options."""
        options = {**self.options, **given}
        is_usual = len(args) == self.arity and len(options) == len(self.options)
        if not is_usual or not self.required <= given.keys():
            args, options = self._bind_by_name(args, given)
        if not _PLAIN_OPTIONS.issuperset(map(type, (given if is_usual else options).values())):
            checks.check_options(self, options)
            # A node keeps the options, so copy lists that the caller could change later.
            given = {n: v for n, v in options.items() if v is not self.options[n]}
            options |= {n: tuple(v) for n, v in given.items() if type(v) is list}
        return args, options

    def _bind_by_name(
        self, args: tuple[Any, ...], given: Options
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Bind a call that omits inputs, passes inputs by name, or passes options by position."""
        count = len(args) if self.variadic else self.arity
        given = rename({*self.inputs, *self.options}, given) if given else given
        named = {**dict(zip(self.options, args[count:], strict=False)), **given}
        options = {**self.options, **named}
        inputs = args[:count]
        for name in self.inputs[len(args) : count]:
            if name in options or name in self.optional:
                inputs = (*inputs, options.pop(name, None))
        is_ambiguous = len(named) != len(args[count:]) + len(given)
        is_complete = len(inputs) == count and self.required <= named.keys()
        if is_ambiguous or not is_complete or len(options) > len(self.options):
            checks.refuse_call(self, args, given)
        return inputs, options


def apply(op: Op, inputs: Values, options: Options) -> Any:
    """Run an op on inputs that include at least one Variable."""
    arrays: list[Any] = []
    edges: list[Edge | float | None] = []
    wanted: list[bool] = []
    dtype: DType | None = None
    is_same = True
    for value in inputs:
        if isinstance(value, Variable):
            array = value._array
            edge = value.node or (value if value._requires_grad else None)
            edges.append(edge)
            wanted.append(edge is not None)
        else:
            array = value if type(value) in _NUMBERS else _as_constant(op, value)
            edges.append(None if isinstance(array, np.ndarray) else array)
            wanted.append(False)
        arrays.append(array)
        if isinstance(array, np.ndarray):
            dtype = array.dtype if dtype is None else dtype
            is_same = is_same and array.dtype is dtype
    is_promoted = is_same and dtype is not None and dtype.kind == "f"
    if not is_promoted and (promoted := promote(op, inputs, arrays)):
        return apply(op, promoted, options)
    return run(op, inputs, arrays, tuple(edges), tuple(wanted), options)


def run(
    op: Op, inputs: Values, arrays: Values, edges: Edges, wanted: Wanted, options: Options
) -> Variable:
    """Run the forward function on `arrays`, and record a node if an input needs a gradient.

    Args:
        op: the op to run.
        inputs: the inputs of the call, Variables or constants.
        arrays: the array, number or None for each input.
        edges: the node or leaf for each input that needs a gradient, or the number or None.
        wanted: one bool per input: whether it needs a gradient.
        options: all options of the op, including defaults.
    """
    state = thread.state
    has_changes = was_rebased[0]
    if has_changes and state.recording:
        checks.check_current(op.name, inputs)
    try:
        if state.observers:
            call = partial(op.forward, *arrays, **options)
            out = run_observed("on_forward", op, arrays, options, call=call)
        else:
            out = op.forward(*arrays, **options) if options else op.forward(*arrays)
    except Exception as error:
        raise_translated(error, op.name, arrays, options)
        raise
    results: Values = ()
    if op.extra_results:
        out, *results = checks.check_results(op, out)
    if type(out) is not _ndarray:
        out = checks.check_array(op, out)
    version = [0]
    if op.view and isinstance(inputs[0], Variable) and np.may_share_memory(out, arrays[0]):
        version = inputs[0].version
    node = None
    dtype = out.dtype
    if True in wanted and state.recording and (dtype is _FLOAT32 or dtype.kind == "f"):
        plan = op.plans.get(wanted)
        if plan is None:
            # Checked only when a plan is created, to keep calls fast.
            checks.check_wanted(op, wanted)
            checks.check_not_shared(op, [out], arrays[1:] if op.view else arrays)
            checks.check_not_shared(op, results, arrays)
            plan = op.plans[wanted] = SavePlan(op, wanted)
        saved: Any = ()
        versions: Any = ()
        if plan.saves_any:
            saved, versions = [], []
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
        node = record(plan, edges, saved, versions, options, out.shape, dtype, state)
    result = initialize(_new(Variable.result_class), out, node, version)
    if has_changes and node is None:
        result.since = next(clock)
    return result


def promote(op: Op, inputs: Values, arrays: Values) -> Values | None:
    """Cast the differentiable inputs to their common dtype, or return None if none needs a cast."""
    names = op.differentiable_inputs
    chosen = [place for place in range(len(inputs)) if op.input_name(place) in names]
    dtype: Any = common_dtype([arrays[place] for place in chosen], op.floating)
    promoted = list(inputs)
    for place in chosen:
        value, array = inputs[place], arrays[place]
        if isinstance(array, np.ndarray) and array.dtype != dtype:
            convert = value.cast if isinstance(value, Variable) else array.astype
            promoted[place] = convert(dtype)
    return promoted if any(map(operator.is_not, promoted, inputs)) else None


def _as_array(op: Op, value: Any) -> Array | None:
    """Convert an input of a call without Variables to a plain ndarray."""
    if value is None and op.optional:
        return None
    # NumPy returns scalars instead of 0-d arrays, so inputs may be scalars.
    array = np.asarray(value) if isinstance(value, np.generic) else value
    checks.check_input(op, array)
    return np.asarray(array)  # a subclass may redefine the operators


def _as_constant(op: Op, value: Any) -> Any:
    """Convert an input to a number or an array; while recording, copy arrays that could change."""
    if isinstance(value, np.generic):
        return value.item()
    if value is None and op.optional:
        return None
    checks.check_input(op, value)
    if thread.state.recording and (value.flags.writeable or value.base is not None):
        return np.array(value, subok=False)
    return np.asarray(value)


# The `op` decorator.


def _decorator_of(
    make: Callable[Concatenate[Function, P], Primitive],
) -> Callable[P, Callable[[Function], Primitive]]:
    """Return a decorator with the parameters of `make` and their types, except the first."""

    def op(*args: P.args, **options: P.kwargs) -> Callable[[Function], Primitive]:
        """Turn a NumPy function into a differentiable op.

        The arguments are the fields of `tinygrad_np.autograd.op.Op`, which documents each of them:
        the formula, then `vjps` or a `definition`, and optionally a `backward` kernel for speed.
        Parameters before `*` in the decorated function are inputs; those after it are options.

        Raises:
            DtypeError: if the first argument is not a formula.
            GraphError: if the definition contradicts itself, or a gradient function has a parameter
                that the engine cannot supply.

        >>> from tinygrad_np import Tensor, op
        >>> @op("x^3", vjps={"x": lambda grad_out, x: grad_out * 3 * x * x})
        ... def cube(x):
        ...     return x * x * x
        >>> x = Tensor([2.0], requires_grad=True)
        >>> cube(x).sum().backward()
        >>> x.grad.tolist()
        [12.0]
        """
        checks.check_formula(args[0] if args else options.get("formula"))
        return lambda forward: make(forward, *args, **options)

    return op


op = _decorator_of(Primitive)
