"""The networks by hand, on small images and few channels, against central differences."""

import numpy as np
import pytest

from tests.by_hand import im2col, loops, networks
from tests.by_hand.cases import disagreements

# For images (N, 1, 8, 8): the network, and the shapes of its weights.
TWO_CONV = {
    "conv1.weight": (2, 1, 3, 3),
    "conv1.bias": (2,),
    "conv2.weight": (3, 2, 3, 3),
    "conv2.bias": (3,),
    "fc1.weight": (5, 12),
    "fc1.bias": (5,),
    "fc2.weight": (4, 5),
    "fc2.bias": (4,),
}
ONE_CONV_TWO_LINEAR = {
    "conv.weight": (2, 1, 3, 3),
    "conv.bias": (2,),
    "fc1.weight": (5, 32),
    "fc1.bias": (5,),
    "fc2.weight": (4, 5),
    "fc2.bias": (4,),
}
ONE_CONV_ONE_LINEAR = {
    "conv.weight": (2, 1, 3, 3),
    "conv.bias": (2,),
    "fc.weight": (4, 32),
    "fc.bias": (4,),
}


def with_dropout(layers, weights, images, labels):
    """Backpropagate the network of two convolutions with two hidden units of each image dropped."""
    kept = np.array([[1, 0, 1, 1, 0], [0, 1, 1, 0, 1]], bool)
    return networks.two_conv(layers, weights, images, labels, kept)


NETWORKS = pytest.mark.parametrize(
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
    weights = {name: 0.5 * generator.standard_normal(shape) for name, shape in shapes.items()}
    images = generator.standard_normal((2, 1, 8, 8))
    labels = generator.integers(0, 4, 2)
    return weights, images, labels


@NETWORKS
def test_networks_two_ways(network, shapes):
    """On loops and on im2col the network has one loss and one set of gradients."""
    weights, images, labels = draw(shapes, seed=0)
    found = network(im2col, weights, images, labels)
    assert disagreements(found, network(loops, weights, images, labels), 1e-12) == {}


@NETWORKS
def test_networks_gradients(network, shapes):
    """Moving any one array along its gradient changes the loss by the gradient's length."""
    weights, images, labels = draw(shapes, seed=0)
    _, gradients, grad_images = network(im2col, weights, images, labels)
    assert gradients.keys() == weights.keys()
    step = 1e-6
    for name, grad in {**gradients, "images": grad_images}.items():
        direction = grad / np.linalg.norm(grad)
        losses = []
        for move in (step * direction, -step * direction):
            if name == "images":
                loss, _, _ = network(im2col, weights, images + move, labels)
            else:
                moved = {**weights, name: weights[name] + move}
                loss, _, _ = network(im2col, moved, images, labels)
            losses.append(loss)
        slope = (losses[0] - losses[1]) / (2 * step)
        assert slope == pytest.approx(np.linalg.norm(grad), rel=1e-7), name


def test_sgd_step():
    """Two steps of one weight: the second adds 0.9 of the first's velocity."""
    weights, gradients = {"w": np.array([1.0])}, {"w": np.array([2.0])}
    velocities = networks.no_velocities(weights)
    weights, velocities = networks.sgd_step(weights, velocities, gradients, 0.1, 0.9)
    assert weights["w"] == pytest.approx([0.8])
    weights, velocities = networks.sgd_step(weights, velocities, gradients, 0.1, 0.9)
    assert velocities["w"] == pytest.approx([3.8])
    assert weights["w"] == pytest.approx([0.42])
