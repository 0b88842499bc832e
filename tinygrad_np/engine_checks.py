"""Argument and consistency checks of the engine, with their error messages.

They cover op definitions, calls of ops, the results of forward and gradient functions, and backward
passes over a graph that was freed or changed in place.
"""

import inspect
from collections.abc import Container, Sequence
from typing import Any, NoReturn

import numpy as np

from tinygrad_np.autograd.op import Op, parameter_names
from tinygrad_np.autograd.tape import Edge, Edges, Node, Variable, was_rebased
from tinygrad_np.checks import check_unmasked, kind_of
from tinygrad_np.errors import DtypeError, GraphError, ShapeError, TinygradNpError
from tinygrad_np.runtime.memory import Array
from tinygrad_np.typing import Options, Values, Wanted


def check_definition(op: Op) -> None:
    """Raise GraphError if the definition of an op contradicts itself."""
    where = f"op {op.name!r}"
    if bool(op.differentiable) != (op.definition is not None) or (op.vjps and op.definition):
        names = ("vjps", "definition", "differentiable")
        given = " and ".join(f"`{name}`" for name in names if getattr(op, name))
        raise GraphError(
            f"{where}: expected either `vjps`, or `definition` together with `differentiable`, got "
            f"{given}."
        )
    if op.backward is not None and not op.differentiable_inputs:
        raise GraphError(
            f"{where}: `backward` computes first-order gradients only. Define `vjps` or a "
            "`definition` as well."
        )
    if op.backward_flops is not None and op.backward is None:
        raise GraphError(f"{where}: `backward_flops` requires a `backward` kernel.")
    has_more = op.backward is not None or op.extra_results
    if op.selection and (len(op.inputs) > 1 or not (op.view and op.vjps) or has_more):
        raise GraphError(
            f"{where}: expected an op with `selection` to have one input, view=True and `vjps`, "
            "but no `backward`, `keeps` or `caches`."
        )
    if unknown := op.differentiable_inputs - set(op.inputs):
        raise GraphError(
            f"{where}: expected gradients only for the inputs {op.inputs}, got some for "
            f"{sorted(unknown)}."
        )
    for name in op.optional:
        default = op.signature.parameters[name].default
        if default is not None:
            raise GraphError(
                f"{where}: expected positional parameters, which are inputs, to default to None, "
                f"got {name}={default!r}. Make an option keyword-only, for example "
                f"{op.name}(x, *, {name}={default!r})."
            )
    if not (op.flops is None or callable(op.flops) or (type(op.flops) is int and op.flops >= 0)):
        raise GraphError(
            f"{where}: expected `flops` to be an integer >= 0 (operations per element of the "
            "output) or a function that returns the total, for example lambda x: x.size, got "
            f"{op.flops!r}."
        )
    shapes = [f"{name}_{kind}" for name in op.inputs for kind in ("shape", "dtype")]
    reserved = {"grad_out", "out", "position", "wanted", "overwrite", *shapes}
    if taken := reserved.intersection([*op.inputs, *op.options, *op.extra_results]):
        raise GraphError(
            f"{where}: the engine reserves the names {sorted(taken)}. Choose other names."
        )
    _check_parameters(op, where)


def _check_parameters(op: Op, where: str) -> None:
    """Raise GraphError for a parameter of a VJP, kernel or FLOP count that cannot be supplied."""

    def properties(*names: str) -> list[str]:
        # `*xs` stands for several inputs and has no single shape.
        return [] if op.variadic else [f"{n}_{kind}" for n in names for kind in ("shape", "dtype")]

    common = ["grad_out", *op.inputs, *op.options, "out"]
    kernel = [*common, *op.extra_results, *properties(*op.inputs), "wanted", "overwrite"]
    counted = [*parameter_names(op.backward), *op.options] if op.backward else []
    own = [*common, *op.keeps, *(["position"] if op.variadic else [])]
    functions: list[tuple[str, Any, list[str]]] = [
        ("`backward`", op.backward, kernel),
        ("`backward_flops`", op.backward_flops, counted),
        ("`flops`", op.flops, common[1:]),
        *[(f"the VJP for {n!r}", vjp, [*own, *properties(n)]) for n, vjp in op.vjps.items()],
    ]
    for what, function, known in functions:
        if not callable(function):
            continue
        parameters = inspect.signature(function).parameters.values()
        names = [p.name for p in parameters]
        if starred := [p.name for p in parameters if p.kind is p.KEYWORD_ONLY]:
            raise GraphError(
                f"{where}: expected {what} to have positional parameters only, got keyword-only "
                f"{starred}. Remove the star."
            )
        if "grad_out" in known and names[:1] != ["grad_out"]:
            raise GraphError(
                f"{where}: expected the first parameter of {what} to be `grad_out`, got the "
                f"parameters {names}."
            )
        if strange := sorted(set(names) - set(known)):
            raise GraphError(
                f"{where}: expected the parameters of {what} to be among {sorted(known)}, got "
                f"{strange}."
            )


def check_formula(formula: object) -> None:
    """Raise DtypeError if `@op` is used without a formula."""
    if not isinstance(formula, str):
        raise DtypeError(
            "op: expected a formula (a string) as the first argument, got "
            f'{type(formula).__name__}. Try @op("x^3", vjps={{"x": ...}}).'
        )


# Calls.


def refuse_call(op: Op, args: Values, given: Options) -> NoReturn:
    """Raise DtypeError for arguments that are unknown, missing or given twice."""
    raise DtypeError(
        f"{op.name}: expected the inputs {op.inputs} and the options {list(op.options)}, got "
        f"{len(args)} positional arguments and the keywords {list(given)}."
    )


def check_input(op: Op, value: Any) -> None:
    """Raise DtypeError unless an input is an array of numbers: not masked, no np.matrix."""
    if not isinstance(value, np.ndarray):
        raise DtypeError(
            f"{op.name}: expected a Tensor, an ndarray or a number, got {kind_of(value)}. "
            "Convert a list with Tensor(...)."
        )
    check_unmasked(op.name, value)
    if isinstance(value, np.matrix):
        raise DtypeError(
            f"{op.name}: expected an ndarray, got a numpy.matrix, whose `*` multiplies matrices. "
            "Use np.asarray(matrix)."
        )
    if value.dtype.kind not in "biuf":
        raise DtypeError(
            f"{op.name}: expected an ndarray of float, int or bool dtype, got dtype {value.dtype}."
        )


def check_options(op: Op, options: Options) -> None:
    """Raise GraphError if an option is a tensor that requires a gradient."""
    for name, value in options.items():
        if isinstance(value, Variable) and value.requires_grad:
            raise GraphError(
                f"{op.name}: expected a number for the option `{name}`, which has no gradient, got "
                "a tensor that requires one. Use .item(), or .detach() first."
            )


def check_wanted(op: Op, wanted: Wanted) -> None:
    """Raise GraphError if a tensor that requires a gradient is passed for an input without one."""
    for position, is_wanted in enumerate(wanted):
        if is_wanted and op.input_name(position) not in op.differentiable_inputs:
            raise GraphError(
                f"{op.name}: the op defines no gradient for input {op.input_name(position)!r}, but "
                "the tensor passed for it requires one. Pass tensor.detach() to treat it as a "
                "constant."
            )


def check_array(op: Op, out: Any) -> Array:
    """Return the output of a forward function as an array; NumPy may have returned a scalar."""
    if isinstance(out, np.ndarray | np.generic):
        return np.asarray(out)
    raise GraphError(
        f"{op.name}: expected the forward function to return an array, got {type(out).__name__}."
    )


def check_results(op: Op, results: Any) -> tuple[Any, ...]:
    """Return `results`; raise GraphError unless it is a tuple of the output and extra results."""
    names = ["out", *op.extra_results]
    if isinstance(results, tuple) and len(results) == len(names):
        return results
    got = f"{type(results).__name__} of length {len(results)}" if isinstance(results, tuple) else ""
    raise GraphError(
        f"{op.name}: expected the forward function to return the tuple ({', '.join(names)}), got "
        f"{got or type(results).__name__}."
    )


def check_not_shared(op: Op, made: Sequence[Any], others: Sequence[Any]) -> None:
    """Raise GraphError if a result of a forward function shares memory with an input."""
    others = [other for other in others if isinstance(other, np.ndarray)]
    for array in made:
        if isinstance(array, np.ndarray) and any(np.may_share_memory(array, o) for o in others):
            raise GraphError(
                f"{op.name}: the forward function returned an array that shares memory with an "
                "input. Return a copy, or pass view=True to @op if the output is a view of the "
                "first input."
            )


# In-place changes.


def check_current(who: str, inputs: Values) -> None:
    """Raise GraphError if the memory of an input was changed through another tensor."""
    for position, value in enumerate(inputs):
        if isinstance(value, Variable) and not value.is_current():
            raise GraphError(
                f"{who}: the memory of input {position} of shape {value.shape} was changed by an "
                "in-place operation on another tensor, which this tensor's graph does not include. "
                "Take a view after such a change, and change a view only through its base, as in "
                "base[key] = value."
            )


def check_changeable(who: str, target: Variable) -> None:
    """Raise GraphError if an in-place change of `target` cannot be recorded."""
    edge: Any = target.node or target
    while isinstance(edge, Node) and edge.op.view and edge.edges:
        edge = edge.edges[0]
    if isinstance(edge, Variable) and edge._requires_grad and edge.version is target.version:
        what = "leaf" if edge is target else "view of a leaf"
        raise GraphError(
            f"{who}: this tensor is a {what} that requires a gradient, and a recorded in-place "
            "change would make that gradient wrong. Change it inside no_grad(), or compute a new "
            "tensor."
        )


def check_writeable(who: str, target: Variable) -> None:
    """Raise GraphError if the memory of `target` is read-only."""
    if not target.data.flags.writeable:
        raise GraphError(
            f"{who}: the memory of this tensor of shape {target.shape} is read-only: it is an "
            "expanded tensor, a gradient passed to a hook, or a read-only array. Compute a new "
            "tensor instead."
        )


# Gradients.


def check_root(who: str, root: Variable, gradient: object) -> None:
    """Raise unless `root` requires a gradient, and has one element if `gradient` is None."""
    if was_rebased[0]:
        check_current(who, [root])
    if not root.requires_grad:
        raise GraphError(
            f"{who}: this tensor does not require a gradient. Compute it outside no_grad() from a "
            "tensor created with requires_grad=True."
        )
    if gradient is None and root.data.size != 1:
        raise ShapeError(
            f"{who}: expected a tensor with one element, got shape {root.shape}. Pass a "
            "`gradient` of that shape, or reduce the tensor with .sum() or .mean()."
        )


def check_targets(targets: Sequence[Variable]) -> None:
    """Raise GraphError for a target that does not require a gradient."""
    check_current("gradient", targets)
    for position, target in enumerate(targets):
        if not target.requires_grad:
            raise GraphError(
                f"gradient: target {position} does not require a gradient. Create it with "
                "requires_grad=True."
            )


def check_used(root: Variable, targets: Sequence[Edge], grads: Container[Edge]) -> None:
    """Raise GraphError for a target that has no gradient because `root` does not depend on it."""
    for position, target in enumerate(targets):
        if target not in grads:
            raise GraphError(
                f"gradient: target {position} of shape {target.shape} was not used to compute the "
                f"output of shape {root.shape}. Remove it from the targets, or call backward(), "
                "which skips unused tensors."
            )


def check_count(op: Op, grads: Any, edges: Edges) -> Sequence[Any]:
    """Return a kernel's gradients; raise GraphError unless it returned one per input."""
    got = type(grads).__name__
    if isinstance(grads, list | tuple):
        if len(grads) == len(edges):
            return grads
        got = str(len(grads))
    raise GraphError(
        f"op {op.name!r}: expected `backward` to return one gradient per input ({len(edges)}), got "
        f"{got}."
    )


def check_selection(op: Op, part: Any, total: Array) -> None:
    """Raise GraphError if an op with `selection` returned new memory instead of a view."""
    if part.size and not np.may_share_memory(part, total):
        raise GraphError(
            f"op {op.name!r}: expected an op with `selection` to return a view, got new memory."
        )


def check_like(
    expected: str, like: Node | Variable, got: Any, kind: type, error: type[TinygradNpError]
) -> None:
    """Raise `error` unless `got` is a `kind` with the shape and dtype of `like`.

    The message starts with `expected`.
    """
    is_kind = isinstance(got, kind)
    if not is_kind or got.shape != like.shape or got.dtype != like.dtype:
        found = f"{got.shape} {got.dtype}" if is_kind else type(got).__name__
        raise error(f"{expected} of shape {like.shape} and dtype {like.dtype}, got {found}.")


def check_usable(node: Node) -> None:
    """Raise GraphError if a node was freed, or a tensor it saved was changed in place."""
    if node.saved is None:
        raise GraphError(
            f"backward: the graph at op {node.op.name!r} (output shape {node.shape}) was freed by "
            "an earlier backward pass. Call the earlier one with retain_graph=True, or run the "
            "forward pass again."
        )
    if any(version[0] > node.order for version in node.versions):
        raise GraphError(
            f"backward: the gradient of op {node.op.name!r} (output shape {node.shape}) needs a "
            "tensor that was changed in place after the op ran. Change a copy, or change the "
            "tensor after the backward pass."
        )


def check_leaf(node: Node, leaf: Variable, saved: Array) -> None:
    """Raise GraphError if the `.data` of a leaf is not the array that a node saved."""
    if leaf.data is not saved:
        raise GraphError(
            f"backward: the gradient of op {node.op.name!r} needs a leaf tensor, but its .data was "
            "replaced after the op ran. Replace it after the backward pass."
        )
