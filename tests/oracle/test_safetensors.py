"""Weights files are exchanged with PyTorch in both directions."""

import numpy as np
import pytest

from tests.by_hand.cases import draw_batch, weights_of
from tests.oracle.pytorch import torch
from tests.oracle.torch_models import PAIRS, our_model, torch_model
from tinygrad_np import Tensor, nn, train
from tinygrad_np.errors import DataError

pytestmark = pytest.mark.slow
safetensors_torch = pytest.importorskip("safetensors.torch")

DTYPES = ["float16", "float32", "float64", "uint8", "int8", "int16", "int32", "int64", "bool"]
NAMES = pytest.mark.parametrize("name", list(PAIRS))


def sample(dtype):
    """Return an array of shape (2, 3) with some zeros."""
    return np.array([[0, 1, 2], [100, 3, 0]]).astype(dtype)


@pytest.mark.parametrize("dtype", DTYPES)
def test_torch_loads_our_files(tmp_path, dtype):
    """Every dtype and memory order, including 0-d and empty arrays."""
    whole = np.arange(24).reshape(2, 3, 4).astype(dtype)
    state = {
        "plain": sample(dtype),
        "transposed": sample(dtype).T,
        "permuted": whole.transpose(2, 0, 1),
        "stepped": whole[:, ::2, ::-1],
        "scalar": np.asarray(sample(dtype)[0, 1]),
        "empty": sample(dtype)[:0],
    }
    train.save(tmp_path / "a.safetensors", state)
    found = safetensors_torch.load_file(tmp_path / "a.safetensors")
    assert found.keys() == state.keys()
    for name, array in state.items():
        np.testing.assert_array_equal(found[name].numpy(), array, strict=True)


@pytest.mark.parametrize("dtype", DTYPES)
def test_loads_files_written_by_torch(tmp_path, dtype):
    state = {"plain": torch.tensor(sample(dtype)), "scalar": torch.tensor(sample(dtype)[0, 1])}
    safetensors_torch.save_file(state, tmp_path / "a.safetensors")
    found = train.load(tmp_path / "a.safetensors")
    assert found.keys() == state.keys()
    for name, tensor in state.items():
        np.testing.assert_array_equal(found[name], tensor.numpy(), strict=True)


@NAMES
def test_model_weights_round_trip_through_torch(tmp_path, name):
    """Our weights load into PyTorch's model and back; the order of names is the same."""
    first, other = (our_model(name, seed) for seed in (0, 1))
    images, _ = draw_batch(name, 2, np.random.default_rng(2), np.float32)
    first(Tensor(images))  # moves running statistics away from 0 and 1
    train.save(tmp_path / "ours.safetensors", first.state_dict())
    model = torch_model(name, weights_of(other)).float()
    assert list(dict(first.named_parameters())) == list(dict(model.named_parameters()))
    assert list(first.state_dict()) == list(model.state_dict())
    model.load_state_dict(safetensors_torch.load_file(tmp_path / "ours.safetensors"), strict=True)
    safetensors_torch.save_file(model.state_dict(), tmp_path / "theirs.safetensors")
    other.load_state_dict(train.load(tmp_path / "theirs.safetensors"))
    for path, array in first.state_dict().items():
        np.testing.assert_array_equal(other.state_dict()[path], array, strict=True)


def test_a_tied_weight_that_torch_stored_once_loads(tmp_path):
    class Tied(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = torch.nn.Linear(3, 3), torch.nn.Linear(3, 3)
            self.second.weight = self.first.weight

    theirs = Tied()
    safetensors_torch.save_model(theirs, str(tmp_path / "a.safetensors"))
    ours = nn.Module()
    ours.first, ours.second = nn.Linear(3, 3), nn.Linear(3, 3)
    ours.second.weight = ours.first.weight
    state = train.load(tmp_path / "a.safetensors")
    assert len(state) == 3
    ours.load_state_dict(state)
    np.testing.assert_array_equal(ours.first.weight.numpy(), theirs.first.weight.detach().numpy())


def test_bfloat16_is_named(tmp_path):
    state = {"w": torch.ones(2, dtype=torch.bfloat16)}
    safetensors_torch.save_file(state, tmp_path / "a.safetensors")
    with pytest.raises(DataError, match=r"a\.safetensors: 'w' is bfloat16, which NumPy lacks\."):
        train.load(tmp_path / "a.safetensors")
