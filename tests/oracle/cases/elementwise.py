"""Elementwise ops here and in PyTorch."""

from tests.oracle.cases.tools import few, method, same
from tests.oracle.pytorch import F


def whole(function, low=-5, high=6):
    """Return an expression of integers."""
    return lambda generator: (
        function,
        function,
        [generator.integers(low, high, (3, 4)), generator.integers(low, high, 4)],
    )


def bounds(generator):
    """Return clip with tensor bounds, some equal to entries."""
    return (
        lambda x, low, high: x.clip(low, high) * x,
        lambda x, low, high: x.clamp(low, high) * x,
        [few(generator, 3, 4), few(generator, 4), few(generator, 3, 1) + 0.5],
    )


CASES = {
    "arithmetic": same(lambda a, b: (a * b - a) / (b * b + 1) + 2 / (a * a + 1), (2, 3), (3,)),
    "powers of two": same(lambda x: 2.0**x + x**2 + x**0, (3, 4), draw=few),
    "integers": whole(lambda a, b: (a * b - a) // (b * b + 1) + a % (b * b + 1) - (-a)),
    "rounded quotients": whole(lambda a, b: a.div(b * b + 1, rounding_mode="floor")),
    "truncated integers": whole(lambda a, b: a.div(b * b + 1, rounding_mode="trunc")),
    "integer quotient": whole(lambda a, b: a / (b * b + 1)),
    "clip": lambda generator: (
        lambda x: x.clip(-1, 1) * x + x.clip(1, -1) + x.clip(None, 0),
        lambda x: x.clamp(-1, 1) * x + x.clamp(1, -1) + x.clamp(max=0),
        [few(generator, 3, 4)],
    ),
    "clip by tensors": bounds,
    "swish": method("swish", theirs=F.silu),
    "lerp": same(lambda a, b, w: a.lerp(b, w), (3, 4), (3, 4), (3, 4)),
}
