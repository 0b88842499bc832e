"""Convolution: transposes, strides, zero channels, and a tutorial's examples."""

import numpy as np
import pytest

from tests.tools import normal
from tinygrad_np import Tensor
from tinygrad_np.kernels import conv as kernels


def test_conv_transpose2d_is_the_adjoint_of_conv2d():
    """⟨conv(x), y⟩ = ⟨x, conv_transpose(y)⟩, for all options at once."""
    options = {"stride": (2, 3), "padding": (0, 2, 1, -1), "dilation": (1, 2), "groups": 2}
    x, weight = Tensor(normal(2, 4, 8, 9)), Tensor(normal(6, 2, 3, 2))
    out = x.conv2d(weight, **options)
    y = Tensor(normal(*out.shape))
    back = y.conv_transpose2d(weight, **options, output_padding=(1, 2))
    assert back.shape == x.shape
    np.testing.assert_allclose((out * y).sum().item(), (x * back).sum().item(), rtol=1e-12)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("channels", [(0, 3), (3, 0)])
def test_convolution_accepts_zero_channels(channels, stride):
    """Without input channels the output is 0; without output channels it is empty."""
    before, after = channels
    x = Tensor(np.ones((2, before, 4, 4)), requires_grad=True)
    weight = Tensor(np.ones((after, before, 3, 3)), requires_grad=True)
    out = x.conv2d(weight, stride=stride)
    assert out.shape[1] == after
    assert not out.numpy().any()
    out.sum().backward()
    assert (x.grad.shape, weight.grad.shape) == (x.shape, weight.shape)
    assert not x.grad.numpy().any()


def test_conv2d_matches_the_tutorial_examples():
    """A kernel that sums a column, with and without padding, and a kernel of ones."""
    x = Tensor([[[[255.0, 1.0, 2.0]] * 3]])
    kernel = Tensor([[[[0.0, 1.0, 0.0]] * 3]])
    assert x.conv2d(kernel).tolist() == [[[[3]]]]
    assert x.conv2d(kernel, padding=1).tolist() == [
        [[[510, 2, 4], [765, 3, 6], [510, 2, 4]]],
    ]
    ones = Tensor.ones(1, 1, 8, 8).conv2d(Tensor.ones(1, 1, 5, 5), stride=3)
    assert ones.tolist() == [[[[25, 25], [25, 25]]]]


def test_the_gradient_of_images_alone_computes_no_weight_gradient(monkeypatch):
    x = Tensor(normal(2, 3, 5, 5), requires_grad=True)
    weight = Tensor(normal(4, 3, 3, 3), requires_grad=True)
    total = x.conv2d(weight).sum()
    (expected,) = total.gradient(x, create_graph=True)
    monkeypatch.setattr(kernels, "_weight_part", None)
    (found,) = total.gradient(x)
    np.testing.assert_allclose(found.numpy(), expected.detach().numpy(), rtol=1e-5)
