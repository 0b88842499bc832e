"""Elementwise ops, as written here and in PyTorch."""

from tests.oracle.cases.tools import few, same

CASES = {
    "arithmetic": same(lambda a, b: (a * b - a) / (b * b + 1) + 2 / (a * a + 1), (2, 3), (3,)),
    "functions": same(lambda x: x.sigmoid() * x.tanh() / (x * x + 1).sqrt() + (-x).exp(), (5,)),
    "log": same(lambda x: (x * x + 0.1).log(), (2, 3)),
    "relu": same(lambda x: x.relu() * x, (3, 4), draw=few),
    "maximum": same(lambda a, b: a.maximum(b) * a, (3, 4), (4,), draw=few),
    "power": same(lambda a, b: (a * a + 0.5) ** b, (3, 4), (4,), draw=few),
    "powers of two": same(lambda x: 2.0**x + x**2 + x**0, (3, 4), draw=few),
}
