"""What an op is: its forward, its gradients, and what a call has to save for them.

An op has calculus, written in ops and exact to any order: one VJP per input (`vjps`), or the same
function composed of simpler ops (`definition`). It may also have one NumPy kernel for all inputs
(`backward`), which makes an ordinary first-order backward pass fast. The save plan says whether the
kernel is usable; `backward.input_grads` decides what runs.
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
    """Where tests evaluate an op: the range to sample, and the kinks to stay away from."""

    domain: tuple[float, float] = (-2.0, 2.0)
    kinks: tuple[float, ...] = ()


@dataclass(frozen=True, eq=False, repr=False)
class Op:
    """One operation; the decorator `dispatch.op` builds one from its forward function.

    VJPs, kernels and FLOP counts declare what they need as parameters, which the engine reads from
    their signatures: inputs, options, `out`, names in `keeps`, and `<input>_shape` and
    `<input>_dtype` (a VJP: only those of its own input). A call saves exactly what the wanted
    gradients name: `lambda grad_out, b: grad_out * b` saves the input `b`.
    """

    forward: Function
    """Arrays to array. Positional parameters are inputs (`*xs`: any number of them), keyword-only
    ones are options. A caller may pass both by position, inputs first."""

    formula: str
    """The mathematics in one line, for the table of ops."""

    vjps: Mapping[str, Function] = field(default_factory=dict)
    """For each differentiable input its VJP, a function of `grad_out` and what it names. Written in
    ops and `+ - * /`, it serves arrays and Variables alike. The engine sums over broadcast axes. A
    VJP of `*xs` may name `position`, that of its own input."""

    definition: Function | None = None
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
    """As `flops`, but for `backward`; may name options and what `backward` names. By default 1 per
    entry of the gradients."""

    samples: Samples = Samples()
    """What only tests read."""

    # Read off the signature of the forward.

    name: str = field(init=False)
    inputs: list[str] = field(init=False)
    """The names of the inputs."""
    arity: int = field(init=False)
    """How many inputs there are; `*xs` counts as one."""
    optional: frozenset[str] = field(init=False)
    """The inputs that may be left out: they are None then."""
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
    plans: "dict[Wanted, SavePlan]" = field(init=False, default_factory=dict)
    """The save plans made so far, by which inputs want a gradient."""

    def __post_init__(self) -> None:
        parameters = inspect.signature(self.forward).parameters.values()
        inputs = [p for p in parameters if p.kind is not p.KEYWORD_ONLY]
        options = {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY}
        empty = inspect.Parameter.empty
        derived = {
            "name": self.forward.__name__.strip("_"),
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


Gradient: TypeAlias = tuple[int, Function, Callable[[Values], Values] | None]
"""A VJP or a backward kernel.

First the position of the input that a VJP is for, or -1 for a kernel, which serves all inputs. Then
the function. Then what picks its arguments after `grad_out` from the values listed in
`SavePlan.names`; None for a VJP that takes exactly what was saved.
"""


class SavePlan:
    """What a call of an op saves, and its gradients, when the `wanted` inputs want a gradient.

    For `x * w` with a frozen `w`, only the gradient for `x` is wanted. It is `grad_out * w`, so the
    plan saves `w` and not `x`. A kernel that would read more inputs than the calculus of the wanted
    gradients is passed over for that.
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
        # Everything a call could save, in the order in which it has it at hand.
        available = [*inputs, *op.extra_results, "out"]
        places = [place for place, name in enumerate(available) if name in read]
        properties = [(p, kind) for p in range(len(inputs)) for kind in ("shape", "dtype")]

        self.op = op
        self.wanted = wanted
        self.inputs = [place for place in places if place < len(inputs)]
        """Which inputs are saved, as positions in the call."""
        self.results = [place - len(inputs) for place in places if place >= len(inputs)]
        """Which results are saved, as positions after the inputs; the output is the last."""
        self.saves_out = "out" in read
        self.options = [name for name in op.options if name in read]
        """The options that the gradients name."""
        self.properties = [(p, kind) for p, kind in properties if f"{inputs[p]}_{kind}" in read]
        """The shapes and dtypes of inputs that the gradients name."""
        self.saves_all = not (self.options or self.properties)
        """Whether the VJPs name nothing but saved values."""
        self.names = [available[place] for place in places] + self.options
        self.names += [f"{inputs[p]}_{kind}" for p, kind in self.properties]
        self.names += ["wanted", "overwrite"]
        """What the gradients may name, in the order of `backward.values_of`."""
        self.vjps = [self._gradient(position, vjp) for position, vjp in vjps.items()]
        self.backward = None if kernel is None else self._gradient(-1, kernel)
        self.is_plain = self.saves_all and kernel is None and bool(vjps)
        """Whether first-order gradients come from VJPs that name nothing but saved values."""
        self.is_checked = False
        """Whether the kernel's gradients have been checked not to share memory."""

    def _gradient(self, position: int, function: Function) -> Gradient:
        names = parameter_names(function)[1:]
        op, count = self.op, len(self.wanted)

        def pick(values: Values) -> Values:
            known = {**dict(zip(self.names, values, strict=False)), "position": position}
            return [values[:count] if name == op.variadic else known[name] for name in names]

        if op.variadic:
            return position, function, pick
        if position >= 0 and self.saves_all and names == self.names[:-2]:
            return position, function, None
        # At the speed of C.
        places = [self.names.index(name) for name in names]
        start, stop = (places[0], places[0] + len(places)) if places else (0, 0)
        is_slice = places == list(range(start, stop))
        indices: list[Any] = [slice(start, stop)] if is_slice else places
        return position, function, itemgetter(*indices)


def parameter_names(function: Function) -> list[str]:
    """Return the names of the parameters of a function."""
    return list(inspect.signature(function).parameters)
