"""Elementwise ops, as written here and in PyTorch."""

from tests.oracle.cases.tools import few, same


def quotients(name):
    """Quotients and remainders, away from whole quotients, of both signs."""

    def case(generator):
        b = generator.uniform(0.5, 2, (3, 4)) * generator.choice([-1, 1], (3, 4))
        a = b * (generator.integers(-3, 3, (3, 4)) + generator.uniform(0.1, 0.9, (3, 4)))
        return (
            {
                "mod": lambda a, b: a % b,
                "fmod": lambda a, b: a.fmod(b),
                "floor": lambda a, b: a.div(b, rounding_mode="floor"),
                "trunc": lambda a, b: a.div(b, rounding_mode="trunc"),
            }[name],
            a,
            b,
        )

    def make(generator):
        function, a, b = case(generator)
        return lambda a, b: function(a, b) * a, lambda a, b: function(a, b) * a, [a, b]

    return make


def whole(function, low=-5, high=6):
    """An expression of integers."""
    return lambda generator: (
        function,
        function,
        [generator.integers(low, high, (3, 4)), generator.integers(low, high, 4)],
    )


def bounds(generator):
    """Bounds that are tensors, and met."""
    return (
        lambda x, low, high: x.clip(low, high) * x,
        lambda x, low, high: x.clamp(low, high) * x,
        [few(generator, 3, 4), few(generator, 4), few(generator, 3, 1) + 0.5],
    )


CASES = {
    "arithmetic": same(lambda a, b: (a * b - a) / (b * b + 1) + 2 / (a * a + 1), (2, 3), (3,)),
    "functions": same(lambda x: x.sigmoid() * x.tanh() / (x * x + 1).sqrt() + (-x).exp(), (5,)),
    "log": same(lambda x: (x * x + 0.1).log(), (2, 3)),
    "relu": same(lambda x: x.relu() * x, (3, 4), draw=few),
    "maximum": same(lambda a, b: a.maximum(b) * a, (3, 4), (4,), draw=few),
    "power": same(lambda a, b: (a * a + 0.5) ** b, (3, 4), (4,), draw=few),
    "powers of two": same(lambda x: 2.0**x + x**2 + x**0, (3, 4), draw=few),
    "mod": quotients("mod"),
    "fmod": quotients("fmod"),
    "floor_div": quotients("floor"),
    "trunc_div": quotients("trunc"),
    "integers": whole(lambda a, b: (a * b - a) // (b * b + 1) + a % (b * b + 1) - (-a)),
    "truncated integers": whole(lambda a, b: a.div(b * b + 1, rounding_mode="trunc")),
    "integer quotient": whole(lambda a, b: a / (b * b + 1)),
    "bits": whole(lambda a, b: (a & b) | (a ^ 3) | (~b), 0, 9),
    "shifts": whole(lambda a, b: (a << b) + (a >> b), 0, 9),
    "comparisons": whole(lambda a, b: (a < b) | (a >= 2 * b) & (a != b)),
    "clip": lambda generator: (
        lambda x: x.clip(-1, 1) * x + x.clip(1, -1) + x.clip(None, 0),
        lambda x: x.clamp(-1, 1) * x + x.clamp(1, -1) + x.clamp(max=0),
        [few(generator, 3, 4)],
    ),
    "clip by tensors": bounds,
    "minimum": same(lambda a, b: a.minimum(b) * a, (3, 4), (4,), draw=few),
    "abs": same(lambda x: x.abs() * x, (3, 4), draw=few),
    "copysign": same(lambda a, b: a.copysign(b) * a, (3, 4), (4,)),
    "copysign at kinks": same(lambda a, b: a.copysign(b), (3, 4), (4,), draw=few),
    "logaddexp": same(lambda a, b: a.logaddexp(b), (3, 4), (4,)),
    "lerp": same(lambda a, b, w: a.lerp(b, w), (3, 4), (3, 4), (3, 4)),
    "rounding": same(lambda x: x.floor() + x.ceil() * x + x.trunc() + x.sign(), (3, 4)),
    "round": same(lambda x: (x / 2).round() * x, (3, 4), draw=few),
    "circular": same(lambda x: x.sin() * x.cos() + (x / 3).tan() + x.atan(), (2, 1, 3)),
    "inverse": same(lambda x: (x.tanh() * 0.9).asin() + (x.tanh() * 0.9).acos(), (2, 3)),
    "hyperbolic": same(lambda x: x.sinh() + x.cosh() * x + x.asinh(), (2, 3)),
    "inverse hyperbolic": same(lambda x: (x * x + 1.1).acosh() + (x.tanh() * 0.9).atanh(), (5,)),
    "exponentials": same(lambda x: x.exp2() + x.expm1() * x, (2, 3)),
    "logarithms": same(
        lambda x: (x * x + 0.1).log2() + (x * x).log1p() + (x * x + 0.1).log10(), (2, 3)
    ),
    "roots": same(lambda x: (x * x + 0.1).rsqrt() + x.square() + (x * x + 1).sqrt(), (2, 3)),
    "where": lambda generator: (
        lambda a, b: (a > b).where(a * b, b),
        lambda a, b: (a * b).where(a > b, b),
        [few(generator, 3, 1), few(generator, 4)],
    ),
}
