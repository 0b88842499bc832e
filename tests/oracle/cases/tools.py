"""What cases are made of: random sizes and numbers, and expressions that both sides write alike."""


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


def shape_of(generator, most=4, low=0, high=4):
    """Return a shape of up to `most` axes, empty ones among them."""
    return ints(generator, low, high, int(generator.integers(0, most + 1)))


def method(name, *args, theirs=None, draw=normal, shape=None, **options):
    """A method with options, beside PyTorch's of the same name, or `theirs`."""

    def case(generator):
        chosen = shape_of(generator) if shape is None else shape
        return (
            lambda x: getattr(x, name)(*args, **options),
            theirs or (lambda x: getattr(x, name)(*args, **options)),
            [draw(generator, *chosen)],
        )

    return case
