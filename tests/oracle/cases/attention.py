"""Attention, as written here and in PyTorch."""

import numpy as np

from tests.oracle.cases.tools import ints, normal
from tests.oracle.pytorch import F, torch


def sizes_of(generator):
    """Return leading axes, none to two, and lengths of queries, keys, entries and values."""
    lead = ints(generator, 1, 4, int(generator.integers(0, 3)))
    return lead, *ints(generator, 1, 5, 4)


def _sides(options):
    """Return ours and PyTorch's: its kernel of plain ops, since the fused one has no second
    derivatives.
    """

    def theirs(*tensors):
        with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
            return F.scaled_dot_product_attention(*tensors, **options)

    return lambda query, *rest: query.scaled_dot_product_attention(*rest, **options), theirs


def attention(mask=None, **options):
    """Attention of random sizes, with a mask that `mask` draws for scores of some shape."""

    def make(generator):
        lead, length, keys, size, width = sizes_of(generator)
        shapes = [(*lead, length, size), (*lead, keys, size), (*lead, keys, width)]
        arrays = [normal(generator, *shape) for shape in shapes]
        if mask is not None:
            arrays.append(mask(generator, (*lead, length, keys)))
        return *_sides(options), arrays

    return make


def bools(generator, shape):
    """Return where queries may attend; of small sizes, so some rows are False throughout."""
    return generator.random(shape) < 0.6


def shared(generator, shape):
    """Return a bool mask without the leading axes."""
    return bools(generator, shape[-2:])


def floats(generator, shape):
    """Return numbers to add, -inf among them, of which the last key has none."""
    numbers = np.where(bools(generator, shape), normal(generator, *shape), -np.inf)
    numbers[..., -1] = 1.0
    return numbers


def grouped(generator):
    """More heads of queries than of keys and values."""
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
