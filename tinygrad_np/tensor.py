"""Tensor: an array with the methods that a user sees; each one dispatches to an op.

Names and signatures are those of tinygrad's public Tensor API, numbers are PyTorch's.
"""

import functools
import inspect
from collections.abc import Callable, Iterator
from typing import Any, Self, TypeAlias, TypeVar, cast

import numpy as np

from tinygrad_np import ops, random
from tinygrad_np.autograd import backward as autograd
from tinygrad_np.autograd.op import Op, known_dtype, method_of_two
from tinygrad_np.autograd.tape import Handle, Shape, Variable, mode
from tinygrad_np.errors import ArgumentError, AxisError, DtypeError, GraphError, ShapeError
from tinygrad_np.ops.shape import sizes_of
from tinygrad_np.runtime.memory import Array

# Inside the class `float`, `int` and `bool` are methods.
Int: TypeAlias = int
Float: TypeAlias = float
Bool: TypeAlias = bool
Generator = np.random.Generator | None
M = TypeVar("M", bound=Callable[..., Any])


def _unary(op: Op) -> Callable[["Tensor"], "Tensor"]:
    """Return the method of an op of one tensor."""
    record: Callable[..., Tensor] = op.record  # bound once, which is quicker
    attributes = op.attributes

    def method(self: "Tensor") -> "Tensor":
        return record((self,), attributes, self)

    return _named(method, op)


def _binary(op: Op) -> Callable[["Tensor", Any], "Tensor"]:
    """Return the method of an op of a tensor and another, an array or a number."""
    return _named(method_of_two(op), op)


def _reflected(op: Callable[..., Any]) -> Callable[["Tensor", Any], "Tensor"]:
    """Return the method for an operator whose left side is not a tensor."""

    def method(self: "Tensor", x: Any) -> "Tensor":
        result: Tensor = op(x, self)
        return result

    return method


# What others call it, in the arguments of methods and among their names.
_WORDS = {"dim": "axis", "axis": "dim", "keepdims": "keepdim", "dims": "axis"}
_ELSEWHERE = {
    "clamp": "clip",
    "clone": "detach() for the same memory, or x + 0 for a copy in the graph",
    "contiguous": "nothing: memory order does not matter here",
    "dim": "ndim",
    "double": "cast(np.float64)",
    "ge": "x >= y",
    "gt": "x > y",
    "le": "x <= y",
    "logical_and": "x & y",
    "logical_or": "x | y",
    "long": "cast(np.int64)",
    "lt": "x < y",
    "requires_grad_": "requires_grad = True",
    "size": "shape, or numel()",
    "t": "T",
    "to": "cast(dtype)",
    "type": "cast(dtype)",
}


class _Elsewhere:
    """Stands where others have a method, and says what it is called here. (A `__getattr__` would
    slow down each look at an attribute.)"""

    def __init__(self, name: str) -> None:
        self.name = name

    def __get__(self, instance: Any, owner: type) -> Any:
        hint = _ELSEWHERE[self.name]
        raise AttributeError(f"'Tensor' has no attribute {self.name!r}; here it is {hint}")


def _hinting(function: M) -> M:
    """Return the function as a method that knows what its options are called elsewhere."""
    known = inspect.signature(function).parameters

    @functools.wraps(function)
    def method(*args: Any, **options: Any) -> Any:
        for name in options:
            if name not in known and _WORDS.get(name) in known:
                raise DtypeError(
                    f"{function.__name__}: got {name}={options[name]!r}, which is called "
                    f"{_WORDS[name]}= here"
                )
        return function(*args, **options)

    return cast(M, method)


def _named(method: M, op: Op) -> M:
    method.__name__ = op.name
    method.__qualname__ = f"Tensor.{op.name}"
    method.__doc__ = op.__doc__
    return method


class Tensor(Variable):
    """An array that records the ops it goes through, so that gradients can flow back.

    `data` is a number, a nested list, an ndarray (copied) or a Tensor. Python floats make float32,
    ints int64, bools bool; an ndarray keeps its dtype.

    >>> x = Tensor([1.0, 2.0, 3.0], requires_grad=True)
    >>> (x * x).sum().backward()
    >>> x.grad
    Tensor([2., 4., 6.])
    """

    __slots__ = ()

    def __init__(self, data: Any, dtype: Any = None, requires_grad: Bool = False) -> None:
        self.data = _array_of(data, dtype)
        self.node = None
        self.version = [0]
        self.grad = None
        self._requires_grad = False
        if requires_grad:
            self.requires_grad = True

    @staticmethod
    def from_numpy(array: Array) -> "Tensor":
        """Return a Tensor over `array` itself, which stays shared."""
        is_known = isinstance(array, np.ndarray) and array.dtype.kind in "biuf"
        if not is_known or not array.dtype.isnative:
            raise DtypeError(
                f"from_numpy: got {_kind(array)} of dtype {getattr(array, 'dtype', None)}, "
                "expected an ndarray of numbers in the machine's byte order"
            )
        return Tensor.wrap(array)

    # Creation. Shapes come as ints or as one tuple.

    @classmethod
    def zeros(cls, *shape: Any, dtype: Any = None) -> Self:
        """Return zeros, of float32 unless said.

        >>> Tensor.zeros(2, 3).shape
        (2, 3)
        """
        return cls(np.zeros(_sizes("zeros", shape), _or_float32("zeros", dtype)))

    @classmethod
    def ones(cls, *shape: Any, dtype: Any = None) -> Self:
        """Return ones, of float32 unless said.

        >>> Tensor.ones(3)
        Tensor([1., 1., 1.])
        """
        return cls(np.ones(_sizes("ones", shape), _or_float32("ones", dtype)))

    @classmethod
    def empty(cls, *shape: Any, dtype: Any = None) -> Self:
        """Return a tensor of whatever its memory held before.

        >>> Tensor.empty(2, 3, dtype=np.int64).dtype
        dtype('int64')
        """
        return cls(np.empty(_sizes("empty", shape), _or_float32("empty", dtype)))

    @classmethod
    def full(cls, shape: Any, fill_value: Any, dtype: Any = None) -> Self:
        """Return a tensor of one value; its dtype is the value's, as that of `Tensor(value)`.

        >>> Tensor.full((2,), 7)
        Tensor([7, 7])
        """
        value = _array_of(fill_value, dtype)
        if value.ndim:
            raise ShapeError(f"full: got a fill_value of shape {value.shape}, expected a number")
        return cls(np.full(_sizes("full", (shape,)), value))

    def zeros_like(self) -> "Tensor":
        """Return zeros of this shape and dtype.

        >>> Tensor([1, 2]).zeros_like()
        Tensor([0, 0])
        """
        return Tensor.wrap(np.zeros(self.shape, self.dtype))

    def ones_like(self) -> "Tensor":
        """Return ones of this shape and dtype.

        >>> Tensor([1, 2]).ones_like()
        Tensor([1, 1])
        """
        return Tensor.wrap(np.ones(self.shape, self.dtype))

    def full_like(self, fill_value: Any, dtype: Any = None) -> "Tensor":
        """Return a tensor of one value, of this shape, and dtype unless given.

        >>> Tensor([1, 2]).full_like(7)
        Tensor([7, 7])
        """
        return Tensor.full(self.shape, fill_value, self.dtype if dtype is None else dtype)

    def rand_like(self, generator: Generator = None) -> "Tensor":
        """Return uniform numbers from [0, 1) of this shape and dtype.

        >>> Tensor.ones(2, 3).rand_like().shape
        (2, 3)
        """
        return Tensor.rand(*self.shape, dtype=self.dtype, generator=generator)

    @classmethod
    def eye(cls, n: Int, m: Int | None = None, dtype: Any = None) -> Self:
        """Return ones on the diagonal of a matrix (n, m), and zeros beside; m is n unless given.

        >>> Tensor.eye(2)
        Tensor([[1., 0.],
                [0., 1.]])
        """
        rows, columns = _sizes("eye", (n, n if m is None else m))
        return cls(np.eye(rows, columns, dtype=_or_float32("eye", dtype)))

    @classmethod
    def arange(cls, start: Any, stop: Any = None, step: Any = 1, dtype: Any = None) -> Self:
        """Return numbers from start, or 0, to below stop; int64 if all are ints, else float32.

        >>> Tensor.arange(1, 6, 2)
        Tensor([1, 3, 5])
        """
        if stop is None:
            start, stop = 0, start
        if step == 0:
            raise ArgumentError("arange step: got 0, expected another number")
        values = np.arange(start, stop, step)
        if dtype is None and values.dtype.kind == "f":
            dtype = np.float32
        return cls(values, dtype)

    @classmethod
    def linspace(cls, start: Any, stop: Any, steps: Int, dtype: Any = None) -> Self:
        """Return `steps` numbers from start to stop, both included, evenly apart.

        >>> Tensor.linspace(0, 1, 5)
        Tensor([0.  , 0.25, 0.5 , 0.75, 1.  ])
        """
        (count,) = _sizes("linspace", (steps,))
        return cls(np.linspace(start, stop, count), _or_float32("linspace", dtype))

    @classmethod
    def rand(cls, *shape: Any, dtype: Any = None, generator: Generator = None) -> Self:
        """Return uniform numbers from [0, 1).

        >>> Tensor.rand(2, generator=np.random.default_rng(0))
        Tensor([0.8506 , 0.6370])
        """
        return cls(_drawn("rand", shape, dtype, random.resolve(generator).random), dtype)

    @classmethod
    def uniform(
        cls,
        *shape: Any,
        low: Float = 0.0,
        high: Float = 1.0,
        dtype: Any = None,
        generator: Generator = None,
    ) -> Self:
        """Return uniform numbers from [low, high).

        >>> Tensor.uniform(2, 3, low=-1.0).shape
        (2, 3)
        """
        values = _drawn("uniform", shape, dtype, random.resolve(generator).random)
        return cls(values * (high - low) + low, dtype)

    @classmethod
    def randn(cls, *shape: Any, dtype: Any = None, generator: Generator = None) -> Self:
        """Return standard normal numbers.

        >>> Tensor.randn(2, 3).shape
        (2, 3)
        """
        return cls(_drawn("randn", shape, dtype, random.resolve(generator).standard_normal), dtype)

    @classmethod
    def normal(
        cls,
        *shape: Any,
        mean: Float = 0.0,
        std: Float = 1.0,
        dtype: Any = None,
        generator: Generator = None,
    ) -> Self:
        """Return normal numbers.

        >>> Tensor.normal(2, 3, mean=5.0).shape
        (2, 3)
        """
        values = _drawn("normal", shape, dtype, random.resolve(generator).standard_normal)
        return cls(values * std + mean, dtype)

    @classmethod
    def randint(
        cls,
        *shape: Any,
        low: Int = 0,
        high: Int = 10,
        dtype: Any = np.int64,
        generator: Generator = None,
    ) -> Self:
        """Return integers from low to below high.

        >>> Tensor.randint(2, 3, high=5).shape
        (2, 3)
        """
        if low >= high:
            raise ArgumentError(f"randint: got low={low} and high={high}, expected low below high")
        values = random.resolve(generator).integers(low, high, _sizes("randint", shape))
        return cls(values, dtype)

    @classmethod
    def randperm(cls, n: Int, dtype: Any = np.int64, generator: Generator = None) -> Self:
        """Return the integers from 0 to below n in random order.

        >>> sorted(Tensor.randperm(3).tolist())
        [0, 1, 2]
        """
        (count,) = _sizes("randperm", (n,))
        return cls(random.resolve(generator).permutation(count), dtype)

    def multinomial(
        self, num_samples: Int = 1, replacement: Bool = False, generator: Generator = None
    ) -> "Tensor":
        """Return int64 draws (*, num_samples) of places, with the weights (*, n) of each row.

        Without `replacement` no place is drawn twice. Raises ArgumentError where weights are
        negative or not finite, or too few of them are positive.

        >>> Tensor([0.0, 1.0]).multinomial(3, replacement=True)
        Tensor([1, 1, 1])
        """
        return Tensor.wrap(_draws(self.data, num_samples, replacement, random.resolve(generator)))

    # What a tensor is.

    @property
    def requires_grad(self) -> Bool:
        """Whether a backward reaches this: a leaf that asked for it, or a recorded result."""
        return self._requires_grad or self.node is not None

    @requires_grad.setter
    def requires_grad(self, flag: Bool) -> None:
        if self.node is not None:
            if not flag:
                raise GraphError("requires_grad: a result of an op has one; use .detach()")
            return
        if flag and self.data.dtype.kind != "f":
            raise DtypeError(
                f"requires_grad: got dtype {self.dtype}, but only floats have gradients; use "
                ".float()"
            )
        self._requires_grad = flag

    @property
    def ndim(self) -> Int:
        """The number of axes."""
        return self.data.ndim

    @property
    def T(self) -> "Tensor":
        """The tensor with its axes reversed."""
        return ops.permute(self, tuple(range(self.ndim))[::-1])

    @property
    def is_leaf(self) -> Bool:
        """Whether this was made by a user, not by a recorded op."""
        return self.node is None

    def numel(self) -> Int:
        """Return the number of entries."""
        return self.data.size

    def numpy(self) -> Array:
        """Return a read-only view of the array."""
        view = self.data.view()
        view.flags.writeable = False
        return view

    def detach(self) -> "Tensor":
        """Return a Tensor that shares memory and has no graph."""
        return Tensor.wrap(self.data, None, self.version)

    def item(self) -> Any:
        """Return the only entry as a Python number."""
        if self.data.size != 1:
            raise ShapeError(f"item: got shape {self.shape}, expected a tensor of one entry")
        return self.data.item()

    def tolist(self) -> Any:
        """Return the entries as a nested list of Python numbers."""
        return self.data.tolist()

    def __len__(self) -> Int:
        if not self.ndim:
            raise DtypeError("len: a tensor without an axis has no length")
        return len(self.data)

    def __iter__(self) -> Iterator["Tensor"]:
        return (self[i] for i in range(len(self)))

    def __bool__(self) -> Bool:
        if self.data.size != 1:
            raise ShapeError(
                f"bool: a tensor of shape {self.shape} is neither true nor false; compare one "
                "entry, or reduce first"
            )
        return bool(self.data)

    def __float__(self) -> Float:
        return Float(self.item())

    def __int__(self) -> Int:
        return Int(self.item())

    def __index__(self) -> Int:
        if self.dtype.kind not in "iu":
            raise DtypeError(f"index: got dtype {self.dtype}, expected integers")
        return Int(self.item())

    def __array__(self, dtype: Any = None, copy: Bool | None = None) -> Array:
        if self.requires_grad:
            raise GraphError(
                "asarray: this tensor is part of a graph that NumPy cannot follow; use .detach()"
            )
        return np.array(self.numpy(), dtype=dtype, copy=copy)

    def __repr__(self) -> str:
        body = np.array2string(self.data, separator=", ", prefix="Tensor(")
        dtype = "" if self.dtype in (np.float32, np.int64, np.bool_) else f", dtype={self.dtype}"
        shape = f", shape={self.shape}" if not self.data.size else ""
        if self.node is not None:
            return f"Tensor({body}{shape}{dtype}, op={self.node.op.name})"
        return f"Tensor({body}{shape}{dtype}{', requires_grad=True' * self._requires_grad})"

    # Gradients.

    def backward(
        self, gradient: Any = None, retain_graph: Bool = False, create_graph: Bool = False
    ) -> None:
        """Add to `.grad` of each leaf the gradient of this tensor, weighted by `gradient`.

        `gradient` is of this tensor's shape, and 1 where that has one entry. The graph is freed on
        the way unless `retain_graph`; with `create_graph` gradients have graphs of their own.
        Raises GraphError where there is no graph, or one freed, or a value changed since.
        """
        autograd.backward(self, gradient, retain_graph, create_graph)

    def gradient(
        self, *targets: "Tensor", gradient: Any = None, create_graph: Bool = False
    ) -> list["Tensor"]:
        """Return the gradients for `targets`; every `.grad` and the graph stay as they are.

        >>> x = Tensor(3.0, requires_grad=True)
        >>> (first,) = (x * x * x).gradient(x, create_graph=True)
        >>> first.gradient(x)
        [Tensor(18.)]
        """
        return autograd.gradient(self, targets, gradient, create_graph)

    def register_hook(self, hook: Callable[["Tensor"], Any]) -> Handle:
        """Call `hook` with the gradient of this tensor whenever a backward has it whole.

        What it returns, unless None, takes the gradient's place: a Tensor of its shape and dtype,
        else ShapeError. The handle's `remove()` ends it. Raises GraphError where there will be no
        gradient.

        >>> x = Tensor([1.0, 2.0], requires_grad=True)
        >>> handle = x.register_hook(lambda grad: grad * 10)
        >>> (x * x).sum().backward()
        >>> x.grad
        Tensor([20., 40.])
        """
        if not self.requires_grad:
            raise GraphError(
                "register_hook: this tensor does not require a gradient; make it with "
                "requires_grad=True, or compute it outside no_grad()"
            )
        if self.node is None:
            if not hasattr(self, "hooks"):
                self.hooks = {}
            return Handle(self.hooks, hook)
        if self.node.hooks is None:
            self.node.hooks = {}
        return Handle(self.node.hooks, hook)

    def retain_grad(self) -> None:
        """Have `backward()` keep the gradient of this result of an op in its `.grad` too.

        >>> x = Tensor(3.0, requires_grad=True)
        >>> y = x * x
        >>> y.retain_grad()
        >>> (y * 2).backward()
        >>> y.grad
        Tensor(2.)
        """
        is_kept = self.node and any(
            isinstance(hook, autograd.Retained) for hook in (self.node.hooks or {}).values()
        )
        if not self.requires_grad or (self.node is not None and not is_kept):
            self.register_hook(autograd.Retained(self))

    # Change in place: of leaves, outside a graph.

    def __setitem__(self, key: Any, value: Any) -> None:
        if self.requires_grad and mode.now.recording:
            raise GraphError(
                "setitem: this tensor requires a gradient, which a change in place would make "
                "wrong; build the result from where(...) and cat(...), or change a leaf inside "
                "no_grad()"
            )
        if isinstance(value, Variable):
            if value.requires_grad and mode.now.recording:
                raise GraphError(
                    "setitem: the value requires a gradient, which could not pass through a change "
                    "in place; use value.detach(), or build the result from where(...) and cat(...)"
                )
            value = value.data
        plain = tuple(map(_index, key)) if isinstance(key, tuple) else _index(key)
        try:
            self.data[plain] = value
        except IndexError as error:
            raise AxisError(f"setitem: shape {self.shape}, key {plain!r}; {error}") from error
        except (ValueError, TypeError) as error:
            raise ShapeError(f"setitem: shape {self.shape}, key {plain!r}; {error}") from error
        self.mark_changed()

    # Dtypes.

    def cast(self, dtype: Any) -> "Tensor":
        """Return the entries in another dtype.

        >>> Tensor([1.7, -1.7]).cast(np.int64)
        Tensor([ 1, -1])
        """
        return ops.cast(self, dtype=known_dtype("cast", dtype))

    # Arithmetic.

    add = _binary(ops.add)
    sub = _binary(ops.sub)
    mul = _binary(ops.mul)
    div = ops.div
    mod = _binary(ops.mod)
    fmod = _binary(ops.fmod)
    pow = _binary(ops.pow)
    neg = _unary(ops.neg)
    abs = _unary(ops.abs)
    sign = _unary(ops.sign)
    floor = _unary(ops.floor)
    ceil = _unary(ops.ceil)
    trunc = _unary(ops.trunc)
    round = _unary(ops.round)
    maximum = _binary(ops.maximum)
    minimum = _binary(ops.minimum)
    clip = ops.clip
    lerp = ops.lerp
    copysign = ops.copysign
    where = ops.where

    __add__ = add
    __sub__ = sub
    __mul__ = mul
    __truediv__ = div
    __mod__ = mod
    __pow__ = pow
    __radd__ = add
    __rmul__ = mul
    __neg__ = neg
    __abs__ = abs

    def __pos__(self) -> "Tensor":
        return self

    def __floordiv__(self, x: Any) -> "Tensor":
        return ops.div(self, x, "floor")

    __rsub__ = _reflected(ops.sub)
    __rtruediv__ = _reflected(ops.div)
    __rpow__ = _reflected(ops.pow)
    __rmod__ = _reflected(ops.mod)

    def __rfloordiv__(self, x: Any) -> "Tensor":
        result: Tensor = ops.floor_div(x, self)
        return result

    # Comparison, truth and bits.

    __eq__ = _binary(ops.eq)  # type: ignore[assignment]
    __ne__ = _binary(ops.ne)  # type: ignore[assignment]
    __lt__ = _binary(ops.lt)
    __le__ = _binary(ops.le)
    __gt__ = _binary(ops.gt)
    __ge__ = _binary(ops.ge)
    __hash__ = Variable.__hash__

    eq = _binary(ops.eq)
    ne = _binary(ops.ne)
    isnan = _unary(ops.isnan)
    isinf = ops.isinf
    isfinite = _unary(ops.isfinite)
    isclose = ops.isclose
    logical_not = _unary(ops.logical_not)
    bitwise_not = _unary(ops.bitwise_not)

    __and__ = _binary(ops.bitwise_and)
    __or__ = _binary(ops.bitwise_or)
    __xor__ = _binary(ops.bitwise_xor)
    __lshift__ = _binary(ops.lshift)
    __rshift__ = _binary(ops.rshift)
    __invert__ = bitwise_not
    __rand__ = __and__
    __ror__ = __or__
    __rxor__ = __xor__
    __rlshift__ = _reflected(ops.lshift)
    __rrshift__ = _reflected(ops.rshift)

    # Functions.

    exp = _unary(ops.exp)
    exp2 = _unary(ops.exp2)
    expm1 = _unary(ops.expm1)
    log = _unary(ops.log)
    log2 = _unary(ops.log2)
    log10 = _unary(ops.log10)
    log1p = _unary(ops.log1p)
    logaddexp = ops.logaddexp
    sqrt = _unary(ops.sqrt)
    rsqrt = _unary(ops.rsqrt)
    square = ops.square
    sin = _unary(ops.sin)
    cos = _unary(ops.cos)
    tan = _unary(ops.tan)
    asin = _unary(ops.asin)
    acos = _unary(ops.acos)
    atan = _unary(ops.atan)
    sinh = _unary(ops.sinh)
    cosh = _unary(ops.cosh)
    tanh = _unary(ops.tanh)
    asinh = _unary(ops.asinh)
    acosh = _unary(ops.acosh)
    atanh = _unary(ops.atanh)
    erf = _unary(ops.erf)

    # Activations.

    relu = _unary(ops.relu)
    relu6 = ops.relu6
    leaky_relu = ops.leaky_relu
    elu = ops.elu
    celu = ops.celu
    selu = ops.selu
    gelu = ops.gelu
    silu = ops.silu
    swish = ops.silu
    mish = ops.mish
    sigmoid = _unary(ops.sigmoid)
    logsigmoid = ops.logsigmoid
    softplus = ops.softplus
    softsign = ops.softsign
    hardtanh = ops.hardtanh
    hardswish = ops.hardswish
    softmax = _hinting(ops.softmax)
    softmin = _hinting(ops.softmin)
    log_softmax = _hinting(ops.log_softmax)
    dropout = ops.dropout

    # Reductions and scans.

    sum = _hinting(ops.sum)
    mean = _hinting(ops.mean)
    max = _hinting(ops.max)
    min = _hinting(ops.min)
    prod = _hinting(ops.prod)
    var = _hinting(ops.var)
    std = _hinting(ops.std)
    std_mean = _hinting(ops.std_mean)
    all = _hinting(ops.all)
    any = _hinting(ops.any)
    argmax = _hinting(ops.argmax)
    argmin = _hinting(ops.argmin)
    logsumexp = _hinting(ops.logsumexp)
    cumsum = _hinting(ops.cumsum)
    cumprod = _hinting(ops.cumprod)
    cummax = _hinting(ops.cummax)
    cummin = _hinting(ops.cummin)
    logcumsumexp = _hinting(ops.logcumsumexp)

    # Shape and order.

    reshape = ops.reshape
    view = ops.reshape
    flatten = ops.flatten
    unflatten = _hinting(ops.unflatten)
    squeeze = _hinting(ops.squeeze)
    unsqueeze = _hinting(ops.unsqueeze)
    permute = ops.permute
    transpose = ops.transpose
    expand = ops.expand
    cat = _hinting(ops.cat)
    stack = _hinting(ops.stack)
    split = _hinting(ops.split)
    chunk = _hinting(ops.chunk)
    repeat = ops.repeat
    repeat_interleave = _hinting(ops.repeat_interleave)
    flip = ops.flip
    roll = ops.roll
    pad = ops.pad
    shrink = ops.shrink
    unfold = ops.unfold
    meshgrid = ops.meshgrid
    sort = _hinting(ops.sort)
    argsort = _hinting(ops.argsort)
    topk = _hinting(ops.topk)

    # Indexing.

    __getitem__ = ops.getitem
    gather = _hinting(ops.gather)
    scatter = _hinting(ops.scatter)
    scatter_reduce = _hinting(ops.scatter_reduce)
    masked_fill = ops.masked_fill
    masked_select = ops.masked_select
    nonzero = ops.nonzero
    one_hot = ops.one_hot

    # Products of matrices, convolution, pooling.

    matmul = ops.matmul
    dot = ops.dot
    __matmul__ = ops.matmul

    def __rmatmul__(self, x: Any) -> "Tensor":
        result: Tensor = ops.matmul(x, self)
        return result

    linear = ops.linear
    einsum = staticmethod(ops.einsum)

    # Linear algebra.

    trace = ops.trace
    diagonal = ops.diagonal
    diag = ops.diag
    tril = ops.tril
    triu = ops.triu
    norm = _hinting(ops.norm)
    normalize = _hinting(ops.normalize)
    inv = ops.inv
    solve = ops.solve
    det = ops.det
    slogdet = ops.slogdet
    cholesky = ops.cholesky
    qr = ops.qr
    svd = ops.svd

    conv2d = ops.conv2d
    conv_transpose2d = ops.conv_transpose2d
    max_pool2d = ops.max_pool2d
    avg_pool2d = ops.avg_pool2d
    adaptive_avg_pool2d = ops.adaptive_avg_pool2d
    max_unpool2d = ops.max_unpool2d
    interpolate = ops.interpolate

    scaled_dot_product_attention = ops.scaled_dot_product_attention

    # Losses.

    cross_entropy = ops.cross_entropy
    nll_loss = ops.nll_loss
    sparse_categorical_crossentropy = ops.sparse_categorical_crossentropy
    binary_crossentropy = ops.binary_crossentropy
    binary_crossentropy_logits = ops.binary_crossentropy_logits

    # Last, since these names hide the built-in ones.

    def float(self) -> "Tensor":
        """Return the entries as float32."""
        return self.cast(np.float32)

    def half(self) -> "Tensor":
        """Return the entries as float16."""
        return self.cast(np.float16)

    def int(self) -> "Tensor":
        """Return the entries as int32."""
        return self.cast(np.int32)

    def bool(self) -> "Tensor":
        """Return the entries as bool."""
        return self.cast(np.bool_)


Tensor.result_class = Tensor
for _name in _ELSEWHERE:
    setattr(Tensor, _name, _Elsewhere(_name))


def _array_of(data: Any, dtype: Any) -> Array:
    """Return a new array of what a user gave."""
    dtype = None if dtype is None else known_dtype("Tensor", dtype)
    if isinstance(data, Variable):
        return np.array(data.data, dtype)
    try:
        array = np.array(data, dtype)
    except (ValueError, TypeError) as error:
        raise ShapeError(f"Tensor: cannot make an array of this {_kind(data)}; {error}") from error
    if array.dtype.kind not in "biuf":
        raise DtypeError(
            f"Tensor: got {_kind(data)} of dtype {array.dtype}, expected numbers (tensors are "
            "joined by .cat(...))"
        )
    array = array.astype(array.dtype.newbyteorder("="), copy=False)
    if (
        dtype is None
        and array.dtype == np.float64
        and not isinstance(data, np.ndarray | np.generic)
    ):
        return array.astype(np.float32)
    return array


def _kind(value: Any) -> str:
    return f"{type(value).__module__}.{type(value).__qualname__}".removeprefix("builtins.")


def _index(part: Any) -> Any:
    return part.data if isinstance(part, Variable) else part


def _sizes(name: str, shape: tuple[Any, ...]) -> Shape:
    """Return a shape given as ints or as one sequence."""
    sizes = sizes_of(shape[0], shape[1:]) if shape else ()
    if any(not isinstance(n, int | np.integer) or n < 0 for n in sizes):
        raise ShapeError(f"{name}: got shape {sizes}, expected integers of at least 0")
    return tuple(map(int, sizes))


def _or_float32(name: str, dtype: Any) -> np.dtype[Any]:
    return known_dtype(name, np.float32 if dtype is None else dtype)


def _drawn(name: str, shape: tuple[Any, ...], dtype: Any, draw: Callable[..., Array]) -> Array:
    """Return random floats; those of float16 are drawn in float32."""
    known = _or_float32(name, dtype)
    if known.kind != "f":
        raise DtypeError(f"{name}: got dtype {known}, expected floats; for integers use randint")
    values = draw(_sizes(name, shape), np.float64 if known == np.float64 else np.float32)
    return np.asarray(values)  # without a shape NumPy draws a float


def _draws(weights: Array, count: int, replacement: bool, generator: np.random.Generator) -> Array:
    """Return places (*, count) drawn by weights (*, n)."""
    if weights.ndim not in (1, 2) or not weights.size:
        raise ShapeError(f"multinomial: got shape {weights.shape}, expected weights (n,) or (m, n)")
    rows = np.atleast_2d(weights).astype(np.float64)
    positive = (rows > 0).sum(axis=1)
    if not np.isfinite(rows).all() or (rows < 0).any() or not positive.all():
        raise ArgumentError(
            "multinomial: got a row of weights that are negative, not finite or all 0"
        )
    if count < 1 or (not replacement and count > positive.min()):
        raise ArgumentError(
            f"multinomial num_samples: got {count}, expected at least 1 and, without replacement, "
            f"at most {positive.min()}, the number of positive weights"
        )
    chances = rows / rows.sum(axis=1, keepdims=True)
    places = [
        generator.choice(rows.shape[1], count, replacement, row_chances) for row_chances in chances
    ]
    return np.array(places, np.int64).reshape(*weights.shape[:-1], count)
