"""The three ops that the engine itself calls. Broadcasting and summing are each other's VJPs."""

from collections.abc import Sequence

from numpy.typing import DTypeLike

from tinygrad_np.autograd.dispatch import op
from tinygrad_np.checks import check_dtype
from tinygrad_np.kernels import broadcast
from tinygrad_np.runtime.memory import Array
from tinygrad_np.typing import Shape


@op("x repeated along new and size-1 axes", vjps={"x": lambda grad_out: grad_out}, view=True)
def expand(x: Array, *, shape: Sequence[int | None]) -> Array:
    """Repeat axes of length 1, and add axes in front, to `shape`; a read-only view.

    -1 or None keeps a length. The engine sums the gradient back.

    >>> Tensor([[1], [2]]).expand(-1, 3)
    Tensor([[1, 1, 1],
            [2, 2, 2]])
    """
    return broadcast.expand(x, shape)


@op(
    "x summed over the axes that broadcasting added",
    vjps={"x": lambda grad_out, x_shape: expand(grad_out, shape=x_shape)},
    flops=lambda x: x.size,
)
def sum_to(x: Array, *, shape: Shape) -> Array:
    """Sum to `shape`: undo a broadcast."""
    return broadcast.sum_to(x, shape)


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
