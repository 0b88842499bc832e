"""Attention in PyTorch, composed of other functions."""

from tests.oracle.pytorch import torch


def _attend(
    query, key, value, bias=None, allowed=None, kept=None, *, scale, is_causal=False, dropout_p=0.0
):
    scores = scale * query @ key.mT
    if bias is not None:
        scores = scores + bias
    mask = torch.ones(scores.shape, dtype=torch.bool)
    if allowed is not None:
        mask = mask & allowed
    if is_causal:
        mask = mask.tril()
    # A row without keys gets weights of 0.
    lost = ~mask.any(-1, keepdim=True)
    scores = scores.masked_fill(~mask & ~lost, -torch.inf)
    weights = scores.softmax(-1).masked_fill(lost, 0)
    if kept is not None:
        weights = weights * kept / (1 - dropout_p)
    return weights @ value


TABLE = {"attend": _attend}
