"""Functions with PyTorch's names and signatures, exported by `tinygrad_np` itself.

Most are the ops: `tinygrad_np.exp` is `tinygrad_np.ops.exp`, which also accepts arrays. Functions
composed of ops accept synonyms of their argument names here, as the methods do. The functions
defined below differ from the methods of the same name, which follow tinygrad.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tinygrad_np import ops
from tinygrad_np.checks import kind_of
from tinygrad_np.errors import DtypeError
from tinygrad_np.frontend.tensor import Tensor
from tinygrad_np.synonyms import accept_synonyms
from tinygrad_np.typing import ValuesAndIndices


def _one(function: Callable[..., Any]) -> Callable[..., Tensor]:
    """Return a function composed of ops that accepts synonyms and returns one tensor."""
    return accept_synonyms(function)


def _several(function: Callable[..., Any]) -> Callable[..., tuple[Tensor, ...]]:
    """Return a function composed of ops that accepts synonyms and returns several tensors."""
    return accept_synonyms(function)


def _ordered(function: Callable[..., Any]) -> Callable[..., ValuesAndIndices[Tensor]]:
    """Return a function composed of ops that accepts synonyms and returns values and indices."""
    return accept_synonyms(function)


addmm = _one(ops.addmm)
bmm = _one(ops.bmm)
clip = clamp = _one(ops.clip)
diff = _one(ops.diff)
dot = _one(ops.dot)
einsum = _one(ops.einsum)
flatten = _one(ops.flatten)
flip = _one(ops.flip)
gather = _one(ops.gather)
index_select = _one(ops.index_select)
lerp = _one(ops.lerp)
masked_fill = _one(ops.masked_fill)
masked_select = _one(ops.masked_select)
max_unpool2d = _one(ops.max_unpool2d)
mm = _one(ops.mm)
movedim = _one(ops.movedim)
nan_to_num = _one(ops.nan_to_num)
normalize = _one(ops.normalize)
outer = _one(ops.outer)
reciprocal = _one(ops.reciprocal)
repeat = _one(ops.repeat)
repeat_interleave = _one(ops.repeat_interleave)
roll = _one(ops.roll)
scatter = _one(ops.scatter)
scatter_add = _one(ops.scatter_add)
scatter_reduce = _one(ops.scatter_reduce)
select = _one(ops.select)
shrink = _one(ops.shrink)
square = _one(ops.square)
squeeze = _one(ops.squeeze)
std = _one(ops.std)
tile = _one(ops.tile)
trace = _one(ops.trace)
unflatten = _one(ops.unflatten)
unfold = _one(ops.unfold)
unsqueeze = _one(ops.unsqueeze)
var = _one(ops.var)

cummax = _ordered(ops.cummax)
cummin = _ordered(ops.cummin)
sort = _ordered(ops.sort)
topk = _ordered(ops.topk)

chunk = _several(ops.chunk)
meshgrid = _several(ops.meshgrid)
qr = _several(ops.qr)
slogdet = _several(ops.slogdet)
split = _several(ops.split)
std_mean = _several(ops.std_mean)
svd = _several(ops.svd)
unbind = _several(ops.unbind)
var_mean = _several(ops.var_mean)

allclose = accept_synonyms(ops.allclose)
bernoulli = accept_synonyms(Tensor.bernoulli)
clone = Tensor.clone
is_floating_point = Tensor.is_floating_point
t = Tensor.t
unique = accept_synonyms(Tensor.unique)

# Other names of ops.
amax = ops.max
amin = ops.min
broadcast_to = ops.expand
swapaxes = ops.transpose
swish = ops.silu


def _extreme(input: Tensor, dim: int, keepdim: bool, indices: Any) -> ValuesAndIndices[Tensor]:
    """Return the entries at `indices`, of the shape of `input` with length 1 along `dim`."""
    values = ops.gather(input, dim, indices) if input.ndim else input
    if not keepdim and input.ndim:
        values, indices = ops.squeeze(values, dim), ops.squeeze(indices, dim)
    return ValuesAndIndices(values, indices)


@accept_synonyms
def median(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Any:
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


@accept_synonyms
def max(input: Tensor, dim: Any = None, keepdim: bool = False) -> Any:
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
    if isinstance(dim, Tensor | np.ndarray):
        return ops.maximum(input, dim)
    return _extreme(input, dim, keepdim, ops.argmax(input, dim, True))


@accept_synonyms
def min(input: Tensor, dim: Any = None, keepdim: bool = False) -> Any:
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
    if isinstance(dim, Tensor | np.ndarray):
        return ops.minimum(input, dim)
    return _extreme(input, dim, keepdim, ops.argmin(input, dim, True))


def add(input: Any, other: Any, *, alpha: float = 1) -> Tensor:
    """Compute input + alpha * other.

    >>> add(Tensor([1.0, 2.0]), 10, alpha=0.5)
    Tensor([6., 7.])
    """
    result: Tensor = ops.add(input, other if alpha == 1 else ops.mul(other, alpha))
    return result


def sub(input: Any, other: Any, *, alpha: float = 1) -> Tensor:
    """Compute input - alpha * other.

    >>> sub(Tensor([1.0, 2.0]), 10, alpha=0.5)
    Tensor([-4., -3.])
    """
    result: Tensor = ops.sub(input, other if alpha == 1 else ops.mul(other, alpha))
    return result


def div(input: Any, other: Any, *, rounding_mode: str | None = None) -> Tensor:
    """Divide elementwise; see `Tensor.div`.

    Raises:
        ArgumentError: if `rounding_mode` is unknown, or an integer is divided by the integer 0 with
            rounding.

    >>> div(Tensor([7, -7]), 2, rounding_mode="trunc")
    Tensor([ 3, -3])
    """
    return _as_tensor(input).div(other, rounding_mode)


def _as_tensor(value: Any) -> Tensor:
    return value if isinstance(value, Tensor) else Tensor(value)


def _tensors(who: str, tensors: Any) -> Sequence[Any]:
    if not isinstance(tensors, list | tuple):
        raise DtypeError(
            f"{who}: expected `tensors` to be a list or tuple of tensors, got {kind_of(tensors)}. "
            f"Try {who}([a, b])."
        )
    return tensors


@accept_synonyms
def cat(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
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


@accept_synonyms
def stack(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
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


def where(condition: Any, input: Any = None, other: Any = None) -> Any:
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
    return _as_tensor(condition).where(input, other)


def nonzero(input: Tensor, *, as_tuple: bool = False) -> Any:
    """Return the positions of the nonzero entries, of shape (n, ndim), or one tensor per axis.

    >>> nonzero(Tensor([0, 7, 0, 9]), as_tuple=True)
    (Tensor([1, 3]),)
    """
    found = _as_tensor(input).nonzero()
    return tuple(found[:, axis] for axis in range(found.shape[1])) if as_tuple else found


def diag(input: Tensor, diagonal: int = 0) -> Tensor:
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


@accept_synonyms
def norm(input: Tensor, p: Any = "fro", dim: Any = None, keepdim: bool = False) -> Tensor:
    """Compute the p-norm (Σ |x|^p)^(1/p) over `dim`; "fro" is p = 2.

    Raises:
        AxisError: if `dim` is out of range.

    >>> norm(Tensor([3.0, 4.0]))
    Tensor(5.)
    """
    return ops.norm(input, 2.0 if p == "fro" else p, dim, keepdim)
