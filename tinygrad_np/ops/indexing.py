"""Reading parts of an array, and putting gradients back where they were read."""

from typing import Any

import numpy as np

from tinygrad_np.errors import DtypeError
from tinygrad_np.memory import Array
from tinygrad_np.record import op
from tinygrad_np.tape import Shape, Variable


@op(
    "x[key]",
    vjps={"x": lambda grad_out, key, x_shape: index_add(grad_out, key=key, shape=x_shape)},
    view=True,
)
def basic_index(x: Array, *, key: Any) -> Array:
    """Read by ints, slices, None and an Ellipsis: a view."""
    return np.asarray(x[key])


@op(
    "x[key]",
    vjps={"x": lambda grad_out, key, x_shape: index_add(grad_out, key=key, shape=x_shape)},
)
def advanced_index(x: Array, *, key: Any) -> Array:
    """Read by integer or bool arrays, also mixed with the basic kinds: a copy."""
    return np.asarray(x[key])


@op(
    "zeros, plus x at key",
    vjps={"x": lambda grad_out, key: getitem(grad_out, key)},
)
def index_add(x: Array, *, key: Any, shape: Shape) -> Array:
    """Add x to zeros of `shape` at `key`; an entry that is named twice gets both."""
    out = np.zeros(shape, x.dtype)
    if is_basic(key):
        out[key] = x
    else:
        np.add.at(out, key, x)
    return out


def getitem(x: Any, key: Any) -> Any:
    """Return x[key] for any key of NumPy's, with Tensors allowed where arrays are."""
    key = tuple(map(_plain, key)) if isinstance(key, tuple) else _plain(key)
    return basic_index(x, key=key) if is_basic(key) else advanced_index(x, key=key)


def is_basic(key: Any) -> bool:
    """Whether a key gives a view: no arrays in it, and no bools."""
    parts = key if isinstance(key, tuple) else (key,)
    return not any(isinstance(part, np.ndarray | bool) for part in parts)


def _plain(part: Any) -> Any:
    """Return one part of a key as NumPy takes it; arrays are copied, since a graph keeps them."""
    if isinstance(part, Variable):
        part = part.data
    if isinstance(part, list):
        part = np.asarray(part) if part else np.asarray(part, np.int64)
    if isinstance(part, np.ndarray) and part.dtype.kind not in "iub":
        raise DtypeError(
            f"getitem: got an index array of dtype {part.dtype}, expected integers or bools; "
            "convert it with .int() or .bool()"
        )
    return part.copy() if isinstance(part, np.ndarray) else part
