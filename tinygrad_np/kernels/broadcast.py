"""Broadcasting, and the sum that reverses it."""

from collections.abc import Sequence

import numpy as np

from tinygrad_np.errors import ShapeError
from tinygrad_np.kernels.reductions import total
from tinygrad_np.runtime.memory import Array


def expand(x: Array, shape: Sequence[int | None]) -> Array:
    """Broadcast x to `shape`, as a read-only view; -1 or None keeps the length of an axis."""
    if None in shape or -1 in shape:
        lengths = (None,) * (len(shape) - x.ndim) + x.shape
        pairs = zip(shape, lengths, strict=False)
        kept = [old if new in (-1, None) else new for new, old in pairs]
        if None in kept or len(shape) < x.ndim:
            raise ShapeError(
                f"expand: expected a length for each axis of shape {x.shape}, and no -1 or None "
                f"for new axes, got {tuple(shape)}."
            )
        shape = kept
    return np.broadcast_to(x, tuple(shape))  # type: ignore[arg-type]


def sum_to(x: Array, shape: tuple[int, ...]) -> Array:
    """Sum x over the axes along which `shape` was broadcast to the shape of x."""
    extra = x.ndim - len(shape)
    axes = tuple(
        axis for axis in range(x.ndim) if axis < extra or shape[axis - extra] != x.shape[axis]
    )
    return total(x, axes, True).reshape(shape)
