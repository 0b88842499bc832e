"""Activation checkpointing: save memory by running the forward pass a second time."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygrad_np import random
from tinygrad_np.autograd.dispatch import op
from tinygrad_np.autograd.op import SavePlan
from tinygrad_np.autograd.tape import Variable, clock, record
from tinygrad_np.errors import DtypeError, GraphError
from tinygrad_np.runtime.memory import Array
from tinygrad_np.runtime.state import thread
from tinygrad_np.tensor import Tensor
from tinygrad_np.transforms import find_boundary


@dataclass
class _Call:
    """A function call to repeat, with the state of the default generator before it."""

    function: Callable[..., Tensor]
    args: tuple[Any, ...]
    generator_state: Any
    out: Array

    def __repr__(self) -> str:
        return getattr(self.function, "__name__", type(self.function).__name__)


def _repeat(*, call: _Call) -> Tensor:
    with random.replay(call.generator_state):
        out = call.function(*call.args)
    if not np.array_equal(out.data, call.out, equal_nan=out.dtype.kind == "f"):
        raise GraphError(
            f"checkpoint: expected {call!r} to return the same result when it runs again in the "
            "backward pass, got a different one. The result must not depend on state that the "
            "function changes, and random numbers must come from the default generator."
        )
    return out


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
    random numbers from the default generator. Side effects happen twice: for example, a batch norm
    in training mode updates its running statistics twice.

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
    state = random.state()
    start = next(clock)
    inner = function(*args)
    if not isinstance(inner, Tensor):
        raise DtypeError(
            f"checkpoint: expected the function to return a Tensor, got {type(inner).__name__}."
        )
    if inner.node is None or inner.node.order < start:
        return inner
    below = tuple(find_boundary([inner.node], start))
    held = [value for value in (*args, *below) if isinstance(value, Variable)]
    call = _Call(function, args, state, inner.data)
    versions = [value.version for value in held]
    options = {"call": call}
    node = record(_PLAN, below, (), versions, options, inner.shape, inner.dtype, thread.state)
    return Tensor.wrap(inner.data, node, inner.version)
