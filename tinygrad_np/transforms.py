"""Function transforms: gradients, Jacobians, Hessians and their products, freely nested.

Each transform takes a function and `argnum`, the position (or a sequence of positions) of the
arguments to differentiate with respect to. Such an argument is a Tensor, an array, a number, or an
`nn.Module`, which stands for its trainable parameters. The result has the structure of the
argument: a Tensor, a dict of Tensors by parameter name for a Module, or a tuple if `argnum` is a
sequence.

A result has a graph, so that it can be differentiated again, if one of these requires a gradient:

- an argument, including the variable of an enclosing transform;
- another tensor that the function uses;
- the upstream gradient passed to a VJP, or the tangent passed to `jvp` or `hvp`. On its own, this
  gives a graph to the derivative but not to the value.

The result for a Module has a graph inside any enclosing transform. Otherwise, and inside
`no_grad()`, results have no graph.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygrad_np.autograd.backward import gradient
from tinygrad_np.autograd.primitives import expand
from tinygrad_np.autograd.tape import Edge, Node, clock
from tinygrad_np.errors import ArgumentError, DtypeError, ShapeError
from tinygrad_np.frontend.tensor import Tensor
from tinygrad_np.nn.module import Module
from tinygrad_np.ops import stack
from tinygrad_np.runtime.state import Recording, thread

Argnum = int | Sequence[int]


class _Depth(threading.local):
    depth = 0


_inside = _Depth()


@dataclass
class _Point:
    """The value of a function, and the tensors to differentiate it with respect to.

    `forms` has one entry per argument: the parameter names of a Module, or None for a Tensor.
    """

    name: str
    value: Any
    targets: list[Tensor]
    forms: list[list[str] | None]
    is_single: bool
    create_graph: bool

    def grads(self, value: Any, cotangent: Any, create_graph: bool) -> list[Tensor]:
        """Return the VJP of `cotangent` for each target; zeros if `value` does not depend on it."""
        found: list[Any] = [None] * len(self.targets)
        if value.requires_grad:
            found = gradient(value, self.targets, cotangent, create_graph, True)
        pairs = zip(found, self.targets, strict=True)
        return [target.zeros_like() if grad is None else grad for grad, target in pairs]

    def arrange(self, values: Sequence[Any]) -> Any:
        """Arrange one value per target in the structure of the arguments."""
        rest = iter(values)
        parts = [
            next(rest) if form is None else {name: next(rest) for name in form}
            for form in self.forms
        ]
        return parts[0] if self.is_single else tuple(parts)

    def flat(self, tangent: Any) -> list[Tensor]:
        """Flatten a tangent with the structure of the arguments into one Tensor per target."""
        is_nest = not self.is_single and isinstance(tangent, tuple | list)
        parts = tuple(tangent) if is_nest else (tangent,)
        if len(parts) != len(self.forms):
            raise ArgumentError(
                f"{self.name}: expected {len(self.forms)} tangents, got {len(parts)}."
            )
        values: list[Any] = []
        for form, part in zip(self.forms, parts, strict=True):
            if form is None:
                values.append(part)
            elif not isinstance(part, Mapping) or set(part) != set(form):
                got = sorted(part) if isinstance(part, Mapping) else type(part).__name__
                raise ArgumentError(
                    f"{self.name}: expected the tangent of a module to be a dict with the keys "
                    f"{form}, one Tensor per parameter, got {got}."
                )
            else:
                values += [part[name] for name in form]
        tensors = [
            value if isinstance(value, Tensor) else Tensor(np.asarray(value), target.dtype)
            for value, target in zip(values, self.targets, strict=True)
        ]
        for tensor, target in zip(tensors, self.targets, strict=True):
            if tensor.shape != target.shape or tensor.dtype != target.dtype:
                raise ShapeError(
                    f"{self.name}: expected a tangent of shape {target.shape} and dtype "
                    f"{target.dtype}, to match its argument, got {tensor.shape} {tensor.dtype}."
                )
        return tensors


def _evaluate(
    name: str, function: Callable[..., Any], argnum: Argnum, args: Sequence[Any], kwargs: Any
) -> _Point:
    """Call `function` with the chosen arguments replaced by tensors that require a gradient."""
    positions = tuple(argnum) if isinstance(argnum, Sequence) else (argnum,)
    is_known = all(isinstance(p, int) and 0 <= p < len(args) for p in positions)
    if not positions or not is_known or len(set(positions)) < len(positions):
        raise ArgumentError(
            f"{name}: expected `argnum` to be one or more distinct positions >= 0 and "
            f"< {len(args)}, the number of arguments, got {argnum!r}."
        )
    arguments = list(args)
    targets: list[Tensor] = []
    forms: list[list[str] | None] = []
    asked = False
    for position in positions:
        given = args[position]
        if isinstance(given, Module):
            asked = asked or _inside.depth > 0  # an enclosing transform may differentiate it too
            named = {n: p for n, p in given.named_parameters() if p.requires_grad}
            targets += named.values()
            forms.append(list(named))
            continue
        tensor = given if isinstance(given, Tensor) else Tensor(given)
        if tensor.dtype.kind != "f":
            raise DtypeError(
                f"{name}: expected argument {position} to have a float dtype, got {tensor.dtype}. "
                "Convert it with .float()."
            )
        if tensor.requires_grad:
            asked = True
            with Recording(True):
                tensor = expand(tensor, shape=tensor.shape)  # a new node, used by this call only
        else:
            tensor = tensor.detach()
            tensor.requires_grad = True
        arguments[position] = tensor
        targets.append(tensor)
        forms.append(None)
    start = next(clock)
    _inside.depth += 1
    try:
        with Recording(True):
            value = function(*arguments, **kwargs)
    finally:
        _inside.depth -= 1
    own = {id(target) for target in targets}
    asked = asked or any(id(edge) not in own for edge in find_boundary(_edges(value), start))
    is_single = isinstance(argnum, int)
    return _Point(name, value, targets, forms, is_single, asked and thread.state.recording)


def find_boundary(edges: Sequence[Edge], start: int) -> dict[Edge, None]:
    """Return the leaves and the nodes older than `start` below `edges`, in a fixed order."""
    found: dict[Edge, None] = {}
    seen: set[Edge] = set()
    waiting = list(edges)
    while waiting:
        edge = waiting.pop()
        if edge in seen:
            continue
        seen.add(edge)
        if type(edge) is Node and edge.order > start:
            waiting += [below for below in edge.edges if isinstance(below, Node | Tensor)]
        else:
            found[edge] = None
    return found


def _edges(value: Any) -> list[Edge]:
    """Return the nodes and leaves of all Tensors in a nested value that require a gradient."""
    return [tensor.node or tensor for tensor in _tensors(value) if tensor.requires_grad]


def _tensors(value: Any) -> list[Tensor]:
    """Return the Tensors in nested tuples, lists and dicts."""
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, Mapping):
        value = tuple(value.values())
    parts = value if isinstance(value, tuple | list) else ()
    return [tensor for part in parts for tensor in _tensors(part)]


def _output(point: _Point) -> Tensor:
    if not isinstance(point.value, Tensor):
        raise DtypeError(
            f"{point.name}: expected the function to return a Tensor, got "
            f"{type(point.value).__name__}."
        )
    return point.value


def _one_number(point: _Point) -> Tensor:
    value = _output(point)
    if value.numel() != 1:
        raise ShapeError(
            f"{point.name}: expected the function to return one number, got shape {value.shape}. "
            "Reduce it, for example with .sum(), or use jacobian."
        )
    return value


def _value_of(point: _Point, value: Tensor) -> Tensor:
    return value if point.create_graph else value.detach()


def _split(name: str, args: Sequence[Any]) -> tuple[Sequence[Any], Any]:
    """Split `args` into the arguments of the function and the tangent, which comes last."""
    if len(args) < 2:
        raise ArgumentError(
            f"{name}: expected the arguments of the function followed by a tangent, got "
            f"{len(args)} arguments."
        )
    return args[:-1], args[-1]


def _is_asked(weights: Sequence[Any]) -> bool:
    """Return whether to record a result linear in `weights`: whether one requires a gradient."""
    return thread.state.recording and any(getattr(w, "requires_grad", False) for w in weights)


def value_and_grad(function: Callable[..., Tensor], argnum: Argnum = 0) -> Callable[..., Any]:
    """Return a function that computes the value of a scalar `function` and its gradient.

    Args:
        function: returns a Tensor with one element.
        argnum: position or positions of the arguments to differentiate with respect to.

    The returned function raises ArgumentError if `argnum` is out of range, DtypeError if such an
    argument is not a float or `function` does not return a Tensor, and ShapeError unless the value
    has exactly one element.

    >>> from tinygrad_np.transforms import value_and_grad
    >>> value_and_grad(lambda x: (x * x).sum())(Tensor([1.0, 3.0]))
    (Tensor(10.), Tensor([2., 6.]))
    """

    def transformed(*args: Any, **kwargs: Any) -> Any:
        point = _evaluate("value_and_grad", function, argnum, args, kwargs)
        value = _one_number(point)
        return _value_of(point, value), point.arrange(point.grads(value, None, point.create_graph))

    return transformed


def grad(function: Callable[..., Tensor], argnum: Argnum = 0) -> Callable[..., Any]:
    """Return a function that computes the gradient of a scalar `function`.

    Args:
        function: returns a Tensor with one element.
        argnum: position or positions of the arguments to differentiate with respect to.

    The returned function raises ArgumentError if `argnum` is out of range, DtypeError if such an
    argument is not a float or `function` does not return a Tensor, and ShapeError unless the value
    has exactly one element.

    >>> from tinygrad_np.transforms import grad
    >>> grad(grad(lambda x: x**3))(2.0)
    Tensor(12.)
    """

    def transformed(*args: Any, **kwargs: Any) -> Any:
        point = _evaluate("grad", function, argnum, args, kwargs)
        return point.arrange(point.grads(_one_number(point), None, point.create_graph))

    return transformed


def vjp(function: Callable[..., Tensor], argnum: Argnum = 0) -> Callable[..., Any]:
    """Return a function that computes the value of `function` and its VJP.

    The VJP is a function that maps an upstream gradient, with the shape of the value, to the
    gradient with respect to the arguments. It can be called any number of times.

    The returned function raises ArgumentError if `argnum` is out of range, and DtypeError if such
    an argument is not a float or `function` does not return a Tensor. The VJP raises ShapeError if
    the upstream gradient differs from the value in shape or, if it is a Tensor, in dtype.

    >>> from tinygrad_np.transforms import vjp
    >>> value, pull = vjp(lambda x: x * x)(Tensor([1.0, 3.0]))
    >>> pull(Tensor([1.0, 10.0]))
    Tensor([ 2., 60.])
    """

    def transformed(*args: Any, **kwargs: Any) -> Any:
        point = _evaluate("vjp", function, argnum, args, kwargs)
        value = _output(point)

        def pull(gradient: Any) -> Any:
            create_graph = point.create_graph or _is_asked([gradient])
            return point.arrange(point.grads(value, gradient, create_graph))

        return _value_of(point, value), pull

    return transformed


def jvp(function: Callable[..., Tensor], argnum: Argnum = 0) -> Callable[..., Any]:
    """Return a function that computes the value of `function` and its derivative along a tangent.

    The returned function takes the arguments of `function` followed by the tangent, which has the
    structure of the arguments to differentiate with respect to. The JVP is computed as the VJP of
    the VJP, which is linear in the upstream gradient.

    The returned function raises ArgumentError if `argnum` is out of range or the tangent is missing
    or has a different structure, DtypeError if such an argument is not a float or `function` does
    not return a Tensor, and ShapeError if a tangent differs from its argument in shape or, if it is
    a Tensor, in dtype.

    >>> from tinygrad_np.transforms import jvp
    >>> jvp(lambda x: x * x)(Tensor([1.0, 3.0]), Tensor([1.0, 10.0]))
    (Tensor([1., 9.]), Tensor([ 2., 60.]))
    """

    def transformed(*args: Any, **kwargs: Any) -> Any:
        arguments, tangent = _split("jvp", args)
        point = _evaluate("jvp", function, argnum, arguments, kwargs)
        value = _output(point)
        tangents = point.flat(tangent)
        create_graph = point.create_graph or _is_asked(tangents)
        total = value.zeros_like()
        if not value.requires_grad:
            return _value_of(point, value), total
        weight = value.zeros_like()
        weight.requires_grad = True
        for pulled, along in zip(point.grads(value, weight, True), tangents, strict=True):
            if pulled.requires_grad:
                (part,) = gradient(pulled, [weight], along, create_graph, True)
                total = total if part is None else total + part
        return _value_of(point, value), total

    return transformed


def jacobian(function: Callable[..., Any], argnum: Argnum = 0) -> Callable[..., Any]:
    """Return a function that computes the Jacobian of `function`, of shape (*value, *argument).

    If `function` returns a tuple, list or dict of Tensors, the Jacobians have the same structure,
    with lists as tuples.

    The returned function raises ArgumentError if `argnum` is out of range, and DtypeError if such
    an argument is not a float or `function` returns anything but Tensors.

    >>> from tinygrad_np.transforms import jacobian
    >>> jacobian(lambda x: x * x)(Tensor([1.0, 3.0]))
    Tensor([[2., 0.],
            [0., 6.]])
    """

    def transformed(*args: Any, **kwargs: Any) -> Any:
        point = _evaluate("jacobian", function, argnum, args, kwargs)
        return _each(point.value, lambda value: _rows(point, value))

    return transformed


def _each(value: Any, function: Callable[[Tensor], Any]) -> Any:
    """Apply `function` to each Tensor in nested tuples, lists and dicts."""
    if isinstance(value, Tensor):
        return function(value)
    if isinstance(value, Mapping):
        return {name: _each(part, function) for name, part in value.items()}
    if isinstance(value, tuple | list):
        return tuple(_each(part, function) for part in value)
    raise DtypeError(
        f"jacobian: expected the function to return Tensors, got {type(value).__name__}."
    )


def _rows(point: _Point, value: Tensor) -> Any:
    units = np.eye(value.numel(), dtype=value.dtype).reshape(value.numel(), *value.shape)
    rows = [point.grads(value, unit, point.create_graph) for unit in units]
    whole = [
        stack(*[row[place] for row in rows]).reshape(value.shape + target.shape)
        if rows
        else Tensor(np.zeros(value.shape + target.shape, target.dtype))
        for place, target in enumerate(point.targets)
    ]
    return point.arrange(whole)


def hessian(function: Callable[..., Tensor], argnum: Argnum = 0) -> Callable[..., Any]:
    """Return a function that computes the Hessian of a scalar `function`.

    The Hessian has shape (*argument, *argument). For several arguments or a Module, it is nested:
    `result[i][j]` is the second derivative with respect to arguments or parameters i and j.

    The returned function raises ArgumentError if `argnum` is out of range, DtypeError if such an
    argument is not a float or `function` does not return a Tensor, and ShapeError unless the value
    has exactly one element.

    >>> from tinygrad_np.transforms import hessian
    >>> hessian(lambda x: (x**3).sum())(Tensor([1.0, 2.0]))
    Tensor([[ 6.,  0.],
            [ 0., 12.]])
    """
    return jacobian(grad(function, argnum), argnum)


def hvp(function: Callable[..., Tensor], argnum: Argnum = 0) -> Callable[..., Any]:
    """Return a function that computes the product of the Hessian of `function` with a tangent.

    The returned function takes the arguments of `function` followed by the tangent. It does not
    build the Hessian (Pearlmutter 1994).

    The returned function raises ArgumentError if `argnum` is out of range or the tangent is missing
    or has a different structure, DtypeError if such an argument is not a float or `function` does
    not return a Tensor, and ShapeError if a tangent differs from its argument in shape or, if it is
    a Tensor, in dtype, or if the value does not have exactly one element.

    >>> from tinygrad_np.transforms import hvp
    >>> hvp(lambda x: (x**3).sum())(Tensor([1.0, 2.0]), Tensor([1.0, 10.0]))
    Tensor([  6., 120.])
    """

    def transformed(*args: Any, **kwargs: Any) -> Any:
        arguments, tangent = _split("hvp", args)
        point = _evaluate("hvp", function, argnum, arguments, kwargs)
        tangents = point.flat(tangent)
        create_graph = point.create_graph or _is_asked(tangents)
        slopes = point.grads(_one_number(point), None, True)
        with Recording(True):
            along = Tensor(0.0, point.value.dtype)
            for slope, part in zip(slopes, tangents, strict=True):
                along = along + (slope * part).sum()
        return point.arrange(point.grads(along, None, create_graph))

    return transformed
