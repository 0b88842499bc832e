"""Pooling here and in PyTorch."""

from tests.oracle.cases.tools import few, ints, normal
from tests.oracle.pytorch import F, torch


def windows(generator, rank=2, dilated=False):
    """Return kernel, stride, dilation, padding, ceil_mode, and the shape of an image."""
    kernel, stride = ints(generator, 1, 4, rank), ints(generator, 1, 4, rank)
    dilation = ints(generator, 1, 3, rank) if dilated else (1,) * rank
    padding = tuple(int(generator.integers(0, r // 2 + 1)) for r in kernel)
    ceil_mode = bool(generator.random() < 0.5)
    return kernel, stride, dilation, padding, ceil_mode, (2, 2, *ints(generator, 5, 9, rank))


def max_pool(rank):
    """Return max pooling of integers, so that maxima tie."""

    def make(generator):
        kernel, stride, dilation, padding, ceil_mode, shape = windows(generator, rank, True)
        reference = getattr(F, f"max_pool{rank}d")
        return (
            lambda x: x.max_pool2d(kernel, stride, dilation, padding, ceil_mode),
            lambda x: reference(x, kernel, stride, padding, dilation, ceil_mode),
            [few(generator, *shape)],
        )

    return make


def avg_pool(rank):
    """Return average pooling, with the padding counted or not."""

    def make(generator):
        kernel, stride, _, padding, ceil_mode, shape = windows(generator, rank)
        counted = bool(generator.random() < 0.5)
        reference = getattr(F, f"avg_pool{rank}d")
        return (
            lambda x: x.avg_pool2d(kernel, stride, 1, padding, ceil_mode, counted),
            lambda x: reference(x, kernel, stride, padding, ceil_mode, counted),
            [normal(generator, *shape)],
        )

    return make


def unpool(generator):
    """Return max unpooling, also into a larger image."""
    size = ints(generator, 4, 8)
    image = torch.tensor(normal(generator, 2, 3, *size))
    values, indices = F.max_pool2d(image, 2, return_indices=True)
    return (
        lambda x: x.max_unpool2d(indices.numpy(), 2, output_size=(2, 3, *size)) * x.sum(),
        lambda x: F.max_unpool2d(x, indices, 2, output_size=size) * x.sum(),
        [values.numpy()],
    )


def unpool_line(generator):
    """Return max unpooling with the default output size."""
    image = torch.tensor(normal(generator, 2, 3, 3 * int(generator.integers(2, 5)) + 1))
    values, indices = F.max_pool1d(image, 3, padding=1, return_indices=True)
    return (
        lambda x: x.max_unpool2d(indices.numpy(), (3,), padding=1),
        lambda x: F.max_unpool1d(x, indices, 3, padding=1),
        [values.numpy()],
    )


def adaptive(rank):
    """Return adaptive pooling to smaller, larger and equal sizes."""

    def make(generator):
        sizes = tuple(None if n == 0 else n for n in ints(generator, 0, 9, rank))
        reference = getattr(F, f"adaptive_avg_pool{rank}d")
        image = normal(generator, 2, 3, *ints(generator, 1, 8, rank))
        known = tuple(n or length for n, length in zip(sizes, image.shape[2:], strict=True))
        return (
            lambda x: x.adaptive_avg_pool2d(sizes) * x.sum(),
            lambda x: reference(x, known) * x.sum(),
            [image],
        )

    return make


CASES = {
    "max_pool1d": max_pool(1),
    "max_pool2d": max_pool(2),
    "max_pool3d": max_pool(3),
    "avg_pool1d": avg_pool(1),
    "avg_pool2d": avg_pool(2),
    "avg_pool3d": avg_pool(3),
    "max_unpool1d": unpool_line,
    "max_unpool2d": unpool,
    "adaptive_avg_pool1d": adaptive(1),
    "adaptive_avg_pool2d": adaptive(2),
    "adaptive_avg_pool3d": adaptive(3),
}
