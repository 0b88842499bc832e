"""Reductions and scans, as written here and in PyTorch."""

import numpy as np

from tests.oracle.cases.tools import F, few, method, normal, same, torch

AXES = (None, 0, -1, (0, 2), (1, -1), (0, 1, 2))


def reduction(name, theirs=None, draw=normal, **options):
    """A reduction over any axes of a tensor of three."""

    def make(generator):
        axis = AXES[int(generator.integers(len(AXES)))]
        keepdim = bool(generator.integers(2))
        dims = tuple(range(3)) if axis is None else axis
        expected = theirs or getattr(torch, name)
        return (
            lambda x: getattr(x, name)(axis=axis, keepdim=keepdim, **options),
            lambda x: expected(x, dims, keepdim=keepdim, **options),
            [draw(generator, 2, 3, 4)],
        )

    return make


def product(generator):
    """Products over an axis, with a zero, several, none."""
    axis = int(generator.integers(-2, 2))
    x = normal(generator, 3, 4)
    x[generator.random((3, 4)) < 0.3] = 0
    return lambda x: x.prod(axis), lambda x: x.prod(axis), [x]


def scan(name, draw=normal):
    """A scan along any axis."""

    def make(generator):
        axis = int(generator.integers(-3, 3))
        return (
            lambda x: getattr(x, name)(axis),
            lambda x: getattr(x, name)(axis),
            [draw(generator, 2, 4, 3)],
        )

    return make


def extreme_scan(name, part):
    """The values or the places of a running extreme; whole numbers, so that entries tie."""

    def make(generator):
        axis = int(generator.integers(-2, 2))
        return (
            lambda x: getattr(x, name)(axis)[part],
            lambda x: getattr(x, name)(axis)[part],
            [few(generator, 3, 5)],
        )

    return make


def truth(generator, *shape):
    """Return bools."""
    return generator.random(shape) < 0.6


def order(function, reference=None):
    """Something sorted; no ties, since PyTorch's order of equals is not said."""
    return lambda generator: (
        function,
        reference or function,
        [generator.permutation(24).reshape(4, 6) / 7],
    )


CASES = {
    "sum": reduction("sum"),
    "mean": reduction("mean"),
    "amax": reduction("max", torch.amax, few),
    "amin": reduction("min", torch.amin, few),
    "var": reduction("var"),
    "var, corrected by 0": reduction("var", correction=0),
    "std": reduction("std"),
    "std of equals": method("std", 1, shape=(3, 1), correction=0),
    "std_mean": lambda generator: (
        lambda x: x.std_mean(axis=1)[0] * x.std_mean(axis=1)[1],
        lambda x: torch.std_mean(x, 1)[0] * torch.std_mean(x, 1)[1],
        [normal(generator, 3, 4)],
    ),
    "logsumexp": reduction("logsumexp"),
    "prod": product,
    "prod of all": method("prod", shape=(2, 3)),
    "prod of whole numbers": method("prod", draw=few, shape=(5,)),
    "all": reduction("all", draw=truth),
    "any": reduction("any", draw=truth),
    "sum of bools": method("sum", draw=truth),
    "mean of all": method("mean", shape=(2, 3)),
    "argmax": method("argmax", 1, draw=few, shape=(3, 4)),
    "argmin": method("argmin", 1, True, draw=few, shape=(3, 4)),
    "argmax of all": method("argmax", draw=few, shape=(3, 4)),
    "softmax": same(lambda x: x.softmax(1) * x, (3, 4)),
    "log_softmax": same(lambda x: x.log_softmax(0), (3, 4)),
    "cumsum": scan("cumsum"),
    "cumprod": scan("cumprod"),
    "cumprod with zeros": scan("cumprod", few),
    "logcumsumexp": scan("logcumsumexp"),
    "cummax": extreme_scan("cummax", 0),
    "places of cummax": extreme_scan("cummax", 1),
    "cummin": extreme_scan("cummin", 0),
    "places of cummin": extreme_scan("cummin", 1),
    "sort": order(lambda x: x.sort(1)[0] * x),
    "sort downwards": order(lambda x: x.sort(0, descending=True)[0] * x),
    "argsort": order(lambda x: x.argsort(1, descending=True)),
    "topk": order(lambda x: x.topk(3, 1)[0].square() + x.topk(3, 1, largest=False)[0]),
    "places of topk": order(lambda x: x.topk(3, 1)[1]),
    "normalize": lambda generator: (
        lambda x: x.normalize() * x,
        lambda x: F.normalize(x) * x,
        [normal(generator, 3, 4)],
    ),
    "normalize at kinks": lambda generator: (
        lambda x: x.normalize(dim=0) * x,
        lambda x: F.normalize(x, dim=0) * x,
        [normal(generator, 3, 4) * np.array([1.0, 0.0, 1.0, 1.0])],
    ),
}
