"""Gradients held against central differences, in float64."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tinygrad_np.errors import DtypeError, TinygradNpError
from tinygrad_np.memory import Array
from tinygrad_np.tensor import Tensor


class GradientError(TinygradNpError, ArithmeticError):
    """A gradient differs from the central difference."""


def gradcheck(
    function: Callable[..., Tensor],
    inputs: Sequence[Any],
    *,
    eps: float = 1e-6,
    tolerance: float = 1e-6,
    projections: int = 3,
    seed: int = 0,
) -> None:
    """Check the VJPs of `function` at `inputs`, arrays of which the float64 ones are varied.

    For random u and v of the output's and an input's shape, u · (f(x + eps v) - f(x - eps v)) /
    (2 eps) must be v · VJP(u), up to `tolerance` of |v| |VJP(u)|. Raises GradientError that names
    the input and both numbers, DtypeError if no input is float64.

    >>> gradcheck(lambda x: (x * x).sum(), [np.array([1.0, 2.0])])
    """
    arrays = [None if value is None else np.asarray(value) for value in inputs]
    varied = [i for i, array in enumerate(arrays) if array is not None and array.dtype == float]
    if not varied:
        raise DtypeError("gradcheck: got no float64 input; differences of float32 are too coarse")
    generator = np.random.default_rng(seed)
    for _ in range(projections):
        tensors = [None if a is None else Tensor(a, requires_grad=a.dtype == float) for a in arrays]
        out = function(*tensors)
        upstream = generator.standard_normal(out.shape)
        wanted = [t for t in tensors if t is not None and t.requires_grad]
        grads = out.gradient(*wanted, gradient=upstream)
        for position, grad in zip(varied, grads, strict=True):
            direction = generator.standard_normal(grad.shape)
            ahead = _value(function, arrays, position, eps * direction)
            behind = _value(function, arrays, position, -eps * direction)
            numeric = float(np.sum(upstream * (ahead - behind))) / (2 * eps)
            analytic = float(np.sum(direction * grad.data))
            scale = float(np.linalg.norm(direction) * np.linalg.norm(grad.data))
            if not abs(numeric - analytic) <= tolerance * max(scale, 1.0):
                raise GradientError(
                    f"gradcheck: input {position} of shape {grad.shape}: in a random direction the "
                    f"VJP gives {analytic:.10g}, central differences give {numeric:.10g}"
                )


def gradgradcheck(
    function: Callable[..., Tensor], inputs: Sequence[Any], *, seed: int = 0, **options: Any
) -> None:
    """Check the second derivatives: `gradcheck` of the VJP, over the inputs and over u.

    >>> gradgradcheck(lambda x: x * x * x, [np.array([1.0, 2.0])])
    """
    arrays = [None if value is None else np.asarray(value) for value in inputs]
    shape = function(*[None if a is None else Tensor(a) for a in arrays]).shape
    upstream = np.random.default_rng(seed + 1).standard_normal(shape)

    def vjp(*tensors: Any) -> Tensor:
        *points, direction = tensors
        wanted = [tensor for tensor in points if tensor is not None and tensor.dtype == float]
        for tensor in wanted:
            tensor.requires_grad = True
        grads = function(*points).gradient(*wanted, gradient=direction, create_graph=True)
        flat = [grad.reshape(-1) for grad in grads]
        joined = flat[0].cat(*flat[1:])
        for tensor in wanted:
            # Where the VJP does not depend on the point, its derivative there is 0, not missing.
            joined = joined + tensor.sum() * 0
        return joined

    gradcheck(vjp, [*arrays, upstream], seed=seed, **options)


def _value(
    function: Callable[..., Tensor], arrays: Sequence[Any], position: int, change: Array
) -> Array:
    moved = list(arrays)
    moved[position] = arrays[position] + change
    return function(*[None if array is None else Tensor(array) for array in moved]).data
