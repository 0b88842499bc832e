"""Ops beside PyTorch's at random sizes and options: values, gradients, second gradients."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install -e '.[oracle]'")

from tests.oracle.cases import CASES  # noqa: E402
from tests.tools import naming  # noqa: E402
from tinygrad_np import Tensor  # noqa: E402
from tinygrad_np.errors import GraphError  # noqa: E402

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("name", CASES)
def test_beside_pytorch(name):
    for seed in range(20):
        with naming(f"seed {seed}"):
            beside_pytorch(name, seed)


def beside_pytorch(name, seed):
    """Hold an expression beside PyTorch's, to the second gradient."""
    generator = np.random.default_rng(seed)
    function, reference, arrays = CASES[name](generator)
    ours = [Tensor(array, requires_grad=array.dtype.kind == "f") for array in arrays]
    theirs = [torch.tensor(array, requires_grad=array.dtype.kind == "f") for array in arrays]
    out, expected = function(*ours), reference(*theirs)
    agree([out], [expected])
    if not expected.requires_grad:
        return
    ours, theirs = ([x for x in side if x.requires_grad] for side in (ours, theirs))

    upstream = generator.standard_normal(out.shape)
    grads = out.gradient(*ours, gradient=Tensor(upstream), create_graph=True)
    expected_grads = torch.autograd.grad(
        expected, theirs, torch.tensor(upstream), create_graph=True
    )
    agree(grads, expected_grads)
    if name.endswith("at kinks"):
        return  # where the first derivative jumps the second is not defined

    squares = sum((grad * grad).sum() for grad in grads)
    expected_squares = sum((grad * grad).sum() for grad in expected_grads)
    if not squares.requires_grad or not expected_squares.requires_grad:
        return  # linear: the gradients do not depend on the point
    seconds = torch.autograd.grad(expected_squares, theirs, allow_unused=True)
    for tensor, second in zip(ours, seconds, strict=True):
        try:
            (found,) = squares.gradient(tensor)
        except GraphError:
            assert second is None or not second.any()
        else:
            agree([found], [torch.zeros(tensor.shape) if second is None else second])


@pytest.mark.parametrize("name", CASES)
def test_beside_pytorch_in_float32(name):
    for seed in range(3):
        with naming(f"seed {seed}"):
            beside_pytorch_in_float32(name, seed)


def beside_pytorch_in_float32(name, seed):
    """Hold an expression and its gradients beside PyTorch's, in float32."""
    generator = np.random.default_rng(seed)
    function, reference, arrays = CASES[name](generator)
    arrays = [a.astype(np.float32) if a.dtype.kind == "f" else a for a in arrays]
    ours = [Tensor(array, requires_grad=array.dtype.kind == "f") for array in arrays]
    theirs = [torch.tensor(array, requires_grad=array.dtype.kind == "f") for array in arrays]
    out, expected = function(*ours), reference(*theirs)
    agree([out], [expected], 2e-4)
    if not expected.requires_grad:
        return
    ours, theirs = ([x for x in side if x.requires_grad] for side in (ours, theirs))
    upstream = generator.standard_normal(out.shape).astype(np.float32)
    grads = out.gradient(*ours, gradient=upstream)
    agree(grads, torch.autograd.grad(expected, theirs, torch.tensor(upstream)), 2e-4)


def agree(found, expected, rtol=1e-9):
    """Hold arrays beside PyTorch's, shape and dtype too."""
    for ours, theirs in zip(found, expected, strict=True):
        reference = theirs.detach().numpy(force=True)
        assert (ours.shape, ours.dtype) == (reference.shape, reference.dtype)
        atol = 0.01 * rtol * (1 + float(np.abs(reference[np.isfinite(reference)]).max(initial=0)))
        np.testing.assert_allclose(ours.data, reference, rtol=rtol, atol=max(atol, 1e-11))
