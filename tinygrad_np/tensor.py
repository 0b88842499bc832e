"""Tensor: an array with the methods that a user sees; each one dispatches to an op.

Names and signatures are those of tinygrad's public Tensor API, numbers are PyTorch's.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Self, TypeAlias

import numpy as np

from tinygrad_np import autograd, ops, random
from tinygrad_np.errors import ArgumentError, AxisError, DtypeError, GraphError, ShapeError
from tinygrad_np.memory import Array
from tinygrad_np.tape import Shape, Variable, mode

# Inside the class `float`, `int` and `bool` are methods.
Int: TypeAlias = int
Float: TypeAlias = float
Bool: TypeAlias = bool
Axis = int | Sequence[int] | None
Generator = np.random.Generator | None


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

    # Creation.

    @classmethod
    def zeros(cls, *shape: Any) -> Self:
        """Return float32 zeros; shape as ints or one tuple."""
        return cls(np.zeros(_sizes("zeros", shape), np.float32))

    @classmethod
    def ones(cls, *shape: Any) -> Self:
        """Return float32 ones; shape as ints or one tuple."""
        return cls(np.ones(_sizes("ones", shape), np.float32))

    @classmethod
    def rand(cls, *shape: Any, dtype: Any = None, generator: Generator = None) -> Self:
        """Return uniform numbers from [0, 1)."""
        values = random.resolve(generator).random(_sizes("rand", shape), np.float32)
        return cls(values, dtype)

    @classmethod
    def randn(cls, *shape: Any, dtype: Any = None, generator: Generator = None) -> Self:
        """Return standard normal numbers."""
        values = random.resolve(generator).standard_normal(_sizes("randn", shape), np.float32)
        return cls(values, dtype)

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
        return ops.permute(self, order=tuple(range(self.ndim))[::-1])

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
        except ValueError as error:
            raise ShapeError(f"setitem: shape {self.shape}, key {plain!r}; {error}") from error
        self.mark_changed()

    def __getitem__(self, key: Any) -> "Tensor":
        result: Tensor = ops.getitem(self, key)
        return result

    # Dtypes.

    def cast(self, dtype: Any) -> "Tensor":
        """Return the entries in another dtype."""
        try:
            known = np.dtype(dtype)
        except TypeError as error:
            raise DtypeError(f"cast: got {dtype!r}, expected a dtype; {error}") from error
        return ops.cast(self, dtype=known)

    # Arithmetic.

    def add(self, x: Any) -> "Tensor":
        """Return self + x."""
        return ops.add(self, x)

    def sub(self, x: Any) -> "Tensor":
        """Return self - x."""
        return ops.sub(self, x)

    def mul(self, x: Any) -> "Tensor":
        """Return self times x, entry by entry."""
        return ops.mul(self, x)

    def div(self, x: Any) -> "Tensor":
        """Return self / x; integers give float32."""
        return ops.div(self, x)

    def pow(self, x: Any) -> "Tensor":
        """Return self to the power x."""
        return ops.pow(self, x)

    def neg(self) -> "Tensor":
        """Return -self."""
        return ops.neg(self)

    __add__ = add
    __sub__ = sub
    __mul__ = mul
    __truediv__ = div
    __pow__ = pow
    __neg__ = neg
    __radd__ = add
    __rmul__ = mul

    def __rsub__(self, x: Any) -> "Tensor":
        result: Tensor = ops.sub(x, self)
        return result

    def __rtruediv__(self, x: Any) -> "Tensor":
        result: Tensor = ops.div(x, self)
        return result

    def __rpow__(self, x: Any) -> "Tensor":
        result: Tensor = ops.pow(x, self)
        return result

    # Comparison.

    def __eq__(self, x: Any) -> "Tensor":  # type: ignore[override]
        return ops.eq(self, x)

    def __ne__(self, x: Any) -> "Tensor":  # type: ignore[override]
        return ops.ne(self, x)

    def __lt__(self, x: Any) -> "Tensor":
        return ops.lt(self, x)

    def __le__(self, x: Any) -> "Tensor":
        return ops.le(self, x)

    def __gt__(self, x: Any) -> "Tensor":
        return ops.gt(self, x)

    def __ge__(self, x: Any) -> "Tensor":
        return ops.ge(self, x)

    __hash__ = Variable.__hash__

    def logical_not(self) -> "Tensor":
        """Return whether entries are 0 or False."""
        return ops.logical_not(self)

    def maximum(self, x: Any) -> "Tensor":
        """Return the larger of self and x; a tie splits the gradient in halves."""
        return ops.maximum(self, x)

    def where(self, x: Any, y: Any) -> "Tensor":
        """Return x where self is true, else y."""
        condition = self if self.dtype == np.bool_ else self != 0
        if not isinstance(x, Variable | np.ndarray) and not isinstance(y, Variable | np.ndarray):
            x = Tensor(x)
        return ops.where(condition, x, y)

    # Functions.

    def exp(self) -> "Tensor":
        """Return e to the power self."""
        return ops.exp(self)

    def log(self) -> "Tensor":
        """Return the natural logarithm."""
        return ops.log(self)

    def sqrt(self) -> "Tensor":
        """Return the square root."""
        return ops.sqrt(self)

    def tanh(self) -> "Tensor":
        """Return the hyperbolic tangent."""
        return ops.tanh(self)

    def sigmoid(self) -> "Tensor":
        """Return 1 / (1 + e^-self)."""
        return ops.sigmoid(self)

    def relu(self) -> "Tensor":
        """Return max(self, 0); the gradient at 0 is 0."""
        return ops.relu(self)

    def softmax(self, axis: Int = -1) -> "Tensor":
        """Return probabilities along `axis`."""
        return ops.softmax(self, axis=axis)

    def log_softmax(self, axis: Int = -1) -> "Tensor":
        """Return log-probabilities along `axis`."""
        return ops.log_softmax(self, axis=axis)

    def dropout(
        self, p: Float = 0.5, training: Bool = True, generator: Generator = None
    ) -> "Tensor":
        """Zero each entry with probability `p` and scale the rest by 1 / (1 - p), in training."""
        if not 0 <= p <= 1:
            raise ArgumentError(f"dropout p: got {p}, expected a probability from 0 to 1")
        if not training or p == 0:
            return self
        kept = random.resolve(generator).random(self.shape, np.float32) >= p
        return ops.dropout(self, Tensor.wrap(kept), p=Float(p))

    # Reductions.

    def sum(self, axis: Axis = None, keepdim: Bool = False) -> "Tensor":
        """Return the sum over `axis`: an int, several, or None for all."""
        return ops.sum(self, axis=_axis(axis), keepdim=keepdim)

    def mean(self, axis: Axis = None, keepdim: Bool = False) -> "Tensor":
        """Return the mean over `axis`; integers give float32."""
        return ops.mean(self, axis=_axis(axis), keepdim=keepdim)

    def max(self, axis: Axis = None, keepdim: Bool = False) -> "Tensor":
        """Return the maximum over `axis`; ties share the gradient evenly."""
        return ops.max(self, axis=_axis(axis), keepdim=keepdim)

    # Shape.

    def reshape(self, shape: Any, *args: Any) -> "Tensor":
        """Return the entries in another shape: ints or a tuple; None keeps, -1 infers a length."""
        wanted = _sequence(shape, args)
        kept = tuple(self._kept("reshape", i) if n is None else n for i, n in enumerate(wanted))
        return ops.reshape(self, shape=kept)

    view = reshape

    def _kept(self, name: str, axis: Int) -> Int:
        if not 0 <= axis < self.ndim:
            raise ShapeError(f"{name}: axis {axis} of shape {self.shape} cannot be kept")
        return self.shape[axis]

    def flatten(self, start_dim: Int = 0, end_dim: Int = -1) -> "Tensor":
        """Return the axes from `start_dim` to `end_dim` as one; flatten(1) keeps a batch apart."""
        start, end = (_inside("flatten", dim, max(1, self.ndim)) for dim in (start_dim, end_dim))
        if start > end:
            raise ShapeError(f"flatten: start_dim {start_dim} comes after end_dim {end_dim}")
        length = int(np.prod(self.shape[start : end + 1], dtype=np.int64))
        return ops.reshape(self, shape=(*self.shape[:start], length, *self.shape[end + 1 :]))

    def permute(self, order: Any, *args: Any) -> "Tensor":
        """Return the axes in another order."""
        return ops.permute(self, order=_sequence(order, args))

    def transpose(self, dim0: Int = 1, dim1: Int = 0) -> "Tensor":
        """Return two axes exchanged."""
        return ops.transpose(self, dim0=dim0, dim1=dim1)

    def expand(self, shape: Any, *args: Any) -> "Tensor":
        """Return size-1 axes repeated, and new ones in front; -1 or None keeps a length."""
        wanted = _sequence(shape, args)
        lead = len(wanted) - self.ndim
        full = tuple(
            self._kept("expand", i - lead) if n in (-1, None) else n for i, n in enumerate(wanted)
        )
        return ops.expand(self, shape=full)

    def cat(self, *args: Any, dim: Int = 0) -> "Tensor":
        """Return this tensor and others joined along the axis `dim`."""
        return ops.cat(self, *args, dim=dim)

    def pad(self, padding: Sequence[Any], value: Float = 0.0) -> "Tensor":
        """Return the tensor in a border of `value`.

        `padding` is flat, last axis first, as in PyTorch: (left, right, top, bottom); or one
        (before, after) or None for each axis in order. Negative numbers crop.
        """
        if all(isinstance(part, Int) for part in padding):
            if len(padding) % 2 or len(padding) > 2 * self.ndim:
                raise ShapeError(
                    f"pad: got {len(padding)} numbers for shape {self.shape}, expected a pair for "
                    "each of the last axes"
                )
            pairs = [(0, 0)] * (self.ndim - len(padding) // 2)
            pairs += [(padding[i], padding[i + 1]) for i in range(len(padding) - 2, -1, -2)]
        else:
            pairs = [(0, 0) if part is None else tuple(part) for part in padding]
        return ops.pad(self, padding=tuple(pairs), value=value)

    # Products of matrices, convolution, pooling.

    def matmul(self, x: Any) -> "Tensor":
        """Return the product of matrices, of any rank."""
        result: Tensor = ops.matmul(self, _operand("matmul", x))
        return result

    dot = matmul
    __matmul__ = matmul

    def __rmatmul__(self, x: Any) -> "Tensor":
        result: Tensor = ops.matmul(_operand("matmul", x), self)
        return result

    def linear(self, weight: Any, bias: Any = None) -> "Tensor":
        """Return self @ weight.T + bias, weight (out, in)."""
        result: Tensor = ops.linear(self, weight, bias)
        return result

    def conv2d(
        self,
        weight: Any,
        bias: Any = None,
        *,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: Int = 1,
    ) -> "Tensor":
        """Cross-correlate images (N, C, H, W) with weight (K, C / groups, R, S)."""
        return ops.conv2d(
            self, weight, bias, stride=stride, padding=padding, dilation=dilation, groups=groups
        )

    def max_pool2d(
        self, kernel_size: Any = (2, 2), stride: Any = None, padding: Any = 0
    ) -> "Tensor":
        """Return the maximum of each window; the stride is the window unless given."""
        return ops.max_pool2d(self, kernel_size=kernel_size, stride=stride, padding=padding)

    def avg_pool2d(
        self, kernel_size: Any = (2, 2), stride: Any = None, padding: Any = 0
    ) -> "Tensor":
        """Return the mean of each window; the stride is the window unless given."""
        return ops.avg_pool2d(self, kernel_size=kernel_size, stride=stride, padding=padding)

    # Losses.

    def cross_entropy(
        self, Y: Any, reduction: str = "mean", label_smoothing: Float = 0.0
    ) -> "Tensor":
        """Return the cross-entropy of these logits (N, C, ...) against class indices, integers
        (N, ...), or probabilities, floats (N, C, ...)."""
        target = Y if isinstance(Y, Variable) else Tensor(Y)
        result: Tensor = ops.cross_entropy(self, target, reduction, label_smoothing)
        return result

    def one_hot(self, num_classes: Int) -> "Tensor":
        """Return for each class index an int64 row with a 1 at it."""
        return ops.one_hot(self, num_classes=num_classes)

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


def _array_of(data: Any, dtype: Any) -> Array:
    """Return a new array of what a user gave."""
    try:
        dtype = dtype if dtype is None else np.dtype(dtype)
    except TypeError as error:
        raise DtypeError(f"Tensor: got dtype {dtype!r}; {error}") from error
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


def _operand(name: str, value: Any) -> Any:
    if isinstance(value, Variable | np.ndarray):
        return value
    raise DtypeError(f"{name}: got a {_kind(value)}, expected a Tensor or an ndarray")


def _index(part: Any) -> Any:
    return part.data if isinstance(part, Variable) else part


def _axis(axis: Axis) -> int | tuple[int, ...] | None:
    if axis is None or isinstance(axis, tuple):
        return axis
    return int(axis) if isinstance(axis, int | np.integer) else tuple(axis)


def _sequence(first: Any, others: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return sizes that came as several ints or as one sequence."""
    return tuple(first) if isinstance(first, list | tuple) else (first, *others)


def _sizes(name: str, shape: tuple[Any, ...]) -> Shape:
    sizes = _sequence(shape[0], shape[1:]) if shape else ()
    if any(not isinstance(n, int | np.integer) or n < 0 for n in sizes):
        raise ShapeError(f"{name}: got shape {sizes}, expected integers of at least 0")
    return tuple(map(int, sizes))


def _inside(name: str, dim: int, ndim: int) -> int:
    if not -ndim <= dim < ndim:
        raise AxisError(f"{name}: axis {dim} is outside a tensor of {ndim} axes")
    return dim % ndim
