"""Convolution, as written here and in PyTorch."""

from tests.oracle.cases.tools import F, ints, normal


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


CASES = {
    "conv2d": conv2d,
}
