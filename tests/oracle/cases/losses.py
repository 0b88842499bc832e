"""Losses here and in PyTorch."""

from tests.oracle.cases.tools import normal
from tests.oracle.pytorch import F, torch


def cross_entropy(generator):
    """Return cross-entropy of class indices: all reductions, label smoothing, more axes."""
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
    """Return cross-entropy of probabilities that have gradients."""
    return (
        lambda x, t: x.cross_entropy(t.softmax(1)),
        lambda x, t: F.cross_entropy(x, t.softmax(1)),
        [normal(generator, 3, 4), normal(generator, 3, 4)],
    )


def nll(generator):
    """Return losses with class weights, ignored classes, all reductions and more axes."""
    shape = (5, 4) if generator.random() < 0.5 else (2, 4, 3)
    target = generator.integers(0, 4, shape[:1] + shape[2:])
    weight = generator.uniform(0.5, 2, 4) if generator.random() < 0.5 else None
    reduction = str(generator.choice(["mean", "sum", "none"]))
    return (
        lambda x: x.log_softmax(1).nll_loss(
            target, None if weight is None else weight.astype(x.dtype), 1, reduction
        ),
        lambda x: F.nll_loss(
            x.log_softmax(1),
            torch.tensor(target),
            None if weight is None else torch.tensor(weight, dtype=x.dtype),
            ignore_index=1,
            reduction=reduction,
        ),
        [normal(generator, *shape)],
    )


def sparse(generator):
    """Return a loss with classes in the last axis, some of them ignored."""
    target = generator.integers(0, 4, (2, 3))
    options = {
        "reduction": str(generator.choice(["mean", "sum", "none"])),
        "label_smoothing": float(generator.choice([0.0, 0.1])),
        "ignore_index": 2,
    }
    return (
        lambda x: x.sparse_categorical_crossentropy(target, **options),
        lambda x: F.cross_entropy(x.transpose(1, 2), torch.tensor(target), **options),
        [normal(generator, 2, 3, 4)],
    )


def binary(generator):
    """Return binary cross-entropy of probabilities and targets, both with gradients."""
    return (
        lambda x, t: x.sigmoid().binary_crossentropy(t.sigmoid()),
        lambda x, t: F.binary_cross_entropy(x.sigmoid(), t.sigmoid()),
        [normal(generator, 3, 4), normal(generator, 3, 4)],
    )


def binary_logits(generator):
    """Return binary cross-entropy of logits: all reductions, positive weights."""
    reduction = str(generator.choice(["mean", "sum", "none"]))
    weight = generator.uniform(0.5, 2, 4) if generator.random() < 0.5 else None
    return (
        lambda x, t: x.binary_crossentropy_logits(
            t, reduction, None if weight is None else weight.astype(x.dtype)
        ),
        lambda x, t: F.binary_cross_entropy_with_logits(
            x,
            t,
            reduction=reduction,
            pos_weight=None if weight is None else torch.tensor(weight, dtype=x.dtype),
        ),
        [normal(generator, 3, 4), generator.random((3, 4))],
    )


CASES = {
    "cross_entropy": cross_entropy,
    "probabilities": probabilities,
    "nll_loss": nll,
    "sparse_categorical_crossentropy": sparse,
    "binary_crossentropy": binary,
    "binary_crossentropy_logits": binary_logits,
}
