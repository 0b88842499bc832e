"""The definition of an op: its forward, its gradients, and what a call has to save for them.

An op has calculus, written in ops and exact to any order: one VJP per input (`vjps`), or the same
function composed of simpler ops (`definition`). It may also have one NumPy kernel for all inputs
(`backward`), which makes an ordinary first-order backward pass fast. The save plan says whether the
kernel is usable; `backward.input_grads` decides what runs.
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any

import numpy as np

from tinygrad_np.autograd.tape import Gradient, Node, Options, SavePlan
from tinygrad_np.errors import GraphError
from tinygrad_np.runtime.memory import Array

Parameter = inspect.Parameter


@dataclass(frozen=True)
class Samples:
    """Where tests evaluate an op: the range to sample, and the kinks to stay away from."""

    domain: tuple[float, float] = (-2.0, 2.0)
    kinks: tuple[float, ...] = ()


@dataclass(frozen=True, eq=False, repr=False, slots=True)
class Op:
    """One operation; the decorator `dispatch.op` builds one from its forward function.

    VJPs, kernels and FLOP counts declare what they need as parameters, which the engine reads from
    their signatures: inputs, options, `out`, names in `keeps`, and `<input>_shape` and
    `<input>_dtype` (a VJP: only those of its own input). A call saves exactly what the wanted
    gradients name: `lambda grad_out, b: grad_out * b` saves the input `b`.
    """

    forward: Callable[..., Any]
    """Arrays to array. Positional parameters are inputs (`*xs`: any number of them), keyword-only
    ones are options. A caller may pass both by position, inputs first."""

    formula: str
    """The mathematics in one line, for the table of ops."""

    vjps: Mapping[str, Callable[..., Any]] = field(default_factory=dict)
    """For each differentiable input its VJP, a function of `grad_out` and what it names. Written in
    ops and `+ - * /`, it serves arrays and Variables alike. The engine sums over broadcast axes."""

    definition: Callable[..., Any] | None = None
    """In place of `vjps`: the same function composed of other ops. Called with all inputs and
    options, it is differentiated for the gradients of the inputs in `differentiable`."""

    differentiable: tuple[str, ...] = ()
    """The inputs that have a gradient by `definition`; those with a VJP need not be listed."""

    backward: Callable[..., Sequence[Array | None]] | None = None
    """A NumPy kernel for first-order gradients: `grad_out` and what it names to one gradient per
    input, None where `wanted`, one bool per input, is False. Gradients are new memory, except that
    a kernel that names `overwrite` may write its result into `grad_out` when `overwrite` is True.
    Only a kernel may read `caches`. It is skipped if it would save inputs that the calculus of the
    wanted gradients does not need."""

    keeps: tuple[str, ...] = ()
    """Names of further results of the forward, after its output, that are locally constant: masks,
    positions of maxima."""

    caches: tuple[str, ...] = ()
    """Names of results after those in `keeps` that vary with the inputs; they have no graph."""

    view: bool = False
    """Whether the output shares the memory of the first input."""

    floating: bool = False
    """Whether integer inputs become float32."""

    subgradient: str = ""
    """What the derivative is taken to be at kinks and ties, for readers."""

    flops: int | Callable[..., int] | None = None
    """Floating-point operations of the forward, for `profile()`: a number per entry of the output
    (by default 1, and 0 for a view), or a function of inputs, options and `out` that counts all.
    An arithmetic operation, a comparison, a selection and a function such as e^x count 1."""

    backward_flops: Callable[..., int] | None = None
    """As `flops`, but for `backward`; may name what `backward` can. By default 1 per entry of the
    gradients."""

    samples: Samples = Samples()
    """What only tests read."""

    # Read off the signature of the forward.

    name: str = field(init=False)
    inputs: list[str] = field(init=False)
    """The names of the inputs."""
    arity: int = field(init=False)
    """How many inputs there are."""
    input_defaults: dict[str, Any] = field(init=False)
    """The defaults of the inputs that have one; they can only be None."""
    options: dict[str, Any] = field(init=False)
    """The options and their defaults, `inspect.Parameter.empty` where there is none."""
    required: frozenset[str] = field(init=False)
    """The options without a default."""
    variadic: str = field(init=False)
    """The name of `*xs` if the op takes any number of inputs, else ''."""
    differentiable_inputs: frozenset[str] = field(init=False)
    """The names of the inputs that have a gradient."""
    extra_results: tuple[str, ...] = field(init=False)
    """What the forward returns after its output."""
    plans: dict[tuple[bool, ...], SavePlan] = field(init=False)
    """The save plans made so far, by which inputs want a gradient."""

    def __post_init__(self) -> None:
        parameters = _parameters(self.forward)
        inputs = [p for p in parameters if p.kind is not p.KEYWORD_ONLY]
        options = [p for p in parameters if p.kind is p.KEYWORD_ONLY]
        derived = {
            "name": self.forward.__name__.strip("_"),
            "inputs": [p.name for p in inputs],
            "arity": len(inputs),
            "input_defaults": {p.name: p.default for p in inputs if p.default is not p.empty},
            "options": {p.name: p.default for p in options},
            "required": frozenset({p.name for p in options if p.default is p.empty}),
            "variadic": "".join([p.name for p in inputs if p.kind is p.VAR_POSITIONAL]),
            "differentiable_inputs": frozenset({*self.vjps, *self.differentiable}),
            "extra_results": (*self.keeps, *self.caches),
            "plans": {},
        }
        for name, value in derived.items():
            object.__setattr__(self, name, value)
        check_definition(self)

    def __repr__(self) -> str:
        return f"<op {self.name}: {self.formula}>"

    @property
    def signature(self) -> inspect.Signature:
        """How the op is called: with its inputs, then its options, by position or by name."""
        parameters = list(inspect.signature(self.forward).parameters.values())
        has_default = [p.default is not p.empty for p in parameters]
        if self.variadic or has_default != sorted(has_default):
            return inspect.Signature(parameters)  # Python has no other for these
        return inspect.Signature([p.replace(kind=p.POSITIONAL_OR_KEYWORD) for p in parameters])

    def input_name(self, position: int) -> str:
        """Return the name of the input at `position`; all of `*xs` are called xs."""
        return self.variadic or self.inputs[position]

    def is_differentiable(self, position: int) -> bool:
        """Whether the input at `position` has a gradient."""
        return self.input_name(position) in self.differentiable_inputs

    def count_flops(self, arrays: Sequence[Any], options: Options, out: Array) -> int:
        """Return the floating-point operations of one run of the forward."""
        if not callable(self.flops):
            return int((not self.view if self.flops is None else self.flops) * out.size)
        given: Sequence[Any] = [None if value is None else np.asarray(value) for value in arrays]
        known = {**self.input_defaults, **options, "out": out}
        known |= dict(zip(self.inputs, [given] if self.variadic else given, strict=False))
        return int(self.flops(*[known[name] for name in parameter_names(self.flops)]))

    def plan(self, wanted: tuple[bool, ...]) -> SavePlan:
        """Return the plan for calls in which the `wanted` inputs want a gradient."""
        if wanted not in self.plans:
            self.plans[wanted] = _make_plan(self, wanted)
        return self.plans[wanted]


def _make_plan(op: Op, wanted: tuple[bool, ...]) -> SavePlan:
    """Plan to save only what the wanted gradients name.

    A frozen weight, say, costs no memory for its gradient: a kernel that would read more inputs
    than the calculus of the wanted gradients is passed over for that.
    """
    inputs = [op.input_name(position) for position in range(len(wanted))]
    positions = [position for position, is_wanted in enumerate(wanted) if is_wanted]
    for position in positions:
        if not op.is_differentiable(position):
            raise GraphError(
                f"{op.name}: input {inputs[position]!r} has no gradient, but the tensor given "
                "requires one. Pass tensor.detach() to use it as a constant."
            )
    vjps = {p: op.vjps[inputs[p]] for p in positions} if op.definition is None else {}
    read = {name for vjp in vjps.values() for name in parameter_names(vjp)}
    read.update(inputs if op.definition is not None else ())
    backward = op.backward
    if backward is not None:
        names = set(parameter_names(backward))
        if names & set(inputs) <= read:
            read |= names
        else:
            backward = None
    # Everything a call could save, in the order in which it has it at hand.
    available = [*inputs, *op.extra_results, "out"]
    places = [place for place, name in enumerate(available) if name in read]
    saved = [available[place] for place in places]
    return SavePlan(
        op,
        wanted,
        names=saved,
        inputs=[place for place in places if place < len(inputs)],
        results=[place - len(inputs) for place in places if place >= len(inputs)],
        saves_out="out" in read,
        vjps=[_make_gradient(op, vjp, position, saved) for position, vjp in vjps.items()],
        backward=backward and _make_gradient(op, backward, -1, saved),
        backward_flops=op.backward_flops and _make_gradient(op, op.backward_flops, -1, saved),
    )


def _make_gradient(
    op: Op, function: Callable[..., Any], position: int, saved: list[str]
) -> Gradient:
    """Work out how to gather the arguments of a VJP or kernel."""
    names = [name for name in parameter_names(function)[1:] if name != "overwrite"]
    overwrites = "overwrite" in parameter_names(function)
    is_saved = all(saved.count(name) == 1 for name in names)
    pick = _picker([saved.index(name) for name in names]) if is_saved else None

    def arguments(values: Sequence[Any], node: Node, wanted: tuple[bool, ...]) -> list[Any]:
        known = {**op.input_defaults, **dict(zip(saved, values, strict=True)), **node.options}
        known.update(position=position, wanted=wanted)
        if op.variadic:
            known[op.variadic] = values[: len(node.plan.inputs)]
        for place, edge in enumerate(node.edges):
            if edge is not None and position in (-1, place):
                known[f"{op.input_name(place)}_shape"] = edge.shape
                known[f"{op.input_name(place)}_dtype"] = edge.dtype
        # The shape and dtype of an input that wants no gradient are None.
        return [known.get(name) for name in names]

    return Gradient(function, position, pick, arguments, overwrites)


def _picker(places: Sequence[int]) -> Callable[[Sequence[Any]], Sequence[Any]]:
    """Return a function that picks entries of a sequence, at the speed of C."""
    start = places[0] if places else 0
    end = start + len(places)
    if list(places) == list(range(start, end)):
        return itemgetter(slice(start, end))
    return itemgetter(*places)


def parameter_names(function: Callable[..., Any]) -> list[str]:
    """Return the names of the parameters of a function."""
    return [parameter.name for parameter in _parameters(function)]


def _parameters(function: Callable[..., Any]) -> list[Parameter]:
    return list(inspect.signature(function).parameters.values())


def check_definition(op: Op) -> None:
    """Refuse a definition of an op that contradicts itself, or asks for what no call can give."""
    where = f"op {op.name!r}"
    if bool(op.differentiable) != (op.definition is not None) or (op.vjps and op.definition):
        raise GraphError(
            f"{where}: expected either vjps, or a definition= and differentiable= inputs"
        )
    if op.backward is not None and not op.differentiable_inputs:
        raise GraphError(f"{where}: backward is first-order only. Give vjps or a definition too.")
    if unknown := op.differentiable_inputs - set(op.inputs):
        raise GraphError(f"{where}: gradients for {sorted(unknown)}, its inputs are {op.inputs}")
    for name, default in op.input_defaults.items():
        if default is not None:
            raise GraphError(
                f"{where}: {name}={default!r} is positional, so it is an input. Put a star before "
                f"options, as in {op.name}(x, *, {name}={default!r})."
            )
    if not (op.flops is None or callable(op.flops) or (type(op.flops) is int and op.flops >= 0)):
        raise GraphError(
            f"{where}: expected flops to be a number per entry of the output, or a function that "
            f"counts all, as flops=lambda x: x.size; got {op.flops!r}"
        )
    reserved = {"grad_out", "out", "position", "wanted", "overwrite"}
    if taken := reserved.intersection([*op.inputs, *op.options, *op.extra_results]):
        raise GraphError(f"{where}: the names {sorted(taken)} are the engine's. Choose others.")
    inputs = [] if op.variadic else op.inputs  # any number of inputs have no one shape
    shapes = [f"{name}{suffix}" for name in inputs for suffix in ("_shape", "_dtype")]
    kernel = [*shapes, *op.extra_results, "wanted", "overwrite"]
    asking: list[tuple[str, Any, list[str]]] = [
        ("backward", op.backward, ["grad_out", *kernel]),
        ("backward_flops", op.backward_flops, ["grad_out", *kernel]),
        ("flops", op.flops, []),
    ]
    for name, vjp in op.vjps.items():
        own = [f"{name}_shape", f"{name}_dtype", "position", *op.keeps]
        asking.append((f"the VJP for {name!r}", vjp, ["grad_out", *own]))
    for what, function, given in asking:
        names = parameter_names(function) if callable(function) else given[:1]
        if given and names[:1] != ["grad_out"]:
            raise GraphError(f"{where}: {what} must take grad_out first")
        known = {*op.inputs, *op.options, "out", *given}
        if strange := [name for name in names if name not in known]:
            raise GraphError(
                f"{where}: {what} names {strange}, expected names among {sorted(known)}"
            )
