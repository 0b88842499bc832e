"""Make PyTorch draw the numbers that this package draws from its default generator."""

from typing import Any

import tinygrad_np
from tests.oracle.pytorch import torch
from tinygrad_np import Tensor, data

FUNCTIONS = ("multinomial", "rand", "randint", "randn", "randn_like")


def to_torch(x: Tensor) -> Any:
    """Return a PyTorch tensor with the values of `x`."""
    return torch.tensor(x.numpy())


def from_torch(x: Any) -> Any:
    """Return a Tensor with the values of a PyTorch tensor; anything else unchanged."""
    return Tensor(x.detach().numpy()) if isinstance(x, torch.Tensor) else x


def random_function(name: str) -> Any:
    """Return PyTorch's function `name`, with its values drawn by this package's."""

    def draw(*args: Any, device: Any = None, requires_grad: bool = False, **options: Any) -> Any:
        drawn = getattr(tinygrad_np, name)(*map(from_torch, args), **options)
        return to_torch(drawn).requires_grad_(requires_grad)

    return draw


def dropout(x: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Any:
    """Do what torch.nn.functional.dropout does, with this package's mask."""
    return x * to_torch(Tensor.ones(*x.shape).dropout(p, training))


def attention(
    query: Any,
    key: Any,
    value: Any,
    attn_mask: Any = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
) -> Any:
    """Do what torch.nn.functional.scaled_dot_product_attention does, with this package's mask.

    PyTorch draws the mask in C++. `attn_mask` is a sum of all masks.
    """
    assert not is_causal
    scores = query @ key.transpose(-2, -1) / query.shape[-1] ** 0.5
    if attn_mask is not None:
        scores = scores + attn_mask
    return dropout(scores.softmax(-1), dropout_p) @ value


def shuffle(sampler: Any) -> Any:
    """Yield the indices of a dataset in the order of this package's DataLoader."""
    if not hasattr(sampler, "loader"):
        indices = data.TensorDataset(Tensor.arange(len(sampler.data_source)))
        sampler.loader = data.DataLoader(indices, batch_size=1, shuffle=True)
    return iter([int(index.item()) for (index,) in sampler.loader])


def share_random_numbers(monkeypatch: Any) -> None:
    """Replace PyTorch's random functions for the rest of a test."""
    for name in FUNCTIONS:
        monkeypatch.setattr(torch, name, random_function(name))
    monkeypatch.setattr(torch.nn.functional, "dropout", dropout)
    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", attention)
    monkeypatch.setattr(torch.utils.data.RandomSampler, "__iter__", shuffle)
