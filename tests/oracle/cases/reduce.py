"""Reductions and scans here and in PyTorch."""

import numpy as np

from tests.oracle.cases.tools import few, method, normal, same
from tests.oracle.pytorch import F, torch

# Statistics of three channels.
MEAN, VAR = np.array([0.5, -1.0, 2.0]), np.array([1.0, 0.5, 4.0])
AXES = (None, 0, -1, (0, 2), (1, -1), (0, 1, 2))


def reduction(name, theirs=None, draw=normal, **options):
    """Return a reduction over any axes of a 3-d tensor."""

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


def order(function, reference=None):
    """Return a sorting op without ties; PyTorch does not define the order of equal entries."""
    return lambda generator: (
        function,
        reference or function,
        [generator.permutation(24).reshape(4, 6) / 7],
    )


CASES = {
    "amax": reduction("max", torch.amax, few),
    "amin": reduction("min", torch.amin, few),
    "var": reduction("var"),
    "var, corrected by 0": reduction("var", correction=0),
    "std": reduction("std"),
    "std of equal values at kinks": method("std", 1, shape=(3, 1), correction=0),
    "std_mean": lambda generator: (
        lambda x: x.std_mean(axis=1)[0] * x.std_mean(axis=1)[1],
        lambda x: torch.std_mean(x, 1)[0] * torch.std_mean(x, 1)[1],
        [normal(generator, 3, 4)],
    ),
    "var_mean": lambda generator: (
        lambda x: x.var_mean(dim=(0, 2), keepdim=True)[0] * x.var_mean(0, correction=0)[1],
        lambda x: (
            torch.var_mean(x, (0, 2), keepdim=True)[0] * torch.var_mean(x, 0, correction=0)[1]
        ),
        [normal(generator, 3, 4, 2)],
    ),
    "amax and amin": same(
        lambda x: x.amax(1) * x.amin((0, 1)) + x.amax(dim=0).sum(), (3, 4), draw=few
    ),
    "median": order(lambda x: x.median() * x),
    "median along an axis": order(
        lambda x: x.median(1, keepdim=True) * x + x.median(0),
        lambda x: x.median(1, keepdim=True).values * x + x.median(0).values,
    ),
    "median at ties": order(
        lambda x: x.cat(x, x).median() * x, lambda x: torch.cat([x, x, x]).median() * x
    ),
    "median of nan": order(
        lambda x: (x > 0).where(np.nan, x).median(1) + (x > 0).where(np.nan, x).median(),
        lambda x: (
            torch.where(x > 0, np.nan, x).median(1).values + torch.where(x > 0, np.nan, x).median()
        ),
    ),
    "sum of bools": method("sum", draw=lambda generator, *shape: generator.random(shape) < 0.6),
    "cummax": same(lambda x: x.cummax(1)[0], (3, 5), draw=few),
    "cummin": same(lambda x: x.cummin(-2)[0], (3, 5), draw=few),
    "sort": order(lambda x: x.sort(1)[0] * x),
    "descending sort": order(lambda x: x.sort(0, descending=True)[0] * x),
    "topk": order(lambda x: x.topk(3, 1)[0].square() + x.topk(3, 1, largest=False)[0]),
    "indices of topk": order(lambda x: x.topk(3, 1)[1]),
    "layernorm": lambda generator: (
        lambda x: x.layernorm() * x + x.layernorm((1, 2), eps=0.1) ** 2,
        lambda x: F.layer_norm(x, (4,)) * x + F.layer_norm(x, (3, 4), eps=0.1) ** 2,
        [normal(generator, 2, 3, 4)],
    ),
    "batchnorm": lambda generator: (
        lambda x, w, b: x.batchnorm(w, b, x.new_tensor(MEAN), x.new_tensor(VAR + 0.1).rsqrt()) * x,
        lambda x, w, b: F.batch_norm(x, x.new_tensor(MEAN), x.new_tensor(VAR), w, b, eps=0.1) * x,
        [normal(generator, 2, 3, 4), normal(generator, 3), normal(generator, 3)],
    ),
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
