"""The programs of `tests/programs/test_programs.py` compared with PyTorch.

Values, gradients of all leaves from a random upstream gradient, and Hessian-vector products.
"""

import numpy as np
import pytest

from tests.oracle.counterparts import TABLE
from tests.oracle.pytorch import torch
from tests.programs.grow import grow
from tests.programs.program import COMPOSED, given, run_on_tensors
from tests.programs.test_programs import (
    FULL,
    SMOKE,
    WrongError,
    gradients,
    hessian_products,
)


def _squash(x, scale, shift, low, high):
    return torch.tanh(x * scale + shift) * ((high - low) / 2) + (high + low) / 2


def _near(x, array):
    places = torch.arange(array.numel()) % x.numel()
    return torch.tanh(x.reshape(-1)[places].reshape(array.shape)) * 0.1 + array


# PyTorch versions of the composed steps; op records have counterparts.
COMPOSED_THERE = {
    "squash": _squash,
    "near": _near,
    "sort": lambda x, dim: torch.sort(x, dim=dim, stable=True)[0],
    "cummax": lambda x, axis: torch.cummax(x, axis)[0],
    "var": lambda x, axis: torch.var(x, axis),
    "mish": torch.nn.functional.mish,
    "clip": lambda x, low, high: torch.clamp(x, low, high),
    "stack": lambda *xs, dim: torch.stack(xs, dim),
    "where above": lambda x, y, bound: torch.where(x > bound, x, y),
    "flip": lambda x, axis: torch.flip(x, (axis,)),
    "unfold": lambda x, dim, size, step: x.unfold(dim, size, step),
}

# Steps without a comparison of second derivatives, and why.
WITHOUT_SECOND = {
    "logcumsumexp": "PyTorch takes the logarithm of the upstream gradient, which fails at 0. Ours "
    "are checked against central differences.",
}

# Counterparts of op records accept array attributes, such as indices, without conversion.
AS_THEY_ARE = frozenset(TABLE)


def test_every_composed_step_has_a_translation():
    assert COMPOSED_THERE.keys() == COMPOSED.keys()


def _theirs(value):
    return torch.tensor(value) if isinstance(value, np.ndarray) else value


def run_there(program):
    """Run in PyTorch; return the result and the leaves that require gradients."""
    values = [
        torch.tensor(leaf, requires_grad=wanted)
        for leaf, wanted in zip(program.leaves, program.wanted, strict=True)
    ]
    leaves = [value for value in values if value.requires_grad]
    for step in program.steps:
        if step.makes_a_value:
            inputs = [_theirs(value) for value in given(step, values)]
            if step.name in AS_THEY_ARE:
                values.append(TABLE[step.name](*inputs, **step.attributes))
            else:
                attributes = {name: _theirs(value) for name, value in step.attributes.items()}
                values.append(COMPOSED_THERE[step.name](*inputs, **attributes))
    return torch.cat([values[v].reshape(-1) for v in program.results]), leaves


def gradients_there(out, leaves, upstream, **options):
    return torch.autograd.grad(out, leaves, upstream, materialize_grads=True, **options)


def check(program):
    """Compare a program with PyTorch; every fourth with Hessian-vector products."""
    out, leaves = run_on_tensors(program)
    expected, their_leaves = run_there(program)
    agree(program, "values", [out.data], [expected])
    if not out.requires_grad:
        return
    rng = np.random.default_rng(program.seed)
    upstream = rng.standard_normal(out.shape)
    found = gradients(out, leaves, upstream)
    is_known = all(step.name not in WITHOUT_SECOND for step in program.steps)
    is_twice = program.seed % 4 == 0 and is_known
    theirs = gradients_there(expected, their_leaves, torch.tensor(upstream), create_graph=is_twice)
    agree(program, "gradients", found, theirs)
    if not is_twice:
        return
    weights = [rng.standard_normal(leaf.shape) for leaf in leaves]
    products = hessian_products(out, leaves, upstream, weights)
    total = sum((g * torch.tensor(w)).sum() for g, w in zip(theirs, weights, strict=True))
    zeros = [torch.zeros(leaf.shape) for leaf in leaves]
    there = gradients_there(total, their_leaves, None) if total.requires_grad else zeros
    agree(program, "products with the Hessian", products, there)


def agree(program, what, found, expected):
    for ours, theirs in zip(found, expected, strict=True):
        reference = theirs.numpy(force=True)
        atol = 1e-10 * (1 + float(np.abs(reference).max(initial=0)))
        if not np.allclose(ours, reference, rtol=1e-8, atol=atol):
            raise WrongError(program, f"{what}: {ours}, PyTorch: {reference}")


def test_random_programs_match_pytorch():
    for seed in SMOKE:
        check(grow(seed, changes=False))


@pytest.mark.slow
@pytest.mark.parametrize("seeds", FULL, ids=lambda seeds: f"{seeds.start}")
def test_many_random_programs_match_pytorch(seeds):
    for seed in seeds:
        check(grow(seed, changes=False))
