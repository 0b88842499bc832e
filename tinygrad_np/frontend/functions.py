"""Functions with PyTorch's names and signatures; `tinygrad_np` exports all names listed here.

Most are ops, or functions composed of ops, that take Tensors and accept synonyms of their argument
names, as the methods do. The functions defined below differ from the methods of the same name,
which follow tinygrad. Functions that create tensors and dtypes come from `factories` and `dtypes`.
"""

# ruff: noqa: I001
# fmt: off
from collections.abc import Callable, Sequence
from typing import Any, Literal, TypeAlias, overload

import numpy as np

from tinygrad_np import ops
from tinygrad_np.autograd.dispatch import Primitive
from tinygrad_np.checks import kind_of
from tinygrad_np.errors import DtypeError
from tinygrad_np.frontend.dtypes import (
    bool, double, float, float16, float32, float64, half, int, int8, int16, int32, int64, long,
    short, uint8,
)
from tinygrad_np.frontend.factories import (
    arange, as_tensor, empty, empty_like, eye, from_numpy, full, full_like, linspace, multinomial,
    normal, ones, ones_like, rand, rand_like, randint, randn, randn_like, randperm, tensor, zeros,
    zeros_like,
)
from tinygrad_np.frontend.tensor import Tensor
from tinygrad_np.synonyms import accept_synonyms
from tinygrad_np.typing import Bool, Float, Int, ValuesAndIndices

__all__ = [
    "abs", "acos", "acosh", "add", "addmm", "all", "allclose", "amax", "amin", "any", "arange",
    "argmax", "argmin", "argsort", "as_tensor", "asin", "asinh", "atan", "atan2", "atanh",
    "bernoulli", "binary_crossentropy", "binary_crossentropy_logits", "bitwise_and", "bitwise_not",
    "bitwise_or", "bitwise_xor", "bmm", "bool", "broadcast_to", "cast", "cat", "ceil", "cholesky",
    "chunk", "clamp", "clip", "clone", "copysign", "cos", "cosh", "cummax", "cummin", "cumprod",
    "cumsum", "det", "diag", "diagonal", "diff", "div", "dot", "double", "einsum", "empty",
    "empty_like", "eq", "equal", "erf", "exp", "exp2", "expand", "expm1", "eye", "flatten", "flip",
    "float", "float16", "float32", "float64", "floor", "fmod", "from_numpy", "full", "full_like",
    "gather", "ge", "gt", "half", "index_select", "int", "int8", "int16", "int32", "int64", "inv",
    "is_floating_point", "is_tensor", "isclose", "isfinite", "isinf", "isnan", "le", "lerp",
    "linspace", "log", "log1p", "log2", "log10", "log_softmax", "logaddexp", "logcumsumexp",
    "logical_and", "logical_not", "logical_or", "logical_xor", "logsumexp", "long", "lshift", "lt",
    "masked_fill", "masked_select", "matmul", "max", "max_unpool2d", "maximum", "mean", "median",
    "meshgrid", "min", "minimum", "mm", "mod", "movedim", "mul", "multinomial", "nan_to_num", "ne",
    "neg", "nonzero", "norm", "normal", "normalize", "ones", "ones_like", "outer", "permute", "pow",
    "prod", "qr", "rand", "rand_like", "randint", "randn", "randn_like", "randperm", "reciprocal",
    "relu", "repeat", "repeat_interleave", "reshape", "roll", "round", "rshift", "rsqrt", "scatter",
    "scatter_add", "scatter_reduce", "select", "short", "shrink", "sigmoid", "sign", "sin", "sinh",
    "slogdet", "softmax", "solve", "sort", "sparse_categorical_crossentropy", "split", "sqrt",
    "square", "squeeze", "stack", "std", "std_mean", "sub", "sum", "svd", "swapaxes", "swish", "t",
    "tan", "tanh", "tensor", "tile", "topk", "trace", "transpose", "tril", "triu", "trunc", "uint8",
    "unbind", "unflatten", "unfold", "unique", "unsqueeze", "var", "var_mean", "where", "zeros",
    "zeros_like",
]
# fmt: on

Pair: TypeAlias = ValuesAndIndices[Tensor]


def _any(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that accepts synonyms."""
    return accept_synonyms(function)


def _one(function: Callable[..., Any]) -> Callable[..., Tensor]:
    """Return a function that returns one tensor and accepts synonyms; an op already does."""
    return function if isinstance(function, Primitive) else accept_synonyms(function)


def _several(function: Callable[..., Any]) -> Callable[..., tuple[Tensor, ...]]:
    """Return a function composed of ops that accepts synonyms and returns several tensors."""
    return accept_synonyms(function)


def _ordered(function: Callable[..., Any]) -> Callable[..., Pair]:
    """Return a function composed of ops that accepts synonyms and returns values and indices."""
    return accept_synonyms(function)


abs = _one(ops.abs)
acos = _one(ops.acos)
acosh = _one(ops.acosh)
addmm = _one(ops.addmm)
all = _one(ops.all)
amax = _one(ops.max)
amin = _one(ops.min)
any = _one(ops.any)
argmax = _one(ops.argmax)
argmin = _one(ops.argmin)
argsort = _one(ops.argsort)
asin = _one(ops.asin)
asinh = _one(ops.asinh)
atan = _one(ops.atan)
atan2 = _one(ops.atan2)
atanh = _one(ops.atanh)
binary_crossentropy = _one(ops.binary_crossentropy)
binary_crossentropy_logits = _one(ops.binary_crossentropy_logits)
bitwise_and = _one(ops.bitwise_and)
bitwise_not = _one(ops.bitwise_not)
bitwise_or = _one(ops.bitwise_or)
bitwise_xor = _one(ops.bitwise_xor)
bmm = _one(ops.bmm)
broadcast_to = _one(ops.expand)
cast = _one(ops.cast)
ceil = _one(ops.ceil)
cholesky = _one(ops.cholesky)
clip = clamp = _one(ops.clip)
copysign = _one(ops.copysign)
cos = _one(ops.cos)
cosh = _one(ops.cosh)
cumprod = _one(ops.cumprod)
cumsum = _one(ops.cumsum)
det = _one(ops.det)
diagonal = _one(ops.diagonal)
diff = _one(ops.diff)
dot = _one(ops.dot)
einsum = _one(ops.einsum)
eq = _one(ops.eq)
erf = _one(ops.erf)
exp = _one(ops.exp)
exp2 = _one(ops.exp2)
expand = _one(ops.expand)
expm1 = _one(ops.expm1)
flatten = _one(ops.flatten)
flip = _one(ops.flip)
floor = _one(ops.floor)
fmod = _one(ops.fmod)
gather = _one(ops.gather)
ge = _one(ops.ge)
gt = _one(ops.gt)
index_select = _one(ops.index_select)
inv = _one(ops.inv)
isclose = _one(ops.isclose)
isfinite = _one(ops.isfinite)
isinf = _one(ops.isinf)
isnan = _one(ops.isnan)
le = _one(ops.le)
lerp = _one(ops.lerp)
log = _one(ops.log)
log10 = _one(ops.log10)
log1p = _one(ops.log1p)
log2 = _one(ops.log2)
log_softmax = _one(ops.log_softmax)
logaddexp = _one(ops.logaddexp)
logcumsumexp = _one(ops.logcumsumexp)
logical_and = _one(ops.logical_and)
logical_not = _one(ops.logical_not)
logical_or = _one(ops.logical_or)
logical_xor = _one(ops.logical_xor)
logsumexp = _one(ops.logsumexp)
lshift = _one(ops.lshift)
lt = _one(ops.lt)
masked_fill = _one(ops.masked_fill)
masked_select = _one(ops.masked_select)
matmul = _one(ops.matmul)
max_unpool2d = _one(ops.max_unpool2d)
maximum = _one(ops.maximum)
mean = _one(ops.mean)
minimum = _one(ops.minimum)
mm = _one(ops.mm)
mod = _one(ops.mod)
movedim = _one(ops.movedim)
mul = _one(ops.mul)
nan_to_num = _one(ops.nan_to_num)
ne = _one(ops.ne)
neg = _one(ops.neg)
normalize = _one(ops.normalize)
outer = _one(ops.outer)
permute = _one(ops.permute)
pow = _one(ops.pow)
prod = _one(ops.prod)
reciprocal = _one(ops.reciprocal)
relu = _one(ops.relu)
repeat = _one(ops.repeat)
repeat_interleave = _one(ops.repeat_interleave)
reshape = _one(ops.reshape)
roll = _one(ops.roll)
round = _one(ops.round)
rshift = _one(ops.rshift)
rsqrt = _one(ops.rsqrt)
scatter = _one(ops.scatter)
scatter_add = _one(ops.scatter_add)
scatter_reduce = _one(ops.scatter_reduce)
select = _one(ops.select)
shrink = _one(ops.shrink)
sigmoid = _one(ops.sigmoid)
sign = _one(ops.sign)
sin = _one(ops.sin)
sinh = _one(ops.sinh)
softmax = _one(ops.softmax)
solve = _one(ops.solve)
sparse_categorical_crossentropy = _one(ops.sparse_categorical_crossentropy)
sqrt = _one(ops.sqrt)
square = _one(ops.square)
squeeze = _one(ops.squeeze)
sum = _one(ops.sum)
swapaxes = _one(ops.transpose)
swish = _one(ops.silu)
tan = _one(ops.tan)
tanh = _one(ops.tanh)
tile = _one(ops.tile)
trace = _one(ops.trace)
transpose = _one(ops.transpose)
tril = _one(ops.tril)
triu = _one(ops.triu)
trunc = _one(ops.trunc)
unflatten = _one(ops.unflatten)
unfold = _one(ops.unfold)
unsqueeze = _one(ops.unsqueeze)

cummax = _ordered(ops.cummax)
cummin = _ordered(ops.cummin)
sort = _ordered(ops.sort)
topk = _ordered(ops.topk)

chunk = _several(ops.chunk)
meshgrid = _several(ops.meshgrid)
qr = _several(ops.qr)
slogdet = _several(ops.slogdet)
split = _several(ops.split)
svd = _several(ops.svd)
unbind = _several(ops.unbind)

bernoulli = _one(Tensor.bernoulli)
clone = _one(Tensor.clone)
div = _one(Tensor.div)
t = _one(Tensor.t)

allclose = accept_synonyms(ops.allclose)
is_floating_point = accept_synonyms(Tensor.is_floating_point)
unique = _any(Tensor.unique)


def _extreme(input: Tensor, dim: Int, keepdim: Bool, indices: Any) -> Pair:
    """Return the entries at `indices`, of the shape of `input` with length 1 along `dim`."""
    values = ops.gather(input, dim, indices) if input.ndim else input
    if not keepdim and input.ndim:
        values, indices = ops.squeeze(values, dim), ops.squeeze(indices, dim)
    return ValuesAndIndices(values, indices)


@overload
def median(input: Tensor, dim: None = None) -> Tensor: ...
@overload
def median(input: Tensor, dim: Int, keepdim: Bool = ..., **synonyms: Any) -> Pair: ...
@overload
def median(input: Tensor, *, axis: Int, **synonyms: Any) -> Pair: ...
@_any
def median(input: Tensor, dim: Int | None = None, keepdim: Bool = False) -> Any:
    """Return the median of all entries, or the medians along `dim` and their positions.

    Of two middle entries, the lower one is the median.

    Raises:
        AxisError: if `dim` is out of range.
        ShapeError: if there are no entries.

    >>> median(Tensor([3.0, 1.0, 2.0]), 0).indices
    Tensor(2)
    """
    if dim is None:
        return ops.median(input)
    return _extreme(input, dim, keepdim, ops.argmedian(input, dim))


@overload
def max(input: Tensor, dim: Tensor | None = None) -> Tensor: ...
@overload
def max(input: Tensor, dim: Int, keepdim: Bool = ..., **synonyms: Any) -> Pair: ...
@overload
def max(input: Tensor, *, axis: Int, **synonyms: Any) -> Pair: ...
@_any
def max(input: Tensor, dim: Any = None, keepdim: Bool = False) -> Any:
    """Return the largest entry, the largest entries along `dim`, or the elementwise maximum.

    Args:
        input: a tensor.
        dim: None for the maximum of all entries; an axis for the maxima along it and their
            positions; a tensor for the elementwise maximum with it.
        keepdim: keep the reduced axis with length 1.

    Returns:
        A tensor or, if `dim` is an axis, a pair (values, indices). The gradient goes to the first
        of equal entries, unlike that of the method `x.max(axis)`, which is shared by all of them.

    Raises:
        AxisError: if `dim` is out of range.

    >>> import tinygrad_np
    >>> values, indices = tinygrad_np.max(Tensor([[1.0, 5.0], [4.0, 2.0]]), 1)
    >>> values.tolist(), indices.tolist()
    ([5.0, 4.0], [1, 0])
    """
    if dim is None:
        return ops.max(input)
    if isinstance(dim, Tensor):
        return ops.maximum(input, dim)
    return _extreme(input, dim, keepdim, ops.argmax(input, dim, True))


@overload
def min(input: Tensor, dim: Tensor | None = None) -> Tensor: ...
@overload
def min(input: Tensor, dim: Int, keepdim: Bool = ..., **synonyms: Any) -> Pair: ...
@overload
def min(input: Tensor, *, axis: Int, **synonyms: Any) -> Pair: ...
@_any
def min(input: Tensor, dim: Any = None, keepdim: Bool = False) -> Any:
    """Return the smallest entry, the smallest entries along `dim`, or the elementwise minimum.

    The arguments are those of `max`.

    Raises:
        AxisError: if `dim` is out of range.

    >>> import tinygrad_np
    >>> tinygrad_np.min(Tensor([1.0, 5.0]), Tensor([3.0, 2.0]))
    Tensor([1., 2.])
    """
    if dim is None:
        return ops.min(input)
    if isinstance(dim, Tensor):
        return ops.minimum(input, dim)
    return _extreme(input, dim, keepdim, ops.argmin(input, dim, True))


@accept_synonyms
def var(input: Tensor, dim: Any = None, *, correction: Float = 1, keepdim: Bool = False) -> Tensor:
    """Compute the variance over `dim`, Σ (x - mean)² / (n - correction).

    Raises:
        AxisError: if `dim` is out of range.

    >>> var(Tensor([1.0, 2.0, 3.0, 4.0]), unbiased=False)
    Tensor(1.2500)
    """
    return input.var(dim, keepdim, correction)


@accept_synonyms
def std(input: Tensor, dim: Any = None, *, correction: Float = 1, keepdim: Bool = False) -> Tensor:
    """Compute the standard deviation √var over `dim`; where it is 0, the gradient is 0.

    Raises:
        AxisError: if `dim` is out of range.

    >>> std(Tensor([1.0, 2.0, 3.0, 4.0]))
    Tensor(1.2910)
    """
    return input.std(dim, keepdim, correction)


@accept_synonyms
def var_mean(
    input: Tensor, dim: Any = None, *, correction: Float = 1, keepdim: Bool = False
) -> tuple[Tensor, Tensor]:
    """Compute the variance and the mean over `dim`.

    Raises:
        AxisError: if `dim` is out of range.

    >>> var_mean(Tensor([1.0, 2.0, 3.0]))
    (Tensor(1.), Tensor(2.))
    """
    return ops.var_mean(input, dim, keepdim, correction)


@accept_synonyms
def std_mean(
    input: Tensor, dim: Any = None, *, correction: Float = 1, keepdim: Bool = False
) -> tuple[Tensor, Tensor]:
    """Compute the standard deviation and the mean over `dim`.

    Raises:
        AxisError: if `dim` is out of range.

    >>> std_mean(Tensor([1.0, 2.0, 3.0]))
    (Tensor(1.), Tensor(2.))
    """
    return ops.std_mean(input, dim, keepdim, correction)


@_one
def add(input: Tensor, other: Any, *, alpha: Float = 1) -> Tensor:
    """Compute input + alpha * other.

    >>> add(Tensor([1.0, 2.0]), 10, alpha=0.5)
    Tensor([6., 7.])
    """
    result: Tensor = ops.add(input, other if alpha == 1 else ops.mul(other, alpha))
    return result


@_one
def sub(input: Tensor, other: Any, *, alpha: Float = 1) -> Tensor:
    """Compute input - alpha * other.

    >>> sub(Tensor([1.0, 2.0]), 10, alpha=0.5)
    Tensor([-4., -3.])
    """
    result: Tensor = ops.sub(input, other if alpha == 1 else ops.mul(other, alpha))
    return result


def _tensors(who: str, tensors: Any) -> Sequence[Any]:
    if not isinstance(tensors, list | tuple):
        raise DtypeError(
            f"{who}: expected `tensors` to be a list or tuple of tensors, got {kind_of(tensors)}. "
            f"Try {who}([a, b])."
        )
    return tensors


@_one
def cat(tensors: Sequence[Tensor], dim: Int = 0) -> Tensor:
    """Join tensors along an axis.

    Raises:
        AxisError: if `dim` is out of range.
        DtypeError: if `tensors` is not a list or tuple of tensors.
        ShapeError: if the other axes differ in length.

    >>> cat([Tensor([1.0]), Tensor([2.0, 3.0])])
    Tensor([1., 2., 3.])
    """
    result: Tensor = ops.cat(*_tensors("cat", tensors), dim=dim)
    return result


@_one
def stack(tensors: Sequence[Tensor], dim: Int = 0) -> Tensor:
    """Join tensors of the same shape along a new axis.

    Raises:
        AxisError: if `dim` is out of range.
        DtypeError: if `tensors` is not a list or tuple of tensors.
        ShapeError: if the shapes differ.

    >>> stack([Tensor([1.0, 2.0]), Tensor([3.0, 4.0])], dim=1)
    Tensor([[1., 3.],
            [2., 4.]])
    """
    result: Tensor = ops.stack(*_tensors("stack", tensors), dim=dim)
    return result


@overload
def where(condition: Tensor) -> tuple[Tensor, ...]: ...
@overload
def where(condition: Tensor, input: Any, other: Any) -> Tensor: ...
@overload
def where(condition: Tensor, **synonyms: Any) -> Tensor: ...
@_any
def where(condition: Tensor, input: Any = None, other: Any = None) -> Any:
    """Select entries of `input` where `condition` is nonzero, and of `other` elsewhere.

    With the condition alone, return a tuple with the positions of its nonzero entries, one tensor
    per axis.

    Raises:
        DtypeError: if only one of `input` and `other` is given.

    >>> x = Tensor([-1.0, 2.0])
    >>> where(x > 0, x, 0)
    Tensor([0., 2.])
    """
    if input is None and other is None:
        return nonzero(condition, as_tuple=True)
    if input is None or other is None:
        raise DtypeError("where: expected both `input` and `other`, or neither, got one of them.")
    return condition.where(input, other)


@overload
def nonzero(input: Tensor, *, as_tuple: Literal[False] = False) -> Tensor: ...
@overload
def nonzero(input: Tensor, *, as_tuple: Literal[True]) -> tuple[Tensor, ...]: ...
@accept_synonyms
def nonzero(input: Tensor, *, as_tuple: Bool = False) -> Any:
    """Return the positions of the nonzero entries, of shape (n, ndim), or one tensor per axis.

    >>> nonzero(Tensor([0, 7, 0, 9]), as_tuple=True)
    (Tensor([1, 3]),)
    """
    found = input.nonzero()
    return tuple(found[:, axis] for axis in range(found.shape[1])) if as_tuple else found


def is_tensor(obj: Any) -> Bool:
    """Return whether `obj` is a Tensor.

    >>> is_tensor(Tensor([1.0])), is_tensor([1.0])
    (True, False)
    """
    return isinstance(obj, Tensor)


@accept_synonyms
def equal(input: Tensor, other: Tensor) -> Bool:
    """Return whether two tensors have the same shape and entries.

    >>> equal(Tensor([1.0, 2.0]), Tensor([1.0, 2.0])), equal(Tensor([1.0]), Tensor([1.0, 1.0]))
    (True, False)
    """
    return np.array_equal(input.data, other.data)


@_one
def diag(input: Tensor, diagonal: Int = 0) -> Tensor:
    """Return the matrix with a vector on its diagonal, or the diagonal of a matrix.

    Args:
        input: a vector of shape (n,) or a matrix.
        diagonal: number of the diagonal: positive above the main diagonal, negative below it.

    Raises:
        ShapeError: if the input has neither one nor two axes.

    >>> diag(diag(Tensor([1.0, 2.0]), 1), 1)
    Tensor([1., 2.])
    """
    if input.ndim == 2:
        return ops.diagonal(input, offset=diagonal)
    matrix = ops.diag(input)
    before, after = (diagonal, 0) if diagonal > 0 else (0, -diagonal)
    return matrix.pad((before, after, after, before))


@_one
def norm(input: Tensor, p: Any = "fro", dim: Any = None, keepdim: Bool = False) -> Tensor:
    """Compute the p-norm (Σ |x|^p)^(1/p) over `dim`; "fro" is p = 2.

    Raises:
        AxisError: if `dim` is out of range.

    >>> norm(Tensor([3.0, 4.0]))
    Tensor(5.)
    """
    return ops.norm(input, 2.0 if p == "fro" else p, dim, keepdim)
