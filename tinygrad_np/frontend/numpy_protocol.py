"""NumPy's functions on Tensors: the protocols of NEP 13 (ufuncs) and NEP 18 (other functions)."""

from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_np import ops
from tinygrad_np.autograd.tape import Variable
from tinygrad_np.errors import DtypeError

# Operators by the names of NumPy's ufuncs, for ndarrays on the left.
_UFUNCS: dict[str, Callable[..., Any]] = {
    "add": ops.add,
    "subtract": ops.sub,
    "multiply": ops.mul,
    "divide": ops.div,
    "floor_divide": ops.floor_div,
    "remainder": ops.mod,
    "power": ops.pow,
    "matmul": ops.matmul,
    "equal": ops.eq,
    "not_equal": ops.ne,
    "less": ops.lt,
    "less_equal": ops.le,
    "greater": ops.gt,
    "greater_equal": ops.ge,
    "bitwise_and": ops.bitwise_and,
    "bitwise_or": ops.bitwise_or,
    "bitwise_xor": ops.bitwise_xor,
    "left_shift": ops.lshift,
    "right_shift": ops.rshift,
}


def array_ufunc(
    ufunc: np.ufunc, method: str, inputs: tuple[Any, ...], options: dict[str, Any]
) -> Any:
    """Run a ufunc whose inputs or outputs include a Tensor."""
    op, outs = _UFUNCS.get(ufunc.__name__), options.pop("out", ())
    has_other_out = any(isinstance(value, Variable) for value in outs)
    if op is None or method != "__call__" or options or has_other_out:
        raise DtypeError(
            f"{ufunc.__name__}: NumPy functions do not accept Tensors. Use a method, such as "
            "x.exp(), a function of tinygrad_np.ops, or x.detach().numpy()."
        )
    if not outs:
        return op(*inputs)
    # An in-place operator such as `array -= tensor`.
    plain = [np.asarray(x) if isinstance(x, Variable) else x for x in inputs]
    return ufunc(*plain, out=outs)


def array_function(
    function: Callable[..., Any], args: tuple[Any, ...], options: dict[str, Any]
) -> Any:
    """Call a NumPy function on the arrays; raise for a tensor that requires a gradient."""
    return function(*_as_arrays(args), **_as_arrays(options))


def _as_arrays(value: Any) -> Any:
    """Replace the Tensors in nested lists, tuples and dicts by arrays."""
    if isinstance(value, Variable):
        return np.asarray(value)
    if isinstance(value, list | tuple):
        return type(value)(map(_as_arrays, value))
    if isinstance(value, dict):
        return {name: _as_arrays(inner) for name, inner in value.items()}
    return value
