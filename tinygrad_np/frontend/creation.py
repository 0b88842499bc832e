"""The methods of tensors that create tensors, among them random numbers."""

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from tinygrad_np import random
from tinygrad_np.autograd.tape import Variable
from tinygrad_np.checks import check_dtype, check_unmasked, kind_of
from tinygrad_np.errors import ArgumentError, DtypeError, GraphError, ShapeError, TinygradNpError
from tinygrad_np.frontend.operators import Operators, unpack
from tinygrad_np.runtime.memory import Array
from tinygrad_np.synonyms import accept_synonyms
from tinygrad_np.typing import Bool, Float, Int, Shape

if TYPE_CHECKING:
    from tinygrad_np.frontend.tensor import Tensor

Generator = np.random.Generator | None


class Creation(Operators):
    """The methods of `Tensor` that create tensors.

    A shape is passed as ints or as one tuple. With `requires_grad`, the dtype must be float.
    """

    __slots__ = ()
    __module__ = "tinygrad_np"  # as Tensor, in whose name the examples are written

    if TYPE_CHECKING:  # what Tensor defines

        def __init__(
            self, data: Any, dtype: Any = None, requires_grad: Bool = False, name: str = ""
        ) -> None: ...

    @classmethod
    def _make(cls, data: Any, dtype: Any, requires_grad: Bool) -> Self:
        if requires_grad:
            return cls(data, dtype=dtype, requires_grad=True)
        return cls(data, dtype=dtype)  # a Parameter requires a gradient in any case

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
        value = array_of(fill_value, dtype)
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
        return self.result_class.empty(self.shape, dtype=dtype, requires_grad=requires_grad)

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
        return self.result_class.rand(
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
        return self.result_class.randn(
            self.shape, dtype=dtype, generator=generator, requires_grad=requires_grad
        )

    @accept_synonyms
    def new_zeros(self, *size: Any, dtype: Any = None, requires_grad: Bool = False) -> "Tensor":
        """Return a tensor of zeros of shape `size`.

        >>> Tensor([1, 2]).new_zeros(3)
        Tensor([0, 0, 0])
        """
        dtype = self.dtype if dtype is None else dtype
        return self.result_class.zeros(*size, dtype=dtype, requires_grad=requires_grad)

    @accept_synonyms
    def new_ones(self, *size: Any, dtype: Any = None, requires_grad: Bool = False) -> "Tensor":
        """Return a tensor of ones of shape `size`.

        >>> Tensor([1, 2]).new_ones(3)
        Tensor([1, 1, 1])
        """
        dtype = self.dtype if dtype is None else dtype
        return self.result_class.ones(*size, dtype=dtype, requires_grad=requires_grad)

    @accept_synonyms
    def new_full(
        self, size: Any, fill_value: Any, dtype: Any = None, requires_grad: Bool = False
    ) -> "Tensor":
        """Return a tensor of shape `size` filled with `fill_value`.

        >>> Tensor([1, 2]).new_full((3,), 7)
        Tensor([7, 7, 7])
        """
        dtype = self.dtype if dtype is None else dtype
        return self.result_class.full(size, fill_value, dtype, requires_grad)

    def new_tensor(self, data: Any, dtype: Any = None, requires_grad: Bool = False) -> "Tensor":
        """Return a copy of `data` as a tensor.

        >>> Tensor([1.0]).new_tensor([2, 3])
        Tensor([2., 3.])
        """
        return self.result_class(data, self.dtype if dtype is None else dtype, requires_grad)

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

        >>> Tensor.rand(2, 3).shape
        (2, 3)
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
        return self.result_class.wrap(
            _draws(self.data, num_samples, replacement, random.resolve(generator))
        )

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
        return self.result_class.wrap(draws.astype(self.dtype))


def array_of(data: Any, dtype: Any) -> Array:
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


def check_shareable(who: str, array: Any) -> Array:
    """Return an ndarray that a Tensor can hold; raise DtypeError for anything else."""
    check_unmasked(who, array)
    is_known = isinstance(array, np.ndarray) and array.dtype.kind in "biuf"
    if not is_known or not array.dtype.isnative:
        raise DtypeError(
            f"{who}: expected an ndarray of numbers in native byte order, got {kind_of(array)} of "
            f"dtype {getattr(array, 'dtype', None)}."
        )
    return np.asarray(array)


def _sizes(name: str, shape: tuple[Any, ...]) -> Shape:
    """Return a shape that was passed as ints or as one sequence."""
    sizes = unpack(shape)
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
