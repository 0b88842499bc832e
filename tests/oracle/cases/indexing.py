"""Indexing here and in PyTorch."""

import numpy as np

from tests.oracle.cases.tools import few, normal, same
from tests.oracle.pytorch import torch
from tinygrad_np import Tensor


def both(ours, theirs=None, draw=lambda generator: generator.integers(0, 4, (2, 3))):
    """Return an expression of a tensor and an index, which `draw` may draw."""

    def make(generator):
        index = draw(generator)
        return (
            lambda x: ours(x, Tensor(index)),
            lambda x: (theirs or ours)(x, torch.tensor(index)),
            [normal(generator, 4, 4)],
        )

    return make


def masked(function):
    """Return an expression of a tensor and a mask of its shape."""
    return both(function, draw=lambda generator: generator.random((4, 4)) < 0.5)


def scattered(generator):
    """Return scatter with distinct indices; PyTorch does not define which duplicate wins."""
    index = np.stack([generator.permutation(5)[:3] for _ in range(2)])
    return (
        lambda x, src: x.scatter(1, Tensor(index), src) * x,
        lambda x, src: x.scatter(1, torch.tensor(index), src) * x,
        [normal(generator, 4, 5), normal(generator, 2, 3)],
    )


def reduced(name, include_self):
    """Return scatter with repeated indices and integer values, with ties."""

    def make(generator):
        index = generator.integers(0, 3, (4, 3))
        return (
            lambda x, src: x.scatter_reduce(0, Tensor(index), src, name, include_self) * x,
            lambda x, src: (
                x.scatter_reduce(0, torch.tensor(index), src, name, include_self=include_self) * x
            ),
            [few(generator, 3, 3) + (0 if include_self else 0.25), few(generator, 4, 3)],
        )

    return make


CASES = {
    "indexing": same(lambda x: x[[0, 2, 2]] * x[:, [1, 1, 0, 3]], (3, 4)),
    "mixed indexing": both(lambda x, index: x[:, index, None][..., 0] + x[index[:, :1], 1:2].sum()),
    "gather": both(lambda x, index: x.gather(0, index) * x.gather(1, index)),
    "scatter": scattered,
    "scatter_add": both(lambda x, index: x.scatter_add(1, index, x[:2, 1:] * 2) * x),
    "select": same(lambda x: x.select(0, -1) * x.select(dim=1, index=2)[:3].sum(), (3, 4)),
    "index_select": both(
        lambda x, index: x.index_select(1, index) * x.index_select(0, index[:1]).sum(),
        draw=lambda generator: generator.integers(0, 4, 5),
    ),
    "scatter of a number": both(lambda x, index: x.scatter(1, index, 2.0) * x),
    "scatter, added": both(
        lambda x, index: x.scatter(1, index, x[:2, 1:] * x[2:, 1:], reduce="add"),
        lambda x, index: x.scatter_add(1, index, x[:2, 1:] * x[2:, 1:]),
    ),
    **{
        f"scatter_reduce {name} {include_self}": reduced(name, include_self)
        for name in ("sum", "mean", "amax", "amin")
        for include_self in (True, False)
    },
    "masked_fill": masked(lambda x, mask: x.masked_fill(mask, -1.5) * x),
    "masked_select": masked(lambda x, mask: x.masked_select(mask).square()),
}
