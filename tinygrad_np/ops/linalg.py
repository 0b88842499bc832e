"""Products of matrices."""

from typing import Any

import numpy as np

from tinygrad_np import memory
from tinygrad_np.errors import ShapeError
from tinygrad_np.memory import Array
from tinygrad_np.ops.reduce import sum
from tinygrad_np.ops.shape import reshape, transpose
from tinygrad_np.record import op


def _swapped(x: Any) -> Any:
    return transpose(x, dim0=-2, dim1=-1)


@op(
    "a b",
    vjps={
        "a": lambda grad_out, b: _matmul(grad_out, _swapped(b)),
        "b": lambda grad_out, a: _matmul(_swapped(a), grad_out),
    },
)
def _matmul(a: Array, b: Array) -> Array:
    """Product of matrices in the last two axes; the axes before them broadcast."""
    if a.ndim == b.ndim == 2 and a.shape[1] == b.shape[0]:
        return np.matmul(a, b, out=memory.empty((a.shape[0], b.shape[1]), a.dtype))
    return np.asarray(np.matmul(a, b))


def matmul(a: Any, b: Any) -> Any:
    """Product of matrices of any rank; a vector counts as a row on the left, a column on the right.

    a: (..., n, k) or (k,); b: (..., k, m) or (k,).
    """
    if not a.shape or not b.shape:
        raise ShapeError(
            f"matmul: got shapes {a.shape} and {b.shape}, expected at least one axis each; use * "
            "for the product with a number"
        )
    if a.shape[-1] != b.shape[-2 if len(b.shape) > 1 else 0]:
        raise ShapeError(
            f"matmul: got shapes {a.shape} and {b.shape}; the last axis of the first, "
            f"{a.shape[-1]}, must equal the last but one (or only) axis of the second"
        )
    left = reshape(a, shape=(1, *a.shape)) if len(a.shape) == 1 else a
    right = reshape(b, shape=(*b.shape, 1)) if len(b.shape) == 1 else b
    out = _matmul(left, right)
    if left is not a or right is not b:
        rows = () if left is not a else out.shape[-2:-1]
        columns = () if right is not b else out.shape[-1:]
        out = reshape(out, shape=(*out.shape[:-2], *rows, *columns))
    return out


@op(
    "x weightᵀ + bias",
    vjps={
        "x": lambda grad_out, weight: _matmul(grad_out, weight),
        "weight": lambda grad_out, x: _matmul(_swapped(grad_out), x),
        "bias": lambda grad_out: sum(grad_out, axis=0),
    },
)
def _linear(x: Array, weight: Array, bias: Array | None = None) -> Array:
    """Affine map of rows: x (N, in), weight (out, in), bias (out,)."""
    out = np.matmul(x, weight.T, out=memory.empty((len(x), len(weight)), x.dtype))
    return out if bias is None else np.add(out, bias, out=out)


def linear(x: Any, weight: Any, bias: Any = None) -> Any:
    """Affine map of the last axis: x (..., in), weight (out, in), bias (out,) or None."""
    if not x.shape or len(weight.shape) != 2 or x.shape[-1] != weight.shape[1]:
        raise ShapeError(
            f"linear: got input {x.shape} and weight {weight.shape}; the input's last axis must "
            "be the weight's last (in_features); flatten images first, as with .flatten(1)"
        )
    if bias is not None and bias.shape != weight.shape[:1]:
        raise ShapeError(
            f"linear: got bias {bias.shape}, expected {weight.shape[:1]}, one entry an output"
        )
    if len(x.shape) == 2:
        return _linear(x, weight, bias)
    rows = _linear(reshape(x, shape=(-1, x.shape[-1])), weight, bias)
    return reshape(rows, shape=(*x.shape[:-1], weight.shape[0]))
