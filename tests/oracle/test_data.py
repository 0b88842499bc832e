"""Datasets, splits and batches compared with those of torch.utils.data."""

import numpy as np
import pytest

from tests.oracle.pytorch import torch
from tests.tools import each
from tinygrad_np import Tensor, data

X = np.random.default_rng(0).standard_normal((11, 3)).astype(np.float32)
Y = np.arange(11)
THEIRS = torch.utils.data


def plain(value):
    """Return a batch as (dtype, list) pairs inside its tuples, lists and dicts."""
    if isinstance(value, Tensor):
        return value.dtype.name, value.tolist()
    if isinstance(value, torch.Tensor):
        return value.numpy().dtype.name, value.tolist()
    if isinstance(value, dict):
        return {key: plain(entry) for key, entry in value.items()}
    return [plain(entry) for entry in value] if isinstance(value, list | tuple) else value


def both():
    """Return the same dataset for both frameworks."""
    theirs = THEIRS.TensorDataset(torch.from_numpy(X), torch.from_numpy(Y))
    return data.TensorDataset(Tensor(X), Tensor(Y)), theirs


@each("where", [3, -1, slice(2, 5)])
def test_tensor_dataset_matches_pytorch(where):
    ours, theirs = both()
    assert len(ours) == len(theirs)
    assert plain(ours[where]) == plain(theirs[where])
    assert plain(ours.tensors) == plain(theirs.tensors)


def test_subset_matches_pytorch():
    ours, theirs = (
        module.Subset(dataset, [5, 2, 9])
        for module, dataset in zip((data, THEIRS), both(), strict=True)
    )
    assert len(ours) == len(theirs)
    assert [plain(ours[i]) for i in range(3)] == [plain(theirs[i]) for i in range(3)]


@each("lengths", [[8, 3], [11], [0.5, 0.5], [0.3, 0.3, 0.4], [0.25, 0.25, 0.25, 0.25], [10, 0, 1]])
def test_random_split_has_the_sizes_of_pytorch(lengths):
    ours, theirs = both()
    assert [len(part) for part in data.random_split(ours, lengths)] == [
        len(part) for part in THEIRS.random_split(theirs, lengths)
    ]


@each("options", [{"batch_size": 4}, {"batch_size": 4, "drop_last": True}, {"batch_size": 11}])
def test_batches_match_pytorch(options):
    ours, theirs = both()
    mine, other = (
        module.DataLoader(dataset, **options, num_workers=0, pin_memory=False)
        for module, dataset in zip((data, THEIRS), (ours, theirs), strict=True)
    )
    assert len(mine) == len(other)
    assert list(map(plain, mine)) == list(map(plain, other))


@each(
    "samples",
    [
        [1, 2],
        [True, False],
        [np.float32(1), np.float32(2)],
        [np.float64(1)],
        [np.zeros(2, np.float32), np.ones(2, np.float32)],
        [(1, "a"), (2, "b")],
        [[np.ones(1), 3], [np.zeros(1), 4]],
        [{"x": np.int64(1), "y": (2, b"z")}],
    ],
)
def test_default_collate_matches_pytorch(samples):
    assert plain(data.default_collate(samples)) == plain(THEIRS.default_collate(samples))


def test_python_floats_are_float32_instead_of_float64():
    """The one difference: Tensor([0.5]) is float32 in both frameworks, PyTorch's batch is not."""
    assert data.default_collate([0.5]).dtype == np.float32
    assert THEIRS.default_collate([0.5]).dtype == torch.float64


def test_invalid_arguments_raise_in_both():
    for collate in (data.default_collate, THEIRS.default_collate):
        with pytest.raises((RuntimeError, TypeError)):
            collate([np.ones(2), np.ones(3)])
        with pytest.raises((RuntimeError, TypeError)):
            collate([None])
    for split in (data.random_split, THEIRS.random_split):
        with pytest.raises(ValueError, match="length"):
            split(range(5), [1, 2])
