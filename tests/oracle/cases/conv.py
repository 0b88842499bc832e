"""Convolution here and in PyTorch."""

import warnings

from tests.oracle.cases.tools import ints, normal
from tests.oracle.pytorch import F

LENGTHS = {1: (9, 20), 2: (7, 11), 3: (5, 7)}


def operands(generator, rank, size):
    """Return arrays of images, weights and possibly a bias, and the number of groups."""
    batch, channels, outs = ints(generator, 1, 4, 3)
    groups = int(generator.integers(1, 3))
    kernel = ints(generator, 1, 4, rank)
    arrays = [
        normal(generator, batch, channels * groups, *size),
        normal(generator, outs * groups, channels, *kernel),
        normal(generator, outs * groups),
    ]
    return arrays[: int(generator.integers(2, 4))], groups


def convolution(rank):
    """Return convolutions with random options for which the window fits."""

    def make(generator):
        arrays, groups = operands(generator, rank, ints(generator, *LENGTHS[rank], rank))
        stride, padding, dilation = (ints(generator, *r, rank) for r in ((1, 4), (0, 4), (1, 3)))
        options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
        reference = getattr(F, f"conv{rank}d")
        return (
            lambda x, *others: x.conv2d(*others, **options),
            lambda x, *others: reference(x, *others, **options),
            arrays,
        )

    return make


def same_padding(rank):
    """Return convolutions that preserve the size, also with even kernels."""

    def make(generator):
        arrays, groups = operands(generator, rank, ints(generator, *LENGTHS[rank], rank))
        options = {"padding": "same", "groups": groups, "dilation": ints(generator, 1, 3, rank)}

        def reference(*tensors):
            with warnings.catch_warnings():
                # PyTorch warns that even kernels may need a copy.
                warnings.simplefilter("ignore", UserWarning)
                return getattr(F, f"conv{rank}d")(*tensors, **options)

        return lambda x, *others: x.conv2d(*others, **options), reference, arrays

    return make


def uneven_padding(generator):
    """Return asymmetric or negative padding; PyTorch pads in a separate call."""
    arrays, groups = operands(generator, 2, ints(generator, 8, 11))
    pads = ints(generator, -2, 4, 4)
    options = {"stride": ints(generator, 1, 4), "groups": groups}
    return (
        lambda x, *others: x.conv2d(*others, padding=pads, **options),
        lambda x, *others: F.conv2d(F.pad(x, pads), *others, **options),
        arrays,
    )


def transposed(rank):
    """Return transposed convolutions with random options for which an image is left."""

    def make(generator):
        batch, channels, outs = ints(generator, 1, 4, 3)
        groups = int(generator.integers(1, 3))
        stride, dilation = (ints(generator, 1, 4, rank) for _ in range(2))
        arrays = [
            normal(generator, batch, channels * groups, *ints(generator, 3, 6, rank)),
            normal(generator, channels * groups, outs, *ints(generator, 1, 4, rank)),
            normal(generator, outs * groups),
        ]
        options = {
            "stride": stride,
            "padding": ints(generator, 0, 2, rank),
            "output_padding": tuple(
                int(generator.integers(0, max(pair))) for pair in zip(stride, dilation, strict=True)
            ),
            "dilation": dilation,
            "groups": groups,
        }
        reference = getattr(F, f"conv_transpose{rank}d")
        return (
            lambda x, *others: x.conv_transpose2d(*others, **options),
            lambda x, *others: reference(x, *others, **options),
            arrays[: int(generator.integers(2, 4))],
        )

    return make


CASES = {
    "conv1d": convolution(1),
    "conv2d": convolution(2),
    "conv3d": convolution(3),
    "conv1d same": same_padding(1),
    "conv2d same": same_padding(2),
    "conv3d same": same_padding(3),
    "conv2d uneven": uneven_padding,
    "conv_transpose1d": transposed(1),
    "conv_transpose2d": transposed(2),
    "conv_transpose3d": transposed(3),
}
