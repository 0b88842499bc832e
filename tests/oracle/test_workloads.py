"""Both sides of the benchmark's workloads compute the same losses, gradients and weights."""

import numpy as np
import pytest

import tinygrad_np
from benchmarks.workloads import WORKLOADS
from tests.oracle.pytorch import torch


@pytest.mark.parametrize("name", WORKLOADS)
def test_both_frameworks_train_alike(name, monkeypatch):
    for framework in (torch, tinygrad_np):  # the VAE's noise
        monkeypatch.setattr(framework, "randn_like", framework.zeros_like)
    theirs, ours = (WORKLOADS[name].make(framework) for framework in (torch, tinygrad_np))
    weights, own = list(theirs.parameters), list(ours.parameters)
    for weight, copied in zip(weights, own, strict=True):
        copied.data[...] = weight.detach().numpy()
    _, optimizer, rate, _ = WORKLOADS[name]
    optimizers = [
        getattr(framework.optim, optimizer)(values, lr=rate)
        for framework, values in ((torch, weights), (tinygrad_np, own))
    ]
    for _ in range(3):
        expected, found = theirs.loss(), ours.loss()
        assert found.item() == pytest.approx(expected.item(), rel=1e-4)
        for loss, each in zip((expected, found), optimizers, strict=True):
            each.zero_grad()
            loss.backward()
        for weight, copied in zip(weights, own, strict=True):
            wanted = weight.grad.numpy()
            bound = 1e-3 * np.abs(wanted).max() + 1e-7
            np.testing.assert_allclose(copied.grad.numpy(), wanted, rtol=1e-2, atol=bound)
        for each in optimizers:
            each.step()
    for weight, copied in zip(weights, own, strict=True):
        np.testing.assert_allclose(copied.numpy(), weight.detach().numpy(), rtol=1e-3, atol=1e-4)
