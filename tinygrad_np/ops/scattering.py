"""Writing at an index, and by a mask."""

from typing import Any

import numpy as np

from tinygrad_np.autograd.op import V, cast, op
from tinygrad_np.autograd.tape import Shape, Variable
from tinygrad_np.errors import ArgumentError, DtypeError, ShapeError
from tinygrad_np.ops.elementwise import div, where
from tinygrad_np.ops.indexing import _scatter_add, basic_index, checked_index, getitem
from tinygrad_np.ops.reduce import max, min, prod
from tinygrad_np.ops.shape import cat, expand, reshape
from tinygrad_np.runtime.memory import Array

_REDUCTIONS = ("sum", "prod", "mean", "amax", "amin")


def _targets(shape: Shape, dim: int, index: Array) -> Array:
    """Return for each entry of `index` the place in a flat tensor of `shape` that it names."""
    places: list[Any] = list(np.indices(index.shape))
    places[dim] = index
    return np.asarray(np.ravel_multi_index(places, shape)).reshape(-1)


def _sources(name: str, x: Any, index: Array, src: Any) -> Any:
    """Return the entries of `src` that stand at `index`, flat and of x's dtype."""
    if not hasattr(src, "shape"):
        return np.full(index.size, src, x.dtype)
    if len(src.shape) != index.ndim or any(
        n > length for n, length in zip(index.shape, src.shape, strict=True)
    ):
        raise ShapeError(
            f"{name}: got an index of shape {index.shape} and src of shape {src.shape}; src must "
            "have as many axes, and be at least as long along each, or be a number"
        )
    if src.dtype != x.dtype:
        raise DtypeError(f"{name}: got src of dtype {src.dtype}, expected the tensor's {x.dtype}")
    corner = basic_index(src, key=tuple(slice(n) for n in index.shape))
    return reshape(corner, shape=(index.size,))


def scatter(x: V, dim: int, index: Any, src: Any, reduce: str | None = None) -> V:
    """Return x with `src`, a tensor or a number, written at `index` along `dim`.

    Where the index names a place twice the last entry counts, and it alone gets the gradient.
    `reduce` "add" or "multiply" combines with x instead. Raises AxisError, ShapeError, DtypeError
    as gather, ArgumentError for another `reduce`.

    >>> from tinygrad_np import Tensor
    >>> Tensor.zeros(1, 3).scatter(1, Tensor([[2, 0]]), Tensor([[5.0, 7.0]]))
    Tensor([[7., 0., 5.]])
    """
    if reduce is not None:
        if reduce not in ("add", "multiply"):
            raise ArgumentError(
                f"scatter reduce: got {reduce!r}, expected None, 'add' or 'multiply'"
            )
        return _combined("scatter", x, dim, index, src, "sum" if reduce == "add" else "prod", True)
    dim, index = checked_index("scatter", x, dim, index)
    if not x.shape:
        return reshape(scatter(reshape(x, shape=(1,)), 0, index.reshape(1), src), shape=())
    entries = _sources("scatter", x, index, src)
    winner = np.full(np.prod(x.shape, dtype=int), -1)
    winner[_targets(x.shape, dim, index)] = np.arange(index.size)
    if not index.size:
        return reshape(x, x.shape)
    winner = winner.reshape(x.shape)
    is_written: Any = winner >= 0
    return where(is_written, getitem(entries, np.maximum(winner, 0)), x)


def scatter_reduce(
    x: V, dim: int, index: Any, src: Any, reduce: str, include_self: bool = True
) -> V:
    """Return x with all entries of `src` at an `index` reduced into the place that it names.

    `reduce` is sum, prod, mean, amax or amin; `include_self` says whether x's own entry counts.
    Ties of amax and amin share the gradient evenly. Raises AxisError, ShapeError, DtypeError as
    gather, ArgumentError for another `reduce`.

    >>> from tinygrad_np import Tensor
    >>> Tensor([1.0, 2.0]).scatter_reduce(0, Tensor([0, 0]), Tensor([5.0, 7.0]), "mean").tolist()
    [4.3333, 2.0]
    """
    if reduce not in _REDUCTIONS:
        raise ArgumentError(
            f"scatter_reduce reduce: got {reduce!r}, expected one of {', '.join(_REDUCTIONS)}"
        )
    return _combined("scatter_reduce", x, dim, index, src, reduce, include_self)


def _combined(
    name: str, x: V, dim: int, index: Any, src: Any, reduce: str, include_self: bool
) -> V:
    dim, index = checked_index(name, x, dim, index)
    if not x.shape:
        row = _combined(name, reshape(x, shape=(1,)), 0, index[None], src, reduce, include_self)
        return reshape(row, shape=())
    entries = _sources(name, x, index, src)
    targets = _targets(x.shape, dim, index)
    own = reshape(x, shape=(-1,))
    counts = np.bincount(targets, minlength=own.shape[0])
    if reduce in ("sum", "mean"):
        rest = own if include_self else where(counts > 0, 0, own)
        out = rest + _scatter_add(entries, targets, dim=0, shape=own.shape)
        if reduce == "mean":
            parts = np.maximum(counts + include_self, 1)
            out = div(out, parts, None if x.dtype.kind == "f" else "floor")
    else:
        out = _by_groups(own, entries, targets, counts, reduce, include_self)
    out = cast(out, dtype=x.dtype) if out.dtype != x.dtype else out
    return reshape(out, shape=x.shape)


def _by_groups(
    own: Any, entries: Any, targets: Array, counts: Array, reduce: str, include_self: bool
) -> Any:
    """Reduce rows, one for each place that is named: all its entries, its own, and padding."""
    touched = np.flatnonzero(counts)
    if not touched.size:
        return own
    order = np.argsort(targets, kind="stable")
    starts = np.cumsum(counts) - counts
    # Members are counted through: the tensor's own entries, those of src, and the padding.
    members = np.full((len(counts), counts.max() + 1), len(counts) + len(targets))
    place_in_group = np.arange(len(targets)) - starts[targets[order]]
    members[targets[order], place_in_group] = len(counts) + order
    if include_self:
        members[:, -1] = np.arange(len(counts))
    function = {"prod": prod, "amax": max, "amin": min}[reduce]
    neutral = 1 if reduce == "prod" else _bound(own.dtype, np.min if reduce == "amax" else np.max)
    pool = cat(own, entries, np.full(1, neutral, own.dtype))
    reduced = function(getitem(pool, members[touched]), axis=1)
    rows = np.zeros(len(counts), int)
    rows[touched] = np.arange(len(touched))
    return where(counts > 0, getitem(reduced, rows), own)


def _bound(dtype: np.dtype[Any], which: Any) -> Any:
    """Return the lowest or highest number of a dtype, as `which` says by np.min or np.max."""
    if dtype.kind in "fb":
        return which([-np.inf, np.inf] if dtype.kind == "f" else [False, True])
    limits = np.iinfo(dtype)
    return which([limits.min, limits.max])


def masked_fill(x: V, mask: Any, value: Any) -> V:
    """Return x with `value`, a number or a tensor of one entry, where the bool `mask` is true.

    The dtype stays. Raises DtypeError unless the mask is of bools and the value fits, ShapeError
    where the shapes do not.

    >>> from tinygrad_np import Tensor
    >>> x = Tensor([1.0, 2.0])
    >>> x.masked_fill(x > 1, 0)
    Tensor([1., 0.])
    """
    mask = _mask("masked_fill", x, mask)
    if getattr(value, "shape", ()) not in ((), (1,)):
        raise ShapeError(
            f"masked_fill: got a value of shape {value.shape}, expected a number; use "
            "mask.where(value, x) for more"
        )
    if not hasattr(value, "dtype") and x.dtype.kind != "f":
        filling = np.asarray(value).astype(x.dtype)
        if filling != value:
            raise DtypeError(
                f"masked_fill: {value!r} is no {x.dtype}, which the tensor is of; use .float()"
            )
        value = filling
    return where(mask, value, x)


def _mask(name: str, x: Any, mask: Any) -> Array:
    mask = mask.data if isinstance(mask, Variable) else np.asarray(mask)
    if mask.dtype != bool:
        raise DtypeError(f"{name}: got a mask of dtype {mask.dtype}, expected bool; compare first")
    return mask


def masked_select(x: V, mask: Any, size: int | None = None, fill_value: Any = 0) -> V:
    """Return the entries where the bool `mask` is true, in C order, as one axis.

    With a `size` there are as many: the first ones, and `fill_value` where there are fewer. Raises
    DtypeError unless the mask is of bools.

    >>> from tinygrad_np import Tensor
    >>> x = Tensor([[1.0, 2.0], [3.0, 4.0]])
    >>> x.masked_select(x > 2)
    Tensor([3., 4.])
    """
    mask = _mask("masked_select", x, mask)
    shape = np.broadcast_shapes(x.shape, mask.shape)
    found = getitem(expand(x, shape), np.broadcast_to(mask, shape))
    return _of_size(found, size, fill_value)


def _of_size(found: V, size: int | None, fill_value: Any) -> V:
    if size is None:
        return found
    if size < 0:
        raise ArgumentError(f"size: got {size}, expected an integer of at least 0")
    missing = size - found.shape[0]
    if missing <= 0:
        return basic_index(found, key=slice(size))
    return cat(found, np.full((missing, *found.shape[1:]), fill_value, found.dtype))


@op("the places of x ≠ 0", flops=lambda x: x.size)
def _nonzero(x: Array) -> Array:
    """Places of the entries that are not 0."""
    return np.argwhere(x)


def nonzero(x: V, size: int | None = None, fill_value: int = 0) -> V:
    """Return the int64 places (n, ndim) of the entries that are not 0, in C order.

    With a `size` there are as many: the first ones, and `fill_value` where there are fewer.

    >>> from tinygrad_np import Tensor
    >>> Tensor([[0, 3], [2, 0]]).nonzero()
    Tensor([[0, 1],
            [1, 0]])
    """
    return _of_size(_nonzero(x), size, fill_value)
