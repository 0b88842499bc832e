"""The vocabulary: every op is one record, in the file of its family; `table` has them by name."""

from tinygrad_np.ops import conv, elementwise, indexing, linalg, losses, pool, reduce, shape
from tinygrad_np.ops.conv import conv2d
from tinygrad_np.ops.elementwise import (
    add,
    div,
    dropout,
    eq,
    exp,
    ge,
    gt,
    le,
    log,
    logical_not,
    lt,
    maximum,
    mul,
    ne,
    neg,
    pow,
    relu,
    sigmoid,
    sqrt,
    sub,
    tanh,
    where,
)
from tinygrad_np.ops.indexing import getitem
from tinygrad_np.ops.linalg import linear, matmul
from tinygrad_np.ops.losses import cross_entropy, log_softmax, one_hot, softmax
from tinygrad_np.ops.pool import avg_pool2d, max_pool2d
from tinygrad_np.ops.reduce import max, mean, sum
from tinygrad_np.ops.shape import cat, pad, permute, reshape, transpose
from tinygrad_np.record import Op, cast, expand, sum_to

__all__ = [
    "add", "avg_pool2d", "cast", "cat", "conv2d", "cross_entropy", "div", "dropout", "eq", "exp",
    "expand", "ge", "getitem", "gt", "le", "linear", "log", "log_softmax", "logical_not", "lt",
    "matmul", "max", "max_pool2d", "maximum", "mean", "mul", "ne", "neg", "one_hot", "pad",
    "permute", "pow", "relu", "reshape", "sigmoid", "softmax", "sqrt", "sub", "sum", "table",
    "tanh", "transpose", "where",
]  # fmt: skip

_families = (elementwise, reduce, shape, indexing, linalg, conv, pool, losses)

table: dict[str, Op] = {
    found.name: found
    for found in [expand, sum_to, cast]
    + [value for family in _families for value in vars(family).values() if isinstance(value, Op)]
}
