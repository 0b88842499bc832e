"""Sorting and top-k.

Only `argsort` is a primitive op, without a gradient. The values are gathered by its indices, so
their gradient is a scatter.
"""

import numpy as np

from tinygrad_np.autograd.dispatch import V, op
from tinygrad_np.errors import ArgumentError
from tinygrad_np.ops.indexing import basic_index, gather
from tinygrad_np.runtime.memory import Array


@op(
    "indices that sort x",
    flops=lambda x, dim: x.size * (x.shape[dim] - 1).bit_length() if x.ndim else 0,
)
def argsort(x: Array, *, dim: int = -1, descending: bool = False) -> Array:
    """Return the int64 indices that sort x along `dim`.

    The sort is stable, even with `descending`. A nan counts as the largest entry.

    Raises:
        AxisError: if `dim` is out of range.

    >>> Tensor([3.0, 1.0, 2.0]).argsort()
    Tensor([1, 2, 0])
    """
    if not x.ndim and dim in (0, -1):
        return np.zeros((), np.int64)
    if not descending:
        return np.argsort(x, dim, kind="stable")
    # Reversing before and after keeps equal entries in order.
    backwards = np.argsort(np.flip(x, dim), dim, kind="stable")
    return np.asarray(np.flip(x.shape[dim] - 1 - backwards, dim))


def sort(x: V, dim: int = -1, descending: bool = False) -> tuple[V, V]:
    """Sort x along `dim`; return the sorted values and their int64 indices in x.

    The sort is stable, even with `descending`. A nan counts as the largest entry.

    Raises:
        AxisError: if `dim` is out of range.

    >>> from tinygrad_np import Tensor
    >>> Tensor([3.0, 1.0, 2.0]).sort(descending=True)
    (Tensor([3., 2., 1.]), Tensor([0, 2, 1]))
    """
    places = argsort(x, dim, descending)
    return gather(x, dim, places), places


def topk(x: V, k: int, dim: int = -1, largest: bool = True, sorted_: bool = True) -> tuple[V, V]:
    """Return the k largest entries along `dim`, in order, and their int64 indices.

    Args:
        x: the input.
        k: number of entries.
        dim: the axis to select along.
        largest: if False, return the k smallest entries instead.
        sorted_: must be True; the entries are always sorted.

    Raises:
        ArgumentError: if k is negative or larger than the axis, or `sorted_` is False.
        AxisError: if `dim` is out of range.

    >>> from tinygrad_np import Tensor
    >>> Tensor([3.0, 1.0, 2.0]).topk(2)
    (Tensor([3., 2.]), Tensor([0, 2]))
    """
    if not sorted_:
        raise ArgumentError("topk: expected `sorted_` to be True, got False.")
    places = argsort(x, dim, largest)
    length = x.shape[dim] if x.shape else 1
    if not 0 <= k <= length:
        raise ArgumentError(
            f"topk: expected `k` to be from 0 to {length}, the length of axis {dim}, got {k}."
        )
    if not x.shape:
        return gather(x, dim, places), places
    key = [slice(None)] * len(x.shape)
    key[dim] = slice(k)
    places = basic_index(places, key=tuple(key))
    return gather(x, dim, places), places
