"""Pooling, as written here and in PyTorch."""

from tests.oracle.cases.tools import F, few, ints


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


CASES = {
    "max_pool2d": pool("max_pool2d"),
    "avg_pool2d": pool("avg_pool2d"),
}
