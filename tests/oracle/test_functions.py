"""Top-level functions compared with those of `torch`: values, gradients and argument names."""

import numpy as np
import pytest

import tinygrad_np
from tests.oracle.compare import compare
from tests.oracle.pytorch import torch
from tests.tools import each, naming

pytestmark = pytest.mark.slow

A = np.array([[1.0, -2.0, 3.0], [0.5, 4.0, -1.5]])
B = np.array([[2.0, 1.0, -1.0], [0.25, 3.0, 1.5]])
V = np.array([1.0, 3.0, 2.0])

# A call of the same function in both libraries, and its inputs.
CALLS = {
    "max of all": (lambda t, x: t.max(x), [A]),
    "max along": (lambda t, x: t.max(x, 1).values, [A]),
    "max along, with ties": (lambda t, x: t.max(x, dim=0, keepdim=True)[0], [np.ones((3, 2))]),
    "max of two": (lambda t, x, y: t.max(x, y), [A, B]),
    "min along": (lambda t, x: t.min(x, -1)[0], [A]),
    "min positions": (lambda t, x: t.min(x, -1).indices, [A]),
    "add": (lambda t, x, y: t.add(x, y, alpha=2), [A, B]),
    "sub": (lambda t, x, y: t.sub(x, y, alpha=2), [A, B]),
    "div": (lambda t, x, y: t.div(x, y, rounding_mode="floor"), [A, B]),
    "cat": (lambda t, x, y: t.cat([x, y], 1), [A, B]),
    "stack": (lambda t, x, y: t.stack((x, y), dim=-1), [A, B]),
    "where": (lambda t, x, y: t.where(x > 0, x, y), [A, B]),
    "clamp": (lambda t, x: t.clamp(x, min=-1, max=1), [A]),
    "diag of a vector": (lambda t, x: t.diag(x, -1), [V]),
    "diag of a matrix": (lambda t, x: t.diag(x, 1), [A]),
    "norm": (lambda t, x: t.norm(x, dim=1), [A]),
    "norm of all": (lambda t, x: t.norm(x), [A]),
    "sum": (lambda t, x: t.sum(x, dim=1, keepdim=True), [A]),
    "mean": (lambda t, x: t.mean(x, (0, 1)), [A]),
    "var": (lambda t, x: t.var(x, dim=1, unbiased=False), [A]),
    "std": (lambda t, x: t.std(x, dim=0, correction=1, keepdim=True), [A]),
    "softmax": (lambda t, x: t.softmax(x, dim=0), [A]),
    "permute": (lambda t, x: t.permute(x, (1, 0)), [A]),
    "flip": (lambda t, x: t.flip(x, dims=(0, 1)), [A]),
    "roll": (lambda t, x: t.roll(x, 1, dims=1), [A]),
    "einsum": (lambda t, x, y: t.einsum("ij,kj->ik", x, y), [A, B]),
    "einsum of a list": (lambda t, x, y: t.einsum("ij,kj->ik", [x, y]), [A, B]),
    "sort": (lambda t, x: t.sort(x, dim=1, descending=True)[0], [A]),
    "topk": (lambda t, x: t.topk(x, 2, dim=1)[0], [A]),
    "split": (lambda t, x: t.split(x, 2, dim=1)[1], [A]),
    "squeeze": (lambda t, x: t.squeeze(t.unsqueeze(x, dim=0), dim=0), [A]),
    "gather": (lambda t, x: t.gather(x, 1, t.argmax(x, dim=1, keepdim=True)), [A]),
    "cumsum": (lambda t, x: t.cumsum(x, dim=1), [A]),
    "logsumexp": (lambda t, x: t.logsumexp(x, dim=1), [A]),
    "keywords": (lambda t, x, y: t.pow(input=t.abs(input=x), exponent=y), [A, B]),
}


@each("name", CALLS)
def test_calls_match_pytorch(name):
    call, arrays = CALLS[name]
    with naming(name):
        compare(lambda *xs: call(tinygrad_np, *xs), lambda *xs: call(torch, *xs), arrays)


@each(
    "call",
    [
        lambda t: t.zeros(2, 3),
        lambda t: t.ones((2,), dtype=t.float64, device="cpu"),
        lambda t: t.full((2,), 7),
        lambda t: t.full(size=(2,), fill_value=0.5),
        lambda t: t.eye(2, 3),
        lambda t: t.arange(5),
        lambda t: t.arange(1, 6, 2),
        lambda t: t.arange(start=0, end=1, step=0.25),
        lambda t: t.linspace(0, 1, 5),
        lambda t: t.linspace(start=0, end=1, steps=3),
        lambda t: t.tensor([[1, 2], [3, 4]]),
        lambda t: t.tensor([1.0, 2.0], dtype=t.float16),
        lambda t: t.tensor(True),
        lambda t: t.from_numpy(A),
        lambda t: t.as_tensor(A, dtype=t.float32),
        lambda t: t.zeros_like(t.tensor([1, 2])),
        lambda t: t.where(t.tensor([0, 3, 0]))[0],
        lambda t: t.nonzero(t.tensor([[0, 3], [1, 0]])),
    ],
)
def test_factories_match_pytorch(call):
    ours, theirs = call(tinygrad_np), call(torch)
    np.testing.assert_array_equal(ours.numpy(), theirs.numpy())
    assert str(theirs.dtype) == f"torch.{ours.dtype}"


def test_random_factories_have_the_shapes_and_dtypes_of_pytorch():
    for call in (
        lambda t: t.rand(2, 3),
        lambda t: t.randn((2, 3)),
        lambda t: t.randint(0, 10, (2, 3)),
        lambda t: t.randint(10, (4,)),
        lambda t: t.randint(low=3, high=5, size=(4,)),
        lambda t: t.normal(0.0, 1.0, (2, 3)),
        lambda t: t.normal(t.zeros(3), t.ones(3)),
        lambda t: t.normal(t.zeros(3, 1), t.ones(4)),
        lambda t: t.randperm(5),
        lambda t: t.multinomial(t.tensor([0.5, 0.5]), 2),
    ):
        ours, theirs = call(tinygrad_np), call(torch)
        assert ours.shape == tuple(theirs.shape)
        assert str(theirs.dtype) == f"torch.{ours.dtype}"


def test_normal_passes_no_gradient_to_its_parameters():
    for t in (tinygrad_np, torch):
        t.manual_seed(0)
        mean, std = (t.tensor([v] * 2000, requires_grad=True) for v in (0.5, 3.0))
        draws = t.normal(mean, std)
        (-((draws - mean) ** 2) / 2).sum().backward()  # as in a policy gradient
        np.testing.assert_allclose(mean.grad.numpy(), (draws - mean).detach().numpy(), rtol=1e-6)
        assert 2.8 < draws.detach().numpy().std() < 3.2
        assert len(np.unique(t.normal(t.zeros(3, 1), t.ones(4)).numpy())) == 12
        assert t.normal(0.0, 1.0, (2,), requires_grad=True).is_leaf
    with pytest.raises(
        tinygrad_np.errors.ShapeError, match=r"normal: .* broadcast, got \(2,\) and \(3,\)"
    ):
        tinygrad_np.normal(tinygrad_np.zeros(2), tinygrad_np.ones(3))


def test_autograd_grad_matches_pytorch():
    results = []
    for t in (tinygrad_np, torch):
        x = t.tensor([1.0, 2.0], requires_grad=True)
        (first,) = t.autograd.grad((x**3).sum(), x, create_graph=True)
        results.append(t.autograd.grad(first, x, t.tensor([1.0, 10.0]))[0].tolist())
    assert results[0] == results[1] == [6.0, 120.0]
