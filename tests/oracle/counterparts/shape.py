"""Shape ops and indexing in PyTorch."""

import math

import numpy as np

from tests.oracle.pytorch import F, torch


def _pad(x, padding, value):
    flat = [n for pair in reversed(padding) for n in pair]
    return F.pad(x, flat, value=value)


def _dtype(dtype):
    return getattr(torch, np.dtype(dtype).name)


def _places(shape, key):
    """Return the flat indices that a NumPy key selects from an array of `shape`."""
    return torch.as_tensor(np.arange(math.prod(shape)).reshape(shape)[key].copy())


def _has_negative_step(key):
    parts = key if isinstance(key, tuple) else (key,)
    return any(isinstance(part, slice) and (part.step or 1) < 0 for part in parts)


def _theirs(part):
    return torch.as_tensor(part) if isinstance(part, np.ndarray) else part


def _index(x, key):
    """Index with PyTorch, which lacks negative steps."""
    if _has_negative_step(key):
        return x.reshape(-1)[_places(x.shape, key)]
    return x[tuple(map(_theirs, key)) if isinstance(key, tuple) else _theirs(key)]


def _index_add(x, key, shape):
    places = _places(shape, key).reshape(-1)
    zeros = torch.zeros(math.prod(shape), dtype=x.dtype)
    return zeros.index_add(0, places, x.reshape(-1)).reshape(shape)


def _assign(x, value, key):
    places = _places(x.shape, key).reshape(-1).tolist()
    # PyTorch does not define which of several values for one position is kept.
    last = sorted({place: order for order, place in enumerate(places)}.values())
    shape = np.empty(tuple(x.shape))[key].shape
    value = value.reshape(value.shape[max(value.ndim - len(shape), 0) :]).expand(shape)
    flat = x.reshape(-1).clone()
    flat[[places[order] for order in last]] = value.reshape(-1)[last]
    return flat.reshape(x.shape)


def _add_along_axis(x, index, dim, shape):
    return torch.zeros(shape, dtype=x.dtype).scatter_add(dim, index, x)


TABLE = {
    "expand": lambda x, shape: x.expand(shape),
    "sum_to": lambda x, shape: x.sum_to_size(shape),
    "cast": lambda x, dtype: x.to(_dtype(dtype)),
    "reshape": lambda x, shape: x.reshape(shape),
    "permute": lambda x, order: x.permute(order),
    "transpose": lambda x, dim0, dim1: x.transpose(dim0, dim1),
    "cat": lambda *xs, dim: torch.cat(xs, dim),
    "pad_constant": _pad,
    "basic_index": _index,
    "advanced_index": _index,
    "index_add": _index_add,
    "assign": _assign,
    "take_along_axis": lambda x, index, dim: torch.gather(x, dim, index),
    "add_along_axis": _add_along_axis,
    "nonzero": lambda x, size, fill_value: torch.nonzero(x),
    "one_hot": lambda x, num_classes: F.one_hot(x, num_classes),
}
