"""Normalization in PyTorch."""

from tests.oracle.pytorch import torch


def _moments(x):
    axes = [axis for axis in range(x.ndim) if axis != 1]
    count = max(1, x.numel() // x.shape[1])
    mean = x.sum(axes, keepdim=True) / count
    return torch.stack([mean.flatten(), ((x - mean) ** 2).sum(axes) / count]).double()


def _layer_norm(x, weight=None, bias=None, *, eps):
    if weight is None and bias is not None:  # PyTorch has no second gradients for this case
        weight = torch.ones_like(bias)
    return torch.nn.functional.layer_norm(x, x.shape[-1:], weight, bias, eps)


def _batch_norm(x, weight=None, bias=None, moments=None, *, eps):
    assert moments is None
    if weight is None and bias is not None:  # PyTorch has no second gradients for this case
        weight = torch.ones_like(bias)
    return torch.nn.functional.batch_norm(
        x, None, None, weight, bias, training=True, momentum=0.0, eps=eps
    )


def _group_norm(x, weight=None, bias=None, *, num_groups, eps):
    if weight is None and bias is not None:  # PyTorch has no second gradients for this case
        weight = torch.ones_like(bias)
    return torch.nn.functional.group_norm(x, num_groups, weight, bias, eps)


def _rms_norm(x, weight=None, *, eps):
    return torch.nn.functional.rms_norm(x, x.shape[-1:], weight, eps)


TABLE = {
    "rms_norm": _rms_norm,
    "group_norm": _group_norm,
    "channel_moments": _moments,
    "batch_norm": _batch_norm,
    "layer_norm": _layer_norm,
}
