"""The three ops that the engine itself calls. Broadcasting and summing are each other's VJPs."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import DTypeLike

from tinygrad_np.autograd.dispatch import op
from tinygrad_np.autograd.tape import Shape
from tinygrad_np.checks import check_dtype
from tinygrad_np.errors import ShapeError
from tinygrad_np.kernels.elementwise import total
from tinygrad_np.runtime.memory import Array


@op("x repeated along new and size-1 axes", vjps={"x": lambda grad_out: grad_out}, view=True)
def expand(x: Array, *, shape: Sequence[int | None]) -> Array:
    """Repeat axes of length 1, and add axes in front, to `shape`; a read-only view.

    -1 or None keeps a length. The engine sums the gradient back.

    >>> Tensor([[1], [2]]).expand(-1, 3)
    Tensor([[1, 1, 1],
            [2, 2, 2]])
    """
    if None in shape or -1 in shape:
        lengths = (None,) * (len(shape) - x.ndim) + x.shape
        pairs = zip(shape, lengths, strict=False)
        kept = [old if new in (-1, None) else new for new, old in pairs]
        if None in kept or len(shape) < x.ndim:
            raise ShapeError(
                f"expand: expected a length per axis of shape {x.shape}, and -1 or None only for "
                f"those, got {tuple(shape)}."
            )
        shape = kept
    return np.broadcast_to(x, tuple(shape))  # type: ignore[arg-type]


@op(
    "x summed over the axes that broadcasting added",
    vjps={"x": lambda grad_out, x_shape: expand(grad_out, shape=x_shape)},
    flops=lambda x: x.size,
)
def sum_to(x: Array, *, shape: Shape) -> Array:
    """Sum to `shape`: undo a broadcast."""
    extra = x.ndim - len(shape)
    axes = tuple(
        axis for axis in range(x.ndim) if axis < extra or shape[axis - extra] != x.shape[axis]
    )
    return total(x, axes, True).reshape(shape)


@op(
    "x in another dtype",
    vjps={"x": lambda grad_out, x_dtype: cast(grad_out, dtype=x_dtype)},
    flops=0,
)
def cast(x: Array, *, dtype: DTypeLike) -> Array:
    """Convert to `dtype`; a copy, even where nothing changes.

    >>> Tensor([1.7, -1.7]).cast(np.int64)
    Tensor([ 1, -1])
    """
    return x.astype(check_dtype("cast", dtype))
