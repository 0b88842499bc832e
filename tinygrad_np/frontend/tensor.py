"""Tensor, the array class that users work with; its methods dispatch to ops.

Names and signatures follow tinygrad's public Tensor API; numerical results follow PyTorch.
"""

import copy
import functools
import inspect
import math
import weakref
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NoReturn, Self, TypeAlias, TypeVar, overload

import numpy as np

from tinygrad_np import ops, random
from tinygrad_np.autograd import backward as autograd
from tinygrad_np.autograd.dispatch import Primitive, apply, run
from tinygrad_np.autograd.inplace import update
from tinygrad_np.autograd.tape import RETAIN, Handle, Variable, clock, initialize
from tinygrad_np.checks import check_dtype, check_unmasked, kind_of
from tinygrad_np.display import escape, preformatted, safe
from tinygrad_np.errors import (
    ArgumentError,
    AxisError,
    DtypeError,
    GraphError,
    ShapeError,
    TinygradNpError,
)
from tinygrad_np.frontend.device import CPU, device, dtype_of_target
from tinygrad_np.frontend.numpy_protocol import array_function, array_ufunc
from tinygrad_np.runtime.memory import Array
from tinygrad_np.synonyms import accept_synonyms, rename
from tinygrad_np.typing import Bool, Float, Int, Shape, ValuesAndIndices

# An alias for the class body, where `device` is a member.
Device: TypeAlias = device
Generator = np.random.Generator | None
F = TypeVar("F", bound=Callable[..., Any])
_FLOAT32 = np.dtype(np.float32)


_DIVISIONS = {None: ops.div, "floor": ops.floor_div, "trunc": ops.trunc_div}


# Methods made from ops. Each looks up the attributes of its op once instead of per call.


def method(op: Primitive) -> Callable[..., "Tensor"]:
    """Return a Tensor method that calls `op` with the tensor as its first input."""
    bind, defaults = op.bind, op.options
    count = -1 if op.required else len(op.inputs)

    def call(self: Variable, *args: Any, **options: Any) -> Any:
        inputs = (self, *args)
        if options or len(inputs) != count:
            inputs, options = bind(inputs, options)
        else:
            options = defaults
        return apply(op, inputs, options)

    return _document(call, op, _parameters(op))


def unary_method(op: Primitive) -> Callable[["Tensor"], "Tensor"]:
    """Return the Tensor method for an op with one input and no options.

    A float Variable takes a fast path, without dtype promotion or a loop over the inputs.
    """
    options = op.options

    def call(self: Variable) -> Any:
        data = self._array
        if data.dtype is not _FLOAT32 and data.dtype.kind != "f":
            return apply(op, (self,), options)
        edge = self.node or (self if self._requires_grad else None)
        return run(op, (self,), [data], (edge,), (edge is not None,), options)

    return _document(call, op, _parameters(op))


def binary_operator(op: Primitive) -> Callable[[Any, Any], "Tensor"]:
    """Return the Tensor method for an operator such as `+`, an op with two inputs and no options.

    Two Variables of the same dtype, or a float Variable and a Python number, take a fast path,
    without dtype promotion or a loop over the inputs.
    """
    options, floating = op.options, op.floating

    def call(self: Variable, x: Any) -> Any:
        own = self._array
        dtype = own.dtype
        edge = self.node or (self if self._requires_grad else None)
        if type(x) is Tensor or isinstance(x, Variable):
            other = x._array
            if other.dtype is dtype and (not floating or dtype.kind == "f"):
                other_edge = x.node or (x if x._requires_grad else None)
                wanted = (edge is not None, other_edge is not None)
                return run(op, (self, x), (own, other), (edge, other_edge), wanted, options)
        elif (type(x) is float or type(x) is int) and dtype.kind == "f":
            return run(op, (self, x), (own, x), (edge, x), (edge is not None, False), options)
        return apply(op, (self, x), options)

    return _document(call, op, _parameters(op))


def binary_method(op: Primitive) -> Callable[..., "Tensor"]:
    """Return the Tensor method for an op with two inputs; the second may be passed by name."""
    bind, operate = op.bind, binary_operator(op)

    def call(self: Variable, *args: Any, **options: Any) -> Any:
        if options or len(args) != 1:
            inputs, options = bind((self, *args), options)
            return apply(op, inputs, options)
        return operate(self, *args)

    return _document(call, op, _parameters(op))


def _parameters(function: Callable[..., Any]) -> list[inspect.Parameter]:
    """Return the parameters of a function; options of an op become positional if possible."""
    if not isinstance(function, Primitive):
        return list(inspect.signature(function).parameters.values())
    parameters = list(function.signature.parameters.values())
    has_default = [p.default is not p.empty for p in parameters]
    if function.variadic or has_default != sorted(has_default):
        return parameters  # Python requires keywords for these options
    return [p.replace(kind=p.POSITIONAL_OR_KEYWORD) for p in parameters]


def _document(
    call: Callable[..., Any],
    function: Callable[..., Any],
    parameters: Sequence[inspect.Parameter] = (),
) -> Callable[..., Any]:
    """Copy the name and docstring of a function to a method, and set its signature."""
    call.__module__ = __name__
    call.__name__ = function.name if isinstance(function, Primitive) else function.__name__
    call.__qualname__ = f"Tensor.{call.__name__}"
    call.__doc__ = function.__doc__
    if parameters:
        first = parameters[0].replace(name="self")
        signature = inspect.Signature([first, *parameters[1:]])
        call.__signature__ = signature  # type: ignore[attr-defined]
    return call


def _reflect(op: Callable[..., Any]) -> Callable[["Tensor", Any], "Tensor"]:
    """Return a reflected operator method such as `__rsub__`."""

    def method(self: "Tensor", x: Any) -> "Tensor":
        result: Tensor = op(x, self)
        return result

    return method


def _in_place(symbol: str, op: Primitive) -> Callable[["Tensor", Any], "Tensor"]:
    """Return an in-place operator method such as `__iadd__`."""

    def method(self: "Tensor", x: Any) -> "Tensor":
        return update(symbol, op, self, x)

    return method


def _store_grad(reference: "weakref.ref[Variable]", grad: Variable) -> None:
    """Accumulate `grad` into the `.grad` of a result, if it is still alive."""
    result = reference()
    if result is not None:
        own = grad.cast(grad.dtype)  # a copy, recorded with create_graph
        result.grad = own if result.grad is None else result.grad + own


def _unpack(args: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return arguments that were passed one by one or as one sequence."""
    values = args[0] if len(args) == 1 else args
    return tuple(values) if isinstance(values, list | tuple) else args


# Methods made from functions composed of ops; arguments may be passed by synonyms.


def _composite(function: F) -> F:
    """Return the method for a function whose type says what the method returns."""
    _document(call := accept_synonyms(function), function)
    return call


def composite_method(function: Callable[..., Any]) -> Callable[..., "Tensor"]:
    """Return the method for a function that returns a tensor."""
    return _composite(function)


def splitting_method(function: Callable[..., Any]) -> Callable[..., tuple["Tensor", ...]]:
    """Return the method for a function that returns several tensors."""
    return _composite(function)


def ordering_method(function: Callable[..., Any]) -> Callable[..., ValuesAndIndices["Tensor"]]:
    """Return the method for a function that returns values and their indices."""
    return _composite(function)


def sized_method(function: Callable[..., Any]) -> Callable[..., "Tensor"]:
    """Return a method that accepts its sizes as one tuple or as separate ints."""
    first, sizes = _parameters(function)
    name = sizes.name

    def call(self: "Tensor", *args: Any, **options: Any) -> Any:
        if options and not args:
            options = rename([name], options)
            args = (options.pop(name),) if name in options else ()
        if options or not args:
            return function(self, *args, **options)
        if isinstance(function, Primitive):
            return apply(function, (self,), {name: _unpack(args)})
        return function(self, _unpack(args))

    more = inspect.Parameter("args", inspect.Parameter.VAR_POSITIONAL)
    return _document(call, function, [first, sizes, more])


def _joining_method(function: Callable[..., Any]) -> Callable[..., "Tensor"]:
    """Return a method that accepts the tensors to join one by one or as one list."""

    def call(self: Any, *args: Any, dim: Int = 0) -> Any:
        return function(*_unpack((self, *args)), dim=dim)

    return _document(accept_synonyms(call), function)


class Tensor(Variable):
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
        initialize(self, _array_of(data, dtype), None, [0])
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
        return Tensor.wrap(_check_shareable("from_numpy", array))

    # Creation. A shape is passed as ints or as one tuple. With `requires_grad`, the dtype must be
    # float.

    @classmethod
    def _make(cls, data: Any, dtype: Any, requires_grad: Bool) -> Self:
        made = cls(data, dtype=dtype)  # a Parameter requires a gradient in any case
        return made.requires_grad_() if requires_grad else made

    @classmethod
    @accept_synonyms
    def zeros(cls, *shape: Any, dtype: Any = None, requires_grad: Bool = False) -> Self:
        """Return a tensor of zeros, float32 by default.

        Raises:
            DtypeError: if `dtype` is not a float, int or bool dtype.
            ShapeError: if a size is not an integer >= 0.

        >>> Tensor.zeros(2, 3).shape
        (2, 3)
        """
        data = np.zeros(_sizes("zeros", shape), _or_float32("zeros", dtype))
        return cls._make(data, None, requires_grad)

    @classmethod
    @accept_synonyms
    def ones(cls, *shape: Any, dtype: Any = None, requires_grad: Bool = False) -> Self:
        """Return a tensor of ones, float32 by default.

        Raises:
            DtypeError: if `dtype` is not a float, int or bool dtype.
            ShapeError: if a size is not an integer >= 0.

        >>> Tensor.ones(3)
        Tensor([1., 1., 1.])
        """
        data = np.ones(_sizes("ones", shape), _or_float32("ones", dtype))
        return cls._make(data, None, requires_grad)

    @classmethod
    @accept_synonyms
    def empty(cls, *shape: Any, dtype: Any = None, requires_grad: Bool = False) -> Self:
        """Return an uninitialized tensor, float32 by default.

        Raises:
            DtypeError: if `dtype` is not a float, int or bool dtype.
            ShapeError: if a size is not an integer >= 0.

        >>> Tensor.empty(2, 3, dtype=np.int64).dtype
        dtype('int64')
        """
        data = np.empty(_sizes("empty", shape), _or_float32("empty", dtype))
        return cls._make(data, None, requires_grad)

    @classmethod
    @accept_synonyms
    def full(
        cls, shape: Any, fill_value: Any, dtype: Any = None, requires_grad: Bool = False
    ) -> Self:
        """Return a tensor filled with `fill_value`.

        The dtype defaults to the dtype of `Tensor(fill_value)`.

        Raises:
            DtypeError: if `fill_value` is not a number and no `dtype` is given, or `dtype` is not a
                float, int or bool dtype.
            ShapeError: if a size is not an integer >= 0, or `fill_value` is not a single number or
                cannot be converted to `dtype`.

        >>> Tensor.full((2,), 7)
        Tensor([7, 7])
        """
        value = _array_of(fill_value, dtype)
        if value.ndim:
            raise ShapeError(
                f"full: expected `fill_value` to be a number, got shape {value.shape}."
            )
        return cls._make(np.full(_sizes("full", (shape,)), value), None, requires_grad)

    # Tensors like this one. The dtype defaults to the dtype of this tensor.

    def zeros_like(self, dtype: Any = None, requires_grad: Bool = False) -> "Tensor":
        """Return a tensor of zeros with the shape of this one.

        >>> Tensor([1, 2]).zeros_like()
        Tensor([0, 0])
        """
        return self.new_zeros(self.shape, dtype=dtype, requires_grad=requires_grad)

    def ones_like(self, dtype: Any = None, requires_grad: Bool = False) -> "Tensor":
        """Return a tensor of ones with the shape of this one.

        >>> Tensor([1, 2]).ones_like()
        Tensor([1, 1])
        """
        return self.new_ones(self.shape, dtype=dtype, requires_grad=requires_grad)

    def empty_like(self, dtype: Any = None, requires_grad: Bool = False) -> "Tensor":
        """Return an uninitialized tensor with the shape of this one.

        >>> Tensor([1, 2]).empty_like().shape
        (2,)
        """
        dtype = self.dtype if dtype is None else dtype
        return Tensor.empty(self.shape, dtype=dtype, requires_grad=requires_grad)

    def full_like(
        self, fill_value: Any, dtype: Any = None, requires_grad: Bool = False
    ) -> "Tensor":
        """Return a tensor of this shape filled with `fill_value`.

        Raises:
            DtypeError: if `dtype` is not a float, int or bool dtype.
            ShapeError: if `fill_value` is not a number.

        >>> Tensor([1, 2]).full_like(7)
        Tensor([7, 7])
        """
        return self.new_full(self.shape, fill_value, dtype, requires_grad)

    def rand_like(
        self, dtype: Any = None, generator: Generator = None, requires_grad: Bool = False
    ) -> "Tensor":
        """Return uniform random numbers from [0, 1) with the shape of this tensor.

        Raises:
            DtypeError: if the dtype is not float, or `generator` is not a NumPy generator.

        >>> Tensor.ones(2, 3).rand_like().shape
        (2, 3)
        """
        dtype = self.dtype if dtype is None else dtype
        return Tensor.rand(
            self.shape, dtype=dtype, generator=generator, requires_grad=requires_grad
        )

    def randn_like(
        self, dtype: Any = None, generator: Generator = None, requires_grad: Bool = False
    ) -> "Tensor":
        """Return standard normal random numbers with the shape of this tensor.

        Raises:
            DtypeError: if the dtype is not float, or `generator` is not a NumPy generator.

        >>> Tensor.ones(2, 3).randn_like().shape
        (2, 3)
        """
        dtype = self.dtype if dtype is None else dtype
        return Tensor.randn(
            self.shape, dtype=dtype, generator=generator, requires_grad=requires_grad
        )

    @accept_synonyms
    def new_zeros(self, *size: Any, dtype: Any = None, requires_grad: Bool = False) -> "Tensor":
        """Return a tensor of zeros of shape `size`.

        >>> Tensor([1, 2]).new_zeros(3)
        Tensor([0, 0, 0])
        """
        dtype = self.dtype if dtype is None else dtype
        return Tensor.zeros(*size, dtype=dtype, requires_grad=requires_grad)

    @accept_synonyms
    def new_ones(self, *size: Any, dtype: Any = None, requires_grad: Bool = False) -> "Tensor":
        """Return a tensor of ones of shape `size`.

        >>> Tensor([1, 2]).new_ones(3)
        Tensor([1, 1, 1])
        """
        dtype = self.dtype if dtype is None else dtype
        return Tensor.ones(*size, dtype=dtype, requires_grad=requires_grad)

    @accept_synonyms
    def new_full(
        self, size: Any, fill_value: Any, dtype: Any = None, requires_grad: Bool = False
    ) -> "Tensor":
        """Return a tensor of shape `size` filled with `fill_value`.

        >>> Tensor([1, 2]).new_full((3,), 7)
        Tensor([7, 7, 7])
        """
        dtype = self.dtype if dtype is None else dtype
        return Tensor.full(size, fill_value, dtype, requires_grad)

    def new_tensor(self, data: Any, dtype: Any = None, requires_grad: Bool = False) -> "Tensor":
        """Return a copy of `data` as a tensor.

        >>> Tensor([1.0]).new_tensor([2, 3])
        Tensor([2., 3.])
        """
        return Tensor(data, self.dtype if dtype is None else dtype, requires_grad)

    @classmethod
    def eye(
        cls, n: Int, m: Int | None = None, dtype: Any = None, requires_grad: Bool = False
    ) -> Self:
        """Return an (n, m) matrix with ones on the diagonal, zeros elsewhere; m defaults to n.

        Raises:
            DtypeError: if `dtype` is not a float, int or bool dtype.
            ShapeError: if a size is not an integer >= 0.

        >>> Tensor.eye(2)
        Tensor([[1., 0.],
                [0., 1.]])
        """
        rows, columns = _sizes("eye", (n, n if m is None else m))
        data = np.eye(rows, columns, dtype=_or_float32("eye", dtype))
        return cls._make(data, None, requires_grad)

    @classmethod
    @accept_synonyms
    def arange(
        cls,
        start: Any,
        stop: Any = None,
        step: Any = 1,
        dtype: Any = None,
        requires_grad: Bool = False,
    ) -> Self:
        """Return the numbers from start up to, but excluding, stop.

        `arange(stop)` starts at 0. The dtype defaults to int64 if all arguments are integers, else
        to float32.

        Raises:
            ArgumentError: if `step` is 0.
            DtypeError: if `dtype` is not a float, int or bool dtype.

        >>> Tensor.arange(1, 6, 2)
        Tensor([1, 3, 5])
        """
        if stop is None:
            start, stop = 0, start
        if step == 0:
            raise ArgumentError("arange: expected `step` to be nonzero, got 0.")
        values = np.arange(start, stop, step)
        if dtype is None and values.dtype.kind == "f":
            dtype = np.float32
        return cls._make(values, dtype, requires_grad)

    @classmethod
    @accept_synonyms
    def linspace(
        cls, start: Any, stop: Any, steps: Int, dtype: Any = None, requires_grad: Bool = False
    ) -> Self:
        """Return `steps` evenly spaced numbers from start to stop, both included.

        Raises:
            DtypeError: if `dtype` is not a float, int or bool dtype.
            ShapeError: if `steps` is not an integer >= 0.

        >>> Tensor.linspace(0, 1, 5)
        Tensor([0.  , 0.25, 0.5 , 0.75, 1.  ])
        """
        (count,) = _sizes("linspace", (steps,))
        known = _or_float32("linspace", dtype)
        return cls._make(np.linspace(start, stop, count), known, requires_grad)

    @classmethod
    @accept_synonyms
    def rand(
        cls,
        *shape: Any,
        dtype: Any = None,
        generator: Generator = None,
        requires_grad: Bool = False,
    ) -> Self:
        """Return uniform random numbers from [0, 1).

        Raises:
            DtypeError: if `dtype` is not a float dtype, or `generator` is not a NumPy generator.
            ShapeError: if a size is not an integer >= 0.

        >>> Tensor.rand(2, generator=np.random.default_rng(0))
        Tensor([0.8506 , 0.6370])
        """
        values = _draw("rand", shape, dtype, random.resolve(generator).random)
        return cls._make(values, dtype, requires_grad)

    @classmethod
    @accept_synonyms
    def uniform(
        cls,
        *shape: Any,
        low: Float = 0.0,
        high: Float = 1.0,
        dtype: Any = None,
        generator: Generator = None,
        requires_grad: Bool = False,
    ) -> Self:
        """Return uniform random numbers from [low, high).

        Raises:
            DtypeError: if `dtype` is not a float dtype, or `generator` is not a NumPy generator.
            ShapeError: if a size is not an integer >= 0.

        >>> Tensor.uniform(2, 3, low=-1.0).shape
        (2, 3)
        """
        values = _draw("uniform", shape, dtype, random.resolve(generator).random)
        return cls._make(values * (high - low) + low, dtype, requires_grad)

    @classmethod
    @accept_synonyms
    def randn(
        cls,
        *shape: Any,
        dtype: Any = None,
        generator: Generator = None,
        requires_grad: Bool = False,
    ) -> Self:
        """Return random numbers from the standard normal distribution.

        Raises:
            DtypeError: if `dtype` is not a float dtype, or `generator` is not a NumPy generator.
            ShapeError: if a size is not an integer >= 0.

        >>> Tensor.randn(2, 3).shape
        (2, 3)
        """
        values = _draw("randn", shape, dtype, random.resolve(generator).standard_normal)
        return cls._make(values, dtype, requires_grad)

    # Uniform in a range that depends on the shape; `options` are the dtype, generator and
    # requires_grad of `uniform`.

    @classmethod
    @accept_synonyms
    def scaled_uniform(cls, *shape: Any, **options: Any) -> Self:
        """Return uniform random numbers from [-b, b) with b = 1 / √n for n entries.

        >>> Tensor.scaled_uniform(2, 3).shape
        (2, 3)
        """
        sizes = _sizes("scaled_uniform", shape)
        bound = max(1, math.prod(sizes)) ** -0.5
        return cls.uniform(sizes, low=-bound, high=bound, **options)

    @classmethod
    @accept_synonyms
    def glorot_uniform(cls, *shape: Any, **options: Any) -> Self:
        """Return uniform random numbers from [-b, b) with b = √(6 / (shape[0] + Π shape[1:])).

        The weights then keep the variance of activations and gradients (Glorot & Bengio 2010,
        eq. 16). `nn.init.xavier_uniform` counts the fans of convolutions as PyTorch does.

        Raises:
            ShapeError: if there are no axes.

        >>> Tensor.glorot_uniform(2, 3).shape
        (2, 3)
        """
        sizes = _weight_sizes("glorot_uniform", shape)
        bound = (6 / max(1, sizes[0] + math.prod(sizes[1:]))) ** 0.5
        return cls.uniform(sizes, low=-bound, high=bound, **options)

    @classmethod
    @accept_synonyms
    def kaiming_uniform(cls, *shape: Any, a: Float = 0.01, **options: Any) -> Self:
        """Return uniform random numbers from [-b, b) with b = √(6 / ((1 + a²) Π shape[1:])).

        The weights then keep the variance of activations through a leaky ReLU of slope `a`
        (He et al. 2015, eq. 15).

        Raises:
            ShapeError: if there are no axes.

        >>> Tensor.kaiming_uniform(2, 3).shape
        (2, 3)
        """
        sizes = _weight_sizes("kaiming_uniform", shape)
        bound = (6 / ((1 + a**2) * max(1, math.prod(sizes[1:])))) ** 0.5
        return cls.uniform(sizes, low=-bound, high=bound, **options)

    @classmethod
    @accept_synonyms
    def normal(
        cls,
        *shape: Any,
        mean: Float = 0.0,
        std: Float = 1.0,
        dtype: Any = None,
        generator: Generator = None,
        requires_grad: Bool = False,
    ) -> Self:
        """Return random numbers from the normal distribution with mean `mean` and deviation `std`.

        Raises:
            DtypeError: if `dtype` is not a float dtype, or `generator` is not a NumPy generator.
            ShapeError: if a size is not an integer >= 0.

        >>> Tensor.normal(2, 3, mean=5.0).shape
        (2, 3)
        """
        values = _draw("normal", shape, dtype, random.resolve(generator).standard_normal)
        return cls._make(values * std + mean, dtype, requires_grad)

    @classmethod
    @accept_synonyms
    def randint(
        cls,
        *shape: Any,
        low: Int = 0,
        high: Int = 10,
        dtype: Any = np.int64,
        generator: Generator = None,
        requires_grad: Bool = False,
    ) -> Self:
        """Return random integers from low up to, but excluding, high.

        Raises:
            ArgumentError: if `low` is not below `high`.
            DtypeError: if `dtype` is not a float, int or bool dtype, `generator` is not a NumPy
                generator, or `requires_grad` is True and the dtype is not float.
            ShapeError: if a size is not an integer >= 0.

        >>> Tensor.randint(2, 3, high=5).shape
        (2, 3)
        """
        if low >= high:
            raise ArgumentError(f"randint: expected low < high, got low={low} and high={high}.")
        values = random.resolve(generator).integers(low, high, _sizes("randint", shape))
        return cls._make(values, dtype, requires_grad)

    @classmethod
    def randperm(cls, n: Int, dtype: Any = np.int64, generator: Generator = None) -> Self:
        """Return the integers from 0 to n - 1 in random order.

        Raises:
            DtypeError: if `dtype` is not a float, int or bool dtype, or `generator` is not a NumPy
                generator.
            ShapeError: if `n` is not an integer >= 0.

        >>> sorted(Tensor.randperm(3).tolist())
        [0, 1, 2]
        """
        (count,) = _sizes("randperm", (n,))
        return cls(random.resolve(generator).permutation(count), dtype=dtype)

    @staticmethod
    def manual_seed(seed: Int = 0) -> None:
        """Seed the default generator, as `tinygrad_np.manual_seed` does.

        >>> Tensor.manual_seed(0)
        """
        random.manual_seed(seed)

    def multinomial(
        self, num_samples: Int = 1, replacement: Bool = False, generator: Generator = None
    ) -> "Tensor":
        """Draw indices with probabilities proportional to the weights in this tensor.

        Args:
            num_samples: number of draws per row of weights.
            replacement: whether an index may be drawn more than once per row.
            generator: NumPy generator for the draws; None uses the default generator.

        Returns:
            int64 indices of shape (num_samples,) for weights of shape (n,), and of shape
            (m, num_samples) for weights of shape (m, n).

        Raises:
            ArgumentError: if a weight is negative or not finite, if `num_samples` is less than 1,
                or if a row has too few positive weights.
            ShapeError: if this tensor is empty or does not have one or two axes.
            DtypeError: if `generator` is not a NumPy generator.

        >>> Tensor([0.0, 1.0]).multinomial(3, replacement=True)
        Tensor([1, 1, 1])
        """
        return Tensor.wrap(_draws(self.data, num_samples, replacement, random.resolve(generator)))

    def bernoulli(self, generator: Generator = None) -> "Tensor":
        """Draw 1 with the probability in each entry, else 0; the draws have no gradient.

        Raises:
            ArgumentError: if an entry is not a number from 0 to 1.
            DtypeError: if this tensor is not float, or `generator` is not a NumPy generator.

        >>> Tensor([0.0, 1.0]).bernoulli()
        Tensor([0., 1.])
        """
        draws = self.rand_like(generator=generator).data < self.data
        is_valid = (self.data >= 0) & (self.data <= 1)
        if not is_valid.all():
            raise ArgumentError(
                "bernoulli: expected probabilities from 0 to 1, got "
                f"{self.data[~is_valid].flat[0]:g}."
            )
        return Tensor.wrap(draws.astype(self.dtype))

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
        array = _check_shareable("data", value)
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
        """Return the transpose of a matrix; a tensor of fewer axes is returned as it is.

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
                ".item(), or .detach() first."
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
                ".detach(), or .stack(...) to join tensors."
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
    def clamp_(self, min: Any = None, max: Any = None) -> Self:
        """Clip to the range from `min` to `max`, as `clip` does.

        Raises:
            ArgumentError: if both bounds are None.
            DtypeError: if this tensor contains integers and a bound is a float.

        >>> Tensor([-2.0, 0.5]).clamp_(-1, 1)
        Tensor([-1. ,  0.5])
        """
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

    def clone(self) -> "Tensor":
        """Copy the values into a new tensor, through which gradients flow back to this one.

        >>> x = Tensor([1.0], requires_grad=True)
        >>> (x.clone() * 2).sum().backward()
        >>> x.grad
        Tensor([2.])
        """
        return ops.cast(self, self.dtype)

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
        """Return this tensor, which is always computed; for code written for tinygrad.

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

    # Arithmetic.

    add = binary_method(ops.add)
    sub = binary_method(ops.sub)
    mul = binary_method(ops.mul)
    mod = binary_method(ops.mod)
    fmod = binary_method(ops.fmod)
    pow = binary_method(ops.pow)
    neg = unary_method(ops.neg)
    abs = unary_method(ops.abs)
    sign = unary_method(ops.sign)
    floor = unary_method(ops.floor)
    ceil = unary_method(ops.ceil)
    trunc = unary_method(ops.trunc)
    round = unary_method(ops.round)
    maximum = binary_method(ops.maximum)
    minimum = binary_method(ops.minimum)
    clip = composite_method(ops.clip)
    clamp = clip
    nan_to_num = composite_method(ops.nan_to_num)
    lerp = composite_method(ops.lerp)
    copysign = binary_method(ops.copysign)

    @accept_synonyms
    def where(self, x: Any, y: Any) -> "Tensor":
        """Select entries from x where this tensor is nonzero, and from y elsewhere.

        >>> x = Tensor([-1.0, 2.0])
        >>> (x > 0).where(x, 0)
        Tensor([0., 2.])
        """
        condition = self.detach() if self.requires_grad else self  # the condition has no gradient
        return ops.where(condition, x, y)

    @accept_synonyms
    def div(self, other: Any, rounding_mode: str | None = None) -> "Tensor":
        """Divide elementwise by `other`.

        Args:
            other: the divisor.
            rounding_mode: None for true division, which converts integers to float32; "floor" or
                "trunc" to round down or toward 0, which keeps integers and has gradient 0.

        Raises:
            ArgumentError: if `rounding_mode` is unknown, or an integer is divided by the integer
                0 with rounding.

        >>> Tensor([7, -7]).div(2), Tensor([7, -7]).div(2, rounding_mode="floor")
        (Tensor([ 3.5, -3.5]), Tensor([ 3, -4]))
        """
        if rounding_mode not in _DIVISIONS:
            raise ArgumentError(
                "div: expected `rounding_mode` to be None, 'floor' or 'trunc', got "
                f"{rounding_mode!r}."
            )
        return _DIVISIONS[rounding_mode](self, other)

    __add__ = binary_operator(ops.add)
    __sub__ = binary_operator(ops.sub)
    __mul__ = binary_operator(ops.mul)
    __truediv__ = binary_operator(ops.div)
    __floordiv__ = binary_operator(ops.floor_div)
    __mod__ = binary_operator(ops.mod)
    __pow__ = binary_operator(ops.pow)
    __radd__ = __add__
    __rmul__ = __mul__
    __neg__ = neg
    __abs__ = abs

    def __pos__(self) -> "Tensor":
        return self

    __iadd__ = _in_place("+=", ops.add)
    __isub__ = _in_place("-=", ops.sub)
    __imul__ = _in_place("*=", ops.mul)
    __itruediv__ = _in_place("/=", ops.div)
    __ifloordiv__ = _in_place("//=", ops.floor_div)
    __imod__ = _in_place("%=", ops.mod)
    __ipow__ = _in_place("**=", ops.pow)
    __iand__ = _in_place("&=", ops.bitwise_and)
    __ior__ = _in_place("|=", ops.bitwise_or)
    __ixor__ = _in_place("^=", ops.bitwise_xor)
    __ilshift__ = _in_place("<<=", ops.lshift)
    __irshift__ = _in_place(">>=", ops.rshift)

    __rsub__ = _reflect(ops.sub)
    __rtruediv__ = _reflect(ops.div)
    __rpow__ = _reflect(ops.pow)
    __rmod__ = _reflect(ops.mod)
    __rfloordiv__ = _reflect(ops.floor_div)

    # Comparisons, predicates and bitwise ops.

    eq = binary_method(ops.eq)
    ne = binary_method(ops.ne)
    lt = binary_method(ops.lt)
    le = binary_method(ops.le)
    gt = binary_method(ops.gt)
    ge = binary_method(ops.ge)
    __eq__ = binary_operator(ops.eq)  # type: ignore[assignment]
    __ne__ = binary_operator(ops.ne)  # type: ignore[assignment]
    __lt__ = binary_operator(ops.lt)
    __le__ = binary_operator(ops.le)
    __gt__ = binary_operator(ops.gt)
    __ge__ = binary_operator(ops.ge)
    __hash__ = Variable.__hash__

    isnan = unary_method(ops.isnan)
    isinf = method(ops.isinf)
    isfinite = unary_method(ops.isfinite)
    isclose = method(ops.isclose)
    allclose = _composite(ops.allclose)
    logical_not = unary_method(ops.logical_not)
    logical_and = binary_method(ops.logical_and)
    logical_or = binary_method(ops.logical_or)
    logical_xor = binary_method(ops.logical_xor)
    bitwise_not = unary_method(ops.bitwise_not)
    lshift = binary_method(ops.lshift)
    rshift = binary_method(ops.rshift)

    __and__ = binary_operator(ops.bitwise_and)
    __or__ = binary_operator(ops.bitwise_or)
    __xor__ = binary_operator(ops.bitwise_xor)
    __lshift__ = binary_operator(ops.lshift)
    __rshift__ = binary_operator(ops.rshift)
    __invert__ = bitwise_not
    __rand__ = __and__
    __ror__ = __or__
    __rxor__ = __xor__
    __rlshift__ = _reflect(ops.lshift)
    __rrshift__ = _reflect(ops.rshift)

    # Elementwise functions.

    exp = unary_method(ops.exp)
    exp2 = unary_method(ops.exp2)
    expm1 = unary_method(ops.expm1)
    log = unary_method(ops.log)
    log2 = unary_method(ops.log2)
    log10 = unary_method(ops.log10)
    log1p = unary_method(ops.log1p)
    logaddexp = binary_method(ops.logaddexp)
    sqrt = unary_method(ops.sqrt)
    rsqrt = unary_method(ops.rsqrt)
    square = composite_method(ops.square)
    reciprocal = composite_method(ops.reciprocal)
    sin = unary_method(ops.sin)
    cos = unary_method(ops.cos)
    tan = unary_method(ops.tan)
    asin = unary_method(ops.asin)
    acos = unary_method(ops.acos)
    atan = unary_method(ops.atan)
    atan2 = binary_method(ops.atan2)
    sinh = unary_method(ops.sinh)
    cosh = unary_method(ops.cosh)
    tanh = unary_method(ops.tanh)
    asinh = unary_method(ops.asinh)
    acosh = unary_method(ops.acosh)
    atanh = unary_method(ops.atanh)
    erf = unary_method(ops.erf)

    # Activations.

    relu = unary_method(ops.relu)
    relu6 = composite_method(ops.relu6)
    leaky_relu = composite_method(ops.leaky_relu)
    elu = composite_method(ops.elu)
    celu = composite_method(ops.celu)
    selu = composite_method(ops.selu)
    gelu = composite_method(ops.gelu)
    quick_gelu = composite_method(ops.quick_gelu)
    silu = composite_method(ops.silu)
    swish = silu
    mish = composite_method(ops.mish)
    sigmoid = unary_method(ops.sigmoid)
    logsigmoid = composite_method(ops.logsigmoid)
    softplus = composite_method(ops.softplus)
    softsign = composite_method(ops.softsign)
    hardtanh = composite_method(ops.hardtanh)
    hardsigmoid = composite_method(ops.hardsigmoid)
    hardswish = composite_method(ops.hardswish)
    softmax = method(ops.softmax)
    softmin = composite_method(ops.softmin)
    log_softmax = method(ops.log_softmax)
    layernorm = composite_method(ops.layernorm)
    batchnorm = composite_method(ops.batchnorm)
    dropout = composite_method(ops.dropout)

    # Reductions and scans.

    sum = method(ops.sum)
    mean = method(ops.mean)
    max = method(ops.max)
    min = method(ops.min)
    amax = max
    amin = min
    median = composite_method(ops.median)
    prod = method(ops.prod)
    var = composite_method(ops.var)
    std = composite_method(ops.std)
    std_mean = splitting_method(ops.std_mean)
    var_mean = splitting_method(ops.var_mean)
    all = method(ops.all)
    any = method(ops.any)
    argmax = method(ops.argmax)
    argmin = method(ops.argmin)
    logsumexp = method(ops.logsumexp)
    cumsum = method(ops.cumsum)
    cumprod = method(ops.cumprod)
    cummax = ordering_method(ops.cummax)
    cummin = ordering_method(ops.cummin)
    logcumsumexp = method(ops.logcumsumexp)

    # Shape and order.

    reshape = sized_method(ops.reshape)
    view = reshape
    view_as = composite_method(ops.view_as)
    flatten = composite_method(ops.flatten)
    unflatten = composite_method(ops.unflatten)
    squeeze = composite_method(ops.squeeze)
    unsqueeze = composite_method(ops.unsqueeze)
    permute = sized_method(ops.permute)
    transpose = method(ops.transpose)
    swapaxes = transpose
    movedim = composite_method(ops.movedim)
    expand = sized_method(ops.expand)
    broadcast_to = expand
    expand_as = composite_method(ops.expand_as)
    cat = _joining_method(ops.cat)
    stack = _joining_method(ops.stack)
    split = splitting_method(ops.split)
    chunk = splitting_method(ops.chunk)
    unbind = splitting_method(ops.unbind)
    repeat = sized_method(ops.repeat)
    tile = sized_method(ops.tile)
    repeat_interleave = composite_method(ops.repeat_interleave)
    flip = sized_method(ops.flip)
    roll = composite_method(ops.roll)
    pad = composite_method(ops.pad)
    shrink = composite_method(ops.shrink)
    unfold = composite_method(ops.unfold)
    diff = composite_method(ops.diff)
    meshgrid = splitting_method(ops.meshgrid)
    rearrange = ops.rearrange  # the names of its sizes are the caller's
    sort = ordering_method(ops.sort)
    argsort = method(ops.argsort)
    topk = ordering_method(ops.topk)

    @accept_synonyms
    def unique(
        self,
        sorted_: Bool = True,
        return_inverse: Bool = False,
        return_counts: Bool = False,
        dim: Int | None = None,
    ) -> Any:
        """Return the different entries, or the different slices along `dim`, without gradient.

        Args:
            sorted_: ignored; the entries are always sorted.
            return_inverse: also return the int64 position of each entry in the result.
            return_counts: also return how often each entry occurs.
            dim: the axis of the slices; None for single entries.

        Returns:
            The entries, or a tuple with the other results.

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

    # Indexing.

    __getitem__ = ops.getitem
    select = composite_method(ops.select)
    index_select = composite_method(ops.index_select)
    gather = composite_method(ops.gather)
    scatter = composite_method(ops.scatter)
    scatter_add = composite_method(ops.scatter_add)
    scatter_reduce = composite_method(ops.scatter_reduce)
    masked_fill = composite_method(ops.masked_fill)
    masked_select = composite_method(ops.masked_select)
    nonzero = method(ops.nonzero)
    one_hot = method(ops.one_hot)

    # Matrix products.

    matmul = composite_method(ops.matmul)
    dot = composite_method(ops.dot)
    mm = composite_method(ops.mm)
    bmm = composite_method(ops.bmm)
    addmm = composite_method(ops.addmm)
    outer = composite_method(ops.outer)
    __matmul__ = ops.matmul

    def __rmatmul__(self, x: Any) -> "Tensor":
        result: Tensor = ops.matmul(x, self)
        return result

    linear = method(ops.linear)
    einsum = staticmethod(composite_method(ops.einsum))

    # Linear algebra.

    trace = composite_method(ops.trace)
    diagonal = method(ops.diagonal)
    diag = composite_method(ops.diag)
    tril = method(ops.tril)
    triu = method(ops.triu)
    norm = method(ops.norm)
    normalize = composite_method(ops.normalize)
    inv = unary_method(ops.inv)
    solve = binary_method(ops.solve)
    det = unary_method(ops.det)
    slogdet = splitting_method(ops.slogdet)
    cholesky = unary_method(ops.cholesky)
    qr = splitting_method(ops.qr)
    svd = splitting_method(ops.svd)

    # Convolution, pooling, resizing and attention.

    conv2d = method(ops.conv2d)
    conv_transpose2d = composite_method(ops.conv_transpose2d)
    max_pool2d = _composite(ops.max_pool2d)
    avg_pool2d = method(ops.avg_pool2d)
    adaptive_avg_pool2d = composite_method(ops.adaptive_avg_pool2d)
    max_unpool2d = composite_method(ops.max_unpool2d)
    interpolate = composite_method(ops.interpolate)

    scaled_dot_product_attention = composite_method(ops.scaled_dot_product_attention)

    # Losses.

    cross_entropy = composite_method(ops.cross_entropy)
    nll_loss = composite_method(ops.nll_loss)
    sparse_categorical_crossentropy = composite_method(ops.sparse_categorical_crossentropy)
    binary_crossentropy = composite_method(ops.binary_crossentropy)
    binary_crossentropy_logits = composite_method(ops.binary_crossentropy_logits)

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


def _array_of(data: Any, dtype: Any) -> Array:
    """Convert user data to a new array."""
    dtype = None if dtype is None else check_dtype("Tensor", dtype)
    if isinstance(data, Variable):
        if data.requires_grad:
            raise GraphError(
                "Tensor: the data is a tensor that requires a gradient, which the new tensor would "
                "not pass on. Use the tensor itself, or .detach() first."
            )
        return np.array(data.data, dtype)
    check_unmasked("Tensor", data)
    # Arrays, and objects that convert themselves, such as a torch.Tensor or a pandas.Series.
    has_dtype = hasattr(data, "__array__")
    try:
        source = np.asarray(data)
        # NumPy would convert complex numbers and dates to floats. With a dtype, strings are parsed.
        if source.dtype.kind not in ("biuf" if dtype is None else "biufOSU"):
            raise DtypeError(
                f"Tensor: expected numbers, got {kind_of(data)} of dtype {source.dtype}."
            )
        array = np.array(source if has_dtype else data, dtype)
    except TinygradNpError:
        raise
    except (ValueError, TypeError) as error:
        raise ShapeError(
            f"Tensor: cannot convert this {kind_of(data)} to an array ({error})."
        ) from error
    except (OverflowError, RuntimeError) as error:  # torch raises a RuntimeError
        reason = str(error).removesuffix(".")
        raise DtypeError(
            f"Tensor: cannot convert this {kind_of(data)} to an array ({reason})."
        ) from error
    array = array.astype(array.dtype.newbyteorder("="), copy=False)
    if dtype is None and array.dtype == np.float64 and not has_dtype:
        return array.astype(np.float32)
    return array


def _check_shareable(who: str, array: Any) -> Array:
    """Return an ndarray that a Tensor can hold; raise DtypeError for anything else."""
    check_unmasked(who, array)
    is_known = isinstance(array, np.ndarray) and array.dtype.kind in "biuf"
    if not is_known or not array.dtype.isnative:
        raise DtypeError(
            f"{who}: expected an ndarray of numbers in native byte order, got {kind_of(array)} of "
            f"dtype {getattr(array, 'dtype', None)}."
        )
    return np.asarray(array)


def _restore(kind: type[Tensor], data: Array, requires_grad: bool, version: list[int]) -> Tensor:
    """Return an unpickled tensor."""
    version[:] = [0]
    tensor = kind.wrap(data, None, version)
    tensor._requires_grad = requires_grad
    return tensor


def _sizes(name: str, shape: tuple[Any, ...]) -> Shape:
    """Return a shape that was passed as ints or as one sequence."""
    sizes = _unpack(shape)
    if any(not isinstance(n, int | np.integer) or n < 0 for n in sizes):
        raise ShapeError(f"{name}: expected sizes that are integers >= 0, got {sizes}.")
    return tuple(map(int, sizes))


def _weight_sizes(name: str, shape: tuple[Any, ...]) -> Shape:
    """Return a shape with at least one axis."""
    sizes = _sizes(name, shape)
    if not sizes:
        raise ShapeError(f"{name}: expected a shape with at least one axis, got ().")
    return sizes


def _or_float32(name: str, dtype: Any) -> np.dtype[Any]:
    return check_dtype(name, np.float32 if dtype is None else dtype)


def _draw(name: str, shape: tuple[Any, ...], dtype: Any, draw: Callable[..., Array]) -> Array:
    """Draw random floats; float16 is drawn in float32."""
    known = _or_float32(name, dtype)
    if known.kind != "f":
        raise DtypeError(f"{name}: expected a float dtype, got {known}. Use randint for integers.")
    values = draw(_sizes(name, shape), np.float64 if known == np.float64 else np.float32)
    return np.asarray(values)  # for shape (), NumPy returns a float


def _draws(weights: Array, count: int, replacement: bool, generator: np.random.Generator) -> Array:
    """Draw indices of shape (*, count) with weights of shape (*, n)."""
    if weights.ndim not in (1, 2) or not weights.size:
        raise ShapeError(
            "multinomial: expected non-empty weights of shape (n,) or (m, n), got shape "
            f"{weights.shape}."
        )
    rows = np.atleast_2d(weights).astype(np.float64)
    positive = (rows > 0).sum(axis=1)
    is_valid = np.isfinite(rows).all(1) & (rows >= 0).all(1) & (positive > 0)
    if not is_valid.all():
        row = int(np.argmin(is_valid))
        raise ArgumentError(
            "multinomial: expected each row to have finite weights >= 0, at least one of them "
            f"positive, got {rows[row].min():g} to {rows[row].max():g} in row {row}."
        )
    if count < 1 or (not replacement and count > positive.min()):
        where = f" in row {np.argmin(positive)}" if weights.ndim == 2 else ""
        raise ArgumentError(
            "multinomial: expected `num_samples` to be >= 1 and, without replacement, at most "
            f"{positive.min()}, the number of positive weights{where}, got {count}."
        )
    chances = rows / rows.sum(axis=1, keepdims=True)
    places = [
        generator.choice(rows.shape[1], count, replacement, row_chances) for row_chances in chances
    ]
    return np.array(places, np.int64).reshape(*weights.shape[:-1], count)
