"""Ops that move entries about: shape, order, joining, padding."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygrad_np.errors import ShapeError
from tinygrad_np.memory import Array
from tinygrad_np.ops.indexing import basic_index
from tinygrad_np.record import op
from tinygrad_np.tape import Shape

Pads = Sequence[tuple[int, int]]


@op(
    "x in another shape",
    vjps={"x": lambda grad_out, x_shape: reshape(grad_out, shape=x_shape)},
    view=True,
)
def reshape(x: Array, *, shape: Shape) -> Array:
    """Give the entries, in C order, another shape; one length may be -1."""
    return x.reshape(shape)


def _inverse(order: Shape) -> Shape:
    return tuple(np.argsort([axis % len(order) for axis in order]).tolist())


@op(
    "axes of x in the given order",
    vjps={"x": lambda grad_out, order: permute(grad_out, order=_inverse(order))},
    view=True,
)
def permute(x: Array, *, order: tuple[int, ...]) -> Array:
    """Reorder the axes: axis i of the result is axis order[i] of x."""
    return x.transpose(order)


@op(
    "x with two axes exchanged",
    vjps={"x": lambda grad_out, dim0, dim1: transpose(grad_out, dim0=dim0, dim1=dim1)},
    view=True,
)
def transpose(x: Array, *, dim0: int, dim1: int) -> Array:
    """Exchange two axes."""
    return x.swapaxes(dim0, dim1)


def _part(grad_out: Any, position: int, bounds: Sequence[int], dim: int) -> Any:
    """Return what of a concatenation came from the input at `position`."""
    ndim = len(grad_out.shape)
    key = [slice(None)] * ndim
    key[dim % ndim] = slice(bounds[position], bounds[position + 1])
    return basic_index(grad_out, key=tuple(key))


@op("xs joined along an axis", vjps={"xs": _part}, keeps=("bounds",))
def cat(*xs: Array, dim: int = 0) -> tuple[Array, list[int]]:
    """Join arrays along the axis `dim`; all other lengths must agree."""
    joined = np.concatenate(xs, axis=dim)
    bounds = [0]
    for x in xs:
        bounds.append(bounds[-1] + x.shape[dim])
    return joined, bounds


def _opposite(padding: Pads) -> Pads:
    return tuple((-before, -after) for before, after in padding)


@op(
    "x within a border",
    # Padding by -n crops n, and cropping is what undoes padding.
    vjps={"x": lambda grad_out, padding: pad(grad_out, padding=_opposite(padding))},
)
def pad(x: Array, *, padding: Pads, value: float = 0.0) -> Array:
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
