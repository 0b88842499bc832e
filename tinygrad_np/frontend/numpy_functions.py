"""NumPy's functions composed of ops, with NumPy's signatures, defaults and results.

`numpy_protocol` calls them. A parameter that the ops do not support is missing here, so that
`numpy_protocol` refuses it. It also translates NumPy's own errors, which these functions raise.
"""

import functools
import math
from collections import namedtuple
from collections.abc import Callable, Iterator, Sequence
from string import ascii_letters
from typing import Any, TypeAlias

import numpy as np
from numpy.lib.array_utils import normalize_axis_index

from tinygrad_np import ops
from tinygrad_np.autograd.dispatch import Primitive
from tinygrad_np.autograd.tape import Variable
from tinygrad_np.checks import is_real
from tinygrad_np.errors import ArgumentError

Operand: TypeAlias = Any
"""A Tensor, an array, a number, or a nested list of them."""
Axes: TypeAlias = int | tuple[int, ...] | list[int] | None
Function: TypeAlias = Callable[..., Any]

# Operands.


def as_arrays(value: Any) -> Any:
    """Replace the Tensors in nested lists, tuples and dicts by their arrays."""
    if isinstance(value, Variable):
        return value.data
    if isinstance(value, list):
        return [as_arrays(inner) for inner in value]
    if isinstance(value, tuple):
        return tuple([as_arrays(inner) for inner in value])
    if isinstance(value, dict):
        return {name: as_arrays(inner) for name, inner in value.items()}
    return value


def find_tensors(value: Any) -> Iterator[Variable]:
    """Yield the Tensors in nested lists, tuples and dicts."""
    if isinstance(value, Variable):
        yield value
    elif isinstance(value, list | tuple | dict):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from find_tensors(inner)


def _read(x: Operand) -> Any:
    """Return a Tensor or an array."""
    if isinstance(x, Variable | np.ndarray):
        return x
    return read_list(x) if isinstance(x, list | tuple) else np.asarray(x)


def read_list(x: Operand) -> Any:
    """Convert a nested list, and stack the Tensors in it; return anything else as it is.

    A number stays a number, which never changes the dtype of a Tensor.
    """
    if not isinstance(x, list | tuple):
        return x
    is_plain = next(find_tensors(x), None) is None
    return np.asarray(x) if is_plain else ops.stack(*map(_read, x))


def _wrap(array: Any) -> Any:
    return Variable.result_class.wrap(array)


def ravel(a: Any) -> Any:
    return ops.reshape(a, shape=(-1,))


def _at(x: Any, axis: int, part: Any) -> Any:
    """Index x along one axis."""
    return ops.getitem(x, (slice(None),) * axis + (part,))


def _axis_of(x: Any, axis: int) -> int:
    return normalize_axis_index(axis, len(x.shape))


def _tuple(values: Any) -> tuple[Any, ...]:
    return tuple(values) if isinstance(values, Sequence | np.ndarray) else (values,)


# Elementwise functions.


def hypot(x1: Operand, x2: Operand) -> Any:
    # A norm does not overflow, and its gradient at 0 is 0.
    dtype = np.result_type(as_arrays(x1), as_arrays(x2))
    sides = [ops.cast(x, dtype=dtype) for x in broadcast_arrays(x1, x2)]
    return ops.norm(ops.stack(*sides), axis=0)


def logaddexp2(x1: Operand, x2: Operand) -> Any:
    scale = math.log(2)
    return ops.div(ops.logaddexp(ops.mul(x1, scale), ops.mul(x2, scale)), scale)


def sign(x: Any) -> Any:
    out = ops.sign(x)  # 0 for nan
    return ops.where(ops.isnan(x), math.nan, out) if x.dtype.kind == "f" else out


def modf(x: Any) -> Any:
    if x.dtype.kind != "f":
        x = ops.cast(x, dtype=np.float32)
    finite = ops.where(ops.isinf(x), 0.0, x)
    return ops.sub(finite, ops.trunc(finite)), ops.trunc(x)


def round(a: Any, decimals: int = 0) -> Any:
    is_float = a.dtype.kind == "f"
    if decimals == 0 or (decimals > 0 and not is_float):
        return ops.round(a)
    scale = 10.0 ** abs(decimals)
    enlarge, reduce = (ops.mul, ops.div) if decimals > 0 else (ops.div, ops.mul)
    x = a if is_float else ops.cast(a, dtype=np.float64)
    return ops.cast(reduce(ops.round(enlarge(x, scale)), scale), dtype=a.dtype)


def clip(
    a: Operand,
    a_min: Operand = None,
    a_max: Operand = None,
    *,
    min: Operand = None,
    max: Operand = None,
) -> Any:
    low, high = (a_min if min is None else min), (a_max if max is None else max)
    return ops.clip(_read(a), read_list(low), read_list(high))


def where(condition: Operand, *choices: Operand) -> Any:
    if not choices:
        return nonzero(condition)
    mask = _read(condition)
    if isinstance(mask, Variable):
        mask = Variable.result_class.wrap(mask.data, None, mask.version)
    return ops.where(mask, *map(read_list, choices))


def _constant(x: Operand) -> Any:
    """Return the array of an index, which has no gradient."""
    return np.asarray(as_arrays(x))


def nan_to_num(
    x: Any, *, nan: float = 0.0, posinf: float | None = None, neginf: float | None = None
) -> Any:
    return ops.nan_to_num(x, nan, posinf, neginf)


def isclose(
    a: Operand, b: Operand, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False
) -> Any:
    return ops.isclose(_read(a), _read(b), rtol=rtol, atol=atol, equal_nan=equal_nan)


def allclose(
    a: Operand, b: Operand, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False
) -> bool:
    return ops.allclose(_read(a), _read(b), rtol, atol, equal_nan)


def array_equal(a1: Operand, a2: Operand, equal_nan: bool = False) -> bool:
    return np.array_equal(as_arrays(a1), as_arrays(a2), equal_nan)


# Reductions, scans and order.


def reduction(op: Primitive, first: Axes = None) -> Function:
    """Return the adapter for a reduction whose axis defaults to `first`."""

    def reduce(a: Operand, axis: Axes = first, *, keepdims: bool = False) -> Any:
        return op(_read(a), axis=axis, keepdim=keepdims)

    return reduce


def sum(a: Any, axis: Axes = None, dtype: Any = None, *, keepdims: bool = False) -> Any:
    return ops.sum(a, axis=axis, keepdim=keepdims, dtype=dtype)


def prod(a: Any, axis: Axes = None, dtype: Any = None, *, keepdims: bool = False) -> Any:
    return ops.prod(a, axis=axis, keepdim=keepdims, dtype=dtype)


def var(
    a: Any,
    axis: Axes = None,
    *,
    ddof: float = 0,
    keepdims: bool = False,
    correction: float | None = None,
) -> Any:
    return ops.var(a, axis, keepdims, ddof if correction is None else correction)


def std(
    a: Any,
    axis: Axes = None,
    *,
    ddof: float = 0,
    keepdims: bool = False,
    correction: float | None = None,
) -> Any:
    return ops.std(a, axis, keepdims, ddof if correction is None else correction)


def average(
    a: Operand, axis: Axes = None, weights: Operand = None, *, keepdims: bool = False
) -> Any:
    x = _read(a)
    if weights is None:
        return ops.mean(x, axis=axis, keepdim=keepdims)
    w = _read(weights)
    if w.shape != x.shape:
        if not isinstance(axis, int) or len(w.shape) != 1:
            raise ValueError("expected `weights` of the shape of `a`, or one per entry of `axis`")
        after = len(x.shape) - _axis_of(x, axis) - 1
        w = ops.expand(ops.reshape(w, shape=(-1,) + (1,) * after), shape=x.shape)
    total = ops.sum(ops.mul(x, w), axis=axis, keepdim=keepdims)
    return ops.div(total, ops.sum(w, axis=axis, keepdim=keepdims))


def ptp(a: Any, axis: Axes = None, *, keepdims: bool = False) -> Any:
    high, low = (op(a, axis=axis, keepdim=keepdims) for op in (ops.max, ops.min))
    return ops.sub(high, low)


def cumsum(a: Any, axis: int | None = None) -> Any:
    return ops.cumsum(ravel(a), axis=0) if axis is None else ops.cumsum(a, axis=axis)


def cumprod(a: Any, axis: int | None = None) -> Any:
    return ops.cumprod(ravel(a), axis=0) if axis is None else ops.cumprod(a, axis=axis)


def diff(a: Any, n: int = 1, axis: int = -1) -> Any:
    return ops.diff(a, n, axis)


# Every order is stable here, so `kind` changes nothing.


def sort(
    a: Any, axis: int | None = -1, kind: str | None = None, *, stable: bool | None = None
) -> Any:
    return ops.sort(ravel(a), 0)[0] if axis is None else ops.sort(a, axis)[0]


def argsort(
    a: Any, axis: int | None = -1, kind: str | None = None, *, stable: bool | None = None
) -> Any:
    return ops.argsort(ravel(a), dim=0) if axis is None else ops.argsort(a, dim=axis)


def count_nonzero(a: Any, axis: Axes = None, *, keepdims: bool = False) -> Any:
    return ops.sum(ops.ne(a, 0), axis=axis, keepdim=keepdims)


def nonzero(a: Operand) -> Any:
    return tuple([_wrap(index) for index in np.nonzero(_constant(a))])


def argwhere(a: Any) -> Any:
    return ops.nonzero(a)


def flatnonzero(a: Any) -> Any:
    return nonzero(ravel(a))[0]


# Shapes.


def reshape(a: Any, shape: Any = None, *, newshape: Any = None) -> Any:
    return ops.reshape(a, shape=_tuple(newshape if shape is None else shape))


def transpose(a: Any, axes: Sequence[int] | None = None) -> Any:
    return ops.permute(a, order=tuple(range(len(a.shape))[::-1] if axes is None else axes))


def matrix_transpose(x: Any) -> Any:
    return ops.transpose(x, dim0=-2, dim1=-1)


def moveaxis(a: Any, source: int | Sequence[int], destination: int | Sequence[int]) -> Any:
    return ops.movedim(a, source, destination)


def swapaxes(a: Any, axis1: int, axis2: int) -> Any:
    return ops.transpose(a, dim0=axis1, dim1=axis2)


def squeeze(a: Any, axis: Axes = None) -> Any:
    if axis is None:
        return ops.squeeze(a)
    axes = [_axis_of(a, one) for one in _tuple(axis)]
    if any(a.shape[one] != 1 for one in axes):
        raise ValueError("expected axes of length 1")
    return ops.squeeze(a, axes)


def expand_dims(a: Any, axis: int | Sequence[int]) -> Any:
    return ops.reshape(a, shape=np.expand_dims(a.data, _tuple(axis)).shape)


def broadcast_to(array: Any, shape: int | Sequence[int]) -> Any:
    sizes = _tuple(shape)
    np.broadcast_to(array.data, sizes)  # ops.expand reads -1 as a length to keep
    return ops.expand(array, shape=sizes)


def broadcast_arrays(*args: Operand) -> Any:
    values = [_read(x) for x in args]
    shape = np.broadcast_shapes(*[x.shape for x in values])
    return tuple([ops.expand(x, shape=shape) for x in values])


def at_least(rank: int) -> Function:
    """Return the adapter of `atleast_1d` or `atleast_2d`."""

    def expand(*arys: Operand) -> Any:
        values = [_read(x) for x in arys]
        grown = [ops.reshape(x, shape=(1,) * (rank - len(x.shape)) + x.shape) for x in values]
        return grown[0] if len(grown) == 1 else tuple(grown)

    return expand


def concatenate(arrays: Sequence[Operand], axis: int | None = 0) -> Any:
    values = [_read(x) for x in arrays]
    return ops.cat(*map(ravel, values), dim=0) if axis is None else ops.cat(*values, dim=axis)


def stack(arrays: Sequence[Operand], axis: int = 0) -> Any:
    return ops.stack(*map(_read, arrays), dim=axis)


def vstack(tup: Sequence[Operand]) -> Any:
    return ops.cat(*[at_least(2)(x) for x in tup], dim=0)


def hstack(tup: Sequence[Operand]) -> Any:
    values = [at_least(1)(x) for x in tup]
    return ops.cat(*values, dim=0 if len(values[0].shape) == 1 else 1)


def column_stack(tup: Sequence[Operand]) -> Any:
    values = [_read(x) for x in tup]
    columns = [x if len(x.shape) > 1 else ops.reshape(x, shape=(-1, 1)) for x in values]
    return ops.cat(*columns, dim=1)


def append(arr: Operand, values: Operand, axis: int | None = None) -> Any:
    return concatenate([arr, values], axis)


def splitting(function: Function) -> Function:
    """Return the adapter of `split` or `array_split`."""

    def split(ary: Any, indices_or_sections: Any, axis: int = 0) -> Any:
        axis = _axis_of(ary, axis)
        parts = function(np.arange(ary.shape[axis]), indices_or_sections)
        starts = [int(part[0]) if len(part) else 0 for part in parts]
        keys = [slice(start, start + len(part)) for start, part in zip(starts, parts, strict=True)]
        return [_at(ary, axis, key) for key in keys]

    return split


split = splitting(np.split)
array_split = splitting(np.array_split)


def vsplit(ary: Any, indices_or_sections: Any) -> Any:
    return split(ary, indices_or_sections, 0)


def hsplit(ary: Any, indices_or_sections: Any) -> Any:
    return split(ary, indices_or_sections, 0 if len(ary.shape) == 1 else 1)


def pad(array: Any, pad_width: Any, mode: str = "constant", *, constant_values: Any = 0) -> Any:
    pairs = np.broadcast_to(pad_width, (len(array.shape), 2)).tolist()
    if np.min(pairs, initial=0) < 0:
        raise ValueError("expected `pad_width` to be >= 0; index to crop")
    if mode == "constant":
        if not (isinstance(constant_values, Variable) or is_real(constant_values)):
            raise ArgumentError(
                "np.pad: expected `constant_values` to be a number for Tensors, got "
                f"{constant_values!r}."
            )
        return ops.pad_constant(array, padding=tuple(map(tuple, pairs)), value=constant_values)
    if mode not in ("edge", "reflect", "symmetric", "wrap"):
        raise ArgumentError(
            "np.pad: expected `mode` to be constant, edge, reflect, symmetric or wrap for "
            f"Tensors, got {mode!r}."
        )
    for axis, pair in enumerate(pairs):
        array = _at(array, axis, np.pad(np.arange(array.shape[axis]), pair, mode))  # type: ignore[call-overload]
    return array


def roll(a: Any, shift: Any, axis: Axes = None) -> Any:
    if axis is None:
        return ops.roll(a, int(np.sum(shift)))
    shifts, axes = np.broadcast_arrays(*map(np.atleast_1d, (shift, axis)))
    return ops.roll(a, shifts.tolist(), axes.tolist())


def flip(m: Any, axis: Axes = None) -> Any:
    return ops.flip(m, range(len(m.shape)) if axis is None else axis)


def fliplr(m: Any) -> Any:
    return ops.flip(m, 1)


def flipud(m: Any) -> Any:
    return ops.flip(m, 0)


def repeat(a: Any, repeats: Any, axis: int | None = None) -> Any:
    if axis is None:
        a, axis = ravel(a), 0
    axis = _axis_of(a, axis)
    return _at(a, axis, np.repeat(np.arange(a.shape[axis]), _constant(repeats)))


def tile(A: Any, reps: Any) -> Any:  # noqa: N803 - NumPy's name
    counts = _tuple(reps)
    tiled = ops.tile(A, counts)
    return copy(tiled) if math.prod(counts) == 1 else tiled  # a view, where NumPy copies


def meshgrid(*xi: Operand, indexing: str = "xy") -> Any:
    return tuple([copy(x) for x in ops.meshgrid(*map(ravel, map(_read, xi)), indexing=indexing)])


# Selection.


def take(a: Any, indices: Operand, axis: int | None = None) -> Any:
    if axis is None:
        return ops.getitem(ravel(a), _constant(indices))
    return _at(a, _axis_of(a, axis), _constant(indices))


def take_along_axis(arr: Any, indices: Operand, axis: int | None = -1) -> Any:
    arr = _read(arr)
    if axis is None:
        arr, axis = ravel(arr), 0
    index = _constant(indices)
    if index.ndim != len(arr.shape):
        raise ValueError("expected `indices` with as many axes as `arr`")
    key = list(np.indices(arr.shape, sparse=True))
    key[_axis_of(arr, axis)] = index
    return ops.getitem(arr, tuple(key))


# Tensors of the same shape.


def like(fill: int) -> Function:
    """Return the adapter of `zeros_like`, `ones_like` or `empty_like`."""

    def make(a: Any, dtype: Any = None, *, shape: Any = None) -> Any:
        return full_like(a, fill, dtype, shape=shape)

    return make


def full_like(a: Any, fill_value: Operand, dtype: Any = None, *, shape: Any = None) -> Any:
    dtype = np.dtype(a.dtype if dtype is None else dtype)
    shape = a.shape if shape is None else _tuple(shape)
    for kind in (dtype, np.asarray(as_arrays(fill_value)).dtype):
        if kind.kind not in "biuf":
            raise TypeError(f"expected a float, int or bool dtype, got {kind}")
    if isinstance(fill_value, Variable):
        return ops.expand(ops.cast(fill_value, dtype=dtype), shape=shape)
    return _wrap(np.full(shape, fill_value, dtype))


def copy(a: Any) -> Any:
    return ops.cast(a, dtype=a.dtype)


def astype(x: Any, dtype: Any, /, *, copy: bool = True) -> Any:
    return ops.cast(x, dtype=dtype)


def unstack(x: Any, /, *, axis: int = 0) -> Any:
    return ops.unbind(x, axis)


def copyto(dst: Any, src: Operand, casting: Any = "same_kind", where: Operand = True) -> None:
    """Assign to an array, also inside `np.full`."""
    if isinstance(dst, Variable):
        raise ArgumentError(
            "np.copyto: expected `dst` to be an array, got a Tensor. Use x[...] = value."
        )
    np.copyto(dst, np.asarray(src), casting, np.asarray(where))


def shape(a: Any) -> tuple[int, ...]:
    return tuple(a.shape)


def ndim(a: Any) -> int:
    return len(a.shape)


def size(a: Any, axis: Axes = None) -> int:
    return np.size(a.data, axis)  # type: ignore[arg-type]


# Products.


def matmul(x1: Operand, x2: Operand) -> Any:
    return ops.matmul(_read(x1), _read(x2))


def dot(a: Operand, b: Operand) -> Any:
    x, y = _read(a), _read(b)
    if not x.shape or not y.shape:
        return ops.mul(x, y)
    return ops.matmul(x, y) if len(y.shape) < 3 else tensordot(x, y, (-1, -2))


def inner(a: Operand, b: Operand) -> Any:
    x, y = _read(a), _read(b)
    return tensordot(x, y, (-1, -1)) if x.shape and y.shape else ops.mul(x, y)


def outer(a: Operand, b: Operand) -> Any:
    column = ops.reshape(_read(a), shape=(-1, 1))
    return ops.mul(column, ravel(_read(b)))


def vector_outer(x1: Operand, x2: Operand) -> Any:
    """Implement `np.linalg.outer`."""
    return ops.outer(_read(x1), _read(x2))


def vdot(a: Operand, b: Operand) -> Any:
    return ops.matmul(ravel(_read(a)), ravel(_read(b)))


def vecdot(x1: Operand, x2: Operand, *, axis: int = -1) -> Any:
    return ops.sum(ops.mul(x1, x2), axis=axis)


def tensordot(a: Operand, b: Operand, axes: Any = 2) -> Any:
    x, y = _read(a), _read(b)
    if isinstance(axes, int | np.integer):
        axes = range(-axes, 0), range(axes)
    ours = [_axis_of(x, axis) for axis in _tuple(axes[0])]
    theirs = [_axis_of(y, axis) for axis in _tuple(axes[1])]
    lengths = [x.shape[axis] for axis in ours]
    if lengths != [y.shape[axis] for axis in theirs]:
        raise ValueError("expected equal lengths along `axes`")
    left, right = ascii_letters[: len(x.shape)], list(ascii_letters[::-1][: len(y.shape)])
    for one, other in zip(ours, theirs, strict=True):
        right[other] = left[one]
    rows = [letter for letter in left if letter not in right]
    columns = [letter for letter in right if letter not in left]
    return ops.einsum(f"{left},{''.join(right)}->{''.join(rows + columns)}", x, y)


def einsum(*operands: Any, optimize: Any = None) -> Any:
    formula, *values = operands
    return ops.einsum(formula, *map(_read, values))


# Matrices.


def diagonal(a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
    return ops.diagonal(a, offset=offset, dim1=axis1, dim2=axis2)


def matrix_diagonal(x: Any, *, offset: int = 0) -> Any:
    """Implement `np.linalg.diagonal`."""
    return diagonal(x, offset, -2, -1)


def matrix_trace(x: Any, *, offset: int = 0) -> Any:
    """Implement `np.linalg.trace`."""
    return trace(x, offset, -2, -1)


def trace(a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
    return ops.sum(diagonal(a, offset, axis1, axis2), axis=-1)


def diag(v: Any, k: int = 0) -> Any:
    if len(v.shape) != 1:
        return diagonal(v, k)
    return ops.put_diagonal(v, shape=(v.shape[0] + abs(k),) * 2, offset=k)


def tril(m: Any, k: int = 0) -> Any:
    return ops.tril(m, diagonal=k)


def triu(m: Any, k: int = 0) -> Any:
    return ops.triu(m, diagonal=k)


# Linear algebra.

QRResult = namedtuple("QRResult", "Q R")
SVDResult = namedtuple("SVDResult", "U S Vh")
SlogdetResult = namedtuple("SlogdetResult", "sign logabsdet")


def norm(x: Any, ord: Any = None, axis: Axes = None, *, keepdims: bool = False) -> Any:
    count = len(x.shape if axis is None else _tuple(axis))
    if count == 1 and not isinstance(ord, str | None):
        return ops.norm(x, p=ord, axis=axis, keepdim=keepdims)
    if ord is None or (count == 2 and ord == "fro"):
        return ops.norm(x, axis=axis, keepdim=keepdims)
    raise ArgumentError(
        "np.linalg.norm: expected `ord` to be None, a number for vectors or 'fro' for matrices, "
        f"got {ord!r} for shape {x.shape}. Use np.linalg.svd, or np.sum and np.max."
    )


def vector_norm(x: Any, *, axis: Axes = None, keepdims: bool = False, ord: float = 2) -> Any:
    return ops.norm(x, p=ord, axis=axis, keepdim=keepdims)


def matrix_norm(x: Any, *, keepdims: bool = False, ord: Any = "fro") -> Any:
    return norm(x, ord, (-2, -1), keepdims=keepdims)


def inv(a: Any) -> Any:
    return ops.inv(a)


def det(a: Any) -> Any:
    return ops.det(a)


def slogdet(a: Any) -> Any:
    return SlogdetResult(*ops.slogdet(a))


def solve(a: Operand, b: Operand) -> Any:
    x, y = _read(a), _read(b)
    # To NumPy, only a 1-D array is a vector; ops.solve also reads shape (..., n) as vectors.
    if 1 < len(y.shape) < len(x.shape):
        y = ops.reshape(y, shape=(1,) * (len(x.shape) - len(y.shape)) + y.shape)
    return ops.solve(x, y)


def cholesky(a: Any, *, upper: bool = False) -> Any:
    # NumPy reads one triangle of the matrix; ops.cholesky reads both.
    lower = ops.tril(matrix_transpose(a) if upper else a)
    factor = ops.cholesky(ops.add(lower, matrix_transpose(ops.tril(lower, diagonal=-1))))
    return matrix_transpose(factor) if upper else factor


def qr(a: Any, mode: str = "reduced") -> Any:
    if mode not in ("reduced", "r"):
        raise ArgumentError(
            f"np.linalg.qr: expected `mode` to be 'reduced' or 'r' for Tensors, got {mode!r}."
        )
    factors = QRResult(*ops.qr(a))
    return factors if mode == "reduced" else factors.R


def svd(a: Any, full_matrices: bool = True, compute_uv: bool = True) -> Any:
    return SVDResult(*ops.svd(a, full_matrices)) if compute_uv else svdvals(a)


def svdvals(x: Any) -> Any:
    return ops.svd(x, False)[1]


def matrix_power(a: Any, n: int) -> Any:
    if n == 0:
        return _wrap(np.broadcast_to(np.eye(a.shape[-1], dtype=a.dtype), a.shape).copy())
    factor = ops.inv(a) if n < 0 else a
    return functools.reduce(ops.matmul, [factor] * abs(n))


def multi_dot(arrays: Sequence[Operand]) -> Any:
    return functools.reduce(ops.matmul, map(_read, arrays))
