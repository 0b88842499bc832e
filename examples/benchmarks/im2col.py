"""A hand-written NumPy training step of MnistCNN with im2col, as courses teach it.

The layout is channels first, every intermediate result is a new array, and the backward pass is
written out by hand, with col2im to sum the columns back into pixels. im2col comes in two variants:
a loop over the kernel entries, and fancy indexing, with `np.add.at` in col2im.

Shape letters: N images, C input channels, K output channels, H x W image, R x S kernel.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from benchmarks.timing import Step
from tinygrad_np.runtime.memory import Array

Arrays = dict[str, Array]
# An im2col function and its col2im.
Way = tuple[Callable[[Array, int], Array], Callable[[Array, tuple[int, ...], int], Array]]
DROPOUT = 0.25


def training_step(
    weights: Mapping[str, Array], images: Array, labels: Array, by_indices: bool = False
) -> Step:
    """Return a function that runs one step of SGD with momentum.

    It updates `weights` in place; they are named as in MnistCNN.
    """
    generator = np.random.default_rng(0)
    velocities = {name: np.zeros_like(weight) for name, weight in weights.items()}
    hidden = len(weights["fc1.bias"])
    way = INDICES if by_indices else LOOPS

    def step() -> None:
        kept = generator.random((len(images), hidden), dtype=np.float32) >= DROPOUT
        gradients = backpropagate(weights, images, labels, kept / np.float32(1 - DROPOUT), way)
        for name, weight in weights.items():
            velocities[name] = 0.9 * velocities[name] + gradients[name]
            weight -= 0.01 * velocities[name]

    return step


def backpropagate(
    weights: Mapping[str, Array], images: Array, labels: Array, factor: Array, way: Way
) -> Arrays:
    """Return the gradients of the mean cross-entropy; `factor` (N, hidden) is the dropout mask."""
    conv1, cols1 = conv_forward(images, weights["conv1.weight"], weights["conv1.bias"], way)
    relu1 = np.maximum(conv1, 0)
    pool1, winners1 = pool_forward(relu1)
    conv2, cols2 = conv_forward(pool1, weights["conv2.weight"], weights["conv2.bias"], way)
    relu2 = np.maximum(conv2, 0)
    pool2, winners2 = pool_forward(relu2)
    flat = pool2.reshape(len(images), -1)
    fc1 = flat @ weights["fc1.weight"].T + weights["fc1.bias"]
    dropped = np.maximum(fc1, 0) * factor
    logits = dropped @ weights["fc2.weight"].T + weights["fc2.bias"]

    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    grad = powers / powers.sum(axis=1, keepdims=True)
    grad[np.arange(len(labels)), labels] -= 1
    grad /= len(labels)

    found = {"fc2.weight": grad.T @ dropped, "fc2.bias": grad.sum(axis=0)}
    grad = (grad @ weights["fc2.weight"]) * factor * (fc1 > 0)
    found |= {"fc1.weight": grad.T @ flat, "fc1.bias": grad.sum(axis=0)}
    grad = (grad @ weights["fc1.weight"]).reshape(pool2.shape)
    grad = pool_backward(grad, winners2) * (conv2 > 0)
    grad, found["conv2.weight"], found["conv2.bias"] = conv_backward(
        grad, cols2, weights["conv2.weight"], way
    )
    grad = pool_backward(grad, winners1) * (conv1 > 0)
    _, found["conv1.weight"], found["conv1.bias"] = conv_backward(
        grad, cols1, weights["conv1.weight"], way
    )
    return found


def conv_forward(x: Array, weight: Array, bias: Array, way: Way) -> tuple[Array, Array]:
    """Return the convolution, zero-padded to keep H and W, and the im2col columns."""
    images, _, height, width = x.shape
    columns = way[0](x, weight.shape[2])  # N*H*W, C*R*S
    out = columns @ weight.reshape(len(weight), -1).T + bias  # N*H*W, K
    return out.reshape(images, height, width, -1).transpose(0, 3, 1, 2), columns


def conv_backward(
    grad: Array, columns: Array, weight: Array, way: Way
) -> tuple[Array, Array, Array]:
    """Return the gradients of x, weight and bias, given the output's gradient (N, K, H, W)."""
    images, outs, height, width = grad.shape
    rows = grad.transpose(0, 2, 3, 1).reshape(-1, outs)  # N*H*W, K
    grad_weight = (columns.T @ rows).T.reshape(weight.shape)
    grad_columns = rows @ weight.reshape(outs, -1)  # N*H*W, C*R*S
    grad_x = way[1](grad_columns, (images, weight.shape[1], height, width), weight.shape[2])
    return grad_x, grad_weight, rows.sum(axis=0)


def im2col(x: Array, size: int) -> Array:
    """Return the pixels under the kernel at each position as rows, (N * H * W, C * R * S)."""
    images, channels, height, width = x.shape
    border = size // 2
    padded = np.pad(x, ((0, 0), (0, 0), (border, border), (border, border)))
    columns = np.zeros((images, channels, size, size, height, width), x.dtype)
    for r in range(size):
        for s in range(size):
            columns[:, :, r, s] = padded[:, :, r : r + height, s : s + width]
    return columns.transpose(0, 4, 5, 1, 2, 3).reshape(images * height * width, -1)


def col2im(columns: Array, shape: tuple[int, ...], size: int) -> Array:
    """Return for each pixel of x the sum of the gradients of its copies in the columns."""
    images, channels, height, width = shape
    border = size // 2
    parts = columns.reshape(images, height, width, channels, size, size)
    parts = parts.transpose(0, 3, 4, 5, 1, 2)  # N, C, R, S, H, W
    padded = np.zeros((images, channels, height + 2 * border, width + 2 * border), columns.dtype)
    for r in range(size):
        for s in range(size):
            padded[:, :, r : r + height, s : s + width] += parts[:, :, r, s]
    return padded[:, :, border : border + height, border : border + width]


def places(channels: int, height: int, width: int, size: int) -> tuple[Array, Array, Array]:
    """Return the position in the padded image of each column entry of one image.

    Returns:
        The channels, of shape (C * R * S, 1), and rows and columns, of shape (C * R * S, H * W).
    """
    channel, r, s = (axis.reshape(-1, 1) for axis in np.indices((channels, size, size)))
    row, column = (axis.reshape(1, -1) for axis in np.indices((height, width)))
    return channel, r + row, s + column


def im2col_by_indices(x: Array, size: int) -> Array:
    """Compute `im2col` by fancy indexing."""
    images, channels, height, width = x.shape
    border = size // 2
    padded = np.pad(x, ((0, 0), (0, 0), (border, border), (border, border)))
    columns = padded[(slice(None), *places(channels, height, width, size))]  # N, C*R*S, H*W
    return columns.transpose(0, 2, 1).reshape(images * height * width, -1)


def col2im_by_indices(columns: Array, shape: tuple[int, ...], size: int) -> Array:
    """Compute `col2im` by fancy indexing, with `np.add.at`."""
    images, channels, height, width = shape
    border = size // 2
    parts = columns.reshape(images, height * width, -1).transpose(0, 2, 1)  # N, C*R*S, H*W
    padded = np.zeros((images, channels, height + 2 * border, width + 2 * border), columns.dtype)
    where: Any = (slice(None), *places(channels, height, width, size))
    np.add.at(padded, where, parts)
    return padded[:, :, border : border + height, border : border + width]


LOOPS: Way = (im2col, col2im)
INDICES: Way = (im2col_by_indices, col2im_by_indices)


def pool_forward(x: Array) -> tuple[Array, Array]:
    """Return the maximum of each 2x2 window and its position, 0 to 3, in the window."""
    images, channels, height, width = x.shape
    windows = x.reshape(images, channels, height // 2, 2, width // 2, 2)
    windows = windows.transpose(0, 1, 2, 4, 3, 5).reshape(
        images, channels, height // 2, width // 2, 4
    )
    winners = windows.argmax(axis=-1)
    return np.take_along_axis(windows, winners[..., None], axis=-1)[..., 0], winners


def pool_backward(grad: Array, winners: Array) -> Array:
    """Route each window's gradient to the pixel that was the maximum."""
    images, channels, height, width = grad.shape
    windows = np.zeros((*grad.shape, 4), grad.dtype)
    np.put_along_axis(windows, winners[..., None], grad[..., None], axis=-1)
    windows = windows.reshape(images, channels, height, width, 2, 2).transpose(0, 1, 2, 4, 3, 5)
    return windows.reshape(images, channels, 2 * height, 2 * width)
