"""In-place operators: change the memory of a tensor and, inside a graph, record the change.

The rules are PyTorch's. A leaf that requires a gradient can be changed only inside `no_grad()`. The
result of an op can also be changed while recording: an ordinary op computes the new values, and
its node becomes the origin of the tensor (`Variable.rebase`).
"""

from typing import Any

import numpy as np

from tinygrad_np import engine_checks as checks
from tinygrad_np.autograd.dispatch import apply
from tinygrad_np.autograd.op import Op
from tinygrad_np.autograd.primitives import cast
from tinygrad_np.autograd.tape import AnyVariable, Variable
from tinygrad_np.errors import DtypeError, ShapeError
from tinygrad_np.kernels.dtypes import RANKS
from tinygrad_np.runtime.state import thread


def is_recorded(target: Variable, value: Any) -> bool:
    """Return whether a change of `target` that depends on `value` must be recorded."""
    needs_grad = target.requires_grad or (isinstance(value, Variable) and value.requires_grad)
    return thread.state.recording and needs_grad


def update(who: str, op: Op, target: AnyVariable, value: Any) -> AnyVariable:
    """Set `target` to op(target, value) in place, and return it.

    Raises:
        DtypeError: if the result has a higher kind than `target`, for example float instead of int.
        GraphError: if the change cannot be recorded, or the memory of `target` is read-only.
        ShapeError: if the shape of the result differs from that of `target`.
    """
    checks.check_writeable(who, target)
    if is_recorded(target, value):
        checks.check_changeable(who, target)
    out: Variable = apply(op, (target, value), op.options)
    if out.shape != target.shape:
        raise ShapeError(
            f"{who}: expected a result of shape {target.shape}, got {out.shape}. Compute a new "
            "tensor instead."
        )
    if RANKS[out.dtype.kind] > RANKS[target.dtype.kind]:
        raise DtypeError(
            f"{who}: expected a result of dtype {target.dtype}, got {out.dtype}. Compute a new "
            "tensor instead."
        )
    if out.dtype != target.dtype:
        out = cast(out, dtype=target.dtype)
    if out.node is not None:
        _keep_old_values(out, target)
    np.copyto(target.data, out.data)
    if out.node is None:
        target.mark_changed()
    else:
        target.rebase(out.node)
    return target


def _keep_old_values(out: Variable, target: Variable) -> None:
    """Replace the array of `target` with a copy where it was saved for the gradient."""
    node: Any = out.node
    for place, saved in enumerate(node.saved):
        if saved is target.data:
            node.saved[place], node.versions[place] = saved.copy(), [0]
