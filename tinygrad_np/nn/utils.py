"""Helpers for parameters and gradients, under the names of torch.nn.utils."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from tinygrad_np.checks import kind_of
from tinygrad_np.errors import DtypeError, ShapeError
from tinygrad_np.frontend.tensor import Tensor
from tinygrad_np.optim.clip import clip_grad_norm, clip_grad_value

__all__ = ["clip_grad_norm_", "clip_grad_value_", "parameters_to_vector", "vector_to_parameters"]

clip_grad_value_ = clip_grad_value


def clip_grad_norm_(
    parameters: Iterable[Any],
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
) -> Tensor:
    """Scale all gradients so that their joint norm is at most `max_norm`.

    Returns:
        The norm before clipping, as a tensor; otherwise the same as `optim.clip_grad_norm`.

    >>> from tinygrad_np import Tensor
    >>> w = Tensor([3.0, 4.0], requires_grad=True)
    >>> (w * w).sum().backward()
    >>> clip_grad_norm_([w], max_norm=1.0).item()
    10.0
    """
    return Tensor(clip_grad_norm(parameters, max_norm, norm_type, error_if_nonfinite))


def parameters_to_vector(parameters: Iterable[Tensor]) -> Tensor:
    """Return all parameters as one vector; gradients flow back to them.

    Raises:
        ShapeError: if there are no parameters.

    >>> from tinygrad_np import nn
    >>> parameters_to_vector([nn.Parameter([[1.0, 2.0]]), nn.Parameter(3.0)]).tolist()
    [1.0, 2.0, 3.0]
    """
    flat = [parameter.reshape(-1) for parameter in parameters]
    if not flat:
        raise ShapeError("parameters_to_vector: expected at least one parameter, got none.")
    return Tensor.cat(flat)


def vector_to_parameters(vec: Tensor, parameters: Iterable[Tensor]) -> None:
    """Copy the entries of a vector into the parameters, in order.

    Raises:
        DtypeError: if `vec` is not a Tensor.
        ShapeError: if `vec` does not have one entry for each entry of the parameters. Then the
            parameters are left unchanged.

    As in PyTorch, the copy is not recorded in a graph.

    >>> from tinygrad_np import Tensor, nn
    >>> layer = nn.Linear(2, 1)
    >>> vector_to_parameters(Tensor([1.0, 2.0, 3.0]), layer.parameters())
    >>> layer.weight.tolist(), layer.bias.tolist()
    ([[1.0, 2.0]], [3.0])
    """
    if not isinstance(vec, Tensor):
        raise DtypeError(
            f"vector_to_parameters: expected `vec` to be a Tensor, got {kind_of(vec)}."
        )
    targets = list(parameters)
    sizes = [target.numel() for target in targets]
    if vec.shape != (sum(sizes),):
        raise ShapeError(
            f"vector_to_parameters: expected `vec` of shape {(sum(sizes),)}, one entry for each "
            f"entry of the parameters, got {vec.shape}."
        )
    parts = np.split(vec.data, np.cumsum(sizes)[:-1])
    for target, part in zip(targets, parts, strict=True):
        target.data[...] = part.reshape(target.shape)
        target.mark_changed()
