"""What cases are made of: random sizes and numbers, and expressions that both sides write alike."""

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install -e '.[oracle]'")
F = torch.nn.functional


def ints(generator, low, high, count=2):
    """Return integers from low up to below high."""
    return tuple(int(n) for n in generator.integers(low, high, count))


def normal(generator, *shape):
    """Return normal numbers."""
    return generator.standard_normal(shape)


def few(generator, *shape):
    """Return small whole numbers: ties and zeros are many."""
    return generator.integers(-2, 3, shape).astype(float)


def same(function, *shapes, draw=normal):
    """An expression that both sides write alike."""
    return lambda generator: (function, function, [draw(generator, *shape) for shape in shapes])
