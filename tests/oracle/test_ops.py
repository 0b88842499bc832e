"""Ops compared with PyTorch at random sizes and options, to second gradients."""

import numpy as np
import pytest

from tests.oracle.cases import CASES
from tests.oracle.compare import compare
from tests.tools import naming

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("dtype", "seeds", "order"),
    [(np.float64, 20, 2), (np.float32, 3, 1)],
    ids=["float64", "float32"],
)
@pytest.mark.parametrize("name", CASES)
def test_ops_match_pytorch(name, dtype, seeds, order):
    for seed in range(seeds):
        with naming(f"seed {seed}"):
            ours, theirs, arrays = CASES[name](np.random.default_rng(seed))
            # At a jump of the first derivative, the second is undefined.
            compare(ours, theirs, arrays, dtype, seed, 1 if "at kinks" in name else order)
