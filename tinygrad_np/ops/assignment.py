"""Assignment to entries of a tensor, `x[key] = value`, inside and outside a graph."""

from typing import Any

import numpy as np

from tinygrad_np import engine_checks as checks
from tinygrad_np.autograd.dispatch import op
from tinygrad_np.autograd.inplace import is_recorded
from tinygrad_np.autograd.op import SavePlan
from tinygrad_np.autograd.primitives import cast
from tinygrad_np.autograd.tape import Edge, Variable, record
from tinygrad_np.checks import check_unmasked
from tinygrad_np.errors import DtypeError, raise_translated
from tinygrad_np.ops.elementwise import keep_where
from tinygrad_np.ops.indexing import Key, as_numpy_key, basic_index, getitem, is_basic
from tinygrad_np.ops.shape import reshape
from tinygrad_np.runtime import memory
from tinygrad_np.runtime.memory import Array
from tinygrad_np.runtime.state import run_observed, thread
from tinygrad_np.typing import Shape, Value, Wanted


def _value_vjp(grad_out: Value, key: Key, value_shape: Shape) -> Value:
    grad = getitem(grad_out, key)
    if not is_basic(key):
        grad = keep_where(grad, _is_last(grad_out.shape, key))
    # A value may have additional leading axes of length 1.
    lead = len(value_shape) - len(grad.shape)
    return reshape(grad, shape=(*[1] * lead, *grad.shape)) if lead > 0 else grad


def _is_last(shape: Shape, key: Key) -> Array:
    """Return, for each entry of x[key], whether it is the last one with the same position in x."""
    writer = np.zeros(shape, np.int64)
    order = np.arange(writer[key].size).reshape(writer[key].shape)
    writer[key] = order
    return np.asarray(writer[key] == order)


def _assign_backward(
    grad_out: Array, key: Key, value_shape: Shape, wanted: Wanted, overwrite: bool
) -> list[Array | None]:
    """Return the gradient of x, which is grad_out with 0 at `key`, and that of `value`.

    The zeros are written to grad_out itself if allowed, so the backward pass of a loop over
    out[:, t] = h needs one array, not one per step.
    """
    x_grad = value_grad = None
    if wanted[1]:
        value_grad = np.array(_value_vjp(grad_out, key, value_shape))
    if wanted[0]:
        x_grad = grad_out
        if not overwrite:
            x_grad = memory.empty(grad_out.shape, grad_out.dtype, like=grad_out)
            x_grad[...] = grad_out
        x_grad[key] = 0
    return [x_grad, value_grad]


@op(
    "x with value at key",
    vjps={"x": lambda grad_out, key: assign(grad_out, 0.0, key=key), "value": _value_vjp},
    backward=_assign_backward,
    backward_flops=lambda grad_out: 0,
    flops=0,
)
def assign(x: Array, value: Array, *, key: Key) -> Array:
    """Return a copy of x with `value` at `key`; for repeated indices, the last value wins."""
    out = x.copy()
    out[key] = value
    return out


def setitem(x: Variable, key: Key, value: Any, who: str = "setitem") -> None:
    """Set x[key] to `value`; record the change if x or `value` is part of a graph.

    Args:
        x: the tensor to change, in its own memory.
        key: any NumPy key; index arrays may be Tensors. For repeated indices, the last value wins.
        value: a Tensor, an array, a number or a list that broadcasts to x[key].
        who: the name of the method in error messages.

    Raises:
        AxisError: if an index is out of range, or there are more indices than axes.
        DtypeError: if an index array contains neither integers nor bools, if `value` requires a
            gradient and x is not float, or if it is a masked array or does not contain numbers.
        GraphError: if x is a leaf that requires a gradient, or a view of one, and recording is on;
            if the memory of x is read-only; or if another tensor changed it in place.
        ShapeError: if `value` does not broadcast to x[key] or cannot be converted.

    >>> from tinygrad_np import Tensor
    >>> h = Tensor([1.0, 2.0], requires_grad=True)
    >>> x = Tensor.zeros(2, 2)
    >>> x[1] = h * h
    >>> x.sum().backward()
    >>> h.grad
    Tensor([2., 4.])
    """
    key = as_numpy_key(who, key)
    checks.check_writeable(who, x)
    check_unmasked(who, value)
    if not isinstance(value, Variable):
        value = _checked(who, x, value)
    if is_recorded(x, value):
        _record(who, x, key, value)
    else:
        if thread.state.recording:
            checks.check_current(who, [x])
        _write(who, x, key, value.data if isinstance(value, Variable) else value)
        x.mark_changed()


def _checked(who: str, x: Variable, value: Any) -> Any:
    if not isinstance(value, int | float | np.ndarray | np.generic):
        return x.new_like(value)
    if isinstance(value, np.ndarray | np.generic) and value.dtype.kind not in "biuf":
        raise DtypeError(f"{who}: expected numbers, got an array of dtype {value.dtype}.")
    return value


def _record(who: str, x: Variable, key: Key, value: Any) -> None:
    checks.check_changeable(who, x)
    if not _is_changed_view(value, x, key):
        checks.check_current(who, [x, value])
    edge: Edge | None = None
    if isinstance(value, Variable):
        if x.dtype.kind != "f":
            raise DtypeError(
                f"{who}: expected a float tensor for a value that requires a gradient, got dtype "
                f"{x.dtype}. Try .float() on the tensor, or .detach() on the value."
            )
        value = value if value.dtype == x.dtype else cast(value, dtype=x.dtype)
        edge = value.node or (value if value.requires_grad else None)
        value = value.data
    options, edges = {"key": key}, (x.node, edge)
    run_observed(
        "on_forward", assign, [x.data, value], options, call=lambda: _write(who, x, key, value)
    )
    wanted = (edges[0] is not None, edges[1] is not None)
    plan = assign.plans.get(wanted)
    if plan is None:
        plan = assign.plans[wanted] = SavePlan(assign, wanted)
    # The VJPs of `assign` use only the key, so there are no arrays to save.
    x.rebase(record(plan, edges, (), (), options, x.shape, x.dtype, thread.state))


def _write(who: str, x: Variable, key: Key, value: Any) -> Array:
    try:
        x.data[key] = value
    except Exception as error:
        raise_translated(error, who, [x.data, value], {"key": key})
        raise
    return x.data


def _is_changed_view(value: Any, x: Variable, key: Key) -> bool:
    """Return whether `value` is the view x[key], and the last recorded change was made through it.

    In `x[key] += y`, Python changes a view of x in place and then assigns the view to x[key].
    """
    is_last = isinstance(value, Variable) and value.version is x.version and value.node is not None
    if not (is_last and value.node.order == x.version[-1] and x.is_current(changes=2)):
        return False
    if not is_basic(key):
        return False
    mine, other = (
        array.__array_interface__ for array in (basic_index.forward(x.data, key=key), value.data)
    )
    return all(mine[name] == other[name] for name in ("data", "shape", "strides"))
