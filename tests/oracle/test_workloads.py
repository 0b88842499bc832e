"""Both sides of the benchmark's workloads compute the same, with the same optimizers."""

import numpy as np
import pytest

import tinygrad_np
from benchmarks.workloads import WORKLOADS
from tests.oracle.pytorch import torch


@pytest.mark.parametrize("name", WORKLOADS)
def test_both_frameworks_agree_on_loss_and_gradients(name, monkeypatch):
    torch.manual_seed(0)
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
        bound = 1e-3 * np.abs(wanted).max() + 1e-7
        np.testing.assert_allclose(copied.grad.numpy(), wanted, rtol=1e-2, atol=bound)


@pytest.mark.parametrize("name", WORKLOADS)
def test_both_frameworks_use_the_same_optimizer_settings(name):
    _, optimizer, rate, _ = WORKLOADS[name]
    theirs, ours = (
        getattr(framework.optim, optimizer)([framework.zeros(1, requires_grad=True)], lr=rate)
        for framework in (torch, tinygrad_np)
    )
    settings = ("lr", "betas", "eps", "weight_decay", "momentum", "dampening", "nesterov")
    for setting in settings:
        found = ours.param_groups[0].get(setting)
        assert found == theirs.param_groups[0].get(setting), setting
