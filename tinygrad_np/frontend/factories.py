"""Functions with PyTorch's signatures that create tensors, exported by `tinygrad_np` itself.

Most call the class method of Tensor with the same name. `device` is accepted because PyTorch
programs pass it, and can only be the CPU. Random functions take a NumPy `generator`; None uses the
default generator, which `manual_seed` seeds.
"""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_np.checks import is_integer
from tinygrad_np.errors import DtypeError, ShapeError
from tinygrad_np.frontend import device as devices
from tinygrad_np.frontend.tensor import Tensor
from tinygrad_np.synonyms import accept_synonyms

Generator = np.random.Generator | None


def _factory(make: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Return a function that creates a tensor with `make`, and accepts `device` and synonyms."""
    make = accept_synonyms(make)

    @functools.wraps(make)
    def call(*args: Any, device: devices.device | str | None = None, **options: Any) -> Tensor:
        if device is not None:
            devices.device(device)  # raises unless it is the CPU
        return make(*args, **options)

    return call


zeros = _factory(Tensor.zeros)
ones = _factory(Tensor.ones)
empty = _factory(Tensor.empty)
full = _factory(Tensor.full)
eye = _factory(Tensor.eye)
arange = _factory(Tensor.arange)
linspace = _factory(Tensor.linspace)
rand = _factory(Tensor.rand)
randn = _factory(Tensor.randn)
randperm = _factory(Tensor.randperm)
zeros_like = _factory(Tensor.zeros_like)
ones_like = _factory(Tensor.ones_like)
full_like = _factory(Tensor.full_like)
empty_like = _factory(Tensor.empty_like)
rand_like = _factory(Tensor.rand_like)
randn_like = _factory(Tensor.randn_like)
multinomial = _factory(Tensor.multinomial)


@_factory
def tensor(data: Any, *, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """Return a tensor with a copy of the data: a number, a nested list, an array or a tensor.

    Python floats give float32 and integers int64; an array keeps its dtype.

    Raises:
        DtypeError: if the entries are not real numbers, or as in `Tensor`.
        GraphError: if `data` is a tensor that requires a gradient; use `clone`.
        ShapeError: if nested lists have different lengths.

    >>> tensor([1, 2], dtype=np.float32)
    Tensor([1., 2.])
    """
    return Tensor(data, dtype, requires_grad)


@_factory
def as_tensor(data: Any, dtype: Any = None) -> Tensor:
    """Return `data` as a tensor; share memory with a tensor or an array of the same dtype.

    Raises:
        DtypeError: if the entries are not real numbers, or as in `Tensor`.
        ShapeError: if nested lists have different lengths.

    >>> array = np.zeros(2)
    >>> as_tensor(array)[0] = 1.0
    >>> array.tolist()
    [1.0, 0.0]
    """
    if isinstance(data, np.ndarray):
        data = Tensor.from_numpy(data)
    if isinstance(data, Tensor):
        return data if dtype is None or data.dtype == dtype else data.cast(dtype)
    return Tensor(data, dtype)


@_factory
def from_numpy(array: Any) -> Tensor:
    """Return a tensor that shares memory with `array`.

    Raises:
        DtypeError: if `array` is not an ndarray of numbers in native byte order, or is masked.

    >>> from_numpy(np.array([1, 2]))
    Tensor([1, 2])
    """
    return Tensor.from_numpy(array)


@_factory
def randint(
    low: Any = 0,
    high: Any = None,
    size: Any = None,
    *,
    dtype: Any = np.int64,
    generator: Generator = None,
    requires_grad: bool = False,
) -> Tensor:
    """Return random integers: `randint(low, high, size)` or `randint(high, size)`.

    Args:
        low: the smallest integer.
        high: the integer above the largest one.
        size: shape of the result, a tuple or list.
        dtype: dtype of the result.
        generator: NumPy generator for the draws; None uses the default generator.
        requires_grad: whether backward passes compute the gradient; needs a float `dtype`.

    Raises:
        ArgumentError: if `low` is not below `high`.
        DtypeError: if the arguments are not as described.

    >>> randint(0, 10, (2, 3)).shape
    (2, 3)
    """
    if isinstance(high, list | tuple) and size is None:
        high, size = None, high
    if high is None:
        low, high = 0, low
    if not (is_integer(low) and is_integer(high) and isinstance(size, list | tuple)):
        raise DtypeError(
            "randint: expected two integers and a tuple of sizes, for example "
            f"randint(0, 10, (2, 3)), got low={low!r}, high={high!r} and size={size!r}."
        )
    options = {"dtype": dtype, "generator": generator, "requires_grad": requires_grad}
    return Tensor.randint(*size, low=low, high=high, **options)


@_factory
def normal(
    mean: Any,
    std: Any = 1.0,
    size: Any = None,
    *,
    generator: Generator = None,
    requires_grad: bool = False,
) -> Tensor:
    """Return random numbers from the normal distribution, without a gradient to `mean` and `std`.

    Args:
        mean: the mean, a number or a tensor.
        std: the standard deviation, a number or a tensor.
        size: shape of the result; by default, that of `mean` and `std` broadcast together.
        generator: NumPy generator for the draws; None uses the default generator.
        requires_grad: whether backward passes compute the gradient of the result.

    Raises:
        ShapeError: if the shapes do not broadcast, or a size is not an integer >= 0.

    >>> normal(0.0, 1.0, (2, 3)).shape
    (2, 3)
    """
    if size is None:
        shapes = np.shape(mean), np.shape(std)
        try:
            size = np.broadcast_shapes(*shapes)
        except ValueError as error:
            raise ShapeError(
                "normal: expected `mean` and `std` with shapes that broadcast, got "
                f"{shapes[0]} and {shapes[1]}."
            ) from error
    # As in PyTorch, a draw is a constant: the loss of a policy gradient depends on it.
    mean, std = (x.detach() if isinstance(x, Tensor) else x for x in (mean, std))
    result: Tensor = Tensor.randn(size, generator=generator) * std + mean
    return result.requires_grad_(requires_grad)
