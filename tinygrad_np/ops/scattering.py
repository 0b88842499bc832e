"""Scattering and masking: write or select entries by index or by mask."""

import math

import numpy as np
from numpy.typing import ArrayLike

from tinygrad_np.autograd.dispatch import V, op
from tinygrad_np.autograd.primitives import cast, expand
from tinygrad_np.autograd.tape import Variable
from tinygrad_np.checks import check_unmasked
from tinygrad_np.errors import ArgumentError, DtypeError, ShapeError
from tinygrad_np.ops.elementwise import div, floor_div, where
from tinygrad_np.ops.indexing import add_along_axis, basic_index, getitem, read_index
from tinygrad_np.ops.reduce import max, min, prod
from tinygrad_np.ops.shape import cat, reshape
from tinygrad_np.runtime.memory import Array
from tinygrad_np.typing import DType, Shape, Value

_REDUCTIONS = ("sum", "prod", "mean", "amax", "amin")
Index = Value | ArrayLike
Source = Value | float


def _locate(shape: Shape, dim: int, index: Array) -> Array:
    """Return the position of each entry of `index` in a flattened tensor of `shape`."""
    places: list[Array] = list(np.indices(index.shape))
    places[dim] = index
    return np.asarray(np.ravel_multi_index(places, shape)).reshape(-1)


def _read_source(who: str, x: Value, index: Array, src: Source) -> Value:
    """Return the entry of `src` for each entry of `index`, flattened and in the dtype of x."""
    if not isinstance(src, Variable | np.ndarray):
        return np.full(index.size, src, x.dtype)
    if len(src.shape) != index.ndim or any(
        n > length for n, length in zip(index.shape, src.shape, strict=True)
    ):
        raise ShapeError(
            f"{who}: expected `src` to be a number, or a tensor at least as large as `index` "
            f"{index.shape} along each axis, got shape {src.shape}."
        )
    if src.dtype != x.dtype:
        raise DtypeError(
            f"{who}: expected `src` to have the tensor's dtype {x.dtype}, got {src.dtype}."
        )
    corner = basic_index(src, key=tuple(slice(n) for n in index.shape))
    return reshape(corner, shape=(index.size,))


def scatter(x: Value, dim: int, index: Index, src: Source, reduce: str | None = None) -> Value:
    """Write `src` into a copy of x at `index` along `dim`.

    Args:
        x: the input.
        dim: the axis to index.
        index: the positions to write to, as in `gather`.
        src: a number, or a tensor of the dtype of x, at least as large as `index` along each axis.
        reduce: None to overwrite; then, for repeated indices, the last entry is written and alone
            gets the gradient. "add" or "multiply" combine the entries with x instead.

    Raises:
        ArgumentError: if `reduce` has another value.
        AxisError: if `dim` or an index is out of range.
        DtypeError: if `index` does not contain integers, or `src` does not have the dtype of x.
        ShapeError: if the shape of `index` or `src` does not fit.

    >>> from tinygrad_np import Tensor
    >>> Tensor.zeros(1, 3).scatter(1, Tensor([[2, 0]]), Tensor([[5.0, 7.0]]))
    Tensor([[7., 0., 5.]])
    """
    if reduce is not None:
        if reduce not in ("add", "multiply"):
            raise ArgumentError(
                f"scatter: expected `reduce` to be None, 'add' or 'multiply', got {reduce!r}."
            )
        return _combine("scatter", x, dim, index, src, "sum" if reduce == "add" else "prod", True)
    dim, places = read_index("scatter", x, dim, index)
    entries = _read_source("scatter", x, places, src)
    if not x.shape:
        return reshape(scatter(reshape(x, shape=(1,)), 0, places.reshape(1), entries), shape=())
    winner = np.full(x.shape, -1)
    winner.reshape(-1)[_locate(x.shape, dim, places)] = np.arange(places.size)
    if not places.size:
        return reshape(x, shape=x.shape)
    return where(winner >= 0, getitem(entries, np.maximum(winner, 0)), x)


def scatter_reduce(
    x: Value, dim: int, index: Index, src: Source, reduce: str, include_self: bool = True
) -> Value:
    """Reduce the entries of `src` with equal indices into a copy of x at `index` along `dim`.

    Args:
        x: the input.
        dim: the axis to index.
        index: the positions to write to, as in `gather`.
        src: a number, or a tensor of the dtype of x, at least as large as `index` along each axis.
        reduce: "sum", "prod", "mean", "amax" or "amin". At ties, "amax" and "amin" share the
            gradient evenly. Integer means are rounded down.
        include_self: whether the entries of x take part in the reduction.

    Raises:
        ArgumentError: if `reduce` has another value.
        AxisError: if `dim` or an index is out of range.
        DtypeError: if `index` does not contain integers, or `src` does not have the dtype of x.
        ShapeError: if the shape of `index` or `src` does not fit.

    >>> from tinygrad_np import Tensor
    >>> Tensor([1.0, 2.0]).scatter_reduce(0, Tensor([0, 0]), Tensor([5.0, 6.0]), "mean")
    Tensor([4., 2.])
    """
    if reduce not in _REDUCTIONS:
        raise ArgumentError(
            f"scatter_reduce: expected `reduce` to be one of {', '.join(_REDUCTIONS)}, got "
            f"{reduce!r}."
        )
    return _combine("scatter_reduce", x, dim, index, src, reduce, include_self)


def scatter_add(x: Value, dim: int, index: Index, src: Source) -> Value:
    """Add `src` to a copy of x at `index` along `dim`; repeated indices accumulate.

    Args:
        x: the input.
        dim: the axis to index.
        index: the positions to add to, as in `gather`.
        src: a number, or a tensor of the dtype of x, at least as large as `index` along each axis.

    Raises:
        AxisError: if `dim` or an index is out of range.
        DtypeError: if `index` does not contain integers, or `src` does not have the dtype of x.
        ShapeError: if the shape of `index` or `src` does not fit.

    >>> from tinygrad_np import Tensor
    >>> Tensor([1.0, 2.0]).scatter_add(0, Tensor([0, 0]), Tensor([5.0, 6.0]))
    Tensor([12.,  2.])
    """
    return _combine("scatter_add", x, dim, index, src, "sum", True)


def _combine(
    who: str, x: Value, dim: int, index: Index, src: Source, reduce: str, include_self: bool
) -> Value:
    dim, places = read_index(who, x, dim, index)
    entries = _read_source(who, x, places, src)
    if not x.shape:
        row = _combine(who, reshape(x, shape=(1,)), 0, places[None], entries, reduce, include_self)
        return reshape(row, shape=())
    targets = _locate(x.shape, dim, places)
    own = reshape(x, shape=(-1,))
    counts = np.bincount(targets, minlength=own.shape[0])
    if reduce in ("sum", "mean"):
        if x.dtype == np.float16:
            own, entries = (cast(value, dtype=np.float32) for value in (own, entries))
        rest = own if include_self else where(counts > 0, 0, own)
        out = rest + add_along_axis(entries, targets, dim=0, shape=own.shape)
        if reduce == "mean":
            parts = np.maximum(counts + include_self, 1)
            out = div(out, parts) if x.dtype.kind == "f" else floor_div(out, parts)
    else:
        out = _reduce_groups(own, entries, targets, counts, reduce, include_self)
    out = cast(out, dtype=x.dtype) if out.dtype != x.dtype else out
    return reshape(out, shape=x.shape)


def _reduce_groups(
    own: Value, entries: Value, targets: Array, counts: Array, reduce: str, include_self: bool
) -> Value:
    """Reduce one row per written position: its entries of src, its own entry, and padding."""
    touched = np.flatnonzero(counts)
    if not touched.size:
        return own
    order = np.argsort(targets, kind="stable")
    starts = np.cumsum(counts) - counts
    # Members index into `pool`: the tensor's own entries, the entries of src, then the padding.
    members = np.full((len(counts), counts.max() + 1), len(counts) + len(targets))
    place_in_group = np.arange(len(targets)) - starts[targets[order]]
    members[targets[order], place_in_group] = len(counts) + order
    if include_self:
        members[:, -1] = np.arange(len(counts))
    function = {"prod": prod, "amax": max, "amin": min}[reduce]
    neutral = 1 if reduce == "prod" else _find_limit(own.dtype, is_lowest=reduce == "amax")
    pool = cat(own, entries, np.full(1, neutral, own.dtype))
    reduced = function(getitem(pool, members[touched]), axis=1)
    rows = np.zeros(len(counts), int)
    rows[touched] = np.arange(len(touched))
    return where(counts > 0, getitem(reduced, rows), own)


def _find_limit(dtype: DType, is_lowest: bool) -> float:
    """Return the lowest or highest value of a dtype."""
    if dtype.kind in "fb":
        return -math.inf if is_lowest and dtype.kind == "f" else 0 if is_lowest else math.inf
    limits = np.iinfo(dtype)
    return int(limits.min if is_lowest else limits.max)


def masked_fill(x: Value, mask: Index, value: Source) -> Value:
    """Replace entries by `value` where `mask` is True.

    A number does not change the dtype; a tensor is promoted with x.

    Args:
        x: the input.
        mask: bools that broadcast with x.
        value: a number or a tensor with one entry.

    Raises:
        DtypeError: if `mask` does not contain bools, or the integer or bool dtype of x cannot
            represent the number `value`.
        ShapeError: if `value` is neither a number nor a tensor of shape () or (1,).

    >>> from tinygrad_np import Tensor
    >>> x = Tensor([1.0, 2.0])
    >>> x.masked_fill(x > 1, 0)
    Tensor([1., 0.])
    """
    chosen = _read_mask("masked_fill", mask)
    if (shape := getattr(value, "shape", ())) not in ((), (1,)):
        raise ShapeError(
            f"masked_fill: expected `value` to be a number, got shape {shape}. Use "
            "mask.where(value, x) for a tensor."
        )
    if not hasattr(value, "dtype") and x.dtype.kind != "f":
        filling = np.asarray(value).astype(x.dtype)
        if filling != value:
            raise DtypeError(
                f"masked_fill: expected `value` to fit the tensor's dtype {x.dtype}, got "
                f"{value!r}. Try .float() on the tensor."
            )
        value = filling
    return where(chosen, value, x)


def _read_mask(who: str, mask: Index) -> Array:
    check_unmasked(who, mask)
    mask = mask.data if isinstance(mask, Variable) else np.asarray(mask)
    if mask.dtype != bool:
        raise DtypeError(
            f"{who}: expected `mask` to contain bools, got dtype {mask.dtype}. Try mask != 0."
        )
    return mask


def masked_select(x: Value, mask: Index, size: int | None = None, fill_value: float = 0) -> Value:
    """Return the entries where `mask` is True as a vector, in C order.

    Args:
        x: the input.
        mask: bools that broadcast with x.
        size: the length of the result, by default the number of entries selected. Further entries
            are dropped; missing ones are filled with `fill_value`.
        fill_value: the value of missing entries.

    Raises:
        ArgumentError: if `size` is negative.
        DtypeError: if `mask` does not contain bools.

    >>> from tinygrad_np import Tensor
    >>> x = Tensor([[1.0, 2.0], [3.0, 4.0]])
    >>> x.masked_select(x > 2)
    Tensor([3., 4.])
    """
    chosen = _read_mask("masked_select", mask)
    shape = np.broadcast_shapes(x.shape, chosen.shape)
    found = getitem(expand(x, shape=shape), np.broadcast_to(chosen, shape))
    return _fit_size("masked_select", found, size, fill_value)


def _fit_size(who: str, found: V, size: int | None, fill_value: float) -> V:
    """Truncate or pad the first axis to `size`, if given."""
    if size is None:
        return found
    if size < 0:
        raise ArgumentError(f"{who}: expected `size` to be >= 0, got {size}.")
    missing = size - found.shape[0]
    if missing <= 0:
        return basic_index(found, key=slice(size))
    return cat(found, np.full((missing, *found.shape[1:]), fill_value, found.dtype))


@op("indices of x ≠ 0", flops=lambda x: x.size)
def nonzero(x: Array, *, size: int | None = None, fill_value: int = 0) -> Array:
    """Return the int64 indices of the nonzero entries, of shape (n, ndim), in C order.

    Args:
        x: the input.
        size: the number of rows n, by default the number of nonzero entries. Further rows are
            dropped; missing ones are filled with `fill_value`.
        fill_value: the value of all entries in missing rows.

    Raises:
        ArgumentError: if `size` is negative.

    >>> Tensor([[0, 3], [2, 0]]).nonzero()
    Tensor([[0, 1],
            [1, 0]])
    """
    return _fit_size("nonzero", np.argwhere(x), size, fill_value)
