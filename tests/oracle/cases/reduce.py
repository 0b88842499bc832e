"""Reductions, as written here and in PyTorch."""

from tests.oracle.cases.tools import few, same

CASES = {
    "amax": lambda generator: (
        lambda x: x.max(axis=1) * 2,
        lambda x: x.amax(1) * 2,
        [few(generator, 3, 4)],
    ),
    "softmax": same(lambda x: x.softmax(1) * x, (3, 4)),
    "log_softmax": same(lambda x: x.log_softmax(0), (3, 4)),
    "mean": same(lambda x: x.mean(1) * x.sum(1), (3, 4)),
}
