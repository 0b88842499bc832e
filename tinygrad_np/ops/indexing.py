"""Indexing and gathering, and the scatter-adds that are their VJPs."""

import operator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from tinygrad_np.autograd.dispatch import V, op
from tinygrad_np.autograd.tape import Variable
from tinygrad_np.checks import check_unmasked
from tinygrad_np.errors import AxisError, DtypeError, ShapeError
from tinygrad_np.kernels.reductions import add_at
from tinygrad_np.runtime.memory import Array
from tinygrad_np.runtime.state import run_observed, thread
from tinygrad_np.typing import Shape, Value

Key = Any
"""Any NumPy index; NumPy exports no narrower type for it."""


@op(
    "x[key]",
    vjps={"x": lambda grad_out, key, x_shape: index_add(grad_out, key=key, shape=x_shape)},
    view=True,
    selection=True,
)
def basic_index(x: Array, *, key: Key) -> Array:
    """Index with integers, slices, None and Ellipsis; return a view."""
    parts = key if type(key) is tuple else (key,)
    # Without an Ellipsis, NumPy returns a scalar for one entry instead of a 0-d view.
    view: Array = x[key if Ellipsis in parts else (*parts, Ellipsis)]
    return view


@op(
    "x[key]",
    vjps={"x": lambda grad_out, key, x_shape: index_add(grad_out, key=key, shape=x_shape)},
    flops=0,
)
def advanced_index(x: Array, *, key: Key) -> Array:
    """Index with integer or bool arrays, possibly mixed with basic keys; return a copy."""
    if isinstance(key, np.ndarray) and key.dtype.kind == "i" and x.flags.c_contiguous and x.ndim:
        return x.take(key, 0)  # takes half as long as x[key] for 1024 rows of 64 entries
    return np.asarray(x[key])


@op(
    "zeros with x added at key",
    vjps={"x": lambda grad_out, key: getitem(grad_out, key)},
    flops=lambda x, key: 0 if is_basic(key) else x.size,
)
def index_add(x: Array, *, key: Key, shape: Shape) -> Array:
    """Add x to zeros of `shape` at `key`; repeated indices accumulate."""
    if not is_basic(key):
        return add_at(x, key, shape)
    out = np.zeros(shape, x.dtype)
    out[key] = x
    return out


def getitem(x: V, key: Key) -> V:
    """Return x[key] for any NumPy key; index arrays may be Tensors.

    Integers, slices, None and Ellipsis give a view. Index arrays give a copy, and repeated indices
    accumulate in the gradient.

    Raises:
        AxisError: if an index is out of range, or there are more indices than axes.
        DtypeError: if an index array contains neither integers nor bools.

    >>> from tinygrad_np import Tensor
    >>> Tensor([[1.0, 2.0], [3.0, 4.0]])[:, Tensor([1, 0, 1])]
    Tensor([[2., 1., 2.],
            [4., 3., 4.]])
    """
    key = as_numpy_key("getitem", key)
    return basic_index(x, key=key) if is_basic(key) else advanced_index(x, key=key)


def is_basic(key: Key) -> bool:
    """Return whether a key gives a view: it contains no arrays and no bools."""
    parts = key if isinstance(key, tuple) else (key,)
    return not any(isinstance(part, np.ndarray | bool | np.bool_) for part in parts)


def as_numpy_key(who: str, key: Key) -> Key:
    """Convert a key for NumPy; arrays are copied because the graph keeps them."""
    if isinstance(key, tuple):
        return tuple([_as_numpy(who, part) for part in key])
    return _as_numpy(who, key)


_PARTS = (slice, int, np.generic, np.ndarray)


def _as_numpy(who: str, part: Any) -> Any:
    if isinstance(part, Variable):
        part = part.data
    check_unmasked(who, part)
    if not (part is None or part is Ellipsis or isinstance(part, _PARTS)):
        # Lists and other array-likes.
        part = np.asarray(part)
        part = part if part.size else part.astype(np.int64)
    if isinstance(part, np.ndarray) and part.dtype.kind not in "iub":
        raise DtypeError(
            f"{who}: expected an index array of integers or bools, got dtype {part.dtype}. Try "
            ".int() or .bool()."
        )
    if not isinstance(part, np.ndarray):
        return part
    copied = part.copy()
    if thread.state.observers:
        run_observed("on_copy", part, copied, call=lambda: None)
    return copied


def select(x: V, dim: int, index: int) -> V:
    """Return the view of x at `index` along `dim`, without that axis.

    Raises:
        AxisError: if `dim` or `index` is out of range, or x is 0-d.
        DtypeError: if `dim` or `index` is not an integer.

    >>> from tinygrad_np import Tensor
    >>> Tensor([[1, 2], [3, 4]]).select(1, -1)
    Tensor([2, 4])
    """
    place = _as_integer("select", "index", index)
    return basic_index(x, key=(*_axes_before("select", x, dim), place))


def index_select(x: V, dim: int, index: Value | ArrayLike) -> V:
    """Return the slices of x at the integers `index` (n,) along `dim`.

    Raises:
        AxisError: if `dim` or an index is out of range or negative, or x is 0-d.
        DtypeError: if `dim` is not an integer, or `index` does not contain integers.
        ShapeError: if `index` has more than one axis.

    >>> from tinygrad_np import Tensor
    >>> Tensor([[1, 2], [3, 4]]).index_select(1, Tensor([1, 1, 0]))
    Tensor([[2, 2, 1],
            [4, 4, 3]])
    """
    places = np.atleast_1d(as_numpy_key("index_select", index))
    if places.dtype.kind not in "iu":
        raise DtypeError(
            f"index_select: expected `index` to contain integers, got dtype {places.dtype}."
        )
    if places.ndim != 1:
        raise ShapeError(
            f"index_select: expected `index` to have one axis, got shape {places.shape}."
        )
    lead = _axes_before("index_select", x, dim)
    outside = places[(places < 0) | (places >= x.shape[dim])]
    if outside.size:
        raise AxisError(
            f"index_select: expected indices from 0 to {x.shape[dim] - 1} along axis {dim} of "
            f"shape {x.shape}, got {outside[0]}."
        )
    return advanced_index(x, key=(*lead, places))


def _axes_before(who: str, x: Value, dim: int) -> tuple[slice, ...]:
    """Return a key for all axes before `dim`."""
    rank, axis = len(x.shape), _as_integer(who, "dim", dim)
    if not -rank <= axis < rank:
        raise AxisError(f"{who}: expected `dim` to be an axis of shape {x.shape}, got {dim}.")
    return (slice(None),) * (axis % rank)


def _as_integer(who: str, name: str, value: Any) -> int:
    try:
        return operator.index(value)
    except TypeError as error:
        raise DtypeError(f"{who}: expected `{name}` to be an integer, got {value!r}.") from error


@op(
    "out[.., i, ..] = x[.., index[.., i, ..], ..]",
    vjps={
        "x": lambda grad_out, index, dim, x_shape: add_along_axis(
            grad_out, index, dim=dim, shape=x_shape
        )
    },
    flops=0,
)
def take_along_axis(x: Array, index: Array, *, dim: int) -> Array:
    """Gather along `dim` at `index`, which is at most as long as x along the other axes."""
    lengths = enumerate(index.shape)
    corner = x[tuple(slice(None) if axis == dim else slice(n) for axis, n in lengths)]
    return np.take_along_axis(corner, index, dim)


@op(
    "zeros with x added at index along an axis",
    vjps={"x": lambda grad_out, index, dim: take_along_axis(grad_out, index, dim=dim)},
    flops=lambda x: x.size,
)
def add_along_axis(x: Array, index: Array, *, dim: int, shape: Shape) -> Array:
    """Add x to zeros of `shape` at `index` along `dim`; repeated indices accumulate.

    Raises:
        ShapeError: if `index` and x differ in shape.
    """
    if x.shape != index.shape:
        raise ShapeError(f"add_along_axis: expected `index` of shape {x.shape}, got {index.shape}.")
    places: list[Array] = list(np.indices(index.shape, sparse=True))
    places[dim] = index
    return add_at(x, tuple(places), shape, repeats=index.shape[dim])


def read_index(who: str, x: Value, dim: int, index: Value | ArrayLike) -> tuple[int, Array]:
    """Return `dim` as a number >= 0, and `index` as an int64 array checked against x."""
    check_unmasked(who, index)
    index = index.data if isinstance(index, Variable) else np.asarray(index)
    rank = len(x.shape)
    if index.dtype.kind not in "iu" and index.size:
        raise DtypeError(f"{who}: expected `index` to contain integers, got dtype {index.dtype}.")
    if not -max(rank, 1) <= dim < max(rank, 1):
        raise AxisError(f"{who}: expected `dim` to be an axis of shape {x.shape}, got {dim}.")
    dim %= max(rank, 1)
    if index.ndim != rank or any(
        n > length
        for axis, (n, length) in enumerate(zip(index.shape, x.shape, strict=True))
        if axis != dim
    ):
        axes = "1 axis" if rank == 1 else f"{rank} axes"
        raise ShapeError(
            f"{who}: expected `index` to have {axes} and, except along axis {dim}, to be no "
            f"longer than shape {x.shape}, got shape {index.shape}."
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
    """Gather entries of x along `dim` at `index`.

    Args:
        x: the input.
        dim: the axis to index.
        index: integers from 0 to x.shape[dim] - 1. It has as many axes as x and, except along
            `dim`, is at most as long as x.

    Returns:
        A tensor of the shape of `index`. For two axes and dim=0, out[i, j] = x[index[i, j], j].

    Raises:
        AxisError: if `dim` or an index is out of range.
        DtypeError: if `index` does not contain integers.
        ShapeError: if the shape of `index` does not fit.

    >>> from tinygrad_np import Tensor
    >>> Tensor([[1.0, 2.0], [3.0, 4.0]]).gather(1, Tensor([[1], [0]]))
    Tensor([[2.],
            [3.]])
    """
    dim, places = read_index("gather", x, dim, index)
    if not x.shape:
        return getitem(x, ())
    return take_along_axis(x, places, dim=dim)
