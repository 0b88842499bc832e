"""Tensor, the array class that users work with.

This module has construction, copies, properties, conversions, gradients and changes in place.
The methods and operators that run ops are a table in `operators.py`; those that create tensors
are in `creation.py`.
"""

import copy
import functools
import weakref
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NoReturn, Self, TypeAlias, overload

import numpy as np

from tinygrad_np import ops, random
from tinygrad_np.autograd import backward as autograd
from tinygrad_np.autograd.inplace import update
from tinygrad_np.autograd.tape import RETAIN, Handle, Variable, clock, initialize
from tinygrad_np.checks import check_dtype, kind_of
from tinygrad_np.display import escape, preformatted, safe
from tinygrad_np.errors import ArgumentError, AxisError, DtypeError, GraphError, ShapeError
from tinygrad_np.frontend.creation import Creation, array_of, check_shareable
from tinygrad_np.frontend.device import CPU, device, dtype_of_target
from tinygrad_np.frontend.numpy_protocol import array_function, array_ufunc
from tinygrad_np.runtime.memory import Array
from tinygrad_np.synonyms import accept_synonyms
from tinygrad_np.typing import Bool, Float, Int, Shape

# An alias for the class body, where `device` is a member.
Device: TypeAlias = device


def _store_grad(reference: "weakref.ref[Variable]", grad: Variable) -> None:
    """Accumulate `grad` into the `.grad` of a result, if it is still alive."""
    result = reference()
    if result is not None:
        own = grad.cast(grad.dtype)  # a copy, recorded with create_graph
        result.grad = own if result.grad is None else result.grad + own


Generator = np.random.Generator | None


class Tensor(Creation):
    """An array that records the ops applied to it, so that it can compute gradients.

    Args:
        data: a number, a nested list, an ndarray, a Tensor, or another object that NumPy can
            convert, such as a torch.Tensor; always copied.
        dtype: the dtype of the tensor. By default, an array keeps its dtype; Python floats become
            float32, ints int64 and bools bool.
        requires_grad: whether backward passes compute the gradient of this tensor, which must be
            of a float dtype.
        name: name of the tensor in graph drawings.

    Raises:
        DtypeError: if the entries are not real numbers, `data` is a masked array or a list of
            them, `dtype` is not a float, int or bool dtype or too small for an entry,
            `requires_grad` is True and the dtype is not float, or `name` is not a string. With
            `dtype`, strings are parsed.
        GraphError: if `data` is a tensor that requires a gradient, or a list of such tensors; use
            `stack` to join them.
        ShapeError: if nested lists have different lengths, or an entry cannot be converted to
            `dtype`.

    >>> x = Tensor([1.0, 2.0, 3.0], requires_grad=True)
    >>> (x * x).sum().backward()
    >>> x.grad
    Tensor([2., 4., 6.])
    """

    __slots__ = ()
    __module__ = "tinygrad_np"  # the public name, in messages and pickles

    def __init__(
        self, data: Any, dtype: Any = None, requires_grad: Bool = False, name: str = ""
    ) -> None:
        if isinstance(dtype, Int):
            raise DtypeError(
                f"Tensor: expected `dtype` to be a dtype, got {dtype}. For a shape, use "
                f"Tensor.empty({data}, {dtype})."
            )
        initialize(self, array_of(data, dtype), None, [0])
        if requires_grad:
            self.requires_grad = True
        if name != "":
            self.name = name

    @staticmethod
    def from_numpy(array: Array) -> "Tensor":
        """Return a Tensor that shares memory with `array`.

        Raises:
            DtypeError: if `array` is not an ndarray of numbers in native byte order, or is masked.

        >>> array = np.array([1, 2])
        >>> x = Tensor.from_numpy(array)
        >>> array[0] = 7
        >>> x
        Tensor([7, 2])
        """
        return Tensor.wrap(check_shareable("from_numpy", array))

    # Copies. A deep or pickled copy has the values but not the graph.

    def _own_attributes(self) -> dict[str, Any]:
        """Return the name, if any, and the attributes that subclasses add."""
        own = dict(getattr(self, "__dict__", {}))
        return {**own, "name": self.name} if self.name else own

    def __copy__(self) -> Self:
        """Return a tensor that shares the memory and the place in the graph."""
        copied = self._copied(self.data, self.node, self.version, self.grad)
        if len(self.version) > 1:
            copied.since = next(clock)
        return copied

    def __deepcopy__(self, memo: dict[Int, Any]) -> Self:
        """Copy the values and the gradient; the copy of a result is a leaf."""
        data, grad = copy.deepcopy(self.data, memo), copy.deepcopy(self.grad, memo)
        # Tensors that share memory and a version counter still do so in the copy.
        version = copy.deepcopy(self.version, memo)
        version[:] = [0]
        return self._copied(data, None, version, grad)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the values, without gradient and hooks; a result becomes a leaf, as in PyTorch."""
        values = (type(self), self.data, self.requires_grad, self.version)
        return _restore, values, (None, self._own_attributes())

    def _copied(self, data: Array, node: Any, version: list[Int], grad: Any) -> Self:
        copied = initialize(type(self).__new__(type(self)), data, node, version)
        copied.grad = grad
        copied._requires_grad = self.requires_grad and node is None
        for name, value in self._own_attributes().items():
            setattr(copied, name, value)
        return copied

    # Properties and conversions.

    @property
    def data(self) -> Array:
        """The array with the values; backward passes do not notice writes such as x.data[0] = 1.

        Setting it copies an array or the values of a Tensor. `x.data -= y` changes the array in
        place, which backward passes notice.

        Raises:
            DtypeError: if it is set to anything but an array of this dtype.
            GraphError: if it is set to a Tensor in a graph.
        """
        return self._array

    @data.setter
    def data(self, value: Any) -> None:
        if value is self._array:  # after an operator such as `w.data -= ...`
            self.mark_changed()
            return
        if isinstance(value, Variable):
            value = np.asarray(value)  # raises for a tensor in a graph
        array = check_shareable("data", value)
        if array.dtype != self.dtype:
            raise DtypeError(
                f"data: expected an array of dtype {self.dtype}, like the tensor, got "
                f"{array.dtype}. Convert the array with .astype(np.{self.dtype})."
            )
        # A copy: changes of another tensor with the same memory would go unnoticed.
        self.replace_array(array.copy(order="K"))

    @property
    def requires_grad(self) -> Bool:
        """Whether this is a leaf that requires a gradient, or the result of a recorded op.

        Raises:
            DtypeError: if it is set to True and the dtype is not float.
            GraphError: if it is set to False on the result of an op.
        """
        return self._requires_grad or self.node is not None

    @requires_grad.setter
    def requires_grad(self, flag: Bool) -> None:
        if self.node is not None:
            if not flag:
                raise GraphError(
                    "requires_grad: cannot set it to False on the result of an op. Use .detach()."
                )
            return
        if flag and self.data.dtype.kind != "f":
            raise DtypeError(
                f"requires_grad: expected a float dtype, got {self.dtype}. Try .float()."
            )
        self._requires_grad = flag

    def requires_grad_(self, requires_grad: Bool = True) -> Self:
        """Set `requires_grad` and return this tensor.

        Raises:
            DtypeError: if it is set to True and the dtype is not float.
            GraphError: if it is set to False on the result of an op.

        >>> Tensor([1.0]).requires_grad_()
        Tensor([1.], requires_grad=True)
        """
        self.requires_grad = requires_grad
        return self

    @property
    def name(self) -> str:
        """The name in graph drawings; empty unless it was set.

        For a parameter, it is the path in the module, set by `Module.parameters()`. The name of a
        result is stored in its node, so drawings can show it after the tensor is gone.

        Raises:
            DtypeError: if it is set to anything but a string.

        >>> x = Tensor(2.0, requires_grad=True, name="x")
        >>> y = x * x
        >>> y.name = "y"
        >>> y.node.name
        'y'
        """
        return str(getattr(self if self.node is None else self.node, "_name", ""))

    @name.setter
    def name(self, name: str) -> None:
        if not isinstance(name, str):
            raise DtypeError(f"name: expected a string, got {kind_of(name)}.")
        (self if self.node is None else self.node)._name = name

    @property
    def ndim(self) -> Int:
        """The number of axes."""
        return self.data.ndim

    @property
    def T(self) -> "Tensor":
        """The tensor with its axes in reverse order."""
        return ops.permute(self, tuple(range(self.ndim))[::-1])

    @property
    def mT(self) -> "Tensor":
        """The tensor with its last two axes swapped.

        Raises:
            AxisError: if this tensor has fewer than two axes.
        """
        return ops.transpose(self, -2, -1)

    def t(self) -> "Tensor":
        """Return the transpose of a matrix; a tensor with fewer axes is returned unchanged.

        Raises:
            AxisError: if this tensor has more than two axes.

        >>> Tensor([[1, 2]]).t()
        Tensor([[1],
                [2]])
        """
        if self.ndim > 2:
            raise AxisError(
                f"t: expected at most two axes, got shape {self.shape}. Use .mT or .transpose()."
            )
        return self.T

    @property
    def device(self) -> Device:
        """The device, which is always `device(type='cpu')`."""
        return CPU

    @property
    def nbytes(self) -> Int:
        """The number of bytes of the entries."""
        return self.data.nbytes

    @property
    def values(self) -> NoReturn:
        """Raise an AttributeError that says which function returns values and indices."""
        raise AttributeError(
            "'Tensor' has no attribute 'values'. Use the tensor itself, or "
            "tinygrad_np.max(x, dim), which returns values and indices; methods such as "
            "x.max(axis) return only values."
        )

    @property
    def indices(self) -> NoReturn:
        """Raise an AttributeError that says which function returns values and indices."""
        raise AttributeError(
            "'Tensor' has no attribute 'indices'. Use argmax(axis), or "
            "tinygrad_np.max(x, dim), which returns values and indices; methods such as "
            "x.max(axis) return only values."
        )

    def element_size(self) -> Int:
        """Return the number of bytes per entry.

        >>> Tensor.ones(3).element_size()
        4
        """
        return self.data.itemsize

    def is_floating_point(self) -> Bool:
        """Return whether the dtype is float16, float32 or float64.

        >>> Tensor([1.0]).is_floating_point(), Tensor([1]).is_floating_point()
        (True, False)
        """
        return self.dtype.kind == "f"

    def dim(self) -> Int:
        """Return the number of axes.

        >>> Tensor.ones(2, 3).dim()
        2
        """
        return self.ndim

    @overload
    def size(self, dim: None = None) -> Shape: ...

    @overload
    def size(self, dim: Int) -> Int: ...

    @accept_synonyms
    def size(self, dim: Int | None = None) -> Shape | Int:
        """Return the shape, or the length of axis `dim`; `numel()` is the number of entries.

        Raises:
            AxisError: if `dim` is out of range.

        >>> Tensor.ones(2, 3).size(), Tensor.ones(2, 3).size(-1)
        ((2, 3), 3)
        """
        if dim is None:
            return self.shape
        return self.shape[ops.shape.normalize_axis("size", self.ndim, dim)]

    @property
    def is_leaf(self) -> Bool:
        """Whether this tensor is not the result of a recorded op."""
        return self.node is None

    def numel(self) -> Int:
        """Return the number of entries.

        >>> Tensor.ones(2, 3).numel()
        6
        """
        return self.data.size

    def numpy(self) -> Array:
        """Return a read-only view of the data, even if the tensor requires a gradient.

        >>> Tensor([1.0, 2.0]).numpy()
        array([1., 2.], dtype=float32)
        """
        view = self.data.view()
        view.flags.writeable = False
        return view

    def detach(self) -> "Tensor":
        """Return a tensor that shares memory with this one but is not part of the graph.

        >>> Tensor([1.0], requires_grad=True).detach()
        Tensor([1.])
        """
        alias = Tensor.wrap(self.data, None, self.version)
        if len(self.version) > 1:
            alias.since = next(clock)
        return alias

    def item(self) -> Any:
        """Return the only entry as a Python number.

        Raises:
            ShapeError: if the tensor does not have exactly one entry.

        >>> Tensor([1.5]).item()
        1.5
        """
        if self.data.size != 1:
            raise ShapeError(f"item: expected a tensor with one entry, got shape {self.shape}.")
        return self.data.item()

    def tolist(self) -> Any:
        """Return the entries as a nested list of Python numbers.

        >>> Tensor([[1, 2], [3, 4]]).tolist()
        [[1, 2], [3, 4]]
        """
        return self.data.tolist()

    def __len__(self) -> Int:
        if not self.ndim:
            raise DtypeError("len: a 0-d tensor has no length.")
        return len(self.data)

    def __iter__(self) -> Iterator["Tensor"]:
        return (self[i] for i in range(len(self)))

    def __bool__(self) -> Bool:
        if self.data.size != 1:
            raise ShapeError(
                f"bool: a tensor of shape {self.shape} has no single truth value. Use .all() "
                "or .any()."
            )
        return bool(self.data)

    def __float__(self) -> Float:
        return Float(self._number("float"))

    def __int__(self) -> Int:
        return Int(self._number("int"))

    def __complex__(self) -> complex:
        return complex(self._number("complex"))

    def _number(self, who: str) -> Any:
        if self.requires_grad:
            raise GraphError(
                f"{who}: this tensor requires a gradient, which a Python number cannot carry. Use "
                ".item() or .detach() for the value, or NumPy's functions instead of math's."
            )
        return self.item()

    def __index__(self) -> Int:
        if self.dtype.kind not in "iu":
            raise DtypeError(f"index: expected an integer dtype, got {self.dtype}.")
        return Int(self.item())

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        """Run a NumPy ufunc, for example with an ndarray on the left of an operator (NEP 13)."""
        return array_ufunc(ufunc, method, inputs, options)

    def __array_function__(
        self, function: Callable[..., Any], types: Any, args: Any, options: Any
    ) -> Any:
        """Run a NumPy function (NEP 18)."""
        return array_function(function, args, options)

    def __array__(self, dtype: Any = None, copy: Bool | None = None) -> Array:
        if self.requires_grad:
            raise GraphError(
                "asarray: this tensor requires a gradient, which NumPy cannot track. Use "
                ".detach() for an array without a gradient, np.dot(array, x) "
                "instead of array.dot(x), or .stack(...) to join tensors."
            )
        return np.array(self.numpy(), dtype=dtype, copy=copy)

    def __format__(self, spec: str) -> str:
        """Format the only entry as a number; without a `spec`, return the same text as `str`."""
        return format(self.item(), spec) if spec else str(self)

    @safe
    def __repr__(self) -> str:
        body = np.array2string(self.data, separator=", ", prefix="Tensor(")
        return f"Tensor({', '.join([body, *self._facts()])})"

    @safe
    def _repr_html_(self) -> str:
        """Return the values, preceded by the name, shape, dtype and origin in bold."""
        own = [fact for fact in self._facts() if not fact.startswith(("shape=", "dtype=", "name="))]
        title = ", ".join([f"shape {self.shape}", str(self.dtype), *own])
        if name := self.name:
            title = f"{name}: {title}"
        values = preformatted(np.array2string(self.data, separator=", "))
        return f"<div><b>{escape(type(self).__name__)}</b> {escape(title)}</div>{values}"

    def _facts(self) -> list[str]:
        """Return what `repr` shows after the values."""
        name, size = self.name, self.data.size
        facts = [f"name={name!r}"] if name else []
        is_abbreviated = size > np.get_printoptions()["threshold"]
        if is_abbreviated or not size:
            facts.append(f"shape={self.shape}")
        if self.dtype not in (np.float32, np.int64, np.bool_):
            facts.append(f"dtype={self.dtype}")
        if is_abbreviated:
            with np.errstate(all="ignore"):
                mean = self.data.mean(dtype=np.float64)
                limits = {"min": self.data.min(), "mean": mean, "max": self.data.max()}
            facts += [f"{key}={Float(value):.4g}" for key, value in limits.items()]
        if self.node is not None:
            facts.append(f"op={self.node.op.name}")
        elif self._requires_grad:
            facts.append("requires_grad=True")
        return facts

    # Gradients.

    def backward(
        self, gradient: Any = None, retain_graph: Bool = False, create_graph: Bool = False
    ) -> None:
        """Accumulate the gradient of this tensor into the `.grad` of every leaf it depends on.

        Args:
            gradient: the upstream gradient, of this tensor's shape; defaults to 1 for a tensor
                with one entry.
            retain_graph: keep the graph for another backward pass. By default, the pass frees it.
            create_graph: record the backward pass, so that the gradients can be differentiated;
                implies `retain_graph`.

        Raises:
            GraphError: if this tensor does not require a gradient, the graph was freed, or a saved
                value was changed in place.
            ShapeError: if `gradient` differs from this tensor in shape or, if it is a Tensor, in
                dtype; or if it is omitted and this tensor does not have exactly one entry.

        >>> x = Tensor([1.0, 2.0], requires_grad=True)
        >>> (x * x).backward(Tensor([1.0, 10.0]))
        >>> x.grad
        Tensor([ 2., 40.])
        """
        autograd.backward(self, gradient, retain_graph, create_graph)

    def gradient(
        self, *targets: "Tensor", gradient: Any = None, create_graph: Bool = False
    ) -> list["Tensor"]:
        """Return the gradients with respect to `targets`, without changing `.grad` or the graph.

        Args:
            *targets: the tensors to differentiate with respect to, leaves or results.
            gradient: the upstream gradient, as in `backward`.
            create_graph: record the backward pass, so that the gradients can be differentiated.

        Raises:
            GraphError: as in `backward`, or if a target does not require a gradient or was not used
                to compute this tensor.
            ShapeError: as in `backward`.

        >>> x = Tensor(3.0, requires_grad=True)
        >>> (first,) = (x * x * x).gradient(x, create_graph=True)
        >>> first.gradient(x)
        [Tensor(18.)]
        """
        return autograd.gradient(self, targets, gradient, create_graph)

    def register_hook(self, hook: Callable[["Tensor"], Any]) -> Handle:
        """Call `hook` with the complete gradient of this tensor in each backward pass.

        Args:
            hook: a function of the gradient. It returns None, or a Tensor of the same shape and
                dtype that replaces the gradient.

        Returns:
            A handle; `handle.remove()` removes the hook.

        Raises:
            GraphError: if this tensor does not require a gradient.
            ShapeError: in the backward pass, if the replacement has another shape or dtype.

        >>> x = Tensor([1.0, 2.0], requires_grad=True)
        >>> handle = x.register_hook(lambda grad: grad * 10)
        >>> (x * x).sum().backward()
        >>> x.grad
        Tensor([20., 40.])
        """
        return self._add_hook("register_hook", hook)

    def _add_hook(self, who: str, hook: Callable[..., Any], key: Float | None = None) -> Handle:
        if not self.requires_grad:
            raise GraphError(
                f"{who}: this tensor does not require a gradient. Create it with "
                "requires_grad=True, or compute it outside no_grad()."
            )
        holder = self.node or self
        if holder.hooks is None:
            holder.hooks = {}
        return Handle(holder.hooks, hook, key)

    def retain_grad(self) -> None:
        """Make `backward()` accumulate the gradient of this non-leaf tensor into its `.grad`.

        Calling it on a leaf, or a second time, has no effect.

        Raises:
            GraphError: if this tensor does not require a gradient.

        >>> x = Tensor(3.0, requires_grad=True)
        >>> y = x * x
        >>> y.retain_grad()
        >>> (y * 2).backward()
        >>> y.grad
        Tensor(2.)
        """
        is_kept = self.node is not None and RETAIN in (self.node.hooks or {})
        if not self.requires_grad or (self.node is not None and not is_kept):
            # A weak reference, so that the graph does not keep its result alive.
            hook = functools.partial(_store_grad, weakref.ref(self))
            self._add_hook("retain_grad", hook, RETAIN)

    # Changes in place; inside a graph they are recorded or refused, as x += y and x[...] = y are.

    __setitem__ = ops.setitem

    def copy_(self, src: Any) -> Self:
        """Overwrite the entries with those of `src`, which is broadcast and converted.

        >>> Tensor.zeros(2).copy_(Tensor([1, 2]))
        Tensor([1., 2.])
        """
        ops.setitem(self, ..., src, "copy_")
        return self

    assign = copy_

    def fill_(self, value: Any) -> Self:
        """Overwrite all entries with the number `value`.

        >>> Tensor.zeros(2).fill_(3)
        Tensor([3., 3.])
        """
        ops.setitem(self, ..., value, "fill_")
        return self

    def zero_(self) -> Self:
        """Overwrite all entries with 0.

        >>> Tensor.ones(2).zero_()
        Tensor([0., 0.])
        """
        ops.setitem(self, ..., 0, "zero_")
        return self

    @accept_synonyms
    def add_(self, other: Any, *, alpha: Float = 1) -> Self:
        """Add alpha times `other`.

        >>> Tensor([1.0, 2.0]).add_(Tensor([1.0, 1.0]), alpha=-0.5)
        Tensor([0.5, 1.5])
        """
        return update("add_", ops.add, self, other if alpha == 1 else other * alpha)

    @accept_synonyms
    def sub_(self, other: Any, *, alpha: Float = 1) -> Self:
        """Subtract alpha times `other`.

        >>> Tensor([1.0, 2.0]).sub_(1)
        Tensor([0., 1.])
        """
        return update("sub_", ops.sub, self, other if alpha == 1 else other * alpha)

    @accept_synonyms
    def mul_(self, other: Any) -> Self:
        """Multiply by `other`.

        >>> Tensor([1.0, 2.0]).mul_(2)
        Tensor([2., 4.])
        """
        return update("mul_", ops.mul, self, other)

    @accept_synonyms
    def div_(self, other: Any) -> Self:
        """Divide by `other`.

        >>> Tensor([1.0, 2.0]).div_(2)
        Tensor([0.5, 1. ])
        """
        return update("div_", ops.div, self, other)

    @accept_synonyms
    def masked_fill_(self, mask: Any, value: Any) -> Self:
        """Set the entries where `mask` is True to `value`.

        >>> Tensor([1.0, 2.0]).masked_fill_(Tensor([True, False]), 0)
        Tensor([0., 2.])
        """
        ops.setitem(self, ..., ops.masked_fill(self, mask, value), "masked_fill_")
        return self

    @accept_synonyms
    def scatter_(self, dim: Int, index: Any, src: Any, reduce: str | None = None) -> Self:
        """Set the entries at `index` along `dim` to those of `src`, as `scatter` does.

        >>> Tensor([[0.0, 0.0]]).scatter_(1, Tensor([[1]]), 1.0)
        Tensor([[0., 1.]])
        """
        ops.setitem(self, ..., ops.scatter(self, dim, index, src, reduce), "scatter_")
        return self

    def normal_(self, mean: Float = 0.0, std: Float = 1.0, generator: Generator = None) -> Self:
        """Replace all entries by samples from the normal distribution.

        >>> Tensor.zeros(3).normal_(mean=10.0).min().item() > 0
        True
        """
        drawn = random.resolve(generator).standard_normal(self.shape)
        ops.setitem(self, ..., (drawn * std + mean).astype(self.dtype), "normal_")
        return self

    def uniform_(self, low: Float = 0.0, high: Float = 1.0, generator: Generator = None) -> Self:
        """Replace all entries by samples from the uniform distribution on [low, high).

        >>> Tensor.zeros(2).uniform_(1, 2).min().item() >= 1
        True
        """
        drawn = random.resolve(generator).random(self.shape)
        ops.setitem(self, ..., (drawn * (high - low) + low).astype(self.dtype), "uniform_")
        return self

    def clamp_(self, min: Any = None, max: Any = None) -> Self:
        """Clip to the range from `min` to `max`, as `clip` does.

        Raises:
            ArgumentError: if both bounds are None.
            DtypeError: if this tensor contains integers and a bound is a float.

        >>> Tensor([-2.0, 0.5]).clamp_(-1, 1)
        Tensor([-1. ,  0.5])
        """
        if min is None and max is None:
            raise ArgumentError("clamp_: expected `min` or `max`, got neither.")
        clipped = self.clip(min, max)
        if clipped.dtype.kind != self.dtype.kind:
            raise DtypeError(
                f"clamp_: expected bounds for a tensor of dtype {self.dtype}, got a result of "
                f"dtype {clipped.dtype}. Use .clamp() instead."
            )
        ops.setitem(self, ..., clipped, "clamp_")
        return self

    # Dtypes.

    def new_like(self, values: Any) -> "Tensor":
        """Convert a nested list of numbers to a tensor of this dtype."""
        Tensor(values)  # raises for anything else; with a dtype, strings would be parsed
        return Tensor(values, dtype=self.dtype)

    def cast(self, dtype: Any) -> "Tensor":
        """Convert to `dtype`; always return a copy.

        Raises:
            DtypeError: if `dtype` is not a float, int or bool dtype.

        >>> Tensor([1.7, -1.7]).cast(np.int64)
        Tensor([ 1, -1])
        """
        return ops.cast(self, dtype)

    astype = cast

    def clone(self) -> "Tensor":
        """Copy the values into a new tensor, through which gradients flow back to this one.

        >>> x = Tensor([1.0], requires_grad=True)
        >>> (x.clone() * 2).sum().backward()
        >>> x.grad
        Tensor([2.])
        """
        return ops.cast(self, self.dtype)

    copy = clone

    def contiguous(self) -> Self:
        """Return this tensor: no op here depends on the memory order.

        >>> Tensor([[1, 2]]).T.contiguous()
        Tensor([[1],
                [2]])
        """
        return self

    def to(
        self,
        target: Any = None,
        dtype: Any = None,
        *,
        device: Any = None,
        non_blocking: Bool = False,
        copy: Bool = False,
    ) -> "Tensor":
        """Convert to a dtype or a device; return this tensor if nothing changes.

        Args:
            target: a dtype, a device, or a tensor whose dtype is used. A string is a device; pass
                the name of a dtype as `dtype`.
            dtype: the dtype of the result.
            device: "cpu" or a device.
            non_blocking: ignored, since nothing is transferred.
            copy: return a copy even if nothing changes.

        Raises:
            ArgumentError: if the device is not the CPU, or there are two dtypes.
            DtypeError: if the dtype is not a float, int or bool dtype.

        >>> Tensor([1, 2]).to(np.float32)
        Tensor([1., 2.])
        """
        wanted = dtype_of_target(target, dtype, device)
        dtype = self.dtype if wanted is None else check_dtype("to", wanted)
        return self.cast(dtype) if copy or dtype != self.dtype else self

    def realize(self, *others: "Tensor") -> Self:
        """Return this tensor: no op here is lazy. For code written for tinygrad.

        >>> Tensor([1.0]).realize()
        Tensor([1.])
        """
        return self

    def sequential(self, functions: Sequence[Callable[["Tensor"], "Tensor"]]) -> "Tensor":
        """Apply functions or modules one after the other.

        >>> Tensor([1.0, -4.0]).sequential([Tensor.abs, Tensor.sqrt])
        Tensor([1., 2.])
        """
        out: Tensor = self
        for function in functions:
            out = function(out)
        return out

    def cpu(self) -> Self:
        """Return this tensor, which is on the CPU.

        >>> Tensor([1.0]).cpu()
        Tensor([1.])
        """
        return self

    def cuda(self) -> Self:
        """Raise an error, because all tensors are on the CPU.

        Raises:
            ArgumentError: always.

        >>> Tensor([1.0]).cuda()
        Traceback (most recent call last):
        tinygrad_np.errors.ArgumentError: device: expected 'cpu', got 'cuda'. All tensors are on the
        CPU.
        """
        Device("cuda")
        return self

    # Selection.

    def where(self, x: Any, y: Any) -> "Tensor":
        """Select entries from x where this tensor is nonzero, and from y elsewhere.

        Raises:
            ArgumentError: if x is a mask and this tensor is not, which is PyTorch's order
                `x.where(condition, y)`.

        >>> x = Tensor([-1.0, 2.0])
        >>> (x > 0).where(x, 0)
        Tensor([0., 2.])
        """
        if self.dtype != np.bool_ and getattr(x, "dtype", None) == np.bool_:
            raise ArgumentError(
                "where: expected the condition before the dot, as in mask.where(x, y), got a "
                f"tensor of dtype {self.dtype} there and a mask as the first argument."
            )
        condition = self.detach() if self.requires_grad else self  # the condition has no gradient
        return ops.where(condition, x, y)

    @accept_synonyms
    def unique(
        self,
        sorted_: Bool = True,
        return_inverse: Bool = False,
        return_counts: Bool = False,
        dim: Int | None = None,
    ) -> Any:
        """Return the distinct entries, or the distinct slices along `dim`, without a gradient.

        Args:
            sorted_: ignored; the entries are always sorted.
            return_inverse: also return the int64 position of each entry in the result.
            return_counts: also return how often each entry occurs.
            dim: the axis of the slices; None for single entries.

        Returns:
            The entries, or a tuple of the entries and the other requested results.

        Raises:
            AxisError: if `dim` is out of range.

        >>> Tensor([3, 1, 3]).unique(return_counts=True)
        (Tensor([1, 3]), Tensor([1, 2]))
        """
        if dim is not None:
            dim = ops.shape.normalize_axis("unique", self.ndim, dim)
        values, inverse, counts = np.unique(
            self.data, return_inverse=True, return_counts=True, axis=dim, equal_nan=False
        )
        inverse = inverse.reshape(self.shape if dim is None else -1)
        results = [values] + [inverse] * return_inverse + [counts] * return_counts
        tensors = tuple([Tensor.wrap(result) for result in results])
        return tensors if len(tensors) > 1 else tensors[0]

    # Last, because these names shadow the built-in types.

    def float(self) -> "Tensor":
        """Convert to float32.

        >>> Tensor([1, 2]).float()
        Tensor([1., 2.])
        """
        return self.to(np.float32)

    def double(self) -> "Tensor":
        """Convert to float64.

        >>> Tensor([1, 2]).double()
        Tensor([1., 2.], dtype=float64)
        """
        return self.to(np.float64)

    def half(self) -> "Tensor":
        """Convert to float16.

        >>> Tensor([1, 2]).half()
        Tensor([1., 2.], dtype=float16)
        """
        return self.to(np.float16)

    def int(self) -> "Tensor":
        """Convert to int32.

        >>> Tensor([1.5, -1.5]).int()
        Tensor([ 1, -1], dtype=int32)
        """
        return self.to(np.int32)

    def long(self) -> "Tensor":
        """Convert to int64.

        >>> Tensor([1.5, -1.5]).long()
        Tensor([ 1, -1])
        """
        return self.to(np.int64)

    def short(self) -> "Tensor":
        """Convert to int16.

        >>> Tensor([1.5, -1.5]).short()
        Tensor([ 1, -1], dtype=int16)
        """
        return self.to(np.int16)

    def bool(self) -> "Tensor":
        """Convert to bool.

        >>> Tensor([0, 2]).bool()
        Tensor([False,  True])
        """
        return self.to(np.bool_)

    def type(self, dtype: Any) -> "Tensor":
        """Convert to `dtype`; return this tensor if it has that dtype.

        Raises:
            DtypeError: if `dtype` is not a float, int or bool dtype.

        >>> Tensor([1, 2]).type(np.float32)
        Tensor([1., 2.])
        """
        return self.to(dtype=dtype)


Variable.result_class = Tensor


def _restore(kind: type[Tensor], data: Array, requires_grad: bool, version: list[int]) -> Tensor:
    """Return an unpickled tensor."""
    version[:] = [0]
    tensor = kind.wrap(data, None, version)
    tensor._requires_grad = requires_grad
    return tensor
