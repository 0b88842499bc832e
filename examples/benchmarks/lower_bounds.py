"""Lower bounds for ops: the bare GEMM or ufunc calls that NumPy needs for the same result."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from benchmarks.timing import Step
from tinygrad_np import Tensor, nn, ops, optim
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

    return LowerBound(_backward(y, upstream, x, weight), bare)


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


def small_conv_forward() -> LowerBound:
    """Return conv2d of the residual stack and its lower bound, the GEMM in blocks of 256 columns.

    Sizes: 32 channels, 3x3 kernel, 16x16 images, batch 16.
    """
    x, weight = Tensor.from_numpy(_image(16, 32, 16, 16)), Tensor(_draw(32, 32, 3, 3))
    columns, matrix = _draw(16, 288, 256), _draw(32, 288)
    out = np.empty((16, 32, 256), np.float32)
    return LowerBound(
        lambda: x.conv2d(weight, padding=1), lambda: np.matmul(matrix, columns, out=out)
    )


def small_conv_backward() -> LowerBound:
    """Return the backward pass of that conv2d and its lower bound, one GEMM per gradient."""
    x = Tensor(_image(16, 32, 16, 16), requires_grad=True)
    weight = Tensor(_draw(32, 32, 3, 3), requires_grad=True)
    y, upstream = x.conv2d(weight, padding=1), Tensor.from_numpy(_image(16, 32, 16, 16))
    columns, matrix, grad = _draw(16, 288, 256), _draw(288, 32), _draw(16, 32, 256)
    of_columns, of_matrix = np.empty_like(columns), np.empty((16, 288, 32), np.float32)

    def bare() -> None:
        np.matmul(matrix, grad, out=of_columns)
        np.matmul(columns, grad.transpose(0, 2, 1), out=of_matrix)

    return LowerBound(_backward(y, upstream, x, weight), bare)


def linear_backward() -> LowerBound:
    """Return the backward pass of linear and its lower bound: 64 to 256 features, 1024 rows."""
    x, weight = (Tensor(_draw(*s), requires_grad=True) for s in ((1024, 64), (256, 64)))
    y, upstream = x.linear(weight), Tensor(_draw(1024, 256))
    grads = np.empty_like(x.data), np.empty_like(weight.data)

    def bare() -> None:
        np.matmul(upstream.data, weight.data, out=grads[0])
        np.matmul(upstream.data.T, x.data, out=grads[1])

    return LowerBound(_backward(y, upstream, x, weight), bare)


def attention() -> LowerBound:
    """Return causal attention forward and backward, and its lower bound.

    The bound is 7 stacks of GEMMs and np.exp of the scores, once in each pass. Sizes: batch 16, 4
    heads of 16 features, 64 positions.
    """
    shape = (16, 4, 64, 16)
    q, k, v = (Tensor(_draw(*shape), requires_grad=True) for _ in range(3))
    upstream, rows, scores = Tensor(_draw(*shape)), _draw(*shape), _draw(16, 4, 64, 64)
    of_rows, of_scores = np.empty_like(rows), np.empty_like(scores)

    def step() -> None:
        q.grad = k.grad = v.grad = None
        q.scaled_dot_product_attention(k, v, is_causal=True).backward(upstream)

    def bare() -> None:
        for _ in range(3):
            np.matmul(rows, rows.swapaxes(2, 3), out=of_scores)
        for _ in range(4):
            np.matmul(scores, rows, out=of_rows)
        for _ in range(2):
            np.exp(scores, out=of_scores)

    return LowerBound(step, bare)


def layer_norm() -> LowerBound:
    """Return layer_norm of 1024 rows of 64 floats and its lower bound.

    The bound is two sums per row, a multiplication and an addition.
    """
    x, weight, bias = Tensor(_draw(1024, 64)), Tensor(_draw(64)), Tensor(_draw(64))
    ones, scale, out = np.ones(64, np.float32), _draw(1024, 1), np.empty((1024, 64), np.float32)

    def bare() -> None:
        np.vecdot(x.data, ones)
        np.vecdot(x.data, x.data)
        np.multiply(x.data, scale, out=out)
        np.add(out, bias.data, out=out)

    return LowerBound(lambda: ops.layer_norm(x, weight, bias, eps=1e-5), bare)


def gelu() -> LowerBound:
    """Return gelu and its lower bound, np.tanh, on 262,144 floats."""
    x = Tensor(_draw(1024, 256))
    out = np.empty_like(x.data)
    return LowerBound(x.gelu, lambda: np.tanh(x.data, out=out))


def lstm() -> LowerBound:
    """Return an LSTM over 32 steps, forward and backward, and its lower bound.

    The bound is the products with weight_hh, one per step and pass, those with weight_ih and for
    the weight gradients, and np.exp and np.tanh of the gates. Sizes: batch 32, 32 to 128.
    """
    layer = nn.LSTM(32, 128, generator=np.random.default_rng(0))
    x, upstream = Tensor(_draw(32, 32, 32), requires_grad=True), Tensor(_draw(32, 32, 128))
    weight, h, gates = _draw(512, 128), _draw(128, 32), _draw(512, 32)
    of_gates, of_h, all_gates = np.empty_like(gates), np.empty_like(h), _draw(512, 1024)
    inputs, states, from_x = _draw(1024, 32), _draw(1024, 128), _draw(512, 32)

    def step() -> None:
        layer.zero_grad()
        x.grad = None
        layer(x)[0].backward(upstream)

    def bare() -> None:
        for _ in range(32):
            np.matmul(weight, h, out=of_gates)
            np.exp(gates, out=of_gates)
            np.tanh(gates[:256], out=of_gates[:256])
            np.matmul(weight.T, gates, out=of_h)
        np.matmul(from_x, inputs.T)
        np.matmul(all_gates, inputs)
        np.matmul(all_gates, states)
        np.matmul(all_gates.T, from_x)

    return LowerBound(step, bare)


def adam() -> LowerBound:
    """Return a step of Adam on 200,704 weights and its lower bound, 7 passes over memory."""
    weight = nn.Parameter(_draw(256, 784))
    weight.grad = Tensor(_draw(256, 784))
    optimizer = optim.Adam([weight])
    arrays = [_draw(256, 784) for _ in range(3)]

    def bare() -> None:
        for _ in range(7):
            np.multiply(arrays[0], arrays[1], out=arrays[2])

    return LowerBound(optimizer.step, bare)


def _backward(y: Tensor, upstream: Tensor, *inputs: Tensor) -> Step:
    def backward() -> None:
        for tensor in inputs:
            tensor.grad = None
        y.backward(upstream, retain_graph=True)

    return backward


LOWER_BOUNDS: dict[str, tuple[Callable[[], LowerBound], str]] = {
    "conv2d": (conv_forward, "1 GEMM"),
    "conv2d backward": (conv_backward, "2 GEMMs"),
    "linear": (linear, "1 GEMM"),
    "relu": (relu, "1 ufunc"),
    "relu backward": (relu_backward, "1 ufunc"),
    "add": (add, "1 ufunc"),
    "mul": (mul, "1 ufunc"),
    "max_pool2d": (max_pool, "3 ufuncs"),
    "conv2d 32": (small_conv_forward, "1 GEMM"),
    "conv2d 32 backward": (small_conv_backward, "2 GEMMs"),
    "linear backward": (linear_backward, "2 GEMMs"),
    "attention": (attention, "7 GEMMs, 2 exp"),
    "layer_norm": (layer_norm, "4 passes"),
    "gelu": (gelu, "1 tanh"),
    "lstm": (lstm, "GEMMs, exp, tanh"),
    "adam": (adam, "7 passes"),
}
