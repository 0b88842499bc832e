"""Reductions over axes in PyTorch."""

from tests.oracle.pytorch import torch


def _reduction(function):
    """Wrap a reduction; an empty tuple of axes means all axes in PyTorch, none here."""

    def reduce(x, axis, keepdim, dtype=None):
        assert dtype is None
        if axis == () or not x.ndim:
            return function(x[None], (0,), False)
        return function(x, tuple(range(x.ndim)) if axis is None else axis, keepdim)

    return reduce


def _one_by_one(function):
    """Extend a reduction that PyTorch offers only over a single axis."""

    def over(x, axes, keepdim):
        chosen = {axis % x.ndim for axis in axes}
        shape = [1 if axis in chosen else n for axis, n in enumerate(x.shape)]
        rest = [axis for axis in range(x.ndim) if axis not in chosen]
        rows = x.permute(*rest, *chosen).reshape(*(x.shape[axis] for axis in rest), -1)
        if not x.numel():
            rows = x.new_zeros(*rows.shape[:-1], 0) + 0 * x.sum()
        out = function(rows, -1)
        return out.reshape(shape) if keepdim else out

    return over


def _place(function):
    return lambda x, axis, keepdim: function(x, dim=axis, keepdim=keepdim)


def _center(x, axis):
    if axis == () or not x.numel():
        return x * (0 if x.numel() else 1)
    return x - x.mean(axis, keepdim=True) if x.ndim else x * 0


TABLE = {
    "center": _center,
    "sum": _reduction(torch.sum),
    "mean": _reduction(torch.mean),
    "max": _reduction(torch.amax),
    "min": _reduction(torch.amin),
    "prod": _reduction(_one_by_one(torch.prod)),
    "all": _reduction(torch.all),
    "any": _reduction(torch.any),
    "argmax": _place(torch.argmax),
    "argmin": _place(torch.argmin),
    "logsumexp": _reduction(torch.logsumexp),
}
