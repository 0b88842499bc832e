"""Reading parts of an array, and putting gradients back where they were read."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from tinygrad_np.autograd.dispatch import V, op
from tinygrad_np.autograd.tape import Variable
from tinygrad_np.errors import AxisError, DtypeError, ShapeError
from tinygrad_np.runtime.memory import Array
from tinygrad_np.typing import Shape, Value

Key = Any
"""Whatever NumPy takes between brackets; nothing in its types is narrower."""


@op(
    "x[key]",
    vjps={"x": lambda grad_out, key, x_shape: index_add(grad_out, key=key, shape=x_shape)},
    view=True,
)
def basic_index(x: Array, *, key: Key) -> Array:
    """Read by integers, slices, None and an Ellipsis: a view."""
    return np.asarray(x[key])


@op(
    "x[key]",
    vjps={"x": lambda grad_out, key, x_shape: index_add(grad_out, key=key, shape=x_shape)},
    flops=0,
)
def advanced_index(x: Array, *, key: Key) -> Array:
    """Read by integer or bool arrays, also mixed with the basic kinds: a copy."""
    return np.asarray(x[key])


@op(
    "zeros, plus x at key",
    vjps={"x": lambda grad_out, key: getitem(grad_out, key)},
    flops=lambda x, key: 0 if is_basic(key) else x.size,
)
def index_add(x: Array, *, key: Key, shape: Shape) -> Array:
    """Add x to zeros of `shape` at `key`; an entry that is named twice gets the sum."""
    out = np.zeros(shape, x.dtype)
    if is_basic(key):
        out[key] = x
    else:
        np.add.at(out, key, x)
    return out


def getitem(x: V, key: Key) -> V:
    """Return x[key] for any NumPy key; Tensors may take the place of arrays.

    >>> from tinygrad_np import Tensor
    >>> Tensor([[1.0, 2.0], [3.0, 4.0]])[:, Tensor([1, 0, 1])]
    Tensor([[2., 1., 2.],
            [4., 3., 4.]])
    """
    key = tuple(map(_as_numpy, key)) if isinstance(key, tuple) else _as_numpy(key)
    return basic_index(x, key=key) if is_basic(key) else advanced_index(x, key=key)


def is_basic(key: Key) -> bool:
    """Whether a key gives a view: it holds no arrays and no bools."""
    parts = key if isinstance(key, tuple) else (key,)
    return not any(isinstance(part, np.ndarray | bool | np.bool_) for part in parts)


_PARTS = (slice, int, np.generic, np.ndarray)


def _as_numpy(part: Any) -> Any:
    """Return one part of a key for NumPy; arrays are copied, since a graph keeps them."""
    if isinstance(part, Variable):
        part = part.data
    if not (part is None or part is Ellipsis or isinstance(part, _PARTS)):
        # Lists, and whatever else NumPy turns into an array.
        part = np.asarray(part)
        part = part if part.size else part.astype(np.int64)
    if isinstance(part, np.ndarray) and part.dtype.kind not in "iub":
        raise DtypeError(
            f"getitem: expected an index array of integers or bools, got dtype {part.dtype}. Try "
            ".int() or .bool()."
        )
    return part.copy() if isinstance(part, np.ndarray) else part


@op(
    "out[.., i, ..] = x[.., index[.., i, ..], ..]",
    vjps={
        "x": lambda grad_out, index, dim, x_shape: scatter_add(
            grad_out, index, dim=dim, shape=x_shape
        )
    },
    flops=0,
)
def take_along_axis(x: Array, index: Array, *, dim: int) -> Array:
    """Read along `dim` at `index`, which is no longer than x along the other axes."""
    lengths = enumerate(index.shape)
    corner = x[tuple(slice(None) if axis == dim else slice(n) for axis, n in lengths)]
    return np.take_along_axis(corner, index, dim)


@op(
    "zeros, plus x at index along an axis",
    vjps={"x": lambda grad_out, index, dim: take_along_axis(grad_out, index, dim=dim)},
    flops=lambda x: x.size,
)
def scatter_add(x: Array, index: Array, *, dim: int, shape: Shape) -> Array:
    """Add x to zeros of `shape` at an `index` of x's shape; a place named twice gets the sum."""
    if x.shape != index.shape:
        raise ShapeError(f"scatter_add: expected an index of shape {x.shape}, got {index.shape}.")
    out = np.zeros(shape, x.dtype)
    places: list[Array] = list(np.indices(index.shape, sparse=True))
    places[dim] = index
    np.add.at(out, tuple(places), x)
    return out


def read_index(who: str, x: Value, dim: int, index: Value | ArrayLike) -> tuple[int, Array]:
    """Return `dim` from the front, and an integer array of x's rank that stays within x."""
    index = index.data if isinstance(index, Variable) else np.asarray(index)
    rank = len(x.shape)
    if index.dtype.kind not in "iu" and index.size:
        raise DtypeError(f"{who}: expected an index of integers, got dtype {index.dtype}.")
    if not -max(rank, 1) <= dim < max(rank, 1):
        raise AxisError(f"{who}: expected an axis of a tensor of shape {x.shape}, got {dim}.")
    dim %= max(rank, 1)
    if index.ndim != rank or any(
        n > length
        for axis, (n, length) in enumerate(zip(index.shape, x.shape, strict=True))
        if axis != dim
    ):
        raise ShapeError(
            f"{who}: expected an index with as many axes as the tensor of shape {x.shape}, and no "
            f"longer along any but axis {dim}, got shape {index.shape}."
        )
    length = x.shape[dim] if rank else 1
    outside = (index < 0) | (index >= length)
    if outside.any():
        at = tuple(int(i) for i in np.argwhere(outside)[0])
        raise AxisError(
            f"{who}: expected indices from 0 to {length - 1} along axis {dim} of shape {x.shape}, "
            f"got {index[at]} at {at}."
        )
    return dim, index.astype(np.int64)


def gather(x: V, dim: int, index: Value | ArrayLike) -> V:
    """Read x along `dim` at an integer `index`, entry by entry; the result has the index's shape.

    The index has as many axes as x, and is no longer than x along any axis but `dim`. Raises
    AxisError for an index out of range, ShapeError and DtypeError.

    >>> from tinygrad_np import Tensor
    >>> Tensor([[1.0, 2.0], [3.0, 4.0]]).gather(1, Tensor([[1], [0]]))
    Tensor([[2.],
            [3.]])
    """
    dim, places = read_index("gather", x, dim, index)
    if not x.shape:
        return getitem(x, ())
    return take_along_axis(x, places, dim=dim)
