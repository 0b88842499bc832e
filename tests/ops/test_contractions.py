"""einsum: comparison with NumPy, and dtypes."""

import numpy as np
import pytest

from tests.tools import each, leaf
from tinygrad_np import Tensor
from tinygrad_np.gradcheck import gradcheck, gradgradcheck


@pytest.mark.slow
@each("seed", range(40))
def test_einsum_matches_numpy(seed):
    """Random formulas with repeated letters, unmatched letters and up to five operands."""
    generator = np.random.default_rng(seed)
    letters = list("abcdE")
    sizes = {letter: int(generator.integers(1, 4)) for letter in letters}
    terms = [
        "".join(generator.choice(letters, int(generator.integers(0, 4))))
        for _ in range(int(generator.integers(1, 6)))
    ]
    used = sorted(set("".join(terms)))
    wanted = "".join(generator.permutation(used)[: int(generator.integers(0, len(used) + 1))])
    arrays = [generator.standard_normal([sizes[letter] for letter in term]) for term in terms]
    formula = f"{','.join(terms)}->{wanted}"
    found = Tensor.einsum(formula, *map(Tensor, arrays))
    np.testing.assert_allclose(found.data, np.einsum(formula, *arrays), rtol=1e-10, atol=1e-12)
    gradcheck(lambda *xs: Tensor.einsum(formula, *xs), arrays)
    gradgradcheck(lambda *xs: Tensor.einsum(formula, *xs), arrays)


def test_einsum_accepts_arrays_and_tensors():
    x = leaf(np.ones((2, 3)))
    found = Tensor.einsum("ij,j", x, np.arange(3.0))
    found.sum().backward()
    assert x.grad.tolist() == [[0, 1, 2], [0, 1, 2]]


def test_einsum_keeps_dtypes():
    x = Tensor([[1, 2], [3, 4]])
    assert Tensor.einsum("ij,jk", x, x).tolist() == [[7, 10], [15, 22]]
    assert Tensor.einsum("ij,jk", x, x).dtype == np.int64
    assert Tensor.einsum("i...,i", x, Tensor([1.0, 0.5])).dtype == np.float32
    assert Tensor.einsum("ij,jk", x, x, dtype=np.float32).dtype == np.float32


def test_einsum_supports_52_axes():
    assert Tensor.einsum("...", Tensor(np.full((1,) * 52, 3.0))).item() == 3.0
