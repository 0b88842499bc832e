"""Ops that the engine uses: `sum_to` undoes broadcasting, `expand` is its VJP, `cast` converts."""

from collections.abc import Sequence

from numpy.typing import DTypeLike

from tinygrad_np.autograd.dispatch import op
from tinygrad_np.checks import check_dtype
from tinygrad_np.kernels import broadcast
from tinygrad_np.runtime.memory import Array
from tinygrad_np.typing import Shape


@op("x repeated along new and size-1 axes", vjps={"x": lambda grad_out: grad_out}, view=True)
def expand(x: Array, *, shape: Sequence[int | None]) -> Array:
    """Return a read-only view of `x` broadcast to `shape`.

    In `shape`, -1 or None keeps the length of an axis. The engine sums the gradient over the
    broadcast axes.

    Raises:
        ShapeError: if x does not broadcast to `shape`.

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
    """Sum over broadcast axes, so that the result has `shape`."""
    return broadcast.sum_to(x, shape)


@op(
    "x in another dtype",
    vjps={"x": lambda grad_out, x_dtype: cast(grad_out, dtype=x_dtype)},
    flops=0,
)
def cast(x: Array, *, dtype: DTypeLike) -> Array:
    """Return a copy of `x` converted to `dtype`.

    Raises:
        DtypeError: if `dtype` is not a float, int or bool dtype.

    >>> Tensor([1.7, -1.7]).cast(np.int64)
    Tensor([ 1, -1])
    """
    return x.astype(check_dtype("cast", dtype))
