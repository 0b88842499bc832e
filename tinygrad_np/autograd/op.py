"""Op definitions: the forward, the gradients, and what a call must save for them.

A VJP (vector-Jacobian product) maps the gradient of the output, `grad_out`, to the gradient of one
input. A differentiable op has either one VJP per differentiable input (`vjps`) or its forward
rewritten with simpler ops (`definition`). Both call ops rather than NumPy, so they can be
differentiated again. An op may add a NumPy kernel for all inputs at once (`backward`) that speeds
up first-order passes. `SavePlan` decides whether the kernel is usable; `backward.propagate` chooses
what runs.
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any, TypeAlias

from tinygrad_np.runtime.memory import Array
from tinygrad_np.typing import Function, Values, Wanted


@dataclass(frozen=True)
class Samples:
    """Where tests evaluate an op: the range to sample, and kinks to avoid."""

    domain: tuple[float, float] = (-2.0, 2.0)
    kinks: tuple[float, ...] = ()


@dataclass(frozen=True, eq=False, repr=False)
class Op:
    """One operation; the decorator `dispatch.op` builds one from its forward function.

    VJPs and kernels name what they need as parameters, and the engine reads their signatures. They
    may name inputs, options, `out`, names in `keeps`, and `<input>_shape` and `<input>_dtype` (in a
    VJP, only of its own input; in a kernel, None for an input that needs no gradient). Of the
    arrays, a call saves only those that the wanted gradients name: with
    `lambda grad_out, b: grad_out * b`, it saves the input `b`.
    """

    forward: Function
    """The NumPy implementation: takes arrays (or numbers, or None for optional inputs) and returns
    the output, or a tuple of the output and the extra results named in `keeps` and `caches`.
    Positional parameters are inputs (`*xs`: any number of them), keyword-only ones are options. A
    caller may pass both by position, inputs first."""

    formula: str
    """The mathematics in one line, for the table of ops."""

    vjps: Mapping[str, Function] = field(default_factory=dict)
    """One VJP per differentiable input: a function of `grad_out` and the values it names. It uses
    only ops and `+ - * /`, so it works on arrays and on Variables. The engine sums the result over
    broadcast axes. A VJP of `*xs` may name `position`, the index of its input."""

    definition: Function | None = None
    """Alternative to `vjps`: the forward rewritten with other ops. The engine calls it with all
    inputs and options and differentiates the result, so a call saves all inputs."""

    differentiable: tuple[str, ...] = ()
    """The inputs differentiated through `definition`; leave empty with `vjps`."""

    backward: Callable[..., Sequence[Array | None]] | None = None
    """A NumPy kernel for first-order gradients: takes `grad_out` and the values it names, and
    returns one gradient per input, or None for inputs whose entry in `wanted` is False. If
    `overwrite` is True, it may write its result into `grad_out`. A gradient that shares memory with
    `grad_out`, a saved array or another gradient is copied. The kernel is not used if it needs an
    input that the VJPs do not, since saving that input would cost memory."""

    keeps: tuple[str, ...] = ()
    """Names of extra results that the forward returns after its output and whose derivative is
    zero, such as masks and positions of maxima. VJPs and kernels may name them."""

    caches: tuple[str, ...] = ()
    """Names of extra results, after `keeps`, whose derivative is not zero, such as statistics. Only
    a kernel may name them: they have no graph, so a VJP that used one would have a wrong
    derivative."""

    view: bool = False
    """Whether the output may share the memory of the first input."""

    floating: bool = False
    """Whether integer inputs become float32."""

    subgradient: str = ""
    """The derivative used at kinks and ties, for readers."""

    flops: int | Callable[..., int] | None = None
    """Floating-point operations of the forward, for `profile()`: a number per entry of the output
    (by default 1, and 0 for a view), or a function of inputs, options and `out` that counts all.
    An arithmetic operation, a comparison, a selection and a function such as e^x count 1."""

    backward_flops: Callable[..., int] | None = None
    """Like `flops`, for `backward`; may name options and whatever `backward` names. By default 1
    per entry of the gradients."""

    samples: Samples = Samples()
    """Used only by tests."""

    # Derived from the fields above and the signature of `forward`.

    name: str = field(init=False)
    signature: inspect.Signature = field(init=False)
    """The signature of `forward`."""
    inputs: list[str] = field(init=False)
    """The names of the inputs."""
    arity: int = field(init=False)
    """How many inputs there are; `*xs` counts as one."""
    optional: frozenset[str] = field(init=False)
    """Inputs that may be omitted; they default to None."""
    options: dict[str, Any] = field(init=False)
    """The options and their defaults; `inspect.Parameter.empty` for one without a default."""
    required: frozenset[str] = field(init=False)
    """The options without a default."""
    variadic: str = field(init=False)
    """The name of `*xs` if the op takes any number of inputs, else ''."""
    differentiable_inputs: frozenset[str] = field(init=False)
    """The names of the inputs that have a gradient."""
    extra_results: tuple[str, ...] = field(init=False)
    """Names of what the forward returns after its output."""
    plans: "dict[Wanted, SavePlan]" = field(init=False, default_factory=dict)
    """Cache of save plans, keyed by `wanted`."""

    def __post_init__(self) -> None:
        signature = inspect.signature(self.forward)
        parameters = signature.parameters.values()
        inputs = [p for p in parameters if p.kind is not p.KEYWORD_ONLY]
        options = {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY}
        empty = inspect.Parameter.empty
        derived = {
            "name": self.forward.__name__.strip("_"),
            "signature": signature,
            "inputs": [p.name for p in inputs],
            "arity": len(inputs),
            "optional": frozenset(p.name for p in inputs if p.default is not empty),
            "options": options,
            "required": frozenset(name for name, value in options.items() if value is empty),
            "variadic": "".join(p.name for p in inputs if p.kind is p.VAR_POSITIONAL),
            "differentiable_inputs": frozenset({*self.vjps, *self.differentiable}),
            "extra_results": (*self.keeps, *self.caches),
        }
        for name, value in derived.items():
            object.__setattr__(self, name, value)

    def __repr__(self) -> str:
        return f"<op {self.name}: {self.formula}>"

    def input_name(self, position: int) -> str:
        """Return the name of the input at `position`; all of `*xs` are called xs."""
        return self.variadic or self.inputs[position]


GradFunction: TypeAlias = tuple[int, Function, Callable[[Values], Values] | None]
"""A VJP or a backward kernel, as (position, function, pick).

`position` is the input the VJP is for, or -1 for a kernel, which serves all inputs. `pick` selects
the arguments after `grad_out` from values in the order of `SavePlan.names`; it is None for a VJP
that takes all saved values in that order.
"""


class SavePlan:
    """What a call saves, and which gradient functions it uses, for the `wanted` inputs.

    For `x * w` with a frozen `w`, only the gradient for `x` is wanted. It is `grad_out * w`, so the
    plan saves `w` and not `x`. A kernel that needs more inputs than the VJPs do is not used.
    Otherwise a call saves what either needs: which of them runs depends on `create_graph`, known
    only in the backward pass.
    """

    def __init__(self, op: Op, wanted: Wanted) -> None:
        inputs = [op.input_name(position) for position in range(len(wanted))]
        positions = [position for position, is_wanted in enumerate(wanted) if is_wanted]
        vjps = {} if op.definition else {p: op.vjps[inputs[p]] for p in positions}
        read = {name for vjp in vjps.values() for name in parameter_names(vjp)}
        read.update(inputs if op.definition else ())
        kernel = op.backward
        if kernel is not None:
            named = set(parameter_names(kernel))
            if named.intersection(inputs) <= read:
                read |= named
            else:
                kernel = None
        # Everything a call could save.
        available = [*inputs, *op.extra_results, "out"]
        places = [place for place, name in enumerate(available) if name in read]
        properties = [(p, kind) for p in range(len(inputs)) for kind in ("shape", "dtype")]

        self.op = op
        self.wanted = wanted
        self.inputs = [place for place in places if place < len(inputs)]
        """Which inputs are saved, as positions in the call."""
        self.results = [place - len(inputs) for place in places if place >= len(inputs)]
        """Which results are saved, as positions in `(*extra_results, out)`."""
        self.saves_out = "out" in read
        self.saves_any = bool(places)
        self.options = [name for name in op.options if name in read]
        """The options that the gradient functions name."""
        self.properties = [(p, kind) for p, kind in properties if f"{inputs[p]}_{kind}" in read]
        """The shapes and dtypes of inputs that the gradient functions name."""
        self.names_only_saved = not (self.options or self.properties)
        """Whether the gradient functions name only saved values: no options, shapes or dtypes."""
        self.names = [available[place] for place in places] + self.options
        self.names += [f"{inputs[p]}_{kind}" for p, kind in self.properties]
        self.names += ["wanted", "overwrite"]
        """What the gradient functions may name, in the order of `backward.values_of`."""
        self.vjps = [self._gradient(position, vjp) for position, vjp in vjps.items()]
        self.backward = None if kernel is None else self._gradient(-1, kernel)
        self.is_plain = self.names_only_saved and kernel is None and bool(vjps)
        """Whether first-order gradients come from VJPs that name only saved values."""

    def _gradient(self, position: int, function: Function) -> GradFunction:
        names = parameter_names(function)[1:]
        op, count = self.op, len(self.wanted)

        def pick(values: Values) -> Values:
            known = {**dict(zip(self.names, values, strict=False)), "position": position}
            return [values[:count] if name == op.variadic else known[name] for name in names]

        if op.variadic:
            return position, function, pick
        if position >= 0 and self.names_only_saved and names == self.names[:-2]:
            return position, function, None
        # itemgetter runs in C. Of a single index it would return the value, not a sequence.
        places = [self.names.index(name) for name in names]
        start, stop = (places[0], places[0] + len(places)) if places else (0, 0)
        is_slice = places == list(range(start, stop))
        indices: list[Any] = [slice(start, stop)] if is_slice else places
        return position, function, itemgetter(*indices)


def parameter_names(function: Function) -> list[str]:
    """Return the names of the parameters of a function."""
    return list(inspect.signature(function).parameters)
