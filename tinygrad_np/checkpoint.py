"""Activation checkpointing: save memory by running the forward pass a second time."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from types import CellType, FunctionType, MethodType
from typing import Any

import numpy as np

from tinygrad_np.autograd.dispatch import op
from tinygrad_np.autograd.op import SavePlan
from tinygrad_np.autograd.tape import Variable, clock, record
from tinygrad_np.errors import DtypeError, GraphError
from tinygrad_np.frontend.tensor import Tensor
from tinygrad_np.journal import Journal, Trial
from tinygrad_np.nn.module import Module
from tinygrad_np.runtime.memory import Array
from tinygrad_np.runtime.state import thread
from tinygrad_np.transforms import find_boundary

_EMPTY = CellType()  # a variable of an enclosing function that is not yet assigned


@dataclass
class _Call:
    """A function call to repeat, with the generators and buffers that it uses or changes."""

    function: Callable[..., Tensor]
    args: tuple[Any, ...]
    before: Journal
    out: Array
    version: list[int]
    ended: int
    """The `clock` time at the end of the call."""

    def __repr__(self) -> str:
        return getattr(self.function, "__name__", type(self.function).__name__)


def _repeat(*, call: _Call) -> Tensor:
    with Trial(call.before):
        out = call.function(*call.args)
    if call.version[0] > call.ended:
        return out  # `call.out` has since been changed in place: there is nothing to compare
    if not np.array_equal(out.data, call.out, equal_nan=out.dtype.kind == "f"):
        raise GraphError(
            f"checkpoint: expected {call!r} to return the same result when it runs again in the "
            "backward pass, got a different one. Random numbers must come from the functions and "
            "layers of tinygrad_np, or from a generator that is an argument or a "
            "variable of the function. State "
            "other than buffers, such as training or evaluation mode, must not change."
        )
    return out


def _note_state(journal: Journal, function: Any, args: tuple[Any, ...]) -> None:
    """Note the modules and generators in the arguments, closure and globals of a function.

    Modules that are called and generators passed to tinygrad_np report themselves; this finds those
    that the function uses in other ways, such as `generator.random()` or a method of a module.
    """
    waiting = [function, *args]
    seen = set()
    while waiting:
        value = waiting.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, np.random.Generator):
            journal.note_generator(value)
        elif isinstance(value, Module):
            for module in value.modules():
                journal.note_module(module)
        elif isinstance(value, partial):
            waiting += [value.func, *value.args, *value.keywords.values()]
        elif isinstance(value, MethodType):
            waiting += [value.__self__, value.__func__]
        elif isinstance(value, FunctionType):
            waiting += [cell.cell_contents for cell in value.__closure__ or () if cell != _EMPTY]
            named = [value.__globals__.get(name) for name in value.__code__.co_names]
            waiting += [found for found in named if isinstance(found, np.random.Generator | Module)]
        elif isinstance(value, list | tuple):
            waiting += value
        elif isinstance(value, dict):
            waiting += value.values()


@op(
    "function(*args), run again for its gradient",
    definition=_repeat,
    differentiable=("xs",),
    flops=0,
)
def checkpointed_call(*xs: Array, call: _Call) -> Array:
    """Return the result of a call that keeps only its arguments."""
    return call.out


_PLAN = SavePlan(checkpointed_call, ())


def checkpoint(function: Callable[..., Tensor], *args: Any) -> Tensor:
    """Return `function(*args)`, saving only the arguments for the backward pass.

    The backward pass runs the function again to recompute the intermediate results (Chen et al.
    2016). This trades the time of a second forward pass for memory. The second run draws the same
    random numbers and starts from the same buffers, such as the running statistics of a batch
    norm; afterwards, generators and buffers are as if the function had run once. Other side effects
    happen twice.

    Args:
        function: returns one Tensor; may also use tensors that are not arguments.
        *args: arguments of the function, Tensors or any other values.

    Raises:
        DtypeError: if the function does not return a Tensor.
        GraphError: in the backward pass, if the second run returns a different result.

    >>> from tinygrad_np import checkpoint
    >>> x = Tensor([1.0, 2.0], requires_grad=True)
    >>> checkpoint(lambda x: (x * x * x).sum(), x).backward()
    >>> x.grad
    Tensor([ 3., 12.])
    """
    start = next(clock)
    with Journal() as before:
        _note_state(before, function, args)
        inner = function(*args)
    if not isinstance(inner, Tensor):
        raise DtypeError(
            f"checkpoint: expected the function to return a Tensor, got {type(inner).__name__}."
        )
    if inner.node is None or inner.node.order < start:
        return inner
    below = tuple(find_boundary([inner.node], start))
    held = [value for value in (*args, *below) if isinstance(value, Variable)]
    call = _Call(function, args, before, inner.data, inner.version, next(clock))
    versions = [value.version for value in held]
    options = {"call": call}
    node = record(_PLAN, below, (), versions, options, inner.shape, inner.dtype, thread.state)
    return Tensor.wrap(inner.data, node, inner.version)
