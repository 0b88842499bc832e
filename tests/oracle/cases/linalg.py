"""Linear algebra, as written here and in PyTorch."""

from tests.oracle.cases.tools import normal


def matmul(generator):
    """Vectors, matrices and stacks of them."""
    shapes = [((4,), (4,)), ((2, 3, 4), (4,)), ((4,), (2, 4, 3)), ((2, 3, 4), (4, 5))]
    left, right = shapes[int(generator.integers(len(shapes)))]

    def multiply(a, b):
        return a @ b

    return multiply, multiply, [normal(generator, *left), normal(generator, *right)]


CASES = {
    "matmul": matmul,
}
