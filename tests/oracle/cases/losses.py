"""Losses, as written here and in PyTorch."""

from tests.oracle.cases.tools import F, normal, torch


def cross_entropy(generator):
    """Class indices, all reductions, with and without smoothing, two and more axes."""
    shape = (3, 4) if generator.random() < 0.5 else (2, 4, 3, 2)
    target = generator.integers(0, 4, shape[:1] + shape[2:])
    options = {
        "reduction": str(generator.choice(["mean", "sum", "none"])),
        "label_smoothing": float(generator.choice([0.0, 0.1])),
    }
    return (
        lambda x: x.cross_entropy(target, **options),
        lambda x: F.cross_entropy(x, torch.tensor(target), **options),
        [normal(generator, *shape)],
    )


def probabilities(generator):
    """Targets that are probabilities, and depend on what is differentiated."""
    return (
        lambda x, t: x.cross_entropy(t.softmax(1)),
        lambda x, t: F.cross_entropy(x, t.softmax(1)),
        [normal(generator, 3, 4), normal(generator, 3, 4)],
    )


CASES = {
    "cross_entropy": cross_entropy,
    "probabilities": probabilities,
}
