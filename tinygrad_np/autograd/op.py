"""The op record, and what happens when an op is called.

An `Op` is one operation in one place: forward, VJPs, what is saved, a formula. Called on a
`Variable` it runs its forward on the arrays and leaves a `Node` on the tape; called on plain arrays
it only runs. Its author writes calculus: dtypes, what to keep and errors are seen to here,
broadcasting and accumulation in `autograd`.
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from typing import Any, TypeVar, overload

import numpy as np

from tinygrad_np.autograd.tape import Node, Shape, Variable, mode, sequence
from tinygrad_np.errors import (
    AxisError,
    DtypeError,
    GraphError,
    MatrixError,
    ShapeError,
    TinygradNpError,
)
from tinygrad_np.kernels.elementwise import total
from tinygrad_np.runtime.memory import Array

# What an op is given first, and returns: an array for arrays, a Tensor for Tensors.
V = TypeVar("V", bound=Any)

_PLAIN = frozenset({float, int, bool, type(None)})

_ndarray = np.ndarray
_new = object.__new__
_FLOAT32 = np.dtype(np.float32)  # compared first, which is quicker than to look at a kind

# NumPy's errors, the narrower ones first, and ours.
_ERRORS: dict[type[Exception], type[TinygradNpError]] = {
    np.linalg.LinAlgError: MatrixError,
    IndexError: AxisError,
    ValueError: ShapeError,
    TypeError: DtypeError,
    OverflowError: DtypeError,
}

# The version of what is nobody's to change: constants.
_NEVER = [0]


class Rule:
    """The VJP for one input, or the joint one, and where each of its arguments comes from."""

    def __init__(self, vjp: Callable[..., Any], position: int, kept: Sequence[str]) -> None:
        self.vjp = vjp
        self.position = position
        self.names = _parameters(vjp)[1:]
        # Whether it may be told to write over grad_out: by a last argument beside the others.
        self.reuses = self.names[-1:] == ["reuse"]
        if self.reuses:
            self.names.pop()
        # The common cases need no look-up by name: all that is saved, or single values of it.
        self.takes_all = self.names == list(kept)
        is_plain = all(kept.count(name) == 1 for name in self.names)
        self.pick = _picker([kept.index(name) for name in self.names]) if is_plain else None

    def arguments(self, node: Node, saved: Sequence[Any]) -> Sequence[Any]:
        """Return what the VJP asks for beyond `grad_out`, by the names in its signature."""
        if self.pick is not None:
            return self.pick(saved)
        op = node.op
        edge: Any = node.edges[self.position]
        wrt = op.input_name(self.position)
        known = {
            **dict(op._input_defaults),
            **dict(zip(node.recipe.kept, saved, strict=True)),
            **node.attributes,
            "position": self.position,
            "wanted": node.recipe.wanted,
            f"{wrt}_shape": edge.shape,
            f"{wrt}_dtype": edge.dtype,
        }
        if op.variadic:
            known[op.variadic] = saved[: len(node.recipe.saved_inputs)]
        return [known[name] for name in self.names]


class Recipe:
    """How an op is recorded when a given set of its inputs wants gradients.

    Only what the wanted VJPs name in their signatures is kept, so that a frozen weight, say, costs
    no memory for its gradient.
    """

    def __init__(self, op: "Op", wanted: Sequence[bool]) -> None:
        self.op = op
        count = len(wanted)
        vjps = {p: op.vjp_for(p) for p, is_wanted in enumerate(wanted) if is_wanted}
        named = {name for vjp in vjps.values() if vjp for name in _parameters(vjp)}
        # For one input alone its own VJP is as quick, and nothing more is to be kept for it.
        joint = op.joint if len(vjps) > 1 else None
        if joint is not None and not set(_parameters(joint)) & set(op.inputs) <= named:
            joint = None
        inputs = [op.input_name(p) for p in range(count)]
        if op.definition is not None:
            named.update(inputs)
        # What there is to keep, in the order in which a call has it.
        values = [*inputs, *op.keeps, *op.caches, "out"]
        positions = [p for p, name in enumerate(values) if name in named]
        self.kept = [values[p] for p in positions]
        self.saved_inputs = [p for p in positions if p < count]
        self.saved_results = [p for p in positions if p >= count]
        self.saves_out = "out" in named
        # No rules: the definition is differentiated, for all wanted inputs if for one of them.
        rules = vjps.items() if None not in vjps.values() else ()
        self.rules = [Rule(vjp, p, self.kept) for p, vjp in rules if vjp]
        self.wanted = tuple(wanted)
        self.joint = None if joint is None else Rule(joint, next(iter(vjps)), self.kept)


class Op:
    """One operation in one place: forward, a VJP for each input, what is kept, a formula.

    Made by `@op`. Positional parameters of the forward are its inputs, keyword-only ones its
    attributes; `*xs` takes any number of inputs.
    """

    def __init__(
        self,
        forward: Callable[..., Any],
        formula: str,
        vjps: Mapping[str, Callable[..., Any] | None],
        keeps: tuple[str, ...],
        caches: tuple[str, ...],
        definition: Callable[..., Any] | None,
        joint: Callable[..., Any] | None,
        fresh: bool,
        view: bool,
        floating: bool,
        domain: tuple[float, float],
        kinks: tuple[float, ...],
        subgradient: str,
        flops: int | Callable[..., int] | None,
    ) -> None:
        self.name = forward.__name__.strip("_")
        self.forward = forward
        self.formula = formula
        self.vjps = vjps
        self.keeps = keeps
        self.caches = caches
        self.definition = definition
        self.joint = joint
        self.fresh = fresh
        self._keeps_more = bool(keeps or caches)
        self.view = view
        self.floating = floating
        self.domain = domain
        self.kinks = kinks
        self.subgradient = subgradient
        self.flops = flops
        self.__doc__ = forward.__doc__
        parameters = inspect.signature(forward).parameters.values()
        kinds = inspect.Parameter
        self.attributes = {p.name: p.default for p in parameters if p.kind is kinds.KEYWORD_ONLY}
        self._input_defaults = [
            (p.name, p.default)
            for p in parameters
            if p.kind is not kinds.KEYWORD_ONLY and p.default is not kinds.empty
        ]
        self.variadic = next((p.name for p in parameters if p.kind is kinds.VAR_POSITIONAL), None)
        self.inputs = [p.name for p in parameters if p.name not in self.attributes]
        self._recipes: dict[int, Recipe] = {}
        self._check()
        self._flops_names = self._checked_flops()

    def _check(self) -> None:
        for name, default in self._input_defaults:
            if default is not None:
                raise GraphError(
                    f"op {self.name!r}: {name}={default!r} is positional, so it is an input; an "
                    f"option stands behind a star, as in {self.name}(x, *, {name}={default!r})"
                )
        unknown = set(self.vjps) - set(self.inputs)
        if unknown:
            raise GraphError(f"op {self.name!r}: VJPs for {unknown}, inputs are {self.inputs}")
        for wrt, vjp in self.vjps.items():
            if vjp is None:
                if self.definition is None:
                    raise GraphError(
                        f"op {self.name!r}: the VJP for {wrt!r} is None, which asks for a "
                        "definition= to differentiate instead"
                    )
                continue
            own = {f"{wrt}_shape", f"{wrt}_dtype", "position", "reuse"}
            named = self._checked_names(vjp, f"the VJP for {wrt!r}", own)
            if self.definition is None and (hidden := named & set(self.caches)):
                raise GraphError(
                    f"op {self.name!r}: the VJP for {wrt!r} reads the cache {hidden}, which has no "
                    "graph: give a definition= to differentiate a second time"
                )
        if self.joint is not None:
            self._checked_names(self.joint, "the joint VJP", {"wanted"})

    def _checked_names(self, vjp: Callable[..., Any], what: str, own: set[str]) -> set[str]:
        """Return what a VJP names, if there is all of it; `own` is what no other VJP has."""
        first, *others = [*_parameters(vjp), ""]
        if first != "grad_out":
            raise GraphError(f"op {self.name!r}: {what} must take grad_out first")
        named = set(others[:-1])
        if "reuse" in others[:-2]:
            raise GraphError(f"op {self.name!r}: {what} has reuse, which must come last")
        known = {*self.inputs, *self.attributes, *self.keeps, *self.caches, "out", *own}
        if strange := [name for name in others[:-1] if name not in known]:
            raise GraphError(
                f"op {self.name!r}: {what} names {strange}; it can have {sorted(known)}"
            )
        return named

    def _checked_flops(self) -> list[str]:
        """Return what the function that counts operations names, if it is one."""
        if not callable(self.flops):
            if self.flops is None or (isinstance(self.flops, int) and self.flops >= 0):
                return []
            raise GraphError(
                f"op {self.name!r}: flops={self.flops!r}, expected the number of operations an "
                "entry of the output, or a function that counts them, as flops=lambda x: x.size"
            )
        names = _parameters(self.flops)
        known = {*self.inputs, *self.attributes, "out"}
        if strange := [name for name in names if name not in known]:
            raise GraphError(
                f"op {self.name!r}: flops names {strange}; it can have {sorted(known)}"
            )
        return names

    def __repr__(self) -> str:
        return f"<op {self.name}: {self.formula}>"

    def input_name(self, position: int) -> str:
        """Return the name of the input at `position`; all of `*xs` are called xs."""
        return self.variadic or self.inputs[position]

    def is_differentiable(self, position: int) -> bool:
        """Whether there is a VJP for the input at `position`."""
        return self.input_name(position) in self.vjps

    def vjp_for(self, position: int) -> Callable[..., Any] | None:
        """Return the VJP for the input at `position`, or say that there is none."""
        name = self.input_name(position)
        if name not in self.vjps:
            raise GraphError(
                f"{self.name}: there is no gradient for input {name!r}, but the tensor given "
                "requires one; pass tensor.detach() if it is meant as a constant"
            )
        return self.vjps[name]

    def count_flops(self, arrays: Sequence[Any], attributes: Mapping[str, Any], out: Any) -> int:
        """Return how many floating-point operations a run took, as the record counts them."""
        if callable(self.flops):
            given = [None if value is None else np.asarray(value) for value in arrays]
            known = {**dict(self._input_defaults), **attributes, "out": out}
            known |= dict(zip(self.inputs, [given] if self.variadic else given, strict=False))
            return int(self.flops(*[known[name] for name in self._flops_names]))
        each = int(not self.view) if self.flops is None else self.flops
        return each * int(out.size)

    @overload
    def __call__(self, first: V, /, *others: Any, **attributes: Any) -> V: ...
    @overload
    def __call__(self, *inputs: Any, **attributes: Any) -> Any: ...
    def __call__(self, *inputs: Any, **attributes: Any) -> Any:
        """Run on `inputs`; record a node if one of them is a Variable that requires a gradient."""
        if (attributes or self.attributes) and attributes.keys() != self.attributes.keys():
            attributes = self._with_defaults(attributes)
        has_scalars = False
        for value in inputs:
            if type(value) is not _ndarray:
                if isinstance(value, Variable):
                    return self.record(inputs, attributes, value)
                has_scalars = has_scalars or isinstance(value, np.generic)
        if has_scalars:
            # NumPy's own results are scalars where arrays of no dimension are meant.
            inputs = tuple(map(_array_of_scalar, inputs))
        observer = mode.now.observer
        try:
            if observer is not None:
                out = observer.run(self, inputs, attributes)
            else:
                out = self.forward(*inputs, **attributes) if attributes else self.forward(*inputs)
        except Exception as error:
            self._explain(error, inputs, attributes)
            raise
        if self._keeps_more:
            out = self._results(out)[0]
        return out if type(out) is _ndarray else self._array(out)

    def record(self, inputs: Sequence[Any], attributes: dict[str, Any], first: Variable) -> Any:
        """Do what a call on `inputs` does, with all `attributes`; `first` is the first Variable."""
        dtype = first.data.dtype
        is_uneven = dtype is not _FLOAT32 and dtype.kind != "f"
        is_foreign = False
        wanted = 1
        arrays: list[Any] = []
        edges: list[Node | Variable | None] = []
        for value in inputs:
            wanted += wanted
            if isinstance(value, Variable):
                array = value.data
                edge: Any = value.node
                if edge is not None:
                    wanted += 1
                elif value._requires_grad:
                    edge = value
                    wanted += 1
                if array.dtype is not dtype:
                    is_uneven = True
                arrays.append(array)
                edges.append(edge)
            else:
                if type(value) not in _PLAIN:
                    is_foreign = True
                arrays.append(value)
                edges.append(None)
        if is_foreign:
            # No comprehension: where one names self, every call pays for a closure.
            arrays = list(map(self._constant, inputs))
        if (is_uneven or is_foreign) and (converted := self._converted(inputs, arrays)):
            return self(*converted, **attributes)
        return self._run(inputs, attributes, first, arrays, tuple(edges), wanted)

    def _run(
        self,
        inputs: Sequence[Any],
        attributes: dict[str, Any],
        first: Variable,
        arrays: list[Any],
        edges: tuple[Node | Variable | None, ...],
        wanted: int,
    ) -> Any:
        """Run on the arrays of `inputs`; leave a node if a gradient is `wanted` for one of them.

        `wanted` is 1 and then, in binary, a digit for each input.
        """
        # One function, since every op on small arrays pays for each call within.
        now = mode.now
        try:
            if now.observer is not None:
                out = now.observer.run(self, arrays, attributes)
            else:
                out = self.forward(*arrays, **attributes) if attributes else self.forward(*arrays)
        except Exception as error:
            self._explain(error, arrays, attributes)
            raise
        if self._keeps_more:
            out, *extras = self._results(out)
            arrays += extras
        if type(out) is not _ndarray:
            out = self._array(out)
        version = first.version if self.view and np.may_share_memory(out, first.data) else [0]
        result = _new(first.result_class)
        result.data = out
        result.version = version
        result.grad = None
        result._requires_grad = False
        out_dtype = out.dtype
        is_float = out_dtype is _FLOAT32 or out_dtype.kind == "f"
        if not is_float or not now.recording or not wanted & (wanted - 1):
            result.node = None
            return result
        recipe = self._recipes.get(wanted)
        if recipe is None:
            self._refuse_aliases(out, arrays, len(inputs))
            recipe = self._recipes[wanted] = Recipe(self, [edge is not None for edge in edges])
        result.node = node = Node()
        node.recipe = recipe
        node.edges = edges
        if recipe.kept:
            arrays.append(out)
            saved, counters = [], []
            for position in recipe.saved_inputs:
                saved.append(arrays[position])
                value = inputs[position]
                counters.append(value.version if isinstance(value, Variable) else _NEVER)
            for position in recipe.saved_results:
                saved.append(arrays[position])
            if recipe.saves_out:
                counters.append(version)
            node.saved, node.counters = saved, counters
        else:
            node.saved = node.counters = ()
        node.attributes = attributes
        node.hooks = None
        node.order = next(sequence)
        node.scope = now.scope
        node.shape = out.shape
        node.dtype = out_dtype
        if now.observer is not None:
            now.observer.recorded(node)
        return result

    def _refuse_aliases(self, out: Array, arrays: Sequence[Any], count: int) -> None:
        """Refuse results that share memory with inputs unknown to the guard of changes in place.

        Looked at when a way of recording is new, so that calls do not pay for it.
        """
        first = 1 if self.view else 0
        known = [a for a in arrays[:count] if isinstance(a, np.ndarray)]
        made = [("an output", out, known[first:])]
        made += [("a kept array", a, known) for a in arrays[count:] if isinstance(a, np.ndarray)]
        for what, array, others in made:
            if any(np.may_share_memory(array, other) for other in others):
                raise GraphError(
                    f"{self.name}: the forward returned {what} that shares memory with an "
                    "input; copy it (or say view=True of an output that is a view of the first)"
                )

    def _results(self, results: Any) -> Any:
        """Return the output with what comes behind it, if that is what the record says."""
        names = ["out", *self.keeps, *self.caches]
        if isinstance(results, tuple) and len(results) == len(names):
            return results
        count = f" of {len(results)}" if isinstance(results, tuple) else ""
        raise GraphError(
            f"{self.name}: the forward returned a {type(results).__name__}{count}, expected the "
            f"tuple ({', '.join(names)})"
        )

    def _array(self, out: Any) -> Array:
        """Return the output as an array: NumPy gives scalars where no dimension is left."""
        if isinstance(out, np.ndarray | np.generic):
            return np.asarray(out)
        raise GraphError(
            f"{self.name}: the forward returned a {type(out).__name__}, expected an array"
        )

    def _explain(
        self, error: Exception, arrays: Sequence[Any], attributes: Mapping[str, Any]
    ) -> None:
        """Raise NumPy's error as one of ours that names the op and its arguments."""
        if not isinstance(error, TinygradNpError):
            for kind, ours in _ERRORS.items():
                if isinstance(error, kind):
                    raise ours(self._complaint(arrays, attributes, error)) from error

    def _complaint(
        self, arrays: Sequence[Any], attributes: Mapping[str, Any], error: Exception
    ) -> str:
        got = ", ".join(_describe(array) for array in arrays)
        options = "".join(f", {name}={value!r}" for name, value in attributes.items())
        text = f"{self.name}: got {got}{options}; {error}"
        if "broadcast" in text:
            text = f"{text.rstrip()}; from the last axis on, lengths must be equal or 1"
        return text

    def _with_defaults(self, attributes: dict[str, Any]) -> dict[str, Any]:
        complete = {**self.attributes, **attributes}
        missing = [name for name, value in complete.items() if value is inspect.Parameter.empty]
        if missing or len(complete) != len(self.attributes):
            unknown = [name for name in attributes if name not in self.attributes]
            raise DtypeError(
                f"{self.name}: "
                + (f"unknown {unknown}" if unknown else f"missing {missing}")
                + f"; its options are {list(self.attributes)} and its inputs, which are "
                f"positional, {self.inputs}"
            )
        return complete

    def _constant(self, value: Any) -> Any:
        """Return a number as Python's, and an array as one that nobody else can change."""
        if isinstance(value, Variable):
            return value.data
        if type(value) in _PLAIN:
            return value
        if isinstance(value, np.generic):
            return value.item()
        if not isinstance(value, np.ndarray):
            raise DtypeError(
                f"{self.name}: got a {type(value).__name__}, expected a Tensor, an ndarray or a "
                "number; wrap lists as Tensor(...)"
            )
        if value.dtype.kind not in "biuf":
            raise DtypeError(f"{self.name}: got an ndarray of dtype {value.dtype}, not of numbers")
        if mode.now.recording and (value.flags.writeable or value.base is not None):
            return np.array(value, subok=False)
        return np.asarray(value)

    def _converted(self, inputs: Sequence[Any], arrays: Sequence[Any]) -> list[Any] | None:
        """Return the differentiable inputs cast to their one dtype, or None if they have it.

        bool < ints < floats; a number lifts a tensor to its kind and never widens it within.
        """
        chosen = [p for p in range(len(inputs)) if self.is_differentiable(p)]
        dtypes = [arrays[p].dtype for p in chosen if isinstance(arrays[p], np.ndarray)]
        if not dtypes:
            return None
        dtype = _common([arrays[p] for p in chosen])
        if self.floating and dtype.kind != "f":
            dtype = np.dtype(np.float32)
        if all(other == dtype for other in dtypes):
            return None
        converted = list(inputs)
        for p in chosen:
            if isinstance(arrays[p], np.ndarray) and arrays[p].dtype != dtype:
                converted[p] = cast(inputs[p], dtype=dtype)
        return converted


def op(
    formula: str,
    *,
    vjps: Mapping[str, Callable[..., Any] | None] | None = None,
    keeps: tuple[str, ...] = (),
    caches: tuple[str, ...] = (),
    definition: Callable[..., Any] | None = None,
    joint: Callable[..., Any] | None = None,
    fresh: bool = False,
    view: bool = False,
    floating: bool = False,
    domain: tuple[float, float] = (-2.0, 2.0),
    kinks: tuple[float, ...] = (),
    subgradient: str = "",
    flops: int | Callable[..., int] | None = None,
) -> Callable[[Callable[..., Any]], Op]:
    """Make an op of a forward on arrays.

    Positional parameters of the forward are its inputs, keyword-only ones (behind a `*`) its
    attributes. `vjps` has for each differentiable input a function of `grad_out` and, by the names
    in its signature, of inputs, of `out`, of attributes, of what the forward `keeps`, and of the
    input's own `<name>_shape` and `<name>_dtype`; what is named is saved, nothing else. It is
    written in ops and `+ - * /`, so that it serves arrays and Variables alike. `keeps` names
    results of the forward, behind its output, that are constant in pieces (masks, winners);
    `caches` such that only a first-order backward may read, which asks for a `definition`: the same
    function in other ops (not in methods), differentiated when the gradient is to have a graph, and
    always for an input whose VJP is None. `joint` is a VJP for all inputs at once, where that is
    quicker: named like the others, and `wanted`, a bool for each input, it returns arrays for the
    wanted ones and None for the others; a first-order backward calls it where several inputs want
    gradients. `fresh` says that all gradients are memory that nobody else holds; a VJP whose last
    parameter is `reuse` is told whether it may write over such a `grad_out`. `view` says that the
    output shares the first input's memory, `floating` that integers become float32. `domain` and
    `kinks` tell tests where to sample, `subgradient` readers what the derivative is taken to be at
    a kink or a tie. `flops` is how many floating-point operations the forward takes, for
    `profile()`: a number for each entry of the output (1 unless given, and 0 for a view), or a
    function that counts them for all, by the shapes of the inputs, the attributes and `out`, as it
    names them. An arithmetic operation, a comparison, a choice, and a function such as e^x count
    one each.

    >>> from tinygrad_np import Tensor, op, ops
    >>> @op("x^3", vjps={"x": lambda grad_out, x: grad_out * 3 * x * x})
    ... def cube(x):
    ...     return x * x * x
    >>> x = Tensor([2.0], requires_grad=True)
    >>> cube(x).sum().backward()
    >>> x.grad.tolist()
    [12.0]
    """

    if not isinstance(formula, str):
        raise DtypeError('op: got no formula; it goes first, as in @op("x^3", vjps={"x": ...})')

    def make(forward: Callable[..., Any]) -> Op:
        return Op(
            forward,
            formula,
            vjps or {},
            keeps,
            caches,
            definition,
            joint,
            fresh,
            view,
            floating,
            domain,
            kinks,
            subgradient,
            flops,
        )

    return make


def method_of_two(op: Op) -> Callable[[Any, Any], Any]:
    """Return the method that calls `op` on a Variable and another: at once where both are Variables
    of one float dtype, as they are most of the time."""
    record, run, attributes = op.record, op._run, op.attributes  # bound once, which is quicker

    def method(self: Variable, x: Any) -> Any:
        if not isinstance(x, Variable):
            return record((self, x), attributes, self)
        own, other = self.data, x.data
        dtype = own.dtype
        if other.dtype is not dtype or (dtype is not _FLOAT32 and dtype.kind != "f"):
            return record((self, x), attributes, self)
        wanted = 0b100
        own_edge: Any = self.node
        if own_edge is not None:
            wanted += 0b10
        elif self._requires_grad:
            own_edge = self
            wanted += 0b10
        edge: Any = x.node
        if edge is not None:
            wanted += 1
        elif x._requires_grad:
            edge = x
            wanted += 1
        return run((self, x), attributes, self, [own, other], (own_edge, edge), wanted)

    return method


def known_dtype(name: str, dtype: Any) -> np.dtype[Any]:
    """Return the dtype that a user gave, or say which op cannot use it."""
    try:
        known = np.dtype(dtype)
    except TypeError as error:
        raise DtypeError(f"{name}: got dtype {dtype!r}, expected a dtype; {error}") from error
    if known.kind not in "biuf":
        raise DtypeError(f"{name}: got dtype {known}, expected floats, integers or bools")
    return known


def constant(x: Any) -> Any:
    """Return x as an array without a graph, for a VJP in which it counts by its sign or order."""
    return x.data if isinstance(x, Variable) else x


def _common(values: Sequence[Any]) -> np.dtype[Any]:
    """Return the dtype that arrays, beside numbers, are given: that of the highest kind.

    Arrays of no dimension lift the others to their kind, but do not widen them within it.
    """
    ranks = {"b": 0, "i": 1, "u": 1, "f": 2}
    arrays = [value for value in values if isinstance(value, np.ndarray)]
    highest = max(ranks[array.dtype.kind] for array in arrays)
    of_kind = [array for array in arrays if ranks[array.dtype.kind] == highest]
    common = np.result_type(*[a.dtype for a in [a for a in of_kind if a.ndim] or of_kind])
    if highest < 2 and any(type(value) is float for value in values):
        return np.dtype(np.float32)
    if highest < 1 and any(type(value) is int for value in values):
        return np.dtype(np.int64)
    return common


def _array_of_scalar(value: Any) -> Any:
    return np.asarray(value) if isinstance(value, np.generic) else value


def _parameters(function: Callable[..., Any]) -> list[str]:
    return list(inspect.signature(function).parameters)


def _picker(positions: Sequence[int]) -> Callable[[Sequence[Any]], Sequence[Any]]:
    """Return a function that gives the entries at `positions`, at the speed of C."""
    start = positions[0] if positions else 0
    end = start + len(positions)
    if list(positions) == list(range(start, end)):
        return itemgetter(slice(start, end))
    return itemgetter(*positions)


def _describe(value: Any) -> str:
    return f"{value.shape} {value.dtype}" if isinstance(value, np.ndarray) else repr(value)


# The three ops that the engine itself calls. Broadcasting and summing are each other's VJPs.


@op("x repeated along new and size-1 axes", vjps={"x": lambda grad_out: grad_out}, view=True)
def expand(x: Array, *, shape: Shape) -> Array:
    """Broadcast to `shape`, as a read-only view; the engine sums its gradient back."""
    return np.broadcast_to(x, shape)


@op(
    "x summed over the axes that broadcasting added",
    vjps={"x": lambda grad_out, x_shape: expand(grad_out, shape=x_shape)},
    flops=lambda x: x.size,
)
def sum_to(x: Array, *, shape: Shape) -> Array:
    """Undo a broadcast: sum to `shape`."""
    extra = x.ndim - len(shape)
    axes = tuple(
        axis for axis in range(x.ndim) if axis < extra or shape[axis - extra] != x.shape[axis]
    )
    return total(x, axes, True).reshape(shape)


@op(
    "x in another dtype",
    vjps={"x": lambda grad_out, x_dtype: cast(grad_out, dtype=x_dtype)},
    flops=0,
)
def cast(x: Array, *, dtype: Any) -> Array:
    """Convert to `dtype`; a copy, also where nothing changes."""
    return x.astype(dtype)
