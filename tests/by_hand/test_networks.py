"""Networks by hand, with small images and few channels, compared with central differences."""

import numpy as np
import pytest

from tests.by_hand import im2col, loops, networks
from tests.by_hand.cases import disagreements
from tests.tools import each

# Weight shapes by layer, for images (N, 1, 8, 8).
TWO_CONV = {"conv1": (2, 1, 3, 3), "conv2": (3, 2, 3, 3), "fc1": (5, 12), "fc2": (4, 5)}
ONE_CONV_TWO_LINEAR = {"conv": (2, 1, 3, 3), "fc1": (5, 32), "fc2": (4, 5)}
ONE_CONV_ONE_LINEAR = {"conv": (2, 1, 3, 3), "fc": (4, 32)}


def with_dropout(layers, weights, images, labels):
    """Backpropagate through the two-convolution network with two dropped hidden units per image."""
    kept = np.array([[1, 0, 1, 1, 0], [0, 1, 1, 0, 1]], bool)
    return networks.two_conv(layers, weights, images, labels, kept)


NETWORKS = each(
    ("network", "shapes"),
    [
        (networks.two_conv, TWO_CONV),
        (with_dropout, TWO_CONV),
        (networks.one_conv_two_linear, ONE_CONV_TWO_LINEAR),
        (networks.one_conv_one_linear, ONE_CONV_ONE_LINEAR),
    ],
)


def draw(shapes, seed):
    """Return random weights, images and labels."""
    generator = np.random.default_rng(seed)
    weights = {}
    for name, shape in shapes.items():
        weights[f"{name}.weight"] = 0.5 * generator.standard_normal(shape)
        weights[f"{name}.bias"] = 0.5 * generator.standard_normal(shape[0])
    images = generator.standard_normal((2, 1, 8, 8))
    labels = generator.integers(0, 4, 2)
    return weights, images, labels


@NETWORKS
def test_networks_with_loops_match_im2col(network, shapes):
    weights, images, labels = draw(shapes, seed=0)
    found = network(im2col, weights, images, labels)
    assert disagreements(found, network(loops, weights, images, labels), 1e-12) == {}


@NETWORKS
def test_gradients_of_networks_match_central_differences(network, shapes):
    """The derivative of the loss along the gradient of each array is the norm of the gradient."""
    weights, images, labels = draw(shapes, seed=0)
    _, gradients, grad_images = network(im2col, weights, images, labels)
    assert gradients.keys() == weights.keys()
    step = 1e-6
    for name, grad in {**gradients, "images": grad_images}.items():
        direction = grad / np.linalg.norm(grad)
        losses = []
        for move in (step * direction, -step * direction):
            moved = {**weights, "images": images}
            moved[name] = moved[name] + move
            losses.append(network(im2col, moved, moved["images"], labels)[0])
        slope = (losses[0] - losses[1]) / (2 * step)
        assert slope == pytest.approx(np.linalg.norm(grad), rel=1e-7), name


def test_sgd_step_adds_momentum():
    """The second step adds 0.9 times the velocity of the first."""
    weights, gradients = {"w": np.array([1.0])}, {"w": np.array([2.0])}
    velocities = networks.no_velocities(weights)
    weights, velocities = networks.sgd_step(weights, velocities, gradients, 0.1, 0.9)
    assert weights["w"] == pytest.approx([0.8])
    weights, velocities = networks.sgd_step(weights, velocities, gradients, 0.1, 0.9)
    assert velocities["w"] == pytest.approx([3.8])
    assert weights["w"] == pytest.approx([0.42])
