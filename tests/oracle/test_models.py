"""Every model compared with PyTorch's: logits, loss, gradients, running statistics."""

import numpy as np
import pytest

from tests.by_hand.cases import autodiff, disagreements, draw_batch, weights_of
from tests.oracle.pytorch import torch
from tests.oracle.torch_models import PAIRS, our_model, torch_model
from tinygrad_np import Tensor

pytestmark = pytest.mark.slow

NAMES = pytest.mark.parametrize("name", list(PAIRS))


def pair(name):
    """Return our model in float64, PyTorch's with the same weights, images, and labels."""
    ours = our_model(name, 0).astype(np.float64)
    return (
        ours,
        torch_model(name, weights_of(ours)),
        *draw_batch(name, 4, np.random.default_rng(1)),
    )


def drop_alike(ours, theirs, batch):
    """Make the next forward pass of both models drop the same hidden units."""
    ours.dropout.generator = np.random.default_rng(2)
    shape = (batch, ours.fc1.out_features)
    kept = np.random.default_rng(2).random(shape, np.float32) >= ours.dropout.p
    theirs.dropout.factor = torch.tensor(kept / (1 - ours.dropout.p))


@NAMES
def test_training_mode_matches_pytorch(name):
    """Loss, gradients and running statistics in training mode, with dropout."""
    ours, theirs, images, labels = pair(name)
    if hasattr(ours, "dropout"):
        drop_alike(ours, theirs, len(images))
    x = torch.tensor(images, requires_grad=True)
    loss = torch.nn.functional.cross_entropy(theirs(x), torch.tensor(labels))
    loss.backward()
    gradients = {key: parameter.grad.numpy() for key, parameter in theirs.named_parameters()}
    found = autodiff(ours, images, labels)
    # A bias before batch norm has no effect: its gradient is rounding error, compared with its
    # weight's.
    for key in [k for k in gradients if k.startswith("conv") and k.endswith("bias")]:
        if hasattr(ours, key.replace("conv", "bn").removesuffix(".bias")):
            of_weight = np.abs(gradients[key.replace("bias", "weight")]).max()
            assert np.abs(found[1].pop(key) - gradients.pop(key)).max() <= 1e-10 * of_weight
    assert disagreements(found, (loss.item(), gradients, x.grad.numpy()), 1e-9) == {}
    for key, value in theirs.state_dict().items():
        np.testing.assert_allclose(ours.state_dict()[key], value.numpy(), 1e-10, 1e-12)


@NAMES
def test_evaluation_mode_matches_pytorch(name):
    """Logits in evaluation mode, with running statistics different from 0 and 1."""
    ours, theirs, images, _ = pair(name)
    x = torch.tensor(images)
    for _ in range(2):
        ours(Tensor(images))
        theirs(x)
    found, expected = ours.eval()(Tensor(images)), theirs.eval()(x)
    np.testing.assert_allclose(found.numpy(), expected.detach().numpy(), 1e-9, 1e-12)
