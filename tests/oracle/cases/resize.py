"""Resizing here and in PyTorch."""

from tests.oracle.cases.tools import ints, normal
from tests.oracle.pytorch import F

LINEAR = {1: "linear", 2: "bilinear", 3: "trilinear"}


def linear(rank):
    """Return resizing to larger, smaller and equal sizes, with align_corners on or off."""

    def make(generator):
        size = ints(generator, 1, 9, rank)
        corners = bool(generator.random() < 0.5)
        return (
            lambda x: x.interpolate(size, align_corners=corners) * x.sum(),
            lambda x: F.interpolate(x, size, mode=LINEAR[rank], align_corners=corners) * x.sum(),
            [normal(generator, 2, 3, *ints(generator, 1, 8, rank))],
        )

    return make


def nearest(mode, rank):
    """Return resizing to larger, smaller and equal sizes."""

    def make(generator):
        size = ints(generator, 1, 40, rank)
        return (
            lambda x: x.interpolate(size, mode) * x.sum(),
            lambda x: F.interpolate(x, size, mode=mode) * x.sum(),
            [normal(generator, 2, 1, *ints(generator, 1, 30 if rank < 3 else 5, rank))],
        )

    return make


CASES = {
    **{f"interpolate {LINEAR[rank]}": linear(rank) for rank in LINEAR},
    **{
        f"interpolate {mode} {rank}d": nearest(mode, rank)
        for mode in ("nearest", "nearest-exact")
        for rank in (1, 2, 3)
    },
}
