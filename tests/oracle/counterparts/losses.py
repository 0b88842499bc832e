"""Softmax and losses in PyTorch."""

from tests.oracle.pytorch import F, torch


def _cross_entropy(logits, target, reduction, label_smoothing):
    return F.cross_entropy(logits, target, reduction=reduction, label_smoothing=label_smoothing)


TABLE = {
    "softmax": lambda x, axis, dtype: torch.softmax(x, axis),
    "log_softmax": lambda x, axis, dtype: torch.log_softmax(x, axis),
    "cross_entropy_rows": _cross_entropy,
    "log_odds": torch.logit,
    "binary_crossentropy_entries": lambda x, target: F.binary_cross_entropy(
        x, target, reduction="none"
    ),
    "binary_crossentropy_logits_entries": lambda x, target: F.binary_cross_entropy_with_logits(
        x, target, reduction="none"
    ),
}
