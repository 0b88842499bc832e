"""Layers by hand: loops compared with im2col, and both with central differences."""

import numpy as np
import pytest

from tests.by_hand import im2col, loops
from tests.tools import each, normal

BOTH = pytest.mark.parametrize("layers", [loops, im2col], ids=["loops", "im2col"])

# x (N, C, H, W), weight (K, C, R, S), padding.
CONVOLUTIONS = [
    ((2, 2, 4, 5), (3, 2, 3, 3), 1),
    ((2, 2, 5, 4), (3, 2, 3, 2), 0),
    ((1, 1, 3, 3), (1, 1, 1, 1), 0),
    ((1, 2, 4, 4), (2, 2, 3, 3), 2),
    ((1, 1, 2, 2), (1, 1, 5, 5), 2),
    ((3, 1, 4, 3), (2, 1, 4, 3), 0),
]
POOLINGS = [(2, 3, 4, 6), (1, 2, 5, 7), (1, 1, 2, 2), (3, 1, 2, 3)]


def apart(seed, *shape):
    """Return numbers in random order, at least 0.1 apart from each other and from 0."""
    size = int(np.prod(shape))
    values = 0.2 * (np.arange(size) - size // 2) + 0.1
    return np.random.default_rng(seed).permutation(values).reshape(shape)


def central_differences(function, x, step=1e-5):
    """Return the gradient of a scalar function by small steps in each entry of x."""
    grad = np.zeros(x.shape)
    for index in np.ndindex(x.shape):
        up, down = x.copy(), x.copy()
        up[index] += step
        down[index] -= step
        grad[index] = (function(up) - function(down)) / (2 * step)
    return grad


def close(found, expected, tolerance=1e-12):
    """Assert equal shapes, and equal entries up to `tolerance`, relative or absolute."""
    assert np.shape(found) == np.shape(expected)
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)


def drawn(*shapes):
    """Return random arrays of the given shapes."""
    return [normal(*shape, seed=seed) for seed, shape in enumerate(shapes)]


def close_to_differences(found, function, arrays):
    """Assert that gradients match central differences of `function` in each array."""
    for position, grad in enumerate(found):

        def moved(array, position=position):
            return function(*arrays[:position], array, *arrays[position + 1 :])

        close(grad, central_differences(moved, arrays[position]), 1e-8)


EACH_CONVOLUTION = each(("x_shape", "weight_shape", "padding"), CONVOLUTIONS)


@EACH_CONVOLUTION
def test_conv2d_loops_match_im2col(x_shape, weight_shape, padding):
    x, weight, bias = drawn(x_shape, weight_shape, weight_shape[:1])
    out = loops.conv2d(x, weight, bias, padding)
    close(im2col.conv2d(x, weight, bias, padding), out)
    grad_out = normal(*out.shape, seed=3)
    expected = loops.conv2d_backward(grad_out, x, weight, padding)
    found = im2col.conv2d_backward(grad_out, x, weight, padding)
    for a, b in zip(found, expected, strict=True):
        close(a, b)


@BOTH
@EACH_CONVOLUTION
def test_conv2d_gradients_match_central_differences(layers, x_shape, weight_shape, padding):
    x, weight, bias = drawn(x_shape, weight_shape, weight_shape[:1])
    grad_out = normal(*layers.conv2d(x, weight, bias, padding).shape, seed=3)  # N, K, P, Q

    # The forward pass of im2col is checked against the loops above and is faster.
    def loss(x, weight, bias):
        return np.sum(grad_out * im2col.conv2d(x, weight, bias, padding))

    found = layers.conv2d_backward(grad_out, x, weight, padding)
    close_to_differences(found, loss, (x, weight, bias))


@each("shape", POOLINGS)
def test_max_pool2d_loops_match_im2col(shape):
    """Outputs and gradients are equal, also with many ties."""
    tied = np.random.default_rng(0).integers(0, 3, shape).astype(np.float64)
    for x in (normal(*shape), tied, np.zeros(shape)):
        out = loops.max_pool2d(x)
        close(im2col.max_pool2d(x), out)
        grad_out = normal(*out.shape, seed=1)
        close(im2col.max_pool2d_backward(grad_out, x), loops.max_pool2d_backward(grad_out, x))


@BOTH
@each("shape", POOLINGS)
def test_max_pool2d_gradient_matches_central_differences(layers, shape):
    """The steps are too small to change a maximum."""
    x = apart(0, *shape)
    grad_out = normal(*layers.max_pool2d(x).shape, seed=1)  # N, C, P, Q
    found = layers.max_pool2d_backward(grad_out, x)
    close_to_differences([found], lambda x: np.sum(grad_out * layers.max_pool2d(x)), [x])


@BOTH
def test_max_pool2d_tie_sends_the_gradient_to_the_first_entry(layers):
    """The first of equal entries, row by row, receives the whole gradient."""
    x = np.array([[[[1.0, 5.0, 2.0], [5.0, 5.0, 9.0]]]])  # 1, 1, 2, 3
    grad_out = np.array([[[[7.0]]]])  # 1, 1, 1, 1
    np.testing.assert_array_equal(layers.max_pool2d(x), [[[[5.0]]]])
    grad_x = layers.max_pool2d_backward(grad_out, x)
    np.testing.assert_array_equal(grad_x, [[[[0.0, 7.0, 0.0], [0.0, 0.0, 0.0]]]])


@BOTH
def test_linear_loops_match_matrix_products(layers):
    """Loops and matrix products agree, and derived gradients match central differences."""
    x, weight, bias, grad_out = drawn((3, 4), (5, 4), (5,), (3, 5))
    close(layers.linear(x, weight, bias), loops.linear(x, weight, bias))
    found = layers.linear_backward(grad_out, x, weight)
    for a, b in zip(found, loops.linear_backward(grad_out, x, weight), strict=True):
        close(a, b)

    def loss(x, weight, bias):
        return np.sum(grad_out * layers.linear(x, weight, bias))

    close_to_differences(found, loss, (x, weight, bias))


@BOTH
def test_relu_gradient_passes_only_above_zero(layers):
    """The gradient passes where x > 0, matches central differences, and is 0 at 0."""
    x, grad_out = apart(0, 2, 3, 2), normal(2, 3, 2)
    close(layers.relu(x), np.where(x > 0, x, 0.0))
    found = layers.relu_backward(grad_out, x)
    close_to_differences([found], lambda x: np.sum(grad_out * layers.relu(x)), [x])
    at_zero = layers.relu_backward(np.ones(3), np.array([-1.0, 0.0, 1.0]))
    np.testing.assert_array_equal(at_zero, [0.0, 0.0, 1.0])


@each("scale", [1.0, 30.0, 1000.0])
def test_cross_entropy_loops_match_im2col(scale):
    """Large logits do not overflow."""
    arguments = scale * normal(4, 5), np.array([0, 4, 2, 2])
    close(im2col.cross_entropy(*arguments), loops.cross_entropy(*arguments))
    close(im2col.cross_entropy_backward(*arguments), loops.cross_entropy_backward(*arguments))


@BOTH
def test_cross_entropy_gradient_matches_central_differences(layers):
    """Derived gradients match central differences; the loss of M equal logits is log M."""
    logits, labels = normal(4, 5), np.array([0, 4, 2, 2])
    found = layers.cross_entropy_backward(logits, labels)
    close_to_differences([found], lambda logits: layers.cross_entropy(logits, labels), [logits])
    close(layers.cross_entropy(np.zeros((2, 10)), np.array([3, 7])), np.log(10))
