"""Ops that move entries about: shape, order, joining, padding."""

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygrad_np.autograd import op as record
from tinygrad_np.autograd.op import V, op
from tinygrad_np.autograd.tape import Shape
from tinygrad_np.errors import ArgumentError, AxisError, DtypeError, ShapeError
from tinygrad_np.ops.indexing import basic_index, getitem
from tinygrad_np.runtime.memory import Array

Pads = Sequence[tuple[int, int]]


@op(
    "x in another shape",
    vjps={"x": lambda grad_out, x_shape: _reshape(grad_out, shape=x_shape)},
    view=True,
)
def _reshape(x: Array, *, shape: Shape) -> Array:
    """Give the entries, in C order, another shape; one length may be -1."""
    return x.reshape(shape)


def sizes_of(first: Any, others: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return sizes that came as several ints or as one sequence."""
    return tuple(first) if isinstance(first, list | tuple) else (first, *others)


def _kept_size(name: str, x: Any, axis: int) -> int:
    if not 0 <= axis < len(x.shape):
        raise ShapeError(f"{name}: axis {axis} of shape {x.shape} cannot be kept")
    length: int = x.shape[axis]
    return length


def axis_of(name: str, ndim: int, dim: int) -> int:
    """Return `dim` counted from the front; a tensor of no dimension counts as of one."""
    if not -max(ndim, 1) <= dim < max(ndim, 1):
        raise AxisError(f"{name}: axis {dim} is outside a tensor of {ndim} axes")
    return dim % max(ndim, 1)


def reshape(x: V, shape: Any, *args: Any) -> V:
    """Return the entries, in C order, in another shape: ints or one tuple.

    None keeps a length, one -1 is found out. Raises ShapeError where the sizes differ.

    >>> from tinygrad_np import Tensor
    >>> Tensor([1, 2, 3, 4]).reshape(2, -1)
    Tensor([[1, 2],
            [3, 4]])
    """
    wanted = sizes_of(shape, args)
    kept = tuple(_kept_size("reshape", x, i) if n is None else n for i, n in enumerate(wanted))
    return _reshape(x, shape=kept)


def flatten(x: V, start_dim: int = 0, end_dim: int = -1) -> V:
    """Return the axes from `start_dim` to `end_dim` as one; flatten(1) keeps a batch apart.

    >>> from tinygrad_np import Tensor
    >>> Tensor.ones(2, 3, 4).flatten(1).shape
    (2, 12)
    """
    start, end = (axis_of("flatten", len(x.shape), dim) for dim in (start_dim, end_dim))
    if start > end:
        raise ShapeError(f"flatten: start_dim {start_dim} comes after end_dim {end_dim}")
    length = math.prod(x.shape[start : end + 1])
    return _reshape(x, shape=(*x.shape[:start], length, *x.shape[end + 1 :]))


def unflatten(x: V, dim: int, sizes: Sequence[int]) -> V:
    """Return the axis `dim` as several of the given sizes, one of which may be -1.

    >>> from tinygrad_np import Tensor
    >>> Tensor.ones(2, 12).unflatten(1, (3, -1)).shape
    (2, 3, 4)
    """
    dim = axis_of("unflatten", len(x.shape), dim)
    if not isinstance(sizes, list | tuple):
        raise DtypeError(f"unflatten: got sizes {sizes!r}, expected several, as (2, -1)")
    return _reshape(x, shape=(*x.shape[:dim], *sizes, *x.shape[dim + 1 :]))


def squeeze(x: V, dim: int | Sequence[int] | None = None) -> V:
    """Return x without its axes of length 1: all such, or those of `dim` that are.

    >>> from tinygrad_np import Tensor
    >>> Tensor.ones(1, 3, 1).squeeze().shape, Tensor.ones(1, 3, 1).squeeze(0).shape
    ((3,), (3, 1))
    """
    dims = range(len(x.shape)) if dim is None else [dim] if isinstance(dim, int) else dim
    chosen = {axis_of("squeeze", len(x.shape), d) for d in dims}
    kept = tuple(n for axis, n in enumerate(x.shape) if axis not in chosen or n != 1)
    return _reshape(x, shape=kept)


def unsqueeze(x: V, dim: int) -> V:
    """Return x with a new axis of length 1 at `dim`.

    >>> from tinygrad_np import Tensor
    >>> Tensor.ones(3).unsqueeze(-1).shape
    (3, 1)
    """
    dim = axis_of("unsqueeze", len(x.shape) + 1, dim)
    return _reshape(x, shape=(*x.shape[:dim], 1, *x.shape[dim:]))


def _inverse(order: Shape) -> Shape:
    return tuple(np.argsort([axis % len(order) for axis in order]).tolist())


@op(
    "axes of x in the given order",
    vjps={"x": lambda grad_out, order: _permute(grad_out, order=_inverse(order))},
    view=True,
)
def _permute(x: Array, *, order: tuple[int, ...]) -> Array:
    """Reorder the axes: axis i of the result is axis order[i] of x."""
    return x.transpose(order)


def permute(x: V, order: Any, *args: Any) -> V:
    """Return the axes in another order, ints or one tuple: axis i of the result is order[i] of x.

    >>> from tinygrad_np import Tensor
    >>> Tensor.ones(2, 3, 4).permute(2, 0, -2).shape
    (4, 2, 3)
    """
    return _permute(x, order=sizes_of(order, args))


@op(
    "x with two axes exchanged",
    vjps={"x": lambda grad_out, dim0, dim1: _transpose(grad_out, dim0=dim0, dim1=dim1)},
    view=True,
)
def _transpose(x: Array, *, dim0: int, dim1: int) -> Array:
    """Exchange two axes."""
    return x.swapaxes(dim0, dim1)


def transpose(x: V, dim0: int = 1, dim1: int = 0) -> V:
    """Return two axes exchanged.

    >>> from tinygrad_np import Tensor
    >>> Tensor.ones(2, 3, 4).transpose(-1, 0).shape
    (4, 3, 2)
    """
    return _transpose(x, dim0=dim0, dim1=dim1)


def expand(x: V, shape: Any, *args: Any) -> V:
    """Return axes of length 1 repeated, and new ones in front, as a read-only view.

    -1 or None keeps a length. Raises ShapeError where an axis of another length is to change.

    >>> from tinygrad_np import Tensor
    >>> Tensor([[1], [2]]).expand(-1, 3)
    Tensor([[1, 1, 1],
            [2, 2, 2]])
    """
    wanted = sizes_of(shape, args)
    lead = len(wanted) - len(x.shape)
    full = tuple(
        _kept_size("expand", x, i - lead) if n in (-1, None) else n for i, n in enumerate(wanted)
    )
    return record.expand(x, shape=full)


def _part(grad_out: Any, position: int, bounds: Sequence[int], dim: int) -> Any:
    """Return what of a concatenation came from the input at `position`."""
    ndim = len(grad_out.shape)
    key = [slice(None)] * ndim
    key[dim % ndim] = slice(bounds[position], bounds[position + 1])
    return basic_index(grad_out, key=tuple(key))


@op("xs joined along an axis", vjps={"xs": _part}, keeps=("bounds",), flops=0)
def _cat(*xs: Array, dim: int) -> tuple[Array, list[int]]:
    """Join arrays along the axis `dim`; all other lengths must agree."""
    joined = np.concatenate(xs, axis=dim)
    bounds = [0]
    for x in xs:
        bounds.append(bounds[-1] + x.shape[dim])
    return joined, bounds


def cat(x: Any, *args: Any, dim: int = 0) -> Any:
    """Return tensors, or one list of them, joined along the axis `dim`; all other lengths must
    agree.

    >>> from tinygrad_np import Tensor
    >>> Tensor([1, 2]).cat(Tensor([3]), Tensor([4]))
    Tensor([1, 2, 3, 4])
    """
    return _cat(*sizes_of(x, args), dim=dim)


def stack(x: Any, *args: Any, dim: int = 0) -> Any:
    """Return tensors of one shape, or one list of them, joined along a new axis.

    >>> from tinygrad_np import Tensor
    >>> Tensor.stack(Tensor([1, 2]), Tensor([3, 4]), dim=1)
    Tensor([[1, 3],
            [2, 4]])
    """
    parts = sizes_of(x, args)
    if not parts or any(not hasattr(part, "shape") for part in parts):
        raise DtypeError("stack: got something else than tensors; wrap lists as Tensor(...)")
    if any(part.shape != parts[0].shape for part in parts):
        raise ShapeError(f"stack: got shapes {[p.shape for p in parts]}, expected one shape")
    return cat(*(unsqueeze(part, dim) for part in parts), dim=dim)


def split(x: V, sizes: int | Sequence[int], dim: int = 0) -> tuple[V, ...]:
    """Return views of x cut along `dim`: of a size each (the last may be shorter), or of `sizes`.

    >>> from tinygrad_np import Tensor
    >>> Tensor([1, 2, 3]).split(2)
    (Tensor([1, 2]), Tensor([3]))
    """
    dim = axis_of("split", len(x.shape), dim)
    length = _kept_size("split", x, dim)
    if isinstance(sizes, int | np.integer):
        sizes = int(sizes)
        if sizes < 1:
            raise ArgumentError(f"split: got size {sizes}, expected at least 1")
        sizes = [sizes] * (length // sizes) + [length % sizes] * bool(length % sizes) or [0]
    if sum(sizes) != length or min(sizes, default=0) < 0:
        raise ShapeError(
            f"split: got sizes {list(sizes)} for axis {dim} of shape {x.shape}, expected a sum of "
            f"{length}"
        )
    ends = np.cumsum([0, *sizes]).tolist()
    lead = (slice(None),) * dim
    return tuple(basic_index(x, key=(*lead, slice(*pair))) for pair in itertools.pairwise(ends))


def chunk(x: V, chunks: int, dim: int = 0) -> tuple[V, ...]:
    """Return at most `chunks` views of x along `dim`, of one size but for the last.

    >>> from tinygrad_np import Tensor
    >>> Tensor([1, 2, 3, 4, 5]).chunk(2)
    (Tensor([1, 2, 3]), Tensor([4, 5]))
    """
    if chunks < 1:
        raise ArgumentError(f"chunk: got {chunks} chunks, expected at least 1")
    length = _kept_size("chunk", x, axis_of("chunk", len(x.shape), dim))
    return split(x, -(-length // chunks), dim) if length else split(x, [0] * chunks, dim)


def repeat(x: V, repeats: Any, *args: Any) -> V:
    """Return x repeated as a whole along each axis, and along new ones in front.

    >>> from tinygrad_np import Tensor
    >>> Tensor([1, 2]).repeat(2, 2)
    Tensor([[1, 2, 1, 2],
            [1, 2, 1, 2]])
    """
    counts = sizes_of(repeats, args)
    if len(counts) < len(x.shape) or min(counts, default=0) < 0:
        raise ShapeError(
            f"repeat: got {counts} for shape {x.shape}, expected a count of at least 0 for each "
            "axis"
        )
    shape = (1,) * (len(counts) - len(x.shape)) + tuple(x.shape)
    apart = _reshape(x, shape=tuple(n for length in shape for n in (1, length)))
    pairs = tuple(n for pair in zip(counts, shape, strict=True) for n in pair)
    full = tuple(count * length for count, length in zip(counts, shape, strict=True))
    return _reshape(record.expand(apart, shape=pairs), shape=full)


def repeat_interleave(x: V, repeats: int, dim: int | None = None) -> V:
    """Return each entry along `dim`, or of the flat tensor, `repeats` times in a row.

    >>> from tinygrad_np import Tensor
    >>> Tensor([1, 2]).repeat_interleave(2)
    Tensor([1, 1, 2, 2])
    """
    if not isinstance(repeats, int) or repeats < 0:
        raise ArgumentError(
            f"repeat_interleave: got {repeats!r}, expected an integer of at least 0"
        )
    if dim is None:
        x, dim = _reshape(x, shape=(-1,)), 0
    dim = axis_of("repeat_interleave", len(x.shape), dim)
    after = dim + 1
    wide = record.expand(unsqueeze(x, after), shape=(*x.shape[:after], repeats, *x.shape[after:]))
    return _reshape(wide, shape=(*x.shape[:dim], x.shape[dim] * repeats, *x.shape[after:]))


def flip(x: V, axis: Any, *args: Any) -> V:
    """Return a view of x with the order along some axes reversed: ints or one tuple.

    >>> from tinygrad_np import Tensor
    >>> Tensor([[1, 2], [3, 4]]).flip(1)
    Tensor([[2, 1],
            [4, 3]])
    """
    chosen = {axis_of("flip", len(x.shape), a) for a in sizes_of(axis, args)}
    steps = [slice(None, None, -1 if a in chosen else None) for a in range(len(x.shape))]
    return basic_index(x, key=tuple(steps))


def roll(x: V, shifts: Any, dims: Any = None) -> V:
    """Return x with entries moved along `dims`, or in the flat tensor, and round its ends.

    >>> from tinygrad_np import Tensor
    >>> Tensor([1, 2, 3]).roll(1)
    Tensor([3, 1, 2])
    """
    if dims is None:
        return _reshape(roll(_reshape(x, shape=(-1,)), shifts, 0), shape=x.shape)
    steps, axes = sizes_of(shifts, ()), sizes_of(dims, ())
    if len(steps) != len(axes):
        raise ShapeError(f"roll: got shifts {shifts} for dims {dims}, expected one for each")
    for shift, dim in zip(steps, axes, strict=True):
        dim = axis_of("roll", len(x.shape), dim)
        length = _kept_size("roll", x, dim)
        lead = (slice(None),) * dim
        start = -shift % length if length else 0
        parts = [basic_index(x, key=(*lead, part)) for part in (slice(start, None), slice(start))]
        x = cat(*parts, dim=dim)
    return x


def _opposite(padding: Pads) -> Pads:
    return tuple((-before, -after) for before, after in padding)


@op(
    "x within a border",
    # Padding by -n crops n, and cropping is what undoes padding.
    vjps={"x": lambda grad_out, padding: _pad(grad_out, padding=_opposite(padding))},
    flops=0,
)
def _pad(x: Array, *, padding: Pads, value: float = 0.0) -> Array:
    """Add entries of `value` before and after each axis: one (before, after) an axis; negative
    numbers crop."""
    if len(padding) != x.ndim:
        raise ShapeError(
            f"pad: got {len(padding)} pairs of (before, after) for shape {x.shape}, expected "
            f"{x.ndim}, one an axis"
        )
    lengths = [n + before + after for n, (before, after) in zip(x.shape, padding, strict=True)]
    if min(lengths, default=0) < 0:
        raise ShapeError(f"pad: cropping shape {x.shape} by {padding} leaves less than nothing")
    out = np.full(lengths, value, x.dtype)
    inner = tuple(
        slice(max(0, b), n - max(0, a)) for n, (b, a) in zip(lengths, padding, strict=True)
    )
    kept = tuple(
        slice(max(0, -b), n - max(0, -a)) for n, (b, a) in zip(x.shape, padding, strict=True)
    )
    out[inner] = x[kept]
    return out


_MODES = {"constant": None, "reflect": "reflect", "replicate": "edge", "circular": "wrap"}


def pad(x: V, padding: Sequence[Any], mode: str = "constant", value: float = 0.0) -> V:
    """Return x within a border: of `value`, or by `mode` of its own entries.

    `padding` is flat, last axis first, as in PyTorch: (left, right, top, bottom); or one
    (before, after) or None for each axis in order. Negative numbers crop. Modes are constant,
    reflect (the border's entry is not repeated), replicate and circular.

    >>> from tinygrad_np import Tensor
    >>> Tensor([1, 2, 3]).pad((1, 2)), Tensor([1, 2, 3]).pad((1, 2), mode="reflect")
    (Tensor([0, 1, 2, 3, 0, 0]), Tensor([2, 1, 2, 3, 2, 1]))
    """
    pairs = _pad_pairs(x, padding)
    if mode not in _MODES:
        raise ArgumentError(f"pad mode: got {mode!r}, expected one of {', '.join(_MODES)}")
    if mode == "constant":
        return _pad(x, padding=pairs, value=value)
    for axis, (before, after) in enumerate(pairs):
        length = x.shape[axis]
        if mode == "circular":
            # As in PyTorch, what is left after cropping goes round.
            crop = slice(max(-before, 0), length - max(-after, 0))
            x = basic_index(x, key=(slice(None),) * axis + (crop,))
            before, after, length = max(before, 0), max(after, 0), x.shape[axis]
        most = {"reflect": length - 1, "circular": length}.get(mode, max(before, after))
        if max(before, after) > most or not length:
            raise ShapeError(
                f"pad: got {(before, after)} for axis {axis} of shape {x.shape}; mode {mode!r} "
                f"can add at most {most}"
            )
        wide = (max(before, 0), max(after, 0))
        places = np.pad(np.arange(length), wide, mode=_MODES[mode])  # type: ignore[call-overload]
        places = places[max(-before, 0) : len(places) - max(-after, 0)]
        if before or after:
            x = getitem(x, (slice(None),) * axis + (places,))
    return x


def _pad_pairs(x: Any, padding: Sequence[Any]) -> Pads:
    ndim = len(x.shape)
    if not isinstance(padding, list | tuple):
        raise DtypeError(f"pad: got {padding!r}, expected a tuple, as (left, right)")
    if not all(isinstance(part, int | np.integer) for part in padding):
        if any(part is not None and not isinstance(part, list | tuple) for part in padding):
            raise DtypeError(f"pad: got {padding!r}, expected numbers, or pairs and None")
        if len(padding) != ndim:
            raise ShapeError(
                f"pad: got {len(padding)} pairs of (before, after) for shape {x.shape}, expected "
                f"{ndim}, one an axis"
            )
        return tuple((0, 0) if part is None else tuple(part) for part in padding)
    if len(padding) % 2 or len(padding) > 2 * ndim:
        raise ShapeError(
            f"pad: got {len(padding)} numbers for shape {x.shape}, expected a pair for each of "
            "the last axes"
        )
    pairs = [(padding[i], padding[i + 1]) for i in range(len(padding) - 2, -1, -2)]
    return ((0, 0),) * (ndim - len(pairs)) + tuple(pairs)


def shrink(x: V, arg: Sequence[Any]) -> V:
    """Return the part of x from start to end, one (start, end) or None for each axis.

    >>> from tinygrad_np import Tensor
    >>> Tensor([[1, 2, 3], [4, 5, 6]]).shrink((None, (1, 3)))
    Tensor([[2, 3],
            [5, 6]])
    """
    if len(arg) != len(x.shape):
        raise ShapeError(f"shrink: got {len(arg)} parts for shape {x.shape}, expected one an axis")
    for axis, (part, length) in enumerate(zip(arg, x.shape, strict=True)):
        if part is not None and not isinstance(part, list | tuple):
            raise DtypeError(f"shrink: got {part!r} for axis {axis}, expected (start, end) or None")
        if part is not None and not 0 <= part[0] <= part[1] <= length:
            raise ShapeError(
                f"shrink: got {tuple(part)} for axis {axis} of shape {x.shape}, expected "
                f"0 <= start <= end <= {length}"
            )
    return basic_index(x, key=tuple(slice(*(part or (None,))) for part in arg))


def unfold(x: V, dim: int, size: int, step: int) -> V:
    """Return the windows of `size` along `dim`, `step` apart, with a new last axis within them.

    >>> from tinygrad_np import Tensor
    >>> Tensor([1, 2, 3, 4]).unfold(0, 2, 1)
    Tensor([[1, 2],
            [2, 3],
            [3, 4]])
    """
    dim = axis_of("unfold", len(x.shape), dim)
    length = x.shape[dim] if x.shape else 1
    if not 0 <= size <= length or step < 1:
        raise ArgumentError(
            f"unfold: got size {size} and step {step} for axis {dim} of shape {x.shape}, expected "
            f"a size of 0 to {length} and a step of at least 1"
        )
    if not x.shape:
        return _reshape(basic_index(_reshape(x, shape=(1,)), key=slice(size)), shape=(size,))
    starts = np.arange(0, length - size + 1, step)
    windows = getitem(x, (slice(None),) * dim + (starts[:, None] + np.arange(size),))
    order = [axis for axis in range(len(windows.shape)) if axis != dim + 1]
    return _permute(windows, order=(*order, dim + 1))


def meshgrid(x: V, *args: Any, indexing: str = "ij") -> tuple[V, ...]:
    """Return for each of some vectors a tensor over the grid of all; "xy" exchanges the first two
    axes of it.

    >>> from tinygrad_np import Tensor
    >>> Tensor([1, 2]).meshgrid(Tensor([3, 4, 5]))[1]
    Tensor([[3, 4, 5],
            [3, 4, 5]])
    """
    if indexing not in ("ij", "xy"):
        raise ArgumentError(f"meshgrid indexing: got {indexing!r}, expected 'ij' or 'xy'")
    vectors = [_reshape(v, shape=(-1,)) if len(v.shape) < 2 else v for v in (x, *args)]
    if any(len(v.shape) != 1 for v in vectors):
        raise ShapeError(f"meshgrid: got shapes {[v.shape for v in vectors]}, expected vectors")
    shape = tuple(v.shape[0] for v in vectors)
    grids = []
    for axis, vector in enumerate(vectors):
        lengths = [1] * len(shape)
        lengths[axis] = -1
        grid = record.expand(_reshape(vector, shape=tuple(lengths)), shape=shape)
        grids.append(transpose(grid) if indexing == "xy" and len(shape) > 1 else grid)
    return tuple(grids)
