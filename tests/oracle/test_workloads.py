"""Both sides of the benchmark's workloads compute the same loss and gradients."""

import numpy as np
import pytest
import torch

import tinygrad_np
from benchmarks.workloads import WORKLOADS


@pytest.mark.parametrize("name", WORKLOADS)
def test_both_frameworks_agree_on_loss_and_gradients(name, monkeypatch):
    for framework in (torch, tinygrad_np):  # the VAE's noise
        monkeypatch.setattr(framework, "randn_like", framework.zeros_like)
    theirs, ours = (WORKLOADS[name].make(framework) for framework in (torch, tinygrad_np))
    weights, own = list(theirs.parameters), list(ours.parameters)
    for weight, copied in zip(weights, own, strict=True):
        copied.data[...] = weight.detach().numpy()
    expected, found = theirs.loss(), ours.loss()
    assert found.item() == pytest.approx(expected.item(), rel=1e-5)
    expected.backward()
    found.backward()
    for weight, copied in zip(weights, own, strict=True):
        wanted = weight.grad.numpy()
        bound = 1e-4 * np.abs(wanted).max() + 1e-7
        np.testing.assert_allclose(copied.grad.numpy(), wanted, rtol=1e-3, atol=bound)
