"""Ops that rearrange entries: reshaping, permuting, joining, splitting and padding."""

import itertools
import math
from collections.abc import Sequence
from typing import Literal, TypeVar

import numpy as np

from tinygrad_np.autograd.dispatch import V, op
from tinygrad_np.autograd.primitives import expand
from tinygrad_np.errors import ArgumentError, AxisError, DtypeError, ShapeError
from tinygrad_np.ops.elementwise import ne, sub
from tinygrad_np.ops.indexing import basic_index, getitem, select
from tinygrad_np.runtime.memory import Array
from tinygrad_np.typing import Value

T = TypeVar("T")
Pads = Sequence[tuple[int, int]]
Padding = Sequence[int] | Sequence[Sequence[int] | None]


def as_tuple(values: T | Sequence[T]) -> tuple[T, ...]:
    """Return a sequence as a tuple, and a single value as a tuple of one entry."""
    return tuple(values) if isinstance(values, Sequence) else (values,)


def normalize_axis(name: str, ndim: int, axis: int) -> int:
    """Return `axis` as a number >= 0; a 0-d tensor counts as having one axis."""
    count = max(ndim, 1)
    if not -count <= axis < count:
        raise AxisError(f"{name}: expected an axis from {-count} to {count - 1}, got {axis}.")
    return axis % count


def measure_axis(name: str, x: Value, axis: int) -> tuple[int, int]:
    """Return `axis` as a number >= 0, and the length of that axis."""
    if not x.shape:
        raise ShapeError(f"{name}: expected at least one axis, got a 0-d tensor.")
    axis = normalize_axis(name, len(x.shape), axis)
    return axis, x.shape[axis]


@op(
    "x in another shape",
    vjps={"x": lambda grad_out, x_shape: reshape(grad_out, shape=x_shape)},
    view=True,
)
def reshape(x: Array, *, shape: Sequence[int | None]) -> Array:
    """Change the shape, keeping the entries in C order.

    Args:
        x: the input.
        shape: the new shape. None keeps the length of an axis; one length may be -1 and is
            computed from the others.

    Raises:
        ShapeError: if the number of entries would change, more than one length is -1, or None is
            given for an axis that x does not have.

    >>> Tensor([1, 2, 3, 4]).reshape(2, -1)
    Tensor([[1, 2],
            [3, 4]])
    """
    if None in shape:
        if None in shape[x.ndim :]:
            raise ShapeError(
                f"reshape: expected None only for the {x.ndim} axes of shape {x.shape}, got "
                f"{tuple(shape)}."
            )
        shape = [x.shape[axis] if n is None else n for axis, n in enumerate(shape)]
    return x.reshape(shape)


def flatten(x: V, start_dim: int = 0, end_dim: int = -1) -> V:
    """Merge the axes from `start_dim` to `end_dim` into one.

    `x.flatten(1)` keeps the batch axis.

    Raises:
        AxisError: if an axis is out of range.
        ShapeError: if `start_dim` comes after `end_dim`.

    >>> from tinygrad_np import Tensor
    >>> Tensor.ones(2, 3, 4).flatten(1).shape
    (2, 12)
    """
    start, end = (normalize_axis("flatten", len(x.shape), dim) for dim in (start_dim, end_dim))
    if start > end:
        raise ShapeError(
            f"flatten: expected `start_dim` to be no later than `end_dim` in shape {x.shape}, got "
            f"{start_dim} and {end_dim}."
        )
    length = math.prod(x.shape[start : end + 1])
    return reshape(x, shape=(*x.shape[:start], length, *x.shape[end + 1 :]))


def unflatten(x: V, dim: int, sizes: Sequence[int]) -> V:
    """Split the axis `dim` into axes of the given sizes; one of them may be -1.

    Raises:
        AxisError: if `dim` is out of range.
        DtypeError: if `sizes` is neither a tuple nor a list.
        ShapeError: if the product of `sizes` is not the length of the axis.

    >>> from tinygrad_np import Tensor
    >>> Tensor.ones(2, 12).unflatten(1, (3, -1)).shape
    (2, 3, 4)
    """
    dim = normalize_axis("unflatten", len(x.shape), dim)
    if not isinstance(sizes, list | tuple):
        raise DtypeError(
            f"unflatten: expected a tuple of sizes, for example (2, -1), got {sizes!r}."
        )
    return reshape(x, shape=(*x.shape[:dim], *sizes, *x.shape[dim + 1 :]))


def squeeze(x: V, dim: int | Sequence[int] | None = None) -> V:
    """Remove axes of length 1: all, or only those in `dim`.

    Raises:
        AxisError: if `dim` is out of range.

    >>> from tinygrad_np import Tensor
    >>> Tensor.ones(1, 3, 1).squeeze().shape, Tensor.ones(1, 3, 1).squeeze(0).shape
    ((3,), (3, 1))
    """
    ndim = len(x.shape)
    dims = range(ndim) if dim is None else as_tuple(dim)
    chosen = {normalize_axis("squeeze", ndim, d) for d in dims}
    return reshape(x, shape=[n for a, n in enumerate(x.shape) if a not in chosen or n != 1])


def unsqueeze(x: V, dim: int) -> V:
    """Insert an axis of length 1 at `dim`.

    Raises:
        AxisError: if `dim` is out of range.

    >>> from tinygrad_np import Tensor
    >>> Tensor.ones(3).unsqueeze(-1).shape
    (3, 1)
    """
    dim = normalize_axis("unsqueeze", len(x.shape) + 1, dim)
    return reshape(x, shape=(*x.shape[:dim], 1, *x.shape[dim:]))


def movedim(x: V, source: int | Sequence[int], destination: int | Sequence[int]) -> V:
    """Move axes to new positions; the other axes keep their order. Return a view.

    Args:
        x: the input.
        source: the axis or axes to move.
        destination: their positions in the result.

    Raises:
        AxisError: if an axis is out of range.
        ShapeError: if `source` and `destination` differ in length, or one of them has repeated
            axes.

    >>> from tinygrad_np import Tensor
    >>> Tensor.ones(2, 3, 4).movedim(0, -1).shape
    (3, 4, 2)
    """
    sources, places = (
        [normalize_axis("movedim", len(x.shape), a) for a in as_tuple(axes)]
        for axes in (source, destination)
    )
    if not len(sources) == len(set(sources)) == len(places) == len(set(places)):
        raise ShapeError(
            "movedim: expected `source` and `destination` to have the same number of different "
            f"axes, got {source} and {destination}."
        )
    order = [axis for axis in range(len(x.shape)) if axis not in sources]
    for place, axis in sorted(zip(places, sources, strict=True)):
        order.insert(place, axis)
    return permute(x, order=tuple(order)) if x.shape else x


def expand_as(x: V, other: Value) -> V:
    """Broadcast x to the shape of `other`.

    Raises:
        ShapeError: if x does not broadcast to that shape.

    >>> from tinygrad_np import Tensor
    >>> Tensor([[1], [2]]).expand_as(Tensor.ones(2, 3)).shape
    (2, 3)
    """
    return expand(x, shape=other.shape)


def view_as(x: V, other: Value) -> V:
    """Reshape x to the shape of `other`.

    Raises:
        ShapeError: if the numbers of entries differ.

    >>> from tinygrad_np import Tensor
    >>> Tensor([1, 2]).view_as(Tensor.ones(2, 1)).shape
    (2, 1)
    """
    return reshape(x, shape=other.shape)


def _invert(order: Sequence[int]) -> list[int]:
    return [int(axis) for axis in np.argsort([axis % len(order) for axis in order])]


@op(
    "x with its axes permuted",
    vjps={"x": lambda grad_out, order: permute(grad_out, order=_invert(order))},
    view=True,
)
def permute(x: Array, *, order: Sequence[int]) -> Array:
    """Reorder the axes: axis i of the result is axis order[i] of x.

    Raises:
        AxisError: if an axis is out of range.
        ShapeError: if `order` does not name each axis exactly once.

    >>> Tensor.ones(2, 3, 4).permute(2, 0, -2).shape
    (4, 2, 3)
    """
    return x.transpose(order)


@op(
    "x with two axes swapped",
    vjps={"x": lambda grad_out, dim0, dim1: transpose(grad_out, dim0=dim0, dim1=dim1)},
    view=True,
)
def transpose(x: Array, *, dim0: int = 1, dim1: int = 0) -> Array:
    """Swap two axes.

    Raises:
        AxisError: if an axis is out of range.

    >>> Tensor.ones(2, 3, 4).transpose(-1, 0).shape
    (4, 3, 2)
    """
    return x.swapaxes(dim0, dim1)


def _cut(grad_out: Value, position: int, bounds: Sequence[int], dim: int) -> Value:
    """Return the part of the gradient that belongs to the input at `position`."""
    ndim = len(grad_out.shape)
    key = [slice(None)] * ndim
    key[dim % ndim] = slice(bounds[position], bounds[position + 1])
    return basic_index(grad_out, key=tuple(key))


@op("xs joined along an axis", vjps={"xs": _cut}, keeps=("bounds",), flops=0)
def cat(*xs: Array, dim: int = 0) -> tuple[Array, list[int]]:
    """Concatenate tensors along the axis `dim`; their other axes must agree.

    Raises:
        AxisError: if `dim` is out of range.
        DtypeError: if an argument is not a tensor.
        ShapeError: if there are no tensors, one is 0-d, or the shapes do not match.

    >>> Tensor([1, 2]).cat(Tensor([3]), Tensor([4]))
    Tensor([1, 2, 3, 4])
    """
    for x in xs:
        if not isinstance(x, np.ndarray):
            raise DtypeError(
                f"cat: expected tensors, got {type(x).__name__}. Pass the axis as dim=, and a "
                "list as cat(*tensors)."
            )
    joined = np.concatenate(xs, axis=dim)
    bounds = [0]
    for x in xs:
        bounds.append(bounds[-1] + x.shape[dim])
    return joined, bounds


def stack(*xs: V, dim: int = 0) -> V:
    """Join tensors of the same shape along a new axis `dim`.

    Raises:
        AxisError: if `dim` is out of range.
        DtypeError: if there are no arguments, or one is not a tensor.
        ShapeError: if the shapes differ.

    >>> from tinygrad_np import Tensor
    >>> Tensor.stack(Tensor([1, 2]), Tensor([3, 4]), dim=1)
    Tensor([[1, 3],
            [2, 4]])
    """
    if not xs or any(not hasattr(x, "shape") for x in xs):
        kinds = ", ".join([type(x).__name__ for x in xs]) or "nothing"
        raise DtypeError(
            f"stack: expected tensors, got {kinds}. Try stack(*tensors) for a list of tensors, or "
            "Tensor(...) around each list of numbers."
        )
    if any(x.shape != xs[0].shape for x in xs):
        raise ShapeError(f"stack: expected tensors of the same shape, got {[x.shape for x in xs]}.")
    return cat(*[unsqueeze(x, dim) for x in xs], dim=dim)


def split(x: V, sizes: int | Sequence[int], dim: int = 0) -> tuple[V, ...]:
    """Split x along `dim` into views.

    Args:
        x: the input.
        sizes: the size of each part, or one size for all; then the last part may be smaller.
        dim: the axis to split.

    Raises:
        ArgumentError: if `sizes` is an integer below 1.
        ShapeError: if a sequence of sizes has negative entries or does not add up to the length of
            the axis, or if x is 0-d.
        AxisError: if `dim` is out of range.

    >>> from tinygrad_np import Tensor
    >>> Tensor([1, 2, 3]).split(2)
    (Tensor([1, 2]), Tensor([3]))
    """
    dim, length = measure_axis("split", x, dim)
    if isinstance(sizes, int | np.integer):
        size = int(sizes)
        if size < 1:
            raise ArgumentError(f"split: expected `sizes` to be >= 1, got {size}.")
        sizes = [size] * (length // size) + [length % size] * bool(length % size) or [0]
    if sum(sizes) != length or min(sizes, default=0) < 0:
        raise ShapeError(
            f"split: expected sizes >= 0 that sum to {length} for axis {dim} of shape {x.shape}, "
            f"got {list(sizes)}."
        )
    ends = np.cumsum([0, *sizes]).tolist()
    lead = (slice(None),) * dim
    return tuple([basic_index(x, key=(*lead, slice(*pair))) for pair in itertools.pairwise(ends)])


def unbind(x: V, dim: int = 0) -> tuple[V, ...]:
    """Return the slices of x along `dim`, without that axis, as views.

    Raises:
        AxisError: if `dim` is out of range.
        ShapeError: if x is 0-d.

    >>> from tinygrad_np import Tensor
    >>> Tensor([[1, 2], [3, 4]]).unbind(1)
    (Tensor([1, 3]), Tensor([2, 4]))
    """
    dim, length = measure_axis("unbind", x, dim)
    return tuple([select(x, dim, i) for i in range(length)])


def diff(x: V, n: int = 1, dim: int = -1) -> V:
    """Compute the differences between neighboring entries along `dim`, n times.

    Raises:
        ArgumentError: if `n` is negative.
        AxisError: if `dim` is out of range.
        ShapeError: if x is 0-d.

    For bools, the difference is True where neighbors differ.

    >>> from tinygrad_np import Tensor
    >>> Tensor([1, 4, 9]).diff()
    Tensor([3, 5])
    """
    if n < 0:
        raise ArgumentError(f"diff: expected `n` to be >= 0, got {n}.")
    dim, _ = measure_axis("diff", x, dim)
    lead = (slice(None),) * dim
    for _ in range(n):
        later, earlier = (basic_index(x, key=(*lead, part)) for part in (slice(1, None), slice(-1)))
        x = ne(later, earlier) if x.dtype == np.bool_ else sub(later, earlier)
    return x


def chunk(x: V, chunks: int, dim: int = 0) -> tuple[V, ...]:
    """Split x along `dim` into at most `chunks` views of equal size; the last may be smaller.

    Raises:
        ArgumentError: if `chunks` is below 1.
        AxisError: if `dim` is out of range.
        ShapeError: if x is 0-d.

    >>> from tinygrad_np import Tensor
    >>> Tensor([1, 2, 3, 4, 5]).chunk(2)
    (Tensor([1, 2, 3]), Tensor([4, 5]))
    """
    if chunks < 1:
        raise ArgumentError(f"chunk: expected `chunks` to be >= 1, got {chunks}.")
    dim, length = measure_axis("chunk", x, dim)
    return split(x, -(-length // chunks), dim) if length else split(x, [0] * chunks, dim)


def repeat(x: V, repeats: Sequence[int]) -> V:
    """Tile the tensor: repeat it along each axis.

    `repeats` has one count per axis; additional leading counts add new axes.

    Raises:
        ShapeError: if there are fewer counts than axes, or a count is negative.

    >>> from tinygrad_np import Tensor
    >>> Tensor([1, 2]).repeat(2, 2)
    Tensor([[1, 2, 1, 2],
            [1, 2, 1, 2]])
    """
    if len(repeats) < len(x.shape) or min(repeats, default=0) < 0:
        raise ShapeError(
            f"repeat: expected a count >= 0 for each axis of shape {x.shape}, got {tuple(repeats)}."
        )
    shape = (1,) * (len(repeats) - len(x.shape)) + tuple(x.shape)
    pairs = list(zip(repeats, shape, strict=True))
    apart = reshape(x, shape=[n for length in shape for n in (1, length)])
    repeated = expand(apart, shape=[n for pair in pairs for n in pair])
    return reshape(repeated, shape=[count * length for count, length in pairs])


def tile(x: V, reps: Sequence[int]) -> V:
    """Repeat x along each axis, as `repeat` does; missing leading counts are 1.

    Raises:
        ShapeError: if a count is negative.

    >>> from tinygrad_np import Tensor
    >>> Tensor([[1, 2]]).tile(2)
    Tensor([[1, 2, 1, 2]])
    """
    return repeat(x, (1,) * (len(x.shape) - len(reps)) + tuple(reps))


def repeat_interleave(x: V, repeats: int, dim: int | None = None) -> V:
    """Repeat each entry `repeats` times along `dim`, or in the flattened tensor if `dim` is None.

    Raises:
        ArgumentError: if `repeats` is not an integer >= 0.
        AxisError: if `dim` is out of range.
        ShapeError: if `dim` is given and x is 0-d.

    >>> from tinygrad_np import Tensor
    >>> Tensor([1, 2]).repeat_interleave(2)
    Tensor([1, 1, 2, 2])
    """
    if not isinstance(repeats, int | np.integer) or repeats < 0:
        raise ArgumentError(
            f"repeat_interleave: expected `repeats` to be an integer >= 0, got {repeats!r}."
        )
    if dim is None:
        x, dim = reshape(x, shape=(-1,)), 0
    dim, length = measure_axis("repeat_interleave", x, dim)
    lead, rest = x.shape[: dim + 1], x.shape[dim + 1 :]
    repeated = expand(unsqueeze(x, dim + 1), shape=(*lead, repeats, *rest))
    return reshape(repeated, shape=(*lead[:-1], length * repeats, *rest))


def flip(x: V, axis: int | Sequence[int]) -> V:
    """Reverse the entries along one or more axes; return a view.

    Raises:
        AxisError: if `axis` is out of range.

    >>> from tinygrad_np import Tensor
    >>> Tensor([[1, 2], [3, 4]]).flip(1)
    Tensor([[2, 1],
            [4, 3]])
    """
    chosen = {normalize_axis("flip", len(x.shape), a) for a in as_tuple(axis)}
    steps = [slice(None, None, -1 if a in chosen else None) for a in range(len(x.shape))]
    return basic_index(x, key=tuple(steps))


def roll(x: V, shifts: int | Sequence[int], dims: int | Sequence[int] | None = None) -> V:
    """Shift entries cyclically along `dims`, or in the flattened tensor if `dims` is None.

    Args:
        x: the input.
        shifts: the number of positions to shift by, one per axis in `dims`.
        dims: the axes to shift along.

    Raises:
        AxisError: if an axis is out of range.
        ShapeError: if the number of shifts is not the number of axes, or `dims` is given and x is
            0-d.

    >>> from tinygrad_np import Tensor
    >>> Tensor([1, 2, 3]).roll(1)
    Tensor([3, 1, 2])
    """
    if dims is None:
        return reshape(roll(reshape(x, shape=(-1,)), shifts, 0), shape=x.shape)
    steps, axes = as_tuple(shifts), as_tuple(dims)
    if len(steps) != len(axes):
        raise ShapeError(f"roll: expected one shift per axis, got shifts={shifts} and dims={dims}.")
    for shift, dim in zip(steps, axes, strict=True):
        dim, length = measure_axis("roll", x, dim)
        lead = (slice(None),) * dim
        start = -shift % length if length else 0
        parts = [basic_index(x, key=(*lead, part)) for part in (slice(start, None), slice(start))]
        x = cat(*parts, dim=dim)
    return x


def _negate(padding: Pads) -> Pads:
    return tuple([(-before, -after) for before, after in padding])


@op(
    "x with a constant border",
    # Padding by -n crops n entries, which reverses padding by n.
    vjps={"x": lambda grad_out, padding: pad_constant(grad_out, padding=_negate(padding))},
    flops=0,
)
def pad_constant(x: Array, *, padding: Pads, value: float = 0.0) -> Array:
    """Pad with `value`, by one pair (before, after) per axis; negative numbers crop.

    Raises:
        ShapeError: if there is not one pair per axis, or an axis would get a negative length.
    """
    if len(padding) != x.ndim:
        raise _wrong_pair_count(x, padding)
    lengths = [n + before + after for n, (before, after) in zip(x.shape, padding, strict=True)]
    if min(lengths, default=0) < 0:
        raise ShapeError(
            f"pad: expected negative padding to remove at most the length of each axis of shape "
            f"{x.shape}, got {padding}."
        )
    out = np.full(lengths, value, x.dtype)
    out[_crop(lengths, padding)] = x[_crop(x.shape, _negate(padding))]
    return out


def _crop(lengths: Sequence[int], padding: Pads) -> tuple[slice, ...]:
    """Return the key that removes a border; negative borders count as 0."""
    pairs = zip(lengths, padding, strict=True)
    return tuple([slice(max(0, before), n - max(0, after)) for n, (before, after) in pairs])


def _wrong_pair_count(x: Value, padding: Sequence[object]) -> ShapeError:
    return ShapeError(
        f"pad: expected {len(x.shape)} pairs (before, after), one per axis of shape {x.shape}, "
        f"got {len(padding)}."
    )


_Mode = Literal["reflect", "edge", "wrap"]
_MODES: dict[str, _Mode] = {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}


def pad(x: V, padding: Padding, mode: str = "constant", value: float = 0.0) -> V:
    """Pad with a constant, or with entries of the tensor.

    Args:
        x: the input.
        padding: flat numbers, last axis first, as in PyTorch: (left, right, top, bottom); or one
            pair (before, after) or None per axis, first axis first. Negative numbers crop.
        mode: "constant", "reflect" (without repeating the outermost entry), "replicate" or
            "circular".
        value: the constant for mode "constant".

    Raises:
        ArgumentError: if `mode` is unknown.
        ShapeError: if `padding` does not fit the shape, or exceeds what the mode allows: per side,
            the axis length - 1 for "reflect" and the axis length for "circular".
        DtypeError: if `padding` is not a tuple or list of integers, or of pairs and None.

    >>> from tinygrad_np import Tensor
    >>> Tensor([1, 2, 3]).pad((1, 2)), Tensor([1, 2, 3]).pad((1, 2), mode="reflect")
    (Tensor([0, 1, 2, 3, 0, 0]), Tensor([2, 1, 2, 3, 2, 1]))
    """
    pairs = _pair_up(x, padding)
    if mode == "constant":
        return pad_constant(x, padding=pairs, value=value)
    if mode not in _MODES:
        raise ArgumentError(
            f"pad: expected `mode` to be one of constant, {', '.join(_MODES)}, got {mode!r}."
        )
    for axis, (before, after) in enumerate(pairs):
        length = x.shape[axis]
        if mode == "circular":
            # As in PyTorch, crop first; only the remaining entries wrap around.
            crop = slice(max(-before, 0), length - max(-after, 0))
            x = basic_index(x, key=(slice(None),) * axis + (crop,))
            before, after, length = max(before, 0), max(after, 0), x.shape[axis]
        most = {"reflect": length - 1, "circular": length}.get(mode, max(before, after))
        if max(before, after) > most or not length:
            rule = f"padding of at most {most} on each side of" if length else "entries along"
            raise ShapeError(
                f"pad: expected {rule} axis {axis} in mode {mode!r}, got {pairs[axis]} for length "
                f"{length}{' after cropping' * (mode == 'circular')}."
            )
        border = (max(before, 0), max(after, 0))
        places = np.pad(np.arange(length), border, mode=_MODES[mode])
        places = places[max(-before, 0) : len(places) - max(-after, 0)]
        if before or after:
            x = getitem(x, (slice(None),) * axis + (places,))
    return x


def _pair_up(x: Value, padding: Padding) -> Pads:
    """Return one pair (before, after) per axis."""
    ndim = len(x.shape)
    if not isinstance(padding, list | tuple):
        raise DtypeError(f"pad: expected a tuple, for example (left, right), got {padding!r}.")
    if not all(isinstance(part, int | np.integer) for part in padding):
        if any(part is not None and not isinstance(part, list | tuple) for part in padding):
            raise DtypeError(f"pad: expected integers, or pairs and None, got {padding!r}.")
        if len(padding) != ndim:
            raise _wrong_pair_count(x, padding)
        return tuple([(0, 0) if part is None else tuple(part) for part in padding])
    if len(padding) % 2 or len(padding) > 2 * ndim:
        raise ShapeError(
            f"pad: expected an even number of entries, at most two per axis of shape {x.shape}, "
            f"got {len(padding)}."
        )
    pairs = [(padding[i], padding[i + 1]) for i in range(len(padding) - 2, -1, -2)]
    return ((0, 0),) * (ndim - len(pairs)) + tuple(pairs)


def shrink(x: V, arg: Sequence[Sequence[int] | None]) -> V:
    """Slice each axis from start to end, given as one pair (start, end) or None per axis.

    Raises:
        DtypeError: if an entry is neither a pair nor None.
        ShapeError: if there is not one entry per axis, or a pair exceeds its axis.

    >>> from tinygrad_np import Tensor
    >>> Tensor([[1, 2, 3], [4, 5, 6]]).shrink((None, (1, 3)))
    Tensor([[2, 3],
            [5, 6]])
    """
    if len(arg) != len(x.shape):
        raise ShapeError(
            f"shrink: expected one pair or None per axis of shape {x.shape}, got {arg}."
        )
    for axis, (part, length) in enumerate(zip(arg, x.shape, strict=True)):
        if part is not None and not isinstance(part, list | tuple):
            raise DtypeError(f"shrink: expected (start, end) or None, got {part!r}.")
        if part is not None and not 0 <= part[0] <= part[1] <= length:
            raise ShapeError(
                f"shrink: expected 0 <= start <= end <= {length} for axis {axis} of shape "
                f"{x.shape}, got {tuple(part)}."
            )
    return basic_index(x, key=tuple([slice(*(part or (None,))) for part in arg]))


def unfold(x: V, dim: int, size: int, step: int) -> V:
    """Return all windows of `size` along `dim`, `step` apart, in a new last axis.

    Unlike in PyTorch, the result is a copy.

    Raises:
        ArgumentError: if `size` is negative or larger than the axis, or `step` is below 1.
        AxisError: if `dim` is out of range.

    >>> from tinygrad_np import Tensor
    >>> Tensor([1, 2, 3, 4]).unfold(0, 2, 1)
    Tensor([[1, 2],
            [2, 3],
            [3, 4]])
    """
    dim = normalize_axis("unfold", len(x.shape), dim)
    length = x.shape[dim] if x.shape else 1
    if not 0 <= size <= length or step < 1:
        raise ArgumentError(
            f"unfold: expected `size` to be from 0 to {length} and `step` to be >= 1 for axis "
            f"{dim} of shape {x.shape}, got size={size} and step={step}."
        )
    if not x.shape:
        return basic_index(reshape(x, shape=(1,)), key=slice(size))
    starts = np.arange(0, length - size + 1, step)
    windows = getitem(x, (slice(None),) * dim + (starts[:, None] + np.arange(size),))
    order = [axis for axis in range(len(windows.shape)) if axis != dim + 1]
    return permute(windows, order=(*order, dim + 1))


def meshgrid(x: V, *args: V, indexing: str = "ij") -> tuple[V, ...]:
    """Expand vectors to coordinate grids, one per vector.

    With indexing="xy", the first two axes of the grids are swapped.

    Raises:
        ArgumentError: if `indexing` is unknown.
        ShapeError: if an argument has more than one axis.

    >>> from tinygrad_np import Tensor
    >>> Tensor([1, 2]).meshgrid(Tensor([3, 4, 5]))[1]
    Tensor([[3, 4, 5],
            [3, 4, 5]])
    """
    if indexing not in ("ij", "xy"):
        raise ArgumentError(f"meshgrid: expected `indexing` to be 'ij' or 'xy', got {indexing!r}.")
    vectors = [reshape(v, shape=(-1,)) if len(v.shape) < 2 else v for v in (x, *args)]
    if any(len(v.shape) != 1 for v in vectors):
        raise ShapeError(f"meshgrid: expected vectors, got shapes {[v.shape for v in (x, *args)]}.")
    shape = [v.shape[0] for v in vectors]
    grids = []
    for axis, vector in enumerate(vectors):
        column = reshape(vector, shape=(-1,) + (1,) * (len(shape) - axis - 1))
        grid = expand(column, shape=shape)
        grids.append(transpose(grid) if indexing == "xy" and len(shape) > 1 else grid)
    return tuple(grids)
