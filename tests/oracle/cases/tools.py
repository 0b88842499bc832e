"""Helpers for cases: random sizes and numbers, and expressions shared by both sides."""


def ints(generator, low, high, count=2):
    """Return integers from `low` to `high` - 1."""
    return tuple(int(n) for n in generator.integers(low, high, count))


def normal(generator, *shape):
    """Return normally distributed numbers."""
    return generator.standard_normal(shape)


def few(generator, *shape):
    """Return small integers as floats, with many ties and zeros."""
    return generator.integers(-2, 3, shape).astype(float)


def same(function, *shapes, draw=normal):
    """Return an expression that is written the same way on both sides."""
    return lambda generator: (function, function, [draw(generator, *shape) for shape in shapes])


def shape_of(generator, most=4, low=0, high=4):
    """Return a shape with up to `most` axes, possibly empty."""
    return ints(generator, low, high, int(generator.integers(0, most + 1)))


def method(name, *args, theirs=None, draw=normal, shape=None, **options):
    """Return a method with options, and PyTorch's method of the same name, or `theirs`."""

    def case(generator):
        chosen = shape_of(generator) if shape is None else shape
        return (
            lambda x: getattr(x, name)(*args, **options),
            theirs or (lambda x: getattr(x, name)(*args, **options)),
            [draw(generator, *chosen)],
        )

    return case
