"""Ops beside PyTorch's at random sizes and options: values, gradients, second gradients."""

import numpy as np
import pytest

from tinygrad_np import Tensor
from tinygrad_np.errors import GraphError

torch = pytest.importorskip("torch", reason="torch is not installed: pip install -e '.[oracle]'")

pytestmark = pytest.mark.slow

F = torch.nn.functional


def ints(generator, low, high, count=2):
    """Return integers from low up to below high."""
    return tuple(int(n) for n in generator.integers(low, high, count))


def normal(generator, *shape):
    """Return normal numbers."""
    return generator.standard_normal(shape)


def few(generator, *shape):
    """Return small whole numbers: ties and zeros are many."""
    return generator.integers(-2, 3, shape).astype(float)


def conv2d(generator):
    """Any stride, padding, dilation and groups with which a window fits."""
    batch, channels, outs = ints(generator, 1, 4, 3)
    groups = int(generator.integers(1, 3))
    size, kernel = ints(generator, 7, 11), ints(generator, 1, 4)
    stride, padding, dilation = (ints(generator, *r) for r in ((1, 4), (0, 4), (1, 3)))
    arrays = [
        normal(generator, batch, channels * groups, *size),
        normal(generator, outs * groups, channels, *kernel),
        normal(generator, outs * groups),
    ]
    options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    return (
        lambda x, weight, bias: x.conv2d(weight, bias, **options),
        lambda x, weight, bias: F.conv2d(x, weight, bias, **options),
        arrays,
    )


def pool(name):
    """Any window, stride and padding; whole numbers, so that winners tie."""

    def make(generator):
        kernel, stride = ints(generator, 1, 4), ints(generator, 1, 4)
        padding = tuple(int(generator.integers(0, r // 2 + 1)) for r in kernel)
        return (
            lambda x: getattr(x, name)(kernel, stride, padding),
            lambda x: getattr(F, name)(x, kernel, stride, padding),
            [few(generator, 2, 2, *ints(generator, 5, 9))],
        )

    return make


def cross_entropy(generator):
    """Class indices, all reductions, with and without smoothing, two and more axes."""
    shape = (3, 4) if generator.random() < 0.5 else (2, 4, 3, 2)
    target = generator.integers(0, 4, shape[:1] + shape[2:])
    options = {
        "reduction": str(generator.choice(["mean", "sum", "none"])),
        "label_smoothing": float(generator.choice([0.0, 0.1])),
    }
    return (
        lambda x: x.cross_entropy(target, **options),
        lambda x: F.cross_entropy(x, torch.tensor(target), **options),
        [normal(generator, *shape)],
    )


def probabilities(generator):
    """Targets that are probabilities, and depend on what is differentiated."""
    return (
        lambda x, t: x.cross_entropy(t.softmax(1)),
        lambda x, t: F.cross_entropy(x, t.softmax(1)),
        [normal(generator, 3, 4), normal(generator, 3, 4)],
    )


def matmul(generator):
    """Vectors, matrices and stacks of them."""
    shapes = [((4,), (4,)), ((2, 3, 4), (4,)), ((4,), (2, 4, 3)), ((2, 3, 4), (4, 5))]
    left, right = shapes[int(generator.integers(len(shapes)))]

    def multiply(a, b):
        return a @ b

    return multiply, multiply, [normal(generator, *left), normal(generator, *right)]


def same(function, *shapes, draw=normal):
    """An expression that both sides write alike."""
    return lambda generator: (function, function, [draw(generator, *shape) for shape in shapes])


CASES = {
    "conv2d": conv2d,
    "max_pool2d": pool("max_pool2d"),
    "avg_pool2d": pool("avg_pool2d"),
    "cross_entropy": cross_entropy,
    "probabilities": probabilities,
    "matmul": matmul,
    "arithmetic": same(lambda a, b: (a * b - a) / (b * b + 1) + 2 / (a * a + 1), (2, 3), (3,)),
    "functions": same(lambda x: x.sigmoid() * x.tanh() / (x * x + 1).sqrt() + (-x).exp(), (5,)),
    "log": same(lambda x: (x * x + 0.1).log(), (2, 3)),
    "relu": same(lambda x: x.relu() * x, (3, 4), draw=few),
    "maximum": same(lambda a, b: a.maximum(b) * a, (3, 4), (4,), draw=few),
    "amax": lambda generator: (
        lambda x: x.max(axis=1) * 2,
        lambda x: x.amax(1) * 2,
        [few(generator, 3, 4)],
    ),
    "power": same(lambda a, b: (a * a + 0.5) ** b, (3, 4), (4,), draw=few),
    "powers of two": same(lambda x: 2.0**x + x**2 + x**0, (3, 4), draw=few),
    "softmax": same(lambda x: x.softmax(1) * x, (3, 4)),
    "log_softmax": same(lambda x: x.log_softmax(0), (3, 4)),
    "mean": same(lambda x: x.mean(1) * x.sum(1), (3, 4)),
    "shapes": same(lambda x: x.reshape(4, 3).permute(1, 0)[1:, ::2] * x.T[:1, :2], (3, 4)),
    "indexing": same(lambda x: x[[0, 2, 2]] * x[:, [1, 1, 0, 3]], (3, 4)),
}


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("name", CASES)
def test_beside_pytorch(name, seed):
    generator = np.random.default_rng(seed)
    function, reference, arrays = CASES[name](generator)
    ours = [Tensor(array, requires_grad=True) for array in arrays]
    theirs = [torch.tensor(array, requires_grad=True) for array in arrays]
    out, expected = function(*ours), reference(*theirs)
    agree([out], [expected])

    upstream = generator.standard_normal(out.shape)
    grads = out.gradient(*ours, gradient=Tensor(upstream), create_graph=True)
    expected_grads = torch.autograd.grad(
        expected, theirs, torch.tensor(upstream), create_graph=True
    )
    agree(grads, expected_grads)

    squares = sum((grad * grad).sum() for grad in grads)
    expected_squares = sum((grad * grad).sum() for grad in expected_grads)
    if not squares.requires_grad:
        return  # linear: the gradients do not depend on the point
    seconds = torch.autograd.grad(expected_squares, theirs, allow_unused=True)
    for tensor, second in zip(ours, seconds, strict=True):
        try:
            (found,) = squares.gradient(tensor)
        except GraphError:
            assert second is None or not second.any()
        else:
            agree([found], [torch.zeros(tensor.shape) if second is None else second])


def agree(found, expected):
    """Hold arrays beside PyTorch's, shape and dtype too."""
    for ours, theirs in zip(found, expected, strict=True):
        reference = theirs.detach().numpy()
        assert (ours.shape, ours.dtype) == (reference.shape, reference.dtype)
        np.testing.assert_allclose(ours.data, reference, rtol=1e-9, atol=1e-11)
