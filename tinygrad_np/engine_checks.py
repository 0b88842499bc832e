"""Checks of ops and graphs, with their error messages.

They cover the definition of an op, its calls, what its functions return, and backward passes over a
graph that was freed or changed.
"""

import inspect
from collections.abc import Container, Sequence
from typing import Any, NoReturn

import numpy as np

from tinygrad_np.autograd.op import Op, parameter_names
from tinygrad_np.autograd.tape import Edge, Edges, Node, Variable
from tinygrad_np.errors import DtypeError, GraphError, ShapeError, TinygradNpError
from tinygrad_np.runtime.memory import Array
from tinygrad_np.typing import Options, Values, Wanted


def check_definition(op: Op) -> None:
    """Refuse a definition of an op that contradicts itself, or asks for what no call can give."""
    where = f"op {op.name!r}"
    if bool(op.differentiable) != (op.definition is not None) or (op.vjps and op.definition):
        raise GraphError(
            f"{where}: expected either vjps, or a definition= and differentiable= inputs"
        )
    if op.backward is not None and not op.differentiable_inputs:
        raise GraphError(f"{where}: backward is first-order only. Give vjps or a definition too.")
    if op.backward_flops is not None and op.backward is None:
        raise GraphError(f"{where}: backward_flops requires backward=")
    if unknown := op.differentiable_inputs - set(op.inputs):
        raise GraphError(f"{where}: gradients for {sorted(unknown)}, its inputs are {op.inputs}")
    for name in op.optional:
        default = op.signature.parameters[name].default
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
    shapes = [f"{name}_{kind}" for name in op.inputs for kind in ("shape", "dtype")]
    reserved = {"grad_out", "out", "position", "wanted", "overwrite", *shapes}
    if taken := reserved.intersection([*op.inputs, *op.options, *op.extra_results]):
        raise GraphError(f"{where}: the names {sorted(taken)} are the engine's. Choose others.")
    _check_parameters(op, where)


def _check_parameters(op: Op, where: str) -> None:
    """Refuse VJPs, kernels and FLOP counts that name what they cannot be given."""

    def properties(*names: str) -> list[str]:
        # Any number of inputs have no one shape.
        return [] if op.variadic else [f"{n}_{kind}" for n in names for kind in ("shape", "dtype")]

    common = ["grad_out", *op.inputs, *op.options, "out"]
    kernel = [*common, *op.extra_results, *properties(*op.inputs), "wanted", "overwrite"]
    counted = [*parameter_names(op.backward), *op.options] if op.backward else []
    own = [*common, *op.keeps, *(["position"] if op.variadic else [])]
    functions: list[tuple[str, Any, list[str]]] = [
        ("backward", op.backward, kernel),
        ("backward_flops", op.backward_flops, counted),
        ("flops", op.flops, common[1:]),
        *[(f"the VJP for {n!r}", vjp, [*own, *properties(n)]) for n, vjp in op.vjps.items()],
    ]
    for what, function, known in functions:
        if not callable(function):
            continue
        parameters = inspect.signature(function).parameters.values()
        names = [p.name for p in parameters]
        if starred := [p.name for p in parameters if p.kind is p.KEYWORD_ONLY]:
            raise GraphError(
                f"{where}: {what} is called by position. Name {starred} without a star."
            )
        if "grad_out" in known and names[:1] != ["grad_out"]:
            raise GraphError(f"{where}: {what} must take grad_out first")
        if strange := sorted(set(names) - set(known)):
            raise GraphError(
                f"{where}: {what} names {strange}, expected names among {sorted(known)}"
            )


def check_formula(formula: object) -> None:
    """Refuse `@op` without a formula."""
    if not isinstance(formula, str):
        raise DtypeError('op: expected a formula first, as in @op("x^3", vjps={"x": ...})')


# Calls.


def refuse_call(op: Op, args: Values, given: Options) -> NoReturn:
    """Refuse inputs and options that an op does not have, has twice, or lacks."""
    raise DtypeError(
        f"{op.name}: expected inputs {op.inputs} and options {list(op.options)}, got {len(args)} "
        f"by position and {list(given)} by name"
    )


def check_input(op: Op, value: Any) -> None:
    """Refuse an input that is neither a Tensor nor a number, nor an array of numbers."""
    if not isinstance(value, np.ndarray):
        raise DtypeError(
            f"{op.name}: expected a Tensor, an ndarray or a number, got a {type(value).__name__}. "
            "Try wrapping lists as Tensor(...)."
        )
    if value.dtype.kind not in "biuf":
        raise DtypeError(f"{op.name}: expected an ndarray of numbers, got dtype {value.dtype}.")


def check_wanted(op: Op, wanted: Wanted) -> None:
    """Refuse a tensor that requires a gradient as an input that has none."""
    for position, is_wanted in enumerate(wanted):
        if is_wanted and op.input_name(position) not in op.differentiable_inputs:
            raise GraphError(
                f"{op.name}: input {op.input_name(position)!r} has no gradient, but the tensor "
                "given requires one. Pass tensor.detach() to use it as a constant."
            )


def check_array(op: Op, out: Any) -> Array:
    """Return the output of a forward as an array: NumPy returns scalars where no axis is left."""
    if isinstance(out, np.ndarray | np.generic):
        return np.asarray(out)
    raise GraphError(f"{op.name}: expected an array from the forward, got a {type(out).__name__}")


def check_results(op: Op, results: Any) -> tuple[Any, ...]:
    """Return what a forward with several results returned, if it is a tuple of that length."""
    names = ["out", *op.extra_results]
    if isinstance(results, tuple) and len(results) == len(names):
        return results
    got = f"{type(results).__name__} of {len(results)}" if isinstance(results, tuple) else ""
    raise GraphError(
        f"{op.name}: expected the forward to return the tuple ({', '.join(names)}), got a "
        f"{got or type(results).__name__}"
    )


def check_not_shared(op: Op, made: Sequence[Any], others: Sequence[Any]) -> None:
    """Refuse results of a forward that share memory with its inputs."""
    others = [other for other in others if isinstance(other, np.ndarray)]
    for array in made:
        if isinstance(array, np.ndarray) and any(np.may_share_memory(array, o) for o in others):
            raise GraphError(
                f"{op.name}: the forward returned memory of an input. Return a copy, or say "
                "view=True if the output is a view of the first input."
            )


# Gradients.


def check_root(root: Variable, gradient: object) -> None:
    """Refuse a tensor without a graph, or one of many entries without an upstream gradient."""
    if not root.requires_grad:
        raise GraphError(
            "backward: this tensor does not require a gradient. Create an input of its computation "
            "with requires_grad=True, and compute it outside no_grad()."
        )
    if gradient is None and root.data.size != 1:
        raise ShapeError(
            f"backward: expected an output of one entry, got shape {root.shape}. Pass gradient= of "
            "that shape, or reduce to one number with .sum() or .mean()."
        )


def check_targets(targets: Sequence[Variable]) -> None:
    """Refuse targets that cannot have a gradient."""
    for position, target in enumerate(targets):
        if not target.requires_grad:
            raise GraphError(f"gradient: target {position} does not require a gradient")


def check_used(root: Variable, targets: Sequence[Edge], grads: Container[Edge]) -> None:
    """Refuse targets for which no gradient was found."""
    for position, target in enumerate(targets):
        if target not in grads:
            raise GraphError(
                f"gradient: target {position} of shape {target.shape} was not used to compute the "
                f"output of shape {root.shape}. Leave it out, or use backward(), which passes over "
                "it."
            )


def check_count(op: Op, grads: Any, edges: Edges) -> Sequence[Any]:
    """Return the gradients from a backward kernel, if there is one per input."""
    got = f"a {type(grads).__name__}"
    if isinstance(grads, list | tuple):
        if len(grads) == len(edges):
            return grads
        got = str(len(grads))
    raise GraphError(
        f"op {op.name!r}: expected {len(edges)} gradients from backward, one per input, got {got}"
    )


def check_like(
    expected: str, like: Node | Variable, got: Any, kind: type, error: type[TinygradNpError]
) -> None:
    """Refuse what is not of class `kind`, or not of the shape and dtype of `like`."""
    is_kind = isinstance(got, kind)
    if not is_kind or got.shape != like.shape or got.dtype != like.dtype:
        found = f"{got.shape} {got.dtype}" if is_kind else f"a {type(got).__name__}"
        raise error(f"{expected} of shape {like.shape} and dtype {like.dtype}, got {found}")


def check_usable(node: Node) -> None:
    """Refuse a node that was freed, or that saved a tensor which has changed since."""
    if node.saved is None:
        raise GraphError(
            f"backward: the graph at op {node.op.name!r} (output {node.shape}) was freed by an "
            "earlier backward pass. Pass that one retain_graph=True, or compute the output again."
        )
    if any(version[0] > node.order for version in node.versions):
        raise GraphError(
            f"backward: op {node.op.name!r} (output {node.shape}) saved a tensor that was "
            "changed in place afterwards. Change a copy, or change it after the backward pass."
        )


def check_leaf(node: Node, leaf: Variable, saved: Array) -> None:
    """Refuse a leaf that holds another array than the one a node saved."""
    if leaf.data is not saved:
        raise GraphError(
            f"backward: op {node.op.name!r} saved a leaf whose .data was replaced since"
        )
