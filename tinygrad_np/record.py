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

from tinygrad_np.errors import AxisError, DtypeError, GraphError, ShapeError, TinygradNpError
from tinygrad_np.kernels.elementwise import total
from tinygrad_np.memory import Array
from tinygrad_np.tape import Node, Shape, Variable, mode, sequence

V = TypeVar("V")

_PLAIN = frozenset({float, int, bool, type(None)})


class Rule:
    """The VJP for one input, and where each of its arguments comes from."""

    def __init__(self, vjp: Callable[..., Any], position: int, kept: Sequence[str]) -> None:
        self.vjp = vjp
        self.position = position
        self.names = _parameters(vjp)[1:]
        # The common case, single saved values and nothing else, needs no look-up by name.
        is_plain = all(kept.count(name) == 1 for name in self.names)
        self.pick = _picker([kept.index(name) for name in self.names]) if is_plain else None


class Recipe:
    """How an op is recorded when a given set of its inputs wants gradients.

    Only what the wanted VJPs name in their signatures is kept, so that a frozen weight, say, costs
    no memory for its gradient.
    """

    def __init__(self, op: "Op", wanted: Sequence[bool]) -> None:
        self.op = op
        count = len(wanted)
        vjps = {p: op.vjp_for(p) for p, is_wanted in enumerate(wanted) if is_wanted}
        named = {name for vjp in vjps.values() for name in _parameters(vjp)}
        inputs = [op.input_name(p) for p in range(count)]
        if op.definition is not None:
            named.update(inputs)
        # What there is to keep, in the order in which a call has it.
        values = [*inputs, *op.keeps, *op.caches, "out"]
        positions = [p for p, name in enumerate(values) if name in named]
        self.kept = [values[p] for p in positions]
        self.keep = _picker(positions)
        self.saved_inputs = [p for p in positions if p < count]
        # Versions: one for each input, and the output's last.
        self.guard = _picker(self.saved_inputs + ([count] if "out" in named else []))
        self.rules = [Rule(vjp, p, self.kept) for p, vjp in vjps.items()]


class Op:
    """One operation in one place: forward, a VJP for each input, what is kept, a formula.

    Made by `@op`. Positional parameters of the forward are its inputs, keyword-only ones its
    attributes; `*xs` takes any number of inputs.
    """

    def __init__(
        self,
        forward: Callable[..., Any],
        formula: str,
        vjps: Mapping[str, Callable[..., Any]],
        keeps: tuple[str, ...],
        caches: tuple[str, ...],
        definition: Callable[..., Any] | None,
        view: bool,
        floating: bool,
        domain: tuple[float, float],
        kinks: tuple[float, ...],
    ) -> None:
        self.name = forward.__name__.strip("_")
        self.forward = forward
        self.formula = formula
        self.vjps = vjps
        self.keeps = keeps
        self.caches = caches
        self.definition = definition
        self.view = view
        self.floating = floating
        self.domain = domain
        self.kinks = kinks
        self.__doc__ = forward.__doc__
        parameters = inspect.signature(forward).parameters.values()
        kinds = inspect.Parameter
        self.attributes = {p.name: p.default for p in parameters if p.kind is kinds.KEYWORD_ONLY}
        self.variadic = next((p.name for p in parameters if p.kind is kinds.VAR_POSITIONAL), None)
        self.inputs = [p.name for p in parameters if p.name not in self.attributes]
        self._recipes: dict[int, Recipe] = {}
        self._check()

    def _check(self) -> None:
        unknown = set(self.vjps) - set(self.inputs)
        if unknown:
            raise GraphError(f"op {self.name!r}: VJPs for {unknown}, inputs are {self.inputs}")
        for wrt, vjp in self.vjps.items():
            parameters = _parameters(vjp)
            if parameters[:1] != ["grad_out"]:
                raise GraphError(f"op {self.name!r}: the VJP for {wrt!r} must take grad_out first")
            known = {*self.inputs, *self.attributes, *self.keeps, *self.caches, "out"}
            known |= {f"{wrt}_shape", f"{wrt}_dtype", "position"}
            if strange := [name for name in parameters[1:] if name not in known]:
                raise GraphError(
                    f"op {self.name!r}: the VJP for {wrt!r} names {strange}; it can have "
                    f"{sorted(known)}"
                )
            if self.definition is None and (hidden := set(parameters) & set(self.caches)):
                raise GraphError(
                    f"op {self.name!r}: the VJP for {wrt!r} reads the cache {hidden}, which has no "
                    "graph: give a definition= to differentiate a second time"
                )

    def __repr__(self) -> str:
        return f"<op {self.name}: {self.formula}>"

    def input_name(self, position: int) -> str:
        """Return the name of the input at `position`; all of `*xs` are called xs."""
        return self.variadic or self.inputs[position]

    def is_differentiable(self, position: int) -> bool:
        """Whether there is a VJP for the input at `position`."""
        return self.input_name(position) in self.vjps

    def vjp_for(self, position: int) -> Callable[..., Any]:
        """Return the VJP for the input at `position`, or say that there is none."""
        name = self.input_name(position)
        if name not in self.vjps:
            raise GraphError(
                f"{self.name}: there is no gradient for input {name!r}, but the tensor given "
                "requires one; pass tensor.detach() if it is meant as a constant"
            )
        return self.vjps[name]

    @overload
    def __call__(self, first: V, /, *others: Any, **attributes: Any) -> V: ...
    @overload
    def __call__(self, *inputs: Any, **attributes: Any) -> Any: ...
    def __call__(self, *inputs: Any, **attributes: Any) -> Any:
        """Run on `inputs`; record a node if one of them is a Variable that requires a gradient."""
        # One function, since every op on small arrays pays for each call within.
        first: Variable | None = None
        dtype: Any = None
        mixed = foreign = False
        wanted = 1
        arrays: list[Any] = []
        edges: list[Node | Variable | None] = []
        versions: list[list[int]] = []
        for value in inputs:
            wanted <<= 1
            if isinstance(value, Variable):
                array = value.data
                edge = value.node or (value if value._requires_grad else None)
                if edge is not None:
                    wanted |= 1
                edges.append(edge)
                versions.append(value.version)
                if first is None:
                    first = value
                    dtype = array.dtype
                elif array.dtype is not dtype:
                    mixed = True
                arrays.append(array)
            else:
                foreign = foreign or type(value) not in _PLAIN
                arrays.append(value)
                edges.append(None)
                versions.append([0])
        if (attributes or self.attributes) and attributes.keys() != self.attributes.keys():
            attributes = self._with_defaults(attributes)
        if first is None:
            # NumPy's own results among them, scalars where arrays of no dimension are meant.
            plain = [np.asarray(v) if isinstance(v, np.generic) else v for v in inputs]
            return self._run(plain, attributes)[0]
        if foreign:
            arrays = [
                array if isinstance(value, Variable) else self._constant(value)
                for value, array in zip(inputs, arrays, strict=True)
            ]
        if (mixed or foreign or dtype.kind != "f") and (
            converted := self._converted(inputs, arrays)
        ):
            return self(*converted, **attributes)
        out, *extras = self._run(arrays, attributes)
        is_view = self.view and np.may_share_memory(out, first.data)
        version = first.version if is_view else [0]
        if not mode.recording or wanted.bit_count() == 1 or out.dtype.kind != "f":
            return first.result_class.wrap(out, None, version)
        recipe = self._recipes.get(wanted)
        if recipe is None:
            recipe = self._recipes[wanted] = Recipe(self, [edge is not None for edge in edges])
        node = Node()
        node.recipe = recipe
        node.edges = tuple(edges)
        node.saved = recipe.keep((*arrays, *extras, out))
        node.counters = recipe.guard((*versions, version))
        node.attributes = attributes
        node.order = next(sequence)
        node.scope = mode.scope
        node.shape = out.shape
        node.dtype = out.dtype
        return first.result_class.wrap(out, node, version)

    def _run(self, arrays: Sequence[Any], attributes: Mapping[str, Any]) -> Sequence[Any]:
        """Return the output and what the forward keeps beside it; NumPy's errors gain a name."""
        try:
            result = self.forward(*arrays, **attributes)
        except TinygradNpError:
            raise
        except IndexError as error:
            raise AxisError(self._complaint(arrays, attributes, error)) from error
        except ValueError as error:
            raise ShapeError(self._complaint(arrays, attributes, error)) from error
        except (TypeError, OverflowError) as error:
            raise DtypeError(self._complaint(arrays, attributes, error)) from error
        results = result if self.keeps or self.caches else (result,)
        if type(results[0]) is np.ndarray:
            return results
        if not isinstance(results[0], np.ndarray | np.generic):
            kind = type(results[0]).__name__
            raise GraphError(f"{self.name}: the forward returned a {kind}, expected an array")
        # NumPy gives scalars where arrays of no dimension are meant.
        return (np.asarray(results[0]), *results[1:])

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
                + (f"missing {missing}" if missing else f"unknown {unknown}")
                + f"; its options are {list(self.attributes)} and its inputs, which are "
                f"positional, {self.inputs}"
            )
        return complete

    def _constant(self, value: Any) -> Any:
        """Return a number as Python's, and an array as one that nobody else can change."""
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
        if mode.recording and (value.flags.writeable or value.base is not None):
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
    vjps: Mapping[str, Callable[..., Any]] | None = None,
    keeps: tuple[str, ...] = (),
    caches: tuple[str, ...] = (),
    definition: Callable[..., Any] | None = None,
    view: bool = False,
    floating: bool = False,
    domain: tuple[float, float] = (-2.0, 2.0),
    kinks: tuple[float, ...] = (),
) -> Callable[[Callable[..., Any]], Op]:
    """Make an op of a forward on arrays.

    `vjps` has for each differentiable input a function of `grad_out` and, by the names in its
    signature, of inputs, of `out`, of attributes, of what the forward `keeps`, and of the input's
    own `<name>_shape` and `<name>_dtype`; what is named is saved, nothing else. It is written in
    ops and `+ - * /`, so that it serves arrays and Variables alike. `keeps` names results of the
    forward, behind its output, that are constant in pieces (masks, winners); `caches` such that
    only a first-order backward may read, which asks for a `definition`: the same function in other
    ops, differentiated when the gradient is to have a graph. `view` says that the output shares
    the first input's memory, `floating` that integers become float32. `domain` and `kinks` tell
    tests where to sample.

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
            forward, formula, vjps or {}, keeps, caches, definition, view, floating, domain, kinks
        )

    return make


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


def _parameters(function: Callable[..., Any]) -> list[str]:
    return list(inspect.signature(function).parameters)


def _picker(positions: Sequence[int]) -> Callable[[Sequence[Any]], tuple[Any, ...]]:
    """Return a function that gives the entries at `positions` as a tuple."""
    if not positions:
        return lambda values: ()
    if len(positions) == 1:
        (only,) = positions
        return lambda values: (values[only],)
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
)
def cast(x: Array, *, dtype: Any) -> Array:
    """Convert to `dtype`; a copy, also where nothing changes."""
    return x.astype(dtype)
