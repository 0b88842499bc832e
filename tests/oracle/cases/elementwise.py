"""Elementwise ops here and in PyTorch."""

import numpy as np

from tests.oracle.cases.tools import few, method, same
from tests.oracle.pytorch import F, torch


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


def in_place(x, y):
    """Change the result of an op by PyTorch's methods that end in an underscore."""
    out = (x * 2).add_(y, alpha=3).mul_(y).sub_(x, alpha=-0.5).div_(y * y + 1).clamp_(-1, 1)
    return out * (x * 3).copy_(y * y) + (x * y).fill_(2.0) * x + (y * y).zero_() * x


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
    "clamp with keywords": same(lambda x: x.clamp(min=-0.5) * x.clamp(max=0.5, min=-2), (3, 4)),
    "nan_to_num at kinks": lambda generator: (
        lambda x: x.nan_to_num(0.5) * 2 + x.nan_to_num(nan=1.0, posinf=2.0, neginf=-3.0),
        lambda x: x.nan_to_num(0.5) * 2 + x.nan_to_num(nan=1.0, posinf=2.0, neginf=-3.0),
        [generator.choice([np.nan, 1.5, -0.5], (3, 4))],
    ),
    "reciprocal": same(lambda x: (x * x + 1).reciprocal(), (3, 4)),
    "reciprocal of integers": whole(lambda a, b: (a * a + b * b + 1).reciprocal()),
    "logical ops": whole(
        lambda a, b: a.logical_and(b) * 4 + a.logical_or(b) * 2 + a.logical_xor(b) * 1, -1, 2
    ),
    "named comparisons": whole(
        lambda a, b: a.lt(b) * 1 + a.le(b) * 2 + a.gt(b) * 4 + a.ge(b) * 8 + a.eq(b) * 16, -2, 3
    ),
    "converted": same(lambda x: x.clone() * x.double().to(x.dtype) + x.to(x), (3, 4)),
    "changed in place": same(in_place, (3, 4), (4,)),
    "hardsigmoid": method("hardsigmoid", theirs=lambda x: F.relu6(x + 3) / 6),
    "hardsigmoid with options": method(
        "hardsigmoid", 0.5, 0.25, theirs=lambda x: (x * 0.5 + 0.25).clamp(0, 1)
    ),
    "quick_gelu": method("quick_gelu", theirs=lambda x: x * torch.sigmoid(1.702 * x)),
    "shifts": lambda generator: (
        lambda a, b: a.lshift(b) + a.rshift(b),
        lambda a, b: (a << b) + (a >> b),
        [generator.integers(0, 9, (3, 4)), generator.integers(0, 4, 4)],
    ),
    "sequential": method(
        "sequential", [lambda x: x * 2, lambda x: x.tanh()], theirs=lambda x: (x * 2).tanh()
    ),
    "swish": method("swish", theirs=F.silu),
    "lerp": same(lambda a, b, w: a.lerp(b, w), (3, 4), (3, 4), (3, 4)),
}
