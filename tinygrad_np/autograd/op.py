"""Op definitions: the forward function, its gradients, and the values each call saves.

A VJP (vector-Jacobian product) maps the upstream gradient `grad_out` to the gradient of one input.
A differentiable op defines its gradients in one of two ways: one VJP per differentiable input
(`vjps`), or its forward function written in terms of other ops (`definition`). Both are written
with ops instead of NumPy functions, so they can be differentiated again. For speed, an op can add a
NumPy kernel (`backward`) that computes the first-order gradients of all inputs in one call.

`SavePlan` decides which values a call saves and whether the kernel can be used;
`backward.propagate` chooses what runs.
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
    """Points at which the tests evaluate an op.

    Args:
        domain: range from which inputs are drawn.
        kinks: points to avoid because the op is not differentiable there.
    """

    domain: tuple[float, float] = (-2.0, 2.0)
    kinks: tuple[float, ...] = ()


@dataclass(frozen=True, eq=False, repr=False)
class Op:
    """The definition of an op. The decorator `@op` builds it; its arguments are the fields below.

    VJPs, kernels and FLOP counts request values by parameter name. The engine reads their
    signatures and saves only the arrays that the required gradients request. For example, the VJP
    `lambda grad_out, b: grad_out * b` makes each call save the input `b`. A function can request:

    - `grad_out`, the upstream gradient, always as the first parameter of a VJP or kernel;
    - any input or option, by the name it has in the forward function;
    - `out`, the output of the forward function;
    - the extra results named in `keeps`, and in a kernel also those in `caches`;
    - `<input>_shape` and `<input>_dtype`, except for `*xs`: in a VJP, only those of its own input;
      in a kernel, those of any input, or None if that input needs no gradient;
    - `position`, in a VJP of `*xs`: the index of the input to differentiate;
    - `wanted` and `overwrite`, in a kernel: see `backward`.

    >>> from tinygrad_np import Tensor, op
    >>> @op(
    ...     "a b + c",
    ...     vjps={
    ...         "a": lambda grad_out, b: grad_out * b,
    ...         "b": lambda grad_out, a: grad_out * a,
    ...         "c": lambda grad_out: grad_out,
    ...     },
    ... )
    ... def multiply_add(a, b, c):
    ...     return a * b + c
    >>> a = Tensor([2.0, 3.0], requires_grad=True)
    >>> multiply_add(a, Tensor([5.0, 7.0]), 1.0).sum().backward()
    >>> a.grad.tolist()
    [5.0, 7.0]
    """

    forward: Function
    """The decorated function: the NumPy implementation of the op.

    Its positional parameters are the inputs (arrays or numbers, or None for an omitted optional
    input); `*xs` accepts any number of them. Its keyword-only parameters are the options. It
    returns the output array or, if `keeps` or `caches` are given, a tuple of the output and those
    extra results. Callers may pass inputs and options by position (inputs first) or by name."""

    formula: str
    """The formula in one line of text, for the table of ops."""

    vjps: Mapping[str, Function] = field(default_factory=dict)
    """One VJP per differentiable input, by input name.

    A VJP takes `grad_out` and the values it requests, and returns the gradient of its input. Use
    only ops and the operators `+ - * /`, so that it works on arrays and on Tensors and can be
    differentiated again. If the input was broadcast, the engine sums the result over the broadcast
    axes."""

    definition: Function | None = None
    """Alternative to `vjps`: the forward function written in terms of other ops.

    The engine calls it with all inputs and options in the backward pass and differentiates the
    result. Each call therefore saves all inputs."""

    differentiable: tuple[str, ...] = ()
    """Names of the inputs to differentiate through `definition`; empty if `vjps` are given."""

    backward: Callable[..., Sequence[Array | None]] | None = None
    """Optional NumPy kernel that computes the first-order gradients of all inputs in one call.

    It takes `grad_out` and the values it requests. `wanted` is a tuple with one bool per input that
    says which gradients are needed. The kernel returns a list or tuple with one entry per input:
    its gradient, or None if its entry in `wanted` is False. If `overwrite` is True, the kernel may
    write its result into `grad_out`. The engine copies a returned gradient that shares memory with
    `grad_out`, a saved array or another gradient.

    The kernel is not used if it requests an input that the VJPs do not request, because saving that
    input would cost memory. Gradients with `create_graph` always use `vjps` or `definition`."""

    keeps: tuple[str, ...] = ()
    """Names of extra results of the forward function with zero derivative, such as masks or the
    positions of maxima. VJPs and kernels can request them."""

    caches: tuple[str, ...] = ()
    """Names of extra results, returned after those in `keeps`, with nonzero derivative, such as
    batch statistics. Only a kernel can request them: a cached array has no graph, so a VJP that
    used it would have a wrong derivative."""

    view: bool = False
    """Whether the output may share memory with the first input."""

    selection: bool = False
    """Whether the output is always a view of distinct entries of the only input, as in x[:, t].

    A backward pass without `create_graph` then adds `grad_out` in place to the same view of the
    input's total gradient, so a loop over all x[:, t] takes linear time. Summing one array of the
    size of x per step would take quadratic time. With `create_graph`, `vjps` are used."""

    floating: bool = False
    """Whether integer and bool inputs are converted to float32."""

    subgradient: str = ""
    """The derivative chosen at kinks and ties, as text for the documentation."""

    flops: int | Callable[..., int] | None = None
    """Floating-point operations (FLOPs) of the forward function, reported by `profile()`.

    Either a number per element of the output (default 1, or 0 for a view), or a function that
    returns the total and can request inputs, options and `out`. An arithmetic operation, a
    comparison, a selection and a function such as exp each count as 1."""

    backward_flops: Callable[..., int] | None = None
    """Total FLOPs of `backward`: a function that can request options and whatever `backward`
    requests, `grad_out` first. By default 1 per element of the gradients."""

    samples: Samples = Samples()
    """Points at which the tests evaluate the op."""

    # Derived from the fields above and the signature of `forward`.

    name: str = field(init=False)
    signature: inspect.Signature = field(init=False)
    """Signature of `forward`."""
    inputs: list[str] = field(init=False)
    """Names of the inputs."""
    arity: int = field(init=False)
    """Number of inputs; `*xs` counts as one."""
    optional: frozenset[str] = field(init=False)
    """Names of the inputs that can be omitted; they default to None."""
    options: dict[str, Any] = field(init=False)
    """Defaults of the options by name; `inspect.Parameter.empty` if an option has no default."""
    required: frozenset[str] = field(init=False)
    """Names of the options without a default."""
    variadic: str = field(init=False)
    """Name of `*xs` if the op takes any number of inputs, otherwise ''."""
    differentiable_inputs: frozenset[str] = field(init=False)
    """Names of the inputs that have a gradient."""
    extra_results: tuple[str, ...] = field(init=False)
    """Names of the results that the forward function returns after its output."""
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
        """Return the name of the input at `position`; every input in `*xs` has the name xs."""
        return self.variadic or self.inputs[position]


GradFunction: TypeAlias = tuple[int, Function, Callable[[Values], Values] | None]
"""A VJP or a backward kernel, as (position, function, pick).

`position` is the index of the input that a VJP differentiates, or -1 for a kernel. `pick` selects
the arguments after `grad_out` from values in the order of `SavePlan.names`; it is None for a VJP
that takes exactly the saved values in that order.
"""


class SavePlan:
    """The values to save and the gradient functions to use, given which inputs need a gradient.

    For `x * w` with a frozen `w`, only `x` needs a gradient. This gradient is `grad_out * w`, so
    the plan saves `w` and not `x`. A kernel that requests an input that the VJPs do not request is
    not used. Otherwise the plan saves all values that the kernel or the VJPs request, because the
    choice between the two depends on `create_graph`, which is known only in the backward pass.

    Args:
        op: the op that is called.
        wanted: one bool per input: whether it needs a gradient.
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
        # All values that a call could save.
        available = [*inputs, *op.extra_results, "out"]
        places = [place for place, name in enumerate(available) if name in read]
        properties = [(p, kind) for p in range(len(inputs)) for kind in ("shape", "dtype")]

        self.op = op
        self.wanted = wanted
        self.inputs = [place for place in places if place < len(inputs)]
        """Positions of the saved inputs in the call."""
        self.results = [place - len(inputs) for place in places if place >= len(inputs)]
        """Positions of the saved results in `(*extra_results, out)`."""
        self.saves_out = "out" in read
        self.saves_any = bool(places)
        self.options = [name for name in op.options if name in read]
        """Options that the gradient functions request."""
        self.properties = [(p, kind) for p, kind in properties if f"{inputs[p]}_{kind}" in read]
        """Input shapes and dtypes that the gradient functions request."""
        self.names_only_saved = not (self.options or self.properties)
        """Whether the gradient functions request only saved values: no options, shapes, dtypes."""
        self.names = [available[place] for place in places] + self.options
        self.names += [f"{inputs[p]}_{kind}" for p, kind in self.properties]
        self.names += ["wanted", "overwrite"]
        """Names that the gradient functions can request, in the order of `backward.values_of`."""
        self.vjps = [self._gradient(position, vjp) for position, vjp in vjps.items()]
        self.backward = None if kernel is None else self._gradient(-1, kernel)
        self.has_kernel = kernel is not None or op.selection
        """Whether first-order gradients come from a kernel, or are those of a selection."""
        self.is_plain = self.names_only_saved and not self.has_kernel and bool(vjps)
        """Whether first-order gradients come from VJPs that request only saved values."""

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
        # itemgetter runs in C. For a single index it would return the value instead of a sequence,
        # so a contiguous range becomes a slice.
        places = [self.names.index(name) for name in names]
        start, stop = (places[0], places[0] + len(places)) if places else (0, 0)
        is_slice = places == list(range(start, stop))
        indices: list[Any] = [slice(start, stop)] if is_slice else places
        return position, function, itemgetter(*indices)


def parameter_names(function: Function) -> list[str]:
    """Return the parameter names of a function."""
    return list(inspect.signature(function).parameters)
