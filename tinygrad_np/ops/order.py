"""Sorting, top-k and medians.

Only `argsort` is a primitive op, without a gradient. The values are gathered by its indices, so
their gradient is a scatter.
"""

import numpy as np

from tinygrad_np.autograd.dispatch import V, op
from tinygrad_np.errors import ArgumentError, ShapeError
from tinygrad_np.ops.elementwise import as_array, gt, isnan, logical_not, where
from tinygrad_np.ops.indexing import basic_index, gather, getitem
from tinygrad_np.ops.reduce import argmax, max
from tinygrad_np.ops.shape import measure_axis, reshape, squeeze
from tinygrad_np.runtime.memory import Array
from tinygrad_np.typing import Value, ValuesAndIndices


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


def sort(x: V, dim: int = -1, descending: bool = False) -> ValuesAndIndices[V]:
    """Sort x along `dim`; return the sorted values and their int64 indices in x.

    The sort is stable, even with `descending`. A nan counts as the largest entry.

    Raises:
        AxisError: if `dim` is out of range.

    >>> from tinygrad_np import Tensor
    >>> values, indices = Tensor([3.0, 1.0, 2.0]).sort(descending=True)
    >>> values, indices
    (Tensor([3., 2., 1.]), Tensor([0, 2, 1]))
    """
    places = argsort(x, dim, descending)
    return ValuesAndIndices(gather(x, dim, places), places)


def argmedian(x: Value, axis: int = -1) -> Value:
    """Return the int64 index of the median along `axis`, which is kept with length 1.

    Of two middle entries, the lower one is the median. The first nan, if any, is the median.

    Raises:
        AxisError: if `axis` is out of range.
        ShapeError: if there are no entries.
    """
    axis, length = measure_axis("median", x, axis)
    if not length:
        raise ShapeError(f"median: expected at least one entry along axis {axis}, got {x.shape}.")
    at = (length - 1) // 2
    key = (*[slice(None)] * axis, slice(at, at + 1))
    middle = basic_index(argsort(x, axis, False), key=key)
    largest = argmax(x, axis=axis, keepdim=True)
    return where(isnan(gather(x, axis, largest)), largest, middle)


def median(x: V, axis: int | None = None, keepdim: bool = False) -> V:
    """Compute the median along `axis`, or of all entries if it is None.

    Of two middle entries, it is the lower one; a nan counts as the median. As in PyTorch, the
    gradient along an axis goes to one median entry, and that of all entries is shared evenly among
    ties.

    Raises:
        AxisError: if `axis` is out of range.
        ShapeError: if there are no entries.

    >>> from tinygrad_np import Tensor
    >>> Tensor([3.0, 1.0, 2.0, 9.0]).median()
    Tensor(2.)
    """
    if axis is None or not x.shape:
        rows = reshape(x, shape=(-1,))
        middle = gather(as_array(rows), 0, argmedian(rows))
        # The maximum of the entries up to the median shares the gradient among them.
        found = max(getitem(rows, as_array(logical_not(gt(rows, middle)))))
        return reshape(found, shape=(1,) * len(x.shape) if keepdim else ())
    found = gather(x, axis, argmedian(x, axis))
    return found if keepdim else squeeze(found, axis)


def topk(
    x: V, k: int, dim: int = -1, largest: bool = True, sorted_: bool = True
) -> ValuesAndIndices[V]:
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
    >>> Tensor([3.0, 1.0, 2.0]).topk(2).indices
    Tensor([0, 2])
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
        return ValuesAndIndices(gather(x, dim, places), places)
    key = [slice(None)] * len(x.shape)
    key[dim] = slice(k)
    places = basic_index(places, key=tuple(key))
    return ValuesAndIndices(gather(x, dim, places), places)
