"""Scans and sorting in PyTorch."""

from tests.oracle.pytorch import torch


def _recurrence(a, b):
    """Compute the recurrence one entry at a time."""
    out = []
    for k in range(b.shape[-1]):
        out.append(b[..., k] + a[..., k] * out[-1] if out else b[..., k])
    return torch.stack(out, -1) if out else b * 1


TABLE = {
    "recurrence": _recurrence,
    "cumsum": lambda x, axis: torch.cumsum(x, axis),
    "cumprod": lambda x, axis: torch.cumprod(x, axis),
    "logcumsumexp": lambda x, axis: torch.logcumsumexp(x, axis),
    "argcummax": lambda x, axis: torch.cummax(x, axis)[1],
    "argcummin": lambda x, axis: torch.cummin(x, axis)[1],
    "argsort": lambda x, dim, descending: torch.argsort(
        x, dim=dim, descending=descending, stable=True
    ),
}
