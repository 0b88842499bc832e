"""NumPy's functions on Tensors: the protocols of NEP 13 (ufuncs) and NEP 18 (other functions).

Two tables map NumPy's ufuncs and functions to ops, so that they are differentiable; results and
defaults are NumPy's, except that functions with fractional results, such as `np.sqrt` and
`np.reciprocal`, return float32 for integers, as in PyTorch. A third lists the functions that return
properties, counts or indices: they run on the arrays of tensors that require no gradient, and
return arrays. Every other function raises.

    >>> import numpy as np
    >>> from tinygrad_np import Tensor
    >>> from tinygrad_np.transforms import grad
    >>> grad(lambda x: np.sum(np.tanh(x) ** 2))(Tensor([0.0, 1.0]))
    Tensor([0.    , 0.6397])
"""

import functools
import math
import reprlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygrad_np import ops
from tinygrad_np.autograd.dispatch import Primitive
from tinygrad_np.autograd.tape import Variable
from tinygrad_np.checks import check_unmasked
from tinygrad_np.errors import ArgumentError, DtypeError, GraphError, raise_translated
from tinygrad_np.frontend import numpy_functions as adapters
from tinygrad_np.frontend.numpy_functions import Function, as_arrays, find_tensors, read_list
from tinygrad_np.synonyms import parameter_names

# The protocols.


def array_ufunc(
    ufunc: np.ufunc, method: str, inputs: tuple[Any, ...], options: dict[str, Any]
) -> Any:
    """Run a ufunc whose inputs or outputs include a Tensor."""
    name = f"np.{ufunc.__name__}"
    outs = options.get("out", ())
    if method == "__call__" and len(options) == 1 and outs and outs[0] is inputs[0]:
        return _change_array(name, ufunc, inputs)
    if method != "__call__":
        name = f"{name}.{method}"
    table = {"__call__": _UFUNCS, "reduce": _REDUCTIONS}.get(method, {})
    if ufunc not in table:
        raise _refusal(name)
    check_unmasked(name, as_arrays(inputs))
    if method == "__call__":
        inputs = tuple(map(read_list, inputs))
    return _call(name, table[ufunc], inputs, options)


def array_function(function: Function, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
    """Run another NumPy function whose arguments include a Tensor."""
    name = f"{function.__module__.replace('numpy', 'np', 1)}.{function.__name__}"
    check_unmasked(name, as_arrays([*args, *options.values()]))
    if function in _FUNCTIONS:
        return _call(name, _FUNCTIONS[function], args, options)
    if function.__name__ not in _ON_ARRAYS:
        raise _refusal(name)
    if any(x.requires_grad for x in find_tensors([args, options])):
        raise GraphError(
            f"{name}: this tensor requires a gradient, and the result has none. Use "
            "x.detach().numpy()."
        )
    return function(*as_arrays(args), **as_arrays(options))


def _call(name: str, function: Function, args: Sequence[Any], options: dict[str, Any]) -> Any:
    """Call an op or adapter; refuse the arguments of NumPy's function that it does not have."""
    count, known = _parameters(function)
    for option in [option for option in options if option not in known]:
        value = options.pop(option)
        if not (value is None or value is np._NoValue):
            remedy = _find_remedy(_ARGUMENT_REMEDIES, f"{name} {option}", option)
            raise ArgumentError(
                f"{name}: expected no argument `{option}` for Tensors, got {reprlib.repr(value)}. "
                f"Use {remedy}."
            )
    while len(args) > count and args[-1] is None:
        args = args[:-1]
    if len(args) > count:
        raise ArgumentError(
            f"{name}: expected at most {count} positional arguments for Tensors, got {len(args)}. "
            "Pass the others by name."
        )
    try:
        return function(*args, **options)
    except Exception as error:
        raise_translated(error, name, as_arrays(list(args)), options)
        raise


@functools.cache
def _parameters(function: Function) -> tuple[float, frozenset[str]]:
    """Return the number of positional parameters, and the names of all of them."""
    if isinstance(function, Primitive):
        return function.arity, frozenset()
    positional, keywords, variadic = parameter_names(function)
    return math.inf if variadic else len(positional), frozenset((*positional, *keywords))


def _change_array(name: str, ufunc: np.ufunc, inputs: Sequence[Any]) -> Any:
    """Run an in-place operator such as `array -= tensor`."""
    if isinstance(inputs[0], Variable):
        raise ArgumentError(
            f"{name}: expected no argument `out` for Tensors, got the tensor itself. Use an "
            "operator, such as x += y."
        )
    if any(x.requires_grad for x in find_tensors(inputs)):
        raise GraphError(
            f"{name}: the array on the left cannot record the gradient of this tensor. Write "
            "array = array + x, which gives a Tensor, or use x.detach()."
        )
    arrays = as_arrays(list(inputs))
    try:
        return ufunc(*arrays, out=(inputs[0],))
    except Exception as error:
        raise_translated(error, name, arrays, {})
        raise


def _refusal(name: str) -> DtypeError:
    remedy = _find_remedy(_REMEDIES, name, name.split(".")[-1])
    return DtypeError(f"{name}: expected arrays, got a Tensor. Use {remedy}.")


def _find_remedy(table: dict[str, str], *keys: str) -> str:
    found = [table[key] for key in keys if key in table]
    return found[0] if found else "x.detach().numpy(), which has no gradient"


# The tables.

_UFUNCS: dict[np.ufunc, Function] = {
    np.add: ops.add,
    np.subtract: ops.sub,
    np.multiply: ops.mul,
    np.divide: ops.div,
    np.floor_divide: ops.floor_div,
    np.remainder: ops.mod,
    np.fmod: ops.fmod,
    np.divmod: lambda x1, x2: (ops.floor_div(x1, x2), ops.mod(x1, x2)),
    np.power: ops.pow,
    np.matmul: adapters.matmul,
    np.vecdot: adapters.vecdot,
    np.negative: ops.neg,
    np.positive: adapters.copy,
    np.conjugate: adapters.copy,
    np.reciprocal: ops.reciprocal,
    np.absolute: ops.abs,
    np.fabs: ops.abs,
    np.sign: adapters.sign,
    np.signbit: lambda x: ops.lt(ops.copysign(1.0, x), 0),
    np.copysign: ops.copysign,
    np.floor: ops.floor,
    np.ceil: ops.ceil,
    np.trunc: ops.trunc,
    np.rint: ops.round,
    np.modf: adapters.modf,
    np.maximum: ops.maximum,
    np.minimum: ops.minimum,
    np.square: ops.square,
    np.sqrt: ops.sqrt,
    np.cbrt: lambda x: ops.signed_power(x, p=1 / 3),
    np.hypot: adapters.hypot,
    np.exp: ops.exp,
    np.exp2: ops.exp2,
    np.expm1: ops.expm1,
    np.log: ops.log,
    np.log2: ops.log2,
    np.log10: ops.log10,
    np.log1p: ops.log1p,
    np.logaddexp: ops.logaddexp,
    np.logaddexp2: adapters.logaddexp2,
    np.sin: ops.sin,
    np.cos: ops.cos,
    np.tan: ops.tan,
    np.arcsin: ops.asin,
    np.arccos: ops.acos,
    np.arctan: ops.atan,
    np.arctan2: ops.atan2,
    np.sinh: ops.sinh,
    np.cosh: ops.cosh,
    np.tanh: ops.tanh,
    np.arcsinh: ops.asinh,
    np.arccosh: ops.acosh,
    np.arctanh: ops.atanh,
    np.deg2rad: lambda x: ops.mul(x, math.pi / 180),
    np.radians: lambda x: ops.mul(x, math.pi / 180),
    np.rad2deg: lambda x: ops.mul(x, 180 / math.pi),
    np.degrees: lambda x: ops.mul(x, 180 / math.pi),
    np.equal: ops.eq,
    np.not_equal: ops.ne,
    np.less: ops.lt,
    np.less_equal: ops.le,
    np.greater: ops.gt,
    np.greater_equal: ops.ge,
    np.isnan: ops.isnan,
    np.isinf: ops.isinf,
    np.isfinite: ops.isfinite,
    np.logical_and: ops.logical_and,
    np.logical_or: ops.logical_or,
    np.logical_xor: ops.logical_xor,
    np.logical_not: ops.logical_not,
    np.bitwise_and: ops.bitwise_and,
    np.bitwise_or: ops.bitwise_or,
    np.bitwise_xor: ops.bitwise_xor,
    np.invert: ops.bitwise_not,
    np.left_shift: ops.lshift,
    np.right_shift: ops.rshift,
}

# `np.add.reduce` and the like reduce the first axis by default.
_REDUCTIONS: dict[np.ufunc, Function] = {
    np.add: adapters.reduction(ops.sum, 0),
    np.multiply: adapters.reduction(ops.prod, 0),
    np.maximum: adapters.reduction(ops.max, 0),
    np.minimum: adapters.reduction(ops.min, 0),
    np.logical_and: adapters.reduction(ops.all, 0),
    np.logical_or: adapters.reduction(ops.any, 0),
}

_FUNCTIONS: dict[Function, Function] = {
    np.astype: adapters.astype,
    # Elementwise.
    np.around: adapters.round,
    np.round: adapters.round,
    np.clip: adapters.clip,
    np.where: adapters.where,
    np.nan_to_num: adapters.nan_to_num,
    np.real: lambda val: val,
    np.imag: lambda val: adapters.full_like(val, 0),
    np.fix: lambda x: ops.trunc(x),
    np.isclose: adapters.isclose,
    np.allclose: adapters.allclose,
    np.array_equal: adapters.array_equal,
    # Reductions, scans and order.
    np.sum: adapters.sum,
    np.prod: adapters.prod,
    np.mean: adapters.reduction(ops.mean),
    np.average: adapters.average,
    np.var: adapters.var,
    np.std: adapters.std,
    np.max: adapters.reduction(ops.max),
    np.amax: adapters.reduction(ops.max),
    np.min: adapters.reduction(ops.min),
    np.amin: adapters.reduction(ops.min),
    np.ptp: adapters.ptp,
    np.all: adapters.reduction(ops.all),
    np.any: adapters.reduction(ops.any),
    np.argmax: adapters.reduction(ops.argmax),
    np.argmin: adapters.reduction(ops.argmin),
    np.cumsum: adapters.cumsum,
    np.cumprod: adapters.cumprod,
    np.diff: adapters.diff,
    np.sort: adapters.sort,
    np.argsort: adapters.argsort,
    np.count_nonzero: adapters.count_nonzero,
    np.nonzero: adapters.nonzero,
    np.argwhere: adapters.argwhere,
    np.flatnonzero: adapters.flatnonzero,
    # Properties and shapes.
    np.iscomplexobj: lambda x: False,
    np.isrealobj: lambda x: True,
    np.result_type: lambda *arrays: np.result_type(*as_arrays(arrays)),
    np.shape: adapters.shape,
    np.ndim: adapters.ndim,
    np.size: adapters.size,
    np.reshape: adapters.reshape,
    np.ravel: adapters.ravel,
    np.transpose: adapters.transpose,
    np.matrix_transpose: adapters.matrix_transpose,
    np.moveaxis: adapters.moveaxis,
    np.swapaxes: adapters.swapaxes,
    np.squeeze: adapters.squeeze,
    np.expand_dims: adapters.expand_dims,
    np.broadcast_to: adapters.broadcast_to,
    np.broadcast_arrays: adapters.broadcast_arrays,
    np.atleast_1d: adapters.at_least(1),
    np.atleast_2d: adapters.at_least(2),
    np.concatenate: adapters.concatenate,
    np.stack: adapters.stack,
    np.vstack: adapters.vstack,
    np.hstack: adapters.hstack,
    np.column_stack: adapters.column_stack,
    np.append: adapters.append,
    np.split: adapters.split,
    np.array_split: adapters.array_split,
    np.vsplit: adapters.vsplit,
    np.hsplit: adapters.hsplit,
    np.pad: adapters.pad,
    np.roll: adapters.roll,
    np.flip: adapters.flip,
    np.fliplr: adapters.fliplr,
    np.flipud: adapters.flipud,
    np.repeat: adapters.repeat,
    np.tile: adapters.tile,
    np.meshgrid: adapters.meshgrid,
    np.take: adapters.take,
    np.take_along_axis: adapters.take_along_axis,
    # Copies, and tensors of the same shape.
    np.zeros_like: adapters.like(0),
    np.empty_like: adapters.like(0),
    np.ones_like: adapters.like(1),
    np.full_like: adapters.full_like,
    np.copy: adapters.copy,
    np.copyto: adapters.copyto,
    # Products and matrices.
    np.dot: adapters.dot,
    np.vdot: adapters.vdot,
    np.inner: adapters.inner,
    np.outer: adapters.outer,
    np.tensordot: adapters.tensordot,
    np.einsum: adapters.einsum,
    np.diagonal: adapters.diagonal,
    np.diag: adapters.diag,
    np.trace: adapters.trace,
    np.tril: adapters.tril,
    np.triu: adapters.triu,
    # Linear algebra.
    np.linalg.norm: adapters.norm,
    np.linalg.vector_norm: adapters.vector_norm,
    np.linalg.matrix_norm: adapters.matrix_norm,
    np.linalg.inv: adapters.inv,
    np.linalg.det: adapters.det,
    np.linalg.slogdet: adapters.slogdet,
    np.linalg.solve: adapters.solve,
    np.linalg.cholesky: adapters.cholesky,
    np.linalg.qr: adapters.qr,
    np.linalg.svd: adapters.svd,
    np.linalg.svdvals: adapters.svdvals,
    np.linalg.matrix_power: adapters.matrix_power,
    np.linalg.multi_dot: adapters.multi_dot,
    np.linalg.matmul: adapters.matmul,
    np.linalg.vecdot: adapters.vecdot,
    np.linalg.outer: adapters.vector_outer,
    np.linalg.tensordot: adapters.tensordot,
    np.linalg.matrix_transpose: adapters.matrix_transpose,
    np.linalg.diagonal: adapters.matrix_diagonal,
    np.linalg.trace: adapters.matrix_trace,
}

if hasattr(np, "unstack"):  # since NumPy 2.1
    _FUNCTIONS[np.unstack] = adapters.unstack

# Functions that return properties, counts, indices or text; NumPy computes them on the arrays.
_ON_ARRAYS = frozenset(
    {
        "array2string",
        "array_equiv",
        "array_repr",
        "array_str",
        "bincount",
        "can_cast",
        "common_type",
        "digitize",
        "histogram",
        "histogram2d",
        "histogram_bin_edges",
        "histogramdd",
        "intersect1d",
        "iscomplex",
        "isin",
        "isneginf",
        "isposinf",
        "isreal",
        "lexsort",
        "may_share_memory",
        "min_scalar_type",
        "ravel_multi_index",
        "save",
        "savetxt",
        "savez",
        "savez_compressed",
        "searchsorted",
        "setdiff1d",
        "setxor1d",
        "shares_memory",
        "union1d",
        "unique",
        "unique_all",
        "unique_counts",
        "unique_inverse",
        "unique_values",
        "unravel_index",
    }
)

# What to use instead of functions that raise; the default is `x.detach().numpy()`.
_REMEDIES = {
    # Methods of ufuncs.
    "np.add.accumulate": "np.cumsum",
    "np.add.at": "x.scatter_add(axis, index, value)",
    "np.add.reduceat": "np.sum of slices",
    "np.logaddexp.accumulate": "x.logcumsumexp(axis)",
    "np.logaddexp.reduce": "x.logsumexp(axis)",
    "np.maximum.accumulate": "x.cummax(axis).values",
    "np.minimum.accumulate": "x.cummin(axis).values",
    "np.multiply.accumulate": "np.cumprod",
    "outer": "x[:, None] and broadcasting",
    # Functions that change an argument.
    "place": "x[mask] = value",
    "put": "x[np.unravel_index(index, x.shape)] = value",
    "put_along_axis": "x.scatter(axis, index, value)",
    "putmask": "np.where(mask, value, x)",
    # Functions that others replace.
    "argpartition": "np.argsort",
    "atleast_3d": "np.reshape",
    "block": "np.concatenate",
    "compress": "x[mask]",
    "cond": "np.linalg.svd",
    "cumulative_prod": "np.cumprod",
    "cumulative_sum": "np.cumsum",
    "delete": "np.concatenate",
    "dsplit": "np.split",
    "dstack": "np.stack",
    "extract": "x[mask]",
    "float_power": "np.power",
    "fmax": "np.maximum, which returns nan for nan",
    "fmin": "np.minimum, which returns nan for nan",
    "insert": "np.concatenate",
    "kron": "np.einsum",
    "lstsq": "np.linalg.qr and np.linalg.solve",
    "matvec": "np.matmul",
    "median": "np.sort and an index",
    "nanmean": "np.sum(np.where(np.isnan(x), 0, x), axis) / np.sum(~np.isnan(x), axis)",
    "nanprod": "np.prod(np.where(np.isnan(x), 1, x), axis)",
    "nansum": "np.sum(np.where(np.isnan(x), 0, x), axis)",
    "partition": "np.sort",
    "percentile": "np.sort and an index",
    "pinv": "np.linalg.svd",
    "quantile": "np.sort and an index",
    "rot90": "np.flip and np.swapaxes",
    "select": "np.where",
    "vecmat": "np.matmul",
}

_ARGUMENT_REMEDIES = {
    "out": "the returned Tensor",
    "dtype": "x.cast(dtype)",
    "initial": "np.add, np.multiply, np.maximum or np.minimum of the result and the number",
    "where": "x[mask], or np.where(mask, x, value) with a value that leaves the result unchanged",
    "order": "np.transpose for another order",
    "np.sort order": "np.sort(x, axis): a Tensor has no fields",
    "np.argsort order": "np.argsort(x, axis): a Tensor has no fields",
}
