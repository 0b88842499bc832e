"""Lower bounds for ops: the bare GEMM or ufunc calls that NumPy needs for the same result."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from benchmarks.timing import Step
from tinygrad_np import Tensor
from tinygrad_np.runtime.memory import Array


class LowerBound(NamedTuple):
    """An op, and the bare NumPy calls it cannot avoid, which write into preallocated arrays."""

    op: Step
    bare: Step


def _draw(*shape: int) -> Array:
    return np.random.default_rng(0).standard_normal(shape, np.float32)


def _image(images: int, channels: int, height: int, width: int) -> Array:
    """Return images (N, C, H, W) stored with the batch axis last, like our convolution outputs."""
    return _draw(channels, height, width, images).transpose(3, 0, 1, 2)


def conv_forward() -> LowerBound:
    """Return conv2d and its lower bound, the GEMM of im2col columns and weights.

    Sizes: 32 to 64 channels, 3x3 kernel, 14x14 images, batch 64.
    """
    x, weight = Tensor.from_numpy(_image(64, 32, 14, 14)), Tensor(_draw(64, 32, 3, 3))
    columns, matrix = _draw(64 * 14 * 14, 9 * 32), _draw(9 * 32, 64)
    out = np.empty((len(columns), 64), np.float32)
    return LowerBound(
        lambda: x.conv2d(weight, padding=1),
        lambda: np.matmul(columns, matrix, out=out),
    )


def conv_backward() -> LowerBound:
    """Return the backward pass of that conv2d and its lower bound, one GEMM per gradient."""
    x = Tensor(_image(64, 32, 14, 14), requires_grad=True)
    weight = Tensor(_draw(64, 32, 3, 3), requires_grad=True)
    y = x.conv2d(weight, padding=1)
    upstream = Tensor.from_numpy(_image(64, 64, 14, 14))
    columns, matrix, grad = _draw(64 * 14 * 14, 9 * 32), _draw(9 * 32, 64), _draw(64 * 14 * 14, 64)
    grad_columns, grad_matrix = np.empty_like(columns), np.empty_like(matrix)

    def bare() -> None:
        np.matmul(grad, matrix.T, out=grad_columns)
        np.matmul(columns.T, grad, out=grad_matrix)

    def backward() -> None:
        x.grad = weight.grad = None
        y.backward(upstream, retain_graph=True)

    return LowerBound(backward, bare)


def linear() -> LowerBound:
    """Return linear and its lower bound, the GEMM: 3136 to 128 features, batch 64."""
    x, weight, bias = Tensor(_draw(64, 3136)), Tensor(_draw(128, 3136)), Tensor(_draw(128))
    out = np.empty((64, 128), np.float32)
    return LowerBound(
        lambda: x.linear(weight, bias),
        lambda: np.matmul(x.data, weight.data.T, out=out),
    )


def relu() -> LowerBound:
    """Return relu and its lower bound, np.maximum, on 1.6 million floats."""
    x = Tensor.from_numpy(_image(64, 32, 28, 28))
    out = np.empty_like(x.data)
    return LowerBound(x.relu, lambda: np.maximum(x.data, 0, out=out))


def relu_backward() -> LowerBound:
    """Return the backward pass of relu and its lower bound, np.multiply, on 1.6 million floats."""
    x = Tensor(_draw(64, 28, 28, 32), requires_grad=True)
    y, upstream = x.relu(), Tensor.from_numpy(_draw(64, 28, 28, 32))
    factor, out = _draw(64, 28, 28, 32), np.empty_like(x.data)
    return LowerBound(
        lambda: y.gradient(x, gradient=upstream),
        lambda: np.multiply(upstream.data, factor, out=out),
    )


def add() -> LowerBound:
    """Return addition and its lower bound, np.add, on 1.6 million floats."""
    x = Tensor.from_numpy(_image(64, 32, 28, 28))
    y = Tensor.from_numpy(_image(64, 32, 28, 28))
    out = np.empty_like(x.data)
    return LowerBound(lambda: x + y, lambda: np.add(x.data, y.data, out=out))


def mul() -> LowerBound:
    """Return multiplication and its lower bound, np.multiply, on 1.6 million floats."""
    x = Tensor.from_numpy(_image(64, 32, 28, 28))
    y = Tensor.from_numpy(_image(64, 32, 28, 28))
    out = np.empty_like(x.data)
    return LowerBound(lambda: x * y, lambda: np.multiply(x.data, y.data, out=out))


def max_pool() -> LowerBound:
    """Return 2x2 max_pool2d and its lower bound, three np.maximum calls on the window entries.

    The input has 1.6 million floats.
    """
    x = Tensor.from_numpy(_image(64, 32, 28, 28))
    corners = [x.data[:, :, row::2, column::2] for row in (0, 1) for column in (0, 1)]
    top, bottom = np.empty_like(corners[0]), np.empty_like(corners[0])

    def bare() -> None:
        np.maximum(corners[0], corners[1], out=top)
        np.maximum(corners[2], corners[3], out=bottom)
        np.maximum(top, bottom, out=top)

    return LowerBound(lambda: x.max_pool2d(2), bare)


LOWER_BOUNDS: dict[str, tuple[Callable[[], LowerBound], str]] = {
    "conv2d": (conv_forward, "1 GEMM"),
    "conv2d backward": (conv_backward, "2 GEMMs"),
    "linear": (linear, "1 GEMM"),
    "relu": (relu, "1 ufunc"),
    "relu backward": (relu_backward, "1 ufunc"),
    "add": (add, "1 ufunc"),
    "mul": (mul, "1 ufunc"),
    "max_pool2d": (max_pool, "3 ufuncs"),
}
