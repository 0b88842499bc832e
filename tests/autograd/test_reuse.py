"""A backward writes over gradients that it alone holds: nothing that others hold may change."""

import numpy as np
import pytest

from tinygrad_np import Tensor, nn


def block(x, weight, bias):
    """Return what goes through relu several times, between ops whose gradients are fresh."""
    hidden = x.conv2d(weight, bias, padding=1)
    first = hidden.relu()
    pooled = first.max_pool2d(2).relu()
    # Used twice, each: by another relu, by itself and by the sum at the end.
    again = (first.relu() * first).max_pool2d(2).relu()
    # The mean gives also what is 0 a gradient.
    everywhere = first.avg_pool2d(2)
    return hidden, first, pooled, (pooled * again + again.relu() + everywhere).relu()


def leaves(seed=0):
    generator = np.random.default_rng(seed)
    shapes = [(2, 3, 8, 8), (4, 3, 3, 3), (4,)]
    return [Tensor(generator.standard_normal(shape), requires_grad=True) for shape in shapes]


def grads_of(tensors):
    return [tensor.grad.data.copy() for tensor in tensors]


def test_it_gives_what_hooks_prevent_it_from():
    """A hook keeps the gradient it is shown, so that nothing is written over."""
    plain, watched = leaves(), leaves()
    block(*plain)[-1].sum().backward()
    stages = block(*watched)
    kept = []
    for stage in stages:
        stage.register_hook(kept.append)
        stage.retain_grad()
    stages[-1].sum().backward()
    for got, expected in zip(grads_of(plain), grads_of(watched), strict=True):
        np.testing.assert_array_equal(got, expected)
    # Hooks come newest first; what they were shown is still what it was.
    for stage, grad in zip(reversed(stages), kept, strict=True):
        np.testing.assert_array_equal(grad.data, stage.grad.data)


def test_a_kept_graph_gives_the_same_twice():
    tensors = leaves()
    out = block(*tensors)[-1].sum()
    out.backward(retain_graph=True)
    once = grads_of(tensors)
    out.backward()
    for twice, grad in zip(grads_of(tensors), once, strict=True):
        np.testing.assert_allclose(twice, 2 * grad, rtol=1e-12)


def test_the_gradient_that_is_given_stays():
    upstream = np.random.default_rng(0).standard_normal((2, 4, 4, 4))
    before = upstream.copy()
    block(*leaves())[-1].backward(upstream)
    np.testing.assert_array_equal(upstream, before)


def test_targets_within_the_graph_keep_their_gradients():
    tensors = leaves()
    hidden, first, pooled, out = block(*tensors)
    total = out.sum()
    together = total.gradient(hidden, first, pooled, *tensors)
    for target, grad in zip([hidden, first, pooled, *tensors], together, strict=True):
        np.testing.assert_allclose(grad.data, total.gradient(target)[0].data, rtol=1e-12)


@pytest.mark.parametrize("create_graph", [False, True])
def test_a_deep_network_has_the_gradients_of_central_differences(create_graph):
    generator = np.random.default_rng(0)
    model = nn.Sequential(
        nn.Conv2d(1, 2, 3, padding=1, generator=generator),
        nn.BatchNorm2d(2),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(8, 3, generator=generator),
        nn.ReLU(),
        nn.Linear(3, 2, generator=generator),
    ).astype(np.float64)
    images = Tensor(generator.standard_normal((5, 1, 4, 4)))
    model(images).square().sum().backward(create_graph=create_graph)
    for parameter in model.parameters():
        expected = np.empty(parameter.shape)
        for place in np.ndindex(parameter.shape):
            kept, ends = parameter.data[place], []
            for step in (1e-6, -1e-6):
                parameter.data[place] = kept + step
                ends.append(model(images).square().sum().item())
            parameter.data[place] = kept
            expected[place] = (ends[0] - ends[1]) / 2e-6
        np.testing.assert_allclose(parameter.grad.data, expected, rtol=1e-5, atol=1e-7)
