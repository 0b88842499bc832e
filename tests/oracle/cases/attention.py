"""Attention here and in PyTorch."""

import numpy as np

from tests.oracle.cases.tools import ints, normal
from tests.oracle.pytorch import F, torch


def sizes_of(generator):
    """Return zero to two leading axes, and the sizes of queries, keys, features and values."""
    lead = ints(generator, 1, 4, int(generator.integers(0, 3)))
    return lead, *ints(generator, 1, 5, 4)


def _sides(options):
    """Return our function and PyTorch's, which is its unfused kernel.

    The fused one has no second derivatives.
    """

    def theirs(*tensors):
        with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
            return F.scaled_dot_product_attention(*tensors, **options)

    return lambda query, *rest: query.scaled_dot_product_attention(*rest, **options), theirs


def attention(mask=None, **options):
    """Return attention of random sizes; `mask` draws a mask for scores of a given shape."""

    def make(generator):
        lead, length, keys, size, width = sizes_of(generator)
        shapes = [(*lead, length, size), (*lead, keys, size), (*lead, keys, width)]
        arrays = [normal(generator, *shape) for shape in shapes]
        if mask is not None:
            arrays.append(mask(generator, (*lead, length, keys)))
        return *_sides(options), arrays

    return make


def bools(generator, shape):
    """Return a mask; at these small sizes, some rows are entirely False."""
    return generator.random(shape) < 0.6


def shared(generator, shape):
    """Return a bool mask without the leading axes."""
    return bools(generator, shape[-2:])


def floats(generator, shape):
    """Return an additive mask with entries of -inf, except for the last key."""
    numbers = np.where(bools(generator, shape), normal(generator, *shape), -np.inf)
    numbers[..., -1] = 1.0
    return numbers


def grouped(generator):
    """Return attention with more query heads than key and value heads."""
    batch, heads, groups, length, keys, size = ints(generator, 1, 4, 6)
    arrays = [
        normal(generator, batch, heads * groups, length, size),
        normal(generator, batch, heads, keys, size),
        normal(generator, batch, heads, keys, size),
    ]
    options = {"enable_gqa": True, "is_causal": bool(generator.integers(2))}
    return *_sides(options), arrays


CASES = {
    "attention": attention(),
    "attention, bool mask": attention(bools),
    "attention, shared mask": attention(shared),
    "attention, float mask": attention(floats),
    "attention, causal": attention(is_causal=True),
    "attention, grouped": grouped,
}
